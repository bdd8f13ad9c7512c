"""Solutions of exercises against libraries, pandas, scikit-learn and SciPy, and against our own live code."""

import cmath

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage, stats
from scipy.spatial.distance import cdist
from sklearn.metrics import f1_score, jaccard_score
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from affkit import losses
from affkit.evaluation.intervals import interval as claim_interval
from affkit.faces.detectors import Box
from affkit.gan import Convolution, GanNetConfig, Layer
from affkit.store import to_unit_range
from affkit_course.exercises import nb01, nb03, nb04, nb05, nb06, nb07, nb08
from affkit_course.exercises.nb02 import in_step, segments

TENTHS = st.integers(-10, 10).map(lambda number: number / 10)
BITS = st.lists(st.integers(0, 1), min_size=1, max_size=30)


def numbers(answers):
    return [np.nan if one is None else one for one in answers]


@given(TENTHS, TENTHS)
def test_the_wheel_is_the_plane_of_complex_numbers(valence, arousal):
    length, angle = nb01.on_the_wheel(valence, arousal)
    assert 0 <= angle < 360
    assert cmath.rect(length, np.radians(angle)) == pytest.approx(complex(valence, arousal), abs=1e-12)


@given(st.lists(st.integers(-1, 1), min_size=1, max_size=20))
def test_the_share_is_the_mean_without_gaps(values):
    wanted = pd.Series(values, dtype=float).replace(-1, np.nan).mean()
    assert nb01.fraction_active(values) == pytest.approx(wanted, nan_ok=True)


@settings(max_examples=30)
@given(st.sets(st.sampled_from(["AU1", "AU2", "AU4", "AU6", "AU12", "AU20", "AU25", "AU26"])))
def test_the_nearest_word_has_the_largest_jaccard_score(active):
    units = sorted({*active, *(unit for typical in nb01.FACES.values() for unit in typical)})
    scores = {
        word: jaccard_score([u in active for u in units], [u in typical for u in units], zero_division=1)
        for word, typical in nb01.FACES.items()
    }
    found = nb01.nearest_expression(sorted(active), nb01.FACES)
    assert found == next(word for word, score in scores.items() if score == max(scores.values()))


@given(BITS)
def test_stretches_are_the_objects_of_scipy(active):
    objects = ndimage.find_objects(ndimage.label(active)[0])
    assert segments(active) == [(place.start, place.stop) for (place,) in objects]


@given(st.lists(TENTHS, min_size=1, max_size=20), st.integers(0, 25))
def test_in_step_is_a_shift(values, lag):
    wanted = pd.Series(values).shift(-lag)
    assert numbers(in_step(values, lag)) == pytest.approx(list(wanted), nan_ok=True)


@given(st.lists(st.integers(1, 50), min_size=2, max_size=7))
def test_the_weights_are_balanced(counts):
    truth = np.repeat(np.arange(len(counts)), counts)
    wanted = compute_class_weight("balanced", classes=np.arange(len(counts)), y=truth)
    assert nb03.class_weights(counts) == pytest.approx(wanted)
    assert nb03.class_weights([*counts, 0]) == pytest.approx([*wanted, 0])


EIGHTHS = st.integers(-8, 8).map(lambda number: number / 8)  # exact, as are the edges


@given(arrays(float, (2, 30), elements=EIGHTHS), st.sampled_from([1, 2, 4, 8]))
def test_the_plane_is_that_of_scipy(pair, bins):
    edges = np.linspace(-1, 1, bins + 1)
    wanted = stats.binned_statistic_2d(*pair, None, "count", [edges, edges]).statistic
    hidden = ([*pair[0], -5, 0.3], [*pair[1], 0.3, -5])
    assert np.array_equal(nb03.count_plane(*hidden, bins), wanted)


def test_pixels_are_scaled_as_the_store_scales_them():
    pixels = np.arange(256, dtype=np.uint8)
    wanted = to_unit_range(pixels.reshape(16, 16, 1)).numpy().ravel()
    assert nb04.to_unit(pixels) == pytest.approx(wanted, abs=1e-6)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.sampled_from([2, 4, 16]))
def test_frames_at_a_constant_rate_are_the_last_ones_before(steps, fps):
    times = np.concatenate([[0], np.cumsum(steps)]) / 32
    ticks = pd.DataFrame({"time": np.arange(0, times[-1] + 1e-9, 1 / fps)})
    shown = pd.DataFrame({"time": times, "frame": np.arange(len(times))})
    wanted = pd.merge_asof(ticks, shown, on="time")["frame"]
    assert list(nb04.source_frames(list(times), fps)) == list(wanted)


BOXES = st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(1, 9)] * 2)


@given(BOXES, BOXES)
def test_the_overlap_is_that_of_the_tracker(a, b):
    assert nb04.iou(a, b) == pytest.approx(Box(*a).iou(Box(*b))) == pytest.approx(nb04.iou(b, a))


@given(st.lists(st.none() | st.integers(-9, 9), min_size=1, max_size=25), st.integers(0, 6))
def test_gaps_are_filled_as_pandas_fills_them(places, longest):
    series = pd.Series(places, dtype=float)
    filled = series.interpolate(limit_area="inside")
    run = series.isna().groupby(series.notna().cumsum()).transform("sum")  # how long the gap of a frame is
    wanted = filled.where(series.notna() | (run <= longest))
    assert numbers(nb04.fill_gaps(places, longest)) == pytest.approx(list(wanted), nan_ok=True)


@settings(max_examples=30)
@given(arrays(float, (2, 24), elements=st.integers(-50, 50)), st.integers(2, 24))
def test_the_mean_ccc_is_that_of_the_loss(pair, size):
    parts = [torch.tensor(pair[:, i : i + size]) for i in range(0, 24, size)]
    wanted = np.mean([losses.ccc(*part).item() for part in parts])
    assert nb05.mean_ccc(*pair, size) == pytest.approx(wanted, abs=1e-6)


@given(arrays(np.int64, (4, 6), elements=st.integers(0, 255)), arrays(np.int64, (5, 6)))
def test_the_nearest_face_is_that_of_scipy(generated, real):
    real = real % 256
    wanted = cdist(generated, real, "sqeuclidean").argmin(axis=1)
    assert list(nb07.nearest(generated.tolist(), real.tolist())) == list(wanted)


@given(st.lists(TENTHS, min_size=2, max_size=8).filter(lambda values: np.ptp(values) > 0))
def test_the_interval_is_that_of_scipy_and_of_the_claims(differences):
    n = len(differences)
    low, high = stats.t.interval(0.95, n - 1, np.mean(differences), stats.sem(differences))
    found = nb08.interval(differences, stats.t.ppf(0.975, n - 1))
    assert found == pytest.approx((low, high))
    assert found == pytest.approx(claim_interval(np.array(differences))[1:])


@given(st.lists(st.tuples(st.sampled_from([0, 1, None]), st.integers(0, 1)), min_size=1, max_size=25))
def test_f1_with_a_mask_is_that_of_scikit_learn(pairs):
    known = [(label, said) for label, said in pairs if label is not None]
    wanted = f1_score(*zip(*known, strict=True), zero_division=0) if known else 0
    assert nb08.unit_f1(*map(list, zip(*pairs, strict=True))) == pytest.approx(wanted)


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 3))
def test_solutions_for_sizes_and_padding_are_the_layers(size, filter, stride):
    with torch.device("meta"):
        image = torch.zeros(1, 1, size, size)
        same = Convolution(1, 1, Layer(filter, 1, stride))(image).shape[-1]
        assert nb06.output_size(size, filter, stride, "SAME") == same
        if size >= filter:
            valid = nn.Conv2d(1, 1, filter, stride)(image).shape[-1]
            assert nb06.output_size(size, filter, stride, "VALID") == valid
    before, after = nb06.same_padding(size, filter, stride)
    assert 0 <= before <= after <= before + 1
    assert (size + before + after - filter) // stride + 1 == same
    if before + after:  # not a pixel more than needed
        assert (size + before + after - 1 - filter) // stride + 1 < same


@given(st.integers(1, 7), st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_solution_for_parameters_is_the_layer(filter, inputs, outputs, bias):
    layer = nn.Conv2d(inputs, outputs, filter, bias=bias)
    wanted = sum(weight.numel() for weight in layer.parameters())
    assert nb06.num_parameters(filter, inputs, outputs, bias) == wanted


@pytest.mark.parametrize(("configuration", "side"), [("1", 29), ("2", 61), ("2-7x7", 91)])
def test_the_receptive_field_is_the_footprint_of_the_live_discriminator(configuration, side):
    layers = GanNetConfig(configuration).tables.discriminator
    assert nb06.receptive_field([(layer.filter, layer.stride) for layer in layers]) == side

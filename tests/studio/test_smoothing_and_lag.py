"""Traces changed after the network: against pandas, SciPy, scikit-learn, and cases whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from guesses import plain_ccc
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.metrics import mean_squared_error

from affkit.labels import VA
from affkit_studio.smoothing_and_lag import (
    change_trace,
    change_traces,
    filter_scores,
    lag_curves,
    mean_ccc,
    three_scores,
)

THOUSANDTHS = st.integers(-1000, 1000).map(lambda number: number / 1000)
TRACES = hnp.arrays(np.float64, st.integers(1, 40), elements=THOUSANDTHS | st.just(np.nan))
RNG = np.random.default_rng(0)


@settings(max_examples=50)
@given(TRACES, st.integers(0, 6), st.booleans())
def test_the_moving_mean_is_that_of_pandas(values, half, causal):
    width = 2 * half + 1
    rolling = pd.Series(values).rolling(width, center=not causal, min_periods=1).mean()
    wanted = rolling.where(~np.isnan(values))  # a frame without a value gets none
    np.testing.assert_allclose(change_trace(values, width=width, causal=causal), wanted, atol=1e-12)


@settings(max_examples=50)
@given(TRACES, st.integers(-50, 50))
def test_a_lag_is_a_plain_loop_over_frames(values, lag):
    wanted = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    for frame in known:
        source = min(max(frame - lag, 0), len(values) - 1)
        before = known[known <= source]
        wanted[frame] = values[before[-1] if len(before) else known[0]]
    np.testing.assert_array_equal(change_trace(values, lag=lag), wanted)


@settings(max_examples=50)
@given(TRACES, THOUSANDTHS, st.floats(-3, 3))
def test_shift_moves_the_mean_and_scale_widens_about_it(values, shift, scale):
    np.testing.assert_array_equal(change_trace(values), values)  # unchanged
    mean = pd.Series(values).mean()  # of the known ones
    wanted = mean + scale * (values - mean) + shift
    np.testing.assert_allclose(change_trace(values, shift=shift, scale=scale), wanted, atol=1e-9)


def test_changes_come_in_their_order_and_a_mean_has_a_middle_and_frames():
    for width, causal in ((0, False), (0, True), (-3, True), (4, False)):
        with pytest.raises(ValueError, match=f"over {width} frames"):
            change_trace(np.zeros(3), width=width, causal=causal)
    values = RNG.normal(size=50)
    stepwise = change_trace(values, width=5, causal=True)
    for change in ({"lag": 3}, {"scale": 2.0}, {"shift": -0.2}):
        stepwise = change_trace(stepwise, **change)
    at_once = change_trace(values, shift=-0.2, scale=2.0, lag=3, width=5, causal=True)
    np.testing.assert_allclose(at_once, stepwise)


def test_three_scores_are_those_of_numpy_scipy_and_scikit_learn():
    x, y = RNG.normal(size=(2, 300))
    y = 0.6 * x + 0.5 * y + 0.2
    x[RNG.random(300) < 0.2], y[RNG.random(300) < 0.2] = np.nan, np.nan
    both = ~np.isnan(x) & ~np.isnan(y)
    found = three_scores(x, y)
    assert found["CCC"] == pytest.approx(plain_ccc(x[both], y[both]))
    assert found["Pearson"] == pytest.approx(stats.pearsonr(x[both], y[both]).statistic)
    assert found["MSE"] == pytest.approx(mean_squared_error(x[both], y[both]))


def two_faces():
    """Two faces of 200 and 120 frames, some missing: the labels are 6 frames late, the prediction 2."""
    rng = np.random.default_rng(3)
    parts = []
    for name, length in (("a", 200), ("b", 120)):
        rows = {"name": name, "frame": np.arange(1, length + 1), "subject": f"person {name}"}
        for column in VA:
            truth = np.convolve(rng.normal(size=length + 60), np.hanning(15), "same")[30 : length + 30]
            rows[f"true_{column}"] = truth
            rows[f"label_{column}"] = change_trace(truth, lag=6)
            rows[column] = change_trace(truth, lag=2) + rng.normal(0, 0.3, length)
        parts.append(pd.DataFrame(rows))
    frames = pd.concat(parts, ignore_index=True)
    frames.loc[50:60, "label_valence"] = np.nan
    return frames.drop(index=[3, 100, 101, 102, 250])  # frames without a face; the index has gaps


def test_each_face_is_changed_by_itself_at_its_own_time_in_any_order_of_rows():
    frames = two_faces()
    changed = change_traces(frames, lag=4, width=3)
    mixed = change_traces(frames.sample(frac=1, random_state=0), lag=4, width=3)
    pd.testing.assert_frame_equal(mixed.loc[frames.index], changed)
    pd.testing.assert_frame_equal(changed.drop(columns=list(VA)), frames.drop(columns=list(VA)))
    for name, own in frames.groupby("name"):
        for column in VA:
            trace = own.set_index("frame")[column].reindex(range(1, own["frame"].max() + 1))
            wanted = change_trace(trace.to_numpy(), lag=4, width=3)
            rows = changed["name"] == name
            np.testing.assert_array_equal(changed.loc[rows, column], wanted[own["frame"] - 1])


def test_lag_curves_find_what_is_late_and_by_how_much():
    lags = np.arange(-12, 13)
    for lines in lag_curves(two_faces(), lags).values():
        tops = {words: lags[ccc.argmax()] for words, ccc in lines.items()}
        assert tops == {"truth, label": 6, "prediction, label": 4, "prediction, truth": -2}


def test_filter_scores_are_those_of_each_filter_alone():
    frames = two_faces()
    table = filter_scores({"all": frames, "a": frames[frames["name"] == "a"]}, [1, 5], [-2, 0, 4])
    assert len(table) == 3 * 3 and not table.duplicated(["causal", "width", "lag"]).any()
    for row in table.itertuples():
        changed = change_traces(frames, width=row.width, causal=row.causal)
        changed = change_traces(changed, lag=row.lag)
        for against, found in {"label": row.all_label, "true": row.all_true}.items():
            known = changed.dropna(subset=[f"{against}_valence"])
            pairs = {"valence": known, "arousal": changed}.items()
            cccs = [plain_ccc(one[c], one[f"{against}_{c}"]) for c, one in pairs]
            assert found == pytest.approx(np.mean(cccs))
        assert row.a_true == pytest.approx(mean_ccc(changed[changed["name"] == "a"], "true"))
        assert row.delay == row.lag + (2 if row.causal and row.width == 5 else 0)
        assert row.live == (row.lag >= (0 if row.causal else 2))


def test_a_live_filter_does_not_know_the_future():
    table = filter_scores({"all": two_faces()}, [1, 7], [-3, 0, 3])
    values = RNG.normal(size=60)
    for row in table.itertuples():
        change = {"width": row.width, "causal": row.causal, "lag": row.lag}
        other = values.copy()
        other[31:] += 1  # another future
        same = (change_trace(values, **change)[:31] == change_trace(other, **change)[:31]).all()
        assert same == row.live

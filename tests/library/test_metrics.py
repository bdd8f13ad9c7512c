"""Streaming metrics against scikit-learn, torchmetrics and NumPy."""

import tracemalloc

import numpy as np
import pytest
import torch
import torchmetrics
from guesses import plain_ccc
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from solutions import solution_functions

from affkit.metrics import StreamingActionUnitScores, StreamingCCC, StreamingExpressionScores

RNG = np.random.default_rng(1)


def in_parts(metric, cuts, *arrays):
    for part in zip(*(np.split(array, cuts) for array in arrays), strict=True):
        metric.update(*part)
    return metric.compute()


def test_streaming_ccc_is_that_of_all_frames_at_once():
    """And the MSE and Pearson's correlation, against torchmetrics."""
    x, y = RNG.normal(size=(2, 500)) + [[3.0], [3.2]]
    y += 0.7 * x
    pair = torch.from_numpy(x), torch.from_numpy(y)
    mse, pearson = torchmetrics.functional.mean_squared_error, torchmetrics.functional.pearson_corrcoef
    for cuts in ([], [1], [0, 0, 200], [3, 7, 499]):
        metric = StreamingCCC()
        assert in_parts(metric, cuts, x, y) == pytest.approx(plain_ccc(x, y), rel=1e-12)
        assert metric.mse() == pytest.approx(mse(*pair).item(), rel=1e-12)
        assert metric.pearson() == pytest.approx(pearson(*pair).item(), rel=1e-12)


def test_the_solution_of_notebook_04_compares_a_trace_with_itself_later():
    shifted_ccc = solution_functions("04", StreamingCCC=StreamingCCC)["shifted_ccc"]
    values = RNG.normal(size=300).cumsum()
    for shift in (1, 40):
        pair = torch.from_numpy(values[shift:]), torch.from_numpy(values[:-shift])
        theirs = torchmetrics.functional.concordance_corrcoef(*pair).item()
        assert shifted_ccc(values, shift) == pytest.approx(theirs, rel=2e-2)


def test_a_mask_leaves_out_what_is_not_labelled_and_nothing_gives_nan():
    x, y, mask = RNG.normal(size=40), RNG.normal(size=40), RNG.random(40) < 0.5
    masked, chosen = StreamingCCC(), StreamingCCC()
    masked.update(x, np.where(mask, y, np.nan), mask)
    chosen.update(x[mask], y[mask])
    assert masked.compute() == chosen.compute()
    assert np.isnan(StreamingCCC().compute())
    assert all(np.isnan(v) for v in StreamingExpressionScores().compute().values())
    assert all(np.isnan(v) for v in StreamingActionUnitScores().compute().values())


@given(st.floats(-1, 1), st.floats(-1, 1), hnp.arrays(np.float64, 7, elements=st.floats(-1, 1)))
def test_a_constant_scores_exactly_zero(c, d, values):
    """Also over several updates, and for two equal constants, where the formula reads 0/0."""
    for other in (values, np.full(7, d), np.full(7, c)):
        metric = StreamingCCC()
        for _ in range(3):
            metric.update(np.full(7, c), other)
        assert metric.compute() == 0


@given(st.integers(1, 60).flatmap(lambda n: hnp.arrays(np.int64, (2, n), elements=st.integers(0, 6))))
def test_expression_scores_are_those_of_scikit_learn(arrays):
    predicted, truth = arrays
    scores = in_parts(StreamingExpressionScores(), [len(truth) // 2], predicted, truth)
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    for average in ("macro", "weighted"):
        expected = f1_score(truth, predicted, average=average, zero_division=0)
        assert scores[f"f1_{average}"] == pytest.approx(expected)
    metric = StreamingExpressionScores()
    metric.update(*arrays)
    assert (metric.confusion == confusion_matrix(truth, predicted, labels=range(7))).all()
    expected = f1_score(truth, predicted, labels=range(7), average=None, zero_division=np.nan)
    np.testing.assert_allclose(metric.f1(), expected)


@given(st.integers(1, 40).flatmap(lambda n: hnp.arrays(bool, (2, n, 8))))
def test_action_unit_scores_are_those_of_scikit_learn(arrays):
    predicted, truth = arrays
    scores = in_parts(StreamingActionUnitScores(), [len(truth) // 2], predicted, truth)
    assert scores["accuracy"] == pytest.approx((predicted == truth).mean())
    assert scores["f1_macro"] == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))
    if truth.any():
        weighted = f1_score(truth, predicted, average="weighted", zero_division=0)
        assert scores["f1_weighted"] == pytest.approx(weighted)
    metric = StreamingActionUnitScores()
    metric.update(*arrays)
    np.testing.assert_allclose(metric.f1(), f1_score(truth, predicted, average=None, zero_division=0))


def test_a_unit_that_is_nowhere_labelled_does_not_count():
    truth, predicted = RNG.random((2, 50, 8)) < 0.5
    mask = np.ones((50, 8), bool)
    mask[:, 3] = False
    mask[::2, 5] = False
    metric = StreamingActionUnitScores()
    metric.update(predicted, truth, mask)
    rows = {k: mask[:, k] for k in range(8) if k != 3}
    f1 = [f1_score(truth[own, k], predicted[own, k], zero_division=0) for k, own in rows.items()]
    scores = metric.compute()
    assert scores["f1_macro"] == pytest.approx(np.mean(f1))
    assert scores["accuracy"] == pytest.approx((predicted == truth)[mask].mean())


SOME_NUMBERS = hnp.arrays(np.float64, st.tuples(st.just(2), st.integers(0, 9)), elements=st.floats(-1, 1))


def fed(*pairs):
    metric = StreamingCCC()
    for pair in pairs:
        metric.update(*pair)
    return metric


def all_scores(metric):
    return [metric.compute(), metric.mse()]  # the correlation of numbers that hardly differ is all rounding


@given(SOME_NUMBERS, SOME_NUMBERS)
def test_the_sum_of_two_is_one_that_saw_both(first, second):
    one, two, together = fed(first), fed(second), fed(first, second)
    for both in (one + two, two + one):
        assert both.n == together.n
        np.testing.assert_allclose(all_scores(both), all_scores(together), rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(both.sums(), together.sums(), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(all_scores(fed(first)), all_scores(one))  # adding changes neither


def test_many_sums_are_scored_at_once_and_those_of_constants_are_still_constant():
    constants = [fed((np.full(5, 0.1), RNG.normal(size=5))) for _ in range(7)]
    total = sum(constants, StreamingCCC())
    assert total.n == 35 and total.compute() == total.pearson() == 0 and total.mse() > 0
    rows = np.stack([metric.sums() for metric in constants])
    scores = StreamingCCC.scores(RNG.integers(0, 4, (200, 7)).astype(float) @ rows)
    assert (scores["ccc"] == 0).all() and (scores["pearson"] == 0).all() and (scores["mse"] > 0).all()
    metrics = [fed(RNG.uniform(-1, 1, (2, n))) for n in (2, 10, 100)] + [StreamingCCC()]
    scores = StreamingCCC.scores(np.stack([metric.sums() for metric in metrics]).reshape(2, 2, 6))
    for name, method in {"ccc": "compute", "pearson": "pearson", "mse": "mse"}.items():
        expected = [getattr(metric, method)() for metric in metrics]
        np.testing.assert_allclose(scores[name].ravel(), expected, rtol=1e-9)


def test_counts_add_up_exactly():
    classes = RNG.integers(0, 7, (2, 90))
    units = RNG.random((3, 90, 8)) < 0.5
    parts = slice(0, 30), slice(30, 30), slice(30, 90)
    for kind, arrays in ((StreamingExpressionScores, classes), (StreamingActionUnitScores, units)):
        single, *found = (kind() for _ in range(4))
        for metric, rows in zip((single, *found), (slice(None), *parts), strict=True):
            metric.update(*arrays[:, rows])
        total = found[0] + found[1] + found[2]
        assert total.compute() == single.compute()
        assert (total.sums() == single.sums()).all()


@given(
    hnp.arrays(np.float64, (2, 12), elements=st.integers(-8, 8).map(lambda eighths: eighths / 8)),
    st.floats(0.01, 100),
    st.floats(-100, 100),
)
def test_ccc_does_not_see_a_shift_and_scale_of_both(pair, scale, shift):
    """But Pearson's does not even see those of one; and both are in [-1, 1], the CCC nearer to 0."""
    plain, changed, one = fed(pair), fed(scale * pair + shift), fed((scale * pair[0] + shift, pair[1]))
    assert changed.compute() == pytest.approx(plain.compute(), abs=1e-6)
    assert one.pearson() == pytest.approx(plain.pearson(), abs=1e-6)
    assert changed.mse() == pytest.approx(scale**2 * plain.mse(), rel=1e-6, abs=1e-9)
    assert abs(plain.compute()) <= abs(plain.pearson()) + 1e-9 <= 1 + 1e-9


def test_memory_does_not_grow_with_the_frames():
    chunk = RNG.uniform(-1, 1, (2, 100_000))
    classes = (3 * (chunk + 1)).astype(np.int64)
    units = chunk[:, :, None] > np.linspace(-1, 1, 4)
    metrics = StreamingCCC(), StreamingExpressionScores(), StreamingActionUnitScores(4)

    def feed(times):
        """Bytes in use and their peak after it."""
        for _ in range(times):
            for metric, (predicted, truth) in zip(metrics, (chunk, classes, units), strict=True):
                metric.update(predicted, truth)
        return tracemalloc.get_traced_memory()

    feed(1)
    tracemalloc.start()
    try:
        before, after = feed(1), feed(48)
    finally:
        tracemalloc.stop()
    assert metrics[0].n == metrics[1].confusion.sum() == metrics[2].labelled[0] == 5_000_000
    assert np.subtract(after, before).max() < 10_000

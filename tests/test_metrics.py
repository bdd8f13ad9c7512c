"""Streaming metrics against scikit-learn, torchmetrics and NumPy."""

import numpy as np
import pytest
import torch
import torchmetrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, f1_score
from solutions import solution_functions

from affkit.learn.metrics import StreamingActionUnitScores, StreamingCCC, StreamingExpressionScores

RNG = np.random.default_rng(1)


def in_parts(metric, cuts, *arrays):
    for part in zip(*(np.split(array, cuts) for array in arrays), strict=True):
        metric.update(*part)
    return metric.compute()


def test_streaming_ccc_is_that_of_all_frames_at_once():
    x, y = RNG.normal(size=(2, 500)) + [[3.0], [3.2]]
    y += 0.7 * x
    covariance = np.cov(x, y, bias=True)
    expected = 2 * covariance[0, 1] / (np.trace(covariance) + (x.mean() - y.mean()) ** 2)
    for cuts in ([], [1], [0, 0, 200], [3, 7, 499]):
        assert in_parts(StreamingCCC(), cuts, x, y) == pytest.approx(expected, rel=1e-12)


def test_streaming_ccc_is_close_to_torchmetrics():
    """Theirs divides by n - 1, which for 100,000 frames is the same number to five digits."""
    x, y = RNG.normal(size=(2, 100_000)).astype(np.float64)
    y += x
    theirs = torchmetrics.functional.concordance_corrcoef(torch.from_numpy(x), torch.from_numpy(y)).item()
    assert in_parts(StreamingCCC(), [20_000, 50_000], x, y) == pytest.approx(theirs, rel=1e-5)


def test_the_solution_of_notebook_04_compares_a_trace_with_itself_later():
    shifted_ccc = solution_functions("04", StreamingCCC=StreamingCCC)["shifted_ccc"]
    values = RNG.normal(size=300).cumsum()
    for shift in (1, 40):
        pair = torch.from_numpy(values[shift:]), torch.from_numpy(values[:-shift])
        theirs = torchmetrics.functional.concordance_corrcoef(*pair).item()
        assert shifted_ccc(values, shift) == pytest.approx(theirs, rel=2e-2)


def test_a_mask_leaves_out_what_is_not_labelled():
    x, y, mask = RNG.normal(size=40), RNG.normal(size=40), RNG.random(40) < 0.5
    masked, chosen = StreamingCCC(), StreamingCCC()
    masked.update(x, np.where(mask, y, np.nan), mask)
    chosen.update(x[mask], y[mask])
    assert masked.compute() == chosen.compute()


@given(st.floats(-1, 1), st.floats(-1, 1), hnp.arrays(np.float64, 7, elements=st.floats(-1, 1)))
def test_a_constant_scores_exactly_zero(c, d, values):
    """Also over several updates, and for two equal constants, where the formula reads 0/0."""
    for other in (values, np.full(7, d), np.full(7, c)):
        metric = StreamingCCC()
        for _ in range(3):
            metric.update(np.full(7, c), other)
        assert metric.compute() == 0


def test_nothing_gives_nan():
    assert np.isnan(StreamingCCC().compute())
    assert all(np.isnan(v) for v in StreamingExpressionScores().compute().values())
    assert all(np.isnan(v) for v in StreamingActionUnitScores().compute().values())


@given(st.integers(1, 60).flatmap(lambda n: hnp.arrays(np.int64, (2, n), elements=st.integers(0, 6))))
def test_expression_scores_are_those_of_scikit_learn(arrays):
    predicted, truth = arrays
    scores = in_parts(StreamingExpressionScores(), [len(truth) // 2], predicted, truth)
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    for average in ("macro", "weighted"):
        expected = f1_score(truth, predicted, average=average, zero_division=0)
        assert scores[f"f1_{average}"] == pytest.approx(expected)


def test_expression_scores_are_those_of_torchmetrics():
    predicted, truth = RNG.integers(0, 5, (2, 300))  # two of the seven never occur
    scores = in_parts(StreamingExpressionScores(), [100], predicted, truth)
    for average in ("macro", "weighted"):
        theirs = torchmetrics.functional.classification.multiclass_f1_score(
            torch.from_numpy(predicted), torch.from_numpy(truth), num_classes=7, average=average
        )
        assert scores[f"f1_{average}"] == pytest.approx(theirs.item(), rel=1e-6)


@given(st.integers(1, 40).flatmap(lambda n: hnp.arrays(bool, (2, n, 8))))
def test_action_unit_scores_are_those_of_scikit_learn(arrays):
    predicted, truth = arrays
    scores = in_parts(StreamingActionUnitScores(), [len(truth) // 2], predicted, truth)
    assert scores["accuracy"] == pytest.approx((predicted == truth).mean())
    assert scores["f1_macro"] == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))
    if truth.any():
        weighted = f1_score(truth, predicted, average="weighted", zero_division=0)
        assert scores["f1_weighted"] == pytest.approx(weighted)


def test_a_unit_that_is_nowhere_labelled_does_not_count():
    truth, predicted = RNG.random((2, 50, 8)) < 0.5
    mask = np.ones((50, 8), bool)
    mask[:, 3] = False
    mask[::2, 5] = False
    metric = StreamingActionUnitScores()
    metric.update(predicted, truth, mask)
    f1 = [
        f1_score(truth[mask[:, k], k], predicted[mask[:, k], k], zero_division=0) for k in range(8) if k != 3
    ]
    scores = metric.compute()
    assert scores["f1_macro"] == pytest.approx(np.mean(f1))
    assert scores["accuracy"] == pytest.approx((predicted == truth)[mask].mean())

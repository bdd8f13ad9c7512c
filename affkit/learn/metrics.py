"""The paper's criteria (Section IV.D), streaming: CCC, F1 macro and weighted, total accuracy.

Each class is fed batch by batch with :meth:`update` and keeps a few numbers, however many frames go by; all
frames are pooled. Values are those of torchmetrics and scikit-learn where they define the same thing.
"""

import numpy as np


class StreamingCCC:
    """Concordance correlation coefficient (Eq. 5) of two streams of numbers; population moments.

    A constant stream gives 0, so a network that always predicts the mean scores 0.
    torchmetrics divides the variances by n - 1, which differs in the third digit for a few hundred frames.

    >>> metric = StreamingCCC()
    >>> metric.update([0.1, 0.2], [0.2, 0.4])
    >>> metric.update([0.3], [0.6])
    >>> round(metric.compute(), 4)
    0.3636
    """

    def __init__(self):
        self.n = 0
        self.origin = None  # the first pair: numbers are counted from it, so a constant is exactly 0
        self.mean = np.zeros(2)
        self.scatter = np.zeros((2, 2))  # sums of products of deviations from the mean

    def update(self, x, y, mask=None) -> None:
        """Take in ``x`` and ``y``, arrays of one shape, where ``mask`` is true (everywhere by default)."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        mask = np.ones(x.shape, bool) if mask is None else np.asarray(mask, bool)
        values = np.stack([x[mask], y[mask]])  # (2, n)
        n = values.shape[1]
        if n == 0:
            return
        self.origin = values[:, :1].copy() if self.origin is None else self.origin
        values = values - self.origin
        mean = values.mean(axis=1)
        deviations = values - mean[:, None]
        # the moments of two sets together (Chan, Golub & LeVeque 1983)
        gap, total = mean - self.mean, self.n + n
        self.scatter += deviations @ deviations.T + np.outer(gap, gap) * self.n * n / total
        self.mean += gap * n / total
        self.n = total

    def compute(self) -> float:
        """The CCC of all that came in, in [-1, 1]; NaN when nothing did."""
        if self.n == 0:
            return float("nan")
        gap = self.mean[0] - self.mean[1] + (self.origin[0, 0] - self.origin[1, 0])
        denominator = np.trace(self.scatter) / self.n + gap**2
        return float(2 * self.scatter[0, 1] / self.n / denominator) if denominator > 0 else 0.0


class StreamingExpressionScores:
    """F1 and accuracy of one class out of several, from a confusion matrix.

    >>> metric = StreamingExpressionScores(num_classes=3)
    >>> metric.update([0, 1, 1, 2], [0, 1, 2, 2])
    >>> metric.compute()["accuracy"]
    0.75
    """

    def __init__(self, num_classes: int = 7):
        self.confusion = np.zeros((num_classes, num_classes), np.int64)  # [truth, prediction]

    def update(self, predicted, truth, mask=None) -> None:
        """Take in class numbers, ``(N,)`` each, where ``mask`` is true."""
        predicted, truth = np.asarray(predicted), np.asarray(truth)
        mask = np.ones(truth.shape, bool) if mask is None else np.asarray(mask, bool)
        np.add.at(self.confusion, (truth[mask], predicted[mask]), 1)

    def compute(self) -> dict[str, float]:
        """``f1_macro``, ``f1_weighted`` (by how often a class occurs) and ``accuracy``; NaN without frames.

        A class that neither occurs nor is predicted does not count in the macro average.
        """
        hits = np.diag(self.confusion)
        support, predicted = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        f1 = _f1(hits, support + predicted)
        return {
            "f1_macro": _average(f1, support + predicted > 0),
            "f1_weighted": _average(f1, support),
            "accuracy": _average(hits / np.maximum(support, 1), support),
        }


class StreamingActionUnitScores:
    """F1 and accuracy of several yes-or-no questions, each with its own mask.

    >>> metric = StreamingActionUnitScores(num_units=2)
    >>> metric.update([[1, 0], [1, 1]], [[1, 0], [0, 1]])
    >>> metric.compute()["accuracy"]
    0.75
    """

    def __init__(self, num_units: int = 8):
        self.hits, self.active, self.predicted, self.right, self.labelled = np.zeros((5, num_units), np.int64)

    def update(self, predicted, truth, mask=None) -> None:
        """Take in ``(N, units)`` arrays of 0 and 1 (or bool) where ``mask`` is true."""
        predicted, truth = np.asarray(predicted, bool), np.asarray(truth, bool)
        mask = np.ones(truth.shape, bool) if mask is None else np.asarray(mask, bool)
        self.hits += (predicted & truth & mask).sum(axis=0)
        self.active += (truth & mask).sum(axis=0)
        self.predicted += (predicted & mask).sum(axis=0)
        self.right += ((predicted == truth) & mask).sum(axis=0)
        self.labelled += mask.sum(axis=0)

    def compute(self) -> dict[str, float]:
        """``f1_macro``, ``f1_weighted`` (by how often a unit is active) and ``accuracy``.

        The first is the plain mean over the units that are labelled at all; accuracy is the share of right
        answers among all labelled entries. NaN where there is nothing to average.
        """
        f1 = _f1(self.hits, self.active + self.predicted)
        return {
            "f1_macro": _average(f1, self.labelled > 0),
            "f1_weighted": _average(f1, self.active),
            "accuracy": _average(self.right / np.maximum(self.labelled, 1), self.labelled),
        }


def _f1(hits: np.ndarray, occurring_plus_predicted: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN), and 0 where that is 0/0."""
    return 2 * hits / np.maximum(occurring_plus_predicted, 1)


def _average(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.average(values, weights=weights)) if np.any(weights) else float("nan")

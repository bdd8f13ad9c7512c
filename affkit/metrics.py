"""The paper's criteria (Section IV.D), streaming: CCC, F1 macro and weighted, total accuracy; also MSE.

Each class is fed batch by batch with ``update`` and keeps a few numbers; all frames are pooled, and two are
added with ``+``. ``sums`` gives these numbers so that they can be added, and ``scores`` turns such sums, of
one set of frames or of a thousand at once, into all scores: see :mod:`affkit.evaluation.intervals`. Values
are those of torchmetrics and scikit-learn where they define the same thing.
"""

import numpy as np

CONSTANT = 1e-12  # in StreamingCCC.scores a variance up to this fraction of the mean square is rounding: 0


class StreamingCCC:
    """Concordance correlation coefficient (Eq. 5) of two streams of numbers; population moments.

    A constant stream gives a CCC and a Pearson correlation of 0. torchmetrics' CCC divides by n - 1, which
    differs in the third digit for a few hundred frames.

    >>> metric = StreamingCCC()
    >>> metric.update([0.1, 0.2], [0.2, 0.4])
    >>> metric.update([0.3], [0.6])
    >>> round(metric.compute(), 4), round(metric.pearson(), 4), round(metric.mse(), 4)
    (0.3636, 1.0, 0.0467)
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
        self._take_in(n, mean, deviations @ deviations.T)

    def __add__(self, other: "StreamingCCC") -> "StreamingCCC":
        both = StreamingCCC()
        both.origin = other.origin if self.origin is None else self.origin
        for part in (self, other):
            if part.n:
                both._take_in(part.n, part.mean + (part.origin - both.origin)[:, 0], part.scatter)
        return both

    def _take_in(self, n: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        """The moments of two sets together (Chan, Golub & LeVeque 1983)."""
        gap, total = mean - self.mean, self.n + n
        self.scatter += scatter + np.outer(gap, gap) * self.n * n / total
        self.mean += gap * n / total
        self.n = total

    def compute(self) -> float:
        """The CCC in [-1, 1]; NaN when nothing came in, as for the other two."""
        return self._score("ccc")

    def pearson(self) -> float:
        return self._score("pearson")

    def mse(self) -> float:
        return self._score("mse")

    def _score(self, name: str) -> float:
        if self.n == 0:
            return float("nan")
        gap = self.mean[0] - self.mean[1] + (self.origin[0, 0] - self.origin[1, 0])
        return float(_of_moments(self.n, gap, self.scatter)[name])

    def sums(self) -> np.ndarray:
        """``(6,)``: how many, and the sums of x, y, x squared, y squared and x y."""
        if self.n == 0:
            return np.zeros(6)
        mean = self.mean + self.origin[:, 0]
        squares = self.scatter + self.n * np.outer(mean, mean)
        return np.array([self.n, *(self.n * mean), squares[0, 0], squares[1, 1], squares[0, 1]])

    @staticmethod
    def scores(sums: np.ndarray) -> dict[str, np.ndarray]:
        """``ccc``, ``pearson`` and ``mse``, ``(...)``, of sums ``(..., 6)``; NaN without frames."""
        n, x, y, xx, yy, xy = np.moveaxis(np.asarray(sums, np.float64), -1, 0)
        count = np.maximum(n, 1)
        scatter = np.stack([xx - x * x / count, xy - x * y / count, yy - y * y / count], axis=-1)  # (..., 3)
        varies = [scatter[..., 0] > CONSTANT * xx, scatter[..., 2] > CONSTANT * yy]
        scatter = np.where(np.stack([varies[0], varies[0] & varies[1], varies[1]], axis=-1), scatter, 0)
        matrix = scatter[..., [0, 1, 1, 2]].reshape(*n.shape, 2, 2)
        found = _of_moments(count, (x - y) / count, matrix)
        return {name: np.where(n > 0, value, np.nan) for name, value in found.items()}


class StreamingExpressionScores:
    """F1 and accuracy of one class out of several, from ``confusion`` ``(classes, classes)`` int64.

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

    def __add__(self, other: "StreamingExpressionScores") -> "StreamingExpressionScores":
        both = StreamingExpressionScores(len(self.confusion))
        both.confusion = self.confusion + other.confusion
        return both

    def compute(self) -> dict[str, float]:
        """``f1_macro``, without classes that neither occur nor are predicted; ``f1_weighted`` by how often a
        class occurs; ``accuracy``; NaN without frames.
        """
        return _averages(self.scores(self.sums()))

    def f1(self) -> np.ndarray:
        """``(classes,)`` F1 of each class; NaN for one that neither occurs nor is predicted."""
        return self.scores(self.sums())["f1"]

    def sums(self) -> np.ndarray:
        return self.confusion.ravel()

    @staticmethod
    def scores(sums: np.ndarray) -> dict[str, np.ndarray]:
        """What :meth:`compute` gives, ``(...)`` each, and ``f1`` ``(..., C)``, of sums ``(..., C * C)``."""
        sums = np.asarray(sums)
        num_classes = round(sums.shape[-1] ** 0.5)
        confusion = sums.reshape(*sums.shape[:-1], num_classes, num_classes)
        hits = np.diagonal(confusion, axis1=-2, axis2=-1)
        support, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
        f1, seen = _f1(hits, support + predicted), support + predicted > 0
        return {
            "f1_macro": _average(f1, seen),
            "f1_weighted": _average(f1, support),
            "accuracy": _average(hits / np.maximum(support, 1), support),
            "f1": np.where(seen, f1, np.nan),
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

    def __add__(self, other: "StreamingActionUnitScores") -> "StreamingActionUnitScores":
        both = StreamingActionUnitScores(len(self.hits))
        counts = (self.sums() + other.sums()).reshape(5, -1)
        both.hits, both.active, both.predicted, both.right, both.labelled = counts
        return both

    def compute(self) -> dict[str, float]:
        """``f1_macro`` (labelled units), ``f1_weighted`` (by how often a unit is active), ``accuracy``."""
        return _averages(self.scores(self.sums()))

    def f1(self) -> np.ndarray:
        """``(units,)`` F1 of each unit: 0 if it is neither active nor predicted, NaN if not labelled."""
        return self.scores(self.sums())["f1"]

    def sums(self) -> np.ndarray:
        """``(5 * units,)``: hits, active, predicted, right and labelled of all units, one after the other."""
        return np.concatenate([self.hits, self.active, self.predicted, self.right, self.labelled])

    @staticmethod
    def scores(sums: np.ndarray) -> dict[str, np.ndarray]:
        """What :meth:`compute` gives, ``(...)`` each, and ``f1`` ``(..., U)``, of sums ``(..., 5 * U)``."""
        hits, active, predicted, right, labelled = np.split(np.asarray(sums), 5, axis=-1)
        f1 = _f1(hits, active + predicted)
        return {
            "f1_macro": _average(f1, labelled > 0),
            "f1_weighted": _average(f1, active),
            "accuracy": _average(right / np.maximum(labelled, 1), labelled),
            "f1": np.where(labelled > 0, f1, np.nan),
        }


def _of_moments(n, gap, scatter: np.ndarray) -> dict[str, np.ndarray]:
    """Scores from how many, the difference of the means, ``(...)``, and the scatter ``(..., 2, 2)``."""
    xx, yy = scatter[..., 0, 0], scatter[..., 1, 1]
    covariance = scatter[..., 0, 1] / n
    apart = (xx + yy) / n + gap**2
    return {
        "ccc": _ratio(2 * covariance, apart),
        "pearson": np.clip(_ratio(covariance, np.sqrt(xx) * np.sqrt(yy) / n), -1, 1),
        "mse": np.maximum(apart - 2 * covariance, 0),
    }


def _ratio(part, whole) -> np.ndarray:
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)


def _averages(scores: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items() if name != "f1"}


def _f1(hits: np.ndarray, occurring_plus_predicted: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN), and 0 where that is 0/0."""
    return 2 * hits / np.maximum(occurring_plus_predicted, 1)


def _average(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean over the last axis; NaN where all weights are 0."""
    total = weights.sum(axis=-1, dtype=np.float64)
    mean = (values * weights).sum(axis=-1) / np.where(total > 0, total, 1)
    return np.where(total > 0, mean, np.nan)

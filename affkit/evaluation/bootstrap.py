"""How sure is a score? Intervals by subject, and whether one predictor is better than another on new people.

Frames of one person are alike, so intervals that resample frames are much too narrow. Here the *subjects* are
drawn again, with replacement, each with all frames (the cluster bootstrap; Davison & Hinkley 1997, Bootstrap
Methods and their Application, section 3.8), and an interval is that of the percentiles (Efron & Tibshirani
1993, An Introduction to the Bootstrap, chapter 13). It speaks about new people like these; with fewer than
about 20 subjects it is too narrow, and with one there is none.

No frame is touched again: a resample is a weighted sum of sums for each subject.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from affkit.errors import UserError
from affkit.evaluation.claims import LEVEL


@dataclass(frozen=True)
class SubjectSums:
    """What scores are made of, subject by subject; what several have together is the sum of their rows."""

    subjects: tuple[str, ...]  # the names of S subjects
    sums: Mapping[str, np.ndarray]  # name to (S, K), such as the ``sums`` of the metrics in affkit.metrics
    score: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]  # of sums (..., K) scores (...)

    def of_all(self) -> dict[str, float]:
        scores = self.score({name: rows.sum(axis=0) for name, rows in self.sums.items()})
        return {name: float(value) for name, value in scores.items()}

    def of_resamples(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """The scores, ``(R,)`` each, if subject s were there ``counts[r, s]`` times (``(R, S)``)."""
        weights = np.asarray(counts, np.float64)  # only their products are fast; whole numbers stay exact
        return dict(self.score({name: weights @ rows for name, rows in self.sums.items()}))


def resample_counts(num_subjects: int, num_resamples: int, seed: int = 0) -> np.ndarray:
    """``(num_resamples, num_subjects)``: how often each is drawn in as many draws as there are subjects.

    >>> resample_counts(5, 1000).sum(axis=1).tolist() == [5] * 1000
    True
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_subjects, np.full(num_subjects, 1 / num_subjects), size=num_resamples)


def bootstrap(sample: SubjectSums, num_resamples: int = 1000, seed: int = 0) -> dict[str, np.ndarray]:
    """Each score of each resample of the subjects, ``(num_resamples,)``; NaN where it is not defined.

    >>> coins = SubjectSums(("a", "b", "c"), {"heads": np.array([[1], [0], [1]])},
    ...                     lambda sums: {"part": sums["heads"][..., 0] / 3})
    >>> coins.of_all()["part"], sorted(set(bootstrap(coins)["part"].round(2).tolist()))
    (0.6666666666666666, [0.0, 0.33, 0.67, 1.0])
    """
    return sample.of_resamples(resample_counts(len(sample.subjects), num_resamples, seed))


def percentile_interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The middle ``level`` of values ``(R,)``, without those that are NaN; two NaN if nothing is left.

    >>> np.round(percentile_interval(np.arange(101.0)), 3).tolist()
    [2.5, 97.5]
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(
    first: SubjectSums, second: SubjectSums, num_resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Is the first of two predictors better on new people? Both are scored on the same drawn subjects.

    Who is hard for one is mostly hard for the other, so this is surer than two intervals that overlap.
    ``first`` and ``second`` are ``sample`` of an :class:`~affkit.evaluation.evaluate.Evaluation`, of the same
    two or more subjects. A row is a score that both have; if the interval of the difference holds 0, these
    subjects do not tell. ``above_zero`` is the fraction of resamples in which the first is higher.
    """
    if set(first.subjects) != set(second.subjects):
        some = sorted(set(first.subjects) ^ set(second.subjects))[0]
        fix = "score both predictors on the same videos"
        raise UserError("paired difference", f"only one of the two has subject {some}", fix)
    if len(first.subjects) < 2:
        raise UserError("paired difference", "there is one subject only", "give two or more, best 20")
    counts = resample_counts(len(first.subjects), num_resamples, seed)
    own = [first.subjects.index(name) for name in second.subjects]  # the order of the subjects may differ
    drawn = first.of_resamples(counts), second.of_resamples(counts[:, own])
    found = first.of_all(), second.of_all()
    rows = {}
    for name in (name for name in found[0] if name in found[1]):
        difference = drawn[0][name] - drawn[1][name]
        known = difference[~np.isnan(difference)]
        above = float((known > 0).mean()) if len(known) else float("nan")
        one, other = found[0][name], found[1][name]
        rows[name] = (one, other, one - other, *percentile_interval(difference), above)
    columns = ["first", "second", "difference", "low", "high", "above_zero"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)

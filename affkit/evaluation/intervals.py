"""How sure is a score, and does a claim about scores hold? Intervals over new people, and over new seeds.

*People.* Frames of one person are alike, so intervals that resample frames are much too narrow. Here the
*subjects* are drawn again, with replacement, each with all frames (the cluster bootstrap; Davison & Hinkley
1997, Bootstrap Methods and their Application, section 3.8), and an interval is that of the percentiles (Efron
& Tibshirani 1993, An Introduction to the Bootstrap, chapter 13). It speaks about new people like these; with
fewer than about 20 subjects it is too narrow, and with one there is none. No frame is touched again: a
resample is a weighted sum of sums for each subject.

*Seeds.* With the same seed two runs see the same faces in the same order. Take, for each seed, the mean
difference over the scores of a claim: it *holds* if the 95% interval of the mean (Student's t over the seeds)
lies above 0, *does not hold* if below, else is *not decided*. One seed never decides anything. The interval
speaks of new seeds on the same faces, not of new people; of twenty claims about nothing one is decided by
chance.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy import stats

from affkit.errors import UserError

LEVEL = 0.95


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
    """``(num_resamples, num_subjects)``: how often each is drawn in as many draws as there are subjects."""
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
    found, rows = (first.of_all(), second.of_all()), {}
    for name in (name for name in found[0] if name in found[1]):
        one, other = found[0][name], found[1][name]
        gaps = pd.Series(drawn[0][name] - drawn[1][name]).dropna()
        rows[name] = (one, other, one - other, *percentile_interval(gaps.to_numpy()), (gaps > 0).mean())
    columns = ["first", "second", "difference", "low", "high", "above_zero"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


@dataclass(frozen=True)
class Claim:
    words: str
    better: str  # a row of a table, as is the next
    worse: str
    scores: tuple[str, ...]  # columns, where more is better
    paper: float | None = None  # the mean difference in the paper's own table, if it has one


@dataclass(frozen=True)
class Verdict:
    """What the rule says: differences seed by seed, their mean, the ends of the interval, and the verdict."""

    claim: Claim
    differences: tuple[float, ...]
    mean: float
    low: float
    high: float
    verdict: str

    def as_dict(self) -> dict:
        """Everything, and the sentence, as JSON can hold it: an interval without ends has None."""
        ends = {name: getattr(self, name) for name in ("mean", "low", "high")}
        known = {name: value if np.isfinite(value) else None for name, value in ends.items()}
        return asdict(self) | known | {"sentence": self.sentence}

    @property
    def sentence(self) -> str:
        number = len(self.differences)
        found = f"{number} seed{'' if number == 1 else 's'}, no standard deviation to compare with"
        if number > 1:
            ends = f"{LEVEL:.0%} interval {self.low:+z.3f} to {self.high:+z.3f}"
            found = f"mean difference {self.mean:+z.3f}, {ends}, {number} seeds"
        if self.claim.paper is not None:
            found += f"; in the paper's table {self.claim.paper:+.3f}"
        return f"{self.verdict.capitalize()} here: {self.claim.words} ({found})."


def judge(scores: pd.DataFrame, claim: Claim) -> Verdict:
    """Hold a claim against runs, a row each, with ``row``, ``seed``, scores; only seeds of both rows count.

    >>> runs = pd.DataFrame({"row": list("aaabbb"), "seed": [0, 1, 2] * 2, "f1": [5, 6, 7, 4, 5, 6.1]})
    >>> judge(runs, Claim("a beats b", "a", "b", ("f1",))).verdict
    'holds'
    """
    means = {}
    for row in (claim.better, claim.worse):
        own = scores[scores["row"] == row].set_index("seed")
        means[row] = own[list(claim.scores)].astype(float).mean(axis=1, skipna=False)
    differences = (means[claim.better] - means[claim.worse]).dropna().to_numpy()
    mean, low, high = interval(differences)
    verdict = "holds" if low > 0 else "does not hold" if high < 0 else "not decided"
    return Verdict(claim, tuple(differences.tolist()), mean, low, high, verdict)


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of ``values`` and the ends of its 95% interval (Student's t); infinite ends for fewer than two.

    >>> [round(number, 2) for number in interval(np.array([1.0, 2.0, 3.0]))]
    [2.0, -0.48, 4.48]
    """
    number = len(values)
    mean = float(np.mean(values)) if number else float("nan")
    if number < 2:
        return mean, -np.inf, np.inf
    half = stats.t.ppf((1 + LEVEL) / 2, number - 1) * np.std(values, ddof=1) / np.sqrt(number)
    return mean, float(mean - half), float(mean + half)


def paper_difference(
    paper: Mapping[str, Mapping[str, float]], better: str, worse: str, scores: Sequence[str]
) -> float:
    """The same mean difference in a table of the paper: row to score to number."""
    return float(np.mean([paper[better][name] - paper[worse][name] for name in scores]))

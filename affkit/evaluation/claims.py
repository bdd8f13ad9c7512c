"""Does a claim hold? Two rows of a table, the same seeds, and a rule that is fixed before the runs.

With the same seed two runs see the same faces in the same order. Take, for each seed, the mean difference
over the scores of the claim: it *holds* if the 95% interval of the mean (Student's t over the seeds) lies
above 0, *does not hold* if below, else is *not decided*. One seed never decides anything. The interval speaks
of new seeds on the same faces, not of new people; of twenty claims about nothing one is decided by chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 0.95


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
        line = f"{self.verdict[0].upper()}{self.verdict[1:]} here: {self.claim.words}"
        if number < 2:
            line += f" ({number} seed{'' if number == 1 else 's'}, no standard deviation to compare with"
        else:
            line += f" (mean difference {self.mean:+z.3f}, {LEVEL:.0%} interval {self.low:+z.3f} to "
            line += f"{self.high:+z.3f}, {number} seeds"
        paper = "" if self.claim.paper is None else f"; in the paper's table {self.claim.paper:+.3f}"
        return f"{line}{paper})."


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

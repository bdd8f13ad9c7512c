"""Table X: one task or both, and how much each weighs: alpha and beta of Eq. 6 (Section V.B)."""

from collections.abc import Collection

import pandas as pd

from affkit.evaluation.claims import Claim, paper_difference
from affkit_lab.experiments.baselines import EXPRESSION_WORDS
from affkit_lab.experiments.multitask_experiments import MtlPlan, train_table
from affkit_lab.experiments.results import (
    EXPRESSION_SCORES,
    MSE_SCORES,
    MTL_SCORES,
    SCORE_NAMES,
    VA_SCORES,
    Results,
    beside_paper,
)

TITLE = "Table X: alpha and beta of Eq. 6"
ROWS = {
    "only_expression": (0.0, 1.0),
    "only_va": (1.0, 0.0),
    "0.25_0.75": (0.25, 0.75),
    "0.75_0.25": (0.75, 0.25),
    "0.5_0.5": (0.5, 0.5),
    "0.75_0.75": (0.75, 0.75),
    "1_1": (1.0, 1.0),
}
"""Row to alpha, the weight of valence and arousal, and beta, that of the expressions."""
ALONE = {"only_expression": "only expressions", "only_va": "only VA"}
"""The rows of one task, and what they are called."""
PAPER = {
    "only_expression": dict(zip(EXPRESSION_SCORES, (0.494, 0.488, 0.415), strict=True)),
    "only_va": dict(zip(VA_SCORES, (0.579, 0.409), strict=True)),
    "0.25_0.75": dict(zip(MTL_SCORES, (0.556, 0.419, 0.547, 0.542, 0.452), strict=True)),
    "0.75_0.25": dict(zip(MTL_SCORES, (0.589, 0.424, 0.527, 0.514, 0.422), strict=True)),
    "0.5_0.5": dict(zip(MTL_SCORES, (0.616, 0.510, 0.645, 0.643, 0.514), strict=True)),
    "0.75_0.75": dict(zip(MTL_SCORES, (0.585, 0.453, 0.561, 0.555, 0.476), strict=True)),
    "1_1": dict(zip(MTL_SCORES, (0.521, 0.356, 0.513, 0.501, 0.411), strict=True)),
}
"""Table X as printed."""

SAME_RUN = ("0.5_0.5", "0.75_0.75", "1_1")
"""Rows that differ by a factor of the whole loss, which Adam divides away: see :func:`table_x`."""


def _claim(words: str, worse: str, scores: tuple[str, ...]) -> Claim:
    words = f"(0.5, 0.5) is better {words}"
    return Claim(words, "0.5_0.5", worse, scores, paper_difference(PAPER, "0.5_0.5", worse, scores))


CLAIMS = (
    _claim("for valence and arousal than learning these alone", "only_va", VA_SCORES),
    _claim("for expressions than learning these alone", "only_expression", EXPRESSION_SCORES),
    *(
        _claim(f"than {ROWS[worse]}", worse, MTL_SCORES)
        for worse in ("0.25_0.75", "0.75_0.25", "0.75_0.75", "1_1")
    ),
)
"""What Section V.B says of Table X. The last two compare what nearly is one run: :data:`SAME_RUN`."""


def table_x(plan: MtlPlan, progress: bool = True, rows: Collection[str] | None = None) -> Results:
    """Train the seven rows with every seed of the plan, test them, and write the results to ``plan.out``.

    With ``rows``, names of :data:`ROWS`, only these, and only the claims about them are judged.

    Losses and learning rate are those of ``plan.config``; the paper's are the best of Table XI. Mind the
    optimizer: Adam divides each gradient by its own size, so (0.5, 0.5), (0.75, 0.75) and (1, 1), which
    differ by a factor of the loss, take the same steps up to rounding (and Adam's epsilon). Differences
    between these rows are what rounding can do to a run.

    Raises
    ------
    UserError
        If there is no such row, the partition leaks or leaves a set without labels, or ``plan.out`` holds
        another experiment.
    """
    changes = {name: {"alpha": alpha, "beta": beta} for name, (alpha, beta) in ROWS.items()}
    results = train_table(plan, "table-x", changes, CLAIMS, progress, rows)
    results.write(plan.out, TITLE, printed(results))
    return results


def noise(results: Results) -> pd.DataFrame:
    """How far scores move when nothing of importance changes, as standard deviations (n - 1).

    Returns
    -------
    DataFrame
        A row a score, by its name in the tables. ``paper, same run``: of the three rows of
        :data:`SAME_RUN` in the paper. ``here, same run``: of those of the three that were trained, with one
        seed, mean over the seeds. ``here, other seeds``: of the seeds of one row, mean over these rows.
    """
    scores = list(MTL_SCORES)
    own = results.test[results.test["row"].isin(SAME_RUN)]
    columns = {
        "paper, same run": pd.DataFrame([PAPER[row] for row in SAME_RUN])[scores].std(),
        "here, same run": own.groupby("seed")[scores].std().mean(),
        "here, other seeds": own.groupby("row")[scores].std().mean(),
    }
    return pd.DataFrame(columns).rename(index=SCORE_NAMES)


def printed(results: Results) -> pd.DataFrame:
    """Table X as text, the rows that were trained, see ``beside_paper``."""
    rows = {
        name: {"alpha": f"{alpha:g}", "beta": f"{beta:g}", "learns": ALONE.get(name, "both")}
        for name, (alpha, beta) in ROWS.items()
        if name in set(results.test["row"])
    }
    return beside_paper(results, rows, MTL_SCORES + MSE_SCORES, PAPER, EXPRESSION_WORDS)

"""Table IX: what the discriminator learns when it is a regressor, a classifier, or both (Section V.A.1)."""

from functools import partial
from typing import NamedTuple

import pandas as pd

from affkit.evaluation.claims import Claim, paper_difference
from affkit.store import Store
from affkit.train_gan import GanConfig
from affkit_lab.experiments.baselines import AU_WORDS, for_nothing
from affkit_lab.experiments.gan_experiments import GanPlan
from affkit_lab.experiments.results import AU_SCORES, MSE_SCORES, VA_SCORES, Results, beside_paper, conclude
from affkit_lab.experiments.runner import Trial, begin, held_out, run_trials

TITLE = "Table IX: the discriminator as a regressor, a classifier, or both"


class Row(NamedTuple):
    """A row of Table IX: its first two cells, and what they mean for a run.

    With the MSE as loss generated images have it too; the CCC of theirs is the paper's inert term.
    """

    tells: str
    loss: str
    targets: str
    va_loss: str


ROWS = {
    "va_ccc": Row("only VA", "CCC based", "va", "ccc"),
    "va_mse": Row("only VA", "MSE", "va", "mse"),
    "au": Row("only AU", "cross entropy", "au", "ccc"),
    "va_au_ccc": Row("VA + AU", "CCC based + cross entropy", "va+au", "ccc"),
    "va_au_mse": Row("VA + AU", "MSE + cross entropy", "va+au", "mse"),
}
PAPER = {
    "va_ccc": dict(zip(VA_SCORES, (0.440, 0.370), strict=True)),
    "va_mse": dict(zip(VA_SCORES, (0.484, 0.384), strict=True)),
    "au": dict(zip(AU_SCORES, (0.404, 0.40, 0.824), strict=True)),
    "va_au_ccc": dict(zip(VA_SCORES + AU_SCORES, (0.447, 0.374, 0.328, 0.330, 0.661), strict=True)),
    "va_au_mse": dict(zip(VA_SCORES + AU_SCORES, (0.451, 0.333, 0.332, 0.347, 0.667), strict=True)),
}
"""Table IX as printed."""


def _claim(words: str, better: str, worse: str, scores: tuple[str, ...]) -> Claim:
    return Claim(words, better, worse, scores, paper_difference(PAPER, better, worse, scores))


CLAIMS = (
    _claim("only AU is better than VA + AU with the CCC loss", "au", "va_au_ccc", AU_SCORES),
    _claim("only AU is better than VA + AU with the MSE", "au", "va_au_mse", AU_SCORES),
    _claim("only VA is better than VA + AU, both with the CCC loss", "va_ccc", "va_au_ccc", VA_SCORES),
    _claim("only VA is better than VA + AU, both with the MSE", "va_mse", "va_au_mse", VA_SCORES),
    _claim("only VA is better with the MSE than with the CCC loss", "va_mse", "va_ccc", VA_SCORES),
)
"""What Section V.A.1 says of Table IX, a claim for each pair of rows. Of valence and arousal it is about the
CCC, of the action units about both F1 and the accuracy."""


def table_ix(plan: GanPlan, progress: bool = True) -> Results:
    """Train the five rows with every seed of the plan, test them, and write the results to ``plan.out``.

    What is finished is not trained again. ``GanPlan(..., recipe="paper", configuration="2")`` on a store of
    Aff-Wild is the paper's experiment.

    Raises
    ------
    UserError
        If the partition leaks or leaves a set without labels, or ``plan.out`` holds another experiment.
    """
    store = Store.open(plan.data)
    rows = plan.rows(store)
    trials = [
        Trial(name, seed, _config(plan, row, seed), rows["train"])
        for name, row in ROWS.items()
        for seed in plan.seeds
    ]
    settings = begin(plan, "table-ix", store, rows)
    scores = run_trials(plan, trials, partial(Store.open, plan.data), held_out(rows), progress)
    nothing = for_nothing(store.labels[rows["train"]], store.labels[rows["test"]])
    results = conclude(settings, scores, nothing, CLAIMS)
    results.write(plan.out, TITLE, printed(results))
    return results


def _config(plan: GanPlan, row: Row, seed: int) -> GanConfig:
    return plan.config(seed, targets=row.targets, va_loss=row.va_loss, fake_va_loss=row.va_loss)


def printed(results: Results) -> pd.DataFrame:
    """Table IX as text, see :func:`~affkit_lab.experiments.results.beside_paper`."""
    rows = {name: {"tells": row.tells, "loss": row.loss} for name, row in ROWS.items()}
    return beside_paper(results, rows, VA_SCORES + AU_SCORES + MSE_SCORES, PAPER, AU_WORDS)

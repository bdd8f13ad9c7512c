"""Table IX: what the discriminator learns when it is a regressor, a classifier, or both (Section V.A.1).

``GanPlan``, for experiments with the GAN, is here, too: one run is a GAN, and its discriminator is tested.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from affkit.evaluation.evaluate import score
from affkit.evaluation.predict import predict_store
from affkit.store import Store, select_rows, too_small
from affkit.train_gan import GanConfig, train_gan
from affkit_lab.experiments.baselines import AU_WORDS, action_unit_baselines
from affkit_lab.experiments.results import (
    AU_SCORES,
    MSE_SCORES,
    VA_SCORES,
    Results,
    beside_paper,
    paper_claims,
)
from affkit_lab.experiments.runner import Plan, Score, Trial, run_experiment, trials_of

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
CLAIMS = paper_claims(
    PAPER,
    ("only AU is better than VA + AU with the CCC loss", "au", "va_au_ccc", AU_SCORES),
    ("only AU is better than VA + AU with the MSE", "au", "va_au_mse", AU_SCORES),
    ("only VA is better than VA + AU, both with the CCC loss", "va_ccc", "va_au_ccc", VA_SCORES),
    ("only VA is better than VA + AU, both with the MSE", "va_mse", "va_au_mse", VA_SCORES),
    ("only VA is better with the MSE than with the CCC loss", "va_mse", "va_ccc", VA_SCORES),
)
"""What Section V.A.1 says of Table IX, a claim for each pair of rows. Of valence and arousal it is about the
CCC, of the action units about both F1 and the accuracy."""


@dataclass(frozen=True)
class GanPlan(Plan):
    """A plan for GANs, see :meth:`GanConfig.recipe`; the paper: ``"paper"``, ``"1"`` or ``"2"``, 1."""

    _: KW_ONLY
    recipe: str = "kit"
    configuration: str = "1"
    width: float = 1.0

    def config(self, **changes) -> GanConfig:
        return GanConfig.recipe(self.recipe, configuration=self.configuration, width=self.width, **changes)

    def identity(self, kind: str) -> dict:
        own = {name: getattr(self, name) for name in ("recipe", "configuration", "width")}
        return super().identity(kind) | own

    def gan_sets(self, store: Store) -> dict[str, np.ndarray]:
        """The rows of each set; faces that are too small for the networks are a :class:`UserError`."""
        sets = self.sets(store, "has_va", "has_action_units")
        if store.size < (needed := self.config().net.image_size):
            raise too_small(self.data, store.size, f"configuration {self.configuration} draws", needed)
        return sets


def train_discriminator(
    plan: GanPlan, trial: Trial, store: Store, folder: Path, count: Callable[..., None]
) -> Score:
    run = train_gan(store, folder, trial.config, rows=trial.train, callback=count, **plan.training)
    return partial(score_faces, run.discriminator, plan.device)


def score_faces(checkpoint: Path, device: str, store: Store, rows: np.ndarray) -> dict[str, float]:
    """Scores of a network that looks at single faces on some rows of a store."""
    predictions = predict_store(checkpoint, select_rows(store, rows), device, progress=False)
    return score(predictions, store.labels[rows])


def table_ix(plan: GanPlan, progress: bool = True) -> Results:
    """Train the five rows with every seed of the plan, test them, and write the results to ``plan.out``.

    What is finished is not trained again. ``GanPlan(..., recipe="paper", configuration="2")`` on a store of
    Aff-Wild is the paper's experiment. A partition that leaks or leaves a set without labels, and a folder
    with another experiment, are a :class:`UserError`.
    """
    store = Store.open(plan.data)
    sets = plan.gan_sets(store)
    rows = {
        name: plan.config(targets=row.targets, va_loss=row.va_loss, fake_va_loss=row.va_loss)
        for name, row in ROWS.items()
    }
    trials, train = trials_of(rows, plan.seeds, sets["train"]), partial(train_discriminator, plan)
    identity = plan.identity("table-ix")
    results = run_experiment(
        plan, identity, store, sets, trials, train, action_unit_baselines, CLAIMS, progress
    )
    results.write(plan.out, TITLE, printed(results))
    return results


def printed(results: Results) -> pd.DataFrame:
    """Table IX as text, see :func:`~affkit_lab.experiments.results.beside_paper`."""
    rows = {name: {"tells": row.tells, "loss": row.loss} for name, row in ROWS.items()}
    return beside_paper(results, rows, VA_SCORES + AU_SCORES + MSE_SCORES, PAPER, AU_WORDS)

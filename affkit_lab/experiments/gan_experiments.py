"""Experiments with the GAN: its discriminator is trained as one row of a table says, and tested."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from affkit.evaluation.predict import predict_store
from affkit.store import Store, select_rows, too_small
from affkit.train_gan import GanConfig, train_gan
from affkit_lab.experiments.runner import Plan, Trial


@dataclass(frozen=True)
class GanPlan(Plan):
    """A :class:`~affkit_lab.experiments.runner.Plan` for GANs.

    Attributes
    ----------
    recipe, configuration, width:
        Of the networks and their training, see :class:`~affkit.train_gan.GanConfig`. The paper:
        ``"paper"``, ``"1"`` or ``"2"``, 1.
    """

    recipe: str = field(default="kit", kw_only=True)
    configuration: str = field(default="1", kw_only=True)
    width: float = field(default=1.0, kw_only=True)

    needs: ClassVar = {"has_va": "valence and arousal", "has_action_units": "action units"}

    def config(self, seed: int, **changes) -> GanConfig:
        """The configuration of one run."""
        changes = {"width": self.width, "seed": seed} | changes
        return GanConfig.recipe(self.recipe, configuration=self.configuration, **changes)

    def settings(self) -> dict:
        return {"recipe": self.recipe, "configuration": self.configuration, "width": self.width}

    def rows(self, store: Store) -> dict[str, np.ndarray]:
        """As :meth:`Plan.rows`; faces that are too small are a :class:`~affkit.errors.UserError`, too."""
        rows = super().rows(store)
        if store.size < (needed := self.config(seed=0).net.image_size):
            raise too_small(self.data, store.size, f"configuration {self.configuration} draws", needed)
        return rows

    def train(self, trial: Trial, store: Store, folder: Path, count: Callable[..., None]) -> Path:
        how = {"resume": True, "device": self.device, "save_every": self.save_every, "rows": trial.train}
        run = train_gan(store, folder, trial.config, self.steps, callback=count, progress=False, **how)
        return run.discriminator

    def predict(self, checkpoint: Path, store: Store, rows: np.ndarray) -> pd.DataFrame:
        return predict_store(checkpoint, select_rows(store, rows), self.device, progress=False)

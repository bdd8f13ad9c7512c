"""Runs of a GAN beside one another, for notebook 07: three recipes, and three runs that somebody broke.

Which cause broke which run stands in :data:`BROKEN`. Do not read on before you have looked at the curves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from affkit.collapse import mean_distance
from affkit.errors import UserError
from affkit.gan import fit_size
from affkit.generate import generate
from affkit.loop import LOG
from affkit.store import Store, to_unit_range
from affkit.train import train_gan
from affkit.train_gan import RECIPES, GanConfig
from affkit_lab.experiments.runner import one_thread

CAUSES = ("discriminator too strong", "learning rate too high", "wrong label smoothing")
BROKEN: dict[str, tuple[str, dict]] = {
    "A": (CAUSES[2], {"fake_label": 0.1}),
    "B": (CAUSES[0], {"discriminator_steps": 3, "lr_discriminator": 1e-3, "lr_generator": 1e-5}),
    "C": (CAUSES[1], {"lr_generator": 2e-2, "lr_discriminator": 2e-2}),
}
"""Name of a run to its cause and to what was changed in the recipe ``kit``."""


@dataclass(frozen=True)
class Profile:
    """How large the runs of a lesson are.

    Attributes
    ----------
    width, batch_size:
        Of the networks, where 1 is the paper, and of a step, where 64 is the paper.
    steps:
        Of the long run.
    short_steps:
        Of each run that is only compared with others.
    save_every:
        Steps from one save, and one picture, to the next.
    per_clip:
        Frames of each clip that are searched for a face.
    num_generated:
        Faces to draw for an evaluation.
    """

    width: float
    batch_size: int
    steps: int
    short_steps: int
    save_every: int
    per_clip: int
    num_generated: int

    @property
    def size(self) -> dict[str, float]:
        """What a :class:`~affkit.train_gan.GanConfig` needs of it."""
        return {"width": self.width, "batch_size": self.batch_size}


PROFILES = {
    "cpu": Profile(0.25, 16, 2400, 300, 100, 6, 500),
    "gpu": Profile(1.0, 64, 30_000, 3000, 500, 100, 2000),
    "test": Profile(0.05, 4, 4, 4, 2, 2, 64),
}
"""Minutes on two cores; the paper's networks and batch, for a GPU; seconds, to see that everything runs."""


@dataclass(frozen=True)
class LessonRun:
    """What a short run left.

    Attributes
    ----------
    config:
        Its configuration.
    log:
        A row a step, see :func:`~affkit.loop.run`; up to the last save if the run was stopped.
    faces:
        64 generated faces of the same z in every run, ``(64, S, S, 3)`` uint8; none, ``(0, S, S, 3)``, if it
        was stopped before its first save.
    stopped:
        Why it was stopped, in one line; empty if it ran to its end.
    """

    config: GanConfig
    log: pd.DataFrame
    faces: np.ndarray
    stopped: str = ""


def run_beside(
    configs: Mapping[str, GanConfig],
    store: Store,
    out: str | Path,
    steps: int,
    rows: Sequence[int] | None = None,
    jobs: int = 1,
    device: str = "auto",
    save_every: int = 50,
) -> dict[str, LessonRun]:
    """Train one GAN for each configuration on the same faces, ``jobs`` at a time, each on one thread.

    Parameters
    ----------
    configs:
        Name to configuration; a run is written to the folder ``out/name``, which must not hold one.
    store, steps, rows, device, save_every:
        As :func:`~affkit.train.train_gan` takes them.

    Returns
    -------
    dict
        Name to run. A run that is stopped because it cannot be saved does not stop the others.

    Raises
    ------
    UserError
        If a folder holds a run already.
    """
    for name in configs:
        if (Path(out) / name / LOG).exists():
            raise UserError(Path(out) / name, "holds a run already", "choose another folder")
    how = {"steps": steps, "rows": rows, "device": device, "save_every": save_every}
    work = (delayed(_one)(store, Path(out) / name, config, how) for name, config in configs.items())
    return dict(zip(configs, Parallel(n_jobs=jobs)(work), strict=True))


def recipe_configs(**changes) -> dict[str, GanConfig]:
    """Every recipe by its name, with some values changed, such as ``width``.

    >>> recipes = recipe_configs(width=0.25)
    >>> [(name, recipe.generator_steps, recipe.discriminator_steps) for name, recipe in recipes.items()]
    [('paper', 5, 1), ('paper-d-more', 1, 5), ('kit', 1, 1)]
    """
    return {name: GanConfig.recipe(name, **changes) for name in RECIPES}


def broken_configs(**changes) -> dict[str, GanConfig]:
    """The three broken runs by their letters, with some values changed, such as ``width``.

    >>> list(broken_configs(width=0.25))
    ['A', 'B', 'C']
    """
    return {name: GanConfig.recipe("kit", **changes | broken) for name, (_, broken) in BROKEN.items()}


def diversity_of(runs: Mapping[str, LessonRun], store: Store, rows: Sequence[int] | None = None) -> pd.Series:
    """Mean distance of two generated faces of each run, pixel by pixel; 1 is that of two real ones.

    NaN for a run that left no faces. :class:`~affkit.collapse.CollapseWatch` asks the same.
    """
    rows = np.arange(len(store)) if rows is None else np.asarray(rows)
    real = store.batch(rows[np.linspace(0, len(rows) - 1, 64).round().astype(int)])
    found = {}
    for name, run in runs.items():
        size = run.config.net.image_size
        yardstick = mean_distance(fit_size(to_unit_range(real), size))
        faces = to_unit_range(run.faces)
        found[name] = mean_distance(faces) / yardstick if len(faces) else np.nan
    return pd.Series(found, name="diversity")


def _one(store: Store, out: Path, config: GanConfig, how: Mapping) -> LessonRun:
    """One run of :func:`run_beside`."""
    stopped = ""
    with one_thread():
        try:
            train_gan(store, out, config, progress=False, **how)
        except UserError as error:
            stopped = error.problem
        saved = (out / LOG).exists()
        size = config.net.image_size
        faces = generate(out / "generator.safetensors") if saved else np.zeros((0, size, size, 3), np.uint8)
    return LessonRun(config, pd.read_csv(out / LOG) if saved else pd.DataFrame(), faces, stopped)

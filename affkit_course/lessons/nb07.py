"""Runs of a GAN beside one another, for notebook 07: three recipes, and three runs that somebody broke.

Which cause broke which run stands in :data:`BROKEN`. Do not read on before you have looked at the curves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Image, display
from joblib import Parallel, delayed
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from affkit.errors import UserError
from affkit.evaluation.collapse import mean_distance
from affkit.gan import generate
from affkit.loop import LOG
from affkit.store import Store, fit_size, image_grid, to_unit_range
from affkit.train_gan import RECIPES, GanConfig, train_gan
from affkit_lab.experiments.runner import one_thread
from affkit_lab.figures.style import line_styles, photograph

CAUSES = ("discriminator too strong", "learning rate too high", "wrong label smoothing")
BROKEN: dict[str, tuple[str, dict]] = {
    "A": (CAUSES[2], {"fake_label": 0.1}),
    "B": (CAUSES[0], {"discriminator_steps": 3, "lr_discriminator": 1e-3, "lr_generator": 1e-5}),
    "C": (CAUSES[1], {"lr_generator": 2e-2, "lr_discriminator": 2e-2}),
}
"""Name of a run to its cause and to what was changed in the recipe ``kit``."""


@dataclass(frozen=True)
class Profile:
    """How large the runs of a lesson are."""

    width: float  # of the networks, where 1 is the paper
    batch_size: int  # 64 in the paper
    steps: int  # of the long run
    short_steps: int  # of each run that is only compared with others
    save_every: int  # steps from one save, and one picture, to the next
    per_clip: int  # frames of each clip that are searched for a face
    num_generated: int  # faces to draw for an evaluation

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
    """What a short run left."""

    config: GanConfig
    log: pd.DataFrame  # a row a step; up to the last save if the run was stopped
    faces: np.ndarray  # of the same 64 z in every run, (64, S, S, 3) uint8; (0, S, S, 3) without any save
    stopped: str = ""  # why, in one line; empty if it ran to its end


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

    A run is written to the folder ``out/name``, which must not hold one yet. If one stops, the others go on.
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
    """Mean distance of two generated faces of each run; 1 is that of two real ones, NaN if there are none."""
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


LOSSES = {"discriminator": "discriminator (Eq. 3)", "generator": "generator (Eq. 2)"}
X = {"x_fake": "x of generated faces", "x_real": "x of real faces"}
QUALITY = 45  # of 100: what a generator draws at first is noise, and noise takes many bytes
SMOOTH = 10  # steps over which the thick line is averaged


class LivePicture:
    """The callback of ``train_gan`` that draws faces and curves of the run in ``out`` after each save.

    In a notebook the picture changes in its place; the last one is what the notebook stores.
    """

    def __init__(self, out: str | Path, title: str = ""):
        self.out, self.title = Path(out), title
        self.picture: Image | None = None
        self._handle = None

    def __call__(self, steps: int, losses: Mapping[str, float], trainer) -> None:
        words = f"{self.title}, {steps} steps".removeprefix(", ")
        log = pd.read_csv(self.out / LOG)
        self.picture = run_picture(log, trainer.pictures(64), trainer.config, words)
        if self._handle is None:
            self._handle = display(self.picture, display_id=True)
        else:
            self._handle.update(self.picture)


def run_picture(log: pd.DataFrame, faces: np.ndarray, config: GanConfig, title: str = "") -> Image:
    """Generated faces, ``(n, S, S, 3)`` uint8, and beside them the curves of the run they come from."""
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.5), width_ratios=(1, 1.25, 1.25), layout="constrained")
    draw_faces(axes[0], faces, columns=8)
    draw_curves(axes[1], log, LOSSES)
    draw_curves(axes[2], log, X, ceiling=config.fake_label)
    axes[1].set(title="losses")
    axes[2].set(title='what the discriminator says: x, "fake"')
    _legend(figure, axes[1:])
    return photograph(figure, title, QUALITY)


def runs_beside(runs: Mapping[str, LessonRun], title: str = "", ceiling: bool = True) -> Image:
    """A column a run: its name, faces, losses, and x of real and generated faces.

    ``ceiling`` draws the label of generated faces into the last row; without it the reader has to find out.
    """
    figure, axes = plt.subplots(
        3, len(runs), figsize=(9.6, 6.8), height_ratios=(1.35, 1, 1), squeeze=False, layout="constrained"
    )
    for column, (name, run) in zip(axes.T, runs.items(), strict=True):
        draw_faces(column[0], run.faces[:16], columns=4)
        column[0].set_title(f"{name}, stopped" if run.stopped else name)
        if len(run.log):
            draw_curves(column[1], run.log, LOSSES)
            draw_curves(column[2], run.log, X, ceiling=run.config.fake_label if ceiling else None)
    axes[1, 0].set_ylabel("losses")
    axes[2, 0].set_ylabel("x")
    _legend(figure, axes[1:, np.argmax([len(run.log) for run in runs.values()])])
    return photograph(figure, title, QUALITY)


def faces_over_time(out: str | Path, faces: int = 10, rows: int = 8, title: str = "") -> Image:
    """The same z at one save after the other: a row a save, evenly chosen, the first faces of the sheets."""
    sheets = sorted(Path(out).glob("grid_*.png"))
    if not sheets:
        raise UserError(out, "holds no sheet of faces", "give the folder of a run of train_gan")
    chosen = [sheets[i] for i in np.unique(np.linspace(0, len(sheets) - 1, rows).round().astype(int))]
    strips = [_first_faces(path, faces) for path in chosen]
    side = strips[0].shape[0]
    figure, axis = plt.subplots(figsize=(9, 8.1 * len(strips) / faces + 0.5))
    axis.imshow(np.concatenate(strips), interpolation="nearest")
    axis.set_yticks(
        side * (np.arange(len(strips)) + 0.5), [f"step {int(path.stem.split('_')[1])}" for path in chosen]
    )
    axis.set_xticks([])
    axis.grid(False)
    return photograph(figure, title, QUALITY)


def draw_faces(axis: Axes, faces: np.ndarray, columns: int) -> None:
    """A sheet of ``(n, S, S, 3)`` uint8, or a word where there is none."""
    axis.set_axis_off()
    if len(faces):
        axis.imshow(image_grid(faces, columns), interpolation="nearest" if faces.shape[1] < 48 else None)
    else:
        axis.text(0.5, 0.5, "no faces", ha="center", va="center", transform=axis.transAxes)


def draw_curves(
    axis: Axes, log: pd.DataFrame, columns: Mapping[str, str], ceiling: float | None = None
) -> None:
    """Columns of a log over its steps: every step thin, and the mean of the last ten thick.

    Losses and x have styles of their own, as one legend names both; ``ceiling`` is a thin straight line.
    """
    styles = line_styles()[len(LOSSES) :] if set(columns) <= set(X) else line_styles()
    for (column, words), style in zip(columns.items(), styles, strict=False):
        axis.plot(log["step"], log[column], color=style["color"], alpha=0.3, linewidth=0.7)
        smooth = log[column].rolling(SMOOTH, min_periods=1).mean()
        axis.plot(log["step"], smooth, label=words, linewidth=1.8, **style)
    if set(columns) <= set(X):
        axis.set_ylim(-0.03, 1.03)
    if ceiling is not None:
        axis.axhline(ceiling, color="0.3", linewidth=0.9, label="label of generated ones")
    axis.set_xlabel("step")


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for lines that all columns have, below them: inside a panel it would hide a curve."""
    lines = [line for axis in axes for line in axis.get_legend_handles_labels()[0]]  # they know their names
    figure.legend(handles=lines, loc="outside lower center", ncols=5, fontsize=8)


def _first_faces(path: Path, faces: int) -> np.ndarray:
    """The first ``faces`` of a sheet of 8 columns, side by side, ``(S, faces * S, 3)`` uint8 RGB."""
    sheet = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    side = sheet.shape[1] // 8
    cells = [(row, column) for row in range(sheet.shape[0] // side) for column in range(8)][:faces]
    return np.concatenate(
        [sheet[r * side : (r + 1) * side, c * side : (c + 1) * side] for r, c in cells], axis=1
    )

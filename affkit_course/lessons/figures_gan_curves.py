"""Curves and pictures of the runs of a GAN: live while one trains, and of several beside one another."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from affkit.errors import UserError
from affkit.generate import image_grid
from affkit.loop import LOG
from affkit.train_gan import GanConfig
from affkit_course.lessons.nb07 import LessonRun
from affkit_lab.figures.style import line_styles, photograph

LOSSES = {"discriminator": "discriminator (Eq. 3)", "generator": "generator (Eq. 2)"}
X = {"x_fake": "x of generated faces", "x_real": "x of real faces"}
QUALITY = 45  # of 100: what a generator draws at first is noise, and noise takes many bytes
SMOOTH = 10  # steps over which the thick line is averaged


class LivePicture:
    """The callback of :func:`~affkit.train.train_gan` that draws faces and curves after each save.

    In a notebook the picture changes in its place; the last one is what the notebook stores.

    Parameters
    ----------
    out:
        Folder of the run, for its log.
    title:
        Above the picture.
    """

    def __init__(self, out: str | Path, title: str = ""):
        self.out, self.title = Path(out), title
        self.picture: Image | None = None
        self._handle = None

    def __call__(self, steps: int, losses: Mapping[str, float], trainer) -> None:
        """Draw the state after ``steps`` steps."""
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
    """The same z at one save after the other: a row a save, evenly chosen, the first ones of the sheets.

    Raises
    ------
    UserError
        If the folder of the run holds no sheet.
    """
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

    Losses and x have styles of their own, as one legend names both. ``ceiling`` is drawn as a thin straight
    line, and the axis then goes from 0 to 1.
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

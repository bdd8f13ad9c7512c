"""What notebook 11 works out and draws of the latent space.

Names of other rooms that the notebook needs are imported here as well.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from affkit.gan import Generator, sample_z
from affkit_lab.figures.style import PALETTE
from affkit_lab.gan_evaluation.memorization import TrainingFaces  # noqa: F401
from affkit_lab.latent.direction_quality import RANDOM, direction_table, effects, moved_faces  # noqa: F401
from affkit_lab.latent.directions import Directions, faces_at
from affkit_lab.latent.predictors import Predictor, log_odds
from affkit_lab.latent.seek_reading import PredictionSearch
from affkit_lab.latent.z_arithmetic import along, slerp


def strips(
    generator: Generator,
    z: np.ndarray,
    directions: Directions,
    names: Sequence[str],
    amounts: Sequence[float],
) -> dict[str, np.ndarray]:
    """For each name the faces of ``z`` ``(100,)`` moved along it by each of ``amounts``: ``(A, S, S, 3)``."""
    return {name: faces_at(generator, along(z, directions[name], amounts)) for name in names}


def ways_between(first: np.ndarray, second: np.ndarray, steps: int = 9) -> tuple[dict, pd.DataFrame]:
    """From one z to another: ``{"straight line": z, "arc": z}``, ``(steps, 100)`` each, and their lengths."""
    fractions = np.linspace(0, 1, steps)
    ways = {
        "straight line": np.stack([(1 - fraction) * first + fraction * second for fraction in fractions]),
        "arc": np.stack([slerp(first, second, fraction) for fraction in fractions]),
    }
    lengths = {name: np.linalg.norm(z, axis=1) for name, z in ways.items()}
    return ways, pd.DataFrame(lengths, index=pd.Index(fractions, name="fraction of the way"))


def by_another_reader(
    generator: Generator,
    directions: Directions,
    predictors: Mapping[str, Predictor],
    step: float = 1.0,
    num_faces: int = 100,
) -> pd.DataFrame:
    """What a step along each direction (rows) does to the prediction of its name, by predictor.

    In standard deviations over random faces; missing where a predictor says nothing of it.
    """
    readers = {name: log_odds(predictor) for name, predictor in predictors.items()}
    z, read = sample_z(num_faces, seed=1).double().numpy(), {name: [] for name in readers}
    for faces in moved_faces(generator, z, directions.vectors, step):
        for name, reader in readers.items():
            read[name].append(reader(faces))
    return pd.DataFrame({name: effects(directions.names, own)["in_sd"] for name, own in read.items()})


def sent_to(
    search: PredictionSearch, wanted: Sequence[Sequence[float]], rounds: int = 6
) -> tuple[np.ndarray, np.ndarray]:
    """Faces for some predictions: their z ``(N, 100)``, and what is read of them, ``(N, C)``."""
    found = [search.seek(predictions, rounds) for predictions in wanted]
    return np.stack([one.z for one in found]), np.stack([one.prediction for one in found])


def strip_rows(
    rows: Mapping[str, np.ndarray], marks: Sequence[str] = (), title: str = "", side: float = 0.9
) -> Figure:
    """A row of faces ``(N, S, S, 3)`` uint8, ``side`` inches each, by name; ``marks`` head the columns."""
    columns = max(len(faces) for faces in rows.values())
    above = 0.6 + 0.2 * max((mark.count("\n") for mark in marks), default=0)
    size = (side * columns + 1.3, (side + 0.05) * len(rows) + above)
    figure, axes = plt.subplots(len(rows), columns, figsize=size, squeeze=False, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01, rect=(0.01, 0, 0.98, 1))
    for axis in axes.flat:
        axis.axis("off")
    for line, (name, faces) in zip(axes, rows.items(), strict=True):
        for axis, face in zip(line, faces, strict=False):
            axis.imshow(face)
        line[0].text(-0.08, 0.5, name, transform=line[0].transAxes, ha="right", va="center", fontsize=10)
    for axis, mark in zip(axes[0], marks, strict=False):
        axis.set_title(mark, fontsize=10)
    figure.suptitle(title)
    return figure


def direction_scatter(table: pd.DataFrame, names: Sequence[str], title: str = "") -> Figure:
    """What a step along each of ``names`` does to its own prediction, against what it does to who it is.

    ``table`` is that of ``direction_table``; its row ``random`` is the dashed line.
    """
    figure, axis = plt.subplots(figsize=(8, 5))
    own = table.loc[list(names)]
    axis.axvline(table.at[RANDOM, "identity"], color="0.4", linestyle="--", label="a random direction")
    axis.plot(own["identity"], own["in_sd"], "o", color=PALETTE[1])
    height = np.ptp(own["in_sd"]) + 0.1
    places = _apart(own["in_sd"].to_numpy(), 0.06 * height)
    right = own["identity"].max() + 0.1 * np.ptp(own["identity"]) + 0.005
    line = {"arrowstyle": "-", "color": "0.75", "linewidth": 0.7}
    for (name, row), place in zip(own.iterrows(), places, strict=True):
        point = (row["identity"], row["in_sd"])
        axis.annotate(name, point, (right, place), fontsize=9, va="center", arrowprops=line)
    axis.set_xlim(right=right + 0.25 * (right - own["identity"].min()))
    axis.set_ylim(places.min() - 0.08 * height, places.max() + 0.08 * height)
    axis.set_xlabel("change of who it is (1: another person)")
    axis.set_ylabel("change of the prediction, in its standard deviations")
    axis.legend(loc="lower left", fontsize=9)
    axis.set_title(title)
    return figure


def aim_and_reading(wanted: np.ndarray, read: np.ndarray, title: str = "") -> Figure:
    """Valence and arousal as wanted, and as read of the faces that were found: ``(N, 2)`` each."""
    figure, axis = plt.subplots(figsize=(5.6, 5.2))
    for start, end in zip(wanted, read, strict=True):
        axis.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "0.6"})
    axis.plot(*wanted.T, "+", color=PALETTE[1], markersize=10, markeredgewidth=2, label="wanted")
    axis.plot(*read.T, "o", color=PALETTE[0], markersize=6, label="read")
    axis.axhline(0, color="0.7", linewidth=1)
    axis.axvline(0, color="0.7", linewidth=1)
    axis.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal", xlabel="valence", ylabel="arousal", title=title)
    axis.legend(loc="lower left", fontsize=9)
    return figure


def _apart(values: np.ndarray, gap: float) -> np.ndarray:
    """Heights near ``values``, at least ``gap`` apart, in the same order, for labels that do not overlap."""
    order = np.argsort(values)
    heights = values[order].astype(float)
    for number in range(1, len(heights)):
        heights[number] = max(heights[number], heights[number - 1] + gap)
    heights -= (heights - values[order]).mean()
    return heights[np.argsort(order)]

"""Figures about a whole corpus: the paper's Figures 1 to 4 and Table II, drawn anew, and frames for them."""

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from affkit.corpus.corpus import TRUTH_FOLDER, Corpus, part_names, read_ground_truth
from affkit.corpus.statistics import ALL_FRAMES, ANY_EXPRESSION, ANY_UNIT, Statistics, VAHistogram
from affkit.errors import UserError
from affkit.files import existing_file
from affkit.labels import ACTION_UNIT_NAMES, ACTION_UNITS, EXPRESSION_PLACES
from affkit.video.video import Video
from affkit_lab.figures.style import PALETTE, file_of, photograph, use_style, write_files

if TYPE_CHECKING:  # what shows a picture in a notebook; writing one to a file needs no notebook
    from IPython.display import Image

_LABEL_SIDES = {"Anger": "left", "Fear": "right", "Disgust": "right", "Happiness": "right"}  # others: above

SHEET_COLUMNS = 3  # tiles in a row of the picture of the action units
GREY = "0.45"
BOX = ("x", "y", "width", "height")
NEEDED = ("frame", *BOX, "visible", "covered", "blink", "yaw")  # of a truth table
UNIT_WEIGHT = 0.5  # an action unit counts as much as a quarter of the way across the plane
MOST_COVERED, MOST_SHUT, MOST_TURNED = 0.05, 0.3, 0.6  # fractions, and radians to the side: a face seen well
MARGIN = 0.45  # of the box, around it


def emotion_wheel(axis: Axes | None = None) -> Figure:
    """The plane of valence and arousal with emotions at their published places (Figure 1, left)."""
    if axis is None:
        _, axis = plt.subplots(figsize=(5.2, 5.2))
    for radius, width in ((0.5, 1), (1.0, 2)):
        axis.add_patch(plt.Circle((0, 0), radius, fill=False, color="0.8", linewidth=width))
    axis.axhline(0, color="0.8", linewidth=1)
    axis.axvline(0, color="0.8", linewidth=1)
    for (name, (valence, arousal)), color in zip(EXPRESSION_PLACES.items(), PALETTE, strict=False):
        axis.plot(valence, arousal, "o", markersize=9, color=color, markeredgecolor="0.2")
        side = _LABEL_SIDES.get(name, "center")
        shift = {"left": (10, 0), "right": (-10, 0), "center": (0, 11)}[side]
        style = {"ha": side, "va": "center" if side != "center" else "bottom", "fontsize": 12}
        style["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axis.annotate(name, (valence, arousal), shift, textcoords="offset points", **style)
    for x, y, words, ha, va in (
        (1.08, 0, "very\npositive", "left", "center"),
        (-1.08, 0, "very\nnegative", "right", "center"),
        (0, 1.08, "very active", "center", "bottom"),
        (0, -1.08, "very passive", "center", "top"),
    ):
        axis.text(x, y, words, ha=ha, va=va, fontsize=11, color=GREY)
    axis.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal")
    axis.set_axis_off()
    return axis.figure


def action_unit_pictures(path: str | Path) -> dict[str, np.ndarray]:
    """The 3 x 3 equal tiles of ``action_units.jpg``: ``"at rest"`` and the eight units, RGB uint8."""
    names = ("at rest", *ACTION_UNITS)
    sheet = cv2.imdecode(np.frombuffer(existing_file(path).read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)
    rows = len(names) // SHEET_COLUMNS
    if sheet is None or sheet.shape[0] % rows or sheet.shape[1] % SHEET_COLUMNS:
        problem = f"is not a picture of {rows} x {SHEET_COLUMNS} faces"
        raise UserError(path, problem, "draw it again: python -m affkit_render.draw_action_units")
    tiles = [tile for row in np.split(sheet, rows, axis=0) for tile in np.split(row, SHEET_COLUMNS, axis=1)]
    return dict(zip(names, tiles, strict=True))


def figure_1(path: str | Path) -> Figure:
    """The emotion wheel, and the paper's eight action units at full strength, of the sheet in ``path``."""
    figure = plt.figure(figsize=(11, 6.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.1, 1])
    emotion_wheel(left.subplots())
    axes = right.subplots(3, SHEET_COLUMNS).flat
    for axis, (name, picture) in zip(axes, action_unit_pictures(path).items(), strict=True):
        axis.imshow(picture)
        axis.set_axis_off()
        axis.set_title(f"{name}\n{ACTION_UNIT_NAMES.get(name, '')}".strip(), fontsize=11)
    return figure


def label_bars(table: pd.DataFrame) -> Figure:
    """Table III or Figure 3 as bars: the fraction of frames with each label, the paper's as a mark beside it.

    ``table`` is that of ``action_unit_table`` or ``expression_table``; the numbers over the bars are frames.
    """
    together = ANY_UNIT if ANY_UNIT in table.index else ANY_EXPRESSION
    words = "at least one of the eight" if together == ANY_UNIT else "one of the seven expressions"
    rows = table.drop([together, ALL_FRAMES])
    figure, axis = plt.subplots(figsize=(11, 3.8))
    places = np.arange(len(rows))
    known = rows["paper_fraction"].notna().to_numpy()
    bars = axis.bar(places, 100 * rows["fraction"], width=0.5, color=PALETTE[0], label="this corpus")
    axis.bar_label(bars, [f"{frames:,}" for frames in rows["frames"]], fontsize=10, padding=2)
    if known.any():
        fractions = 100 * rows["paper_fraction"].to_numpy(float)[known]
        style = {"facecolor": "none", "edgecolor": PALETTE[3], "linewidths": 2}
        axis.scatter(places[known] + 0.36, fractions, marker="D", s=55, label="paper", **style)
        figure.legend(loc="outside upper right", ncols=2, fontsize=11)
    names = [f"{row}\n{fill(ACTION_UNIT_NAMES.get(row, ''), 14)}".strip() for row in rows.index]
    axis.set_xticks(places, [name.replace("$", r"\$") for name in names], fontsize=11)  # $ begins a formula
    axis.margins(y=0.15)
    axis.set(ylabel="% of frames", xlim=(-0.6, len(rows) - 0.4))
    axis.grid(axis="x", visible=False)
    fraction, paper = table.at[together, "fraction"], table.at[together, "paper_fraction"]
    total, some = table.at[ALL_FRAMES, "frames"], table.at[together, "frames"]
    title = f"{some:,} of {total:,} frames ({fraction:.0%}) carry {words}; in the paper {paper:.0%}"
    axis.set_title(title, loc="left", fontsize=13)
    return figure


def va_plane_histogram(histogram: VAHistogram, title: str = "") -> Figure:
    """Figures 2 and 4: frames in each place of the plane (log scale), fractions of its quarters, margins."""
    figure, plane = plt.subplots(figsize=(7.4, 6.4))
    counts = np.ma.masked_equal(histogram.counts.T, 0)  # rows are arousal
    norm = LogNorm(1, max(histogram.counts.max(), 10))
    mesh = plane.pcolormesh(histogram.edges, histogram.edges, counts, cmap="viridis_r", norm=norm)
    plane.add_patch(plt.Circle((0, 0), 1, fill=False, color=GREY))
    plane.axhline(0, color=GREY, linewidth=0.8)
    plane.axvline(0, color=GREY, linewidth=0.8)
    for name, fraction in histogram.quadrants.items():
        x, y = (-1 if "negative " + axis in name else 1 for axis in ("valence", "arousal"))
        ha, va = ("left" if x < 0 else "right"), ("bottom" if y < 0 else "top")
        plane.text(0.99 * x, 0.98 * y, f"{fraction:.0%}", ha=ha, va=va, fontsize=13, weight="bold")
    ticks = np.linspace(-1, 1, 5)
    plane.set(xlim=(-1, 1), ylim=(-1, 1), xticks=ticks, yticks=ticks, box_aspect=1)
    plane.set(xlabel="valence (negative to positive)", ylabel="arousal (passive to active)")
    above = plane.inset_axes((0, 1.02, 1, 0.18), sharex=plane)
    beside = plane.inset_axes((1.02, 0, 0.18, 1), sharey=plane)
    style = {"color": PALETTE[0], "alpha": 0.6, "fill": True}
    above.stairs(histogram.counts.sum(axis=1), histogram.edges, **style)
    beside.stairs(histogram.counts.sum(axis=0), histogram.edges, orientation="horizontal", **style)
    for axis in (above, beside):
        axis.set_axis_off()
    figure.colorbar(mesh, cax=plane.inset_axes((1.24, 0, 0.04, 1)), label="frames")
    title = title or f"{histogram.frames:,} frames; in the corners, each quarter's fraction"
    above.set_title(title, fontsize=13)
    return figure


def frames_with_labels(
    corpus: Corpus, frames: pd.DataFrame | None = None, count: int = 5, title: str = "Frames and their labels"
) -> "Image":
    """Table II: frames side by side, below each its valence, arousal and action units.

    ``frames`` are rows of :func:`different_frames`; without them ``count`` are chosen by it.
    """
    frames = different_frames(corpus, count) if frames is None else frames
    figure, (top, axis) = plt.subplots(2, 1, figsize=(11, 6.4), height_ratios=[1.15, 2])
    rows = ["Valence", "Arousal", *ACTION_UNITS]
    for column, (_, row) in enumerate(frames.iterrows()):
        inset = top.inset_axes([(column + 0.03) / len(frames), 0, 0.94 / len(frames), 1])
        inset.imshow(face_picture(corpus, row))
        inset.set_axis_off()
        cells = [f"{row['valence']:.2f}", f"{row['arousal']:.2f}"]
        cells += [_mark(row[unit]) for unit in ACTION_UNITS]
        for line, cell in enumerate(cells):
            axis.text(column, line, cell, ha="center", va="center", fontsize=13)
    axis.set(xlim=(-0.5, len(frames) - 0.5), ylim=(len(rows) - 0.5, -0.5), xticks=[])
    names = [f"{row} {ACTION_UNIT_NAMES.get(row, '')}".strip() for row in rows]
    axis.set_yticks(range(len(rows)), names, fontsize=12)
    axis.set_yticks(np.arange(0.5, len(rows) - 1), minor=True)
    axis.grid(False)
    axis.grid(axis="y", which="minor", color="0.85")
    top.set_axis_off()
    return photograph(figure, title, quality=88)


def _mark(value: float) -> str:
    """A cross where the unit is active, a question mark where nobody said."""
    return "?" if np.isnan(value) else "×" if value == 1 else ""


def write_figures(
    corpus: Corpus,
    statistics: Statistics,
    folder: str | Path,
    sheet: str | Path | None = None,
    force: bool = False,
) -> list[Path]:
    """Write all figures as PNG (Table II as JPEG) and all tables as CSV into ``folder``; their paths.

    Figure 1 is drawn where ``sheet``, the picture of the action units, is given; Table II where the
    corpus has videos, valence and arousal, and action units.
    """
    use_style()
    figures: dict[str, Figure] = {}
    if sheet is not None:
        figures["figure_1"] = figure_1(sheet)
    if statistics.action_units is not None:
        figures["table_3"] = label_bars(statistics.action_units)
    if statistics.expressions is not None:
        figures["figure_3"] = label_bars(statistics.expressions)
    for part, name in {"au": "figure_2", "expr": "figure_4", "va": "valence_arousal"}.items():
        if part in statistics.plane and statistics.plane[part].frames:
            figures[name] = va_plane_histogram(statistics.plane[part])
    files = {f"{name}.png": file_of(figure, "png", dpi=110) for name, figure in figures.items()}
    files |= {f"{name}.csv": table.to_csv().encode() for name, table in statistics.tables().items()}
    if "figure_2" in figures and statistics.parts["au"].formats:
        files["table_2.jpg"] = frames_with_labels(corpus).data
    return write_files(folder, files, force)


def different_frames(corpus: Corpus, count: int = 5) -> pd.DataFrame:
    """Choose frames that differ in valence, arousal and action units.

    Each next frame is the one farthest from those chosen before, of a person not yet chosen as long as
    there is one. All have valence, arousal and every action unit of the paper that the corpus has at all.
    Where ``truth/<name>.csv`` says how well the face is seen, only faces seen well are taken.

    A row a frame: ``name``, ``frame`` (1-based), ``valence``, ``arousal``, the paper's eight units (0 or 1;
    NaN where the corpus lacks one), and the face's box ``x, y, width, height`` in pixels, NaN where it is not
    known. There may be fewer such frames than ``count``, but at least one, or it is a UserError.
    """
    names = part_names(corpus, "au")
    units = _known_units(corpus, names)
    parts = [_candidates(corpus, name, units) for name in names]
    frames = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if frames.empty:
        problem = "no frame with valence, arousal and action units"
        raise UserError(corpus.root, problem, "give a corpus that has all of them")
    who = frames["name"].map(corpus.subjects).to_numpy()
    places = frames[["valence", "arousal"]].to_numpy()
    places = np.hstack([places, UNIT_WEIGHT * frames[list(units)].to_numpy()])
    gaps = np.linalg.norm(places - places.mean(axis=0), axis=1)
    free = np.ones(len(frames), bool)
    chosen: list[int] = []
    while len(chosen) < min(count, len(frames)):
        row = int(np.where(free, gaps, -1).argmax())
        steps = np.linalg.norm(places - places[row], axis=1)
        gaps = steps if not chosen else np.minimum(gaps, steps)
        chosen.append(row)
        free &= who != who[row]
        if not free.any():  # everybody is there once
            free = ~np.isin(np.arange(len(frames)), chosen)
    return frames.loc[chosen].sort_values("valence").reset_index(drop=True)


def face_picture(corpus: Corpus, row: pd.Series) -> np.ndarray:
    """The picture of a row of :func:`different_frames`, ``(H, W, 3)`` uint8: the face, or the frame."""
    path = corpus.video_path(row["name"])
    start = int(row["frame"]) - 1
    picture = next(Video(path).frames(start, start + 1), None)
    if picture is None:
        raise UserError(path, f"has no frame {row['frame']}, which has labels", "give the video they are of")
    if row[list(BOX)].isna().any():
        return picture
    x, y, width, height = (float(row[side]) for side in BOX)
    limits = picture.shape[:2]
    side = min(round((1 + MARGIN) * max(width, height)), *limits)
    middle = (y + 0.45 * height, x + width / 2)  # a little above the middle: there is hair
    top, left = (
        int(np.clip(round(at - side / 2), 0, limit - side)) for at, limit in zip(middle, limits, strict=True)
    )
    return picture[top : top + side, left : left + side]


def _known_units(corpus: Corpus, names: list[str]) -> tuple[str, ...]:
    """The paper's units that are labelled anywhere."""
    known: set[str] = set()
    for name in names:
        labels = corpus.labels[name]
        columns = labels.has_action_units.any(axis=0)
        known |= {unit for unit, there in zip(labels.action_unit_names, columns, strict=True) if there}
    return tuple(unit for unit in ACTION_UNITS if unit in known)


def _candidates(corpus: Corpus, name: str, units: tuple[str, ...]) -> pd.DataFrame:
    """The frames of one name that have all labels and, as far as is known, a face seen well."""
    labels = corpus.labels[name].with_action_units(ACTION_UNITS)
    needed = [ACTION_UNITS.index(unit) for unit in units]
    usable = labels.has_va & labels.has_action_units[:, needed].all(axis=1)
    frames = pd.DataFrame({"name": name, "frame": np.arange(1, len(labels) + 1)})
    frames["valence"], frames["arousal"] = labels.valence, labels.arousal
    frames[list(ACTION_UNITS)] = np.where(labels.has_action_units, labels.action_units, np.nan)
    truth = corpus.root / TRUTH_FOLDER / f"{name}.csv"
    if truth.exists():
        seen = read_ground_truth(truth, NEEDED).reindex(frames["frame"]).reset_index(drop=True)
        frames[list(BOX)] = seen[list(BOX)]
        clear = (seen["visible"] == 1) & (seen["covered"] < MOST_COVERED)
        clear &= (seen["blink"] < MOST_SHUT) & (seen["yaw"].abs() < MOST_TURNED)
        usable &= clear.to_numpy()
    else:
        frames[list(BOX)] = np.nan
    return frames[usable]

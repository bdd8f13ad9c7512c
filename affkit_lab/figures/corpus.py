"""Figures about a whole corpus: the paper's Figures 1 to 4 and Table II, drawn anew."""

import io
from pathlib import Path
from textwrap import fill

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from affkit.corpus.corpus import Corpus
from affkit.corpus.statistics import ALL_FRAMES, ANY_EXPRESSION, ANY_UNIT, Statistics, VAHistogram
from affkit.errors import UserError
from affkit.files import existing_file, refuse_existing, write_beside
from affkit.labels import ACTION_UNIT_NAMES, ACTION_UNITS, EXPRESSION_PLACES
from affkit_lab.figures.examples import different_frames, face_picture
from affkit_lab.figures.style import PALETTE, use_style

_LABEL_SIDES = {"Anger": "left", "Fear": "right", "Disgust": "right", "Happiness": "right"}  # others: above

SHEET_COLUMNS = 3
"""Tiles in a row of the picture of the action units."""

GREY = "0.45"


def emotion_wheel(axis: Axes | None = None) -> Figure:
    """The plane of valence and arousal with emotions at their published places (Figure 1, left)."""
    if axis is None:
        _, axis = plt.subplots(figsize=(5.2, 5.2))
    for radius in (0.5, 1.0):
        axis.add_patch(plt.Circle((0, 0), radius, fill=False, color="0.8", linewidth=1 + (radius == 1)))
    axis.axhline(0, color="0.8", linewidth=1)
    axis.axvline(0, color="0.8", linewidth=1)
    for (name, (valence, arousal)), color in zip(EXPRESSION_PLACES.items(), PALETTE, strict=False):
        axis.plot(valence, arousal, "o", markersize=9, color=color, markeredgecolor="0.2")
        side = _LABEL_SIDES.get(name, "center")
        shift = {"left": (10, 0), "right": (-10, 0), "center": (0, 11)}[side]
        axis.annotate(
            name,
            (valence, arousal),
            xytext=shift,
            textcoords="offset points",
            ha=side,
            va="center" if side != "center" else "bottom",
            fontsize=12,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    for place, words in {
        (1.08, 0): "very\npositive",
        (-1.08, 0): "very\nnegative",
        (0, 1.08): "very active",
        (0, -1.08): "very passive",
    }.items():
        ha = {1.08: "left", -1.08: "right"}.get(place[0], "center")
        va = {1.08: "bottom", -1.08: "top"}.get(place[1], "center")
        axis.text(*place, words, ha=ha, va=va, fontsize=11, color=GREY)
    axis.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal")
    axis.set_axis_off()
    return axis.figure


def action_unit_pictures(path: str | Path) -> dict[str, np.ndarray]:
    """The tiles of ``data_samples/action_units.jpg``: ``"at rest"`` and the eight units, RGB uint8.

    Raises :class:`~affkit.errors.UserError` if it is not a picture of three by three equal tiles.
    """
    names = ("at rest", *ACTION_UNITS)
    sheet = cv2.imdecode(np.frombuffer(existing_file(path).read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)
    rows = len(names) // SHEET_COLUMNS
    if sheet is None or sheet.shape[0] % rows or sheet.shape[1] % SHEET_COLUMNS:
        problem = f"is not a picture of {rows} x {SHEET_COLUMNS} faces"
        raise UserError(path, problem, "draw it again with tools/draw_action_units.py")
    tiles = [tile for row in np.split(sheet, rows, axis=0) for tile in np.split(row, SHEET_COLUMNS, axis=1)]
    return dict(zip(names, tiles, strict=True))


def action_unit_definitions(path: str | Path, figure: Figure | None = None) -> Figure:
    """The paper's eight action units at full strength on a drawn face, with their names (Figure 1, right)."""
    figure = figure or plt.figure(figsize=(6.2, 7))
    axes = figure.subplots(3, SHEET_COLUMNS)
    for axis, (name, picture) in zip(axes.flat, action_unit_pictures(path).items(), strict=True):
        axis.imshow(picture)
        axis.set_axis_off()
        axis.set_title(f"{name}\n{ACTION_UNIT_NAMES.get(name, '')}".strip(), fontsize=11)
    return figure


def figure_1(path: str | Path) -> Figure:
    """The emotion wheel beside the definitions of the action units; ``path`` is the sheet of their faces."""
    figure = plt.figure(figsize=(11, 6.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.1, 1])
    emotion_wheel(left.subplots())
    action_unit_definitions(path, right)
    return figure


def action_unit_counts(table: pd.DataFrame) -> Figure:
    """Table III as bars: the share of frames with each unit, the paper's share outlined beside it.

    ``table`` is that of :func:`~affkit.corpus.statistics.action_unit_table`; the numbers over the bars are
    frames.
    """
    return _share_bars(table, ANY_UNIT, "at least one of the eight")


def expression_counts(table: pd.DataFrame) -> Figure:
    """Figure 3: the share of frames with each expression, the number of frames over each bar.

    ``table`` is that of :func:`~affkit.corpus.statistics.expression_table`.
    """
    return _share_bars(table, ANY_EXPRESSION, "one of the seven expressions")


def _share_bars(table: pd.DataFrame, together: str, words: str) -> Figure:
    rows = table.drop([together, ALL_FRAMES])
    figure, axis = plt.subplots(figsize=(11, 3.8))
    places = np.arange(len(rows))
    known = rows["paper_share"].notna().to_numpy()
    bars = axis.bar(places, 100 * rows["share"], width=0.5, color=PALETTE[0], label="this corpus")
    axis.bar_label(bars, [f"{frames:,}" for frames in rows["frames"]], fontsize=10, padding=2)
    if known.any():
        shares = 100 * rows["paper_share"].to_numpy(float)[known]
        style = {"facecolor": "none", "edgecolor": PALETTE[3], "linewidths": 2}
        axis.scatter(places[known] + 0.36, shares, marker="D", s=55, label="paper", **style)
        figure.legend(loc="outside upper right", ncols=2, fontsize=11)
    names = [f"{row}\n{fill(ACTION_UNIT_NAMES.get(row, ''), 14)}".strip() for row in rows.index]
    axis.set_xticks(places, [_plain(name) for name in names], fontsize=11)
    axis.margins(y=0.15)
    axis.set(ylabel="% of frames", xlim=(-0.6, len(rows) - 0.4))
    axis.grid(axis="x", visible=False)
    share, paper = table.at[together, "share"], table.at[together, "paper_share"]
    total, some = table.at[ALL_FRAMES, "frames"], table.at[together, "frames"]
    title = f"{some:,} of {total:,} frames ({share:.0%}) carry {words}; in the paper {paper:.0%}"
    axis.set_title(title, loc="left", fontsize=13)
    return figure


def va_plane_histogram(histogram: VAHistogram, title: str = "") -> Figure:
    """Figures 2 and 4: frames in each place of the plane, with the shares of its quarters and its margins.

    Colour is logarithmic; places without a frame stay white.
    """
    figure, plane = plt.subplots(figsize=(7.4, 6.4))
    counts = np.ma.masked_equal(histogram.counts.T, 0)  # rows are arousal
    norm = LogNorm(1, max(histogram.counts.max(), 10))
    mesh = plane.pcolormesh(histogram.edges, histogram.edges, counts, cmap="viridis_r", norm=norm)
    plane.add_patch(plt.Circle((0, 0), 1, fill=False, color=GREY))
    plane.axhline(0, color=GREY, linewidth=0.8)
    plane.axvline(0, color=GREY, linewidth=0.8)
    for name, share in histogram.quadrants.items():
        x, y = (-1 if "negative " + axis in name else 1 for axis in ("valence", "arousal"))
        ha, va = ("left" if x < 0 else "right"), ("bottom" if y < 0 else "top")
        plane.text(0.99 * x, 0.98 * y, f"{share:.0%}", ha=ha, va=va, fontsize=13, weight="bold")
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
    above.set_title(
        title or f"{histogram.frames:,} frames; in the corners, each quarter's share", fontsize=13
    )
    return figure


def frames_with_labels(
    corpus: Corpus, frames: pd.DataFrame | None = None, count: int = 5, title: str = "Frames and their labels"
) -> Image:
    """Table II: frames side by side, below each its valence, arousal and action units.

    ``frames`` are rows of :func:`~affkit_lab.figures.examples.different_frames`; without them ``count`` are
    chosen by it. Raises :class:`~affkit.errors.UserError` if there is no such frame or no video.
    """
    frames = different_frames(corpus, count) if frames is None else frames
    figure, (top, axis) = plt.subplots(2, 1, figsize=(11, 6.4), height_ratios=[1.15, 2])
    rows = ["Valence", "Arousal", *ACTION_UNITS]
    for column, (_, row) in enumerate(frames.iterrows()):
        picture = face_picture(corpus, row)
        inset = top.inset_axes([(column + 0.03) / len(frames), 0, 0.94 / len(frames), 1])
        inset.imshow(picture)
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
    top.set_title(title, fontsize=13)
    file = io.BytesIO()
    figure.savefig(file, format="jpeg", pil_kwargs={"quality": 88})
    plt.close(figure)
    return Image(file.getvalue(), format="jpeg", alt=title)


def write_figures(
    corpus: Corpus,
    statistics: Statistics,
    folder: str | Path,
    sheet: str | Path | None = None,
    force: bool = False,
) -> list[Path]:
    """Write all figures as PNG (Table II as JPEG) and all tables as CSV into ``folder``; their paths.

    Figure 1 is drawn where ``sheet``, the picture of the action units, is given; Table II where the
    corpus has videos, valence and arousal, and action units. Nothing is written if a file is in the way,
    unless ``force``.
    """
    use_style()
    figures: dict[str, Figure] = {}
    if sheet is not None:
        figures["figure_1"] = figure_1(sheet)
    if statistics.action_units is not None:
        figures["table_3"] = action_unit_counts(statistics.action_units)
    if statistics.expressions is not None:
        figures["figure_3"] = expression_counts(statistics.expressions)
    names = {"au": "figure_2", "expr": "figure_4", "va": "valence_arousal"}
    figures |= {
        names[part]: va_plane_histogram(histogram)
        for part, histogram in statistics.plane.items()
        if histogram.frames
    }
    files: dict[Path, bytes] = {Path(folder, f"{name}.png"): _png(figure) for name, figure in figures.items()}
    for name, table in statistics.tables().items():
        files[Path(folder, f"{name}.csv")] = table.to_csv().encode()
    if "au" in statistics.parts and statistics.plane["au"].frames and statistics.parts["au"].formats:
        files[Path(folder, "table_2.jpg")] = frames_with_labels(corpus).data
    for path in files:
        refuse_existing(path, force)
    for path, data in files.items():
        with write_beside(path) as part:
            part.write_bytes(data)
    return list(files)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    plt.close(figure)
    return file.getvalue()


def _mark(value: float) -> str:
    """A cross where the unit is active, a question mark where nobody said."""
    return "?" if np.isnan(value) else "×" if value == 1 else ""


def _plain(text: str) -> str:
    """Text that matplotlib shows as it is: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")

"""Figures that a single lesson needs: fractions, scores of runs, curves, matrices, windows on pixels."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from affkit_lab.figures.style import PALETTE, line_styles


def fraction_heatmap(fractions: pd.DataFrame, title: str = "") -> Figure:
    """A table of fractions, 0 to 1, as percent on blue; cells that are 0 or missing stay without a number."""
    rows, columns = fractions.shape
    figure, axis = plt.subplots(figsize=(min(11, 2 + 0.62 * columns), 0.9 + 0.36 * rows))
    words = fractions.map(lambda fraction: f"{fraction:.0%}" if fraction > 0 else "")  # a NaN is not above 0
    look = {"cmap": "Blues", "vmin": 0, "vmax": 1, "cbar": False, "linewidths": 0.5}
    sns.heatmap(fractions.fillna(0), annot=words, fmt="", ax=axis, **look)
    axis.set(title=title, xlabel="", ylabel="")
    axis.tick_params(axis="y", rotation=0)
    return figure


def scores_by_group(
    scores: pd.DataFrame,
    group: str,
    metrics: Mapping[str, str],  # column to title
    names: Mapping[object, str] | None = None,  # what is written below a group
    baseline: Mapping[str, float] | None = None,  # a dashed line
    title: str = "",
) -> Figure:
    """A panel for each of ``metrics``: a dot a run, a column a ``group``, a short line for its mean."""
    values, white = list(scores[group].unique()), {"facecolor": "white", "edgecolor": "none", "pad": 1}
    figure, axes = plt.subplots(1, len(metrics), figsize=(11, 3.6), sharey=True, squeeze=False)
    for axis, (column, words) in zip(axes[0], metrics.items(), strict=True):
        parts = [scores.loc[scores[group] == value, column].to_numpy() for value in values]
        for place, part in enumerate(parts):
            beside = place + np.linspace(-0.12, 0.12, len(part)) if len(part) > 1 else [place]
            axis.plot(beside, part, "o", color=PALETTE[place % len(PALETTE)], alpha=0.55, markersize=5)
        means = [part.mean() for part in parts]
        axis.plot(range(len(values)), means, "_", color="0.15", markersize=34, markeredgewidth=2.5)
        for place, mean in enumerate(means):
            axis.annotate(f"{mean:.2f}", (place + 0.3, mean), va="center", fontsize=11, bbox=white)
        if baseline and column in baseline:
            axis.axhline(baseline[column], color="0.4", linestyle="--", linewidth=1.2)
        axis.set(title=words, xlim=(-0.5, len(values) - 0.3))
        axis.set_xticks(range(len(values)), [str((names or {}).get(value, value)) for value in values])
        axis.grid(axis="x", visible=False)
    axes[0, 0].set_ylabel("score")
    figure.suptitle(title)
    return figure


def curve_panels(
    x: np.ndarray,
    panels: Mapping[str, Mapping[str, np.ndarray]],
    xlabel: str = "",
    best: Mapping[str, str] | None = None,  # title of the panel to "min" or "max": there each line has a dot
    title: str = "",
) -> Figure:
    """Panels side by side over the same ``x``: title of the panel to name of the line to its values."""
    figure, axes = plt.subplots(1, len(panels), figsize=(11, 3.8), sharex=True, squeeze=False)
    for axis, (words, lines) in zip(axes[0], panels.items(), strict=True):
        for (name, values), style in zip(lines.items(), line_styles(), strict=False):
            axis.plot(x, values, label=name, linewidth=2, **style)
            if best:
                at = {"min": np.argmin, "max": np.argmax}[best[words]](values)
                axis.plot(x[at], values[at], "o", color=style["color"], markersize=8)
                axis.annotate(f"{x[at]:.2f}", (x[at], values[at]), xytext=(0, 7), textcoords="offset points")
        axis.set(title=words, xlabel=xlabel)
        axis.margins(y=0.12)
        axis.legend(fontsize=9)
    figure.suptitle(title)
    return figure


def heat_panels(matrices: Mapping[str, np.ndarray], numbers: bool = False, title: str = "") -> Figure:
    """Matrices side by side, white for 0, each with its own darkest blue; ``numbers`` writes every value."""
    figure, axes = plt.subplots(1, len(matrices), figsize=(11, 11 / len(matrices) + 0.7), squeeze=False)
    for axis, (words, matrix) in zip(axes[0], matrices.items(), strict=True):
        axis.imshow(matrix, cmap="Blues", vmin=0, interpolation="nearest")
        for (row, column), value in np.ndenumerate(matrix) if numbers else ():
            color = "white" if value > 0.6 * matrix.max() else "black"
            axis.text(column, row, f"{value:g}", ha="center", va="center", color=color, fontsize=9)
        axis.set(title=words, xticks=[], yticks=[])
        axis.grid(False)
    figure.suptitle(title)
    return figure


def windows_on_pixels(cases: Mapping[str, tuple[int, int, int, tuple[int, int]]]) -> Figure:
    """How the windows of a strided filter lie on one row of pixels, a panel a case.

    ``cases`` maps a title to ``(pixels, filter, stride, (before, after))``, the last two being padded pixels.
    Grey squares are pixels, hatched ones padding; below them a bar for each window that fits.
    """
    figure, axes = plt.subplots(len(cases), 1, figsize=(11, 2.3 * len(cases)), sharex=True, squeeze=False)
    for axis, (words, (size, filter, stride, (before, after))) in zip(axes[:, 0], cases.items(), strict=True):
        for place in range(-before, size + after):
            inside = 0 <= place < size
            color, hatch = ("0.75", None) if inside else ("white", "///")
            axis.add_patch(plt.Rectangle((place, 0), 0.94, 1, facecolor=color, hatch=hatch, edgecolor="0.3"))
            axis.text(place + 0.47, 0.5, place if inside else "", ha="center", va="center")
        starts = range(-before, size + after - filter + 1, stride)
        for number, start in enumerate(starts):
            axis.barh(-0.6 - 0.55 * number, filter - 0.1, left=start, height=0.4, color=PALETTE[number % 2])
            axis.text(start + 0.15, -0.6 - 0.55 * number, number, va="center", fontsize=8, color="white")
        axis.set(title=words, ylim=(-0.6 - 0.55 * len(starts), 1.2), yticks=[], xticks=[])
        axis.grid(False)
    first, last = zip(*((-before, size + after) for size, *_, (before, after) in cases.values()), strict=True)
    axes[0, 0].set_xlim(min(first) - 0.5, max(last) + 0.5)
    return figure

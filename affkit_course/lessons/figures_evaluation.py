"""Figures of notebook 10: traces with scores, confusion, thresholds, single clips, filters, intervals."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from affkit_lab.figures.smoothing_and_lag import three_scores
from affkit_lab.figures.style import PALETTE, line_styles

COLUMNS = 3


def traces_with_scores(
    label: np.ndarray, predicted: Mapping[str, np.ndarray], fps: float = 30.0, title: str = ""
) -> Figure:
    """A panel for each prediction of one label, ``(T,)`` each, with its three scores above it.

    NaN leaves a gap. What lies beyond -1.5 and 1.5 is not drawn, and counts nevertheless.
    """
    rows = -(-len(predicted) // COLUMNS)
    figure, axes = plt.subplots(
        rows, COLUMNS, figsize=(11, 0.8 + 2.2 * rows), sharex=True, sharey=True, squeeze=False
    )
    for axis, (words, values) in zip(axes.flat, predicted.items(), strict=False):
        for trace, style, name in ((label, "-", "label"), (values, "--", "prediction")):
            color = "0.25" if name == "label" else PALETTE[1]
            axis.plot(np.arange(len(trace)) / fps, trace, style, color=color, label=name)
        scores = ", ".join(f"{name} {score:.2f}" for name, score in three_scores(values, label).items())
        axis.set_title(f"{words}\n{scores}", fontsize=10)
        axis.set(ylim=(-1.5, 1.5))
    for axis in axes.flat[len(predicted) :]:
        axis.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel("seconds", fontsize=10)
    for axis in axes[:, 0]:
        axis.set_ylabel("valence", fontsize=10)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, fontsize=9)
    figure.suptitle(title)
    return figure


def confusion_picture(confusion: pd.DataFrame, title: str = "") -> Figure:
    """Of the frames of each class (rows), the share of each answer (columns), in percent and in blue.

    ``confusion`` counts frames; how many a class has is written beside its name. A class that does not occur
    has an empty row; shares of 0 have no number.
    """
    support = confusion.sum(axis=1)
    shares = (confusion.T / support.where(support > 0)).T
    figure, axis = plt.subplots(figsize=(9, 4.2))
    axis.imshow(shares.fillna(0), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        if share > 0:
            color = "white" if share > 0.6 else "black"
            axis.text(column, row, f"{share:.0%}", ha="center", va="center", color=color, fontsize=10)
    axis.set_xticks(range(len(confusion.columns)), confusion.columns, fontsize=10)
    rows = [f"{name} ({count:,})" for name, count in support.items()]
    axis.set_yticks(range(len(rows)), rows, fontsize=10)
    axis.set(xlabel="answer", ylabel="label (frames)", title=title)
    axis.grid(False)
    return figure


def threshold_panels(curves: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """A panel for each column: F1 against the threshold, a line for each set of frames, a dot at its top.

    Parameters
    ----------
    curves:
        Name of the set to its F1, thresholds (rows) by action units (columns), such as
        :func:`affkit_course.lessons.nb10.unit_f1_curves` gives; a column of NaN is not drawn.
    """
    units = next(iter(curves.values())).columns
    rows = -(-len(units) // 4)
    figure, axes = plt.subplots(
        rows, 4, figsize=(11, 0.8 + 2.1 * rows), sharex=True, sharey=True, squeeze=False
    )
    for axis, unit in zip(axes.flat, units, strict=False):
        for (name, table), style, mark in zip(curves.items(), line_styles(), "osD^", strict=False):
            f1 = table[unit].dropna()
            axis.plot(f1.index, f1, label=name, linewidth=2, **style)
            if len(f1):
                axis.plot(f1.idxmax(), f1.max(), mark, color=style["color"], markersize=8)
        axis.set_title(unit, fontsize=11)
        axis.set(xlim=(-0.04, 1), ylim=(0, 1.05))
    for axis in axes[-1]:
        axis.set_xlabel("threshold", fontsize=10)
    for axis in axes[:, 0]:
        axis.set_ylabel("F1", fontsize=10)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(curves), fontsize=9)
    figure.suptitle(title)
    return figure


def clip_dots(scores: pd.DataFrame, lines: Mapping[str, float], title: str = "") -> Figure:
    """The CCC of each clip against how much its label moves; larger dots for longer clips.

    The best clip, the worst and the longest have their names.

    Parameters
    ----------
    scores:
        A row a clip: ``frames``, ``ccc``, ``spread``.
    lines:
        Words to a CCC that is drawn all the way across.
    """
    figure, axis = plt.subplots(figsize=(8, 4))
    axis.scatter(
        scores["spread"], scores["ccc"], s=20 + scores["frames"] / 8, alpha=0.6, color=PALETTE[0], zorder=3
    )
    named = {scores["ccc"].idxmax(), scores["ccc"].idxmin(), scores["frames"].idxmax()}
    for name, row in scores.loc[sorted(named)].iterrows():
        place = {"textcoords": "offset points", "ha": "center", "fontsize": 9}
        axis.annotate(name, (row["spread"], row["ccc"]), (0, 14), **place)
    for (words, value), style in zip(lines.items(), line_styles()[1:], strict=False):
        axis.axhline(value, label=f"{words}: {value:.2f}", linewidth=2, **style)
    axis.axhline(0, color="0.6", linewidth=1)
    axis.margins(x=0.08, y=0.15)
    axis.set(xlabel="standard deviation of the label in the clip", ylabel="CCC of the clip", title=title)
    axis.legend(fontsize=9, loc="best")
    return figure


def smoothing_curves(scores: pd.DataFrame, part: str, fps: float = 30.0, title: str = "") -> Figure:
    """The score against the width of a moving mean, centred and causal, with the labels and with the truth.

    Parameters
    ----------
    scores:
        As ``filter_scores`` gives them; those with a lag are left out.
    part:
        Which part's scores to show, such as ``"validation"``.
    """
    still = scores[scores["lag"] == 0]
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), sharex=True)
    for axis, against, words in zip(axes, ("label", "true"), ("the labels", "the truth"), strict=True):
        score = f"{part}_{against}"
        for causal, style, mark in zip((False, True), line_styles(), "os", strict=False):
            # a mean of one frame is both centred and causal
            own = still[(still["causal"] == causal) | (still["width"] == 1)].sort_values("width")
            name = "causal" if causal else "centred"
            axis.plot(own["width"] / fps, own[score], marker=mark, label=name, linewidth=2, **style)
        axis.axhline(
            still.loc[still["width"] == 1, score].item(), color="0.5", linestyle=":", label="as it is"
        )
        axis.set(title=f"{part}, with {words}", xlabel="seconds of the moving mean")
        axis.legend(fontsize=9)
    axes[0].set_ylabel("mean CCC, valence and arousal")
    figure.suptitle(title)
    return figure


def lag_panels(
    seconds: np.ndarray, curves: Mapping[str, Mapping[str, np.ndarray]], title: str = ""
) -> Figure:
    """A panel for valence and one for arousal: the CCC of pairs of traces against the lag of the first.

    ``curves`` are those of ``lag_curves``, at these ``seconds``. A mark is at the top
    of each line; the legend says where that is.
    """
    figure, axes = plt.subplots(1, len(curves), figsize=(11, 4), sharex=True, sharey=True, squeeze=False)
    for axis, (name, lines) in zip(axes[0], curves.items(), strict=True):
        for (words, ccc), style, mark in zip(lines.items(), line_styles(), "osD", strict=False):
            top = int(np.argmax(ccc))
            label = f"{words}: top at {seconds[top]:.1f} s"
            axis.plot(
                seconds, ccc, marker=mark, markevery=[top], markersize=8, label=label, linewidth=2, **style
            )
        axis.axvline(0, color="0.6", linewidth=1)
        axis.set(title=name, xlabel="seconds by which the first comes later")
        axis.legend(fontsize=9, loc="upper left")
    axes[0, 0].set_ylabel("CCC")
    axes[0, 0].set_ylim(top=1.3)  # room for the legends
    figure.suptitle(title)
    return figure


def interval_bars(table: pd.DataFrame, xlabel: str = "", title: str = "") -> Figure:
    """An interval a row, with a dot at the value and its width beside it.

    ``table`` has the columns ``ccc``, ``low`` and ``high``; its index is written on the left.
    """
    figure, axis = plt.subplots(figsize=(9, 1.2 + 0.5 * len(table)))
    for place, (_, row) in enumerate(table.iterrows()):
        axis.plot(
            [row["low"], row["high"]], [place, place], "|-", color=PALETTE[0], linewidth=3, markersize=14
        )
        axis.plot(row["ccc"], place, "o", color="0.15", markersize=7)
        words = f"   {row['low']:.2f} to {row['high']:.2f}"
        axis.annotate(
            words, (row["high"], place), (8, 0), textcoords="offset points", va="center", fontsize=10
        )
    axis.set_yticks(range(len(table)), table.index)
    axis.set(ylim=(len(table) - 0.5, -0.5), xlabel=xlabel, title=title)
    axis.margins(x=0.3)
    axis.grid(axis="y", visible=False)
    return figure

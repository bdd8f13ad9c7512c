"""Figures of the multi-task network: what its sequences know, how it learns, what it says, where it looks."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from affkit.labelfiles.formats import constant_runs
from affkit.labels import EXPRESSIONS, VA, Labels
from affkit_lab.figures.style import PALETTE, line_styles

MARKS = {"train": "o", "validation": "s"}
DASHES = {"train": "-", "validation": "--"}


def window_picture(states: np.ndarray, names: Sequence[str], title: str = "") -> Figure:
    """A row a sequence, a column a frame, the darker the more is known of it.

    ``states`` ``(B, T)`` are numbers of ``names``, as ``window_states`` gives.
    """
    shades = ["white", *sns.color_palette("Blues", len(names) - 1)]
    figure, axis = plt.subplots(figsize=(11, 1.3 + 0.28 * len(states)))
    edges = np.arange(states.shape[1] + 1) + 0.5, np.arange(len(states) + 1) + 0.5
    axis.pcolormesh(*edges, states, cmap=ListedColormap(shades), vmin=0, vmax=len(names) - 1)
    for line in edges[1]:
        axis.axhline(line, color="0.4", linewidth=0.8)
    axis.set(xlabel="frame of the sequence", ylabel="sequence", title=title)
    axis.set_yticks(range(1, len(states) + 1))
    axis.invert_yaxis()
    axis.grid(False)
    patches = [plt.Rectangle((0, 0), 1, 1, facecolor=shade, edgecolor="0.4") for shade in shades]
    figure.legend(patches, names, loc="outside lower center", ncols=len(names), fontsize=9)
    return figure


def run_curves(runs: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]], title: str = "") -> Figure:
    """Runs of ``watched_run``: above the terms of Eq. 6, below scores of sets.

    Parameters
    ----------
    runs:
        Name to the log and the scores. The first is drawn as a line, the others, which may be very short,
        with marks. Each run has its colour, each set its mark and its dash.
    """
    figure, axes = plt.subplots(2, 2, figsize=(11, 6), sharex=True)
    terms = {"va": "alpha (1 - CCC), training batches", "expression": "beta cross entropy, training batches"}
    for axis, (term, words) in zip(axes[0], terms.items(), strict=True):
        for place, (name, (log, _)) in enumerate(runs.items()):
            mark = "o" if place else ""
            axis.plot(log["step"], log[term], marker=mark, markersize=4, label=name, **line_styles()[place])
        axis.set_title(words, fontsize=11)
        axis.legend(fontsize=9)
    shown = {"ccc_valence": "CCC of valence", "expression_accuracy": "accuracy of expressions"}
    for axis, (metric, words) in zip(axes[1], shown.items(), strict=True):
        for (name, (_, scores)), style in zip(runs.items(), line_styles(), strict=False):
            for subset, own in scores.groupby("set", sort=False):
                style |= {"marker": MARKS.get(subset, "D"), "linestyle": DASHES.get(subset, ":")}
                axis.plot(own["step"], own[metric], label=f"{name}, {subset}", **style)
        axis.set_title(words, fontsize=11)
        axis.set_xlabel("step")
        axis.margins(y=0.12)
        axis.legend(fontsize=9)
    figure.suptitle(title)
    return figure


def clip_answers(said: pd.DataFrame, labels: Labels, fps: float = 30.0, title: str = "") -> Figure:
    """What a network says about a clip, beside its labels: valence, arousal, and a band of expressions.

    Parameters
    ----------
    said:
        A row a frame, NaN where there is no face: valence, arousal and the seven probabilities, as
        :func:`~affkit.evaluation.predict.predict_store` names them.
    labels:
        Of the same frames.
    """
    seconds = np.arange(len(labels)) / fps
    figure, axes = plt.subplots(3, 1, figsize=(11, 6.6), sharex=True, height_ratios=[2, 2, 2.6])
    for axis, name in zip(axes, VA, strict=False):
        truth = np.where(labels.has_va, getattr(labels, name), np.nan)
        axis.plot(seconds, truth, color="0.25", label="label")
        axis.plot(seconds, said[name], color=PALETTE[1], linestyle="--", label="the network")
        axis.axhline(0, color="0.6", linewidth=0.8)
        axis.set(ylabel=name, ylim=(-1.05, 1.05))
    axes[0].legend(loc="upper right", ncols=2, fontsize=9)
    axes[0].set_title(title)
    edges = np.arange(len(labels) + 1) / fps, np.arange(len(EXPRESSIONS) + 1) - 0.5
    shade = axes[2].pcolormesh(*edges, said[list(EXPRESSIONS)].to_numpy().T, cmap="Blues", vmin=0, vmax=1)
    classes = np.where(labels.has_expression, labels.expression, -1)
    for start, stop in constant_runs(classes).tolist():
        if classes[start] >= 0:
            box = (start / fps, classes[start] - 0.42), (stop - start) / fps, 0.84
            axes[2].add_patch(plt.Rectangle(*box, fill=False, edgecolor=PALETTE[1], linewidth=2))
    axes[2].set(yticks=range(len(EXPRESSIONS)), yticklabels=EXPRESSIONS, xlabel="seconds")
    axes[2].invert_yaxis()
    axes[2].grid(False)
    bar = figure.colorbar(shade, ax=axes[2], location="bottom", fraction=0.07, pad=0.02, shrink=0.5)
    bar.set_label("probability; in the boxes is the label", fontsize=10)
    return figure


def attention_picture(weights: np.ndarray, labels: Labels, fps: float = 30.0, title: str = "") -> Figure:
    """Where attention looks over a clip: time to the right, how many frames back upwards, dark is much.

    Parameters
    ----------
    weights:
        ``(T, L)``, the present frame last, NaN without a face, as
        :func:`~affkit_course.lessons.nb09_attention.clip_attention` gives them.
    labels:
        Of the same frames; valence and arousal are drawn above.
    """
    frames, length = weights.shape
    seconds = np.arange(frames) / fps
    figure, (traces, heat) = plt.subplots(2, 1, figsize=(11, 5.4), sharex=True, height_ratios=[1.4, 2.4])
    for name, style in zip(VA, line_styles(), strict=False):
        values = np.where(labels.has_va, getattr(labels, name), np.nan)
        traces.plot(seconds, values[:frames], label=name, **style)
    traces.axhline(0, color="0.6", linewidth=0.8)
    traces.set(ylim=(-1.05, 1.05), ylabel="labels", title=title)
    traces.legend(loc="upper right", ncols=2, fontsize=9)
    share = weights * (weights > 0).sum(axis=1, keepdims=True)  # (T, L), 1 where even
    edges = np.arange(frames + 1) / fps, np.arange(length + 1) - 0.5
    most = max(2.0, np.nanquantile(share, 0.99))
    shade = heat.pcolormesh(*edges, share[:, ::-1].T, cmap="Blues", vmin=0, vmax=most)
    heat.set(xlabel="seconds", ylabel="frames back")
    heat.grid(False)
    bar = figure.colorbar(shade, ax=heat, location="bottom", fraction=0.07, pad=0.02, shrink=0.5)
    bar.set_label("attention weight, 1 if all frames that can be seen had the same", fontsize=10)
    return figure


def gap_curves(gaps: pd.DataFrame, title: str = "") -> Figure:
    """Differences between two runs over their steps, a line a column, on a logarithmic axis.

    ``gaps`` are those of :func:`~affkit_course.lessons.nb09.log_gaps`; a gap of 0 has no place on that axis.
    """
    figure, axis = plt.subplots(figsize=(8, 3.6))
    for (name, values), style in zip(gaps.items(), line_styles(), strict=False):
        values = values[values > 0]
        axis.plot(values.index, values, label=str(name), linewidth=1.6, **style)
    axis.set_yscale("log")
    axis.set(xlabel="step", ylabel="difference of the losses", title=title)
    axis.legend(fontsize=9)
    return figure

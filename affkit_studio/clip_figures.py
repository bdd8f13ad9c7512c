"""Figures of one clip for the notebooks: its labels and predictions, its frames, and who is seen in them."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from affkit.labelfiles.formats import constant_runs, true_runs
from affkit.labels import VA, Labels
from affkit_lab.figures.style import PALETTE, line_styles


def valence_arousal_plane(traces: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str = "") -> Figure:
    """Paths of faces through the valence-arousal plane: name -> (valence ``(T,)``, arousal ``(T,)``)."""
    figure, axis = plt.subplots(figsize=(4.6, 4.6))
    axis.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.6"))
    for (name, (valence, arousal)), style in zip(traces.items(), line_styles(), strict=False):
        axis.plot(valence, arousal, label=name, linewidth=1.6, **style)
    axis.axhline(0, color="0.6", linewidth=0.8)
    axis.axvline(0, color="0.6", linewidth=0.8)
    axis.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal", title=title)
    axis.set(xlabel="valence (negative to positive)", ylabel="arousal (passive to active)")
    axis.legend(loc="lower right", fontsize=8)
    return figure


def label_timeline(labels: Labels, fps: float = 30.0, title: str = "") -> Figure:
    """One clip's labels over time: valence and arousal, the expression, and a lane for each action unit.

    Frames that are not labelled stay empty.
    """
    seconds = np.arange(len(labels)) / fps
    size = {"figsize": (11, 5.4), "height_ratios": [3, 0.9, 3]}
    figure, (traces, band, lanes) = plt.subplots(3, 1, sharex=True, **size)
    for name, style in zip(VA, line_styles(), strict=False):
        traces.plot(seconds, np.where(labels.has_va, getattr(labels, name), np.nan), label=name, **style)
    traces.axhline(0, color="0.6", linewidth=0.8)
    traces.set(ylim=(-1.05, 1.05), ylabel="valence, arousal", title=title)
    traces.legend(loc="upper right", ncols=2, fontsize=8)
    classes = np.where(labels.has_expression, labels.expression, -1)
    for start, stop in constant_runs(classes).tolist():
        expression = classes[start]
        if expression < 0:  # not labelled
            continue
        band.axvspan(start / fps, stop / fps, color=PALETTE[expression % len(PALETTE)], alpha=0.45)
        if stop - start > 0.05 * len(labels):
            name = labels.expression_names[expression]
            band.text((start + stop) / 2 / fps, 0.5, name, ha="center", va="center", fontsize=9)
    band.set(ylim=(0, 1), yticks=[])
    band.set_ylabel("expression", rotation=0, ha="right", va="center")
    for lane in range(len(labels.action_unit_names)):
        on = labels.has_action_units[:, lane] & (labels.action_units[:, lane] == 1)
        for start, stop in true_runs(on).tolist():
            lanes.barh(lane, (stop - start) / fps, left=start / fps, height=0.7, color=PALETTE[0])
    lanes.set_yticks(range(len(labels.action_unit_names)), labels.action_unit_names)
    lanes.set(xlabel="seconds", ylim=(len(labels.action_unit_names) - 0.4, -0.6), xlim=(0, len(labels) / fps))
    return figure


def traces_over_time(
    truth: Mapping[str, np.ndarray],
    predicted: Mapping[str, np.ndarray],
    fps: float = 30.0,
    title: str = "",
    names: tuple[str, str] = ("truth", "predicted"),
) -> Figure:
    """Truth and prediction of the same keys, ``(T,)`` each, one row a key; NaN leaves a gap."""
    figure, axes = plt.subplots(len(truth), 1, figsize=(11, 1 + 1.9 * len(truth)), sharex=True, squeeze=False)
    for axis, key in zip(axes[:, 0], truth, strict=True):
        axis.plot(np.arange(len(truth[key])) / fps, truth[key], color="0.25", label=names[0])
        seconds = np.arange(len(predicted[key])) / fps
        axis.plot(seconds, predicted[key], color=PALETTE[1], linestyle="--", label=names[1])
        axis.set(ylabel=key, ylim=(-1.05, 1.05))
    axes[0, 0].legend(loc="upper right", ncols=2, fontsize=8)
    axes[0, 0].set_title(title)
    axes[-1, 0].set_xlabel("seconds")
    return figure


def retiming(mappings: Mapping[str, np.ndarray], fps: int = 30) -> Figure:
    """Where conversions to a constant rate repeat or drop frames.

    ``mappings``: clip to ``(T,)``, the source frame (0-based) that each new frame shows, as ``convert_video``
    returns it.
    """
    size = (11, 0.9 + 0.9 * len(mappings))
    figure, axes = plt.subplots(len(mappings), 1, figsize=size, sharex=True, squeeze=False)
    for axis, (name, shown) in zip(axes[:, 0], mappings.items(), strict=True):
        seconds, step = np.arange(1, len(shown)) / fps, np.diff(shown)
        repeated, dropped = seconds[step == 0], seconds[step > 1]
        axis.plot(repeated, 0 * repeated, "|", markersize=16, label="repeated")
        axis.plot(dropped, 0 * dropped + 1, "x", color=PALETTE[3], label="one or more dropped")
        axis.set(yticks=[], ylim=(-0.6, 1.6), xlim=(0, None))
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=9)
    axes[-1, 0].set_xlabel("seconds of the new clip")
    return figure


def presence(frames: Mapping[str, np.ndarray], fps: float = 30.0, title: str = "") -> Figure:
    """In which frames each face was found: name to its frame numbers (1-based), a bar a stretch."""
    figure, axis = plt.subplots(figsize=(11, 1 + 0.35 * len(frames)))
    for lane, numbers in enumerate(frames.values()):
        numbers = np.sort(np.asarray(numbers))
        for run in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1):
            first = run[0] - 1 if len(run) else 0  # who is never seen has a lane nevertheless
            axis.barh(lane, len(run) / fps, left=first / fps, height=0.6, color=PALETTE[0])
    axis.set(yticks=range(len(frames)), yticklabels=list(frames), xlabel="seconds", title=title)
    axis.invert_yaxis()
    return figure

"""Figures of experiments: every seed a dot, beside the paper's number and baseline."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from affkit.evaluation.intervals import interval
from affkit_lab.experiments import enrichment, table_ix, table_x, table_xi
from affkit_lab.experiments.baselines import best_baseline
from affkit_lab.experiments.results import AU_SCORES, MTL_SCORES, SCORE_NAMES, VA_SCORES, Results
from affkit_lab.experiments.semi_supervised import ARMS
from affkit_lab.figures.style import PALETTE

# a mark through which the dots behind it can be seen
HOLLOW = {"color": PALETTE[1], "markersize": 8, "markerfacecolor": "none", "markeredgewidth": 2}


def table_ix_bars(results: Results, title: str = "Table IX") -> Figure:
    """A panel a score: a bar as long as the mean, a dot a seed, a diamond for the paper's number."""
    rows = table_ix.ROWS.items()
    names = {name: f"{row.tells}\n{row.loss.replace(' + cross entropy', ' + CE')}" for name, row in rows}
    return _bars_beside_paper(results, names, VA_SCORES + AU_SCORES, table_ix.PAPER, title)


def table_x_bars(results: Results, title: str = "Table X") -> Figure:
    """As :func:`table_ix_bars`."""
    weights = {name: f"({alpha:g}, {beta:g})" for name, (alpha, beta) in table_x.ROWS.items()}
    return _bars_beside_paper(results, weights | table_x.ALONE, MTL_SCORES, table_x.PAPER, title)


def table_xi_bars(results: Results, title: str = "Table XI") -> Figure:
    """As :func:`table_ix_bars`."""
    names = {
        name: f"{row.va_loss.upper()} + {table_xi.SHORT_WORDS[row.expression_loss]}, {row.lr:g}"
        for name, row in table_xi.ROWS.items()
    }
    return _bars_beside_paper(results, names, MTL_SCORES, table_xi.PAPER, title)


def _bars_beside_paper(
    results: Results,
    names: Mapping[str, str],
    metrics: tuple[str, ...],
    paper: Mapping[str, Mapping[str, float]],
    title: str,
) -> Figure:
    """Horizontal bars of those rows that were trained, the first one at the top, a panel each of ``metrics``.

    A row without a score has no bar in its panel; the best baseline is a dashed line. ``names`` gives what is
    written beside a row, ``paper`` its scores in the paper.
    """
    scores, baseline = results.test, best_baseline(results.baselines)
    rows = {name: words for name, words in names.items() if name in set(scores["row"])}
    a_row = 0.55 if len(rows) < 9 else 0.46  # inches: a long table would not fit on a screen
    size = (11, 1.6 + a_row * len(rows))
    figure, axes = plt.subplots(1, len(metrics), figsize=size, sharey=True, squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        axis.use_sticky_edges = False  # room for a dot at 0
        for place, row in enumerate(rows):
            values = scores[scores["row"] == row].get(metric, pd.Series(dtype=float)).dropna().to_numpy()
            if len(values):
                axis.barh(place, values.mean(), height=0.6, color=PALETTE[0], alpha=0.35)
                beside = place + (np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else np.zeros(1))
                axis.plot(values, beside, "o", color=PALETTE[0], markersize=5, label="a seed")
            if metric in paper.get(row, {}):
                axis.plot(paper[row][metric], place, "D", label="the paper", **HOLLOW)
        axis.axvline(baseline[metric], color="0.4", linestyle="--", linewidth=1.2, label="baseline")
        axis.set_title(SCORE_NAMES[metric], fontsize=11)
        axis.grid(axis="y", visible=False)
    axes[0, 0].set_yticks(range(len(rows)), list(rows.values()), fontsize=9)
    axes[0, 0].set_ylim(len(rows) - 0.5, -0.5)
    return _with_legend(figure, axes[0], title)


def label_share_curves(
    results: Results, metrics: tuple[str, ...] = (*VA_SCORES, *AU_SCORES[:2]), title: str = ""
) -> Figure:
    """Scores of ``semi_supervised`` against the fraction of labels: a dot a seed, lines the means."""
    scores, baseline = results.test, best_baseline(results.baselines)
    figure, axes = plt.subplots(1, len(metrics), figsize=(11, 3.8), squeeze=False)
    fractions = sorted(scores["fraction"].unique())
    for axis, metric in zip(axes[0], metrics, strict=True):
        for unlabelled, words in ARMS.items():
            own = scores[scores["unlabelled"] == unlabelled]
            style = {"color": PALETTE[int(unlabelled)], "marker": "os"[unlabelled]}
            means = own.groupby("fraction")[metric].mean()
            nudge = 1.04 if unlabelled else 1 / 1.04  # so that dots of both stay visible
            axis.plot(own["fraction"] * nudge, own[metric], linestyle="", alpha=0.5, markersize=5, **style)
            line = ("-", "--")[unlabelled]
            axis.plot(means.index * nudge, means, linestyle=line, markersize=8, label=words, **style)
        axis.axhline(baseline[metric], color="0.4", linestyle=":", linewidth=1.5, label="baseline")
        axis.set_xscale("log")
        axis.set_xticks(fractions, [f"{100 * fraction:g}" for fraction in fractions])
        axis.minorticks_off()
        axis.set_title(SCORE_NAMES[metric], fontsize=11)
        axis.set_xlabel("% of faces that keep labels", fontsize=10)
    return _with_legend(figure, axes[0], title)


def enrichment_gains(results: Results, title: str = "") -> Figure:
    """What added faces change in ``enrich``: a column a fraction of labels, a row a score.

    0 is real faces alone. A small dot a seed, a diamond their mean, a line its 95% interval.
    """
    table, by = enrichment.gains(results), ["arm", "amount"]
    fractions, arms = sorted(table["fraction"].unique()), list(table.groupby(by, observed=True).groups)
    size = {"figsize": (11, 1.6 + 1.0 * len(arms)), "sharex": True, "sharey": True}
    figure, axes = plt.subplots(len(enrichment.CLAIMED), len(fractions), squeeze=False, **size)
    for score, line in zip(enrichment.CLAIMED, axes, strict=True):
        for fraction, axis in zip(fractions, line, strict=True):
            axis.axvline(0, color="0.4", linestyle="--", linewidth=1.2, label="real faces alone")
            for arm, own in table[table["fraction"] == fraction].groupby(by, observed=True):
                _gain(axis, own[score].to_numpy(), arms.index(arm))
            axis.set_title(f"{100 * fraction:g}% of the labels", fontsize=11)
            axis.set_xlabel(f"change of {score}", fontsize=10)
            axis.tick_params(labelbottom=True)
            axis.grid(axis="y", visible=False)
    words = {"classic": "changed real", "discriminator": "labelled by D", "teacher": "labelled by teacher"}
    names = [f"{words[kind]}, {amount:g} x" for kind, amount in arms]
    axes[0, 0].set_yticks(range(len(arms)), names)
    for axis in axes[:, 0]:
        axis.tick_params(axis="y", labelsize=9)
    axes[0, 0].set_ylim(len(arms) - 0.5, -0.5)
    return _with_legend(figure, axes[0], title)


def _gain(axis, differences: np.ndarray, place: int) -> None:
    """The differences of the seeds ``(N,)``, their mean and its interval, on one line."""
    mean, low, high = interval(differences)
    below = np.full(len(differences), place + 0.25)
    axis.plot(differences, below, "o", color=PALETTE[0], markersize=4, alpha=0.5, label="a seed")
    axis.plot(mean, place, "D", color=PALETTE[1], markersize=6, label="mean")
    if np.isfinite(low):
        axis.plot([low, high], [place, place], color=PALETTE[1], linewidth=2, label="95% interval")


def _with_legend(figure: Figure, axes: np.ndarray, title: str) -> Figure:
    """The figure with one legend below all panels, each entry once."""
    entries = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    style = {"loc": "outside lower center", "ncols": len(entries), "fontsize": 9}
    figure.legend(entries.values(), entries, **style)
    figure.suptitle(title)
    return figure

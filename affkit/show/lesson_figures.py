"""Figures that a single lesson needs: tables of shares, and scores of one model on several splits."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from affkit.show.plots import PALETTE


def share_heatmap(shares: pd.DataFrame, title: str = "") -> Figure:
    """A table of shares, 0 to 1, as percent on blue; cells that are 0 or missing stay without a number."""
    rows, columns = shares.shape
    figure, axis = plt.subplots(figsize=(min(11, 2 + 0.62 * columns), 0.9 + 0.36 * rows))
    words = shares.map(lambda share: f"{share:.0%}" if share > 0 else "")  # a NaN is not above 0
    sns.heatmap(
        shares.fillna(0),
        annot=words,
        fmt="",
        cmap="Blues",
        vmin=0,
        vmax=1,
        cbar=False,
        linewidths=0.5,
        ax=axis,
    )
    axis.set(title=title, xlabel="", ylabel="")
    axis.tick_params(axis="y", rotation=0)
    return figure


def scores_by_group(
    scores: pd.DataFrame,
    group: str,
    metrics: Mapping[str, str],
    names: Mapping[object, str] | None = None,
    baseline: Mapping[str, float] | None = None,
    title: str = "",
) -> Figure:
    """One panel a metric: a dot for each run, in a column for each value of ``group``, with their mean.

    Parameters
    ----------
    scores:
        A row a run, such as :func:`affkit.learn.small_model.split_scores` gives.
    group:
        The column that tells the runs apart.
    metrics:
        Column to the title of its panel.
    names:
        Value of ``group`` to what is written below its column.
    baseline:
        Column to a score that needs no model; drawn as a dashed line.
    """
    values = list(scores[group].unique())
    figure, axes = plt.subplots(1, len(metrics), figsize=(11, 3.6), sharey=True, squeeze=False)
    for axis, (column, words) in zip(axes[0], metrics.items(), strict=True):
        parts = [scores.loc[scores[group] == value, column].to_numpy() for value in values]
        for place, part in enumerate(parts):
            beside = place + np.linspace(-0.12, 0.12, len(part)) if len(part) > 1 else [place]
            axis.plot(beside, part, "o", color=PALETTE[place % len(PALETTE)], alpha=0.55, markersize=5)
        means = [part.mean() for part in parts]
        axis.plot(range(len(values)), means, "_", color="0.15", markersize=34, markeredgewidth=2.5)
        for place, mean in enumerate(means):
            axis.annotate(
                f"{mean:.2f}",
                (place + 0.3, mean),
                va="center",
                fontsize=11,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        if baseline and column in baseline:
            axis.axhline(baseline[column], color="0.4", linestyle="--", linewidth=1.2)
        axis.set(title=words, xlim=(-0.5, len(values) - 0.3))
        axis.set_xticks(range(len(values)), [str((names or {}).get(value, value)) for value in values])
        axis.grid(axis="x", visible=False)
    axes[0, 0].set_ylabel("score")
    figure.suptitle(title)
    return figure

"""The picture of the benchmarks: how many times better than the plain way, and what is asked beside it."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import FuncFormatter

BLUE, ORANGE = "#0173b2", "#d55e00"


def draw(results: pd.DataFrame, path: Path, machine: str) -> None:
    """Dots with the range of the rounds, on two logarithmic axes; a target is a bar, missed ones are orange.

    Left: what has a plain way, as a ratio to it. Right: what has a bound of its own, as a fraction of it.
    """
    targets = results["target"].fillna("")
    own = results[targets.ne("") & ~targets.str.endswith("x")]
    ratios = results[results["ratio"].notna() & ~results.index.isin(own.index)]
    rows = max(len(ratios), len(own))
    figure, (left, right) = plt.subplots(1, 2, figsize=(15, 1.8 + 0.27 * rows), layout="constrained")
    _dots(left, [_ratio(row) for row in ratios.to_dict("records")])
    _dots(right, [_share(row) for row in own.to_dict("records")])
    left.set(title="Times better than the plain way", xlabel="ratio in the same run (bar: target)")
    right.set(title="Beside what is asked", xlabel="fraction of the bound (bar)")
    figure.suptitle(f"make bench: medians and ranges, on {machine}", fontsize=9)
    with plt.rc_context({"svg.hashsalt": "results", "svg.fonttype": "path"}):
        figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _ratio(row: dict) -> tuple:
    target = bounds(row["target"])[1] if row["target"] else None
    name = row["name"] + (f" ({row['target']})" if row["target"] else "")
    return name, row["ratio_low"], row["ratio"], row["ratio_high"], target, row["result"]


def _share(row: dict) -> tuple:
    sign, bound, _ = bounds(row["target"])
    low, middle, high = (row[name] / bound for name in ("ours_low", "ours", "ours_high"))
    return f"{row['name']} ({sign} {bound:g} {row['unit']})", low, middle, high, 1.0, row["result"]


def _dots(axis, rows: list[tuple]) -> None:
    """One line a row, from above: name, lowest, median, highest, target or None, verdict."""
    for y, (_, low, middle, high, target, result) in enumerate(rows):
        missed = result == "missed"
        color, marker = (ORANGE, "X") if missed else (BLUE, "o")
        axis.plot([low, high], [y, y], color=color, linewidth=3, alpha=0.4)
        axis.plot([middle], [y], color=color, marker=marker, markersize=6)
        axis.annotate(f"{middle:.3g}", (high, y), (6, 0), textcoords="offset points", va="center", fontsize=8)
        if target is not None:
            axis.plot([target, target], [y - 0.4, y + 0.4], color="0.2", linewidth=2)
    axis.axvline(1, color="0.6", linewidth=0.8)
    axis.set(xscale="log", yticks=range(len(rows)), yticklabels=[row[0] for row in rows])
    axis.tick_params(axis="y", labelsize=8)
    axis.invert_yaxis()
    axis.grid(axis="x", color="0.9")
    axis.margins(x=0.16)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def bounds(target: str) -> tuple[str, float, bool]:
    """Sign and number of a target, and whether it is of the ratio.

    >>> bounds(">= 4x"), bounds("<= 0.9")
    (('>=', 4.0, True), ('<=', 0.9, False))
    """
    sign, bound, times = re.fullmatch(r"(>=|<=) *([\d.]+)(x?)", target).groups()
    return sign, float(bound), bool(times)

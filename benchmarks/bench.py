"""Every benchmark in one run, one table and one picture: ours beside the plain way to do the same.

    python benchmarks/bench.py [--quick] [--rounds N] [--save] [NAME ...]

Each ``bench_NAME.py`` here has a function ``rows(quick)`` that measures and returns dictionaries: name, plain
(what it is compared with) and plain_value (None where there is nothing to compare), ours, unit, ratio
(above 1: ours is better by so much), target such as ``>= 4x`` (of the ratio) or ``>= 10`` (of ours), better
("higher" or "lower"). All of them are measured, then all again: the table has the medians of the rounds, and
the lowest and highest in brackets. ``--save`` writes ``results.csv``, ``results.md`` and ``results.svg``
beside this file; what was saved of benchmarks that are not named stays.
"""

import argparse
import importlib
import os
import platform
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from draw_results import bounds, draw
from tqdm import tqdm

HERE = Path(__file__).parent
PACKAGES = ("torch", "opencv-python-headless", "av", "numpy")
KEYS = ["benchmark", "name", "plain", "unit", "target"]
VALUES = ["plain_value", "ours", "ratio"]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return 1 when a target was missed."""
    parser = argparse.ArgumentParser(description="Measure the speeds that the README states.")
    parser.add_argument("names", nargs="*", help="only these, such as faces; all without")
    parser.add_argument("--quick", action="store_true", help="less work, rougher figures")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; 3 without")
    parser.add_argument("--save", action="store_true", help="write results.csv, .md and .svg")
    options = parser.parse_args(arguments)
    every = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    if unknown := set(options.names) - set(every):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; choose from {', '.join(every)}")
    measured = measure(options.names or every, 1 if options.quick else max(options.rounds, 1), options.quick)
    results = summary(measured)
    print(f"\n{machine()}\n\n{table(results).to_string(index=False)}")
    if options.save:
        save(HERE, results)
    return 1 if "missed" in set(results["result"]) else 0


def measure(names: Sequence[str], rounds: int, quick: bool) -> pd.DataFrame:
    """One line for each row of each benchmark and round."""
    found = []
    with tqdm(total=rounds * len(names), unit="benchmark") as bar:
        for number in range(rounds):
            for name in names:
                bar.set_description(f"round {number + 1}: {name}")
                rows = importlib.import_module(f"bench_{name}").rows(quick=quick)
                found += [{"benchmark": name, "round": number} | row for row in rows]
                bar.update()
    return pd.DataFrame(found)


def summary(measured: pd.DataFrame) -> pd.DataFrame:
    """A line for each row: medians over the rounds, the range of ours and of the ratio, and the verdict.

    >>> rows = [dict(benchmark="b", name="n", plain="p", unit="s", target=">= 2x", plain_value=9.0,
    ...              ours=ours, ratio=9 / ours) for ours in (3.0, 4.5, 9.0)]
    >>> summary(pd.DataFrame(rows))[["ours", "ratio", "ratio_low", "ratio_high", "result"]].values.tolist()
    [[4.5, 2.0, 1.0, 3.0, 'reached']]
    """
    values = measured.astype({name: float for name in VALUES}).groupby(KEYS, sort=False, dropna=False)
    found = values[VALUES].median()
    for name in ("ours", "ratio"):
        found[f"{name}_low"], found[f"{name}_high"] = values[name].min(), values[name].max()
    found["rounds"] = values.size()
    found = found.reset_index()
    return found.assign(result=[judge(row) for row in found.to_dict("records")])


def judge(row: dict) -> str:
    """``reached`` or ``missed``; nothing without a target.

    >>> judge({"target": ">= 4x", "ratio": 5.0, "ours": 1.0})
    'reached'
    >>> judge({"target": ">= 10", "ratio": None, "ours": 9.0})
    'missed'
    """
    if not row["target"]:
        return ""
    sign, bound, times = bounds(row["target"])
    value = row["ratio"] if times else row["ours"]
    return "reached" if (value >= bound if sign == ">=" else value <= bound) else "missed"


def table(results: pd.DataFrame) -> pd.DataFrame:
    """The summary as a person reads it: few digits, units, ranges in brackets."""
    lines = []
    for row in results.to_dict("records"):
        compared = pd.notna(row["plain_value"])
        ratio = f"{row['ratio']:.2f}x ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
        ours = f"{row['ours']:.3g} {row['unit']} ({row['ours_low']:.3g} to {row['ours_high']:.3g})"
        lines.append(
            {
                "what": row["name"],
                "plain way": row["plain"] if compared else "",
                "plain": f"{row['plain_value']:.3g} {row['unit']}" if compared else "",
                "ours": ours,
                "ratio": ratio if compared else "",
                "target": row["target"],
                "result": row["result"],
            }
        )
    return pd.DataFrame(lines)


def save(folder: Path, results: pd.DataFrame) -> None:
    """Write table and picture; lines of other benchmarks that are there stay."""
    path = folder / "results.csv"
    if path.exists():
        old = pd.read_csv(path).fillna({name: "" for name in ("plain", "unit", "target", "result")})
        results = pd.concat([old[~old["benchmark"].isin(results["benchmark"])], results])
        results = results.sort_values("benchmark", kind="stable")
    results.to_csv(path, index=False)
    words = (
        f"Measured by `make bench` on {machine()}: medians of the rounds, with the lowest and the highest."
    )
    picture = "![Ratios to the plain way, and times beside what is allowed](results.svg)"
    text = f"# Speed\n\n{words}\n\n{picture}\n\n{markdown(table(results))}\n"
    (folder / "results.md").write_text(text)
    draw(results, folder / "results.svg", machine())


def machine() -> str:
    """What the figures were measured on, in one line."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", info.read_text()) if info.exists() else None
    processor = model[1] if model else platform.processor() or platform.machine()
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{os.cpu_count()} cores ({processor}), Python {platform.python_version()}, {packages}"


def markdown(results: pd.DataFrame) -> str:
    lines = [list(results.columns), ["---"] * results.shape[1], *results.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())

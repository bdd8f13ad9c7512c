"""Every benchmark in one run and one table: ours beside the plain way to do the same.

    python benchmarks/bench.py [--quick] [--save] [NAME ...]

Each ``bench_NAME.py`` here has a function ``rows(quick)`` that measures and returns dictionaries: name, plain
(what it is compared with) and plain_value (None where there is nothing to compare), ours, unit, ratio
(above 1: ours is better by so much), target such as ``>= 4x`` (of the ratio) or ``>= 10`` (of ours), better
("higher" or "lower"). ``--save`` writes the table to ``results.csv`` and ``results.md`` beside this file.
"""

import argparse
import importlib
import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from tqdm import tqdm

HERE = Path(__file__).parent
PACKAGES = ("torch", "opencv-python-headless", "av", "numpy")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return 1 when a target was missed."""
    parser = argparse.ArgumentParser(description="Measure the speeds that the README states.")
    parser.add_argument("names", nargs="*", help="only these, such as faces; all without")
    parser.add_argument("--quick", action="store_true", help="less work, rougher figures")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results.csv and results.md")
    options = parser.parse_args(arguments)
    names = options.names or sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    rows = []
    for name in (bar := tqdm(names, unit="benchmark")):
        bar.set_description(name)
        rows += importlib.import_module(f"bench_{name}").rows(quick=options.quick)
    results = pd.DataFrame([tidy(row) for row in rows])
    print(f"\n{machine()}\n\n{results.to_string(index=False)}")
    if options.save:
        results.to_csv(HERE / "results.csv", index=False)
        (HERE / "results.md").write_text(f"{machine()}\n\n{markdown(results)}\n")
    return 1 if "missed" in set(results["result"]) else 0


def tidy(row: dict) -> dict:
    """One line of the table: few digits, and whether the target was reached."""
    unit, plain = row["unit"], row["plain_value"]
    return {
        "what": row["name"],
        "plain way": row["plain"] if plain is not None else "",
        "plain": f"{plain:.4g} {unit}" if plain is not None else "",
        "ours": f"{row['ours']:.4g} {unit}",
        "ratio": f"{row['ratio']:.2f}x" if row["ratio"] is not None else "",
        "target": row["target"],
        "result": judge(row),
    }


def judge(row: dict) -> str:
    """``reached`` or ``missed``; nothing without a target.

    >>> judge({"target": ">= 4x", "ratio": 5.0, "ours": 1.0})
    'reached'
    >>> judge({"target": ">= 10", "ratio": None, "ours": 9.0})
    'missed'
    """
    if not row["target"]:
        return ""
    sign, bound, times = re.fullmatch(r"(>=|<=) *([\d.]+)(x?)", row["target"]).groups()
    value = row["ratio"] if times else row["ours"]
    return "reached" if (value >= float(bound) if sign == ">=" else value <= float(bound)) else "missed"


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

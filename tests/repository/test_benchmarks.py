"""The benchmarks call the library as it is: the quick ones run, and give rows as bench.py wants them."""

import importlib
import math
import sys

import pytest
from repository import ROOT

RUNS = {  # what measures little or nothing long
    "store": lambda bench: bench.rows(quick=True),
    "render": lambda bench: bench.rows(quick=True),
    "mtl": lambda bench: [bench.one(width=0.02, rounds=1)],
    "convert": lambda bench: bench.rows(quick=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_benchmark_runs(name, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    for row in RUNS[name](importlib.import_module(f"bench_{name}")):
        assert {"name", "plain", "plain_value", "ours", "unit", "ratio", "target"} <= set(row)
        assert math.isfinite(row["ours"]) and row["ours"] > 0

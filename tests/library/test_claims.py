"""The rule on claims: what holds, what does not and what is not decided; its interval against SciPy."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from affkit.evaluation.intervals import Claim, judge, paper_difference

numbers = st.floats(-1, 1, allow_subnormal=False)


def runs(better, worse, name="f1"):
    """Scores of two rows, a number a seed."""
    rows = {"a": better, "b": worse}.items()
    parts = [pd.DataFrame({"row": row, "seed": range(len(own)), name: own}) for row, own in rows]
    return pd.concat(parts, ignore_index=True)


CLAIM = Claim("a beats b", "a", "b", ("f1",))


@pytest.mark.parametrize("better, worse, verdict", [
    ([0.50, 0.52, 0.54], [0.40, 0.41, 0.42], "holds"),
    ([0.40, 0.41, 0.42], [0.50, 0.52, 0.54], "does not hold"),
    ([0.50, 0.52, 0.30], [0.40, 0.41, 0.42], "not decided"),
    ([0.4, 0.4, 0.4], [0.4, 0.4, 0.4], "not decided"),
    ([0.9], [0.1], "not decided"),
    ([], [], "not decided"),
    # the seeds differ far more than the rows, but both rows move together: only pairs can tell
    ([0.11, 0.52, 0.905], [0.10, 0.51, 0.90], "holds"),
])  # fmt: skip
def test_the_rule(better, worse, verdict):
    found = judge(runs(better, worse), CLAIM)
    assert found.verdict == verdict
    assert found.sentence.lower().startswith(f"{verdict} here: a beats b (")


@settings(max_examples=30)
@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=8))
def test_the_interval_is_that_of_the_paired_t_test(pairs):
    better, worse = np.array(pairs).T
    found = judge(runs(better, worse), CLAIM)
    assert found.mean == pytest.approx(np.mean(better - worse), abs=1e-12)
    if np.ptp(better - worse) > 1e-6:  # SciPy warns where there is no spread
        low, high = ttest_rel(better, worse).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_several_scores_count_as_their_mean_also_in_the_paper_and_lone_seeds_do_not():
    scores = runs([0.5, 0.7, 0.6], [0.1, 0.2, 0.3]).assign(acc=[0.3, 0.5, 0.4, 0.3, 0.2, 0.1])
    lone = pd.DataFrame({"row": ["a"], "seed": [9], "f1": [9.0], "acc": [9.0]})
    both = Claim("a beats b", "a", "b", ("f1", "acc"), paper=-0.007)
    found = judge(pd.concat([scores, lone]), both)
    assert found.differences == pytest.approx([0.2, 0.4, 0.3])
    assert found.sentence.endswith("3 seeds; in the paper's table -0.007).")
    assert judge(scores[scores["row"] == "a"], both).verdict == "not decided"
    table = {"a": {"f1": 0.5, "acc": 0.9}, "b": {"f1": 0.4, "acc": 0.6}}
    assert paper_difference(table, "a", "b", ("f1", "acc")) == pytest.approx(0.2)


def test_one_seed_says_so_and_is_written_without_ends():
    found = judge(runs([0.9], [0.1]), CLAIM)
    assert found.sentence == "Not decided here: a beats b (1 seed, no standard deviation to compare with)."
    written = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert (written["mean"], written["low"], written["high"]) == (pytest.approx(0.8), None, None)
    assert written["claim"]["better"] == "a" and written["sentence"] == found.sentence
    nothing = judge(runs([], []), CLAIM)
    assert json.loads(json.dumps(nothing.as_dict(), allow_nan=False))["mean"] is None

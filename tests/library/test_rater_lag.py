"""Raters who lag are put in step: against NumPy, and lags that are known."""

from dataclasses import replace

import numpy as np
import pytest
from experts import lagging

from affkit.corpus.agreement import align_ratings, combine_ratings, correlation_at_lags
from affkit.corpus.reliability import concordance
from affkit.labels import Labels

RNG = np.random.default_rng(5)


def test_the_correlation_at_each_lag_is_that_of_numpy():
    late, early = RNG.normal(size=(2, 60)) + 3
    has_late, has_early = RNG.random((2, 60)) < 0.9
    late, early = late * has_late, early * has_early
    found = correlation_at_lags(late, has_late, early, has_early, largest=10)
    for lag in range(-10, 11):
        frames = [t for t in range(60) if 0 <= t + lag < 60 and has_early[t] and has_late[t + lag]]
        expected = np.corrcoef(late[[t + lag for t in frames]], early[frames])[0, 1]
        assert found[lag + 10] == pytest.approx(expected)


@pytest.mark.parametrize("lags", [[0, 7], [30, 12, 55, 12], [5, 5, 5]])
def test_lags_are_found(lags):
    aligned, found = align_ratings(lagging(lags), largest_lag=60)
    assert list(found.values()) == [lag - min(lags) for lag in lags]
    for number, lag in enumerate(lags):
        late = lag - min(lags)
        before, after = lagging(lags)[f"R{number}"]["v0"], aligned[f"R{number}"]["v0"]
        assert after.has_va.sum() == 400 - late and not after.has_va[400 - late :].any()
        assert (after.valence[: 400 - late] == before.valence[late:]).all()


def test_alignment_makes_the_mean_better():
    raters, true = lagging([0, 40, 20]), lagging([0], noise=0)["R0"]["v1"]
    plain, aligned = combine_ratings(raters)["v1"], combine_ratings(raters, largest_lag=60)["v1"]
    known = aligned.has_va
    assert known.sum() == 360
    scores = [concordance(one.valence[known], true.valence[known]) for one in (aligned, plain)]
    assert scores[0] > scores[1]


def test_who_never_moves_or_rated_nothing_has_no_lag():
    raters = lagging([3, 0])
    raters["flat"] = {name: replace(one, valence=one.valence * 0, arousal=one.arousal * 0)
                      for name, one in raters["R0"].items()}  # fmt: skip
    raters["A1"] = {name: Labels.empty(400, ("AU1", "AU12")) for name in raters["R0"]}
    aligned, found = align_ratings(raters, largest_lag=10)
    assert found["R0"] - found["R1"] == 3 and "A1" not in found
    assert aligned["A1"] == raters["A1"]

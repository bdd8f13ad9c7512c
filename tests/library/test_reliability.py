"""Reliability against published examples, scikit-learn, statsmodels, NumPy and hand-made annotators."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from experts import EXPERTS, annotators, lagging
from guesses import plain_ccc
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats import inter_rater

from affkit.corpus.agreement import agree, align_ratings, combine_ratings, correlation_at_lags
from affkit.corpus.reliability import (
    agreement_table,
    as_text,
    cohen_kappa,
    concordance,
    fleiss_kappa,
    kept_frames,
    krippendorff_alpha,
    reliability,
    summary,
)
from affkit.labels import EXPRESSIONS, Labels

RNG = np.random.default_rng(5)
NAN = float("nan")

# Krippendorff (2011), Computing Krippendorff's alpha-reliability: four observers, twelve units, 0 is missing
OBSERVERS = np.array([
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
])  # fmt: skip

# Fleiss (1971), as table of 10 subjects and 5 categories, 14 ratings each: kappa 0.210
FLEISS = np.array([
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
])  # fmt: skip


def values_of(table, task, tag):
    chosen = table[(table["task"] == task) & (table["tag"] == tag)]
    return dict(zip(chosen["statistic"], chosen["value"], strict=True))


def test_alpha_and_fleiss_kappa_of_the_published_examples():
    present = OBSERVERS > 0
    assert round(krippendorff_alpha(OBSERVERS, present), 3) == 0.743
    assert round(krippendorff_alpha(OBSERVERS.astype(float), present, "interval"), 3) == 0.849
    assert np.isclose(krippendorff_alpha(OBSERVERS + 7.0, present, "interval"), 0.8491, atol=5e-5)
    values = np.array([np.repeat(np.arange(5), counts) for counts in FLEISS]).T  # (14, 10)
    assert round(fleiss_kappa(values, np.ones(values.shape, bool)), 3) == 0.210
    with pytest.raises(ValueError, match="ordinal"):
        krippendorff_alpha(OBSERVERS, OBSERVERS > 0, "ordinal")


def test_fleiss_kappa_is_that_of_statsmodels_where_all_labelled():
    values, present = RNG.integers(0, 3, (4, 80)), RNG.random((4, 80)) < 0.9
    table, _ = inter_rater.aggregate_raters(values[:, present.all(axis=0)].T)
    assert fleiss_kappa(values, present) == pytest.approx(inter_rater.fleiss_kappa(table))


@pytest.mark.parametrize("classes", [2, 7])
def test_cohens_kappa_is_that_of_scikit_learn(classes):
    first = RNG.integers(0, classes, 500)
    second = np.where(RNG.random(500) < 0.6, first, RNG.integers(0, classes, 500))
    for pair in ((first, second), (first, first), (first, 0 * first), (first, (first + 1) % classes)):
        assert cohen_kappa(*pair) == pytest.approx(cohen_kappa_score(*pair))


def test_where_all_say_the_same_or_nothing_nothing_is_known():
    """Two coders who never mark a rare unit agree everywhere; no measure beyond chance may call it good."""
    same, yes = np.zeros((3, 9), int), np.ones((3, 9), bool)
    assert np.isnan(cohen_kappa(same[0], same[1])) and np.isnan(fleiss_kappa(same, yes))
    flat = np.full((3, 9), 0.1)
    assert np.isnan(krippendorff_alpha(same, yes)) and np.isnan(krippendorff_alpha(flat, yes, "interval"))
    ramp = np.arange(9)
    assert np.isnan(concordance(flat[0], flat[1])) and np.isnan(concordance(flat[0], ramp, "Pearson"))
    assert concordance(flat[0], ramp) == concordance(flat[0], flat[1] + 1) == 0
    none, no = np.zeros((2, 5), int), np.zeros((2, 5), bool)
    one = no.copy()
    one[0] = True  # a single annotator everywhere
    for present in (no, one):
        assert np.isnan(krippendorff_alpha(none, present)) and np.isnan(fleiss_kappa(none, present))
        assert np.isnan(krippendorff_alpha(none, present, "interval"))
    assert np.isnan(cohen_kappa(none[0, :0], none[1, :0]))
    assert all(np.isnan(concordance(none[0, :0], none[1, :0], name)) for name in ("CCC", "Pearson"))


def test_frames_by_reason():
    table = kept_frames(EXPERTS)
    reasons = ("frames", "kept", "all present", "all absent", "disagreed", "not labelled by all")
    for task, tag, *counts in (
        ("action units", "AU1", 5, 2, 1, 1, 1, 2),
        ("action units", "all", 10, 4, 2, 2, 3, 3),
        ("expressions", "Happiness", 5, 1, 1, 1, 1, 2),
        ("expressions", "all", 5, 2, 2, 0, 1, 2),
    ):
        assert values_of(table, task, tag) == dict(zip(reasons, counts, strict=True))
    confused = table[table["statistic"] == "confused"]
    assert confused[["tag", "value"]].values.tolist() == [["Happiness / Surprise", 1]]


@settings(max_examples=25)
@given(annotators(), st.sampled_from(["all", "majority"]), st.sampled_from(["unknown", "absent"]))
def test_kept_frames_are_those_of_the_agreed_labels(annotators, keep, disagreed):
    table, agreed = kept_frames(annotators, keep, disagreed), agree(annotators, keep, disagreed).values()
    kept = table[table["statistic"] == "kept"].set_index(["task", "tag"])["value"].to_dict()
    expected = {
        ("action units", "AU12"): sum(one.has_action_units[:, 1].sum() for one in agreed),
        ("action units", "all"): sum(one.has_action_units.sum() for one in agreed),
        ("expressions", "all"): sum(one.has_expression.sum() for one in agreed),
        ("valence-arousal", "all"): sum(one.has_va.sum() for one in agreed),
    }
    for index, name in enumerate(EXPRESSIONS):
        chosen = ((one.expression == index) & one.has_expression for one in agreed)
        expected["expressions", name] = sum(mask.sum() for mask in chosen)
    assert all(kept[key] == expected[key] for key in kept if key in expected)
    for (task, tag), count in table[table["statistic"] == "frames"].groupby(["task", "tag"])["value"]:
        found = values_of(table, task, tag)
        reasons = ("kept",) if task == "valence-arousal" else ("all present", "all absent", "disagreed")
        assert sum(found[name] for name in reasons) + found["not labelled by all"] == count.item()


def test_reliability_of_each_tag():
    table = reliability(EXPERTS)
    first = values_of(table, "action units", "AU1")
    assert first["annotators"] == 3 and first["percent agreement"] == pytest.approx(100 * 2 / 3)
    assert first["Cohen's kappa, A1 and A2"] == 1
    assert first["Cohen's kappa, A1 and A3"] == pytest.approx(cohen_kappa_score([1, 0, 1], [1, 0, 0]))
    pairs = [first[f"Cohen's kappa, {pair}"] for pair in ("A1 and A2", "A1 and A3", "A2 and A3")]
    assert first["mean Cohen's kappa"] == pytest.approx(np.mean(pairs))
    # one expression against the rest: frames 1 to 3, of which the second divides Happiness
    happy = values_of(table, "expressions", "Happiness")
    counts = np.array([[0, 3], [2, 1], [3, 0]])
    assert happy["Fleiss' kappa"] == pytest.approx(inter_rater.fleiss_kappa(counts))
    every = values_of(table, "expressions", "all")
    counts = np.array([[0, 3, 0], [0, 1, 2], [3, 0, 0]])
    assert every["Fleiss' kappa"] == pytest.approx(inter_rater.fleiss_kappa(counts))
    assert np.isnan(values_of(table, "expressions", "Disgust")["Fleiss' kappa"])


def test_reliability_of_ratings():
    raters = lagging([0, 4, 9])
    found = values_of(reliability(raters), "valence-arousal", "valence")
    traces = [np.concatenate([one.valence for one in labels.values()]) for labels in raters.values()]
    expected = [np.corrcoef(*pair)[0, 1] for pair in combinations(traces, 2)]
    assert found["mean Pearson"] == pytest.approx(np.mean(expected))
    assert found["Pearson, R0 and R2"] == pytest.approx(expected[1])
    assert found["CCC, R0 and R2"] == pytest.approx(plain_ccc(traces[0], traces[2]))
    aligned = values_of(reliability(align_ratings(raters, 20)[0]), "valence-arousal", "valence")
    assert all(aligned[name] > found[name] for name in ("mean CCC", "mean Pearson", "Krippendorff's alpha"))


def test_tables_to_read():
    tables = summary(agreement_table(EXPERTS, lags={"R1": 0, "R2": 12}))
    both = [f"{task}: {what}" for task in ("action units", "expressions") for what in ("frames", "agreement")]
    assert list(tables) == [*both, "expressions: chosen for the same frame", "valence-arousal: lags"]
    assert tables["action units: frames"].index.tolist() == ["AU1", "AU12", "all"]
    text = as_text(agreement_table(EXPERTS, lags={"R2": 12}))
    assert "66.7" in text and "nan" not in text.lower() and "12" in text.splitlines()[-1]


# Raters who lag are put in step: against NumPy, and lags that are known


def test_the_correlation_at_each_lag_is_that_of_numpy():
    late, early = RNG.normal(size=(2, 60)) + 3
    has_late, has_early = RNG.random((2, 60)) < 0.9
    late, early = late * has_late, early * has_early
    found = correlation_at_lags(late, has_late, early, has_early, largest=55)
    assert len(found) == 111
    pairs = {}
    for lag in range(-55, 56):
        pairs[lag] = [t for t in range(60) if 0 <= t + lag < 60 and has_early[t] and has_late[t + lag]]
    enough = max(map(len, pairs.values())) / 2  # where fewer frames meet, nothing is said
    for lag, frames in pairs.items():
        expected = np.nan
        if len(frames) >= enough:
            expected = np.corrcoef(late[[t + lag for t in frames]], early[frames])[0, 1]
        assert found[lag + 55] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("largest, lags", [(1, [0, 1]), (60, [30, 12, 55, 12]), (60, [5, 5, 5])])
def test_lags_are_found(largest, lags):
    """Also where somebody did not rate some frames, whatever stands there."""
    raters = lagging(lags)
    raters["R1"]["v0"].has_va[100:150], raters["R1"]["v0"].valence[100:150] = False, 1
    assert list(align_ratings(raters, largest)[1].values()) == [lag - min(lags) for lag in lags]
    aligned, found = align_ratings(lagging(lags), largest)
    assert list(found.values()) == [lag - min(lags) for lag in lags]
    for number, lag in enumerate(lags):
        late = lag - min(lags)
        before, after = lagging(lags)[f"R{number}"]["v0"], aligned[f"R{number}"]["v0"]
        assert after.has_va.sum() == 400 - late and not after.has_va[400 - late :].any()
        assert (after.valence[: 400 - late] == before.valence[late:]).all()


def test_alignment_makes_the_mean_better():
    raters, true = lagging([0, 40, 20]), lagging([0], noise=0)["R0"]["v1"]
    plain, aligned = combine_ratings(raters)["v1"], combine_ratings(raters, largest_lag=60)["v1"]
    assert plain == agree(raters)["v1"]
    known = aligned.has_va
    assert known.sum() == 360 - 40
    scores = [concordance(one.valence[known], true.valence[known]) for one in (aligned, plain)]
    assert scores[0] > scores[1]


def test_who_never_moves_or_rated_nothing_has_no_lag():
    raters = lagging([3, 0])
    raters["flat"] = {name: replace(one, valence=one.valence * 0, arousal=one.arousal * 0)
                      for name, one in raters["R0"].items()}  # fmt: skip
    raters["A1"] = {name: Labels.empty(len(one), ("AU1", "AU12")) for name, one in raters["R0"].items()}
    aligned, found = align_ratings(raters, largest_lag=10)
    assert found["R0"] - found["R1"] == 3 and "A1" not in found
    assert aligned["A1"] == raters["A1"]
    alone = {"R0": raters["R0"], "A1": raters["A1"]}
    assert align_ratings(alone, largest_lag=10) == (alone, {"R0": 0})
    assert align_ratings(raters, largest_lag=0) == (raters, {"R0": 0, "R1": 0, "flat": 0})

"""Agreement against published examples, scikit-learn, statsmodels, NumPy and hand-made annotators."""

import json
import warnings
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats import inter_rater
from strategies import any_labels

from affkit.cli import main
from affkit.data.agreement import (
    agree,
    combine_ratings,
    comparable,
    gather,
    read_annotators,
    write_agreement,
)
from affkit.data.alignment import align_ratings, correlation_at_lags
from affkit.data.layouts import read_annotations, write_annotations
from affkit.data.reliability import (
    agreement_table,
    as_text,
    ccc,
    cohen_kappa,
    fleiss_kappa,
    kept_frames,
    krippendorff_alpha,
    pearson,
    reliability,
    summary,
)
from affkit.errors import UserError
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


def annotator(units=None, expressions=None, va=None, names=("AU1", "AU12")) -> Labels:
    """Labels from lists in which None is "not labelled"; units ``(T, 2)``, va ``(T, 2)``."""
    num_frames = len(next(one for one in (units, expressions, va) if one is not None))
    labels = Labels.empty(num_frames, names)
    for row in range(num_frames):
        for column, value in enumerate(units[row] if units else ()):
            if value is not None:
                labels.action_units[row, column], labels.has_action_units[row, column] = value, True
        if expressions and expressions[row] is not None:
            labels.expression[row], labels.has_expression[row] = expressions[row], True
        if va and va[row] is not None:
            (labels.valence[row], labels.arousal[row]), labels.has_va[row] = va[row], True
    return labels


def values_of(table, task, tag):
    chosen = table[(table["task"] == task) & (table["tag"] == tag)]
    return dict(zip(chosen["statistic"], chosen["value"], strict=True))


# Coefficients


def test_alpha_of_the_published_example():
    present = OBSERVERS > 0
    assert round(krippendorff_alpha(OBSERVERS, present), 3) == 0.743
    assert round(krippendorff_alpha(OBSERVERS.astype(float), present, "interval"), 3) == 0.849
    assert np.isclose(krippendorff_alpha(OBSERVERS + 7.0, present, "interval"), 0.8491, atol=5e-5)


@pytest.mark.parametrize("level", ["nominal", "interval"])
def test_alpha_is_that_of_all_pairs_one_by_one(level):
    """Disagreement within units over disagreement of all, counted pair by pair from the definition."""
    values, present = RNG.integers(0, 4, (5, 30)), RNG.random((5, 30)) < 0.6

    def disagreement(numbers):
        return sum(
            float(a != b) if level == "nominal" else float(a - b) ** 2 for a, b in combinations(numbers, 2)
        )

    units = [values[present[:, u], u] for u in range(30) if present[:, u].sum() > 1]
    pooled = np.concatenate(units)
    within = sum(disagreement(unit) / (len(unit) - 1) for unit in units) / len(pooled)
    expected = disagreement(pooled) / len(pooled) / (len(pooled) - 1)
    assert krippendorff_alpha(values, present, level) == pytest.approx(1 - within / expected)


def test_fleiss_kappa_of_the_published_example():
    values = np.array([np.repeat(np.arange(5), counts) for counts in FLEISS]).T  # (14, 10)
    assert round(fleiss_kappa(values, np.ones(values.shape, bool)), 3) == 0.210


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


def test_ccc_and_pearson_are_those_of_numpy():
    x = RNG.normal(size=300)
    y = 0.5 * x + 0.2 * RNG.normal(size=300) + 1
    covariance = np.cov(x, y, bias=True)
    assert pearson(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
    expected = 2 * covariance[0, 1] / (np.trace(covariance) + (x.mean() - y.mean()) ** 2)
    assert ccc(x, y) == pytest.approx(expected)


def test_where_all_say_the_same_nothing_is_known():
    """Two coders who never mark a rare unit agree everywhere; no measure beyond chance may call it good."""
    same, yes = np.zeros((3, 9), int), np.ones((3, 9), bool)
    assert np.isnan(cohen_kappa(same[0], same[1])) and np.isnan(fleiss_kappa(same, yes))
    flat = np.full((3, 9), 0.1)
    assert np.isnan(krippendorff_alpha(same, yes)) and np.isnan(krippendorff_alpha(flat, yes, "interval"))
    assert np.isnan(ccc(flat[0], flat[1])) and np.isnan(pearson(flat[0], np.arange(9)))
    assert ccc(flat[0], np.arange(9)) == 0


def test_without_frames_there_is_no_value():
    none, no = np.zeros((2, 5), int), np.zeros((2, 5), bool)
    one = no.copy()
    one[0] = True  # a single annotator everywhere
    for present in (no, one):
        assert np.isnan(krippendorff_alpha(none, present)) and np.isnan(fleiss_kappa(none, present))
        assert np.isnan(krippendorff_alpha(none, present, "interval"))
    assert all(np.isnan(measure(none[0, :0], none[1, :0])) for measure in (cohen_kappa, ccc, pearson))


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="ordinal"):
        krippendorff_alpha(OBSERVERS, OBSERVERS > 0, "ordinal")


# Agreed labels

EXPERTS = {
    "A1": {"clip": annotator([[1, 1], [0, 0], [1, 0], [None, 1], [None, None]], [4, 4, 0, None, None])},
    "A2": {"clip": annotator([[1, 1], [0, 0], [1, 1], [1, 1], [None, None]], [4, 6, 0, 3, None])},
    "A3": {"clip": annotator([[1, 1], [0, 0], [0, 0], [1, 0], [None, None]], [4, 6, 0, 3, None])},
}


@pytest.mark.parametrize("keep, disagreed, first_unit, second_unit, expressions", [
    ("all", "unknown", [1, 0, None, None, None], [1, 0, None, None, None], [4, None, 0, None, None]),
    ("all", "absent", [1, 0, 0, None, None], [1, 0, 0, 0, None], [4, None, 0, None, None]),
    ("majority", "unknown", [1, 0, 1, 1, None], [1, 0, 0, 1, None], [4, 6, 0, 3, None]),
    ("majority", "absent", [1, 0, 1, 1, None], [1, 0, 0, 1, None], [4, 6, 0, 3, None]),
])  # fmt: skip
def test_three_experts(keep, disagreed, first_unit, second_unit, expressions):
    units = [list(pair) for pair in zip(first_unit, second_unit, strict=True)]
    assert agree(EXPERTS, keep, disagreed) == {"clip": annotator(units, expressions)}


def test_a_draw_is_no_majority():
    two = {name: EXPERTS[name] for name in ("A1", "A2")}
    assert agree(two, "majority") == agree(two, "all")
    assert agree(two, "majority", "absent") == agree(two, "all", "absent")


@pytest.mark.parametrize("rule", [("most", "unknown"), ("all", "present")])
def test_an_unknown_rule_is_refused(rule):
    with pytest.raises(ValueError, match="choose from"):
        agree(EXPERTS, *rule)


def test_raters_are_averaged_where_all_rated():
    traces = RNG.uniform(-1, 1, (3, 4, 2)).astype(np.float32)
    raters = {f"R{k}": {"clip": annotator(va=[*map(tuple, traces[k])])} for k in range(3)}
    raters["R1"]["clip"].has_va[2] = False
    mean = traces.astype(np.float64).mean(axis=0)
    for labels in (agree(raters)["clip"], combine_ratings(raters)["clip"]):
        assert labels.has_va.tolist() == [True, True, False, True]
        assert np.allclose(labels.valence[labels.has_va], mean[[0, 1, 3], 0], atol=1e-7)
        assert np.allclose(labels.arousal[labels.has_va], mean[[0, 1, 3], 1], atol=1e-7)


def test_experts_and_raters_do_not_wait_for_each_other():
    """A rater who labels no action units is no vote against them; nobody agrees alone."""
    raters = {f"R{k}": {"clip": annotator(va=[(0.5, k / 10)] * 5)} for k in range(2)}
    alone = {"A4": {"clip": annotator(va=[(0.5, 0.0)] * 5)}}
    both = agree(EXPERTS | raters)["clip"]
    assert both.has_va.all() and both.arousal == pytest.approx([0.05] * 5)
    assert replace(both, has_va=np.zeros(5, bool)) == agree(EXPERTS)["clip"]
    assert not agree(EXPERTS | alone)["clip"].has_va.any()


def test_every_video_is_agreed_on_by_itself():
    swapped = {name: {"a": one["clip"], "b": one["clip"][::-1]} for name, one in EXPERTS.items()}
    swapped = {name: one | {"c": Labels.empty(2, ("AU1", "AU12"))} for name, one in swapped.items()}
    alone = agree(EXPERTS)["clip"]
    assert agree(swapped) == {"a": alone, "b": alone[::-1], "c": Labels.empty(2, ("AU1", "AU12"))}
    assert list(gather(swapped, "expressions").rows) == ["a", "b"]


@st.composite
def annotators(draw, most=4):
    """Two to four annotators of the same one or two videos."""
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=2))
    found = {}
    for number in range(draw(st.integers(2, most))):
        videos = {f"v{v}": draw(any_labels(("AU1", "AU12"), max_frames=12)) for v in range(len(lengths))}
        found[f"A{number}"] = {
            name: labels[np.arange(size) % len(labels)]
            for (name, labels), size in zip(videos.items(), lengths, strict=True)
        }
    return found


@settings(max_examples=25)
@given(annotators(), st.sampled_from(["unknown", "absent"]), st.randoms())
def test_order_of_annotators_does_not_matter(annotators, disagreed, random):
    names = random.sample(list(annotators), len(annotators))
    other = {name: annotators[name] for name in names}
    for keep in ("all", "majority"):
        mine, theirs = agree(annotators, keep, disagreed), agree(other, keep, disagreed)
        for video, one in mine.items():
            # the last digit of a sum depends on the order; nothing else may
            assert np.allclose(one.valence, theirs[video].valence, rtol=1e-6, atol=1e-12)
            assert np.allclose(one.arousal, theirs[video].arousal, rtol=1e-6, atol=1e-12)
            assert replace(theirs[video], valence=one.valence, arousal=one.arousal) == one
    tables = [
        agreement_table(one).set_index(["task", "tag", "statistic"])["value"] for one in (annotators, other)
    ]
    mine, theirs = (
        table[~table.index.get_level_values("statistic").str.contains(" and ")] for table in tables
    )
    assert mine.sort_index().to_dict() == pytest.approx(theirs.sort_index().to_dict(), nan_ok=True)


@given(annotators())
def test_what_is_agreed_on_is_what_each_of_them_said(annotators):
    for video, agreed in agree(annotators).items():
        for labels in annotators.values():
            own = labels[video]
            if any(one.has_action_units.any() for one in labels.values()):
                known = agreed.has_action_units
                assert own.has_action_units[known].all()
                assert (own.action_units[known] == agreed.action_units[known]).all()
            if any(one.has_expression.any() for one in labels.values()):
                known = agreed.has_expression
                assert own.has_expression[known].all()
                assert (own.expression[known] == agreed.expression[known]).all()
            if any(one.has_va.any() for one in labels.values()):
                assert own.has_va[agreed.has_va].all()


@given(any_labels(("AU1", "AU12")))
def test_who_is_asked_twice_agrees(labels):
    twice = {"A1": {"clip": labels}, "A2": {"clip": labels}}
    assert agree(twice) == {"clip": labels}
    table = reliability(twice)
    beyond = table[~table["statistic"].isin(["annotators", "percent agreement"])]["value"]
    assert np.allclose(beyond.dropna(), 1, atol=1e-6)
    assert (table[table["statistic"] == "percent agreement"]["value"].dropna() == 100).all()


# Lags


def test_the_correlation_at_each_lag_is_that_of_numpy():
    late, early = RNG.normal(size=(2, 60)) + 3
    has_late, has_early = RNG.random((2, 60)) < 0.9
    late, early = late * has_late, early * has_early
    found = correlation_at_lags(late, has_late, early, has_early, largest=10)
    for lag in range(-10, 11):
        frames = [t for t in range(60) if 0 <= t + lag < 60 and has_early[t] and has_late[t + lag]]
        expected = np.corrcoef(late[[t + lag for t in frames]], early[frames])[0, 1]
        assert found[lag + 10] == pytest.approx(expected)


def lagging(lags, num_frames=400, noise=0.02, seed=1):
    """Raters of two videos, each late by a known number of frames."""
    rng = np.random.default_rng(seed)
    traces = np.cumsum(rng.normal(size=(2, 2, num_frames + 100)), axis=2)
    traces = traces / np.abs(traces).max() * 0.9
    raters = {}
    for number, lag in enumerate(lags):
        raters[f"R{number}"] = {}
        for video in range(2):
            late = traces[video, :, 100 - lag : 100 - lag + num_frames] + noise * rng.normal(
                size=(2, num_frames)
            )
            raters[f"R{number}"][f"v{video}"] = annotator(va=[*map(tuple, late.clip(-1, 1).T)])
    return raters


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
    assert ccc(aligned.valence[known], true.valence[known]) > ccc(plain.valence[known], true.valence[known])


def test_who_never_moves_or_rated_nothing_has_no_lag():
    raters = lagging([3, 0])
    raters["flat"] = {name: replace(one, valence=one.valence * 0, arousal=one.arousal * 0)
                      for name, one in raters["R0"].items()}  # fmt: skip
    raters["A1"] = {name: Labels.empty(400, ("AU1", "AU12")) for name in raters["R0"]}
    aligned, found = align_ratings(raters, largest_lag=10)
    assert found["R0"] - found["R1"] == 3 and "A1" not in found
    assert aligned["A1"] == raters["A1"]


# Tables


def test_frames_by_reason():
    table = kept_frames(EXPERTS)
    first = {"frames": 5, "kept": 2, "all present": 1, "all absent": 1, "disagreed": 1}
    assert values_of(table, "action units", "AU1") == first | {"not labelled by all": 2}
    together = {"frames": 10, "kept": 4, "all present": 2, "all absent": 2, "disagreed": 3}
    assert values_of(table, "action units", "all") == together | {"not labelled by all": 3}
    happy = {"frames": 5, "kept": 1, "all present": 1, "all absent": 1, "disagreed": 1}
    assert values_of(table, "expressions", "Happiness") == happy | {"not labelled by all": 2}
    every = {"frames": 5, "kept": 2, "all present": 2, "all absent": 0, "disagreed": 1}
    assert values_of(table, "expressions", "all") == every | {"not labelled by all": 2}
    confused = table[table["statistic"] == "confused"]
    assert confused[["tag", "value"]].values.tolist() == [["Happiness / Surprise", 1]]


@settings(max_examples=40)
@given(annotators(), st.sampled_from(["all", "majority"]), st.sampled_from(["unknown", "absent"]))
def test_kept_frames_are_those_of_the_agreed_labels(annotators, keep, disagreed):
    table, agreed = kept_frames(annotators, keep, disagreed), agree(annotators, keep, disagreed).values()
    kept = table[table["statistic"] == "kept"].set_index(["task", "tag"])["value"].to_dict()
    expected = {("action units", "AU12"): sum(one.has_action_units[:, 1].sum() for one in agreed)}
    expected["action units", "all"] = sum(one.has_action_units.sum() for one in agreed)
    expected["expressions", "all"] = sum(one.has_expression.sum() for one in agreed)
    for index, name in enumerate(EXPRESSIONS):
        expected["expressions", name] = sum(
            ((one.expression == index) & one.has_expression).sum() for one in agreed
        )
    expected["valence-arousal", "all"] = sum(one.has_va.sum() for one in agreed)
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
    assert every["Fleiss' kappa"] == pytest.approx(
        inter_rater.fleiss_kappa(np.array([[0, 3, 0], [0, 1, 2], [3, 0, 0]]))
    )
    assert np.isnan(values_of(table, "expressions", "Disgust")["Fleiss' kappa"])


def test_reliability_of_ratings():
    raters = lagging([0, 4, 9])
    found = values_of(reliability(raters), "valence-arousal", "valence")
    traces = [np.concatenate([one.valence for one in labels.values()]) for labels in raters.values()]
    expected = [np.corrcoef(*pair)[0, 1] for pair in combinations(traces, 2)]
    assert found["mean Pearson"] == pytest.approx(np.mean(expected))
    assert found["Pearson, R0 and R2"] == pytest.approx(expected[1])
    aligned = values_of(reliability(align_ratings(raters, 20)[0]), "valence-arousal", "valence")
    assert all(aligned[name] > found[name] for name in ("mean CCC", "mean Pearson", "Krippendorff's alpha"))


def test_tables_to_read():
    tables = summary(agreement_table(EXPERTS, lags={"R1": 0, "R2": 12}))
    assert list(tables) == [
        "action units: frames",
        "action units: agreement",
        "expressions: frames",
        "expressions: agreement",
        "expressions: chosen for the same frame",
        "valence-arousal: lags",
    ]
    assert tables["action units: frames"].index.tolist() == ["AU1", "AU12", "all"]
    text = as_text(agreement_table(EXPERTS, lags={"R2": 12}))
    assert "66.7" in text and "nan" not in text.lower() and "12" in text.splitlines()[-1]


# Reading


def folders(tmp_path, annotators, **options):
    for name, labels in annotators.items():
        write_annotations(tmp_path / name, labels, **options)
    return [tmp_path / name for name in annotators]


@pytest.mark.parametrize("layout", ["abaw1", "abaw6"])
def test_annotators_come_from_folders(tmp_path, layout):
    assert read_annotators(folders(tmp_path, EXPERTS, layout=layout)) == EXPERTS


def test_units_that_somebody_has_no_column_for_are_masked(tmp_path):
    some = {"A1": {"clip": annotator([[1, 1]])}, "A2": {"clip": annotator([[1, 1]], names=("AU1", "AU7"))}}
    read = read_annotators(folders(tmp_path, some))
    assert {one["clip"].action_unit_names for one in read.values()} == {("AU1", "AU12", "AU7")}
    assert agree(read)["clip"].has_action_units.tolist() == [[True, False, False]]


OTHER = replace(annotator(expressions=[1] * 5), expression_names=(*EXPRESSIONS, "Other"))


@pytest.mark.parametrize("changes, words", [
    ({"A2": {"clip": EXPERTS["A2"]["clip"][:4]}}, ["clip", "4 frames by A2", "5 by A1"]),
    ({"A3": {"other": EXPERTS["A3"]["clip"]}}, ["A3: has no labels of clip (2 of 2 ", "annotate the same"]),
    ({"A3": EXPERTS["A3"] | {"other": EXPERTS["A3"]["clip"]}}, ["A1: has no labels of other", "--common"]),
    ({"A2": {"clip": OTHER}}, ["A2: chose from", "Other", "A1 from"]),
])  # fmt: skip
def test_annotators_that_cannot_be_compared(tmp_path, changes, words):
    with pytest.raises(UserError) as error:
        read_annotators(folders(tmp_path, EXPERTS | changes))
    assert all(word in str(error.value) for word in words)


def test_tasks_of_different_people_have_nothing_in_common():
    lone = {"A1": {"clip": annotator(units=[[1, 1]])}, "R1": {"clip": annotator(va=[(0.0, 0.0)])}}
    with pytest.raises(UserError, match="A1, R1: no task was done by two"):
        comparable(lone)


def test_common_videos_are_kept_on_demand():
    more = EXPERTS | {"A3": EXPERTS["A3"] | {"b": EXPERTS["A3"]["clip"], "c": EXPERTS["A3"]["clip"]}}
    with pytest.warns(UserWarning, match="2 of 3 videos are left out"):
        assert comparable(more, common_only=True) == EXPERTS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert comparable(EXPERTS, common_only=True) == EXPERTS


def test_each_annotator_is_given_once(tmp_path):
    one, two, three = folders(tmp_path, EXPERTS)
    write_annotations(tmp_path / "again" / "A1", EXPERTS["A1"])
    for paths, words in [
        ([one], "needs two annotators"),
        ([one, two, tmp_path / "A2" / ".." / "A1"], "is given twice"),
        ([one, two, tmp_path / "again" / "A1"], "another annotator is called A1"),
        ([one, tmp_path / "none"], "no such folder"),
    ]:
        with pytest.raises(UserError, match=words):
            read_annotators(paths)


# Writing and the command


def run(monkeypatch, capsys, *line):
    monkeypatch.setattr("sys.argv", ["affkit", "agree", *map(str, line)])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code or 0, capsys.readouterr()


def test_the_command_writes_what_the_library_says(tmp_path, monkeypatch, capsys):
    given, out = folders(tmp_path, EXPERTS | {}), tmp_path / "agreed"
    code, said = run(monkeypatch, capsys, *given, "-o", out, "--disagreed", "absent")
    assert code == 0 and "action units: frames" in said.out
    assert read_annotations(out) == agree(EXPERTS, disagreed="absent")
    lines = (out / "agreement.csv").read_text().splitlines()
    assert lines[0] == "task,tag,statistic,value" and "action units,AU1,kept,3" in lines
    assert "expressions,Disgust,Fleiss' kappa," in lines  # not defined: an empty cell

    before = sorted(out.rglob("*"))
    code, said = run(monkeypatch, capsys, *given, "-o", out)
    assert code == 2 and "already exists" in said.err and sorted(out.rglob("*")) == before
    code, said = run(monkeypatch, capsys, *given, "-o", out, "--force", "--keep", "majority", "--json")
    rows = json.loads(said.out)
    assert {"task": "action units", "tag": "AU1", "statistic": "kept", "value": 4.0} in rows
    assert read_annotations(out) == agree(EXPERTS, "majority")


def test_the_command_aligns_raters(tmp_path, monkeypatch, capsys):
    given = folders(tmp_path, lagging([0, 20, 5]))
    code, said = run(
        monkeypatch, capsys, *given, "-o", tmp_path / "out", "--align", "2.5", "--fps", "12", "--json"
    )
    lags = {row["tag"]: row["value"] for row in json.loads(said.out) if row["statistic"] == "lag"}
    assert code == 0 and lags == {"R0": 0, "R1": 20, "R2": 5}
    assert read_annotations(tmp_path / "out")["v0"].has_va.sum() == 380


def test_what_is_not_ours_is_never_replaced(tmp_path):
    table = agreement_table(EXPERTS)
    write_annotations(tmp_path / "mine", EXPERTS["A1"])
    write_agreement(tmp_path / "notes", EXPERTS["A1"], table)
    (tmp_path / "notes" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for name, words in [
        ("mine", "without agreement.csv"),
        ("notes", "holds thesis.txt"),
        ("file", "not a folder"),
    ]:
        with pytest.raises(UserError, match=words):
            write_agreement(tmp_path / name, EXPERTS["A1"], table, force=True)
    assert sorted(tmp_path.rglob("*")) == before
    write_agreement(tmp_path / "empty", EXPERTS["A1"], table)
    assert read_annotations(tmp_path / "empty") == EXPERTS["A1"]

"""Simulated annotators: right when they never err, wrong in the ways and as often as they are told to be."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from guesses import plain_ccc
from hypothesis import given, settings
from hypothesis import strategies as st
from mishaps.judge import contents
from refusals import refuses
from scipy import ndimage
from sklearn.metrics import cohen_kappa_score

from affkit.corpus.agreement import combine_ratings
from affkit.labelfiles.layouts import read_annotations
from affkit.labels import ACTION_UNITS, EXPRESSIONS
from affkit_render.affect import perform, sample_style
from affkit_render.annotators import TRUTH_COLUMNS, annotate_corpus
from affkit_render.coders import Coder, code_action_units, code_expressions, sample_coders
from affkit_render.raters import Rater, rate, sample_raters

pytestmark = pytest.mark.slow  # draws faces

SEEDS = st.integers(0, 2**31 - 1)
STARTS = np.arange(100, 60_000, 120)


def acted(seed: int, seconds: int = 30) -> pd.DataFrame:
    """The truth about one person who is in sight all the time."""
    style = sample_style(np.random.default_rng([seed, 1]))
    act = perform(np.arange(seconds * 30) / 30, np.random.default_rng([seed, 2]), style)
    shown = {f"shown_{name}": strength for name, strength in act.strengths.items()}
    columns = {name: getattr(act, name) for name in ("valence", "arousal", "expression")}
    talking = act.talking.astype(int)
    columns |= {"time": act.times, "visible": 1, "covered": 0.0, "talking": talking}
    return pd.DataFrame(columns | shown | act.intensities)


def pulses(unit: str, starts: np.ndarray, length: int, num_frames: int) -> pd.DataFrame:
    """A face that does nothing but move one unit from 0 to 1 and back, at once."""
    truth = pd.DataFrame(0.0, range(num_frames), [*TRUTH_COLUMNS])
    truth["time"], truth["visible"] = np.arange(num_frames) / 30, 1
    truth.loc[np.add.outer(starts, np.arange(length)).ravel(), unit] = 1.0
    return truth


def ends_of(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last frame of each run, found by scipy."""
    found = ndimage.find_objects(ndimage.label(frames)[0])
    return np.array([run.start for (run,) in found]), np.array([run.stop - 1 for (run,) in found])


def unit_of(labels, unit: str) -> np.ndarray:
    return labels.action_units[:, ACTION_UNITS.index(unit)]


def marked(truth: pd.DataFrame, coder: Coder, seed: int, **more) -> tuple[np.ndarray, np.ndarray]:
    """First and last frame of what a coder marks as AU4."""
    return ends_of(unit_of(code_action_units(truth, coder, seed, **more), "AU4"))


@pytest.fixture(scope="module")
def clips() -> list[pd.DataFrame]:
    return [acted(seed) for seed in range(24)]


@given(SEEDS)
@settings(max_examples=10)
def test_a_coder_who_never_errs_says_the_truth(seed):
    truth = acted(seed, seconds=10)
    coder = Coder("A1")
    for passes in (1, 2):
        units = code_action_units(truth, coder, seed, passes)
        assert np.array_equal(units.action_units, truth[list(ACTION_UNITS)].to_numpy() > 0.2)
        assert units.has_action_units.all() and not units.has_expression.any()
        tags = code_expressions(truth, coder, seed, passes)
        assert np.array_equal(tags.expression, truth["expression"])
        assert tags.has_expression.all() and not tags.has_action_units.any()


def test_marks_are_late_and_inexact_by_as_much_as_the_coder_is():
    truth = pulses("AU4", STARTS, 60, 60_100)
    begin, last = marked(truth, Coder("A1", lag=(5, 1), jitter=3), seed=0)
    assert len(begin) == len(STARTS)
    for errors, lag in ((begin - STARTS, 5), (last - (STARTS + 59), 1)):
        assert abs(errors.mean() - lag) < 4 * 3 / np.sqrt(len(STARTS))
        assert abs(errors.std() - 3) < 0.4
    assert abs(np.corrcoef(begin - STARTS, last - STARTS)[0, 1]) < 0.2  # the two ends err apart


@pytest.mark.parametrize(("passes", "fraction"), [(1, 0.3), (2, 0.15)])
def test_weak_and_brief_marks_are_missed_as_often_as_said_and_half_of_them_found_again(passes, fraction):
    starts = np.arange(10, 60_000, 20)
    truth = pulses("AU4", starts, 1, 60_010)
    truth["AU4"] *= 0.2001  # at the threshold
    begin, _ = marked(truth, Coder("A1", miss=0.3, repair=0.5), seed=1, passes=passes)
    assert set(begin) <= set(starts)
    assert abs(1 - len(begin) / len(starts) - fraction) < 0.04


def test_strong_and_long_marks_are_not_missed_and_covered_ones_are():
    starts = np.arange(100, 30_000, 200)
    truth = pulses("AU4", starts, 100, 30_100)
    coder = Coder("A1", miss=0.3, hidden=0.5)
    seen, _ = marked(truth, coder, seed=2)
    covered, _ = marked(truth.assign(covered=1.0), coder, seed=2)
    assert len(seen) > 0.97 * len(starts) and abs(len(covered) / len(starts) - 0.5) < 0.13


def test_a_smile_is_taken_for_a_raised_cheek_only_by_a_coder_who_does_so():
    truth = pulses("AU12", STARTS, 60, 60_100)
    careful = code_action_units(truth, Coder("A1", miss=0.2, jitter=4), seed=3)
    assert not np.delete(careful.action_units, ACTION_UNITS.index("AU12"), axis=1).any()
    labels = code_action_units(truth, Coder("A1", false_mark=0.2), seed=3)
    cheek = unit_of(labels, "AU6")
    assert 0.2 < len(ends_of(cheek)[0]) / len(STARTS) < 0.4
    assert not cheek[truth["AU12"] == 0].any()
    assert not unit_of(labels, "AU4").any()


def test_an_expression_is_confused_as_a_whole_and_with_its_neighbours_only():
    truth = pulses("shown_Fear", STARTS, 60, 60_100)
    tags = code_expressions(truth, Coder("A1", confusion=0.25), seed=4).expression
    assert all(len(set(tags[start : start + 60])) == 1 for start in STARTS)
    said = pd.Series([EXPRESSIONS[tags[start]] for start in STARTS])
    fraction = said.value_counts(normalize=True)
    assert set(fraction.index) == {"Fear", "Surprise", "Anger"}
    assert abs(fraction["Fear"] - 0.75) < 0.08 and fraction["Surprise"] > fraction["Anger"]
    assert (tags[truth["shown_Fear"] == 0] == EXPRESSIONS.index("Neutral")).all()


def test_two_coders_are_confused_by_the_same_faces_and_in_the_same_way():
    starts = np.arange(100, 120_000, 120)
    truth = pulses("shown_Fear", starts, 60, 120_100)
    said = [code_expressions(truth, Coder(name, confusion=0.2), seed=7).expression[starts] for name in "ab"]
    wrong = [tags != EXPRESSIONS.index("Fear") for tags in said]
    both = wrong[0] & wrong[1]
    assert both.mean() > 1.5 * wrong[0].mean() * wrong[1].mean()
    assert (said[0] == said[1])[both].all()
    assert (wrong[0] != wrong[1]).mean() > 0.1


def test_what_is_between_neutral_and_clear_gets_no_tag():
    truth = pulses("shown_Anger", np.arange(0), 1, 400)
    truth["shown_Anger"] = np.linspace(0, 0.4, 400)
    labels = code_expressions(truth, Coder("A1", neutral=0.5), seed=0)
    neutral, anger = truth["shown_Anger"] <= 0.125, truth["shown_Anger"] > 0.25
    assert np.array_equal(labels.has_expression, neutral | anger)
    assert (labels.expression[neutral] == 0).all() and (labels.expression[anger] == 1).all()
    truth["AU26"] = 0.5  # a face that moves is not neutral to somebody who looks at it
    labels = code_expressions(truth, Coder("A1", neutral=0.5, still=0.3), seed=0)
    assert np.array_equal(labels.has_expression, anger)


@given(SEEDS)
@settings(max_examples=10)
def test_brief_gaps_are_bridged_and_short_marks_dropped(seed):
    truth = acted(seed, seconds=10)
    coder = Coder("A1", jitter=4, bridge=5, shortest=4, false_mark=0.5)
    for column in code_action_units(truth, coder, seed).action_units.T:
        begin, last = ends_of(column)
        inner = (begin > 0) & (last < len(truth) - 1)
        assert ((last - begin + 1)[inner] >= 4).all()
        assert (begin[1:] - last[:-1] - 1 > 5).all()


@given(SEEDS, st.floats(0.05, 0.5), st.floats(1, 2), st.floats(0.5, 1))
@settings(max_examples=20)
def test_a_stricter_coder_marks_fewer_frames_and_hysteresis_marks_more(seed, threshold, factor, release):
    truth = acted(seed % 8, seconds=10)

    def coded(threshold, release=1.0):
        coder = Coder("A1", dict.fromkeys(Coder("A1").thresholds, threshold), release=release)
        return code_action_units(truth, coder, seed).action_units.astype(bool)

    assert (coded(threshold * factor) <= coded(threshold)).all()
    assert (coded(threshold) <= coded(threshold, release)).all()
    # below the lower threshold nothing is ever marked
    assert not (coded(threshold, release) & (truth[list(ACTION_UNITS)] < threshold * release)).any(axis=None)


def test_nobody_labels_a_face_that_is_not_there():
    truth = acted(0)
    truth.loc[200:399, "visible"] = 0
    (coder,), (rater,) = sample_coders(0, 1), sample_raters(0, 1)
    there = truth["visible"].to_numpy(bool)
    units = code_action_units(truth, coder, seed=0)
    assert (units.has_action_units == there[:, None]).all() and not units.action_units[~there].any()
    assert not code_expressions(truth, coder, seed=0).has_expression[~there].any()
    assert np.array_equal(rate(truth, rater, seed=0).has_va, there)


def test_the_same_seed_gives_the_same_and_another_coder_another(clips):
    first, second, _ = sample_coders(5)
    assert sample_coders(5)[0] == first and sample_raters(5) == sample_raters(5)
    for code in (code_action_units, code_expressions):
        once = code(clips[0], first, seed=7)
        assert code(clips[0], first, seed=7) == once
        assert code(clips[0], first, seed=8) != once
        assert code(clips[0], replace(first, name="A9"), seed=7) != once
        assert code(clips[0], second, seed=7) != once
    rater = sample_raters(5)[0]
    assert rate(clips[0], rater, 7) == rate(clips[0], rater, 7) != rate(clips[0], rater, 8)


def kappas(clips, passes: int) -> dict[str, float]:
    """Mean kappa of the pairs of coders by scikit-learn, for each unit and for the tags both gave."""
    coders = sample_coders(0)
    units, tags = [], []
    for coder in coders:
        coded = [code_action_units(truth, coder, i, passes) for i, truth in enumerate(clips)]
        units.append(np.concatenate([one.action_units for one in coded]))
        coded = [code_expressions(truth, coder, i, passes) for i, truth in enumerate(clips)]
        tags.append(np.concatenate([np.where(one.has_expression, one.expression, -1) for one in coded]))
    result = {
        unit: np.mean([cohen_kappa_score(a[:, i], b[:, i]) for a, b in combinations(units, 2)])
        for i, unit in enumerate(ACTION_UNITS)
    }
    both = [(a[(a >= 0) & (b >= 0)], b[(a >= 0) & (b >= 0)]) for a, b in combinations(tags, 2)]
    return result | {"expression": np.mean([cohen_kappa_score(a, b) for a, b in both])}


def test_coders_agree_as_people_do_and_better_after_the_second_pass(clips):
    first, second = kappas(clips, 1), kappas(clips, 2)
    assert all(0.4 < kappa < 0.95 for kappa in second.values())
    assert np.mean([second[unit] - first[unit] for unit in ACTION_UNITS]) > 0.02
    assert second["expression"] > first["expression"]
    easy, hard = min(second["AU12"], second["AU25"]), max(second["AU6"], second["AU20"], second["AU15"])
    assert easy > hard


def test_the_lag_of_a_rater_is_found_by_cross_correlation(clips):
    truth = acted(3, seconds=120)
    rater = Rater("R1", lag=(1.5, 2.5), gain=(0.7, 1.1), offset=(0.1, -0.1), tremor=0.02)
    labels = rate(truth, rater, seed=0)
    for name, lag in (("valence", 45), ("arousal", 75)):
        said, felt = getattr(labels, name)[100:], truth[name].to_numpy()
        scores = [np.corrcoef(said, felt[100 - shift : len(felt) - shift])[0, 1] for shift in range(100)]
        assert abs(np.argmax(scores) - lag) <= 1
        assert max(scores) > 0.99


def test_a_rater_starts_at_rest_follows_smoothly_and_stays_on_the_scale():
    num_frames = 300
    truth = pulses("AU4", np.arange(0), 1, num_frames).assign(valence=0.9, arousal=-0.9)
    rater = Rater("R1", lag=(2.0, 1.0), hand=0.5, gain=(2.0, 1.0), step=0.05)
    labels = rate(truth, rater, seed=0)
    assert not labels.valence[:60].any() and not labels.arousal[:30].any()
    after = np.exp(-(0.5 + 1 / 100) / 0.5)  # half a second after the joystick first moves
    assert abs(labels.arousal[45] - -0.9 * (1 - after)) < 0.05
    assert labels.valence[-1] == 1  # 1.8 is not on the scale
    assert np.allclose(labels.valence / 0.05, np.round(labels.valence / 0.05), atol=1e-4)


def test_a_rater_who_never_errs_says_the_truth_at_any_frame_rate():
    for fps in (24, 30, 50):
        truth = acted(1).assign(time=lambda table, fps=fps: table["time"] * 30 / fps)
        labels = rate(truth, Rater("R1"), seed=0)
        assert np.abs(labels.valence - truth["valence"]).max() < 0.01
        assert np.abs(labels.arousal - truth["arousal"]).max() < 0.01


def test_one_of_eight_raters_is_careless(clips):
    raters = sample_raters(0)
    careless = max(raters, key=lambda rater: rater.lapses)
    felt = np.concatenate([truth["valence"] for truth in clips])

    def correlation(rater):
        said = np.concatenate([rate(truth, rater, i).valence for i, truth in enumerate(clips)])
        late = round(30 * rater.lag[0])  # so that slowness is no fault
        return np.corrcoef(said[late:], felt[: len(felt) - late])[0, 1]

    scores = {rater.name: correlation(rater) for rater in raters}
    assert min(scores, key=scores.get) == careless.name
    assert scores[careless.name] < 0.8 < np.median(list(scores.values()))


def test_raters_put_in_step_are_near_the_truth_and_as_they_come_they_are_not():
    truths = {f"clip{i}": acted(i, seconds=60) for i in range(8)}
    rated = {
        rater.name: {name: rate(truth, rater, i) for i, (name, truth) in enumerate(truths.items())}
        for rater in sample_raters(0)
    }

    def concordance(largest_lag: int, dimension: str) -> float:
        mean = combine_ratings(rated, largest_lag)
        known = np.concatenate([mean[name].has_va for name in truths])
        said = np.concatenate([getattr(mean[name], dimension) for name in truths])
        return plain_ccc(said[known], np.concatenate([truths[name][dimension] for name in truths])[known])

    for dimension in ("valence", "arousal"):
        assert 0.85 < concordance(60, dimension) < 0.99
        assert concordance(60, dimension) > concordance(0, dimension) + 0.05


def write_truth(folder, names) -> None:
    folder.mkdir(parents=True)
    for i, name in enumerate(names):
        acted(i, seconds=4).to_csv(folder / f"{name}.csv", index=False)


def test_a_corpus_gets_three_coders_and_eight_raters_and_others_only_when_asked(tmp_path):
    roots = one, two = tmp_path / "one", tmp_path / "two"
    for root in roots:
        write_truth(root / "truth", ["a", "b", "c_left"])
        annotate_corpus(root, 3, action_unit_names=["a", "b"], expression_names=["b"], progress=False)
    assert contents(one) == contents(two)
    files = [*(f"coders/A{i}.csv" for i in (1, 2, 3)), *(f"raters/R{i}.csv" for i in range(1, 9))]
    truths = [f"truth/{name}.csv" for name in ("a", "b", "c_left")]
    assert set(contents(one)) == {"coders", "raters", "truth", *files, *truths}
    coded = read_annotations(one / "coders" / "A2.csv")
    assert set(coded) == {"a", "b"} and len(coded["a"]) == 120
    assert coded["a"].has_action_units.all() and not coded["a"].has_expression.any()
    assert coded["b"].has_expression.any() and not coded["b"].has_va.any()
    rated = read_annotations(one / "raters" / "R5.csv")
    assert set(rated) == {"a", "b", "c_left"}
    assert all(one.has_va.all() and not one.has_action_units.any() for one in rated.values())
    refuses("already exists", annotate_corpus, two, 1, ["a"], progress=False)
    assert contents(two) == contents(one)
    annotate_corpus(two, 1, ["a"], force=True, progress=False)
    assert set(read_annotations(two / "coders" / "A1.csv")) == {"a"}


def test_what_is_missing_is_named(tmp_path):
    refuses("holds no truth tables", annotate_corpus, tmp_path, progress=False)
    write_truth(tmp_path / "truth", ["a"])
    refuses("holds no z.csv", annotate_corpus, tmp_path, action_unit_names=["z"], progress=False)
    table = pd.read_csv(tmp_path / "truth" / "a.csv")
    table.drop(columns="shown_Fear").to_csv(tmp_path / "truth" / "a.csv", index=False)
    refuses("a.csv: has no column shown_Fear", annotate_corpus, tmp_path, progress=False)
    assert not (tmp_path / "coders").exists()

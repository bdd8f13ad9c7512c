"""Notebook 10's numbers, figures and exercises: against scikit-learn, NumPy loops and simulated people."""

import re

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from guesses import plain_ccc
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from repository import ROOT
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, mean_squared_error
from solutions import solution_functions

from affkit.corpus.corpus import Corpus, read_ground_truth
from affkit.errors import UserError
from affkit.evaluation.evaluate import Options
from affkit.labels import ACTION_UNITS, EXPRESSIONS
from affkit_course.lessons import nb10 as lesson
from affkit_studio.widgets import ScorePicture, score_explorer

pytestmark = pytest.mark.slow  # trains small networks

NAMES = ["clip_14", "clip_40_left", "clip_40_right", "clip_57"]
ALL_FRAMES = Options(partial=True, num_resamples=0)
ANSWERS = solution_functions("10")
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def corpus():
    return Corpus.open(ROOT / "data_samples" / "corpus")


@pytest.fixture(scope="module")
def said(corpus):
    """Guesses at every third frame of four faces."""
    rng, parts = np.random.default_rng(5), []
    for name in NAMES:
        labels = corpus.labels[name]
        rows = np.arange(1, len(labels), 3)
        video = name.removesuffix("_left").removesuffix("_right")
        head = {"name": name, "video": video, "frame": rows + 1}
        guess = {"subject": corpus.subjects[name], "set": "test"}
        for key in ("valence", "arousal"):
            guess[key] = np.clip(getattr(labels, key)[rows] + rng.normal(0, 0.3, len(rows)), -1, 1)
        guess |= dict(zip(EXPRESSIONS, rng.dirichlet(np.ones(7), len(rows)).T, strict=True))
        near = 0.4 * labels.action_units[rows] + 0.6 * rng.random((len(rows), 8))
        guess |= dict(zip(ACTION_UNITS, near.T, strict=True))
        parts.append(pd.DataFrame(head | guess))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def frames(said, corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("predictions") / "mtl.csv.gz"
    said.to_csv(path, index=False)
    return lesson.read_predictions(path, corpus)


def valence_ccc(frames):
    known = frames.dropna(subset="label_valence")
    return plain_ccc(known["valence"], known["label_valence"])


def test_every_frame_has_its_own_label_and_truth(said, frames, corpus):
    pd.testing.assert_frame_equal(frames[list(said)], said)
    for name, own in frames.groupby("name"):
        rows, labels = own["frame"].to_numpy() - 1, corpus.labels[name]
        truth = read_ground_truth(corpus.root / "truth" / f"{name}.csv").iloc[rows]
        seen = truth["visible"].to_numpy() == 1
        names = np.where(labels.has_expression, np.array(EXPRESSIONS)[labels.expression], "none")
        assert own["label_expression"].fillna("none").tolist() == names[rows].tolist()
        wanted = {
            "label_valence": np.where(labels.has_va, labels.valence, np.nan)[rows],
            "true_arousal": np.where(seen, truth["arousal"], np.nan),
            "true_AU12": np.where(seen, truth["AU12"] > 0.2, np.nan),
        }
        units = np.where(labels.has_action_units, labels.action_units, np.nan)[rows]
        wanted |= {f"label_{unit}": values for unit, values in zip(ACTION_UNITS, units.T, strict=True)}
        for column, values in wanted.items():
            np.testing.assert_allclose(own[column].to_numpy(float, na_value=np.nan), values, rtol=1e-6)


@pytest.mark.parametrize("words, change", [
    ("has no column AU6", lambda said: said.drop(columns="AU6")),
    ("predicts clip_99", lambda said: said.assign(name="clip_99")),
    ("predicts frame -3 of clip_14", lambda said: said.assign(frame=said["frame"] - 5)),
    ("predicts frame 9002 of clip_14", lambda said: said.assign(frame=said["frame"] + 9000)),
    ("no such file", None),
])  # fmt: skip
def test_a_file_of_something_else_or_none(words, change, said, corpus, tmp_path):
    if change:
        change(said).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(UserError, match=words):
        lesson.read_predictions(tmp_path / "other.csv", corpus)


def test_evaluation_of_the_table_is_that_of_its_rows(frames, corpus):
    known = frames.dropna(subset="label_expression")
    truth, predicted = known["label_expression"], known[list(EXPRESSIONS)].idxmax(axis=1)
    f1 = f1_score(truth, predicted, labels=list(EXPRESSIONS), average="macro")
    ours = lesson.expression_scores(frames).compute()
    wanted = [f1, accuracy_score(truth, predicted)]
    assert [ours["f1_macro"], ours["accuracy"]] == pytest.approx(wanted)
    table = lesson.evaluate_frames(frames, corpus, "mtl", options=ALL_FRAMES).table["value"]
    assert table["ccc_valence"] == pytest.approx(valence_ccc(frames), abs=2e-4)
    assert table["expression_f1_macro"] == pytest.approx(f1)
    np.testing.assert_allclose(table[[f"au_f1_{unit}" for unit in ACTION_UNITS]], lesson.unit_f1(frames))
    always = lesson.expression_scores(lesson.always(frames, "Happiness"))
    assert always.confusion[:, 4].sum() == always.confusion.sum() > 0
    assert always.compute()["accuracy"] == pytest.approx((truth == "Happiness").mean())


@pytest.mark.parametrize("active", [0.0, 0.5, pd.Series(np.linspace(0.1, 0.8, 8), ACTION_UNITS)])
def test_f1_of_units_is_that_of_scikit_learn(active, frames, corpus):
    found = lesson.unit_f1(frames, active)
    for unit in ACTION_UNITS:
        known = frames.dropna(subset=f"label_{unit}")
        limit = active if isinstance(active, float) else active[unit]
        wanted = f1_score(known[f"label_{unit}"].astype(int), known[unit] >= limit, zero_division=0)
        assert found[unit] == pytest.approx(wanted)
    table = lesson.evaluate_frames(frames, corpus, "au", active, ALL_FRAMES).table["value"]
    assert table["au_f1_macro"] == pytest.approx(found.mean())
    if isinstance(active, float):
        curves = lesson.unit_f1_curves(frames, [0.9, active])
        pd.testing.assert_series_equal(curves.loc[active], found, check_names=False)


CONFUSIONS = hnp.arrays(np.int64, (4, 4), elements=st.integers(0, 30)).filter(lambda c: c.sum(axis=1).all())


@settings(max_examples=40)
@given(CONFUSIONS, st.integers(0, 3), st.floats(0.01, 0.99))
def test_another_share_of_a_class_is_a_weight_of_its_frames(confusion, place, fraction):
    truth, predicted = (part.ravel() for part in np.indices((4, 4)))
    support = confusion.sum(axis=1)
    rest = support.sum() - support[place]
    weights = (
        confusion * np.where(np.arange(4) == place, fraction / support[place], (1 - fraction) / rest)[:, None]
    )
    table = lesson.scores_at_fraction(confusion, place, [fraction])
    weights = {"sample_weight": weights.ravel()}
    assert table["accuracy"].item() == pytest.approx(accuracy_score(truth, predicted, **weights))
    for average in ("weighted", "macro"):
        wanted = f1_score(truth, predicted, average=average, zero_division=0, **weights)
        assert table[f"f1_{average}"].item() == pytest.approx(wanted, abs=1e-6)


def test_pooled_and_by_clip(frames, corpus):
    means = frames.groupby("name")["label_valence"].transform("mean")
    table = lesson.pooled_and_by_clip({"said": frames, "mean": frames.assign(valence=means)}, corpus)
    known = frames.dropna(subset="label_valence")
    assert table.at["said", "pooled"] == pytest.approx(valence_ccc(frames), abs=2e-4)
    each = [valence_ccc(own) for _, own in known.groupby("name")]
    assert table.at["said", "mean over clips"] == pytest.approx(np.mean(each), abs=2e-4)
    assert table.at["mean", "mean over clips"] == 0 < table.at["mean", "pooled"]
    clips = lesson.clip_scores(frames, "valence")
    np.testing.assert_allclose(clips["ccc"], each)
    assert clips["frames"].sum() == len(known)
    spread = known[known["name"] == "clip_57"]["label_valence"].to_numpy().std()
    assert clips.at["clip_57", "sd"] == pytest.approx(spread, rel=1e-4)


def crowd(num_people=24, num_frames=90, seed=0):
    """People who are each misread in their own way; frame by frame hardly anything is left to chance."""
    rng, parts = np.random.default_rng(seed), []
    for person in range(num_people):
        wave = np.sin(np.arange(num_frames) / 15 + rng.uniform(0, 6))
        label = np.clip(rng.normal(0, 0.2) + 0.3 * wave, -1, 1)
        guess = rng.normal(0, 0.3) + rng.normal(1, 0.3) * label + rng.normal(0, 0.05, num_frames)
        who = {"name": f"clip {person}", "subject": f"person {person}"}
        rows = {"frame": np.arange(1, num_frames + 1), "valence": guess, "label_valence": label}
        parts.append(pd.DataFrame(who | rows))
    return pd.concat(parts, ignore_index=True)


def test_sums_of_any_units_are_a_plain_loop():
    table = crowd(5)
    table.loc[7, "valence"], table.loc[100, "label_valence"] = np.nan, np.nan
    for kind, units in lesson.resampling_units(table).items():
        sample = lesson.ccc_sums(table["valence"], table["label_valence"], units)
        known = table.dropna()
        assert len(sample.subjects) == {"frames": len(known), "seconds": 15, "people": 5}[kind]
        assert sample.of_all()["ccc"] == pytest.approx(valence_ccc(known))
        counts = RNG.integers(0, 3, len(sample.subjects))
        times = dict(zip(sample.subjects, counts, strict=True))
        drawn = known.loc[known.index.repeat(units[known.index].astype(str).map(times))]
        assert sample.of_resamples(counts[None])["ccc"][0] == pytest.approx(valence_ccc(drawn))


def test_intervals_by_people_are_those_of_evaluate(frames, corpus):
    found = lesson.intervals(frames, "valence", 400, seed=2).loc["people"]
    options = Options(partial=True, num_resamples=400, seed=2)
    theirs = lesson.evaluate_frames(frames, corpus, "va", options=options).table.loc["ccc_valence"]
    np.testing.assert_allclose(found[["ccc", "low", "high"]].astype(float), theirs.to_numpy(), atol=1e-3)
    assert found["drawn"] == frames["subject"].nunique()


def test_intervals_by_people_hold_the_other_half_and_those_by_frame_do_not():
    """With new people in every experiment: of right intervals 83%, with 24 people in a half a little less."""
    inside = pd.concat(lesson.other_half(crowd(48, seed=seed), "valence", 2, 100, seed) for seed in range(25))
    held = inside.groupby("drawn")["inside"].mean()
    assert 0.65 < held["people"] < 0.95 and held["frames"] < 0.3  # 50 cases
    assert held["frames"] < held["seconds"] < held["people"]
    assert (inside["inside"] == inside["other"].between(inside["low"], inside["high"])).all()
    assert inside.groupby("repeat").size().tolist() == [3 * 25] * 2
    table = crowd(7)
    found = lesson.other_half(table, "valence", repeats=1, num_resamples=50, seed=3).iloc[0]
    here = np.random.default_rng(3).permutation(np.unique(table["subject"]))[:3]
    assert found["other"] == pytest.approx(valence_ccc(table[~table["subject"].isin(here)]))


def test_paired_people_by_hand():
    first = crowd().assign(arousal=0.1, label_arousal=0.2, true_valence=0.0, true_arousal=0.0)
    second = first.assign(valence=first["valence"] + 0.1)
    row = lesson.paired_people(first, second, "label", 300).loc["valence"]
    one, other = valence_ccc(first), valence_ccc(second)
    assert row[["first", "second", "difference"]].tolist() == pytest.approx([one, other, one - other])
    assert row["low"] < row["difference"] < row["high"]
    constant = lesson.paired_people(first, second, "true", 10)
    assert (constant[["first", "second", "difference"]] == 0).all(axis=None)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=8))
def test_solution_of_the_constant_answer_is_scikit_learn(counts):
    truth = np.repeat(np.arange(len(counts)), counts)
    predicted = np.full(len(truth), np.argmax(counts))
    wanted = accuracy_score(truth, predicted), f1_score(truth, predicted, average="macro", zero_division=0)
    assert ANSWERS["always_scores"](counts) == pytest.approx(wanted)


PAIRS = st.tuples(st.integers(0, 20).map(lambda number: number / 20), st.integers(0, 1))


@settings(max_examples=40)
@given(st.lists(PAIRS, min_size=1, max_size=20))
def test_solution_of_the_threshold_is_scikit_learn(pairs):
    probabilities, labels = map(list, zip(*pairs, strict=True))
    thresholds = [0.0, 0.25, 0.5, 0.75, 1.0]
    f1 = [f1_score(labels, np.array(probabilities) >= limit, zero_division=0) for limit in thresholds]
    assert ANSWERS["best_threshold"](probabilities, labels, thresholds) == thresholds[int(np.argmax(f1))]


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.integers(-5, 5)), st.integers(1, 9))
def test_solution_of_the_causal_mean_is_pandas(values, width):
    wanted = pd.Series(values).rolling(width, min_periods=1).mean()
    assert ANSWERS["causal_mean"](list(values), width) == pytest.approx(list(wanted))


def test_solution_of_independent_frames_is_what_a_simulation_says():
    """Each answer stands in four frames: a quarter of the frames is independent."""
    answers = RNG.normal(size=(4000, 50))
    frames = np.repeat(answers, 4, axis=1)  # (experiments, 200)
    naive = frames.std(axis=1).mean() / np.sqrt(200)
    honest = frames.mean(axis=1).std()
    assert ANSWERS["worth"](200, naive, honest) == pytest.approx(50, rel=0.06)


def words_of(texts):
    return [text.get_text() for text in texts]


def scores_of(values, label):
    """CCC, correlation and MSE where both are known."""
    known = ~np.isnan(values) & ~np.isnan(label)
    x, y = values[known], label[known]
    return [plain_ccc(x, y), stats.pearsonr(x, y).statistic, mean_squared_error(x, y)]


def test_each_panel_of_traces_has_its_scores():
    label, said = RNG.normal(0, 0.4, (2, 80))
    label[5:9] = np.nan
    panels = {"as it is": said, "higher": said + 0.5, "a": said, "b": -said}
    figure = lesson.traces_with_scores(label, panels, fps=10, title="Traces")
    assert figure.get_suptitle() == "Traces"
    for axis, (words, values) in zip(figure.axes, panels.items(), strict=False):
        drawn_label, drawn = axis.lines
        np.testing.assert_array_equal(drawn_label.get_ydata(), label)
        np.testing.assert_array_equal(drawn.get_ydata(), values)
        assert drawn.get_xdata()[-1] == 7.9 and drawn.get_linestyle() != drawn_label.get_linestyle()
        ccc, _, mse = scores_of(values, label)
        assert re.fullmatch(rf"{words}\nCCC {ccc:.2f}, .*MSE {mse:.2f}", axis.get_title())
    assert [axis.axison for axis in figure.axes] == [True] * 4 + [False] * 2


def test_confusion_is_shown_as_shares_of_the_label():
    names = ["Neutral", "Anger", "Fear"]
    counts = pd.DataFrame([[900, 100, 0], [1, 1, 2], [0, 0, 0]], names, names)
    axis = lesson.confusion_picture(counts, "Confusion").axes[0]
    assert words_of(axis.get_yticklabels()) == ["Neutral (1,000)", "Anger (4)", "Fear (0)"]
    assert words_of(axis.get_xticklabels()) == names
    found = {text.get_position(): text.get_text() for text in axis.texts}
    assert found == {(0, 0): "90%", (1, 0): "10%", (0, 1): "25%", (1, 1): "25%", (2, 1): "50%"}
    assert axis.get_xlabel() == "answer" and axis.get_ylabel() == "label (frames)"


def test_thresholds_have_a_mark_at_the_top_of_each_curve():
    limits = np.linspace(0, 1, 11)
    validation, test = (pd.DataFrame(RNG.random((11, 5)), limits, list("abcde")) for _ in range(2))
    test["e"] = np.nan
    figure = lesson.threshold_panels({"validation": validation, "test": test}, "Thresholds")
    for axis, unit in zip(figure.axes, "abcde", strict=False):
        assert axis.get_title() == unit
        wanted = []
        for f1 in (validation[unit], test[unit].dropna()):
            wanted += [f1.tolist(), [f1.max()]] if len(f1) else [[]]
        assert [line.get_ydata().tolist() for line in axis.lines] == wanted
    marks = [line.get_marker() for line in figure.axes[0].lines]
    assert marks == ["None", "o", "None", "s"]
    assert figure.axes[0].lines[1].get_xdata() == [validation["a"].idxmax()]


def test_clips_are_dots_and_the_extremes_have_names():
    scores = {"frames": [100, 2000, 300, 50], "ccc": [0.5, 0.2, -0.1, 0.3], "sd": [0.1, 0.2, 0.3, 0.4]}
    scores = pd.DataFrame(scores, ["a", "b", "c", "d"])
    axis = lesson.clip_dots(scores, {"pooled": 0.25, "mean": 0.225}, "Clips").axes[0]
    np.testing.assert_array_equal(axis.collections[0].get_offsets(), scores[["sd", "ccc"]])
    assert np.argsort(axis.collections[0].get_sizes()).tolist() == [3, 0, 2, 1]
    assert sorted(text.get_text() for text in axis.texts) == ["a", "b", "c"]
    assert words_of(axis.get_legend().get_texts()) == ["pooled: 0.25", "mean: 0.23"]


def test_smoothing_curves_start_as_it_is_and_leave_out_lags():
    filters = [(True, 1), (False, 5), (True, 5), (False, 9), (True, 9)]
    rows = [(*one, lag, *RNG.random(2)) for one in filters for lag in (0, 3)]
    table = pd.DataFrame(rows, columns=["causal", "width", "lag", "test_label", "test_true"])
    figure = lesson.smoothing_curves(table, "test", fps=10, title="Smoothing")
    still = table[table["lag"] == 0].set_index(["causal", "width"])
    for axis, column in zip(figure.axes, ("test_label", "test_true"), strict=True):
        centred, causal, dotted = axis.lines
        first = still.at[(True, 1), column]
        assert centred.get_xdata().tolist() == causal.get_xdata().tolist() == [0.1, 0.5, 0.9]
        assert centred.get_ydata().tolist() == [first, *still.loc[False, column]]
        assert causal.get_ydata().tolist() == [first, *still.loc[True, column].drop(1)]
        assert set(dotted.get_ydata()) == {first}


def test_lags_say_where_their_tops_are():
    seconds = np.linspace(-1, 1, 21)
    lines = {"one": -((seconds - 0.3) ** 2), "two": -((seconds + 0.5) ** 2)}
    figure = lesson.lag_panels(seconds, {"valence": lines, "arousal": lines}, "Lags")
    for axis, name in zip(figure.axes, ("valence", "arousal"), strict=True):
        assert axis.get_title() == name
        assert words_of(axis.get_legend().get_texts()) == ["one: top at 0.3 s", "two: top at -0.5 s"]
        assert [line.get_markevery() for line in axis.lines[:2]] == [[13], [5]]


def test_intervals_are_lines_with_their_ends():
    ends = {"ccc": [0.4, 0.4], "low": [0.39, 0.2], "high": [0.41, 0.55]}
    table = pd.DataFrame(ends, ["9 frames", "2 people"])
    axis = lesson.interval_bars(table, "CCC", "Intervals").axes[0]
    assert [line.get_xdata().tolist() for line in axis.lines[::2]] == [[0.39, 0.41], [0.2, 0.55]]
    assert [text.get_text().strip() for text in axis.texts] == ["0.39 to 0.41", "0.20 to 0.55"]
    assert words_of(axis.get_yticklabels()) == ["9 frames", "2 people"]


def shown_scores(explorer) -> list[list[float]]:
    """The two rows of numbers beside the sliders: as predicted, and changed."""
    table = explorer.children[0].children[1].value
    rows = re.split("<tr[^>]*>", table)[2:]
    return [[float(number) for number in re.findall(r">(-?\d\.\d{3})<", row)] for row in rows]


def test_the_sliders_change_scores_and_picture():
    label = np.sin(np.arange(150) / 12) * 0.6
    said = 0.5 * np.roll(label, 7) - 0.1 + RNG.normal(0, 0.05, 150)  # wrong in every way
    label[:4], said[60:66] = np.nan, np.nan
    explorer = score_explorer(label, said, name="valence")
    controls, image = explorer.children[0].children[0], explorer.children[1]
    shift, scale, lag, width, back = controls.children
    first = image.value

    def assert_shown(changed):
        wanted = [scores_of(said, label), scores_of(changed, label)]
        np.testing.assert_allclose(shown_scores(explorer), wanted, atol=5e-4)

    assert_shown(said)
    shift.value = 0.25
    assert_shown(said + 0.25)
    assert image.value != first
    shift.value, scale.value = 0.0, -1.0
    assert_shown(2 * np.nanmean(said) - said)
    scale.value, width.value = 1.0, 9
    smooth = pd.Series(said).rolling(9, center=True, min_periods=1).mean()
    assert_shown(smooth.where(~np.isnan(said)).to_numpy())
    width.value, lag.value = 1, -7
    assert shown_scores(explorer)[1][1] > shown_scores(explorer)[0][1] + 0.05  # it was 7 frames late
    back.click()
    assert image.value == first and [shift.value, scale.value, lag.value, width.value] == [0, 1, 0, 1]


def test_the_picture_shows_the_traces_where_they_are():
    label = np.linspace(-1, 1, 100)
    picture = ScorePicture(label, -label, name="arousal")
    time, against = picture.figure.axes
    assert time.get_ylabel() == "arousal" and against.get_xlabel() == "label: arousal"
    assert time.get_xlabel() == "seconds" and time.get_title() and against.get_title()
    drawn = picture.draw(label)
    np.testing.assert_array_equal(time.lines[1].get_ydata(), label)
    np.testing.assert_array_equal(against.lines[1].get_xydata(), np.stack([label, label], axis=1))
    pixels = cv2.imdecode(np.frombuffer(drawn, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels.shape[0] == 272 and pixels.shape[1] == 880
    assert picture.draw(-label) != drawn == picture.draw(label)
    assert not plt.get_fignums()  # a notebook would show such a figure twice

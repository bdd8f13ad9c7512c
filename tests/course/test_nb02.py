"""What annotators are worth: against scikit-learn, formulas, and marks whose errors are known."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from guesses import plain_ccc
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from refusals import refused
from repository import ROOT
from sklearn.metrics import cohen_kappa_score, f1_score, precision_score, recall_score
from small_corpus import labels_of
from solutions import solution_functions

from affkit.corpus.agreement import agree
from affkit.corpus.corpus import read_ground_truths
from affkit.labels import ACTION_UNITS, EXPRESSIONS, Labels
from affkit.video.video import write_video
from affkit_course.lessons import nb02 as lesson
from affkit_lab.figures import style as plots
from affkit_studio import clip_figures
from affkit_studio.annotate.project import Project
from affkit_studio.annotate.session import Segment

pytestmark = pytest.mark.slow  # runs whole commands

CLIPS = ROOT / "data_samples" / "clips"
ANSWERS = solution_functions("02")


def marked(num_frames, *segments):
    """Labels with the given ``(unit, start, stop)`` marked, all frames labelled."""
    labels = Labels.empty(num_frames)
    labels.has_action_units[:] = True
    for unit, start, stop in segments:
        labels.action_units[start:stop, ACTION_UNITS.index(unit)] = 1
    return labels


def random_units(rng, num_frames, fraction=0.4, labelled=1.0):
    labels = Labels.empty(num_frames)
    labels.has_action_units[:] = rng.uniform(size=(num_frames, 8)) < labelled
    labels.action_units[:] = (rng.uniform(size=(num_frames, 8)) < fraction) & labels.has_action_units
    return labels


def rated(valence, arousal):
    return labels_of(va=np.transpose([valence, arousal]))


def test_true_labels_are_those_the_sample_clips_came_with(tmp_path):
    labels = lesson.true_labels(read_ground_truths(CLIPS)["interview"])
    table = pd.read_csv(CLIPS / "truth" / "interview.csv")
    seen = table["visible"] == 1
    assert (labels.has_va == seen).all() and (labels.has_action_units.T == seen.to_numpy()).all()
    np.testing.assert_allclose(labels.arousal[seen], table["arousal"][seen], atol=1e-6)
    np.testing.assert_array_equal(labels.action_units[seen], table.loc[seen, list(ACTION_UNITS)] > 0.2)
    assert (labels.expression[seen] == table["expression"][seen]).all()
    assert max(table["expression"]) < len(EXPRESSIONS)
    with refused("truth"):
        read_ground_truths(tmp_path)


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    said = {name: random_units(rng, 80, labelled=0.7) for name in ("a", "b")}
    truth = {name: random_units(rng, 80, labelled=0.9) for name in ("a", "b", "not asked for")}
    scores = lesson.unit_scores(said, truth)

    def stacked(labels, name):
        return np.concatenate([getattr(labels[video], name) for video in said])

    guess, guessed = (stacked(said, name) for name in ("action_units", "has_action_units"))
    real, known = (stacked(truth, name) for name in ("action_units", "has_action_units"))
    for column, unit in [*enumerate(ACTION_UNITS), (slice(None), "all")]:
        both = (known & guessed)[:, column]
        ours, theirs = guess[:, column][both], real[:, column][both]
        there = ((real == 1) & known)[:, column].ravel()
        wanted = {
            "precision": precision_score(theirs, ours),
            "recall": recall_score(theirs, ours),
            "f1": f1_score(theirs, ours),
            "kappa": cohen_kappa_score(theirs, ours),
            "labelled": both.sum() / known[:, column].sum(),
            "found": recall_score(there, (guess[:, column] == 1).ravel() & there),
        }
        assert scores.loc[unit, list(wanted)].to_dict() == pytest.approx(wanted)


def test_a_unit_that_never_occurs_has_no_score_and_columns_are_found_by_name():
    scores = lesson.unit_scores({"a": marked(10, ("AU1", 0, 4))}, {"a": marked(10, ("AU1", 2, 6))})
    assert scores.loc["AU20", ["precision", "recall", "f1", "kappa", "found"]].isna().all()
    assert scores.loc["AU1", ["precision", "recall", "found"]].tolist() == [0.5, 0.5, 0.5]
    said = marked(10, ("AU12", 2, 6)).with_action_units(ACTION_UNITS[::-1])
    scores = lesson.unit_scores({"a": said}, {"a": marked(10, ("AU12", 2, 6))})
    assert scores.loc["AU12", "f1"] == 1


def test_calling_disputed_frames_absent_makes_recall_what_is_found():
    rng = np.random.default_rng(1)
    coders = {name: {"a": random_units(rng, 200)} for name in ("A1", "A2", "A3")}
    truth = {"a": random_units(rng, 200)}
    agreed = [agree(coders, disagreed=reading) for reading in ("unknown", "absent")]
    unknown, absent = (lesson.unit_scores(labels, truth) for labels in agreed)
    pd.testing.assert_series_equal(absent["recall"], absent["found"], check_names=False)
    pd.testing.assert_series_equal(unknown["found"], absent["found"])
    assert (unknown["labelled"] < 1).all() and (absent["labelled"] == 1).all()


def test_errors_of_onsets_and_offsets():
    truth = marked(100, ("AU1", 10, 20), ("AU1", 40, 60), ("AU4", 30, 50), ("AU6", 0, 9), ("AU12", 95, 100))
    said = marked(100, ("AU1", 13, 19), ("AU6", 2, 12), ("AU12", 90, 98), ("AU20", 5, 9))
    errors = lesson.boundary_errors({"a": said}, {"a": truth}).set_index(["unit", "start"])
    found = {key: (row["onset"], row["offset"]) for key, row in errors[errors["marked"]].iterrows()}
    unknown = pytest.approx(np.nan, nan_ok=True)
    assert found == {("AU1", 10): (3, -1), ("AU6", 0): (unknown, 3), ("AU12", 95): (-5, unknown)}
    assert set(errors.index) - set(found) == {("AU1", 40), ("AU4", 30)}
    assert errors[~errors["marked"]]["onset"].isna().all()
    assert len(errors) == 5  # a mark without an action has no onset to be wrong about
    # none is known of a mark over two actions, of two marks on one, and where the face comes back
    truth = marked(60, ("AU25", 10, 20), ("AU25", 24, 30), ("AU4", 10, 40))
    said = marked(60, ("AU25", 10, 30), ("AU4", 10, 20), ("AU4", 25, 40))
    errors = lesson.boundary_errors({"a": said}, {"a": truth})
    assert errors["marked"].all() and errors[["onset", "offset"]].isna().all(axis=None)
    truth = marked(60, ("AU4", 20, 40))
    truth.has_action_units[:20] = False
    errors = lesson.boundary_errors({"a": marked(60, ("AU4", 22, 41))}, {"a": truth})
    assert np.isnan(errors["onset"][0]) and errors["offset"][0] == 1


@settings(max_examples=50)
@given(arrays(bool, st.integers(1, 30)))
def test_distance_to_change(values):
    changes = [i for i in range(1, len(values)) if values[i] != values[i - 1]]
    distances = [[min(abs(t - i), abs(t - i + 1)) for i in changes] for t in range(len(values))]
    wanted = [min(own, default=np.inf) for own in distances]
    assert lesson.distance_to_change(values).tolist() == wanted


def test_disputed_frames():
    truth = pd.DataFrame(0.0, range(6), ["valence", "arousal", "expression", *ACTION_UNITS])
    truth = truth.assign(visible=[1, 1, 1, 1, 1, 0], AU4=[0, 0.1, 0.5, 0.9, 0.9, 0.9])
    coders = {f"A{i}": {"a": marked(6, ("AU4", start, 6))} for i, start in enumerate((1, 2, 4), 1)}
    coders["A2"]["a"].has_action_units[5] = False
    table = lesson.disputed_frames(coders, {"a": truth})
    assert len(table) == 5 * 8  # the last frame is not labelled by all
    wanted = {
        "frame": [1, 2, 3, 4, 5],
        "votes": [0, 1, 2, 2, 3],
        "disputed": [False, True, True, True, False],
        "intensity": [0, 0.1, 0.5, 0.9, 0.9],
        "present": [False, False, True, True, True],
        "distance": [1, 0, 0, 1, 2],  # out of sight it goes on
    }
    assert table.loc[table["unit"] == "AU4", list(wanted)].to_dict("list") == wanted
    assert not table.loc[table["unit"] != "AU4", "disputed"].any()


def test_concordance_is_the_formula_over_the_frames_that_all_have_at_every_shift():
    rng = np.random.default_rng(2)
    wave = np.convolve(rng.normal(size=400), np.ones(30) / 30, "same")
    wave = 0.9 * wave / np.abs(wave).max()
    truth = {"a": rated(wave, wave[::-1])}
    said = {"a": rated(np.roll(wave, 12), np.roll(wave[::-1], 7) * 0.5)}
    table = lesson.concordance({"said": said}, truth, range(-20, 31)).set_index("shift")
    assert table[["valence", "arousal"]].idxmax().tolist() == [12, 7]
    assert (table["frames"] == 400 - 20 - 30).all()
    x, y = said["a"].arousal[20 + 3 : 370 + 3].astype(float), truth["a"].arousal[20:370].astype(float)
    assert table["arousal"][3] == pytest.approx(plain_ccc(x, y))
    wave = np.sin(np.arange(50) / 5).astype(np.float32)
    truth = {"a": rated(wave, wave), "short": rated(wave[:3], wave[:3])}
    ratings = {"one": truth, "two": truth | {"a": rated(wave, wave)}}
    ratings["two"]["a"].has_va[30] = False
    table = lesson.concordance(ratings, truth, (0, 2))
    assert table["frames"].tolist() == [46 + 1] * 4  # frames 30 and 28 are gone, and the last two of each
    assert table.loc[table["shift"] == 0, "valence"].tolist() == pytest.approx([1, 1])


def test_the_hurried_annotator_marks_in_steps_and_saves(tmp_path):
    write_video(tmp_path / "clip.mp4", (np.zeros((32, 32, 3), np.uint8) for _ in range(48)))
    labels = marked(48, ("AU12", 12, 28), ("AU4", 20, 23), ("AU6", 38, 48))
    with Project.open(tmp_path / "p.affkit") as project:
        session = project.session(project.add_video(tmp_path / "clip.mp4").name, "hurried", "au")
        session.mark("AU25", 0, 3)
        assert lesson.mark_roughly(session, labels) == 2
    with Project.open(tmp_path / "p.affkit") as project:
        segments = project.session("clip", "hurried", "au").segments()
    assert segments == [Segment("AU12", 10, 30), Segment("AU6", 40, 48)]


def test_a_lane_without_frames_stays_in_the_figure():
    figure = clip_figures.presence({"A1": np.array([], int), "A2": np.array([3, 4, 9])})
    axis = figure.axes[0]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["A1", "A2"]
    assert {round(bar.get_y() + 0.3) for bar in axis.patches if bar.get_width() > 0} == {1}
    low, high = sorted(axis.get_ylim())
    assert low < 0 and high > 1


def test_a_picture_of_lines_is_small_and_looks_the_same():
    figure, axis = plt.subplots(figsize=(8, 3))
    axis.plot(np.sin(np.arange(300)[:, None] / np.arange(3, 11)))
    whole = io.BytesIO()
    figure.savefig(whole, format="png")
    few = plots.line_picture(figure).data
    assert len(few) < len(whole.getvalue()) / 2
    pixels = [np.asarray(Image.open(file).convert("RGB"), int) for file in (whole, io.BytesIO(few))]
    assert np.abs(pixels[0] - pixels[1]).mean() < 3
    assert not plt.fignum_exists(figure.number)


@settings(max_examples=50)
@given(pair=arrays(np.int8, (2, 40), elements=st.integers(0, 1)))
def test_solutions_of_the_exercises_are_right(pair):
    first, second = pair.tolist()
    together = first + second
    if 0 < sum(together) < len(together):
        assert ANSWERS["kappa"](first, second) == pytest.approx(cohen_kappa_score(first, second))
    else:
        assert np.isnan(ANSWERS["kappa"](first, second))
    for a, b in zip(first, second, strict=True):
        assert ANSWERS["all_agree"]([a, b, a]) == (a if a == b else None)

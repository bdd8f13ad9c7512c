"""Predictions scored against labels: what is compared with what, against scikit-learn."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from guesses import labels_and_guesses, plain_ccc, scores_by_frame
from hypothesis import given, settings
from refusals import refused, refuses, run_affkit
from sklearn.metrics import confusion_matrix, f1_score
from strategies import corpora

from affkit.evaluation.evaluate import SCORES, Evaluation, Options, evaluate_files, evaluate_labels, score
from affkit.labelfiles.formats import write_expressions, write_va
from affkit.labelfiles.layouts import read_tasks, write_annotations
from affkit.labelfiles.tables import write_mtl, write_submission, write_table
from affkit.labels import ACTION_UNITS, EXPRESSIONS, EXPRESSIONS_WITH_OTHER, KINDS, VA, Labels

GUESSES, TRUTH, SUBJECTS = labels_and_guesses()
EACH = pd.DataFrame({name: scores_by_frame(GUESSES, TRUTH, [name]) for name in TRUTH})  # video by video
QUICK = Options(num_resamples=0)
PARTIAL = Options(num_resamples=0, partial=True)
PER_VIDEO = Options(num_resamples=0, per_video=True)


def values(evaluation: Evaluation) -> dict[str, float]:
    return evaluation.table["value"].to_dict()


def scores(guesses, truth, task, subjects=None, options=QUICK) -> dict[str, float]:
    return values(evaluate_labels(guesses, truth, task, subjects, options))


def score_files(predictions, truth, task, split=None) -> dict[str, float]:
    return values(evaluate_files(predictions, truth, task, split, options=QUICK))


def clip(frames=4, valence=0.5):
    """A video in which valence rises, all frames labelled."""
    labels = Labels.empty(frames)
    labels.valence[:], labels.arousal[:] = np.linspace(-valence, valence, frames), 0.25
    labels.has_va[:] = labels.has_expression[:] = True
    return labels


def test_scores_are_those_of_numpy_and_scikit_learn():
    evaluation = evaluate_labels(GUESSES, TRUTH, "mtl", options=QUICK)
    assert values(evaluation) == pytest.approx(scores_by_frame(GUESSES, TRUTH, TRUTH))
    known = {name: labels.has_expression for name, labels in TRUTH.items()}
    sides = (np.concatenate([side[v].expression[known[v]] for v in TRUTH]) for side in (TRUTH, GUESSES))
    assert (evaluation.confusion.to_numpy() == confusion_matrix(*sides)).all()
    assert tuple(evaluation.confusion.index) == EXPRESSIONS


def test_the_multi_task_score_needs_all_three():
    found = scores(GUESSES, TRUTH, "mtl")
    for task in ("va", "expr", "au"):
        alone = scores(GUESSES, TRUTH, task)
        assert alone.items() <= found.items() and "multi_task" not in alone
    without = {name: labels.with_action_units(("AU9",)) for name, labels in GUESSES.items()}
    evaluation = evaluate_labels(without, TRUTH, "mtl", options=QUICK)
    assert not {"multi_task", "au_f1_macro"} & set(values(evaluation))
    assert "Not scored: action units; predictions has none." in evaluation.notes


def test_per_video_is_the_mean_over_the_videos_that_have_the_label():
    pooled = scores(GUESSES, TRUTH, "mtl")
    found = scores(GUESSES, TRUTH, "mtl", SUBJECTS, PER_VIDEO)
    assert found == pytest.approx(EACH.mean(axis=1).to_dict())
    assert abs(found["ccc_valence"] - pooled["ccc_valence"]) > 0.01
    truth = {"a": clip(), "b": clip(), "c": clip()}
    truth["b"].has_va[:] = False
    guesses = {"a": clip(), "b": clip(), "c": clip(valence=-0.5)}
    found = scores(guesses, truth, "mtl", options=PER_VIDEO)
    assert found["ccc_valence"] == pytest.approx(0, abs=1e-12)  # the mean of 1 and -1


@settings(max_examples=20)
@given(corpora())
def test_the_truth_scores_full_against_itself(labels):
    """Whatever is labelled: F1 and accuracy are 1, CCC is 1 or, where nothing changes, 0."""
    if not any(getattr(one, mask).any() for one in labels.values() for mask, _ in KINDS.values()):
        refuses("has no valence and arousal in any frame", evaluate_labels, labels, labels, "mtl")
        return
    for name, value in scores(labels, labels, "mtl").items():
        if name.startswith("mse"):
            assert value == pytest.approx(0, abs=1e-12)
        elif name.startswith("expression") and not np.isnan(value) or name.endswith("accuracy"):
            assert value == 1
        elif name in ("ccc_valence", "ccc_arousal"):
            numbers = np.concatenate([getattr(one, name[4:])[one.has_va] for one in labels.values()])
            assert np.ptp(numbers) <= 1e-3 or value == pytest.approx(1, abs=1e-6)


# What is compared with what


def test_the_order_of_videos_and_of_lines_does_not_matter(tmp_path):
    expected = scores(GUESSES, TRUTH, "mtl")
    backwards = dict(reversed(GUESSES.items()))
    write_table(tmp_path / "truth.csv", TRUTH)
    write_table(tmp_path / "guesses.csv", backwards)
    header, *lines = (tmp_path / "guesses.csv").read_text().splitlines()
    np.random.default_rng(0).shuffle(lines)
    (tmp_path / "guesses.csv").write_text("\n".join([header, *lines]) + "\n")
    write_annotations(tmp_path / "abaw", GUESSES)
    write_mtl(tmp_path / "mtl.txt", backwards)
    for guesses in ("guesses.csv", "abaw", "mtl.txt"):
        found = score_files(tmp_path / guesses, tmp_path / "truth.csv", "mtl")
        assert found.keys() - {"expression_f1_Other"} == expected.keys()
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    write_submission(tmp_path / "au.txt", backwards, "au")
    found = score_files(tmp_path / "au.txt", tmp_path / "truth.csv", "au")
    assert found["au_f1_macro"] == pytest.approx(expected["au_f1_macro"])


def test_files_without_a_layout_around_them(tmp_path):
    flat, table = tmp_path / "flat", tmp_path / "truth.csv"
    flat.mkdir()
    for name, guess in GUESSES.items():
        write_va(flat / f"{name}.txt", guess)
    write_table(table, TRUTH)
    assert score_files(flat, table, "va") == pytest.approx(scores(GUESSES, TRUTH, "va"))
    refuses("label files of one task", evaluate_files, flat, table, "mtl")
    refuses("the header is 'valence,arousal'", evaluate_files, flat, table, "au")
    refuses("no sets of a layout", evaluate_files, table, flat, "va", split="test")
    write_va(tmp_path / "clip_0.txt", TRUTH["clip_0"])
    expected = scores({"a": GUESSES["clip_0"]}, {"a": TRUTH["clip_0"]}, "va")
    assert score_files(flat / "clip_0.txt", tmp_path / "clip_0.txt", "va") == pytest.approx(expected)


def test_a_shorter_file_of_another_task_cuts_nothing(tmp_path):
    write_annotations(tmp_path, {"a": clip(9)})
    write_expressions(tmp_path / "EXPR_Recognition_Challenge" / "Train_Set" / "a.txt", clip(4))
    with warnings.catch_warnings(action="error"):
        labels = read_tasks(tmp_path, ("va", "expr"))
    assert len(labels["va"]["a"]) == 9 and len(labels["expr"]["a"]) == 4
    assert evaluate_files(tmp_path, tmp_path, "va", options=QUICK).parts["va"].frames == 9


def test_one_set_of_the_truth(tmp_path):
    write_annotations(tmp_path, TRUTH, splits={"clip_1": "validation", "clip_4": "validation"})
    write_table(tmp_path / "guesses.csv", GUESSES)
    found = evaluate_files(tmp_path / "guesses.csv", tmp_path, "expr", "validation", options=QUICK)
    two = {name: TRUTH[name] for name in ("clip_1", "clip_4")}
    assert values(found) == scores(GUESSES, two, "expr")
    assert len(found.parts["expr"].sums) == 2 and found.parts["expr"].not_labelled > 0


def test_what_is_not_labelled_does_not_count_and_is_counted():
    changed = {name: guess[np.arange(len(guess))] for name, guess in GUESSES.items()}
    for name, guess in changed.items():
        guess.valence[~TRUTH[name].has_va] = -1
    changed["stranger"] = clip(30)
    longer = clip(100)
    for name in ("valence", "arousal"):
        getattr(longer, name)[: len(TRUTH["clip_0"])] = getattr(changed["clip_0"], name)
    changed["clip_0"] = longer
    found, expected = (evaluate_labels(one, TRUTH, "va", options=QUICK) for one in (changed, GUESSES))
    assert values(found) == values(expected)
    before = sum(int((~labels.has_va).sum()) for labels in TRUTH.values())
    assert expected.parts["va"].not_labelled == before
    assert found.parts["va"].not_labelled == before + 30 + 100 - len(TRUTH["clip_0"])


def test_a_labelled_frame_without_a_prediction_is_an_error(tmp_path):
    truth = {"a": clip(6), "b": clip(8), "c": clip(3)}
    truth["b"].has_va[4] = False
    guesses = {"c": clip(3), "b": clip(7), "a": clip(6)}  # frame 8 of b is beyond its end
    guesses["b"].has_va[[4, 6]] = False  # frame 5 is not labelled
    guesses["c"].has_va[1] = False
    write_table(tmp_path / "guesses.csv", guesses)
    write_table(tmp_path / "truth.csv", truth)
    said = "guesses.csv: predicts no valence and arousal of frame 7 of b (3 such frames in 2 videos); "
    with refused(said) as error:
        evaluate_files(tmp_path / "guesses.csv", tmp_path / "truth.csv", "va")
    assert str(error.value).endswith("--partial")
    found = evaluate_labels(guesses, truth, "va", options=PARTIAL)
    assert found.parts["va"].frames == 6 + 5 + 2 and found.parts["va"].missing_frames == 3
    kept = {"a": [*range(6)], "b": [0, 1, 2, 3, 5], "c": [0, 2]}
    pair = (np.concatenate([one[v].valence[rows] for v, rows in kept.items()]) for one in (truth, guesses))
    assert values(found)["ccc_valence"] == pytest.approx(plain_ccc(*pair))
    assert any("left out 3 labelled frames" in note for note in found.notes)


def test_a_labelled_video_without_predictions_is_an_error():
    truth = {"a": clip(), "b": clip(), "c": clip()}
    for guesses in ({"b": clip()}, {"b": clip(), "d": clip()}):
        words = "no valence and arousal of a (2 of 3 labelled videos)", "--partial"
        refuses(words, evaluate_labels, guesses, truth, "va")
    found = evaluate_labels({"b": clip()}, truth, "va", options=PARTIAL).parts["va"]
    assert found.missing_videos == ["a", "c"] and found.frames == 4
    truth["a"].has_va[:] = truth["c"].has_va[:] = False
    assert evaluate_labels({"b": clip()}, truth, "va", options=QUICK).parts["va"].missing_videos == []
    words = "compare the names of the videos"
    refuses(words, evaluate_labels, {"x": clip()}, truth, "va", options=PARTIAL)


def test_an_action_unit_that_nobody_predicted():
    two = {name: guess.with_action_units(("AU25", "AU1", "AU9")) for name, guess in GUESSES.items()}
    refuses("has no AU12, which the truth has", evaluate_labels, two, TRUTH, "au")
    found = evaluate_labels(two, TRUTH, "au", options=PARTIAL)
    full = scores(GUESSES, TRUTH, "au")
    assert found.parts["au"].missing_units == ("AU12",) and found.parts["au"].classes == ("AU1", "AU25")
    each = {name: full[name] for name in ("au_f1_AU1", "au_f1_AU25")}
    assert values(found)["au_f1_macro"] == pytest.approx(np.mean(list(each.values())))
    assert {name: value for name, value in values(found).items() if "_AU" in name} == each


def test_a_class_that_the_predictions_do_not_know_counts():
    """ "Other" in the truth only: these frames are wrong, as in the challenges."""
    truth = Labels.empty(3, expression_names=EXPRESSIONS_WITH_OTHER)
    truth.expression[:], truth.has_expression[:] = [0, 4, 7], True
    guess = clip(3)
    guess.expression[:] = [0, 4, 4]
    found = evaluate_labels({"a": guess}, {"a": truth}, "expr", options=QUICK)
    expected = f1_score([0, 4, 7], [0, 4, 4], average="macro")
    assert values(found)["expression_f1_macro"] == pytest.approx(expected)
    assert found.confusion.at["Other", "Happiness"] == 1
    strange = Labels.empty(3, expression_names=(*EXPRESSIONS, "Contempt"))
    strange.has_expression[:] = True
    refuses("do not fit together", evaluate_labels, {"a": strange}, {"a": truth}, "expr")


def test_subjects_and_intervals():
    found = evaluate_labels(GUESSES, TRUTH, "va", SUBJECTS)
    assert len(found.sample.subjects) == 5 and "Subjects: 5." in found.notes
    inside = found.table["low"] <= found.table["value"], found.table["value"] <= found.table["high"]
    assert np.all(inside) and (found.table["low"] < found.table["high"]).all()
    assert found.table.equals(evaluate_labels(GUESSES, TRUTH, "va", SUBJECTS).table)
    alone = evaluate_labels(GUESSES, TRUTH, "va")
    assert len(alone.sample.subjects) == 7
    assert values(alone) == pytest.approx(values(found))  # only the intervals are others
    assert any("each video is a subject of its own" in note for note in alone.notes)
    one = evaluate_labels(GUESSES, TRUTH, "va", dict.fromkeys(TRUTH, "Ada"))
    assert one.table[["low", "high"]].isna().all(axis=None)
    assert "Intervals: none, since they need two subjects." in one.notes
    some = evaluate_labels(GUESSES, TRUTH, "va", {"clip_0": "Ada", "clip_1": "Ada"})
    assert any("5 videos without a known one" in note for note in some.notes)


def test_scores_of_a_table_of_probabilities():
    """Those of the likeliest classes; and the mean, over units, of the precision at each active frame."""
    rng = np.random.default_rng(0)
    units = (rng.random((200, 8)) < 0.3).astype(np.float32)
    units[:, 3] = 0  # never active: no average precision
    known, likely = rng.random((200, 8)) < 0.8, rng.random((200, 8))
    labels = replace(Labels.empty(200), action_units=units * known, has_action_units=known)
    labels.valence[:], labels.arousal[:] = rng.uniform(-1, 1, (2, 200))
    labels.has_va[:], labels.has_expression[:] = rng.random((2, 200)) < 0.7
    table = pd.DataFrame(likely, columns=ACTION_UNITS).assign(valence=labels.valence, arousal=np.float32(0.1))
    table[list(EXPRESSIONS)] = rng.dirichlet(np.ones(7), 200)
    found = score(table, labels)
    wanted = []
    for unit in (0, 1, 2, 4, 5, 6, 7):
        seen = np.flatnonzero(known[:, unit])
        active = units[seen[np.argsort(-likely[seen, unit])], unit]  # the most probable first
        precision = np.cumsum(active) / np.arange(1, len(active) + 1)
        wanted.append(precision[active == 1].mean())
    assert found.pop("au_average_precision") == pytest.approx(np.mean(wanted))
    guess = labels[np.arange(200)]  # a copy
    guess.arousal[:], guess.action_units[:] = 0.1, likely >= 0.5
    guess.expression[:] = table[list(EXPRESSIONS)].to_numpy().argmax(axis=1)
    expected = scores({"a": guess}, {"a": labels}, "mtl")
    assert found == pytest.approx({name: expected[name] for name in found})
    assert set(found) == set(SCORES) - {"au_average_precision"}
    affect = {f"{kind}_{name}" for kind in ("ccc", "mse") for name in VA}
    assert set(score(table[list(VA)], labels)) == affect
    assert score(table, Labels.empty(200)) == {}
    refuses("200 predictions for 199", score, table, labels[:199])


# The command: what it prints, its options, and mistakes in one line


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Predictions, labels and subjects."""
    folder = tmp_path_factory.mktemp("evaluate")
    write_table(folder / "guesses.csv", GUESSES)
    for name in ("truth", "lost"):
        write_annotations(folder / name, TRUTH)
    for name, who in (("truth/subjects.csv", SUBJECTS), ("who.csv", {name: name for name in SUBJECTS})):
        pd.Series(who, name="subject").to_csv(folder / name, index_label="video")
    write_table(folder / "fewer.csv", {name: GUESSES[name] for name in list(GUESSES)[1:]})
    (folder / "loud.csv").write_text("video,frame,valence,arousal\nclip_0,1,0.5,0.5\nclip_0,2,1.5,0.5\n")
    (folder / "empty").mkdir()
    (folder / "lost" / "subjects.csv").symlink_to("gone.csv")
    return folder


@pytest.fixture
def affkit(folder, monkeypatch, capsys):
    """Run ``affkit evaluate`` in that folder."""
    monkeypatch.chdir(folder)
    return lambda line: run_affkit(monkeypatch, capsys, "evaluate", *line.split())


@pytest.mark.slow
def test_the_command_says_all_there_is_to_know(affkit):
    code, text, complaints = affkit("guesses.csv truth --task mtl --seed 4")
    assert code == 0 and not complaints
    found = evaluate_labels(GUESSES, TRUTH, "mtl", SUBJECTS, Options(seed=4))
    row = found.table.loc["ccc_valence"]
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert f"ccc_valence {row['value']:.3f} {row['low']:.3f} to {row['high']:.3f}" in lines
    frames = sum(int(labels.has_va.sum()) for labels in TRUTH.values())
    for said in (
        "Pooled over the frames of all videos.",
        f"Valence and arousal: {frames:,} frames of 7 videos.",
        "predicted frames that are not labelled",
        "Subjects: 5.",
        "bootstrap by subject, percentiles of 1,000 resamples, seed 4",
        "Frames of each expression (rows) by prediction",
    ):
        assert said in text
    assert max(map(len, text.splitlines())) < 100


@pytest.mark.slow
@pytest.mark.parametrize("line, said, unsaid", [
    ("guesses.csv truth --task va --per-video", ["Mean over videos"], []),
    ("guesses.csv truth --task va --subjects who.csv", ["Subjects: 7."], []),
    ("fewer.csv truth --task au --partial", ["left out 1 of 7 videos, not predicted: clip_0"], []),
    ("guesses.csv guesses.csv --task au", ["each video is a subject of its own"], []),
    ("guesses.csv truth --task va --bootstrap 0", ["ccc_mean"], ["95%", "Intervals"]),
    ("--help", ["PRED", "--per-video", "gan FID", "affkit evaluate gan --run"],
     ["predictions FID", "evaluate predictions"]),  # the hidden name
])  # fmt: skip
def test_the_options_of_the_command_and_its_help(affkit, line, said, unsaid):
    code, text, _ = affkit(line)
    text = " ".join(text.split())
    assert code == 0 and all(words in text for words in said) and not any(words in text for words in unsaid)


@pytest.mark.slow
def test_json(affkit):
    found = json.loads(affkit("guesses.csv truth --task mtl --bootstrap 20 --json")[1])
    table = evaluate_labels(GUESSES, TRUTH, "mtl", SUBJECTS, Options(num_resamples=20)).table
    assert list(found["scores"]) == list(table.index)
    np.testing.assert_allclose(pd.DataFrame(found["scores"]).T[list(table)], table, rtol=1e-6)
    assert found["task"] == "mtl" and found["pooling"] == "frames" and found["subjects"] == 5
    assert found["confusion"]["classes"] == list(EXPRESSIONS)
    assert np.sum(found["confusion"]["truth_by_prediction"]) == found["counts"]["expr"]["frames"]
    assert found["counts"]["va"]["videos"] == 7 and found["counts"]["va"]["left_out_videos"] == []
    assert found["bootstrap"] == {"resamples": 20, "seed": 0, "level": 0.95}
    alone = json.loads(affkit("guesses.csv truth --task va --bootstrap 0 --json")[1])
    assert alone["scores"]["ccc_mean"]["low"] is None and "confusion" not in alone


MISTAKES = {  # of options more are tried in test_reliability_report.py
    "": "Missing argument",
    "guesses.csv": "Missing argument",
    "guesses.csv truth --task emotion": "task emotion: is not known; choose from va, expr, au, mtl",
    "guesses.csv truth --task va --set test": "has no set 'test'",
    "nothing.csv truth --task va": "nothing.csv: no such file",
    "guesses.csv nowhere --task va": "nowhere: no such file or folder",
    "guesses.csv empty --task va": "empty: no annotations in it",
    "fewer.csv truth --task au": "fewer.csv: predicts no action units of clip_0 (1 of 7 labelled videos)",
    "loud.csv truth --task va": "loud.csv: line 3: valence is 1.5; cut it to [-1, 1], as numpy.clip does",
    "truth loud.csv --task va": "loud.csv: line 3: valence is 1.5; valence lies in [-1, 1]; write -5 where",
    "loud.csv truth --task au": "loud.csv: line 3",
    "who.csv truth --task va": "who.csv: line 1: the header",
    "gan": "Missing option",
    "guesses.csv lost --task va": "subjects.csv: no such file",
}


@pytest.mark.slow
@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(line, affkit):
    code, text, complaints = affkit(line)
    assert code == 2 and not text
    assert len(complaints.splitlines()) == 1 and complaints.startswith("affkit: ")
    assert MISTAKES[line] in complaints

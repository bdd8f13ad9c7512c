"""``affkit evaluate PRED TRUTH``: what it prints, its options, and mistakes in one line."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from guesses import labels_and_guesses

from affkit.cli import main
from affkit.evaluation.evaluate import Options, evaluate_labels
from affkit.labelfiles.layouts import write_annotations
from affkit.labelfiles.tables import write_table
from affkit.labels import EXPRESSIONS

pytestmark = pytest.mark.slow  # runs whole commands

GUESSES, TRUTH, SUBJECTS = labels_and_guesses()


@pytest.fixture
def affkit(tmp_path, monkeypatch, capsys):
    """Run ``affkit evaluate`` in a folder with predictions, labels and subjects."""
    write_table(tmp_path / "guesses.csv", GUESSES)
    write_annotations(tmp_path / "truth", TRUTH)
    rows = [f"{video},{subject}" for video, subject in SUBJECTS.items()]
    (tmp_path / "truth" / "subjects.csv").write_text("\n".join(["video,subject", *rows]) + "\n")
    rows = [f"{video},{video}" for video in SUBJECTS]
    (tmp_path / "who.csv").write_text("\n".join(["video,subject", *rows]) + "\n")
    write_table(tmp_path / "fewer.csv", {name: GUESSES[name] for name in list(GUESSES)[1:]})
    (tmp_path / "loud.csv").write_text("video,frame,valence,arousal\nclip_0,1,0.5,0.5\nclip_0,2,1.5,0.5\n")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def run(line):
        monkeypatch.setattr(sys, "argv", ["affkit", "evaluate", *line.split()])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code or 0, *capsys.readouterr()

    return run


def test_the_command_says_all_there_is_to_know(affkit):
    code, text, complaints = affkit("guesses.csv truth --task mtl --seed 4")
    assert code == 0 and not complaints
    found = evaluate_labels(GUESSES, TRUTH, "mtl", SUBJECTS, Options(seed=4))
    row = found.table.loc["ccc_valence"]
    line = f"ccc_valence {row['value']:.3f} {row['low']:.3f} to {row['high']:.3f}"
    assert line in [" ".join(one.split()) for one in text.splitlines()]
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


def test_the_options_of_the_command(affkit):
    assert "Mean over videos" in affkit("guesses.csv truth --task va --per-video")[1]
    text = affkit("--task va --bootstrap 0 guesses.csv truth")[1]
    assert "95%" not in text and "Intervals" not in text
    assert "Subjects: 7." in affkit("guesses.csv truth --task va --subjects who.csv")[1]
    text = affkit("fewer.csv truth --task au --partial")[1]
    assert "left out 1 of 7 videos, not predicted: clip_0" in text
    assert "each video is a subject of its own" in affkit("guesses.csv guesses.csv --task au")[1]


def test_json(affkit):
    code, text, _ = affkit("guesses.csv truth --task mtl --bootstrap 20 --json")
    found = json.loads(text)
    table = evaluate_labels(GUESSES, TRUTH, "mtl", SUBJECTS, Options(num_resamples=20)).table
    assert list(found["scores"]) == list(table.index)
    for name, row in found["scores"].items():
        assert row == pytest.approx(table.loc[name].to_dict(), rel=1e-6)
    assert found["task"] == "mtl" and found["pooling"] == "frames" and found["subjects"] == 5
    assert found["confusion"]["classes"] == list(EXPRESSIONS)
    assert np.sum(found["confusion"]["truth_by_prediction"]) == found["counts"]["expr"]["frames"]
    assert found["counts"]["va"]["videos"] == 7 and found["counts"]["va"]["left_out_videos"] == []
    assert found["bootstrap"] == {"resamples": 20, "seed": 0, "level": 0.95}
    alone = json.loads(affkit("guesses.csv truth --task va --bootstrap 0 --json")[1])
    assert alone["scores"]["ccc_mean"]["low"] is None and "confusion" not in alone


MISTAKES = {
    "": "Missing argument",
    "guesses.csv": "Missing argument",
    "guesses.csv truth": "Missing option '--task'",
    "guesses.csv truth --task emotion": "task emotion: is not known; choose from va, expr, au, mtl",
    "guesses.csv truth --task va --bootstrap -1": "Invalid value for '--bootstrap'",
    "guesses.csv truth --task va --loud": "No such option",
    "guesses.csv truth --task va --set test": "has no set 'test'",
    "guesses.csv truth --task va --subjects nobody.csv": "nobody.csv: no such file",
    "nothing.csv truth --task va": "nothing.csv: no such file",
    "guesses.csv nowhere --task va": "nowhere: no such file or folder",
    "guesses.csv empty --task va": "empty: no annotations in it",
    "fewer.csv truth --task au": "fewer.csv: predicts no action units of clip_0 (1 of 7 labelled videos)",
    "loud.csv truth --task va": "loud.csv: line 3: valence is 1.5; valence lies in [-1, 1]",
    "loud.csv truth --task au": "loud.csv: line 3",
    "who.csv truth --task va": "who.csv: line 1: the header",
    "gan": "Missing option",
}


def test_subjects_that_are_a_link_to_nowhere_are_told(affkit):
    Path("truth", "subjects.csv").unlink()
    Path("truth", "subjects.csv").symlink_to("gone.csv")
    code, text, complaints = affkit("guesses.csv truth --task va")
    assert code == 2 and not text and "subjects.csv: no such file" in complaints


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(line, affkit):
    code, text, complaints = affkit(line)
    assert code == 2 and not text
    assert len(complaints.splitlines()) == 1 and complaints.startswith("affkit: ")
    assert MISTAKES[line] in complaints


def test_help_shows_both_commands_with_examples(affkit):
    code, text, _ = affkit("--help")
    words = " ".join(text.split())
    assert code == 0 and "PRED" in words and "--per-video" in words
    assert "gan FID" in words
    assert "Example: affkit evaluate " in words and "affkit evaluate gan --run" in words
    assert "predictions FID" not in words and "evaluate predictions" not in words  # the hidden name
    assert "Example: affkit evaluate gan " in " ".join(affkit("gan --help")[1].split())

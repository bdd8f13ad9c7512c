"""``affkit stats``: what it prints and writes."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from small_corpus import labels_of, write_corpus
from typer.testing import CliRunner

from affkit.cli import app
from affkit.corpus.corpus import Corpus
from affkit.corpus.statistics import ALL_FRAMES, expression_table
from affkit.errors import UserError
from affkit.labelfiles.layouts import write_annotations
from affkit.labels import ACTION_UNITS, Labels
from affkit.video.video import write_video
from affkit_lab.figures import corpus as figures

pytestmark = pytest.mark.slow  # runs whole commands

SHEET = Path(__file__).parents[2] / "data_samples" / "action_units.jpg"
HEADER = ",".join(ACTION_UNITS)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    write_corpus(root)
    return root


def run(*arguments):
    return CliRunner().invoke(app, ["stats", *map(str, arguments)])


def test_command_prints_and_writes(root, tmp_path):
    out = tmp_path / "out"
    answer = run("--data", root, "-o", out, "--units", SHEET)
    assert answer.exit_code == 0, answer.exception
    assert not re.search(r"\bnan?\b", answer.stdout, re.IGNORECASE)
    for said in ("2 (1 male; 1 female)", "43,948", "No file for 1 of 4 videos with expressions", "11 hours"):
        assert said in answer.stdout
    pictures = {"figure_1", "figure_2", "figure_3", "figure_4", "table_3", "valence_arousal"}
    assert {path.stem for path in out.glob("*.png")} == pictures
    assert {path.stem for path in out.glob("*.csv")} == {
        "table_1",
        "table_3",
        "table_4",
        "section_2a",
        "figure_3",
    }
    assert {path.name for path in out.iterdir() if path.suffix not in (".png", ".csv")} == {"table_2.jpg"}
    table = pd.read_csv(out / "table_3.csv", index_col=0)
    assert table.at[ALL_FRAMES, "frames"] == 47 and table.at["AU1", "paper"] == 43_948
    again = run("--data", root, "-o", out)
    assert isinstance(again.exception, UserError) and "already exists" in str(again.exception)
    assert run("--data", root, "-o", out, "--force").exit_code == 0


def test_help_has_an_example_that_parses(root, tmp_path):
    """The example of --help, with other folders."""
    words = " ".join(run("--help").stdout.split()).partition("Example: affkit stats ")[2].split()
    assert words[:1] == ["--data"] and words[2:] == ["-o", "figures"]
    assert run(*words[:1], root, *words[2:3], tmp_path / "figures").exit_code == 0


def test_command_prints_json(root):
    found = json.loads(run("--data", root, "--json").stdout)
    assert found["parts"]["au"]["corpus"]["frames"] == 35 and found["parts"]["au"]["paper"]["videos"] == 64
    assert found["action_units"]["AU12"]["paper"] == 45_291
    assert found["expressions"]["Anger"]["paper"] is None


def test_a_corpus_with_valence_and_arousal_only(tmp_path):
    names = ["it's", "映画 1", "$a$"]
    write_annotations(tmp_path / "in", dict.fromkeys(names, labels_of(va=[(0.5, 0.5)] * 30)))
    answer = run("--data", tmp_path / "in", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.exception
    assert "Table I)" not in answer.stdout and "1 secs - 1 secs" in answer.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "section_2a.csv",
        "valence_arousal.png",
    ]


def test_one_file_of_labels_is_a_corpus(tmp_path):
    (tmp_path / "labels.csv").write_text("video,frame,valence,arousal\nclip,1,-0.5,0.5\nclip,2,0.5,0.5\n")
    write_video(tmp_path / "clip.mp4", np.zeros((2, 32, 48, 3), np.uint8))
    found = json.loads(run("--data", tmp_path / "labels.csv", "--json").stdout)
    assert found["parts"]["va"]["corpus"]["resolution"] == [48, 32]
    assert found["quadrants"]["va"]["negative valence, positive arousal"] == 0.5


def test_words_from_files_are_shown_as_they_are(tmp_path):
    classes = ("$x_1^", "<b>Joy", "χαρά $b$")
    labels = Labels.empty(3, expression_names=classes)
    labels.expression[:], labels.has_expression[:] = [0, 1, 2], True
    table = expression_table(Corpus(tmp_path, {"a": labels}, {"a": "a"}, pd.DataFrame()))
    figure = figures.label_bars(table)
    figure.canvas.draw()
    shown = [tick.get_text().replace(r"\$", "$") for tick in figure.axes[0].get_xticklabels()]
    assert shown == list(classes)
    assert "<b>" not in table.to_html()


def test_bad_corpora(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, expected in (("empty", "no annotations in it"), ("none", "no such folder")):
        answer = run("--data", tmp_path / folder)
        assert isinstance(answer.exception, UserError) and expected in str(answer.exception)
    write_annotations(tmp_path / "blank", {"a": Labels.empty(3)})
    answer = run("--data", tmp_path / "blank")
    assert isinstance(answer.exception, UserError) and "no frame of it is labelled" in str(answer.exception)

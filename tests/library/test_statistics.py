"""The numbers of a corpus, against counts made with pandas straight from the files; ``affkit stats``."""

import json
import re
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from folders import contents
from hypothesis import given, settings
from refusals import run_affkit
from repository import ROOT
from small_corpus import labels_of, write_corpus
from strategies import corpora

from affkit.corpus import statistics
from affkit.corpus.corpus import Corpus, part_names
from affkit.labelfiles.layouts import write_annotations
from affkit.labels import ACTION_UNITS, EXPRESSIONS, Labels
from affkit.video.video import write_video
from affkit_lab.figures import corpus as figures


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    write_corpus(root)
    return root


@pytest.fixture(scope="module")
def corpus(root):
    return Corpus.open(root)


def corpus_of(labels, root=Path("nowhere")) -> Corpus:
    """Labels in memory, each of a person of their own."""
    return Corpus(root, labels, {name: name for name in labels}, pd.DataFrame())


def files(root, task, header) -> pd.DataFrame:
    """All label files of a task one below the other, read by pandas alone."""
    paths = sorted((root / "annotations").glob(f"{task}_*/Train_Set/*.txt"))
    tables = [pd.read_csv(path, names=header, skiprows=1).assign(name=path.stem) for path in paths]
    return pd.concat(tables, ignore_index=True)


def test_attributes_of_the_action_unit_part(corpus):
    found = statistics.measure(corpus, "au")
    assert part_names(corpus, "au") == ["one", "two_left", "two_right"]
    assert (found.frames, found.videos, found.subjects, found.missing) == (20 + 15, 2, 2, ())
    assert found.genders == {"male": 1, "female": 1} and found.annotators == 2
    assert found.seconds == pytest.approx((1.6, 2.0)) and found.formats == ("MP4",)
    assert found.resolution == (64, 72)


def test_a_video_that_is_not_there_has_the_length_of_its_labels(corpus):
    found = statistics.measure(corpus, "expr")
    assert (found.frames, found.videos) == (20 + 12 + 9 + 3, 4)
    assert len(found.missing) == 1 and "no video of four" in found.missing[0]
    assert found.subjects == 4 and found.seconds == pytest.approx((0.1, 2.0))
    table = statistics.attributes(corpus, "expr")
    assert table.at["Video format", "corpus"] == "MP4 (3 of 4 are here)"
    assert table["paper"].tolist()[:3] == ["288,000", "55", "56 (25 male; 31 female)"]
    assert table.at["Length of videos", "paper"] == "4 secs - 26 mins 22 secs"


def test_action_units_are_counted_as_in_the_files(root, corpus):
    rows = files(root, "AU", list(ACTION_UNITS))
    on, known = rows[list(ACTION_UNITS)] == 1, rows[list(ACTION_UNITS)] >= 0
    table = statistics.action_unit_table(corpus)
    assert table.loc[list(ACTION_UNITS), "frames"].tolist() == on.sum().tolist()
    assert table.loc[list(ACTION_UNITS), "labelled"].tolist() == known.sum().tolist()
    assert table.at["AU4", "labelled"] == len(rows) - 3
    assert table.at[statistics.ANY_UNIT, "frames"] == on.any(axis=1).sum()
    assert table.at[statistics.ALL_FRAMES, "frames"] == len(rows) == 47
    assert table["fraction"].tolist() == pytest.approx((table["frames"] / 47).tolist())
    assert table.at["AU6", "paper_fraction"] == pytest.approx(0.2059, abs=1e-4)
    eight = table.loc[list(ACTION_UNITS)]
    expected = eight["frames"].rank().corr(eight["paper"].astype(float).rank())
    assert statistics.order_agreement(table) == pytest.approx(expected, abs=1e-4)


def test_expressions_are_counted_as_in_the_files(root, corpus):
    rows = files(root, "EXPR", ["expression"])
    table = statistics.expression_table(corpus)
    expected = [(rows["expression"] == number).sum() for number in range(7)]
    assert table.loc[list(EXPRESSIONS), "frames"].tolist() == expected
    assert table.at[statistics.ANY_EXPRESSION, "frames"] == sum(expected) == (rows["expression"] >= 0).sum()
    assert table.at[statistics.ALL_FRAMES, "frames"] == len(rows)
    assert table.at[statistics.ANY_EXPRESSION, "paper_fraction"] == pytest.approx(115_640 / 288_000)


def test_the_plane_is_that_of_the_part(root, corpus):
    rows = files(root, "VA", ["valence", "arousal"])
    rows = rows[rows["name"].isin(["one", "two_left", "two_right"])]
    found = statistics.va_histogram(corpus, "au", bins=8)
    expected = pd.crosstab(
        pd.cut(rows["valence"], found.edges, labels=range(8), right=False),
        pd.cut(rows["arousal"], found.edges, labels=range(8), right=False),
        dropna=False,
    )
    assert np.array_equal(found.counts, expected.reindex(index=range(8), columns=range(8), fill_value=0))
    fraction = ((rows["valence"] >= 0) & (rows["arousal"] < 0)).mean()
    assert found.quadrants["positive valence, negative arousal"] == pytest.approx(fraction)


def test_borders_of_the_plane_are_inside():
    corpus = corpus_of({"a": labels_of(va=[(-1, -1), (1, 1), (0, 0), (1, -1)])})
    assert statistics.va_histogram(corpus, bins=2).counts.tolist() == [[1, 0], [1, 2]]
    with pytest.raises(ValueError, match="even"):
        statistics.va_histogram(corpus, bins=3)


def test_other_classes_and_units_have_rows_of_their_own(tmp_path):
    units, classes = (*ACTION_UNITS[:2], "AU7"), (*EXPRESSIONS, "Other")
    labels = Labels.empty(4, units, classes)
    labels.action_units[:, 2], labels.has_action_units[:] = 1, True
    labels.expression[:], labels.has_expression[:] = [7, 7, 0, 1], True
    corpus = corpus_of({"a": labels}, tmp_path)
    table = statistics.action_unit_table(corpus)
    assert list(table.index) == [*ACTION_UNITS, "AU7", statistics.ANY_UNIT, statistics.ALL_FRAMES]
    assert table.at["AU7", "frames"] == 4 and table.at[statistics.ANY_UNIT, "frames"] == 0
    assert table.at["AU20", "labelled"] == 0 and pd.isna(table.at["AU7", "paper"])
    assert np.isnan(statistics.order_agreement(table))
    table = statistics.expression_table(corpus)
    assert table.at["Other", "frames"] == 2 and table.at[statistics.ANY_EXPRESSION, "frames"] == 2
    json.dumps(statistics.Statistics.of(corpus).as_dict(), allow_nan=False)


@settings(max_examples=30)
@given(corpora())
def test_totals_hold_for_any_labels(labels):
    corpus = corpus_of(labels)
    units, expressions = statistics.action_unit_table(corpus), statistics.expression_table(corpus)
    in_part = sum(len(one) for one in labels.values() if one.has_action_units.any())
    assert units.at[statistics.ALL_FRAMES, "frames"] == in_part
    assert units["frames"].max() == in_part and (units["frames"] <= units["labelled"]).iloc[:-1].all()
    eight = units.loc[list(ACTION_UNITS), "frames"]
    assert eight.max() <= units.at[statistics.ANY_UNIT, "frames"] <= eight.sum()
    known = sum(int(one.has_expression.sum()) for one in labels.values())
    counted = expressions["frames"]
    assert counted[list(EXPRESSIONS)].sum() == counted[statistics.ANY_EXPRESSION] == known
    plane = statistics.va_histogram(corpus)
    assert plane.frames == sum(int(one.has_va.sum()) for one in labels.values())
    assert sum(plane.quadrants.values()) == pytest.approx(1 if plane.frames else 0)


def test_the_papers_numbers_fit_what_its_notes_say():
    total = sum(statistics.PAPER_ACTION_UNITS[unit] for unit in ACTION_UNITS)
    assert total == 235_649 and round(total / statistics.PAPER_ACTION_UNITS[statistics.ANY_UNIT], 1) == 1.7


def test_half_a_million_frames_take_seconds(tmp_path):
    rng = np.random.default_rng(0)
    units, expressions = rng.integers(0, 2, (10_000, 8)), rng.integers(0, 7, 10_000)
    labels = labels_of(units, expressions, rng.uniform(-0.7, 0.7, (10_000, 2)))
    corpus = corpus_of({f"v{number}": labels for number in range(50)}, tmp_path)
    start = time.process_time()
    assert statistics.Statistics.of(corpus).action_units.at[statistics.ALL_FRAMES, "frames"] == 500_000
    assert time.process_time() - start < 5


@pytest.fixture
def stats(monkeypatch, capsys):
    """Run ``affkit stats``: exit code, what it says, and its complaints."""
    return partial(run_affkit, monkeypatch, capsys, "stats")


@pytest.mark.slow
def test_command_prints_and_writes(root, tmp_path, stats):
    out = tmp_path / "out"
    code, said, _ = stats("--data", root, "-o", out, "--units", ROOT / "data_samples" / "action_units.jpg")
    assert code == 0 and not re.search(r"\bnan?\b", said, re.IGNORECASE)
    for words in ("2 (1 male; 1 female)", "43,948", "No file for 1 of 4 videos with expressions", "11 hours"):
        assert words in said
    pictures = {"figure_1", "figure_2", "figure_3", "figure_4", "table_3", "valence_arousal"}
    tables = {"table_1", "table_3", "table_4", "section_2a", "figure_3"}
    written = {f"{name}.png" for name in pictures} | {f"{name}.csv" for name in tables} | {"table_2.jpg"}
    assert {path.name for path in out.iterdir()} == written
    table = pd.read_csv(out / "table_3.csv", index_col=0)
    assert table.at[statistics.ALL_FRAMES, "frames"] == 47 and table.at["AU1", "paper"] == 43_948
    code, _, complaints = stats("--data", root, "-o", out)
    assert code == 2 and "already exists" in complaints
    # the example of --help, with other folders
    words = " ".join(stats("--help")[1].split()).partition("Example: affkit stats ")[2].split()
    assert words[:1] == ["--data"] and words[2:] == ["-o", "figures"]
    assert stats(words[0], root, words[2], out, "--force")[0] == 0
    found = json.loads(stats("--data", root, "--json")[1])
    assert found["parts"]["au"]["corpus"]["frames"] == 35 and found["parts"]["au"]["paper"]["videos"] == 64
    assert found["action_units"]["AU12"]["paper"] == 45_291
    assert found["expressions"]["Anger"]["paper"] is None


@pytest.mark.slow
def test_a_corpus_with_valence_and_arousal_only(tmp_path, stats):
    names = ["it's", "映画 1", "$a$"]
    write_annotations(tmp_path / "in", dict.fromkeys(names, labels_of(va=[(0.5, 0.5)] * 30)))
    code, said, _ = stats("--data", tmp_path / "in", "-o", tmp_path / "out")
    assert code == 0 and "Table I)" not in said and "1 secs - 1 secs" in said
    assert contents(tmp_path / "out").keys() == {"section_2a.csv", "valence_arousal.png"}


def test_one_file_of_labels_is_a_corpus(tmp_path, stats):
    (tmp_path / "labels.csv").write_text("video,frame,valence,arousal\nclip,1,-0.5,0.5\nclip,2,0.5,0.5\n")
    write_video(tmp_path / "clip.mp4", np.zeros((2, 32, 48, 3), np.uint8))
    found = json.loads(stats("--data", tmp_path / "labels.csv", "--json")[1])
    assert found["parts"]["va"]["corpus"]["resolution"] == [48, 32]
    assert found["quadrants"]["va"]["negative valence, positive arousal"] == 0.5


def test_words_from_files_are_shown_as_they_are():
    classes = ("$x_1^", "<b>Joy", "χαρά $b$")
    labels = Labels.empty(3, expression_names=classes)
    labels.expression[:], labels.has_expression[:] = [0, 1, 2], True
    table = statistics.expression_table(corpus_of({"a": labels}))
    figure = figures.label_bars(table)
    figure.canvas.draw()
    shown = [tick.get_text().replace(r"\$", "$") for tick in figure.axes[0].get_xticklabels()]
    assert shown == list(classes)
    assert "<b>" not in table.to_html()


def test_a_corpus_without_labels_is_refused(tmp_path, stats):
    write_annotations(tmp_path, {"a": Labels.empty(3)})
    code, _, complaints = stats("--data", tmp_path)
    assert code == 2 and "no frame of it is labelled" in complaints

"""The label files of one video, read and written, with every mistake that public loaders make."""

import warnings
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused, refuses
from strategies import any_labels, assert_same

from affkit.labelfiles import formats
from affkit.labelfiles.formats import ABAW_ACTION_UNITS
from affkit.labels import EXPRESSIONS, EXPRESSIONS_WITH_OTHER, Labels


def lines(path):
    """The file as anyone would split it, without our reader."""
    data = path.read_bytes()
    assert b"\r" not in data and data.endswith(b"\n")
    return [line.split(",") for line in data.decode().split("\n")[:-1]]


# Round trips, and what is written as an independent reader sees it

READ = {"va": formats.read_va, "expr": formats.read_expressions, "au": formats.read_action_units}
WRITE = {"va": formats.write_va, "expr": formats.write_expressions, "au": formats.write_action_units}


@settings(max_examples=30)
@given(any_labels(ABAW_ACTION_UNITS, EXPRESSIONS_WITH_OTHER))
def test_the_files_of_a_video_come_back_and_three_merge_to_the_whole(tmp_path_factory, labels):
    folder, parts, rows = tmp_path_factory.mktemp("files"), {}, {}
    for kind, write in WRITE.items():
        write(folder / f"{kind}.txt", labels)
        parts[kind] = READ[kind](folder / f"{kind}.txt")
        assert_same(parts[kind], labels, [kind])
        header, *rows[kind] = lines(folder / f"{kind}.txt")
        names = {"va": ["valence", "arousal"], "expr": [*EXPRESSIONS, "Other"], "au": [*ABAW_ACTION_UNITS]}
        assert header == names[kind]
    for row, valence, labelled in zip(rows["va"], labels.valence, labels.has_va, strict=True):
        assert np.float32(row[0]) == valence if labelled else row == ["-5", "-5"]
    indices = np.where(labels.has_expression, labels.expression, -1)
    assert [int(cell) for (cell,) in rows["expr"]] == indices.tolist()
    units = np.where(labels.has_action_units, labels.action_units, -1)
    assert [[int(cell) for cell in row] for row in rows["au"]] == units.tolist()
    merged = formats.merge(*parts.values())
    assert merged.expression_names == EXPRESSIONS_WITH_OTHER
    assert merged == labels or not labels.has_action_units.any()  # then nobody names other units
    assert_same(merged.with_action_units(ABAW_ACTION_UNITS), labels)
    paths = folder / "valence.txt", folder / "arousal.txt"
    formats.write_affwild(*paths, labels)
    assert_same(formats.read_affwild(*paths), labels, ["va"])
    assert len(lines(paths[0])) == len(labels)  # no header


def test_minus_one_is_kept_minus_five_in_either_masks_both_and_line_i_is_frame_i(file):
    labels = formats.read_va(file("valence,arousal\n-1,-1\n-5,0.5\n0.5,-5.0\n-5,-5\n-1.0,1\n"))
    assert labels.has_va.tolist() == [True, False, False, False, True]
    assert labels.valence.tolist() == [-1, 0, 0, 0, -1]
    assert labels.arousal.tolist() == [-1, 0, 0, 0, 1]
    labels = formats.read_va(file("valence,arousal\n0.125,0\n0.25,0\n0.375,0\n"))
    for frame in (1, 2, 3):
        assert labels.valence[frame - 1] == frame / 8


def test_columns_and_expressions_are_found_by_name(file):
    assert formats.read_va(file("arousal,valence\n0.5,-1\n")).valence.tolist() == [-1]
    units = formats.read_action_units(file("AU12,AU1\n1,0\n-1,1\n")).with_action_units(("AU1", "AU12"))
    assert units.action_units.tolist() == [[0, 1], [1, 0]]
    assert units.has_action_units.tolist() == [[True, True], [True, False]]
    header = "Other,Surprise,Sadness,Happiness,Fear,Disgust,Anger,Neutral"
    labels = formats.read_expressions(file(header + "\n3\n0\n-1\n"))
    assert labels.expression_names == EXPRESSIONS_WITH_OTHER
    assert labels.expression.tolist() == [EXPRESSIONS.index("Happiness"), 7, 0]
    assert labels.has_expression.tolist() == [True, True, False]


@given(any_labels(expression_names=EXPRESSIONS_WITH_OTHER))
def test_dropping_other_masks_it(labels):
    dropped = formats.drop_other(labels)
    assert dropped.expression_names == EXPRESSIONS
    was_other = labels.has_expression & (labels.expression == 7)
    np.testing.assert_array_equal(dropped.has_expression, labels.has_expression & ~was_other)
    kept = dropped.has_expression
    np.testing.assert_array_equal(dropped.expression[kept], labels.expression[kept])
    np.testing.assert_array_equal(dropped.has_va, labels.has_va)


def test_different_lengths_warn_once_and_do_not_shift(file):
    va = formats.read_va(file("valence,arousal\n0.25,0\n0.5,0\n0.75,0\n"))
    units = formats.read_action_units(file("AU1\n0\n1\n"))
    expressions = formats.read_expressions(file(f"{','.join(EXPRESSIONS)}\n4\n5\n6\n"))
    with pytest.warns(UserWarning, match="clip.*3, 2\\)") as caught:
        merged = formats.merge(va, units, expressions, name="clip")
    assert len(caught) == 1
    assert merged.valence.tolist() == [0.25, 0.5, 0.75] and merged.expression.tolist() == [4, 5, 6]
    assert merged.action_units[:, 0].tolist() == [0, 1, 0]
    assert merged.has_va.all() and merged.has_action_units[:, 0].tolist() == [True, True, False]
    with pytest.warns(UserWarning, match="first 2"):
        labels = formats.read_affwild(file("0.5\n0.25\n0.125\n", "v.txt"), file("1\n-1\n", "a.txt"))
    assert labels.valence.tolist() == [0.5, 0.25]


@pytest.mark.parametrize("num_frames", [2, 3, 4])
def test_labels_and_frames_of_different_number(num_frames):
    with pytest.warns(UserWarning) if num_frames != 3 else warnings.catch_warnings(action="error"):
        assert len(formats.match_length(Labels.empty(3), num_frames, "clip")) == min(3, num_frames)


def test_the_first_of_two_labels_counts_and_classes_must_fit_together():
    first = formats.drop_other(Labels.empty(2))
    second = Labels.empty(2)
    for labels, value in ((first, 0.5), (second, -0.5)):
        labels.valence[:] = value
    first.has_va[0] = second.has_va[0] = second.has_va[1] = True
    assert formats.merge(first, second).valence.tolist() == [0.5, -0.5]
    with pytest.raises(ValueError, match="do not fit"):
        formats.merge(Labels.empty(1, expression_names=("Joy",)), Labels.empty(1))


@pytest.mark.parametrize("content", [
    b"valence,arousal\r\n0.5,-1\r\n-5,-5\r\n",
    b"\xef\xbb\xbfvalence,arousal\n0.5,-1\n-5,-5\n",
    b"\xef\xbb\xbfvalence,arousal\r\n0.5,-1\r\n-5,-5\r\n\r\n\r\n",
    b"valence,arousal\n0.5,-1\n-5,-5",
    b"valence,arousal\n0.5,-1\n-5,-5\n\n \n",
    b"valence, arousal\n 0.5 , -1 \n-5, -5\n",
    b"valence,arousal\r0.5,-1\r-5,-5\r",
    b"valence,arousal\n5e-1,-1.\n-5.0,-5.000\n",
])  # fmt: skip
def test_line_ends_marks_and_spaces_do_not_matter(file, content):
    labels = formats.read_va(file(content))
    assert labels.valence.tolist() == [0.5, 0] and labels.arousal.tolist() == [-1, 0]
    assert labels.has_va.tolist() == [True, False]


# Bad input: one line that names the file, the line and the fix

NOT_FINITE = ("nan", "inf", "1e999", "1_0")  # to Python's float they are numbers
VA, AU, EXPR = "valence,arousal\n", "AU1,AU2\n", ",".join(EXPRESSIONS) + "\n"


@pytest.mark.parametrize("reader, content, expected", [
    ("va", "valence;arousal\n0.5;0\n", "line 1: the header is 'valence;arousal'"),
    ("va", "0.5,0.5\n0.5,0\n", "line 1: the header is '0.5,0.5'"),
    ("va", EXPR + "1\n", "the first line must be 'valence,arousal'"),
    ("va", VA + "0.5,0\n1.7,0\n", "line 3: valence is 1.7"),
    ("va", VA + "0.5,0\n0,-1.0000001\n", "line 3: arousal is -1.0000001"),
    ("va", VA + "-4,0\n", "line 2: valence is -4"),
    *(("va", f"{VA}0,0\n0,{cell}\n", f"line 3: arousal is '{cell}'") for cell in ("", "happy", *NOT_FINITE)),
    ("va", VA + "0,0\n0.5\n", "line 3: has 1 columns, not 2"),
    ("va", VA + "0,0,0\n0.5,0.5\n", "line 2: has 3 columns, not 2"),
    ("va", VA + "0,0\n\n0.5,0.5\n", "line 3: is blank"),
    ("va", VA + "0,'0\n", "line 2: arousal is"),
    ("va", VA, "no frame below it"),
    *(("va", nothing, "the file is empty") for nothing in ("", " \n\n")),
    ("va", b"\x00\x00\x00\x18ftypmp42", "is not a text file"),
    ("va", VA.encode() + b"0,0\n\xff\xfe,1\n", "line 3: is not UTF-8 text"),
    ("va", "valence,arousal\n0,0\n".encode("utf-16"), "is UTF-16 text"),
    ("expr", "valence,arousal\n0,0\n", "line 1: the header is 'valence,arousal'"),
    ("expr", "Neutral,Anger\n0\n", "line 1: the header is 'Neutral,Anger'"),
    ("expr", EXPR + "0\n7\n", "line 3: expression is 7"),
    ("expr", EXPR + "-2\n", "line 2: expression is -2"),
    ("expr", EXPR + "0\n2.5\n", "line 3: expression is 2.5"),
    ("expr", EXPR + "Anger\n", "line 2: expression is 'Anger'"),
    ("expr", EXPR + "0,0,1,0,0,0,0\n", "line 2: has 7 columns, not 1"),
    ("au", "AU1,AU1\n0,0\n", "line 1: the header is 'AU1,AU1'"),
    ("au", "AU1,smile\n0,0\n", "line 1: the header is 'AU1,smile'"),
    ("au", AU + "0,0\n0,2\n", "line 3: AU2 is 2"),
    ("au", AU + "0.5,0\n", "line 2: AU1 is 0.5"),
    ("au", AU + "-5,0\n", "line 2: AU1 is -5"),
    ("au", AU + "1\n", "line 2: has 1 columns, not 2"),
])  # fmt: skip
def test_bad_input_is_one_clear_line(file, reader, content, expected):
    path = file(content)
    with refused(expected) as error:
        READ[reader](path)
    assert str(error.value).startswith(f"{path}: ") and len(str(error.value)) < len(str(path)) + 200


def test_no_file_and_no_affwild_number(tmp_path, file):
    refuses("no such file", formats.read_va, tmp_path / "none.txt")
    pair = file("0\n0\n", "v.txt"), file("0\n1.7\n", "a.txt")
    refuses("a.txt: line 2: arousal is 1.7", formats.read_affwild, *pair)
    pair = file("valence\n0\n", "v.txt"), file("0\n0\n", "a.txt")
    refuses("v.txt: line 1: valence is 'valence'", formats.read_affwild, *pair)


@pytest.mark.parametrize("bad", [0, 999, 1000, 1001, 4567, 8999])
@pytest.mark.parametrize("line", ["0.5", "0.5,word", "", "0.5,0.5,0.5"])
def test_the_faulty_line_of_a_long_file_is_found(file, bad, line):
    rows = ["0.5,-0.25"] * 9000
    rows[bad] = line
    path = file("valence,arousal\n" + "\n".join(rows) + "\n0,0\n")
    refuses(f"line {bad + 2}:", formats.read_va, path)


def test_nothing_is_left_when_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "clip.txt"
    formats.write_va(path, Labels.empty(3))
    before = path.read_bytes()
    monkeypatch.setattr("affkit.files.os.replace", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        formats.write_va(path, Labels.empty(9))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@given(st.lists(st.integers(0, 2), max_size=20))
def test_runs_are_maximal_and_cover_all_frames_or_the_true_ones(values):
    values = np.array(values, int)
    found, true = formats.constant_runs(values), formats.true_runs(values > 0)
    assert found.shape == (len(found), 2)
    assert [i for start, stop in found.tolist() for i in range(start, stop)] == list(range(len(values)))
    assert all(len(set(values[start:stop])) == 1 for start, stop in found)
    assert all(values[stop - 1] != values[stop] for stop in found[:-1, 1])
    assert [i for start, stop in true.tolist() for i in range(start, stop)] == np.flatnonzero(values).tolist()
    assert (true[1:, 0] > true[:-1, 1]).all()  # something lies between them

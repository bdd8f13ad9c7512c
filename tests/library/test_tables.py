"""Files that list the frames of many videos."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused, refuses
from strategies import assert_same, corpora

from affkit.errors import UserError
from affkit.labelfiles import formats, tables
from affkit.labelfiles.formats import ABAW_ACTION_UNITS
from affkit.labels import ACTION_UNITS, EXPRESSIONS, EXPRESSIONS_WITH_OTHER, KINDS, Labels

MTL = "image,valence,arousal,expression," + ",".join(ABAW_ACTION_UNITS) + "\n"
UNITS = ",0" * 12


def rows_of(path):
    """The rows as the csv module reads them."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


@settings(max_examples=15)
@given(corpora(action_unit_names=ABAW_ACTION_UNITS, expression_names=EXPRESSIONS_WITH_OTHER))
def test_files_of_many_videos_come_back(tmp_path_factory, labels):
    """All four, read as what they are and by their header; what they hold, as the csv module sees it."""
    path = tmp_path_factory.mktemp("listing") / "labels.csv"
    tables.write_mtl(path, labels)
    assert tables.read_mtl(path) == tables.read_listing(path) == labels
    rows = rows_of(path)
    assert len(rows) == sum(map(len, labels.values())) and len(rows[0]) == 16
    for row in rows:
        video, _, image = row["image"].rpartition("/")
        one, i = labels[video], int(image.removesuffix(".jpg")) - 1
        assert len(image) == len("00001.jpg")
        assert np.float32(row["valence"]) == (one.valence[i] if one.has_va[i] else -5)
        assert int(row["expression"]) == (one.expression[i] if one.has_expression[i] else -1)
        units = np.where(one.has_action_units[i], one.action_units[i], -1)
        assert [int(row[unit]) for unit in ABAW_ACTION_UNITS] == units.tolist()
    tables.write_table(path, labels)
    assert tables.read_table(path, EXPRESSIONS_WITH_OTHER) == labels
    if any((one.expression == 7).any() for one in labels.values()):  # else none is known
        assert tables.read_listing(path) == labels
    for row in rows_of(path):
        one, i = labels[row["video"]], int(row["frame"]) - 1
        assert row["arousal"] == "" if not one.has_va[i] else np.float32(row["arousal"]) == one.arousal[i]
        expected = EXPRESSIONS_WITH_OTHER[one.expression[i]] if one.has_expression[i] else ""
        assert row["expression"] == expected
    seven = {name: formats.drop_other(one) for name, one in labels.items()}
    tables.write_table(path, seven)
    assert tables.read_table(path) == tables.read_listing(path) == seven
    tables.write_affwild_csv(path, labels)
    found = {"va": [tables.read_affwild_csv(path), tables.read_listing(path)]}
    for task in KINDS:
        tables.write_submission(path, labels, task)
        found.setdefault(task, []).extend([tables.read_submission(path), tables.read_listing(path)])
    for task, backs in found.items():
        for back in backs:
            assert list(back) == list(labels)
            for name, one in labels.items():
                assert_same(back[name], one, [task])
            assert task != "au" or back[name].action_unit_names == ABAW_ACTION_UNITS


def test_videos_with_different_columns_and_other_classes_come_back_and_none_are_refused(tmp_path):
    path, classes = tmp_path / "labels.csv", ("Neutral", "Contempt")
    one, two = Labels.empty(1, ("AU1",), classes), Labels.empty(2, ("AU2", "AU1"), classes)
    one.has_action_units[:] = two.has_action_units[:] = two.has_expression[:] = True
    two.action_units[:, 0] = two.expression[1] = 1
    tables.write_table(path, {"one": one, "two": two})
    back = tables.read_table(path, classes)
    assert back["one"] == one.with_action_units(("AU1", "AU2"))
    assert back["two"] == two.with_action_units(("AU1", "AU2"))
    refuses("no labels to write", tables.write_table, path, {})


def test_mtl_masks_and_gaps(file):
    units = ["0"] * 11
    text = MTL + "clip_left/00002.jpg,-1,0.5,7," + ",".join([*units, "1"]) + "\n"
    text += "other/00001.jpg,-5,-5,-1," + ",".join([*units, "-1"]) + "\n"
    text += "clip_left/00004.jpg,0.5,-5,0," + ",".join([*units, "0"]) + "\n"
    labels = tables.read_mtl(file(text))
    assert list(labels) == ["clip_left", "other"] and list(map(len, labels.values())) == [4, 1]
    clip = labels["clip_left"]
    assert clip.has_va.tolist() == [False, True, False, False]
    assert clip.valence.tolist() == [0, -1, 0, 0]
    assert clip.has_expression.tolist() == [False, True, False, True]
    assert clip.expression[1] == EXPRESSIONS_WITH_OTHER.index("Other")
    assert clip.action_units[1, ABAW_ACTION_UNITS.index("AU26")] == 1
    assert clip.has_action_units.all(axis=1).tolist() == [False, True, False, True]
    assert not labels["other"].has_expression.any()
    assert labels["other"].has_action_units.tolist() == [[True] * 11 + [False]]


def test_mtl_headers(file):
    line = "clip/00001.jpg,0.5,-1,3,1" + ",0" * 11 + "\n"
    with_header = tables.read_mtl(file(MTL + line))
    assert tables.read_mtl(file(line)) == with_header
    assert tables.read_mtl(file("image,valence,arousal,expression,aus\n" + line)) == with_header
    swapped = tables.read_mtl(file("AU12,image,arousal,valence,expression,AU1\n1,clip/1.jpg,-1,0.5,3,0\n"))
    assert swapped["clip"].valence[0] == 0.5 and swapped["clip"].arousal[0] == -1
    units = swapped["clip"].with_action_units(ACTION_UNITS).action_units[0]
    assert units.tolist() == [0, 0, 0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize("image", [
    "clip/00003.jpg", "clip/3.jpg", "clip/     3.jpg", "/data/clip/00003.png", "C:\\data\\clip\\00003.jpg",
])  # fmt: skip
def test_the_image_gives_video_and_frame(file, image):
    header = "image_file_location,valence_value,arousal_value\n"
    labels = tables.read_affwild_csv(file(f"{header}{image},0.5,-1\n"))
    assert list(labels) == ["clip"]
    assert labels["clip"].has_va.tolist() == [False, False, True]
    assert labels["clip"].arousal.tolist() == [0, 0, -1]


def test_our_table_by_hand(file):
    text = "\ufeffframe,video,person,expression,AU25,valence,arousal\r\n"
    text += '2,"clip",left,Sadness,1,-1,0.25\r\n1,clip,right,,,,\r\n1,clip,left,Other,,0.5,\r\n'
    labels = tables.read_table(file(text))
    assert list(labels) == ["clip_left", "clip_right"]
    left = labels["clip_left"]
    assert left.action_unit_names == ("AU25",) and left.expression_names == EXPRESSIONS_WITH_OTHER
    assert left.expression.tolist() == [7, EXPRESSIONS.index("Sadness")]
    assert left.has_va.tolist() == [False, True] and left.valence.tolist() == [0, -1]
    assert left.has_action_units[:, 0].tolist() == [False, True]
    right = labels["clip_right"]
    assert not (right.has_va.any() or right.has_expression.any() or right.has_action_units.any())


def test_a_submission_by_hand(file):
    header = "image_location," + ",".join(EXPRESSIONS_WITH_OTHER)
    labels = tables.read_submission(file(header + "\nclip/00001.jpg,4\nclip/00003.jpg,7\n"))["clip"]
    assert labels.expression.tolist() == [4, 0, 7] and labels.has_expression.tolist() == [True, False, True]


TABLE = "video,frame,valence,arousal,expression,AU1\n"
GOOD = {  # kind of file to its reader, and a file
    "mtl": (tables.read_mtl, f"{MTL}clip/1.jpg,0,0,0{UNITS}\n"),
    "table": (tables.read_table, f"{TABLE}clip,1,0,0,Fear,1\n"),
    "csv": (tables.read_affwild_csv, "image_file_location,valence_value,arousal_value\nclip/1.jpg,0,0\n"),
    "submission": (tables.read_submission, "image_location,AU1,AU2\nclip/1.jpg,0,0\n"),
}


@pytest.mark.parametrize("kind, lines, expected", [
    ("mtl", f"clip/00000.jpg,0,0,0{UNITS}", "line 3: the frame number is 0; frames count from 1"),
    ("mtl", f"clip/99999999.jpg,0,0,0{UNITS}", "line 3: the frame number is 99999999"),
    ("mtl", f"clip/00001.jpg,0,0,0{UNITS}", "line 3: frame 1 of 'clip' is listed twice"),
    ("mtl", f"00002.jpg,0,0,0{UNITS}", "line 3: the image is '00002.jpg'"),
    ("mtl", f"clip/face.jpg,0,0,0{UNITS}", "line 3: the image is 'clip/face.jpg'"),
    ("mtl", f"../00002.jpg,0,0,0{UNITS}", "'..' is not a video name"),
    ("mtl", f"clip/2.jpg,1.7,0,0{UNITS}", "line 3: valence is 1.7"),
    ("mtl", f"clip/2.jpg,0,0,8{UNITS}", "line 3: expression is 8"),
    ("mtl", f"clip/2.jpg,0,0,0{',2' * 12}", "line 3: AU1 is 2"),
    ("mtl", "clip/2.jpg,0,0,0", "line 3: has 4 columns, not 16"),
    ("mtl", f"clip/2.jpg,nan,0,0{UNITS}", "line 3: valence is 'nan'"),
    ("mtl", f"clip/2.jpg,,0,0{UNITS}", "line 3: valence is ''"),
    ("mtl", f'"clip/2.jpg,0,0,0{UNITS}', "line 3: has 1 columns"),
    ("table", "clip,2,0,0,Joy,1", "line 3: expression is 'Joy'; use one of Neutral"),
    ("table", "clip,2,0,-1.7,Fear,1", "line 3: arousal is -1.7"),
    ("table", "clip,2,0,nan,Fear,1", "line 3: arousal is 'nan'"),
    ("table", "clip,2,0,NA,Fear,1", "line 3: arousal is 'NA'"),
    ("table", "clip,2,0,0,Fear,3", "line 3: AU1 is 3"),
    ("table", "clip,1.5,0,0,Fear,1", "line 3: frame is 1.5"),
    ("table", "clip,,0,0,Fear,1", "line 3: frame is nan"),
    ("table", "clip,-1,0,0,Fear,1", "line 3: the frame number is -1"),
    ("table", ",2,0,0,Fear,1", "'' is not a video name"),
    ("table", "a/b,2,0,0,Fear,1", "'a/b' is not a video name"),
    ("table", '"a\n",2,0,0,Fear,1', "line 3: a quotation mark is not closed"),
    ("table", '"clip",2,0,0,Fear', "line 3: has 5 columns, not 6"),
    ("table", "clip,2", "line 3: has 2 columns, not 6"),
    ("csv", "clip/2.jpg,0,2", "line 3: arousal is 2"),
    ("csv", "clip/2.jpg,zero,0", "line 3: valence_value is 'zero'"),
    ("submission", "clip/2.jpg,0,7", "line 3: AU2 is 7"),
])  # fmt: skip
def test_bad_lines_are_named(file, kind, lines, expected):
    read, good = GOOD[kind]
    assert list(read(file(good))) == ["clip"]
    path = file(good + lines + "\n")
    with refused(expected) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize("read, header", [
    (tables.read_mtl, "image,valence,expression,AU1"),
    (tables.read_mtl, "image,valence,arousal,expression"),
    (tables.read_mtl, "image,valence,arousal,expression,AU1,smile"),
    (tables.read_mtl, "image,valence,arousal,expression,AU1,AU1"),
    (tables.read_table, "video,valence,arousal"),
    (tables.read_table, "video,frame,valance,arousal"),
    (tables.read_table, "video,frame,valence"),
    (tables.read_table, "video,frame,AU01"),
    (tables.read_table, "video,frame,frame"),
    (tables.read_affwild_csv, "image,valence,arousal"),
    (tables.read_submission, "image_location,joy"),
    (tables.read_submission, "image,valence,arousal"),
])  # fmt: skip
def test_wrong_headers_are_shown(file, read, header):
    path = file(header + "\nclip/00001.jpg,0,0,0\n")
    refuses(("line 1: the header is", header[:40]), read, path)


@pytest.mark.parametrize("name", ["../clip", "a/b", "a\\b", "a,b", "", ".hidden", "a\nb", "..", 'a"b'])
@pytest.mark.parametrize("write", [tables.write_mtl, tables.write_table, tables.write_affwild_csv])
def test_names_that_would_break_the_file_are_refused(tmp_path, write, name):
    refuses("not a video name", write, tmp_path / "labels.csv", {name: Labels.empty(1)})
    assert list(tmp_path.iterdir()) == []


HEADERS = ["", "valence,arousal", "AU1,AU2", ",".join(EXPRESSIONS), "image,valence,arousal,expression,AU1"]
HEADERS += ["video,frame,valence,arousal", "video,frame,expression,AU1", "image_location,AU1"]
HEADERS += ["image_file_location,valence_value,arousal_value"]
CELLS = ["0", "1", "-1", "-5", "0.5", "1e9", "-0", "clip", "clip/1.jpg", "", " ", '"', "é", "nan"]
CELLS += ["\u2028", "\x0c"]
BODIES = st.lists(st.lists(st.sampled_from(CELLS), max_size=6).map(",".join), max_size=4).map("\n".join)


FILES = st.builds(lambda header, body: f"{header}\n{body}".encode(), st.sampled_from(HEADERS), BODIES)


@given(st.one_of(st.binary(), FILES))
def test_whatever_is_in_a_file_it_is_labels_or_a_clear_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "labels.txt"
    path.write_bytes(content)
    readers = [formats.read_va, formats.read_expressions, formats.read_action_units]
    readers += [tables.read_mtl, tables.read_table, tables.read_affwild_csv, tables.read_submission]
    for read in readers:
        try:
            found = read(path)
        except UserError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:
            videos = found.values() if isinstance(found, dict) else [found]
            assert all(len(one) for one in videos)

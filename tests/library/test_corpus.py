"""Folders of label files, in the layout of every year, and the corpus around them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refuses
from strategies import corpora

from affkit.corpus.corpus import Corpus, read_ground_truth, read_ground_truths
from affkit.corpus.partition import read_folder
from affkit.labelfiles.formats import ABAW_ACTION_UNITS
from affkit.labelfiles.layouts import (
    find_layout,
    find_video,
    read_annotations,
    read_tasks,
    video_of,
    write_annotations,
)
from affkit.labels import ACTION_UNITS, EXPRESSIONS, EXPRESSIONS_WITH_OTHER, Labels

VA = "valence,arousal\n-1,0.5\n-5,-5\n"
EIGHT = ",".join(ACTION_UNITS) + "\n" + "0,1,0,0,0,0,0,1\n" + "-1," * 7 + "-1\n"
TWELVE = ",".join(ABAW_ACTION_UNITS) + "\n" + "0,1" + ",0" * 10 + "\n" + "-1," * 11 + "-1\n"
SEVEN = ",".join(EXPRESSIONS) + "\n4\n-1\n"
WITH_OTHER = ",".join(EXPRESSIONS_WITH_OTHER) + "\n7\n-1\n"
MTL_LINE = "clip/00001.jpg,-1,0.5,4" + ",0" * 11 + ",1\n"


def make(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return root


# What each year handed out: the folders of the tasks below the folder a user gives, and of the training set
OLD = ("VA_Set", "EXPR_Set", "AU_Set")
THIRD = ("VA_Estimation_Challenge", "EXPR_Classification_Challenge", "AU_Detection_Challenge")
SIXTH = (THIRD[0], "EXPR_Recognition_Challenge", THIRD[2])
YEARS = {
    "2020, Training_Set": ("", OLD, "Training_Set", EIGHT, SEVEN),
    "2020, Train_Set": ("", OLD, "Train_Set", EIGHT, SEVEN),
    "2020, in annotations": ("annotations/", OLD, "Training_Set", EIGHT, SEVEN),
    "third": ("3rd ABAW Annotations/", THIRD, "Train_Set", TWELVE, WITH_OTHER),
    "sixth": ("6th ABAW Annotations/", SIXTH, "Train_Set", TWELVE, WITH_OTHER),
    "deeper": ("Aff-Wild2/labels/6th ABAW Annotations/", SIXTH, "Train_Set", TWELVE, WITH_OTHER),
    "lower case": ("", tuple(map(str.lower, SIXTH)), "train_set", TWELVE, WITH_OTHER),
}


@pytest.mark.parametrize("year", YEARS)
def test_every_year_is_read(tmp_path, year):
    above, folders, train, units, classes = YEARS[year]
    va, expr, au = (f"{above}{folder}/{{}}" for folder in folders)
    make(tmp_path, {
        va.format(f"{train}/clip.txt"): VA,
        expr.format(f"{train}/clip.txt"): classes,
        au.format(f"{train}/clip.txt"): units,
        va.format("Validation_Set/two_left.txt"): VA,
        va.format("Validation_Set/two_right.txt"): VA,
        expr.format("Validation_Set/two_left.txt"): classes,
        au.format("Validation_Set/other.txt"): units,
        va.format("Validation_Set/._two_left.txt"): "\x05\x16",  # what archives made on a Mac leave
    })  # fmt: skip
    assert find_layout(tmp_path).splits == ("train", "validation")
    labels = read_annotations(tmp_path)
    assert list(labels) == ["clip", "other", "two_left", "two_right"]
    assert list(read_annotations(tmp_path, "train")) == ["clip"]
    assert list(read_annotations(tmp_path, "validation")) == ["other", "two_left", "two_right"]
    clip = labels["clip"]
    assert clip.valence.tolist() == [-1, 0] and clip.has_va.tolist() == [True, False]
    assert clip.expression[0] == (4 if classes is SEVEN else 7)
    assert clip.has_expression.tolist() == [True, False]
    ours = clip.with_action_units(ACTION_UNITS)
    assert ours.action_units[0, ACTION_UNITS.index("AU2")] == 1
    assert ours.has_action_units[0, ACTION_UNITS.index("AU20")] == (units is EIGHT)
    assert not ours.has_action_units[1].any()
    assert not labels["other"].has_va.any() and not labels["two_right"].has_expression.any()
    assert {one.action_unit_names for one in labels.values()} == {clip.action_unit_names}
    assert {one.expression_names for one in labels.values()} == {clip.expression_names}


@pytest.mark.parametrize("folder", ["", "MTL_Challenge/", "4th ABAW Annotations/MTL_Challenge/"])
@pytest.mark.parametrize("name", ["{}_set.txt", "{}ing_set_annotations.txt"])
def test_multi_task_files_are_read(tmp_path, folder, name):
    header = "image,valence,arousal,expression," + ",".join(ABAW_ACTION_UNITS) + "\n"
    train, validation = folder + name.format("train"), folder + name.replace("ing", "").format("validation")
    make(tmp_path, {train: header + MTL_LINE, validation: MTL_LINE.replace("clip", "two_left")})
    assert list(read_annotations(tmp_path)) == ["clip", "two_left"]
    clip = read_annotations(tmp_path, "train")["clip"]
    assert clip.valence[0] == -1 and clip.expression[0] == 4
    assert clip.action_units[0, ABAW_ACTION_UNITS.index("AU26")] == 1


def test_the_multi_task_file_beside_the_others_is_not_read_twice(tmp_path):
    make(tmp_path, {
        "VA_Estimation_Challenge/Train_Set/clip.txt": VA,
        "MTL_Challenge/train_set.txt": MTL_LINE.replace("-1,0.5", "0.5,0.5"),
    })  # fmt: skip
    assert ("mtl", "train") in find_layout(tmp_path).sets
    assert read_annotations(tmp_path)["clip"].valence.tolist() == [-1, 0]


@pytest.mark.parametrize("below", ["annotations/", ""])
def test_affwild_and_one_file_of_many_videos_are_read(tmp_path, below):
    train = f"{below}train"
    make(tmp_path, {f"{train}/valence/105.txt": "0.5\n-1\n", f"{train}/arousal/105.txt": "0.25\n1\n"})
    labels = read_annotations(tmp_path, "train")
    assert labels["105"].valence.tolist() == [0.5, -1] and labels["105"].arousal.tolist() == [0.25, 1]
    make(tmp_path, {"labels.csv": "video,frame,valence,arousal\nclip,2,-1,0\n"})
    assert read_annotations(tmp_path / "labels.csv")["clip"].valence.tolist() == [0, -1]


def test_affwild_pairs_its_files_whatever_the_form_of_their_names(tmp_path):
    one, other = "Zo\u00eb", "Zoe\u0308"  # composed, and a letter with its accent
    make(tmp_path, {f"train/valence/{one}.txt": "0.5\n", f"train/arousal/{other}.txt": "0.25\n"})
    assert read_annotations(tmp_path, "train")[one].arousal.tolist() == [0.25]
    make(tmp_path, {f"train/arousal/{one}.txt": "-1\n"})  # two: the one of exactly that name
    assert read_annotations(tmp_path, "train")[one].arousal.tolist() == [-1]
    make(tmp_path, {"train/valence/alone.txt": "0.5\n"})
    refuses("arousal/alone.txt: ", read_annotations, tmp_path)


def test_lists_of_test_videos(tmp_path):
    make(tmp_path, {
        "VA_Set/Train_Set/clip.txt": VA,
        "VA_Set/TestSet/names/VA_test_set_release.txt": "video7\nvideo8_left\r\n\n",
        "AU_test_set_release.txt": "video9\n",
    })  # fmt: skip
    layout = find_layout(tmp_path)
    assert layout.test_lists == {"VA": ("video7", "video8_left"), "AU": ("video9",)}
    assert layout.splits == ("train",)


def test_names_are_matched_in_one_form_and_suffixes_in_any_case(tmp_path):
    one, other = "Zo\u00eb_M\u00fcller", "Zoe\u0308_Mu\u0308ller"  # composed, and letters with their accents
    make(tmp_path, {
        f"VA_Set/Train_Set/{one}.txt": VA,
        f"AU_Set/Train_Set/{other}.TXT": EIGHT,
        f"VA_Set/Train_Set/{other}_left.TXT": VA,
        "VA_Set/VA_TEST_SET_RELEASE.TXT": f"{other}_right\n",
        "subjects.csv": f"video,person,subject\n{other},,s1\n{one},left,s2\n",
        f"videos/{other}.mp4": "",
        "labels.csv": f"video,frame,valence,arousal\n{other},1,0,0\n{one},2,0,0\n",
    })  # fmt: skip
    corpus = Corpus.open(tmp_path)
    assert corpus.subjects == {one: "s1", f"{one}_left": "s2"}
    assert corpus.labels[one].has_va[0] and corpus.labels[one].has_action_units[0].all()
    assert corpus.video_path(one) == corpus.video_path(f"{one}_left") == tmp_path / "videos" / f"{other}.mp4"
    assert find_video(tmp_path / "videos", other) == corpus.video_path(one)
    assert find_layout(tmp_path).test_lists == {"VA": (f"{one}_right",)}
    assert list(read_annotations(tmp_path / "labels.csv")) == [one]
    assert list(read_tasks(tmp_path / "AU_Set" / "Train_Set", ["au"])["au"]) == [one]
    assert sorted(read_folder(make(tmp_path, {"VA_Set/Val_Set/b.TXT": VA}))["va"].sets["train"]) == [
        one,
        f"{one}_left",
    ]


@pytest.mark.parametrize("link", ["annotations", "annotations/VA_Set", "annotations/VA_Set/Train_Set"])
def test_links_are_followed_once(tmp_path, link):
    make(
        tmp_path,
        {"annotations/VA_Set/Train_Set/clip.txt": VA, "annotations/AU_Set/Train_Set/clip.txt": EIGHT},
    )
    (tmp_path / link).rename(tmp_path / "elsewhere")
    (tmp_path / link).symlink_to(tmp_path / "elsewhere")
    for loop in ("annotations/labels", "annotations/VA_Set/Train_Set/Train_Set"):
        (tmp_path / loop).symlink_to(tmp_path)
    (tmp_path / "labels").symlink_to("annotations")  # another way to the same
    assert read_annotations(tmp_path)["clip"].has_va.tolist() == [True, False]
    (tmp_path / "itself").symlink_to("itself")
    refuses("itself: no such folder", read_annotations, tmp_path / "itself")


def test_what_systems_leave_is_no_folder_of_labels(tmp_path):
    files = dict.fromkeys(["__MACOSX/VA_Set/Train_Set/a.txt", ".ipynb_checkpoints/a.txt"], VA)
    make(tmp_path, files | {"VA_Set/Train_Set/__MACOSX/a.txt": VA, "VA_Set/Train_Set/.a.txt": VA})
    refuses("holds no label files", read_annotations, tmp_path)
    make(tmp_path, {"VA_Set/Train_Set/clip.txt": VA, "VA_Set/__MACOSX/._VA_test_set_release.txt": "\x05"})
    assert list(read_annotations(tmp_path)) == ["clip"] and find_layout(tmp_path).test_lists == {}


def test_images_are_never_listed(tmp_path, monkeypatch):
    make(tmp_path, {"annotations/VA_Set/Train_Set/clip.txt": VA, "cropped_aligned/clip/00001.jpg": ""})
    opened = []
    listing = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: opened.append(self.name) or listing(self))
    find_layout(tmp_path)
    assert "VA_Set" in opened and not {"cropped_aligned", "clip"} & set(opened)


def test_files_of_different_lengths_warn_once_a_video(tmp_path):
    make(tmp_path, {
        "VA_Set/Train_Set/short.txt": VA + "0.5,0.5\n",
        "AU_Set/Train_Set/short.txt": EIGHT,
        "EXPR_Set/Train_Set/short.txt": SEVEN,
        "VA_Set/Train_Set/good.txt": VA,
        "AU_Set/Train_Set/good.txt": EIGHT,
    })  # fmt: skip
    with pytest.warns(UserWarning, match="short") as caught:
        labels = read_annotations(tmp_path)
    assert len(caught) == 1 and len(labels["short"]) == 3 and labels["short"].valence[0] == -1
    assert labels["short"].has_va.tolist() == [True, False, True] and not labels["short"].has_expression[2]


def test_an_unknown_folder_says_what_was_looked_for_and_none_is_told(tmp_path):
    make(tmp_path, {"readme.txt": "", "faces/clip.jpg": ""})
    words = "faces, readme.txt", "VA_Set", "EXPR_Recognition_Challenge", "train_set.txt"
    refuses((str(tmp_path), *words), read_annotations, tmp_path)
    refuses("no such folder", read_annotations, tmp_path / "none")


@pytest.mark.parametrize("files, split, expected", [
    ({"VA_Set/Learning_Set/clip.txt": VA}, None, "or Validation_Set, only: Learning_Set"),
    ({"VA_Set/Train_Set/notes.md": ""}, None, "holds no label files"),
    ({"VA_Set/Train_Set/clip.txt": VA}, "validation", "has no set 'validation'; choose from train"),
    ({"VA_Set/Train_Set/clip.txt": VA, "VA_Set/Validation_Set/clip.txt": VA}, None, "clip is in another set"),
    ({"VA_Set/Train_Set/clip.txt": VA + "1.7,0\n"}, None, "clip.txt: line 4: valence is 1.7"),
    ({"EXPR_Set/Train_Set/a.txt": WITH_OTHER, "EXPR_Set/Train_Set/b.txt": WITH_OTHER.replace("Other", "Joy")},
     None, "do not fit together"),
    ({"train/valence/1.txt": "0\n", "train/arousal/2.txt": "0\n"}, None, "no such file"),
    ({"3rd ABAW Annotations/VA_Set/Train_Set/a.txt": VA, "5th ABAW Annotations/VA_Set/Train_Set/a.txt": VA},
     None,
     "several sets of annotations: 3rd ABAW Annotations, 5th ABAW Annotations"),
])  # fmt: skip
def test_bad_folders(tmp_path, files, split, expected):
    refuses(expected, read_annotations, make(tmp_path, files), split)


@settings(max_examples=15)
@given(corpora(), st.sampled_from(["abaw1", "abaw3", "abaw6"]))
def test_annotations_come_back(tmp_path_factory, labels, layout):
    root = tmp_path_factory.mktemp("annotations")
    write_annotations(root, labels, layout)
    back = read_annotations(root)
    assert back == dict(sorted(labels.items()))
    assert all(path.suffix == ".txt" for path in root.rglob("*") if path.is_file())


def test_sets_and_folders_are_those_of_the_year(tmp_path):
    full = Labels.empty(2)
    full.has_va[:], full.has_expression[:], full.has_action_units[:] = True, True, True
    labels = {"a": full, "b_left": Labels.empty(1), "c": Labels.empty(1)}
    write_annotations(tmp_path, labels, splits={"b_left": "validation", "c": "test"})
    files = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*.txt")}
    unlabelled = f"{SIXTH[0]}/Validation_Set/b_left.txt"
    others = {f"{SIXTH[0]}/Test_Set/c.txt", unlabelled}
    assert files.keys() == {f"{task}/Train_Set/a.txt" for task in SIXTH} | others
    assert files[unlabelled].read_bytes() == b"valence,arousal\n-5,-5\n"
    assert list(read_annotations(tmp_path, "validation")) == ["b_left"]
    assert list(read_annotations(tmp_path, "test")) == ["c"]


def test_existing_files_are_refused_without_force_and_names_that_lead_outside_always(tmp_path):
    labels = {"a": Labels.empty(1), "b": Labels.empty(1)}
    write_annotations(tmp_path, {"b": Labels.empty(3)})
    refuses("b.txt: already exists", write_annotations, tmp_path, labels)
    assert list(read_annotations(tmp_path)) == ["b"]  # nothing of "a" was written
    write_annotations(tmp_path, labels, force=True)
    assert len(read_annotations(tmp_path)["b"]) == 1
    for name in ("../out", "a/b", ".."):
        refuses("not a video name", write_annotations, tmp_path / "in", {name: Labels.empty(1)})
    assert not (tmp_path / "in").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name, expected", [
    ("clip_left", ("clip", "left")), ("clip_right", ("clip", "right")), ("clip", ("clip", "")),
    ("upright", ("upright", "")), ("left_clip", ("left_clip", "")), ("a_left_right", ("a_left", "right")),
    ("clip_leftover", ("clip_leftover", "")), ("_left", ("_left", "")),
])  # fmt: skip
def test_only_a_real_suffix_is_a_side(name, expected):
    assert video_of(name) == expected


def test_the_video_of_a_name(tmp_path):
    names = ["clip.mp4", "turn_left.AVI", "turn.mov", "clip.txt", "two.mp4", "two.avi"]
    make(tmp_path, dict.fromkeys(names, ""))
    assert find_video(tmp_path, "clip") == find_video(tmp_path, "clip_right") == tmp_path / "clip.mp4"
    assert find_video(tmp_path, "turn_left") == tmp_path / "turn_left.AVI"
    assert find_video(tmp_path, "turn_right") == tmp_path / "turn.mov"
    assert find_video(tmp_path, "cli") is None
    refuses("both two.avi and two.mp4", find_video, tmp_path, "two")
    refuses("not a video name", find_video, tmp_path, "../clip")


@pytest.fixture
def corpus(tmp_path):
    labels = Labels.empty(3)
    labels.has_va[:] = True
    labels.valence[:] = np.float32([-1, 0, 1])
    names = ("one", "two_left", "two_right", "three")
    write_annotations(tmp_path / "annotations", dict.fromkeys(names, labels), splits={"three": "validation"})
    return make(tmp_path, dict.fromkeys(["videos/one.avi", "videos/two.mp4", "batch2/three.mp4"], ""))


def test_a_corpus_without_and_with_a_list_of_subjects(corpus):
    opened = Corpus.open(corpus)
    assert opened.videos == ["one", "three", "two_left", "two_right"]
    assert opened.subjects == {name: name for name in opened.videos}
    assert opened.video_path("two_left") == opened.video_path("two_right") == corpus / "videos" / "two.mp4"
    assert opened.video_path("three") == corpus / "batch2" / "three.mp4"
    assert Corpus.open(corpus, "validation").videos == ["three"]
    assert opened.labels["one"].valence.tolist() == [-1, 0, 1]
    refuses("no video of four", opened.video_path, "four")
    rows = ["one.avi,,s1,female", "two,left,s2,male", "two,right,s1,female"]
    make(corpus, {"subjects.csv": "\r\n".join(["\ufeffvideo,person,subject,gender", *rows])})
    opened = Corpus.open(corpus)
    assert opened.subjects == {"one": "s1", "three": "three", "two_left": "s2", "two_right": "s1"}
    assert opened.attributes.at["two_left", "gender"] == "male"


@pytest.mark.parametrize("text, expected", [
    ("video,gender\none,male\n", "line 1: the header is 'video,gender'"),
    ("video,subject\none,\n", "line 2: the subject is ''"),
    ("video,subject\none,s1\none,s2\n", "line 3: a person listed before is 'one'"),
    ("video,subject\none\n", "line 2: has 1 columns, not 2"),
    ("video,subject\none,s1\ntwo\n", "line 3: has 1 columns, not 2"),
    ("video,subject\n", "no frame below it"),
])  # fmt: skip
def test_a_bad_list_of_subjects(corpus, text, expected):
    refuses(("subjects.csv: ", expected), Corpus.open, make(corpus, {"subjects.csv": text}))


@pytest.mark.parametrize("other", ["nothing.csv", "subjects.csv"])
def test_a_list_of_subjects_that_is_a_link_to_nowhere_is_told(corpus, other):
    """As if there were none, everybody would be somebody else, and a division by subject would leak."""
    (corpus / "subjects.csv").symlink_to(other)
    refuses("subjects.csv: no such file", Corpus.open, corpus)


# The ground truth of a drawn corpus: rows are found by frame, and what is wrong is named


def test_rows_are_found_by_frame_and_tables_come_in_the_order_of_their_names(tmp_path):
    refuses("holds no truth tables", read_ground_truths, tmp_path)
    names = ("b", "a_left", "a", "unnumbered")
    make(tmp_path, {f"truth/{name}.csv": "frame,visible,x\n3,1,10.5\n1,0,\n" for name in names[:3]})
    table = read_ground_truth(tmp_path / "truth/a.csv", ["x"])
    assert table["visible"].to_dict() == {3: 1, 1: 0}
    assert table["x"][3] == 10.5 and table["x"].isna()[1]
    make(tmp_path, {"truth/unnumbered.csv": "visible\n1\n0\n"})
    found = read_ground_truths(tmp_path)
    assert list(found) == sorted(names) and found["unnumbered"]["visible"].to_dict() == {1: 1, 2: 0}


@pytest.mark.parametrize("text, message", [
    ("frame,x\n1,2\n", "a.csv: has no column y"),
    ("frame,y,y\n1,2,3\n", "names a column twice"),
    ("frame,y\n1,2\n1,3\n", "has a frame twice"),
    ("frame,y\n1,2\n2,high\n", "line 3: y is 'high'"),
    ("frame,y\n", "no frame below it"),
])  # fmt: skip
def test_what_is_wrong_with_a_table_is_named(tmp_path, text, message):
    refuses(message, read_ground_truths, make(tmp_path, {"truth/a.csv": text}), ["y"])

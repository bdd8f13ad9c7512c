"""From videos to a store of faces: right crops, bad input, interruptions, labels."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import squares
from folders import contents
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refuses
from repository import ROOT
from small_corpus import labels_of
from squares import SquareDetector

from affkit.corpus.corpus import Corpus
from affkit.faces import extract
from affkit.faces.detectors import Box, crop_face
from affkit.faces.extract import add_labels, extract_faces, names_of_people, sample_faces
from affkit.labelfiles.layouts import write_annotations
from affkit.labels import ACTION_UNITS, EXPRESSIONS, Labels
from affkit.store import Store, part_folder
from affkit.video.video import Video, write_video

pytestmark = pytest.mark.slow  # encodes and decodes videos


def film(num_frames, people):
    """Bright squares on grey: the first drifts to the right, the second stays further right."""
    for t in range(num_frames):
        frame = np.full((96, 240, 3), 60, np.uint8)
        for left, colour in ((20 + 2 * t, (250, 40, 40)), (160, (40, 40, 250)))[:people]:
            frame[30:70, left : left + 40] = colour
        yield frame


def make(videos, store, size=32, detector=None, **options):
    """A store of the squares, without a bar."""
    options = {"progress": False} | options
    return extract_faces(videos, store, size, detector or SquareDetector(), **options)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three short clips: one person, two people, nobody."""
    folder = tmp_path_factory.mktemp("clips")
    for name, num_frames, people in (("one", 20, 1), ("two", 15, 2), ("none", 10, 0)):
        write_video(folder / f"{name}.mp4", film(num_frames, people))
    return folder


@pytest.fixture(scope="module")
def videos(clips):
    return [clips / "one.mp4", clips / "two.mp4"]


@pytest.fixture(scope="module")
def reference(videos, tmp_path_factory):
    """The store of the two clips with people, made without any interruption."""
    path = tmp_path_factory.mktemp("reference") / "store"
    make(videos, path)
    return path


def test_index_and_crops_belong_together_and_the_folder_says_how_it_was_made(clips, reference):
    """Crop i is cut from frame ``index.frame[i] - 1`` at the box in the index, which is around the square."""
    faces = Store.open(reference)
    assert faces.size == 32 and len(faces) == 20 + 2 * 15
    assert faces.images.dtype == np.uint8 and faces.images.shape == (50, 32, 32, 3)
    counts = faces.index.groupby(["video", "person"], observed=True).size().to_dict()
    assert counts == {("one", 0): 20, ("two", 0): 15, ("two", 1): 15}
    for (video, _), rows in faces.index.groupby(["video", "person"], observed=True):
        assert rows["frame"].tolist() == list(range(1, len(rows) + 1))
        frames = list(Video(clips / f"{video}.mp4").frames())
        for i, row in rows.iterrows():
            box = Box(row.x, row.y, row.w, row.h)
            # the index is rounded to hundredths of a pixel, which can move a border by one
            assert np.abs(crop_face(frames[row.frame - 1], box, 32).astype(int) - faces[i]).mean() < 1.5
            assert max(box.iou(Box(x, 30, 40, 40)) for x in (18 + 2 * row.frame, 160)) > 0.85
    assert (faces.index["score"] > 0).all()
    assert sorted(file.name for file in reference.iterdir()) == ["crops.npy", "index.csv", "store.json"]
    info = json.loads((reference / "store.json").read_text())
    assert info["size"] == 32 and info["detector"]["name"] == "squares"
    assert [video["file"] for video in info["videos"]] == ["one.mp4", "two.mp4"]
    assert str(reference.parent) not in (reference / "store.json").read_text()


@pytest.mark.parametrize("jobs", [1, 2])
def test_open_videos_and_several_processes_give_the_same_bytes(videos, reference, tmp_path, jobs):
    with Video(videos[0]) as first, Video(videos[1]) as second:
        make([first, second], tmp_path / "store", jobs=jobs)
    assert contents(tmp_path / "store") == contents(reference)


def test_progress_goes_to_stderr_and_can_be_silent(videos, tmp_path, capfd):
    make(videos[:1], tmp_path / "a", size=16)
    assert capfd.readouterr() == ("", "")
    make(videos[:1], tmp_path / "b", size=16, progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "40/40" in err  # every frame is read twice


def test_a_video_without_a_face_is_left_out_and_alone_leaves_nothing_behind(clips, tmp_path):
    words, none = "none.mp4: no face in any frame", [clips / "none.mp4"]
    refuses(words, extract_faces, none, tmp_path / "store", progress=False)  # with the real detector
    assert list(tmp_path.iterdir()) == []
    with pytest.warns(UserWarning, match="none.mp4: no face in any frame; left out"):
        faces = make([*none, clips / "one.mp4"], tmp_path / "store")
    assert set(faces.index["video"]) == {"one"}


def test_an_existing_store_is_replaced_only_by_force(videos, tmp_path):
    path = tmp_path / "store"
    path.mkdir()
    (path / "old.txt").write_text("an old store")
    refuses(("already exists", "--force"), make, videos[:1], path)
    assert [file.name for file in path.iterdir()] == ["old.txt"]
    make(videos[:1], path, force=True)
    assert set(Store.open(path).index["video"]) == {"one"}
    assert [file.name for file in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bad_video_is_named_and_leaves_no_store(videos, tmp_path, jobs):
    bad, good = tmp_path / "bad.mp4", videos[0].read_bytes()
    for content in (None, b"", b"hello\n" * 100, good[: len(good) // 2]):
        if content is not None:
            bad.write_bytes(content)
        refuses("bad.mp4", make, [videos[0], bad], tmp_path / "store", jobs=jobs)
        assert not (tmp_path / "store").exists() and not part_folder(tmp_path / "store").exists()


def test_wrong_arguments(videos, tmp_path):
    (tmp_path / "one.avi").write_bytes(b"x")
    out, twice = tmp_path / "store", [videos[0], tmp_path / "one.avi"]
    refuses("no video was given", extract_faces, [], out)
    refuses("not between 16 and 512", extract_faces, videos, out, size=8)
    refuses(("one.avi: has the same name as ", "one.mp4"), extract_faces, twice, out)
    assert [path.name for path in tmp_path.iterdir()] == ["one.avi"]


@pytest.mark.parametrize("place", ["_write_header", "shutil.copyfileobj", "pd.DataFrame.to_csv"])
def test_a_full_disk_is_said_and_the_next_run_goes_on(videos, reference, tmp_path, monkeypatch, place):
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patch:
        patch.setattr(f"affkit.faces.extract.{place}", Mock(side_effect=full))
        refuses("the disk is full", make, videos, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    make(videos, tmp_path / "store")
    assert contents(tmp_path / "store") == contents(reference)


class Killed(BaseException):
    """Not an Exception: nothing may catch it, as nothing can catch SIGKILL."""


@pytest.mark.parametrize("step", range(10))
def test_stopped_after_any_step_it_goes_on_to_the_same_bytes(videos, reference, tmp_path, monkeypatch, step):
    """Every rename and every deletion of a file is a step; the run is stopped before step 0, 1, 2, ..."""
    steps = []

    def stopping(function):
        def step_or_stop(*args, **kwargs):
            if len(steps) == step:
                raise Killed
            steps.append(function.__name__)
            return function(*args, **kwargs)

        return step_or_stop

    with monkeypatch.context() as patch, pytest.raises(Killed):
        for module, name in ((os, "replace"), (shutil, "rmtree"), (shutil, "copyfileobj")):
            patch.setattr(module, name, stopping(getattr(module, name)))
        make(videos, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    if step:
        refuses("interrupted; run the same command again", Store.open, tmp_path / "store")
    make(videos, tmp_path / "store")
    assert contents(tmp_path / "store") == contents(reference)


SLOWLY = """
import sys, time
sys.path.insert(0, sys.argv[1])
from squares import SquareDetector
from affkit.faces.extract import extract_faces

class Slow(SquareDetector):
    def detect(self, frame):
        time.sleep(0.02)
        return super().detect(frame)

extract_faces(sys.argv[3:], sys.argv[2], size=32, detector=Slow())
"""


def test_killed_in_earnest_it_goes_on_where_it_stopped(videos, reference, tmp_path, monkeypatch):
    path, fixtures = tmp_path / "store", Path(squares.__file__).parent
    command = [sys.executable, "-c", SLOWLY, fixtures, path, *videos]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    first = part_folder(path) / extract.PARTS / "one.csv"
    while not first.exists():
        assert child.poll() is None
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not path.exists()
    watched = Mock(side_effect=extract._extract_one)
    monkeypatch.setattr(extract, "_extract_one", watched)
    make(videos, path)
    assert [call.args[0].stem for call in watched.mock_calls] == ["two"]  # the first was not done again
    assert contents(path) == contents(reference)


def test_an_interrupted_run_with_other_settings_or_another_video_is_not_mixed_in(
    clips, videos, reference, tmp_path
):
    def stopped_before_joining(videos, size=32):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            patch.setattr(extract, "_finish", Mock(side_effect=Killed))
            make(videos, tmp_path / "store", size)

    stopped_before_joining(videos, size=16)
    refuses("an interrupted run with other videos or settings", make, videos, tmp_path / "store")
    make(videos, tmp_path / "store", force=True)
    assert contents(tmp_path / "store") == contents(reference)
    # the parts of the other videos are kept; those of a video that was fixed are not
    shutil.rmtree(tmp_path / "store")
    corrected = [tmp_path / "one.mp4", videos[1]]
    shutil.copy(clips / "none.mp4", corrected[0])
    stopped_before_joining(corrected)
    shutil.copy(videos[0], corrected[0])
    make(corrected, tmp_path / "store")
    assert contents(tmp_path / "store") == contents(reference)


def write_labels(folder, name, num_lines, valence=0.5):
    """Aff-Wild2 files in which valence of frame i is ``valence - i / 100``; frame 2 is not labelled."""
    units, expressions = [(1, 0, 1, 0, 1, 0, 1, None)] * num_lines, [4, None, *[0] * (num_lines - 2)]
    va = [(valence - i / 100, -0.25) for i in range(1, num_lines + 1)]
    labels = labels_of(units, expressions, va)
    labels.has_va[1] = False
    write_annotations(folder, {name: labels})


def test_line_i_of_the_labels_is_frame_i(videos, tmp_path):
    for name, valence in (("one", 0.5), ("two_left", 0.9), ("two_right", -0.5)):
        write_labels(tmp_path / "labels", name, 20 if name == "one" else 15, valence)
    who = "video,person,subject\none,,Ann\ntwo,left,Ann\ntwo,right,Bo\n"
    (tmp_path / "labels" / "subjects.csv").write_text(who)
    faces = make(videos, tmp_path / "store", labels=tmp_path / "labels")
    index, labels = faces.index, faces.labels
    assert len(labels) == len(faces) == 50
    assert labels.action_unit_names == ACTION_UNITS and labels.expression_names == EXPRESSIONS
    second = (index["frame"] == 2).to_numpy()
    np.testing.assert_array_equal(labels.has_va, ~second)
    np.testing.assert_array_equal(labels.has_expression, ~second)
    left = index.groupby(["video", "person"], observed=True)["x"].mean()
    left_person = 0 if left["two", 0] < left["two", 1] else 1
    bo = (index["video"] == "two") & (index["person"] != left_person)
    assert index["subject"].tolist() == np.where(bo, "Bo", "Ann").tolist()
    start = np.where(index["video"] == "one", 0.5, np.where(index["person"] == left_person, 0.9, -0.5))
    expected = (start - index["frame"] / 100).to_numpy()
    np.testing.assert_allclose(labels.valence[~second], expected[~second], atol=1e-6)
    assert (labels.arousal[~second] == -0.25).all()
    np.testing.assert_array_equal(labels.expression[~second], np.where(index["frame"] == 1, 4, 0)[~second])
    np.testing.assert_array_equal(labels.has_action_units, np.tile([True] * 7 + [False], (50, 1)))
    np.testing.assert_array_equal(labels.action_units[:, :7], np.tile([1, 0, 1, 0, 1, 0, 1], (50, 1)))
    assert index.loc[0, "expression"] == "Happiness"


def test_too_few_or_no_labels_are_warned_about(videos, tmp_path):
    write_labels(tmp_path / "labels", "one", 12)
    with pytest.warns(UserWarning) as warned:
        faces = make(videos, tmp_path / "store", labels=tmp_path / "labels")
    messages = sorted(str(warning.message) for warning in warned)
    assert messages == ["one: 12 label lines, 20 frames; the shorter counts", "two: no labels for this video"]
    has = faces.labels.has_va
    assert has.sum() == 11 and faces.index["frame"][has].max() == 12
    write_labels(tmp_path / "others", "another", 12)
    words = "none of the videos has labels", "another"
    refuses(words, make, videos[:1], tmp_path / "other store", labels=tmp_path / "others")
    # told before the work, not after it
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels", "others", "store"]


@pytest.mark.parametrize("known, centers, people", [
    ({"v_left", "v_right"}, {0: 20, 1: 80, 2: 1}, {0: "v_left", 1: "v_right"}),
    ({"v_left", "v_right"}, {0: 80, 1: 20}, {1: "v_left", 0: "v_right"}),
    ({"v_left", "v_right"}, {0: 80}, {0: "v_right"}),
    ({"v_left", "v_right"}, {0: 20}, {0: "v_left"}),
    ({"v", "v_right"}, {0: 80, 1: 20}, {0: "v_right", 1: "v"}),
    ({"v", "v_left"}, {0: 80, 1: 20}, {0: "v", 1: "v_left"}),
    ({"v"}, {0: 80, 1: 20}, {0: "v"}),
    ({"vv"}, {0: 80}, {}),
])  # fmt: skip
def test_left_and_right_are_as_the_viewer_sees_them(known, centers, people):
    assert names_of_people(known, "v", centers, width=100) == people


def test_minus_one_is_a_valence_and_other_is_an_expression():
    labels = Labels.empty(2, expression_names=(*EXPRESSIONS, "Other"))
    labels.valence[:], labels.has_va[:] = -1, True
    labels.expression[:], labels.has_expression[:] = (7, 1), True
    index = pd.DataFrame({"video": "v", "frame": [2, 1], "person": 0, "x": 0.0, "w": 9.0})
    index = add_labels(index, {"v": labels}, {"v": "Ann"}, {"v": 2}, {"v": 100})
    assert index["valence"].tolist() == [-1, -1]
    assert index["expression"].tolist() == ["Anger", "Other"]
    assert index["subject"].tolist() == ["Ann", "Ann"]


# Faces sampled from the clips of a corpus


def two_faces(frame):
    """What a detector says that always sees two, the surer one on the right."""
    height, width = frame.shape[:2]
    side = height / 3
    return [Box(0.7 * width, 9, side, side, 2.0), Box(0.1 * width, 9, side, side, 1.0)]


@pytest.fixture(scope="module")
def corpus():
    return Corpus.open(ROOT / "data_samples" / "clips")


def sample(corpus, names, per_clip, detect=two_faces):
    return sample_faces(corpus, names, per_clip, detector=Mock(detect=detect), progress=False)


def test_sampled_rows_carry_the_labels_of_their_frames_and_are_cut_from_them(corpus):
    store = sample(corpus, ["interview", "webcam_avi"], 5)
    assert len(store) == 10 and store.images.shape == (10, 32, 32, 3)
    film = list(Video(corpus.video_path("webcam_avi")).frames())
    for i, row in store.index.iterrows():
        assert store.labels[i : i + 1] == corpus.labels[row["name"]][row.frame - 1 : row.frame]
        assert row.subject == corpus.subjects[row["name"]]
        if row["name"] == "webcam_avi":
            frame = film[row.frame - 1]
            np.testing.assert_array_equal(store[i], crop_face(frame, two_faces(frame)[0], 32))
    frames = store.index.groupby("name")["frame"].agg(["first", "last"]).loc["interview"]
    assert frames.tolist() == [1 + np.flatnonzero(corpus.labels["interview"].has_va)[i] for i in (0, -1)]


def test_two_people_in_a_picture_are_told_apart_and_nobody_is_said(corpus):
    index = sample(corpus, ["two_people_left", "two_people_right"], 2).index
    assert ((index["x"] > 640 / 2) == (index["name"] == "two_people_right")).all()  # the width is 640
    assert index["person"].tolist() == [0, 0, 1, 1] and set(index["video"]) == {"two_people"}
    refuses("no face in any", sample, corpus, ["webcam_avi"], 2, lambda frame: [])


@settings(max_examples=5)
@given(per_clip=st.integers(1, 400))
def test_sampled_frames_are_spread_evenly(corpus, per_clip):
    steps = np.diff(sample(corpus, ["webcam_avi"], per_clip).index["frame"])
    assert len(steps) + 1 == min(per_clip, corpus.labels["webcam_avi"].has_va.sum())
    assert len(steps) == 0 or (steps.min() > 0 and np.ptp(steps) <= 1)

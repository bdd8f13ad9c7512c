"""From videos to a store of faces: right crops, bad input, interruptions, labels."""

import errno
import filecmp
import json
import os
import signal
import subprocess
import sys
import time

import av
import numpy as np
import pandas as pd
import pytest
from skimage import data

from affkit.errors import UserError
from affkit.faces import extract
from affkit.faces.boxes import Box, crop_face
from affkit.faces.extract import extract_faces
from affkit.faces.label_faces import add_labels, names_of_people
from affkit.labels import ACTION_UNITS, EXPRESSIONS, Labels
from affkit.store import Store, part_folder

AU = ",".join(ACTION_UNITS)
BASIC = ",".join(EXPRESSIONS)


def save_video(path, frames, fps=30):
    """Write frames without loss of colour that would matter; not by way of affkit."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "16", "preset": "ultrafast"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def load_video(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def photo_frames(num_frames, x=20, step=2, people=1):
    """The astronaut drifts to the right; a second person is her mirror image further right."""
    photo = data.astronaut()[10:210, 110:340]
    frames = []
    for t in range(num_frames):
        frame = np.full((240, 560, 3), (70, 90, 80), np.uint8)
        left = x + step * t
        frame[30:230, left : left + 230] = photo
        if people == 2:
            frame[30:230, 310:540] = photo[:, ::-1]
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three short clips: one person, two people, nobody."""
    folder = tmp_path_factory.mktemp("clips")
    save_video(folder / "one.mp4", photo_frames(20))
    save_video(folder / "two.mp4", photo_frames(15, step=1, people=2))
    save_video(folder / "none.mp4", [np.full((240, 320, 3), 60, np.uint8)] * 10)
    return folder


@pytest.fixture(scope="module")
def reference(clips, tmp_path_factory):
    """The store of the two clips with people, made without any interruption."""
    path = tmp_path_factory.mktemp("reference") / "store"
    extract_faces([clips / "one.mp4", clips / "two.mp4"], path, size=32, progress=False)
    return path


def same_folder(a, b):
    """Same file names, same bytes."""
    names = sorted(file.name for file in a.iterdir())
    assert names == sorted(file.name for file in b.iterdir())
    return all(filecmp.cmp(a / name, b / name, shallow=False) for name in names)


# Videos to a store


def test_index_and_crops_belong_together(clips, reference):
    """Crop i is cut from frame ``index.frame[i] - 1`` of the video at the box in the index."""
    faces = Store.open(reference)
    assert faces.size == 32 and len(faces) == 20 + 2 * 15
    assert faces.images.dtype == np.uint8 and faces.images.shape == (50, 32, 32, 3)
    counts = faces.index.groupby(["video", "person"], observed=True).size().to_dict()
    assert counts == {("one", 0): 20, ("two", 0): 15, ("two", 1): 15}
    for (video, _), rows in faces.index.groupby(["video", "person"], observed=True):
        assert rows["frame"].tolist() == list(range(1, len(rows) + 1))
        frames = load_video(clips / f"{video}.mp4")
        for i, row in rows.iterrows():
            crop = crop_face(frames[row.frame - 1], Box(row.x, row.y, row.w, row.h), 32)
            # the index is rounded to hundredths of a pixel, which can move a border by one
            assert np.abs(crop.astype(int) - faces[i]).mean() < 6


def test_boxes_are_where_the_faces_are(reference):
    index = Store.open(reference).index
    for row in index[index["video"] == "one"].itertuples():
        truth = Box(175 - 110 + 20 + 2 * (row.frame - 1), 65 - 10 + 30, 100, 110)
        assert Box(row.x, row.y, row.w, row.h).iou(truth) > 0.7
    assert (index["score"] > 0).all()


def test_the_folder_has_three_files_and_says_how_it_was_made(reference):
    assert sorted(file.name for file in reference.iterdir()) == ["crops.npy", "index.csv", "store.json"]
    info = json.loads((reference / "store.json").read_text())
    assert info["size"] == 32 and info["detector"]["name"] == "haar"
    assert [video["file"] for video in info["videos"]] == ["one.mp4", "two.mp4"]
    assert str(reference.parent) not in (reference / "store.json").read_text()
    np.testing.assert_array_equal(np.load(reference / "crops.npy"), Store.open(reference).images)


def test_several_processes_give_the_same_bytes(clips, reference, tmp_path):
    videos = [clips / "one.mp4", clips / "two.mp4"]
    extract_faces(videos, tmp_path / "store", size=32, jobs=2, progress=False)
    assert same_folder(tmp_path / "store", reference)


def test_progress_goes_to_stderr_and_can_be_silent(clips, tmp_path, capfd):
    extract_faces([clips / "one.mp4"], tmp_path / "a", size=16, progress=False)
    assert capfd.readouterr() == ("", "")
    extract_faces([clips / "one.mp4"], tmp_path / "b", size=16)
    out, err = capfd.readouterr()
    assert out == "" and "40/40" in err  # every frame is read twice


# Bad input


def test_no_face_in_any_video_leaves_nothing_behind(clips, tmp_path):
    with pytest.raises(UserError, match="none.mp4: no face in any frame"):
        extract_faces([clips / "none.mp4"], tmp_path / "store", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_video_without_a_face_among_others_is_left_out(clips, tmp_path):
    videos = [clips / "none.mp4", clips / "one.mp4"]
    with pytest.warns(UserWarning, match="none.mp4: no face in any frame; left out"):
        faces = extract_faces(videos, tmp_path / "store", size=16, progress=False)
    assert set(faces.index["video"]) == {"one"}


def test_an_existing_store_is_replaced_only_by_force(clips, tmp_path):
    path = tmp_path / "store"
    path.mkdir()
    (path / "old.txt").write_text("an old store")
    with pytest.raises(UserError, match="already exists.*--force"):
        extract_faces([clips / "one.mp4"], path, progress=False)
    assert [file.name for file in path.iterdir()] == ["old.txt"]
    extract_faces([clips / "one.mp4"], path, size=16, force=True, progress=False)
    assert set(Store.open(path).index["video"]) == {"one"}
    assert [file.name for file in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("kind", ["missing", "empty", "text", "cut"])
def test_a_bad_video_is_named_and_leaves_no_store(clips, tmp_path, kind, jobs):
    bad = tmp_path / "bad.mp4"
    good = (clips / "one.mp4").read_bytes()
    content = {"empty": b"", "text": b"hello\n" * 100, "cut": good[: len(good) // 2]}
    if kind != "missing":
        bad.write_bytes(content[kind])
    with pytest.raises(UserError, match="bad.mp4"):
        extract_faces([clips / "one.mp4", bad], tmp_path / "store", size=16, jobs=jobs, progress=False)
    assert not (tmp_path / "store").exists()
    if kind != "cut":  # otherwise the good video was done already, and is kept for the next run
        assert not part_folder(tmp_path / "store").exists()


def test_wrong_arguments(clips, tmp_path):
    with pytest.raises(UserError, match="no video was given"):
        extract_faces([], tmp_path / "store")
    with pytest.raises(UserError, match="not between 16 and 512"):
        extract_faces([clips / "one.mp4"], tmp_path / "store", size=8)
    (tmp_path / "one.avi").write_bytes(b"x")
    with pytest.raises(UserError, match="one.avi: has the same name as .*one.mp4"):
        extract_faces([clips / "one.mp4", tmp_path / "one.avi"], tmp_path / "store")
    with pytest.raises(UserError, match="known are haar"):
        extract_faces([clips / "one.mp4"], tmp_path / "store", detector="dlib")
    assert not (tmp_path / "store").exists() and not part_folder(tmp_path / "store").exists()


@pytest.mark.parametrize("place", ["_write_header", "shutil.copyfileobj", "pd.DataFrame.to_csv"])
def test_a_full_disk_is_said_and_the_next_run_goes_on(clips, reference, tmp_path, monkeypatch, place):
    videos = [clips / "one.mp4", clips / "two.mp4"]

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"affkit.faces.extract.{place}", full)
        with pytest.raises(UserError, match="the disk is full"):
            extract_faces(videos, tmp_path / "store", size=32, progress=False)
    assert not (tmp_path / "store").exists()
    extract_faces(videos, tmp_path / "store", size=32, progress=False)
    assert same_folder(tmp_path / "store", reference)


# Interruptions


class Killed(BaseException):
    """Not an Exception: nothing may catch it, as nothing can catch SIGKILL."""


@pytest.mark.parametrize("step", range(10))
def test_stopped_after_any_step_it_goes_on_to_the_same_bytes(clips, reference, tmp_path, monkeypatch, step):
    """Every rename and every deletion of a file is a step; the run is stopped before step 0, 1, 2, ..."""
    videos = [clips / "one.mp4", clips / "two.mp4"]
    steps = []

    def stopping(function):
        def step_or_stop(*args, **kwargs):
            if len(steps) == step:
                raise Killed
            steps.append(function.__name__)
            return function(*args, **kwargs)

        return step_or_stop

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stopping(os.replace))
        patch.setattr(extract.shutil, "rmtree", stopping(extract.shutil.rmtree))
        patch.setattr(extract.shutil, "copyfileobj", stopping(extract.shutil.copyfileobj))
        with pytest.raises(Killed):
            extract_faces(videos, tmp_path / "store", size=32, progress=False)
    assert not (tmp_path / "store").exists()
    if step:
        with pytest.raises(UserError, match="interrupted; run the same command again"):
            Store.open(tmp_path / "store")
    extract_faces(videos, tmp_path / "store", size=32, progress=False)
    assert same_folder(tmp_path / "store", reference)


def test_killed_in_earnest_it_goes_on_where_it_stopped(clips, reference, tmp_path, monkeypatch):
    videos, path = [clips / "one.mp4", clips / "two.mp4"], tmp_path / "store"
    code = (
        "import sys; from affkit.faces.extract import extract_faces\n"
        "extract_faces(sys.argv[2:], sys.argv[1], size=32)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, path, *videos], stderr=subprocess.DEVNULL)
    first = part_folder(path) / extract.PARTS / "one.csv"
    while not first.exists():
        assert child.poll() is None
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not path.exists()
    done, original = [], extract._extract_one

    def watched(video, *args):
        done.append(video.stem)
        return original(video, *args)

    monkeypatch.setattr(extract, "_extract_one", watched)
    extract_faces(videos, path, size=32, progress=False)
    assert done == ["two"]  # the first video was not done again
    assert same_folder(path, reference)


def test_an_interrupted_run_with_other_settings_is_not_mixed_in(clips, reference, tmp_path, monkeypatch):
    path, videos = tmp_path / "store", [clips / "one.mp4", clips / "two.mp4"]

    def stop(*args):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(extract, "_finish", stop)
        with pytest.raises(Killed):
            extract_faces(videos, path, size=16, progress=False)
    with pytest.raises(UserError, match="an interrupted run with other videos or settings"):
        extract_faces(videos, path, size=32, progress=False)
    extract_faces(videos, path, size=32, force=True, progress=False)
    assert same_folder(path, reference)


def test_a_video_that_was_mended_is_done_again(clips, reference, tmp_path, monkeypatch):
    """The parts of the other videos are kept; the mended one's are not."""
    videos, path = [tmp_path / "one.mp4", clips / "two.mp4"], tmp_path / "store"
    videos[0].write_bytes((clips / "none.mp4").read_bytes())

    def stop(*args):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(extract, "_finish", stop)
        with pytest.raises(Killed):
            extract_faces(videos, path, size=32, progress=False)
    videos[0].write_bytes((clips / "one.mp4").read_bytes())
    extract_faces(videos, path, size=32, progress=False)
    assert same_folder(path, reference)


# Labels


def write_labels(folder, name, num_lines, valence=0.5):
    """Aff-Wild2 files in which valence of frame i is ``valence - i / 100``; frame 2 is not labelled."""
    lines = [f"{valence - i / 100},{-0.25}" for i in range(1, num_lines + 1)]
    lines[1] = "-5,-5"
    for task, header, rows in (
        ("VA_Estimation_Challenge", "valence,arousal", lines),
        ("EXPR_Recognition_Challenge", BASIC, ["4", "-1", *["0"] * (num_lines - 2)]),
        ("AU_Detection_Challenge", AU, ["1,0,1,0,1,0,1,-1"] * num_lines),
    ):
        file = folder / task / "Train_Set" / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join([header, *rows]) + "\n")


def test_line_i_of_the_labels_is_frame_i(clips, tmp_path):
    for name, valence in (("one", 0.5), ("two_left", 0.9), ("two_right", -0.5)):
        write_labels(tmp_path / "labels", name, 20 if name == "one" else 15, valence)
    who = "video,person,subject\none,,Ann\ntwo,left,Ann\ntwo,right,Bo\n"
    (tmp_path / "labels" / "subjects.csv").write_text(who)
    videos = [clips / "one.mp4", clips / "two.mp4"]
    faces = extract_faces(videos, tmp_path / "store", size=16, labels=tmp_path / "labels", progress=False)
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


def test_too_few_or_no_labels_are_warned_about(clips, tmp_path):
    write_labels(tmp_path / "labels", "one", 12)
    videos = [clips / "one.mp4", clips / "two.mp4"]
    with pytest.warns(UserWarning) as warned:
        faces = extract_faces(videos, tmp_path / "store", size=16, labels=tmp_path / "labels", progress=False)
    messages = sorted(str(warning.message) for warning in warned)
    assert messages == ["one: 12 label lines, 20 frames; the shorter counts", "two: no labels for this video"]
    has = faces.labels.has_va
    assert has.sum() == 11 and faces.index["frame"][has].max() == 12


def test_labels_of_other_videos_only_are_an_error(clips, tmp_path):
    write_labels(tmp_path / "labels", "another", 12)
    with pytest.raises(UserError, match="none of the videos has labels.*another"):
        extract_faces([clips / "one.mp4"], tmp_path / "store", labels=tmp_path / "labels", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]  # told before the work, not after it


def test_left_and_right_are_as_the_viewer_sees_them():
    def people(known, centers):
        return names_of_people(known, "v", centers, width=100)

    both = {"v_left", "v_right"}
    assert people(both, {0: 20.0, 1: 80.0, 2: 1.0}) == {0: "v_left", 1: "v_right"}
    assert people(both, {0: 80.0, 1: 20.0}) == {1: "v_left", 0: "v_right"}
    assert people(both, {0: 80.0}) == {0: "v_right"}
    assert people(both, {0: 20.0}) == {0: "v_left"}
    assert people({"v", "v_right"}, {0: 80.0, 1: 20.0}) == {0: "v_right", 1: "v"}
    assert people({"v", "v_left"}, {0: 80.0, 1: 20.0}) == {0: "v", 1: "v_left"}
    assert people({"v"}, {0: 80.0, 1: 20.0}) == {0: "v"}
    assert people({"vv"}, {0: 80.0}) == {}


def test_minus_one_is_a_valence_and_other_is_an_expression():
    labels = Labels.empty(2, expression_names=(*EXPRESSIONS, "Other"))
    labels.valence[:], labels.has_va[:] = -1, True
    labels.expression[:], labels.has_expression[:] = (7, 1), True
    index = pd.DataFrame({"video": "v", "frame": [2, 1], "person": 0, "x": 0.0, "w": 9.0})
    index = add_labels(index, {"v": labels}, {"v": "Ann"}, {"v": 2}, {"v": 100})
    assert index["valence"].tolist() == [-1, -1]
    assert index["expression"].tolist() == ["Anger", "Other"]
    assert index["subject"].tolist() == ["Ann", "Ann"]

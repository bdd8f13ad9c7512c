"""`affkit predict VIDEO -o FOLDER`: tables that agree, that others can read, and all or nothing."""

import csv
import errno

import numpy as np
import pandas as pd
import pytest
from skimage import data
from videos import NTSC

from affkit.checkpoints import save_checkpoint
from affkit.errors import UserError
from affkit.evaluation.predict import abaw_labels, openface_table, predict_video, write_prediction_folder
from affkit.gan import Discriminator, GanNetConfig
from affkit.labelfiles.layouts import find_layout, read_annotations
from affkit.labels import ACTION_UNITS, EXPRESSIONS
from affkit.multitask import AffWildNet, AffWildNetConfig
from affkit.video.video import Video, write_video
from affkit_lab.figures.overlay import annotate_video

pytestmark = pytest.mark.slow  # trains small networks

OPENFACE = ["frame", "face_id", "timestamp", "confidence", "success"]
PY_FEAT = ["FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"]
EMOTIONS = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
UNITS = ["AU01", "AU02", "AU04", "AU06", "AU12", "AU15", "AU20", "AU25"]
NUM_FRAMES = 50
EMPTY = range(31, 51)  # 1-based: the face has left


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The astronaut drifts for 30 frames, then nobody is there for 20."""
    photo = data.astronaut()[:300, 60:400]
    wall = np.full_like(photo, (70, 90, 80))
    frames = [np.roll(photo, 2 * i, axis=1) if i + 1 not in EMPTY else wall for i in range(NUM_FRAMES)]
    path = tmp_path_factory.mktemp("clip") / "holiday.mp4"
    write_video(path, frames, fps=NTSC)
    return path


@pytest.fixture
def grey(tmp_path):
    """A clip of 40 grey frames in a folder of its own."""
    write_video(tmp_path / "a.mp4", np.full((40, 200, 400, 3), 90, np.uint8))
    return tmp_path / "a.mp4"


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Untrained, with weights large enough that what they say is not all alike."""
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("networks")
    mtl = AffWildNet(AffWildNetConfig(width=0.03, image_size=32, hidden=8, attention_length=3))
    gan = Discriminator(GanNetConfig("1", width=0.1, weight_std=0.2))
    return {
        "mtl": save_checkpoint(folder / "affwildnet.safetensors", mtl),
        "gan": save_checkpoint(folder / "discriminator.safetensors", gan),
    }


@pytest.fixture(scope="module", params=["mtl", "gan"])
def predicted(request, clip, networks, tmp_path_factory):
    """A folder of predictions, and the table that it was made from."""
    predictions = predict_video(clip, networks[request.param], device="cpu", progress=False)
    out = tmp_path_factory.mktemp("predicted") / "out"
    write_prediction_folder(out, clip, predictions, annotate_video, progress=False)
    return out, predictions, request.param


def people(num_people, num_frames=40):
    """Predictions of people, the first on the right, the second on the left; each is away for a while."""
    rng = np.random.default_rng(num_people)
    parts = []
    for person, x in enumerate((250.0, 20.0, 130.0)[:num_people]):
        seen = np.setdiff1d(np.arange(1, num_frames + 1), np.arange(3, 5 + 2 * person))
        part = pd.DataFrame({"video": "a", "frame": seen, "person": person, "x": x, "y": 9.0, "w": 80.0})
        part = part.assign(h=90.0, score=4.5)
        part["valence"], part["arousal"] = rng.uniform(-1, 1, (2, len(seen))).astype(np.float32)
        part[list(EXPRESSIONS)] = rng.dirichlet(np.ones(7), len(seen)).astype(np.float32)
        part[list(ACTION_UNITS)] = rng.random((len(seen), 8))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def read_lines(path):
    """The header and the lines of a label file, without affkit."""
    with open(path, newline="") as file:
        header, *lines = csv.reader(file)
    return header, lines


def test_the_folder_holds_what_it_should(predicted, clip):
    out, predictions, kind = predicted
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    task = {"mtl": "EXPR_Recognition_Challenge", "gan": "AU_Detection_Challenge"}[kind]
    labels = {f"{folder}/Test_Set/holiday.txt" for folder in ("VA_Estimation_Challenge", task)}
    assert files == {"table.csv", "openface.csv", "holiday.mp4"} | labels
    assert not list(out.parent.glob(".*"))
    table = pd.read_csv(out / "table.csv")
    assert list(table.columns) == list(predictions.columns)
    numbers = table.columns[2:]
    np.testing.assert_allclose(table[numbers], predictions[numbers], atol=6e-5)


def test_abaw_files_say_what_the_table_says(predicted):
    """Read by the kit and, line by line, without it."""
    out, _, kind = predicted
    table = pd.read_csv(out / "table.csv").set_index("frame")
    annotations = read_annotations(out)
    assert find_layout(out).splits == ("test",) and list(annotations) == ["holiday"]
    labels = annotations["holiday"]
    seen = np.isin(np.arange(1, NUM_FRAMES + 1), table.index)
    assert seen[:25].all() and not seen[-5:].any()
    assert np.array_equal(labels.has_va, seen)
    np.testing.assert_array_equal(labels.valence[seen], table["valence"].astype(np.float32))
    header, lines = read_lines(out / "VA_Estimation_Challenge" / "Test_Set" / "holiday.txt")
    assert header == ["valence", "arousal"] and len(lines) == NUM_FRAMES
    assert {tuple(line) for line, there in zip(lines, seen, strict=True) if not there} == {("-5", "-5")}
    assert float(lines[7][1]) == table.loc[8, "arousal"]
    if kind == "mtl":
        header, lines = read_lines(out / "EXPR_Recognition_Challenge" / "Test_Set" / "holiday.txt")
        said = [header[int(line[0])] for line, there in zip(lines, seen, strict=True) if there]
        assert said == table[list(EXPRESSIONS)].idxmax(axis=1).tolist()
        assert {line[0] for line, there in zip(lines, seen, strict=True) if not there} == {"-1"}
    else:
        header, lines = read_lines(out / "AU_Detection_Challenge" / "Test_Set" / "holiday.txt")
        cells = np.array(lines, int)
        assert header == list(ACTION_UNITS) and (cells[~seen] == -1).all()
        assert np.array_equal(cells[seen], table[list(ACTION_UNITS)] >= 0.5)


def test_openface_columns_are_those_others_look_for(predicted, clip):
    out, _, kind = predicted
    table, ours = pd.read_csv(out / "openface.csv"), pd.read_csv(out / "table.csv").set_index("frame")
    told = EMOTIONS if kind == "mtl" else UNITS
    assert list(table.columns) == [*OPENFACE, *PY_FEAT, "valence", "arousal", *told]
    assert table["frame"].tolist() == list(range(1, NUM_FRAMES + 1)) and (table["face_id"] == 0).all()
    np.testing.assert_allclose(table["timestamp"], np.arange(NUM_FRAMES) / float(NTSC), atol=1e-4)
    table = table.set_index("frame")
    assert np.array_equal(table["success"] == 1, np.isin(table.index, ours.index))
    away = table[table["success"] == 0]
    assert (away["confidence"] == 0).all() and away[[*PY_FEAT, "valence", *told]].isna().all(axis=None)
    there = table.loc[ours.index]
    assert np.array_equal(there["confidence"] == 1, ours["score"].notna())
    np.testing.assert_array_equal(there[PY_FEAT], ours[["x", "y", "w", "h", "score"]])
    np.testing.assert_array_equal(there[["valence", "arousal"]], ours[["valence", "arousal"]])
    names = [name.capitalize() for name in EMOTIONS] if kind == "mtl" else list(ACTION_UNITS)
    np.testing.assert_array_equal(there[told], ours[names])


def test_the_video_has_every_frame_and_a_box_where_there_is_a_face(predicted, clip):
    out, predictions, _ = predicted
    info = Video(out / "holiday.mp4")
    assert info.num_frames == NUM_FRAMES and info.fps == NTSC
    assert info.width % 2 == info.height % 2 == 0 and info.width > 340 * 1.2
    frames = list(Video(out / "holiday.mp4").frames())
    outline = [is_orange(frame[:360, :408]).sum() for frame in frames]  # 300 x 340 scaled by 1.2
    seen = np.isin(np.arange(1, NUM_FRAMES + 1), predictions["frame"])
    assert min(np.array(outline)[seen]) > 300 and max(np.array(outline)[~seen]) == 0
    face = predictions.iloc[10]
    rows, columns = np.nonzero(is_orange(frames[int(face["frame"]) - 1][:360, :408]))
    found = np.array([columns.min(), rows.min(), columns.max(), rows.max()]) / 1.2
    box = [face["x"], face["y"], face["x"] + face["w"], face["y"] + face["h"]]
    np.testing.assert_allclose(found, box, atol=4)


def is_orange(picture):
    """About the colour of the boxes; H.264 changes it a little."""
    return np.abs(picture.astype(int) - (222, 143, 5)).sum(axis=-1) < 70


def test_two_people_have_a_file_each_by_their_side():
    table = people(2)
    labels = abaw_labels(table, 40, width=400)
    assert set(labels) == {"a_left", "a_right"}
    for name, person in {"a_right": 0, "a_left": 1}.items():
        own = table[table["person"] == person]
        assert np.array_equal(np.flatnonzero(labels[name].has_va) + 1, own["frame"])
        np.testing.assert_allclose(labels[name].valence[labels[name].has_va], own["valence"], atol=6e-5)
        said = labels[name].expression[labels[name].has_expression]
        assert np.array_equal(said, own[list(EXPRESSIONS)].to_numpy().argmax(1))


def test_of_three_people_two_are_in_the_files_and_all_in_the_tables(tmp_path, grey):
    table = people(3)
    write_prediction_folder(tmp_path / "out", grey, table, progress=False)
    annotations = read_annotations(tmp_path / "out")
    assert set(annotations) == {"a_left", "a_right"} and {len(one) for one in annotations.values()} == {40}
    written = pd.read_csv(tmp_path / "out" / "openface.csv")
    counts = written[written["success"] == 1]["face_id"].value_counts()
    assert counts.to_dict() == table["person"].value_counts().to_dict()
    assert written["frame"].is_monotonic_increasing and set(written["frame"]) == set(range(1, 41))
    nobody = written[written["success"] == 0]
    assert nobody["frame"].tolist() == [3, 4] and (nobody["face_id"] == 0).all()
    keys = ["frame", "person", "valence"]
    said = written[written["success"] == 1].rename(columns={"face_id": "person"})[keys].sort_values(keys[:2])
    np.testing.assert_allclose(said, table[keys].sort_values(keys[:2]), atol=6e-5)
    assert (pd.read_csv(tmp_path / "out" / "table.csv")["person"] == table["person"]).all()


def test_a_box_that_was_filled_in_is_a_success_without_confidence():
    table = people(1)
    table.loc[table["frame"] == 7, "score"] = np.nan
    rows = openface_table(table, np.arange(40) / 25).set_index("frame")
    assert rows.loc[7, ["success", "confidence"]].tolist() == [1, 0] and np.isnan(rows.loc[7, "FaceScore"])
    assert rows.loc[8, ["success", "confidence"]].tolist() == [1, 1]
    assert rows.loc[26, "timestamp"] == 1.0


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "no space left")])
def test_what_fails_or_is_stopped_leaves_nothing_and_the_old_folder_alone(tmp_path, grey, error):
    out, table = tmp_path / "results" / "out", people(2)

    def break_off(target, *_):
        target.write_bytes(b"half a video")
        raise error

    expected = UserError if isinstance(error, OSError) else error
    with pytest.raises(expected):
        write_prediction_folder(out, grey, table, break_off, progress=False)
    assert not list(out.parent.iterdir())
    part = out.with_name(".out.part")  # of a run that was killed without a chance to tidy up
    part.mkdir()
    (part / "rest").write_text("old")
    write_prediction_folder(out, grey, table, progress=False)
    assert [path.name for path in out.parent.iterdir()] == ["out"] and not (out / "rest").exists()
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert not any(path.suffix == ".mp4" for path in before)
    with pytest.raises(expected):
        write_prediction_folder(out, grey, table, break_off, force=True, progress=False)
    assert {path: path.read_bytes() for path in out.parent.rglob("*") if path.is_file()} == before
    write_prediction_folder(out, grey, table[table["person"] == 0], annotate_video, True, progress=False)
    assert list(read_annotations(out)) == ["a"] and (out / "a.mp4").is_file()


def test_folders_of_the_user_are_never_replaced(tmp_path, grey):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("three years")
    (tmp_path / "words").write_text("a file")
    problems = {mine: "not a folder of predictions", tmp_path: "holds .*a.mp4"}
    problems[tmp_path / "words"] = "is a file"
    for out, problem in problems.items():
        with pytest.raises(UserError, match=problem):
            write_prediction_folder(out, grey, people(1), force=True, progress=False)
        with pytest.raises(UserError, match="already exists"):
            write_prediction_folder(out, grey, people(1), progress=False)
    assert (mine / "thesis.txt").read_text() == "three years" and grey.exists()
    strange = grey.rename(tmp_path / "a,b.mp4")
    with pytest.raises(UserError, match="is not a video name"):
        write_prediction_folder(tmp_path / "out", strange, people(1), progress=False)
    assert not (tmp_path / "out").exists()


def test_seconds_are_those_of_the_file(tmp_path):
    """A variable rate comes back to the thousandth; the first frame is at 0."""
    times = np.cumsum([0.0, 0.03, 0.2, 0.05, 0.011])
    write_video(tmp_path / "a.mp4", np.zeros((5, 32, 32, 3), np.uint8), times=times.tolist())
    np.testing.assert_allclose(Video(tmp_path / "a.mp4").seconds, times, atol=1e-3)

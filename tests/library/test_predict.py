"""What comes out of training: checkpoints, generated faces, predictions; the folder of `affkit predict`."""

import errno
from functools import partial

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from folders import contents
from refusals import refuses
from repository import ROOT
from safetensors.torch import load_file, save, save_file
from skimage import data
from stores import noise_store
from videos import NTSC

from affkit import store as stores
from affkit.checkpoints import load_checkpoint, read_tensors, save_checkpoint
from affkit.errors import UserError
from affkit.evaluation import predict
from affkit.evaluation.predict import (
    load_predictors,
    predict_store,
    predict_video,
    predict_videos,
    write_prediction_folder,
)
from affkit.gan import Discriminator, GanNetConfig, Generator, generate, sample_z
from affkit.labelfiles.layouts import find_layout, read_annotations
from affkit.labels import ACTION_UNITS, EXPRESSIONS
from affkit.multitask import AffWildNet, AffWildNetConfig
from affkit.store import FrameDataset, SequenceDataset, Store, image_grid, pictures, to_pixels, write_picture
from affkit.video.video import Video, write_video
from affkit_lab.backbones.face_net import FaceNet, FaceNetConfig
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig
from affkit_studio.overlay import annotate_video

pytestmark = pytest.mark.slow  # trains small networks


def test_no_length_of_the_header_makes_a_file_look_like_a_pickle(tmp_path):
    """A safetensors file begins with that length: 0x80 is also a pickle's first byte."""
    firsts = set()
    for length in range(0, 256, 8):
        save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors", {"text": "x" * length})
        tensors, header = read_tensors(tmp_path / "a.safetensors")
        assert tensors["a"].item() == 1 and len(header["text"]) == length
        firsts.add((tmp_path / "a.safetensors").read_bytes()[:1])
    assert len(firsts) == 32 and b"\x80" in firsts and b"P" in firsts


MODELS = [
    Generator(GanNetConfig("2", width=0.01)),
    Discriminator(GanNetConfig("1", width=0.02, targets="au")),
    Discriminator(GanNetConfig("1", width=0.02, spectral_norm=True)),
    AffWildNet(AffWildNetConfig(width=0.02, image_size=32, hidden=4)),
    FeatureNet(FeatureNetConfig(num_subjects=3, channels=4)),
    FaceNet(FaceNetConfig(num_subjects=3, width=0.02, image_size=32)),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.architecture)
def test_a_checkpoint_comes_back_as_it_was(tmp_path, model):
    path = save_checkpoint(tmp_path / "net.safetensors", model, {"steps": 3})
    again, training = load_checkpoint(path)
    assert type(again) is type(model) and again.config == model.config and training == {"steps": 3}
    assert not again.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in model.parameters()]


def test_bad_checkpoints_are_refused_in_one_line(tmp_path):
    good = save_checkpoint(tmp_path / "good.safetensors", Generator(GanNetConfig("1", width=0.02)))
    data, weights = good.read_bytes(), load_file(good)
    header = {"architecture": "generator", "net": '{"configuration": "1", "width": 9e9}', "training": "{}"}
    for name, content, words in (
        ("empty.safetensors", b"", "is empty"),
        ("cut.safetensors", data[:-10], "damaged"),
        ("header.safetensors", data[:40], "damaged"),
        ("text.safetensors", b"no weights", "damaged"),
        ("other.safetensors", save({"a": torch.zeros(1)}), "holds no network of affkit"),
        ("wide.safetensors", save(weights, header), "do not fit"),
        ("json.safetensors", save(weights, header | {"net": "{"}), "do not fit"),
        ("net.pt", b"PK\x03\x04", "only safetensors"),
        ("old.pt", b"\x80\x02", "pickle"),
    ):
        (tmp_path / name).write_bytes(content)
        refuses((name, words), load_checkpoint, tmp_path / name)
    refuses("missing.safetensors: no such file", load_checkpoint, tmp_path / "missing.safetensors")
    words = good.name, "holds weights of generator, needed are those of discriminator"
    refuses(words, load_checkpoint, good, "discriminator")


def test_half_the_bytes_draw_the_same_pictures(tmp_path):
    """float16 keeps three digits of a weight, so that a pixel differs by a level or two of 256."""
    torch.manual_seed(0)
    generator = Generator(GanNetConfig("1", width=0.2, weight_std=0.05)).train()
    generator(sample_z(64, seed=1))  # running statistics of some use
    whole = save_checkpoint(tmp_path / "whole.safetensors", generator.eval())
    half = save_checkpoint(tmp_path / "half.safetensors", generator, {"steps": 1}, half=True)
    assert half.stat().st_size < 0.55 * whole.stat().st_size
    again, training = load_checkpoint(half)
    assert training == {"steps": 1} and all(weight.dtype == torch.float32 for weight in again.parameters())
    faces = [pictures(net, sample_z(16, seed=2)).astype(int) for net in (generator, again)]
    assert faces[0].std() > 5  # not all grey
    assert np.abs(faces[0] - faces[1]).max() <= 2
    generator.layers[0].weight.data[0, 0] = 1e5
    refuses("too large for float16", save_checkpoint, half, generator, half=True)
    assert load_checkpoint(half)[1] == {"steps": 1}  # the old file is still there


def test_generated_faces_depend_on_the_seed_and_not_on_the_batch(tmp_path):
    torch.manual_seed(0)
    generator = Generator(GanNetConfig("1", width=0.05, weight_std=0.2)).eval()
    path = save_checkpoint(tmp_path / "generator.safetensors", generator)
    faces = generate(path, 5, seed=1)
    assert faces.shape == (5, 32, 32, 3) and faces.dtype == np.uint8
    assert np.array_equal(faces, generate(path, 5, seed=1))
    assert not np.array_equal(faces, generate(path, 5, seed=2))
    one_by_one = pictures(generator, sample_z(5, seed=1), batch_size=1)
    assert np.abs(faces.astype(int) - one_by_one).max() <= 1


def test_a_sheet_shows_each_picture_once_in_order_and_pixels_survive_the_way_there_and_back(tmp_path):
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    sheet = image_grid(images, columns=2)
    assert sheet.shape == (12, 8, 3)
    assert sheet[::4, ::4, 0].tolist() == [[0, 1], [2, 3], [4, 255]]
    coloured = sheet.copy()
    coloured[..., 0] = 200
    write_picture(tmp_path / "sheet.png", coloured)
    assert np.array_equal(cv2.imread(str(tmp_path / "sheet.png"))[..., ::-1], coloured)
    image = np.arange(256, dtype=np.uint8).reshape(8, 32, 1) * np.ones((1, 1, 3), np.uint8)
    assert np.array_equal(to_pixels(stores.to_unit_range(image)), image)


def test_discriminator_predicts_every_face_in_order(networks, tmp_path):
    store, (net, _) = noise_store(tmp_path / "store", frames=300), load_checkpoint(networks["gan"])
    table = predict_store(networks["gan"], store, device="cpu", progress=False)
    assert list(table.columns) == ["video", "frame", "person", "valence", "arousal", *ACTION_UNITS]
    assert table["video"].tolist() == store.index["video"].tolist()
    with torch.no_grad():
        output = net(FrameDataset(store)[np.arange(300)][0])
    np.testing.assert_allclose(table[list(ACTION_UNITS)], output.action_units.sigmoid(), atol=1e-5)
    np.testing.assert_allclose(table[["valence", "arousal"]], output.va.clamp(-1, 1), atol=1e-5)


class RowsRead:
    """Crops, and how many of them were asked for each time."""

    def __init__(self, images):
        self.images, self.counts = images, []

    def __getitem__(self, rows):
        self.counts.append(len(rows))
        return self.images[rows]


def test_affwildnet_predicts_every_face_in_order(networks, tmp_path):
    """Rows of a store need not be in the order of the frames, tracks have gaps, and windows no seams."""
    noise_store(tmp_path / "store")
    index = pd.read_csv(tmp_path / "store" / stores.INDEX)
    index.loc[10:, "frame"] += 7
    index = index.iloc[::-1]
    index.to_csv(tmp_path / "store" / stores.INDEX, index=False)
    store = Store.open(tmp_path / "store")
    net, _ = load_checkpoint(networks["mtl"])
    images, store.images = store.images, RowsRead(store.images)
    table = predict_store(net, store, device="cpu", progress=False, length=6)
    assert max(store.images.counts) <= 6 and sum(store.images.counts) == len(store)  # however long a track is
    store.images = images
    assert list(table.columns) == ["video", "frame", "person", "valence", "arousal", *EXPRESSIONS]
    assert table["frame"].tolist() == store.index["frame"].tolist()
    np.testing.assert_allclose(table[list(EXPRESSIONS)].sum(axis=1), 1, atol=1e-5)
    whole = SequenceDataset(store, length=100)  # each track in one go
    for item, (images, _, mask) in enumerate(whole):
        with torch.no_grad():
            output, _ = net(images[None], mask[None])
        rows = whole.rows[item][mask.numpy()]
        np.testing.assert_allclose(table["valence"].iloc[rows], output.va[0, mask, 0].clamp(-1, 1), atol=1e-5)
    large = AffWildNet(AffWildNetConfig(width=0.01, hidden=4))
    refuses("make a store with --size 96", predict_store, large, store, device="cpu")


@pytest.mark.parametrize("name", ["valence", "arousal"])
def test_shipped_predictions_of_the_corpus_have_no_seams(name):
    """At multiples of 80, where windows begin, they change as elsewhere; begun anew it was 15 times that."""
    table = pd.read_csv(ROOT / "data_samples" / "results" / "predictions" / "mtl.csv.gz")
    tracks = table.groupby("name")["frame"]
    change, follows = table.groupby("name")[name].diff().abs(), tracks.diff() == 1
    at_seam = (table["frame"] - tracks.transform("min")) % 80 == 0
    assert (follows & at_seam).sum() > 100
    assert change[follows & at_seam].mean() < 1.5 * change[follows & ~at_seam].mean()


# The command: tables that agree, that others can read, and all or nothing

OPENFACE = ["frame", "face_id", "timestamp", "confidence", "success"]
PY_FEAT = ["FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"]
EMOTIONS = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
UNITS = ["AU01", "AU02", "AU04", "AU06", "AU12", "AU15", "AU20", "AU25"]
TASKS = {  # kind of network to the folder, the names and the columns of what it predicts besides affect
    "mtl": ("EXPR_Recognition_Challenge", EXPRESSIONS, EMOTIONS),
    "gan": ("AU_Detection_Challenge", ACTION_UNITS, UNITS),
}
LABELS = "Test_Set/holiday.txt"
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


def read_cells(path):
    """The header and the numbers of a label file, without affkit."""
    header = path.read_text().partition("\n")[0].split(",")
    return header, np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)


def test_the_folder_holds_what_it_should(predicted):
    out, predictions, kind = predicted
    labels = {f"{folder}/{LABELS}" for folder in ("VA_Estimation_Challenge", TASKS[kind][0])}
    assert contents(out).keys() == {"table.csv", "openface.csv", "holiday.mp4"} | labels
    assert not list(out.parent.glob(".*"))
    table, loosely = pd.read_csv(out / "table.csv"), {"check_dtype": False, "check_categorical": False}
    pd.testing.assert_frame_equal(table, predictions, **loosely, atol=6e-5)


def test_abaw_files_say_what_the_table_says(predicted):
    """Read by the kit and, number by number, without it."""
    out, _, kind = predicted
    table = pd.read_csv(out / "table.csv").set_index("frame")
    seen = np.isin(np.arange(1, NUM_FRAMES + 1), table.index)
    assert seen[:25].all() and not seen[-5:].any()
    annotations = read_annotations(out)
    assert find_layout(out).splits == ("test",) and list(annotations) == ["holiday"]
    assert np.array_equal(annotations["holiday"].has_va, seen)
    valence = annotations["holiday"].valence[seen]
    np.testing.assert_array_equal(valence, table["valence"].astype(np.float32))
    header, cells = read_cells(out / "VA_Estimation_Challenge" / LABELS)
    assert header == ["valence", "arousal"] and (cells[~seen] == -5).all()
    np.testing.assert_array_equal(cells[seen], table[header])
    folder, names, _ = TASKS[kind]
    header, cells = read_cells(out / folder / LABELS)
    said = table[header].to_numpy()
    said = said >= 0.5 if kind == "gan" else said.argmax(axis=1)[:, None]
    assert header == list(names) and (cells[~seen] == -1).all() and np.array_equal(cells[seen], said)


def test_openface_columns_are_those_others_look_for(predicted):
    out, _, kind = predicted
    table, ours = pd.read_csv(out / "openface.csv"), pd.read_csv(out / "table.csv").set_index("frame")
    _, names, told = TASKS[kind]
    presence = [f"{name}_c" for name in UNITS] if kind == "gan" else []
    assert list(table.columns) == [*OPENFACE, *PY_FEAT, "valence", "arousal", *told, *presence, "input"]
    assert table["frame"].tolist() == list(range(1, NUM_FRAMES + 1)) and (table["face_id"] == 0).all()
    np.testing.assert_allclose(table["timestamp"], np.arange(NUM_FRAMES) / float(NTSC), atol=1e-4)
    table = table.set_index("frame")
    assert np.array_equal(table["success"] == 1, np.isin(table.index, ours.index))
    away = table[table["success"] == 0]
    empty = [*PY_FEAT, "valence", *told, *presence]
    assert (away["confidence"] == 0).all() and away[empty].isna().all(axis=None)
    there = table.loc[ours.index]
    assert np.array_equal(there["confidence"] == 1, ours["score"].notna())
    np.testing.assert_array_equal(there[PY_FEAT], ours[["x", "y", "w", "h", "score"]])
    np.testing.assert_array_equal(there[["valence", "arousal"]], ours[["valence", "arousal"]])
    ordered = [name.capitalize() for name in told] if kind == "mtl" else list(names)
    np.testing.assert_array_equal(there[told], ours[ordered])
    as_text = pd.read_csv(out / "openface.csv", dtype=str, index_col="frame").loc[ours.index.astype(str)]
    for name in presence:
        assert np.array_equal(as_text[name] == "1", ours[ordered[presence.index(name)]] >= 0.5)
        assert set(as_text[name]) <= {"0", "1"}


def test_the_video_has_every_frame_and_a_box_where_there_is_a_face(predicted):
    out, predictions, _ = predicted
    with Video(out / "holiday.mp4") as video:
        assert video.num_frames == NUM_FRAMES and video.fps == NTSC
        assert video.width % 2 == video.height % 2 == 0 and video.width > 340 * 1.2
        frames = list(video.frames())
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


def test_of_three_people_two_have_a_file_each_by_their_side_and_all_are_in_the_tables(tmp_path, grey):
    table = people(3)
    table.loc[table["frame"] == 7, "score"] = np.nan  # these boxes were filled in
    write_prediction_folder(tmp_path / "out", grey, table, progress=False)
    annotations = read_annotations(tmp_path / "out")
    assert set(annotations) == {"a_left", "a_right"} and {len(one) for one in annotations.values()} == {40}
    for labels, person in ((annotations["a_right"], 0), (annotations["a_left"], 1)):
        own = table[table["person"] == person]
        assert np.array_equal(np.flatnonzero(labels.has_va) + 1, own["frame"])
        np.testing.assert_allclose(labels.valence[labels.has_va], own["valence"], atol=6e-5)
        said = own[list(EXPRESSIONS)].to_numpy().argmax(1)
        assert np.array_equal(labels.expression[labels.has_expression], said)
    written = pd.read_csv(tmp_path / "out" / "openface.csv")
    seen = written[written["success"] == 1]
    assert seen["face_id"].value_counts().to_dict() == table["person"].value_counts().to_dict()
    filled = seen["frame"] == 7
    assert np.array_equal(seen["confidence"], ~filled) and np.array_equal(seen["FaceScore"].isna(), filled)
    assert written["frame"].is_monotonic_increasing and set(written["frame"]) == set(range(1, 41))
    nobody = written[written["success"] == 0]
    assert nobody["frame"].tolist() == [3, 4] and (nobody["face_id"] == 0).all()
    keys = ["frame", "person", "valence"]
    said = seen.rename(columns={"face_id": "person"})[keys].sort_values(keys[:2])
    np.testing.assert_allclose(said, table[keys].sort_values(keys[:2]), atol=6e-5)
    assert (pd.read_csv(tmp_path / "out" / "table.csv")["person"] == table["person"]).all()


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
    before = contents(out.parent)
    assert not any(name.endswith(".mp4") for name in before)
    with pytest.raises(expected):
        write_prediction_folder(out, grey, table, break_off, force=True, progress=False)
    assert contents(out.parent) == before
    write_prediction_folder(out, grey, table[table["person"] == 0], annotate_video, True, progress=False)
    assert list(read_annotations(out)) == ["a"] and (out / "a.mp4").is_file()


def test_folders_of_the_user_are_never_replaced(tmp_path, grey):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("three years")
    (tmp_path / "words").write_text("a file")
    write = partial(write_prediction_folder, progress=False)
    problems = {mine: "not a folder of predictions", tmp_path: "a.mp4", tmp_path / "words": "is a file"}
    for out, problem in problems.items():
        refuses(problem, write, out, grey, people(1), force=True)
        refuses("already exists", write, out, grey, people(1))
    assert (mine / "thesis.txt").read_text() == "three years" and grey.exists()
    refuses("is not a video name", write, tmp_path / "out", grey.rename(tmp_path / "a,b.mp4"), people(1))
    assert not (tmp_path / "out").exists()


# Several networks, several videos


@pytest.fixture(scope="module")
def twin(networks, tmp_path_factory):
    """A network of action units whose convolutional half is that of the multi-task one."""
    torch.manual_seed(1)
    net = FaceNet(FaceNetConfig(num_subjects=3, width=0.03, image_size=32))
    net.cnn.load_state_dict(load_checkpoint(networks["mtl"])[0].cnn.state_dict())
    return save_checkpoint(tmp_path_factory.mktemp("twin") / "cnn.safetensors", net)


def test_two_networks_say_together_what_each_says_and_look_at_a_face_once(clip, networks, twin):
    models, seen, shares = load_predictors([networks["mtl"], twin]), [], []
    for model in models:
        model.cnn.register_forward_hook(lambda cnn, images, features: seen.append(len(features)))
    both = predict_video(clip, models, device="cpu", progress=shares.append)
    assert models[0].cnn is models[1].cnn and sum(seen) == 2 * len(both)  # the hook is there twice
    assert sum(shares) == pytest.approx(1) and min(shares) > 0
    alone = [predict_video(clip, one, device="cpu", progress=False) for one in (networks["mtl"], twin)]
    assert list(both) == [*alone[0], *ACTION_UNITS]
    pd.testing.assert_frame_equal(both[list(alone[0])], alone[0], atol=1e-5, check_dtype=False)
    np.testing.assert_allclose(both[list(ACTION_UNITS)], alone[1][list(ACTION_UNITS)], atol=1e-5)
    words = "discriminator.safetensors: tells arousal, and so does", "give one of them"
    refuses(words, load_predictors, [networks["mtl"], networks["gan"]])


def test_the_networks_of_the_kit_tell_everything_or_a_line_says_what_to_give(monkeypatch, tmp_path):
    one, other = load_predictors()
    assert one.cnn is other.cnn and [one.architecture, other.architecture] == ["affwildnet", "facenet"]
    monkeypatch.setattr(predict, "WEIGHTS", tmp_path / "no" / "checkout")
    refuses("give --checkpoint FILE", load_predictors)


def test_each_of_several_videos_has_a_folder_and_one_table_has_all(clip, networks, tmp_path, monkeypatch):
    videos, out = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    for name in ("007.mp4", "b.mp4"):
        (videos / name).write_bytes(clip.read_bytes())
    write_video(videos / "wall.mp4", np.full((12, 240, 320, 3), 120, np.uint8))
    run = partial(predict_videos, checkpoints=[networks["gan"]], device="cpu", progress=False)
    with pytest.warns(UserWarning, match="wall.mp4: no face in any frame; left out"):
        count = run([videos], out)
    table = pd.read_csv(out / "table.csv", dtype={"video": str})
    assert {path.name for path in out.iterdir()} == {"007", "b", "table.csv"} and count == len(table)
    single = predict_video(clip, networks["gan"], device="cpu", progress=False)
    for name, part in table.groupby("video"):
        values = single.assign(video=name).reset_index(drop=True)
        pd.testing.assert_frame_equal(part.reset_index(drop=True), values, atol=6e-5, check_dtype=False)
        assert (out / name / "openface.csv").is_file() and list(read_annotations(out / name)) == [name]
    before = contents(out)
    refuses("already exists", run, [videos], out)
    (out / "table.csv").unlink()  # as after a kill: what is done stays, the rest is made
    for path in sorted((out / "b").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (out / "b").rmdir()
    looked = []
    monkeypatch.setattr(
        predict, "predict_video", lambda c, *a: looked.append(c.path.stem) or predict_video(c, *a)
    )
    with pytest.warns(UserWarning, match="007: is there and stays|left out"):
        run([videos], out)
    assert looked == ["b", "wall"] and contents(out) == before
    run([videos / "b.mp4"], tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_bytes() == (out / "b" / "table.csv").read_bytes()
    (tmp_path / "B.mp4").write_bytes(clip.read_bytes())
    refuses("has the same name as", run, [videos, tmp_path / "B.mp4"], tmp_path / "new")
    assert not (tmp_path / "new").exists()

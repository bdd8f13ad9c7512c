"""What comes out of training: checkpoints, generated faces, predictions and their scores."""

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refused
from safetensors.torch import load_file, save_file
from sklearn.metrics import f1_score
from stores import noise_store

from affkit import store as stores
from affkit.checkpoints import load_checkpoint, read_tensors, save_checkpoint
from affkit.errors import UserError
from affkit.evaluation.evaluate import score
from affkit.evaluation.predict import predict_store
from affkit.gan import Discriminator, GanNetConfig, Generator, generate, sample_z
from affkit.labels import ACTION_UNITS, EXPRESSIONS, VA, Labels
from affkit.multitask import AffWildNet, AffWildNetConfig
from affkit.store import FrameDataset, SequenceDataset, Store, image_grid, pictures, to_pixels, write_picture
from affkit_lab.backbones.face_net import FaceNet, FaceNetConfig
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig

pytestmark = pytest.mark.slow  # trains small networks


def test_no_length_of_the_header_makes_a_file_look_like_a_pickle(tmp_path):
    """A safetensors file begins with that length: 0x80 is also a pickle's first byte."""
    firsts = set()
    for length in range(0, 2048, 8):
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
    data = good.read_bytes()
    for name, content in {
        "empty": b"",
        "cut": data[:-10],
        "header": data[:40],
        "text": b"no weights",
    }.items():
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    torch.save({"a": torch.zeros(1)}, tmp_path / "net.pt")
    torch.save({"a": torch.zeros(1)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    header = {"architecture": "generator", "net": '{"configuration": "1", "width": 9e9}', "training": "{}"}
    save_file(load_file(good), tmp_path / "wide.safetensors", header)
    save_file(load_file(good), tmp_path / "json.safetensors", header | {"net": "{"})
    words = {"missing": "no such file", "empty": "is empty", "other": "holds no network of affkit"}
    words |= dict.fromkeys(("cut", "header", "text"), "damaged")
    words |= dict.fromkeys(("wide", "json"), "do not fit")
    files = {f"{name}.safetensors": word for name, word in words.items()}
    for name, word in (files | {"net.pt": "only safetensors", "old.pt": "pickle"}).items():
        with refused(name, word):
            load_checkpoint(tmp_path / name)
    with refused(good.name, "holds weights of generator, needed are those of discriminator"):
        load_checkpoint(good, "discriminator")


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
    with pytest.raises(UserError, match="too large for float16"):
        save_checkpoint(half, generator, half=True)
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
    with pytest.raises(UserError, match="holds weights of discriminator"):
        generate(save_checkpoint(tmp_path / "d.safetensors", Discriminator(GanNetConfig("1", width=0.02))), 1)


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


def test_discriminator_predicts_every_face_in_order(tmp_path):
    store = noise_store(tmp_path / "store", frames=300)
    torch.manual_seed(0)
    net = Discriminator(GanNetConfig("1", width=0.05)).eval()
    path = save_checkpoint(tmp_path / "d.safetensors", net)
    table = predict_store(path, store, device="cpu", progress=False)
    assert list(table.columns) == ["video", "frame", "person", "valence", "arousal", *ACTION_UNITS]
    assert table["video"].tolist() == store.index["video"].tolist()
    with torch.no_grad():
        output = net(FrameDataset(store)[np.arange(300)][0])
    np.testing.assert_allclose(table[list(ACTION_UNITS)], output.action_units.sigmoid(), atol=1e-5)
    np.testing.assert_allclose(table[["valence", "arousal"]], output.va.clamp(-1, 1), atol=1e-5)


def test_affwildnet_predicts_every_face_in_order(tmp_path):
    """Rows of a store need not be in the order of the frames, and tracks have gaps."""
    noise_store(tmp_path / "store")
    index = pd.read_csv(tmp_path / "store" / stores.INDEX)
    index.loc[10:, "frame"] += 7
    index = index.iloc[::-1]
    index.to_csv(tmp_path / "store" / stores.INDEX, index=False)
    store = Store.open(tmp_path / "store")
    torch.manual_seed(0)
    net = AffWildNet(AffWildNetConfig(width=0.03, image_size=32, hidden=8, attention_length=3)).eval()
    path = save_checkpoint(tmp_path / "net.safetensors", net)
    table = predict_store(path, store, device="cpu", progress=False, length=6)
    assert list(table.columns) == ["video", "frame", "person", "valence", "arousal", *EXPRESSIONS]
    assert table["frame"].tolist() == store.index["frame"].tolist()
    np.testing.assert_allclose(table[list(EXPRESSIONS)].sum(axis=1), 1, atol=1e-5)
    sequences = SequenceDataset(store, length=6)
    for item in range(len(sequences)):
        images, _, mask = sequences[item]
        with torch.no_grad():
            output, _ = net(images[None], mask[None])
        rows = sequences.rows[item][mask.numpy()]
        np.testing.assert_allclose(table["valence"].iloc[rows], output.va[0, mask, 0].clamp(-1, 1), atol=1e-5)


def test_the_wrong_network_or_store_is_refused(tmp_path):
    store = noise_store(tmp_path / "store")
    generator = save_checkpoint(tmp_path / "g.safetensors", Generator(GanNetConfig("1", width=0.02)))
    with pytest.raises(UserError, match="holds weights of generator, which predicts nothing"):
        predict_store(generator, store, device="cpu")
    net = save_checkpoint(tmp_path / "n.safetensors", AffWildNet(AffWildNetConfig(width=0.01, hidden=4)))
    with pytest.raises(UserError, match="make a store with --size 96"):
        predict_store(net, store, device="cpu")


def test_scores_are_of_labelled_frames_only(tmp_path):
    store = noise_store(tmp_path / "store", frames=60)
    labels, random = store.labels, np.random.default_rng(3)
    table = store.index[["video", "frame", "person"]].copy()
    table["valence"], table["arousal"] = labels.valence, np.float32(0.1)
    table[list(EXPRESSIONS)] = random.dirichlet(np.ones(7), 60)
    table[list(ACTION_UNITS)] = random.random((60, 8))
    scores = score(table, labels)
    assert scores["ccc_valence"] == pytest.approx(1) and scores["ccc_arousal"] == 0
    mask = labels.has_expression
    predicted = table[list(EXPRESSIONS)].to_numpy()[mask].argmax(axis=1)
    expected = f1_score(labels.expression[mask], predicted, average="macro")
    assert scores["expression_f1_macro"] == pytest.approx(expected)
    mask = labels.has_action_units.all(axis=1)
    predicted = table[list(ACTION_UNITS)].to_numpy()[mask] >= 0.5
    expected = f1_score(labels.action_units[mask], predicted, average="weighted")
    assert scores["au_f1_weighted"] == pytest.approx(expected)
    expected = {f"{kind}_{name}" for kind in ("ccc", "mse") for name in VA}
    assert set(score(table[["valence", "arousal"]], labels)) == expected
    assert score(table, Labels.empty(60)) == {}
    with pytest.raises(UserError, match="60 predictions for 59"):
        score(table, labels[:59])

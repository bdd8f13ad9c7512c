"""Features computed once: those of the network, named after weights and faces; and a frozen run on them."""

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refused
from small_experiment import memory_store
from torch import nn

from affkit.checkpoints import load_checkpoint
from affkit.faces.pool import without_labels
from affkit.loop import make_fabric
from affkit.multitask import AffWildNetConfig, VGGFace
from affkit.store import select_rows, write_store
from affkit.train_multitask import MtlConfig, MtlTrainer, starting_net, train_mtl
from affkit_lab.backbones.face_net import cached_features, feature_key

pytestmark = pytest.mark.slow  # trains small networks

TINY = {"width": 0.02, "hidden": 4, "attention_length": 3, "batch_size": 2, "sequence_length": 5}
QUIET = {"device": "cpu", "progress": False}


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "store", memory_store())


def small_cnn(seed=0):
    torch.manual_seed(seed)
    return VGGFace(AffWildNetConfig(width=0.02, image_size=32)).eval()


def test_each_row_is_what_the_network_says_of_that_face_and_computed_once(store, tmp_path):
    cnn, calls = small_cnn(), []
    cnn.register_forward_hook(lambda *_: calls.append(1))
    features = cached_features(cnn, store, tmp_path / "cache", progress=False)
    number = len(calls)
    np.testing.assert_array_equal(cached_features(cnn, store, tmp_path / "cache", progress=False), features)
    assert number > 0 and len(calls) == number
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npy"]
    assert features.shape == (len(store), cnn.fc.out_features) and features.dtype == np.float32
    rows = [0, 33, len(store) - 1]
    faces = torch.from_numpy(store.images[rows] / 127.5 - 1).float().movedim(-1, 1)  # by hand
    np.testing.assert_allclose(features[rows], cnn(faces).detach(), atol=1e-5)


def test_the_name_follows_weights_and_faces_but_not_labels(store):
    cnn, rows = small_cnn(), np.arange(len(store))
    key = feature_key(cnn, store)
    assert key == feature_key(small_cnn(), store) == feature_key(cnn, without_labels(store, range(20)))
    changed, other = small_cnn(), select_rows(store, rows)
    with torch.no_grad():
        changed.fc.bias[0] += 1e-6
    other.images = 255 - store.images
    others = [select_rows(store, rows[1:]), select_rows(store, rows[::-1]), other]
    assert key != feature_key(changed, store)
    assert key not in [feature_key(cnn, one) for one in others]


def test_features_that_are_no_numbers_are_refused_and_not_kept(store, tmp_path):
    cnn = small_cnn()
    nn.init.constant_(cnn.fc.bias, float("nan"))
    with refused("features of face 0 are not numbers; give other weights"):
        cached_features(cnn, store, tmp_path / "cache", progress=False)
    assert not (tmp_path / "cache").exists()
    (tmp_path / "taken").write_text("mine")
    with refused("cannot be written to"):
        cached_features(small_cnn(), store, tmp_path / "taken", progress=False)


def test_a_frozen_run_is_the_run_that_computes_them_in_every_step(store, tmp_path):
    config = MtlConfig(**TINY, frozen=True)
    source = train_mtl(store, tmp_path / "source", MtlConfig(**TINY, seed=3), steps=1, **QUIET).checkpoint
    frozen = train_mtl(store, tmp_path / "frozen", config, steps=4, weights=source, **QUIET)
    plain = MtlTrainer(make_fabric("cpu"), store, None, config, starting_net(config, store.size, source)[0])
    plain.features = None  # from now on the faces go through the convolutions
    log = pd.DataFrame([plain.step(number) for number in range(4)]).astype(float)
    np.testing.assert_allclose(frozen.log[["va", "expression"]], log[["va", "expression"]], atol=1e-5)
    (net, _), (given, _) = load_checkpoint(frozen.checkpoint), load_checkpoint(source)
    pairs = zip(net.cnn.parameters(), given.cnn.parameters(), strict=True)
    assert all(torch.equal(own, other) for own, other in pairs)
    torch.testing.assert_close(net.head.weight, plain.net.head.weight, atol=1e-4, rtol=1e-4)


def test_a_frozen_run_goes_on_with_the_same_weights_only(store, tmp_path):
    first, second = (
        train_mtl(store, tmp_path / f"s{seed}", MtlConfig(**TINY, seed=seed), steps=1, **QUIET).checkpoint
        for seed in (1, 2)
    )
    run = store, tmp_path / "run", MtlConfig(**TINY, frozen=True)
    train_mtl(*run, steps=1, weights=first, **QUIET)
    with refused("another configuration or other data"):
        train_mtl(*run, steps=2, weights=second, resume=True, **QUIET)
    train_mtl(*run, steps=2, weights=first, resume=True, **QUIET)


def published(path, image_size):
    """A file named as VGG-Face's published ones are, as narrow as the tests' networks."""
    cnn = VGGFace(AffWildNetConfig(width=0.02, image_size=image_size))
    layers = [*(layer for layer in cnn.layers if isinstance(layer, nn.Conv2d)), cnn.fc]
    depths = enumerate((2, 2, 3, 3, 3), 1)
    names = [f"conv{block}_{i + 1}" for block, depth in depths for i in range(depth)] + ["fc6"]
    pairs = zip(names, layers, strict=True)
    torch.save({f"{name}.{key}": t for name, layer in pairs for key, t in layer.state_dict().items()}, path)
    return path, cnn


def test_a_run_starts_from_published_weights(store, tmp_path):
    file, cnn = published(tmp_path / "vgg.pth", 32)
    config = MtlConfig(**TINY, frozen=True)
    run = train_mtl(store, tmp_path / "run", config, steps=1, vgg_weights=file, **QUIET)
    net, _ = load_checkpoint(run.checkpoint)
    assert torch.equal(net.cnn.fc.weight, cnn.fc.weight) and net.cnn.scale.eq(127.5).all()
    assert str(run.loaded).startswith("14 layers of VGG-Face (conv1_1 to fc6)")


def test_weights_that_cannot_be_meant_are_refused(store, tmp_path):
    file, _ = published(tmp_path / "vgg.pth", 64)  # fc6, for other faces, would be frozen as it was drawn
    with refused("leaves a frozen layer as it was initialised: fc6"):
        train_mtl(store, tmp_path / "a", MtlConfig(**TINY, frozen=True), steps=1, vgg_weights=file, **QUIET)
    with refused("are both weights to start from; give one of them"):
        train_mtl(store, tmp_path / "a", MtlConfig(**TINY), steps=1, vgg_weights=file, weights=file, **QUIET)
    assert not (tmp_path / "a").exists()

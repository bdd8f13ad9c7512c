"""The networks that are trained on single faces: what they learn, and what they refuse."""

import numpy as np
import pandas as pd
import pytest
import torch
from guesses import plain_ccc
from refusals import refused
from safetensors.torch import load_file
from sklearn.metrics import mean_squared_error
from stores import people_store

from affkit.checkpoints import load_checkpoint
from affkit.evaluation.evaluate import score
from affkit.evaluation.predict import predict_store
from affkit.loop import RowStream
from affkit.store import to_unit_range
from affkit.train_multitask import MtlConfig, train_mtl
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig, features_of
from affkit_lab.backbones.train_faces import cnn_config, features_config, predictor_config, train_faces

pytestmark = pytest.mark.slow  # trains small networks

TINY = features_config(image_size=16, channels=8, num_features=16, batch_size=24, lr=3e-3)


def train(store, out, steps, config=TINY, **options):
    return train_faces(store, out, config, steps, device="cpu", progress=False, **options)


def moments(size=16):
    """A store of six people, and the rows of two moments of three and of the third."""
    store = people_store(moments=24, size=size)
    rows = np.arange(len(store))
    return store, rows[rows % 3 > 0], rows[rows % 3 == 0]


def scores_of(checkpoint, store, rows):
    return score(predict_store(checkpoint, store, "cpu", progress=False).iloc[rows], store.labels[rows])


@pytest.mark.parametrize("size", [16, 32, 96])
def test_faces_of_any_size_become_features(size):
    net = FeatureNet(FeatureNetConfig(5, size, channels=4, num_features=6)).eval()
    images = torch.rand(3, 3, size, size) * 2 - 1
    output = net(images)
    assert net.features(images).shape == (3, 6)
    assert [tuple(part.shape) for part in output] == [(3, 2), (3, 8), (3, 5)]


def test_it_learns_who_is_who_and_how_they_feel(tmp_path):
    """Tested on moments that it was not trained on."""
    store, seen, unseen = moments()
    checkpoint = train(store, tmp_path / "run", 150, rows=seen)
    scores = scores_of(checkpoint, store, unseen)
    assert scores["ccc_valence"] > 0.7 and scores["au_f1_macro"] > 0.8
    net, _ = load_checkpoint(checkpoint, "featurenet")
    points = features_of(net, store.images[unseen])[0]
    people = points.reshape(6, -1, points.shape[1])
    within = people.std(axis=1).mean()
    assert people.mean(axis=1).std(axis=0).mean() > 1.5 * within  # people are further apart than moments


def test_the_cnn_learns_who_is_who_and_action_units_and_is_what_a_multitask_net_starts_from(tmp_path):
    store, seen, unseen = moments(32)
    config = cnn_config(0.125, 32, 0.0, lr=1e-3, batch_size=24, subject=1.0, augment=("flip",))
    checkpoint = train(store, tmp_path / "run", 200, config, rows=seen)
    assert "valence" not in predict_store(checkpoint, store, "cpu", progress=False)
    assert scores_of(checkpoint, store, unseen)["au_f1_macro"] > 0.8
    net, training = load_checkpoint(checkpoint, "facenet")
    assert training["steps"] == 200
    who = net(to_unit_range(store.images[unseen])).subject.argmax(dim=1)
    people = store.index["subject"].iloc[unseen].str.removeprefix("subject_").astype(int)
    assert (who.numpy() == people).mean() > 0.8
    how = {"steps": 1, "device": "cpu", "progress": False, "cache": tmp_path}
    config = MtlConfig(width=0.125, hidden=4, frozen=True)
    mtl = train_mtl(store, tmp_path / "mtl", config, weights=checkpoint, **how)
    started, _ = load_checkpoint(mtl.checkpoint, "affwildnet")
    wanted, found = net.cnn.state_dict(), started.cnn.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    with refused("cnn.safetensors: has width 0.125 and faces of 32 pixels"):
        train_mtl(store, tmp_path / "other", MtlConfig(width=0.1), weights=checkpoint, **how)
    features = train(store, tmp_path / "features", 1)
    with refused("holds weights of featurenet, which has no such"):
        train_mtl(store, tmp_path / "other", MtlConfig(width=0.125), weights=features, **how)


@pytest.mark.parametrize("config", [TINY, cnn_config(0.03, 32, batch_size=24)], ids=["features", "cnn"])
def test_killed_and_resumed_is_the_same_network(tmp_path, config):
    """Also with dropout, whose random numbers are those of the step."""
    how, store = {"config": config, "save_every": 1}, people_store(size=32)
    whole = load_file(train(store, tmp_path / "whole", 3, **how))
    train(store, tmp_path / "part", 2, **how)
    resumed = load_file(train(store, tmp_path / "part", 3, resume=True, **how))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert pd.read_csv(tmp_path / "part" / "log.csv")["step"].tolist() == [1, 2, 3]


def test_stores_that_cannot_teach_it_are_refused(tmp_path):
    store = people_store()
    with refused("fewer than 2 people"):
        train(store, tmp_path / "one", 1, rows=range(12))
    with refused("make a store with --size 32"):
        train(store, tmp_path / "small", 1, features_config())
    del store.index["subject"]
    with refused("make it with `affkit faces --labels`"):
        train(store, tmp_path / "nobody", 1)


def test_a_predictor_needs_nobodys_name_and_learns_what_faces_do(tmp_path):
    store, seen, unseen = moments(32)
    del store.index["subject"]
    told, checkpoints, first = [], {}, {}
    for loss, steps in (("ccc", 120), ("mse", 1)):
        config = predictor_config(width=0.1, batch_size=24, va_loss=loss)
        how = {"rows": seen, "save_every": 60, "callback": lambda *what: told.append(what[:2])}
        checkpoints[loss] = train(store, tmp_path / loss, steps, config, **how)
        _, training = load_checkpoint(checkpoints[loss], "discriminator")
        assert training["config"]["va_loss"] == loss
        first[loss] = pd.read_csv(tmp_path / loss / "log.csv")["va"][0]
    scores = scores_of(checkpoints["ccc"], store, unseen)
    assert scores["ccc_valence"] > 0.7 and scores["au_f1_macro"] > 0.8
    assert [steps for steps, _ in told] == [60, 120, 1]
    assert set(told[0][1]) == {"va", "au"}  # nothing about who it is, nor about fake faces
    # the same weights and faces at first, and the losses as scikit-learn and a CCC by hand have them
    torch.manual_seed(0)
    net = predictor_config(width=0.1).new_net()
    batch = seen[RowStream(len(seen), 24, 0).batch(0)]
    said = net(to_unit_range(store.images[batch])).va.detach().numpy()
    truth = store.index.iloc[batch][["valence", "arousal"]].to_numpy()
    cccs = [plain_ccc(x, y) for x, y in zip(said.T, truth.T, strict=True)]
    wanted = {"ccc": 1 - np.mean(cccs), "mse": mean_squared_error(truth, said)}
    assert first == pytest.approx(wanted, rel=1e-4)
    with refused("'huber' is not known"):
        predictor_config(va_loss="huber")

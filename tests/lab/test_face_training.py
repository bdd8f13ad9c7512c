"""The networks that are trained on single faces: what they learn, and what they refuse."""

import numpy as np
import pandas as pd
import pytest
import torch
from guesses import plain_ccc
from safetensors.torch import load_file
from sklearn.metrics import mean_squared_error
from stores import people_store

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError
from affkit.evaluation.evaluate import score
from affkit.evaluation.predict import predict_store
from affkit.loop import RowStream
from affkit.store import to_unit_range
from affkit.train_multitask import MtlConfig, train_mtl
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig, features_of
from affkit_lab.backbones.train_faces import cnn_config, features_config, predictor_config, train_faces

pytestmark = pytest.mark.slow  # trains small networks

TINY = features_config(image_size=16, channels=8, num_features=16, batch_size=24, lr=3e-3)


def train(store, out, steps, **options):
    return train_faces(store, out, TINY, steps, device="cpu", progress=False, **options)


@pytest.mark.parametrize("size", [16, 32, 96])
def test_faces_of_any_size_become_features(size):
    net = FeatureNet(FeatureNetConfig(5, size, channels=4, num_features=6)).eval()
    images = torch.rand(3, 3, size, size) * 2 - 1
    output = net(images)
    assert net.features(images).shape == (3, 6)
    assert [tuple(part.shape) for part in output] == [(3, 2), (3, 8), (3, 5)]


def test_it_learns_who_is_who_and_how_they_feel(tmp_path):
    """Tested on moments that it was not trained on."""
    store = people_store(moments=24)
    rows = np.arange(len(store))
    seen, unseen = rows[rows % 3 > 0], rows[rows % 3 == 0]
    checkpoint = train(store, tmp_path / "run", 150, rows=seen)
    net, _ = load_checkpoint(checkpoint, "featurenet")
    scores = score(predict_store(checkpoint, store, "cpu", progress=False).iloc[unseen], store.labels[unseen])
    assert scores["ccc_valence"] > 0.7 and scores["au_f1_macro"] > 0.8
    points = features_of(net, store.images[unseen])[0]
    people = points.reshape(6, -1, points.shape[1])
    within = people.std(axis=1).mean()
    assert people.mean(axis=1).std(axis=0).mean() > 1.5 * within  # people are further apart than moments


def test_the_cnn_learns_who_is_who_and_action_units_and_is_what_a_multitask_net_starts_from(tmp_path):
    store = people_store(moments=24, size=32)
    rows = np.arange(len(store))
    seen, unseen = rows[rows % 3 > 0], rows[rows % 3 == 0]
    config = cnn_config(0.125, 32, 0.0, lr=1e-3, batch_size=24, subject=1.0, augment=("flip",))
    checkpoint = train_faces(store, tmp_path / "run", config, 200, device="cpu", progress=False, rows=seen)
    predictions = predict_store(checkpoint, store, "cpu", progress=False).iloc[unseen]
    assert "valence" not in predictions
    assert score(predictions, store.labels[unseen])["au_f1_macro"] > 0.8
    net, training = load_checkpoint(checkpoint, "facenet")
    assert training["steps"] == 200
    who = net(to_unit_range(store.images[unseen])).subject.argmax(dim=1)
    people = store.index["subject"].iloc[unseen].str.removeprefix("subject_").astype(int).to_numpy()
    assert (who.numpy() == people).mean() > 0.8
    mtl = train_mtl(
        store, tmp_path / "mtl", MtlConfig(width=0.125, hidden=4, frozen=True), steps=1, device="cpu",
        progress=False, weights=checkpoint, cache=tmp_path,
    )  # fmt: skip
    started, _ = load_checkpoint(mtl.checkpoint, "affwildnet")
    for name, tensor in net.cnn.state_dict().items():
        assert torch.equal(started.cnn.state_dict()[name], tensor)
    with pytest.raises(UserError, match="cnn.safetensors: has width 0.125 and faces of 32 pixels"):
        train_mtl(store, tmp_path / "other", MtlConfig(width=0.1), steps=1, weights=checkpoint)
    features = train(store, tmp_path / "features", 1)
    with pytest.raises(UserError, match="holds weights of featurenet, which has no such"):
        train_mtl(store, tmp_path / "other", MtlConfig(width=0.125), steps=1, weights=features)


@pytest.mark.parametrize("config", [TINY, cnn_config(0.03, 32, batch_size=24)], ids=["features", "cnn"])
def test_killed_and_resumed_is_the_same_network(tmp_path, config):
    """Also with dropout, whose random numbers are those of the step."""
    how = {"device": "cpu", "progress": False, "save_every": 1}
    store = people_store(size=32)
    whole = load_file(train_faces(store, tmp_path / "whole", config, 3, **how))
    train_faces(store, tmp_path / "part", config, 2, **how)
    resumed = load_file(train_faces(store, tmp_path / "part", config, 3, resume=True, **how))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert pd.read_csv(tmp_path / "part" / "log.csv")["step"].tolist() == [1, 2, 3]


def test_stores_that_cannot_teach_it_are_refused(tmp_path):
    store = people_store()
    with pytest.raises(UserError, match="fewer than 2 people"):
        train(store, tmp_path / "one", 1, rows=range(12))
    with pytest.raises(UserError, match="make a store with --size 32"):
        train_faces(store, tmp_path / "small", features_config(), steps=1, device="cpu")
    del store.index["subject"]
    with pytest.raises(UserError, match="make it with `affkit faces --labels`"):
        train(store, tmp_path / "nobody", 1)


def test_a_predictor_needs_nobodys_name_and_learns_what_faces_do(tmp_path):
    store = people_store(moments=24, size=32)
    del store.index["subject"]
    rows = np.arange(len(store))
    seen, unseen = rows[rows % 3 > 0], rows[rows % 3 == 0]
    how = {"device": "cpu", "progress": False, "rows": seen, "save_every": 60}
    told = []
    for loss, steps in (("ccc", 120), ("mse", 1)):
        config = predictor_config(width=0.1, batch_size=24, va_loss=loss)
        checkpoint = train_faces(
            store, tmp_path / loss, config, steps, callback=lambda *what: told.append(what[:2]), **how
        )
        net, training = load_checkpoint(checkpoint, "discriminator")
        assert training["config"]["va_loss"] == loss
        if loss == "ccc":
            predictions = predict_store(checkpoint, store, "cpu", progress=False).iloc[unseen]
            scores = score(predictions, store.labels[unseen])
            assert scores["ccc_valence"] > 0.7 and scores["au_f1_macro"] > 0.8
    assert [steps for steps, _ in told] == [60, 120, 1]
    assert set(told[0][1]) == {"va", "au"}  # nothing about who it is, nor about fake faces
    logs = {loss: pd.read_csv(tmp_path / loss / "log.csv")["va"] for loss in ("ccc", "mse")}
    # the same weights and faces at first, and the losses as scikit-learn and a CCC by hand have them
    torch.manual_seed(0)
    net = predictor_config(width=0.1).new_net()
    batch = seen[RowStream(len(seen), 24, 0).batch(0)]
    said = net(to_unit_range(store.images[batch])).va.detach().numpy()
    truth = store.index.iloc[batch][["valence", "arousal"]].to_numpy()
    assert logs["mse"][0] == pytest.approx(mean_squared_error(truth, said), rel=1e-4)
    cccs = [plain_ccc(x, y) for x, y in zip(said.T, truth.T, strict=True)]
    assert logs["ccc"][0] == pytest.approx(1 - np.mean(cccs), rel=1e-4)
    with pytest.raises(UserError, match="'huber' is not known"):
        predictor_config(va_loss="huber")

"""The network that looks at generated faces: what it learns, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
import torch
from people_store import people_store
from safetensors.torch import load_file

from affkit.errors import UserError
from affkit.learn.checkpoints import load_checkpoint
from affkit.learn.feature_net import FeatureNet, FeatureNetConfig
from affkit.learn.feature_training import FeatureConfig, train_features
from affkit.learn.gan_evaluation import features_of
from affkit.learn.predict import evaluate, predict_store

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = FeatureConfig(image_size=16, channels=8, num_features=16, batch_size=24, lr=3e-3)


def train(store, out, steps, **options):
    return train_features(store, out, TINY, steps, device="cpu", progress=False, **options)


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
    scores = evaluate(
        predict_store(checkpoint, store, "cpu", progress=False).iloc[unseen], store.labels[unseen]
    )
    assert scores["ccc_valence"] > 0.7 and scores["au_f1_macro"] > 0.8
    points = features_of(net, store.images[unseen])[0]
    people = points.reshape(6, -1, points.shape[1])
    within = people.std(axis=1).mean()
    assert people.mean(axis=1).std(axis=0).mean() > 1.5 * within  # people are further apart than moments


def test_killed_and_resumed_is_the_same_network(tmp_path):
    store = people_store()
    whole = load_file(train(store, tmp_path / "whole", 5))
    train(store, tmp_path / "part", 3, save_every=1)
    resumed = load_file(train(store, tmp_path / "part", 5, resume=True))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert pd.read_csv(tmp_path / "part" / "log.csv")["step"].tolist() == [1, 2, 3, 4, 5]


def test_stores_that_cannot_teach_it_are_refused(tmp_path):
    store = people_store()
    with pytest.raises(UserError, match="fewer than 2 people"):
        train(store, tmp_path / "one", 1, rows=range(12))
    with pytest.raises(UserError, match="make a store with --size 32"):
        train_features(store, tmp_path / "small", steps=1, device="cpu")
    del store.index["subject"]
    with pytest.raises(UserError, match="make it with `affkit faces --labels`"):
        train(store, tmp_path / "nobody", 1)

"""The angle between the gradients of two tasks, against finite differences."""

import numpy as np
import pytest
import torch
from noise_store import make_store

from affkit.checkpoints import load_checkpoint, save_checkpoint
from affkit.loop import RowStream
from affkit.losses import multitask_loss
from affkit.multitask import AffWildNet, AffWildNetConfig
from affkit.store import SequenceDataset
from affkit_course.lessons.nb09 import task_gradients

HOW = {"sequence_length": 5, "batch_size": 3, "va_loss": "mse", "expression_loss": "cross_entropy"}


@pytest.fixture
def trained(tmp_path):
    store = make_store(tmp_path / "store")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = AffWildNet(AffWildNetConfig(width=0.02, image_size=32, hidden=6, attention_length=3))
    features = np.random.default_rng(0).normal(size=(len(store), 82)).astype(np.float32)
    return save_checkpoint(tmp_path / "net.safetensors", net, {"config": HOW}), store, features


def test_a_small_step_for_one_task_changes_the_other_as_the_angle_says(trained):
    checkpoint, store, features = trained
    rows = np.arange(30)
    found = task_gradients(checkpoint, store, rows, features, batches=2)
    sequences = SequenceDataset(store, rows, length=5)
    items = RowStream(len(sequences), 3, 0).batch(1)
    net, _ = load_checkpoint(checkpoint)
    net.double()

    def losses():
        known, mask = sequences.of_rows(features.astype(np.float64), items)
        labels = {
            name: part.double() if part.is_floating_point() else part
            for name, part in sequences.targets(items)[0].items()
        }
        return multitask_loss(net.predict(known, mask)[0], labels, 1.0, 1.0, "mse", "cross_entropy")

    weights = [w for name, w in net.named_parameters() if name.startswith(("gru", "attention"))]
    step = torch.autograd.grad(losses()["va"], weights)
    length = torch.sqrt(sum((part**2).sum() for part in step))
    small, before = 1e-6, losses()["expression"].item()
    with torch.no_grad():
        for weight, part in zip(weights, step, strict=True):
            weight -= small * part / length
    change = (losses()["expression"].item() - before) / small
    row = found.iloc[1]
    assert row["va"] == pytest.approx(float(length), rel=1e-4)
    assert change == pytest.approx(-row["expression"] * row["cosine"], rel=1e-3, abs=1e-6)


def test_other_batches_other_angles_and_the_same_seed_the_same(trained):
    checkpoint, store, features = trained
    first, again = (task_gradients(checkpoint, store, range(40), features, batches=3) for _ in range(2))
    assert first.equals(again) and first["cosine"].between(-1, 1).all() and first["cosine"].nunique() == 3
    assert (first[["va", "expression"]] > 0).all(axis=None)

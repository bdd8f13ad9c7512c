"""Runs that go wrong: they stop with one line and keep what was good. Each really goes wrong."""

import numpy as np
import pandas as pd
import pytest
import torch
from noise_store import make_store
from safetensors.torch import load_file
from scipy.spatial.distance import pdist

from affkit.data.store import FrameDataset
from affkit.errors import UserError
from affkit.learn import divergence
from affkit.learn.divergence import CollapseWatch, mean_distance
from affkit.learn.gan import Discriminator, GanNetConfig, Generator, sample_z
from affkit.learn.train import GanConfig, MtlConfig, train_gan, train_mtl

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {"width": 0.03, "batch_size": 4}


def train(store, out, steps, save_every=50, **changes):
    config = GanConfig.recipe("kit", **TINY | changes)
    return train_gan(store, out, config, steps, device="cpu", progress=False, save_every=save_every)


def complaint(function, *args, **kwargs):
    with pytest.raises(UserError) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def finite(path):
    return all(tensor.isfinite().all() for tensor in load_file(path).values())


def test_mean_distance_is_that_of_scipy():
    points = np.random.default_rng(0).normal(size=(20, 3, 4, 4))
    assert mean_distance(torch.from_numpy(points)) == pytest.approx(pdist(points.reshape(20, -1)).mean())


@pytest.mark.parametrize("recipe", ["kit", "paper"])
def test_an_absurd_learning_rate_ends_in_no_number(tmp_path, recipe):
    """The discriminator's weights grow by 1e20 a step, until a product of them is no number."""
    store = make_store(tmp_path / "store")
    config = GanConfig.recipe(recipe, **TINY, lr_discriminator=1e20)
    how = {"device": "cpu", "progress": False, "save_every": 1}
    line = complaint(train_gan, store, tmp_path / "run", config, 200, **how)
    assert "no longer a number" in line and line.endswith("the last good checkpoint is kept")
    saved = tmp_path / "run" / "discriminator.safetensors"
    if saved.exists():
        assert finite(saved) and finite(tmp_path / "run" / "generator.safetensors")


def test_a_generator_that_collapses_stops_the_run(tmp_path, monkeypatch):
    """With this learning rate every pixel runs into the end of tanh: one picture, whatever z is."""
    monkeypatch.setattr(divergence, "START", 60)
    store = make_store(tmp_path / "store")
    line = complaint(train, store, tmp_path / "run", 300, lr_generator=100.0)
    assert "the generator collapsed: its faces differ 0.0% as much as real ones (step 100)" in line
    assert line.endswith("the last good checkpoint is kept")
    assert len(pd.read_csv(tmp_path / "run" / "log.csv")) == 50 and finite(
        tmp_path / "run" / "generator.safetensors"
    )
    run = train(store, tmp_path / "on", 100, lr_generator=100.0, stop_at_collapse=False)
    assert len(run.log) == 100 and np.isfinite(run.log).all(axis=None)  # no loss tells of it

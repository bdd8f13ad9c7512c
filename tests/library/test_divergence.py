"""Runs that go wrong: they stop with one line and keep what was good. Each really goes wrong."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from scipy.spatial.distance import pdist
from stores import noise_store
from torch import nn

from affkit.errors import UserError
from affkit.evaluation import collapse as divergence
from affkit.evaluation.collapse import CollapseWatch, mean_distance
from affkit.store import FrameDataset
from affkit.train_gan import GanConfig, train_gan

pytestmark = pytest.mark.slow  # trains small networks

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
    """The discriminator's weights grow by 1e20 in a step, so that a product of them is no number."""
    store = noise_store(tmp_path / "store")
    config = GanConfig.recipe(recipe, **TINY, lr_discriminator=1e20)
    how = {"device": "cpu", "progress": False, "save_every": 1}
    line = complaint(train_gan, store, tmp_path / "run", config, 200, **how)
    assert "no longer a number at step" in line
    saved = tmp_path / "run" / "discriminator.safetensors"
    assert saved.exists() == line.endswith("the last good checkpoint is kept")
    if saved.exists():
        assert finite(saved) and finite(tmp_path / "run" / "generator.safetensors")


class Shows(nn.Module):
    """A generator that shows what it is given, whatever z is."""

    def __init__(self, images):
        super().__init__()
        self.images = nn.Parameter(images)

    def forward(self, z):
        return self.images


def test_diversity_is_measured_beside_that_of_the_real_faces(tmp_path):
    faces = FrameDataset(noise_store(tmp_path / "store", frames=80))
    watch = CollapseWatch(faces, 32)
    real = faces[np.unique(np.linspace(0, 79, 64).round().astype(int))][0]
    log = pd.DataFrame({"step": np.arange(1, divergence.START + 1), "x_fake": 0.6})
    for share in (1.0, 0.05, 0.02, 0.0):
        shows = Shows(real * share)
        assert watch.diversity(shows) == pytest.approx(share, abs=1e-6) and shows.training
        trouble = watch.trouble(shows, log)
        assert trouble is None if share > 0.03 else "the generator collapsed" in trouble
        assert watch.trouble(shows, log[:-1]) is None  # too early to say
    sure = "to it generated faces are fake with probability 0.9999"
    assert sure in watch.trouble(Shows(real), log.assign(x_fake=0.9999))
    less_sure = log.assign(x_fake=np.where(log["step"] < divergence.START - 60, 1, 0.9))
    assert watch.trouble(Shows(real), less_sure) is None


def test_a_generator_that_collapses_stops_the_run(tmp_path, monkeypatch):
    """Its weights are next to nothing and stay so: it draws one grey picture, whatever z is."""
    monkeypatch.setattr(divergence, "START", 250)
    store = noise_store(tmp_path / "store")
    how = {"lr_generator": 1e-12, "weight_std": 1e-9}
    line = complaint(train, store, tmp_path / "run", 400, save_every=200, **how)
    assert "the generator collapsed: its faces differ 0.0% as much as real ones at step 400;" in line
    assert line.endswith("the last good checkpoint is kept")
    log = pd.read_csv(tmp_path / "run" / "log.csv")
    assert len(log) == 200 and np.isfinite(log).all(axis=None)  # no loss told of it
    assert finite(tmp_path / "run" / "generator.safetensors")


def test_a_discriminator_that_is_sure_of_everything_stops_the_run(tmp_path, monkeypatch):
    """The generator stands still, and the label of its faces is not smoothed."""
    monkeypatch.setattr(divergence, "START", 200)
    how = {"lr_generator": 1e-12, "fake_label": 1.0, "lr_discriminator": 5e-2}
    line = complaint(train, noise_store(tmp_path / "store"), tmp_path / "run", 300, save_every=100, **how)
    assert "the discriminator saturated: to it generated faces are fake with probability 0.9" in line
    assert finite(tmp_path / "run" / "discriminator.safetensors")


def test_who_wants_to_go_on_can(tmp_path, monkeypatch):
    monkeypatch.setattr(divergence, "START", 0)
    monkeypatch.setattr(divergence, "LEAST_DIVERSITY", 9.0)
    store = noise_store(tmp_path / "store")
    assert "collapsed" in complaint(train, store, tmp_path / "run", 1)
    assert not (tmp_path / "run").exists()
    assert len(train(store, tmp_path / "on", 1, stop_at_collapse=False).log) == 1
    assert GanConfig.recipe("kit").stop_at_collapse and not GanConfig.recipe("paper").stop_at_collapse

"""Your own step, networks and losses in the kit's runs, and no trainer at all: the README's ten lines."""

import re
import runpy

import pandas as pd
import pytest
import torch
from refusals import refuses
from repository import ROOT
from small_runs import assert_same_networks, gan, mtl
from stores import noise_store
from torch import nn

from affkit.checkpoints import load_checkpoint, read_tensors, write_tensors
from affkit.gan import Discriminator, Generator
from affkit.losses import fake_images_loss, generator_loss, multitask_loss, real_loss
from affkit.multitask import AffWildNet
from affkit.train_gan import GanLosses, frozen_statistics

pytestmark = pytest.mark.slow  # trains small networks


def written_out_step(gan, batches, w_r):
    """The kit recipe's step, written out without the kit's updates."""
    real, labels, z = next(batches)
    fake = gan.generator(z)
    real_terms = real_loss(gan.discriminator(real), labels)
    with frozen_statistics(gan.modules["discriminator"]):
        fake_terms = fake_images_loss(gan.discriminator(fake.detach()))
    gan.update("discriminator", sum(real_terms.values()) + sum(fake_terms.values()))
    with frozen_statistics(gan.modules["discriminator"]):
        loss = generator_loss(gan.discriminator(fake).fake, kind="non-saturating")
    gan.update("generator", loss)
    gan.update_ema()
    terms = {"discriminator": real_terms["fake"].detach(), "generator": loss.detach()}
    return terms | {"x_fake": torch.tensor(0.5)}


def test_a_step_of_ones_own_trains_the_same_networks(faces, tmp_path):
    """Equal weights after three steps, to the last bit; and the run is known as another one."""
    gan(faces, tmp_path / "kit", 3)
    gan(faces, tmp_path / "own", 3, step=written_out_step)
    assert_same_networks(tmp_path / "kit", tmp_path / "own")
    refuses("another configuration", gan, faces, tmp_path / "own", 4, resume=True)
    assert len(gan(faces, tmp_path / "own", 4, resume=True, step=written_out_step).log) == 4


def test_losses_and_networks_of_ones_own_are_used(faces, tmp_path):
    calls = []

    def doubled(*args):
        calls.append(args)
        return 2 * generator_loss(*args)

    class Linear(nn.Module):  # neither `architecture` nor `config`
        def __init__(self, config):
            super().__init__()
            self.layer = nn.Linear(100, 3 * 32 * 32)

        def forward(self, z):
            return self.layer(z).tanh().reshape(-1, 3, 32, 32)

    losses = GanLosses(generator=doubled)
    run = gan(faces, tmp_path / "run", 2, networks=(Linear, Discriminator), losses=losses)
    assert len(calls) == 2
    refuses("holds no network of affkit", load_checkpoint, run.generator)
    generator, how = load_checkpoint(run.generator, network=Linear)
    assert generator(torch.zeros(2, 100)).shape == (2, 3, 32, 32) and how["steps"] == 2
    assert isinstance(load_checkpoint(run.discriminator)[0], Discriminator)


def test_the_multitask_step_network_and_loss_can_be_replaced(faces, tmp_path):
    seen = []

    def step(mtl, items):
        terms = mtl.loss(mtl.predict(items), mtl.labels(items))
        mtl.update(sum(terms.values()))
        return {name: term.detach() for name, term in terms.items()}

    def loss(output, labels, *settings):
        seen.append(settings)
        return multitask_loss(output, labels, 0.5, 0.5, "ccc", "cross_entropy")

    class Wider(AffWildNet):
        pass

    kit = mtl(faces, tmp_path / "kit", 3)
    own = mtl(faces, tmp_path / "own", 3, step=step, loss=loss, network=Wider)
    assert seen == [(), (), ()]
    pd.testing.assert_frame_equal(kit.log, own.log)
    assert_same_networks(tmp_path / "kit", tmp_path / "own", ["affwildnet"])


def test_runs_of_before_are_gone_on_with(faces, tmp_path):
    """A run whose configuration and weights still say "average" where the kit now says EMA."""
    gan(faces, tmp_path / "whole", 4)
    gan(faces, tmp_path / "old", 2)
    state = tmp_path / "old" / "training.safetensors"
    tensors, header = read_tensors(state)
    assert '"ema": 0.999' in header["identity"] and any(name.startswith("ema/") for name in tensors)
    header["identity"] = header["identity"].replace('"ema"', '"average"')
    write_tensors(state, {re.sub("^ema/", "average/", name): t for name, t in tensors.items()}, header)
    gan(faces, tmp_path / "old", 4, resume=True)
    assert_same_networks(tmp_path / "whole", tmp_path / "old")


def test_the_ten_lines_of_the_readme_run(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert "affkit.train" not in code and "Trainer" not in code
    monkeypatch.chdir(tmp_path)
    noise_store(tmp_path / "store32")
    (tmp_path / "ten_lines.py").write_text(code.replace("width=0.25", "width=0.03"))
    names = runpy.run_path("ten_lines.py")
    assert isinstance(names["G"], Generator) and torch.isfinite(names["loss_G"])

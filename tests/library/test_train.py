"""Training runs on small stores of noise: repeatable, resumable, usable, or stopped when they go wrong."""

import subprocess
import sys
from dataclasses import replace
from unittest.mock import DEFAULT, Mock

import numpy as np
import pandas as pd
import pytest
import torch
from folders import contents
from refusals import refused, refuses, run_affkit
from safetensors.torch import load_file
from scipy.spatial.distance import pdist
from small_experiment import memory_store
from small_runs import TINY, TINY_MTL, assert_same_networks, gan, mtl
from stores import noise_store
from torch import nn

from affkit import loop as runs
from affkit import train_gan as train_gan_module
from affkit.evaluation import collapse
from affkit.evaluation.collapse import CollapseWatch, mean_distance
from affkit.gan import Discriminator, generate
from affkit.store import FrameDataset, write_store
from affkit.train_gan import GanConfig, GanTrainer
from affkit.train_multitask import MtlConfig
from affkit_lab.backbones.cuda_graph_step import RecordedGanTrainer

pytestmark = pytest.mark.slow  # trains small networks


class Killed(Exception):
    pass


def test_killed_and_resumed_ends_with_the_same_bytes(faces, tmp_path):
    mtl(faces, tmp_path / "whole", 7, save_every=3)
    with pytest.raises(Killed):
        mtl(faces, tmp_path / "killed", 7, save_every=2, callback=Mock(side_effect=[None, Killed]))
    torch.manual_seed(99)  # whatever the new process has drawn before
    mtl(faces, tmp_path / "killed", 7, save_every=2, resume=True)
    assert_same_networks(tmp_path / "whole", tmp_path / "killed", ["affwildnet"])
    log = pd.read_csv(tmp_path / "killed" / "log.csv")
    assert log["step"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    pd.testing.assert_frame_equal(log, pd.read_csv(tmp_path / "whole" / "log.csv"))


OPTIONS = {
    "augmented, no EMA": {"augment": ("color", "translation", "cutout"), "ema": 0.0},
    "spectral norm": {"spectral_norm": True},
    "all": {"augment": ("cutout",), "spectral_norm": True, "discriminator_steps": 2, "w_r": 1.0},
}


def trainer_of(store, config=None, kind=GanTrainer):
    return kind(runs.make_fabric("cpu"), store, None, config or GanConfig.recipe("kit", **TINY))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_killed_in_any_step_with_any_option_ends_with_the_same_bytes(faces, tmp_path, monkeypatch, options):
    """Killed amid step 2, before the first save, and amid step 4, when step 2 is the last that was saved."""
    config = GanConfig.recipe("kit", **TINY, **options)
    whole = gan(faces, tmp_path / "whole", 6, config)
    moments = [DEFAULT, Killed, DEFAULT, DEFAULT, DEFAULT, Killed]  # the second time it begins with step 1
    update = Mock(wraps=train_gan_module.generator_update, side_effect=moments)
    with monkeypatch.context() as patch:
        patch.setattr(train_gan_module, "generator_update", update)
        for _ in range(2):
            with pytest.raises(Killed):
                gan(faces, tmp_path / "killed", 6, config, save_every=2, resume=True)
    assert pd.read_csv(tmp_path / "killed" / "log.csv")["step"].tolist() == [1, 2]
    resumed = gan(faces, tmp_path / "killed", 6, config, save_every=2, resume=True)
    pd.testing.assert_frame_equal(whole.log, resumed.log, check_exact=False, rtol=1e-8)
    assert_same_networks(whole.out, resumed.out)


def test_every_face_that_the_discriminator_sees_is_augmented_and_no_other(faces, tmp_path, monkeypatch):
    """Generated and real ones in the discriminator's update, generated ones in the generator's."""
    flows, seen = [], []

    def augment(images, kinds, random):
        flows.append(images.requires_grad)
        return images * 0 + 0.25

    monkeypatch.setattr("affkit.train_gan.augment", augment)
    forward = Discriminator.forward
    monkeypatch.setattr(Discriminator, "forward", lambda net, x: seen.append(x) or forward(net, x))
    gan(faces, tmp_path, 1, GanConfig.recipe("paper", **TINY, augment=("cutout",), generator_steps=1))
    assert flows == [False, False, True]  # a gradient goes through the last one only
    assert len(seen) == 3 and all((images == 0.25).all() for images in seen)


def test_killed_inside_a_save_goes_on_from_the_one_before(faces, tmp_path, monkeypatch):
    gan(faces, tmp_path / "whole", 6)
    write = Mock(wraps=runs.write_tensors, side_effect=[DEFAULT, Killed])
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(runs, "write_tensors", write)  # networks and log of step 4 are there already
        gan(faces, tmp_path / "killed", 6, save_every=2)
    run = gan(faces, tmp_path / "killed", 6, save_every=2, resume=True)
    assert run.log["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert_same_networks(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.parametrize("train", [gan, mtl])
def test_a_run_is_a_function_of_its_seed(faces, tmp_path, train):
    changed = GanConfig.recipe("kit", **TINY, seed=1) if train is gan else MtlConfig(**TINY_MTL, seed=1)
    torch.manual_seed(1)
    first = train(faces, tmp_path / "1", 2).log
    torch.manual_seed(2)
    pd.testing.assert_frame_equal(first, train(faces, tmp_path / "2", 2).log)
    other = train(faces, tmp_path / "3", 2, changed).log
    assert not np.allclose(first.iloc[:, 1:3], other.iloc[:, 1:3])


def test_only_the_same_run_is_resumed_and_none_is_overwritten(faces, tmp_path):
    gan(faces, tmp_path / "run", 1)
    before = (tmp_path / "run" / "training.safetensors").read_bytes()
    run, other = (gan, faces, tmp_path / "run", 2), GanConfig.recipe("kit", **TINY, lr_generator=1e-3)
    refuses("add --resume", *run)
    refuses("another configuration", *run, other, resume=True)
    refuses("other data", *run, rows=[*range(39), 0], resume=True)
    assert (tmp_path / "run" / "training.safetensors").read_bytes() == before
    assert len(gan(faces, tmp_path / "run", 1, resume=True).log) == 1  # nothing left to do


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_networks(faces, tmp_path):
    def break_weights(number, values, trainer):
        with torch.no_grad():
            trainer.modules["discriminator"].head.weight.fill_(torch.nan)

    line = complaint(faces, tmp_path / "run", 6, None, save_every=2, callback=break_weights)
    assert "no longer a number at step 3; lower the learning rate" in line
    assert finite(tmp_path / "run" / "discriminator.safetensors")
    assert len(pd.read_csv(tmp_path / "run" / "log.csv")) == 2


def test_the_paper_recipe_is_the_paper(tmp_path):
    config = GanConfig.recipe("paper")
    assert config == GanConfig()
    assert (config.lr_generator, config.lr_discriminator, config.betas) == (1e-4, 1e-5, (0.5, 0.999))
    assert (config.batch_size, config.clip, config.leak, config.w_r) == (64, 20, 0.2, 1)
    assert (config.fake_target, config.fake_label, config.generator_loss) == (0.01, 0.9, "log")
    assert (config.generator_steps, config.discriminator_steps, config.width) == (5, 1, 1.0)
    assert GanConfig.recipe("paper", "2").generator_steps == 2
    other = [GanConfig.recipe("paper-d-more", name) for name in ("1", "2")]
    assert [(c.generator_steps, c.discriminator_steps) for c in other] == [(1, 5), (1, 2)]
    assert replace(other[0], generator_steps=5, discriminator_steps=1) == config
    best = MtlConfig()
    assert (best.alpha, best.beta, best.va_loss, best.expression_loss) == (0.5, 0.5, "ccc", "cross_entropy")
    assert (best.lr, best.batch_size, best.sequence_length, best.attention_length) == (1e-3, 10, 80, 32)
    refuses("choose paper or paper-d-more or kit", GanConfig.recipe, "best")


def test_five_generator_updates_for_one_of_the_discriminator_and_a_weight_that_anneals(
    faces, tmp_path, monkeypatch
):
    calls = []
    for name in ("discriminator_update", "generator_update"):
        original = getattr(train_gan_module, name)
        monkeypatch.setattr(
            train_gan_module,
            name,
            lambda gan, *a, n=name, o=original: calls.append((n[0], a[0].mean().item())) or o(gan, *a),
        )
    config = GanConfig.recipe("paper", **TINY, w_r_steps=4)
    log = gan(faces, tmp_path / "run", 6, config).log
    assert "".join(kind for kind, _ in calls) == "dggggg" * 6
    assert log["w_r"].tolist() == [1, 0.75, 0.5, 0.25, 0, 0]
    assert (log["fake_va"] == 1).all()  # the CCC with a constant
    # the generator's first update has the faces of the discriminator's, each other one its own: 5 x 8 in 40
    assert calls[0][1] == calls[1][1] and len({mean for _, mean in calls[:6]}) == 5


def test_gradients_are_clipped(faces, tmp_path):
    """With a tiny norm Adam's first step is as large as ever; the gradient that it saw is not."""
    trainer = trainer_of(faces, GanConfig.recipe("kit", **TINY, clip=1e-3))
    trainer.step(0)
    for module in trainer.modules["generator"], trainer.modules["discriminator"]:
        norm = torch.stack([w.grad.norm() for w in module.parameters() if w.grad is not None]).norm()
        assert norm.item() == pytest.approx(1e-3, rel=1e-2)


def test_mirrored_faces_and_the_average_of_weights(faces, tmp_path):
    trainer = trainer_of(faces)
    original = FrameDataset(faces)[trainer.stream.batch(0)][0]
    trainer.random = runs.step_generator(0, 0)
    images, _, _ = trainer.batch(0)
    flipped = [torch.equal(image, face.flip(-1)) for image, face in zip(images, original, strict=True)]
    same = [torch.equal(image, face) for image, face in zip(images, original, strict=True)]
    assert all(a != b for a, b in zip(flipped, same, strict=True)) and any(flipped) and any(same)

    expected = trainer.modules["ema"].layers[0].weight.clone()
    for number in range(3):
        trainer.step(number)
        decay = min(0.999, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * trainer.modules["generator"].layers[0].weight.detach()
    torch.testing.assert_close(trainer.best_generator.layers[0].weight, expected)


@pytest.mark.parametrize("recipe", ["kit", "paper-d-more"])
def test_the_recorded_step_trains_as_the_plain_one(faces, tmp_path, recipe):
    """Without the recording, which needs a GPU: other inputs on another way must give the same networks."""
    config = GanConfig.recipe(recipe, **TINY, w_r=0.0, ema=0.9)
    plain, recorded = (trainer_of(faces, config, kind) for kind in (GanTrainer, RecordedGanTrainer))
    batches = config.discriminator_steps + config.generator_steps - 1
    for number in (0, 1, 63, 64, 200):  # 64 steps are sent at once
        recorded._send(number)
        plain.random = runs.step_generator(config.seed, number)
        for i in range(number * batches, (number + 1) * batches):
            torch.testing.assert_close(tuple(plain.batch(i)), tuple(recorded.batch(i)))
        assert recorded.ema_decay(number).item() == pytest.approx(plain.ema_decay(number))
    for number in range(4):
        values, again = plain.step(number), recorded.step(number)
        values, again = ({name: float(value) for name, value in one.items()} for one in (values, again))
        assert values == pytest.approx(again, abs=1e-4)
    for name, tensor in plain.best_generator.state_dict().items():
        torch.testing.assert_close(tensor, recorded.best_generator.state_dict()[name], atol=1e-4, rtol=1e-3)


def test_large_faces_are_averaged_down_also_by_the_recorded_step(faces, tmp_path):
    store = noise_store(tmp_path / "store", frames=12, size=96)
    recorded, plain = trainer_of(store, kind=RecordedGanTrainer), trainer_of(store)
    recorded._send(0)
    images, _, _ = recorded.batch(0)
    plain.random = runs.step_generator(0, 0)
    expected, _, _ = plain.batch(0)
    torch.testing.assert_close(images, expected, atol=1 / 127, rtol=0)  # a byte again after averaging
    run = gan(store, tmp_path / "run", 1)
    assert generate(run.generator, 3).shape == (3, 32, 32, 3)
    large = GanConfig.recipe("kit", "2", width=0.01)
    refuses("make a store with --size 96", gan, faces, tmp_path / "r", 1, large)


def test_a_gan_learns_from_faces_without_labels_and_leaves_its_networks_a_picture_and_a_log(tmp_path):
    run = gan(noise_store(tmp_path / "store", labelled=False), tmp_path / "run", 2)
    assert (run.log[["real_va", "real_au"]] == 0).all(axis=None) and (run.log["real_fake"] > 0).all()
    weights = {f"{name}.safetensors" for name in ("discriminator", "generator", "training")}
    assert contents(run.out).keys() == weights | {"grid_000002.png", "log.csv"}


def test_mtl_learns_a_store_by_heart(tmp_path):
    """The whole chain can lower its loss: 10 frames, each of one colour that gives its labels away."""
    store = noise_store(tmp_path / "store", frames=10, size=32)
    grey = np.linspace(0, 255, 10).astype(np.uint8)[:, None, None, None]
    store.images = np.broadcast_to(grey, (10, 32, 32, 3)).copy()
    config = MtlConfig(**TINY_MTL | {"width": 0.1, "hidden": 32}, lr=3e-3)
    log = mtl(store, tmp_path / "run", 120, config).log
    assert log["va"].iloc[-1] < 0.1 < 0.35 < log["va"].iloc[0]
    assert log["expression"].iloc[-1] < 0.1


def test_alpha_and_beta_choose_the_task(faces, tmp_path):
    only_va = mtl(faces, tmp_path / "va", 2, MtlConfig(**TINY_MTL, alpha=1, beta=0)).log
    assert (only_va["expression"] == 0).all() and (only_va["va"] > 0).all()
    refuses("alpha: 1.5 is outside", MtlConfig, alpha=1.5)
    refuses("va_loss: 'l1' is not known; choose ccc or mse", MtlConfig, va_loss="l1")
    refuses("targets: 'all' is not known; choose va+au or va or au", GanConfig, targets="all")
    bare = noise_store(tmp_path / "bare", labelled=False)
    refuses("no frame is labelled for va or expression", mtl, bare, tmp_path / "run", 1)


def test_epochs_are_counted_in_sequences(faces, tmp_path):
    # 2 videos of 20 frames: 8 sequences of 5, 4 batches of 2
    assert len(mtl(faces, tmp_path / "run", None, num_epochs=1.5).log) == 6
    refuses("needs num_epochs or steps", mtl, faces, tmp_path / "other", None)


def test_a_frozen_cnn_stays_as_it_came(faces, tmp_path):
    source = mtl(faces, tmp_path / "source", 1).checkpoint
    config = MtlConfig(**TINY_MTL, frozen=True, seed=5)
    frozen = mtl(faces, tmp_path / "frozen", 2, config, weights=source).checkpoint
    before, after = load_file(source), load_file(frozen)
    assert all(torch.equal(before[key], after[key]) == key.startswith("cnn.") for key in before)
    wide = MtlConfig(**TINY_MTL | {"width": 0.05})
    refuses("has width 0.02", mtl, faces, tmp_path / "wide", 1, wide, weights=source)


def test_rows_come_round_evenly_and_a_small_store_makes_small_batches():
    stream = runs.RowStream(n=7, batch_size=3, seed=0)
    seen = np.concatenate([stream.batch(k) for k in range(14)])
    assert all(sorted(seen[i : i + 7]) == list(range(7)) for i in range(0, 42, 7))
    assert not np.array_equal(seen[:7], seen[7:14])
    assert np.array_equal(stream.batch(1), runs.RowStream(7, 3, 0).batch(1))  # without the batches before
    assert len(runs.RowStream(n=2, batch_size=64, seed=0).batch(5)) == 2


# Runs that go wrong: each really does, stops with one line and keeps what was good

FOUR = TINY | {"batch_size": 4}


def complaint(store, out, steps, config, **options) -> str:
    """What is said when the run is stopped."""
    with refused() as error:
        gan(store, out, steps, config, **options)
    return str(error.value)


def finite(path) -> bool:
    return all(tensor.isfinite().all() for tensor in load_file(path).values())


@pytest.mark.parametrize("recipe", ["kit", "paper"])
def test_an_absurd_learning_rate_ends_in_no_number(faces, tmp_path, recipe):
    """The discriminator's weights grow by 1e20 in a step, so that a product of them is no number."""
    config = GanConfig.recipe(recipe, **FOUR, lr_discriminator=1e20)
    line = complaint(faces, tmp_path / "run", 200, config, save_every=1)
    assert "no longer a number at step" in line
    saved = tmp_path / "run" / "discriminator.safetensors"
    assert saved.exists() == line.endswith("the last good checkpoint is kept")
    assert all(map(finite, (tmp_path / "run").glob("*or.safetensors")))


class Shows(nn.Module):
    """A generator that shows what it is given, whatever z is."""

    def __init__(self, images):
        super().__init__()
        self.images = nn.Parameter(images)

    def forward(self, z):
        return self.images


def test_diversity_is_a_mean_distance_measured_beside_that_of_the_real_faces(tmp_path):
    points = np.random.default_rng(0).normal(size=(20, 3, 4, 4))
    assert mean_distance(torch.from_numpy(points)) == pytest.approx(pdist(points.reshape(20, -1)).mean())
    faces = FrameDataset(noise_store(tmp_path / "store", frames=80))
    watch = CollapseWatch(faces, 32)
    real = faces[np.unique(np.linspace(0, 79, 64).round().astype(int))][0]
    log = pd.DataFrame({"step": np.arange(1, collapse.START + 1), "x_fake": 0.6})
    for fraction in (1.0, 0.05, 0.02, 0.0):
        shows = Shows(real * fraction)
        assert watch.diversity(shows) == pytest.approx(fraction, abs=1e-6) and shows.training
        trouble = watch.trouble(shows, log)
        assert trouble is None if fraction > 0.03 else "the generator collapsed" in trouble
        assert watch.trouble(shows, log[:-1]) is None  # too early to say
    sure = "to it generated faces are fake with probability 0.9999"
    assert sure in watch.trouble(Shows(real), log.assign(x_fake=0.9999))
    less_sure = log.assign(x_fake=np.where(log["step"] < collapse.START - 60, 1, 0.9))
    assert watch.trouble(Shows(real), less_sure) is None


GONE_WRONG = {
    # its weights are next to nothing and stay so: it draws one grey picture, whatever z is
    "the generator collapsed: its faces differ 0.0% as much as real ones at step 4;": (
        3, 4, 2, {"lr_generator": 1e-12, "weight_std": 1e-9},
    ),
    # the generator stands still, and the label of its faces is not smoothed
    "the discriminator saturated: to it generated faces are fake with probability 0.9": (
        60, 300, 50, {"lr_generator": 1e-12, "fake_label": 1.0, "lr_discriminator": 5e-2},
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", GONE_WRONG)
def test_a_run_that_went_wrong_is_stopped(faces, tmp_path, monkeypatch, words):
    start, steps, save_every, options = GONE_WRONG[words]
    monkeypatch.setattr(collapse, "START", start)
    config = GanConfig.recipe("kit", **FOUR | options)
    line = complaint(faces, tmp_path / "run", steps, config, save_every=save_every)
    assert words in line and line.endswith("the last good checkpoint is kept")
    log = pd.read_csv(tmp_path / "run" / "log.csv")
    assert len(log) % save_every == 0 and np.isfinite(log).all(axis=None)  # no loss told of it
    assert all(finite(tmp_path / "run" / f"{name}.safetensors") for name in ("generator", "discriminator"))


def test_who_wants_to_go_on_can(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(collapse, "START", 0)
    monkeypatch.setattr(collapse, "LEAST_DIVERSITY", 9.0)
    config = GanConfig.recipe("kit", **TINY)
    assert "collapsed" in complaint(faces, tmp_path / "run", 1, config)
    assert not (tmp_path / "run").exists()
    assert len(gan(faces, tmp_path / "on", 1, replace(config, stop_at_collapse=False)).log) == 1
    assert config.stop_at_collapse and not GanConfig.recipe("paper").stop_at_collapse


# Two processes on one CPU share each batch, and get what one process gets


@pytest.mark.parametrize("options", [(), ("--frozen",)], ids=["end to end", "frozen"])
def test_two_processes_end_with_the_weights_of_one(tmp_path, monkeypatch, capsys, options):
    store = write_store(tmp_path / "store", memory_store(frames=100)).path  # 14 sequences of 80 frames
    line = ["train", "mtl", "--data", store, "--width", "0.02", "--steps", "3", "--device", "cpu"]
    line += ["--lr", "0.01", *options, "--out"]
    assert run_affkit(monkeypatch, capsys, *line, tmp_path / "one")[0] == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, "-m", "affkit", *line, tmp_path / "two"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("after 3 steps") == 1  # only one of them talks
    logs = [pd.read_csv(tmp_path / name / "log.csv") for name in ("one", "two")]
    np.testing.assert_allclose(*logs, rtol=1e-4)
    one, two = (load_file(tmp_path / name / "affwildnet.safetensors") for name in ("one", "two"))
    for name, weight in one.items():
        np.testing.assert_allclose(weight, two[name], atol=2e-4, err_msg=name)
    assert contents(tmp_path / "one").keys() == contents(tmp_path / "two").keys()


def test_work_on_no_device_or_that_processes_cannot_share_is_refused(faces, tmp_path, monkeypatch):
    refuses(("device nonsense: ", "; try --device cpu"), runs.make_fabric, "nonsense")
    monkeypatch.setattr("lightning_fabric.Fabric.world_size", 3)
    refuses("a batch of 2: cannot be shared by 3 processes", mtl, faces, tmp_path / "three", 1)
    assert not (tmp_path / "three").exists()
    monkeypatch.setenv("WORLD_SIZE", "2")
    refuses("torchrun: started 2 processes, and this work is for one", runs.make_fabric, "cpu")

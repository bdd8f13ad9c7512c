"""Both training runs on small stores of noise: repeatable, resumable, and usable afterwards."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from stores import noise_store

from affkit import loop as runs
from affkit import train_gan as train_gan_module
from affkit.errors import UserError
from affkit.evaluation.evaluate import score
from affkit.evaluation.predict import predict_store
from affkit.gan import Discriminator, generate
from affkit.store import FrameDataset
from affkit.train_gan import GanConfig, GanTrainer, train_gan
from affkit.train_multitask import MtlConfig, train_mtl
from affkit_lab.backbones.cuda_graph_step import RecordedGanTrainer

pytestmark = pytest.mark.slow  # trains small networks

TINY = {"width": 0.03, "batch_size": 8}
TINY_MTL = {"width": 0.02, "hidden": 6, "attention_length": 4, "batch_size": 2, "sequence_length": 5}


def gan(store, out, steps, config=None, **options):
    config = config or GanConfig.recipe("kit", **TINY)
    return train_gan(store, out, config, steps, device="cpu", progress=False, **options)


def mtl(store, out, steps, config=None, **options):
    config = config or MtlConfig(**TINY_MTL)
    return train_mtl(store, out, config, steps=steps, device="cpu", progress=False, **options)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """40 faces of two videos; nothing changes them."""
    return noise_store(tmp_path_factory.mktemp("faces") / "store")


def assert_same_networks(one, two, names=("generator", "discriminator")):
    """The networks of these names in two folders, to the last bit."""
    for name in names:
        first, second = (load_file(folder / f"{name}.safetensors") for folder in (one, two))
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


class Killed(Exception):
    pass


def kill_after(step):
    def callback(number, values, trainer):
        if number >= step:
            raise Killed

    return callback


@pytest.mark.parametrize(
    ("train", "networks"), [(gan, ("generator", "discriminator")), (mtl, ("affwildnet",))], ids=["gan", "mtl"]
)
def test_killed_and_resumed_ends_with_the_same_bytes(faces, tmp_path, train, networks):
    train(faces, tmp_path / "whole", 7, save_every=3)
    with pytest.raises(Killed):
        train(faces, tmp_path / "killed", 7, save_every=2, callback=kill_after(4))
    torch.manual_seed(99)  # whatever the new process has drawn before
    train(faces, tmp_path / "killed", 7, save_every=2, resume=True)
    assert_same_networks(tmp_path / "whole", tmp_path / "killed", networks)
    log = pd.read_csv(tmp_path / "killed" / "log.csv")
    assert log["step"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    pd.testing.assert_frame_equal(log, pd.read_csv(tmp_path / "whole" / "log.csv"))


OPTIONS = {
    "augmented": {"augment": ("color", "translation", "cutout")},
    "spectral norm": {"spectral_norm": True},
    "no EMA": {"ema": 0.0},
    "all": {"augment": ("cutout",), "spectral_norm": True, "discriminator_steps": 2, "w_r": 1.0},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
def test_killed_in_any_step_with_any_option_ends_with_the_same_bytes(faces, tmp_path, monkeypatch, options):
    """Killed amid step 2, before the first save, and amid step 4, when step 2 is the last that was saved."""
    config = GanConfig.recipe("kit", **TINY, **options)
    whole = gan(faces, tmp_path / "whole", 6, config)
    original, steps = train_gan_module.generator_update, []

    def generator_update(*args):
        steps.append(args)
        if len(steps) in (2, 6):  # the second time it begins with step 1 again
            raise Killed
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(train_gan_module, "generator_update", generator_update)
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
    original = Discriminator.forward
    monkeypatch.setattr(
        Discriminator, "forward", lambda self, images: seen.append(images) or original(self, images)
    )
    config = GanConfig.recipe("paper", **TINY, augment=("cutout",), generator_steps=1)
    gan(faces, tmp_path / "run", 1, config)
    assert flows == [False, False, True]  # a gradient goes through the last one only
    assert len(seen) == 3 and all((images == 0.25).all() for images in seen)


def test_killed_inside_a_save_goes_on_from_the_one_before(faces, tmp_path, monkeypatch):
    gan(faces, tmp_path / "whole", 6)
    original, calls = runs.write_tensors, []

    def second_call_dies(*args):
        calls.append(args)
        if len(calls) == 2:
            raise Killed
        original(*args)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(runs, "write_tensors", second_call_dies)  # networks and log of step 4 are there already
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
    with pytest.raises(UserError, match="add --resume"):
        gan(faces, tmp_path / "run", 2)
    with pytest.raises(UserError, match="another configuration"):
        gan(faces, tmp_path / "run", 2, GanConfig.recipe("kit", **TINY, lr_generator=1e-3), resume=True)
    with pytest.raises(UserError, match="other data"):
        gan(faces, tmp_path / "run", 2, rows=[*range(39), 0], resume=True)
    assert (tmp_path / "run" / "training.safetensors").read_bytes() == before
    assert len(gan(faces, tmp_path / "run", 1, resume=True).log) == 1  # nothing left to do


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_networks(faces, tmp_path):

    def break_weights(number, values, trainer):
        with torch.no_grad():
            trainer.modules["discriminator"].head.weight.fill_(torch.nan)

    with pytest.raises(UserError, match="no longer a number at step 3; lower the learning rate"):
        gan(faces, tmp_path / "run", 6, save_every=2, callback=break_weights)
    kept = load_file(tmp_path / "run" / "discriminator.safetensors")
    assert all(tensor.isfinite().all() for tensor in kept.values())
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
    with pytest.raises(UserError, match="choose paper or paper-d-more or kit"):
        GanConfig.recipe("best")


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
    trainer = GanTrainer(runs.make_fabric("cpu"), faces, None, GanConfig.recipe("kit", **TINY, clip=1e-3))
    trainer.step(0)
    for module in trainer.modules["generator"], trainer.modules["discriminator"]:
        norm = torch.stack([w.grad.norm() for w in module.parameters() if w.grad is not None]).norm()
        assert norm.item() == pytest.approx(1e-3, rel=1e-2)


def test_mirrored_faces_and_the_average_of_weights(faces, tmp_path):
    trainer = GanTrainer(runs.make_fabric("cpu"), faces, None, GanConfig.recipe("kit", **TINY))
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
    kinds = GanTrainer, RecordedGanTrainer
    plain, recorded = (kind(runs.make_fabric("cpu"), faces, None, config) for kind in kinds)
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


def test_large_faces_are_averaged_down_also_by_the_recorded_step(tmp_path):
    store = noise_store(tmp_path / "store", frames=12, size=96)
    config = GanConfig.recipe("kit", **TINY)
    recorded = RecordedGanTrainer(runs.make_fabric("cpu"), store, None, config)
    recorded._send(0)
    images, _, _ = recorded.batch(0)
    plain = GanTrainer(runs.make_fabric("cpu"), store, None, config)
    plain.random = runs.step_generator(0, 0)
    expected, _, _ = plain.batch(0)
    torch.testing.assert_close(images, expected, atol=1 / 127, rtol=0)  # a byte again after averaging
    run = gan(store, tmp_path / "run", 1)
    assert generate(run.generator, 3).shape == (3, 32, 32, 3)
    with pytest.raises(UserError, match="make a store with --size 96"):
        gan(noise_store(tmp_path / "small"), tmp_path / "r", 1, GanConfig.recipe("kit", "2", width=0.01))


def test_a_gan_learns_from_faces_without_labels(tmp_path):
    log = gan(noise_store(tmp_path / "store", labelled=False), tmp_path / "run", 2).log
    assert (log["real_va"] == 0).all() and (log["real_au"] == 0).all() and (log["real_fake"] > 0).all()


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
    with pytest.raises(UserError, match="alpha: 1.5 is outside"):
        MtlConfig(alpha=1.5)
    with pytest.raises(UserError, match="va_loss: 'l1' is not known; choose ccc or mse"):
        MtlConfig(va_loss="l1")
    with pytest.raises(UserError, match="targets: 'all' is not known; choose va.au or va or au"):
        GanConfig(targets="all")
    with pytest.raises(UserError, match="no frame is labelled for va or expression"):
        mtl(noise_store(tmp_path / "bare", labelled=False), tmp_path / "run", 1)


def test_epochs_are_counted_in_sequences(faces, tmp_path):
    # 2 videos of 20 frames: 8 sequences of 5, 4 batches of 2
    assert len(mtl(faces, tmp_path / "run", None, num_epochs=1.5).log) == 6
    with pytest.raises(UserError, match="needs num_epochs or steps"):
        train_mtl(faces, tmp_path / "other", MtlConfig(**TINY_MTL), device="cpu")


def test_a_frozen_cnn_stays_as_it_came(faces, tmp_path):
    source = mtl(faces, tmp_path / "source", 1).checkpoint
    config = MtlConfig(**TINY_MTL, frozen=True, seed=5)
    frozen = mtl(faces, tmp_path / "frozen", 2, config, weights=source).checkpoint
    before, after = load_file(source), load_file(frozen)
    assert all(torch.equal(before[key], after[key]) == key.startswith("cnn.") for key in before)
    with pytest.raises(UserError, match="has width 0.02"):
        mtl(faces, tmp_path / "wide", 1, MtlConfig(**TINY_MTL | {"width": 0.05}), weights=source)


def test_a_device_that_is_not_there(faces, tmp_path):
    with pytest.raises(UserError, match="device nonsense: .*; try --device cpu"):
        train_gan(faces, tmp_path / "run", steps=1, device="nonsense")


def test_rows_come_round_evenly_and_a_small_store_makes_small_batches():
    stream = runs.RowStream(n=7, batch_size=3, seed=0)
    seen = np.concatenate([stream.batch(k) for k in range(14)])
    assert all(sorted(seen[i : i + 7]) == list(range(7)) for i in range(0, 42, 7))
    assert not np.array_equal(seen[:7], seen[7:14])
    assert np.array_equal(stream.batch(1), runs.RowStream(7, 3, 0).batch(1))  # without the batches before
    assert len(runs.RowStream(n=2, batch_size=64, seed=0).batch(5)) == 2


def test_the_path_from_a_store_to_scores(faces, tmp_path):
    """Train both, predict with both, and get every score of Section IV.D."""
    run, net = gan(faces, tmp_path / "gan", 2), mtl(faces, tmp_path / "mtl", 2)
    weights = {f"{name}.safetensors" for name in ("discriminator", "generator", "training")}
    assert {path.name for path in run.out.iterdir()} == weights | {"grid_000002.png", "log.csv"}
    scores = {}
    for checkpoint in (run.discriminator, net.checkpoint):
        scores |= score(predict_store(checkpoint, faces, device="cpu", progress=False), faces.labels)
    assert {name.split("_", 1)[0] for name in scores} == {"ccc", "mse", "expression", "au"}
    assert all(-1 <= value <= 1 for value in scores.values())

"""A GAN in numbers: FID and KID against their formulas, and GANs of which one knows what is wrong."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.metrics import cohen_kappa_score, f1_score
from stores import people_store
from torch import nn

from affkit.checkpoints import save_checkpoint
from affkit.errors import UserError
from affkit.evaluation.predict import predict_faces
from affkit.gan import Discriminator, GanNetConfig, Generator
from affkit.labels import ACTION_UNITS
from affkit.store import to_unit_range
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig, features_of
from affkit_lab.figures.gan import face_of_each_subject, write_gan_figures
from affkit_lab.gan_evaluation import scores

pytestmark = pytest.mark.slow  # trains small networks

RNG = np.random.default_rng(0)


def test_fid_is_the_closed_formula_and_needs_no_inception():
    first, second = RNG.normal(size=(200, 6)), RNG.normal(0.3, 1.5, size=(150, 6)) @ RNG.normal(size=(6, 6))
    sigma_1, sigma_2 = np.cov(first.T), np.cov(second.T)
    gap = first.mean(axis=0) - second.mean(axis=0)
    expected = gap @ gap + np.trace(sigma_1 + sigma_2 - 2 * sqrtm(sigma_1 @ sigma_2).real)
    assert scores.frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)
    assert scores.frechet_distance(first, first) == pytest.approx(0, abs=1e-6)
    assert "torch_fidelity" not in sys.modules


def test_kid_is_the_unbiased_formula_and_leaves_the_random_numbers_of_others_alone():
    first, second = RNG.normal(size=(90, 5)), RNG.normal(0.5, 1, size=(90, 5))  # each subset is the whole set

    def kernel(a, b):
        return (a @ b.T / 5 + 1) ** 3

    off = ~np.eye(90, dtype=bool)
    within = kernel(first, first)[off].mean() + kernel(second, second)[off].mean()
    before = torch.random.get_rng_state()
    found = scores.kernel_distance(first, second)
    assert found == pytest.approx(within - 2 * kernel(first, second).mean(), rel=1e-5)
    assert torch.equal(torch.random.get_rng_state(), before)
    many = RNG.normal(size=(300, 5))
    assert scores.kernel_distance(many, second, seed=1) == scores.kernel_distance(many, second, seed=1)


def test_the_floor_is_between_people_and_copies_are_below_it():
    subjects = np.repeat([f"s{i}" for i in range(10)], 60)
    real = np.repeat(RNG.normal(size=(10, 4)), 60, axis=0) + RNG.normal(0, 0.3, (600, 4))
    copies = scores.distribution_distances(real[RNG.permutation(600)], real, subjects)
    assert all(copies[name]["generated"] < copies[name]["real"] for name in ("fid", "kid"))
    noise = scores.distribution_distances(RNG.normal(2, 1, (600, 4)), real, subjects)
    assert noise["fid"]["generated"] > 2 * noise["fid"]["real"]
    assert noise["fid"]["real"] == copies["fid"]["real"]  # it is a fact about the data
    with pytest.raises(UserError, match="all of one person"):
        scores.distribution_distances(real, real, np.repeat("s", 600))


def test_diversity_of_one_face_is_none():
    assert scores.diversity(np.ones((5, 7))) == 0
    points = RNG.normal(size=(40, 3)).astype(np.float32)
    assert scores.diversity(3 * points) == pytest.approx(3 * scores.diversity(points), rel=1e-5)
    assert (
        scores.diversity(points, most=10)
        == scores.diversity(points, most=10)
        != scores.diversity(points, seed=1, most=10)
    )


def nets(num=2, size=16):
    """Untrained, but their features have mean 0 and variance 1 over some people, and no unit is constant."""
    torch.manual_seed(0)
    found = [FeatureNet(FeatureNetConfig(6, size, channels=8, num_features=8)) for _ in range(num)]
    faces = to_unit_range(people_store(num_people=20, size=size).images)
    for net in found:
        for module in net.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = 1.0
        net.train()(faces)
        net.eval().action_units.bias.data.zero_()
    return found


def test_a_face_and_its_mirror_image_have_the_same_features_and_swapped_pixels():
    (net,), images = nets(1), RNG.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    mirrored = images[:, :, ::-1].copy()
    np.testing.assert_allclose(features_of(net, images), features_of(net, mirrored), atol=1e-5)
    np.testing.assert_allclose(
        scores.pixels_of(net, images), scores.pixels_of(net, mirrored)[::-1], atol=1e-6
    )
    blocks = images.reshape(5, 16, 2, 16, 2, 3).mean(axis=(2, 4)) / 127.5 - 1
    flat = blocks.transpose(0, 3, 1, 2).reshape(5, -1)
    np.testing.assert_allclose(scores.pixels_of(net, images)[0], flat, atol=0.005)


def test_agreement_is_that_of_scikit_learn_and_full_with_itself():
    one, two = nets()
    fake, real = (people_store(seed=seed).images for seed in (1, 2))
    itself = scores.agreement(one, one, fake, real)
    assert itself["ccc_valence"]["generated"] == pytest.approx(1)
    assert itself["au_kappa"]["generated"] == pytest.approx(1)
    found = scores.agreement(one, two, fake, real)
    ours, theirs = (pd.DataFrame(predict_faces(net, fake))[list(ACTION_UNITS)] >= 0.5 for net in (one, two))
    kappas = [cohen_kappa_score(ours[name], theirs[name]) for name in ACTION_UNITS]
    assert found["au_kappa"]["generated"] == pytest.approx(np.nanmean(kappas))
    f1 = f1_score(theirs, ours, average="macro", zero_division=0)
    assert found["au_f1_macro"]["generated"] == pytest.approx(f1)
    assert set(found) == {"ccc_valence", "ccc_arousal", "au_f1_macro", "au_kappa"}


@pytest.fixture(scope="module")
def gan(tmp_path_factory):
    """Checkpoints of an untrained generator, discriminator and feature net, and faces of 32 pixels."""
    folder = tmp_path_factory.mktemp("gan")
    torch.manual_seed(0)
    config = GanNetConfig("1", width=0.05, weight_std=0.2)
    networks = Generator(config), Discriminator(config), nets(1)[0]
    names = ("generator", "discriminator", "features")
    for name, net in zip(names, networks, strict=True):
        save_checkpoint(folder / f"{name}.safetensors", net.eval())
    return *(folder / f"{name}.safetensors" for name in names), people_store(size=32)


def test_a_generator_that_shows_its_training_faces_flipped_is_caught(gan, monkeypatch):
    *_, store = gan
    rows = np.arange(12, 60)  # four of the six people
    shown = np.tile(rows, 3)
    flipped = store.images[shown][:, :, ::-1].copy()
    monkeypatch.setattr(scores, "pictures", lambda generator, z: flipped)
    found = scores.evaluate_gan(*gan, rows, n=len(shown), progress=False)
    table = found.table
    assert table.at["copies_pixels", "generated"] == 1 and table.at["copies_pixels", "real"] < 0.1
    assert table.at["copies_features", "generated"] == 1
    assert np.array_equal(found.nearest["pixels_row"], shown)
    assert found.nearest["pixels_distance"].max() < 0.1
    assert table.at["diversity_pixels", "generated"] == pytest.approx(1, abs=0.03)  # pairs of equals are few
    assert table.at["fid", "generated"] < table.at["fid", "real"]


def test_an_untrained_generator_copies_nobody_and_is_written_down(gan, tmp_path):
    *_, store = gan
    found = scores.evaluate_gan(*gan, n=40, progress=False)
    assert found.table.at["copies_pixels", "generated"] == 0
    assert found.faces.shape == (40, 32, 32, 3) and len(found.nearest) == 40
    assert list(found.table.index) == list(scores.MEASURES)
    assert found.text().count("\n") == len(scores.MEASURES)
    assert json.loads(json.dumps(found.as_dict()))["diversity_pixels"]["real"] == 1
    pd.testing.assert_frame_equal(found.table, scores.evaluate_gan(*gan, n=40, progress=False).table)
    written = write_gan_figures(found, store, None, tmp_path / "out")
    assert sorted(path.name for path in written) == [
        "evaluation.csv", "figure_6.jpg", "figure_7.jpg", "nearest.csv", "nearest.jpg",
    ]  # fmt: skip
    assert len(pd.read_csv(tmp_path / "out" / "nearest.csv")) == 40
    with pytest.raises(UserError, match="already exists"):
        write_gan_figures(found, store, None, tmp_path / "out")


def test_figure_6_shows_everybody_once_as_the_detector_saw_them_best():
    store = people_store(num_people=3, moments=4)
    store.index["score"] = [0.1, 0.9, 0.2, 0.3, np.nan, np.nan, 0.5, np.nan, np.nan, np.nan, np.nan, np.nan]
    subjects, faces = face_of_each_subject(store)
    assert subjects == ["subject_0", "subject_1", "subject_2"]
    assert np.array_equal(faces, store.images[[1, 6, 8]])
    assert face_of_each_subject(store, [9, 0])[0] == ["subject_0", "subject_2"]


def test_what_does_not_fit_is_refused(gan):
    generator, discriminator, features, store = gan
    with pytest.raises(UserError, match="holds weights of generator, needed are those of discriminator"):
        scores.evaluate_gan(generator, generator, features, store)
    with pytest.raises(UserError, match="make a store with --size 32"):
        scores.evaluate_gan(generator, discriminator, features, people_store(size=16), progress=False)

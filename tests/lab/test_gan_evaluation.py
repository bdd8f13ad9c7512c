"""A GAN in numbers: FID and KID against their formulas, and GANs of which one knows what is wrong."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
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
from affkit_lab.gan_evaluation.memorization import TrainingFaces, copy_threshold, nearest, real_distances

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
    some, again, other = (scores.diversity(points, seed=seed, most=10) for seed in (0, 0, 1))
    assert some == again != other


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
    pixels, swapped = scores.pixels_of(net, images), scores.pixels_of(net, mirrored)
    np.testing.assert_allclose(pixels, swapped[::-1], atol=1e-6)
    blocks = images.reshape(5, 16, 2, 16, 2, 3).mean(axis=(2, 4)) / 127.5 - 1
    np.testing.assert_allclose(pixels[0], blocks.transpose(0, 3, 1, 2).reshape(5, -1), atol=0.005)


def test_agreement_is_that_of_scikit_learn_and_full_with_itself():
    one, two = nets()
    fake, real = (people_store(seed=seed).images for seed in (1, 2))
    itself = scores.agreement(one, one, fake, real)
    assert [itself[name]["generated"] for name in ("ccc_valence", "au_kappa")] == pytest.approx([1, 1])
    found = scores.agreement(one, two, fake, real)
    ours, theirs = (pd.DataFrame(predict_faces(net, fake))[list(ACTION_UNITS)] >= 0.5 for net in (one, two))
    kappas = [cohen_kappa_score(ours[name], theirs[name]) for name in ACTION_UNITS]
    wanted = [np.nanmean(kappas), f1_score(theirs, ours, average="macro", zero_division=0)]
    assert [found[name]["generated"] for name in ("au_kappa", "au_f1_macro")] == pytest.approx(wanted)
    assert set(found) == {"ccc_valence", "ccc_arousal", "au_f1_macro", "au_kappa"}


@pytest.fixture(scope="module")
def gan(tmp_path_factory):
    """Checkpoints of an untrained generator, discriminator and feature net, and faces of 32 pixels."""
    folder, config = tmp_path_factory.mktemp("gan"), GanNetConfig("1", width=0.05, weight_std=0.2)
    torch.manual_seed(0)
    networks = {"generator": Generator(config), "discriminator": Discriminator(config)}
    networks |= {"features": nets(1)[0]}
    paths = [save_checkpoint(folder / f"{name}.safetensors", net.eval()) for name, net in networks.items()]
    return *paths, people_store(size=32)


def test_a_generator_that_shows_its_training_faces_flipped_is_caught(gan, monkeypatch):
    *_, store = gan
    rows = np.arange(12, 60)  # four of the six people
    shown = np.tile(rows, 3)
    flipped = store.images[shown][:, :, ::-1].copy()
    monkeypatch.setattr(scores, "pictures", lambda generator, z: flipped)
    found = scores.evaluate_gan(*gan, rows, n=len(shown), progress=False)
    table = found.table
    assert table.loc[["copies_pixels", "copies_features"], "generated"].tolist() == [1, 1]
    assert table.at["copies_pixels", "real"] < 0.1
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
    with refused("holds weights of generator, needed are those of discriminator"):
        scores.evaluate_gan(generator, generator, features, store)
    with refused("make a store with --size 32"):
        scores.evaluate_gan(generator, discriminator, features, people_store(size=16), progress=False)


# Nearest faces and copies


STORE = people_store()
ROWS = np.arange(len(STORE))


def points_of(images):
    return images.reshape(1, len(images), -1) / 127.5 - 1


def test_nearest_is_that_of_scipy_over_all_versions_and_what_is_allowed():
    queries, references = RNG.normal(size=(70, 5)), RNG.normal(size=(2, 40, 5))
    allowed = RNG.random((70, 40)) < 0.5
    distances = np.minimum(cdist(queries, references[0]), cdist(queries, references[1]))
    number, distance = nearest(queries, references, chunk=32)
    np.testing.assert_allclose(distance, distances.min(axis=1), atol=1e-3)
    assert np.array_equal(number, distances.argmin(axis=1))
    hidden = np.where(allowed, distances, np.inf)
    number, distance = nearest(queries, references, lambda rows: allowed[rows], chunk=32)
    np.testing.assert_allclose(distance, hidden.min(axis=1), atol=1e-3)
    assert np.array_equal(number, hidden.argmin(axis=1))
    assert np.isinf(nearest(queries, references, lambda rows: allowed[rows] & False)[1]).all()


def test_within_means_another_moment_and_across_another_person():
    store = people_store(num_people=3, moments=6)
    store.index["frame"] = np.tile([1, 11, 30, 31, 61, 1], 3)  # the last of each is in a second video
    store.index.loc[[5, 11, 17], "video"] += "b"
    points = RNG.normal(size=(1, 18, 4))
    within, across = real_distances(points, store, np.arange(18))
    table, between = store.index, cdist(points[0], points[0])
    for i in range(18):
        own = table.loc[i]
        same = np.flatnonzero(table["subject"] == own["subject"])
        apart = (table["video"] != own["video"]) | ((table["frame"] - own["frame"]).abs() >= 30)
        other = [j for j in same if apart[j]]
        assert within[i] == pytest.approx(between[i, other].min(), abs=1e-3)
        assert across[i] == pytest.approx(np.delete(between[i], same).min(), abs=1e-3)


DISTANCES = st.lists(st.integers(0, 30), min_size=1, max_size=30)


@given(DISTANCES, DISTANCES)
def test_no_other_threshold_has_errors_that_are_more_equal(within, across):
    within, across = np.array(within, float), np.array(across, float)
    threshold = copy_threshold(within, across)

    def errors(distance):
        return np.mean(within > distance), np.mean(across <= distance)

    missed, confused = errors(threshold.distance)
    assert threshold.error == pytest.approx(confused)
    for distance in {*within, *across}:
        assert abs(missed - confused) <= abs(np.subtract(*errors(distance))) + 1e-9


def test_people_who_look_alike_make_the_distance_worthless_and_the_error_says_so():
    store = people_store(num_people=8, moments=20)
    points = RNG.normal(size=(1, len(store), 6))
    threshold = copy_threshold(*real_distances(points, store, np.arange(len(store))))
    assert threshold.error > 0.5  # somebody of seven others is nearer than oneself


def test_at_most_so_many_faces_ask_and_one_moment_or_one_person_is_not_enough(monkeypatch):
    points, nobody = points_of(STORE.images), people_store()
    with refused("nobody at two moments"):
        copy_threshold(*real_distances(points[:, ::12], STORE, ROWS[::12]))
    with refused("not two people"):
        copy_threshold(*real_distances(points[:, :12], STORE, ROWS[:12]))
    del nobody.index["subject"]
    with refused("does not say who is in its videos"):
        real_distances(points, nobody, ROWS)
    monkeypatch.setattr("affkit_lab.gan_evaluation.memorization.MOST_ASKING", 10)
    assert [len(distances) for distances in real_distances(points, STORE, ROWS)] == [10, 10]


def test_the_nearest_are_those_of_scipy_one_of_each_person_and_a_training_face_is_its_own_copy():
    (net,) = nets(1)
    face = people_store(seed=5).images[3]
    faces = TrainingFaces(STORE, net)
    found = faces.nearest(face, count=4)
    distances = cdist(features_of(net, face[None])[0], features_of(net, STORE.images)[0])[0]
    best = pd.Series(distances).groupby(STORE.index["subject"]).min().nsmallest(4)
    assert found["who"].tolist() == best.index.tolist()
    np.testing.assert_allclose(found["distance"], best, atol=1e-3)
    np.testing.assert_allclose(distances[found["row"].astype(int)], best, atol=1e-3)
    found = faces.nearest(STORE[17], count=2)
    assert found["row"][0] == 17 and found["distance"][0] == pytest.approx(0, abs=1e-2)
    assert found["copy"].tolist() == [True, found["distance"][1] <= faces.threshold.distance]
    others = np.flatnonzero(STORE.index["subject"] != "subject_1")  # 17 is of subject 1
    rest = TrainingFaces(STORE, net, others)
    assert rest.nearest(STORE[17], count=9)["who"].nunique() == 5
    assert rest.nearest(STORE[20])["row"].isin(others).all()


def test_where_nobody_is_known_clips_or_pictures_stand_for_people():
    (net,), store = nets(1), people_store()
    del store.index["subject"]
    found = TrainingFaces(store, net).nearest(store[0])
    assert found["who"].is_unique and found["who"][0] == "clip_0" and found["copy"].isna().all()
    store.index["video"] = "pool"
    found = TrainingFaces(store, net).nearest(store[0], count=5)
    assert found["row"].is_unique and len(found) == 5 and found["row"][0] == 0

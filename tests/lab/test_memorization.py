"""Nearest faces and copies: against plain loops and SciPy, and on copies that are known to be copies."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from stores import people_store

from affkit.errors import UserError
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig, features_of
from affkit_lab.gan_evaluation.memorization import TrainingFaces, copy_threshold, nearest, real_distances

RNG = np.random.default_rng(0)
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


def test_copies_are_found_and_faces_of_new_people_are_not():
    points = points_of(STORE.images)
    threshold = copy_threshold(*real_distances(points, STORE, ROWS))
    assert threshold.error < 0.1  # people look different here
    copies = points[0, RNG.permutation(ROWS)[:40]] + RNG.normal(0, 0.01, (40, points.shape[2]))
    assert (nearest(copies, points)[1] <= threshold.distance).all()
    new = points_of(people_store(seed=9).images)[0]
    assert (nearest(new, points)[1] > threshold.distance).mean() > 0.9


def test_people_who_look_alike_make_the_distance_worthless_and_the_error_says_so():
    store = people_store(num_people=8, moments=20)
    points = RNG.normal(size=(1, len(store), 6))
    threshold = copy_threshold(*real_distances(points, store, np.arange(len(store))))
    assert threshold.error > 0.5  # somebody of seven others is nearer than oneself


def test_at_most_so_many_faces_ask_and_one_moment_or_one_person_is_not_enough(monkeypatch):
    points = points_of(STORE.images)
    with pytest.raises(UserError, match="nobody at two moments"):
        copy_threshold(*real_distances(points[:, ::12], STORE, ROWS[::12]))
    with pytest.raises(UserError, match="not two people"):
        copy_threshold(*real_distances(points[:, :12], STORE, ROWS[:12]))
    nobody = people_store()
    del nobody.index["subject"]
    with pytest.raises(UserError, match="does not say who is in its videos"):
        real_distances(points, nobody, ROWS)
    monkeypatch.setattr("affkit_lab.gan_evaluation.memorization.MOST_ASKING", 10)
    within, across = real_distances(points_of(STORE.images), STORE, ROWS)
    assert len(within) == len(across) == 10


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return FeatureNet(FeatureNetConfig(6, image_size=16, channels=8, num_features=16)).eval()


def test_the_nearest_are_those_of_scipy_one_of_each_person(net):
    store = people_store()
    face = people_store(seed=5).images[3]
    found = TrainingFaces(store, net).nearest(face, count=4)
    distances = cdist(features_of(net, face[None])[0], features_of(net, store.images)[0])[0]
    subjects = store.index["subject"].to_numpy()
    best = {who: distances[subjects == who].min() for who in set(subjects)}
    order = sorted(best, key=best.get)[:4]
    assert found["who"].tolist() == order
    np.testing.assert_allclose(found["distance"], [best[who] for who in order], atol=1e-3)
    assert all(distances[row] == pytest.approx(distance, abs=1e-3) for row, distance in found.values[:, :2])


def test_a_training_face_is_its_own_copy_and_only_the_rows_asked_for_count(net):
    store = people_store()
    faces = TrainingFaces(store, net)
    found = faces.nearest(store[17], count=2)
    assert found["row"][0] == 17 and found["distance"][0] == pytest.approx(0, abs=1e-2)
    assert found["copy"].tolist() == [True, found["distance"][1] <= faces.threshold.distance]
    others = np.flatnonzero(store.index["subject"] != "subject_1")  # 17 is of subject 1
    rest = TrainingFaces(store, net, others)
    assert rest.nearest(store[17], count=9)["who"].nunique() == 5
    assert rest.nearest(store[20])["row"].isin(others).all()


def test_where_nobody_is_known_clips_or_pictures_stand_for_people(net):
    store = people_store()
    del store.index["subject"]
    found = TrainingFaces(store, net).nearest(store[0])
    assert found["who"].is_unique and found["who"][0] == "clip_0" and found["copy"].isna().all()
    store.index["video"] = "pool"
    found = TrainingFaces(store, net).nearest(store[0], count=5)
    assert found["row"].is_unique and len(found) == 5 and found["row"][0] == 0

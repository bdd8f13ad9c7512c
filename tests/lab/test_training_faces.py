"""The training faces nearest to a face: against SciPy, and where they are known."""

import numpy as np
import pytest
import torch
from people_store import people_store
from scipy.spatial.distance import cdist

from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig
from affkit_lab.gan_evaluation.gan_scores import features_of
from affkit_lab.gan_evaluation.training_faces import TrainingFaces


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

"""The small model and its two experiments, on stores whose answer is known."""

import numpy as np
import pytest
from refusals import refused
from skimage.feature import hog
from stores import in_memory

from affkit.labels import ACTION_UNITS, Labels
from affkit_course.lessons.nb03 import SmallModel, outlines, split_scores, subject_scores

pytestmark = pytest.mark.slow  # trains small networks


def store_of_people(num_people=8, frames=30, same_feeling=True):
    """Each person has a look of their own. Affect is a fact about the person, or a bar in the picture."""
    rng = np.random.default_rng(3)
    person = np.repeat(np.arange(num_people), frames)
    looks = rng.integers(0, 256, (num_people, 32, 32, 3), dtype=np.uint8)
    images = looks[person].copy()
    valence = np.linspace(-0.9, 0.9, num_people)[person]
    if not same_feeling:
        valence = rng.uniform(-0.9, 0.9, len(person))
        for image, value in zip(images, valence, strict=True):
            image[:, :16], image[:, 16:] = 0, int(127 + 120 * value)  # the height of an edge
            image[:8] = 128
    labels = {"valence": valence, "arousal": -valence, "expression": "Neutral"}
    labels |= dict.fromkeys(ACTION_UNITS, (valence > 0).astype(int))
    who = [f"person {number}" for number in person]
    return in_memory(images, who, np.tile(np.arange(1, frames + 1), num_people), **labels), who


def test_outlines_see_the_direction_of_edges_as_scikit_image_does():
    """Their blocks are the same; OpenCV shares votes between cells, so only main directions agree."""
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:, 16:] = 200  # a vertical edge: the gradient points along x
    pictures = np.stack([picture, picture.transpose(1, 0, 2)])
    ours = outlines(pictures).reshape(2, -1, 9).sum(axis=1)
    theirs = [hog(one[..., 0], 9, (8, 8), (2, 2)).reshape(-1, 9).sum(axis=0) for one in pictures]
    assert np.argmax(theirs, axis=1).tolist() == [0, 4]
    assert set(np.argsort(ours[0])[-2:]) == {0, 8} and np.argmax(ours[1]) == 4  # 0 and 8 are neighbours
    assert outlines(np.full((1, 32, 32, 3), 99, np.uint8)).max() == 0


def test_the_model_is_ridge_regression_on_principal_components():
    """Against the closed formula, with the singular vectors of NumPy."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 12)) @ np.diag(np.linspace(1, 3, 12))
    labels = Labels.empty(200)
    labels.has_va[:] = True
    labels.valence[:] = np.clip(features[:, 3] / 20 + rng.normal(0, 0.1, 200), -1, 1)
    labels.arousal[:] = 0.3
    centred = features - features.mean(axis=0)
    points = centred @ np.linalg.svd(centred)[2][:5].T
    target = labels.valence - labels.valence.mean()
    weights = np.linalg.solve(points.T @ points + 7 * np.eye(5), points.T @ target)
    predicted = SmallModel(components=5, strength=7.0).fit(features, labels).predict(features)
    np.testing.assert_allclose(predicted["valence"], points @ weights + labels.valence.mean(), atol=1e-5)
    np.testing.assert_allclose(predicted["arousal"], 0.3, atol=1e-6)


def test_what_is_not_labelled_does_not_matter():
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(90, 8)), Labels.empty(90)
    labels.has_va[:], labels.valence[:] = True, np.tanh(features[:, 0])
    labels.has_action_units[:, :7], labels.action_units[:] = True, features[:, :8] > 0
    spoilt = labels[np.arange(90)]
    spoilt.has_va[60:], spoilt.has_action_units[60:] = False, False
    hidden = spoilt[np.arange(90)]
    hidden.valence[60:], hidden.action_units[60:] = -1, 1
    whole, first, second = (
        SmallModel().fit(features, one).predict(features) for one in (labels, spoilt, hidden)
    )
    assert first.equals(second)
    assert (whole["AU25"] == 0).all()  # nobody ever labelled it
    right = (whole[list(ACTION_UNITS[:7])] > 0.5) == labels.action_units[:, :7]
    assert (right.mean() > 0.9).all()


def test_a_unit_always_active_is_always_predicted_and_units_are_found_by_name():
    labels = Labels.empty(20, ("AU7", "AU12", "AU4"))
    labels.has_action_units[:], labels.action_units[:, 1] = True, 1
    model = SmallModel().fit(np.random.default_rng(0).normal(size=(20, 5)), labels)
    predicted = model.predict(np.zeros((3, 5)))
    assert list(predicted) == list(ACTION_UNITS)
    assert (predicted["AU12"] == 1).all() and (predicted[["AU4", "AU20"]] == 0).all(axis=None)


def test_knowing_the_person_helps_only_with_people_seen_before():
    """Where affect is a fact about the person, frames drawn at random are solved, and new people are not."""
    store, people = store_of_people()
    scores = split_scores(store, people, seeds=range(4), progress=False)
    mean = scores.groupby("split")[["ccc_valence", "au_f1_macro"]].mean()
    assert mean.at["frames", "ccc_valence"] > 0.9 and mean.at["frames", "au_f1_macro"] > 0.95
    assert abs(mean.at["people", "ccc_valence"]) < 0.5
    assert (scores.groupby("seed")["train_frames"].nunique() == 1).all()


def test_what_is_in_the_picture_is_found_in_new_people_too():
    store, people = store_of_people(same_feeling=False)
    scores = split_scores(store, people, seeds=range(2), progress=False)
    assert scores.groupby("split")["ccc_valence"].mean().min() > 0.7


def test_no_person_is_on_both_sides():
    """What the model is given tells which people it was trained and tested on."""
    store, people = store_of_people(num_people=6)
    seen = []

    class Spy(SmallModel):
        def fit(self, features, labels):
            seen.append(set(np.round(labels.valence, 3)))
            return super().fit(features, labels)

        def predict(self, features):
            seen[-1] = (seen[-1], len(features))
            return super().predict(features)

    scores = split_scores(store, people, seeds=[0, 1, 2], model=Spy, progress=False)
    for (trained, tested), split in zip(seen, scores["split"], strict=True):
        assert len(trained) == (6 if split == "frames" else 4) and tested > 30
    seen.clear()
    subject_scores(store, people, [1, 2, 4], seeds=[0], model=Spy, progress=False)
    assert [len(trained) for trained, _ in seen] == [1, 2, 4]
    assert seen[0][0] < seen[1][0] < seen[2][0]  # nested


def test_more_people_never_means_more_frames():
    store, people = store_of_people(num_people=10, frames=12)
    scores = subject_scores(store, people, [2, 4, 7], seeds=[0, 1], progress=False)
    assert (scores["train_frames"] == 24).all()
    assert (scores.groupby("seed")["test_frames"].nunique() == 1).all()


def test_too_few_people_and_wrong_groups():
    store, people = store_of_people(num_people=4, frames=5)
    with refused("fewer than 2 people"):
        split_scores(store, ["one"] * 20, progress=False)
    with refused("9 people to train on, 2 are there"):
        subject_scores(store, people, [2, 9], progress=False)
    with pytest.raises(ValueError, match="3 groups for 20 rows"):
        split_scores(store, ["a", "b", "c"], progress=False)

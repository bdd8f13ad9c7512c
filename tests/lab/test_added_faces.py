"""Faces to add to a training set: which are drawn, what they are labelled, what is left out."""

from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_experiment import memory_store
from torch import nn

from affkit.errors import UserError
from affkit.faces.pool import join_stores
from affkit.gan import DiscriminatorOutput
from affkit.labels import ACTION_UNITS
from affkit.store import FrameDataset
from affkit_course.lessons.nb12 import label_survey
from affkit_lab.experiments.generated_labels import (
    Confidence,
    changed_faces,
    confident_labels,
    draw_faces,
    label_counts,
    small_store,
    with_labels,
)

pytestmark = pytest.mark.slow  # trains small networks


class GreyGenerator(nn.Module):
    """Draws one grey, the first number of z; the left upper pixel is white."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, z):
        images = z[:, :1, None, None].expand(-1, 3, 32, 32).clone()
        images[:, :, 0, 0] = 1
        return images


class GreyDiscriminator(nn.Module):
    """What is brighter than ``limit`` is fake."""

    config = SimpleNamespace(image_size=32)

    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def forward(self, images):
        return DiscriminatorOutput(None, None, 1000 * (images[:, 0, 5, 5] - self.limit))


class Lookup(nn.Module):
    """Its readings stand in a table; the red of the left upper pixel is the number of the row."""

    config = SimpleNamespace(image_size=32)

    def __init__(self, va, probabilities):
        super().__init__()
        self.va = nn.Parameter(torch.from_numpy(va.astype(np.float32)))
        self.units = torch.from_numpy(probabilities.astype(np.float32)).logit()

    def forward(self, images):
        row = ((images[:, 0, 0, 0] + 1) * 127.5).round().long()
        return DiscriminatorOutput(self.va[row], self.units[row], None)


def numbered_faces(n):
    """Face i is number i, and its mirror image number 100 + i."""
    images = np.zeros((n, 32, 32, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, -1, 0] = np.arange(n), 100 + np.arange(n)
    return images


def test_only_faces_that_look_real_are_drawn_and_never_fooled_it_ends():
    store = draw_faces(GreyGenerator(), GreyDiscriminator(-0.5), 90, seed=3)
    grey = store.images[:, 5, 5, 0] / 127.5 - 1
    assert len(store) == 90 and (grey <= -0.495).all() and (store.images[:, 0, 0] == 255).all()
    assert 0.15 < 90 / store.info["drawn"] < 0.35  # a quarter of all greys
    assert len(np.unique(store.images[:, 5, 5, 0])) > 30
    fewer = draw_faces(GreyGenerator(), GreyDiscriminator(-0.5), 20, seed=3)
    assert (fewer.images == store.images[:20]).all()
    other = draw_faces(GreyGenerator(), GreyDiscriminator(-0.5), 20, seed=4)
    assert (other.images != fewer.images).any()
    assert "valence" not in store.index
    assert draw_faces(GreyGenerator(), GreyDiscriminator(-0.5), 5, seed=3, most_fake=1).info["drawn"] == 5
    with pytest.raises(UserError, match="takes 5120 of 5120 generated faces for fake; allow more than 0.5"):
        draw_faces(GreyGenerator(), GreyDiscriminator(-2), 10)
    with pytest.raises(UserError, match="has faces of 32 pixels, needed are 64"):
        draw_faces(GreyGenerator(), GreyDiscriminator(2), 10, size=64)


@given(
    st.integers(0, 999), st.integers(1, 40), st.sampled_from([0.6, 0.9, 1]), st.sampled_from([0, 0.1, 0.5])
)
def test_labels_are_given_where_a_face_and_its_mirror_image_agree(seed, n, action_unit, gap):
    rng = np.random.default_rng(seed)
    va, probabilities = rng.uniform(-0.5, 0.5, (256, 2)), rng.beta(0.2, 0.2, (256, 8)).clip(1e-6, 1 - 1e-6)
    va[100 : 100 + n : 2] = va[:n:2] + rng.uniform(-0.2, 0.2, va[:n:2].shape)
    probabilities[100 : 100 + n : 3] = probabilities[:n:3]
    sure = Confidence(action_unit=action_unit, va_gap=gap)
    labels = confident_labels(Lookup(va, probabilities), numbered_faces(n), sure)
    va = va.astype(np.float32)
    for i in range(n):
        valence, arousal = labels.loc[i, ["valence", "arousal"]].astype(float)
        differences = [abs(va[i, k] - va[100 + i, k]) for k in (0, 1)]
        if max(differences) > gap + 1e-6:
            assert np.isnan(valence) and np.isnan(arousal)
        elif max(differences) < gap - 1e-6:
            expected = [(va[i, k] + va[100 + i, k]) / 2 for k in (0, 1)]
            np.testing.assert_allclose([valence, arousal], expected, atol=1e-6)
        for k, unit in enumerate(ACTION_UNITS):
            pair = probabilities[i, k], probabilities[100 + i, k]
            if min(abs(p - limit) for p in pair for limit in (action_unit, 1 - action_unit)) < 1e-5:
                continue  # on the limit: rounding decides
            if all(p > action_unit for p in pair):
                assert labels.loc[i, unit] == 1
            elif all(p < 1 - action_unit for p in pair):
                assert labels.loc[i, unit] == 0
            else:
                assert labels.loc[i, unit] is pd.NA


def test_what_is_not_sure_is_masked_in_what_the_network_learns_from():
    for wrong in ({"fake": 1.1}, {"action_unit": 0.5}, {"va_gap": -0.1}):
        with pytest.raises(UserError, match="is out of range"):
            Confidence(**wrong)
    va = np.zeros((256, 2))
    va[0], va[100] = (0.4, -0.2), (0.4, -0.25)  # face 0 is sure of V-A, face 1 is not
    va[1], va[101] = (0.4, 0.0), (0.0, 0.0)
    probabilities = np.full((256, 8), 0.5)
    probabilities[[1, 101], 2], probabilities[[1, 101], 7] = 0.95, 0.02  # face 1 of two action units
    real = memory_store()
    real.index.loc[4, "AU1"] = pd.NA
    faces = draw_faces(GreyGenerator(), GreyDiscriminator(2), 2)
    labels = confident_labels(Lookup(va, probabilities), numbered_faces(2), Confidence())
    joint = join_stores([real, with_labels(faces, labels, real)])
    learned = FrameDataset(joint, [70, 71]).labels
    assert learned["has_va"].tolist() == [True, False]
    assert learned["valence"][0] == pytest.approx(0.4) and learned["arousal"][0] == pytest.approx(-0.225)
    assert learned["has_action_units"].tolist() == [[False] * 8, [k in (2, 7) for k in range(8)]]
    assert learned["action_units"][1, 2] == 1 and learned["action_units"][1, 7] == 0
    assert not learned["has_expression"].any()
    before, after = real.labels, joint.labels[:70]
    for name in ("valence", "has_va", "expression", "has_expression", "action_units", "has_action_units"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
    assert label_counts(joint.labels[70:]) == {"va": 0.5, "au": 2 / 16, "active": 0.5}


def test_changed_faces_keep_the_labels_of_the_faces_they_were():
    store = memory_store()
    store.index["score"] = np.arange(70)  # which face it was
    changed = changed_faces(store, 150, seed=1, kinds=("flip",))
    rows = changed.index["score"].to_numpy()
    as_it_was = (changed.images == store.images[rows]).all(axis=(1, 2, 3))
    mirrored = (changed.images == store.images[rows][:, :, ::-1]).all(axis=(1, 2, 3))
    assert (as_it_was | mirrored).all() and 0.3 < mirrored.mean() < 0.7
    assert set(np.bincount(rows)) == {2, 3}  # 150 of 70
    columns = ["subject", "valence", "arousal", "expression", *ACTION_UNITS]
    wanted = store.index.loc[rows, columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(changed.index[columns], wanted)
    moved = changed_faces(store, 10, seed=1)
    assert (moved.index["score"] == changed.index["score"][:10]).all()
    assert (moved.images != changed.images[:10]).any(axis=(1, 2, 3)).all()


def test_faces_are_averaged_down():
    store = memory_store()
    part = small_store(store, np.array([5, 3]), 16)
    for image, number in zip(part.images, (5, 3), strict=True):
        wanted = cv2.resize(store.images[number], (16, 16), interpolation=cv2.INTER_AREA)
        assert np.abs(image.astype(int) - wanted).max() <= 1
    assert part.size == 16 and part.index["valence"].tolist() == store.index["valence"][[5, 3]].tolist()
    with pytest.raises(UserError, match="memory: has faces of 32 pixels, needed are 64"):
        small_store(store, np.array([0]), 64)


def test_the_survey_of_labels_is_counted_by_hand():
    faces = np.zeros((4, 32, 32, 3), np.uint8)
    faces[:, 0, 0, 0], faces[:, 0, -1, 0] = [0, 1, 2, 3], [4, 5, 6, 7]  # right way round, and mirrored
    rng = np.random.default_rng(3)
    probabilities = rng.choice([0.01, 0.3, 0.6, 0.95], (8, 8))
    va, sure = rng.uniform(-0.3, 0.3, (8, 2)), Confidence(0.5, 0.8, 0.2)
    row = label_survey({"a": Lookup(va, probabilities)}, {"b": faces}, sure).loc[("a", "b")]
    plain, mirrored = probabilities[:4].ravel(), probabilities[4:].ravel()
    ones, zeros = (((plain == said) & (mirrored == said)).sum() for said in (0.95, 0.01))
    near = sum(abs(va[i] - va[i + 4]).max() <= 0.2 for i in range(4))
    assert ones and zeros and 0 < near < 4
    wanted = [np.percentile(plain, 95), np.mean(plain > 0.5), near / 4, (ones + zeros) / 32]
    np.testing.assert_allclose(row.to_numpy(), [*wanted, ones / (ones + zeros)], rtol=1e-5)
    unsure = label_survey({"a": Lookup(va, np.full((8, 8), 0.6))}, {"b": faces}, sure)
    assert unsure["AUs given"].item() == 0 and np.isnan(unsure["active"].item())

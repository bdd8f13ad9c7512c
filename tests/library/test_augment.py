"""Augmentation: what stays, what moves, what flows back; against NumPy where there is a formula."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from refusals import refuses

from affkit.augment import AUGMENTATIONS, augment, brightness, contrast, cutout, saturation, translation
from affkit.train_gan import GanConfig

ALL = tuple(AUGMENTATIONS)


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def faces(n=6, size=16, seed=0, dtype=torch.float32):
    return torch.rand(n, 3, size, size, generator=random(seed), dtype=dtype) * 2 - 1


def test_brightness_moves_a_picture_as_a_whole():
    shift = brightness(faces(400), random()) - faces(400)
    assert shift.flatten(1).std(dim=1).max() < 1e-6
    assert -0.5 <= shift.min() < -0.45 and 0.45 < shift.max() < 0.5 and abs(shift.mean()) < 0.05


def test_saturation_and_contrast_keep_their_means_and_scale_what_is_around_it():
    images = faces(400)
    for change, axes, low, high in ((saturation, (1,), 0, 2), (contrast, (1, 2, 3), 0.5, 1.5)):
        changed = change(images, random())
        means = images.mean(dim=axes, keepdim=True)
        torch.testing.assert_close(changed.mean(dim=axes, keepdim=True), means, atol=1e-5, rtol=0)
        around, before = (changed - means).numpy(), (images - means).numpy()
        factor = (around * before).sum(axis=(1, 2, 3)) / (before**2).sum(axis=(1, 2, 3))
        np.testing.assert_allclose(around, factor[:, None, None, None] * before, atol=1e-5)
        assert low <= factor.min() < low + 0.1 < high - 0.1 < factor.max() <= high


@given(st.integers(0, 1000), st.sampled_from([8, 16, 20, 32]))
def test_translation_is_a_shift_of_at_most_an_eighth_with_grey_coming_in(seed, size):
    images = faces(3, size, seed)
    most = round(size / 8 + 1e-9)
    for before, after in zip(images.numpy(), translation(images, random(seed)).numpy(), strict=True):
        padded = np.pad(before, ((0, 0), (most, most), (most, most)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, before.shape)  # one of each shift
        assert (windows == after).all(axis=(-3, -2, -1)).sum() == 1


def test_half_of_the_pictures_are_mirrored():
    images = faces(400)
    changed = augment(images, ("flip",), random())
    mirrored = (changed == torch.from_numpy(images.numpy()[..., ::-1].copy())).flatten(1).all(dim=1)
    same = (changed == images).flatten(1).all(dim=1)
    assert (mirrored ^ same).all() and 160 < mirrored.sum() < 240


def test_every_shift_happens():
    image = torch.zeros(2000, 3, 16, 16)
    image[:, :, 8, 8] = 1
    moved = translation(image, random())
    places = moved[:, 0].nonzero()[:, 1:] - 8
    assert {tuple(place) for place in places.tolist()} == {(y, x) for y in range(-2, 3) for x in range(-2, 3)}


def test_cutout_is_one_grey_square_of_half_the_side_or_what_of_it_is_inside():
    changed = cutout(torch.ones(500, 3, 16, 16), random())
    assert torch.equal(changed[:, 0], changed[:, 1]) and set(changed.unique().tolist()) == {0, 1}
    sizes = set()
    for hole in (changed[:, 0] == 0).numpy():
        rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        assert np.array_equal(hole, np.outer(hole.any(axis=1), hole.any(axis=0)))
        assert np.ptp(rows) == len(rows) - 1 and np.ptp(columns) == len(columns) - 1
        sizes |= {len(rows), len(columns)}
    assert sizes == set(range(4, 9))  # its middle is never outside


@pytest.mark.parametrize("kind", ALL)
def test_gradients_flow_back_exactly(kind):
    images = faces(2, 8, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augment(x, (kind,), random(3)), images)
    augment(images, (kind,), random(3)).sum().backward()
    assert images.grad.abs().sum() > 0


def test_the_seed_says_what_happens_and_each_picture_is_changed_by_itself():
    images = faces()
    torch.manual_seed(1)
    first = augment(images, ALL, random(5))
    torch.manual_seed(2)
    assert torch.equal(first, augment(images, ALL, random(5)))
    assert not torch.equal(first, augment(images, ALL, random(6)))
    assert augment(images, (), random()) is images
    images = faces(1).expand(5, -1, -1, -1)
    for kind in ALL:
        assert len({picture.numpy().tobytes() for picture in augment(images, (kind,), random())}) > 1
    words = "augment: 'blur' is not known; choose from flip, color, translation, cutout"
    refuses(words, GanConfig, augment=("color", "blur"))

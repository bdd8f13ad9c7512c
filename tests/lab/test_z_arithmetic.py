"""The arithmetic of z: against formulas, and as properties."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from affkit.gan import sample_z
from affkit_lab.latent.z_arithmetic import (
    along,
    clip_z,
    neighbours,
    orthogonalize,
    random_direction,
    slerp,
    smooth,
    truncate,
    walk,
)

RNG = np.random.default_rng(0)
points = arrays(np.float64, 4, elements=st.floats(-1, 1, width=32))
shares = st.floats(0, 1)


def angle(a, b):
    """Of two vectors, in radians, without the arc cosine's loss of digits."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return 2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))


@given(points, points, shares)
def test_slerp_turns_and_grows_evenly_from_one_end_to_the_other(first, second, share):
    np.testing.assert_allclose(slerp(first, second, 0), first, atol=1e-6)
    np.testing.assert_allclose(slerp(first, second, 1), second, atol=1e-6)
    np.testing.assert_allclose(slerp(np.zeros(4), second, share), share * second, atol=1e-9)  # straight
    lengths = np.linalg.norm(first), np.linalg.norm(second)
    assume(min(lengths) > 1e-2)
    found = slerp(first, second, share)
    assert np.linalg.norm(found) == pytest.approx((1 - share) * lengths[0] + share * lengths[1], abs=1e-6)
    np.testing.assert_allclose(slerp(second, first, 1 - share), found, atol=1e-6)
    whole = angle(first, second)
    assume(1e-3 < whole < np.pi - 1e-3)
    assert angle(first, found) == pytest.approx(share * whole, abs=1e-5)
    assert np.linalg.matrix_rank(np.stack([first, second, found]), tol=1e-6) <= 2  # in the plane of both


@given(points, shares, st.floats(0.1, 3))
def test_opposite_and_parallel_z_have_an_arc_too(first, share, factor):
    assume(np.linalg.norm(first) > 1e-2)
    parallel = slerp(first, factor * first, share)
    np.testing.assert_allclose(parallel, (1 - share + share * factor) * first, atol=1e-6)
    opposite = slerp(first, -factor * first, share)
    expected = (1 - share + share * factor) * np.linalg.norm(first)
    assert np.linalg.norm(opposite) == pytest.approx(expected, abs=1e-6)
    assert angle(first, opposite) == pytest.approx(share * np.pi, abs=1e-5)


def test_of_equal_lengths_it_is_shoemakes_formula_and_does_not_dip():
    a, b = sample_z(2, 3).double().numpy()
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    omega = np.arccos(a @ b / (a @ a))
    for t in (0.1, 0.5, 0.8):
        expected = (np.sin((1 - t) * omega) * a + np.sin(t * omega) * b) / np.sin(omega)
        np.testing.assert_allclose(slerp(a, b, t), expected, atol=1e-9)
    assert np.linalg.norm((a + b) / 2) < 0.8 * np.linalg.norm(slerp(a, b, 0.5))


def test_a_walk_meets_every_key_and_a_closed_one_comes_back():
    keys = sample_z(3, 0).double().numpy()
    path = walk(keys, steps=4)
    assert path.shape == (9, 100) and (np.abs(path) <= 1).all()
    np.testing.assert_allclose(path[::4], keys, atol=1e-9)
    around = walk(keys, steps=4, closed=True)
    assert len(around) == 12
    np.testing.assert_allclose(around[::4], keys, atol=1e-9)
    steps = np.linalg.norm(np.diff(np.concatenate([around, keys[:1]]), axis=0), axis=1)
    assert steps.max() < 2 * steps.min()  # nothing jumps, not at the seam either
    with pytest.raises(ValueError, match="two keys"):
        walk(keys[:1], steps=4)


@given(arrays(np.float64, (3, 6), elements=st.floats(-1, 1, width=32)), st.integers(0, 3))
def test_what_is_orthogonalized_is_at_right_angles_and_the_nearest_such_vector(rows, count):
    vector, locked = rows[0], np.concatenate([rows[1 : 1 + count], rows[1 : 1 + count]])  # dependent ones
    found = orthogonalize(vector, locked)
    sizes = np.linalg.svd(locked, compute_uv=False) if len(locked) else np.zeros(0)
    assume(not ((sizes > 1e-9 * sizes.max(initial=0)) & (sizes < 1e-3 * sizes.max(initial=0))).any())
    assert np.abs(locked @ found).max(initial=0) < 1e-5
    coefficients = np.linalg.lstsq(locked.T, vector, rcond=1e-6)[0]
    np.testing.assert_allclose(found, vector - locked.T @ coefficients, atol=1e-5 if len(locked) else 0)


def test_of_a_vector_among_the_locked_nothing_is_left():
    locked = RNG.normal(size=(3, 100))
    assert not orthogonalize(locked.sum(axis=0), locked).any()
    both = orthogonalize(np.stack([locked[0], RNG.normal(size=100)]), locked)
    assert not both[0].any() and both[1].any()


def test_truncated_along_and_around():
    z, across, down = RNG.uniform(-0.4, 0.4, 100), random_direction(RNG), random_direction(RNG)
    np.testing.assert_allclose(truncate(z, 0.25), z / 4)
    with pytest.raises(ValueError, match="not in"):
        truncate(z, 1.5)
    grid = neighbours(z, across, down, step=0.5, reach=2).reshape(5, 5, 100)
    np.testing.assert_allclose(grid[2, 2], z)
    np.testing.assert_allclose(grid[0, 4], z - 2 * 0.5 * down + 2 * 0.5 * across, atol=1e-12)
    far = along(z, across, [-30.0, 0.0, 30.0])
    np.testing.assert_allclose(far[1], z)
    assert np.abs(far).max() == 1  # clipped
    assert np.array_equal(clip_z(far), far)


def test_smoothing_is_a_mean_with_weights_of_a_bell():
    path = RNG.normal(size=(60, 3))
    found = smooth(path, 2.0)
    weights = np.exp(-0.5 * (np.arange(-8, 9) / 2.0) ** 2)
    expected = (weights[:, None] * path[22:39]).sum(axis=0) / weights.sum()
    np.testing.assert_allclose(found[30], expected, atol=1e-9)
    np.testing.assert_array_equal(smooth(path, 0), path)

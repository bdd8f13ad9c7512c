"""Moving about in z: the arithmetic of the latent browser, without a network.

A generator has seen z whose 100 numbers are uniform in [-1, 1] (Section IV.C.1), so whatever is done to a z
ends inside that cube again, see :func:`clip_z`.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d

from affkit.gan import Z_SIZE

SMALL = 1e-6  # an angle in radians or a length, below which there is no direction to speak of


def clip_z(z: np.ndarray) -> np.ndarray:
    """Each number cut to [-1, 1]: the nearest z that the generator may have seen."""
    return np.clip(z, -1.0, 1.0)


def truncate(z: np.ndarray, fraction: float) -> np.ndarray:
    """z drawn towards 0, the middle of all z: ``fraction`` 1 leaves it, 0 gives the one face of the middle.

    Faces become more alike and usually cleaner (the truncation trick, Brock et al. 2019).

    >>> truncate(np.array([0.8, -0.4]), 0.5).tolist()
    [0.4, -0.2]
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction: {fraction} is not in [0, 1]")
    return fraction * np.asarray(z)


def slerp(first: np.ndarray, second: np.ndarray, fraction: float) -> np.ndarray:
    """The point at ``fraction`` of the way from ``first`` (0) to ``second`` (1), along an arc around 0.

    The direction turns at a constant rate (Shoemake 1985) and the length changes at a constant rate. On a
    straight line the length would dip: in 100 dimensions two random z are nearly at right angles, and half
    way between them lie z shorter than any the generator was trained on.

    Where there is no one arc: equal directions need none; from or to 0 the line is straight; and opposite z
    turn through the axis along which they are smallest. The result can lie outside of [-1, 1].

    >>> slerp(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 0.5).round(3).tolist()
    [0.707, 0.707]
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    lengths = np.linalg.norm(first), np.linalg.norm(second)
    if min(lengths) < SMALL:
        return (1 - fraction) * first + fraction * second
    a, b = first / lengths[0], second / lengths[1]
    length = (1 - fraction) * lengths[0] + fraction * lengths[1]
    # between unit vectors; exact for tiny and for nearly straight angles, unlike the arc cosine
    angle = 2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))
    if angle < SMALL:
        direction = (1 - fraction) * a + fraction * b
        return length * direction / np.linalg.norm(direction)
    if np.pi - angle < SMALL:
        axis = np.zeros_like(a)
        axis[np.abs(a).argmin()] = 1.0
        across = axis - (axis @ a) * a
        across /= np.linalg.norm(across)
        return length * (np.cos(np.pi * fraction) * a + np.sin(np.pi * fraction) * across)
    return length * (np.sin((1 - fraction) * angle) * a + np.sin(fraction * angle) * b) / np.sin(angle)


def walk(keys: Sequence[np.ndarray], steps: int, closed: bool = False) -> np.ndarray:
    """z from each of K ``keys`` ``(100,)`` to the next by :func:`slerp`, clipped, for a film.

    ``((K - 1) * steps + 1, 100)``: every key is met exactly. ``closed`` goes back to the first one, without
    showing it twice: ``(K * steps, 100)``.
    """
    if len(keys) < 2 or steps < 1:
        raise ValueError(f"{len(keys)} keys and {steps} steps: two keys and one step are the least")
    ends = [*keys[1:], keys[0]] if closed else keys[1:]
    pairs = zip(keys[: len(ends)], ends, strict=True)
    path = [slerp(a, b, number / steps) for a, b in pairs for number in range(steps)]
    return clip_z(np.array(path if closed else [*path, keys[-1]], np.float64))


def along(z: np.ndarray, direction: np.ndarray, amounts: Sequence[float]) -> np.ndarray:
    """``z`` moved by each of ``amounts`` along ``direction``, ``(100,)`` each: ``(A, 100)``, clipped."""
    return clip_z(np.asarray(z) + np.asarray(amounts, np.float64)[:, None] * np.asarray(direction))


def neighbours(
    z: np.ndarray, across: np.ndarray, down: np.ndarray, step: float = 1.0, reach: int = 1
) -> np.ndarray:
    """A grid around ``z``, ``((2 * reach + 1) ** 2, 100)``: rows by ``down``, columns by ``across``."""
    amounts = step * np.arange(-reach, reach + 1)
    return np.concatenate([along(z + amount * np.asarray(down), across, amounts) for amount in amounts])


def random_direction(rng: np.random.Generator) -> np.ndarray:
    """A direction in z, ``(100,)`` of length 1, all equally likely."""
    vector = rng.normal(size=Z_SIZE)
    return vector / np.linalg.norm(vector)


def orthogonalize(vectors: np.ndarray, locked: np.ndarray) -> np.ndarray:
    """What is left of ``vectors`` when everything along ``locked`` is taken out, by least squares.

    To first order, and on average over faces, a move along the rest leaves still whatever ``locked`` moves.
    ``vectors`` is ``(100,)`` or ``(K, 100)``; ``locked`` ``(L, 100)``, of any lengths and angles, also L = 0.
    The rest is at right angles to each of ``locked`` and not made longer; 0 if nothing is left.

    >>> orthogonalize(np.array([3.0, 4.0]), np.array([[2.0, 0.0]])).tolist()
    [0.0, 4.0]
    """
    vectors, locked = np.asarray(vectors, np.float64), np.asarray(locked, np.float64)
    if not len(locked):
        return vectors.copy()
    _, sizes, axes = np.linalg.svd(locked, full_matrices=False)
    axes = axes[sizes > SMALL * sizes.max(initial=0)]  # (rank, 100) orthonormal
    rest = vectors - vectors @ axes.T @ axes
    left, length = (np.linalg.norm(each, axis=-1, keepdims=True) for each in (rest, vectors))
    return np.where(left < SMALL * length, 0.0, rest)


def smooth(path: np.ndarray, sigma: float) -> np.ndarray:
    """A path of z, ``(T, 100)``, by a Gaussian of ``sigma`` frames along time; the ends are held."""
    return gaussian_filter1d(path, sigma, axis=0, mode="nearest") if sigma > 0 else np.array(path)

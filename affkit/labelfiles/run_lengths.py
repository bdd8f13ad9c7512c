"""Unbroken stretches of frames: where something stays as it is, or holds."""

import numpy as np


def constant_stretches(values: np.ndarray) -> np.ndarray:
    """The longest stretches of equal values in ``(T,)``, in order.

    Returns ``(N, 2)`` int64: the first place of each, and the one after its last.

    >>> constant_stretches(np.array([7, 7, 3, 7])).tolist()
    [[0, 2], [2, 3], [3, 4]]
    """
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    bounds = np.concatenate([[0], changes, [len(values)]]).astype(np.int64)
    return np.stack([bounds[:-1], bounds[1:]], axis=1)[: len(values)]  # nothing has no stretches


def true_stretches(mask: np.ndarray) -> np.ndarray:
    """The longest stretches in which a mask ``(T,)`` bool holds, as from :func:`constant_stretches`.

    >>> true_stretches(np.array([True, True, False, True])).tolist()
    [[0, 2], [3, 4]]
    """
    found = constant_stretches(mask)
    return found[mask[found[:, 0]]]

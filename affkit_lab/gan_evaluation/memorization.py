"""Is a generated face a copy of a training face? The nearest one, and how near is too near.

Distances are Euclidean, between points: the features of a face, or its pixels. How near is too near follows
from real faces alone. Two pictures of one person, a second or more apart, lie at some distance; pictures of
two people lie further apart. The threshold is where both errors are equal: as many faces are further from the
next picture of the same person as are nearer to somebody else. A generated face below it shows, as far as
this distance can tell, a person of the training set again. The share of errors belongs to the answer: as many
faces of new people would be called copies, and where it is near one half, the distance tells nothing.
A blurred face is near to many by pixels: look at it before calling it a copy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from affkit.errors import UserError
from affkit.store import Store
from affkit_lab.backbones.train_faces import subjects_of

APART = 30  # frames; nearer ones in one video are the same moment
MOST_ASKING = 2000  # real faces whose next one is looked for


@dataclass(frozen=True)
class CopyThreshold:
    """How near is too near.

    Attributes
    ----------
    distance:
        A face whose nearest training face is not further away is a copy.
    error:
        Share of real faces that are nearer to another person, and, about, of those further from themselves.
    """

    distance: float
    error: float


def nearest(
    queries: np.ndarray,
    references: np.ndarray,
    allowed: Callable[[np.ndarray], np.ndarray] | None = None,
    chunk: int = 512,
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest reference of each query.

    Parameters
    ----------
    queries:
        ``(N, D)``.
    references:
        ``(V, M, D)``: M of them, each in V versions, such as a face and its mirror image.
    allowed:
        Of query numbers ``(B,)``, says which references count, ``(B, M)`` bool; all by default.

    Returns
    -------
    tuple
        Its number ``(N,)`` int64 and its distance ``(N,)`` float32; inf where none is allowed.

    >>> number, distance = nearest(np.array([[0.0], [5.0]]), np.array([[[4.0], [1.0]]]))
    >>> number.tolist(), distance.tolist()
    ([1, 0], [1.0, 1.0])
    """
    versions = torch.from_numpy(np.asarray(references, np.float32))  # (V, M, D)
    numbers, distances = [np.arange(0)], [np.zeros(0, np.float32)]
    for start in range(0, len(queries), chunk):
        rows = np.arange(start, min(start + chunk, len(queries)))
        points = torch.from_numpy(np.asarray(queries[rows], np.float32))  # (B, D)
        found = torch.stack([torch.cdist(points, version) for version in versions]).amin(dim=0)  # (B, M)
        if allowed is not None:
            found[torch.from_numpy(~allowed(rows))] = torch.inf
        distance, number = found.min(dim=1)
        numbers.append(number.numpy())
        distances.append(distance.numpy())
    return np.concatenate(numbers), np.concatenate(distances)


def real_distances(
    points: np.ndarray, store: Store, rows: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """From real faces to the next of the same person at another moment, and to the next of somebody else.

    Parameters
    ----------
    points:
        ``(V, N, D)``, of N ``rows`` of the store; the first version asks, all versions answer.
    seed:
        Of the 2000 faces that ask, where there are more.

    Returns
    -------
    tuple
        Within and across people, ``(Q,)`` each; inf where there is no such face.

    Raises
    ------
    UserError
        If the store does not say who is in it.
    """
    subject, table = subjects_of(store)[rows], store.index.iloc[rows]
    video, frame = table["video"].astype("category").cat.codes.to_numpy(), table["frame"].to_numpy()
    asking = np.sort(np.random.default_rng(seed).permutation(len(rows))[:MOST_ASKING])

    def somebody_else(i: np.ndarray) -> np.ndarray:
        return subject[asking[i], None] != subject  # (B, N)

    def another_moment(i: np.ndarray) -> np.ndarray:
        far = np.abs(frame[asking[i], None] - frame) >= APART
        return ~somebody_else(i) & (far | (video[asking[i], None] != video))  # (B, N)

    queries = points[0, asking]  # (Q, D)
    return nearest(queries, points, another_moment)[1], nearest(queries, points, somebody_else)[1]


def copy_threshold(within: np.ndarray, across: np.ndarray) -> CopyThreshold:
    """The distance at which as many of ``within`` are above as of ``across`` are not.

    Raises
    ------
    UserError
        If there are not two people, or nobody is seen at two moments.

    >>> copy_threshold(np.array([1.0, 2.0, 5.0]), np.array([3.0, 6.0, 7.0]))
    CopyThreshold(distance=3.0, error=0.3333333333333333)
    """
    within, across = np.sort(within[np.isfinite(within)]), np.sort(across[np.isfinite(across)])
    if not len(within) or not len(across):
        problem = "not two people, or nobody at two moments a second apart"
        raise UserError("real faces", problem, "use a store with more people and longer clips")
    candidates = np.unique(np.concatenate([within, across]))
    missed = 1 - np.searchsorted(within, candidates, side="right") / len(within)
    confused = np.searchsorted(across, candidates, side="right") / len(across)
    best = np.argmin(np.abs(missed - confused))
    return CopyThreshold(float(candidates[best]), float(confused[best]))

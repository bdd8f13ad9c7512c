"""Is a generated face a copy of a training face? The nearest one, and how near is too near.

Distances are Euclidean, between points: the features of a face, or its pixels. How near is too near follows
from real faces alone. Two pictures of one person, a second or more apart, lie at some distance; pictures of
two people lie further apart. The threshold is where both errors are equal: as many faces are further from the
next picture of the same person as are nearer to somebody else. A generated face below it shows, as far as
this distance can tell, a person of the training set again. The rate of errors belongs to the answer: as many
faces of new people would be called copies, and where it is near one half, the distance tells nothing.
A blurred face is near to many by pixels: look at it before calling it a copy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from affkit.errors import UserError
from affkit.store import Store
from affkit_lab.backbones.feature_net import FeatureNet, features_of
from affkit_lab.backbones.train_faces import subjects_of

APART = 30  # frames; nearer ones in one video are the same moment
MOST_ASKING = 2000  # real faces whose next one is looked for


@dataclass(frozen=True)
class CopyThreshold:
    """A face whose nearest training face is not further away than ``distance`` is a copy."""

    distance: float
    error: float  # fraction of real faces nearer to somebody else; about as many are further from themselves


def nearest(
    queries: np.ndarray,
    references: np.ndarray,
    allowed: Callable[[np.ndarray], np.ndarray] | None = None,
    chunk: int = 512,
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest reference of each query: its number ``(N,)`` int64 and its distance ``(N,)`` float32.

    Queries are ``(N, D)``; references ``(V, M, D)``: M of them, each in V versions, such as a face and its
    mirror image. ``allowed``, of query numbers ``(B,)``, says which references count, ``(B, M)`` bool; where
    none does the distance is inf.

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

    ``points`` are ``(V, N, D)``, of N ``rows`` of a store that knows its subjects; the first version asks,
    all answer. ``seed`` draws the 2000 faces that ask, where there are more. Gives distances within and
    across people, ``(Q,)`` each; inf where there is no such face.
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

    UserError if there are not two people, or nobody is seen at two moments.

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


class TrainingFaces:
    """Faces of a store, described once, so that the nearest of them can be asked for again and again.

    ``rows`` are those that the generator was trained on; all by default. ``threshold`` is None where the
    store does not say who is in it, so nobody knows how far two pictures of one person are apart.
    """

    def __init__(self, store: Store, feature_net: FeatureNet, rows: Sequence[int] | None = None):
        self.store, self.feature_net = store, feature_net
        self.rows = np.arange(len(store)) if rows is None else np.asarray(rows, np.int64)
        self.points = features_of(feature_net, store.batch(self.rows))  # (1, N, D)
        known = "subject" in store.index
        # without subjects, pictures of one clip are as good a guess as any
        self._who = store.index["subject" if known else "video"].to_numpy()[self.rows]
        self._alone = not known and len(np.unique(self._who)) == 1
        self.threshold = copy_threshold(*real_distances(self.points, store, self.rows)) if known else None

    def nearest(self, face: np.ndarray, count: int = 3) -> pd.DataFrame:
        """The people most like ``face``, ``(S, S, 3)`` uint8, each with the picture nearest to it.

        Nearest first, at most ``count``: ``row`` of the store; ``distance`` of the features; ``who``, the
        subject, or the clip where no subjects are known; ``copy``, whether it is nearer than ``threshold``,
        missing where there is none. In a store of one clip and no subjects, such as a pool of faces, every
        picture counts as somebody else.
        """
        point = features_of(self.feature_net, face[None])[0]  # (1, D)
        free, found = np.ones(len(self.rows), bool), []
        while free.any() and len(found) < count:
            number, distance = nearest(point, self.points, lambda _, free=free: free[None])
            first = int(number[0])
            copy = pd.NA if self.threshold is None else bool(distance[0] <= self.threshold.distance)
            found.append((int(self.rows[first]), float(distance[0]), self._who[first], copy))
            free = free & (self._who != self._who[first])
            if self._alone:
                free = ~np.isin(self.rows, [row for row, *_ in found])
        return pd.DataFrame(found, columns=["row", "distance", "who", "copy"])

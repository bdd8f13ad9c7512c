"""How good is a direction in z: what it does to its own prediction, to the others, and to who it is.

Everything is measured on faces the direction was not learned from. A direction should move its prediction,
and that of another network that had no say in it; leave the other predictions; and not make somebody else of
the face. For the last, the features of a ``FeatureNet`` before and after are compared: 0 is the same picture,
1 as far as two random faces. A random direction gives the yardstick.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from affkit.gan import Generator, sample_z
from affkit_lab.backbones.feature_net import FeatureNet, features_of
from affkit_lab.latent.directions import Directions, faces_at
from affkit_lab.latent.predictors import Predictor
from affkit_lab.latent.z_arithmetic import orthogonalize, random_direction

RANDOM = "random"  # the row of the yardstick
NUM_RANDOM = 5  # random directions behind it


def moved_faces(
    generator: Generator, z: np.ndarray, vectors: np.ndarray, step: float = 1.0
) -> Iterator[np.ndarray]:
    """The faces of z ``(N, 100)``, then those after ``step`` times each vector ``(K, 100)``: K + 1 times
    ``(N, S, S, 3)`` uint8.
    """
    yield faces_at(generator, z)
    yield from (faces_at(generator, z + step * vector) for vector in vectors)


def changes_of(predictions: Sequence[pd.DataFrame]) -> tuple[np.ndarray, pd.DataFrame]:
    """Of predictions of :func:`moved_faces`: the changes ``(K, N, C)``, and where they begin, ``(N, C)``."""
    start, *moved = predictions
    return np.stack([one.to_numpy() for one in moved]) - start.to_numpy(), start


def effects(names: Sequence[str], predictions: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """``effect``, ``in_sd``, ``rises`` and ``others`` of :func:`direction_table`, a row for each vector."""
    changes, start = changes_of(predictions)
    mean = changes.mean(axis=1)  # (K, C)
    in_sd = mean / start.to_numpy().std(axis=0)
    rows = []
    for number, name in enumerate(names):
        own, row = np.array(start.columns == name), {"effect": np.nan, "in_sd": np.nan, "rises": np.nan}
        if own.any():
            rises = (changes[number][:, own] > 0).mean()
            row = {"effect": mean[number, own][0], "in_sd": in_sd[number, own][0], "rises": rises}
        rows.append(row | {"others": np.abs(in_sd[number, ~own]).mean()})
    return pd.DataFrame(rows, index=list(names))


def direction_table(
    generator: Generator,
    directions: Directions,
    predictor: Predictor,
    feature_net: FeatureNet,
    step: float = 1.0,
    num_faces: int = 200,
    seed: int = 1,
) -> pd.DataFrame:
    """Effect, side effects and change of identity of each direction, and of random ones (row ``random``).

    For directions that the predictor has a column for: ``effect``, the mean change; ``in_sd``, the same
    in standard deviations of the prediction over random faces; ``rises``, the fraction of faces on which it
    rises. For all: ``others``, the mean absolute value of the other columns' mean changes, in standard
    deviations; ``identity``, see :func:`identity_changes`.
    """
    z = sample_z(num_faces, seed).double().numpy()
    rng = np.random.default_rng(seed)
    vectors = np.concatenate([directions.vectors, [random_direction(rng) for _ in range(NUM_RANDOM)]])
    seen = [
        (predictor(faces), features_of(feature_net, faces)[0])
        for faces in moved_faces(generator, z, vectors, step)
    ]
    predictions, points = zip(*seen, strict=True)
    table = effects([*directions.names, *NUM_RANDOM * [RANDOM]], predictions)
    return table.assign(identity=identity_changes(points)).groupby(level=0, sort=False).mean()


def identity_changes(points: Sequence[np.ndarray]) -> np.ndarray:
    """Mean distance of the features before and after each move, ``(K,)``; 1 is that of two random faces.

    ``points`` are features ``(N, D)`` of :func:`moved_faces`, with N of 2 or more.
    """
    start, *moved = points
    apart = np.linalg.norm(start - np.roll(start, 1, axis=0), axis=1).mean()
    return np.array([np.linalg.norm(one - start, axis=1).mean() for one in moved]) / apart


def leak_table(
    generator: Generator,
    predictor: Predictor,
    directions: Directions,
    moved: str,
    locked: Sequence[str],
    step: float = 1.0,
    num_faces: int = 200,
    seed: int = 1,
) -> pd.DataFrame:
    """What moving along one direction does to locked predictions, before and after it is orthogonalized.

    A row for the direction that is ``moved`` and for each ``locked`` one, if the predictor has a column for
    it. In standard deviations of the prediction over random faces: ``before`` and ``after``, the mean change;
    and ``before_each``, ``after_each``, the root mean square change, which is what one sees on one face.
    ``attrs["left"]`` is the fraction of the direction's length that is left; ValueError if that is 0.
    A step has the same length before and after, so that a direction is not stiller only for being shorter.
    """
    z = sample_z(num_faces, seed).double().numpy()
    vector = directions[moved]
    rest = orthogonalize(vector, directions.some(locked).vectors)
    left = np.linalg.norm(rest)
    if left == 0:
        raise ValueError(f"{moved} lies within {', '.join(locked)}: nothing is left to move along")
    changes, start = changes_of(
        [predictor(faces) for faces in moved_faces(generator, z, np.stack([vector, rest / left]), step)]
    )
    changes = changes / start.to_numpy().std(axis=0)  # (2, N, C)
    mean, each = changes.mean(axis=1), np.sqrt((changes**2).mean(axis=1))  # (2, C)
    columns = {"before": mean[0], "after": mean[1], "before_each": each[0], "after_each": each[1]}
    table = pd.DataFrame(columns, index=start.columns)
    table = table.loc[[name for name in (moved, *locked) if name in start]]
    table.attrs["left"] = float(left)
    return table

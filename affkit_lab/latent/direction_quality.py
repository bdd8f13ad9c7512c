"""How good is a direction in z: what it does to its own prediction, to the others, and to who it is.

Everything is measured on faces the direction was not learned from. A direction should move its prediction,
and that of another network that had no say in it; leave the other predictions; and not make somebody else of
the face. For the last, the features of a ``FeatureNet`` before and after are compared: 0 is the same picture,
1 as far as two random faces. A random direction gives the yardstick.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from affkit.gan import Generator, sample_z
from affkit_lab.backbones.feature_net import FeatureNet
from affkit_lab.gan_evaluation.gan_scores import features_of
from affkit_lab.latent.directions import Directions, faces_at
from affkit_lab.latent.predictors import Predictor
from affkit_lab.latent.z_arithmetic import orthogonalize, random_direction

RANDOM = "random"  # the row of the yardstick
NUM_RANDOM = 5  # random directions behind it


def prediction_changes(
    generator: Generator, predictor: Predictor, z: np.ndarray, vectors: np.ndarray, step: float = 1.0
) -> tuple[np.ndarray, pd.DataFrame]:
    """What each move does to each prediction of each face.

    Parameters
    ----------
    z:
        ``(N, 100)``.
    vectors:
        ``(K, 100)``; every z is moved by ``step`` times each of them.

    Returns
    -------
    tuple
        Changes ``(K, N, C)`` and the predictions of the faces as they were, N rows and C columns.
    """
    start = predictor(faces_at(generator, z))
    moved = [predictor(faces_at(generator, z + step * vector)).to_numpy() for vector in vectors]
    return np.stack(moved) - start.to_numpy(), start


def direction_table(
    generator: Generator,
    directions: Directions,
    predictor: Predictor,
    feature_net: FeatureNet,
    step: float = 1.0,
    num_faces: int = 200,
    seed: int = 1,
) -> pd.DataFrame:
    """Effect, side effects and change of identity of each direction.

    Returns
    -------
    DataFrame
        A row for each direction, and one, ``random``, for directions at random. Of directions that the
        predictor has a column for, else empty: ``effect``, the mean change; ``in_spreads``, the same in
        standard deviations of the prediction over random faces; ``rises``, the fraction of faces on which it
        rises. Of all: ``others``, the mean over the other columns of the mean change, without its sign,
        in standard deviations; ``identity``, mean distance of the features before and after, where 1 is the
        mean distance of two random faces.
    """
    z = sample_z(num_faces, seed).double().numpy()
    rng = np.random.default_rng(seed)
    vectors = np.concatenate([directions.vectors, [random_direction(rng) for _ in range(NUM_RANDOM)]])
    changes, start = prediction_changes(generator, predictor, z, vectors, step)
    spreads = start.to_numpy().std(axis=0)  # (C,)
    mean = changes.mean(axis=1)  # (K, C)
    identity = identity_changes(generator, feature_net, z, vectors, step)
    rows = {}
    for number, name in enumerate(directions.names):
        own = start.columns.get_loc(name) if name in start else None
        others = np.arange(len(spreads)) != own
        rows[name] = {
            "effect": np.nan if own is None else mean[number, own],
            "in_spreads": np.nan if own is None else mean[number, own] / spreads[own],
            "rises": np.nan if own is None else (changes[number, :, own] > 0).mean(),
            "others": np.abs(mean[number] / spreads)[others].mean(),
            "identity": identity[number],
        }
    yardstick = {"others": np.abs(mean / spreads)[-NUM_RANDOM:].mean()}
    yardstick["identity"] = identity[-NUM_RANDOM:].mean()
    return pd.DataFrame.from_dict(rows | {RANDOM: yardstick}, orient="index")


def identity_changes(
    generator: Generator, feature_net: FeatureNet, z: np.ndarray, vectors: np.ndarray, step: float = 1.0
) -> np.ndarray:
    """Mean distance of the features before and after each move, ``(K,)``; 1 is that of two random faces.

    Parameters
    ----------
    z, vectors:
        ``(N, 100)`` and ``(K, 100)``, as for :func:`prediction_changes`; N is 2 or more.
    """
    start = features_of(feature_net, faces_at(generator, z))[0]  # (N, D)
    apart = np.linalg.norm(start - np.roll(start, 1, axis=0), axis=1).mean()
    moved = (features_of(feature_net, faces_at(generator, z + step * vector))[0] for vector in vectors)
    return np.array([np.linalg.norm(points - start, axis=1).mean() for points in moved]) / apart


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

    A step has the same length before and after, so that a direction is not stiller only for being shorter.

    Parameters
    ----------
    moved:
        Name of the direction to move along.
    locked:
        Names of directions; those that the predictor has a column for get a row.

    Returns
    -------
    DataFrame
        A row for the direction that is moved, if it has a prediction, and for each locked one. In standard
        deviations of the prediction over random faces: ``before`` and ``after``, the mean change; and
        ``before_each``, ``after_each``, the root mean square change, which is what one sees on one face.
        ``attrs["left"]`` is the share of the direction's length that is left.

    Raises
    ------
    ValueError
        If nothing of the direction is left.
    """
    z = sample_z(num_faces, seed).double().numpy()
    vector = directions[moved]
    rest = orthogonalize(vector, directions.some(locked).vectors)
    left = np.linalg.norm(rest)
    if left == 0:
        raise ValueError(f"{moved} lies within {', '.join(locked)}: nothing is left to move along")
    changes, start = prediction_changes(generator, predictor, z, np.stack([vector, rest / left]), step)
    changes = changes / start.to_numpy().std(axis=0)  # (2, N, C)
    table = pd.DataFrame(
        {
            "before": changes[0].mean(axis=0),
            "after": changes[1].mean(axis=0),
            "before_each": np.sqrt((changes[0] ** 2).mean(axis=0)),
            "after_each": np.sqrt((changes[1] ** 2).mean(axis=0)),
        },
        index=start.columns,
    )
    table = table.loc[[name for name in (moved, *locked) if name in start]]
    table.attrs["left"] = float(left)
    return table

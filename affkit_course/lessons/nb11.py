"""What notebook 11 works out about the latent space."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from affkit.gan import Generator
from affkit_lab.backbones.feature_net import FeatureNet
from affkit_lab.latent.direction_quality import direction_table
from affkit_lab.latent.directions import Directions, faces_at
from affkit_lab.latent.predictors import Predictor, log_odds
from affkit_lab.latent.seek_reading import PredictionSearch
from affkit_lab.latent.z_arithmetic import along, slerp


def strips(
    generator: Generator,
    z: np.ndarray,
    directions: Directions,
    names: Sequence[str],
    amounts: Sequence[float],
) -> dict[str, np.ndarray]:
    """For each name the faces of ``z`` ``(100,)`` moved along it by each of ``amounts``: ``(A, S, S, 3)``."""
    return {name: faces_at(generator, along(z, directions[name], amounts)) for name in names}


def ways_between(first: np.ndarray, second: np.ndarray, steps: int = 9) -> tuple[dict, pd.DataFrame]:
    """From one z to another on a straight line and along an arc.

    Returns
    -------
    tuple
        ``{"straight line": z, "arc": z}``, ``(steps, 100)`` each; and their lengths, a row for each share of
        the way.
    """
    shares = np.linspace(0, 1, steps)
    ways = {
        "straight line": np.stack([(1 - share) * first + share * second for share in shares]),
        "arc": np.stack([slerp(first, second, share) for share in shares]),
    }
    lengths = {name: np.linalg.norm(z, axis=1) for name, z in ways.items()}
    return ways, pd.DataFrame(lengths, index=pd.Index(shares, name="share of the way"))


def by_another_reader(
    generator: Generator,
    directions: Directions,
    predictors: Mapping[str, Predictor],
    feature_net: FeatureNet,
    step: float = 1.0,
    num_faces: int = 100,
) -> pd.DataFrame:
    """What each direction does to the prediction of its name, in the words of several predictors.

    Returns
    -------
    DataFrame
        A row for each direction, a column for each predictor: the change of its prediction by one step, in
        standard deviations over random faces; missing where the predictor has no such prediction.
    """
    tables = {
        name: direction_table(generator, directions, log_odds(predictor), feature_net, step, num_faces)
        for name, predictor in predictors.items()
    }
    return pd.DataFrame({name: table["in_spreads"] for name, table in tables.items()}).loc[directions.names]


def sent_to(
    search: PredictionSearch, wanted: Sequence[Sequence[float]], rounds: int = 6
) -> tuple[np.ndarray, np.ndarray]:
    """Faces for some predictions: their z ``(N, 100)``, and what is read of them, ``(N, C)``."""
    found = [search.seek(predictions, rounds) for predictions in wanted]
    return np.stack([one.z for one in found]), np.stack([one.prediction for one in found])

"""Directions in z along which one thing changes: of a generator's features, or learned from predictions.

Two kinds. *Principal directions* need no labels (GANSpace, Härkönen et al. 2020): principal component
analysis of what the generator's first layers make of many z, carried back to z by regression. They tend to be
light, hair, pose. *Learned directions* follow a prediction, such as valence or an action unit (compare
InterFaceGAN, Shen et al. 2020): ridge regression from z to what a predictor says of the faces. The weights of
the regression are the direction, and how well it meets the predictions for faces it has not seen is its fit.

A good fit is not a good direction. A predictor that takes light for joy gives a direction along which the
light changes, and fits it well: look, and see :mod:`affkit_lab.latent.direction_quality`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from torch import nn
from tqdm import tqdm

from affkit.checkpoints import read_tensors, write_tensors
from affkit.errors import UserError
from affkit.gan import Z_SIZE, Generator, sample_z
from affkit.store import pictures
from affkit_lab.latent.predictors import Predictor
from affkit_lab.latent.z_arithmetic import clip_z, orthogonalize

RIDGES = np.logspace(-1, 4, 11)
FOLDS = 5
KIND = "directions"  # of file
FORMERLY = {"in_spreads": "in_sd", "spread": "sd"}  # columns of older files


@dataclass(frozen=True)
class Directions:
    """Named directions in z."""

    vectors: np.ndarray  # (K, 100) float64, of length 1
    table: pd.DataFrame  # a row each, by its name: what was measured when it was found

    def __post_init__(self):
        if self.vectors.shape[0] != len(self.table) or not self.table.index.is_unique:
            raise ValueError(f"{len(self.table)} names, or fewer, for {self.vectors.shape[0]} directions")

    @property
    def names(self) -> list[str]:
        return list(self.table.index)

    def __getitem__(self, name: str) -> np.ndarray:
        """One direction, ``(100,)``."""
        return self.vectors[self.table.index.get_loc(name)]

    def __contains__(self, name: str) -> bool:
        return name in self.table.index

    def some(self, names: Sequence[str]) -> "Directions":
        """Those with these names, in this order."""
        return Directions(self.vectors[self.table.index.get_indexer_for(names)], self.table.loc[list(names)])

    def __or__(self, others: "Directions") -> "Directions":
        """These and ``others`` together; ValueError if a name is in both."""
        table = pd.concat([self.table, others.table], sort=False)
        return Directions(np.concatenate([self.vectors, others.vectors]), table)


def faces_at(generator: Generator, z: np.ndarray) -> np.ndarray:
    """The faces of ``z`` ``(N, 100)``, clipped to [-1, 1]: ``(N, S, S, 3)`` uint8."""
    return pictures(generator, torch.from_numpy(clip_z(z).astype(np.float32)))


def principal_directions(
    generator: Generator, layer: int = 1, count: int = 20, num_faces: int = 2000, seed: int = 0
) -> Directions:
    """GANSpace: the directions of z that move the generator's features most, ``PCA 1``, ``PCA 2``, ...

    Principal components of the features of a ``layer``, after its ReLU, for many z (for few z of a later
    layer, whose features are many); each component is regressed on z, and what comes out is put at right
    angles, the first one first. The sign is chosen so that the largest number of a direction is positive: the
    same on every machine.

    ``explained`` in the table is the fraction of the variance of the features; ``fit`` the fraction of the
    component's variance that a straight line in z explains. Where that is low, the component is no direction
    of z, and the features bend.
    """
    z = sample_z(num_faces, seed)
    pca = PCA(count, svd_solver="randomized", random_state=seed)
    scores = pca.fit_transform(features_at(generator, z, layer)).astype(np.float64)  # (N, count)
    inputs = z.double().numpy()
    weights = np.linalg.lstsq(inputs, scores, rcond=None)[0].T  # (count, 100)
    fit = 1 - ((scores - inputs @ weights.T) ** 2).sum(axis=0) / (scores**2).sum(axis=0)
    vectors = np.linalg.qr(weights.T)[0].T  # Gram-Schmidt, but stable
    vectors *= np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1))
    names = [f"PCA {number}" for number in range(1, count + 1)]
    table = pd.DataFrame({"explained": pca.explained_variance_ratio_, "fit": fit}, index=names)
    return Directions(vectors, table)


@torch.no_grad()
def features_at(generator: Generator, z: torch.Tensor, layer: int, batch_size: int = 256) -> np.ndarray:
    """What layer number ``layer`` (from 1) of the generator says, after its ReLU, to ``z``: ``(N, F)``."""
    start = [nn.Unflatten(1, (Z_SIZE, 1, 1))] if generator.project is None else list(generator.project)
    modules = [*start, *generator.layers]
    ends = [number for number, module in enumerate(modules, 1) if isinstance(module, nn.ReLU)]
    if not 1 <= layer <= len(ends):
        raise ValueError(f"layer: {layer}; the generator has 1 to {len(ends)}")
    first = nn.Sequential(*modules[: ends[layer - 1]])
    return torch.cat([first(part).flatten(1) for part in z.split(batch_size)]).numpy()


def learned_directions(
    generator: Generator,
    predictor: Predictor,
    apart_from: Directions | None = None,
    num_faces: int = 3000,
    seed: int = 0,
    progress: bool = False,
) -> Directions:
    """The direction of each column that varies, by ridge regression of the predictions on z.

    All numbers of z vary alike and independently, so the weights of the regression, made one long, are the
    direction in which the prediction rises fastest on average. The strength of the ridge is chosen for each
    column by leaving faces out. Probabilities are better taken as ``log_odds``.

    The new ones are kept at right angles to those they are ``apart_from``, such as the first principal ones,
    which change who it is. In the table: ``r2``, the fraction of the variance of predictions for held-out
    faces that the regression explains, in five folds; ``correlation`` of the two; ``slope``, the change that
    the regression expects from a step of one; ``sd``, the standard deviation over random faces.
    """
    z = sample_z(num_faces, seed)
    batches = tqdm(z.split(250), unit="batch", delay=2, disable=not progress)
    predictions = pd.concat([predictor(pictures(generator, part)) for part in batches], ignore_index=True)
    inputs = z.double().numpy()
    predictions = predictions.loc[:, predictions.std() > 0].astype(np.float64)
    values, ridge = predictions.to_numpy(), RidgeCV(RIDGES, alpha_per_target=True)
    expected = cross_val_predict(ridge, inputs, values, cv=KFold(FOLDS)).reshape(values.shape)  # (N, K)
    weights = ridge.fit(inputs, values).coef_.reshape(-1, Z_SIZE)  # (K, 100)
    rest = weights if apart_from is None else orthogonalize(weights, apart_from.vectors)
    vectors = rest / np.linalg.norm(rest, axis=1, keepdims=True)
    table = {
        "r2": 1 - ((values - expected) ** 2).sum(axis=0) / ((values - values.mean(axis=0)) ** 2).sum(axis=0),
        "correlation": [np.corrcoef(pair)[0, 1] for pair in zip(values.T, expected.T, strict=True)],
        "slope": (weights * vectors).sum(axis=1),
        "sd": values.std(axis=0),
    }
    return Directions(vectors, pd.DataFrame(table, index=predictions.columns))


def write_directions(path: str | Path, directions: Directions, key: str) -> Path:
    """Write directions of the generator with this :func:`~affkit.checkpoints.model_key` into a file."""
    columns = {name: values.tolist() for name, values in directions.table.items()}
    header = {"kind": KIND, "checkpoint": key, "table": json.dumps([directions.names, columns])}
    write_tensors(path, {"vectors": torch.from_numpy(directions.vectors)}, header)
    return Path(path)


def read_directions(path: str | Path, key: str) -> Directions:
    """What :func:`write_directions` wrote; UserError if it is something else, damaged, or of another key."""
    again = "delete it: it is made again"
    tensors, header = read_tensors(path)
    if header.get("kind") != KIND:
        raise UserError(path, "holds no directions", "give another file")
    if header.get("checkpoint") != key:
        raise UserError(path, f"holds directions of another generator, not of {key}", again)
    try:
        names, columns = json.loads(header["table"])
        table = pd.DataFrame(columns, index=names).rename(columns=FORMERLY)
        vectors = tensors["vectors"].double().numpy()
        if vectors.shape != (len(table), Z_SIZE) or not np.isfinite(vectors).all():
            raise ValueError(vectors.shape)
        return Directions(vectors, table)
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(path, "its directions do not fit its table", again) from error

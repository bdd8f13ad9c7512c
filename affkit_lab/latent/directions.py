"""Directions in z along which one thing changes: of a generator's features, or learned from predictions.

Two kinds. *Principal directions* need no labels (GANSpace, Härkönen et al. 2020): principal component
analysis of what the generator's first layers make of many z, carried back to z by regression. They tend to be
light, hair, pose. *Learned directions* follow a prediction, such as valence or an action unit (compare
InterFaceGAN, Shen et al. 2020): ridge regression from z to what a predictor says of the faces. The weights of
the regression are the direction, and how well it meets the predictions for faces it has not seen is its fit.

A good fit is not a good direction. A predictor that takes light for joy gives a direction along which the
light changes, and fits it well: look, and see :mod:`affkit_lab.latent.direction_quality`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from torch import nn
from tqdm import tqdm

from affkit.gan import Z_SIZE, Generator, sample_z
from affkit.generate import pictures
from affkit_lab.latent.predictors import Predictor
from affkit_lab.latent.z_arithmetic import clip_z, orthogonalize

RIDGES = np.logspace(-1, 4, 11)
FOLDS = 5


@dataclass(frozen=True)
class Directions:
    """Named directions in z.

    Attributes
    ----------
    vectors:
        ``(K, 100)`` float64, of length 1.
    table:
        A row for each of them, by its name; what was measured when it was found.
    """

    vectors: np.ndarray
    table: pd.DataFrame

    def __post_init__(self):
        if self.vectors.shape[0] != len(self.table) or not self.table.index.is_unique:
            raise ValueError(f"{len(self.table)} names, or fewer, for {self.vectors.shape[0]} directions")

    @property
    def names(self) -> list[str]:
        """What they are called."""
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
    """GANSpace: the directions of z that move the generator's features most.

    Principal components of the features of a layer, for many z; each component is regressed on z, and what
    comes out is put at right angles, the first one first. The sign is chosen so that the largest number of
    a direction is positive: the same on every machine.

    Parameters
    ----------
    layer:
        Whose features, after its ReLU: 1 is the first one. Features of later layers are many; take fewer z.
    count:
        How many directions.
    num_faces:
        How many z.

    Returns
    -------
    Directions
        ``PCA 1``, ``PCA 2``, ...; ``explained``: its share of the variance of the features; ``fit``: the
        share of the component's variance that a straight line in z explains. Where that is low, the
        component is no direction of z, and the features bend.

    Raises
    ------
    ValueError
        If there is no such layer.
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
    return Directions(
        vectors, pd.DataFrame({"explained": pca.explained_variance_ratio_, "fit": fit}, index=names)
    )


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
    r"""The direction of each column of a predictor, by ridge regression of its predictions on z.

    All numbers of z vary alike and independently, so the weights of the regression, made one long, are the
    direction in which the prediction rises fastest on average. The strength of the ridge is chosen for each
    column by leaving faces out.

    Parameters
    ----------
    predictor:
        See :mod:`affkit_lab.latent.predictors`; probabilities are better read as log odds.
    apart_from:
        Directions that the new ones are kept at right angles to, such as the first principal ones, which
        change who it is. None by default.
    num_faces:
        How many z.

    Returns
    -------
    Directions
        One for each column that is not the same for all faces. ``r2``: share of the variance of the
        predictions of held-out faces that the regression explains, in five folds; ``correlation`` of the two;
        ``slope``: change of the prediction that the regression expects from a step of one; ``spread``:
        standard deviation of the prediction over random faces.
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
        "spread": values.std(axis=0),
    }
    return Directions(vectors, pd.DataFrame(table, index=predictions.columns))

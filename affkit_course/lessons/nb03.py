"""A model that learns in a second, for experiments that ask about the data and not about the model.

Outlines of the face, a projection, straight lines: histograms of oriented gradients (Dalal & Triggs 2005),
their principal components, ridge regression for valence and arousal, logistic regression for each action
unit. OpenFace finds action units in much the same way (Baltrušaitis, Mahmoud & Robinson 2015).

:func:`split_scores` and :func:`subject_scores` train it again and again on different parts of a store.
"""

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupShuffleSplit
from tqdm import tqdm

from affkit.errors import UserError
from affkit.evaluation.evaluate import score
from affkit.labels import ACTION_UNITS, VA, Labels
from affkit.store import Store

CELL = 8  # pixels; a block of the descriptor is 2 x 2 cells with 9 directions each


def outlines(images: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients of grey pictures: ``(N, 36 (S / 8 - 1)**2)`` float32 in [0, 1].

    ``images`` are ``(N, S, S, 3)`` uint8 RGB with ``S`` a multiple of 8, at least 16.

    >>> outlines(np.zeros((2, 32, 32, 3), np.uint8)).shape
    (2, 324)
    """
    size = images.shape[1]
    sides = (size, size), (2 * CELL, 2 * CELL), (CELL, CELL), (CELL, CELL)
    descriptor = cv2.HOGDescriptor(*sides, 9)
    grey = (cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY) for image in images)
    return np.array([descriptor.compute(picture) for picture in grey], np.float32)


class SmallModel:
    """Valence, arousal and action units of single faces, from ``components`` principal components.

    ``strength`` is the penalty on large weights in the regressions.

    >>> from affkit.labels import Labels
    >>> labels = Labels.empty(6)
    >>> labels.has_va[:] = True
    >>> model = SmallModel().fit(np.random.default_rng(0).random((6, 36), np.float32), labels)
    >>> model.predict(np.zeros((2, 36), np.float32)).columns.tolist()
    ['valence', 'arousal']
    """

    def __init__(self, components: int = 100, strength: float = 0.3):
        self.components, self.strength = components, strength

    def fit(self, features: np.ndarray, labels: Labels) -> "SmallModel":
        """Learn from ``(N, D)`` features and their labels; what is not labelled is left out, task by task."""
        components = min(self.components, len(features) - 1, features.shape[1])
        self.space = PCA(components, svd_solver="full")  # for a thousand faces the exact one is the fastest
        points = self.space.fit_transform(features)
        self.affect, self.units = None, {}
        if labels.has_va.any():
            targets = np.stack([labels.valence, labels.arousal], axis=1)[labels.has_va]
            self.affect = Ridge(self.strength).fit(points[labels.has_va], targets)
        labels = labels.with_action_units(ACTION_UNITS)
        for column, name in enumerate(ACTION_UNITS if labels.has_action_units.any() else ()):
            known = labels.has_action_units[:, column]
            self.units[name] = self._unit_model(points[known], labels.action_units[known, column])
        return self

    def _unit_model(self, points: np.ndarray, active: np.ndarray):
        """A classifier of one action unit; a constant one unless both 0 and 1 were seen."""
        if len(np.unique(active)) < 2:
            return DummyClassifier().fit([[0]], active[:1] if len(active) else [0])
        # balanced: a unit seen in one frame of thirty would else never be predicted
        model = LogisticRegression(C=1 / self.strength, class_weight="balanced", solver="newton-cholesky")
        return model.fit(points, active)

    def predict(self, features: np.ndarray) -> pd.DataFrame:
        """Valence and arousal in [-1, 1] and a probability for each of the eight units, a row a face."""
        points = self.space.transform(features)
        columns = {}
        if self.affect is not None:
            columns |= dict(zip(VA, self.affect.predict(points).clip(-1, 1).T, strict=True))
        for name, model in self.units.items():
            chance = dict(zip(model.classes_, model.predict_proba(points).T, strict=True))
            columns[name] = chance.get(1.0, np.zeros(len(points)))
        return pd.DataFrame(columns)


def split_scores(
    store: Store,
    groups: Sequence[str],
    seeds: Iterable[int] = range(10),
    test_share: float = 0.3,
    model: Callable[[], SmallModel] = SmallModel,
    progress: bool = True,
) -> pd.DataFrame:
    """Train on as many frames in two ways: frames drawn at random, and people drawn at random.

    ``groups`` says for each row who it is; the split by people keeps each on one side, and needs two of them.
    Columns: ``split`` (``"frames"`` or ``"people"``), ``seed``, ``train_frames``, ``test_frames``, scores.
    """
    groups = _checked(store, groups)
    features, labels = outlines(store.images), store.labels
    rows = []
    for seed in tqdm(list(seeds), unit="seed", delay=2, disable=not progress):
        kinds = {"frames": np.arange(len(groups)), "people": groups}
        parts = {split: _split(own, test_share, seed) for split, own in kinds.items()}
        fewest = min(len(train) for train, _ in parts.values())
        for split, (train, test) in parts.items():
            train = np.random.default_rng(seed).permutation(train)[:fewest]
            rows.append({"split": split, "seed": seed} | _scores(model(), features, labels, train, test))
    return pd.DataFrame(rows)


def subject_scores(
    store: Store,
    groups: Sequence[str],
    numbers: Sequence[int],
    seeds: Iterable[int] = range(10),
    test_share: float = 0.3,
    model: Callable[[], SmallModel] = SmallModel,
    progress: bool = True,
) -> pd.DataFrame:
    """The same number of training frames from fewer or more people, tested on people never seen.

    The number of frames is what the smallest of ``numbers`` has; every group that is trained on gives about
    as many. For each seed the groups tested on are the same, and a smaller number is part of a larger one.
    Columns as in :func:`split_scores`, with ``people`` instead of ``split``.
    """
    groups = _checked(store, groups)
    features, labels = outlines(store.images), store.labels
    rows = []
    for seed in tqdm(list(seeds), unit="seed", delay=2, disable=not progress):
        rest, test = _split(groups, test_share, seed)
        rng = np.random.default_rng(seed)
        order = rng.permutation(np.unique(groups[rest]))
        if max(numbers) > len(order):
            problem = f"{max(numbers)} people to train on, {len(order)} are there"
            raise UserError(store.path, problem, "ask for fewer, or test on a smaller fraction")
        rest = rng.permutation(rest)
        fewest = np.isin(groups[rest], order[: min(numbers)]).sum()
        for people in numbers:
            own = [rest[groups[rest] == group] for group in order[:people]]
            train = _take_in_turns(own)[:fewest]
            rows.append({"people": people, "seed": seed} | _scores(model(), features, labels, train, test))
    return pd.DataFrame(rows)


def _checked(store: Store, groups: Sequence[str]) -> np.ndarray:
    groups = np.asarray(groups)
    if len(groups) != len(store):
        raise ValueError(f"{len(groups)} groups for {len(store)} rows")
    if len(np.unique(groups)) < 2:
        raise UserError(store.path, "has fewer than 2 people", "take more clips")
    return groups


def _split(groups: np.ndarray, test_share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    splitter = GroupShuffleSplit(1, test_size=test_share, random_state=seed)
    return next(splitter.split(groups, groups=groups))


def _take_in_turns(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The first of each part, then the second of each, and so on.

    >>> _take_in_turns([np.array([1, 2, 3]), np.array([8, 9])]).tolist()
    [1, 8, 2, 9, 3]
    """
    turn = np.concatenate([np.arange(len(part)) for part in parts])
    return np.concatenate(parts)[np.argsort(turn, kind="stable")]


def _scores(model: SmallModel, features: np.ndarray, labels: Labels, train, test) -> dict[str, float]:
    model.fit(features[train], labels[train])
    scores = score(model.predict(features[test]), labels[test])
    return {"train_frames": len(train), "test_frames": len(test)} | scores

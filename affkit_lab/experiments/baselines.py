"""What one gets on a test set without looking at a face: the line below which nothing was learned."""

import numpy as np
import pandas as pd

from affkit.evaluation.evaluate import score
from affkit.labels import ACTION_UNITS, EXPRESSIONS, VA, Labels

AU_WORDS = {"always": "mean VA, units always", "majority": "mean VA, units as more often"}
EXPRESSION_WORDS = {
    "majority": "mean VA, the most frequent expression",
    "draw": "mean VA, an expression by lot",
}
"""The rows of :func:`for_nothing` and of :func:`expressions_for_nothing` in a table."""


def for_nothing(train: Labels, test: Labels) -> pd.DataFrame:
    """What one gets on a test set without looking at a face.

    Valence and arousal are the means of the training set. The action units are, in the row ``always``,
    always active, and in the row ``majority`` each what it is more often in the training set.
    """
    train = train.with_action_units(ACTION_UNITS)
    active = train.action_units.sum(axis=0) / np.maximum(train.has_action_units.sum(axis=0), 1)  # (8,)
    rows = {}
    for name, units in {"always": np.ones(len(active)), "majority": active > 0.5}.items():
        answer = _means(train) | dict(zip(ACTION_UNITS, units.astype(float), strict=True))
        rows[name] = score(pd.DataFrame(answer, index=range(len(test))), test)
    return pd.DataFrame(rows).T


def expressions_for_nothing(train: Labels, test: Labels, seed: int = 0) -> pd.DataFrame:
    """As :func:`for_nothing`, with expressions instead of action units.

    In the row ``majority`` the answer is always the most frequent expression of the training set, in the row
    ``draw`` one drawn by lot, each as often as it is there.
    """
    seen = train.expression[train.has_expression & (train.expression < len(EXPRESSIONS))]
    counts = np.bincount(seen, minlength=len(EXPRESSIONS))  # (7,)
    drawn = np.random.default_rng(seed).choice(len(EXPRESSIONS), len(test), p=counts / counts.sum())
    rows = {}
    for name, answers in {"majority": np.full(len(test), counts.argmax()), "draw": drawn}.items():
        sure = pd.DataFrame(np.eye(len(EXPRESSIONS))[answers], columns=EXPRESSIONS)  # (N, 7)
        rows[name] = score(sure.assign(**_means(train)), test)
    return pd.DataFrame(rows).T


def best_for_nothing(nothing: pd.DataFrame) -> dict[str, float]:
    """Of each score the best one of the rows of :func:`for_nothing`."""
    return {name: nothing[name].min() if name.startswith("mse") else nothing[name].max() for name in nothing}


def _means(train: Labels) -> dict[str, float]:
    seen = train[train.has_va]
    return {name: float(getattr(seen, name).mean()) if len(seen) else 0.0 for name in VA}

"""Baselines: what one scores on a test set without looking at a face. Below it nothing was learned."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from affkit.evaluation.evaluate import score
from affkit.labels import ACTION_UNITS, EXPRESSIONS, VA, Labels

AU_WORDS = {"always": "mean VA, units always", "majority": "mean VA, units as more often"}
EXPRESSION_WORDS = {
    "majority": "mean VA, the most frequent expression",
    "draw": "mean VA, an expression at random",
}
"""The rows of both kinds of baselines in a table."""


def action_unit_baselines(train: Labels, test: Labels) -> pd.DataFrame:
    """Scores on the test set of the training set's mean valence and arousal, with action units that are
    ``always`` active, or each what it is more often there (``majority``): a row each."""
    units = train.with_action_units(ACTION_UNITS)
    active = units.action_units.sum(axis=0) / np.maximum(units.has_action_units.sum(axis=0), 1)  # (8,)
    return _scored({"always": active >= 0, "majority": active > 0.5}, ACTION_UNITS, train, test)


def expression_baselines(train: Labels, test: Labels, seed: int = 0) -> pd.DataFrame:
    """The same with the most frequent expression of the training set (``majority``), or with random ones,
    each as often as there (``draw``)."""
    seen = train.expression[train.has_expression & (train.expression < len(EXPRESSIONS))]
    counts = np.bincount(seen, minlength=len(EXPRESSIONS))  # (7,)
    drawn = np.random.default_rng(seed).choice(len(EXPRESSIONS), len(test), p=counts / counts.sum())
    certain = np.eye(len(EXPRESSIONS))
    return _scored({"majority": certain[counts.argmax()], "draw": certain[drawn]}, EXPRESSIONS, train, test)


def best_baseline(baselines: pd.DataFrame) -> dict[str, float]:
    """Of each score the best of all rows."""
    return {name: own.min() if name.startswith("mse") else own.max() for name, own in baselines.items()}


def _scored(
    answers: Mapping[str, np.ndarray], columns: tuple[str, ...], train: Labels, test: Labels
) -> pd.DataFrame:
    """Scores of answers, one for all faces or one for each, beside the mean valence and arousal."""
    seen, scores = train[train.has_va], {}
    means = {name: float(getattr(seen, name).mean()) if len(seen) else 0.0 for name in VA}
    for name, answer in answers.items():
        table = np.broadcast_to(answer.astype(float), (len(test), len(columns)))
        scores[name] = score(pd.DataFrame(table, columns=columns).assign(**means), test)
    return pd.DataFrame(scores).T

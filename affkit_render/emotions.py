"""Six emotions as published: which of them people blend, and how often each occurs in the drawn corpus.

Where they lie in valence and arousal, and which action units show them, is in :mod:`affkit.labels`.

References
----------
S. Du, Y. Tao, A. M. Martinez, "Compound facial expressions of emotion", PNAS 111(15), 2014.
"""

from affkit.labels import EXPRESSION_ACTION_UNITS, EXPRESSION_PLACES

ANCHORS = {name: place for name, place in EXPRESSION_PLACES.items() if name != "Neutral"}
"""Valence and arousal of each emotion, as in :data:`affkit.labels.EXPRESSION_PLACES`."""

SHOWN_UNITS = tuple(
    sorted({unit for units in EXPRESSION_ACTION_UNITS.values() for unit in units}, key=lambda u: int(u[2:]))
)
"""All action units that a performance can contain: the paper's eight and nine more."""

COMPOUNDS = {
    "Happiness": ("Surprise", "Disgust"),
    "Sadness": ("Fear", "Anger", "Surprise", "Disgust"),
    "Fear": ("Sadness", "Anger", "Surprise", "Disgust"),
    "Anger": ("Sadness", "Fear", "Surprise", "Disgust"),
    "Surprise": ("Happiness", "Sadness", "Fear", "Anger", "Disgust"),
    "Disgust": ("Happiness", "Sadness", "Fear", "Anger", "Surprise"),
}
"""Expressions that people blend ("happily surprised"); Du et al. 2014, their compound categories."""

EXPRESSION_SHARES = {
    "Happiness": 0.31,
    "Surprise": 0.15,
    "Anger": 0.16,
    "Sadness": 0.06,
    "Disgust": 0.23,
    "Fear": 0.09,
}
"""How often an episode is of each emotion: a choice, skewed as in the wild, and such that action units are a
little more frequent than in Table III of the paper, which counts only what all coders agree on."""

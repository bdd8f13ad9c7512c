"""Six emotions as published: where they lie in valence and arousal, and which of them people blend.

Which action units show them is in :data:`affkit.synth.actions.EXPRESSION_ACTION_UNITS`.

References
----------
J. A. Russell, A. Mehrabian, "Evidence for a three-factor theory of emotions", J. Research in Personality
11(3), 1977. S. Du, Y. Tao, A. M. Martinez, "Compound facial expressions of emotion", PNAS 111(15), 2014.
"""

from affkit.synth.actions import EXPRESSION_ACTION_UNITS

ANCHORS = {
    "Happiness": (0.81, 0.51),
    "Surprise": (0.40, 0.67),
    "Anger": (-0.51, 0.59),
    "Fear": (-0.64, 0.60),
    "Disgust": (-0.60, 0.35),
    "Sadness": (-0.63, -0.27),
}
"""Valence and arousal of each emotion (Russell & Mehrabian 1977, pleasure and arousal)."""

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
    "Happiness": 0.37,
    "Surprise": 0.15,
    "Anger": 0.15,
    "Sadness": 0.09,
    "Disgust": 0.15,
    "Fear": 0.09,
}
"""How often an episode is of each emotion: a choice, skewed as in the wild, and such that action units are as
frequent as in Table III of the paper."""

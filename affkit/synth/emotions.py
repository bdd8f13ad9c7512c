"""Six emotions as published: where they lie in valence and arousal, and which action units show them.

References
----------
J. A. Russell, A. Mehrabian, "Evidence for a three-factor theory of emotions", J. Research in Personality
11(3), 1977. S. Du, Y. Tao, A. M. Martinez, "Compound facial expressions of emotion", PNAS 111(15), 2014.
"""

ANCHORS = {
    "Happiness": (0.81, 0.51),
    "Surprise": (0.40, 0.67),
    "Anger": (-0.51, 0.59),
    "Fear": (-0.64, 0.60),
    "Disgust": (-0.60, 0.35),
    "Sadness": (-0.63, -0.27),
}
"""Valence and arousal of each emotion (Russell & Mehrabian 1977, pleasure and arousal)."""

UNIT_SHARES = {
    "Happiness": {"AU12": 1, "AU25": 1, "AU6": 0.51},
    "Sadness": {"AU4": 1, "AU15": 1, "AU1": 0.60, "AU6": 0.50, "AU17": 0.67},
    "Fear": {"AU1": 1, "AU4": 1, "AU20": 1, "AU25": 1, "AU2": 0.57, "AU5": 0.63, "AU26": 0.33},
    "Anger": {"AU4": 1, "AU7": 1, "AU24": 1, "AU10": 0.26, "AU17": 0.52, "AU23": 0.29},
    "Surprise": {"AU1": 1, "AU2": 1, "AU25": 1, "AU26": 1, "AU5": 0.66},
    "Disgust": {"AU9": 1, "AU10": 1, "AU17": 1, "AU4": 0.31, "AU24": 0.26},
}
"""Share of people who use an action unit in an expression (Du et al. 2014, Table 1). Their table says "over
70%" for the main ones, which is 1 here. Left out: AU11 in sadness (26%), which no drawn face can move."""

SHOWN_UNITS = tuple(
    sorted({unit for units in UNIT_SHARES.values() for unit in units}, key=lambda u: int(u[2:]))
)
"""All action units that a performance can contain: the paper's eight and eight more."""

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
    "Happiness": 0.34,
    "Sadness": 0.19,
    "Surprise": 0.16,
    "Anger": 0.12,
    "Fear": 0.11,
    "Disgust": 0.08,
}
"""How often an episode is of each emotion: a choice, skewed as in the wild."""

"""From action units to the 52 facial actions the mesh can do.

An action unit (FACS, Ekman & Friesen 1978) is not one facial action: raising the inner brow also needs a
little of the brow's inner end lifted on each side, and several actions are weak in the assets. The weights
below were set by eye so that an intensity of 1 looks like FACS level D to E; weights above 1 are meant.
"""

from collections.abc import Mapping

import numpy as np


def _both(**weights: float) -> dict[str, float]:
    """The same weight on the left and the right side."""
    return {name + side: weight for name, weight in weights.items() for side in ("Left", "Right")}


AU_ACTIONS: dict[str, dict[str, float]] = {
    "AU1": {"browInnerUp": 1.35},
    "AU2": _both(browOuterUp=1.4) | {"browInnerUp": 0.25},
    "AU4": _both(browDown=2.0, eyeWide=0.4),
    "AU5": _both(eyeWide=1.3),
    "AU6": _both(cheekSquint=1.5, eyeSquint=0.6),
    "AU7": _both(eyeSquint=0.75),
    "AU9": _both(noseSneer=1.5, browDown=0.35, eyeSquint=0.3),
    "AU10": _both(mouthUpperUp=1.0, noseSneer=0.4),
    "AU11": _both(noseSneer=0.5),
    "AU12": _both(mouthSmile=1.1),
    "AU15": _both(mouthFrown=1.25),
    "AU17": {"mouthShrugLower": 1.0, "mouthShrugUpper": 0.35},
    "AU20": _both(mouthStretch=1.5, mouthSmile=0.15, mouthDimple=0.6, mouthLowerDown=0.15),
    "AU23": {"mouthRollUpper": 0.45, "mouthRollLower": 0.45, "mouthPucker": 0.25},
    "AU24": _both(mouthPress=0.2, mouthFrown=0.35) | {"mouthRollUpper": 0.6, "mouthRollLower": 0.6},
    "AU25": _both(mouthLowerDown=0.9, mouthUpperUp=0.55) | {"jawOpen": 0.18},
    "AU26": {"jawOpen": 0.6},
}
"""Weights of the facial actions for each action unit at intensity 1."""


def facial_actions(
    action_units: Mapping[str, float], asymmetry: float = 0.0, **extra: float
) -> dict[str, float]:
    """Facial actions for some action units.

    ``action_units``: Name to intensity in [0, 1]; names are the keys of :data:`AU_ACTIONS`.
    ``asymmetry``: In [-1, 1]; positive makes the subject's left side stronger, by up to half.
    ``extra``: ``blink`` (0 open, 1 shut), ``jaw`` (0 to 1), or any facial action by name; added on top.

    Raises :class:`ValueError` if an action unit is unknown.

    >>> facial_actions({"AU12": 0.5}, asymmetry=0.2)
    {'mouthSmileLeft': 0.605, 'mouthSmileRight': 0.495}
    """
    actions: dict[str, float] = {}
    for unit, intensity in action_units.items():
        if unit not in AU_ACTIONS:
            raise ValueError(f"unknown action unit {unit!r}; known: {', '.join(AU_ACTIONS)}")
        for name, weight in AU_ACTIONS[unit].items():
            side = 1.0 if name.endswith("Left") else -1.0 if name.endswith("Right") else 0.0
            fraction = 1 + 0.5 * float(np.clip(asymmetry, -1, 1)) * side
            actions[name] = actions.get(name, 0.0) + weight * float(intensity) * fraction
    for name, value in extra.items():
        for action in {"blink": ("eyeBlinkLeft", "eyeBlinkRight"), "jaw": ("jawOpen",)}.get(name, (name,)):
            actions[action] = actions.get(action, 0.0) + float(value)
    return {name: round(value, 6) for name, value in actions.items()}

"""Creases that come with an action or with age: drawn once, faded in by weight.

Each map is a picture in the skin's texture coordinates of how light changes over the creases: dark in the
groove, a little lighter on the ridge above it, as under light from above.
"""

from collections.abc import Mapping
from functools import cache

import cv2
import numpy as np

from affkit_render.paint import to_texel

SIZE = 512

_LINES: dict[str, list[list[tuple[float, float]]]] = {
    "furrow": [[(0.055, 7.60), (0.066, 7.53), (0.058, 7.44)], [(0.105, 7.57), (0.10, 7.51), (0.085, 7.46)]],
    "forehead": [
        [(-0.30, 7.66), (-0.15, 7.685), (0.0, 7.675), (0.15, 7.685), (0.30, 7.66)],
        [(-0.32, 7.74), (-0.15, 7.76), (0.0, 7.75), (0.15, 7.76), (0.32, 7.74)],
        [(-0.28, 7.82), (-0.1, 7.835), (0.1, 7.835), (0.28, 7.82)],
    ],
    "temples": [[(0.22, 7.68), (0.36, 7.71), (0.50, 7.66)], [(0.22, 7.76), (0.36, 7.79), (0.48, 7.75)]],
    "nose": [
        [(0.02, 7.30), (0.08, 7.27), (0.125, 7.20)],
        [(0.03, 7.24), (0.09, 7.20), (0.13, 7.12)],
        [(0.0, 7.36), (0.05, 7.35), (0.10, 7.32)],
        [(0.10, 7.10), (0.15, 7.06), (0.19, 7.00)],
    ],
    "cheeks": [[(0.195, 6.99), (0.25, 6.90), (0.31, 6.79), (0.345, 6.68), (0.35, 6.58)]],
    "eyes": [
        [(0.505, 7.30), (0.56, 7.33), (0.62, 7.36)],
        [(0.51, 7.27), (0.57, 7.27), (0.63, 7.28)],
        [(0.50, 7.24), (0.56, 7.21), (0.61, 7.19)],
        [(0.18, 7.17), (0.28, 7.13), (0.40, 7.145), (0.46, 7.18)],
    ],
    "chin": [
        [(-0.13, 6.47), (-0.06, 6.50), (0.0, 6.505), (0.06, 6.50), (0.13, 6.47)],
        [(0.04, 6.41), (0.07, 6.37)],
        [(0.10, 6.44), (0.12, 6.38)],
        [(0.0, 6.43), (0.015, 6.38)],
    ],
    "corners": [[(0.275, 6.61), (0.31, 6.56), (0.325, 6.48)]],
    "stretch": [[(0.36, 6.70), (0.39, 6.62), (0.375, 6.53)], [(0.43, 6.72), (0.46, 6.62), (0.44, 6.50)]],
}

_DRIVERS: dict[str, dict[str, float]] = {
    "furrow": {"browDown": 0.75},
    "forehead": {"browInnerUp": 0.7},
    "temples": {"browOuterUp": 0.75},
    "nose": {"noseSneer": 0.75},
    "cheeks": {"mouthSmile": 0.65, "noseSneer": 0.4, "mouthUpperUp": 0.45, "mouthStretch": 0.2},
    "eyes": {"cheekSquint": 0.7, "eyeSquint": 0.25},
    "chin": {"mouthShrugLower": 0.8},
    "corners": {"mouthFrown": 0.7, "mouthPress": 0.3},
    "stretch": {"mouthStretch": 0.6},
}
_AGEING = {"furrow": 0.3, "forehead": 0.55, "temples": 0.3, "cheeks": 0.65, "eyes": 0.6, "corners": 0.45}


@cache
def maps() -> np.ndarray:
    """(9, SIZE, SIZE) float32, in the order of the table of lines; both sides of the face."""
    drawn = []
    for lines in _LINES.values():
        groove = np.zeros((SIZE, SIZE), np.uint8)
        for line in lines:
            for side in (-1, 1):
                bend = np.rint(to_texel(*_smooth(side, line), SIZE) * 16).astype(int)
                for k, depth in enumerate(255 * np.sin(np.linspace(0, np.pi, len(bend))[:-1]) ** 0.7):
                    cv2.line(groove, bend[k], bend[k + 1], int(depth), 1, cv2.LINE_AA, 4)
        dark = cv2.GaussianBlur(groove.astype(np.float32) / 255, (0, 0), 1.7)
        wide = cv2.GaussianBlur(groove.astype(np.float32) / 255, (0, 0), 4.5)
        ridge = np.roll(wide, -5, axis=0)
        drawn.append(0.55 * ridge - 0.5 * dark - 0.55 * wide)
    return np.stack(drawn)


def _smooth(side: int, line: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """More points between the given ones."""
    points = np.array(line)
    at = np.linspace(0, len(points) - 1, 8 * len(points))
    x, y = (np.interp(at, np.arange(len(points)), points[:, k]) for k in (0, 1))
    return side * x, y


def crease_weights(actions: Mapping[str, float], age: float) -> np.ndarray:
    """(9,) weight of each map: what the actions fold, more on older skin, and what age has left."""
    years = float(np.clip((age - 30) / 45, 0, 1.1))
    weights = []
    for name, drivers in _DRIVERS.items():
        fold = sum(
            fraction
            * (
                actions.get(action, 0.0)
                + (actions.get(action + "Left", 0) + actions.get(action + "Right", 0)) / 2
            )
            for action, fraction in drivers.items()
        )
        weights.append(np.clip(fold, 0, 1.2) * (0.75 + 0.5 * years) + _AGEING.get(name, 0.0) * years)
    return np.array(weights, np.float32)


def crease_map(actions: Mapping[str, float], age: float) -> np.ndarray:
    """(SIZE, SIZE) float32 to multiply light with, after adding 1."""
    return np.tensordot(crease_weights(actions, age), maps(), 1)

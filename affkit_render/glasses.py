"""Spectacles: two rounded rims, a bridge and two temples, as thin tubes."""

from dataclasses import dataclass

import numpy as np

from affkit_render.eyes import Eyeball

_SIDES = 6
_THICKNESS = 0.011


@dataclass(frozen=True)
class Frame:
    """``vertices`` (V, 3), ``triangles`` (T, 3) int32 and unit ``normals`` (V, 3)."""

    vertices: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray


def spectacles(eyeballs: list[Eyeball], skin: np.ndarray) -> Frame:
    """A frame that sits before the eyes of a person; ``skin`` (M, 3) tells how far out it must stay."""
    centres = np.array([ball.centre for ball in eyeballs])
    half_gap = float(np.abs(centres[:, 0]).mean())
    level = float(centres[:, 1].mean()) - 0.02
    near = skin[(np.abs(skin[:, 0]) < 0.5) & (np.abs(skin[:, 1] - level) < 0.2) & (np.abs(skin[:, 0]) > 0.12)]
    front = float(near[:, 2].max()) + 0.03
    turn = np.linspace(0, 2 * np.pi, 40)
    across = 0.255 * np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.7
    up = 0.19 * np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.7
    paths = []
    for side in (-1, 1):
        x = side * (half_gap + 0.01) + across
        paths.append(np.stack([x, level + up, front - 0.25 * np.abs(x) ** 2], axis=1))
        edge = half_gap + 0.265
        ear = skin[np.abs(skin[:, 1] - level) < 0.1]
        far = float(np.abs(ear[(ear[:, 2] > 0.3) & (ear[:, 2] < 0.6), 0]).max())
        temple = [[edge, 0.10, front - 0.25 * edge**2], [far * 0.97, 0.09, 0.9], [far, 0.04, 0.35]]
        paths.append(np.array(temple) * [side, 1, 1] + [0, level, 0])
    bridge = np.linspace(-1, 1, 9)
    gap = half_gap - 0.24
    paths.append(np.stack([gap * bridge, level + 0.07 - 0.03 * bridge**2, front + 0 * bridge], axis=1))
    return _join([_tube(path) for path in paths])


def _tube(path: np.ndarray) -> Frame:
    """A round tube along a path (P, 3)."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    guide = np.where(np.abs(along[:, 2:]) > 0.8, [[0.0, 1, 0]], [[0.0, 0, 1]])
    first = np.cross(along, guide)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(along, first)
    turn = np.linspace(0, 2 * np.pi, _SIDES, endpoint=False)
    normals = np.cos(turn)[None, :, None] * first[:, None] + np.sin(turn)[None, :, None] * second[:, None]
    vertices = path[:, None] + _THICKNESS * normals
    ring, step = np.arange(_SIDES), np.arange(len(path) - 1)[:, None] * _SIDES
    a, b = (step + ring).ravel(), (step + (ring + 1) % _SIDES).ravel()
    triangles = np.concatenate([np.stack([a, b, a + _SIDES], 1), np.stack([b, b + _SIDES, a + _SIDES], 1)])
    return Frame(vertices.reshape(-1, 3), triangles, normals.reshape(-1, 3))


def _join(frames: list[Frame]) -> Frame:
    starts = np.cumsum([0] + [len(frame.vertices) for frame in frames[:-1]])
    return Frame(
        np.concatenate([frame.vertices for frame in frames]).astype(np.float32),
        np.concatenate([frame.triangles + s for frame, s in zip(frames, starts, strict=True)]).astype(
            np.int32
        ),
        np.concatenate([frame.normals for frame in frames]).astype(np.float32),
    )

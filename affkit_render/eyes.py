"""Eyeballs are exact spheres: rays meet them by formula, and iris and pupil are painted by angle."""

from dataclasses import dataclass

import numpy as np

from affkit_render.assets import EYES, base_mesh

IRIS_ANGLE = 0.50  # radians from the optical axis to the edge of the iris
PUPIL_ANGLE = 0.19
LOWEST = -0.46  # in radii: below this the lower lid covers the ball, whatever the mesh does


@dataclass(frozen=True)
class Eyeball:
    """``centre`` (3,) and ``radius`` in decimetres, in the coordinates of the head."""

    centre: np.ndarray
    radius: float


def find_eyeballs(vertices: np.ndarray) -> list[Eyeball]:
    """The spheres that fit a person's eye sockets, left then right, from base vertices (V, 3)."""
    balls = []
    for group in EYES.values():
        points = vertices[np.unique(base_mesh().quads[group])]
        low, high = points.min(0), points.max(0)
        radius = float((high - low)[:2].mean() / 2)
        centre = (low + high) / 2 - [0, 0, 0.01]
        balls.append(Eyeball(centre.astype(np.float32), 0.97 * radius))  # a tight squint must not cut into it
    return balls


def gaze_direction(gaze: tuple[float, float]) -> np.ndarray:
    """Unit vector of the optical axis for (right, up) in radians, as the camera sees a frontal face."""
    right, up = gaze
    axis = np.array([np.sin(right) * np.cos(up), np.sin(up), np.cos(right) * np.cos(up)], np.float32)
    return axis


def meet_sphere(origin: np.ndarray, rays: np.ndarray, ball: Eyeball) -> np.ndarray:
    """Distance along unit ``rays`` (N, 3) from ``origin`` (3,) to the sphere's front; inf where missed.

    What the lower lid always covers counts as missed.
    """
    offset = (origin - ball.centre).astype(np.float32)
    along = rays @ offset  # (N,)
    inside = along**2 - (offset @ offset - ball.radius**2)
    near = np.nonzero(inside > 0)[0]  # few: an eye is small
    distance = -along[near] - np.sqrt(inside[near])
    height = (offset[1] + distance * rays[near, 1]) / ball.radius
    met = np.full(len(rays), np.inf, np.float32)
    met[near] = np.where(height > LOWEST, distance, np.inf)
    return met


def paint_eyeball(normals: np.ndarray, axis: np.ndarray, iris: np.ndarray, seed: int) -> np.ndarray:
    """Linear RGB (N, 3) of sclera, iris and pupil for sphere normals (N, 3) and the optical ``axis`` (3,)."""
    cosine = np.clip(normals @ axis, -1, 1)
    angle = np.arccos(cosine)
    side = np.cross([0, 1, 0], axis)
    around = np.arctan2(normals @ np.cross(axis, side), normals @ side)
    white = np.array([0.66, 0.63, 0.60], np.float32)
    vein = np.clip((angle - 0.7) / 0.7, 0, 1)[:, None] * np.array([0.0, 0.14, 0.13], np.float32)
    colour = white - vein
    phase = (seed % 97) * 0.7
    fibres = 0.5 + 0.5 * np.sin(23 * around + 3 * np.sin(7 * around + phase))
    ring = np.clip((angle - PUPIL_ANGLE) / (IRIS_ANGLE - PUPIL_ANGLE), 0, 1)
    # A lighter collar round the pupil, radial fibres, a dark ring at the limbus.
    shade = (
        (1.35 - 0.45 * ring)
        * (0.78 + 0.34 * fibres)
        * (1 - 0.75 * np.clip((ring - 0.78) / 0.22, 0, 1) ** 1.5)
    )
    colour = _mix(colour, shade[:, None] * iris, _edge(angle, IRIS_ANGLE, 0.05))
    return _mix(colour, np.float32(0.006), _edge(angle, PUPIL_ANGLE, 0.03)).astype(np.float32)


def _edge(angle: np.ndarray, limit: float, width: float) -> np.ndarray:
    """1 inside ``limit``, 0 outside, a soft step between; (N, 1)."""
    return np.clip((limit - angle) / width + 0.5, 0, 1)[:, None]


def _mix(below: np.ndarray, above: np.ndarray, share: np.ndarray) -> np.ndarray:
    return below + (above - below) * share

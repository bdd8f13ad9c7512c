"""Eyeballs, exact spheres that rays meet by formula, painted by angle; and spectacles, thin tubes."""

from dataclasses import dataclass

import numpy as np

from affkit_render.assets import EYES, base_mesh

IRIS_ANGLE = 0.50  # radians from the optical axis to the edge of the iris
PUPIL_ANGLE = 0.19
_SIDES, _THICKNESS = 6, 0.011  # of the tubes that spectacles are made of
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


def _mix(below: np.ndarray, above: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    return below + (above - below) * fraction


@dataclass(frozen=True)
class Spectacles:
    """``vertices`` (V, 3), ``triangles`` (T, 3) int32 and unit ``normals`` (V, 3)."""

    vertices: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray


def spectacles(eyeballs: list[Eyeball], skin: np.ndarray) -> Spectacles:
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


def _tube(path: np.ndarray) -> Spectacles:
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
    return Spectacles(vertices.reshape(-1, 3), triangles, normals.reshape(-1, 3))


def _join(frames: list[Spectacles]) -> Spectacles:
    starts = np.cumsum([0] + [len(frame.vertices) for frame in frames[:-1]])
    return Spectacles(
        np.concatenate([frame.vertices for frame in frames]).astype(np.float32),
        np.concatenate([frame.triangles + s for frame, s in zip(frames, starts, strict=True)]).astype(
            np.int32
        ),
        np.concatenate([frame.normals for frame in frames]).astype(np.float32),
    )

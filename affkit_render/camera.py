"""Where the head is, how it is turned, how the camera sees it, and which triangle a ray meets (by Embree).

Coordinates: the head's own (decimetres, x to the subject's left, y up, z out of the face); the camera's (x
right, y up, z to the camera); the image's (pixels, x right, y down, pixel centres at whole numbers).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

DISTANCE = 14.0  # decimetres from the camera to the head: a portrait lens
FACE_AHEAD = 0.65  # the face is this much nearer to the camera than the middle of the head


@dataclass(frozen=True)
class Pose:
    """Where the head is and how it is turned.

    ``yaw``, ``pitch``, ``roll`` in radians: positive turns the face to the image's right, up, and clockwise.
    ``x``, ``y``: image position of the head's centre; ``size``: chin to hairline; all in pixels.
    """

    yaw: float
    pitch: float
    roll: float
    x: float
    y: float
    size: float

    def rotation(self, fraction: float = 1.0) -> np.ndarray:
        """(3, 3) float32 from head to camera coordinates, or a fraction of that turn."""
        (cy, cp, cr), (sy, sp, sr) = (
            f(fraction * np.array([self.yaw, self.pitch, self.roll])) for f in (np.cos, np.sin)
        )
        yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        pitch = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        roll = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
        return (roll @ pitch @ yaw).astype(np.float32)


@dataclass(frozen=True)
class HeadView:
    """The camera as the head sees it: ``eye`` (3,), ``rotation`` (3, 3) head to camera, ``scale`` decimetres
    a pixel at the head's centre."""

    head: Any  # an affkit_render.head.Head, which rests on this module
    pose: Pose

    @property
    def rotation(self) -> np.ndarray:
        return self.pose.rotation()

    @property
    def scale(self) -> float:
        return self.head.height / self.pose.size * DISTANCE / (DISTANCE - FACE_AHEAD)

    @property
    def eye(self) -> np.ndarray:
        return self.head.centre + DISTANCE * self.rotation[2]

    def project(self, points: np.ndarray) -> np.ndarray:
        """Image positions (N, 2) of points (N, 3)."""
        seen = (points - self.head.centre) @ self.rotation.T
        shrink = DISTANCE / (DISTANCE - seen[:, 2:]) / self.scale
        return seen[:, :2] * shrink * [1, -1] + [self.pose.x, self.pose.y]

    def rays(self, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Unit directions (H * W, 3) float32 from the eye through a grid of image positions, row by row.

        ``columns`` (W,) and ``rows`` (H,) are in pixels. A turn keeps lengths, so both the direction and its
        length are a sum of what the column and what the row says: no product of matrices for each ray.
        """
        right, up, back = self.rotation
        x = ((columns - self.pose.x) * self.scale).astype(np.float32)  # (W,)
        y = ((self.pose.y - rows) * self.scale).astype(np.float32)  # (H,)
        towards = (y[:, None] * up - DISTANCE * back)[:, None] + x[:, None] * right  # (H, W, 3)
        towards /= np.sqrt((y**2 + DISTANCE**2)[:, None] + x**2)[..., None]
        return towards.reshape(-1, 3)


def dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) scalar products of the rows of two arrays (N, 3); several times faster than a sum over columns."""
    return np.einsum("nc,nc->n", a, b)


def unit(vectors: np.ndarray) -> np.ndarray:
    """The rows of (N, 3) at length 1; a row of zeros stays zero."""
    return vectors / np.maximum(np.sqrt(dots(vectors, vectors)), 1e-6)[:, None]


@dataclass(frozen=True)
class Hits:
    """``triangle`` (N,), -1 where nothing was met; ``weights`` (N, 3) of its corners; ``distance`` (N,)."""

    triangle: np.ndarray
    weights: np.ndarray
    distance: np.ndarray


class RayScene:
    """Triangles (T, 3) over vertices (V, 3), ready for rays.

    ``names`` (T,) are the numbers to answer with, when the triangles are a selection of others.
    ``corners`` (8, 3) span the box round all vertices.
    """

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray, names: np.ndarray | None = None):
        self._names = names
        ends = np.stack([vertices.min(0), vertices.max(0)])
        self.corners = np.stack(np.meshgrid(*ends.T), axis=-1).reshape(-1, 3)
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, np.ascontiguousarray(vertices, np.float32), triangles)

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """The first triangle each ray meets; distances count in lengths of ``directions``."""
        found = self._scene.run(_rows(origins), _rows(directions), output=True)
        u, v, triangle = found["u"], found["v"], found["primID"]
        distance = np.where(triangle >= 0, found["tfar"], np.float32(np.inf))
        if self._names is not None:
            triangle = np.where(triangle >= 0, self._names[triangle], -1)
        return Hits(triangle, np.stack([1 - u - v, u, v], axis=1), distance)

    def blocked(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """(N,) bool: does the ray meet anything?"""
        return self._scene.run(_rows(origins), _rows(directions), query="OCCLUDED") >= 0


def _rows(vectors: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vectors, np.float32)

"""A person ready to be drawn: mesh, facial actions, hair, texture and occlusion, built once."""

from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from affkit_render import assets, hair, paint
from affkit_render.camera import RayScene
from affkit_render.eyes import find_eyeballs, spectacles
from affkit_render.identity import Identity

CHIN, HAIRLINE = 6.23, 7.92  # on the base mesh
REST_ACTIONS = {"mouthSmileLeft": 0.11, "mouthSmileRight": 0.11, "eyeWideLeft": 0.3, "eyeWideRight": 0.3}
"""What a relaxed face needs on top of the assets: their mouth corners and lids hang a little."""
_DIRECTIONS = 40


class Head:
    """A person ready to be drawn.

    ``identity``: Who it is; the same identity gives the same head.

    ``neutral``: (M, 3) drawn vertices at rest, decimetres, x to the subject's left, y up, z out of the face.
    ``triangles``: (T, 3) int32.
    ``surface``: (M, 8) float32 for each vertex: texture column and row, open sky, lips, mouth cavity, lash
        line, height of the collar above the vertex, kind (0 skin, 1 teeth, 2 tongue).
    ``texture``: Pictures (S, S, 4) float32, each half the size of the one before: linear RGB and hair cover.
    ``centre``, ``height``: The middle of the head (3,), and chin to hairline, in decimetres.

    >>> from affkit_render.identity import sample_identity
    >>> head = Head(sample_identity(0))
    >>> head.deform({"jawOpen": 1.0}).shape == head.neutral.shape
    True
    """

    def __init__(self, identity: Identity):
        self.identity = identity
        rig = assets.rig()
        base = assets.morphed(identity.shape)
        self.triangles = rig.triangles
        self.neutral = (rig.smooth @ base).astype(np.float32)
        self.neutral += self._offsets(REST_ACTIONS)
        self._seat_teeth(rig)
        self._corner_of = _incidence(rig.triangles, len(rig.rest))
        self._lip_middles = [
            int(np.argmin(((rig.rest - point) ** 2).sum(1)))
            for point in ([0, 6.630, 1.578], [0, 6.556, 1.566])
        ]
        self.eyeballs = find_eyeballs(base)
        skin = rig.parts["skin"]
        collar = _collar(rig.rest)
        normals = self.normals(self.areas(self.neutral))
        self._thicken(normals, collar, rig.rest)
        normals = self.normals(self.areas(self.neutral))
        chin, hairline = (_nearest(rig.rest, self.neutral, y) for y in (CHIN, HAIRLINE))
        self.height = float(hairline[1] - chin[1])
        self.centre = np.array([0, (hairline[1] + chin[1]) / 2, 0.75], np.float32)
        self.hair = hair.grow(
            identity, self.neutral[skin], normals[skin], rig.rest[skin], rig.masks["ears"][skin]
        )
        self.frame = spectacles(self.eyeballs, self.neutral[skin]) if identity.glasses else None
        self.two_sided = rig.triangles.max(1) >= skin.stop
        self.fixed = self._fixed_scene()
        self.hair = replace(self.hair, sky=self._hair_sky())
        _, height, angle = paint.texel_positions()
        self.texture = _pyramid(paint.paint(identity, _scalp_cover(identity, angle, height)))
        self.surface = self._surface(rig, normals, collar)
        self.body_share = np.clip((6.15 - rig.rest[:, 1]) / 0.55, 0, 1).astype(np.float32)
        turn = np.abs(np.arctan2(rig.rest[:, 0], rig.rest[:, 2] - 0.45))
        level = rig.rest[:, 1]
        self.face = np.nonzero((level > 6.2) & (level < 7.72) & (turn < 1.3) & (rig.masks["ears"] < 0.1))[0]

    def deform(self, actions: Mapping[str, float]) -> np.ndarray:
        """(M, 3) vertices under facial actions; weights may exceed 1.

        Raises :class:`ValueError` if an action is unknown.
        """
        return self.neutral + self._offsets(actions)

    def mouth_gap(self, vertices: np.ndarray) -> float:
        """Decimetres between the lips at their middle, beyond the gap at rest."""
        upper, lower = self._lip_middles
        now, rest = (v[upper, 1] - v[lower, 1] for v in (vertices, self.neutral))
        return float(now - rest)

    def areas(self, vertices: np.ndarray) -> np.ndarray:
        """(T, 3) normal of each triangle, as long as twice its area."""
        corners = vertices[self.triangles]
        (x1, y1, z1), (x2, y2, z2) = (corners[:, k].T - corners[:, 0].T for k in (1, 2))
        return np.stack([y1 * z2 - z1 * y2, z1 * x2 - x1 * z2, x1 * y2 - y1 * x2], axis=1)

    def normals(self, areas: np.ndarray) -> np.ndarray:
        """(M, 3) unit normals: the mean of the triangles round each vertex, weighted by area."""
        summed = self._corner_of @ areas
        return summed / np.maximum(np.sqrt((summed**2).sum(1, keepdims=True)), 1e-12)

    def _offsets(self, actions: Mapping[str, float]) -> np.ndarray:
        """(M, 3) sum of the actions: one matrix product over those that are not zero."""
        names = assets.action_names()
        unknown = set(actions) - set(names)
        if unknown:
            raise ValueError(f"unknown facial actions: {', '.join(sorted(unknown))}")
        active = [(names.index(name), weight) for name, weight in actions.items() if weight]
        if not active:
            return np.zeros((1, 3), np.float32)
        rows, weights = zip(*active, strict=True)
        return (np.array(weights, np.float32) @ assets.action_offsets()[list(rows)]).reshape(-1, 3)

    def _thicken(self, normals: np.ndarray, collar: np.ndarray, rest: np.ndarray) -> None:
        """Cloth, a full beard and cropped hair stand off the skin."""
        cloth = 0.055 * np.clip(collar / 0.05, 0, 1)
        angle = np.arctan2(rest[:, 0], rest[:, 2] - 0.45)
        front = np.abs(angle) < 1.45
        bearded = self.identity.beard in ("full", "goatee", "moustache")
        beard = 0.035 * paint.beard_area(rest[:, 0], rest[:, 1], self.identity.beard) * front * bearded
        cropped = {"buzz": 0.035, "bald": 0.0}.get(self.identity.hair_style, 0.02)
        crown = (
            cropped * hair.scalp(angle, rest[:, 1], self.identity, 0.25) * (assets.rig().masks["ears"] < 0.1)
        )
        skin = assets.rig().parts["skin"]
        depth = np.maximum(np.maximum(cloth, beard), crown)[skin, None]
        self.neutral[skin] += (normals[skin] * depth).astype(np.float32)

    def _seat_teeth(self, rig: assets.Rig) -> None:
        """The assets' teeth are wide and would show through the corners of a narrow mouth."""
        for part, lower in (("upper_teeth", 0.03), ("lower_teeth", 0.06)):
            teeth = self.neutral[rig.parts[part]]
            teeth[:, 1] -= lower
            teeth[:, 0] *= 0.70
            teeth[:, 2] -= 0.05

    def _fixed_scene(self) -> RayScene | None:
        """Hair and glasses: what no expression moves, so that its ray structure is built once."""
        meshes = [(self.hair.vertices, self.hair.triangles)]
        if self.frame is not None:
            meshes.append((self.frame.vertices, self.frame.triangles))
        vertices = np.concatenate([mesh[0] for mesh in meshes])
        if not len(vertices):
            return None
        starts = np.cumsum([0] + [len(mesh[0]) for mesh in meshes[:-1]])
        triangles = np.concatenate([mesh[1] + start for mesh, start in zip(meshes, starts, strict=True)])
        return RayScene(vertices, triangles.astype(np.int32))

    def _surface(self, rig: assets.Rig, normals: np.ndarray, collar: np.ndarray) -> np.ndarray:
        """See the class: what is known of each vertex but its place."""
        kind = np.zeros(len(rig.rest), np.float32)
        for part, value in (("upper_teeth", 1), ("lower_teeth", 1), ("tongue", 2)):
            kind[rig.parts[part]] = value
        lashes = np.concatenate([rig.rest[rig.parts[f"{side}_lashes"]] for side in ("left", "right")])
        near, _ = cKDTree(lashes).query(rig.rest)
        lash_line = np.exp(-((near / 0.016) ** 2)) * (kind == 0)
        columns = [
            *paint.texture_coordinates(rig.rest).T,
            self._open_sky(normals, kind),
            rig.masks["lips"],
            rig.masks["inside-mouth"],
            lash_line,
            collar,
            kind,
        ]
        return np.stack(columns, axis=1).astype(np.float32)

    def _open_sky(self, normals: np.ndarray, kind: np.ndarray) -> np.ndarray:
        """(M,) fraction of the hemisphere over each vertex from which light can come."""
        rays = _sphere(_DIRECTIONS)
        cosines = normals @ rays.T  # (M, D)
        vertex, ray = np.nonzero(cosines > 0.05)
        start = self.neutral[vertex] + 0.012 * normals[vertex]
        blocked = RayScene(self.neutral, self.triangles[: self._num_solid()]).blocked(start, rays[ray])
        if self.fixed is not None:
            blocked |= self.fixed.blocked(start + 0.05 * normals[vertex], rays[ray])
        weight = cosines[vertex, ray]
        lit = np.bincount(vertex, weight * ~blocked, len(normals))
        sky = lit / np.maximum(np.bincount(vertex, weight, len(normals)), 1e-6)
        return np.where(kind > 0, 0.75, sky)

    def _hair_sky(self) -> np.ndarray:
        """(V,) open sky over each vertex of the hair: inner locks are dark."""
        if not len(self.hair.vertices):
            return self.hair.sky
        rays = _sphere(_DIRECTIONS)
        cosines = self.hair.normals @ rays.T
        vertex, ray = np.nonzero(cosines > 0.05)
        start = self.hair.vertices[vertex] + 0.03 * self.hair.normals[vertex]
        lit = ~self.fixed.blocked(start, rays[ray])
        lit = np.bincount(vertex, cosines[vertex, ray] * lit, len(cosines))
        return (0.2 + 0.8 * lit / np.maximum(np.maximum(cosines, 0).sum(1), 1e-6)).astype(np.float32)

    def _num_solid(self) -> int:
        """How many triangles come before the lashes, which are drawn as a line on the lid instead."""
        first = assets.rig().parts["left_lashes"].start
        return int((self.triangles.max(1) < first).sum())


def _pyramid(picture: np.ndarray, levels: int = 3) -> list[np.ndarray]:
    """The picture and smaller copies of it, for faces that are small in the image."""
    pictures = [picture]
    for _ in range(levels):
        pictures.append(cv2.pyrDown(pictures[-1]))
    return pictures


def _scalp_cover(identity: Identity, angle: np.ndarray, height: np.ndarray) -> np.ndarray:
    """How much the skin's texture shows hair: all of the scalp, a shadow of it for a shaved head."""
    amount = {"bald": 0.12, "buzz": 0.85}.get(identity.hair_style, 0.97)
    return amount * hair.scalp(angle, height, identity, 0.12).astype(np.float32)


def _collar(rest: np.ndarray) -> np.ndarray:
    """(M,) height of the shirt's edge above each vertex of the base mesh; positive where there is cloth."""
    angle = np.arctan2(rest[:, 0], rest[:, 2] - 0.25)
    return (5.93 - 0.14 * np.cos(angle) - rest[:, 1]).astype(np.float32)


def _incidence(triangles: np.ndarray, num_vertices: int) -> sparse.csr_matrix:
    """(M, T) which triangles meet at a vertex."""
    rows, columns = triangles.T.ravel(), np.tile(np.arange(len(triangles)), 3)
    ones = np.ones(len(rows), np.float32)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(num_vertices, len(triangles)))


def _nearest(rest: np.ndarray, vertices: np.ndarray, height: float) -> np.ndarray:
    """The vertex on the middle line of the face at a height on the base mesh."""
    distance = np.abs(rest[:, 0]) * 3 + np.abs(rest[:, 1] - height) + 10 * (rest[:, 2] < 1.3)
    return vertices[np.argmin(distance)]


def _sphere(count: int) -> np.ndarray:
    """(count, 3) directions spread evenly over the sphere (Fibonacci lattice)."""
    k = np.arange(count) + 0.5
    polar, around = np.arccos(1 - 2 * k / count), np.pi * (1 + 5**0.5) * k
    return np.stack(
        [np.cos(around) * np.sin(polar), np.cos(polar), np.sin(around) * np.sin(polar)], axis=1
    ).astype(np.float32)

"""Hair as locks: thin tapering ribbons that start on the scalp, follow a combing direction and fall.

A style is a few numbers: how many locks, how long, how they leave the scalp, where they are combed to, how
they curl. The skin below is painted with the hair's colour, with a soft line at the edge (see ``scalp``).
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from affkit.synth.identity import Identity

STEPS = 10
AXIS_Z = 0.45


@dataclass(frozen=True)
class Style:
    """Numbers of a hair style; lengths in decimetres.

    ``lift`` is how much locks leave along the surface normal, ``fall`` how much gravity bends them a step,
    ``comb`` names the direction, ``curl`` the size of random bends, ``cover`` the distance kept from the skin.
    """

    locks: int
    length: float
    width: float
    lift: float
    fall: float
    comb: str
    curl: float = 0.05
    cover: float = 0.05


STYLES = {
    "buzz": Style(0, 0.0, 0.0, 0, 0, "crown"),
    "bald": Style(0, 0.0, 0.0, 0, 0, "crown"),
    "receding": Style(1300, 0.28, 0.05, 0.25, 0.02, "crown", 0.06, 0.03),
    "short": Style(1900, 0.42, 0.055, 0.45, 0.02, "forward", 0.10, 0.05),
    "side part": Style(1900, 0.75, 0.06, 0.38, 0.06, "part", 0.05, 0.06),
    "curly": Style(2000, 0.75, 0.06, 0.9, 0.05, "crown", 0.75, 0.08),
    "afro": Style(2600, 0.95, 0.07, 1.6, 0.0, "crown", 0.55, 0.10),
    "bob": Style(1900, 1.75, 0.075, 0.32, 0.22, "middle", 0.04, 0.09),
    "long": Style(2100, 3.1, 0.085, 0.30, 0.20, "middle", 0.06, 0.09),
    "bun": Style(1700, 1.35, 0.07, 0.12, 0.0, "back", 0.03, 0.035),
}


@dataclass(frozen=True)
class Hair:
    """A mesh of locks: ``vertices`` (V, 3), ``triangles`` (T, 3), and per vertex the direction of the hair
    ``tangents`` (V, 3), the ``normals`` (V, 3) of the mass of hair, a ``tint`` (V,) about 1 and the open ``sky`` (V,) above, in [0, 1]."""

    vertices: np.ndarray
    triangles: np.ndarray
    tangents: np.ndarray
    normals: np.ndarray
    tint: np.ndarray
    sky: np.ndarray


def scalp(angle: np.ndarray, height: np.ndarray, identity: Identity, softness: float) -> np.ndarray:
    """Where hair grows, in [0, 1], by angle round the head (0 in front) and height on the base mesh."""
    turn = np.abs(angle)
    line = np.interp(
        turn,
        [0, 0.3, 0.55, 0.75, 0.95, 1.12, 1.25, 1.4, 1.75, 2.0, 2.4, np.pi],
        [7.95, 7.95, 7.97, 7.84, 7.58, 7.36, 7.06, 7.30, 7.30, 6.85, 6.62, 6.55],
    )
    if identity.hair_style == "receding":
        line = line + 0.28 * np.exp(-(((turn - 0.55) / 0.35) ** 2)) + 0.12 * np.exp(-((turn / 0.5) ** 2))
    wobble = 0.018 * np.sin(9 * angle + identity.seed) + 0.012 * np.sin(23 * angle + 2 * identity.seed)
    return np.clip((height - line - wobble) / softness + 0.5, 0, 1)


def grow(identity: Identity, points: np.ndarray, normals: np.ndarray, rest: np.ndarray, ears: np.ndarray) -> Hair:
    """Grow the locks of a person.

    Parameters
    ----------
    points, normals:
        (M, 3) skin of the bust.
    rest:
        (M, 3) the same vertices on the base mesh.
    ears:
        (M,) how much a vertex belongs to an ear.
    """
    style = STYLES[identity.hair_style]
    rng = np.random.default_rng([identity.seed, 2])
    angle = np.arctan2(rest[:, 0], rest[:, 2] - AXIS_Z)
    where = scalp(angle, rest[:, 1], identity, 0.1) * (ears < 0.1) * (rest[:, 2] > -0.8)
    crown = np.nonzero(where > 0.5)[0]
    if not style.locks:
        empty = np.zeros((0, 3), np.float32)
        return Hair(empty, np.zeros((0, 3), np.int32), empty, empty, empty[:, 0], empty[:, 0])
    spread = cKDTree(points[crown]).query(points[crown], k=7)[0][:, -1] ** 2
    roots = rng.choice(crown, style.locks, p=spread / spread.sum())
    position = points[roots] + rng.normal(0, 0.03, (style.locks, 3))
    length = style.length * rng.uniform(0.75, 1.1, style.locks) * _by_place(identity, angle[roots], rest[roots])
    direction = _unit(_combed(style.comb, rest[roots], position, rng) + style.lift * normals[roots])
    bend = rng.normal(0, 1, (style.locks, 3))
    tree = cKDTree(points)
    path, outward = [position], [normals[roots]]
    for step in range(STEPS - 1):
        turn = np.cos(step * 1.7 + 6.3 * rng.random()) * bend + 0.5 * rng.normal(0, 1, bend.shape)
        pull = np.array([0, -style.fall, 0]) + style.curl * turn
        if style.comb in ("back", "part", "forward"):
            pull = pull + 0.3 * _tangent(_combed(style.comb, position, position, rng), outward[-1])
        direction = _unit(direction + pull)
        position = position + direction * (length / (STEPS - 1))[:, None]
        nearest = tree.query(position)[1]
        gap = ((position - points[nearest]) * normals[nearest]).sum(1)
        keep = style.cover * (0.35 + 0.65 * min(1, (step + 1) / 3))
        push = np.maximum(keep - gap, 0)[:, None] * normals[nearest]
        position = position + push
        direction = _unit(direction + push / np.maximum(length / STEPS, 1e-3)[:, None] * 0.7)
        path.append(position)
        outward.append(_unit(0.6 * normals[nearest] + 0.4 * outward[-1]))
    return _ribbons(np.stack(path, 1), np.stack(outward, 1), style.width, rng)


def _by_place(identity: Identity, angle: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Hair is shorter at the temples and the nape in short styles, and everywhere at the forehead's edge."""
    if identity.hair_style in ("short", "side part", "receding"):
        return np.clip(0.3 + 0.9 * (rest[:, 1] - 7.0) / 1.2, 0.22, 1.1)
    if identity.hair_style in ("curly", "afro"):
        return np.clip(0.55 + 0.5 * (rest[:, 1] - 6.8) / 1.2, 0.4, 1.1)
    return np.where(np.abs(angle) < 1.3, 1.0, np.clip(0.75 + 0.25 * (rest[:, 1] - 6.6), 0.6, 1.1))


def _combed(comb: str, place: np.ndarray, position: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The direction (N, 3) hair is combed to at each place."""
    x, y, z = place.T
    zero, one = np.zeros_like(x), np.ones_like(x)
    whorl = np.stack([x, y - 8.5, z - 0.1], axis=1)
    if comb == "forward":
        top = np.clip((y - 7.8) / 0.4, 0, 1)
        return _unit(whorl) * (1 - 0.5 * top)[:, None] + np.stack([0.45 * one, zero, 0.8 * one], 1) * top[:, None]
    if comb == "part":
        aside = np.where(x > 0.35, 1.0, -1.0)
        top = np.clip((y - 7.7) / 0.4, 0, 1)
        return np.stack([aside, -1 + 0.9 * top, -0.35 * one], axis=1)
    if comb == "middle":
        return np.stack([np.sign(x) * (0.9 - 0.2 * np.abs(x)), -0.5 * one, -0.35 * one], axis=1)
    if comb == "back":
        return _unit(np.array([0.0, 7.85, -0.75]) - place)
    return _unit(whorl)


def _ribbons(path: np.ndarray, outward: np.ndarray, width: float, rng: np.random.Generator) -> Hair:
    """Two vertices for each of the (N, STEPS, 3) points of the paths, two triangles for each step."""
    count = len(path)
    along = _unit(np.gradient(path, axis=1))
    across = _unit(np.cross(along, outward))
    taper = np.interp(np.linspace(0, 1, STEPS), [0, 0.15, 0.6, 1], [0.7, 1, 0.9, 0.08])
    half = width / 2 * taper[None, :, None] * rng.uniform(0.6, 1.4, (count, 1, 1))
    vertices = np.stack([path - across * half, path + across * half], axis=2).reshape(-1, 3)
    first = (np.arange(count)[:, None] * STEPS + np.arange(STEPS - 1)).ravel() * 2
    triangles = np.concatenate([first[:, None] + [0, 1, 2], first[:, None] + [1, 3, 2]])
    tint = rng.uniform(0.7, 1.3, (count, 1)) * np.interp(np.linspace(0, 1, STEPS), [0, 0.4, 1], [0.75, 1, 1.12])
    return Hair(
        vertices.astype(np.float32),
        triangles.astype(np.int32),
        np.repeat(along.reshape(-1, 3), 2, axis=0).astype(np.float32),
        np.repeat(outward.reshape(-1, 3), 2, axis=0).astype(np.float32),
        np.repeat(tint.ravel(), 2).astype(np.float32),
        np.ones(2 * tint.size, np.float32),
    )


def _tangent(vectors: np.ndarray, normals: np.ndarray) -> np.ndarray:
    return vectors - (vectors * normals).sum(1, keepdims=True) * normals


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)

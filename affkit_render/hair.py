"""Hair as locks: thin tapering ribbons that start on the scalp, follow a combing direction and fall.

A style is a few numbers: how many locks, how long, how they leave the scalp, where they are combed to, how
they curl. The skin below is painted with the hair's colour, with a soft line at the edge (see ``scalp``).
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from affkit_render.identity import Identity

STEPS = 12
AXIS_Z = 0.45


@dataclass(frozen=True)
class HairStyle:
    """Numbers of a hair style; lengths in decimetres.

    ``comb`` names the direction locks follow, ``cover`` is how far they lie off the skin, ``volume`` how much
    higher on top of the head; ``curl`` is the size of random bends and ``float`` how far from the skin curls
    may start, for hair that stands by its own mass.
    """

    locks: int
    length: float
    width: float
    comb: str
    cover: float
    volume: float = 0.0
    curl: float = 0.05
    float: float = 0.0


STYLES = {
    "buzz": HairStyle(0, 0.0, 0.0, "crown", 0.0),
    "bald": HairStyle(0, 0.0, 0.0, "crown", 0.0),
    "receding": HairStyle(2000, 0.34, 0.045, "swept", 0.05, curl=0.06),
    "short": HairStyle(2400, 0.48, 0.05, "forward", 0.08, 0.06, curl=0.10),
    "side part": HairStyle(2200, 0.85, 0.055, "part", 0.09, 0.13, curl=0.05),
    "curly": HairStyle(2600, 0.50, 0.055, "middle", 0.10, curl=0.85, float=0.24),
    "afro": HairStyle(3000, 0.40, 0.060, "crown", 0.10, curl=0.95, float=0.50),
    "bob": HairStyle(2700, 1.75, 0.05, "middle", 0.13, 0.06, curl=0.03),
    "long": HairStyle(2900, 2.5, 0.055, "middle", 0.13, 0.06, curl=0.05),
    "bun": HairStyle(2000, 1.2, 0.055, "back", 0.05, curl=0.02),
}
BUN = np.array([0.0, 8.55, -0.35])
BUN_RADIUS = 0.30


@dataclass(frozen=True)
class Hair:
    """A mesh of locks: ``vertices`` (V, 3) and ``triangles`` (T, 3).

    Per vertex: the direction of the hair ``tangents`` (V, 3), the ``normals`` (V, 3) of the mass of hair, a
    ``tint`` (V,) about 1, and the open ``sky`` (V,) above, in [0, 1].
    """

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


def grow(
    identity: Identity, points: np.ndarray, normals: np.ndarray, rest: np.ndarray, ears: np.ndarray
) -> Hair:
    """Grow the locks of a person.

    ``points``, ``normals``: (M, 3) skin of the bust.
    ``rest``: (M, 3) the same vertices on the base mesh.
    ``ears``: (M,) how much a vertex belongs to an ear.
    """
    style = STYLES[identity.hair_style]
    if not style.locks:
        empty = np.zeros((0, 3), np.float32)
        return Hair(empty, np.zeros((0, 3), np.int32), empty, empty, empty[:, 0], empty[:, 0])
    rng = np.random.default_rng([identity.seed, 2])
    # heights below are those of the base mesh, whose crown is elsewhere when a person is tall or small
    shift = np.array([0, points[:, 1].max() - rest[:, 1].max(), 0])
    points = points - shift
    angle = np.arctan2(rest[:, 0], rest[:, 2] - AXIS_Z)
    where = scalp(angle, rest[:, 1], identity, 0.1) * (ears < 0.1) * (rest[:, 2] > -0.8)
    if style.comb == "middle":  # no sideburns: their locks would stick out beside the face
        where = where * ~((np.abs(angle) < 1.45) & (rest[:, 1] < 7.55))
    crown = np.nonzero(where > 0.5)[0]
    spread = cKDTree(points[crown]).query(points[crown], k=7)[0][:, -1] ** 2
    roots = rng.choice(crown, style.locks, p=spread / spread.sum())
    length = (
        style.length * rng.uniform(0.8, 1.1, style.locks) * _by_place(identity, angle[roots], rest[roots])
    )
    start = points[roots] + rng.normal(0, 0.025, (style.locks, 3))
    start += normals[roots] * (style.float * rng.uniform(0, 1, style.locks)[:, None] ** 0.5)
    path, outward = _follow(style, start, length, points, normals, ears, rng)
    if style.comb == "back":
        knot, knot_outward = _bun(points, rng)
        path, outward = np.concatenate([path, knot]), np.concatenate([outward, knot_outward])
    return _ribbons(path + shift, outward, style.width, rng)


def _follow(style, start, length, points, normals, ears, rng) -> tuple[np.ndarray, np.ndarray]:
    """Paths (N, STEPS, 3) of locks and the outward direction along them.

    Above the jaw a lock lies on the head at its own height and follows the comb; below it hangs free. Skin
    pushes it out everywhere.
    """
    smooth = ears < 0.05
    points, normals = points[smooth], normals[smooth]
    tree = cKDTree(points)
    side = np.where(start[:, 0] + rng.normal(0, 0.02, len(start)) > 0, 1.0, -1.0)
    layer = style.cover * rng.uniform(0.4, 1.3, len(start))
    bend = rng.normal(0, 1, (len(start), 3))
    position, path, outward = start, [start], []
    nearest = tree.query(position)[1]
    direction = _combed(style.comb, position, side)
    for step in range(STEPS):
        normal = normals[nearest]
        outward.append(_unit(normal + np.array([0, 0.15, 0])))
        if step == STEPS - 1:
            break
        held = np.clip((position[:, 1] - 6.55) / 0.35, 0, 1)[:, None] * (style.float == 0)
        wish = held * _tangent(_combed(style.comb, position, side), normal) + (1 - held) * [0, -1, 0]
        if style.float:
            wish = 0.3 * wish + 0.5 * _tangent(bend, normal)
        turn = np.cos(step * 2.1 + 3 * bend[:, :1]) * bend[:, [1, 2, 0]] + 0.4 * rng.normal(0, 1, bend.shape)
        direction = _unit(0.5 * direction + _unit(wish) + style.curl * turn)
        pace = 2 * (step + 1) / (STEPS - 1) / STEPS if style.comb == "middle" else 1 / (STEPS - 1)
        position = position + direction * (length * pace)[:, None]
        nearest = tree.query(position)[1]
        gap = ((position - points[nearest]) * normals[nearest]).sum(1)
        top = np.clip((position[:, 1] - 7.6) / 0.6, 0, 1)
        want = (layer + style.volume * top) * min(1.0, 0.35 + 0.3 * step)
        move = np.where(gap < want, want - gap, 0.7 * held[:, 0] * (want - gap))
        position = position + move[:, None] * normals[nearest]
        if style.comb == "middle" and not style.float:
            position = _off_the_face(position, side, 0.1 * bend[:, 0])
        path.append(position)
    return np.stack(path, 1), np.stack(outward, 1)


def _off_the_face(position: np.ndarray, side: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Turn points round the axis of the head until they are beside the face, like curtains drawn apart."""
    aside, ahead = side * position[:, 0], position[:, 2] - AXIS_Z
    angle = np.arctan2(aside, ahead)
    least = np.interp(position[:, 1], [6.0, 6.5, 7.2, 7.6, 7.9, 8.1], [0.85, 1.0, 1.05, 0.88, 0.45, 0.0])
    angle = np.maximum(angle, np.where(least > 0, least + np.minimum(spread, 0.15), -np.pi))
    reach = np.hypot(aside, ahead)
    return np.stack([side * reach * np.sin(angle), position[:, 1], AXIS_Z + reach * np.cos(angle)], axis=1)


def _bun(points: np.ndarray, rng: np.random.Generator, count: int = 260) -> tuple[np.ndarray, np.ndarray]:
    """Arcs round a ball on the back of the crown."""
    axis, start = _unit(rng.normal(size=(count, 3))), _unit(rng.normal(size=(count, 3)))
    start = _unit(_tangent(start, axis))
    turn = np.linspace(0, 2.2, STEPS)[None, :, None]
    outward = np.cos(turn) * start[:, None] + np.sin(turn) * np.cross(axis, start)[:, None]
    centre = BUN + [0, points[:, 1].max() - 8.49, 0]
    return centre + outward * (BUN_RADIUS * rng.uniform(0.85, 1.0, (count, 1, 1))), outward


def _by_place(identity: Identity, angle: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Short styles are shorter at the temples and the nape; hair tied back is as long as its way."""
    if identity.hair_style in ("short", "side part", "receding"):
        return np.clip(0.3 + 0.9 * (rest[:, 1] - 7.0) / 1.2, 0.25, 1.1)
    if identity.hair_style == "bun":
        return np.linalg.norm(rest - BUN, axis=1) * 1.05 / STYLES["bun"].length
    return np.where(np.abs(angle) < 1.3, 1.0, np.clip(0.75 + 0.25 * (rest[:, 1] - 6.6), 0.6, 1.1))


def _combed(comb: str, place: np.ndarray, side: np.ndarray) -> np.ndarray:
    """The direction (N, 3) hair is combed to at each place; ``side`` is the side of the parting, -1 or 1."""
    x, y, z = place.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    top = np.clip((y - 7.5) / 0.6, 0, 1)[:, None]
    down = np.stack([0.05 * side, -one, -0.10 * one], axis=1)
    whorl = _unit(np.stack([x, y - 8.6, z - 0.1], axis=1))
    if comb == "forward":
        return whorl * (1 - 0.6 * top) + np.stack([0.4 * one, zero, 0.7 * one], axis=1) * top
    if comb == "part":
        aside = np.where(x > 0.38, 1.0, -1.0)
        return top * np.stack([aside, zero, -0.15 * one], axis=1) + (1 - top) * (down - [0, 0, 0.35])
    if comb == "middle":
        return top * np.stack([side, -0.1 * one, -0.55 * one], axis=1) + (1 - top) * down
    if comb == "back":
        return _unit(BUN - place)
    if comb == "swept":
        return top * _unit(np.array([0, 8.3, -0.6]) - place) + (1 - top) * (down - [0, 0, 0.4])
    return whorl


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
    tint = rng.uniform(0.7, 1.3, (count, 1)) * np.interp(
        np.linspace(0, 1, STEPS), [0, 0.4, 1], [0.75, 1, 1.12]
    )
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

"""The skin as a picture: tone, blush, brows hair by hair, stubble, the hair's shadow line, creases.

The texture is a cylinder unrolled round the head of the *base mesh*, finer in front than behind. Because
everybody is a deformation of that one mesh, a brow painted at its place on the base mesh sits right on every
face and moves with it. Heights and widths below are decimetres on the base mesh.
"""

from functools import cache

import cv2
import numpy as np

from affkit_render.assets import rig
from affkit_render.camera import RayScene
from affkit_render.identity import Identity

SIZE = 1024
TOP, BOTTOM, AXIS_Z = 8.6, 5.2, 0.45
EYE_X, EYE_Y = 0.31, 7.285


def texture_coordinates(points: np.ndarray) -> np.ndarray:
    """Column and row (N, 2) in [0, 1] for points (N, 3) of the base mesh."""
    angle = np.arctan2(points[:, 0], points[:, 2] - AXIS_Z)
    column = 0.5 + 0.5 * np.sin(angle / 2)
    row = np.clip((TOP - points[:, 1]) / (TOP - BOTTOM), 0, 1)
    return np.stack([column, row], axis=1).astype(np.float32)


@cache
def texel_positions() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x on the base mesh, y on the base mesh and angle round the axis of every texel, each (SIZE, SIZE).

    Rays from outside to the axis find the outer surface, so ears and lips cannot hide the face.
    """
    coarse = 256
    column = np.linspace(-1, 1, coarse)
    angle = np.broadcast_to(2 * np.arcsin(column), (coarse, coarse))
    height = np.broadcast_to(np.linspace(TOP, BOTTOM, coarse)[:, None], (coarse, coarse))
    outward = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)], axis=-1).reshape(-1, 3)
    origin = outward * 4 + np.stack([0 * height, height, 0 * height + AXIS_Z], axis=-1).reshape(-1, 3)
    hit = RayScene(rig().rest, rig().triangles).cast(origin, -outward)
    reach = np.where(hit.triangle >= 0, 4 - hit.distance, 0.8).reshape(coarse, coarse)
    x = cv2.resize((reach * np.sin(angle)).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    y = np.broadcast_to(np.linspace(TOP, BOTTOM, SIZE, dtype=np.float32)[:, None], (SIZE, SIZE))
    fine = np.broadcast_to(2 * np.arcsin(np.linspace(-1, 1, SIZE, dtype=np.float32)), (SIZE, SIZE))
    return x, y, fine


def to_texel(x: np.ndarray, y: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Pixel positions (N, 2) in a texture of ``size`` for points x, y on the front of the base mesh."""
    xs, _, angle = texel_positions()
    front = np.abs(angle[0]) < 1.45
    columns = np.nonzero(front)[0]
    rows = np.clip((TOP - np.asarray(y)) / (TOP - BOTTOM) * (SIZE - 1), 0, SIZE - 1)
    found = [
        np.interp(value, np.maximum.accumulate(xs[int(row), front]), columns)
        for value, row in zip(x, rows, strict=True)
    ]
    return np.stack([found, rows], axis=1) * (size / SIZE)


def paint(identity: Identity, scalp: np.ndarray) -> np.ndarray:
    """(SIZE, SIZE, 4) float32: linear RGB, and in the last channel how much of it is hair.

    ``scalp`` (SIZE, SIZE) is where hair grows on the head, in [0, 1].
    """
    rng = np.random.default_rng([identity.seed, 1])
    colour = _skin(identity, rng)
    hair, skin = np.array(identity.hair, np.float32), np.array(identity.skin, np.float32)
    cover = np.zeros((SIZE, SIZE), np.float32)
    for mask, tint in (
        (_beard(identity, rng), np.minimum(hair * 0.8, 0.75 * skin)),
        (_brows(identity, rng), np.minimum(hair * 0.6 + 0.06 * skin, 0.32 * skin)),
        (scalp * (0.88 + 0.12 * _strands(rng)), hair * 0.42),
    ):
        colour += (np.asarray(tint, np.float32) - colour) * mask[..., None]
        cover = np.maximum(cover, mask)
    return np.dstack([colour, cover]).astype(np.float32)


def _blob(x0: float, y0: float, width: float, height: float) -> np.ndarray:
    """A soft spot on both sides of the face."""
    x, y, angle = texel_positions()
    spot = np.exp(-(((np.abs(x) - x0) / width) ** 2) - ((y - y0) / height) ** 2)
    return spot * (np.abs(angle) < 1.7)


def _clouds(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise with about ``cells`` features across, mean 0, deviation about 1."""
    grid = rng.normal(size=(cells, cells)).astype(np.float32)
    return cv2.resize(grid, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) * 1.4


def _strands(rng: np.random.Generator) -> np.ndarray:
    """Fine vertical streaks, mean 0, deviation about 1: hair seen from afar."""
    streaks = cv2.GaussianBlur(
        rng.normal(size=(SIZE, SIZE)).astype(np.float32), (0, 0), sigmaX=0.5, sigmaY=3.5
    )
    return streaks / streaks.std()


def _skin(identity: Identity, rng: np.random.Generator) -> np.ndarray:
    """Skin without hair: blotches, blood near the surface, shade under the eyes, freckles, age spots."""
    colour = np.tile(np.array(identity.skin, np.float32), (SIZE, SIZE, 1))
    colour *= (1 + 0.022 * _clouds(rng, 14) + 0.012 * _clouds(rng, 60))[..., None]
    flush = (
        0.9 * _blob(0.40, 6.93, 0.19, 0.17)
        + 0.8 * _blob(0.0, 6.93, 0.14, 0.10)
        + 0.25 * _blob(0, 6.33, 0.2, 0.1)
    )
    flush = flush * identity.redness * (0.30 - 0.16 * identity.melanin)
    colour *= 1 - flush[..., None] * np.array([0.12, 0.85, 0.75], np.float32)
    years = np.clip((identity.age - 25) / 50, 0, 1)
    under_eye = _blob(0.29, 7.13, 0.17, 0.05) * (0.06 + 0.13 * years) + _blob(0.2, 7.26, 0.08, 0.1) * 0.06
    colour *= 1 - under_eye[..., None] * np.array([0.8, 1.0, 0.85], np.float32)
    spots = np.zeros((SIZE, SIZE), np.float32)
    count = int(900 * identity.freckles + 60 * max(0.0, years - 0.4))
    if count:
        x, y = rng.uniform(-0.65, 0.65, count), rng.normal(7.02, 0.22, count)
        for (column, row), radius in zip(to_texel(x, y), rng.uniform(0.5, 1.6, count), strict=True):
            cv2.circle(spots, (int(column * 16), int(row * 16)), int(radius * 16), 1.0, -1, cv2.LINE_AA, 4)
    colour *= 1 - 0.26 * cv2.GaussianBlur(spots, (0, 0), 0.8)[..., None] * np.array([0.6, 1, 1], np.float32)
    return colour


def brow_line(identity: Identity, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the middle of the right-hand brow; ``along`` runs from 0 (inner end) to 1 (tail)."""
    x = 0.105 + 0.445 * along
    arch = np.interp(along, [0, 0.25, 0.6, 0.8, 1], [-0.012, 0.008, 0.042, 0.042, 0.008])
    return x, 7.492 + identity.brow_height + arch * (0.8 if identity.gender == "male" else 1.15)


def _brows(identity: Identity, rng: np.random.Generator) -> np.ndarray:
    """Both brows, a few hundred hairs each, over a faint shade of the same form."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    base = np.zeros((SIZE, SIZE), np.uint8)
    for side in (-1, 1):
        steps = np.linspace(0.02, 0.97, 24)
        x, y = brow_line(identity, steps)
        for k in range(23):
            ends = np.rint(to_texel(side * x[k : k + 2], y[k : k + 2])).astype(int)
            wide = identity.brow_width * np.interp(steps[k], [0, 0.15, 0.55, 1], [0.7, 1, 0.85, 0.25])
            cv2.line(base, ends[0], ends[1], 150, max(1, int(wide * 300)), cv2.LINE_AA)
        along = np.sort(rng.beta(1.05, 1.15, 260))
        x, y = brow_line(identity, along)
        wide = identity.brow_width * np.interp(along, [0, 0.12, 0.55, 1], [0.75, 1, 0.85, 0.2])
        y = y + rng.uniform(-0.55, 0.55, 260) * wide
        lean = np.interp(along, [0, 0.3, 0.7, 1], [1.25, 0.55, 0.1, -0.45]) + rng.normal(0, 0.15, 260)
        long = rng.uniform(0.035, 0.065, 260)
        tips = to_texel(side * (x + long * np.cos(lean)), y + long * np.sin(lean))
        for root, tip in zip(to_texel(side * x, y), tips, strict=True):
            ends = np.rint(np.stack([root, tip]) * 16).astype(int)
            cv2.line(mask, ends[0], ends[1], int(rng.integers(150, 255)), 1, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(base, (0, 0), 3.0).astype(np.float32) / 255
    hairs = cv2.GaussianBlur(mask, (0, 0), 0.6).astype(np.float32) / 255
    return np.clip(0.75 * soft + 0.85 * hairs, 0, 0.95) * identity.brow_density


def beard_area(points_x: np.ndarray, points_y: np.ndarray, style: str) -> np.ndarray:
    """Where a beard of this style grows, in [0, 1], at positions on the front of the base mesh."""
    side = np.abs(points_x)

    def above(low):
        return np.clip((points_y - low) / 0.05 + 0.5, 0, 1)

    def below(high):
        return np.clip((high - points_y) / 0.06 + 0.5, 0, 1)

    lips = np.exp(-((side / 0.27) ** 4) - ((points_y - 6.61) / 0.075) ** 4)
    moustache = above(6.70 - 0.25 * side) * below(6.80 - 0.35 * np.maximum(side - 0.1, 0)) * (side < 0.33)
    chin = np.clip((0.27 - side) / 0.05 + 0.5, 0, 1) * below(6.50) * above(6.19)
    cheeks = below(6.36 + 0.95 * np.maximum(side - 0.12, 0)) * above(6.21)
    areas = {
        "none": 0 * side,
        "moustache": moustache,
        "goatee": np.maximum(
            moustache, np.maximum(chin, (np.abs(side - 0.30) < 0.05) * below(6.75) * above(6.3))
        ),
    }
    area = areas.get(style, np.maximum(np.maximum(moustache, chin), cheeks))
    return np.clip(area * (1 - lips), 0, 1)


def _beard(identity: Identity, rng: np.random.Generator) -> np.ndarray:
    """The beard as a cover in [0, 1]: thin for stubble, dense for the rest."""
    if identity.beard == "none":
        return np.zeros((SIZE, SIZE), np.float32)
    x, y, angle = texel_positions()
    area = cv2.GaussianBlur(beard_area(x, y, identity.beard) * (np.abs(angle) < 1.45), (0, 0), 6)
    grain = np.clip(0.5 + 0.5 * _strands(rng), 0, 1.3)
    dense = 0.30 if identity.beard == "stubble" else 0.85
    return np.clip(area * dense * (0.55 + 0.45 * grain), 0, 0.95).astype(np.float32)

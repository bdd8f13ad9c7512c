"""How each thing a ray can meet looks: skin and cloth, teeth, hair, glasses, eyes."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from affkit_render import shade
from affkit_render.camera import HeadView, Hits, unit
from affkit_render.creases import crease_map
from affkit_render.eyes import Eyeball, gaze_direction, paint_eyeball
from affkit_render.shade import Lamps

CAVITY = np.float32([0.16, 0.035, 0.03])
TOOTH, TONGUE = np.float32([0.84, 0.80, 0.72]), np.float32([0.35, 0.10, 0.09])


@dataclass(frozen=True)
class Samples:
    """Rays on a grid (height, width) of samples, and what they met.

    ``rays`` and ``points`` are (N, 3); ``met`` indexes the samples that show the person; ``skin``, ``fixed``
    and ``eyes`` those of them that show the mesh, hair or glasses, and the left and right eyeball.
    """

    grid: tuple[int, int]
    rays: np.ndarray
    points: np.ndarray
    met: np.ndarray
    skin: np.ndarray
    fixed: np.ndarray
    eyes: tuple[np.ndarray, np.ndarray]
    skin_hits: Hits
    fixed_hits: Hits | None


@dataclass(frozen=True)
class Frame:
    """All that is known of one picture before it is lit.

    ``normals`` (M, 3) of the mesh; ``lit`` (N,) how much of the key light reaches a sample; ``gap`` between
    the lips in decimetres; ``pixels`` from chin to hairline, counted in samples.
    """

    view: HeadView
    samples: Samples
    normals: np.ndarray
    actions: Mapping[str, float]
    lamps: Lamps
    lit: np.ndarray
    gap: float
    gaze: tuple[float, float]
    pixels: float


def light_of(frame: Frame) -> np.ndarray:
    """(N, 3) linear light of all samples; black where nothing was met."""
    samples = frame.samples
    light = np.zeros_like(samples.rays)
    if len(samples.skin):  # at the edge of the picture perhaps nothing but a lock of hair is left
        light[samples.skin] = _skin(frame)
    if len(samples.fixed):
        light[samples.fixed] = _hair_and_glasses(frame)
    for ball, index in zip(frame.view.head.eyeballs, samples.eyes, strict=True):
        if len(index):
            light[index] = _eye(frame, ball, index)
    return light


def _skin(frame: Frame) -> np.ndarray:
    """Skin, lips, brows, shirt, teeth and tongue: all that moves with the mesh."""
    head, index = frame.view.head, frame.samples.skin
    known = _interpolate(
        np.concatenate([frame.normals, head.surface], axis=1), head.triangles, frame.samples.skin_hits, index
    )
    normal = unit(known[:, :3])
    sky, lips, cavity, _, collar, kind = known[:, 5:].T
    view_back, lit = -frame.samples.rays[index], frame.lit[index]
    albedo, cover = _skin_colour(frame, known)
    mouth, cloth = kind > 0.5, collar > 0
    normal[mouth] = view_back[mouth]  # the strip of teeth is too coarse for its own normals
    deep = np.clip((0.085 - np.abs(known[:, 3] - 0.5)) / 0.04, 0.1, 1)  # back teeth lie in the dark
    ajar = deep * np.clip(14 * frame.gap, 0, 1)
    sky = np.where(mouth, sky * np.maximum(ajar, 0.1), np.where(cavity > 0.5, 0.6 * sky, sky))
    lit = np.where(mouth, np.maximum(lit, 0.6) * ajar, lit)  # lips let light through to the teeth
    bare = (~mouth & ~cloth).astype(np.float32)
    wrap = shade.HARD + bare[:, None] * (shade.SKIN_WRAP - shade.HARD)
    light = albedo * shade.diffuse(normal, sky, lit, frame.lamps, wrap)
    shine = 0.055 * (1 - 0.7 * cover) * bare * (1 - cavity) * np.clip(sky * 1.3, 0, 1)
    light += shade.gloss(normal, view_back, lit, frame.lamps, 14) * shine[:, None]
    wet = 0.10 * lips * bare + 0.15 * ajar * mouth
    shiny = wet > 0.02
    gleam = shade.gloss(normal[shiny], view_back[shiny], lit[shiny], frame.lamps, 60)
    light[shiny] += gleam * wet[shiny, None]
    return light


def _skin_colour(frame: Frame, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Albedo (N, 3) of the samples that show the mesh, and how much of each is hair (N,)."""
    head, identity = frame.view.head, frame.view.head.identity
    level = int(np.clip(np.log2(max(520 / frame.pixels, 1)), 0, len(head.texture) - 1))
    painted = _look_up(head.texture[level], known[:, 3:5])
    crease = _look_up(crease_map(frame.actions, identity.age), known[:, 3:5])
    albedo = painted[:, :3] * (1 + crease)[:, None]
    lips, cavity, lashes, collar, kind = known[:, 6:].T
    albedo += (np.float32(identity.lips) - albedo) * (0.85 * lips)[:, None]
    albedo *= (1 - 0.82 * lashes)[:, None]
    albedo += (CAVITY - albedo) * (cavity * (1 - lips))[:, None]
    seam = np.where(collar > 0.05, 1, 0.8)
    albedo[collar > 0] = (np.float32(identity.shirt) * seam[:, None])[collar > 0]
    mouth = kind > 0.5
    gaps = np.clip(6 * np.abs(np.sin(known[mouth, 3] * 140)), 0.8, 1)
    albedo[mouth] = gaps[:, None] * TOOTH
    albedo[kind > 1.5] = TONGUE
    return albedo, painted[:, 3]


def _look_up(picture: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """Bilinear samples (N, ...) of a square picture at coordinates (N, 2) in [0, 1]."""
    width = 4096  # OpenCV takes maps of up to 32767 rows
    height = -(-len(coordinates) // width)
    maps = np.zeros((height * width, 2), np.float32)
    maps[: len(coordinates)] = coordinates * (len(picture) - 1)
    found = cv2.remap(picture, maps.reshape(height, width, 2), None, cv2.INTER_LINEAR)
    return found.reshape(height * width, *picture.shape[2:])[: len(coordinates)]


def _hair_and_glasses(frame: Frame) -> np.ndarray:
    """Locks of hair and the frame of glasses."""
    head, index, hits = frame.view.head, frame.samples.fixed, frame.samples.fixed_hits
    light = np.zeros((len(index), 3), np.float32)
    is_lock = hits.triangle[index] < len(head.hair.triangles)
    light[is_lock] = _locks(frame, index[is_lock])
    if head.frame is not None:
        index = index[~is_lock]
        normal = _interpolate(
            head.frame.normals, head.frame.triangles, hits, index, first=len(head.hair.triangles)
        )
        lit = frame.lit[index]
        glint = shade.gloss(normal, -frame.samples.rays[index], lit, frame.lamps, 40)
        plain = shade.diffuse(normal, np.ones_like(lit), lit, frame.lamps)
        light[~is_lock] = 0.10 * plain + 0.35 * glint
    return light


def _locks(frame: Frame, index: np.ndarray) -> np.ndarray:
    """Hair: soft light on the mass, a highlight across the strands, dark between them."""
    hair, lit = frame.view.head.hair, frame.lit[index]
    table = np.concatenate([hair.normals, hair.tangents, hair.tint[:, None], hair.sky[:, None]], axis=1)
    known = _interpolate(table, hair.triangles, frame.samples.fixed_hits, index)
    normal, tangent, tint, sky = known[:, :3], known[:, 3:6], known[:, 6:7], known[:, 7]
    colour = np.float32(frame.view.head.identity.hair)
    light = shade.diffuse(normal, sky, lit, frame.lamps, np.float32([0.3, 0.3, 0.3]))
    shine = shade.strand_gloss(tangent, -frame.samples.rays[index], lit, frame.lamps)
    return tint * (colour * light + shine * (0.04 + 0.35 * colour) * sky[:, None])


def _eye(frame: Frame, ball: Eyeball, index: np.ndarray) -> np.ndarray:
    """One eyeball: painted by angle, darker under the lids, with the key's reflection on the cornea."""
    identity, samples = frame.view.head.identity, frame.samples
    normal = (samples.points[index] - ball.centre) / ball.radius
    axis = gaze_direction(frame.gaze)
    albedo = paint_eyeball(normal, axis, np.float32(identity.iris), identity.seed)
    seen = np.zeros(len(samples.rays), np.float32)
    seen[index] = 1
    near_lids = cv2.GaussianBlur(seen.reshape(samples.grid), (0, 0), max(0.6, 0.014 * frame.pixels)).ravel()
    lid_shade = np.clip(1.15 - 0.9 * np.maximum(normal[:, 1], 0), 0.3, 1)
    sky = np.clip((near_lids[index] - 0.25) / 0.6, 0.15, 1) * lid_shade
    lit = frame.lit[index]
    light = shade.diffuse(normal, sky, np.minimum(lit, sky), frame.lamps, shade.SKIN_WRAP)
    cosine = normal @ axis
    cornea = unit(normal + 0.7 * (normal - cosine[:, None] * axis) * (cosine > 0.86)[:, None])
    glint = shade.gloss(cornea, -samples.rays[index], np.clip(0.35 + lit, 0, 1), frame.lamps, 180)
    return albedo * light + 0.9 * glint


def _interpolate(
    table: np.ndarray, triangles: np.ndarray, hits: Hits, index: np.ndarray, first: int = 0
) -> np.ndarray:
    """Rows (N, C) of a per-vertex table at the hits of samples ``index``; ``first`` numbers triangle 0."""
    corners, weights = triangles[hits.triangle[index] - first], hits.weights[index]
    return sum(weights[:, k, None] * table[corners[:, k]] for k in range(3))

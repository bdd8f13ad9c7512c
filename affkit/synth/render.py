"""Draw a head: cast rays through the pixels of its box, find what they meet, light each sample, average.

Coordinates: the head's own (decimetres, x to the subject's left, y up, z out of the face); the camera's (x
right, y up, z to the camera); the image's (pixels, x right, y down, pixel centres at whole numbers).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from affkit.synth import shade
from affkit.synth.creases import crease_map
from affkit.synth.eyes import gaze_direction, meet_sphere, paint_eyeball
from affkit.synth.head import Head
from affkit.synth.rays import Hits, Scene
from affkit.synth.shade import Lamps, Lighting, sample_lighting

__all__ = ["Lighting", "Pose", "Rendering", "render", "sample_lighting"]

DISTANCE = 14.0  # decimetres from the camera to the head: a portrait lens
PIVOT = np.array([0.0, 6.2, 0.35], np.float32)  # where the head turns on the neck


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

    def rotation(self, share: float = 1.0) -> np.ndarray:
        """(3, 3) float32 from head to camera coordinates, or a share of that turn."""
        (cy, cp, cr), (sy, sp, sr) = (
            f(share * np.array([self.yaw, self.pitch, self.roll])) for f in (np.cos, np.sin)
        )
        yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        pitch = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        roll = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
        return (roll @ pitch @ yaw).astype(np.float32)


@dataclass(frozen=True)
class Rendering:
    """``image`` (H, W, 3) uint8 RGB; ``mask`` (H, W) float32, how much of a pixel is the person; ``box``
    (x, y, width, height) of the face, brows to chin and ear to ear, in pixels; it may leave the image."""

    image: np.ndarray
    mask: np.ndarray
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class View:
    """The camera as the head sees it: ``eye`` (3,), ``rotation`` (3, 3) head to camera, ``scale`` decimetres
    a pixel at the head's centre."""

    head: Head
    pose: Pose

    @property
    def rotation(self) -> np.ndarray:
        return self.pose.rotation()

    @property
    def scale(self) -> float:
        return self.head.height / self.pose.size * DISTANCE / (DISTANCE - 0.65)

    @property
    def eye(self) -> np.ndarray:
        return self.head.centre + DISTANCE * self.rotation[2]

    def project(self, points: np.ndarray) -> np.ndarray:
        """Image positions (N, 2) of points (N, 3)."""
        seen = (points - self.head.centre) @ self.rotation.T
        shrink = DISTANCE / (DISTANCE - seen[:, 2:]) / self.scale
        return seen[:, :2] * shrink * [1, -1] + [self.pose.x, self.pose.y]

    def rays(self, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Unit directions (N, 3) float32 from the eye through image positions."""
        plane = np.stack(
            [
                (columns - self.pose.x) * self.scale,
                (self.pose.y - rows) * self.scale,
                np.full(len(rows), -DISTANCE),
            ],
            1,
        )
        rays = plane.astype(np.float32) @ self.rotation
        return rays / np.linalg.norm(rays, axis=1, keepdims=True)


@dataclass(frozen=True)
class Samples:
    """Rays on a grid (height, width) of samples, and what they met."""

    grid: tuple[int, int]
    rays: np.ndarray
    points: np.ndarray
    skin: np.ndarray
    fixed: np.ndarray
    eyes: tuple[np.ndarray, np.ndarray]
    skin_hits: Hits
    fixed_hits: Hits | None


def render(
    head: Head,
    actions: Mapping[str, float],
    pose: Pose,
    lighting: Lighting,
    background: np.ndarray,
    gaze: tuple[float, float] = (0.0, 0.0),
    antialias: int = 2,
) -> Rendering:
    """Draw one picture of a head before a background.

    Parameters
    ----------
    actions:
        Facial actions, see :func:`affkit.synth.actions.facial_actions`.
    background:
        (H, W, 3) uint8 RGB; sets the size of the picture.
    gaze:
        Where the eyes look, relative to the face: right and up, in radians.
    antialias:
        Samples along each side of a pixel.
    """
    vertices = _turn_body(head, head.deform(actions), pose)
    areas = head.areas(vertices)
    normals = head.normals(areas)
    view = View(head, pose)
    x, y = view.project(vertices[head.face]).T
    box = (float(x.min()), float(y.min()), float(np.ptp(x)), float(np.ptp(y)))
    window = _window(view, vertices, background.shape)
    if window is None:
        return Rendering(background.copy(), np.zeros(background.shape[:2], np.float32), box)
    towards = view.eye - vertices[head.triangles[:, 0]]
    facing = np.nonzero(((areas * towards).sum(1) > 0) | head.two_sided)[0]
    scene = Scene(vertices, head.triangles[facing], facing)
    samples = _cast(head, scene, view, window, antialias)
    lamps = shade.in_head(lighting, view.rotation)
    lit = _key_light(head, scene, samples, lamps, pose.size * antialias)
    light = _shade(head, samples, normals, actions, lamps, lit, view, gaze, antialias)
    return _compose(background, window, light, samples, antialias, box)


def _turn_body(head: Head, vertices: np.ndarray, pose: Pose) -> np.ndarray:
    """The shoulders follow a turn of the head by a third, the neck by degrees."""
    back = pose.rotation().T @ pose.rotation(0.33)
    low = np.nonzero(head.body_share > 0)[0]
    turned = (vertices[low] - PIVOT) @ back.T + PIVOT
    vertices[low] += head.body_share[low, None] * (turned - vertices[low])
    return vertices


def _window(view: View, vertices: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Columns and rows (left, top, right, bottom) of the image that the person can touch."""
    spots = view.project(np.concatenate([vertices, view.head.hair.vertices[::7]]))
    left, top = np.maximum(np.floor(spots.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(spots.max(0)).astype(int) + 1, [shape[1], shape[0]])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _cast(head: Head, scene: Scene, view: View, window: tuple[int, int, int, int], antialias: int) -> Samples:
    """Send a ray through each sample and keep the nearest of skin, eyes, hair and glasses."""
    left, top, right, bottom = window
    inner = (np.arange(antialias) + 0.5) / antialias - 0.5
    columns = (np.arange(left, right)[:, None] + inner).ravel()
    rows = (np.arange(top, bottom)[:, None] + inner).ravel()
    grid = (len(rows), len(columns))
    rays = view.rays(np.tile(columns, len(rows)), np.repeat(rows, len(columns)))
    origins = np.broadcast_to(view.eye.astype(np.float32), rays.shape)
    skin_hits = scene.cast(origins, rays)
    nearest = skin_hits.distance.copy()
    what = np.where(skin_hits.triangle >= 0, 0, -1)
    fixed_hits = _cast_fixed(head, view, origins, rays, columns, rows) if head.fixed else None
    if fixed_hits is not None:
        what[fixed_hits.distance < nearest] = 1
        nearest = np.minimum(nearest, fixed_hits.distance)
    for k, ball in enumerate(head.eyeballs):
        distance = meet_sphere(view.eye, rays, ball)
        what[distance < nearest] = 2 + k
        nearest = np.minimum(nearest, distance)
    points = view.eye.astype(np.float32) + rays * np.where(np.isfinite(nearest), nearest, 0)[:, None]
    kinds = [np.nonzero(what == kind)[0] for kind in range(4)]
    return Samples(grid, rays, points, kinds[0], kinds[1], (kinds[2], kinds[3]), skin_hits, fixed_hits)


def _cast_fixed(head: Head, view: View, origins, rays, columns, rows) -> Hits:
    """Hair and glasses, asked only by the rays through the box they fill."""
    spots = view.project(head.fixed.corners)
    (left, top), (right, bottom) = spots.min(0), spots.max(0)
    inside = ((rows > top) & (rows < bottom))[:, None] & ((columns > left) & (columns < right))
    asked = np.nonzero(inside.ravel())[0]
    found = head.fixed.cast(origins[asked], rays[asked])
    triangle = np.full(len(rays), -1, np.int32)
    weights, distance = np.zeros((len(rays), 3), np.float32), np.full(len(rays), np.inf, np.float32)
    triangle[asked], weights[asked], distance[asked] = found.triangle, found.weights, found.distance
    return Hits(triangle, weights, distance)


def _key_light(head: Head, scene: Scene, samples: Samples, lamps: Lamps, size: float) -> np.ndarray:
    """(N,) how much of the key light reaches each sample: one shadow ray each, then a soft edge."""
    met = np.sort(np.concatenate([samples.skin, samples.fixed, *samples.eyes]))
    direction = np.broadcast_to(lamps.lamps[0].direction, (len(met), 3))
    start = samples.points[met] - 0.02 * samples.rays[met] + 0.04 * direction
    blocked = scene.blocked(start, direction)
    if head.fixed:
        blocked |= head.fixed.blocked(start + 0.06 * direction, direction)
    lit, known = np.zeros(len(samples.rays), np.float32), np.zeros(len(samples.rays), np.float32)
    lit[met], known[met] = ~blocked, 1
    blur = [
        cv2.GaussianBlur(v.reshape(samples.grid), (0, 0), max(0.8, 0.016 * size)).ravel()
        for v in (lit, known)
    ]
    return blur[0] / np.maximum(blur[1], 1e-3)


def _shade(head, samples, normals, actions, lamps, lit, view, gaze, antialias) -> np.ndarray:
    """(N, 3) linear light of all samples; black where nothing was met."""
    light = np.zeros_like(samples.rays)
    light[samples.skin] = _shade_skin(
        head, samples, normals, actions, lamps, lit[samples.skin], view, antialias
    )
    if len(samples.fixed):
        light[samples.fixed] = _shade_fixed(head, samples, lamps, lit[samples.fixed])
    for ball, index in zip(head.eyeballs, samples.eyes, strict=True):
        if len(index):
            light[index] = _shade_eye(head, samples, ball, index, lamps, lit[index], gaze, view, antialias)
    return light


def _shade_skin(head, samples, normals, actions, lamps, lit, view, antialias) -> np.ndarray:
    """Skin, lips, brows, shirt, teeth and tongue: all that moves with the mesh."""
    index = samples.skin
    corners = head.triangles[samples.skin_hits.triangle[index]]
    weights = samples.skin_hits.weights[index]
    known = np.concatenate([normals, head.surface], axis=1)
    known = sum(weights[:, k, None] * known[corners[:, k]] for k in range(3))
    normal = known[:, :3] / np.maximum(np.linalg.norm(known[:, :3], axis=1, keepdims=True), 1e-6)
    sky, lips, cavity, lashes, collar, kind = known[:, 5:11].T
    albedo, cover = _look_up(head, samples, known[:, 3:5], actions, view, antialias)
    identity = head.identity
    albedo += (np.array(identity.lips, np.float32) - albedo) * (0.85 * lips)[:, None]
    albedo *= (1 - 0.82 * lashes)[:, None]
    dark = np.array([0.16, 0.035, 0.03], np.float32)
    albedo += (dark - albedo) * (cavity * (1 - lips))[:, None]
    albedo[collar > 0] = (
        np.array(identity.shirt, np.float32) * np.where(collar > 0.05, 1, 0.8)[collar > 0, None]
    )
    tooth = kind > 0.5
    gaps = np.clip(6 * np.abs(np.sin(known[tooth, 3] * 140)), 0.8, 1)
    albedo[tooth] = gaps[:, None] * np.float32([0.84, 0.80, 0.72])
    normal[tooth] = -samples.rays[index[tooth]]  # the strip of teeth is too coarse for its own normals
    albedo[kind > 1.5] = [0.35, 0.10, 0.09]
    bare = (collar <= 0) & (kind < 0.5)
    sky = np.where(cavity > 0.5, sky * 0.6, sky)
    lit = np.where(kind > 0.5, np.maximum(lit, 0.6), lit)  # lips let light through to the teeth
    light = np.where(
        bare[:, None],
        shade.diffuse(normal, sky, lit, lamps, shade.SKIN_WRAP),
        shade.diffuse(normal, sky, lit, lamps),
    )
    view_back = -samples.rays[index]
    shine = 0.055 * (1 - 0.7 * cover) * bare * (1 - cavity) * np.clip(sky * 1.3, 0, 1)
    out = albedo * light + shade.gloss(normal, view_back, lit, lamps, 14) * shine[:, None]
    wet = (0.10 * lips + 0.25 * (np.abs(kind - 1) < 0.5)) * bare.astype(np.float32) + 0.15 * (kind > 0.5)
    shiny = wet > 0.02
    out[shiny] += shade.gloss(normal[shiny], view_back[shiny], lit[shiny], lamps, 60) * wet[shiny, None]
    return out


def _look_up(head, samples, coordinates, actions, view, antialias) -> tuple[np.ndarray, np.ndarray]:
    """Texture colour (N, 3), creases applied, and hair cover (N,) at texture coordinates (N, 2)."""
    pixels = view.pose.size * antialias
    level = int(np.clip(np.log2(max(520 / pixels, 1)), 0, len(head.texture) - 1))
    texture = head.texture[level]
    found = _remap(texture, coordinates)
    crease = _remap(crease_map(actions, head.identity.age), coordinates)
    return found[:, :3] * (1 + crease)[:, None], found[:, 3]


def _remap(picture: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """Bilinear samples (N, ...) of a square picture at coordinates (N, 2) in [0, 1]."""
    width = 4096  # OpenCV takes maps of up to 32767 rows
    height = -(-len(coordinates) // width)
    maps = np.zeros((height * width, 2), np.float32)
    maps[: len(coordinates)] = coordinates * (len(picture) - 1)
    maps = maps.reshape(height, width, 2)
    found = cv2.remap(picture, maps, None, cv2.INTER_LINEAR)
    return found.reshape(height * width, *picture.shape[2:])[: len(coordinates)]


def _shade_fixed(head: Head, samples: Samples, lamps: Lamps, lit: np.ndarray) -> np.ndarray:
    """Locks of hair and the frame of glasses."""
    index, hair = samples.fixed, head.hair
    triangle, weights = samples.fixed_hits.triangle[index], samples.fixed_hits.weights[index]
    out = np.zeros((len(index), 3), np.float32)
    lock = triangle < len(hair.triangles)
    corners = hair.triangles[triangle[lock]]
    known = np.concatenate([hair.normals, hair.tangents, hair.tint[:, None], hair.sky[:, None]], axis=1)
    known = sum(weights[lock, k, None] * known[corners[:, k]] for k in range(3))
    colour = np.array(head.identity.hair, np.float32)
    view_back = -samples.rays[index[lock]]
    light = shade.diffuse(known[:, :3], known[:, 7], lit[lock], lamps, np.float32([0.3, 0.3, 0.3]))
    shine = shade.strand_gloss(known[:, 3:6], view_back, lit[lock], lamps)
    tint = known[:, 6:7]
    out[lock] = colour * tint * light + shine * (0.04 + 0.35 * colour) * known[:, 7:8] * tint
    if head.frame is not None:
        rest = ~lock
        corners = head.frame.triangles[triangle[rest] - len(hair.triangles)]
        normal = sum(weights[rest, k, None] * head.frame.normals[corners[:, k]] for k in range(3))
        full = np.ones(int(rest.sum()), np.float32)
        glint = shade.gloss(normal, -samples.rays[index[rest]], lit[rest], lamps, 40)
        out[rest] = 0.03 * shade.diffuse(normal, full, lit[rest], lamps) + 0.25 * glint
    return out


def _shade_eye(head, samples, ball, index, lamps, lit, gaze, view, antialias) -> np.ndarray:
    """One eyeball: painted by angle, darker under the lids, with the key's reflection on the cornea."""
    normal = (samples.points[index] - ball.centre) / ball.radius
    axis = gaze_direction(gaze)
    albedo = paint_eyeball(normal, axis, np.array(head.identity.iris, np.float32), head.identity.seed)
    seen = np.zeros(samples.grid[0] * samples.grid[1], np.float32)
    seen[index] = 1
    blur = cv2.GaussianBlur(
        seen.reshape(samples.grid), (0, 0), max(0.6, 0.014 * view.pose.size * antialias)
    ).ravel()
    sky = np.clip((blur[index] - 0.25) / 0.6, 0.15, 1) * np.clip(
        1.15 - 0.9 * np.maximum(normal[:, 1], 0), 0.3, 1
    )
    light = shade.diffuse(normal, sky, np.minimum(lit, sky), lamps, shade.SKIN_WRAP)
    cosine = normal @ axis
    cornea = normal + 0.7 * (normal - cosine[:, None] * axis) * (cosine > 0.86)[:, None]
    cornea /= np.linalg.norm(cornea, axis=1, keepdims=True)
    open_lit = np.clip(0.35 + lit, 0, 1)
    glint = shade.gloss(cornea, -samples.rays[index], open_lit, lamps, 180)
    return albedo * light + 0.9 * glint


def _compose(background, window, light, samples, antialias, box) -> Rendering:
    """Average the samples of each pixel and lay the person over the background, in linear light."""
    left, top, right, bottom = window
    cover = np.zeros(len(light), np.float32)
    cover[np.concatenate([samples.skin, samples.fixed, *samples.eyes])] = 1
    layers = np.concatenate([light, cover[:, None]], axis=1).reshape(*samples.grid, 4)
    height, width = samples.grid
    layers = layers.reshape(height // antialias, antialias, width // antialias, antialias, 4).mean((1, 3))
    image, mask = background.copy(), np.zeros(background.shape[:2], np.float32)
    behind = shade.to_linear(image[top:bottom, left:right])
    share = layers[..., 3:]
    drawn = layers[..., :3] + behind * (1 - share)
    image[top:bottom, left:right] = np.where(share > 0, shade.to_srgb(drawn), image[top:bottom, left:right])
    mask[top:bottom, left:right] = share[..., 0]
    return Rendering(image, mask, box)

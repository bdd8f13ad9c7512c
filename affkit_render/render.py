"""Draw a head: cast rays through the pixels of its box, find what they meet, light each sample, average."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from affkit_render import shade
from affkit_render.camera import HeadView, Hits, Pose, RayScene, dots
from affkit_render.eyes import meet_sphere
from affkit_render.head import Head
from affkit_render.shade import Lamps, Lighting, sample_lighting
from affkit_render.surfaces import Frame, Samples, light_of

__all__ = ["Lighting", "Pose", "Rendering", "HeadView", "render", "sample_lighting"]

PIVOT = np.array([0.0, 6.2, 0.35], np.float32)  # where the head turns on the neck
Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class Rendering:
    """``image`` (H, W, 3) uint8 RGB; ``mask`` (H, W) float32, how much of a pixel is the person; ``box``
    (x, y, width, height) of the face, brows to chin and ear to ear, in pixels; it may leave the image."""

    image: np.ndarray
    mask: np.ndarray
    box: tuple[float, float, float, float]


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

    ``actions``: Facial actions, see :func:`affkit_render.actions.facial_actions`.
    ``background``: (H, W, 3) uint8 RGB; sets the size of the picture.
    ``gaze``: Where the eyes look, relative to the face: right and up, in radians.
    ``antialias``: Samples along each side of a pixel.
    """
    vertices = _turn_body(head, head.deform(actions), pose)
    areas = head.areas(vertices)
    normals = head.normals(areas)
    view = HeadView(head, pose)
    x, y = view.project(vertices[head.face]).T
    box = (float(x.min()), float(y.min()), float(np.ptp(x)), float(np.ptp(y)))
    window = _window(view, vertices, background.shape)
    if window is None:
        return Rendering(background.copy(), np.zeros(background.shape[:2], np.float32), box)
    towards = view.eye - vertices[head.triangles[:, 0]]
    facing = np.nonzero((dots(areas, towards) > 0) | head.two_sided)[0]
    scene = RayScene(vertices, head.triangles[facing], facing)
    samples = _cast(head, scene, view, window, antialias)
    lamps = shade.in_head(lighting, view.rotation)
    pixels = pose.size * antialias
    lit = _key_light(head, scene, samples, lamps, pixels)
    gap = head.mouth_gap(vertices)
    light = light_of(Frame(view, samples, normals, actions, lamps, lit, gap, gaze, pixels))
    return _compose(background, window, light, samples, antialias, box)


def _turn_body(head: Head, vertices: np.ndarray, pose: Pose) -> np.ndarray:
    """The shoulders follow a turn of the head by a third, the neck by degrees."""
    back = pose.rotation().T @ pose.rotation(0.33)
    low = np.nonzero(head.body_share > 0)[0]
    turned = (vertices[low] - PIVOT) @ back.T + PIVOT
    vertices[low] += head.body_share[low, None] * (turned - vertices[low])
    return vertices


def _window(view: HeadView, vertices: np.ndarray, shape: tuple[int, ...]) -> Window | None:
    """Columns and rows (left, top, right, bottom) of the image that the person can touch."""
    spots = view.project(np.concatenate([vertices, view.head.hair.vertices[::7]]))
    left, top = np.maximum(np.floor(spots.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(spots.max(0)).astype(int) + 1, [shape[1], shape[0]])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _cast(head: Head, scene: RayScene, view: HeadView, window: Window, antialias: int) -> Samples:
    """Send a ray through each sample and keep the nearest of skin, eyes, hair and glasses."""
    left, top, right, bottom = window
    inner = (np.arange(antialias) + 0.5) / antialias - 0.5
    columns = (np.arange(left, right)[:, None] + inner).ravel()
    rows = (np.arange(top, bottom)[:, None] + inner).ravel()
    grid = (len(rows), len(columns))
    rays = view.rays(columns, rows)
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
    met = np.nonzero(what >= 0)[0]
    return Samples(grid, rays, points, met, kinds[0], kinds[1], (kinds[2], kinds[3]), skin_hits, fixed_hits)


def _cast_fixed(head: Head, view: HeadView, origins, rays, columns, rows) -> Hits:
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


def _key_light(head: Head, scene: RayScene, samples: Samples, lamps: Lamps, size: float) -> np.ndarray:
    """(N,) how much of the key light reaches each sample: one shadow ray each, then a soft edge."""
    met = samples.met
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


def _compose(background, window, light, samples, antialias, box) -> Rendering:
    """Average the samples of each pixel and lay the person over the background, in linear light."""
    left, top, right, bottom = window
    cover = np.zeros(len(light), np.float32)
    cover[samples.met] = 1
    layers = np.concatenate([light, cover[:, None]], axis=1).reshape(*samples.grid, 4)
    size = (right - left, bottom - top)
    layers = cv2.resize(layers, size, interpolation=cv2.INTER_AREA)  # the mean of each pixel's samples
    image, mask = background.copy(), np.zeros(background.shape[:2], np.float32)
    behind = shade.to_linear(image[top:bottom, left:right])
    fraction = layers[..., 3:]
    drawn = layers[..., :3] + behind * (1 - fraction)
    image[top:bottom, left:right] = np.where(
        fraction > 0, shade.to_srgb(drawn), image[top:bottom, left:right]
    )
    mask[top:bottom, left:right] = fraction[..., 0]
    return Rendering(image, mask, box)

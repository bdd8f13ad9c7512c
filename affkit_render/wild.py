"""What makes a picture look found and not made: a room out of focus, a camera, something before the face.

Nothing here knows a label, so no label can be read from the background, the light or the noise.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from affkit_render.motion import smooth_noise, smoothstep

BACKGROUNDS = ("room", "bokeh", "plain")
OCCLUDERS = ("hand", "microphone")

# Blur and exposure happen in light, not in pixel values. A pixel is taken as the root of the light: close to
# sRGB, and a square root is fast.
_LIGHT = (np.arange(256, dtype=np.float32) / 255) ** 2
_SPRITE_FACE = 105  # pixels of an occluder's picture in the height of a face box: brows to chin, some 12 cm
_GRAIN_ROOM = 64  # pixels by which the field of noise is larger than the picture
_SHUTTER = 0.4  # fraction of the time between two frames in which the shutter is open


def draw_background(rng: np.random.Generator, width: int, height: int, kind: str | None = None) -> np.ndarray:
    """A place out of focus, ``(height, width, 3)`` uint8 RGB.

    ``kind``: One of :data:`BACKGROUNDS`: a wall with a window, shelves and pictures; lights far away; or a
        plain wall. ``None`` draws one.

    >>> draw_background(np.random.default_rng(0), 64, 48).shape
    (48, 64, 3)
    """
    kind = kind or str(rng.choice(BACKGROUNDS, p=(0.6, 0.2, 0.2)))
    canvas = _wall(rng, width, height, dark=kind == "bokeh")
    if kind == "room":
        for _ in range(rng.integers(2, 5)):
            thing = (_window, _shelves, _picture, _picture, _lamp)[rng.integers(5)]
            thing(rng, canvas)
    elif kind == "bokeh":
        for _ in range(rng.integers(25, 60)):
            _light(rng, canvas)
    radius = rng.uniform(0.03, 0.06) if kind == "bokeh" else rng.uniform(0.012, 0.03)
    return to_pixels(_out_of_focus(canvas, height * radius))


def to_light(pixels: np.ndarray) -> np.ndarray:
    """uint8 pixels to linear light, 0 to 1, float32."""
    return cv2.LUT(pixels, _LIGHT).reshape(pixels.shape)


def to_pixels(light: np.ndarray) -> np.ndarray:
    """Linear light to uint8 pixels; what is brighter than 1 is clipped, as in a camera."""
    return np.rint(255 * np.sqrt(np.clip(light, 0, 1, dtype=np.float32))).astype(np.uint8)


def _colour(rng: np.random.Generator, value: tuple[float, float], most_saturated: float = 0.5) -> np.ndarray:
    """A random colour as linear light ``(3,)``; ``value`` is the range of its brightest channel."""
    hue, saturation = rng.uniform(0, 360), most_saturated * rng.uniform() ** 1.5
    pixel = np.array([[[hue, saturation, rng.uniform(*value)]]], np.float32)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0] ** 2


def _wall(rng: np.random.Generator, width: int, height: int, dark: bool) -> np.ndarray:
    """A wall that is lit from one side: linear light ``(H, W, 3)``."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(width, height)
    slope = rng.uniform(-0.5, 0.5) * x + rng.uniform(-0.4, 0.2) * y
    colour = _colour(rng, (0.1, 0.35) if dark else (0.35, 0.85), 0.25)
    return (colour * np.exp(slope)[..., None]).astype(np.float32)


def _rectangle(canvas: np.ndarray, left: float, top: float, right: float, bottom: float, colour) -> None:
    corners = [(round(left), round(top)), (round(right), round(bottom))]
    cv2.rectangle(canvas, *corners, color=tuple(map(float, colour)), thickness=-1)


def _window(rng: np.random.Generator, canvas: np.ndarray) -> None:
    height, width = canvas.shape[:2]
    left, top = rng.uniform(-0.1, 0.8) * width, rng.uniform(-0.1, 0.2) * height
    wide, tall = rng.uniform(0.25, 0.5) * height, rng.uniform(0.5, 0.9) * height
    frame = _colour(rng, (0.5, 0.9), 0.2)
    sky = np.array([0.75, 0.87, 1.0]) * rng.uniform(0.7, 1.5)
    _rectangle(canvas, left, top, left + wide, top + tall, frame)
    bar = 0.05 * wide
    for column in range(2):
        for row in range(2):
            x, y = left + bar + column * (wide - bar) / 2, top + bar + row * (tall - bar) / 2
            _rectangle(
                canvas, x, y, x + (wide - 3 * bar) / 2, y + (tall - 3 * bar) / 2, sky * (1 - 0.25 * row)
            )


def _shelves(rng: np.random.Generator, canvas: np.ndarray) -> None:
    height, width = canvas.shape[:2]
    left = rng.uniform(-0.2, 0.8) * width
    right = left + rng.uniform(0.3, 0.6) * width
    tall = rng.uniform(0.16, 0.26) * height
    wood = _colour(rng, (0.25, 0.7), 0.5)
    for top in np.arange(rng.uniform(-0.1, 0.2) * height, rng.uniform(0.5, 1.0) * height, tall):
        _rectangle(canvas, left, top, right, top + tall, wood * 0.35)
        x = left
        while x < right - 0.02 * width:
            thick, high = rng.uniform(0.012, 0.04) * width, tall * rng.uniform(0.5, 0.9)
            if rng.uniform() < 0.85:
                book = _colour(rng, (0.15, 0.8), 0.6)
                _rectangle(canvas, x, top + tall - high, min(x + thick, right), top + tall, book)
            x += thick * 1.05
        _rectangle(canvas, left, top + tall - 0.02 * height, right, top + tall, wood)


def _picture(rng: np.random.Generator, canvas: np.ndarray) -> None:
    height, width = canvas.shape[:2]
    x, y = rng.uniform(-0.05, 0.9) * width, rng.uniform(0.0, 0.5) * height
    wide, tall = rng.uniform(0.12, 0.3, 2) * height
    _rectangle(canvas, x, y, x + wide, y + tall, _colour(rng, (0.05, 0.9)))
    edge = 0.08 * wide
    _rectangle(canvas, x + edge, y + edge, x + wide - edge, y + tall - edge, _colour(rng, (0.3, 0.9), 0.7))


def _lamp(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """A glow that falls off with the square of the distance."""
    height, width = canvas.shape[:2]
    x, y = rng.uniform(0, 1) * width, rng.uniform(0, 0.5) * height
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = ((columns - x) ** 2 + (rows - y) ** 2) / (0.12 * height) ** 2  # (H, W)
    canvas += (np.float32([1.0, 0.75, 0.45]) * np.float32(rng.uniform(0.3, 0.9))) / (1 + distance[..., None])


def _light(rng: np.random.Generator, canvas: np.ndarray) -> None:
    height, width = canvas.shape[:2]
    centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
    colour = np.array([1.0, 0.8, 0.5]) * _colour(rng, (0.8, 1.0), 0.5) * rng.uniform(1, 8)
    radius = max(1, int(height * rng.uniform(0.008, 0.015)))
    cv2.circle(canvas, centre, radius, tuple(map(float, colour)), -1)


def _out_of_focus(light: np.ndarray, radius: float) -> np.ndarray:
    """Blur by a disc, which is what a lens does to what is not in focus."""
    reach = max(1, round(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(reach + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return cv2.filter2D(light, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)


@dataclass(frozen=True)
class Camera:
    """A camera in somebody's hand: what it does to each of ``T`` frames.

    ``shake``: ``(T, 2)`` shift of the picture in pixels.
    ``exposure``: ``(T,)`` factor on the light.
    ``balance``: ``(T, 3)`` factor on red, green and blue.
    ``defocus``: Standard deviation of the blur of the lens, in pixels.
    ``noise``: ``(H + 64, W + 64, 3)`` int8, what noise does to a middle grey; each frame has another part of
        it.
    """

    shake: np.ndarray
    exposure: np.ndarray
    balance: np.ndarray
    defocus: float
    noise: np.ndarray

    def take(
        self, image: np.ndarray, frame: int, rng: np.random.Generator, motion: tuple[float, float] = (0, 0)
    ) -> np.ndarray:
        """Photograph ``image`` ``(H, W, 3)`` uint8 as frame number ``frame``, counted from 0.

        ``motion`` is how far the head moved since the last frame, in pixels: it smears the picture.
        """
        light = to_light(image)
        if self.defocus > 0:
            light = cv2.GaussianBlur(light, (0, 0), self.defocus)
        light = _smear(light, _SHUTTER * motion[0], _SHUTTER * motion[1])
        light *= (self.exposure[frame] * self.balance[frame]).astype(np.float32)
        pixels = to_pixels(light).astype(np.float32)
        top, left = rng.integers(_GRAIN_ROOM, size=2)
        grain = self.noise[top : top + image.shape[0], left : left + image.shape[1]]
        # photons arrive at random: after the root, dark parts are the noisier ones
        pixels += (1.3 - np.float32(0.6 / 255) * pixels) * grain
        return np.rint(np.clip(pixels, 0, 255, out=pixels)).astype(np.uint8)


def sample_camera(
    rng: np.random.Generator, times: np.ndarray, width: int, height: int, noise: float | None = None
) -> Camera:
    """Draw a camera for frames at ``times`` of ``height`` x ``width`` pixels; the ranges are choices.

    ``noise`` is the standard deviation of the noise of a middle grey, in steps of 255; ``None`` draws it.
    """
    shaky = height * rng.uniform(0.0, 0.006)
    shake = [smooth_noise(rng, times, shaky, 0.3, 3) for _ in range(2)]
    exposure = np.exp(rng.normal(-0.03, 0.18) + smooth_noise(rng, times, 0.04, 0.05, 0.4))
    warmth = rng.normal(0, 0.05) + smooth_noise(rng, times, 0.02, 0.05, 0.3)  # (T,)
    balance = np.exp(np.stack([warmth, 0 * warmth, -warmth], axis=1))  # (T, 3)
    defocus = height * rng.uniform(0.0, 0.0018)
    drawn = rng.uniform(0.8, 4.0)
    grain = draw_grain(rng, width, height, drawn if noise is None else noise)
    return Camera(np.stack(shake, axis=1), exposure, balance, defocus if defocus > 0.3 else 0.0, grain)


def draw_grain(rng: np.random.Generator, width: int, height: int, deviation: float) -> np.ndarray:
    """The field of noise of a :class:`Camera`: mostly grey, a little coloured."""
    shape = (height + _GRAIN_ROOM, width + _GRAIN_ROOM)
    grey, colour = rng.standard_normal((*shape, 1), np.float32), rng.standard_normal((*shape, 3), np.float32)
    return np.rint(deviation * (0.8 * grey + 0.6 * colour)).clip(-127, 127).astype(np.int8)


def _smear(light: np.ndarray, dx: float, dy: float) -> np.ndarray:
    """Blur along a short straight line, (dx, dy) pixels long."""
    length = float(np.hypot(dx, dy))
    if length < 1:
        return light
    reach = int(np.ceil(length / 2))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for step in np.linspace(-0.5, 0.5, 4 * reach + 1):
        kernel[round(reach + step * dy), round(reach + step * dx)] += 1
    return cv2.filter2D(light, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


@dataclass(frozen=True)
class Occluder:
    """A thing before a face: a picture of it, and where it is in each of ``T`` frames.

    ``sprite``: ``(h, w, 4)`` float32, linear light and opacity; 105 of its pixels are the height of a face
        box.
    ``anchor``: The pixel of the sprite that is held at the place.
    ``place``: ``(T, 2)`` in face heights from the middle of the face box, x to the right, y down.
    ``angle``: ``(T,)`` radians.
    """

    sprite: np.ndarray
    anchor: tuple[float, float]
    place: np.ndarray
    angle: np.ndarray

    def cover(
        self, image: np.ndarray, box: tuple[float, float, float, float], frame: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """``image`` with the thing before the face in ``box``, and its opacity ``(H, W)``."""
        x, y, width, height = box
        middle = np.array([x + width / 2, y + height / 2]) + height * self.place[frame]
        cosine, sine = (height / _SPRITE_FACE) * np.array(
            [np.cos(self.angle[frame]), np.sin(self.angle[frame])]
        )
        turn = np.array([[cosine, -sine], [sine, cosine]])
        shift = middle - turn @ np.array(self.anchor)
        opacity = np.zeros(image.shape[:2], np.float32)
        rows, columns = self._reach(turn, shift, image.shape)
        if rows.start < rows.stop and columns.start < columns.stop:
            matrix = np.column_stack([turn, shift - (columns.start, rows.start)])
            size = (columns.stop - columns.start, rows.stop - rows.start)
            flat = cv2.warpAffine(self.sprite, matrix, size, flags=cv2.INTER_LINEAR)
            opacity[rows, columns] = flat[..., 3]
            light = to_light(image[rows, columns]) * (1 - flat[..., 3:]) + flat[..., :3] * flat[..., 3:]
            image = image.copy()
            image[rows, columns] = to_pixels(light)
        return image, opacity

    def _reach(self, turn: np.ndarray, shift: np.ndarray, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """The rows and columns of a picture that the turned sprite can touch."""
        height, width = self.sprite.shape[:2]
        corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ turn.T + shift
        low = np.clip(np.floor(corners.min(axis=0)), 0, shape[1::-1]).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, shape[1::-1]).astype(int)
        return slice(low[1], high[1]), slice(low[0], high[0])


def sample_occluder(
    rng: np.random.Generator, times: np.ndarray, skin: np.ndarray, kind: str | None = None
) -> Occluder:
    """A hand that comes to the face for a while, or a microphone held below the mouth.

    ``skin``: Linear light of the person's skin as it is lit here, ``(3,)``.
    ``kind``: One of :data:`OCCLUDERS`, or ``None`` to draw one.
    """
    kind = kind or str(rng.choice(OCCLUDERS))
    side = rng.choice((-1, 1))
    wobble = np.stack([smooth_noise(rng, times, 0.012, 0.3, 1.5) for _ in range(2)], axis=1)
    tilt = smooth_noise(rng, times, 0.03, 0.2, 1)
    if kind == "microphone":
        place = np.array([side * rng.uniform(0.0, 0.12), rng.uniform(0.5, 0.62)]) + wobble
        return Occluder(_microphone(rng), (64.0, 40.0), place, side * -rng.uniform(0.1, 0.4) + tilt)
    start = rng.uniform(0, max(times[-1] - 2, 0.1))
    there = smoothstep((times - start) / 0.5) - smoothstep((times - start - rng.uniform(0.8, 2.0)) / 0.5)
    near = np.array([side * rng.uniform(0.1, 0.3), rng.uniform(0.45, 0.65)])
    away = np.array([side * 0.7, 3.0])
    place = away + there[:, None] * (near - away) + wobble
    return Occluder(_hand(skin), (96.0, 90.0), place, side * -rng.uniform(0.1, 0.5) + tilt)


def _shade(height: np.ndarray, colour: np.ndarray, shine: float = 0.0) -> np.ndarray:
    """Light a height field ``(h, w)`` from above left; opaque where it is above 0: ``(h, w, 4)``."""
    slope_y, slope_x = np.gradient(cv2.GaussianBlur(height, (0, 0), 1.0))
    normal = np.dstack([-slope_x, -slope_y, np.ones_like(height)])
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    lit = normal @ np.array([-0.45, -0.6, 0.66])
    light = (
        colour * (0.45 + 0.65 * np.clip(lit, 0, 1))[..., None] + shine * np.clip(lit, 0, 1)[..., None] ** 30
    )
    opacity = cv2.GaussianBlur((height > 0).astype(np.float64), (0, 0), 0.8)
    return np.dstack([light, opacity]).astype(np.float32)


def _capsule(
    shape: tuple[int, int], start, end, radius: float, radius_end: float | None = None
) -> np.ndarray:
    """Height field of a rod with round ends that lies in the plane."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
    start, end = np.array(start, float), np.array(end, float)
    along = ((x - start[0]) * (end - start)[0] + (y - start[1]) * (end - start)[1]) / (
        (end - start) ** 2
    ).sum()
    along = np.clip(along, 0, 1)
    away = (x - start[0] - along * (end - start)[0]) ** 2 + (y - start[1] - along * (end - start)[1]) ** 2
    radius = radius + along * ((radius if radius_end is None else radius_end) - radius)
    return np.sqrt(np.clip(radius**2 - away, 0, None))


def _hand(skin: np.ndarray) -> np.ndarray:
    """The back of a hand with a forearm in a dark sleeve; its knuckles are at (96, 90)."""
    shape = (420, 192)
    palm = [
        _capsule(shape, start, end, radius, radius_end)
        for start, end, radius, radius_end in (
            ((80, 112), (90, 150), 19, 17),
            ((111, 113), (104, 150), 19, 17),
            ((96, 108), (97, 160), 24, 20),
            ((97, 150), (98, 210), 20, 21),
        )
    ]
    palm = cv2.GaussianBlur(11 * np.tanh(np.max(palm, axis=0) / 11), (0, 0), 2.5)
    fingers = [
        _capsule(shape, knuckle, tip, radius + 1, radius - 1.5)
        for knuckle, tip, radius in (
            ((73, 104), (63, 42), 9.5),
            ((88, 100), (83, 28), 10),
            ((103, 100), (103, 32), 9.5),
            ((117, 104), (123, 50), 8.5),
            ((70, 140), (38, 98), 10.5),
        )
    ]
    height = np.max([palm * (palm > 2), *fingers], axis=0)
    hand = _shade(height, skin, 0.02)
    sleeve = _shade(_capsule(shape, (98, 205), (102, 419), 33, 44), 0.12 * np.ones(3))
    covered = sleeve[..., 3:]
    light = hand[..., :3] * (1 - covered) + sleeve[..., :3] * covered
    return np.dstack([light, np.maximum(hand[..., 3:], covered)])


def _microphone(rng: np.random.Generator) -> np.ndarray:
    """A foam ball on a rod, upright; the ball is around (64, 40)."""
    shape = (420, 128)
    rod = _shade(_capsule(shape, (64, 60), (64, 419), 9, 11), 0.03 * np.ones(3), 0.25)
    grain = cv2.GaussianBlur(rng.uniform(-2.5, 2.5, shape), (0, 0), 0.9)
    ball = _capsule(shape, (64, 38), (64, 46), 24)
    foam = _shade(ball + grain * (ball > 4), _colour(rng, (0.12, 0.45), 0.8))
    over = foam[..., 3:]
    light = rod[..., :3] * (1 - over) + foam[..., :3] * over
    return np.dstack([light, np.maximum(rod[..., 3:], over)])

"""Light on skin, hair, cloth and eyes: small formulas over arrays of samples, linear RGB, float32."""

from dataclasses import dataclass

import numpy as np

from affkit_render.camera import dots, unit

Vector = tuple[float, float, float]
SKIN_WRAP = np.array([0.42, 0.22, 0.16], np.float32)
"""How far light creeps past the edge of shadow in red, green and blue: skin scatters red furthest."""
HARD = np.full(3, 0.05, np.float32)


@dataclass(frozen=True)
class Lighting:
    """Three lights and a sky. Directions point to the light, in camera coordinates: x right, y up, z to the
    camera; unit length. Colours are linear RGB; 1 lights a white wall fully."""

    key_direction: Vector
    key: Vector
    fill_direction: Vector
    fill: Vector
    rim_direction: Vector
    rim: Vector
    sky: Vector
    ground: Vector


def sample_lighting(rng: np.random.Generator) -> Lighting:
    """Draw a plausible room or street: a key from above on either side, a weaker fill, a rim, a sky."""
    side, up = rng.normal(0, 0.6), rng.uniform(0.25, 0.9)
    warmth = rng.normal(0, 0.06)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    strength = rng.uniform(0.7, 1.0)
    ambient = rng.uniform(0.28, 0.45)

    def towards(*direction: float) -> Vector:
        return tuple(float(v) for v in np.array(direction) / np.linalg.norm(direction))

    def colour(scale: float, tone: np.ndarray) -> Vector:
        return tuple(float(v) for v in scale * tone)

    return Lighting(
        key_direction=towards(np.clip(side, -1.2, 1.2), up, 1.0),
        key=colour(strength, tint),
        fill_direction=towards(-np.sign(side) * 0.9, 0.1, 0.8),
        fill=colour(strength * rng.uniform(0.15, 0.4), 2 - tint),
        rim_direction=towards(-np.sign(side) * 0.8, 0.6, -0.8),
        rim=colour(rng.uniform(0.0, 0.5), np.ones(3)),
        sky=colour(ambient, 0.5 + 0.5 * (2 - tint)),
        ground=colour(ambient * 0.55, tint),
    )


@dataclass(frozen=True)
class Light:
    """One lamp in head coordinates: unit ``direction`` (3,) towards it and ``colour`` (3,)."""

    direction: np.ndarray
    colour: np.ndarray


@dataclass(frozen=True)
class Lamps:
    """The lighting in head coordinates; ``up`` (3,) is up in the world. The first lamp casts shadow."""

    lamps: list[Light]
    up: np.ndarray
    sky: np.ndarray
    ground: np.ndarray


def in_head(lighting: Lighting, rotation: np.ndarray) -> Lamps:
    """Turn camera coordinates to head coordinates; ``rotation`` (3, 3) takes head to camera."""

    def turned(direction: Vector) -> np.ndarray:
        return (np.array(direction) @ rotation).astype(np.float32)

    pairs = [(lighting.key_direction, lighting.key), (lighting.fill_direction, lighting.fill)]
    pairs.append((lighting.rim_direction, lighting.rim))
    lamps = [Light(turned(direction), np.array(colour, np.float32)) for direction, colour in pairs]
    sky, ground = np.array(lighting.sky, np.float32), np.array(lighting.ground, np.float32)
    return Lamps(lamps, turned((0.0, 1.0, 0.0)), sky, ground)


def diffuse(
    normals: np.ndarray, sky: np.ndarray, lit: np.ndarray, lamps: Lamps, wrap: np.ndarray = HARD
) -> np.ndarray:
    """Light (N, 3) that falls on samples: ``normals`` (N, 3), open ``sky`` (N,), ``lit`` (N,) by the key."""
    level = 0.5 + 0.5 * (normals @ lamps.up)
    light = (lamps.ground + level[:, None] * (lamps.sky - lamps.ground)) * sky[:, None]
    for k, lamp in enumerate(lamps.lamps):
        facing = (normals @ lamp.direction)[:, None]
        amount = np.maximum((facing + wrap) / (1 + wrap), 0)
        seen = lit if k == 0 else np.minimum(1, 0.15 + 1.1 * sky)
        light += amount * lamp.colour * seen[:, None]
    return light


def gloss(normals: np.ndarray, view: np.ndarray, lit: np.ndarray, lamps: Lamps, power: float) -> np.ndarray:
    """Highlights (N, 3) of the key and the fill (Blinn-Phong); ``view`` (N, 3) points to the camera."""
    shine = np.zeros_like(normals)
    for lamp, seen in zip(lamps.lamps[:2], (lit, 0.7 * np.ones_like(lit)), strict=True):
        amount = np.maximum(dots(normals, unit(view + lamp.direction)), 0) ** power
        shine += (amount * seen)[:, None] * lamp.colour
    return shine


def strand_gloss(tangents: np.ndarray, view: np.ndarray, lit: np.ndarray, lamps: Lamps) -> np.ndarray:
    """Highlights (N, 3) across strands of hair: strongest where the half vector is square to the strand
    (Kajiya & Kay 1989, Computer Graphics 23(3))."""
    along = dots(tangents, unit(view + lamps.lamps[0].direction))
    return ((1 - along**2) ** 14 * lit)[:, None] * lamps.lamps[0].colour


def to_linear(picture: np.ndarray) -> np.ndarray:
    """sRGB uint8 to linear float32 (a power of 2.2, as :func:`to_srgb`)."""
    return _LINEAR[picture]


def to_srgb(light: np.ndarray) -> np.ndarray:
    """Linear float32 to sRGB uint8, with a soft shoulder above 0.8 instead of a cut at 1."""
    soft = np.where(light > 0.7, 0.7 + 0.3 * np.tanh((light - 0.7) / 0.3), light)
    return np.rint(255 * np.clip(soft, 0, 1) ** (1 / 2.2)).astype(np.uint8)


_LINEAR = ((np.arange(256) / 255) ** 2.2).astype(np.float32)

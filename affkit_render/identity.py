"""What makes a person: shape, skin, hair, brows, eyes, clothes. Sampled from a seed, kept as JSON."""

import json
from dataclasses import asdict, dataclass

import numpy as np

HAIR_STYLES = ("bald", "buzz", "receding", "short", "side part", "curly", "afro", "bob", "long", "bun")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
GENDERS = ("female", "male")

_STYLE_SHARES = {
    "male": (0.09, 0.14, 0.12, 0.25, 0.2, 0.08, 0.05, 0.0, 0.05, 0.02),
    "female": (0.0, 0.03, 0.0, 0.07, 0.08, 0.12, 0.06, 0.22, 0.25, 0.17),
}
_BEARD_SHARES = (0.46, 0.24, 0.08, 0.08, 0.14)

_SHAPE_SPREAD = {
    "head/head-scale-horiz-{decr|incr}": 0.3,
    "head/head-scale-vert-{decr|incr}": 0.25,
    "head/head-scale-depth-{decr|incr}": 0.2,
    "head/head-fat-{decr|incr}": 0.3,
    "forehead/forehead-scale-vert-{decr|incr}": 0.2,
    "forehead/forehead-temple-{decr|incr}": 0.3,
    "forehead/forehead-nubian-{decr|incr}": 0.25,
    "eyebrows/eyebrows-trans-{down|up}": 0.2,
    "nose/nose-scale-vert-{decr|incr}": 0.25,
    "nose/nose-scale-horiz-{decr|incr}": 0.3,
    "nose/nose-scale-depth-{decr|incr}": 0.3,
    "nose/nose-width1-{decr|incr}": 0.3,
    "nose/nose-width2-{decr|incr}": 0.3,
    "nose/nose-width3-{decr|incr}": 0.3,
    "nose/nose-point-{down|up}": 0.3,
    "nose/nose-point-width-{decr|incr}": 0.3,
    "nose/nose-hump-{decr|incr}": 0.3,
    "nose/nose-curve-{concave|convex}": 0.3,
    "nose/nose-flaring-{decr|incr}": 0.3,
    "nose/nose-volume-{decr|incr}": 0.2,
    "nose/nose-base-{down|up}": 0.2,
    "mouth/mouth-scale-horiz-{decr|incr}": 0.25,
    "mouth/mouth-upperlip-height-{decr|incr}": 0.3,
    "mouth/mouth-lowerlip-height-{decr|incr}": 0.3,
    "mouth/mouth-upperlip-volume-{decr|incr}": 0.3,
    "mouth/mouth-lowerlip-volume-{decr|incr}": 0.3,
    "mouth/mouth-cupidsbow-{decr|incr}": 0.3,
    "mouth/mouth-philtrum-volume-{decr|incr}": 0.3,
    "mouth/mouth-trans-{down|up}": 0.15,
    "chin/chin-height-{decr|incr}": 0.25,
    "chin/chin-width-{decr|incr}": 0.35,
    "chin/chin-prominent-{decr|incr}": 0.25,
    "chin/chin-bones-{decr|incr}": 0.3,
    "chin/chin-cleft-{decr|incr}": 0.25,
    "neck/neck-scale-horiz-{decr|incr}": 0.25,
    "neck/neck-double-{decr|incr}": 0.2,
    "cheek/{side}-cheek-volume-{decr|incr}": 0.35,
    "cheek/{side}-cheek-bones-{decr|incr}": 0.35,
    "cheek/{side}-cheek-inner-{decr|incr}": 0.2,
    "eyes/{side}-eye-scale-{decr|incr}": 0.25,
    "eyes/{side}-eye-trans-{in|out}": 0.2,
    "eyes/{side}-eye-corner1-{down|up}": 0.2,
    "eyes/{side}-eye-height2-{decr|incr}": 0.2,
    "eyes/{side}-eye-push1-{in|out}": 0.2,
    "ears/{side}-ear-scale-{decr|incr}": 0.25,
    "ears/{side}-ear-wing-{decr|incr}": 0.25,
    "ears/{side}-ear-lobe-{decr|incr}": 0.3,
}
"""Local shape controls and the standard deviation of their weights; the two ends of each stand in braces."""

_FACE_OUTLINES = ("oval", "round", "square", "rectangular", "triangular", "invertedtriangular", "diamond")


@dataclass(frozen=True)
class Identity:
    """A person. Colours are linear RGB in [0, 1]; lengths are decimetres on the base mesh.

    ``shape``: Target name to weight: what is added to the base mesh.
    ``skin``, ``lips``, ``hair``, ``iris``, ``shirt``: Colours. ``melanin`` in [0, 1] is how dark the skin is,
        ``redness`` how flushed.
    ``age``: Years, 18 to 80.
    ``hair_style``, ``beard``: One of :data:`HAIR_STYLES` and :data:`BEARDS`.
    ``brow_width``, ``brow_height``, ``brow_density``: Thickness, shift upwards and strength of the eyebrows.
    """

    seed: int
    gender: str
    age: float
    shape: dict[str, float]
    melanin: float
    redness: float
    freckles: float
    skin: tuple[float, float, float]
    lips: tuple[float, float, float]
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    shirt: tuple[float, float, float]
    hair_style: str
    beard: str
    glasses: bool
    brow_width: float
    brow_height: float
    brow_density: float

    def to_json(self) -> str:
        """The identity as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Identity":
        """The identity that :meth:`to_json` wrote.

        >>> Identity.from_json(sample_identity(3).to_json()) == sample_identity(3)
        True
        """
        values = json.loads(text)
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def sample_identity(seed: int, gender: str | None = None) -> Identity:
    """Draw a person; the same seed and gender give the same person.

    ``seed``: Any non-negative integer.
    ``gender``: "female", "male", or ``None`` for either.
    """
    if gender not in (None, *GENDERS):
        raise ValueError(f"gender is {gender!r}, expected one of {GENDERS} or None")
    rng = np.random.default_rng([seed, 20181116])
    drawn = GENDERS[rng.integers(2)]
    gender = gender or drawn
    male = gender == "male"
    age = float(np.clip(18 + 62 * rng.beta(1.15, 1.9), 18, 80))
    ancestry = rng.dirichlet([0.45, 0.45, 0.45])
    melanin = float(np.clip(ancestry @ [0.78, 0.33, 0.2] + rng.normal(0, 0.09), 0.02, 0.97))
    skin = _skin_colour(melanin, rng)
    style = HAIR_STYLES[rng.choice(len(HAIR_STYLES), p=_STYLE_SHARES[gender])]
    if style in ("bald", "receding") and age < 30:
        style = "buzz"
    if style == "afro" and ancestry[0] < 0.3:
        style = "curly"
    beard = BEARDS[rng.choice(len(BEARDS), p=_BEARD_SHARES)] if male else "none"
    rosy = 0.56 if male else 0.44
    lips = np.array(skin) * [0.80, rosy, rosy + 0.03] * rng.uniform(0.9, 1.08)
    return Identity(
        seed=seed,
        gender=gender,
        age=round(age, 1),
        shape=_sample_shape(male, age, ancestry, rng),
        melanin=round(melanin, 4),
        redness=float(rng.uniform(0.3, 1.0)),
        freckles=float(rng.uniform(0, 1) ** 4 * (melanin < 0.3)),
        skin=skin,
        lips=tuple(float(c) for c in lips),
        hair=_hair_colour(melanin, ancestry[2], age if male else age - 12, rng),
        iris=_iris_colour(melanin, rng),
        shirt=tuple(float(c) for c in _shirt_colour(rng)),
        hair_style=style,
        beard=beard,
        glasses=bool(rng.random() < 0.16),
        brow_width=float(rng.uniform(0.042, 0.062) * (1.15 if male else 0.85)),
        brow_height=float(rng.normal(0, 0.012) + (0.0 if male else 0.015)),
        brow_density=float(rng.uniform(0.65, 1.0)),
    )


def _sample_shape(male: bool, age: float, ancestry: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """Weights of the targets: gender, age, ancestry and build multiply, local controls add."""
    old = np.clip((age - 25) / 60, 0, 1) * 0.8
    masculine = float(np.clip(rng.normal(0.88 if male else 0.1, 0.08), 0, 1))
    build = {
        "weight": np.clip(rng.normal(0.5, 0.2), 0.05, 0.95),
        "muscle": np.clip(rng.normal(0.5, 0.15), 0, 1),
    }
    genders = {"male": masculine, "female": 1 - masculine}
    ages = {"young": 1 - old, "old": old}
    shape = {}
    for sex, sex_fraction in genders.items():
        for time, time_fraction in ages.items():
            for people, fraction in zip(("african", "asian", "caucasian"), ancestry, strict=True):
                shape[f"macrodetails/{people}-{sex}-{time}"] = sex_fraction * time_fraction * fraction
            for muscle, muscle_share in _three_levels(build["muscle"], "muscle").items():
                for weight, weight_share in _three_levels(build["weight"], "weight").items():
                    name = f"macrodetails/universal-{sex}-{time}-{muscle}-{weight}"
                    shape[name] = sex_fraction * time_fraction * muscle_share * weight_share
    outline = _FACE_OUTLINES[rng.integers(len(_FACE_OUTLINES))]
    shape[f"head/head-{outline}"] = rng.uniform(0, 0.45)
    for control, spread in _SHAPE_SPREAD.items():
        weight = float(np.clip(rng.normal(0, spread), -2 * spread, 2 * spread))
        stem, ends = control.rsplit("-", 1)
        end = ends.strip("{}").split("|")[weight > 0]
        for side in ("l", "r") if "{side}" in stem else ("",):
            shape[f"{stem.replace('{side}', side)}-{end}"] = abs(weight) * rng.uniform(0.9, 1.1)
    return {name: round(float(weight), 4) for name, weight in shape.items() if weight > 1e-3}


def _three_levels(value: float, name: str) -> dict[str, float]:
    """Linear weights of the min, average and max target for a value in [0, 1]."""
    low, high = max(0.0, 1 - 2 * value), max(0.0, 2 * value - 1)
    return {f"min{name}": low, f"average{name}": 1 - low - high, f"max{name}": high}


def _skin_colour(melanin: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Linear RGB along a ramp from fair to dark, with a warmer or cooler undertone."""
    tones = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    ramp = np.array(
        [
            [0.70, 0.47, 0.37],
            [0.60, 0.38, 0.27],
            [0.47, 0.275, 0.175],
            [0.36, 0.19, 0.11],
            [0.20, 0.10, 0.06],
            [0.085, 0.045, 0.03],
        ]
    )
    colour = np.array([np.interp(melanin, tones, ramp[:, k]) for k in range(3)])
    warmth = rng.normal(0, 0.04)
    return tuple(float(c) for c in colour * (1 + warmth * np.array([0.3, 0.2, -1.0])))


def _hair_colour(
    melanin: float, fair: float, age: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Black to blond, only dark on dark skin, greying from about 40."""
    ramp = np.array(
        [
            [0.010, 0.008, 0.007],
            [0.035, 0.020, 0.012],
            [0.10, 0.055, 0.03],
            [0.30, 0.18, 0.08],
            [0.24, 0.07, 0.025],
        ]
    )
    light = fair > 0.5 and melanin < 0.35
    colour = ramp[rng.choice(5, p=[0.15, 0.25, 0.3, 0.2, 0.1] if light else [0.7, 0.25, 0.05, 0, 0])]
    grey = float(np.clip((age - 38) / 35 + rng.normal(0, 0.2), 0, 1)) if age > 38 else 0.0
    silver = np.array([0.30, 0.30, 0.31])
    return tuple(float(c) for c in colour * (1 - grey) + silver * grey)


def _iris_colour(melanin: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Brown for most; blue, green, grey or hazel on fair skin."""
    colours = np.array(
        [[0.09, 0.04, 0.02], [0.17, 0.085, 0.035], [0.13, 0.24, 0.38], [0.13, 0.2, 0.12], [0.22, 0.26, 0.29]]
    )
    light = melanin < 0.3
    colour = colours[rng.choice(5, p=[0.2, 0.2, 0.28, 0.16, 0.16] if light else [0.75, 0.25, 0, 0, 0])]
    return tuple(float(c) for c in colour * rng.uniform(0.85, 1.15))


def _shirt_colour(rng: np.random.Generator) -> np.ndarray:
    """Muted cloth of any hue."""
    grey = rng.uniform(0.02, 0.5)
    return np.clip(grey * rng.uniform(0.5, 1.4, 3), 0.01, 0.8)

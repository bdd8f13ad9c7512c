"""A small written-down model of affect: what a person feels, what the face shows of it, and how we label it.

One performance is made in three steps.

1. *Feeling.* Valence and arousal drift slowly near a personal resting point. Now and then an episode of an
   emotion pulls them towards that emotion's place in the plane (Russell & Mehrabian 1977).
2. *Face.* An episode moves action units: those that Du, Tao & Martinez (2014) found for its expression, each
   used by the fraction of people they report. A person's own choice of them, their strengths and the
   asymmetry are drawn once: that is a :class:`Style`. People also feel without showing, smile while they
   suffer, blend two expressions, raise their brows and talk without any emotion.
3. *Labels.* Valence and arousal are what is felt. Expression and action units are what is shown: the
   strongest expression above :data:`EXPRESSION_THRESHOLD`, each unit above
   :data:`~affkit.labels.ACTION_UNIT_THRESHOLD`.

Because feeling and face are coupled but not the same, valence is no function of the face, and the same face
occurs under different labels. Constants without a source are choices, and say so.

References
----------
S. Du, Y. Tao, A. M. Martinez, "Compound facial expressions of emotion", PNAS 111(15), 2014. P. Ekman,
W. V. Friesen, "Felt, false, and miserable smiles", J. Nonverbal Behavior 6(4), 1982. P. Ekman, "About brows",
in *Human Ethology*, 1979. U. Hess, R. E. Kleck, "Differentiating emotion elicited and deliberate emotional
facial expressions", European J. Social Psychology 20, 1990.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from affkit.labels import (
    ACTION_UNIT_THRESHOLD,
    ACTION_UNITS,
    EXPRESSION_ACTION_UNITS,
    EXPRESSION_PLACES,
    EXPRESSIONS,
    Labels,
)
from affkit_render import motion
from affkit_render.motion import envelope, smooth_noise, smoothstep

ANCHORS = {name: place for name, place in EXPRESSION_PLACES.items() if name != "Neutral"}
"""Valence and arousal of each emotion, as in :data:`affkit.labels.EXPRESSION_PLACES`."""

SHOWN_UNITS = tuple(
    sorted({unit for units in EXPRESSION_ACTION_UNITS.values() for unit in units}, key=lambda u: int(u[2:]))
)
"""All action units that a performance can contain: the paper's eight and nine more."""

COMPOUNDS = {
    "Happiness": ("Surprise", "Disgust"),
    "Sadness": ("Fear", "Anger", "Surprise", "Disgust"),
    "Fear": ("Sadness", "Anger", "Surprise", "Disgust"),
    "Anger": ("Sadness", "Fear", "Surprise", "Disgust"),
    "Surprise": ("Happiness", "Sadness", "Fear", "Anger", "Disgust"),
    "Disgust": ("Happiness", "Sadness", "Fear", "Anger", "Surprise"),
}
"""Expressions that people blend ("happily surprised"); Du et al. 2014, their compound categories."""

EXPRESSION_SHARES = {
    "Happiness": 0.31,
    "Surprise": 0.15,
    "Anger": 0.16,
    "Sadness": 0.06,
    "Disgust": 0.23,
    "Fear": 0.09,
}
"""How often an episode is of each emotion: a choice, skewed as in the wild, and such that action units are a
little more frequent than in Table III of the paper, which counts only what all coders agree on."""

EXPRESSION_THRESHOLD = 0.25
"""An expression is labelled where it is shown at more than this strength, else Neutral: a choice."""

RISE_SECONDS = (0.2, 0.6)
HOLD_SECONDS = (0.5, 4.0)
FALL_TIMES_RISE = (1.5, 3.0)
"""A spontaneous expression rises, holds, and falls more slowly (Hess & Kleck 1990)."""

FEELING_RISE_SECONDS = (0.4, 1.0)
FEELING_FALL_SECONDS = (0.6, 1.4)
"""Valence and arousal move more slowly than the face: a choice."""

STRENGTHS, EXPRESSIVITY = (0.45, 1.0), (0.9, 1.2)
"""How strong an episode is, and how much of it a person lets see: ranges, a choice."""

MEAN_GAP_SECONDS = 1.2
"""From the end of an episode to the start of the next, on average: a choice."""

HIDDEN_SHARE, MASKED_SHARE, BLENDED_SHARE = 0.12, 0.10, 0.20
"""Episodes that are not shown, that a smile covers (Ekman & Friesen 1982), that blend two expressions."""

SIGNALS = {
    ("AU1",): 1.9,
    ("AU1", "AU2"): 0.7,
    ("AU1", "AU4"): 0.2,
    ("AU4",): 0.3,
    ("AU6",): 7.0,
    ("AU12",): 0.4,
    ("AU25",): 0.2,
}
"""Units moved without emotion, and how often a minute: flashes of the brows (Ekman 1979), a frown of thought,
eyes narrowed at a bright screen, a polite smile, a facial shrug. The rates are a choice, made so that
action units are a little more frequent than in Table III, which counts only what all coders agree on."""

SIGNAL_SECONDS = (0.2, 1.5)
"""How long such a signal holds: a choice."""

LIPS_PART_FROM = (0.75, 1.0)
"""Range of the strength from which a person's lips part in an expression. The pictures of Du et al. are posed
at full strength; in life most smiles stay closed, and in Table III AU25 is rarer than AU12. A choice."""

_EARLIEST = -8.0  # seconds: an episode may have begun before the clip
_LARGEST_RADIUS = 0.98


@dataclass(frozen=True)
class Style:
    """How one person feels and shows it.

    ``units``: Expression to action unit to its intensity, 0 to 1, when the expression is shown at full
        strength.
    ``expressivity``: Factor on everything that is shown.
    ``reach``: Factor on the distance from the origin of valence and arousal, ``(2,)``.
    ``rest``: Resting point of valence and arousal, ``(2,)``.
    ``asymmetry``: -1 to 1; positive is stronger on one side.
    ``blink_rate``: Blinks a minute.
    ``talkative``: Share of the time in which the person speaks.
    ``lips_part_from``: Strength of an expression from which AU25 and AU26 take part in it.
    """

    units: Mapping[str, Mapping[str, float]]
    expressivity: float
    reach: np.ndarray
    rest: np.ndarray
    asymmetry: float
    blink_rate: float
    talkative: float
    lips_part_from: float


@dataclass(frozen=True)
class Episode:
    """One emotion for a while: ``felt`` pulls valence and arousal to ``target``, ``shown`` moves the face.

    ``shown`` maps expressions to a strength of 0 to 1; it is empty when nothing is shown.
    """

    felt: str
    target: np.ndarray
    shown: Mapping[str, float]
    start: float
    rise: float
    hold: float
    fall: float


@dataclass(frozen=True)
class Performance:
    """What one person feels and does in ``T`` frames.

    ``times``: ``(T,)`` seconds.
    ``valence``, ``arousal``: ``(T,)`` in [-1, 1], inside the unit circle.
    ``strengths``: Expression to the strength with which it is shown, ``(T,)``, 0 to about 1; "Neutral" is not
        in it.
    ``intensities``: Action unit to its intensity, ``(T,)``, 0 to 1.
    ``asymmetry``, ``blink``, ``jaw``: ``(T,)``; ``jaw`` is the opening by speech, beside what AU26 does.
    ``talking``: ``(T,)`` bool.
    ``gaze``: ``(T, 2)`` yaw and pitch of the eyes in the head, radians.
    ``yaw``, ``pitch``, ``roll``: ``(T,)`` of the head, radians.
    """

    times: np.ndarray
    valence: np.ndarray
    arousal: np.ndarray
    strengths: Mapping[str, np.ndarray]
    intensities: Mapping[str, np.ndarray]
    asymmetry: np.ndarray
    blink: np.ndarray
    jaw: np.ndarray
    talking: np.ndarray
    gaze: np.ndarray
    yaw: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    @property
    def expression(self) -> np.ndarray:
        """``(T,)`` index into ``EXPRESSIONS``: the strongest above the threshold, or Neutral."""
        neutral = np.full(len(self), EXPRESSION_THRESHOLD)
        return np.stack([self.strengths.get(name, neutral) for name in EXPRESSIONS]).argmax(axis=0)

    @property
    def labels(self) -> Labels:
        """The labels of all frames; every mask is true."""
        units = np.stack([self.intensities[unit] > ACTION_UNIT_THRESHOLD for unit in ACTION_UNITS], axis=1)
        known = np.ones(len(self), bool)
        return Labels(
            valence=self.valence.astype(np.float32),
            arousal=self.arousal.astype(np.float32),
            has_va=known,
            expression=self.expression.astype(np.int64),
            has_expression=known.copy(),
            action_units=units.astype(np.float32),
            has_action_units=np.ones(units.shape, bool),
        )


def sample_style(rng: np.random.Generator) -> Style:
    """Draw a person's own way; the ranges are choices.

    >>> style = sample_style(np.random.default_rng(0))
    >>> "AU12" in style.units["Happiness"]
    True
    """
    units = {
        expression: {
            unit: rng.uniform(0.75, 1.0) if fraction == 1 else rng.uniform(0.4, 0.9)
            for unit, fraction in fractions.items()
            if rng.uniform() < fraction
        }
        for expression, fractions in EXPRESSION_ACTION_UNITS.items()
    }
    return Style(
        units=units,
        expressivity=rng.uniform(*EXPRESSIVITY),
        reach=rng.uniform(0.75, 1.1, 2),
        rest=rng.normal((0.05, 0.06), 0.08),
        asymmetry=float(np.clip(rng.normal(0, 0.12), -0.4, 0.4)),
        blink_rate=rng.uniform(*motion.BLINKS_A_MINUTE),
        talkative=rng.uniform(0, 0.1),
        lips_part_from=rng.uniform(*LIPS_PART_FROM),
    )


def perform(
    times: np.ndarray, rng: np.random.Generator, style: Style, plan: Sequence[str] | None = None
) -> Performance:
    """Act for a while.

    ``times``: ``(T,)`` the moments of the frames in seconds, rising, from 0. They need not be evenly spaced.
    ``rng``: The same generator state, the same performance, whatever the frame rate.
    ``plan``: Emotions to feel and clearly show, one after the other, in equal parts of the time; ``None``
        lets episodes come as they do in life.

    >>> times = np.arange(90) / 30
    >>> act = perform(times, np.random.default_rng(0), sample_style(np.random.default_rng(1)))
    >>> len(act.labels), sorted(act.intensities) == sorted(SHOWN_UNITS)
    (90, True)
    """
    streams = rng.spawn(6)  # one for each thing, so that none depends on what another draws
    if plan is None:
        episodes = spontaneous_episodes(streams[0], np.ceil(times[-1]), style)
    else:
        episodes = planned_episodes(streams[0], times[-1], style, plan)
    felt = feel(streams[1], times, episodes, style)  # (T, 2)
    talk = motion.speech(streams[3], times, style.talkative)
    turns = motion.head_turns(streams[4], times)  # (T, 3)
    wobble = smooth_noise(streams[4], times, 0.05, 0.1, 0.5)
    return Performance(
        times=times,
        valence=felt[:, 0],
        arousal=felt[:, 1],
        strengths=shown_strengths(times, episodes, style),
        intensities=show(streams[2], times, episodes, style, talk.lips),
        asymmetry=np.clip(style.asymmetry + wobble, -1, 1),
        blink=motion.blinks(streams[5], times, style.blink_rate),
        jaw=talk.jaw,
        talking=talk.talking,
        gaze=motion.glances(streams[5], times, turns),
        yaw=turns[:, 0],
        pitch=turns[:, 1],
        roll=turns[:, 2],
    )


def spontaneous_episodes(rng: np.random.Generator, duration: float, style: Style) -> list[Episode]:
    """Episodes with gaps between them, from before the clip to its end."""
    emotions = list(EXPRESSION_SHARES)
    episodes = []
    start = _EARLIEST
    while True:
        start += rng.exponential(MEAN_GAP_SECONDS)
        if start > duration:
            return episodes
        felt = emotions[rng.choice(len(emotions), p=list(EXPRESSION_SHARES.values()))]
        strength = rng.uniform(*STRENGTHS)
        rise = rng.uniform(*RISE_SECONDS)
        hold = float(np.exp(rng.uniform(*np.log(HOLD_SECONDS))))  # brief ones are the more frequent
        fall = rise * rng.uniform(*FALL_TIMES_RISE)
        shown = _shown(rng, felt, strength)
        episodes.append(Episode(felt, _target(rng, felt, strength, style), shown, start, rise, hold, fall))
        start += rise + hold + fall


def planned_episodes(
    rng: np.random.Generator, duration: float, style: Style, plan: Sequence[str]
) -> list[Episode]:
    """The emotions of ``plan`` in order, at full strength; "Neutral" is a part without an episode.

    Raises ``ValueError`` if a part would be shorter than 1.5 seconds.
    """
    part = duration / max(len(plan), 1)
    if part < 1.5:
        raise ValueError(
            f"{len(plan)} expressions need at least {1.5 * len(plan)} seconds, not {duration:.2f}"
        )
    episodes = []
    for position, felt in enumerate(plan):
        if felt == "Neutral":
            continue
        gap, rise = rng.uniform(0.15, 0.35), rng.uniform(RISE_SECONDS[0], 0.35)
        fall = rise * rng.uniform(FALL_TIMES_RISE[0], 2.0)
        strength = rng.uniform(1.0, 1.2) / style.expressivity  # clear whoever shows it
        target = _target(rng, felt, 1.0, style)
        hold = min(part - gap - rise - fall, HOLD_SECONDS[1])
        episodes.append(Episode(felt, target, {felt: strength}, position * part + gap, rise, hold, fall))
    return episodes


def _target(rng: np.random.Generator, felt: str, strength: float, style: Style) -> np.ndarray:
    """Where an episode pulls valence and arousal: the stronger, the farther; never twice the same."""
    return np.array(ANCHORS[felt]) * style.reach * (0.5 + 0.5 * strength) + rng.normal(0, 0.12, 2)


def _shown(rng: np.random.Generator, felt: str, strength: float) -> dict[str, float]:
    """What the face shows of a feeling."""
    chance = rng.uniform()
    if chance < HIDDEN_SHARE:
        return {}
    if chance < HIDDEN_SHARE + MASKED_SHARE and ANCHORS[felt][0] < 0:
        return {"Happiness": rng.uniform(0.4, 0.8), felt: rng.uniform(0, 0.3) * strength}
    if chance > 1 - BLENDED_SHARE:
        return {felt: strength, str(rng.choice(COMPOUNDS[felt])): strength * rng.uniform(0.3, 0.6)}
    return {felt: strength}


def feel(
    rng: np.random.Generator, times: np.ndarray, episodes: Sequence[Episode], style: Style
) -> np.ndarray:
    """Valence and arousal ``(T, 2)``: drift, pulled towards each episode, kept inside the unit circle."""
    drift = [style.rest[axis] + smooth_noise(rng, times, 0.10, 0.02, 0.15) for axis in range(2)]
    felt = np.stack(drift, axis=1)  # (T, 2)
    for episode in episodes:
        rise, fall = rng.uniform(*FEELING_RISE_SECONDS), rng.uniform(*FEELING_FALL_SECONDS)
        start = episode.start + rng.normal(0, 0.1)
        pull = envelope(times, start, rise, episode.hold, fall)[:, None]  # (T, 1)
        felt = felt + pull * (episode.target - felt)
    radius = np.linalg.norm(felt, axis=1, keepdims=True)  # (T, 1)
    return np.round(felt * _soft_limit(radius) / np.maximum(radius, 1e-9), 4)


def _soft_limit(radius: np.ndarray, straight: float = 0.75) -> np.ndarray:
    """The identity up to ``straight``, then bending so that it never reaches the largest radius."""
    room = _LARGEST_RADIUS - straight
    return np.where(radius < straight, radius, straight + room * np.tanh((radius - straight) / room))


def shown_strengths(times: np.ndarray, episodes: Sequence[Episode], style: Style) -> dict[str, np.ndarray]:
    """How strongly each of the six expressions is shown, ``(T,)``."""
    strengths = {name: np.zeros(len(times)) for name in ANCHORS}
    for episode in episodes:
        course = envelope(times, episode.start, episode.rise, episode.hold, episode.fall)
        for name, strength in episode.shown.items():
            strengths[name] = np.maximum(strengths[name], style.expressivity * strength * course)
    return {name: np.round(values, 4) for name, values in strengths.items()}


def show(
    rng: np.random.Generator, times: np.ndarray, episodes: Sequence[Episode], style: Style, lips: np.ndarray
) -> dict[str, np.ndarray]:
    """Intensity of every action unit, ``(T,)``, 0 to 1: episodes, signals without emotion, and speech.

    Two causes of the same unit add up like probabilities: the face cannot move farther than it can.
    """
    rest = {unit: np.zeros(len(times)) for unit in SHOWN_UNITS}
    rest["AU25"] = lips
    for episode in episodes:
        for name, strength in episode.shown.items():
            for unit, weight in style.units[name].items():
                level = style.expressivity * strength * weight * rng.lognormal(0, 0.15)
                if unit in ("AU25", "AU26"):
                    level *= smoothstep((strength - style.lips_part_from) / 0.1 + 0.5)
                start = episode.start + rng.uniform(-0.06, 0.06)
                course = envelope(times, start, episode.rise, episode.hold, episode.fall)
                flicker = 1 + smooth_noise(rng, times, 0.08, 0.3, 2)
                rest[unit] = _add(rest[unit], level * course * flicker)
    for units, rate in SIGNALS.items():
        start = _EARLIEST + rng.exponential(60 / rate)
        while start < np.ceil(times[-1]):
            course = envelope(
                times, start, rng.uniform(0.1, 0.3), rng.uniform(*SIGNAL_SECONDS), rng.uniform(0.2, 0.6)
            )
            for unit in units:
                rest[unit] = _add(rest[unit], rng.uniform(0.25, 0.8) * course)
            start += rng.exponential(60 / rate)
    return {unit: np.round(np.clip(values, 0, 1), 4) for unit, values in rest.items()}


def _add(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return 1 - (1 - one) * (1 - np.clip(other, 0, 1))

"""How a head moves while it feels nothing in particular: blinks, speech, glances, and slow sway.

All paths are functions of time in seconds, not of frame numbers. The same generator gives the same movement
at 24, 25 or 30 frames a second, and at frames that are not evenly spaced.
"""

from dataclasses import dataclass

import numpy as np

BLINK_SECONDS = (0.1, 0.4)
"""Shortest and longest blink (Schiffman 2001, *Sensation and Perception*)."""

BLINKS_A_MINUTE = (10.0, 20.0)
"""Range of people's own rates (Bentivoglio et al. 1997, Movement Disorders 12(6): 17 a minute at rest)."""

SHORTEST_BLINK_GAP = 0.4
"""Seconds from the end of one blink to the start of the next, at least."""

SYLLABLES_A_SECOND = (3.0, 6.0)
"""The rhythm of the mouth in speech is 2 to 7 Hz (Chandrasekaran et al. 2009, PLoS Comput. Biol. 5(7))."""

SPEECH_SECONDS = (0.8, 3.5)
"""Length of one turn of speech. A choice."""

FIXATION_SECONDS = (0.3, 2.0)
"""How long the eyes rest on a thing. A choice; reading is faster, listening is slower."""

SACCADE_SECONDS = 0.05
"""A jump of the eyes of about 10 degrees takes 50 ms (Bahill, Clark & Stark 1975, Math. Biosci. 24)."""

EYE_COUNTER_ROTATION = 0.7
"""Share of a head turn that the eyes turn back, so that they stay on the viewer. A choice."""

HEAD_RADIANS = {"yaw": 0.16, "pitch": 0.08, "roll": 0.06}
"""Standard deviation of the slow sway of the head about each axis. A choice; most faces stay near frontal."""

_NUM_WAVES = 6
_EARLIEST = -8.0  # seconds: events begin before the clip, so that a clip may open in the middle of one


def smoothstep(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, and ``3 x^2 - 2 x^3`` between: no corner at either end.

    >>> smoothstep(np.array([-1.0, 0.5, 2.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def envelope(times: np.ndarray, start: float, rise: float, hold: float, fall: float) -> np.ndarray:
    """Onset, apex, offset: 0, up to 1 in ``rise`` seconds, 1 for ``hold``, back to 0 in ``fall``; ``(T,)``.

    >>> envelope(np.array([0.0, 1.0, 2.0, 9.0]), start=0, rise=1, hold=2, fall=1).tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    return smoothstep((times - start) / rise) - smoothstep((times - start - rise - hold) / fall)


def smooth_noise(
    rng: np.random.Generator, times: np.ndarray, deviation: float, slowest: float, fastest: float
) -> np.ndarray:
    """A random smooth path ``(T,)``: six cosines between ``slowest`` and ``fastest`` Hz with random phases.

    Its standard deviation over a long time is ``deviation``, and it never exceeds 3.5 times that.
    """
    hertz = np.exp(rng.uniform(np.log(slowest), np.log(fastest), _NUM_WAVES))
    phases = rng.uniform(0, 2 * np.pi, _NUM_WAVES)
    waves = np.cos(2 * np.pi * times[:, None] * hertz + phases)  # (T, waves)
    return deviation * np.sqrt(2 / _NUM_WAVES) * waves.sum(axis=1)


def blinks(rng: np.random.Generator, times: np.ndarray, rate: float) -> np.ndarray:
    """How far the lids are closed, 0 to 1, ``(T,)``, with ``rate`` blinks a minute on average.

    A blink closes in a third of its time and opens in two thirds.
    """
    mean_gap = 60 / rate - np.mean(BLINK_SECONDS) - SHORTEST_BLINK_GAP
    closed = np.zeros(len(times))
    start = _EARLIEST
    while start < np.ceil(times[-1]):  # the same events at any frame rate
        start += SHORTEST_BLINK_GAP + rng.exponential(mean_gap)
        seconds = rng.uniform(*BLINK_SECONDS)
        closed = np.maximum(closed, envelope(times, start, seconds / 3, 0, seconds * 2 / 3))
        start += seconds
    return closed


@dataclass(frozen=True)
class Speech:
    """A mouth that talks: ``jaw`` and ``lips``, ``(T,)``, 0 to 1, and ``talking``, ``(T,)`` bool."""

    jaw: np.ndarray
    lips: np.ndarray
    talking: np.ndarray


def speech(rng: np.random.Generator, times: np.ndarray, fraction: float) -> Speech:
    """Turns of speech that fill about ``fraction`` of the time: the lips part and the jaw swings."""
    jaw, lips, talking = np.zeros((3, len(times)))
    if fraction <= 0:
        return Speech(jaw, lips, talking > 0)
    mean_gap = np.mean(SPEECH_SECONDS) * (1 / fraction - 1)
    start = _EARLIEST + rng.exponential(mean_gap)
    while start < np.ceil(times[-1]):  # the same events at any frame rate
        seconds = rng.uniform(*SPEECH_SECONDS)
        turn = envelope(times, start, 0.1, seconds, 0.2)
        beat = rng.uniform(*SYLLABLES_A_SECOND) * times + smooth_noise(rng, times, 0.3, 0.5, 2)
        opening = (0.5 + 0.5 * np.cos(2 * np.pi * beat)) * (0.7 + smooth_noise(rng, times, 0.1, 0.5, 2))
        loudness = rng.uniform(0.5, 1.0)
        jaw = np.maximum(jaw, turn * loudness * 0.35 * opening)
        lips = np.maximum(lips, turn * loudness * (0.15 + 0.5 * opening))
        talking = np.maximum(talking, turn)
        start += seconds + 0.3 + rng.exponential(mean_gap)
    return Speech(np.clip(jaw, 0, 1), np.clip(lips, 0, 1), talking > 0.5)


def head_turns(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll ``(T, 3)`` in radians: a resting position and slow sway about it."""
    turns = []
    for deviation in HEAD_RADIANS.values():
        resting = rng.normal(0, 0.6 * deviation)
        turns.append(np.clip(resting + smooth_noise(rng, times, 0.8 * deviation, 0.05, 0.6), -0.7, 0.7))
    return np.stack(turns, axis=1)


def glances(rng: np.random.Generator, times: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Where the eyes look in the head: yaw and pitch ``(T, 2)`` in radians, within 0.45.

    Fixations with quick jumps between them, mostly back to the viewer; the eyes turn against the head.
    """
    gaze = np.zeros((len(times), 2))
    here = np.zeros(2)
    start = 0.0
    while start < np.ceil(times[-1]):  # the same events at any frame rate
        start += rng.uniform(*FIXATION_SECONDS)
        away = rng.uniform() < 0.35
        target = rng.normal(0, (0.16, 0.08)) if away else rng.normal(0, 0.02, 2)
        gaze += smoothstep((times - start) / SACCADE_SECONDS)[:, None] * (target - here)
        here = target
    return np.clip(gaze - EYE_COUNTER_ROTATION * turns[:, :2], -0.45, 0.45)

"""Eight people with a joystick: valence and arousal as raters say them, not as they are felt.

A rater sees, decides and moves: the trace comes late, by a lag that differs between people, between valence
and arousal, and a little over time (Mariooryad & Busso 2015: 1 to 6 s). The hand follows smoothly, uses more
or less of the scale than others do, wanders, trembles, and starts at rest in the middle. One of the group is
careless: the joystick lies still for seconds at a time. Every number without a source is a choice.

References
----------
S. Mariooryad, C. Busso, "Correcting time-continuous emotional labels by modeling the reaction lag of
evaluators", IEEE Trans. Affective Computing 6(2), 2015. S. Zafeiriou et al., "Aff-Wild: valence and arousal
'in-the-wild' challenge", CVPR Workshops 2017: raters with a joystick.
"""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from affkit.labels import Labels
from affkit_render.motion import smooth_noise

LAG_SECONDS = (0.15, 1.2)
"""Lags of the quickest and the slowest rater of a group; the hand adds about 0.2 s.

The published 1 to 6 s are longer. Two things forbid them here. Ratings alone do not tell a delay that all
raters share, so when they are put in step with the quickest, the lag of that one stays in the labels. And the
last seconds of a clip are lost, as far as the slowest is behind: our clips are short."""

DIMENSIONS = ("valence", "arousal")

_STEPS_A_SECOND = 50  # of the joystick
_LAPSE_SECONDS = (3.0, 10.0)


@dataclass(frozen=True)
class Rater:
    """How one person rates; the defaults are a rater who says what is so, at once.

    ``name``: Of the rater; part of the seed of everything random.
    ``lag``: Seconds by which valence and arousal come late.
    ``lag_wander``: Standard deviation of the lag over minutes, seconds.
    ``hand``: Time constant of the hand, seconds: after this time it has gone 63 % of the way.
    ``gain``, ``offset``: A felt value ``v`` is meant as ``gain * v + offset``; each of valence and arousal.
    ``drift``: Standard deviation of the slow wandering of the rating.
    ``tremor``: Standard deviation of the quick one.
    ``step``: What the joystick can tell apart, 0 for everything.
    ``lapses``: How often a minute the rater forgets the joystick for 3 to 10 s.
    """

    name: str
    lag: tuple[float, float] = (0.0, 0.0)
    lag_wander: float = 0.0
    hand: float = 0.0
    gain: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    drift: float = 0.0
    tremor: float = 0.0
    step: float = 0.0
    lapses: float = 0.0


def stream(seed: int, *words: str) -> np.random.Generator:
    """The random numbers of one purpose: other words, other numbers.

    >>> stream(1, "R1").integers(100) == stream(1, "R1").integers(100)
    np.True_
    """
    return np.random.default_rng([seed, crc32("/".join(words).encode())])


def sample_raters(seed: int, n: int = 8, lag_seconds: tuple[float, float] = LAG_SECONDS) -> list[Rater]:
    """``R1`` to ``Rn``, the slowest of them careless; the same seed gives the same people.

    ``lag_seconds`` are the lags of the quickest and the slowest; those of the others lie evenly between.

    >>> [rater.name for rater in sample_raters(0, 3)]
    ['R1', 'R2', 'R3']
    """
    rng = stream(seed, "raters")
    slowness = rng.permutation(n)  # the last is careless as well
    lags = np.linspace(*lag_seconds, n)[slowness]
    return [
        _sample_rater(stream(seed, f"R{i + 1}"), f"R{i + 1}", lags[i], careless=slowness[i] == n - 1)
        for i in range(n)
    ]


def _sample_rater(rng: np.random.Generator, name: str, lag: float, careless: bool) -> Rater:
    return Rater(
        name=name,
        # valence and arousal of one person are late by about the same
        lag=tuple((lag * rng.uniform(0.85, 1.15, 2)).tolist()),
        lag_wander=0.15,
        hand=rng.uniform(0.1, 0.3),
        gain=tuple((rng.uniform(0.8, 1.25, 2) * (0.7 if careless else 1)).tolist()),
        offset=tuple(rng.normal(0, 0.06, 2).tolist()),
        drift=rng.uniform(0.03, 0.08),
        tremor=rng.uniform(0.005, 0.02),
        step=0.005,
        lapses=3.0 if careless else 0.2,
    )


def rate(truth: pd.DataFrame, rater: Rater, seed: int) -> Labels:
    """Rate one person in one clip.

    ``truth``: One row a frame: ``time`` in seconds from 0, ``visible``, and ``valence`` and ``arousal`` in
        [-1, 1].
    ``seed``: Of this clip; each rater draws other numbers from it.

    Returns: Valence and arousal of all frames in which the face is visible; nothing else is labelled.

    >>> truth = pd.DataFrame({"time": [0, 0.04], "visible": 1, "valence": [0.5, 0.25], "arousal": -0.25})
    >>> rate(truth, Rater("R1"), seed=0).valence
    array([0.5 , 0.25], dtype=float32)
    """
    times = truth["time"].to_numpy(float)
    # the joystick is read on a clock of its own, so that uneven frames make no difference
    clock = np.arange(np.ceil(times[-1] * _STEPS_A_SECOND) + 1) / _STEPS_A_SECOND
    attended = _attended(stream(seed, rater.name, "lapses"), clock, rater.lapses)
    labels = Labels.empty(len(truth))
    seen = truth["visible"].to_numpy(bool)
    for axis, dimension in enumerate(DIMENSIONS):
        rng = stream(seed, rater.name, dimension)
        felt = truth[dimension].to_numpy(float)
        meant = _meant(rng, clock, attended, times, felt, rater, axis)
        said = _moved(rng, clock, meant, rater)
        getattr(labels, dimension)[seen] = _on_scale(np.interp(times, clock, said), rater.step)[seen]
    labels.has_va[:] = seen
    return labels


def _meant(
    rng: np.random.Generator,
    clock: np.ndarray,
    attended: np.ndarray,
    times: np.ndarray,
    felt: np.ndarray,
    rater: Rater,
    axis: int,
) -> np.ndarray:
    """Where the rater wants the joystick at each moment of ``clock``, ``(C,)``."""
    lag = np.maximum(rater.lag[axis] + smooth_noise(rng, clock, rater.lag_wander, 0.01, 0.05), 0)
    moments = attended - lag
    meant = rater.gain[axis] * np.interp(moments, times, felt) + rater.offset[axis]
    meant += smooth_noise(rng, clock, rater.drift, 0.01, 0.1)
    return np.where(moments < 0, 0, meant)  # nothing to say yet: the joystick is at rest


def _moved(rng: np.random.Generator, clock: np.ndarray, meant: np.ndarray, rater: Rater) -> np.ndarray:
    """Where the hand has it, ``(C,)``: it follows from 0, and trembles."""
    keep = np.exp(-1 / (_STEPS_A_SECOND * rater.hand)) if rater.hand else 0.0
    return lfilter([1 - keep], [1, -keep], meant) + smooth_noise(rng, clock, rater.tremor, 1, 4)


def _attended(rng: np.random.Generator, clock: np.ndarray, lapses: float) -> np.ndarray:
    """The moment the rater is at, ``(C,)``: now, or in a lapse the moment when it began."""
    attended = clock.copy()
    start = rng.exponential(60 / lapses) if lapses else np.inf
    while start < clock[-1]:
        end = start + rng.uniform(*_LAPSE_SECONDS)
        attended[(clock >= start) & (clock < end)] = start
        start = end + rng.exponential(60 / lapses)
    return attended


def _on_scale(values: np.ndarray, step: float) -> np.ndarray:
    """Clipped to [-1, 1] and rounded to what the joystick can tell apart."""
    if step:
        values = np.round(values / step) * step
    return np.clip(np.round(values, 4), -1, 1)

"""Three coders who mark action units and expressions, none of them quite right: Section III.C and III.D.

A coder watches a clip and marks ranges of frames. We start from what is really shown, and let it pass through
what makes coders differ:

1. *Seeing.* Each has thresholds of their own. A mark begins above the threshold and ends below a lower one;
   short gaps are bridged.
2. *Marking.* Weak, short or covered marks are missed, other movements are taken for the unit, expressions are
   confused with their neighbours, rather where the face itself is unclear: always a whole mark, never a
   frame. Beginnings are marked late, and beginnings and ends by some frames wrong. Sayette et al. (2001) find
   coders far apart frame by frame and close within half a second.
3. *The second pass.* The coder watches again and puts part of this right (Section III.D).

Numbers without a source are choices, made so that after the second pass two coders have a Cohen's kappa of
about 0.5 to 0.9 for an action unit, the least for AU15, AU20 and AU6, and all three tag more than half of the
frames alike with an expression (the paper: 115,640 of 288,000).

References
----------
P. Ekman, W. V. Friesen, *Facial Action Coding System*, 1978. M. A. Sayette et al., "A psychometric
evaluation of the Facial Action Coding System for assessing spontaneous expression", J. Nonverbal Behavior
25(3), 2001. N. Tottenham et al., "The NimStim set of facial expressions", Psychiatry Research 168(3), 2009.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from affkit.labelfiles.formats import true_runs
from affkit.labels import ACTION_UNIT_THRESHOLD, ACTION_UNITS, EXPRESSIONS, Labels
from affkit_render.affect import EXPRESSION_THRESHOLD, SHOWN_UNITS
from affkit_render.raters import stream

UNCERTAINTY = {"AU1": 1, "AU2": 1, "AU4": 1, "AU6": 1.4, "AU12": 0.8, "AU15": 1.3, "AU20": 1.3, "AU25": 0.8}
"""How hard a unit is to code: a factor on every error. The order is common knowledge of FACS coding: a lip
corner or open lips are plain, a raised cheek is not; the numbers are a choice."""

TAKEN_FOR = {
    "AU1": ("AU2",),
    "AU2": ("AU1",),
    "AU4": ("AU7", "AU9"),
    "AU6": ("AU12", "AU7"),
    "AU12": ("AU20",),
    "AU15": ("AU17", "AU24"),
    "AU20": ("talking", "AU12"),
    "AU25": ("talking", "AU26"),
}
"""What each unit is wrongly seen in: movements that change the same part of the face. FACS lists such
"subtle differences" for each unit; the selection is ours. A smile bulges the cheek, speech stretches lips."""

EXPRESSION_TAKEN_FOR = {"Happiness": "AU12", "Anger": "AU4", "Sadness": "AU15", "Surprise": "AU2"}
"""Movements without emotion (a polite smile, a frown of thought) that are wrongly tagged as one. A choice."""

CONFUSED_WITH = {
    "Anger": ("Disgust", "Fear"),
    "Disgust": ("Anger", "Fear"),
    "Fear": ("Surprise", "Surprise", "Anger"),
    "Happiness": ("Surprise",),
    "Sadness": ("Disgust", "Fear"),
    "Surprise": ("Fear", "Fear", "Happiness"),
}
"""Tags that an expression gets by mistake, the likelier one twice: fear for surprise and anger for disgust
are the usual confusions (Tottenham et al. 2009 give tables); the weights are a choice."""

_SHOWN = EXPRESSIONS[1:]  # Neutral is what is left
SHOWN_COLUMNS = [f"shown_{name}" for name in _SHOWN]
_PERFECT = dict.fromkeys(ACTION_UNITS, ACTION_UNIT_THRESHOLD) | dict.fromkeys(_SHOWN, EXPRESSION_THRESHOLD)
_BRIEF = 15.0  # frames: marks of this length are missed a third as often as the shortest


@dataclass(frozen=True)
class Coder:
    """One person who codes; the defaults are somebody who never errs. Frames are those of 30 a second.

    ``name``: Of the coder; part of the seed of everything random.
    ``thresholds``: Action unit or expression to the strength, 0 to 1, above which it is marked.
    ``release``: Share of the threshold at which a mark ends.
    ``neutral``: Share of the thresholds below which all expressions must be for the tag Neutral. What lies
        between is not tagged.
    ``still``: Intensity up to which action units may move in a face that is tagged Neutral.
    ``lag``: Frames by which onsets and offsets are marked late.
    ``jitter``: Standard deviation of onsets and offsets in frames.
    ``miss``: Chance to miss a mark that is weak and brief; half as likely if it is strong or long.
    ``hidden``: Chance to miss a mark while the face is all covered.
    ``false_mark``: Chance that a movement of :data:`TAKEN_FOR` is taken for the unit.
    ``confusion``: Mean chance of a tag from :data:`CONFUSED_WITH`; up to four times as much where a face is
        unclear.
    ``bridge``, ``shortest``: Gaps of up to ``bridge`` frames are closed, marks of fewer than ``shortest``
        frames left out.
    ``repair``: Chance that the second pass puts a mark right.
    """

    name: str
    thresholds: Mapping[str, float] = field(default_factory=lambda: _PERFECT)
    release: float = 1.0
    neutral: float = 1.0
    still: float = 1.0
    lag: tuple[float, float] = (0.0, 0.0)
    jitter: float = 0.0
    miss: float = 0.0
    hidden: float = 0.0
    false_mark: float = 0.0
    confusion: float = 0.0
    bridge: int = 0
    shortest: int = 1
    repair: float = 0.0


def sample_coders(seed: int, n: int = 3) -> list[Coder]:
    """``A1`` to ``An``, experts with ways of their own; the same seed gives the same people.

    >>> [coder.name for coder in sample_coders(0)]
    ['A1', 'A2', 'A3']
    """
    return [_sample_coder(stream(seed, f"A{i + 1}"), f"A{i + 1}") for i in range(n)]


def _sample_coder(rng: np.random.Generator, name: str) -> Coder:
    strictness = rng.normal(0, 0.08)  # in everything
    thresholds = {
        tag: threshold * float(np.exp(strictness + rng.normal(0, 0.15 * UNCERTAINTY.get(tag, 1))))
        for tag, threshold in _PERFECT.items()
    }
    sure = rng.uniform(1.0, 1.4)  # an expression is tagged where it is clear, an action unit where it begins
    thresholds |= {name: thresholds[name] * sure for name in _SHOWN}
    return Coder(
        name=name,
        thresholds=thresholds,
        release=rng.uniform(0.7, 0.9),
        neutral=rng.uniform(0.05, 0.2),
        still=rng.uniform(0.02, 0.1),
        lag=(rng.uniform(1, 5), rng.uniform(0, 2)),
        jitter=rng.uniform(5, 8),
        miss=rng.uniform(0.15, 0.3),
        hidden=0.5,
        false_mark=rng.uniform(0.04, 0.1),
        confusion=rng.uniform(0.08, 0.16),
        bridge=6,
        shortest=3,
        repair=rng.uniform(0.25, 0.4),
    )


def code_action_units(truth: pd.DataFrame, coder: Coder, seed: int, passes: int = 2) -> Labels:
    """What one coder says of the eight action units of one person in one clip.

    ``truth``: One row a frame: ``visible``, ``covered`` (0 to 1), ``talking``, and the intensity of each
        action unit, 0 to 1, those of :data:`TAKEN_FOR` included.
    ``seed``: Of this clip; each coder draws other numbers from it.
    ``passes``: 1 for what the coder said at first, 2 after watching again.
    Returns all units in all frames in which the face is visible; nothing else is labelled.
    """
    labels = Labels.empty(len(truth))
    covered = truth["covered"].to_numpy(float)
    for column, unit in enumerate(ACTION_UNITS):
        rng = stream(seed, coder.name, unit)
        doubt = UNCERTAINTY[unit]
        level = truth[unit].to_numpy(float) / coder.thresholds[unit]  # (T,), 1 at the threshold
        marks = tidy(ranges_above(level, coder.release), coder)
        marks = marks[~_missed(rng, marks, level, covered, coder, doubt, passes)]
        taken = [_taken(rng, truth[name].to_numpy(float), coder, doubt, passes) for name in TAKEN_FOR[unit]]
        marks = np.concatenate([_moved(rng, marks, coder, doubt, passes), *taken])
        labels.action_units[_inside(tidy(marks, coder), len(truth)), column] = 1
    seen = truth["visible"].to_numpy(bool)
    labels.has_action_units[:] = seen[:, None]
    labels.action_units[~seen] = 0
    return labels


def code_expressions(truth: pd.DataFrame, coder: Coder, seed: int, passes: int = 2) -> Labels:
    """Which of the seven tags one coder gives to each frame; many frames get none.

    ``truth``: One row a frame: ``visible``, ``covered``, the strength ``shown_Anger`` ... ``shown_Surprise``
        of each expression, and the intensities of all action units that a drawn face shows, 0 to 1.
    ``coder``, ``seed``, ``passes``: As in :func:`code_action_units`.
    Returns expressions of tagged frames in which the face is visible; nothing else is labelled.
    """
    limits = np.array([coder.thresholds[name] for name in _SHOWN])
    levels = truth[SHOWN_COLUMNS].to_numpy(float) / limits  # (T, 6)
    top, strongest = levels.max(axis=1), levels.argmax(axis=1)
    covered = truth["covered"].to_numpy(float)
    unclear, resembled = _look(seed, strongest)

    rng = stream(seed, coder.name, "Neutral")
    moving = truth[list(SHOWN_UNITS)].to_numpy(float).max(axis=1)  # (T,)
    calm = tidy(true_runs((top <= coder.neutral) & (moving <= coder.still)), coder)
    layers = [(_moved(rng, calm, coder, 1, passes), "Neutral")]  # each layer is painted over those before
    for name, unit in EXPRESSION_TAKEN_FOR.items():
        rng = stream(seed, coder.name, "taken for", name)
        layers.append((_taken(rng, truth[unit].to_numpy(float), coder, 1, passes), name))
    for number, name in enumerate(_SHOWN):
        rng = stream(seed, coder.name, name)
        level = np.where(strongest == number, top, 0)
        marks = tidy(ranges_above(level, coder.release), coder)
        marks = marks[~_missed(rng, marks, level, covered, coder, 1, passes)]
        first = marks[:, 0]
        wrong = rng.uniform(size=len(marks)) < coder.confusion * unclear[first]
        wrong &= ~_repaired(rng, len(marks), coder, passes)
        neighbours = np.array(CONFUSED_WITH[name])
        other = neighbours[(resembled[first] * len(neighbours)).astype(int)]
        marks = _moved(rng, marks, coder, 1, passes)
        layers += [(marks[~wrong], name)] + [(marks[wrong & (other == tag)], tag) for tag in np.unique(other)]
    labels = Labels.empty(len(truth))
    tag = np.full(len(truth), -1)
    for marks, name in layers:
        tag[_inside(marks, len(truth))] = EXPRESSIONS.index(name)
    labels.has_expression[:] = (tag >= 0) & truth["visible"].to_numpy(bool)
    labels.expression[labels.has_expression] = tag[labels.has_expression]
    return labels


def _look(seed: int, strongest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How unclear a face is, on average 1, and which neighbour it resembles, 0 to 1: ``(T,)`` each.

    Both stay the same while one expression is the strongest, and are the same for all coders. Errors that
    come from the face and not from the coder are made together, and no agreement removes them.
    """
    stretch = np.cumsum(np.diff(strongest, prepend=strongest[:1]) != 0)  # (T,)
    unclear, resembled = stream(seed, "look").uniform(size=(2, stretch.max(initial=0) + 1))
    return 4 * unclear[stretch] ** 3, resembled[stretch]  # few are unclear, and these very much


def ranges_above(level: np.ndarray, release: float) -> np.ndarray:
    """Where a level rises above 1 and until it is no more above ``release``: ``(N, 2)`` first and after last.

    >>> ranges_above(np.array([0, 0.9, 1.1, 0.9, 0.7, 0.9]), release=0.8).tolist()
    [[2, 4]]
    """
    high = np.flatnonzero(level > 1)
    ranges = true_runs(level > release)
    first = np.append(high, len(level))[np.searchsorted(high, ranges[:, 0])]
    begun = first < ranges[:, 1]
    return np.stack([first, ranges[:, 1]], axis=1)[begun]


def tidy(marks: np.ndarray, coder: Coder) -> np.ndarray:
    """The same frames as marks in order and apart: brief gaps bridged, then too short ones left out.

    >>> tidy(np.array([[8, 9], [0, 3], [4, 6]]), Coder("A1", bridge=1, shortest=2)).tolist()
    [[0, 6]]
    """
    marks = marks[marks[:, 1] > marks[:, 0]]
    if not len(marks):
        return marks
    marks = marks[np.argsort(marks[:, 0], kind="stable")]
    end = np.maximum.accumulate(marks[:, 1])
    begins = np.append(True, marks[1:, 0] > end[:-1] + coder.bridge)
    merged = np.stack([marks[begins, 0], end[np.append(begins[1:], True)]], axis=1)
    return merged[merged[:, 1] - merged[:, 0] >= coder.shortest]


def _inside(marks: np.ndarray, num_frames: int) -> np.ndarray:
    """Which frames lie in a mark, ``(T,)`` bool; marks may overlap, be empty, or reach beyond the clip."""
    marks = np.clip(marks, 0, num_frames)
    marks = marks[marks[:, 1] > marks[:, 0]]
    change = np.zeros(num_frames + 1, int)
    np.add.at(change, marks[:, 0], 1)
    np.add.at(change, marks[:, 1], -1)
    return np.cumsum(change[:-1]) > 0


def _over(function: np.ufunc, values: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """``np.maximum`` or ``np.add`` over the frames of each mark, ``(N,)``."""
    padded = np.append(values, 0)  # so that a mark may end with the clip
    return function.reduceat(padded, marks.ravel())[::2] if len(marks) else np.zeros(0)


def _repaired(rng: np.random.Generator, num_marks: int, coder: Coder, passes: int) -> np.ndarray:
    """Which marks the second pass puts right. Drawn in any case: both passes err in the same places."""
    return (rng.uniform(size=num_marks) < coder.repair) & (passes > 1)


def _missed(
    rng: np.random.Generator,
    marks: np.ndarray,
    level: np.ndarray,
    covered: np.ndarray,
    coder: Coder,
    doubt: float,
    passes: int,
) -> np.ndarray:
    """Which marks the coder does not see, ``(N,)``: rather the weak, the short and the covered ones."""
    length = marks[:, 1] - marks[:, 0]
    weak, short = np.exp(1 - _over(np.maximum, level, marks)), np.exp(-length / _BRIEF)
    chance = doubt * coder.miss * (weak + short) / 2 + coder.hidden * _over(np.add, covered, marks) / length
    missed = rng.uniform(size=len(marks)) < chance
    return missed & ~_repaired(rng, len(marks), coder, passes)


def _moved(
    rng: np.random.Generator, marks: np.ndarray, coder: Coder, doubt: float, passes: int
) -> np.ndarray:
    """The marks with late and inexact ends, ``(N, 2)``; one may be empty now."""
    shift = np.round(rng.normal(coder.lag, coder.jitter * doubt, marks.shape)).astype(int)
    shift[_repaired(rng, len(marks), coder, passes)] = 0
    return marks + shift


def _taken(
    rng: np.random.Generator, movement: np.ndarray, coder: Coder, doubt: float, passes: int
) -> np.ndarray:
    """Marks where another movement, ``(T,)``, is taken for the one in question."""
    marks = tidy(true_runs(movement > ACTION_UNIT_THRESHOLD), coder)
    wrong = rng.uniform(size=len(marks)) < coder.false_mark * doubt
    wrong &= ~_repaired(rng, len(marks), coder, passes)
    return _moved(rng, marks, coder, doubt, passes)[wrong]

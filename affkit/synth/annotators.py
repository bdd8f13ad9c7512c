"""Three coders who mark action units and expressions, none of them quite right: Section III.C and III.D.

A coder watches a clip and marks ranges of frames. We start from what is really shown, and let it pass through
what makes coders differ:

1. *Seeing.* Each has thresholds of their own. A mark begins above the threshold and ends below a lower one;
   short gaps are bridged.
2. *Marking.* Weak, short or covered marks are missed, other movements are taken for the unit, expressions are
   confused with their neighbours: always a whole mark, never a frame. Beginnings are marked late, and
   beginnings and ends by some frames wrong. Sayette et al. (2001) find coders far apart frame by frame and
   close within half a second.
3. *The second pass.* The coder watches again and puts part of this right (Section III.D).

Numbers without a source are choices, made so that coders agree about as well as published ones do.

References
----------
P. Ekman, W. V. Friesen, *Facial Action Coding System*, 1978. M. A. Sayette et al., "A psychometric
evaluation of the Facial Action Coding System for assessing spontaneous expression", J. Nonverbal Behavior
25(3), 2001. N. Tottenham et al., "The NimStim set of facial expressions", Psychiatry Research 168(3), 2009.
"""

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from affkit.data.formats import merge
from affkit.data.layouts import write_annotations
from affkit.errors import UserError
from affkit.files import refuse_existing, write_beside
from affkit.labels import ACTION_UNITS, EXPRESSIONS, Labels
from affkit.synth.affect import ACTION_UNIT_THRESHOLD, EXPRESSION_THRESHOLD
from affkit.synth.raters import rate, sample_raters, stream

UNCERTAINTY = {"AU1": 1, "AU2": 1, "AU4": 1, "AU6": 1.7, "AU12": 0.6, "AU15": 1.7, "AU20": 1.8, "AU25": 0.5}
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
"subtle differences" for each unit; the selection is ours. A smile bulges the cheek, talking stretches lips."""

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
"""Tags that an expression gets by mistake, the likelier one twice: fear for surprise and anger for disgust are
the usual confusions (Tottenham et al. 2009 give tables); the weights are a choice."""

CODER_FOLDER, RATER_FOLDER = "coders", "raters"

_SHOWN = EXPRESSIONS[1:]  # Neutral is what is left
_SHOWN_COLUMNS = [f"shown_{name}" for name in _SHOWN]
_MOVEMENTS = {name for names in TAKEN_FOR.values() for name in names} | {*EXPRESSION_TAKEN_FOR.values()}
TRUTH_COLUMNS = sorted(
    {"time", "visible", "covered", "valence", "arousal", *ACTION_UNITS, *_SHOWN_COLUMNS, *_MOVEMENTS}
)
"""What annotators look at in a truth table."""

_PERFECT = dict.fromkeys(ACTION_UNITS, ACTION_UNIT_THRESHOLD) | dict.fromkeys(_SHOWN, EXPRESSION_THRESHOLD)
_BRIEF = 15.0  # frames: marks of this length are missed a third as often as the shortest


@dataclass(frozen=True)
class Coder:
    """One person who codes; the defaults are somebody who never errs. Frames are those of 30 a second.

    Attributes
    ----------
    name:
        Of the coder; part of the seed of everything random.
    thresholds:
        Action unit or expression to the strength, 0 to 1, above which it is marked.
    release:
        Share of the threshold at which a mark ends.
    neutral:
        Share of the thresholds below which all expressions must be for the tag Neutral. What lies
        between is not tagged.
    lag:
        Frames by which onsets and offsets are marked late.
    jitter:
        Standard deviation of onsets and offsets in frames.
    miss:
        Chance to miss a mark at the threshold that lasts a moment; about half as likely if it is strong or long.
    hidden:
        Chance to miss a mark while the face is all covered.
    false_mark:
        Chance that a movement of :data:`TAKEN_FOR` is taken for the unit.
    confusion:
        Chance of a tag from :data:`CONFUSED_WITH`.
    bridge, shortest:
        Gaps of up to ``bridge`` frames are closed, marks of fewer than ``shortest`` frames left out.
    repair:
        Chance that the second pass puts a mark right.
    """

    name: str
    thresholds: Mapping[str, float] = field(default_factory=lambda: _PERFECT)
    release: float = 1.0
    neutral: float = 1.0
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
    strictness = rng.normal(0, 0.06)  # in everything
    thresholds = {
        tag: threshold * float(np.exp(strictness + rng.normal(0, 0.12 * UNCERTAINTY.get(tag, 1))))
        for tag, threshold in _PERFECT.items()
    }
    return Coder(
        name=name,
        thresholds=thresholds,
        release=rng.uniform(0.75, 0.9),
        neutral=rng.uniform(0.4, 0.7),
        lag=(rng.uniform(1, 4), rng.uniform(0, 2)),
        jitter=rng.uniform(2, 4),
        miss=rng.uniform(0.1, 0.25),
        hidden=0.5,
        false_mark=rng.uniform(0.05, 0.12),
        confusion=rng.uniform(0.08, 0.16),
        bridge=6,
        shortest=3,
        repair=rng.uniform(0.3, 0.5),
    )


def code_action_units(truth: pd.DataFrame, coder: Coder, seed: int, passes: int = 2) -> Labels:
    """What one coder says of the eight action units of one person in one clip.

    Parameters
    ----------
    truth:
        One row a frame: ``visible``, ``covered`` (0 to 1), ``talking``, and the intensity of each action
        unit, 0 to 1, those of :data:`TAKEN_FOR` included.
    coder:
        Who codes.
    seed:
        Of this clip; each coder draws other numbers from it.
    passes:
        1 for what the coder said at first, 2 after watching again.

    Returns
    -------
    All units in all frames in which the face is visible; nothing else is labelled.
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

    Parameters
    ----------
    truth:
        One row a frame: ``visible``, ``covered``, the strength ``shown_Anger`` ... ``shown_Surprise`` of
        each expression, 0 to 1, and the intensities of the units of :data:`EXPRESSION_TAKEN_FOR`.
    coder, seed, passes:
        As in :func:`code_action_units`.

    Returns
    -------
    Expressions of tagged frames in which the face is visible; nothing else is labelled.
    """
    limits = np.array([coder.thresholds[name] for name in _SHOWN])
    levels = truth[_SHOWN_COLUMNS].to_numpy(float) / limits  # (T, 6)
    top, strongest = levels.max(axis=1), levels.argmax(axis=1)
    covered = truth["covered"].to_numpy(float)

    rng = stream(seed, coder.name, "Neutral")
    calm = tidy(_ranges(top <= coder.neutral), coder)
    layers = [(_moved(rng, calm, coder, 1, passes), "Neutral")]  # each layer is painted over those before
    for name, unit in EXPRESSION_TAKEN_FOR.items():
        rng = stream(seed, coder.name, "taken for", name)
        layers.append((_taken(rng, truth[unit].to_numpy(float), coder, 1, passes), name))
    for number, name in enumerate(_SHOWN):
        rng = stream(seed, coder.name, name)
        level = np.where(strongest == number, top, 0)
        marks = tidy(ranges_above(level, coder.release), coder)
        marks = marks[~_missed(rng, marks, level, covered, coder, 1, passes)]
        wrong = rng.uniform(size=len(marks)) < coder.confusion
        wrong &= ~_repaired(rng, len(marks), coder, passes)
        other = rng.choice(CONFUSED_WITH[name], len(marks))
        marks = _moved(rng, marks, coder, 1, passes)
        layers += [(marks[~wrong], name)] + [(marks[wrong & (other == tag)], tag) for tag in np.unique(other)]
    labels = Labels.empty(len(truth))
    tag = np.full(len(truth), -1)
    for marks, name in layers:
        tag[_inside(marks, len(truth))] = EXPRESSIONS.index(name)
    labels.has_expression[:] = (tag >= 0) & truth["visible"].to_numpy(bool)
    labels.expression[labels.has_expression] = tag[labels.has_expression]
    return labels


def ranges_above(level: np.ndarray, release: float) -> np.ndarray:
    """Where a level rises above 1 and until it is no more above ``release``: ``(N, 2)`` first and after last.

    >>> ranges_above(np.array([0, 0.9, 1.1, 0.9, 0.7, 0.9]), release=0.8).tolist()
    [[2, 4]]
    """
    high = np.flatnonzero(level > 1)
    ranges = _ranges(level > release)
    first = np.append(high, len(level))[np.searchsorted(high, ranges[:, 0])]
    begun = first < ranges[:, 1]
    return np.stack([first, ranges[:, 1]], axis=1)[begun]


def _ranges(mask: np.ndarray) -> np.ndarray:
    """The runs of true frames, ``(N, 2)``: first and after last."""
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1)


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
    marks = tidy(_ranges(movement > ACTION_UNIT_THRESHOLD), coder)
    wrong = rng.uniform(size=len(marks)) < coder.false_mark * doubt
    wrong &= ~_repaired(rng, len(marks), coder, passes)
    return _moved(rng, marks, coder, doubt, passes)[wrong]


def annotate_corpus(
    root: str | Path,
    seed: int = 0,
    action_unit_names: Collection[str] = (),
    expression_names: Collection[str] = (),
    passes: int = 2,
    force: bool = False,
    progress: bool = True,
) -> None:
    """Have three coders and eight raters annotate a drawn corpus.

    Reads ``truth/*.csv`` below ``root`` and writes what each of them says as ``coders/A1`` ... and
    ``raters/R1`` ..., in the layout of ABAW 6. Same arguments, same bytes.

    Parameters
    ----------
    root:
        Folder of the corpus.
    seed:
        Of the people who annotate and of all they do.
    action_unit_names, expression_names:
        Which of the labels in ``truth`` (``clip``, or ``clip_left`` and ``clip_right``) the coders code;
        raters rate all.
    passes:
        1 keeps what coders said before they watched again.
    force:
        Whether to replace the folders ``coders`` and ``raters``.
    progress:
        Whether to show a progress bar when it takes more than two seconds.

    Raises
    ------
    UserError
        If there is no truth, a name has none or a column is missing, or somebody annotated already.
    """
    root = Path(root)
    truths = read_truths(root / "truth")
    for name in sorted({*action_unit_names, *expression_names} - set(truths)):
        raise UserError(root / "truth", f"holds no {name}.csv", "leave this name out or film the clip")
    for folder in (CODER_FOLDER, RATER_FOLDER):
        refuse_existing(root / folder, force)
    coders, raters = sample_coders(seed), sample_raters(seed)
    coded = {coder.name: {} for coder in coders}
    rated = {rater.name: {} for rater in raters}
    for name, truth in tqdm(truths.items(), desc="annotate", unit="clip", delay=2, disable=not progress):
        clip_seed = int(stream(seed, "clip", name).integers(2**31))
        for rater in raters:
            rated[rater.name][name] = rate(truth, rater, clip_seed)
        if name in action_unit_names or name in expression_names:
            for coder in coders:
                parts = []
                if name in action_unit_names:
                    parts.append(code_action_units(truth, coder, clip_seed, passes))
                if name in expression_names:
                    parts.append(code_expressions(truth, coder, clip_seed, passes))
                coded[coder.name][name] = merge(*parts, name=name)
    for folder, people in ((root / CODER_FOLDER, coded), (root / RATER_FOLDER, rated)):
        _write_people(folder, people)


def _write_people(folder: Path, people: Mapping[str, Mapping[str, Labels]]) -> None:
    """A folder of annotations for each of them, all or none; what was in ``folder`` is replaced."""
    with write_beside(folder) as part:
        shutil.rmtree(part, ignore_errors=True)  # of a run that was stopped
        for name, labels in people.items():
            write_annotations(part / name, labels)
        part.mkdir(exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def read_truths(folder: str | Path) -> dict[str, pd.DataFrame]:
    """The truth tables of a drawn corpus, by name, in order.

    Raises
    ------
    UserError
        If there are none, or one lacks a column that annotators look at.
    """
    files = sorted(Path(folder).glob("*.csv"))
    if not files:
        raise UserError(folder, "holds no truth tables", "give the folder of a drawn corpus")
    truths = {path.stem: pd.read_csv(path) for path in files}
    for path, truth in zip(files, truths.values(), strict=True):
        for column in TRUTH_COLUMNS:
            if column not in truth:
                raise UserError(
                    path, f"has no column {column}", "draw the corpus with this version of affkit"
                )
    return truths

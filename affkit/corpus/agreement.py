"""Several annotators become one set of labels: what all say is kept (Section III.C-D), ratings are averaged.

In the paper three experts labelled action units and expressions, none seeing the others' work, and eight
raters valence and arousal. Here an annotator is a folder or table of labels.
:mod:`affkit.corpus.reliability` measures how far they agree.

Raters are late, each by another amount. The delay of a joystick is one to six seconds and differs from person
to person (Mariooryad & Busso 2015, IEEE Transactions on Affective Computing 6(2)); a mean of ratings that are
not in step is too flat, so these lags can be found and taken out.
"""

import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import signal
from tqdm import tqdm

from affkit.errors import UserError
from affkit.files import refuse_existing, write_beside
from affkit.labelfiles.formats import common_expression_names
from affkit.labelfiles.layouts import read_annotations, write_annotations
from affkit.labelfiles.names import as_given
from affkit.labels import KINDS, VA, Labels

Annotators = Mapping[str, Mapping[str, Labels]]  # name of the annotator, then of the video

TABLE_FILE = "agreement.csv"
KEEP = ("all", "majority")
DISAGREED = ("unknown", "absent")

_KINDS = {"action units": "au", "expressions": "expr", "valence-arousal": "va"}
TASKS = tuple(_KINDS)

MOST_ROUNDS = 10  # of finding the lags one after the other, until none changes; three are usual
LEAST_OVERLAP = 0.5  # the fraction of the frames that must be left to compare at a lag


@dataclass(frozen=True)
class Ratings:
    """What the ``K`` annotators of a task said; ``N`` frames, all videos one after the other."""

    task: str
    annotators: tuple[str, ...]  # those who labelled anything of this task
    columns: tuple[str, ...]  # the action units; expression; or valence and arousal
    expressions: tuple[str, ...]  # the classes
    values: np.ndarray  # (K, N, columns): 0 or 1 int8, class number int8, or float32 in [-1, 1]
    present: np.ndarray  # (K, N, columns) bool, false where that annotator said nothing
    rows: dict[str, slice]  # of the frames of each video


def read_annotators(
    folders: Sequence[str | Path], common_only: bool = False, progress: bool = False
) -> dict[str, dict[str, Labels]]:
    """The labels of each annotator by name of the folder or table, then by video, as :func:`comparable`;
    ``folders`` are two or more, each for :func:`~affkit.labelfiles.layouts.read_annotations`.
    """
    paths = list(map(as_given, folders))
    places = list(map(os.path.realpath, paths))
    if len(paths) < 2:
        names = ", ".join(map(str, folders)) or "annotators"
        raise UserError(names, "agreement needs two annotators", "give two folders or more")
    names = [path.stem if path.is_file() else path.name for path in paths]
    for i, folder in enumerate(folders):
        if places[i] in places[:i]:
            raise UserError(folder, "is given twice", "give each annotator once")
        if names[i] in names[:i]:
            raise UserError(
                folder, f"another annotator is called {names[i]} too", "rename one of the folders"
            )
    read = [read_annotations(folder, progress=progress) for folder in folders]
    return comparable(dict(zip(names, read, strict=True)), common_only)


def comparable(annotators: Annotators, common_only: bool = False) -> dict[str, dict[str, Labels]]:
    """The same labels with the same videos, action units (masked where missing) and expressions for all
    annotators. Refused are videos that somebody lacks (left out with ``common_only``) or has with another
    number of frames, different lists of expressions, and annotators of whom no two did the same task.
    """
    annotators = _same_videos(annotators, common_only)
    first = next(iter(annotators))
    for name, labels in annotators.items():
        for video, one in labels.items():
            if len(one) != (frames := len(annotators[first][video])):
                problem = f"{len(one)} frames by {name}, but {frames} by {first}"
                raise UserError(video, problem, "label the same frames of the same video")
    judges = {name: labels for name, labels in annotators.items() if _did(labels, "expressions")}
    classes = {name: common_expression_names(list(labels.values())) for name, labels in judges.items()}
    every = [one for labels in annotators.values() for one in labels.values()]
    units = tuple(dict.fromkeys(unit for one in every for unit in one.action_unit_names))
    leader, expected = next(iter(classes.items()), ("", every[0].expression_names))
    for name, own in classes.items():
        if own != expected:
            problem = f"chose from {', '.join(own)}, but {leader} from {', '.join(expected)}"
            raise UserError(name, problem, "label with the same list of expressions")
    if not any(sum(_did(labels, task) for labels in annotators.values()) > 1 for task in TASKS):
        problem = "no task was done by two of them"
        raise UserError(", ".join(annotators), problem, "give annotators of one task")

    def alike(one: Labels) -> Labels:
        return replace(one.with_action_units(units), expression_names=expected)

    return {name: {video: alike(one) for video, one in labels.items()} for name, labels in annotators.items()}


def _same_videos(annotators: Annotators, common_only: bool) -> dict[str, dict[str, Labels]]:
    every = sorted(set().union(*annotators.values()))
    common = [video for video in every if all(video in labels for labels in annotators.values())]
    if len(common) < len(every):
        video = next(video for video in every if video not in common)
        name = next(name for name, labels in annotators.items() if video not in labels)
        count = len(every) - len(common)
        if not (common_only and common):
            problem = f"has no labels of {video} ({count} of {len(every)} videos are not common to all)"
            fix = "label it, or keep the others with --common" if common else "annotate the same videos"
            raise UserError(name, problem, fix)
        left_out = f"{count} of {len(every)} videos are left out: somebody has not labelled them"
        warnings.warn(left_out, stacklevel=3)
    return {name: {video: labels[video] for video in common} for name, labels in annotators.items()}


def _did(labels: Mapping[str, Labels], task: str) -> bool:
    mask, _ = KINDS[_KINDS[task]]
    return any(getattr(one, mask).any() for one in labels.values())


def gather(annotators: Annotators, task: str) -> Ratings:
    """What the annotators of :func:`comparable` said about a task, without videos that none labelled."""
    mask, fields = KINDS[_KINDS[task]]
    who = [name for name, labels in annotators.items() if _did(labels, task)]
    first = next(iter(annotators.values()))
    videos = [video for video in first if any(getattr(annotators[name][video], mask).any() for name in who)]
    some = next(iter(first.values()))
    columns = some.action_unit_names if task == "action units" else fields
    kind = np.float32 if task == "valence-arousal" else np.int8
    ends = np.cumsum([0, *(len(first[video]) for video in videos)])
    rows = {video: slice(*pair) for video, pair in zip(videos, pairwise(ends), strict=True)}
    values = np.zeros((len(who), ends[-1], len(columns)), kind)
    present = np.zeros(values.shape, bool)
    for number, name in enumerate(who):
        for video, place in rows.items():
            one = annotators[name][video]
            values[number, place] = np.column_stack([getattr(one, field) for field in fields])
            present[number, place] = getattr(one, mask).reshape(len(one), -1)
    return Ratings(task, tuple(who), tuple(columns), some.expression_names, values, present, rows)


def agree(
    annotators: Annotators, keep: str = "all", disagreed: str = "unknown", tasks: Sequence[str] = TASKS
) -> dict[str, Labels]:
    """One set of labels from those of :func:`read_annotators` (Section III.D).

    Of action units and expressions stays what all annotators of the task say, or with ``keep="majority"``,
    for comparison, what more than half of them say. Valence and arousal are the mean, see
    :func:`combine_ratings`. A task that only one annotator did is not labelled at all.

    "Only the AU annotations in frames where all three experts agreed on the activation" can be read in two
    ways. Where experts differ, nobody knows, and the frame is masked (``disagreed="unknown"``); or the unit
    is not active, as wherever it was not marked (``"absent"`` makes it 0). The second keeps more frames, but
    calls weak and beginning actions absent, on which experts differ most. Expressions are masked in either
    case.
    """
    agreed = {}
    for video, one in next(iter(annotators.values())).items():
        agreed[video] = Labels.empty(len(one), one.action_unit_names, one.expression_names)
    for task in tasks:
        ratings = gather(annotators, task)
        if len(ratings.annotators) < 2:
            continue
        values, known = decide(ratings, keep, disagreed)
        mask, fields = KINDS[_KINDS[task]]
        found = dict(zip(fields, np.split(values, len(fields), axis=1), strict=True)) | {mask: known}
        for video, place in ratings.rows.items():
            for name, array in found.items():
                own = getattr(agreed[video], name)  # (T,), or (T, A)
                own[...] = array[place].reshape(own.shape)
    return agreed


def decide(ratings: Ratings, keep: str = "all", disagreed: str = "unknown") -> tuple[np.ndarray, np.ndarray]:
    """What is agreed on ``(N, columns)``, see :func:`agree`, and the mask of where; of ratings ``(N, 1)``."""
    if keep not in KEEP or disagreed not in DISAGREED:
        raise ValueError(f"no rule {keep!r} with {disagreed!r}: choose from {KEEP} and {DISAGREED}")
    values, present = ratings.values, ratings.present
    by_all = present.all(axis=0)
    if ratings.task == "valence-arousal":
        known = by_all.all(axis=1, keepdims=True)
        return values.mean(axis=0, dtype=np.float64) * known, known
    if keep == "all":
        agreed, known = values[0], by_all & (values == values[0]).all(axis=0)
    else:
        classes = np.unique(values)
        votes = np.stack([((values == one) & present).sum(axis=0) for one in classes])
        agreed, known = classes[votes.argmax(axis=0)], 2 * votes.max(axis=0) > len(values)
    absent = disagreed == "absent" and ratings.task == "action units"
    return np.where(known, agreed, 0), (known | by_all if absent else known)


def combine_ratings(raters: Annotators, largest_lag: int = 0) -> dict[str, Labels]:
    """The mean of the raters' valence and arousal, in frames that all of them rated, and nothing else.

    The paper names eight raters (Section II.A), not how their ratings became one label; the mean is our
    choice. For Aff-Wild see Zafeiriou et al. (2017, CVPR workshops) and Kollias et al. (2019, International
    Journal of Computer Vision 127). With a ``largest_lag`` they are put in step first, see
    :func:`align_ratings`.
    """
    return agree(align_ratings(raters, largest_lag)[0], tasks=("valence-arousal",))


def align_ratings(
    raters: Annotators, largest_lag: int, progress: bool = False
) -> tuple[dict[str, dict[str, Labels]], dict[str, int]]:
    """Shift the valence and arousal of each rater towards the start, in step with the fastest of them: the
    raters, and rater to lag in frames, 0 or more (none for who rated nothing). The last ``lag`` frames
    become masked.

    A rater has one lag: the shift, at most ``largest_lag`` frames, at which the rating correlates best
    (Pearson, all videos together, mean of valence and arousal) with the mean of the others, repeated until
    nothing changes. Mariooryad & Busso maximise mutual information with the face instead, which also finds
    the delay that all raters share; ratings alone cannot tell it.
    """
    ratings = gather(raters, "valence-arousal")
    moved = {name: dict(videos) for name, videos in raters.items()}
    if len(who := ratings.annotators) < 2 or largest_lag < 1:
        return moved, dict.fromkeys(who, 0)
    between = ((0, 0), (0, 2 * largest_lag), (0, 0))  # unrated frames between two videos
    values, present = (
        np.concatenate([np.pad(array[:, rows], between) for rows in ratings.rows.values()], axis=1)
        for array in (ratings.values.astype(np.float64) * ratings.present, ratings.present)
    )
    values, present = np.moveaxis(values, 2, 1), present.all(axis=2)  # (K, 2, N) and (K, N)
    lags = np.zeros(len(who), int)
    for _ in tqdm(range(MOST_ROUNDS), desc="lags", unit="round", delay=2, disable=not progress):
        before = lags.copy()
        for rater in range(len(who)):
            lags[rater] = _lag_to_the_others(values, present, lags, rater, largest_lag)
        if (lags == before).all():
            break
    found = {name: int(lag) for name, lag in zip(who, lags - lags.min(), strict=True)}
    for name, lag in found.items():
        moved[name] = {video: _earlier(one, lag) for video, one in raters[name].items()}
    return moved, found


def _lag_to_the_others(values, present, lags: np.ndarray, rater: int, largest: int) -> int:
    """The lag of one rater, -largest to largest, against the mean of the others at their lags."""
    others = [other for other in range(len(lags)) if other != rater]
    rated = np.all([np.roll(present[other], -lags[other]) for other in others], axis=0)  # (N,)
    # their sum, not their mean: a factor makes no difference to a correlation
    group = sum(np.roll(values[other], -lags[other], axis=1) for other in others) * rated  # (2, N)
    pairs = zip(values[rater], group, strict=True)  # valence, then arousal
    scores = [correlation_at_lags(own, present[rater], other, rated, largest) for own, other in pairs]
    total = np.nansum(scores, axis=0)  # where somebody never moves, nothing is known: neither for nor against
    return int(total.argmax()) - largest if total.any() else int(lags[rater])


def correlation_at_lags(
    late: np.ndarray, has_late: np.ndarray, early: np.ndarray, has_early: np.ndarray, largest: int
) -> np.ndarray:
    """Pearson's correlation of ``late[t + lag]`` with ``early[t]``, ``(N,)`` each, 0 where their mask is
    false: ``(2 * largest + 1,)`` from -largest on, over frames in which both masks are true; NaN where one
    does not move, or too few frames meet.
    """

    def sums(a, b):  # sum over t of a[t + lag] * b[t], for every lag at once by a Fourier transform
        middle = len(b) - 1
        return signal.correlate(a, b, "full", "fft")[middle - largest : middle + largest + 1]

    has_late, has_early = has_late.astype(np.float64), has_early.astype(np.float64)
    count = np.rint(sums(has_late, has_early)).clip(min=1)
    mean_late, mean_early = sums(late, has_early) / count, sums(has_late, early) / count
    covariance = sums(late, early) / count - mean_late * mean_early
    variance_late = sums(late**2, has_early) / count - mean_late**2
    variance_early = sums(has_late, early**2) / count - mean_early**2
    known = (np.minimum(variance_late, variance_early) > 1e-9) & (count >= LEAST_OVERLAP * count.max())
    return covariance / np.sqrt(np.where(known, variance_late * variance_early, np.nan))


def _earlier(labels: Labels, lag: int) -> Labels:
    return replace(
        labels, **{name: np.pad(getattr(labels, name), (0, lag))[lag:] for name in ("has_va", *VA)}
    )


def write_agreement(
    out: str | Path, labels: Mapping[str, Labels], table: pd.DataFrame, force: bool = False
) -> None:
    """Write agreed labels in the layout of ABAW-6, and ``table`` beside them: a folder, whole or not at all.
    One that holds anything is replaced only with ``force``, and only if this function wrote all of it.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UserError(out, "is not a folder", "choose another output")
    names = [path.name for path in out.iterdir()] if out.exists() else []
    if names:
        refuse_existing(out, force)
        others = [name for name in names if name != TABLE_FILE and not name.endswith("_Challenge")]
        if others or TABLE_FILE not in names:
            held = others[0] if others else f"annotations without {TABLE_FILE}"
            raise UserError(out, f"holds {held}, which is not ours to replace", "choose another output")
    with write_beside(out) as part:
        shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
        write_annotations(part, labels)
        table.to_csv(part / TABLE_FILE, index=False, float_format="%.10g", lineterminator="\n")
        if out.is_dir():
            shutil.rmtree(out)

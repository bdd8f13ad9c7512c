"""What annotators are worth: said against truth, frame by frame (Section III.C-D).

Real corpora have no truth beside their annotators. A drawn one has: ``truth/<name>.csv`` says how strongly
each action unit moved in each frame, and what valence and arousal were played. So one can count what an
annotator misses, what agreement between several keeps and throws away, and how late a joystick is.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from affkit.corpus.agreement import gather
from affkit.corpus.reliability import ALL, cohen_kappa
from affkit.labels import ACTION_UNIT_THRESHOLD, ACTION_UNITS, Labels
from affkit.metrics import StreamingCCC
from affkit_studio.annotate.session import AnnotationSession, Segment, from_labels

VA = ("valence", "arousal")


def true_labels(truth: pd.DataFrame) -> Labels:
    """The paper's labels as they would be if annotators never erred, where the face can be seen.

    ``truth`` is a table of :func:`affkit.corpus.corpus.read_ground_truth`; an action unit is there above
    :data:`~affkit.labels.ACTION_UNIT_THRESHOLD`.

    >>> table = pd.DataFrame(0.0, range(3), ["valence", "arousal", "expression", *ACTION_UNITS])
    >>> table["AU12"] = [0.1, 0.3, 0.9]
    >>> labels = true_labels(table.assign(visible=[1, 1, 0]))
    >>> labels.action_units[:, 4].tolist(), labels.has_action_units[:, 4].tolist()
    ([0.0, 1.0, 0.0], [True, True, False])
    """
    seen = truth["visible"].to_numpy(bool)
    labels = Labels.empty(len(truth))
    for name in VA:
        getattr(labels, name)[seen] = truth[name].to_numpy()[seen]
    labels.expression[seen] = truth["expression"].to_numpy(int)[seen]
    labels.action_units[seen] = (truth[list(ACTION_UNITS)].to_numpy() > ACTION_UNIT_THRESHOLD)[seen]
    labels.has_va[:] = labels.has_expression[:] = seen
    labels.has_action_units[:] = seen[:, None]
    return labels


def mark_roughly(session: AnnotationSession, labels: Labels, step: int = 10) -> int:
    """Mark the action units of ``labels`` to the nearest ``step`` frames, as in a hurry: short ones vanish.

    What the session held before is cleared. Returns the number of marks.
    """
    session.clear(None, 0, session.video.num_frames)
    marks = [
        Segment(s.lane, round(s.start / step) * step, min(round(s.stop / step) * step, len(labels)))
        for s in from_labels(labels, "au")
    ]
    marks = [mark for mark in marks if mark.start < mark.stop]
    for mark in marks:
        session.mark(mark.lane, mark.start, mark.stop)
    return len(marks)


def unit_scores(said: Mapping[str, Labels], truth: Mapping[str, Labels]) -> pd.DataFrame:
    """How right labels of action units are, all videos of ``said`` together: a row a unit, and ``ALL``.

    ``labelled``: fraction of the frames with a truth that are labelled at all. In these frames ``precision``,
    ``recall``, ``f1`` and Cohen's ``kappa`` with the truth, NaN where they are 0/0. ``found``: of *all*
    frames in which the unit is there, the fraction that is labelled so; what is not labelled counts as not
    found.
    """
    pairs = [(one.with_action_units(ACTION_UNITS), truth[name]) for name, one in said.items()]
    known = np.concatenate([real.has_action_units for _, real in pairs])  # (N, 8)
    labelled = np.concatenate([one.has_action_units for one, _ in pairs]) & known
    claimed = np.concatenate([one.action_units == 1 for one, _ in pairs]) & labelled
    there = np.concatenate([real.action_units == 1 for _, real in pairs]) & known
    masks = known, labelled, claimed, there, labelled & there, claimed & there
    # (9,) each: of every unit, and of all of them
    frames, given, said_there, real, asked, hits = (np.append(mask.sum(axis=0), mask.sum()) for mask in masks)
    columns = [*range(len(ACTION_UNITS)), slice(None)]
    kappas = [
        cohen_kappa(*(mask[:, c][labelled[:, c]].astype(int) for mask in (claimed, there))) for c in columns
    ]
    with np.errstate(invalid="ignore"):  # 0/0 is NaN
        scores = {"labelled": given / frames, "precision": hits / said_there, "recall": hits / asked}
        scores |= {"f1": 2 * hits / (said_there + asked), "kappa": kappas, "found": hits / real}
    return pd.DataFrame(scores, [*ACTION_UNITS, ALL])


def boundary_errors(said: Mapping[str, Labels], truth: Mapping[str, Labels]) -> pd.DataFrame:
    """By how many frames onset and offset of each true action, an unbroken run of frames, are marked late.

    A row for each action: ``video``, ``unit``, its frames ``start`` and ``stop`` (0-based, half open),
    whether it is ``marked`` in at least one frame, and the errors ``onset`` and ``offset`` in frames,
    positive if late. They are NaN unless one mark meets this action and no other, and where the clip begins
    or ends with it or the face is not seen next to it: nobody can know then when it began.
    """
    rows = []
    for video, one in said.items():
        marks, actions = from_labels(one, "au"), from_labels(truth[video], "au")
        known = np.pad(truth[video].has_action_units, ((1, 1), (0, 0)))  # frame t is row t + 1
        for action in actions:
            met, column = _meeting(action, marks), ACTION_UNITS.index(action.lane)
            onset = offset = np.nan
            if len(met) == 1 and _meeting(met[0], actions) == [action]:
                if known[action.start, column]:
                    onset = met[0].start - action.start
                if known[action.stop + 1, column]:
                    offset = met[0].stop - action.stop
            rows.append((video, action.lane, action.start, action.stop, bool(met), onset, offset))
    names = ["video", "unit", "start", "stop", "marked", "onset", "offset"]
    return pd.DataFrame(rows, columns=names).astype({"onset": float, "offset": float})


def _meeting(one: Segment, segments: list[Segment]) -> list[Segment]:
    return [s for s in segments if s.lane == one.lane and s.start < one.stop and one.start < s.stop]


def disputed_frames(
    coders: Mapping[str, Mapping[str, Labels]], truths: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Every frame and action unit that all coders labelled, with what is true there.

    Columns: ``video``, ``frame`` (1-based), ``unit``; ``votes``, how many coders saw it, and ``disputed`` if
    not all agree; true ``intensity``, 0 to 1, ``present``, and ``distance``, see :func:`distance_to_change`.
    """
    ratings = gather(coders, "action units")
    parts = []
    for video, place in ratings.rows.items():
        truth = truths[video]
        for column, unit in enumerate(ratings.columns):
            values, present = ratings.values[:, place, column], ratings.present[:, place, column].all(axis=0)
            votes = values.sum(axis=0)
            there = truth[unit].to_numpy() > ACTION_UNIT_THRESHOLD
            table = {"video": video, "frame": np.arange(len(truth)) + 1, "unit": unit, "votes": votes}
            table |= {"disputed": (votes > 0) & (votes < len(values)), "intensity": truth[unit]}
            table |= {"present": there, "distance": distance_to_change(there)}
            parts.append(pd.DataFrame(table)[present])
    return pd.concat(parts, ignore_index=True)


def distance_to_change(values: np.ndarray) -> np.ndarray:
    """Frames to the nearest place where ``values`` ``(T,)`` change; infinite if they never do.

    >>> distance_to_change(np.array([0, 0, 0, 1, 1])).tolist()
    [2.0, 1.0, 0.0, 0.0, 1.0]
    """
    changes = np.flatnonzero(np.diff(values)) + 0.5
    gaps = np.abs(np.arange(len(values))[:, None] - changes)  # (T, changes)
    return gaps.min(axis=1, initial=np.inf) - 0.5


def concordance(
    ratings: Mapping[str, Mapping[str, Labels]], truth: Mapping[str, Labels], shifts: Sequence[int] = (0,)
) -> pd.DataFrame:
    """CCC with the truth of several ratings, each moved by several shifts in frames, all videos pooled.

    A shift of ``s`` compares frame ``t + s`` with the truth of frame ``t``: a late rating is best at a
    positive one. Only ``frames`` count for which every rating says something at every shift.
    """
    scores = {(name, shift): [StreamingCCC(), StreamingCCC()] for name in ratings for shift in shifts}
    for video in next(iter(ratings.values())):
        real, said = truth[video], {name: videos[video] for name, videos in ratings.items()}
        times = np.arange(max(0, -min(shifts)), len(real) - max(0, *shifts))
        known = real.has_va[times].copy()
        for one in said.values():
            for shift in shifts:
                known &= one.has_va[times + shift]
        times = times[known]
        for (name, shift), streams in scores.items():
            for dimension, stream in zip(VA, streams, strict=True):
                stream.update(getattr(said[name], dimension)[times + shift], getattr(real, dimension)[times])
    rows = [
        (name, shift, streams[0].n, *(stream.compute() for stream in streams))
        for (name, shift), streams in scores.items()
    ]
    return pd.DataFrame(rows, columns=["rating", "shift", "frames", *VA])

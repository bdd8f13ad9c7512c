"""Which labels belong to which face: line i is frame i, and ``_left`` is the person on the left."""

import warnings
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from affkit.errors import UserError
from affkit.labelfiles.layouts import video_of
from affkit.labels import Labels


def names_of_people(
    known: Collection[str], video: str, centers: Mapping[int, float], width: int
) -> dict[int, str]:
    """The name of the labels of each person of one video, as far as there are any in ``known``.

    Labels named like the video are those of person 0, the one seen longest. Aff-Wild2 names those of two
    people ``<video>_left`` and ``<video>_right``, or one of them plainly: then the two seen longest are told
    apart by ``centers``, the mean x of each face; a single face by the half of the picture it is in.

    >>> names_of_people({"a_left", "a"}, "a", {0: 90.0, 1: 10.0}, width=100)
    {1: 'a_left', 0: 'a'}
    """
    left_name, right_name = f"{video}_left", f"{video}_right"
    if left_name not in known and right_name not in known:
        names = {0: video}
    else:
        if 1 in centers:
            left, right = sorted((0, 1), key=lambda person: centers[person])
        else:
            left, right = (0, 1) if centers[0] < width / 2 else (1, 0)
        sides = {left: left_name, right: right_name}
        names = {person: name if name in known else video for person, name in sides.items()}
    return {person: name for person, name in names.items() if name in known and person in centers}


def label_table(labels: Labels) -> pd.DataFrame:
    """Labels as a table, a row a frame (1-based), empty where nothing is labelled.

    >>> label_table(Labels.empty(2)).columns[:4].tolist()
    ['valence', 'arousal', 'expression', 'AU1']
    """
    names = np.array(labels.expression_names, dtype=object)
    columns = {
        "valence": np.where(labels.has_va, labels.valence, np.float32(np.nan)),
        "arousal": np.where(labels.has_va, labels.arousal, np.float32(np.nan)),
        "expression": np.where(labels.has_expression, names[labels.expression], None),
    }
    units = np.where(labels.has_action_units, labels.action_units, np.nan)  # (T, A)
    columns |= {name: pd.array(units[:, i], dtype="Int8") for i, name in enumerate(labels.action_unit_names)}
    return pd.DataFrame(columns, index=np.arange(1, len(labels) + 1))


def add_labels(
    index: pd.DataFrame,
    annotations: Mapping[str, Labels],  # by name, all with the same action units
    subjects: Mapping[str, str],  # by the same names
    frames: Mapping[str, int],  # by video
    width: Mapping[str, int],  # in pixels, by video
) -> pd.DataFrame:
    """The index of a store with columns for the subject and the labels, empty where nothing is known.

    A video without labels, or with more or fewer lines than frames, is a warning: the shorter counts, nothing
    is shifted. Labels for none of them are a :class:`UserError`.
    """
    nothing = next(iter(annotations.values()))[:0]
    parts, used = [], set()
    for video, rows in index.groupby("video", sort=False):
        centers = (rows["x"] + rows["w"] / 2).groupby(rows["person"]).mean().to_dict()
        names = names_of_people(annotations, video, centers, width[video])
        _warn_of_lengths(video, [len(annotations[name]) for name in names.values()], frames[video])
        used |= set(names.values())
        for person, own in rows.groupby("person", sort=False):
            name = names.get(person)
            own = own.assign(subject=subjects.get(name) if name else None)
            parts.append(own.join(label_table(annotations[name] if name else nothing), on="frame"))
    if not used:
        raise _no_labels(frames, annotations)
    return pd.concat(parts, ignore_index=True)


def refuse_other_names(annotations: Collection[str], videos: Collection[str]) -> None:
    """:class:`UserError` when no name of labels is that of a video; asked before any face is found."""
    if not {stem for name in annotations for stem in (name, video_of(name)[0])} & set(videos):
        raise _no_labels(videos, annotations)


def _no_labels(videos: Collection[str], annotations: Collection[str]) -> UserError:
    problem = f"none of the videos has labels; there are some for {', '.join(list(annotations)[:3])}"
    return UserError(", ".join(videos), problem, "compare the names of videos and labels")


def _warn_of_lengths(video: str, lengths: list[int], num_frames: int) -> None:
    if not lengths:
        warnings.warn(f"{video}: no labels for this video", stacklevel=3)
    elif set(lengths) != {num_frames}:
        lines = " and ".join(map(str, lengths))
        warnings.warn(f"{video}: {lines} label lines, {num_frames} frames; the shorter counts", stacklevel=3)

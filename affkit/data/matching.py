"""Which labels belong to which face: line i is frame i, and ``_left`` is the person on the left."""

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd

from affkit.errors import UserError
from affkit.labels import Labels

SUFFIXES = ("_left", "_right")


def labels_of_people(
    annotations: Mapping[str, Labels], video: str, centers: Mapping[int, float], width: int
) -> dict:
    """The labels of each person of one video, as far as there are any.

    Labels named like the video are those of person 0, the one seen longest. Aff-Wild2 names the labels of
    two people ``<video>_left`` and ``<video>_right``, or those of one of them by the plain name: then the
    two seen longest are told apart by where they are on average in the picture, as the viewer sees it. If
    only one face was found, it is the left one when it is in the left half.

    Parameters
    ----------
    annotations:
        Labels by name (:func:`affkit.data.layouts.read_annotations`).
    video:
        The name of the video, without a suffix.
    centers:
        Person to mean x of the face, in pixels of the video.
    width:
        Width of the video in pixels.

    >>> nobody = Labels.empty(1)
    >>> labels_of_people({"a_left": nobody}, "a", {0: 90.0, 1: 10.0}, 100) == {1: nobody}
    True
    """
    named = {suffix: annotations.get(video + suffix) for suffix in ("", *SUFFIXES)}
    if named["_left"] is None and named["_right"] is None:
        people = {0: named[""]}
    else:
        if 1 in centers:
            left, right = sorted((0, 1), key=lambda person: centers[person])
        else:
            left, right = (0, 1) if centers[0] < width / 2 else (1, 0)
        people = {left: named["_left"], right: named["_right"]}
        plain = next((person for person in (left, right) if people[person] is None), None)
        if plain is not None:
            people[plain] = named[""]
    return {person: labels for person, labels in people.items() if labels is not None and person in centers}


def add_labels(
    index: pd.DataFrame, annotations: Mapping[str, Labels], frames: Mapping[str, int], width: Mapping
):
    """The index of a store with columns for the labels, empty where nothing is labelled.

    Parameters
    ----------
    index:
        Rows with ``video``, ``frame`` (1-based), ``person``, ``x`` and ``w``.
    annotations:
        Labels by name; all with the same action units and expressions.
    frames, width:
        Number of frames, and width in pixels, of each video.

    Warns
    -----
    UserWarning
        Once a video: if it has no labels at all, or more or fewer lines than frames. The shorter counts;
        nothing is ever shifted.

    Raises
    ------
    UserError
        If not one of the videos has labels.
    """
    units = next(iter(annotations.values())).action_unit_names
    numbers = np.full((len(index), 2 + len(units)), np.nan, np.float32)  # valence, arousal, action units
    expressions = np.full(len(index), None, dtype=object)
    labelled = 0
    for video, rows in index.groupby("video", sort=False).indices.items():
        table = index.iloc[rows]
        centers = (table["x"] + table["w"] / 2).groupby(table["person"]).mean().to_dict()
        people = labels_of_people(annotations, video, centers, width[video])
        if not people:
            warnings.warn(f"{video}: no labels for this video", stacklevel=2)
        elif any(len(labels) != frames[video] for labels in people.values()):
            lines = " and ".join(str(len(labels)) for labels in people.values())
            warnings.warn(
                f"{video}: {lines} label lines, {frames[video]} frames; the shorter counts", stacklevel=2
            )
        for person, labels in people.items():
            labelled += 1
            of_person = rows[(table["person"] == person) & (table["frame"] <= len(labels))]
            own = labels[index["frame"].to_numpy()[of_person] - 1]
            numbers[of_person, 0] = np.where(own.has_va, own.valence, np.nan)
            numbers[of_person, 1] = np.where(own.has_va, own.arousal, np.nan)
            numbers[of_person, 2:] = np.where(own.has_action_units, own.action_units, np.nan)
            names = np.array(own.expression_names, dtype=object)[own.expression]
            expressions[of_person] = np.where(own.has_expression, names, None)
    if not labelled:
        known = ", ".join(list(annotations)[:3])
        raise UserError(
            "labels", f"none of the videos has labels; there are some for {known}", "compare the names"
        )
    columns = {"valence": numbers[:, 0], "arousal": numbers[:, 1], "expression": expressions}
    columns |= {unit: pd.array(numbers[:, 2 + place]).astype("Int8") for place, unit in enumerate(units)}
    return index.assign(**columns)

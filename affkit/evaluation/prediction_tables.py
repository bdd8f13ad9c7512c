"""Predictions of one video in the tables of others: OpenFace, py-feat, and the ABAW challenges."""

import numpy as np
import pandas as pd

from affkit.evaluation.predict import ACTIVE, VA
from affkit.faces.label_faces import names_of_people
from affkit.labels import ACTION_UNITS, EXPRESSIONS, Labels

PY_FEAT_EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""The expressions as py-feat names and orders them: its ``FEAT_EMOTION_COLUMNS``."""

_BOX = {"x": "FaceRectX", "y": "FaceRectY", "w": "FaceRectWidth", "h": "FaceRectHeight", "score": "FaceScore"}


def openface_table(predictions: pd.DataFrame, seconds: np.ndarray) -> pd.DataFrame:
    """Predictions in the columns that readers of OpenFace and py-feat look for.

    The first five are those of OpenFace 2 (its wiki, "Output Format"; Baltrusaitis et al., FG 2018):
    ``frame``, from 1; ``face_id``; ``timestamp`` in seconds; ``confidence``; ``success``. The box, its score
    and the emotions have the names of py-feat (``feat/utils``: ``FEAT_FACEBOX_COLUMNS``,
    ``FEAT_EMOTION_COLUMNS``; Cheong et al., Affective Science 2023). Action units have two digits in both;
    OpenFace adds ``_r`` (intensity, 0 to 5) or ``_c`` (0 or 1), which a probability is neither of.

    Detectors score on scales of their own: ``FaceScore`` is that score. ``confidence``, a number from 0 to 1
    in OpenFace, is 1 where the detector saw the face, 0 where its box was filled in between two frames.

    Parameters
    ----------
    predictions:
        As :func:`~affkit.evaluation.clips.predict_video` gives them.
    seconds:
        ``(T,)``, when each frame of the video is shown: :func:`~affkit.video.video.frame_seconds`.

    Returns
    -------
    A row for each face of each frame, by frame and person. A frame without a face is one row with ``success``
    and ``confidence`` 0 and the rest empty, as in py-feat: the zeros that OpenFace writes look like values.

    >>> face = {"video": ["a"], "frame": [2], "person": [0], "x": [5.0], "y": [5.0], "w": [9.0], "h": [9.0]}
    >>> table = openface_table(pd.DataFrame(face | {"score": [7.0], "AU1": [0.9]}), np.array([0.0, 0.04]))
    >>> table[["frame", "timestamp", "success", "FaceRectX", "AU01"]].values.tolist()
    [[1.0, 0.0, 0.0, nan, nan], [2.0, 0.04, 1.0, 5.0, 0.9]]
    """
    frames = pd.DataFrame({"frame": np.arange(1, len(seconds) + 1), "timestamp": seconds})
    rows = frames.merge(predictions.sort_values("person", kind="stable"), on="frame", how="left")
    table = pd.DataFrame(
        {
            "frame": rows["frame"],
            "face_id": rows["person"].fillna(0).astype(int),
            "timestamp": rows["timestamp"],
            "confidence": rows["score"].notna().astype(int),
            "success": rows["person"].notna().astype(int),
        }
    )
    names = _BOX | {name: name for name in VA}
    names |= {name.capitalize(): name for name in PY_FEAT_EMOTIONS}
    names |= {name: f"AU{int(name[2:]):02}" for name in ACTION_UNITS}
    told = {new: rows[ours] for ours, new in names.items() if ours in rows}
    return table.assign(**told)


def abaw_labels(predictions: pd.DataFrame, num_frames: int, width: int) -> dict[str, Labels]:
    """Predictions as labels of ``num_frames`` frames, by the names that Aff-Wild2 gives its label files.

    One face has the name of the video. Of several, the two seen longest are ``<video>_left`` and
    ``<video>_right``, see :func:`~affkit.faces.label_faces.names_of_people`; there is no name for a third.
    Valence and arousal are rounded to four decimals; the expression is the likeliest; an action unit is 1
    from a probability of 0.5. A frame without the face is masked: -5 and -1 in the files.

    Parameters
    ----------
    predictions:
        As :func:`~affkit.evaluation.clips.predict_video` gives them.
    num_frames, width:
        Of the video, the latter in pixels.
    """
    video = predictions["video"].iloc[0]
    centers = (predictions["x"] + predictions["w"] / 2).groupby(predictions["person"]).mean().to_dict()
    known = {f"{video}_left", f"{video}_right"} if 1 in centers else {video}
    names = names_of_people(known, video, centers, width)
    return {
        name: face_labels(predictions[predictions["person"] == person], num_frames)
        for person, name in sorted(names.items())
    }


def face_labels(faces: pd.DataFrame, num_frames: int, active: float | pd.Series = ACTIVE) -> Labels:
    """Predictions of one face as labels of ``num_frames`` frames; a frame that is not there is masked.

    Parameters
    ----------
    faces:
        A row a frame: ``frame`` (1-based), and of ``valence`` and ``arousal``, the seven expressions, and the
        eight action units those that were predicted.
    active:
        From which probability an action unit is 1: one for all, or by unit.
    """
    labels, rows = Labels.empty(num_frames), faces["frame"].to_numpy() - 1
    if VA[0] in faces:
        labels.valence[rows], labels.arousal[rows] = (faces[name].round(4) for name in VA)
        labels.has_va[rows] = True
    if EXPRESSIONS[0] in faces:
        labels.expression[rows] = faces[list(EXPRESSIONS)].to_numpy().argmax(axis=1)
        labels.has_expression[rows] = True
    if ACTION_UNITS[0] in faces:
        labels.action_units[rows] = faces[list(ACTION_UNITS)] >= active
        labels.has_action_units[rows] = True
    return labels

"""The folder that ``affkit predict`` makes of one video: tables, label files, and the annotated video."""

import shutil
from pathlib import Path

import pandas as pd

from affkit.errors import UserError
from affkit.evaluation.clips import write_predictions
from affkit.evaluation.prediction_tables import abaw_labels, openface_table
from affkit.files import refuse_existing, write_beside
from affkit.labelfiles.formats import checked_video_name
from affkit.labelfiles.layouts import write_annotations
from affkit.video.video import frame_seconds, probe
from affkit_lab.figures.overlay import annotate_video

TABLE, OPENFACE = "table.csv", "openface.csv"


def write_prediction_folder(
    out: str | Path,
    video: str | Path,
    predictions: pd.DataFrame,
    with_video: bool = True,
    force: bool = False,
    progress: bool = True,
) -> None:
    """Write a folder of predictions, whole or not at all.

    It holds ``table.csv`` (:func:`~affkit.evaluation.clips.write_predictions`), ``openface.csv``
    (:func:`~affkit.evaluation.prediction_tables.openface_table`), the label files of
    :func:`~affkit.evaluation.prediction_tables.abaw_labels` as the test set of the ABAW layout, which
    ``read_annotations`` reads from this folder, and ``<name of the video>.mp4``
    (:func:`~affkit_lab.figures.overlay.annotate_video`).

    Parameters
    ----------
    out:
        The folder to make.
    video:
        What was predicted.
    predictions:
        As :func:`~affkit.evaluation.clips.predict_video` gives them.
    with_video:
        Whether to draw the annotated video.
    force:
        Whether to replace an older folder of predictions.

    Raises
    ------
    UserError
        As :func:`check_prediction_folder`, or if the disk is full.
    """
    check_prediction_folder(out, video, force)
    out, name = Path(out).resolve(), Path(video).stem
    seconds = frame_seconds(video)
    labels = abaw_labels(predictions, len(seconds), probe(video).width)
    with write_beside(out) as part:
        shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
        part.mkdir()
        write_predictions(part / TABLE, predictions)
        write_predictions(part / OPENFACE, openface_table(predictions, seconds))
        write_annotations(part, labels, splits=dict.fromkeys(labels, "test"))
        if with_video:
            annotate_video(part / f"{name}.mp4", video, predictions, seconds, progress)
        if out.exists():
            shutil.rmtree(out)


def check_prediction_folder(out: str | Path, video: str | Path, force: bool = False) -> None:
    """Refuse, before the work and not after it, an output that cannot be written.

    Raises
    ------
    UserError
        If ``out`` exists and ``force`` is not set, or it is no folder of predictions but something of the
        user's, or holds the video itself; or if the video's name cannot be the name of label files.
    """
    refuse_existing(out, force)
    checked_video_name(video, Path(video).stem)
    out, mend = Path(out), "choose another output"
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(out, "is a file, not a folder", mend)
    if out.resolve() in Path(video).resolve().parents:
        raise UserError(out, f"holds {video}, and would be replaced", mend)
    if any(out.iterdir()) and not (out / OPENFACE).is_file():
        raise UserError(out, "is not a folder of predictions, and would be replaced", mend)

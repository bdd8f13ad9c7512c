"""A few faces of every clip, quickly: for trying out an idea, not for training a network.

:func:`~affkit.faces.extract.extract_faces` follows every face through every frame, which takes as long as the
film. Here single frames are searched, far apart, and nothing is followed, filled or smoothed.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from affkit.corpus.corpus import Corpus
from affkit.errors import UserError
from affkit.faces.detectors import Box, Detector, HaarDetector, crop_face
from affkit.faces.label_faces import label_table
from affkit.labelfiles.layouts import video_of
from affkit.store import COLUMNS, FORMAT, Store
from affkit.video.video import read_frames


def sample_faces(
    corpus: Corpus,
    names: Sequence[str] | None = None,
    per_clip: int = 40,
    size: int = 32,
    detector: Detector | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> Store:
    """A store, in memory, of up to ``per_clip`` faces of each clip, evenly spread over its labelled frames.

    Parameters
    ----------
    corpus:
        Its videos are read, its labels and subjects go into the index.
    names:
        The people to take, as in ``corpus.labels``; all of them by default.
    per_clip:
        Frames that are looked at. Where no face is found there is no row, so a clip can have fewer.
    size:
        Side of a crop in pixels.
    detector:
        :class:`~affkit.faces.detectors.HaarDetector` by default.
    jobs:
        Clips at a time, each in a process of its own.

    Returns
    -------
    Store
        Rows by clip, then frame. The column ``name`` is the person's name in the corpus; ``person`` is 1 for
        a name that ends in ``_right``, else 0.

    Raises
    ------
    UserError
        If a video is missing or cannot be read, or no face was found in any.
    """
    detector = detector or HaarDetector()
    names = list(corpus.labels if names is None else names)
    work = (delayed(_faces_of)(corpus, name, per_clip, size, detector) for name in names)
    found = Parallel(n_jobs=jobs, return_as="generator")(work)
    bar = tqdm(found, total=len(names), desc="faces", unit="clip", delay=2, disable=not progress)
    tables, crops = zip(*bar, strict=True) if names else ((), ())
    if not any(map(len, tables)):
        raise UserError(corpus.root, "no face in any of the frames looked at", "look at more frames a clip")
    index = pd.concat([table for table in tables if len(table)], ignore_index=True)
    labels = corpus.labels[names[0]]
    info = {"format": FORMAT, "size": size, "detector": {"name": detector.name}}
    info |= {"expressions": list(labels.expression_names), "action_units": list(labels.action_unit_names)}
    return Store(corpus.root, index, np.concatenate(crops), info)


def _faces_of(
    corpus: Corpus, name: str, per_clip: int, size: int, detector: Detector
) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows of one person and their crops, ``(N, size, size, 3)`` uint8."""
    cv2.setNumThreads(1)  # the clips are what runs at the same time
    labels = corpus.labels[name]
    labelled = labels.has_va | labels.has_expression | labels.has_action_units.any(axis=1)
    numbers = np.flatnonzero(labelled)
    if len(numbers) > per_clip:
        numbers = numbers[np.linspace(0, len(numbers) - 1, per_clip).round().astype(int)]
    wanted = set(numbers.tolist())
    video, side = video_of(name)
    path = corpus.video_path(name)
    rows, crops = [], []
    for number, frame in enumerate(read_frames(path, 0, max(wanted, default=-1) + 1)):
        box = _best(detector.detect(frame), side, frame.shape[1]) if number in wanted else None
        if box is not None:
            rows.append((path.stem, number + 1, int(side == "right"), *box))
            crops.append(crop_face(frame, box, size))
    index = pd.DataFrame(rows, columns=COLUMNS)
    index = index.assign(name=name, subject=corpus.subjects[name]).join(label_table(labels), on="frame")
    return index, np.array(crops, np.uint8).reshape(-1, size, size, 3)


def _best(boxes: Sequence[Box], side: str, width: int) -> Box | None:
    """The surest face, or the surest in the left or right half of a picture of two people."""
    halves = {"": (0, width), "left": (0, width / 2), "right": (width / 2, width)}
    low, high = halves[side]
    return next((box for box in boxes if low <= box.center[0] <= high), None)

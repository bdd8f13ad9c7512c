"""Frames that show what is in a corpus: few, and as different as they can be (the paper's Table II)."""

import numpy as np
import pandas as pd

from affkit.corpus.corpus import TRUTH_FOLDER, Corpus, part_names, read_ground_truth
from affkit.errors import UserError
from affkit.labels import ACTION_UNITS
from affkit.video.video import read_frames

BOX = ("x", "y", "width", "height")
NEEDED = ("frame", *BOX, "visible", "covered", "blink", "yaw")  # of a truth table
UNIT_WEIGHT = 0.5  # an action unit counts as much as a quarter of the way across the plane
MOST_COVERED, MOST_SHUT, MOST_TURNED = 0.05, 0.3, 0.6  # shares, and radians to the side: a face seen well
MARGIN = 0.45  # of the box, around it


def different_frames(corpus: Corpus, count: int = 5) -> pd.DataFrame:
    """Choose frames that differ in valence, arousal and action units.

    Each next frame is the one farthest from those chosen before, of a person not yet chosen as long as
    there is one. All have valence, arousal and every action unit of the paper that the corpus has at all.
    Where ``truth/<name>.csv`` says how well the face is seen, only faces seen well are taken.

    Returns
    -------
    A row a frame: ``name``, ``frame`` (1-based), ``valence``, ``arousal``, the paper's eight units (0 or
    1; NaN where the corpus lacks one), and the face's box ``x, y, width, height`` in pixels, NaN where
    it is not known. There are fewer rows than ``count`` where there are fewer such frames.

    Raises
    ------
    UserError
        If no frame has all of these labels.
    """
    names = part_names(corpus, "au")
    units = _known_units(corpus, names)
    parts = [_candidates(corpus, name, units) for name in names]
    frames = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if frames.empty:
        problem = "no frame with valence, arousal and action units"
        raise UserError(corpus.root, problem, "give a corpus that has all of them")
    who = frames["name"].map(corpus.subjects).to_numpy()
    places = frames[["valence", "arousal"]].to_numpy()
    places = np.hstack([places, UNIT_WEIGHT * frames[list(units)].to_numpy()])
    gaps = np.linalg.norm(places - places.mean(axis=0), axis=1)
    free = np.ones(len(frames), bool)
    chosen: list[int] = []
    while len(chosen) < min(count, len(frames)):
        row = int(np.where(free, gaps, -1).argmax())
        steps = np.linalg.norm(places - places[row], axis=1)
        gaps = steps if not chosen else np.minimum(gaps, steps)
        chosen.append(row)
        free &= who != who[row]
        if not free.any():  # everybody is there once
            free = ~np.isin(np.arange(len(frames)), chosen)
    return frames.loc[chosen].sort_values("valence").reset_index(drop=True)


def face_picture(corpus: Corpus, row: pd.Series) -> np.ndarray:
    """The picture of a row of :func:`different_frames`, ``(H, W, 3)`` uint8: the face, else the whole frame.

    Raises :class:`~affkit.errors.UserError` if there is no such video, or no such frame in it.
    """
    path = corpus.video_path(row["name"])
    start = int(row["frame"]) - 1
    picture = next(read_frames(path, start, start + 1), None)
    if picture is None:
        raise UserError(path, f"has no frame {row['frame']}, which has labels", "give the video they are of")
    if row[list(BOX)].isna().any():
        return picture
    x, y, width, height = (float(row[side]) for side in BOX)
    limits = picture.shape[:2]
    side = min(round((1 + MARGIN) * max(width, height)), *limits)
    middle = (y + 0.45 * height, x + width / 2)  # a little above the middle: there is hair
    top, left = (
        int(np.clip(round(at - side / 2), 0, limit - side)) for at, limit in zip(middle, limits, strict=True)
    )
    return picture[top : top + side, left : left + side]


def _known_units(corpus: Corpus, names: list[str]) -> tuple[str, ...]:
    """The paper's units that are labelled anywhere."""
    known: set[str] = set()
    for name in names:
        labels = corpus.labels[name]
        columns = labels.has_action_units.any(axis=0)
        known |= {unit for unit, there in zip(labels.action_unit_names, columns, strict=True) if there}
    return tuple(unit for unit in ACTION_UNITS if unit in known)


def _candidates(corpus: Corpus, name: str, units: tuple[str, ...]) -> pd.DataFrame:
    """The frames of one name that have all labels and, as far as is known, a face seen well."""
    labels = corpus.labels[name].with_action_units(ACTION_UNITS)
    needed = [ACTION_UNITS.index(unit) for unit in units]
    usable = labels.has_va & labels.has_action_units[:, needed].all(axis=1)
    frames = pd.DataFrame({"name": name, "frame": np.arange(1, len(labels) + 1)})
    frames["valence"], frames["arousal"] = labels.valence, labels.arousal
    frames[list(ACTION_UNITS)] = np.where(labels.has_action_units, labels.action_units, np.nan)
    truth = corpus.root / TRUTH_FOLDER / f"{name}.csv"
    if truth.exists():
        seen = read_ground_truth(truth, NEEDED).reindex(frames["frame"]).reset_index(drop=True)
        frames[list(BOX)] = seen[list(BOX)]
        clear = (seen["visible"] == 1) & (seen["covered"] < MOST_COVERED)
        clear &= (seen["blink"] < MOST_SHUT) & (seen["yaw"].abs() < MOST_TURNED)
        usable &= clear.to_numpy()
    else:
        frames[list(BOX)] = np.nan
    return frames[usable]

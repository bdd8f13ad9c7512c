"""A corpus: videos, the labels of the people in them, and who these people are."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.errors import UserError, refuse
from affkit.labelfiles.csv_text import parse_cells, read_text, split_header, wrong_header
from affkit.labelfiles.layouts import VIDEO_SUFFIXES, find_video, read_annotations
from affkit.labels import KINDS, Labels

SUBJECTS_FILE = "subjects.csv"
TRUTH_FOLDER = "truth"

PARTS = {"au": "action units", "expr": "expressions", "va": "valence and arousal"}
"""The parts of a corpus: the names with a label of one kind in at least one frame."""


@dataclass(frozen=True)
class Corpus:
    """Our drawn corpus, or any folder with videos and the annotations of Aff-Wild or Aff-Wild2 in it.

    A name such as ``clip`` or ``clip_left`` stands for one person in one video; ``labels`` and ``subjects``
    go by names, in their order. Subjects are what must not be in two sets at once, so a person who is in two
    videos has one subject. Where nothing is known, every name is a subject of its own. ``attributes`` are the
    rows of ``subjects.csv`` by name, all text; without such a file it has no rows.
    """

    root: Path
    labels: dict[str, Labels]
    subjects: dict[str, str]
    attributes: pd.DataFrame

    @classmethod
    def open(cls, root: str | Path, split: str | None = None, progress: bool = False) -> "Corpus":
        """Read the labels below ``root``, see :func:`~affkit.labelfiles.layouts.read_annotations`.

        ``root/subjects.csv`` may say who is who; its columns are ``video``, ``subject``, if two people are
        in a video ``person`` (``left`` or ``right``), and whatever else is known, such as ``gender``.
        """
        root = Path(root)
        labels = read_annotations(root, split, progress)
        root = root.parent if root.is_file() else root  # one file of labels: the rest lies beside it
        attributes = pd.DataFrame()
        if os.path.lexists(root / SUBJECTS_FILE):  # a link that leads nowhere is told, not passed over
            attributes = read_subjects(root / SUBJECTS_FILE)
        subjects = {name: name for name in labels}
        subjects |= {name: attributes.at[name, "subject"] for name in labels if name in attributes.index}
        return cls(root, labels, subjects, attributes)

    @property
    def videos(self) -> list[str]:
        """The names, sorted."""
        return list(self.labels)

    def video_path(self, name: str) -> Path:
        """The video file of ``name``, in ``root`` or in a folder of it such as ``videos`` or ``batch1``."""
        folders = [path for path in sorted(self.root.iterdir()) if path.is_dir()]
        folders = [path for path in folders if path.name.lower().startswith(("video", "batch"))]
        for folder in (*folders, self.root):
            path = find_video(folder, name)
            if path:
                return path
        raise UserError(self.root, f"no video of {name} in it", "copy the videos into its folder 'videos'")


def part_names(corpus: Corpus, part: str) -> list[str]:
    """The names of ``corpus`` in one of :data:`PARTS`."""
    return [name for name, labels in corpus.labels.items() if labelled_frames(labels, part).any()]


def labelled_frames(labels: Labels, part: str) -> np.ndarray:
    """``(T,)`` bool: the frames with a label of one of :data:`PARTS`; for action units, with one at least."""
    mask = getattr(labels, KINDS[part][0])
    return mask.any(axis=1) if part == "au" else mask


def read_subjects(path: str | Path) -> pd.DataFrame:
    """The rows of a ``subjects.csv``, all text, by name; each must have a subject, and comes once."""
    header, body = split_header(path, read_text(path))
    if not {"video", "subject"} <= set(header) or len(set(header)) != len(header):
        raise wrong_header(path, header, "'video,subject', with person where a video has two")
    rows = parse_cells(path, body, header, first_line=2, text_columns=header)
    refuse(path, (rows["subject"] == "").to_numpy(), 2, "the subject", rows["subject"], "name the subject")
    names = names_of_rows(rows)
    refuse(path, names.duplicated().to_numpy(), 2, "a person listed before", names, "keep one line for each")
    return rows.set_index(names.rename("name"))


def names_of_rows(rows: pd.DataFrame) -> pd.Series:
    """Each ``video`` without the suffix of its file, and the side where ``person`` gives one."""
    suffixes = "|".join(suffix[1:] for suffix in VIDEO_SUFFIXES)
    names = rows["video"].str.replace(rf"\.({suffixes})$", "", case=False, regex=True)
    return names.where(rows["person"] == "", names + "_" + rows["person"]) if "person" in rows else names


def read_ground_truth(path: str | Path, needed: Iterable[str] = ()) -> pd.DataFrame:
    """What is true of one face of a drawn corpus, ``truth/<name>.csv``: float64 columns, a row a frame.

    Only a drawn corpus knows it: where the face is, how well it is seen, which valence and arousal were
    played, and how strongly each action unit moved. The index is the frame number (1-based): the column
    ``frame``, or without one the number of the row. An empty cell is NaN. Columns that are ``needed`` must be
    there.
    """
    header, body = split_header(path, read_text(path))
    missing = [name for name in needed if name not in header]
    if missing:
        raise UserError(path, f"has no column {missing[0]}", "draw the corpus with this version of affkit")
    if len(set(header)) != len(header):
        raise UserError(path, "names a column twice", "draw the corpus with this version of affkit")
    table = parse_cells(path, body, header, first_line=2, allow_empty=True)
    if "frame" not in table:
        return table.set_index(table.index + 1)
    if table["frame"].duplicated().any():
        raise UserError(path, "has a frame twice", "keep one line for each frame")
    return table.set_index(table["frame"].astype(int))


def read_ground_truths(root: str | Path, needed: Iterable[str] = ()) -> dict[str, pd.DataFrame]:
    """All tables of :func:`read_ground_truth` of the corpus in ``root``, by name, in order."""
    folder, needed = Path(root, TRUTH_FOLDER), tuple(needed)
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise UserError(folder, "holds no truth tables", "give the folder of a drawn corpus")
    return {path.stem: read_ground_truth(path, needed) for path in files}

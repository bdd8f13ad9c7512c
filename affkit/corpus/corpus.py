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
from affkit.labelfiles.names import nfc
from affkit.labels import KINDS, Labels

SUBJECTS_FILE = "subjects.csv"
TRUTH_FOLDER = "truth"
# the parts of a corpus: the names with a label of one kind in at least one frame
PARTS = {"au": "action units", "expr": "expressions", "va": "valence and arousal"}


@dataclass(frozen=True)
class Corpus:
    """Videos with annotations; a name such as ``clip`` or ``clip_left`` is one person in one video."""

    root: Path
    labels: dict[str, Labels]  # by name, sorted, as subjects
    subjects: dict[str, str]  # who must not be in two sets at once; each name its own where nothing is known
    attributes: pd.DataFrame  # the rows of subjects.csv by name, all text; none without such a file

    @classmethod
    def open(cls, root: str | Path, split: str | None = None, progress: bool = False) -> "Corpus":
        """Read the labels below ``root``, see :func:`~affkit.labelfiles.layouts.read_annotations`, and its
        ``subjects.csv``, if any: ``video``, ``subject``, ``person`` (``left`` or ``right``) where a video
        has two, and more.
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
        return list(self.labels)

    def video_path(self, name: str) -> Path:
        """The video file of ``name``, in ``root`` or in a folder of it such as ``videos`` or ``batch1``."""
        folders = [path for path in sorted(self.root.iterdir()) if path.is_dir()]
        folders = [path for path in folders if path.name.lower().startswith(("video", "batch"))]
        for folder in (*folders, self.root):
            if path := find_video(folder, name):
                return path
        raise UserError(self.root, f"no video of {name} in it", "copy the videos into its folder 'videos'")


def part_names(corpus: Corpus, part: str) -> list[str]:
    """The names of ``corpus`` in one of :data:`PARTS`."""
    return [name for name, labels in corpus.labels.items() if labelled_frames(labels, part).any()]


def labelled_frames(labels: Labels, part: str) -> np.ndarray:
    """``(T,)`` bool: the frames with a label of one of :data:`PARTS`; one action unit is enough."""
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
    """Each ``video`` without the suffix of its file, with the side where ``person`` gives one."""
    suffixes = "|".join(suffix[1:] for suffix in VIDEO_SUFFIXES)
    names = rows["video"].str.replace(rf"\.({suffixes})$", "", case=False, regex=True)
    return names.where(rows["person"] == "", names + "_" + rows["person"]) if "person" in rows else names


def read_ground_truth(path: str | Path, needed: Iterable[str] = ()) -> pd.DataFrame:
    """What is true of one face of a drawn corpus, ``truth/<name>.csv``: where it is, how well it is seen,
    valence and arousal as played, how strongly each action unit moved. Float64 columns (an empty cell is
    NaN) by frame number from 1: the column ``frame``, or else the row's. Columns ``needed`` must be there.
    """
    header, body = split_header(path, read_text(path))
    problem = "names a column twice" if len(set(header)) != len(header) else ""
    problem = next((f"has no column {name}" for name in needed if name not in header), problem)
    if problem:
        raise UserError(path, problem, "draw the corpus with this version of affkit")
    table = parse_cells(path, body, header, first_line=2, allow_empty=True)
    if "frame" not in table:
        return table.set_index(table.index + 1)
    if table["frame"].duplicated().any():
        raise UserError(path, "has a frame twice", "keep one line for each frame")
    return table.set_index(table["frame"].astype(int))


def read_ground_truths(root: str | Path, needed: Iterable[str] = ()) -> dict[str, pd.DataFrame]:
    """All tables of :func:`read_ground_truth` of the corpus in ``root``, by name, in order."""
    folder, needed = Path(root, TRUTH_FOLDER), tuple(needed)
    if not (files := sorted(folder.glob("*.csv"))):
        raise UserError(folder, "holds no truth tables", "give the folder of a drawn corpus")
    return {nfc(path.stem): read_ground_truth(path, needed) for path in files}

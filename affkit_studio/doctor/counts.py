"""How many frames can be used for which task."""

from dataclasses import asdict, dataclass

import numpy as np

from affkit_studio.doctor.case import Case
from affkit_studio.doctor.reading import Contents, Counted, usable_for_all

MARKS = {"va": "-5", "expr": "-1", "au": "-1"}
"""How the files mark a frame without a label."""


@dataclass(frozen=True)
class Row:
    """The frames of one task in one set.

    Attributes
    ----------
    source:
        The annotations they are from, as seen from the folder.
    task, subset:
        ``va``, ``expr``, ``au``, or ``mtl``: all three at once; and the set, ``all`` for all of them.
    files:
        Label files, or people in a file that lists frames.
    lines:
        Lines for frames; for ``mtl`` from separate files, the frames they all have a line for.
    labelled:
        Those with a label; the others are marked by -5 or -1.
    with_video, with_crop:
        Those of them that a video, or a crop, is there for; ``None`` where there is none of these at all.
    usable:
        Those that either is there for; where there are only labels, all that are labelled.
    extreme:
        Labelled frames with a valence or an arousal of exactly -1.
    """

    source: str
    task: str
    subset: str
    files: int
    lines: int
    labelled: int
    with_video: int | None
    with_crop: int | None
    usable: int
    extreme: int = 0

    @property
    def marked(self) -> int:
        return self.lines - self.labelled

    def as_dict(self) -> dict:
        return asdict(self) | {"marked": self.marked}


def frame_table(case: Case) -> list[Row]:
    """A row for each task and set, and one for all three tasks together where there are labels of all."""
    rows = []
    for annotations, contents in case.pairs:
        source = case.survey.shown(annotations.root)
        groups: dict[tuple[str, str], list[Counted]] = {}
        for one in contents.counted:
            groups.setdefault((one.task, one.subset), []).append(one)
        for key in sorted(groups, key=_order):
            rows.append(_row(case, source, contents, groups[key]))
        every = [Counted("mtl", "all", *one) for one in usable_for_all(contents.counted)]
        if every and not any(task == "mtl" for task, _ in groups):
            rows.append(_row(case, source, contents, every))
    return rows


def _order(key: tuple[str, str]) -> tuple[int, int]:
    tasks, sets = ("va", "expr", "au", "mtl"), ("train", "validation", "test", "all")
    return tasks.index(key[0]), sets.index(key[1])


def _row(case: Case, source: str, contents: Contents, counted: list[Counted]) -> Row:
    """One row: labels of the same task and set."""
    lines = sum(len(one) for one in counted)
    if counted[0].listed:
        lines = sum(contents.forms[path].num_lines for path in {one.path for one in counted})
    videos, crops = bool(case.survey.videos), bool(case.survey.crops)
    with_video = with_crop = usable = 0
    for one in counted:
        has_video, has_crop = one.labelled & _has_frame(case, one), one.labelled & _has_crop(case, one)
        with_video, with_crop = with_video + int(has_video.sum()), with_crop + int(has_crop.sum())
        usable += int((has_video | has_crop if videos or crops else one.labelled).sum())
    return Row(
        source=source,
        task=counted[0].task,
        subset=counted[0].subset,
        files=len(counted),
        lines=lines,
        labelled=sum(int(one.labelled.sum()) for one in counted),
        with_video=with_video if videos else None,
        with_crop=with_crop if crops else None,
        usable=usable,
        extreme=sum(one.extreme for one in counted),
    )


def _has_frame(case: Case, one: Counted) -> np.ndarray:
    """``(T,)`` bool: whether the video has a frame for the line."""
    film = case.film(one.name)
    return np.arange(len(one)) < (film.num_frames if film else 0)


def _has_crop(case: Case, one: Counted) -> np.ndarray:
    """``(T,)`` bool: whether there is a crop with the number of the line."""
    crops = case.crops_by_name.get(one.name)
    return np.isin(np.arange(1, len(one) + 1), crops.numbers if crops else [])

"""The label files of a folder, read one by one and kept as counts and masks: one byte a frame."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from affkit.corpus.corpus import PARTS, labelled_frames
from affkit.errors import UserError
from affkit.labelfiles.layouts import label_files, read_label_file
from affkit.labelfiles.tables import read_listing
from affkit.labels import Labels
from affkit_studio.doctor.annotations import Annotations, first_line


@dataclass(frozen=True)
class Form:
    """How a text file is written, by its bytes.

    Attributes
    ----------
    encoding:
        ``"UTF-8"``, ``"UTF-16"`` or ``"not UTF-8"``.
    has_mark:
        Whether the text is UTF-8 behind a byte order mark.
    line_ends:
        ``"LF"``, ``"CRLF"`` or ``"CR"``.
    has_header:
        Whether the first line is something else than numbers.
    num_lines:
        Lines below the header; blank ones at the end do not count.
    """

    encoding: str
    has_mark: bool
    line_ends: str
    has_header: bool
    num_lines: int

    @classmethod
    def of(cls, path: Path) -> "Form":
        data = path.read_bytes()
        is_utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        encoding = "UTF-16" if is_utf16 else "UTF-8" if _is_utf8(data) else "not UTF-8"
        line_ends = "CRLF" if b"\r\n" in data else "CR" if b"\r" in data else "LF"
        body = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip()
        has_header = not _is_numbers(first_line(path))
        num_lines = body.count(b"\n") + (not has_header and body != b"")
        return cls(encoding, data.startswith(b"\xef\xbb\xbf"), line_ends, has_header, num_lines)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _is_numbers(line: str) -> bool:
    """Whether a line is of a frame: numbers, perhaps behind the name of a picture, such as clip/00001.jpg."""
    cells = line.split(",")
    try:
        return bool([float(cell) for cell in cells[1 if "/" in cells[0] else 0 :]])
    except ValueError:
        return False


@dataclass(frozen=True, eq=False)
class Counted:
    """What a file says about one person and one task.

    Attributes
    ----------
    task, subset, name:
        Which task and set, and the name of the person in the video, such as ``clip_left``.
    path:
        The file.
    labelled:
        ``(T,)`` bool: the frames with a label; for action units, with one at least.
    extreme:
        How many of them have a valence or an arousal of exactly -1.
    listed:
        Whether the file lists the frames it knows, so that not every frame has a line.
    """

    task: str
    subset: str
    name: str
    path: Path
    labelled: np.ndarray
    extreme: int = 0
    listed: bool = False

    def __len__(self) -> int:
        return len(self.labelled)


@dataclass(frozen=True)
class Fault:
    """A label file that cannot be read, and why; its video, or "", and the form if it is known."""

    task: str
    subset: str
    name: str
    error: UserError
    form: Form | None


@dataclass
class Contents:
    """All that is in the sources of some annotations.

    Attributes
    ----------
    counted:
        A :class:`Counted` for each task of each person.
    faults, empty_sets:
        The files that cannot be read; the sources without any file.
    forms:
        Each file to its :class:`Form`.
    columns:
        Task to the different lists of columns in its files.
    shorter:
        Aff-Wild only: what was said about files of valence and arousal of different lengths.
    """

    counted: list[Counted]
    faults: list[Fault]
    empty_sets: list[Path]
    forms: dict[Path, Form]
    columns: dict[str, list[tuple[str, ...]]]
    shorter: list[str]

    def names(self, task: str, subset: str) -> list[str]:
        """All names in one set of one task, also of files that cannot be read."""
        of = [one.name for one in (*self.counted, *self.faults) if (one.task, one.subset) == (task, subset)]
        return sorted({name for name in of if name})


def read_contents(annotations: Annotations, progress: bool = False) -> Contents:
    """Read all files; what cannot be read becomes a fault, and the next file is read."""
    contents = Contents([], [], [], {}, {}, [])
    alone = all(task == "mtl" for task, _ in annotations.sources)
    work = [(key, path) for key, source in annotations.sources.items() for path in _files(source, contents)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for (task, subset), path in tqdm(
            work, desc="labels", unit="file", delay=2, disable=not progress, leave=False
        ):
            listed = task == "mtl"
            name = "" if listed else path.stem
            try:
                contents.forms |= {part: Form.of(part) for part in (path, _arousal(path)) if part.is_file()}
                if listed:
                    for name, labels in read_listing(path).items():
                        _count_listed(contents, subset, name, path, labels, alone)
                else:
                    _count(contents, task, subset, name, path, read_label_file(task, path))
            except (UserError, OSError) as error:
                error = _as_user_error(path, error)
                form = contents.forms.get(Path(error.path))
                contents.faults.append(Fault(task, subset, name, error, form))
    contents.shorter += [str(warning.message) for warning in caught]
    return contents


def _files(source: Path, contents: Contents) -> Sequence[Path]:
    if source.is_file():
        return [source]
    try:
        return label_files(source)
    except UserError:
        contents.empty_sets.append(source)
        return []


def _arousal(path: Path) -> Path:
    """The second file of Aff-Wild; otherwise the same one."""
    return path.parent.parent / "arousal" / path.name if path.parent.name == "valence" else path


def _as_user_error(path: Path, error: UserError | OSError) -> UserError:
    if isinstance(error, UserError):
        return error
    return UserError(path, f"cannot be read ({error.strerror})", "change its permissions, or copy it again")


def _count(contents: Contents, task: str, subset: str, name: str, path: Path, labels: Labels) -> None:
    """Note what ``labels`` say about one task."""
    columns = {"au": labels.action_unit_names, "expr": labels.expression_names}.get(task)
    if columns and columns not in contents.columns.setdefault(task, []):
        contents.columns[task].append(columns)
    contents.counted.append(_counted(task, subset, name, path, labels))


def _counted(task: str, subset: str, name: str, path: Path, labels: Labels, listed: bool = False) -> Counted:
    mask = labelled_frames(labels, task)
    lowest = (labels.valence == -1) | (labels.arousal == -1)
    extreme = int((mask & lowest).sum()) if task == "va" else 0
    return Counted(task, subset, name, path, mask, extreme, listed)


def _count_listed(
    contents: Contents, subset: str, name: str, path: Path, labels: Labels, alone: bool
) -> None:
    """Note what a list of frames says about all tasks at once, and about each where no other file does."""
    own = [_counted(task, subset, name, path, labels, listed=True) for task in PARTS]
    every = np.logical_and.reduce([one.labelled for one in own])
    contents.counted += own if alone else []
    contents.counted.append(Counted("mtl", subset, name, path, every, listed=True))


def usable_for_all(counted: Sequence[Counted]) -> Iterator[tuple[str, Path, np.ndarray]]:
    """Name, one file and ``(T,)`` bool: the frames with labels of all tasks, whatever sets these are in."""
    by_name: dict[str, dict[str, Counted]] = {}
    for one in counted:
        if one.task in PARTS:
            by_name.setdefault(one.name, {}).setdefault(one.task, one)
    for name, tasks in by_name.items():
        if len(tasks) == len(PARTS):
            length = min(map(len, tasks.values()))
            every = np.logical_and.reduce([one.labelled[:length] for one in tasks.values()])
            yield name, next(iter(tasks.values())).path, every

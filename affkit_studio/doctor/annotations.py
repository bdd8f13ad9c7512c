"""Where the annotations in a folder are, which year's challenge they are from, and what their files hold.

Annotations lie in a layout of some year, in one table, or as files of one task. Files are read one by one and
kept as counts and masks: one byte a frame.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from affkit.corpus.corpus import PARTS, labelled_frames
from affkit.errors import UserError
from affkit.labelfiles import formats
from affkit.labelfiles.layouts import (
    Layout,
    arousal_file,
    label_files,
    layouts_below,
    read_label_file,
    set_of_folder,
    task_of_folder,
)
from affkit.labelfiles.names import nfc
from affkit.labelfiles.tables import AFFWILD_CSV_COLUMNS, MTL_COLUMNS, read_listing
from affkit.labels import EXPRESSIONS, VA, Labels
from affkit_studio.doctor.listing import STORE_FILE, Listing

TEST_LIST = "_test_set_release.txt"
"""How the name of a list of test videos ends; in some years they come outside of the layout."""

CHALLENGES = {1: "2020", 2: "2021", 3: "2022", 4: "2022", 5: "2023", 6: "2024", 7: "2024", 8: "2025"}
"""The ABAW challenges on Aff-Wild2 and their years; the 4th and 7th were held with ECCV, multi-task only."""

_LOOKED_AT = 20  # text files of one folder whose first line is read, where no layout says what they are

# What the folders of each are called, as public loaders of them have it; where no other is named, these are
# the notebooks in src/ABAW of av-savchenko/face-emotion-recognition.
_SETS = {1, 2}  # VA_Set, AU_Set, EXPR_Set: wtomin/MIMAMO-Net, kuhnkeF/ABAW2020TNT; ryanhe312/ABAW2-FPNMAA
_CLASSIFICATION = {3, 5}  # EXPR_Classification_Challenge: abaw3_train, abaw5_expr_va_au_train
_RECOGNITION = {6, 8}  # EXPR_Recognition_Challenge: ABAW6/abaw6_affwild2
_MTL_FILES = {"train_set": {3}, "training_set_annotations": {4, 7}}  # abaw3_train; abaw4_mtl_train, ABAW7/mtl

_WORDS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
_ORDINAL = re.compile(
    rf"\b(\d+)(?:st|nd|rd|th)[\W_]*ABAW|\bABAW[\W_]*(\d+)|\b({'|'.join(_WORDS)})[\W_]*ABAW", re.I
)


@dataclass(frozen=True)
class TextForm:
    """How a text file is written, by its bytes; ``num_lines`` are those below the header."""

    encoding: str
    """``"UTF-8"``, ``"UTF-16"`` or ``"not UTF-8"``."""
    has_mark: bool
    """Whether the text is UTF-8 behind a byte order mark."""
    line_ends: str
    """``"LF"``, ``"CRLF"`` or ``"CR"``."""
    has_header: bool
    """Whether the first line is something else than numbers."""
    num_lines: int

    @classmethod
    def of(cls, path: Path) -> "TextForm":
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
class LabelCount:
    """What a file says about one person and one task; the name is that in the file, such as ``clip_left``."""

    task: str
    subset: str
    name: str
    path: Path
    labelled: np.ndarray
    """``(T,)`` bool: the frames with a label; for action units, with one at least."""
    extreme: int = 0
    """How many of them have a valence or an arousal of exactly -1."""
    listed: bool = False
    """Whether the file lists the frames it knows, so that not every frame has a line."""

    def __len__(self) -> int:
        return len(self.labelled)

    @classmethod
    def of(cls, task: str, subset: str, name: str, path: Path, labels: Labels, listed=False) -> "LabelCount":
        mask = labelled_frames(labels, task)
        lowest = (labels.valence == -1) | (labels.arousal == -1)
        extreme = int((mask & lowest).sum()) if task == "va" else 0
        return cls(task, subset, name, path, mask, extreme, listed)


@dataclass(frozen=True)
class UnreadableFile:
    """A label file that cannot be read, and why; its video, or "", and the form if it is known."""

    task: str
    subset: str
    name: str
    error: UserError
    form: TextForm | None


@dataclass
class Annotations:
    """Labels that belong together, and what was read of them."""

    root: Path
    """The folder of the layout, or of the files of one task; for a table the file."""
    home: Path
    """The folder that affkit is given to read them with what lies beside them, such as ``subjects.csv``."""
    sources: Mapping[tuple[str, str], Path]
    """``(task, set)`` to the folder with a file for each video, or to the one file; outside of a layout the
    set is ``"all"``. The task of a file that lists the frames of many videos is ``"mtl"``."""
    layout: Layout | None = None
    """As :func:`~affkit.labelfiles.layouts.find_layout` has it; ``None`` outside of a layout."""
    counted: list[LabelCount] = field(default_factory=list)
    """One for each task of each person."""
    unreadable: list[UnreadableFile] = field(default_factory=list)
    empty_sets: list[Path] = field(default_factory=list)
    """The sources without any file."""
    forms: dict[Path, TextForm] = field(default_factory=dict)
    columns: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    """Task to the different lists of columns in its files."""
    shorter: list[str] = field(default_factory=list)
    """Aff-Wild only: what was said about files of valence and arousal of different lengths."""

    @property
    def is_affwild(self) -> bool:
        """Whether these are the files of 2017, one of valence and one of arousal for each video."""
        return any((path / "valence").is_dir() for path in self.sources.values())

    def names(self, task: str, subset: str) -> list[str]:
        """All names in one set of one task, also of files that cannot be read."""
        every = (*self.counted, *self.unreadable)
        return sorted({one.name for one in every if (one.task, one.subset) == (task, subset) and one.name})

    def read(self, progress: bool = False) -> None:
        """Read all files; what cannot be read is noted, and the next file is read."""
        work = [(key, path) for key, source in self.sources.items() for path in self._files(source)]
        bar = tqdm(work, desc="labels", unit="file", delay=2, disable=not progress, leave=False)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for (task, subset), path in bar:
                name = "" if task == "mtl" else nfc(path.stem)
                try:
                    self.forms |= {one: TextForm.of(one) for one in (path, _arousal(path)) if one.is_file()}
                    self._count(task, subset, path)
                except (UserError, OSError) as error:
                    error = as_user_error(path, error)
                    form = self.forms.get(Path(error.path))
                    self.unreadable.append(UnreadableFile(task, subset, name, error, form))
        self.shorter += [str(warning.message) for warning in caught]

    def _files(self, source: Path) -> Sequence[Path]:
        if source.is_file():
            return [source]
        try:
            return label_files(source)
        except UserError:
            self.empty_sets.append(source)
            return []

    def _count(self, task: str, subset: str, path: Path) -> None:
        if task != "mtl":
            labels = read_label_file(task, path)
            columns = {"au": labels.action_unit_names, "expr": labels.expression_names}.get(task)
            if columns and columns not in self.columns.setdefault(task, []):
                self.columns[task].append(columns)
            self.counted.append(LabelCount.of(task, subset, nfc(path.stem), path, labels))
            return
        alone = all(task == "mtl" for task, _ in self.sources)  # else other files say the same of each task
        for name, labels in read_listing(path).items():
            own = [LabelCount.of(task, subset, name, path, labels, listed=True) for task in PARTS]
            every = np.logical_and.reduce([one.labelled for one in own])
            self.counted += own if alone else []
            self.counted.append(LabelCount("mtl", subset, name, path, every, listed=True))

    def for_all_tasks(self) -> Iterator[LabelCount]:
        """The frames of each name with labels of all tasks, whatever sets these are in."""
        by_name: dict[str, dict[str, LabelCount]] = {}
        for one in self.counted:
            if one.task in PARTS:
                by_name.setdefault(one.name, {}).setdefault(one.task, one)
        for name, tasks in by_name.items():
            if len(tasks) == len(PARTS):
                length = min(map(len, tasks.values()))
                every = np.logical_and.reduce([one.labelled[:length] for one in tasks.values()])
                yield LabelCount("mtl", "all", name, next(iter(tasks.values())).path, every)


def as_user_error(path: Path, error: UserError | OSError) -> UserError:
    """The error itself, or why the operating system did not open ``path``."""
    if isinstance(error, UserError):
        return error
    return UserError(path, f"cannot be opened ({error.strerror})", "change its permissions")


def _arousal(path: Path) -> Path:
    """The second file of Aff-Wild; otherwise the same one."""
    return arousal_file(path) if path.parent.name == "valence" else path


@dataclass
class FoundAnnotations:
    """All annotations in a folder."""

    used: list[Annotations] = field(default_factory=list)
    """What affkit reads when it is given the folder, or a folder in it."""
    coders: list[Path] = field(default_factory=list)
    """Folders of layouts and tables beside these, such as those of single annotators."""
    corpora: list[Path] = field(default_factory=list)
    """Folders with annotations of their own, if there are several; then ``used`` is empty, since videos of
    one may be called like those of another."""
    unknown: list[Path] = field(default_factory=list)
    """Folders of label files below one called after a challenge, in no layout that affkit knows."""
    misnamed: list[Path] = field(default_factory=list)
    """Folders of label files that are not read because they, or the folders they are in, are called in a way
    that no layout knows."""
    strays: list[Path] = field(default_factory=list)
    """Label files that are in no set, where there is a layout."""
    faults: list[UserError] = field(default_factory=list)
    """What kept a folder from being read; then it is not known where its layout is."""
    closed: list[UserError] = field(default_factory=list)
    """Text files that may not be opened."""


def find_annotations(listing: Listing) -> FoundAnnotations:
    """Look for layouts from the top down, by the rule of affkit's commands; without any, for label files."""
    found = FoundAnnotations()
    if listing.root.is_dir():
        _search(listing, listing.root, found)
    sets = {path for one in found.used for path in one.sources.values()}
    layout = bool(found.used)
    homes = sorted({one.home for one in found.used})
    if len(homes) > 1:
        return FoundAnnotations(corpora=homes, faults=found.faults)
    if found.faults:  # where the layout is cannot be said before they are repaired
        return found
    for folder in sorted(listing.texts):
        inside = next((one.root for one in found.used if folder.is_relative_to(one.root)), None)
        if folder in sets or any(folder.is_relative_to(root) for root in found.coders):
            continue
        kinds = _kinds(listing, folder, found)
        tables = kinds.get("table", [])
        above = [up for up in (folder, *folder.parents) if up.is_relative_to(listing.root)]
        is_unknown = inside is None and kinds.keys() - {"table"} and any(map(challenge_in_name, above))
        if kinds.keys() - {"table"} and folder != listing.root and _is_misnamed(folder):
            found.misnamed.append(folder)
            continue
        found.unknown += [folder] if is_unknown else []
        if not layout:
            found.used += _without_layout(listing, folder, kinds)
        elif not is_unknown and (inside is None or folder == inside or task_of_folder(folder.name)):
            found.coders += sorted(tables) if inside is None else []
            found.strays += [path for paths in kinds.values() if paths is not tables for path in paths]
    return found


def _search(listing: Listing, folder: Path, found: FoundAnnotations) -> None:
    """Add the layouts below ``folder`` that its name leads to; if there are none, those of its folders."""
    inner = listing.folders.get(folder, [])
    if not inner and folder not in listing.texts:
        return
    try:
        layouts = layouts_below(folder)
        every = list(_layout_roots(listing, folder)) if layouts else []
    except (UserError, OSError) as error:
        found.faults.append(as_user_error(folder, error))
        return
    if layouts:
        roots = {layout.root for layout in layouts}
        found.used += [Annotations(one.root, folder, dict(one.sets), one) for one in layouts]
        found.coders += [path for path in every if path not in roots]
    else:
        for child in inner:
            _search(listing, child, found)


def _layout_roots(listing: Listing, folder: Path) -> Iterator[Path]:
    """All folders in or below ``folder`` that hold a layout, whatever they are called."""
    if layouts_below(folder, depth=0):
        yield folder
        return
    for child in listing.folders.get(folder, []):
        if listing.folders.get(child) or child in listing.texts:
            yield from _layout_roots(listing, child)


def _kinds(listing: Listing, folder: Path, found: FoundAnnotations) -> dict[str, list[Path]]:
    """What the text files of a folder are, as far as their first lines tell."""
    kinds: dict[str, list[Path]] = {}
    if (folder / STORE_FILE).is_file():
        return kinds
    files = [path for path in listing.texts[folder] if not path.name.lower().endswith(TEST_LIST)]
    for path in files[:_LOOKED_AT]:
        try:
            kind = kind_of(first_line(path))
        except OSError as error:
            found.closed.append(as_user_error(path, error))
        else:
            if kind:
                kinds.setdefault(kind, []).append(path)
    rest = files[_LOOKED_AT:]
    if len(kinds) == 1 and rest:  # the others will be of the same kind; reading tells
        next(iter(kinds.values())).extend(path for path in rest if path.suffix.lower() == ".txt")
    return kinds


def _is_misnamed(folder: Path) -> bool:
    """Whether this would be the folder of a set, were it or the folder above called as in some year."""
    return bool(task_of_folder(folder.parent.name)) != bool(set_of_folder(folder.name))


def _without_layout(listing: Listing, folder: Path, kinds: Mapping[str, list[Path]]) -> Iterator[Annotations]:
    for kind, files in kinds.items():
        if kind == "table":
            yield from (Annotations(path, path, {("mtl", "all"): path}) for path in files)
        else:
            where = folder if listing.root.is_dir() else listing.root
            yield Annotations(where, where, {(kind, "all"): where})


def first_line(path: Path) -> str:
    """The first line of a text file, whatever its encoding."""
    with open(path, "rb") as file:
        line = file.readline(2000)
    encoding = "utf-16" if line.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    return next(iter(line.decode(encoding, errors="replace").splitlines()), "")


def kind_of(line: str) -> str | None:
    """What a text file is by its first line: ``"va"``, ``"expr"``, ``"au"``, ``"table"`` or none of them.

    >>> [kind_of(line) for line in ("valence,arousal", "AU1, AU2", "video,frame,valence,arousal", "hello")]
    ['va', 'au', 'table', None]
    """
    cells = [cell.strip() for cell in line.split(",")]
    if sorted(cells) == sorted(VA):
        return "va"
    if formats.names_action_units(cells):
        return "au"
    if set(EXPRESSIONS) <= set(cells) and cells[0] in EXPRESSIONS:
        return "expr"
    by_image = cells[0] in ("image", "image_location", AFFWILD_CSV_COLUMNS[0])
    without_header = len(cells) == len(MTL_COLUMNS) + len(formats.ABAW_ACTION_UNITS) and "/" in cells[0]
    return "table" if by_image or without_header or {"video", "frame"} <= set(cells) else None


def challenge_in_name(folder: Path) -> int | None:
    """The number of the challenge in the name of a folder, if there is one.

    >>> [challenge_in_name(Path(name)) for name in ("5th ABAW Annotations", "Third ABAW", "ABAW7")]
    [5, 3, 7]
    """
    match = _ORDINAL.search(folder.name)
    if match is None:
        return None
    return int(match[1] or match[2]) if match[1] or match[2] else 1 + _WORDS.index(match[3].lower())


def challenges_by_folders(layout: Layout) -> set[int]:
    """The challenges whose folders are called as in the layout; none if they are of several years."""
    fitting = set(CHALLENGES)
    for (task, _), path in layout.sets.items():
        folder = path.parent.name.lower()
        if task == "mtl":
            stem = path.stem.lower()
            if stem in _MTL_FILES and all(kind == "mtl" for kind, _ in layout.sets):
                fitting &= _MTL_FILES[stem]
        elif folder.endswith("_set"):
            fitting &= _SETS
        elif "classification" in folder:
            fitting &= _CLASSIFICATION
        elif "recognition" in folder:
            fitting &= _RECOGNITION
        else:
            fitting &= _CLASSIFICATION | _RECOGNITION
    return fitting


def name_of_year(annotations: Annotations, root: Path) -> str:
    """What annotations in a layout are, in words; folders below ``root`` may name the challenge."""
    if annotations.is_affwild:
        return "Aff-Wild (2017)"
    fitting, units = challenges_by_folders(annotations.layout), annotations.columns.get("au")
    if fitting == _SETS and units is not None:  # eight units in 2020 only; twelve in ryanhe312/ABAW2-FPNMAA
        fitting = {1} if len(units[0]) == 8 else {2}
    above = [annotations.root, *annotations.root.parents]
    above = [folder.resolve() for folder in above if folder.is_relative_to(root)]
    named = next((number for number in map(challenge_in_name, above) if number), None)
    if named is not None:
        year = f" ({CHALLENGES[named]})" if named in CHALLENGES else ""
        return f"Aff-Wild2, ABAW{named}{year}"
    if not fitting:
        return "Aff-Wild2, folders of several years"
    names = " or ".join(f"ABAW{number} ({CHALLENGES[number]})" for number in sorted(fitting))
    return f"annotations in the layout of Aff-Wild2, {names}"

"""Where the annotations in a folder are: in a layout of some year, in one table, or as files of one task."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from affkit.errors import UserError
from affkit.labelfiles import formats
from affkit.labelfiles.layouts import Layout, layouts_below, set_of_folder, task_of_folder
from affkit.labelfiles.tables import AFFWILD_CSV_COLUMNS, MTL_COLUMNS
from affkit.labels import EXPRESSIONS, VA
from affkit_studio.doctor.survey import STORE_FILE, Survey

TEST_LIST = "_test_set_release.txt"
"""How the name of a list of test videos ends; in some years they come outside of the layout."""

_LOOKED_AT = 20  # text files of one folder whose first line is read, where no layout says what they are


@dataclass(frozen=True)
class Annotations:
    """Labels that belong together.

    Attributes
    ----------
    root:
        The folder of the layout, or of the files of one task; for a table the file.
    home:
        The folder that affkit is given to read them with what lies beside them, such as ``subjects.csv``.
    sources:
        ``(task, set)`` to the folder with a file for each video, or to the one file; outside of a layout the
        set is ``"all"``. The task of a file that lists the frames of many videos is ``"mtl"``.
    layout:
        As :func:`~affkit.labelfiles.layouts.find_layout` has it; ``None`` outside of a layout.
    """

    root: Path
    home: Path
    sources: Mapping[tuple[str, str], Path]
    layout: Layout | None = None


@dataclass
class Found:
    """All annotations in a folder.

    Attributes
    ----------
    used:
        What affkit reads when it is given the folder, or a folder in it.
    coders:
        Folders of layouts and tables beside these, such as those of single annotators.
    corpora:
        Folders with annotations of their own, if there are several; then ``used`` is empty, since videos of
        one may be called like those of another.
    misnamed:
        Folders of label files that are not read because they, or the folders they are in, are called in a way
        that no layout knows.
    strays:
        Label files that are in no set, where there is a layout.
    faults:
        What kept a folder from being read; then it is not known where its layout is.
    closed:
        Text files that may not be opened.
    """

    used: list[Annotations] = field(default_factory=list)
    coders: list[Path] = field(default_factory=list)
    corpora: list[Path] = field(default_factory=list)
    misnamed: list[Path] = field(default_factory=list)
    strays: list[Path] = field(default_factory=list)
    faults: list[UserError] = field(default_factory=list)
    closed: list[UserError] = field(default_factory=list)


def find_annotations(survey: Survey) -> Found:
    """Look for layouts from the top down, by the rule of affkit's commands; without any, for label files."""
    found = Found()
    if survey.root.is_dir():
        _search(survey, survey.root, found)
    sets = {path for one in found.used for path in one.sources.values()}
    layout = bool(found.used)
    homes = sorted({one.home for one in found.used})
    if len(homes) > 1:
        return Found(corpora=homes, faults=found.faults)
    if found.faults:  # where the layout is cannot be said before they are mended
        return found
    for folder in sorted(survey.texts):
        inside = next((one.root for one in found.used if folder.is_relative_to(one.root)), None)
        if folder in sets or any(folder.is_relative_to(root) for root in found.coders):
            continue
        kinds = _kinds(survey, folder, found)
        if kinds.keys() - {"table"} and folder != survey.root and _is_misnamed(folder):
            found.misnamed.append(folder)
            continue
        tables = kinds.get("table", [])
        if not layout:
            found.used += _without_layout(survey, folder, kinds)
        elif inside is None or folder == inside or task_of_folder(folder.name):
            found.coders += sorted(tables) if inside is None else []
            found.strays += [path for paths in kinds.values() if paths is not tables for path in paths]
    return found


def _search(survey: Survey, folder: Path, found: Found) -> None:
    """Add the layouts below ``folder`` that its name leads to; if there are none, those of its folders."""
    inner = survey.folders.get(folder, [])
    if not inner and folder not in survey.texts:
        return
    try:
        layouts = list(layouts_below(folder))
        every = list(_layout_roots(survey, folder)) if layouts else []
    except (UserError, OSError) as error:
        found.faults.append(error if isinstance(error, UserError) else _cannot_be_opened(folder, error))
        return
    if layouts:
        roots = {layout.root for layout in layouts}
        found.used += [Annotations(one.root, folder, dict(one.sets), one) for one in layouts]
        found.coders += [path for path in every if path not in roots]
    else:
        for child in inner:
            _search(survey, child, found)


def _cannot_be_opened(path: Path, error: OSError) -> UserError:
    return UserError(path, f"cannot be opened ({error.strerror})", "change its permissions")


def _layout_roots(survey: Survey, folder: Path) -> Iterator[Path]:
    """All folders in or below ``folder`` that hold a layout, whatever they are called."""
    if any(layouts_below(folder, depth=0)):
        yield folder
        return
    for child in survey.folders.get(folder, []):
        if survey.folders.get(child) or child in survey.texts:
            yield from _layout_roots(survey, child)


def _kinds(survey: Survey, folder: Path, found: Found) -> dict[str, list[Path]]:
    """What the text files of a folder are, as far as their first lines tell."""
    kinds: dict[str, list[Path]] = {}
    if (folder / STORE_FILE).is_file():
        return kinds
    files = [path for path in survey.texts[folder] if not path.name.endswith(TEST_LIST)]
    for path in files[:_LOOKED_AT]:
        try:
            kind = kind_of(first_line(path))
        except OSError as error:
            found.closed.append(_cannot_be_opened(path, error))
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


def _without_layout(survey: Survey, folder: Path, kinds: Mapping[str, list[Path]]) -> Iterator[Annotations]:
    for kind, files in kinds.items():
        if kind == "table":
            for path in files:
                yield Annotations(path, path, {("mtl", "all"): path})
        else:
            where = folder if survey.root.is_dir() else survey.root
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
    if formats.action_unit_columns(cells):
        return "au"
    if set(EXPRESSIONS) <= set(cells) and cells[0] in EXPRESSIONS:
        return "expr"
    by_image = cells[0] in ("image", "image_location", AFFWILD_CSV_COLUMNS[0])
    without_header = len(cells) == len(MTL_COLUMNS) + len(formats.ABAW_ACTION_UNITS) and "/" in cells[0]
    return "table" if by_image or without_header or {"video", "frame"} <= set(cells) else None

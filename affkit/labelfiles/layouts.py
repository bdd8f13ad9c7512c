"""Folders of label files, ABAW 1 to 8: Aff-Wild2 renamed them from challenge to challenge."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from affkit.errors import UserError
from affkit.files import refuse_existing
from affkit.labelfiles import formats
from affkit.labelfiles.csv_text import read_text
from affkit.labelfiles.formats import checked_video_name, common_expression_names, merge
from affkit.labelfiles.names import files_below, is_left_over, nfc
from affkit.labelfiles.tables import read_listing, read_mtl
from affkit.labels import ACTION_UNITS, KINDS, Labels

VIDEO_SUFFIXES = tuple(".mp4 .avi .mov .webm .mkv .m4v .mpg .mpeg .wmv .ts .mts .3gp .flv .ogv".split())

_TASK_FOLDERS = {
    "va": re.compile(r"VA(_Set|_Estimation_Challenge)", re.IGNORECASE),
    "expr": re.compile(r"EXPR(_Set|_Classification_Challenge|_Recognition_Challenge)", re.IGNORECASE),
    "au": re.compile(r"AU(_Set|_Detection_Challenge)", re.IGNORECASE),
}
_SETS = {
    "train": re.compile(r"Train(ing)?_?Set", re.IGNORECASE),
    "validation": re.compile(r"Val(idation)?_?Set", re.IGNORECASE),
    "test": re.compile(r"Test_?Set", re.IGNORECASE),
}
_MTL_FILE = re.compile(r"(train|validation)(?:ing)?_set(?:_annotations)?\.txt", re.IGNORECASE)
_TEST_LIST = re.compile(r"(.*)_test_set_release\.txt", re.IGNORECASE)
TEXT_FILES = "[!.]*.[tT][xX][tT]"  # archives made on a Mac hold a ._name.txt for each name.txt
_WORTH_OPENING = re.compile(r"annot|label|abaw|challenge|aff-?wild", re.IGNORECASE)
_LOOKED_FOR = (
    "VA_Set, AU_Set, EXPR_Set (2020), VA_Estimation_Challenge, AU_Detection_Challenge, "
    "EXPR_Classification_Challenge, EXPR_Recognition_Challenge (later years), each with Train_Set, "
    "Training_Set or Validation_Set; MTL_Challenge/train_set.txt or training_set_annotations.txt; "
    "train/valence and train/arousal (Aff-Wild)"
)

_WRITTEN = {  # layout: the names of its folders
    "abaw1": {"va": "VA_Set", "expr": "EXPR_Set", "au": "AU_Set", "train": "Training_Set"},
    "abaw3": {
        "va": "VA_Estimation_Challenge",
        "expr": "EXPR_Classification_Challenge",
        "au": "AU_Detection_Challenge",
        "train": "Train_Set",
    },
}
_WRITTEN["abaw6"] = _WRITTEN["abaw3"] | {"expr": "EXPR_Recognition_Challenge"}
_READERS = {"va": formats.read_va, "expr": formats.read_expressions, "au": formats.read_action_units}
_WRITERS = {"va": formats.write_va, "expr": formats.write_expressions, "au": formats.write_action_units}


@dataclass(frozen=True)
class Layout:
    root: Path
    # (va, expr, au or mtl; train, validation or test) to a folder, or the MTL file
    sets: dict[tuple[str, str], Path]
    test_lists: dict[str, tuple[str, ...]]  # task, as its list is called, to videos without public labels

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(name for name in _SETS if any(found == name for _, found in self.sets))


def find_layout(root: str | Path) -> Layout:
    """Find the annotations in ``root``: the folder of a year, of one task, or one above it. On the way down
    only folders that are called like annotations are opened, never those of millions of images.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(root, "no such folder", "give the folder that holds the annotations")
    found = layouts_below(root)
    if len(found) > 1:
        names = ", ".join(str(layout.root.relative_to(root)) for layout in found)
        raise UserError(root, f"holds several sets of annotations: {names}", "give one of these folders")
    if found:
        return found[0]
    for folder in folders_in(root):
        if task_of_folder(folder.name):
            problem = f"has no Train_Set, Training_Set or Validation_Set, only: {_names(folder)}"
            raise UserError(folder, problem, "rename its folders to one of these")
    raise UserError(root, f"no annotations in it, only: {_names(root)}", f"looked for {_LOOKED_FOR}")


def read_annotations(
    root: str | Path, split: str | None = None, progress: bool = False, task: str | None = None
) -> dict[str, Labels]:
    """All labels by video name (with ``_left`` or ``_right``), from a folder for :func:`find_layout` or one
    file of :mod:`affkit.labelfiles.tables`; ``split`` is ``"train"``, ``"validation"``, ``"test"``, or all.

    What several files say about a video is merged; names are in the form of
    :func:`~affkit.labelfiles.names.nfc`. Sets differ between tasks in Aff-Wild2, so with ``split`` a video
    may come with some of its labels only. All results have the same action unit columns, the paper's eight if
    the files have none. With a ``task`` only its folder is read. The multi-task file, which repeats the
    others, is read only where those are not there.
    """
    if split is None and Path(root).is_file():
        return read_listing(root)
    layout = find_layout(root)
    if split is not None and split not in layout.splits:
        raise UserError(layout.root, f"has no set {split!r}", f"choose from {', '.join(layout.splits)}")
    wanted = {key: path for key, path in layout.sets.items() if split in (None, key[1])}
    sources = {key: path for key, path in wanted.items() if key[0] in ((task,) if task else _READERS)}
    sources = sources or {key: path for key, path in wanted.items() if key[0] == "mtl"}
    by_task: dict[str, dict[str, Labels]] = {}
    for (kind, _), path in sources.items():
        known = by_task.setdefault(kind, {})
        for name, labels in _read_set(kind, path, progress):
            if name in known:
                raise UserError(path, f"{name} is in another set or file too", "leave it in one of them")
            known[name] = labels
    try:
        return _merge_tasks(by_task) if by_task else {}
    except ValueError as error:  # classes of expressions that differ between files
        raise UserError(layout.root, str(error), "give the files the same header") from error


def read_tasks(
    root: str | Path, tasks: Sequence[str], split: str | None = None, progress: bool = False
) -> dict[str, dict[str, Labels]]:
    """The labels of each of ``tasks`` apart, by video. ``root`` is as for :func:`read_annotations`, or what
    one hands in to a challenge: a folder with a label file for each video, or one such file, named after its
    video, both without ``split``.
    """
    root = Path(root)
    if not root.exists():
        raise UserError(root, "no such file or folder", "check the spelling")
    if root.is_dir() and (not _holds_labels(root) or any(layouts_below(root))):
        return {task: read_annotations(root, split, progress, task) for task in tasks}
    if split is not None:
        raise UserError(root, "has no sets of a layout in it", "leave the set out")
    if root.is_file():
        first = read_text(root).partition("\n")[0]
        if "video" in first or "image" in first or "/" in first:  # each line names its video and frame
            return dict.fromkeys(tasks, read_listing(root))
    if len(tasks) > 1:
        fix = "give the folder of a layout, or one file that lists all frames"
        raise UserError(root, "holds label files of one task", fix)
    files = label_files(root) if root.is_dir() else [root]
    bar = tqdm(files, desc=root.name, unit="file", delay=2, disable=not progress)
    return {tasks[0]: {nfc(file.stem): _READERS[tasks[0]](file) for file in bar}}


def _merge_tasks(by_task: Mapping[str, Mapping[str, Labels]]) -> dict[str, Labels]:
    with_units = (labels for task in ("au", "mtl") for labels in by_task.get(task, {}).values())
    units = tuple(dict.fromkeys(name for labels in with_units for name in labels.action_unit_names))
    merged = {}
    for name in sorted(set().union(*by_task.values())):
        parts = [videos[name] for videos in by_task.values() if name in videos]
        merged[name] = merge(*parts, name=name).with_action_units(units or ACTION_UNITS)
    classes = common_expression_names(list(merged.values()))
    return {name: replace(labels, expression_names=classes) for name, labels in merged.items()}


def _read_set(task: str, path: Path, progress: bool) -> Iterator[tuple[str, Labels]]:
    if task == "mtl":
        yield from read_mtl(path).items()
        return
    name = f"{path.parent.name}/{path.name}"
    for file in tqdm(label_files(path), desc=name, unit="file", delay=2, disable=not progress):
        yield nfc(file.stem), read_label_file(task, file)


def read_label_file(task: str, path: Path) -> Labels:
    """The labels in one of :func:`label_files` of a task, ``"va"``, ``"expr"`` or ``"au"``."""
    if path.parent.name == "valence":
        return formats.read_affwild(path, arousal_file(path))
    return _READERS[task](path)


def arousal_file(path: Path) -> Path:
    """Aff-Wild's second file, of arousal, for one of valence: of the same name, in whatever form."""
    exact = path.parent.parent / "arousal" / path.name
    files = () if exact.exists() else exact.parent.glob(TEXT_FILES)
    return next((file for file in files if nfc(file.name) == nfc(exact.name)), exact)


def write_annotations(
    root: str | Path,
    labels: Mapping[str, Labels],
    layout: str = "abaw6",
    splits: Mapping[str, str] | None = None,
    force: bool = False,
) -> None:
    """Write labels in a layout of Aff-Wild2: ``"abaw1"`` (2020), ``"abaw3"`` (2022, 2023) or ``"abaw6"``
    (2024), which differ in the names of folders only.

    A video gets a file for each task with any label; one without any gets a VA file of -5, so that it is not
    lost. ``splits`` is video name to set, by default ``"train"``. Without ``force`` nothing is written where
    a file exists.
    """
    folders = _WRITTEN[layout]
    sets = {"train": folders["train"], "validation": "Validation_Set", "test": "Test_Set"}
    outputs = []
    for name, one in labels.items():
        checked_video_name(root, name)
        tasks = [task for task, (mask, _) in KINDS.items() if getattr(one, mask).any()] or ["va"]
        subset = sets[(splits or {}).get(name, "train")]
        outputs += [(task, Path(root, folders[task], subset, f"{name}.txt"), one) for task in tasks]
    for _, path, _ in outputs:
        refuse_existing(path, force)
    for task, path, one in outputs:
        _WRITERS[task](path, one)


def video_of(name: str) -> tuple[str, str]:
    """The name of the video file, without suffix, and the side of the person: ``"left"``, ``"right"`` or
    ``""``.

    >>> video_of("clip_left"), video_of("left_clip"), video_of("clip_leftover")
    (('clip', 'left'), ('left_clip', ''), ('clip_leftover', ''))
    """
    match = re.fullmatch("(.+)_(left|right)", name, re.DOTALL)
    return match.groups() if match else (name, "")


def find_video(folder: str | Path, name: str) -> Path | None:
    """The video file for the labels ``name``: first one of exactly that name (``turn_left.mp4``), then
    without its side. Two that differ in their suffix only are refused.
    """
    name = nfc(checked_video_name(folder, name))
    for stem in dict.fromkeys((name, video_of(name)[0])):
        candidates = (path for path in Path(folder).iterdir() if nfc(path.stem) == stem)
        found = sorted(path for path in candidates if path.suffix.lower() in VIDEO_SUFFIXES)
        if len(found) > 1:
            raise UserError(folder, f"holds both {found[0].name} and {found[1].name}", "keep one of them")
        if found:
            return found[0]
    return None


def layouts_below(folder: Path, depth: int = 3) -> list[Layout]:
    """The layouts in a folder, or else in those below it that are called like annotations, each once."""
    layout = _layout_in(folder)
    if layout.sets or not depth:
        return [layout] if layout.sets else []
    worth = [child for child in folders_in(folder) if _WORTH_OPENING.search(child.name)]
    found = [layout for child in worth for layout in layouts_below(child, depth - 1)]
    places = [os.path.realpath(layout.root) for layout in found]  # links may lead to one place
    return [layout for i, layout in enumerate(found) if places[i] not in places[:i]]


def _layout_in(folder: Path) -> Layout:
    sets = {}
    texts = list(folder.glob(TEXT_FILES))
    for child in (folder, *folders_in(folder)):
        if task := task_of_folder(child.name):
            for path in folders_in(child):
                name = set_of_folder(path.name)
                # labels of the test sets are not handed out: the folder may hold just the list of videos
                if name and (name != "test" or _holds_labels(path)):
                    sets[task, name] = path
            texts += files_below(child)
        if child == folder or child.name.lower().startswith("mtl"):
            files = ((_MTL_FILE.fullmatch(path.name), path) for path in sorted(child.glob(TEXT_FILES)))
            sets |= {("mtl", match[1].lower()): path for match, path in files if match}
        name = child.name.lower()
        if name in _SETS and (child / "valence").is_dir() and (child / "arousal").is_dir():
            sets["va", name] = child
    lists = ((_TEST_LIST.fullmatch(path.name), path) for path in sorted(texts))
    return Layout(folder, sets, {match[1]: read_video_list(path) for match, path in lists if match})


def task_of_folder(name: str) -> str | None:
    """``task_of_folder("VA_Set")`` is ``"va"``, whatever the year."""
    return next((task for task, pattern in _TASK_FOLDERS.items() if pattern.fullmatch(name)), None)


def set_of_folder(name: str) -> str | None:
    """``set_of_folder("Training_Set")`` is ``"train"``."""
    return next((subset for subset, pattern in _SETS.items() if pattern.fullmatch(name)), None)


def read_video_list(path: str | Path) -> tuple[str, ...]:
    return tuple(line.strip() for line in read_text(path).split("\n") if line.strip())


def _holds_labels(folder: Path) -> bool:
    return not all(_TEST_LIST.fullmatch(path.name) for path in folder.glob(TEXT_FILES))


def label_files(folder: Path) -> list[Path]:
    """The files of a set, one a video, for Aff-Wild those of valence; :class:`UserError` if none is."""
    folder = folder / "valence" if (folder / "valence").is_dir() else folder
    files = sorted(folder.glob(TEXT_FILES))
    if not files:
        raise UserError(folder, "holds no label files", "unpack the .txt files of the videos into it")
    return files


def folders_in(folder: Path) -> list[Path]:
    """The folders in it; not those left over, nor links to it or to a folder above."""
    here = folder.resolve()
    own = (path for path in folder.iterdir() if path.is_dir() and not is_left_over(path.name))
    return sorted(path for path in own if not (path.is_symlink() and here.is_relative_to(path.resolve())))


def _names(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if not is_left_over(path.name))
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"

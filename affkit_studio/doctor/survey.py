"""What lies in a folder, by the names of files alone: no file is opened, a million pictures take seconds."""

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from affkit.labelfiles.layouts import VIDEO_SUFFIXES
from affkit.labels import MOST_FRAMES
from affkit.video.convert import JOURNAL

STORE_FILE = "store.json"  # affkit.store.INFO: to import it would bring torch
_PICTURES = {"jpg", "jpeg", "png", "bmp"}
_ARCHIVES = {".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"}
_TABLES = {".txt", ".csv"}
_POOL_SHEET = re.compile(r"faces_.*\.webp")  # affkit.faces.pool


@dataclass(frozen=True, eq=False)
class Crops:
    """The pictures of one folder whose names are frame numbers, such as ``cropped_aligned/clip/00001.jpg``.

    Attributes
    ----------
    path:
        The folder; its name is that of the person, ``clip`` or ``clip_left``.
    numbers:
        ``(N,)`` int64: the different frame numbers, rising.
    repeated:
        How many more pictures have a number that another one has, such as ``1.jpg`` beside ``00001.jpg``.
    padded:
        A name with spaces before the number, or ``""``.
    other_width:
        A name whose number has not five digits, or ``""``.
    """

    path: Path
    numbers: np.ndarray
    repeated: int = 0
    padded: str = ""
    other_width: str = ""

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def first(self) -> int:
        return int(self.numbers[0])

    @property
    def last(self) -> int:
        return int(self.numbers[-1])


@dataclass
class Survey:
    """Everything below a folder, sorted into what affkit may have a use for.

    Attributes
    ----------
    root:
        The folder; or one file, and then it is all there is.
    folders:
        Each folder that was looked into to the folders in it.
    texts:
        Folder to its ``.txt`` and ``.csv`` files, if it has any.
    crops:
        Folder to the pictures that are named by frame numbers.
    pictures:
        Folder to how many other pictures it has, and the name of one.
    pools:
        Folder to how many sheets of faces without labels it has.
    videos, archives, empty, broken, closed, loops, unfinished:
        Video files; packed files; folders with nothing in them; links that lead nowhere; folders that may
        not be opened; links that lead back to a folder above; what an interrupted affkit left.
    others:
        Suffix to the number of all other files.
    """

    root: Path
    folders: dict[Path, list[Path]] = field(default_factory=dict)
    texts: dict[Path, list[Path]] = field(default_factory=dict)
    crops: dict[Path, Crops] = field(default_factory=dict)
    pictures: dict[Path, tuple[int, str]] = field(default_factory=dict)
    pools: Counter = field(default_factory=Counter)
    videos: list[Path] = field(default_factory=list)
    archives: list[Path] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    broken: list[Path] = field(default_factory=list)
    closed: list[Path] = field(default_factory=list)
    loops: list[Path] = field(default_factory=list)
    unfinished: list[Path] = field(default_factory=list)
    others: Counter = field(default_factory=Counter)

    @property
    def stores(self) -> list[Path]:
        """The folders that ``affkit faces`` made."""
        return sorted(folder for folder in self.folders if (folder / STORE_FILE).is_file())

    def shown(self, path: Path) -> str:
        """``path`` as seen from the folder: short, and the same on every machine."""
        inside = path != self.root and path.is_relative_to(self.root)
        return path.relative_to(self.root).as_posix() if inside else path.name or str(path)


def survey(root: str | Path, progress: bool = False) -> Survey:
    """Go through all that is below ``root``, each folder once; links to folders are followed.

    What begins with a dot is passed over, and so is ``__MACOSX``: archives made on a Mac leave both.

    Raises
    ------
    OSError
        If ``root`` itself cannot be opened.
    """
    found = Survey(Path(root))
    if not found.root.is_dir():
        found.root.stat()  # something has to be there
        _sort_file(found, found.root.parent, found.root.name)
        return found
    os.scandir(found.root).close()
    todo, links, seen = [found.root], [], set()
    how = {"unit": "name", "unit_scale": True, "delay": 2, "leave": False, "disable": not progress}
    with tqdm(desc="names", **how) as bar:
        while todo or links:
            folder = todo.pop() if todo else links.pop(0)  # links last: what has two paths gets its own
            place = folder.stat()
            if (place.st_dev, place.st_ino) not in seen:
                seen.add((place.st_dev, place.st_ino))
                own, linked = _look_into(found, folder, bar)
                todo, links = todo + own, links + linked
    for paths in (found.videos, found.archives, found.empty, found.broken, found.closed, found.loops):
        paths.sort()
    return found


def _look_into(found: Survey, folder: Path, bar: tqdm) -> tuple[list[Path], list[Path]]:
    """Sort what one folder holds; returns the folders in it, and the links to folders elsewhere."""
    own, linked, numbered, count = [], [], [], 0
    try:
        entries = os.scandir(folder)
    except OSError:
        found.closed.append(folder)
        return [], []
    with entries:
        for entry in entries:
            count += 1
            name = entry.name
            stem, _, suffix = name.rpartition(".")
            if suffix.lower() in _PICTURES and stem.strip().isdecimal():
                numbered.append(name)
            elif name.startswith(".") or name == "__MACOSX":
                if name == JOURNAL or name.endswith(".part"):
                    found.unfinished.append(folder / name)
            elif entry.is_dir(follow_symlinks=False):
                own.append(folder / name)
            elif entry.is_symlink():
                linked += _follow(found, folder, name)
            elif entry.is_file(follow_symlinks=False):
                _sort_file(found, folder, name)
    bar.update(count)
    if not count:
        found.empty.append(folder)
    if numbered:
        _sort_numbered(found, folder, numbered)
    found.folders[folder] = sorted(own + linked)
    return sorted(own, reverse=True), sorted(linked)


def _follow(found: Survey, folder: Path, name: str) -> list[Path]:
    """Sort a link: the link itself if it leads to a folder that is not one above it."""
    link = folder / name
    real = os.path.realpath(link)
    if not os.path.exists(real) or os.path.islink(real):  # nothing there, or links in a circle
        found.broken.append(link)
    elif not os.path.isdir(real):
        _sort_file(found, folder, name)
    elif Path(os.path.realpath(folder)).is_relative_to(real):
        found.loops.append(link)
    else:
        return [link]
    return []


def _sort_file(found: Survey, folder: Path, name: str) -> None:
    path = folder / name
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        found.videos.append(path)
    elif suffix in _TABLES:
        found.texts.setdefault(folder, []).append(path)
    elif suffix in _ARCHIVES:
        found.archives.append(path)
    elif suffix[1:] in _PICTURES:
        number, example = found.pictures.get(folder, (0, name))
        found.pictures[folder] = number + 1, min(example, name)
    elif _POOL_SHEET.fullmatch(name):
        found.pools[folder] += 1
    else:
        found.others[suffix] += 1


def _sort_numbered(found: Survey, folder: Path, names: list[str]) -> None:
    """Pictures whose names are numbers are crops, unless the numbers are too large to count frames."""
    numbers = np.array([int(name.rpartition(".")[0]) for name in names], dtype=object)
    if numbers.max() > MOST_FRAMES:
        found.pictures[folder] = len(names), min(names)
        return
    frames = np.unique(numbers.astype(np.int64))
    padded = [name for name in names if name != name.lstrip()]
    width = [
        name for name in names if name.rpartition(".")[0].strip() != f"{int(name.rpartition('.')[0]):05d}"
    ]
    found.crops[folder] = Crops(
        folder, frames, len(names) - len(frames), min(padded, default=""), min(width, default="")
    )

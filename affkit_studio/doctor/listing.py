"""What lies in a folder, by the names of files alone: no file is opened, a million pictures take seconds."""

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from affkit.labelfiles.layouts import VIDEO_SUFFIXES
from affkit.labelfiles.names import is_left_over, nfc
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

    The name of the folder ``path`` is that of the person, ``clip`` or ``clip_left``. ``numbers`` are the
    different frame numbers, rising, ``(N,)`` int64; ``repeated`` is how many more pictures have a number that
    another one has, such as ``1.jpg`` beside ``00001.jpg``. ``padded`` is a name with spaces before the
    number, ``other_width`` one whose number does not have five digits, or ``""``.
    """

    path: Path
    numbers: np.ndarray
    repeated: int = 0
    padded: str = ""
    other_width: str = ""

    @property
    def name(self) -> str:
        return nfc(self.path.name)

    @property
    def first(self) -> int:
        return int(self.numbers[0])

    @property
    def last(self) -> int:
        return int(self.numbers[-1])


@dataclass
class Listing:
    """Everything below a folder, sorted into what affkit may have a use for."""

    root: Path
    """The folder; or one file, and then it is all there is."""
    folders: dict[Path, list[Path]] = field(default_factory=dict)
    """Each folder that was looked into to the folders in it."""
    texts: dict[Path, list[Path]] = field(default_factory=dict)
    """Folder to its ``.txt`` and ``.csv`` files, if it has any."""
    crops: dict[Path, Crops] = field(default_factory=dict)
    """Folder to the pictures that are named by frame numbers."""
    pictures: dict[Path, tuple[int, str]] = field(default_factory=dict)
    """Folder to how many other pictures it has, and the name of one."""
    pools: Counter = field(default_factory=Counter)
    """Folder to how many sheets of faces without labels it has."""
    videos: list[Path] = field(default_factory=list)
    archives: list[Path] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    broken: list[Path] = field(default_factory=list)
    """Links that lead nowhere."""
    closed: list[Path] = field(default_factory=list)
    """Folders that may not be opened."""
    loops: list[Path] = field(default_factory=list)
    """Links that lead back to a folder above."""
    unfinished: list[Path] = field(default_factory=list)
    """What an interrupted affkit left."""
    others: Counter = field(default_factory=Counter)
    """Suffix to the number of all other files."""

    @property
    def stores(self) -> list[Path]:
        """The folders that ``affkit faces`` made."""
        return sorted(folder for folder in self.folders if (folder / STORE_FILE).is_file())

    def shown(self, path: Path) -> str:
        """``path`` as seen from the folder: short, and the same on every machine."""
        inside = path != self.root and path.is_relative_to(self.root)
        return path.relative_to(self.root).as_posix() if inside else path.name or str(path)


def list_folder(root: str | Path, progress: bool = False) -> Listing:
    """Go through all that is below ``root``, each folder once; links to folders are followed.

    What systems leave is passed over, see :func:`~affkit.labelfiles.names.is_left_over`.
    Raises ``OSError`` if ``root`` itself cannot be opened.
    """
    found = Listing(Path(root))
    if not found.root.is_dir():
        found.root.stat()  # something has to be there
        _sort_file(found, found.root)
        return found
    os.scandir(found.root).close()
    todo, links, seen = [found.root], [], set()
    with tqdm(desc="names", unit="name", unit_scale=True, delay=2, leave=False, disable=not progress) as bar:
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


def _look_into(found: Listing, folder: Path, bar: tqdm) -> tuple[list[Path], list[Path]]:
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
            elif is_left_over(name):
                if name == JOURNAL or name.endswith(".part"):
                    found.unfinished.append(folder / name)
            elif entry.is_dir(follow_symlinks=False):
                own.append(folder / name)
            elif entry.is_symlink():
                linked += _follow(found, folder / name)
            elif entry.is_file(follow_symlinks=False):
                _sort_file(found, folder / name)
    bar.update(count)
    if not count:
        found.empty.append(folder)
    if numbered:
        _sort_numbered(found, folder, numbered)
    found.folders[folder] = sorted(own + linked)
    return sorted(own, reverse=True), sorted(linked)


def _follow(found: Listing, link: Path) -> list[Path]:
    """Sort a link: the link itself if it leads to a folder that is not one above it."""
    real = os.path.realpath(link)
    if not os.path.exists(real) or os.path.islink(real):  # nothing there, or links in a circle
        found.broken.append(link)
    elif not os.path.isdir(real):
        _sort_file(found, link)
    elif Path(os.path.realpath(link.parent)).is_relative_to(real):
        found.loops.append(link)
    else:
        return [link]
    return []


def _sort_file(found: Listing, path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        found.videos.append(path)
    elif suffix in _TABLES:
        found.texts.setdefault(path.parent, []).append(path)
    elif suffix in _ARCHIVES:
        found.archives.append(path)
    elif suffix[1:] in _PICTURES:
        number, example = found.pictures.get(path.parent, (0, path.name))
        found.pictures[path.parent] = number + 1, min(example, path.name)
    elif _POOL_SHEET.fullmatch(path.name):
        found.pools[path.parent] += 1
    else:
        found.others[suffix] += 1


def _sort_numbered(found: Listing, folder: Path, names: list[str]) -> None:
    """Pictures whose names are numbers are crops, unless the numbers are too large to count frames."""
    stems = {name: name.rpartition(".")[0].strip() for name in names}
    if max(map(int, stems.values())) > MOST_FRAMES:
        found.pictures[folder] = len(names), min(names)
        return
    frames = np.unique(np.array([int(stem) for stem in stems.values()], np.int64))
    padded = min((name for name in names if name != name.lstrip()), default="")
    width = min((name for name, stem in stems.items() if stem != f"{int(stem):05d}"), default="")
    found.crops[folder] = Crops(folder, frames, len(names) - len(frames), padded, width)

"""Names as file systems and archives have them: in one form, and without what systems leave."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path


def nfc(name: str) -> str:
    """A name in the form in which names are compared; some systems split a letter from its accent."""
    return unicodedata.normalize("NFC", name)


def is_left_over(name: str) -> bool:
    """Whether systems leave files and folders of this name: ``.DS_Store``, ``__MACOSX``, ``Thumbs.db``."""
    return name.startswith(".") or name.lower() in ("__macosx", "thumbs.db", "desktop.ini")


def as_given(path: str | Path) -> Path:
    """The absolute path, with the last name that was given also where it is a link."""
    path = Path(path)
    if path.name in ("", ".."):
        return path.resolve()
    return Path(os.path.realpath(path.parent), path.name)


def files_below(folder: str | Path) -> Iterator[Path]:
    """All files in and below a folder but those left over. Links are followed, after the folders that have
    names of their own; each folder is entered once, and none above.
    """
    todo, links, seen = [os.fspath(folder)], [], set(map(os.fspath, Path(folder).resolve().parents))
    while todo or links:
        here = todo.pop() if todo else links.pop(0)
        if (real := os.path.realpath(here)) in seen:
            continue
        seen.add(real)
        for path in (Path(here, name) for name in sorted(os.listdir(here)) if not is_left_over(name)):
            if path.is_dir():
                (links if path.is_symlink() else todo).append(path)
            else:
                yield path

"""Writing files so that nobody ever sees half of one: write beside, then rename."""

import errno
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.metadata import entry_points
from pathlib import Path

from affkit.errors import UserError


@contextmanager
def write_beside(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; rename it to ``path`` when the block ends well.

    The temporary file keeps the suffix of ``path`` (encoders look at it) and is removed when the block fails,
    so a reader finds the old file, the new one, or none. A full disk becomes a :class:`UserError`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with write_beside(f"{folder}/a.txt") as part:
    ...         _ = part.write_text("hello")
    ...     sorted(p.name for p in Path(folder).iterdir())
    ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    if part.is_symlink():  # not ours: what is written would go where it leads
        part.unlink()
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(path, *_UNUSABLE[error.errno]) from error
        raise
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)


@contextmanager
def alone(path: str | Path) -> Iterator[Path]:
    """``path``, for this process only until the block ends; another one that asks for it gets a
    :class:`UserError`. The lock is one of SQLite: all systems have it, and it ends with a killed process.
    """
    place = f"{getattr(os, 'getuid', int)()} {os.path.realpath(path)}"
    name = f"affkit-{hashlib.sha256(os.fsencode(place)).hexdigest()[:16]}.lock"
    with closing(sqlite3.connect(Path(tempfile.gettempdir(), name), timeout=0)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            fix = "wait until it has ended, or choose another output"
            raise UserError(path, "another affkit is writing to it", fix) from error
        yield Path(path)


def fresh(path: str | Path) -> Path:
    """The path of a folder after what an earlier call left there is gone; for a cell that may run again.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "run").mkdir(), Path(folder, "run", "old.txt").touch()
    ...     fresh(f"{folder}/run").exists()
    False
    """
    shutil.rmtree(path, ignore_errors=True)
    return Path(path)


def refuse_existing(path: str | Path, force: bool = False) -> None:
    """Raise :class:`UserError` when ``path`` exists, unless ``force``."""
    if os.path.lexists(path) and not force:  # also a link that leads nowhere
        raise UserError(path, "already exists", "choose another output or add --force")


_LONGEST_NAME = 255  # bytes, on the file systems of Linux, macOS and Windows
_UNUSABLE = {  # what the system says of a path: what is wrong and what would fix it
    errno.ENOTDIR: ("lies below a file", "give a path through folders"),
    errno.EISDIR: ("is a folder", "give a file"),
    errno.EEXIST: ("is a file, or below one", "give a folder"),
    errno.ELOOP: ("is a link to itself", "give a file or folder"),
    errno.ENAMETOOLONG: ("is too long a name", "choose a shorter one"),
    errno.EACCES: ("may not be read or written", "change the permissions or choose another place"),
    errno.EPERM: ("may not be read or written", "change the permissions or choose another place"),
    errno.EROFS: ("is on a disk that is read-only", "choose another place"),
    errno.ENOSPC: ("the disk is full", "free some space and run the same command"),
    errno.EDQUOT: ("the disk is full", "free some space and run the same command"),
}


def unusable_path(error: OSError) -> UserError | None:
    """What the system says of a path, for people; None if it is no mistake that they can fix.

    >>> str(unusable_path(NotADirectoryError(errno.ENOTDIR, "Not a directory", "a.txt/out")))
    'a.txt/out: lies below a file; give a path through folders'
    >>> unusable_path(OSError("no path in it"))
    """
    told, full = _UNUSABLE.get(error.errno), error.errno in (errno.ENOSPC, errno.EDQUOT)
    where = error.filename or ("the output" if full else None)
    return UserError(where, *told) if told and where else None


def check_output(path: str | Path, folder: bool = False) -> Path:
    """``path`` if a file, or a ``folder``, can be written there; to be asked before the work, not after
    it."""
    path = Path(path)
    for place in (path, *path.parents):
        if len(os.fsencode(place.name)) > _LONGEST_NAME:
            raise UserError(path, *_UNUSABLE[errno.ENAMETOOLONG])
        if os.path.lexists(place):
            break
    who = "" if place == path else f"{place} "
    if place.is_symlink() and not place.exists():
        raise UserError(path, f"{who}is a link that leads nowhere", "remove it or choose another output")
    if not place.is_dir() and (folder or place != path):
        raise UserError(path, f"{who}is a file", "choose another output")
    try:
        with tempfile.TemporaryFile(dir=place if place.is_dir() else place.parent):
            return path  # to try is the one sure way to know
    except OSError as error:
        told = _UNUSABLE.get(error.errno)
        if told is None:
            raise
        raise UserError(path, *told) from error


def existing_file(path: str | Path) -> Path:
    """Return ``path`` as a :class:`~pathlib.Path`, or raise :class:`UserError` when no such file is there."""
    path = Path(path)
    if not path.exists():
        raise UserError(path, "no such file", "check the spelling")
    if not path.is_file():
        raise UserError(path, "is not a file", "give a file, not a folder")
    if path.stat().st_size == 0:
        raise UserError(path, "the file is empty", "copy or download it again")
    return path


def read_json(path: str | Path, fix: str) -> object:
    """What a JSON file of our own holds; :class:`UserError`, with ``fix``, when it is missing or damaged."""
    try:
        return json.loads(existing_file(path).read_text(encoding="utf-8"))
    except ValueError as error:  # no text, or no JSON
        raise UserError(path, "is damaged", fix) from error


def offered(group: str, name: str) -> Callable:
    """What a room of affkit, or another package, offers as ``name`` in a group of entry points."""
    for entry in entry_points(group=group, name=name):
        try:
            return entry.load()
        except ModuleNotFoundError as error:
            raise UserError(entry.value, f"needs {error.name}", f"`pip install {error.name}`") from error
    raise UserError(f"{group} {name}", "no installed package offers it", "`pip install` all of affkit again")

"""Writing files so that nobody ever sees half of one: write beside, then rename."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from affkit.errors import UserError


@contextmanager
def write_beside(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; rename it to ``path`` when the block ends well.

    The temporary file keeps the suffix of ``path`` (encoders look at it) and is removed when the block
    fails, so a reader finds the old file, the new file, or none: never a part of one. The rename is
    atomic on one file system. A full disk becomes a :class:`UserError`.

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
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(path, "the disk is full", "free some space and run the same command") from error
        raise
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)


def refuse_existing(path: str | Path, force: bool = False) -> None:
    """Raise :class:`UserError` when ``path`` exists, unless ``force``."""
    if Path(path).exists() and not force:
        raise UserError(path, "already exists", "choose another output or add --force")


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

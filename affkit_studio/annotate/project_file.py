"""The file of an annotation project: one SQLite database, made, checked and written so that nothing is lost.

A change is on the disk before the call that makes it returns: each is a transaction of its own, and SQLite
brings a file whose writer was killed back to the last whole transaction. Several processes may have the same
file open. What SQLite says of a file that cannot be used becomes one line for people.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from affkit.errors import UserError
from affkit.files import existing_file
from affkit.labelfiles.csv_text import quote

VERSION = 1
"""Of the tables below, kept in ``PRAGMA user_version``."""

APPLICATION_ID = int.from_bytes(b"affk")
"""Tells a project from other SQLite files, kept in ``PRAGMA application_id``."""

BUSY_SECONDS = 20
"""How long a call waits while another process is writing."""

_SCHEMA = """
CREATE TABLE video (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL,             -- from the folder of this file, if the video is below it
    num_frames INTEGER NOT NULL,
    fps REAL NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL
);

CREATE TABLE annotator (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE session (              -- one annotator, one video, one task
    id INTEGER PRIMARY KEY,
    video INTEGER NOT NULL REFERENCES video,
    annotator INTEGER NOT NULL REFERENCES annotator,
    task TEXT NOT NULL CHECK (task IN ('au', 'expression')),
    UNIQUE (video, annotator, task)
);

CREATE TABLE step (
    number INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES session,
    kind TEXT NOT NULL CHECK (kind IN ('mark', 'clear', 'replace', 'undo', 'redo')),
    lane TEXT,                      -- NULL: all lanes
    start INTEGER NOT NULL,         -- frames [start, stop), counted from 0
    stop INTEGER NOT NULL CHECK (stop > start),
    target INTEGER REFERENCES step, -- the step that is undone or redone
    who TEXT NOT NULL,
    made TEXT NOT NULL              -- UTC, ISO 8601
);

CREATE INDEX step_of_session ON step (session, number);

CREATE TABLE segment (              -- what a step of kind 'replace' puts there
    step INTEGER NOT NULL REFERENCES step,
    lane TEXT NOT NULL,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL
);

CREATE INDEX segment_of_step ON segment (step);

CREATE TABLE review (               -- the second pass
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES session,
    lane TEXT NOT NULL,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('accept', 'change')),
    comment TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    made TEXT NOT NULL,
    step INTEGER REFERENCES step    -- the change
);

CREATE INDEX review_of_session ON review (session);

CREATE TRIGGER steps_stay BEFORE UPDATE ON step BEGIN SELECT RAISE(ABORT, 'steps are never changed'); END;

CREATE TRIGGER steps_are_kept BEFORE DELETE ON step BEGIN SELECT RAISE(ABORT, 'steps are never deleted'); END;
"""

_SMALLEST = 512  # bytes of a database; SQLite would take a smaller file for an empty one, and write over it

_FAULTS = {  # primary result code of SQLite: what is wrong and what would mend it
    sqlite3.SQLITE_READONLY: ("cannot be written", "change the permissions or copy it elsewhere"),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened for writing", "check that its folder is there and writable"),
    sqlite3.SQLITE_PERM: ("cannot be opened", "change the permissions"),
    sqlite3.SQLITE_FULL: ("the disk is full, the last change is not saved", "free some space and repeat it"),
    sqlite3.SQLITE_BUSY: ("another program keeps it locked", "close that program and repeat the change"),
    sqlite3.SQLITE_IOERR: ("the disk reports an error, the last change is not saved", "check the disk"),
    sqlite3.SQLITE_NOTADB: ("is not an annotation project", "give another file name"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "go back to a copy of it"),
}


class ProjectFile:
    """An open project file; one thread at a time may use it.

    Parameters
    ----------
    path:
        The file.
    create:
        Whether to make the file, and its folder, if it is not there.

    Raises
    ------
    UserError
        If the file or its folder cannot be written, it is something else, or from a newer version. All other
        methods raise it too, when the file cannot be read or written any more.

    >>> import tempfile
    >>> from contextlib import closing
    >>> with tempfile.TemporaryDirectory() as folder, closing(ProjectFile(Path(folder, "a.affkit"))) as file:
    ...     with file.writing():
    ...         file.change("INSERT INTO annotator (name) VALUES (?)", "Ada")
    ...     file.rows("SELECT id, name FROM annotator")
    1
    [(1, 'Ada')]
    """

    def __init__(self, path: str | Path, create: bool = True):
        self.path = Path(path).absolute()
        if not create or self.path.is_dir():
            existing_file(self.path)
        _check_writable(self.path)
        with self._faults_told():
            # Any thread, one at a time: a notebook may run its cells and its widgets in different ones.
            self._db = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            self._identity = _identity(self.path)
            with self._faults_told():
                self._db.execute("PRAGMA foreign_keys = ON")
                self._db.execute("PRAGMA synchronous = FULL")  # a commit ends when the disk says so
            with self.writing():
                self._check_or_make()
            with self._faults_told():
                # A log beside the file: one flush a commit, and reading goes on while another process writes.
                # Every few commits, and at the end, it moves into the file: a copy of that alone is complete
                # but for the last edits. Where there can be no log, SQLite keeps to a slower way by itself.
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA wal_autocheckpoint = 16")  # pages
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file. Nothing is written by this: all is saved already."""
        self._db.close()

    def rows(self, query: str, *values) -> list[tuple]:
        """All rows of a ``SELECT`` with ``values`` for its question marks."""
        with self._faults_told():
            return self._db.execute(query, values).fetchall()

    def change(self, statement: str, *values) -> int:
        """Run an ``INSERT`` or ``UPDATE`` inside :meth:`writing`; the number of the row it inserted."""
        return self._db.execute(statement, values).lastrowid

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All of the block in one transaction, on the disk when it ends; nothing of it if it fails."""
        self._check_present()
        with self._faults_told(), self._db:
            self._db.execute("BEGIN IMMEDIATE")  # so that what is read in the block is the newest there is
            yield
        self._check_present()

    def _check_present(self) -> None:
        # An open file can be written even when its name has gone, and is lost with the last who has it open.
        if _identity(self.path) != self._identity:
            problem = "was moved, deleted or replaced while it was open: the last change is not saved"
            raise UserError(self.path, problem, "put it back or open it again")

    @contextmanager
    def _faults_told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # the low byte is the primary code; what SQLite never saw has none
            fault = _FAULTS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
            if fault is None:
                raise
            raise UserError(self.path, *fault) from error

    def _check_or_make(self) -> None:
        """Make the tables in an empty file; refuse one that is not ours."""
        ((application,),) = self.rows("PRAGMA application_id")
        ((version,),) = self.rows("PRAGMA user_version")
        if application == 0 and not self.rows("SELECT name FROM sqlite_master"):
            for statement in _SCHEMA.split(";\n\n"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {VERSION}")
        elif application != APPLICATION_ID:
            problem = "is a database of another program, not an annotation project"
            raise UserError(self.path, problem, "give another file name")
        elif version > VERSION:
            problem = f"is from a newer version of affkit (format {version}, not {VERSION})"
            raise UserError(self.path, problem, "update affkit")


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of a file, which stay the same while it is the same file; ``None`` if it has gone."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _check_writable(path: Path) -> None:
    """Raise :class:`UserError` unless ``path``, and the journal beside it, can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(path, f"its folder cannot be made ({error.strerror})", "choose another") from error
    if not os.access(path.parent, os.W_OK):
        raise UserError(
            path, "its folder is read-only", "change its permissions or copy the project elsewhere"
        )
    if path.exists() and not os.access(path, os.W_OK):
        raise UserError(path, "is read-only", "change its permissions or copy it elsewhere")
    if path.exists() and 0 < path.stat().st_size < _SMALLEST:
        raise UserError(path, *_FAULTS[sqlite3.SQLITE_NOTADB])


def checked_text(path: str | Path, text: str, what: str) -> str:
    """``text``, or :class:`UserError` if it cannot be stored: some file names are not Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(path, f"{what} {quote(text)} is not Unicode", "type or rename it again") from error
    return text


def checked_name(path: str | Path, name: str, what: str) -> str:
    """``name``, or :class:`UserError` if it is blank or cannot be stored."""
    if not name.strip():
        raise UserError(path, f"{what} is blank", "give a name")
    return checked_text(path, name, what)

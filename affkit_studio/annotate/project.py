"""Where annotations are kept: videos, annotators, and every step that each of them took (III.B, III.D).

All is in one SQLite database. A change is on the disk before the call that makes it returns: each is a
transaction of its own, and SQLite brings a file whose writer was killed back to the last whole transaction.
Several processes may have the same file open. What SQLite says of a file that cannot be used becomes one line
for people.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from affkit.errors import UserError, quote
from affkit.files import existing_file
from affkit.labelfiles.formats import match_length
from affkit.labels import Labels
from affkit.video.video import Video
from affkit_studio.annotate.session import LANES, AnnotationSession, ProjectVideo, checked_text, from_labels

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

_FAULTS = {  # primary result code of SQLite: what is wrong and what would fix it
    sqlite3.SQLITE_READONLY: ("cannot be written", "change the permissions or copy it elsewhere"),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened for writing", "check that its folder is there and writable"),
    sqlite3.SQLITE_PERM: ("cannot be opened", "change the permissions"),
    sqlite3.SQLITE_FULL: ("the disk is full, the last change is not saved", "free some space and repeat it"),
    sqlite3.SQLITE_BUSY: ("another program keeps it locked", "close that program and repeat the change"),
    sqlite3.SQLITE_IOERR: ("the disk reports an error, the last change is not saved", "check the disk"),
    sqlite3.SQLITE_NOTADB: ("is not an annotation project", "give another file name"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "go back to a copy of it"),
}


class Project:
    """The annotations of some videos by some annotators, in one file.

    Use it in a ``with`` block or call :meth:`close`; use it in one thread at a time. All methods raise
    :class:`~affkit.errors.UserError` when the file cannot be read or written any more.

    >>> import tempfile
    >>> import numpy as np
    >>> from affkit.video.video import write_video
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_video(f"{folder}/clip.mp4", (np.zeros((32, 32, 3), np.uint8) for _ in range(30)))
    ...     with Project.open(f"{folder}/faces.affkit") as project:
    ...         video = project.add_video(f"{folder}/clip.mp4")
    ...         project.session(video.name, "Ada", "au").mark("AU12", 5, 20)
    ...     with Project.open(f"{folder}/faces.affkit") as project:  # later
    ...         project.session("clip", "Ada", "au").segments()
    [Segment(lane='AU12', start=5, stop=20)]
    """

    def __init__(self, path: Path, database: sqlite3.Connection):
        self.path, self._db = path, database
        self._identity = _identity(path)

    @classmethod
    def open(cls, path: str | Path, create: bool = True) -> "Project":
        """Open the project in ``path``; make it, and its folder, if it is not there and ``create``.

        Raises UserError if the file or its folder cannot be written, it is something else, or from a newer
        version.
        """
        path = Path(path).absolute()
        if not create or path.is_dir():
            existing_file(path)
        _check_writable(path)
        with _faults_told(path):
            # Any thread, one at a time: a notebook may run its cells and its widgets in different ones.
            database = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        project = cls(path, database)
        try:
            project.rows("PRAGMA foreign_keys = ON")
            project.rows("PRAGMA synchronous = FULL")  # a commit ends when the disk says so
            with project.writing():
                project._check_or_make()
            # A log beside the file: one flush a commit, and reading goes on while another process writes.
            # Every few commits, and at the end, it moves into the file: a copy of that alone is complete but
            # for the last edits. Where there can be no log, SQLite keeps to a slower way by itself.
            project.rows("PRAGMA journal_mode = WAL")
            project.rows("PRAGMA wal_autocheckpoint = 16")  # pages
        except BaseException:
            database.close()
            raise
        return project

    def close(self) -> None:
        """Close the file. Nothing is written by this: all is saved already."""
        self._db.close()

    def __enter__(self) -> "Project":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    # What is in it

    def add_video(self, clip: str | Path | Video) -> ProjectVideo:
        """Add a clip. If one of the same name and length is in the project, it is that one.

        A clip below the folder of the project is remembered relative to it, so that both can be moved
        together. Adding a clip that went missing, from where it is now, finds it again. Raises UserError if
        it is not a video, or a clip of that name but another length is in the project.
        """
        with Video.of(clip) as info:
            path, num_frames = info.path, info.num_frames
        name = _checked_name(path, path.stem, "the file name")
        file, folder = path.resolve(), self.path.parent.resolve()
        stored = (file.relative_to(folder) if file.is_relative_to(folder) else file).as_posix()
        with self.writing():
            old = self._videos().get(name)
            if old is None:
                size = {"width": info.width, "height": info.height}
                length = {"num_frames": num_frames, "fps": float(info.fps)}
                self.insert("video", name=name, path=stored, **length, **size)
            elif old.num_frames != num_frames:
                lengths = f"{old.num_frames} frames, not {num_frames}"
                problem = f"another clip named {quote(name)} is in the project, with {lengths}"
                raise UserError(path, problem, "rename the new one")
            elif old.is_missing():
                self.change("UPDATE video SET path = ? WHERE name = ?", stored, name)
            return self._videos()[name]

    def videos(self) -> list[ProjectVideo]:
        """All videos, in the order they were added."""
        return list(self._videos().values())

    def annotators(self) -> list[str]:
        """The names of all annotators, in the order they came."""
        return [name for (name,) in self.rows("SELECT name FROM annotator ORDER BY id")]

    def session(
        self, video_name: str, annotator: str, task: str, who: str | None = None
    ) -> AnnotationSession:
        """What ``annotator``, any text, says about one of :meth:`videos`; one with a new name is added.

        ``task`` is ``"au"`` or ``"expression"``; ``who`` is at the keyboard, if not the annotator: the
        history and the reviews name them. Raises UserError if there is no such video or task, or a name is
        blank.
        """
        who = _checked_name(self.path, who or annotator, "the annotator's name")
        _checked_name(self.path, annotator, "the annotator's name")
        if task not in LANES:
            raise UserError(self.path, f"there is no task {task!r}", f"use one of {', '.join(LANES)}")
        with self.writing():
            video = self._videos().get(video_name)
            if video is None:
                known = ", ".join(map(quote, self._videos())) or "none"
                problem = f"has no video {quote(video_name)}, only: {known}"
                raise UserError(self.path, problem, "add it first")
            self.change("INSERT OR IGNORE INTO annotator (name) VALUES (?)", annotator)
            self.change(
                "INSERT OR IGNORE INTO session (video, annotator, task) "
                "SELECT v.id, a.id, ? FROM video v, annotator a WHERE v.name = ? AND a.name = ?",
                *(task, video_name, annotator),
            )
        return AnnotationSession(self, video, annotator, task, who)

    def load(self, labels: Labels, video_name: str, annotator: str) -> None:
        """Replace what ``annotator`` marked by labels, for each task they hold anything of; undoable.

        What is not labelled is not marked, as are frames without labels at the end; labels beyond the end
        of the video are left out. A difference in length is warned about.
        """
        for task, mask in (("au", labels.has_action_units), ("expression", labels.has_expression)):
            if mask.any():
                session = self.session(video_name, annotator, task)
                fitting = match_length(labels, session.video.num_frames, video_name)
                session.replace(from_labels(fitting, task))

    def _videos(self) -> dict[str, ProjectVideo]:
        rows = self.rows("SELECT name, path, num_frames, fps, width, height FROM video ORDER BY id")
        # an absolute path stays what it is
        return {name: ProjectVideo(name, self.path.parent / path, *rest) for name, path, *rest in rows}

    # Its tables

    def rows(self, query: str, *values) -> list[tuple]:
        """All rows of a ``SELECT`` with ``values`` for its question marks."""
        with _faults_told(self.path):
            return self._db.execute(query, values).fetchall()

    def change(self, statement: str, *values) -> int:
        """Run an ``INSERT`` or ``UPDATE`` inside :meth:`writing`; the number of the row it inserted."""
        return self._db.execute(statement, values).lastrowid

    def insert(self, table: str, **row) -> int:
        """Add a row inside :meth:`writing`; its number."""
        columns, marks = ", ".join(row), ", ".join("?" * len(row))
        return self.change(f"INSERT INTO {table} ({columns}) VALUES ({marks})", *row.values())

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All of the block in one transaction, on the disk when it ends; nothing of it if it fails."""
        self._check_present()
        with _faults_told(self.path), self._db:
            self._db.execute("BEGIN IMMEDIATE")  # so that what is read in the block is the newest there is
            yield
        self._check_present()

    def _check_present(self) -> None:
        # An open file can be written even when its name has gone, and is lost with the last who has it open.
        if _identity(self.path) != self._identity:
            problem = "was moved, deleted or replaced while it was open: the last change is not saved"
            raise UserError(self.path, problem, "put it back or open it again")

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


@contextmanager
def _faults_told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        # the low byte is the primary code; what SQLite never saw has none
        fault = _FAULTS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if fault is None:
            raise
        raise UserError(path, *fault) from error


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
    if path.exists():
        if not os.access(path, os.W_OK):
            raise UserError(path, "is read-only", "change its permissions or copy it elsewhere")
        if 0 < path.stat().st_size < _SMALLEST:
            raise UserError(path, *_FAULTS[sqlite3.SQLITE_NOTADB])


def _checked_name(path: str | Path, name: str, what: str) -> str:
    """``name``, or :class:`UserError` if it is blank or cannot be stored."""
    if not name.strip():
        raise UserError(path, f"{what} is blank", "give a name")
    return checked_text(path, name, what)

"""A project with a clip, and processes at work on it: what tests of projects share."""

import multiprocessing
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from videos import write_numbered

from affkit.data.project import Project

NUM_FRAMES = 400


def write_clip(folder: Path) -> Path:
    return write_numbered(folder / "clip.mp4", NUM_FRAMES, size=(64, 48))


@contextmanager
def project_with(clip: Path, folder: Path) -> Iterator[Project]:
    """A project in ``folder`` with a copy of ``clip`` beside it, open."""
    shutil.copy(clip, folder / "clip.mp4")
    with Project.open(folder / "faces.affkit") as project:
        project.add_video(folder / "clip.mp4")
        yield project


def process_starter():
    """What starts processes that share nothing with this one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["affkit.data.project"])  # once, not in each process
    return context


def start(processes, work, *arguments):
    """Start a process; it, and the end of a pipe on which it says what it has done."""
    hear, say = processes.Pipe(duplex=False)
    process = processes.Process(target=work, args=(arguments[0], say, *arguments[1:]))
    process.start()
    say.close()  # so that its end is noticed
    return process, hear


def hear_all(pipe) -> list:
    heard = []
    try:
        while True:
            heard.append(pipe.recv())
    except EOFError:
        return heard


def is_sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        broken_references = db.execute("PRAGMA foreign_key_check").fetchall()
        return db.execute("PRAGMA integrity_check").fetchall() == [("ok",)] and not broken_references

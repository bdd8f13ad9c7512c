"""People at work on a project, each in a process of their own: what tests of projects start.

A module of its own, with few imports: each process begins with it.
"""

import os
import sqlite3
import time
from multiprocessing.connection import Connection
from pathlib import Path

from affkit.data.project import Project
from affkit.errors import UserError


def mark_until_killed(path: Path, said: Connection, first: int) -> None:
    """Mark one frame after the other from ``first`` on, and say each as soon as it is saved."""
    session = Project.open(path).session("clip", "Ada", "au")
    for frame in range(first, session.video.num_frames):
        session.mark("AU1", frame, frame + 1)
        said.send(frame)
        time.sleep(0.002)  # people pause too; without it a quick machine comes to the clip's end unkilled


def mark_every_other(path: Path, said: Connection, together, lane: str, first: int, count: int) -> None:
    """Mark ``count`` frames from ``first`` on, leaving one out each time; begin when ``together`` says so."""
    with Project.open(path) as project:
        session = project.session("clip", "Ada", "au")
        together.wait()
        for frame in range(first, first + 2 * count, 2):
            session.mark(lane, frame, frame + 1)
            time.sleep(0.001)  # people pause too; without it the first to begin may finish first
        said.send("done")


def make_project(path: Path, said: Connection) -> None:
    """Open a project that may not be there yet, and add oneself."""
    with Project.open(path) as project:
        said.send(
            project.session(project.add_video(path.parent / "clip.mp4").name, str(os.getpid()), "au").task
        )


def try_to_open(path: Path, said: Connection) -> None:
    """Open a project as somebody without rights, and say what comes of it."""
    if os.geteuid() == 0:
        os.setuid(65534)  # nobody; root may write anywhere
    try:
        Project.open(path)
        said.send("opened")
    except (UserError, sqlite3.Error, OSError) as error:
        said.send(repr(error))

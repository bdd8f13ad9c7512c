"""Where annotations are kept: videos, annotators, and what each of them says about each (III.B, III.D).

All is in one file, see ``project_file``; a :class:`~affkit_studio.annotate.session.Session` is one
annotator's work on one video.
"""

from pathlib import Path

from affkit.errors import UserError
from affkit.labelfiles.csv_text import quote
from affkit.labelfiles.formats import match_length
from affkit.labels import Labels
from affkit.video.video import probe
from affkit_studio.annotate.project_file import ProjectFile, checked_name
from affkit_studio.annotate.session import Session, Video
from affkit_studio.annotate.timeline import LANES, Edit, Review, Segment, from_labels

__all__ = ["Edit", "Project", "Review", "Segment", "Session", "Video"]


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

    def __init__(self, file: ProjectFile):
        self._file = file

    @classmethod
    def open(cls, path: str | Path, create: bool = True) -> "Project":
        """Open the project in ``path``; make it, and its folder, if it is not there and ``create``.

        Raises
        ------
        UserError
            If the file or its folder cannot be written, it is something else, or from a newer version.
        """
        return cls(ProjectFile(path, create))

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def close(self) -> None:
        """Close the file. All is saved already."""
        self._file.close()

    def __enter__(self) -> "Project":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def add_video(self, path: str | Path) -> Video:
        """Add a clip. If one of the same name and length is in the project, it is that one.

        A clip below the folder of the project is remembered relative to it, so that both can be moved
        together. Adding a clip that went missing, from where it is now, finds it again.

        Raises
        ------
        UserError
            If it is not a video, or a clip of that name but another length is in the project.
        """
        info = probe(path)
        name = checked_name(path, info.path.stem, "the file name")
        file = info.path.resolve()
        folder = self.path.parent.resolve()
        stored = (file.relative_to(folder) if file.is_relative_to(folder) else file).as_posix()
        with self._file.writing():
            old = self._videos().get(name)
            if old is None:
                self._file.change(
                    "INSERT INTO video (name, path, num_frames, fps, width, height) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    *(name, stored, info.num_frames, float(info.fps), info.width, info.height),
                )
            elif old.num_frames != info.num_frames:
                lengths = f"{old.num_frames} frames, not {info.num_frames}"
                problem = f"another clip named {quote(name)} is in the project, with {lengths}"
                raise UserError(path, problem, "rename the new one")
            elif old.is_missing():
                self._file.change("UPDATE video SET path = ? WHERE name = ?", stored, name)
            return self._videos()[name]

    def videos(self) -> list[Video]:
        """All videos, in the order they were added."""
        return list(self._videos().values())

    def annotators(self) -> list[str]:
        """The names of all annotators, in the order they came."""
        return [name for (name,) in self._file.rows("SELECT name FROM annotator ORDER BY id")]

    def session(self, video_name: str, annotator: str, task: str, who: str | None = None) -> Session:
        """What ``annotator`` says about one video; an annotator with a new name is added.

        Parameters
        ----------
        video_name:
            The name of one of :meth:`videos`.
        annotator:
            Any text.
        task:
            ``"au"`` or ``"expression"``.
        who:
            Who is at the keyboard, if it is not ``annotator``; the history and the reviews name them.

        Raises
        ------
        UserError
            If there is no such video or task, or the name of the annotator is blank.
        """
        who = checked_name(self.path, who or annotator, "the annotator's name")
        checked_name(self.path, annotator, "the annotator's name")
        if task not in LANES:
            raise UserError(self.path, f"there is no task {task!r}", f"use one of {', '.join(LANES)}")
        with self._file.writing():
            video = self._videos().get(video_name)
            if video is None:
                known = ", ".join(map(quote, self._videos())) or "none"
                problem = f"has no video {quote(video_name)}, only: {known}"
                raise UserError(self.path, problem, "add it first")
            self._file.change("INSERT OR IGNORE INTO annotator (name) VALUES (?)", annotator)
            self._file.change(
                "INSERT OR IGNORE INTO session (video, annotator, task) "
                "SELECT v.id, a.id, ? FROM video v, annotator a WHERE v.name = ? AND a.name = ?",
                *(task, video_name, annotator),
            )
        return Session(self._file, video, annotator, task, who)

    def load(self, labels: Labels, video_name: str, annotator: str) -> None:
        """Replace what ``annotator`` marked by labels, for each task they hold anything of; undoable.

        What is not labelled is not marked, as are frames without labels at the end; labels beyond the end
        of the video are left out. A difference in length is warned about.

        Raises
        ------
        UserError
            As :meth:`session`.
        """
        for task, mask in (("au", labels.has_action_units), ("expression", labels.has_expression)):
            if mask.any():
                session = self.session(video_name, annotator, task)
                fitting = match_length(labels, session.video.num_frames, video_name)
                session.replace(from_labels(fitting, task))

    def _videos(self) -> dict[str, Video]:
        rows = self._file.rows("SELECT name, path, num_frames, fps, width, height FROM video ORDER BY id")
        # an absolute path stays what it is
        return {name: Video(name, self.path.parent / path, *rest) for name, path, *rest in rows}

"""One annotator's work on one video: edits that are saved, undone and reviewed (III.B, III.D).

What is marked follows from the steps in the project's file, see ``timeline``. Before a session
answers or adds a step it takes in what was added since, by whichever process.
"""

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from affkit.errors import UserError
from affkit.labels import Labels
from affkit_studio.annotate.project_file import ProjectFile, checked_text
from affkit_studio.annotate.timeline import (
    LANES,
    Edit,
    Review,
    Segment,
    Step,
    Timeline,
    checked_lane,
    checked_range,
    runs,
    to_labels,
)


@dataclass(frozen=True)
class Video:
    """A clip of a project.

    Attributes
    ----------
    name:
        File name without suffix, as in label files.
    path:
        The file; see :meth:`is_missing`.
    num_frames, fps, width, height:
        As :func:`affkit.video.video.probe` found them.
    """

    name: str
    path: Path
    num_frames: int
    fps: float
    width: int
    height: int

    def is_missing(self) -> bool:
        """Whether the file has gone. Its annotation can still be read and written."""
        return not self.path.is_file()


class Session:
    """What one annotator says about one video for one task; made by :meth:`Project.session`.

    Attributes
    ----------
    video, annotator, task, who:
        As given there.
    lanes:
        The tags: eight action units, or seven expressions of which a frame has at most one.
    """

    def __init__(self, file: ProjectFile, video: Video, annotator: str, task: str, who: str):
        self._file = file
        self.video, self.annotator, self.task, self.who = video, annotator, task, who
        self.lanes = LANES[task]
        self._timelines: dict[int, Timeline] = {}  # by number of the session: this one and the others
        self._number = self._numbers()[annotator]
        self._change: tuple[Segment, str] | None = None  # a segment to be changed, and the comment

    def state(self) -> np.ndarray:
        """``(num_lanes, num_frames)`` uint8, 1 where a lane is marked; a copy."""
        return self._timeline().state.copy()

    def segments(self) -> list[Segment]:
        """The unbroken marked stretches, in time order."""
        return runs(self._timeline().state, self.lanes)

    def labels(self) -> Labels:
        """As labels: action units 0 or 1 in all frames; an expression only where one is marked."""
        return to_labels(self._timeline().state, self.task)

    def others(self) -> dict[str, np.ndarray]:
        """The :meth:`state` of each other annotator of the same video and task, by name."""
        numbers = self._numbers()
        del numbers[self.annotator]
        return {name: self._timeline(number).state.copy() for name, number in numbers.items()}

    def revision(self) -> int:
        """A number that grows when anyone, in any process, edits or reviews."""
        ((revision,),) = self._file.rows(
            "SELECT (SELECT count(*) FROM step WHERE session = ?1) "
            "+ (SELECT count(*) FROM review WHERE session = ?1)",
            self._number,
        )
        return revision

    def mark(self, lane: str, start: int, stop: int) -> None:
        """Mark ``lane`` in the frames ``[start, stop)``; an expression takes the place of any other there.

        One undoable step, on the disk when this returns. Raises :class:`~affkit.errors.UserError` if there
        is no such lane or frame, or it could not be saved.
        """
        checked_lane(self.video.name, lane, self.task)
        self._edit("mark", lane, start, stop)

    def clear(self, lane: str | None, start: int, stop: int) -> None:
        """Clear ``lane``, or with ``None`` all of them, in ``[start, stop)``; as :meth:`mark`."""
        if lane is not None:
            checked_lane(self.video.name, lane, self.task)
        self._edit("clear", lane, start, stop)

    def replace(self, segments: Iterable[Segment]) -> None:
        """Clear everything and mark ``segments`` in their order, as one undoable step; as :meth:`mark`."""
        segments = [Segment(s.lane, operator.index(s.start), operator.index(s.stop)) for s in segments]
        for segment in segments:
            checked_lane(self.video.name, segment.lane, self.task)
            checked_range(self.video.name, segment.start, segment.stop, self.video.num_frames)
        with self._file.writing():
            step = self._add_step("replace", None, 0, self.video.num_frames)
            for one in segments:
                insert = "INSERT INTO segment (step, lane, start, stop) VALUES (?, ?, ?, ?)"
                self._file.change(insert, step, one.lane, one.start, one.stop)

    def undo(self) -> bool:
        """Take back the newest step that is in effect, whoever made it; false if there is none."""
        return self._undo_or_redo("undo")

    def redo(self) -> bool:
        """Bring back the step that was undone last; false if there is none, or an edit came after it."""
        return self._undo_or_redo("redo")

    @property
    def can_undo(self) -> bool:
        """Whether :meth:`undo` has something to do."""
        return bool(self._timeline().done)

    @property
    def can_redo(self) -> bool:
        """Whether :meth:`redo` has something to do."""
        return bool(self._timeline().undone)

    def history(self) -> list[Edit]:
        """Everything that was ever done, oldest first; undo and redo are lines of their own."""
        rows = self._file.rows(
            "SELECT number, kind, lane, start, stop, who, made, target FROM step WHERE session = ? "
            "ORDER BY number",
            self._number,
        )
        in_effect = {step.number for step in self._timeline().done}
        return [
            Edit(number, *rest, undone=target is None and number not in in_effect, target=target)
            for number, *rest, target in rows
        ]

    def review(self, segment: Segment, verdict: str, comment: str = "") -> None:
        """Say of a segment that it is right or needs a change (the second pass of III.D).

        ``"accept"`` is saved at once. ``"change"`` is saved together with the next :meth:`mark` or
        :meth:`clear`, which is the change; what comes out of it is a new segment, to be reviewed in turn.

        Raises
        ------
        UserError
            If there is no such segment any more, or no such verdict.
        """
        checked_text(self.video.name, comment, "the comment")
        if verdict not in ("accept", "change"):
            raise UserError(self.video.name, f"there is no verdict {verdict!r}", "use accept or change")
        with self._file.writing():  # nobody can edit meanwhile
            if segment not in self.segments():
                problem = f"{segment.lane} is not marked in exactly [{segment.start}, {segment.stop})"
                raise UserError(self.video.name, problem, "look at the segments again")
            if verdict == "accept":
                self._add_review(segment, verdict, comment, step=None)
        self._change = (segment, comment) if verdict == "change" else None

    def reviews(self) -> list[Review]:
        """All that was said in second passes, oldest first."""
        rows = self._file.rows(
            "SELECT lane, start, stop, verdict, comment, reviewer, made FROM review WHERE session = ? "
            "ORDER BY id",
            self._number,
        )
        return [Review(*row) for row in rows]

    def unreviewed(self) -> list[Segment]:
        """The segments that nobody accepted as they are now, in time order."""
        accepted = {Segment(r.lane, r.start, r.stop) for r in self.reviews() if r.verdict == "accept"}
        return [segment for segment in self.segments() if segment not in accepted]

    def _numbers(self) -> dict[str, int]:
        """Annotator to number of the session, of the same video and task."""
        rows = self._file.rows(
            "SELECT a.name, s.id FROM session s JOIN annotator a ON s.annotator = a.id "
            "JOIN video v ON s.video = v.id WHERE v.name = ? AND s.task = ? ORDER BY a.id",
            *(self.video.name, self.task),
        )
        return dict(rows)

    def _timeline(self, number: int | None = None) -> Timeline:
        """The timeline of a session, by default this one, brought up to date."""
        number = number or self._number
        timeline = self._timelines.setdefault(number, Timeline(self.task, self.video.num_frames))
        rows = self._file.rows(
            "SELECT number, kind, lane, start, stop, target FROM step "
            "WHERE session = ? AND number > ? ORDER BY number",
            *(number, timeline.last),
        )
        timeline.play(
            [Step(*row, segments=self._replacement(row[0]) if row[1] == "replace" else ()) for row in rows]
        )
        return timeline

    def _replacement(self, step: int) -> tuple[Segment, ...]:
        rows = self._file.rows("SELECT lane, start, stop FROM segment WHERE step = ?", step)
        return tuple(Segment(*row) for row in rows)

    def _edit(self, kind: str, lane: str | None, start: int, stop: int) -> None:
        start, stop = operator.index(start), operator.index(stop)  # NumPy's integers too
        checked_range(self.video.name, start, stop, self.video.num_frames)
        with self._file.writing():
            step = self._add_step(kind, lane, start, stop)
            if self._change:
                segment, comment = self._change
                self._add_review(segment, "change", comment, step)
        self._change = None

    def _undo_or_redo(self, kind: str) -> bool:
        with self._file.writing():
            timeline = self._timeline()
            steps = timeline.done if kind == "undo" else timeline.undone
            if not steps:
                return False
            target = steps[-1]
            self._add_step(kind, target.lane, target.start, target.stop, target.number)
        return True

    def _add_step(self, kind: str, lane: str | None, start: int, stop: int, target: int | None = None) -> int:
        return self._file.change(
            "INSERT INTO step (session, kind, lane, start, stop, target, who, made) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(self._number, kind, lane, start, stop, target, self.who, _now()),
        )

    def _add_review(self, segment: Segment, verdict: str, comment: str, step: int | None) -> None:
        self._file.change(
            "INSERT INTO review (session, lane, start, stop, verdict, comment, reviewer, made, step) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(self._number, segment.lane, segment.start, segment.stop),
            *(verdict, comment, self.who, _now(), step),
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

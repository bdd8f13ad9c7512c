"""One annotator's work on one video: edits that are saved, undone and reviewed (III.B, III.D).

Annotation is a list of steps: what is marked now is what the steps, played one after the other by a
:class:`Timeline`, leave. Undo and redo are steps too, so that the list only ever grows: whoever wants to know
what an annotator changed their mind about finds it there. The steps are in the project's file; before an
:class:`AnnotationSession` answers or adds a step it takes in what was added since, by whichever process.
"""

import dataclasses
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from affkit.errors import UserError, quote
from affkit.labelfiles.formats import true_runs
from affkit.labels import ACTION_UNITS, EXPRESSIONS, Labels

LANES = {"au": ACTION_UNITS, "expression": EXPRESSIONS}
"""The tags of each task. Action units are marked independently; a frame has one expression (III.C)."""

EXCLUSIVE = {"expression"}
"""The tasks in which marking one lane clears the others."""


@dataclass(frozen=True)
class ProjectVideo:
    """A clip of a project: its name is that of the file without suffix, as in label files."""

    name: str
    path: Path
    num_frames: int
    fps: float
    width: int
    height: int

    def is_missing(self) -> bool:
        """Whether the file has gone. Its annotation can still be read and written."""
        return not self.path.is_file()


@dataclass(frozen=True)
class Segment:
    """One lane is marked in the frames ``[start, stop)``, counted from 0, and in neither neighbour."""

    lane: str
    start: int
    stop: int


@dataclass(frozen=True)
class Step:
    """One thing that was done; the numbers grow with every step in a project.

    Its kind is "mark", "clear", "replace" (all lanes at once, as an import does, by ``segments``), "undo" or
    "redo". No lane means all of them. Undo and redo repeat where the step was that they are about; their
    ``target`` is its number. ``when`` is in UTC, ISO 8601. A history says what is ``undone`` now.
    """

    number: int
    kind: str
    lane: str | None
    start: int
    stop: int
    target: int | None = None
    who: str = ""
    when: str = ""
    segments: tuple[Segment, ...] = ()
    undone: bool = False


@dataclass(frozen=True)
class Review:
    """What was said of a segment in the second pass (III.D): verdict ``"accept"`` or ``"change"``."""

    lane: str
    start: int
    stop: int
    verdict: str
    comment: str
    reviewer: str
    when: str


class Timeline:
    """The frames of one annotator, one video and one task, after the steps it was given.

    ``state`` is ``(num_lanes, num_frames)`` uint8, 1 where a lane is marked. Of all ``steps`` ``done`` are in
    effect, oldest first, and redo would bring back ``undone``, the last of them first.

    >>> timeline = Timeline("expression", num_frames=5)
    >>> timeline.play([Step(1, "mark", "Fear", 0, 4), Step(2, "mark", "Surprise", 2, 5)])
    >>> runs(timeline.state, EXPRESSIONS)
    [Segment(lane='Fear', start=0, stop=2), Segment(lane='Surprise', start=2, stop=5)]
    >>> timeline.play([Step(3, "undo", "Surprise", 2, 5, target=2)])
    >>> runs(timeline.state, EXPRESSIONS)
    [Segment(lane='Fear', start=0, stop=4)]
    """

    def __init__(self, task: str, num_frames: int):
        self.lanes, self.exclusive = LANES[task], task in EXCLUSIVE
        self.state = np.zeros((len(self.lanes), num_frames), np.uint8)
        self.steps: list[Step] = []
        self.done: list[Step] = []
        self.undone: list[Step] = []

    def play(self, steps: Iterable[Step]) -> None:
        """Take in further steps, in the order of their numbers."""
        before, after_undo = len(self.done), False
        for step in steps:
            self.steps.append(step)
            if step.kind == "undo":
                self.undone.append(self.done.pop())
                after_undo = True
            elif step.kind == "redo":
                self.done.append(self.undone.pop())
            else:
                self.done.append(step)
                self.undone.clear()
        if after_undo:  # what was below an undone step is in the steps before it: play all again
            self.state[:] = 0
            before = 0
        for step in self.done[before:]:
            self._apply(step)

    def _apply(self, step: Step) -> None:
        if step.kind == "mark":
            self._mark(step.lane, step.start, step.stop)
        else:
            lane = slice(None) if step.lane is None else self.lanes.index(step.lane)
            self.state[lane, step.start : step.stop] = 0
        for segment in step.segments:
            self._mark(segment.lane, segment.start, segment.stop)

    def _mark(self, lane: str, start: int, stop: int) -> None:
        if self.exclusive:
            self.state[:, start:stop] = 0
        self.state[self.lanes.index(lane), start:stop] = 1


class AnnotationSession:
    """What one annotator says about one video for one task; made by ``Project.session``.

    What changes it raises :class:`~affkit.errors.UserError` if there is no such lane or frame, or it could
    not be saved; each change is one undoable step, on the disk when the call returns.
    """

    def __init__(self, project: Any, video: ProjectVideo, annotator: str, task: str, who: str):
        self._project = project
        self.video, self.annotator, self.task, self.who = video, annotator, task, who
        self.lanes = LANES[task]
        self._timelines: dict[int, Timeline] = {}  # by number of the session: this one and the others
        self._number = self._numbers()[annotator]
        self._change: tuple[Segment, str] | None = None  # a segment to be changed, and the comment

    # What is marked

    def state(self) -> np.ndarray:
        """``(num_lanes, num_frames)`` uint8, 1 where a lane is marked; a copy."""
        return self._timeline().state.copy()

    def segments(self) -> list[Segment]:
        """The unbroken marked stretches, in time order."""
        return runs(self._timeline().state, self.lanes)

    def labels(self) -> Labels:
        """As labels, see :func:`to_labels`."""
        return to_labels(self._timeline().state, self.task)

    def others(self) -> dict[str, np.ndarray]:
        """The :meth:`state` of each other annotator of the same video and task, by name."""
        numbers = self._numbers()
        del numbers[self.annotator]
        return {name: self._timeline(number).state.copy() for name, number in numbers.items()}

    def revision(self) -> int:
        """A number that grows when anyone, in any process, edits or reviews."""
        ((revision,),) = self._project.rows(
            "SELECT (SELECT count(*) FROM step WHERE session = ?1) "
            "+ (SELECT count(*) FROM review WHERE session = ?1)",
            self._number,
        )
        return revision

    def history(self) -> list[Step]:
        """Everything that was ever done, oldest first; undo and redo are lines of their own."""
        timeline = self._timeline()
        in_effect = {step.number for step in timeline.done}
        return [
            dataclasses.replace(step, undone=step.target is None and step.number not in in_effect)
            for step in timeline.steps
        ]

    # Changes

    def mark(self, lane: str, start: int, stop: int) -> None:
        """Mark ``lane`` in the frames ``[start, stop)``; an expression takes the place of any other there."""
        self._edit("mark", self._checked_lane(lane), start, stop)

    def clear(self, lane: str | None, start: int, stop: int) -> None:
        """Clear ``lane``, or with ``None`` all of them, in ``[start, stop)``."""
        self._edit("clear", lane if lane is None else self._checked_lane(lane), start, stop)

    def replace(self, segments: Iterable[Segment]) -> None:
        """Clear everything and mark ``segments`` in their order, as one step."""
        rows = [(self._checked_lane(s.lane), *self._checked_range(s.start, s.stop)) for s in segments]
        with self._project.writing():
            step = self._add_step("replace", None, 0, self.video.num_frames)
            for lane, start, stop in rows:
                self._project.insert("segment", step=step, lane=lane, start=start, stop=stop)

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

    # The second pass

    def review(self, segment: Segment, verdict: str, comment: str = "") -> None:
        """Say of a segment that it is right or needs a change (the second pass of III.D).

        ``"accept"`` is saved at once. ``"change"`` is saved together with the next :meth:`mark` or
        :meth:`clear`, which is the change; what comes out of it is a new segment, to be reviewed in turn.
        Raises UserError if there is no such segment any more, or no such verdict.
        """
        checked_text(self.video.name, comment, "the comment")
        if verdict not in ("accept", "change"):
            raise UserError(self.video.name, f"there is no verdict {verdict!r}", "use accept or change")
        with self._project.writing():  # nobody can edit meanwhile
            if segment not in self.segments():
                problem = f"{segment.lane} is not marked in exactly [{segment.start}, {segment.stop})"
                raise UserError(self.video.name, problem, "look at the segments again")
            if verdict == "accept":
                self._add_review(segment, verdict, comment, step=None)
        self._change = (segment, comment) if verdict == "change" else None

    def reviews(self) -> list[Review]:
        """All that was said in second passes, oldest first."""
        rows = self._project.rows(
            "SELECT lane, start, stop, verdict, comment, reviewer, made FROM review WHERE session = ? "
            "ORDER BY id",
            self._number,
        )
        return [Review(*row) for row in rows]

    def unreviewed(self) -> list[Segment]:
        """The segments that nobody accepted as they are now, in time order."""
        accepted = {Segment(r.lane, r.start, r.stop) for r in self.reviews() if r.verdict == "accept"}
        return [segment for segment in self.segments() if segment not in accepted]

    # Its rows in the file

    def _numbers(self) -> dict[str, int]:
        """Annotator to number of the session, of the same video and task."""
        rows = self._project.rows(
            "SELECT a.name, s.id FROM session s JOIN annotator a ON s.annotator = a.id "
            "JOIN video v ON s.video = v.id WHERE v.name = ? AND s.task = ? ORDER BY a.id",
            *(self.video.name, self.task),
        )
        return dict(rows)

    def _timeline(self, number: int | None = None) -> Timeline:
        """The timeline of a session, by default this one, brought up to date."""
        number = number or self._number
        timeline = self._timelines.setdefault(number, Timeline(self.task, self.video.num_frames))
        rows = self._project.rows(
            "SELECT number, kind, lane, start, stop, target, who, made FROM step "
            "WHERE session = ? AND number > ? ORDER BY number",
            *(number, timeline.steps[-1].number if timeline.steps else 0),
        )
        timeline.play(
            [Step(*row, segments=self._replacement(row[0]) if row[1] == "replace" else ()) for row in rows]
        )
        return timeline

    def _replacement(self, step: int) -> tuple[Segment, ...]:
        rows = self._project.rows("SELECT lane, start, stop FROM segment WHERE step = ?", step)
        return tuple(Segment(*row) for row in rows)

    def _edit(self, kind: str, lane: str | None, start: int, stop: int) -> None:
        start, stop = self._checked_range(start, stop)
        with self._project.writing():
            step = self._add_step(kind, lane, start, stop)
            if self._change:
                segment, comment = self._change
                self._add_review(segment, "change", comment, step)
        self._change = None

    def _undo_or_redo(self, kind: str) -> bool:
        with self._project.writing():
            timeline = self._timeline()
            steps = timeline.done if kind == "undo" else timeline.undone
            if not steps:
                return False
            target = steps[-1]
            self._add_step(kind, target.lane, target.start, target.stop, target.number)
        return True

    def _add_step(self, kind: str, lane: str | None, start: int, stop: int, target: int | None = None) -> int:
        where = {"lane": lane, "start": start, "stop": stop}
        by = {"who": self.who, "made": _now()}
        return self._project.insert("step", session=self._number, kind=kind, **where, target=target, **by)

    def _add_review(self, segment: Segment, verdict: str, comment: str, step: int | None) -> None:
        said = {"verdict": verdict, "comment": comment, "step": step}
        by = {"reviewer": self.who, "made": _now()}
        self._project.insert("review", session=self._number, **vars(segment), **said, **by)

    def _checked_lane(self, lane: str) -> str:
        if lane not in self.lanes:
            fix = f"use one of {', '.join(self.lanes)}"
            raise UserError(self.video.name, f"there is no tag {lane!r}", fix)
        return lane

    def _checked_range(self, start: int, stop: int) -> tuple[int, int]:
        start, stop = operator.index(start), operator.index(stop)  # NumPy's integers too
        if not 0 <= start < stop <= self.video.num_frames:
            problem = f"frames [{start}, {stop}) are not in it"
            fix = f"give at least one frame of [0, {self.video.num_frames})"
            raise UserError(self.video.name, problem, fix)
        return start, stop


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def runs(state: np.ndarray, lanes: Sequence[str]) -> list[Segment]:
    """The unbroken stretches of 1 in ``state`` ``(num_lanes, num_frames)``, in time order, then lane order.

    >>> runs(np.array([[0, 1, 1], [1, 0, 1]]), ("AU1", "AU2"))
    [Segment(lane='AU2', start=0, stop=1), Segment(lane='AU1', start=1, stop=3), \
Segment(lane='AU2', start=2, stop=3)]
    """
    marked = state.astype(bool)
    found = [
        (start, row, stop) for row, mask in enumerate(marked) for start, stop in true_runs(mask).tolist()
    ]
    return [Segment(lanes[row], start, stop) for start, row, stop in sorted(found)]


def to_labels(state: np.ndarray, task: str) -> Labels:
    """Labels of a state: action units are 0 or 1 in all frames; an expression only where one is marked."""
    labels = Labels.empty(state.shape[1])
    if task == "au":
        labels.action_units[:] = state.T
        labels.has_action_units[:] = True
    else:
        labels.has_expression[:] = state.any(axis=0)
        labels.expression[:] = state.argmax(axis=0)
    return labels


def from_labels(labels: Labels, task: str) -> list[Segment]:
    """The segments that labels hold for a task; what is not labelled or not among its lanes is not marked."""
    if task == "au":
        ours = labels.with_action_units(ACTION_UNITS)
        state = ((ours.action_units == 1) & ours.has_action_units).T
    else:
        classes = np.array([labels.expression_names.index(name) for name in EXPRESSIONS])
        state = (labels.expression == classes[:, None]) & labels.has_expression
    return runs(state, LANES[task])


def checked_text(path: str | Path, text: str, what: str) -> str:
    """``text``, or :class:`UserError` if it cannot be stored: some file names are not Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(path, f"{what} {quote(text)} is not Unicode", "type or rename it again") from error
    return text

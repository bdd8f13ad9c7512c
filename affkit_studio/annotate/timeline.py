"""Annotation as a list of steps: what is marked now is what the steps, played one after the other, leave.

Nothing here knows of files. ``project`` keeps the steps; a :class:`Timeline` plays them. Undo
and redo are steps too, so that the list only ever grows: whoever wants to know what an annotator changed
their mind about finds it there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from affkit.errors import UserError
from affkit.labelfiles.run_lengths import true_stretches
from affkit.labels import ACTION_UNITS, EXPRESSIONS, Labels

LANES = {"au": ACTION_UNITS, "expression": EXPRESSIONS}
"""The tags of each task. Action units are marked independently; a frame has one expression (III.C)."""

EXCLUSIVE = {"expression"}
"""The tasks in which marking one lane clears the others."""


@dataclass(frozen=True)
class Segment:
    """One lane is marked in the frames ``[start, stop)``, counted from 0, and in neither neighbour."""

    lane: str
    start: int
    stop: int


@dataclass(frozen=True)
class Step:
    """One thing an annotator did.

    Attributes
    ----------
    number:
        Grows with every step in a project.
    kind:
        ``"mark"``, ``"clear"``, ``"replace"`` (all lanes at once, as an import does), ``"undo"``, ``"redo"``.
    lane, start, stop:
        Where; no lane means all of them. Undo and redo repeat what the step they are about says.
    target:
        For undo and redo, the number of the step they are about.
    segments:
        For ``"replace"``, what is there instead.
    """

    number: int
    kind: str
    lane: str | None
    start: int
    stop: int
    target: int | None = None
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True)
class Edit:
    """A line of the history: a step, who did it and when (ISO 8601, UTC), and whether it is undone now."""

    number: int
    kind: str
    lane: str | None
    start: int
    stop: int
    who: str
    when: str
    undone: bool
    target: int | None = None


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

    Attributes
    ----------
    state:
        ``(num_lanes, num_frames)`` uint8, 1 where a lane is marked.
    done, undone:
        The steps that are in effect, oldest first, and those that redo would bring back, the next one last.
    last:
        Number of the last step it was given, 0 at first.

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
        self.done: list[Step] = []
        self.undone: list[Step] = []
        self.last = 0

    def play(self, steps: Iterable[Step]) -> None:
        """Take in further steps, in the order of their numbers."""
        before, after_undo = len(self.done), False
        for step in steps:
            self.last = step.number
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


def runs(state: np.ndarray, lanes: Sequence[str]) -> list[Segment]:
    """The unbroken stretches of 1 in ``state`` ``(num_lanes, num_frames)``, in time order, then lane order.

    >>> runs(np.array([[0, 1, 1], [1, 0, 1]]), ("AU1", "AU2"))
    [Segment(lane='AU2', start=0, stop=1), Segment(lane='AU1', start=1, stop=3), \
Segment(lane='AU2', start=2, stop=3)]
    """
    marked = state.astype(bool)
    found = [
        (start, row, stop) for row, mask in enumerate(marked) for start, stop in true_stretches(mask).tolist()
    ]
    return [Segment(lanes[row], start, stop) for start, row, stop in sorted(found)]


def checked_lane(name: str, lane: str, task: str) -> str:
    """``lane``, or :class:`UserError` about the video ``name`` if the task has no such tag."""
    if lane not in LANES[task]:
        raise UserError(name, f"there is no tag {lane!r}", f"use one of {', '.join(LANES[task])}")
    return lane


def checked_range(name: str, start: int, stop: int, num_frames: int) -> None:
    """Raise :class:`UserError` unless the video ``name`` has the frames ``[start, stop)``, one or more."""
    if not 0 <= start < stop <= num_frames:
        problem = f"frames [{start}, {stop}) are not in it"
        raise UserError(name, problem, f"give at least one frame of [0, {num_frames})")


def to_labels(state: np.ndarray, task: str) -> Labels:
    """Labels of a state: action units are 0 or 1 in all frames; an expression only where one is marked."""
    num_frames = state.shape[1]
    labels = Labels.empty(num_frames)
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

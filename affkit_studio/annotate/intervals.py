"""Stretches of time, as other annotation tools keep them, to frames and back.

Frame ``i`` of a clip, counted from 0, is shown from ``i / fps`` seconds on; other tools keep that in
milliseconds. Up to 120 frames a second a frame is longer than 8 ms, so that half a millisecond of rounding
never leads to its neighbour, and what is written is read back exactly. Frames and times fit together in clips
of constant rate, which is what ``affkit convert`` makes.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from affkit.errors import UserError
from affkit.labelfiles.csv_text import quote
from affkit_studio.annotate.session import Video
from affkit_studio.annotate.timeline import EXCLUSIVE, LANES, Segment

_HALF_A_MILLISECOND = 0.0006  # and a little, against rounding of the last digit


@dataclass(frozen=True)
class Interval:
    """What a line of a file says.

    Attributes
    ----------
    line:
        Where it says so.
    tag:
        A name of a lane, if all is well.
    start, stop:
        Seconds; a stop of ``None`` makes it the one frame that is shown at ``start``.
    """

    line: int
    tag: str
    start: float
    stop: float | None

    def __str__(self) -> str:
        stop = "" if self.stop is None else f" to {self.stop:.3f}"
        return f"{quote(self.tag)} at {self.start:.3f}{stop} s (line {self.line})"


def milliseconds(frame: int, fps: float) -> int:
    """When a frame is first shown, in whole milliseconds; for ``fps`` up to 120, see :func:`frame_at`.

    >>> [milliseconds(frame, 30) for frame in range(4)]
    [0, 33, 67, 100]
    """
    return round(frame * 1000 / fps)


def frame_at(seconds: float, fps: float) -> int:
    """The frame that begins nearest to a time.

    >>> [frame_at(time, 30) for time in (0, 0.033, 0.067, 0.100)]
    [0, 1, 2, 3]
    """
    return round(seconds * fps)


def to_segments(path: str | Path, intervals: Iterable[Interval], video: Video, task: str) -> list[Segment]:
    """Segments of a task from the intervals in the file ``path``, in time order.

    What is shorter than a frame becomes the frame it begins in.

    Raises
    ------
    UserError
        Naming the line of a tag that the task does not have or a time outside the clip, or the two lines of
        tags that overlap although they exclude each other.
    """
    placed = [(_segment(path, interval, video, task), interval) for interval in intervals]
    placed.sort(key=lambda pair: (pair[0].start, pair[0].stop))
    if task in EXCLUSIVE:
        _refuse_overlaps(path, placed)
    return [segment for segment, _ in placed]


def _segment(path: str | Path, interval: Interval, video: Video, task: str) -> Segment:
    if interval.tag not in LANES[task]:
        problem = f"line {interval.line}: there is no tag {quote(interval.tag)}"
        raise UserError(path, problem, f"rename or delete it; the tags are {', '.join(LANES[task])}")
    times = [interval.start] if interval.stop is None else [interval.start, interval.stop]
    duration = video.num_frames / video.fps
    # a clip's length is known to a frame at best, and tools differ in where the last one ends
    if not all(math.isfinite(time) and 0 <= time <= duration + 1 / video.fps for time in times):
        raise UserError(
            path, f"{interval} is not in the clip, which lasts {duration:.3f} s", "correct the time"
        )
    if times != sorted(times):
        raise UserError(path, f"{interval} stops before it starts", "correct the times")
    start, stop = (min(frame_at(time, video.fps), video.num_frames) for time in (times[0], times[-1]))
    if start == stop:
        shown = math.floor((interval.start + _HALF_A_MILLISECOND) * video.fps)
        start = min(shown, video.num_frames - 1)
        stop = start + 1
    return Segment(interval.tag, start, stop)


def _refuse_overlaps(path: str | Path, placed: list[tuple[Segment, Interval]]) -> None:
    """Raise :class:`UserError` for the first two of ``placed``, sorted by start, that cannot both be."""
    before, first = Segment("", 0, 0), None  # what reaches furthest so far
    for segment, interval in placed:
        if segment.start < before.stop and segment.lane != before.lane:
            mend = "a frame has one expression: shorten one of them"
            raise UserError(path, f"{first} overlaps {interval}", mend)
        if segment.stop > before.stop:
            before, first = segment, interval

"""Any frame of a clip at once: for tools in which a person moves about in time.

:func:`affkit.video.video.read_frames` reads on from one place. Here the decoder stays open: one step forward
decodes one frame, a jump decodes from the last keyframe before it, and the frames passed on the way are kept
for a while, so that stepping back is quick too.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from affkit.errors import UserError
from affkit.files import existing_file
from affkit.video.video import View, decode, frame_rate, frame_times, open_video

CACHE_BYTES = 192 * 2**20
"""Memory for decoded frames: about 140 of 1280 x 720, 60 of 1920 x 1080."""


class SeekableVideo:
    """A clip that stays open; its frames have the numbers :func:`~affkit.video.video.read_frames` gives them.

    In H.264 in MP4, which is what ``affkit convert`` writes, the times of all frames are read from the index
    of the file, without decoding. Other files are decoded once at opening, to count, and again from the start
    for each jump back: nothing else is sure to count right there.

    Parameters
    ----------
    path:
        The file.
    cache_bytes:
        Bound of the memory for decoded frames.

    Attributes
    ----------
    num_frames:
        How many frames there are.
    fps:
        Mean frames a second.
    width, height:
        Size in pixels as shown, after the rotation.

    Raises
    ------
    UserError
        If there is no such file, or no frame of it can be decoded.

    >>> import tempfile
    >>> from affkit.video.video import write_video
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_video(f"{folder}/a.mp4", (np.full((48, 64, 3), 8 * i, np.uint8) for i in range(20)))
    ...     with SeekableVideo(f"{folder}/a.mp4") as video:
    ...         video.num_frames, video.frame(15).shape, round(video.frame(15).mean() / 8)
    (20, (48, 64, 3), 15)
    """

    def __init__(self, path: str | Path, cache_bytes: int = CACHE_BYTES):
        self.path = existing_file(path)
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[int, VideoFrame] = OrderedDict()  # the one used last is at the end
        self._stack = ExitStack()
        self._open()
        self.fps: Fraction = frame_rate(self._stream)
        times = frame_times(self._container, self._stream)
        self._times = times or None  # None: numbers are found by counting from the start
        self._numbers = {time: number for number, time in enumerate(times or [])}
        self.num_frames = len(times) if times else self._count()
        first = self._decoded(0)
        self._view = View.of(first, self._stream)
        self.width, self.height = self._view.shown_size

    def __enter__(self) -> "SeekableVideo":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and forget the frames; may be called twice."""
        self._stack.close()
        self._cache.clear()

    def frame(self, i: int) -> np.ndarray:
        """Frame ``i``, 0-based, as ``(H, W, 3)`` uint8 RGB; the array is the caller's to change.

        Raises
        ------
        IndexError
            If there is no frame ``i``.
        UserError
            If the file is gone or damaged at that place.
        """
        if not 0 <= i < self.num_frames:
            raise IndexError(f"frame {i} of {self.num_frames}")
        view = self._view
        picture = self._decoded(i).to_ndarray(format="rgb24", width=view.width, height=view.height)
        return np.ascontiguousarray(view.turn(picture))

    def _open(self) -> None:
        """Open the file anew, at its start."""
        self._stack.close()
        self._container, self._stream = self._stack.enter_context(open_video(self.path))
        self._frames: Iterator[tuple[int, VideoFrame]] = iter(())
        self._next: int | None = None  # number of the frame the decoder gives next

    def _count(self) -> int:
        number = sum(1 for _ in decode(self.path, self._container, self._stream))
        self._open()
        return number

    def _decoded(self, i: int) -> VideoFrame:
        if i not in self._cache:
            existing_file(self.path)  # an open file can be read on after it was deleted: say so now
            try:
                self._read_to(i)
            except (av.FFmpegError, OSError) as error:
                problem = f"frame {i + 1} cannot be read"
                raise UserError(self.path, problem, "copy or download the video again") from error
        if i not in self._cache:
            raise UserError(self.path, f"frame {i + 1} is damaged", "copy or download the video again")
        self._cache.move_to_end(i)
        return self._cache[i]

    def _read_to(self, i: int) -> None:
        """Put frame ``i`` and those on the way to it into the cache."""
        # Up to two seconds ahead, going on is no slower than a jump.
        if self._next is None or not self._next <= i <= self._next + 2 * self.fps:
            self._jump(i)
        first = self._read_on(i)
        if first is not None and first > i:  # a keyframe that is shown late: take the long way
            self._jump(0)
            self._read_on(i)

    def _read_on(self, i: int) -> int | None:
        """Decode up to frame ``i``; the number of the first frame that came."""
        first = None
        self._next = None  # at the end of the file, or after an error, the next call has to jump
        for number, frame in self._frames:
            first = number if first is None else first
            self._keep(number, frame)
            if number >= i:
                self._next = number + 1
                break
        return first

    def _jump(self, i: int) -> None:
        """Let ``_frames`` start at ``i`` or at a frame before it."""
        if self._times is None:
            if self._next is None or self._next > i:
                self._open()
                frames = decode(self.path, self._container, self._stream)
                self._frames = ((number, frame) for number, _, frame in frames)
            return
        self._container.seek(self._times[i], stream=self._stream)
        self._frames = (
            (self._numbers[frame.pts], frame)
            for frame in self._container.decode(self._stream)
            if frame.pts in self._numbers
        )

    def _keep(self, number: int, frame: VideoFrame) -> None:
        self._cache[number] = frame
        self._cache.move_to_end(number)
        size = sum(plane.buffer_size for plane in frame.planes)
        while len(self._cache) > max(1, self._cache_bytes // size):
            self._cache.popitem(last=False)

"""One clip to MP4, H.264, constant 30 frames a second (the paper, III.A), and its label lines with it."""

import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from affkit.errors import UserError
from affkit.files import existing_file, refuse_existing, write_beside
from affkit.video.video import CRF, FPS, H264, View, decode, frame_rate, open_video

Frame = TypeVar("Frame")

_LONGEST_STILL = 600  # seconds; a longer one is a broken clock in the file, and would fill the disk


def convert_video(
    source: str | Path, target: str | Path, force: bool = False, tick: Callable[[int], object] | None = None
) -> np.ndarray:
    """Convert one clip to MP4, H.264, yuv420p, 30 frames a second, upright, even size, without sound.

    :func:`retime` says which frame is shown when. A size that is odd loses one line or column at the end:
    nothing is scaled, unless the source has pixels that are not square.

    Parameters
    ----------
    source, target:
        The clip, and the MP4 file to write.
    force:
        Whether to replace ``target``.
    tick:
        Called with 1 after every source frame.

    Returns
    -------
    ``(T,)`` int64, not decreasing: the number, from 0, of the source frame that each new frame shows.

    Raises
    ------
    UserError
        If ``source`` is not a clip with at least one sound frame, ``target`` exists, or the disk is full.
    """
    source, target = existing_file(source), Path(target)
    refuse_existing(target, force)
    with write_beside(target) as part:
        return transcode(source, part, tick)


def retime(
    frames: Iterable[tuple[Fraction, Frame]], step: Fraction, fps: int = FPS
) -> Iterator[tuple[Frame, int]]:
    """Each source frame with the number of new frames that show it: 0 if it is dropped, 2 if repeated.

    New frame i is what a player shows at i/fps seconds, where a source frame appears at the multiple of
    1/fps next to its time and stays until another one does. So a clip of 30 frames a second keeps each of
    its frames even if its times are rounded to milliseconds, as in WebM; a still picture of a variable rate
    stays as long as it was; and no frame is shown more than half a step early or late.

    Parameters
    ----------
    frames:
        Time in seconds, not decreasing, and frame; the first time counts as 0.
    step:
        How long the last frame is shown, in seconds.
    fps:
        New frames a second.

    Yields
    ------
    Frame and count, one step behind ``frames``. There is at least one new frame in all.

    >>> list(retime([(Fraction(i, 25), i) for i in range(5)], Fraction(1, 25)))  # 5 frames become 6
    [(0, 1), (1, 1), (2, 2), (3, 1), (4, 1)]
    >>> list(retime([(Fraction(i, 60), i) for i in range(4)], Fraction(1, 60)))
    [(0, 1), (1, 0), (2, 1), (3, 0)]
    """

    def place(time: Fraction) -> int:
        return math.floor((time - start) * fps + Fraction(1, 2))

    frames = iter(frames)
    start, waiting = next(frames)
    time, done = start, 0  # new frames so far
    for time, frame in frames:
        yield waiting, place(time) - done
        waiting, done = frame, place(time)
    yield waiting, max(place(time + step) - done, 0 if done else 1)


def retime_lines(text: str, frames: np.ndarray) -> str:
    """Label lines in the order of new frames; frames that the text has no line for are left out.

    Parameters
    ----------
    text:
        A header, if the first line is not numbers, and one line for each source frame.
    frames:
        ``(T,)`` int, from 0 and not decreasing: the source frame of each new frame.

    >>> retime_lines("valence,arousal\\n0.1,0\\n0.2,0", np.array([0, 0, 1, 2]))
    'valence,arousal\\n0.1,0\\n0.1,0\\n0.2,0\\n'
    """
    header, lines = split_lines(text)
    return "".join(f"{line}\n" for line in header + [lines[i] for i in frames if i < len(lines)])


def split_lines(text: str) -> tuple[list[str], list[str]]:
    """The header, or nothing if the first line is numbers, and the lines of the frames."""
    lines = text.split("\n")
    try:
        [float(cell) for cell in lines[0].split(",")]
    except ValueError:
        return lines[:1], lines[1:]
    return [], lines


def transcode(source: Path, target: Path, tick: Callable[[int], object] | None = None) -> np.ndarray:
    """As :func:`convert_video`, into a file that others do not see yet."""
    mapping: list[int] = []
    with open_video(source) as (container, stream), av.open(f"file:{target}", "w", format="mp4") as output:
        step = 1 / frame_rate(stream)
        view = encoder = None
        timed = ((time, frame) for _, time, frame in decode(source, container, stream))
        for index, (frame, count) in enumerate(retime(timed, step)):
            if encoder is None:
                view = View.of(frame, stream)
                encoder = _add_encoder(source, output, view, frame)
            if count > _LONGEST_STILL * FPS:
                problem = f"stands still for {count // FPS} s after frame {index + 1}: its clock is broken"
                raise UserError(source, problem, "copy the video track into a new file with new times")
            if count:
                frame = _fit(frame, view)
            for _ in range(count):
                frame.pts, frame.time_base = len(mapping), Fraction(1, FPS)
                output.mux(encoder.encode(frame))
                mapping.append(index)
            if tick is not None:
                tick(1)
        output.mux(encoder.encode())
    return np.array(mapping, np.int64)


def _add_encoder(source: Path, output: OutputContainer, view: View, frame: VideoFrame) -> VideoStream:
    width, height = (size // 2 * 2 for size in view.shown_size)
    if not width or not height:
        raise UserError(source, f"is {view.width} x {view.height} pixels", "give a clip of 2 x 2 or more")
    encoder = output.add_stream("libx264", rate=FPS, options=H264 | {"crf": str(CRF)})
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    context = encoder.codec_context
    context.time_base = Fraction(1, FPS)
    context.color_range = ColorRange.MPEG
    if not frame.format.is_rgb:  # else players guess, and guess the colours of a large clip wrong
        context.colorspace = frame.colorspace
        context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
    return encoder


def _fit(frame: VideoFrame, view: View) -> VideoFrame:
    """The frame as the encoder takes it; most are passed on without a copy."""
    scaled = (frame.width, frame.height) != (view.width, view.height)
    if scaled or frame.format.name != "yuv420p" or frame.color_range == ColorRange.JPEG:
        frame = frame.reformat(view.width, view.height, "yuv420p", dst_color_range=ColorRange.MPEG)
    if not view.is_upright or view.width % 2 or view.height % 2:
        frame = _turn(frame, view)
    frame.pict_type = 0  # where the source had a keyframe is not x264's business
    return frame


def _turn(frame: VideoFrame, view: View) -> VideoFrame:
    """Turn each plane upright and cut it to an even size."""
    width, height = (size // 2 * 2 for size in view.shown_size)
    planes = []
    for number, plane in enumerate(frame.planes):
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        part = 2 if number else 1  # colour has half the resolution
        planes.append(view.turn(rows)[: height // part, : width // part].ravel())
    return VideoFrame.from_ndarray(np.concatenate(planes).reshape(-1, width), "yuv420p")

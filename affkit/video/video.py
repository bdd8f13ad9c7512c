"""Frames in, frames out: what a clip is, its frames as arrays, arrays as a clip.

Frames come as a player shows them: turned upright where the file carries a rotation flag, as phones write
it, and with square pixels. All decoding goes through FFmpeg in the form of PyAV.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideData
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from affkit.errors import UserError
from affkit.files import existing_file, write_beside

FPS = 30
"""Frames a second of the paper's videos (Section III.A)."""

# H.264 as we write it. The faces are cut out and made smaller later, so CRF 20, at which people hardly see a
# difference, loses nothing; "veryfast" takes 0.4 of the time of the default for files as large (720p, noisy).
# A keyframe every second lets read_frames start anywhere after decoding 29 frames at most. The number of
# threads changes the bytes x264 writes, so it is fixed: same clip, same machine, same bytes.
CRF = 20
H264 = {"preset": "veryfast", "g": str(FPS), "threads": "4"}

# On a busy virtual machine x264 with AVX-512 gave other bytes in 1 of 80 runs, with AVX2 in none of 1,000.
# The usual bytes of both are the same.
_AVX512_SKX = 256  # number of the feature in OpenCV's interface.h; Python has no name for it
if cv2.checkHardwareSupport(_AVX512_SKX):
    H264["x264-params"] = "asm=avx2"

# Only real containers: FFmpeg would also "play" a text file, a picture, or a playlist that names other files.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,dv,gif,h264,hevc,m4v"
)
_OPEN = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
_STARTS_OF_VIDEOS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"RIFF", b"\x1aE\xdf\xa3")


@dataclass(frozen=True)
class VideoInfo:
    """What :func:`probe` knows about a clip.

    Attributes
    ----------
    path:
        The file.
    width, height:
        Size in pixels as shown, after the rotation.
    num_frames:
        How many frames the file says it holds; where it does not say (WebM), its packets are counted.
    fps:
        Mean frames a second.
    duration:
        Seconds.
    rotation:
        Degrees, counter-clockwise, by which the stored pictures are turned to be shown: 0, 90, 180, 270.
    """

    path: Path
    width: int
    height: int
    num_frames: int
    fps: Fraction
    duration: float
    rotation: int


@dataclass(frozen=True)
class View:
    """How stored pictures become shown ones: scaled to ``width`` x ``height``, transposed, then mirrored."""

    width: int
    height: int
    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame, stream: VideoStream) -> "View":
        """From the first frame of a clip, which carries the display matrix of its container."""
        pixel = stream.sample_aspect_ratio or Fraction(1)
        width = max(1, round(frame.width * pixel))
        matrix = next((side for side in frame.side_data if side.type == SideData.DISPLAYMATRIX), None)
        if matrix is None:
            return cls(width, frame.height)
        # A stored point (p, q) is shown at (a p + c q, b p + d q); x points right, y down.
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
        if abs(b) > abs(a):
            return cls(width, frame.height, transpose=True, flip_x=c < 0, flip_y=b < 0)
        return cls(width, frame.height, flip_x=a < 0, flip_y=d < 0)

    @property
    def is_upright(self) -> bool:
        return not (self.transpose or self.flip_x or self.flip_y)

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height after the rotation."""
        return (self.height, self.width) if self.transpose else (self.width, self.height)

    def turn(self, picture: np.ndarray) -> np.ndarray:
        """Turn an array ``(H, W)`` or ``(H, W, 3)``; a view of it, nothing is copied."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        return picture[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


def probe(path: str | Path) -> VideoInfo:
    """What a clip is, after decoding its first frame to be sure that it can be.

    Raises
    ------
    UserError
        If there is no such file, it is a folder, empty, not a video, has sound only, or no frame of it can
        be decoded.
    """
    path = existing_file(path)
    with open_video(path) as (container, stream):
        _, _, frame = next(decode(path, container, stream))
        view, rotation = View.of(frame, stream), frame.rotation % 360
        num_frames, fps = stream.frames or _count_packets(container, stream), frame_rate(stream)
        duration = _duration(container, stream) or num_frames / fps
    return VideoInfo(path, *view.shown_size, num_frames, fps, float(duration), rotation)


def read_frames(
    path: str | Path, start: int = 0, stop: int | None = None, format: Literal["rgb24", "gray"] = "rgb24"
) -> Iterator[np.ndarray]:
    """The frames ``start`` to ``stop - 1`` of a clip, one by one, as they are shown; frame 0 is the first.

    In H.264 in MP4, which is what ``affkit convert`` writes, reading starts at the last keyframe before
    ``start``; in other files all frames before are decoded, since only that is sure to count right.

    Yields
    ------
    ``(H, W, 3)`` uint8 RGB, or ``(H, W)`` uint8 for ``"gray"``. The arrays are the caller's to change.

    Raises
    ------
    UserError
        As in :func:`probe`. A clip that breaks later gives its sound frames and a warning.
    """
    if start < 0:
        raise ValueError(f"start is {start}; the first frame is 0")
    path = existing_file(path)
    with open_video(path) as (container, stream):
        view = None
        for number, _, frame in decode(path, container, stream, start):
            if stop is not None and number >= stop:
                return
            if number >= start:
                view = view or View.of(frame, stream)
                picture = frame.to_ndarray(format=format, width=view.width, height=view.height)
                yield np.ascontiguousarray(view.turn(picture))


def frame_seconds(path: str | Path) -> np.ndarray:
    """When each frame of a clip that can be decoded is shown: ``(T,)`` float64 seconds from the first.

    Raises :class:`UserError` as :func:`probe` does.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_video(f"{folder}/a.mp4", np.zeros((3, 48, 64, 3), np.uint8), fps=25)
    ...     frame_seconds(f"{folder}/a.mp4")
    array([0.  , 0.04, 0.08])
    """
    path = existing_file(path)
    with open_video(path) as (container, stream):
        times = [time for _, time, _ in decode(path, container, stream)]
    return np.array([float(time - times[0]) for time in times])


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float | Fraction = FPS,
    crf: int = CRF,
    codec: str = "libx264",
    rotation: int = 0,
    times: Sequence[float] | None = None,
) -> None:
    """Write frames as a clip, all of it or nothing; the suffix of ``path`` chooses the container.

    Parameters
    ----------
    path:
        Where to; an existing file is replaced.
    frames:
        ``(H, W, 3)`` uint8 RGB, all of one size; H.264 wants even sizes.
    fps:
        Frames a second.
    crf:
        Quality of H.264 and VP9, lower is better; 20 is hardly told from the original.
    codec:
        Any encoder of FFmpeg: ``libx264``, ``mjpeg``, ``libvpx-vp9``, ``mpeg4``.
    rotation:
        Degrees, counter-clockwise, by which a player is told to turn the frames: the flag phones write.
    times:
        When each frame is shown, in increasing seconds, for a variable frame rate; MP4, MOV and WebM only.

    Raises
    ------
    ValueError
        If there is no frame.
    UserError
        If the disk is full.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_video(f"{folder}/a.mp4", np.zeros((4, 48, 64, 3), np.uint8))
    ...     info = probe(f"{folder}/a.mp4")
    >>> info.width, info.height, info.num_frames, info.fps
    (64, 48, 4, Fraction(30, 1))
    """
    rate = Fraction(fps).limit_denominator(1001)
    options = {"libx264": H264 | {"crf": str(crf)}, "libvpx-vp9": {"crf": str(crf), "b": "0"}}.get(codec, {})
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"no frames to write to {path}")
    tick = Fraction(1, 90_000) if times is not None else 1 / rate
    with write_beside(path) as part, av.open(f"file:{part}", "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = tick
        if codec == "mjpeg":  # its quality is set by the quantiser: 3 is good, 31 the worst
            stream.codec_context.qmin = stream.codec_context.qmax = 3
        if rotation:
            stream.set_display_rotation(rotation)
        for i, picture in enumerate(_chain(first, frames)):
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts = i if times is None else round(Fraction(times[i]) / tick)
            frame.time_base = tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _chain(first: np.ndarray, rest: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from rest


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a clip for :func:`decode`; :class:`UserError` if it is none."""
    try:
        container = av.open(f"file:{path}", options=_OPEN)
    except av.FFmpegError as error:
        with open(path, "rb") as file:
            head = file.read(8)
        if head[4:8] in _STARTS_OF_VIDEOS or head[:4] in _STARTS_OF_VIDEOS:
            raise _broken(path, "is a video that is damaged or cut short") from error
        problem = "is not a video"
        raise UserError(path, problem, "give a video file, such as MP4, MOV, AVI, WebM or MKV") from error
    with container:
        if not container.streams:
            raise _broken(path, "is a video that is damaged or cut short")
        # the cover picture of a sound file is a video stream too
        streams = [
            s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams:
            raise UserError(path, "has no pictures, only sound", "give a file with a video track")
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def decode(
    path: Path, container: InputContainer, stream: VideoStream, start: int = 0
) -> Iterator[tuple[int, Fraction, VideoFrame]]:
    """Frames in the order they are shown: number, time in seconds as the file has it, and the frame.

    The first one is frame ``start`` or one before it. A clip that breaks ends at the last frame before the
    break, with a warning: what follows could not be counted, and labels would shift.

    Raises
    ------
    UserError
        If no frame can be decoded.
    """
    clock = _Clock(stream, frame_times(container, stream) if start else None)
    held, whole = [], True
    if clock.all_pts:
        container.seek(clock.all_pts[min(start, len(clock.all_pts) - 1)], stream=stream)
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:  # cut off in the middle
                whole = False
                break
            if packet.size:  # an empty one would tell the decoder that this is the end
                yield from map(clock.stamp, packet.decode())
        held = [clock.stamp(frame) for frame in stream.decode(None)]
    except av.FFmpegError:
        whole = False
    if clock.time is None:
        raise _broken(path, "not one frame can be decoded")
    if whole and _duration(container, stream) - (clock.end - clock.start) < 0.5:
        yield from held
    else:  # of the last frames some may be missing: stop at the first gap
        gaps = clock.gaps[len(clock.gaps) - len(held) :]
        num_sound = next((i for i, gap in enumerate(gaps) if gap > 1.5), len(held))
        yield from held[:num_sound]
        count = clock.number - len(held) + num_sound
        message = f"{path}: breaks off after frame {count}; the frames up to there are used"
        warnings.warn(message, stacklevel=2)


class _Clock:
    """Gives frames their numbers and times, also where the file has no time or one that goes back.

    Without ``all_pts``, the times of all frames in the file, the first frame is number 0.
    """

    def __init__(self, stream: VideoStream, all_pts: list[int] | None):
        self.unit, self.step = stream.time_base, 1 / frame_rate(stream)
        self.start = (stream.start_time or 0) * stream.time_base
        self.all_pts = all_pts
        self.number = 0  # of the next frame
        self.time = self.end = None  # of the last frame
        self.gaps: list[float] = []  # between each frame and the one before, in mean gaps

    def stamp(self, frame: VideoFrame) -> tuple[int, Fraction, VideoFrame]:
        number, following = self.number, self.start
        if self.time is not None:
            following = self.time + self.step
        elif self.all_pts:
            number = self.all_pts.index(frame.pts)
        time = following if frame.pts is None else frame.pts * self.unit
        if self.time is not None and time < self.time:
            time = following
        self.gaps.append(1.0 if self.time is None else float((time - self.time) / self.step))
        self.number, self.time = number + 1, time
        self.end = time + max(self.step, (frame.duration or 0) * self.unit)
        return number, time, frame


def _broken(path: Path, problem: str) -> UserError:
    return UserError(path, problem, "copy or download it again")


def frame_rate(stream: VideoStream) -> Fraction:
    """Mean frames a second; 30 where the file does not say."""
    return stream.average_rate or stream.guessed_rate or Fraction(FPS)


def _duration(container: InputContainer, stream: VideoStream) -> Fraction:
    """Seconds of the pictures as the file says, or 0 where it only knows those of pictures and sound."""
    if stream.duration:
        return stream.duration * stream.time_base
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, av.time_base)
    return Fraction(0)


def _count_packets(container: InputContainer, stream: VideoStream) -> int:
    container.seek(0)
    return sum(packet.size > 0 for packet in container.demux(stream))


def frame_times(container: InputContainer, stream: VideoStream) -> list[int] | None:
    """The times of all frames without decoding any, or ``None`` where a packet may not be one frame."""
    if stream.codec_context.name != "h264" or "mp4" not in container.format.name:
        return None
    packets = (packet for packet in container.demux(stream) if packet.size and not packet.is_discard)
    return sorted(packet.pts for packet in packets if packet.pts is not None)

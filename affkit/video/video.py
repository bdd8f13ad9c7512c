"""A clip that is opened once and handed on, and arrays as a clip; all decoding is FFmpeg's, through PyAV.

Frame i is the i-th picture that decoding yields, in the order in which they are shown, counted from 0. What
a file says of itself (its number of frames, its packets) is a hint, no more: it is wrong after a cut without
encoding, after dropped frames, in a stream without a container.

Frames come as a player shows them: turned upright where the file carries a rotation flag, as phones write it,
with square pixels, all of the size of the first, and in the colours of a usual screen.
"""

import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.filter import Graph
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from affkit.errors import UserError
from affkit.files import existing_file, write_beside

FPS = 30  # frames a second of the paper's videos (Section III.A)

# H.264 as we write it. The faces are cut out and made smaller later, so CRF 20, at which people hardly see a
# difference, loses nothing; "veryfast" takes 0.4 of the time of the default for files as large (720p, noisy).
# With a keyframe every second, reading starts anywhere after decoding 29 frames at most. The number of
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
_STARTS_OF_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")
_STARTS_OF_VIDEOS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"RIFF", b"\x1aE\xdf\xa3")

WIDEST_PIXEL = 4  # widths to height, or the other way round
_TICK = Fraction(1, 90_000)  # any: filters only hand times on
_HDR = (16, 18)  # transfer characteristics of ITU-T H.273: PQ and HLG
_TO_SDR = "out_transfer=bt709:out_primaries=bt709:out_color_matrix=bt709:out_range=tv"

CACHE_BYTES = 192 * 2**20  # for decoded frames in Video.frame: about 140 of 1280 x 720, 60 of 1920 x 1080


@dataclass(frozen=True)
class View:
    """How stored pictures become shown ones: scaled to ``width`` x ``height``, transposed, then mirrored."""

    width: int
    height: int
    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame, pixel: Fraction) -> "View":
        """From the first frame, which carries the display matrix of its container, and :func:`_pixel`."""
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
        return (self.height, self.width) if self.transpose else (self.width, self.height)

    def turn(self, picture: np.ndarray) -> np.ndarray:
        """Turn an array ``(H, W)`` or ``(H, W, 3)``; a view of it, nothing is copied."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        return picture[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


class Video:
    """A clip, opened once: what it is, its frames in order, when each is shown, and any frame at once.

    In H.264 in MP4 (``affkit convert``) reading starts at the last keyframe before a frame, by the file's
    index; other files are counted from their start each time: nothing else is sure to count right. A
    :class:`UserError` says so if no frame can be decoded. Of several tracks the one marked as default is
    read, or the largest, with a warning that names it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_video(f"{folder}/a.mp4", (np.full((48, 64, 3), 8 * i, np.uint8) for i in range(20)), fps=25)
    ...     with Video(f"{folder}/a.mp4") as video:
    ...         video.width, video.height, video.num_frames, video.fps
    ...         video.seconds[:3], [round(frame.mean() / 8) for frame in video.frames(2, 5)]
    ...         round(video.frame(15).mean() / 8)
    (64, 48, 20, Fraction(25, 1))
    (array([0.  , 0.04, 0.08]), [2, 3, 4])
    15
    """

    def __init__(self, path: str | Path, cache_bytes: int = CACHE_BYTES):
        self.path = Path(path)
        self.container, self.stream = _open_video(self.path)
        _warn_of_other_tracks(self.path, self.container, self.stream)
        self._numbers: dict[int, int] | None = None  # time to number, looked up when it is needed first
        self._seconds: np.ndarray | None = None
        self._reader: object = None  # who reads now
        self._cache: OrderedDict[int, VideoFrame] = OrderedDict()  # the one used last is at the end
        self._cache_bytes = cache_bytes
        self._ahead: Iterator[tuple[int, Fraction, VideoFrame]] = iter(())  # what frame() reads on from
        self._next: int | None = None  # number of the frame that comes next there
        self.fps: Fraction = _rate(self.container, self.stream)
        self._alike: _Alike | None = None
        _, _, first = next(self._decode_on({}))
        # degrees, counter-clockwise, by which the stored pictures are turned; and pixels as shown
        self.view, self.rotation = View.of(first, _pixel(self.path, self.stream)), first.rotation % 360
        self.width, self.height = self.view.shown_size
        self._alike = _Alike(self.path, first)
        # how many frames the file says it has, or else its packets: a hint, see num_frames
        self.listed_frames: int = self.stream.frames or sum(1 for _ in self.packets())
        self.breaks_off = False  # known once it was read to its end
        duration = _duration(self.container, self.stream) or self.listed_frames / self.fps
        self.duration = float(duration)  # seconds

    @classmethod
    @contextmanager
    def of(cls, video: "str | Path | Video") -> Iterator["Video"]:
        """Open a path for a ``with`` block; a video that is open already is handed on and stays open."""
        if isinstance(video, cls):
            yield video
        else:
            with cls(video) as opened:
                yield opened

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def close(self) -> None:
        self.container.close()
        self._cache.clear()
        self._ahead = iter(())

    @property
    def num_frames(self) -> int:
        """Frames that can be shown: those in the index of an MP4; of another file all are decoded, once."""
        return len(self._index() or self.seconds)

    def __len__(self) -> int:
        return self.num_frames

    @property
    def seconds(self) -> np.ndarray:
        """When each frame that can be decoded is shown: ``(T,)`` float64 seconds from the first."""
        if self._seconds is None:
            for _ in self.decode():
                pass
        return self._seconds

    def frames(
        self, start: int = 0, stop: int | None = None, format: Literal["rgb24", "gray"] = "rgb24"
    ) -> Iterator[np.ndarray]:
        """Frames ``start`` to ``stop - 1``, ``(H, W, 3)`` uint8 RGB or ``(H, W)`` for "gray": yours to
        change.

        A clip that breaks gives its sound frames and a warning.
        """
        if start < 0:
            raise ValueError(f"start is {start}; the first frame is 0")
        for number, _, frame in self.decode(start):
            if stop is not None and number >= stop:
                return
            if number >= start:
                yield self._shown(frame, format)

    def frame(self, i: int) -> np.ndarray:
        """Frame ``i`` as ``(H, W, 3)`` uint8 RGB, for moving about in time: a step forward decodes one frame,
        a jump from the last keyframe, and frames passed on the way are kept for a while. :class:`IndexError`
        if there is none, :class:`UserError` if the file is gone or damaged there.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"frame {i} of {len(self)}")
        if i not in self._cache:
            existing_file(self.path)  # an open file can be read on after it was deleted: say so now
            with suppress(UserError):
                self._read_to(i)
        if i not in self._cache:
            raise UserError(self.path, f"frame {i + 1} is damaged", "copy or download the video again")
        self._cache.move_to_end(i)
        return self._shown(self._cache[i])

    def decode(self, start: int = 0) -> Iterator[tuple[int, Fraction, VideoFrame]]:
        """Stored frames as shown, from ``start`` or one before: number, time in seconds as stored, frame.

        A clip that breaks ends before the break, with a warning: what follows could not be counted.
        """
        self._reader = reader = object()
        frames = self._decode_on(self._go_to(start))
        first = next(frames)
        if first[0] > start:  # a keyframe that is shown after frames stored behind it: take the long way
            frames = self._decode_on(self._go_to(0))
            first = next(frames)
        times = []
        for number, time, frame in chain([first], frames):
            times.append(time)
            yield number, time, frame
            if self._reader is not reader:
                raise RuntimeError(f"{self.path}: is read by two at a time; open it twice")
        if start == 0:
            self._seconds = np.array([float(time - times[0]) for time in times])

    def packets(self) -> Iterator[av.Packet]:
        """The pictures as they are in the file, not decoded."""
        self._rewind()
        return (packet for packet in self.container.demux(self.stream) if packet.size)

    def _index(self) -> dict[int, int]:
        """Time of each frame to its number; nothing where a packet may not be one frame, as in a file with
        gaps: what follows a lost packet may not be decodable.
        """
        if self._numbers is None:
            self._numbers = {}
            if self.stream.codec_context.name == "h264" and "mp4" in self.container.format.name:
                packets = list(self.packets())
                times = sorted(packet.pts for packet in packets if packet.pts is not None)
                gaps = np.diff(times)
                even = len(gaps) == 0 or (gaps.min() > 0 and gaps.max() - gaps.min() <= 1)
                plain = packets[0].is_keyframe and not any(packet.is_discard for packet in packets)
                if even and plain and len(times) == len(packets) == self.stream.frames:
                    self._numbers = {time: number for number, time in enumerate(times)}
        return self._numbers

    def _go_to(self, start: int) -> dict[int, int]:
        """Go to where frame ``start`` can be decoded; the numbers of frames by their time."""
        if self._index():
            times = list(self._index())
            self.container.seek(times[min(start, len(times) - 1)], stream=self.stream)
        else:
            self._rewind()
        return self._index()

    def _rewind(self) -> None:
        """Go to the start; a stream without a container can be read anew only."""
        self.container.close()
        self.container, self.stream = _open_video(self.path)

    def _decode_on(self, numbers: dict[int, int]) -> Iterator[tuple[int, Fraction, VideoFrame]]:
        """As :meth:`decode`, from where the container is."""
        clock, alike = _Clock(self.stream, self.fps, numbers), self._alike or (lambda frame, number: frame)

        def stamped(frame: VideoFrame) -> tuple[int, Fraction, VideoFrame]:
            number, time = clock.stamp(frame)
            return number, time, alike(frame, number)

        held, whole = [], True
        try:
            for packet in self.container.demux(self.stream):
                if packet.is_corrupt:  # cut off in the middle
                    whole = False
                    break
                if packet.size:  # an empty one would tell the decoder that this is the end
                    yield from map(stamped, packet.decode())
            held = list(map(stamped, self.stream.decode(None)))
        except av.FFmpegError:
            whole = False
        if clock.time is None:
            raise _broken(self.path, "not one frame can be decoded")
        if whole and _duration(self.container, self.stream) - (clock.end - clock.start) < 0.5:
            yield from held
        else:  # of the last frames some may be missing: stop at the first gap
            gaps = clock.gaps[len(clock.gaps) - len(held) :]
            num_sound = next((i for i, gap in enumerate(gaps) if gap > 1.5), len(held))
            self.breaks_off = True
            yield from held[:num_sound]
            count = clock.number + 1 - len(held) + num_sound
            message = f"{self.path}: breaks off after frame {count}; the frames up to there are used"
            warnings.warn(message, stacklevel=2)

    def _read_to(self, i: int) -> None:
        """Put frame ``i`` and those on the way to it into the cache."""
        # Up to two seconds ahead, going on is no slower than a jump; without an index nothing is quicker.
        if self._next is None or i < self._next or (self._numbers and i > self._next + 2 * self.fps):
            self._ahead = self.decode(i)
        self._next = None  # at the end of the file, or after an error, the next call has to jump
        for number, _, frame in self._ahead:
            self._keep(number, frame)
            if number >= i:
                self._next = number + 1
                return

    def _keep(self, number: int, frame: VideoFrame) -> None:
        self._cache[number] = frame
        self._cache.move_to_end(number)
        size = sum(plane.buffer_size for plane in frame.planes)
        while len(self._cache) > max(1, self._cache_bytes // size):
            self._cache.popitem(last=False)

    def _shown(self, frame: VideoFrame, format: str = "rgb24") -> np.ndarray:
        picture = frame.to_ndarray(format=format, width=self.view.width, height=self.view.height)
        return np.ascontiguousarray(self.view.turn(picture))


class _Clock:
    """Numbers (by time, or counted if ``numbers`` is empty) and times of frames, if need be made up."""

    def __init__(self, stream: VideoStream, fps: Fraction, numbers: dict[int, int]):
        self.unit, self.step, self.numbers = stream.time_base, 1 / fps, numbers
        self.start = (stream.start_time or 0) * stream.time_base
        self.number, self.time, self.end = -1, None, None  # of the last frame
        self.gaps: list[float] = []  # between each frame and the one before, in mean gaps

    def stamp(self, frame: VideoFrame) -> tuple[int, Fraction]:
        following = self.start if self.time is None else self.time + self.step
        time = following if frame.pts is None else frame.pts * self.unit
        if self.time is not None and time < self.time:
            time = following
        self.gaps.append(1.0 if self.time is None else float((time - self.time) / self.step))
        self.number, self.time = self.numbers.get(frame.pts, self.number + 1), time
        self.end = time + max(self.step, (frame.duration or 0) * self.unit)
        return self.number, time


class _Alike:
    """Makes the frames of a clip alike by FFmpeg's filters: high dynamic range becomes what a usual screen
    shows, and a frame of another size than the first is fitted into that size, black around it.
    """

    def __init__(self, path: Path, first: VideoFrame):
        self.path, self.size, self.warned = path, (first.width, first.height), False
        self.graphs: dict[tuple, Graph] = {}

    def __call__(self, frame: VideoFrame, number: int) -> VideoFrame:
        is_hdr, size = frame.color_trc in _HDR, (frame.width, frame.height)
        if not is_hdr and size == self.size:
            return frame
        if size != self.size and not self.warned:
            self.warned = True
            was, now = ("{} x {}".format(*one) for one in (self.size, size))
            message = f"{self.path}: frame {number + 1} is {now} pixels, those before {was}"
            warnings.warn(f"{message}; it is made smaller or larger, with black around it", stacklevel=2)
        graph = self.graphs.setdefault((is_hdr, size, frame.format.name), None) or self._graph(frame, is_hdr)
        self.graphs[is_hdr, size, frame.format.name] = graph
        graph.push(frame)
        return graph.pull()

    def _graph(self, frame: VideoFrame, is_hdr: bool) -> Graph:
        width, height = self.size
        graph = Graph()
        name = frame.format.name
        chain = [graph.add_buffer(width=frame.width, height=frame.height, format=name, time_base=_TICK)]
        if is_hdr:
            chain += [graph.add("scale", _TO_SDR), graph.add("format", "yuv420p")]
        if (frame.width, frame.height) != self.size:
            fitted = f"{width}:{height}:force_original_aspect_ratio=decrease"
            chain += [graph.add("scale", fitted), graph.add("pad", f"{width}:{height}:-1:-1")]
        graph.link_nodes(*chain, graph.add("buffersink"))
        graph.configure()
        return graph


def _open_video(path: Path) -> tuple[InputContainer, VideoStream]:
    try:
        container = av.open(f"file:{existing_file(path)}", options=_OPEN)
    except av.FFmpegError as error:
        with open(path, "rb") as file:
            head = file.read(12)
        if head.startswith(_STARTS_OF_PICTURES) or head[8:] == b"WEBP":
            fix = "give a video; an animation can be made into one with ffmpeg"
            raise UserError(path, "is a picture, not a video", fix) from error
        if head[4:8] in _STARTS_OF_VIDEOS or head[:4] in _STARTS_OF_VIDEOS:
            raise _broken(path, "is a video that is damaged or cut short") from error
        fix = "give a video file, such as MP4, MOV, AVI, WebM or MKV"
        raise UserError(path, "is not a video", fix) from error
    if not container.streams:
        raise _broken(path, "is a video that is damaged or cut short")
    tracks = _tracks(container)
    if not tracks:
        raise UserError(path, "has no pictures, only sound", "give a file with a video track")
    marked = [track for track in tracks if track.disposition & Disposition.default]
    stream = max(marked or tracks, key=lambda track: track.width * track.height)
    stream.thread_type = "AUTO"
    return container, stream


def _tracks(container: InputContainer) -> list[VideoStream]:
    """The videos of a file; the cover picture of a sound file and the previews of a film are streams too."""
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & pictures]


def _warn_of_other_tracks(path: Path, container: InputContainer, stream: VideoStream) -> None:
    if (tracks := len(_tracks(container))) > 1:
        which = f"number {stream.index + 1} of {stream.width} x {stream.height} pixels"
        warnings.warn(f"{path}: has {tracks} video tracks; {which} is read", stacklevel=1)  # once a file


def _pixel(path: Path, stream: VideoStream) -> Fraction:
    """Width to height of a pixel; square, with a warning, where the file says what no camera has."""
    pixel = stream.sample_aspect_ratio or Fraction(1)
    if max(pixel, 1 / pixel) > WIDEST_PIXEL:
        warnings.warn(f"{path}: pixels {pixel} times as wide as high are taken as square", stacklevel=1)
        pixel = Fraction(1)
    return pixel


def _rate(container: InputContainer, stream: VideoStream) -> Fraction:
    """Frames a second; of a stream without a container FFmpeg's "average" is made up."""
    rates = stream.average_rate, stream.guessed_rate
    raw = container.format.name in ("h264", "hevc", "m4v")
    return next((rate for rate in (reversed(rates) if raw else rates) if rate), Fraction(FPS))


def _broken(path: Path, problem: str) -> UserError:
    return UserError(path, problem, "copy or download it again")


def _duration(container: InputContainer, stream: VideoStream) -> Fraction:
    """Seconds of the pictures as the file says, or 0 where it only knows those of pictures and sound."""
    if stream.duration:
        return stream.duration * stream.time_base
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, av.time_base)
    return Fraction(0)


def write_video(
    path: str | Path,  # its suffix chooses the container
    frames: Iterable[np.ndarray],
    fps: float | Fraction = FPS,
    crf: int = CRF,  # quality of H.264 and VP9, lower is better
    codec: str = "libx264",  # any encoder of FFmpeg: mjpeg, libvpx-vp9, mpeg4
    rotation: int = 0,  # degrees, counter-clockwise, by which a player turns the frames, as phones write it
    times: Sequence[float] | None = None,  # when each frame is shown, in rising seconds (MP4, MOV, WebM)
) -> None:
    """Write frames ``(H, W, 3)`` uint8 RGB of one size (H.264: even) as a clip, whole or not at all."""
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
        for i, picture in enumerate(chain([first], frames)):
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts = i if times is None else round(Fraction(times[i]) / tick)
            frame.time_base = tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())

"""``affkit convert``: clips to MP4, H.264, 30 frames a second (III.A), their labels re-timed with them.

Killed at any moment, the same command goes on and ends with the same bytes (of one version of x264).
"""

import json
import math
import os
import shutil
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream
from joblib import Parallel, delayed
from tqdm import tqdm

from affkit.corpus.corpus import SUBJECTS_FILE
from affkit.errors import UserError
from affkit.files import existing_file, refuse_existing, write_beside
from affkit.labelfiles.csv_text import read_text
from affkit.labelfiles.layouts import VIDEO_SUFFIXES, video_of
from affkit.labelfiles.names import as_given, files_below, nfc
from affkit.video.video import CRF, FPS, H264, Video, View

JOURNAL = ".affkit-convert.json"

Frame = TypeVar("Frame")

_LONGEST_STILL = 600  # seconds; a longer one is a broken clock in the file, and would fill the disk


def convert_video(
    source: str | Path, target: str | Path, force: bool = False, tick: Callable[[int], object] | None = None
) -> np.ndarray:
    """Convert one clip to MP4, H.264, yuv420p, 30 frames a second, upright, even size, without sound.

    An odd size loses a line or column. ``tick(1)`` follows each source frame. Returns ``(T,)`` int64: the
    number, from 0, of the source frame that each new one shows, see :func:`retime`.
    """
    source, target = existing_file(source), Path(target)
    refuse_existing(target, force)
    with write_beside(target) as part:
        return transcode(source, part, tick)


def retime(
    frames: Iterable[tuple[Fraction, Frame]], step: Fraction, fps: int = FPS
) -> Iterator[tuple[Frame, int]]:
    """Each source frame with the number of new frames that show it: 0 if it is dropped, 2 if repeated.

    ``frames`` are times in seconds, not decreasing, and frames; the last is shown for ``step`` seconds. A
    frame appears at the multiple of 1/fps next to its time, counted from the first, so one of 30 frames a
    second keeps all of them even if its times are rounded, as in WebM, and none is more than half a step
    early or late.

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


def transcode(source: Path, target: Path, tick: Callable[[int], object] | None = None) -> np.ndarray:
    """As :func:`convert_video`, into a file that others do not see yet."""
    shown: list[int] = []
    with Video(source) as video, av.open(f"file:{target}", "w", format="mp4") as output:
        encoder = None
        timed = ((time, frame) for _, time, frame in video.decode())
        for index, (frame, count) in enumerate(retime(timed, 1 / video.fps)):
            encoder = encoder or _add_encoder(video, output, frame)
            if count > _LONGEST_STILL * FPS:
                problem = f"stands still for {count // FPS} s after frame {index + 1}: its clock is broken"
                raise UserError(source, problem, "copy the video track into a new file with new times")
            if count:
                frame = _fit(frame, video.view)
            for _ in range(count):
                frame.pts, frame.time_base = len(shown), Fraction(1, FPS)
                output.mux(encoder.encode(frame))
                shown.append(index)
            if tick is not None:
                tick(1)
        output.mux(encoder.encode())
    return np.array(shown, np.int64)


def _even_size(view: View) -> tuple[int, int]:
    return tuple(length // 2 * 2 for length in view.shown_size)


def _add_encoder(video: Video, output: OutputContainer, frame: VideoFrame) -> VideoStream:
    view, (width, height) = video.view, _even_size(video.view)
    if not width or not height:
        raise UserError(video.path, f"is {view.width} x {view.height} pixels", "give a clip of 2 x 2 or more")
    encoder = output.add_stream("libx264", rate=FPS, options=H264 | {"crf": str(CRF)})
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    context = encoder.codec_context
    context.time_base, context.color_range = Fraction(1, FPS), ColorRange.MPEG
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
    width, height = _even_size(view)
    planes = []
    for number, plane in enumerate(frame.planes):
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        part = 2 if number else 1  # colour has half the resolution
        planes.append(view.turn(rows)[: height // part, : width // part].ravel())
    return VideoFrame.from_ndarray(np.concatenate(planes).reshape(-1, width), "yuv420p")


def retime_lines(text: str, frames: np.ndarray) -> str:
    """Label lines in the order of ``frames``, see :func:`convert_video`; frames without a line are left out.

    >>> retime_lines("valence,arousal\\n0.1,0\\n0.2,0", np.array([0, 0, 1, 2]))
    'valence,arousal\\n0.1,0\\n0.1,0\\n0.2,0\\n'
    """
    header, lines = _split_lines(text)
    return "".join(f"{line}\n" for line in header + [lines[i] for i in frames if i < len(lines)])


def _split_lines(text: str) -> tuple[list[str], list[str]]:
    """The header, or nothing if the first line is numbers, and the lines of the frames."""
    lines = text.split("\n")
    try:
        [float(cell) for cell in lines[0].split(",")]
    except ValueError:
        return lines[:1], lines[1:]
    return [], lines


def nearly_as_long(num_lines: int, num_frames: int) -> bool:
    """Whether labels can be of a clip of ``num_frames``: they may differ by 5 frames or by 1%."""
    return abs(num_lines - num_frames) <= max(5, 0.01 * num_frames)


@dataclass(frozen=True)
class Clip:
    """One clip to convert: where from, where to, and its label files, each with where it goes."""

    source: Path
    target: Path
    num_frames: int  # as the file says: for the progress bar
    labels: tuple[tuple[Path, Path], ...] = ()

    def convert(self, tick: Callable[[int], object]) -> "Clip":
        """Convert clip and labels; the clip gets its name when its labels are written."""
        with write_beside(self.target) as part:
            frames = transcode(self.source, part, tick)
            for source, target in self.labels:
                with write_beside(target) as file:
                    file.write_text(retime_lines(read_text(source), frames), encoding="utf-8", newline="\n")
        return self

    def describe(self, out: Path) -> dict:
        """What the result depends on: names and sizes, but not where the folders are."""
        labels = {str(target.relative_to(out)): source.stat().st_size for source, target in self.labels}
        return {"file": self.source.name, "bytes": self.source.stat().st_size, "labels": labels}


def convert_videos(
    inputs: Sequence[str | Path],  # video files, or folders, which stand for the video files directly in them
    out: str | Path,  # becomes a corpus again if ``labels`` holds the clips as well
    labels: str | Path | None = None,  # folder of CLIP.txt, CLIP_left.txt, ...: line i is frame i
    force: bool = False,  # replace what is there, and discard what an interrupted run with other inputs left
    jobs: int = 1,  # clips at a time
    progress: bool = True,
) -> list[Path]:
    """Convert clips, and re-time their labels; returns the new files in the order of the inputs.

    All is looked at before anything is written: a :class:`UserError` names what cannot be read, two clips of
    one name, labels that do not fit, or an output that exists; labels a few lines longer or shorter warn.
    Labels and ``subjects.csv`` go to a folder in ``out`` named like theirs.
    """
    out = Path(out)
    clips = _plan(find_videos(inputs), out)
    if labels is not None:
        clips = _with_labels(clips, out, Path(labels))
    journal = Journal(out, clips, force)
    todo = [clip for clip in clips if clip.target.name not in journal.done]
    total, left = (sum(clip.num_frames for clip in some) for some in (clips, todo))
    # threads are enough: FFmpeg and x264 let go of Python's lock
    parallel = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
    with tqdm(total=total, initial=total - left, unit="frame", desc="convert", disable=not progress) as bar:
        with journal:
            for clip in parallel(delayed(Clip.convert)(clip, bar.update) for clip in todo):
                journal.add(clip)
            if labels is not None:
                folder = as_given(labels)
                if (source := folder / SUBJECTS_FILE).is_file():  # who is who does not change with the rate
                    with write_beside(out / source.relative_to(_base(clips, folder))) as part:
                        shutil.copyfile(source, part)
    return [clip.target for clip in clips]


def find_videos(inputs: Sequence[str | Path]) -> list[Path]:
    """Video files as they are given; a folder stands for those directly in it."""
    videos: list[Path] = []
    for path in map(Path, inputs):
        if path.is_dir():
            files = (file for file in path.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES)
            found = sorted(file for file in files if not file.name.startswith("."))
            if not found:
                problem = f"has no video in it, no file ending in {' '.join(VIDEO_SUFFIXES)}"
                fix = "give the folder that holds the videos, or the files themselves"
                raise UserError(path, problem, fix)
            videos += found
        else:
            videos.append(path)
    if not videos:
        raise UserError("IN", "no video was given", "name at least one file or folder")
    return videos


def _plan(sources: list[Path], out: Path) -> list[Clip]:
    """A clip for each source, all of which can be read and have names of their own."""
    clips: dict[str, Clip] = {}
    originals = {os.path.realpath(existing_file(source)) for source in sources}
    for source in sources:
        with Video(source) as video:
            clip = Clip(source, out / f"{nfc(source.stem)}.mp4", video.listed_frames)
        # some file systems do not tell a.mp4 from A.mp4
        other = clips.setdefault(clip.target.stem.casefold(), clip)
        if other is not clip:
            problem = f"would become {clip.target.name}, as would {other.source}"
            raise UserError(source, problem, "rename one, or convert them into different folders")
        if os.path.realpath(clip.target) in originals:
            raise UserError(clip.target, "would replace an original", "choose another output folder")
    return list(clips.values())


def _with_labels(clips: list[Clip], out: Path, folder: Path) -> list[Clip]:
    """The clips with their label files, whose lengths fit."""
    if not folder.is_dir():
        raise UserError(folder, "is not a folder", "give the folder that holds the label files")
    folder = as_given(folder)
    names = {clip.target.stem for clip in clips}
    files: dict[str, list[Path]] = defaultdict(list)  # by clip
    for file in sorted(path for path in files_below(folder) if path.suffix.lower() == ".txt"):
        name = nfc(file.stem)
        files[name if name in names else video_of(name)[0]].append(file)
    labelled, base = [], _base(clips, folder)
    for clip in clips:
        own = files[clip.target.stem]
        _check_lengths(clip, own)
        labelled.append(replace(clip, labels=tuple((file, out / file.relative_to(base)) for file in own)))
    missing = [clip.source.name for clip in labelled if not clip.labels]
    if len(missing) == len(clips):
        problem = f"no label file of any of the clips in it, such as {clips[0].source.stem}.txt"
        raise UserError(folder, problem, "give the folder that holds one text file for each clip")
    if missing:
        warnings.warn(f"{folder}: no labels for {', '.join(missing)}", stacklevel=3)
    return labelled


def _base(clips: list[Clip], folder: Path) -> Path:
    """The folder that becomes ``out``: that of the labels if it holds the clips too, else the one above."""
    inside = any(folder.resolve() in clip.source.resolve().parents for clip in clips)
    return folder if inside else folder.parent


def _check_lengths(clip: Clip, files: list[Path]) -> None:
    """Warn once about labels that are a little longer or shorter than their clip; refuse others.

    Lines as many as the file *says* it has frames, where decoding yields others, are of another count of
    frames: nobody knows which line belongs to which frame. Unless the clip breaks off: then the first do.
    """
    counts = {file: len(_split_lines(read_text(file))[1]) for file in files}
    if not counts:
        return
    with Video(clip.source) as video:
        num_frames, listed, cut = video.num_frames, video.listed_frames, video.breaks_off
    wrong = {file: count for file, count in counts.items() if count != num_frames}
    for file, count in wrong.items():
        near = nearly_as_long(count, num_frames) and count != listed
        if not (near or (cut and nearly_as_long(count, listed))):
            said = f" (its header says {listed})" if listed != num_frames else ""
            problem = f"labels {count} frames, but {clip.source} has {num_frames}{said}"
            raise UserError(file, problem, "give the labels of this very clip, a line for each frame")
    if wrong and not cut:
        file, count = next(iter(wrong.items()))
        message = f"{clip.source}: has {num_frames} frames, but {file} labels {count}"
        warnings.warn(f"{message}; the shorter counts, and nothing is shifted", stacklevel=4)


class Journal:
    """What is being done in a folder, and what of it is finished; gone when there is no use for it."""

    def __init__(self, out: Path, clips: list[Clip], force: bool):
        self.path, self.done = out / JOURNAL, []
        self.job = {"fps": FPS, "crf": CRF, **H264, "clips": [clip.describe(out) for clip in clips]}
        if self.path.exists():
            try:
                old = json.loads(self.path.read_text(encoding="utf-8"))
                job, done = old["job"], list(old["done"])
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(self.path, "cannot be read", "delete it and add --force") from error
            if job == self.job:
                self.done = [name for name in done if (out / name).exists()]
                return
            if not force:
                fix = "finish it with the same command, or discard it with --force"
                raise UserError(out, "an interrupted conversion of other clips is unfinished in it", fix)
        for clip in clips:
            for target in (clip.target, *(target for _, target in clip.labels)):
                refuse_existing(target, force)
        self._write()

    def add(self, clip: Clip) -> None:
        self.done.append(clip.target.name)
        self._write()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if error is None or not self.done:
            self.path.unlink()

    def _write(self) -> None:
        try:
            with write_beside(self.path) as part:
                part.write_text(json.dumps({"job": self.job, "done": self.done}, indent=1), encoding="utf-8")
        except (PermissionError, NotADirectoryError, FileExistsError) as error:
            fix = "choose another output folder"
            raise UserError(self.path.parent, "cannot be written to", fix) from error

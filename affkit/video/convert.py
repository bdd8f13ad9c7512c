"""``affkit convert``: many clips to MP4, H.264, 30 frames a second, their labels re-timed with them.

What is finished is noted in a small file in the output folder. Killed at any moment, the same command goes
on from there and ends with the same bytes (on one machine: another version of x264 may write others).
"""

import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from joblib import Parallel, delayed
from tqdm import tqdm

from affkit.corpus.corpus import SUBJECTS_FILE
from affkit.errors import UserError
from affkit.files import existing_file, refuse_existing, write_beside
from affkit.labelfiles.csv_text import read_text
from affkit.labelfiles.layouts import VIDEO_SUFFIXES, video_of
from affkit.video.transcode import retime_lines, split_lines, transcode
from affkit.video.video import CRF, FPS, H264, probe

JOURNAL = ".affkit-convert.json"


@dataclass(frozen=True)
class Clip:
    """One clip to convert: where from, where to, and its label files, each with where it goes."""

    source: Path
    target: Path
    num_frames: int
    labels: tuple[tuple[Path, Path], ...] = ()

    @property
    def targets(self) -> list[Path]:
        return [self.target, *(target for _, target in self.labels)]


def convert_videos(
    inputs: Sequence[str | Path],
    out: str | Path,
    labels: str | Path | None = None,
    force: bool = False,
    jobs: int = 1,
    progress: bool = True,
) -> list[Path]:
    """Convert clips, and re-time their labels; returns the new files in the order of the inputs.

    Parameters
    ----------
    inputs:
        Video files, or folders, which stand for all video files directly in them.
    out:
        Folder for ``<name>.mp4``.
    labels:
        A folder with text files, at any depth, named like the clip or like it with ``_left`` or ``_right``:
        line i, after a header if there is one, belongs to frame i. ``out`` gets a folder of the same name
        with the same files, in which line i belongs to frame i of the new clip, and with its
        ``subjects.csv`` if there is one. If the folder holds the clips as well, what is in it goes straight
        into ``out``, which is then a corpus again.
    force:
        Replace what is there, and discard what an interrupted run with other inputs left.
    jobs:
        Clips at a time.
    progress:
        Show a bar with the time left on stderr.

    Raises
    ------
    UserError
        If an input cannot be read, two have the same name, labels do not fit their clip, or an output
        exists. All of this is looked at before anything is written. Labels that are a few lines longer or
        shorter than their clip are a warning.
    """
    out = Path(out)
    clips = _plan(_find_videos(inputs), out)
    if labels is not None:
        clips = _with_labels(clips, out, Path(labels))
    journal = Journal(out, clips, force)
    todo = [clip for clip in clips if clip.target.name not in journal.done]
    total, left = (sum(clip.num_frames for clip in some) for some in (clips, todo))
    # threads are enough: FFmpeg and x264 let go of Python's lock
    parallel = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
    with tqdm(total=total, initial=total - left, unit="frame", desc="convert", disable=not progress) as bar:
        with journal:
            for clip in parallel(delayed(_convert)(clip, bar.update) for clip in todo):
                journal.add(clip)
            if labels is not None:
                _copy_subjects(clips, out, Path(labels).resolve())
    return [clip.target for clip in clips]


def _convert(clip: Clip, tick: Callable[[int], object]) -> Clip:
    """Convert one clip and its labels; the clip gets its name when its labels are written."""
    with write_beside(clip.target) as part:
        frames = transcode(clip.source, part, tick)
        for source, target in clip.labels:
            with write_beside(target) as file:
                file.write_text(retime_lines(read_text(source), frames), encoding="utf-8", newline="\n")
    return clip


def _find_videos(inputs: Sequence[str | Path]) -> list[Path]:
    videos = []
    for path in map(Path, inputs):
        if path.is_dir():
            files = (file for file in path.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES)
            found = sorted(file for file in files if not file.name.startswith("."))
            if not found:
                problem = f"has no video in it, no file ending in {' '.join(VIDEO_SUFFIXES)}"
                raise UserError(
                    path, problem, "give the folder that holds the videos, or the files themselves"
                )
            videos += found
        else:
            videos.append(path)
    if not videos:
        raise UserError("IN", "no video was given", "name at least one file or folder")
    return videos


def _plan(sources: list[Path], out: Path) -> list[Clip]:
    """A clip for each source, all of which can be read and have names of their own."""
    clips: dict[str, Clip] = {}
    originals = {existing_file(source).resolve() for source in sources}
    for source in sources:
        clip = Clip(source, out / f"{source.stem}.mp4", probe(source).num_frames)
        # some file systems do not tell a.mp4 from A.mp4
        other = clips.setdefault(source.stem.casefold(), clip)
        if other is not clip:
            problem = f"would become {clip.target.name}, as would {other.source}"
            raise UserError(source, problem, "rename one, or convert them into different folders")
        if clip.target.resolve() in originals:
            raise UserError(clip.target, "would replace an original", "choose another output folder")
    return list(clips.values())


def _with_labels(clips: list[Clip], out: Path, folder: Path) -> list[Clip]:
    """The clips with their label files, whose lengths fit."""
    if not folder.is_dir():
        raise UserError(folder, "is not a folder", "give the folder that holds the label files")
    folder = folder.resolve()
    files: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("[!.]*.txt")):
        files.setdefault(file.stem, []).append(file)
    names = {clip.source.stem for clip in clips}
    labelled = []
    for clip in clips:
        own = [name for name in files if (name if name in names else video_of(name)[0]) == clip.source.stem]
        found = [file for name in own for file in files[name]]
        _check_lengths(clip, found)
        labels = tuple((file, out / file.relative_to(_base(clips, folder))) for file in found)
        labelled.append(Clip(clip.source, clip.target, clip.num_frames, labels))
    missing = [clip.source.name for clip in labelled if not clip.labels]
    if len(missing) == len(clips):
        problem = f"no label file of any of the clips in it, such as {clips[0].source.stem}.txt"
        raise UserError(folder, problem, "give the folder that holds one text file for each clip")
    if missing:
        warnings.warn(f"{folder}: no labels for {', '.join(missing)}", stacklevel=3)
    return labelled


def _base(clips: list[Clip], folder: Path) -> Path:
    """The folder that becomes ``out``: that of the labels if it holds the clips too, else the one above."""
    holds_clips = any(folder in clip.source.resolve().parents for clip in clips)
    return folder if holds_clips else folder.parent


def _copy_subjects(clips: list[Clip], out: Path, folder: Path) -> None:
    """Who is who does not change with the frame rate."""
    source = folder / SUBJECTS_FILE
    if source.is_file():
        with write_beside(out / source.relative_to(_base(clips, folder))) as part:
            shutil.copyfile(source, part)


def nearly_as_long(num_lines: int, num_frames: int) -> bool:
    """Whether labels can be of a clip of ``num_frames``: they may differ by 5 frames or by 1%."""
    return abs(num_lines - num_frames) <= max(5, 0.01 * num_frames)


def _check_lengths(clip: Clip, files: list[Path]) -> None:
    """Warn once about labels that are a little longer or shorter than their clip; refuse others."""
    counts = {file: len(split_lines(read_text(file))[1]) for file in files}
    wrong = {file: count for file, count in counts.items() if count != clip.num_frames}
    for file, count in wrong.items():
        if not nearly_as_long(count, clip.num_frames):
            problem = f"labels {count} frames, but {clip.source} has {clip.num_frames}"
            raise UserError(file, problem, "give the labels of this very clip")
    if wrong:
        file, count = next(iter(wrong.items()))
        message = f"{clip.source}: has {clip.num_frames} frames, but {file} labels {count}"
        warnings.warn(f"{message}; the shorter counts, and nothing is shifted", stacklevel=4)


class Journal:
    """The note in the output folder that says what is being done there and what is finished.

    As a context manager it removes itself when all is done; after an error only if nothing is finished.
    """

    def __init__(self, out: Path, clips: list[Clip], force: bool):
        self.path, self.done = out / JOURNAL, []
        self.job = {"fps": FPS, "crf": CRF, **H264, "clips": [_describe(clip, out) for clip in clips]}
        old = self._read()
        if old is not None and old["job"] == self.job:
            self.done = [name for name in old["done"] if (out / name).exists()]
            return
        if old is not None and not force:
            mend = "finish it with the same command, or discard it with --force"
            raise UserError(out, "an interrupted conversion of other clips is unfinished in it", mend)
        for target in (target for clip in clips for target in clip.targets):
            refuse_existing(target, force)
        self._write()

    def add(self, clip: Clip) -> None:
        """Note that ``clip`` is finished."""
        self.done.append(clip.target.name)
        self._write()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if error is None or not self.done:
            self.path.unlink()

    def _read(self) -> dict | None:
        if not self.path.exists():
            return None
        try:
            note = json.loads(self.path.read_text(encoding="utf-8"))
            return {"job": note["job"], "done": list(note["done"])}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(self.path, "cannot be read", "delete it and add --force") from error

    def _write(self) -> None:
        try:
            with write_beside(self.path) as part:
                part.write_text(json.dumps({"job": self.job, "done": self.done}, indent=1), encoding="utf-8")
        except (PermissionError, NotADirectoryError, FileExistsError) as error:
            mend = "choose another output folder"
            raise UserError(self.path.parent, "cannot be written to", mend) from error


def _describe(clip: Clip, out: Path) -> dict:
    """What the result depends on: names and sizes, but not where the folders are."""
    labels = {str(target.relative_to(out)): source.stat().st_size for source, target in clip.labels}
    return {"file": clip.source.name, "bytes": clip.source.stat().st_size, "labels": labels}

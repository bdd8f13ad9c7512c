"""Checks of videos and crops: by themselves, by their names, and frame by frame against the lines of labels.

Line i is frame i, counted from 1, and nothing may shift. Public loaders of Aff-Wild2
(coder-xinxiaohai/Aff-Wild2_Processing, sucv/ABAW2, ryanhe312/ABAW2-FPNMAA) take line i below the header with
the crop ``{i:05d}.jpg``. What is looked for are the ways to differ from that.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affkit.labelfiles.layouts import video_of
from affkit.labelfiles.names import nfc
from affkit.video.convert import nearly_as_long
from affkit.video.video import FPS
from affkit_studio.doctor.folder import Finding, Folder, VideoFile, plural

_RATES = (24, 25, 30, 50, 60)  # frames a second that people convert videos to before they annotate them
_SAMPLE = 1 << 16  # bytes of the beginning and of the end of a file that are compared

# Findings are laid out by hand: code, severity, where; what is the matter; how to fix it.
# fmt: off


def check_presence(folder: Folder) -> Iterator[Finding]:
    """Annotations without anything to see; pictures that nothing finds."""
    listing = folder.listing
    blind = [] if listing.videos or listing.crops else folder.annotations.used
    yield Finding("no-pictures", "note", (listing.shown(one.root) for one in blind),
        "Annotations only, no video and no crop: lines cannot be compared with frames.",
        "look at the folder that holds the videos too")
    known = set(folder.names) | set(folder.videos_by_stem) | folder.test_names
    named = [(path, about) for path, about in sorted(listing.pictures.items()) if nfc(path.name) in known]
    yield Finding("picture-names", "warning",
        (f"{listing.shown(path)}: {plural(n, 'picture')}, such as {one}" for path, (n, one) in named),
        "Pictures of known videos that are not called by a frame number: loaders do not find them.",
        "call them 00001.jpg and so on, frame 1 first")


@dataclass(frozen=True)
class LinesAndFrames:
    """The label lines of one person for one or several tasks, and the video."""

    name: str
    tasks: tuple[str, ...]
    lines: int
    video: VideoFile
    listed: bool

    @property
    def why_different(self) -> str:
        """The code of the likeliest reason why lines and frames differ in number; "" if they do not.

        A list of frames may well end before the video does.

        >>> from types import SimpleNamespace as Some
        >>> video = Some(num_frames=250, info=Some(duration=10.0, fps=25), variable=False)
        >>> numbers = (250, 251, 249, 300, 253, 100)
        >>> [LinesAndFrames("a", ("va",), lines, video, False).why_different for lines in numbers]
        ['', 'one-line-more', 'one-line-less', 'other-rate', 'few-lines-differ', 'lines-far-off']
        """
        more = self.lines - self.video.num_frames
        more = max(more, 0) if self.listed else more
        if abs(more) <= 1:
            return {0: "", 1: "one-line-more", -1: "one-line-less"}[more]
        if nearly_as_long(self.lines, self.video.num_frames):
            return "few-lines-differ"
        return "other-rate" if self.rate_of_lines else "lines-far-off"

    @property
    def rate_of_lines(self) -> int:
        """The frame rate at which the video would have as many frames as there are lines, or 0.

        A video of a variable rate has no rate of its own: what it becomes at 30 frames a second, which is
        what many programs extract, has other frames. A rate that hardly differs from its own is no reason.
        """
        info = self.video.info
        for rate in _RATES:
            other = self.video.variable or abs(rate - info.fps) > 0.02 * info.fps
            if other and abs(info.duration * rate - self.lines) <= 1.5:
                return rate
        return 0

    def __str__(self) -> str:
        counts = f"{plural(self.lines, 'line')}, {plural(self.video.num_frames, 'frame')}"
        words = f"{self.name} ({', '.join(self.tasks)}): {counts}"
        if self.why_different == "other-rate":
            own = "a variable rate" if self.video.variable else f"{float(self.video.info.fps):.4g} a second"
            words += f" at {own}; {self.lines:,} would be {self.rate_of_lines} a second"
        return words


def check_lengths(folder: Folder) -> Iterator[Finding]:
    """Lines beside the frames of a video that is whole; a broken one has a finding of its own."""
    tasks: dict[tuple[str, int, bool], dict[str, None]] = {}
    for one in folder.counted:
        video = folder.video(one.name)
        if video and not video.cut and one.task != "mtl":
            tasks.setdefault((one.name, len(one), one.listed), {})[one.task] = None
    pairs = [LinesAndFrames(name, tuple(own), lines, folder.video(name), listed)
             for (name, lines, listed), own in tasks.items()]

    def about(code: str) -> tuple[list[LinesAndFrames], str]:
        own = [pair for pair in pairs if pair.why_different == code]
        return own, f", for all {len(own)} people" if len(own) == len(pairs) > 2 else ""

    own, every = about("few-lines-differ")
    yield Finding("few-lines-differ", "warning", map(str, own),
        f"A few lines more or fewer than the video has frames{every}. The shorter counts, nothing is "
        "shifted.", "nothing, if the last frames do not matter")
    own, every = about("lines-far-off")
    yield Finding("lines-far-off", "error", map(str, own),
        f"Far more or far fewer lines than the video has frames{every}: these are not the labels of this "
        "file, and affkit convert refuses them.",
        "find the video that was annotated; compare names and versions")
    own, every = about("one-line-less")
    yield Finding("one-line-less", "warning", map(str, own),
        f"One line less than the video has frames{every}: the line of frame 1 may have been taken for a "
        "header and lost, and then each label sits one frame early; or the last frame was not annotated.",
        "look whether the line below the header belongs to frame 1; the last frame is not used")
    own, every = about("one-line-more")
    yield Finding("one-line-more", "warning", map(str, own),
        f"One line more than the video has frames{every}: a header may have been counted as a frame, and "
        "then each label sits one frame late; or the video lost its last frame.",
        "look whether the line below the header belongs to frame 1; the last line is not used")
    own, every = about("other-rate")
    yield Finding("other-rate", "error", map(str, own),
        f"As many lines as the video would have frames at another rate{every}: a converted copy was "
        "annotated, or the rate varies. Line i is not frame i of this file.",
        "find the copy that was annotated, or convert the video to that rate")


def check_tasks(folder: Folder) -> Iterator[Finding]:
    """The lines of one task beside those of another, where there is no video to say who is right."""
    lines: dict[str, dict[str, int]] = {}
    for one in folder.counted:
        if not one.listed and folder.video(one.name) is None:
            lines.setdefault(one.name, {})[one.task] = len(one)
    yield Finding("tasks-differ", "warning",
        (f"{name}: {', '.join(f'{task} {n:,}' for task, n in own.items())}"
         for name, own in lines.items() if len(set(own.values())) > 1),
        "Files of one person with different numbers of lines for different tasks: where one ends, only its "
        "own labels are missing.",
        "copy the shorter files again, or compare with the frames of the video")


def check_crops(folder: Folder) -> Iterator[Finding]:
    """Lines beside the numbers of the crops."""
    lines: dict[str, int] = {}
    for one in folder.counted:
        lines[one.name] = max(lines.get(one.name, 0), len(one))
    crops = {one: lines[name] for name, one in sorted(folder.crops_by_name.items()) if name in lines}
    ends = {
        one: f"{folder.listing.shown(one.path)}: crops {one.first} to {one.last}, {plural(number, 'line')}"
        for one, number in crops.items()
    }
    zero = [one for one in crops if one.first == 0]
    others = [one for one in crops if one.first > 0]
    fitting = sum(one.last < crops[one] for one in zero)
    yield Finding("crops-from-zero", "error", map(ends.get, zero),
        "Crops that begin with 00000. In Aff-Wild2 line i is crop i, counted from 1; read so, each crop "
        f"gets the label of the frame before it. In {fitting} of {len(zero)} the last number confirms it: "
        "it is below the number of lines.", "add 1 to each number, or read line i with crop i - 1")
    yield Finding("crops-one-more", "warning", (ends[one] for one in others if one.last == crops[one] + 1),
        "The last crop is one beyond the last line: crops may count from 2, as after a header that was "
        "counted as a frame, or the label file lost its last line.",
        "compare one crop with its frame of the video")
    yield Finding("crops-beyond-lines", "error", (ends[one] for one in others if one.last > crops[one] + 1),
        "Crops beyond the last line. They are of another version of the video, such as one at another rate, "
        "or of another video; then no line fits its crop.",
        "compare the number of crops with the frames of the video; cut the faces again: affkit faces")


def check_crop_names(folder: Folder) -> Iterator[Finding]:
    """How the crops are called."""
    crops = [(folder.listing.shown(path), one) for path, one in sorted(folder.listing.crops.items())]
    yield Finding("crop-names-padded", "warning",
        (f"{name}: {one.padded!r}" for name, one in crops if one.padded),
        'Crops whose numbers are padded with spaces, as "%6d.jpg" writes them: loaders look for 00001.jpg.',
        "fill up with zeros to five digits")
    yield Finding("crop-names-width", "note",
        (f"{name}: {one.other_width}" for name, one in crops if one.other_width and not one.padded),
        "Crops whose numbers have not five digits. affkit reads any number; loaders look for 00001.jpg.",
        "fill up with zeros to five digits")
    yield Finding("crop-twice", "warning",
        (f"{name}: {plural(one.repeated, 'picture')} too many" for name, one in crops if one.repeated),
        "Several pictures for one frame, such as 1.jpg and 00001.jpg: which one counts is chance.",
        "keep one of each")


def check_listed(folder: Folder) -> Iterator[Finding]:
    """Files that list pictures, and the pictures."""
    missing = []
    for one in folder.counted:
        crops = folder.crops_by_name.get(one.name)
        if one.listed and one.task == "mtl" and crops is not None:
            frames = np.flatnonzero(one.labelled) + 1
            if gone := int((~np.isin(frames, crops.numbers)).sum()):
                missing.append(f"{one.name}: {plural(gone, 'picture')} of {len(frames):,}")
    yield Finding("listed-without-crop", "warning", missing,
        "Pictures that a list names, with all labels, and that are not there.", "unpack the pictures again")


def check_pairing(folder: Folder) -> Iterator[Finding]:
    """Labels, videos and crops by name."""
    if not folder.names:
        return
    shown, videos, crops = folder.listing.shown, folder.videos_by_stem, folder.crops_by_name
    no_video = [name for name in folder.names if videos and folder.video_path(name) is None]
    no_crops = [name for name in folder.names if crops and name not in crops]
    taken = {nfc(path.stem) for path in map(folder.video_path, folder.names) if path}
    almost = _almost_same(no_video, videos.keys() - taken)
    almost |= _almost_same(no_crops, crops.keys() - set(folder.names))
    yield Finding("almost-same-name", "error",
        (f"{name}: the other is called {other}" for name, other in sorted(almost.items())),
        "Names that differ only by capitals, spaces, hyphens or the form of letters: they find nothing.",
        "give both the same name")
    yield Finding("labels-without-video", "warning", (name for name in no_video if name not in almost),
        "Labels whose video is not there.", "unpack the missing videos")
    yield Finding("labels-without-crops", "warning", (name for name in no_crops if name not in almost),
        "Labels whose crops are not there.",
        "unpack the missing crops, or cut the faces yourself: affkit faces")
    if any(not bad.name for one in folder.annotations.used for bad in one.unreadable):
        return  # a list cannot be read, so what else is labelled is not known
    known = {*folder.names, *almost.values(), *folder.test_names}
    stems = known | {video_of(name)[0] for name in known}
    yield Finding("video-without-labels", "note",
        (shown(paths[0]) for stem, paths in sorted(videos.items()) if stem not in stems),
        "Videos without labels, and in no list of a test set.",
        "nothing, if their labels were never handed out")
    yield Finding("crops-without-labels", "note",
        (shown(one.path) for name, one in sorted(crops.items()) if name not in known),
        "Crops without labels, and in no list of a test set.",
        "nothing, if their labels were never handed out")


def _almost_same(names: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Name to another one that only looks the same, or would on another system."""
    by_key = {_key(other): other for other in others}
    pairs = {}
    for name in names:
        for stem in (name, video_of(name)[0]):
            if by_key.get(_key(stem), stem) != stem:
                pairs.setdefault(name, by_key[_key(stem)])
    return pairs


def _key(name: str) -> str:
    """What is left of a name without capitals, spaces, hyphens and the ways to write an accent."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in folded if letter not in " _-.")


def check_twice(folder: Folder) -> Iterator[Finding]:
    """Videos of the same name, and the same video under two names."""
    shown, by_stem = folder.listing.shown, folder.videos_by_stem
    yield Finding("video-twice", "error",
        (" and ".join(map(shown, paths)) for paths in by_stem.values() if len(paths) > 1),
        "Several videos of one name: which of them the labels belong to is not said.",
        "keep one of them, or look at one folder at a time")
    sets: dict[str, set[tuple[str, str]]] = {}
    for one in folder.counted:
        sets.setdefault(video_of(one.name)[0], set()).add((one.task, one.subset))
    copies: dict[bool, list[str]] = {True: [], False: []}
    for paths in same_files(path for path in folder.videos if path == by_stem[nfc(path.stem)][0]):
        own = set().union(*(sets.get(nfc(path.stem), set()) for path in paths))
        in_two = len({task for task, _ in own}) < len(own)
        copies[in_two].append(" and ".join(map(shown, paths)))
    yield Finding("same-video-in-two-sets", "error", copies[True],
        "The same video under two names in two sets: no list of names shows this leak.",
        "take one of them out")
    yield Finding("same-video", "warning", copies[False],
        "The same video under two names.", "keep one of them")


def same_files(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of files of one size whose beginnings and ends are the same, which is as good as the whole."""
    by_size: dict[int, list[Path]] = {}
    for path in paths:
        by_size.setdefault(path.stat().st_size, []).append(path)
    groups: dict[tuple[int, bytes], list[Path]] = {}
    for size, own in by_size.items():
        for path in own if size and len(own) > 1 else []:
            groups.setdefault((size, _digest(path, size)), []).append(path)
    return [sorted(own) for own in groups.values() if len(own) > 1]


def _digest(path: Path, size: int) -> bytes:
    with open(path, "rb") as file:
        start = file.read(_SAMPLE)
        file.seek(max(0, size - _SAMPLE))
        return hashlib.blake2b(start + file.read()).digest()


def check_videos(folder: Folder) -> Iterator[Finding]:
    """Videos by themselves."""
    shown = folder.listing.shown
    videos = {shown(path): video for path, video in folder.videos.items()}
    yield Finding("video-unreadable", "error",
        (f"{shown(path)}: {error.problem}" for path, error in folder.bad_videos.items()),
        "Videos that cannot be opened. affkit convert and affkit faces stop at them.",
        "copy or download them again, or move them away")
    yield Finding("video-cut", "warning", (name for name, video in videos.items() if video.cut),
        "Videos whose end is missing: only the frames up to the break can be used.",
        "copy or download them again")
    yield Finding("video-variable", "warning", (name for name, video in videos.items() if video.variable),
        "Videos of a variable frame rate. Programs differ in the frames they make of them: crops and labels "
        "of others may count otherwise than the frames of the file.",
        "convert them: affkit convert re-times labels too")
    turned = {name: video.info.rotation for name, video in videos.items() if video.info.rotation}
    yield Finding("video-turned", "note", (f"{name}: {degrees} degrees" for name, degrees in turned.items()),
        "Videos stored lying, with a flag by which players turn them. affkit turns them; a program that "
        "does not finds no face, or lying ones.", "nothing, or convert them: affkit convert")
    rates = {name: float(video.info.fps) for name, video in videos.items() if not video.is_constant(FPS)}
    yield Finding("video-rate", "note", (f"{name}: {fps:.4g}" for name, fps in rates.items()),
        "Videos with another number of frames a second than the 30 of the paper.",
        "affkit convert makes it 30, and re-times labels")

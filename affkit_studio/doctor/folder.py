"""All that was found out about a folder, for the checks to look at; and what a check yields: a finding."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from affkit.corpus.corpus import SUBJECTS_FILE, read_subjects
from affkit.errors import UserError
from affkit.labelfiles.layouts import read_video_list, video_of
from affkit.labelfiles.names import nfc
from affkit.video.video import Video
from affkit_studio.doctor.annotations import (
    TEST_LIST,
    FoundAnnotations,
    LabelCount,
    as_user_error,
    find_annotations,
)
from affkit_studio.doctor.listing import Crops, Listing, list_folder

if TYPE_CHECKING:
    from affkit.store import Store

SEVERITIES = ("error", "warning", "note")
"""Worst first. An error: data that cannot be used, or would be used wrongly without a word. A warning: some
of it is lost, or may be wrong. A note: good to know."""

_UNEVEN = 0.3  # of the usual gap between frames: WebM rounds times to milliseconds, which is less
_MISSING = 0.5  # seconds, as in affkit.video.video.decode


@dataclass(frozen=True)
class Finding:
    """Something about a folder that its owner should know. One with an empty ``where`` is not reported.

    >>> Finding("archive", "warning", map(str, [1, 2]), "Packed files.", "unpack them").where
    ('1', '2')
    """

    code: str
    """A short name that stays the same, for programs: ``"crops-from-zero"``."""
    severity: str
    """One of :data:`SEVERITIES`."""
    where: Iterable[str]
    """All files, folders, videos or names it is about, each with what is to be said of it alone."""
    what: str
    """What is the matter, and why it matters: a sentence."""
    fix: str
    """What to do about it."""

    def __post_init__(self):
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity {self.severity!r} is none of {SEVERITIES}")
        object.__setattr__(self, "where", tuple(self.where))


def plural(number: int, word: str) -> str:
    """
    >>> plural(1, "video"), plural(1200, "video"), plural(2, "person")
    ('1 video', '1,200 videos', '2 people')
    """
    several = {"person": "people"}.get(word, f"{word}s")
    return f"{number:,} {word if number == 1 else several}"


@dataclass(frozen=True)
class VideoFile:
    """A video that can be opened: whether its frames are evenly spaced, and its end is there."""

    info: Video
    variable: bool
    cut: bool

    @cached_property
    def num_frames(self) -> int:
        """Decoded, where only that is sure; whether the video breaks off is known already."""
        with Video(self.info.path) as video, warnings.catch_warnings(action="ignore"):
            return video.num_frames

    @classmethod
    def of(cls, path: Path) -> "VideoFile":
        """Look at one video, of which one frame is decoded; raises as :class:`~affkit.video.video.Video`."""
        size = path.stat().st_size
        with Video(path) as info:
            stream = info.stream
            index = stream.index_entries  # MP4, MOV, AVI have one for all frames; nothing has to be read
            if stream.frames and len(index) >= stream.frames:
                times = np.array([entry.timestamp for entry in index], float)
                cut = any(entry.pos + entry.size > size for entry in index)
            else:
                packets = [packet for packet in info.packets() if not packet.is_corrupt]
                times = np.array([packet.pts for packet in packets if packet.pts is not None], float)
                cut = len(packets) < info.stream.frames
            gaps = np.diff(np.sort(times)) * float(info.stream.time_base)
        if not len(gaps):
            return cls(info, False, cut)
        usual = float(np.median(gaps))
        cut = bool(cut or info.duration - (gaps.sum() + usual) > _MISSING)
        return cls(info, not cut and bool((np.abs(gaps - usual) > _UNEVEN * usual).any()), cut)

    def is_constant(self, fps: float) -> bool:
        """Whether it has a rate of ``fps``, or a variable one, which is another matter."""
        return self.variable or abs(self.info.fps - fps) < 0.005 * fps  # NTSC's 29.97: a tenth of a percent


@dataclass
class Folder:
    """A folder as it was found."""

    listing: Listing
    annotations: FoundAnnotations
    videos: dict[Path, VideoFile] = field(default_factory=dict)
    """The videos that can be opened."""
    bad_videos: dict[Path, UserError] = field(default_factory=dict)
    subjects: dict[str, str] | None = None
    """Name to subject, from ``subjects.csv``; ``None`` where there is no such file."""
    test_lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Task, as its list is called, to the videos whose labels were not handed out."""
    bad_lists: list[UserError] = field(default_factory=list)
    """Why ``subjects.csv`` or a list of videos cannot be read."""
    stores: list["Store"] = field(default_factory=list)
    bad_stores: list[UserError] = field(default_factory=list)

    @classmethod
    def look(cls, root: Path, progress: bool = False) -> "Folder":
        """Find out about a folder. Raises ``OSError`` if it cannot be opened."""
        listing = list_folder(root, progress)
        folder = cls(listing, find_annotations(listing))
        for annotations in folder.annotations.used:
            annotations.read(progress)
        # those of several corpora are looked at one by one
        videos = [] if folder.annotations.corpora else listing.videos
        for path in tqdm(videos, desc="videos", unit="video", delay=2, disable=not progress, leave=False):
            try:
                folder.videos[path] = VideoFile.of(path)
            except (UserError, OSError) as error:
                folder.bad_videos[path] = as_user_error(path, error)
        folder._read_lists()
        for path in listing.stores:
            from affkit.store import Store  # late: it brings torch, and most folders hold no store

            try:
                folder.stores.append(Store.open(path))
            except UserError as error:
                folder.bad_stores.append(error)
        return folder

    def _read_lists(self) -> None:
        used = self.annotations.used
        homes = {self.listing.root, *(path for one in used for path in (one.home, one.root))}
        for path in (path for home in sorted(homes) for path in self.listing.texts.get(home, [])):
            if path.name == SUBJECTS_FILE and (table := self._try(read_subjects, path)) is not None:
                self.subjects = {**(self.subjects or {}), **table["subject"]}
        for path in (path for paths in self.listing.texts.values() for path in paths):
            if (
                path.name.lower().endswith(TEST_LIST)
                and (names := self._try(read_video_list, path)) is not None
            ):
                self.test_lists[path.name[: -len(TEST_LIST)]] = names

    def _try(self, read: Callable[[Path], Any], path: Path) -> Any:
        """What ``read`` makes of a file; ``None`` and one more of ``bad_lists`` if it cannot be read."""
        try:
            return read(path)
        except (UserError, OSError) as error:
            self.bad_lists.append(as_user_error(path, error))
        return None

    @cached_property
    def counted(self) -> list[LabelCount]:
        """What all files that can be read say."""
        return [one for annotations in self.annotations.used for one in annotations.counted]

    @cached_property
    def names(self) -> list[str]:
        """The names of all label files and of all that is in lists of frames, sorted."""
        unreadable = {bad.name for one in self.annotations.used for bad in one.unreadable if bad.name}
        return sorted({one.name for one in self.counted} | unreadable)

    @cached_property
    def test_names(self) -> set[str]:
        return {name for names in self.test_lists.values() for name in names}

    @cached_property
    def videos_by_stem(self) -> dict[str, list[Path]]:
        stems: dict[str, list[Path]] = {}
        for path in self.listing.videos:
            stems.setdefault(nfc(path.stem), []).append(path)
        return stems

    @cached_property
    def crops_by_name(self) -> dict[str, Crops]:
        """The crops of each name; aligned ones, where there are others too."""
        crops = self.listing.crops.values()
        return {
            one.name: one
            for one in sorted(crops, key=lambda one: ("aligned" in str(one.path), str(one.path)))
        }

    def video_path(self, name: str) -> Path | None:
        """The video of a name: one that is called the same, else the one it is a side of."""
        stems = dict.fromkeys((name, video_of(name)[0]))
        return next((self.videos_by_stem[stem][0] for stem in stems if stem in self.videos_by_stem), None)

    def video(self, name: str) -> VideoFile | None:
        """The video of a name, if it can be opened."""
        return self.videos.get(self.video_path(name))

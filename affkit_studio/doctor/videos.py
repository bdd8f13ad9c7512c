"""What a video is, beyond :class:`affkit.video.video.Video`: evenly timed or not, whole or cut off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from affkit.errors import UserError
from affkit.video.video import Video

_UNEVEN = 0.3  # of the usual gap between frames: WebM rounds times to milliseconds, which is less
_MISSING = 0.5  # seconds, as in affkit.video.video.decode


@dataclass(frozen=True)
class Film:
    """A video that can be opened.

    Attributes
    ----------
    info:
        The file, closed again.
    variable:
        Whether its frames are not evenly spaced.
    cut:
        Whether the end of the file is missing.
    """

    info: Video
    variable: bool
    cut: bool

    @property
    def num_frames(self) -> int:
        return self.info.num_frames


def watch(videos: Sequence[Path], progress: bool = False) -> dict[Path, Film | UserError]:
    """Every video, or why it cannot be opened; only the first frame of each is decoded."""
    found: dict[Path, Film | UserError] = {}
    for path in tqdm(videos, desc="videos", unit="video", delay=2, disable=not progress, leave=False):
        try:
            found[path] = film(path)
        except UserError as error:
            found[path] = error
        except OSError as error:
            found[path] = UserError(path, f"cannot be read ({error.strerror})", "change its permissions")
    return found


def films(watched: Mapping[Path, Film | UserError]) -> dict[Path, Film]:
    """The videos that can be opened."""
    return {path: one for path, one in watched.items() if isinstance(one, Film)}


def film(path: Path) -> Film:
    """Look at one video; raises as :class:`~affkit.video.video.Video` does."""
    size = path.stat().st_size
    with Video(path) as info:
        stream = info.stream
        index = stream.index_entries  # MP4, MOV and AVI have one for all frames; nothing has to be read
        if stream.frames and len(index) >= stream.frames:
            times = np.array([entry.timestamp for entry in index], float)
            cut = any(entry.pos + entry.size > size for entry in index)
        else:
            packets = [packet for packet in info.packets() if not packet.is_corrupt]
            times = np.array([packet.pts for packet in packets if packet.pts is not None], float)
            cut = len(packets) < stream.frames
        gaps = np.diff(np.sort(times)) * float(stream.time_base)
    if not len(gaps):
        return Film(info, False, cut)
    usual = float(np.median(gaps))
    cut = bool(cut or info.duration - (gaps.sum() + usual) > _MISSING)
    return Film(info, not cut and bool((np.abs(gaps - usual) > _UNEVEN * usual).any()), cut)

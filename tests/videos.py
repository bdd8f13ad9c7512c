"""Small clips of every kind whose frames carry their own number as pixels.

The number is 10 bits in two rows of five blocks, white for 1, black for 0, so large that compression and
scaling leave them readable. The corners differ in colour, so that a turned or mirrored picture is noticed.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from affkit.data.video import read_frames, write_video

BITS = 10
NTSC = Fraction(30000, 1001)


def numbered(number: int, width: int = 160, height: int = 96) -> np.ndarray:
    """A frame ``(height, width, 3)`` uint8 RGB with ``number``, 0 to 1023, written on it."""
    frame = np.full((height, width, 3), 90, np.uint8)
    for bit in range(BITS):
        frame[_block(bit, width, height)] = 255 if number >> bit & 1 else 0
    frame[: height // 8, : width // 8] = (250, 20, 20)  # red: top left
    frame[: height // 8, -(width // 8) :] = (20, 20, 250)  # blue: top right
    return frame


def read_number(frame: np.ndarray) -> int:
    """The number on a frame, RGB or grey."""
    grey = frame.mean(axis=2) if frame.ndim == 3 else frame
    height, width = grey.shape
    bits = [grey[_block(bit, width, height)][2:-2, 2:-2].mean() > 127 for bit in range(BITS)]
    return sum(1 << bit for bit, is_set in enumerate(bits) if is_set)


def read_numbers(path: Path) -> list[int]:
    return [read_number(frame) for frame in read_frames(path)]


def write_numbered(
    path: Path,
    num_frames: int = 40,
    fps: float | Fraction = 30,
    codec: str = "libx264",
    size: tuple[int, int] = (160, 96),
    times: Sequence[float] | None = None,
    rotation: int = 0,
) -> Path:
    """A clip of ``num_frames`` numbered frames; with ``rotation`` a player turns them upright."""
    frames: Iterable[np.ndarray] = (numbered(i, *size) for i in range(num_frames))
    if rotation:  # stored the other way round
        frames = (np.rot90(frame, -rotation // 90) for frame in frames)
    write_video(path, frames, fps=fps, codec=codec, times=times, rotation=rotation)
    return path


def write_labels(path: Path, num_frames: int, header: str | None = "valence,arousal") -> Path:
    """A label file whose line i says i - 1: the number on that frame, as valence in thousandths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header] if header else []
    lines += [f"{i / 1000:.3f},0" for i in range(num_frames)]
    path.write_text("\n".join(lines) + "\n")
    return path


def read_labels(path: Path) -> list[int]:
    """The frame numbers that :func:`write_labels` wrote."""
    lines = path.read_text().splitlines()[1:]
    return [round(float(line.split(",")[0]) * 1000) for line in lines]


def _block(bit: int, width: int, height: int) -> tuple[slice, slice]:
    row, column = divmod(bit, 5)
    top, left = height * (2 + 3 * row) // 8, width * (1 + 3 * column) // 16
    return slice(top, top + height * 2 // 8), slice(left, left + width * 2 // 16)


def video_kinds() -> dict[str, dict]:
    """Name of a file to the arguments of :func:`write_numbered`: what people really have."""
    variable = np.cumsum([0.034, 0.021, 0.05, 0.033, 0.3, 0.012, 0.04, 0.1] * 5) - 0.034
    return {
        "mjpeg25.avi": {"fps": 25, "codec": "mjpeg"},
        "mpeg4_25.avi": {"fps": 25, "codec": "mpeg4"},
        "ntsc.mov": {"fps": NTSC},
        "vp9_24.webm": {"fps": 24, "codec": "libvpx-vp9"},
        "vp8_24.webm": {"fps": 24, "codec": "libvpx"},
        "rounded30.webm": {"fps": 30, "codec": "libvpx-vp9"},
        "rounded30_h264.mkv": {"fps": 30},
        "variable.mp4": {"times": variable.tolist()},
        "turned.mp4": {"fps": 30, "rotation": 90},
        "turned_odd.avi": {"fps": 25, "codec": "mjpeg", "size": (161, 97)},
        "fast60.mp4": {"fps": 60},
        "slow10.mp4": {"fps": 10},
        "single.mp4": {"num_frames": 1, "fps": 25},
        "ts25.ts": {"fps": 25},
    }

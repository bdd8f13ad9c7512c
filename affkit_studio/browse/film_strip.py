"""A row of z as pictures: a film strip, a GIF, an MP4."""

from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from affkit.errors import UserError
from affkit.files import refuse_existing, write_beside
from affkit.store import image_grid
from affkit.video.video import write_video

SIDE = 256  # pixels; small faces are enlarged at least to this for a film


def film_strip(frames: np.ndarray, columns: int = 12, count: int | None = None) -> np.ndarray:
    """Frames ``(T, S, S, 3)`` uint8 as one picture, row by row; of many, ``count`` evenly chosen ones.

    >>> film_strip(np.zeros((100, 8, 8, 3), np.uint8), columns=5, count=10).shape
    (16, 40, 3)
    """
    if count is not None and count < len(frames):
        frames = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
    return image_grid(frames, columns)


def enlarged(frames: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Frames ``(T, S, S, 3)`` a whole number of times as large, so that they have ``side`` pixels or more.

    >>> enlarged(np.zeros((2, 96, 96, 3), np.uint8)).shape
    (2, 288, 288, 3)
    """
    times = -(-side // frames.shape[1])
    if times <= 1:
        return frames
    size = (times * frames.shape[2], times * frames.shape[1])
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in frames])


def write_film(
    path: str | Path, frames: np.ndarray, fps: float = 20.0, side: int = SIDE, force: bool = False
) -> Path:
    """Write frames ``(T, S, S, 3)`` uint8 as ``.mp4`` (H.264) or as ``.gif``, by the ending of ``path``.

    A GIF runs in an endless loop, in 256 colours a frame, and counts in hundredths of a second: 20 frames a
    second are exact, 30 become 33.3. Raises UserError if the file exists, unless ``force``, or its name ends
    otherwise.
    """
    path = Path(path)
    refuse_existing(path, force)
    frames = enlarged(frames, side)
    if path.suffix.lower() == ".mp4":
        even = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]  # H.264 wants even sides
        write_video(path, even, fps=fps)
    elif path.suffix.lower() == ".gif":
        pictures = [PIL.Image.fromarray(frame).quantize(256) for frame in frames]
        hundredths = max(round(100 / fps), 2)  # browsers slow down what is faster
        with write_beside(path) as part:
            pictures[0].save(
                part, save_all=True, append_images=pictures[1:], duration=10 * hundredths, loop=0
            )
    else:
        raise UserError(path, "is neither a film nor a GIF", "let the name end in .mp4 or .gif")
    return path

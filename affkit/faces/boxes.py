"""What detectors, tracking and crops share: a box around a face, and what a detector is."""

from typing import NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np

CROP_MARGIN = 1.3  # side of a crop, in sides of the box
CROP_RISE = 0.02  # how far the crop sits above the box, in sides of the box


class Box(NamedTuple):
    """A face in a picture, in pixels, and how sure the detector is of it: comparable within one detector."""

    x: float
    y: float
    w: float
    h: float
    score: float = float("nan")  # of a box that was filled in between two that were seen

    @property
    def center(self) -> tuple[float, float]:
        return self.x + self.w / 2, self.y + self.h / 2

    @property
    def side(self) -> float:
        """Side of the square of the same area."""
        return (self.w * self.h) ** 0.5

    def moved(self, dx: float, dy: float, scale: float = 1.0) -> "Box":
        """The box in a picture that was enlarged by ``scale`` and then shifted by ``(dx, dy)``."""
        return Box(self.x * scale + dx, self.y * scale + dy, self.w * scale, self.h * scale, self.score)

    def calibrated(self, shift: tuple[float, float], scale: tuple[float, float]) -> "Box":
        """The box that another detector means: shifted by ``shift`` widths and heights, then resized.

        So boxes of all detectors go from the brows to the chin and from ear to ear, and their crops agree.

        >>> Box(0, 0, 10, 20).calibrated((0.1, 0.0), (1.0, 0.5))
        Box(x=1.0, y=5.0, w=10.0, h=10.0, score=nan)
        """
        (x, y), w, h = self.center, self.w * scale[0], self.h * scale[1]
        return Box(x + shift[0] * self.w - w / 2, y + shift[1] * self.h - h / 2, w, h, self.score)

    def intersection(self, other: "Box") -> float:
        width = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        height = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        return max(width, 0.0) * max(height, 0.0)

    def iou(self, other: "Box") -> float:
        """Intersection over union, 0 (apart) to 1 (the same).

        >>> Box(0, 0, 10, 10).iou(Box(0, 0, 10, 5))
        0.5
        """
        shared = self.intersection(other)
        return shared / (self.w * self.h + other.w * other.h - shared)


@runtime_checkable
class Detector(Protocol):
    """Finds faces in a picture; its settings, best the fields of a dataclass, are noted in the store.

    A field ``clear`` is a score that every person reaches at least once in a clip. A method ``eager()`` gives
    a less strict detector, for the small pictures in which a face is followed.
    """

    name: str

    def detect(self, frame: np.ndarray) -> list[Box]:
        """Faces in ``frame``, ``(H, W, 3)`` uint8 RGB; boxes in pixels of ``frame``, best first."""
        ...


def resized(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture ``(H, W, 3)`` averaged down, or enlarged along straight lines, to another size."""
    way = cv2.INTER_AREA if width < picture.shape[1] or height < picture.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(picture, (width, height), interpolation=way)


def crop_face(frame: np.ndarray, box: Box, size: int) -> np.ndarray:
    """The square around a face, ``(size, size, 3)`` uint8, from above the brows to below the chin.

    Over the border of the picture it is continued with the pixels of the border.
    """
    (x, y), side = box.center, box.side * CROP_MARGIN
    left, top = round(x - side / 2), round(y - side / 2 - CROP_RISE * box.side)
    side = max(round(side), 1)
    height, width = frame.shape[:2]
    inside = frame[
        min(max(top, 0), height - 1) : max(top + side, 1), min(max(left, 0), width - 1) : max(left + side, 1)
    ]
    if inside.shape[:2] != (side, side):
        above, before = min(max(-top, 0), side - 1), min(max(-left, 0), side - 1)
        below, after = side - above - inside.shape[0], side - before - inside.shape[1]
        inside = cv2.copyMakeBorder(inside, above, below, before, after, cv2.BORDER_REPLICATE)
    return resized(inside, size, size)

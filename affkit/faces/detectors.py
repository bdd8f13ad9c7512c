"""Faces in one picture: a box around a face and the crop in it, what a detector is, and the two of OpenCV.

The paper has FFLD2 (III.E, :mod:`affkit.faces.ffld2`), which the user builds; the weights of
:mod:`affkit.faces.mtcnn` are one more wheel. Another :class:`Detector` is a class of ten lines;
``docs/detectors.md`` compares those here.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np

from affkit.errors import UserError
from affkit.files import existing_file

CROP_MARGIN = 1.3  # side of a crop, in sides of the box
CROP_RISE = 0.02  # how far the crop sits above the box, in sides of the box

# Where an aligned crop has the eyes, in its sides: the medians of plain crops of the corpus.
EYES_APART, EYES_DOWN = 0.3, 0.34
LEAST_APART = 0.3  # in sides of the box; in a head that is turned away the eyes are nearer to each other

_LAST_STAGE = 53.756  # stageThreshold of the last stage in haarcascade_frontalface_alt2.xml

# Haar's boxes as true boxes: shift in widths and heights, then factors on both (docs/detectors.md)
_HAAR_SHIFT, _HAAR_SCALE = (0.0, 0.115), (0.86, 1.02)


class Box(NamedTuple):
    """A face in a picture, in pixels, and how sure the detector is of it: comparable within one detector."""

    x: float
    y: float
    w: float
    h: float
    score: float = float("nan")  # of a box that was filled in between two that were seen
    eyes: tuple[float, ...] = ()  # x, y of the person's right, then left eye, from detectors that see them

    @property
    def center(self) -> tuple[float, float]:
        return self.x + self.w / 2, self.y + self.h / 2

    @property
    def side(self) -> float:
        """Side of the square of the same area."""
        return (self.w * self.h) ** 0.5

    def moved(self, dx: float, dy: float, scale: float = 1.0) -> "Box":
        """The box in a picture that was enlarged by ``scale`` and then shifted by ``(dx, dy)``."""
        eyes = tuple(place * scale + (dx, dy)[i % 2] for i, place in enumerate(self.eyes))
        return Box(self.x * scale + dx, self.y * scale + dy, self.w * scale, self.h * scale, self.score, eyes)

    def calibrated(self, shift: tuple[float, float], scale: tuple[float, float]) -> "Box":
        """The box that another detector means: shifted by ``shift`` widths and heights, then resized.

        So boxes of all detectors go from the brows to the chin and from ear to ear, and their crops agree.

        >>> Box(0, 0, 10, 20).calibrated((0.1, 0.0), (1.0, 0.5))
        Box(x=1.0, y=5.0, w=10.0, h=10.0, score=nan, eyes=())
        """
        (x, y), w, h = self.center, self.w * scale[0], self.h * scale[1]
        corner = x + shift[0] * self.w - w / 2, y + shift[1] * self.h - h / 2
        return Box(*corner, w, h, self.score, self.eyes)

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


def aligned_face(frame: np.ndarray, box: Box, size: int) -> np.ndarray:
    """As :func:`crop_face`, turned and resized so that the eyes are level and always at the same place."""
    eyes = np.reshape(box.eyes, (2, 2))
    across = eyes[1] - eyes[0]
    side = max(np.hypot(*across), LEAST_APART * box.side) / EYES_APART  # of the crop in the frame, in pixels
    large = size * max(
        round(side / size), 1
    )  # about as large as there: made smaller afterwards, by averaging
    x, y = across / np.hypot(*across) * large / side
    turn = np.array([[x, y], [-y, x]])
    shift = (large / 2, large * EYES_DOWN) - turn @ eyes.mean(axis=0)
    crop = cv2.warpAffine(
        frame, np.column_stack([turn, shift]), (large, large), borderMode=cv2.BORDER_REPLICATE
    )
    return resized(crop, size, size)


def _reduced(frame: np.ndarray, reduction: float) -> np.ndarray:
    height, width = frame.shape[:2]
    return resized(frame, max(round(width / reduction), 1), max(round(height / reduction), 1))


@lru_cache
def _cascade() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / "haarcascade_frontalface_alt2.xml"))


@dataclass(frozen=True)
class HaarDetector:
    """Viola & Jones' cascade (2001) on a reduced grey picture: frontal faces, up to about 40 degrees of turn.

    The model ships inside OpenCV. Its window is 20 pixels wide, so a picture is first reduced until the
    smallest face asked for is that wide: it loses nothing, saves work and averages noise away. A score is
    what the last stage adds up beyond the 53.8 that a hit needs: about 1 for a doubtful face, 3 for a clear
    one.

    >>> from skimage import data
    >>> [box.w > 80 for box in HaarDetector().detect(data.astronaut())]
    [True]
    """

    name: ClassVar[str] = "haar"
    smallest: float = 1 / 12  # width of a face, as a fraction of the shorter side: 60 pixels at 720p
    step: float = 1.1  # ratio between one face size and the next that is tried
    min_neighbors: int = 3  # overlapping hits that a face needs
    min_score: float = 0.0
    clear: float = 2.5  # every person has it once: on our clips false alarms reach 2.2, people 3 or more

    def eager(self) -> "HaarDetector":
        """The same for small pictures in which a face is expected: it needs fewer hits to be believed."""
        return replace(self, min_neighbors=min(self.min_neighbors, 2))

    def detect(self, frame: np.ndarray) -> list[Box]:
        reduction = max(1.0, self.smallest * min(frame.shape[:2]) / 20)
        grey = cv2.cvtColor(_reduced(frame, reduction), cv2.COLOR_RGB2GRAY)
        boxes, _, weights = _cascade().detectMultiScale3(
            grey, self.step, self.min_neighbors, outputRejectLevels=True
        )
        scored = zip(boxes, weights, strict=True)
        found = (Box(*map(float, box), float(weight) - _LAST_STAGE) for box, weight in scored)
        kept = (box.moved(0, 0, reduction) for box in found if box.score >= self.min_score)
        return sorted((box.calibrated(_HAAR_SHIFT, _HAAR_SCALE) for box in kept), key=lambda box: -box.score)


@lru_cache
def _yunet(model: str, min_score: float) -> cv2.FaceDetectorYN:
    net = cv2.FaceDetectorYN.create(model, "", (320, 320), min_score)
    net.detect(np.zeros((320, 320, 3), np.uint8))  # another network's file fails here, not in the first video
    return net


@dataclass(frozen=True)
class YuNetDetector:
    """YuNet (Wu, Peng & Yu 2023), run by OpenCV on the user's file; also turned and half hidden faces."""

    name: ClassVar[str] = "yunet"
    model: str  # an ONNX file such as face_detection_yunet_2023mar.onnx of the OpenCV model zoo
    min_score: float = 0.7
    longest: int = 640  # pixels; pictures with a longer side are reduced

    def __post_init__(self):
        existing_file(self.model)
        try:
            _yunet(str(self.model), self.min_score)
        except cv2.error as error:
            fix = "download face_detection_yunet_2023mar.onnx again"
            raise UserError(self.model, "is not a YuNet model OpenCV can read", fix) from error

    def detect(self, frame: np.ndarray) -> list[Box]:
        reduction = max(1.0, max(frame.shape[:2]) / self.longest)
        small = _reduced(frame, reduction)
        net = _yunet(str(self.model), self.min_score)
        net.setInputSize(small.shape[1::-1])
        _, rows = net.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        rows = [] if rows is None else rows  # a row: x, y, w, h, five landmarks, score
        boxes = (Box(*map(float, row[:4]), float(row[-1])).moved(0, 0, reduction) for row in rows)
        return sorted(boxes, key=lambda box: -box.score)

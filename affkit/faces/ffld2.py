"""FFLD2, the face detector of the paper (Section III.E), in a process of its own.

FFLD2 (Dubout & Fleuret 2012; 2013) finds objects made of parts by their gradients; its face is that of
Mathias et al. (2014). It is AGPL-3 and has to be compiled, so it is no part of this package:
``tools/build_ffld2.sh`` builds it into ``runs/ffld2``, or the folder that ``AFFKIT_FFLD2`` names, and
``worker.py`` runs there.
"""

import atexit
import os
import struct
import subprocess
import tempfile
import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from affkit.errors import UserError
from affkit.faces.detectors import Box

FOLDER = Path("runs/ffld2")
VARIABLE = "AFFKIT_FFLD2"
BUILD = "run tools/build_ffld2.sh"
HELLO = b"FFLD2\n"

# Its boxes as true boxes: shift in widths and heights of the box, then factors on both (docs/detectors.md)
SHIFT, SCALE = (0.0, 0.037), (0.855, 1.036)


class Worker:
    """A running ``worker.py``, which says ``FFLD2`` when it is ready.

    A question is height, width (uint32), least score (float32) and the pixels; the answer is a number
    (uint32) and as many times score, x, y, width, height (float32). All is little-endian.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        python, script = folder / "bin" / "python", folder / "worker.py"
        if not (python.is_file() and script.is_file()):
            raise UserError(folder, "FFLD2 is not here", f"{BUILD}, or set {VARIABLE} to where it is")
        self.errors = tempfile.TemporaryFile()
        self.lock = threading.Lock()
        # -I: what is set for this Python is not meant for that one
        self.process = subprocess.Popen(
            [python.absolute(), "-I", script.absolute()],
            **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.errors},
        )
        atexit.register(self.close)
        try:
            if (hello := self._read(len(HELLO))) != HELLO:
                raise UserError(script, f"says {hello!r}", f"{BUILD} again")
        except BaseException:
            self.close()
            raise

    def ask(self, frame: np.ndarray, least: float) -> list[Box]:
        """The boxes, as FFLD2 sees them, of a score of at least ``least``; ``frame`` is RGB uint8."""
        with self.lock:
            try:
                return self._answer(frame, least)
            except BaseException:  # Ctrl-C too: from here on answers would be those to the question before
                self.close()
                raise

    def close(self) -> None:
        """End the program; the next question of this process starts another."""
        _worker.cache_clear()
        atexit.unregister(self.close)
        if not self.errors.closed:
            self.errors.close()
            self.process.kill()
            self.process.communicate()

    def _answer(self, frame: np.ndarray, least: float) -> list[Box]:
        try:
            self.process.stdin.write(struct.pack("<IIf", *frame.shape[:2], least))
            self.process.stdin.write(np.ascontiguousarray(frame))
            self.process.stdin.flush()
        except OSError as error:  # it no longer listens
            raise self._broken() from error
        (number,) = struct.unpack("<I", self._read(4))
        return [Box(*place, score) for score, *place in struct.iter_unpack("<5f", self._read(number * 20))]

    def _read(self, length: int) -> bytes:
        data = self.process.stdout.read(length)
        if len(data) < length:
            raise self._broken()
        return data

    def _broken(self) -> UserError:
        self.process.wait()  # until then it may still print
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return UserError(self.folder, f"FFLD2 stopped ({last})", f"{BUILD} again")


@lru_cache(maxsize=1)
def _worker(folder: Path) -> Worker:
    return Worker(folder)


def running_worker() -> Worker:
    """The worker of this process; started when it is needed first."""
    return _worker(Path(os.environ.get(VARIABLE) or FOLDER))


@dataclass(frozen=True)
class FFLD2Detector:
    """The paper's detector: frontal and half turned faces; 0.5 to 1 s for a picture."""

    name: ClassVar[str] = "ffld2"
    min_score: float = (
        2.0  # FFLD2's own 4 loses most faces of a video; no non-face in docs/detectors.md reaches 1
    )
    zoom: float = 1.0  # of the picture, first; at 1 the smallest face found is 70 pixels wide

    def __post_init__(self):
        running_worker()

    def eager(self) -> "FFLD2Detector":
        """The same where a face is expected: smaller and less sure ones count too."""
        return replace(self, min_score=min(self.min_score, 1.0), zoom=max(self.zoom, 2.0))

    def detect(self, frame: np.ndarray) -> list[Box]:
        if self.zoom != 1:
            frame = cv2.resize(frame, None, fx=self.zoom, fy=self.zoom, interpolation=cv2.INTER_LINEAR)
        found = running_worker().ask(frame, self.min_score)
        found = (box.calibrated(SHIFT, SCALE).moved(0, 0, 1 / self.zoom) for box in found)
        return sorted(found, key=lambda box: -box.score)

"""A page of JavaScript in a notebook, and how a desk in Python answers it."""

import threading
from collections.abc import Iterable
from pathlib import Path

import anywidget
import cv2
import numpy as np

Reply = tuple[dict, list[bytes]]
"""What a page is told: something that is ready for JSON, and binary buffers."""


class PageWidget(anywidget.AnyWidget):
    """The page of a desk, whose ``handle(message, buffers)`` answers one message at a time.

    A message, whichever thread of the notebook brings it, has a ``kind``, a ``token`` that the answer carries
    too, and what the kind needs. Several pages may show one desk.
    """

    def __init__(self, desk):
        super().__init__()
        self.desk, self._turn = desk, threading.Lock()
        self.on_msg(self._answer)

    def _answer(self, _, message: dict, buffers: list[bytes]) -> None:
        with self._turn:
            reply, sent = self.desk.handle(message, buffers)
        self.send(reply, sent)


def one_module(parts: Iterable[Path]) -> str:
    """The parts of a page as one, without a build step: a browser has no way to import files from here."""
    return "\n".join(path.read_text(encoding="utf-8") for path in parts)


def encode_picture(picture: np.ndarray, format: str = ".png", options: tuple[int, ...] = ()) -> bytes:
    """An ``(H, W, 3)`` uint8 RGB picture as PNG or JPEG bytes; ``options`` are OpenCV's."""
    return cv2.imencode(format, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()

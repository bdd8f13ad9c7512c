"""A video with what a network says about it: boxes on the faces, bars beside them, a trace below."""

import math
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from affkit.labels import ACTION_UNIT_NAMES, ACTION_UNITS, ACTIVE, EXPRESSIONS, VA
from affkit.video.video import Video, write_video
from affkit_lab.figures.overlay_panels import INK, ORANGE, WHITE, BarPanel, TracePanel, put, text_picture

SMALLEST_SIDE, LARGEST_SIDE = 360, 1920
"""Pictures are scaled so that the shorter side is at least, and the longer at most, so many pixels."""

SMALLEST_FONT = 18
"""Pixels from line to line: capital letters are 12 high."""

_AROUND = (238, 238, 238)  # beside a picture that is smaller than its place
_OTHERS = (240, 240, 240)  # boxes of all but the first person


class Overlay:
    """What is drawn on and around each frame of one video.

    Boxes are drawn of everybody, with the number of the person where there are several; bars and trace are
    those of person 0, who is seen longest. A network that tells no expressions has bars of its action units;
    one that tells neither, or no valence and arousal, has no bars or no trace.

    Parameters
    ----------
    predictions:
        As :func:`~affkit.evaluation.predict.predict_video` gives them.
    seconds:
        ``(T,)``, when each frame is shown: :attr:`~affkit.video.video.Video.seconds`.
    width, height:
        Of the video, in pixels.

    Attributes
    ----------
    scale:
        Pixels of the drawn picture for one of the video.
    corner:
        x and y of the picture's upper left corner in what is drawn.
    size:
        Width and height of what is drawn, both even.
    """

    def __init__(self, predictions: pd.DataFrame, seconds: np.ndarray, width: int, height: int):
        scale = max(1.0, SMALLEST_SIDE / min(width, height))
        self.scale = min(scale, LARGEST_SIDE / max(width, height))
        self.picture_size = max(1, round(width * self.scale)), max(1, round(height * self.scale))
        self.font = max(SMALLEST_FONT, round(min(self.picture_size) / 28))
        self.boxes: dict[int, list[tuple[int, float, float, float, float]]] = {}  # of each frame, from 1
        for frame, *box in predictions[["frame", "person", "x", "y", "w", "h"]].itertuples(index=False):
            self.boxes.setdefault(frame, []).append(tuple(box))
        self.several = predictions["person"].nunique() > 1
        first = predictions[predictions["person"] == 0].set_index("frame")
        first = first.reindex(np.arange(1, len(seconds) + 1))  # empty rows where there is no face
        self.bars, self.values = self._make_bars(first)
        panel = self.bars.width if self.bars else 0
        body = max(self.picture_size[1], self.bars.height if self.bars else 0)
        across = max(self.picture_size[0] + panel, 24 * self.font)
        self.trace = (
            TracePanel(first[VA[0]], first[VA[1]], seconds, across, self.font) if VA[0] in first else None
        )
        down = body + (self.trace.height if self.trace else 0)
        self.size = math.ceil(across / 2) * 2, math.ceil(down / 2) * 2
        room = across - panel
        self.corner = (room - self.picture_size[0]) // 2, (body - self.picture_size[1]) // 2
        self._bars_at, self._trace_at = (room, 0), (0, body)
        self._empty = np.full((*self.size[::-1], 3), WHITE, np.uint8)
        self._empty[:body, :room] = _AROUND

    def _make_bars(self, first: pd.DataFrame) -> tuple[BarPanel | None, np.ndarray]:
        who = ", person 0" if self.several else ""
        height = self.picture_size[1]
        if EXPRESSIONS[0] in first:
            panel = BarPanel(f"Expression{who}", EXPRESSIONS, None, self.font, height)
            return panel, first[list(EXPRESSIONS)].to_numpy()
        if ACTION_UNITS[0] in first:
            names = tuple(f"{unit} {ACTION_UNIT_NAMES[unit]}" for unit in ACTION_UNITS)
            panel = BarPanel(f"Action units{who}", names, ACTIVE, self.font, height)
            return panel, first[list(ACTION_UNITS)].to_numpy()
        return None, np.empty((len(first), 0))

    def draw(self, frame: int, picture: np.ndarray) -> np.ndarray:
        """The annotated picture of a frame, from 0: ``(height, width, 3)`` uint8 RGB, see :attr:`size`."""
        canvas = self._empty.copy()
        way = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_CUBIC
        (x, y), (width, height) = self.corner, self.picture_size
        place = canvas[y : y + height, x : x + width]
        place[:] = picture if self.scale == 1 else cv2.resize(picture, self.picture_size, interpolation=way)
        self._draw_boxes(place, self.boxes.get(frame + 1, []))
        if self.bars:
            values = self.values[frame]
            (x, y), panel = self._bars_at, self.bars
            panel.draw(
                canvas[y : y + panel.height, x : x + panel.width], None if np.isnan(values[0]) else values
            )
        if self.trace:
            (x, y), panel = self._trace_at, self.trace
            panel.draw(canvas[y : y + panel.height, x : x + panel.width], frame)
        return canvas

    def _draw_boxes(self, place: np.ndarray, faces: list[tuple[int, float, float, float, float]]) -> None:
        """Outlines, bright on dark, to be seen on any picture; that of person 0 lies on top."""
        thick = max(2, self.font // 8)
        for person, *box in sorted(faces, reverse=True):
            x, y, w, h = (value * self.scale for value in box)
            corners = (round(x), round(y)), (round(x + w), round(y + h))
            color = ORANGE if person == 0 else _OTHERS
            cv2.rectangle(place, *corners, INK, thick + 2)
            cv2.rectangle(place, *corners, color, thick)
            if self.several:
                tag = text_picture(f" {person} ", self.font, INK, color)
                put(place, tag, max(round(x), 0), max(round(y) - tag.shape[0], 0))


def annotate_video(
    target: str | Path, video: str | Path | Video, predictions: pd.DataFrame, progress: bool = True
) -> None:
    """Write a video with an :class:`Overlay`: H.264, as many frames as ``video``, without sound.

    ``video`` is what was predicted. Its frame rate is kept; where that is variable, each frame is shown when
    it was. One frame at a time is in memory. A ``target`` that exists is replaced.
    """
    with Video.of(video) as clip:
        seconds = clip.seconds
        overlay = Overlay(predictions, seconds, clip.width, clip.height)
        bar = {"unit": "frame", "desc": "drawing", "delay": 2, "disable": not progress}
        frames = tqdm(clip.frames(), total=len(seconds), **bar)
        steady = np.abs(seconds - np.arange(len(seconds)) / float(clip.fps)).max() <= 0.5 / clip.fps
        drawn = (overlay.draw(number, picture) for number, picture in enumerate(frames))
        write_video(target, drawn, fps=clip.fps, times=None if steady else seconds)

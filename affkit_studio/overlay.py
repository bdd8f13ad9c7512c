"""A video with what a network says about it: boxes on the faces, bars beside them, a trace below.

Drawn with OpenCV and Pillow, not matplotlib, which would take a hundred times as long a frame.
"""

import math
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from affkit.faces.extract import Progress, watched
from affkit.labelfiles.formats import true_runs
from affkit.labels import ACTION_UNIT_NAMES, ACTION_UNITS, ACTIVE, EXPRESSIONS, VA
from affkit.video.video import Video, write_video
from affkit_lab.figures.style import PALETTE

SMALLEST_SIDE, LARGEST_SIDE = 360, 1920  # pixels; pictures are scaled to be in between
SMALLEST_FONT = 18  # pixels from line to line: capital letters are 12 high
PAGE_SECONDS = 30  # the trace of a longer video is shown in pages of equal length, none longer than this

Color = tuple[int, int, int]
BLUE, ORANGE = (tuple(round(255 * part) for part in PALETTE[i]) for i in (0, 1))
WHITE, INK, GREY, PALE = (255, 255, 255), (30, 30, 30), (105, 105, 105), (228, 228, 228)
FAINT_BLUE = (150, 191, 219)  # of bars that are not the likeliest
FADED = (175, 175, 175)  # text where there is no face
_AROUND = (238, 238, 238)  # beside a picture that is smaller than its place
_OTHERS = (240, 240, 240)  # boxes of all but the first person
NO_FACE = "no face"
_SUBPIXEL = 4  # bits of a coordinate behind the point, as OpenCV counts
_LINES = {"valence": (BLUE, False), "arousal": (ORANGE, True)}  # colour, and whether dashed


class Overlay:
    """What is drawn on and around each frame of one video of ``width`` by ``height`` pixels.

    Boxes are drawn of everybody, with the number of the person where there are several; bars and trace are
    those of person 0, who is seen longest. A network that tells no expressions has bars of its action units;
    one that tells neither, or no valence and arousal, has no bars or no trace.

    ``predictions`` are those of :func:`~affkit.evaluation.predict.predict_video`; ``seconds`` ``(T,)`` is
    when each frame is shown. What is drawn has an even ``size`` (width, height), with ``scale`` of its pixels
    for one of the video, whose upper left corner is at ``corner``.
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
        has_va = VA[0] in first
        self.trace = TracePanel(*(first[name] for name in VA), seconds, across, self.font) if has_va else None
        down = body + (self.trace.height if self.trace else 0)
        self.size = math.ceil(across / 2) * 2, math.ceil(down / 2) * 2
        room = across - panel
        self.corner = (room - self.picture_size[0]) // 2, (body - self.picture_size[1]) // 2
        self._bars_at, self._trace_at = (room, 0), (0, body)
        self._empty = np.full((*self.size[::-1], 3), WHITE, np.uint8)
        self._empty[:body, :room] = _AROUND

    def _make_bars(self, first: pd.DataFrame) -> tuple["BarPanel | None", np.ndarray]:
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
        """The annotated picture of a frame, from 0: ``(height, width, 3)`` uint8 RGB, see ``size``."""
        canvas = self._empty.copy()
        way = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_CUBIC
        place = _part(canvas, self.corner, *self.picture_size)
        place[:] = picture if self.scale == 1 else cv2.resize(picture, self.picture_size, interpolation=way)
        self._draw_boxes(place, self.boxes.get(frame + 1, []))
        if self.bars:
            values = self.values[frame]
            place = _part(canvas, self._bars_at, self.bars.width, self.bars.height)
            self.bars.draw(place, None if np.isnan(values[0]) else values)
        if self.trace:
            self.trace.draw(_part(canvas, self._trace_at, self.trace.width, self.trace.height), frame)
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
    target: str | Path, video: str | Path | Video, predictions: pd.DataFrame, progress: Progress = True
) -> None:
    """Write a video with an :class:`Overlay`: H.264, with the frames of ``video`` at their times, no sound.

    One frame at a time is in memory. A ``target`` that exists is replaced.
    """
    with Video.of(video) as clip:
        seconds = clip.seconds
        overlay = Overlay(predictions, seconds, clip.width, clip.height)
        frames = watched(clip.frames(), len(seconds), progress, unit="frame", desc="drawing")
        steady = np.abs(seconds - np.arange(len(seconds)) / float(clip.fps)).max() <= 0.5 / clip.fps
        drawn = (overlay.draw(number, picture) for number, picture in enumerate(frames))
        write_video(target, drawn, fps=clip.fps, times=None if steady else seconds)


class BarPanel:
    """A bar with a name for each of N probabilities; those from ``threshold`` on, or the longest, stand out.

    ``height`` may become larger than was asked for, so that all bars have room.
    """

    def __init__(self, title: str, names: tuple[str, ...], threshold: float | None, font: int, height: int):
        self.title, self.names, self.threshold, self.font = title, names, threshold, font
        self.head = round(2.05 * font)
        self.row = min(max((height - self.head) // len(names), round(2.22 * font)), 4 * font)
        self.height = max(height, self.head + self.row * len(names))
        lines = (*(f"{name} 100%" for name in names), f"{title} {NO_FACE}")
        self.width = round(max(text_picture(line, font).shape[1] for line in lines) + 3 * font)

    def bar(self, number: int) -> tuple[int, int, int, int]:
        """Left, top, width and height, in pixels of the panel, of a bar of probability 1."""
        top = self.head + number * self.row + round(1.4 * self.font)
        thickness = min(self.row - round(1.8 * self.font), self.font)
        return round(1.2 * self.font), top, self.width - 2 * self.font, thickness

    def draw(self, canvas: np.ndarray, values: np.ndarray | None) -> None:
        """Draw ``values`` ``(N,)``, or all grey without a face, onto a white ``(height, width, 3)``."""
        left, _, full, _ = self.bar(0)
        put(canvas, text_picture(self.title, self.font, GREY), left, round(0.4 * self.font))
        if values is None:
            no_face = text_picture(NO_FACE, self.font, INK, PALE)
            put(canvas, no_face, left + full, round(0.4 * self.font), from_right=True)
            strong = np.zeros(len(self.names), bool)
        elif self.threshold is None:
            strong = np.arange(len(values)) == values.argmax()
        else:
            strong = values >= self.threshold
        for number in range(len(self.names)):
            self._draw_bar(canvas, number, None if values is None else float(values[number]), strong[number])

    def _draw_bar(self, canvas: np.ndarray, number: int, value: float | None, strong: bool) -> None:
        left, top, full, thickness = self.bar(number)
        color = FADED if value is None else INK if strong else GREY
        line = top - round(1.4 * self.font)
        put(canvas, text_picture(self.names[number], self.font, color), left, line)
        words = "-" if value is None else f"{100 * value:.0f}%"
        put(canvas, text_picture(words, self.font, color), left + full, line, from_right=True)
        canvas[top : top + thickness, left : left + full] = PALE
        if value is not None:
            inset = 0 if strong else thickness // 4
            fill = _part(canvas, (left, top + inset), round(full * value), thickness - 2 * inset)
            fill[:] = BLUE if strong else FAINT_BLUE
        if strong:  # a pointer too, so that it does not hang on the colour
            middle, reach = line + round(0.62 * self.font), round(0.33 * self.font)
            tip = left - round(0.3 * self.font)
            corners = [(tip - 2 * reach, middle - reach), (tip - 2 * reach, middle + reach), (tip, middle)]
            cv2.fillPoly(canvas, [np.array(corners)], BLUE, cv2.LINE_AA)
        if self.threshold is not None:
            x = left + round(full * self.threshold)
            canvas[top : top + thickness + self.font // 5, x : x + 2] = FADED if value is None else INK


class TracePanel:
    """Valence and arousal ``(T,)`` over time, NaN leaves a gap, with a marker at the present frame."""

    def __init__(self, valence: np.ndarray, arousal: np.ndarray, seconds: np.ndarray, width: int, font: int):
        self.traces = {"valence": np.asarray(valence, float), "arousal": np.asarray(arousal, float)}
        self.seconds, self.width, self.font = seconds, width, font
        self.height = round(9.6 * font)
        self.left, self.right = round(3 * font), width - round(1.2 * font)
        self.top, self.bottom = round(2.2 * font), self.height - round(1.9 * font)
        self.legend = {"valence": self.left, "arousal": self.left + 11 * font}  # where each begins
        step = seconds[-1] / (len(seconds) - 1) if len(seconds) > 1 else 1.0
        self.duration = seconds[-1] + step
        self.page_seconds = self.duration / math.ceil(self.duration / PAGE_SECONDS)
        self._pages = (seconds / self.page_seconds + 1e-9).astype(int)  # (T,), from 0
        self._page, self._picture = -1, np.empty(0)

    def x(self, seconds: np.ndarray | float, page: int) -> np.ndarray | float:
        """Pixels from the left of the panel."""
        return self.left + (seconds / self.page_seconds - page) * (self.right - self.left)

    def y(self, value: np.ndarray | float) -> np.ndarray | float:
        """Pixels from the top of the panel: 1 is at the top of the plot, -1 at its bottom."""
        return self.top + (1 - value) / 2 * (self.bottom - self.top)

    def draw(self, canvas: np.ndarray, frame: int) -> None:
        """Draw onto ``canvas``, ``(height, width, 3)``, for a frame from 0."""
        page = int(self._pages[frame])
        if page != self._page:  # all but the marker and the numbers is drawn once a page
            self._page, self._picture = page, self._draw_page(page)
        canvas[:] = self._picture
        x, line = round(self.x(self.seconds[frame], page)), round(0.5 * self.font)
        cv2.line(canvas, (x, self.top), (x, self.bottom), INK, max(1, self.font // 12))
        for name, trace in reversed(self.traces.items()):  # the small disc over the larger square
            value, shift = trace[frame], text_picture(f"{name} ", self.font).shape[1] + 3 * self.font
            words = "-" if np.isnan(value) else f"{round(value, 2) + 0:+.2f}"  # + 0: no -0.00
            put(canvas, text_picture(words, self.font), self.legend[name] + shift, line)
            if not np.isnan(value):
                color, square = _LINES[name]
                _mark(canvas, 0.33 * self.font, x, round(self.y(value)), color, square)
        if self.right - self.legend["arousal"] > 17 * self.font:
            count = text_picture(f"frame {frame + 1} of {len(self.seconds)}", self.font, GREY)
            put(canvas, count, self.right, line, from_right=True)

    def _draw_page(self, page: int) -> np.ndarray:
        canvas = np.full((self.height, self.width, 3), WHITE, np.uint8)
        for value, color in {1: PALE, -1: PALE, 0: FADED}.items():
            y = round(self.y(value))
            cv2.line(canvas, (self.left, y), (self.right, y), color, max(1, self.font // 16))
            words = text_picture(f"{value:+d}" if value else "0", self.font, GREY)
            put(canvas, words, self.left - self.font // 2, y - words.shape[0] // 2, from_right=True)
        self._draw_ticks(canvas, page)
        thick, y = max(2, self.font // 8), round(1.15 * self.font)
        for name, trace in self.traces.items():
            color, dashed = _LINES[name]
            dash, left = 0.5 * self.font if dashed else 0, self.legend[name]
            _curve(canvas, np.array([(left, y), (left + 2.4 * self.font, y)]), color, thick, dash)
            put(canvas, text_picture(name, self.font), left + 3 * self.font, round(0.5 * self.font))
            for start, stop in true_runs((self._pages == page) & ~np.isnan(trace)).tolist():
                points = self.x(self.seconds[start:stop], page), self.y(trace[start:stop])
                _curve(canvas, np.stack(points, 1), color, thick, dash)
        return canvas

    def _draw_ticks(self, canvas: np.ndarray, page: int) -> None:
        room = 5 * self.font / (self.right - self.left) * self.page_seconds  # seconds a label needs
        step = next((step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10) if step >= room), 10)
        first = math.ceil(page * self.page_seconds / step - 1e-6)
        last = math.floor((page + 1) * self.page_seconds / step + 1e-6)
        for number in range(first, last + 1):
            second = number * step
            x = round(self.x(second, page))
            cv2.line(canvas, (x, self.bottom), (x, self.bottom + self.font // 4), FADED, 1)
            minutes, rest = divmod(round(second), 60)
            words = f"{minutes}:{rest:02}" if self.duration >= 60 else f"{second:.3g} s"
            picture = text_picture(words, self.font, GREY)
            x = min(x - picture.shape[1] // 2, self.width - picture.shape[1])
            put(canvas, picture, x, self.bottom + self.font // 3)


@lru_cache(maxsize=8)
def _font(size: int) -> PIL.ImageFont.FreeTypeFont:
    return PIL.ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def text_picture(text: str, size: int, color: Color = INK, background: Color = WHITE) -> np.ndarray:
    """A line of text, ``(H, W, 3)`` uint8, in a font of ``size`` pixels; it is cached, do not change it."""
    font = _font(size)
    ascent, descent = font.getmetrics()
    picture = PIL.Image.new("RGB", (math.ceil(font.getlength(text)) + 1, ascent + descent), background)
    PIL.ImageDraw.Draw(picture).text((0, 0), text, fill=color, font=font)
    return np.asarray(picture)


def put(canvas: np.ndarray, picture: np.ndarray, x: int, y: int, from_right: bool = False) -> None:
    """Copy a picture onto the canvas, its left, or right, upper corner at ``x, y``; cut what is outside."""
    x -= picture.shape[1] * from_right
    left, top = max(x, 0), max(y, 0)
    part = picture[top - y : max(canvas.shape[0] - y, 0), left - x : max(canvas.shape[1] - x, 0)]
    _part(canvas, (left, top), part.shape[1], part.shape[0])[:] = part


def _part(canvas: np.ndarray, corner: tuple[int, int], width: int, height: int) -> np.ndarray:
    x, y = corner
    return canvas[y : y + height, x : x + width]


def _curve(canvas: np.ndarray, points: np.ndarray, color: Color, thick: int, dash: float) -> None:
    """A line through ``(N, 2)`` points; dashed if ``dash``, its length in pixels, is not 0."""
    if len(points) == 1:  # a face seen in one frame alone
        points = points + np.array([[-1, 0], [1, 0]])
    pieces = [points]
    if dash:
        way = np.append(0, np.hypot(*np.diff(points, axis=0).T).cumsum())  # (N,) pixels along the line
        places = np.arange(0, way[-1] + 1)
        points = np.stack([np.interp(places, way, column) for column in points.T], 1)
        pieces = [points[start:stop] for start, stop in true_runs(places % (1.7 * dash) < dash)]
    pieces = [np.round(piece * 2**_SUBPIXEL).astype(np.int32) for piece in pieces]
    cv2.polylines(canvas, pieces, False, color, thick, cv2.LINE_AA, _SUBPIXEL)


def _mark(canvas: np.ndarray, radius: float, x: int, y: int, color: Color, square: bool) -> None:
    """A disc or a square, which is larger, with a white edge, so that it stands out from the curves."""
    radius = round(radius + 2 if square else radius)
    for size, fill in ((radius + 2, WHITE), (radius, color)):
        if square:
            cv2.rectangle(canvas, (x - size, y - size), (x + size, y + size), fill, -1)
        else:
            cv2.circle(canvas, (x, y), size, fill, -1, cv2.LINE_AA)

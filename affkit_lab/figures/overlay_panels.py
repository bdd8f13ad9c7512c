"""The panels beside an annotated picture: bars of probabilities, and the trace of valence and arousal.

They are drawn with OpenCV and Pillow, not matplotlib, which would take a hundred times as long a frame.
"""

import math
from functools import lru_cache

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from affkit.labelfiles.formats import true_runs
from affkit_lab.figures.style import PALETTE

Color = tuple[int, int, int]

BLUE, ORANGE = (tuple(round(255 * part) for part in PALETTE[i]) for i in (0, 1))
WHITE, INK, GREY, PALE = (255, 255, 255), (30, 30, 30), (105, 105, 105), (228, 228, 228)
FAINT_BLUE = (150, 191, 219)  # of bars that are not the likeliest
FADED = (175, 175, 175)  # text where there is no face
NO_FACE = "no face"
PAGE_SECONDS = 30
"""The trace of a longer video is shown in pages of equal length, none longer than this."""

_SUBPIXEL = 4  # bits of a coordinate behind the point, as OpenCV counts


@lru_cache(maxsize=8)
def _font(size: int) -> PIL.ImageFont.FreeTypeFont:
    return PIL.ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def text_picture(text: str, size: int, color: Color = INK, background: Color = WHITE) -> np.ndarray:
    """A line of text, ``(H, W, 3)`` uint8, ``size`` pixels from one line to the next; do not change it.

    The same few hundred numbers come again and again in a video, so each is drawn once.
    """
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
    canvas[top : top + part.shape[0], left : left + part.shape[1]] = part


class BarPanel:
    """A bar with a name for each probability.

    Parameters
    ----------
    title:
        The line above the bars.
    names:
        One for each bar.
    threshold:
        Bars from here on are emphasised, and a line shows where it is; with ``None`` the longest bar is.
    font, height:
        In pixels; :attr:`height` may become larger, so that all bars have room.
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
        """Draw onto ``canvas``, ``(height, width, 3)`` and white.

        ``values`` are ``(N,)`` probabilities, or ``None`` for a frame without a face: all grey.
        """
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
            length = round(full * value)
            canvas[top + inset : top + thickness - inset, left : left + length] = (
                BLUE if strong else FAINT_BLUE
            )
        if strong:  # a pointer too, so that it does not hang on the colour
            middle, reach = line + round(0.62 * self.font), round(0.33 * self.font)
            tip = left - round(0.3 * self.font)
            corners = [(tip - 2 * reach, middle - reach), (tip - 2 * reach, middle + reach), (tip, middle)]
            cv2.fillPoly(canvas, [np.array(corners)], BLUE, cv2.LINE_AA)
        if self.threshold is not None:
            x = left + round(full * self.threshold)
            canvas[top : top + thickness + self.font // 5, x : x + 2] = FADED if value is None else INK


class TracePanel:
    """Valence and arousal over time, with a marker at the present frame.

    Parameters
    ----------
    valence, arousal:
        ``(T,)`` in [-1, 1]; NaN leaves a gap.
    seconds:
        ``(T,)``, when each frame is shown, from 0.
    width, font:
        In pixels.
    """

    def __init__(self, valence: np.ndarray, arousal: np.ndarray, seconds: np.ndarray, width: int, font: int):
        self.traces = {"valence": np.asarray(valence, float), "arousal": np.asarray(arousal, float)}
        self.seconds, self.width, self.font = seconds, width, font
        self.height = round(9.6 * font)
        self.left, self.right = round(3 * font), width - round(1.2 * font)
        self.top, self.bottom = round(2.2 * font), self.height - round(1.9 * font)
        step = seconds[-1] / (len(seconds) - 1) if len(seconds) > 1 else 1.0
        self.duration = seconds[-1] + step
        self.page_seconds = self.duration / math.ceil(self.duration / PAGE_SECONDS)
        self._page, self._picture = -1, np.empty(0)

    def page(self, frame: int) -> int:
        """The page, from 0, that shows a frame, from 0."""
        return int(self.seconds[frame] / self.page_seconds + 1e-9)

    def x(self, seconds: np.ndarray | float, page: int) -> np.ndarray | float:
        """Pixels from the left of the panel."""
        return self.left + (seconds / self.page_seconds - page) * (self.right - self.left)

    def y(self, value: np.ndarray | float) -> np.ndarray | float:
        """Pixels from the top of the panel: 1 is at the top of the plot, -1 at its bottom."""
        return self.top + (1 - value) / 2 * (self.bottom - self.top)

    def draw(self, canvas: np.ndarray, frame: int) -> None:
        """Draw onto ``canvas``, ``(height, width, 3)``, for a frame from 0."""
        page = self.page(frame)
        if page != self._page:  # all but the marker and the numbers is drawn once a page
            self._page, self._picture = page, self._draw_page(page)
        canvas[:] = self._picture
        x = self.x(self.seconds[frame], page)
        cv2.line(canvas, (round(x), self.top), (round(x), self.bottom), INK, max(1, self.font // 12))
        marks = []
        for (name, trace), color, left in zip(
            self.traces.items(), (BLUE, ORANGE), self._legend(), strict=True
        ):
            value, shift = trace[frame], text_picture(f"{name} ", self.font).shape[1] + 3 * self.font
            words = "-" if np.isnan(value) else f"{round(value, 2) + 0:+.2f}"  # + 0: no -0.00
            put(canvas, text_picture(words, self.font), left + shift, round(0.5 * self.font))
            if not np.isnan(value):
                marks.append((x, self.y(value), color, name == "arousal"))
        for mark in reversed(marks):  # the small disc over the larger square, so that both are seen
            _mark(canvas, 0.33 * self.font, *mark)
        if self.right - self._legend()[1] > 17 * self.font:
            count = text_picture(f"frame {frame + 1} of {len(self.seconds)}", self.font, GREY)
            put(canvas, count, self.right, round(0.5 * self.font), from_right=True)

    def _legend(self) -> tuple[int, int]:
        return self.left, self.left + 11 * self.font

    def _draw_page(self, page: int) -> np.ndarray:
        canvas = np.full((self.height, self.width, 3), WHITE, np.uint8)
        for value, color in {1: PALE, -1: PALE, 0: FADED}.items():
            y = round(self.y(value))
            cv2.line(canvas, (self.left, y), (self.right, y), color, max(1, self.font // 16))
            words = text_picture(f"{value:+d}" if value else "0", self.font, GREY)
            put(canvas, words, self.left - self.font // 2, y - words.shape[0] // 2, from_right=True)
        self._draw_ticks(canvas, page)
        shown = (self.seconds / self.page_seconds + 1e-9).astype(int) == page
        for (name, trace), color, left in zip(
            self.traces.items(), (BLUE, ORANGE), self._legend(), strict=True
        ):
            dash, thick = name == "arousal", max(2, self.font // 8)
            y = round(1.15 * self.font)
            sample = np.linspace((left, y), (left + 2.4 * self.font, y), 8)
            _curve(canvas, sample, color, thick, 0.5 * self.font if dash else 0)
            put(canvas, text_picture(name, self.font), left + 3 * self.font, round(0.5 * self.font))
            for start, stop in true_runs(shown & ~np.isnan(trace)).tolist():
                x, y = self.x(self.seconds[start:stop], page), self.y(trace[start:stop])
                _curve(canvas, np.stack([x, y], 1), color, thick, 0.5 * self.font if dash else 0)
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


def _curve(canvas: np.ndarray, points: np.ndarray, color: Color, thick: int, dash: float) -> None:
    """A line through ``(N, 2)`` points; dashed if ``dash``, its length in pixels, is not 0."""
    if len(points) == 1:  # a face seen in one frame alone
        points = points + np.array([[-1, 0], [1, 0]])
    pieces = [points]
    if dash:
        way = np.concatenate(
            [[0], np.hypot(*np.diff(points, axis=0).T).cumsum()]
        )  # (N,) pixels along the line
        places = np.arange(0, way[-1] + 1)
        points = np.stack([np.interp(places, way, column) for column in points.T], 1)
        drawn = places % (1.7 * dash) < dash
        pieces = [points[start:stop] for start, stop in true_runs(drawn)]
    pieces = [np.round(piece * 2**_SUBPIXEL).astype(np.int32) for piece in pieces]
    cv2.polylines(canvas, pieces, False, color, thick, cv2.LINE_AA, _SUBPIXEL)


def _mark(canvas: np.ndarray, radius: float, x: float, y: float, color: Color, square: bool) -> None:
    """A disc or a square, which is larger, with a white edge, so that it stands out from the curves."""
    radius = radius + 2 if square else radius
    for size, fill in ((radius + 2, WHITE), (radius, color)):
        if square:
            corners = (round(x - size), round(y - size)), (round(x + size), round(y + size))
            cv2.rectangle(canvas, *corners, fill, -1)
        else:
            cv2.circle(canvas, (round(x), round(y)), round(size), fill, -1, cv2.LINE_AA)

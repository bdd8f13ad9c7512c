"""Widgets of the notebooks: frames of a video to step through, and a prediction to change by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import ipywidgets as widgets
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from affkit.video.video import Video
from affkit_lab.figures.style import PALETTE
from affkit_studio.page_widget import encode_picture
from affkit_studio.smoothing_and_lag import change_trace, three_scores

BOX_COLORS = ((255, 200, 0), (0, 200, 255), (255, 80, 200))
"""Yellow, light blue, pink: person 0, 1, 2."""

LIMIT = 1.5  # of the axes of scores; what lies beyond is not seen, and counts nevertheless


def frame_player(
    picture: Callable[[int], np.ndarray],
    num_frames: int,
    caption: Callable[[int], str] | None = None,
    fps: int = 10,
) -> widgets.VBox:
    """Step through frames with a slider or let them play.

    ``picture(i)`` is frame ``i`` (0-based), ``(H, W, 3)`` uint8 RGB, called when it is shown; ``caption(i)``
    the line under it, shown as text, never as HTML. ``fps`` pictures a second are played.
    """
    first = picture(0)
    size = widgets.Layout(width=f"{first.shape[1]}px", flex="0 0 auto", max_width="100%")  # pixel for pixel
    image = widgets.Image(value=encode_picture(first), format="png", layout=size)
    image.add_class("affkit-frame-image")
    slider = widgets.IntSlider(
        0, 0, num_frames - 1, description="frame", layout=widgets.Layout(width="420px", max_width="100%")
    )
    slider.add_class("affkit-frame-slider")
    play = widgets.Play(min=0, max=num_frames - 1, interval=round(1000 / fps))
    widgets.jslink((play, "value"), (slider, "value"))
    text = widgets.Label(caption(0) if caption else "")

    def show(change):
        image.value = encode_picture(picture(change["new"]))
        text.value = caption(change["new"]) if caption else ""

    slider.observe(show, names="value")
    wrapped = widgets.Layout(flex_flow="row wrap", width="100%")  # on a narrow page the slider goes below
    return widgets.VBox(
        [image, text, widgets.HBox([play, slider], layout=wrapped)],
        layout=widgets.Layout(align_items="flex-start"),
    )


def clip_player(video: str | Path, boxes: pd.DataFrame, every: int = 3) -> widgets.VBox:
    """Play every how-manieth frame of a video with the faces of a store drawn into it.

    ``boxes`` are the rows of ``store.index`` for this video: ``frame`` (1-based), ``person``, ``x``, ``y``,
    ``w``, ``h``. The pictures stay in memory.
    """
    frames = [frame for number, frame in enumerate(Video(video).frames()) if number % every == 0]
    people = dict(list(boxes.groupby("frame")))

    def picture(i: int) -> np.ndarray:
        shown = frames[i]
        for row in people.get(i * every + 1, boxes[:0]).itertuples():
            shown = draw_box(shown, (row.x, row.y, row.w, row.h), BOX_COLORS[row.person % len(BOX_COLORS)])
        return shown

    def caption(i: int) -> str:
        found = people.get(i * every + 1, boxes[:0])["person"].tolist()
        return f"frame {i * every + 1}: " + (f"person {' and '.join(map(str, found))}" if found else "nobody")

    return frame_player(picture, len(frames), caption)


def draw_box(picture: np.ndarray, box: Sequence[float], color: Sequence[int] = (255, 200, 0)) -> np.ndarray:
    """A copy of ``picture`` with the outline of ``box``: x, y, width, height in pixels."""
    x, y, width, height = box
    corners = (round(x), round(y)), (round(x + width), round(y + height))
    return cv2.rectangle(picture.copy(), *corners, tuple(color), max(2, len(picture) // 160))


class ScorePicture:
    """Two traces over time, ``(T,)`` in [-1, 1], NaN where there is none; and one against the other.

    Drawn again quickly.
    """

    def __init__(self, label: np.ndarray, predicted: np.ndarray, fps: float = 30.0, name: str = "valence"):
        self.label = np.asarray(label, np.float64)
        # not by pyplot: a notebook would show such a figure a second time, below the cell
        self.figure = Figure(figsize=(11, 3.4), dpi=80, layout="constrained")
        self.canvas = FigureCanvasAgg(self.figure)
        time, against = self.figure.subplots(1, 2, width_ratios=[3, 1])
        seconds = np.arange(len(label)) / fps
        time.plot(seconds, self.label, color="0.25", label="label")
        (self.curve,) = time.plot(seconds, predicted, "--", color=PALETTE[1], label="prediction")
        time.set(xlabel="seconds", ylabel=name, ylim=(-LIMIT, LIMIT), title="Label and prediction")
        time.legend(loc="upper right", ncols=2, fontsize=9)
        against.plot([-LIMIT, LIMIT], [-LIMIT, LIMIT], color="0.6", linewidth=1)
        (self.points,) = against.plot(self.label, predicted, ".", color=PALETTE[1], markersize=3)
        against.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal")
        against.set(xlabel=f"label: {name}", ylabel="prediction", title="Frame by frame")
        self.canvas.draw()
        self.figure.set_layout_engine("none")  # the axes keep their places: quicker, and nothing jumps

    def draw(self, predicted: np.ndarray) -> bytes:
        """The picture for this prediction, ``(T,)``, as PNG."""
        self.curve.set_ydata(predicted)
        self.points.set_ydata(predicted)
        self.canvas.draw()
        return encode_picture(np.asarray(self.canvas.buffer_rgba())[..., :3])


def score_explorer(
    label: np.ndarray, predicted: np.ndarray, fps: float = 30.0, name: str = "valence"
) -> widgets.VBox:
    """Shift, scale, lag and smooth a prediction with sliders; the curves and three scores follow at once.

    Label and prediction are ``(T,)`` in [-1, 1], frame by frame, NaN where there is none. What a slider does
    is said in :func:`~affkit_studio.smoothing_and_lag.change_trace`; a button puts all of them back.
    """
    picture = ScorePicture(label, predicted, fps, name)
    before = three_scores(predicted, label)
    sliders = {
        "shift": widgets.FloatSlider(0, min=-1, max=1, step=0.05, description="shift"),
        "scale": widgets.FloatSlider(1, min=-1, max=3, step=0.1, description="scale"),
        "lag": widgets.IntSlider(0, min=-60, max=60, description="lag, frames"),
        "width": widgets.IntSlider(1, min=1, max=91, step=2, description="mean of"),
    }
    start = {key: slider.value for key, slider in sliders.items()}
    size = widgets.Layout(max_width="100%", flex="0 0 auto")
    image, table = widgets.Image(format="png", layout=size), widgets.HTML()
    image.add_class("affkit-score-image")
    table.add_class("affkit-score-table")
    back = widgets.Button(description="as predicted", tooltip="put all sliders back")

    def show(_=None):
        changed = change_trace(predicted, **{key: slider.value for key, slider in sliders.items()})
        image.value = picture.draw(changed)
        table.value = _score_table({"as predicted": before, "changed": three_scores(changed, label)})

    def put_back(_):
        for key, slider in sliders.items():
            slider.value = start[key]

    for key, slider in sliders.items():
        slider.add_class(f"affkit-score-{key}")
        slider.layout.width = "420px"
        slider.observe(show, names="value")
    back.on_click(put_back)
    show()
    controls = widgets.HBox([widgets.VBox([*sliders.values(), back]), table])
    controls.layout.flex_flow = "row wrap"
    return widgets.VBox([controls, image])


def _score_table(rows: dict[str, dict[str, float]]) -> str:
    """Rows of scores as an HTML table; pandas escapes their names."""
    table = pd.DataFrame(rows).T.to_html(float_format="{:.3f}".format, border=0, col_space=75, justify="left")
    return f"<div style='font-size: 120%; margin: 1em; white-space: nowrap'>{table}</div>"

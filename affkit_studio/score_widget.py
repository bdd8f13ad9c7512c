"""A widget to change a prediction by hand and see what CCC, Pearson's correlation and MSE say to it."""

from html import escape

import ipywidgets as widgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from affkit_lab.figures.smoothing_and_lag import change_trace, three_scores
from affkit_lab.figures.style import PALETTE
from affkit_studio.widgets import encode_picture

LIMIT = 1.5  # of the axes; what lies beyond is not seen, and counts nevertheless


class ScorePicture:
    """Two traces over time, and beside that one against the other; drawn again quickly.

    Parameters
    ----------
    label, predicted:
        ``(T,)`` in [-1, 1]; NaN where there is none.
    fps:
        Frames a second.
    name:
        What it is, such as ``"valence"``.
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

    Parameters
    ----------
    label, predicted:
        ``(T,)`` in [-1, 1], frame by frame; NaN where there is none.
    fps:
        Frames a second.
    name:
        What it is, such as ``"valence"``.

    Returns
    -------
    VBox
        Four sliders, moved by mouse or by the arrow keys, ``Home`` and ``End``, a button that puts them back,
        the scores of ``three_scores``, and the picture. What a slider does is said
        in :func:`~affkit_lab.figures.smoothing_and_lag.change_trace`; the mean is centred.
    """
    picture = ScorePicture(label, predicted, fps, name)
    before = three_scores(predicted, label)
    sliders = {
        "shift": widgets.FloatSlider(0, min=-1, max=1, step=0.05, description="shift"),
        "scale": widgets.FloatSlider(1, min=-1, max=3, step=0.1, description="scale"),
        "lag": widgets.IntSlider(0, min=-60, max=60, description="lag, frames"),
        "width": widgets.IntSlider(1, min=1, max=91, step=2, description="mean of"),
    }
    for key, slider in sliders.items():
        slider.add_class(f"affkit-score-{key}")
        slider.layout.width = "420px"
    size = widgets.Layout(max_width="100%", flex="0 0 auto")
    image, table = widgets.Image(format="png", layout=size), widgets.HTML()
    image.add_class("affkit-score-image")
    table.add_class("affkit-score-table")
    back = widgets.Button(description="as predicted", tooltip="put all sliders back")
    start = {key: slider.value for key, slider in sliders.items()}

    def show(_=None):
        changed = change_trace(predicted, **{key: slider.value for key, slider in sliders.items()})
        image.value = picture.draw(changed)
        table.value = _score_table({"as predicted": before, "changed": three_scores(changed, label)})

    def put_back(_):
        for key, slider in sliders.items():
            slider.value = start[key]

    for slider in sliders.values():
        slider.observe(show, names="value")
    back.on_click(put_back)
    show()
    controls = widgets.VBox([*sliders.values(), back])
    wrapped = widgets.Layout(flex_flow="row wrap")
    return widgets.VBox([widgets.HBox([controls, table], layout=wrapped), image])


def _score_table(rows: dict[str, dict[str, float]]) -> str:
    """Rows of scores as an HTML table."""
    head = "".join(f"<th scope='col' style='padding: 0 1em'>{escape(name)}</th>" for name in rows["changed"])
    body = "".join(
        f"<tr><th scope='row' style='text-align: left; white-space: nowrap'>{escape(words)}</th>"
        + "".join(f"<td style='text-align: center'>{score:.3f}</td>" for score in scores.values())
        + "</tr>"
        for words, scores in rows.items()
    )
    return f"<table style='font-size: 120%; margin: 1em 2em'><tr><th></th>{head}</tr>{body}</table>"

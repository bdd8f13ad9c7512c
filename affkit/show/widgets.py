"""Widgets of the kit: small pages over logic that is tested without them."""

from collections.abc import Callable

import cv2
import ipywidgets as widgets
import numpy as np


def encode_picture(picture: np.ndarray) -> bytes:
    """An ``(H, W, 3)`` uint8 RGB picture as PNG bytes, which every browser shows as they are."""
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def frame_player(
    picture: Callable[[int], np.ndarray],
    num_frames: int,
    caption: Callable[[int], str] | None = None,
    fps: int = 10,
) -> widgets.VBox:
    """Step through frames with a slider or let them play.

    Parameters
    ----------
    picture:
        ``picture(i)`` is frame ``i`` (0-based) as an ``(H, W, 3)`` uint8 RGB array; called when it is shown.
    num_frames:
        How many frames there are.
    caption:
        ``caption(i)`` is the line of text under frame ``i``; shown as text, never as HTML.
    fps:
        Pictures a second while playing.
    """
    image = widgets.Image(value=encode_picture(picture(0)), format="png")
    image.add_class("affkit-frame-image")
    slider = widgets.IntSlider(
        0, 0, num_frames - 1, description="frame", layout=widgets.Layout(width="420px")
    )
    slider.add_class("affkit-frame-slider")
    play = widgets.Play(min=0, max=num_frames - 1, interval=round(1000 / fps))
    widgets.jslink((play, "value"), (slider, "value"))
    text = widgets.Label(caption(0) if caption else "")

    def show(change):
        image.value = encode_picture(picture(change["new"]))
        text.value = caption(change["new"]) if caption else ""

    slider.observe(show, names="value")
    return widgets.VBox([image, text, widgets.HBox([play, slider])])

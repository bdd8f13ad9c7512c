"""Widgets of the kit: small pages over logic that is tested without them."""

from collections.abc import Callable
from pathlib import Path

import cv2
import ipywidgets as widgets
import numpy as np
import pandas as pd

from affkit.video.video import read_frames
from affkit_lab.figures.style import draw_box

BOX_COLORS = ((255, 200, 0), (0, 200, 255), (255, 80, 200))
"""Yellow, light blue, pink: person 0, 1, 2."""


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
    """Play a video with the faces of a store drawn into it.

    Parameters
    ----------
    video:
        The file.
    boxes:
        Rows of ``store.index`` for this video: ``frame`` (1-based), ``person``, ``x``, ``y``, ``w``, ``h``.
    every:
        Show every how-manieth frame; the pictures stay in memory.
    """
    frames = [frame for number, frame in enumerate(read_frames(video)) if number % every == 0]
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

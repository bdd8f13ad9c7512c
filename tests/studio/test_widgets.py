"""Figures of a clip and widgets say what they should; whether they look well is for eyes."""

import numpy as np
import pytest
from small_corpus import labels_of

from affkit_studio.clip_figures import label_timeline
from affkit_studio.page_widget import encode_picture
from affkit_studio.widgets import draw_box, frame_player


def test_timeline_names_long_expressions_and_skips_gaps():
    labels = labels_of(expressions=[4] * 50 + [-1] * 10 + [1] * 40)
    labels.action_units[5:9, 4] = 1
    labels.has_action_units[:, 4] = True
    figure = label_timeline(labels, fps=10)
    _, band, lanes = figure.axes
    assert [text.get_text() for text in band.texts] == ["Happiness", "Anger"]
    bar = lanes.patches[0]
    assert (bar.get_x(), bar.get_width()) == pytest.approx((0.5, 0.4))


def test_drawn_box_may_reach_over_the_border():
    black = np.zeros((40, 60, 3), np.uint8)
    boxed = draw_box(black, (-5, 10, 100, 100))
    assert not black.any() and boxed.any()
    assert not boxed[20, 30].any()


def test_player_shows_the_frame_of_the_slider():
    frames = [np.full((4, 4, 3), value, np.uint8) for value in (0, 100, 200)]
    player = frame_player(frames.__getitem__, 3, lambda i: f"<b>{i}</b>")
    image, text, controls = player.children
    controls.children[1].value = 2
    assert image.value == encode_picture(frames[2])
    assert text.value == "<b>2</b>"

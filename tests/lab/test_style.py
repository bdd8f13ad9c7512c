"""Figures and widgets say what they should; whether they look well is for eyes."""

import cv2
import numpy as np
import pytest
from matplotlib import pyplot as plt

from affkit.labels import Labels
from affkit_lab.figures import style as plots
from affkit_studio.page_widget import encode_picture
from affkit_studio.widgets import frame_player


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def labels_of(expressions):
    labels = Labels.empty(len(expressions))
    labels.expression[:] = np.maximum(expressions, 0)
    labels.has_expression[:] = np.array(expressions) >= 0
    return labels


def test_grid_keeps_every_picture_in_reading_order():
    """Grey levels 0, 50, 100, ... read back from the JPEG, below the title."""
    pictures = np.zeros((5, 8, 8, 3), np.uint8) + np.arange(0, 250, 50, dtype=np.uint8)[:, None, None, None]
    grid = plots.picture_grid(pictures, columns=3, title="Five greys")
    shown = cv2.imdecode(np.frombuffer(grid.data, np.uint8), cv2.IMREAD_GRAYSCALE)
    side = shown.shape[1] // 3
    bottom = shown.shape[0] - side // 2
    levels = [
        shown[bottom - side + row * side, side // 2 + column * side] for row in (0, 1) for column in (0, 1, 2)
    ]
    assert np.allclose(levels, [0, 50, 100, 150, 200, 255], atol=4)
    assert grid.alt == "Five greys"


def test_timeline_names_long_expressions_and_skips_gaps():
    labels = labels_of([4] * 50 + [-1] * 10 + [1] * 40)
    labels.action_units[5:9, 4] = 1
    labels.has_action_units[:, 4] = True
    figure = plots.label_timeline(labels, fps=10)
    _, band, lanes = figure.axes
    assert [text.get_text() for text in band.texts] == ["Happiness", "Anger"]
    bar = lanes.patches[0]
    assert (bar.get_x(), bar.get_width()) == pytest.approx((0.5, 0.4))


def test_drawn_box_may_reach_over_the_border():
    black = np.zeros((40, 60, 3), np.uint8)
    boxed = plots.draw_box(black, (-5, 10, 100, 100))
    assert not black.any() and boxed.any()
    assert not boxed[20, 30].any()


def test_encoded_picture_is_exact():
    picture = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    decoded = cv2.imdecode(np.frombuffer(encode_picture(picture), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(decoded, picture)


def test_player_shows_the_frame_of_the_slider():
    frames = [np.full((4, 4, 3), value, np.uint8) for value in (0, 100, 200)]
    player = frame_player(frames.__getitem__, 3, lambda i: f"<b>{i}</b>")
    image, text, controls = player.children
    controls.children[1].value = 2
    assert image.value == encode_picture(frames[2])
    assert text.value == "<b>2</b>"

"""Figures say what they should; whether they look well is for eyes."""

import cv2
import numpy as np
import pytest
from matplotlib import pyplot as plt

from affkit_lab.figures import style as plots


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


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

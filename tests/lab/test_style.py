"""Figures say what they should; whether they look well is for eyes."""

import cv2
import numpy as np

from affkit_lab.figures import style as plots


def test_grid_keeps_every_picture_in_reading_order():
    """Grey levels 0, 50, 100, ... read back from the JPEG, below the title."""
    pictures = np.zeros((5, 8, 8, 3), np.uint8) + np.arange(0, 250, 50, dtype=np.uint8)[:, None, None, None]
    grid = plots.picture_grid(pictures, columns=3, title="Five greys")
    shown = cv2.imdecode(np.frombuffer(grid.data, np.uint8), cv2.IMREAD_GRAYSCALE)
    side = shown.shape[1] // 3
    bottom = shown.shape[0] - side // 2
    levels = shown[np.ix_([bottom - side, bottom], side // 2 + side * np.arange(3))]
    assert np.allclose(levels, [[0, 50, 100], [150, 200, 255]], atol=4)
    assert grid.alt == "Five greys"

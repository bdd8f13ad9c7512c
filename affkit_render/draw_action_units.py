"""Draw data_samples/action_units.jpg: one drawn face at rest, then each of the paper's eight action units.

python -m affkit_render.draw_action_units

The tiles stand in reading order, rest first, see :func:`affkit_lab.figures.corpus.action_unit_pictures`.
"""

from pathlib import Path

import cv2
import numpy as np

from affkit.labels import ACTION_UNITS
from affkit.store import image_grid
from affkit_render.actions import facial_actions
from affkit_render.head import Head
from affkit_render.identity import sample_identity
from affkit_render.render import Lighting, Pose, render

SHEET = Path(__file__).parents[1] / "data_samples" / "action_units.jpg"
SIZE, COLUMNS = 176, 3  # pixels of a tile, tiles in a row
SUBJECT = 15  # hair tied back, bare forehead, plain features: chosen by eye
BACKGROUND = (176, 188, 194)
LIGHTING = Lighting(  # as of a window half to the side: flat light would hide the wrinkles
    key_direction=(0.25, 0.5, 0.83),
    key=(0.85, 0.85, 0.85),
    fill_direction=(-0.7, 0.1, 0.7),
    fill=(0.25, 0.25, 0.25),
    rim_direction=(-0.6, 0.5, -0.6),
    rim=(0.3, 0.3, 0.3),
    sky=(0.36, 0.36, 0.36),
    ground=(0.2, 0.2, 0.2),
)


def drawn(head: Head, units: dict[str, float]) -> np.ndarray:
    """The face with some action units, ``(SIZE, SIZE, 3)`` uint8."""
    background = np.full((SIZE, SIZE, 3), BACKGROUND, np.uint8)
    pose = Pose(0.0, 0.0, 0.0, SIZE / 2, 0.47 * SIZE, 0.86 * SIZE)
    return render(head, facial_actions(units), pose, LIGHTING, background, antialias=4).image


def main() -> None:
    """Write the sheet."""
    head = Head(sample_identity(SUBJECT))
    faces = [drawn(head, units) for units in ({}, *({unit: 1.0} for unit in ACTION_UNITS))]
    sheet = cv2.cvtColor(image_grid(np.stack(faces), COLUMNS), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(SHEET), sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()

"""Draw docs/faces.png, the picture of the README: drawn faces above, generated ones below.

python -m affkit_render.draw_readme
"""

from pathlib import Path

import cv2
import numpy as np

from affkit.gan import generate
from affkit.store import image_grid, write_picture
from affkit_render.actions import facial_actions
from affkit_render.head import Head
from affkit_render.identity import sample_identity
from affkit_render.render import Pose, render, sample_lighting

ROOT = Path(__file__).parent.parent
SIZE, COLUMNS = 128, 8
SUBJECTS = (2, 10, 3, 15, 4, 44, 45, 46, 21, 22, 23, 24, 25, 26, 27, 28)
EXPRESSIONS = (
    {},
    {"AU6": 0.9, "AU12": 1.0, "AU25": 0.8},
    {"AU1": 1.0, "AU4": 0.5, "AU15": 1.0, "AU17": 0.6},
    {"AU4": 1.0, "AU7": 0.8, "AU24": 0.8},
    {"AU1": 1.0, "AU2": 1.0, "AU5": 0.7, "AU25": 1.0, "AU26": 0.9},
    {"AU1": 1.0, "AU2": 0.6, "AU4": 0.8, "AU5": 0.8, "AU20": 1.0, "AU25": 0.8},
    {"AU9": 1.0, "AU10": 0.8, "AU17": 0.5},
    {"AU12": 0.5},
)
BACKGROUNDS = ((150, 170, 180), (190, 180, 160), (160, 175, 160), (175, 165, 185))


def drawn(number: int, subject: int) -> np.ndarray:
    """One face, ``(SIZE, SIZE, 3)`` uint8."""
    rng = np.random.default_rng(subject)
    background = np.full((SIZE, SIZE, 3), BACKGROUNDS[number % len(BACKGROUNDS)], np.uint8)
    pose = Pose(*rng.normal(0, (0.25, 0.08, 0.05)), SIZE / 2, SIZE / 2, 0.62 * SIZE)
    actions = facial_actions(EXPRESSIONS[(number + number // COLUMNS) % len(EXPRESSIONS)])
    return render(
        Head(sample_identity(subject)), actions, pose, sample_lighting(rng), background, antialias=3
    ).image


def main() -> None:
    """Write the picture."""
    faces = np.stack([drawn(*pair) for pair in enumerate(SUBJECTS)])
    weights = ROOT / "data_samples" / "weights" / "gan_2" / "generator.safetensors"
    half = (SIZE // 2, SIZE // 2)
    generated = [
        cv2.resize(face, half, interpolation=cv2.INTER_CUBIC) for face in generate(weights, 4 * COLUMNS)
    ]
    rows = [image_grid(faces, COLUMNS), image_grid(np.stack(generated), 2 * COLUMNS)]
    write_picture(ROOT / "docs" / "faces.png", np.concatenate(rows))


if __name__ == "__main__":
    main()

"""The eight raw clips of ``data_samples``: drawn people, in the kinds of files that people really have.

Run ``python -m affkit_render.samples -o data_samples/clips --force`` to make them again, byte for byte.
"""

import argparse
import sys
from fractions import Fraction
from pathlib import Path

from affkit.errors import UserError
from affkit_render.corpus import ClipPlan, PersonPlan, film_all

SAMPLES = (
    ClipPlan("webcam_avi", (PersonPlan("s1", 33, face=118, emotions=("Happiness", "Surprise")),),
             seconds=4, seed=101, size=(320, 240), fps=Fraction(25), suffix=".avi", codec="mjpeg",
             background="plain", noise=0.8),
    ClipPlan("camera_mov",
             (PersonPlan("s2", 46, face=150, centre=(0.42, 0.52), emotions=("Anger", "Sadness")),),
             seconds=4, seed=102, size=(480, 270), fps=Fraction(30000, 1001), suffix=".mov", crf=23,
             background="bokeh", noise=1.2),
    ClipPlan("browser_webm", (PersonPlan("s3", 13, face=180, emotions=("Fear", "Happiness")),),
             seconds=4, seed=103, size=(480, 360), fps=Fraction(24), suffix=".webm", codec="libvpx-vp9",
             crf=31, background="room", noise=1.0),
    ClipPlan("phone_variable",
             (PersonPlan("s4", 54, face=160, centre=(0.55, 0.52), emotions=("Surprise", "Disgust")),),
             seconds=4, seed=104, size=(512, 288), variable=True, crf=23, background="room", noise=1.2),
    ClipPlan("phone_rotated",
             (PersonPlan("s5", 43, face=165, centre=(0.5, 0.42), emotions=("Sadness", "Happiness")),),
             seconds=4, seed=105, size=(270, 480), rotation=90, crf=23, background="room", occluder="hand",
             noise=1.0),
    ClipPlan("two_people", (
        PersonPlan("s6", 24, 150, side="left", centre=(0.28, 0.55), emotions=("Happiness", "Surprise")),
        PersonPlan("s7", 31, 160, side="right", centre=(0.72, 0.5), emotions=("Anger", "Happiness"))),
             seconds=4, seed=106, size=(640, 360), crf=23, background="room", noise=1.0),
    ClipPlan("leaves_picture",
             (PersonPlan("s8", 40, 170, emotions=("Happiness", "Neutral", "Fear"), away=(1.5, 2.7)),),
             seconds=5, seed=107, size=(480, 360), crf=23, background="room", noise=1.2),
    ClipPlan("interview", (PersonPlan("s9", 51, 220, emotions=("Sadness", "Anger", "Happiness")),),
             seconds=5, seed=108, size=(640, 480), crf=23, background="bokeh", occluder="microphone",
             noise=1.0),
)  # fmt: skip
"""What each clip shows and how it is stored."""


def main() -> None:
    """Draw the samples; a mistake is one line and exit code 2."""
    parser = argparse.ArgumentParser(description="Draw the eight sample clips with their labels.")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="clips drawn at the same time")
    parser.add_argument("--force", action="store_true", help="replace what is there")
    options = parser.parse_args()
    try:
        film_all(SAMPLES, options.out, options.jobs, options.force)
    except UserError as error:
        print(f"affkit: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()

"""Frames a second of `affkit predict` at 720p with the kit's two networks, with and without annotated video.

The plain loop reads with ``cv2.VideoCapture``, runs the cascade over every full-size grey frame with OpenCV's
default parameters, and gives each face to each network by itself; it writes nothing.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from bench_faces import photo_clip

from affkit.evaluation.predict import load_predictors, predict_videos
from affkit.store import to_unit_range
from affkit_studio.overlay import annotate_video
from affkit_studio.summary import write_summary


def rows(quick: bool = False) -> list[dict]:
    """Both with the same plain loop, measured in turn; two faces are in every frame."""
    num_frames, rounds = (60, 1) if quick else (150, 3)
    plain, without, with_video = [], [], []
    with tempfile.TemporaryDirectory() as name:
        clip, _ = photo_clip(Path(name), num_frames)
        for _ in range(rounds):
            plain.append(_seconds(lambda: plain_loop(clip)))
            for found, draw in ((without, None), (with_video, annotate_video)):
                how = {"draw": draw, "summarize": write_summary, "progress": False, "force": True}
                found.append(_seconds(lambda: predict_videos([clip], Path(name, "out"), **how)))  # noqa: B023
    what = "VideoCapture, the cascade on every full-size frame, each network face by face"
    plain_speed = num_frames / median(plain)
    table = []
    for words, found, target in (("--no-video", without, ">= 30"), ("with video", with_video, ">= 15")):
        ours = num_frames / median(found)
        row = {"name": f"predict 720p, {words}", "plain": what, "plain_value": plain_speed, "ours": ours}
        row |= {"unit": "frames/s", "ratio": ours / plain_speed, "target": target, "better": "higher"}
        table.append(row)
    return table


def _seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@torch.no_grad()
def plain_loop(clip: Path) -> None:
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")
    (affect, units), state = load_predictors(), None
    capture = cv2.VideoCapture(str(clip))
    while True:
        ok, frame = capture.read()
        if not ok:
            return
        for x, y, w, h in cascade.detectMultiScale(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)):
            face = cv2.resize(frame[y : y + h, x : x + w, ::-1], (96, 96), interpolation=cv2.INTER_AREA)
            image = to_unit_range(np.ascontiguousarray(face))[None]  # (1, 3, 96, 96)
            _, state = affect(image[None], state=state)
            units(image)


if __name__ == "__main__":
    for row in rows(quick=True):
        print(row)

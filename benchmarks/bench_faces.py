"""Faces per second, and how many are found: `affkit faces` against the loop everybody writes first.

The plain loop reads with ``cv2.VideoCapture`` and runs the same cascade over every full-size grey frame with
OpenCV's default parameters. Ours is the whole command: find, follow, smooth, cut out, write the store.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import pandas as pd
from skimage import data

from affkit.faces.detectors import Box
from affkit.faces.extract import extract_faces
from affkit.video.video import write_video

SAMPLES = Path(__file__).parent.parent / "data_samples" / "clips"
FOUND = 0.4  # intersection over union from which a box counts as the face
Truth = dict[tuple[str, int], list[Box]]  # (video, frame) -> the faces that are in it


def rows(quick: bool = False) -> list[dict]:
    """Speed at 720p, measured in turn, A B A B; then what is found there and on the drawn corpus."""
    num_frames, rounds = (30, 3) if quick else (60, 3)
    what = "VideoCapture, the cascade on every full-size frame"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip, truth = photo_clip(folder, num_frames)
        plain, ours = [], []
        for turn in range(rounds):
            plain.append(_timed(lambda: plain_loop([clip])))
            ours.append(_timed(lambda: our_boxes([clip], folder / f"{turn}")))  # noqa: B023
        plain_found, our_found = recall(plain[0][1], truth), recall(ours[0][1], truth)
        plain_speed = plain_found * _count(truth) / median(seconds for seconds, _ in plain)
        our_speed = our_found * _count(truth) / median(seconds for seconds, _ in ours)
        table = [
            _row("faces from 720p video", what, plain_speed, our_speed, "faces/s", ">= 10x"),
            _row("recall on that video", what, plain_found, our_found, "of 1", ">= 1x"),
        ]
        clips, truth = sample_clips()
        if clips:
            plain_boxes, boxes = plain_loop(clips), our_boxes(clips, folder / "samples")
            found = recall(plain_boxes, truth), recall(boxes, truth)
            right = precision(plain_boxes, truth), precision(boxes, truth)
            table.append(_row("recall on the drawn corpus", what, *found, "of 1", ">= 1x"))
            table.append(_row("precision on the drawn corpus", what, *right, "of 1", ">= 1x"))
    return table


def _row(name: str, plain: str, plain_value: float, ours: float, unit: str, target: str) -> dict:
    values = {"plain_value": plain_value, "ours": ours, "unit": unit, "ratio": ours / plain_value}
    return {"name": name, "plain": plain, **values, "target": target, "better": "higher"}


def _timed(work) -> tuple[float, Truth]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _count(truth: Truth) -> int:
    return sum(len(boxes) for boxes in truth.values())


def plain_loop(videos: list[Path]) -> Truth:
    """Boxes by video and frame (0-based): the plain loop."""
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")
    found = {}
    for video in videos:
        capture, index = cv2.VideoCapture(str(video)), 0
        while True:
            ok, frame = capture.read()
            if not ok:
                break
            grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
            found[video.stem, index] = [Box(*map(float, box)) for box in cascade.detectMultiScale(grey)]
            index += 1
    return found


def our_boxes(videos: list[Path], store: Path) -> Truth:
    """The same from the index of a store made by `affkit faces`."""
    found: Truth = {}
    for row in extract_faces(videos, store, progress=False).index.itertuples():
        found.setdefault((row.video, row.frame - 1), []).append(Box(row.x, row.y, row.w, row.h))
    return found


def recall(found: Truth, truth: Truth) -> float:
    """The fraction of the true faces for which there is a box of an IoU of at least :data:`FOUND`."""
    hits = [
        any(box.iou(face) >= FOUND for box in found.get(key, ()))
        for key, faces in truth.items()
        for face in faces
    ]
    return float(np.mean(hits))


def precision(found: Truth, truth: Truth) -> float:
    """The fraction of the boxes that are a true face."""
    return recall(truth, found)


def sample_clips() -> tuple[list[Path], Truth]:
    """The clips of data_samples, and the true boxes of the faces that are to be seen."""
    clips = sorted((SAMPLES / "videos").glob("*"))
    truth: Truth = {}
    for table in sorted((SAMPLES / "truth").glob("*.csv")):
        video = table.stem.removesuffix("_left").removesuffix("_right")
        for row in pd.read_csv(table).query("visible == 1").itertuples():
            truth.setdefault((video, row.frame - 1), []).append(Box(row.x, row.y, row.width, row.height))
    return clips, truth


def photo_clip(folder: Path, num_frames: int) -> tuple[Path, Truth]:
    """A photograph and its smaller mirror image drift over a 1280x720 picture with sensor noise."""
    photo, face = data.astronaut()[:300, 80:380], Box(97, 66, 98, 98)
    smaller = cv2.resize(photo[:, ::-1], (240, 240), interpolation=cv2.INTER_AREA)
    background = cv2.resize(data.coffee(), (1280, 720))
    rng, truth = np.random.default_rng(0), {}

    def frames() -> Iterator[np.ndarray]:
        for t in range(num_frames):
            frame = background.copy()
            x, y = round(200 + 150 * np.sin(t / 30)), round(150 + 80 * np.sin(t / 17))
            frame[y : y + 300, x : x + 300] = photo
            x2, y2 = round(850 - 120 * np.sin(t / 25)), round(300 + 60 * np.cos(t / 20))
            frame[y2 : y2 + 240, x2 : x2 + 240] = smaller
            mirrored = Box(300 - face.x - face.w, face.y, face.w, face.h)
            truth["photo", t] = [face.moved(x, y), mirrored.moved(x2, y2, 0.8)]
            noise = rng.normal(0, 4, (720, 1280, 1))
            yield np.clip(frame + noise, 0, 255).astype(np.uint8)

    clip = folder / "photo.mp4"
    write_video(clip, frames(), fps=30)
    return clip, truth


if __name__ == "__main__":
    for row in rows(quick=True):
        print(row)

"""The annotation tool on a clip of ten minutes in 720p: how long it takes to open, to step and to jump."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from skimage import data

from affkit.data.video import write_video
from affkit.show.annotator import AnnotationDesk

WIDTH, HEIGHT = 1280, 720


def rows(quick: bool = False) -> list[dict]:
    """Opening with project and first picture; then pictures as the page gets them, the 95th percentile."""
    minutes, steps = (1, 60) if quick else (10, 300)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_long_video(clip, minutes * 60)
        start = time.perf_counter()
        desk = AnnotationDesk.open(clip, Path(folder) / "p.affkit", "Ada", "au")
        desk.handle({"kind": "open", "token": 0})
        desk.handle({"kind": "frame", "token": 0, "number": 0})
        opening = time.perf_counter() - start
        middle = desk.video.num_frames // 2
        forward = _milliseconds(desk, range(middle, middle + steps))
        back = _milliseconds(desk, range(middle + steps, middle, -1))
        jumps = _milliseconds(desk, np.random.default_rng(0).integers(0, desk.video.num_frames, steps))
        desk.close()
    name = f"annotation tool, {minutes} min of 720p: "
    return [
        _row(name + "opening", opening, "s", "<= 3"),
        _row(name + "a step forward (p95)", np.percentile(forward, 95), "ms", "<= 100"),
        _row(name + "a step back (p95)", np.percentile(back, 95), "ms", "<= 100"),
        _row(name + "a jump anywhere (p95)", np.percentile(jumps, 95), "ms", ""),
    ]


def write_long_video(path: Path, seconds: int, loop: int = 10) -> None:
    """A clip of 30 fps whose first ``loop`` seconds come again and again: only those have to be encoded."""
    short = path.with_name("short.mp4")
    write_video(short, moving_photograph(30 * loop))
    with av.open(str(path), "w") as target:
        stream = None
        for turn in range(seconds // loop):
            with av.open(str(short)) as source:
                stream = stream or target.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.size:
                        shift = round(turn * loop / packet.time_base)
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                        target.mux(packet)


def moving_photograph(num_frames: int) -> Iterator[np.ndarray]:
    """A photograph that moves about: quick to make, and no easier to decode than a person before a camera."""
    photo = cv2.resize(data.astronaut(), (WIDTH + 64, WIDTH + 64))
    for i in range(num_frames):
        x, y = (32 + 31 * np.sin([i / 23, i / 17])).astype(int)
        yield photo[y : y + HEIGHT, x : x + WIDTH]


def _milliseconds(desk: AnnotationDesk, numbers) -> list[float]:
    found = []
    for number in numbers:
        start = time.perf_counter()
        desk.handle({"kind": "frame", "token": 0, "number": int(number)})
        found.append(1000 * (time.perf_counter() - start))
    return found


def _row(name: str, value: float, unit: str, target: str) -> dict:
    row = {"name": name, "plain": "", "plain_value": None, "ours": value, "unit": unit, "ratio": None}
    return row | {"target": target, "better": "lower"}

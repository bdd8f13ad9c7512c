"""Conversion against a bare PyAV transcode of the same frames with the same settings."""

import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import numpy as np

from affkit.video.convert import convert_video
from affkit.video.video import CRF, FPS, H264, write_video

WIDTH, HEIGHT = 1280, 720


def rows(quick: bool = False) -> list[dict]:
    """A noisy clip of 720p converted in turn by a bare loop over PyAV and by affkit."""
    seconds, rounds = (2, 3) if quick else (10, 5)
    with tempfile.TemporaryDirectory() as folder:
        clip, plain_clip, our_clip = (Path(folder, name) for name in ("clip.mp4", "plain.mp4", "ours.mp4"))
        write_video(clip, _frames(seconds * FPS))
        plain, ours = [], []
        for _ in range(rounds):
            plain.append(_seconds(lambda: _transcode(clip, plain_clip)))
            ours.append(_seconds(lambda: convert_video(clip, our_clip, force=True)))
    return [
        {
            "name": f"conversion of {seconds} s of 720p",
            "plain": "bare PyAV: decode, encode, same settings",
            "plain_value": median(plain),
            "ours": median(ours),
            "unit": "s",
            "ratio": median(ours) / median(plain),
            "target": "<= 1.2x",
            "better": "lower",
        }
    ]


def _frames(num_frames: int) -> Iterator[np.ndarray]:
    """Gradients that move, under noise."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 24, (HEIGHT + 64, WIDTH + 64, 1), np.uint8)
    x, y = np.arange(WIDTH), np.arange(HEIGHT)[:, None]
    for i in range(num_frames):
        waves = [np.sin((x + (4 + k) * i) / 90 + k) + np.cos((y - 3 * i) / (60 + 20 * k)) for k in range(3)]
        frame = (np.stack(waves, axis=-1) * 50 + 110).astype(np.uint8)
        top, left = rng.integers(0, 64, 2)
        yield frame + noise[top : top + HEIGHT, left : left + WIDTH]


def _transcode(source: Path, target: Path) -> None:
    with av.open(str(source)) as clip, av.open(str(target), "w") as output:
        clip.streams.video[0].thread_type = "AUTO"
        stream = output.add_stream("libx264", rate=FPS, options=H264 | {"crf": str(CRF)})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for i, frame in enumerate(clip.decode(video=0)):
            frame.pts, frame.time_base, frame.pict_type = i, Fraction(1, FPS), 0
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


def _seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    for row in rows():
        print(row)

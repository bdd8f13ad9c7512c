"""How fast faces are drawn: frames a second on one core at 128 px, and seconds to build a subject.

Processor time is measured, so other work on the machine counts little; threads are held to one.
Run: ``python benchmarks/bench_render.py``
"""

import time

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from affkit_render.actions import facial_actions
from affkit_render.head import Head
from affkit_render.identity import sample_identity
from affkit_render.render import Pose, render, sample_lighting

SIZE = 128


def rows(quick: bool = False) -> list[dict]:
    """Mean over several subjects, expressions and poses; there is no plain way to compare with."""
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        table = _measure(quick)
    cv2.setNumThreads(-1)
    return table


def _measure(quick: bool) -> list[dict]:
    subjects, frames = (2, 8) if quick else (6, 12)
    rng = np.random.default_rng(0)
    background = np.full((SIZE, SIZE, 3), 120, np.uint8)
    Head(sample_identity(0))  # reads the assets, once a process
    build, frame = [], []
    for seed in range(1, subjects + 1):
        start = time.process_time()
        head = Head(sample_identity(seed))
        build.append(time.process_time() - start)
        lighting = sample_lighting(rng)
        for _ in range(frames):
            actions = facial_actions({"AU1": rng.uniform(), "AU12": rng.uniform(), "AU25": rng.uniform()})
            pose = Pose(*rng.normal(0, 0.2, 3), SIZE / 2, SIZE / 2, 0.6 * SIZE)
            start = time.process_time()
            render(head, actions, pose, lighting, background)
            frame.append(time.process_time() - start)
    return [
        _row("frames drawn at 128 px", 1 / np.mean(frame), "a second a core", ">= 10", "higher"),
        _row("a subject built, the slowest", max(build), "s", "<= 5", "lower"),
    ]


def _row(name: str, ours: float, unit: str, target: str, better: str) -> dict:
    nothing = {"plain": "", "plain_value": None, "ratio": None}
    return {"name": name, "ours": float(ours), "unit": unit, "target": target, "better": better} | nothing


if __name__ == "__main__":
    for row in rows():
        print(f"{row['name']}: {row['ours']:.2f} {row['unit']} (target {row['target']})")

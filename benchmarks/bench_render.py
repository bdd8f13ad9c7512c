"""How fast faces are drawn: frames a second on one core at 128 px, and seconds to build a subject.

Processor time is measured, so other work on the machine counts little; threads are held to one.
Run: ``python benchmarks/bench_render.py``
"""

import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

from affkit.synth.actions import facial_actions
from affkit.synth.head import Head
from affkit.synth.identity import sample_identity
from affkit.synth.render import Pose, render, sample_lighting

SUBJECTS, FRAMES, SIZE = 6, 12, 128


def rows() -> list[dict[str, object]]:
    """One row for each figure: what, value, unit, target."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    background = np.full((SIZE, SIZE, 3), 120, np.uint8)
    Head(sample_identity(0))  # reads the assets, once a process
    build, frame = [], []
    for seed in range(1, SUBJECTS + 1):
        start = time.process_time()
        head = Head(sample_identity(seed))
        build.append(time.process_time() - start)
        lighting = sample_lighting(rng)
        for _ in range(FRAMES):
            actions = facial_actions({"AU1": rng.uniform(), "AU12": rng.uniform(), "AU25": rng.uniform()})
            pose = Pose(*rng.normal(0, 0.2, 3), SIZE / 2, SIZE / 2, 0.6 * SIZE)
            start = time.process_time()
            render(head, actions, pose, lighting, background)
            frame.append(time.process_time() - start)
    return [
        {
            "what": "frames drawn at 128 px",
            "value": 1 / np.mean(frame),
            "unit": "a second a core",
            "target": ">= 10",
        },
        {
            "what": "a subject built",
            "value": float(np.max(build)),
            "unit": "s, the slowest",
            "target": "<= 5",
        },
    ]


if __name__ == "__main__":
    for row in rows():
        print(f"{row['what']}: {row['value']:.2f} {row['unit']} (target {row['target']})")

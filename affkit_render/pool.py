"""Faces of many more people than the corpus has, one picture each, without labels."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from affkit.errors import UserError
from affkit.faces.detectors import HaarDetector, crop_face
from affkit.faces.pool import SHEET_COLUMNS, write_sheet
from affkit_render.affect import perform, sample_style
from affkit_render.clip import place_actor, render_clip, sample_scene
from affkit_render.head import Head
from affkit_render.identity import sample_identity

SHEET_FACES = 8 * SHEET_COLUMNS
_WIDTH, _HEIGHT, _FACE = 240, 240, 124
_LONGEST = 60.0  # seconds into a performance at which the picture is taken, at most


def draw_pool(
    out: str | Path, faces: int, seed: int = 0, size: int = 96, jobs: int = 1, progress: bool = True
) -> list[Path]:
    """Draw one picture of each of ``faces`` people and keep the crop of the face, as ``affkit faces`` would.

    Same arguments, same bytes; sheets that are there are not drawn again, so a run that was stopped goes on.
    Raises :class:`~affkit.errors.UserError` if ``faces`` is not a multiple of 32.
    """
    if faces % SHEET_COLUMNS:
        raise UserError(
            "--pool", f"{faces} faces do not fill their rows", f"give a multiple of {SHEET_COLUMNS}"
        )
    paths = []
    with tqdm(total=faces, desc="draw", unit="face", delay=2, disable=not progress) as bar:
        for first in range(0, faces, SHEET_FACES):
            path = Path(out, f"faces_{first // SHEET_FACES + 1:02d}.webp")
            numbers = range(first, min(first + SHEET_FACES, faces))
            if not path.exists():
                run = Parallel(n_jobs=jobs, return_as="generator")
                drawn = run(delayed(draw_face)(seed, number, size) for number in numbers)
                write_sheet(path, np.stack(list(_ticking(drawn, bar))))
            else:
                bar.update(len(numbers))
            paths.append(path)
    return paths


def draw_face(seed: int, number: int, size: int) -> np.ndarray:
    """The crop ``(size, size, 3)`` of somebody at some moment; who is not found is photographed once more."""
    head = Head(sample_identity(int(np.random.default_rng([seed, 81, number]).integers(2**31))))
    for attempt in range(20):
        rng = np.random.default_rng([seed, 82, number, attempt])
        picture = _photograph(head, rng)
        found = HaarDetector().detect(picture)
        if found:
            return crop_face(picture, max(found, key=lambda box: box.w), size)
    raise RuntimeError(f"no face found in 20 pictures of person {number}")


def _photograph(head: Head, rng: np.random.Generator) -> np.ndarray:
    """One frame of a performance, ``(H, W, 3)``."""
    times = np.array([0.0, 1 / 30]) + rng.uniform(0, _LONGEST)
    scene = sample_scene(rng, times, _WIDTH, _HEIGHT)
    performance = perform(times, rng, sample_style(rng))
    actor = place_actor(rng, head, performance, scene, face=_FACE * rng.uniform(0.92, 1.08))
    return next(render_clip([actor], scene, int(rng.integers(2**31))))[0]


def _ticking(faces: Iterator[np.ndarray], bar: tqdm) -> Iterator[np.ndarray]:
    for face in faces:
        bar.update()
        yield face

"""The page that draws faces in the browser: its size, how long it takes to open, and to follow a slider.

One face is timed alone, too, beside PyTorch on one thread, which is what a server would have to do instead.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from affkit.checkpoints import load_checkpoint, model_key
from affkit.gan import sample_z
from affkit.store import pictures
from affkit_lab.latent.directions import read_directions
from affkit_studio.browse.live_page import write_live_page

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "fixtures"))  # the browser is driven as in the tests

DRAW_MANY = """async z => {
    const took = [];
    for (let n = 0; n < 50; n++) {
        const start = performance.now();
        await affkit.draw(z);
        took.push(performance.now() - start);
    }
    return took;
}"""


def rows(quick: bool = False) -> list[dict]:
    """Both shipped generators; only that of configuration 1 has targets."""
    from browser import find_chromium

    if find_chromium() is None:
        print("no Chromium found: the rows of the live page are left out")
        return []
    names = ("gan_1",) if quick else ("gan_1", "gan_2")
    return [row for name in names for row in _rows_of(name, moves=40 if quick else 100)]


def _rows_of(name: str, moves: int) -> list[dict]:
    from browser import browse, find_chromium

    checkpoint = ROOT / "data_samples" / "weights" / name / "generator.safetensors"
    generator, _ = load_checkpoint(checkpoint, "generator")
    directions = read_directions(checkpoint.with_name("directions.safetensors"), model_key(generator))
    z, target = sample_z(24, seed=0), name == "gan_1"
    with tempfile.TemporaryDirectory() as folder, browse(find_chromium(), Path(folder)) as watched:
        out = write_live_page(checkpoint, Path(folder) / "page.html", directions)
        size, page = out.stat().st_size / 1e6, watched.page
        start = time.perf_counter()
        page.goto(out.as_uri(), wait_until="commit")
        page.wait_for_selector("body[data-rest=true]")
        opening = time.perf_counter() - start
        steps = _key_to_picture(page, moves)
        face = np.median(page.evaluate(DRAW_MANY, z[0].tolist()))
        found = np.array([page.evaluate("z => affkit.draw(z)", one.tolist()) for one in z], np.int64)
    wanted = pictures(generator, z)
    difference = np.abs(found.reshape(*wanted.shape[:3], 4)[..., :3] - wanted).max()
    with threadpool_limits(1):
        plain = _torch_ms(generator, z[:1])
    beside_torch = {"plain": "PyTorch, one thread", "plain_value": plain, "ratio": plain / face}
    text = f"live page, {name}: "
    return [
        _row(text + "size", size, "MB"),
        _row(text + "opening until all faces are drawn", opening, "s", "<= 3" if target else ""),
        _row(text + "slider to picture (p50)", np.percentile(steps, 50), "ms"),
        _row(text + "slider to picture (p95)", np.percentile(steps, 95), "ms", "<= 100" if target else ""),
        _row(text + "largest pixel difference to PyTorch", difference, "of 255", "<= 2"),
        _row(text + "one face", face, "ms") | beside_torch,
    ]


def _key_to_picture(page, moves: int) -> list[float]:
    from live_pages import WATCH

    page.evaluate(WATCH)
    page.locator("input[data-name=AU12]").focus()
    for number in range(1, moves + 1):
        page.keyboard.press("ArrowRight" if number % 40 < 20 else "ArrowLeft")
        page.wait_for_function("count => window.steps.length === count", arg=number)
    return page.evaluate("window.steps")


def _torch_ms(generator, z: torch.Tensor) -> float:
    took = []
    for _ in range(50):
        start = time.perf_counter()
        pictures(generator, z)
        took.append(1000 * (time.perf_counter() - start))
    return float(np.median(took))


def _row(name: str, value: float, unit: str, target: str = "") -> dict:
    row = {"name": name, "plain": "", "plain_value": None, "ours": float(value), "unit": unit, "ratio": None}
    return row | {"target": target, "better": "lower"}

"""The latent browser with the shipped generator of 96 pixels: from a slider to new pixels.

First what answers the page, alone; then ``affkit browse`` as a person meets it, in a real Chromium.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from affkit_studio.browse.latent_browser import open_desk

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "fixtures"))  # the browser is driven as in the tests
GENERATOR = ROOT / "data_samples" / "weights" / "gan_2" / "generator.safetensors"
POOL = ROOT / "data_samples" / "pool"
WATCH = """() => {
    window.drawn = [];
    document.querySelector('.afl').addEventListener('afl-drawn', event => window.drawn.push(event.detail.ms));
}"""


def rows(quick: bool = False) -> list[dict]:
    """In the kernel: a slider, predictions, a click into the plane, a photograph; in a browser: sliders."""
    moves = 30 if quick else 100
    with tempfile.TemporaryDirectory() as folder:
        desk = open_desk(GENERATOR, favourites=Path(folder) / "favourites.json", data=POOL)
        amounts = np.linspace(-3, 3, moves)
        slider = [_ask(desk, kind="move", name="AU12", value=float(amount)) for amount in amounts]
        prediction = [_ask(desk, kind="read") for _ in range(moves // 3)]
        click = _ask(desk, kind="seek", valence=0.3, arousal=0.2)
        drag = [_ask(desk, kind="seek", valence=0.3 - 0.01 * n, arousal=0.2) for n in range(moves // 3)]
        in_browser = _browser_rows(Path(folder), moves)
    name = "latent browser, 96 pixels: "
    return [
        _row(name + "a slider, in the kernel (p95)", np.percentile(slider, 95), "<= 60"),
        _row(name + "what three networks read of it (p95)", np.percentile(prediction, 95), ""),
        _row(name + "the first click into the plane", click, ""),
        _row(name + "dragging in the plane (p95)", np.percentile(drag, 95), ""),
        *in_browser,
    ]


def _browser_rows(folder: Path, moves: int) -> list[dict]:
    """Arrow keys one by one on a slider, and a slider that is dragged: from the event to the next frame."""
    from browser import browse, find_chromium, standalone

    if find_chromium() is None:
        print("no Chromium found: the rows of the latent browser in a browser are left out")
        return []
    words = ("browse", "--checkpoint", str(GENERATOR), "--no-browser")
    with standalone(folder, *words) as address, browse(find_chromium(), folder) as watched:
        page = watched.page
        page.goto(address)
        page.wait_for_selector(".afl[data-read]")
        page.evaluate(WATCH)
        page.locator('.afl input[data-name="AU12"]').focus()
        for number in range(moves):
            page.keyboard.press("ArrowRight" if number < moves / 2 else "ArrowLeft")
            page.wait_for_timeout(150)
        keys = page.evaluate("drawn")
        page.evaluate("drawn = []")
        box = page.locator('.afl input[data-name="valence"]').bounding_box()
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] / 2, middle)
        page.mouse.down()
        for number in range(100):
            page.mouse.move(box["x"] + (0.5 + 0.4 * np.sin(number / 9)) * box["width"], middle)
            page.wait_for_timeout(20)
        page.mouse.up()
        page.wait_for_timeout(500)
        dragged = page.evaluate("drawn")
    name = "latent browser in Chromium: "
    return [
        _row(name + "key to new pixels (p50)", np.percentile(keys, 50), ""),
        _row(name + "key to new pixels (p95)", np.percentile(keys, 95), "<= 250"),
        _row(name + "dragged slider to new pixels (p50)", np.percentile(dragged, 50), ""),
        _row(name + "dragged slider to new pixels (p95)", np.percentile(dragged, 95), "<= 250"),
    ]


def _ask(desk, **message) -> float:
    """Milliseconds until the desk has answered."""
    start = time.perf_counter()
    reply, _ = desk.handle(message | {"token": 0})
    if "error" in reply:
        raise RuntimeError(reply["error"])
    return 1000 * (time.perf_counter() - start)


def _row(name: str, ours: float, target: str) -> dict:
    row = {"name": name, "plain": "", "plain_value": None, "ours": float(ours), "unit": "ms"}
    return row | {"ratio": None, "target": target, "better": "lower"}

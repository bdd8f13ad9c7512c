"""The annotation tool on a clip of ten minutes in 720p: how long it takes to open, to step and to jump.

First what answers the page, alone; then ``affkit annotate`` as a person meets it, in a real Chromium.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from skimage import data

from affkit.video.video import write_video
from affkit_studio.annotate.annotator import AnnotationDesk

sys.path.append(
    str(Path(__file__).resolve().parents[1] / "tests" / "fixtures")
)  # the browser is driven as in the tests

WIDTH, HEIGHT = 1280, 720
# From the key to the next painting of the page after the picture was drawn, in ms, as the page sees it.
WATCH = """() => {
    const tool = document.querySelector('.afk');
    window.steps = [];
    const painted = () => window.steps.push(performance.now() - window.pressed);
    const drawn = () => requestAnimationFrame(painted);
    new MutationObserver(drawn).observe(tool, { attributeFilter: ['data-shown'] });
    tool.focus();
}"""
# Listens before the tool does, which lets nobody else hear its keys.
LISTEN = (
    "window.addEventListener('keydown', event => { window.pressed = event.timeStamp; }, { capture: true });"
)


def rows(quick: bool = False) -> list[dict]:
    """Opening with project and first picture; pictures as the page gets them; the page in a browser."""
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
        in_browser = _browser_rows(clip, f"annotation tool, {minutes} min of 720p in Chromium: ", quick)
    name = f"annotation tool, {minutes} min of 720p: "
    return [
        _row(name + "opening", opening, "s", "<= 3"),
        _row(name + "a step forward (p95)", np.percentile(forward, 95), "ms", "<= 100"),
        _row(name + "a step back (p95)", np.percentile(back, 95), "ms", "<= 100"),
        _row(name + "a jump anywhere (p95)", np.percentile(jumps, 95), "ms", ""),
        *in_browser,
    ]


def _browser_rows(clip: Path, name: str, quick: bool) -> list[dict]:
    """The middle of three openings, asked for as soon as the server answers; 100 steps of the last one."""
    from browser import find_chromium

    if find_chromium() is None:
        print("no Chromium found: the rows of the annotation tool in a browser are left out")
        return []
    found = [_use_the_page(clip, steps=100) for _ in range(1 if quick else 3)]
    commands, pages, steps = zip(*found, strict=True)
    return [
        _row(name + "page to first picture", np.median(pages), "s", "<= 3"),
        _row(name + "command to first picture", np.median(commands), "s", ""),
        _row(name + "key to new picture (p50)", np.median(steps[-1]), "ms", ""),
        _row(name + "key to new picture (p95)", np.percentile(steps[-1], 95), "ms", "<= 100"),
    ]


def _use_the_page(clip: Path, steps: int) -> tuple[float, float, list[float]]:
    """Seconds from the command and from the request of the page to the first picture; ms of each step."""
    from browser import browse, find_chromium

    with tempfile.TemporaryDirectory() as folder, browse(find_chromium(), Path(folder)) as watched:
        page, project = watched.page, Path(folder) / "p.affkit"
        command = [sys.executable, "-c", "from affkit.__main__ import main; main()", "annotate"]
        command += [clip, "--project", project, "--no-browser"]
        start = time.perf_counter()
        # What it says for a terminal is kept out of the table.
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            address = re.search(r"http://\S+", server.stdout.readline()).group()
            page.add_init_script(LISTEN)
            asked = time.perf_counter()
            page.goto(address, wait_until="commit")
            page.wait_for_selector(".afk[data-shown='1']")
            seen = time.perf_counter()
            page.evaluate(WATCH)
            for number in range(2, steps + 2):
                page.keyboard.press("ArrowRight")
                page.wait_for_selector(f".afk[data-shown='{number}']")
            page.wait_for_function("count => window.steps.length === count", arg=steps)
            return seen - start, seen - asked, page.evaluate("window.steps")
        finally:
            server.terminate()
            server.wait(20)


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

"""The live page in a browser, used as a visitor does, and its rules worked out again in Python."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

BITS = 0xFFFFFFFF
# A shown pixel fills a block of the large picture: the middle of each block, red, green and blue.
BLOCKS = """([selector, size]) => {
    const canvas = document.querySelector(selector), times = canvas.width / size;
    const values = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, found = [];
    for (let row = 0; row < size; row++) for (let column = 0; column < size; column++) {
        const at = (Math.floor((row + 0.5) * times) * canvas.width + Math.floor((column + 0.5) * times)) * 4;
        found.push(values[at], values[at + 1], values[at + 2]);
    }
    return found;
}"""
# From the key to the painting of the page after the face was drawn, in ms, as the page sees it.
WATCH = """() => {
    window.steps = [];
    window.addEventListener('keydown', event => { window.pressed = event.timeStamp; }, { capture: true });
    const painted = () => window.steps.push(performance.now() - window.pressed);
    document.querySelector('#face').addEventListener('drawn', () => requestAnimationFrame(painted));
}"""


class LivePage:
    """An opened page."""

    def __init__(self, page, address: str, size: int):
        self.page, self.size = page, size
        page.goto(address)
        self.rest()

    def rest(self):
        """Wait until everything that was asked for is drawn."""
        self.page.wait_for_selector("body[data-rest=true]")

    def draw(self, z) -> np.ndarray:
        """The face of any z, ``(S, S, 3)`` uint8, as the page computes it."""
        values = self.page.evaluate("z => affkit.draw(z)", np.asarray(z, float).tolist())
        return np.array(values, np.uint8).reshape(self.size, self.size, 4)[..., :3]

    def z(self) -> np.ndarray:
        return np.array(self.page.evaluate("affkit.z()"))

    def shown(self, selector: str = "#face") -> np.ndarray:
        """What the visitor sees, ``(S, S, 3)`` uint8: needs squares, see :meth:`squares`."""
        self.rest()
        values = self.page.evaluate(BLOCKS, [selector, self.size])
        return np.array(values, np.uint8).reshape(self.size, self.size, 3)

    def squares(self):
        self.page.get_by_label(re.compile("pixels as they are")).check()

    def slider(self, name: str):
        return self.page.locator(f'input[data-name="{name}"]')

    def seed(self):
        return self.page.get_by_role("spinbutton", name="Seed")

    def press(self, *keys: str):
        for key in keys:
            self.page.keyboard.press(key)

    def drag(self, name: str, shares, steps: int = 1):
        """Press the mouse on a slider and move it to each share of its length, without waiting."""
        self.slider(name).scroll_into_view_if_needed()
        box = self.slider(name).bounding_box()
        y = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + box["width"] / 2, y)
        self.page.mouse.down()
        for share in shares:
            self.page.mouse.move(box["x"] + share * box["width"], y, steps=steps)
        self.page.mouse.up()


class _Scripts(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.open = {}, None

    def handle_starttag(self, tag, attributes):
        self.open = dict(attributes).get("id", "page") if tag == "script" else None

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        if self.open:
            self.found[self.open] = self.found.get(self.open, "") + data


def scripts_of(path: Path) -> dict[str, str]:
    """The contents of the script elements of a page by their id, as an HTML parser sees them."""
    parser = _Scripts()
    parser.feed(path.read_text())
    return parser.found


def mulberry(seed: int, count: int = 100) -> np.ndarray:
    """``count`` numbers in [-1, 1] from Mulberry32, with Python's integers cut to 32 bits."""
    found, state = [], seed
    for _ in range(count):
        state = (state + 0x6D2B79F5) & BITS
        t = (state ^ (state >> 15)) * (state | 1) & BITS
        t ^= (t + ((t ^ (t >> 7)) * (t | 61) & BITS)) & BITS
        found.append(2 * ((t ^ (t >> 14)) / 2**32) - 1)
    return np.array(found)


def transposed(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, before: int, after: int):
    """A transposed convolution by its definition: ``(in, H, W)`` to ``(out, H', W')``, stamp by stamp."""
    _, height, width = x.shape
    out, filter = weight.shape[1:3]
    y = np.zeros((out, (height - 1) * stride + filter, (width - 1) * stride + filter))
    for i in range(height):
        for j in range(width):
            stamp = sum(value * plane for value, plane in zip(x[:, i, j], weight, strict=True))
            y[:, i * stride : i * stride + filter, j * stride : j * stride + filter] += stamp
    end = slice(before, y.shape[1] - after)
    return y[:, end, end] + bias[:, None, None]

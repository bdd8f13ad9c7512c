"""The live page in a real browser: its pixels, its sliders, and that it needs nobody else."""

import threading
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from live_generators import CONFIGS, large_generator, random_generator, some_directions, some_z
from live_pages import LivePage, mulberry

from affkit.checkpoints import load_checkpoint, model_key, save_checkpoint
from affkit.gan import Generator
from affkit.store import pictures
from affkit_lab.latent.directions import Directions, faces_at, read_directions
from affkit_lab.latent.z_arithmetic import slerp
from affkit_studio.browse.live_page import write_live_page

pytestmark = pytest.mark.browser
WEIGHTS = Path(__file__).parents[2] / "data_samples" / "weights" / "gan_1"


@dataclass
class Shipped:
    """The page of the shipped generator."""

    path: Path
    generator: Generator
    directions: Directions

    def z(self, seed: int, truncation: float = 1.0, **sliders: float) -> np.ndarray:
        """The z of explore.FaceState, ``(100,)``; an underscore stands for a blank in a slider's name."""
        moves = (amount * self.directions[name.replace("_", " ")] for name, amount in sliders.items())
        return np.clip(truncation * mulberry(seed) + sum(moves), -1, 1)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    generator, _ = load_checkpoint(WEIGHTS / "generator.safetensors", "generator")
    directions = read_directions(WEIGHTS / "directions.safetensors", model_key(generator))
    out = tmp_path_factory.mktemp("live") / "page.html"
    path = write_live_page(WEIGHTS / "generator.safetensors", out, directions)
    return Shipped(path, generator, directions)


@pytest.fixture
def live(shipped, watched):
    """The page opened from the disk; at the end nothing was fetched."""
    asked = []
    watched.page.on("request", lambda request: asked.append(request.url.split(":")[0]))
    page = LivePage(watched.page, shipped.path.as_uri(), size=32)
    page.squares()
    yield page
    assert set(asked) <= {"file", "blob", "data"} and asked.count("file") == 1


@pytest.fixture
def looks_like(live, shipped):
    """Whether what is shown is the face that PyTorch draws of a z."""

    def check(z, selector="#face"):
        difference = live.shown(selector).astype(int) - faces_at(shipped.generator, z[None])[0]
        assert np.abs(difference).max() <= 2

    return check


@pytest.mark.parametrize("name", ["1", "1 same", "2", "2-7x7", "float32"])
def test_the_pixels_of_every_configuration_are_those_of_pytorch(name, watched, tmp_path):
    generator = large_generator() if name == "float32" else random_generator(CONFIGS[name])
    save_checkpoint(tmp_path / "generator.safetensors", generator)
    path = write_live_page(tmp_path / "generator.safetensors", tmp_path / "p.html", some_directions("AU12"))
    z = some_z()[6:12]
    page = LivePage(watched.page, path.as_uri(), generator.config.image_size)
    found = np.stack([page.draw(one) for one in z])
    assert np.abs(found.astype(int) - pictures(generator, z)).max() <= 2


def test_seeds_truncation_and_sliders_by_keyboard(live, shipped, looks_like):
    looks_like(mulberry(27))
    last = 2**32 - 1
    live.type_seed(last)
    np.testing.assert_allclose(live.z(), mulberry(last), atol=1e-12)
    looks_like(mulberry(last))
    live.keys("AU12", *["ArrowRight"] * 12)
    live.keys("PCA 3", "End")
    moved = shipped.z(last, AU12=1.2, PCA_3=4.0)
    looks_like(moved)
    cut, said = int((np.abs(moved) == 1).sum()), live.page.locator("#cut").inner_text()
    assert cut > 0 and said.startswith(f"{cut} of 100") and "at −1 or 1" in said
    live.page.get_by_label("Truncation").focus()
    live.press("Home", *["ArrowRight"] * 8)
    looks_like(shipped.z(last, 0.4, AU12=1.2, PCA_3=4.0))
    live.keys("PCA 3", "0")
    looks_like(shipped.z(last, 0.4, AU12=1.2))
    live.page.get_by_role("button", name="Reset").click()
    looks_like(mulberry(last))
    for wrong in ("-3", "1.5", "4294967296", ""):
        live.type_seed(wrong)
        assert live.seed().input_value() == str(last)
    live.page.get_by_role("button", name="New face").click()
    looks_like(mulberry(int(live.seed().input_value())))


def test_rapid_dragging_ends_on_the_right_picture(live, shipped, looks_like):
    back_and_forth = [0.1, 0.9, 0.2, 0.8, 0.05, 0.95, 0.5, 0.7] * 4
    live.drag("valence", back_and_forth, steps=20)
    valence = float(live.slider("valence").input_value())
    assert 0.5 < valence < 3
    looks_like(shipped.z(27, valence=valence))
    # the same without waiting for anything, faster than faces are computed
    live.page.evaluate("""() => {
        const range = document.querySelector('input[data-name=AU4]');
        for (let n = 0; n <= 1000; n++) {
            range.value = 3 * Math.sin(n);
            range.dispatchEvent(new Event('input'));
        }
    }""")
    wanted = shipped.z(27, valence=valence, AU4=float(live.slider("AU4").input_value()))
    np.testing.assert_allclose(live.z(), wanted, atol=1e-6)
    looks_like(wanted)


def test_neighbours_lie_along_the_slider_that_was_used_last(live, shipped, looks_like):
    live.slider("AU4").focus()
    assert live.page.locator("#along-title").inner_text() == "Along AU4"
    for number, amount in enumerate([-3, -2, -1, 0, 1, 2, 3], 1):
        looks_like(shipped.z(27, AU4=amount), f"#neighbours button:nth-child({number}) canvas")
    live.page.get_by_role("button", name="AU4 at +2.0").click()
    assert live.slider("AU4").input_value() == "2"
    looks_like(shipped.z(27, AU4=2))
    live.keys("valence", "ArrowLeft")
    looks_like(shipped.z(27, AU4=2, valence=3), "#neighbours button:nth-child(7) canvas")


def test_from_a_to_b(live, shipped, looks_like):
    live.keys("valence", "End")
    live.page.get_by_role("button", name="Keep as A").click()
    first = shipped.z(27, valence=4)
    looks_like(first, "#kept-0")
    live.type_seed(5)
    live.page.get_by_role("button", name="Keep as B").click()
    looks_like(mulberry(5), "#kept-1")
    live.page.get_by_label("Morph").focus()
    live.press("Home", "ArrowRight", *["PageUp"] * 3)
    fraction = float(live.page.get_by_label("Morph").input_value())
    assert 0.1 < fraction < 0.9
    between = np.clip(slerp(first, mulberry(5), fraction), -1, 1)
    np.testing.assert_allclose(live.z(), between, atol=1e-6)
    looks_like(between)
    assert live.slider("valence").input_value() == "0"
    live.press("End")
    looks_like(mulberry(5))


def test_animation_moves_until_it_is_stopped(live, looks_like):
    button, played = live.page.get_by_role("button", name="Animate").first, set()
    button.focus()
    live.press("Enter")
    for _ in range(5):
        live.page.wait_for_timeout(100)
        played.add(live.slider("valence").input_value())
    assert len(played) > 1 and button.get_attribute("aria-pressed") == "true"
    live.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"
    still = live.z()
    live.page.wait_for_timeout(200)
    np.testing.assert_array_equal(live.z(), still)
    looks_like(still)
    button.click()
    live.slider("AU1").focus()  # whoever takes another slider stops it
    assert button.get_attribute("aria-pressed") == "false"


PLACES = """() => [...document.querySelectorAll('button, input, label, canvas')].map(
    node => node.getBoundingClientRect().toJSON())"""
# Elements with more in them than there is room for; an input scrolls, a hidden legend is 1 pixel wide.
CUT = """() => [...document.querySelectorAll('body *')].filter(
    node => node.clientWidth && node.scrollWidth > node.clientWidth + 1 && !node.matches('input, legend')
).map(node => node.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("width", [1200, 400])
def test_nothing_is_cut_and_nothing_jumps(width, live):
    live.page.set_viewport_size({"width": width, "height": 900})
    assert live.page.evaluate("document.documentElement.scrollWidth") == width
    assert live.page.evaluate(CUT) == []
    live.page.evaluate("scrollTo(0, 0)")
    before = live.page.evaluate(PLACES)
    live.page.evaluate("""() => {
        for (const name of ['PCA 1', 'valence']) {
            const range = document.querySelector(`input[data-name="${name}"]`);
            range.value = -4;
            range.dispatchEvent(new Event('input'));
        }
    }""")
    live.rest()
    assert live.page.evaluate(PLACES) == before


def test_a_phone_keeps_the_face_in_sight_and_every_control_has_a_name(live):
    live.page.set_viewport_size({"width": 400, "height": 800})
    live.slider("PCA 10").focus()
    live.slider("PCA 10").scroll_into_view_if_needed()
    face, slider = live.page.locator("#face").bounding_box(), live.slider("PCA 10").bounding_box()
    assert 0 <= face["y"] and face["y"] + face["height"] <= slider["y"] < 800
    nameless = """() => [...document.querySelectorAll('input, button')].filter(node =>
        !(node.labels?.length || node.textContent.trim() || node.getAttribute('aria-label'))).length"""
    assert live.page.evaluate(nameless) == 0
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    live.press("Shift+Tab")
    assert live.page.evaluate(outline) == "solid"


def test_over_http_and_nothing_else_is_asked_for(shipped, watched):
    handler = partial(SimpleHTTPRequestHandler, directory=shipped.path.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asked = []
        watched.page.on("request", lambda request: asked.append(request.url))
        page = LivePage(watched.page, f"http://127.0.0.1:{server.server_port}/page.html", size=32)
        page.squares()
        difference = page.shown().astype(int) - faces_at(shipped.generator, mulberry(27)[None])[0]
        assert np.abs(difference).max() <= 2
        assert [url for url in asked if url.startswith("http")] == [watched.page.url]
        assert watched.errors == [] and watched.outside == []
        # the page could not even if it wanted to
        watched.faults_meant = True
        refused = watched.page.evaluate("fetch('/other.html').then(() => 'fetched', () => 'refused')")
        assert refused == "refused"
        server.shutdown()


def test_names_that_look_like_html_are_text(watched, tmp_path):
    evil = "</script><img src=x onerror=window.hacked=1>"
    file = tmp_path / "<img src=x onerror=window.hacked=2>&\"'$title.safetensors"
    save_checkpoint(file, random_generator(CONFIGS["1"]))
    directions = some_directions("AU12", evil, "<!--<script>")
    out = tmp_path / "<b>.html"
    write_live_page(file, out, directions, title=f"</title>{evil}$facts")
    page = LivePage(watched.page, f"file://{quote(str(out))}", size=32)
    assert page.page.title() == f"</title>{evil}$facts" == page.page.locator("h1").inner_text()
    assert file.name in page.page.locator("footer").inner_text()
    assert page.page.get_by_label(evil).count() == 1
    page.page.get_by_label(evil).focus()
    page.press("ArrowRight")
    page.rest()
    assert page.page.locator("#along").inner_text() == evil
    moved = np.clip(mulberry(27) + 0.1 * directions[evil], -1, 1)
    np.testing.assert_allclose(page.z(), moved, atol=1e-6)
    assert page.page.locator("img").count() == 0
    assert page.page.evaluate("window.hacked") is None


@pytest.mark.parametrize("part, found", [("weights", "The faces cannot be drawn"), ("facts", "JSON")])
def test_a_damaged_page_says_so(part, found, shipped, watched, tmp_path):
    text, start = shipped.path.read_text(), f'id="{part}">'
    at = text.index(start) + len(start)
    (tmp_path / "damaged.html").write_text(f"{text[:at]}?{text[at:]}")
    watched.faults_meant = True
    watched.page.goto((tmp_path / "damaged.html").as_uri())
    watched.page.get_by_role("alert").filter(has_text=found).wait_for()


def test_faces_of_many_seeds_are_uniform_in_the_cube(live):
    z = np.array(live.page.evaluate("[...Array(300).keys()].map(seed => [...sampleZ(seed)])"))
    assert z.shape == (300, 100) and np.abs(z).max() <= 1
    fractions = np.histogram(z, bins=10, range=(-1, 1))[0] / z.size
    assert np.abs(fractions - 0.1).max() < 0.01
    assert np.abs(np.corrcoef(z.T) - np.eye(100)).max() < 0.3 and len(np.unique(z)) > 0.99 * z.size

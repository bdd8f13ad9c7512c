"""The live page in a real browser: its pixels, its sliders, and that it needs nobody else."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from live_generators import CONFIGS, large_generator, random_generator, some_directions, some_z
from live_pages import WATCH, LivePage, mulberry

from affkit.checkpoints import load_checkpoint, model_key, save_checkpoint
from affkit.store import pictures
from affkit_lab.latent.directions import faces_at, read_directions
from affkit_lab.latent.z_arithmetic import slerp
from affkit_studio.browse.live_page import write_live_page

pytestmark = pytest.mark.browser
SHIPPED = Path(__file__).parents[2] / "data_samples" / "weights" / "gan_1"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The page of the shipped generator, the generator, and its directions."""
    generator, _ = load_checkpoint(SHIPPED / "generator.safetensors", "generator")
    directions = read_directions(SHIPPED / "directions.safetensors", model_key(generator))
    out = tmp_path_factory.mktemp("live") / "page.html"
    return write_live_page(SHIPPED / "generator.safetensors", out, directions), generator, directions


@pytest.fixture
def live(shipped, watched):
    """The page opened from the disk; at the end nothing was fetched."""
    path, _, _ = shipped
    asked = []
    watched.page.on("request", lambda request: asked.append(request.url.split(":")[0]))
    page = LivePage(watched.page, path.as_uri(), size=32)
    page.squares()
    yield page
    assert set(asked) <= {"file", "blob", "data"} and asked.count("file") == 1


@pytest.fixture
def looks_like(live, shipped):
    """Whether what is shown is the face that PyTorch draws of a z."""
    _, generator, _ = shipped

    def check(z, selector="#face"):
        difference = live.shown(selector).astype(int) - faces_at(generator, np.asarray(z)[None])[0]
        assert np.abs(difference).max() <= 2

    return check


def rule(base, truncation=1.0, **moves):
    """The z of explore.FaceState: ``moves`` are amounts and vectors."""
    return np.clip(truncation * base + sum(amount * vector for amount, vector in moves.values()), -1, 1)


def test_the_pixels_are_those_of_pytorch(live, shipped):
    _, generator, _ = shipped
    z = some_z(24)
    found = np.stack([live.draw(one) for one in z])
    difference = np.abs(found.astype(int) - pictures(generator, z))
    print(f"largest difference to PyTorch {difference.max()} of 255, {np.mean(difference > 0):.2%} differ")
    assert difference.max() <= 2


@pytest.mark.parametrize("name", ["1 same", "2", "2-7x7", "float32"])
def test_the_pixels_of_every_configuration(name, watched, tmp_path):
    generator = large_generator() if name == "float32" else random_generator(CONFIGS[name])
    save_checkpoint(tmp_path / "generator.safetensors", generator)
    path = write_live_page(tmp_path / "generator.safetensors", tmp_path / "p.html", some_directions("AU12"))
    z = some_z()[6:12]
    page = LivePage(watched.page, path.as_uri(), generator.config.image_size)
    found = np.stack([page.draw(one) for one in z])
    assert np.abs(found.astype(int) - pictures(generator, z)).max() <= 2


def test_seeds_truncation_and_sliders_by_keyboard(live, shipped, looks_like):
    _, _, directions = shipped
    looks_like(mulberry(27))
    live.seed().fill("4294967295")
    live.press("Tab")
    base = mulberry(4294967295)
    np.testing.assert_allclose(live.z(), base, atol=1e-12)
    looks_like(base)
    live.slider("AU12").focus()
    live.press(*["ArrowRight"] * 12)
    live.slider("PCA 3").focus()
    live.press("End")
    moves = {"smile": (1.2, directions["AU12"]), "look": (4.0, directions["PCA 3"])}
    looks_like(rule(base, **moves))
    assert "at −1 or 1" in live.page.locator("#cut").inner_text()
    cut = int((np.abs(rule(base, **moves)) == 1).sum())
    assert cut > 0 and live.page.locator("#cut").inner_text().startswith(f"{cut} of 100")
    live.page.get_by_label("Truncation").focus()
    live.press("Home", *["ArrowRight"] * 8)
    looks_like(rule(base, 0.4, **moves))
    live.slider("PCA 3").focus()
    live.press("0")
    looks_like(rule(base, 0.4, smile=moves["smile"]))
    live.page.get_by_role("button", name="Reset").click()
    looks_like(base)
    for wrong in ("-3", "1.5", "4294967296", ""):
        live.seed().fill(wrong)
        live.press("Tab")
        assert live.seed().input_value() == "4294967295"
    live.page.get_by_role("button", name="New face").click()
    seed = int(live.seed().input_value())
    looks_like(mulberry(seed))


def test_rapid_dragging_ends_on_the_right_picture(live, shipped, looks_like):
    _, _, directions = shipped
    back_and_forth = [0.1, 0.9, 0.2, 0.8, 0.05, 0.95, 0.5, 0.7] * 4
    live.drag("valence", back_and_forth, steps=20)
    value = float(live.slider("valence").input_value())
    assert 0.5 < value < 3
    valence = (value, directions["valence"])
    looks_like(rule(mulberry(27), v=valence))
    # the same without waiting for anything, faster than faces are computed
    live.page.evaluate("""() => {
        const range = document.querySelector('input[data-name=AU4]');
        for (let n = 0; n <= 1000; n++) {
            range.value = 3 * Math.sin(n);
            range.dispatchEvent(new Event('input'));
        }
    }""")
    value = float(live.slider("AU4").input_value())
    wanted = rule(mulberry(27), v=valence, a=(value, directions["AU4"]))
    np.testing.assert_allclose(live.z(), wanted, atol=1e-6)
    looks_like(wanted)


def test_100_moves_by_keyboard(live, shipped, looks_like):
    _, _, directions = shipped
    live.page.evaluate(WATCH)
    live.slider("AU12").focus()
    keys = (["ArrowRight"] * 30 + ["ArrowLeft"] * 30) * 2
    for number, key in enumerate(keys[:100], 1):
        live.press(key)
        live.page.wait_for_function("count => window.steps.length === count", arg=number)
    steps = live.page.evaluate("window.steps")
    p50, p95 = np.percentile(steps, [50, 95])
    print(f"key to painted picture: p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    looks_like(rule(mulberry(27), v=(2.0, directions["AU12"])))


def test_neighbours_lie_along_the_slider_that_was_used_last(live, shipped, looks_like):
    _, _, directions = shipped
    base = mulberry(27)
    live.slider("AU4").focus()
    assert live.page.locator("#along-title").inner_text() == "Along AU4"
    for number, amount in enumerate([-3, -2, -1, 0, 1, 2, 3], 1):
        looks_like(
            rule(base, v=(amount, directions["AU4"])), f"#neighbours button:nth-child({number}) canvas"
        )
    live.page.get_by_role("button", name="AU4 at +2.0").click()
    assert live.slider("AU4").input_value() == "2"
    looks_like(rule(base, v=(2, directions["AU4"])))
    live.slider("valence").focus()
    live.press("ArrowLeft")
    moves = {"a": (2, directions["AU4"]), "v": (3, directions["valence"])}
    looks_like(rule(base, **moves), "#neighbours button:nth-child(7) canvas")


def test_from_a_to_b(live, shipped, looks_like):
    _, _, directions = shipped
    live.slider("valence").focus()
    live.press("End")
    live.page.get_by_role("button", name="Keep as A").click()
    first = rule(mulberry(27), v=(4, directions["valence"]))
    looks_like(first, "#kept-0")
    live.seed().fill("5")
    live.press("Tab")
    live.page.get_by_role("button", name="Keep as B").click()
    looks_like(mulberry(5), "#kept-1")
    live.page.get_by_label("Morph").focus()
    live.press("Home", "ArrowRight", *["PageUp"] * 3)
    share = float(live.page.get_by_label("Morph").input_value())
    assert 0.1 < share < 0.9
    between = np.clip(slerp(first, mulberry(5), share), -1, 1)
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
    path, generator, _ = shipped
    handler = partial(SimpleHTTPRequestHandler, directory=path.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asked = []
        watched.page.on("request", lambda request: asked.append(request.url))
        page = LivePage(watched.page, f"http://127.0.0.1:{server.server_port}/page.html", size=32)
        page.squares()
        difference = page.shown().astype(int) - faces_at(generator, mulberry(27)[None])[0]
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
    np.testing.assert_allclose(page.z(), rule(mulberry(27), v=(0.1, directions[evil])), atol=1e-6)
    assert page.page.locator("img").count() == 0
    assert page.page.evaluate("window.hacked") is None


@pytest.mark.parametrize("part, found", [("weights", "The faces cannot be drawn"), ("facts", "JSON")])
def test_a_damaged_page_says_so(part, found, shipped, watched, tmp_path):
    path, _, _ = shipped
    text, start = path.read_text(), f'id="{part}">'
    at = text.index(start) + len(start)
    (tmp_path / "damaged.html").write_text(f"{text[:at]}?{text[at:]}")
    watched.faults_meant = True
    watched.page.goto((tmp_path / "damaged.html").as_uri())
    watched.page.get_by_role("alert").filter(has_text=found).wait_for()


def test_faces_of_many_seeds_are_uniform_in_the_cube(live):
    z = np.array(live.page.evaluate("[...Array(300).keys()].map(seed => [...sampleZ(seed)])"))
    assert z.shape == (300, 100) and np.abs(z).max() <= 1
    shares = np.histogram(z, bins=10, range=(-1, 1))[0] / z.size
    assert np.abs(shares - 0.1).max() < 0.01
    assert np.abs(np.corrcoef(z.T) - np.eye(100)).max() < 0.3 and len(np.unique(z)) > 0.99 * z.size

"""The live page: what is written into it, and what a real browser makes of it."""

import json
import threading
from base64 import b64decode
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
import torch
from browser import browse
from live_pages import LivePage, mulberry, scripts_of, transposed
from torch import nn

from affkit.errors import UserError
from affkit.learn.checkpoints import load_checkpoint, model_key, save_checkpoint
from affkit.learn.directions import Directions, faces_at
from affkit.learn.directions_file import read_directions
from affkit.learn.gan import Discriminator, GanNetConfig, Generator, sample_z
from affkit.learn.generate import pictures
from affkit.learn.latent import slerp
from affkit.show.live.folding import draw, fold
from affkit.show.live.live import direction_facts, write_live_page

SHIPPED = Path(__file__).parents[1] / "data_samples" / "weights" / "gan_1"
CONFIGS = {
    "1": GanNetConfig("1", width=0.05),
    "1 same": GanNetConfig("1", width=0.05, padding="same"),
    "2": GanNetConfig("2", width=0.02),
    "2 valid": GanNetConfig("2", width=0.02, padding="valid"),
    "2-7x7": GanNetConfig("2-7x7", width=0.02),
}


def random_generator(config: GanNetConfig, seed: int = 0) -> Generator:
    """An untrained generator with a batch normalisation that has much to do."""
    torch.manual_seed(seed)
    generator = Generator(config).eval()
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.05, 0.5),
                (module.weight.data, -1.5, 1.5),
                (module.bias.data, -1, 1),
            ):
                tensor.uniform_(low, high)
    return generator


def large_generator() -> Generator:
    """One whose first layer only float32 can hold; its second layer takes that back."""
    generator = random_generator(CONFIGS["1"])
    for tensor in (generator.layers[1].weight.data, generator.layers[1].bias.data):
        tensor *= 1e7
    generator.layers[3].weight.data *= 1e-7
    return generator


def some_directions(*names: str) -> Directions:
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(100, len(names))))[0].T
    return Directions(vectors, pd.DataFrame({"correlation": 0.5}, index=list(names)))


def some_z(count: int = 24) -> torch.Tensor:
    """Corners of the cube, its middle, and points within it."""
    z = sample_z(count, seed=3)
    z[:8] = z[:8].sign()
    z[8], z[9], z[10] = 1, -1, 0
    return z


# What is written


@pytest.mark.parametrize("name", CONFIGS)
def test_folded_layers_draw_what_the_generator_draws(name):
    generator = random_generator(CONFIGS[name])
    z = some_z(12)
    with torch.no_grad():
        wanted = generator(z).numpy()
    layers = fold(generator)
    np.testing.assert_allclose(draw(layers, z).numpy(), wanted, atol=1e-5)
    x = z[-1].double().numpy()[:, None, None]
    for layer in layers:
        weight, bias = layer.weight.double().numpy(), layer.bias.double().numpy()
        x = transposed(x, weight, bias, layer.stride, layer.before, layer.after)
        x = np.maximum(x, 0) if layer.activation == "relu" else np.tanh(x)
    np.testing.assert_allclose(x, wanted[-1], atol=1e-5)


def test_folding_changes_nothing_in_the_generator():
    generator = random_generator(CONFIGS["2"])
    before = model_key(generator)
    fold(generator)
    assert model_key(generator) == before


@pytest.mark.parametrize("large, bits", [(False, 16), (True, 32)])
def test_float16_where_it_is_enough(large, bits, tmp_path):
    generator = large_generator() if large else random_generator(CONFIGS["1"])
    save_checkpoint(tmp_path / "generator.safetensors", generator)
    path = write_live_page(tmp_path / "generator.safetensors", tmp_path / "p.html", some_directions("AU12"))
    scripts = scripts_of(path)
    net = json.loads(scripts["facts"])["net"]
    assert net["bits"] == bits
    numbers = np.frombuffer(b64decode(scripts["weights"]), f"<f{bits // 8}").astype(np.float64)
    wanted = np.concatenate([layer.weight.double().numpy().ravel() for layer in fold(generator)])
    np.testing.assert_allclose(numbers, wanted, rtol=1e-3 if bits == 16 else 0, atol=1e-7 * (bits == 16))
    for layer, folded in zip(net["layers"], fold(generator), strict=True):
        np.testing.assert_array_equal(np.float32(layer["bias"]), folded.bias.numpy())


def test_sliders_in_groups_in_the_order_of_the_labels():
    names = ["fake", "Happiness", "AU12", "AU1", "arousal", "valence", "smile"]
    pca = [f"PCA {number}" for number in range(1, 13)]
    found = some_directions(*names)
    principal = Directions(np.eye(100)[:12], pd.DataFrame({"explained": 0.05}, index=pca))
    facts = direction_facts(found | principal)
    assert [fact["name"] for fact in facts] == [
        *("valence", "arousal", "AU1", "AU12", "Happiness", "smile"),
        *pca,
    ]
    groups = [fact["group"] for fact in facts]
    assert groups[:2] == ["Valence and arousal"] * 2 and groups[5] == "Others"
    assert groups[6:16] == [groups[6]] * 10 and groups[16] == groups[17] != groups[15]
    by_name = {fact["name"]: fact for fact in facts}
    np.testing.assert_allclose(by_name["AU12"]["vector"], found["AU12"], atol=1e-7)
    assert by_name["AU12"]["title"] == "lip corner puller" and "0.50" in by_name["AU12"]["note"]
    assert by_name["PCA 1"]["title"] == "5.0%" and by_name["PCA 1"]["note"] == ""


def test_principal_directions_when_there_are_no_others(tmp_path):
    save_checkpoint(tmp_path / "generator.safetensors", random_generator(CONFIGS["1"]))
    path = write_live_page(tmp_path / "generator.safetensors", tmp_path / "p.html")
    facts = json.loads(scripts_of(path)["facts"])
    assert [fact["name"] for fact in facts["directions"]] == [f"PCA {number}" for number in range(1, 21)]


def test_mistakes_and_nothing_half_written(tmp_path):
    good, out = tmp_path / "generator.safetensors", tmp_path / "page.html"
    save_checkpoint(good, random_generator(CONFIGS["1"]))
    save_checkpoint(tmp_path / "discriminator.safetensors", Discriminator(CONFIGS["1"]))
    broken = random_generator(CONFIGS["1"])
    broken.layers[0].weight.data[0, 0] = float("nan")
    save_checkpoint(tmp_path / "broken.safetensors", broken)
    (tmp_path / "taken.html").write_text("mine")
    before = sorted(tmp_path.iterdir())
    for file, to, directions, problem in (
        ("discriminator.safetensors", out, None, "needed are those of generator"),
        ("missing.safetensors", out, None, "no such file"),
        ("broken.safetensors", out, None, "no numbers"),
        ("generator.safetensors", out, some_directions("fake"), "no direction"),
        ("generator.safetensors", tmp_path / "taken.html", None, "already exists"),
    ):
        with pytest.raises(UserError, match=problem):
            write_live_page(tmp_path / file, to, directions)
    assert sorted(tmp_path.iterdir()) == before and (tmp_path / "taken.html").read_text() == "mine"
    write_live_page(good, tmp_path / "taken.html", some_directions("AU1"), force=True)
    assert "<title>Faces" in (tmp_path / "taken.html").read_text()


# What a browser makes of it


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The page of the shipped generator, the generator, and its directions."""
    generator, _ = load_checkpoint(SHIPPED / "generator.safetensors", "generator")
    directions = read_directions(SHIPPED / "directions.safetensors", model_key(generator))
    out = tmp_path_factory.mktemp("live") / "page.html"
    return write_live_page(SHIPPED / "generator.safetensors", out, directions), generator, directions


@pytest.fixture
def live(shipped, chromium, tmp_path):
    """The page opened from the disk; at the end nothing was complained about, and nothing was fetched."""
    path, _, _ = shipped
    with browse(chromium, tmp_path / "profile") as watched:
        asked = []
        watched.page.on("request", lambda request: asked.append(request.url.split(":")[0]))
        page = LivePage(watched.page, path.as_uri(), size=32)
        page.squares()
        yield page
        assert watched.errors == [] and watched.outside == []
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
    """The z of explore.State: ``moves`` are amounts and vectors."""
    return np.clip(truncation * base + sum(amount * vector for amount, vector in moves.values()), -1, 1)


@pytest.mark.browser
def test_the_pixels_are_those_of_pytorch(live, shipped):
    _, generator, _ = shipped
    z = some_z(24)
    found = np.stack([live.draw(one) for one in z])
    difference = np.abs(found.astype(int) - pictures(generator, z))
    print(f"largest difference to PyTorch {difference.max()} of 255, {np.mean(difference > 0):.2%} differ")
    assert difference.max() <= 2


@pytest.mark.browser
@pytest.mark.parametrize("name", ["1 same", "2", "2-7x7", "float32"])
def test_the_pixels_of_every_configuration(name, chromium, tmp_path):
    generator = large_generator() if name == "float32" else random_generator(CONFIGS[name])
    save_checkpoint(tmp_path / "generator.safetensors", generator)
    path = write_live_page(tmp_path / "generator.safetensors", tmp_path / "p.html", some_directions("AU12"))
    z = some_z()[6:12]
    with browse(chromium, tmp_path / "profile") as watched:
        page = LivePage(watched.page, path.as_uri(), generator.config.image_size)
        found = np.stack([page.draw(one) for one in z])
        assert watched.errors == []
    assert np.abs(found.astype(int) - pictures(generator, z)).max() <= 2


@pytest.mark.browser
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


@pytest.mark.browser
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


@pytest.mark.browser
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


WATCH = """() => {
    window.steps = [];
    window.addEventListener('keydown', event => { window.pressed = event.timeStamp; }, { capture: true });
    const painted = () => window.steps.push(performance.now() - window.pressed);
    document.querySelector('#face').addEventListener('drawn', () => requestAnimationFrame(painted));
}"""


@pytest.mark.browser
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


@pytest.mark.browser
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


@pytest.mark.browser
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


@pytest.mark.browser
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


@pytest.mark.browser
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


@pytest.mark.browser
def test_over_http_and_nothing_else_is_asked_for(shipped, chromium, tmp_path):
    path, generator, _ = shipped
    handler = partial(SimpleHTTPRequestHandler, directory=path.parent)
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        browse(chromium, tmp_path / "profile") as watched,
    ):
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
        refused = watched.page.evaluate("fetch('/other.html').then(() => 'fetched', () => 'refused')")
        assert refused == "refused"
        server.shutdown()


@pytest.mark.browser
def test_names_that_look_like_html_are_text(chromium, tmp_path):
    evil = "</script><img src=x onerror=window.hacked=1>"
    file = tmp_path / "<img src=x onerror=window.hacked=2>&\"'$title.safetensors"
    save_checkpoint(file, random_generator(CONFIGS["1"]))
    directions = some_directions("AU12", evil, "<!--<script>")
    out = tmp_path / "<b>.html"
    write_live_page(file, out, directions, title=f"</title>{evil}$facts")
    with browse(chromium, tmp_path / "profile") as watched:
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
        assert watched.errors == []


@pytest.mark.browser
def test_faces_of_many_seeds_are_uniform_in_the_cube(live):
    z = np.array(live.page.evaluate("[...Array(300).keys()].map(seed => [...sampleZ(seed)])"))
    assert z.shape == (300, 100) and np.abs(z).max() <= 1
    shares = np.histogram(z, bins=10, range=(-1, 1))[0] / z.size
    assert np.abs(shares - 0.1).max() < 0.01
    assert np.abs(np.corrcoef(z.T) - np.eye(100)).max() < 0.3 and len(np.unique(z)) > 0.99 * z.size

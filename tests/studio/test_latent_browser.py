"""The latent browser in a real browser: with a kernel of the test, in JupyterLab, as a page of its own."""

import json
import re
from functools import partial
from urllib.parse import urlparse

import cv2
import numpy as np
import pytest
from browser import along, drag, drawn, show_bare, standalone, write_notebook
from live_generators import planted_explorer
from planted import probabilities, read_blocks
from playwright.sync_api import expect
from repository import ROOT

from affkit.gan import sample_z
from affkit_lab.latent.directions import faces_at
from affkit_studio.browse.favourites import Favourites
from affkit_studio.browse.latent_browser import LatentBrowser
from affkit_studio.browse.latent_desk import LatentDesk

pytestmark = pytest.mark.browser
GENERATOR = ROOT / "data_samples" / "weights" / "gan_2" / "generator.safetensors"
CELL = """\
from affkit_studio.browse.latent_browser import latent_browser

browser = latent_browser({checkpoint!r}, favourites="favourites.json")
browser
"""


class Page:
    """The browser on a page, used as a person does."""

    def __init__(self, page):
        self.page, self.root = page, page.locator(".afl").first
        page.wait_for_selector(".afl[data-read]")

    def face(self, selector=".afl-face"):
        """What is drawn, ``(S, S, 3)``."""
        return drawn(self.page, selector)

    def after(self, act):
        """Do something; the face as soon as it is another and nothing is under way."""
        before = self.face()
        act()
        for _ in range(400):
            self.page.wait_for_timeout(25)
            if (self.face() != before).any():
                self.rest()
                return self.face()
        raise AssertionError("the picture did not change")

    def rest(self):
        """Wait until nothing is under way: the face is the newest, and what is read is read from it."""
        expect(self.root).to_have_attribute("aria-busy", "false")

    def slider(self, name):
        return self.page.locator(f'.afl input[data-name="{name}"]')

    def button(self, name):
        return self.page.get_by_role("button", name=name)

    def open(self, tab):
        self.page.get_by_role("tab", name=tab).click()

    def keep(self, name):
        """Make the face a favourite."""
        self.page.get_by_label("Name of a favourite").fill(name)
        self.button("Keep this face").click()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def keys(self, name, *keys):
        """Press keys while a slider has the focus; the face afterwards."""
        self.slider(name).focus()
        return self.after(lambda: self.press(*keys))

    def shortcut(self, key):
        """Press a key that the whole page knows; the face afterwards."""
        self.root.focus()
        return self.after(lambda: self.press(key))

    def click(self, name):
        """The face after a button was clicked."""
        return self.after(self.button(name).click)

    def says(self, text):
        expect(self.page.locator(".afl-message").first).to_contain_text(text)


@pytest.fixture
def desk(tmp_path):
    """Of a planted generator."""
    return LatentDesk(planted_explorer(seed=3), Favourites(tmp_path / "favourites.json", "key"))


@pytest.fixture
def page(watched, desk):
    watched.page.set_viewport_size({"width": 1200, "height": 1000})
    show_bare(watched.page, LatentBrowser, desk.handle)
    return Page(watched.page)


@pytest.fixture
def shows(page, desk):
    """That the page shows the face of the seed, moved along directions."""
    base = sample_z(1, 3)[0].double().numpy()

    def check(**sliders):
        moves = sum(amount * desk.explorer.directions[name] for name, amount in sliders.items())
        wanted = faces_at(desk.explorer.generator, np.clip(base + moves, -1, 1)[None])[0]
        np.testing.assert_array_equal(page.face(), wanted)

    return check


def test_every_slider_moves_the_face_and_what_is_read_of_it(page, desk, shows):
    shows()
    for name in desk.explorer.directions.names:
        page.keys(name, "ArrowRight", "ArrowRight", "ArrowRight")
        shows(**{name: 0.3})
        (point,) = along(page.slider(name), 0.8)
        page.after(partial(page.page.mouse.click, *point))
        amount = float(page.slider(name).input_value())
        assert 1.5 < amount < 3.2
        shows(**{name: amount})
        page.shortcut("r")
    assert page.slider("AU12").input_value() == "0"
    page.keys("AU12", "PageUp")
    said = dict(row.split("\t") for row in page.page.locator(".afl-predictions tbody tr").all_inner_texts())
    wanted = probabilities(page.face()[None]).iloc[0]
    assert list(said)[:2] == ["valence", "arousal"]
    assert float(said["valence"]) == pytest.approx(wanted["valence"], abs=0.005)
    assert said["AU12"].strip() == f"{round(100 * wanted['AU12'])}%"


def test_a_hundred_events_in_two_seconds_are_drawn_on_the_way_and_end_on_the_right_picture(page, desk, shows):
    page.root.evaluate("root => { window.drawn = 0; root.addEventListener('afl-drawn', () => drawn++); }")
    fractions = [0.1 + 0.8 * (number * 37 % 100) / 100 for number in range(100)]
    drag(page.page, *along(page.slider("AU4"), 0.5, *fractions, 0.75), pause=10)
    page.page.wait_for_timeout(300)
    page.rest()
    assert page.page.evaluate("drawn") >= 10
    amount = float(page.slider("AU4").input_value())
    assert desk.explorer.state.sliders == {"AU4": pytest.approx(amount)}
    shows(AU4=desk.explorer.state.sliders["AU4"])
    page.shortcut("Control+z")
    shows()


def test_locks_undo_truncation_seed_and_numbers(page, desk):
    page.slider("valence").focus()
    page.press("l")
    expect(page.slider("valence")).to_be_disabled()
    lock = page.button("Lock valence")
    assert lock.get_attribute("aria-pressed") == "true" and lock.inner_text() == "locked"
    before = read_blocks(page.face()[None]).iloc[0]
    moved = read_blocks(page.keys("arousal", "PageDown")[None]).iloc[0] - before
    assert moved["arousal"] < -0.05 and abs(moved["valence"]) < 0.02
    lock.click()
    expect(page.slider("valence")).to_be_enabled()
    page.keys("truncation", "Home")
    assert desk.explorer.state.truncation == 0
    seed = page.page.get_by_label("Seed of the face")
    seed.fill("11")
    page.after(lambda: page.press("Tab"))
    assert desk.explorer.state.seed == 11
    page.open("numbers of z")
    page.keys("z 8", "End")
    assert desk.explorer.z[7] == 1
    page.click("Undo")
    assert desk.explorer.z[7] == 0
    page.click("Redo")
    seed.fill("-4")
    page.press("Tab")
    page.says("a seed is a whole number")


def test_the_plane_by_mouse_and_by_keys(page):
    box = page.page.locator(".afl-plane").bounding_box()

    def at(valence, arousal):
        across, down = box["width"] - 34 - 12, box["height"] - 12 - 30
        return box["x"] + 34 + (valence + 1) / 2 * across, box["y"] + 12 + (1 - arousal) / 2 * down

    def reads(valence, arousal):
        found = read_blocks(page.face()[None]).iloc[0, :2]
        np.testing.assert_allclose(found, [valence, arousal], atol=0.04)

    page.after(lambda: page.page.mouse.click(*at(0.3, -0.2)))
    reads(0.3, -0.2)
    page.after(lambda: drag(page.page, at(0.3, -0.2), at(-0.2, 0.3), steps=8))
    reads(-0.2, 0.3)
    page.page.locator(".afl-plane").focus()
    page.after(lambda: page.press("ArrowRight", "ArrowRight", "ArrowUp"))
    page.page.wait_for_timeout(200)
    page.rest()
    reads(-0.1, 0.35)


def test_neighbours_favourites_and_films(page, tmp_path):
    name, first = "<img src=x onerror=alert(1)>", page.face()
    page.page.wait_for_selector(".afl-grid canvas")
    np.testing.assert_array_equal(page.face(".afl-grid button:nth-child(5) canvas"), first)
    corner = page.face(".afl-grid button:nth-child(9) canvas")
    np.testing.assert_array_equal(page.click("in row 3, column 3"), corner)
    page.keep(name)
    page.says(f"kept: {name}")
    assert page.page.locator(".afl-kept").inner_text().startswith(name)
    page.shortcut("n")
    page.keep("second")
    expect(page.page.locator(".afl-kept")).to_have_count(2)
    for box in page.page.locator(".afl-kept input").all():
        box.check()
    page.button("Film from each chosen").click()
    page.page.wait_for_selector(".afl-strip canvas")
    np.testing.assert_array_equal(page.face(".afl-strip canvas:first-child"), corner)
    page.button("as GIF").click()
    page.says("film-01.gif")
    capture = cv2.VideoCapture(str(tmp_path / "film-01.gif"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 21
    page.open("Favourites")
    np.testing.assert_array_equal(page.click(f"Go to {name}"), corner)
    page.button("Remove second").click()
    expect(page.page.locator(".afl-kept")).to_have_count(1)
    page.slider("AU12").focus()
    page.press("p")
    expect(page.page.locator(".afl-strip canvas")).to_have_count(12)
    kept = json.loads((tmp_path / "favourites.json").read_text())["favourites"]
    assert [one["name"] for one in kept] == [name]


def test_mistakes_are_told_on_the_page(page, tmp_path):
    page.open("Training faces")
    assert "open the browser with --data STORE" in page.page.get_by_label("Training faces").last.inner_text()
    page.open("Leaks")
    page.button("What a step").click()
    page.says("nothing else is locked")
    (tmp_path / "favourites.json").write_text('{"format": 1, "checkpoint": "other", "favourites": []}')
    page.open("Favourites")
    page.says("holds favourites of another generator")
    page.root.focus()
    page.press("?")
    assert page.page.get_by_role("dialog").is_visible()
    page.press("Escape")
    assert page.page.get_by_role("dialog").count() == 0


def test_two_pages_of_one_kernel_show_the_same(page, desk, watched):
    other = watched.page.context.new_page()
    show_bare(other, LatentBrowser, desk.handle)
    second = Page(other)
    watched.page.bring_to_front()
    face = page.keys("AU4", "PageUp")
    other.bring_to_front()
    other.wait_for_function("Number(document.querySelector('[data-name=AU4]').value) > 0")
    second.rest()
    np.testing.assert_array_equal(second.face(), face)
    other.close()


def test_a_kernel_that_answers_late(watched, desk):
    page = watched.page
    show_bare(page, LatentBrowser, desk.handle, held=True)
    expect(page.locator(".afl")).to_contain_text(re.compile("^not connected"))
    page.evaluate("release()")
    tool = Page(page)
    page.evaluate("held = []")
    tool.slider("AU4").focus()
    tool.press("ArrowRight")
    page.get_by_role("alert").filter(has_text="the kernel does not answer").wait_for()
    page.evaluate("release()")
    page.get_by_role("alert").wait_for(state="detached")
    tool.after(lambda: tool.press("ArrowRight"))


def test_in_jupyterlab_with_the_shipped_generator(lab):
    write_notebook(lab.root / "browse.ipynb", CELL.format(checkpoint=str(GENERATOR)), "1 + 1")
    assert lab.run("browse.ipynb") == []
    page = Page(lab.watched.page)
    smile = page.keys("AU12", "End")
    said = page.page.locator(".afl-predictions tbody tr", has_text="AU12").locator("td").first.inner_text()
    # the network that read it along had its say in the direction
    assert int(said.strip().rstrip("%")) > 50
    page.keep("smile")
    page.says("kept: smile")
    # letters that mean something to Jupyter did nothing there
    page.root.focus()
    page.press("x", "d", "d")
    assert lab.count_cells() == 2
    assert lab.watched.errors == [] and lab.watched.outside == []

    lab.watched.faults_meant = True
    lab.kill_kernel()
    page.page.get_by_role("alert").filter(has_text="the kernel does not answer").wait_for()

    assert lab.run("browse.ipynb") == []
    page = Page(lab.watched.page)
    page.open("Favourites")
    np.testing.assert_array_equal(page.click("Go to smile"), smile)
    assert lab.watched.outside == []


def test_a_page_of_its_own_wants_its_token_and_shows_training_faces_and_clips(watched, tmp_path):
    options = ["browse", "--checkpoint", str(GENERATOR), "--data", str(ROOT / "data_samples" / "pool")]
    options += ["--labels", str(ROOT / "data_samples" / "corpus"), "--no-browser"]
    watched.page.set_viewport_size({"width": 1200, "height": 1050})
    with standalone(tmp_path, *options) as address:
        watched.page.goto(address.split("?")[0])
        assert "/login" in watched.page.url and urlparse(watched.page.url).hostname == "127.0.0.1"
        watched.page.goto(address)
        page = Page(watched.page)
        page.keys("valence", "End")
        assert page.slider("valence").input_value() == "4"
        page.open("Training faces")
        page.button("Is this a memorized").click()
        page.page.wait_for_selector("figure.afl-picture")
        page.open("A clip")
        page.button("The face follows").click()
        page.page.wait_for_selector(".afl-strip canvas")
        page.page.set_viewport_size({"width": 800, "height": 1400})
        too_wide = "document.querySelector('.afl').scrollWidth > document.querySelector('.afl').clientWidth"
        assert not page.page.evaluate(too_wide)
        page.page.goto("about:blank")

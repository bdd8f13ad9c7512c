"""The annotation tool in a real browser: in JupyterLab, and as a page of its own."""

import re
from uuid import uuid4

import numpy as np
import pytest
from browser import drag, drawn, show_bare, standalone, write_notebook
from playwright.sync_api import expect
from videos import read_number, write_numbered

from affkit_studio.annotate.annotator import AnnotationDesk, AnnotationTool
from affkit_studio.annotate.project import Project

pytestmark = pytest.mark.browser
FRAMES = 90
ALONE = ("annotate", "clip.mp4", "--project", "faces.affkit", "--no-browser")
CELL = """\
from affkit_studio.annotate.annotator import annotator

annotator("clip.mp4", "faces.affkit", "Ada", {task!r})
"""


NOT_CONNECTED = "not connected: your last saved change is kept"


class Page:
    """The tool on a page, used as a person does: keys, mouse, and what can be read."""

    def __init__(self, page):
        self.page, self.tool = page, page.locator(".afk")
        page.wait_for_selector(".afk[data-shown]")
        self.tool.focus()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, name):
        return self.page.locator(f".afk-{name}").first.inner_text()

    def wait_shown(self, number):
        """Wait for the picture of frame ``number``, counted from 1; returns the number painted on it."""
        self.page.wait_for_selector(f'.afk[data-shown="{number}"]')
        return read_number(drawn(self.page, ".afk-picture")) + 1

    def wait_segments(self, count):
        expect(self.page.locator(".afk-review-text")).to_contain_text(f" of {count} seg")

    def wait_review(self, text):
        expect(self.page.locator(".afk-review-text")).to_have_text(text)

    def at(self, frame, row):
        """Where the middle of a frame (from 1) is in lane ``row`` (from 0) of the time line."""
        box = self.page.locator(".afk-timeline").bounding_box()
        x = box["x"] + 104 + (frame - 0.5) / FRAMES * (box["width"] - 104 - 8)
        return x, box["y"] + 20 + 22 * row + 11


def saved(folder, task="au"):
    """What is in the project file, read by another process than the one that wrote it."""
    with Project.open(folder / "faces.affkit") as project:
        session = project.session("clip", "Ada", task)
        return [(s.lane, s.start, s.stop) for s in session.segments()], session.reviews()


def open_tool(lab, task="au"):
    """Run a notebook with the tool in JupyterLab from the start."""
    if not (lab.root / "clip.mp4").exists():
        write_numbered(lab.root / "clip.mp4", FRAMES)
    write_notebook(lab.root / "tool.ipynb", CELL.format(task=task), "1 + 1", "2 + 2")
    assert lab.run("tool.ipynb") == []
    return Page(lab.watched.page)


def test_annotate_lose_the_kernel_and_go_on(lab):
    tool = open_tool(lab)
    # AU12 on frames 11 to 31, by keys alone
    tool.press("5", "Shift+ArrowRight", "i", "Shift+ArrowRight", "Shift+ArrowRight", "o", "m")
    assert tool.wait_shown(31) == 31
    tool.wait_segments(1)
    assert re.match(r"saved \d\d:\d\d:\d\d", tool.text("saved"))
    assert tool.text("chip") == "AU12 lip corner puller"
    # AU2 on frames 41 to 60, by mouse
    drag(tool.page, tool.at(41, 1), tool.at(60, 1), steps=5)
    assert tool.text("range") == "range 41–60 (20 frames)"
    tool.page.get_by_role("button", name="Mark the chosen lane").click()
    tool.wait_segments(2)
    # one mistake, taken back
    tool.press("Escape", "8", "m")
    tool.wait_segments(3)
    tool.press("Control+z")
    tool.wait_segments(2)
    wanted = [("AU12", 10, 31), ("AU2", 40, 60)]
    assert saved(lab.root)[0] == wanted
    # letters that mean something to Jupyter did nothing there
    assert lab.count_cells() == 3

    lab.watched.faults_meant = True
    lab.kill_kernel()
    tool.page.get_by_role("alert").filter(has_text=NOT_CONNECTED).wait_for()
    assert saved(lab.root)[0] == wanted

    tool = open_tool(lab)
    tool.wait_segments(2)
    # the second pass: AU12 is right, AU2 ends two frames earlier
    tool.press("r", "a")
    tool.wait_review("AU2, frames 41–60; 1 to review")
    tool.page.get_by_label("Comment").fill("brows are down <b>again</b>")
    tool.press("Escape", "c")
    drag(tool.page, tool.at(59, 1), tool.at(60, 1), steps=5)
    tool.press("x")
    tool.wait_review("to review: 1 of 2 segments")
    wanted = [("AU12", 10, 31), ("AU2", 40, 58)]
    segments, reviews = saved(lab.root)
    assert segments == wanted
    assert [(r.lane, r.verdict, r.comment) for r in reviews] == [
        ("AU12", "accept", ""), ("AU2", "change", "brows are down <b>again</b>"),
    ]  # fmt: skip
    tool.page.get_by_label("Format of the export").select_option("abaw")
    tool.page.locator(".afk-do-export").click()
    expect(tool.page.locator(".afk-message").first).to_contain_text(re.compile("^written"))
    name = tool.text("message").split(": ")[1]
    lines = [line.split(",") for line in (lab.root / name).read_text().splitlines()]
    assert lines[0] == ["AU1", "AU2", "AU4", "AU6", "AU12", "AU15", "AU20", "AU25"]
    values = np.array(lines[1:], int)
    assert values.shape == (FRAMES, 8) and values.sum() == 21 + 18
    assert values[10:31, 4].all() and values[40:58, 1].all()
    assert lab.watched.outside == []


def test_expressions_exclude_each_other_and_names_stay_text(lab):
    write_numbered(lab.root / "clip.mp4", FRAMES)
    with Project.open(lab.root / "faces.affkit") as project:
        video = project.add_video(lab.root / "clip.mp4").name
        project.session(video, "<img src=x onerror=alert(1)>", "expression").mark("Fear", 0, 5)
    tool = open_tool(lab, "expression")
    tool.press("4", "i", "Shift+ArrowRight", "o", "m")  # Fear on 1 to 11
    tool.wait_segments(1)
    tool.press("7", "Escape", "ArrowLeft", "m")  # Surprise on 10
    tool.wait_segments(3)
    assert saved(lab.root, "expression")[0] == [("Fear", 0, 9), ("Surprise", 9, 10), ("Fear", 10, 11)]
    tool.press("v")
    assert "<img src=x onerror=alert(1)>" in tool.text("message")
    assert tool.page.locator(".afk img").count() == 0
    with Project.open(lab.root / "faces.affkit") as project:
        project.session("clip", "Ada", "expression").clear(None, 0, 90)
    tool.wait_segments(0)  # what another program wrote is seen
    (lab.root / "clip.mp4").rename(lab.root / "elsewhere.mp4")
    tool.press("End")
    expect(tool.page.locator(".afk-error").first).to_contain_text("no such file")
    assert "Traceback" not in tool.tool.inner_text()


def test_playing_keeps_time_and_loops(lab):
    tool = open_tool(lab)
    tool.press("]", "]", " ")  # 90 frames at twice 30 a second
    tool.page.wait_for_function("document.querySelector('.afk').dataset.shown > 60")
    assert tool.wait_shown(FRAMES) == FRAMES
    tool.press("Home", "i", "Shift+ArrowRight", "o", "l", " ")
    tool.page.wait_for_timeout(1500)
    shown = int(tool.tool.get_attribute("data-shown"))
    assert 1 <= shown <= 11
    tool.press(" ", "?")
    assert tool.page.get_by_role("dialog").is_visible()
    tool.press("Escape")
    assert tool.page.get_by_role("dialog").count() == 0
    assert tool.text("range") == "range 1–11 (11 frames)"


def test_a_kernel_that_answers_late(watched, tmp_path):
    write_numbered(tmp_path / "clip.mp4", FRAMES)
    desk = AnnotationDesk.open(tmp_path / "clip.mp4", tmp_path / "faces.affkit", "Ada", "au")
    page = watched.page
    page.clock.install()
    show_bare(page, AnnotationTool, desk.handle, held=True)
    page.clock.run_for(4000)
    assert page.inner_text(".afk") == NOT_CONNECTED
    page.evaluate("release()")  # too late for the first question, in time for the second
    page.clock.run_for(11000)
    tool = Page(page)
    page.evaluate("held = []")
    tool.press("2", "m")
    assert tool.text("saved") == "saving…"
    page.clock.run_for(4000)
    assert tool.text("saved") == "not saved"
    assert page.get_by_role("alert").is_visible()
    page.evaluate("release()")
    assert tool.text("saved").startswith("saved ") and not page.get_by_role("alert").is_visible()
    tool.wait_segments(1)
    page.evaluate("remove()")
    desk.close()


def test_a_page_of_its_own_wants_its_token(watched, tmp_path):
    write_numbered(tmp_path / "clip.mp4", FRAMES)
    page = watched.page
    with standalone(tmp_path, *ALONE, "--annotator", "Ada") as address:
        page.goto(address.split("?")[0])
        assert "/login" in page.url and page.locator(".afk").count() == 0
        # Voila would tell here how the page was asked for, token and all, to whoever knows the kernel's name.
        opened = "path => new Promise(f => { const s = new WebSocket(path); s.onopen = s.onclose = f; })"
        telling = f"{address.split('?')[0]}voila/query/{uuid4()}".replace("http", "ws", 1)
        assert page.evaluate(f"({opened})({telling!r}).then(event => event.type)") == "close"
        watched.errors.clear()
        page.goto(address)
        tool = Page(page)
        tool.press("3", "ArrowRight", "m")
        tool.wait_segments(1)
        assert tool.wait_shown(2) == 2
        assert saved(tmp_path)[0] == [("AU4", 1, 2)]
        page.goto("about:blank")

"""The annotation tool in a real browser: in JupyterLab, and as a page of its own."""

import re
from contextlib import contextmanager
from uuid import uuid4

import nbformat
import numpy as np
import pytest
from bare import show_bare
from browser import browse, jupyterlab, run_all, standalone
from nbformat.v4 import new_code_cell, new_notebook
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
KERNEL = "jupyterapp.shell.currentWidget.sessionContext.session.kernel"
# What is drawn on the picture, as rows of RGBA values.
DRAWN = """() => {
    const canvas = document.querySelector('.afk-picture');
    return Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data);
}"""


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
        values = np.array(self.page.evaluate(DRAWN), np.uint8).reshape(96, 160, 4)
        return read_number(values[..., :3]) + 1

    def wait_segments(self, count):
        self.page.wait_for_function(
            "count => document.querySelector('.afk-review-text').textContent.includes(` of ${count} seg`)",
            arg=count,
        )

    def wait_review(self, text):
        self.page.wait_for_function(
            "text => document.querySelector('.afk-review-text').textContent === text", arg=text
        )

    def at(self, frame, row):
        """Where the middle of a frame (from 1) is in lane ``row`` (from 0) of the time line."""
        box = self.page.locator(".afk-timeline").bounding_box()
        x = box["x"] + 104 + (frame - 0.5) / FRAMES * (box["width"] - 104 - 8)
        return x, box["y"] + 20 + 22 * row + 11

    def drag(self, start, end):
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=5)
        self.page.mouse.up()


def saved(folder, task="au"):
    """What is in the project file, read by another process than the one that wrote it."""
    with Project.open(folder / "faces.affkit") as project:
        session = project.session("clip", "Ada", task)
        return [(s.lane, s.start, s.stop) for s in session.segments()], session.reviews()


def write_notebook(folder, task):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [new_code_cell(CELL.format(task=task)), new_code_cell("1 + 1"), new_code_cell("2 + 2")]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "tool.ipynb")


@contextmanager
def lab(chromium, tmp_path, task="au"):
    """``open_tool()`` runs the notebook in JupyterLab from the start; the watched page."""
    root = tmp_path / "root"
    root.mkdir()
    write_numbered(root / "clip.mp4", FRAMES)
    write_notebook(root, task)
    with jupyterlab(root, tmp_path / "jupyter") as address, browse(chromium, tmp_path / "profile") as watched:

        def open_tool():
            assert run_all(watched.page, address, "tool.ipynb") == []
            return Page(watched.page)

        yield open_tool, watched, root


def test_annotate_lose_the_kernel_and_go_on(chromium, tmp_path):
    with lab(chromium, tmp_path) as (open_tool, watched, root):
        tool = open_tool()
        # AU12 on frames 11 to 31, by keys alone
        tool.press("5", "Shift+ArrowRight", "i", "Shift+ArrowRight", "Shift+ArrowRight", "o", "m")
        assert tool.wait_shown(31) == 31
        tool.wait_segments(1)
        assert re.match(r"saved \d\d:\d\d:\d\d", tool.text("saved"))
        assert tool.text("chip") == "AU12 lip corner puller"
        # AU2 on frames 41 to 60, by mouse
        tool.drag(tool.at(41, 1), tool.at(60, 1))
        assert tool.text("range") == "range 41–60 (20 frames)"
        tool.page.get_by_role("button", name="Mark the chosen lane").click()
        tool.wait_segments(2)
        # one mistake, taken back
        tool.press("Escape", "8", "m")
        tool.wait_segments(3)
        tool.press("Control+z")
        tool.wait_segments(2)
        wanted = [("AU12", 10, 31), ("AU2", 40, 60)]
        assert saved(root)[0] == wanted
        # letters that mean something to Jupyter did nothing there
        assert tool.page.evaluate("jupyterapp.shell.currentWidget.content.model.cells.length") == 3

        kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        tool.page.evaluate(f"{KERNEL}.requestExecute({{code: {kill!r}}}); 0")
        tool.page.get_by_role("alert").filter(
            has_text="not connected: your last saved change is kept"
        ).wait_for()
        assert saved(root)[0] == wanted

        tool = open_tool()
        tool.wait_segments(2)
        # the second pass: AU12 is right, AU2 ends two frames earlier
        tool.press("r", "a")
        tool.wait_review("AU2, frames 41–60; 1 to review")
        tool.page.get_by_label("Comment").fill("brows are down <b>again</b>")
        tool.press("Escape", "c")
        tool.drag(tool.at(59, 1), tool.at(60, 1))
        tool.press("x")
        tool.wait_review("to review: 1 of 2 segments")
        wanted = [("AU12", 10, 31), ("AU2", 40, 58)]
        segments, reviews = saved(root)
        assert segments == wanted
        assert [(r.lane, r.verdict, r.comment) for r in reviews] == [
            ("AU12", "accept", ""),
            ("AU2", "change", "brows are down <b>again</b>"),
        ]
        tool.page.get_by_label("Format of the export").select_option("abaw")
        tool.page.locator(".afk-do-export").click()
        tool.page.wait_for_function(
            "document.querySelector('.afk-message').textContent.startsWith('written')"
        )
        name = tool.text("message").split(": ")[1]
    lines = [line.split(",") for line in (root / name).read_text().splitlines()]
    assert lines[0] == ["AU1", "AU2", "AU4", "AU6", "AU12", "AU15", "AU20", "AU25"]
    values = np.array(lines[1:], int)
    assert values.shape == (FRAMES, 8) and values.sum() == 21 + 18
    assert values[10:31, 4].all() and values[40:58, 1].all()
    assert watched.outside == []


def test_expressions_exclude_each_other_and_names_stay_text(chromium, tmp_path):
    with lab(chromium, tmp_path, "expression") as (open_tool, watched, root):
        with Project.open(root / "faces.affkit") as project:
            other = project.session(
                project.add_video(root / "clip.mp4").name, "<img src=x onerror=alert(1)>", "expression"
            )
            other.mark("Fear", 0, 5)
        tool = open_tool()
        tool.press("4", "i", "Shift+ArrowRight", "o", "m")  # Fear on 1 to 11
        tool.wait_segments(1)
        tool.press("7", "Escape", "ArrowLeft", "m")  # Surprise on 10
        tool.wait_segments(3)
        assert saved(root, "expression")[0] == [("Fear", 0, 9), ("Surprise", 9, 10), ("Fear", 10, 11)]
        tool.press("v")
        assert "<img src=x onerror=alert(1)>" in tool.text("message")
        assert tool.page.locator(".afk img").count() == 0
        other_tool = Project.open(root / "faces.affkit")
        other_tool.session("clip", "Ada", "expression").clear(None, 0, 90)
        other_tool.close()
        tool.wait_segments(0)  # what another program wrote is seen
        (root / "clip.mp4").rename(root / "elsewhere.mp4")
        tool.press("End")
        tool.page.wait_for_function(
            "document.querySelector('.afk-error').textContent.includes('no such file')"
        )
        assert "Traceback" not in tool.tool.inner_text() and watched.errors == [] and watched.outside == []


def test_playing_keeps_time_and_loops(chromium, tmp_path):
    with lab(chromium, tmp_path) as (open_tool, watched, root):
        tool = open_tool()
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
        assert watched.errors == [] and watched.outside == []


def test_a_kernel_that_answers_late(chromium, tmp_path):
    write_numbered(tmp_path / "clip.mp4", FRAMES)
    desk = AnnotationDesk.open(tmp_path / "clip.mp4", tmp_path / "faces.affkit", "Ada", "au")

    with browse(chromium, tmp_path / "profile") as watched:
        page = watched.page
        page.clock.install()
        show_bare(page, AnnotationTool, lambda message, _: desk.handle(message), held=True)
        page.clock.run_for(4000)
        assert page.inner_text(".afk") == "not connected: your last saved change is kept"
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
        assert watched.errors == [] and watched.outside == []
    desk.close()


def test_a_page_of_its_own(chromium, tmp_path):
    write_numbered(tmp_path / "clip.mp4", FRAMES)
    with (
        standalone(tmp_path, *ALONE, "--annotator", "Ada") as address,
        browse(chromium, tmp_path / "profile") as watched,
    ):
        watched.page.goto(address)
        tool = Page(watched.page)
        tool.press("3", "ArrowRight", "m")
        tool.wait_segments(1)
        assert tool.wait_shown(2) == 2
        watched.page.screenshot(path=tmp_path / "tool.png")
        assert saved(tmp_path)[0] == [("AU4", 1, 2)]
        assert watched.errors == [] and watched.outside == []


def test_a_page_of_its_own_wants_its_token(chromium, tmp_path):
    write_numbered(tmp_path / "clip.mp4", 5)
    with standalone(tmp_path, *ALONE) as address, browse(chromium, tmp_path / "profile") as watched:
        watched.page.goto(address.split("?")[0])
        assert "/login" in watched.page.url
        assert watched.page.locator(".afk").count() == 0
        # Voila would tell here how the page was asked for, token and all, to whoever knows the kernel's name.
        opened = "path => new Promise(f => { const s = new WebSocket(path); s.onopen = s.onclose = f; })"
        telling = f"{address.split('?')[0]}voila/query/{uuid4()}".replace("http", "ws", 1)
        assert watched.page.evaluate(f"({opened})({telling!r}).then(event => event.type)") == "close"

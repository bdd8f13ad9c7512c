"""The notebooks in JupyterLab in a real browser: they run, their sliders move pictures, nothing leaves."""

import nbformat
import numpy as np
import pytest
from browser import along, drag, pixels, pixels_after, write_notebook
from guesses import plain_ccc
from notebook_run import sandbox
from playwright.sync_api import expect
from repository import ROOT

pytestmark = pytest.mark.browser
HANDLE, PICTURE = ".affkit-frame-slider .noUi-handle", "img.affkit-frame-image"
START = ROOT / "notebooks" / "00_start_here.ipynb"

TOY = """\
import numpy as np
from affkit_studio.widgets import frame_player

display(frame_player(lambda i: np.full((24, 32, 3), 20 * i, np.uint8), num_frames=10))
"""
SCORES = """\
import numpy as np
from affkit_studio.widgets import score_explorer

label = np.sin(np.arange(300) / 20) / 2
display(score_explorer(label, label))
"""
BROKEN = """\
from IPython.display import Javascript, display

display(Javascript("console.error('broken widget'); fetch('http://example.org/picture.png')"))
"""


def run_toy(lab, source, shown=PICTURE):
    """Run a notebook of one cell; the page, and the pixels of the picture that it shows."""
    write_notebook(lab.root / "toy.ipynb", source)
    assert lab.run("toy.ipynb") == []
    page = lab.watched.page
    page.wait_for_selector(shown)
    return page, pixels(page, shown)


def shown_frame(picture):
    """Which frame of the toy is seen: its grey level says so."""
    (level,) = np.unique(np.frombuffer(picture, np.uint8).reshape(24, 32, 4)[..., :3])
    return level / 20


def test_the_slider_shows_the_frame_of_its_number_until_its_kernel_dies(lab):
    page, first = run_toy(lab, TOY)
    page.locator(HANDLE).focus()
    page.keyboard.press("ArrowRight")
    assert shown_frame(first) == 0 and shown_frame(pixels_after(page, PICTURE, first)) == 1
    # a hundred events in two seconds end on the right frame
    (handle,), track = along(page.locator(HANDLE), 0.5), page.locator(".affkit-frame-slider .noUi-target")
    fractions = [number * 37 % 100 / 100 for number in range(100)]
    drag(page, handle, *along(track, *fractions, 0.67), pause=10)
    page.wait_for_timeout(1000)
    shown = int(page.locator(".affkit-frame-slider .widget-readout").inner_text())
    assert shown == 6 and shown_frame(pixels(page, PICTURE)) == shown
    assert lab.watched.errors == [] and lab.watched.outside == []
    lab.watched.faults_meant = True
    lab.kill_kernel()
    page.get_by_role("dialog").filter(has_text="Kernel").wait_for()


def test_sliders_change_scores_by_keyboard_and_by_mouse(lab):
    image = "img.affkit-score-image"
    page, first = run_toy(lab, SCORES, image)
    changed = page.locator(".affkit-score-table tr").last  # CCC, Pearson, MSE
    label = np.sin(np.arange(300) / 20) / 2

    def scores():
        return [float(number) for number in changed.locator("td").all_inner_texts()]

    assert scores() == [1, 1, 0]
    page.locator(".affkit-score-shift .noUi-handle").focus()
    for _ in range(4):  # by 0.05
        page.keyboard.press("ArrowRight")
    expect(changed).to_contain_text("0.040")
    assert scores() == [pytest.approx(2 * label.var() / (2 * label.var() + 0.2**2), abs=5e-4), 1, 0.04]
    higher = pixels_after(page, image, first)
    page.get_by_role("button", name="as predicted").click()
    expect(changed).to_contain_text("0.000")
    assert scores() == [1, 1, 0]
    (place,) = along(page.locator(".affkit-score-lag .noUi-target"), 0.9)
    page.mouse.click(*place)
    expect(changed).not_to_contain_text("1.000")
    lag = int(page.locator(".affkit-score-lag .widget-readout").inner_text())
    late = label[np.clip(np.arange(300) - lag, 0, None)]
    wanted = plain_ccc(late, label), np.corrcoef(late, label)[0, 1], ((late - label) ** 2).mean()
    assert 40 < lag < 60 and scores() == pytest.approx(wanted, abs=5e-4)
    assert len({first, higher, pixels(page, image)}) == 3


PLAYER = """\
from affkit.faces.extract import extract_faces
from affkit.store import Store
from affkit_studio.widgets import clip_player

video = {video!r}
extract_faces([video], "store", 32, progress=False)
display(clip_player(video, Store.open("store").index, every=10))
"""


def test_a_clip_with_its_faces_by_keyboard_at_two_widths(lab):
    video = str(ROOT / "data_samples" / "corpus" / "videos" / "clip_01.mp4")
    page, first = run_toy(lab, PLAYER.format(video=video))
    yellow = np.all(np.frombuffer(first, np.uint8).reshape(-1, 4)[:, :3] == (255, 200, 0), axis=1)
    assert yellow.sum() > 100  # the box of person 0
    page.locator(HANDLE).focus()
    page.keyboard.press("End")
    last = pixels_after(page, PICTURE, first)
    page.keyboard.press("Home")
    assert pixels_after(page, PICTURE, last) == first
    for width in (1200, 800):
        page.set_viewport_size({"width": width, "height": 1000})
        box, cell = (page.locator(name).bounding_box() for name in (".affkit-frame-slider", ".jp-OutputArea"))
        assert box["x"] + box["width"] <= cell["x"] + cell["width"] + 1, f"cut at {width} pixels"


def test_faults_of_the_page_and_of_cells_are_seen(lab):
    write_notebook(lab.root / "broken.ipynb", BROKEN, "1 / 0")
    (error,) = lab.run("broken.ipynb")
    assert "ZeroDivisionError" in error
    lab.watched.page.wait_for_timeout(1000)
    assert any("broken widget" in error for error in lab.watched.errors)
    assert lab.watched.outside == ["http://example.org/picture.png"]
    lab.watched.faults_meant = True


def test_start_here(lab):
    copy = sandbox(START, lab.root)
    notebook = nbformat.read(copy, as_version=4)
    tiny = [f"{name} = {value}" for name, value in notebook.metadata.affkit.test.items()]
    notebook.cells[1].source = "\n".join([notebook.cells[1].source, *tiny])  # the networks hardly learn
    nbformat.write(notebook, copy)
    assert lab.run(f"notebooks/{copy.name}") == []
    page = lab.watched.page
    page.locator(PICTURE).first.scroll_into_view_if_needed()
    first = pixels(page, PICTURE)
    assert len(set(first)) > 50, "a picture worth looking at"
    page.locator(HANDLE).first.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    moved = pixels_after(page, PICTURE, first)
    page.keyboard.press("Home")
    assert pixels_after(page, PICTURE, moved) != moved

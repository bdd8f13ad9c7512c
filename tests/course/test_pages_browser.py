"""Pages of the course in a real browser: they need no network."""

import pytest
from browser import browse, write_notebook

from affkit_course.run import run_course

SOURCE = """\
import matplotlib.pyplot as plt
import numpy as np
from affkit_studio.widgets import frame_player

display(frame_player(lambda i: np.full((24, 32, 3), 20 * i, np.uint8), num_frames=10))
plt.plot([1, 3, 2])
plt.show()
"""


@pytest.mark.browser
def test_pages_of_the_course_need_no_network(chromium, tmp_path):
    write_notebook(tmp_path / "01_toy.ipynb", SOURCE, title="A toy: $x^2$")
    assert [result.error for result in run_course(tmp_path, tmp_path / "out", progress=False)] == [""]
    with browse(chromium, tmp_path) as watched:
        page = watched.page
        page.goto((tmp_path / "out" / "index.html").as_uri())
        picture = page.locator("section img")
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
        page.get_by_role("link", name="A toy").first.click()
        page.wait_for_selector("math")
        assert page.locator(".output_png img").count() == 1
        assert page.get_by_text("open in JupyterLab").count() == 1
    assert watched.errors == [] and watched.outside == []

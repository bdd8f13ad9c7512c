"""The site of the course: what is shown, what is refused, and how it is in a real browser without network."""

from pathlib import Path

import nbformat
import pytest
from browser import browse
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pictures import png
from refusals import refused, run_affkit
from repository import ROOT

from affkit_course.site import failure, find_executed, write_site

pytestmark = pytest.mark.slow  # runs whole commands

WIDGET = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "Widget()"}
BROKEN = [new_output("error", ename="KeyError", evalue="'no'\nmore", traceback=["KeyError: 'no'"])]


def said(text: str):
    return new_output("stream", text=text)


def notebook(path: Path, title: str, outputs=(), executed: int | None = 1) -> Path:
    """An executed notebook with a formula, a section, a picture, a widget, and the given outputs."""
    shown = [new_output("display_data", data={"image/png": png("teal")}), new_output("display_data", WIDGET)]
    number = path.stem[:2]
    cells = [
        new_markdown_cell(f"# {title}\n\n- count <b>one</b>\n\n## 1 A part: $x^2$"),
        new_code_cell("draw('x' * 300)" * 9, outputs=[*shown, *outputs], execution_count=executed),
        new_markdown_cell(f"## Exercises\n\nSolutions are in `docs/solutions/{number}.md`."),
    ]
    path.parent.mkdir(exist_ok=True, parents=True)
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.fixture
def course(tmp_path):
    """Two notebooks, the second with solutions that link to a file the site has not."""
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / "00.md").write_text("# Solutions to 00\n\n[detectors](../detectors.md)")
    (tmp_path / "solutions" / "01.md").write_text("# Solutions to 01\n\n```python\nx = 1\n```")
    return [notebook(tmp_path / "notebooks" / f"{name}.ipynb", name) for name in ("00_a", "01_b")]


def test_a_failed_notebook_makes_no_site(course, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = "notebooks site notebooks -o site --solutions solutions --no-live".split()
    notebook(course[1], "01_b", BROKEN)
    code, _, told = run_affkit(monkeypatch, capsys, *line)
    assert (code, told) == (1, "affkit: 1 of 2 notebooks failed, no site: 01_b: In [1] KeyError: 'no'\n")
    assert not (tmp_path / "site").exists()
    notebook(tmp_path / "runs" / "course" / "01_b.ipynb", "01_b", [said("a run that went well")])
    assert run_affkit(monkeypatch, capsys, *line)[0] == 0
    assert "a run that went well" in (tmp_path / "site" / "01_b.html").read_text()


def test_what_was_not_executed_has_failed_and_a_run_counts_before_stored_outputs(course, tmp_path):
    assert failure(course[0]) == ""
    assert failure(notebook(tmp_path / "02_c.ipynb", "c", executed=None)) == "1 of 1 cells were not executed"
    nbformat.write(new_notebook(metadata={"affkit": {"error": "no json"}}), tmp_path / "03_d.ipynb")
    assert failure(tmp_path / "03_d.ipynb") == "no json"
    ran = notebook(tmp_path / "run" / "01_b.ipynb", "01_b")
    assert find_executed(course, tmp_path / "run") == [course[0], ran]
    notebook(ran, "01_b, as it was before somebody changed it")
    assert find_executed(course, tmp_path / "run") == course
    assert find_executed(course, None) == course


def test_every_link_of_the_site_leads_somewhere_and_every_picture_has_its_words(course, tmp_path):
    told = nbformat.read(course[1], as_version=4)
    told.cells[1].outputs[0].metadata["image/png"] = {"alt": 'A "teal" bar'}
    nbformat.write(told, course[1])
    site = write_site(course, tmp_path / "site", tmp_path / "solutions", progress=False).parent
    seen, words = set(), {}
    for page in site.glob("*.html"):
        soup = BeautifulSoup(page.read_text(), "html.parser")
        words[page.name] = [image["alt"] for image in soup.select("main img")]
        for tag in soup.select("[href], [src]"):
            address = tag.get("href") or tag.get("src")
            name, _, anchor = address.partition("#")
            if not address.startswith(("https://arxiv.org/", "data:,")):
                target = site / name if name else page
                assert target.is_file(), address
                assert not anchor or BeautifulSoup(target.read_text(), "html.parser").find(id=anchor), address
                seen.add(name)
    assert {"00_solutions.html", "01_solutions.html", "01_b.html", "site.css"} <= seen
    assert "detectors" in (site / "00_solutions.html").read_text()
    assert words["index.html"] == ["Figure 1 of 00_a", 'A "teal" bar']  # what each notebook says
    assert [words["00_a.html"], words["01_b.html"]] == [["Figure 1 of 00_a"], ['A "teal" bar']]


def test_only_a_site_is_replaced(course, tmp_path):
    arguments = course, tmp_path / "site", tmp_path / "solutions"
    write_site(*arguments, progress=False)
    with refused("already exists"):
        write_site(*arguments, progress=False)
    write_site(course[:1], *arguments[1:], force=True, progress=False)
    assert not (tmp_path / "site" / "01_b.html").exists()
    with refused("is not a site"):
        write_site(course, tmp_path / "notebooks", tmp_path / "solutions", force=True, progress=False)


@pytest.mark.browser
def test_site_in_a_browser(course, chromium, tmp_path):
    generator = ROOT / "data_samples" / "weights" / "gan_1" / "generator.safetensors"
    first = write_site(course, tmp_path / "site", tmp_path / "solutions", generator, progress=False)
    decoded = "images => Promise.all(images.map(image => image.decode().then(() => image.naturalWidth)))"
    with browse(chromium, tmp_path) as watched:
        page = watched.page
        for width in (1200, 400):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(first.as_uri())
            assert page.locator("main img").evaluate_all(decoded) == [1500, 1500]
            page.frame_locator("iframe").get_by_role("button", name="New face").click()
            page.locator("[rel=next]").click()
            for name in ("00_a", "01_b"):
                assert page.locator("h1").inner_text() == name
                assert page.locator("article img").evaluate_all(decoded) == [1500]
                assert page.locator("article math").count() == 1
                assert page.get_by_text("open in JupyterLab").count() == 1
                assert page.evaluate("document.documentElement.scrollWidth") == width
                if name == "00_a":
                    page.locator("[rel=next]").click()
            page.locator("[rel=prev]").click()
            page.wait_for_url("**/00_a.html")
            if width == 400:
                assert not page.get_by_role("navigation", name="Course").is_visible()
                page.get_by_role("button", name="Contents").click()
            page.get_by_role("navigation", name="Course").get_by_role("link", name="Exercises").click()
            assert page.url.endswith("#Exercises")
            page.get_by_role("link", name="Solutions to 00").first.click()
            page.wait_for_url("**/00_solutions.html")
    assert watched.errors == [] and watched.outside == []

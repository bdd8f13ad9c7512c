"""Names and labels of others are text on every page and picture that the kit writes, never a part of it.

In a real browser: names of directions and files on the live page (test_live_browser.py), of annotators in the
annotation tool (test_annotator_browser.py), of favourites in the latent browser (test_latent_browser.py). The
index of the course is also in test_course.py. What a notebook itself shows as HTML is a program's own.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import draw_results
import ipywidgets
import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pictures import png
from repository import ROOMS, ROOT, relative
from year_folders import make_year

from affkit.checkpoints import save_checkpoint
from affkit.gan import GanNetConfig, Generator
from affkit.labels import VA
from affkit.video.video import write_video
from affkit_course import course_map
from affkit_course import pages as course_pages
from affkit_course.pages import Result, notebook_body, write_pages
from affkit_course.site import write_site
from affkit_lab.latent.directions import Directions
from affkit_studio.annotate.elan_boris import write_eaf
from affkit_studio.annotate.session import Segment
from affkit_studio.browse.live_page import write_live_page
from affkit_studio.doctor.report import examine
from affkit_studio.doctor.report import page as report_page
from affkit_studio.summary import write_summary
from affkit_studio.widgets import _score_table, frame_player, score_explorer

EVIL = "<img src=x onerror=alert(1)>\"'&.mp4"
MORE = "</title></script></style></text><script>alert(2)</script>" + EVIL
WRITERS = {  # what holds HTML or SVG, or tools to write it: the test below that gives it names of others
    "affkit_course/pages.py": "test_the_index_of_the_course",
    "affkit_course/site.py": "test_the_site",
    "affkit_studio/summary.py": "test_the_summary_of_predictions",
    "affkit_studio/browse/live_page.py": "test_the_live_page",
    "affkit_studio/widgets.py": "test_the_table_of_scores_and_the_caption_of_a_frame",
    "affkit_studio/annotate/elan_boris.py": "test_an_elan_document",
    "affkit_course/course_map.py": "test_the_picture_of_the_course",
    "benchmarks/draw_results.py": "test_the_picture_of_the_benchmarks",
}
FILES = [path for room in ROOMS for path in (ROOT / room).rglob("*")]
TEMPLATES = {f"affkit_course/site_pages/{name}.html" for name in ("first", "around", "page")}
TEMPLATES |= {"affkit_studio/browse/live/live.html", "affkit_studio/voila/templates/affkit/index.html.j2"}
TAG = re.compile(r"</?[a-z][a-z0-9]*(\s[^<>]*=[^<>]*)?>|<!DOCTYPE", re.I)
TOOLS = re.compile(r"html|jinja2|nbconvert|ElementTree|\bTemplate\b|HTML|SVG|Markdown")
RAW = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|srcdoc|setHTML"
    r"|\beval\(|new Function|javascript:"
)


def no_harm(soup: BeautifulSoup) -> str:
    """Assert that no element or attribute came with a name, and return the text of the page."""
    assert soup.select("img[src=x]") == []
    assert not {(script.string or "").strip() for script in soup.select("script")} & {"alert(1)", "alert(2)"}
    assert [tag for tag in soup.find_all(True) for key in tag.attrs if key.lower().startswith("on")] == []
    return soup.get_text()


def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


# All writers are known


def writes_pages(source: str) -> bool:
    """Whether a module has texts with tags in it, other than docstrings, or imports what writes pages."""
    tree = ast.parse(source)
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return any(id(node) not in bare and _writes(node) for node in ast.walk(tree))


def _writes(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and bool(TAG.search(node.value))
    if isinstance(node, ast.Import | ast.ImportFrom):
        module = getattr(node, "module", None) or ""
        names = () if module.startswith("affkit") else (module, *(alias.name for alias in node.names))
        return any(map(TOOLS.search, names))
    if isinstance(node, ast.Call):
        return ast.unparse(node.func).endswith(("widgets.HTML", "widgets.HTMLMath"))
    return isinstance(node, ast.FunctionDef) and re.fullmatch(r"_repr_\w+_", node.name) is not None


def test_every_writer_of_pages_is_in_the_list():
    paths = [path for name in (*ROOMS, "tools", "benchmarks") for path in (ROOT / name).rglob("*.py")]
    texts = {relative(path): path.read_text(encoding="utf-8") for path in paths}
    found = {name for name, text in texts.items() if writes_pages(text)}
    svg = {name for name, text in texts.items() if "svg.hashsalt" in text}  # by matplotlib
    assert found | svg == set(WRITERS)
    assert [name for name in WRITERS.values() if name not in globals()] == []


@pytest.mark.parametrize("source", [
    "x = f'<b>{name}</b>'",
    "import html",
    "from string import Template",
    "from IPython.display import HTML",
    "def f():\n    return widgets.HTML(name)",
    "class A:\n    def _repr_html_(self):\n        return name",
])  # fmt: skip
def test_a_writer_of_pages_is_seen(source):
    assert writes_pages(source)
    assert not writes_pages("'''A <b>docstring</b>.'''\nx = 1 < 2 > 0\ny = 'a <- b, p < 0.05'")


def test_templates_escape_all_but_what_is_html_already():
    """Jinja escapes; the one `safe` is the text of a notebook or of our own Markdown, which is HTML."""
    assert {relative(path) for path in FILES if path.suffix in (".html", ".j2")} == TEMPLATES
    safe = [line for name in TEMPLATES for line in (ROOT / name).read_text().splitlines() if "| safe" in line]
    assert safe == ["<article>{{ body.html | safe }}</article>"]
    made = re.findall(r"\bEnvironment\((.*?)\)", (ROOT / "affkit_course" / "pages.py").read_text())
    assert made and all("autoescape=True" in how for how in made)


def test_scripts_build_pages_from_text():
    scripts = [path for path in FILES if path.suffix in (".js", ".html", ".j2")]
    found = {path.name: RAW.findall(path.read_text()) for path in scripts}
    assert len(found) > 10 and {name: words for name, words in found.items() if words} == {}


# Each of them with names of others


def evil_notebook(path: Path) -> Path:
    """A notebook whose title, goals, plain output, error, picture and section are named by somebody else."""
    outputs = [
        new_output("stream", text=f"{MORE}\n"),
        new_output("execute_result", {"text/plain": MORE}, execution_count=1),
        new_output("display_data", {"image/png": png("teal"), "text/plain": MORE}),
        new_output("error", ename=EVIL, evalue=MORE, traceback=[MORE]),
    ]
    words = new_markdown_cell(f"# `{MORE}`\n\n- read `{EVIL}`\n\n## 1 `{EVIL}`")
    code = new_code_cell(f"name = {EVIL!r}", execution_count=1, outputs=outputs)
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=[words, code]), path)
    return path


def test_the_index_of_the_course(tmp_path):
    name = f"00_{EVIL}"
    path = evil_notebook(tmp_path / f"{name}.ipynb")
    page = parsed(write_pages(tmp_path, [notebook_body(path, run=True)], results=[Result(name, 1.0, MORE)]))
    text = no_harm(parsed(path.with_suffix(".html")))
    assert text.count("alert(2)") >= 4 and f"name = {EVIL!r}" in text
    assert no_harm(page).count(MORE) == 4  # the title in the bar, the list and the way on, and why it failed
    assert page.select_one("h3 a")["href"] == f"{name}.html"
    image = page.select_one(".pictures img")
    assert (tmp_path / image["src"]).is_file() and image["alt"].endswith(MORE)


def test_a_formula_that_is_none_is_text():
    for latex in (EVIL, f"x_1_2 {MORE}"):  # one that the converter takes, and one that it refuses
        shown = course_pages.formula(latex)
        assert "alert(1)" in no_harm(BeautifulSoup(shown, "html.parser"))
    assert BeautifulSoup(shown, "html.parser").code.string == latex


def test_the_site(tmp_path):
    paths = [evil_notebook(tmp_path / "notebooks" / f"{n}_{EVIL}.ipynb") for n in ("00", "01")]
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / "00.md").write_text(f"# `{MORE}`\n\n`{EVIL}`")
    site = write_site(paths, tmp_path / "site", tmp_path / "solutions", progress=False).parent
    pages = sorted(site.glob("*.html"))
    assert len(pages) == 4
    for file in pages:
        soup = parsed(file)
        assert MORE in no_harm(soup)
        assert all(image["alt"].endswith(MORE) for image in soup.select("img"))
    assert EVIL in parsed(site / "index.html").select_one("section ul").get_text()
    links = {tag["href"].partition("#")[0] for file in pages for tag in parsed(file).select("a[href]")}
    assert {f"00_{EVIL}.html", f"01_{EVIL}.html", "00_solutions.html"} <= links
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notebooks", "site", "solutions"]


def test_the_summary_of_predictions(tmp_path):
    write_video(tmp_path / EVIL, np.full((3, 64, 64, 3), 90, np.uint8))
    face = {"video": EVIL, "frame": [1, 2, 3], "person": 0, "x": 9.0, "y": 9.0, "w": 40.0, "h": 40.0}
    write_summary(tmp_path / "page.html", tmp_path / EVIL, pd.DataFrame(face | dict.fromkeys(VA, 0.5)))
    assert EVIL in no_harm(parsed(tmp_path / "page.html"))


def test_the_live_page(tmp_path):
    names = [EVIL, MORE, "<!--<script>"]
    vectors = np.eye(100)[: len(names)]
    directions = Directions(vectors, pd.DataFrame({"correlation": 0.5}, index=names))
    file = tmp_path / (EVIL.replace("/", "") + ".safetensors")
    save_checkpoint(file, Generator(GanNetConfig("1", width=0.03)))
    soup = parsed(write_live_page(file, tmp_path / "page.html", directions, title=MORE))
    text = no_harm(soup)
    assert soup.title.string == MORE == soup.h1.string and file.name in text
    facts = soup.select("script#facts")
    assert len(facts) == 1 and "onerror" in facts[0].string and "<" not in facts[0].string


def test_the_table_of_scores_and_the_caption_of_a_frame():
    table = _score_table({EVIL: {MORE: 0.5}, "changed": {MORE: 0.25}})
    soup = BeautifulSoup(table, "html.parser")
    assert EVIL in no_harm(soup)
    assert [cell.get_text() for cell in soup.select("th")] == ["", MORE, EVIL, "changed"]
    sliders = score_explorer(np.zeros(9), np.linspace(-1, 1, 9), name=EVIL)
    html = [w.value for w in sliders.children[0].children if isinstance(w, ipywidgets.HTML)]
    assert len(html) == 1 and "onerror" not in html[0]
    player = frame_player(lambda i: np.zeros((8, 8, 3), np.uint8), 2, caption=lambda i: MORE)
    texts = [w for box in player.children for w in getattr(box, "children", [box]) if hasattr(w, "value")]
    (label,) = [w for w in texts if w.value == MORE]
    assert type(label) is ipywidgets.Label and "HTML" not in label._view_name


def test_an_elan_document(tmp_path):
    video = SimpleNamespace(name=EVIL, path=tmp_path / EVIL, num_frames=9, fps=30.0)
    write_eaf(tmp_path / "a.eaf", video, "au", [Segment("AU4", 0, 5)], annotator=MORE)
    root = ElementTree.parse(tmp_path / "a.eaf").getroot()
    assert {tier.get("PARTICIPANT", MORE) for tier in root.iter("TIER")} == {MORE}
    assert root.find(".//MEDIA_DESCRIPTOR").get("MEDIA_URL").endswith(EVIL)
    assert not {"img", "script"} & {element.tag.lower() for element in root.iter()}


def svg_texts(source: str) -> list[str]:
    """The texts of a picture, in which nothing can act."""
    root = ElementTree.fromstring(source)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"script", "img", "image", "foreignObject", "a"}
    assert not [key for element in root.iter() for key in element.attrib if key.lower().startswith("on")]
    return [text for text in root.itertext() if text.strip()]


def test_the_picture_of_the_course(monkeypatch):
    titles = course_map.titles()
    monkeypatch.setattr(course_map, "titles", lambda: {number: EVIL for number in titles})
    monkeypatch.setattr(course_map, "FILES", {**course_map.FILES, MORE: next(iter(titles))})
    texts = svg_texts(course_map.picture())
    assert sum(EVIL in text for text in texts) >= len(titles) and MORE in texts


def test_the_picture_of_the_benchmarks(tmp_path):
    numbers = {"ratio": 3.0, "ratio_low": 2.5, "ratio_high": 3.5}
    numbers |= {"ours": 1.0, "ours_low": 0.9, "ours_high": 1.1}
    row = {"name": MORE, "target": ">= 2x", "result": "met", "unit": EVIL} | numbers
    own = row | {"name": EVIL, "target": "<= 2", "ratio": None}
    draw_results.draw(pd.DataFrame([row, own]), tmp_path / "results.svg", EVIL)
    svg_texts((tmp_path / "results.svg").read_text())


# What is printed, and commands to be copied

WORDS = "import sys; print(*sys.argv[1:], sep='\\0', end='')"


def test_a_folder_named_by_somebody_else_is_one_word_of_a_command_and_harmless_in_a_terminal(tmp_path):
    root = tmp_path / "$(touch x);`y` 'z' \x1b]0;title\x07"
    report = examine(make_year(root, "ABAW5"))
    printed = report_page(report)
    assert "\x1b" not in printed and "\x07" not in printed and "\\x1b" in printed
    assert report.commands and all(command.startswith("affkit ") for command in report.commands)
    told, environment = [], {"WORDS": WORDS, "PATH": os.environ["PATH"]}
    for command in report.commands:  # bash, for what a terminal cannot show is written as it reads it
        line = ["bash", "-c", command.replace("affkit ", f'"{sys.executable}" -c "$WORDS" ', 1)]
        run = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert run.returncode == 0 and run.stderr == ""
        assert [path.name for path in tmp_path.iterdir()] == [root.name]
        told += run.stdout.split("\0")
    assert any(word.startswith(str(root)) for word in told)

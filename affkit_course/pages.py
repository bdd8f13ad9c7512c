"""Executed notebooks as pages of HTML that need no network: what `affkit notebooks run` and `site` write.

nbconvert's own pages fetch MathJax, require.js and widget code from other people's servers. Ours leave the
scripts out, write formulas as MathML, which browsers draw themselves, and put a line of text where a widget
would be.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from jinja2 import Environment, FunctionLoader
from jinja2.filters import pass_context
from latex2mathml.converter import convert as mathml
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

from affkit.files import write_beside

STYLE, FIRST, FIGURES = "site.css", "index.html", "figures"
KINDS = ("image/png", "image/jpeg", "image/svg+xml")
SOLUTION = re.compile(r"`docs/solutions/(\w+)\.md`")
LOCAL_LINK = re.compile(r"(?<!!)\[([^]]+)\]\((?!https?:|#)[^)]+\)")
WIDGET = "application/vnd.jupyter.widget-view+json"
WIDGET_NOTE = (
    "<p><em>Something to move with the mouse is here when the notebook is open in JupyterLab.</em></p>"
)


@dataclass(frozen=True)
class Result:
    """What came of one notebook; ``error`` is empty when it ran to its end."""

    name: str
    seconds: float
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error


@dataclass(frozen=True)
class Body:
    """A page without what surrounds it."""

    name: str
    title: str
    html: str
    goals: list[str]
    sections: list[tuple[str, str]]  # anchor and text of every heading of the second level
    pictures: dict[str, bytes]  # files that the page shows, by their address, in the order of the page
    texts: dict[str, str]  # what they show, by the same addresses, for those who cannot see it


def notebook_body(path: Path, run: bool = False) -> Body:
    """An executed notebook; cells of a ``run`` have numbers, which errors name, and no links to solutions."""
    return _body(path.stem, nbformat.read(path, as_version=4), run)


def markdown_body(path: Path, name: str) -> Body:
    """A Markdown file. Its links to other files of the repository, which the site has not, become text."""
    source = LOCAL_LINK.sub(r"\1", path.read_text(encoding="utf-8"))
    return _body(name, nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source)]))


def write_pages(
    out: Path,
    bodies: Sequence[Body],
    solutions: Mapping[str, Body] | None = None,  # by the name of their notebook
    live: str = "",  # address of a page that the index shows
    results: Sequence[Result] = (),  # said in the index
) -> Path:
    """Write a page a notebook, their style and pictures, and ``index.html``, which is returned."""
    environment = Environment(autoescape=True, loader=FunctionLoader(_read), trim_blocks=True)
    # A page with solutions is reached from its notebook and from the first page; the bar leaves it out.
    solutions = solutions or {}
    whole = {"pages": bodies, "solutions": solutions, "live": live, "results": {r.name: r for r in results}}
    page = environment.get_template("page.html")
    written = {FIRST: environment.get_template("first.html").render(**whole)}
    for before, body, after in zip([None, *bodies], bodies, [*bodies[1:], None], strict=False):
        around = {"before": before, "after": after, "solved": solutions.get(body.name)}
        written[f"{body.name}.html"] = page.render(**whole, **around, body=body)
        if body.name in solutions:
            solved = solutions[body.name]
            written[f"{solved.name}.html"] = page.render(**whole, body=solved, asked=body)
    written[STYLE] = _read(STYLE) + HtmlFormatter(style="default").get_style_defs(".highlight")
    for address, picture in (pair for body in bodies for pair in body.pictures.items()):
        with write_beside(out / address) as part:
            part.write_bytes(picture)
    for name, text in written.items():
        with write_beside(out / name) as part:
            part.write_text(text, encoding="utf-8")
    return out / FIRST


def solutions_page(number: str) -> str:
    """Name of the page with the solutions to a notebook, given its number."""
    return f"{number}_solutions"


def formula(latex: str, display: str = "inline") -> str:
    """LaTeX as MathML, or as its source where the converter does not know a command.

    >>> formula("x^2")[:6], formula("{")
    ('<math ', '<code>{</code>')
    """
    try:
        # HTML knows <math> without its namespace, and nbconvert writes headings with one as <ns0:math>.
        return mathml(latex, display=display).replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    except Exception:  # its errors have no common class; the reader still gets the formula
        return f"<code>{escape(latex)}</code>"


def headline(notebook, name: str) -> tuple[str, list[str]]:
    """Title of a notebook, and what it says you will be able to do: the first list of its first cell."""
    source = notebook.cells[0].source if notebook.cells else ""
    title = re.search(r"^# +(.+)$", source, re.M)
    plain = [re.sub(r"[*`$]", "", text) for text in (title[1] if title else name, *first_list(source))]
    return plain[0], plain[1:]


def first_list(source: str) -> list[str]:
    """The items of the first list in a text, each in one line.

    >>> first_list("You can\\n\\n- count\\n  frames\\n- look\\n\\nand more\\n\\n- not this")
    ['count frames', 'look']
    """
    found = re.search(r"(?:^[-*] .+\n?(?:^ +\S.*\n?)*)+", source, re.M)
    items = re.split(r"^[-*] +", found[0], flags=re.M)[1:] if found else []
    return [" ".join(item.split()) for item in items]


class _Renderer(IPythonRenderer):
    """Markdown with formulas as MathML."""

    def inline_math(self, body: str) -> str:
        return formula(body)

    def block_math(self, body: str) -> str:
        return formula(body, display="block")


class _Exporter(HTMLExporter):
    """The cells of a notebook as HTML."""

    @pass_context
    def markdown2html(self, context, source):
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = _Renderer(escape=False, attachments=attachments, anchor_link_text="")
        return MarkdownWithMath(renderer=renderer).render(source)


def _body(name: str, notebook, run: bool = False) -> Body:
    title, goals = headline(notebook, name)
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and not run:
            cell.source = SOLUTION.sub(
                lambda found: f"[Solutions to {found[1]}]({solutions_page(found[1])}.html)", cell.source
            )
    _prepare_outputs(notebook, title)
    config = Config({"ExtractOutputPreprocessor": {"enabled": True, "extract_output_types": set(KINDS)}})
    hidden = {"exclude_input_prompt": not run, "exclude_output_prompt": not run}
    exporter = _Exporter(template_name="basic", config=config, **hidden)
    exporter.log.setLevel("ERROR")
    resources = {"metadata": {"name": name}, "unique_key": name, "output_files_dir": FIGURES}
    html, resources = exporter.from_notebook_node(notebook, resources)
    soup = BeautifulSoup(html, "html.parser")
    sections = [(heading["id"], heading.get_text().strip()) for heading in soup.select("h2[id]")]
    texts = {image["src"]: image["alt"] for image in soup.select("img[alt]")}
    return Body(name, title, html, goals, sections, dict(resources["outputs"]), texts)


def _prepare_outputs(notebook, title: str) -> None:
    """A note for each widget, as a page has no kernel to answer it; a text for each picture without."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    for output in outputs:
        if WIDGET in output.get("data", {}):
            output.data = nbformat.from_dict({"text/html": WIDGET_NOTE})
    shown = [(output, kind) for output in outputs for kind in KINDS if kind in output.get("data", {})]
    for number, (output, kind) in enumerate(shown, start=1):
        facts = output.metadata.setdefault(kind, nbformat.from_dict({}))
        facts.setdefault("alt", f"Figure {number} of {title}")


def _read(name: str) -> str:
    return (files("affkit_course") / "site_pages" / name).read_text(encoding="utf-8")

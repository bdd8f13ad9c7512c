"""What stands on a page of the site: a notebook or a Markdown file as HTML, its pictures beside it."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from traitlets.config import Config

from affkit_course.pages import OfflineExporter, headline, without_widgets

PICTURES = "pictures"
KINDS = ("image/png", "image/jpeg", "image/svg+xml")
SOLUTION = re.compile(r"`docs/solutions/(\w+)\.md`")
LOCAL_LINK = re.compile(r"(?<!!)\[([^]]+)\]\((?!https?:|#)[^)]+\)")


@dataclass(frozen=True)
class Body:
    """A page without what surrounds it."""

    name: str
    title: str
    html: str
    goals: list[str] = field(default_factory=list)
    sections: list[tuple[str, str]] = field(default_factory=list)
    """Anchor and text of every heading of the second level."""
    pictures: dict[str, bytes] = field(default_factory=dict)
    """Files that the page shows, by their address on the site, in the order of the page."""
    texts: dict[str, str] = field(default_factory=dict)
    """What they show, by the same addresses, for those who cannot see it."""


def notebook_body(path: Path) -> Body:
    """An executed notebook; pictures become files, widgets a line of text."""
    return _body(path.stem, nbformat.read(path, as_version=4))


def markdown_body(path: Path, name: str) -> Body:
    """A Markdown file. Its links to other files of the repository, which the site has not, become text."""
    source = LOCAL_LINK.sub(r"\1", path.read_text(encoding="utf-8"))
    return _body(name, nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source)]))


def solutions_page(number: str) -> str:
    """Name of the page with the solutions to a notebook, given how the notebook's name starts."""
    return f"{number}_solutions"


def failure(path: Path) -> str:
    """Why an executed notebook is not whole, in one line; empty when every cell ran to its end.

    An exception is in the outputs. A kernel that died, and a notebook whose outputs were cleared, leave cells
    that were never executed; a notebook that did not even start says so in its metadata.
    """
    notebook = nbformat.read(path, as_version=4)
    if error := notebook.metadata.get("affkit", {}).get("error"):
        return error
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    for cell in cells:
        for output in cell.outputs:
            if output.output_type == "error":
                reason = output.evalue.strip().split("\n")[0]
                return f"In [{cell.execution_count}] {output.ename}: {reason}"
    skipped = sum(cell.execution_count is None for cell in cells)
    return f"{skipped} of {len(cells)} cells were not executed" if skipped else ""


def cell_sources(path: Path) -> list[str]:
    """What is written in the cells, without the parameters that a run put in."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if "injected-parameters" not in cell.metadata.get("tags", [])]


def _body(name: str, notebook) -> Body:
    title, goals = headline(notebook, name)
    _link_solutions(notebook)
    _name_pictures(notebook, title)
    config = Config({"ExtractOutputPreprocessor": {"enabled": True, "extract_output_types": set(KINDS)}})
    exporter = OfflineExporter(
        template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True, config=config
    )
    exporter.log.setLevel("ERROR")
    resources = {"metadata": {"name": name}, "unique_key": name, "output_files_dir": PICTURES}
    html, resources = exporter.from_notebook_node(without_widgets(notebook), resources)
    soup = BeautifulSoup(html, "html.parser")
    sections = [(heading["id"], heading.get_text().strip()) for heading in soup.select("h2[id]")]
    texts = {image["src"]: image["alt"] for image in soup.select("img")}
    return Body(name, title, html, goals, sections, dict(resources["outputs"]), texts)


def _link_solutions(notebook) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = SOLUTION.sub(
                lambda found: f"[Solutions to {found[1]}]({solutions_page(found[1])}.html)", cell.source
            )


def _name_pictures(notebook, title: str) -> None:
    """A text for each picture that has none, for those who cannot see it."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [(output, kind) for output in outputs for kind in KINDS if kind in output.get("data", {})]
    for number, (output, kind) in enumerate(shown, start=1):
        facts = output.metadata.setdefault(kind, nbformat.from_dict({}))
        facts.setdefault("alt", f"Figure {number} of {title}")

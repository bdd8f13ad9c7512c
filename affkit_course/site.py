"""Write the site: a page for each notebook and its solutions, a first page, and a live demonstration."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import nbformat
from tqdm import tqdm

from affkit.errors import UserError
from affkit.files import refuse_existing, write_beside
from affkit_course.pages import FIRST, markdown_body, notebook_body, solutions_page, write_pages
from affkit_studio.browse.explore import Explorer
from affkit_studio.browse.latent_browser import companions
from affkit_studio.browse.live_page import write_live_page

LIVE = "live.html"
MARK = '<meta name="generator" content="affkit notebooks site">'


def find_executed(notebooks: Sequence[Path], run: str | Path | None) -> list[Path]:
    """Each notebook as executed in the folder ``run``, if it has the same cells there; else the notebook."""
    executed = [Path(run) / path.name if run else path for path in notebooks]
    return [
        ran if ran.is_file() and _sources(ran) == _sources(path) else path
        for ran, path in zip(executed, notebooks, strict=True)
    ]


def failures(paths: Sequence[Path]) -> dict[str, str]:
    """Name and reason of each notebook that did not run to its end."""
    reasons = {path.stem: failure(path) for path in paths}
    return {name: reason for name, reason in reasons.items() if reason}


def failure(path: Path) -> str:
    """Why an executed notebook is not whole, in one line; empty when every cell ran to its end."""
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


def write_site(
    paths: Sequence[Path],
    out: str | Path,
    solutions: str | Path,  # folder with NUMBER.md for the notebook whose name starts with that number
    generator: str | Path | None = None,  # generator.safetensors of a GAN that draws on the first page
    force: bool = False,
    progress: bool = True,
) -> Path:
    """Write the site of executed notebooks, whole or not at all, and return its first page.

    With ``force`` an older site is replaced; a folder that is no site never is.
    """
    check_site_folder(out, force)
    out, solutions = Path(out).resolve(), Path(solutions)
    with write_beside(out) as part:
        shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
        part.mkdir()
        if generator is not None:
            predictors = companions(generator, "cnn", "affwildnet")
            write_live_page(generator, part / LIVE, Explorer.open(generator, predictors).directions)
        bodies = [notebook_body(path) for path in tqdm(paths, unit="page", disable=not progress)]
        sources = {path.stem: solutions / f"{path.stem.split('_')[0]}.md" for path in paths}
        solved = {
            name: markdown_body(source, solutions_page(source.stem))
            for name, source in sources.items()
            if source.is_file()
        }
        write_pages(part, bodies, solved, LIVE if generator is not None else "")
        if out.exists():
            shutil.rmtree(out)
    return out / FIRST


def check_site_folder(out: str | Path, force: bool = False) -> None:
    """Refuse, before the work and not after it, a folder that exists without ``force``, or is no site."""
    refuse_existing(out, force)
    first = Path(out) / FIRST
    if Path(out).exists() and not (first.is_file() and MARK in first.read_text(encoding="utf-8")):
        raise UserError(out, "is not a site of the course, and would be replaced", "choose another output")


def _sources(path: Path) -> list[str]:
    """What is written in the cells, without the parameters that a run put in."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if "injected-parameters" not in cell.metadata.get("tags", [])]

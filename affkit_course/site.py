"""Write the site: a page for each notebook and its solutions, a first page, and a live demonstration."""

import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader
from pygments.formatters import HtmlFormatter
from tqdm import tqdm

from affkit.errors import UserError
from affkit.files import refuse_existing, write_beside
from affkit_course.site_bodies import (
    Body,
    cell_sources,
    failure,
    markdown_body,
    notebook_body,
    solutions_page,
)
from affkit_studio.browse.explore import Explorer
from affkit_studio.browse.latent_browser import companions
from affkit_studio.browse.live.live import write_live_page

STYLE, LIVE, FIRST = "site.css", "live.html", "index.html"
MARK = '<meta name="generator" content="affkit notebooks site">'


def find_executed(notebooks: Sequence[Path], run: str | Path | None) -> list[Path]:
    """For each notebook the one executed in the folder ``run``, else the notebook itself.

    An executed one whose cells are not those of the notebook is of an older course and is left aside.
    """
    executed = [Path(run) / path.name if run else path for path in notebooks]
    return [
        ran if ran.is_file() and cell_sources(ran) == cell_sources(path) else path
        for ran, path in zip(executed, notebooks, strict=True)
    ]


def failures(paths: Sequence[Path]) -> dict[str, str]:
    """Name and reason of each notebook that did not run to its end."""
    reasons = {path.stem: failure(path) for path in paths}
    return {name: reason for name, reason in reasons.items() if reason}


def write_site(
    paths: Sequence[Path],
    out: str | Path,
    solutions: str | Path,
    generator: str | Path | None = None,
    force: bool = False,
    progress: bool = True,
) -> Path:
    """Write the site, whole or not at all, and return its first page.

    Parameters
    ----------
    paths:
        Executed notebooks in reading order.
    out:
        The folder to make.
    solutions:
        Folder with ``NUMBER.md``, the solutions to the notebook whose name starts with that number.
    generator:
        ``generator.safetensors`` of a GAN that draws faces on the first page; without one there is no such
        demonstration.
    force:
        Replace an older site.
    progress:
        Show a bar on stderr.

    Raises
    ------
    UserError
        When ``out`` exists and ``force`` is not set, or it is no site; when the generator cannot be used; or
        when the disk is full.
    """
    check_site_folder(out, force)
    out = Path(out).resolve()
    with write_beside(out) as part:
        shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
        part.mkdir()
        if generator is not None:
            predictors = companions(generator, "cnn", "affwildnet")
            write_live_page(generator, part / LIVE, Explorer.open(generator, predictors).directions)
        bodies = [notebook_body(path) for path in tqdm(paths, unit="page", disable=not progress)]
        _write_pages(part, bodies, _solutions(paths, Path(solutions)), live=generator is not None)
        if out.exists():
            shutil.rmtree(out)
    return out / FIRST


def check_site_folder(out: str | Path, force: bool = False) -> None:
    """Refuse, before the work and not after it, a folder that cannot be written.

    Raises
    ------
    UserError
        When it exists and ``force`` is not set, or it holds something else than a site.
    """
    refuse_existing(out, force)
    first = Path(out) / FIRST
    if Path(out).exists() and not (first.is_file() and MARK in first.read_text(encoding="utf-8")):
        raise UserError(out, "is not a site of the course, and would be replaced", "choose another output")


def _solutions(paths: Sequence[Path], folder: Path) -> dict[str, Body]:
    """The solutions that there are, by the name of their notebook."""
    numbers = {path.stem: path.stem.split("_")[0] for path in paths}
    return {
        name: markdown_body(folder / f"{number}.md", solutions_page(number))
        for name, number in numbers.items()
        if (folder / f"{number}.md").is_file()
    }


def _write_pages(out: Path, bodies: list[Body], solutions: dict[str, Body], live: bool) -> None:
    environment = Environment(autoescape=True, loader=FunctionLoader(_read), trim_blocks=True)
    # A page with solutions is reached from its notebook and from the first page; the bar leaves it out.
    whole = {"pages": bodies, "solutions": solutions, "live": LIVE if live else ""}
    page = environment.get_template("page.html")
    for number, body in enumerate(bodies):
        around = {
            "before": bodies[number - 1] if number else None,
            "after": bodies[number + 1] if number + 1 < len(bodies) else None,
            "solved": solutions.get(body.name),
        }
        _write(out / f"{body.name}.html", page.render(**whole, **around, body=body))
    for name, body in solutions.items():
        asked = next(asked for asked in bodies if asked.name == name)
        _write(out / f"{body.name}.html", page.render(**whole, body=body, asked=asked))
    _write(out / FIRST, environment.get_template("first.html").render(**whole))
    _write(out / STYLE, _read(STYLE) + HtmlFormatter(style="default").get_style_defs(".highlight"))
    for address, picture in (pair for body in bodies for pair in body.pictures.items()):
        (out / address).parent.mkdir(exist_ok=True)
        (out / address).write_bytes(picture)


def _read(name: str) -> str:
    return (files("affkit_course") / "site_pages" / name).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")

"""Run the course: every notebook in order on a fresh kernel, pages to look at, an honest end.

A notebook says what it wants from here in two places:

- one code cell tagged ``parameters`` with plain assignments; as it stands it *is* the small profile, the one
  that fits a 2-core laptop;
- ``metadata.affkit``, a mapping from other profiles to the parameters they change, such as
  ``{"full": {"num_epochs": 50}, "test": {"num_epochs": 1}}``.

A notebook runs in its own folder, as it does in JupyterLab, and writes only under ``../runs``.
"""

import ast
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm
from traitlets.config import Config

from affkit.errors import UserError
from affkit.files import write_beside
from affkit_course.pages import FIRST, Result, notebook_body, write_pages
from affkit_course.times import record_times

PROFILES = ("small", "full", "test")


def run_course(
    folder: str | Path,
    out: str | Path,
    only: Sequence[str] = (),
    profile: str = "small",
    progress: bool = True,
) -> list[Result]:
    """Execute the notebooks of ``folder`` in order; ``only`` those whose names start with ``["00", "04"]``.

    ``out`` gets each executed notebook, its page, ``index.html`` and ``times.json``, in place of older ones.
    A notebook that fails does not stop the next one.
    """
    if profile not in PROFILES:
        raise UserError(profile, "no such profile", f"choose one of {', '.join(PROFILES)}")
    paths = find_notebooks(folder, only)
    out, results, bodies = Path(out), [], []
    num_cells = [_count_code_cells(path) for path in paths]
    with tqdm(total=sum(num_cells), unit="cell", disable=not progress) as bar:
        for i, path in enumerate(paths):
            bar.set_description(path.stem)
            results.append(run_notebook(path, out / path.name, profile, on_cell=bar.update))
            bodies.append(notebook_body(out / path.name, run=True))
            write_pages(out, bodies, results=results)
            bar.update(sum(num_cells[: i + 1]) - bar.n)  # a failed notebook leaves cells unexecuted
        bar.set_description("done")
    record_times(out, results, profile)
    return results


def main(folder: str | Path, out: str | Path, only: Sequence[str] = (), profile: str = "small") -> int:
    """Run the course, print the table of results, and return the exit code: 1 when a notebook failed."""
    results = run_course(folder, out, only=only, profile=profile)
    print(table(results))
    print(f"Look at it: {Path(out) / FIRST}")
    return 0 if all(result.ok for result in results) else 1


def find_notebooks(folder: str | Path, only: Sequence[str] = ()) -> list[Path]:
    """The notebooks of the course in reading order; with ``only``, those whose names start so."""
    paths = sorted(Path(folder).glob("[0-9]*.ipynb"))
    if not paths:
        raise UserError(folder, "holds no notebook of the course", "give the folder with 00_start_here.ipynb")
    for start in only:
        if not any(path.name.startswith(start) for path in paths):
            raise UserError(folder, f"no notebook starts with {start}", f"choose from {paths[0].stem} on")
    return [path for path in paths if not only or path.name.startswith(tuple(only))]


def run_notebook(
    path: Path, out: Path, profile: str = "small", on_cell=None, cwd: Path | None = None
) -> Result:
    """Execute one notebook on a fresh kernel in its own folder and write it, executed so far, to ``out``.

    ``on_cell`` is called after each cell. Nothing is raised for a notebook that fails: the result says why.
    """
    start = time.perf_counter()
    error = ""
    with write_beside(out) as part, kernel_config() as config:
        try:
            papermill.execute_notebook(
                path,
                part,
                parameters=profile_parameters(path, profile),
                kernel_name="python3",
                cwd=cwd or path.parent,
                progress_bar=False,
                start_timeout=120,
                on_cell_complete=lambda cell, cell_index: on_cell() if on_cell else None,
                config=config,
            )
        except PapermillExecutionError as failure:
            error = f"In [{failure.exec_count}] {failure.ename}: {_first_line(failure.evalue)}"
        except Exception as failure:  # a dead kernel, a broken file: the table tells, the rest still runs
            error = f"{type(failure).__name__}: {_first_line(str(failure))}"
        if not part.exists():
            nbformat.write(_empty_notebook(path, error), part)
    return Result(path.stem, time.perf_counter() - start, error)


def profile_parameters(path: Path, profile: str) -> dict:
    """The parameters that a profile changes in a notebook; a misspelt one, fine for Papermill, is refused."""
    notebook = nbformat.read(path, as_version=4)
    changes = dict(notebook.metadata.get("affkit", {}).get(profile, {}))
    unknown = sorted(set(changes) - parameter_names(notebook))
    if unknown:
        raise UserError(
            path, f"profile {profile} sets unknown {', '.join(unknown)}", "correct metadata.affkit"
        )
    return changes


def parameter_names(notebook: Mapping) -> set[str]:
    """Names assigned in the cell tagged ``parameters``.

    >>> from nbformat.v4 import new_code_cell, new_notebook
    >>> cell = new_code_cell("num_epochs = 2\\nsizes = (96, 32)", metadata={"tags": ["parameters"]})
    >>> sorted(parameter_names(new_notebook(cells=[cell])))
    ['num_epochs', 'sizes']
    """
    tagged = [cell for cell in notebook["cells"] if "parameters" in cell.metadata.get("tags", [])]
    nodes = [node for cell in tagged for node in ast.walk(ast.parse(cell.source))]
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def table(results: Sequence[Result]) -> str:
    """The results as lines of text, the last one a sum.

    >>> failed = Result("04_video_to_faces", 3.0, "In [2] ValueError: no")
    >>> print(table([Result("00_start_here", 41.23), failed]))
    notebook          seconds  result
    00_start_here        41.2  ok
    04_video_to_faces     3.0  failed  In [2] ValueError: no
    2 notebooks, 44 seconds, 1 failed
    """
    width = max(len("notebook"), *(len(result.name) for result in results))
    lines = [f"{'notebook':{width}} seconds  result"]
    for result in results:
        end = "ok" if result.ok else f"failed  {result.error}"
        lines.append(f"{result.name:{width}} {result.seconds:7.1f}  {end}")
    failed = sum(not result.ok for result in results)
    seconds = sum(result.seconds for result in results)
    notebooks = "1 notebook" if len(results) == 1 else f"{len(results)} notebooks"
    lines.append(f"{notebooks}, {seconds:.0f} seconds, {failed or 'none'} failed")
    return "\n".join(lines)


@contextmanager
def kernel_config() -> Iterator[Config]:
    """Talk to a kernel over files where the system can, not over open ports, which it would warn about.

    One local port remains, for what forks print. Jupyter would put its files into the current folder.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = {"transport": "ipc", "ip": f"{folder}/kernel"}
        yield Config({"KernelManager": files if os.name == "posix" else {}})


def _empty_notebook(path: Path, error: str):
    """Stands where an executed notebook would, when it could not even be started."""
    note = nbformat.v4.new_markdown_cell(f"`{path.name}` was not executed: {error}")
    return nbformat.v4.new_notebook(cells=[note], metadata={"affkit": {"error": error}})


def _count_code_cells(path: Path) -> int:
    """How far the bar goes for one notebook; nothing for a file that will fail to open."""
    try:
        cells = nbformat.read(path, as_version=4).cells
    except nbformat.reader.NotJSONError:
        return 0
    return sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in cells)


def _first_line(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).strip().split("\n")[0]

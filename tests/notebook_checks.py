"""What we ask of a notebook. Each check returns complaints, so that it can itself be tested on bad ones."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import nbformat
from content_checks import picture_problems, reach_problems
from latex2mathml.converter import convert as mathml

from affkit.course import parameter_names, run_notebook
from affkit.course_pages import first_list

ROOT = Path(__file__).parent.parent
SANITIZE = Path(__file__).parent / "nbval_sanitize.cfg"
SHIPPED = ("data_samples", "pyproject.toml")  # what a notebook may read beside itself
MAX_CELLS, MAX_LINES, MAX_BYTES = 40, 25, 300_000
# At the end of a line: (II.D), (Eq. 2 to 5, IV.C.1), (Fig. 1, left), (not in the paper), or several of them
PLACE = re.compile(
    r"\([^()]*(?:\b[IV]+\b|Eqs?\. \d|Tables? [IVX]|Fig(?:ure)?s?\.? \d|not in the paper)[^()]*\)$"
)


def code_cells(notebook) -> list:
    """Code cells that hold code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def outputs(notebook) -> list:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def warnings_shown(notebook) -> list[str]:
    """Warnings that a reader sees under a cell."""
    texts = [output.text for output in outputs(notebook) if output.get("name") == "stderr"]
    return [f"shows a warning: {line.strip()}" for text in texts for line in re.findall(".*Warning.*", text)]


def form_problems(path: Path) -> list[str]:
    """How a stored notebook differs from the form all notebooks of the course have."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return [
        *_head_problems(notebook),
        *_parameter_problems(notebook),
        *_size_problems(notebook, path.stat().st_size),
        *_stored_run_problems(notebook),
        *_formula_problems(notebook),
        *picture_problems(notebook),
        *reach_problems(notebook),
    ]


def _head_problems(notebook) -> list[str]:
    head = notebook.cells[0].source if notebook.cells else ""
    wanted = {
        "a title": r"^# \S",
        "what you will be able to do, as a list": r"(?is)you will be able to.*^[-*] ",
        "the minutes it takes": r"(?i)\bminutes?\b",
        "what it needs": r"(?i)\bneeds?\b",
    }
    words = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    problems = [] if "**Predict, then " in words else ["asks nothing to predict before a cell is run"]
    problems += [f"first cell lacks {what}" for what, how in wanted.items() if not re.search(how, head, re.M)]
    if not notebook.cells or "remember" not in notebook.cells[-1].source.lower():
        problems.append("last cell does not say what to remember")
    goals = first_list(head)
    closing = first_list(notebook.cells[-1].source) if notebook.cells else []
    if [re.sub(r" \([^()]*\)$", "", re.sub("^✓ ", "", line)) for line in closing] != [
        re.sub(r" \([^()]*\)$", "", goal) for goal in goals
    ]:
        problems.append("last cell does not check off what the first one promised")
    problems += [f"does not say where the paper has it: {line}" for line in closing if not PLACE.search(line)]
    return problems


def _parameter_problems(notebook) -> list[str]:
    problems = []
    tagged = [cell for cell in notebook.cells if "parameters" in tags(cell)]
    if len(tagged) != 1:
        problems.append(f"{len(tagged)} cells tagged parameters instead of one")
    known = parameter_names(notebook)
    for profile in ("test", "full"):
        unknown = set(notebook.metadata.get("affkit", {}).get(profile, {})) - known
        problems += [f"profile {profile} sets an unknown parameter {name}" for name in sorted(unknown)]
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        problems.append("kernel is not python3")
    return problems


def _size_problems(notebook, num_bytes: int) -> list[str]:
    problems = []
    if len(notebook.cells) > MAX_CELLS:
        problems.append(f"{len(notebook.cells)} cells, more than {MAX_CELLS}")
    for cell in code_cells(notebook):
        num_lines = len(cell.source.splitlines())
        if num_lines > MAX_LINES:
            problems.append(f"a cell of {num_lines} lines, more than {MAX_LINES}: {cell.source[:40]!r}")
    if num_bytes > MAX_BYTES:
        problems.append(f"{num_bytes} bytes, more than {MAX_BYTES}")
    return problems


def _stored_run_problems(notebook) -> list[str]:
    """Outputs must come from one run from top to bottom that went well, with nothing left of the machine."""
    problems = warnings_shown(notebook)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if not counts or counts != list(range(1, len(counts) + 1)):
        problems.append(f"stored outputs are not of one top-to-bottom run: {counts}")
    problems += [f"stores an error: {o.ename}" for o in outputs(notebook) if o.output_type == "error"]
    if "papermill" in notebook.metadata or any("injected-parameters" in tags(c) for c in notebook.cells):
        problems.append("is a copy written by papermill; store it with tools/store_outputs.py")
    return problems


def _formula_problems(notebook) -> list[str]:
    """Formulas must be drawable without MathJax, as the pages of ``make run`` draw them."""
    problems = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"```.*?```|`[^`]*`", "", cell.source, flags=re.S)
            for display, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", prose, re.S):
                try:
                    unknown = re.findall(r"<m[io]>(\\\w+)", mathml(display or inline))
                except Exception as error:  # the converter's errors have no common class
                    unknown = [type(error).__name__]
                problems += [f"formula {(display or inline)[:40]!r}: {name}" for name in unknown]
    return problems


def sandbox(path: Path, folder: Path) -> Path:
    """A copy of one notebook in ``folder/notebooks``, alone, beside the data that ships with it."""
    (folder / "notebooks").mkdir(parents=True)
    for name in SHIPPED:
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return Path(shutil.copy(path, folder / "notebooks"))


def _files_of(folder: Path) -> set[str]:
    """What is in the shipped folders a sandbox links to."""
    linked = [folder / name for name in SHIPPED if (folder / name).is_dir()]
    return {str(path.relative_to(ROOT)) for shared in linked for path in shared.resolve().rglob("*")}


def run_problems(path: Path, folder: Path, profile: str = "test") -> list[str]:
    """What goes wrong when a notebook runs alone on a fresh kernel; it may write only under ``runs``."""
    copy = sandbox(path, folder)
    out = folder / "executed" / path.name
    shipped = _files_of(folder)
    with figures_watched(folder / "executed" / "figures.txt") as complaints:
        result = run_notebook(copy, out, profile)
    problems = complaints if result.ok else [result.error]
    executed = nbformat.read(out, as_version=4)
    if not [cell for cell in code_cells(executed) if cell.execution_count]:
        problems.append("no code cell was executed")
    left = {p.name for p in copy.parent.iterdir()} - {copy.name, ".ipynb_checkpoints"}
    left |= {p.name for p in folder.iterdir()} - {"notebooks", "executed", "runs", *SHIPPED}
    left |= _files_of(folder) - shipped
    problems += [f"leaves {name} outside runs" for name in sorted(left)]
    return problems + warnings_shown(executed)


@contextmanager
def figures_watched(file: Path) -> Iterator[list[str]]:
    """Kernels that start meanwhile complain about their figures; the list is full afterwards."""
    file.parent.mkdir(parents=True, exist_ok=True)
    os.environ["AFFKIT_FIGURES"] = str(file)
    complaints: list[str] = []
    try:
        yield complaints
    finally:
        del os.environ["AFFKIT_FIGURES"]
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        complaints += dict.fromkeys(lines)


def comparison_problems(path: Path, folder: Path) -> list[str]:
    """Where the stored outputs differ from those of a new run, by nbval after the sanitizer."""
    copy = sandbox(path, folder)
    notebook = nbformat.read(copy, as_version=4)
    problems = [f"tag {t} hides a cell" for c in notebook.cells for t in tags(c) if t == "nbval-skip"]
    compared = [c for c in code_cells(notebook) if c.outputs and "nbval-ignore-output" not in tags(c)]
    if not compared:  # nbval itself is content with a notebook that was never executed
        return [*problems, "no stored output to compare"]
    report = folder / "nbval.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", copy.name]
    command += [f"--nbval-sanitize-with={SANITIZE}", f"--junitxml={report}", "-o", "addopts="]
    run = subprocess.run(command, cwd=copy.parent, capture_output=True, text=True, timeout=900)
    if not report.exists():
        return [*problems, f"nbval did not run: {run.stdout}{run.stderr}"]
    cases = list(ElementTree.parse(report).iter("testcase"))
    if len(cases) < len(code_cells(notebook)):
        problems.append(f"nbval ran {len(cases)} of {len(code_cells(notebook))} cells")
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    problems += [f"output differs: {case.get('name')}" for case in failed]
    if run.returncode and not failed:
        problems.append(f"nbval ended with {run.returncode}")
    return problems + ([run.stdout] if failed else [])

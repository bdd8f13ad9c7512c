"""Write the exercises into ``notebooks/`` and the solutions into ``docs/solutions/``.

    python -m affkit_course.exercises.build

Run it after a change of an exercise. Other cells of the notebooks, and their outputs, stay as they are.
"""

import copy
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from affkit.errors import UserError
from affkit.files import write_beside
from affkit_course.exercises.framework import Checks, Exercise, load, numbers

HEADING = "## Exercises"
MAX_LINES = 25  # of a cell
WHOLE_WORDS = {"break_long_words": False, "break_on_hyphens": False}


def build(notebooks: Path, solutions: Path) -> list[Path]:
    """Bring the exercises of all notebooks and the pages of solutions up to date; the files written."""
    written = []
    for number in numbers():
        checks, path = load(number), notebook_path(notebooks, number)
        page = solutions / f"{number}.md"
        before = nbformat.read(path, as_version=4)
        after = with_exercises(before, checks)
        if after != before:
            with write_beside(path) as part:
                nbformat.write(after, part)
            written.append(path)
        if not page.exists() or page.read_text(encoding="utf-8") != solutions_page(checks):
            with write_beside(page) as part:
                part.write_text(solutions_page(checks), encoding="utf-8")
            written.append(page)
    return written


def notebook_path(folder: Path, number: str) -> Path:
    found = sorted(folder.glob(f"{number}_*.ipynb"))
    if len(found) != 1:
        raise UserError(folder, f"has {len(found)} notebooks {number}_*.ipynb", "there must be one")
    return found[0]


def solutions_page(checks: Checks) -> str:
    """All solutions of a notebook as Markdown, with the mistakes that its checks know."""
    parts = [f"# Solutions to {checks.notebook}\n\nThe code knows NumPy as `np`."]
    for i, exercise in enumerate(checks, start=1):
        parts.append(f"## {i} {exercise.title} ({exercise.grade})")
        if isinstance(exercise, Exercise):
            parts.append(f"```python\n{exercise.source}\n```")
        parts.append(exercise.explanation)
        if isinstance(exercise, Exercise):
            mistakes = [textwrap.fill(f"- {said}", 110, subsequent_indent="  ") for said in exercise.wrong]
            parts.append("The check recognises:\n\n" + "\n".join(mistakes))
    return "\n\n".join(parts) + "\n"


def with_exercises(notebook, checks: Checks):
    """A copy of a notebook with the exercises in it: the list, the readers' cells, and what these print."""
    notebook = copy.deepcopy(notebook)
    where = [i for i, cell in enumerate(notebook.cells) if _has_heading(cell)]
    if len(where) != 1:
        problem = f"{len(where)} sections {HEADING!r}"
        raise UserError(f"notebook {checks.notebook}", problem, "there must be one")
    start = where[0]
    above, below = _around_section(notebook.cells[start].source)
    notebook.cells[start].source = f"{above}{statements(checks)}"
    stop = start + 1
    while stop < len(notebook.cells) and notebook.cells[stop].cell_type == "code":
        stop += 1
    replaced = notebook.cells[start + 1 : stop]
    counts = [cell.execution_count for cell in notebook.cells[:start] if cell.cell_type == "code"]
    cells = reader_cells(checks, first_count=len(counts) + 1)
    for i, cell in enumerate(cells):
        cell.id = replaced[i].id if i < len(replaced) else f"{checks.notebook}-exercises-{i + 1}"
    if below:
        cells.append(new_markdown_cell(below, id=f"{checks.notebook}-below-exercises"))
    notebook.cells[start + 1 : stop] = cells
    return notebook


def statements(checks: Checks) -> str:
    lines = []
    for i, exercise in enumerate(checks, start=1):
        text = f"{i}. **{exercise.title}** ({exercise.grade}). {exercise.statement}"
        lines.append(textwrap.fill(text, 110, subsequent_indent="   ", **WHOLE_WORDS))
    hint = f"`check.{checks.checked[0].name}.hint()` gives the next of three hints"
    if len(checks.checked) < len(checks.exercises):
        number = next(i for i, e in enumerate(checks, start=1) if not isinstance(e, Exercise))
        hint += f", `check.hint({number})` the next for number {number}"
    end = f"{hint}. Solutions are in `docs/solutions/{checks.notebook}.md`."
    return "\n\n".join([HEADING, "\n".join(lines), textwrap.fill(end, 110)])


def reader_cells(checks: Checks, first_count: int) -> list:
    """The code cells a reader starts from, each of at most 25 lines, with what they print as they are."""
    groups: list[list[Exercise]] = [[]]
    for exercise in checks.checked:
        first = len(groups) == 1
        if len(_code(checks, [*groups[-1], exercise], first).splitlines()) > MAX_LINES:
            groups.append([])
        groups[-1].append(exercise)
    cells = []
    for i, group in enumerate(groups):
        said = "\n".join(exercise.verdict(lambda *arguments: ...).said for exercise in group)
        cell = new_code_cell(_code(checks, group, i == 0), execution_count=first_count + i)
        cell.outputs = [new_output("stream", name="stdout", text=said + "\n")]
        cells.append(cell)
    return cells


def _code(checks: Checks, group: Sequence[Exercise], with_import: bool) -> str:
    parts = [exercise.stub for exercise in group]
    if with_import:
        parts.insert(0, f"from affkit_course.exercises.nb{checks.notebook} import check")
    calls = "\n".join(f"check.{exercise.name}({exercise.name})" for exercise in group)
    return "\n\n\n".join([*parts, calls])


def _has_heading(cell) -> bool:
    return cell.cell_type == "markdown" and HEADING in cell.source.splitlines()


def _around_section(source: str) -> tuple[str, str]:
    """What stands before the section of the exercises, and from the next section on."""
    above, _, section = f"\n{source}".partition(f"\n{HEADING}\n")
    below = re.search(r"^## .*", section, re.M | re.S)
    return f"{above}\n".lstrip("\n"), below[0] if below else ""


if __name__ == "__main__":
    root = Path(__file__).parents[2]
    for path in build(root / "notebooks", root / "docs" / "solutions"):
        print("wrote", path.relative_to(root))

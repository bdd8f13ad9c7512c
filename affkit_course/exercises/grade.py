"""Check a folder of submitted notebooks, each exercise in a process of its own, and write a table.

    python -m affkit_course.exercises.grade NOTEBOOK NUMBER NAME VERDICT MEMORY

is that process: what it runs may hang, exit, or eat memory. It judges one exercise of one submission, writes
``{"passed": ..., "said": ...}`` to the file VERDICT, and takes at most MEMORY bytes.
"""

import ast
import csv
import json
import os
import re
import runpy
import signal
import subprocess
import symtable
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tqdm import tqdm

import affkit
from affkit.errors import UserError
from affkit.files import write_beside
from affkit.labelfiles.layouts import folders_in
from affkit.labelfiles.names import files_below
from affkit_course.exercises.framework import Exercise, Verdict, load

COURSE_IMPORT = re.compile(r"affkit_course\.exercises\.nb(\d\d)")
LARGEST = 50_000_000  # bytes of a notebook
MOST_WRITTEN = 100_000_000  # bytes a submission may write to one file
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Row:
    """A line of the table: one exercise of one submission, or a submission that has none and why."""

    student: str
    file: str
    notebook: str = ""
    exercise: str = ""
    grade: str = ""
    passed: bool = False
    said: str = ""


@dataclass(frozen=True)
class Limits:
    """What one exercise may take."""

    seconds: float = 10.0
    memory: int = 4 * 2**30  # bytes


def grade_folder(
    folder: str | Path, limits: Limits | None = None, jobs: int = 1, progress: bool = True
) -> list[Row]:
    """Run the checks over all notebooks in a folder, and in its folders, one for each student.

    Only functions that are checked are run, with what they need. One that hangs, takes too much memory or
    ends its process gets its line, and the rest goes on; this is no prison for code that means harm.
    """
    folder, limits = Path(folder), limits or Limits()
    if not folder.is_dir():
        raise UserError(folder, "is no folder", "give the folder of the submissions")
    found = [row for path in _submissions(folder) for row in _expected(folder, path)]
    if not found:
        raise UserError(folder, "holds no notebook", "give the folder of the submissions")
    with ThreadPoolExecutor(jobs) as pool:
        judged = pool.map(lambda row: _judged(folder, row, limits) if row.exercise else row, found)
        return list(tqdm(judged, total=len(found), unit="exercise", disable=not progress))


def write_grades(path: str | Path, rows: Sequence[Row]) -> None:
    with write_beside(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Row)])
        table.writeheader()
        table.writerows(map(asdict, rows))


def as_text(rows: Sequence[Row]) -> str:
    """A line for each student, with the number of right answers.

    >>> print(as_text([Row("ann", "05.ipynb", exercise="ccc", passed=True), Row("ben", "b.ipynb")]))
    ann  1 of 1 right
    ben  0 of 0 right, 1 not graded
    """
    width = max(len(row.student) for row in rows)
    lines = []
    for student in dict.fromkeys(row.student for row in rows):
        own = [row for row in rows if row.student == student]
        asked = [row for row in own if row.exercise]
        line = f"{student:{width}}  {sum(row.passed for row in asked)} of {len(asked)} right"
        lines.append(line + (f", {len(own) - len(asked)} not graded" if len(asked) < len(own) else ""))
    return "\n".join(lines)


def _submissions(folder: Path) -> list[Path]:
    """All notebooks, and the folders of students that hold none."""
    notebooks = [p for p in files_below(folder) if p.suffix == ".ipynb"]
    students = folders_in(folder)  # no link back
    return sorted([*notebooks, *(p for p in students if not any(p in n.parents for n in notebooks))])


def _expected(folder: Path, path: Path) -> list[Row]:
    inside = path.relative_to(folder)
    student = inside.parts[0] if len(inside.parts) > 1 or path.is_dir() else path.stem
    try:
        if path.is_dir():
            raise UserError(path, "holds no notebook", "hand in the .ipynb file")
        if path.stat().st_size > LARGEST:
            raise UserError(path, f"is larger than {LARGEST:,} bytes", "clear the outputs")
        number = notebook_number(path, read_code(path))
        checked = load(number).checked
    except UserError as error:
        return [Row(student, str(inside), said=error.problem)]
    except OSError as error:
        return [Row(student, str(inside), said=f"cannot be read: {error.strerror}")]
    return [Row(student, str(inside), number, exercise.name, exercise.grade) for exercise in checked]


def _judged(folder: Path, row: Row, limits: Limits) -> Row:
    """The row with what the check says, from a process that is ended with all it started."""
    with tempfile.TemporaryDirectory() as empty:
        verdict = Path(empty) / "verdict.json"
        command = [sys.executable, "-m", "affkit_course.exercises.grade", str((folder / row.file).resolve())]
        command += [row.notebook, row.exercise, str(verdict), str(limits.memory)]
        where = [str(Path(affkit.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
        env = os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(filter(None, where))}
        silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        process = subprocess.Popen(command, cwd=empty, env=env, start_new_session=True, **silent)
        try:
            code = process.wait(limits.seconds)
            said = f"the code ended its process with {code}" if code >= 0 else f"stopped by signal {-code}"
        except subprocess.TimeoutExpired:
            said = f"not done after {limits.seconds:g} seconds"
        finally:
            _end(process)
        found = {"passed": False, "said": f"{row.exercise}: {said}"}
        if verdict.exists():
            found = json.loads(verdict.read_text(encoding="utf-8"))
        return Row(**asdict(row) | found)


def _end(process: subprocess.Popen) -> None:
    if os.name == "posix":
        with suppress(ProcessLookupError):  # they have all ended
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def read_code(path: Path) -> list[str]:
    """The code cells of a notebook, without lines for IPython."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(path, "is no notebook", "hand in the .ipynb file itself") from error
    return [re.sub(r"^\s*[%!?].*$|^.*\?$", "", source, flags=re.M) for source in sources]


def notebook_number(path: Path, cells: list[str]) -> str:
    """Which notebook of the course this is, by the exercises it imports, else by its name."""
    found = COURSE_IMPORT.search("\n".join(cells)) or re.match(r"(\d\d)", path.name)
    if not found:
        raise UserError(path, "is no notebook of the course", "keep the line that imports check")
    return found[1]


def definitions(cells: list[str], name: str) -> tuple[str, str]:
    """The code that defines a function, with all that this uses, and a complaint about an unreadable cell.

    >>> cells = ["import math, time", "time.sleep(9)\\ntwo = 2"]
    >>> cells += ["def area(r):\\n    return math.pi * r**two"]
    >>> print(definitions(cells, "area")[0])
    import math, time
    two = 2
    def area(r):
        return math.pi * r ** two
    """
    statements, uses, complaint = [], [], ""
    for cell in cells:
        try:
            parsed = ast.parse(cell).body
            uses += [_names(statement) for statement in parsed]
            statements += parsed
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if re.search(rf"\b{name}\b", cell):
                complaint = f"the cell stopped with {type(error).__name__}: {error}"
    kept, needed, grown = set(), {name}, True
    while grown:
        new = {i for i, (bound, _) in enumerate(uses) if i not in kept and needed & bound}
        kept |= new
        needed = needed.union(*(uses[i][1] for i in new))
        grown = bool(new)
    return "\n".join(ast.unparse(statements[i]) for i in sorted(kept)), complaint


def _names(statement: ast.stmt) -> tuple[set[str], set[str]]:
    """The global names that a statement gives a value, and those it reads, now or when it is called."""
    table = symtable.symtable(ast.unparse(statement), "statement", "exec")
    own = table.get_symbols()
    bound = {symbol.get_name() for symbol in own if symbol.is_assigned() or symbol.is_imported()}
    read, tables = {symbol.get_name() for symbol in own if symbol.is_referenced()}, [table]
    while tables:
        tables += (inner := tables.pop()).get_children()
        if inner is not table:
            read |= {symbol.get_name() for symbol in inner.get_symbols() if symbol.is_global()}
    return bound, read


def judge(notebook: Path, exercise: Exercise) -> Verdict:
    code, complaint = definitions(read_code(notebook), exercise.name)
    if not code:
        return Verdict(False, complaint or f"{exercise.name} is not in the notebook")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "submission.py"
        file.write_text(code, encoding="utf-8")
        try:
            names = runpy.run_path(str(file))
        except (Exception, SystemExit) as error:  # whatever a reader's code may raise
            return Verdict(False, f"defining {exercise.name} stopped with {type(error).__name__}: {error}")
    answer = names[exercise.name]
    if str(getattr(answer, "__module__", "")).startswith("affkit_course.exercises"):
        return Verdict(False, f"{exercise.name} is imported from the solutions")
    verdict = exercise.verdict(answer)
    return Verdict(False, complaint) if complaint and not verdict.passed else verdict


def limit(memory: int) -> None:
    """Let this process have no more than ``memory`` bytes, on Linux; elsewhere such a limit is not kept."""
    if sys.platform == "linux":
        import resource

        for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, MOST_WRITTEN)):
            _, hard = resource.getrlimit(what)
            own = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (own, own))


if __name__ == "__main__":
    notebook, number, name, verdict_file, memory = sys.argv[1:]
    exercise = getattr(load(number), name)
    limit(int(memory))
    verdict = judge(Path(notebook), exercise)
    with write_beside(verdict_file) as part:
        part.write_text(json.dumps(vars(verdict)), encoding="utf-8")

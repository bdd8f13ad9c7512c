"""Check a folder of submitted notebooks, each exercise in a process of its own, and write a table."""

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tqdm import tqdm

import affkit
from affkit.errors import UserError
from affkit.files import write_beside
from affkit_course.exercises import load
from affkit_course.exercises.submission import notebook_number, read_code

LARGEST = 50_000_000  # bytes of a notebook
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
    """What one exercise may take: seconds of time, and bytes of memory."""

    seconds: float = 10.0
    memory: int = 4 * 2**30


def grade_folder(
    folder: str | Path, limits: Limits | None = None, jobs: int = 1, progress: bool = True
) -> list[Row]:
    """Run the checks over all notebooks in a folder, and in its folders, one for each student.

    Only the functions that are checked are run, with what they need; nothing is trained. A function that
    hangs, takes too much memory or ends its process gets its line, like a file that is no notebook, and the
    rest goes on. This keeps accidents apart; it is no prison for code that means harm.

    Raises
    ------
    UserError
        When there is no such folder, or nothing in it.
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
    """The rows as a CSV file with a header."""
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
    found = ((p, p.relative_to(folder).parts) for p in folder.rglob("*.ipynb"))
    notebooks = [p for p, parts in found if not any(name.startswith(".") for name in parts)]
    students = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    return sorted([*notebooks, *(p for p in students if not any(p in n.parents for n in notebooks))])


def _expected(folder: Path, path: Path) -> list[Row]:
    """The rows of one submission, not yet judged."""
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
        command = [sys.executable, "-m", "affkit_course.exercises.judge", str((folder / row.file).resolve())]
        command += [row.notebook, row.exercise, str(verdict), str(limits.memory)]
        where = [str(Path(affkit.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
        process = subprocess.Popen(
            command,
            cwd=empty,
            env=os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(filter(None, where))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
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
    """End a process and those it started."""
    if os.name == "posix":
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:  # they have all ended
            pass
    else:
        process.kill()
    process.wait()

"""Judge one exercise of one submission, as a program of its own: what it runs may hang, exit, or eat memory.

    python -m affkit_course.exercises.judge NOTEBOOK NUMBER NAME VERDICT MEMORY

writes ``{"passed": ..., "said": ...}`` to the file VERDICT, and takes at most MEMORY bytes.
"""

import json
import runpy
import sys
import tempfile
from pathlib import Path

from affkit.files import write_beside
from affkit_course.exercises import load
from affkit_course.exercises.framework import Exercise, Verdict
from affkit_course.exercises.submission import definitions, read_code

MOST_WRITTEN = 100_000_000  # bytes a submission may write to one file


def judge(notebook: Path, exercise: Exercise) -> Verdict:
    """Run the definitions of a submission and try them."""
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

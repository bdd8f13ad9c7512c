"""Submitted notebooks: right and wrong ones, and those that hang, exit, eat memory or are no notebook."""

import csv
import json
import os
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from refusals import run_affkit
from repository import ROOT

from affkit_course.exercises import grade as grading
from affkit_course.exercises.build import notebook_path
from affkit_course.exercises.framework import load
from affkit_course.exercises.grade import Limits, Row, definitions, grade_folder, write_grades

pytestmark = pytest.mark.slow  # runs whole commands

IMPORT = "import numpy as np\nfrom affkit_course.exercises.nb05 import check"
SHORT = Limits(seconds=20, memory=2 * 2**30)


def submit(path, *cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in cells]), path)


def said(folder, limits=SHORT, **where):
    """Exercise to (passed, said) of the only submission in a folder."""
    rows = grade_folder(folder, limits, jobs=2, progress=False)
    assert all(getattr(row, name) == value for row in rows for name, value in where.items())
    return {row.exercise: (row.passed, row.said) for row in rows}


def test_the_notebook_of_somebody_who_solved_everything(tmp_path):
    """The whole course notebook, its stubs replaced; its training is not run, which would take minutes."""
    path, exercises = notebook_path(ROOT / "notebooks", "10"), load("10").checked
    notebook = nbformat.read(path, as_version=4)
    for exercise in exercises:
        (cell,) = (cell for cell in notebook.cells if exercise.stub in cell.source)
        cell.source = cell.source.replace(exercise.stub, exercise.source)
    (tmp_path / "ann").mkdir()
    nbformat.write(notebook, tmp_path / "ann" / path.name)
    start = time.monotonic()
    rows = grade_folder(tmp_path, SHORT, progress=False)
    found = [(row.student, row.notebook, row.exercise, row.grade) for row in rows]
    assert found == [("ann", "10", exercise.name, exercise.grade) for exercise in exercises]
    assert all(row.passed and "right on all examples" in row.said for row in rows), rows
    assert time.monotonic() - start < 60


def test_the_notebook_of_somebody_who_did_nothing(tmp_path):
    path = notebook_path(ROOT / "notebooks", "05")
    (tmp_path / path.name).write_bytes(path.read_bytes())
    found = said(tmp_path, student=path.stem, notebook="05")
    assert found["ccc"] == (False, "ccc is not written yet: check.ccc.hint() gives a hint.")
    assert set(found) == {exercise.name for exercise in load("05").checked}
    assert not any(passed for passed, _ in found.values())


def test_wrong_answers_with_magics_helpers_and_a_cell_that_is_no_python(tmp_path):
    ccc = "def ccc(x, y):\n    return 2 * moment(x, y) / (moment(x, x) + moment(y, y) + gap(x, y))"
    submit(
        tmp_path / "homework.ipynb",
        IMPORT,
        "%matplotlib inline\n!ls\ngap = lambda x, y: (np.mean(x) - np.mean(y)) ** 2",
        "def moment(x, y):\n    return np.cov(x, y)[0, 1]\nprint('here')",
        "def ccc(x, y):\n    return ...",
        ccc,
        "def cross_entropy(p, label)\n    return 0",
        "def masked_mse(p, t, labelled):\n    return undefined",
        "from affkit_course.exercises.nb05 import mean_ccc",
        "len?",
    )
    found = said(tmp_path)
    assert "Your moments divide by n - 1" in found["ccc"][1]
    assert found["cross_entropy"][1].startswith("the cell stopped with SyntaxError: expected ':'")
    assert "stopped with NameError: name 'undefined' is not defined" in found["masked_mse"][1]
    assert found["mean_ccc"] == (False, "mean_ccc is imported from the solutions")


def test_answers_that_hang_exit_crash_or_eat_memory_stop_nobody_else(tmp_path):
    submit(
        tmp_path / "ben" / "05.ipynb",
        IMPORT,
        "def cross_entropy(p, label):\n    while True:\n        try: 1 / 0\n        except: pass",
        "def ccc(x, y):\n    exit()",
        "def masked_mse(p, t, labelled):\n    return bytearray(3 * 2**29)",
        "import os\ndef mean_ccc(p, t, size):\n    os._exit(3)",
    )
    submit(
        tmp_path / "cas" / "05.ipynb",
        IMPORT,
        "import ctypes\ndef cross_entropy(p, label):\n    return ctypes.string_at(0)",
        "def ccc(x, y):\n    def deep(): return deep()\n    return deep()",
        "two = 1 / 0\ndef masked_mse(p, t, labelled):\n    return two",
        "def mean_ccc(p, t, size):\n    while True: print('x' * 10**6)",
    )
    rows = grade_folder(tmp_path, Limits(seconds=10, memory=2**30), jobs=2, progress=False)
    found = {(row.student, row.exercise): row.said for row in rows}
    words = {
        ("ben", "cross_entropy"): "cross_entropy: not done after 10 seconds",
        ("ben", "ccc"): "stopped with SystemExit",
        ("ben", "masked_mse"): "stopped with MemoryError. Hint",
        ("ben", "mean_ccc"): "mean_ccc: the code ended its process with 3",
        ("cas", "cross_entropy"): "cross_entropy: stopped by signal 11",
        ("cas", "ccc"): "stopped with RecursionError",
        ("cas", "masked_mse"): "defining masked_mse stopped with ZeroDivisionError",
        ("cas", "mean_ccc"): "mean_ccc: not done after 10 seconds",
    }
    assert found.keys() == words.keys() and not any(row.passed for row in rows)
    assert [found[key] for key in words if words[key] not in found[key]] == []


@pytest.mark.skipif(os.name != "posix", reason="groups of processes")
def test_an_answer_leaves_no_process_and_no_file_and_waits_for_nobody(tmp_path):
    mark = tmp_path / "alive"
    code = f"import time, pathlib\ntime.sleep(3)\npathlib.Path({str(mark)!r}).touch()"
    answer = f"def ccc(x, y):\n    subprocess.Popen([sys.executable, '-c', {code!r}])\n    return 0"
    asks = "def masked_mse(p, t, labelled):\n    open('left.txt', 'w').write('x')\n    return float(input())"
    submit(tmp_path / "in" / "05.ipynb", IMPORT, "import subprocess, sys", answer, asks)
    before = sorted(tmp_path.rglob("*"))
    found = said(tmp_path / "in")
    assert "Hint" in found["ccc"][1] and "stopped with EOFError" in found["masked_mse"][1]
    time.sleep(4)
    assert sorted(tmp_path.rglob("*")) == before and not mark.exists() and not (ROOT / "left.txt").exists()


def test_what_is_no_notebook_gets_its_line(tmp_path, monkeypatch):
    words = {"words": b"my answers are in the mail", "list": b"[1, 2]", "bytes": b"\xff\xfe\x00"}
    words |= {"empty": b"", "deep": b"[" * 20_000}
    for name, content in words.items():
        (tmp_path / f"{name}.ipynb").write_bytes(content)
    (tmp_path / "dan" / ".ipynb_checkpoints").mkdir(parents=True)
    (tmp_path / "dan" / "answers.docx").write_text("x")
    (tmp_path / "dan" / ".ipynb_checkpoints" / "05.ipynb").write_text("{}")
    (tmp_path / "__MACOSX" / "dan").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "dan" / "05.ipynb").write_text("{}")
    submit(tmp_path / "eve" / "poem.ipynb", "print('roses')")
    submit(tmp_path / "99_new.ipynb", "x = 1")
    submit(tmp_path / "big.ipynb", "x = 1" * 9000)
    (tmp_path / "gone.ipynb").symlink_to(tmp_path / "nowhere.ipynb")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "here").symlink_to(tmp_path)
    (tmp_path / "above").symlink_to(tmp_path.parent)
    monkeypatch.setattr(grading, "LARGEST", 30_000)
    rows = grade_folder(tmp_path, SHORT, progress=False)
    assert {row.student: row.said for row in rows} == dict.fromkeys(words, "is no notebook") | {
        "dan": "holds no notebook",
        "eve": "is no notebook of the course",
        "99_new": "no notebook with exercises",
        "big": "is larger than 30,000 bytes",
        "gone": "cannot be read: No such file or directory",
    }
    assert not any(row.passed or row.exercise for row in rows)


def test_only_what_the_answer_needs_is_run():
    cells = [
        "import math, time\nfrom os import path as p",
        "table = time.sleep(99)\ntwo = 2",
        "class Half:\n    value = two / 4",
        "def other():\n    two = 7\n    return two",
        "def root(x):\n    table = [y for y in x]\n    return math.sqrt(sum(table)) * Half.value",
        "if two > 1:\n    def root2(x):\n        return root(x)",
        "root(3)",
    ]
    code, complaint = definitions(cells, "root2")
    assert not complaint and "import math, time" in code and "class Half" in code and "if two > 1" in code
    assert "def other" not in code and "os" not in code and not code.endswith("root(3)")
    assert "time.sleep" not in code, "a local name of a function is not the global one"
    assert definitions(cells, "missing") == ("", "")


@pytest.mark.parametrize("broken", ["x = (", "'\\x0", "def f(a, a): pass", "(" * 9999])
def test_a_cell_that_is_no_python_spoils_only_itself(broken):
    good = "def ccc(x, y):\n    return 0"
    assert definitions([broken, good], "ccc") == (good, "")
    code, complaint = definitions([f"{broken}  # ccc", good.replace("ccc", "mse")], "ccc")
    assert code == "" and complaint.startswith("the cell stopped with ")


def test_the_table_survives_commas_and_lines(tmp_path):
    rows = [Row("ann, the first", "a.ipynb", "05", "ccc", "standard", True, 'said\n"right"'), Row("b", "b")]
    write_grades(tmp_path / "grades.csv", rows)
    with open(tmp_path / "grades.csv", newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == ["student", "file", "notebook", "exercise", "grade", "passed", "said"]
    found = [(row["student"], row["said"], row["passed"]) for row in read]
    assert found == [("ann, the first", 'said\n"right"', "True"), ("b", "", "False")]


def test_the_command_writes_a_table_and_prints_it(tmp_path, monkeypatch, capfd):
    submit(tmp_path / "in" / "ann.ipynb", IMPORT, load("05").cross_entropy.source)
    out = tmp_path / "grades.csv"

    def run(*words):
        return run_affkit(monkeypatch, capfd, "notebooks", "grade", *words)

    code, shown, told = run(tmp_path / "in", "-o", out, "--jobs", 2)
    assert code == 0 and shown == f"ann  1 of 4 right\nin {out}\n" and "4/4" in told
    assert out.read_text(encoding="utf-8").count("\n") == 5
    code, _, told = run(tmp_path / "in", "-o", out)
    assert code == 2 and "already exists" in told and told.count("\n") == 1
    code, shown, _ = run(tmp_path / "in", "-o", out, "--force", "--json")
    assert code == 0 and [row["passed"] for row in json.loads(shown)] == [True, False, False, False]
    assert json.loads(shown)[-1]["said"].endswith(" is not in the notebook")  # somebody has deleted it
    (tmp_path / "empty").mkdir()
    for folder, words in (("empty", "holds no notebook"), ("none", "is no folder")):
        code, _, told = run(tmp_path / folder, "-o", tmp_path / "new.csv")
        assert code == 2 and words in told and not (tmp_path / "new.csv").exists()

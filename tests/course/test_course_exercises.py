"""All exercises of the course: each check accepts right answers and names each mistake it knows.

And the notebooks and the pages of solutions are what is made from them.
"""

import ast
import re
import warnings
from dataclasses import replace

import nbformat
import numpy as np
import pytest
from notebook_checks import form_problems, tags
from repository import ROOT
from solutions import said_by_exercises, solution_functions

from affkit.errors import UserError
from affkit.metrics import StreamingCCC
from affkit_course.exercises.build import build, notebook_path, solutions_page, with_exercises
from affkit_course.exercises.framework import GRADES, Checks, Exercise, load, numbers
from affkit_lab.experiments import table_x

each_notebook = pytest.mark.parametrize("number", numbers())
CHECKED = {f"{number} {one.name}": one for number in numbers() for one in load(number).checked}
WRONG = [(name, sentence) for name, one in CHECKED.items() for sentence in one.wrong]
each_exercise = pytest.mark.parametrize("name", CHECKED)


@pytest.fixture(autouse=True)
def no_warnings():
    """Wrong answers divide by 0 and take logarithms of nothing, as those of readers do."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def test_notebooks_01_to_10_have_exercises_and_an_unknown_one_has_not():
    assert {f"{number:02}" for number in range(1, 11)} <= set(numbers())
    for unknown in ("00", "99", "5", "../nb05"):
        with pytest.raises(UserError, match="no notebook with exercises"):
            load(unknown)


@each_exercise
def test_right_answers_pass(name):
    exercise = CHECKED[name]
    assert len(exercise.right) >= 2, "written in other ways than the solution"
    for answer in (exercise.solution, *exercise.right):
        assert exercise.verdict(answer).passed, exercise.verdict(answer).said


@pytest.mark.parametrize("name, sentence", WRONG, ids=[f"{name}: {sentence}" for name, sentence in WRONG])
def test_each_mistake_is_seen_and_gets_its_own_sentence(name, sentence):
    exercise = CHECKED[name]
    verdict = exercise.verdict(exercise.wrong[sentence])
    assert not verdict.passed and verdict.said.endswith(sentence), verdict.said


def ccc_without_a_guard(x, y):
    """Two mistakes: n - 1, and nothing about constants."""
    cov = np.cov(x, y)
    return 2 * cov[0, 1] / (cov[0, 0] + cov[1, 1] + (np.mean(x) - np.mean(y)) ** 2)


def ccc_of_deviations(x, y):
    sx, sy, r = np.std(x), np.std(y), np.corrcoef(x, y)[0, 1]
    return 2 * r * sx * sy / (sx + sy + (np.mean(x) - np.mean(y)) ** 2) if sx > 1e-9 and sy > 1e-9 else 0


def mse_of_everything(predicted, target, labelled):
    error = np.array(predicted) - np.array(target)
    return np.nansum(error**2 * labelled) / len(labelled)


def kappa_of_ones(first, second):
    p = np.mean([a == b for a, b in zip(first, second, strict=True)])
    e = np.mean(first) * np.mean(second)
    return (p - e) / (1 - e)


def means_by_convolution(values, width):
    return np.convolve(values, np.ones(width) / width)[: len(values)]


READERS = [
    ("05 ccc", ccc_without_a_guard, "Your moments divide by n - 1"),
    ("05 ccc", ccc_of_deviations, "You divide by the standard deviations, not the variances"),
    ("05 masked_mse", mse_of_everything, "You divide by all frames, not by the labelled ones."),
    ("02 kappa", kappa_of_ones, "Your p_e counts agreement on 1 only"),
    ("10 causal_mean", means_by_convolution, "You divide by the width also at the start"),
]


@pytest.mark.parametrize("name, answer, sentence", READERS)
def test_what_a_reader_may_write_gets_the_right_diagnosis(name, answer, sentence):
    """Written apart from the wrong functions of the exercises, some with a second mistake."""
    assert sentence in CHECKED[name].verdict(answer).said


@each_exercise
def test_there_are_enough_mistakes_and_examples(name):
    exercise = CHECKED[name]
    assert len(exercise.wrong) >= 5 and len(exercise.examples) >= 3
    assert all(hint for *_, hint in exercise.examples)
    for constant in (0, 1, None, "", []):
        assert not exercise.verdict(lambda *arguments, constant=constant: constant).passed


@each_notebook
def test_every_exercise_has_all_its_parts(number):
    checks = load(number)
    assert len(checks.checked) >= 4 and number == checks.notebook
    assert len({one.name for one in checks.checked}) == len(checks.checked)
    for exercise in checks:
        assert exercise.grade in GRADES and len(set(exercise.hints)) == 3
        assert exercise.title and exercise.statement and len(exercise.explanation) > 50
        if isinstance(exercise, Exercise):
            assert f"`{exercise.name}`" in exercise.statement
            assert getattr(checks, exercise.name) is exercise and not hasattr(Checks, exercise.name)


@each_notebook
def test_notebook_and_solutions_are_what_the_tool_writes(number):
    checks, path = load(number), notebook_path(ROOT / "notebooks", number)
    notebook = nbformat.read(path, as_version=4)
    remedy = "run python -m affkit_course.exercises.build"
    assert with_exercises(notebook, checks) == notebook, remedy
    page = ROOT / "docs" / "solutions" / f"{number}.md"
    assert page.read_text(encoding="utf-8") == solutions_page(checks), remedy


@each_notebook
def test_the_printed_solutions_pass_the_checks_in_the_notebook(number):
    answers = solution_functions(number, replace=replace, table_x=table_x, StreamingCCC=StreamingCCC)
    said = said_by_exercises(number, answers)
    assert len(said) == len(load(number).checked) and all("right on all examples" in line for line in said)


@each_notebook
def test_the_untouched_cells_print_what_is_stored_and_never_stop(number):
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    cells = [c for c in nbformat.read(path, as_version=4).cells if re.search(r"^check\.", c.source, re.M)]
    stored = "".join(output.text for cell in cells for output in cell.outputs)
    stubs = {one.name: lambda *arguments: ... for one in load(number).checked}
    assert stored.splitlines() == said_by_exercises(number, stubs)
    defined = [node.name for cell in cells for node in ast.parse(cell.source).body if hasattr(node, "name")]
    assert defined == list(stubs)


# The tool


@pytest.fixture
def course(tmp_path):
    """A copy of the notebooks, and an empty folder for the solutions."""
    for name in ("notebooks", "solutions"):
        (tmp_path / name).mkdir()
    for number in numbers():
        path = notebook_path(ROOT / "notebooks", number)
        (tmp_path / "notebooks" / path.name).write_bytes(path.read_bytes())
    return tmp_path / "notebooks", tmp_path / "solutions"


def test_the_tool_writes_only_what_differs_and_the_same_again(course):
    notebooks, solutions = course
    assert build(notebooks, solutions) == [solutions / f"{number}.md" for number in numbers()]
    assert build(notebooks, solutions) == []
    path = notebook_path(notebooks, "05")
    before = path.read_bytes()
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-2].source = "def ccc(x, y):\n    return 0"
    nbformat.write(notebook, path)
    assert build(notebooks, solutions) == [path] and path.read_bytes() == before


def test_other_cells_stay_and_an_old_notebook_is_carried_over(course):
    path = notebook_path(course[0], "04")
    notebook = nbformat.read(path, as_version=4)
    old = nbformat.from_dict(notebook)
    at = next(i for i, cell in enumerate(old.cells) if "## Exercises" in cell.source)
    below = old.cells.pop(at + 2)
    old.cells[at].source = f"Before.\n\n## Exercises\n\n1. Old.\n\n{below.source}"
    old.cells[at + 1].source = "check(max, ((1, 2), 2, ''))"
    new = with_exercises(old, load("04"))
    assert [c.source for c in new.cells[:at]] == [c.source for c in notebook.cells[:at]]
    assert new.cells[at].source == f"Before.\n\n{notebook.cells[at].source}"
    assert [c.source for c in new.cells[at + 1 :]] == [c.source for c in notebook.cells[at + 1 :]]
    assert [c.get("outputs") for c in new.cells] == [c.get("outputs") for c in notebook.cells]
    nbformat.write(new, path)
    assert form_problems(path) == [] and not any("nbval-skip" in tags(cell) for cell in new.cells)


def test_a_notebook_without_a_section_or_without_a_file_is_refused(course):
    path = notebook_path(course[0], "05")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("## Exercises", "## Homework")
    with pytest.raises(UserError, match="0 sections '## Exercises'"):
        with_exercises(notebook, load("05"))
    path.unlink()
    with pytest.raises(UserError, match="has 0 notebooks 05_"):
        build(*course)

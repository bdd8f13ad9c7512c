"""What the check of an exercise says to answers, and all exercises of the course: each check accepts right
answers and names each mistake it knows; notebooks and pages of solutions are what is made from them.
"""

import ast
import re
import shutil
import sys
import warnings
from dataclasses import replace

import nbformat
import numpy as np
import pandas as pd
import pytest
from notebook_checks import form_problems, tags
from refusals import refused
from repository import ROOT
from solutions import said_by_exercises, solution_functions

from affkit.metrics import StreamingCCC
from affkit_course.exercises.build import build, notebook_path, solutions_page, with_exercises
from affkit_course.exercises.framework import GRADES, Checks, Exercise, OpenExercise, load, numbers
from affkit_lab.experiments import table_x


def said(capsys, answer, *examples):
    Exercise(answer, "**Any** (warm-up). Write it.", examples, wrong=[], right=[])(answer)
    return capsys.readouterr().out.strip()


def test_right_and_wrong_answers(capsys):
    assert said(capsys, max, ((1, 2), 2, ""), ((3, 2), 3, "")) == "max: right on all examples (2)."
    out = said(capsys, abs, ((1,), 1, "no"), ((-2,), -2, "abs drops the sign"), ((3,), 0, "no"))
    assert out == "abs(-2) gave 2, expected -2. Hint: abs drops the sign"


@pytest.mark.parametrize("got, wanted", [
    ((0.5, -1.0), (0.5, -1)), ([0.1 + 0.2], [0.3]), (np.array([1, 2]), [1, 2]), (None, None),
    (float("nan"), float("nan")), ("AU1", "AU1"), ({"a"}, {"a"}), (np.str_("AU1"), "AU1"),
    ({"a": 0.1 + 0.2}, {"a": 0.3}), ([[1], [2, 3]], [[1], [2, 3]]), ([(1, None)], [(1, None)]),
    ([("a", 1)], [("a", 1)]),
])  # fmt: skip
def test_what_counts_as_equal(capsys, got, wanted):
    assert "right" in said(capsys, lambda: got, ((), wanted, ""))


@pytest.mark.parametrize("got, wanted", [
    ([1], [1, 2]), (0, None), (None, 0), ("AU1", "AU2"), (["a"], {"a"}), ("0.5", 0.5), (["1"], [1]),
    ({"a": 1}, {"b": 1}), (pd.DataFrame({"a": ["x"]}), [("x", "y")]), (1 + 1e-6, 1), ([("a", 1)], [("a", 2)]),
])  # fmt: skip
def test_what_does_not_count_as_equal(capsys, got, wanted):
    assert "right" not in said(capsys, lambda: got, ((), wanted, ""))


# An exercise with named mistakes


def mean(values):
    """Not shown to the reader."""
    return sum(values) / len(values)


def too_large(values):
    return sum(values) / (len(values) - 1)


def last_changed(values):
    values[-1] = 0
    return sum(values) / len(values)


def make_exercise():
    return Exercise(
        mean,
        "**The mean** (warm-up). Write `mean`.\n- one\n- two\n- three\n\nA sum over a number.",
        examples=[(([1, 2, 6],), 3, "add up"), (([4],), 4, "one value"), (([0, 0, 3, 5],), 2, "divide by 4")],
        wrong=[
            "This is the median.", np.median, "You divide by n - 1.", too_large,
            "You change the list.", last_changed,
        ],
        right=[np.mean],
    )  # fmt: skip


def test_mistakes_that_are_known_get_their_sentence():
    exercise = make_exercise()
    by_hand = exercise.verdict(lambda values: sorted(values)[len(values) // 2] * 1.0)
    assert by_hand.said == "mean([1, 2, 6]) gave 2.0, expected 3. Hint: add up", "2, 4, 3 are no median"
    verdict = exercise.verdict(lambda values: float(np.quantile(values, 0.5)))
    assert not verdict.passed
    assert verdict.said == "mean([1, 2, 6]) gave 2.0, expected 3. This is the median."

    def answer(values):
        total = 0
        for value in values:
            total += value
        return total / (len(values) - 1)

    assert exercise.verdict(answer).said.endswith("expected 3. You divide by n - 1.")
    assert exercise.verdict(last_changed).said.endswith("You change the list.")
    assert exercise.verdict(mean).passed and exercise.examples[0][0] == ([1, 2, 6],)


class Unprintable:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize("answer, said", [
    (lambda values: ..., "mean is not written yet: check.mean.hint() gives a hint."),
    (lambda values: None, "mean([1, 2, 6]) gave None, expected 3. Hint: add up"),
    (lambda: 3, "stopped with TypeError: "),
    (lambda values: sys.exit("bye"), "stopped with SystemExit: bye. Hint: add up"),
    (lambda values: exit(), "stopped with SystemExit: None. Hint"),
    (lambda values: values[9], "stopped with IndexError: list index out of range. Hint: add up"),
    (lambda values: (_ for _ in ()).throw(MemoryError), "stopped with MemoryError. Hint: add up"),
    (lambda values: Unprintable(), "gave <Unprintable, its repr stopped with RuntimeError>, expected 3"),
    (lambda values: "x" * 500, "xxx ... xxx"),
    (lambda values: [np.float64(0.5), np.int64(2), 1 / 3], "gave [0.5, 2, 0.3333333333], expected 3"),
    (lambda values: 1e-7 / 3, "gave 3.333333333e-08, expected 3"),
    (lambda values: pd.Series(values), "expected 3. Hint: add up"),
    (3, "stopped with TypeError: 'int' object is not callable"),
])  # fmt: skip
def test_whatever_an_answer_does_becomes_one_short_line(answer, said, capsys):
    make_exercise()(answer)
    out = capsys.readouterr().out
    assert said in out and out.count("\n") == 1 and len(out) < 250


def test_an_endless_answer_can_be_stopped_by_hand():
    with pytest.raises(KeyboardInterrupt):
        make_exercise()(lambda values: (_ for _ in ()).throw(KeyboardInterrupt))


def test_the_reader_starts_from_the_first_line_and_sees_the_whole_but_no_solution():
    exercise = make_exercise()
    assert exercise.stub == "def mean(values):\n    return ...  # replace the three dots"
    assert exercise.source.startswith("def mean(values):") and exercise.source.endswith("len(values)")
    assert repr(exercise) == "The mean (warm-up)"
    both = Checks("99", exercise, exercise)
    assert repr(both) == "1. The mean (warm-up)\n2. The mean (warm-up)"
    with pytest.raises(AttributeError, match="notebook 99 has no exercise maen; it has mean"):
        both.maen  # noqa: B018


def test_three_hints_and_then_the_solution(capsys):
    question = OpenExercise("**Why** (hard). Why?\n- a\n- b\n- c\n\nSo.")
    assert (question.title, question.grade, question.statement) == ("Why", "hard", "Why?")
    assert question.explanation == "So."
    checks = Checks("99", make_exercise(), question)
    for _ in range(4):
        checks.mean.hint()
    for number in (2, 1, 3):
        checks.hint(number)
    last = "That was the last hint. The solution is in docs/solutions."
    assert capsys.readouterr().out.splitlines() == [
        *("Hint 1 of 3: one", "Hint 2 of 3: two", "Hint 3 of 3: three", last),
        *("Hint 1 of 3: a", last, "The exercises of this notebook are 1 to 2."),
    ]


# The exercises of the course


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
        with refused("no notebook with exercises"):
            load(unknown)


@each_exercise
def test_there_are_enough_examples_and_mistakes_and_only_right_answers_pass(name):
    exercise = CHECKED[name]
    assert len(exercise.wrong) >= 5 and len(exercise.examples) >= 3
    assert all(hint for *_, hint in exercise.examples)
    for constant in (0, 1, None, "", []):
        assert not exercise.verdict(lambda *arguments, constant=constant: constant).passed
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
    notebook = nbformat.read(notebook_path(ROOT / "notebooks", number), as_version=4)
    cells = [cell for cell in notebook.cells if re.search(r"^check\.", cell.source, re.M)]
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
        shutil.copy(notebook_path(ROOT / "notebooks", number), tmp_path / "notebooks")
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
    wanted = [cell.source for cell in notebook.cells]
    wanted[at] = f"Before.\n\n{wanted[at]}"
    assert [cell.source for cell in new.cells] == wanted
    assert [c.get("outputs") for c in new.cells] == [c.get("outputs") for c in notebook.cells]
    nbformat.write(new, path)
    assert form_problems(path) == [] and not any("nbval-skip" in tags(cell) for cell in new.cells)


def test_a_notebook_without_a_section_or_without_a_file_is_refused(course):
    path = notebook_path(course[0], "05")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("## Exercises", "## Homework")
    with refused("0 sections '## Exercises'"):
        with_exercises(notebook, load("05"))
    path.unlink()
    with refused("has 0 notebooks 05_"):
        build(*course)

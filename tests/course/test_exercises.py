"""What the check of an exercise says to right, wrong, unfinished and broken answers."""

import sys

import numpy as np
import pandas as pd
import pytest

from affkit_course.exercises.framework import Checks, Exercise, OpenExercise


def said(capsys, answer, *examples):
    Exercise(answer, "**Any** (warm-up). Write it.", examples, wrong=[], right=[])(answer)
    return capsys.readouterr().out.strip()


def test_right_wrong_unfinished_and_broken_answers(capsys):
    assert said(capsys, max, ((1, 2), 2, ""), ((3, 2), 3, "")) == "max: right on all examples (2)."
    out = said(capsys, abs, ((1,), 1, "no"), ((-2,), -2, "abs drops the sign"), ((3,), 0, "no"))
    assert out == "abs(-2) gave 2, expected -2. Hint: abs drops the sign"

    def mine(x): ...

    def later(x):
        return ...

    assert "not written yet" in said(capsys, later, ((1,), 1, ""))
    assert "gave None" in said(capsys, mine, ((1,), 1, "return something"))
    out = said(capsys, lambda x: 1 / x, ((0,), 0, "what if there is nothing?"))
    assert "ZeroDivisionError" in out and "what if there is nothing?" in out


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
    by_hand = make_exercise().verdict(lambda values: sorted(values)[len(values) // 2] * 1.0)
    assert by_hand.said == "mean([1, 2, 6]) gave 2.0, expected 3. Hint: add up", "2, 4, 3 are no median"
    verdict = make_exercise().verdict(lambda values: float(np.quantile(values, 0.5)))
    assert not verdict.passed
    assert verdict.said == "mean([1, 2, 6]) gave 2.0, expected 3. This is the median."

    def answer(values):
        total = 0
        for value in values:
            total += value
        return total / (len(values) - 1)

    assert make_exercise().verdict(answer).said.endswith("expected 3. You divide by n - 1.")
    exercise = make_exercise()
    assert exercise.verdict(last_changed).said.endswith("You change the list.")
    assert exercise.verdict(mean).passed and exercise.examples[0][0] == ([1, 2, 6],)


class Unprintable:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    "answer, said",
    [
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
    ],
)
def test_whatever_an_answer_does_becomes_one_short_line(answer, said, capsys):
    make_exercise()(answer)
    out = capsys.readouterr().out
    assert said in out and out.count("\n") == 1 and len(out) < 250


def test_an_endless_answer_can_be_stopped_by_hand():
    def answer(values):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_exercise()(answer)


def test_the_reader_starts_from_the_first_line_and_sees_the_whole():
    exercise = make_exercise()
    assert exercise.stub == "def mean(values):\n    return ...  # replace the three dots"
    assert exercise.source.startswith("def mean(values):") and exercise.source.endswith("len(values)")


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


def test_who_looks_at_an_exercise_sees_no_solution_and_a_misspelt_one_names_the_others():
    assert repr(make_exercise()) == "The mean (warm-up)"
    both = Checks("99", make_exercise(), make_exercise())
    assert repr(both) == "1. The mean (warm-up)\n2. The mean (warm-up)"
    with pytest.raises(AttributeError, match="notebook 99 has no exercise maen; it has mean"):
        Checks("99", make_exercise()).maen  # noqa: B018

"""What the check of an exercise says to right, wrong, unfinished and broken answers."""

import numpy as np
import pytest

from affkit.show.exercises import check


def said(capsys, answer, *examples):
    check(answer, *examples)
    return capsys.readouterr().out.strip()


def test_right_answers(capsys):
    assert said(capsys, max, ((1, 2), 2, ""), ((3, 2), 3, "")) == "max: right on all examples (2)."


def test_the_first_wrong_example_and_its_hint(capsys):
    out = said(capsys, abs, ((1,), 1, "no"), ((-2,), -2, "abs drops the sign"), ((3,), 0, "no"))
    assert out == "abs(-2) gave 2, expected -2. Hint: abs drops the sign"


def test_an_answer_not_written(capsys):
    def mine(x): ...

    def later(x):
        return ...

    assert "not written yet" in said(capsys, later, ((1,), 1, ""))
    assert "gave None" in said(capsys, mine, ((1,), 1, "return something"))


def test_an_answer_that_stops(capsys):
    out = said(capsys, lambda x: 1 / x, ((0,), 0, "what if there is nothing?"))
    assert "ZeroDivisionError" in out and "what if there is nothing?" in out


@pytest.mark.parametrize(
    "got, wanted, same",
    [
        ((0.5, -1.0), (0.5, -1), True),
        ([0.1 + 0.2], [0.3], True),
        (np.array([1, 2]), [1, 2], True),
        ([1], [1, 2], False),
        (None, None, True),
        (0, None, False),
        (None, 0, False),
        (float("nan"), float("nan"), True),
        ("AU1", "AU1", True),
        ("AU1", "AU2", False),
        ({"a"}, {"a"}, True),
        (["a"], {"a"}, False),
        ([("a", 1)], [("a", 1)], True),
        ([("a", 1)], [("a", 2)], False),
    ],
)
def test_what_counts_as_equal(capsys, got, wanted, same):
    assert ("right" in said(capsys, lambda: got, ((), wanted, ""))) == same

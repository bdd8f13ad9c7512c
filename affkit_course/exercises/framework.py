"""Checks of exercises: they say what is wrong in the reader's terms, and never stop a notebook.

An :class:`Exercise` knows the right function and wrong ones that people write, each with the sentence that
tells them what they did. A wrong answer that does the same as one of these on the examples gets its sentence,
another one the first example that fails. A notebook of the course imports its exercises as ``check``:
``check.ccc(ccc)`` looks at an answer, ``check.ccc.hint()`` gives the next of three hints.
"""

import ast
import copy
import inspect
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from affkit.errors import UserError

GRADES = ("warm-up", "standard", "hard")
HEAD = re.compile(r"\*\*(.+?)\*\* \((.+?)\)\. (.+)", re.S)
STUB = "    return ...  # replace the three dots"
Example = tuple[tuple, object, str]


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and the line that says why not."""

    passed: bool
    said: str


class OpenExercise:
    """Something to try and to explain; no function could check it.

    ``text`` is Markdown: ``**Title** (grade). Statement``, a list of three hints, and the explanation.
    """

    def __init__(self, text: str):
        head, _, rest = text.strip().partition("\n- ")
        hints, _, self.explanation = rest.partition("\n\n")
        self.title, self.grade, self.statement = HEAD.fullmatch(head).groups()
        self.hints = hints.split("\n- ")
        self._given = 0

    def __repr__(self):
        return f"{self.title} ({self.grade})"  # nothing of the solution, for whoever forgets the brackets

    def hint(self) -> None:
        """Print the next hint; after the third, where the solution is."""
        if self._given < len(self.hints):
            self._given += 1
            print(f"Hint {self._given} of {len(self.hints)}: {self.hints[self._given - 1]}")
        else:
            print("That was the last hint. The solution is in docs/solutions.")


class Exercise(OpenExercise):
    """An exercise whose answer is a function of plain arguments, named as the ``solution`` is.

    >>> def double(x):
    ...     return 2 * x
    >>> exercise = Exercise(
    ...     double,
    ...     "**Twice** (warm-up). Write `double`.\\n- Twice two is four.\\n- Multiply.\\n- 2 * x",
    ...     examples=[((2,), 4, "twice two"), ((3,), 6, "twice three")],
    ...     wrong=["You square: right for 2 only.", lambda x: x * x],
    ...     right=[lambda x: x + x],
    ... )
    >>> exercise(lambda number: number**2)
    double(3) gave 9, expected 6. You square: right for 2 only.
    >>> exercise(lambda x: 4)
    double(3) gave 4, expected 6. Hint: twice three
    >>> exercise(double)
    double: right on all examples (2).
    >>> exercise.hint()
    Hint 1 of 3: Twice two is four.
    """

    def __init__(
        self,
        solution: Callable,
        text: str,
        examples: Sequence[Example],  # arguments, the right result written down by hand, and a hint
        wrong: Sequence[str | Callable],  # what to say, then a function that does that mistake, and so on
        right: Sequence[Callable],  # other right answers; only the tests run them
    ):
        super().__init__(text)
        self.solution, self.examples, self.right = solution, examples, right
        self.wrong: dict[str, Callable] = dict(zip(wrong[::2], wrong[1::2], strict=True))

    @property
    def name(self) -> str:
        return self.solution.__name__

    @property
    def source(self) -> str:
        return textwrap.dedent(inspect.getsource(self.solution)).rstrip()

    @property
    def stub(self) -> str:
        """What the reader starts from: the first line of the solution, and three dots."""
        head = ast.parse(self.source).body[0]
        first = head.body[0].lineno - 1
        return "\n".join([*self.source.splitlines()[:first], STUB])

    def __call__(self, answer: Callable) -> None:
        print(self.verdict(answer).said)

    def verdict(self, answer: Callable) -> Verdict:
        """Try the reader's function on all examples. It may raise whatever it likes."""
        outcomes = []
        for i, (arguments, *_) in enumerate(self.examples):
            outcomes.append(_outcome(answer, arguments))
            if outcomes[i][1] is ...:
                return Verdict(
                    False, f"{self.name} is not written yet: check.{self.name}.hint() gives a hint."
                )
        wanted = [(None, result) for _, result, _ in self.examples]
        failed = [i for i, outcome in enumerate(outcomes) if not _same_outcome(outcome, wanted[i])]
        if not failed:
            return Verdict(True, f"{self.name}: right on all examples ({len(outcomes)}).")
        arguments, wanted, hint = self.examples[failed[0]]
        what = _failure(self.name, arguments, outcomes[failed[0]], wanted)
        return Verdict(False, f"{what} {self._misconception(outcomes, failed) or f'Hint: {hint}'}")

    def _misconception(self, outcomes: Sequence[tuple], failed: Sequence[int]) -> str:
        """The sentence for the wrong function that does the same, or none.

        On all examples; else on all but one, with two wrong results in common: people make two mistakes.
        """
        nearly = ""
        for sentence, function in self.wrong.items():
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                theirs = [_outcome(function, arguments) for arguments, *_ in self.examples]
            same = list(map(_same_outcome, outcomes, theirs))
            if all(same):
                return sentence
            if same.count(False) == 1 and sum(same[i] for i in failed) >= 2:
                nearly = nearly or sentence
        return nearly


class Checks:
    """The exercises of a notebook, such as ``"05"``, in their order; each is an attribute by its name."""

    def __init__(self, notebook: str, *exercises: OpenExercise):
        self.notebook, self.exercises = notebook, exercises
        self.__dict__ |= {exercise.name: exercise for exercise in self.checked}

    @property
    def checked(self) -> list[Exercise]:
        return [exercise for exercise in self.exercises if isinstance(exercise, Exercise)]

    def __iter__(self) -> Iterator[OpenExercise]:
        return iter(self.exercises)

    def __repr__(self):
        return "\n".join(f"{i}. {exercise}" for i, exercise in enumerate(self, start=1))

    def __getattr__(self, name: str):
        names = ", ".join(exercise.name for exercise in self.checked) if "exercises" in vars(self) else ""
        raise AttributeError(f"notebook {self.notebook} has no exercise {name}; it has {names}")

    def hint(self, number: int) -> None:
        """Print the next hint for the exercise with this number in the list."""
        if not 1 <= number <= len(self.exercises):
            print(f"The exercises of this notebook are 1 to {len(self.exercises)}.")
        else:
            self.exercises[number - 1].hint()


def numbers() -> list[str]:
    """The notebooks that have exercises here.

    >>> numbers()[:2]
    ['01', '02']
    """
    return sorted(path.stem[2:] for path in Path(__file__).parent.glob("nb*.py"))


def load(number: str) -> Checks:
    """The exercises of a notebook; a `UserError` for a number that has none.

    >>> load("05").ccc.grade
    'standard'
    """
    if not re.fullmatch(r"\d\d", number) or number not in numbers():
        raise UserError(number, "no notebook with exercises", f"choose {', '.join(numbers())}")
    return import_module(f"affkit_course.exercises.nb{number}").check


def _outcome(function: Callable, arguments: tuple) -> tuple:
    """The error and the result of a call, one of them None. The function gets copies of the arguments."""
    try:
        return None, function(*copy.deepcopy(arguments))
    except (Exception, SystemExit) as error:  # whatever a reader's code may raise
        return error, None


def _same_outcome(one: tuple, other: tuple) -> bool:
    if one[0] or other[0]:
        return type(one[0]) is type(other[0])
    return _same(one[1], other[1])


def _failure(name: str, arguments: tuple, outcome: tuple, wanted: object) -> str:
    """What a call gave instead of what was wanted, on one line."""
    call = f"{name}({', '.join(map(_short, arguments))})"
    error, got = outcome
    if error:
        return f"{call} stopped with {type(error).__name__}{f': {error}' if str(error) else ''}."
    return f"{call} gave {_short(got)}, expected {_short(wanted)}."


def _short(value: object, most: int = 80) -> str:
    """A value as it would be typed, on one line, the middle of a long one left out."""
    try:
        text = " ".join(repr(value.tolist() if isinstance(value, np.ndarray | np.generic) else value).split())
    except Exception as error:  # an object of the reader's that cannot even be printed
        return f"<{type(value).__name__}, its repr stopped with {type(error).__name__}>"
    text = re.sub(r"np\.\w+\(([^()]*)\)", r"\1", text)  # np.float64(0.5) is 0.5 to a reader
    text = re.sub(r"\d+\.\d{11,}(e-?\d+)?", lambda number: f"{float(number[0]):.10g}", text)
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 3 :]}"


def _same(got: object, wanted: object) -> bool:
    """Equal to nine digits: numbers, sequences of them, or whatever else knows when it is equal."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return got.keys() == wanted.keys() and all(_same(got[key], wanted[key]) for key in wanted)
    if wanted is None or got is None or isinstance(wanted, str | set) or isinstance(got, str | set):
        return isinstance(got, type(wanted)) and bool(got == wanted)
    try:
        if any(np.asarray(value).dtype.kind == "U" for value in (got, wanted)):  # "1" is not 1
            return _equal(got, wanted)
        got, wanted = np.asarray(got, float), np.asarray(wanted, float)
    except Exception:  # no numbers
        return _equal(got, wanted)
    return got.shape == wanted.shape and np.allclose(got, wanted, rtol=1e-9, atol=1e-9, equal_nan=True)


def _equal(got: object, wanted: object) -> bool:
    if isinstance(got, list | tuple) and isinstance(wanted, list | tuple):
        return len(got) == len(wanted) and all(map(_same, got, wanted))
    try:
        return bool(got == wanted)
    except Exception:  # such as a table, of which nobody knows whether it is true
        return False

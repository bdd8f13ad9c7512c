"""The exercises of the course, a module a notebook: notebooks, solutions and checks are made from these.

In ``nb05.py`` an exercise is a function, its solution, and an ``Exercise`` with
the statement, three hints, examples, other right answers, and the wrong ones that people write, each with
what to say. ``python tools/build_exercises.py`` then writes the cells into ``notebooks/05_*.ipynb``, at its
heading "Exercises", and the page ``docs/solutions/05.md``. A solution may use NumPy as ``np``, and the
solutions above it.
"""

import re
from importlib import import_module
from pathlib import Path

from affkit.errors import UserError
from affkit_course.exercises.framework import Checks


def numbers() -> list[str]:
    """The notebooks that have exercises here.

    >>> numbers()[:2]
    ['01', '02']
    """
    return sorted(path.stem[2:] for path in Path(__file__).parent.glob("nb*.py"))


def load(number: str) -> Checks:
    """The exercises of a notebook.

    Raises
    ------
    UserError
        When there are none for this number.

    >>> load("05").ccc.grade
    'standard'
    """
    if not re.fullmatch(r"\d\d", number) or number not in numbers():
        raise UserError(number, "no notebook with exercises", f"choose {', '.join(numbers())}")
    return import_module(f"affkit_course.exercises.nb{number}").check

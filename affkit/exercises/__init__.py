"""The exercises of the course, a module a notebook: notebooks, solutions and checks are made from these."""

import re
from importlib import import_module
from pathlib import Path

from affkit.errors import UserError
from affkit.show.exercises import Checks


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
    return import_module(f"affkit.exercises.nb{number}").check

"""The one exception that is meant for people."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

_LONGEST_QUOTE = 60  # characters of a user's file that are shown in a message


class UserError(Exception):
    """Something the user gave us cannot be used, and we know what to say about it.

    The message is one line: which file, what is wrong with it, and what would fix it. The command line
    prints that line without a traceback and exits with code 2; in a notebook it is an ordinary exception.
    ``path`` is the file, folder or option the problem is about.

    >>> str(UserError("clip.mp4", "the file is empty", "copy it again"))
    'clip.mp4: the file is empty; copy it again'
    """

    def __init__(self, path: str | Path, problem: str, fix: str):
        super().__init__(f"{path}: {problem}; {fix}")
        self.path, self.problem, self.fix = path, problem, fix

    def __reduce__(self):
        # An exception is pickled as its message alone; worker processes send ours back whole.
        return type(self), (self.path, self.problem, self.fix)


class NoFaceError(UserError):
    """Not one face was found in a video that was read without trouble."""


def quote(text: str) -> str:
    """``text`` in quotation marks, cut and escaped, so that a message stays one readable line."""
    return repr(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "...")


def refuse(path: str | Path, wrong: np.ndarray, first_line: int, name: str, values, fix: str) -> None:
    """Raise :class:`UserError` for the first row where ``wrong`` (``(T,)`` bool) is true, if there is one.

    >>> refuse("a.txt", np.array([False, True]), 2, "valence", np.array([0.5, 1.7]), "use -1 to 1")
    Traceback (most recent call last):
    affkit.errors.UserError: a.txt: line 3: valence is 1.7; use -1 to 1
    """
    if wrong.any():
        row = int(np.argmax(wrong))
        value = values[row]
        shown = quote(value) if isinstance(value, str) else format(value, ".12g")
        raise UserError(path, f"line {row + first_line}: {name} is {shown}", fix)


def check_choices(config, **choices: Sequence[str | None]) -> None:
    """Raise :class:`UserError` when a field of ``config`` is none of the choices named for it."""
    for name, known in choices.items():
        if (value := getattr(config, name)) not in known:
            raise UserError(name, f"{value!r} is not known", f"choose {' or '.join(filter(None, known))}")

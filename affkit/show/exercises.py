"""Checks of exercises: they say which example went wrong and why, and never stop a notebook."""

from collections.abc import Callable

import numpy as np


def check(answer: Callable, *examples: tuple[tuple, object, str]) -> None:
    """Try the reader's function and print what is wrong with the first example that fails.

    Parameters
    ----------
    answer:
        The function. As long as it returns ``...`` it counts as not written.
    examples:
        Each the arguments, the right result, and a hint. Numbers are compared to nine digits, arrays and
        lists value by value.

    >>> def double(x):
    ...     return x + 2
    >>> check(double, ((2,), 4, "twice two"), ((3,), 6, "adding two is not doubling"))
    double(3) gave 5, expected 6. Hint: adding two is not doubling
    >>> check(max, ((1, 2), 2, ""))
    max: right on all examples (1).
    """
    for arguments, wanted, hint in examples:
        call = f"{answer.__name__}({', '.join(map(repr, arguments))})"
        try:
            got = answer(*arguments)
        except Exception as error:  # whatever a reader's code may raise
            print(f"{call} stopped with {type(error).__name__}: {error}. Hint: {hint}")
            return
        if got is ...:
            print(f"{answer.__name__} is not written yet: replace the three dots.")
            return
        if not _same(got, wanted):
            print(f"{call} gave {got!r}, expected {wanted!r}. Hint: {hint}")
            return
    print(f"{answer.__name__}: right on all examples ({len(examples)}).")


def _same(got: object, wanted: object) -> bool:
    if wanted is None or got is None or isinstance(wanted, str | set | dict):
        return type(got) is type(wanted) and got == wanted
    try:
        got, wanted = np.asarray(got, float), np.asarray(wanted, float)
    except (TypeError, ValueError):  # not numbers
        return bool(got == wanted)
    return got.shape == wanted.shape and np.allclose(got, wanted, rtol=1e-9, atol=1e-9, equal_nan=True)

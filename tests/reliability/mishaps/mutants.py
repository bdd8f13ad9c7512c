"""How sharp the checks of the exercises are: each solution is changed in one place, and ought to be rejected.

The mistakes that an exercise knows were thought of by its author. These are not: every operator, comparison,
number, slice and argument of a solution is changed in turn, as mutation tests do with a program. A mutant
that passes is either right as well, and is listed here with the reason, or a hole in the examples.
"""

import ast
import contextlib
import copy
import io
import runpy
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from affkit_course.exercises.framework import Exercise, load, numbers
from mishaps.judge import TooLong, limit

SYMMETRIC = ("min", "max", "np.hypot")  # whatever order their arguments have
SECONDS = 5  # for all examples: a mutant may never end
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
OPERATORS |= {ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.FloorDiv: ast.Div, ast.Mod: ast.FloorDiv}
OPERATORS |= {ast.And: ast.Or, ast.Or: ast.And, ast.USub: ast.UAdd}
COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq}
COMPARISONS |= {ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}

# What passes and may: a part of the changed line, and why it is the same function.
ALSO_RIGHT = {
    "nearest_expression": {"else 2": "only one word can be like no units"},
    "all_agree": {"votes[1]": "they are all equal"},
    "kappa": {"zip(second, first": "agreement has no direction"},
    "ccc": {
        "== 0 and np.ptp": "with one constant the numerator is 0",
        "(x + x.mean())": "a constant times deviations has the mean 0",
        "(y + y.mean())": "a constant times deviations has the mean 0",
    },
    "mean_ccc": {"ccc(label[part], predicted": "CCC has no direction"},
    "windows": {"frames[-1] + 2": "a window without faces is left out"},
    "best_threshold": {
        "3 * hits": "the best stays the best",
        "sum(labels), 2)": "where the sum is 1, there is no hit",
        "zip(labels, said": "a hit has no direction",
    },
    "steepest": {
        "(values + values.mean())": "a constant times deviations sums to 0",
        "(z + z.mean(axis=0))": "a constant times deviations sums to 0",
        "(z - z.mean()).T": "a constant times deviations sums to 0",
    },
}


def mutant_rows() -> list[dict]:
    """A row for each checked exercise: mutants, how many are rejected, are right as well, and the holes."""
    rows = []
    for number in numbers():
        for exercise in tqdm(load(number).checked, desc=f"exercises of {number}", leave=False):
            found = {text: rejects(exercise, text) for text in mutants(exercise.source)}
            passed = [difference(exercise.source, text) for text, rejected in found.items() if not rejected]
            parts = ALSO_RIGHT.get(exercise.name, ())
            right = [line for line in passed if any(part in line for part in parts)]
            row = {"exercise": f"{number} {exercise.name}", "mutants": len(found)}
            row |= {"rejected": sum(found.values()), "right as well": len(right)}
            rows.append(row | {"holes": "; ".join(line for line in passed if line not in right)})
    return rows


def mutants(source: str) -> Iterator[str]:
    """The source with one thing changed, for each thing in it that can be; no two alike.

    >>> list(mutants("def f(x):\\n    return x - 1"))
    ['def f(x):\\n    return x + 1', 'def f(x):\\n    return x - 2']
    """
    tree = ast.parse(source)
    number, seen = len(list(ast.walk(tree))), {ast.unparse(tree)}
    for place in range(number):
        for change in range(len(changes(list(ast.walk(tree))[place]))):
            mutated = copy.deepcopy(tree)
            changes(list(ast.walk(mutated))[place])[change]()
            text = ast.unparse(ast.fix_missing_locations(mutated))
            if text not in seen:
                seen.add(text)
                yield text


def changes(node: ast.AST) -> list:
    """What can be done to one node: functions that do it in place."""
    found = []
    if type(getattr(node, "op", None)) in OPERATORS:
        found.append(lambda: setattr(node, "op", OPERATORS[type(node.op)]()))
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        found.append(lambda: node.ops.__setitem__(0, COMPARISONS[type(node.ops[0])]()))
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        found.append(lambda: setattr(node, "value", node.value + 1))
    if isinstance(node, ast.Call) and len(node.args) > 1 and ast.unparse(node.func) not in SYMMETRIC:
        found.append(lambda: node.args.reverse())
    if isinstance(node, ast.Call):
        found += [lambda k=k: node.keywords.remove(k) for k in node.keywords if k.arg != "strict"]
    if isinstance(node, ast.Slice):
        ends = [end for end in ("lower", "upper") if getattr(node, end)]
        found += [lambda end=end: setattr(node, end, None) for end in ends]
    if isinstance(node, ast.IfExp):
        found.append(lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test)))
    return found


def rejects(exercise: Exercise, text: str) -> bool:
    """Whether the check rejects the function that ``text`` defines; what never ends counts as rejected."""
    module = Path(sys.modules[exercise.solution.__module__].__file__)
    with tempfile.TemporaryDirectory() as folder:
        mutant = Path(folder, "mutant.py")
        mutant.write_text(module.read_text().replace(exercise.source, text))
        answer = runpy.run_path(str(mutant))[exercise.name]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            with limit(SECONDS):
                return not exercise.verdict(answer).passed
        except TooLong:
            return True


def difference(source: str, text: str) -> str:
    """The first changed line, before and after."""
    lines = zip(ast.unparse(ast.parse(source)).splitlines(), text.splitlines(), strict=False)
    return next(f"{before.strip()} -> {after.strip()}" for before, after in lines if before != after)

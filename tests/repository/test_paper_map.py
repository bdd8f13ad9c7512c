"""docs/paper_map.md names every equation, table, figure and section of the paper, and only what there is."""

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import typer
from repository import ROOT, cells_of

from affkit.__main__ import app

PAGE = ROOT / "docs" / "paper_map.md"
COLUMNS = ["what it is", "code", "test", "notebook", "command"]
ROMAN = "I II III IV V VI VII VIII IX X XI".split()
NUMBERS = {  # what the paper has
    "Eq.": [str(number) for number in range(1, 7)],
    "Table": ROMAN,
    "Fig.": [str(number) for number in range(1, 8)],
    "Section": "I II.A II.B II.C II.D III.A III.B III.C III.D III.E IV.A IV.B IV.C.1 IV.C.2 IV.D V.A.1 V.A.2"
    " V.B VI".split(),
}
LINK = re.compile(r"\[`?([^\]]+?)`?\]\(([^)]+)\)")
RIGHT = {  # a cell of each kind, to be broken below
    "code": "[`affkit.losses.ccc`](../affkit/losses.py)",
    "test": "[`test_losses.py::test_ccc_is_the_formula`](../tests/library/test_losses.py)",
    "notebook": "[05: 4 The constant, and 0/0](../notebooks/05_losses_by_hand.ipynb)",
    "command": "`affkit train gan`",
}


def read_map(text: str) -> dict[str, dict[str, dict[str, str]]]:
    """Kind of a table, number, column -> cell."""
    tables = {}
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines())
        assert head[1:] == COLUMNS and all(len(row) == len(head) for row in rows), head
        assert len({row[0] for row in rows}) == len(rows), f"a number occurs twice under {head[0]}"
        tables[head[0]] = {row[0]: dict(zip(COLUMNS, row[1:], strict=True)) for row in rows}
    return tables


def of_code(name: str, path: Path) -> bool:
    """``package.module.name``: this file is that module, defines the name, and gives it on import."""
    module, _, last = name.rpartition(".")
    if (ROOT / module.replace(".", "/")).with_suffix(".py") != path:
        return False
    defined = set()
    for node in ast.parse(path.read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
        defined |= {getattr(target, "id", getattr(target, "name", None)) for target in targets}
    return last in defined and hasattr(import_module(module), last)


def of_test(name: str, path: Path) -> bool:
    """``file::function``, and the file defines it."""
    file, function = name.split("::")
    defined = re.findall(r"^ *def (test_\w+)\(", path.read_text(), re.M)
    return file == path.name and function in defined


def of_notebook(name: str, path: Path) -> bool:
    """``NN: heading``, and notebook NN has that heading."""
    number, heading = name.split(": ", 1)
    headings = re.findall(r"^#+ +(.*?) *$", "\n".join(cells_of(path, "markdown")), re.M)
    return path.name.startswith(f"{number}_") and heading in headings


HOLDS = {"code": of_code, "test": of_test, "notebook": of_notebook}


@cache
def commands(group=None, words: str = "affkit") -> set[str]:
    """All commands that can be given; a group only where it is one itself, as ``affkit evaluate``."""
    group = typer.main.get_command(app) if group is None else group
    found = {words} if hasattr(group, "default") else set()
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= commands(command, f"{words} {name}")
        elif not command.hidden:
            found.add(f"{words} {name}")
    return found


def complaints(column: str, cell: str) -> list[str]:
    """What is wrong in a cell; a dash is allowed where there is no command."""
    if column == "command":
        given, known = [] if cell == "-" else cell.split("<br>"), {f"`{one}`" for one in commands()}
        return [f"no command: {one}" for one in given if one not in known]
    bad = []
    for one in cell.split("<br>"):
        link = LINK.fullmatch(one)
        path = (PAGE.parent / link[2]).resolve() if link else None
        if not link or link[2].startswith("/") or not path.is_file() or not HOLDS[column](link[1], path):
            bad.append(f"{column}: {one}")
    return bad


MAP = read_map(PAGE.read_text())


def test_every_number_of_the_paper_occurs_in_its_order_and_says_what_it_is():
    assert {kind: list(rows) for kind, rows in MAP.items()} == NUMBERS
    assert [row for rows in MAP.values() for row in rows.values() if len(row["what it is"]) < 10] == []
    for number in ("IX", "X", "XI"):  # the tables of results
        assert f"`affkit experiment table-{number.lower()}`" in MAP["Table"][number]["command"]


@pytest.mark.parametrize("kind", NUMBERS)
def test_every_link_leads_to_what_it_names(kind):
    assert [
        (number, complaint)
        for number, row in MAP[kind].items()
        for column in COLUMNS[1:]
        for complaint in complaints(column, row[column])
    ] == []


@pytest.mark.parametrize("column, old, new", [
    ("code", "losses.ccc", "losses.cccc"),
    ("code", "losses.py", "metrics.py"),
    ("code", "losses.py", "loss.py"),
    ("code", "affkit.losses.ccc", "affkit.losses"),
    ("code", "losses.ccc", "losses.torch"),
    ("code", "losses.ccc`](../affkit/losses.py", "mtl_training.va_loss`](../affkit/train_multitask.py"),
    ("test", "_the_formula", "_a_formula"),
    ("test", "test_losses.py::", "test_metrics.py::"),
    ("notebook", "05: ", "06: "),
    ("notebook", "constant, and", "constant and"),
    ("notebook", "../notebooks", "notebooks"),
    ("command", "train gan", "train"),
    ("command", "train gan", "train gans"),
])  # fmt: skip
def test_a_wrong_link_is_seen(column, old, new):
    assert complaints(column, RIGHT[column]) == []
    broken = RIGHT[column].replace(old, new)
    assert broken != RIGHT[column] and complaints(column, broken) != []

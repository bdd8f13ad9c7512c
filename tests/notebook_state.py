"""A notebook run again, its cells twice and from the middle, beside rubbish: the same must come out."""

import configparser
import copy
import difflib
import re
from pathlib import Path

import nbformat
from notebook_checks import SANITIZE, code_cells, run_problems, tags

from affkit.course import run_notebook

NUMBERS = [f"{number:02}" for number in range(13)]


def state_problems(path: Path, folder: Path, profile: str = "test") -> list[str]:
    """What goes wrong when a notebook runs alone, and what differs when a reader then runs it again.

    Again means: on a new kernel in the same folder, every cell twice, and then from the middle once more.

    Before the first run ``runs`` holds files of the other notebooks, all of them broken: nothing that another
    notebook wrote may be needed, or read.
    """
    leave_rubbish(folder / "runs", path.name[:2])
    if problems := run_problems(path, folder, profile):
        return problems
    _, *once = spoken(folder / "executed" / path.name)
    alone = folder / "notebooks" / path.name
    nbformat.write(stuttering(nbformat.read(alone, as_version=4)), alone)
    result = run_notebook(alone, folder / "again.ipynb", profile)
    if not result.ok:
        return [result.error]
    _, *again = spoken(folder / "again.ipynb")
    twice, middle = again[: 2 * len(once)], again[2 * len(once) :]
    return [
        *differences("all once more", once, twice[::2]),
        *differences("a cell run twice", twice[::2], twice[1::2]),
        *differences("from the middle", once[len(once) - len(middle) :], middle),
    ]


def stuttering(notebook):
    """A copy in which every code cell is there twice, and the second half of all follows once more."""
    longer = copy.deepcopy(notebook)
    parameters, *code = code_cells(notebook)
    cells = [parameters, *(cell for cell in code for _ in range(2)), *code[len(code) // 2 :]]
    longer.cells = [copy.deepcopy(cell) for cell in cells]
    for number, cell in enumerate(longer.cells):
        cell.id = f"cell-{number}"
    return longer


def spoken(executed: Path) -> list[tuple[str, str]]:
    """Source and words of each code cell; the first are the parameters, which are assigned once."""
    cells = code_cells(nbformat.read(executed, as_version=4))
    return [(cell.source, words(cell)) for cell in cells if "injected-parameters" not in tags(cell)]


def words(cell) -> str:
    """What a cell prints and returns as text, without what may change; nothing if it is not compared."""
    if "nbval-ignore-output" in tags(cell):
        return ""
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    said = "".join(texts)  # what is printed arrives in as many pieces as it likes
    rules = configparser.ConfigParser(interpolation=None)
    rules.read(SANITIZE)
    for section in rules.sections():
        said = re.sub(rules[section]["regex"], rules[section]["replace"], said)
    return said


def differences(when: str, first: list[tuple[str, str]], second: list[tuple[str, str]]) -> list[str]:
    """Cells that say something else than the first time."""
    if len(first) != len(second):
        return [f"{when}: {len(second)} cells instead of {len(first)}"]
    pairs = zip(first, second, strict=True)
    return [
        "\n".join([f"{when}, other output: {source[:60]!r}", *unlike(before, after)])
        for (source, before), (_, after) in pairs
        if before != after
    ]


def unlike(before: str, after: str) -> list[str]:
    """Lines of two texts that are not in both."""
    compared = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in compared if line[0] in "+-"]


def leave_rubbish(runs: Path, own: str) -> None:
    """Under ``runs``, for each notebook but ``own``, files with the names of such folders, all broken."""
    names = ("generator.safetensors", "affwildnet.safetensors", "store/crops.npy", "partition.json")
    for number in NUMBERS:
        for name in names if number != own else ():
            path = runs / number / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("rubbish")

"""The kit stays small: lines and files of each room, what a notebook imports, and what one step needs."""

import ast

import pytest
from repository import MODULES, NOTEBOOKS, ROOMS, ROOT, cells_of, imported, relative

PAPER = ("labels", "errors", "files", "losses", "metrics", "gan", "multitask", "store", "augment", "loop")
PAPER += ("train_gan", "train_multitask", "checkpoints")
BUDGETS = {  # what we want: lines of Python with docstrings, and files, at most
    "the paper": (2_900, 13),
    "affkit": (8_500, 45),
    "affkit_lab": (5_200, 36),
    "affkit_studio": (6_000, 40),
    "affkit_course": (7_200, 36),
    "affkit_render": (4_700, 27),
    "tests": (22_000, None),  # without the next
    "tests/reliability": (1_600, None),  # bad inputs, kills and scale: a suite of its own
}
SO_FAR = {"affkit": (9_500, 46), "tests": (22_970, None)}  # it must not grow again
ROOM_FILES = {name: sorted((ROOT / name).rglob("*.py")) for name in (*ROOMS, "tests", "tests/reliability")}
ROOM_FILES["tests"] = [path for path in ROOM_FILES["tests"] if path not in ROOM_FILES["tests/reliability"]]
ROOM_FILES["the paper"] = [ROOT / "affkit" / f"{name}.py" for name in PAPER]
ONE_STEP = {  # the files in which one training step can be followed, from the batch to the optimizer
    "GAN": ("train_gan", "gan", "losses"),
    "multi-task": ("train_multitask", "multitask", "losses"),
}


def num_lines(paths) -> int:
    return sum(path.read_text("utf-8").count("\n") for path in paths)


def test_every_room_keeps_its_budget():
    """The table is printed: pytest -rP tests/repository/test_budgets.py."""
    rows, over = [], []
    for name, (most_lines, most_files) in BUDGETS.items():
        lines, files = num_lines(ROOM_FILES[name]), len(ROOM_FILES[name])
        allowed_lines, allowed_files = SO_FAR.get(name, (most_lines, most_files))
        rows.append(
            f"{name:17} {lines:6,} lines of {most_lines:6,}, {files:3} files of {most_files or 'any number'}"
        )
        over += [name] if lines > allowed_lines or files > (allowed_files or files) else []
    print("\n".join(rows))
    assert over == []


def test_tests_mirror_the_rooms():
    """No test file lies flat, and no two have the same name: pytest could not tell them apart."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    folders = {path.parent.relative_to(ROOT / "tests").as_posix() for path in files}
    mirrored = {"library", *(room.removeprefix("affkit_") for room in ROOMS[1:])}
    assert folders == mirrored | {"repository", "reliability"}
    assert len({path.name for path in files}) == len(files)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_imports_few_modules(path):
    known = {relative(module).removesuffix(".py").replace("/", ".") for module in MODULES}
    names = {name for cell in cells_of(path) for name in imported(ast.parse(cell))}
    modules = {
        next((part for part in (name, name.rpartition(".")[0]) if part in known), "") for name in names
    }
    assert len(modules - {""}) <= 12


@pytest.mark.parametrize("step", ONE_STEP)
def test_one_step_can_be_followed_in_few_files(step):
    """What the trainer's step calls from the kit stands in these files; the loop around it is not needed."""
    paths = [ROOT / "affkit" / f"{name}.py" for name in ONE_STEP[step]]
    assert len(paths) <= 4 and num_lines(paths) <= 900
    trainer = ast.parse(paths[0].read_text("utf-8"))
    homes = {
        alias.asname or alias.name: node.module.removeprefix("affkit.")
        for node in ast.walk(trainer)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("affkit")
        for alias in node.names
    }
    steps = [node for node in ast.walk(trainer) if isinstance(node, ast.FunctionDef) and "step" in node.name]
    assert steps, "a function whose name says that it is one step"
    used = {node.id for one in steps for node in ast.walk(one) if isinstance(node, ast.Name)}
    around = {"loop", "store", "labels", "augment", "checkpoints", "errors"}  # data, plumbing
    assert {homes[name] for name in used & set(homes)} <= {*ONE_STEP[step], *around}

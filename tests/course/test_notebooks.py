"""The notebooks: their form, and a run of each alone on a fresh kernel against what it has stored.

The checks are in ``notebook_checks`` and ``notebook_run``; the second half of this file holds them against
broken notebooks.
"""

import os
import re

import nbformat
import pytest
import repository
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from notebook_checks import definition_problems, form_problems
from notebook_run import lengthened, needed, run_problems
from repository import NOTEBOOKS, ROOT

from affkit_course.run import find_notebooks
from affkit_course.store_outputs import store_outputs
from affkit_course.times import read_times

SECONDS = {name: known["cpu"]["seconds"] for name, known in read_times(ROOT / "notebooks").items()}
LONGEST_FIRST = sorted(NOTEBOOKS, key=lambda path: -SECONDS[path.stem])


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    """Where all workers remember the faces found in a picture: many notebooks look at the same clips."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "faces"
    folder.mkdir(exist_ok=True)
    return folder


def test_the_runner_finds_all():
    assert find_notebooks(ROOT / "notebooks") == NOTEBOOKS and len(NOTEBOOKS) == 13


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_form(path):
    assert form_problems(path) == []


def test_no_helper_is_defined_twice():
    assert definition_problems(NOTEBOOKS) == []


def test_nothing_is_left_uncompared():
    assert [path.stem for path in NOTEBOOKS if "not_compared" in path.read_text("utf-8")] == []
    assert [path.stem for path in NOTEBOOKS if "nbval-skip" in path.read_text("utf-8")] == []


@pytest.mark.notebook
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=pytest.mark.xdist_group(path.stem)) for path in LONGEST_FIRST],
)
def test_runs_alone_and_again_and_says_what_is_stored(path, tmp_path, faces):
    assert run_problems(path, tmp_path, faces) == []


# ---- the checks themselves ----

HEAD = """# A toy

After it you will be able to:

- see what a notebook of the course looks like

**Time** 1 minute on a CPU. **Needs** nothing. A formula: $x^2$.

**Predict, then run.** Will it work?
"""

TAIL = """- ✓ see what a notebook of the course looks like (IV.C.2; toys: not in the paper)

**Remember**: toys are small.
"""


@pytest.fixture
def toy(tmp_path):
    """Write a notebook that has nothing to complain about, after ``change(notebook)`` broke it."""

    def write(change=lambda notebook: None):
        code = [
            new_code_cell("steps = 3\nseed = 0", metadata={"tags": ["parameters"]}),
            new_code_cell("import warnings\nlosses = [1 / (1 + k) for k in range(3)]"),
            new_code_cell("print('last loss', losses[-1])"),
            new_code_cell("import time\nprint(time.time())", metadata={"tags": ["nbval-ignore-output"]}),
        ]
        printed = nbformat.v4.new_output("stream", name="stdout", text="last loss 0.3333333333333333\n")
        code[2].outputs = [printed]
        for count, cell in enumerate(code, start=1):
            cell.execution_count = count
        cells = [new_markdown_cell(HEAD), *code, new_markdown_cell(TAIL)]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        metadata = {"kernelspec": kernel, "affkit": {"test": {"steps": 1}}}
        notebook = new_notebook(cells=cells, metadata=metadata)
        change(notebook)
        path = tmp_path / "00_toy.ipynb"
        nbformat.write(notebook, path)
        return path

    return write


def _never_executed(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = None, []


def _only_prose(notebook):
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type != "code"]
    notebook.metadata.affkit = {}


def _store_warning(notebook):
    text = "toy.py:1: UserWarning: mind the gap\n"
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", name="stderr", text=text)]


def _store_error(notebook):
    notebook.cells[2].outputs = [nbformat.v4.new_output("error", ename="KeyError", evalue="x", traceback=[])]


def _store_pictures(*alts):
    def change(notebook):
        pictures = [{"alt": alt} if alt else {} for alt in alts]
        notebook.cells[2].outputs = [
            nbformat.v4.new_output("display_data", {"image/png": "iVBORw0K"}, metadata={"image/png": words})
            for words in pictures
        ]

    return change


BROKEN_FORM = {
    "first cell lacks a title": lambda nb: nb.cells[0].update(source=HEAD.replace("# A toy", "A toy")),
    "first cell lacks what you will": lambda nb: nb.cells[0].update(source=HEAD.replace("able to:", "told:")),
    "first cell lacks the minutes": lambda nb: nb.cells[0].update(source=HEAD.replace("minute", "coffee")),
    "first cell lacks what it needs": lambda nb: nb.cells[0].update(source=HEAD.replace("Needs", "Wants")),
    "last cell does not say": lambda nb: nb.cells[-1].update(source=TAIL.replace("Remember", "Mind")),
    "last cell does not check off": lambda nb: nb.cells[-1].update(source=TAIL.replace("looks", "sounds")),
    "where the paper has it": lambda nb: nb.cells[-1].update(source=re.sub(r"\(.*\)", "(soon)", TAIL)),
    "asks nothing to predict": lambda nb: nb.cells[0].update(source=HEAD.replace("Predict", "Run")),
    "0 cells tagged": lambda nb: (nb.cells[1].metadata.clear(), nb.metadata.affkit.clear()),
    "2 cells tagged": lambda nb: nb.cells[2].metadata.update(tags=["parameters"]),
    "profile test sets an unknown parameter step": lambda nb: nb.metadata.affkit.test.update(step=1),
    "kernel is not python3": lambda nb: nb.metadata.kernelspec.update(name="conda-env-me"),
    "41 cells": lambda nb: nb.cells.__setitem__(slice(2, 2), [new_markdown_cell("more") for _ in range(35)]),
    "a cell of 26 lines": lambda nb: nb.cells[2].update(source="x = 1\n" * 26),
    "more than 300000": lambda nb: nb.cells[2].update(
        outputs=[nbformat.v4.new_output("stream", text="x" * 300_000)]
    ),
    "not of one top-to-bottom run: [None": _never_executed,
    "not of one top-to-bottom run: []": _only_prose,
    "not of one top-to-bottom run: [1, 2, 4": lambda nb: nb.cells[3].update(execution_count=4),
    "shows a warning: toy.py:1: UserWarning": _store_warning,
    "stores an error: KeyError": _store_error,
    "written by papermill": lambda nb: nb.metadata.update(papermill={}),
    "formula '\\\\quux y': \\quux": lambda nb: nb.cells[0].update(source=HEAD + r"$\quux y$"),
    "a picture without alt text": _store_pictures("a face", ""),
    "2 pictures say 'a face'": _store_pictures("a face", "another", "a face"),
    "installer: import urllib": lambda nb: nb.cells[2].update(source="import urllib.request as ask"),
    "installer: !pip": lambda nb: nb.cells[2].update(source="!pip install toys"),
    "installer: os.system": lambda nb: nb.cells[2].update(source="os.system('git clone toys')"),
    "installer: net = torch": lambda nb: nb.cells[2].update(source="net = torch.hub.load('toys', 'toy')"),
    "formula 'x_1_2'": lambda nb: nb.cells[0].update(source=HEAD + "$x_1_2$"),
}


@pytest.mark.parametrize("complaint", BROKEN_FORM)
def test_form_check_sees(complaint, toy):
    problems = form_problems(toy(BROKEN_FORM[complaint]))
    assert len(problems) == 1 + (complaint.endswith("[]")) and complaint in "\n".join(problems)


def test_pictures_with_words_of_their_own_are_fine(toy):
    assert form_problems(toy(_store_pictures("a face", "another face"))) == []


DEFINE = "def {}(x):\n    {}\n"
BROKEN_DEFINITIONS = {
    "ccc is defined in 00_toy, 00_toy": [DEFINE.format("ccc", "pass"), DEFINE.format("ccc", "return x")],
    "f is defined in 00_toy, 00_toy": [DEFINE.format("f", "pass"), "class f:\n    pass"],
    "": [DEFINE.format("ccc", "return x"), DEFINE.format("ccc", "return ...  # yours")],
}


@pytest.mark.parametrize("complaint", BROKEN_DEFINITIONS)
def test_definition_check_sees(complaint, toy):
    def change(notebook):
        for cell, source in zip(notebook.cells[2:4], BROKEN_DEFINITIONS[complaint], strict=True):
            cell.source = source

    assert definition_problems([toy(change)]) == [complaint] * bool(complaint)


def test_definition_check_sees_two_notebooks(toy, tmp_path):
    path = toy(lambda notebook: notebook.cells[2].update(source=DEFINE.format("ccc", "return x")))
    other = path.rename(tmp_path / "01_toy.ipynb")
    path = toy(lambda notebook: notebook.cells[2].update(source=DEFINE.format("ccc", "pass")))
    assert definition_problems([path, other]) == ["ccc is defined in 00_toy, 01_toy"]


# ---- a run, of a notebook with what is to be seen ----

IMPORTS = "import warnings\nimport matplotlib.pyplot as plt\nlosses = [1 / (1 + k) for k in range(3)]"
UNTIDY = """warnings.warn('mind the gap')
for name in ('notes.txt', '../data.csv', '../data_samples/left.txt'):
    open(name, 'w').close()
plt.plot([1, 2])
plt.show()"""
STATEFUL = "print(globals().get('told', 'first'))"
APPENDS = "losses.append(0)\nprint('losses', len(losses))"


@pytest.fixture
def own_root(tmp_path, monkeypatch):
    """A repository of our own for the sandbox to link to: these notebooks misbehave."""
    (tmp_path / "root" / "data_samples").mkdir(parents=True)
    monkeypatch.setattr(repository, "ROOT", tmp_path / "root")


def problems_of(toy, tmp_path, *sources: str) -> str:
    """What the run says of the toy with other code from its second cell on."""

    def change(notebook):
        for cell, source in zip(notebook.cells[2:], sources, strict=False):
            cell.source = source

    return "\n".join(run_problems(toy(change), tmp_path / "run", tmp_path))


@pytest.mark.notebook
def test_a_sound_notebook_is_run_and_another_stored_output_is_seen(toy, tmp_path, own_root):
    assert run_problems(toy(), tmp_path / "run", tmp_path) == []
    found = run_problems(
        toy(lambda notebook: notebook.cells[3].outputs[0].update(text="last loss 0.25\n")),
        tmp_path / "again",
        tmp_path,
    )
    assert len(found) == 1 and found[0].startswith("stored, other output: \"print('last loss'")


@pytest.mark.notebook
def test_what_a_notebook_shows_leaves_behind_and_remembers_is_seen(toy, tmp_path, own_root):
    found = problems_of(toy, tmp_path, f"{IMPORTS}\n{UNTIDY}", STATEFUL, f"{APPENDS}\ntold = 'again'")
    for complaint in (
        "a figure: no title",
        "shows a warning",
        "leaves notes.txt",
        "leaves data.csv",
        "leaves data_samples/left.txt",
        'run after all others, other output: "print(globals()',
    ):
        assert complaint in found
    assert "run twice, other output" not in found  # of the last cell, which is not compared
    assert "stored, other output" in found


BROKEN_RUN = {
    "NetworkUsed": "import urllib.request\nurllib.request.urlopen('http://example.org')",
    "FileExistsError": "import os\nos.makedirs('../runs/00/new')",
    "SafetensorError": "import safetensors.torch as st\nst.load_file('../runs/07/generator.safetensors')",
    "run twice, other output": APPENDS,
}


@pytest.mark.notebook
@pytest.mark.parametrize("complaint", BROKEN_RUN)
def test_run_check_sees(complaint, toy, tmp_path, own_root):
    assert complaint in problems_of(toy, tmp_path, "losses = [1]", BROKEN_RUN[complaint])


def test_what_cannot_be_run_is_seen_without_a_kernel(toy, tmp_path):
    assert run_problems(toy(_only_prose), tmp_path / "run", tmp_path) == ["no code cell to execute"]
    unknown = toy(lambda notebook: notebook.metadata.affkit.test.update(step=1))
    assert "sets unknown step" in "\n".join(run_problems(unknown, tmp_path / "other", tmp_path))


def test_every_cell_is_run_and_as_stored_what_is_compared_and_what_that_needs(toy, tmp_path):
    """The toy's last cell is not compared; here another needs what it makes, and one more nobody needs."""

    def change(notebook):
        notebook.cells[4].source = "import time\nnow = time.time()"
        notebook.cells[5:5] = [
            new_code_cell("def later():\n    return now > 0"),
            new_code_cell("unused = now", metadata={"tags": ["nbval-ignore-output"]}),
        ]

    notebook = nbformat.read(toy(change), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    compared = needed(code)
    assert [code[number].source for number in set(range(len(code))) - set(compared)] == ["unused = now"]
    ran = [cell.source for cell in lengthened(notebook, compared, tmp_path).cells]
    assert all(
        ran.count(cell.source) == 3 + (number in compared) for number, cell in enumerate(code) if number
    )
    assert ran.count(code[0].source) == 2 and len(
        {cell.id for cell in lengthened(notebook, compared, tmp_path).cells}
    ) == len(ran)


# ---- our tool ----


@pytest.mark.notebook
def test_stored_by_our_tool_has_the_form_and_the_outputs(toy):
    stored = nbformat.read(toy(), as_version=4)
    path = toy(_never_executed)
    store_outputs(path)
    assert form_problems(path) == []
    assert nbformat.read(path, as_version=4).cells[3].outputs == stored.cells[3].outputs


@pytest.mark.notebook
def test_our_tool_leaves_a_notebook_that_fails_as_it_was(toy):
    path = toy(lambda notebook: notebook.cells[2].update(source="1 / 0"))
    before = path.read_bytes()
    with pytest.raises(Exception, match="ZeroDivisionError"):
        store_outputs(path)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]

"""The notebooks: their form, a run of each alone on a fresh kernel, and stored outputs against a new run.

The checks are in ``notebook_checks``; the second half of this file holds them against broken notebooks.
"""

import re
import subprocess
import sys

import nbformat
import notebook_checks
import pytest
from content_checks import definition_problems
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from notebook_checks import ROOT, comparison_problems, form_problems, run_problems, tags
from notebook_state import state_problems

STORE = [sys.executable, "-m", "affkit_course.store_outputs"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@each_notebook
def test_form(path):
    assert form_problems(path) == []


def test_no_helper_is_defined_twice():
    assert definition_problems(NOTEBOOKS) == []


@pytest.mark.notebook
@each_notebook
def test_runs_alone_and_says_the_same_twice_and_from_the_middle(path, tmp_path):
    assert state_problems(path, tmp_path) == []


@pytest.mark.notebook
@each_notebook
def test_stored_outputs_are_those_of_a_new_run(path, tmp_path):
    reason = nbformat.read(path, as_version=4).metadata.get("affkit", {}).get("not_compared")
    if reason:
        pytest.skip(reason)
    assert comparison_problems(path, tmp_path) == []


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


def test_nothing_to_complain_about(toy, tmp_path):
    path = toy()
    assert form_problems(path) == []
    assert run_problems(path, tmp_path / "run") == []
    assert comparison_problems(path, tmp_path / "compare") == []


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


LEAVE = "open('../data_samples/left.txt', 'w').close()"
BARE = "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])"
BROKEN_RUN = {
    "a figure: no title": lambda nb: nb.cells[4].update(source=BARE),
    "sets unknown step": lambda nb: nb.metadata.affkit.test.update(step=1),
    "In [3] ZeroDivisionError": lambda nb: nb.cells[2].update(source="1 / 0"),
    "no code cell was executed": _only_prose,
    "shows a warning": lambda nb: nb.cells[2].update(source="import warnings\nwarnings.warn('mind the gap')"),
    "leaves notes.txt": lambda nb: nb.cells[2].update(source="open('notes.txt', 'w').close()"),
    "leaves data.csv": lambda nb: nb.cells[2].update(source="open('../data.csv', 'w').close()"),
    "leaves data_samples/left.txt": lambda nb: nb.cells[2].update(source=LEAVE),
    "NetworkUsed": lambda nb: nb.cells[2].update(
        source="import urllib.request\nurllib.request.urlopen('http://example.org')"
    ),
}


@pytest.fixture
def own_root(tmp_path, monkeypatch):
    """A repository of our own for the sandbox to link to: these notebooks misbehave."""
    (tmp_path / "root" / "data_samples").mkdir(parents=True)
    monkeypatch.setattr(notebook_checks, "ROOT", tmp_path / "root")


@pytest.mark.notebook
@pytest.mark.parametrize("complaint", BROKEN_RUN)
def test_run_check_sees(complaint, toy, tmp_path, own_root):
    assert complaint in "\n".join(run_problems(toy(BROKEN_RUN[complaint]), tmp_path / "run"))


COUNT = "with open('../runs/00/n', 'a+') as f:\n    f.write('x')\n    f.seek(0)\n    print(len(f.read()))"
BROKEN_STATE = {
    "a cell run twice, other output": "losses.append(0)\nprint('losses', len(losses))",
    "from the middle, other output": "print(globals().get('told', 'first'))",
    "all once more, other output": "import os\nos.makedirs('../runs/00', exist_ok=True)\n" + COUNT,
    "FileExistsError": "import os\nos.makedirs('../runs/00/new')",
    "SafetensorError": "import safetensors.torch as st\nst.load_file('../runs/07/generator.safetensors')",
}


@pytest.mark.notebook
@pytest.mark.parametrize("complaint", BROKEN_STATE)
def test_state_check_sees(complaint, toy, tmp_path, own_root):
    def change(notebook):
        notebook.cells[3].update(source=BROKEN_STATE[complaint])
        notebook.cells[4].source += "\ntold = 'again'"

    path = toy(change)
    assert complaint in "\n".join(state_problems(path, tmp_path / "run"))


@pytest.mark.notebook
def test_state_check_is_content_with_a_sound_notebook(toy, tmp_path, own_root):
    assert state_problems(toy(), tmp_path / "run") == []


def _changed_output(notebook):
    notebook.cells[3].outputs[0].text = "last loss 0.25\n"


BROKEN_COMPARISON = {
    "output differs": _changed_output,
    "no stored output to compare": _never_executed,
    "hides a cell": lambda nb: nb.cells[4].metadata.update(tags=["nbval-skip"]),
}


@pytest.mark.notebook
@pytest.mark.parametrize("complaint", BROKEN_COMPARISON)
def test_comparison_sees(complaint, toy, tmp_path):
    problems = comparison_problems(toy(BROKEN_COMPARISON[complaint]), tmp_path / "compare")
    assert complaint in "\n".join(problems)


@pytest.mark.notebook
def test_stored_by_our_tool_has_the_form_and_compares(toy, tmp_path):
    path = toy(_never_executed)
    subprocess.run([*STORE, path], check=True, capture_output=True)
    assert form_problems(path) == []
    assert comparison_problems(path, tmp_path / "compare") == []


@pytest.mark.notebook
def test_our_tool_leaves_a_notebook_that_fails_as_it_was(toy):
    path = toy(lambda notebook: notebook.cells[2].update(source="1 / 0"))
    before = path.read_bytes()
    done = subprocess.run([*STORE, path], capture_output=True, text=True)
    assert done.returncode != 0 and "ZeroDivisionError" in done.stderr
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_every_notebook_of_the_course_is_found_by_the_runner():
    from affkit_course.run import find_notebooks

    if NOTEBOOKS:
        assert find_notebooks(ROOT / "notebooks") == NOTEBOOKS
        assert all(
            any("parameters" in tags(c) for c in nbformat.read(p, as_version=4).cells) for p in NOTEBOOKS
        )

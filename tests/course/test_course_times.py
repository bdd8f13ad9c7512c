"""Minutes in the first cells are those that a run measured, and nobody else's."""

import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from affkit.errors import UserError
from affkit_course.pages import Result
from affkit_course.times import read_times, record_times, sentence, uses_gpu, write_times

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
HEAD = "# Toy\n\n**Time** 7 hours on a\nmainframe. Add the reading.\n\n**Needs** nothing. Really."


@pytest.fixture
def course(tmp_path):
    """Two notebooks, and a folder for what a run of them says."""
    (tmp_path / "notebooks").mkdir()
    for name, gpu in (("00_plain", False), ("01_trains", True)):
        notebook = new_notebook(cells=[new_markdown_cell(HEAD)], metadata={"affkit": {"gpu": gpu}})
        nbformat.write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")
    return tmp_path


def head(course, name: str) -> str:
    return nbformat.read(course / "notebooks" / f"{name}.ipynb", as_version=4).cells[0].source


def measured(course, kind="cpu", machine="2 CPU cores", profile="small", **seconds) -> Path:
    """What a run on some machine would have written."""
    run = course / "run"
    run.mkdir(exist_ok=True)
    about = {"profile": profile, "kind": kind, "machine": machine, "seconds": seconds}
    (run / "times.json").write_text(json.dumps(about))
    return run


def test_only_the_sentence_on_time_changes(course):
    said = write_times(measured(course, **{"00_plain": 61.0, "01_trains": 12.0}), course / "notebooks")
    assert list(said) == ["00_plain", "01_trains"]
    plain = HEAD.replace("7 hours on a\nmainframe", "2 minutes on 2 CPU cores, with or without a GPU")
    assert head(course, "00_plain") == plain
    assert "**Time** 1 minute on 2 CPU cores, not measured on a GPU. Add" in head(course, "01_trains")


def test_the_other_machine_and_the_other_notebook_stay(course):
    write_times(measured(course, **{"00_plain": 61.0, "01_trains": 119.0}), course / "notebooks")
    write_times(measured(course, "gpu", "Some GPU", **{"01_trains": 3.0}), course / "notebooks")
    trained = "2 minutes on 2 CPU cores, 1 minute on a GPU (Some GPU). Add"
    assert trained in head(course, "01_trains") and "2 minutes on 2 CPU" in head(course, "00_plain")
    write_times(measured(course, **{"01_trains": 130.0}), course / "notebooks")
    assert trained.replace("2 m", "3 m", 1) in head(course, "01_trains")
    assert read_times(course / "notebooks")["00_plain"]["cpu"]["seconds"] == 61.0


@pytest.mark.parametrize("why", ["no run", "another profile", "no sentence"])
def test_refused_and_nothing_changed(course, why):
    run = measured(course, profile="test" if why == "another profile" else "small", **{"00_plain": 5.0})
    if why == "no sentence":
        path = course / "notebooks" / "00_plain.ipynb"
        nbformat.write(new_notebook(cells=[new_markdown_cell("# No time")]), path)
    before = {path: path.read_bytes() for path in (course / "notebooks").iterdir()}
    with pytest.raises(UserError):
        write_times(course if why == "no run" else run, course / "notebooks")
    assert {path: path.read_bytes() for path in (course / "notebooks").iterdir()} == before


def test_a_failed_notebook_has_no_time(tmp_path):
    path = record_times(tmp_path, [Result("00_a", 1.26), Result("01_b", 9.0, "In [1] no")], "small")
    about = json.loads(path.read_text())
    assert about["seconds"] == {"00_a": 1.3} and about["profile"] == "small"
    assert about["kind"] in ("cpu", "gpu") and about["machine"]


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_the_course_says_what_was_measured(path):
    notebook = nbformat.read(path, as_version=4)
    words = sentence(read_times(NOTEBOOKS)[path.stem], uses_gpu(notebook))
    assert f"**Time** {words} " in notebook.cells[0].source

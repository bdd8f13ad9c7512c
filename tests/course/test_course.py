"""The course runner: honest results, the rest still runs; pages say what happened, minutes are measured."""

import base64
import json
from pathlib import Path

import nbformat
import pytest
from browser import browse, write_notebook
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from repository import NOTEBOOKS

from affkit.errors import UserError
from affkit_course.pages import headline, notebook_body, write_pages
from affkit_course.run import Result, find_notebooks, main, run_course, run_notebook, table
from affkit_course.times import read_times, record_times, sentence, uses_gpu, write_times

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
HEAD = "# First <steps>\n\nYou will be able to:\n\n- move **one** picture\n- count `frames`\n\n**Time** 1 min"
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()"


def write(path, *sources, parameters="num_epochs = 2", affkit=None, head=HEAD):
    """A notebook with a head, a cell of parameters and the given code."""
    cells = [new_markdown_cell(head), new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    cells += [new_code_cell(source) for source in sources]
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "affkit": affkit or {}}), path)
    return path


@pytest.mark.notebook
def test_course_goes_on_after_a_failure_and_tells(tmp_path, capsys):
    folder, out = tmp_path / "notebooks", tmp_path / "out"
    write(folder / "00_fails.ipynb", "print('before')", "{}['no <such> key']", "print('after')")
    write(folder / "01_dies.ipynb", "import os\nos._exit(3)")
    write(folder / "02_works.ipynb", PLOT)
    write(folder / "draft.ipynb", "1 / 0")

    assert main(folder, out) == 1

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["notebook", "00_fails", "01_dies", "02_works"]
    assert lines[1].endswith("failed  In [3] KeyError: 'no <such> key'")
    assert "failed  DeadKernelError" in lines[2] and lines[3].endswith("ok")
    assert lines[4].startswith("3 notebooks, ") and lines[4].endswith("2 failed")
    names = [f"{name}.{kind}" for name in ("00_fails", "01_dies", "02_works") for kind in ("html", "ipynb")]
    others = ["figures", "index.html", "site.css", "times.json"]
    assert sorted(p.name for p in out.iterdir()) == names + others
    assert next((out / "figures").glob("02_works*.png")).read_bytes().startswith(b"\x89PNG")
    index = (out / "index.html").read_text()
    assert index.count("<section>") == 3
    goals = "<li>move one picture</li><li>count frames</li>"
    words = ("2 failed", "First &lt;steps&gt;", "&lt;such&gt;", goals)
    assert [part for part in words if part not in index] == []
    page = BeautifulSoup((out / "00_fails.html").read_text(), "html.parser").get_text()
    assert [part for part in ("before", "In\xa0[3]:", "no <such> key") if part not in page] == []
    assert {p.suffix for p in folder.iterdir()} == {".ipynb"}  # a run leaves nothing beside the notebooks


@pytest.mark.notebook
def test_profiles_change_parameters(tmp_path):
    path = write(tmp_path / "00_a.ipynb", "print(num_epochs)", affkit={"full": {"num_epochs": 50}})
    for profile, expected in (("small", "2\n"), ("full", "50\n"), ("test", "2\n")):
        assert run_notebook(path, tmp_path / "out.ipynb", profile).ok
        executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
        assert executed.cells[-1].outputs[0].text == expected


def test_a_parameter_or_a_file_that_is_none_fails_before_a_kernel_starts(tmp_path):
    path = write(tmp_path / "00_a.ipynb", affkit={"full": {"epochs": 50}})
    result = run_notebook(path, tmp_path / "out.ipynb", "full")
    assert "profile full sets unknown epochs" in result.error
    (tmp_path / "00_a.ipynb").write_text("not json")
    (result,) = run_course(tmp_path, tmp_path / "out", progress=False)
    assert not result.ok and "00_a" in (tmp_path / "out" / "index.html").read_text()


def test_only_some_notebooks_and_nothing_to_run(tmp_path):
    for profile, words in (("small", "no notebook of the course"), ("tiny", "no such profile")):
        with pytest.raises(UserError, match=words):
            run_course(tmp_path, tmp_path / "out", profile=profile)
    assert list(tmp_path.iterdir()) == []
    paths = [write(tmp_path / f"{name}.ipynb") for name in ("00_a", "04_b", "10_c")]
    assert find_notebooks(tmp_path) == paths
    assert find_notebooks(tmp_path, ["10", "00"]) == paths[::2]
    with pytest.raises(UserError, match="no notebook starts with 07"):
        find_notebooks(tmp_path, ["00", "07"])


def test_table_of_good_results_says_none_failed_and_headlines_without_a_list_or_a_title():
    assert table([Result("00_a", 1.0)]).endswith("1 notebook, 1 seconds, none failed")
    assert headline(new_notebook(), "00_a") == ("00_a", [])
    assert headline(new_notebook(cells=[new_markdown_cell("only words")]), "00_a") == ("00_a", [])


def test_pages_and_index_say_in_words_what_a_picture_shows(tmp_path):
    told = {"image/png": {"alt": 'The "mean" face & others'}}, {"image/jpeg": {"alt": "Two traces"}}, {}
    pictures = [
        new_output("display_data", {kind: base64.b64encode(kind.encode()).decode()}, metadata=metadata)
        for kind, metadata in zip(("image/png", "image/jpeg", "image/png"), told, strict=True)
    ]
    cells = [new_markdown_cell("# Means"), new_code_cell("1", outputs=pictures, execution_count=1)]
    nbformat.write(new_notebook(cells=cells), tmp_path / "00_a.ipynb")
    index = write_pages(tmp_path, [notebook_body(tmp_path / "00_a.ipynb")], results=[Result("00_a", 1.0)])
    for page in (index, tmp_path / "00_a.html"):
        images = BeautifulSoup(page.read_text(), "html.parser").select("img")
        words = ['The "mean" face & others', "Two traces", "Figure 3 of Means"]
        assert [image["alt"] for image in images] == words
        assert all((tmp_path / image["src"]).is_file() for image in images)


# The minutes in the first cells


UNTIMED = "# Toy\n\n**Time** 7 hours on a\nmainframe. Add the reading.\n\n**Needs** nothing. Really."


@pytest.fixture
def course(tmp_path):
    """Two notebooks, and a folder for what a run of them says."""
    for name, gpu in (("00_plain", False), ("01_trains", True)):
        write(tmp_path / "notebooks" / f"{name}.ipynb", head=UNTIMED, affkit={"gpu": gpu})
    return tmp_path


def head(course, name: str) -> str:
    return nbformat.read(course / "notebooks" / f"{name}.ipynb", as_version=4).cells[0].source


def measured(course, kind="cpu", machine="2 CPU cores", profile="small", **seconds) -> Path:
    """What a run on some machine would have written."""
    about = {"profile": profile, "kind": kind, "machine": machine, "seconds": seconds}
    (course / "run").mkdir(exist_ok=True)
    (course / "run" / "times.json").write_text(json.dumps(about))
    return course / "run"


def test_only_the_sentence_on_time_changes_and_other_machines_and_notebooks_stay(course):
    said = write_times(measured(course, **{"00_plain": 61.0, "01_trains": 119.0}), course / "notebooks")
    assert list(said) == ["00_plain", "01_trains"]
    plain = "2 minutes on 2 CPU cores, with or without a GPU"
    assert head(course, "00_plain") == UNTIMED.replace("7 hours on a\nmainframe", plain)
    assert "**Time** 2 minutes on 2 CPU cores, not measured on a GPU. Add" in head(course, "01_trains")
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
        write(course / "notebooks" / "00_plain.ipynb", head="# No time")
    before = {path: path.read_bytes() for path in (course / "notebooks").iterdir()}
    with pytest.raises(UserError):
        write_times(course if why == "no run" else run, course / "notebooks")
    assert {path: path.read_bytes() for path in (course / "notebooks").iterdir()} == before


def test_a_failed_notebook_has_no_time(tmp_path):
    path = record_times(tmp_path, [Result("00_a", 1.26), Result("01_b", 9.0, "In [1] no")], "small")
    about = json.loads(path.read_text())
    assert about["seconds"] == {"00_a": 1.3} and about["profile"] == "small"
    assert about["kind"] in ("cpu", "gpu") and about["machine"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_course_says_what_was_measured(path):
    notebook = nbformat.read(path, as_version=4)
    words = sentence(read_times(path.parent)[path.stem], uses_gpu(notebook))
    assert f"**Time** {words} " in notebook.cells[0].source


SOURCE = """\
import matplotlib.pyplot as plt
import numpy as np
from affkit_studio.widgets import frame_player

display(frame_player(lambda i: np.full((24, 32, 3), 20 * i, np.uint8), num_frames=10))
plt.plot([1, 3, 2])
plt.show()
"""


@pytest.mark.browser
def test_pages_of_the_course_need_no_network(chromium, tmp_path):
    write_notebook(tmp_path / "01_toy.ipynb", SOURCE, title="A toy: $x^2$")
    assert [result.error for result in run_course(tmp_path, tmp_path / "out", progress=False)] == [""]
    with browse(chromium, tmp_path) as watched:
        page = watched.page
        page.goto((tmp_path / "out" / "index.html").as_uri())
        picture = page.locator("section img")
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
        page.get_by_role("link", name="A toy").first.click()
        page.wait_for_selector("math")
        assert page.locator(".output_png img").count() == 1
        assert page.get_by_text("open in JupyterLab").count() == 1
    assert watched.errors == [] and watched.outside == []

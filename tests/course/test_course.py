"""The course runner: honest results, the rest still runs, pages that say what happened."""

import base64

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from affkit.errors import UserError
from affkit_course.pages import headline, notebook_body, write_pages
from affkit_course.run import Result, find_notebooks, main, run_course, run_notebook, table

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
HEAD = (
    "# First <steps>\n\nYou will be able to:\n\n- move **one** picture\n- count `frames`\n\n**Time** 1 minute"
)
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()"


def write(path, *sources, parameters="num_epochs = 2", affkit=None):
    """A notebook with a head, a cell of parameters and the given code."""
    cells = [new_markdown_cell(HEAD), new_code_cell(parameters, metadata={"tags": ["parameters"]})]
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
    assert index.count("<section>") == 3 and "2 failed" in index
    assert "First &lt;steps&gt;" in index and "&lt;such&gt;" in index
    assert "<li>move one picture</li><li>count frames</li>" in index
    page = BeautifulSoup((out / "00_fails.html").read_text(), "html.parser").get_text()
    assert "before" in page and "In\xa0[3]:" in page and "no <such> key" in page
    assert {p.suffix for p in folder.iterdir()} == {".ipynb"}  # a run leaves nothing beside the notebooks


@pytest.mark.notebook
def test_profiles_change_parameters(tmp_path):
    path = write(tmp_path / "00_a.ipynb", "print(num_epochs)", affkit={"full": {"num_epochs": 50}})
    for profile, expected in (("small", "2\n"), ("full", "50\n"), ("test", "2\n")):
        assert run_notebook(path, tmp_path / "out.ipynb", profile).ok
        executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
        assert executed.cells[-1].outputs[0].text == expected


def test_unknown_parameter_fails_before_a_kernel_starts(tmp_path):
    path = write(tmp_path / "00_a.ipynb", affkit={"full": {"epochs": 50}})
    result = run_notebook(path, tmp_path / "out.ipynb", "full")
    assert "profile full sets unknown epochs" in result.error


def test_a_file_that_is_no_notebook_is_a_failure_of_its_own(tmp_path):
    (tmp_path / "00_a.ipynb").write_text("not json")
    (result,) = run_course(tmp_path, tmp_path / "out", progress=False)
    assert not result.ok and "00_a" in (tmp_path / "out" / "index.html").read_text()


def test_only_some_notebooks_and_nothing_to_run(tmp_path):
    with pytest.raises(UserError, match="no notebook of the course"):
        run_course(tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match="no such profile"):
        run_course(tmp_path, tmp_path / "out", profile="tiny")
    assert list(tmp_path.iterdir()) == []
    for name in ("00_a", "04_b", "10_c"):
        write(tmp_path / f"{name}.ipynb")
    assert [path.stem for path in find_notebooks(tmp_path)] == ["00_a", "04_b", "10_c"]
    assert [path.stem for path in find_notebooks(tmp_path, ["10", "00"])] == ["00_a", "10_c"]
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

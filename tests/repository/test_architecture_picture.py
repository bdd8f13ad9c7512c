"""docs/architecture.svg is what its script draws from today's imports, and its page names what is there."""

import re
import runpy

import pytest
from repository import ROOT

PAGE = ROOT / "docs" / "architecture.md"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))


@pytest.mark.slow
def test_the_picture_is_drawn_from_the_imports_of_today(script):
    assert script["picture"]() == (ROOT / "docs" / "architecture.svg").read_text(), (
        "run docs/draw_architecture.py"
    )


def test_an_import_inside_a_function_is_an_arrow(script, tmp_path):
    (tmp_path / "lazy.py").write_text("def f():\n    from affkit_lab.figures import style\n")
    assert script["imported"](tmp_path / "lazy.py") == {"affkit_lab"}


def test_every_path_that_the_page_names_is_there():
    paths = re.findall(r"`((?:affkit|tests|docs|notebooks|data_samples)[\w/]*/[\w/.]*)`", PAGE.read_text())
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists()] == []

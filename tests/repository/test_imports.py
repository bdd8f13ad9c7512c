"""Which module may import which: the contracts between rooms in pyproject.toml, and nothing in a circle."""

import subprocess
import sys
from graphlib import TopologicalSorter

import grimp
from importlinter.cli import lint_imports
from repository import ROOMS, ROOT

HEAVY = set("torch cv2 av pandas matplotlib jupyterlab ipywidgets papermill voila anny".split())


def test_the_contract_between_the_rooms_is_kept(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == 0, capsys.readouterr().out


def test_no_modules_import_each_other_in_a_circle():
    """Not inside functions either."""
    graph = grimp.build_graph(*ROOMS, cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert "affkit.losses" in imports["affkit.train_gan"] and len(imports) > 100
    TopologicalSorter(imports).prepare()  # raises a CycleError that names the circle


def test_help_lists_the_commands_of_all_rooms_and_loads_nothing_heavy():
    code = "import sys; from affkit.__main__ import main\ntry: main()\nexcept SystemExit: pass\n"
    code += f"print(sorted({HEAVY} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"
    for name in ("convert", "experiment", "annotate", "render", "notebooks"):
        assert f" {name} " in run.stdout

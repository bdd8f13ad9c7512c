"""No pickle is written, and none is opened: to open one can run any program.

Which imports our own sources may have is in test_safety.py. Pickles under the names of published weights are
also in test_vgg_weights.py.
"""

import copy
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_files import COMMANDS, write_all
from mishaps.bad_inputs import bad_inputs
from mishaps.judge import BadInput, judge
from repository import tracked
from safetensors import SafetensorError, safe_open

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError
from affkit.store import Store
from affkit_course.exercises.grade import grade_folder
from affkit_lab.backbones.face_net import cached_features
from affkit_lab.backbones.vgg_weights import read_weights
from affkit_lab.experiments.results import Results
from affkit_studio.annotate.import_export import SUFFIXES, import_annotation
from affkit_studio.annotate.project import Project
from affkit_studio.browse.favourites import Favourites

pytestmark = pytest.mark.slow  # runs whole commands

HEADERS = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("made"))


# No pickle is written


def pickled(path: Path) -> str:
    """What in a file is a pickle, or would be opened as one; empty if nothing."""
    with path.open("rb") as file:
        start = file.read(2)
    if start in HEADERS and not _is_safetensors(path):
        return "begins as a pickle"
    if start == b"PK" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if names := [name for name in archive.namelist() if name.endswith(".pkl")]:
                return f"holds {names[0]}"
            parts = [name for name in archive.namelist() if name.endswith(".npy")]
            if any(_holds_objects(archive.open(name)) for name in parts):
                return "holds an array of objects"
    if path.suffix == ".npy":
        with path.open("rb") as file:
            return "is an array of objects" if _holds_objects(file) else ""
    return ""


def _is_safetensors(path: Path) -> bool:
    """Its first two bytes are a part of a length, and may be any."""
    try:
        with safe_open(path, framework="np"):
            return True
    except SafetensorError:
        return False


def _holds_objects(file) -> bool:
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    return read[np.lib.format.read_magic(file)[0]](file)[2].hasobject


class Touches:
    """Reading it back from a pickle makes a file."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")


def payload(trace: Path) -> np.ndarray:
    array = np.empty(1, object)
    array[0] = Touches(trace)
    return array


def as_numpy(save):
    """A writer of a file of any name by ``np.save`` or ``np.savez``."""

    def write(path: Path, trace: Path) -> None:
        with path.open("wb") as file:
            save(file, payload(trace))

    return write


PICKLES = {
    "plain": lambda path, trace: path.write_bytes(payload(trace).dumps()),
    "torch": lambda path, trace: torch.save({"weight": Touches(trace)}, path),
    "old torch": lambda path, trace: torch.save([Touches(trace)], path, _use_new_zipfile_serialization=False),
    "array": as_numpy(np.save),
    "arrays": as_numpy(np.savez),
}


def test_pickles_of_all_kinds_are_seen_and_run_when_they_are_opened(tmp_path):
    trace = tmp_path / "trace"
    copy.copy(Touches(trace)).close()  # goes the way of unpickling
    assert trace.exists()
    for name, write in PICKLES.items():
        write(tmp_path / f"{name}.npy", trace)
        assert pickled(tmp_path / f"{name}.npy"), name
    np.savez(tmp_path / "sound.npz", one=np.zeros(3))
    np.save(tmp_path / "sound.npy", np.zeros(3))
    assert not pickled(tmp_path / "sound.npz") and not pickled(tmp_path / "sound.npy")


def test_no_pickle_comes_with_the_kit():
    found = {str(path): pickled(path) for path in tracked()}
    assert len(found) > 300 and {path: what for path, what in found.items() if what} == {}


def test_no_pickle_is_written_by_a_command(made):
    files = [path for path in made.rglob("*") if path.is_file()]
    kinds = {path.suffix for path in files}
    assert {".npy", ".safetensors", ".json", ".csv", ".affkit", ".eaf", ".gif", ".png"} <= kinds
    found = {str(path.relative_to(made)): pickled(path) for path in files}
    assert {path: what for path, what in found.items() if what} == {}


# No pickle is opened

GIVEN = [bad for bad in bad_inputs() if bad.fault == "a pickle"]
LATE = ("annotate", "browse")  # to import what they need takes seconds; their readers are tried below


@pytest.mark.parametrize("kind", PICKLES)
def test_commands_refuse_a_pickle_under_the_right_name(kind, good, tmp_path):
    trace = tmp_path / "trace"
    chosen = [bad for bad in GIVEN if not bad.line.startswith(LATE)]
    kinds = {"checkpoint", "store, crops"}
    if kind == "plain":
        kinds |= {"label file", "directions", "pool", "partition", "subjects"}
    else:
        chosen = [bad for bad in chosen if bad.kind in kinds]
    assert kinds <= {bad.kind for bad in chosen}

    def change(path: Path) -> None:
        path.unlink()
        PICKLES[kind](path, trace)

    found = {str(bad): judge(replace(bad, change=change), good) for bad in chosen}
    assert {line: faults for line, faults in found.items() if faults} == {}
    assert not trace.exists()


OWN = {  # what a command left in its folder and reads when it goes on: the file, and the command
    "gan/training.safetensors": COMMANDS["gan"] + " --resume",
    "gan/log.csv": COMMANDS["gan"] + " --resume",
    "ix/experiment.json": COMMANDS["table-ix"],
    "ix/**/scores.json": COMMANDS["table-ix"],
    "store/features_*.npy": COMMANDS["mtl"].replace("--out mtl", "--out again"),
    "clips/.affkit-convert.json": COMMANDS["convert"],
    ".found.part/store.json": COMMANDS["faces"],
}


@pytest.mark.parametrize("pattern", OWN)
def test_work_that_goes_on_refuses_a_pickle(pattern, made, tmp_path):
    trace = tmp_path / "trace"
    (target, *_) = sorted(made.glob(pattern)) or [made / pattern]
    name = str(target.relative_to(made))

    def change(path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        PICKLES["plain"](path, trace)
        if ".part" in pattern:  # as after a kill, before the store had its name
            shutil.rmtree(path.parents[1] / "found")

    bad = BadInput("own file", "a pickle", OWN[pattern], (Path(name).name, name), name, change)
    assert judge(bad, made) == []
    assert not trace.exists()


READERS = {
    "net.safetensors": load_checkpoint,
    "net.pth": read_weights,
    "net.npz": read_weights,
    "favourites.json": lambda path: Favourites(path, "key"),
    "project.affkit": Project.open,
    "scores.csv": lambda path: Results.read(path.parent),
}


@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.parametrize("name", READERS)
def test_readers_refuse_a_pickle(name, kind, tmp_path):
    trace, path = tmp_path / "trace", tmp_path / name
    PICKLES[kind](path, trace)
    with pytest.raises(UserError, match=name):
        READERS[name](path)
    assert not trace.exists()


def test_imports_and_handed_in_notebooks_refuse_a_pickle(made, tmp_path):
    trace = tmp_path / "trace"
    (tmp_path / "handed").mkdir()
    PICKLES["plain"](tmp_path / "handed" / "ann.ipynb", trace)
    (row,) = grade_folder(tmp_path / "handed", progress=False)
    assert row.said == "is no notebook" and not row.exercise
    with Project.open(tmp_path / "faces.affkit") as project:
        project.add_video(made / "one.mp4")
        session = project.session("one", "Ada", "au")
        for suffix in sorted({*SUFFIXES.values()}):
            PICKLES["plain"](tmp_path / f"one{suffix}", trace)
            with pytest.raises(UserError, match=f"one{suffix}"):
                import_annotation(session, tmp_path / f"one{suffix}")
        assert session.segments() == []
    assert not trace.exists()


def test_features_that_were_kept_are_looked_at(good, tmp_path):
    store, cnn = Store.open(good / "store"), torch.nn.Sequential(torch.nn.AvgPool2d(32), torch.nn.Flatten())
    kept = cached_features(cnn, store, tmp_path, progress=False)
    assert kept.shape == (len(store), 3)
    (file,) = tmp_path.iterdir()
    np.save(file, np.zeros((len(store) - 1, 3), np.float32))
    sound = file.read_bytes()
    for data in (sound, sound[:90], b""):  # of too few faces; cut off
        file.write_bytes(data)
        with pytest.raises(UserError, match="is damaged; delete it"):
            cached_features(cnn, store, tmp_path, progress=False)

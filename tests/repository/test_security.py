"""No name in somebody's files leads a command out of its output folder.

What is read from our own sources is in test_safety.py, pickles are in test_security_pickles.py, servers in
test_security_network.py, names as text on pages in test_security_pages.py. Exports of an annotator called
`../../x` are in test_annotator.py, names in label files also in test_tables.py.
"""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from made_files import COMMANDS, SMALL
from mishaps.judge import changed, contents, run_in

from affkit.errors import UserError
from affkit.files import write_beside
from affkit_studio.annotate.import_export import SUFFIXES, export_annotation, export_name
from affkit_studio.annotate.project import Project
from affkit_studio.browse.favourites import Favourites

pytestmark = pytest.mark.slow  # runs whole commands


NAMES = ("../../x", "/x", "a/../../x", "..\\x", "..", "x\0y", "n" * 300, ".hidden/../../x")


TRAIN = f"train gan --data store --out out --width 0.03 {SMALL}"
NAMED = {  # what is named: file, the words in it that are replaced and how, commands
    "video in a table": (
        *("table.csv", "one,", "NAME,"),
        "agree table.csv A1 -o out",
        "stats --data table.csv -o out",
        "faces one.mp4 -o out --size 32 --labels table.csv",
    ),
    "image in a list": (
        *("mtl/MTL_Challenge/train_set.txt", "one/", "NAME/"),
        "split --data mtl --sizes 1,1,1 -o out",
    ),
    "name in a partition": (
        *("partition.json", '"one"', "NAME"),
        f"{TRAIN} --part partition.json:train",
        "split --check partition.json",
    ),
    "subject in a partition": (
        *("partition.json", '"subject_one"', "NAME"),
        COMMANDS["table-ix"].replace("--out ix", "--out out"),
    ),
    "set in a partition": ("partition.json", '"train"', "NAME", f"{TRAIN} --part partition.json:test"),
    "video in subjects.csv": (
        *("abaw6/subjects.csv", "\none,", "\nNAME,"),
        "split --data abaw6 --sizes 1,1,1 -o out",
    ),
    "subject in subjects.csv": (
        *("abaw6/subjects.csv", "subject_one", "NAME"),
        "faces one.mp4 -o out --size 32 --labels abaw6",
    ),
    "video in a store": ("store/index.csv", "\none,", "\nNAME,", TRAIN),
    "subject in a store": (
        *("store/index.csv", "subject_one", "NAME"),
        f"train features --data store --out out {SMALL}",
    ),
}


def put(name: str, path: Path, before: str, after: str) -> None:
    """Put the name into a text file; into JSON as JSON writes it."""
    text = path.read_text(encoding="utf-8")
    assert before in text
    after = after.replace("NAME", json.dumps(name) if path.suffix == ".json" else name)
    path.unlink()  # the file itself where there was a link to it
    path.write_text(text.replace(before, after), encoding="utf-8")


def changed_outside(before: dict, after: dict, inside: str) -> list[str]:
    """Paths that are new, gone or different, other than ``inside`` and what is below it."""
    return [path for path in changed(before, after) if path != inside and not path.startswith(f"{inside}/")]


@pytest.mark.parametrize("what", NAMED)
def test_a_name_in_a_file_leads_nowhere(what, good, tmp_path):
    """The command refuses it in a line, or writes inside its output only."""
    file, before, after, *lines = NAMED[what]
    for number, name in enumerate(NAMES):
        for line in lines:
            folder = tmp_path / f"{number}-{lines.index(line)}" / "deep" / "given"
            folder.parent.mkdir(parents=True)
            copy_links(good, folder)
            put(name, folder / file, before, after)
            was = contents(folder.parents[1])
            answer = run_in(folder, line)
            said = answer.stderr.strip().splitlines()
            assert answer.failure == "" and answer.code in (0, 1, 2), f"{name!r}, {line}: {answer}"
            assert answer.code != 2 or said[-1].startswith("affkit: "), f"{name!r}, {line}: {answer}"
            assert changed_outside(was, contents(folder.parents[1]), "deep/given/out") == [], (name, line)


def copy_links(source: Path, target: Path) -> None:
    """A folder of links to the files of another; what is written through one is noticed in ``good``."""
    shutil.copytree(source, target, copy_function=lambda file, link: Path(link).symlink_to(file))


@pytest.mark.parametrize("name", [name for name in NAMES if "\0" not in name])
def test_a_project_of_somebody_else_exports_into_its_folder(name, good, tmp_path):
    folder = tmp_path / "deep" / "given"
    folder.mkdir(parents=True)
    path = folder / "project.affkit"
    path.write_bytes((good / "project.affkit").read_bytes())
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE video SET name = ?, path = ?", (name, name))
    with Project.open(path) as project:
        for annotator in ("Ada", name):
            session = project.session(name, annotator, "au")
            session.mark("AU4", 0, 3)
            for kind in SUFFIXES:
                try:
                    export_annotation(session, folder / export_name(session, kind), kind)
                except UserError as error:
                    assert "is not a video name" in str(error) and kind == "table"
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert [path.name for path in folder.parent.iterdir()] == ["given"]
    assert all(path.is_file() and path.parent == folder for path in folder.iterdir())
    assert len(list(folder.iterdir())) >= 7


def test_favourites_of_any_name_stay_in_their_file(tmp_path):
    kept = Favourites(tmp_path / "deep" / "favourites.json", "key")
    for name in NAMES:
        kept.keep(name, np.zeros(100))
    assert list(kept.read()) == list(NAMES)
    assert list(contents(tmp_path)) == ["deep", "deep/favourites.json"]


def test_notebooks_of_any_name_and_links_to_elsewhere_are_only_read(tmp_path, monkeypatch):
    given, elsewhere = tmp_path / "deep" / "given", tmp_path / "elsewhere"
    for folder in (given, elsewhere):
        folder.mkdir(parents=True)
    (elsewhere / "secret.ipynb").write_text("[]")
    for name in ("..\\x.ipynb", f"{'n' * 240}.ipynb", "=1+1.ipynb", "-o.ipynb", "a\nb.ipynb"):
        (given / name).write_text("{}")
    (given / "link.ipynb").symlink_to(elsewhere / "secret.ipynb")
    (given / "ben").symlink_to(elsewhere)
    (given / "loop").symlink_to("loop")
    before = contents(tmp_path)
    answer = run_in(given, "notebooks grade . -o out.csv")
    assert (answer.code, answer.failure) == (0, "")
    assert changed_outside(before, contents(tmp_path), "deep/given/out.csv") == []


def test_clips_and_labels_that_are_links_are_only_read(good, tmp_path):
    folder = tmp_path / "deep" / "given"
    folder.parent.mkdir()
    copy_links(good, folder)
    (tmp_path / "..\\x.mp4").write_bytes((good / "one.mp4").read_bytes())
    (folder / "..\\y.mp4").symlink_to(tmp_path / "..\\x.mp4")
    before = contents(tmp_path)
    for line in (
        COMMANDS["convert"].replace("-o clips", "..\\y.mp4 -o out/clips"),
        "faces one.mp4 ..\\y.mp4 -o out/store --size 32",
        "predict ..\\y.mp4 -o out/said --checkpoint networks/discriminator.safetensors --no-video",
    ):
        answer = run_in(folder, line)
        assert answer.failure == "" and answer.code in (0, 2), f"{line}: {answer}"
    assert (folder / "out" / "clips" / "..\\y.mp4").is_file()
    assert changed_outside(before, contents(tmp_path), "deep/given/out") == []


def test_a_link_where_a_half_written_file_would_be_is_not_followed(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    (tmp_path / "out").mkdir()
    for name in (".a.part.txt", "a.txt"):
        (tmp_path / "out" / name).symlink_to(tmp_path / "precious.txt")
    with write_beside(tmp_path / "out" / "a.txt") as part:
        part.write_text("new")
    assert (tmp_path / "precious.txt").read_text() == "mine"
    assert (tmp_path / "out" / "a.txt").read_text() == "new" and not (tmp_path / "out" / "a.txt").is_symlink()

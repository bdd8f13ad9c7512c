"""``affkit doctor`` as a user meets it: any folder, the page, JSON, commands that run; nothing is written."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from refusals import run_affkit
from stores import people_store
from test_doctor import ABAW5, VA
from typer.main import get_command
from year_folders import FRAMES, add_crops, add_video, make_year, write

from affkit.__main__ import app
from affkit.labelfiles.layouts import read_annotations
from affkit.labelfiles.tables import write_table
from affkit.store import write_store
from affkit.video.video import Video, write_video
from affkit_studio.doctor.commands import quoted
from affkit_studio.doctor.report import examine

pytestmark = pytest.mark.slow  # runs whole commands

SAMPLES = Path(__file__).parents[2] / "data_samples"


def words_of(line: str) -> list[str]:
    """The words of a command line, split and expanded by bash."""
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True)
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]


@pytest.fixture
def shell(tmp_path, monkeypatch, capfd):
    """Run a command line in a folder in ``tmp_path`` as a shell would; what it prints, and its complaints."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(line: str, ends: int = 0) -> tuple[str, str]:
        if not line.strip().startswith("affkit "):
            subprocess.run(["bash", "-ec", line], check=True)
            return "", ""
        code, out, err = run_affkit(monkeypatch, capfd, *words_of(line)[1:])
        assert code == ends, err
        return out, err

    return run


def snapshot(root: Path) -> dict[str, tuple]:
    found = {path: path.lstat() for path in (root, *root.rglob("*"))}
    return {str(path): (stat.st_mtime_ns, stat.st_size, stat.st_mode) for path, stat in found.items()}


def faulty_year(root: Path) -> Path:
    """Two real clips in the layout of the fifth challenge, with faults that keep nothing from running."""
    clips, frames = SAMPLES / "clips", 30
    for task, folder in {"VA": "VA_Estimation", "EXPR": "EXPR_Classification", "AU": "AU_Detection"}.items():
        source = next((clips / "annotations").glob(f"{task}_*"))
        for subset, name in (("Train_Set", "interview"), ("Validation_Set", "webcam_avi")):
            lines = (source / "Train_Set" / f"{name}.txt").read_text().splitlines()
            write(root / ABAW5 / f"{folder}_Challenge" / subset / f"{name}.txt", lines[: frames - 2])
    (root / "batch 1").mkdir(parents=True)
    for name, how in {"interview.mp4": {"fps": 30}, "webcam_avi.avi": {"fps": 25, "codec": "mjpeg"}}.items():
        pictures = Video(clips / "videos" / name).frames(stop=frames)
        write_video(root / "batch 1" / name, pictures, **how)
    add_crops(root / "cropped_aligned" / "interview", range(1, frames - 5))
    (root / "batch 2").mkdir()
    return root


@pytest.mark.parametrize("subjects", [False, True])
def test_a_faulty_year_is_only_read_and_the_commands_for_it_run(shell, tmp_path, subjects):
    root = faulty_year(tmp_path / "it's Aff-Wild2")
    if subjects:
        write(root / "subjects.csv", ["video,subject", "interview,Ada", "webcam_avi,Ben"])
    before = snapshot(tmp_path)
    out, _ = shell(f"affkit doctor --data {quoted(root)}")
    assert snapshot(tmp_path) == before
    assert "Aff-Wild2, ABAW5 (2023)" in out and "[few-lines-differ]" in out
    commands = out.partition("Next:\n")[2].splitlines()
    assert [line.split()[1] for line in commands] == ["stats", "split", "convert", "faces", "doctor"]
    for line in commands:
        out, _ = shell(line)
    assert "a store of faces" in out and ", 0 with va" not in out
    people = set(pd.read_csv("store/index.csv")["subject"])
    assert people == ({"Ada", "Ben"} if subjects else {"interview", "webcam_avi"})


def test_the_commands_for_label_files_without_a_layout_run(shell, tmp_path):
    make_year(tmp_path / "year", "ABAW5")
    (tmp_path / "year" / VA).parent.rename(tmp_path / "flat labels")
    out, _ = shell(f"affkit doctor --data {quoted(tmp_path / 'flat labels')}")
    commands = out.partition("Next:\n")[2].splitlines()
    assert [line.split()[0] for line in commands] == ["mkdir", "affkit"] and "without a layout" in out
    for line in commands:
        shell(line)


@pytest.mark.parametrize("kind", ["folders", "tables"])
def test_the_commands_for_several_annotators_run(shell, tmp_path, kind):
    root = make_year(tmp_path / "data", "ABAW6")
    for name in ("A 1", "A 2"):
        source = root / "6th ABAW Annotations"
        if kind == "folders":
            shutil.copytree(source, root / "coders" / name / source.name)
        else:
            (root / "coders").mkdir(exist_ok=True)
            write_table(root / "coders" / f"{name}.csv", read_annotations(source))
    report = examine(root)
    more = "1 in coders/A 1, 1 in coders/A 2" if kind == "folders" else "2 in coders"
    assert report.findings == [] and dict(report.facts)["more labels"] == more
    lines = [line for line in report.commands if line.split()[1] in ("stats", "split", "agree")]
    assert len(lines) == (2 if kind == "folders" else 3)
    for line in lines:
        shell(line)


def test_the_commands_for_a_store_run(shell, tmp_path):
    write_store(tmp_path / "store", people_store(2, 90, 32))
    report = examine(tmp_path / "store")
    assert report.title == "a store of faces" and report.findings == []
    assert [line.split()[2] for line in report.commands] == ["gan", "mtl"]
    for line in report.commands:
        shell(line.replace(" --steps 2000", " --width 0.05 --steps 1").replace(" 200", " 1"))


@pytest.mark.parametrize("year", ["ABAW1", "ABAW4", "Aff-Wild", "ABAW6"])
def test_every_command_is_one_that_there_is(tmp_path, year):
    """Commands and options are those of the command line, also where running them would take long."""
    make_year(tmp_path, year)
    add_video(tmp_path / "videos" / "alpha.mp4", FRAMES, fps=25)
    report = examine(tmp_path)
    assert report.commands
    for line in report.commands:
        command, name, *arguments = words_of(line)
        assert command == "affkit"
        get_command(app).commands[name].make_context(name, arguments)


def test_the_exit_code_says_whether_there_are_errors(shell, tmp_path):
    root = make_year(tmp_path / "year", "ABAW5")
    shell(f"affkit doctor --data {root} --strict")
    write(root / "old" / "alpha.txt", (root / VA).read_text().splitlines())  # a warning
    shell(f"affkit doctor --data {root}")
    shell(f"affkit doctor --data {root} --strict", ends=1)
    (root / "videos" / "alpha.mp4").write_bytes(b"no video")
    shell(f"affkit doctor --data {root}", ends=1)
    out, _ = shell(f"affkit doctor --data {root} --json", ends=1)
    assert json.loads(out)["counts"]["error"] == 1


def test_json_has_all_of_it(shell, tmp_path):
    root = make_year(tmp_path / "year", "ABAW5")
    for number in range(9):
        add_video(root / "videos" / f"spare_{number}.mp4")
    out, err = shell(f"affkit doctor --data {quoted(root)} --json")
    found = json.loads(out)
    assert err == ""
    assert found["counts"] == {"error": 0, "warning": 0, "note": 1}
    assert len(found["findings"][0]["where"]) == 9 and found["findings"][0]["code"] == "video-without-labels"
    assert found["facts"]["crops"] == [f"{4 * FRAMES} pictures of 4 people in cropped_aligned"]
    assert found["frames"][0]["usable"] == 3 * (FRAMES - 1) and found["next"] == examine(root).commands


# ---- one file


def test_a_video_alone(shell, tmp_path):
    path = add_video(tmp_path / "a video.mp4", fps=25)
    out, _ = shell(f"affkit doctor --data {quoted(path)}")
    assert "videos without annotations" in out and f"affkit convert {quoted(path)} -o clips" in out


def test_a_table_alone(shell, tmp_path):
    lines = ["video,frame,valence,arousal,expression", *(f"clip,{i},0.5,-1,Anger" for i in (1, 2, 4))]
    write(tmp_path / "table.csv", lines)
    report = examine(tmp_path / "table.csv")
    rows = {row.task: (row.lines, row.labelled, row.extreme) for row in report.rows}
    assert report.title == "a table of labels"
    assert [rows[task] for task in ("va", "expr", "mtl")] == [(3, 3, 3), (3, 3, 0), (3, 0, 0)]
    shell(report.commands[0])


# ---- odd names


def test_names_that_are_no_text_and_no_plain_words(shell, tmp_path):
    root = os.fsencode(make_year(tmp_path / "a\x1b[31m b", "ABAW5"))
    os.rename(root + b"/videos", root + b"/vid\xffeos")
    out, _ = shell(f"affkit doctor --data {quoted(os.fsdecode(root))}")
    assert "\x1b" not in out and "vid\\udcffeos" in out
    faces = next(line.strip() for line in out.splitlines() if line.startswith("  affkit faces"))
    assert os.fsdecode(root + b"/vid\xffeos/alpha.mp4") in words_of(faces)

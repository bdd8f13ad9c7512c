"""``affkit split``: divides, checks, and leaves nothing behind when it cannot."""

import json
import sys

import pytest
from people import make_corpus

from affkit.cli import main
from affkit.corpus.leakage import check
from affkit.errors import UserError
from affkit.labelfiles.layouts import write_annotations
from affkit.labels import Labels

pytestmark = pytest.mark.slow  # runs whole commands


@pytest.fixture
def affkit(tmp_path, monkeypatch, capsys):
    """Run ``affkit split`` in a folder with a small corpus of five videos, one of them with two people."""
    labels = make_corpus([["s1", "s2"], ["s3"], ["s3"], ["s4"], ["s5"]]).labels
    write_annotations(tmp_path / "corpus" / "annotations", labels)
    lines = ["v00,left,s1", "v00,right,s2", "v01,,s3", "v02,,s3", "v03,,s4", "v04,,s5"]
    (tmp_path / "corpus" / "subjects.csv").write_text("\n".join(["video,person,subject", *lines]) + "\n")
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["affkit", "split", *line.split()])
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        return end.value.code or 0, (output.out + output.err).strip()

    return run


def test_split_then_check(affkit, tmp_path):
    code, output = affkit("--data corpus --sizes 3,1,1 -o p.json")
    assert code == 0 and "AU25" in output and "107,661" in output and "variance of arousal" in output
    assert affkit("--check p.json") == (
        0, "no subject is in two sets: 5 subjects, 5 videos in train, validation, test",
    )  # fmt: skip
    content = json.loads((tmp_path / "p.json").read_text())
    (tmp_path / "names.json").write_text(json.dumps(content | {"subjects": {}}))
    assert affkit("--check names.json") == (
        0,
        "no video is in two sets: 5 videos in train, validation, test; who is in them is not known, so only "
        "videos were checked",
    )
    sets = {"train": {"v01": [[1, 20]], "v03": [[1, 9]]}, "test": {"v02": [[1, 20]], "v03": [[9, 20]]}}
    (tmp_path / "bad.json").write_text(json.dumps(content | {"sets": sets}))
    assert affkit("--check bad.json") == (
        1,
        "subject s3: train (v01), test (v02)\nsubject s4: train (v03), test (v03)\n"
        "video v03: train (v03), test (v03); 1 frames in both",
    )


@pytest.mark.parametrize("line, expected", [
    ("--data corpus --sizes 3,1,9 -o p.json", "adds up to 13 videos, and 5 have"),
    ("--data corpus --sizes 3,one,1 -o p.json", "is not numbers"),
    ("--data corpus --sizes 3,1,1", "needs --data, --sizes and --out"),
    ("--data corpus --sizes 1,1,1 -o corpus/subjects.csv", "already exists"),
    ("--check nothing.json", "no such file"),
    ("--check corpus", "has only one set: train"),
    ("--check corpus/subjects.csv", "the first line must be 'video,set'"),
])  # fmt: skip
def test_mistakes_are_one_line_and_leave_nothing(affkit, tmp_path, line, expected):
    code, output = affkit(line)
    assert code == 2 and expected in output and "\n" not in output
    assert not (tmp_path / "p.json").exists()


def test_tables_are_checked(affkit, tmp_path):
    rows = "video,split\nv01.mp4,train\nv02.mp4,test\nv00.mp4,val\n"
    (tmp_path / "sets.csv").write_text(rows)
    code, output = affkit("--check sets.csv")
    assert code == 0 and output.startswith("no video is in two sets: 3 videos in train, test, val; who")
    assert affkit("--check sets.csv --data corpus") == (1, "subject s3: train (v01), test (v02)")
    (tmp_path / "sides.csv").write_text("video,person,set\nv00,left,train\nv00,right,test\nv03,,test\n")
    assert affkit("--check sides.csv --data corpus") == (1, "video v00: train (v00_left), test (v00_right)")
    # a video as a whole holds both people
    (tmp_path / "wholes.csv").write_text("video,set,subject\nv00,train,\nother,test,s2\n")
    assert affkit("--check wholes.csv --data corpus") == (1, "subject s2: train (v00), test (other)")
    (tmp_path / "own.csv").write_text("video,set,subject\na,train,x\nb,test,x\nc,test,\n")
    assert affkit("--check own.csv") == (1, "subject x: train (a), test (b)")
    (tmp_path / "own.csv").write_text("video,set,subject\na,train,x\nb,train,x\nc,test,\n")
    code, output = affkit("--check own.csv")
    assert (
        code == 0 and "no subject is in two sets: 1 subjects, 3 videos" in output and "for 1 names" in output
    )


@pytest.mark.parametrize("rows, expected", [
    ("video,subject\na,x\n", "the first line must be"),
    ("video,set\na,\n", "line 2: the set is ''"),
    ("video,set\n,train\n", "line 2: the video is ''"),
    ("video,set,subject\na,train,x\nb,train,\na,test,y\n", "line 4: another subject than above is 'y'"),
])  # fmt: skip
def test_bad_tables(tmp_path, rows, expected):
    (tmp_path / "sets.csv").write_text(rows)
    with pytest.raises(UserError) as error:
        check(tmp_path / "sets.csv")
    assert expected in str(error.value)


def test_folders_are_checked_task_by_task(affkit, tmp_path):
    va = Labels.empty(2)
    va.has_va[:] = True
    au = Labels.empty(2)
    au.has_action_units[:] = True
    names = ("a", "b_left", "b_right", "c")
    write_annotations("year", dict.fromkeys(names, va), splits={"c": "validation"})
    write_annotations("year", {"a": au, "c": au, "d": au}, splits={"a": "validation", "d": "validation"})
    code, output = affkit("--check year")
    assert code == 0 and "\nnote: 2 subjects or videos are in one set of one task" in output
    assert output.startswith(
        "no video is in two sets: 4 videos in train, validation, within each of au, va; who"
    )
    code, output = affkit("--check year --across-tasks")
    assert code == 1 and output.split("\n") == [
        "across tasks: video a: au/validation (a), va/train (a)",
        "across tasks: video c: au/train (c), va/validation (c)",
    ]
    (tmp_path / "year" / "subjects.csv").write_text("video,subject\na,s1\nc,s1\nd,s2\n")
    code, output = affkit("--check year")
    assert code == 1 and output.split("\n")[:2] == [
        "au: subject s1: train (c), validation (a)",
        "va: subject s1: train (a), validation (c)",
    ]

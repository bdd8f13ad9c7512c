"""Partitions: files that come back, the rows of a store, leaks found; ``affkit split``."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from folders import contents
from hypothesis import given, settings
from hypothesis import strategies as st
from people import kept, make_corpus, shared_subjects
from refusals import refuses, run_affkit

from affkit.corpus.partition import (
    SETS,
    Partition,
    check,
    frame_ranges,
    leaks,
    random_frame_split,
    read_partition,
    write_partition,
)
from affkit.corpus.split_by_subject import split_corpus
from affkit.labelfiles.layouts import write_annotations
from affkit.labelfiles.names import nfc
from affkit.labels import Labels


def same(one: Partition, two: Partition) -> bool:
    def plain(p):
        sets = {s: {n: np.asarray(r).tolist() for n, r in own.items()} for s, own in p.sets.items()}
        return sets, p.subjects, p.task, p.seed

    return plain(one) == plain(two)


@settings(max_examples=30)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.text(min_size=1, max_size=8).map(nfc))
def test_any_frames_come_back(tmp_path_factory, mask, name):
    frames = np.flatnonzero(mask) + 1
    sets = {"train": {name: frame_ranges(frames), "all frames": None}}  # no drawn name is as long
    partition = Partition(sets, {name: name + "'s"}, "va", 3)
    path = tmp_path_factory.mktemp("partition") / "p.json"
    write_partition(path, partition)
    back = read_partition(path)
    assert same(back, partition) and back.frames("train", name).tolist() == frames.tolist()
    refuses("already exists", write_partition, path, partition)


def test_same_seed_same_bytes(thirty, tmp_path):
    for name, seed in {"5": 5, "again": 5, "6": 6}.items():
        write_partition(tmp_path / name, split_corpus(thirty, (18, 4, 8), seed=seed))
    files = contents(tmp_path)
    assert files["5"] == files["again"] != files["6"]
    content = json.loads(files["5"])
    assert list(content) == ["task", "seed", "sets", "subjects"] and list(content["sets"]) == list(SETS)
    assert all(list(names) == sorted(names) for names in content["sets"].values())


@pytest.mark.parametrize("text, expected", [
    ("{", "line 1: is not JSON"),
    ("[]", "has no 'sets'"),
    ('{"sets": {}}', "has no 'sets'"),
    ('{"sets": {"train": ["a"]}}', "has no 'sets'"),
    ('{"sets": {"train": {"a": [[1, 2]], "a": [[3, 4]]}}}', "'a' comes twice"),
    ('{"sets": {"train": {"a": []}, "train": {"b": []}}}', "'train' comes twice"),
    ('{"sets": {"train": {"a": [[0, 2]]}}}', "the frames of 'a' in train"),
    ('{"sets": {"train": {"a": [[3, 2]]}}}', "not ranges in order"),
    ('{"sets": {"train": {"a": [[1, 3], [3, 5]]}}}', "not ranges in order"),
    ('{"sets": {"train": {"a": [[1, 3.5]]}}}', "not ranges in order"),
    ('{"sets": {"train": {"a": "all"}}}', "not ranges in order"),
    ('{"sets": {"train": {"a": [[1, 2147483647]]}}}', "not ranges in order"),  # would be 16 GB of numbers
    (f'{{"sets": {{"train": {{"a": [[1, {10**30}]]}}}}}}', "not ranges in order"),
    ('{"sets": {"train": {"a": []}}, "subjects": {"a": 1}}', "'subjects' does not"),
])  # fmt: skip
def test_bad_files(tmp_path, text, expected):
    path = tmp_path / "p.json"
    path.write_text(text)
    refuses((expected, "p.json"), read_partition, path)


def test_rows_of_a_store():
    index = pd.DataFrame(
        [("one", "s1", 1), ("one", "s1", 2), ("one", None, 2), ("two", "s2", 1), ("two", "s3", 1),
         ("turn_left", "s1", 1), ("three", "three", 1), ("three", "three", 9)],
        columns=["video", "subject", "frame"],
    )  # fmt: skip
    subjects = {"one": "s1", "two_left": "s2", "two_right": "s3", "turn_left": "s1", "three": "s4"}
    ranges = np.array([[1, 1]])
    train = {"one": ranges, "turn_left": None, "two_right": ranges}
    partition = Partition({"train": train, "test": {"three": None, "two_left": None}}, subjects)
    rows = partition.rows(index)
    assert {subset: own.tolist() for subset, own in rows.items()} == {"train": [0, 4, 5], "test": [3, 6, 7]}
    refuses("holds no frame", Partition({"train": {"other": None}}).rows, index)
    refuses("--labels", partition.rows, index[["video", "frame"]])


def test_the_careless_split_has_the_same_frames_and_leaks(thirty):
    careful = split_corpus(thirty, (18, 4, 8))
    careless = random_frame_split(careful, seed=1)
    masks, others = kept(careful, thirty), kept(careless, thirty)
    assert all((masks[name] == others[name]).all() for name in masks)
    for subset in SETS:
        one, two = (sum(len(p.frames(subset, v)) for v in p.sets[subset]) for p in (careful, careless))
        assert one == two > 0
    found = leaks(careless)
    assert {leak.who for leak in found if leak.kind == "video"} == {name[:3] for name in thirty.labels}
    assert not any(leak.frames for leak in found)


@settings(max_examples=60)
@given(shared_subjects(), st.data())
def test_every_planted_leak_is_found_and_nothing_else(people, data):
    """Sets dealt at random: what leaks is worked out from the list of who is where."""
    subjects = make_corpus(people).subjects
    places = {name: data.draw(st.sampled_from(SETS)) for name in subjects}
    sets = {subset: {name: None for name, at in places.items() if at == subset} for subset in SETS}
    found = {(leak.kind, leak.who) for leak in leaks(Partition(sets), subjects)}
    expected = set()
    for one, two in itertools.combinations(subjects, 2):
        if places[one] != places[two]:
            expected |= {("video", one[:3])} if one[:3] == two[:3] else set()
            expected |= {("subject", subjects[one])} if subjects[one] == subjects[two] else set()
    assert found == expected


def test_frames_in_two_sets_are_counted():
    sets = {"train": {"a": np.array([[1, 10]])}, "test": {"a": np.array([[9, 20]]), "b": None}}
    (leak,) = leaks(Partition(sets))
    assert leak.frames == 2 and str(leak) == "video a: train (a), test (a); 2 frames in both"


# The command: it divides, checks, and leaves nothing behind when it cannot


@pytest.fixture
def affkit(tmp_path, monkeypatch, capsys):
    """Run ``affkit split`` in a folder with a small corpus of five videos, one of them with two people."""
    labels = make_corpus([["s1", "s2"], ["s3"], ["s3"], ["s4"], ["s5"]]).labels
    write_annotations(tmp_path / "corpus" / "annotations", labels)
    lines = ["v00,left,s1", "v00,right,s2", "v01,,s3", "v02,,s3", "v03,,s4", "v04,,s5"]
    (tmp_path / "corpus" / "subjects.csv").write_text("\n".join(["video,person,subject", *lines]) + "\n")
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> tuple[int, str]:
        code, output, complaints = run_affkit(monkeypatch, capsys, "split", *line.split())
        return code, (output + complaints).strip()

    return run


@pytest.mark.slow
def test_split_then_check(affkit, tmp_path):
    code, output = affkit("--data corpus --sizes 3,1,1 -o p.json")
    assert code == 0 and "AU25" in output and "107,661" in output and "variance of arousal" in output
    said = "no subject is in two sets: 5 subjects, 5 videos in train, validation, test"
    assert affkit("--check p.json") == (0, said)
    content = json.loads((tmp_path / "p.json").read_text())
    (tmp_path / "names.json").write_text(json.dumps(content | {"subjects": {}}))
    said = "no video is in two sets: 5 videos in train, validation, test; who is in them is not known, so "
    assert affkit("--check names.json") == (0, said + "only videos were checked")
    sets = {"train": {"v01": [[1, 20]], "v03": [[1, 9]]}, "test": {"v02": [[1, 20]], "v03": [[9, 20]]}}
    (tmp_path / "bad.json").write_text(json.dumps(content | {"sets": sets}))
    said = "subject s3: train (v01), test (v02)\nsubject s4: train (v03), test (v03)\n"
    assert affkit("--check bad.json") == (1, said + "video v03: train (v03), test (v03); 1 frames in both")


@pytest.mark.slow
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


@pytest.mark.slow
def test_tables_are_checked(affkit, tmp_path):
    def checked(rows, *options):
        (tmp_path / "sets.csv").write_text(rows)
        return affkit(" ".join(["--check sets.csv", *options]))

    rows, data = "video,split\nv01.mp4,train\nv02.mp4,test\nv00.mp4,val\n", "--data corpus"
    code, output = checked(rows)
    assert code == 0 and output.startswith("no video is in two sets: 3 videos in train, test, val; who")
    assert checked(rows, data) == (1, "subject s3: train (v01), test (v02)")
    rows = "video,person,set\nv00,left,train\nv00,right,test\nv03,,test\n"
    assert checked(rows, data) == (1, "video v00: train (v00_left), test (v00_right)")
    # a video as a whole holds both people
    rows = "video,set,subject\nv00,train,\nother,test,s2\n"
    assert checked(rows, data) == (1, "subject s2: train (v00), test (other)")
    rows = "video,set,subject\na,train,x\nb,test,x\nc,test,\n"
    assert checked(rows) == (1, "subject x: train (a), test (b)")
    code, output = checked(rows.replace("b,test", "b,train"))
    assert code == 0 and "for 1 names" in output
    assert "no subject is in two sets: 1 subjects, 3 videos" in output


@pytest.mark.parametrize("rows, expected", [
    ("video,subject\na,x\n", "the first line must be"),
    ("video,set\na,\n", "line 2: the set is ''"),
    ("video,set\n,train\n", "line 2: the video is ''"),
    ("video,set,subject\na,train,x\nb,train,\na,test,y\n", "line 4: another subject than above is 'y'"),
])  # fmt: skip
def test_bad_tables(tmp_path, rows, expected):
    (tmp_path / "sets.csv").write_text(rows)
    refuses(expected, check, tmp_path / "sets.csv")


@pytest.mark.slow
def test_folders_are_checked_task_by_task(affkit, tmp_path):
    va, au = Labels.empty(2), Labels.empty(2)
    va.has_va[:] = au.has_action_units[:] = True
    names = ("a", "b_left", "b_right", "c")
    write_annotations("year", dict.fromkeys(names, va), splits={"c": "validation"})
    write_annotations("year", {"a": au, "c": au, "d": au}, splits={"a": "validation", "d": "validation"})
    code, output = affkit("--check year")
    assert code == 0 and "\nnote: 2 subjects or videos are in one set of one task" in output
    said = "no video is in two sets: 4 videos in train, validation, within each of au, va; who"
    assert output.startswith(said)
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

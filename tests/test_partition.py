"""Partitions: no subject in two sets, sizes met, labels balanced, leaks found."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affkit.cli import main
from affkit.data.corpus import Corpus
from affkit.data.layouts import write_annotations
from affkit.data.leakage import check, leaks
from affkit.data.partition import (
    SETS,
    Partition,
    frame_ranges,
    random_frame_split,
    read_partition,
    write_partition,
)
from affkit.data.splitting import partition_table, split_corpus
from affkit.errors import UserError
from affkit.labels import Labels


def some_labels(rng: np.random.Generator, num_frames: int) -> Labels:
    """Labels of one video, quite unlike those of another: each has frequencies of its own."""
    labels = Labels.empty(num_frames)
    known = rng.random(num_frames) < 0.9
    labels.has_action_units[known] = True
    labels.action_units[known] = rng.random((known.sum(), 8)) < rng.beta(0.4, 3, 8)
    labels.has_expression[:] = rng.random(num_frames) < 0.7
    shares = rng.dirichlet(np.ones(7) / 3)
    labels.expression[labels.has_expression] = rng.choice(7, labels.has_expression.sum(), p=shares)
    labels.has_va[:] = True
    labels.valence[:] = np.clip(rng.normal(rng.normal(0, 0.4), 0.2, num_frames), -1, 1)
    labels.arousal[:] = np.clip(rng.normal(rng.normal(0, 0.4), 0.2, num_frames), -1, 1)
    return labels


def make_corpus(people: list[list[str]], seed: int = 0, max_frames: int = 60) -> Corpus:
    """A corpus in memory: for each video its one subject or its two, ``["s1"]`` or ``["s1", "s2"]``."""
    rng = np.random.default_rng(seed)
    subjects = {}
    for i, present in enumerate(people):
        sides = [""] if len(present) == 1 else ["_left", "_right"]
        subjects |= {f"v{i:02}{side}": who for side, who in zip(sides, present, strict=True)}
    labels = {name: some_labels(rng, int(rng.integers(20, max_frames))) for name in subjects}
    return Corpus(Path("corpus"), labels, subjects, pd.DataFrame({"subject": subjects}))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """30 videos: one of two people, two people in two videos each, everybody else in one."""
    people = [["a", "b"], ["c"], ["c"], ["a"], *([f"s{i}"] for i in range(26))]
    return make_corpus(people, max_frames=200)


@st.composite
def shared_subjects(draw) -> list[list[str]]:
    """A few videos with one or two people each, some of them in several videos."""
    subject = st.integers(0, draw(st.integers(3, 20))).map("s{}".format)
    videos = st.lists(st.lists(subject, min_size=1, max_size=2, unique=True), min_size=5, max_size=12)
    return draw(videos)


def video_sets(partition: Partition) -> dict[str, set[str]]:
    return {subset: {name[:3] for name in names} for subset, names in partition.sets.items()}


def components(people: list[list[str]]) -> list[set[int]]:
    """Videos that hang together by a subject, found by joining until nothing changes."""
    groups = [({i}, set(present)) for i, present in enumerate(people)]
    for _ in people:
        for one, two in itertools.combinations(list(groups), 2):
            if one in groups and two in groups and one[1] & two[1]:
                groups.remove(one)
                groups.remove(two)
                groups.append((one[0] | two[0], one[1] | two[1]))
    return [videos for videos, _ in groups]


def possible_sizes(people: list[list[str]]) -> set[tuple[int, ...]]:
    """All sizes of the three sets that there are, found by trying; the fourth set is what is left over."""
    possible = {(0, 0, 0)}
    for group in components(people):
        possible |= {
            tuple(n + len(group) * (i == place) for i, n in enumerate(sizes))
            for sizes in possible
            for place in range(3)
        }
    return possible


# Dividing


@settings(max_examples=20)
@given(shared_subjects(), st.data())
def test_no_subject_is_divided_and_sizes_are_met(people, data):
    corpus = make_corpus(people)
    possible = possible_sizes(people)
    any_sizes = st.tuples(*[st.integers(1, 5)] * 3)
    met = sorted(sizes for sizes in possible if min(sizes) > 0)
    sizes = data.draw(st.one_of(st.sampled_from(met), any_sizes) if met else any_sizes)
    task = data.draw(st.sampled_from(["au", "expr", "va"]))
    if sizes in possible:
        partition = split_corpus(corpus, sizes, task)
        videos = video_sets(partition)
        assert tuple(len(videos[subset]) for subset in SETS) == sizes
        where = {video: subset for subset, own in videos.items() for video in own}
        assert len(where) == sum(sizes)  # no video is in two sets
        for i, j in itertools.combinations(range(len(people)), 2):
            if set(people[i]) & set(people[j]):
                assert where.get(f"v{i:02}") == where.get(f"v{j:02}")
        names = {name for names in partition.sets.values() for name in names}
        assert names == {name for name in corpus.labels if name[:3] in where}
        assert leaks(partition) == [] and partition.subjects == {
            name: corpus.subjects[name] for name in names
        }
    else:
        with pytest.raises(UserError) as error:
            split_corpus(corpus, sizes, task)
        if len(components(people)) < 3:
            assert "hang together" in str(error.value) or "adds up to" in str(error.value)
        elif sum(sizes) <= len(people):
            nearest = tuple(map(int, str(error.value).split("nearest possible is ")[1].split(",")))
            distance = {
                other: sum(abs(a - b) for a, b in zip(other, sizes, strict=True))
                for other in possible
                if min(other) > 0
            }
            assert distance[nearest] == min(distance.values())


@pytest.mark.parametrize("sizes, expected", [
    ((28, 8, 18), "--sizes 28,8,18: adds up to 54 videos, and 30 have labels of action units"),
    ((0.6, 0.3, 0.2), "adds up to 1.1"),
    ((10, 10), "not a size for each"),
    ((10, 10, 0), "not a size for each"),
    ((10, 0.5, 5), "not a size for each"),
])  # fmt: skip
def test_bad_sizes(corpus, sizes, expected):
    with pytest.raises(UserError) as error:
        split_corpus(corpus, sizes)
    assert expected in str(error.value)


def test_shares_become_the_nearest_numbers(corpus):
    videos = video_sets(split_corpus(corpus, (0.6, 0.15, 0.25)))
    assert [len(videos[subset]) for subset in SETS] in ([18, 4, 8], [18, 5, 7])
    pairs = make_corpus([["a"], ["a"], ["b"], ["b"], ["c"], ["c"]])
    videos = video_sets(split_corpus(pairs, (0.5, 0.25, 0.25)))
    assert [len(videos[subset]) for subset in SETS] == [2, 2, 2]
    videos = video_sets(split_corpus(corpus, (0.97, 0.015, 0.015)))
    assert [len(videos[subset]) for subset in SETS] == [28, 1, 1]


def kept_rows(corpus: Corpus, task: str) -> dict[str, pd.DataFrame]:
    """Name to its frames that count, a row each, with a column for each label."""
    tables = {}
    for name, labels in corpus.labels.items():
        if task == "au":
            values, mask = labels.action_units, (labels.action_units == 1).any(axis=1)
        else:
            values, mask = np.eye(7)[labels.expression], labels.has_expression
        tables[name] = pd.DataFrame(values).assign(v=labels.valence, a=labels.arousal)[mask]
    return tables


def misfit(tables: dict[str, pd.DataFrame], sets: dict[str, list[str]]) -> float:
    """Distance of the label distributions of sets to that of all, as the documentation has it."""
    whole = pd.concat(tables.values())
    total = 0.0
    for names in sets.values():
        own = pd.concat([tables[name] for name in names])
        videos = len({name[:3] for name in names})
        total += (((own.mean() - whole.mean()) / whole.std()) ** 2).sum()
        total += ((own[["v", "a"]].var() / whole[["v", "a"]].var() - 1) ** 2).sum()
        total += (len(own) / videos / (len(whole) / 30) - 1) ** 2
    return total


@pytest.mark.parametrize("task", ["au", "expr"])
def test_sets_are_more_alike_than_random_ones(corpus, task):
    rng, tables = np.random.default_rng(1), kept_rows(corpus, task)
    groups = {}
    for name, subject in corpus.subjects.items():  # "a" and "b" hang together by the first video
        groups.setdefault("a" if subject == "b" else subject, []).append(name)
    random = []
    while len(random) < 40:
        sets = {"train": [], "validation": [], "test": []}
        for subject in groups:
            sets[rng.choice(list(sets), p=[0.6, 0.15, 0.25])] += groups[subject]
        if [len({name[:3] for name in names}) for names in sets.values()] == [18, 4, 8]:
            random.append(misfit(tables, sets))
    ours = split_corpus(corpus, (18, 4, 8), task, inactive=0 if task == "au" else None)
    found = misfit(tables, {subset: list(names) for subset, names in ours.sets.items()})
    assert found < min(random) and found < np.mean(random) / 4


def kept(partition: Partition, corpus: Corpus) -> dict[str, np.ndarray]:
    """Name to ``(T,)`` bool: the frames that are in any set."""
    masks = {name: np.zeros(len(labels), bool) for name, labels in corpus.labels.items()}
    for subset, names in partition.sets.items():
        for name in names:
            masks[name][partition.frames(subset, name) - 1] = True
    return masks


@pytest.mark.parametrize("inactive", [None, 0, 1, 300])
def test_all_active_frames_and_some_inactive_ones(corpus, inactive):
    partition = split_corpus(corpus, (18, 4, 8), inactive=inactive)
    masks = kept(partition, corpus)
    rows = [(labels, masks[name]) for name, labels in corpus.labels.items()]
    known = np.concatenate([labels.has_action_units.any(axis=1) for labels, _ in rows])
    active = np.concatenate([(labels.action_units == 1).any(axis=1) for labels, _ in rows])
    mask = np.concatenate([mask for _, mask in rows])
    assert mask[active].all() and not mask[~known].any()
    wanted = min(round(active.sum() * 40_702 / 139_298), (known & ~active).sum())
    assert mask[~active].sum() == (wanted if inactive is None else inactive)
    if inactive == 300:  # in proportion to what each set has
        for names in partition.sets.values():
            spare = sum(
                (
                    corpus.labels[name].has_action_units.any(axis=1)
                    & ~corpus.labels[name].action_units.any(axis=1)
                ).sum()
                for name in names
            )
            drawn = sum((masks[name] & ~corpus.labels[name].action_units.any(axis=1)).sum() for name in names)
            assert abs(drawn - 300 * spare / (known & ~active).sum()) < 1


def test_drawn_frames_differ_with_the_seed_and_are_spread(corpus):
    one, two = (kept(split_corpus(corpus, (18, 4, 8), inactive=300, seed=seed), corpus) for seed in (0, 1))
    assert any((one[name] != two[name]).any() for name in one)
    drawn = np.concatenate([
        np.flatnonzero(one[name] & ~labels.action_units.any(axis=1)) / len(labels)
        for name, labels in corpus.labels.items()
    ])  # fmt: skip
    assert abs(drawn.mean() - 0.5) < 0.07  # of 300 uniform numbers it is within 0.05 nearly always


@pytest.mark.parametrize("task, mask", [("expr", "has_expression"), ("va", "has_va")])
def test_all_labelled_frames_of_other_tasks(corpus, task, mask):
    masks = kept(split_corpus(corpus, (18, 4, 8), task), corpus)
    assert all((masks[name] == getattr(labels, mask)).all() for name, labels in corpus.labels.items())


@pytest.mark.parametrize("task, inactive, expected", [
    ("au", 10**6, "frames in which no unit is active; choose 0 to"),
    ("au", -1, "choose 0 to"),
    ("expr", 10, "for action units only"),
    ("pose", None, "is not a task; choose from au, expr, va"),
])  # fmt: skip
def test_bad_tasks_and_numbers(corpus, task, inactive, expected):
    with pytest.raises(UserError) as error:
        split_corpus(corpus, (18, 4, 8), task, inactive)
    assert expected in str(error.value)


def test_the_table_says_what_is_in_the_sets(corpus):
    partition = split_corpus(corpus, (18, 4, 8))
    table = partition_table(partition, corpus)
    masks = kept(partition, corpus)
    assert table.loc["videos", [*SETS, "all"]].tolist() == [18, 4, 8, 30]
    for subset in SETS:
        labels = [corpus.labels[name][masks[name]] for name in partition.sets[subset]]
        assert table.at["frames", subset] == sum(map(len, labels))
        units = np.concatenate([one.action_units for one in labels])
        np.testing.assert_allclose(table.loc["AU1":"AU25", subset], units.mean(axis=0))
        valence = np.concatenate([one.valence for one in labels])
        np.testing.assert_allclose(table.at["mean valence", subset], valence.mean(), rtol=1e-4)
        np.testing.assert_allclose(table.at["variance of valence", subset], valence.var(), rtol=1e-4)
        assert table.at["subjects", subset] == len({corpus.subjects[name] for name in partition.sets[subset]})
    assert table.loc["frames", "paper's train":].sum() == 180_000


# Files


def same(one: Partition, two: Partition) -> bool:
    cells = [
        {s: {n: np.asarray(r).tolist() for n, r in own.items()} for s, own in p.sets.items()}
        for p in (one, two)
    ]
    return cells[0] == cells[1] and (one.subjects, one.task, one.seed) == (two.subjects, two.task, two.seed)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.text(min_size=1, max_size=8))
def test_any_frames_come_back(tmp_path_factory, mask, name):
    frames = np.flatnonzero(mask) + 1
    partition = Partition({"train": {name: frame_ranges(frames), "b": None}}, {name: name + "'s"}, "va", 3)
    path = tmp_path_factory.mktemp("partition") / "p.json"
    write_partition(path, partition)
    back = read_partition(path)
    assert same(back, partition) and back.frames("train", name).tolist() == frames.tolist()
    with pytest.raises(UserError, match="already exists"):
        write_partition(path, partition)


def test_same_seed_same_bytes(corpus, tmp_path):
    written = []
    for i, seed in enumerate((5, 5, 6)):
        write_partition(tmp_path / f"{i}.json", split_corpus(corpus, (18, 4, 8), seed=seed))
        written.append((tmp_path / f"{i}.json").read_bytes())
    assert written[0] == written[1] != written[2]
    content = json.loads(written[0])
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
    ('{"sets": {"train": {"a": []}}, "subjects": {"a": 1}}', "'subjects' does not"),
])  # fmt: skip
def test_bad_files(tmp_path, text, expected):
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_partition(path)
    assert expected in str(error.value) and "p.json" in str(error.value)


def test_rows_of_a_store():
    index = pd.DataFrame(
        [("one", "s1", 1), ("one", "s1", 2), ("one", None, 2), ("two", "s2", 1), ("two", "s3", 1),
         ("turn_left", "s1", 1), ("three", "three", 1), ("three", "three", 9)],
        columns=["video", "subject", "frame"],
    )  # fmt: skip
    subjects = {"one": "s1", "two_left": "s2", "two_right": "s3", "turn_left": "s1", "three": "s4"}
    ranges = np.array([[1, 1]])
    partition = Partition(
        {
            "train": {"one": ranges, "turn_left": None, "two_right": ranges},
            "test": {"three": None, "two_left": None},
        },
        subjects,
    )
    rows = partition.rows(index)
    assert {subset: own.tolist() for subset, own in rows.items()} == {"train": [0, 4, 5], "test": [3, 6, 7]}
    with pytest.raises(UserError, match="holds no frame"):
        Partition({"train": {"other": None}}).rows(index)
    with pytest.raises(UserError, match="--labels"):
        partition.rows(index[["video", "frame"]])


def test_the_careless_split_has_the_same_frames_and_leaks(corpus):
    careful = split_corpus(corpus, (18, 4, 8))
    careless = random_frame_split(careful, seed=1)
    masks, others = kept(careful, corpus), kept(careless, corpus)
    assert all((masks[name] == others[name]).all() for name in masks)
    for subset in SETS:
        sizes = [
            sum(len(one.frames(subset, name)) for name in one.sets[subset]) for one in (careful, careless)
        ]
        assert sizes[0] == sizes[1] > 0
    found = leaks(careless)
    assert {leak.who for leak in found if leak.kind == "video"} == {name[:3] for name in corpus.labels}
    assert not any(leak.frames for leak in found)


# Leaks


@settings(max_examples=60)
@given(shared_subjects(), st.data())
def test_every_planted_leak_is_found_and_nothing_else(people, data):
    """Sets dealt at random: what leaks is worked out from the list of who is where."""
    names = [
        (f"v{i:02}{side}", f"v{i:02}", who)
        for i, present in enumerate(people)
        for side, who in zip(("_left", "_right") if len(present) == 2 else ("",), present, strict=True)
    ]
    places = [data.draw(st.sampled_from(SETS)) for _ in names]
    sets = {
        subset: {n: None for (n, _, _), at in zip(names, places, strict=True) if at == subset}
        for subset in SETS
    }
    found = {(leak.kind, leak.who) for leak in leaks(Partition(sets), {name: who for name, _, who in names})}
    expected = set()
    for (one, at), (two, other) in itertools.combinations(zip(names, places, strict=True), 2):
        if at != other:
            expected |= {("video", one[1])} if one[1] == two[1] else set()
            expected |= {("subject", one[2])} if one[2] == two[2] else set()
    assert found == expected


def test_frames_in_two_sets_are_counted():
    sets = {"train": {"a": np.array([[1, 10]])}, "test": {"a": np.array([[9, 20]]), "b": None}}
    (leak,) = leaks(Partition(sets))
    assert leak.frames == 2 and str(leak) == "video a: train (a), test (a); 2 frames in both"


# The command


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

"""Partitions: files that come back, the rows of a store, leaks found."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people import kept, shared_subjects, thirty_videos

from affkit.corpus.corpus import Corpus
from affkit.corpus.leakage import leaks
from affkit.corpus.partition import (
    SETS,
    Partition,
    frame_ranges,
    random_frame_split,
    read_partition,
    write_partition,
)
from affkit.corpus.split_by_subject import split_corpus
from affkit.errors import UserError


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return thirty_videos()


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
    sets = {"train": {name: frame_ranges(frames), "all frames": None}}  # no drawn name is as long
    partition = Partition(sets, {name: name + "'s"}, "va", 3)
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
    ('{"sets": {"train": {"a": [[1, 2147483647]]}}}', "not ranges in order"),  # would be 16 GB of numbers
    (f'{{"sets": {{"train": {{"a": [[1, {10**30}]]}}}}}}', "not ranges in order"),
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

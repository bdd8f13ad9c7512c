"""Dividing a corpus: no subject in two sets, sizes met, labels balanced."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people import kept, make_corpus, shared_subjects
from refusals import refused, refuses
from scipy.sparse.csgraph import connected_components

from affkit.corpus.corpus import Corpus
from affkit.corpus.partition import SETS, Partition, leaks
from affkit.corpus.split_by_subject import (
    INACTIVE_RATIO,
    SplitSearch,
    as_text,
    default_task,
    largest_remainder,
    parse_sizes,
    partition_table,
    split_corpus,
)
from affkit.labels import EXPRESSIONS


def video_sets(partition: Partition) -> dict[str, set[str]]:
    return {subset: {name[:3] for name in names} for subset, names in partition.sets.items()}


def components(people: list[list[str]]) -> list[int]:
    """Numbers of videos that hang together by a subject."""
    shared = [[bool(set(one) & set(other)) for other in people] for one in people]
    return np.bincount(connected_components(np.array(shared))[1]).tolist()


def possible_sizes(people: list[list[str]]) -> set[tuple[int, ...]]:
    """All sizes of the three sets that there are, found by trying; the fourth set is what is left over."""
    possible = {(0, 0, 0)}
    for size in components(people):
        steps = size * np.eye(3, dtype=int)
        possible |= {tuple((sizes + step).tolist()) for sizes in map(np.array, possible) for step in steps}
    return possible


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
        assert leaks(partition) == []
        assert partition.subjects == {name: corpus.subjects[name] for name in names}
    else:
        with refused() as error:
            split_corpus(corpus, sizes, task)
        if len(components(people)) < 3:
            words = str(error.value)
            assert words.startswith("--sizes") and ("hang together" in words or "adds up to" in words)
        elif sum(sizes) <= len(people):
            nearest = tuple(map(int, str(error.value).split("nearest possible is ")[1].split(",")))
            distance = {other: np.abs(np.subtract(other, sizes)).sum() for other in met}
            assert distance[nearest] == min(distance.values())


@pytest.mark.parametrize("sizes, expected", [
    ((28, 8, 18), "--sizes 28,8,18: adds up to 54 videos, and 30 have labels of action units"),
    ((0.6, 0.3, 0.2), "--sizes 0.6,0.3,0.2: adds up to 1.1"),
    ((10, 10), "--sizes 10,10: is not a size for each"),
    ((10, 10, 0), "--sizes 10,10,0: is not a size for each"),
    ((10, 0.5, 5), "--sizes 10,0.5,5: is not a size for each"),
    ((1.5, 0.2, 0.2), "--sizes 1.5,0.2,0.2: is not a size for each"),
    ((0.5, 0, 0.2), "--sizes 0.5,0,0.2: is not a size for each"),
])  # fmt: skip
def test_bad_sizes(thirty, sizes, expected):
    refuses(expected, split_corpus, thirty, sizes)


def test_sizes_that_are_no_numbers():
    assert parse_sizes("38,8,1.5") == [38, 8, 1.5]
    refuses("--sizes 1,nan,2: is not finite; give three numbers", parse_sizes, "1,nan,2")
    refuses("--sizes many: is not numbers with commas between them; give", parse_sizes, "many")


def test_what_is_left_goes_where_most_is_missing():
    assert largest_remainder([0.1, 0.3, 0.6], 13) == [1, 4, 8]  # 1.3, 3.9, 7.8
    assert largest_remainder([0.05, 0.15, 0.3], 13) == [1, 4, 8]


def test_shares_become_the_nearest_numbers(thirty):
    def sizes(corpus, fractions):
        return [len(videos) for videos in video_sets(split_corpus(corpus, fractions)).values()]

    assert sizes(thirty, (0.6, 0.15, 0.25)) in ([18, 4, 8], [18, 5, 7])
    assert sizes(thirty, (0.62, 0.14, 0.24)) == [19, 4, 7]  # 18.6, 4.2, 7.2
    assert sizes(thirty, (0.97, 0.015, 0.015)) == [28, 1, 1]
    assert sizes(thirty, (0.3, 0.1, 0.1)) == [9, 3, 3]  # the others are in no set
    pairs = make_corpus([["a"], ["a"], ["b"], ["b"], ["c"], ["c"]])
    assert sizes(pairs, (0.5, 0.25, 0.25)) == [2, 2, 2]


def kept_rows(corpus: Corpus, task: str, inactive=0) -> dict[str, pd.DataFrame]:
    """Name to its frames that count, a row each, with a column for each label."""
    tables = {}
    for name, labels in corpus.labels.items():
        if task == "au":
            frames = labels.has_action_units if inactive else labels.action_units == 1
            values, mask = labels.action_units, frames.any(axis=1)
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


def test_the_misfit_is_the_documented_one():
    """A label, valence and arousal of twelve groups, the latter in some frames; two groups are in no set."""
    rng = np.random.default_rng(3)
    groups = [rng.normal(rng.normal(size=3), 1, (rng.integers(20, 60), 3)) for _ in range(12)]
    for own in groups:
        own[rng.random(len(own)) < rng.random() / 2, 1:] = np.nan
    frames = [np.column_stack([own, np.ones(len(own))]) for own in groups]
    sums = [[np.isfinite(own).sum(0), np.nansum(own, 0), np.nansum(own**2, 0)] for own in frames]
    sums = np.array(sums)  # (12, 3, 4)
    search = SplitSearch(sums, np.ones(12, int), np.array([5, 2, 3]))
    whole, expected, totals = np.concatenate(groups), [], []
    for first, last in ((0, 5), (5, 7), (7, 10)):
        own = np.concatenate(groups[first:last])
        means = (np.nanmean(own, 0) - np.nanmean(whole, 0)) / np.nanstd(whole, 0)
        variances = np.nanvar(own, 0) / np.nanvar(whole, 0) - 1
        rate = len(own) / (last - first) / (len(whole) / 12) - 1
        expected.append((means**2).sum() + (variances[1:] ** 2).sum() + rate**2)
        totals.append(sums[first:last].sum(axis=0))
    np.testing.assert_allclose(search.misfit(np.array(totals), np.arange(3)), expected)
    assert search.misfit(sums[10:].sum(axis=0), np.array(3)) == 0


@pytest.mark.parametrize("task, inactive", [("au", 0), ("au", "all"), ("expr", None)])
def test_sets_are_more_alike_than_random_ones(thirty, task, inactive):
    rng, tables = np.random.default_rng(1), kept_rows(thirty, task, inactive)
    groups = {}
    for name, subject in thirty.subjects.items():  # "a" and "b" hang together by the first video
        groups.setdefault("a" if subject == "b" else subject, []).append(name)
    random = []
    while len(random) < 12:
        sets = {"train": [], "validation": [], "test": []}
        for subject in groups:
            sets[rng.choice(list(sets), p=[0.6, 0.15, 0.25])] += groups[subject]
        if [len({name[:3] for name in names}) for names in sets.values()] == [18, 4, 8]:
            random.append(misfit(tables, sets))
    if inactive == "all":
        inactive = sum(map(len, tables.values())) - sum(map(len, kept_rows(thirty, task).values()))
    ours = split_corpus(thirty, (18, 4, 8), task, inactive)
    found = misfit(tables, {subset: list(names) for subset, names in ours.sets.items()})
    assert found < min(random) / 3 and found < np.mean(random) / 6


@pytest.mark.parametrize("inactive", [None, 0, 1, 300])
def test_all_active_frames_and_some_inactive_ones(thirty, inactive):
    partition = split_corpus(thirty, (18, 4, 8), inactive=inactive)
    masks = kept(partition, thirty)
    rows = [(labels, masks[name]) for name, labels in thirty.labels.items()]
    known = np.concatenate([labels.has_action_units.any(axis=1) for labels, _ in rows])
    active = np.concatenate([(labels.action_units == 1).any(axis=1) for labels, _ in rows])
    mask = np.concatenate([mask for _, mask in rows])
    assert mask[active].all() and not mask[~known].any()
    wanted = min(round(active.sum() * 40_702 / 139_298), (known & ~active).sum())
    assert mask[~active].sum() == (wanted if inactive is None else inactive)
    if inactive == 300:  # in proportion to what each set has
        for names in partition.sets.values():
            own = [(thirty.labels[name], masks[name]) for name in names]
            calm = [one.has_action_units.any(axis=1) & ~one.action_units.any(axis=1) for one, _ in own]
            spare = sum(one.sum() for one in calm)
            drawn = sum((mask & one).sum() for (_, mask), one in zip(own, calm, strict=True))
            assert abs(drawn - 300 * spare / (known & ~active).sum()) < 1


def test_drawn_frames_differ_with_the_seed_and_are_spread(thirty):
    one, two = (kept(split_corpus(thirty, (18, 4, 8), inactive=300, seed=seed), thirty) for seed in (0, 1))
    assert any((one[name] != two[name]).any() for name in one)
    again = kept(split_corpus(thirty, (18, 4, 8), inactive=300), thirty)
    assert all((one[name] == again[name]).all() for name in one)
    drawn = np.concatenate([
        np.flatnonzero(one[name] & ~labels.action_units.any(axis=1)) / len(labels)
        for name, labels in thirty.labels.items()
    ])  # fmt: skip
    assert abs(drawn.mean() - 0.5) < 0.07  # of 300 uniform numbers it is within 0.05 nearly always


@pytest.mark.parametrize("task, mask", [("expr", "has_expression"), ("va", "has_va")])
def test_all_labelled_frames_of_other_tasks(thirty, task, mask):
    masks = kept(split_corpus(thirty, (18, 4, 8), task), thirty)
    assert all((masks[name] == getattr(labels, mask)).all() for name, labels in thirty.labels.items())


@pytest.mark.parametrize("task, inactive, expected", [
    ("au", 10**6, "frames in which no unit is active; choose 0 to"),
    ("au", -1, "choose 0 to"),
    ("expr", 10, "--inactive: is for action units only; leave it out"),
    ("pose", None, "is not a task; choose from au, expr, va"),
])  # fmt: skip
def test_bad_tasks_and_numbers(thirty, task, inactive, expected):
    refuses(expected, split_corpus, thirty, (18, 4, 8), task, inactive)


def without(corpus: Corpus, *masks: str) -> Corpus:
    """The corpus without some kinds of labels."""
    empty = {name: {m: np.zeros_like(getattr(one, m)) for m in masks} for name, one in corpus.labels.items()}
    return replace(corpus, labels={name: replace(one, **empty[name]) for name, one in corpus.labels.items()})


def test_a_corpus_without_the_labels(thirty):
    bare = without(thirty, "has_va", "has_action_units")
    assert default_task(bare) == "expr"
    refuses("corpus: has no labels of action units; choose another", split_corpus, bare, (18, 4, 8), "au")
    bare = without(bare, "has_expression")
    refuses("corpus: has no labels in any frame; label some", split_corpus, bare, (18, 4, 8))


def test_the_table_says_what_is_in_the_sets(thirty):
    partition = split_corpus(thirty, (18, 4, 8))
    table = partition_table(partition, thirty)
    masks = kept(partition, thirty)
    assert table.loc["videos", [*SETS, "all"]].tolist() == [18, 4, 8, 30]
    for subset in SETS:
        labels = [thirty.labels[name][masks[name]] for name in partition.sets[subset]]
        assert table.at["frames", subset] == sum(map(len, labels))
        units = np.concatenate([one.action_units for one in labels])
        np.testing.assert_allclose(table.loc["AU1":"AU25", subset], units.mean(axis=0))
        valence = np.concatenate([one.valence for one in labels])
        np.testing.assert_allclose(table.at["mean valence", subset], valence.mean(), rtol=1e-4)
        np.testing.assert_allclose(table.at["variance of valence", subset], valence.var(), rtol=1e-4)
        assert table.at["subjects", subset] == len({thirty.subjects[name] for name in partition.sets[subset]})
    assert table.loc["frames", "paper's train":].sum() == 180_000
    assert table.loc["videos", "paper's train":].tolist() == [38, 8, 18]
    expressions = partition_table(split_corpus(thirty, (18, 4, 8), "expr"), thirty)
    assert expressions.loc["videos", "paper's train":].tolist() == [30, 10, 15]  # Section II.D
    happy = np.concatenate([one.expression[one.has_expression] == 4 for one in thirty.labels.values()])
    assert expressions.at["Happiness", "all"] == pytest.approx(happy.mean())
    assert expressions.loc["frames", "paper's train":].tolist() == [67_525, 20_675, 27_440]
    assert set(EXPRESSIONS) < set(expressions.index) and "AU1" not in expressions.index


def test_the_table_as_text(thirty):
    """What is not known is blank, in the table and in what people read."""
    partition = split_corpus(thirty, (18, 4, 8))
    some = {
        name: replace(one, has_action_units=one.has_action_units & (np.arange(8) != 1))
        for name, one in without(thirty, "has_va").labels.items()
    }
    table = partition_table(replace(partition, task=""), replace(thirty, labels=some))
    lines = [line.partition("  ") for line in as_text(table).splitlines()]
    numbers = {name: cells.split() for name, _, cells in lines}
    assert numbers["mean valence"] == numbers["variance of arousal"] == numbers["AU2"] == []
    assert len(numbers["AU1"]) == 4 and numbers["videos"] == "18 4 8 30 38 8 18".split()
    frames = [int(kept(partition, thirty)[name].sum()) for name in partition.sets["test"]]
    assert table.at["frames", "test"] == sum(frames)
    assert numbers["frames"][4:] == ["107,661", "23,134", "49,205"]
    assert INACTIVE_RATIO == 40_702 / 139_298

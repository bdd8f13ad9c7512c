"""Agreement of hand-made annotators: agreed labels, folders that are read, what the command writes."""

import json
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from experts import EXPERTS, annotator, annotators, lagging
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refuses, run_affkit
from strategies import any_labels

from affkit.corpus import agreement
from affkit.corpus.reliability import agreement_table, reliability
from affkit.labelfiles.layouts import read_annotations, write_annotations
from affkit.labels import EXPRESSIONS, KINDS, Labels

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("keep, disagreed, first_unit, second_unit, expressions", [
    ("all", "unknown", [1, 0, None, None, None], [1, 0, None, None, None], [4, None, 0, None, None]),
    ("all", "absent", [1, 0, 0, None, None], [1, 0, 0, 0, None], [4, None, 0, None, None]),
    ("majority", "unknown", [1, 0, 1, 1, None], [1, 0, 0, 1, None], [4, 6, 0, 3, None]),
    ("majority", "absent", [1, 0, 1, 1, None], [1, 0, 0, 1, None], [4, 6, 0, 3, None]),
])  # fmt: skip
def test_three_experts(keep, disagreed, first_unit, second_unit, expressions):
    units = [list(pair) for pair in zip(first_unit, second_unit, strict=True)]
    assert agreement.agree(EXPERTS, keep, disagreed) == {"clip": annotator(units, expressions)}


def test_a_draw_is_no_majority():
    two = {name: EXPERTS[name] for name in ("A1", "A2")}
    assert agreement.agree(two, "majority") == agreement.agree(two, "all")
    assert agreement.agree(two, "majority", "absent") == agreement.agree(two, "all", "absent")


@pytest.mark.parametrize("rule", [("most", "unknown"), ("all", "present")])
def test_an_unknown_rule_is_refused(rule):
    with pytest.raises(ValueError, match="choose from"):
        agreement.agree(EXPERTS, *rule)


def test_raters_are_averaged_where_all_rated():
    traces = RNG.uniform(-1, 1, (3, 4, 2)).astype(np.float32)
    raters = {f"R{k}": {"clip": annotator(va=[*map(tuple, traces[k])])} for k in range(3)}
    raters["R1"]["clip"].has_va[2] = False
    noted = {"R0": EXPERTS["A1"], "R1": EXPERTS["A2"]}  # what else they say is left out of the ratings
    assert agreement.combine_ratings(noted) == {"clip": Labels.empty(5, ("AU1", "AU12"))}
    mean = traces.astype(np.float64).mean(axis=0)
    for labels in (agreement.agree(raters)["clip"], agreement.combine_ratings(raters)["clip"]):
        assert labels.has_va.tolist() == [True, True, False, True]
        found = np.stack([labels.valence, labels.arousal], axis=1)[labels.has_va]
        np.testing.assert_allclose(found, mean[[0, 1, 3]], atol=1e-7)
        assert labels.valence[2] == labels.arousal[2] == 0
    values, _ = agreement.decide(agreement.gather(raters, "valence-arousal"))
    np.testing.assert_allclose(values[[0, 1, 3]], mean[[0, 1, 3]], rtol=1e-14)  # not in single precision


def test_experts_and_raters_do_not_wait_for_each_other():
    """A rater who labels no action units is no vote against them; nobody agrees alone."""
    raters = {f"R{k}": {"clip": annotator(va=[(0.5, k / 10)] * 5)} for k in range(2)}
    alone = {"A4": {"clip": annotator(va=[(0.5, 0.0)] * 5)}}
    both = agreement.agree(EXPERTS | raters)["clip"]
    assert both.has_va.all() and both.arousal == pytest.approx([0.05] * 5)
    assert replace(both, has_va=np.zeros(5, bool)) == agreement.agree(EXPERTS)["clip"]
    assert not agreement.agree(EXPERTS | alone)["clip"].has_va.any()


def test_every_video_is_agreed_on_by_itself():
    swapped = {name: {"a": one["clip"], "b": one["clip"][::-1]} for name, one in EXPERTS.items()}
    swapped = {name: one | {"c": Labels.empty(2, ("AU1", "AU12"))} for name, one in swapped.items()}
    alone = agreement.agree(EXPERTS)["clip"]
    assert agreement.agree(swapped) == {"a": alone, "b": alone[::-1], "c": Labels.empty(2, ("AU1", "AU12"))}
    assert list(agreement.gather(swapped, "expressions").rows) == ["a", "b"]


@settings(max_examples=25)
@given(annotators(), st.sampled_from(["unknown", "absent"]), st.randoms())
def test_order_of_annotators_does_not_matter(annotators, disagreed, random):
    names = random.sample(list(annotators), len(annotators))
    other = {name: annotators[name] for name in names}
    for keep in ("all", "majority"):
        mine, theirs = agreement.agree(annotators, keep, disagreed), agreement.agree(other, keep, disagreed)
        for video, one in mine.items():
            pairs = [(one.valence, theirs[video].valence), (one.arousal, theirs[video].arousal)]
            # the last digit of a sum depends on the order; nothing else may
            np.testing.assert_allclose(*zip(*pairs, strict=True), rtol=1e-6, atol=1e-12)
            assert replace(theirs[video], valence=one.valence, arousal=one.arousal) == one
    tables = (agreement_table(one) for one in (annotators, other))
    whole = (table[~table["statistic"].str.contains(" and ")] for table in tables)  # no pairs: A1 and A2
    mine, theirs = (table.set_index(["task", "tag", "statistic"])["value"] for table in whole)
    assert mine.sort_index().to_dict() == pytest.approx(theirs.sort_index().to_dict(), nan_ok=True)


@settings(max_examples=25)
@given(annotators())
def test_what_is_agreed_on_is_what_each_of_them_said(annotators):
    for video, agreed in agreement.agree(annotators).items():
        for labels in annotators.values():
            own = labels[video]
            for mask, names in KINDS.values():
                if any(getattr(one, mask).any() for one in labels.values()):
                    known = getattr(agreed, mask)
                    assert getattr(own, mask)[known].all()
                    for name in names if mask != "has_va" else ():  # a mean of ratings is nobody's own
                        assert (getattr(own, name)[known] == getattr(agreed, name)[known]).all()


@settings(max_examples=25)
@given(any_labels(("AU1", "AU12")))
def test_who_is_asked_twice_agrees(labels):
    twice = {"A1": {"clip": labels}, "A2": {"clip": labels}}
    assert agreement.agree(twice) == {"clip": labels}
    table = reliability(twice)
    beyond = table[~table["statistic"].isin(["annotators", "percent agreement"])]["value"]
    assert np.allclose(beyond.dropna(), 1, atol=1e-6)
    assert (table[table["statistic"] == "percent agreement"]["value"].dropna() == 100).all()


def test_who_rates_alone_is_not_late():
    alone = lagging([7])
    assert agreement.align_ratings(alone, 20) == (alone, {"R0": 0})


def folders(tmp_path, annotators, **options):
    for name, labels in annotators.items():
        write_annotations(tmp_path / name, labels, **options)
    return [tmp_path / name for name in annotators]


@pytest.mark.parametrize("layout", ["abaw1", "abaw6"])
def test_annotators_come_from_folders(tmp_path, layout):
    assert agreement.read_annotators(folders(tmp_path, EXPERTS, layout=layout)) == EXPERTS


def test_annotators_come_from_tables(tmp_path):
    for name, valence in (("R1", 0.25), ("R2.b", -1)):
        line = f"video,frame,valence,arousal\nclip,1,{valence},0.5\n"
        (tmp_path / f"{name}.csv").write_text(line)
    read = agreement.read_annotators([tmp_path / "R1.csv", tmp_path / "R2.b.csv"])
    assert {name: one["clip"].valence.tolist() for name, one in read.items()} == {"R1": [0.25], "R2.b": [-1]}


def test_units_that_somebody_has_no_column_for_are_masked(tmp_path):
    some = {"A1": {"clip": annotator([[1, 1]])}, "A2": {"clip": annotator([[1, 1]], names=("AU1", "AU7"))}}
    read = agreement.read_annotators(folders(tmp_path, some))
    assert {one["clip"].action_unit_names for one in read.values()} == {("AU1", "AU12", "AU7")}
    assert agreement.agree(read)["clip"].has_action_units.tolist() == [[True, False, False]]


def test_who_chose_no_expression_gets_the_list_of_the_others():
    read = agreement.comparable({"A1": {"clip": OTHER}, "A2": {"clip": OTHER}, "A3": NOBODY})
    assert {one["clip"].expression_names for one in read.values()} == {OTHER.expression_names}


NOBODY = {"clip": Labels.empty(5)}
OTHER = replace(annotator(expressions=[1] * 5), expression_names=(*EXPRESSIONS, "Other"))


@pytest.mark.parametrize("changes, words", [
    ({"A2": {"clip": EXPERTS["A2"]["clip"][:4]}}, ["clip: 4 frames by A2", "5 by A1"]),
    ({"A3": {"other": EXPERTS["A3"]["clip"]}}, ["A3: has no labels of clip (2 of 2 ", "annotate the same"]),
    ({"A3": EXPERTS["A3"] | {"other": EXPERTS["A3"]["clip"]}}, ["A1: has no labels of other", "--common"]),
    ({"A2": {"clip": OTHER}}, ["A2: chose from", "Other", "A1 from"]),
])  # fmt: skip
def test_annotators_that_cannot_be_compared(tmp_path, changes, words):
    refuses(words, agreement.read_annotators, folders(tmp_path, EXPERTS | changes))


def test_tasks_of_different_people_have_nothing_in_common():
    lone = {"A1": {"clip": annotator(units=[[1, 1]])}, "R1": {"clip": annotator(va=[(0.0, 0.0)])}}
    refuses("A1, R1: no task was done by two", agreement.comparable, lone)


def test_common_videos_are_kept_on_demand():
    more = EXPERTS | {"A3": EXPERTS["A3"] | {"b": EXPERTS["A3"]["clip"], "c": EXPERTS["A3"]["clip"]}}
    with pytest.warns(UserWarning, match="2 of 3 videos are left out") as told:
        assert agreement.comparable(more, common_only=True) == EXPERTS
    assert told[0].filename == __file__  # the line that asked for it
    with warnings.catch_warnings(action="error"):
        assert agreement.comparable(EXPERTS, common_only=True) == EXPERTS


def test_each_annotator_is_given_once(tmp_path):
    one, two, _ = folders(tmp_path, EXPERTS)
    write_annotations(tmp_path / "again" / "A1", EXPERTS["A1"])
    read = agreement.read_annotators
    twice, again = tmp_path / "A2" / ".." / "A1", tmp_path / "again" / "A1"
    refuses(f"{one}: agreement needs two annotators", read, [one])
    refuses("annotators: agreement needs two annotators", read, [])
    refuses(f"{twice}: is given twice", read, [one, two, twice])
    refuses(f"{again}: another annotator is called A1", read, [one, two, again])
    refuses("no such folder", read, [one, tmp_path / "none"])


def test_the_command_writes_what_the_library_says(tmp_path, monkeypatch, capsys):
    out = tmp_path / "agreed"
    run = partial(run_affkit, monkeypatch, capsys, "agree", *folders(tmp_path, EXPERTS), "-o", out)
    code, said, _ = run("--disagreed", "absent")
    assert code == 0 and "action units: frames" in said
    assert read_annotations(out) == agreement.agree(EXPERTS, disagreed="absent")
    lines = (out / "agreement.csv").read_text().splitlines()
    assert lines[0] == "task,tag,statistic,value" and "action units,AU1,kept,3" in lines
    assert "expressions,Disgust,Fleiss' kappa," in lines  # not defined: an empty cell

    before = sorted(out.rglob("*"))
    code, _, complaints = run()
    assert code == 2 and "already exists" in complaints and sorted(out.rglob("*")) == before
    rows = json.loads(run("--force", "--keep", "majority", "--json")[1])
    assert {"task": "action units", "tag": "AU1", "statistic": "kept", "value": 4.0} in rows
    assert read_annotations(out) == agreement.agree(EXPERTS, "majority")


def test_the_command_aligns_raters(tmp_path, monkeypatch, capsys):
    given = folders(tmp_path, lagging([0, 20, 5]))
    line = (*given, "-o", tmp_path / "out", "--align", "2.5", "--fps", "12", "--json")
    code, said, _ = run_affkit(monkeypatch, capsys, "agree", *line)
    lags = {row["tag"]: row["value"] for row in json.loads(said) if row["statistic"] == "lag"}
    assert code == 0 and lags == {"R0": 0, "R1": 20, "R2": 5}
    assert read_annotations(tmp_path / "out")["v0"].has_va.sum() == 380


def test_what_is_not_ours_is_never_replaced(tmp_path):
    table = agreement_table(EXPERTS)
    write_annotations(tmp_path / "mine", EXPERTS["A1"])
    agreement.write_agreement(tmp_path / "notes", EXPERTS["A1"], table)
    (tmp_path / "notes" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    problems = {
        "mine": "without agreement.csv",
        "notes": "notes: holds thesis.txt",
        "file": "file: is not a folder",
    }
    for name, words in problems.items():
        refuses(words, agreement.write_agreement, tmp_path / name, EXPERTS["A1"], table, force=True)
    assert sorted(tmp_path.rglob("*")) == before
    agreement.write_agreement(tmp_path / "empty", EXPERTS["A1"], table)
    assert read_annotations(tmp_path / "empty") == EXPERTS["A1"]

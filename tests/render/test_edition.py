"""The annotated corpus: the counts of Section II, labels that coders and raters gave, and a pool of faces."""

import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mishaps.judge import contents
from refusals import refuses

from affkit.corpus.corpus import Corpus
from affkit.faces.pool import read_pool
from affkit.labelfiles.layouts import read_annotations
from affkit_render import corpus as filming
from affkit_render.corpus import ClipPlan, PersonPlan, film_all
from affkit_render.edition import KIT, KIT_SEED, Estimate, estimate, label_corpus, plan_corpus, read_scale
from affkit_render.pool import draw_pool

pytestmark = pytest.mark.slow  # draws faces


def part(plans, name):
    return [plan for plan in plans if name in plan.parts]


def people(plans):
    return [person for plan in plans for person in plan.people]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fraction", [0.02, 0.3, 1])
def test_counts_are_those_of_tables_1_and_4(fraction, seed):
    plans = plan_corpus(fraction, seed)
    for name, videos, men, women in (("au", 64, 40, 24), ("expression", 55, 25, 31)):
        chosen = part(plans, name)
        assert len(chosen) == videos
        assert Counter(person.gender for person in people(chosen)) == {"male": men, "female": women}
    subjects = [person.subject for person in people(plans)]
    assert len(plans) == 70 and len(subjects) == len(set(subjects)) == 71
    assert sum(len(plan.people) == 2 for plan in plans) == 1
    assert plan_corpus(fraction, seed) == plans
    others = people(plan_corpus(fraction, seed + 1))
    assert not {person.seed for person in people(plans)} & {person.seed for person in others}


@given(st.integers(0, 1000))
def test_lengths_are_those_of_the_paper_and_faces_large_enough_and_inside(seed):
    plans = plan_corpus(1, seed)
    for name, frames, shortest in (("au", 234_000, 90), ("expression", 288_000, 120)):
        lengths = [len(plan.times) for plan in part(plans, name)]
        assert sum(lengths) == frames
        assert min(lengths) == shortest
        assert max(lengths) > 2 * np.median(lengths)  # a few long ones
    for plan in (*plans, *plan_corpus(0.02, seed)):
        assert plan.size[0] % 2 == plan.size[1] % 2 == 0
        for person in plan.people:
            assert person.face >= 118 and person.least_width == 96
            assert person.face < 0.7 * min(plan.size[1], plan.size[0])
            if person.away:
                assert 0 < person.away[0] < person.away[1] < plan.seconds


def test_a_narrow_face_is_drawn_larger(tmp_path):
    person = PersonPlan("s", 5, face=50, least_width=64)
    film_all([ClipPlan("narrow", (person,), 1, seed=4, size=(176, 160), fps=6)], tmp_path, progress=False)
    widths = pd.read_csv(tmp_path / "truth" / "narrow.csv")["width"]
    assert 64 <= widths.min() < widths.max() < 90


def test_names_and_sizes_do_not_tell_the_part():
    """The clips of one part are neither the first nor of sizes of their own."""
    plans = plan_corpus(KIT, KIT_SEED)
    both = ["au" in plan.parts and "expression" in plan.parts for plan in plans]
    assert 14 < sum(both[:35]) < 35  # of 49
    assert len({plan.size for plan in plans}) >= 4


def test_scales():
    assert read_scale("kit") == KIT == 0.1 and read_scale("0.5") == 0.5
    refuses("--scale", read_scale, "1e9")  # more are tried in test_reliability_report.py


ONE = PersonPlan("s1", 5, face=100, emotions=("Happiness",))
OTHER = PersonPlan("s2", 9, face=100)
TWO = (
    ClipPlan("one", (ONE,), 2, seed=1, size=(200, 160), fps=10, parts=("au", "expression")),
    ClipPlan("two", (OTHER,), 2, seed=2, size=(200, 160), fps=10, parts=("au",)),
)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """Two short clips."""
    out = tmp_path_factory.mktemp("edition") / "corpus"
    film_all(TWO, out, progress=False)
    assert not (out / "annotations").exists()  # the truth is not given away as labels
    return out


@pytest.fixture(scope="module")
def labelled(filmed):
    out = shutil.copytree(filmed, filmed.with_name("labelled"))
    label_corpus(TWO, out, seed=3, progress=False)
    return out


def test_labels_are_what_all_coders_said_and_the_same_when_labelled_again(labelled):
    corpus = Corpus.open(labelled)
    coders = [read_annotations(labelled / "coders" / f"{name}.csv") for name in ("A1", "A2", "A3")]
    assert corpus.videos == ["one", "two"]
    for video in corpus.videos:
        said = np.stack([coder[video].action_units for coder in coders])
        known = np.stack([coder[video].has_action_units for coder in coders]).all(axis=0)
        unanimous = known & (said == said[0]).all(axis=0)
        assert np.array_equal(corpus.labels[video].has_action_units, unanimous)
        assert np.array_equal(corpus.labels[video].action_units[unanimous], said[0][unanimous])
    assert corpus.labels["one"].has_expression.any()
    assert not corpus.labels["two"].has_expression.any()
    assert len(list((labelled / "raters").iterdir())) == 8
    assert corpus.labels["one"].has_va.any()
    before = contents(labelled)
    label_corpus(TWO, labelled, seed=3, progress=False)
    assert contents(labelled) == before


def test_truth_says_how_strongly_each_expression_is_shown(labelled):
    truth = pd.read_csv(labelled / "truth" / "one.csv")
    assert truth["shown_Happiness"].max() > 0.5
    shown = truth.filter(like="shown_")
    strongest = shown.columns[shown.to_numpy().argmax(axis=1)].str.removeprefix("shown_")
    happy = truth["expression"] == 4
    assert happy.any() and set(strongest[happy]) == {"Happiness"}


def test_a_killed_run_goes_on_and_a_finished_one_is_refused(filmed, labelled, tmp_path, monkeypatch):
    out = shutil.copytree(filmed, tmp_path / "corpus")
    again = []
    monkeypatch.setattr(filming, "film", lambda plan, *_: again.append(plan.name))
    film_all(TWO, out, progress=False)  # killed between filming and labelling: nothing to film
    label_corpus(TWO, out, seed=3, progress=False)
    assert again == []
    refuses("already exists", film_all, TWO, out, progress=False)
    for path in (path for path in labelled.rglob("*.*") if path.suffix in (".txt", ".csv")):
        assert (out / path.relative_to(labelled)).read_bytes() == path.read_bytes()


def test_an_estimate_counts_frames_and_grows_with_them():
    short = [replace(plan, parts=()) for plan in TWO]
    long = [replace(plan, seconds=10 * plan.seconds) for plan in short]
    small, large = estimate(short), estimate(long)
    assert small.frames == 40 and large.frames == 400
    assert large.seconds > 2 * small.seconds > 0
    assert large.video_bytes > 5 * small.video_bytes > 0
    words = "1,000 frames: about 1.0 hours (2 at a time), 1.50 GB on disk"
    assert Estimate(1000, 7200, 1e9, 5e8).text(jobs=2) == words


def test_a_pool_has_another_person_in_each_picture(tmp_path, monkeypatch):
    monkeypatch.setattr("affkit.faces.pool.SHEET_COLUMNS", 2)
    monkeypatch.setattr("affkit_render.pool.SHEET_COLUMNS", 2)
    draw_pool(tmp_path / "a", 2, seed=1, size=48, progress=False)
    faces = read_pool(tmp_path / "a")
    assert faces.shape == (2, 48, 48, 3)
    assert np.abs(faces[0].astype(int) - faces[1]).mean() > 10
    draw_pool(tmp_path / "b", 2, seed=1, size=48, progress=False)
    assert np.array_equal(read_pool(tmp_path / "b"), faces)
    refuses("multiple of 2", draw_pool, tmp_path / "c", 3)

"""The shipped corpus keeps what its datasheet says: counts, sizes, faces, labels from coders and raters."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from guesses import plain_ccc
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import cohen_kappa_score

from affkit.corpus.corpus import Corpus
from affkit.faces.pool import read_pool
from affkit.labelfiles.layouts import read_annotations, video_of
from affkit.labels import ACTION_UNITS
from affkit.video.video import Video
from affkit_render.annotators import annotate_corpus
from affkit_render.edition import KIT_ANNOTATORS

pytestmark = pytest.mark.slow  # draws faces

DATA = Path(__file__).parents[2] / "data_samples"
ROOT = DATA / "corpus"
TABLE_III = {"AU1": 43948, "AU2": 25312, "AU4": 38879, "AU6": 48185}
TABLE_III |= {"AU12": 45291, "AU15": 7023, "AU20": 9270, "AU25": 17741}
MASKS = ("has_action_units", "has_expression")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus.open(ROOT)


@pytest.fixture(scope="module")
def truths() -> dict[str, pd.DataFrame]:
    return {path.stem: pd.read_csv(path) for path in sorted((ROOT / "truth").glob("*.csv"))}


@pytest.fixture(scope="module")
def coders() -> dict:
    return {name: read_annotations(ROOT / "coders" / f"{name}.csv") for name in ("A1", "A2", "A3")}


def part(labels, task):
    return [name for name, one in labels.items() if getattr(one, task).any()]


def test_all_samples_together_stay_small():
    """The multi-task networks came later and have a budget of their own."""
    sizes = {path: path.stat().st_size for path in DATA.rglob("*") if path.is_file()}
    later = {path for path in sizes if path.parent == DATA / "weights" and path.stem in ("cnn", "affwildnet")}
    assert sum(sizes[path] for path in later) < 6e6
    assert sum(size for path, size in sizes.items() if path not in later) < 46e6


def test_parts_have_the_papers_videos_and_people(corpus, coders):
    for task, videos, men, women in (("has_action_units", 64, 40, 24), ("has_expression", 55, 25, 31)):
        names = part(coders["A1"], task)
        assert len({video_of(name)[0] for name in names}) == videos
        assert set(part(corpus.labels, task)) == set(names)  # in each of them the coders agree on something
        genders = corpus.attributes.loc[names].drop_duplicates("subject")["gender"]
        assert genders.value_counts().to_dict() == {"male": men, "female": women}
    assert len(set(corpus.subjects.values())) == 71


def test_videos_are_30_frames_a_second_and_as_long_as_their_labels(corpus, truths):
    sizes, lengths = set(), []
    for name in corpus.videos:
        info = Video(corpus.video_path(name))
        assert info.fps == 30 and info.path.suffix == ".mp4"
        assert info.num_frames == len(corpus.labels[name]) == len(truths[name])
        sizes.add((info.width, info.height))
        lengths.append(info.duration)
    assert len(sizes) >= 4
    assert min(lengths) == pytest.approx(3, abs=0.05) and max(lengths) > 20


def test_faces_are_at_least_96_pixels_across(truths):
    """Those that face the camera; a moving face can be narrower than at rest by less than a pixel."""
    table = pd.concat(truths.values())
    facing = table[(table["visible"] == 1) & (table["yaw"].abs() < 0.3)]
    assert facing["width"].min() > 95
    assert (facing["width"] >= 96).mean() > 0.999


def test_action_units_are_as_frequent_as_in_table_3(corpus, coders, truths):
    names = part(coders["A1"], "has_action_units")
    true = pd.concat([truths[name] for name in names])[list(ACTION_UNITS)] > 0.2
    assert true.mean().rank().to_dict() == pd.Series(TABLE_III).rank().to_dict()
    ratio = true.mean() / (pd.Series(TABLE_III) / 234_000)
    assert ratio.between(0.6, 1.5).all()
    agreed = np.concatenate([corpus.labels[name].action_units for name in names]).mean(axis=0)
    assert spearmanr(agreed, list(TABLE_III.values())).statistic > 0.85


def test_labels_are_what_all_coders_say_and_coders_differ(corpus, coders):
    names = part(coders["A1"], "has_action_units")

    def frames(labels, column):
        return np.concatenate([getattr(labels[name], column) for name in names])

    said = np.stack([frames(coder, "action_units") for coder in coders.values()])
    known = np.all([frames(coder, "has_action_units") for coder in coders.values()], axis=0)
    same = known & (said == said[0]).all(axis=0)
    assert np.array_equal(frames(corpus.labels, "has_action_units"), same)
    assert np.array_equal(frames(corpus.labels, "action_units")[same], said[0][same])
    kappa = {
        unit: cohen_kappa_score(said[0, known[:, k], k], said[1, known[:, k], k])
        for k, unit in enumerate(ACTION_UNITS)
    }
    assert 0.3 < min(kappa.values()) and max(kappa.values()) < 0.97
    hard, easy = [kappa[unit] for unit in ("AU6", "AU20")], [kappa[unit] for unit in ("AU12", "AU25")]
    assert np.mean(hard) < np.mean(easy)


def test_the_annotators_tables_are_those_of_their_seed(tmp_path, coders):
    names = ["clip_29", "clip_36", "clip_40_left"]
    (tmp_path / "truth").mkdir()
    for name in names:
        shutil.copy(ROOT / "truth" / f"{name}.csv", tmp_path / "truth")
    parts = [[name for name in names if getattr(coders["A1"][name], part).any()] for part in MASKS]
    annotate_corpus(tmp_path, KIT_ANNOTATORS, *parts, progress=False)
    for path in (*(tmp_path / "coders").iterdir(), *(tmp_path / "raters").iterdir()):
        shipped = (ROOT / path.relative_to(tmp_path)).read_text().splitlines()
        lines = [line for line in shipped if line.startswith(("video", *(f"{name}," for name in names)))]
        assert path.read_text().splitlines() == lines


def test_valence_and_arousal_are_near_the_truth_but_not_it(corpus, truths):
    for dimension in ("valence", "arousal"):
        labels = [corpus.labels[name] for name in truths]
        rated = np.concatenate([getattr(one, dimension)[one.has_va] for one in labels])
        pairs = zip(truths.values(), labels, strict=True)
        true = np.concatenate([truth[dimension].to_numpy()[one.has_va] for truth, one in pairs])
        assert 0.75 < plain_ccc(rated, true) < 0.97


def test_every_expression_is_agreed_on_somewhere_and_most_frames_are_neutral(corpus):
    agreed = [one.expression[one.has_expression] for one in corpus.labels.values()]
    counts = np.bincount(np.concatenate(agreed), minlength=7)
    assert counts.min() > 20 and counts.argmax() == 0
    assert counts[1:].argmax() == 3  # Happiness


def test_the_pool_shows_many_other_people():
    pool = read_pool(DATA / "pool")
    assert pool.shape[1:] == (96, 96, 3) and len(pool) >= 256
    small = pool[:, ::8, ::8].reshape(len(pool), -1).astype(float)
    assert pdist(small, "cityblock").min() / small.shape[1] > 4  # mean difference of two faces


def test_true_action_units_do_not_give_feelings_away(corpus, truths):
    """A boosted tree, on people it has not seen, stays clearly below a CCC of 0.95."""
    table = pd.concat([truth.assign(subject=corpus.subjects[name]) for name, truth in truths.items()])
    units = [column for column in table if column.startswith("AU")]
    held_out = table["subject"].isin(sorted(set(table["subject"]))[::3])
    train, test = table[~held_out], table[held_out]
    for dimension in ("valence", "arousal"):
        tree = HistGradientBoostingRegressor(random_state=0).fit(train[units], train[dimension])
        assert 0.2 < plain_ccc(tree.predict(test[units]), test[dimension]) < 0.9

"""Intervals by subject, against plain loops over frames, SciPy, and simulated people."""

import numpy as np
import pandas as pd
import pytest
from guesses import labels_and_guesses, scores_by_frame
from refusals import refuses
from scipy import stats

from affkit.evaluation import intervals
from affkit.evaluation.evaluate import Options, evaluate_labels
from affkit.evaluation.intervals import bootstrap, paired_difference, percentile_interval, resample_counts

QUICK = Options(num_resamples=0)


def fraction(sums):
    """Right answers of all answers."""
    return {"fraction": sums["answers"][..., 0] / sums["answers"][..., 1]}


@pytest.mark.parametrize("per_video", [False, True], ids=["pooled frames", "means over videos"])
def test_resamples_are_those_of_a_plain_loop(per_video):
    guesses, truth, subjects = labels_and_guesses()
    options = Options(num_resamples=0, per_video=per_video)
    sample = evaluate_labels(guesses, truth, "mtl", subjects, options).sample
    videos = {name: [video for video in truth if subjects[video] == name] for name in sample.subjects}
    assert sorted(map(len, videos.values())) == [1, 1, 1, 2, 2]
    each = pd.DataFrame({video: scores_by_frame(guesses, truth, [video]) for video in truth})
    found = bootstrap(sample, 25, seed=3)
    for number, counts in enumerate(resample_counts(len(videos), 25, seed=3)):
        drawn = [video for name, count in zip(videos, counts, strict=True) for video in videos[name] * count]
        row = {name: values[number] for name, values in found.items()}
        pooled = scores_by_frame(guesses, truth, drawn)
        expected = each[drawn].mean(axis=1).to_dict() if per_video else pooled
        assert row == pytest.approx(expected, rel=1e-9, nan_ok=True)
    assert (resample_counts(6, 50, seed=1) != resample_counts(6, 50, seed=2)).any()


def test_the_interval_of_a_mean_is_that_of_scipy_and_leaves_out_what_is_not_defined():
    """A score that is a mean over subjects is the plain bootstrap of SciPy."""
    values = np.random.default_rng(0).normal(0.5, 0.2, 40)
    rows = np.stack([values, np.ones(40)], axis=1)
    sample = intervals.SubjectSums(tuple(map(str, range(40))), {"answers": rows}, fraction)
    ours = percentile_interval(bootstrap(sample, 10_000)["fraction"])
    theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=1)
    np.testing.assert_allclose(ours, theirs.confidence_interval, atol=0.005)  # the width is 0.12
    assert percentile_interval(np.append(values, np.nan)) == percentile_interval(values)
    assert np.isnan(percentile_interval(np.full(3, np.nan))).all()


def test_intervals_by_subject_cover_and_intervals_by_frame_do_not():
    """People differ: of 150 experiments with 40 people, about 95% of the intervals hold the true fraction."""
    rng, held = np.random.default_rng(5), {"subjects": [], "frames": []}
    for experiment in range(150):
        ability = rng.beta(2, 1, 40)  # each answers rightly in this fraction of the frames; 2/3 on average
        right = rng.random((40, 30)) < ability[:, None]
        rows = {"subjects": np.stack([right.sum(axis=1), np.full(40, 30)], axis=1)}
        if experiment < 40:  # it is plain by then
            rows["frames"] = np.stack([right.ravel(), np.ones(1200)], axis=1)
        for kind, answers in rows.items():
            people = tuple(map(str, range(len(answers))))
            sample = intervals.SubjectSums(people, {"answers": answers}, fraction)
            low, high = percentile_interval(bootstrap(sample, 200, seed=experiment)["fraction"])
            held[kind].append(low <= 2 / 3 <= high)
    assert 0.9 <= np.mean(held["subjects"]) <= 0.985 and np.mean(held["frames"]) < 0.6


def test_a_paired_difference_is_surer_than_two_intervals():
    """Two predictors, one a little better; what is hard in a video is hard for both."""
    guesses, truth, subjects = labels_and_guesses(30, noise=0.4)
    better = {}
    for name, guess in guesses.items():
        better[name] = guess[np.arange(len(guess))]
        better[name].valence[:] = 0.9 * guess.valence + 0.1 * truth[name].valence
    first, second = (evaluate_labels(one, truth, "va", subjects) for one in (better, guesses))
    table = paired_difference(first.sample, second.sample, 500)
    row = table.loc["ccc_valence"]
    assert row["first"] == first.table.at["ccc_valence", "value"] and row["first"] > row["second"]
    assert row["difference"] == row["first"] - row["second"]
    assert row["low"] > 0 and row["above_zero"] == 1
    assert first.table.at["ccc_valence", "low"] < second.table.at["ccc_valence", "high"]  # these overlap
    assert (table.loc["ccc_arousal", ["difference", "low", "high", "above_zero"]] == 0).all()
    backwards = paired_difference(second.sample, first.sample, 500)
    np.testing.assert_allclose(backwards["low"], -table["high"])
    assert backwards.at["ccc_valence", "above_zero"] == 0


def test_paired_subjects_are_found_by_name():
    guesses, truth, subjects = labels_and_guesses()
    worse, _, _ = labels_and_guesses(noise=0.8)
    backwards = dict(reversed(truth.items()))
    first, second, turned = (
        evaluate_labels(one, labels, "au", subjects, QUICK).sample
        for one, labels in ((guesses, truth), (worse, truth), (worse, backwards))
    )
    assert second.subjects == tuple(reversed(turned.subjects))
    tables = [paired_difference(first, other, 200) for other in (second, turned)]
    np.testing.assert_allclose(*tables)
    assert tables[0].at["au_f1_macro", "low"] > 0


def test_a_paired_difference_needs_the_same_people_and_two_of_them():
    guesses, truth, subjects = labels_and_guesses(4)
    fewer = {name: truth[name] for name in ("clip_0", "clip_1")}
    all_four, two, alone = (
        evaluate_labels(guesses, labels, "va", people, QUICK).sample
        for labels, people in ((truth, {}), (fewer, {}), (fewer, subjects))
    )
    refuses("only one of the two has subject clip_2", paired_difference, all_four, two)
    refuses("one subject only", paired_difference, alone, alone)

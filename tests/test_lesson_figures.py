"""What the figures of single lessons show is what they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from affkit.show.lesson_figures import scores_by_group, share_heatmap


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_a_heatmap_writes_each_share_once_and_nothing_for_none():
    shares = pd.DataFrame({"a": [0.5, 0.0], "b": [np.nan, 1.0], "c": [0.004, 0.25]}, index=["x", "y"])
    axis = share_heatmap(shares, "some shares").axes[0]
    assert [text.get_text() for text in axis.texts] == ["50%", "", "0%", "", "100%", "25%"]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["a", "b", "c"]
    np.testing.assert_array_equal(axis.collections[0].get_array(), shares.fillna(0))
    assert axis.get_title() == "some shares"


def test_scores_show_every_run_their_mean_and_the_baseline():
    rng = np.random.default_rng(0)
    scores = pd.DataFrame({"split": ["a", "b"] * 5, "one": rng.random(10), "two": rng.random(10)})
    figure = scores_by_group(
        scores, "split", {"one": "First", "two": "Second"}, {"a": "way a"}, {"two": 0.125}
    )
    first, second = figure.axes
    assert [axis.get_title() for axis in figure.axes] == ["First", "Second"]
    assert [tick.get_text() for tick in first.get_xticklabels()] == ["way a", "b"]
    for axis, column in ((first, "one"), (second, "two")):
        dots_a, dots_b, means = (line.get_ydata() for line in axis.lines[:3])
        np.testing.assert_array_equal(dots_a, scores[column][::2])
        np.testing.assert_array_equal(dots_b, scores[column][1::2])
        np.testing.assert_allclose(means, scores.groupby("split")[column].mean())
    assert len(first.lines) == 3 and list(second.lines[3].get_ydata()) == [0.125, 0.125]


def test_one_run_stands_in_the_middle():
    scores = pd.DataFrame({"people": [4, 8], "ccc": [0.1, 0.2]})
    axis = scores_by_group(scores, "people", {"ccc": "CCC"}).axes[0]
    assert [line.get_xdata()[0] for line in axis.lines[:2]] == [0, 1]

"""What the figures of single lessons show is what they were given."""

import numpy as np
import pandas as pd

from affkit_course.lessons import figures


def test_a_heatmap_writes_each_share_once_and_nothing_for_none():
    fractions = pd.DataFrame({"a": [0.5, 0.0], "b": [np.nan, 1.0], "c": [0.004, 0.25]}, index=["x", "y"])
    axis = figures.fraction_heatmap(fractions, "some fractions").axes[0]
    assert [text.get_text() for text in axis.texts] == ["50%", "", "0%", "", "100%", "25%"]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["a", "b", "c"]
    np.testing.assert_array_equal(axis.collections[0].get_array(), fractions.fillna(0))
    assert axis.get_title() == "some fractions"


def test_scores_show_every_run_their_mean_and_the_baseline():
    rng = np.random.default_rng(0)
    scores = pd.DataFrame({"split": ["a", "b"] * 5, "one": rng.random(10), "two": rng.random(10)})
    figure = figures.scores_by_group(
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
    scores = pd.DataFrame({"people": [4, 8], "ccc": [0.1, 0.2]})
    axis = figures.scores_by_group(scores, "people", {"ccc": "CCC"}).axes[0]
    assert [line.get_xdata()[0] for line in axis.lines[:2]] == [0, 1]


def test_curves_are_the_values_and_the_dots_their_best_points():
    x = np.linspace(0, 2, 21)
    panels = {"cost": {"a": (x - 0.5) ** 2, "b": (x - 1.5) ** 2}, "gain": {"a": 1 - x, "b": x}}
    figure = figures.curve_panels(x, panels, "factor", {"cost": "min", "gain": "max"}, "both")
    found = {}
    for axis, (words, lines) in zip(figure.axes, panels.items(), strict=True):
        assert axis.get_title() == words and axis.get_xlabel() == "factor"
        assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a", "b"]
        for line, values in zip(axis.lines[::2], lines.values(), strict=True):
            np.testing.assert_array_equal(line.get_xydata(), np.stack([x, values], axis=1))
        found[words] = [text.get_text() for text in axis.texts]
    assert found == {"cost": ["0.50", "1.50"], "gain": ["0.00", "2.00"]}


def test_heat_panels_write_every_number():
    matrices = {"one": np.array([[4.0, 6.0], [6.0, 9.0]]), "two": np.eye(3)}
    figure = figures.heat_panels(matrices, numbers=True)
    for axis, (words, matrix) in zip(figure.axes, matrices.items(), strict=True):
        assert axis.get_title() == words
        np.testing.assert_array_equal(axis.images[0].get_array(), matrix)
        assert [text.get_text() for text in axis.texts] == [f"{value:g}" for value in matrix.flat]
    assert not figures.heat_panels(matrices).axes[0].texts


def test_windows_lie_on_the_padded_pixels():
    figure = figures.windows_on_pixels({"same": (8, 5, 2, (1, 2)), "none": (8, 3, 1, (0, 0))})
    counts = []
    for axis, hatched in zip(figure.axes, (3, 0), strict=True):
        squares = [patch for patch in axis.patches if patch.get_height() == 1]
        bars = [patch for patch in axis.patches if patch.get_height() != 1]
        assert sum(square.get_hatch() is not None for square in squares) == hatched
        assert len(squares) == 8 + hatched
        counts.append([bar.get_x() for bar in bars])
        low, high = axis.get_xlim()
        assert all(low < patch.get_x() and patch.get_x() + patch.get_width() < high for patch in axis.patches)
    assert counts == [[-1, 1, 3, 5], [0, 1, 2, 3, 4, 5]]

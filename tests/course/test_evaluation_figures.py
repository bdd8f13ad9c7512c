"""What the figures of notebook 10 show is what they were given; sliders change the numbers beside them."""

import re

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from guesses import plain_ccc
from scipy import stats
from sklearn.metrics import mean_squared_error

from affkit_course.lessons import nb10 as figures
from affkit_studio.widgets import ScorePicture, score_explorer

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_each_panel_of_traces_has_its_scores():
    label, said = RNG.normal(0, 0.4, (2, 80))
    label[5:9] = np.nan
    panels = {"as it is": said, "higher": said + 0.5, "a": said, "b": -said}
    figure = figures.traces_with_scores(label, panels, fps=10, title="Traces")
    assert figure.get_suptitle() == "Traces"
    for axis, (words, values) in zip(figure.axes, panels.items(), strict=False):
        drawn_label, drawn = axis.lines
        np.testing.assert_array_equal(drawn_label.get_ydata(), label)
        np.testing.assert_array_equal(drawn.get_ydata(), values)
        assert drawn.get_xdata()[-1] == 7.9 and drawn.get_linestyle() != drawn_label.get_linestyle()
        known = ~np.isnan(label)
        mse = mean_squared_error(values[known], label[known])
        assert axis.get_title().startswith(f"{words}\nCCC {plain_ccc(values[known], label[known]):.2f}, ")
        assert axis.get_title().endswith(f"MSE {mse:.2f}")
    assert [axis.axison for axis in figure.axes] == [True] * 4 + [False] * 2


def test_confusion_is_shown_as_shares_of_the_label():
    names = ["Neutral", "Anger", "Fear"]
    counts = pd.DataFrame([[900, 100, 0], [1, 1, 2], [0, 0, 0]], names, names)
    axis = figures.confusion_picture(counts, "Confusion").axes[0]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == [
        "Neutral (1,000)",
        "Anger (4)",
        "Fear (0)",
    ]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == names
    found = {text.get_position(): text.get_text() for text in axis.texts}
    assert found == {(0, 0): "90%", (1, 0): "10%", (0, 1): "25%", (1, 1): "25%", (2, 1): "50%"}
    assert axis.get_xlabel() == "answer" and axis.get_ylabel() == "label (frames)"


def test_thresholds_have_a_mark_at_the_top_of_each_curve():
    limits = np.linspace(0, 1, 11)
    curves = {
        name: pd.DataFrame(RNG.random((11, 5)), limits, list("abcde")) for name in ("validation", "test")
    }
    curves["test"]["e"] = np.nan
    figure = figures.threshold_panels(curves, "Thresholds")
    for axis, unit in zip(figure.axes, "abcde", strict=False):
        assert axis.get_title() == unit
        lines = iter(axis.lines)
        for table in curves.values():
            f1 = table[unit].dropna()
            np.testing.assert_array_equal(next(lines).get_ydata(), f1)
            if len(f1):
                assert next(lines).get_xydata().tolist() == [[f1.idxmax(), f1.max()]]
    marks = [line.get_marker() for line in figure.axes[0].lines]
    assert marks == ["None", "o", "None", "s"]


def test_clips_are_dots_and_the_extremes_have_names():
    scores = {"frames": [100, 2000, 300, 50], "ccc": [0.5, 0.2, -0.1, 0.3], "spread": [0.1, 0.2, 0.3, 0.4]}
    scores = pd.DataFrame(scores, ["a", "b", "c", "d"])
    axis = figures.clip_dots(scores, {"pooled": 0.25, "mean": 0.225}, "Clips").axes[0]
    np.testing.assert_array_equal(axis.collections[0].get_offsets(), scores[["spread", "ccc"]])
    assert np.argsort(axis.collections[0].get_sizes()).tolist() == [3, 0, 2, 1]
    assert sorted(text.get_text() for text in axis.texts) == ["a", "b", "c"]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["pooled: 0.25", "mean: 0.23"]


def test_smoothing_curves_start_as_it_is_and_leave_out_lags():
    rows = [
        {"causal": causal, "width": width, "lag": lag, "test_label": RNG.random(), "test_true": RNG.random()}
        for width in (1, 5, 9)
        for causal in ((True,) if width == 1 else (False, True))
        for lag in (0, 3)
    ]
    table = pd.DataFrame(rows)
    figure = figures.smoothing_curves(table, "test", fps=10, title="Smoothing")
    still = table[table["lag"] == 0].set_index(["causal", "width"])
    for axis, column in zip(figure.axes, ("test_label", "test_true"), strict=True):
        centred, causal, dotted = axis.lines
        first = still.at[(True, 1), column]
        assert centred.get_xdata().tolist() == causal.get_xdata().tolist() == [0.1, 0.5, 0.9]
        assert centred.get_ydata().tolist() == [first, *still.loc[False, column]]
        assert causal.get_ydata().tolist() == [first, *still.loc[True, column].drop(1)]
        assert set(dotted.get_ydata()) == {first}


def test_lags_say_where_their_tops_are():
    seconds = np.linspace(-1, 1, 21)
    lines = {"one": -((seconds - 0.3) ** 2), "two": -((seconds + 0.5) ** 2)}
    figure = figures.lag_panels(seconds, {"valence": lines, "arousal": lines}, "Lags")
    for axis, name in zip(figure.axes, ("valence", "arousal"), strict=True):
        assert axis.get_title() == name
        words = [text.get_text() for text in axis.get_legend().get_texts()]
        assert words == ["one: top at 0.3 s", "two: top at -0.5 s"]
        assert [line.get_markevery() for line in axis.lines[:2]] == [[13], [5]]


def test_intervals_are_lines_with_their_ends():
    table = pd.DataFrame(
        {"ccc": [0.4, 0.4], "low": [0.39, 0.2], "high": [0.41, 0.55]}, ["9 frames", "2 people"]
    )
    axis = figures.interval_bars(table, "CCC", "Intervals").axes[0]
    assert [line.get_xdata().tolist() for line in axis.lines[::2]] == [[0.39, 0.41], [0.2, 0.55]]
    assert [text.get_text().strip() for text in axis.texts] == ["0.39 to 0.41", "0.20 to 0.55"]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["9 frames", "2 people"]


# The widget


def trace(length=150):
    """A label and a prediction that is wrong in every way, both with gaps."""
    label = np.sin(np.arange(length) / 12) * 0.6
    said = 0.5 * np.roll(label, 7) - 0.1 + RNG.normal(0, 0.05, length)
    label[:4], said[60:66] = np.nan, np.nan
    return label, said


def shown_scores(explorer) -> list[list[float]]:
    """The two rows of numbers beside the sliders: as predicted, and changed."""
    table = explorer.children[0].children[1].value
    rows = [re.findall(r">(-?\d\.\d{3})<", row) for row in re.split("<tr[^>]*>", table)[2:]]
    return [[float(number) for number in row] for row in rows]


def scores_of(values, label):
    known = ~np.isnan(values) & ~np.isnan(label)
    x, y = values[known], label[known]
    return [plain_ccc(x, y), stats.pearsonr(x, y).statistic, mean_squared_error(x, y)]


def test_the_sliders_change_scores_and_picture():
    label, said = trace()
    explorer = score_explorer(label, said, name="valence")
    controls, image = explorer.children[0].children[0], explorer.children[1]
    shift, scale, lag, width, back = controls.children
    first = image.value
    np.testing.assert_allclose(shown_scores(explorer), [scores_of(said, label)] * 2, atol=5e-4)
    shift.value = 0.25
    higher = scores_of(said + 0.25, label)
    np.testing.assert_allclose(shown_scores(explorer), [scores_of(said, label), higher], atol=5e-4)
    assert image.value != first
    shift.value, scale.value = 0.0, -1.0
    turned = 2 * np.nanmean(said) - said
    np.testing.assert_allclose(shown_scores(explorer)[1], scores_of(turned, label), atol=5e-4)
    scale.value, width.value = 1.0, 9
    smooth = pd.Series(said).rolling(9, center=True, min_periods=1).mean().where(~np.isnan(said)).to_numpy()
    np.testing.assert_allclose(shown_scores(explorer)[1], scores_of(smooth, label), atol=5e-4)
    width.value, lag.value = 1, -7
    assert shown_scores(explorer)[1][1] > shown_scores(explorer)[0][1] + 0.05  # it was 7 frames late
    back.click()
    assert image.value == first and [shift.value, scale.value, lag.value, width.value] == [0, 1, 0, 1]


def test_the_picture_shows_the_traces_where_they_are():
    label = np.linspace(-1, 1, 100)
    picture = ScorePicture(label, -label, name="arousal")
    time, against = picture.figure.axes
    assert time.get_ylabel() == "arousal" and against.get_xlabel() == "label: arousal"
    assert time.get_xlabel() == "seconds" and time.get_title() and against.get_title()
    drawn = picture.draw(label)
    np.testing.assert_array_equal(time.lines[1].get_ydata(), label)
    np.testing.assert_array_equal(against.lines[1].get_xydata(), np.stack([label, label], axis=1))
    pixels = cv2.imdecode(np.frombuffer(drawn, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels.shape[0] == 272 and pixels.shape[1] == 880
    assert picture.draw(-label) != drawn == picture.draw(label)
    assert not plt.get_fignums()  # a notebook would show such a figure twice

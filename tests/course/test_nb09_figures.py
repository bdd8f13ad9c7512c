"""The figures of the multi-task network show what they were given, with names beside colours."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from small_corpus import labels_of

from affkit.labels import EXPRESSIONS
from affkit_course.lessons import nb09 as lesson
from affkit_course.lessons.nb09 import STATES
from affkit_lab.figures import style as plots


def some_labels(frames=12):
    rng = np.random.default_rng(0)
    expressions = [-1, -1, 3, 3, 3, -1, 4, 4, 0, 0, 0, -1][:frames]
    labels = labels_of(expressions=expressions, va=rng.uniform(-1, 1, (frames, 2)))
    labels.has_va[:2] = False
    return labels


def test_windows_are_darker_the_more_is_known():
    states = np.random.default_rng(0).integers(0, 5, (4, 9))
    figure = lesson.window_picture(states, STATES, "windows")
    mesh = figure.axes[0].collections[0]
    np.testing.assert_array_equal(mesh.get_array().reshape(4, 9), states)
    lightness = mesh.cmap(mesh.norm(np.arange(5)))[:, :3].mean(axis=1)
    assert (np.diff(lightness) < -0.05).all()  # told apart in grey
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(STATES)
    assert figure.axes[0].get_title() == "windows"


def test_curves_of_runs_are_their_logs_and_scores():
    log = pd.DataFrame({"step": [1, 2, 3], "va": [0.5, 0.4, 0.2], "expression": [1.0, 0.9, 0.7]})
    scores = pd.DataFrame({"step": [2, 2, 3, 3], "set": ["train", "validation"] * 2})
    scores["ccc_valence"], scores["expression_accuracy"] = [0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]
    runs = {"frozen": (log, scores), "whole": (log[:1], scores[3:])}
    figure = lesson.run_curves(runs, "both")
    for axis, term in zip(figure.axes[:2], ("va", "expression"), strict=True):
        assert [line.get_label() for line in axis.lines] == ["frozen", "whole"]
        np.testing.assert_array_equal(axis.lines[0].get_ydata(), log[term])
    for axis, metric in zip(figure.axes[2:], ("ccc_valence", "expression_accuracy"), strict=True):
        found = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
        pairs = scores[["step", metric]].to_numpy()
        assert found == {
            "frozen, train": pairs[::2].tolist(),
            "frozen, validation": pairs[1::2].tolist(),
            "whole, validation": pairs[3:].tolist(),
        }
        looks = {(line.get_marker(), line.get_linestyle(), line.get_color()) for line in axis.lines}
        assert len(looks) == 3 and len({line.get_marker() for line in axis.lines}) == 2


def test_answers_of_a_clip_lie_beside_its_labels():
    labels = some_labels()
    answers = np.random.default_rng(1).random((12, 9))
    said = pd.DataFrame(answers, columns=["valence", "arousal", *EXPRESSIONS])
    said.loc[5] = np.nan
    figure = lesson.clip_answers(said, labels, fps=10, title="clip")
    for axis, name in zip(figure.axes[:2], ("valence", "arousal"), strict=True):
        truth, answer = axis.lines[:2]
        assert np.isnan(truth.get_ydata()[:2]).all()
        np.testing.assert_array_equal(truth.get_ydata()[2:], getattr(labels, name)[2:])
        np.testing.assert_array_equal(answer.get_ydata(), said[name])
        assert (truth.get_label(), answer.get_label()) == ("label", "the network")
    band = figure.axes[2]
    shown = band.collections[0].get_array().reshape(7, 12)
    np.testing.assert_allclose(np.ma.filled(shown, np.nan), said[list(EXPRESSIONS)].to_numpy().T)
    boxes = [(b.get_x(), round(b.get_y() + b.get_height() / 2), b.get_width()) for b in band.patches]
    np.testing.assert_allclose(boxes, [(0.2, 3, 0.3), (0.6, 4, 0.2), (0.8, 0, 0.3)])
    assert [tick.get_text() for tick in band.get_yticklabels()] == list(EXPRESSIONS)


def test_attention_is_drawn_as_a_share_of_even_weights_the_present_at_the_bottom():
    weights = np.zeros((12, 4))
    for t in range(12):
        seen = min(t + 1, 4)
        weights[t, -seen:] = np.arange(1, seen + 1) / np.arange(1, seen + 1).sum()
    weights[5] = np.nan
    figure = lesson.attention_picture(weights, some_labels(), fps=10, title="attention")
    heat = figure.axes[1]
    shown = np.ma.filled(heat.collections[0].get_array(), np.nan).reshape(4, 12)
    np.testing.assert_allclose(shown[:, 11], np.array([4, 3, 2, 1]) / 10 * 4)  # 4 of 10 for the present
    np.testing.assert_allclose(shown[:, 1], [2 / 3 * 2, 1 / 3 * 2, 0, 0])  # two frames to look at
    assert np.isnan(shown[:, 5]).all()
    low, high = heat.get_ylim()
    assert low < 0 < high  # 0 frames back is at the bottom


def test_gaps_keep_their_values_on_a_logarithmic_axis():
    gaps = pd.DataFrame({"seed 0": [0.0, 1e-9, 1e-3], "seed 1": [1e-8, 1e-7, 0.0]}, index=[1, 2, 3])
    axis = lesson.gap_curves(gaps, "gap").axes[0]
    assert axis.get_yscale() == "log" and axis.get_title() == "gap"
    assert axis.lines[0].get_xydata().tolist() == [[2, 1e-9], [3, 1e-3]]
    assert axis.lines[1].get_xydata().tolist() == [[1, 1e-8], [2, 1e-7]]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["seed 0", "seed 1"]


@pytest.mark.parametrize("keep_rare", [False, True])
def test_a_thin_line_keeps_its_colour_beside_a_heat_map(keep_rare):
    figure, (line, heat) = plt.subplots(2, 1, figsize=(6, 4))
    line.axhline(0.5, color=(1, 0.5, 0), linewidth=1)
    heat.imshow(np.linspace(0, 1, 10_000).reshape(100, 100), cmap="viridis")
    picture = plots.line_picture(figure, "both", colors=16, keep_rare=keep_rare)
    shown = np.asarray(PIL.Image.open(io.BytesIO(picture.data)).convert("RGB")).reshape(-1, 3).astype(int)
    orange = (np.abs(shown - (255, 127, 0)) < 40).all(axis=1).any()
    assert orange == keep_rare and len(np.unique(shown, axis=0)) <= 16

"""The checks of figures see what is wrong with planted ones, and have nothing to say about good ones."""

import os
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figure_checks import figure_problems
from notebook_run import figures_watched

PLOT = """
import matplotlib.pyplot as plt
plt.plot([1, 2])
plt.savefig("x.png")
plt.title("t")
plt.savefig("x.png")
"""


@pytest.fixture
def good():
    """A figure of two panels: lines that differ in more than colour, and bars with names below."""
    figure, (lines, bars) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    lines.plot([0, 1], [1, 2], color="C0", label="one")
    lines.plot([0, 1], [2, 1], color="C3", linestyle="--", label="other")
    lines.set(xlabel="seconds", ylabel="valence", title="Two traces")
    lines.legend()
    bars.bar(["AU1", "AU2"], [0.1, 0.2])
    bars.set(ylabel="fraction", title="Two units")
    return figure


def problems(figure) -> list[str]:
    figure.canvas.draw()
    return figure_problems(figure)


@pytest.mark.parametrize("complaint, spoil", [
    ("no title", lambda lines, bars: [axes.set_title("") for axes in (lines, bars)]),
    ("Two traces: no label at y", lambda lines, bars: [a.set(xlabel="", ylabel="") for a in (lines, bars)]),
    ("only colour tells one from other", lambda lines, bars: lines.get_lines()[1].set_linestyle("-")),
    ("text smaller than 6.5 points: tiny", lambda lines, bars: lines.text(0.5, 1.5, "tiny", fontsize=5)),
    ("cut at the right edge by", lambda lines, bars: bars.annotate("a long text " * 9, (0.5, 0.1))),
])  # fmt: skip
def test_what_is_planted_is_seen(good, complaint, spoil):
    good.canvas.draw()
    good.set_layout_engine("none")  # else it would make room for the text that is too long
    spoil(*good.axes)
    (found,) = problems(good)
    assert complaint in found


def test_a_label_may_stand_in_a_title_or_at_the_neighbour_but_a_single_panel_needs_it(good):
    assert problems(good) == []
    good.axes[0].set_ylabel("")
    assert problems(good) == []
    good.axes[0].set_title("")  # the bars on the right still have a label at y
    assert problems(good) == []
    figure, axis = plt.subplots()
    axis.plot([0, 1])
    axis.set(title="Alone", xlabel="seconds")
    assert problems(figure) == ["Alone: no label at y"]


def test_pictures_traces_outside_the_legend_and_grey_enough_lines_need_nothing():
    figure, (photograph, raters) = plt.subplots(1, 2, layout="constrained")
    photograph.imshow(np.zeros((4, 4, 3)))
    photograph.set_axis_off()
    raters.plot(np.random.default_rng(0).normal(size=(9, 8)), color="0.5")  # eight raters alike, no legend
    raters.plot([0, 1], [0, 1], color="0.1", label="mean")
    raters.plot([0, 1], [1, 0], color="0.8", label="truth")
    raters.set(title="Raters", xlabel="seconds", ylabel="arousal")
    assert problems(figure) == []


@pytest.mark.parametrize("kind", ["bars", "points"])
def test_bars_and_points_of_two_groups(kind):
    figure, axis = plt.subplots(layout="constrained")
    for number, color in enumerate(("#0173b2", "#d55e00")):  # the same grey
        if kind == "bars":
            found = axis.bar([number, number + 2], [1, 2], color=color, label=f"group {number}")
        else:
            found = axis.scatter([0, 1], [1, number], color=color, label=f"group {number}")
    axis.set(title="Groups", xlabel="seconds", ylabel="fraction")
    assert problems(figure) == ["Groups: only colour tells group 0 from group 1"]
    for bar in found if kind == "bars" else ():
        bar.set_hatch("//")
    if kind == "points":
        found.set_sizes([90])
    assert problems(figure) == []


@pytest.mark.slow
def test_what_a_kernel_draws_is_looked_at(tmp_path):
    with figures_watched(tmp_path / "complaints.txt") as complaints:
        environment = os.environ | {"MPLBACKEND": "agg"}
        subprocess.run([sys.executable, "-c", PLOT], cwd=tmp_path, check=True, env=environment)
    untitled = ["no title", "axes 1: no label at x", "axes 1: no label at y"]
    titled = ["t: t: no label at x", "t: t: no label at y"]
    assert complaints == [*(f"a figure: {what}" for what in untitled), *titled]
    assert "AFFKIT_FIGURES" not in os.environ

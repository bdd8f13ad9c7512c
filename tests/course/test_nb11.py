"""Notebook 11: what it computes and draws, and its exercises."""

import numpy as np
import pandas as pd
import pytest
import torch
from planted import PlantedGenerator, orthonormal_axes, planted_directions, probabilities, read_blocks
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from affkit_course.exercises.nb11 import half_way, r_squared, steepest, without
from affkit_course.lessons import nb11 as lesson
from affkit_lab.latent.direction_quality import RANDOM
from affkit_lab.latent.play_labels import va_search
from affkit_lab.latent.z_arithmetic import orthogonalize, slerp

pytestmark = pytest.mark.slow  # trains small networks

AXES = orthonormal_axes()
TRUTH = planted_directions(AXES)
HALF = np.random.default_rng(0).uniform(-0.5, 0.5, 100)


def test_a_strip_rises_in_its_own_reading_alone():
    rows = lesson.strips(PlantedGenerator(AXES), HALF, TRUTH, ["AU4", "AU12"], [-1, 0, 1])
    assert list(rows) == ["AU4", "AU12"]
    read = read_blocks(rows["AU4"])
    np.testing.assert_allclose(np.diff(read["AU4"]), 0.2, atol=0.02)
    np.testing.assert_allclose(np.diff(read["AU12"]), 0, atol=0.02)


def test_a_straight_line_is_shorter_in_the_middle():
    first, second = np.eye(100)[0] * 3, np.eye(100)[1] * 3
    ways, lengths = lesson.ways_between(first, second, 5)
    np.testing.assert_allclose(lengths["arc"], 3)
    assert lengths["straight line"][0.5] == pytest.approx(3 / np.sqrt(2))
    np.testing.assert_allclose(ways["straight line"][2], (first + second) / 2)
    np.testing.assert_allclose(ways["arc"][2], (first + second) / np.sqrt(2))


def test_another_reader_has_its_own_say():
    def turned(faces):
        return -read_blocks(faces)[["AU4", "AU12"]]

    readers = {"own": probabilities, "turned": turned}
    table = lesson.by_another_reader(PlantedGenerator(AXES), TRUTH, readers, 0.5, 60)
    assert (table["own"] > 0.3).all()
    assert table.loc["AU4", "turned"] < -0.3 and table["turned"].isna().sum() == 2


def test_faces_are_sent_to_readings():
    search = va_search(PlantedGenerator(AXES), read_blocks, TRUTH, HALF)
    wanted = [(0.2, -0.1), (-0.2, 0.1)]
    z, read = lesson.sent_to(search, wanted)
    assert z.shape == (2, 100)
    np.testing.assert_allclose(read, wanted, atol=0.03)
    faces = PlantedGenerator(AXES)(torch.from_numpy(z).float()).detach()
    np.testing.assert_allclose(faces[:, 0, 0, 0], [0.2, -0.2], atol=0.03)


def test_figures_show_what_they_are_given():
    faces = np.zeros((3, 8, 8, 3), np.uint8)
    figure = lesson.strip_rows({"a": faces, "b": faces[:2]}, ["1", "2", "3"], "title")
    assert [axis.get_title() for axis in figure.axes[:3]] == ["1", "2", "3"]
    assert [len(axis.images) for axis in figure.axes] == [1, 1, 1, 1, 1, 0]
    rng = np.random.default_rng(0)
    names = [f"AU{number}" for number in range(20)]
    table = pd.DataFrame(rng.random((21, 2)), [*names, RANDOM], ["identity", "in_sd"])
    table.loc[names, "in_sd"] = 0.5  # all at one height: their names must not overlap
    axis = lesson.direction_scatter(table, names, "title").axes[0]
    heights = sorted(text.get_position()[1] for text in axis.texts)
    assert len(heights) == 20 and np.diff(heights).min() > 0.005
    assert axis.get_ylim()[0] < heights[0] and heights[-1] < axis.get_ylim()[1]
    wanted, read = rng.uniform(-1, 1, (2, 5, 2))
    axis = lesson.aim_and_reading(wanted, read, "title").axes[0]
    assert np.allclose(axis.lines[0].get_xydata(), wanted) and np.allclose(axis.lines[1].get_xydata(), read)


def test_solutions_agree_with_the_library():
    rng = np.random.default_rng(0)
    first, locked = rng.normal(size=(2, 7))
    np.testing.assert_allclose(without(first, locked), orthogonalize(first, locked[None]))
    first, second = np.linalg.qr(rng.normal(size=(5, 2)))[0].T
    np.testing.assert_allclose(half_way(first, second), slerp(first, second, 0.5))
    predictions, expected = rng.normal(size=(2, 50))
    assert r_squared(predictions, expected) == pytest.approx(r2_score(predictions, expected))
    z = rng.uniform(-1, 1, (20_000, 3))
    weights = LinearRegression().fit(z, z @ [1, -2, 2] + rng.normal(size=20_000)).coef_
    found = steepest(z, z @ [1, -2, 2] + rng.normal(size=20_000))
    np.testing.assert_allclose(found, weights / np.linalg.norm(weights), atol=0.03)

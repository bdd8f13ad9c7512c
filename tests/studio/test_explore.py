"""A session of the latent browser, on a generator of which one knows what z does, and on a real one."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from live_generators import planted_explorer, save_run
from planted import NAMES, orthonormal_axes, planted_directions, read_blocks
from scipy.special import expit

from affkit.checkpoints import save_checkpoint
from affkit.errors import UserError
from affkit.gan import GanNetConfig, sample_z
from affkit.store import pictures
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig
from affkit_lab.latent.directions import Directions
from affkit_studio.browse.explore import Explorer

AXES = orthonormal_axes()
MIXED = AXES.copy()
MIXED[1] = 0.6 * AXES[0] + 0.8 * AXES[1]  # arousal drags valence along


def blocks(browser: Explorer) -> np.ndarray:
    """Valence, arousal, AU4, AU12 as the picture shows them."""
    return read_blocks(browser.picture()[None]).to_numpy()[0]


def test_the_first_face_is_that_of_the_seed_and_predictions_are_those_of_the_predictors():
    browser = planted_explorer(seed=7)
    np.testing.assert_allclose(browser.z, sample_z(1, 7)[0].double())
    np.testing.assert_array_equal(browser.picture(), pictures(browser.generator, sample_z(1, 7))[0])
    predictions = browser.predictions()["blocks"]
    np.testing.assert_allclose(predictions[list(NAMES[:2])], blocks(browser)[:2])
    np.testing.assert_allclose(predictions[list(NAMES[2:])].astype(float), expit(4 * blocks(browser)[2:]))


def test_sliders_move_their_predictions_alone_and_come_back_from_beyond_the_cube():
    browser = planted_explorer(truncation=0.5)  # so that nothing is clipped
    before, z = blocks(browser), browser.z
    browser.move("AU4", 1.5)
    np.testing.assert_allclose(blocks(browser) - before, [0, 0, 1.5 * 0.2, 0], atol=0.03)
    browser.move("AU12", -1.0)
    np.testing.assert_allclose(blocks(browser) - before, [0, 0, 0.3, -0.2], atol=0.03)
    assert browser.state.sliders == {"AU4": 1.5, "AU12": -1.0}
    browser.move("AU12", 0.0)
    browser.move("AU4", 40.0)
    assert np.abs(browser.z).max() == 1
    browser.move("AU4", 0.0)
    np.testing.assert_allclose(browser.z, z, atol=1e-12)  # what was clipped is not lost
    browser.move("AU4", 1.0)
    browser.set_truncation(0.25)  # draws the face, not what the sliders did
    np.testing.assert_allclose(browser.z, z / 2 + browser.directions["AU4"])
    with pytest.raises(ValueError, match="not in"):
        browser.set_truncation(-0.1)
    assert browser.state.truncation == 0.25


def test_a_locked_direction_stands_still_and_nothing_jumps_when_it_is_locked():
    free, browser = (planted_explorer(MIXED, truncation=0.4) for _ in range(2))
    for one in (free, browser):
        one.move("arousal", 0.5)
    z, before = browser.z, blocks(browser)
    browser.lock("valence")
    np.testing.assert_array_equal(browser.z, z)
    for one in (free, browser):
        one.move("arousal", 2.0)
    assert blocks(free)[0] - before[0] == pytest.approx(1.5 * 0.6 * 0.2, abs=0.03)
    np.testing.assert_allclose(blocks(browser)[[0, 2, 3]], before[[0, 2, 3]], atol=0.015)
    assert blocks(browser)[1] - before[1] == pytest.approx(1.5 * 0.8 * 0.2, abs=0.03)
    z = browser.z
    browser.unlock("valence")
    np.testing.assert_array_equal(browser.z, z)
    assert browser.leaks("arousal").loc["arousal", "before"] > 0.5


def test_what_is_locked_cannot_be_moved_and_what_lies_within_the_locked_stands_still():
    browser = planted_explorer()
    browser.lock("AU4")
    with pytest.raises(UserError, match="AU4: is locked; unlock it to move it"):
        browser.move("AU4", 1.0)
    with pytest.raises(UserError, match="AU99: is no direction; there are valence"):
        browser.move("AU99", 1.0)
    truth = planted_directions(AXES)
    twin = Directions(truth.vectors[[2]], truth.table.loc[["AU4"]].rename(index={"AU4": "twin"}))
    browser.directions = truth | twin
    z = browser.z
    browser.move("twin", 3.0)
    np.testing.assert_array_equal(browser.z, z)


def test_locks_hold_while_single_numbers_of_z_are_set():
    browser = planted_explorer(truncation=0.5)
    browser.lock("valence")
    before = blocks(browser)
    index = int(np.abs(AXES[0]).argmax())
    browser.set_number(index, 0.9)
    assert browser.z[index] == pytest.approx(0.9)
    assert blocks(browser)[0] == pytest.approx(before[0], abs=0.02)
    browser.unlock("valence")
    others = np.delete(browser.z, index)
    browser.set_number(index, -0.3)
    assert browser.z[index] == pytest.approx(-0.3)
    np.testing.assert_allclose(np.delete(browser.z, index), others)


def test_settling_brings_locked_predictions_back_where_the_generator_is_bent():
    """The blocks bend together: a step at right angles to valence moves it nevertheless."""

    def curve(x):
        return torch.cat([x[:, :1] + 2 * x[:, 1:2] ** 2, x[:, 1:]], dim=1)

    browser = planted_explorer(curve=curve, truncation=0.3)
    browser.lock("valence")
    held = blocks(browser)[0]
    browser.move("arousal", 1.5)
    leaked = blocks(browser)
    assert abs(leaked[0] - held) > 0.1
    table = browser.settle()
    assert list(table.index) == ["valence"]
    np.testing.assert_allclose(table.loc["valence"], [held, leaked[0], blocks(browser)[0]], atol=1e-9)
    assert abs(blocks(browser)[0] - held) < 0.02
    np.testing.assert_allclose(blocks(browser)[1:], leaked[1:], atol=0.02)  # the move itself is kept
    browser.undo()
    assert blocks(browser)[0] == pytest.approx(held, abs=0.01)  # the move and its settling were one step
    browser.unlock("valence")
    assert browser.settle().empty


def test_a_click_in_the_plane_leads_there_and_a_drag_is_one_step():
    browser = planted_explorer(MIXED, truncation=0.5)
    start = browser.z
    for valence in (0.0, 0.1, 0.2):
        found = browser.seek(valence, -0.15)
    np.testing.assert_allclose(blocks(browser)[:2], [0.2, -0.15], atol=0.03)
    np.testing.assert_allclose(found.z, browser.z, atol=1e-12)
    np.testing.assert_allclose(found.prediction, blocks(browser)[:2], atol=1e-9)
    assert set(browser.state.sliders) == {"valence", "arousal"}
    browser.undo()
    np.testing.assert_array_equal(browser.z, start)
    browser.lock("arousal")
    with pytest.raises(UserError, match="arousal: is locked"):
        browser.seek(0, 0)


def test_after_something_else_a_click_starts_from_the_face_that_is_shown():
    browser = planted_explorer(truncation=0.4)
    browser.seek(0.1, 0.1)
    browser.move("AU4", 1.0)
    moved = blocks(browser)
    browser.seek(-0.1, 0.0)
    np.testing.assert_allclose(blocks(browser), [-0.1, 0, moved[2], moved[3]], atol=0.03)
    browser.lock("AU4")
    browser.move("AU12", 0.5)
    browser.settle()
    browser.seek(0.1, 0.05)
    assert blocks(browser)[2] == pytest.approx(moved[2], abs=0.03)


def test_steps_are_taken_back_and_done_again_one_drag_at_a_time():
    browser = planted_explorer()
    assert not browser.can_undo and not browser.undo() and not browser.redo()
    shown = [browser.z]

    def done(name, *arguments):
        getattr(browser, name)(*arguments)
        shown.append(browser.z)

    for amount in np.linspace(0, 2, 50):
        browser.move("AU4", amount)
    done("finish")
    done("move", "AU4", 1.0)
    done("lock", "AU12")
    done("new_face", 5)
    for z in shown[-2::-1]:
        assert browser.undo()
        np.testing.assert_array_equal(browser.z, z)
    assert not browser.can_undo and not browser.undo()
    for z in shown[1:]:
        assert browser.redo()
        np.testing.assert_array_equal(browser.z, z)
    browser.undo()
    browser.move("valence", 1.0)
    assert not browser.can_redo and not browser.redo()


actions = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.sampled_from(NAMES), st.floats(-3, 3)),
        st.tuples(st.sampled_from(["lock", "unlock"]), st.sampled_from(NAMES)),
        st.tuples(st.just("set_truncation"), st.floats(0, 1)),
        st.tuples(st.just("set_number"), st.integers(0, 99), st.floats(-1, 1)),
        st.tuples(st.just("new_face"), st.integers(0, 9)),
        st.tuples(st.sampled_from(["finish", "reset", "undo", "redo"])),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(actions)
def test_whatever_is_done_z_stays_in_range_and_all_of_it_can_be_undone(done):
    browser = planted_explorer(MIXED)
    first = browser.z
    for name, *arguments in done:
        if name == "move" and arguments[0] in browser.state.locks:
            continue
        getattr(browser, name)(*arguments)
        assert browser.z.shape == (100,) and np.abs(browser.z).max() <= 1
    last, steps = browser.z, 0
    while browser.undo():
        steps += 1
    np.testing.assert_array_equal(browser.z, first)
    for _ in range(steps):
        assert browser.redo()
    np.testing.assert_array_equal(browser.z, last)


def test_a_new_face_keeps_locks_of_its_own_predictions_and_reset_clears_all():
    browser = planted_explorer()
    browser.lock("valence")
    browser.move("AU4", 1.0)
    browser.new_face(3)
    assert browser.state.sliders == {} and browser.state.seed == 3
    assert browser.state.locks["valence"] == pytest.approx(blocks(browser)[0])
    browser.move("AU12", 1.0)
    browser.set_truncation(0.5)
    browser.reset()
    np.testing.assert_allclose(browser.z, sample_z(1, 3)[0].double())
    assert browser.state.locks == {} and browser.state.sliders == {} and browser.state.truncation == 1
    favourite = sample_z(1, 50)[0].double().numpy()
    browser.set_truncation(0.5)
    browser.show(favourite)
    np.testing.assert_array_equal(browser.z, favourite)


def test_films_and_neighbours_keep_the_locks():
    browser = planted_explorer(MIXED, truncation=0.3)
    browser.lock("valence")
    browser.move("arousal", 1.0)
    path = browser.along("arousal", [-1.0, 1.0, 2.0])
    np.testing.assert_allclose(path[1], browser.z, atol=1e-12)
    read = read_blocks(browser.faces(path))
    assert np.ptp(read["valence"]) < 0.03 and np.ptp(read["arousal"]) > 0.4
    grid = browser.neighbours("arousal", "AU4", step=0.5)
    np.testing.assert_allclose(grid[4], browser.z, atol=1e-12)
    assert np.ptp(read_blocks(browser.faces(grid))["valence"]) < 0.03


def test_two_browsers_of_one_generator_do_not_share_anything():
    one = planted_explorer()
    other = Explorer(one.generator, one.directions, one.predictors)
    picture = other.picture()
    one.move("AU4", 2.0)
    one.lock("valence")
    np.testing.assert_array_equal(other.picture(), picture)
    assert other.state.locks == {} and not other.can_undo


learns = pytest.mark.slow  # learns directions


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run that was opened, and what it was opened as: its directions are learned once."""
    folder = tmp_path_factory.mktemp("run")
    generator = save_run(folder, GanNetConfig("1", width=0.02, weight_std=0.2))
    return folder, Explorer.open(generator, directions=folder / "learned.safetensors")


@pytest.fixture
def folder(first, tmp_path):
    return Path(shutil.copytree(first[0], tmp_path / "run"))


@learns
def test_it_opens_a_run_and_remembers_its_directions(first):
    folder, browser = first
    file = folder / "learned.safetensors"
    assert {"valence", "AU12", "fake", "PCA 1", "PCA 20"} < set(browser.directions.names)
    looks, learned = browser.directions.vectors[11:21], browser.directions["AU12"]
    assert np.abs(looks @ learned).max() < 1e-9  # kept apart from the first ten principal directions
    stamp = file.stat().st_mtime_ns
    again = Explorer.open(folder / "generator.safetensors", directions=file)
    np.testing.assert_array_equal(browser.directions.vectors, again.directions.vectors)
    assert file.stat().st_mtime_ns == stamp
    browser.move("AU12", 1.0)
    browser.lock("PCA 1")
    assert browser.settle().empty and "discriminator" in browser.predictions()


@learns
def test_what_it_cannot_open_is_told_and_links_that_lead_nowhere_are_not_written_over(folder):
    generator = folder / "generator.safetensors"
    with pytest.raises(UserError, match="generator, which reads no faces"):
        Explorer.open(generator, [generator])
    for name, other in (("lost.safetensors", "gone.safetensors"), ("loop.safetensors", "loop.safetensors")):
        (folder / name).symlink_to(other)
        with pytest.raises(UserError, match=f"{name}: no such file"):
            Explorer.open(generator, directions=folder / name)
        assert (folder / name).is_symlink() and not (folder / "gone.safetensors").exists()
    (folder / "discriminator.safetensors").unlink()
    with pytest.raises(UserError, match="discriminator.safetensors: no such file"):
        Explorer.open(generator)


@learns
def test_a_larger_network_is_given_enlarged_faces(folder):
    torch.manual_seed(0)
    save_checkpoint(folder / "f.safetensors", FeatureNet(FeatureNetConfig(2, image_size=48, channels=2)))
    f, learned = folder / "f.safetensors", folder / "learned.safetensors"
    browser = Explorer.open(folder / "generator.safetensors", [f], learned)
    assert browser.predictions()["f"].index[0] == "valence"

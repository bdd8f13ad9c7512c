"""Runs side by side, the broken ones among them, their pictures, and the exercises of notebook 07."""

import io

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from scipy.optimize import minimize_scalar
from solutions import solution_functions
from stores import noise_store

from affkit.gan import generate
from affkit.store import image_grid, write_picture
from affkit.train_gan import GanConfig, train_gan
from affkit_course.lessons import nb07 as lesson

pytestmark = pytest.mark.slow  # trains small networks

ANSWERS = solution_functions("07")
TINY = {"width": 0.03, "batch_size": 4}


def size_of(picture):
    return PIL.Image.open(io.BytesIO(picture.data)).size


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return noise_store(tmp_path_factory.mktemp("lesson") / "store")


@pytest.fixture(scope="module")
def runs(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    absurd = {"absurd": GanConfig.recipe("kit", **TINY, lr_discriminator=1e20)}
    configs = lesson.recipe_configs(**TINY) | absurd
    return out, lesson.run_beside(configs, store, out, 4, jobs=2, device="cpu", save_every=2)


def test_runs_beside_are_those_of_one_by_one_and_one_that_stops_stops_no_other(runs, store, tmp_path):
    out, beside = runs
    assert list(beside) == ["paper", "paper-d-more", "kit", "absurd"]
    how = {"device": "cpu", "progress": False, "save_every": 2}
    alone = train_gan(store, tmp_path / "kit", beside["kit"].config, 4, **how)
    pd.testing.assert_frame_equal(beside["kit"].log, alone.log, check_dtype=False, rtol=1e-6)
    np.testing.assert_array_equal(beside["kit"].faces, generate(alone.generator))
    assert (out / "paper" / "training.safetensors").exists()
    absurd = beside["absurd"]
    assert "no longer a number" in absurd.stopped
    assert absurd.faces.shape == (0, 32, 32, 3) and absurd.log.empty
    assert all(not run.stopped and len(run.log) == 4 for run in beside.values() if run is not absurd)
    with refused("holds a run already"):
        lesson.run_beside({"new": GanConfig(**TINY), "kit": GanConfig(**TINY)}, store, out, 1)
    assert not (out / "new").exists()  # refused before anything is trained


def test_diversity_is_1_for_real_faces_and_0_for_one_face(store, runs):
    config = GanConfig(**TINY)
    even = np.linspace(0, len(store) - 1, 64).round().astype(int)
    pictures = {"real": store.batch(even), "pale": store.batch(even) // 2, "one": store.batch(even * 0)}
    shown = {name: lesson.LessonRun(config, pd.DataFrame(), faces) for name, faces in pictures.items()}
    found = lesson.diversity_of(shown | {"absurd": runs[1]["absurd"]}, store)
    assert found["real"] == pytest.approx(1) and found["pale"] == pytest.approx(0.5, abs=0.01)
    assert found["one"] == 0 and np.isnan(found["absurd"])


def test_each_cause_breaks_one_run_and_changes_what_it_says():
    causes = {name: cause for name, (cause, _) in lesson.BROKEN.items()}
    assert sorted(causes.values()) == sorted(lesson.CAUSES)
    assert {name: ANSWERS["diagnosis"](name) for name in lesson.BROKEN} == causes
    kit, broken = GanConfig.recipe("kit", width=0.25), lesson.broken_configs(width=0.25)
    assert all(config.width == 0.25 and config != kit for config in broken.values())
    by_cause = {cause: broken[name] for name, cause in causes.items()}
    assert by_cause["wrong label smoothing"].fake_label != kit.fake_label
    strong = by_cause["discriminator too strong"]
    assert strong.discriminator_steps > strong.generator_steps
    assert strong.lr_discriminator > strong.lr_generator
    high = by_cause["learning rate too high"]
    assert min(high.lr_generator, high.lr_discriminator) > 10 * kit.lr_generator


def test_pictures_show_every_run_also_one_without_faces(runs):
    picture, plain = (lesson.runs_beside(runs[1], "four runs", ceiling=ceiling) for ceiling in (True, False))
    width, height = size_of(picture)
    assert (picture.alt, picture.format) == ("four runs", "jpeg") and width > height
    assert size_of(plain) == (width, height)


def test_the_live_picture_is_shown_once_and_then_changed(store, tmp_path, monkeypatch):
    calls = []

    class Handle:
        def update(self, picture):
            calls.append(("update", picture))

    def display(picture, display_id):
        calls.append(("display", picture))
        return Handle()

    monkeypatch.setattr(lesson, "display", display)
    live = lesson.LivePicture(tmp_path / "run", "a run")
    how = {"device": "cpu", "progress": False, "save_every": 2, "callback": live}
    train_gan(store, tmp_path / "run", GanConfig.recipe("kit", **TINY), 6, **how)
    found = [f"{kind} {picture.alt}" for kind, picture in calls]
    assert found == ["display a run, 2 steps", "update a run, 4 steps", "update a run, 6 steps"]
    assert live.picture is calls[-1][1]
    two, three = (lesson.faces_over_time(tmp_path / "run", faces=10, rows=n) for n in (2, 3))
    assert size_of(two)[1] < size_of(three)[1]


def test_faces_over_time_are_the_first_of_each_sheet(tmp_path):
    cells = np.random.default_rng(0).integers(0, 256, (64, 4, 4, 3), dtype=np.uint8)
    write_picture(tmp_path / "grid_000001.png", image_grid(cells))
    strip = lesson._first_faces(tmp_path / "grid_000001.png", 10)
    np.testing.assert_array_equal(strip, np.concatenate(list(cells[:10]), axis=1))
    with refused("holds no sheet"):
        lesson.faces_over_time(tmp_path / "nothing")


def test_curves_are_the_log_and_its_mean_and_x_has_its_ceiling():
    log = pd.DataFrame({"step": np.arange(1, 31), "x_fake": np.linspace(0, 1, 30), "x_real": 0.25})
    _, axis = lesson.plt.subplots()
    lesson.draw_curves(axis, log, lesson.X, ceiling=0.9)
    thin, thick, *_, ceiling = axis.lines
    np.testing.assert_allclose(thin.get_ydata(), log["x_fake"])
    assert thick.get_ydata()[-1] == pytest.approx(log["x_fake"].tail(lesson.SMOOTH).mean())
    assert set(ceiling.get_ydata()) == {0.9} and axis.get_ylim() == (-0.03, 1.03)


def least(cost):
    return minimize_scalar(cost, bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-9}).fun


@given(st.floats(0.01, 9), st.floats(0.01, 9), st.floats(0.05, 1))
def test_solution_of_the_best_x_is_what_minimises_the_cross_entropy(real, fake, label):
    def cost(x):
        return -real * np.log(1 - x) - fake * (label * np.log(x) + (1 - label) * np.log(1 - x))

    assert cost(ANSWERS["best_x"](real, fake, label)) <= least(cost) + 1e-9


@given(st.floats(0.01, 0.99))
def test_solution_of_the_least_loss_is_no_probability_s_more(label):
    wanted = least(lambda x: -label * np.log(x) - (1 - label) * np.log(1 - x))
    assert ANSWERS["least_loss"](label) == pytest.approx(wanted)

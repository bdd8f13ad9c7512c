"""Drawn clips: the same seed gives the same clip, labels fit the frames, the samples are what they say."""

from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from mishaps.judge import contents
from refusals import refuses

from affkit.corpus.corpus import Corpus
from affkit.labels import ACTION_UNITS, EXPRESSIONS
from affkit.video.video import Video
from affkit_render import corpus as corpus_module
from affkit_render import wild
from affkit_render.affect import ACTION_UNIT_THRESHOLD
from affkit_render.corpus import ClipPlan, PersonPlan, film, film_all, group, render_corpus
from affkit_render.samples import SAMPLES

pytestmark = pytest.mark.slow  # draws faces

SAMPLES_FOLDER = Path(__file__).parents[2] / "data_samples" / "clips"
SIZE = (176, 160)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# What the camera sees


def test_light_and_pixels_are_inverse():
    pixels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(wild.to_pixels(wild.to_light(pixels)), pixels)
    assert wild.to_pixels(np.float32([-1, 2])).tolist() == [0, 255]


@pytest.mark.parametrize("kind", wild.BACKGROUNDS)
def test_backgrounds_are_out_of_focus_and_repeatable(kind):
    background = wild.draw_background(generator(2), 160, 120, kind)
    assert background.shape == (120, 160, 3) and background.dtype == np.uint8
    assert np.array_equal(background, wild.draw_background(generator(2), 160, 120, kind))
    assert not np.array_equal(background, wild.draw_background(generator(3), 160, 120, kind))
    assert np.abs(np.diff(background.astype(int), axis=1)).mean() < 6


def camera(deviation: float = 0, exposure: float = 1) -> wild.Camera:
    noise = wild.draw_grain(generator(), 80, 80, deviation)
    return wild.Camera(np.zeros((1, 2)), np.full(1, exposure), np.ones((1, 3)), defocus=0, noise=noise)


def test_a_perfect_camera_changes_nothing_a_real_one_adds_noise_and_smears_motion():
    grey = np.full((80, 80, 3), 128, np.uint8)
    assert np.array_equal(camera().take(grey, 0, generator()), grey)
    assert 3.5 < camera(deviation=4).take(grey, 0, generator()).std() < 4.5
    twice = wild.to_light(camera(exposure=2).take(grey, 0, generator())).mean() / wild.to_light(grey).mean()
    assert abs(twice - 2) < 0.02
    image = np.zeros((41, 41, 3), np.uint8)
    image[20, 20] = 255
    rows, columns = np.nonzero(camera().take(image, 0, generator(), motion=(20, 0))[..., 0])
    assert np.ptp(columns) == 8 and np.ptp(rows) == 0  # the shutter is open for 0.4 of 20 pixels


@pytest.mark.parametrize("kind", wild.OCCLUDERS)
def test_an_occluder_covers_part_of_the_face_below_the_eyes(kind):
    times = np.arange(90) / 30
    thing = wild.sample_occluder(generator(1), times, np.array([0.4, 0.2, 0.1]), kind)
    image, box = np.full((240, 320, 3), 200, np.uint8), (120.0, 60.0, 80.0, 100.0)
    fractions = []
    for frame in range(0, 90, 10):
        covered, opacity = thing.cover(image, box, frame)
        assert np.array_equal(covered[opacity == 0], image[opacity == 0])
        fractions.append(opacity[60:160, 120:200].mean())
    assert 0.02 < max(fractions) < 0.6
    assert kind == "microphone" or min(fractions) < 0.02  # a hand comes and goes


def test_cameras_are_drawn_within_reason():
    cameras = [wild.sample_camera(generator(seed), np.arange(30) / 30, 320, 240) for seed in range(50)]
    assert max(np.abs(camera.shake).max() for camera in cameras) < 6
    exposures = np.concatenate([camera.exposure for camera in cameras])
    assert 0.6 < exposures.min() < exposures.max() < 1.6


# Clips and corpora

PEOPLE = (
    PersonPlan("a", 1, 96, side="left", centre=(0.27, 0.55)),
    PersonPlan("b", 2, 100, side="right", centre=(0.73, 0.55), away=(0.05, 5)),
)
TWO = ClipPlan("meeting", PEOPLE, seconds=1.2, seed=3, size=(320, 176), fps=10, occluder="hand")


@pytest.fixture(scope="module")
def meeting(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("meeting")
    assert film(TWO, out) == 12
    return out


def test_two_people_have_their_own_labels_and_who_has_left_the_picture_has_none(meeting):
    left, right = (pd.read_csv(meeting / "truth" / f"meeting_{side}.csv") for side in ("left", "right"))
    assert (left.x + left.width < 170).all() and right.x[0] > 150
    labels = Corpus.open(meeting).labels
    assert set(labels) == {"meeting_left", "meeting_right"}
    assert labels["meeting_left"].has_va.all()
    assert not np.array_equal(labels["meeting_left"].valence, labels["meeting_right"].valence)
    visible, labels = right.visible.to_numpy() == 1, labels["meeting_right"]
    assert visible[0] and not visible[-1]
    for mask in (labels.has_va, labels.has_expression, labels.has_action_units.all(axis=1)):
        assert np.array_equal(mask, visible)
    inside = (np.minimum(right.x + right.width, 320) - np.maximum(right.x, 0)) / right.width
    assert (inside[visible] > 0.45).all() and not (inside[~visible] > 0.55).any()


def test_a_clip_is_the_same_again_and_another_with_another_seed(meeting, tmp_path):
    film(TWO, tmp_path)
    assert contents(tmp_path) == contents(meeting)
    corpora = [tmp_path / name for name in "ab"]
    for seed, out in enumerate(corpora):
        render_corpus(out, subjects=1, seconds=0.1, seed=seed, size=SIZE, progress=False)
    frames = [next(Video(out / "videos" / "subject_000.mp4").frames()) for out in corpora]
    assert not np.array_equal(*frames)


def test_an_interrupted_corpus_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    settings = {"subjects": 2, "seconds": 0.2, "seed": 7, "size": SIZE, "progress": False}
    render_corpus(whole, **settings)
    whole_render = corpus_module.render_clip

    def killed(actors, scene, seed):
        for number, shot in enumerate(whole_render(actors, scene, seed)):
            if number == 3 and (broken / "videos" / "subject_000.mp4").exists():
                raise KeyboardInterrupt
            yield shot

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(corpus_module, "render_clip", killed)
        render_corpus(broken, **settings)
    assert [path.name for path in (broken / "videos").iterdir()] == ["subject_000.mp4"]
    render_corpus(broken, **settings)
    assert contents(broken) == contents(whole)


def test_what_is_there_is_not_overwritten_unless_forced_and_faces_need_room(tmp_path):
    plans = [ClipPlan("one", (PersonPlan("a", 1, 96),), seconds=0.1, seed=1, size=SIZE)]
    (tmp_path / "notes.txt").write_text("mine")
    refuses("already exists; choose another output or add --force", film_all, plans, tmp_path, progress=False)
    (video,) = film_all(plans, tmp_path, force=True, progress=False)
    refuses("already exists", film_all, plans, tmp_path, progress=False)
    other = [ClipPlan("other", plans[0].people, seconds=0.1, seed=2, size=SIZE)]
    refuses("holds another corpus", film_all, other, tmp_path, progress=False)
    film_all(other, tmp_path, force=True, progress=False)
    assert not video.exists() and (tmp_path / "notes.txt").read_text() == "mine"
    assert list(Corpus.open(tmp_path).labels) == ["other"]
    refuses("no room in 64x64", render_corpus, tmp_path / "small", subjects=1, seconds=1, size=(64, 64))
    assert not (tmp_path / "small").exists()


def test_groups_have_their_ends():
    assert group(0.29, corpus_module.SKIN_TONES) == "light"
    assert group(0.3, corpus_module.SKIN_TONES) == "medium"
    assert group(35, corpus_module.AGES) == "35-54"


# The samples of the repository


@pytest.fixture(scope="module")
def samples() -> Corpus:
    return Corpus.open(SAMPLES_FOLDER)


def test_the_samples_stay_within_their_budget_and_have_a_datasheet_and_a_licence():
    assert sum(path.stat().st_size for path in SAMPLES_FOLDER.rglob("*") if path.is_file()) <= 5_000_000
    assert "CC0 1.0" in (SAMPLES_FOLDER.parent / "LICENSE").read_text()
    datasheet = (SAMPLES_FOLDER.parent / "DATASHEET.md").read_text()
    assert all(plan.name in datasheet for plan in SAMPLES)
    kinds = pd.read_csv(SAMPLES_FOLDER / "subjects.csv").nunique()
    least = {"subject": 8, "gender": 2, "age": 3, "skin_tone": 3, "hair": 4}
    assert all(kinds[attribute] >= count for attribute, count in least.items())


@pytest.mark.parametrize("plan", SAMPLES, ids=lambda plan: plan.name)
def test_a_sample_is_what_its_plan_says(plan, samples):
    path = plan.video(SAMPLES_FOLDER)
    info = Video(path)
    with av.open(str(path)) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    assert (info.width, info.height, info.rotation) == (*plan.size, plan.rotation)
    assert 3 <= info.duration <= 6.5
    steps = np.diff(times)
    assert np.ptp(steps) > 0.01 if plan.variable else np.allclose(steps, 1 / float(plan.fps), atol=1.5e-3)
    assert np.allclose(times, plan.times, atol=1.5e-3)
    assert {len(samples.labels[name]) for name in plan.names()} == {len(times)}


@pytest.mark.parametrize("name", [name for plan in SAMPLES for name in plan.names()])
def test_labels_of_a_sample_follow_from_its_truth(name, samples):
    labels, truth = samples.labels[name], pd.read_csv(SAMPLES_FOLDER / "truth" / f"{name}.csv")
    visible = truth.visible.to_numpy() == 1
    assert np.array_equal(labels.has_va, visible) and np.array_equal(labels.has_expression, visible)
    for dimension in ("valence", "arousal"):
        felt = truth[dimension][visible]
        assert np.allclose(getattr(labels, dimension)[visible], felt, atol=1e-6)
    expected = truth[list(ACTION_UNITS)].to_numpy() > ACTION_UNIT_THRESHOLD
    assert np.array_equal(labels.action_units[visible], expected[visible])
    assert truth.height[visible].min() >= 90 and truth.height[visible].mean() >= 96


def test_the_samples_show_every_expression_and_action_unit_and_one_leaves_the_picture(samples):
    shown = {name: set(labels.expression[labels.has_expression]) for name, labels in samples.labels.items()}
    assert all(len(expressions - {EXPRESSIONS.index("Neutral")}) >= 2 for expressions in shown.values())
    assert set.union(*shown.values()) == set(range(len(EXPRESSIONS)))
    units = np.concatenate([labels.action_units for labels in samples.labels.values()])
    assert (units.mean(axis=0) > 0.02).all()
    seen = samples.labels["leaves_picture"].has_va
    assert seen[0] and seen[-1] and 15 < (~seen).sum() < 90

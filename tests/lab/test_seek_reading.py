"""Faces that are read as wanted, and pictures taken back to z, where one knows which z are."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from planted import PlantedGenerator, orthonormal_axes, planted_directions, read_blocks
from refusals import refused
from skimage import data

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError
from affkit.faces.detectors import Box
from affkit.gan import sample_z
from affkit.labels import VA, Labels
from affkit.video.video import write_video
from affkit_lab.latent.directions import faces_at
from affkit_lab.latent.inversion import InversionConfig, decode_photograph, face_in, invert, read_frame
from affkit_lab.latent.play_labels import play_labels, va_search
from affkit_lab.latent.seek_reading import PredictionSearch, damped_solution

AXES = orthonormal_axes()
Z = np.random.default_rng(1).uniform(-0.3, 0.3, 100)
ROUNDING = 0.012  # of a pixel to a byte, for two predictions


def search(generator, z=Z, axes=AXES, **options):
    basis = planted_directions(axes).some(VA).vectors
    return PredictionSearch(generator, read_blocks, z, basis, VA, **options)


def test_a_linear_system_is_solved_also_by_directions_that_drag_each_other():
    generator = PlantedGenerator(AXES)
    found = search(generator).seek((0.15, -0.1), rounds=8)
    assert found.error < 0.02
    read = read_blocks(faces_at(generator, found.z[None])).iloc[0]
    np.testing.assert_allclose(found.prediction, read[list(VA)], atol=1e-9)
    np.testing.assert_allclose(read[["AU4", "AU12"]], AXES[2:4] @ Z, atol=0.03)  # nothing else was moved
    np.testing.assert_allclose(found.z, Z + found.place @ (AXES[:2] / 0.2), atol=1e-9)
    mixed = AXES.copy()
    mixed[1] = 0.7 * AXES[0] + 0.7 * AXES[1]
    assert search(PlantedGenerator(mixed), axes=mixed).seek((0.2, -0.2), rounds=8).error < 0.02


def test_corrections_find_what_a_straight_line_misses():
    """A curve: from the slope at the start one would fall far short, or go far beyond."""
    bent = PlantedGenerator(AXES, curve=lambda x: torch.tanh(6 * x) * 0.8)
    wanted = np.array([0.6, -0.5])
    searching = search(bent, survey=0)
    first = searching.seek(wanted, rounds=1).error
    assert searching.seek(wanted, rounds=12).error < 0.03 < first
    assert search(bent).seek(wanted, rounds=5).error < 0.05  # a look around saves rounds


def test_what_cannot_be_reached_is_told_and_the_nearest_kept():
    dull = PlantedGenerator(AXES, curve=lambda x: x.clamp(-0.2, 0.2))
    found = search(dull).seek((0.9, 0.0), rounds=10)
    assert found.error == pytest.approx(0.7, abs=0.05) and np.abs(found.z).max() <= 1


def test_the_same_seed_gives_the_same_face_and_of_two_the_nearer_one_is_taken():
    even = PlantedGenerator(AXES, curve=lambda x: 4 * x.square() - 0.1)  # each prediction is had on two sides
    # 0.1 on both axes, one side is at 0.22, one at -0.22
    start = Z - (Z @ AXES[:2].T - 0.1) @ AXES[:2] / 0.04
    found = [search(even, start).seek((0.1, 0.1), rounds=8) for _ in range(2)]
    np.testing.assert_array_equal(found[0].z, found[1].z)
    assert found[0].error < 0.05
    assert (found[0].z @ AXES[:2].T > 0).all()


def test_damped_steps_are_least_squares_where_it_is_sound_and_short_where_it_is_not():
    rng = np.random.default_rng(0)
    slopes, missing = np.diag([2.0, 1.5]) + 0.1 * rng.normal(size=(2, 2)), np.array([0.3, -0.4])
    np.testing.assert_allclose(damped_solution(slopes, missing), np.linalg.solve(slopes, missing), rtol=0.05)
    wide = rng.normal(size=(2, 6))
    np.testing.assert_allclose(damped_solution(wide, missing), np.linalg.pinv(wide) @ missing, atol=0.02)
    flat = damped_solution(np.array([[1.0, 0.0], [0.0, 1e-9]]), np.array([0.0, 1.0]))
    assert np.abs(flat).max() < 1e-3
    assert not damped_solution(np.zeros((2, 2)), missing).any()


def wave(frames=90):
    """A clip whose valence and arousal go round in a circle, with a gap."""
    angles = np.linspace(0, 2 * np.pi, frames)
    has_va = np.ones(frames, bool)
    has_va[40:50] = False
    valence = np.where(has_va, 0.2 * np.cos(angles), 0.9).astype(np.float32)  # the gap's numbers mean nothing
    arousal = np.where(has_va, 0.2 * np.sin(angles), 0.9).astype(np.float32)
    return replace(Labels.empty(frames), valence=valence, arousal=arousal, has_va=has_va)


def test_a_clip_is_played_by_one_face_smoothly():
    generator, truth, calls = PlantedGenerator(AXES), planted_directions(AXES), []
    play = va_search(generator, read_blocks, truth, Z)
    played = play_labels(play, wave(), seconds=0.05, progress=lambda *done: calls.append(done))
    assert played.frames.tolist() == list(range(0, 90, 3))
    circle = 0.2 * np.stack([np.cos(t := np.linspace(0, 2 * np.pi, 90)[::3]), np.sin(t)], axis=1)
    np.testing.assert_allclose(played.wanted, circle, atol=0.03)  # straight over the gap
    np.testing.assert_allclose(played.predicted, circle, atol=0.06)
    np.testing.assert_allclose(played.error, np.abs(played.predicted - played.wanted).mean(axis=0))
    read = read_blocks(faces_at(generator, played.z))
    np.testing.assert_allclose(read[["AU4", "AU12"]], np.tile(AXES[2:4] @ Z, (30, 1)), atol=0.03)
    steps = np.linalg.norm(np.diff(played.z, axis=0), axis=1)
    assert steps.max() < 0.5  # in a circle of 6.3 in z
    assert calls[0] == (1, 30) and calls[-1] == (30, 30)
    frames = play_labels(play, wave(20), fps=5, played_fps=25).frames
    assert frames.tolist() == list(range(20))  # no faster than it has frames
    with refused("a.txt: no frame has valence and arousal"):
        play_labels(play, Labels.empty(30), source="a.txt")
    with refused("no direction of arousal"):
        va_search(generator, read_blocks, truth.some(["valence", "AU4", "AU12"]), Z)


# From a picture back to z


WEIGHTS = "data_samples/weights"


@pytest.mark.slow
def test_a_picture_whose_z_is_known_is_found_again(feature_net):
    generator = PlantedGenerator(AXES)  # 16 blocks tell 16 combinations of z
    hidden = sample_z(1, 99).double().numpy() * 0.8
    target = faces_at(generator, hidden)[0]
    config, calls = InversionConfig(steps=120), []
    found = invert(generator, target, feature_net, config, progress=lambda *n: calls.append(n))
    axes = generator.axes.detach().double().numpy()
    np.testing.assert_allclose(axes @ found.z, axes @ hidden[0], atol=0.02)  # all that the picture tells of z
    assert found.pixel_error < 2 and found.pixel_ratio < 0.01 < found.start_ratio
    assert found.losses.shape == (120, 4) and found.losses[-1].max() < 0.1 * found.losses[0].min()
    assert calls[0] == (1, 120) and calls[-1] == (120, 120)
    assert np.abs(found.z).max() <= 1


def test_the_numbers_are_those_of_the_faces_and_the_same_seed_gives_the_same(feature_net):
    generator = PlantedGenerator(AXES)
    target = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)  # nothing it can draw
    config = InversionConfig(candidates=64, steps=20)
    first, second = (invert(generator, target, feature_net, config, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.z, second.z)
    other = invert(generator, target, feature_net, config, seed=4)
    assert not np.array_equal(first.z, other.z)
    np.testing.assert_array_equal(first.face, faces_at(generator, first.z[None])[0])
    difference = first.face.astype(float) - target
    assert first.pixel_error == pytest.approx(np.sqrt((difference**2).mean()), rel=1e-6)
    faces = faces_at(generator, sample_z(64, 3).double().numpy()) / 127.5
    unlike = ((faces - np.roll(faces, 1, axis=0)) ** 2).mean()
    assert first.pixel_ratio == pytest.approx(((difference / 127.5) ** 2).mean() / unlike, rel=0.02)
    assert first.pixel_ratio > 1  # further away than two faces are from each other: it says so


@pytest.mark.slow
def test_pixels_alone_come_nearer_in_pixels_and_features_in_features():
    generator, _ = load_checkpoint(f"{WEIGHTS}/gan_1/generator.safetensors", "generator")
    net, _ = load_checkpoint(f"{WEIGHTS}/features.safetensors", "featurenet")
    target = face_in(data.astronaut(), 32)
    config = {"candidates": 64, "starts": 2, "steps": 25}
    pixels = invert(generator, target, net, InversionConfig(feature_weight=0, **config))
    both = invert(generator, target, net, InversionConfig(feature_weight=1, **config))
    assert pixels.pixel_ratio < pixels.start_ratio and pixels.pixel_ratio < both.pixel_ratio
    assert both.feature_ratio < pixels.feature_ratio
    assert all(parameter.grad is None for parameter in [*generator.parameters(), *net.parameters()])
    with pytest.raises(ValueError, match="the generator draws"):
        invert(generator, target[:16, :16], net)


def test_the_surest_face_is_taken_and_a_picture_without_one_refused():
    crop = face_in(data.astronaut(), 96)
    assert crop.shape == (96, 96, 3)
    x, y = np.array([224, 116]) - 60  # the middle of her face
    small = cv2.resize(data.astronaut()[y : y + 120, x : x + 120], (96, 96))
    assert np.corrcoef(crop.ravel(), small.ravel())[0, 1] > 0.3

    class Two:
        name = "two"

        def detect(self, frame):
            return [Box(0, 0, 40, 40, 5.0), Box(100, 100, 40, 40, 1.0)]

    halves = np.zeros((200, 200, 3), np.uint8)
    halves[90:] = 255
    assert face_in(halves, 16, Two()).max() == 0
    with pytest.raises(UserError, match="wall.png: no face was found in it"):
        face_in(np.full((200, 200, 3), 90, np.uint8), 96, source="wall.png")


def test_photographs_and_frames_are_read_as_they_are_shown(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), data.astronaut()[..., ::-1])
    np.testing.assert_array_equal(decode_photograph((tmp_path / "a.png").read_bytes()), data.astronaut())
    for nothing in (b"", b"no picture"):
        with refused("b.png: is not a picture"):
            decode_photograph(nothing, "b.png")
    write_video(tmp_path / "c.mp4", (np.full((48, 64, 3), 20 * number, np.uint8) for number in range(6)))
    assert abs(int(read_frame(tmp_path / "c.mp4", 3).mean()) - 40) < 4  # the third one
    for number in (0, 7):
        with refused(f"has no frame {number}"):
            read_frame(tmp_path / "c.mp4", number)

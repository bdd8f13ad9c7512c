"""From a picture back to z: pictures of which one knows the z, photographs, and pictures of nothing."""

import cv2
import numpy as np
import pytest
import torch
from planted import PlantedGenerator
from skimage import data

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError
from affkit.faces.detectors import Box
from affkit.gan import sample_z
from affkit.video.video import write_video
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig
from affkit_lab.latent.directions import faces_at
from affkit_lab.latent.inversion import InversionConfig, decode_photograph, face_in, invert, read_frame

pytestmark = pytest.mark.slow  # trains small networks

WEIGHTS = "data_samples/weights"


def planted():
    """Sixteen blocks that tell sixteen combinations of z."""
    axes = 0.2 * np.linalg.qr(np.random.default_rng(0).normal(size=(100, 16)))[0].T
    torch.manual_seed(0)
    return PlantedGenerator(axes), FeatureNet(FeatureNetConfig(3, 16, channels=4, num_features=8)).eval()


def test_a_picture_whose_z_is_known_is_found_again():
    generator, net = planted()
    hidden = sample_z(1, 99).double().numpy() * 0.8
    target = faces_at(generator, hidden)[0]
    calls = []
    found = invert(generator, target, net, InversionConfig(steps=120), progress=lambda *n: calls.append(n))
    axes = generator.axes.detach().double().numpy()
    np.testing.assert_allclose(axes @ found.z, axes @ hidden[0], atol=0.02)  # all that the picture tells of z
    assert found.pixel_error < 2 and found.pixel_ratio < 0.01 < found.start_ratio
    assert found.losses.shape == (120, 4) and found.losses[-1].max() < 0.1 * found.losses[0].min()
    assert calls[0] == (1, 120) and calls[-1] == (120, 120)
    assert np.abs(found.z).max() <= 1


def test_the_numbers_are_those_of_the_faces_and_the_same_seed_gives_the_same():
    generator, net = planted()
    target = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)  # nothing it can draw
    config = InversionConfig(candidates=64, steps=20)
    first, second = (invert(generator, target, net, config, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.z, second.z)
    other = invert(generator, target, net, config, seed=4)
    assert not np.array_equal(first.z, other.z)
    np.testing.assert_array_equal(first.face, faces_at(generator, first.z[None])[0])
    difference = first.face.astype(float) - target
    assert first.pixel_error == pytest.approx(np.sqrt((difference**2).mean()), rel=1e-6)
    faces = faces_at(generator, sample_z(64, 3).double().numpy()) / 127.5
    unlike = ((faces - np.roll(faces, 1, axis=0)) ** 2).mean()
    assert first.pixel_ratio == pytest.approx(((difference / 127.5) ** 2).mean() / unlike, rel=0.02)
    assert first.pixel_ratio > 1  # further away than two faces are from each other: it says so


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
        with pytest.raises(UserError, match="b.png: is not a picture"):
            decode_photograph(nothing, "b.png")
    write_video(tmp_path / "c.mp4", (np.full((48, 64, 3), 20 * number, np.uint8) for number in range(6)))
    assert abs(int(read_frame(tmp_path / "c.mp4", 3).mean()) - 40) < 4  # the third one
    for number in (0, 7):
        with pytest.raises(UserError, match=f"has no frame {number}"):
            read_frame(tmp_path / "c.mp4", number)

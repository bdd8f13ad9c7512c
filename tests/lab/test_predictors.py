"""Predictors: the columns are what the networks say, and log odds are log odds."""

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logit

from affkit.checkpoints import save_checkpoint
from affkit.errors import UserError
from affkit.gan import Discriminator, GanNetConfig, Generator
from affkit.labels import ACTION_UNITS, EXPRESSIONS, VA
from affkit.multitask import AffWildNet, AffWildNetConfig
from affkit.store import to_unit_range
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig
from affkit_lab.latent.predictors import JoinedPredictor, NetworkPredictor, log_odds

FACES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)


def seeded(network, config):
    torch.manual_seed(0)
    return network(config).eval()


def test_a_discriminator_also_says_what_is_fake_and_a_generator_reads_no_faces(tmp_path):
    discriminator = seeded(Discriminator, GanNetConfig("1", width=0.1))
    save_checkpoint(tmp_path / "d.safetensors", discriminator)
    table = NetworkPredictor(tmp_path / "d.safetensors")(FACES)
    with torch.no_grad():
        said = discriminator(torch.from_numpy(FACES / 127.5 - 1).float().permute(0, 3, 1, 2))
    assert list(table.columns) == [*VA, *ACTION_UNITS, "fake"]
    np.testing.assert_allclose(table["fake"], torch.sigmoid(said.fake), atol=1e-5)
    np.testing.assert_allclose(table["AU12"], torch.sigmoid(said.action_units[:, 4]), atol=1e-5)
    np.testing.assert_allclose(table["arousal"], said.va[:, 1].clamp(-1, 1), atol=1e-5)
    save_checkpoint(tmp_path / "g.safetensors", seeded(Generator, GanNetConfig("1", width=0.1)))
    with pytest.raises(UserError, match="g.safetensors: holds weights of generator, which reads no faces"):
        NetworkPredictor(tmp_path / "g.safetensors")


def test_a_sequence_network_reads_each_face_by_itself():
    net = seeded(AffWildNet, AffWildNetConfig(width=0.02, image_size=32, hidden=4))
    table = NetworkPredictor(net)(FACES)
    assert list(table.columns) == [*VA, *EXPRESSIONS]
    np.testing.assert_allclose(table[list(EXPRESSIONS)].sum(axis=1), 1, atol=1e-5)
    with torch.no_grad():
        alone = net(to_unit_range(FACES[3])[None, None])[0].va[0, 0]
    np.testing.assert_allclose(table.loc[3, list(VA)].astype(float), alone.clamp(-1, 1), atol=1e-5)


@pytest.mark.parametrize("network, config", [
    (FeatureNet, FeatureNetConfig(2, image_size=48, channels=4)),
    (AffWildNet, AffWildNetConfig(width=0.02, image_size=48, hidden=4)),
])  # fmt: skip
def test_faces_that_are_too_small_are_refused_or_enlarged_if_one_asks(network, config):
    net = seeded(network, config)
    with pytest.raises(UserError, match="32"):
        NetworkPredictor(net)(FACES)
    large = np.stack([cv2.resize(face, (48, 48)) for face in FACES])
    pd.testing.assert_frame_equal(NetworkPredictor(net, enlarge=True)(FACES), NetworkPredictor(net)(large))


def test_log_odds_leave_valence_and_arousal_and_stay_finite():
    table = pd.DataFrame({"valence": [0.2, -1.0], "AU12": [0.01, 0.9], "fake": [0.0, 1.0]})
    odds = log_odds(lambda faces: table)(FACES)
    assert odds["valence"].tolist() == [0.2, -1.0]
    np.testing.assert_allclose(odds["AU12"], logit([0.01, 0.9]))
    assert np.isfinite(odds["fake"]).all() and odds["fake"][0] < -10 < 10 < odds["fake"][1]
    assert table["AU12"].tolist() == [0.01, 0.9]  # the predictor's own table is not touched


def test_of_two_predictors_the_first_one_that_has_a_column_counts():
    asked = []

    def predictor(name, **values):
        def read(faces):
            asked.append(name)
            return pd.DataFrame({key: np.full(len(faces), value) for key, value in values.items()})

        return read

    faces = np.zeros((3, 8, 8, 3), np.uint8)
    joined = JoinedPredictor([predictor("a", AU1=1, AU2=2), predictor("b", valence=3, AU2=4)], faces)
    assert joined.columns == ["AU1", "AU2", "valence"]
    assert joined(faces).to_dict("list") == {"AU1": [1] * 3, "AU2": [2] * 3, "valence": [3] * 3}
    asked.clear()
    assert joined.only(["valence", "AU9"])(faces).columns.tolist() == ["valence"]
    assert asked == ["b"]  # the other one has nothing to say, and is not asked

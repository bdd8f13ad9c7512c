"""What tests of experiments share: a small store, its partition, and networks with random weights."""

import pytest
import torch
from small_experiment import write_files

from affkit.checkpoints import save_checkpoint
from affkit.gan import Discriminator, GanNetConfig, Generator
from affkit_lab.backbones.face_net import FaceNet, FaceNetConfig
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig


@pytest.fixture(scope="session")
def experiment_files(tmp_path_factory):
    """``data`` and ``partition`` of an experiment. Nothing is to be written to the store's folder."""
    return write_files(tmp_path_factory.mktemp("experiment"))


@pytest.fixture(scope="session")
def cnn_file(tmp_path_factory):
    """A convolutional half to start from."""
    torch.manual_seed(0)
    net = FaceNet(FaceNetConfig(4, width=0.03, image_size=32))
    return save_checkpoint(tmp_path_factory.mktemp("cnn") / "cnn.safetensors", net)


@pytest.fixture
def feature_net():
    """A small one, untrained, that reads the faces of a planted generator."""
    torch.manual_seed(0)
    return FeatureNet(FeatureNetConfig(3, image_size=16, channels=4, num_features=8)).eval()


@pytest.fixture(scope="session")
def gan_files(tmp_path_factory):
    """``generator`` and ``discriminator`` of one GAN; the latter takes many faces for real."""
    folder = tmp_path_factory.mktemp("gan")
    torch.manual_seed(0)
    nets = {
        "generator": Generator(GanNetConfig("1", 0.03)),
        "discriminator": Discriminator(GanNetConfig("1", 0.03)),
    }
    torch.nn.init.constant_(nets["discriminator"].head.bias[-1:], -1.0)
    return {name: save_checkpoint(folder / f"{name}.safetensors", net) for name, net in nets.items()}

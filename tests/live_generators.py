"""Small generators and directions for the live page."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from affkit.learn.directions import Directions
from affkit.learn.gan import GanNetConfig, Generator, sample_z

CONFIGS = {
    "1": GanNetConfig("1", width=0.05),
    "1 same": GanNetConfig("1", width=0.05, padding="same"),
    "2": GanNetConfig("2", width=0.02),
    "2 valid": GanNetConfig("2", width=0.02, padding="valid"),
    "2-7x7": GanNetConfig("2-7x7", width=0.02),
}


def random_generator(config: GanNetConfig, seed: int = 0) -> Generator:
    """An untrained generator with a batch normalisation that has much to do."""
    torch.manual_seed(seed)
    generator = Generator(config).eval()
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.05, 0.5),
                (module.weight.data, -1.5, 1.5),
                (module.bias.data, -1, 1),
            ):
                tensor.uniform_(low, high)
    return generator


def large_generator() -> Generator:
    """One whose first layer only float32 can hold; its second layer takes that back."""
    generator = random_generator(CONFIGS["1"])
    for tensor in (generator.layers[1].weight.data, generator.layers[1].bias.data):
        tensor *= 1e7
    generator.layers[3].weight.data *= 1e-7
    return generator


def some_directions(*names: str) -> Directions:
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(100, len(names))))[0].T
    return Directions(vectors, pd.DataFrame({"correlation": 0.5}, index=list(names)))


def some_z(count: int = 24) -> torch.Tensor:
    """Corners of the cube, its middle, and points within it."""
    z = sample_z(count, seed=3)
    z[:8] = z[:8].sign()
    z[8], z[9], z[10] = 1, -1, 0
    return z

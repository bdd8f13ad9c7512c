"""A generator of which one knows what z does: each block of its picture has a direction of its own."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from affkit.learn.directions import Directions

BLOCK = 4  # pixels
NAMES = ("valence", "arousal", "AU4", "AU12")  # the readings of the first blocks


@dataclass(frozen=True)
class PlantedConfig:
    image_size: int = 16


class PlantedGenerator(nn.Module):
    """16 grey blocks of 4 x 4 pixels; block k is ``curve(axes[k] @ z)``, between -1 and 1."""

    def __init__(self, axes: np.ndarray, curve=lambda x: x):
        super().__init__()
        self.config, self.curve = PlantedConfig(), curve
        self.axes = nn.Parameter(torch.from_numpy(axes).float())  # (16, 100)

    def forward(self, z: Tensor) -> Tensor:
        values = self.curve(z @ self.axes.T).clamp(-1, 1)  # (B, 16)
        blocks = values.reshape(-1, 1, BLOCK, BLOCK).repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
        return blocks.expand(-1, 3, -1, -1).contiguous()  # (B, 3, 16, 16)


def orthonormal_axes(seed: int = 0, length: float = 0.2) -> np.ndarray:
    """``(16, 100)``, at right angles; ``length`` keeps blocks from turning all white or black."""
    rng = np.random.default_rng(seed)
    return length * np.linalg.qr(rng.normal(size=(100, 16)))[0].T


def read_blocks(faces: np.ndarray) -> pd.DataFrame:
    """The first four blocks, in [-1, 1], by their names."""
    values = faces[:, ::BLOCK, ::BLOCK, 0].reshape(len(faces), -1) / 127.5 - 1
    return pd.DataFrame(values[:, : len(NAMES)], columns=list(NAMES))


def probabilities(faces: np.ndarray) -> pd.DataFrame:
    """The same as a network would put it: action units by a sigmoid."""
    table = read_blocks(faces)
    return table.assign(**{name: 1 / (1 + np.exp(-4 * table[name])) for name in NAMES[2:]})


def planted_directions(axes: np.ndarray) -> Directions:
    """The truth, for the first four blocks."""
    vectors = axes[: len(NAMES)] / np.linalg.norm(axes[: len(NAMES)], axis=1, keepdims=True)
    return Directions(vectors, pd.DataFrame({"spread": 1.0}, index=list(NAMES)))

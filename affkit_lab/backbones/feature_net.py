"""A small network trained apart from the GAN, to look at generated faces with.

FID and its like compare pictures by the features of a network, usually Inception, trained on photographs of
a thousand kinds of things. This one is small, knows only faces, and is trained in a minute on the faces at
hand: who it is, valence and arousal, action units. So its features differ where people or their affect
differ. Numbers made with it compare with each other, not with published ones.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from affkit.labels import ACTION_UNITS
from affkit.store import fit_size, to_unit_range

SMALLEST = 7  # pixels; a picture is halved until it is not larger


@dataclass(frozen=True)
class FeatureNetConfig:
    """Size of a :class:`FeatureNet`."""

    num_subjects: int  # people it tells apart: those of the faces it is trained on
    image_size: int = 32  # pixels of a side
    channels: int = 32  # of the first convolution; each following one has twice as many
    num_features: int = 64


class FeatureOutput(NamedTuple):
    """Predictions for ``B`` faces."""

    va: Tensor | None  # (B, 2) valence, arousal: linear
    action_units: Tensor  # (B, 8) logits, in the order of ACTION_UNITS
    subject: Tensor  # (B, num_subjects) logits


class FeatureNet(nn.Module):
    """From faces to features, and from these, by linear layers, to subject, affect and action units.

    >>> import torch
    >>> net = FeatureNet(FeatureNetConfig(num_subjects=3)).eval()
    >>> net.features(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 64])
    """

    architecture, config_class = "featurenet", FeatureNetConfig
    predicts_faces = True

    def __init__(self, config: FeatureNetConfig):
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        channels, out, size = 3, config.channels, config.image_size
        while size > SMALLEST:
            convolution = nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(out), nn.LeakyReLU(0.2)]
            channels, out, size = out, 2 * out, -(-size // 2)
        layers += [nn.Flatten(), nn.Linear(channels * size * size, config.num_features, bias=False)]
        # each feature gets mean 0 and variance 1 over the faces it was trained on: one scale for distances
        layers += [nn.BatchNorm1d(config.num_features, affine=False)]
        self.layers = nn.Sequential(*layers)
        self.va = nn.Linear(config.num_features, 2)
        self.action_units = nn.Linear(config.num_features, len(ACTION_UNITS))
        self.subject = nn.Linear(config.num_features, config.num_subjects)

    def features(self, images: Tensor) -> Tensor:
        """Faces ``(B, 3, S, S)`` in [-1, 1] to ``(B, num_features)``."""
        return self.layers(images)

    def forward(self, images: Tensor) -> FeatureOutput:
        """Faces ``(B, 3, S, S)`` in [-1, 1]."""
        x = self.features(images)  # (B, num_features)
        return FeatureOutput(self.va(x), self.action_units(x), self.subject(x))


@torch.no_grad()
def features_of(net: FeatureNet, images: np.ndarray) -> np.ndarray:
    """Features of faces ``(N, S, S, 3)`` uint8: ``(1, N, D)``; a face and its mirror image have the same."""
    parts = []
    for batch in np.array_split(images, -(-len(images) // 256)):
        batch = fit_size(to_unit_range(batch), net.config.image_size)  # (B, 3, S, S)
        parts.append((net.features(batch) + net.features(batch.flip(-1))) / 2)  # (B, D)
    return torch.cat(parts).numpy()[None]

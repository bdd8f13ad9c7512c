"""When a GAN has gone wrong for good: its faces all look alike, or its discriminator has nothing to say.

All losses can be numbers while the generator *collapses* to a few pictures, or the discriminator is certain
about every generated face and the logarithms of Eq. 2 pass on next to no gradient. Both are measured before
each save, so the save before it stays.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from affkit.gan import sample_z
from affkit.store import FrameDataset, fit_size

START = 1000  # steps; before them a generator draws much the same everywhere
LEAST_DIVERSITY = 0.03  # that of real faces is 1; the kit recipe at width 0.25 was at 0.07 after 800 steps
WINDOW = 50  # steps over which the discriminator's probability is averaged
SURE = 1e-3  # a mean probability this near to 0 or 1 has saturated
NUM_FACES = 64


def mean_distance(points: Tensor) -> float:
    """Mean Euclidean distance over all pairs of ``(N, ...)`` points; 0 when all are the same."""
    return float(torch.pdist(points.flatten(1)).mean())


class CollapseWatch:
    """Compares always the same z with up to 64 of the ``faces`` that are trained on, evenly spread."""

    def __init__(self, faces: FrameDataset, size: int):
        rows = np.unique(np.linspace(0, len(faces) - 1, NUM_FACES).round().astype(int))
        self.real_distance = mean_distance(fit_size(faces[rows][0], size))  # of (N, 3, S, S)

    @torch.no_grad()
    def diversity(self, generator: nn.Module) -> float:
        """Mean distance of two of 64 generated faces, pixel by pixel; 1 is that of the real ones."""
        was_training = generator.training
        z = sample_z(NUM_FACES, seed=0).to(next(generator.parameters()).device)
        images = generator.eval()(z)  # (64, 3, S, S)
        generator.train(was_training)
        distance = mean_distance(images.cpu())
        # real faces that are all the same ask for no diversity
        return distance / self.real_distance if self.real_distance else 1.0

    def trouble(self, generator: nn.Module, log: pd.DataFrame) -> str | None:
        """What is wrong after the steps of ``log``, as a clause; None before step 1000 or if all is well.

        Its ``x_fake`` is the probability of "fake" that the discriminator gave to generated faces.
        """
        if len(log) < START:
            return None
        x = log["x_fake"].tail(WINDOW).mean()
        if not SURE <= x <= 1 - SURE:
            return f"the discriminator saturated: to it generated faces are fake with probability {x:.4f}"
        diversity = self.diversity(generator)
        if diversity < LEAST_DIVERSITY:
            return f"the generator collapsed: its faces differ {diversity:.1%} as much as real ones"
        return None

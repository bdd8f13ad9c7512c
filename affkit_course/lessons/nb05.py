"""What the losses of :mod:`affkit.losses` reward and pull towards, for notebook 05."""

from collections.abc import Iterable

import pandas as pd
import torch
from torch import Tensor

from affkit.losses import ccc, reconstruction_loss


def typical_face(faces: Tensor, delta: float = 1.0, steps: int = 100) -> Tensor:
    """The one image with the smallest reconstruction loss (Eq. 2) against ``(N, 3, S, S)`` faces in [-1, 1].

    A generated image is compared with whatever real one stands at its place in the batch, so on average with
    all: the second term of Eq. 2 pulls every generated image here, whatever its z. With a Huber ``delta`` (1
    in the paper) below the distance of most pixels it is the median.

    >>> face = typical_face(torch.tensor([0.0, 0.1, 0.5]).reshape(3, 1, 1, 1))
    >>> round(face.item(), 3)  # no difference above 1: the mean
    0.2
    """
    image = faces.mean(dim=0)  # (3, S, S)
    for _ in range(steps):
        image.requires_grad_()
        loss = reconstruction_loss(faces, image.expand_as(faces), delta)
        (gradient,) = torch.autograd.grad(loss, image)  # (3, S, S)
        # the loss is a mean over pixels, so its gradient is small: 1 / numel of that of one pixel
        image = image.detach() - gradient * image.numel()
    return image


def stretched_predictions(
    known: float, factors: Iterable[float], seeds: Iterable[int], n: int = 4000
) -> pd.DataFrame:
    """MSE and CCC of a model that knows all that can be known, and multiplies it by a factor.

    A label is a signal plus something that no picture shows; its variance is 1 and the signal is the fraction
    ``known`` of it. The prediction is a factor times the signal; at factor 1 it is the expected label.
    Columns: ``seed`` (of ``n`` labels), ``factor``, ``mse``, ``ccc``.
    """
    rows = []
    for seed in seeds:
        parts = torch.randn(2, n, generator=torch.Generator().manual_seed(seed))  # (2, n)
        signal, unknown = known**0.5 * parts[0], (1 - known) ** 0.5 * parts[1]
        for factor in factors:
            predicted, label = factor * signal, signal + unknown
            mse, rho = (predicted - label).square().mean().item(), ccc(predicted, label).item()
            rows.append({"seed": seed, "factor": float(factor), "mse": mse, "ccc": rho})
    return pd.DataFrame(rows)

"""Sentences and formulas of the paper that contradict each other, or a calculation: what settles each."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from affkit.losses import GENERATOR_LOSSES, generator_loss, va_loss


def transposed_sizes(layers: Sequence[tuple[int, int]], padding: str, side: int = 1) -> list[int]:
    """Sides of what transposed convolutions make, one after the other, by doing it.

    Parameters
    ----------
    layers:
        Filter side and stride of each.
    padding:
        ``"valid"`` keeps all that the filters paint, ``"same"`` cuts it to the stride times the side of the
        input, as TensorFlow does.
    side:
        Of the input; z is one pixel.

    >>> transposed_sizes([(2, 1), (4, 2)], "valid"), transposed_sizes([(2, 1), (4, 2)], "same")
    ([2, 6], [1, 2])
    """
    picture, sides = torch.ones(1, 1, side, side), []
    for filter_side, stride in layers:
        wanted = stride * picture.shape[-1]
        picture = F.conv_transpose2d(picture, torch.ones(1, 1, filter_side, filter_side), stride=stride)
        if padding == "same":
            cut = (picture.shape[-1] - wanted) // 2
            picture = picture[..., cut : cut + wanted, cut : cut + wanted]
        sides.append(picture.shape[-1])
    return sides


def generator_gradients(fake: Sequence[float]) -> pd.DataFrame:
    """How hard each generator loss pulls at the logit of the discriminator, by its probability of "fake".

    A row for each of ``fake``; a column for Eq. 2 as printed, and one for its usual cure.
    """
    logits = torch.logit(torch.tensor(fake, dtype=torch.float64))  # (N,)
    table = {}
    for kind in GENERATOR_LOSSES:
        at = logits.clone().requires_grad_()
        # a mean over the batch: times its size, the gradient of each
        (gradient,) = torch.autograd.grad(generator_loss(at, kind=kind) * len(at), at)
        table[kind] = gradient.numpy()
    return pd.DataFrame(table, index=pd.Index(fake, name="probability of fake"))


def constant_target_gradients(predicted: Tensor, value: float) -> dict[str, float]:
    """Length of the gradient of each V-A loss when every label is one number, as for fakes in IV.C.1.

    Parameters
    ----------
    predicted:
        ``(B, 2)``.
    """
    lengths = {}
    for kind in ("ccc", "mse"):
        at = predicted.clone().requires_grad_()
        loss = va_loss(at, torch.full_like(at, value), kind=kind)
        lengths[kind] = float(torch.autograd.grad(loss, at)[0].norm())
    return lengths


def printed_ccc(x: np.ndarray, y: np.ndarray) -> float:
    """Eq. 5 read to the letter: ``s_x`` and ``s_y`` are variances, "and then squared".

    >>> round(printed_ccc(np.array([-0.1, 0.1]), np.array([-0.1, 0.1])), 1)  # a perfect prediction
    100.0
    """
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    return float(2 * covariance / (x.var() ** 2 + y.var() ** 2 + (x.mean() - y.mean()) ** 2))


def hours(frames: int, fps: float = 30.0) -> float:
    """How long so many frames last.

    >>> round(hours(1_180_000), 1)
    10.9
    """
    return frames / fps / 3600

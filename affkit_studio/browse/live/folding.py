"""A generator as nothing but transposed convolutions, which is all that ``live.js`` can compute.

In evaluation mode batch normalisation multiplies each channel by a number and adds another, and so it can be
put into the weights of the layer before it (Jacob et al. 2018, 3.2). The fully connected layer that
configuration 2 begins with is a transposed convolution, too: of one pixel with 100 channels, with a filter as
large as what it makes.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affkit.gan import Z_SIZE, Generator


class FoldedLayer(NamedTuple):
    """A transposed convolution with square filters, its crop, and what is applied afterwards."""

    weight: Tensor  # (in, out, K, K)
    bias: Tensor  # (out,)
    stride: int
    before: int  # rows cut off at the top and columns at the left
    after: int  # and at the bottom and the right
    activation: str  # "relu" or "tanh"

    def out_size(self, size: int) -> int:
        """Pixels of a side, from those of the input."""
        return (size - 1) * self.stride + self.weight.shape[2] - self.before - self.after


def fold(generator: Generator) -> list[FoldedLayer]:
    """The layers of a generator with its batch normalisation inside, float32.

    They compute what the generator does in evaluation mode, but for the last digits.
    """
    modules = [*(generator.project or ()), *generator.layers]
    modules = [module for module in modules if not isinstance(module, nn.Unflatten)]
    layers: list[FoldedLayer] = []
    for module in modules:
        if isinstance(module, nn.BatchNorm2d):
            layers[-1] = _with_norm(layers[-1], module)
        elif isinstance(module, nn.ReLU | nn.Tanh):
            layers[-1] = layers[-1]._replace(activation=type(module).__name__.lower())
        else:
            layers.append(_plain(module, generator))
    return [layer._replace(weight=layer.weight.float(), bias=layer.bias.float()) for layer in layers]


@torch.no_grad()
def draw(layers: list[FoldedLayer], z: Tensor) -> Tensor:
    """Faces of ``z`` ``(B, 100)`` by folded layers, ``(B, 3, S, S)`` in [-1, 1]: the twin of ``live.js``."""
    x = z[:, :, None, None]  # (B, 100, 1, 1)
    for layer in layers:
        end = layer.out_size(x.shape[2]) + layer.before
        x = F.conv_transpose2d(x, layer.weight, layer.bias, layer.stride)
        x = getattr(torch, layer.activation)(
            x[:, :, layer.before : end, layer.before : end]
        )  # (B, out, S, S)
    return x


def _plain(module: nn.Module, generator: Generator) -> FoldedLayer:
    """A layer as it stands, in float64: folding is exact to the last digits of float32."""
    weight = module.weight.detach().double()
    if isinstance(module, nn.Linear):
        side = generator.config.tables.project[0]
        weight = weight.T.reshape(Z_SIZE, -1, side, side)  # (100, C * S * S) to (100, C, S, S)
        return FoldedLayer(weight, weight.new_zeros(weight.shape[1]), 1, 0, 0, "")
    bias = weight.new_zeros(weight.shape[1]) if module.bias is None else module.bias.detach().double()
    before = module.padding[0]
    return FoldedLayer(weight, bias, module.stride[0], before, before + module.surplus, "")


def _with_norm(layer: FoldedLayer, norm: nn.BatchNorm2d) -> FoldedLayer:
    scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)  # (out,)
    bias = (layer.bias - norm.running_mean.double()) * scale + norm.bias.detach().double()
    return layer._replace(weight=layer.weight * scale[:, None, None], bias=bias)

"""The two GAN configurations of Section IV.A: generators (Tables V, VII) and discriminators (VI, VIII).

They are written for TensorFlow, whose padding is ``'SAME'`` or ``'VALID'``. Table V contradicts itself: with
``'SAME'`` its strides 1, 2, 2, 2 turn the 1x1 input into 8x8, not into the 32x32 of its caption. With
``'VALID'`` the sizes are 1, 2, 6, 14, 32, so that is the default.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError, check_choices
from affkit.labels import ACTION_UNITS
from affkit.store import pictures

Z_SIZE = 100
TARGETS = ("va+au", "va", "au")
PADDINGS = (None, "valid", "same")


class Layer(NamedTuple):
    """One row of a table: a square filter, its channels and stride."""

    filter: int
    channels: int
    stride: int


@dataclass(frozen=True)
class Tables:
    """One generator and discriminator as the paper's tables print them, at width 1."""

    size: int  # side of the image that the caption speaks of
    project: (
        tuple[int, int] | None
    )  # side and channels of z after a linear layer; None: 1x1 pixel, 100 channels
    generator: tuple[Layer, ...]
    padding: str
    discriminator: tuple[Layer, ...]


CONFIGURATIONS = {  # Tables V and VI; VII and VIII; the latter with larger filters
    "1": Tables(
        size=32,
        project=None,
        generator=(Layer(2, 384, 1), Layer(4, 128, 2), Layer(4, 64, 2), Layer(6, 3, 2)),
        padding="valid",
        discriminator=(Layer(5, 64, 2), Layer(5, 128, 2), Layer(5, 256, 2)),
    )
} | {
    name: Tables(
        size=96,
        project=(6, 1024),
        generator=tuple(Layer(filter, channels, 2) for channels in (512, 256, 128, 3)),
        padding="same",
        discriminator=tuple(Layer(filter, channels, 2) for channels in (64, 128, 256, 512)),
    )
    for name, filter in (("2", 5), ("2-7x7", 7))
}


@dataclass(frozen=True)
class GanNetConfig:
    """Which generator and discriminator.

    ``spectral_norm`` divides each layer of the discriminator by its largest singular value, which bounds how
    fast the outputs can change with the image (Miyato et al. 2018). It takes the place of batch
    normalisation: after it, the size of a filter would make no difference. Not in the paper.
    """

    configuration: str = "1"  # "1" (32x32, Tables V and VI), "2" (96x96, Tables VII and VIII) or "2-7x7"
    width: float = 1.0  # channels as a fraction of the paper's; z and the images keep theirs
    targets: str = "va+au"  # what the discriminator predicts besides fake: also "va" or "au"
    padding: str | None = None  # of the generator, "valid" or "same"; None gives the size in the caption
    leak: float = 0.2  # slope of the leaky ReLU for negative values
    weight_std: float | None = None  # weights start from N(0, weight_std); None: PyTorch's own start
    spectral_norm: bool = False

    def __post_init__(self):
        check_choices(self, configuration=tuple(CONFIGURATIONS), targets=TARGETS, padding=PADDINGS)
        if not self.width > 0:
            raise UserError("width", f"{self.width} is not above 0", "choose such as 0.25")

    @property
    def tables(self) -> Tables:
        return CONFIGURATIONS[self.configuration]

    @property
    def image_size(self) -> int:
        """Side of the images in pixels.

        >>> GanNetConfig("1").image_size, GanNetConfig("1", padding="same").image_size
        (32, 8)
        """
        tables = self.tables
        size = tables.project[0] if tables.project else 1
        for layer in tables.generator:
            same = (self.padding or tables.padding) == "same"
            size = size * layer.stride if same else (size - 1) * layer.stride + layer.filter
        return size

    def channels(self, printed: int) -> int:
        """The paper's number of channels times the width, at least one."""
        return max(1, round(printed * self.width))


class DiscriminatorOutput(NamedTuple):
    """Predictions for ``B`` images; None for what this variant does not predict."""

    va: Tensor | None  # (B, 2) valence, arousal: linear
    action_units: Tensor | None  # (B, 8) logits, in the order of ACTION_UNITS
    fake: Tensor  # (B,) logit


class Generator(nn.Module):
    """From z to faces: fractionally-strided convolutions, batch normalisation, ReLU; tanh at the end.

    >>> generator = Generator(GanNetConfig("1", width=0.1))
    >>> generator(sample_z(2, seed=0)).shape
    torch.Size([2, 3, 32, 32])
    """

    architecture, config_class = "generator", GanNetConfig

    def __init__(self, config: GanNetConfig):
        super().__init__()
        self.config = config
        tables = config.tables
        self.project, channels = None, Z_SIZE
        if tables.project is not None:
            side, channels = tables.project[0], config.channels(tables.project[1])
            self.project = nn.Sequential(
                nn.Linear(Z_SIZE, side * side * channels, bias=False),
                nn.Unflatten(1, (channels, side, side)),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            )
        padding = config.padding or tables.padding
        layers: list[nn.Module] = []
        for layer in tables.generator[:-1]:
            out = config.channels(layer.channels)
            layers += [
                Deconvolution(channels, out, layer, padding, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(),
            ]
            channels = out
        layers += [Deconvolution(channels, 3, tables.generator[-1], padding), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        _start_weights(self, config.weight_std)

    def forward(self, z: Tensor) -> Tensor:
        """``(B, 100)`` in [-1, 1] to images ``(B, 3, S, S)`` in [-1, 1]."""
        x = z[:, :, None, None] if self.project is None else self.project(z)  # (B, C, 1, 1) or (B, C, 6, 6)
        return self.layers(x)  # (B, 3, S, S)


class Discriminator(nn.Module):
    """From faces to valence, arousal, action units and "fake": strided convolutions and one linear layer.

    >>> output = Discriminator(GanNetConfig("1", width=0.1))(torch.zeros(2, 3, 32, 32))
    >>> output.va.shape, output.action_units.shape, output.fake.shape
    (torch.Size([2, 2]), torch.Size([2, 8]), torch.Size([2]))
    """

    architecture, config_class = "discriminator", GanNetConfig
    predicts_faces = True  # see affkit.evaluation.predict.FacePredictor

    def __init__(self, config: GanNetConfig):
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        channels, size = 3, config.image_size
        for layer in config.tables.discriminator:
            out = config.channels(layer.channels)
            norm = [] if config.spectral_norm else [nn.BatchNorm2d(out)]  # it has the bias
            convolution = Convolution(channels, out, layer, bias=config.spectral_norm)
            layers += [convolution, *norm, nn.LeakyReLU(config.leak)]
            channels, size = out, -(-size // layer.stride)
        self.layers = nn.Sequential(*layers)
        self.num_va = 2 if "va" in config.targets else 0
        self.num_units = len(ACTION_UNITS) if "au" in config.targets else 0
        self.head = nn.Linear(channels * size * size, self.num_va + self.num_units + 1)
        _start_weights(self, config.weight_std)
        if config.spectral_norm:  # last: from here on a weight is computed, and cannot be set
            for module in [*self.layers, self.head]:
                if isinstance(module, nn.Conv2d | nn.Linear):
                    spectral_norm(module)

    def forward(self, images: Tensor) -> DiscriminatorOutput:
        """Images ``(B, 3, S, S)`` in [-1, 1]."""
        x = self.layers(images)  # (B, C, S / 2**L, S / 2**L) after L layers
        x = self.head(x.flatten(1))  # (B, 2 + 8 + 1)
        va, units, fake = x.split([self.num_va, self.num_units, 1], dim=1)
        va, units = va if self.num_va else None, units if self.num_units else None
        return DiscriminatorOutput(va, units, fake.squeeze(1))


def same_padding(size: int, filter: int, stride: int) -> tuple[int, int]:
    """Pixels that TensorFlow's ``'SAME'`` puts before and after ``size`` pixels; PyTorch's are symmetric.

    >>> same_padding(32, filter=5, stride=2)
    (1, 2)
    """
    out = -(-size // stride)  # rounded up
    total = max((out - 1) * stride + filter - size, 0)
    return total // 2, total - total // 2


class Convolution(nn.Conv2d):
    """A strided convolution with TensorFlow's ``'SAME'`` padding."""

    def __init__(self, channels: int, out: int, layer: Layer, bias: bool = True):
        super().__init__(channels, out, layer.filter, layer.stride, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in, H, W)`` to ``(B, out, H / stride, W / stride)``, rounded up."""
        top, bottom = same_padding(x.shape[2], self.kernel_size[0], self.stride[0])
        left, right = same_padding(x.shape[3], self.kernel_size[1], self.stride[1])
        return super().forward(F.pad(x, (left, right, top, bottom)))  # (B, out, ceil(H / s), ceil(W / s))


class Deconvolution(nn.ConvTranspose2d):
    """A fractionally-strided convolution, the paper's ``conv2d transpose``.

    ``"valid"`` keeps all ``(H - 1) * stride + filter`` pixels, ``"same"`` ``H * stride``: it crops where the
    ``'SAME'`` convolution that leads from this output back to this input would pad.
    """

    def __init__(self, channels: int, out: int, layer: Layer, padding: str, bias: bool = True):
        crop = same_padding(layer.stride, layer.filter, layer.stride) if padding == "same" else (0, 0)
        super().__init__(channels, out, layer.filter, layer.stride, padding=crop[0], bias=bias)
        self.surplus = crop[1] - crop[0]  # PyTorch crops both ends alike, the rest is at the far end

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in, H, W)`` to ``(B, out, H', W')``."""
        x = super().forward(x)
        if self.surplus == 0:
            return x
        # a crop by slicing would leave gaps in memory, which slows down what comes next
        return F.pad(x, (0, -self.surplus, 0, -self.surplus))


def sample_z(n: int, seed: int) -> Tensor:
    """``(n, 100)`` uniform in [-1, 1], made on the CPU: the same on every machine.

    >>> sample_z(2, seed=0).shape
    torch.Size([2, 100])
    """
    return torch.rand(n, Z_SIZE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def generate(checkpoint: str | Path, n: int = 64, seed: int = 0) -> np.ndarray:
    """``n`` faces ``(n, S, S, 3)`` uint8 RGB from the generator in a checkpoint."""
    generator, _ = load_checkpoint(checkpoint, "generator")
    return pictures(generator, sample_z(n, seed))


def _start_weights(net: nn.Module, std: float | None) -> None:
    """DCGAN's start (Radford et al. 2015): weights from N(0, std), batch norm's scales from N(1, std)."""
    if std is None:
        return
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, std)

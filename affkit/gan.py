"""The two GAN configurations of Section IV.A: generators (Tables V, VII) and discriminators (VI, VIII).

The tables are written for TensorFlow: a filter is [height, width, in, out], and padding is ``'SAME'`` or
``'VALID'``. PyTorch has no transposed ``'SAME'``, and its ``padding=2`` is not the same for a 5x5 filter of
stride 2: TensorFlow pads one pixel before and two after. :func:`same_padding` says where the pixels go.

Table V contradicts itself: with ``'SAME'`` padding its strides 1, 2, 2, 2 turn the 1x1 input into 8x8, not
into the 32x32 of its caption. With ``'VALID'`` padding the sizes are 1, 2, 6, 14, 32, so that is the default.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from affkit.labels import ACTION_UNITS

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
    """One generator and discriminator as the paper's tables print them, at width 1.

    ``project`` is the side and number of channels that z is projected to by a fully connected layer;
    with None z itself is the input, 1x1 pixel of 100 channels. ``size`` is the side of the image that the
    caption speaks of.
    """

    size: int
    project: tuple[int, int] | None
    generator: tuple[Layer, ...]
    padding: str
    discriminator: tuple[Layer, ...]


def _configuration_2(filter: int) -> Tables:
    return Tables(
        size=96,
        project=(6, 1024),
        generator=tuple(Layer(filter, channels, 2) for channels in (512, 256, 128, 3)),
        padding="same",
        discriminator=tuple(Layer(filter, channels, 2) for channels in (64, 128, 256, 512)),
    )


CONFIGURATIONS = {
    "1": Tables(
        size=32,
        project=None,
        generator=(Layer(2, 384, 1), Layer(4, 128, 2), Layer(4, 64, 2), Layer(6, 3, 2)),
        padding="valid",
        discriminator=(Layer(5, 64, 2), Layer(5, 128, 2), Layer(5, 256, 2)),
    ),
    "2": _configuration_2(filter=5),
    "2-7x7": _configuration_2(filter=7),
}


@dataclass(frozen=True)
class GanNetConfig:
    """Which generator and discriminator.

    Attributes
    ----------
    configuration:
        ``"1"`` (32x32, Tables V and VI), ``"2"`` (96x96, Tables VII and VIII) or ``"2-7x7"``.
    width:
        Channels as a share of the paper's; z and the images keep theirs.
    targets:
        What the discriminator tells besides fake: ``"va+au"``, ``"va"`` or ``"au"``.
    padding:
        Of the generator, ``"valid"`` or ``"same"``; None is the one that gives the size in the caption.
    leak:
        Slope of the leaky ReLU for negative values.
    weight_std:
        Weights start from N(0, weight_std), as in DCGAN; None: PyTorch's own start (the paper says nothing).
    spectral_norm:
        Instead of batch normalisation in the discriminator, see :class:`Discriminator`; not in the paper.
    """

    configuration: str = "1"
    width: float = 1.0
    targets: str = "va+au"
    padding: str | None = None
    leak: float = 0.2
    weight_std: float | None = None
    spectral_norm: bool = False

    def __post_init__(self):
        choices = {"configuration": tuple(CONFIGURATIONS), "targets": TARGETS, "padding": PADDINGS}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: {getattr(self, name)!r} is none of {allowed}")
        if not self.width > 0:
            raise ValueError(f"width: {self.width} is not above 0")

    @property
    def tables(self) -> Tables:
        """The paper's tables of this configuration."""
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
    """What the discriminator says about ``B`` images; None for what this variant does not tell.

    Only valence and arousal are the numbers themselves. The other two are logits: the paper's sigmoid is
    applied by the losses, which are more exact that way, and by whoever wants a probability.
    """

    va: Tensor | None  # (B, 2) valence, arousal: linear
    action_units: Tensor | None  # (B, 8) logits, in the order of ACTION_UNITS
    fake: Tensor  # (B,) logit


class Generator(nn.Module):
    """From z to faces: fractionally-strided convolutions, batch normalisation, ReLU; tanh at the end.

    >>> generator = Generator(GanNetConfig("1", width=0.1))
    >>> generator(sample_z(2, seed=0)).shape
    torch.Size([2, 3, 32, 32])
    """

    architecture = "generator"

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

    With ``config.spectral_norm`` each layer is divided by its largest singular value, which bounds how fast
    the outputs can change with the image (Miyato et al. 2018). It takes the place of batch normalisation:
    after it, the size of a filter would make no difference.

    >>> output = Discriminator(GanNetConfig("1", width=0.1))(torch.zeros(2, 3, 32, 32))
    >>> output.va.shape, output.action_units.shape, output.fake.shape
    (torch.Size([2, 2]), torch.Size([2, 8]), torch.Size([2]))
    """

    architecture = "discriminator"
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
    """Pixels that TensorFlow's ``'SAME'`` puts before and after ``size`` pixels: size / stride come out.

    An odd total puts the larger half after: another place than PyTorch's symmetric padding.

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

    ``"valid"`` keeps all ``(H - 1) * stride + filter`` pixels. ``"same"`` keeps ``H * stride`` of them: it
    crops where the ``'SAME'`` convolution that leads from this output back to this input would pad.
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


def fit_size(images: Tensor, size: int) -> Tensor:
    """Faces ``(B, 3, S, S)`` made smaller by averaging; unchanged when they are of that size."""
    return images if images.shape[-1] == size else F.interpolate(images, size=(size, size), mode="area")


def _start_weights(net: nn.Module, std: float | None) -> None:
    """DCGAN's start (Radford et al. 2015): weights from N(0, std), batch norm's scales from N(1, std)."""
    if std is None:
        return
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, std)

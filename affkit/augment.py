"""Differentiable augmentation: every picture that the discriminator sees is changed at random first.

With few faces the discriminator memorizes them, and the generator gets nothing more from it. Changing
the real faces alone would teach the generator to draw changed faces. So real and generated ones are changed
alike, in the updates of both networks, by operations through which a gradient flows back to the generator
(S. Zhao, Z. Liu, J. Lin, J.-Y. Zhu, S. Han, "Differentiable augmentation for data-efficient GAN training",
NeurIPS 2020). The ranges are theirs.

Random numbers are drawn on the CPU: the same on every machine, and after a resume.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT = 1 / 8  # largest move, as a fraction of the side
HOLE = 1 / 2  # side of the grey square, as a fraction of the side


def augment(images: Tensor, kinds: tuple[str, ...], random: torch.Generator) -> Tensor:
    """Change each picture by operations of :data:`AUGMENTATIONS`, in the order of ``kinds``.

    ``images`` are ``(B, 3, S, S)`` in [-1, 1]; what comes out can leave that range.

    >>> faces = torch.rand(4, 3, 32, 32) * 2 - 1
    >>> augment(faces, ("color", "translation"), torch.Generator().manual_seed(0)).shape
    torch.Size([4, 3, 32, 32])
    """
    for kind in kinds:
        images = AUGMENTATIONS[kind](images, random)  # (B, 3, S, S)
    return images


def color(images: Tensor, random: torch.Generator) -> Tensor:
    """Another brightness, saturation and contrast."""
    return contrast(saturation(brightness(images, random), random), random)


def brightness(images: Tensor, random: torch.Generator) -> Tensor:
    """Add one number from [-0.5, 0.5] to all of a picture."""
    return images + (_uniform(images, random) - 0.5)


def saturation(images: Tensor, random: torch.Generator) -> Tensor:
    """Colour times 0 (grey) to 2; the mean of red, green and blue stays."""
    grey = images.mean(dim=1, keepdim=True)  # (B, 1, S, S)
    return grey + (images - grey) * (2 * _uniform(images, random))


def contrast(images: Tensor, random: torch.Generator) -> Tensor:
    """Distance from the mean of the picture times 0.5 to 1.5; the mean stays."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
    return mean + (images - mean) * (0.5 + _uniform(images, random))


def translation(images: Tensor, random: torch.Generator) -> Tensor:
    """Move up to an eighth of the side, up or down and left or right; grey (0) comes in."""
    size = images.shape[-1]
    most = int(size * SHIFT + 0.5)
    down, right = _integers(images, -most, most, random), _integers(images, -most, most, random)  # (B,)
    padded = F.pad(images, (most, most, most, most))  # (B, 3, S + 2 most, S + 2 most)
    line = torch.arange(size, device=images.device) + most
    rows, columns = line - down[:, None], line - right[:, None]  # (B, S)
    rows = rows[:, None, :, None].expand(-1, images.shape[1], -1, padded.shape[3])  # (B, 3, S, S + 2 most)
    columns = columns[:, None, None, :].expand(-1, images.shape[1], size, -1)  # (B, 3, S, S)
    return padded.gather(2, rows).gather(3, columns)  # (B, 3, S, S)


def cutout(images: Tensor, random: torch.Generator) -> Tensor:
    """A grey (0) square of half the side around any pixel; at the border a part of it is outside."""
    size = images.shape[-1]
    half = int(size * HOLE + 0.5) / 2
    line = torch.arange(size, device=images.device) + 0.5  # middles of the pixels
    inside = []
    for _ in ("rows", "columns"):
        middle = _integers(images, 0, size, random)[:, None]  # (B, 1), an edge between two pixels
        inside.append((line - middle).abs() < half)  # (B, S)
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]  # (B, 1, S, S)
    return images * ~hole


def flip(images: Tensor, random: torch.Generator) -> Tensor:
    """Half of the pictures left to right; nearly all faces can be either way."""
    return mirrored(images, torch.rand(len(images), generator=random) < 0.5)


def mirrored(images: Tensor, flip: Tensor) -> Tensor:
    """Pictures ``(B, 3, S, S)``, those where ``flip`` ``(B,)`` is true left to right."""
    return torch.where(flip[:, None, None, None].to(images.device), images.flip(-1), images)


AUGMENTATIONS = {"flip": flip, "color": color, "translation": translation, "cutout": cutout}


def _uniform(images: Tensor, random: torch.Generator) -> Tensor:
    """A number from [0, 1) for each picture, ``(B, 1, 1, 1)``."""
    return torch.rand(len(images), 1, 1, 1, generator=random).to(images)


def _integers(images: Tensor, low: int, high: int, random: torch.Generator) -> Tensor:
    """A whole number from ``low`` to ``high``, both included, for each picture, ``(B,)``."""
    return torch.randint(low, high + 1, (len(images),), generator=random).to(images.device)

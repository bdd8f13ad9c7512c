"""Faces out of a trained generator, and sheets of them."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError
from affkit.files import write_beside
from affkit.gan import Generator, fit_size, sample_z
from affkit.store import to_unit_range


def generate(checkpoint: str | Path, n: int = 64, seed: int = 0) -> np.ndarray:
    """``n`` faces from the generator in a checkpoint, ``(n, S, S, 3)`` uint8 RGB.

    Raises
    ------
    UserError
        If the file is not the checkpoint of a generator.
    """
    generator, _ = load_checkpoint(checkpoint, "generator")
    return pictures(generator, sample_z(n, seed))


@torch.no_grad()
def pictures(generator: Generator, z: Tensor, batch_size: int = 64) -> np.ndarray:
    """The faces of ``z`` ``(n, 100)``, as uint8 ``(n, S, S, 3)``; a face does not depend on its batch."""
    device = next(generator.parameters()).device
    was_training = generator.training
    generator.eval()
    images = torch.cat([generator(part.to(device)).cpu() for part in z.split(batch_size)])  # (n, 3, S, S)
    generator.train(was_training)
    return to_pixels(images)


def to_pixels(images: Tensor) -> np.ndarray:
    """Images ``(..., 3, S, S)`` in [-1, 1] to pixels ``(..., S, S, 3)`` uint8; the way back of reading.

    >>> to_pixels(torch.tensor([-1.0, 0.0, 1.0]).reshape(3, 1, 1))
    array([[[  0, 128, 255]]], dtype=uint8)
    """
    return images.movedim(-3, -1).add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).numpy()


def made_smaller(images: np.ndarray, size: int, source: str | Path = "faces") -> np.ndarray:
    """Faces ``(N, S, S, 3)`` uint8, averaged down to ``size`` pixels.

    ``source`` is where they came from, for the :class:`~affkit.errors.UserError` when they are too small.
    """
    if images.shape[1] < size:
        problem = f"has faces of {images.shape[1]} pixels, needed are {size}"
        raise UserError(source, problem, f"make a store with --size {size}")
    if images.shape[1] == size:
        return images
    batches = np.array_split(images, -(-len(images) // 256))
    return np.concatenate([to_pixels(fit_size(to_unit_range(batch), size)) for batch in batches])


def image_grid(images: np.ndarray, columns: int = 8) -> np.ndarray:
    """Equal pictures ``(n, S, S, 3)`` uint8 as one, row by row; what is left of the last row is white.

    >>> image_grid(np.zeros((5, 4, 4, 3), np.uint8), columns=3).shape
    (8, 12, 3)
    """
    n, side = images.shape[:2]
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.full((rows * columns, side, side, 3), 255, np.uint8)
    sheet[:n] = images
    return sheet.reshape(rows, columns, side, side, 3).swapaxes(1, 2).reshape(rows * side, columns * side, 3)


def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write ``(H, W, 3)`` uint8 RGB as PNG, whole or not at all."""
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    with write_beside(path) as part:
        part.write_bytes(data.tobytes())

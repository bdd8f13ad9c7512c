"""From a picture back to z: the generated face that is most like it.

A generator has no way back. So z is sought by gradient descent: draw many faces, take those most like the
picture, and improve their z with Adam. How like two faces are is judged by their pixels and by the features
of a network that was trained apart (as with perceptual losses, Johnson et al. 2016). What a generator has
never seen it cannot draw: the error that is left says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from affkit.errors import UserError
from affkit.faces.detectors import Detector, crop_face
from affkit.faces.extract import make_detector
from affkit.gan import Generator, sample_z
from affkit.store import fit_size, to_unit_range
from affkit.video.video import Video
from affkit_lab.backbones.feature_net import FeatureNet
from affkit_lab.latent.directions import faces_at


@dataclass(frozen=True)
class InversionConfig:
    """How :func:`invert` searches: the best ``starts`` of random ``candidates`` go ``steps`` steps of Adam.

    The features count ``feature_weight``, the pixels 1. Both distances are divided by what they are between
    two random faces. At 0 only pixels count.
    """

    candidates: int = 512
    starts: int = 4
    steps: int = 200
    lr: float = 0.05
    feature_weight: float = 0.5


@dataclass(frozen=True)
class Inversion:
    """What :func:`invert` found. Ratios are mean square differences; 1 is that of two random faces."""

    z: np.ndarray  # (100,) in [-1, 1]
    face: np.ndarray  # of z, (S, S, 3) uint8
    target: np.ndarray  # the picture, as face
    pixel_error: float  # root mean square difference of the two, in grey levels of 0 to 255
    pixel_ratio: float
    feature_ratio: float
    start_ratio: float  # of pixels, for the best of the random candidates: what the search began with
    losses: np.ndarray  # (steps, starts): the loss on the way


def face_in(picture: np.ndarray, size: int, detector: Detector | None = None, source="picture") -> np.ndarray:
    """The surest face in a picture ``(H, W, 3)`` uint8, cut out as for training; UserError if none."""
    boxes = (detector or make_detector()).detect(picture)
    if not boxes:
        raise UserError(source, "no face was found in it", "give a picture with a larger, frontal face")
    return crop_face(picture, boxes[0], size)


def decode_photograph(data: bytes, source: str | Path = "picture") -> np.ndarray:
    """The bytes of a photograph as ``(H, W, 3)`` uint8 RGB, turned as it was held; UserError if none."""
    values = np.frombuffer(data, np.uint8)
    picture = cv2.imdecode(values, cv2.IMREAD_COLOR_RGB) if values.size else None
    if picture is None:
        raise UserError(source, "is not a picture that can be read", "give a JPEG or PNG file")
    return picture


def read_frame(video: str | Path, number: int) -> np.ndarray:
    """Frame ``number`` of a clip, counted from 1 as in label files: ``(H, W, 3)`` uint8 RGB."""
    frame = next(Video(video).frames(number - 1, number), None) if number >= 1 else None
    if frame is None:
        raise UserError(video, f"has no frame {number}", "frames are counted from 1")
    return frame


def invert(
    generator: Generator,
    target: np.ndarray,
    feature_net: FeatureNet,
    config: InversionConfig | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Inversion:
    """The z whose face is most like ``target``, ``(S, S, 3)`` uint8 of the generator's size.

    The same arguments give the same z. ``progress`` is called with how many steps are done, and of how many.
    """
    config = config or InversionConfig()
    size = generator.config.image_size
    if target.shape != (size, size, 3):
        raise ValueError(f"a picture of {target.shape}, the generator draws {(size, size, 3)}")
    likeness = _Likeness(generator, to_unit_range(target[None]), feature_net, config, seed)
    z = likeness.candidates[: config.starts].clone().requires_grad_()
    optimizer = torch.optim.Adam([z], lr=config.lr)
    losses = np.zeros((config.steps, config.starts))
    best, best_loss = z.detach().clone(), torch.full((config.starts,), torch.inf)
    for step in range(config.steps):
        loss = likeness.loss(generator(z))  # (starts,)
        losses[step] = loss.detach().numpy()
        better = loss.detach() < best_loss
        best[better], best_loss[better] = z.detach()[better], loss.detach()[better]
        optimizer.zero_grad()
        loss.sum().backward(inputs=[z])
        optimizer.step()
        with torch.no_grad():
            z.clamp_(-1, 1)
        if progress:
            progress(step + 1, config.steps)
    found = best[best_loss.argmin()].double().numpy()
    face = faces_at(generator, found[None])[0]
    with torch.no_grad():
        pixels, features = likeness.ratios(to_unit_range(face[None]))
    error = float(np.sqrt(np.mean((face.astype(float) - target) ** 2)))
    return Inversion(found, face, target, error, float(pixels), float(features), likeness.start_ratio, losses)


class _Likeness:
    """How like faces are to one picture; 1 is as unlike as two random faces."""

    def __init__(
        self, generator: Generator, target: Tensor, net: FeatureNet, config: InversionConfig, seed: int
    ):
        self.net, self.weight, self.target = net, config.feature_weight, target  # (1, 3, S, S)
        z = sample_z(config.candidates, seed)
        with torch.no_grad():
            faces = torch.cat([generator(part) for part in z.split(64)])  # (N, 3, S, S)
            self.target_features = self.features(target)
            features = self.features(faces)  # (N, D)
            self.unlike = [(x - x.roll(1, dims=0)).square().mean() for x in (faces, features)]
            pixels, losses = self.ratios(faces)[0], self.loss(faces)
        order = losses.argsort()
        self.candidates, self.start_ratio = z[order], float(pixels[order[0]])

    def features(self, faces: Tensor) -> Tensor:
        return self.net.features(fit_size(faces, self.net.config.image_size))

    def ratios(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Of pixels and of features, ``(B,)`` each."""
        pixels = (faces - self.target).square().mean(dim=(1, 2, 3))
        features = (self.features(faces) - self.target_features).square().mean(dim=1)
        return pixels / self.unlike[0], features / self.unlike[1]

    def loss(self, faces: Tensor) -> Tensor:
        """``(B,)``, to be made small."""
        pixels, features = self.ratios(faces)
        return pixels + self.weight * features

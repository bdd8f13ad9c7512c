"""A pretrained convolutional half: VGG-Face's layers, taught on many people who they are and what they do.

A network like that of Figure 5 starts from one that knows faces already: VGG-Face, trained to tell 2,622
people apart (Parkhi et al. 2015). This one is its small relative, trained to tell drawn people apart and to
see their action units. It is told nothing about valence, arousal or expressions, so what a recurrent network
on top of it says about those was learned there.

Thirteen plain convolutions are hard to train: with few faces, action units are not learned at all. So there
is batch normalization (Ioffe & Szegedy 2015) behind each layer while it trains. Afterwards that is a scale
and a shift for each channel, which weights and biases absorb: :func:`folded` gives VGG-Face's layers back.

What a half that is frozen says of each face never changes: :func:`cached_features` computes it once and keeps
it beside the faces. The file's name tells of which weights and faces.
"""

import hashlib
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from tqdm import tqdm

from affkit.errors import UserError
from affkit.files import write_beside
from affkit.labels import ACTION_UNITS
from affkit.multitask import AffWildNetConfig, VGGFace
from affkit.store import Store, to_unit_range
from affkit_lab.backbones.feature_net import FeatureOutput

SAMPLE = 64  # faces whose pixels go into the name: all of them would have to be read, which is what we save
BATCH = 256


@dataclass(frozen=True)
class FaceNetConfig:
    """Size of a :class:`FaceNet`; ``width`` is a fraction of VGG-Face's channels."""

    num_subjects: int  # people it tells apart: those of the faces it is trained on
    width: float = 0.125
    image_size: int = 96
    dropout: float = 0.5  # of the features, in training; as in VGG-Face
    batch_norm: bool = False  # behind each layer, for training


class FaceNet(nn.Module):
    """:class:`~affkit.multitask.VGGFace`, and linear layers from its features to what it is taught.

    >>> import torch
    >>> net = FaceNet(FaceNetConfig(num_subjects=3, width=0.02, image_size=32)).eval()
    >>> net(torch.zeros(2, 3, 32, 32)).action_units.shape
    torch.Size([2, 8])
    """

    architecture, config_class = "facenet", FaceNetConfig
    predicts_faces = True

    def __init__(self, config: FaceNetConfig):
        super().__init__()
        self.config = config
        sizes = AffWildNetConfig(config.width, config.image_size)
        self.cnn = VGGFace(sizes)
        if config.batch_norm:
            _add_batch_norm(self.cnn)
        self.dropout = nn.Dropout(config.dropout)
        self.action_units = nn.Linear(sizes.channels(4096), len(ACTION_UNITS))
        self.subject = nn.Linear(sizes.channels(4096), config.num_subjects)

    def forward(self, images: Tensor) -> FeatureOutput:
        """Faces ``(B, 3, S, S)`` in [-1, 1]; valence and arousal are None."""
        return self.predict(self.cnn(images))

    def predict(self, features: Tensor) -> FeatureOutput:
        """As :meth:`forward`, of features ``(B, F)`` that are known."""
        x = self.dropout(features)  # (B, F)
        return FeatureOutput(None, self.action_units(x), self.subject(x))


def folded(net: FaceNet) -> FaceNet:
    """The same network for use: without batch normalization, and with the same outputs.

    >>> import torch
    >>> net = FaceNet(FaceNetConfig(num_subjects=3, width=0.02, image_size=32, batch_norm=True)).eval()
    >>> faces = torch.rand(2, 3, 32, 32)
    >>> torch.allclose(net(faces).subject, folded(net)(faces).subject, atol=1e-5)
    True
    """
    source, plain = deepcopy(net).eval(), FaceNet(replace(net.config, batch_norm=False)).eval()
    if net.config.batch_norm:
        layers: list[nn.Module] = []
        for layer in source.cnn.layers:
            if isinstance(layer, nn.BatchNorm2d):
                layers[-1] = fuse_conv_bn_eval(layers[-1], layer)
            else:
                layers.append(layer)
        source.cnn.layers = nn.Sequential(*layers)
        source.cnn.fc = fuse_linear_bn_eval(*source.cnn.fc)
    plain.load_state_dict(source.state_dict())
    return plain


def _add_batch_norm(cnn: VGGFace) -> None:
    """Behind each convolution, and behind the fully connected layer."""
    layers = []
    for layer in cnn.layers:
        layers.append(layer)
        if isinstance(layer, nn.Conv2d):
            layers.append(nn.BatchNorm2d(layer.out_channels))
    cnn.layers = nn.Sequential(*layers)
    cnn.fc = nn.Sequential(cnn.fc, nn.BatchNorm1d(cnn.fc.out_features))


def cached_features(
    cnn: nn.Module,
    store: Store,
    folder: str | Path,
    device: str | torch.device = "cpu",
    progress: bool = True,
) -> np.ndarray:
    """``(len(store), F)`` float32, memory-mapped: features of every face, from ``folder`` or computed now.

    ``cnn`` makes ``(N, F)`` from faces ``(N, 3, S, S)`` in [-1, 1], each by itself. A :class:`UserError` if
    they are not numbers, the file is damaged, or the folder cannot be written to.
    """
    path = Path(folder) / f"features_{feature_key(cnn, store)}.npy"
    if not path.is_file():
        features = compute_features(cnn, store, device, progress)
        try:
            with write_beside(path) as part:
                np.save(part, features)
        except (PermissionError, FileExistsError, NotADirectoryError) as error:
            problem = f"cannot be written to ({error.strerror})"
            raise UserError(folder, problem, "choose another folder") from error
    try:
        features = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(features, np.ndarray) or features.shape[:-1] != (len(store),):
            raise ValueError("an archive of arrays, or features of other faces")
    except (ValueError, EOFError) as error:
        raise UserError(path, "is damaged", "delete it: it is made again") from error
    return features


@torch.no_grad()
def compute_features(
    cnn: nn.Module, store: Store, device: str | torch.device = "cpu", progress: bool = True
) -> np.ndarray:
    """As :func:`cached_features`, always computed: ``(len(store), F)`` float32."""
    parts = []
    with tqdm(total=len(store), unit="face", desc="features", delay=2, disable=not progress) as bar:
        for start in range(0, len(store), BATCH):
            images = to_unit_range(store.images[start : start + BATCH]).to(device)  # (B, 3, S, S)
            parts.append(cnn(images).float().cpu().numpy())  # (B, F)
            bar.update(len(images))
    features = np.concatenate(parts)  # (N, F)
    if not np.isfinite(features).all():
        face = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
        problem = f"the network's features of face {face} are not numbers"
        raise UserError(store.path, problem, "give other weights, these are damaged")
    return features


def feature_key(cnn: nn.Module, store: Store) -> str:
    """16 hexadecimal digits of the weights, where each face was found, and the pixels of some of them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(cnn.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    digest.update(store.index[["video", "frame", "person", "x", "y", "w", "h"]].to_csv(index=False).encode())
    rows = np.unique(np.linspace(0, len(store) - 1, SAMPLE).astype(np.int64))
    digest.update(np.ascontiguousarray(store.images[rows]).tobytes())
    return digest.hexdigest()[:16]

"""Training networks on single faces: what the face does and, for two of three networks, who it is.

Three networks are made this way: the one that looks at generated faces,
``FeatureNet``; the convolutional half that the multi-task network starts from,
``FaceNet``; and the paper's discriminator, as a reader of valence, arousal and
action units and nothing else, :class:`~affkit.gan.Discriminator`.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import cos, pi
from pathlib import Path
from typing import ClassVar

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affkit.augment import augment
from affkit.checkpoints import save_checkpoint
from affkit.errors import UserError, check_choices
from affkit.gan import Discriminator, GanNetConfig
from affkit.loop import RowStream, fingerprint, make_fabric, run, step_generator
from affkit.losses import VA_LOSSES, au_loss, va_loss
from affkit.store import FrameDataset, Store, fit_size, too_small
from affkit_lab.backbones.face_net import FaceNet, FaceNetConfig, folded
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig


@dataclass(frozen=True)
class FeatureConfig:
    """One training run of a :class:`~affkit_lab.backbones.feature_net.FeatureNet`.

    ``lr`` is Adam's; ``augment`` says how faces are changed at random, see :mod:`affkit.augment`.
    """

    image_size: int = 32
    channels: int = 32
    num_features: int = 64
    lr: float = 1e-3
    batch_size: int = 64
    seed: int = 0
    augment: tuple[str, ...] = ("flip", "translation")

    lr_steps: ClassVar = None
    subject_weight: ClassVar = 1.0
    file: ClassVar = "features.safetensors"
    va_loss: ClassVar = "ccc"
    tells_subjects: ClassVar = True

    def net(self, num_subjects: int) -> FeatureNet:
        """The network, with random weights."""
        return FeatureNet(FeatureNetConfig(num_subjects, self.image_size, self.channels, self.num_features))

    def finished(self, net: FeatureNet) -> FeatureNet:
        """The network to save."""
        return net


@dataclass(frozen=True)
class CnnConfig:
    """One training run of a :class:`~affkit_lab.backbones.face_net.FaceNet`.

    Attributes
    ----------
    width, image_size, dropout:
        Of the network, see :class:`~affkit_lab.backbones.face_net.FaceNetConfig`.
    lr, lr_steps:
        Of Adam; the rate falls along half a cosine from ``lr`` to 0 at step ``lr_steps``.
    subject_weight:
        Of who it is, where action units have 1. Who it is is soon learned, with large gradients: with a
        weight of 1 action units are not learned beside it.
    augment:
        How faces are changed at random, see :mod:`affkit.augment`.
    """

    width: float = 0.125
    image_size: int = 96
    dropout: float = 0.5
    lr: float = 2e-3
    lr_steps: int | None = None
    batch_size: int = 64
    subject_weight: float = 0.1
    seed: int = 0
    augment: tuple[str, ...] = ("flip", "translation")

    file: ClassVar = "cnn.safetensors"
    va_loss: ClassVar = "ccc"
    tells_subjects: ClassVar = True

    def net(self, num_subjects: int) -> FaceNet:
        """The network, with random weights."""
        return FaceNet(FaceNetConfig(num_subjects, self.width, self.image_size, self.dropout, True))

    def finished(self, net: FaceNet) -> FaceNet:
        """The network to save."""
        return folded(net)


@dataclass(frozen=True)
class ReaderConfig:
    """One training run of the paper's discriminator (Table VI) without a GAN, as :class:`FeatureConfig`.

    It reads valence, arousal and action units from single faces of 32 pixels. Its last output, "fake", is
    not trained and means nothing. ``va_loss`` is ``"ccc"`` (Eq. 4) or ``"mse"``.
    """

    width: float = 1.0
    lr: float = 1e-3
    batch_size: int = 64
    seed: int = 0
    augment: tuple[str, ...] = ()
    va_loss: str = "ccc"

    lr_steps: ClassVar = None
    file: ClassVar = "reader.safetensors"
    image_size: ClassVar = 32
    tells_subjects: ClassVar = False

    def __post_init__(self):
        check_choices(self, va_loss=VA_LOSSES)

    def net(self, num_subjects: int = 0) -> Discriminator:
        """The network, with random weights."""
        return Discriminator(GanNetConfig("1", self.width))

    def finished(self, net: Discriminator) -> Discriminator:
        """The network to save."""
        return net


FaceConfig = FeatureConfig | CnnConfig | ReaderConfig


class FaceTrainer:
    """The network, its optimizer and the faces; :meth:`step` trains one batch."""

    def __init__(self, fabric, store: Store, rows: Sequence[int] | None, config: FaceConfig):
        self.config, self.fabric = config, fabric
        if store.size < config.image_size:
            raise too_small(store.path, store.size, "the network reads", config.image_size)
        self.faces = FrameDataset(store, rows)
        self.shown = ("au", "subject") if config.tells_subjects else ("va", "au")
        num_subjects = self._number_subjects(store) if config.tells_subjects else 0
        self.stream = RowStream(len(self.faces), config.batch_size, config.seed)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.net: nn.Module = config.net(num_subjects)
        self.modules = {"net": self.net}
        self.optimizers = {"net": torch.optim.Adam(self.net.parameters(), lr=config.lr)}
        self._model, self._optimizer = fabric.setup(self.net, self.optimizers["net"])

    def _number_subjects(self, store: Store) -> int:
        """Give everybody a number, and return how many there are."""
        subjects = pd.Categorical(subjects_of(store)[self.faces.rows])
        if len(subjects.categories) < 2:
            raise UserError(store.path, "has fewer than 2 people", "take more clips")
        self.subjects = torch.from_numpy(subjects.codes.astype("int64"))  # (N,)
        return len(subjects.categories)

    def step(self, number: int) -> dict[str, Tensor]:
        """Minimise the sum of the losses on one batch; each face is changed a little."""
        random, batch = step_generator(self.config.seed, number), self.stream.batch(number)
        images, labels = self.fabric.to_device(self.faces[batch])
        images = fit_size(images, self.config.image_size)
        images = augment(images, self.config.augment, random)  # (B, 3, S, S)
        output = self._model(images)
        terms = {}
        if output.va is not None:
            target = torch.stack([labels["valence"], labels["arousal"]], dim=-1)  # (B, 2)
            terms["va"] = va_loss(output.va, target, labels["has_va"], self.config.va_loss)
        terms["au"] = au_loss(output.action_units, labels["action_units"], labels["has_action_units"])
        if self.config.tells_subjects:
            subjects = self.fabric.to_device(self.subjects[batch])  # (B,)
            terms["subject"] = self.config.subject_weight * F.cross_entropy(output.subject, subjects)
        for group in self._optimizer.param_groups:
            group["lr"] = self.config.lr * cosine_share(number, self.config.lr_steps)
        self._optimizer.zero_grad()
        self.fabric.backward(sum(terms.values()))
        self._optimizer.step()
        return {name: term.detach() for name, term in terms.items()}

    def save(self, out: Path, steps: int) -> None:
        """The network, in a file named after it, such as ``features.safetensors``."""
        how = {"config": asdict(self.config), "steps": steps}
        save_checkpoint(out / self.config.file, self.config.finished(self.net), how)


def cosine_share(number: int, steps: int | None) -> float:
    """What is left of a learning rate at step ``number``: from 1 to 0 in ``steps`` steps; None: always 1.

    >>> [round(cosine_share(number, 4), 3) for number in (0, 1, 2, 4, 9)], cosine_share(5, None)
    ([1.0, 0.854, 0.5, 0.0, 0.0], 1.0)
    """
    return 1.0 if steps is None else (1 + cos(pi * min(number / steps, 1))) / 2


def train_faces(
    store: Store,
    out: str | Path,
    config: FaceConfig,
    steps: int = 1000,
    resume: bool = False,
    device: str = "auto",
    progress: bool = True,
    rows: Sequence[int] | None = None,
    save_every: int = 200,
    callback: Callable[[int, dict, FaceTrainer], None] | None = None,
) -> Path:
    """Train the network of ``config`` on the faces of a store with labels; returns its checkpoint.

    For the first two networks ``rows`` best are faces of people on whom the other network, the GAN or the
    recurrent half, is not trained: a network that has learnt a face by heart sees it everywhere. All else is
    as in :func:`affkit.train_gan.train_gan`.

    Raises
    ------
    UserError
        If the store has smaller faces than the network reads, ``out`` holds another run or, for a network
        that tells people apart, the store does not say who is in it or has fewer than two people.
    """
    out = Path(out)
    trainer = FaceTrainer(make_fabric(device), store, rows, config)
    identity = {"config": asdict(config), "rows": fingerprint(trainer.faces.rows)}
    run(trainer, out, identity, steps, resume, save_every, callback, progress)
    return out / config.file


def subjects_of(store: Store):
    """The subject of each row of a store, ``(N,)`` text; :class:`UserError` if it was made without labels."""
    if "subject" not in store.index:
        raise UserError(
            store.path, "does not say who is in its videos", "make it with `affkit faces --labels`"
        )
    return store.index["subject"].to_numpy(str)

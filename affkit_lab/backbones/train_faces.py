"""Training networks on single faces: what the face does and, for two of three networks, whose face it is.

One trainer makes three networks, which differ in their heads: the one that looks at generated faces (all
three), the convolutional half that the multi-task network starts from (action units and people), and the
paper's discriminator without a GAN, a predictor of valence, arousal and action units.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from math import cos, pi
from pathlib import Path

import numpy as np
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

NETWORKS = {
    FeatureNetConfig: (FeatureNet, "features.safetensors"),
    FaceNetConfig: (FaceNet, "cnn.safetensors"),
    GanNetConfig: (Discriminator, "reader.safetensors"),
}
"""Configuration of a network to its class and to the name of its checkpoint."""


@dataclass(frozen=True)
class FaceConfig:
    """One training run on single faces. A head whose loss has a weight of 0 is not taught."""

    net: FeatureNetConfig | FaceNetConfig | GanNetConfig  # how many people it tells apart, the faces say
    va: float = 1.0  # weight of the loss of valence and arousal,
    au: float = 1.0  # of that of the action units,
    subject: float = 0.0  # and of that of who it is
    va_loss: str = "ccc"  # or "mse"
    lr: float = 1e-3  # falls along half a cosine
    lr_steps: int | None = None  # to 0 at this step; None: it stays
    batch_size: int = 64
    seed: int = 0
    augment: tuple[str, ...] = ()  # see affkit.augment

    def __post_init__(self):
        check_choices(self, va_loss=VA_LOSSES)

    @property
    def file(self) -> str:
        """Name of the checkpoint."""
        return NETWORKS[type(self.net)][1]

    def new_net(self, num_subjects: int = 0) -> nn.Module:
        """The network, with random weights."""
        known = {} if isinstance(self.net, GanNetConfig) else {"num_subjects": num_subjects}
        return NETWORKS[type(self.net)][0](replace(self.net, **known))


def features_config(image_size=32, channels=32, num_features=64, **changes) -> FaceConfig:
    """The network that looks at generated faces: all three heads."""
    net = FeatureNetConfig(0, image_size, channels, num_features)
    return FaceConfig(net, **{"subject": 1.0, "augment": ("flip", "translation")} | changes)


def cnn_config(width: float = 0.125, image_size: int = 96, dropout: float = 0.5, **changes) -> FaceConfig:
    """The convolutional half to start from. Who it is is soon learned, with large gradients: with a weight of
    1 action units are not learned beside it."""
    net = FaceNetConfig(0, width, image_size, dropout, batch_norm=True)
    recipe = {"va": 0.0, "subject": 0.1, "lr": 2e-3, "augment": ("flip", "translation")}
    return FaceConfig(net, **recipe | changes)


def predictor_config(width: float = 1.0, **changes) -> FaceConfig:
    """The paper's discriminator (Table VI), of 32 pixels; its output "fake" is not trained."""
    return FaceConfig(GanNetConfig("1", width), **changes)


class FaceTrainer:
    """The network, its optimizer and the faces; :meth:`step` trains one batch."""

    def __init__(self, fabric, store: Store, rows: Sequence[int] | None, config: FaceConfig):
        self.config, self.fabric = config, fabric
        if store.size < config.net.image_size:
            raise too_small(store.path, store.size, "the network reads", config.net.image_size)
        self.faces = FrameDataset(store, rows)
        self.shown = tuple(name for name in ("va", "au", "subject") if getattr(config, name))
        num_subjects = self._number_subjects(store) if config.subject else 0
        self.stream = RowStream(len(self.faces), config.batch_size, config.seed)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.net = config.new_net(num_subjects)
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
        """Minimise the weighted sum of the heads' losses on one batch of faces, each changed at random."""
        config, batch = self.config, self.stream.batch(number)
        images, labels = self.fabric.to_device(self.faces[batch])
        images = fit_size(images, config.net.image_size)
        random = step_generator(config.seed, number)
        images = augment(images, config.augment, random)  # (B, 3, S, S)
        with torch.random.fork_rng():  # dropout takes its random numbers from a global state
            torch.manual_seed(random.initial_seed())
            output = self._model(images)
        terms = {}
        if config.va:
            target = torch.stack([labels["valence"], labels["arousal"]], dim=-1)  # (B, 2)
            terms["va"] = config.va * va_loss(output.va, target, labels["has_va"], config.va_loss)
        if config.au:
            loss = au_loss(output.action_units, labels["action_units"], labels["has_action_units"])
            terms["au"] = config.au * loss
        if config.subject:
            subjects = self.fabric.to_device(self.subjects[batch])  # (B,)
            terms["subject"] = config.subject * F.cross_entropy(output.subject, subjects)
        for group in self._optimizer.param_groups:
            group["lr"] = config.lr * cosine_factor(number, config.lr_steps)
        self._optimizer.zero_grad()
        self.fabric.backward(sum(terms.values()))
        self._optimizer.step()
        return {name: term.detach() for name, term in terms.items()}

    def save(self, out: Path, steps: int) -> None:
        """The network for use, in a file named after it, such as ``features.safetensors``."""
        net = folded(self.net) if isinstance(self.net, FaceNet) else self.net
        save_checkpoint(out / self.config.file, net, {"config": asdict(self.config), "steps": steps})


def cosine_factor(number: int, steps: int | None) -> float:
    """What is left of a learning rate at step ``number``: from 1 to 0 in ``steps`` steps; None: always 1.

    >>> [round(cosine_factor(number, 4), 3) for number in (0, 1, 2, 4, 9)], cosine_factor(5, None)
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

    A network that has memorized a face sees it everywhere. So ``rows`` had better be faces of people on whom
    the other network (the GAN, the recurrent half) is not trained. All else is as in ``train_gan``; the store
    needs faces as large as the network's and, to tell people apart, the subjects of at least two.
    """
    out = Path(out)
    trainer = FaceTrainer(make_fabric(device), store, rows, config)
    identity = {"config": asdict(config), "rows": fingerprint(trainer.faces.rows)}
    run(trainer, out, identity, steps, resume, save_every, callback, progress)
    return out / config.file


def subjects_of(store: Store) -> np.ndarray:
    """The subject of each row of a store, ``(N,)`` text; :class:`UserError` if it was made without labels."""
    if "subject" not in store.index:
        raise UserError(
            store.path, "does not say who is in its videos", "make it with `affkit faces --labels`"
        )
    return store.index["subject"].to_numpy(str)

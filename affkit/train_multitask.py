"""Training VGGFACE-GRU-attention on valence, arousal and expressions (Section IV.C.2).

Several processes can share a batch. The CCC is of the whole batch and not a mean over its parts, so it is not
enough to average the gradients of parts: the outputs of all are gathered, and the loss is that of the batch.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from affkit.checkpoints import load_checkpoint, save_checkpoint
from affkit.errors import UserError
from affkit.loop import RowStream, check_choices
from affkit.losses import EXPRESSION_LOSSES, VA_LOSSES, multitask_loss
from affkit.multitask import ATTENTIONS, AffWildNet, AffWildNetConfig, AffWildOutput
from affkit.store import SequenceDataset, Store
from affkit_lab.backbones.face_net import FaceNet
from affkit_lab.backbones.feature_cache import cached_features
from affkit_lab.backbones.vgg_weights import Loaded, load_vgg_face


@dataclass(frozen=True)
class MtlConfig:
    """One training run of the multi-task network. The defaults are the paper's best, at a small width.

    Attributes
    ----------
    width:
        Of the convolutional half, as a share of VGG-Face's; 1.0 is the paper.
    hidden, attention_length, attention, recurrent:
        See :class:`~affkit.multitask.AffWildNetConfig`.
    alpha, beta:
        Weights of the two losses in Eq. 6, in [0, 1].
    va_loss:
        ``"ccc"`` or ``"mse"``.
    expression_loss:
        ``"cross_entropy"``, ``"mse_before_softmax"`` or ``"mse_after_softmax"``.
    lr, betas:
        Of Adam; 1e-3 and 1e-4 were tried. The paper gives betas for the GAN only: these are Adam's own.
    batch_size, sequence_length:
        10 sequences of 80 frames are the paper's batch of 800.
    frozen:
        Leave the convolutional half as it is, and train the rest. Its features are then computed once, see
        :mod:`affkit_lab.backbones.feature_cache`.
    frames_at_a_time:
        How many frames go through the convolutional half together, see
        :meth:`~affkit.multitask.AffWildNet.features`; None: all of a batch.
    seed:
        Of weights and order of the data.
    """

    width: float = 0.125
    hidden: int = 128
    attention_length: int = 32
    attention: str = "additive"
    recurrent: bool = True
    alpha: float = 0.5
    beta: float = 0.5
    va_loss: str = "ccc"
    expression_loss: str = "cross_entropy"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    batch_size: int = 10
    sequence_length: int = 80
    frozen: bool = False
    frames_at_a_time: int | None = None
    seed: int = 0

    def __post_init__(self):
        for name in ("alpha", "beta"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(
                    name, f"{getattr(self, name)} is outside [0, 1]", "choose a number from 0 to 1"
                )
        if self.frames_at_a_time is not None and self.frames_at_a_time < 1:
            raise UserError("frames_at_a_time", f"{self.frames_at_a_time} is below 1", "choose such as 64")
        choices = {"va_loss": VA_LOSSES, "expression_loss": EXPRESSION_LOSSES, "attention": ATTENTIONS}
        check_choices(self, **choices)


class MtlTrainer:
    """The network, its optimizer and the sequences; :meth:`step` trains one batch."""

    shown = ("va", "expression")

    def __init__(
        self,
        fabric,
        store: Store,
        rows: Sequence[int] | None,
        config: MtlConfig,
        weights: Path | None = None,
        cache: Path | None = None,
        vgg_weights: Path | None = None,
    ):
        self.config, self.fabric = config, fabric
        self.sequences = SequenceDataset(store, rows, length=config.sequence_length)
        self._check(store)
        self.stream = RowStream(len(self.sequences), config.batch_size, config.seed)
        if (
            batch_size := self.stream.batch_size
        ) % fabric.world_size:  # smaller where there are fewer sequences
            problem = f"cannot be shared by {fabric.world_size} processes"
            raise UserError(f"a batch of {batch_size}", problem, "start another number of them")
        self.net, self.loaded = starting_net(config, store.size, weights, vgg_weights)
        self.net.cnn.requires_grad_(not config.frozen)
        trained = [weight for weight in self.net.parameters() if weight.requires_grad]
        self.modules = {"net": self.net}
        self.optimizers = {"net": torch.optim.Adam(trained, lr=config.lr, betas=config.betas)}
        self._model, self._optimizer = fabric.setup(self.net, self.optimizers["net"])
        self._model.mark_forward_method("predict")
        self.features = None
        if config.frozen:
            with fabric.rank_zero_first():  # one process computes them, the others read them
                self.features = cached_features(
                    self.net.cnn, store, cache or store.path, fabric.device
                )  # (N, F)

    def step(self, number: int) -> dict[str, Tensor]:
        """Minimise Eq. 6 on one batch of sequences; returns its two weighted terms."""
        config, items = self.config, self.stream.batch(number)
        labels, _ = self.fabric.to_device(self.sequences.targets(items))  # (B, T)
        output = self._predict(items[self.fabric.global_rank :: self.fabric.world_size])
        if self.fabric.world_size > 1:
            output = self._gathered(output)
        terms = multitask_loss(
            output, labels, config.alpha, config.beta, config.va_loss, config.expression_loss
        )
        self._optimizer.zero_grad()
        self.fabric.backward(sum(terms.values()))
        self._optimizer.step()
        return {name: term.detach() for name, term in terms.items()}

    def _predict(self, items: np.ndarray) -> AffWildOutput:
        """What the network says about some sequences: from the features alone, if it is frozen."""
        if self.features is None:
            images, _, mask = self.fabric.to_device(self.sequences[items])  # (B, T, 3, S, S), .., (B, T)
            return self._model(images, mask, None, self.config.frames_at_a_time)[0]
        known = self.sequences.of_rows(self.features, items)  # (B, T, F), (B, T)
        return self._model.predict(*self.fabric.to_device(known))[0]

    def _gathered(self, output: AffWildOutput) -> AffWildOutput:
        """The outputs of all W processes, in the order of the batch: process r has every W-th from r on.

        Each process takes the gradient of the loss with respect to all outputs. The way back through the
        gathering sums them over the processes, and averaging the weights' gradients divides by their number.
        """
        parts = (self.fabric.all_gather(part, sync_grads=True) for part in output)  # (W, B / W, T, n)
        return AffWildOutput(*(part.transpose(0, 1).flatten(0, 1) for part in parts))  # (B, T, n)

    def save(self, out: Path, steps: int) -> None:
        """The network as ``affwildnet.safetensors``."""
        how = {"config": asdict(self.config), "steps": steps}
        save_checkpoint(out / "affwildnet.safetensors", self.net, how)

    def _check(self, store: Store) -> None:
        """A store that cannot teach this network anything is refused before any work."""
        if len(self.sequences) == 0:
            raise UserError(store.path, "has no faces", "choose another store, or other rows of it")
        rows = np.unique(self.sequences.rows[self.sequences.rows >= 0])
        needs = {"has_va": self.config.alpha, "has_expression": self.config.beta}
        if not any(self.sequences.labels[mask][rows].any() for mask, weight in needs.items() if weight):
            wanted = " or ".join(mask.removeprefix("has_") for mask, weight in needs.items() if weight)
            problem = f"no frame is labelled for {wanted or 'anything: alpha and beta are 0'}"
            raise UserError(store.path, problem, "make the store with `affkit faces --labels`")


def starting_net(
    config: MtlConfig,
    image_size: int,
    weights: str | Path | None = None,
    vgg_weights: str | Path | None = None,
) -> tuple[AffWildNet, Loaded | None]:
    """The network before the first step, and what was loaded, if its convolutional half is VGG-Face's.

    Raises
    ------
    UserError
        If both files are given, or one does not fit; if published weights leave a frozen layer untouched.
    """
    if weights is not None and vgg_weights is not None:
        raise UserError(vgg_weights, f"and {weights} are both weights to start from", "give one of them")
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        sizes = (config.width, image_size, config.hidden, config.attention_length)
        net = AffWildNet(AffWildNetConfig(*sizes, config.attention, config.recurrent))
    if weights is not None:
        _take_cnn(net, weights)
    if vgg_weights is None:
        return net, None
    loaded = load_vgg_face(net.cnn, vgg_weights)
    if config.frozen and loaded.left_out:
        problem = f"leaves a frozen layer as it was initialised: {loaded.left_out[0]}"
        raise UserError(vgg_weights, problem, "train end to end, or make a store with --size 224")
    return net, loaded


def _take_cnn(net: AffWildNet, weights: str | Path) -> None:
    """Start the convolutional half of ``net`` from a checkpoint with the same one."""
    source, _ = load_checkpoint(weights)
    if not isinstance(source, AffWildNet | FaceNet):
        problem = f"holds weights of {source.architecture}, which has no such convolutional half"
        raise UserError(weights, problem, "give cnn.safetensors or affwildnet.safetensors")
    there, here = source.config, net.config
    if (there.width, there.image_size) != (here.width, here.image_size):
        problem = f"has width {there.width} and faces of {there.image_size} pixels"
        raise UserError(weights, problem, f"needed are {here.width} and {here.image_size}")
    net.cnn.load_state_dict(source.cnn.state_dict())

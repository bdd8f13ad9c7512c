"""Training VGGFACE-GRU-attention on valence, arousal and expressions (Section IV.C.2)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from affkit.data.store import SequenceDataset, Store
from affkit.errors import UserError
from affkit.learn.affwildnet import AffWildNet, AffWildNetConfig
from affkit.learn.checkpoints import load_checkpoint, save_checkpoint
from affkit.learn.losses import EXPRESSION_LOSSES, VA_LOSSES, multitask_loss
from affkit.learn.runs import RowStream, check_choices


@dataclass(frozen=True)
class MtlConfig:
    """One training run of the multi-task network. The defaults are the paper's best, at a small width.

    Attributes
    ----------
    width:
        Of the convolutional half, as a share of VGG-Face's; 1.0 is the paper.
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
        Leave the convolutional half as it is, and train the rest.
    seed:
        Of weights and order of the data.
    """

    width: float = 0.125
    hidden: int = 128
    attention_length: int = 32
    alpha: float = 0.5
    beta: float = 0.5
    va_loss: str = "ccc"
    expression_loss: str = "cross_entropy"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    batch_size: int = 10
    sequence_length: int = 80
    frozen: bool = False
    seed: int = 0

    def __post_init__(self):
        for name in ("alpha", "beta"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(
                    name, f"{getattr(self, name)} is outside [0, 1]", "choose a number from 0 to 1"
                )
        check_choices(self, va_loss=VA_LOSSES, expression_loss=EXPRESSION_LOSSES)


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
    ):
        self.config, self.fabric = config, fabric
        self.sequences = SequenceDataset(store, rows, length=config.sequence_length)
        self._check(store)
        self.stream = RowStream(len(self.sequences), config.batch_size, config.seed)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            sizes = (config.width, store.size, config.hidden, config.attention_length)
            self.net = AffWildNet(AffWildNetConfig(*sizes))
        if weights is not None:
            _take_cnn(self.net, weights)
        self.net.cnn.requires_grad_(not config.frozen)
        trained = [weight for weight in self.net.parameters() if weight.requires_grad]
        self.modules = {"net": self.net}
        self.optimizers = {"net": torch.optim.Adam(trained, lr=config.lr, betas=config.betas)}
        self._model, self._optimizer = fabric.setup(self.net, self.optimizers["net"])

    def step(self, number: int) -> dict[str, Tensor]:
        """Minimise Eq. 6 on one batch of sequences; returns its two weighted terms."""
        config = self.config
        batch = self.sequences[self.stream.batch(number)]
        images, labels, mask = self.fabric.to_device(batch)  # (B, T, 3, S, S), (B, T), (B, T)
        output, _ = self._model(images, mask)
        terms = multitask_loss(
            output, labels, config.alpha, config.beta, config.va_loss, config.expression_loss
        )
        self._optimizer.zero_grad()
        self.fabric.backward(sum(terms.values()))
        self._optimizer.step()
        return {name: term.detach() for name, term in terms.items()}

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


def _take_cnn(net: AffWildNet, weights: Path) -> None:
    """Start the convolutional half of ``net`` from a checkpoint with the same one."""
    source, _ = load_checkpoint(weights, "affwildnet")
    if source.config.width != net.config.width or source.config.image_size != net.config.image_size:
        there, here = source.config, net.config
        problem = f"has width {there.width} and faces of {there.image_size} pixels"
        raise UserError(weights, problem, f"needed are {here.width} and {here.image_size}")
    net.cnn.load_state_dict(source.cnn.state_dict())

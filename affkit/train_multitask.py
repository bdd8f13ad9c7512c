"""Training VGGFACE-GRU-attention (Section IV.C.2): the configuration, one step, what it works on, the run.

The step is a function. Give your own, your network or your loss to :func:`train_mtl`, and the rest of the run
stays.

Several processes can share a batch. The CCC is of the whole batch and not a mean over its parts, so it is not
enough to average the gradients of parts: the outputs of all are gathered, and the loss is that of the batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from affkit.checkpoints import load_checkpoint, save_checkpoint
from affkit.errors import UserError, check_choices
from affkit.files import offered
from affkit.loop import RowStream, fingerprint, make_fabric, own_functions, run
from affkit.losses import EXPRESSION_LOSSES, VA_LOSSES, multitask_loss
from affkit.multitask import AffWildNet, AffWildNetConfig, AffWildOutput
from affkit.store import SequenceDataset, Store


@dataclass(frozen=True)
class MtlConfig(AffWildNetConfig):
    """One run: the network (``image_size`` follows the store) and its training.

    The defaults are the paper's best, at a small width: 10 sequences of 80 frames are its batch of 800; of
    learning rates it tried 1e-3 and 1e-4. It gives betas for the GAN only: these are Adam's own.
    """

    alpha: float = 0.5  # weights of the two losses in Eq. 6, in [0, 1]
    beta: float = 0.5
    va_loss: str = "ccc"  # or "mse"
    expression_loss: str = "cross_entropy"  # or "mse_before_softmax", "mse_after_softmax"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    batch_size: int = 10
    sequence_length: int = 80
    frozen: bool = False  # leave the convolutional half as it is; its features are computed once and kept
    frames_at_a_time: int | None = None  # in the convolutional half together; None: all of a batch
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        check_choices(self, va_loss=VA_LOSSES, expression_loss=EXPRESSION_LOSSES)
        for name in ("alpha", "beta"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise UserError(name, f"{value} is outside [0, 1]", "choose a number from 0 to 1")
        if self.frames_at_a_time is not None and self.frames_at_a_time < 1:
            raise UserError("frames_at_a_time", f"{self.frames_at_a_time} is below 1", "choose such as 64")

    @property
    def net(self) -> AffWildNetConfig:
        """The part that describes the network."""
        return AffWildNetConfig(**{f.name: getattr(self, f.name) for f in fields(AffWildNetConfig)})


def mtl_step(mtl: "MtlTrainer", items: np.ndarray) -> dict[str, Tensor]:
    """Minimise Eq. 6 on one batch, the sequences ``items`` ``(B,)``; returns its two weighted terms.

    A step of your own has this signature. It finds ``config``, ``labels``, ``predict``, ``loss`` and
    ``update`` on ``mtl``.
    """
    config = mtl.config
    labels = mtl.labels(items)  # (B, T) each
    output = mtl.predict(items)  # (B, T, 2), (B, T, 7)
    terms = mtl.loss(output, labels, config.alpha, config.beta, config.va_loss, config.expression_loss)
    mtl.update(sum(terms.values()))
    return {name: term.detach() for name, term in terms.items()}


class MtlTrainer:
    """What a step works on: the network on its device, its optimizer, the sequences and the loss."""

    shown = ("va", "expression")

    def __init__(self, fabric, store, rows, config, net, step=mtl_step, loss=multitask_loss, cache=None):
        self.config, self.fabric, self.mtl_step, self.loss, self.net = config, fabric, step, loss, net
        self.sequences = SequenceDataset(store, rows, length=config.sequence_length)
        self._check(store)
        self.stream = RowStream(len(self.sequences), config.batch_size, config.seed)
        if (batch_size := self.stream.batch_size) % fabric.world_size:  # smaller with fewer sequences
            problem = f"cannot be shared by {fabric.world_size} processes"
            raise UserError(f"a batch of {batch_size}", problem, "start another number of them")
        net.cnn.requires_grad_(not config.frozen)
        trained = [weight for weight in net.parameters() if weight.requires_grad]
        self.modules = {"net": net}
        self.optimizers = {"net": torch.optim.Adam(trained, lr=config.lr, betas=config.betas)}
        self._model, self._optimizer = fabric.setup(net, self.optimizers["net"])
        self._model.mark_forward_method("predict")
        self.features = None
        if config.frozen:
            with fabric.rank_zero_first():  # one process computes them, the others read them
                cached_features = offered("affkit.extensions", "cached_features")
                self.features = cached_features(net.cnn, store, cache or store.path, fabric.device)  # (N, F)

    def step(self, number: int) -> dict[str, Tensor]:
        """Run the step function on the batch of step ``number``."""
        return dict(self.mtl_step(self, self.stream.batch(number)))

    def labels(self, items: np.ndarray) -> dict[str, Tensor]:
        """Labels and their masks for some sequences, ``(B, T)`` each."""
        return self.fabric.to_device(self.sequences.targets(items)[0])

    def predict(self, items: np.ndarray) -> AffWildOutput:
        """The network's outputs for some sequences: from the features alone, if it is frozen.

        Each of W processes predicts its part. All outputs are gathered in the order of the batch: process r
        has every W-th from r on. Each takes the gradient of the loss with respect to all outputs; the
        backward pass of the gathering sums them, and averaging the weights' gradients divides by W.
        """
        world, own = self.fabric.world_size, items[self.fabric.global_rank :: self.fabric.world_size]
        if self.features is None:
            images, _, mask = self.fabric.to_device(self.sequences[own])  # (B, T, 3, S, S), .., (B, T)
            output = self._model(images, mask, None, self.config.frames_at_a_time)[0]
        else:
            known = self.sequences.of_rows(self.features, own)  # (B, T, F), (B, T)
            output = self._model.predict(*self.fabric.to_device(known))[0]
        if world == 1:
            return output
        parts = (self.fabric.all_gather(part, sync_grads=True) for part in output)  # (W, B / W, T, n)
        return AffWildOutput(*(part.transpose(0, 1).flatten(0, 1) for part in parts))  # (B, T, n)

    def update(self, loss: Tensor) -> None:
        """Descend along the gradient."""
        self._optimizer.zero_grad()
        self.fabric.backward(loss)
        self._optimizer.step()

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
    config: MtlConfig, image_size: int, weights=None, vgg_weights=None, network: Callable = AffWildNet
):
    """The network before the first step, and what was loaded, if its convolutional half is VGG-Face's.

    ``weights`` is a checkpoint whose convolutional half is taken over, ``vgg_weights`` a published file
    (``affkit_lab.backbones.vgg_weights``); one of them at most, and it must fit.
    """
    if weights is not None and vgg_weights is not None:
        raise UserError(vgg_weights, f"and {weights} are both weights to start from", "give one of them")
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        net = network(replace(config.net, image_size=image_size))
    if weights is not None:
        source, _ = load_checkpoint(weights)
        if not hasattr(source, "cnn"):
            problem = f"holds weights of {source.architecture}, which has no such convolutional half"
            raise UserError(weights, problem, "give cnn.safetensors or affwildnet.safetensors")
        there = source.config
        if (there.width, there.image_size) != (config.width, image_size):
            problem = f"has width {there.width} and faces of {there.image_size} pixels"
            raise UserError(weights, problem, f"needed are {config.width} and {image_size}")
        net.cnn.load_state_dict(source.cnn.state_dict())
    if vgg_weights is None:
        return net, None
    loaded = offered("affkit.extensions", "load_vgg_face")(net.cnn, vgg_weights)
    if config.frozen and loaded.left_out:
        problem = f"leaves a frozen layer as it was initialised: {loaded.left_out[0]}"
        raise UserError(vgg_weights, problem, "train end to end, or make a store with --size 224")
    return net, loaded


class MtlRun(NamedTuple):
    """A finished run: its folder, the checkpoint, the log, a row a step, and what VGG-Face gave, if asked."""

    out: Path
    checkpoint: Path
    log: pd.DataFrame
    loaded: Any = None


def train_mtl(
    store: Store,
    out: str | Path,
    config: MtlConfig | None = None,
    num_epochs: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    device: str = "auto",
    precision: str | None = None,
    callback: Callable | None = None,
    progress: bool = True,
    rows: Sequence[int] | None = None,
    save_every: int = 200,
    weights: str | Path | None = None,
    cache: str | Path | None = None,
    vgg_weights: str | Path | None = None,
    step: Callable = mtl_step,
    network: Callable = AffWildNet,
    loss: Callable = multitask_loss,
) -> MtlRun:
    """Train the multi-task network on sequences of a store with labels; all else is as in ``train_gan``.

    Give ``num_epochs``, how often each sequence is seen, or ``steps``, a number of batches. ``weights`` is a
    checkpoint to take the convolutional half from, which is what makes ``config.frozen`` useful; its features
    are kept in the folder ``cache``, by default in that of the store. ``vgg_weights`` is a published file;
    what came of it is in the run's ``loaded``. The processes that ``torchrun`` starts share each batch.
    """
    if (num_epochs is None) == (steps is None):
        raise UserError("training", "needs num_epochs or steps, one of the two", "give --steps N")
    config, out = replace(config or MtlConfig(), image_size=store.size), Path(out)
    fabric = make_fabric(device, precision, shared=True)
    weights, cache, vgg_weights = (path and Path(path) for path in (weights, cache, vgg_weights))
    net, loaded = starting_net(config, store.size, weights, vgg_weights, network)
    mtl = MtlTrainer(fabric, store, rows, config, net, step, loss, cache)
    if steps is None:
        steps = ceil(num_epochs * len(mtl.sequences) / mtl.stream.batch_size)
    settings = asdict(config)
    del settings["image_size"]  # given by the data
    identity = {"config": settings, "rows": fingerprint(mtl.sequences.rows)} | own_functions(
        step, network, loss
    )
    if config.frozen:  # weights that do not come from the run itself
        identity["features"] = offered("affkit.extensions", "feature_key")(net.cnn, store)
    log = run(mtl, out, identity, steps, resume, save_every, callback, progress)
    return MtlRun(out, out / "affwildnet.safetensors", log, loaded)

"""Training the GAN (Section IV.C.1): the configuration, one step, what it works on, the run.

The step is a function. Give your own, your networks or your losses to :func:`train_gan`, and the rest of the
run (batches, checkpoints, going on after a kill) stays.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from affkit.augment import AUGMENTATIONS, augment, mirrored
from affkit.checkpoints import save_checkpoint
from affkit.errors import UserError, check_choices
from affkit.evaluation.collapse import CollapseWatch
from affkit.files import offered
from affkit.gan import Z_SIZE, Discriminator, GanNetConfig, Generator, pictures, sample_z
from affkit.loop import RowStream, fingerprint, make_fabric, own_functions, run, step_generator, to_device
from affkit.losses import GENERATOR_LOSSES, VA_LOSSES, fake_images_loss, generator_loss, real_loss
from affkit.store import FrameDataset, Store, fit_size, image_grid, too_small, write_picture

RECIPES = ("paper", "paper-d-more", "kit")


@dataclass(frozen=True)
class GanConfig(GanNetConfig):
    """One run: networks (:class:`~affkit.gan.GanNetConfig`) and training. Each default is the paper's.

    "We updated the generator network more frequently ... the discriminator was updated five times before the
    generator" cannot both hold. The first half is the default (5 to 1 in configuration 1, 2 to 1 in 2),
    recipe ``"paper-d-more"`` has the second. "Gradient clipping with value 20" could also mean each number by
    itself; TensorFlow's ``optimize_loss``, given a number, clips the norm.
    """

    batch_size: int = 64
    lr_generator: float = 1e-4
    lr_discriminator: float = 1e-5
    betas: tuple[float, float] = (0.5, 0.999)
    clip: float = 20.0  # largest norm of a network's gradient
    generator_steps: int = 5  # updates of each network in one step
    discriminator_steps: int = 1
    generator_loss: str = "log"  # as printed in Eq. 2, or "non-saturating"
    va_loss: str = "ccc"  # or "mse"
    fake_va_loss: str = "ccc"  # does nothing; "mse" does
    fake_target: float = 0.01  # smoothed labels of generated images: valence, arousal and action units,
    fake_label: float = 0.9  # and the fake class
    w_r: float = 1.0  # weight of the reconstruction in Eq. 2 at first,
    w_r_steps: int = 1500  # and the step at which it has fallen, on a straight line, to 0
    mirror: bool = False  # flip half of the real faces left to right
    ema: float = 0.0  # weight of the past in a moving average of the generator, which is then the one saved
    augment: tuple[str, ...] = ()  # of every face that the discriminator sees, see affkit.augment
    stop_at_collapse: bool = False  # else a discriminator can be trained on beside a useless generator
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        check_choices(self, generator_loss=GENERATOR_LOSSES, va_loss=VA_LOSSES, fake_va_loss=VA_LOSSES)
        if unknown := [kind for kind in self.augment if kind not in AUGMENTATIONS]:
            raise UserError(
                "augment", f"{unknown[0]!r} is not known", f"choose from {', '.join(AUGMENTATIONS)}"
            )

    @classmethod
    def recipe(cls, name: str = "paper", configuration: str = "1", **changes) -> "GanConfig":
        """A named recipe, with some values changed.

        ``"paper"`` is every value as printed, ``"paper-d-more"`` the other reading of one sentence. ``"kit"``
        gives good faces in minutes on two cores: DCGAN's weights and learning rates (Radford et al. 2015), as
        many steps for each network, a generator loss whose gradient does not vanish, mirrored faces, EMA.

        >>> GanConfig.recipe("kit", width=0.5).lr_discriminator
        0.0002
        """
        more = 5 if configuration == "1" else 2
        kit = {"weight_std": 0.02, "lr_generator": 2e-4, "lr_discriminator": 2e-4, "w_r": 0.0, "mirror": True}
        kit |= {
            "generator_steps": 1,
            "generator_loss": "non-saturating",
            "ema": 0.999,
            "stop_at_collapse": True,
        }
        recipes = {"paper": {"generator_steps": more}, "kit": kit}
        recipes["paper-d-more"] = {"generator_steps": 1, "discriminator_steps": more}
        if name not in recipes:
            raise UserError(f"recipe {name}", "is not known", f"choose {' or '.join(RECIPES)}")
        return cls(**{"configuration": configuration} | recipes[name] | changes)

    @property
    def batches(self) -> int:
        """Batches of faces in a step: the generator's first update has those of the discriminator's last."""
        return self.discriminator_steps + self.generator_steps - 1

    @property
    def net(self) -> GanNetConfig:
        """The part that describes the networks."""
        return GanNetConfig(**{field.name: getattr(self, field.name) for field in fields(GanNetConfig)})


class GanLosses(NamedTuple):
    """What a step minimises; replace any by a function of the same signature."""

    real: Callable = real_loss  # Eq. 3
    fake: Callable = fake_images_loss
    generator: Callable = generator_loss  # Eq. 2


NETWORKS, LOSSES = (Generator, Discriminator), GanLosses()


class Batch(NamedTuple):
    real: Tensor  # (B, 3, S, S) in [-1, 1]
    labels: dict[str, Tensor]  # (B,) and (B, 8), see affkit.store.FrameDataset
    z: Tensor  # (B, 100)


def gan_step(gan: "GanTrainer", batches: Iterator[Batch], w_r: float) -> dict[str, Tensor]:
    """One step: the discriminator's updates, then the generator's; returns the losses by name.

    A step of your own has this signature. It finds ``generator``, ``discriminator``, ``config`` and
    ``losses`` on ``gan``, and ``gan.update(name, loss)`` descends; ``w_r`` is the annealed weight of Eq. 2.
    """
    values = {}
    for _ in range(gan.config.discriminator_steps):
        real, labels, z = next(batches)
        fake = gan.generator(z)  # (B, 3, S, S)
        values |= discriminator_update(gan, real, labels, fake.detach())
    for i in range(gan.config.generator_steps):
        if i > 0:  # at first the faces that the discriminator has just learned from, as in DCGAN
            real, _, z = next(batches)
            fake = gan.generator(z)  # (B, 3, S, S)
        values["generator"] = generator_update(gan, real, fake, w_r)
        gan.update_ema()
    return values


def discriminator_update(gan: "GanTrainer", real: Tensor, labels: dict, fake: Tensor) -> dict[str, Tensor]:
    """Minimise R_images + F_images (Eq. 1 and 3); returns the sum, its terms and both x."""
    config = gan.config
    fake, real = gan.augment(fake), gan.augment(real)  # (B, 3, S, S)
    real_output = gan.discriminator(real)  # (B, 2), (B, 8), (B,)
    real_terms = gan.losses.real(real_output, labels, config.va_loss)
    with frozen_statistics(gan.modules["discriminator"]):
        fake_output = gan.discriminator(fake)  # (B, 2), (B, 8), (B,)
    fake_terms = gan.losses.fake(fake_output, config.fake_va_loss, config.fake_target, config.fake_label)
    loss = sum(real_terms.values()) + sum(fake_terms.values())
    gan.update("discriminator", loss)
    values = {"discriminator": loss} | {f"real_{name}": term for name, term in real_terms.items()}
    values |= {f"fake_{name}": term for name, term in fake_terms.items()}
    outputs = {"x_real": real_output, "x_fake": fake_output}  # the paper's x, the probability of "fake"
    values |= {name: output.fake.sigmoid().mean() for name, output in outputs.items()}
    return {name: value.detach() for name, value in values.items()}


def generator_update(gan: "GanTrainer", real: Tensor, fake: Tensor, w_r: float) -> Tensor:
    """Minimise L_gen (Eq. 2) and return it; the discriminator's weights and statistics stay."""
    discriminator = gan.modules["discriminator"].requires_grad_(False)
    with frozen_statistics(discriminator):
        logit = gan.discriminator(gan.augment(fake)).fake  # (B,)
    discriminator.requires_grad_(True)
    loss = gan.losses.generator(logit, real, fake, w_r, gan.config.generator_loss)
    gan.update("generator", loss)
    return loss.detach()


@contextmanager
def frozen_statistics(net: nn.Module) -> Iterator[None]:
    """Batch normalisation by the batch, without a trace in the running statistics.

    The discriminator is used on real faces later, so its running mean and variance must be of real ones.
    """
    layers = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


class GanTrainer:
    """What a step works on: both networks on their device, their optimizers, the faces and the losses."""

    shown = ("discriminator", "generator")
    renamed = {"average": "ema"}  # in runs of before

    def __init__(
        self, fabric, store, rows, config: GanConfig, step=gan_step, networks=NETWORKS, losses=LOSSES
    ):
        self.config, self.fabric, self.gan_step, self.losses = config, fabric, step, losses
        self.faces, self.size = FrameDataset(store, rows), config.image_size
        if store.size < self.size:
            raise too_small(store.path, store.size, f"configuration {config.configuration} draws", self.size)
        if (n := len(self.faces)) < 2:
            raise UserError(store.path, f"has {n} faces", "a GAN needs at least 2, better 1000s")
        self.stream = RowStream(n, config.batch_size, config.seed)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            nets = [network(config.net) for network in networks]
        # a pixel's channels side by side in memory: what the convolutions of CPUs and GPUs are fastest with
        nets = [net.to(memory_format=torch.channels_last) for net in nets]
        self.modules = dict(zip(("generator", "discriminator"), nets, strict=True))
        rates = {"generator": config.lr_generator, "discriminator": config.lr_discriminator}
        adam = partial(torch.optim.Adam, betas=config.betas, fused=True)
        self.optimizers = {name: adam(net.parameters(), lr=rates[name]) for name, net in self.modules.items()}
        self._set_up = {name: fabric.setup(net, self.optimizers[name]) for name, net in self.modules.items()}
        self.generator, self.discriminator = self._set_up["generator"][0], self._set_up["discriminator"][0]
        if config.ema:
            self.modules["ema"] = deepcopy(nets[0]).requires_grad_(False)
        self._watch = CollapseWatch(self.faces, self.size) if config.stop_at_collapse else None

    def step(self, number: int) -> dict[str, Tensor | float]:
        """Run the step function; all random numbers are a function of the seed and ``number``."""
        config, self.random = self.config, step_generator(self.config.seed, number)
        self.updates = number * config.generator_steps
        w_r = config.w_r * max(0.0, 1 - number / config.w_r_steps)
        batches = (self.batch(number * config.batches + i) for i in count())
        return dict(self.gan_step(self, batches, w_r)) | {"w_r": w_r}

    def batch(self, number: int) -> Batch:
        """Batch ``number`` of the run, on the device."""
        images, labels = self.faces[self.stream.batch(number)]  # (B, 3, S, S)
        flip, z = self.flips_and_z(len(images))
        images = mirrored(fit_size(images, self.size), flip)  # (B, 3, S, S)
        return Batch(*to_device(self.fabric, (images, labels, z)))

    def flips_and_z(self, n: int) -> tuple[Tensor, Tensor]:
        """For ``n`` faces: which are flipped ``(n,)``, and z ``(n, 100)``, uniform in [-1, 1]."""
        chance = torch.rand(n, generator=self.random) if self.config.mirror else torch.ones(n)
        return chance < 0.5, torch.rand(n, Z_SIZE, generator=self.random) * 2 - 1

    def augment(self, images: Tensor) -> Tensor:
        return augment(images, self.config.augment, self.random)

    def update(self, name: str, loss: Tensor) -> None:
        """Descend along the clipped gradient of one of the networks."""
        module, optimizer = self._set_up[name]
        optimizer.zero_grad()
        self.fabric.backward(loss)
        self.fabric.clip_gradients(module, optimizer, max_norm=self.config.clip, error_if_nonfinite=False)
        optimizer.step()

    def ema_decay(self, update: int) -> float | Tensor:
        """Weight of the past: less at first, to forget the start."""
        return min(self.config.ema, (1 + update) / (10 + update))

    @torch.no_grad()
    def update_ema(self) -> None:
        """Exponential moving average of the generator's weights and statistics."""
        if self.config.ema:
            decay, ema = self.ema_decay(self.updates), self.modules["ema"].state_dict()
            for name, tensor in self.modules["generator"].state_dict().items():
                ema[name].lerp_(tensor, 1 - decay) if tensor.is_floating_point() else ema[name].copy_(tensor)
        self.updates += 1

    @property
    def best_generator(self) -> nn.Module:
        """The generator to draw with: the EMA if there is one."""
        return self.modules.get("ema", self.modules["generator"])

    def pictures(self, n: int, seed: int = 0) -> np.ndarray:
        """``n`` generated faces, ``(n, S, S, 3)`` uint8."""
        return pictures(self.best_generator, sample_z(n, seed))

    def save(self, out: Path, steps: int) -> None:
        """Both networks, and a sheet of 64 generated faces, always of the same z."""
        how = {"config": asdict(self.config), "steps": steps}
        save_checkpoint(out / "generator.safetensors", self.best_generator, how)
        save_checkpoint(out / "discriminator.safetensors", self.modules["discriminator"], how)
        write_picture(out / f"grid_{steps:06d}.png", image_grid(self.pictures(64), columns=8))

    def trouble(self, log: pd.DataFrame) -> str | None:
        """Why it makes no sense to go on, or None."""
        return self._watch and self._watch.trouble(self.best_generator, log)


class GanRun(NamedTuple):
    """A finished run: its folder, the two checkpoints, and the log, a row a step."""

    out: Path
    generator: Path
    discriminator: Path
    log: pd.DataFrame


def train_gan(
    store: Store,
    out: str | Path,
    config: GanConfig | None = None,
    steps: int = 1000,
    resume: bool = False,
    device: str = "auto",
    precision: str | None = None,
    callback: Callable | None = None,
    progress: bool = True,
    rows: Sequence[int] | None = None,
    save_every: int = 200,
    step: Callable = gan_step,
    networks: tuple[Callable, Callable] = NETWORKS,
    losses: GanLosses = LOSSES,
) -> GanRun:
    """Train generator and discriminator on the faces of a store, labelled or not, into the folder ``out``.

    The folder has both networks, ``log.csv`` with a row a step, a sheet of faces at every save, and
    ``training.safetensors``, from which ``resume`` goes on: on a CPU to the same bytes as without a break.
    ``steps`` are those in all. ``device`` and ``precision`` are Lightning Fabric's (``auto``, ``cuda``;
    ``bf16-mixed``); ``callback(steps_done, losses, trainer)`` is called after each save. ``step``,
    ``networks`` (``config.net`` to generator, and to discriminator) and ``losses`` can be your own.

    :class:`UserError` if the store does not fit, ``out`` holds another run, a loss or weight is no longer a
    number, or ``config.stop_at_collapse`` and the GAN has collapsed.
    """
    config, out = config or GanConfig(), Path(out)
    fabric = make_fabric(device, precision)
    own, trainer = own_functions(step, *networks, *losses), GanTrainer
    if fabric.device.type == "cuda" and not own and precision in (None, "32-true", "bf16-mixed"):
        trainer = offered("affkit.extensions", "gan_on_cuda")(fabric, store, config)
    gan = trainer(fabric, store, rows, config, step, networks, losses)
    identity = {"config": asdict(config), "rows": fingerprint(gan.faces.rows)} | own
    log = run(gan, out, identity, steps, resume, save_every, callback, progress, gan.trouble)
    return GanRun(out, out / "generator.safetensors", out / "discriminator.safetensors", log)

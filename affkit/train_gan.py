"""Training the GAN (Section IV.C.1): the configuration of a run, and what one step does."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from affkit.augment import AUGMENTATIONS, augment
from affkit.checkpoints import save_checkpoint
from affkit.collapse import CollapseWatch
from affkit.errors import UserError
from affkit.gan import (
    CONFIGURATIONS,
    PADDINGS,
    TARGETS,
    Z_SIZE,
    Discriminator,
    GanNetConfig,
    Generator,
    fit_size,
    sample_z,
)
from affkit.generate import image_grid, pictures, write_picture
from affkit.loop import RowStream, check_choices, step_generator
from affkit.losses import GENERATOR_LOSSES, VA_LOSSES, fake_images_loss, generator_loss, real_loss
from affkit.store import FrameDataset, Store

RECIPES = ("paper", "paper-d-more", "kit")


@dataclass(frozen=True)
class GanConfig:
    """One training run of the GAN. Every default is the paper's; use :meth:`recipe` for the other recipe.

    Attributes
    ----------
    configuration, width, targets, padding, leak, weight_std, spectral_norm:
        The networks, see :class:`~affkit.gan.GanNetConfig`.
    batch_size, lr_generator, lr_discriminator, betas:
        Of Adam.
    clip:
        Largest norm of a network's gradient. "Gradient clipping with value 20" could also mean each number
        by itself; TensorFlow's ``optimize_loss``, given a number, clips the norm.
    generator_steps, discriminator_steps:
        Updates of each network in one step. "We updated the generator network more frequently ... the
        discriminator was updated five times before the generator" cannot both hold; the first half is the
        default (5 to 1 in configuration 1, 2 to 1 in configuration 2); recipe ``"paper-d-more"`` has the
        second.
    generator_loss:
        ``"log"`` as printed in Eq. 2, or ``"non-saturating"``.
    va_loss, fake_va_loss:
        ``"ccc"`` or ``"mse"`` for real images and for generated ones; with ``"ccc"`` the latter does nothing.
    fake_target, fake_label:
        Smoothed labels of generated images: of valence, arousal and the action units, and of the fake class.
    w_r, w_r_steps:
        Weight of the reconstruction in Eq. 2 at the start, and the step at which it has fallen, on a straight
        line, to 0 (the paper only says annealed).
    mirror:
        Flip half of the real faces left to right; no label changes by that.
    average:
        Share of the past in a running average of the generator's weights, which is then the one that is saved
        and draws the pictures; 0 for none.
    augment:
        What is done at random to every face that the discriminator sees, real or generated, see
        :func:`~affkit.augment.augment`. The reconstruction compares faces as they are.
    stop_at_collapse:
        Stop the run where :class:`~affkit.collapse.CollapseWatch` sees no hope. The discriminator
        learns its tasks from real faces, so without this it can be trained on beside a useless generator.
    seed:
        Of weights, order of the data, z, flips and augmentation.
    """

    configuration: str = "1"
    width: float = 1.0
    targets: str = "va+au"
    padding: str | None = None
    leak: float = 0.2
    weight_std: float | None = None
    spectral_norm: bool = False
    batch_size: int = 64
    lr_generator: float = 1e-4
    lr_discriminator: float = 1e-5
    betas: tuple[float, float] = (0.5, 0.999)
    clip: float = 20.0
    generator_steps: int = 5
    discriminator_steps: int = 1
    generator_loss: str = "log"
    va_loss: str = "ccc"
    fake_va_loss: str = "ccc"
    fake_target: float = 0.01
    fake_label: float = 0.9
    w_r: float = 1.0
    w_r_steps: int = 1500
    mirror: bool = False
    average: float = 0.0
    augment: tuple[str, ...] = ()
    stop_at_collapse: bool = False
    seed: int = 0

    def __post_init__(self):
        check_choices(self, configuration=tuple(CONFIGURATIONS), targets=TARGETS, padding=PADDINGS)
        check_choices(self, generator_loss=GENERATOR_LOSSES, va_loss=VA_LOSSES, fake_va_loss=VA_LOSSES)
        unknown = [kind for kind in self.augment if kind not in AUGMENTATIONS]
        if unknown:
            raise UserError(
                "augment", f"{unknown[0]!r} is not known", f"choose from {', '.join(AUGMENTATIONS)}"
            )

    @classmethod
    def recipe(cls, name: str = "paper", configuration: str = "1", **changes) -> "GanConfig":
        """A named recipe, with some values changed.

        ``"paper"`` is every value as printed, the generator updated more often than the discriminator;
        ``"paper-d-more"`` is the other reading of the same sentence. ``"kit"`` is what gives good faces in
        minutes on two cores: DCGAN's weights and learning rates (Radford et al. 2015), as many steps for each
        network, a generator loss whose gradient does not vanish, mirrored faces, the average of the
        generator's weights, and an end to runs that collapse.

        >>> GanConfig.recipe("kit", width=0.5).lr_discriminator
        0.0002
        """
        more = 5 if configuration == "1" else 2
        if name == "paper":
            values = {"generator_steps": more}
        elif name == "paper-d-more":
            values = {"generator_steps": 1, "discriminator_steps": more}
        elif name == "kit":
            values = {
                "weight_std": 0.02,
                "lr_generator": 2e-4,
                "lr_discriminator": 2e-4,
                "generator_steps": 1,
                "generator_loss": "non-saturating",
                "w_r": 0.0,
                "mirror": True,
                "average": 0.999,
                "stop_at_collapse": True,
            }
        else:
            raise UserError(f"recipe {name}", "is not known", f"choose {' or '.join(RECIPES)}")
        return cls(**{"configuration": configuration} | values | changes)

    @property
    def batches(self) -> int:
        """Batches of faces in a step: the generator's first update has those of the discriminator's last."""
        return self.discriminator_steps + self.generator_steps - 1

    @property
    def net(self) -> GanNetConfig:
        """The part that describes the networks."""
        return GanNetConfig(**{field.name: getattr(self, field.name) for field in fields(GanNetConfig)})


class GanTrainer:
    """Both networks, their optimizers and the faces; :meth:`step` trains one step."""

    shown = ("discriminator", "generator")

    def __init__(self, fabric, store: Store, rows: Sequence[int] | None, config: GanConfig):
        self.config, self.fabric = config, fabric
        self.faces = FrameDataset(store, rows)
        self.size = config.net.image_size
        if store.size < self.size:
            problem = (
                f"has faces of {store.size} pixels, configuration {config.configuration} draws {self.size}"
            )
            raise UserError(store.path, problem, f"make a store with --size {self.size}")
        if len(self.faces) < 2:
            raise UserError(
                store.path, f"has {len(self.faces)} faces", "a GAN needs at least 2, better 1000s"
            )
        self.stream = RowStream(len(self.faces), config.batch_size, config.seed)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            networks = Generator(config.net), Discriminator(config.net)
        # a pixel's channels side by side in memory: what the convolutions of CPUs and GPUs are fastest with
        generator, discriminator = (net.to(memory_format=torch.channels_last) for net in networks)
        self.modules = {"generator": generator, "discriminator": discriminator}
        rates = {"generator": config.lr_generator, "discriminator": config.lr_discriminator}
        self.optimizers = {
            name: torch.optim.Adam(module.parameters(), lr=rates[name], betas=config.betas, fused=True)
            for name, module in self.modules.items()
        }
        self.generator, self._step_g = fabric.setup(generator, self.optimizers["generator"])
        self.discriminator, self._step_d = fabric.setup(discriminator, self.optimizers["discriminator"])
        if config.average:
            self.modules["average"] = deepcopy(generator).requires_grad_(False)
        self._watch = CollapseWatch(self.faces, self.size) if config.stop_at_collapse else None

    @property
    def best_generator(self) -> Generator:
        """The generator to draw with: the average if there is one."""
        return self.modules.get("average", self.modules["generator"])

    def step(self, number: int) -> dict[str, Tensor | float]:
        """Update the discriminator, then the generator, as often as the configuration says."""
        config, random = self.config, step_generator(self.config.seed, number)
        w_r = config.w_r * max(0.0, 1 - number / config.w_r_steps)
        first = number * config.batches
        values: dict[str, Tensor | float] = {}
        for i in range(config.discriminator_steps):
            real, labels, z = self._batch(first + i, random)
            fake = self.generator(z)  # (B, 3, S, S)
            values |= self.discriminator_step(real, labels, fake.detach(), random)
        for i in range(config.generator_steps):
            if i > 0:  # at first the faces that the discriminator has just learned from, as in DCGAN
                real, _, z = self._batch(first + config.discriminator_steps - 1 + i, random)
                fake = self.generator(z)  # (B, 3, S, S)
            values["generator"] = self.generator_step(real, fake, w_r, random)
            self._update_average(number * config.generator_steps + i)
        return values | {"w_r": w_r}

    def discriminator_step(
        self, real: Tensor, labels: dict[str, Tensor], fake: Tensor, random: torch.Generator
    ) -> dict[str, Tensor]:
        """Minimise R_images + F_images (Eq. 1 and 3); returns the sum, its terms and both x."""
        config = self.config
        fake = augment(fake, config.augment, random)  # (B, 3, S, S)
        real = augment(real, config.augment, random)  # (B, 3, S, S)
        real_output = self.discriminator(real)
        real_terms = real_loss(real_output, labels, config.va_loss)
        with frozen_statistics(self.modules["discriminator"]):
            fake_output = self.discriminator(fake)
        fake_terms = fake_images_loss(fake_output, config.fake_va_loss, config.fake_target, config.fake_label)
        loss = sum(real_terms.values()) + sum(fake_terms.values())
        self._descend(loss, "discriminator", self._step_d)
        terms = {f"real_{name}": term.detach() for name, term in real_terms.items()}
        terms |= {f"fake_{name}": term.detach() for name, term in fake_terms.items()}
        outputs = {"x_real": real_output, "x_fake": fake_output}  # the paper's x, the probability of "fake"
        terms |= {name: output.fake.detach().sigmoid().mean() for name, output in outputs.items()}
        return {"discriminator": loss.detach()} | terms

    def generator_step(self, real: Tensor, fake: Tensor, w_r: float, random: torch.Generator) -> Tensor:
        """Minimise L_gen (Eq. 2); returns it."""
        discriminator = self.modules["discriminator"].requires_grad_(False)
        with frozen_statistics(discriminator):
            logit = self.discriminator(augment(fake, self.config.augment, random)).fake  # (B,)
        discriminator.requires_grad_(True)
        loss = generator_loss(logit, real, fake, w_r, self.config.generator_loss)
        self._descend(loss, "generator", self._step_g)
        return loss.detach()

    def save(self, out: Path, steps: int) -> None:
        """Both networks, and a sheet of 64 generated faces, always of the same z."""
        how = {"config": asdict(self.config), "steps": steps}
        save_checkpoint(out / "generator.safetensors", self.best_generator, how)
        save_checkpoint(out / "discriminator.safetensors", self.modules["discriminator"], how)
        write_picture(out / f"grid_{steps:06d}.png", image_grid(self.pictures(64), columns=8))

    def trouble(self, log: pd.DataFrame) -> str | None:
        """Why it makes no sense to go on, or None, see :class:`~affkit.collapse.CollapseWatch`."""
        return None if self._watch is None else self._watch.trouble(self.best_generator, log)

    def pictures(self, n: int, seed: int = 0) -> np.ndarray:
        """``n`` generated faces, ``(n, S, S, 3)`` uint8."""
        return pictures(self.best_generator, sample_z(n, seed))

    def _batch(self, number: int, random: torch.Generator) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Real faces ``(B, 3, S, S)``, their labels, and z ``(B, 100)``."""
        images, labels = self.faces[self.stream.batch(number)]
        flip, z = self._random(len(images), random)
        images = mirrored(fit_size(images, self.size), flip)
        if self.fabric.device.type == "cuda":  # from pinned memory the copy does not wait for the device
            images, z = images.pin_memory(), z.pin_memory()
            labels = {name: values.pin_memory() for name, values in labels.items()}
        return self.fabric.to_device((images, labels, z))

    def _random(self, n: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """For ``n`` faces: which are flipped ``(n,)``, and z ``(n, 100)``."""
        chance = torch.rand(n, generator=random) if self.config.mirror else torch.ones(n)
        return chance < 0.5, torch.rand(n, Z_SIZE, generator=random) * 2 - 1  # z is uniform in [-1, 1]

    def _descend(self, loss: Tensor, name: str, optimizer) -> None:
        optimizer.zero_grad()
        self.fabric.backward(loss)
        module = self.generator if name == "generator" else self.discriminator
        self.fabric.clip_gradients(module, optimizer, max_norm=self.config.clip, error_if_nonfinite=False)
        optimizer.step()

    def _decay(self, update: int) -> float | Tensor:
        """Share of the past in the average: less at first, to forget the start."""
        return min(self.config.average, (1 + update) / (10 + update))

    @torch.no_grad()
    def _update_average(self, update: int) -> None:
        """Exponential average of weights and statistics."""
        if not self.config.average:
            return
        decay = self._decay(update)
        average = self.modules["average"].state_dict()
        for name, tensor in self.modules["generator"].state_dict().items():
            if tensor.is_floating_point():
                average[name].lerp_(tensor, 1 - decay)
            else:
                average[name].copy_(tensor)


def mirrored(images: Tensor, flip: Tensor) -> Tensor:
    """Faces ``(B, 3, S, S)``, those where ``flip`` ``(B,)`` is true left to right."""
    return torch.where(flip[:, None, None, None], images.flip(-1), images)


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

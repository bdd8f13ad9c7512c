"""A training step of each GAN against the loop of PyTorch's DCGAN tutorial: the same networks and losses.

On a CPU in single precision and in bfloat16, on a GPU, if there is one, recorded as one CUDA graph. The plain
loop is in single precision. Rates are compared with that of a large product of matrices.
"""

import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import torch
from torch import nn

from affkit.gan import CONFIGURATIONS, Z_SIZE, Discriminator, GanNetConfig, Generator, sample_z
from affkit.labels import ACTION_UNITS, EXPRESSIONS
from affkit.loop import make_fabric
from affkit.losses import fake_images_loss, generator_loss, real_loss
from affkit.store import COLUMNS, FORMAT, FrameDataset, Store
from affkit.train_gan import GanConfig, GanTrainer
from affkit_lab.backbones.cuda_graph_step import RecordedGanTrainer
from affkit_lab.figures.architecture import layer_costs

CPU_WIDTHS = {"1": 1.0, "2": 0.25, "2-7x7": 0.25}
PLAIN = "the loop of the DCGAN tutorial"
NOTHING = {"plain": "", "plain_value": None, "ratio": None, "target": ""}


def rows(quick: bool = False) -> list[dict]:
    """See ``bench.py``."""
    rounds, found = 3 if quick else 9, []
    for configuration, width in CPU_WIDTHS.items():
        found += cpu_step(configuration, width, rounds)
    found += one_image()
    if torch.cuda.is_available():
        for configuration in CONFIGURATIONS:
            found += gpu_step(configuration, rounds)
    return found


def cpu_step(configuration: str, width: float, rounds: int) -> list[dict]:
    """A step in both precisions, and the fraction of it that reading the faces takes."""
    config, store = gan_config(configuration, width), noise(CONFIGURATIONS[configuration].size)
    trainers = {
        "": GanTrainer(make_fabric("cpu"), store, None, config),
        ", bfloat16": GanTrainer(make_fabric("cpu", "bf16-mixed"), store, None, config),
    }
    plain = plain_loop(config, store, torch.device("cpu"))
    faces, stream = FrameDataset(store), next(iter(trainers.values())).stream
    work = {"plain": plain, "reading": lambda number: faces[stream.batch(number)]}
    work |= {name: trainer.step for name, trainer in trainers.items()}
    times = {name: [] for name in work}
    for number in range(rounds + 2):  # side by side: whatever slows this machine down slows all of them
        for name, step in work.items():
            times[name].append(seconds(step, number))
    value = {name: 1000 * median(own[2:]) for name, own in times.items()}
    what = f"GAN step, configuration {configuration}, width {width:g}"
    found = [compared(f"{what}{name}", value["plain"], value[name], ">= 1.3x") for name in trainers]
    share = NOTHING | {"ours": value["reading"] / value[""], "unit": "of a step", "target": "<= 0.05"}
    return [*found, {"name": f"{what}: reading its faces"} | share]


def gpu_step(configuration: str, rounds: int, steps: int = 20) -> list[dict]:
    """A step at the paper's width on the GPU in both precisions, and what rate of multiplications it reaches.

    In single precision PyTorch lets convolutions round their inputs to TF32, in both loops.
    """
    config, store = gan_config(configuration, 1.0), noise(CONFIGURATIONS[configuration].size)
    fabrics = {"": make_fabric("cuda"), ", bfloat16": make_fabric("cuda", "bf16-mixed")}
    work = {"plain": plain_loop(config, store, torch.device("cuda"))}
    work |= {name: RecordedGanTrainer(own, store, None, config).step for name, own in fabrics.items()}
    times = {name: [] for name in work}
    for number in range(rounds + 2):
        for name, step in work.items():
            torch.cuda.synchronize()
            start = time.perf_counter()
            for i in range(steps):
                step(number * steps + i)
            torch.cuda.synchronize()
            times[name].append((time.perf_counter() - start) / steps)
    value = {name: median(own[2:]) for name, own in times.items()}
    what, found = f"GAN step, configuration {configuration}, width 1, GPU", []
    for name, kind in {"": torch.float32, ", bfloat16": torch.bfloat16}.items():
        found.append(compared(f"{what}{name}", 1000 * value["plain"], 1000 * value[name], ""))
        rate, best = step_operations(config) / value[name] / 1e12, product_rate(8192, kind, "cuda") / 1e12
        product = {"plain": f"a product of 8192x8192 matrices{name}", "plain_value": best, "target": ""}
        rates = {"ours": rate, "unit": "TFLOP/s", "ratio": rate / best}
        found.append({"name": f"{what}{name}: rate"} | product | rates)
    return found


@torch.no_grad()
def one_image() -> list[dict]:
    """One image of 96 x 96 pixels at the paper's width, and its rate beside that of a product of matrices."""
    generator, z = Generator(GanNetConfig("2")).eval(), sample_z(1, seed=0)
    one = median([seconds(generator, z) for _ in range(12)][2:])
    rate, best = 2 * multiplications(generator) / one / 1e9, product_rate(1024, torch.float32, "cpu") / 1e9
    what = "one generated face of 96x96, width 1"
    return [
        {"name": what} | NOTHING | {"ours": 1000 * one, "unit": "ms"},
        {"name": f"{what}: rate", "plain": "a product of 1024x1024 matrices", "plain_value": best}
        | {"ours": rate, "unit": "GFLOP/s", "ratio": rate / best, "target": ""},
    ]


def plain_loop(config: GanConfig, store: Store, device: torch.device):
    """A function that trains one step as the tutorial does it: no thought of layout, every gradient taken."""
    torch.manual_seed(config.seed)
    generator, discriminator = Generator(config.net).to(device), Discriminator(config.net).to(device)
    faces = FrameDataset(store)
    order = torch.randperm(len(faces)).split(config.batch_size)
    step_d = torch.optim.Adam(discriminator.parameters(), lr=config.lr_discriminator, betas=config.betas)
    step_g = torch.optim.Adam(generator.parameters(), lr=config.lr_generator, betas=config.betas)
    smooth = config.fake_va_loss, config.fake_target, config.fake_label

    def step(number: int) -> None:
        real, labels = faces[order[number % len(order)]]  # (B, 3, S, S)
        real, labels = real.to(device), {name: label.to(device) for name, label in labels.items()}
        discriminator.zero_grad()
        sum(real_loss(discriminator(real), labels, config.va_loss).values()).backward()
        fake = generator(torch.rand(len(real), Z_SIZE, device=device) * 2 - 1)  # (B, 3, S, S)
        sum(fake_images_loss(discriminator(fake.detach()), *smooth).values()).backward()
        nn.utils.clip_grad_norm_(discriminator.parameters(), config.clip)
        step_d.step()
        generator.zero_grad()
        loss = generator_loss(discriminator(fake).fake, kind=config.generator_loss)
        loss.backward()
        nn.utils.clip_grad_norm_(generator.parameters(), config.clip)
        step_g.step()
        loss.item()  # the tutorial prints it

    return step


def gan_config(configuration: str, width: float) -> GanConfig:
    """The kit's recipe without what the tutorial does not do: the average of the weights, mirrored faces."""
    return replace(GanConfig.recipe("kit", configuration), width=width, ema=0.0, mirror=False)


def noise(size: int, faces: int = 1024) -> Store:
    """Labelled noise: what a step costs does not depend on what it sees."""
    rng = np.random.default_rng(0)
    index = pd.DataFrame({"video": "noise", "frame": np.arange(1, faces + 1), "person": 0})
    index = index.assign(x=0.0, y=0.0, w=float(size), h=float(size), score=1.0)[list(COLUMNS)]
    index = index.assign(valence=rng.uniform(-1, 1, faces), arousal=rng.uniform(-1, 1, faces))
    units = {unit: rng.integers(0, 2, faces) for unit in ACTION_UNITS}
    index = index.assign(expression=rng.choice(EXPRESSIONS, faces), **units)
    names = {"expressions": list(EXPRESSIONS), "action_units": list(ACTION_UNITS)}
    crops = rng.integers(0, 256, (faces, size, size, 3), np.uint8)
    return Store(Path("noise"), index, crops, {"format": FORMAT, "size": size} | names)


def multiplications(net: Generator | Discriminator) -> int:
    """Multiplications with weights for one picture, those for pixels that are cut away included."""
    return int(layer_costs(net)["multiply-adds"].sum())


def step_operations(config: GanConfig) -> int:
    """Multiplications and additions of a step: a pass back costs two forward, one without the weights' part.

    The generator goes forward and back; the discriminator forward and back for real and for generated faces,
    and once more for the generator, without its weights' part.
    """
    g, d = multiplications(Generator(config.net)), multiplications(Discriminator(config.net))
    return 2 * config.batch_size * (3 * g + (3 + 3 + 2) * d)


def product_rate(size: int, dtype: torch.dtype, device: str) -> float:
    """Operations a second in a product of two square matrices."""
    a, times = torch.rand(size, size, device=device, dtype=dtype), []
    for _ in range(12):
        start = time.perf_counter()
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / median(times[2:])


def compared(name: str, plain: float, ours: float, target: str) -> dict:
    """A row of times in ms."""
    times = {"plain_value": plain, "ours": ours, "unit": "ms", "ratio": plain / ours}
    return {"name": name, "plain": PLAIN, **times, "target": target}


def seconds(work, *arguments) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start

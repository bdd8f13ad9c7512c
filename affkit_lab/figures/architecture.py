"""Tables V to VIII beside the live networks, row by row, and what each layer costs.

The paper's side stands here as it is printed. Our side is not read from a configuration: one picture goes
through the network, hooks note what every layer takes and gives, and padding is what those sizes say it was.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product, zip_longest
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from affkit.gan import Z_SIZE, Deconvolution, Discriminator, GanNetConfig, Generator, Layer, sample_z

# rows are divided by lines and semicolons, columns by bars: layer, filter, stride, padding, units
_TABLE_V = """
conv2d transpose 1 | [2, 2, 100, 384] | [1, 1, 1, 1] | 'SAME'; batch normalization; relu
conv2d transpose 2 | [4, 4, 384, 128] | [1, 2, 2, 1] | 'SAME'; batch normalization; relu
conv2d transpose 3 | [4, 4, 128, 64] | [1, 2, 2, 1] | 'SAME'; batch normalization; relu
conv2d transpose 4 | [6, 6, 64, 3] | [1, 2, 2, 1] | 'SAME'; tanh
"""
_TABLE_VI = """
conv2d 1 | [5, 5, 3, 64] | [1, 2, 2, 1] | 'SAME'; batch normalization; leaky relu
conv2d 2 | [5, 5, 64, 128] | [1, 2, 2, 1] | 'SAME'; batch normalization; leaky relu
conv2d 3 | [5, 5, 128, 256] | [1, 2, 2, 1] | 'SAME'; batch normalization; leaky relu
fully connected | | | | 2+8+1; sigmoid on AUs; sigmoid on Fake
"""
_TABLE_VII = """
fully connected | | | | 1*6*6*1024; batch normalization; relu
conv2d transpose 1 | [5, 5, 1024, 512] | [1, 2, 2, 1] | 'SAME'; batch normalization; relu
conv2d transpose 2 | [5, 5, 512, 256] | [1, 2, 2, 1] | 'SAME'; batch normalization; relu
conv2d transpose 3 | [5, 5, 256, 128] | [1, 2, 2, 1] | 'SAME'; batch normalization; relu
conv2d transpose 4 | [5, 5, 128, 3] | [1, 2, 2, 1] | 'SAME'; tanh
"""
_TABLE_VIII = """
conv2d 1 | [5, 5, 3, 64] | [1, 2, 2, 1] | 'SAME'; batch normalization; leaky relu
conv2d 2 | [5, 5, 64, 128] | [1, 2, 2, 1] | 'SAME'; batch normalization; leaky relu
conv2d 3 | [5, 5, 128, 256] | [1, 2, 2, 1] | 'SAME'; batch normalization; leaky relu
conv2d 4 | [5, 5, 256, 512] | [1, 2, 2, 1] | 'SAME'; batch normalization; leaky relu
fully connected | | | | 2+8+1; sigmoid on AUs; sigmoid on Fake
"""
_PRINTED = {
    ("1", "generator"): _TABLE_V,
    ("1", "discriminator"): _TABLE_VI,
    ("2", "generator"): _TABLE_VII,
    ("2", "discriminator"): _TABLE_VIII,
    # "we also tested the same configuration ... but instead of using 5x5 filters, we used 7x7" (IV.A)
    ("2-7x7", "generator"): _TABLE_VII.replace("[5, 5,", "[7, 7,"),
    ("2-7x7", "discriminator"): _TABLE_VIII.replace("[5, 5,", "[7, 7,"),
}
_NAMES = {
    nn.ConvTranspose2d: "conv2d transpose",
    nn.Conv2d: "conv2d",
    nn.Linear: "fully connected",
    nn.BatchNorm2d: "batch normalization",
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky relu",
    nn.Tanh: "tanh",
}


class Row(NamedTuple):
    """A row of a table, in the paper's notation; ``output`` (height, width, channels) is ours alone."""

    layer: str = ""
    filter: str = ""
    stride: str = ""
    padding: str = ""
    units: str = ""
    output: str = ""


class Step(NamedTuple):
    """A module at work: what it takes first, and what it gives."""

    module: nn.Module
    taken: Tensor
    given: Any


def paper_rows(configuration: str, part: str) -> list[Row]:
    """One of Tables V to VIII as printed: ``part`` is ``"generator"`` or ``"discriminator"``.

    >>> paper_rows("1", "generator")[0]
    Row(layer='conv2d transpose 1', filter='[2, 2, 100, 384]', stride='[1, 1, 1, 1]', padding="'SAME'", \
units='', output='')
    """
    rows = _PRINTED[configuration, part].strip().replace("\n", ";").split(";")
    return [Row(*(word.strip() for word in row.split("|"))) for row in rows]


def trace(net: nn.Module, run: Callable[[], Any]) -> tuple[list[Step], Any]:
    """Every module of ``net`` in the order in which it works while ``run()`` uses it, and the answer."""
    steps: list[Step] = []
    hooks = [
        module.register_forward_hook(lambda *call: steps.append(Step(call[0], call[1][0], call[2])))
        for module in net.modules()
    ]
    with torch.no_grad():
        answer = run()
    for hook in hooks:
        hook.remove()
    return steps, answer


def _trace_picture(net: Generator | Discriminator) -> tuple[list[Step], Any]:
    """The layers that one picture goes through, and the network's answer."""
    size = net.config.image_size
    shape = (1, Z_SIZE) if isinstance(net, Generator) else (1, 3, size, size)
    nothing = torch.zeros(shape, device=next(net.parameters()).device)
    was_training = net.training
    steps, answer = trace(net.eval(), lambda: net(nothing))
    net.train(was_training)
    return [step for step in steps if not list(step.module.children())], answer


def _size(given: Tensor, between: str = " x ") -> str:
    """Height, width, channels; of what has no place, its length."""
    return between.join(map(str, (*given.shape[2:], given.shape[1])))


def live_rows(net: Generator | Discriminator) -> list[Row]:
    """What a live network is, in the paper's notation.

    >>> [row.output for row in live_rows(Generator(GanNetConfig("1", width=0.1))) if row.filter]
    ['2 x 2 x 38', '6 x 6 x 13', '14 x 14 x 6', '32 x 32 x 3']
    """
    steps, answer = _trace_picture(net)
    rows: list[Row] = []
    numbers: Counter[str] = Counter()
    for step in steps:
        module, output = step.module, _size(step.given)
        if isinstance(module, nn.Unflatten):  # not a row of its own: it shapes what is above it
            rows[-1] = rows[-1]._replace(units=f"1*{_size(step.given, '*')}", output=output)
            continue
        name = next(name for kind, name in _NAMES.items() if isinstance(module, kind))
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            numbers[name] += 1
            rows.append(_convolution_row(step, f"{name} {numbers[name]}", output))
        elif isinstance(module, nn.Linear):
            parts = [str(part[0].numel()) for part in answer if part is not None]
            rows.append(Row(name, units="+".join(parts), output=output))
        else:
            rows.append(Row(name, output=output))
    return rows


def _convolution_row(step: Step, name: str, output: str) -> Row:
    module, side, out = step.module, step.taken.shape[-1], step.given.shape[-1]
    k, stride = module.kernel_size[0], module.stride[0]
    if isinstance(module, nn.ConvTranspose2d):
        sides = {"'SAME'": side * stride, "'VALID'": (side - 1) * stride + k}
    else:
        sides = {"'SAME'": -(-side // stride), "'VALID'": (side - k) // stride + 1}
    padding = " or ".join(kind for kind, wanted in sides.items() if out == wanted)
    printed = [*module.kernel_size, module.in_channels, module.out_channels]
    return Row(name, str(printed), str([1, *module.stride, 1]), padding, output=output)


def compare_with_paper(configuration: str, part: str, padding: str | None = None) -> pd.DataFrame:
    """A table of the paper beside the network at full width; ``padding`` of the generator, None: our default.

    For each of the paper's columns ``paper`` and ``ours``; the ``output`` of ours as height x width x
    channels; ``verdict``: ``same``, ``differs: `` and the columns that do, or ``in the loss`` for a sigmoid
    that the network leaves to its losses (they take logits).

    >>> compare_with_paper("1", "generator")["verdict"].value_counts().to_dict()
    {'same': 7, 'differs: padding': 4}
    """
    with torch.device("meta"):  # shapes without memory for the weights
        config = GanNetConfig(configuration, padding=padding)
        net = Generator(config) if part == "generator" else Discriminator(config)
    table: dict[tuple[str, str], list[str]] = {}
    for printed, live in zip_longest(paper_rows(configuration, part), live_rows(net), fillvalue=Row()):
        for column in Row._fields[:-1]:
            table.setdefault((column, "paper"), []).append(getattr(printed, column))
            table.setdefault((column, "ours"), []).append(getattr(live, column))
        table.setdefault(("output", ""), []).append(live.output)
        table.setdefault(("verdict", ""), []).append(_verdict(printed, live))
    return pd.DataFrame(table)


def _verdict(printed: Row, live: Row) -> str:
    if not live.layer and printed.layer.startswith("sigmoid"):
        return "in the loss"
    different = [name for name in Row._fields[:-1] if getattr(printed, name) != getattr(live, name)]
    return "differs: " + ", ".join(different) if different else "same"


def layer_costs(net: Generator | Discriminator) -> pd.DataFrame:
    """What each layer costs for one picture: ``layer``, ``output``, ``parameters`` and

    ``multiply-adds`` of matrices and filters (those with padded zeros count, the few of a normalisation do
    not); memory in kB of 1,000 bytes, as float32: ``weights kB`` and ``output kB``, what the backward pass
    must keep.

    >>> costs = layer_costs(Generator(GanNetConfig("1")))
    >>> int(costs["parameters"].sum()), int(costs["multiply-adds"].sum())
    (1079171, 9372672)
    """
    steps = [step for step in _trace_picture(net)[0] if not isinstance(step.module, nn.Unflatten)]
    costs = pd.DataFrame(live_rows(net))[["layer", "output"]]
    costs["parameters"] = [sum(weight.numel() for weight in step.module.parameters()) for step in steps]
    costs["multiply-adds"] = [_multiply_adds(step) for step in steps]
    costs["weights kB"] = 4 * costs["parameters"] / 1000
    costs["output kB"] = [4 * step.given.numel() / 1000 for step in steps]
    return costs


def _multiply_adds(step: Step) -> int:
    module = step.module
    if isinstance(module, nn.ConvTranspose2d):  # every pixel that goes in stamps its filters
        return step.taken.numel() * module.weight[0].numel()
    if isinstance(module, nn.Conv2d):  # every pixel that comes out is a sum over a window
        return step.given.numel() * module.weight[0].numel()
    return module.weight.numel() if isinstance(module, nn.Linear) else 0


def coverage(filter: int, stride: int, side: int = 6, padding: str = "same") -> np.ndarray:
    """How many filter taps reach each pixel that a transposed convolution makes out of ``side`` pixels.

    >>> coverage(2, 1, side=2, padding="valid")
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]], dtype=float32)
    """
    layer = Deconvolution(1, 1, Layer(filter, 1, stride), padding, bias=False)
    nn.init.ones_(layer.weight)
    with torch.no_grad():
        return layer(torch.ones(1, 1, side, side))[0, 0].numpy()


def parity_std(config: GanNetConfig, seeds: Iterable[int], n: int = 4) -> pd.DataFrame:
    """Standard deviation of the pixels of untrained generators, by whether row and column are even or odd.

    A pixel that more filter taps reach is a sum of more random terms, so checkerboards are there from the
    start. The few filters of one network hide them: a row a seed, of weights and of ``n`` z, to be averaged.
    A quarter of the image at each border is left out. Columns ``even, even`` (row, column), ``even, odd`` ...
    """
    rows, names = [], ("even", "odd")
    for seed in seeds:
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            images = Generator(config)(sample_z(n, seed))  # (n, 3, S, S), normalised over this batch
        border = config.image_size // 8 * 2  # even
        inner = images[..., border:-border, border:-border]
        parities = product((0, 1), repeat=2)
        rows.append({f"{names[i]}, {names[j]}": inner[..., i::2, j::2].std().item() for i, j in parities})
    return pd.DataFrame(rows, pd.Index(seeds, name="seed"))


def footprint(discriminator: Discriminator, seed: int = 0) -> np.ndarray:
    """Which pixels the middle of the last convolution sees: size of its gradient ``(S, S)``, on noise."""
    size = discriminator.config.image_size
    noise = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    noise.requires_grad_()
    was_training = discriminator.training
    x = discriminator.eval().layers(noise)  # (1, C, s, s)
    discriminator.train(was_training)
    middle = (x.shape[-1] - 1) // 2
    (gradient,) = torch.autograd.grad(x[0, :, middle, middle].sum(), noise)  # (1, 3, S, S)
    return gradient.abs().sum(dim=(0, 1)).numpy()

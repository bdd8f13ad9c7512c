"""A page that draws faces in the visitor's browser: one file, no server, nothing fetched from elsewhere.

``live.js`` computes the generator, ``state.js`` says which z is shown, ``parts.js`` and ``page.js`` are what
the visitor sees. Here they are put into one HTML file, with the weights as text.

All that ``live.js`` computes are transposed convolutions. In evaluation mode batch normalization multiplies
each channel by a number and adds another, and so it can be folded into the weights of the layer before it
(Jacob et al. 2018, 3.2). The fully connected layer that configuration 2 begins with is a transposed
convolution, too: of one pixel with 100 channels, with a filter as large as what it makes.
"""

import base64
import html
import json
from copy import deepcopy
from pathlib import Path
from string import Template
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError
from affkit.files import refuse_existing, write_beside
from affkit.gan import Z_SIZE, Generator, sample_z
from affkit.labels import ACTION_UNIT_NAMES, EXPRESSIONS, VA
from affkit.store import pictures, to_pixels
from affkit_lab.latent.directions import Directions, principal_directions
from affkit_studio.browse.explore import LOOKS

FOLDER = Path(__file__).with_name("live")
TITLE = "Faces from 100 numbers"
INTRO = (
    "A small generator network makes each face from 100 numbers, z. It runs in this page: your browser"
    " computes the pictures, and nothing is fetched or sent."
)
HALF_LIMIT = 1
"""Steps of 255 that float16 weights may change a pixel; otherwise they are written as float32."""

GROUPS = {"Valence and arousal": VA, "Action units": tuple(ACTION_UNIT_NAMES), "Expressions": EXPRESSIONS}
PRINCIPAL, MORE_PRINCIPAL = "Principal directions, by explained variance", "More principal directions"
OTHER = "Others"
ORDER = [*GROUPS, OTHER, PRINCIPAL, MORE_PRINCIPAL]


class FoldedLayer(NamedTuple):
    """A transposed convolution with square filters, its crop, and what is applied afterwards."""

    weight: Tensor  # (in, out, K, K)
    bias: Tensor  # (out,)
    stride: int
    before: int  # rows cut off at the top and columns at the left
    after: int  # and at the bottom and the right
    activation: str = ""  # "relu" or "tanh"


@torch.no_grad()
def fold(generator: Generator) -> list[FoldedLayer]:
    """The layers of a generator with its batch normalization inside, float32.

    They compute what the generator does in evaluation mode, but for the last digits.
    """
    exact = deepcopy(generator).double()  # folding is exact to the last digits of float32
    layers: list[FoldedLayer] = []
    for module in [*(exact.project or ()), *exact.layers]:
        if isinstance(module, nn.BatchNorm2d):
            norm = module.running_mean, module.running_var, module.eps, module.weight, module.bias
            weight, bias = fuse_conv_bn_weights(*layers[-1][:2], *norm, transpose=True)
            layers[-1] = layers[-1]._replace(weight=weight.detach(), bias=bias.detach())
        elif isinstance(module, nn.ReLU | nn.Tanh):
            layers[-1] = layers[-1]._replace(activation=type(module).__name__.lower())
        elif isinstance(module, nn.Linear):
            side = generator.config.tables.project[0]
            weight = module.weight.T.reshape(Z_SIZE, -1, side, side)  # (100, C * S * S) to (100, C, S, S)
            layers.append(FoldedLayer(weight, weight.new_zeros(weight.shape[1]), 1, 0, 0))
        elif not isinstance(module, nn.Unflatten):
            before = module.padding[0]
            bias = module.weight.new_zeros(module.out_channels) if module.bias is None else module.bias
            crop = before, before + module.surplus
            layers.append(FoldedLayer(module.weight, bias, module.stride[0], *crop))
    return [layer._replace(weight=layer.weight.float(), bias=layer.bias.float()) for layer in layers]


@torch.no_grad()
def draw(layers: list[FoldedLayer], z: Tensor) -> Tensor:
    """Faces of ``z`` ``(B, 100)`` by folded layers, ``(B, 3, S, S)`` in [-1, 1]: the twin of ``live.js``."""
    x = z[:, :, None, None]  # (B, 100, 1, 1)
    for layer in layers:
        x = F.conv_transpose2d(x, layer.weight, layer.bias, layer.stride)
        kept = slice(layer.before, x.shape[2] - layer.after)
        x = getattr(torch, layer.activation)(x[:, :, kept, kept])  # (B, out, S, S)
    return x


def write_live_page(
    checkpoint: str | Path,
    out: str | Path,
    directions: Directions | None = None,
    title: str = TITLE,
    force: bool = False,
) -> Path:
    """Write a page with sliders for the ``generator.safetensors`` of a GAN; it needs no server.

    Each direction but ``fake`` gets a slider; by default the principal ones, which need no network that reads
    faces. Raises UserError if the file is there already, unless ``force``, the checkpoint is not one of a
    generator or holds no numbers, or there is no direction for a slider.
    """
    refuse_existing(out, force)
    generator, _ = load_checkpoint(checkpoint, "generator")
    layers = fold(generator)
    if not all(layer.weight.isfinite().all() and layer.bias.isfinite().all() for layer in layers):
        raise UserError(checkpoint, "has weights that are no numbers", "give an earlier checkpoint")
    sliders = direction_facts(principal_directions(generator) if directions is None else directions)
    if not sliders:
        raise UserError(out, "there is no direction for a slider", "give some, or leave them out")
    with write_beside(out) as part:
        part.write_text(_page(generator, layers, sliders, title, Path(checkpoint).name), encoding="utf-8")
    return Path(out)


def _page(generator: Generator, layers: list[FoldedLayer], sliders: list[dict], title: str, file: str) -> str:
    """The whole page; whatever a user may have named is escaped."""
    bits, size = 16 if half_is_enough(generator, layers) else 32, generator.config.image_size
    numbers = np.concatenate([layer.weight.numpy().ravel() for layer in layers])
    net = {"bits": bits, "layers": [_layer_facts(layer) for layer in layers]}
    facts = {"size": size, "net": net, "directions": sliders, "folded": [MORE_PRINCIPAL]}
    texts = {"title": title, "intro": INTRO, "checkpoint": file, "size": size}
    texts |= {"configuration": generator.config.configuration, "count": f"{numbers.size:,}"}
    return Template(_read("live.html")).substitute(
        {name: html.escape(str(text)) for name, text in texts.items()},
        style=_read("live.css"),
        facts=json.dumps(facts).replace("<", "\\u003c"),  # a name must not end the element it stands in
        weights=base64.b64encode(numbers.astype(f"<f{bits // 8}").tobytes()).decode(),
        network=_read("live.js"),
        script="\n".join(_read(name) for name in ("state.js", "parts.js", "page.js")),
    )


def half_is_enough(generator: Generator, layers: list[FoldedLayer], num_faces: int = 64) -> bool:
    """Whether float16 weights change no pixel of random faces by more than :data:`HALF_LIMIT`."""
    z = sample_z(num_faces, seed=0)
    halved = [layer._replace(weight=layer.weight.half().float()) for layer in layers]
    faces = draw(halved, z)
    if not faces.isfinite().all():  # a weight above 65504
        return False
    difference = to_pixels(faces).astype(int) - pictures(generator, z).astype(int)
    return int(np.abs(difference).max()) <= HALF_LIMIT


def direction_facts(directions: Directions) -> list[dict]:
    """Name, title, group, note and vector of each direction but ``fake``, in the order of the page."""
    table = directions.table
    looks = list(table.index[table["explained"].notna()][:LOOKS]) if "explained" in table else []
    facts = [_direction(name, row.dropna(), directions[name], looks) for name, row in table.iterrows()]
    ranks = {name: rank for rank, name in enumerate(name for names in GROUPS.values() for name in names)}
    facts = [fact for fact in facts if fact["name"] != "fake"]
    return sorted(facts, key=lambda fact: (ORDER.index(fact["group"]), ranks.get(fact["name"], 0)))


def _direction(name: str, measured: pd.Series, vector: np.ndarray, looks: list[str]) -> dict:
    title, note = ACTION_UNIT_NAMES.get(name, ""), ""
    group = next((group for group, names in GROUPS.items() if name in names), OTHER)
    if "explained" in measured:
        title, group = f"{measured['explained']:.1%}", PRINCIPAL if name in looks else MORE_PRINCIPAL
    if "correlation" in measured:
        note = f"Correlation with the prediction, on faces not learned from: {measured['correlation']:.2f}"
    numbers = [round(float(value), 7) for value in vector]
    return {"name": name, "title": title, "group": group, "note": note, "vector": numbers}


def _layer_facts(layer: FoldedLayer) -> dict:
    channels, out, filter, _ = layer.weight.shape
    bias = [float(f"{value:.9g}") for value in layer.bias.tolist()]  # 9 digits give back a float32
    facts = {name: getattr(layer, name) for name in ("stride", "before", "after", "activation")}
    return {"channels": channels, "out": out, "filter": filter, "bias": bias} | facts


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")

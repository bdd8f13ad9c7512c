"""A page that draws faces in the visitor's browser: one file, no server, nothing fetched from elsewhere.

``live.js`` computes the generator, ``state.js`` says which z is shown, ``parts.js`` and ``page.js`` are what
the visitor sees. Here they are put into one HTML file, with the weights as text.
"""

import base64
import html
import json
from pathlib import Path
from string import Template

import numpy as np
import pandas as pd

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError
from affkit.files import refuse_existing, write_beside
from affkit.gan import Generator, sample_z
from affkit.generate import pictures, to_pixels
from affkit.labels import ACTION_UNIT_NAMES, EXPRESSIONS, VA
from affkit_lab.latent.directions import Directions, principal_directions
from affkit_studio.browse.explore import LOOKS
from affkit_studio.browse.live.folding import FoldedLayer, draw, fold

FOLDER = Path(__file__).parent
TITLE = "Faces from 100 numbers"
INTRO = (
    "A small generator network makes each face from 100 numbers, z. It runs in this page: your browser"
    " computes the pictures, and nothing is fetched or sent."
)
HALF_LIMIT = 1
"""Steps of 255 that float16 weights may change a pixel; otherwise they are written as float32."""

GROUPS = {"Valence and arousal": VA, "Action units": tuple(ACTION_UNIT_NAMES), "Expressions": EXPRESSIONS}
PRINCIPAL, MORE_PRINCIPAL, OTHER = (
    "Principal directions, by share of variance",
    "More principal directions",
    "Others",
)
ORDER = [*GROUPS, OTHER, PRINCIPAL, MORE_PRINCIPAL]


def write_live_page(
    checkpoint: str | Path,
    out: str | Path,
    directions: Directions | None = None,
    title: str = TITLE,
    force: bool = False,
) -> Path:
    """Write a page with sliders for a generator; it works from a disk as from any web server.

    Parameters
    ----------
    checkpoint:
        The ``generator.safetensors`` of a GAN.
    out:
        The page, by custom ``*.html``.
    directions:
        Those that get a slider, such as ``directions``; ``fake`` is left
        out. By default the principal ones, which need no network that reads faces.
    title:
        What the page is called.
    force:
        Replace a file that is there.

    Raises
    ------
    UserError
        If the file is there already, the checkpoint is not one of a generator or holds no numbers, or there
        is no direction for a slider.
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
    shape = {"channels": channels, "out": out, "filter": filter, "stride": layer.stride}
    bias = [float(f"{value:.9g}") for value in layer.bias.tolist()]  # 9 digits give back a float32
    return shape | {
        "before": layer.before,
        "after": layer.after,
        "activation": layer.activation,
        "bias": bias,
    }


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")

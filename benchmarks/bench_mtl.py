"""An epoch of the multi-task network with a frozen CNN: features read, against computed in every step."""

import tempfile
from pathlib import Path
from statistics import median

from bench_gan import noise, seconds

from affkit.loop import make_fabric
from affkit.train_multitask import MtlConfig, MtlTrainer, starting_net

WIDTHS = (0.125, 0.5)
PLAIN = "the same step with the CNN in it"


def rows(quick: bool = False) -> list[dict]:
    """A step of the paper's batch, 10 sequences of 80 faces of 96 pixels; an epoch is so many of these."""
    return [one(width, rounds=2 if quick else 5) for width in WIDTHS]


def one(width: float, rounds: int) -> dict:
    """Both trainers in turn, with the same weights and faces; the first round of each is not counted."""
    config, store = MtlConfig(width=width, frozen=True), noise(96, 800)
    store.index["frame"], store.index["person"] = store.index.index % 80 + 1, store.index.index // 80
    with tempfile.TemporaryDirectory() as folder:
        nets = (starting_net(config, store.size)[0] for _ in range(2))
        ours, plain = (
            MtlTrainer(make_fabric("cpu"), store, None, config, net, cache=Path(folder)) for net in nets
        )
        plain.features = None  # the faces go through the CNN
        times = {"ours": [], "plain": []}
        for number in range(rounds + 1):
            times["ours"].append(seconds(ours.step, number))
            times["plain"].append(seconds(plain.step, number))
    value = {name: 1000 * median(own[1:]) for name, own in times.items()}
    what = {"name": f"MTL step on a frozen CNN, width {width:g}", "plain": PLAIN, "unit": "ms"}
    ratio = value["plain"] / value["ours"]
    return what | {"plain_value": value["plain"], "ours": value["ours"], "ratio": ratio, "target": ">= 30x"}

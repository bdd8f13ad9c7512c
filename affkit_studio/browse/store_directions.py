"""Learn and measure the directions of the shipped generators, which the latent browser then need not learn.

    python -m affkit_studio.browse.store_directions gan_1 gan_2

What a step of one does to a prediction, to the others and to who it is, is measured on faces the directions
were not learned from.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from affkit.checkpoints import load_checkpoint, model_key
from affkit_lab.latent.direction_quality import direction_table
from affkit_lab.latent.directions import write_directions
from affkit_studio.browse.explore import Explorer
from affkit_studio.browse.latent_browser import companions

WEIGHTS = Path("data_samples") / "weights"


def store_directions(name: str) -> None:
    """Write ``directions.safetensors`` beside a generator."""
    torch.set_num_threads(1)  # the order of sums, and so the last digit, depends on their number
    checkpoint = WEIGHTS / name / "generator.safetensors"
    file = checkpoint.with_name("directions.safetensors")
    file.unlink(missing_ok=True)
    explorer = Explorer.open(checkpoint, companions(checkpoint, "cnn", "affwildnet"), progress=True)
    features, _ = load_checkpoint(WEIGHTS / "features.safetensors", "featurenet")
    directions = explorer.directions
    predictor = explorer.predictor_of(directions.names)
    measured = direction_table(explorer.generator, directions, predictor, features)
    print(name, measured.round(2).to_string(), sep="\n")
    table = directions.table.join(measured[["in_sd", "rises", "others", "identity"]])
    write_directions(file, replace(directions, table=table), model_key(explorer.generator))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        store_directions(name)

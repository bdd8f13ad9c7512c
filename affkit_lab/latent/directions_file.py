"""Directions in a file, so that a page need not learn them each time it is opened."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from affkit.checkpoints import read_tensors, write_tensors
from affkit.errors import UserError
from affkit.gan import Z_SIZE
from affkit_lab.latent.directions import Directions

KIND = "directions"
MEND = "delete it: it is made again"


def write_directions(path: str | Path, directions: Directions, key: str) -> Path:
    """Write directions of the generator with this :func:`~affkit.checkpoints.model_key`."""
    columns = {name: values.tolist() for name, values in directions.table.items()}
    header = {"kind": KIND, "checkpoint": key, "table": json.dumps([directions.names, columns])}
    write_tensors(path, {"vectors": torch.from_numpy(directions.vectors)}, header)
    return Path(path)


def read_directions(path: str | Path, key: str) -> Directions:
    """Read what :func:`write_directions` wrote.

    Raises
    ------
    UserError
        If the file is missing or damaged, holds something else, or directions of another generator.
    """
    tensors, header = read_tensors(path)
    if header.get("kind") != KIND:
        raise UserError(path, "holds no directions", "give another file")
    if header.get("checkpoint") != key:
        raise UserError(path, f"holds directions of another generator, not of {key}", MEND)
    try:
        names, columns = json.loads(header["table"])
        table = pd.DataFrame(columns, index=names)
        vectors = tensors["vectors"].double().numpy()
        if vectors.shape != (len(table), Z_SIZE) or not np.isfinite(vectors).all():
            raise ValueError(vectors.shape)
        return Directions(vectors, table)
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(path, "its directions do not fit its table", MEND) from error

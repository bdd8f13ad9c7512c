"""A small store of several people and a partition of them, as files, for tests of experiments."""

from pathlib import Path

import numpy as np
import pandas as pd

from affkit.data.joint import write_store
from affkit.data.partition import Partition, write_partition
from affkit.data.store import FORMAT, Store
from affkit.labels import ACTION_UNITS

PEOPLE = {"train": ("ann", "ben", "cem", "dan"), "validation": ("eva",), "test": ("fay", "gus")}


def memory_store(frames: int = 10, seed: int = 0) -> Store:
    """A video of ``frames`` noisy faces for each person; how bright a half is tells what it is labelled."""
    rng = np.random.default_rng(seed)
    people = [who for own in PEOPLE.values() for who in own]
    who, number = np.repeat(people, frames), np.tile(np.arange(1, frames + 1), len(people))
    index = pd.DataFrame({"video": [f"clip_{name}" for name in who], "frame": number, "person": 0})
    index[["x", "y", "w", "h", "score"]] = 1.0
    index["subject"] = who
    valence, arousal = rng.uniform(-1, 1, (2, len(who))).round(3)
    index["valence"], index["arousal"] = valence, arousal
    index["expression"] = np.where(valence > 0.3, "Happiness", np.where(arousal > 0.3, "Fear", "Neutral"))
    for column, name in enumerate(ACTION_UNITS):
        index[name] = pd.array((valence > column / 8 - 0.5).astype(int), "Int8")
    images = rng.integers(0, 60, (len(who), 32, 32, 3))
    images[:, :16] += (90 + 90 * valence).astype(int)[:, None, None, None]
    images[:, 16:] += (90 + 90 * arousal).astype(int)[:, None, None, None]
    return Store(Path("memory"), index, images.astype(np.uint8), {"format": FORMAT, "size": 32})


def partition_of(people=PEOPLE) -> Partition:
    """All frames of each person's clip."""
    sets = {subset: {f"clip_{who}": None for who in own} for subset, own in people.items()}
    return Partition(sets, {f"clip_{who}": who for own in people.values() for who in own})


def write_files(folder: Path) -> dict[str, Path]:
    """``data`` and ``partition``, the two files that every experiment needs."""
    write_store(folder / "store", memory_store())
    write_partition(folder / "partition.json", partition_of())
    return {"data": folder / "store", "partition": folder / "partition.json"}

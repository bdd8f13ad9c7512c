"""A small store of noise with labels, for tests of what reads a store."""

import json

import numpy as np
import pandas as pd

from affkit.data import store as stores
from affkit.data.store import Store
from affkit.labels import ACTION_UNITS, EXPRESSIONS


def make_store(path, frames=40, size=32, labelled=True):
    """Two videos of noise; every third frame, for each kind of label, has none."""
    random = np.random.default_rng(0)
    video = np.where(np.arange(frames) < frames // 2, "a", "b")
    number = np.arange(frames) % (frames // 2) + 1
    index = pd.DataFrame(
        {"video": video, "frame": number, "person": 0, "x": 0.0, "y": 0.0, "w": 9.0, "h": 9.0}
    )
    index["score"] = 1.0
    if labelled:
        seen = np.arange(frames) % 3
        index["valence"] = np.where(seen != 0, random.uniform(-1, 1, frames).round(3), np.nan)
        index["arousal"] = np.where(seen != 0, random.uniform(-1, 1, frames).round(3), np.nan)
        index["expression"] = np.where(seen != 1, random.choice(EXPRESSIONS, frames), "")
        for name in ACTION_UNITS:
            index[name] = pd.array(np.where(seen != 2, random.integers(0, 2, frames), -1), "Int8")
            index.loc[seen == 2, name] = pd.NA
    path.mkdir()
    index.to_csv(path / stores.INDEX, index=False)
    np.save(path / stores.CROPS, random.integers(0, 256, (frames, size, size, 3), dtype=np.uint8))
    (path / stores.INFO).write_text(json.dumps({"format": stores.FORMAT, "size": size}))
    return Store.open(path)

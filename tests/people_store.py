"""A store of people who look different; affect is the height of an edge in their picture."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.data import store as stores
from affkit.data.store import Store
from affkit.labels import ACTION_UNITS


def people_store(num_people=6, moments=12, size=16, seed=0) -> Store:
    """In memory: each person in one video; moments are a second apart."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(num_people), moments)
    looks = rng.integers(40, 216, (num_people, 4, 4, 3)).repeat(size // 4, 1).repeat(size // 4, 2)
    images = looks[person] + rng.normal(0, 6, (len(person), size, size, 3))
    valence = rng.uniform(-0.9, 0.9, len(person)).round(3)
    for image, value in zip(images, valence, strict=True):
        image[size // 2 :] += 40 * value
    frame = np.tile(np.arange(moments) * 30 + 1, num_people)
    names = [f"clip_{number}" for number in person]
    index = pd.DataFrame(
        {"video": names, "frame": frame, "person": 0, "x": 0.0, "y": 0.0, "w": 9.0, "h": 9.0}
    )
    index["score"] = rng.random(len(person))
    index["subject"] = [f"subject_{number}" for number in person]
    index["valence"], index["arousal"], index["expression"] = valence, -valence, "Neutral"
    for name in ACTION_UNITS:
        index[name] = pd.array((valence > 0).astype(int), "Int8")
    pixels = images.round().clip(0, 255).astype(np.uint8)
    return Store(Path("people"), index, pixels, {"size": size, "action_units": list(ACTION_UNITS)})


def write_store(store: Store, path: Path) -> None:
    """The same as a folder."""
    path.mkdir()
    store.index.to_csv(path / stores.INDEX, index=False)
    np.save(path / stores.CROPS, store.images)
    (path / stores.INFO).write_text(json.dumps({"format": stores.FORMAT} | store.info))

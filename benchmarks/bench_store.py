"""Random batches of faces: the store against a folder of JPEG crops."""

import json
import tempfile
import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import pandas as pd
from skimage import data

from affkit import store
from affkit.store import FrameDataset, Store, to_unit_range

BATCH = 64


def rows(quick: bool = False) -> list[dict]:
    """Random batches of 64 crops of 96x96, read in turn from 8-bit JPEGs and from the store."""
    num_crops, rounds = (2_000, 9) if quick else (20_000, 31)
    with tempfile.TemporaryDirectory() as folder:
        files, faces = _make(Path(folder), num_crops)
        order = np.random.default_rng(0).integers(0, num_crops, (rounds, BATCH))
        dataset = FrameDataset(faces)
        jpeg, crops, jpeg_tensors, tensors = [], [], [], []
        for chosen in order:
            jpeg.append(_seconds(lambda: _read_jpegs(files, chosen)))  # noqa: B023
            crops.append(_seconds(lambda: faces.batch(chosen)))  # noqa: B023
            jpeg_tensors.append(_seconds(lambda: to_unit_range(_read_jpegs(files, chosen))))  # noqa: B023
            tensors.append(_seconds(lambda: dataset[chosen]))  # noqa: B023
    plain = "a folder of JPEGs: cv2.imread, cvtColor"
    return [
        _row("random reads of 96x96 faces, batches of 64", plain, jpeg, crops, ">= 20x"),
        _row("the same as float tensors in [-1, 1], with labels", plain, jpeg_tensors, tensors, ""),
    ]


def _row(name: str, plain: str, plain_seconds: list[float], our_seconds: list[float], target: str) -> dict:
    plain_value, ours = BATCH / median(plain_seconds), BATCH / median(our_seconds)
    values = {"plain_value": plain_value, "ours": ours, "unit": "faces/s", "ratio": ours / plain_value}
    return {"name": name, "plain": plain, **values, "target": target, "better": "higher"}


def _seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _read_jpegs(files: list[str], chosen: np.ndarray) -> np.ndarray:
    return np.stack([cv2.cvtColor(cv2.imread(files[i]), cv2.COLOR_BGR2RGB) for i in chosen])


def _make(folder: Path, num_crops: int) -> tuple[list[str], Store]:
    """The same crops of a photograph twice: as JPEGs of OpenCV's default quality, and as a store."""
    photo, rng = data.astronaut(), np.random.default_rng(0)
    files, path = [], folder / "store"
    path.mkdir()
    crops = np.empty((num_crops, 96, 96, 3), np.uint8)
    for i, (x, y) in enumerate(rng.integers(0, 512 - 96, (num_crops, 2))):
        crops[i] = photo[y : y + 96, x : x + 96]
        files.append(str(folder / f"{i:05}.jpg"))
        cv2.imwrite(files[-1], cv2.cvtColor(crops[i], cv2.COLOR_RGB2BGR))
    np.save(path / store.CROPS, crops)
    index = pd.DataFrame({"video": "photo", "frame": np.arange(1, num_crops + 1), "person": 0})
    index = index.assign(x=0.0, y=0.0, w=96.0, h=96.0, score=1.0)
    index.to_csv(path / store.INDEX, index=False)
    (path / store.INFO).write_text(json.dumps({"format": store.FORMAT, "size": 96}))
    return files, Store.open(path)


if __name__ == "__main__":
    for row in rows():
        print(row)

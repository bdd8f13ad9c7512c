"""The store: all face crops of a corpus in one memory-mapped array, and the datasets that read it as tensors.

A store is a folder of three files:

- ``crops.npy``: ``(N, S, S, 3)`` uint8 RGB. It is mapped, not loaded: a random batch is copied straight out
  of the page cache, without a decoder and without a file to open, and a million crops need no more memory
  than a hundred. The rows of one person are consecutive, in the order of the frames.
- ``index.csv``: a row a crop: ``video, frame, person, x, y, w, h, score``, and the labels if there are any.
- ``store.json``: how it was made: size, detector and its settings, videos.

Pixels are bytes here and floats in [-1, 1] (the paper, III.E) only when they are read.
"""

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler

from affkit.errors import UserError, refuse
from affkit.files import refuse_existing, write_beside
from affkit.labels import ACTION_UNITS, EXPRESSIONS, EXPRESSIONS_WITH_OTHER, MOST_FRAMES, Labels

FORMAT = 1  # of the folder; a reader of another number refuses
CROPS, INDEX, INFO = "crops.npy", "index.csv", "store.json"
COLUMNS = ["video", "frame", "person", "x", "y", "w", "h", "score"]
REMAKE = "make it again with `affkit faces`"


class Store:
    """Face crops ``images`` ``(N, S, S, 3)`` uint8 RGB, read-only, and a table ``index`` with a row a crop.

    Its columns: ``video`` (the file's name without its ending), ``frame`` (1-based, as Aff-Wild2 counts),
    ``person`` (0 is seen longest in that video), ``x, y, w, h`` (the face in pixels of the video), ``score``
    (empty where no detector saw the face and the box was filled in); with labels also ``valence``,
    ``arousal``, ``expression`` and the action units, empty where not labelled. ``info`` is ``store.json``.
    """

    def __init__(self, path: Path, index: pd.DataFrame, images: np.ndarray, info: dict):
        self.path, self.index, self.images, self.info = path, index, images, info

    @classmethod
    def open(cls, path: str | Path) -> "Store":
        """Open the store in the folder ``path``; :class:`UserError` if it is not complete or does not fit."""
        path = Path(path)
        info = read_info(path)
        for name in (INDEX, CROPS):
            if not (path / name).is_file():
                raise UserError(path, f"the store has no {name}", REMAKE)
        index = _read_index(path / INDEX)
        _check_labels(path / INDEX, index, info)
        images = _map_crops(path / CROPS)
        if images.shape != (len(index), info["size"], info["size"], 3):
            problem = f"holds {images.shape[0]} crops of {images.shape[1]} pixels, the index has {len(index)}"
            raise UserError(path / CROPS, f"{problem} of {info['size']}", REMAKE)
        return cls(path, index, images, info)

    @property
    def size(self) -> int:
        """Side of a crop in pixels."""
        return self.info["size"]

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        return f"<Store {self.path.name}: {len(self)} crops of {self.size}x{self.size}>"

    def __getitem__(self, row: int) -> np.ndarray:
        """One crop, ``(S, S, 3)`` uint8 RGB."""
        return np.array(self.images[row])

    def batch(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Several crops, ``(B, S, S, 3)`` uint8 RGB, in the order of ``rows``."""
        return self.images[np.asarray(rows, dtype=np.int64)]

    @property
    def labels(self) -> Labels:
        """The labels of all rows; an empty cell is not labelled."""
        table, num_rows = self.index, len(self.index)
        units = tuple(self.info.get("action_units", ACTION_UNITS))
        names = tuple(self.info.get("expressions", EXPRESSIONS))
        empty = Labels.empty(num_rows, units, names)
        if "valence" not in table:
            return empty
        valence, arousal = (table[name].to_numpy(np.float32) for name in ("valence", "arousal"))
        expression = pd.Categorical(table["expression"], categories=names).codes.astype(np.int64)
        action_units = table[list(units)].to_numpy(np.float32, na_value=np.nan).reshape(num_rows, len(units))
        return Labels(
            valence=np.nan_to_num(valence),
            arousal=np.nan_to_num(arousal),
            has_va=~np.isnan(valence),
            expression=np.maximum(expression, 0),
            has_expression=expression >= 0,
            action_units=np.nan_to_num(action_units),
            has_action_units=~np.isnan(action_units),
            action_unit_names=units,
            expression_names=names,
        )


def read_info(path: Path) -> dict:
    """What ``store.json`` in the folder ``path`` says, or :class:`UserError` when it is not a store."""
    file = path / INFO
    if not file.is_file():
        if part_folder(path).is_dir():
            raise UserError(
                path, "making this store was interrupted", "run the same command again: it goes on"
            )
        raise UserError(path, "is not a face store", REMAKE if path.exists() else "check the spelling")
    try:
        info = json.loads(file.read_text())
        version = info["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(file, "is damaged", REMAKE) from error
    if version != FORMAT:
        raise UserError(file, f"is of format {version}, this affkit reads {FORMAT}", REMAKE)
    if type(info.get("size")) is not int or info["size"] < 1:
        raise UserError(file, "says no size of the crops", REMAKE)
    return info


def part_folder(path: Path) -> Path:
    """Where a store is built before it gets its name."""
    return path.with_name(f".{path.name}.part")


def _read_index(file: Path) -> pd.DataFrame:
    try:
        if _has_zero_bytes(file):  # pandas would end a word there
            raise ValueError("zero bytes")
        header = pd.read_csv(file, nrows=0).columns
        types = dict.fromkeys(("video", "subject", "expression"), str)
        types |= dict.fromkeys(("frame", "person"), np.int64)
        types |= dict.fromkeys((name for name in header if name.startswith("AU")), "Int8")
        types |= dict.fromkeys(("valence", "arousal"), np.float64)
        index = pd.read_csv(file, dtype=types, keep_default_na=False, na_values=[""])
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        raise UserError(file, "is damaged", REMAKE) from error
    if list(index.columns[: len(COLUMNS)]) != COLUMNS:
        raise UserError(file, f"has not the columns {','.join(COLUMNS)}", REMAKE)
    wrong = ~index["frame"].between(1, MOST_FRAMES)
    refuse(file, wrong.to_numpy(), 2, "the frame number", index["frame"], "frames count from 1")
    index["video"] = index["video"].astype("category")  # a million names, a few hundred different ones
    return index


def _has_zero_bytes(file: Path) -> bool:
    with file.open("rb") as content:
        return any(b"\0" in part for part in iter(partial(content.read, 1 << 20), b""))


def _check_labels(file: Path, index: pd.DataFrame, info: dict) -> None:
    """Labels are all there or not at all, and none is outside its range; an empty cell is not labelled."""
    if "valence" not in index:
        return
    units = list(info.get("action_units", ACTION_UNITS))
    if missing := [name for name in ("arousal", "expression", *units) if name not in index]:
        raise UserError(file, f"has no column {missing[0]}", REMAKE)
    for name in ("valence", "arousal"):
        refuse(file, (index[name].abs() > 1).to_numpy(), 2, name, index[name], f"{name} lies in [-1, 1]")
    for name in units:
        wrong = ~index[name].isin((0, 1)) & index[name].notna()
        refuse(file, wrong.to_numpy(bool), 2, name, index[name], "an action unit is 0 or 1")
    names = info.get("expressions", EXPRESSIONS_WITH_OTHER)
    wrong = ~index["expression"].isin(names) & index["expression"].notna()
    refuse(file, wrong.to_numpy(), 2, "expression", index["expression"], f"use one of {', '.join(names)}")


def _map_crops(file: Path) -> np.ndarray:
    try:
        images = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:  # no header, or shorter than the header says
        raise UserError(file, "is damaged or cut off", REMAKE) from error
    if not isinstance(images, np.ndarray):  # an archive of several arrays
        raise UserError(file, "is damaged or cut off", REMAKE)
    if images.ndim != 4 or images.dtype != np.uint8 or file.stat().st_size != images.offset + images.nbytes:
        raise UserError(file, "is damaged or of a wrong length", REMAKE)
    return images.view(np.ndarray)  # still mapped, without the slow indexing of np.memmap


def to_unit_range(images: np.ndarray) -> torch.Tensor:
    """uint8 pixels ``(..., S, S, 3)`` to float32 ``(..., 3, S, S)`` in [-1, 1]: x / 127.5 - 1.

    >>> to_unit_range(np.array([[[0, 51, 255]]], np.uint8)).flatten()
    tensor([-1.0000, -0.6000,  1.0000])
    """
    # torch wants memory it may write to: a batch is its own already, a single crop is still the file's
    pixels = torch.from_numpy(np.require(images, requirements="W")).movedim(-1, -3)  # (..., 3, S, S)
    return unit_range(pixels.contiguous())


def unit_range(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 pixels of any shape to float32 in [-1, 1]: x / 127.5 - 1, in the same order in memory."""
    return pixels.float().div_(127.5).sub_(1)


def to_pixels(images: torch.Tensor) -> np.ndarray:
    """Images ``(..., 3, S, S)`` in [-1, 1] to pixels ``(..., S, S, 3)`` uint8, the inverse of reading.

    >>> to_pixels(torch.tensor([-1.0, 0.0, 1.0]).reshape(3, 1, 1))
    array([[[  0, 128, 255]]], dtype=uint8)
    """
    return images.movedim(-3, -1).add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).numpy()


def fit_size(images: torch.Tensor, size: int) -> torch.Tensor:
    """Faces ``(B, 3, S, S)`` averaged down to ``size`` pixels; unchanged when they are of that size."""
    return images if images.shape[-1] == size else F.interpolate(images, size=(size, size), mode="area")


def made_smaller(images: np.ndarray, size: int, source: str | Path = "faces") -> np.ndarray:
    """Faces ``(N, S, S, 3)`` uint8, averaged down to ``size`` pixels; ``source`` is where they came from."""
    if images.shape[1] < size:
        raise too_small(source, images.shape[1], "needed are", size)
    if images.shape[1] == size:
        return images
    batches = np.array_split(images, -(-len(images) // 256))
    return np.concatenate([to_pixels(fit_size(to_unit_range(batch), size)) for batch in batches])


def too_small(source: str | Path, found: int, needs: str, size: int) -> UserError:
    """What to raise when faces are smaller than something needs."""
    problem = f"has faces of {found} pixels, {needs} {size}"
    return UserError(source, problem, f"make a store with --size {size}")


@torch.no_grad()
def pictures(generator: nn.Module, z: torch.Tensor, batch_size: int = 64) -> np.ndarray:
    """The faces of ``z`` ``(n, 100)``, as uint8 ``(n, S, S, 3)``; a face does not depend on its batch."""
    device, was_training = next(generator.parameters()).device, generator.training
    generator.eval()
    images = torch.cat([generator(part.to(device)).cpu() for part in z.split(batch_size)])  # (n, 3, S, S)
    generator.train(was_training)
    return to_pixels(images)


def image_grid(images: np.ndarray, columns: int = 8) -> np.ndarray:
    """Equal pictures ``(n, S, S, 3)`` uint8 as one, row by row; what is left of the last row is white.

    >>> image_grid(np.zeros((5, 4, 4, 3), np.uint8), columns=3).shape
    (8, 12, 3)
    """
    n, side = images.shape[:2]
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.full((rows * columns, side, side, 3), 255, np.uint8)
    sheet[:n] = images
    return sheet.reshape(rows, columns, side, side, 3).swapaxes(1, 2).reshape(rows * side, columns * side, 3)


def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write ``(H, W, 3)`` uint8 RGB as PNG, whole or not at all."""
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    with write_beside(path) as part:
        part.write_bytes(data.tobytes())


def _label_tensors(store: Store) -> dict[str, torch.Tensor]:
    labels = store.labels.with_action_units(ACTION_UNITS)
    basic = labels.has_expression & (labels.expression < len(EXPRESSIONS))  # "Other" is none of the seven
    arrays = {
        "valence": labels.valence,
        "arousal": labels.arousal,
        "has_va": labels.has_va,
        "action_units": labels.action_units,
        "has_action_units": labels.has_action_units,
        "expression": np.where(basic, labels.expression, 0),
        "has_expression": basic,
    }
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


class FrameDataset(Dataset):
    """Single faces with their labels.

    ``dataset[i]`` is ``(image, labels)``: ``(3, S, S)`` float32 in [-1, 1] and a dict of tensors:
    ``valence``, ``arousal`` and ``has_va`` (), ``action_units`` and ``has_action_units`` (8,),
    ``expression`` (int64) and ``has_expression`` (). A value counts only where its mask is true.
    ``dataset[[3, 1, 2]]`` is a batch: the same with a first axis, read in one go (see :func:`batches`).
    ``rows`` are the rows of the store to use, for instance those of the training videos; all by default.
    """

    def __init__(self, store: Store, rows: Sequence[int] | np.ndarray | None = None):
        self.store = store
        self.rows = np.arange(len(store)) if rows is None else np.asarray(rows, dtype=np.int64)
        self.labels = {name: tensor[self.rows] for name, tensor in _label_tensors(store).items()}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, items) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        images = to_unit_range(self.store.images[self.rows[items]])  # (3, S, S) or (B, 3, S, S)
        return images, {name: tensor[items] for name, tensor in self.labels.items()}


class SequenceDataset(Dataset):
    """Windows of ``length`` consecutive frames of one person in one video (80 in the paper, IV.C.2).

    ``dataset[i]`` is ``(images, labels, mask)``: ``(T, 3, S, S)`` float32 in [-1, 1], the labels of
    :class:`FrameDataset` with a first axis of ``T`` frames, and ``(T,)`` bool. Where the face was not seen,
    and after the end of a track, ``mask`` is false, the image is 0 (grey) and nothing is labelled.
    ``dataset[[3, 1, 2]]`` is a batch of windows. A window begins ``stride`` frames after the one before;
    ``length`` by default: no overlap. ``rows`` ``(W, T)`` int64 is the row of the store behind each frame of
    each window, -1 where there is none; ``goes_on`` ``(W,)`` bool says which begin where the one before ends.
    """

    def __init__(
        self,
        store: Store,
        rows: Sequence[int] | np.ndarray | None = None,
        length: int = 80,
        stride: int | None = None,
    ):
        self.store, self.length = store, length
        rows = np.arange(len(store)) if rows is None else np.asarray(rows, dtype=np.int64)
        table = store.index.iloc[rows][["video", "person", "frame"]].assign(row=rows)
        windows, goes_on = [], []
        for _, track in table.groupby(["video", "person"], observed=True, sort=False):
            track = track.sort_values("frame")
            own = _windows(track["frame"].to_numpy(), track["row"].to_numpy(), length, stride or length)
            windows += own.values()
            goes_on += [start - length in own for start in own]
        self.rows = np.array(windows, dtype=np.int64).reshape(-1, length)
        self.goes_on = np.array(goes_on, dtype=bool)
        self.labels = _label_tensors(store)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, items) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        labels, mask = self.targets(items)
        images = to_unit_range(self.store.images[np.maximum(self.rows[items], 0)])  # (T, 3, S, S), or of B
        return images * mask[..., None, None, None], labels, mask

    def of_rows(self, values: np.ndarray, items) -> tuple[torch.Tensor, torch.Tensor]:
        """Windows ``(T, F)`` or ``(B, T, F)`` of ``values`` ``(N, F)``, 0 where no face is; the mask."""
        rows = self.rows[items]  # (T,) or (B, T)
        mask = torch.from_numpy(rows >= 0)
        return torch.from_numpy(values[np.maximum(rows, 0)]) * mask.unsqueeze(-1), mask

    def targets(self, items) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Labels and mask alone; no picture is read."""
        rows = self.rows[items]  # (T,) or (B, T)
        mask = torch.from_numpy(rows >= 0)
        rows, labels = np.maximum(rows, 0), {}
        for name, tensor in self.labels.items():
            values = tensor[rows]
            labels[name] = values * mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim))
        return labels, mask


def _windows(frames: np.ndarray, rows: np.ndarray, length: int, stride: int) -> dict[int, np.ndarray]:
    """First frame to rows ``(T,)`` of the windows over one track, without those in which nothing was seen."""
    windows = {}
    for start in range(frames[0], frames[-1] + 1, stride):
        low, high = np.searchsorted(frames, (start, start + length))
        if low < high:
            windows[start] = np.full(length, -1)
            windows[start][frames[low:high] - start] = rows[low:high]
    return windows


def batches(dataset: Dataset, batch_size: int = 64, shuffle: bool = True, seed: int = 0) -> DataLoader:
    """A loader whose batches are read from the store in one go; the last one may be smaller.

    Reading is so much cheaper than a training step that worker processes would only cost. The order is a
    function of ``seed`` and of how often the loader was gone through.
    """
    generator = torch.Generator().manual_seed(seed)
    sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
    return DataLoader(dataset, batch_size=None, sampler=BatchSampler(sampler, batch_size, drop_last=False))


# Parts of a store without a copy of their pictures


class CropRows:
    """Rows of one or several arrays of crops, read like one array; pictures are copied when asked for.

    ``arrays`` are ``(N, S, S, 3)`` uint8 of one size; ``part[i]`` and ``row[i]``: which of them, and which of
    its rows, is row i of this one.

    >>> black, white = np.zeros((2, 1, 1, 3), np.uint8), np.full((2, 1, 1, 3), 255, np.uint8)
    >>> CropRows([black, white], np.array([1, 0, 1]), np.array([0, 0, 1]))[[0, 1]].ravel()
    array([255, 255, 255,   0,   0,   0], dtype=uint8)
    """

    def __init__(self, arrays: Sequence[np.ndarray], part: np.ndarray, row: np.ndarray):
        self.arrays, self.part, self.row = arrays, part, row
        self.shape = (len(row), *arrays[0].shape[1:])

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, items) -> np.ndarray:
        """One crop ``(S, S, 3)`` for a number, ``(B, S, S, 3)`` for several; a copy."""
        part, row = np.asarray(self.part[items]), np.asarray(self.row[items])
        crops = np.empty((*part.shape, *self.shape[1:]), np.uint8)
        for number, array in enumerate(self.arrays):
            own = part == number
            crops[own] = array[row[own]]
        return crops


def select_rows(store: Store, rows: Sequence[int] | np.ndarray) -> Store:
    """The ``rows`` of a store as a store, in that order."""
    rows = np.asarray(rows, np.int64)
    images = CropRows([store.images], np.zeros_like(rows), rows)
    return Store(store.path, store.index.iloc[rows].reset_index(drop=True), images, store.info)


def write_store(path: str | Path, store: Store, force: bool = False) -> Store:
    """Write a store that is in memory, such as ``sample_faces`` gives, as a folder.

    Returns the store opened from there. Raises :class:`~affkit.errors.UserError` if ``path`` exists, unless
    ``force``.
    """
    path = Path(path)
    refuse_existing(path, force)
    with write_beside(path) as part:
        part.mkdir()
        np.save(part / CROPS, store.batch(np.arange(len(store))))
        store.index.to_csv(part / INDEX, index=False)
        (part / INFO).write_text(json.dumps(store.info, indent=1) + "\n")
        shutil.rmtree(path, ignore_errors=True)
    return Store.open(path)

"""Stores put together, and parts of one, without a copy of their pictures; and labels taken away.

For semi-supervised learning the faces that have labels, those that have lost them and a pool that never had
any are one store: the losses leave out what is not labelled, whoever it came from.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.errors import UserError
from affkit.files import refuse_existing, write_beside
from affkit.labels import ACTION_UNITS, EXPRESSIONS
from affkit.store import CROPS, INDEX, INFO, Store


class CropRows:
    """Rows of one or several arrays of crops, read like one array; pictures are copied when asked for.

    Parameters
    ----------
    arrays:
        ``(N, S, S, 3)`` uint8 each, all of one size.
    part, row:
        ``(M,)`` int64: which array, and which of its rows, is row i of this one.

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


def join_stores(stores: Sequence[Store]) -> Store:
    """Stores one behind the other, as a store; it has the path of the first.

    Raises
    ------
    UserError
        If their faces differ in size, or their labels in the names of expressions or action units.
    """
    first = stores[0]
    for other in stores[1:]:
        if other.size != first.size:
            problem = f"has faces of {other.size} pixels, {first.path} of {first.size}"
            raise UserError(other.path, problem, "make stores of one size")
        if "valence" in other.index and _label_names(other) != _label_names(first):
            raise UserError(other.path, f"has other labels than {first.path}", "label both in one layout")
    lengths = [len(store) for store in stores]
    part, row = np.repeat(np.arange(len(stores)), lengths), np.concatenate([np.arange(n) for n in lengths])
    index = pd.concat([store.index.astype({"video": str}) for store in stores], ignore_index=True)
    images = CropRows([store.images for store in stores], part, row)
    return Store(first.path, index.astype({"video": "category"}), images, first.info)


def with_pool(
    store: Store, rows: Sequence[int] | np.ndarray, pool: Store, share: float = 0.5
) -> tuple[Store, np.ndarray]:
    """A store and a pool as one store, and the rows of it to train on.

    A corpus has many frames of few people, a pool one of each of many. To be a ``share`` of the rows the
    faces of the pool come several times, so a batch of training has about that share of them.

    >>> def faces(n):
    ...     images = np.zeros((n, 1, 1, 3), np.uint8)
    ...     return Store(Path("faces"), pd.DataFrame({"video": ["a"] * n}), images, {"size": 1})
    >>> with_pool(faces(4), [0, 1, 2, 3], faces(2))[1].tolist()
    [0, 1, 2, 3, 4, 5, 4, 5]
    """
    joint, rows = join_stores([store, pool]), np.asarray(rows, np.int64)
    others = np.arange(len(store), len(joint))
    times = max(1, round(share / (1 - share) * len(rows) / len(others)))
    return joint, np.concatenate([rows, np.tile(others, times)])


def without_labels(store: Store, rows: Sequence[int] | np.ndarray) -> Store:
    """The same faces, with all labels of ``rows`` taken away; the store that was given keeps its own."""
    gone = np.zeros(len(store), bool)
    gone[np.asarray(rows, np.int64)] = True
    _, units = _label_names(store)
    index = store.index.copy()
    for column in ("valence", "arousal", "expression", *units):
        if column in index:
            index[column] = index[column].mask(gone)
    return Store(store.path, index, store.images, store.info)


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


def _label_names(store: Store) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of expressions and of action units."""
    names, units = store.info.get("expressions", EXPRESSIONS), store.info.get("action_units", ACTION_UNITS)
    return tuple(names), tuple(units)

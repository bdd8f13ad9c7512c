"""A pool of single faces without labels, for semi-supervised learning: crops in compressed sheets.

A sheet is one picture of ``rows`` x ``columns`` crops, named ``faces_01.webp`` and so on: a tenth of the
bytes of single files. With labelled faces a pool makes one store; the losses leave out what is not labelled.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from affkit.errors import UserError
from affkit.faces.detectors import resized
from affkit.files import existing_file, write_beside
from affkit.labels import ACTION_UNITS, EXPRESSIONS
from affkit.store import COLUMNS, FORMAT, CropRows, Store

SHEET_COLUMNS = 32
_QUALITY = 82


def write_sheet(path: str | Path, faces: np.ndarray) -> None:
    """Write crops ``(N, S, S, 3)`` uint8 RGB as one WebP picture; N is a multiple of 32."""
    num_faces, size = faces.shape[:2]
    grid = faces.reshape(num_faces // SHEET_COLUMNS, SHEET_COLUMNS, size, size, 3)
    sheet = grid.swapaxes(1, 2).reshape(-1, SHEET_COLUMNS * size, 3)  # (rows * S, columns * S, 3)
    picture = cv2.imencode(".webp", sheet[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])[1]
    with write_beside(path) as part:
        part.write_bytes(picture.tobytes())


def read_pool(folder: str | Path) -> np.ndarray:
    """All faces of the sheets in ``folder``, ``(N, S, S, 3)`` uint8 RGB, in the order of the sheets."""
    sheets = sorted(Path(folder).glob("faces_*.webp"))
    if not sheets:
        raise UserError(folder, "holds no sheet of faces", "make one with affkit render --pool 64")
    return np.concatenate([_read_sheet(path) for path in sheets])


def pool_store(folder: str | Path, size: int) -> Store:
    """A pool as a store, in memory, without any label; larger faces are averaged down to ``size``."""
    faces = read_pool(folder)
    if faces.shape[1] < size:
        problem = f"has faces of {faces.shape[1]} pixels, {size} are needed"
        raise UserError(folder, problem, f"draw a larger pool, or take a store of {faces.shape[1]} pixels")
    if faces.shape[1] > size:
        faces = np.stack([resized(face, size, size) for face in faces])
    return bare_store(folder, faces, "pool")


def bare_store(path: str | Path, faces: np.ndarray, video: str) -> Store:
    """Crops ``(N, S, S, 3)`` uint8 as a store, in memory, without labels, as if they were frames of a video.

    >>> bare_store("pool", np.zeros((2, 32, 32, 3), np.uint8), "pool")
    <Store pool: 2 crops of 32x32>
    """
    index = pd.DataFrame({name: 0.0 for name in COLUMNS}, index=range(len(faces)))
    index = index.assign(video=video, frame=np.arange(1, len(faces) + 1), person=0)
    return Store(Path(path), index, faces, {"format": FORMAT, "size": faces.shape[1]})


def _read_sheet(path: Path) -> np.ndarray:
    sheet = cv2.imread(str(existing_file(path)))
    size = 0 if sheet is None else sheet.shape[1] // SHEET_COLUMNS
    if not size or sheet.shape[1] % SHEET_COLUMNS or sheet.shape[0] % size:
        raise UserError(path, "is not a sheet of faces", "copy or make it again")
    grid = sheet[..., ::-1].reshape(-1, size, SHEET_COLUMNS, size, 3)
    return np.ascontiguousarray(grid.swapaxes(1, 2).reshape(-1, size, size, 3))


def join_stores(stores: Sequence[Store]) -> Store:
    """Stores one behind the other, as a store with the path of the first; faces and labels must be alike."""
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


def with_pool(store: Store, rows, pool: Store, fraction: float = 0.5) -> tuple[Store, np.ndarray]:
    """A store and a pool as one store, and the rows of it to train on, of which ``fraction`` are from the
    pool.

    A corpus has many frames of few people, a pool one of each of many: its faces come several times.

    >>> def faces(n):
    ...     images = np.zeros((n, 1, 1, 3), np.uint8)
    ...     return Store(Path("faces"), pd.DataFrame({"video": ["a"] * n}), images, {"size": 1})
    >>> with_pool(faces(4), [0, 1, 2, 3], faces(2))[1].tolist()
    [0, 1, 2, 3, 4, 5, 4, 5]
    """
    joint, rows = join_stores([store, pool]), np.asarray(rows, np.int64)
    others = np.arange(len(store), len(joint))
    times = max(1, round(fraction / (1 - fraction) * len(rows) / len(others)))
    return joint, np.concatenate([rows, np.tile(others, times)])


def without_labels(store: Store, rows: Sequence[int] | np.ndarray) -> Store:
    """The same faces, with all labels of ``rows`` taken away; the store that was given keeps its own."""
    gone = np.zeros(len(store), bool)
    gone[np.asarray(rows, np.int64)] = True
    index = store.index.copy()
    for column in ("valence", "arousal", "expression", *_label_names(store)[1]):
        if column in index:
            index[column] = index[column].mask(gone)
    return Store(store.path, index, store.images, store.info)


def _label_names(store: Store) -> tuple[tuple[str, ...], tuple[str, ...]]:
    info = store.info
    return tuple(info.get("expressions", EXPRESSIONS)), tuple(info.get("action_units", ACTION_UNITS))

"""Features of a frozen network, computed once and kept beside the faces; the file's name tells which."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from affkit.errors import UserError
from affkit.files import write_beside
from affkit.store import Store, to_unit_range

SAMPLE = 64  # faces whose pixels go into the name: all of them would have to be read, which is what we save
BATCH = 256


def cached_features(
    cnn: nn.Module,
    store: Store,
    folder: str | Path,
    device: str | torch.device = "cpu",
    progress: bool = True,
) -> np.ndarray:
    """``(len(store), F)`` float32, memory-mapped: features of every face, from ``folder`` or computed now.

    ``cnn`` makes ``(N, F)`` from faces ``(N, 3, S, S)`` in [-1, 1], each by itself. A :class:`UserError` if
    they are not numbers, the file is damaged, or the folder cannot be written to.
    """
    path = Path(folder) / f"features_{feature_key(cnn, store)}.npy"
    if not path.is_file():
        features = compute_features(cnn, store, device, progress)
        try:
            with write_beside(path) as part:
                np.save(part, features)
        except (PermissionError, FileExistsError, NotADirectoryError) as error:
            problem = f"cannot be written to ({error.strerror})"
            raise UserError(folder, problem, "choose another folder") from error
    try:
        features = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(features, np.ndarray) or features.shape[:-1] != (len(store),):
            raise ValueError("an archive of arrays, or features of other faces")
    except (ValueError, EOFError) as error:
        raise UserError(path, "is damaged", "delete it: it is made again") from error
    return features


@torch.no_grad()
def compute_features(
    cnn: nn.Module, store: Store, device: str | torch.device = "cpu", progress: bool = True
) -> np.ndarray:
    """As :func:`cached_features`, always computed: ``(len(store), F)`` float32."""
    parts = []
    with tqdm(total=len(store), unit="face", desc="features", delay=2, disable=not progress) as bar:
        for start in range(0, len(store), BATCH):
            images = to_unit_range(store.images[start : start + BATCH]).to(device)  # (B, 3, S, S)
            parts.append(cnn(images).float().cpu().numpy())  # (B, F)
            bar.update(len(images))
    features = np.concatenate(parts)  # (N, F)
    if not np.isfinite(features).all():
        face = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
        problem = f"the network's features of face {face} are not numbers"
        raise UserError(store.path, problem, "give other weights, these are damaged")
    return features


def feature_key(cnn: nn.Module, store: Store) -> str:
    """16 hexadecimal digits of the weights, where each face was found, and the pixels of some of them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(cnn.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    digest.update(store.index[["video", "frame", "person", "x", "y", "w", "h"]].to_csv(index=False).encode())
    rows = np.unique(np.linspace(0, len(store) - 1, SAMPLE).astype(np.int64))
    digest.update(np.ascontiguousarray(store.images[rows]).tobytes())
    return digest.hexdigest()[:16]

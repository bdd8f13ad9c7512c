"""Where the multi-task network looks, for notebook 09: attention over a clip, its reach, and by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from affkit.checkpoints import load_checkpoint
from affkit.store import SequenceDataset, Store


def over_frames(clip: Store, values: np.ndarray) -> np.ndarray:
    """Values of the rows of one track, ``(N, ...)``, frame by frame: ``(T, ...)``, NaN without a face."""
    frames = clip.index["frame"].to_numpy()
    found = np.full((frames.max(), *values.shape[1:]), np.nan)
    found[frames - 1] = values
    return found


@torch.no_grad()
def clip_attention(checkpoint: str | Path, clip: Store, length: int = 80) -> np.ndarray:
    """The attention weights of every frame of one track, ``(T, L)``, the present frame last.

    Read in sequences of ``length`` frames, as ``predict_store`` does: attention
    does not look back over the start of a sequence, there the weights are 0. NaN where there is no face.
    """
    net, _ = load_checkpoint(checkpoint, "affwildnet")
    sequences = SequenceDataset(clip, length=length)
    images, _, mask = sequences[np.arange(len(sequences))]  # (B, T, 3, S, S), (B, T)
    weights = net.attention_weights(net.features(images, mask), mask)[mask].numpy()  # (N, L)
    by_row = np.empty_like(weights)
    by_row[sequences.rows[mask.numpy()]] = weights
    return over_frames(clip, by_row)


def attention_reach(weights: np.ndarray) -> pd.DataFrame:
    """How far attention looks back on average, and over how many frames it spreads, beside even weights.

    ``weights`` ``(T, L)`` are those of :func:`clip_attention`. The spread is the exponential of the entropy:
    n for n frames with the same weight. "Even" gives all frames it may look at the same weight.

    >>> attention_reach(np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])).round(2).loc["these"].tolist()
    [0.62, 1.91]
    """
    weights = weights[~np.isnan(weights).any(axis=1)].astype(np.float64)
    even = (weights > 0) / (weights > 0).sum(axis=1, keepdims=True)
    lags = np.arange(weights.shape[1])[::-1]
    rows = {}
    for name, own in {"these": weights, "even": even}.items():
        entropy = -(own * np.log(np.where(own > 0, own, 1))).sum(axis=1)
        rows[name] = {"mean lag, frames": (own @ lags).mean(), "spread, frames": np.exp(entropy).mean()}
    return pd.DataFrame(rows).T

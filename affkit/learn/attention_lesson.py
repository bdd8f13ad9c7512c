"""Where the multi-task network looks, for notebook 09: attention over a clip, its reach, and by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from affkit.data.store import SequenceDataset, Store
from affkit.learn.affwildnet import Attention
from affkit.learn.checkpoints import load_checkpoint


def over_frames(clip: Store, values: np.ndarray) -> np.ndarray:
    """Values of the rows of one track, ``(N, ...)``, frame by frame: ``(T, ...)``, NaN without a face."""
    frames = clip.index["frame"].to_numpy()
    found = np.full((frames.max(), *values.shape[1:]), np.nan)
    found[frames - 1] = values
    return found


@torch.no_grad()
def clip_attention(checkpoint: str | Path, clip: Store, length: int = 80) -> np.ndarray:
    """The attention weights of every frame of one track, ``(T, L)``, the present frame last.

    Read in sequences of ``length`` frames, as :func:`~affkit.learn.predict.predict_store` does: attention
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


def attention_examples() -> list[tuple[tuple[np.ndarray, ...], np.ndarray, str]]:
    """Examples for :func:`affkit.show.exercises.check`: the additive attention of one step.

    The arguments are ``h`` ``(n, H)``, the last n outputs of the recurrent network with the present one last,
    and the weights ``W``, ``U`` ``(H, H)``, ``b`` and ``v`` ``(H,)``; the answer is that of the live module.
    """
    hints = {
        1: "one frame alone gets all the weight",
        4: "the energy of frame j is v . tanh(W h_j + U h_t + b), and t is the last row of h",
        6: "a softmax over all rows: the exponentials, divided by their sum",
    }
    examples, size = [], 3
    for n, hint in hints.items():
        layer, (h, window, *masks) = _small_attention(n, size)
        _, weights = layer(h, masks[0], window, masks[1])
        own = [p.numpy() for p in (layer.key.weight, layer.query.weight, layer.query.bias)]
        arguments = (torch.cat([window, h], dim=1)[0].numpy(), *own, layer.score.weight[0].numpy())
        examples.append((arguments, weights[0, 0].numpy(), hint))
    return examples


def _small_attention(n: int, size: int) -> tuple[Attention, tuple[Tensor, ...]]:
    """A layer that looks at ``n`` frames, in double precision, and what it takes for one step."""
    random = torch.Generator().manual_seed(n)
    with torch.random.fork_rng():
        torch.manual_seed(n)
        layer = Attention(size, n).double().requires_grad_(False)
    for weight in layer.parameters():
        weight *= 3  # as drawn they give nearly even attention, and then no mistake shows
    h = torch.rand(1, n, size, generator=random, dtype=torch.float64) * 2 - 1  # (1, n, H)
    seen = torch.ones(1, n, dtype=torch.bool)
    return layer, (h[:, -1:], h[:, :-1], seen[:, -1:], seen[:, :-1])

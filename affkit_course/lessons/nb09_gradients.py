r"""Do two tasks pull the weights that they share in the same direction?

Learning them together can help where a step that is good for one is good for the other, too. For small steps
that is what the angle between their gradients says: with the step :math:`-\eta g_{VA}` the other loss changes
by :math:`-\eta\, g_{VA} \cdot g_{expr}` (Du et al. 2018, "Adapting auxiliary losses using gradient
similarity"; Yu et al. 2020, "Gradient surgery for multi-task learning").
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from affkit.checkpoints import load_checkpoint
from affkit.loop import RowStream
from affkit.losses import multitask_loss
from affkit.multitask import AffWildNet
from affkit.store import SequenceDataset, Store


def task_gradients(
    checkpoint: str | Path,
    store: Store,
    rows: Sequence[int] | np.ndarray,
    features: np.ndarray,
    batches: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """The gradients of the two losses of Eq. 6 on the GRU and the attention of a trained network.

    Parameters
    ----------
    checkpoint:
        An ``affwildnet``; its losses, length of sequences and batch size are those it was trained with.
    rows:
        The rows of the store to take sequences from.
    features:
        ``(len(store), F)``: what its convolutional half says about each face, see
        :mod:`affkit_lab.backbones.feature_cache`.
    batches:
        How many.

    Returns
    -------
    DataFrame
        A row a batch: ``cosine`` of the angle between the two gradients, in [-1, 1], and their lengths,
        ``va`` and ``expression``, at alpha = beta = 1.
    """
    net, how = load_checkpoint(checkpoint, "affwildnet")
    config = how["config"]
    sequences = SequenceDataset(store, rows, length=config["sequence_length"])
    stream = RowStream(len(sequences), config["batch_size"], seed)
    kinds = config["va_loss"], config["expression_loss"]
    return pd.DataFrame([_one(net, sequences, features, stream.batch(k), kinds) for k in range(batches)])


def _one(
    net: AffWildNet, sequences: SequenceDataset, features: np.ndarray, items: np.ndarray, kinds: tuple
) -> dict[str, float]:
    labels, _ = sequences.targets(items)  # (B, T)
    output, _ = net.predict(*sequences.of_rows(features, items))  # (B, T, 2), (B, T, 7)
    terms = multitask_loss(output, labels, 1.0, 1.0, *kinds)
    shared = [*net.gru.parameters(), *net.attention.parameters()]
    gradients = {}
    for name, term in terms.items():
        parts = torch.autograd.grad(term, shared, retain_graph=True)
        gradients[name] = torch.cat([part.flatten() for part in parts])  # (W,) for W shared weights
    cosine = torch.cosine_similarity(*gradients.values(), dim=0)
    return {"cosine": float(cosine)} | {name: float(part.norm()) for name, part in gradients.items()}

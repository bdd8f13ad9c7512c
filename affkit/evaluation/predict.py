"""What a trained network says about the faces of a store, and how right it is."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError
from affkit.gan import Discriminator, fit_size
from affkit.labels import ACTION_UNITS, EXPRESSIONS, Labels
from affkit.loop import make_fabric
from affkit.metrics import StreamingActionUnitScores, StreamingCCC, StreamingExpressionScores
from affkit.multitask import AffWildNet
from affkit.store import SequenceDataset, Store, to_unit_range
from affkit_lab.backbones.face_net import FaceNet
from affkit_lab.backbones.feature_net import FeatureNet

VA = ("valence", "arousal")

FaceReader = Discriminator | FeatureNet | FaceNet
"""Networks that read each face by itself."""

ACTIVE = 0.5
"""An action unit counts as predicted from this probability."""


def predict_store(
    checkpoint: str | Path,
    store: Store,
    device: str = "auto",
    progress: bool = True,
    length: int = 80,
    features: np.ndarray | None = None,
) -> pd.DataFrame:
    """Predict every face of a store.

    Parameters
    ----------
    checkpoint:
        An ``affwildnet``, a ``discriminator``, a ``featurenet`` or a ``facenet``.
    device:
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    length:
        Frames in a sequence, for the former: as in training (80 in the paper), or it starts out of its depth.
    features:
        For the former: what its convolutional half says about each face, ``(len(store), F)``, if that is
        known (see :mod:`affkit_lab.backbones.feature_cache`); then no picture is looked at.

    Returns
    -------
    DataFrame
        A row for each row of the store, in its order: ``video, frame, person``; ``valence`` and ``arousal``,
        cut to [-1, 1]; then, by what the network tells, a probability for each of the seven expressions,
        which sum to 1, or for each of the eight action units.

    Raises
    ------
    UserError
        If the checkpoint is no such network, or the store has faces of another size.
    """
    model, _ = load_checkpoint(checkpoint)
    model.to(make_fabric(device).device)
    if isinstance(model, AffWildNet):
        columns = _predict_sequences(model, store, length, progress, features)
    elif isinstance(model, FaceReader):
        columns = predict_faces(model, store.images, store.path, progress)
    else:
        problem = f"holds weights of {model.architecture}, which predicts nothing"
        raise UserError(checkpoint, problem, "give discriminator.safetensors or affwildnet.safetensors")
    keys = store.index[["video", "frame", "person"]].reset_index(drop=True)
    return pd.concat([keys, pd.DataFrame(columns)], axis=1)


@torch.no_grad()
def predict_faces(
    model: FaceReader,
    images: np.ndarray,
    source: str | Path = "faces",
    progress: bool = False,
    batch_size: int = 256,
    with_fake: bool = False,
) -> dict[str, np.ndarray]:
    """Predict single faces, ``(N, S, S, 3)`` uint8: the columns of :func:`predict_store`, ``(N,)`` each.

    ``source`` is where the faces came from, for the :class:`UserError` when they are too small. With
    ``with_fake``, of a discriminator, there is also ``fake``, its probability that a face is generated.
    """
    size = model.config.image_size
    if images.shape[1] < size:
        raise UserError(source, *_wrong_size(images.shape[1], size))
    device = next(model.parameters()).device
    va, units, fake = [], [], []
    for start in tqdm(range(0, len(images), batch_size), unit="batch", disable=not progress):
        batch = to_unit_range(images[start : start + batch_size])
        output = model(fit_size(batch.to(device), size))
        va += [] if output.va is None else [output.va.cpu()]  # (B, 2)
        units += [] if output.action_units is None else [output.action_units.sigmoid().cpu()]  # (B, 8)
        fake += [output.fake.sigmoid().cpu()] if with_fake else []  # (B,)
    columns = _va_columns(torch.cat(va)) if va else {}
    columns |= dict(zip(ACTION_UNITS, torch.cat(units).numpy().T, strict=True)) if units else {}
    return columns | ({"fake": torch.cat(fake).numpy()} if fake else {})


@torch.no_grad()
def _predict_sequences(
    model: AffWildNet,
    store: Store,
    length: int,
    progress: bool,
    features: np.ndarray | None = None,
    batch_size: int = 4,
) -> dict[str, np.ndarray]:
    if store.size != model.config.image_size:
        raise UserError(store.path, *_wrong_size(store.size, model.config.image_size))
    device = next(model.parameters()).device
    sequences = SequenceDataset(store, length=length)
    va = torch.zeros(len(store), 2)
    expression = torch.zeros(len(store), len(EXPRESSIONS))
    for start in tqdm(range(0, len(sequences), batch_size), unit="batch", disable=not progress):
        items = np.arange(start, min(start + batch_size, len(sequences)))
        if features is None:
            images, _, mask = sequences[items]  # (B, T, 3, S, S), (B, T)
            output, _ = model(images.to(device), mask.to(device))
        else:
            seen, mask = sequences.of_rows(features, items)  # (B, T, F), (B, T)
            output, _ = model.predict(seen.to(device), mask.to(device))
        rows = torch.from_numpy(sequences.rows[items])[mask]  # (N,) for N frames with a face
        va[rows] = output.va.cpu()[mask]
        expression[rows] = output.expression.softmax(dim=-1).cpu()[mask]
    return _va_columns(va) | dict(zip(EXPRESSIONS, expression.numpy().T, strict=True))


def evaluate(predictions: pd.DataFrame, labels: Labels) -> dict[str, float]:
    """The paper's criteria (Section IV.D) of predictions against labels, pooled over all labelled frames.

    Parameters
    ----------
    predictions:
        As :func:`predict_store` gives them.
    labels:
        One for each row, for instance ``store.labels``; what is not labelled does not count.

    Returns
    -------
    dict
        ``ccc_valence``, ``ccc_arousal``; ``expression_`` and ``au_`` with ``f1_macro``, ``f1_weighted`` and
        ``accuracy``. Only what is both predicted and labelled. An action unit counts as predicted from a
        probability of 0.5.
    """
    if len(predictions) != len(labels):
        raise UserError(
            "evaluation",
            f"{len(predictions)} predictions for {len(labels)} labelled rows",
            "predict the store that the labels belong to",
        )
    scores: dict[str, float] = {}
    if VA[0] in predictions and labels.has_va.any():
        for name in VA:
            metric = StreamingCCC()
            metric.update(predictions[name], getattr(labels, name), labels.has_va)
            scores[f"ccc_{name}"] = metric.compute()
    # "Other" and the like, in corpora that have them, are none of the seven
    basic = labels.has_expression & (labels.expression < len(EXPRESSIONS))
    if EXPRESSIONS[0] in predictions and basic.any():
        metric = StreamingExpressionScores(len(EXPRESSIONS))
        metric.update(predictions[list(EXPRESSIONS)].to_numpy().argmax(axis=1), labels.expression, basic)
        scores |= {f"expression_{name}": score for name, score in metric.compute().items()}
    labels = labels.with_action_units(ACTION_UNITS)
    if ACTION_UNITS[0] in predictions and labels.has_action_units.any():
        metric = StreamingActionUnitScores(len(ACTION_UNITS))
        likely = predictions[list(ACTION_UNITS)].to_numpy() >= ACTIVE
        metric.update(likely, labels.action_units, labels.has_action_units)
        scores |= {f"au_{name}": score for name, score in metric.compute().items()}
    return scores


def _va_columns(va: Tensor) -> dict[str, np.ndarray]:
    return dict(zip(VA, va.clamp(-1, 1).numpy().T, strict=True))


def _wrong_size(found: int, needed: int) -> tuple[str, str]:
    return (f"has faces of {found} pixels, this network reads {needed}", f"make a store with --size {needed}")

"""What notebook 09 shows of the multi-task network: its layers, masks, losses, and what a step costs."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from affkit.checkpoints import load_checkpoint
from affkit.corpus.corpus import Corpus
from affkit.corpus.partition import Partition
from affkit.errors import UserError
from affkit.evaluation.evaluate import score
from affkit.evaluation.predict import predict_store
from affkit.loop import make_fabric
from affkit.losses import ccc, multitask_loss
from affkit.multitask import AffWildNet, AffWildNetConfig, AffWildOutput, VGGFace
from affkit.store import SequenceDataset, Store
from affkit.store_subsets import select_rows
from affkit.train import train_mtl
from affkit.train_multitask import MtlConfig, MtlTrainer

STATES = ("no face", "a face, no label", "expression", "valence and arousal", "all labels")
"""What is known of a frame of a sequence, see :func:`window_states`."""
BYTES = 4  # of a float32


def layer_table(config: AffWildNetConfig, frames: int = 80) -> pd.DataFrame:
    """The layers of a live network in the order in which they work.

    Returns
    -------
    DataFrame
        A row a layer: ``layer``; ``output`` for one sequence of ``frames`` faces, as frames x height x width
        x channels, or frames x values; ``weights``, biases included. ReLUs have no weights and no row.

    >>> layer_table(AffWildNetConfig(width=1.0))["weights"].tail(3).tolist()
    [33024, 32896, 1161]
    """
    with torch.device("meta"):  # shapes without memory for the weights
        net = AffWildNet(config)
        faces = torch.zeros(frames, 3, config.image_size, config.image_size)
        mask = torch.ones(1, frames, dtype=torch.bool)
    given: dict[nn.Module, Tensor] = {}
    for module in net.modules():
        module.register_forward_hook(lambda module, _, output: given.update({module: output}))
    net.predict(net.cnn(faces).unsqueeze(0), mask)
    rows, block, number = [], 1, 0
    for layer in net.cnn.layers:
        if isinstance(layer, nn.Conv2d):
            number += 1
            rows.append((f"convolution {block}-{number}", given[layer], layer.parameters()))
        elif isinstance(layer, nn.MaxPool2d):
            rows.append((f"pool {block}", given[layer], ()))
            block, number = block + 1, 0
    rows.append(("fully connected", given[net.cnn.fc], net.cnn.fc.parameters()))
    if config.recurrent:
        for level in range(net.gru.num_layers):
            own = [weight for name, weight in net.gru.named_parameters() if name.endswith(f"_l{level}")]
            rows.append((f"GRU {level + 1}", given[net.gru][0][0], own))
        mixed, weights = given[net.attention]  # (1, T, H), (1, T, L)
        mix = list(net.attention.mix.parameters())
        energies = list(net.attention.parameters())[: -len(mix)]
        rows += [("attention weights", weights[0], energies), ("attention mixture", mixed[0], mix)]
    rows.append(("valence, arousal, 7 expressions", given[net.head][0], net.head.parameters()))
    return pd.DataFrame(
        {"layer": name, "output": _shape(output), "weights": sum(weight.numel() for weight in own)}
        for name, output, own in rows
    )


def _shape(output: Tensor) -> str:
    """``(T, C, H, W)`` as T x H x W x C, the order of the paper's tables."""
    frames, *rest = output.shape
    return " x ".join(map(str, (frames, *rest[1:], rest[0])))


def few_clips(corpus: Corpus, partition: Partition, numbers: Mapping[str, int], longest: int) -> Partition:
    """A small part of a partition: of each set those short clips that show the most expressions.

    Parameters
    ----------
    numbers:
        Set to how many clips it keeps.
    longest:
        A clip of more frames is left out.

    Raises
    ------
    UserError
        If a set has fewer such clips.
    """
    sets = {}
    for subset, number in numbers.items():
        kinds = {}
        for name in partition.sets[subset]:
            labels = corpus.labels[name]
            if len(labels) <= longest:
                kinds[name] = len(np.unique(labels.expression[labels.has_expression]))
        if len(kinds) < number:
            problem = f"has {len(kinds)} {subset} clips of at most {longest} frames, not {number}"
            raise UserError("the partition", problem, "ask for fewer, or for longer ones")
        chosen = sorted(kinds, key=lambda name: (-kinds[name], name))[:number]
        sets[subset] = {name: partition.sets[subset][name] for name in chosen}
    names = [name for own in sets.values() for name in own]
    subjects = {name: who for name, who in partition.subjects.items() if name in names}
    return Partition(sets, subjects, partition.task, partition.seed)


def window_states(sequences: SequenceDataset, items: Sequence[int] | np.ndarray) -> np.ndarray:
    """What is known of each frame of some sequences: ``(B, T)`` int64, an index into :data:`STATES`."""
    labels, mask = sequences.targets(np.asarray(items))
    va, expression = labels["has_va"].numpy(), labels["has_expression"].numpy()
    return mask.numpy() * (1 + expression + 2 * va)


def batch_against_sequences(labels: Mapping[str, Tensor]) -> pd.DataFrame:
    """Two half-truths about valence, and their CCC: of a batch, and the mean of that of its sequences.

    ``labels`` are those of a batch, ``(B, T)`` each. One half-truth says for every frame the mean of its
    sequence: it knows people and nothing of time. The other is the label without that mean.
    """
    valence, mask = labels["valence"], labels["has_va"]  # (B, T)
    known = mask.any(dim=1)  # (B,)
    valence, mask = valence[known], mask[known]
    means = torch.where(mask, valence, 0).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)  # (B, 1)
    said = {"the mean of its sequence": means.expand_as(valence), "all but that mean": valence - means}
    rows = {}
    for name, values in said.items():
        own = [ccc(*sequence).item() for sequence in zip(values, valence, mask, strict=True)]
        rows[name] = {"CCC of the batch": ccc(values, valence, mask).item(), "mean CCC": np.mean(own)}
    return pd.DataFrame(rows).T


def gradients_by_state(
    output: AffWildOutput, labels: Mapping[str, Tensor], states: np.ndarray, **losses
) -> pd.DataFrame:
    """How hard Eq. 6 pulls at the outputs of a frame, by what is known of it.

    Parameters
    ----------
    output, labels:
        Of a batch, as :func:`~affkit.losses.multitask_loss` takes them; ``losses`` is the rest.
    states:
        ``(B, T)`` of :func:`window_states`.

    Returns
    -------
    DataFrame
        For each of :data:`STATES`: the number of ``frames``, and the largest gradient of an output of
        ``valence, arousal`` and of ``expression``.
    """
    leaves = AffWildOutput(*(part.detach().requires_grad_() for part in output))  # (B, T, 2), (B, T, 7)
    sum(multitask_loss(leaves, labels, **losses).values()).backward()
    sizes = {
        words: part.grad.abs().amax(dim=-1).numpy()  # (B, T)
        for words, part in zip(("valence, arousal", "expression"), leaves, strict=True)
    }
    rows = {}
    for number, name in enumerate(STATES):
        own = states == number
        rows[name] = {"frames": own.sum()} | {
            words: size[own].max(initial=0) for words, size in sizes.items()
        }
    return pd.DataFrame(rows).T.astype({"frames": int})


def step_times(
    store: Store,
    rows: np.ndarray,
    config: MtlConfig,
    weights: str | Path,
    cache: str | Path | None = None,
    steps: int = 3,
) -> pd.Series:
    """Seconds of a step of a frozen network on the CPU, median of ``steps``: features read, or computed anew.

    The other arguments are as in :func:`~affkit.train.train_mtl`.
    """
    times = {}
    for name in ("features read", "CNN in every step"):
        given = (Path(weights), None if cache is None else Path(cache))
        trainer = MtlTrainer(make_fabric("cpu"), store, rows, replace(config, frozen=True), *given)
        if name != "features read":
            trainer.features = None
        own = []
        for number in range(steps + 1):
            start = time.perf_counter()
            trainer.step(number)
            own.append(time.perf_counter() - start)
        times[name] = np.median(own[1:])  # the first one warms up
    return pd.Series(times, name="seconds a step")


def kept_for_backward(net: VGGFace, faces: Tensor) -> int:
    """Bytes that autograd keeps for the way back while ``net`` reads ``faces``, ``(N, 3, S, S)``.

    The weights and the faces do not count: they are there anyway.
    """
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage  # held, so that no address comes twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        net(faces)
    there = {t.untyped_storage().data_ptr() for t in (faces, *net.parameters(), *net.buffers())}
    return sum(storage.nbytes() for address, storage in kept.items() if address not in there)


def backward_memory(config: AffWildNetConfig, frames: int = 800, at_a_time: int = 80) -> dict[str, float]:
    """GB (1e9 bytes) that the convolutional half keeps for the way back, for a batch of ``frames`` faces.

    All at once, or ``at_a_time`` of them (:meth:`~affkit.multitask.AffWildNet.features`): then of one
    part everything and of the batch the features. Measured on a few faces: every face costs the same.
    """
    few, size = 2, config.image_size
    a_face = kept_for_backward(VGGFace(config), torch.zeros(few, 3, size, size)) / few
    features = BYTES * config.channels(4096) * frames
    return {
        "all at once": a_face * frames / 1e9,
        f"{at_a_time} at a time": (a_face * min(at_a_time, frames) + features) / 1e9,
    }


def watched_run(
    store: Store,
    out: str | Path,
    config: MtlConfig,
    steps: int,
    sets: Mapping[str, np.ndarray],
    tested: Sequence[str] = ("train", "validation"),
    every: int = 10,
    **how,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train on ``sets["train"]``, and score the network on the ``tested`` sets again and again.

    Parameters
    ----------
    sets:
        Set to its rows of the store.
    every:
        Steps from one test to the next.
    how:
        The rest is as in :func:`~affkit.train.train_mtl`.

    Returns
    -------
    tuple
        The log, a row a step; and a row for each test and set: ``step``, ``seconds`` of training so far,
        ``set`` and the scores of :func:`~affkit.evaluation.evaluate.score`.
    """
    scores, since, trained = [], time.perf_counter(), 0.0

    def test(done: int, _, trainer: MtlTrainer) -> None:
        nonlocal since, trained
        trained += time.perf_counter() - since
        for subset in tested:
            rows = sets[subset]
            known = None if trainer.features is None else trainer.features[rows]  # (N, F)
            part, checkpoint = select_rows(store, rows), Path(out) / "affwildnet.safetensors"
            said = predict_store(checkpoint, part, "cpu", False, config.sequence_length, known)
            found = {"step": done, "seconds": trained, "set": subset}
            scores.append(found | score(said, part.labels))
        since = time.perf_counter()

    rows = sets["train"]
    run = train_mtl(
        store, out, config, steps=steps, callback=test, rows=rows, save_every=every, progress=False, **how
    )
    return run.log, pd.DataFrame(scores)


def scores_by_subject(predictions: pd.DataFrame, store: Store) -> pd.DataFrame:
    """The scores of each person of a store, and of all frames together in the last row, ``all``."""
    rows = {}
    for who, own in store.index.groupby("subject", observed=True).indices.items():
        rows[who] = score(predictions.iloc[own], store.labels[own])
    rows["all"] = score(predictions, store.labels)
    return pd.DataFrame(rows).T


def log_gaps(runs: Mapping[object, tuple[str | Path, str | Path]]) -> pd.DataFrame:
    """By how much the losses of two runs differ, step by step.

    Parameters
    ----------
    runs:
        Name to the folders of two runs of :func:`~affkit.train.train_mtl`.

    Returns
    -------
    DataFrame
        A row a step, a column a name: the difference of the loss of valence and arousal, before its weight
        alpha, without a sign.
    """
    gaps = {}
    for name, folders in runs.items():
        losses = []
        for folder in map(Path, folders):
            _, how = load_checkpoint(folder / "affwildnet.safetensors", "affwildnet")
            losses.append(pd.read_csv(folder / "log.csv", index_col="step")["va"] / how["config"]["alpha"])
        gaps[name] = (losses[0] - losses[1]).abs()
    return pd.DataFrame(gaps)

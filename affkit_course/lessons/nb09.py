"""What notebook 09 shows of the multi-task network: layers, masks, losses, cost, attention, gradients.

Names of other rooms that the notebook needs are imported here as well.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor, nn

from affkit.checkpoints import load_checkpoint
from affkit.corpus.corpus import Corpus
from affkit.corpus.partition import Partition
from affkit.errors import UserError
from affkit.evaluation.evaluate import score
from affkit.evaluation.predict import predict_store
from affkit.labelfiles.formats import constant_runs
from affkit.labels import EXPRESSIONS, VA, Labels
from affkit.loop import RowStream, make_fabric
from affkit.losses import ccc, multitask_loss
from affkit.multitask import AffWildNet, AffWildNetConfig, AffWildOutput, VGGFace
from affkit.store import SequenceDataset, Store, select_rows
from affkit.train_multitask import MtlConfig, MtlTrainer, starting_net, train_mtl
from affkit_lab.backbones.face_net import cached_features  # noqa: F401
from affkit_lab.experiments.table_x import MtlPlan  # noqa: F401
from affkit_lab.figures.architecture import trace
from affkit_lab.figures.style import PALETTE, line_styles

STATES = ("no face", "a face, no label", "expression", "valence and arousal", "all labels")
"""What is known of a frame of a sequence, see :func:`window_states`."""
BYTES = 4  # of a float32


def layer_table(config: AffWildNetConfig, frames: int = 80) -> pd.DataFrame:
    """The layers of a live network in the order in which they work, a row each; ReLUs have none.

    ``output`` of ``frames`` faces, as frames x height x width x channels; ``weights``, biases included.

    >>> layer_table(AffWildNetConfig(width=1.0))["weights"].tail(3).tolist()
    [33024, 32896, 1161]
    """
    with torch.device("meta"):  # shapes without memory for the weights
        net = AffWildNet(config)
        faces = torch.zeros(frames, 3, config.image_size, config.image_size)
        mask = torch.ones(1, frames, dtype=torch.bool)
    steps, _ = trace(net, lambda: net.predict(net.cnn(faces).unsqueeze(0), mask))
    given = {step.module: step.given for step in steps}
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
    """Of each set the ``numbers[set]`` clips of at most ``longest`` frames that show the most expressions."""
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
    """Two half-truths about valence, and their CCC: of a batch, ``(B, T)``, and the mean of its sequences'.

    One says the mean of each sequence: it knows people and nothing of time. The other is all but that mean.
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
    """How hard Eq. 6 pulls at the outputs of a frame, by what is known of it, ``states`` ``(B, T)``.

    For each of :data:`STATES` the number of ``frames``, and the largest gradient of an output of each task.
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
    """Median seconds of a step of a frozen network on the CPU: features read, or computed in every step."""
    config, times = replace(config, frozen=True, image_size=store.size), {}
    for name in ("features read", "CNN in every step"):
        net, _ = starting_net(config, store.size, weights)
        trainer = MtlTrainer(make_fabric("cpu"), store, rows, config, net, cache=cache and Path(cache))
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
    """Bytes that autograd keeps for the way back of ``faces``, ``(N, 3, S, S)``, beside weights and faces."""
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
    """Train on ``sets["train"]``, rows of the store, and score the ``tested`` sets every so many steps.

    ``how`` goes to ``train_mtl``. Returns its log, and a row for each test and set: ``step``, ``seconds`` of
    training so far, ``set`` and the scores of :func:`~affkit.evaluation.evaluate.score`.
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
    """By how much the losses of two runs of ``train_mtl`` differ: a row a step, a column a name.

    ``runs`` maps a name to two folders. Compared is the loss of valence and arousal before its weight alpha.
    """
    gaps = {}
    for name, folders in runs.items():
        losses = []
        for folder in map(Path, folders):
            _, how = load_checkpoint(folder / "affwildnet.safetensors", "affwildnet")
            losses.append(pd.read_csv(folder / "log.csv", index_col="step")["va"] / how["config"]["alpha"])
        gaps[name] = (losses[0] - losses[1]).abs()
    return pd.DataFrame(gaps)


def over_frames(clip: Store, values: np.ndarray) -> np.ndarray:
    """Values of the rows of one track, ``(N, ...)``, frame by frame: ``(T, ...)``, NaN without a face."""
    frames = clip.index["frame"].to_numpy()
    found = np.full((frames.max(), *values.shape[1:]), np.nan)
    found[frames - 1] = values
    return found


@torch.no_grad()
def clip_attention(checkpoint: str | Path, clip: Store, length: int = 80) -> np.ndarray:
    """The attention weights of every frame of one track, ``(T, L)``, the present one last; NaN: no face.

    Read in sequences of ``length`` frames, as in training: before the start of one they are 0.
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


def task_gradients(
    checkpoint: str | Path,
    store: Store,
    rows: Sequence[int] | np.ndarray,
    features: np.ndarray,
    batches: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """The gradients of the two losses of Eq. 6 on the GRU and the attention of a network, as it was trained.

    A row a batch: ``cosine`` of the angle between the two, and their lengths ``va`` and ``expression`` at
    alpha = beta = 1. ``features`` ``(len(store), F)`` are those of :mod:`affkit_lab.backbones.face_net`.
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


MARKS = {"train": "o", "validation": "s"}
DASHES = {"train": "-", "validation": "--"}


def window_picture(states: np.ndarray, names: Sequence[str], title: str = "") -> Figure:
    """``states`` ``(B, T)`` of :func:`window_states`: the darker, the more is known of a frame."""
    shades = ["white", *sns.color_palette("Blues", len(names) - 1)]
    figure, axis = plt.subplots(figsize=(11, 1.3 + 0.28 * len(states)))
    edges = np.arange(states.shape[1] + 1) + 0.5, np.arange(len(states) + 1) + 0.5
    axis.pcolormesh(*edges, states, cmap=ListedColormap(shades), vmin=0, vmax=len(names) - 1)
    for line in edges[1]:
        axis.axhline(line, color="0.4", linewidth=0.8)
    axis.set(xlabel="frame of the sequence", ylabel="sequence", title=title)
    axis.set_yticks(range(1, len(states) + 1))
    axis.invert_yaxis()
    axis.grid(False)
    patches = [plt.Rectangle((0, 0), 1, 1, facecolor=shade, edgecolor="0.4") for shade in shades]
    figure.legend(patches, names, loc="outside lower center", ncols=len(names), fontsize=9)
    return figure


def run_curves(runs: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]], title: str = "") -> Figure:
    """Runs of :func:`watched_run`, name to log and scores: above the terms of Eq. 6, below scores of sets.

    The first run is a line; the others, which may be very short, have marks. Each run has its colour, each
    set its mark and its dash.
    """
    figure, axes = plt.subplots(2, 2, figsize=(11, 6), sharex=True)
    terms = {"va": "alpha (1 - CCC), training batches", "expression": "beta cross entropy, training batches"}
    for axis, (term, words) in zip(axes[0], terms.items(), strict=True):
        for place, (name, (log, _)) in enumerate(runs.items()):
            mark = "o" if place else ""
            axis.plot(log["step"], log[term], marker=mark, markersize=4, label=name, **line_styles()[place])
        axis.set_title(words, fontsize=11)
        axis.legend(fontsize=9)
    shown = {"ccc_valence": "CCC of valence", "expression_accuracy": "accuracy of expressions"}
    for axis, (metric, words) in zip(axes[1], shown.items(), strict=True):
        for (name, (_, scores)), style in zip(runs.items(), line_styles(), strict=False):
            for subset, own in scores.groupby("set", sort=False):
                style |= {"marker": MARKS.get(subset, "D"), "linestyle": DASHES.get(subset, ":")}
                axis.plot(own["step"], own[metric], label=f"{name}, {subset}", **style)
        axis.set_title(words, fontsize=11)
        axis.set_xlabel("step")
        axis.margins(y=0.12)
        axis.legend(fontsize=9)
    figure.suptitle(title)
    return figure


def clip_answers(said: pd.DataFrame, labels: Labels, fps: float = 30.0, title: str = "") -> Figure:
    """What a network says about a clip, beside its labels: valence, arousal, and a band of expressions.

    ``said`` has a row a frame, NaN where there is no face, with the columns of ``predict_store``.
    """
    seconds = np.arange(len(labels)) / fps
    figure, axes = plt.subplots(3, 1, figsize=(11, 6.6), sharex=True, height_ratios=[2, 2, 2.6])
    for axis, name in zip(axes, VA, strict=False):
        truth = np.where(labels.has_va, getattr(labels, name), np.nan)
        axis.plot(seconds, truth, color="0.25", label="label")
        axis.plot(seconds, said[name], color=PALETTE[1], linestyle="--", label="the network")
        axis.axhline(0, color="0.6", linewidth=0.8)
        axis.set(ylabel=name, ylim=(-1.05, 1.05))
    axes[0].legend(loc="upper right", ncols=2, fontsize=9)
    axes[0].set_title(title)
    edges = np.arange(len(labels) + 1) / fps, np.arange(len(EXPRESSIONS) + 1) - 0.5
    shade = axes[2].pcolormesh(*edges, said[list(EXPRESSIONS)].to_numpy().T, cmap="Blues", vmin=0, vmax=1)
    classes = np.where(labels.has_expression, labels.expression, -1)
    for start, stop in constant_runs(classes).tolist():
        if classes[start] >= 0:
            box = (start / fps, classes[start] - 0.42), (stop - start) / fps, 0.84
            axes[2].add_patch(plt.Rectangle(*box, fill=False, edgecolor=PALETTE[1], linewidth=2))
    axes[2].set(yticks=range(len(EXPRESSIONS)), yticklabels=EXPRESSIONS, xlabel="seconds")
    axes[2].invert_yaxis()
    axes[2].grid(False)
    bar = figure.colorbar(shade, ax=axes[2], location="bottom", fraction=0.07, pad=0.02, shrink=0.5)
    bar.set_label("probability; in the boxes is the label", fontsize=10)
    return figure


def attention_picture(weights: np.ndarray, labels: Labels, fps: float = 30.0, title: str = "") -> Figure:
    """Where attention looks over a clip: time to the right, how many frames back upwards, dark is much.

    ``weights`` are those of :func:`clip_attention`; valence and arousal of ``labels`` are drawn above.
    """
    frames, length = weights.shape
    seconds = np.arange(frames) / fps
    figure, (traces, heat) = plt.subplots(2, 1, figsize=(11, 5.4), sharex=True, height_ratios=[1.4, 2.4])
    for name, style in zip(VA, line_styles(), strict=False):
        values = np.where(labels.has_va, getattr(labels, name), np.nan)
        traces.plot(seconds, values[:frames], label=name, **style)
    traces.axhline(0, color="0.6", linewidth=0.8)
    traces.set(ylim=(-1.05, 1.05), ylabel="labels", title=title)
    traces.legend(loc="upper right", ncols=2, fontsize=9)
    fraction = weights * (weights > 0).sum(axis=1, keepdims=True)  # (T, L), 1 where even
    edges = np.arange(frames + 1) / fps, np.arange(length + 1) - 0.5
    most = max(2.0, np.nanquantile(fraction, 0.99))
    shade = heat.pcolormesh(*edges, fraction[:, ::-1].T, cmap="Blues", vmin=0, vmax=most)
    heat.set(xlabel="seconds", ylabel="frames back")
    heat.grid(False)
    bar = figure.colorbar(shade, ax=heat, location="bottom", fraction=0.07, pad=0.02, shrink=0.5)
    bar.set_label("attention weight, 1 if all frames that can be seen had the same", fontsize=10)
    return figure


def gap_curves(gaps: pd.DataFrame, title: str = "") -> Figure:
    """The table of :func:`log_gaps`, a line a column, on a logarithmic axis, where 0 has no place."""
    figure, axis = plt.subplots(figsize=(8, 3.6))
    for (name, values), style in zip(gaps.items(), line_styles(), strict=False):
        values = values[values > 0]
        axis.plot(values.index, values, label=str(name), linewidth=1.6, **style)
    axis.set_yscale("log")
    axis.set(xlabel="step", ylabel="difference of the losses", title=title)
    axis.legend(fontsize=9)
    return figure

"""What notebook 09 shows of layers, masks, losses, attention, gradients and runs, against plain loops."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from people import make_corpus
from scipy.stats import entropy
from sklearn.metrics import accuracy_score
from small_experiment import memory_store, partition_of, write_files
from solutions import solution_functions
from stores import noise_store
from torch import nn

from affkit.checkpoints import load_checkpoint, save_checkpoint
from affkit.corpus.partition import Partition
from affkit.errors import UserError
from affkit.evaluation.predict import predict_store
from affkit.labels import EXPRESSIONS
from affkit.loop import RowStream
from affkit.losses import multitask_loss
from affkit.multitask import AffWildNet, AffWildNetConfig, AffWildOutput, Attention, VGGFace
from affkit.store import SequenceDataset, Store, select_rows, to_unit_range, write_store
from affkit.train_multitask import MtlConfig, train_mtl
from affkit_course.lessons import nb09 as lesson
from affkit_course.lessons.nb09 import task_gradients
from affkit_lab.backbones.train_faces import cnn_config, train_faces
from affkit_lab.experiments import table_x
from affkit_lab.experiments.table_x import MtlPlan

pytestmark = pytest.mark.slow  # trains small networks

CONFIG = MtlConfig(width=0.03, hidden=4, attention_length=3, batch_size=4, sequence_length=5, frozen=True)


def numpy_ccc(x, y):
    return 2 * np.cov(x, y, bias=True)[0, 1] / (np.var(x) + np.var(y) + (np.mean(x) - np.mean(y)) ** 2)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Seven people; of some frames the face, of others one or both kinds of labels are not known."""
    whole = memory_store(frames=12)
    whole.index.loc[whole.index["frame"] % 4 == 0, ["valence", "arousal"]] = np.nan
    whole.index.loc[whole.index["frame"] % 3 == 0, "expression"] = None
    some = select_rows(whole, np.flatnonzero(~whole.index["frame"].isin([6, 7])))
    return write_store(tmp_path_factory.mktemp("lesson") / "store", some)


@pytest.fixture(scope="module")
def cnn(store, tmp_path_factory):
    config = cnn_config(width=0.03, image_size=32)
    return train_faces(store, tmp_path_factory.mktemp("cnn"), config, 2, device="cpu", progress=False)


# Layers


def convolution(before, after):
    return 9 * before * after + after


@pytest.mark.parametrize("width", [1.0, 0.125])
def test_layers_are_those_of_the_paper(width):
    table = lesson.layer_table(AffWildNetConfig(width), frames=7).set_index("layer")
    names = [name.split()[0] for name in table.index]
    assert names.count("convolution") == 13 and names.count("pool") == 5 and names.count("GRU") == 2
    channels = [round(width * c) for c in (64, 128, 256, 512, 512)]
    assert table.at["convolution 1-1", "weights"] == convolution(3, channels[0])
    assert table.at["convolution 4-1", "weights"] == convolution(channels[2], channels[3])
    for block, count in enumerate(channels, start=1):
        side = 96 // 2**block
        assert table.at[f"pool {block}", "output"] == f"7 x {side} x {side} x {count}"
        assert table.at[f"convolution {block}-2", "output"] == f"7 x {2 * side} x {2 * side} x {count}"
    features = round(width * 4096)
    assert table.loc["fully connected"].tolist() == [f"7 x {features}", (9 * channels[-1] + 1) * features]
    assert table.at["GRU 1", "weights"] == 3 * 128 * (features + 128 + 2)
    assert table.loc["GRU 2"].tolist() == ["7 x 128", 3 * 128 * (128 + 128 + 2)]
    assert table.loc["attention weights"].tolist() == ["7 x 32", 2 * 128**2 + 2 * 128]
    assert table.loc["attention mixture"].tolist() == ["7 x 128", 256 * 128 + 128]
    assert table.iloc[-1].tolist() == ["7 x 9", 129 * 9]


@pytest.mark.parametrize(
    "changes", [{}, {"recurrent": False}, {"attention": "dot_product"}, {"image_size": 224, "width": 1.0}]
)
def test_no_weight_of_a_network_is_left_out(changes):
    config = AffWildNetConfig(**changes)
    with torch.device("meta"):
        net = AffWildNet(config)
    table = lesson.layer_table(config, frames=2)
    assert table["weights"].sum() == sum(weight.numel() for weight in net.parameters())
    assert ("GRU 1" in set(table["layer"])) == config.recurrent


# Clips and sequences


def test_few_clips_are_the_richest_short_ones():
    corpus = make_corpus([[f"s{i}"] for i in range(20)], seed=3)
    names = corpus.videos
    sets = {"train": names[:12], "test": names[12:]}
    ranges = {name: np.array([[1, 4]]) for name in names}
    subjects = {name: corpus.subjects[name] for name in names}
    partition = Partition({k: {n: ranges[n] for n in own} for k, own in sets.items()}, subjects, "expr", 5)
    few = lesson.few_clips(corpus, partition, {"train": 4, "test": 2}, longest=45)
    assert (few.task, few.seed) == ("expr", 5)
    for subset, number in (("train", 4), ("test", 2)):
        kinds = {}
        for name in sets[subset]:
            labels = corpus.labels[name]
            if len(labels) <= 45:
                pairs = zip(labels.expression, labels.has_expression, strict=True)
                kinds[name] = len({expression for expression, has in pairs if has})
        kept = list(few.sets[subset])
        assert len(kept) == number and set(kept) <= set(kinds)
        left = [kinds[name] for name in kinds if name not in kept]
        assert min(kinds[name] for name in kept) >= max(left)
        assert [kinds[name] for name in kept] == sorted((kinds[n] for n in kept), reverse=True)
        assert all(few.sets[subset][name] is ranges[name] for name in kept)
    assert set(few.subjects) == {name for own in few.sets.values() for name in own}
    with pytest.raises(UserError, match="has 0 test clips of at most 3 frames, not 2"):
        lesson.few_clips(corpus, partition, {"test": 2}, longest=3)


def test_states_are_what_the_index_says(store):
    sequences = SequenceDataset(store, length=5)
    states = lesson.window_states(sequences, range(len(sequences)))
    assert states.shape == (len(sequences), 5)
    for row, state in zip(sequences.rows.ravel(), states.ravel(), strict=True):
        if row < 0:
            name = "no face"
        else:
            va, expression = store.index.loc[row, ["valence", "expression"]].notna()
            name = {
                (False, False): "a face, no label",
                (False, True): "expression",
                (True, False): "valence and arousal",
                (True, True): "all labels",
            }[va, expression]
        assert lesson.STATES[state] == name
    assert set(states.ravel()) == set(range(5))


def test_half_truths_are_those_of_numpy(store):
    sequences = SequenceDataset(store, length=5)
    labels, _ = sequences.targets(np.arange(8))
    table = lesson.batch_against_sequences(labels)
    own = [v[m].double().numpy() for v, m in zip(labels["valence"], labels["has_va"], strict=True)]
    own = [values for values in own if len(values)]
    said = {
        "the mean of its sequence": [np.full(len(values), values.mean()) for values in own],
        "all but that mean": [values - values.mean() for values in own],
    }
    for name, answers in said.items():
        whole = numpy_ccc(np.concatenate(answers), np.concatenate(own))
        assert table.at[name, "CCC of the batch"] == pytest.approx(whole, abs=1e-5)
        single = [numpy_ccc(a, v) if np.ptp(a) > 1e-9 else 0 for a, v in zip(answers, own, strict=True)]
        assert table.at[name, "mean CCC"] == pytest.approx(np.mean(single), abs=1e-5)


def test_nothing_pulls_at_what_is_not_labelled(store):
    sequences = SequenceDataset(store, length=5)
    items = np.arange(6)
    labels, _ = sequences.targets(items)
    states = lesson.window_states(sequences, items)
    random = torch.Generator().manual_seed(0)
    output = AffWildOutput(*(torch.randn(6, 5, n, generator=random) for n in (2, 7)))
    losses = {"alpha": 0.25, "beta": 1.0, "va_kind": "mse", "expression_kind": "mse_before_softmax"}
    table = lesson.gradients_by_state(output, labels, states, **losses)
    assert table["frames"].tolist() == [(states == number).sum() for number in range(5)]
    pulls = table[["valence, arousal", "expression"]] > 0
    assert pulls.to_numpy().tolist() == [[False] * 2, [False] * 2, [False, True], [True, False], [True] * 2]
    # the squared errors by hand: their gradient is twice the difference, divided by how many values there are
    target = torch.stack([labels["valence"], labels["arousal"]], dim=-1)
    va = 0.25 * 2 * (output.va - target).abs() / (2 * labels["has_va"].sum())
    one_hot = nn.functional.one_hot(labels["expression"], 7)
    expression = 2 * (output.expression - one_hot).abs() / (7 * labels["has_expression"].sum())
    everything = states == lesson.STATES.index("all labels")
    assert table.at["all labels", "valence, arousal"] == pytest.approx(va[everything].max().item(), rel=1e-5)
    assert table.at["all labels", "expression"] == pytest.approx(
        expression[everything].max().item(), rel=1e-5
    )
    assert not any(part.requires_grad for part in output)


# What a step costs


def test_the_way_back_keeps_what_the_layers_put_out():
    config = AffWildNetConfig(width=0.05, image_size=64)
    table = lesson.layer_table(config, frames=3).set_index("layer")["output"]
    sizes = {name: int(np.prod([int(n) for n in output.split(" x ")])) for name, output in table.items()}
    outputs = sum(size for name, size in sizes.items() if name.startswith(("convolution", "pool", "fully")))
    places = sum(size for name, size in sizes.items() if name.startswith("pool"))  # which pixel was largest
    scaled = 3 * 3 * 64 * 64  # what the first convolution reads
    kept = lesson.kept_for_backward(VGGFace(config), torch.rand(3, 3, 64, 64))
    assert kept == 4 * (outputs + scaled) + 8 * places
    memory = lesson.backward_memory(config, frames=30, at_a_time=10)
    assert memory["all at once"] == pytest.approx(10 * kept / 1e9)
    assert memory["10 at a time"] == pytest.approx((10 * kept / 3 + 4 * 30 * round(4096 * 0.05)) / 1e9)


def test_step_times_leave_the_features_where_they_were_asked_for(store, cnn, tmp_path):
    times = lesson.step_times(store, np.arange(40), CONFIG, cnn, tmp_path, steps=1)
    assert list(times.index) == ["features read", "CNN in every step"] and (times > 0).all()
    assert len(list(tmp_path.glob("features_*.npy"))) == 1


# Runs


def test_a_watched_run_is_the_plain_one_with_scores(store, cnn, tmp_path):
    sets = partition_of().rows(store.index)
    how = {"weights": cnn, "cache": tmp_path, "device": "cpu"}
    log, scores = lesson.watched_run(store, tmp_path / "run", CONFIG, 5, sets, every=2, **how)
    assert scores["step"].tolist() == [2, 2, 4, 4, 5, 5]
    assert scores["set"].tolist() == ["train", "validation"] * 3
    assert scores["seconds"].is_monotonic_increasing and scores["seconds"].iloc[0] > 0
    plain = train_mtl(
        store, tmp_path / "plain", CONFIG, steps=5, rows=sets["train"], progress=False, save_every=2, **how
    )
    pd.testing.assert_frame_equal(log, plain.log)
    rows = sets["validation"]
    said = predict_store(plain.checkpoint, select_rows(store, rows), "cpu", False, 5)  # from the pictures
    truth = store.index.iloc[rows].reset_index(drop=True)
    known = truth["valence"].notna()
    last = scores.iloc[-1]
    assert last["ccc_valence"] == pytest.approx(
        numpy_ccc(truth["valence"][known], said["valence"][known]), abs=1e-5
    )
    known = truth["expression"].notna()
    right = accuracy_score(truth["expression"][known], said[list(EXPRESSIONS)].idxmax(axis=1)[known])
    assert last["expression_accuracy"] == pytest.approx(right)


def test_only_what_is_asked_for_is_tested_also_end_to_end(store, cnn, tmp_path):
    config, sets = replace(CONFIG, frozen=False, frames_at_a_time=7), partition_of().rows(store.index)
    how = {"weights": cnn, "device": "cpu", "tested": ["test"]}
    log, scores = lesson.watched_run(store, tmp_path / "run", config, 2, sets, every=2, **how)
    assert len(log) == 2 and scores["set"].tolist() == ["test"]


def test_scores_by_subject_are_those_of_their_own_frames(store, cnn, tmp_path):
    run = train_mtl(
        store, tmp_path / "run", replace(CONFIG, frozen=False), steps=1, device="cpu", progress=False
    )
    said = predict_store(run.checkpoint, store, "cpu", False, 5)
    table = lesson.scores_by_subject(said, store)
    assert list(table.index) == [*sorted(store.index["subject"].unique()), "all"]
    for who in table.index:
        own = store.index["arousal"].notna() & ((store.index["subject"] == who) | (who == "all"))
        wanted = numpy_ccc(store.index["arousal"][own], said["arousal"][own])
        assert table.at[who, "ccc_arousal"] == pytest.approx(wanted, abs=1e-5)


def test_gaps_are_differences_of_the_losses_without_their_weights(store, cnn, tmp_path):
    how = {"weights": cnn, "cache": tmp_path, "device": "cpu", "progress": False}
    weights = {"half": (0.5, 0.5), "one": (1.0, 1.0), "other": (1.0, 0.25)}
    logs = {}
    for name, (alpha, beta) in weights.items():
        config = replace(CONFIG, alpha=alpha, beta=beta)
        logs[name] = train_mtl(store, tmp_path / name, config, steps=6, **how).log
    pairs = {"same": (tmp_path / "half", tmp_path / "one"), "not": (tmp_path / "half", tmp_path / "other")}
    gaps = lesson.log_gaps(pairs)
    np.testing.assert_array_equal(gaps.index, np.arange(1, 7))
    wanted = (2 * logs["half"]["va"] - logs["one"]["va"]).abs()
    np.testing.assert_allclose(gaps["same"], wanted, atol=1e-7)
    # Adam: the same steps for a loss times 2, and others when the two losses are weighed in another way
    assert gaps["same"].max() < 1e-4 < gaps["not"].iloc[-1]
    assert gaps["not"].iloc[0] < 1e-6  # before the first step all three are one network


ANSWERS = solution_functions("09", replace=replace, table_x=table_x)
GONE = [3, 9, 10]  # frames without a face


@pytest.fixture(scope="module")
def clip():
    """One person in 17 frames, of which some have no face."""
    store = memory_store(frames=17)
    own = (store.index["subject"] == "fay") & ~store.index["frame"].isin(GONE)
    return select_rows(store, np.flatnonzero(own))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    net = AffWildNet(AffWildNetConfig(width=0.02, image_size=32, hidden=5, attention_length=4))
    with torch.no_grad():
        net.attention.score.weight *= 20  # far from even
    return save_checkpoint(tmp_path_factory.mktemp("net") / "net.safetensors", net)


def test_values_come_to_their_frames_and_gaps_are_nan(clip):
    values = np.arange(2.0 * len(clip)).reshape(-1, 2)
    found = lesson.over_frames(clip, values)
    assert found.shape == (17, 2)
    assert [frame + 1 for frame in np.flatnonzero(np.isnan(found).all(axis=1))] == GONE
    np.testing.assert_array_equal(found[clip.index["frame"] - 1], values)


def test_attention_of_a_clip_is_that_of_its_sequences_one_by_one(clip, checkpoint):
    weights = lesson.clip_attention(checkpoint, clip, length=6)
    assert weights.shape == (17, 4)
    net, _ = load_checkpoint(checkpoint)
    row_of = dict(zip(clip.index["frame"], range(len(clip)), strict=True))
    for start in (1, 7, 13):
        frames = range(start, min(start + 6, 18))
        mask = torch.tensor([[frame in row_of for frame in frames]])
        faces = torch.zeros(1, len(frames), 3, 32, 32)
        for place, frame in enumerate(frames):
            if frame in row_of:
                faces[0, place] = to_unit_range(clip[row_of[frame]])
        with torch.no_grad():
            wanted = net.attention_weights(net.features(faces, mask), mask)[0].numpy()
        for place, frame in enumerate(frames):
            if frame in GONE:
                assert np.isnan(weights[frame - 1]).all()
            else:
                np.testing.assert_allclose(weights[frame - 1], wanted[place], atol=1e-6)
                assert (weights[frame - 1][: max(0, 3 - place)] == 0).all()  # before the sequence
    seen = weights[~np.isnan(weights).any(axis=1)]
    np.testing.assert_allclose(seen.sum(axis=1), 1, atol=1e-6)


def test_reach_is_the_mean_lag_and_the_spread_of_scipy(clip, checkpoint):
    weights = lesson.clip_attention(checkpoint, clip, length=6)
    table = lesson.attention_reach(weights)
    lags, spreads, even_lags, even = [], [], [], []
    for own in weights[~np.isnan(weights).any(axis=1)].astype(float):
        lags.append(sum(weight * (3 - place) for place, weight in enumerate(own)))
        spreads.append(np.exp(entropy(own)))
        seen = [3 - place for place, weight in enumerate(own) if weight > 0]
        even_lags.append(np.mean(seen))
        even.append(len(seen))
    assert table.loc["these"].tolist() == pytest.approx([np.mean(lags), np.mean(spreads)], rel=1e-5)
    assert table.loc["even"].tolist() == pytest.approx([np.mean(even_lags), np.mean(even)])
    assert table.at["these", "spread, frames"] < table.at["even", "spread, frames"]


# The exercises


@pytest.mark.parametrize("n", [1, 4, 6])
def test_the_attention_by_hand_is_that_of_the_live_module(n):
    """The examples of the exercise and its solution, in double precision."""
    torch.manual_seed(n)
    layer = Attention(3, n).double().requires_grad_(False)
    for weight in layer.parameters():
        weight *= 3  # as drawn they give nearly even attention, and then no mistake shows
    h = torch.rand(1, n, 3, dtype=torch.float64) * 2 - 1  # (1, n, H)
    seen = torch.ones(1, n, dtype=torch.bool)
    _, wanted = layer(h[:, -1:], seen[:, -1:], h[:, :-1], seen[:, :-1])
    own = [p.numpy() for p in (layer.key.weight, layer.query.weight, layer.query.bias, layer.score.weight[0])]
    assert ANSWERS["attention"](h[0].numpy(), *own) == pytest.approx(wanted[0, 0].numpy(), abs=1e-12)


@pytest.mark.parametrize("gradient", [0.3, -2.0, 1e-6])
def test_the_first_step_is_that_of_torch(gradient):
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=0.01)
    weight.grad = torch.full_like(weight, gradient)
    optimizer.step()
    assert ANSWERS["first_step"](gradient, lr=0.01) == pytest.approx(weight.item(), rel=1e-9)


def test_the_windows_are_those_of_the_dataset(clip):
    masks = SequenceDataset(clip, length=4).rows >= 0
    assert ANSWERS["windows"](clip.index["frame"].tolist(), 4) == masks.tolist()


def test_the_network_without_memory_is_trained_beside_the_other(tmp_path):
    files = write_files(tmp_path)
    config = cnn_config(width=0.03, image_size=32)
    cnn = train_faces(Store.open(files["data"]), tmp_path / "cnn", config, 1, device="cpu", progress=False)
    tiny = MtlConfig(width=0.03, hidden=4, attention_length=3, batch_size=4, sequence_length=5, frozen=True)
    plan = MtlPlan(**files, out=tmp_path / "x", seeds=(0, 1), steps=2, config=tiny, weights=cnn, device="cpu")
    results = ANSWERS["without_memory"](plan, tmp_path / "without")
    assert (
        results.test["row"].tolist() == ["0.5_0.5"] * 2 and results.settings["config"]["recurrent"] is False
    )
    net, _ = load_checkpoint(tmp_path / "without/runs/0.5_0.5/seed_1/affwildnet.safetensors")
    assert net.gru is None


HOW = {"sequence_length": 5, "batch_size": 3, "va_loss": "mse", "expression_loss": "cross_entropy"}


@pytest.fixture
def trained(tmp_path):
    store = noise_store(tmp_path / "store")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = AffWildNet(AffWildNetConfig(width=0.02, image_size=32, hidden=6, attention_length=3))
    features = np.random.default_rng(0).normal(size=(len(store), 82)).astype(np.float32)
    return save_checkpoint(tmp_path / "net.safetensors", net, {"config": HOW}), store, features


def test_a_small_step_for_one_task_changes_the_other_as_the_angle_says(trained):
    checkpoint, store, features = trained
    rows = np.arange(30)
    found = task_gradients(checkpoint, store, rows, features, batches=2)
    sequences = SequenceDataset(store, rows, length=5)
    items = RowStream(len(sequences), 3, 0).batch(1)
    net, _ = load_checkpoint(checkpoint)
    net.double()

    def losses():
        known, mask = sequences.of_rows(features.astype(np.float64), items)
        labels = {
            name: part.double() if part.is_floating_point() else part
            for name, part in sequences.targets(items)[0].items()
        }
        return multitask_loss(net.predict(known, mask)[0], labels, 1.0, 1.0, "mse", "cross_entropy")

    weights = [w for name, w in net.named_parameters() if name.startswith(("gru", "attention"))]
    step = torch.autograd.grad(losses()["va"], weights)
    length = torch.sqrt(sum((part**2).sum() for part in step))
    small, before = 1e-6, losses()["expression"].item()
    with torch.no_grad():
        for weight, part in zip(weights, step, strict=True):
            weight -= small * part / length
    change = (losses()["expression"].item() - before) / small
    row = found.iloc[1]
    assert row["va"] == pytest.approx(float(length), rel=1e-4)
    assert change == pytest.approx(-row["expression"] * row["cosine"], rel=1e-3, abs=1e-6)


def test_other_batches_other_angles_and_the_same_seed_the_same(trained):
    checkpoint, store, features = trained
    first, again = (task_gradients(checkpoint, store, range(40), features, batches=3) for _ in range(2))
    assert first.equals(again) and first["cosine"].between(-1, 1).all() and first["cosine"].nunique() == 3
    assert (first[["va", "expression"]] > 0).all(axis=None)

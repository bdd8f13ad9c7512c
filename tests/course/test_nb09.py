"""What notebook 09 shows of layers, masks, losses, attention, gradients and runs, against plain loops."""

import io
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch
from guesses import plain_ccc
from people import make_corpus
from scipy.stats import entropy
from sklearn.metrics import accuracy_score
from small_corpus import labels_of
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
from affkit.store import SequenceDataset, select_rows, to_unit_range, write_store
from affkit.train_multitask import MtlConfig, train_mtl
from affkit_course.lessons import nb09 as lesson
from affkit_course.lessons.nb09 import STATES, task_gradients
from affkit_lab.backbones.train_faces import cnn_config, train_faces
from affkit_lab.experiments import table_x
from affkit_lab.experiments.table_x import MtlPlan
from affkit_lab.figures import style as plots

pytestmark = pytest.mark.slow  # trains small networks

CONFIG = MtlConfig(width=0.03, hidden=4, attention_length=3, batch_size=4, sequence_length=5, frozen=True)


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


@pytest.mark.parametrize("width", [1.0, 0.125])
def test_layers_are_those_of_the_paper(width):
    channels, features = [round(width * c) for c in (64, 128, 256, 512, 512)], round(width * 4096)
    wanted, before, side = {}, 3, 96
    for block, (count, layers) in enumerate(zip(channels, (2, 2, 3, 3, 3), strict=True), 1):
        for number in range(1, layers + 1):
            output = f"7 x {side} x {side} x {count}"
            wanted[f"convolution {block}-{number}"] = [output, (9 * before + 1) * count]
            before = count
        side //= 2
        wanted[f"pool {block}"] = [f"7 x {side} x {side} x {count}", 0]
    wanted |= {
        "fully connected": [f"7 x {features}", (9 * channels[-1] + 1) * features],
        "GRU 1": ["7 x 128", 3 * 128 * (features + 128 + 2)],
        "GRU 2": ["7 x 128", 3 * 128 * (128 + 128 + 2)],
        "attention weights": ["7 x 32", 2 * 128**2 + 2 * 128],
        "attention mixture": ["7 x 128", 256 * 128 + 128],
    }
    table = lesson.layer_table(AffWildNetConfig(width), frames=7).set_index("layer")
    assert table.iloc[:-1].T.to_dict("list") == wanted
    assert table.iloc[-1].tolist() == ["7 x 9", 129 * 9]


@pytest.mark.parametrize(
    "changes", [{"recurrent": False}, {"attention": "dot_product"}, {"image_size": 224, "width": 1.0}]
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
    names = {"train": corpus.videos[:12], "test": corpus.videos[12:]}
    sets = {subset: {name: np.array([[1, 4]]) for name in own} for subset, own in names.items()}
    partition = Partition(sets, {name: corpus.subjects[name] for name in corpus.videos}, "expr", 5)
    few = lesson.few_clips(corpus, partition, {"train": 4, "test": 2}, longest=45)
    assert (few.task, few.seed) == ("expr", 5)
    for subset, number in (("train", 4), ("test", 2)):
        short = {name: corpus.labels[name] for name in sets[subset] if len(corpus.labels[name]) <= 45}
        kinds = {name: len(set(own.expression[own.has_expression])) for name, own in short.items()}
        kept = few.sets[subset]
        assert [kinds[name] for name in kept] == sorted(kinds.values(), reverse=True)[:number]
        assert all(kept[name] is sets[subset][name] for name in kept)
    assert set(few.subjects) == {name for own in few.sets.values() for name in own}
    with pytest.raises(UserError, match="has 0 test clips of at most 3 frames, not 2"):
        lesson.few_clips(corpus, partition, {"test": 2}, longest=3)


def test_states_are_what_the_index_says(store):
    sequences = SequenceDataset(store, length=5)
    states = lesson.window_states(sequences, range(len(sequences)))
    va, expression = (store.index[name].notna() for name in ("valence", "expression"))
    words = ["all labels", "valence and arousal", "expression"]
    names = np.select([va & expression, va, expression], words, "a face, no label")
    wanted = np.where(sequences.rows < 0, "no face", names[sequences.rows])
    np.testing.assert_array_equal(np.array(lesson.STATES)[states], wanted)
    assert set(states.ravel()) == set(range(5))


def test_half_truths_are_those_of_numpy(store):
    labels, _ = SequenceDataset(store, length=5).targets(np.arange(8))
    table = lesson.batch_against_sequences(labels)
    own = [v[m].double().numpy() for v, m in zip(labels["valence"], labels["has_va"], strict=True)]
    own = [values for values in own if len(values)]
    said = {
        "the mean of its sequence": [np.full(len(values), values.mean()) for values in own],
        "all but that mean": [values - values.mean() for values in own],
    }
    for name, answers in said.items():
        single = [plain_ccc(a, v) if np.ptp(a) > 1e-9 else 0 for a, v in zip(answers, own, strict=True)]
        wanted = [plain_ccc(np.concatenate(answers), np.concatenate(own)), np.mean(single)]
        found = table.loc[name, ["CCC of the batch", "mean CCC"]].tolist()
        assert found == pytest.approx(wanted, abs=1e-5)


def test_nothing_pulls_at_what_is_not_labelled(store):
    sequences, items = SequenceDataset(store, length=5), np.arange(6)
    labels, _ = sequences.targets(items)
    states = lesson.window_states(sequences, items)
    random = torch.Generator().manual_seed(0)
    output = AffWildOutput(*(torch.randn(6, 5, n, generator=random) for n in (2, 7)))
    losses = {"alpha": 0.25, "beta": 1.0, "va_kind": "mse", "expression_kind": "mse_before_softmax"}
    table = lesson.gradients_by_state(output, labels, states, **losses)
    assert table["frames"].tolist() == [(states == number).sum() for number in range(5)]
    pulls = table[["valence, arousal", "expression"]]
    assert (pulls > 0).values.tolist() == [[False] * 2, [False] * 2, [False, True], [True, False], [True] * 2]
    # the squared errors by hand: their gradient is twice the difference, divided by how many values there are
    target = torch.stack([labels["valence"], labels["arousal"]], dim=-1)
    va = 0.25 * 2 * (output.va - target).abs() / (2 * labels["has_va"].sum())
    one_hot = nn.functional.one_hot(labels["expression"], 7)
    expression = 2 * (output.expression - one_hot).abs() / (7 * labels["has_expression"].sum())
    everything = states == lesson.STATES.index("all labels")
    wanted = [part[everything].max().item() for part in (va, expression)]
    assert pulls.loc["all labels"].tolist() == pytest.approx(wanted, rel=1e-5)
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
    how |= {"rows": sets["train"], "progress": False, "save_every": 2}
    plain = train_mtl(store, tmp_path / "plain", CONFIG, steps=5, **how)
    pd.testing.assert_frame_equal(log, plain.log)
    rows = sets["validation"]
    said = predict_store(plain.checkpoint, select_rows(store, rows), "cpu", False, 5)  # from the pictures
    truth = store.index.iloc[rows].reset_index(drop=True)
    va, named = truth["valence"].notna(), truth["expression"].notna()
    best = said[list(EXPRESSIONS)].idxmax(axis=1)
    wanted = plain_ccc(truth["valence"][va], said["valence"][va])
    wanted = [wanted, accuracy_score(truth["expression"][named], best[named])]
    assert scores.iloc[-1][["ccc_valence", "expression_accuracy"]].tolist() == pytest.approx(wanted, abs=1e-5)
    whole = replace(CONFIG, frozen=False, frames_at_a_time=7)  # from end to end, and only one set is tested
    how = {"weights": cnn, "device": "cpu", "tested": ["test"]}
    log, scores = lesson.watched_run(store, tmp_path / "whole", whole, 2, sets, every=2, **how)
    assert len(log) == 2 and scores["set"].tolist() == ["test"]


def test_scores_by_subject_are_those_of_their_own_frames(store, tmp_path):
    config = replace(CONFIG, frozen=False)
    run = train_mtl(store, tmp_path / "run", config, steps=1, device="cpu", progress=False)
    said = predict_store(run.checkpoint, store, "cpu", False, 5)
    table = lesson.scores_by_subject(said, store)
    assert list(table.index) == [*sorted(store.index["subject"].unique()), "all"]
    for who in table.index:
        own = store.index["arousal"].notna() & ((store.index["subject"] == who) | (who == "all"))
        wanted = plain_ccc(store.index["arousal"][own], said["arousal"][own])
        assert table.at[who, "ccc_arousal"] == pytest.approx(wanted, abs=1e-5)


def test_gaps_are_differences_of_the_losses_without_their_weights(store, cnn, tmp_path):
    how = {"weights": cnn, "cache": tmp_path, "device": "cpu", "progress": False}
    weights = {"half": (0.5, 0.5), "one": (1.0, 1.0), "other": (1.0, 0.25)}
    configs = {name: replace(CONFIG, alpha=alpha, beta=beta) for name, (alpha, beta) in weights.items()}
    logs = {
        name: train_mtl(store, tmp_path / name, one, steps=6, **how).log["va"]
        for name, one in configs.items()
    }
    gaps = lesson.log_gaps({name: (tmp_path / "half", tmp_path / name) for name in ("one", "other")})
    np.testing.assert_array_equal(gaps.index, np.arange(1, 7))
    np.testing.assert_allclose(gaps["one"], (2 * logs["half"] - logs["one"]).abs(), atol=1e-7)
    # Adam: the same steps for a loss times 2, and others when the two losses are weighed in another way
    assert gaps["one"].max() < 1e-4 < gaps["other"].iloc[-1]
    assert gaps["other"].iloc[0] < 1e-6  # before the first step all three are one network


ANSWERS = solution_functions("09", replace=replace, table_x=table_x)
GONE = [3, 9, 10]  # frames without a face


@pytest.fixture(scope="module")
def clip():
    """One person in 17 frames, of which some have no face."""
    store = memory_store(frames=17)
    own = (store.index["subject"] == "fay") & ~store.index["frame"].isin(GONE)
    return select_rows(store, np.flatnonzero(own))


def test_attention_of_a_clip_is_that_of_its_sequences_one_by_one(clip, tmp_path):
    torch.manual_seed(0)
    net = AffWildNet(AffWildNetConfig(width=0.02, image_size=32, hidden=5, attention_length=4)).eval()
    with torch.no_grad():
        net.attention.score.weight *= 20  # far from even
    checkpoint = save_checkpoint(tmp_path / "net.safetensors", net)
    weights = lesson.clip_attention(checkpoint, clip, length=6)
    assert weights.shape == (17, 4)
    assert [frame + 1 for frame in np.flatnonzero(np.isnan(weights).all(axis=1))] == GONE
    images = torch.zeros(18, 3, 32, 32)
    images[clip.index["frame"].to_numpy() - 1] = to_unit_range(clip.images[:])
    for start in (0, 6, 12):
        frames = np.arange(start, min(start + 6, 17))
        mask = torch.tensor([[frame + 1 not in GONE for frame in frames]])
        with torch.no_grad():
            wanted = net.attention_weights(net.features(images[None, frames], mask), mask)[0].numpy()
        seen = mask[0].numpy()
        np.testing.assert_allclose(weights[frames[seen]], wanted[seen], atol=1e-6)
        for place, frame in enumerate(frames[:3]):  # nothing is seen before the sequence
            assert not np.nan_to_num(weights[frame, : 3 - place]).any()
    # how far back it looks: the mean lag, and the spread of SciPy's entropy
    table, lags = lesson.attention_reach(weights), np.arange(3, -1, -1)
    own = weights[~np.isnan(weights).any(axis=1)].astype(float)
    np.testing.assert_allclose(own.sum(axis=1), 1, atol=1e-6)
    seen = own > 0
    spread = np.exp(entropy(own, axis=1)).mean()
    assert table.loc["these"].tolist() == pytest.approx([(own @ lags).mean(), spread], rel=1e-5)
    number = seen.sum(axis=1)
    assert table.loc["even"].tolist() == pytest.approx([(seen @ lags / number).mean(), number.mean()])
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


def test_the_network_without_memory_is_trained_beside_the_other(cnn, tmp_path):
    how = {"seeds": (0, 1), "steps": 2, "config": CONFIG, "weights": cnn, "device": "cpu"}
    plan = MtlPlan(**write_files(tmp_path), out=tmp_path / "x", **how)
    results = ANSWERS["without_memory"](plan, tmp_path / "without")
    assert results.test["row"].tolist() == ["0.5_0.5"] * 2
    assert results.settings["config"]["recurrent"] is False
    net, _ = load_checkpoint(tmp_path / "without/runs/0.5_0.5/seed_1/affwildnet.safetensors")
    assert net.gru is None


def test_a_small_step_for_one_task_changes_the_other_as_the_angle_says(tmp_path):
    store, rows = noise_store(tmp_path / "store"), np.arange(30)
    torch.manual_seed(0)
    net = AffWildNet(AffWildNetConfig(width=0.02, image_size=32, hidden=6, attention_length=3)).eval()
    config = {"sequence_length": 5, "batch_size": 3, "va_loss": "mse", "expression_loss": "cross_entropy"}
    checkpoint = save_checkpoint(tmp_path / "net.safetensors", net, {"config": config})
    features = np.random.default_rng(0).normal(size=(len(store), 82)).astype(np.float32)
    found, again = (task_gradients(checkpoint, store, rows, features, batches=3) for _ in range(2))
    assert found.equals(again) and found["cosine"].nunique() == 3  # another angle for each batch
    assert found["cosine"].between(-1, 1).all() and (found[["va", "expression"]] > 0).all(axis=None)
    sequences = SequenceDataset(store, rows, length=5)
    items = RowStream(len(sequences), 3, 0).batch(1)
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


# Figures


def some_labels():
    expressions = [-1, -1, 3, 3, 3, -1, 4, 4, 0, 0, 0, -1]
    labels = labels_of(expressions=expressions, va=np.random.default_rng(0).uniform(-1, 1, (12, 2)))
    labels.has_va[:2] = False
    return labels


def test_windows_are_darker_the_more_is_known():
    states = np.random.default_rng(0).integers(0, 5, (4, 9))
    figure = lesson.window_picture(states, STATES, "windows")
    mesh = figure.axes[0].collections[0]
    np.testing.assert_array_equal(mesh.get_array().reshape(4, 9), states)
    lightness = mesh.cmap(mesh.norm(np.arange(5)))[:, :3].mean(axis=1)
    assert (np.diff(lightness) < -0.05).all()  # told apart in grey
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(STATES)
    assert figure.axes[0].get_title() == "windows"


def test_curves_of_runs_are_their_logs_and_scores():
    log = pd.DataFrame({"step": [1, 2, 3], "va": [0.5, 0.4, 0.2], "expression": [1.0, 0.9, 0.7]})
    scores = pd.DataFrame({"step": [2, 2, 3, 3], "set": ["train", "validation"] * 2})
    scores["ccc_valence"], scores["expression_accuracy"] = [0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]
    figure = lesson.run_curves({"frozen": (log, scores), "whole": (log[:1], scores[3:])}, "both")
    for axis, term in zip(figure.axes[:2], ("va", "expression"), strict=True):
        found = {line.get_label(): line.get_ydata().tolist() for line in axis.lines}
        assert found == {"frozen": log[term].tolist(), "whole": log[term].tolist()[:1]}
    for axis, metric in zip(figure.axes[2:], ("ccc_valence", "expression_accuracy"), strict=True):
        found = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
        pairs = scores[["step", metric]].to_numpy().tolist()
        wanted = {"frozen, train": pairs[::2], "frozen, validation": pairs[1::2]}
        assert found == wanted | {"whole, validation": pairs[3:]}
        looks = {(line.get_marker(), line.get_linestyle(), line.get_color()) for line in axis.lines}
        assert len(looks) == 3 and len({line.get_marker() for line in axis.lines}) == 2


def test_answers_of_a_clip_lie_beside_its_labels():
    labels = some_labels()
    answers = np.random.default_rng(1).random((12, 9))
    said = pd.DataFrame(answers, columns=["valence", "arousal", *EXPRESSIONS])
    said.loc[5] = np.nan
    *traces, band = lesson.clip_answers(said, labels, fps=10, title="clip").axes[:3]
    for axis, name in zip(traces, ("valence", "arousal"), strict=True):
        drawn = {line.get_label(): line.get_ydata() for line in axis.lines[:2]}
        wanted = np.where(labels.has_va, getattr(labels, name), np.nan)
        np.testing.assert_array_equal(drawn["label"], wanted)
        np.testing.assert_array_equal(drawn["the network"], said[name])
    shown = band.collections[0].get_array().reshape(7, 12)
    np.testing.assert_allclose(np.ma.filled(shown, np.nan), said[list(EXPRESSIONS)].to_numpy().T)
    boxes = [(b.get_x(), round(b.get_y() + b.get_height() / 2), b.get_width()) for b in band.patches]
    np.testing.assert_allclose(boxes, [(0.2, 3, 0.3), (0.6, 4, 0.2), (0.8, 0, 0.3)])
    assert [tick.get_text() for tick in band.get_yticklabels()] == list(EXPRESSIONS)


def test_attention_is_drawn_as_a_share_of_even_weights_the_present_at_the_bottom():
    weights = np.zeros((12, 4))
    for t in range(12):
        seen = min(t + 1, 4)
        weights[t, -seen:] = np.arange(1, seen + 1) / np.arange(1, seen + 1).sum()
    weights[5] = np.nan
    figure = lesson.attention_picture(weights, some_labels(), fps=10, title="attention")
    heat = figure.axes[1]
    shown = np.ma.filled(heat.collections[0].get_array(), np.nan).reshape(4, 12)
    np.testing.assert_allclose(shown[:, 11], np.array([4, 3, 2, 1]) / 10 * 4)  # 4 of 10 for the present
    np.testing.assert_allclose(shown[:, 1], [2 / 3 * 2, 1 / 3 * 2, 0, 0])  # two frames to look at
    assert np.isnan(shown[:, 5]).all()
    low, high = heat.get_ylim()
    assert low < 0 < high  # 0 frames back is at the bottom


def test_gaps_keep_their_values_on_a_logarithmic_axis():
    gaps = pd.DataFrame({"seed 0": [0.0, 1e-9, 1e-3], "seed 1": [1e-8, 1e-7, 0.0]}, index=[1, 2, 3])
    axis = lesson.gap_curves(gaps, "gap").axes[0]
    assert axis.get_yscale() == "log" and axis.get_title() == "gap"
    lines = [line.get_xydata().tolist() for line in axis.lines[:2]]
    assert lines == [[[2, 1e-9], [3, 1e-3]], [[1, 1e-8], [2, 1e-7]]]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["seed 0", "seed 1"]


@pytest.mark.parametrize("keep_rare", [False, True])
def test_a_thin_line_keeps_its_colour_beside_a_heat_map(keep_rare):
    figure, (line, heat) = plt.subplots(2, 1, figsize=(6, 4))
    line.axhline(0.5, color=(1, 0.5, 0), linewidth=1)
    heat.imshow(np.linspace(0, 1, 10_000).reshape(100, 100), cmap="viridis")
    picture = plots.line_picture(figure, "both", colors=16, keep_rare=keep_rare)
    shown = np.asarray(PIL.Image.open(io.BytesIO(picture.data)).convert("RGB")).reshape(-1, 3).astype(int)
    orange = (np.abs(shown - (255, 127, 0)) < 40).all(axis=1).any()
    assert orange == keep_rare and len(np.unique(shown, axis=0)) <= 16

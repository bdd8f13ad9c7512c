"""Where the network looks, against a loop over sequences, and the exercises of notebook 09."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from small_experiment import memory_store, write_files
from solutions import solution_functions

from affkit.checkpoints import load_checkpoint, save_checkpoint
from affkit.multitask import AffWildNet, AffWildNetConfig, Attention
from affkit.store import SequenceDataset, Store, select_rows, to_unit_range
from affkit.train_multitask import MtlConfig
from affkit_course.lessons import nb09 as lesson
from affkit_lab.backbones.train_faces import CnnConfig, train_faces
from affkit_lab.experiments import table_x
from affkit_lab.experiments.multitask_experiments import MtlPlan

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
    config = CnnConfig(width=0.03, image_size=32)
    cnn = train_faces(Store.open(files["data"]), tmp_path / "cnn", config, 1, device="cpu", progress=False)
    tiny = MtlConfig(width=0.03, hidden=4, attention_length=3, batch_size=4, sequence_length=5, frozen=True)
    plan = MtlPlan(**files, out=tmp_path / "x", seeds=(0, 1), steps=2, config=tiny, weights=cnn, device="cpu")
    results = ANSWERS["without_memory"](plan, tmp_path / "without")
    assert (
        results.test["row"].tolist() == ["0.5_0.5"] * 2 and results.settings["config"]["recurrent"] is False
    )
    net, _ = load_checkpoint(tmp_path / "without/runs/0.5_0.5/seed_1/affwildnet.safetensors")
    assert net.gru is None

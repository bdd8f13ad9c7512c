"""Enrichment on a tiny store: what each arm is trained on, what it scores, whether it can help and hurt."""

import json
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from guesses import plain_ccc
from hypothesis import given, settings
from hypothesis import strategies as st
from lookup import Lookup, numbered_faces
from refusals import refused, run_affkit
from scipy import stats
from score_checks import assert_scores
from small_experiment import PEOPLE, memory_store
from torch import nn

from affkit.checkpoints import load_checkpoint, save_checkpoint
from affkit.errors import UserError
from affkit.faces.pool import bare_store, join_stores
from affkit.gan import Discriminator, DiscriminatorOutput, GanNetConfig, Generator
from affkit.labels import ACTION_UNITS, VA
from affkit.store import FrameDataset, Store, select_rows, write_store
from affkit_lab.backbones.train_faces import predictor_config, train_faces
from affkit_lab.experiments import enrichment as module
from affkit_lab.experiments.enrichment import EnrichPlan, enrich, gain_intervals, gains, printed, row_name
from affkit_lab.experiments.generated_labels import (
    Confidence,
    changed_faces,
    confident_labels,
    draw_faces,
    label_counts,
    small_store,
    with_labels,
)
from affkit_lab.experiments.results import Results
from affkit_lab.figures.tables import enrichment_gains

pytestmark = pytest.mark.slow  # trains small networks

TINY = {"config": predictor_config(width=0.03, batch_size=16), "steps": 4, "save_every": 4, "device": "cpu"}
TINY |= {"fractions": (0.5, 1.0), "amounts": (1.0, 3.0), "most": 60, "confidence": Confidence(1, 0.51, 0.5)}
KINDS = ("classic", "discriminator", "teacher")


@pytest.fixture(scope="module")
def files(experiment_files, gan_files):
    return experiment_files | gan_files


def reader_of(plan, row, seed):
    return plan.out / "runs" / row / f"seed_{seed}" / "reader.safetensors"


@pytest.fixture(scope="module")
def done(files, tmp_path_factory):
    """A finished experiment: the plan, its results, and the faces that each run was trained on."""
    plan = EnrichPlan(**files, out=tmp_path_factory.mktemp("done"), seeds=(0, 1), **TINY)
    taught, original = {}, module.train_faces

    def train_faces(faces, folder, config, **how):
        taught[folder.parent.name, config.seed] = faces
        return original(faces, folder, config, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "train_faces", train_faces)
        results = enrich(plan, progress=False)
    return plan, results, taught


def test_scores_are_those_of_scikit_learn_on_the_test_people(done):
    plan, results, _ = done
    for row in ("share_0.5_real", "share_0.5_teacher_3", "share_1_classic_1"):
        assert_scores(results, row, plan.data, reader_of(plan, row, 1))
    # all labels: 40 faces, and 3 times as many are more than 60
    arms = {row_name(0.5, kind, amount) for kind in KINDS for amount in (1, 3)}
    arms |= {row_name(1, kind, 1) for kind in KINDS}
    assert set(results.test["row"]) == arms | {"share_0.5_real", "share_1_real", "discriminator"}


def test_what_labels_are_worth_is_what_is_right_of_what_is_sure(done):
    plan, results, _ = done
    store, scores = Store.open(plan.data), results.scores.set_index(["row", "seed", "set"])
    networks = {"discriminator": plan.discriminator, "share_1_real": reader_of(plan, "share_1_real", 0)}
    for row, subset in product(networks, ("validation", "test")):
        net, _ = load_checkpoint(networks[row])
        rows = np.flatnonzero(store.index["subject"].isin(PEOPLE[subset]))
        table = store.index.iloc[rows].reset_index(drop=True)
        said = confident_labels(net, store.images[rows], plan.confidence)
        given = said["valence"].notna()
        units = said[list(ACTION_UNITS)].to_numpy(float, na_value=np.nan)
        known, right = ~np.isnan(units), units == table[list(ACTION_UNITS)].to_numpy(int)
        assert given.any() and known.any()
        wanted = {
            "label_va": given.mean(),
            "label_ccc_valence": plain_ccc(table["valence"][given], said["valence"][given]),
            "label_au": known.mean(),
            "label_active": units[known].mean(),
            "label_au_accuracy": right[known].mean(),
        }
        found = scores.loc[(row, 0, subset), list(wanted)].astype(float)
        assert found.to_dict() == pytest.approx(wanted, abs=1e-5)


def test_each_arm_is_trained_on_what_it_says(done, files):
    plan, results, taught = done
    tested = results.test.set_index(["row", "seed"])
    for (fraction, real), seed in product(((0.5, 20), (1.0, 40)), (0, 1)):
        alone = taught[row_name(fraction, "real"), seed]
        people = set(alone.index["subject"])
        assert len(alone) == real == 10 * len(people) and people <= set(PEOPLE["train"])  # whole people
        networks = {"teacher": reader_of(plan, row_name(fraction, "real"), seed)}
        networks["discriminator"] = files["discriminator"]
        generated = Store.open(plan.out / "generated" / f"seed_{seed}")
        assert len(generated) == 60 and "valence" not in generated.index
        for kind, amount in product(KINDS, (1, 3) if fraction == 0.5 else (1,)):
            row = row_name(fraction, kind, amount)
            faces, number = taught[row, seed], amount * real
            same = [one.index[:real].astype({"video": str}) for one in (faces, alone)]
            pd.testing.assert_frame_equal(*same)
            assert (faces.batch(np.arange(real)) == alone.batch(np.arange(real))).all()
            added, index = faces.batch(np.arange(real, len(faces))), faces.index[real:].reset_index(drop=True)
            assert len(added) == number
            if kind == "classic":
                assert set(index["valence"]) == set(alone.index["valence"])
                assert not (added == alone.images[:1]).all(axis=(1, 2, 3)).any()
                continue
            assert (added == generated.images[:number]).all()
            labeller, _ = load_checkpoint(networks[kind])
            wanted = confident_labels(labeller, generated.images[:number], plan.confidence)
            assert wanted.isna().any(axis=None) and wanted.notna().any(axis=None)
            pd.testing.assert_frame_equal(index[wanted.columns], wanted, check_dtype=False)
            assert tested.at[(row, seed), "added_va"] == pytest.approx(wanted["valence"].notna().mean())
    first, second = (Store.open(plan.out / "generated" / f"seed_{seed}") for seed in (0, 1))
    assert (first.images != second.images).any()
    log = pd.read_csv(plan.out / "runs" / "share_0.5_real" / "seed_0" / "log.csv")
    assert log.columns.tolist() == ["step", "va", "au"] and len(log) == plan.steps


def test_the_extra_work_is_counted(done):
    """In multiply-adds of one face through each network: drawn, judged, labelled twice, and the teacher."""
    plan, results, _ = done

    def multiply_adds(name, kind, sides):
        net, _ = load_checkpoint(getattr(plan, name))
        layers = [layer for layer in net.modules() if isinstance(layer, kind)]
        return sum(layer.weight.numel() * side**2 for layer, side in zip(layers, sides, strict=True))

    # a convolution: the filter for each pixel that comes out; a deconvolution: for each that goes in
    generator = multiply_adds("generator", torch.nn.ConvTranspose2d, (1, 2, 6, 14))
    reader = multiply_adds("discriminator", (torch.nn.Conv2d, torch.nn.Linear), (16, 8, 4, 1))
    training = 3 * plan.steps * 16 * reader
    found = results.test.set_index(["row", "seed"])["extra_work"]
    drawn = 20 / 60 * Store.open(plan.out / "generated" / "seed_0").info["drawn"]
    work = drawn * (generator + reader) + 2 * 20 * reader
    assert found["share_0.5_discriminator_1", 0] == pytest.approx(work / training)
    assert found["share_0.5_teacher_1", 0] == pytest.approx(1 + work / training)
    assert found["share_0.5_classic_1", 0] == 0


def test_claims_are_about_the_first_amount_and_the_same_seeds(done):
    _, results, _ = done
    assert len(results.sentences) == 2 * (3 * 3 + 2)  # three scores, and two against changed faces
    verdicts = {verdict["claim"]["words"]: verdict for verdict in results.verdicts}
    words = "with 100% of the labels, 1 x as many generated faces labelled by the teacher raise the CCC"
    ccc = results.test.set_index(["row", "seed"])[["ccc_valence", "ccc_arousal"]].mean(axis=1)
    differences = (ccc["share_1_teacher_1"] - ccc["share_1_real"]).tolist()
    low, high = stats.t.interval(0.95, 1, np.mean(differences), stats.sem(differences))
    assert verdicts[words]["differences"] == pytest.approx(differences)
    assert [verdicts[words][name] for name in ("low", "high")] == pytest.approx([low, high])
    assert sum("do more for CCC and F1 than as many changed real ones" in text for text in verdicts) == 4


def test_what_was_killed_goes_on_and_jobs_do_not_matter(done, files, tmp_path, monkeypatch):
    plan, results, _ = done
    trained, original = [], module.train_faces

    def killed(faces, folder, config, steps, **how):
        """Ends in the middle of the third run with added faces."""
        if len(trained) == len(teachers) + 2:
            original(faces, folder, config, 2, **how)
            raise KeyboardInterrupt
        trained.append(folder.parent.name)
        return original(faces, folder, config, steps, **how)

    monkeypatch.setattr(module, "train_faces", killed)
    assert enrich(plan, progress=False).as_dict() == results.as_dict() and not trained
    teachers = ["share_0.5_real", "share_1_real"]
    again = EnrichPlan(**files, out=tmp_path / "out", seeds=(0,), **TINY)
    with pytest.raises(KeyboardInterrupt):
        enrich(again, progress=False)
    assert trained[:2] == teachers and not (again.out / "scores.csv").exists()
    monkeypatch.undo()
    found = enrich(replace(again, jobs=2), progress=False).scores
    wanted = results.scores.query("seed == 0").reset_index(drop=True)
    pd.testing.assert_frame_equal(found[wanted.columns], wanted)
    read = Results.read(plan.out)
    assert read.as_dict() == results.as_dict()
    pd.testing.assert_frame_equal(printed(read), printed(results))


def test_what_is_refused(done, files, tmp_path):
    plan, *_ = done
    how = files | {"out": tmp_path / "out"} | TINY
    save_checkpoint(tmp_path / "large.safetensors", Generator(GanNetConfig("2", width=0.01)))
    save_checkpoint(tmp_path / "va.safetensors", Discriminator(GanNetConfig("1", 0.03, "va")))
    small = bare_store("small", np.zeros((70, 16, 16, 3), np.uint8), "none")
    small.index = memory_store().index
    write_store(tmp_path / "small", small)
    others = {"out": plan.out, "confidence": Confidence(1, 0.6, 0.5)}
    for changes, message in (
        ({"partition": files["partition"].with_name("leaks.json")}, "leaks.json: leaks: subject ann: train"),
        ({"generator": tmp_path / "large.safetensors"}, "draws 96 pixels, and the discriminator reads 32"),
        ({"generator": files["discriminator"]}, "holds weights of discriminator"),
        ({"discriminator": tmp_path / "va.safetensors"}, "does not tell both V-A and AUs"),
        ({"discriminator": tmp_path / "none.safetensors"}, "no such file"),
        ({"data": tmp_path / "small"}, "has faces of 16 pixels, the network reads 32"),
        ({"most": 10}, "at most 10 added faces: leaves out every added face"),
        ({"amounts": (1, 0)}, "one is not above 0 or comes twice"),
        ({"amounts": ()}, "are none"),
        ({"fractions": (0,)}, "fraction 0: is not above 0"),
        ({"by": "clip"}, "choose frame or subject"),
        (others, "holds another experiment"),
    ):
        with refused(message):
            enrich(EnrichPlan(**how | changes), progress=False)
    assert not (tmp_path / "out").exists()


def toy_faces(n, seed):
    """New people of the kind in the store, and their labels."""
    return select_rows(memory_store(frames=-(-n // 7), seed=seed), np.arange(n))


@pytest.fixture(scope="module")
def labellers(tmp_path_factory):
    """A network that reads such faces rightly, and one that was taught the contrary of everything."""
    folder, config = tmp_path_factory.mktemp("labellers"), predictor_config(width=0.05, seed=5)
    right, wrong = (toy_faces(400, seed=7) for _ in range(2))
    wrong.index[list(VA)] *= -1
    wrong.index[list(ACTION_UNITS)] = 1 - wrong.index[list(ACTION_UNITS)]
    return {
        name: train_faces(store, folder / name, config, 150, device="cpu", progress=False)
        for name, store in {"right": right, "wrong": wrong}.items()
    }


@pytest.mark.parametrize("labels", ["right", "wrong"])
def test_faces_with_right_labels_help_and_with_wrong_ones_hurt(
    files, labellers, tmp_path, monkeypatch, labels
):
    """Faces that cannot but teach, once labelled rightly: a few real ones, and many of the same kind."""

    def drawn(generator, discriminator, n, size, seed, most_fake, progress):
        images = toy_faces(n, 100 + seed).batch(np.arange(n))
        store = bare_store("generated", images, "generated")
        store.info["drawn"] = n
        return store

    monkeypatch.setattr(module, "draw_faces", drawn)
    monkeypatch.setattr(module, "ARMS", {kind: module.ARMS[kind] for kind in ("real", "discriminator")})
    few = {"fractions": (0.1,), "amounts": (20.0,), "seeds": range(5)}  # 4 faces, and 80 others
    many = {"fractions": (1.0,), "amounts": (10.0,), "seeds": range(3)}  # 40 faces, and 400 others
    how = {"config": predictor_config(width=0.05, batch_size=32), "steps": 60, "by": "frame", "device": "cpu"}
    how |= few if labels == "right" else many
    networks = {"generator": files["generator"], "discriminator": labellers[labels]}
    sets = {name: files[name] for name in ("data", "partition")}
    plan = EnrichPlan(**sets, **networks, out=tmp_path, confidence=Confidence(1, 0.8, 0.3), **how)
    results = enrich(plan, progress=False)
    found = {verdict["claim"]["words"].split("labelled by ")[-1]: verdict for verdict in results.verdicts}
    f1, ccc = (found[f"the discriminator raise the {words}"] for words in ("F1", "CCC"))
    assert ccc["verdict"] == ("holds" if labels == "right" else "does not hold"), ccc["sentence"]
    assert f1["mean"] > 0.1 if labels == "right" else f1["mean"] < -0.1
    worth = results.test.query("row == 'discriminator'")["label_ccc_valence"].item()
    assert worth > 0.8 if labels == "right" else worth < -0.5


def test_the_command(files, tmp_path, monkeypatch, capsys):
    names = [word for name in files for word in (f"--{name}", files[name])]
    line = ["experiment", "enrich", *names, "--out", tmp_path / "out"]
    code, _, message = run_affkit(monkeypatch, capsys, *line, "--amounts", "1,inf")
    assert code == 2 and "--amounts 1,inf: is not from 0" in message and message.count("\n") == 1
    assert not (tmp_path / "out").exists()
    line += "--shares 0.5 --amounts 1 --most 40 --width 0.03 --steps 2 --seeds 0 --device cpu".split()
    code, said, complaint = run_affkit(monkeypatch, capsys, *line)
    assert code == 0, complaint
    assert "with 50% of the labels, 1 x as many generated faces labelled by the teacher raise" in said
    assert "the teacher, where it is sure" in said and "units as more often" in said
    names = {path.name for path in (tmp_path / "out").iterdir()}
    files_of_all = {"experiment.json", "runs", "scores.csv", "results.json", "table.md", "figure.png"}
    assert names == files_of_all | {"generated"}
    settings = json.loads((tmp_path / "out" / "experiment.json").read_text())
    assert (settings["experiment"], settings["most"], settings["shares"]) == ("enrich", 40, [0.5])


def test_the_figure_shows_the_gain_of_every_seed(done):
    _, results, _ = done
    figure = enrichment_gains(results)
    assert [axis.get_title() for axis in figure.axes[:2]] == ["50% of the labels", "100% of the labels"]
    arms = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    words = ("changed real", "labelled by D", "labelled by teacher")
    assert arms == [f"{kind}, {amount} x" for kind in words for amount in (1, 3)]
    scores = results.test.assign(f1=results.test[["au_f1_weighted", "au_f1_macro"]].mean(axis=1))
    f1 = scores.pivot(index="seed", columns="row", values="f1")
    wanted = (f1["share_0.5_teacher_3"] - f1["share_0.5_real"]).tolist()
    lines = [line for line in figure.axes[2].lines if line.get_label() == "a seed"]
    assert lines[arms.index("labelled by teacher, 3 x")].get_xdata() == pytest.approx(wanted)
    assert len([line for line in figure.axes[3].lines if line.get_label() == "mean"]) == 3


def test_intervals_of_gains_are_those_of_the_scores_on_both_sets(done):
    _, results, _ = done
    found = gain_intervals(results, "CCC")
    assert set(found.index) == set(product((0.5, 1.0), KINDS))
    scores = results.scores.set_index(["set", "row", "seed"]).sort_index()
    ccc = scores[["ccc_valence", "ccc_arousal"]].mean(axis=1)
    for subset, (fraction, kind) in product(("validation", "test"), found.index):
        changes = ccc[subset, row_name(fraction, kind, 1.0)] - ccc[subset, row_name(fraction, "real")]
        interval = stats.t.interval(0.95, 1, changes.mean(), stats.sem(changes))
        np.testing.assert_allclose(
            found.loc[(fraction, kind), subset], [changes.mean(), *interval], atol=1e-9
        )
    assert not gains(results, "validation")["CCC"].equals(gains(results)["CCC"])


# The faces that are added


class GreyGenerator(nn.Module):
    """Draws one grey, the first number of z; the left upper pixel is white."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, z):
        images = z[:, :1, None, None].expand(-1, 3, 32, 32).clone()
        images[:, :, 0, 0] = 1
        return images


class GreyDiscriminator(nn.Module):
    """What is brighter than ``limit`` is fake."""

    config = SimpleNamespace(image_size=32)

    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def forward(self, images):
        return DiscriminatorOutput(None, None, 1000 * (images[:, 0, 5, 5] - self.limit))


def test_only_faces_that_look_real_are_drawn_and_never_fooled_it_ends():
    def drawn(n, limit=-0.5, **how):
        return draw_faces(GreyGenerator(), GreyDiscriminator(limit), n, **how)

    store = drawn(90, seed=3)
    grey = store.images[:, 5, 5, 0] / 127.5 - 1
    assert len(store) == 90 and (grey <= -0.495).all() and (store.images[:, 0, 0] == 255).all()
    assert 0.15 < 90 / store.info["drawn"] < 0.35  # a quarter of all greys
    assert len(np.unique(store.images[:, 5, 5, 0])) > 30 and "valence" not in store.index
    fewer, other = (drawn(20, seed=seed).images for seed in (3, 4))
    assert (fewer == store.images[:20]).all() and (other != fewer).any()
    assert drawn(5, seed=3, most_fake=1).info["drawn"] == 5
    with refused("takes 5120 of 5120 generated faces for fake; allow more than 0.5"):
        drawn(10, -2)
    with refused("has faces of 32 pixels, needed are 64"):
        drawn(10, 2, size=64)


@settings(max_examples=30)
@given(
    st.integers(0, 999), st.integers(1, 40), st.sampled_from([0.6, 0.9, 1]), st.sampled_from([0, 0.1, 0.5])
)
def test_labels_are_given_where_a_face_and_its_mirror_image_agree(seed, n, action_unit, gap):
    rng, mirrored = np.random.default_rng(seed), slice(100, 100 + n)
    va, probabilities = rng.uniform(-0.5, 0.5, (256, 2)), rng.beta(0.2, 0.2, (256, 8)).clip(1e-6, 1 - 1e-6)
    va[100 : 100 + n : 2] = va[:n:2] + rng.uniform(-0.2, 0.2, va[:n:2].shape)
    probabilities[100 : 100 + n : 3] = probabilities[:n:3]
    labels = confident_labels(
        Lookup(va, probabilities), numbered_faces(n), Confidence(action_unit=action_unit, va_gap=gap)
    )
    va = va.astype(np.float32)
    apart = np.abs(va[:n] - va[mirrored]).max(axis=1)
    wanted = np.where(apart[:, None] > gap, np.nan, (va[:n] + va[mirrored]) / 2)
    clear = np.abs(apart - gap) > 1e-6  # on the limit rounding decides
    np.testing.assert_allclose(labels.loc[clear, list(VA)].to_numpy(float), wanted[clear], atol=1e-6)
    pair = np.stack([probabilities[:n], probabilities[mirrored]])
    active, absent = (pair > action_unit).all(axis=0), (pair < 1 - action_unit).all(axis=0)
    given = labels[list(ACTION_UNITS)].to_numpy(float, na_value=np.nan)
    limits = np.array([action_unit, 1 - action_unit])[:, None, None, None]
    clear = np.abs(pair - limits).min(axis=(0, 1)) > 1e-5
    np.testing.assert_array_equal(given[clear], np.select([active, absent], [1, 0], np.nan)[clear])


def test_what_is_not_sure_is_masked_in_what_the_network_learns_from():
    for wrong in ({"fake": 1.1}, {"action_unit": 0.5}, {"va_gap": -0.1}):
        with pytest.raises(UserError, match="is out of range"):
            Confidence(**wrong)
    va = np.zeros((256, 2))
    va[0], va[100] = (0.4, -0.2), (0.4, -0.25)  # face 0 is sure of V-A, face 1 is not
    va[1], va[101] = (0.4, 0.0), (0.0, 0.0)
    probabilities = np.full((256, 8), 0.5)
    probabilities[[1, 101], 2], probabilities[[1, 101], 7] = 0.95, 0.02  # face 1 of two action units
    real = memory_store()
    real.index.loc[4, "AU1"] = pd.NA
    faces = draw_faces(GreyGenerator(), GreyDiscriminator(2), 2)
    labels = confident_labels(Lookup(va, probabilities), numbered_faces(2), Confidence())
    joint = join_stores([real, with_labels(faces, labels, real)])
    learned = FrameDataset(joint, [70, 71]).labels
    assert learned["has_va"].tolist() == [True, False]
    assert [learned[name][0].item() for name in VA] == pytest.approx([0.4, -0.225])
    assert learned["has_action_units"].tolist() == [[False] * 8, [k in (2, 7) for k in range(8)]]
    assert learned["action_units"][1, [2, 7]].tolist() == [1, 0] and not learned["has_expression"].any()
    before, after = real.labels, joint.labels[:70]
    for name in ("valence", "has_va", "expression", "has_expression", "action_units", "has_action_units"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
    assert label_counts(joint.labels[70:]) == {"va": 0.5, "au": 2 / 16, "active": 0.5}


def test_changed_faces_keep_the_labels_of_the_faces_they_were():
    store = memory_store()
    store.index["score"] = np.arange(70)  # which face it was
    changed = changed_faces(store, 150, seed=1, kinds=("flip",))
    rows = changed.index["score"].to_numpy()
    as_it_was = (changed.images == store.images[rows]).all(axis=(1, 2, 3))
    mirrored = (changed.images == store.images[rows][:, :, ::-1]).all(axis=(1, 2, 3))
    assert (as_it_was | mirrored).all() and 0.3 < mirrored.mean() < 0.7
    assert set(np.bincount(rows)) == {2, 3}  # 150 of 70
    columns = ["subject", "valence", "arousal", "expression", *ACTION_UNITS]
    wanted = store.index.loc[rows, columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(changed.index[columns], wanted)
    moved = changed_faces(store, 10, seed=1)
    assert (moved.index["score"] == changed.index["score"][:10]).all()
    assert (moved.images != changed.images[:10]).any(axis=(1, 2, 3)).all()


def test_faces_are_averaged_down():
    store = memory_store()
    part = small_store(store, np.array([5, 3]), 16)
    for image, number in zip(part.images, (5, 3), strict=True):
        wanted = cv2.resize(store.images[number], (16, 16), interpolation=cv2.INTER_AREA)
        assert np.abs(image.astype(int) - wanted).max() <= 1
    assert part.size == 16 and part.index["valence"].tolist() == store.index["valence"][[5, 3]].tolist()
    with pytest.raises(UserError, match="memory: has faces of 32 pixels, needed are 64"):
        small_store(store, np.array([0]), 64)

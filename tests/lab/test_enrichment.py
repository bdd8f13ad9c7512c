"""Enrichment on a tiny store: what each arm is trained on, what it scores, whether it can help and hurt."""

import json
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from guesses import plain_ccc
from scipy import stats
from score_checks import assert_scores
from small_experiment import memory_store, partition_of
from typer.testing import CliRunner

from affkit.__main__ import app, main
from affkit.checkpoints import load_checkpoint, save_checkpoint
from affkit.corpus.partition import write_partition
from affkit.errors import UserError
from affkit.evaluation.predict import predict_store
from affkit.faces.pool import bare_store
from affkit.gan import Discriminator, GanNetConfig, Generator
from affkit.labels import ACTION_UNITS
from affkit.store import Store, select_rows, write_store
from affkit_lab.backbones.train_faces import predictor_config, train_faces
from affkit_lab.experiments import enrichment as module
from affkit_lab.experiments.enrichment import EnrichPlan, enrich, gain_intervals, gains, printed, row_name
from affkit_lab.experiments.generated_labels import Confidence, confident_labels
from affkit_lab.experiments.results import Results
from affkit_lab.figures.tables import enrichment_gains

pytestmark = pytest.mark.slow  # trains small networks

TINY = {"config": predictor_config(width=0.03, batch_size=16), "steps": 4, "save_every": 4, "device": "cpu"}
TINY |= {"fractions": (0.5, 1.0), "amounts": (1.0, 3.0), "most": 60, "confidence": Confidence(1, 0.51, 0.5)}
KINDS = ("classic", "discriminator", "teacher")


@pytest.fixture(scope="module")
def files(experiment_files, gan_files):
    return experiment_files | gan_files


@pytest.fixture(scope="module")
def watched(files, tmp_path_factory):
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


@pytest.fixture(scope="module")
def done(watched):
    return watched[:2]


def test_scores_are_those_of_scikit_learn_on_the_test_people(done):
    plan, results = done
    store = Store.open(plan.data)
    rows = np.flatnonzero(store.index["subject"].isin(["fay", "gus"]))
    for row in ("share_0.5_real", "share_0.5_teacher_3", "share_1_classic_1"):
        network = plan.out / "runs" / row / "seed_1" / "reader.safetensors"
        answers = predict_store(network, select_rows(store, rows), "cpu", progress=False)
        found = results.test.query("row == @row and seed == 1").iloc[0]
        assert_scores(found, store.index.iloc[rows], answers)
    # all labels: 40 faces, and 3 times as many are more than 60
    arms = {row_name(0.5, kind, amount) for kind in KINDS for amount in (1, 3)}
    arms |= {row_name(1, kind, 1) for kind in KINDS}
    assert set(results.test["row"]) == arms | {"share_0.5_real", "share_1_real", "discriminator"}


def test_what_labels_are_worth_is_what_is_right_of_what_is_sure(done):
    plan, results = done
    store = Store.open(plan.data)
    people = {"validation": ["eva"], "test": ["fay", "gus"]}
    networks = {"discriminator": plan.discriminator}
    networks["share_1_real"] = plan.out / "runs" / "share_1_real" / "seed_0" / "reader.safetensors"
    for row, network in networks.items():
        net, _ = load_checkpoint(network)
        for subset, names in people.items():
            found = results.scores.set_index(["row", "seed", "set"]).loc[(row, 0, subset)]
            rows = np.flatnonzero(store.index["subject"].isin(names))
            table = store.index.iloc[rows].reset_index(drop=True)
            said = confident_labels(net, store.images[rows], plan.confidence)
            given = said["valence"].notna()
            assert 0 < given.mean() == pytest.approx(found["label_va"])
            assert found["label_ccc_valence"] == pytest.approx(
                plain_ccc(table["valence"][given], said["valence"][given]), abs=1e-5
            )
            units = said[list(ACTION_UNITS)].to_numpy(float, na_value=np.nan).ravel()
            truth = table[list(ACTION_UNITS)].to_numpy(int).ravel()
            known = ~np.isnan(units)
            assert found["label_au"] == pytest.approx(known.mean()) and known.any()
            assert found["label_active"] == pytest.approx(units[known].mean())
            assert found["label_au_accuracy"] == pytest.approx((units == truth)[known].mean())


def test_each_arm_is_trained_on_what_it_says(watched, files):
    plan, results, taught = watched
    store = Store.open(plan.data)
    whole = store.index[store.index["subject"].isin(["ann", "ben", "cem", "dan"])]
    for share, real in ((0.5, 20), (1.0, 40)):
        for seed in (0, 1):
            alone = taught[row_name(share, "real"), seed]
            assert len(alone) == real and set(alone.index["subject"]) <= set(whole["subject"])
            assert len(set(alone.index["subject"])) == real / 10  # whole people
            teacher, _ = load_checkpoint(
                plan.out / "runs" / row_name(share, "real") / f"seed_{seed}" / "reader.safetensors"
            )
            readers = {"teacher": teacher, "discriminator": load_checkpoint(files["discriminator"])[0]}
            generated = Store.open(plan.out / "generated" / f"seed_{seed}")
            assert len(generated) == 60 and "valence" not in generated.index
            for kind in KINDS:
                for amount in (1, 3) if share == 0.5 else (1,):
                    faces = taught[row_name(share, kind, amount), seed]
                    pd.testing.assert_frame_equal(
                        faces.index[:real].astype({"video": str}), alone.index.astype({"video": str})
                    )
                    assert (faces.batch(np.arange(real)) == alone.batch(np.arange(real))).all()
                    number = amount * real
                    added = faces.batch(np.arange(real, len(faces)))
                    assert len(added) == number
                    index = faces.index[real:].reset_index(drop=True)
                    if kind == "classic":
                        assert set(index["valence"]) == set(alone.index["valence"])
                        assert not (added == alone.images[:1]).all(axis=(1, 2, 3)).any()
                        continue
                    assert (added == generated.images[:number]).all()
                    wanted = confident_labels(readers[kind], generated.images[:number], plan.confidence)
                    assert wanted.isna().any(axis=None) and wanted.notna().any(axis=None)
                    pd.testing.assert_frame_equal(index[wanted.columns], wanted, check_dtype=False)
                    found = results.test.set_index(["row", "seed"])
                    assert found.loc[(row_name(share, kind, amount), seed), "added_va"] == pytest.approx(
                        wanted["valence"].notna().mean()
                    )
    first, second = (Store.open(plan.out / "generated" / f"seed_{seed}") for seed in (0, 1))
    assert (first.images != second.images).any()
    log = pd.read_csv(plan.out / "runs" / "share_0.5_real" / "seed_0" / "log.csv")
    assert log.columns.tolist() == ["step", "va", "au"] and len(log) == plan.steps


def test_the_extra_work_is_counted(done):
    """In multiply-adds of one face through each network: drawn, judged, labelled twice, and the teacher."""
    plan, results = done

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
    plan, results = done
    assert len(results.sentences) == 2 * (3 * 3 + 2)  # three scores, and two against changed faces
    test = results.test.set_index(["row", "seed"])
    differences = [
        test.loc[("share_1_teacher_1", seed), ["ccc_valence", "ccc_arousal"]].mean()
        - test.loc[("share_1_real", seed), ["ccc_valence", "ccc_arousal"]].mean()
        for seed in (0, 1)
    ]
    (verdict,) = [
        verdict for verdict in results.verdicts
        if verdict["claim"]["words"].startswith("with 100% of the labels, 1 x as many generated faces")
        and verdict["claim"]["words"].endswith("labelled by the teacher raise the CCC")
    ]  # fmt: skip
    low, high = stats.t.interval(0.95, 1, np.mean(differences), stats.sem(differences))
    assert verdict["differences"] == pytest.approx(differences)
    assert (verdict["low"], verdict["high"]) == (pytest.approx(low), pytest.approx(high))
    texts = [verdict["claim"]["words"] for verdict in results.verdicts]
    assert sum("do more for CCC and F1 than as many changed real ones" in text for text in texts) == 4


def test_what_was_killed_goes_on_and_jobs_do_not_matter(done, files, tmp_path, monkeypatch):
    plan, results = done
    trained, original = [], module.train_faces
    monkeypatch.setattr(
        module, "train_faces", lambda *a, **k: trained.append(a[1].parent.name) or original(*a, **k)
    )
    assert enrich(plan, progress=False).as_dict() == results.as_dict() and not trained
    teachers = ["share_0.5_real", "share_1_real"]

    def killed(faces, folder, config, steps, **how):
        """Ends in the middle of the third run with added faces."""
        if len(trained) == len(teachers) + 2:
            original(faces, folder, config, 2, **how)
            raise KeyboardInterrupt
        trained.append(folder.parent.name)
        return original(faces, folder, config, steps, **how)

    monkeypatch.setattr(module, "train_faces", killed)
    again = EnrichPlan(**files, out=tmp_path / "out", seeds=(0,), **TINY)
    with pytest.raises(KeyboardInterrupt):
        enrich(again, progress=False)
    assert trained[:2] == teachers and not (again.out / "scores.csv").exists()
    monkeypatch.setattr(module, "train_faces", original)
    found = enrich(replace(again, jobs=2), progress=False).scores
    wanted = results.scores.query("seed == 0").reset_index(drop=True)
    pd.testing.assert_frame_equal(found[wanted.columns], wanted)
    assert Results.read(plan.out).as_dict() == results.as_dict()
    pd.testing.assert_frame_equal(printed(Results.read(plan.out)), printed(results))


def test_what_is_refused(done, files, tmp_path):
    plan, _ = done
    how = files | {"out": tmp_path / "out"} | TINY
    partition = partition_of()
    partition.sets["test"]["clip_ann"] = None
    write_partition(tmp_path / "leaks.json", partition)
    save_checkpoint(tmp_path / "large.safetensors", Generator(GanNetConfig("2", width=0.01)))
    save_checkpoint(tmp_path / "va.safetensors", Discriminator(GanNetConfig("1", 0.03, "va")))
    small = bare_store("small", np.zeros((70, 16, 16, 3), np.uint8), "none")
    small.index = memory_store().index
    write_store(tmp_path / "small", small)
    for changes, message in (
        ({"partition": tmp_path / "leaks.json"}, "leaks.json: leaks: subject ann: train"),
        ({"generator": tmp_path / "large.safetensors"}, "draws 96 pixels, and the discriminator reads 32"),
        ({"generator": files["discriminator"]}, "holds weights of discriminator"),
        ({"discriminator": tmp_path / "va.safetensors"}, "does not tell both V-A and AUs"),
        ({"discriminator": tmp_path / "none.safetensors"}, "no such file"),
        ({"data": tmp_path / "small"}, "has faces of 16 pixels, the network reads 32"),
        ({"most": 10}, "at most 10 added faces: leaves out every added face"),
        ({"amounts": (1, 0)}, "one is not above 0 or comes twice"),
        ({"amounts": ()}, "are none"),
        ({"fractions": (0,)}, "share 0: is not above 0"),
        ({"by": "clip"}, "choose frame or subject"),
    ):
        with pytest.raises(UserError, match=message):
            enrich(EnrichPlan(**how | changes), progress=False)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="holds another experiment"):
        enrich(EnrichPlan(**how | {"out": plan.out, "confidence": Confidence(1, 0.6, 0.5)}), progress=False)


def toy_faces(n, seed):
    """New people of the kind in the store, and their labels."""
    store = memory_store(frames=-(-n // 7), seed=seed)
    return select_rows(store, np.arange(n))


@pytest.fixture(scope="module")
def labellers(tmp_path_factory):
    """A network that reads such faces rightly, and one that was taught the contrary of everything."""
    folder = tmp_path_factory.mktemp("labellers")
    right = toy_faces(400, seed=7)
    wrong = toy_faces(400, seed=7)
    wrong.index[["valence", "arousal"]] *= -1
    wrong.index[list(ACTION_UNITS)] = 1 - wrong.index[list(ACTION_UNITS)]
    config = predictor_config(width=0.05, seed=5)
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


def test_the_command(files, tmp_path):
    run = CliRunner().invoke(
        app,
        ["experiment", "enrich", *(word for name in files for word in (f"--{name}", str(files[name])))]
        + ["--shares", "0.5,1", "--amounts", "1,2", "--most", "40", "--width", "0.03", "--steps", "2"]
        + ["--seeds", "0,1", "--out", str(tmp_path / "out"), "--device", "cpu"],
    )
    assert run.exit_code == 0, run.output
    assert "with 50% of the labels, 1 x as many generated faces labelled by the teacher raise" in run.output
    assert "the teacher, where it is sure" in run.output and "units as more often" in run.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    files_of_all = {"experiment.json", "runs", "scores.csv", "results.json", "table.md", "figure.png"}
    assert names == files_of_all | {"generated"}
    results = Results.read(tmp_path / "out")
    figure = enrichment_gains(results)
    assert [axis.get_title() for axis in figure.axes[:2]] == ["50% of the labels", "100% of the labels"]
    arms = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert arms == [
        f"{words}, {amount} x"
        for words in ("changed real", "labelled by D", "labelled by teacher")
        for amount in (1, 2)
    ]
    scores = results.test.assign(f1=results.test[["au_f1_weighted", "au_f1_macro"]].mean(axis=1))
    f1 = scores.pivot(index="seed", columns="row", values="f1")
    wanted = (f1["share_0.5_teacher_2"] - f1["share_0.5_real"]).tolist()
    lines = [line for line in figure.axes[2].lines if line.get_label() == "a seed"]
    assert lines[arms.index("labelled by teacher, 2 x")].get_xdata() == pytest.approx(wanted)
    assert len([line for line in figure.axes[3].lines if line.get_label() == "mean"]) == 3
    plt.close("all")
    settings = json.loads((tmp_path / "out" / "experiment.json").read_text())
    assert settings["experiment"] == "enrich" and settings["most"] == 40


@pytest.mark.parametrize("amounts, problem", [
    ("1,many", "is not numbers"), ("nan", "is not from 0"), ("1,inf", "is not from 0"), ("-1", "is not"),
])  # fmt: skip
def test_a_mistake_is_one_line(files, tmp_path, monkeypatch, capsys, amounts, problem):
    monkeypatch.setattr("sys.argv", [
        "affkit", "experiment", "enrich",
        *(word for name in files for word in (f"--{name}", str(files[name]))),
        "--out", str(tmp_path / "out"), f"--amounts={amounts}",
    ])  # fmt: skip
    with pytest.raises(SystemExit) as end:
        main()
    message = capsys.readouterr().err.strip()
    assert end.value.code == 2 and f"--amounts {amounts}: {problem}" in message and "\n" not in message
    assert not (tmp_path / "out").exists()


def test_intervals_of_gains_are_those_of_the_scores_on_both_sets(done):
    _, results = done
    found = gain_intervals(results, "CCC")
    assert set(found.index) == {(share, kind) for share in (0.5, 1.0) for kind in KINDS}
    ccc = results.scores.set_index(["set", "row", "seed"])[["ccc_valence", "ccc_arousal"]].mean(axis=1)
    for subset in ("validation", "test"):
        for share, kind in found.index:
            row, alone = row_name(share, kind, 1.0), row_name(share, "real")
            changes = [ccc[subset, row, seed] - ccc[subset, alone, seed] for seed in (0, 1)]
            spread = stats.t.interval(0.95, 1, np.mean(changes), stats.sem(changes))
            wanted = [np.mean(changes), *spread]
            np.testing.assert_allclose(found.loc[(share, kind), subset], wanted, atol=1e-9)
    assert not gains(results, "validation")["CCC"].equals(gains(results)["CCC"])

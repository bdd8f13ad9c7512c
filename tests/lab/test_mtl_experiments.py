"""Tables X and XI on a tiny store: scores against scikit-learn, what each row is taught, what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from score_checks import assert_scores
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score
from small_experiment import memory_store, partition_of
from typer.testing import CliRunner

from affkit.__main__ import app
from affkit.checkpoints import load_checkpoint
from affkit.corpus.partition import Partition, write_partition
from affkit.errors import UserError
from affkit.evaluation.predict import predict_store
from affkit.store import Store, select_rows
from affkit.train_multitask import MtlConfig
from affkit_lab.backbones.face_net import compute_features
from affkit_lab.experiments import table_x, table_xi
from affkit_lab.experiments.baselines import expression_baselines
from affkit_lab.experiments.results import Results
from affkit_lab.experiments.table_x import MtlPlan

pytestmark = pytest.mark.slow  # trains small networks

CONFIG = MtlConfig(width=0.03, hidden=4, attention_length=3, batch_size=4, sequence_length=5, frozen=True)
TINY = {"steps": 4, "save_every": 4, "device": "cpu", "config": CONFIG}


@pytest.fixture(scope="module")
def files(experiment_files, cnn_file, tmp_path_factory):
    return experiment_files | {"weights": cnn_file, "cache": tmp_path_factory.mktemp("cache")}


@pytest.fixture(scope="module")
def done(files, tmp_path_factory):
    """A finished Table X: the plan and its results."""
    plan = MtlPlan(**files, out=tmp_path_factory.mktemp("done"), seeds=(0, 1), **TINY)
    return plan, table_x.table_x(plan, progress=False)


@pytest.fixture(scope="module")
def done_xi(files, tmp_path_factory):
    """A finished Table XI."""
    plan = MtlPlan(**files, out=tmp_path_factory.mktemp("xi"), seeds=(3,), **TINY)
    return plan, table_xi.table_xi(plan, progress=False)


def test_scores_are_those_of_scikit_learn_on_the_test_people(done):
    """And a task that is not taught has none."""
    plan, results = done
    store = Store.open(plan.data)
    rows = np.flatnonzero(store.index["subject"].isin(["fay", "gus"]))
    assert len(results.test) == 2 * len(table_x.ROWS)
    untaught = {"0.5_0.5": (), "only_va": ("Neutral",), "only_expression": ("valence", "arousal")}
    for row, columns in untaught.items():
        network = plan.out / "runs" / row / "seed_1" / "affwildnet.safetensors"
        # from the pictures, where the experiment used the features
        answers = predict_store(network, select_rows(store, rows), "cpu", progress=False, length=5)
        found = results.test.query("row == @row and seed == 1").iloc[0]
        assert_scores(found, store.index.iloc[rows], answers.drop(columns=list(columns)))
    assert table_x.printed(results).loc[0, "CCC-V"] == "-"


def test_each_row_is_trained_as_the_tables_say(done, done_xi):
    plan, _ = done
    for name, (alpha, beta) in table_x.ROWS.items():
        _, how = load_checkpoint(plan.out / "runs" / name / "seed_0" / "affwildnet.safetensors")
        assert (how["config"]["alpha"], how["config"]["beta"]) == (alpha, beta)
    plan, results = done_xi
    assert len(results.test) == 12 and results.test["expression_accuracy"].notna().all()
    for name, row in table_xi.ROWS.items():
        _, how = load_checkpoint(plan.out / "runs" / name / "seed_3" / "affwildnet.safetensors")
        used = how["config"]
        assert (used["va_loss"], used["expression_loss"], used["lr"]) == row
        assert used["seed"] == 3 and used["alpha"] == used["beta"] == 0.5
    assert len(results.sentences) == len(table_xi.CLAIMS)
    assert Results.read(plan.out).as_dict() == results.as_dict()


def test_the_frozen_half_is_that_of_the_weights(done, files):
    plan, _ = done
    wanted, _ = load_checkpoint(files["weights"], "facenet")
    for row, seed in (("1_1", 0), ("only_va", 1)):
        tensors = load_file(plan.out / "runs" / row / f"seed_{seed}" / "affwildnet.safetensors")
        for name, tensor in wanted.cnn.state_dict().items():
            assert (tensors[f"cnn.{name}"] == tensor).all()
    (kept,) = plan.cache.glob("features_*.npy")  # computed once, for all runs and both tables
    features = compute_features(wanted.cnn, Store.open(plan.data))
    np.testing.assert_allclose(np.load(kept), features, rtol=1e-5, atol=1e-6)


def test_weights_with_the_same_ratio_are_nearly_one_run_under_adam(done):
    """Adam divides a gradient by its own size: a factor of the whole loss is lost, up to its epsilon."""
    plan, _ = done
    names = ("0.5_0.5", "1_1", "0.75_0.75", "0.25_0.75")
    files = {name: plan.out / "runs" / name / "seed_0" / "affwildnet.safetensors" for name in names}
    nets = {name: load_file(path) for name, path in files.items()}

    def apart(name):
        gaps = [(nets[name][key] - tensor).abs().mean() for key, tensor in nets["0.5_0.5"].items()]
        return float(max(gaps))

    assert max(apart("1_1"), apart("0.75_0.75")) < 0.2 * apart("0.25_0.75")


def test_the_papers_numbers():
    """Table X's middle row is Table XI's best one; the claims have the signs of the text, but for one."""
    best = table_xi.PAPER[table_xi.BEST]
    assert table_x.PAPER["0.5_0.5"] == best
    for score, number in best.items():  # "the best performance under all three evaluation criteria"
        assert number == max(row[score] for row in table_xi.PAPER.values())
        assert number == max(row.get(score, -1) for row in table_x.PAPER.values())
    assert [claim.paper > 0 for claim in table_xi.CLAIMS] == [True, True, False, True, True, True]
    assert table_xi.CLAIMS[2].paper == pytest.approx((0.507 - 0.561 + 0.441 - 0.487) / 2)
    assert all(claim.paper > 0 for claim in table_x.CLAIMS)
    assert table_x.CLAIMS[0].paper == pytest.approx((0.616 - 0.579 + 0.510 - 0.409) / 2)
    for row in table_xi.PAPER.values():  # the reading of the two F1 columns: the larger one is weighted
        assert row["expression_f1_weighted"] > row["expression_f1_macro"]


def test_what_is_finished_is_not_trained_again(done, monkeypatch):
    plan, results = done
    trained, original = [], table_x.train_mtl
    monkeypatch.setattr(table_x, "train_mtl", lambda *a, **k: trained.append(a[1].name) or original(*a, **k))
    assert table_x.table_x(plan, progress=False).as_dict() == results.as_dict() and not trained
    (plan.out / "runs" / "only_va" / "seed_1" / "scores.json").unlink()
    assert table_x.table_x(plan, progress=False).as_dict() == results.as_dict() and trained == ["seed_1"]


def test_some_rows_are_those_of_the_whole_table_and_only_their_claims_are_judged(
    done, done_xi, files, tmp_path
):
    _, results = done
    some = ["only_va", "0.5_0.5"]
    part = MtlPlan(**files, out=tmp_path / "x", seeds=(0, 1), **TINY)
    found = table_x.table_x(part, progress=False, rows=some)
    wanted = results.test[results.test["row"].isin(some)].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.test, wanted, check_like=True)
    assert [verdict["claim"]["worse"] for verdict in found.verdicts] == ["only_va"]
    assert table_x.printed(found)["learns"].tolist()[:2] == ["only VA", "both"]
    plan, _ = done_xi
    pairs = [table_xi.row_name(loss, "cross_entropy", 1e-3) for loss in ("ccc", "mse")]
    found = table_xi.table_xi(plan, progress=False, rows=pairs)
    assert found.test["row"].tolist() == pairs and len(found.sentences) == 1
    assert found.about == "rows: 2; seeds: 3; steps of each run: 4"
    for wrong, named in ((["0.5_0.5", "0.9_0.9"], "0.9_0.9"), ([], "nothing")):
        with pytest.raises(UserError, match=f"{named}: is no row of table-x; choose from only_expression"):
            table_x.table_x(part, progress=False, rows=wrong)


def test_all_frames_of_the_people_or_only_those_listed(files, tmp_path):
    partition = partition_of()
    listed = {name: dict.fromkeys(names, np.array([[2, 5]])) for name, names in partition.sets.items()}
    write_partition(tmp_path / "some.json", Partition(listed, partition.subjects))
    store = Store.open(files["data"])
    how = files | TINY | {"partition": tmp_path / "some.json", "out": tmp_path / "out"}
    some, every = (MtlPlan(**how, all_frames=which).mtl_sets(store) for which in (False, True))
    assert {subset: len(rows) for subset, rows in some.items()} == {"train": 16, "validation": 4, "test": 8}
    assert {subset: len(rows) for subset, rows in every.items()} == {
        "train": 40,
        "validation": 10,
        "test": 20,
    }
    assert all(set(some[subset]) < set(every[subset]) for subset in some)
    listed["test"]["clip_ann"] = np.array([[8, 9]])  # other frames of somebody in the training set
    with pytest.raises(UserError, match="has frames of clip_ann in two sets"):
        Partition(listed, partition.subjects).whole()


def test_what_is_refused(done, files, tmp_path):
    plan, _ = done
    where = files["data"], files["partition"], tmp_path / "out"
    with pytest.raises(UserError, match="a frozen network: would stay as it was initialised"):
        MtlPlan(*where, **TINY)
    with pytest.raises(UserError, match="holds another experiment"):
        table_xi.table_xi(MtlPlan(**files, out=plan.out, **TINY), progress=False)
    store = memory_store()
    store.index["expression"] = None
    with pytest.raises(UserError, match="has no train faces with expressions"):
        MtlPlan(*where, weights=files["weights"], **TINY).mtl_sets(store)
    wide = TINY | {"config": MtlConfig(width=0.05, frozen=True)}
    with pytest.raises(UserError, match="cnn.safetensors: has width 0.03 and faces of 32 pixels"):
        table_x.table_x(MtlPlan(*where, weights=files["weights"], **wide), progress=False)


def test_expression_baselines_are_those_of_a_dummy_classifier():
    store = memory_store(frames=50)
    train, test = store.labels[:200], store.labels[200:]
    baselines = expression_baselines(train, test)
    dummy = DummyClassifier(strategy="most_frequent").fit(np.zeros((200, 1)), train.expression)
    said = dummy.predict(np.zeros((len(test), 1)))
    assert baselines.at["majority", "expression_accuracy"] == pytest.approx((said == test.expression).mean())
    wanted = f1_score(test.expression, said, average="weighted", zero_division=0)
    assert baselines.at["majority", "expression_f1_weighted"] == pytest.approx(wanted)
    assert baselines.at["draw", "ccc_valence"] == 0
    fractions = np.bincount(train.expression, minlength=7) / 200
    chance = (fractions * np.bincount(test.expression, minlength=7) / len(test)).sum()
    assert baselines.at["draw", "expression_accuracy"] == pytest.approx(chance, abs=0.1)


def test_the_command(files, tmp_path):
    options = {name: str(files[name]) for name in ("data", "partition", "weights", "cache")}
    options |= {"width": "0.03", "steps": "1", "seeds": "0", "out": str(tmp_path / "out"), "device": "cpu"}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    run = CliRunner().invoke(app, ["experiment", "table-x", *words, "--json"])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout[run.stdout.index("{") :])
    assert found["settings"]["experiment"] == "table-x" and len(found["claims"]) == len(table_x.CLAIMS)
    assert (tmp_path / "out" / "figure.png").stat().st_size > 10_000

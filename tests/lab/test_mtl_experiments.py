"""Tables X and XI on a tiny store: scores against scikit-learn, what each row is taught, what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
from refusals import refused, run_affkit
from safetensors.torch import load_file
from score_checks import assert_scores
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score
from small_experiment import memory_store, partition_of

from affkit.checkpoints import load_checkpoint
from affkit.corpus.partition import Partition, write_partition
from affkit.store import Store
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


def network_of(plan, row, seed):
    return plan.out / "runs" / row / f"seed_{seed}" / "affwildnet.safetensors"


def test_scores_are_those_of_scikit_learn_on_the_test_people(done):
    """And a task that is not taught has none."""
    plan, results = done
    assert len(results.test) == 2 * len(table_x.ROWS)
    untaught = {"0.5_0.5": (), "only_va": ("Neutral",), "only_expression": ("valence", "arousal")}
    for row, columns in untaught.items():  # from the pictures, where the experiment used the features
        assert_scores(results, row, plan.data, network_of(plan, row, 1), columns, length=5)
    assert table_x.printed(results).loc[0, "CCC-V"] == "-"


def test_each_row_is_trained_as_the_tables_say(done, done_xi):
    def trained(plan, row, seed, *names):
        _, how = load_checkpoint(network_of(plan, row, seed))
        return tuple(how["config"][name] for name in names)

    plan, _ = done
    weights = {row: trained(plan, row, 0, "alpha", "beta") for row in table_x.ROWS}
    assert weights == table_x.ROWS
    plan, results = done_xi
    assert len(results.test) == 12 and results.test["expression_accuracy"].notna().all()
    for row, used in table_xi.ROWS.items():
        assert trained(plan, row, 3, "va_loss", "expression_loss", "lr") == used
        assert trained(plan, row, 3, "seed", "alpha", "beta") == (3, 0.5, 0.5)
    assert len(results.sentences) == len(table_xi.CLAIMS)
    assert Results.read(plan.out).as_dict() == results.as_dict()


def test_the_frozen_half_is_that_of_the_weights(done, files):
    plan, _ = done
    wanted, _ = load_checkpoint(files["weights"], "facenet")
    for row, seed in (("1_1", 0), ("only_va", 1)):
        tensors = load_file(network_of(plan, row, seed))
        assert all((tensors[f"cnn.{name}"] == own).all() for name, own in wanted.cnn.state_dict().items())
    (kept,) = plan.cache.glob("features_*.npy")  # computed once, for all runs and both tables
    features = compute_features(wanted.cnn, Store.open(plan.data))
    np.testing.assert_allclose(np.load(kept), features, rtol=1e-5, atol=1e-6)


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


def test_some_rows_are_those_of_the_whole_table_and_only_their_claims_are_judged(
    done, done_xi, files, tmp_path, monkeypatch
):
    _, results = done
    some = ["only_va", "0.5_0.5"]
    part = MtlPlan(**files, out=tmp_path / "x", seeds=(0, 1), **TINY)
    found = table_x.table_x(part, progress=False, rows=some)
    wanted = results.test[results.test["row"].isin(some)].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.test, wanted, check_like=True)
    assert [verdict["claim"]["worse"] for verdict in found.verdicts] == ["only_va"]
    assert table_x.printed(found)["learns"].tolist()[:2] == ["only VA", "both"]
    monkeypatch.setattr(table_x, "train_mtl", None)  # what is finished is not trained again
    plan, _ = done_xi
    pairs = [table_xi.row_name(loss, "cross_entropy", 1e-3) for loss in ("ccc", "mse")]
    found = table_xi.table_xi(plan, progress=False, rows=pairs)
    assert found.test["row"].tolist() == pairs and len(found.sentences) == 1
    assert found.about == "rows: 2; seeds: 3; steps of each run: 4"
    for wrong, named in ((["0.5_0.5", "0.9_0.9"], "0.9_0.9"), ([], "nothing")):
        with refused(f"{named}: is no row of table-x; choose from only_expression"):
            table_x.table_x(part, progress=False, rows=wrong)


def test_all_frames_of_the_people_or_only_those_listed(files, tmp_path):
    partition = partition_of()
    listed = {name: dict.fromkeys(names, np.array([[2, 5]])) for name, names in partition.sets.items()}
    write_partition(tmp_path / "some.json", Partition(listed, partition.subjects))
    store = Store.open(files["data"])
    how = files | TINY | {"partition": tmp_path / "some.json", "out": tmp_path / "out"}
    some, every = (MtlPlan(**how, all_frames=which).mtl_sets(store) for which in (False, True))
    sizes = [{subset: len(rows) for subset, rows in sets.items()} for sets in (some, every)]
    assert sizes[0] == {"train": 16, "validation": 4, "test": 8}
    assert sizes[1] == {"train": 40, "validation": 10, "test": 20}
    assert all(set(some[subset]) < set(every[subset]) for subset in some)
    listed["test"]["clip_ann"] = np.array([[8, 9]])  # other frames of somebody in the training set
    with refused("has frames of clip_ann in two sets"):
        Partition(listed, partition.subjects).whole()


def test_what_is_refused(done, files, tmp_path):
    plan, _ = done
    where = files["data"], files["partition"], tmp_path / "out"
    with refused("a frozen network: would stay as it was initialised"):
        MtlPlan(*where, **TINY)
    with refused("holds another experiment"):
        table_xi.table_xi(MtlPlan(**files, out=plan.out, **TINY), progress=False)
    store = memory_store()
    store.index["expression"] = None
    with refused("has no train faces with expressions"):
        MtlPlan(*where, weights=files["weights"], **TINY).mtl_sets(store)
    wide = TINY | {"config": MtlConfig(width=0.05, frozen=True)}
    with refused("cnn.safetensors: has width 0.03 and faces of 32 pixels"):
        table_x.table_x(MtlPlan(*where, weights=files["weights"], **wide), progress=False)


def test_expression_baselines_are_those_of_a_dummy_classifier():
    store = memory_store(frames=50)
    train, test = store.labels[:200], store.labels[200:]
    baselines = expression_baselines(train, test)
    dummy = DummyClassifier(strategy="most_frequent").fit(np.zeros((200, 1)), train.expression)
    said = dummy.predict(np.zeros((len(test), 1)))
    wanted = {"expression_accuracy": (said == test.expression).mean()}
    wanted["expression_f1_weighted"] = f1_score(test.expression, said, average="weighted", zero_division=0)
    assert baselines.loc["majority", list(wanted)].to_dict() == pytest.approx(wanted)
    train, test = (np.bincount(one.expression, minlength=7) / len(one) for one in (train, test))
    assert baselines.at["draw", "expression_accuracy"] == pytest.approx(train @ test, abs=0.1)
    assert baselines.at["draw", "ccc_valence"] == 0


def test_the_command(files, tmp_path, monkeypatch, capsys):
    where = [word for name, path in files.items() for word in (f"--{name}", path)]
    tiny = "--width 0.03 --steps 1 --seeds 0 --device cpu --json".split()
    line = ["experiment", "table-x", *where, "--out", tmp_path / "out", *tiny]
    code, said, complaint = run_affkit(monkeypatch, capsys, *line)
    assert code == 0, complaint
    found = json.loads(said)
    assert found["settings"]["experiment"] == "table-x" and len(found["claims"]) == len(table_x.CLAIMS)
    assert (tmp_path / "out" / "figure.png").stat().st_size > 10_000

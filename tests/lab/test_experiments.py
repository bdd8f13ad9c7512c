"""Experiments on a tiny store: resumable, parallel, honest about data; scores against scikit-learn."""

import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from guesses import plain_ccc
from safetensors.torch import load_file
from sklearn.dummy import DummyRegressor
from sklearn.metrics import accuracy_score, f1_score, mean_squared_error
from small_experiment import memory_store, partition_of, write_files

from affkit.corpus.partition import write_partition
from affkit.errors import UserError
from affkit.evaluation.evaluate import score
from affkit.evaluation.predict import predict_store
from affkit.labels import ACTION_UNITS, Labels
from affkit.store import Store, select_rows, write_store
from affkit_lab.experiments import gan_experiments
from affkit_lab.experiments.baselines import best_for_nothing, for_nothing
from affkit_lab.experiments.gan_experiments import GanPlan
from affkit_lab.experiments.results import Results, markdown
from affkit_lab.experiments.runner import Trial, run_trial
from affkit_lab.experiments.table_ix import CLAIMS, PAPER, ROWS, printed, table_ix

pytestmark = pytest.mark.slow  # trains small networks

TINY = {"width": 0.03, "steps": 4, "save_every": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def done(files, tmp_path_factory):
    """A finished experiment: the plan and its results."""
    plan = GanPlan(**files, out=tmp_path_factory.mktemp("done"), seeds=(0, 1), **TINY)
    return plan, table_ix(plan, progress=False)


def test_scores_are_those_of_scikit_learn_on_the_test_people(done):
    plan, results = done
    store = Store.open(plan.data)
    rows = np.flatnonzero(store.index["subject"].isin(["fay", "gus"]))
    table = store.index.iloc[rows]
    assert len(results.test) == 2 * len(ROWS)
    for name in ("va_mse", "au", "va_au_ccc"):
        network = plan.out / "runs" / name / "seed_1" / "discriminator.safetensors"
        answers = predict_store(network, select_rows(store, rows), "cpu", progress=False)
        found = results.test.query("row == @name and seed == 1").iloc[0]
        for column in ("valence", "arousal") if name != "au" else ():
            assert found[f"ccc_{column}"] == pytest.approx(
                plain_ccc(table[column], answers[column]), abs=1e-5
            )
            error = mean_squared_error(table[column], answers[column])
            assert found[f"mse_{column}"] == pytest.approx(error, abs=1e-5)
        if name != "va_mse":
            truth, said = table[list(ACTION_UNITS)], answers[list(ACTION_UNITS)] >= 0.5
            truth, said = truth.to_numpy(int), said.to_numpy(int)
            for average in ("macro", "weighted"):
                wanted = f1_score(truth, said, average=average, zero_division=0)
                assert found[f"au_f1_{average}"] == pytest.approx(wanted, abs=1e-6)
            wanted = accuracy_score(truth.ravel(), said.ravel())
            assert found["au_accuracy"] == pytest.approx(wanted, abs=1e-6)
    assert results.test.loc[results.test["row"] == "au", ["ccc_valence", "mse_arousal"]].isna().all(axis=None)
    assert set(results.scores["set"]) == {"validation", "test"}


def test_each_row_is_trained_as_table_ix_says(done):
    plan, _ = done
    for name, row in ROWS.items():
        log = pd.read_csv(plan.out / "runs" / name / "seed_0" / "log.csv")
        assert ("real_va" in log) == ("VA" in row.tells) and ("real_au" in log) == ("AU" in row.tells)
        if "VA" in row.tells:  # the CCC of generated faces is inert and 1; their MSE is not
            assert (log["fake_va"] == 1).all() == row.loss.startswith("CCC")


def test_the_papers_numbers_stand_beside_ours(done):
    _, results = done
    table = printed(results)
    assert table["CCC-V, paper"].tolist() == ["0.440", "0.484", "-", "0.447", "0.451", "-", "-"]
    assert table["F1 macro, paper"].tolist() == ["-", "-", "0.400", "0.330", "0.347", "-", "-"]
    own = results.test.query("row == 'va_ccc'")["ccc_valence"]
    assert table.at[0, "CCC-V"] == f"{own.mean():z.3f} ± {own.std():.3f}"
    assert table["seeds"].tolist()[:5] == ["2"] * 5 and table.at[5, "CCC-V"] == "0.000"
    assert markdown(table).count("\n") == len(table) + 1


def test_the_paper_contradicts_one_of_its_own_claims():
    """V.A.1 says only VA is better than jointly; with the CCC loss Table IX says .440/.370 and .447/.374."""
    assert [claim.paper > 0 for claim in CLAIMS] == [True, True, False, True, True]
    assert CLAIMS[2].paper == pytest.approx(-0.0055)
    assert CLAIMS[0].paper == pytest.approx((0.404 + 0.40 + 0.824 - 0.328 - 0.330 - 0.661) / 3)
    assert set(PAPER) == set(ROWS)


def test_results_are_read_as_they_were_written(done):
    plan, results = done
    again = Results.read(plan.out)
    pd.testing.assert_frame_equal(again.scores, results.scores, check_exact=False, rtol=1e-8)
    pd.testing.assert_frame_equal(again.nothing, results.nothing)
    assert again.as_dict() == results.as_dict() and len(again.sentences) == len(CLAIMS)
    text = (plan.out / "table.md").read_text()
    assert all(sentence in text for sentence in results.sentences)
    pd.testing.assert_frame_equal(printed(again), printed(results))


def test_what_is_finished_is_not_trained_again(done, monkeypatch):
    plan, results = done
    before = {path: path.read_bytes() for path in plan.out.glob("*.*")}
    trained = []
    original = gan_experiments.train_gan
    monkeypatch.setattr(
        gan_experiments, "train_gan", lambda *a, **k: trained.append(a[1].name) or original(*a, **k)
    )
    table_ix(plan, progress=False)
    assert not trained and before == {path: path.read_bytes() for path in plan.out.glob("*.*")}
    (plan.out / "runs" / "au" / "seed_1" / "scores.json").unlink()
    table_ix(plan, progress=False)
    assert trained == ["seed_1"] and before == {path: path.read_bytes() for path in plan.out.glob("*.*")}


def test_parallel_runs_give_the_same_table(done, files, tmp_path):
    plan, _ = done
    table_ix(GanPlan(**files, out=tmp_path / "out", seeds=(0, 1), jobs=2, **TINY), progress=False)
    for name in ("scores.csv", "results.json", "table.md"):
        assert (tmp_path / "out" / name).read_bytes() == (plan.out / name).read_bytes()


KILLED = """
import sys
from affkit_lab.experiments.gan_experiments import GanPlan
from affkit_lab.experiments.table_ix import table_ix
how = {"seeds": (0,), "width": 0.03, "steps": 40, "save_every": 1, "device": "cpu"}
table_ix(GanPlan(*sys.argv[1:4], **how), progress=False)
"""


def test_a_grid_that_was_killed_ends_with_the_same_table(files, tmp_path):
    """SIGKILL while the second row is in training; then the same command."""
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", KILLED, *map(str, files.values()), out])
    second = out / "runs" / "va_mse" / "seed_0"
    while not (second / "training.safetensors").exists():
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert (out / "runs" / "va_ccc" / "seed_0" / "scores.json").exists()
    assert not (second / "scores.json").exists() and not (out / "scores.csv").exists()
    options = TINY | {"steps": 40, "seeds": (0,)}
    table_ix(GanPlan(**files, out=out, **options), progress=False)
    table_ix(GanPlan(**files, out=tmp_path / "whole", **options), progress=False)
    assert len(pd.read_csv(second / "log.csv")) == 40
    for name in ("scores.csv", "results.json", "table.md"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_partition_that_leaks_is_refused_before_any_work(files, tmp_path):
    partition = partition_of()
    partition.sets["test"]["clip_ann"] = None
    write_partition(tmp_path / "leaks.json", partition)
    with pytest.raises(UserError, match="leaks.json: leaks: subject ann: train"):
        table_ix(GanPlan(files["data"], tmp_path / "leaks.json", tmp_path / "out", **TINY), progress=False)
    partition = partition_of()
    partition.sets.pop("test")
    write_partition(tmp_path / "half.json", partition)
    with pytest.raises(UserError, match="has no test faces with valence"):
        table_ix(GanPlan(files["data"], tmp_path / "half.json", tmp_path / "out", **TINY), progress=False)
    assert not (tmp_path / "out").exists()


def test_another_experiment_is_not_mixed_in(done, files, tmp_path):
    plan, _ = done
    with pytest.raises(UserError, match="holds another experiment, or other data"):
        table_ix(GanPlan(**files, out=plan.out, **TINY | {"steps": 5}), progress=False)
    store = memory_store()
    store.index.loc[3, "valence"] = 0.123
    write_store(tmp_path / "store", store)
    with pytest.raises(UserError, match="or other data"):
        table_ix(GanPlan(tmp_path / "store", plan.partition, plan.out, **TINY), progress=False)
    with pytest.raises(UserError, match="one comes twice"):
        GanPlan(**files, out=tmp_path, seeds=(1, 1))


def weights_after(folder, store, hidden):
    plan = GanPlan("", "", folder, **TINY)
    trial = Trial("va_au", 0, plan.config(0, targets="va+au", va_loss="mse"), np.arange(40), hidden)
    run_trial(plan, trial, lambda: store, {"test": np.arange(50, 70)})
    return load_file(trial.folder(folder) / "discriminator.safetensors")


def test_hidden_labels_have_no_influence(tmp_path):
    """Other labels of hidden rows change no weight; other labels of rows that are not hidden do."""
    hidden = np.arange(5, 40)
    other, spoilt = memory_store(), memory_store()
    for store, rows in ((other, hidden), (spoilt, np.arange(5))):
        store.index.loc[rows, ["valence", "arousal"]] *= -1
        store.index.loc[rows, list(ACTION_UNITS)] = 1 - store.index.loc[rows, list(ACTION_UNITS)]
    first = weights_after(tmp_path / "first", memory_store(), hidden)
    same = weights_after(tmp_path / "same", other, hidden)
    changed = weights_after(tmp_path / "changed", spoilt, hidden)
    assert all((first[name] == same[name]).all() for name in first)
    assert any((first[name] != changed[name]).any() for name in first)


def test_what_one_gets_for_nothing():
    store = memory_store(frames=20)
    train, test = store.labels[:80], store.labels[80:]
    nothing = for_nothing(train, test)
    truth = test.action_units.astype(int)
    often = np.repeat([train.action_units.mean(axis=0) > 0.5], len(test), axis=0).astype(int)
    for row, said in (("always", np.ones_like(truth)), ("majority", often)):
        for average in ("macro", "weighted"):
            wanted = f1_score(truth, said, average=average, zero_division=0)
            assert nothing.at[row, f"au_f1_{average}"] == pytest.approx(wanted)
        assert nothing.at[row, "au_accuracy"] == pytest.approx((truth == said).mean())
        mean = DummyRegressor().fit(np.zeros((80, 1)), train.valence).predict(np.zeros((len(test), 1)))
        assert nothing.at[row, "mse_valence"] == pytest.approx(mean_squared_error(test.valence, mean))
        assert nothing.at[row, "ccc_valence"] == 0
    best = best_for_nothing(nothing)
    assert best["au_accuracy"] == nothing["au_accuracy"].max()
    assert best["mse_arousal"] == nothing["mse_arousal"].min()
    assert for_nothing(Labels.empty(3), test).at["majority", "au_accuracy"] == pytest.approx(1 - truth.mean())


def test_average_precision_is_the_mean_precision_at_each_active_frame():
    rng = np.random.default_rng(0)
    units = (rng.random((200, 8)) < 0.3).astype(np.float32)
    units[:, 3] = 0  # never active: does not count
    known = rng.random((200, 8)) < 0.8
    likely = rng.random((200, 8))
    labels = replace(Labels.empty(200), action_units=units * known, has_action_units=known)
    wanted = []
    for unit in (0, 1, 2, 4, 5, 6, 7):
        hits, precisions = 0, []
        seen = np.flatnonzero(known[:, unit])
        for rank, frame in enumerate(seen[np.argsort(-likely[seen, unit])], 1):
            if units[frame, unit]:
                hits += 1
                precisions.append(hits / rank)
        wanted.append(np.mean(precisions))
    found = score(pd.DataFrame(likely, columns=ACTION_UNITS), labels)
    assert found["au_average_precision"] == pytest.approx(np.mean(wanted))

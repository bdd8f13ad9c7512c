"""Table IX and semi-supervised learning on a tiny store: resumable, honest, scored as by scikit-learn."""

import json
import multiprocessing
import os
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused, run_affkit
from safetensors.torch import load_file
from score_checks import assert_scores
from sklearn.metrics import f1_score, mean_squared_error
from small_experiment import PEOPLE, memory_store, partition_of

from affkit.corpus.partition import write_partition
from affkit.faces.pool import SHEET_COLUMNS, write_sheet
from affkit.labels import ACTION_UNITS, VA, Labels
from affkit.store import Store, write_store
from affkit_lab.backbones.train_faces import predictor_config
from affkit_lab.experiments import table_ix
from affkit_lab.experiments.baselines import action_unit_baselines, best_baseline
from affkit_lab.experiments.enrichment import EnrichPlan
from affkit_lab.experiments.results import Results, markdown
from affkit_lab.experiments.runner import Trial, run_trial
from affkit_lab.experiments.semi_supervised import label_order, label_trials
from affkit_lab.experiments.table_x import MtlPlan
from affkit_lab.figures.tables import label_share_curves, table_ix_bars

pytestmark = pytest.mark.slow  # trains small networks

TINY = {"width": 0.03, "steps": 3, "save_every": 3, "device": "cpu"}
SAMPLES = Path(__file__).parents[2] / "data_samples"


@pytest.fixture(scope="module")
def files(experiment_files, tmp_path_factory):
    """Those of an experiment, a pool of faces without labels, and a partition that leaks."""
    folder = tmp_path_factory.mktemp("files")
    faces = np.random.default_rng(0).integers(0, 256, (SHEET_COLUMNS, 32, 32, 3), dtype=np.uint8)
    write_sheet(folder / "pool" / "faces_01.webp", faces)
    leaks = experiment_files["partition"].with_name("leaks.json")
    return experiment_files | {"pool": folder / "pool", "leaks": leaks}


def plan_of(files, out, **options):
    return table_ix.GanPlan(files["data"], files["partition"], out, **TINY | options)


@pytest.fixture(scope="module")
def done(files, tmp_path_factory):
    """A finished experiment: the plan and its results."""
    plan = plan_of(files, tmp_path_factory.mktemp("done"), seeds=(0, 1))
    return plan, table_ix.table_ix(plan, progress=False)


def test_scores_are_those_of_scikit_learn_on_the_test_people(done):
    plan, results = done
    assert len(results.test) == 2 * len(table_ix.ROWS)
    assert set(results.scores["set"]) == {"validation", "test"}
    for name in ("va_mse", "au", "va_au_ccc"):
        network = plan.out / "runs" / name / "seed_1" / "discriminator.safetensors"
        assert_scores(results, name, plan.data, network)


def test_each_row_is_trained_as_table_ix_says(done):
    plan, _ = done
    for name, row in table_ix.ROWS.items():
        log = pd.read_csv(plan.out / "runs" / name / "seed_0" / "log.csv")
        assert ("real_va" in log) == ("VA" in row.tells) and ("real_au" in log) == ("AU" in row.tells)
        if "VA" in row.tells:  # the CCC of generated faces is inert and 1; their MSE is not
            assert (log["fake_va"] == 1).all() == row.loss.startswith("CCC")


def test_the_papers_numbers_stand_beside_ours(done):
    _, results = done
    table = table_ix.printed(results)
    assert table["CCC-V, paper"].tolist() == ["0.440", "0.484", "-", "0.447", "0.451", "-", "-"]
    assert table["F1 macro, paper"].tolist() == ["-", "-", "0.400", "0.330", "0.347", "-", "-"]
    own = results.test.query("row == 'va_ccc'")["ccc_valence"]
    assert table.at[0, "CCC-V"] == f"{own.mean():z.3f} ± {own.std():.3f}"
    assert table["seeds"].tolist()[:5] == ["2"] * 5 and table.at[5, "CCC-V"] == "0.000"
    assert markdown(table).count("\n") == len(table) + 1


def test_the_paper_contradicts_one_of_its_own_claims():
    """V.A.1 says only VA is better than jointly; with the CCC loss Table IX says .440/.370 and .447/.374."""
    assert [claim.paper > 0 for claim in table_ix.CLAIMS] == [True, True, False, True, True]
    assert table_ix.CLAIMS[2].paper == pytest.approx(-0.0055)
    assert table_ix.CLAIMS[0].paper == pytest.approx((0.404 + 0.40 + 0.824 - 0.328 - 0.330 - 0.661) / 3)
    assert set(table_ix.PAPER) == set(table_ix.ROWS)


def test_results_are_read_as_they_were_written(done):
    plan, results = done
    again = Results.read(plan.out)
    pd.testing.assert_frame_equal(again.scores, results.scores, check_exact=False, rtol=1e-8)
    assert again.as_dict() == results.as_dict() and len(again.sentences) == len(table_ix.CLAIMS)
    text = (plan.out / "table.md").read_text()
    assert all(sentence in text for sentence in results.sentences)
    pd.testing.assert_frame_equal(table_ix.printed(again), table_ix.printed(results))


def test_what_is_finished_is_not_trained_again(done, monkeypatch):
    plan, _ = done
    before = {path: path.read_bytes() for path in plan.out.glob("*.*")}
    trained, original = [], table_ix.train_gan
    monkeypatch.setattr(table_ix, "train_gan", lambda *a, **k: trained.append(a[1].name) or original(*a, **k))
    for wanted in ([], ["seed_1"]):
        table_ix.table_ix(plan, progress=False)
        assert trained == wanted and before == {path: path.read_bytes() for path in plan.out.glob("*.*")}
        (plan.out / "runs" / "au" / "seed_1" / "scores.json").unlink()
    table_ix.table_ix(plan, progress=False)


def test_a_grid_that_was_killed_ends_with_the_same_table(files, tmp_path, monkeypatch):
    """SIGKILL while the second row is in training; then the same command."""
    monkeypatch.setattr(table_ix, "ROWS", {name: table_ix.ROWS[name] for name in ("va_ccc", "va_mse")})
    how = {"steps": 10, "save_every": 1, "seeds": (0,)}
    killed, whole = (plan_of(files, tmp_path / name, **how) for name in ("killed", "whole"))
    process = multiprocessing.get_context("fork").Process(target=table_ix.table_ix, args=(killed, False))
    process.start()
    first, second = (killed.out / "runs" / name / "seed_0" for name in ("va_ccc", "va_mse"))
    while not (second / "training.safetensors").exists():
        assert process.is_alive(), "ended before it could be killed"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL and (first / "scores.json").exists()
    assert not (second / "scores.json").exists() and not (killed.out / "scores.csv").exists()
    table_ix.table_ix(killed, progress=False)
    table_ix.table_ix(whole, progress=False)
    assert len(pd.read_csv(second / "log.csv")) == 10
    for name in ("scores.csv", "results.json", "table.md"):
        assert (killed.out / name).read_bytes() == (whole.out / name).read_bytes()


def test_a_partition_without_test_labels_and_another_experiment_are_refused(done, files, tmp_path):
    half = partition_of()
    half.sets.pop("test")
    write_partition(tmp_path / "partition.json", half)
    with refused("partition.json: has no test faces with valence"):
        table_ix.table_ix(plan_of(files | {"partition": tmp_path / "partition.json"}, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    plan, _ = done
    store = memory_store()
    store.index.loc[3, "valence"] = 0.123
    write_store(tmp_path / "store", store)
    for data, steps in ((files["data"], 5), (tmp_path / "store", 3)):
        with refused("holds another experiment, or other data"):
            table_ix.table_ix(plan_of(files | {"data": data}, plan.out, steps=steps), progress=False)
    with refused("one comes twice"):
        plan_of(files, tmp_path, seeds=(1, 1))


@pytest.mark.parametrize("folder", ["table-ix", "semi-supervised", "table-x", "table-xi", "enrich"])
def test_experiments_of_before_are_recognised(folder):
    """The identity of the shipped results, which the folder of a started experiment holds, too."""
    results, weights = Results.read(SAMPLES / "results" / folder), SAMPLES / "weights"
    where, how = ("", "", ""), {"steps": results.settings["steps"]}
    if folder == "enrich":
        gan = {name: weights / "gan_1" / f"{name}.safetensors" for name in ("generator", "discriminator")}
        plan = EnrichPlan(*where, config=predictor_config(0.25), **gan, **how)
    elif folder in ("table-x", "table-xi"):
        plan = MtlPlan(*where, weights=weights / "cnn.safetensors", **how)
    else:
        plan = table_ix.GanPlan(*where, **how)
    identity = plan.identity(folder)
    assert identity.items() <= results.settings.items()
    assert set(results.settings) - set(identity) <= {"faces", "size", "labels", "sets", "by"}


def test_hidden_labels_have_no_influence(tmp_path):
    """Other labels of hidden rows change no weight; other labels of rows that are not hidden do."""
    hidden = np.arange(5, 40)
    first, same, changed = memory_store(), memory_store(), memory_store()
    for store, rows in ((same, hidden), (changed, np.arange(5))):
        store.index.loc[rows, list(VA)] *= -1
        store.index.loc[rows, list(ACTION_UNITS)] = 1 - store.index.loc[rows, list(ACTION_UNITS)]

    def weights_after(name, store):
        plan = table_ix.GanPlan("", "", tmp_path / name, **TINY)
        trial = Trial("va_au", 0, plan.config(targets="va+au", va_loss="mse"), np.arange(40), hidden)
        train, tested = partial(table_ix.train_discriminator, plan), {"test": np.arange(50, 70)}
        run_trial(plan, trial, train, tested, lambda: store)
        return load_file(trial.folder(plan.out) / "discriminator.safetensors")

    first, same, changed = map(weights_after, ("first", "same", "changed"), (first, same, changed))
    assert all((first[name] == same[name]).all() for name in first)
    assert any((first[name] != changed[name]).any() for name in first)


def test_baselines_of_action_units():
    store = memory_store(frames=20)
    train, test = store.labels[:80], store.labels[80:]
    baselines = action_unit_baselines(train, test)
    truth = test.action_units.astype(int)
    often = np.repeat([train.action_units.mean(axis=0) > 0.5], len(test), axis=0).astype(int)
    mean = np.full(len(test), train.valence.mean())
    for row, said in (("always", np.ones_like(truth)), ("majority", often)):
        f1 = {
            f"au_f1_{kind}": f1_score(truth, said, average=kind, zero_division=0)
            for kind in ("macro", "weighted")
        }
        wanted = f1 | {"au_accuracy": (truth == said).mean(), "ccc_valence": 0}
        wanted |= {"mse_valence": mean_squared_error(test.valence, mean)}
        assert baselines.loc[row, list(wanted)].to_dict() == pytest.approx(wanted)
    best = best_baseline(baselines)
    assert best["au_accuracy"] == baselines["au_accuracy"].max()
    assert best["mse_arousal"] == baselines["mse_arousal"].min()
    nobody = action_unit_baselines(Labels.empty(3), test)
    assert nobody.at["majority", "au_accuracy"] == pytest.approx(1 - truth.mean())


# Semi-supervised learning


@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=30), st.integers(0, 99))
def test_labels_are_given_in_an_order_of_all_faces(subjects, seed):
    subjects = np.array(subjects)
    for by in ("frame", "subject"):
        order = label_order(subjects, seed, by)
        assert sorted(order) == list(range(len(subjects)))
        assert order.tolist() == label_order(subjects, seed, by).tolist()
    met = subjects[order]  # by subject: nobody comes again after somebody else
    assert (met[1:] != met[:-1]).sum() + 1 == len(set(subjects))


def test_the_seed_draws_other_faces():
    subjects = np.repeat(list("abcdefgh"), 5)
    for by in ("frame", "subject"):
        assert len({tuple(label_order(subjects, seed, by)[:5]) for seed in range(5)}) > 1


def trials(files, pool=0, **options):
    """The runs of the tiny store with ``pool`` more faces behind it."""
    plan, store = plan_of(files, "", seeds=(0, 1)), Store.open(files["data"])
    rows = np.arange(len(store), len(store) + pool)
    return label_trials(plan, store, plan.gan_sets(store)["train"], rows, **options)


def test_each_run_is_trained_on_what_it_says(files):
    subject = Store.open(files["data"]).index["subject"]
    train = np.flatnonzero(subject.isin(PEOPLE["train"]))  # 40 faces
    runs = trials(files, SHEET_COLUMNS, fractions=(0.1, 0.5, 1.0), by="frame")
    assert len(runs) == 3 * 2 * 2
    kept = {}
    for run in runs:
        labelled = np.setdiff1d(run.train, run.hidden)
        labelled = labelled[labelled < len(subject)]
        assert len(labelled) == run.notes["labelled_faces"] == round(run.notes["fraction"] * 40)
        assert np.isin(labelled, train).all() and np.array_equal(np.union1d(labelled, run.hidden), train)
        others = run.train[~np.isin(run.train, labelled)]
        if run.notes["unlabelled"]:  # the rest of the training faces and the pool; about half are labelled
            assert sorted(others) == [*run.hidden, *range(len(subject), len(subject) + SHEET_COLUMNS)]
            assert 0.4 < 1 - len(others) / len(run.train) < 0.6
        else:
            assert np.array_equal(run.train, labelled)
        kept.setdefault((run.notes["fraction"], run.seed), []).append(labelled)
    assert all(np.array_equal(*pair) for pair in kept.values())  # the same faces with and without
    for seed in (0, 1):
        few, half, whole = (set(kept[fraction, seed][0]) for fraction in (0.1, 0.5, 1.0))
        assert few < half < whole
    assert set(kept[0.1, 0][0]) != set(kept[0.1, 1][0])
    # without a pool all labels leave nothing unlabelled
    runs = trials(files, fractions=(0.5, 1.0), by="subject")
    assert sorted({run.row for run in runs}) == ["share_0.5_with", "share_0.5_without", "share_1_without"]


@pytest.fixture
def affkit(files, tmp_path, monkeypatch, capsys):
    """Run ``affkit experiment`` in an empty folder; the exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(line: str, partition="partition") -> tuple[int, str]:
        where = ["--data", files["data"], "--partition", files[partition], "--device", "cpu"]
        code, out, err = run_affkit(monkeypatch, capsys, "experiment", *line.split(), *where)
        return code, err.strip() if code else out

    return run


FILES = {"experiment.json", "runs", "scores.csv", "results.json", "table.md", "figure.png"}


def test_the_command_of_semi_supervised_learning(affkit, files, tmp_path):
    tiny = "--shares 0.2,1 --steps 2 --width 0.03 --seeds 0"
    code, output = affkit(f"semi-supervised --out semi --pool {files['pool']} {tiny}")
    assert code == 0 and "with 20% of the labels, faces without labels raise the CCC" in output
    assert {path.name for path in (tmp_path / "semi").iterdir()} == FILES
    results = Results.read(tmp_path / "semi")
    added = results.test.groupby("row")["unlabelled_faces"].apply(list)  # 32 for training, and the pool
    assert added.tolist() == [[32 + SHEET_COLUMNS], [0], [SHEET_COLUMNS], [0]]
    axis = label_share_curves(results).axes[0]
    means = results.test.query("not unlabelled").groupby("fraction")["ccc_valence"].mean()
    np.testing.assert_allclose(axis.lines[1].get_ydata(), means)
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["20", "100"]


def test_the_command_of_table_ix_goes_on_with_its_folder(affkit, done):
    plan, results = done
    code, output = affkit(f"table-ix --out {plan.out} --steps 3 --width 0.03 --seeds 0,1 --json")
    assert code == 0 and json.loads(output)["claims"] == results.as_dict()["claims"]
    assert {path.name for path in plan.out.iterdir()} == FILES


def test_bars_of_table_ix_are_means_dots_are_seeds_and_diamonds_the_paper(done):
    _, results = done
    panel = table_ix_bars(results).axes[3]  # F1 macro: of three rows
    means = results.test.groupby("row")["au_f1_macro"].mean()[["au", "va_au_ccc", "va_au_mse"]]
    assert [bar.get_width() for bar in panel.patches] == pytest.approx(means.tolist())
    diamonds = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "D"]
    assert diamonds == [0.40, 0.330, 0.347]
    dots = np.concatenate([line.get_xdata() for line in panel.lines if line.get_marker() == "o"])
    assert sorted(dots) == pytest.approx(sorted(results.test["au_f1_macro"].dropna()))


@pytest.mark.parametrize("line, partition, expected", [
    ("table-ix", "leaks", "leaks: subject ann: train (clip_ann), test (clip_ann)"),
    ("semi-supervised", "leaks", "leaks: subject ann: train (clip_ann), test (clip_ann)"),
    ("semi-supervised --pool nowhere", "partition", "holds no sheet of faces"),
])  # fmt: skip
def test_mistakes_are_one_line_and_leave_nothing(affkit, tmp_path, line, partition, expected):
    """Those in single options are in test_reliability_report.py."""
    code, message = affkit(f"{line} --out out", partition)
    assert code == 2 and expected in message and "\n" not in message
    assert not (tmp_path / "out").exists()

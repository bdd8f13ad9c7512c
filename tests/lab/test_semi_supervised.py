"""Semi-supervised learning: which faces keep labels, what each run is trained on, and the whole command."""

import json
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_experiment import partition_of

from affkit.__main__ import main
from affkit.corpus.partition import write_partition
from affkit.faces.pool import SHEET_COLUMNS, write_sheet
from affkit.store import Store
from affkit_lab.experiments.results import Results
from affkit_lab.experiments.semi_supervised import label_order, label_trials
from affkit_lab.experiments.table_ix import GanPlan
from affkit_lab.figures.tables import label_share_curves, table_ix_bars

pytestmark = pytest.mark.slow  # trains small networks


@pytest.fixture(scope="module")
def files(experiment_files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    faces = np.random.default_rng(0).integers(0, 256, (SHEET_COLUMNS, 32, 32, 3), dtype=np.uint8)
    write_sheet(folder / "pool" / "faces_01.webp", faces)
    partition = partition_of()
    partition.sets["test"]["clip_ann"] = None
    write_partition(folder / "leaks.json", partition)
    return experiment_files | {"pool": folder / "pool", "leaks": folder / "leaks.json"}


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
    plan, store = GanPlan(files["data"], files["partition"], "", seeds=(0, 1)), Store.open(files["data"])
    rows = np.arange(len(store), len(store) + pool)
    return label_trials(plan, store, plan.gan_sets(store)["train"], rows, **options)


def test_each_run_is_trained_on_what_it_says(files):
    subject = Store.open(files["data"]).index["subject"].to_numpy()
    train = np.flatnonzero(np.isin(subject, ["ann", "ben", "cem", "dan"]))  # 40 faces
    runs = trials(files, SHEET_COLUMNS, fractions=(0.1, 0.5, 1.0), by="frame")
    assert len(runs) == 3 * 2 * 2
    kept = {}
    for run in runs:
        alone, labelled = not run.notes["unlabelled"], np.setdiff1d(run.train, run.hidden)
        labelled = labelled[labelled < len(subject)]
        assert len(labelled) == run.notes["labelled_faces"] == round(run.notes["share"] * 40)
        assert np.isin(labelled, train).all() and np.array_equal(np.union1d(labelled, run.hidden), train)
        if alone:
            assert np.array_equal(run.train, labelled)
        else:  # the rest of the training faces and the pool; the labelled ones are about half
            others = run.train[~np.isin(run.train, labelled)]
            assert sorted(others) == [*run.hidden, *range(len(subject), len(subject) + SHEET_COLUMNS)]
            assert 0.4 < 1 - len(others) / len(run.train) < 0.6
        kept.setdefault((run.notes["share"], run.seed), []).append(labelled)
    assert all(np.array_equal(*pair) for pair in kept.values())  # the same faces with and without
    for seed in (0, 1):
        few, half, whole = (set(kept[share, seed][0]) for share in (0.1, 0.5, 1.0))
        assert few < half < whole
    assert set(kept[0.1, 0][0]) != set(kept[0.1, 1][0])


def test_without_a_pool_all_labels_leave_nothing_unlabelled(files):
    runs = trials(files, fractions=(0.5, 1.0), by="subject")
    assert sorted({run.row for run in runs}) == ["share_0.5_with", "share_0.5_without", "share_1_without"]


@pytest.fixture
def affkit(files, tmp_path, monkeypatch, capsys):
    """Run ``affkit experiment`` in an empty folder; the exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(line: str, partition="partition") -> tuple[int, str]:
        words = ["affkit", "experiment", *line.split()]
        words += ["--data", str(files["data"]), "--partition", str(files[partition]), "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        return end.value.code or 0, output.out if not end.value.code else output.err.strip()

    return run


def test_the_commands_from_store_to_table_and_figure(affkit, files, tmp_path):
    tiny = "--steps 2 --width 0.03 --seeds 0,1"
    code, output = affkit(f"semi-supervised --out semi --pool {files['pool']} --shares 0.2,1 {tiny}")
    assert code == 0 and "with 20% of the labels, faces without labels raise the CCC" in output
    results = Results.read(tmp_path / "semi")
    assert results.test.groupby("row").size().tolist() == [2] * 4
    added = results.test.groupby("row")["unlabelled_faces"].max()  # 32 of the training faces, and the pool
    assert added.tolist() == [32 + SHEET_COLUMNS, 0, SHEET_COLUMNS, 0]
    axis = label_share_curves(results).axes[0]
    means = results.test.query("not unlabelled").groupby("share")["ccc_valence"].mean()
    np.testing.assert_allclose(axis.lines[1].get_ydata(), means)
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["20", "100"]

    code, output = affkit(f"table-ix --out ix --json {tiny}")
    assert code == 0 and len(json.loads(output)["claims"]) == 5
    for folder in ("semi", "ix"):
        names = {path.name for path in (tmp_path / folder).iterdir()}
        assert names == {"experiment.json", "runs", "scores.csv", "results.json", "table.md", "figure.png"}
    results = Results.read(tmp_path / "ix")
    panel = table_ix_bars(results).axes[3]  # F1 macro: of three rows
    means = results.test.groupby("row")["au_f1_macro"].mean()
    assert [bar.get_width() for bar in panel.patches] == pytest.approx(
        [means[row] for row in ("au", "va_au_ccc", "va_au_mse")]
    )
    diamonds = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "D"]
    assert diamonds == [0.40, 0.330, 0.347]
    dots = np.concatenate([line.get_xdata() for line in panel.lines if line.get_marker() == "o"])
    assert sorted(dots) == pytest.approx(sorted(results.test["au_f1_macro"].dropna()))
    plt.close("all")


@pytest.mark.parametrize("line, expected", [
    ("table-ix --out out --seeds a,b", "a,b: is not numbers"),
    ("table-ix --out out --recipe best", "choose paper or paper-d-more or kit"),
    ("semi-supervised --out out --shares 0,1", "share 0: is not above 0 and at most 1"),
    ("semi-supervised --out out --shares 20", "share 20: is not above 0 and at most 1"),
    ("semi-supervised --out out --shares nan", "--shares nan: is not from 0 to"),
    ("semi-supervised --out out --by clip", "choose frame or subject"),
    ("semi-supervised --out out --pool nowhere", "holds no sheet of faces"),
])  # fmt: skip
def test_mistakes_are_one_line_and_leave_nothing(affkit, tmp_path, line, expected):
    code, message = affkit(line)
    assert code == 2 and expected in message and "\n" not in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["table-ix", "semi-supervised"])
def test_a_leak_is_one_line(affkit, tmp_path, command):
    code, message = affkit(f"{command} --out out", partition="leaks")
    assert code == 2 and "leaks: subject ann: train (clip_ann), test (clip_ann)" in message
    assert not (tmp_path / "out").exists()

"""Experiments: many runs of the GAN that differ in one thing, with several seeds each, and what they score.

An experiment is a folder:

- ``experiment.json``: what it is, so that no other one is mixed into it;
- ``runs/<row>/seed_<n>/``: a run of :func:`~affkit.learn.train.train_gan`, and ``scores.json`` once it was
  tested. A run without ``scores.json`` goes on from its last save, one with it is not touched again;
- ``scores.csv``, ``results.json`` and ``table.md``: the results, see :class:`Results`.

Nothing is chosen on the test set: the number of steps is given beforehand, the last weights are tested, and
an action unit counts as predicted from a probability of 0.5. The same scores of the validation set are in
``scores.csv``, for whoever wants to choose.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from sklearn.metrics import mean_squared_error
from tqdm import tqdm

from affkit.data.joint import select_rows, without_labels
from affkit.data.leakage import leaks
from affkit.data.partition import read_partition
from affkit.data.store import Store
from affkit.errors import UserError
from affkit.files import write_beside
from affkit.labels import ACTION_UNITS, Labels
from affkit.learn.gan_training import GanConfig
from affkit.learn.predict import VA, evaluate, predict_store
from affkit.learn.runs import STATE, fingerprint
from affkit.learn.train import train_gan

EXPERIMENT, SCORES = "experiment.json", "scores.json"
SCORE_NAMES = {
    "ccc_valence": "CCC-V",
    "ccc_arousal": "CCC-A",
    "au_f1_weighted": "F1 weighted",
    "au_f1_macro": "F1 macro",
    "au_accuracy": "accuracy",
    "mse_valence": "MSE-V",
    "mse_arousal": "MSE-A",
}
"""Scores and their names in Table IX, which has no MSE; of an MSE less is better."""
NOTHING_WORDS = {"always": "mean VA, units always", "majority": "mean VA, units as more often"}
"""The rows of :func:`for_nothing` in a table."""


@dataclass(frozen=True)
class Plan:
    """What all runs of an experiment share.

    Attributes
    ----------
    data, partition, out:
        Folder of a store made with labels, file made by ``affkit split``, folder of the experiment.
    seeds:
        Each row of the table is trained once with each of them.
    steps:
        Of each run, see :func:`~affkit.learn.train.train_gan`.
    recipe, configuration, width:
        Of the networks and their training, see :class:`~affkit.learn.gan_training.GanConfig`. The paper:
        ``"paper"``, ``"1"`` or ``"2"``, 1.
    device:
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    jobs:
        Runs at a time, each in a process of its own. On a CPU a run has one thread, so that its results do
        not depend on how many run beside it.
    save_every:
        Steps that a run loses at most when it is killed.
    """

    data: str | Path
    partition: str | Path
    out: str | Path
    seeds: Sequence[int] = (0, 1, 2)
    steps: int = 2000
    recipe: str = "kit"
    configuration: str = "1"
    width: float = 1.0
    device: str = "auto"
    jobs: int = 1
    save_every: int = 200

    def __post_init__(self):
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise UserError(f"seeds {self.seeds}", "are none, or one comes twice", "give some, such as 0,1,2")

    def config(self, seed: int, **changes) -> GanConfig:
        """The configuration of one run."""
        changes = {"width": self.width, "seed": seed} | changes
        return GanConfig.recipe(self.recipe, configuration=self.configuration, **changes)

    def rows(self, store: Store) -> dict[str, np.ndarray]:
        """The rows of each set.

        Raises
        ------
        UserError
            If a subject or a video is in two sets, no face with labels of valence and arousal, or of action
            units, is in the training or in the test set, or the faces are too small.
        """
        partition = read_partition(self.partition)
        if found := leaks(partition):
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise UserError(self.partition, f"leaks: {found[0]}{more}", "make it with `affkit split`")
        if store.size < (needed := self.config(seed=0).net.image_size):
            problem = f"has faces of {store.size} pixels, configuration {self.configuration} draws {needed}"
            raise UserError(self.data, problem, f"make a store with --size {needed}")
        rows = partition.rows(store.index)
        for subset in ("train", "test"):
            labels = store.labels[rows.get(subset, np.arange(0))]
            if not (labels.has_va.any() and labels.has_action_units.any()):
                problem = f"has no {subset} faces with valence and arousal, or none with action units"
                raise UserError(self.partition, problem, "make it with `affkit split`, for this store")
        return rows


@dataclass(frozen=True)
class Trial:
    """One run: its row of the table and its seed, how it is trained, on which rows of the store, and which
    of them have lost their labels. ``notes`` go with its scores."""

    row: str
    seed: int
    config: GanConfig
    train: np.ndarray
    hidden: np.ndarray = field(default_factory=lambda: np.arange(0))
    notes: Mapping[str, object] = field(default_factory=dict)

    def folder(self, out: str | Path) -> Path:
        """Where it is in the folder of its experiment."""
        return Path(out) / "runs" / self.row / f"seed_{self.seed}"


def held_out(rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The sets that runs are tested on: all but the training set."""
    return {subset: own for subset, own in rows.items() if subset != "train" and len(own)}


def begin(plan: Plan, kind: str, store: Store, rows: Mapping[str, np.ndarray], **more) -> dict:
    """Claim the folder of the experiment, and return what identifies it.

    Seeds may be added later; all else must stay as it was.

    Raises
    ------
    UserError
        If the folder holds another experiment.
    """
    labels = store.index.drop(columns=["x", "y", "w", "h", "score"], errors="ignore")
    identity = {"experiment": kind, "steps": plan.steps, "recipe": plan.recipe}
    identity |= {"configuration": plan.configuration, "width": plan.width}
    identity |= {"faces": len(store), "size": store.size}
    identity |= {"labels": zlib.crc32(labels.to_csv(index=False).encode())}
    identity |= {"sets": {subset: fingerprint(own) for subset, own in rows.items()}} | more
    path = Path(plan.out) / EXPERIMENT
    if path.exists() and json.loads(path.read_text()) != identity:
        mend = "repeat its options, or choose another folder"
        raise UserError(plan.out, "holds another experiment, or other data", mend)
    _write_json(path, identity)
    return identity


def run_trials(
    plan: Plan,
    trials: Sequence[Trial],
    load: Callable[[], Store],
    tested: Mapping[str, np.ndarray],
    progress: bool = True,
) -> pd.DataFrame:
    """Train and test what is not finished yet.

    Parameters
    ----------
    trials:
        The runs; their rows are of the store that ``load`` gives. It is called in the process of each run.
    tested:
        Set to its rows: what each run is tested on.

    Returns
    -------
    DataFrame
        By trial, then set: ``row``, ``seed``, ``set``, the trial's notes, and the scores of :func:`score`.
    """
    missing = [trial for trial in trials if not (trial.folder(plan.out) / SCORES).is_file()]
    total, left = len(trials) * plan.steps, len(missing) * plan.steps
    bar = tqdm(total=total, initial=total - left, unit="step", desc="runs", delay=2, disable=not progress)
    tick = bar.update if plan.jobs == 1 else None
    work = (delayed(run_trial)(plan, trial, load, tested, tick) for trial in missing)
    with bar:
        for _ in Parallel(n_jobs=plan.jobs, return_as="generator_unordered")(work):
            bar.update(plan.steps if tick is None else 0)
    records = [json.loads((trial.folder(plan.out) / SCORES).read_text()) for trial in trials]
    return pd.DataFrame([one for own in records for one in own])


def run_trial(
    plan: Plan,
    trial: Trial,
    load: Callable[[], Store],
    tested: Mapping[str, np.ndarray],
    tick: Callable[[int], None] | None = None,
) -> None:
    """Train one run, or go on with it; test it; write its scores. ``tick`` is told the steps done."""
    folder, done = trial.folder(plan.out), 0

    def count(steps: int, *_) -> None:
        nonlocal done
        done, new = steps, steps - done
        if tick is not None:
            tick(new)

    with one_thread():
        store = load()
        how = {"resume": True, "device": plan.device, "save_every": plan.save_every, "rows": trial.train}
        seen = without_labels(store, trial.hidden)
        run = train_gan(seen, folder, trial.config, plan.steps, callback=count, progress=False, **how)
        count(plan.steps)
        records = []
        for subset, rows in tested.items():
            part = select_rows(store, rows)
            scores = score(predict_store(run.discriminator, part, plan.device, progress=False), part.labels)
            records.append({"row": trial.row, "seed": trial.seed, "set": subset, **trial.notes, **scores})
    _write_json(folder / SCORES, records)
    (folder / STATE).unlink()  # nobody goes on from here, and it is most of what the run has on disk


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread: the order of its sums, and so the last digit, depends on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def score(predictions: pd.DataFrame, labels: Labels) -> dict[str, float]:
    """What :func:`~affkit.learn.predict.evaluate` gives, and ``mse_valence`` and ``mse_arousal``."""
    scores = evaluate(predictions, labels)
    for name in VA:
        if f"ccc_{name}" in scores:
            pairs = getattr(labels, name)[labels.has_va], predictions[name].to_numpy()[labels.has_va]
            scores[f"mse_{name}"] = float(mean_squared_error(*pairs))
    return scores


def for_nothing(train: Labels, test: Labels) -> pd.DataFrame:
    """What one gets on a test set without looking at a face.

    Valence and arousal are the means of the training set. The action units are, in the row ``always``,
    always active, and in the row ``majority`` each what it is more often in the training set.
    """
    train = train.with_action_units(ACTION_UNITS)
    active = train.action_units.sum(axis=0) / np.maximum(train.has_action_units.sum(axis=0), 1)  # (8,)
    seen = train[train.has_va]
    means = {name: float(getattr(seen, name).mean()) if len(seen) else 0.0 for name in VA}
    rows = {}
    for name, units in {"always": np.ones(len(active)), "majority": active > 0.5}.items():
        answer = means | dict(zip(ACTION_UNITS, units.astype(float), strict=True))
        rows[name] = score(pd.DataFrame(answer, index=range(len(test))), test)
    return pd.DataFrame(rows).T


def best_for_nothing(nothing: pd.DataFrame) -> dict[str, float]:
    """Of each score the better one of the two rows of :func:`for_nothing`."""
    return {name: nothing[name].min() if name.startswith("mse") else nothing[name].max() for name in nothing}


def _write_json(path: Path, content: object) -> None:
    with write_beside(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")

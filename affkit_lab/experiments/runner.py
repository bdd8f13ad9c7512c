"""Experiments: a table of rows, each a name and a configuration, trained with several seeds and tested.

The folder of an experiment holds

- ``experiment.json``: what it is, so that no other one is mixed into it;
- ``runs/<row>/seed_<n>/``: a training run, and ``scores.json`` once it was tested. A run without
  ``scores.json`` goes on from its last save, one with it is not touched again;
- ``scores.csv``, ``results.json`` and ``table.md``, see :class:`~affkit_lab.experiments.results.Results`.

Nothing is chosen on the test set: the number of steps is given beforehand, the last weights are tested, and
an action unit counts as predicted from a probability of 0.5. The same scores of the validation set are in
``scores.csv``, for whoever wants to choose.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from tqdm import tqdm

from affkit.corpus.partition import leaks, read_partition
from affkit.errors import UserError
from affkit.evaluation.intervals import Claim
from affkit.faces.pool import without_labels
from affkit.files import existing_file, read_json, write_beside
from affkit.labels import Labels
from affkit.loop import STATE, fingerprint
from affkit.store import Store
from affkit_lab.experiments.results import Results, conclude

EXPERIMENT, SCORES = "experiment.json", "scores.json"
NEEDED_WORDS = {
    "has_va": "valence and arousal",
    "has_action_units": "action units",
    "has_expression": "expressions",
}
"""Masks of labels, and what they are called in an error."""


@dataclass(frozen=True)
class Plan:
    """What all runs of an experiment share.

    With ``jobs`` above 1 each run has a process of its own. On a CPU a run has one thread, so its results do
    not depend on how many run beside it.
    """

    data: str | Path  # folder of a store made with labels
    partition: str | Path  # file made by `affkit split`
    out: str | Path
    seeds: Sequence[int] = (0, 1, 2)  # each row of the table is trained once with each of them
    steps: int = 2000  # of each run
    _: KW_ONLY
    device: str = "auto"
    jobs: int = 1
    save_every: int = 200  # steps that a run loses at most when it is killed

    def __post_init__(self):
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise UserError(f"seeds {self.seeds}", "are none, or one comes twice", "give some, such as 0,1,2")

    def identity(self, kind: str) -> dict:
        """What tells this experiment from others beside its data, as JSON can hold it."""
        return {"experiment": kind, "steps": self.steps}

    @property
    def training(self) -> dict:
        """The arguments that all training functions of the kit have."""
        shared = {name: getattr(self, name) for name in ("steps", "device", "save_every")}
        return shared | {"resume": True, "progress": False}

    def sets(self, store: Store, *needs: str, all_frames: bool = False) -> dict[str, np.ndarray]:
        """The rows of each set; with ``all_frames`` all of its people, also those that are not listed.

        A subject or a video in two sets, and a training or test set without one of the labels in ``needs``
        (names of masks), are a :class:`UserError`.
        """
        partition = read_partition(self.partition)
        if found := leaks(partition):
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise UserError(self.partition, f"leaks: {found[0]}{more}", "make it with `affkit split`")
        rows = (partition.whole() if all_frames else partition).rows(store.index)
        for subset in ("train", "test"):
            labels = store.labels[rows.get(subset, np.arange(0))]
            if missing := [NEEDED_WORDS[mask] for mask in needs if not getattr(labels, mask).any()]:
                problem = f"has no {subset} faces with {missing[0]}"
                raise UserError(self.partition, problem, "make it with `affkit split`, for this store")
        return rows


@dataclass(frozen=True)
class Trial:
    """One run: a row of the table with its configuration, and a seed; the rows of the store it is trained on,
    and those that have lost their labels. ``notes`` go with its scores. It waits for all runs of earlier
    stages."""

    row: str
    seed: int
    config: object
    train: np.ndarray
    hidden: np.ndarray = field(default_factory=lambda: np.arange(0))
    notes: Mapping[str, object] = field(default_factory=dict)
    stage: int = 0

    def folder(self, out: str | Path) -> Path:
        return Path(out) / "runs" / self.row / f"seed_{self.seed}"


Score = Callable[[Store, np.ndarray], Mapping[str, object]]
"""The scores of a trained network on some rows of a store, and notes on them."""
Train = Callable[[Trial, Store, Path, Callable[..., None]], Score]
"""Trains one run in a folder, or goes on with it; the last argument is the training's ``callback``."""


def trials_of(rows: Mapping[str, object], seeds: Iterable[int], train: np.ndarray) -> list[Trial]:
    """Every row, a name and a configuration, with every seed."""
    return [
        Trial(name, seed, replace(config, seed=seed), train)
        for name, config in rows.items()
        for seed in seeds
    ]


def checksum(path: str | Path) -> str:
    """A short text that tells the content of a file from another; :class:`UserError` if there is no file."""
    return f"{zlib.crc32(existing_file(path).read_bytes()):08x}"


def run_experiment(
    plan: Plan,
    identity: Mapping[str, object],
    store: Store,
    sets: Mapping[str, np.ndarray],
    trials: Sequence[Trial],
    train: Train,
    baselines: Callable[[Labels, Labels], pd.DataFrame],
    claims: Iterable[Claim],
    progress: bool = True,
    load: Callable[[], Store] | None = None,
    prepare: Callable[[], object] | None = None,
) -> Results:
    """Train and test the trials that are not finished yet, and judge the claims about rows that are trained.

    Each run calls ``load`` in its process for the store, by default to open ``plan.data``; before the first
    one ``prepare`` does the work that they share. ``identity`` is that of the plan: a folder that holds
    another experiment is a :class:`UserError`. Seeds may be added later.
    """
    settings = {**identity, **_data(store, sets)}
    path = Path(plan.out) / EXPERIMENT
    if path.exists() and read_json(path, "choose another folder") != settings:
        fix = "repeat its options, or choose another folder"
        raise UserError(plan.out, "holds another experiment, or other data", fix)
    write_json(path, settings)
    missing = [trial for trial in trials if not (trial.folder(plan.out) / SCORES).is_file()]
    if missing and prepare is not None:
        prepare()
    tested = {subset: own for subset, own in sets.items() if subset != "train" and len(own)}
    load = load or partial(Store.open, plan.data)
    total, left = len(trials) * plan.steps, len(missing) * plan.steps
    bar = tqdm(total=total, initial=total - left, unit="step", desc="runs", delay=2, disable=not progress)
    tick = bar.update if plan.jobs == 1 else None
    with bar:
        for stage in sorted({trial.stage for trial in missing}):
            own = (trial for trial in missing if trial.stage == stage)
            work = (delayed(run_trial)(plan, trial, train, tested, load, tick) for trial in own)
            for _ in Parallel(n_jobs=plan.jobs, return_as="generator_unordered")(work):
                bar.update(plan.steps if tick is None else 0)
    again = "delete it: the run is made again"
    records = [read_json(trial.folder(plan.out) / SCORES, again) for trial in trials]
    scores = pd.DataFrame([one for own in records for one in own])
    labels = (store.labels[sets[subset]] for subset in ("train", "test"))
    return conclude(settings, scores, baselines(*labels), claims)


def _data(store: Store, sets: Mapping[str, np.ndarray]) -> dict[str, object]:
    labels = store.index.drop(columns=["x", "y", "w", "h", "score"], errors="ignore")
    found = {"faces": len(store), "size": store.size}
    found |= {"labels": zlib.crc32(labels.to_csv(index=False).encode())}
    return found | {"sets": {subset: fingerprint(own) for subset, own in sets.items()}}


def run_trial(
    plan: Plan,
    trial: Trial,
    train: Train,
    tested: Mapping[str, np.ndarray],
    load: Callable[[], Store],
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
        scores = train(trial, without_labels(store, trial.hidden), folder, count)
        count(plan.steps)
        who = {"row": trial.row, "seed": trial.seed}
        records = [
            {**who, "set": name, **trial.notes, **scores(store, rows)} for name, rows in tested.items()
        ]
    write_json(folder / SCORES, records)
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


def write_json(path: Path, content: object) -> None:
    with write_beside(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")

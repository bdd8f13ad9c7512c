"""Experiments: many runs that differ in one thing, with several seeds each, and what they score.

An experiment is a folder:

- ``experiment.json``: what it is, so that no other one is mixed into it;
- ``runs/<row>/seed_<n>/``: a run of the library, and ``scores.json`` once it was tested. A run
  without ``scores.json`` goes on from its last save, one with it is not touched again;
- ``scores.csv``, ``results.json`` and ``table.md``: the results, see
  :class:`~affkit_lab.experiments.results.Results`.

Nothing is chosen on the test set: the number of steps is given beforehand, the last weights are tested, and
an action unit counts as predicted from a probability of 0.5. The same scores of the validation set are in
``scores.csv``, for whoever wants to choose.

What is trained is a ``Plan``'s business: that of GANs is in ``gan_experiments``, that of
the multi-task network in :mod:`affkit_lab.experiments.multitask_experiments`.
"""

import json
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from tqdm import tqdm

from affkit.corpus.leakage import leaks
from affkit.corpus.partition import Partition, read_partition
from affkit.errors import UserError
from affkit.evaluation.evaluate import score
from affkit.faces.pool import without_labels
from affkit.files import existing_file, read_json, write_beside
from affkit.loop import STATE, fingerprint
from affkit.store import Store

EXPERIMENT, SCORES = "experiment.json", "scores.json"


@dataclass(frozen=True)
class Plan(ABC):
    """What all runs of an experiment share.

    Attributes
    ----------
    data, partition, out:
        Folder of a store made with labels, file made by ``affkit split``, folder of the experiment.
    seeds:
        Each row of the table is trained once with each of them.
    steps:
        Of each run.
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
    device: str = field(default="auto", kw_only=True)
    jobs: int = field(default=1, kw_only=True)
    save_every: int = field(default=200, kw_only=True)

    needs: ClassVar[Mapping[str, str]]
    """The masks that must not be empty in the training and in the test set, and their names."""

    def __post_init__(self):
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise UserError(f"seeds {self.seeds}", "are none, or one comes twice", "give some, such as 0,1,2")

    @abstractmethod
    def settings(self) -> dict:
        """What tells this plan from others, beside data and steps, as JSON can hold it."""

    @abstractmethod
    def train(self, trial: "Trial", store: Store, folder: Path, count: Callable[..., None]) -> Path:
        """Train one run, or go on with it, in ``folder``; ``count`` is a callback of the training.

        Returns the checkpoint to be tested.
        """

    @abstractmethod
    def predict(self, checkpoint: Path, store: Store, rows: np.ndarray) -> pd.DataFrame:
        """What the network in ``checkpoint`` says about some rows of a store."""

    def notes(self, trial: "Trial", checkpoint: Path, store: Store, rows: np.ndarray) -> Mapping:
        """What goes with the scores on ``rows`` beside the trial's own notes; nothing by default."""
        return {}

    def prepare(self, load: Callable[[], Store]) -> None:  # noqa: B027, most plans have nothing to prepare
        """Work that all runs share, done once before the first of them; ``load`` gives the store."""

    def chosen(self, partition: Partition) -> Partition:
        """The frames to use, of a partition that does not leak."""
        return partition

    def rows(self, store: Store) -> dict[str, np.ndarray]:
        """The rows of each set.

        Raises
        ------
        UserError
            If a subject or a video is in two sets, or no face with one of the labels that the experiment is
            about is in the training or in the test set.
        """
        partition = read_partition(self.partition)
        if found := leaks(partition):
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise UserError(self.partition, f"leaks: {found[0]}{more}", "make it with `affkit split`")
        rows = self.chosen(partition).rows(store.index)
        for subset in ("train", "test"):
            labels = store.labels[rows.get(subset, np.arange(0))]
            if missing := [words for mask, words in self.needs.items() if not getattr(labels, mask).any()]:
                problem = f"has no {subset} faces with {missing[0]}"
                raise UserError(self.partition, problem, "make it with `affkit split`, for this store")
        return rows


@dataclass(frozen=True)
class Trial:
    """One run: its row of the table and its seed, how it is trained (the configuration that the plan's
    network has), on which rows of the store, and which of them have lost their labels. ``notes`` go with
    its scores."""

    row: str
    seed: int
    config: object
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
    identity = {"experiment": kind, "steps": plan.steps} | plan.settings()
    identity |= {"faces": len(store), "size": store.size}
    identity |= {"labels": zlib.crc32(labels.to_csv(index=False).encode())}
    identity |= {"sets": {subset: fingerprint(own) for subset, own in rows.items()}} | more
    path = Path(plan.out) / EXPERIMENT
    if path.exists() and read_json(path, "choose another folder") != identity:
        mend = "repeat its options, or choose another folder"
        raise UserError(plan.out, "holds another experiment, or other data", mend)
    write_json(path, identity)
    return identity


def checksum(path: str | Path) -> str:
    """A short text that tells the content of a file from another; :class:`UserError` if there is no file."""
    return f"{zlib.crc32(existing_file(path).read_bytes()):08x}"


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
        By trial, then set: ``row``, ``seed``, ``set``, the trial's notes, and the scores of
        :func:`~affkit.evaluation.evaluate.score`.
    """
    missing = [trial for trial in trials if not (trial.folder(plan.out) / SCORES).is_file()]
    if missing:
        plan.prepare(load)
    total, left = len(trials) * plan.steps, len(missing) * plan.steps
    bar = tqdm(total=total, initial=total - left, unit="step", desc="runs", delay=2, disable=not progress)
    tick = bar.update if plan.jobs == 1 else None
    work = (delayed(run_trial)(plan, trial, load, tested, tick) for trial in missing)
    with bar:
        for _ in Parallel(n_jobs=plan.jobs, return_as="generator_unordered")(work):
            bar.update(plan.steps if tick is None else 0)
    mend = "delete it: the run is made again"
    records = [read_json(trial.folder(plan.out) / SCORES, mend) for trial in trials]
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
        checkpoint = plan.train(trial, without_labels(store, trial.hidden), folder, count)
        count(plan.steps)
        records = []
        for subset, rows in tested.items():
            scores = score(plan.predict(checkpoint, store, rows), store.labels[rows])
            notes = {**trial.notes, **plan.notes(trial, checkpoint, store, rows)}
            records.append({"row": trial.row, "seed": trial.seed, "set": subset, **notes, **scores})
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

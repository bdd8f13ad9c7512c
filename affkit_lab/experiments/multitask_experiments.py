"""Experiments with the multi-task network (Section V.B): Tables X and XI.

Both tables train one network, VGGFACE-GRU-attention, and change what is in Eq. 6: the losses and the learning
rate (Table XI), or the weights alpha and beta of the two tasks (Table X). With a frozen convolutional half
the features are computed once for all runs.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from affkit.checkpoints import load_checkpoint
from affkit.corpus.partition import Partition
from affkit.errors import UserError
from affkit.evaluation.claims import Claim
from affkit.evaluation.predict import predict_store
from affkit.faces.feature_cache import cached_features
from affkit.labels import EXPRESSIONS, VA
from affkit.loop import make_fabric
from affkit.multitask import VGGFace
from affkit.store import Store, select_rows
from affkit.train_multitask import MtlConfig, starting_net, train_mtl
from affkit_lab.experiments.baselines import expressions_for_nothing
from affkit_lab.experiments.results import Results, conclude
from affkit_lab.experiments.runner import Plan, Trial, begin, checksum, held_out, run_trials


@dataclass(frozen=True)
class MtlPlan(Plan):
    """A :class:`~affkit_lab.experiments.runner.Plan` for the multi-task network.

    Attributes
    ----------
    config:
        What all rows have in common; a row changes losses, weights or the learning rate, a seed the seed.
    weights, vgg_weights, cache:
        As in :func:`~affkit.train_multitask.train_mtl`. A frozen network needs one of the first two.
    all_frames:
        Whether to use all frames of the people in each set, also those that the partition does not list: a
        frame on whose expression the experts did not agree still teaches valence and arousal, and is one of
        80 consecutive frames. False: only the frames that the partition lists.
    """

    config: MtlConfig = field(default_factory=partial(MtlConfig, frozen=True), kw_only=True)
    weights: str | Path | None = field(default=None, kw_only=True)
    vgg_weights: str | Path | None = field(default=None, kw_only=True)
    cache: str | Path | None = field(default=None, kw_only=True)
    all_frames: bool = field(default=True, kw_only=True)

    needs: ClassVar = {"has_va": "valence and arousal", "has_expression": "expressions"}

    def __post_init__(self):
        super().__post_init__()
        if self.config.frozen and self.weights is None and self.vgg_weights is None:
            problem = "would stay as it was initialised, which says little about faces"
            raise UserError("a frozen network", problem, "give --weights, or train it with --end-to-end")

    def settings(self) -> dict:
        """All of the configuration but what rows and seeds change, and which weights it starts from."""
        config = {name: value for name, value in asdict(self.config).items() if name not in ("seed", "betas")}
        files = {"weights": self.weights, "vgg_weights": self.vgg_weights}
        sums = {name: checksum(path) for name, path in files.items() if path is not None}
        return {"config": config, "all_frames": self.all_frames} | sums

    def chosen(self, partition: Partition) -> Partition:
        return partition.whole() if self.all_frames else partition

    def train(self, trial: Trial, store: Store, folder: Path, count: Callable[..., None]) -> Path:
        how = {"resume": True, "device": self.device, "save_every": self.save_every, "rows": trial.train}
        how |= {"weights": self.weights, "vgg_weights": self.vgg_weights, "cache": self.cache}
        run = train_mtl(store, folder, trial.config, steps=self.steps, callback=count, progress=False, **how)
        return run.checkpoint

    def predict(self, checkpoint: Path, store: Store, rows: np.ndarray) -> pd.DataFrame:
        """What the network says, without the columns of a task that it was not taught (weight 0 in Eq. 6)."""
        net, how = load_checkpoint(checkpoint, "affwildnet")
        features = self._features(net.cnn, store)[rows] if self.config.frozen else None  # (N, F)
        part, length = select_rows(store, rows), self.config.sequence_length
        said = predict_store(checkpoint, part, self.device, False, length, features)
        untaught = [
            *(VA if not how["config"]["alpha"] else ()),
            *(EXPRESSIONS if not how["config"]["beta"] else ()),
        ]
        return said.drop(columns=untaught)

    def prepare(self, load: Callable[[], Store]) -> None:
        """Compute the features of a frozen network, so that not each process does."""
        if self.config.frozen:
            store = load()
            net, _ = starting_net(self.config, store.size, self.weights, self.vgg_weights)
            self._features(net.cnn, store)

    def _features(self, cnn: VGGFace, store: Store) -> np.ndarray:
        """``(len(store), F)``: what the frozen convolutional half says about each face."""
        device = make_fabric(self.device).device
        return cached_features(cnn.to(device), store, self.cache or store.path, device)


def train_table(
    plan: MtlPlan,
    kind: str,
    rows: Mapping[str, Mapping[str, object]],
    claims: Iterable[Claim],
    progress: bool = True,
    only: Collection[str] | None = None,
) -> Results:
    """Train every row with every seed, test it, and hold the claims against the scores.

    Parameters
    ----------
    kind:
        What the experiment is called in its folder.
    rows:
        Row to the fields of :class:`~affkit.train_multitask.MtlConfig` that it changes.
    only:
        The rows to train; all by default. Claims about others are left out.

    Raises
    ------
    UserError
        If there is no such row, and as :func:`~affkit_lab.experiments.table_ix.table_ix`.
    """
    only = set(rows) if only is None else set(only)
    if not only or only - set(rows):
        wrong = ", ".join(sorted(only - set(rows))) or "nothing"
        raise UserError(wrong, f"is no row of {kind}", f"choose from {', '.join(rows)}")
    rows = {name: changes for name, changes in rows.items() if name in only}
    claims = [claim for claim in claims if {claim.better, claim.worse} <= set(rows)]
    store = Store.open(plan.data)
    sets = plan.rows(store)
    trials = [
        Trial(name, seed, replace(plan.config, seed=seed, **changes), sets["train"])
        for name, changes in rows.items()
        for seed in plan.seeds
    ]
    settings = begin(plan, kind, store, sets)
    scores = run_trials(plan, trials, partial(Store.open, plan.data), held_out(sets), progress)
    nothing = expressions_for_nothing(store.labels[sets["train"]], store.labels[sets["test"]])
    return conclude(settings, scores, nothing, claims)

"""Table X: one task or both, and how much each weighs: alpha and beta of Eq. 6 (Section V.B).

``MtlPlan`` is here, too, for both tables of VGGFACE-GRU-attention: Table XI changes the losses and the
learning rate. With a frozen convolutional half the features are computed once for all runs.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError
from affkit.evaluation.evaluate import score
from affkit.evaluation.intervals import Claim
from affkit.evaluation.predict import predict_store
from affkit.labels import EXPRESSIONS, VA
from affkit.loop import make_fabric
from affkit.multitask import VGGFace
from affkit.store import Store, select_rows
from affkit.train_multitask import MtlConfig, starting_net, train_mtl
from affkit_lab.backbones.face_net import cached_features
from affkit_lab.experiments.baselines import EXPRESSION_WORDS, expression_baselines
from affkit_lab.experiments.results import (
    EXPRESSION_SCORES,
    MSE_SCORES,
    MTL_SCORES,
    SCORE_NAMES,
    VA_SCORES,
    Results,
    beside_paper,
    paper_claims,
)
from affkit_lab.experiments.runner import Plan, Score, Trial, checksum, run_experiment, trials_of

TITLE = "Table X: alpha and beta of Eq. 6"
ROWS = {
    "only_expression": (0.0, 1.0),
    "only_va": (1.0, 0.0),
    "0.25_0.75": (0.25, 0.75),
    "0.75_0.25": (0.75, 0.25),
    "0.5_0.5": (0.5, 0.5),
    "0.75_0.75": (0.75, 0.75),
    "1_1": (1.0, 1.0),
}
"""Row to alpha, the weight of valence and arousal, and beta, that of the expressions."""
ALONE = {"only_expression": "only expressions", "only_va": "only VA"}
"""The rows of one task, and what they are called."""
PAPER = {
    "only_expression": dict(zip(EXPRESSION_SCORES, (0.494, 0.488, 0.415), strict=True)),
    "only_va": dict(zip(VA_SCORES, (0.579, 0.409), strict=True)),
    "0.25_0.75": dict(zip(MTL_SCORES, (0.556, 0.419, 0.547, 0.542, 0.452), strict=True)),
    "0.75_0.25": dict(zip(MTL_SCORES, (0.589, 0.424, 0.527, 0.514, 0.422), strict=True)),
    "0.5_0.5": dict(zip(MTL_SCORES, (0.616, 0.510, 0.645, 0.643, 0.514), strict=True)),
    "0.75_0.75": dict(zip(MTL_SCORES, (0.585, 0.453, 0.561, 0.555, 0.476), strict=True)),
    "1_1": dict(zip(MTL_SCORES, (0.521, 0.356, 0.513, 0.501, 0.411), strict=True)),
}
"""Table X as printed."""
SAME_RUN = ("0.5_0.5", "0.75_0.75", "1_1")
"""Rows that differ by a factor of the whole loss, which Adam divides away: see :func:`table_x`."""
_BETTER = "(0.5, 0.5) is better"
CLAIMS = paper_claims(
    PAPER,
    (f"{_BETTER} for valence and arousal than learning these alone", "0.5_0.5", "only_va", VA_SCORES),
    (f"{_BETTER} for expressions than learning these alone", "0.5_0.5", "only_expression", EXPRESSION_SCORES),
    *(
        (f"{_BETTER} than {ROWS[worse]}", "0.5_0.5", worse, MTL_SCORES)
        for worse in ("0.25_0.75", "0.75_0.25", "0.75_0.75", "1_1")
    ),
)
"""What Section V.B says of Table X. The last two compare what nearly is one run: :data:`SAME_RUN`."""


@dataclass(frozen=True)
class MtlPlan(Plan):
    """A plan for the multi-task network; ``weights``, ``vgg_weights`` and ``cache`` as in ``train_mtl``.

    ``all_frames``: use all frames of the people in each set, also those that the partition does not list. A
    frame on whose expression the experts did not agree still teaches valence and arousal, and is one of 80
    consecutive frames.
    """

    _: KW_ONLY
    config: MtlConfig = field(default_factory=partial(MtlConfig, frozen=True))  # what all rows share
    weights: str | Path | None = None
    vgg_weights: str | Path | None = None
    cache: str | Path | None = None
    all_frames: bool = True

    def __post_init__(self):
        super().__post_init__()
        if self.config.frozen and self.weights is None and self.vgg_weights is None:
            problem = "would stay as it was initialised, which says little about faces"
            raise UserError("a frozen network", problem, "give --weights, or train it with --end-to-end")

    @property
    def start(self) -> dict:
        """The files that the convolutional half is taken from."""
        return {"weights": self.weights, "vgg_weights": self.vgg_weights}

    def identity(self, kind: str) -> dict:
        """All of the configuration but what rows and seeds change, and which weights it starts from."""
        left_out = ("image_size", "seed", "betas")
        config = {name: value for name, value in asdict(self.config).items() if name not in left_out}
        sums = {name: checksum(path) for name, path in self.start.items() if path is not None}
        return super().identity(kind) | {"config": config, "all_frames": self.all_frames} | sums

    def mtl_sets(self, store: Store) -> dict[str, np.ndarray]:
        return self.sets(store, "has_va", "has_expression", all_frames=self.all_frames)

    def features(self, cnn: VGGFace, store: Store) -> np.ndarray:
        """``(len(store), F)``: the output of the frozen convolutional half for each face."""
        device = make_fabric(self.device).device
        return cached_features(cnn.to(device), store, self.cache or store.path, device)

    def prepare(self, store: Store) -> None:
        """Compute the features of a frozen network, so that not each process does."""
        if self.config.frozen:
            self.features(starting_net(self.config, store.size, **self.start)[0].cnn, store)


def train_network(
    plan: MtlPlan, trial: Trial, store: Store, folder: Path, count: Callable[..., None]
) -> Score:
    files = {**plan.start, "cache": plan.cache}
    run = train_mtl(store, folder, trial.config, rows=trial.train, callback=count, **files, **plan.training)
    net, config = load_checkpoint(run.checkpoint, "affwildnet")[0], trial.config

    def scores(store: Store, rows: np.ndarray) -> dict[str, float]:
        """None for a task that was not taught (weight 0 in Eq. 6)."""
        features = plan.features(net.cnn, store)[rows] if config.frozen else None  # (N, F)
        part = select_rows(store, rows)
        predictions = predict_store(net, part, plan.device, False, config.sequence_length, features)
        untaught = (() if config.alpha else VA) + (() if config.beta else EXPRESSIONS)
        return score(predictions.drop(columns=list(untaught)), store.labels[rows])

    return scores


def train_table(
    plan: MtlPlan,
    kind: str,
    rows: Mapping[str, Mapping[str, object]],
    claims: Iterable[Claim],
    progress: bool = True,
    only: Collection[str] | None = None,
) -> Results:
    """Train every row, changes of :class:`MtlConfig`, or ``only`` some; test them and judge the claims."""
    only = set(rows) if only is None else set(only)
    if not only or only - set(rows):
        wrong = ", ".join(sorted(only - set(rows))) or "nothing"
        raise UserError(wrong, f"is no row of {kind}", f"choose from {', '.join(rows)}")
    store = Store.open(plan.data)
    sets = plan.mtl_sets(store)
    configs = {name: replace(plan.config, **changes) for name, changes in rows.items() if name in only}
    trials, train = trials_of(configs, plan.seeds, sets["train"]), partial(train_network, plan)
    identity, prepare = plan.identity(kind), partial(plan.prepare, store)
    return run_experiment(
        plan, identity, store, sets, trials, train, expression_baselines, claims, progress, prepare=prepare
    )


def table_x(plan: MtlPlan, progress: bool = True, rows: Collection[str] | None = None) -> Results:
    """Train the seven rows, or those named, with every seed, test them, write the results to ``plan.out``.

    Losses and learning rate are those of ``plan.config``; the paper's are the best of Table XI. Mind the
    optimizer: Adam divides each gradient by its own size, so (0.5, 0.5), (0.75, 0.75) and (1, 1), which
    differ by a factor of the loss, take the same steps up to rounding (and Adam's epsilon). Differences
    between these rows are what rounding can do to a run. Refuses what ``table_ix`` refuses.
    """
    changes = {name: {"alpha": alpha, "beta": beta} for name, (alpha, beta) in ROWS.items()}
    results = train_table(plan, "table-x", changes, CLAIMS, progress, rows)
    results.write(plan.out, TITLE, printed(results))
    return results


def noise(results: Results) -> pd.DataFrame:
    """How far scores move when nothing of importance changes, as standard deviations (n - 1).

    A row a score, by its name in the tables. ``paper, same run``: of the three rows of :data:`SAME_RUN` in
    the paper. ``here, same run``: of those of the three that were trained, with one seed, mean over the
    seeds. ``here, other seeds``: of the seeds of one row, mean over these rows.
    """
    scores = list(MTL_SCORES)
    own = results.test[results.test["row"].isin(SAME_RUN)]
    columns = {
        "paper, same run": pd.DataFrame([PAPER[row] for row in SAME_RUN])[scores].std(),
        "here, same run": own.groupby("seed")[scores].std().mean(),
        "here, other seeds": own.groupby("row")[scores].std().mean(),
    }
    return pd.DataFrame(columns).rename(index=SCORE_NAMES)


def printed(results: Results) -> pd.DataFrame:
    """Table X as text, see :func:`~affkit_lab.experiments.results.beside_paper`."""
    rows = {
        name: {"alpha": f"{alpha:g}", "beta": f"{beta:g}", "learns": ALONE.get(name, "both")}
        for name, (alpha, beta) in ROWS.items()
    }
    return beside_paper(results, rows, MTL_SCORES + MSE_SCORES, PAPER, EXPRESSION_WORDS)

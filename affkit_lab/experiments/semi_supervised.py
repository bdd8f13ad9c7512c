"""Semi-supervised learning (Section IV.A): what are faces without labels worth, when few have them?

Of the training faces a share keeps its labels. A discriminator learns from these alone, and another one from
these and from faces without labels: the rest of the training faces, and a pool of other people. Those feed
only the term that tells real faces from generated ones (Eq. 3).
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.errors import UserError
from affkit.evaluation.claims import Claim
from affkit.faces.pool import join_stores, pool_store
from affkit.store import Store
from affkit_lab.experiments.baselines import AU_WORDS, for_nothing
from affkit_lab.experiments.gan_experiments import GanPlan
from affkit_lab.experiments.results import (
    AU_SCORES,
    MSE_SCORES,
    SCORE_NAMES,
    VA_SCORES,
    Results,
    conclude,
    mean_and_spread,
)
from affkit_lab.experiments.runner import Trial, begin, held_out, run_trials

TITLE = "Scores against the share of training faces that keep their labels"
SHARES = (0.02, 0.1, 0.5, 1.0)
WAYS = ("frame", "subject")
ARMS = {False: "labelled faces alone", True: "and faces without labels"}
# Both tasks, because both gain or lose; the MSE, because the CCC of a few faces of a batch says little.
TASKS = {"targets": "va+au", "va_loss": "mse", "fake_va_loss": "mse"}
SCORES = VA_SCORES + AU_SCORES + MSE_SCORES
CLAIMED = {"CCC": ("ccc_valence", "ccc_arousal"), "F1": ("au_f1_weighted", "au_f1_macro")}


def semi_supervised(
    plan: GanPlan,
    pool: str | Path | None = None,
    shares: Sequence[float] = SHARES,
    by: str = "frame",
    progress: bool = True,
) -> Results:
    """Train with and without unlabelled faces for each share and seed, test, write the results.

    Parameters
    ----------
    plan:
        What all runs share. A seed also draws which faces keep their labels; both ways get the same.
    pool:
        Folder of a pool, see :mod:`affkit.faces.pool`; None: only the training faces that lost their labels.
    shares:
        Of the training faces that keep their labels, above 0 and up to 1.
    by:
        See :func:`label_order`.

    Raises
    ------
    UserError
        As ``table_ix``, or if a share is out of range or the pool's faces are
        too small.
    """
    check_shares(shares, by)
    store = Store.open(plan.data)
    rows = plan.rows(store)
    joint = joint_store(plan.data, pool)
    extra = np.arange(len(store), len(joint))
    subjects = store.index["subject"].iloc[rows["train"]].to_numpy()
    trials = [
        trial
        for share in shares
        for seed in plan.seeds
        for trial in _pair(plan, rows["train"], extra, label_order(subjects, seed, by), share, seed)
    ]
    settings = begin(plan, "semi-supervised", joint, rows, by=by)
    load = partial(joint_store, plan.data, pool)
    scores = run_trials(plan, trials, load, held_out(rows), progress)
    nothing = for_nothing(store.labels[rows["train"]], store.labels[rows["test"]])
    claims = [claim for claim in _claims(shares) if claim.better in set(scores["row"])]
    results = conclude(settings, scores, nothing, claims)
    results.write(plan.out, TITLE, printed(results))
    return results


def joint_store(data: str | Path, pool: str | Path | None) -> Store:
    """A store and, behind it, the faces of a pool in its size."""
    store = Store.open(data)
    return store if pool is None else join_stores([store, pool_store(pool, store.size)])


def label_order(subjects: np.ndarray, seed: int, by: str = "frame") -> np.ndarray:
    """The order in which faces get labels: a share of p is the first p of it, so shares are nested.

    ``"frame"``: faces in random order, as when single frames of all clips are annotated, which is what a
    small budget is best spent on, since neighbours look alike. ``"subject"``: people in random order, and
    all frames of one before the next, as when whole clips are annotated; two percent can then be less than
    one person.

    Parameters
    ----------
    subjects:
        ``(N,)``: who is on each face.

    Returns
    -------
    ndarray
        ``(N,)`` the numbers 0 to N - 1.

    >>> label_order(np.array(["a", "b", "a"]), seed=0, by="subject").tolist() in ([0, 2, 1], [1, 0, 2])
    True
    """
    rng = np.random.default_rng(seed)
    if by == "frame":
        return rng.permutation(len(subjects))
    names, codes = np.unique(subjects.astype(str), return_inverse=True)
    return np.argsort(rng.permutation(len(names))[codes], kind="stable")


def check_shares(shares: Sequence[float], by: str) -> None:
    """Raise :class:`UserError` for a share that is none, or a way that is not known."""
    if by not in WAYS:
        raise UserError(f"by {by}", "is no way to choose", f"choose {' or '.join(WAYS)}")
    for share in shares:
        if not 0 < share <= 1:
            raise UserError(f"share {share:g}", "is not above 0 and at most 1", "choose such as 0.02,0.1,1")


def divided(train: np.ndarray, order: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """The rows of ``train`` that keep labels, two at least, and those that lose them; rising."""
    number = max(2, round(share * len(train)))
    return np.sort(train[order[:number]]), np.sort(train[order[number:]])


def _pair(
    plan: GanPlan, train: np.ndarray, extra: np.ndarray, order: np.ndarray, share: float, seed: int
) -> Iterator[Trial]:
    """The run with the labelled faces alone, and the one with the others, if there are others."""
    kept, hidden = divided(train, order, share)
    others = np.concatenate([hidden, extra])
    yield _trial(plan, False, share, seed, kept, hidden, others[:0])
    if len(others):
        yield _trial(plan, True, share, seed, kept, hidden, others)


def _trial(
    plan: GanPlan,
    unlabelled: bool,
    share: float,
    seed: int,
    kept: np.ndarray,
    hidden: np.ndarray,
    others: np.ndarray,
) -> Trial:
    """Labelled faces that are fewer than the others are repeated, until they are about half of a batch."""
    times = max(1, round(len(others) / len(kept)))
    notes: Mapping[str, object] = {"share": share, "unlabelled": unlabelled}
    notes |= {"labelled_faces": len(kept), "unlabelled_faces": len(others)}
    rows = np.concatenate([np.tile(kept, times), others])
    return Trial(row_name(share, unlabelled), seed, plan.config(seed, **TASKS), rows, hidden, notes)


def row_name(share: float, unlabelled: bool) -> str:
    """The row of a share and a way, which is also the name of a folder.

    >>> row_name(0.02, True)
    'share_0.02_with'
    """
    return f"share_{share:g}_{'with' if unlabelled else 'without'}"


def _claims(shares: Sequence[float]) -> list[Claim]:
    return [
        Claim(
            f"with {100 * share:g}% of the labels, faces without labels raise the {words}",
            row_name(share, True),
            row_name(share, False),
            scores,
        )
        for share in shares
        for words, scores in CLAIMED.items()
    ]


def printed(results: Results) -> pd.DataFrame:
    """The scores as text: a row for each share and way, mean and standard deviation over the seeds."""
    lines = []
    for (share, unlabelled), own in results.test.groupby(["share", "unlabelled"]):
        line = {"labels": f"{100 * share:g}%", "trained on": ARMS[unlabelled], "seeds": str(len(own))}
        line["labelled"], line["unlabelled"] = (
            f"{own[name].mean():,.0f}" for name in ("labelled_faces", "unlabelled_faces")
        )
        lines.append(line | {SCORE_NAMES[name]: mean_and_spread(own[name]) for name in SCORES})
    for name, units in AU_WORDS.items():
        line = {"labels": "for nothing", "trained on": units}
        scores = {SCORE_NAMES[score]: f"{results.nothing.at[name, score]:.3f}" for score in SCORES}
        lines.append(line | scores)
    return pd.DataFrame(lines).fillna("-")

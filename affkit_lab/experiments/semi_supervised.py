"""Semi-supervised learning (Section IV.A): what are faces without labels worth, when few have them?

A fraction of the training faces keeps its labels. A discriminator learns from these alone, and another one
from these and from faces without labels: the rest of the training faces, and a pool of other people. Those
feed only the term that tells real faces from generated ones (Eq. 3).
"""

from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.errors import UserError
from affkit.evaluation.intervals import Claim
from affkit.faces.pool import join_stores, pool_store
from affkit.store import Store
from affkit_lab.experiments.baselines import AU_WORDS, action_unit_baselines
from affkit_lab.experiments.results import AU_SCORES, MSE_SCORES, VA_SCORES, Results, baseline_lines, means
from affkit_lab.experiments.runner import Trial, run_experiment
from affkit_lab.experiments.table_ix import GanPlan, train_discriminator

TITLE = "Scores against the fraction of training faces that keep their labels"
FRACTIONS = (0.02, 0.1, 0.5, 1.0)
WAYS = ("frame", "subject")
ARMS = {False: "labelled faces alone", True: "and faces without labels"}
# Both tasks, because both gain or lose; the MSE, because the CCC of a few faces of a batch says little.
TASKS = {"targets": "va+au", "va_loss": "mse", "fake_va_loss": "mse"}
SCORES = VA_SCORES + AU_SCORES + MSE_SCORES
CLAIMED = {"CCC": VA_SCORES, "F1": ("au_f1_weighted", "au_f1_macro")}


def semi_supervised(
    plan: GanPlan,
    pool: str | Path | None = None,
    fractions: Sequence[float] = FRACTIONS,
    by: str = "frame",
    progress: bool = True,
) -> Results:
    """Train with and without unlabelled faces for each fraction and seed, test, write the results.

    A seed also draws which faces keep their labels (:func:`label_order`); both ways get the same. ``pool`` is
    a folder of faces, see :mod:`affkit.faces.pool`; without it only the training faces that lost their labels
    are unlabelled. Fractions out of range, a pool of smaller faces, and what ``table_ix`` refuses are a
    :class:`UserError`.
    """
    check_fractions(fractions, by)
    store = Store.open(plan.data)
    sets, joint = plan.gan_sets(store), joint_store(plan.data, pool)
    trials = label_trials(plan, joint, sets["train"], np.arange(len(store), len(joint)), fractions, by)
    train, load = partial(train_discriminator, plan), partial(joint_store, plan.data, pool)
    claims = [
        Claim(
            f"with {100 * fraction:g}% of the labels, faces without labels raise the {words}",
            row_name(fraction, True),
            row_name(fraction, False),
            names,
        )
        for fraction, (words, names) in product(fractions, CLAIMED.items())
    ]
    identity, baselines = plan.identity("semi-supervised") | {"by": by}, action_unit_baselines
    results = run_experiment(plan, identity, joint, sets, trials, train, baselines, claims, progress, load)
    results.write(plan.out, TITLE, printed(results))
    return results


def joint_store(data: str | Path, pool: str | Path | None) -> Store:
    """A store and, behind it, the faces of a pool in its size."""
    store = Store.open(data)
    return store if pool is None else join_stores([store, pool_store(pool, store.size)])


def label_order(subjects: np.ndarray, seed: int, by: str = "frame") -> np.ndarray:
    """The order in which N faces of ``subjects`` get labels: numbers 0 to N - 1.

    A fraction of p is the first p of it, so fractions are nested. ``"frame"``: faces in random order, as when
    single frames of all clips are annotated, which is what a small budget is best spent on, since neighbours
    look alike. ``"subject"``: people in random order, and all frames of one before the next, as when whole
    clips are annotated; two percent can then be less than one person.

    >>> label_order(np.array(["a", "b", "a"]), seed=0, by="subject").tolist() in ([0, 2, 1], [1, 0, 2])
    True
    """
    rng = np.random.default_rng(seed)
    if by == "frame":
        return rng.permutation(len(subjects))
    names, codes = np.unique(subjects.astype(str), return_inverse=True)
    return np.argsort(rng.permutation(len(names))[codes], kind="stable")


def check_fractions(fractions: Sequence[float], by: str) -> None:
    """Raise :class:`UserError` for a fraction out of range, or an unknown way to choose."""
    if by not in WAYS:
        raise UserError(f"by {by}", "is no way to choose", f"choose {' or '.join(WAYS)}")
    for fraction in fractions:
        if not 0 < fraction <= 1:
            problem = "is not above 0 and at most 1"
            raise UserError(f"fraction {fraction:g}", problem, "choose such as 0.02,0.1,1")


def divided(train: np.ndarray, order: np.ndarray, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """The rows of ``train`` that keep labels, two at least, and those that lose them; rising."""
    number = max(2, round(fraction * len(train)))
    return np.sort(train[order[:number]]), np.sort(train[order[number:]])


def label_trials(
    plan: GanPlan, store: Store, train: np.ndarray, pool: np.ndarray, fractions: Sequence[float], by: str
) -> list[Trial]:
    """For each fraction and seed the run with the labelled faces alone, and the one with all other rows of
    ``train`` and ``pool``, if there are any."""
    subjects, trials = store.index["subject"].iloc[train].to_numpy(), []
    for fraction, seed in product(fractions, plan.seeds):
        kept, hidden = divided(train, label_order(subjects, seed, by), fraction)
        others = np.concatenate([hidden, pool])
        for unlabelled in (False, True) if len(others) else (False,):
            added = others if unlabelled else others[:0]
            # labelled faces that are fewer are repeated, until they are about half of a batch
            rows = np.concatenate([np.tile(kept, max(1, round(len(added) / len(kept)))), added])
            notes = {"fraction": fraction, "unlabelled": unlabelled}  # columns of scores.csv
            notes |= {"labelled_faces": len(kept), "unlabelled_faces": len(added)}
            config = plan.config(seed=seed, **TASKS)
            trials.append(Trial(row_name(fraction, unlabelled), seed, config, rows, hidden, notes))
    return trials


def row_name(fraction: float, unlabelled: bool) -> str:
    """The row of a fraction and a way, which is also the name of a folder.

    >>> row_name(0.02, True)
    'share_0.02_with'
    """
    return f"share_{fraction:g}_{'with' if unlabelled else 'without'}"


def printed(results: Results) -> pd.DataFrame:
    """The scores as text: a row for each fraction and way, mean and standard deviation over the seeds."""
    lines = []
    for (fraction, unlabelled), own in results.test.groupby(["fraction", "unlabelled"]):
        line = {"labels": f"{100 * fraction:g}%", "trained on": ARMS[unlabelled], "seeds": str(len(own))}
        line |= {name: f"{own[f'{name}_faces'].mean():,.0f}" for name in ("labelled", "unlabelled")}
        lines.append(line | means(own, SCORES))
    lines += baseline_lines(results, SCORES, AU_WORDS, "labels", "trained on")
    return pd.DataFrame(lines).fillna("-")

"""Enrichment (Section VI): does it help a network that reads faces to be trained on generated faces, too?

A share of the training faces keeps its labels, and the reader learns from these alone, or from these and:

- ``discriminator``: generated faces, labelled by the discriminator of the GAN, the idea of the paper;
- ``teacher``: the same generated faces, labelled by the reader that learned from the real ones alone, which
  knows no more than the experiment does;
- ``classic``: as many real faces, changed at random, with their true labels.

All take as many steps of as many faces, so what is added takes the place of real faces in a batch, and more
faces take longer to learn. Where all stop early, the arms with added faces are behind, their probabilities of
action units seldom reach 0.5, and F1 is low for that reason alone: choose the steps, on the validation set,
for the slowest arm and not for real faces alone.

What the GAN knows: its generator has seen the faces of all training people, so with a small share of labels
this is semi-supervised learning. Its discriminator has learned from all labels of theirs, so with a small
share it knows more than it should. Neither may have seen people of the validation or test set: the GAN must
have been trained on the training set of the same partition. No checkpoint says on whom it was trained;
whoever gives it has to know.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.evaluation.claims import Claim, interval
from affkit.evaluation.evaluate import score
from affkit.store import Store
from affkit_lab.experiments.baselines import AU_WORDS, for_nothing
from affkit_lab.experiments.enrichment_plan import Arm, EnrichPlan, worth_of_labels
from affkit_lab.experiments.results import (
    AU_SCORES,
    SCORE_NAMES,
    VA_SCORES,
    Results,
    conclude,
    mean_and_spread,
)
from affkit_lab.experiments.runner import Trial, begin, held_out, run_trials
from affkit_lab.experiments.semi_supervised import divided, label_order

TITLE = "Does it help to add generated faces to the training set?"
ARMS = {
    "real": "real faces alone",
    "classic": "and changed real faces",
    "discriminator": "and generated ones, labelled by the discriminator",
    "teacher": "and generated ones, labelled by the teacher",
}
AP = "au_average_precision"
SCORES = (*VA_SCORES, *AU_SCORES, AP)
COUNTED = {"people": "people", "real": "labelled_faces", "added": "added_faces"}
GIVEN = {"V-A given": "va", "AUs given": "au", "active": "active"}
"""Columns of the table: of how many faces, and what share of the labels of those that are added."""
CLAIMED = {"CCC": VA_SCORES, "F1": ("au_f1_weighted", "au_f1_macro"), "AP": (AP,)}


def enrich(plan: EnrichPlan, progress: bool = True) -> Results:
    """Train every arm for each share and seed, test, write the results.

    A seed draws which faces keep their labels, the generated faces and the weights at the start; all arms get
    the same. The teacher is the run on real faces alone with the same share and seed, so those come first.

    Raises
    ------
    UserError
        As :func:`~affkit_lab.experiments.table_ix.table_ix`, or if the networks do not fit.
    """
    store = Store.open(plan.data)
    rows = plan.rows(store)
    teachers = list(_teachers(plan, store, rows["train"]))
    pupils = [pupil for teacher in teachers for pupil in _pupils(plan, teacher)]
    settings = begin(plan, "enrich", store, rows)
    how = {"load": partial(Store.open, plan.data), "tested": held_out(rows), "progress": progress}
    scores = pd.concat([run_trials(plan, trials, **how) for trials in (teachers, pupils)])
    scores = pd.concat([scores, _of_discriminator(plan, store, rows)], ignore_index=True)
    nothing = for_nothing(store.labels[rows["train"]], store.labels[rows["test"]])
    claims = [claim for claim in _claims(plan) if claim.better in set(scores["row"])]
    results = conclude(settings, scores, nothing, claims)
    results.write(plan.out, TITLE, printed(results))
    return results


def _teachers(plan: EnrichPlan, store: Store, train: np.ndarray) -> Iterator[Trial]:
    """The runs on real faces alone."""
    subjects = store.index["subject"].to_numpy()
    for share in plan.shares:
        for seed in plan.seeds:
            kept, _ = divided(train, label_order(subjects[train], seed, plan.by), share)
            notes = {"share": share, "arm": "real", "amount": 0.0, "people": len(set(subjects[kept]))}
            notes |= {"labelled_faces": len(kept), "added_faces": 0}
            arm = Arm(replace(plan.config, seed=seed), "real")
            yield Trial(row_name(share, "real"), seed, arm, kept, notes=notes)


def _pupils(plan: EnrichPlan, teacher: Trial) -> Iterator[Trial]:
    """The runs on the same real faces, and others."""
    share = teacher.notes["share"]
    for amount in plan.amounts:
        number = plan.number(len(teacher.train), amount)
        for kind in list(ARMS)[1:] if number else ():
            arm = Arm(teacher.config.config, kind, number, teacher.folder(plan.out))
            notes = {**teacher.notes, "arm": kind, "amount": amount, "added_faces": number}
            yield Trial(row_name(share, kind, amount), teacher.seed, arm, teacher.train, notes=notes)


def _of_discriminator(plan: EnrichPlan, store: Store, rows: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """What the discriminator of the GAN itself scores, and what its labels are worth."""
    _, discriminator = plan.networks()
    records = []
    for subset, own in held_out(rows).items():
        scores = score(plan.predict(Path(plan.discriminator), store, own), store.labels[own])
        worth = worth_of_labels(discriminator, store, own, plan.sure)
        records.append({"row": "discriminator", "seed": plan.seeds[0], "set": subset, **worth, **scores})
    return pd.DataFrame(records)


def row_name(share: float, kind: str, amount: float = 0.0) -> str:
    """The row of a share and an arm, which is also the name of a folder.

    >>> row_name(0.05, "real"), row_name(0.05, "teacher", 4.0)
    ('share_0.05_real', 'share_0.05_teacher_4')
    """
    return f"share_{share:g}_{kind}" + (f"_{amount:g}" if amount else "")


def _claims(plan: EnrichPlan) -> Iterator[Claim]:
    """About the first amount: against real faces alone, and against classic augmentation."""
    amount = plan.amounts[0]
    words = {
        "discriminator": "generated faces labelled by the discriminator",
        "teacher": "generated faces labelled by the teacher",
        "classic": "changed real faces",
    }
    for share in plan.shares:
        rows = {kind: row_name(share, kind, amount) for kind in words}
        start = f"with {100 * share:g}% of the labels, {amount:g} x as many "
        for kind, own in words.items():
            for name, scores in CLAIMED.items():
                yield Claim(f"{start}{own} raise the {name}", rows[kind], row_name(share, "real"), scores)
            if kind != "classic":
                both = CLAIMED["CCC"] + CLAIMED["F1"]
                against = f"{start}{own} do more for CCC and F1 than as many changed real ones"
                yield Claim(against, rows[kind], rows["classic"], both)


def gains(results: Results, subset: str = "test") -> pd.DataFrame:
    """What added faces change on one set, seed by seed: a row a run, ``share``, ``arm``, ``amount``,
    ``seed``, and the differences from real faces alone in ``CCC``, ``F1`` and ``AP``: each the mean of
    the scores in :data:`CLAIMED`. ``subset`` is ``"test"`` or ``"validation"``."""
    runs = results.scores[results.scores["set"] == subset].dropna(subset=["share"])
    scores = pd.DataFrame({name: runs[list(columns)].mean(axis=1) for name, columns in CLAIMED.items()})
    keys = ["share", "seed"]
    alone = runs["arm"] == "real"
    start = runs.loc[alone, keys].join(scores[alone])
    found = runs.loc[~alone, [*keys, "arm", "amount"]].merge(start, on=keys, validate="many_to_one")
    found[list(CLAIMED)] = scores[~alone].to_numpy() - found[list(CLAIMED)].to_numpy()
    order = pd.Categorical(found["arm"], list(ARMS))
    return found.assign(arm=order).sort_values(["share", "arm", "amount", "seed"], ignore_index=True)


def gain_intervals(results: Results, score: str, amount: float = 1.0) -> pd.DataFrame:
    """The mean of :func:`gains` in one score and its 95% interval, on both sets: a row a share and arm.

    Columns are ``validation`` and ``test``, and below each of them ``mean``, ``low`` and ``high``.
    """
    found = {}
    for subset in ("validation", "test"):
        table = gains(results, subset)
        runs = table[table["amount"] == amount].groupby(["share", "arm"], observed=True)[score]
        rows = {key: interval(own.to_numpy()) for key, own in runs}
        found[subset] = pd.DataFrame(rows, index=["mean", "low", "high"]).T.rename_axis(["share", "arm"])
    return pd.concat(found, axis=1)


def printed(results: Results) -> pd.DataFrame:
    """The scores as text: a row for each share and arm; what the labels of each labeller are worth on people
    it has not seen; and what one gets for nothing."""
    runs = results.test.dropna(subset=["share"])
    runs = runs.assign(arm=pd.Categorical(runs["arm"], list(ARMS)))
    lines, teachers = [], []
    for (share, kind, amount), own in runs.groupby(["share", "arm", "amount"], observed=True):
        words = ARMS[kind] + (f", {amount:g} x" if amount else "")
        line = {"labels": f"{100 * share:g}%", "trained on": words, "seeds": str(len(own))}
        line |= {words: f"{own[name].mean():,.0f}" for words, name in COUNTED.items()}
        if kind != "real":
            line |= _labelled(own, "added_") | {"extra work": f"+{100 * own['extra_work'].mean():.0f}%"}
        lines.append(line | _means(own, SCORES))
        if kind == "real":
            teachers.append(line | {"trained on": "the teacher, where it is sure"} | _sure(own))
    own = results.test[results.test["row"] == "discriminator"]
    line = {"labels": "all", "trained on": "the discriminator, of every face"}
    lines.append(line | _means(own, SCORES))
    lines += [*teachers, line | {"trained on": "the discriminator, where it is sure"} | _sure(own)]
    for name, units in AU_WORDS.items():
        scores = {SCORE_NAMES[score]: f"{results.nothing.at[name, score]:.3f}" for score in SCORES}
        lines.append({"labels": "for nothing", "trained on": units} | scores)
    heads = ["labels", "trained on", "seeds", *COUNTED, *GIVEN, "extra work"]
    return pd.DataFrame(lines)[[*heads, *(SCORE_NAMES[name] for name in SCORES)]].fillna("-")


def _sure(own: pd.DataFrame) -> dict[str, str]:
    """The cells of what a labeller is sure about."""
    return _labelled(own, "label_") | _means(own.filter(like="label_").rename(columns=_bare), SCORES)


def _labelled(own: pd.DataFrame, prefix: str) -> dict[str, str]:
    """The cells that say how much of the added faces, or of faces to be labelled, has labels."""
    means = {words: own[prefix + name].mean() for words, name in GIVEN.items() if prefix + name in own}
    return {words: f"{100 * mean:.0f}%" for words, mean in means.items() if not np.isnan(mean)}


def _means(own: pd.DataFrame, scores: Sequence[str]) -> dict[str, str]:
    return {SCORE_NAMES[name]: mean_and_spread(own[name]) for name in scores if name in own}


def _bare(name: str) -> str:
    return name.removeprefix("label_")

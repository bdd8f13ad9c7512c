"""Enrichment (Section VI): does it help a network that predicts affect to train on generated faces, too?

The network is the paper's discriminator (Table VI) without a GAN. A fraction of the training faces keeps its
labels, and it learns from these alone, or from these and:

- ``discriminator``: generated faces, labelled by the discriminator of the GAN, the idea of the paper;
- ``teacher``: the same generated faces, labelled by the network that learned from the real ones alone, which
  knows no more than the experiment does;
- ``classic``: as many real faces, changed at random, with their true labels.

All take as many steps of as many faces, so more faces take longer to learn. Where all stop early, the arms
with added faces are behind, their probabilities of action units seldom reach 0.5, and F1 is low for that
reason alone: choose the steps, on the validation set, for the slowest arm and not for real faces alone.

The GAN must have been trained on the training set of the same partition; no checkpoint says on whom it was.
With a small fraction of labels its discriminator, which has learned from all, knows more than it should.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError
from affkit.evaluation.evaluate import score
from affkit.evaluation.intervals import Claim, interval
from affkit.evaluation.predict import FacePredictor
from affkit.faces.pool import join_stores
from affkit.gan import Discriminator, Generator
from affkit.labels import ACTION_UNITS
from affkit.store import Store, select_rows, too_small, write_store
from affkit_lab.backbones.train_faces import FaceConfig, predictor_config, train_faces
from affkit_lab.experiments.baselines import AU_WORDS, action_unit_baselines
from affkit_lab.experiments.generated_labels import (
    Confidence,
    changed_faces,
    confident_labels,
    draw_faces,
    label_counts,
    small_store,
    with_labels,
)
from affkit_lab.experiments.results import AU_SCORES, SCORE_NAMES, VA_SCORES, Results, baseline_lines, means
from affkit_lab.experiments.runner import Plan, Score, Trial, checksum, one_thread, run_experiment
from affkit_lab.experiments.semi_supervised import check_fractions, divided, label_order
from affkit_lab.experiments.table_ix import score_faces
from affkit_lab.figures.architecture import layer_costs

TITLE = "Does it help to add generated faces to the training set?"
ARMS = {
    "real": "real faces alone",
    "classic": "and changed real faces",
    "discriminator": "and generated ones, labelled by the discriminator",
    "teacher": "and generated ones, labelled by the teacher",
}
SCORES = (*VA_SCORES, *AU_SCORES, "au_average_precision")
COUNTED = {"people": "people", "real": "labelled_faces", "added": "added_faces"}
GIVEN = {"V-A given": "va", "AUs given": "au", "active": "active"}
"""Columns of the table: of how many faces, and what fraction of the labels of those that are added."""
CLAIMED = {"CCC": VA_SCORES, "F1": ("au_f1_weighted", "au_f1_macro"), "AP": ("au_average_precision",)}


@dataclass(frozen=True)
class EnrichPlan(Plan):
    """A plan for enrichment with the two checkpoints of one GAN."""

    _: KW_ONLY
    generator: str | Path
    discriminator: str | Path
    config: FaceConfig = field(default_factory=predictor_config)  # of all networks that are trained
    fractions: Sequence[float] = (0.25, 0.5, 1.0)  # of the training faces, that keep their labels
    by: str = "subject"  # how they are chosen, see semi_supervised.label_order
    amounts: Sequence[float] = (1.0, 4.0)  # faces to add for each real one; the claims are about the first
    most: int = 10_000  # an arm that would need more added faces is left out
    confidence: Confidence = field(default_factory=Confidence)  # which faces and labels are believed

    def __post_init__(self):
        super().__post_init__()
        check_fractions(self.fractions, self.by)
        if not self.amounts or min(self.amounts) <= 0 or len(set(self.amounts)) != len(self.amounts):
            problem = "are none, or one is not above 0 or comes twice"
            raise UserError(f"amounts {self.amounts}", problem, "give such as 1,4")

    def identity(self, kind: str) -> dict:
        config = {name: getattr(self.config, name) for name in ("lr", "batch_size", "va_loss")}
        config |= {"width": self.config.net.width, "augment": list(self.config.augment)}
        own = {"config": config, "by": self.by, "shares": list(self.fractions)}
        own |= {"amounts": list(self.amounts), "most": self.most, "sure": asdict(self.confidence)}
        sums = {name: checksum(getattr(self, name)) for name in ("generator", "discriminator")}
        return super().identity(kind) | own | sums

    def networks(self) -> tuple[Generator, Discriminator]:
        files = {"generator": self.generator, "discriminator": self.discriminator}
        return tuple(load_checkpoint(path, name)[0] for name, path in files.items())

    def enrich_sets(self, store: Store) -> dict[str, np.ndarray]:
        """The rows of each set; networks or faces that do not fit are a :class:`UserError`."""
        sets, (generator, discriminator) = self.sets(store, "has_va", "has_action_units"), self.networks()
        if store.size < (size := self.config.net.image_size):
            raise too_small(self.data, store.size, "the network reads", size)
        drawn, read = generator.config.image_size, discriminator.config.image_size
        if drawn != read:
            problem = f"draws {drawn} pixels, and the discriminator reads {read}"
            raise UserError(self.generator, problem, "give two networks of one GAN")
        if discriminator.config.targets != "va+au":
            raise UserError(self.discriminator, "does not tell both V-A and AUs", "give one that does")
        return sets

    def generated(self, seed: int) -> Path:
        """The store of the generated faces of a seed, without labels."""
        return Path(self.out) / "generated" / f"seed_{seed}"

    def draw(self, number: int) -> None:
        """Draw the generated faces of each seed."""
        for seed in self.seeds:
            if not self.generated(seed).exists():
                size, fake = self.config.net.image_size, self.confidence.fake
                with one_thread():
                    faces = draw_faces(*self.networks(), number, size, seed, fake, progress=True)
                write_store(self.generated(seed), faces)


def enrich(plan: EnrichPlan, progress: bool = True) -> Results:
    """Train every arm for each fraction and seed, test, write the results.

    A seed draws which faces keep their labels, the generated faces and the weights at the start, the same for
    all arms. The teacher is the run on real faces alone with the same fraction and seed, so those come first.
    """
    store = Store.open(plan.data)
    sets = plan.enrich_sets(store)
    teachers = _teachers(plan, store, sets["train"])
    pupils = [pupil for teacher in teachers for pupil in _pupils(plan, teacher)]
    if not pupils:
        problem = "leaves out every added face"
        raise UserError(f"at most {plan.most} added faces", problem, "allow more, or take smaller fractions")
    draw = partial(plan.draw, max(pupil.notes["added_faces"] for pupil in pupils))
    results = run_experiment(
        plan, plan.identity("enrich"), store, sets, [*teachers, *pupils], partial(train_arm, plan),
        action_unit_baselines, _claims(plan), progress, prepare=draw,
    )  # fmt: skip
    who, own = {"row": "discriminator", "seed": plan.seeds[0]}, partial(_score, plan, plan.discriminator, {})
    gan = [{**who, "set": subset, **own(store, sets[subset])} for subset in results.scores["set"].unique()]
    results = replace(results, scores=pd.concat([results.scores, pd.DataFrame(gan)], ignore_index=True))
    results.write(plan.out, TITLE, printed(results))
    return results


def _teachers(plan: EnrichPlan, store: Store, train: np.ndarray) -> list[Trial]:
    subjects, trials = store.index["subject"].to_numpy(), []
    for fraction, seed in product(plan.fractions, plan.seeds):
        kept, _ = divided(train, label_order(subjects[train], seed, plan.by), fraction)
        notes = {"fraction": fraction, "arm": "real", "amount": 0.0, "people": len(set(subjects[kept]))}
        notes |= {"labelled_faces": len(kept), "added_faces": 0}
        config = replace(plan.config, seed=seed)
        trials.append(Trial(row_name(fraction, "real"), seed, config, kept, notes=notes))
    return trials


def _pupils(plan: EnrichPlan, teacher: Trial) -> Iterator[Trial]:
    for amount in plan.amounts:
        number = max(1, round(amount * len(teacher.train)))
        for kind in list(ARMS)[1:] if number <= plan.most else ():
            notes = {**teacher.notes, "arm": kind, "amount": amount, "added_faces": number}
            yield replace(
                teacher, row=row_name(teacher.notes["fraction"], kind, amount), notes=notes, stage=1
            )


def train_arm(
    plan: EnrichPlan, trial: Trial, store: Store, folder: Path, count: Callable[..., None]
) -> Score:
    faces, added = small_store(store, trial.train, trial.config.net.image_size), {}
    if trial.notes["added_faces"]:
        more, effort = _added_faces(plan, trial, faces)
        added = {f"added_{name}": value for name, value in label_counts(more.labels).items()}
        added |= {"extra_work": effort / training_effort(trial.config, plan.steps)}
        faces = join_stores([faces, more])
    checkpoint = train_faces(faces, folder, trial.config, callback=count, **plan.training)
    return partial(_score, plan, checkpoint, added)


def _score(plan: EnrichPlan, checkpoint: Path, added: Mapping, store: Store, rows: np.ndarray) -> dict:
    """Scores of a predictor, and beside them what was ``added`` or what its labels are worth."""
    labeller, _ = load_checkpoint(checkpoint, "discriminator")
    notes = added or worth_of_labels(labeller, store, rows, plan.confidence)
    return {**notes, **score_faces(checkpoint, plan.device, store, rows)}


def _added_faces(plan: EnrichPlan, trial: Trial, real: Store) -> tuple[Store, float]:
    """What is added to the real faces, and what it cost in multiply-adds of networks."""
    kind, number = trial.notes["arm"], trial.notes["added_faces"]
    if kind == "classic":
        return changed_faces(real, number, trial.seed), 0.0
    faces = Store.open(plan.generated(trial.seed))
    generator, labeller = plan.networks()
    effort = faces.info["drawn"] * number / len(faces) * (effort_of(generator) + effort_of(labeller))
    if kind == "teacher":
        teacher = replace(trial, row=row_name(trial.notes["fraction"], "real"))
        labeller, _ = load_checkpoint(teacher.folder(plan.out) / trial.config.file, "discriminator")
        effort += training_effort(trial.config, plan.steps)
    faces = select_rows(faces, np.arange(number))
    labels = confident_labels(labeller, faces.images[:], plan.confidence)
    return with_labels(faces, labels, real), effort + 2 * number * effort_of(labeller)


def effort_of(net) -> float:
    """Multiply-adds of a generator or discriminator for one face."""
    return float(layer_costs(net)["multiply-adds"].sum())


def training_effort(config: FaceConfig, steps: int) -> float:
    """Multiply-adds of a training run; the way back costs twice the way there."""
    return 3.0 * steps * config.batch_size * effort_of(config.new_net())


def worth_of_labels(
    labeller: FacePredictor, store: Store, rows: np.ndarray, confidence: Confidence
) -> dict[str, float]:
    """The confident labels of a network on real faces, held against the truth: scores, with ``label_`` before
    their names, and ``label_va``, ``label_au``, ``label_active`` as in :func:`label_counts`."""
    faces = small_store(store, rows, labeller.config.image_size)
    said = confident_labels(labeller, faces.images, confidence)
    labels = with_labels(faces, said, faces).labels.with_action_units(ACTION_UNITS)
    truth = faces.labels.with_action_units(ACTION_UNITS)
    both = {name: getattr(truth, name) & getattr(labels, name) for name in ("has_va", "has_action_units")}
    found = label_counts(labels) | score(said.fillna(0), replace(truth, **both))
    return {f"label_{name}": value for name, value in found.items()}


def row_name(fraction: float, kind: str, amount: float = 0.0) -> str:
    """The row of a fraction and an arm, which is also the name of a folder.

    >>> row_name(0.05, "real"), row_name(0.05, "teacher", 4.0)
    ('share_0.05_real', 'share_0.05_teacher_4')
    """
    return f"share_{fraction:g}_{kind}" + (f"_{amount:g}" if amount else "")


def _claims(plan: EnrichPlan) -> Iterator[Claim]:
    """About the first amount: against real faces alone, and against classic augmentation."""
    amount = plan.amounts[0]
    words = {
        "discriminator": "generated faces labelled by the discriminator",
        "teacher": "generated faces labelled by the teacher",
        "classic": "changed real faces",
    }
    for fraction in plan.fractions:
        rows = {kind: row_name(fraction, kind, amount) for kind in words}
        start = f"with {100 * fraction:g}% of the labels, {amount:g} x as many "
        for kind, own in words.items():
            for name, scores in CLAIMED.items():
                yield Claim(f"{start}{own} raise the {name}", rows[kind], row_name(fraction, "real"), scores)
            if kind != "classic":
                both = CLAIMED["CCC"] + CLAIMED["F1"]
                against = f"{start}{own} do more for CCC and F1 than as many changed real ones"
                yield Claim(against, rows[kind], rows["classic"], both)


def gains(results: Results, subset: str = "test") -> pd.DataFrame:
    """What added faces change on the ``"test"`` or ``"validation"`` set: a row a run, ``fraction``
    (of the labels), ``arm``, ``amount``, ``seed``, and the differences from real faces alone in ``CCC``,
    ``F1`` and ``AP``, each the mean of the scores in :data:`CLAIMED`."""
    runs = results.scores[results.scores["set"] == subset].dropna(subset=["fraction"])
    scores = pd.DataFrame({name: runs[list(columns)].mean(axis=1) for name, columns in CLAIMED.items()})
    keys = ["fraction", "seed"]
    alone = runs["arm"] == "real"
    start = runs.loc[alone, keys].join(scores[alone])
    found = runs.loc[~alone, [*keys, "arm", "amount"]].merge(start, on=keys, validate="many_to_one")
    found[list(CLAIMED)] = scores[~alone].to_numpy() - found[list(CLAIMED)].to_numpy()
    order = pd.Categorical(found["arm"], list(ARMS))
    return found.assign(arm=order).sort_values(["fraction", "arm", "amount", "seed"], ignore_index=True)


def gain_intervals(results: Results, score: str, amount: float = 1.0) -> pd.DataFrame:
    """The ``mean`` of :func:`gains` in one score and its 95% interval (``low``, ``high``), in columns below
    ``validation`` and ``test``: a row a fraction and arm."""
    found = {}
    for subset in ("validation", "test"):
        table = gains(results, subset)
        runs = table[table["amount"] == amount].groupby(["fraction", "arm"], observed=True)[score]
        rows = {key: interval(own.to_numpy()) for key, own in runs}
        found[subset] = pd.DataFrame(rows, index=["mean", "low", "high"]).T.rename_axis(["fraction", "arm"])
    return pd.concat(found, axis=1)


def printed(results: Results) -> pd.DataFrame:
    """The scores as text: a row for each fraction and arm; what the labels of each labeller are worth on
    people it has not seen; and the baselines."""
    runs = results.test.dropna(subset=["fraction"])
    runs = runs.assign(arm=pd.Categorical(runs["arm"], list(ARMS)))
    lines, teachers = [], []
    for (fraction, kind, amount), own in runs.groupby(["fraction", "arm", "amount"], observed=True):
        words = ARMS[kind] + (f", {amount:g} x" if amount else "")
        line = {"labels": f"{100 * fraction:g}%", "trained on": words, "seeds": str(len(own))}
        line |= {words: f"{own[name].mean():,.0f}" for words, name in COUNTED.items()}
        if kind == "real":
            teachers.append(line | {"trained on": "the teacher, where it is sure"} | _worth(own))
        else:
            line |= _labelled(own, "added_") | {"extra work": f"+{100 * own['extra_work'].mean():.0f}%"}
        lines.append(line | means(own, SCORES))
    own = results.test[results.test["row"] == "discriminator"]
    line = {"labels": "all", "trained on": "the discriminator, of every face"}
    lines.append(line | means(own, SCORES))
    lines += [*teachers, line | {"trained on": "the discriminator, where it is sure"} | _worth(own)]
    lines += baseline_lines(results, SCORES, AU_WORDS, "labels", "trained on")
    heads = ["labels", "trained on", "seeds", *COUNTED, *GIVEN, "extra work"]
    return pd.DataFrame(lines)[[*heads, *(SCORE_NAMES[name] for name in SCORES)]].fillna("-")


def _worth(own: pd.DataFrame) -> dict[str, str]:
    scores = own.filter(like="label_").rename(columns=lambda name: name.removeprefix("label_"))
    return _labelled(own, "label_") | means(scores, SCORES)


def _labelled(own: pd.DataFrame, prefix: str) -> dict[str, str]:
    """The cells that say how much of the added faces, or of faces to be labelled, has labels."""
    found = {words: own[prefix + name].mean() for words, name in GIVEN.items() if prefix + name in own}
    return {words: f"{100 * mean:.0f}%" for words, mean in found.items() if not np.isnan(mean)}

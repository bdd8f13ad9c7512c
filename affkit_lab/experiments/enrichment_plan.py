"""Experiments with generated faces in the training set: a reader is trained as one arm says, and tested.

The reader is the paper's discriminator (Table VI) without a GAN. Before the first run the generated faces of
each seed are drawn, into the folder ``generated`` of the experiment, where they can be looked at: they are
stores.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError
from affkit.evaluation.evaluate import score
from affkit.evaluation.predict import FacePredictor, predict_store
from affkit.faces.pool import join_stores
from affkit.gan import Discriminator, Generator
from affkit.labels import ACTION_UNITS
from affkit.store import Store, select_rows, too_small, write_store
from affkit_lab.backbones.train_faces import ReaderConfig, train_faces
from affkit_lab.experiments.generated_labels import (
    Confidence,
    changed_faces,
    draw_faces,
    label_counts,
    small_store,
    sure_labels,
    with_labels,
)
from affkit_lab.experiments.runner import Plan, Trial, checksum, one_thread, write_json
from affkit_lab.experiments.semi_supervised import check_shares, divided
from affkit_lab.figures.architecture import layer_costs

ADDED = "added.json"


@dataclass(frozen=True)
class Arm:
    """How one run is trained.

    Attributes
    ----------
    config:
        The reader.
    kind:
        What is added to the real faces: ``"classic"``, ``"discriminator"``, ``"teacher"`` or, for ``"real"``,
        nothing.
    number:
        How many faces are added.
    teacher:
        Folder of the run of the teacher: the reader that has learned from the same real faces, and nothing
        else.
    """

    config: ReaderConfig
    kind: str
    number: int = 0
    teacher: Path | None = None


@dataclass(frozen=True)
class EnrichPlan(Plan):
    """A :class:`~affkit_lab.experiments.runner.Plan` for enrichment.

    Attributes
    ----------
    generator, discriminator:
        Checkpoints of one GAN, trained on the training set of the partition and on nobody else's labels.
    config:
        Of all readers; a seed changes the seed.
    shares, by:
        Of the training faces that keep their labels, and how they are chosen, see
        :func:`~affkit_lab.experiments.semi_supervised.label_order`.
    amounts:
        Faces to add for each real one that has kept its labels. The claims are about the first.
    most:
        An arm that would need more added faces than this is left out.
    sure:
        Which generated faces, and which of their labels, are believed.
    """

    generator: str | Path = field(kw_only=True)
    discriminator: str | Path = field(kw_only=True)
    config: ReaderConfig = field(default_factory=ReaderConfig, kw_only=True)
    shares: Sequence[float] = field(default=(0.25, 0.5, 1.0), kw_only=True)
    by: str = field(default="subject", kw_only=True)
    amounts: Sequence[float] = field(default=(1.0, 4.0), kw_only=True)
    most: int = field(default=10_000, kw_only=True)
    sure: Confidence = field(default_factory=Confidence, kw_only=True)

    needs: ClassVar = {"has_va": "valence and arousal", "has_action_units": "action units"}

    def __post_init__(self):
        super().__post_init__()
        check_shares(self.shares, self.by)
        if not self.amounts or min(self.amounts) <= 0 or len(set(self.amounts)) != len(self.amounts):
            problem = "are none, or one is not above 0 or comes twice"
            raise UserError(f"amounts {self.amounts}", problem, "give such as 1,4")

    def settings(self) -> dict:
        config = {name: value for name, value in asdict(self.config).items() if name != "seed"}
        settings = {"config": config | {"augment": list(self.config.augment)}, "by": self.by}
        settings |= {"shares": list(self.shares), "amounts": list(self.amounts), "most": self.most}
        settings |= {"sure": asdict(self.sure)}
        return settings | {name: checksum(getattr(self, name)) for name in ("generator", "discriminator")}

    def rows(self, store: Store) -> dict[str, np.ndarray]:
        """As :meth:`Plan.rows`; networks or faces that do not fit are a :class:`~affkit.errors.UserError`."""
        rows, (generator, discriminator) = super().rows(store), self.networks()
        size = self.config.image_size
        if store.size < size:
            raise too_small(self.data, store.size, "the reader reads", size)
        drawn, read = generator.config.image_size, discriminator.config.image_size
        if drawn != read:
            problem = f"draws {drawn} pixels, and the discriminator reads {read}"
            raise UserError(self.generator, problem, "give two networks of one GAN")
        if discriminator.config.targets != "va+au":
            raise UserError(self.discriminator, "does not tell both V-A and AUs", "give one that does")
        if self.added(len(rows["train"])) == 0:
            problem = "leaves out every added face"
            raise UserError(f"at most {self.most} added faces", problem, "allow more, or take smaller shares")
        return rows

    def networks(self) -> tuple[Generator, Discriminator]:
        """Both networks of the GAN."""
        files = {"generator": self.generator, "discriminator": self.discriminator}
        return tuple(load_checkpoint(path, name)[0] for name, path in files.items())

    def number(self, real: int, amount: float) -> int:
        """Faces to add to ``real`` ones; 0 where there would be too many."""
        number = max(1, round(amount * real))
        return number if number <= self.most else 0

    def added(self, train: int) -> int:
        """The largest number of faces that any run needs, of ``train`` training faces."""
        real = [len(divided(np.arange(train), np.arange(train), share)[0]) for share in self.shares]
        return max(self.number(each, amount) for each in real for amount in self.amounts)

    def generated(self, seed: int) -> Path:
        """Where the generated faces of a seed are: a store without labels."""
        return Path(self.out) / "generated" / f"seed_{seed}"

    def prepare(self, load: Callable[[], Store]) -> None:
        """Draw the generated faces of each seed."""
        number, networks = self.added(len(self.rows(load())["train"])), self.networks()
        for seed in self.seeds:
            if not self.generated(seed).exists():
                with one_thread():
                    size, fake = self.config.image_size, self.sure.fake
                    faces = draw_faces(*networks, number, size, seed, fake, progress=True)
                write_store(self.generated(seed), faces)

    def train(self, trial: Trial, store: Store, folder: Path, count: Callable[..., None]) -> Path:
        arm, faces = trial.config, small_store(store, trial.train, self.config.image_size)
        if arm.number:
            added, effort = self._added_faces(arm, faces, trial.seed)
            share = effort / training_effort(arm.config, self.steps)
            found = {f"added_{name}": value for name, value in label_counts(added.labels).items()}
            write_json(folder / ADDED, found | {"extra_work": share})
            faces = join_stores([faces, added])
        how = {"resume": True, "device": self.device, "save_every": self.save_every, "progress": False}
        return train_faces(faces, folder, arm.config, self.steps, callback=count, **how)

    def _added_faces(self, arm: Arm, real: Store, seed: int) -> tuple[Store, float]:
        """What is added to the real faces, and what it cost in multiply-adds of networks."""
        if arm.kind == "classic":
            return changed_faces(real, arm.number, seed), 0.0
        faces = Store.open(self.generated(seed))
        drawn = faces.info["drawn"] * arm.number / len(faces)
        generator, discriminator = self.networks()
        labeller, effort = discriminator, drawn * (effort_of(generator) + effort_of(discriminator))
        if arm.kind == "teacher":
            labeller, _ = load_checkpoint(arm.teacher / arm.config.file, "discriminator")
            effort += training_effort(arm.config, self.steps)
        faces = select_rows(faces, np.arange(arm.number))
        labels = sure_labels(labeller, faces.images[:], self.sure)
        return with_labels(faces, labels, real), effort + 2 * arm.number * effort_of(labeller)

    def notes(self, trial: Trial, checkpoint: Path, store: Store, rows: np.ndarray) -> Mapping:
        """What was added; of a teacher, what its labels are worth."""
        if trial.config.number:
            return json.loads((trial.folder(self.out) / ADDED).read_text())
        labeller, _ = load_checkpoint(checkpoint, "discriminator")
        return worth_of_labels(labeller, store, rows, self.sure)

    def predict(self, checkpoint: Path, store: Store, rows: np.ndarray) -> pd.DataFrame:
        return predict_store(checkpoint, select_rows(store, rows), self.device, progress=False)


def effort_of(net) -> float:
    """Multiply-adds of a generator or discriminator for one face."""
    return float(layer_costs(net)["multiply-adds"].sum())


def training_effort(config: ReaderConfig, steps: int) -> float:
    """Multiply-adds of a training run; the way back costs twice the way there."""
    return 3.0 * steps * config.batch_size * effort_of(config.net())


def worth_of_labels(
    labeller: FacePredictor, store: Store, rows: np.ndarray, sure: Confidence
) -> dict[str, float]:
    """The labels of ``sure_labels`` on real faces, held against the truth.

    Returns
    -------
    dict
        ``label_va`` and ``label_au``, the shares it is sure about, ``label_active``, the share of these
        action units that it calls active; and the scores of
        ``score`` on what it is sure about, with ``label_`` before their names.
    """
    faces = small_store(store, rows, labeller.config.image_size)
    said = sure_labels(labeller, faces.images, sure)
    labels = with_labels(faces, said, faces).labels.with_action_units(ACTION_UNITS)
    truth = faces.labels.with_action_units(ACTION_UNITS)
    known = replace(
        truth,
        has_va=truth.has_va & labels.has_va,
        has_action_units=truth.has_action_units & labels.has_action_units,
    )
    found = label_counts(labels) | score(said.fillna(0), known)
    return {f"label_{name}": value for name, value in found.items()}

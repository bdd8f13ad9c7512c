"""How good is a GAN, in numbers: what the paper's Figures 6 and 7 cannot show.

Four questions, each with an answer for real faces beside it, without which no number means much:

- *Are generated faces distributed as real ones?* FID (Heusel et al. 2017) and KID (Bińkowski et al. 2018) by
  torchmetrics, with the features of a ``FeatureNet``. For real faces: the distance of two halves of the
  people, the least to hope for.
- *Do they differ among themselves?* Diversity is the mean distance of two faces; that of real ones is 1.
- *Are they copies?* The nearest training face of each, see :mod:`affkit_lab.gan_evaluation.memorization`.
- *Does the discriminator predict its own generator's faces rightly?* Its valence, arousal and action units
  against those of the feature net, which never saw a generated face.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from affkit.checkpoints import load_checkpoint
from affkit.corpus.reliability import cohen_kappa
from affkit.errors import UserError
from affkit.evaluation.collapse import mean_distance
from affkit.evaluation.evaluate import score
from affkit.evaluation.predict import predict_faces
from affkit.gan import sample_z
from affkit.labels import ACTION_UNITS, VA, Labels
from affkit.store import Store, fit_size, made_smaller, pictures, to_unit_range
from affkit_lab.backbones.feature_net import FeatureNet, features_of
from affkit_lab.backbones.train_faces import subjects_of
from affkit_lab.gan_evaluation.memorization import copy_threshold, nearest, real_distances

MEASURES = {
    "fid": "FID, smaller is better",
    "kid": "KID, smaller is better",
    "diversity_features": "diversity, features",
    "diversity_pixels": "diversity, pixels",
    "copies_features": "copies, by features",
    "copies_pixels": "copies, by pixels",
    "ccc_valence": "CCC of valence, D and feature net",
    "ccc_arousal": "CCC of arousal, D and feature net",
    "au_f1_macro": "F1 of action units, D and feature net",
    "au_kappa": "kappa of action units, D and feature net",
}


@dataclass(frozen=True)
class GanEvaluation:
    """What :func:`evaluate_gan` found: a ``table`` with a row for each of :data:`MEASURES`, and n ``faces``.

    ``nearest`` has a row for each face; for ``features`` and ``pixels`` the row of the store that is nearest
    (``features_row``), how far (``features_distance``) and whether it counts as a copy (``features_copy``).
    """

    table: pd.DataFrame  # columns generated and real
    faces: np.ndarray  # (n, S, S, 3) uint8
    nearest: pd.DataFrame

    def text(self) -> str:
        return self.table.rename(index=MEASURES).to_string(float_format="{:.3f}".format, na_rep="-")

    def as_dict(self) -> dict:
        """The table in plain numbers, to be written as JSON; ``None`` is not known."""
        plain = self.table.astype(object).where(self.table.notna(), None)
        return plain.to_dict(orient="index")


def evaluate_gan(
    generator: str | Path,
    discriminator: str | Path,  # of the same run
    feature_net: str | Path,
    store: Store,  # of the faces, with labels
    rows: Sequence[int] | None = None,  # those that the GAN was trained on; all by default
    n: int = 1000,  # faces to generate
    seed: int = 0,  # of z and of the halves
    progress: bool = True,
) -> GanEvaluation:
    """Answer the four questions for the checkpoints of a trained GAN.

    FID is larger for fewer faces: compare only where ``n`` and the store agree.
    """
    (g, _), (d, _) = load_checkpoint(generator, "generator"), load_checkpoint(discriminator, "discriminator")
    net, _ = load_checkpoint(feature_net, "featurenet")
    rows = np.arange(len(store)) if rows is None else np.asarray(rows, dtype=np.int64)
    subjects = subjects_of(store)[rows]
    with tqdm(total=5, unit="part", delay=2, disable=not progress) as bar:
        fake = pictures(g, sample_z(n, seed))  # (n, S, S, 3)
        real = made_smaller(store.batch(rows), fake.shape[1], store.path)  # (N, S, S, 3)
        bar.update()
        table = agreement(d, net, fake, real)
        bar.update()
        points = {kind: (of(net, fake), of(net, real)) for kind, of in SPACES.items()}
        bar.update()
        table |= distribution_distances(*(p[0] for p in points["features"]), subjects, seed=seed)
        bar.update()
        neighbours = {}
        for kind, (fake_points, real_points) in points.items():
            ratio = diversity(fake_points[0], seed) / diversity(real_points[0], seed)
            table[f"diversity_{kind}"] = {"generated": ratio, "real": 1.0}
            threshold = copy_threshold(*real_distances(real_points, store, rows, seed))
            row, distance = nearest(fake_points[0], real_points)
            copy = distance <= threshold.distance
            table[f"copies_{kind}"] = {"generated": float(copy.mean()), "real": threshold.error}
            found = {"row": rows[row], "distance": distance, "copy": copy}
            neighbours |= {f"{kind}_{name}": values for name, values in found.items()}
        bar.update()
    told = [name for name in MEASURES if name in table]
    scores = pd.DataFrame(table).T.loc[told, ["generated", "real"]]
    return GanEvaluation(scores, fake, pd.DataFrame(neighbours))


def pixels_of(net: FeatureNet, images: np.ndarray) -> np.ndarray:
    """Pixels of faces ``(N, S, S, 3)`` uint8 in [-1, 1], made as small as ``net`` reads: ``(2, N, D)``.

    The second version is the mirror image: most recipes train on faces flipped at random.
    """
    size, batches = net.config.image_size, np.array_split(images, -(-len(images) // 256))
    small = torch.cat([fit_size(to_unit_range(batch), size) for batch in batches])  # (N, 3, s, s)
    return torch.stack([small, small.flip(-1)]).flatten(2).numpy()


SPACES = {"features": features_of, "pixels": pixels_of}


def diversity(points: np.ndarray, seed: int = 0, most: int = 2000) -> float:
    """Mean distance of two of ``(N, D)`` points; of ``most`` drawn at random where there are more."""
    chosen = np.random.default_rng(seed).permutation(len(points))[:most]
    return mean_distance(torch.from_numpy(points[chosen]))


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    r"""FID of two sets of features, ``(N, D)`` and ``(M, D)``: normal distributions take their place.

    .. math:: |\mu_1 - \mu_2|^2 + \mathrm{tr}(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2})

    It is biased: two samples of one distribution are at a distance that shrinks as they grow.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance  # takes a second to import

    return float(_metric(FrechetInceptionDistance, first, second).compute())


def kernel_distance(first: np.ndarray, second: np.ndarray, seed: int = 0) -> float:
    """KID of two sets of features: a squared distance of means by a cubic kernel, without bias.

    The mean over 50 pairs of subsets of 100 (fewer where there are fewer), drawn with ``seed``.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(100, len(first), len(second))
    with torch.random.fork_rng():  # torchmetrics draws the subsets from the global generator
        torch.manual_seed(seed)
        metric = _metric(KernelInceptionDistance, first, second, subsets=50, subset_size=size)
        return float(metric.compute()[0])


class _Features(nn.Identity):
    """What torchmetrics asks for in place of Inception, where features are there already."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features


def _metric(metric_class, first: np.ndarray, second: np.ndarray, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance`")  # it keeps them; they are few
        metric = metric_class(feature=_Features(first.shape[1]), **options)
    for features, real in ((first, True), (second, False)):
        metric.update(torch.from_numpy(np.asarray(features, np.float64)), real=real)
    return metric


def distribution_distances(
    fake: np.ndarray, real: np.ndarray, subjects: np.ndarray, splits: int = 5, seed: int = 0
) -> dict[str, dict[str, float]]:
    """FID and KID of generated features and of real ones, each against one half of the people.

    The people are halved ``splits`` times. One half stands for the data; the other half is as far from it as
    new people are, which is the floor. All sets of a split have one size, as FID depends on it. ``fake`` is
    ``(n, D)``, ``real`` ``(N, D)``, and ``subjects`` ``(N,)`` says who is on each real face.
    """
    people, rng = np.unique(subjects), np.random.default_rng(seed)
    if len(people) < 2:
        raise UserError("real faces", "are all of one person", "use a store with more people")
    found = []
    for split in range(splits):
        half = np.isin(subjects, rng.permutation(people)[: len(people) // 2])
        sets = [rng.permutation(points) for points in (real[half], real[~half], fake)]
        size = min(map(len, sets))
        one, other, generated = (points[:size] for points in sets)
        for kind, second in {"generated": generated, "real": other}.items():
            found.append(("fid", kind, frechet_distance(one, second)))
            found.append(("kid", kind, kernel_distance(one, second, seed=split)))
    table = pd.DataFrame(found, columns=["measure", "kind", "value"])
    return table.pivot_table("value", "measure", "kind").to_dict(orient="index")


def agreement(discriminator, net: FeatureNet, fake: np.ndarray, real: np.ndarray) -> dict[str, dict]:
    """CCC, F1 and kappa between the predictions of discriminator and feature net for the same faces.

    Those of the feature net stand for the truth. Kappa is Cohen's, the mean over the action units of which
    not both say the same everywhere.
    """
    scores: dict[str, dict] = {}
    for kind, images in {"generated": fake, "real": real}.items():
        ours = pd.DataFrame(predict_faces(discriminator, images))
        theirs = pd.DataFrame(predict_faces(net, images))
        units = theirs[list(ACTION_UNITS)].to_numpy() >= 0.5
        labels = Labels.empty(len(theirs))
        labels.valence[:], labels.arousal[:], labels.action_units[:] = *(theirs[name] for name in VA), units
        labels.has_va[:] = labels.has_action_units[:] = True
        found = score(ours, labels)
        if ACTION_UNITS[0] in ours:
            said = ours[list(ACTION_UNITS)].to_numpy() >= 0.5
            kappas = [cohen_kappa(*pair) for pair in zip(said.T, units.T, strict=True)]
            known = [kappa for kappa in kappas if not np.isnan(kappa)]
            found["au_kappa"] = float(np.mean(known)) if known else float("nan")
        for name in found.keys() & MEASURES.keys():
            scores.setdefault(name, {})[kind] = found[name]
    return scores

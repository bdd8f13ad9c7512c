"""What notebook 12 needs: what labellers say about faces, contradictions of the paper, a damaged corpus.

Names of other rooms that the notebook needs are imported here as well.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from affkit.errors import UserError
from affkit.evaluation.predict import FacePredictor, predict_faces
from affkit.files import write_beside
from affkit.labels import ACTION_UNITS, VA
from affkit.losses import GENERATOR_LOSSES, generator_loss, va_loss
from affkit.video.video import Video
from affkit_course.lessons.figures import curve_panels  # noqa: F401
from affkit_lab.backbones.train_faces import predictor_config, train_faces  # noqa: F401
from affkit_lab.experiments.enrichment import worth_of_labels  # noqa: F401
from affkit_lab.experiments.generated_labels import Confidence, confident_labels, draw_faces  # noqa: F401
from affkit_lab.experiments.results import Results  # noqa: F401
from affkit_lab.figures.tables import enrichment_gains  # noqa: F401
from affkit_lab.latent.predictors import NetworkPredictor  # noqa: F401
from affkit_studio.doctor.report import examine, page  # noqa: F401
from affkit_studio.overlay import annotate_video  # noqa: F401


def label_survey(
    labellers: Mapping[str, FacePredictor], faces: Mapping[str, np.ndarray], sure: Confidence
) -> pd.DataFrame:
    """How each labeller reads each kind of faces, ``(N, S, S, 3)`` uint8, and what of that becomes a label.

    A row for each pair: ``95% below``, the 95% quantile of the probabilities of all action units; ``from
    0.5``, the fraction of them that is not below 0.5; ``V-A given`` and ``AUs given``, the fractions that are
    labelled; ``active``, the fraction of the labelled units that is labelled 1, NaN if none is labelled.
    """
    rows, units = {}, list(ACTION_UNITS)
    for name, labeller in labellers.items():
        for kind, images in faces.items():
            said = pd.DataFrame(predict_faces(labeller, images))[units].to_numpy()  # (N, 8)
            labels = confident_labels(labeller, images, sure)
            given = labels[units].to_numpy(float, na_value=np.nan)  # (N, 8)
            known = given[~np.isnan(given)]
            rows[name, kind] = {
                "95% below": float(np.quantile(said, 0.95)),
                "from 0.5": float((said >= 0.5).mean()),
                "V-A given": float(labels[VA[0]].notna().mean()),
                "AUs given": len(known) / given.size,
                "active": float(known.mean()) if len(known) else np.nan,
            }
    return pd.DataFrame(rows).T.rename_axis(["labeller", "faces"])


def transposed_sizes(layers: Sequence[tuple[int, int]], padding: str, side: int = 1) -> list[int]:
    """Sides of what transposed convolutions, ``(filter, stride)`` each, make one after the other.

    ``"valid"`` keeps all that the filters paint, ``"same"`` cuts it to the stride times the side of the
    input, as TensorFlow does. z is one pixel.

    >>> transposed_sizes([(2, 1), (4, 2)], "valid"), transposed_sizes([(2, 1), (4, 2)], "same")
    ([2, 6], [1, 2])
    """
    picture, sides = torch.ones(1, 1, side, side), []
    for filter_side, stride in layers:
        wanted = stride * picture.shape[-1]
        picture = F.conv_transpose2d(picture, torch.ones(1, 1, filter_side, filter_side), stride=stride)
        if padding == "same":
            cut = (picture.shape[-1] - wanted) // 2
            picture = picture[..., cut : cut + wanted, cut : cut + wanted]
        sides.append(picture.shape[-1])
    return sides


def generator_gradients(fake: Sequence[float]) -> pd.DataFrame:
    """How hard each generator loss pulls at the logit of the discriminator, by its probability of "fake".

    A row for each of ``fake``; a column for Eq. 2 as printed, and one for its usual cure.
    """
    logits = torch.logit(torch.tensor(fake, dtype=torch.float64))  # (N,)
    table = {}
    for kind in GENERATOR_LOSSES:
        at = logits.clone().requires_grad_()
        # a mean over the batch: times its size, the gradient of each
        (gradient,) = torch.autograd.grad(generator_loss(at, kind=kind) * len(at), at)
        table[kind] = gradient.numpy()
    return pd.DataFrame(table, index=pd.Index(fake, name="probability of fake"))


def constant_target_gradients(predicted: Tensor, value: float) -> dict[str, float]:
    """Length of the gradient of each V-A loss when every label is one number, as for fakes in IV.C.1."""
    lengths = {}
    for kind in ("ccc", "mse"):
        at = predicted.clone().requires_grad_()
        loss = va_loss(at, torch.full_like(at, value), kind=kind)
        lengths[kind] = float(torch.autograd.grad(loss, at)[0].norm())
    return lengths


def printed_ccc(x: np.ndarray, y: np.ndarray) -> float:
    """Eq. 5 read to the letter: ``s_x`` and ``s_y`` are variances, "and then squared".

    >>> round(printed_ccc(np.array([-0.1, 0.1]), np.array([-0.1, 0.1])), 1)  # a perfect prediction
    100.0
    """
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    return float(2 * covariance / (x.var() ** 2 + y.var() ** 2 + (x.mean() - y.mean()) ** 2))


def hours(frames: int, fps: float = 30.0) -> float:
    """How long so many frames last.

    >>> round(hours(1_180_000), 1)
    10.9
    """
    return frames / fps / 3600


TRAIN = Path("annotations") / "VA_Estimation_Challenge" / "Train_Set"
CROPS = "cropped_aligned"
DONE = (
    "the last 25 lines are missing",
    "one line too many, at the start",
    "in two sets",
    "its crops count from 0",
)
CROP_SIZE = 32


def damaged_folder(corpus: str | Path, out: str | Path, names: Sequence[str]) -> dict[str, str]:
    """Four clips of ``corpus``, laid out as ABAW is, with one fault each, of kinds that annotations have.

    ``out`` is made anew, with numbered pictures as Aff-Wild2 has them: whole frames made small, since only
    their numbers matter. Returns what was done to each clip.
    """
    corpus, out = Path(corpus), Path(out)
    done = dict(zip(names, DONE, strict=True))
    files = {name: corpus / TRAIN / f"{name}.txt" for name in names}
    for name, file in files.items():
        if not file.is_file():
            raise UserError(file, f"{name} has no labels of valence and arousal", "take another clip")
    shutil.rmtree(out, ignore_errors=True)
    validation = TRAIN.with_name("Validation_Set")
    for folder in (out / "videos", out / TRAIN, out / validation):
        folder.mkdir(parents=True)
    for name in names:
        video = shutil.copy(corpus / "videos" / f"{name}.mp4", out / "videos")
        _write_crops(Path(video), out / CROPS / name, first=0 if name == names[3] else 1)
    short, longer, twice, zero = names
    texts = {name: file.read_text(encoding="utf-8").splitlines() for name, file in files.items()}
    lines = {
        TRAIN / files[short].name: texts[short][:-25],
        TRAIN / files[longer].name: [*texts[longer][:2], *texts[longer][1:]],
        TRAIN / files[twice].name: texts[twice],
        validation / files[twice].name: texts[twice],
        TRAIN / files[zero].name: texts[zero],
    }
    for path, rows in lines.items():
        with write_beside(out / path) as part:
            part.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return done


def _write_crops(video: Path, folder: Path, first: int) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(Video(video).frames(), start=first):
        small = cv2.resize(frame, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), small[..., ::-1])

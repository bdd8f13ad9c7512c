"""Predictors: anything that looks at faces and fills a table, so that directions can be learned from it.

A predictor is a function of faces ``(N, S, S, 3)`` uint8 that returns a table of N rows; its columns are
predictions such as ``valence`` or ``AU12``. Which network is behind it, if any, does not matter.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError
from affkit.evaluation.predict import FacePredictor, predict_faces
from affkit.gan import Discriminator
from affkit.labels import EXPRESSIONS, VA
from affkit.multitask import AffWildNet
from affkit.store import fit_size, to_unit_range

Predictor = Callable[[np.ndarray], pd.DataFrame]
SUREST = 1e-6  # a probability nearer to 0 or 1 than this is taken to be so near


class NetworkPredictor:
    """What a trained network predicts, given itself, in evaluation mode, or the path of its checkpoint.

    Columns: ``valence`` and ``arousal`` in [-1, 1], and probabilities of the action units or, of an
    ``affwildnet``, of the expressions. A discriminator also says ``fake``, its probability that the face is
    generated.

    Faces smaller than the network's are refused with a UserError, as is a network that takes no faces. With
    ``enlarge`` they are blown up; it then sees faces blurrier than any it was trained on.
    """

    def __init__(self, model: torch.nn.Module | str | Path, enlarge: bool = False):
        self.source: str | Path = getattr(model, "architecture", "faces")
        if isinstance(model, str | Path):
            self.source, (model, _) = model, load_checkpoint(model)
        if not isinstance(model, AffWildNet | FacePredictor):
            problem = f"holds weights of {model.architecture}, which reads no faces"
            raise UserError(self.source, problem, "give discriminator.safetensors or affwildnet.safetensors")
        self.model, self.enlarge = model, enlarge

    def __call__(self, faces: np.ndarray) -> pd.DataFrame:
        size = self.model.config.image_size
        if self.enlarge and faces.shape[1] < size:
            faces = np.stack([cv2.resize(face, (size, size)) for face in faces])
        if isinstance(self.model, AffWildNet):
            return pd.DataFrame(_as_single_frames(self.model, faces, self.source))
        with_fake = isinstance(self.model, Discriminator)
        return pd.DataFrame(predict_faces(self.model, faces, self.source, with_fake=with_fake))


class JoinedPredictor:
    """Several predictors as one, those to be believed most first: a column that two have is the first one's.

    Some ``faces`` ``(N, S, S, 3)`` uint8, such as will be looked at, show which predictor has which columns.
    """

    def __init__(self, predictors: Sequence[Predictor], faces: np.ndarray):
        self._parts: list[tuple[Predictor, list[str]]] = []
        for predictor in predictors:
            columns = [name for name in predictor(faces[:1]).columns if name not in self.columns]
            self._parts.append((predictor, columns))

    @property
    def columns(self) -> list[str]:
        return [name for _, columns in self._parts for name in columns]

    def only(self, columns: Sequence[str]) -> "JoinedPredictor":
        """A predictor of some of the columns, which does not ask predictors that have none of them."""
        some = JoinedPredictor([], np.empty(0))
        wanted = [(predictor, [name for name in own if name in columns]) for predictor, own in self._parts]
        some._parts = [(predictor, own) for predictor, own in wanted if own]
        return some

    def __call__(self, faces: np.ndarray) -> pd.DataFrame:
        return pd.concat([predictor(faces)[columns] for predictor, columns in self._parts], axis=1)


def log_odds(predictor: Predictor) -> Predictor:
    """The predictor with log odds, log(p / (1 - p)), in place of its probabilities.

    A probability near 0 hardly moves: a discriminator that was told "0.01" of every action unit on every
    generated face, as in the paper (IV.C.1), seems to see nothing on them. Its log odds still differ from
    face to face, and a straight line fits them better. Valence and arousal stay.
    """

    def predict(faces: np.ndarray) -> pd.DataFrame:
        table = predictor(faces)
        values, likely = table.to_numpy(np.float64, copy=True), ~table.columns.isin(VA)
        odds = values[:, likely].clip(SUREST, 1 - SUREST)
        values[:, likely] = np.log(odds / (1 - odds))
        return pd.DataFrame(values, columns=table.columns, index=table.index)

    return predict


@torch.no_grad()
def _as_single_frames(model: AffWildNet, faces: np.ndarray, source: str | Path) -> dict[str, np.ndarray]:
    """Each face as a sequence of one frame: the recurrent part has nothing to remember."""
    size = model.config.image_size
    if faces.shape[1] < size:
        problem = f"reads faces of {size} pixels, these have {faces.shape[1]}"
        raise UserError(source, problem, "give a generator of larger faces, or enlarge them")
    va, expression = [], []
    for start in range(0, len(faces), 64):
        images = fit_size(to_unit_range(faces[start : start + 64]), size)  # (B, 3, S, S)
        output, _ = model(images[:, None])  # (B, 1, 3, S, S)
        va.append(output.va[:, 0].clamp(-1, 1))  # (B, 2)
        expression.append(output.expression[:, 0].softmax(dim=-1))  # (B, 7)
    columns = dict(zip(VA, torch.cat(va).numpy().T, strict=True))
    return columns | dict(zip(EXPRESSIONS, torch.cat(expression).numpy().T, strict=True))

"""From a video file straight to predictions: the way of :mod:`affkit.data`, then of a trained network."""

import tempfile
from pathlib import Path

import pandas as pd

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError
from affkit.evaluation.predict import FaceReader, predict_store
from affkit.faces.extract import extract_faces
from affkit.files import existing_file, refuse_existing, write_beside
from affkit.loop import make_fabric
from affkit.multitask import AffWildNet


def face_size(checkpoint: str | Path) -> int:
    """Side, in pixels, of the faces that the network in a checkpoint reads.

    Raises :class:`~affkit.errors.UserError` if it reads none.
    """
    model, _ = load_checkpoint(checkpoint)
    if isinstance(model, AffWildNet | FaceReader):
        return model.config.image_size
    mend = "give discriminator.safetensors or affwildnet.safetensors"
    raise UserError(checkpoint, f"holds a {model.architecture}, which predicts nothing", mend)


def predict_video(
    video: str | Path,
    checkpoint: str | Path,
    detector: str = "haar",
    device: str = "auto",
    progress: bool = True,
) -> pd.DataFrame:
    """Find the faces of one video and predict each of them.

    Returns
    -------
    DataFrame
        A row for each face in each frame: ``video``, ``frame`` (1-based), ``person``, the face's box
        ``x, y, w, h`` in pixels of the video and the detector's ``score``, empty where the box was filled in,
        and what :func:`~affkit.evaluation.predict.predict_store` adds.

    Raises
    ------
    UserError
        If the video cannot be read, has no face in any frame, or the checkpoint predicts nothing.
    """
    existing_file(video)
    size = face_size(checkpoint)
    make_fabric(device)  # a device that is not there is told before the work
    with tempfile.TemporaryDirectory() as folder:
        store = extract_faces(
            [video], Path(folder) / "store", size=size, detector=detector, progress=progress
        )
        predictions = predict_store(checkpoint, store, device=device, progress=progress)
        boxes = store.index[["x", "y", "w", "h", "score"]]
    keys = ["video", "frame", "person"]
    return pd.concat([predictions[keys], boxes, predictions.drop(columns=keys)], axis=1)


def write_predictions(path: str | Path, predictions: pd.DataFrame, force: bool = False) -> None:
    """Write predictions as CSV, four decimals, whole or not at all."""
    refuse_existing(path, force)
    with write_beside(path) as part:
        predictions.to_csv(part, index=False, float_format="%.4f")

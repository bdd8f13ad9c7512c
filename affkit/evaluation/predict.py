"""What a trained network says about faces: those of a store, or those of a video file.

Predictions are a table, a row a face: ``video``, ``frame`` (1-based) and ``person``; ``valence`` and
``arousal``, cut to [-1, 1]; and, by what the network tells, a probability for each of the seven expressions,
which sum to 1, or of each of the eight action units.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from affkit.checkpoints import load_checkpoint
from affkit.errors import UserError
from affkit.faces.extract import extract_faces, names_of_people
from affkit.files import refuse_existing, write_beside
from affkit.labelfiles.formats import checked_video_name
from affkit.labelfiles.layouts import write_annotations
from affkit.labels import ACTION_UNITS, ACTIVE, EXPRESSIONS, VA, Labels
from affkit.loop import make_fabric
from affkit.multitask import AffWildNet
from affkit.store import SequenceDataset, Store, fit_size, to_unit_range, too_small
from affkit.video.video import Video

TABLE, OPENFACE = "table.csv", "openface.csv"

# the expressions as py-feat names and orders them: its FEAT_EMOTION_COLUMNS
PY_FEAT_EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
_BOX = {"x": "FaceRectX", "y": "FaceRectY", "w": "FaceRectWidth", "h": "FaceRectHeight", "score": "FaceScore"}


@runtime_checkable
class FacePredictor(Protocol):
    """A network that predicts each face by itself, and says so by its attribute, such as a discriminator.

    Its ``config`` has an ``image_size``, and of faces ``(B, 3, S, S)`` it gives ``va`` ``(B, 2)`` and logits
    ``action_units`` ``(B, 8)``; None is what it does not tell.
    """

    predicts_faces: bool


def load_predictor(checkpoint: str | Path) -> AffWildNet | FacePredictor:
    """The network in a checkpoint, or a :class:`UserError` if it is one that predicts nothing."""
    model, _ = load_checkpoint(checkpoint)
    if isinstance(model, AffWildNet | FacePredictor):
        return model
    problem = f"holds weights of {model.architecture}, which predicts nothing"
    raise UserError(checkpoint, problem, "give discriminator.safetensors or affwildnet.safetensors")


def predict_video(
    video: str | Path | Video,
    checkpoint: str | Path,
    detector: str = "auto",
    device: str = "auto",
    progress: bool = True,
) -> pd.DataFrame:
    """Find and predict all faces; also boxes ``x, y, w, h`` in pixels and ``score``, empty if filled in."""
    with Video.of(video) as clip, tempfile.TemporaryDirectory() as folder:
        model = load_predictor(checkpoint)
        make_fabric(device)  # a device that is not there is told before the work
        out, size = Path(folder) / "store", model.config.image_size
        store = extract_faces([clip], out, size=size, detector=detector, progress=progress)
        predictions = predict_store(model, store, device=device, progress=progress)
        boxes = store.index[["x", "y", "w", "h", "score"]]
    keys = ["video", "frame", "person"]
    return pd.concat([predictions[keys], boxes, predictions.drop(columns=keys)], axis=1)


def predict_store(
    network: str | Path | AffWildNet | FacePredictor,
    store: Store,
    device: str = "auto",
    progress: bool = True,
    length: int = 80,  # frames that an AffWildNet looks at in one go; its state goes on to the next
    features: np.ndarray | None = None,  # (len(store), F) of its CNN, if known; then no picture is looked at
) -> pd.DataFrame:
    """Predict every face of a store, in its order; refuses one of another size than the network's."""
    model = load_predictor(network) if isinstance(network, str | Path) else network
    model.to(make_fabric(device).device)
    if isinstance(model, AffWildNet):
        columns = _predict_sequences(model, store, length, progress, features)
    else:
        columns = predict_faces(model, store.images, store.path, progress)
    keys = store.index[["video", "frame", "person"]].reset_index(drop=True)
    return pd.concat([keys, pd.DataFrame(columns)], axis=1)


@torch.no_grad()
def predict_faces(
    model: FacePredictor,
    images: np.ndarray,
    source: str | Path = "faces",
    progress: bool = False,
    batch_size: int = 256,
    with_fake: bool = False,
) -> dict[str, np.ndarray]:
    """Predict single faces, ``(N, S, S, 3)`` uint8: valence, arousal and action units, ``(N,)`` each.

    ``source`` is named in the :class:`UserError` when they are too small. ``with_fake``: also the probability
    ``fake``, of a discriminator, that a face is generated.
    """
    size = model.config.image_size
    if images.shape[1] < size:
        raise too_small(source, images.shape[1], "this network reads", size)
    device = next(model.parameters()).device
    batches = []
    for start in tqdm(range(0, len(images), batch_size), unit="batch", disable=not progress):
        output = model(fit_size(to_unit_range(images[start : start + batch_size]).to(device), size))
        columns = {} if output.va is None else _columns(VA, output.va.clamp(-1, 1))
        if output.action_units is not None:
            columns |= _columns(ACTION_UNITS, output.action_units.sigmoid())
        batches.append(columns | ({"fake": output.fake.sigmoid().cpu().numpy()} if with_fake else {}))
    return {name: np.concatenate([columns[name] for columns in batches]) for name in next(iter(batches), {})}


@torch.no_grad()
def _predict_sequences(
    model: AffWildNet, store: Store, length: int, progress: bool, features: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Window after window of each track; where one goes on from the window before, so does the network's
    state. A network that starts anew in each takes some 20 frames to find its level: at every seam valence
    jumped 15 times as far as between other frames.
    """
    if store.size != model.config.image_size:
        raise too_small(store.path, store.size, "this network reads", model.config.image_size)
    device = next(model.parameters()).device
    sequences = SequenceDataset(store, length=length)
    va, expression = torch.zeros(len(store), 2), torch.zeros(len(store), len(EXPRESSIONS))
    state = None
    for item in tqdm(range(len(sequences)), unit="window", delay=2, disable=not progress):
        if features is None:
            images, _, mask = sequences[[item]]  # (1, T, 3, S, S), (1, T)
            seen = model.features(images.to(device), mask.to(device))  # (1, T, F)
        else:
            seen, mask = sequences.of_rows(features, [item])  # (1, T, F), (1, T)
        state = state if sequences.goes_on[item] else None
        output, state = model.predict(seen.to(device), mask.to(device), state)
        rows = torch.from_numpy(sequences.rows[[item]])[mask]  # (N,) for N frames with a face
        va[rows] = output.va.cpu()[mask]
        expression[rows] = output.expression.softmax(dim=-1).cpu()[mask]
    return _columns(VA, va.clamp(-1, 1)) | _columns(EXPRESSIONS, expression)


def _columns(names: tuple[str, ...], values: Tensor) -> dict[str, np.ndarray]:
    return dict(zip(names, values.cpu().numpy().T, strict=True))


def face_labels(faces: pd.DataFrame, num_frames: int, active: float | pd.Series = ACTIVE) -> Labels:
    """Predictions of one face as labels of ``num_frames`` frames; a frame that is not there is masked.

    Valence and arousal get four decimals; an action unit is 1 from the probability ``active``, one for all or
    by unit.
    """
    labels, rows = Labels.empty(num_frames), faces["frame"].to_numpy() - 1
    if VA[0] in faces:
        labels.valence[rows], labels.arousal[rows] = (faces[name].round(4) for name in VA)
        labels.has_va[rows] = True
    if EXPRESSIONS[0] in faces:
        labels.expression[rows] = faces[list(EXPRESSIONS)].to_numpy().argmax(axis=1)
        labels.has_expression[rows] = True
    if ACTION_UNITS[0] in faces:
        labels.action_units[rows] = faces[list(ACTION_UNITS)] >= active
        labels.has_action_units[rows] = True
    return labels


def abaw_labels(predictions: pd.DataFrame, num_frames: int, width: int) -> dict[str, Labels]:
    """Predictions of one video, ``width`` pixels wide, as labels by the names of Aff-Wild2's label files. Of
    several people the two seen longest are ``_left`` and ``_right``; there is no name for a third.
    """
    video, people = predictions["video"].iloc[0], predictions["person"]
    centers = (predictions["x"] + predictions["w"] / 2).groupby(people).mean().to_dict()
    known = {f"{video}_left", f"{video}_right"} if 1 in centers else {video}
    names = sorted(names_of_people(known, video, centers, width).items())
    return {name: face_labels(predictions[people == person], num_frames) for person, name in names}


def openface_table(predictions: pd.DataFrame, seconds: np.ndarray) -> pd.DataFrame:
    """Predictions of :func:`predict_video` in the columns that readers of OpenFace and py-feat look for.

    ``frame`` to ``success`` are those of OpenFace 2 (its wiki, "Output Format"; Baltrusaitis et al., FG
    2018), ``timestamp`` from ``seconds`` ``(T,)``; the box, ``FaceScore`` (the detector's own scale) and the
    emotions those of py-feat (``feat/utils``; Cheong et al., Affective Science 2023). Action units have two
    digits in both, without OpenFace's ``_r`` or ``_c``: a probability is neither. ``confidence`` is 1 where
    the detector saw the face, else 0. A frame without a face is one row with ``success`` 0 and the rest
    empty, as in py-feat: the zeros that OpenFace writes look like values.
    """
    frames = pd.DataFrame({"frame": np.arange(1, len(seconds) + 1), "timestamp": seconds})
    rows = frames.merge(predictions.sort_values("person", kind="stable"), on="frame", how="left")
    columns = {"frame": rows["frame"], "face_id": rows["person"].fillna(0).astype(int)}
    columns |= {"timestamp": rows["timestamp"], "confidence": rows["score"].notna().astype(int)}
    columns |= {"success": rows["person"].notna().astype(int)}
    names = _BOX | {name: name for name in VA}
    names |= {name.capitalize(): name for name in PY_FEAT_EMOTIONS}
    names |= {name: f"AU{int(name[2:]):02}" for name in ACTION_UNITS}
    return pd.DataFrame(columns | {new: rows[ours] for ours, new in names.items() if ours in rows})


def write_predictions(path: str | Path, predictions: pd.DataFrame, force: bool = False) -> None:
    """Write predictions as CSV, four decimals, whole or not at all."""
    refuse_existing(path, force)
    with write_beside(path) as part:
        predictions.to_csv(part, index=False, float_format="%.4f")


def write_prediction_folder(
    out: str | Path,
    video: str | Path | Video,
    predictions: pd.DataFrame,
    draw: Callable | None = None,
    force: bool = False,
    progress: bool = True,
) -> None:
    """Write what :func:`predict_video` said of a video as a folder, whole or not at all.

    It holds ``table.csv``, ``openface.csv``, the label files of :func:`abaw_labels` as the test set of the
    ABAW layout, and what ``draw(file, video, predictions, progress)`` makes of ``<name of the video>.mp4``.
    What it refuses: :func:`check_prediction_folder`.
    """
    out = Path(out).resolve()
    with Video.of(video) as clip:
        check_prediction_folder(out, clip.path, force)
        labels = abaw_labels(predictions, len(clip.seconds), clip.width)
        with write_beside(out) as part:
            shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
            part.mkdir()
            write_predictions(part / TABLE, predictions)
            write_predictions(part / OPENFACE, openface_table(predictions, clip.seconds))
            write_annotations(part, labels, splits=dict.fromkeys(labels, "test"))
            if draw is not None:
                draw(part / f"{clip.path.stem}.mp4", clip, predictions, progress)
            if out.exists():
                shutil.rmtree(out)


def check_prediction_folder(out: str | Path, video: str | Path, force: bool = False) -> None:
    """Refuse, before the work, an output that exists, unless ``force``; then still one that is no folder of
    predictions or holds the video itself. And a video whose name cannot be the name of label files.
    """
    refuse_existing(out, force)
    checked_video_name(video, Path(video).stem)
    out, fix = Path(out), "choose another output"
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(out, "is a file, not a folder", fix)
    if out.resolve() in Path(video).resolve().parents:
        raise UserError(out, f"holds {video}, and would be replaced", fix)
    if any(out.iterdir()) and not (out / OPENFACE).is_file():
        raise UserError(out, "is not a folder of predictions, and would be replaced", fix)

"""What a trained network says about faces: those of a store, or those of a video file.

Predictions are a table, a row a face: ``video``, ``frame`` (1-based) and ``person``; and, by what the
networks tell, ``valence`` and ``arousal``, cut to [-1, 1]; a probability for each of the seven expressions,
which sum to 1; and one of each of the eight action units.
"""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from affkit.checkpoints import load_checkpoint
from affkit.errors import NoFaceError, UserError
from affkit.faces.detectors import Detector
from affkit.faces.extract import Progress, extract_faces, make_detector, names_of_people, watched
from affkit.files import check_output, refuse_existing, write_beside
from affkit.labelfiles.formats import checked_video_name
from affkit.labelfiles.layouts import write_annotations
from affkit.labels import ACTION_UNITS, ACTIVE, EXPRESSIONS, VA, Labels
from affkit.loop import make_fabric
from affkit.multitask import AffWildNet
from affkit.store import SequenceDataset, Store, fit_size, to_unit_range, too_small
from affkit.video.convert import find_videos
from affkit.video.video import Video

TABLE, OPENFACE, SUMMARY = "table.csv", "openface.csv", "summary.html"
WEIGHTS = Path(__file__).parents[2] / "data_samples" / "weights"
SHIPPED = ("affwildnet.safetensors", "cnn.safetensors")
FINDING, PREDICTING, DRAWING = 6, 1, 6  # what of the time each takes, for the time that is left

# the expressions as py-feat names and orders them: its FEAT_EMOTION_COLUMNS
PY_FEAT_EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
_BOX = {"x": "FaceRectX", "y": "FaceRectY", "w": "FaceRectWidth", "h": "FaceRectHeight", "score": "FaceScore"}


@runtime_checkable
class FacePredictor(Protocol):
    """A network that predicts each face by itself, and says so by its attribute, such as a discriminator.

    Its ``config`` has an ``image_size``, and of faces ``(B, 3, S, S)`` it gives ``va`` ``(B, 2)`` and logits
    ``action_units`` ``(B, 8)``; None is what it does not tell. One with a
    ``cnn`` also has a ``predict``, of the features ``(B, F)`` that the CNN gives.
    """

    predicts_faces: bool


def load_predictor(checkpoint: str | Path) -> AffWildNet | FacePredictor:
    """The network in a checkpoint, or a :class:`UserError` if it is one that predicts nothing."""
    model, _ = load_checkpoint(checkpoint)
    if isinstance(model, AffWildNet | FacePredictor):
        return model
    problem = f"holds weights of {model.architecture}, which predicts nothing"
    raise UserError(checkpoint, problem, "give discriminator.safetensors or affwildnet.safetensors")


def load_predictors(checkpoints: Sequence[str | Path] = ()) -> list[AffWildNet | FacePredictor]:
    """The networks in ``checkpoints``, by default the kit's two, which together tell all there is to tell.

    Those whose convolutional halves have the same weights share one, so that it looks at a face once. A
    :class:`UserError` if two tell the same.
    """
    if not checkpoints and not WEIGHTS.is_dir():
        problem = "is needed: the networks of the kit lie in its repository, not in the package"
        raise UserError("--checkpoint", problem, "give --checkpoint FILE")
    models, told = [], {}
    for path in checkpoints or [WEIGHTS / name for name in SHIPPED]:
        model = load_predictor(path)
        names = _told_by(model)
        if twice := told.keys() & names:
            name = min(twice)
            raise UserError(path, f"tells {name}, and so does {told[name]}", "give one of them")
        told |= dict.fromkeys(names, path)
        if twin := next((other for other in models if _same_cnn(other, model)), None):
            model.cnn = twin.cnn
        models.append(model)
    return models


def _told_by(model: AffWildNet | FacePredictor) -> list[str]:
    if isinstance(model, AffWildNet):
        return [*VA, *EXPRESSIONS]
    size = model.config.image_size
    return list(predict_faces(model, np.zeros((1, size, size, 3), np.uint8)))


def _same_cnn(*models: AffWildNet | FacePredictor) -> bool:
    if not all(isinstance(getattr(model, "cnn", None), torch.nn.Module) for model in models):
        return False
    one, other = (model.cnn.state_dict() for model in models)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def predict_video(
    video: str | Path | Video,
    networks: str | Path | Sequence[AffWildNet | FacePredictor],  # a checkpoint, or those of load_predictors
    detector: str | Detector = "auto",
    device: str = "auto",
    progress: Progress = True,
) -> pd.DataFrame:
    """Find and predict all faces; also boxes ``x, y, w, h`` in pixels and ``score``, empty if filled in."""
    with Video.of(video) as clip, tempfile.TemporaryDirectory() as folder:
        models = load_predictors([networks]) if isinstance(networks, str | Path) else networks
        make_fabric(device)  # a device that is not there is told before the work
        size = max(model.config.image_size for model in models)
        finding, predicting = _parts(progress, FINDING, PREDICTING)
        store = extract_faces([clip], Path(folder) / "store", size, detector, progress=finding)
        predictions = predict_store(models, store, device, predicting)
        boxes = store.index[["x", "y", "w", "h", "score"]]
    keys = ["video", "frame", "person"]
    return pd.concat([predictions[keys], boxes, predictions.drop(columns=keys)], axis=1)


def _parts(progress: Progress, *weights: int) -> list[Progress]:
    """Progress of the parts of a piece of work, which take times in the ratio of ``weights``."""
    if not callable(progress):
        return [progress] * len(weights)
    return [lambda done, weight=weight: progress(done * weight / sum(weights)) for weight in weights]


def predict_store(
    network: str | Path | AffWildNet | FacePredictor | Sequence[AffWildNet | FacePredictor],
    store: Store,
    device: str = "auto",
    progress: Progress = True,
    length: int = 80,  # frames that an AffWildNet looks at in one go; its state goes on to the next
    features: np.ndarray | None = None,  # (len(store), F) of its CNN, if known; then no picture is looked at
) -> pd.DataFrame:
    """Predict every face of a store, in its order; refuses one with smaller faces than a network's."""
    network = load_predictor(network) if isinstance(network, str | Path) else network
    models = network if isinstance(network, Sequence) else [network]
    for model in models:
        model.to(make_fabric(device).device)
        if store.size < (size := model.config.image_size):
            raise too_small(store.path, store.size, "this network reads", size)
    if any(isinstance(model, AffWildNet) for model in models):
        columns = _predict_sequences(models, store, length, progress, features)
    else:
        columns = {}
        for model, part in zip(models, _parts(progress, *[1] * len(models)), strict=True):
            columns |= predict_faces(model, store.images, store.path, part)
    keys = store.index[["video", "frame", "person"]].reset_index(drop=True)
    return pd.concat([keys, pd.DataFrame(columns)], axis=1)


@torch.no_grad()
def predict_faces(
    model: FacePredictor,
    images: np.ndarray,
    source: str | Path = "faces",
    progress: Progress = False,
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
    starts, batches = range(0, len(images), batch_size), []
    for start in watched(starts, len(starts), progress, unit="batch"):
        output = model(fit_size(to_unit_range(images[start : start + batch_size]).to(device), size))
        columns = _face_columns(output)
        batches.append(columns | ({"fake": output.fake.sigmoid().cpu().numpy()} if with_fake else {}))
    return {name: np.concatenate([columns[name] for columns in batches]) for name in next(iter(batches), {})}


def _face_columns(output) -> dict[str, np.ndarray]:
    columns = {} if output.va is None else _columns(VA, output.va.clamp(-1, 1))
    if output.action_units is not None:
        columns |= _columns(ACTION_UNITS, output.action_units.sigmoid())
    return columns


@torch.no_grad()
def _predict_sequences(
    models: Sequence[AffWildNet | FacePredictor],
    store: Store,
    length: int,
    progress: Progress,
    features: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Window after window of each track; where one goes on from the window before, so does the network's
    state. A network that starts anew in each takes some 20 frames to find its level: at every seam valence
    jumped 15 times as far as between other frames.
    """
    device = next(models[0].parameters()).device
    sequences = SequenceDataset(store, length=length)
    columns, states = {}, [None] * len(models)
    for item in watched(range(len(sequences)), len(sequences), progress, unit="window"):
        mask = torch.from_numpy(sequences.rows[[item]] >= 0)  # (1, T)
        rows = sequences.rows[[item]][mask.numpy()]  # (N,) for N frames with a face
        if features is None:  # a pixel's channels side by side: half the time
            images = to_unit_range(store.images[rows]).to(device, memory_format=torch.channels_last)
        known = {}  # features (N, F) by CNN
        for number, model in enumerate(models):
            cnn = getattr(model, "cnn", None)
            if features is not None:
                seen = torch.from_numpy(features[rows]).to(device)  # (N, F)
            elif (seen := known.get(cnn)) is None:
                seen = fit_size(images, model.config.image_size)  # (N, 3, S, S)
                seen = seen if cnn is None else known.setdefault(cnn, cnn(seen))  # or (N, F)
            if isinstance(model, AffWildNet):
                padded = seen.new_zeros(*mask.shape, seen.shape[-1])  # (1, T, F)
                padded[mask] = seen
                state = states[number] if sequences.goes_on[item] else None
                output, states[number] = model.predict(padded, mask.to(device), state)
                found = _columns(VA, output.va[mask].clamp(-1, 1))
                found |= _columns(EXPRESSIONS, output.expression[mask].softmax(dim=-1))
            else:
                found = _face_columns(model(seen) if cnn is None else model.predict(seen))
            for name, values in found.items():
                columns.setdefault(name, np.zeros(len(store), np.float32))[rows] = values
    return columns


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
    2018), ``timestamp`` from ``seconds`` ``(T,)``, and so is ``AU01_c``, the presence of a unit, 0 or 1; its
    intensity ``AU01_r`` is not predicted. The box, ``FaceScore`` (the detector's own scale), the emotions,
    ``AU01``, a probability, and ``input`` are those of py-feat (``feat/utils``; Cheong et al., Affective
    Science 2023). ``confidence`` is 1 where the detector saw the face, else 0. A frame without a face is one
    row with ``success`` 0 and the rest empty, as in py-feat: the zeros that OpenFace writes look like values.
    """
    frames = pd.DataFrame({"frame": np.arange(1, len(seconds) + 1), "timestamp": seconds})
    rows = frames.merge(predictions.sort_values("person", kind="stable"), on="frame", how="left")
    columns = {"frame": rows["frame"], "face_id": rows["person"].fillna(0).astype(int)}
    columns |= {"timestamp": rows["timestamp"], "confidence": rows["score"].notna().astype(int)}
    columns |= {"success": rows["person"].notna().astype(int)}
    names = _BOX | {name: name for name in VA}
    names |= {name.capitalize(): name for name in PY_FEAT_EMOTIONS}
    units = {name: f"AU{int(name[2:]):02}" for name in ACTION_UNITS if name in rows}
    columns |= {new: rows[ours] for ours, new in (names | units).items() if ours in rows}
    for ours, new in units.items():
        columns[f"{new}_c"] = (rows[ours] >= ACTIVE).astype("Int8").where(rows[ours].notna())
    return pd.DataFrame(columns | {"input": predictions["video"].iloc[0]})


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
    progress: Progress = True,
    summarize: Callable | None = None,
) -> None:
    """Write what :func:`predict_video` said of a video as a folder, whole or not at all.

    It holds ``table.csv``, ``openface.csv``, the label files of :func:`abaw_labels` as the test set of the
    ABAW layout, what ``summarize(file, video, predictions)`` makes of ``summary.html``, and what
    ``draw(file, video, predictions, progress)`` makes of ``<name of the video>.mp4``. What it refuses:
    :func:`check_prediction_folder`.
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
            if summarize is not None:
                summarize(part / SUMMARY, clip, predictions)
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


def predict_videos(
    inputs: Sequence[str | Path],
    out: str | Path,
    checkpoints: Sequence[str | Path] = (),
    detector: str = "auto",
    device: str = "auto",
    draw: Callable | None = None,
    summarize: Callable | None = None,
    force: bool = False,
    progress: bool = True,
) -> int:
    """``affkit predict``: video files and folders of them to ``out``; returns the number of faces.

    ``out`` becomes the folder of one video; or a folder of such folders and ``table.csv`` of all videos; or,
    if it ends so, a CSV file alone. What an interrupted run finished of several videos stays, with a warning;
    one without a face is left out, with another. ``draw`` and ``summarize``: :func:`write_prediction_folder`.
    """
    videos, out = find_videos(inputs), Path(out)
    alone = out.suffix.lower() == ".csv"
    several = not alone and (len(videos) > 1 or Path(inputs[0]).is_dir())
    table = out / TABLE if several else out
    _check_names(videos)
    if alone or several:
        check_output(out, folder=several)
        refuse_existing(table, force)
    folders = {} if alone else {video: out / video.stem if several else out for video in videos}
    done = {video for video in folders if several and not force and (folders[video] / OPENFACE).is_file()}
    for video in [video for video in folders if video not in done]:
        check_prediction_folder(folders[video], video, force)
    networks, tables = load_predictors(checkpoints), []
    finder = make_detector(detector)
    make_fabric(device)  # what is not there is told before the work
    frames = {video: _listed_frames(video) for video in videos if video not in done}
    how = {"bar_format": "{percentage:3.0f}%|{bar}| {elapsed}, {remaining} left", "smoothing": 0}
    with tqdm(total=sum(frames.values()), disable=not progress, **how) as bar:
        for video in videos:
            if video in done:
                warnings.warn(f"{folders[video]}: is there and stays; --force makes it anew", stacklevel=2)
                text = {"dtype": {"video": str}, "keep_default_na": False, "na_values": [""]}
                tables.append(pd.read_csv(folders[video] / TABLE, **text))
                continue
            tick = partial(_tick, bar, frames[video])
            finding, drawing = _parts(tick, FINDING + PREDICTING, DRAWING if draw and folders else 0)
            with Video(video) as clip:
                try:
                    tables.append(predict_video(clip, networks, finder, device, finding))
                except NoFaceError as error:
                    if video is videos[-1] and not tables:
                        raise
                    warnings.warn(f"{video}: {error.problem}; left out", stacklevel=2)
                    continue
                if folders:
                    write_prediction_folder(folders[video], clip, tables[-1], draw, force, drawing, summarize)
    predictions = pd.concat(tables, ignore_index=True)
    if alone or several:
        write_predictions(table, predictions, force)
    return len(predictions)


def _check_names(videos: Sequence[Path]) -> None:
    names: dict[str, Path] = {}
    for video in videos:  # some file systems do not tell a.mp4 from A.mp4
        if (other := names.setdefault(video.stem.casefold(), video)) is not video:
            raise UserError(video, f"has the same name as {other}", "rename one: the name tells them apart")


def _listed_frames(video: Path) -> int:
    with Video(video) as clip:
        return clip.listed_frames


def _tick(bar: tqdm, frames: int, fraction: float) -> None:
    bar.update(min(fraction * frames, bar.total - bar.n))  # the last digits of a sum of fractions

"""From videos to a store of faces and their labels: ``affkit faces`` (III.E), and a few faces quickly.

Every video is read twice, to find and follow the faces and to cut them out, because a smooth box needs the
frames after it. Killed at any moment, the same command goes on from there and ends with the same bytes.
"""

import dataclasses
import errno
import json
import os
import shutil
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from affkit.corpus.corpus import Corpus
from affkit.errors import NoFaceError, UserError
from affkit.faces import blazeface
from affkit.faces.blazeface import BlazeFaceDetector
from affkit.faces.detectors import (
    CROP_MARGIN,
    CROP_RISE,
    Box,
    Detector,
    HaarDetector,
    YuNetDetector,
    aligned_face,
    crop_face,
)
from affkit.faces.ffld2 import FFLD2Detector
from affkit.faces.mtcnn import MTCNNDetector
from affkit.faces.tracking import find_people
from affkit.files import read_json, refuse_existing, write_beside
from affkit.labelfiles.layouts import video_of
from affkit.labelfiles.names import nfc
from affkit.labels import Labels
from affkit.store import COLUMNS, CROPS, FORMAT, INDEX, INFO, Store, part_folder
from affkit.video.video import Video

PARTS = "parts"
EYES = ["right_eye_x", "right_eye_y", "left_eye_x", "left_eye_y"]  # columns of aligned faces
Progress = bool | Callable[[float], object]
"""Show a bar or none; or call this with each further fraction of the work that is done."""


def make_detector(spec: str = "auto") -> Detector:
    """The detector that ``spec`` names: ``"blazeface"``, ``"haar"``, ``"mtcnn"``, ``"ffld2"``,
    ``"yunet:FILE"``; ``"auto"`` is BlazeFace, or Haar with a warning where its weights are not installed.

    >>> make_detector("haar").name
    'haar'
    """
    named = {"blazeface": BlazeFaceDetector, "haar": HaarDetector}
    named |= {"mtcnn": MTCNNDetector, "ffld2": FFLD2Detector}
    name, _, file = spec.partition(":")
    if name == "yunet" and file:
        return YuNetDetector(file)
    if spec == "auto":
        spec = "blazeface" if blazeface.is_installed() else "haar"
        if spec == "haar":
            warnings.warn(
                f"Haar's cascade finds the faces; to find more, run {blazeface.INSTALL}", stacklevel=2
            )
    if spec not in named:
        fix = "known are auto, blazeface, haar, mtcnn, ffld2 and yunet:FILE, FILE being its ONNX model"
        raise UserError(spec, "is not a detector", fix)
    return named[spec]()


def extract_faces(
    videos: Sequence[str | Path | Video],  # their names without ending, all different, are those in the store
    store: str | Path,
    size: int = 96,  # side of a crop in pixels, 16 to 512; the paper has 96 and 32
    detector: str | Detector = "auto",  # or a name for make_detector
    align: bool = False,  # crops with level eyes at one place, see aligned_face; the detector must see them
    labels: str | Path | None = None,  # a folder for Corpus.open; line i is frame i; see names_of_people
    force: bool = False,  # replace a store, and discard what an interrupted run with other settings left
    jobs: int = 1,  # videos at a time, each in a process of its own
    progress: Progress = True,
) -> Store:
    """Cut the faces out of ``videos`` into a new store; one without a face is left out with a warning.

    A :class:`UserError` says so if the store exists, a video cannot be read, or no face is in any of them.
    """
    store, paths = Path(store), [_path(video) for video in videos]
    detector = make_detector(detector) if isinstance(detector, str) else detector
    _check(paths, size)
    refuse_existing(store, force)
    corpus = Corpus.open(labels) if labels is not None else None
    if corpus is not None:
        refuse_other_names(corpus.labels, [nfc(path.stem) for path in paths])
    job = _job(videos, size, detector, align, corpus)
    part = part_folder(store)
    try:
        _begin(part, job, store, force)
        if not (part / INDEX).exists():  # it is written last: then only the name is missing
            # an open video cannot go to another process
            _extract_missing(videos if jobs == 1 else paths, part, job, detector, jobs, progress)
            _finish(part, job, paths, corpus)
        shutil.rmtree(part / PARTS, ignore_errors=True)
        if store.exists():
            shutil.rmtree(store)
        os.replace(part, store)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        fix = "free some space and run the same command: it goes on"
        raise UserError(store, "the disk is full", fix) from error
    return Store.open(store)


def _path(video: str | Path | Video) -> Path:
    return video.path if isinstance(video, Video) else Path(video)


def _check(videos: list[Path], size: int) -> None:
    if not videos:
        raise UserError("VIDEO", "no video was given", "name at least one")
    if not 16 <= size <= 512:
        raise UserError(f"--size {size}", "is not between 16 and 512", "take 96 or 32, as the paper does")
    seen: dict[str, Path] = {}
    for video in videos:
        if (other := seen.setdefault(video.stem, video)) is not video:
            fix = "rename one: the store tells them by name"
            raise UserError(video, f"has the same name as {other}", fix)


def _job(
    videos: Sequence[str | Path | Video], size: int, detector: Detector, align: bool, corpus: Corpus | None
) -> dict:
    """What ``store.json`` says: all that the store depends on, and nothing about this machine."""
    settings = dataclasses.asdict(detector) if dataclasses.is_dataclass(detector) else {}
    settings = {name: Path(value).name if name == "model" else value for name, value in settings.items()}
    job = {"format": FORMAT, "size": size, "crop": {"margin": CROP_MARGIN, "rise": CROP_RISE}}
    job |= {"detector": {"name": detector.name, **settings}} | ({"aligned": True} if align else {})
    job |= {} if corpus is None else _label_names(corpus)
    return job | {"videos": [_about(video) for video in videos]}


def _label_names(corpus: Corpus) -> dict[str, list[str]]:
    labels = next(iter(corpus.labels.values()))
    return {"expressions": list(labels.expression_names), "action_units": list(labels.action_unit_names)}


def _about(video: str | Path | Video) -> dict:
    with Video.of(video) as clip:
        file = {"name": clip.path.stem, "file": clip.path.name, "bytes": clip.path.stat().st_size}
        size = {"width": clip.width, "height": clip.height}
        return file | size | {"num_frames": clip.num_frames, "fps": float(clip.fps)}


def _begin(part: Path, job: dict, store: Path, force: bool) -> None:
    """Make the folder ``part``, or go on in it when an interrupted run of this job left it."""
    fix = f"delete {part.name}: the work begins anew"
    old = read_json(part / INFO, fix) if (part / INFO).exists() else None
    if old is None or (force and old != job):
        shutil.rmtree(part, ignore_errors=True)
    elif old != job:
        same_settings = old | {"videos": job["videos"]} == job
        if not same_settings or (part / CROPS).exists():  # once joining began, no video can be exchanged
            fix = "finish it with the same command, or discard it with --force"
            raise UserError(store, "an interrupted run with other videos or settings is unfinished", fix)
        for entry in old["videos"]:
            if entry not in job["videos"]:  # no longer wanted, or the file has changed
                for file in _part_files(part / PARTS, entry["name"]):
                    file.unlink(missing_ok=True)
    (part / PARTS).mkdir(parents=True, exist_ok=True)
    with write_beside(part / INFO) as file:
        file.write_text(json.dumps(job, indent=1) + "\n")


def _extract_missing(
    videos: Sequence[str | Path | Video],
    part: Path,
    job: dict,
    detector: Detector,
    jobs: int,
    progress: Progress,
) -> None:
    """Do the videos that are not done yet; if there is an error and none is done, leave nothing behind."""
    parts = part / PARTS
    steps = {entry["name"]: 2 * entry["num_frames"] for entry in job["videos"]}  # every video is read twice
    missing = [video for video in videos if not _part_files(parts, _path(video).stem)[1].exists()]
    total, left = sum(steps.values()), sum(steps[_path(video).stem] for video in missing)
    own = {"unit": "frame", "desc": "faces", "disable": progress is not True}
    bar = tqdm(total=total, initial=total - left, **own)
    tick = bar.update if jobs == 1 else None
    if callable(progress):
        tick = lambda frames: progress(frames / total)  # noqa: E731
    crop = aligned_face if job.get("aligned") else crop_face
    work = (delayed(_extract_one)(video, parts, job["size"], detector, crop, tick) for video in missing)
    try:
        with bar:
            for name in Parallel(n_jobs=jobs, return_as="generator")(work):
                bar.update(steps[name] if tick is None else 0)
    except (UserError, OSError):
        if not any(parts.glob("*.csv")):
            shutil.rmtree(part)
        raise


def _part_files(parts: Path, name: str) -> tuple[Path, Path]:
    """The crops and the rows of one video; the rows are written last and mean that it is done."""
    return parts / f"{name}.npy", parts / f"{name}.csv"


def _extract_one(
    video: str | Path | Video,
    parts: Path,
    size: int,
    detector: Detector,
    crop: Callable[[np.ndarray, Box, int], np.ndarray],
    tick: Callable[[int], None] | None,
) -> str:
    """Find and cut out the faces of one video; write its crops, then its rows. Returns its name."""
    if tick is None:  # one of several processes: OpenCV's own threads would fight over the cores
        cv2.setNumThreads(1)
    with Video.of(video) as clip:
        name, rows, wanted = clip.path.stem, [], defaultdict(list)
        frames = _ticking(clip.frames(), tick)
        for person, boxes in enumerate(find_people(frames, detector, float(clip.fps))):
            for index, box in boxes.items():
                wanted[index].append((len(rows), box))
                eyes = box.eyes if crop is aligned_face else ()
                if crop is aligned_face and not eyes:
                    problem = f"{detector.name} does not say where the eyes are"
                    raise UserError("--align", problem, "take another detector: --detector blazeface")
                rows.append((name, index + 1, person, *(round(value, 2) for value in (*box[:5], *eyes))))
        crops, table = _part_files(parts, name)
        if rows:
            with write_beside(crops) as file, open(file, "wb") as out:
                header = _write_header(out, len(rows), size)
                for index, frame in enumerate(_ticking(clip.frames(), tick)):
                    for row, box in wanted[index]:
                        out.seek(header + row * 3 * size**2)
                        out.write(crop(frame, box, size).tobytes())
    with write_beside(table) as file:
        columns = COLUMNS + (EYES if crop is aligned_face else [])
        pd.DataFrame(rows, columns=columns).to_csv(file, index=False)
    return name


def watched(items: Iterable, total: int, progress: Progress, **bar) -> Iterator:
    """The items, ``total`` of them, with a progress bar of their own or as fractions of other work."""
    if not callable(progress):
        yield from tqdm(items, total=total, delay=2, disable=not progress, **bar)
    else:
        yield from _ticking(items, lambda count: progress(count / total))


def _ticking(frames: Iterable, tick: Callable[[int], object] | None) -> Iterator:
    for frame in frames:
        yield frame
        if tick is not None:
            tick(1)


def _write_header(out: BinaryIO, num_rows: int, size: int) -> int:
    """Write the head of a ``.npy`` file of ``num_rows`` crops; returns its length in bytes."""
    about = {"descr": "|u1", "fortran_order": False, "shape": (num_rows, size, size, 3)}
    np.lib.format.write_array_header_1_0(out, about)
    return out.tell()


def _finish(part: Path, job: dict, videos: list[Path], corpus: Corpus | None) -> None:
    """Join the parts in the order of the videos, and write the index with the labels."""
    read = {"dtype": {"video": str}, "keep_default_na": False, "na_values": [""]}
    tables = {video: pd.read_csv(_part_files(part / PARTS, video.stem)[1], **read) for video in videos}
    found = [video for video in videos if len(tables[video])]
    if not found:
        shutil.rmtree(part)
        names = f"{videos[0]}" + (f" and {len(videos) - 1} more" if len(videos) > 1 else "")
        raise NoFaceError(names, "no face in any frame", "use a clip with larger or more frontal faces")
    for video in videos:
        if video not in found:
            warnings.warn(f"{video}: no face in any frame; left out of the store", stacklevel=3)
    _join_crops(part, found, [len(tables[video]) for video in found], job["size"])
    index = pd.concat([tables[video] for video in found], ignore_index=True)
    if corpus is not None:
        frames, width = ({e["name"]: e[key] for e in job["videos"]} for key in ("num_frames", "width"))
        index = add_labels(index, corpus.labels, corpus.subjects, frames, width)
    with write_beside(part / INDEX) as file:
        index.to_csv(file, index=False)


def _join_crops(part: Path, videos: list[Path], counts: list[int], size: int) -> None:
    """Move the crops of each video into one array, each to a place that follows from the counts alone:
    wherever this is interrupted, what is still there is what has to be copied.
    """
    crops = part / CROPS
    with open(crops, "r+b" if crops.exists() else "w+b") as out:
        place = _write_header(out, sum(counts), size)
        for video, count in zip(videos, counts, strict=True):
            own = _part_files(part / PARTS, video.stem)[0]
            if own.exists():
                with open(own, "rb") as source:
                    source.seek(own.stat().st_size - count * 3 * size**2)
                    out.seek(place)
                    shutil.copyfileobj(source, out, 1 << 20)
                out.flush()
                own.unlink()
            place += count * 3 * size**2


def names_of_people(
    known: Collection[str], video: str, centers: Mapping[int, float], width: int
) -> dict[int, str]:
    """The name of the labels of each person of one video, as far as there are any in ``known``.

    Labels named like the video are those of person 0, the one seen longest. Aff-Wild2 names those of two
    people ``<video>_left`` and ``<video>_right``, or one of them plainly: then the two seen longest are told
    apart by ``centers``, the mean x of each face; a single face by the half of the picture it is in.

    >>> names_of_people({"a_left", "a"}, "a", {0: 90.0, 1: 10.0}, width=100)
    {1: 'a_left', 0: 'a'}
    """
    video = nfc(video)
    left_name, right_name = f"{video}_left", f"{video}_right"
    if left_name not in known and right_name not in known:
        names = {0: video}
    else:
        if 1 in centers:
            left, right = sorted((0, 1), key=lambda person: centers[person])
        else:
            left, right = (0, 1) if centers[0] < width / 2 else (1, 0)
        sides = {left: left_name, right: right_name}
        names = {person: name if name in known else video for person, name in sides.items()}
    return {person: name for person, name in names.items() if name in known and person in centers}


def label_table(labels: Labels) -> pd.DataFrame:
    """Labels as a table, a row a frame (1-based), empty where nothing is labelled.

    >>> label_table(Labels.empty(2)).columns[:4].tolist()
    ['valence', 'arousal', 'expression', 'AU1']
    """
    names = np.array(labels.expression_names, dtype=object)
    columns = {
        "valence": np.where(labels.has_va, labels.valence, np.float32(np.nan)),
        "arousal": np.where(labels.has_va, labels.arousal, np.float32(np.nan)),
        "expression": np.where(labels.has_expression, names[labels.expression], None),
    }
    units = np.where(labels.has_action_units, labels.action_units, np.nan)  # (T, A)
    columns |= {name: pd.array(units[:, i], dtype="Int8") for i, name in enumerate(labels.action_unit_names)}
    return pd.DataFrame(columns, index=np.arange(1, len(labels) + 1))


def add_labels(
    index: pd.DataFrame,
    annotations: Mapping[str, Labels],  # by name, all with the same action units
    subjects: Mapping[str, str],  # by the same names
    frames: Mapping[str, int],  # by video
    width: Mapping[str, int],  # in pixels, by video
) -> pd.DataFrame:
    """The index of a store with columns for the subject and the labels, empty where nothing is known.

    A video without labels, or with more or fewer lines than frames, is a warning: the shorter counts, nothing
    is shifted. Labels for none of them are a :class:`UserError`.
    """
    nothing = next(iter(annotations.values()))[:0]
    parts, used = [], set()
    for video, rows in index.groupby("video", sort=False):
        centers = (rows["x"] + rows["w"] / 2).groupby(rows["person"]).mean().to_dict()
        names = names_of_people(annotations, video, centers, width[video])
        lengths = [len(annotations[name]) for name in names.values()]
        if not lengths:
            warnings.warn(f"{video}: no labels for this video", stacklevel=2)
        elif set(lengths) != {frames[video]}:
            lines = f"{' and '.join(map(str, lengths))} label lines, {frames[video]} frames"
            warnings.warn(f"{video}: {lines}; the shorter counts", stacklevel=2)
        used |= set(names.values())
        for person, own in rows.groupby("person", sort=False):
            name = names.get(person)
            own = own.assign(subject=subjects.get(name) if name else None)
            parts.append(own.join(label_table(annotations[name] if name else nothing), on="frame"))
    if not used:
        raise _no_labels(frames, annotations)
    return pd.concat(parts, ignore_index=True)


def refuse_other_names(annotations: Collection[str], videos: Collection[str]) -> None:
    """:class:`UserError` when no name of labels is that of a video; asked before any face is found."""
    if not {stem for name in annotations for stem in (name, video_of(name)[0])} & set(videos):
        raise _no_labels(videos, annotations)


def _no_labels(videos: Collection[str], annotations: Collection[str]) -> UserError:
    problem = f"none of the videos has labels; there are some for {', '.join(list(annotations)[:3])}"
    return UserError(", ".join(videos), problem, "compare the names of videos and labels")


def sample_faces(
    corpus: Corpus,
    names: Sequence[str] | None = None,
    per_clip: int = 40,
    size: int = 32,
    detector: Detector | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> Store:
    """Up to ``per_clip`` labelled frames of each of ``names`` (by default all), in memory: for a quick look.

    Frames are evenly spread and searched by ``detector``; nothing is followed or smoothed. Rows are by clip,
    then frame; ``name`` is the person's in the corpus, ``person`` 1 for ``_right``, else 0. A
    :class:`UserError` says so if no face was found.
    """
    detector, names = detector or make_detector(), list(corpus.labels if names is None else names)
    work = (delayed(_faces_of)(corpus, name, per_clip, size, detector) for name in names)
    found = Parallel(n_jobs=jobs, return_as="generator")(work)
    bar = tqdm(found, total=len(names), desc="faces", unit="clip", delay=2, disable=not progress)
    tables, crops = zip(*bar, strict=True) if names else ((), ())
    if not any(map(len, tables)):
        raise UserError(corpus.root, "no face in any of the frames looked at", "look at more frames a clip")
    index = pd.concat([table for table in tables if len(table)], ignore_index=True)
    info = {"format": FORMAT, "size": size, "detector": {"name": detector.name}} | _label_names(corpus)
    return Store(corpus.root, index, np.concatenate(crops), info)


def _faces_of(
    corpus: Corpus, name: str, per_clip: int, size: int, detector: Detector
) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows of one person and their crops, ``(N, size, size, 3)`` uint8."""
    cv2.setNumThreads(1)  # the clips are what runs at the same time
    labels = corpus.labels[name]
    numbers = np.flatnonzero(labels.has_va | labels.has_expression | labels.has_action_units.any(axis=1))
    if len(numbers) > per_clip:
        numbers = numbers[np.linspace(0, len(numbers) - 1, per_clip).round().astype(int)]
    side, path = video_of(name)[1], corpus.video_path(name)
    rows, crops = [], []
    with Video(path) as video:
        for number in numbers[numbers < len(video)].tolist():  # labels may go on after the film
            frame = video.frame(number)
            if box := _best(detector.detect(frame), side, frame.shape[1]):
                rows.append((path.stem, number + 1, int(side == "right"), *box[:5]))
                crops.append(crop_face(frame, box, size))
    index = pd.DataFrame(rows, columns=COLUMNS)
    index = index.assign(name=name, subject=corpus.subjects[name]).join(label_table(labels), on="frame")
    return index, np.array(crops, np.uint8).reshape(-1, size, size, 3)


def _best(boxes: Sequence[Box], side: str, width: int) -> Box | None:
    """The surest face, or the surest in the left or right half of a picture of two people."""
    low, high = {"": (0, width), "left": (0, width / 2), "right": (width / 2, width)}[side]
    return next((box for box in boxes if low <= box.center[0] <= high), None)

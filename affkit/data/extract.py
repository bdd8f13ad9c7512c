"""From videos to a store of faces: ``affkit faces`` (the paper, III.E).

Every video is read twice: once to find and follow the faces, once to cut them out, because a smooth box
needs the frames after it. What one video gives is written beside and renamed, video by video, into a folder
beside the store. Killed at any moment, the same command goes on from there and ends with the same bytes.
"""

import copyreg
import dataclasses
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from affkit.data.corpus import Corpus
from affkit.data.faces import CROP_MARGIN, CROP_RISE, Detector, crop_face, make_detector
from affkit.data.matching import add_labels
from affkit.data.store import COLUMNS, CROPS, FORMAT, INDEX, INFO, Store, part_folder
from affkit.data.tracking import find_people
from affkit.data.video import probe, read_frames
from affkit.errors import UserError
from affkit.files import refuse_existing, write_beside

PARTS = "parts"

# an exception of three arguments needs to be told how it comes back from another process
copyreg.pickle(UserError, lambda error: (UserError, (error.path, error.problem, error.mend)))


def extract_faces(
    videos: Sequence[str | Path],
    store: str | Path,
    size: int = 96,
    detector: str | Detector = "haar",
    labels: str | Path | None = None,
    force: bool = False,
    jobs: int = 1,
    progress: bool = True,
) -> Store:
    """Cut the faces out of ``videos`` into a new store.

    Parameters
    ----------
    videos:
        The files. Their names without ending name the videos in the store, so no two may be the same.
    store:
        The folder to make.
    size:
        Side of a crop in pixels, 16 to 512; the paper has 96 and 32.
    detector:
        ``"haar"``, ``"yunet:FILE"``, or a :class:`~affkit.data.faces.Detector`.
    labels:
        A folder that :class:`~affkit.data.corpus.Corpus` can open. Line i belongs to frame i.
        Labels named like the video are those of person 0; for labels named ``<video>_left`` and
        ``<video>_right`` see
        :func:`affkit.data.matching.names_of_people`.
    force:
        Replace an existing store, and discard what an interrupted run with other settings left.
    jobs:
        Videos at a time, each in a process of its own.
    progress:
        Show a bar with the time left on stderr.

    Raises
    ------
    UserError
        If the store exists, a video cannot be read, or there is no face in any of them. A video without a
        face among others is left out with a warning.
    """
    videos, store = [Path(video) for video in videos], Path(store)
    detector = make_detector(detector) if isinstance(detector, str) else detector
    _check(videos, size)
    refuse_existing(store, force)
    corpus = Corpus.open(labels) if labels is not None else None
    job = _job(videos, size, detector)
    part = part_folder(store)
    _begin(part, job, store, force)
    missing = [video for video in videos if not _finished(part / PARTS, video.stem)]
    with _bar(videos, missing, job, progress) as bar:
        tick = bar.update if jobs == 1 else None
        work = (delayed(_extract_one)(video, part / PARTS, size, detector, tick) for video in missing)
        for video in Parallel(n_jobs=jobs, return_as="generator")(work):
            bar.update(_num_steps(job, video) if jobs > 1 else 0)
    _finish(part, job, videos, corpus)
    if store.exists():
        shutil.rmtree(store)
    os.replace(part, store)
    return Store.open(store)


def _check(videos: list[Path], size: int) -> None:
    if not videos:
        raise UserError("VIDEO", "no video was given", "name at least one")
    if not 16 <= size <= 512:
        raise UserError(f"--size {size}", "is not between 16 and 512", "take 96 or 32, as the paper does")
    seen: dict[str, Path] = {}
    for video in videos:
        if (other := seen.setdefault(video.stem, video)) is not video:
            raise UserError(
                video, f"has the same name as {other}", "rename one: the store tells them by name"
            )


def _job(videos: list[Path], size: int, detector: Detector) -> dict:
    """What ``store.json`` says: all that the crops depend on, and nothing about this machine."""
    settings = dataclasses.asdict(detector) if dataclasses.is_dataclass(detector) else {}
    settings = {name: Path(value).name if name == "model" else value for name, value in settings.items()}
    entries = []
    for video in videos:
        info = probe(video)
        entry = {"name": video.stem, "file": video.name, "bytes": video.stat().st_size}
        entry |= {key: getattr(info, key) for key in ("width", "height", "num_frames", "fps")}
        entry["fps"] = float(entry["fps"])
        entries.append(entry)
    return {
        "format": FORMAT,
        "size": size,
        "crop": {"margin": CROP_MARGIN, "rise": CROP_RISE},
        "detector": {"name": detector.name, **settings},
        "videos": entries,
    }


def _begin(part: Path, job: dict, store: Path, force: bool) -> None:
    """Make the folder ``part``, or go on in it when an interrupted run of this job left it."""
    if part.exists():
        try:
            old = json.loads((part / INFO).read_text())
        except (OSError, ValueError):  # killed before the first word was written
            old = {"videos": []}
        same = all(old.get(key) == value for key, value in job.items() if key != "videos")
        joining = (part / CROPS).exists()  # then the parts are being used up, and the list must stay
        if force and old != job or not old["videos"]:
            shutil.rmtree(part)
        elif not same or (joining and old["videos"] != job["videos"]):
            mend = "finish it with the same command, or discard it with --force"
            raise UserError(store, "an interrupted run with other videos or settings is unfinished", mend)
        else:
            for entry in old["videos"]:
                if entry not in job["videos"]:  # no longer wanted, or the file has changed
                    for file in _part_files(part / PARTS, entry["name"]):
                        file.unlink(missing_ok=True)
    with write_beside(part / INFO) as file:
        file.write_text(json.dumps(job, indent=1) + "\n")
    (part / PARTS).mkdir(exist_ok=True)


def _part_files(parts: Path, name: str) -> tuple[Path, Path]:
    """The crops and the rows of one video; the rows are written last and mean that it is done."""
    return parts / f"{name}.npy", parts / f"{name}.csv"


def _finished(parts: Path, name: str) -> bool:
    return _part_files(parts, name)[1].exists()


def _read_rows(parts: Path, name: str) -> pd.DataFrame:
    types = {"video": str, "frame": np.int64, "person": np.int64}
    return pd.read_csv(_part_files(parts, name)[1], dtype=types, keep_default_na=False, na_values=[""])


def _num_steps(job: dict, name: str) -> int:
    """Frames to read for one video: it is read twice."""
    return next(2 * entry["num_frames"] for entry in job["videos"] if entry["name"] == name)


@contextmanager
def _bar(videos: list[Path], missing: list[Path], job: dict, progress: bool) -> Iterator[tqdm]:
    total = sum(_num_steps(job, video.stem) for video in videos)
    left = sum(_num_steps(job, video.stem) for video in missing)
    with tqdm(total=total, initial=total - left, unit="frame", desc="faces", disable=not progress) as bar:
        yield bar


def _extract_one(
    video: Path, parts: Path, size: int, detector: Detector, tick: Callable[[int], None] | None
) -> str:
    """Find and cut out the faces of one video; write its crops, then its rows. Returns its name."""
    if tick is None:  # one of several processes: OpenCV's own threads would fight over the cores
        cv2.setNumThreads(1)
    info = probe(video)
    people = find_people(_ticking(read_frames(video), tick), detector, float(info.fps))
    rows = [
        (video.stem, frame + 1, person, *(round(value, 2) for value in box))
        for person, boxes in enumerate(people)
        for frame, box in boxes.items()
    ]
    crops, table = _part_files(parts, video.stem)
    if rows:
        places = {(row[2], row[1] - 1): place for place, row in enumerate(rows)}
        with write_beside(crops) as file, open(file, "wb") as out:
            header = _write_header(out, len(rows), size)
            frames = _ticking(read_frames(video), tick)
            for index, frame in enumerate(frames):
                for person, boxes in enumerate(people):
                    if index in boxes:
                        out.seek(header + places[person, index] * 3 * size**2)
                        out.write(crop_face(frame, boxes[index], size).tobytes())
    with write_beside(table) as file:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(file, index=False)
    return video.stem


def _ticking(frames: Iterable[np.ndarray], tick: Callable[[int], None] | None) -> Iterator[np.ndarray]:
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
    parts = part / PARTS
    tables = {video: _read_rows(parts, video.stem) for video in videos}
    found = [video for video in videos if len(tables[video])]
    if not found:
        shutil.rmtree(part)
        names = f"{videos[0]}" + (f" and {len(videos) - 1} more" if len(videos) > 1 else "")
        raise UserError(names, "no face in any frame", "use a clip with larger or more frontal faces")
    for video in videos:
        if video not in found:
            warnings.warn(f"{video}: no face in any frame; left out of the store", stacklevel=3)
    _join_crops(part, found, [len(tables[video]) for video in found], job["size"])
    index = pd.concat([tables[video] for video in found], ignore_index=True)
    if corpus is not None:
        frames, width = ({e["name"]: e[key] for e in job["videos"]} for key in ("num_frames", "width"))
        index = add_labels(index, corpus.labels, corpus.subjects, frames, width)
        some = next(iter(corpus.labels.values()))
        job = job | {"expressions": some.expression_names, "action_units": some.action_unit_names}
    with write_beside(part / INDEX) as file:
        index.to_csv(file, index=False)
    with write_beside(part / INFO) as file:
        file.write_text(json.dumps(job, indent=1) + "\n")
    shutil.rmtree(parts)


def _join_crops(part: Path, videos: list[Path], counts: list[int], size: int) -> None:
    """Append the crops of each video to one array and delete them, so that nothing is on disk twice.

    A part is deleted after it was copied, to a place that follows from the counts alone: wherever this is
    interrupted, what is still there is what has to be copied.
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

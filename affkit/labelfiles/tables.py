"""Label files that list the frames of many videos: multi-task (MTL), Aff-Wild CSV, submissions, our table.

A line names its video and frame: ``clip_left/00001.jpg`` or two columns. Frames count from 1; one that is
not listed is not labelled, and nothing moves up. A video is as long as its last listed frame. Readers give
labels by video, and raise a :class:`~affkit.errors.UserError` that names the line of the first fault.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.errors import UserError, quote, refuse
from affkit.labelfiles import formats
from affkit.labelfiles.csv_text import parse_cells, read_text, split_header, write_columns, wrong_header
from affkit.labels import EXPRESSIONS, EXPRESSIONS_WITH_OTHER, MOST_FRAMES, VA, Labels

MTL_COLUMNS = ("image", "valence", "arousal", "expression")
AFFWILD_CSV_COLUMNS = ("image_file_location", "valence_value", "arousal_value")

_ARRAYS = [field.name for field in fields(Labels) if not field.name.endswith("_names")]
_IMAGE = re.compile(r"(?:.*/)?([^/]+)/ *([0-9]{1,9})\.[A-Za-z]+")


def read_mtl(path: str | Path, expression_names: Sequence[str] = EXPRESSIONS_WITH_OTHER) -> dict[str, Labels]:
    """The multi-task file of the third, fourth and seventh ABAW challenge, with a header, in which ``aus``
    stands for :data:`~affkit.labelfiles.formats.ABAW_ACTION_UNITS`, or without one:
    ``video/00001.jpg,valence,arousal,expression,AU1,...``
    """
    text = read_text(path)
    header, body, first_line = (*MTL_COLUMNS, "aus"), text, 1
    if not _IMAGE.fullmatch(text.partition("\n")[0].partition(",")[0]):
        (header, body), first_line = split_header(path, text), 2
    columns = (*header[:-1], *formats.ABAW_ACTION_UNITS) if header[-1] == "aus" else header
    units = tuple(name for name in columns if name not in MTL_COLUMNS)
    if len(columns) != len(units) + len(MTL_COLUMNS) or not formats.names_action_units(units):
        raise wrong_header(path, columns, "'image,valence,arousal,expression,AU1,...'")
    cells = parse_cells(path, body, columns, first_line, text_columns=("image",))
    return _of_images(path, cells, "image", first_line, expression_names)


def write_mtl(path: str | Path, labels: Mapping[str, Labels]) -> None:
    videos, frames, rows = _flatten(path, labels)
    cells = {"image": _images(videos, frames)}
    for task in ("va", "expr", "au"):
        cells |= formats.cells_of(rows, task)
    write_columns(path, tuple(cells), cells.values())


def read_affwild_csv(path: str | Path) -> dict[str, Labels]:
    """The flattened Aff-Wild table ``image_file_location,valence_value,arousal_value``."""
    header, body = split_header(path, read_text(path))
    if sorted(header) != sorted(AFFWILD_CSV_COLUMNS):
        raise wrong_header(path, header, f"'{','.join(AFFWILD_CSV_COLUMNS)}'")
    image, *values = AFFWILD_CSV_COLUMNS
    cells = parse_cells(path, body, header, first_line=2, text_columns=(image,))
    return _of_images(path, cells.rename(columns=dict(zip(values, VA, strict=True))), image)


def write_affwild_csv(path: str | Path, labels: Mapping[str, Labels]) -> None:
    videos, frames, rows = _flatten(path, labels)
    columns = [_images(videos, frames), *formats.cells_of(rows, "va").values()]
    write_columns(path, AFFWILD_CSV_COLUMNS, columns)


def read_submission(path: str | Path) -> dict[str, Labels]:
    """What is sent in to an ABAW challenge: ``image_location,`` and the columns of one task."""
    header, body = split_header(path, read_text(path))
    image, *names = header
    is_index, is_va = set(EXPRESSIONS) <= set(names), sorted(names) == sorted(VA)
    if image != "image_location" or not (is_index or is_va or formats.names_action_units(names)):
        raise wrong_header(path, header, "'image_location,' and the header of a label file")
    if is_index and len(set(names)) != len(names):
        raise wrong_header(path, names, f"'{','.join(EXPRESSIONS)}', with ',Other' where it is used")
    columns = (image, "expression") if is_index else header
    cells = parse_cells(path, body, columns, first_line=2, text_columns=(image,))
    return _of_images(path, cells, image, 2, names if is_index else EXPRESSIONS)


def write_submission(path: str | Path, labels: Mapping[str, Labels], task: str) -> None:
    """Write every frame of every video for one ``task``: ``"va"``, ``"expr"`` or ``"au"``."""
    videos, frames, rows = _flatten(path, labels)
    cells = formats.cells_of(rows, task)
    names = rows.expression_names if task == "expr" else cells
    write_columns(path, ("image_location", *names), [_images(videos, frames), *cells.values()])


def read_table(path: str | Path, expression_names: Sequence[str] | None = None) -> dict[str, Labels]:
    """Our own table for people and spreadsheets; an empty cell is not labelled, nor is a -5 or -1.

    Columns, in any order: ``video``, ``frame`` (from 1), and as far as known ``person`` (added to the name
    of the video), ``valence`` with ``arousal``, ``expression`` (its name) and action units.
    ``expression_names`` are the classes to know, by default the seven basic ones, and ``Other`` where the
    table has it.
    """
    header, body = split_header(path, read_text(path))
    units = tuple(name for name in header if name.startswith("AU"))
    words = ("video", "person", "expression")
    others = set(header) - {*words, "frame", *VA, *units}
    if others or not {"video", "frame"} <= set(header) or len(set(header)) != len(header):
        raise wrong_header(path, header, "'video,frame,valence,arousal,expression,AU1,...'")
    if len(set(VA) & set(header)) == 1 or (units and not formats.names_action_units(units)):
        raise wrong_header(path, header, "with valence and arousal together, and action units such as AU1")
    cells = parse_cells(path, body, header, 2, [name for name in words if name in header], allow_empty=True)
    names = expression_names or EXPRESSIONS
    if "expression" in header:
        said = cells["expression"].str.strip()
        if expression_names is None and (said == "Other").any():
            names = EXPRESSIONS_WITH_OTHER
        indices = pd.Index(names).get_indexer(said)  # -1 where it is none of them
        wrong = (indices < 0) & (said != "").to_numpy()
        refuse(path, wrong, 2, "expression", said, f"use one of {', '.join(names)}")
        cells["expression"] = indices
    labels = formats.labels_of_rows(path, cells, first_line=2, expressions=names)
    frames = cells["frame"].to_numpy()
    refuse(path, ~(frames == np.floor(frames)), 2, "frame", frames, "frames are whole numbers from 1")
    videos = cells["video"].to_numpy(object)
    if "person" in header:
        persons = cells["person"].to_numpy(object)
        videos = np.where(persons == "", videos, videos + "_" + persons)
    return _by_video(path, videos, frames, labels, first_line=2)


def write_table(
    path: str | Path, labels: Mapping[str, Labels], tasks: Sequence[str] = ("va", "expr", "au")
) -> None:
    """Write every frame of every video as :func:`read_table` reads them, with the columns of ``tasks``."""
    videos, frames, rows = _flatten(path, labels)
    cells = {"video": videos, "frame": map(str, frames)}
    for task in tasks:
        cells |= formats.cells_of(rows, task, empty=True)
    if "expr" in tasks:
        words = np.where(rows.has_expression, np.array(rows.expression_names)[rows.expression], "")
        cells["expression"] = words.tolist()
    write_columns(path, tuple(cells), cells.values())


def read_listing(path: str | Path) -> dict[str, Labels]:
    """Read any of the files of this module, told apart by the first word of their header."""
    first = read_text(path).partition("\n")[0].split(",")
    if first[0].strip() == AFFWILD_CSV_COLUMNS[0]:
        return read_affwild_csv(path)
    if first[0].strip() == "image_location":
        return read_submission(path)
    return read_table(path) if "video" in first else read_mtl(path)


def _of_images(
    path, cells: pd.DataFrame, image: str, first_line: int = 2, expressions: Sequence[str] = EXPRESSIONS
) -> dict[str, Labels]:
    """Labels by video of rows that name an image: the folder is the video, the name the frame."""
    labels = formats.labels_of_rows(path, cells, first_line, expressions)
    images = cells[image]
    matches = [_IMAGE.fullmatch(image.replace("\\", "/").strip()) for image in images]
    wrong = np.array([match is None for match in matches])
    refuse(path, wrong, first_line, "the image", images.to_numpy(object), "write it as video/00001.jpg")
    videos, frames = ([match[group] for match in matches] for group in (1, 2))
    return _by_video(path, np.array(videos, object), np.array(frames, np.int64), labels, first_line)


def _by_video(
    path, videos: np.ndarray, frames: np.ndarray, rows: Labels, first_line: int
) -> dict[str, Labels]:
    wrong = (frames < 1) | (frames > MOST_FRAMES)
    refuse(path, wrong, first_line, "the frame number", frames, "frames count from 1")
    frames = frames.astype(np.int64)
    codes, names = pd.factorize(videos)
    for name in names:
        formats.checked_video_name(path, name)
    twice = pd.DataFrame({"video": codes, "frame": frames}).duplicated().to_numpy()
    if twice.any():
        row = int(np.argmax(twice))
        problem = f"line {row + first_line}: frame {frames[row]} of {quote(videos[row])} is listed twice"
        raise UserError(path, problem, "keep one line for each frame of a video")
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    return {str(name): _place(rows[group], frames[group]) for name, group in zip(names, groups, strict=True)}


def _place(rows: Labels, frames: np.ndarray) -> Labels:
    """Labels whose row ``frame - 1`` is the row of that frame; all others are not labelled."""
    placed = Labels.empty(frames.max(), rows.action_unit_names, rows.expression_names)
    for name in _ARRAYS:
        getattr(placed, name)[frames - 1] = getattr(rows, name)
    return placed


def _flatten(path, labels: Mapping[str, Labels]) -> tuple[list[str], list[int], Labels]:
    """Video names, frame numbers and labels of all frames of all videos, one after the other."""
    if not any(len(one) for one in labels.values()):
        raise UserError(path, "there are no labels to write", "give at least one labelled frame")
    units = tuple(dict.fromkeys(name for one in labels.values() for name in one.action_unit_names))
    classes = formats.common_expression_names(list(labels.values()))
    same = [replace(one.with_action_units(units), expression_names=classes) for one in labels.values()]
    rows = {name: np.concatenate([getattr(one, name) for one in same]) for name in _ARRAYS}
    videos = [formats.checked_video_name(path, name) for name, one in labels.items() for _ in range(len(one))]
    frames = [frame for one in labels.values() for frame in range(1, len(one) + 1)]
    return videos, frames, Labels(**rows, action_unit_names=units, expression_names=classes)


def _images(videos: Sequence[str], frames: Sequence[int]) -> list[str]:
    return [f"{video}/{frame:05d}.jpg" for video, frame in zip(videos, frames, strict=True)]

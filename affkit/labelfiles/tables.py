"""Label files that list the frames of many videos: multi-task (MTL), Aff-Wild CSV, submissions, our table.

All of them have one line for each frame that is listed, and name the video and the frame in it:
``clip_left/00001.jpg`` or two columns. Frames count from 1, and a frame that is not listed is not
labelled; nothing moves up to fill its place. A video is as long as its last listed frame.
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
from affkit.labelfiles.formats import ABAW_ACTION_UNITS
from affkit.labels import ACTION_UNITS, EXPRESSIONS, EXPRESSIONS_WITH_OTHER, MOST_FRAMES, VA, Labels

MTL_COLUMNS = ("image", "valence", "arousal", "expression")
AFFWILD_CSV_COLUMNS = ("image_file_location", "valence_value", "arousal_value")

_IMAGE = re.compile(r"(?:.*/)?([^/]+)/ *([0-9]{1,9})\.[A-Za-z]+")


def read_mtl(path: str | Path, expression_names: Sequence[str] = EXPRESSIONS_WITH_OTHER) -> dict[str, Labels]:
    """The multi-task file of the third, fourth and seventh ABAW challenge, by video.

    A line is ``video/00001.jpg,valence,arousal,expression,AU1,...``. Columns are found by the header, where
    ``aus`` stands for the twelve of :data:`~affkit.labelfiles.formats.ABAW_ACTION_UNITS`; without a header
    they are these 16, in this order. ``expression_names`` says what the expression index counts.

    Raises
    ------
    UserError
        Naming the line of the first fault.
    """
    text = read_text(path)
    columns, body, first_line = (*MTL_COLUMNS, *ABAW_ACTION_UNITS), text, 1
    if not _IMAGE.fullmatch(text.partition("\n")[0].partition(",")[0]):
        header, body = split_header(path, text)
        columns = (*header[:-1], *ABAW_ACTION_UNITS) if header[-1] == "aus" else header
        first_line = 2
    units = tuple(name for name in columns if name not in MTL_COLUMNS)
    if len(columns) != len(units) + len(MTL_COLUMNS) or not formats.action_unit_columns(units):
        raise wrong_header(path, columns, "'image,valence,arousal,expression,AU1,...'")
    cells = parse_cells(path, body, columns, first_line, text_columns=("image",))
    labels = Labels.empty(len(cells), units, tuple(expression_names))
    labels = formats.set_va(labels, path, *_numbers(cells, VA), first_line)
    labels = formats.set_expression(
        labels, path, *_numbers(cells, ["expression"]), expression_names, first_line
    )
    labels = formats.set_action_units(labels, path, cells[list(units)].to_numpy(), first_line)
    return _by_video(path, *_split_images(path, cells["image"], first_line), labels, first_line)


def write_mtl(path: str | Path, labels: Mapping[str, Labels]) -> None:
    """Write every frame of every video as :func:`read_mtl` reads them, under a header."""
    videos, frames, rows = _flatten(path, labels)
    columns = [*formats.va_text(rows), formats.expression_text(rows), *formats.action_unit_text(rows)]
    write_columns(path, (*MTL_COLUMNS, *rows.action_unit_names), [_images(videos, frames), *columns])


def read_affwild_csv(path: str | Path) -> dict[str, Labels]:
    """The flattened Aff-Wild table ``image_file_location,valence_value,arousal_value``, by video.

    The video is the folder of the image. Raises :class:`UserError` naming the line of the first fault.
    """
    header, body = split_header(path, read_text(path))
    if sorted(header) != sorted(AFFWILD_CSV_COLUMNS):
        raise wrong_header(path, header, f"'{','.join(AFFWILD_CSV_COLUMNS)}'")
    image, valence, arousal = AFFWILD_CSV_COLUMNS
    cells = parse_cells(path, body, header, first_line=2, text_columns=(image,))
    labels = formats.set_va(
        Labels.empty(len(cells)), path, *_numbers(cells, [valence, arousal]), first_line=2
    )
    return _by_video(path, *_split_images(path, cells[image], 2), labels, first_line=2)


def write_affwild_csv(path: str | Path, labels: Mapping[str, Labels]) -> None:
    """Write valence and arousal as :func:`read_affwild_csv` reads them; the image is ``video/00001.jpg``."""
    videos, frames, rows = _flatten(path, labels)
    write_columns(path, AFFWILD_CSV_COLUMNS, [_images(videos, frames), *formats.va_text(rows)])


def read_submission(path: str | Path) -> dict[str, Labels]:
    """What is sent in to an ABAW challenge, by video: ``image_location,`` and the columns of one task.

    The columns are ``valence,arousal``, the names of the expressions (with one index a line) or action
    units, as in the label files of a single video. Raises :class:`UserError` naming the line of the fault.
    """
    header, body = split_header(path, read_text(path))
    names = header[1:]
    is_va, is_units = sorted(names) == sorted(VA), formats.action_unit_columns(names)
    if header[0] != "image_location" or not (is_va or is_units or set(EXPRESSIONS) <= set(names)):
        raise wrong_header(path, header, "'image_location,' and the header of a label file")
    columns = header if is_va or is_units else ("image_location", "expression")
    cells = parse_cells(path, body, columns, first_line=2, text_columns=("image_location",))
    labels = Labels.empty(len(cells))
    if is_va:
        labels = formats.set_va(labels, path, *_numbers(cells, VA), first_line=2)
    elif is_units:
        labels = Labels.empty(len(cells), names)
        labels = formats.set_action_units(labels, path, cells[list(names)].to_numpy(), first_line=2)
    else:
        labels = replace(labels, expression_names=formats.expression_classes(path, names))
        labels = formats.set_expression(labels, path, *_numbers(cells, ["expression"]), names, first_line=2)
    return _by_video(path, *_split_images(path, cells["image_location"], 2), labels, first_line=2)


def write_submission(path: str | Path, labels: Mapping[str, Labels], task: str) -> None:
    """Write every frame of every video for one ``task``: ``"va"``, ``"expr"`` or ``"au"``."""
    videos, frames, rows = _flatten(path, labels)
    header, columns = {
        "va": (VA, formats.va_text(rows)),
        "expr": (rows.expression_names, [formats.expression_text(rows)]),
        "au": (rows.action_unit_names, formats.action_unit_text(rows)),
    }[task]
    write_columns(path, ("image_location", *header), [_images(videos, frames), *columns])


def read_table(path: str | Path, expression_names: Sequence[str] | None = None) -> dict[str, Labels]:
    """Our own table, made to be read by people and spreadsheets: a cell that is empty is not labelled.

    The -5 and -1 of the other files are understood too, and never written.
    Columns, in any order: ``video``, ``frame`` (from 1), and as far as there are labels ``person`` (added
    to the name of the video, as in ``clip_left``), ``valence`` and ``arousal``, ``expression`` (its name)
    and action units. ``expression_names`` are the classes to know; by default the seven basic ones, and
    ``Other`` where the table has it.

    Raises
    ------
    UserError
        Naming the line of the first fault, or the column that is missing or unknown.
    """
    header, body = split_header(path, read_text(path))
    units = tuple(name for name in header if name.startswith("AU"))
    words = ("video", "person", "expression")
    others = set(header) - {*words, "frame", *VA, *units}
    if others or not {"video", "frame"} <= set(header) or len(set(header)) != len(header):
        raise wrong_header(path, header, "'video,frame,valence,arousal,expression,AU1,...'")
    if len(set(VA) & set(header)) == 1 or (units and not formats.action_unit_columns(units)):
        raise wrong_header(path, header, "with valence and arousal together, and action units such as AU1")
    cells = parse_cells(path, body, header, 2, [name for name in words if name in header], allow_empty=True)
    labels = Labels.empty(len(cells), units or ACTION_UNITS)
    if "valence" in header:
        labels = formats.set_va(labels, path, *_numbers(cells, VA), first_line=2)
    if units:
        labels = formats.set_action_units(labels, path, cells[list(units)].to_numpy(), first_line=2)
    if "expression" in header:
        indices, names = _expression_indices(path, cells["expression"], expression_names)
        labels = replace(labels, expression_names=names)
        labels = formats.set_expression(labels, path, indices, names, first_line=2)
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
    expressions = np.where(rows.has_expression, np.array(rows.expression_names)[rows.expression], "")
    written = {
        "va": zip(VA, formats.va_text(rows, missing=""), strict=True),
        "expr": [("expression", expressions.tolist())],
        "au": zip(rows.action_unit_names, formats.action_unit_text(rows, missing=""), strict=True),
    }
    columns = dict(pair for task in tasks for pair in written[task])
    write_columns(path, ("video", "frame", *columns), [videos, map(str, frames), *columns.values()])


def read_listing(path: str | Path) -> dict[str, Labels]:
    """Read any of the files of this module, told apart by the first word of their header."""
    first = read_text(path).partition("\n")[0].split(",")
    if first[0].strip() == AFFWILD_CSV_COLUMNS[0]:
        return read_affwild_csv(path)
    if first[0].strip() == "image_location":
        return read_submission(path)
    return read_table(path) if "video" in first else read_mtl(path)


def _numbers(cells: pd.DataFrame, names: Sequence[str]) -> list[np.ndarray]:
    return [cells[name].to_numpy() for name in names]


def _expression_indices(
    path, cells: pd.Series, names: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Index of each name in the classes, -1 where the cell is empty; and the classes."""
    words = cells.str.strip().to_numpy(object)
    if names is None:
        names = EXPRESSIONS_WITH_OTHER if "Other" in set(words) else EXPRESSIONS
    indices = pd.Index(names).get_indexer(words)  # -1 where it is none of them
    refuse(path, (indices < 0) & (words != ""), 2, "expression", words, f"use one of {', '.join(names)}")
    return indices, tuple(names)


def _split_images(path: str | Path, images: pd.Series, first_line: int) -> tuple[np.ndarray, np.ndarray]:
    """Video names and frame numbers of image locations; the folder of the image is the video."""
    matches = [_IMAGE.fullmatch(image.replace("\\", "/").strip()) for image in images]
    wrong = np.array([match is None for match in matches])
    refuse(path, wrong, first_line, "the image", images.to_numpy(object), "write it as video/00001.jpg")
    videos = np.array([match[1] for match in matches], object)
    return videos, np.array([int(match[2]) for match in matches])


def _by_video(
    path, videos: np.ndarray, frames: np.ndarray, rows: Labels, first_line: int
) -> dict[str, Labels]:
    """Put each row at its frame of its video; frames without a row are not labelled."""
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
    """Labels in which row ``frame - 1`` is the row of that frame, and all others are not labelled."""
    arrays = {f.name: getattr(rows, f.name) for f in fields(rows) if not f.name.endswith("_names")}
    placed = {name: np.zeros((frames.max(), *array.shape[1:]), array.dtype) for name, array in arrays.items()}
    for name, array in arrays.items():
        placed[name][frames - 1] = array
    return replace(rows, **placed)


def _flatten(path, labels: Mapping[str, Labels]) -> tuple[list[str], list[int], Labels]:
    """Video names, frame numbers and labels of all frames of all videos, one after the other."""
    if not any(len(one) for one in labels.values()):
        raise UserError(path, "there are no labels to write", "give at least one labelled frame")
    units = tuple(dict.fromkeys(name for one in labels.values() for name in one.action_unit_names))
    classes = formats.common_expression_names(list(labels.values()))
    same = [replace(one.with_action_units(units), expression_names=classes) for one in labels.values()]
    arrays = [f.name for f in fields(Labels) if not f.name.endswith("_names")]
    rows = {name: np.concatenate([getattr(one, name) for one in same]) for name in arrays}
    videos = [formats.checked_video_name(path, name) for name, one in labels.items() for _ in range(len(one))]
    frames = [frame for one in labels.values() for frame in range(1, len(one) + 1)]
    return videos, frames, Labels(**rows, action_unit_names=units, expression_names=classes)


def _images(videos: Sequence[str], frames: Sequence[int]) -> list[str]:
    return [f"{video}/{frame:05d}.jpg" for video, frame in zip(videos, frames, strict=True)]

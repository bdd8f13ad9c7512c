"""Label files of one video: Aff-Wild (2017) and Aff-Wild2 (the ABAW challenges 1 to 8).

The first line of an Aff-Wild2 file names the columns; line ``i`` below it is frame ``i``, from 1, and row
``i - 1`` of :class:`~affkit.labels.Labels`. The marks of what is not labelled, -5 (valence, arousal) or -1,
become masks; a valence of -1 is a valence. Readers raise a :class:`~affkit.errors.UserError` that names the
line of the first fault.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from affkit.errors import UserError, quote, refuse
from affkit.labelfiles.csv_text import parse_cells, read_text, split_header, write_columns, wrong_header
from affkit.labels import ACTION_UNITS, EXPRESSIONS, KINDS, VA, Labels

ABAW_ACTION_UNITS = tuple("AU1 AU2 AU4 AU6 AU7 AU10 AU12 AU15 AU23 AU24 AU25 AU26".split())
"""The twelve action units of Aff-Wild2 from the second ABAW challenge on, without AU20."""

IN_RANGE = "[-1, 1]"  # of valence and arousal
VA_NOT_LABELLED, NOT_LABELLED = -5, -1  # the marks: of valence and arousal; of expressions and action units
_ACTION_UNIT = re.compile(r"AU[1-9][0-9]?")


def read_va(path: str | Path) -> Labels:
    """Valence and arousal of one video. A -5 in either of the two masks both.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "clip.txt")
    ...     _ = path.write_text("valence,arousal\\n-1,0.25\\n-5,-5\\n")
    ...     labels = read_va(path)
    >>> labels.valence.tolist(), labels.has_va.tolist()
    ([-1.0, 0.0], [True, False])
    """
    header, body = split_header(path, read_text(path))
    if sorted(header) != sorted(VA):
        raise wrong_header(path, header, "'valence,arousal'")
    return labels_of_rows(path, parse_cells(path, body, header, first_line=2), first_line=2)


def read_expressions(path: str | Path) -> Labels:
    """The expression of each frame, an index into the header; the result has the seven basic ones first."""
    header, body = split_header(path, read_text(path))
    if not names_expressions(header):
        raise wrong_header(path, header, f"'{','.join(EXPRESSIONS)}', with ',Other' where it is used")
    return labels_of_rows(path, parse_cells(path, body, ("expression",), first_line=2), 2, header)


def read_action_units(path: str | Path) -> Labels:
    """The action units of each frame of one video, one column for each name in the header."""
    header, body = split_header(path, read_text(path))
    if not names_action_units(header):
        raise wrong_header(path, header, "action units, such as 'AU1,AU2,AU4'")
    return labels_of_rows(path, parse_cells(path, body, header, first_line=2), first_line=2)


def read_affwild(valence_path: str | Path, arousal_path: str | Path) -> Labels:
    """Aff-Wild of 2017: a file for each dimension, a float a line, no header; the shorter one counts."""
    columns = {}
    for path, name in zip((valence_path, arousal_path), VA, strict=True):
        columns[name] = parse_cells(path, read_text(path), (name,), first_line=1)[name].to_numpy()
        _check_range(path, columns[name], columns[name] != VA_NOT_LABELLED, name, first_line=1)
    num_frames = _shortest([len(column) for column in columns.values()], Path(valence_path).stem)
    columns = {name: column[:num_frames] for name, column in columns.items()}
    return labels_of_rows(valence_path, columns, first_line=1)


def write_va(path: str | Path, labels: Labels) -> None:
    """Write valence and arousal as :func:`read_va` reads them; every float32 comes back exactly."""
    write_columns(path, VA, cells_of(labels, "va").values())


def write_expressions(path: str | Path, labels: Labels) -> None:
    write_columns(path, labels.expression_names, cells_of(labels, "expr").values())


def write_action_units(path: str | Path, labels: Labels) -> None:
    write_columns(path, labels.action_unit_names, cells_of(labels, "au").values())


def write_affwild(valence_path: str | Path, arousal_path: str | Path, labels: Labels) -> None:
    for path, column in zip((valence_path, arousal_path), cells_of(labels, "va").values(), strict=True):
        write_columns(path, None, [column])


def names_expressions(header: Sequence[str]) -> bool:
    return set(EXPRESSIONS) <= set(header) and len(set(header)) == len(header)


def names_action_units(header: Sequence[str]) -> bool:
    return len(set(header)) == len(header) > 0 and all(map(_ACTION_UNIT.fullmatch, header))


def labels_of_rows(
    path: str | Path, cells: Mapping[str, Sequence], first_line: int, expressions: Sequence[str] = EXPRESSIONS
) -> Labels:
    """Labels from the columns ``valence`` with ``arousal``, action units, and ``expression``, an index into
    ``expressions`` (in the result the seven basic ones come first). A mark or NaN masks; a value that cannot
    be is refused with its line. :func:`cells_of` is the way back.
    """
    columns = {name: np.asarray(cells[name]) for name in cells}
    units = tuple(name for name in columns if _ACTION_UNIT.fullmatch(name))
    names = tuple(expressions)
    if names_expressions(names):
        names = (*EXPRESSIONS, *(name for name in names if name not in EXPRESSIONS))
    labels = Labels.empty(len(next(iter(columns.values()))), units or ACTION_UNITS, names)
    if VA[0] in columns:
        pair = np.stack([columns[name] for name in VA])  # (2, T)
        labels.has_va[:] = known = (~np.isnan(pair) & (pair != VA_NOT_LABELLED)).all(axis=0)
        for name, values in zip(VA, pair, strict=True):
            _check_range(path, values, known, name, first_line)
            getattr(labels, name)[known] = values[known]
    if "expression" in columns:
        indices = columns["expression"]
        labels.has_expression[:] = known = indices != NOT_LABELLED
        last = len(expressions) - 1
        fix = f"use 0 to {last}, an index into the header, or {NOT_LABELLED} where it is not labelled"
        refuse(path, known & ~np.isin(indices, range(last + 1)), first_line, "expression", indices, fix)
        places = np.array([names.index(name) for name in expressions])
        labels.expression[known] = places[indices[known].astype(np.int64)]
    fix = f"an action unit is 0 or 1, or {NOT_LABELLED} where it is not labelled"
    for number, name in enumerate(units):
        values = columns[name]
        labels.has_action_units[:, number] = known = ~np.isnan(values) & (values != NOT_LABELLED)
        refuse(path, known & ~np.isin(values, (0, 1)), first_line, name, values, fix)
        labels.action_units[known, number] = values[known]
    return labels


def _check_range(path, values, labelled, name, first_line) -> None:
    fix = f"{name} lies in {IN_RANGE}; write {VA_NOT_LABELLED} where it is not labelled"
    refuse(path, labelled & (np.abs(values) > 1), first_line, name, values, fix)


def cells_of(labels: Labels, task: str, empty: bool = False) -> dict[str, list[str]]:
    """The columns of one task as text; what is not labelled is a mark, or nothing if ``empty``."""
    if task == "expr":
        indices = np.where(labels.has_expression, labels.expression, NOT_LABELLED)
        return {"expression": indices.astype(str).tolist()}
    if task == "au":
        units = np.where(labels.action_units == 1, "1", "0")
        units = np.where(labels.has_action_units, units, "" if empty else str(NOT_LABELLED))
        return dict(zip(labels.action_unit_names, units.T.tolist(), strict=True))
    mark = "" if empty else str(VA_NOT_LABELLED)
    columns = {name: np.asarray(getattr(labels, name), np.float32) for name in VA}
    # the shortest decimal that tells a float32 from all others
    return {name: np.where(labels.has_va, own.astype(str), mark).tolist() for name, own in columns.items()}


def merge(*labels: Labels, name: str = "labels") -> Labels:
    """Put labels of the same frames together; where several give a value, the first counts. If lengths
    differ, what is missing is not labelled, with one warning that names the video.

    >>> va, units = Labels.empty(3), Labels.empty(3, ("AU7",))
    >>> units.has_action_units[:] = True
    >>> merge(va, units).action_unit_names
    ('AU7',)
    """
    if len(lengths := dict.fromkeys(map(len, labels))) > 1:
        problem = f"label lines differ in number ({', '.join(map(str, lengths))})"
        warnings.warn(f"{name}: {problem}; where a file ends early it labels nothing", stacklevel=2)
    with_units = [part for part in labels if part.has_action_units.any()] or labels[:1]
    unit_names = tuple(dict.fromkeys(unit for part in with_units for unit in part.action_unit_names))
    merged = Labels.empty(max(lengths), unit_names, common_expression_names(labels))
    for part in labels:
        part, rows = part.with_action_units(unit_names), slice(len(part))
        for mask, names in KINDS.values():
            known = getattr(merged, mask)[rows]
            new = getattr(part, mask) & ~known  # (T,), or (T, A)
            for name in names:
                getattr(merged, name)[rows][new] = getattr(part, name)[new]
            known |= new
    return merged


def common_expression_names(labels: Sequence[Labels]) -> tuple[str, ...]:
    """The longest of the classes' lists; raises ``ValueError`` if another one does not begin it."""
    longest = max((part.expression_names for part in labels), key=len)
    for part in labels:
        if part.expression_names != longest[: len(part.expression_names)]:
            raise ValueError(f"expressions {part.expression_names} and {longest} do not fit together")
    return longest


def match_length(labels: Labels, num_frames: int, name: str) -> Labels:
    """The labels of at most ``num_frames`` frames; a warning where a video and its file differ in length."""
    return labels[: _shortest([len(labels), num_frames], name, "labels and frames")]


def drop_other(labels: Labels) -> Labels:
    """The labels with the seven basic expressions only; frames of any further class are masked."""
    keep = labels.has_expression & (labels.expression < len(EXPRESSIONS))
    expression = np.where(keep, labels.expression, 0)
    return replace(labels, expression=expression, has_expression=keep, expression_names=EXPRESSIONS)


def _shortest(lengths: Sequence[int], name: str, what: str = "label lines") -> int:
    if len(set(lengths)) > 1:
        problem = f"{what} differ in number ({', '.join(map(str, lengths))})"
        warnings.warn(f"{name}: {problem}; the first {min(lengths)} are used", stacklevel=3)
    return min(lengths)


def checked_video_name(path: str | Path, name: str) -> str:
    """``name`` if it can be a file name on all systems and cannot lead out of a folder, else an error."""
    if not name or name != name.strip() or name.startswith(".") or re.search(r'[\x00-\x1f/\\,:"*?<>|]', name):
        raise UserError(path, f"{quote(name)} is not a video name", "use letters, digits, - and _")
    return name


def constant_runs(values: np.ndarray) -> np.ndarray:
    """The longest runs of equal values in ``(T,)``: ``(N, 2)`` int64, first place and one after the last.

    >>> constant_runs(np.array([7, 7, 3, 7])).tolist()
    [[0, 2], [2, 3], [3, 4]]
    """
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    bounds = np.concatenate([[0], changes, [len(values)]]).astype(np.int64)
    return np.stack([bounds[:-1], bounds[1:]], axis=1)[: len(values)]  # nothing has no runs


def true_runs(mask: np.ndarray) -> np.ndarray:
    """The longest runs in which a mask ``(T,)`` bool holds, as from :func:`constant_runs`.

    >>> true_runs(np.array([True, True, False, True])).tolist()
    [[0, 2], [3, 4]]
    """
    found = constant_runs(mask)
    return found[mask[found[:, 0]]]

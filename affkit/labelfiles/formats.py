"""Label files of one video: Aff-Wild (2017) and Aff-Wild2 (the ABAW challenges, all years).

In an Aff-Wild2 file the first line names the columns and line ``i`` below it is frame ``i``, counted from
1; row 0 of :class:`~affkit.labels.Labels` is that same frame 1. Columns are found by name, never by
position. The files mark what is not labelled by -5 (valence, arousal) or -1 (expression, action units);
here both become masks and are never seen again. A valence of -1 is a valence: the most negative one.

Files that list the frames of many videos are read by :mod:`affkit.labelfiles.tables`, folders of files by
:mod:`affkit.labelfiles.layouts`.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from affkit.errors import UserError, quote, refuse
from affkit.labelfiles.csv_text import parse_cells, read_text, split_header, write_columns, wrong_header
from affkit.labels import EXPRESSIONS, VA, Labels

ABAW_ACTION_UNITS = tuple("AU1 AU2 AU4 AU6 AU7 AU10 AU12 AU15 AU23 AU24 AU25 AU26".split())
"""The twelve action units of Aff-Wild2 from the second ABAW challenge on. AU20 is no longer among them."""

VA_NOT_LABELLED = -5
NOT_LABELLED = -1
"""The mark for expressions and action units; for valence and arousal it is :data:`VA_NOT_LABELLED`."""

_ACTION_UNIT = re.compile(r"AU[1-9][0-9]?")


def read_va(path: str | Path) -> Labels:
    """Valence and arousal of one video. A -5 in either of the two masks both.

    Raises
    ------
    UserError
        Naming the line, if the header is not ``valence,arousal`` or a value is not in [-1, 1].

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
    cells = parse_cells(path, body, header, first_line=2)
    labels = Labels.empty(len(cells))
    return set_va(labels, path, cells["valence"].to_numpy(), cells["arousal"].to_numpy(), first_line=2)


def read_expressions(path: str | Path) -> Labels:
    """The expression of each frame of one video.

    The header names the classes and a line is an index into the header, so a header in another order
    is still read rightly. The seven basic expressions come first in the result, then what else the
    header names, such as ``Other`` (see :func:`drop_other`).

    Raises
    ------
    UserError
        Naming the line, if the header lacks a basic expression or an index is not in it.
    """
    header, body = split_header(path, read_text(path))
    names = expression_classes(path, header)
    cells = parse_cells(path, body, ("expression",), first_line=2)
    labels = replace(Labels.empty(len(cells)), expression_names=names)
    return set_expression(labels, path, cells["expression"].to_numpy(), header, first_line=2)


def read_action_units(path: str | Path) -> Labels:
    """The action units of each frame of one video, one column for each name in the header.

    Raises
    ------
    UserError
        Naming the line, if the header holds something else than action units, or a value is not 0, 1 or -1.
    """
    header, body = split_header(path, read_text(path))
    if not action_unit_columns(header):
        raise wrong_header(path, header, "action units, such as 'AU1,AU2,AU4'")
    cells = parse_cells(path, body, header, first_line=2)
    return set_action_units(Labels.empty(len(cells), header), path, cells.to_numpy(), first_line=2)


def read_affwild(valence_path: str | Path, arousal_path: str | Path) -> Labels:
    """Aff-Wild as handed out in 2017: one float a line and no header; one file for each dimension.

    If one file is longer, the shorter length is used, with a warning. Raises :class:`UserError` naming
    the line of anything that is not a number in [-1, 1] or -5.
    """
    values = []
    for path, name in ((valence_path, "valence"), (arousal_path, "arousal")):
        column = parse_cells(path, read_text(path), (name,), first_line=1)[name].to_numpy()
        _check_range(path, column, column != VA_NOT_LABELLED, name, first_line=1)
        values.append(column)
    num_frames = _shortest([len(column) for column in values], Path(valence_path).stem)
    valence, arousal = (column[:num_frames] for column in values)
    return set_va(Labels.empty(num_frames), valence_path, valence, arousal, first_line=1)


def write_va(path: str | Path, labels: Labels) -> None:
    """Write valence and arousal as :func:`read_va` reads them; every float32 comes back exactly."""
    write_columns(path, VA, va_text(labels))


def write_expressions(path: str | Path, labels: Labels) -> None:
    """Write expressions as :func:`read_expressions` reads them."""
    write_columns(path, labels.expression_names, [expression_text(labels)])


def write_action_units(path: str | Path, labels: Labels) -> None:
    """Write action units as :func:`read_action_units` reads them."""
    write_columns(path, labels.action_unit_names, action_unit_text(labels))


def write_affwild(valence_path: str | Path, arousal_path: str | Path, labels: Labels) -> None:
    """Write valence and arousal as :func:`read_affwild` reads them."""
    for path, column in zip((valence_path, arousal_path), va_text(labels), strict=True):
        write_columns(path, None, [column])


def merge(*labels: Labels, name: str = "labels") -> Labels:
    """Put labels of the same frames together, such as the VA, expression and action unit file of a video.

    Where several give a value for the same frame, the first one counts. Frames are never shifted: if the
    lengths differ, all are cut to the shortest, with one warning that names the video.

    >>> va, units = Labels.empty(3), Labels.empty(3, ("AU7",))
    >>> units.has_action_units[:] = True
    >>> merge(va, units).action_unit_names
    ('AU7',)
    """
    num_frames = _shortest([len(part) for part in labels], name)
    with_units = [part for part in labels if part.has_action_units.any()] or labels[:1]
    unit_names = tuple(dict.fromkeys(unit for part in with_units for unit in part.action_unit_names))
    merged = Labels.empty(num_frames, unit_names, common_expression_names(labels))
    for part in labels:
        part = part[:num_frames].with_action_units(unit_names)
        new = part.has_va & ~merged.has_va  # (T,)
        merged.valence[new], merged.arousal[new] = part.valence[new], part.arousal[new]
        new_expression = part.has_expression & ~merged.has_expression  # (T,)
        merged.expression[new_expression] = part.expression[new_expression]
        new_units = part.has_action_units & ~merged.has_action_units  # (T, A)
        merged.action_units[new_units] = part.action_units[new_units]
        for mask, added in (
            (merged.has_va, new),
            (merged.has_expression, new_expression),
            (merged.has_action_units, new_units),
        ):
            mask |= added
    return merged


def common_expression_names(labels: Sequence[Labels]) -> tuple[str, ...]:
    """The longest of the classes' lists; raises ``ValueError`` if another one does not begin it."""
    longest = max((part.expression_names for part in labels), key=len)
    for part in labels:
        if part.expression_names != longest[: len(part.expression_names)]:
            raise ValueError(f"expressions {part.expression_names} and {longest} do not fit together")
    return longest


def match_length(labels: Labels, num_frames: int, name: str) -> Labels:
    """The labels of at most ``num_frames`` frames; a difference to the number of labels is warned about.

    Label files and videos may differ by a few frames. The shorter of the two counts, from the first
    frame on: use ``len()`` of the result as the number of frames.
    """
    return labels[: _shortest([len(labels), num_frames], name, "labels and frames")]


def drop_other(labels: Labels) -> Labels:
    """The labels with the seven basic expressions only; frames of any further class become not labelled."""
    keep = labels.has_expression & (labels.expression < len(EXPRESSIONS))
    expression = np.where(keep, labels.expression, 0)
    return replace(labels, expression=expression, has_expression=keep, expression_names=EXPRESSIONS)


def _shortest(lengths: Sequence[int], name: str, what: str = "label lines") -> int:
    if len(set(lengths)) > 1:
        counts = ", ".join(map(str, lengths))
        warnings.warn(
            f"{name}: {what} differ in number ({counts}); the first {min(lengths)} are used", stacklevel=3
        )
    return min(lengths)


# From the numbers of a file to labels, and back. These are shared with affkit.labelfiles.tables.


def expression_classes(path: str | Path, header: Sequence[str]) -> tuple[str, ...]:
    """The classes in a header, the seven basic ones first; :class:`UserError` if one of those is missing."""
    if not set(EXPRESSIONS) <= set(header) or len(set(header)) != len(header):
        raise wrong_header(path, header, f"'{','.join(EXPRESSIONS)}', with ',Other' where it is used")
    return (*EXPRESSIONS, *(name for name in header if name not in EXPRESSIONS))


def action_unit_columns(header: Sequence[str]) -> bool:
    """Whether these are names of action units and nothing else, none of them twice."""
    return len(set(header)) == len(header) > 0 and all(map(_ACTION_UNIT.fullmatch, header))


def set_va(
    labels: Labels, path: str | Path, valence: np.ndarray, arousal: np.ndarray, first_line: int
) -> Labels:
    """``labels`` with valence and arousal from file columns ``(T,)``, -5 or NaN in either masking both."""
    has_va = (
        ~np.isnan(valence) & ~np.isnan(arousal) & (valence != VA_NOT_LABELLED) & (arousal != VA_NOT_LABELLED)
    )
    for name, values in zip(VA, (valence, arousal), strict=True):
        _check_range(path, values, has_va, name, first_line)
    valence, arousal = (np.where(has_va, values, 0).astype(np.float32) for values in (valence, arousal))
    return replace(labels, valence=valence, arousal=arousal, has_va=has_va)


def _check_range(path, values, labelled, name, first_line) -> None:
    mend = f"{name} lies in [-1, 1]; write {VA_NOT_LABELLED} where it is not labelled"
    refuse(path, labelled & (np.abs(values) > 1), first_line, name, values, mend)


def set_expression(
    labels: Labels, path: str | Path, indices: np.ndarray, header: Sequence[str], first_line: int
) -> Labels:
    """``labels`` with expressions from a file column of indices into ``header``, -1 masking."""
    labelled = indices != NOT_LABELLED
    wrong = labelled & ~np.isin(indices, np.arange(len(header)))
    mend = f"use 0 to {len(header) - 1}, an index into the header, or {NOT_LABELLED} where it is not labelled"
    refuse(path, wrong, first_line, "expression", indices, mend)
    order = np.array([labels.expression_names.index(name) for name in header])
    expression = order[np.where(labelled, indices, 0).astype(np.int64)]
    return replace(labels, expression=np.where(labelled, expression, 0), has_expression=labelled)


def set_action_units(labels: Labels, path: str | Path, values: np.ndarray, first_line: int) -> Labels:
    """``labels`` with action units from file columns ``(T, A)``, -1 or NaN masking."""
    labelled = ~np.isnan(values) & (values != NOT_LABELLED)
    for column, name in enumerate(labels.action_unit_names):
        wrong = labelled[:, column] & ~np.isin(values[:, column], (0, 1))
        mend = f"an action unit is 0 or 1, or {NOT_LABELLED} where it is not labelled"
        refuse(path, wrong, first_line, name, values[:, column], mend)
    units = np.where(labelled, values, 0).astype(np.float32)
    return replace(labels, action_units=units, has_action_units=labelled)


def va_text(labels: Labels, missing: str = str(VA_NOT_LABELLED)) -> list[list[str]]:
    """The cells of the valence and of the arousal column: the shortest decimal of each float32."""
    columns = (np.asarray(values, np.float32).astype(str) for values in (labels.valence, labels.arousal))
    return [np.where(labels.has_va, column, missing).tolist() for column in columns]


def expression_text(labels: Labels) -> list[str]:
    """The cells of the expression column, as indices."""
    return np.where(labels.has_expression, labels.expression, NOT_LABELLED).astype(str).tolist()


def action_unit_text(labels: Labels, missing: str = str(NOT_LABELLED)) -> list[list[str]]:
    """The cells of each action unit column."""
    units = np.where(labels.action_units == 1, "1", "0")
    return np.where(labels.has_action_units, units, missing).T.tolist()


def checked_video_name(path: str | Path, name: str) -> str:
    """``name`` if it can be a file name here and on other systems, else :class:`UserError`.

    Names come from files of others and become paths; so nothing in them may lead out of a folder.
    """
    if not name or name != name.strip() or name.startswith(".") or re.search(r'[\x00-\x1f/\\,:"*?<>|]', name):
        raise UserError(path, f"{quote(name)} is not a video name", "use letters, digits, - and _")
    return name


def constant_runs(values: np.ndarray) -> np.ndarray:
    """The longest stretches of equal values in ``(T,)``, in order.

    Returns ``(N, 2)`` int64: the first place of each, and the one after its last.

    >>> constant_runs(np.array([7, 7, 3, 7])).tolist()
    [[0, 2], [2, 3], [3, 4]]
    """
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    bounds = np.concatenate([[0], changes, [len(values)]]).astype(np.int64)
    return np.stack([bounds[:-1], bounds[1:]], axis=1)[: len(values)]  # nothing has no stretches


def true_runs(mask: np.ndarray) -> np.ndarray:
    """The longest stretches in which a mask ``(T,)`` bool holds, as from :func:`constant_runs`.

    >>> true_runs(np.array([True, True, False, True])).tolist()
    [[0, 2], [3, 4]]
    """
    found = constant_runs(mask)
    return found[mask[found[:, 0]]]

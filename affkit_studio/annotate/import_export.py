"""One video's annotation out to other tools and back: ELAN, BORIS, Aff-Wild2's label files, our table."""

import hashlib
import re
import warnings
from pathlib import Path

from affkit.errors import UserError, quote
from affkit.labelfiles import formats
from affkit.labelfiles.csv_text import read_text
from affkit.labelfiles.names import nfc
from affkit.labels import Labels
from affkit_studio.annotate.elan_boris import read_boris, read_eaf, write_boris, write_eaf
from affkit_studio.annotate.session import LANES, AnnotationSession, Segment, from_labels

SUFFIXES = {"abaw": ".txt", "table": ".csv", "eaf": ".eaf", "boris": ".csv"}
"""The formats, and the suffix of each."""

_READ_LABELS = {"au": formats.read_action_units, "expression": formats.read_expressions}
_WRITE_LABELS = {"au": formats.write_action_units, "expression": formats.write_expressions}
_LONGEST = 80  # bytes of a name that become part of a file name; file systems allow 255 in all


def export_annotation(session: AnnotationSession, path: str | Path, format: str) -> None:
    """Write what is marked now, all of the file or nothing; one that is there is replaced.

    ``format`` is ``"abaw"``, ``"table"``, ``"eaf"`` (ELAN) or ``"boris"``. Raises UserError if it is none of
    them, or the file cannot be written.
    """
    _check_format(path, format)
    try:
        if format == "abaw":
            _WRITE_LABELS[session.task](path, session.labels())
        elif format == "eaf":
            write_eaf(path, session.video, session.task, session.segments(), session.annotator)
        elif format == "boris":
            write_boris(path, session.video, session.segments())
        else:
            from affkit.labelfiles.tables import (
                write_table,  # late: it brings pandas, and the tool has to open
            )

            write_table(path, {session.video.name: session.labels()})
    except OSError as error:
        raise UserError(path, f"cannot be written ({error.strerror})", "choose another folder") from error


def export_name(session: AnnotationSession, format: str) -> str:
    """A file name for :func:`export_annotation`, sound whatever video and annotator are called.

    >>> from types import SimpleNamespace as Some
    >>> export_name(Some(video=Some(name="clip_left"), annotator="Zoë", task="au"), "boris")
    'clip_left-Zoë-au-boris.csv'
    """
    _check_format(session.video.name, format)
    parts = (_plain(session.video.name), _plain(session.annotator), session.task, format)
    return "-".join(parts) + SUFFIXES[format]


def import_annotation(
    session: AnnotationSession, path: str | Path, format: str | None = None
) -> list[Segment]:
    """Replace what is marked by what a file says, as one undoable step; returns what is marked then.

    ``format`` is one of :data:`SUFFIXES`, told from the suffix and the first line if it is not given. What is
    not labelled in a label file is not marked; tags that are not ours are left out of it with a warning, as
    are frames beyond the end of the video. Raises UserError, naming the line of the first fault; nothing is
    changed then.
    """
    format = format or _format_of(path)
    _check_format(path, format)
    if format == "eaf":
        segments = read_eaf(path, session.video, session.task)
    elif format == "boris":
        segments = read_boris(path, session.video, session.task)
    else:
        segments = from_labels(_read_labels(session, path, format), session.task)
    session.replace(segments)
    return session.segments()


def _read_labels(session: AnnotationSession, path: str | Path, format: str) -> Labels:
    """The labels of the session's video and task in a label file or table, as long as the video at most."""
    name, is_au = nfc(session.video.name), session.task == "au"
    if format == "abaw":
        labels = _READ_LABELS[session.task](path)
    else:
        from affkit.labelfiles.tables import read_table  # late: it brings pandas

        videos = read_table(path)
        if name not in videos:
            known = ", ".join(map(quote, list(videos)[:5]))
            problem = f"has no video {quote(name)}, only: {known}"
            raise UserError(path, problem, "give the table of this video")
        labels = videos[name]
    if not (labels.has_action_units if is_au else labels.has_expression).any():
        raise UserError(path, f"holds no labels for the task {session.task!r}", "give another file")
    if is_au:
        units = zip(labels.action_unit_names, labels.action_units.T, strict=True)
        said = {tag for tag, column in units if column.any()}
    else:
        said = {labels.expression_names[i] for i in set(labels.expression[labels.has_expression])}
    if left_out := sorted(said - set(LANES[session.task])):
        warnings.warn(f"{path}: {', '.join(left_out)} left out, which the tool has no tag for", stacklevel=3)
    return formats.match_length(labels, session.video.num_frames, name)


def _format_of(path: str | Path) -> str:
    if Path(path).suffix.lower() == ".eaf":
        return "eaf"
    text = read_text(path)
    if "Behavior" in text and "Start (s)" in text:
        return "boris"
    return "table" if "video" in text.partition("\n")[0].split(",") else "abaw"


def _check_format(path: str | Path, format: str) -> None:
    if format not in SUFFIXES:
        raise UserError(path, f"there is no format {format!r}", f"use one of {', '.join(SUFFIXES)}")


def _plain(name: str) -> str:
    """Letters, digits and _ of ``name``; if that is not all of it, a code keeps it apart from others."""
    plain = re.sub(r"\W+", "_", name).encode()[:_LONGEST].decode(errors="ignore")
    if plain == name:
        return plain
    return f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"

"""Aggregated events of BORIS (Friard & Gamba 2016): a table with a line for each stretch of a behaviour."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from affkit.errors import UserError
from affkit.files import write_beside
from affkit.labelfiles.csv_text import quote, read_text
from affkit_studio.annotate.intervals import Interval, milliseconds, to_segments
from affkit_studio.annotate.session import Video
from affkit_studio.annotate.timeline import Segment

COLUMNS = (
    "Observation id",
    "Observation date",
    "Media file",
    "Total length",
    "FPS",
    "Subject",
    "Behavior",
    "Behavioral category",
    "Modifiers",
    "Behavior type",
    "Start (s)",
    "Stop (s)",
    "Duration (s)",
    "Comment start",
    "Comment stop",
)
"""What we write, as BORIS does; only ``Behavior`` and the times are needed to read a file."""

_NEEDED = {"Behavior", "Start (s)", "Stop (s)"}
_NO_SUBJECT = "No focal subject"  # what BORIS says when nobody in particular was watched
_NO_STOP = {"", "NA", "NaN", "None"}


def write_boris(path: str | Path, video: Video, segments: Sequence[Segment]) -> None:
    """Write segments as aggregated events, comma-separated, times in seconds with three decimals.

    Raises :class:`UserError` if the disk is full.
    """
    always = {
        "Observation id": video.name,
        "Media file": video.path.name,
        "Total length": _seconds(video.num_frames, video),
        "FPS": f"{video.fps:.3f}",
        "Subject": _NO_SUBJECT,
        "Behavior type": "STATE",
    }
    with write_beside(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for one in segments:
            length = milliseconds(one.stop, video.fps) - milliseconds(one.start, video.fps)
            times = {
                "Start (s)": _seconds(one.start, video),
                "Stop (s)": _seconds(one.stop, video),
                "Duration (s)": f"{length / 1000:.3f}",
            }
            writer.writerow(always | {"Behavior": one.lane} | times)


def read_boris(path: str | Path, video: Video, task: str) -> list[Segment]:
    """The segments in aggregated events of BORIS, whose behaviours are called like the tags of the task.

    Columns are found by name, below any lines of another kind; cells are separated by commas, semicolons or
    tabs. A point event is one frame. Of several observations in a file that with the name of the video
    counts.

    Raises
    ------
    UserError
        Naming the line, if a time is missing, the file is about several subjects or about other videos, or
        see :func:`~affkit_studio.annotate.intervals.to_segments`.
    """
    rows = list(_rows(path))
    observations = {row.get("Observation id", "") for _, row in rows}
    if len(observations) > 1:
        if video.name not in observations:
            problem = f"holds no observation {quote(video.name)}, only {_listed(observations)}"
            raise UserError(path, problem, "rename the one that belongs to the video")
        rows = [(line, row) for line, row in rows if row.get("Observation id") == video.name]
    subjects = {row.get("Subject", "") for _, row in rows}
    if len(subjects) > 1:
        raise UserError(path, f"holds several subjects: {_listed(subjects)}", "keep the lines of one of them")
    return to_segments(path, (_interval(path, line, row) for line, row in rows), video, task)


def _rows(path: str | Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of every line below the header."""
    lines = read_text(path).split("\n")
    for delimiter in ",;\t":
        reader = csv.reader(lines, delimiter=delimiter)
        header: list[str] = []
        try:
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if header and any(cells):
                    yield reader.line_num, dict(zip(header, cells, strict=False))
                elif set(cells) >= _NEEDED:
                    header = cells
        except csv.Error as error:
            raise UserError(path, f"line {reader.line_num}: {error}", "export it again from BORIS") from error
        if header:
            return
    columns = ", ".join(sorted(_NEEDED))
    raise UserError(path, f"has no line with the columns {columns}", "export aggregated events from BORIS")


def _interval(path: str | Path, line: int, row: dict[str, str]) -> Interval:
    start = _number(path, line, row, "Start (s)")
    is_point = row.get("Behavior type", "") == "POINT"
    if not is_point and row.get("Behavior type", "") != "STATE":  # not said: a point is what has no stop
        is_point = row.get("Stop (s)", "") in _NO_STOP
    stop = None if is_point else _number(path, line, row, "Stop (s)")
    return Interval(line, row["Behavior"], start, stop)


def _number(path: str | Path, line: int, row: dict[str, str], column: str) -> float:
    text = row.get(column, "")
    try:
        return float(text.replace(",", "."))  # spreadsheets of many countries write a decimal comma
    except ValueError as error:
        raise UserError(path, f"line {line}: {column} is {quote(text)}", "write seconds there") from error


def _seconds(frame: int, video: Video) -> str:
    return f"{milliseconds(frame, video.fps) / 1000:.3f}"


def _listed(names: set[str]) -> str:
    return ", ".join(map(quote, sorted(names)[:5])) + (", ..." if len(names) > 5 else "")

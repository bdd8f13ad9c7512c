"""Annotation as ELAN and BORIS keep it: as stretches of time.

ELAN (Wittenburg et al. 2006) writes XML, format 3.0, with a tier for each tag; BORIS (Friard & Gamba 2016) a
table of "aggregated events", with a line for each stretch of a behaviour.

Frame ``i`` of a clip, counted from 0, is shown from ``i / fps`` seconds on; other tools keep that in
milliseconds. Up to 120 frames a second a frame is longer than 8 ms, so that half a millisecond of rounding
never leads to its neighbour, and what is written is read back exactly. Frames and times fit together in clips
of constant rate, which is what ``affkit convert`` makes.
"""

import csv
import math
import mimetypes
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.parsers import expat

from affkit.errors import UserError, quote
from affkit.files import existing_file, write_beside
from affkit.labelfiles.csv_text import read_text
from affkit_studio.annotate.session import EXCLUSIVE, LANES, ProjectVideo, Segment

_HALF_A_MILLISECOND = 0.0006  # and a little, against rounding of the last digit

_XML_SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TYPE = "tag"  # ELAN wants every tier to be of a "linguistic type"

# annotations with times of their own, and those that have the times of another
_REFERS = {
    "ALIGNABLE_ANNOTATION": ("TIME_SLOT_REF1", "TIME_SLOT_REF2"),
    "REF_ANNOTATION": ("ANNOTATION_REF",),
}

_BORIS_COLUMNS = (
    *("Observation id", "Observation date", "Media file", "Total length", "FPS", "Subject", "Behavior"),
    *("Behavioral category", "Modifiers", "Behavior type", "Start (s)", "Stop (s)", "Duration (s)"),
    *("Comment start", "Comment stop"),
)
_NEEDED = {"Behavior", "Start (s)", "Stop (s)"}  # to read a file
_NO_SUBJECT = "No focal subject"  # what BORIS says when nobody in particular was watched
_NO_STOP = {"", "NA", "NaN", "None"}


@dataclass(frozen=True)
class Interval:
    """What a line of a file says: a tag from ``start`` to ``stop``, in seconds.

    A stop of ``None`` makes it the one frame that is shown at ``start``.
    """

    line: int
    tag: str
    start: float
    stop: float | None

    def __str__(self) -> str:
        stop = "" if self.stop is None else f" to {self.stop:.3f}"
        return f"{quote(self.tag)} at {self.start:.3f}{stop} s (line {self.line})"


def milliseconds(frame: int, fps: float) -> int:
    """When a frame is first shown, in whole milliseconds; for ``fps`` up to 120, see :func:`frame_at`.

    >>> [milliseconds(frame, 30) for frame in range(4)]
    [0, 33, 67, 100]
    """
    return round(frame * 1000 / fps)


def frame_at(seconds: float, fps: float) -> int:
    """The frame that begins nearest to a time.

    >>> [frame_at(time, 30) for time in (0, 0.033, 0.067, 0.100)]
    [0, 1, 2, 3]
    """
    return round(seconds * fps)


# ELAN


def write_eaf(
    path: str | Path, video: ProjectVideo, task: str, segments: Sequence[Segment], annotator: str = ""
) -> None:
    """Write segments as an ELAN document, with a tier for each tag of the task, also for those not used.

    The clip is named relative to the folder of the file. Raises :class:`UserError` if the disk is full.
    """
    annotator = _NOT_IN_XML.sub("\ufffd", annotator)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    root = ElementTree.Element("ANNOTATION_DOCUMENT", AUTHOR=annotator, DATE=now, FORMAT="3.0", VERSION="3.0")
    root.set(_XML_SCHEMA, "http://www.mpi.nl/tools/elan/EAFv3.0.xsd")
    _add_header(root, Path(path), video, len(segments))
    order = ElementTree.SubElement(root, "TIME_ORDER")
    common = {"ANNOTATOR": annotator, "LINGUISTIC_TYPE_REF": _TYPE}
    tiers = {lane: ElementTree.SubElement(root, "TIER", TIER_ID=lane, **common) for lane in LANES[task]}
    times = []
    for i, segment in enumerate(segments, start=1):
        # Each end has a slot of its own: ELAN moves all annotations that share one together.
        first, second = f"ts{2 * i - 1}", f"ts{2 * i}"
        times += [(segment.start, first), (segment.stop, second)]
        holder = ElementTree.SubElement(tiers[segment.lane], "ANNOTATION")
        refs = {"ANNOTATION_ID": f"a{i}", "TIME_SLOT_REF1": first, "TIME_SLOT_REF2": second}
        annotation = ElementTree.SubElement(holder, "ALIGNABLE_ANNOTATION", refs)
        ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = segment.lane
    for frame, slot in sorted(times):
        time = str(milliseconds(frame, video.fps))
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=time)
    ElementTree.SubElement(
        root, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID=_TYPE, TIME_ALIGNABLE="true", GRAPHIC_REFERENCES="false"
    )
    ElementTree.indent(root, space="    ")
    with write_beside(path) as part:
        ElementTree.ElementTree(root).write(part, encoding="UTF-8", xml_declaration=True)


def _add_header(root: ElementTree.Element, path: Path, video: ProjectVideo, num_annotations: int) -> None:
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    try:
        media = Path(os.path.relpath(video.path, path.absolute().parent)).as_posix()
    except ValueError:  # another drive of Windows; ELAN looks beside the document too
        media = video.path.name
    media = _NOT_IN_XML.sub("\ufffd", media if media.startswith("..") else f"./{media}")
    kind = mimetypes.guess_type(video.path.name)[0] or "unknown"
    ElementTree.SubElement(
        header, "MEDIA_DESCRIPTOR", MEDIA_URL=media, RELATIVE_MEDIA_URL=media, MIME_TYPE=kind
    )
    counter = ElementTree.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId")
    counter.text = str(num_annotations)


def read_eaf(path: str | Path, video: ProjectVideo, task: str) -> list[Segment]:
    """The segments in an ELAN document whose tiers are called like the tags of the task.

    Tiers without annotations may be called anything. What is written inside an annotation does not count. An
    annotation that depends on another has its times. A time origin of the clip is added: ELAN's time 0 is
    there. Raises UserError, naming the line, if the XML is broken or not ELAN's, has a document type (nothing
    in it is then looked at), or what it says does not fit, see :func:`_to_segments`.
    """
    return _to_segments(path, _EafReader(existing_file(path)).intervals(video.path), video, task)


class _EafReader:
    """Collects time slots and annotations while expat goes through a document.

    ElementTree would be shorter, but forgets the lines that messages should name. Expat fetches nothing by
    itself; entities can be declared in a document type only, which ELAN never writes and we refuse unread.
    """

    def __init__(self, path: Path):
        self.path = path
        self.times: dict[str, str | None] = {}  # milliseconds by id of the slot
        self.media: list[tuple[str, float]] = []  # name of a clip, and its time in s when ELAN's is 0
        # annotations by id: line, tier, and two slots, or the one it depends on
        self.found: dict[str, tuple[int, str, tuple[str | None, ...]]] = {}
        self.tier = ""
        self.is_eaf = False
        self.parser = expat.ParserCreate()
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser.StartElementHandler = self._start
        try:
            self.parser.Parse(path.read_bytes(), True)
        except expat.ExpatError as error:
            problem = f"line {error.lineno}: is not sound XML ({expat.ErrorString(error.code)})"
            raise UserError(path, problem, "export it again from ELAN") from error

    def intervals(self, clip: Path) -> Iterator[Interval]:
        origins = dict(reversed(self.media))
        origin = origins.get(clip.name, self.media[0][1] if len(self.media) == 1 else 0.0)
        for line, tier, slots in self.found.values():
            depends = set()
            while len(slots) == 1 and slots[0] in self.found and slots[0] not in depends:
                depends.add(slots[0])
                _, _, slots = self.found[slots[0]]
            times = [self.times.get(slot) for slot in slots]
            if len(times) != 2 or not all(time and re.fullmatch("[0-9]{1,12}", time) for time in times):
                problem = f"line {line}: an annotation of {quote(tier)} has no time"
                raise UserError(self.path, problem, "give it a start and an end in ELAN")
            start, stop = (int(time) / 1000 + origin for time in times)
            yield Interval(line, tier, start, stop)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self.is_eaf and name != "ANNOTATION_DOCUMENT":
            raise UserError(self.path, f"is not an ELAN document but {quote(name)}", "give an .eaf file")
        self.is_eaf = True
        if name == "HEADER" and attributes.get("TIME_UNITS", "milliseconds") != "milliseconds":
            units = quote(attributes["TIME_UNITS"])
            raise self._fault(f"times are in {units}", "save it with milliseconds")
        if name == "TIME_SLOT":
            self.times[attributes.get("TIME_SLOT_ID", "")] = attributes.get("TIME_VALUE")
        elif name == "TIER":
            self.tier = attributes.get("TIER_ID", "").strip()
        elif name == "MEDIA_DESCRIPTOR":
            clip = PurePosixPath(
                unquote(attributes.get("RELATIVE_MEDIA_URL") or attributes.get("MEDIA_URL", ""))
            )
            origin = attributes.get("TIME_ORIGIN", "0")
            if not re.fullmatch("-?[0-9]{1,12}", origin):
                raise self._fault(f"the time origin is {quote(origin)}", "set the offset again in ELAN")
            self.media.append((clip.name, int(origin) / 1000))
        elif name in _REFERS:
            slots = tuple(attributes.get(key) for key in _REFERS[name])
            key = attributes.get("ANNOTATION_ID", f"line {self.parser.CurrentLineNumber}")
            self.found[key] = self.parser.CurrentLineNumber, self.tier, slots

    def _refuse_doctype(self, *declared) -> None:
        raise self._fault("holds a document type, which ELAN does not write", "delete the line")

    def _fault(self, problem: str, fix: str) -> UserError:
        return UserError(self.path, f"line {self.parser.CurrentLineNumber}: {problem}", fix)


# BORIS


def write_boris(path: str | Path, video: ProjectVideo, segments: Sequence[Segment]) -> None:
    """Write segments as aggregated events, comma-separated, times in seconds with three decimals.

    Raises :class:`UserError` if the disk is full.
    """

    def seconds(start: int, stop: int) -> str:
        return f"{(milliseconds(stop, video.fps) - milliseconds(start, video.fps)) / 1000:.3f}"

    always = {
        "Observation id": video.name,
        "Media file": video.path.name,
        "Total length": seconds(0, video.num_frames),
        "FPS": f"{video.fps:.3f}",
        "Subject": _NO_SUBJECT,
        "Behavior type": "STATE",
    }
    with write_beside(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _BORIS_COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for one in segments:
            times = {"Start (s)": seconds(0, one.start), "Stop (s)": seconds(0, one.stop)}
            times["Duration (s)"] = seconds(one.start, one.stop)
            writer.writerow(always | {"Behavior": one.lane} | times)


def read_boris(path: str | Path, video: ProjectVideo, task: str) -> list[Segment]:
    """The segments in aggregated events of BORIS, whose behaviours are called like the tags of the task.

    Columns are found by name, below any lines of another kind; cells are separated by commas, semicolons or
    tabs. A point event is one frame. Of several observations in a file that with the name of the video
    counts. Raises UserError, naming the line, if a time is missing, the file is about several subjects or
    about other videos, or what it says does not fit, see :func:`_to_segments`.
    """
    rows = list(_boris_rows(path))
    observations = {row.get("Observation id", "") for _, row in rows}
    if len(observations) > 1:
        if video.name not in observations:
            problem = f"holds no observation {quote(video.name)}, only {_listed(observations)}"
            raise UserError(path, problem, "rename the one that belongs to the video")
        rows = [(line, row) for line, row in rows if row.get("Observation id") == video.name]
    subjects = {row.get("Subject", "") for _, row in rows}
    if len(subjects) > 1:
        raise UserError(path, f"holds several subjects: {_listed(subjects)}", "keep the lines of one of them")
    return _to_segments(path, (_boris_interval(path, line, row) for line, row in rows), video, task)


def _boris_rows(path: str | Path) -> Iterator[tuple[int, dict[str, str]]]:
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


def _boris_interval(path: str | Path, line: int, row: dict[str, str]) -> Interval:
    def seconds(column: str) -> float:
        text = row.get(column, "")
        try:
            return float(text.replace(",", "."))  # spreadsheets of many countries write a decimal comma
        except ValueError as error:
            problem = f"line {line}: {column} is {quote(text)}"
            raise UserError(path, problem, "write seconds there") from error

    kind = row.get("Behavior type", "")
    # where the kind is not said, a point is what has no stop
    is_point = kind == "POINT" or (kind != "STATE" and row.get("Stop (s)", "") in _NO_STOP)
    return Interval(line, row["Behavior"], seconds("Start (s)"), None if is_point else seconds("Stop (s)"))


def _listed(names: set[str]) -> str:
    return ", ".join(map(quote, sorted(names)[:5])) + (", ..." if len(names) > 5 else "")


# Times to frames


def _to_segments(
    path: str | Path, intervals: Iterable[Interval], video: ProjectVideo, task: str
) -> list[Segment]:
    """Segments of a task from the intervals in the file ``path``, in time order.

    What is shorter than a frame becomes the frame it begins in. Raises UserError, naming the line of a tag
    that the task does not have or a time outside the clip, or the two lines of tags that overlap although
    they exclude each other.
    """
    placed = [(_segment(path, interval, video, task), interval) for interval in intervals]
    placed.sort(key=lambda pair: (pair[0].start, pair[0].stop))
    if task in EXCLUSIVE:
        before, first = Segment("", 0, 0), None  # what reaches furthest so far
        for segment, interval in placed:
            if segment.start < before.stop and segment.lane != before.lane:
                fix = "a frame has one expression: shorten one of them"
                raise UserError(path, f"{first} overlaps {interval}", fix)
            if segment.stop > before.stop:
                before, first = segment, interval
    return [segment for segment, _ in placed]


def _segment(path: str | Path, interval: Interval, video: ProjectVideo, task: str) -> Segment:
    if interval.tag not in LANES[task]:
        problem = f"line {interval.line}: there is no tag {quote(interval.tag)}"
        raise UserError(path, problem, f"rename or delete it; the tags are {', '.join(LANES[task])}")
    first, last = interval.start, interval.start if interval.stop is None else interval.stop
    duration = video.num_frames / video.fps
    # a clip's length is known to a frame at best, and tools differ in where the last one ends
    if not all(math.isfinite(time) and 0 <= time <= duration + 1 / video.fps for time in (first, last)):
        problem = f"{interval} is not in the clip, which lasts {duration:.3f} s"
        raise UserError(path, problem, "correct the time")
    if last < first:
        raise UserError(path, f"{interval} stops before it starts", "correct the times")
    start, stop = (min(frame_at(time, video.fps), video.num_frames) for time in (first, last))
    if start == stop:
        shown = math.floor((interval.start + _HALF_A_MILLISECOND) * video.fps)
        start = min(shown, video.num_frames - 1)
        stop = start + 1
    return Segment(interval.tag, start, stop)

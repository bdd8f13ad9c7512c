"""Annotation as ELAN and BORIS keep it: as stretches of time.

ELAN (Wittenburg et al. 2006) writes XML, format 3.0, with a tier for each tag; BORIS (Friard & Gamba 2016) a
table of "aggregated events", with a line for each stretch of a behaviour.

Frame ``i`` of a clip, counted from 0, is shown from ``i / fps`` seconds on; other tools keep that in
milliseconds. Up to 120 frames a second a frame is longer than 8 ms, so that half a millisecond of rounding
never leads to its neighbour, and what is written is read back exactly. Frames and times fit together in clips
of constant rate, which is what ``affkit convert`` makes.

pympi-ling 1.71 reads what we write, and we read what it writes; tests show both. It cannot replace our
reader: its errors name no line (``KeyError: 'ts9'``), it leaves the time origin to its caller, has ``None``
for the time of a slot without one, takes frames for milliseconds, and reads on after a document type.
"""

import csv
import math
import mimetypes
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
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
_NOTHING = {"", "NA", "NaN", "None"}
_PLAYER = re.compile(r"\|?\s*player #[0-9]+:\s*")  # stands before the media of each player


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

    Tiers without annotations may be called anything. What is written inside an annotation does not count.
    Annotations that depend on the same one divide its time evenly, as do those between two slots with a
    time; ELAN draws them so. The clip's time origin, where ELAN's time 0 is, is added. Raises UserError,
    naming the line, if the XML is broken or not ELAN's, has a document type (nothing in it is then looked
    at), does not say which of several media the clip is, or what it says does not fit, see
    :func:`_to_segments`.
    """
    return _to_segments(path, _EafReader(existing_file(path)).intervals(video.path), video, task)


class _EafReader:
    """Collects time slots and annotations while expat goes through a document.

    ElementTree would be shorter, but forgets the lines that messages should name. Expat fetches nothing by
    itself; entities can be declared in a document type only, which ELAN never writes and we refuse unread.
    """

    def __init__(self, path: Path):
        self.path = path
        self.times: dict[str, float] = {}  # milliseconds by id of the slot, if it has a time
        self.media: list[tuple[str, int]] = []  # name of a clip, and its time in ms when ELAN's is 0
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
        names = [name for name, _ in self.media]
        which = _index_of(clip, names)
        if which is None and names:
            problem = f"is about several media, and which of them is {quote(clip.name)} is not clear"
            raise UserError(self.path, f"{problem}: {_listed(set(names))}", "link only that one in ELAN")
        origin = 0 if which is None else self.media[which][1]
        self._space_evenly()
        parts: dict[tuple[str, str | None], list[str]] = defaultdict(list)  # by tier and what they depend on
        for key, (_, tier, refs) in self.found.items():
            if len(refs) == 1:
                parts[tier, refs[0]].append(key)
        for key, (line, tier, refs) in self.found.items():
            way = {}  # up to an annotation with slots, each with all that share what it depends on
            while len(refs) == 1 and key not in way:
                way[key] = parts[self.found[key][1], refs[0]]
                key = refs[0]
                refs = self.found[key][2] if key in self.found else ()
            if len(refs) != 2 or not self.times.keys() >= set(refs):
                problem = f"line {line}: an annotation of {quote(tier)} has no time"
                raise UserError(self.path, problem, "give it a start and an end in ELAN")
            start, stop = (self.times[slot] for slot in refs)
            for key, siblings in reversed(way.items()):
                length = (stop - start) / len(siblings)
                start += siblings.index(key) * length
                stop = start + length
            yield Interval(line, tier, (start + origin) / 1000, (stop + origin) / 1000)

    def _space_evenly(self) -> None:
        """Give a time to the slots without one that lie between two with a time on a tier."""
        tiers: dict[str, dict[str | None, str | None]] = defaultdict(dict)
        for _, tier, refs in self.found.values():
            if len(refs) == 2:
                tiers[tier][refs[0]] = refs[1]
        for following in tiers.values():
            for first in following.keys() & self.times.keys():
                run = [first, following[first]]
                while run[-1] not in self.times and run[-1] in following and len(run) <= len(following):
                    run.append(following[run[-1]])
                if run[-1] in self.times:
                    step = (self.times[run[-1]] - self.times[first]) / (len(run) - 1)
                    self.times |= {slot: self.times[first] + i * step for i, slot in enumerate(run[1:-1], 1)}

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self.is_eaf and name != "ANNOTATION_DOCUMENT":
            raise UserError(self.path, f"is not an ELAN document but {quote(name)}", "give an .eaf file")
        self.is_eaf = True
        if name == "HEADER" and attributes.get("TIME_UNITS", "milliseconds") != "milliseconds":
            units = quote(attributes["TIME_UNITS"])
            raise self._fault(f"times are in {units}", "save it with milliseconds")
        if name == "TIME_SLOT":
            if "TIME_VALUE" in attributes:
                self.times[attributes.get("TIME_SLOT_ID", "")] = self._milliseconds(attributes["TIME_VALUE"])
        elif name == "TIER":
            self.tier = attributes.get("TIER_ID", "").strip()
        elif name == "MEDIA_DESCRIPTOR":
            clip = PurePosixPath(
                unquote(attributes.get("RELATIVE_MEDIA_URL") or attributes.get("MEDIA_URL", ""))
            )
            self.media.append((clip.name, self._milliseconds(attributes.get("TIME_ORIGIN", "0"))))
        elif name in _REFERS:
            slots = tuple(attributes.get(key) for key in _REFERS[name])
            key = attributes.get("ANNOTATION_ID", f"line {self.parser.CurrentLineNumber}")
            if key in self.found:
                raise self._fault(f"there is another annotation {quote(key)}", "give each an id of its own")
            self.found[key] = self.parser.CurrentLineNumber, self.tier, slots

    def _milliseconds(self, text: str) -> int:
        if not re.fullmatch("-?[0-9]{1,12}", text):
            raise self._fault(f"a time is {quote(text)}", "set it again in ELAN")
        return int(text)

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
    tabs. A point event is one frame. Of several observations that with the name of the video counts, else
    that with the video among its media. Of media that follow each other the video's part counts; a time
    offset is taken off. Raises UserError, naming the line, if a time is missing, the file is about several
    subjects or does not say when the video begins, or what it says does not fit, see :func:`_to_segments`.
    """
    rows = list(_boris_rows(path))
    observations = {row.get("Observation id", ""): _boris_media(row, video) for _, row in rows}
    if len(observations) > 1:
        # the empty name stands for "none of them"
        about = [one for one in observations if one == video.name] or [
            one for one, players in observations.items() if _index_of(video.path, ["", *sum(players, [])])
        ]
        if len(about) != 1:
            listed = _listed({*observations})
            problem = f"which observation is about {quote(video.name)} is not clear: {listed}"
            raise UserError(path, problem, "give the one of the video its name")
        rows = [(line, row) for line, row in rows if row.get("Observation id") == about[0]]
    said = [(row, one) for line, row in rows if (one := _boris_interval(path, line, row, video))]
    subjects = {row.get("Subject", "") for row, _ in said}
    if len(subjects) > 1:
        raise UserError(path, f"holds several subjects: {_listed(subjects)}", "keep the lines of one of them")
    return _to_segments(path, (one for _, one in said), video, task)


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


def _boris_interval(path: str | Path, line: int, row: dict[str, str], video: ProjectVideo) -> Interval | None:
    """What a line says in the video's times; None if it is about other media."""
    start = _seconds(path, line, "Start (s)", row["Start (s)"])
    kind = row.get("Behavior type", "")
    # where the kind is not said, a point is what has no stop
    is_point = kind == "POINT" or (kind != "STATE" and row.get("Stop (s)", "") in _NOTHING)
    stop = start if is_point else _seconds(path, line, "Stop (s)", row.get("Stop (s)", ""))
    first, begin, end, last = _boris_times(path, line, row, video)
    if first <= start <= last:  # else it is in no medium at all
        begins_here = begin <= start < end or start == end == last
        start, stop = max(start, begin), min(stop, end)
        # times are rounded: less than half a frame of what began in the medium before is not about this one
        if not begins_here and stop - start < 0.5 / video.fps:
            return None
    return Interval(line, row["Behavior"], start - begin, None if is_point else stop - begin)


def _boris_times(
    path: str | Path, line: int, row: dict[str, str], video: ProjectVideo
) -> tuple[float, float, float, float]:
    """In a line's times: when the first medium begins, the video begins and ends, and the last medium ends.

    Media of a player follow each other. Times are those of the first player, with the time offset added.
    """
    offset = row.get("Time offset (s)", "")
    first = 0.0 if offset in _NOTHING else _seconds(path, line, "Time offset (s)", offset)
    queue, *others = _boris_media(row, video)
    media = sum(others, queue)
    which, name = _index_of(video.path, media), quote(video.path.name)
    if which is None:
        problem = f"line {line}: which of its media is {name} is not clear: {_listed({*media})}"
        raise UserError(path, problem, "export the observation of this video")
    if which >= len(queue):
        problem = f"line {line}: {name} is not in player #1, and BORIS does not export its offset"
        fix = "in BORIS make it player #1, that offset the time offset, and export again"
        raise UserError(path, problem, fix)
    if len(queue) == 1:
        return first, first, math.inf, math.inf
    column = "Media duration (s)"
    lengths = [one for one in row.get(column, "").split("|")[0].split(";") if one.strip() not in _NOTHING]
    if len(lengths) != len(queue):  # older versions do not tell them
        if which > 0:
            problem = f"line {line}: does not say how long the media before {name} last"
            raise UserError(path, problem, f"export it with the column {column!r}, as BORIS 8 does")
        return first, first, first + video.num_frames / video.fps, math.inf
    numbers = (_seconds(path, line, column, one) for one in lengths)
    edges = [round(edge, 3) for edge in accumulate(numbers, initial=first)]
    return edges[0], edges[which], edges[which + 1], edges[-1]


def _boris_media(row: dict[str, str], video: ProjectVideo) -> list[list[str]]:
    """The media of each player in a line, as in ``player #1:a.mp4;b.mp4|player #2:c.mp4`` or ``a.mp4``."""
    text = row.get("Source") or row.get("Media file", "")
    if text == video.path.name:  # ours, whatever is in its name
        return [[text]]
    players = [[one.strip() for one in part.split(";") if one.strip()] for part in _PLAYER.split(text)]
    return [media for media in players if media] or [[text]]


def _seconds(path: str | Path, line: int, column: str, text: str) -> float:
    try:
        return float(text.replace(",", "."))  # spreadsheets of many countries write a decimal comma
    except ValueError as error:
        problem = f"line {line}: {column} is {quote(text)}"
        raise UserError(path, problem, "write seconds there") from error


def _index_of(clip: Path, media: Sequence[str]) -> int | None:
    """Which of the media is the clip: that with its name, else with another suffix, else the only one."""
    paths = [PurePosixPath(unicodedata.normalize("NFC", one.replace("\\", "/"))) for one in media]
    own = PurePosixPath(unicodedata.normalize("NFC", clip.name))
    for found in ([one.name == own.name for one in paths], [one.stem == own.stem for one in paths]):
        if sum(found) == 1:
            return found.index(True)
    return 0 if len(media) == 1 else None


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

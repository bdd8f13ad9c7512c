"""Annotation documents of ELAN (Wittenburg et al. 2006), format 3.0: XML with a tier for each tag."""

import mimetypes
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from affkit.errors import UserError
from affkit.files import existing_file, write_beside
from affkit.labelfiles.csv_text import quote
from affkit_studio.annotate.intervals import Interval, milliseconds, to_segments
from affkit_studio.annotate.session import Video
from affkit_studio.annotate.timeline import LANES, Segment

_XML_SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TYPE = "tag"  # ELAN wants every tier to be of a "linguistic type"


def write_eaf(
    path: str | Path, video: Video, task: str, segments: Sequence[Segment], annotator: str = ""
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
    tiers = {
        lane: ElementTree.SubElement(
            root, "TIER", TIER_ID=lane, ANNOTATOR=annotator, LINGUISTIC_TYPE_REF=_TYPE
        )
        for lane in LANES[task]
    }
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


def read_eaf(path: str | Path, video: Video, task: str) -> list[Segment]:
    """The segments in an ELAN document whose tiers are called like the tags of the task.

    Tiers without annotations may be called anything. What is written inside an annotation does not count.

    Raises
    ------
    UserError
        Naming the line, if the XML is broken or not ELAN's, has a document type (nothing in it is then
        looked at), or see :func:`~affkit_studio.annotate.intervals.to_segments`.
    """
    return to_segments(path, _EafReader(existing_file(path)).intervals(), video, task)


def _add_header(root: ElementTree.Element, path: Path, video: Video, num_annotations: int) -> None:
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


class _EafReader:
    """Collects time slots and annotations while expat goes through a document.

    ElementTree would be shorter, but forgets the lines that messages should name. Expat fetches nothing by
    itself; entities can be declared in a document type only, which ELAN never writes and we refuse unread.
    """

    def __init__(self, path: Path):
        self.path = path
        self.times: dict[str, str | None] = {}  # milliseconds by id of the slot
        self.found: list[tuple[int, str, str | None, str | None]] = []  # line, tier, slots
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

    def intervals(self) -> Iterator[Interval]:
        for line, tier, *slots in self.found:
            times = [self.times.get(slot) for slot in slots]
            if not all(time and re.fullmatch("[0-9]{1,12}", time) for time in times):
                problem = f"line {line}: an annotation of {quote(tier)} has no time"
                raise UserError(self.path, problem, "give it a start and an end in ELAN")
            start, stop = (int(time) / 1000 for time in times)
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
        elif name == "ALIGNABLE_ANNOTATION":
            slots = attributes.get("TIME_SLOT_REF1"), attributes.get("TIME_SLOT_REF2")
            self.found.append((self.parser.CurrentLineNumber, self.tier, *slots))

    def _refuse_doctype(self, *declared) -> None:
        raise self._fault("holds a document type, which ELAN does not write", "delete the line")

    def _fault(self, problem: str, mend: str) -> UserError:
        return UserError(self.path, f"line {self.parser.CurrentLineNumber}: {problem}", mend)

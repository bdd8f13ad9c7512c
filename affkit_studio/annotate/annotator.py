"""The annotation tool (Section III.B): a page in the notebook, over a project file that keeps every change.

Annotators watch a clip and say when each of eight action units is seen, or which of seven expressions; they
choose a range of time or single frames. The page is ``annotator.js``; here is what answers it. Frames are
0-based on both sides and ranges half open; people read 1-based numbers.
"""

import sqlite3
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import astuple
from datetime import datetime
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from affkit.errors import UserError
from affkit.labels import ACTION_UNIT_NAMES, Labels
from affkit.video.video import Video
from affkit_studio.annotate.import_export import export_annotation, export_name
from affkit_studio.annotate.project import Project
from affkit_studio.annotate.session import AnnotationSession, Segment, runs
from affkit_studio.page_widget import PageWidget, Reply, encode_picture, one_module

MAX_WIDTH, MAX_HEIGHT = 960, 720
"""Largest picture that is sent to the page, in pixels."""

JPEG_QUALITY = 80
"""Hardly told from the frame itself; 30 to 100 kB for a picture of 960 x 540."""

EXPORTS = {"abaw": "ABAW text", "table": "table (CSV)", "eaf": "ELAN", "boris": "BORIS"}
"""Format of :mod:`affkit_studio.annotate.import_export` to its name in the menu."""

_PARTS = ("../page.js", "annotator_player.js", "annotator_timeline.js", "annotator_layout.js", "annotator.js")
PAGE = [Path(__file__).parent / name for name in _PARTS]
"""The parts of the page, in the order in which they are put together."""


class AnnotationDesk:
    """What the page asks and what it is told: about an open clip and the annotation of one annotator.

    Exports go into ``folder`` and nowhere else. Raises UserError if the traces, see :func:`annotator`, are
    not as long as the clip.
    """

    def __init__(self, video: Video, session: AnnotationSession, folder: Path, traces: Labels | None = None):
        if traces is not None and len(traces) != len(video):
            problem = f"has {len(video)} frames, but the labels have {len(traces)}"
            raise UserError(video.path, problem, "give the labels of this clip, one row a frame")
        self.video, self.session, self.folder, self.traces = video, session, folder, traces
        self._stack = ExitStack()
        self._answers: dict[str, Callable[[dict], Reply]] = {
            "open": self._open,
            "frame": self._frame,
            "poll": self._poll,
            "export": self._export,
            **dict.fromkeys(("mark", "clear", "undo", "redo", "accept"), self._edit),
        }

    @classmethod
    def open(
        cls,
        video: str | Path,
        project: Path,
        annotator_name: str,
        task: str,
        traces: Labels | None = None,
        reviewer: str | None = None,
    ) -> "AnnotationDesk":
        """Open the clip and the project file; the parameters are those of :func:`annotator`."""
        with ExitStack() as stack:
            clip = stack.enter_context(Video(video))
            opened = stack.enter_context(Project.open(project))
            session = opened.session(opened.add_video(clip).name, annotator_name, task, reviewer)
            desk = cls(clip, session, opened.path.parent, traces)
            desk._stack = stack.pop_all()
        return desk

    def close(self) -> None:
        """Close what :meth:`open` opened."""
        self._stack.close()

    def handle(self, message: dict, buffers: Sequence[bytes] = ()) -> Reply:
        """Answer one message; what the user can fix, and what the disk refuses, is a line under "error"."""
        try:
            reply, pictures = self._answers[message["kind"]](message)
        except (UserError, OSError, sqlite3.Error) as error:
            reply, pictures = {"error": " ".join(str(error).split())}, []
        return reply | {"kind": message["kind"], "token": message["token"]}, pictures

    def _open(self, message: dict) -> Reply:
        video, session = self.video, self.session
        facts = {
            "video": session.video.name,
            "annotator": session.annotator,
            "task": session.task,
            "num_frames": len(video),
            "fps": float(video.fps),
            "width": video.width,
            "height": video.height,
            "lanes": [{"name": name, "title": ACTION_UNIT_NAMES.get(name, "")} for name in session.lanes],
            "exports": list(EXPORTS.items()),
        }
        buffers = []
        if self.traces is not None:
            unknown = np.float32(np.nan)
            for values in (self.traces.valence, self.traces.arousal):
                buffers.append(np.where(self.traces.has_va, values, unknown).astype("<f4").tobytes())
        return {"facts": facts, "state": self._state()}, buffers

    def _frame(self, message: dict) -> Reply:
        number = min(max(int(message["number"]), 0), len(self.video) - 1)
        return {"number": number}, [jpeg(self.video.frame(number))]

    def _poll(self, message: dict) -> Reply:
        """Whether somebody else wrote; also how the page learns that the kernel lives."""
        return ({} if self.session.revision() == message["revision"] else {"state": self._state()}), []

    def _edit(self, message: dict) -> Reply:
        session, kind = self.session, message["kind"]
        if kind in ("undo", "redo"):
            changed = session.undo() if kind == "undo" else session.redo()
            return ({"saved": _now()} if changed else {}) | {"state": self._state()}, []
        lane, start, stop = message["lane"], message["start"], message["stop"]
        if kind == "accept":
            session.review(Segment(lane, start, stop), "accept", message["comment"])
        else:
            if message.get("changing"):  # said in the second pass, and kept with this edit
                *segment, comment = message["changing"]
                session.review(Segment(*segment), "change", comment)
            (session.mark if kind == "mark" else session.clear)(lane, start, stop)
        return {"saved": _now(), "state": self._state()}, []  # reached only when the change is on the disk

    def _export(self, message: dict) -> Reply:
        name = export_name(self.session, message["format"])
        export_annotation(self.session, self.folder / name, message["format"])
        return {"exported": name}, []

    def _state(self) -> dict:
        session, lanes = self.session, self.session.lanes
        return {
            "revision": session.revision(),
            "segments": _plain(session.segments()),
            "unreviewed": _plain(session.unreviewed()),
            "reviews": len(session.reviews()),
            "others": [[who, _plain(runs(state, lanes))] for who, state in session.others().items()],
            "can_undo": session.can_undo,
            "can_redo": session.can_redo,
        }


class AnnotationTool(PageWidget):
    """The page of an :class:`AnnotationDesk`, which is closed with it, at the latest when Python exits."""

    _esm = one_module(PAGE)
    _css = Path(__file__).with_name("annotator.css")

    def __init__(self, desk: AnnotationDesk):
        super().__init__(desk)
        # Not left to `__del__`: of an open widget that comes when most of Python has gone already.
        self._close_desk = weakref.finalize(self, desk.close)

    def close(self) -> None:
        """Remove the page and close the clip and the project file; may be called twice."""
        with self._turn:
            self._close_desk()
        super().close()


def annotator(
    video: str | Path,
    project: Project | str | Path,
    annotator_name: str,
    task: Literal["au", "expression"] = "au",
    traces: Labels | None = None,
    reviewer: str | None = None,
) -> AnnotationTool:
    """The annotation tool for one clip, which joins the project if it is new there; press ``?`` for its keys.

    The project may be the path of its file, which is made if it is not there. The tool opens the file for
    itself: what it saves is seen in ``project`` at once, and the other way round. Each annotator has a layer
    of their own. Task "au" has eight action units that are independent of each other, "expression" seven
    tags of which one at most holds in a frame. The valence and arousal of ``traces``, labels of the clip, are
    drawn above the lanes. A ``reviewer`` is at the keyboard instead of the annotator: the second pass keeps
    that name.
    """
    path = project.path if isinstance(project, Project) else Path(project)
    return AnnotationTool(AnnotationDesk.open(video, path, annotator_name, task, traces, reviewer))


def jpeg(picture: np.ndarray) -> bytes:
    """An ``(H, W, 3)`` uint8 RGB picture as JPEG bytes, at most ``MAX_WIDTH`` x ``MAX_HEIGHT``.

    >>> data = jpeg(np.zeros((1080, 1920, 3), np.uint8))
    >>> cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape
    (540, 960, 3)
    """
    height, width = picture.shape[:2]
    scale = min(1, MAX_WIDTH / width, MAX_HEIGHT / height)
    if scale < 1:
        size = max(1, round(scale * width)), max(1, round(scale * height))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return encode_picture(picture, ".jpg", (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))


def _now() -> str:
    return f"{datetime.now():%H:%M:%S}"


def _plain(segments: list[Segment]) -> list[tuple[str, int, int]]:
    return [astuple(segment) for segment in segments]

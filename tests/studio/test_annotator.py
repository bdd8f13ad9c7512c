"""What answers the page of the annotation tool, without a browser."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest
from annotators import NUM_FRAMES
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refuses, run_affkit
from videos import read_number

from affkit.labels import ACTION_UNIT_NAMES, ACTION_UNITS, EXPRESSIONS, Labels
from affkit_studio.annotate.annotator import PAGE, AnnotationDesk, annotator, jpeg
from affkit_studio.annotate.import_export import SUFFIXES
from affkit_studio.annotate.project import Project


@pytest.fixture
def ask(tmp_path, clip):
    """``ask(kind, **what)`` is what Ada's desk answers the page; ``ask.buffers`` are the pictures with it."""
    shutil.copy(clip, tmp_path / "clip.mp4")
    desk = AnnotationDesk.open(tmp_path / "clip.mp4", tmp_path / "faces.affkit", "Ada", "au")

    def ask(kind, **what):
        reply, buffers = desk.handle({"kind": kind, "token": "t", **what})
        reply = json.loads(json.dumps(reply))
        assert reply.pop("kind") == kind and reply.pop("token") == "t"
        ask.buffers = buffers
        return reply

    yield ask
    desk.close()


def segments(reply):
    return [tuple(segment) for segment in reply["state"]["segments"]]


def test_opening_tells_what_the_page_needs(ask):
    facts = ask("open")["facts"]
    assert (facts["num_frames"], facts["fps"], facts["width"], facts["height"]) == (NUM_FRAMES, 30, 64, 48)
    names = {lane["name"]: lane["title"] for lane in facts["lanes"]}
    assert list(names.items()) == list(ACTION_UNIT_NAMES.items()) and tuple(names) == ACTION_UNITS
    assert ask.buffers == []


def test_traces_have_gaps_where_nothing_is_labelled_and_are_of_this_clip(tmp_path, clip):
    valence = np.linspace(-1, 1, NUM_FRAMES, dtype=np.float32)
    labels = replace(Labels.empty(NUM_FRAMES), valence=valence, has_va=np.arange(NUM_FRAMES) >= 10)
    desk = AnnotationDesk.open(clip, tmp_path / "p.affkit", "Ada", "expression", labels)
    reply, buffers = desk.handle({"kind": "open", "token": 0})
    desk.close()
    shown = np.frombuffer(buffers[0], "<f4")
    assert np.isnan(shown[:10]).all() and np.array_equal(shown[10:], valence[10:])
    assert not np.frombuffer(buffers[1], "<f4")[10:].any()
    assert [lane["name"] for lane in reply["facts"]["lanes"]] == list(EXPRESSIONS)
    words, project = "has 200 frames, but the labels have 39", tmp_path / "p.affkit"
    refuses(words, annotator, clip, project, "Ada", traces=Labels.empty(39))


def test_a_frame_is_the_picture_of_its_number(ask):
    for number, shown in ((0, 0), (17, 17), (NUM_FRAMES + 5, NUM_FRAMES - 1), (-1, 0)):
        assert ask("frame", number=number) == {"number": shown}
        picture = cv2.imdecode(np.frombuffer(ask.buffers[0], np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (48, 64, 3) and read_number(picture) == shown
        assert picture[2, 2, 2] > 200 > 100 > picture[2, 2, 0]  # red at the top left: channels in order


@given(st.integers(1, 2000), st.integers(1, 2000))
@settings(max_examples=10)
def test_pictures_for_the_page_are_small_and_keep_their_shape(width, height):
    sent = cv2.imdecode(np.frombuffer(jpeg(np.zeros((height, width, 3), np.uint8)), np.uint8), 1)
    assert sent.shape[1] <= 960 and sent.shape[0] <= 720
    scale = min(1, 960 / width, 720 / height)
    assert abs(sent.shape[1] - scale * width) <= 1 and abs(sent.shape[0] - scale * height) <= 1


def test_edits_are_on_the_disk_when_they_are_called_saved(ask, tmp_path):
    reply = ask("mark", lane="AU12", start=3, stop=9)
    with Project.open(tmp_path / "faces.affkit") as other:  # as another program sees it
        found = [(s.lane, s.start, s.stop) for s in other.session("clip", "Ada", "au").segments()]
    assert found == segments(reply) == [("AU12", 3, 9)]
    assert len(reply["saved"].split(":")) == 3
    reply = ask("clear", lane="AU12", start=5, stop=6)
    assert segments(reply) == [("AU12", 3, 5), ("AU12", 6, 9)]
    assert (reply["state"]["can_undo"], reply["state"]["can_redo"]) == (True, False)
    assert segments(ask("undo")) == [("AU12", 3, 9)]
    assert segments(ask("redo")) == [("AU12", 3, 5), ("AU12", 6, 9)]
    assert "saved" not in ask("redo")  # there was nothing to redo


def test_somebody_else_wrote(ask, tmp_path):
    revision = ask("open")["state"]["revision"]
    assert ask("poll", revision=revision) == {}
    with Project.open(tmp_path / "faces.affkit") as other:
        other.session("clip", "Ada", "au").mark("AU1", 0, 2)
        other.session("clip", "<b>Grace</b>", "au").mark("AU2", 4, 7)
        other.session("clip", "Kim", "expression").mark("Fear", 0, 9)  # another task
    state = ask("poll", revision=revision)["state"]
    assert state["segments"] == [["AU1", 0, 2]]
    assert state["others"] == [["<b>Grace</b>", [["AU2", 4, 7]]]]
    assert ask("poll", revision=state["revision"]) == {}


def test_exports_stay_in_the_folder_of_the_project(tmp_path, clip):
    folder = tmp_path / "inside"
    folder.mkdir()
    desk = AnnotationDesk.open(clip, folder / "p.affkit", "../../<Ada>\n/etc", "au")
    desk.handle({"kind": "mark", "token": 0, "lane": "AU6", "start": 0, "stop": 4})
    replies = [desk.handle({"kind": "export", "token": 0, "format": format})[0] for format in SUFFIXES]
    desk.close()
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    exported = [folder / reply["exported"] for reply in replies]
    assert {*folder.iterdir()} == {folder / "p.affkit", *exported} and len(exported) == 4
    assert all(path.stat().st_size > 0 for path in exported)


def test_faults_are_one_line_and_what_was_saved_stays(ask, tmp_path):
    ask("mark", lane="AU1", start=0, stop=5)
    ask("open")
    assert "there is no tag 'AU99'" in ask("mark", lane="AU99", start=0, stop=5)["error"]
    assert "are not in it" in ask("mark", lane="AU1", start=0, stop=NUM_FRAMES + 1)["error"]
    (tmp_path / "clip.mp4").unlink()
    answers = [ask("frame", number=number) for number in range(NUM_FRAMES)]
    errors = [answer["error"] for answer in answers if "error" in answer]
    assert errors and all("no such file" in error and "\n" not in error for error in errors)
    reply = ask("mark", lane="AU2", start=0, stop=5)  # without pictures, annotation can still be saved
    assert "saved" in reply and segments(reply) == [("AU1", 0, 5), ("AU2", 0, 5)]
    (tmp_path / "faces.affkit").unlink()
    reply = ask("mark", lane="AU4", start=0, stop=5)
    assert "saved" not in reply and "not saved" in reply["error"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_project_that_becomes_read_only(ask, tmp_path):
    (tmp_path / "faces.affkit").chmod(0o444)
    tmp_path.chmod(0o555)
    reply = ask("mark", lane="AU4", start=0, stop=5)
    tmp_path.chmod(0o755)
    assert "saved" not in reply and "\n" not in reply["error"]


def test_the_widget_answers_from_whatever_thread_a_message_comes(tmp_path, clip, monkeypatch):
    tool = annotator(clip, tmp_path / "p.affkit", "Ada", "expression")
    sent = []
    monkeypatch.setattr(tool, "send", lambda reply, buffers: sent.append((reply, buffers)))
    for number in range(3):
        mark = {"kind": "mark", "token": number, "lane": "Fear", "start": number, "stop": number + 1}
        thread = threading.Thread(target=tool._handle_custom_msg, args=(mark, []))
        thread.start()
        thread.join()
    assert ["error" in reply for reply, _ in sent] == [False] * 3
    with Project.open(tmp_path / "p.affkit") as project:
        again = annotator(clip, project, "Ada", "expression")
        again.close()
        assert len(project.session("clip", "Ada", "expression").segments()) == 1
    tool.close()


OPEN_AND_EXIT = """
import sys
from affkit.errors import UserError
from affkit_studio.annotate.annotator import annotator

clip, project = sys.argv[1:]
tool = annotator(clip, project, "Ada")
tool.desk.session.mark("AU12", 3, 9)
try:
    annotator("none.mp4", project, "Ada")
except UserError as error:
    print(error)
"""


@pytest.mark.slow  # starts a Python
def test_python_exits_quietly_with_a_tool_open(tmp_path, clip):
    command = [sys.executable, "-c", OPEN_AND_EXIT, str(clip), str(tmp_path / "p.affkit")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr) == (0, "") and "none.mp4: no such file" in run.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["p.affkit"]  # closed: SQLite's log is gone
    with Project.open(tmp_path / "p.affkit") as project:
        assert len(project.session("clip", "Ada", "au").segments()) == 1


def test_the_page_fetches_nothing():
    source = "\n".join(path.read_text() for path in (*PAGE, PAGE[-1].with_suffix(".css")))
    for word in ("fetch(", "import ", "http", "url("):
        assert word not in source, word


def test_mistakes_on_the_command_line(tmp_path, clip, monkeypatch, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        project = ["--project", str(tmp_path / "p.affkit")]
        for arguments, message in [
            ([str(clip), *project, "--port", port], f"port {port}: cannot be used"),
            ([str(clip), *project, "--task", "smiles"], "smiles"),
        ]:
            code, _, error = run_affkit(monkeypatch, capsys, "annotate", "--no-browser", *arguments)
            assert code == 2 and message in error and error.count("\n") == 1

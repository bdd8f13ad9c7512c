"""Project files: nothing saved is lost, whatever happens to them; videos that vanish, names of every kind."""

import os
import random
import shutil
import signal
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import annotators
import numpy as np
import pytest
from annotators import NUM_FRAMES, hear_all, start
from refusals import refuses
from videos import write_numbered

from affkit_studio.annotate.project import APPLICATION_ID, VERSION, Project
from affkit_studio.annotate.session import Segment

HOSTILE = [
    "O'Hara", 'the "best"', "'; DROP TABLE step; --", "<script>alert(1)</script>", "../../etc/passwd", "a b",
    "two\nlines", "Ζωή 佐藤", "con", "nul\0byte", "%s{0}",
]  # fmt: skip
NEWER = f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {VERSION + 1}"


def is_sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        broken_references = db.execute("PRAGMA foreign_key_check").fetchall()
        return db.execute("PRAGMA integrity_check").fetchall() == [("ok",)] and not broken_references


# Several processes, killed or not


@pytest.mark.slow  # starts eight processes
def test_what_was_said_to_be_saved_survives_a_kill(project):
    chance, saved = random.Random(1), 0
    for _ in range(8):
        process, pipe = start(annotators.mark_until_killed, project.path, saved)
        heard = [pipe.recv() for _ in range(chance.randrange(1, 15))]
        time.sleep(chance.random() / 100)  # anywhere in the next one
        process.kill()
        heard += hear_all(pipe)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        with Project.open(project.path) as opened:
            state = opened.session("clip", "Ada", "au").state()
        count = int(state.sum())
        assert state[0, :count].all()  # no gap
        assert heard[-1] + 1 <= count <= heard[-1] + 2  # the last may be saved but not said
        saved = count
    assert is_sound(project.path)


def test_two_tools_at_once_lose_nothing(project):
    together = annotators.PROCESSES.Barrier(2)
    started = [
        start(annotators.mark_every_other, project.path, together, lane, first, 80)
        for lane, first in (("AU1", 0), ("AU2", 1))
    ]
    for process, pipe in started:
        assert hear_all(pipe) == ["done"]
        process.join()
    session = project.session("clip", "Ada", "au")
    expected = np.zeros((8, NUM_FRAMES), bool)
    expected[0, 0:160:2] = expected[1, 1:160:2] = True
    assert np.array_equal(session.state(), expected)
    assert len(session.history()) == 160 and is_sound(project.path)
    lanes = [edit.lane for edit in session.history()]
    assert 10 < sum(a != b for a, b in zip(lanes, lanes[1:], strict=False))  # they did take turns


def test_several_tools_make_the_project_at_the_same_time(tmp_path, clip):
    shutil.copy(clip, tmp_path / "clip.mp4")
    path = tmp_path / "new.affkit"
    started = [start(annotators.make_project, path) for _ in range(5)]
    assert [hear_all(pipe) for _, pipe in started] == [["au"]] * 5
    for process, _ in started:
        process.join()
    with Project.open(path) as project:
        assert len(project.annotators()) == 5 and len(project.videos()) == 1
    assert is_sound(path)


# Files that are not as they should be


def made_by_sql(*statements: str):
    def make(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            for statement in statements:
                db.execute(statement)

    return make


@pytest.mark.parametrize(("make", "expected"), [
    (lambda path: path.write_text("frame,label\n" * 200), "project"),
    (lambda path: path.write_text("x"), "project"),
    (made_by_sql("CREATE TABLE songs (name TEXT)"), "project"),
    (made_by_sql("PRAGMA application_id = 7"), "project"),
    (made_by_sql(*NEWER), "newer version"),
])  # fmt: skip
def test_a_file_that_is_something_else_is_left_as_it_is(tmp_path, make, expected):
    path = tmp_path / "other.affkit"
    make(path)
    before = path.read_bytes()
    refuses(expected, Project.open, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["other.affkit"]  # no journals left


def test_where_no_project_can_be(tmp_path):
    refuses("no such file", Project.open, tmp_path / "none.affkit", create=False)
    refuses("not a file", Project.open, tmp_path)
    (tmp_path / "file").write_text("")
    refuses("folder cannot be made", Project.open, tmp_path / "file" / "p.affkit")
    assert not (tmp_path / "none.affkit").exists()
    Project.open(tmp_path / "new folder" / "p.affkit").close()
    Project.open(tmp_path / "file").close()  # empty: of somebody who was killed while making it


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_read_only_folder_and_file():
    with tempfile.TemporaryDirectory() as name:  # tmp_path is closed to the user that root becomes
        folder = Path(name)
        Project.open(folder / "p.affkit").close()
        file = folder / "p.affkit"
        for closed, mode, expected in (
            (file, 0o444, "p.affkit: is read-only"), (folder, 0o555, "folder is read-only"),
        ):  # fmt: skip
            folder.chmod(0o777)
            file.chmod(0o666)
            closed.chmod(mode)
            process, pipe = start(annotators.try_to_open, file)
            (heard,) = hear_all(pipe)
            process.join()
            assert heard.startswith("UserError") and expected in heard
        folder.chmod(0o755)


@pytest.mark.parametrize("loss", ["deleted", "replaced", "folder"])
def test_a_project_that_vanishes_says_so_and_not_saved(project, tmp_path, loss):
    session = project.session("clip", "Ada", "au")
    session.mark("AU1", 0, 9)
    if loss == "folder":
        moved = shutil.move(tmp_path, tmp_path.with_name("moved"))
    else:
        project.path.unlink()
    if loss == "replaced":
        Project.open(project.path).close()
    refuses("the last change is not saved", session.mark, "AU2", 0, 9)
    if loss == "folder":
        shutil.move(moved, tmp_path)
        session.mark("AU4", 0, 9)  # it is back: go on
        assert [one.lane for one in session.segments()] == ["AU1", "AU4"]


def test_a_full_disk_is_told_and_leaves_what_was_saved(project):
    session = project.session("clip", "Ada", "au")
    session.mark("AU1", 0, 9)
    ((pages,),) = project.rows("PRAGMA page_count")
    project.rows(f"PRAGMA max_page_count = {pages}")  # SQLite's own way to have no room
    large = [Segment("AU2", i, i + 1) for i in range(0, NUM_FRAMES, 2)] * 20
    refuses(("disk is full", "not saved"), session.replace, large)
    assert session.segments() == [Segment("AU1", 0, 9)] and len(session.history()) == 1
    project.rows("PRAGMA max_page_count = 1000000")
    session.mark("AU2", 0, 9)
    assert len(session.segments()) == 2


def test_a_locked_project_is_told(project, monkeypatch):
    monkeypatch.setattr("affkit_studio.annotate.project.BUSY_SECONDS", 0.1)
    with Project.open(project.path) as impatient, project.writing():
        refuses("another program keeps it locked", impatient.add_video, project.videos()[0].path)


# Videos and names


def test_a_video_that_vanishes_stops_nobody(project, tmp_path):
    session = project.session("clip", "Ada", "au")
    assert not session.video.is_missing()
    (tmp_path / "clip.mp4").rename(tmp_path / "elsewhere.mp4")
    assert session.video.is_missing()
    session.mark("AU1", 0, 9)
    assert project.session("clip", "Ada", "au").labels().action_units[:, 0].sum() == 9
    (tmp_path / "sub").mkdir()
    (tmp_path / "elsewhere.mp4").rename(tmp_path / "sub" / "clip.mp4")
    found = project.add_video(tmp_path / "sub" / "clip.mp4")
    assert not found.is_missing() and len(project.videos()) == 1


def test_project_and_video_move_together(project, tmp_path):
    project.close()
    moved = shutil.move(tmp_path, tmp_path.with_name("on another disk"))
    with Project.open(Path(moved) / "faces.affkit") as opened:
        (video,) = opened.videos()
        assert video.path == Path(moved) / "clip.mp4" and not video.is_missing()
        assert (video.num_frames, video.fps, video.width, video.height) == (NUM_FRAMES, 30, 64, 48)


def test_a_video_is_added_once(project, tmp_path, clip):
    (known,) = project.videos()
    assert project.add_video(clip) == known  # the same name and length, elsewhere
    (tmp_path / "other").mkdir()
    other = write_numbered(tmp_path / "other" / "clip.mp4", 5, size=(64, 48))
    refuses(("another clip named 'clip'", f"{NUM_FRAMES} frames, not 5"), project.add_video, other)
    assert project.videos() == [known]


@pytest.mark.parametrize("name", HOSTILE)
def test_annotators_and_videos_may_have_any_name(project, tmp_path, clip, name):
    session = project.session("clip", name, "au")
    session.mark("AU1", 0, 9)
    with Project.open(project.path) as again:
        assert again.annotators() == [name]
        assert again.session("clip", name, "au").history()[0].who == name
        session.review(session.segments()[0], "accept", name)
        assert again.session("clip", name, "au").reviews()[0].comment == name
    assert is_sound(project.path)
    if not set(name) & set("/\0"):
        shutil.copy(clip, tmp_path / f"{name}.mp4")
        assert project.add_video(tmp_path / f"{name}.mp4").name == name
        other = project.session(name, "Ada", "au")
        other.mark("AU2", 0, 9)
        assert [video.name for video in project.videos()] == ["clip", name]
        assert not other.video.is_missing() and session.segments() == [Segment("AU1", 0, 9)]


def test_mistakes_are_one_line_and_change_nothing(project):
    session = project.session("clip", "Ada", "au")
    session.mark("AU1", 0, 9)
    (marked,) = session.segments()
    mistakes = {
        "no video 'film', only: 'clip'": lambda: project.session("film", "Ada", "au"),
        "no task 'va'": lambda: project.session("clip", "Ada", "va"),
        "no tag 'Fear'": lambda: session.mark("Fear", 0, 9),
        "no tag 'AU7'": lambda: session.clear("AU7", 0, 9),
        "no tag None": lambda: session.mark(None, 0, 9),
        "no tag 'AU5'": lambda: session.replace([Segment("AU1", 0, 9), Segment("AU5", 0, 9)]),
        "frames [9, 9)": lambda: session.mark("AU1", 9, 9),
        "frames [-1, 4)": lambda: session.clear(None, -1, 4),
        f"frames [0, {NUM_FRAMES + 1})": lambda: session.mark("AU1", 0, NUM_FRAMES + 1),
        "name is blank": lambda: project.session("clip", " ", "au"),
        "is not Unicode": lambda: project.session("clip", "\udcff", "au"),
        r"the comment '\udcff' is not Unicode": lambda: session.review(marked, "accept", "\udcff"),
        "no such file": lambda: project.add_video("none.mp4"),
    }
    for expected, mistake in mistakes.items():
        refuses(expected, mistake)
    assert session.segments() == [marked] and session.revision() == 1
    session.mark("AU2", np.int64(3), np.int32(5))  # NumPy's numbers are numbers
    assert session.segments()[1] == Segment("AU2", 3, 5) and project.annotators() == ["Ada"]

"""Projects of annotations: what is saved is never lost; undo, reviews, several tools at once."""

import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import stat
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import annotators
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from strategies import any_labels
from videos import write_numbered

from affkit.data.edits import Segment, from_labels, runs, to_labels
from affkit.data.project import Project
from affkit.data.projectfile import APPLICATION_ID, VERSION
from affkit.errors import UserError
from affkit.labels import ACTION_UNITS, EXPRESSIONS, Labels

NUM_FRAMES = 400
TASKS = {"au": ACTION_UNITS, "expression": EXPRESSIONS}
HOSTILE = [
    "O'Hara", 'the "best"', "'; DROP TABLE step; --", "<script>alert(1)</script>", "../../etc/passwd", "a b",
    "two\nlines", "Ζωή 佐藤", "con", "nul\0byte", " ", "%s{0}",
]  # fmt: skip


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    return write_numbered(tmp_path_factory.mktemp("clips") / "clip.mp4", NUM_FRAMES, size=(64, 48))


@pytest.fixture
def project(tmp_path, clip):
    shutil.copy(clip, tmp_path / "clip.mp4")
    with Project.open(tmp_path / "faces.affkit") as project:
        project.add_video(tmp_path / "clip.mp4")
        yield project


@pytest.fixture(scope="session")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["affkit.data.project"])  # once, not in each process
    return context


def start(processes, work, *arguments):
    """Start a process; it, and the end of a pipe on which it says what it has done."""
    hear, say = processes.Pipe(duplex=False)
    process = processes.Process(target=work, args=(arguments[0], say, *arguments[1:]))
    process.start()
    say.close()  # so that its end is noticed
    return process, hear


def hear_all(pipe) -> list:
    heard = []
    try:
        while True:
            heard.append(pipe.recv())
    except EOFError:
        return heard


def is_sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        broken_references = db.execute("PRAGMA foreign_key_check").fetchall()
        return db.execute("PRAGMA integrity_check").fetchall() == [("ok",)] and not broken_references


# What is marked

TIMES = st.lists(st.integers(0, 12), min_size=2, max_size=2, unique=True).map(sorted)


class Annotating(RuleBasedStateMachine):
    """Two tools on one file against a model: a picture of all frames for each step that can be undone."""

    @initialize(task=st.sampled_from(sorted(TASKS)))
    def open(self, task):
        self.folder = tempfile.TemporaryDirectory()
        self.path, self.task, self.lanes = Path(self.folder.name, "p.affkit"), task, TASKS[task]
        self.projects = [Project.open(self.path) for _ in range(2)]
        with closing(sqlite3.connect(self.path)) as db, db:  # any 12 frames will do
            db.execute("INSERT INTO video VALUES (1, 'clip', 'clip.mp4', 12, 30, 64, 48)")
        self.sessions = [project.session("clip", "Ada", task) for project in self.projects]
        self.past, self.future = [self.nothing()], []
        self.steps = 0

    def nothing(self):
        return {lane: np.zeros(12, bool) for lane in self.lanes}

    def then(self, picture):
        self.past.append(picture)
        self.future.clear()
        self.steps += 1

    def marked(self, picture, lane, times):
        picture = {name: frames.copy() for name, frames in picture.items()}
        for name, frames in picture.items():
            for frame in range(*times):
                frames[frame] = name == lane or (self.task == "au" and frames[frame])
        return picture

    @rule(tool=st.integers(0, 1), lane=st.integers(0, 6), times=TIMES)
    def mark(self, tool, lane, times):
        self.sessions[tool].mark(self.lanes[lane], *times)
        self.then(self.marked(self.past[-1], self.lanes[lane], times))

    @rule(tool=st.integers(0, 1), lane=st.none() | st.integers(0, 6), times=TIMES)
    def clear(self, tool, lane, times):
        name = None if lane is None else self.lanes[lane]
        self.sessions[tool].clear(name, *times)
        picture = {lane: frames.copy() for lane, frames in self.past[-1].items()}
        for lane in self.lanes if name is None else [name]:
            picture[lane][slice(*times)] = False
        self.then(picture)

    @rule(tool=st.integers(0, 1), drawn=st.lists(st.tuples(st.integers(0, 6), TIMES), max_size=4))
    def replace(self, tool, drawn):
        self.sessions[tool].replace([Segment(self.lanes[lane], *times) for lane, times in drawn])
        picture = self.nothing()
        for lane, times in drawn:
            picture = self.marked(picture, self.lanes[lane], times)
        self.then(picture)

    @rule(tool=st.integers(0, 1))
    def undo(self, tool):
        could = len(self.past) > 1
        assert self.sessions[tool].undo() is could
        if could:
            self.future.append(self.past.pop())
            self.steps += 1

    @rule(tool=st.integers(0, 1))
    def redo(self, tool):
        could = bool(self.future)
        assert self.sessions[tool].redo() is could
        if could:
            self.past.append(self.future.pop())
            self.steps += 1

    @rule(tool=st.integers(0, 1))
    def restart(self, tool):
        self.projects[tool].close()
        self.projects[tool] = Project.open(self.path, create=False)
        self.sessions[tool] = self.projects[tool].session("clip", "Ada", self.task)

    @invariant()
    def both_tools_show_the_model(self):
        expected = np.array(list(self.past[-1].values()))
        for session in self.sessions:
            state = session.state()
            assert state.dtype == np.uint8 and np.array_equal(state, expected)
            assert session.can_undo is (len(self.past) > 1) and session.can_redo is bool(self.future)
            assert session.revision() == self.steps == len(session.history())

    def teardown(self):
        if hasattr(self, "projects"):
            for project in self.projects:
                project.close()
            self.folder.cleanup()


Annotating.TestCase.settings = settings(max_examples=20, stateful_step_count=15, deadline=None)
TestAnnotating = Annotating.TestCase


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 20)), elements=st.integers(0, 1)))
def test_runs_are_maximal_and_cover_what_is_marked(state):
    lanes = [f"lane {i}" for i in range(len(state))]
    found = runs(state, lanes)
    drawn = np.zeros((len(state), state.shape[1] + 2), np.uint8)
    for one in found:
        row = drawn[lanes.index(one.lane), one.start : one.stop + 2]  # with a neighbour on each side
        assert one.stop > one.start and not row.any()
        row[1:-1] = 1
    assert np.array_equal(drawn[:, 1:-1], state)
    assert [one.start for one in found] == sorted(one.start for one in found)


@given(any_labels(), st.sampled_from(sorted(TASKS)))
def test_labels_to_segments_and_back(labels, task):
    state = np.zeros((len(TASKS[task]), len(labels)), np.uint8)
    for one in from_labels(labels, task):
        state[TASKS[task].index(one.lane), one.start : one.stop] = 1
    back = to_labels(state, task)
    if task == "au":
        assert back.has_action_units.all() and not back.has_expression.any()
        assert np.array_equal(back.action_units, np.where(labels.has_action_units, labels.action_units, 0))
    else:
        assert np.array_equal(back.has_expression, labels.has_expression)
        assert np.array_equal(back.expression[back.has_expression], labels.expression[labels.has_expression])


def test_labels_are_loaded_each_task_as_one_step(project):
    labels = Labels.empty(NUM_FRAMES, ("AU12", "AU7"))
    labels.has_action_units[:100] = True
    labels.action_units[20:30] = 1
    labels.has_expression[50:60], labels.expression[50:60] = True, EXPRESSIONS.index("Fear")
    project.session("clip", "Ada", "au").mark("AU1", 0, 5)
    project.load(labels, "clip", "Ada")
    units, faces = (project.session("clip", "Ada", task) for task in TASKS)
    assert units.segments() == [Segment("AU12", 20, 30)]
    assert faces.segments() == [Segment("Fear", 50, 60)]
    assert faces.labels().has_expression.nonzero()[0].tolist() == list(range(50, 60))
    assert units.undo() and units.segments() == [Segment("AU1", 0, 5)]
    with pytest.warns(UserWarning, match=f"clip: .*{NUM_FRAMES}"):
        project.load(labels[:90], "clip", "Eve")
    assert project.session("clip", "Eve", "au").segments() == [Segment("AU12", 20, 30)]


def test_others_are_those_of_the_same_video_and_task(project):
    ada = project.session("clip", "Ada", "au")
    ada.mark("AU1", 0, 9)
    project.session("clip", "Eve", "au").mark("AU2", 3, 4)
    project.session("clip", "Kim", "expression").mark("Fear", 0, 9)
    others = ada.others()
    assert list(others) == ["Eve"] and others["Eve"].sum() == others["Eve"][1, 3] == 1
    assert project.annotators() == ["Ada", "Eve", "Kim"]


def test_history_keeps_what_was_undone_and_who_did_it(project):
    session = project.session("clip", "Ada", "au", who="Eve")
    session.mark("AU4", 1, 8)
    session.undo()
    session.clear(None, 2, 3)
    mark, undo, clear = session.history()
    assert [(one.kind, one.undone) for one in (mark, undo, clear)] == [
        ("mark", True), ("undo", False), ("clear", False),
    ]  # fmt: skip
    assert (mark.lane, mark.start, mark.stop, clear.lane) == ("AU4", 1, 8, None)
    assert undo.target == mark.number < undo.number < clear.number and {mark.who, clear.who} == {"Eve"}
    for edit in (mark, undo, clear):
        when = datetime.fromisoformat(edit.when)
        assert when.utcoffset() == timedelta(0) and abs(datetime.now(UTC) - when) < timedelta(minutes=5)


def test_the_history_cannot_be_changed(project):
    project.session("clip", "Ada", "au").mark("AU1", 0, 9)
    with closing(sqlite3.connect(project.path)) as db:
        for statement in ("DELETE FROM step", "UPDATE step SET stop = 10"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                db.execute(statement)


# The second pass


def test_second_pass(project):
    session = project.session("clip", "Ada", "au")
    session.mark("AU1", 0, 10)
    session.mark("AU2", 5, 20)
    first, second = session.unreviewed()
    before = session.revision()
    session.review(first, "accept", "as in the video")
    assert session.unreviewed() == [second] and session.revision() > before
    session.review(second, "change", "starts later")
    assert len(session.reviews()) == 1  # not before there is a change
    session.clear("AU2", 5, 8)
    reviews = session.reviews()
    assert [(r.lane, r.start, r.stop, r.verdict, r.comment) for r in reviews] == [
        ("AU1", 0, 10, "accept", "as in the video"), ("AU2", 5, 20, "change", "starts later"),
    ]  # fmt: skip
    assert {r.reviewer for r in reviews} == {"Ada"} and datetime.fromisoformat(reviews[0].when).tzinfo
    session.mark("AU4", 0, 1)  # an edit of its own
    assert len(session.reviews()) == 2
    assert session.unreviewed() == [Segment("AU4", 0, 1), Segment("AU2", 8, 20)]
    session.clear("AU1", 9, 10)  # what was accepted is not there any more
    assert Segment("AU1", 0, 9) in session.unreviewed()
    session.undo()
    assert Segment("AU1", 0, 10) not in session.unreviewed()


def test_only_what_is_there_can_be_reviewed(project):
    session = project.session("clip", "Ada", "au")
    session.mark("AU1", 0, 10)
    (segment,) = session.segments()
    project.session("clip", "Ada", "au").clear("AU1", 4, 5)  # another tool meanwhile
    for verdict in ("accept", "change"):
        with pytest.raises(UserError, match="not marked in exactly"):
            session.review(segment, verdict)
    with pytest.raises(UserError, match="there is no verdict 'maybe'"):
        session.review(session.segments()[0], "maybe")
    assert session.reviews() == []


# Several processes, killed or not


def test_what_was_said_to_be_saved_survives_a_kill(project, processes):
    chance, saved = random.Random(1), 0
    for _ in range(12):
        process, pipe = start(processes, annotators.mark_until_killed, project.path, saved)
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


def test_two_tools_at_once_lose_nothing(project, processes):
    together = processes.Barrier(2)
    started = [
        start(processes, annotators.mark_every_other, project.path, together, lane, first, 120)
        for lane, first in (("AU1", 0), ("AU2", 1))
    ]
    for process, pipe in started:
        assert hear_all(pipe) == ["done"]
        process.join()
    session = project.session("clip", "Ada", "au")
    expected = np.zeros((8, NUM_FRAMES), bool)
    expected[0, 0:240:2] = expected[1, 1:240:2] = True
    assert np.array_equal(session.state(), expected)
    assert len(session.history()) == 240 and is_sound(project.path)
    lanes = [edit.lane for edit in session.history()]
    assert 10 < sum(a != b for a, b in zip(lanes, lanes[1:], strict=False))  # they did take turns


def test_several_tools_make_the_project_at_the_same_time(tmp_path, clip, processes):
    shutil.copy(clip, tmp_path / "clip.mp4")
    path = tmp_path / "new.affkit"
    started = [start(processes, annotators.make_project, path) for _ in range(5)]
    assert [hear_all(pipe) for _, pipe in started] == [["au"]] * 5
    for process, _ in started:
        process.join()
    with Project.open(path) as project:
        assert len(project.annotators()) == 5 and len(project.videos()) == 1
    assert is_sound(path)


# Files that are not as they should be


def write_database(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


def test_a_file_that_is_something_else_is_left_as_it_is(tmp_path):
    made = {
        "text.affkit": lambda path: path.write_text("frame,label\n" * 200),
        "short.affkit": lambda path: path.write_text("x"),
        "other.affkit": lambda path: write_database(path, "CREATE TABLE songs (name TEXT)"),
        "named.affkit": lambda path: write_database(path, "PRAGMA application_id = 7"),
        "newer.affkit": lambda path: write_database(
            path, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {VERSION + 1}"
        ),
    }
    for name, make in made.items():
        path = tmp_path / name
        make(path)
        before = path.read_bytes()
        expected = "newer version" if name.startswith("newer") else "project"
        with pytest.raises(UserError, match=expected) as caught:
            Project.open(path).close()
        assert "\n" not in str(caught.value) and path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == sorted(made)  # no journals left


def test_where_no_project_can_be(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        Project.open(tmp_path / "none.affkit", create=False)
    with pytest.raises(UserError, match="not a file"):
        Project.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="folder cannot be made"):
        Project.open(tmp_path / "file" / "p.affkit")
    assert not (tmp_path / "none.affkit").exists()
    Project.open(tmp_path / "new folder" / "p.affkit").close()
    Project.open(tmp_path / "file").close()  # empty: of somebody who was killed while making it


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_read_only_folder_and_file(processes):
    with tempfile.TemporaryDirectory() as name:  # tmp_path is closed to the user that root becomes
        folder = Path(name)
        Project.open(folder / "p.affkit").close()
        for closed, expected in (
            (folder / "p.affkit", "p.affkit: is read-only"),
            (folder, "folder is read-only"),
        ):
            folder.chmod(0o777)
            (folder / "p.affkit").chmod(0o666)
            closed.chmod(stat.S_IMODE(closed.stat().st_mode) & ~0o222)
            process, pipe = start(processes, annotators.try_to_open, folder / "p.affkit")
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
    with pytest.raises(UserError, match="the last change is not saved"):
        session.mark("AU2", 0, 9)
    if loss == "folder":
        shutil.move(moved, tmp_path)
        session.mark("AU4", 0, 9)  # it is back: go on
        assert [one.lane for one in session.segments()] == ["AU1", "AU4"]


def test_a_full_disk_is_told_and_leaves_what_was_saved(project):
    session = project.session("clip", "Ada", "au")
    session.mark("AU1", 0, 9)
    ((pages,),) = project._file.rows("PRAGMA page_count")
    project._file.rows(f"PRAGMA max_page_count = {pages}")  # SQLite's own way to have no room
    with pytest.raises(UserError, match="disk is full.*not saved"):
        session.replace([Segment("AU2", i, i + 1) for i in range(0, NUM_FRAMES, 2)] * 20)
    assert session.segments() == [Segment("AU1", 0, 9)] and len(session.history()) == 1
    project._file.rows("PRAGMA max_page_count = 1000000")
    session.mark("AU2", 0, 9)
    assert len(session.segments()) == 2


def test_a_locked_project_is_told(project, monkeypatch):
    monkeypatch.setattr("affkit.data.projectfile.BUSY_SECONDS", 0.1)
    with Project.open(project.path) as impatient, project._file.writing():
        with pytest.raises(UserError, match="another program keeps it locked"):
            impatient.add_video(project.videos()[0].path)


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
    with pytest.raises(UserError, match=f"another clip named 'clip'.*{NUM_FRAMES} frames, not 5"):
        project.add_video(other)
    assert project.videos() == [known]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_stored_as_they_are(project, name):
    if not name.strip():
        with pytest.raises(UserError, match="name is blank"):
            project.session("clip", name, "au")
        return
    session = project.session("clip", name, "au")
    session.mark("AU1", 0, 9)
    with Project.open(project.path) as again:
        assert again.annotators() == [name]
        assert again.session("clip", name, "au").history()[0].who == name
        session.review(session.segments()[0], "accept", name)
        assert again.session("clip", name, "au").reviews()[0].comment == name
    assert is_sound(project.path)


@pytest.mark.parametrize("name", [name for name in HOSTILE if not set(name) & set("/\0") and name.strip()])
def test_videos_may_have_any_file_name(project, tmp_path, clip, name):
    shutil.copy(clip, tmp_path / f"{name}.mp4")
    assert project.add_video(tmp_path / f"{name}.mp4").name == name
    session = project.session(name, "Ada", "au")
    session.mark("AU1", 0, 9)
    assert [video.name for video in project.videos()] == ["clip", name]
    assert not session.video.is_missing() and project.session("clip", "Ada", "au").segments() == []


def test_mistakes_are_one_line_and_change_nothing(project):
    session = project.session("clip", "Ada", "au")
    session.mark("AU1", 0, 9)
    mistakes = {
        "no video 'film', only: 'clip'": lambda: project.session("film", "Ada", "au"),
        "no task 'va'": lambda: project.session("clip", "Ada", "va"),
        "no tag 'Fear'": lambda: session.mark("Fear", 0, 9),
        "no tag 'AU7'": lambda: session.clear("AU7", 0, 9),
        "no tag None": lambda: session.mark(None, 0, 9),
        "no tag 'AU5'": lambda: session.replace([Segment("AU1", 0, 9), Segment("AU5", 0, 9)]),
        r"frames \[9, 9\)": lambda: session.mark("AU1", 9, 9),
        r"frames \[-1, 4\)": lambda: session.clear(None, -1, 4),
        rf"frames \[0, {NUM_FRAMES + 1}\)": lambda: session.mark("AU1", 0, NUM_FRAMES + 1),
        "is not Unicode": lambda: project.session("clip", "\udcff", "au"),
        "comment .* is not Unicode": lambda: session.review(session.segments()[0], "accept", "\udcff"),
        "no such file": lambda: project.add_video("none.mp4"),
    }
    for expected, mistake in mistakes.items():
        with pytest.raises(UserError, match=expected) as caught:
            mistake()
        assert "\n" not in str(caught.value)
    assert session.segments() == [Segment("AU1", 0, 9)] and session.revision() == 1
    session.mark("AU2", np.int64(3), np.int32(5))  # NumPy's numbers are numbers
    assert session.segments()[1] == Segment("AU2", 3, 5)
    assert session.video == replace(session.video) and project.annotators() == ["Ada"]

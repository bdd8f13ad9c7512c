"""Annotation sessions: what is marked after steps, undo and redo by two tools; labels; the second pass."""

import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from annotators import NUM_FRAMES
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from refusals import refuses
from strategies import any_labels

from affkit.labels import ACTION_UNITS, EXPRESSIONS, Labels
from affkit_studio.annotate.project import Project
from affkit_studio.annotate.session import Segment, from_labels, runs, to_labels

TASKS = {"au": ACTION_UNITS, "expression": EXPRESSIONS}
TOOLS = st.integers(0, 1)
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
        return np.zeros((len(self.lanes), 12), bool)

    def then(self, picture):
        self.past.append(picture)
        self.future.clear()
        self.steps += 1

    def marked(self, picture, lane, times):
        picture = picture.copy()
        if self.task == "expression":  # one at a time
            picture[:, slice(*times)] = False
        picture[lane, slice(*times)] = True
        return picture

    @rule(tool=TOOLS, lane=st.integers(0, 6), times=TIMES)
    def mark(self, tool, lane, times):
        self.sessions[tool].mark(self.lanes[lane], *times)
        self.then(self.marked(self.past[-1], lane, times))

    @rule(tool=TOOLS, lane=st.none() | st.integers(0, 6), times=TIMES)
    def clear(self, tool, lane, times):
        self.sessions[tool].clear(None if lane is None else self.lanes[lane], *times)
        picture = self.past[-1].copy()
        picture[slice(None) if lane is None else lane, slice(*times)] = False
        self.then(picture)

    @rule(tool=TOOLS, drawn=st.lists(st.tuples(st.integers(0, 6), TIMES), max_size=4))
    def replace(self, tool, drawn):
        self.sessions[tool].replace([Segment(self.lanes[lane], *times) for lane, times in drawn])
        picture = self.nothing()
        for lane, times in drawn:
            picture = self.marked(picture, lane, times)
        self.then(picture)

    @rule(tool=TOOLS, undo=st.booleans())
    def undo_or_redo(self, tool, undo):
        source, target = (self.past, self.future) if undo else (self.future, self.past)
        could = len(source) > undo  # the first picture cannot be taken back
        assert getattr(self.sessions[tool], "undo" if undo else "redo")() is could
        if could:
            target.append(source.pop())
            self.steps += 1

    @rule(tool=TOOLS)
    def restart(self, tool):
        self.projects[tool].close()
        self.projects[tool] = Project.open(self.path, create=False)
        self.sessions[tool] = self.projects[tool].session("clip", "Ada", self.task)

    @invariant()
    def both_tools_show_the_model(self):
        for session in self.sessions:
            state = session.state()
            assert state.dtype == np.uint8 and np.array_equal(state, self.past[-1])
            assert session.can_undo is (len(self.past) > 1) and session.can_redo is bool(self.future)
            assert session.revision() == self.steps == len(session.history())

    def teardown(self):
        if hasattr(self, "projects"):
            for project in self.projects:
                project.close()
            self.folder.cleanup()


Annotating.TestCase.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
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


@settings(max_examples=50)
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
    # and it cannot be changed
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
        refuses("not marked in exactly", session.review, segment, verdict)
    refuses("there is no verdict 'maybe'", session.review, session.segments()[0], "maybe")
    assert session.reviews() == []

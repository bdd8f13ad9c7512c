"""Annotations out to other tools and back, against files as these tools write them and other readers."""

import time
import warnings
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from annotators import NUM_FRAMES
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused, refuses

from affkit.labelfiles.formats import ABAW_ACTION_UNITS
from affkit.labels import ACTION_UNITS, EXPRESSIONS, EXPRESSIONS_WITH_OTHER
from affkit_studio.annotate import elan_boris
from affkit_studio.annotate.elan_boris import read_boris, read_eaf, write_boris, write_eaf
from affkit_studio.annotate.import_export import SUFFIXES, export_annotation, export_name, import_annotation
from affkit_studio.annotate.session import ProjectVideo, Segment

CLIP = ProjectVideo("clip", Path("videos", "clip.mp4"), 300, 30.0, 64, 48)
RATES = st.one_of(
    st.floats(1, 120), st.sampled_from([24000 / 1001, 25.0, 29.97, 30000 / 1001, 30.0, 60000 / 1001, 120.0])
)  # fmt: skip
TASKS = {"au": ACTION_UNITS, "expression": EXPRESSIONS}

# As ELAN saves it: an empty default tier, slots in no order, two annotations that share a slot
ELAN = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-05-02T10:00:00+02:00" FORMAT="3.0" VERSION="3.0"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
        <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/clip.mp4" MIME_TYPE="video/mp4"/>
    </HEADER>
    <TIME_ORDER>
        <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/>
        <TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="2515"/>
        <TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2010"/>
        <TIME_SLOT TIME_SLOT_ID="ts4"/>
    </TIME_ORDER>
    <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="default"/>
    <TIER ANNOTATOR="Zo&#xEB;" LINGUISTIC_TYPE_REF="default-lt" TIER_ID="Happiness">
        <ANNOTATION>
            <ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
                <ANNOTATION_VALUE>AU12, "a smile" &amp; more</ANNOTATION_VALUE>
            </ALIGNABLE_ANNOTATION>
        </ANNOTATION>
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="Surprise">
        <ANNOTATION>
            <ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
                <ANNOTATION_VALUE/>
            </ALIGNABLE_ANNOTATION>
        </ANNOTATION>
    </TIER>
    <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>
</ANNOTATION_DOCUMENT>
"""
ELAN_SAYS = [Segment("Happiness", 30, 60), Segment("Surprise", 60, 75)]

# As three ages of BORIS and a German spreadsheet write it
BORIS = {
    "8": (
        "Observation id,Observation date,Description,Observation type,Source,Media duration (s),"
        "FPS (frame/s),Subject,Observation duration by subject by observation,Behavior,Behavioral category,"
        "Behavior type,"
        "Start (s),Stop (s),Duration (s),Media file name,Image index start,Image index stop,"
        "Comment start,Comment stop\n"
        'clip,2024-05-02 10:00:00,,Media file,player #1:clip.mp4,10.0,30.0,No focal subject,10.0,AU4,,STATE,'
        '1.0,2.5,1.5,clip.mp4,NA,NA,"frowns, then\nnot",\n'
        "clip,2024-05-02 10:00:00,,Media file,player #1:clip.mp4,10.0,30.0,No focal subject,10.0,AU1,,POINT,"
        "0.333,0.333,NA,clip.mp4,NA,NA,,\n"
    ),
    "7, tabs": (
        "Observation id\tMedia file\tTotal length\tFPS\tSubject\tBehavior\tModifiers\tBehavior type\t"
        "Start (s)\tStop (s)\tDuration (s)\tComment start\tComment stop\n"
        "clip\tclip.mp4\t10\t30\t\tAU1\t\tPOINT\t0.333\tNA\tNA\t\t\n"
        "clip\tclip.mp4\t10\t30\t\tAU4\t\tSTATE\t1.000\t2.500\t1.5\t\t\n"
    ),
    "semicolons": "Stop (s);Behavior;Start (s)\r\n2,5;AU4;1,0\r\n;AU1;0,333\r\n",
    "with lines above": 'Observation id,clip\n,\nBehavior,Start (s),Stop (s)\nAU4,1,2.5\nAU1,0.333,NA\n\n',
    "several observations": (
        "Observation id,Behavior,Start (s),Stop (s)\nother,yawn,0,99\nclip,AU4,1,2.5\nclip,AU1,0.333,NA\n"
    ),
}  # fmt: skip
BORIS_SAYS = [Segment("AU1", 10, 11), Segment("AU4", 30, 75)]


@pytest.fixture
def sessions(project):
    return {task: project.session("clip", "Ada", task) for task in TASKS}


@st.composite
def annotations(draw):
    """A video of any rate, a task, and segments as a session has them: apart, in time order."""
    video = ProjectVideo("clip", Path("clip.mp4"), draw(st.integers(1, 200_000)), draw(RATES), 64, 48)
    task = draw(st.sampled_from(sorted(TASKS)))
    segments = []
    for lane in TASKS[task] if task == "au" else ["all"]:
        cuts = st.lists(st.integers(0, video.num_frames), max_size=6, unique=True)
        ends = sorted(draw(cuts))
        for start, stop in zip(ends[::2], ends[1::2], strict=False):
            segments.append(
                Segment(lane if task == "au" else draw(st.sampled_from(EXPRESSIONS)), start, stop)
            )
    return video, task, sorted(segments, key=lambda one: (one.start, one.stop))


@given(st.integers(0, 120 * 60 * 60 * 24), RATES)
def test_frames_and_milliseconds_are_exact_both_ways(frame, fps):
    time = elan_boris.milliseconds(frame, fps)
    assert isinstance(time, int) and abs(Fraction(time, 1000) - frame / Fraction(fps)) <= Fraction(501, 10**6)
    assert elan_boris.frame_at(time / 1000, fps) == frame


@settings(max_examples=40)
@given(annotations())
def test_what_is_written_is_read(tmp_path_factory, drawn):
    video, task, segments = drawn
    folder = tmp_path_factory.getbasetemp()
    write_eaf(folder / "a.eaf", video, task, segments, "Ada")
    write_boris(folder / "a.csv", video, segments)
    for back in (read_eaf(folder / "a.eaf", video, task), read_boris(folder / "a.csv", video, task)):
        assert sorted(back, key=repr) == sorted(segments, key=repr)
        assert [one.start for one in back] == [one.start for one in segments]


@settings(max_examples=50)
@given(st.integers(1, 5000), RATES, st.data())
def test_a_point_is_the_frame_it_was_seen_on(tmp_path_factory, num_frames, fps, data):
    frame = data.draw(st.integers(0, num_frames - 1))
    fraction = data.draw(st.floats(0, 0.9))  # of the time for which the frame is shown; a millisecond counts
    seconds = elan_boris.milliseconds(frame, fps) / 1000 + max(0, fraction / fps - 0.002)
    path = tmp_path_factory.getbasetemp() / "point.csv"
    path.write_text(f"Behavior,Behavior type,Start (s),Stop (s)\nAU1,POINT,{seconds:.3f},NA\n")
    video = ProjectVideo("clip", Path("clip.mp4"), num_frames, fps, 64, 48)
    assert read_boris(path, video, "au") == [Segment("AU1", frame, frame + 1)]


def test_elan_document_is_one_for_other_readers(tmp_path):
    hostile = '<Zoë> "&" \x01\n佐藤'
    video = ProjectVideo("clip", tmp_path / "videos" / "a clip.mp4", 300, 25.0, 64, 48)
    segments = [Segment("Fear", 0, 10), Segment("Anger", 10, 11), Segment("Fear", 100, 300)]
    write_eaf(tmp_path / "a.eaf", video, "expression", segments, hostile)
    root = ElementTree.parse(tmp_path / "a.eaf").getroot()
    assert (root.tag, root.get("FORMAT")) == ("ANNOTATION_DOCUMENT", "3.0")
    order = [child.tag for child in root]  # the sequence that the schema demands
    assert order == ["HEADER", "TIME_ORDER", *["TIER"] * 7, "LINGUISTIC_TYPE"]
    media = root.find("HEADER/MEDIA_DESCRIPTOR").attrib
    assert media["MEDIA_URL"] == media["RELATIVE_MEDIA_URL"] == "./videos/a clip.mp4"
    assert media["MIME_TYPE"] == "video/mp4"
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values())
    tiers, kind = root.findall("TIER"), root.find("LINGUISTIC_TYPE").get("LINGUISTIC_TYPE_ID")
    for tier, expression in zip(tiers, EXPRESSIONS, strict=True):
        wanted = {"TIER_ID": expression, "LINGUISTIC_TYPE_REF": kind}
        assert tier.attrib == wanted | {"ANNOTATOR": hostile.replace("\x01", "\ufffd")}
    found, used = set(), []
    for tier in tiers:
        for one in tier.iter("ALIGNABLE_ANNOTATION"):
            ends = one.get("TIME_SLOT_REF1"), one.get("TIME_SLOT_REF2")
            used += [*ends, one.get("ANNOTATION_ID")]
            found.add((tier.get("TIER_ID"), *(slots[end] for end in ends)))
    assert found == {("Fear", 0, 400), ("Anger", 400, 440), ("Fear", 4000, 12000)}
    assert len(used) == len(set(used)) == 9  # no two annotations share a slot or a name


def test_elan_documents_are_read(tmp_path):
    path = tmp_path / "a.eaf"
    for encoding in ("UTF-8", "UTF-16"):
        path.write_text(ELAN.replace("UTF-8", encoding), encoding=encoding)
        assert read_eaf(path, CLIP, "expression") == ELAN_SAYS


def mistake(read, path, text, words):
    path.write_text(text, encoding="utf-8")
    refuses(words, read, path, CLIP, "expression")


@pytest.mark.parametrize(("old", "new", "expected"), [
    ('TIER_ID="Surprise"', 'TIER_ID="Astonishment"', "line 24: there is no tag 'Astonishment'"),
    ('TIME_SLOT_REF2="ts3"', 'TIME_SLOT_REF2="ts4"', "line 24: an annotation of 'Surprise' has no time"),
    ('TIME_SLOT_REF2="ts3"', 'TIME_SLOT_REF2="ts9"', "line 24: an annotation of 'Surprise' has no time"),
    ('"2515"', '"25:15"', "line 24: an annotation of 'Surprise' has no time"),
    ('"2515"', '"10500"', "'Surprise' at 2.010 to 10.500 s (line 24) is not in the clip"),
    ('"2515"', '"1999"', "'Surprise' at 2.010 to 1.999 s (line 24) stops before it starts"),
    ('TIME_SLOT_REF1="ts2"', 'TIME_SLOT_REF1="ts1"',
     "'Happiness' at 1.000 to 2.010 s (line 17) overlaps 'Surprise' at 1.000 to 2.515 s (line 24)"),
    ("milliseconds", "PAL-frames", "line 5: times are in 'PAL-frames'"),
    ("&amp;", "&secret;", "is not sound XML"),
    (ELAN, "<html></html>", "is not an ELAN document but 'html'"),
    (ELAN, "Behavior,Start (s),Stop (s)", "line 1: is not sound XML"),
    (ELAN, "", "the file is empty"),
])  # fmt: skip
def test_mistakes_in_elan_documents(tmp_path, old, new, expected):
    assert ELAN.replace(old, new, 1) != ELAN
    mistake(read_eaf, tmp_path / "a.eaf", ELAN.replace(old, new, 1), expected)


@pytest.mark.parametrize("entities", [
    '<!ENTITY e SYSTEM "secret.txt">',
    '<!ENTITY a "ha"><!ENTITY b "' + "&a;" * 50 + '">' + "".join(
        f'<!ENTITY {new} "{f"&{old};" * 50}">' for old, new in zip("bcdefgh", "cdefghi", strict=True)
    ) + '<!ENTITY e "&i;">',
])  # fmt: skip
def test_a_document_type_is_refused_unread(tmp_path, entities):
    (tmp_path / "secret.txt").write_text("Fear")
    declared = f"<!DOCTYPE ANNOTATION_DOCUMENT [{entities}]>\n<ANNOTATION_DOCUMENT"
    text = ELAN.replace("<ANNOTATION_DOCUMENT", declared, 1).replace("&amp;", "&e;")
    before = time.process_time()
    mistake(read_eaf, tmp_path / "a.eaf", text, "line 2: holds a document type")
    assert time.process_time() - before < 5


def test_boris_table_is_one_for_other_readers(tmp_path):
    video = ProjectVideo('a "b", c', Path("a.mp4"), 300, 30.0, 64, 48)
    write_boris(tmp_path / "a.csv", video, [Segment("AU1", 1, 4), Segment("AU25", 299, 300)])
    table = pd.read_csv(tmp_path / "a.csv")
    assert {"Media file", "FPS", "Subject", "Comment start"} <= set(table)
    columns = ["Observation id", "Behavior", "Behavior type", "Start (s)", "Stop (s)", "Duration (s)"]
    assert table[columns].to_numpy().tolist() == [
        ['a "b", c', "AU1", "STATE", 0.033, 0.133, 0.1],
        ['a "b", c', "AU25", "STATE", 9.967, 10, 0.033],
    ]


@pytest.mark.parametrize("version", BORIS)
def test_boris_tables_are_read(tmp_path, version):
    path = tmp_path / "a.csv"
    path.write_text(BORIS[version], encoding="utf-8-sig", newline="")
    assert read_boris(path, CLIP, "au") == BORIS_SAYS


STATES = "Behavior,Start (s),Stop (s),Behavior type\n"


@pytest.mark.parametrize(("text", "expected"), [
    (STATES + "Awe,1,2,STATE", "line 2: there is no tag 'Awe'"),
    (STATES + "Fear,1,2,STATE\nFear,one,2,STATE", "line 3: Start (s) is 'one'"),
    (STATES + "Fear,1,,STATE", "line 2: Stop (s) is ''"),
    (STATES + "Fear,nan,2,STATE", "is not in the clip"),
    (STATES + "Fear,-1,2,STATE", "is not in the clip"),
    (STATES + "Fear,1,1e9,STATE", "is not in the clip"),
    (STATES + "Fear,2,1,STATE", "stops before it starts"),
    (STATES + 'Fear,1,"2,STATE', "line 2: Stop (s) is '2,STATE'"),
    (STATES + "Fear,0,9\nFear,1,2\nAnger,5,6\n",  # the one in between is shorter
     "'Fear' at 0.000 to 9.000 s (line 2) overlaps 'Anger' at 5.000 to 6.000 s (line 4)"),
    ("Observation id," + STATES + "x,Fear,0,1\ny,Fear,0,1\n", "no observation 'clip', only 'x', 'y'"),
    ("Subject," + STATES + "left,Fear,0,1\nright,Fear,0,1\n", "several subjects: 'left', 'right'"),
    ("Behaviour,Start,Stop\nFear,0,1\n", "no line with the columns Behavior, Start"),
])  # fmt: skip
def test_mistakes_in_boris_tables(tmp_path, text, expected):
    mistake(read_boris, tmp_path / "a.csv", text, expected)


# Through a session


@pytest.mark.parametrize("format", SUFFIXES)
@pytest.mark.parametrize("task", TASKS)
def test_export_and_import_through_a_session(sessions, tmp_path, task, format):
    session, lanes = sessions[task], TASKS[task]
    session.mark(lanes[1], 0, 7)
    session.mark(lanes[3], 7, NUM_FRAMES)
    expected, path = session.state(), tmp_path / export_name(session, format)
    export_annotation(session, path, format)
    session.clear(None, 0, NUM_FRAMES)
    session.mark(lanes[0], 5, 6)
    assert import_annotation(session, path) == [Segment(lanes[1], 0, 7), Segment(lanes[3], 7, NUM_FRAMES)]
    assert np.array_equal(session.state(), expected)
    assert session.undo() and session.segments() == [Segment(lanes[0], 5, 6)]  # one step


def test_labels_that_are_not_ours_are_left_out_and_told(sessions, tmp_path):
    twelve, eight = tmp_path / "au.txt", tmp_path / "expr.txt"
    rows = np.zeros((NUM_FRAMES, 12), int)
    rows[10:20, [0, 4]] = 1  # AU1, AU7
    rows[30] = -1
    np.savetxt(twelve, rows, "%d", ",", header=",".join(ABAW_ACTION_UNITS), comments="")
    with pytest.warns(UserWarning, match="au.txt: AU7 left out"):
        assert import_annotation(sessions["au"], twelve) == [Segment("AU1", 10, 20)]
    eight.write_text(",".join(EXPRESSIONS_WITH_OTHER) + "\n" + "7\n" * 30 + "3\n" * (NUM_FRAMES - 25))
    with pytest.warns(UserWarning) as told:
        assert import_annotation(sessions["expression"], eight) == [Segment("Fear", 30, NUM_FRAMES)]
    assert any("Other left out" in str(one.message) for one in told)
    assert any(f"{NUM_FRAMES + 5}" in str(one.message) for one in told)  # longer than the video


@pytest.mark.parametrize(("name", "text", "expected"), [
    ("a.eaf", ELAN, "there is no tag 'Happiness'; rename or delete it; the tags are AU1, AU2, AU4"),
    ("a.csv", BORIS["8"].replace("AU4", "yawn"), "no tag 'yawn'"),
    ("a.csv", "video,frame,AU1\nother,1,1\n", "has no video 'clip', only: 'other'"),
    ("a.csv", "video,frame,valence,arousal\nclip,1,0,0\n", "holds no labels for the task 'au'"),
    ("a.txt", "AU1,AU2\n0,1\n0,2\n", "line 3: AU2 is 2"),
    ("a.txt", ",".join(EXPRESSIONS) + "\n1\n", "line 1: the header is"),
    ("none.txt", None, "no such file"),
])  # fmt: skip
def test_a_failed_import_changes_nothing(sessions, tmp_path, name, text, expected):
    session = sessions["au"]
    session.mark("AU1", 0, 9)
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with refused(expected), warnings.catch_warnings():
        warnings.simplefilter("error")
        import_annotation(session, tmp_path / name)
    assert session.segments() == [Segment("AU1", 0, 9)] and session.revision() == 1


def test_exports_that_cannot_be(sessions, tmp_path):
    session, file = sessions["au"], tmp_path / "a.txt"
    file.write_text("")
    for action in (export_annotation, import_annotation):
        refuses("no format 'xls'; use one of abaw, table, eaf, boris", action, session, file, "xls")
    for format in SUFFIXES:
        refuses("cannot be written", export_annotation, session, file / "below a file", format)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=4, max_size=4))
def test_export_names_stay_in_their_folder(names):
    def someone(video, annotator):
        video = ProjectVideo(video, Path("a.mp4"), 1, 1.0, 1, 1)
        return SimpleNamespace(video=video, annotator=annotator, task="expression")

    folder = Path("folder").absolute()
    pairs = {tuple(names[:2]), tuple(names[2:]), (names[0], "../" + names[1]), ("a-b", "c"), ("a", "b-c")}
    found = [export_name(someone(*pair), "boris") for pair in pairs]
    for name in found:
        assert (folder / name).resolve().parent == folder and not name.startswith(".")
        assert len(name.encode()) < 245 and name.isprintable() and not set(name) & set('/\\:*?"<>|')
    assert len(set(found)) == len(pairs)  # nobody's export replaces another's

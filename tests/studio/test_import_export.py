"""Annotations out to other tools and back, against files as these tools write them and other readers."""

import time
import unicodedata
import warnings
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pympi
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
    video = ProjectVideo("clip", Path("clip;1.mp4"), draw(st.integers(1, 200_000)), draw(RATES), 64, 48)
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
    eaf = pympi.Eaf(folder / "a.eaf")  # another reader sees the same, and writes it so
    times = [(s.lane, *(elan_boris.milliseconds(i, video.fps) for i in (s.start, s.stop))) for s in segments]
    seen = [(tier, *data[:2]) for tier in eaf.tiers for data in eaf.get_annotation_data_for_tier(tier)]
    assert sorted(seen) == sorted(times) and list(eaf.tiers) == list(TASKS[task])
    eaf.to_file(folder / "b.eaf")
    readers = {"a.eaf": read_eaf, "b.eaf": read_eaf, "a.csv": read_boris}
    for back in (read(folder / name, video, task) for name, read in readers.items()):
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


@pytest.mark.parametrize(("media", "moved"), [
    ('<MEDIA_DESCRIPTOR MEDIA_URL="file:///other.mp4" TIME_ORIGIN="3000"/>', 90),
    ('<MEDIA_DESCRIPTOR MEDIA_URL="clip.mp4" TIME_ORIGIN="-1000"/>'
     '<MEDIA_DESCRIPTOR MEDIA_URL="clip.wav"/>', -30),
    ('<MEDIA_DESCRIPTOR MEDIA_URL="a.wav" TIME_ORIGIN="500"/>'
     '<MEDIA_DESCRIPTOR MEDIA_URL="file:///x.avi" RELATIVE_MEDIA_URL="../clip.avi" TIME_ORIGIN="1000"/>', 30),
    ("", 0),
])  # fmt: skip
def test_times_of_elan_begin_at_its_time_origin(tmp_path, media, moved):
    own = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/clip.mp4" MIME_TYPE="video/mp4"/>'
    (tmp_path / "a.eaf").write_text(ELAN.replace(own, media))
    moved_by = [replace(one, start=one.start + moved, stop=one.stop + moved) for one in ELAN_SAYS]
    assert read_eaf(tmp_path / "a.eaf", CLIP, "expression") == moved_by


def test_dependent_annotations_as_pympi_writes_them(tmp_path):
    eaf = pympi.Eaf()
    eaf.add_linked_file("file:///clip.wav", time_origin=7)
    eaf.add_linked_file("file:///x/clip.mp4", "./clip.mp4", time_origin=1000)
    for kind in eaf.CONSTRAINTS:
        eaf.add_linguistic_type(kind, kind, timealignable=kind.startswith("Time"))
    for tier, kind, parent in [
        ("AU1", "default-lt", None), ("AU2", "Symbolic_Association", "AU1"),
        ("AU4", "Symbolic_Subdivision", "AU1"), ("AU6", "Symbolic_Association", "AU4"),
        ("AU12", "Time_Subdivision", "AU1"), ("AU15", "Time_Subdivision", "AU12"),
    ]:  # fmt: skip
        eaf.add_tier(tier, kind, parent)
    eaf.add_annotation("AU1", 1000, 4000)
    eaf.add_annotation("AU1", 5000, 6000)
    for tier in ("AU2", "AU4", "AU4", "AU4"):
        eaf.add_ref_annotation(tier, "AU1", 2000)
    eaf.tiers["AU6"][1]["a90"] = (list(eaf.tiers["AU4"][1])[1], "", None, None)  # the second of three
    begin, end, *_ = next(iter(eaf.tiers["AU1"][0].values()))
    second, third, half = (eaf.generate_ts_id() for _ in range(3))  # without a time
    for tier, slots in (("AU12", [begin, second, third, end]), ("AU15", [second, half, third])):
        for pair in pairwise(slots):
            eaf.tiers[tier][0][eaf.generate_annotation_id()] = (*pair, "", None)
    eaf.to_file(tmp_path / "a.eaf")
    thirds = [(60, 90), (90, 120), (120, 150)]
    says = {"AU1": [(60, 150), (180, 210)], "AU2": [(60, 150)], "AU4": thirds, "AU6": thirds[1:2]}
    says |= {"AU12": thirds, "AU15": [(90, 105), (105, 120)]}
    read = read_eaf(tmp_path / "a.eaf", CLIP, "au")
    assert {tier: [(one.start, one.stop) for one in read if one.lane == tier] for tier in says} == says


def mistake(read, path, text, words):
    path.write_text(text, encoding="utf-8")
    refuses(words, read, path, CLIP, "expression")


@pytest.mark.parametrize(("old", "new", "expected"), [
    ('TIER_ID="Surprise"', 'TIER_ID="Astonishment"', "line 24: there is no tag 'Astonishment'"),
    ('TIME_SLOT_REF2="ts3"', 'TIME_SLOT_REF2="ts4"', "line 24: an annotation of 'Surprise' has no time"),
    ('TIME_SLOT_REF2="ts3"', 'TIME_SLOT_REF2="ts9"', "line 24: an annotation of 'Surprise' has no time"),
    *(('<ALIGNABLE_ANNOTATION ANNOTATION_ID="a2"',
       f'<REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="{to}"/><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2"',
       "line 24: an annotation of 'Surprise' has no time") for to in ("a3", "a9")),
    ('ANNOTATION_ID="a2"', 'ANNOTATION_ID="a1"', "line 24: there is another annotation 'a1'"),
    ('"2515"', '"25:15"', "line 10: a time is '25:15'"),
    ('MIME_TYPE="video/mp4"', 'TIME_ORIGIN="1.5"', "line 6: a time is '1.5'"),
    ('MIME_TYPE="video/mp4"', 'TIME_ORIGIN="8000"', "'Surprise' at 10.010 to 10.515 s (line 24) is not in"),
    ('C:/clip.mp4"', 'a.mp4"/><MEDIA_DESCRIPTOR MEDIA_URL="b.mp4"',
     "about several media, and which of them is 'clip.mp4' is not clear: 'a.mp4', 'b.mp4'"),
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


# Export functions of BORIS 8.27.4 wrote these files, of events that we made up. A player plays first.mp4,
# clip.mp4 and last.mp4, 10 s each. In queued.csv another plays side.mp4. In offset.tsv all times are later by
# 3600.25 s, and there is an observation of other.mp4.
STATES = "Behavior,Start (s),Stop (s),Behavior type\n"
BORIS_FILES = Path(__file__).parents[1] / "fixtures" / "boris"
QUEUED = (BORIS_FILES / "queued.csv").read_text()
IN_QUEUE = {
    "first": [Segment("AU4", 30, 75), Segment("AU4", 255, 300)],
    "clip": [Segment("AU1", 0, 1), Segment("AU4", 0, 30), Segment("AU1", 10, 11), Segment("AU4", 240, 300)],
    "last": [Segment("AU1", 0, 1), Segment("AU4", 0, 60), Segment("AU1", 299, 300)],
    "other": [Segment("AU4", 30, 60)],
}
CLIPS = {name: replace(CLIP, name=name, path=Path(f"{name}.mp4")) for name in [*IN_QUEUE, "Zoë"]}


@pytest.mark.parametrize(("file", "name"), [
    *(("queued.csv", name) for name in ("first", "clip", "last")),
    *(("offset.tsv", name) for name in IN_QUEUE),
])  # fmt: skip
def test_queued_media_and_offsets_as_boris_writes_them(file, name):
    assert read_boris(BORIS_FILES / file, CLIPS[name], "au") == IN_QUEUE[name]


def test_other_names_edges_and_ages_of_queued_media(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(QUEUED.replace("clip.mp4", unicodedata.normalize("NFD", "Zoë.MOV")), encoding="utf-8")
    assert read_boris(path, CLIPS["Zoë"], "au") == IN_QUEUE["clip"]
    path.write_text(QUEUED.replace("8.500,11.000", "8.500,10.001"))  # ends with first.mp4, but for rounding
    assert read_boris(path, CLIPS["clip"], "au") == [one for one in IN_QUEUE["clip"] if one.stop != 30]
    path.write_text(QUEUED.replace("8.500,11.000", "33.000,34.000"))  # after the last
    refuses("'AU4' at 23.000 to 24.000 s (line 3) is not in the clip", read_boris, path, CLIPS["clip"], "au")
    # BORIS 7 told no durations: what begins after the end of the video is about the next one
    path.write_text(f"{STATES.strip()},Media file\nAU4,9,11,,clip.mp4;b.mp4\nyawn,10.5,11,,clip.mp4;b.mp4\n")
    assert read_boris(path, CLIP, "au") == [Segment("AU4", 270, 300)]


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
    ("Observation id," + STATES + "x,Fear,0,1\ny,Fear,0,1\n",
     "which observation is about 'clip' is not clear: 'x', 'y'"),
    (QUEUED.replace("clip.mp4", "x.mp4"), "line 2: which of its media is 'clip.mp4' is not clear: '/media"),
    (QUEUED.replace("side.mp4", "clip.mp4"), "line 2: which of its media is 'clip.mp4' is not clear"),
    (QUEUED.replace("clip", "x").replace("side", "clip"), "line 2: 'clip.mp4' is not in player #1"),
    (QUEUED.replace(",10.000;", ",10 s;"), "line 2: Media duration (s) is '10 s'"),
    (QUEUED.replace("10.000;10.000;", ""), "line 2: does not say how long the media before 'clip.mp4' last"),
    (QUEUED.replace(",0,29.000", ",an hour,29.000"), "line 2: Time offset (s) is 'an hour'"),
    ("Media file," + STATES + "player #1: a.mp4;b.mp4 player #2: c.mp4,Fear,0,1\n",
     "not clear: 'a.mp4', 'b.mp4', 'c.mp4'; export the observation of this video"),
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

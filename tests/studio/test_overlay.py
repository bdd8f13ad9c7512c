"""The annotated video: every frame is there, and boxes, bars and trace are where the numbers say.

Whether it looks well is for eyes; here pixels are counted.
"""

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from videos import read_number, write_numbered

from affkit.labels import ACTION_UNITS, EXPRESSIONS
from affkit.video.video import Video
from affkit_studio.overlay import (
    BLUE,
    FAINT_BLUE,
    ORANGE,
    SMALLEST_FONT,
    Overlay,
    TracePanel,
    annotate_video,
    text_picture,
)

pytestmark = pytest.mark.slow  # encodes and decodes videos

WIDTH, HEIGHT = 640, 480  # drawn as they are, not scaled
PLAIN = np.full((HEIGHT, WIDTH, 3), (60, 90, 60), np.uint8)


def faces(num_frames, person=0, box=(200.0, 100.0, 150.0, 180.0), **columns):
    """Predictions of one person in every frame; ``columns`` are valence, arousal, expressions, units."""
    table = pd.DataFrame({"video": "a", "frame": np.arange(1, num_frames + 1), "person": person})
    for name, value in zip(("x", "y", "w", "h"), box, strict=True):
        table[name] = value
    return table.assign(score=1.0, **columns)


def expressions(**likely):
    """Probabilities of the seven: those given, and the rest shared out evenly."""
    rest = (1 - sum(likely.values())) / (7 - len(likely))
    return {name: likely.get(name, rest) for name in EXPRESSIONS}


def steady(num_frames, fps=30):
    return np.arange(num_frames) / fps


def is_color(picture, color):
    return (picture == np.array(color)).all(axis=-1)


def bars_of(drawing):
    """The part of a drawing of a 640 x 480 video that is right of the picture."""
    return drawing[:HEIGHT, WIDTH:]


@pytest.mark.parametrize("size, box, scale", [
    ((WIDTH, HEIGHT), (200, 100, 150, 180), 1),
    ((320, 240), (80, 60, 100, 90), 1.5),  # a small video and its box are scaled up together
])  # fmt: skip
def test_the_box_is_where_the_face_is_and_the_rest_of_the_picture_is_untouched(size, box, scale):
    overlay = Overlay(faces(3, box=box), steady(3), *size)
    drawing = overlay.draw(1, cv2.resize(PLAIN, size))
    assert overlay.scale == scale and np.array_equal(drawing.shape[1::-1], overlay.size)
    width, height = (round(scale * side) for side in size)
    x, y, w, h = (round(scale * side) for side in box)
    rows, columns = np.nonzero((drawing[:height, :width] != PLAIN[0, 0]).any(axis=-1))
    corners = [columns.min(), rows.min(), columns.max(), rows.max()]
    np.testing.assert_allclose(corners, [x, y, x + w, y + h], atol=3)
    assert (drawing[y + 10 : y + h - 10, x + 10 : x + w - 10] == PLAIN[0, 0]).all()  # the face itself


def test_letters_are_twelve_pixels_high_in_the_smallest_video():
    font = Overlay(faces(1), steady(1), 32, 32).font
    ink = (text_picture("H", font) < 128).all(axis=-1)
    assert ink.any(axis=1).sum() >= 12


@pytest.mark.parametrize("name", ["Neutral", "Fear", "Surprise"])
def test_bars_are_as_long_as_the_probabilities_and_the_likeliest_stands_out(name):
    overlay = Overlay(faces(2, **expressions(**{name: 0.7})), steady(2), WIDTH, HEIGHT)
    bars = bars_of(overlay.draw(0, PLAIN))
    left, _, full, thickness = overlay.bars.bar(0)
    strong = is_color(bars, BLUE)[:, left:]  # right of the pointer
    rows = np.flatnonzero(strong.any(axis=1))
    place = EXPRESSIONS.index(name)
    top = overlay.bars.head + place * overlay.bars.row
    assert top < rows.min() and rows.max() < top + overlay.bars.row and len(rows) == thickness
    assert strong.sum(axis=1).max() == pytest.approx(0.7 * full, abs=1)
    faint = is_color(bars, FAINT_BLUE)
    assert faint.sum(axis=1).max() == pytest.approx(0.05 * full, abs=1)
    assert len(np.flatnonzero(faint.any(axis=1))) < 6 * thickness  # thinner: not by colour alone
    assert is_color(bars, BLUE)[top : top + overlay.bars.row, :left].any()  # the pointer


def test_action_units_stand_out_from_a_probability_of_a_half():
    units = dict(zip(ACTION_UNITS, (0.9, 0.1, 0.5, 0.2, 0.49, 0.8, 0.3, 0.0), strict=True))
    overlay = Overlay(faces(1, **units), steady(1), WIDTH, HEIGHT)
    bars = is_color(bars_of(overlay.draw(0, PLAIN)), BLUE)
    head, row = overlay.bars.head, overlay.bars.row
    strong = [bars[head + i * row : head + (i + 1) * row].any() for i in range(8)]
    assert strong == [True, False, True, False, False, True, False, False]


def test_without_a_face_bars_are_grey_and_there_is_no_box():
    seen = faces(9, valence=0.5, arousal=-0.5, **expressions(Fear=0.9))
    overlay = Overlay(seen[seen["frame"] != 5], steady(9), WIDTH, HEIGHT)
    drawings = [overlay.draw(frame, PLAIN) for frame in (3, 4)]
    colourful = [np.ptp(bars_of(drawing).astype(int), axis=-1).max() > 0 for drawing in drawings]
    assert colourful == [True, False]
    assert not np.array_equal(drawings[0][:HEIGHT, :WIDTH], PLAIN)
    assert np.array_equal(drawings[1][:HEIGHT, :WIDTH], PLAIN)


def trace(valence, arousal=None, at=0, num_frames=60):
    """The strip of a clip, and the columns of pixels on the right half, beyond the legend and the marker."""
    valence = np.broadcast_to(valence, num_frames)
    arousal = np.full(num_frames, np.nan) if arousal is None else np.broadcast_to(arousal, num_frames)
    panel = TracePanel(valence, arousal, steady(num_frames), 800, 17)
    canvas = np.zeros((panel.height, 800, 3), np.uint8)
    panel.draw(canvas, at)
    return canvas


def row_of(canvas, color):
    """Mean row of a colour on the right half of a strip."""
    return np.nonzero(is_color(canvas[:, 400:], color))[0].mean()


@given(value=st.floats(-1, 1))
@settings(max_examples=10)
def test_height_of_the_trace_is_the_value(value):
    top, bottom = row_of(trace(1.0), BLUE), row_of(trace(-1.0), BLUE)
    assert bottom - top > 50
    expected = top + (1 - value) / 2 * (bottom - top)
    assert row_of(trace(value), BLUE) == pytest.approx(expected, abs=1)
    assert row_of(trace(np.nan, value), ORANGE) == pytest.approx(expected, abs=1)


def test_the_trace_follows_a_ramp_and_has_a_gap_where_there_is_no_face():
    """Valence rises from -1 to 1 in two seconds; frames 31 to 45 of 60 have no face."""
    values = np.linspace(-1, 1, 60)
    values[30:45] = np.nan
    canvas = trace(values)
    blue = is_color(canvas, BLUE)
    blue[: row_of(trace(1.0), BLUE).astype(int) - 3] = False  # the legend
    columns = np.flatnonzero(blue.any(axis=0))[10:]  # right of the marker
    heights = np.array([np.flatnonzero(blue[:, column]).mean() for column in columns])
    line = np.polyfit(columns, heights, 1)
    assert line[0] < 0 and np.abs(np.polyval(line, columns) - heights).max() < 1.5
    gap = np.diff(columns)
    assert gap.max() == pytest.approx(16 / 60 * (columns.max() - columns.min()) * 60 / 59, abs=6)
    assert np.sort(gap)[-2] <= 3  # one gap only


def test_arousal_is_told_from_valence_without_colour():
    """Its line is dashed: 2 to 5 tenths of the columns have none of it."""
    assert is_color(trace(0.4)[:, 400:700], BLUE).any(axis=0).all()
    assert 0.2 < 1 - is_color(trace(np.nan, 0.4)[:, 400:700], ORANGE).any(axis=0).mean() < 0.5


def test_the_marker_moves_evenly_and_the_values_are_written():
    black = [trace(0.0, at=frame).min(axis=-1) < 35 for frame in (0, 20, 40)]
    places = [np.flatnonzero(dark.sum(axis=0) > 60).mean() for dark in black]
    assert np.diff(places) == pytest.approx(np.full(2, places[1] - places[0]), abs=1)
    assert places[1] > places[0] + 100
    written = trace(np.linspace(-1, 1, 60), at=20)
    for text, color in {"-0.32": (30, 30, 30), "frame 21 of 60": (105, 105, 105)}.items():  # -1 + 20 * 2 / 59
        assert cv2.matchTemplate(written, text_picture(text, 17, color), cv2.TM_SQDIFF).min() < 1


def test_a_long_video_has_pages_and_each_is_drawn_once(monkeypatch):
    drawn, draw_page = [], TracePanel._draw_page
    monkeypatch.setattr(TracePanel, "_draw_page", lambda *args: drawn.append(args[1]) or draw_page(*args))
    num_frames = 95 * 30  # 95 seconds: four pages of 23.75
    overlay = Overlay(faces(num_frames, valence=0.1, arousal=0.2), steady(num_frames), WIDTH, HEIGHT)
    for frame in [*range(0, num_frames, 49), num_frames - 1]:
        overlay.draw(frame, PLAIN)
    assert drawn == [0, 1, 2, 3]


BOXES = (400.0, 90.0, 100.0, 100.0), (50.0, 200.0, 90.0, 90.0)


def test_boxes_are_of_all_people_bars_and_trace_of_the_first():
    def draw(*sure):
        people = [
            faces(2, person, box, valence=p, arousal=0.0, **expressions(Fear=p))
            for person, (p, box) in enumerate(zip(sure, BOXES, strict=True))
        ]
        return Overlay(pd.concat(people), steady(2), WIDTH, HEIGHT).draw(1, PLAIN)

    one, other_second, other_first = draw(0.5, 0.2), draw(0.5, 0.9), draw(0.6, 0.2)
    assert np.array_equal(one, other_second)
    assert np.array_equal(one[:HEIGHT, :WIDTH], other_first[:HEIGHT, :WIDTH])
    assert not np.array_equal(one[HEIGHT:], other_first[HEIGHT:])
    assert not np.array_equal(bars_of(one), bars_of(other_first))
    changed = (one[:HEIGHT, :WIDTH] != PLAIN).any(axis=-1)
    assert changed[140, 400] and changed[140, 500] and changed[240, 50] and changed[240, 140]
    for number, (left, top, color) in {0: (400, 90, ORANGE), 1: (50, 200, (240, 240, 240))}.items():
        tag = text_picture(f" {number} ", SMALLEST_FONT, background=color)
        assert cv2.matchTemplate(one[top - 27 : top, left : left + 27], tag, cv2.TM_SQDIFF).min() < 1
    alone = Overlay(faces(2), steady(2), WIDTH, HEIGHT).draw(1, PLAIN)
    assert not is_color(alone[70:95, 200:350], ORANGE).any()  # no number where there is one person


@given(
    width=st.integers(16, 900),
    height=st.integers(16, 900),
    kind=st.sampled_from(["expressions", "units", "va", "only units"]),
    people=st.integers(1, 3),
    seen=st.booleans(),
)
@settings(max_examples=25)
def test_any_size_and_any_network_gives_an_even_size_with_nothing_at_the_edge(
    width, height, kind, people, seen
):
    columns = {} if kind == "only units" else {"valence": 0.99, "arousal": -1.0}
    columns |= expressions(Surprise=1.0) if kind == "expressions" else {}
    columns |= dict.fromkeys(ACTION_UNITS, 1.0) if "units" in kind else {}
    box = (-5.0, -5.0, width + 9.0, height / 2)
    table = pd.concat([faces(4, person, box, **columns) for person in range(people)])
    overlay = Overlay(table if seen else table[table["frame"] != 4], steady(4), width, height)
    drawing = overlay.draw(3, np.zeros((height, width, 3), np.uint8))
    assert drawing.dtype == np.uint8 and drawing.shape == (*overlay.size[::-1], 3)
    assert drawing.shape[0] % 2 == drawing.shape[1] % 2 == 0
    body = drawing.shape[0] - (overlay.trace.height if overlay.trace else 0)
    if overlay.trace:
        assert (drawing[body:, -2:] == 255).all() and (drawing[-2:] == 255).all()
    if overlay.bars:
        assert (drawing[:body, -2:] == 255).all()


@pytest.mark.parametrize("kind", [{"fps": 25}, {"fps": 30, "times": np.cumsum([0.03, 0.2, 0.05, 0.01] * 5)}])
def test_the_video_has_every_frame_once_at_its_time(tmp_path, kind):
    """Numbers on the frames are read back from the annotated video."""
    times = kind.get("times")
    kind = kind | ({"times": (times - times[0]).tolist()} if times is not None else {})
    clip = write_numbered(tmp_path / "clip.mp4", num_frames=20, size=(WIDTH, HEIGHT), **kind)
    seconds = Video(clip).seconds
    corner = faces(20, box=(2.0, 400.0, 60.0, 60.0), valence=0.0, arousal=0.0)  # no number is there
    annotate_video(tmp_path / "out.mp4", clip, corner, progress=False)
    info = Video(tmp_path / "out.mp4")
    assert info.num_frames == 20 and (info.width, info.height) == Overlay(corner, seconds, WIDTH, HEIGHT).size
    shown = list(Video(tmp_path / "out.mp4").frames())
    assert [read_number(frame[:HEIGHT, :WIDTH]) for frame in shown] == list(range(20))
    np.testing.assert_allclose(Video(tmp_path / "out.mp4").seconds, seconds, atol=1e-3)
    outline = np.array(shown[7][400:462, :66], int)
    assert (np.abs(outline - ORANGE).sum(axis=-1) < 90).sum() > 100  # H.264 blurs colours


def test_frames_are_drawn_one_at_a_time(tmp_path, monkeypatch):
    read, drawn = [], []

    def reading(video):
        for number, frame in enumerate(frames(video)):
            read.append(number)
            assert len(read) - len(drawn) <= 1
            yield frame

    frames, draw = Video.frames, Overlay.draw
    monkeypatch.setattr(Video, "frames", reading)
    monkeypatch.setattr(Overlay, "draw", lambda *args: drawn.append(1) or draw(*args))
    clip = write_numbered(tmp_path / "clip.mp4", num_frames=30)
    annotate_video(tmp_path / "out.mp4", clip, faces(30), progress=False)
    assert len(read) == len(drawn) == 30

"""The figures of a corpus, and its frames with their labels: they show what the numbers say."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from small_corpus import labels_of, write_corpus

from affkit.corpus.corpus import Corpus
from affkit.corpus.statistics import PAPER_ACTION_UNITS, action_unit_table, expression_table, va_histogram
from affkit.errors import UserError
from affkit.labelfiles.layouts import write_annotations
from affkit.labels import ACTION_UNITS, EXPRESSION_PLACES
from affkit.video.video import write_video
from affkit_lab.figures import corpus as figures
from affkit_lab.figures import style as plots
from affkit_lab.figures.corpus import different_frames, face_picture

SHEET = Path(__file__).parents[2] / "data_samples" / "action_units.jpg"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    write_corpus(root)
    return Corpus.open(root)


# Frames with their labels


def test_frames_differ_and_show_what_is_said_of_them(corpus):
    frames = different_frames(corpus, 2)
    assert corpus.subjects[frames["name"][0]] != corpus.subjects[frames["name"][1]]
    for _, row in frames.iterrows():
        labels = corpus.labels[row["name"]][row["frame"] - 1 : row["frame"]]
        assert labels.has_action_units.all()
        assert row[list(ACTION_UNITS)].tolist() == labels.action_units[0].tolist()
        assert (row["valence"], row["arousal"]) == (labels.valence[0], labels.arousal[0])
        picture = face_picture(corpus, row)  # frame n is of one grey, 10 (n - 1)
        assert picture.mean() == pytest.approx(10 * (row["frame"] - 1), abs=3)
    assert len(different_frames(corpus, 1000)) == 47 - 3


def test_the_first_two_frames_are_far_apart_and_there_may_be_none(tmp_path):
    far = labels_of(np.zeros((30, 8)), va=[(0.1, 0.1)] * 28 + [(0.9, 0.3), (-0.6, -0.6)])
    corpus = Corpus(tmp_path, {"a": far}, {"a": "a"}, pd.DataFrame())
    assert different_frames(corpus, 2)["frame"].tolist() == [30, 29]  # in the order of valence
    write_annotations(tmp_path, {"a": labels_of(va=[(0, 0)])})
    with pytest.raises(UserError, match="no frame with valence, arousal and action units"):
        figures.frames_with_labels(Corpus.open(tmp_path))


def test_only_a_face_seen_well_is_taken_and_cut_out(tmp_path):
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[20:40, 50:70] = 200
    write_video(tmp_path / "videos" / "a.mp4", [picture] * 4)
    labels = labels_of(np.zeros((4, 8)), va=[(0, 0), (0.9, 0), (-0.9, 0), (0, 0.9)])
    write_annotations(tmp_path, {"a": labels})
    columns = "frame,x,y,width,height,visible,covered,blink,yaw\n"
    rows = ["1,50,20,20,20,1,0,0,0", "2,,,,,0,0,0,0", "3,50,20,20,20,1,0.5,0,0", "4,50,20,20,20,1,0,1,0"]
    truth = tmp_path / "truth" / "a.csv"
    truth.parent.mkdir()
    truth.write_text(columns + "\n".join(rows) + "\n")
    corpus = Corpus.open(tmp_path)
    frames = different_frames(corpus, 5)
    assert frames["frame"].tolist() == [1]
    cut = face_picture(corpus, frames.iloc[0])
    assert cut.shape[0] == cut.shape[1] == 29 and (cut > 100).mean() == pytest.approx(400 / 29**2, abs=0.03)
    truth.write_text("frame,x\n1,2\n")
    with pytest.raises(UserError, match="has no column y"):
        different_frames(corpus)


# Figures


def test_bars_are_the_numbers(corpus):
    table = action_unit_table(corpus)
    axis = figures.label_bars(table).axes[0]
    assert [bar.get_height() for bar in axis.patches] == pytest.approx(100 * table["fraction"].to_numpy()[:8])
    assert [text.get_text() for text in axis.texts] == [str(n) for n in table["frames"][:8]]
    assert [tick.get_text().split("\n")[0] for tick in axis.get_xticklabels()] == list(ACTION_UNITS)
    marks = axis.collections[0].get_offsets()[:, 1]
    assert np.allclose(marks, [PAPER_ACTION_UNITS[unit] / 2340 for unit in ACTION_UNITS])
    assert "of 47 frames" in axis.get_title(loc="left") and "in the paper 60%" in axis.get_title(loc="left")


def test_expression_bars_count_only_labelled_frames(tmp_path):
    labels = {"a": labels_of(expressions=[0, 0, 4, -1, 6])}
    table = expression_table(Corpus(tmp_path, labels, {"a": "a"}, pd.DataFrame()))
    axis = figures.label_bars(table).axes[0]
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([40, 0, 0, 0, 20, 0, 20])
    assert axis.get_title(loc="left").startswith("4 of 5 frames (80%)") and not axis.collections


def test_plane_shows_valence_to_the_right_and_arousal_up(tmp_path):
    labels = {"a": labels_of(va=[(0.9, -0.9)] * 3 + [(-0.9, 0.9)])}
    corpus = Corpus(tmp_path, labels, {"a": "a"}, pd.DataFrame())
    axis = figures.va_plane_histogram(va_histogram(corpus, bins=2)).axes[0]
    shown = axis.collections[0].get_array().filled(0)  # rows upwards
    assert shown.tolist() == [[0, 3], [1, 0]]
    corner = {text.get_text(): tuple(np.sign(text.get_position())) for text in axis.texts}
    assert corner["75%"] == (1, -1) and corner["25%"] == (-1, 1)


def test_the_wheel_has_every_emotion_at_its_place():
    axis = figures.emotion_wheel().axes[0]
    drawn = {text.get_text(): tuple(text.xy) for text in axis.texts if hasattr(text, "xy")}
    assert drawn == EXPRESSION_PLACES


def test_words_of_a_figure_do_not_overlap():
    figure = figures.figure_1(SHEET)
    figure.canvas.draw()
    texts = [text for axis in figure.findobj(plt.Axes) for text in (*axis.texts, axis.title)]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    for number, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:number])
    assert len(boxes) == 7 + 4 + 9


def test_every_unit_changes_its_own_part_of_the_face():
    tiles = figures.action_unit_pictures(SHEET)
    assert list(tiles) == ["at rest", *ACTION_UNITS] and SHEET.stat().st_size < 80_000
    rest = tiles.pop("at rest").astype(int)
    half = len(rest) // 2
    for unit, tile in tiles.items():
        change = np.abs(tile - rest).mean(axis=2)
        upper = unit in ("AU1", "AU2", "AU4", "AU6")
        assert change.max() > 40 and (change[:half].sum() > change[half:].sum()) == upper, unit


def test_a_picture_that_is_no_sheet(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((10, 10, 3), np.uint8))
    (tmp_path / "b.jpg").write_text("words")
    for name in ("a.jpg", "b.jpg"):
        with pytest.raises(UserError, match="not a picture of 3 x 3 faces"):
            figures.action_unit_pictures(tmp_path / name)


def test_grid_keeps_every_picture_in_reading_order():
    """Grey levels 0, 50, 100, ... read back from the JPEG, below the title."""
    pictures = np.zeros((5, 8, 8, 3), np.uint8) + np.arange(0, 250, 50, dtype=np.uint8)[:, None, None, None]
    grid = plots.picture_grid(pictures, columns=3, title="Five greys")
    shown = cv2.imdecode(np.frombuffer(grid.data, np.uint8), cv2.IMREAD_GRAYSCALE)
    side = shown.shape[1] // 3
    bottom = shown.shape[0] - side // 2
    levels = shown[np.ix_([bottom - side, bottom], side // 2 + side * np.arange(3))]
    assert np.allclose(levels, [[0, 50, 100], [150, 200, 255]], atol=4)
    assert grid.alt == "Five greys"

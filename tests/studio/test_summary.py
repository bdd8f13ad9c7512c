"""The summary page: its numbers against those counted by hand, its faces against their frames."""

import base64
import re

import cv2
import numpy as np
import pandas as pd
import pytest

from affkit.labels import ACTION_UNITS, EXPRESSIONS
from affkit.video.video import write_video
from affkit_studio.summary import peaks, rates, write_summary


def faces():
    """Six frames, of which the third has no face: what is said is plain."""
    table = pd.DataFrame({"video": "a", "frame": [1, 2, 4, 5, 6], "person": 0, "x": 20.0, "y": 20.0})
    table = table.assign(w=60.0, h=60.0, score=1.0)
    table["valence"], table["arousal"] = [0.1, 0.9, 0.0, -0.5, 0.2], [0.3, 0.0, -0.1, 0.6, 0.2]
    table[list(EXPRESSIONS)], table[list(ACTION_UNITS)] = 0.05, 0.0
    for row, name, value in ((0, "Fear", 0.6), (1, "Fear", 0.7), (2, "Anger", 0.9), (3, "Anger", 0.8)):
        table.loc[row, name] = value
    table.loc[4, "Sadness"] = 0.65
    table["AU4"] = [0.5, 0.4, 0.6, 0.7, 0.1]
    return table


SECONDS = np.array([0.0, 1.0, 2.0, 3.0, 5.0, 6.0])  # the fifth frame comes late: the fourth lasts two seconds


def test_rates_are_of_the_time_in_which_the_face_is_seen():
    expressions, units = rates(faces().set_index("frame"), SECONDS)  # frames last 1, 1, 2, 1, 1.2 seconds
    expected = {"Fear": 2, "Anger": 3, "Sadness": 1.2}
    assert {name: value for name, value in expressions.items() if value} == pytest.approx(
        {name: value / 6.2 for name, value in expected.items()}
    )
    assert list(expressions.index) == list(EXPRESSIONS)
    assert units.loc["AU4"].tolist() == pytest.approx([4 / 6.2, 2 * 60 / 6.2])
    assert (units.drop("AU4") == 0).all(axis=None)


def test_the_page_stands_alone_and_shows_each_peak(tmp_path):
    video = tmp_path / "<script>&.mp4"
    write_video(video, (np.full((120, 120, 3), 40 * i, np.uint8) for i in range(6)), fps=1)
    table = faces()
    both = pd.concat([table, table.assign(person=1)])
    write_summary(tmp_path / "page.html", video, both)
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "<script" not in page and "&lt;script&gt;&amp;.mp4" in page
    assert (
        not re.search(r"(src|href)=.(?!data:|#)", page) and "url(http" not in page and "@import" not in page
    )
    shown = re.findall(r'alt="([^"]*)" src="data:image/jpeg;base64,([^"]*)"', page)
    names = [words.rpartition(", ")[0] for words, _ in shown]
    first = [
        "valence +0.90, Fear 70%",
        "valence -0.50, arousal +0.60",
        "arousal -0.10, Anger 90%",
        "Sadness 65%",
    ]
    assert names == 2 * first
    for (_, data), frame in zip(shown, (2, 5, 4, 6), strict=False):
        face = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert face.mean() == pytest.approx(40 * (frame - 1), abs=4)
    assert page.count("<svg") == 2 and "valence" in page and "#010203" not in page


@pytest.mark.parametrize("columns", [("valence", "arousal"), EXPRESSIONS, ACTION_UNITS])
def test_a_network_that_tells_only_some_has_a_page_too(tmp_path, columns):
    video = tmp_path / "a.mp4"
    write_video(video, np.full((6, 120, 120, 3), 90, np.uint8))
    table = faces()[["video", "frame", "person", "x", "y", "w", "h", *columns]]
    write_summary(tmp_path / "page.html", video, table)
    assert "<svg" in (tmp_path / "page.html").read_text("utf-8")
    assert (not peaks(table.set_index("frame"))) == (columns == ACTION_UNITS)

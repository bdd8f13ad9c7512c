"""Faces sampled from clips: their frames, labels and crops, and two people in a picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from repository import ROOT

from affkit.corpus.corpus import Corpus
from affkit.errors import UserError
from affkit.faces.detectors import Box, crop_face
from affkit.faces.extract import sample_faces
from affkit.video.video import Video

CLIPS = ROOT / "data_samples" / "clips"


class Found:
    """A detector that always sees two faces, the surer one on the right."""

    name = "found"

    def detect(self, frame):
        height, width = frame.shape[:2]
        side = height / 3
        return [Box(0.7 * width, 9, side, side, 2.0), Box(0.1 * width, 9, side, side, 1.0)]


@pytest.fixture(scope="module")
def corpus():
    return Corpus.open(CLIPS)


def test_sampled_rows_carry_the_labels_of_their_frames(corpus):
    store = sample_faces(corpus, ["interview", "webcam_avi"], per_clip=5, detector=Found(), progress=False)
    assert len(store) == 10 and store.images.shape == (10, 32, 32, 3)
    for row, found in zip(store.index.itertuples(), range(10), strict=True):
        theirs = corpus.labels[row.name][row.frame - 1 : row.frame]
        assert store.labels[found : found + 1] == theirs
        assert row.subject == corpus.subjects[row.name]
    frames = store.index.groupby("name")["frame"].agg(list)
    labelled = 1 + np.flatnonzero(corpus.labels["interview"].has_va)
    assert [frames["interview"][0], frames["interview"][-1]] == [labelled[0], labelled[-1]]


def test_crops_are_the_frames_at_these_numbers(corpus):
    store = sample_faces(corpus, ["webcam_avi"], per_clip=3, detector=Found(), progress=False)
    film = list(Video(corpus.video_path("webcam_avi")).frames())
    for row in range(3):
        frame = film[store.index["frame"][row] - 1]
        np.testing.assert_array_equal(store[row], crop_face(frame, Found().detect(frame)[0], 32))


def test_two_people_in_a_picture_are_told_apart(corpus):
    names = ["two_people_left", "two_people_right"]
    store = sample_faces(corpus, names, per_clip=2, detector=Found(), progress=False)
    width = 640
    assert (store.index.query("name == 'two_people_left'")["x"] < width / 2).all()
    assert (store.index.query("name == 'two_people_right'")["x"] > width / 2).all()
    assert store.index["person"].tolist() == [0, 0, 1, 1]
    assert store.index["video"].unique().tolist() == ["two_people"]


@settings(max_examples=10, deadline=None)
@given(per_clip=st.integers(1, 400))
def test_frames_are_spread_evenly(per_clip):
    corpus = Corpus.open(CLIPS)
    index = sample_faces(corpus, ["webcam_avi"], per_clip, detector=Found(), progress=False).index
    steps = np.diff(index["frame"])
    assert len(index) == min(per_clip, corpus.labels["webcam_avi"].has_va.sum())
    assert len(steps) == 0 or (steps.min() > 0 and steps.max() - steps.min() <= 1)


def test_nobody_there_is_said(corpus):
    class Blind:
        name = "blind"

        def detect(self, frame):
            return []

    with pytest.raises(UserError, match="no face in any"):
        sample_faces(corpus, ["webcam_avi"], per_clip=2, detector=Blind(), progress=False)

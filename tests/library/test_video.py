"""Clips of every kind: what they are, their frames in order and by number, and files that are none."""

import os
import subprocess
import sys
import warnings
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refuses
from videos import add_pictures, numbered, read_number, read_numbers, video_kinds, write_numbered

from affkit.video.video import Video, View, write_video

pytestmark = pytest.mark.slow  # encodes and decodes videos

KINDS = video_kinds()


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return {name: write_numbered(folder / name, **kind) for name, kind in KINDS.items()}


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """100 frames, keyframes 30 apart, B-frames."""
    return write_numbered(tmp_path_factory.mktemp("long") / "long.mp4", num_frames=100)


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_of_every_kind_in_order_and_by_number(clips, name):
    num_frames = KINDS[name].get("num_frames", 40)
    with warnings.catch_warnings(action="error"):  # a sound clip gives none
        with Video(clips[name]) as video:
            frames = list(video.frames())
            assert [read_number(frame) for frame in frames] == list(range(num_frames))
            assert video.num_frames == len(video) == num_frames
            assert (video.width, video.height) == KINDS[name].get("size", (160, 96))
            assert video.rotation == KINDS[name].get("rotation", 0)
            times = KINDS[name].get("times")
            if times is None:
                assert float(video.fps) == pytest.approx(float(KINDS[name]["fps"]), rel=1e-3)
                assert video.duration == pytest.approx(num_frames / KINDS[name]["fps"], abs=0.05)
                times = [i / float(KINDS[name]["fps"]) for i in range(num_frames)]
            np.testing.assert_allclose(video.seconds, times, atol=1e-3)
            for i in np.random.default_rng(0).permutation(num_frames)[:12]:
                np.testing.assert_array_equal(video.frame(i), frames[i])
            shown = [read_number(frame) for frame in video.frames(33, 36)]
            assert shown == list(range(num_frames))[33:36]


@pytest.mark.parametrize("mirror", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_turning_follows_the_display_matrix_point_by_point(tmp_path, degrees, mirror):
    path, picture = tmp_path / "a.mp4", numbered(5, 48, 32)
    with av.open(str(path), "w") as container:
        add_pictures(container, [picture], display=(degrees, *mirror))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        view = View.of(frame, Fraction(1))
        sides = [side for side in frame.side_data if "DISPLAYMATRIX" in str(side.type)]
    matrix = np.frombuffer(sides[0], np.int32) if sides else np.array([65536, 0, 0, 0, 65536])
    a, b, _, c, d = np.sign(np.where(np.abs(matrix[:5]) > 1000, matrix[:5], 0))
    q, p = np.mgrid[:32, :48]
    x, y = a * p + c * q, b * p + d * q
    expected = np.zeros((view.shown_size[1], view.shown_size[0], 3), np.uint8)
    expected[y - y.min(), x - x.min()] = picture
    np.testing.assert_array_equal(view.turn(picture), expected)
    (shown,) = Video(path).frames()
    assert np.abs(shown.astype(int) - expected).mean() < 8


@pytest.mark.parametrize("start", [0, 1, 29, 30, 31, 59, 60, 74, 99, 100, 500])
def test_starts_exactly_anywhere(long_clip, start):
    numbers = [read_number(frame) for frame in Video(long_clip).frames(start, start + 4)]
    assert numbers == list(range(start, min(start + 4, 100)))


def test_bounds_of_frames_and_two_who_read_in_turn_are_told_and_what_is_open_is_handed_on(long_clip):
    with Video(long_clip) as video:
        with Video.of(video) as same, Video.of(long_clip) as other:
            assert same is video and other is not video
        assert read_number(video.frame(7)) == 7  # it is still open
        assert list(video.frames(5, 5)) == []
        with pytest.raises(ValueError, match="start"):
            list(video.frames(-1))
        for i in (-1, 100):
            with pytest.raises(IndexError, match=f"frame {i} of 100"):
                video.frame(i)
    video = Video(long_clip)
    first, second = video.frames(), video.frames()
    next(first), next(second)
    with pytest.raises(RuntimeError, match="long.mp4: is read by two at a time"):
        next(first)
    assert read_number(next(second)) == 1


def test_grey_frames_can_be_written_to(long_clip):
    grey, colour = next(Video(long_clip).frames(format="gray")), next(Video(long_clip).frames())
    assert grey.shape == (96, 160) and grey.dtype == np.uint8
    assert np.abs(grey - cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY).astype(float)).mean() < 4
    grey[0] = colour[0, 0, 0] = 1


def test_pixels_that_are_not_square(tmp_path):
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        add_pictures(container, (numbered(i, 80, 96) for i in range(3)), sample_aspect_ratio=Fraction(2, 1))
    assert (Video(path).width, Video(path).height) == (160, 96)
    assert read_numbers(path) == [0, 1, 2]


def test_a_pixel_that_no_camera_has_is_told_once_and_taken_as_square(tmp_path):
    path = tmp_path / "thin.mp4"
    with av.open(str(path), "w") as container:
        add_pictures(container, (numbered(i, 80, 96) for i in range(3)), sample_aspect_ratio=Fraction(1, 50))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with Video(path) as video:
            assert (video.width, video.height, video.num_frames) == (80, 96, 3)
            assert [read_number(video.frame(i)) for i in (2, 0)] == [2, 0] and len(list(video.frames())) == 3
    said = [str(one.message) for one in told]
    assert said == [f"{path}: pixels 1/50 times as wide as high are taken as square"]


def _with_sound(path, pictures: bool):
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=44100)
        if pictures:
            add_pictures(container, map(numbered, range(10)))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), "fltp", "mono")
        silence.rate = 44100
        container.mux(sound.encode(silence))
        container.mux(sound.encode())
    return path


def test_sound_longer_than_the_pictures_is_no_damage(tmp_path):
    with warnings.catch_warnings(action="error"):
        for name in ("a.mp4", "a.mkv"):
            assert read_numbers(_with_sound(tmp_path / name, True)) == list(range(10))


def _remux(path, target, **options):
    """The same packets in another container."""
    with av.open(str(path)) as source, av.open(str(target), "w", container_options=options) as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return target


def test_bad_files_get_one_clear_line(tmp_path):
    good = write_numbered(tmp_path / "good.mp4", num_frames=20).read_bytes()
    files = {
        "text.mp4": (b"valence,arousal\n0.1,0.2\n" * 50, "not a video"),
        "text.txt": (b"hello\n" * 500, "not a video"),
        "list.m3u8": (b"#EXTM3U\n#EXTINF:9,\ngood.mp4\n#EXT-X-ENDLIST\n", "not a video"),
        "list.mp4": (b"ffconcat version 1.0\nfile good.mp4\n", "not a video"),
        "picture.png": (cv2.imencode(".png", numbered(0))[1].tobytes(), "not a video"),
        "picture.mp4": (cv2.imencode(".jpg", numbered(0))[1].tobytes(), "not a video"),
        "noise.avi": (np.random.default_rng(0).bytes(5000), "not a video"),
        "half.mp4": (good[: len(good) // 2], "cut short"),
        "empty.mp4": (b"", "empty"),
    }  # fmt: skip
    for name, (content, _) in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.mp4").mkdir()
    _with_sound(tmp_path / "sound.mp4", pictures=False)
    files |= {"missing.mp4": ("", "no such file"), "folder.mp4": ("", "not a file")}
    for name, (_, words) in (files | {"sound.mp4": ("", "only sound")}).items():
        refuses((words, str(tmp_path / name), "; "), Video, tmp_path / name)


@pytest.mark.parametrize("kind", ["mp4", "fragmented", "mkv", "webm", "avi"])
def test_a_clip_cut_short_gives_what_comes_before(tmp_path, long_clip, kind):
    flags = {"mp4": "faststart", "fragmented": "frag_keyframe+empty_moov"}
    if kind in flags:
        whole = _remux(long_clip, tmp_path / "a.mp4", movflags=flags[kind])
    else:
        codec = {"mkv": "libx264", "webm": "libvpx-vp9", "avi": "mjpeg"}[kind]
        whole = write_numbered(tmp_path / f"a.{kind}", num_frames=100, codec=codec)
    for fraction in (0.5, 0.8):
        cut = tmp_path / f"cut{whole.suffix}"
        cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * fraction)])
        with pytest.warns(UserWarning, match=r"cut\.\w+: breaks off after frame (\d+)") as caught:
            numbers = read_numbers(cut)
        assert 10 < len(numbers) < 90
        assert numbers == list(range(len(numbers)))  # nothing is missing before the end
        assert f"frame {len(numbers)};" in str(caught[0].message)


def test_names_that_look_like_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("http:clip.mp4", "-i.mp4", "50% off, 'new'.mp4", "lächeln %03d.mp4"):
        write_numbered(tmp_path / name, num_frames=2)
        assert read_numbers(name) == [0, 1]


def test_write_needs_a_frame_leaves_nothing_and_gives_the_same_bytes_again(tmp_path):
    def breaking():
        yield numbered(0)
        raise RuntimeError("camera gone")

    with pytest.raises(ValueError, match="no frames"):
        write_video(tmp_path / "a.mp4", [])
    with pytest.raises(RuntimeError, match="camera gone"):
        write_video(tmp_path / "a.mp4", breaking())
    assert list(tmp_path.iterdir()) == []
    first, second = (write_numbered(tmp_path / name).read_bytes() for name in ("a.mp4", "b.mp4"))
    assert first == second


@settings(max_examples=40)
@given(st.lists(st.integers(0, 99), min_size=1, max_size=15), st.sampled_from([0, 200_000, 10**9]))
def test_any_way_through_a_clip(long_clip, numbers, cache_bytes):
    with Video(long_clip, cache_bytes) as video:
        assert [read_number(video.frame(i)) for i in numbers] == numbers


def test_a_clip_with_one_keyframe_and_late_frames(tmp_path):
    """As a phone or a screen recorder writes it: B-frames, open groups of pictures, 60 frames apart."""
    path = tmp_path / "open.mp4"
    source = write_numbered(tmp_path / "source.mp4", num_frames=130)
    with av.open(str(path), "w") as container:
        add_pictures(container, Video(source).frames(), {"g": "60", "x264-params": "open-gop=1:bframes=3"})
    with Video(path, cache_bytes=0) as video:
        order = [129, 60, 59, 58, 61, 0, 119, 1]
        assert [read_number(video.frame(i)) for i in order] == order
        for start in (58, 59, 60, 61):
            assert [read_number(frame) for frame in video.frames(start, 63)] == list(range(start, 63))


def test_a_step_forward_decodes_one_frame_and_memory_is_bounded(long_clip):
    with Video(long_clip) as video:
        video.frame(50)
        kept = []
        video._keep = lambda number, frame, keep=video._keep: (kept.append(number), keep(number, frame))
        for i in (51, 52, 51, 53):
            video.frame(i)
    assert kept == [51, 52, 53]
    with Video(long_clip, cache_bytes=10 * 160 * 96 * 3 // 2) as video:
        for i in range(100):
            video.frame(i)
            assert len(video._cache) <= 10
        assert 99 in video._cache


def test_a_damaged_place_ends_the_clip_but_frames_beyond_are_found_by_number(tmp_path):
    path = write_numbered(tmp_path / "clip.mp4", num_frames=300, size=(320, 192))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    path.write_bytes(data)
    with pytest.warns(UserWarning, match="breaks off after frame"):
        numbers = read_numbers(path)
    assert numbers == list(range(len(numbers))) and 35 < len(numbers) < 299
    with pytest.warns(UserWarning, match=f"breaks off after frame {len(numbers)};"):
        assert [read_number(frame) for frame in Video(path).frames(35)] == numbers[35:]
    with Video(path) as video:
        assert [read_number(video.frame(i)) for i in (0, 299, 20)] == [0, 299, 20]
        path.unlink()
        refuses("no such file", video.frame, 90)


TINY_DISK = """
import sys
import numpy as np
from affkit.video.video import write_video
noise = np.random.default_rng(0)
write_video(sys.argv[1], (noise.integers(0, 256, (96, 160, 3), np.uint8) for _ in range(int(sys.argv[2]))))
"""


@pytest.mark.parametrize("num_frames", [30, 300])
def test_full_disk(tmp_path, num_frames):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk]
    if os.name != "posix" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a small disk")
    try:
        path = disk / "a.mp4"
        command = [sys.executable, "-c", TINY_DISK, path, str(num_frames)]
        result = subprocess.run(command, capture_output=True, text=True)
        assert "UserError" in result.stderr and "the disk is full" in result.stderr
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)

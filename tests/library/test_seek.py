"""Any frame of a clip at once: the same pictures that reading from the start gives, in any order."""

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from videos import read_number, video_kinds, write_numbered

from affkit.errors import UserError
from affkit.video.video import Video

KINDS = video_kinds()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_numbered(tmp_path_factory.mktemp("seek") / "clip.mp4", num_frames=100)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_the_frames_that_reading_gives(tmp_path, name):
    path = write_numbered(tmp_path / name, **KINDS[name])
    wanted = list(Video(path).frames())
    with Video(path) as video:
        assert (len(video), video.height, video.width) == (len(wanted), *wanted[0].shape[:2])
        for i in np.random.default_rng(0).permutation(len(wanted))[:12]:
            np.testing.assert_array_equal(video.frame(i), wanted[i])


@given(st.lists(st.integers(0, 99), min_size=1, max_size=15), st.sampled_from([0, 200_000, 10**9]))
def test_any_way_through_a_clip(clip, numbers, cache_bytes):
    with Video(clip, cache_bytes) as video:
        assert [read_number(video.frame(i)) for i in numbers] == numbers


def test_a_clip_with_one_keyframe_and_late_frames(tmp_path):
    """As a phone or a screen recorder writes it: B-frames, open groups of pictures, 60 frames apart."""
    path = tmp_path / "open.mp4"
    source = write_numbered(tmp_path / "source.mp4", num_frames=130)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=30, options={"g": "60", "x264-params": "open-gop=1:bframes=3"}
        )
        stream.width, stream.height = 160, 96
        for picture in Video(source).frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    with Video(path, cache_bytes=0) as video:
        assert [read_number(video.frame(i)) for i in (129, 60, 59, 58, 61, 0, 119, 1)] == [
            129,
            60,
            59,
            58,
            61,
            0,
            119,
            1,
        ]


def test_a_step_forward_decodes_one_frame(clip):
    with Video(clip) as video:
        video.frame(50)
        kept = []
        video._keep = lambda number, frame, keep=video._keep: (kept.append(number), keep(number, frame))
        for i in (51, 52, 51, 53):
            video.frame(i)
    assert kept == [51, 52, 53]


def test_memory_is_bounded(clip):
    with Video(clip, cache_bytes=10 * 160 * 96 * 3 // 2) as video:
        for i in range(100):
            video.frame(i)
            assert len(video._cache) <= 10
        assert 99 in video._cache


def test_what_cannot_be_read(tmp_path, clip):
    with pytest.raises(UserError, match="no such file"):
        Video(tmp_path / "nothing.mp4")
    with Video(clip) as video:
        for i in (-1, 100):
            with pytest.raises(IndexError, match=f"frame {i} of 100"):
                video.frame(i)


def test_a_clip_that_vanishes_while_it_is_open(tmp_path):
    path = write_numbered(tmp_path / "clip.mp4", num_frames=90)
    with Video(path) as video:
        path.unlink()
        with pytest.raises(UserError, match="no such file"):
            video.frame(80)


def test_a_clip_damaged_in_the_middle(tmp_path):
    path = write_numbered(tmp_path / "clip.mp4", num_frames=300, size=(320, 192))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    path.write_bytes(data)
    with Video(path) as video:
        assert [read_number(video.frame(i)) for i in (0, 299, 20)] == [0, 299, 20]

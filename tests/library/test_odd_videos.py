"""Frame i is one thing: in files made at random, as cuts, cameras and calls make them."""

import os
import warnings
from contextlib import suppress
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from hypothesis import HealthCheck, event, given, settings
from odd_videos import DAMAGED_PIXELS, SIZE, odd_videos, read_stored
from PIL import Image
from refusals import refuses
from videos import numbered, read_labels, read_number, read_numbers, write_labels

from affkit.errors import UserError
from affkit.video.convert import convert_videos
from affkit.video.video import Video, _Alike

pytestmark = pytest.mark.slow  # encodes and decodes videos


def decoded(path, track: int) -> list[int]:
    """The numbers on the frames, by nothing but PyAV's loop."""
    numbers = []
    with suppress(av.FFmpegError), av.open(str(path)) as container:  # at the first break it ends
        for frame in container.decode(video=track):
            numbers.append(read_stored(frame.to_ndarray(format="rgb24")))
    return numbers


@pytest.fixture
def filters_made_once(monkeypatch):
    """FFmpeg takes 2 s for its table of the colours of high dynamic range."""
    made, make = {}, _Alike._graph

    def graph(alike, frame, is_hdr):
        key = alike.size, frame.width, frame.height, frame.format.name, frame.color_trc
        return made.get(key) or made.setdefault(key, make(alike, frame, is_hdr))

    monkeypatch.setattr(_Alike, "_graph", graph)


@settings(
    max_examples=int(os.environ.get("AFFKIT_ODD_VIDEOS", 300)),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(odd=odd_videos())
def test_read_through_by_number_and_converted_with_labels_frame_i_is_what_decoding_yields(
    odd, tmp_path_factory, filters_made_once
):
    event(f"{odd.kind}, {odd.fault}")
    event(f"pixels {odd.pixel}, {odd.light}")
    event(f"{len(odd.sizes)} sizes, {odd.tracks}")
    folder = tmp_path_factory.mktemp("odd")
    path = odd.write(folder)
    expected = decoded(path, odd.tracks.index("film"))
    if not expected:
        with pytest.raises(UserError, match="not one frame can be decoded|is not a video"):
            Video(path)
        return
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with Video(path) as video:
            numbers = [odd.read(frame) for frame in video.frames()]
            pixel = Fraction(1) if odd.pixel in DAMAGED_PIXELS else odd.pixel
            width, height = (video.height, video.width) if odd.rotation % 180 else (video.width, video.height)
            assert (width, height) in [(round(w * pixel), h) for w, h in odd.sizes]
            assert video.num_frames == len(video.seconds) == len(numbers)
            assert [odd.read(video.frame(i)) for i in reversed(range(len(numbers)))] == numbers[::-1]
    assert any("taken as square" in str(one.message) for one in told) == (odd.pixel in DAMAGED_PIXELS)
    # a file whose end is missing ends before the frames that may be damaged, and says so
    assert numbers == expected[: len(numbers)] and (
        len(numbers) == len(expected) or any("breaks off" in str(one.message) for one in told)
    )
    labels = write_labels(folder / "labels" / "odd.txt", len(numbers))
    with warnings.catch_warnings(action="ignore"):
        (clip,) = convert_videos([path], folder / "out", labels.parent, progress=False)
    lines = read_labels(folder / "out" / "labels" / "odd.txt")
    assert [numbers[line] for line in lines] == [odd.read(frame) for frame in Video(clip).frames()]


def test_of_several_tracks_the_default_or_the_largest_is_read_and_named(tmp_path):
    """A camera's preview comes first, one frame small; then the film."""
    path = tmp_path / "preview.mp4"
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("libx264", rate=30) for _ in range(2)]
        for stream, size in zip(streams, [(64, 48), SIZE], strict=True):
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        streams[1].disposition = Disposition.default
        for stream, size, numbers in zip(streams, [(64, 48), SIZE], [[1023], range(20)], strict=True):
            for i, number in enumerate(numbers):
                frame = av.VideoFrame.from_ndarray(numbered(number, *size), "rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 30)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
    with pytest.warns(UserWarning, match="has 2 video tracks; number 2 of 160 x 96 pixels is read"):
        assert read_numbers(path) == list(range(20))


def test_a_size_that_changes_in_mid_call_is_fitted_in_and_told(tmp_path):
    """The second half stands upright, as when somebody turns a telephone: nothing is stretched."""
    path = tmp_path / "call.webm"
    with av.open(str(path), "w") as out:
        target = out.add_stream("libvpx", rate=30)
        target.width, target.height, target.pix_fmt = 160, 96, "yuv420p"
        for part, size in enumerate([(160, 96), (96, 160)]):
            coder = target if part == 0 else av.CodecContext.create("libvpx", "w")
            coder.width, coder.height, coder.pix_fmt = *size, "yuv420p"
            coder.time_base = Fraction(1, 30)
            pictures = [
                av.VideoFrame.from_ndarray(numbered(part * 10 + i, *size), "rgb24") for i in range(10)
            ]
            for i, picture in enumerate([*pictures, None]):
                if picture:
                    picture.pts, picture.time_base = i, Fraction(1, 30)
                for packet in coder.encode(picture):
                    packet.pts = packet.dts = packet.pts + (10 * part if part else 0)
                    packet.stream, packet.time_base = target, Fraction(1, 30)
                    out.mux(packet)
    with pytest.warns(UserWarning, match="frame 11 is 96 x 160 pixels, those before 160 x 96"):
        frames = list(Video(path).frames())
    assert {frame.shape for frame in frames} == {(96, 160, 3)} and len(frames) == 20
    assert [read_number(frame) for frame in frames[:10]] == list(range(10))
    width = round(96 * 96 / 160)  # of an upright picture in one that lies, black on both sides
    left = (160 - width) // 2
    assert all(
        frame[:, : left - 2].mean() < 12 and frame[:, left + width + 2 :].mean() < 12 for frame in frames[10:]
    )
    upright = [cv2.resize(frame[:, left : left + width], (96, 160)) for frame in frames[10:]]
    assert [read_number(frame) for frame in upright] == list(range(10, 20))


def test_high_dynamic_range_gets_the_colours_of_a_usual_screen(tmp_path):
    """A ramp of light in the code of ST 2084 (PQ), in which white paper, 203 candela, is a middle grey."""
    light = np.linspace(0.0, 203, 128) / 10_000
    power = light**0.1593017578125
    code = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    path = tmp_path / "phone.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = 16, 9, 9
        frame = av.VideoFrame(128, 64, "yuv420p10le")
        rows = [np.tile(64 + 876 * code, (64, 1)), *[np.full((32, 64), 512)] * 2]
        for plane, values in zip(frame.planes, rows, strict=True):
            lines = np.zeros((values.shape[0], plane.line_size // 2), np.uint16)
            lines[:, : values.shape[1]] = values.round()
            plane.update(lines.tobytes())
        frame.pts, frame.time_base = 0, Fraction(1, 30)
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    (shown,) = Video(path).frames()
    grey = shown[8:-8].mean(axis=(0, 2))
    gamma = 255 * (light / light.max()) ** (1 / 2.4)  # of BT.1886: the code of the same light on a screen
    assert np.abs(grey - gamma * grey.max() / 255).mean() < 8 and grey.max() > 180


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff"])
def test_a_picture_is_called_a_picture(tmp_path, suffix):
    Image.fromarray(numbered(1)).save(tmp_path / f"face{suffix}")
    path = (tmp_path / f"face{suffix}").rename(tmp_path / "face.mp4")
    refuses("face.mp4: is a picture, not a video", Video, path)

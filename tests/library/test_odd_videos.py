"""Frame i is one thing: in files made at random, as cuts, cameras and calls make them."""

import warnings
from contextlib import suppress

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from odd_videos import odd_videos
from videos import read_labels, read_number, read_numbers, write_labels

from affkit.errors import UserError
from affkit.video.convert import convert_videos
from affkit.video.video import Video

pytestmark = pytest.mark.slow  # encodes and decodes videos


def decoded(path, rotation: int) -> list[int]:
    """The numbers on the frames, by nothing but PyAV's loop."""
    numbers = []
    with av.open(str(path)) as container, suppress(av.FFmpegError):  # at the first break it ends
        for frame in container.decode(video=0):
            numbers.append(read_number(np.rot90(frame.to_ndarray(format="rgb24"), rotation // 90)))
    return numbers


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(odd=odd_videos())
def test_read_through_by_number_and_converted_with_labels_frame_i_is_what_decoding_yields(
    odd, tmp_path_factory
):
    event(f"{odd.kind}, {odd.fault}")
    folder = tmp_path_factory.mktemp("odd")
    path = odd.write(folder)
    expected = decoded(path, odd.rotation)
    if not expected:
        with pytest.raises(UserError, match="not one frame can be decoded"):
            Video(path)
        return
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with Video(path) as video:
            numbers = [read_number(frame) for frame in video.frames()]
            assert video.num_frames == len(video.seconds) == len(numbers)
            assert [read_number(video.frame(i)) for i in reversed(range(len(numbers)))] == numbers[::-1]
    # a file whose end is missing ends before the frames that may be damaged, and says so
    assert numbers == expected[: len(numbers)] and (len(numbers) == len(expected) or told)
    labels = write_labels(folder / "labels" / "odd.txt", len(numbers))
    with warnings.catch_warnings(action="ignore"):
        (clip,) = convert_videos([path], folder / "out", labels.parent, progress=False)
    lines = read_labels(folder / "out" / "labels" / "odd.txt")
    assert [numbers[line] for line in lines] == read_numbers(clip)

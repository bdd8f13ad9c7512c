"""Strips and films of faces, read back with what did not write them."""

import numpy as np
import PIL.Image
import pytest

from affkit.errors import UserError
from affkit.video.video import Video
from affkit_studio.browse.film_strip import enlarged, film_strip, write_film

COLORS = np.array([[230, 20, 20], [20, 200, 20], [30, 30, 220], [240, 240, 240]], np.uint8)
FRAMES = np.tile(COLORS[:, None, None], (1, 32, 32, 1))


def test_a_strip_shows_first_and_last_and_evenly_between():
    frames = np.arange(101, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    strip = film_strip(frames, columns=5, count=5)
    assert strip.shape == (4, 20, 3) and strip[0, ::4, 0].tolist() == [0, 25, 50, 75, 100]
    assert film_strip(FRAMES, columns=2).shape == (64, 64, 3)


def test_a_gif_has_all_frames_their_colours_and_their_time(tmp_path):
    write_film(tmp_path / "a.gif", FRAMES, fps=10, side=64)
    with PIL.Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 4 and gif.size == (64, 64) and gif.info["loop"] == 0
        for number, color in enumerate(COLORS):
            gif.seek(number)
            assert gif.info["duration"] == 100
            assert np.abs(np.array(gif.convert("RGB"))[10, 10].astype(int) - color).max() < 12


@pytest.mark.parametrize("size", [32, 33])
def test_an_mp4_too_with_even_sides(tmp_path, size):
    frames = np.tile(COLORS[:, None, None], (1, size, size, 1))
    path = write_film(tmp_path / "a.mp4", frames, fps=12, side=size)
    info = Video(path)
    assert (info.width, info.num_frames, info.fps) == (32, 4, 12)
    shown = np.stack(list(Video(path).frames()))[:, 16, 16].astype(int)
    assert np.abs(shown - COLORS).max() < 30


def test_small_faces_are_enlarged_whole_times_and_large_ones_left():
    assert enlarged(FRAMES, 100).shape == (4, 128, 128, 3)
    assert enlarged(FRAMES, 32) is FRAMES
    np.testing.assert_array_equal(enlarged(FRAMES, 64)[2, 30, 30], COLORS[2])


def test_nothing_is_overwritten_unless_asked_and_other_endings_are_refused(tmp_path):
    path = write_film(tmp_path / "a.gif", FRAMES)
    before = path.read_bytes()
    with pytest.raises(UserError, match="already exists"):
        write_film(path, FRAMES[:1])
    assert path.read_bytes() == before
    write_film(path, FRAMES[:1], force=True)
    assert path.read_bytes() != before
    with pytest.raises(UserError, match=r"let the name end in .mp4 or .gif"):
        write_film(tmp_path / "a.webm", FRAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]

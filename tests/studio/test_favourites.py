"""Favourites: kept, edited by hand, of somebody else; films of faces, read by what did not write them."""

import json

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from refusals import refuses

from affkit.gan import sample_z
from affkit.video.video import Video
from affkit_studio.browse.favourites import Favourites
from affkit_studio.browse.film_strip import film_strip, write_film

KEY = "0123456789abcdef"
SMILE, FROWN = sample_z(2, 0).double().numpy()
COLORS = np.array([[230, 20, 20], [20, 200, 20], [30, 30, 220], [240, 240, 240]], np.uint8)
FRAMES = np.tile(COLORS[:, None, None], (1, 32, 32, 1))


@pytest.fixture
def path(tmp_path):
    favourites = Favourites(tmp_path / "favourites.json", KEY)
    favourites.keep("smile", SMILE)
    favourites.keep("Stirnrunzeln 😠", FROWN)
    return favourites.path


def edit(path, change):
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@settings(max_examples=40)
@given(
    st.lists(st.text('a\u00e9\U0001f620\u2028"\\{, \n\x00', min_size=1), unique_by=str.strip, max_size=3),
    arrays(np.float64, 100, elements=st.floats(-1, 1)),
)
def test_any_name_and_any_z_come_back_to_the_last_digit_in_order(tmp_path_factory, names, z):
    names = [name.strip() for name in names if name.strip()]
    favourites = Favourites(tmp_path_factory.mktemp("f") / "f.json", KEY)
    for name in names:
        favourites.keep(name, z)
    found = favourites.read()
    assert list(found) == names
    np.testing.assert_array_equal(list(found.values()), [z] * len(names))


def test_two_pages_do_not_lose_each_others_faces(path):
    one, other = Favourites(path, KEY), Favourites(path, KEY)
    one.keep("first", SMILE)
    other.keep("second", FROWN)
    one.remove("smile")
    assert list(other.read()) == ["Stirnrunzeln 😠", "first", "second"]


def test_names_are_not_taken_twice_unless_meant(path):
    favourites = Favourites(path, KEY)
    refuses("there is a favourite 'smile' already", favourites.keep, " smile ", FROWN)
    np.testing.assert_array_equal(favourites.read()["smile"], SMILE)
    favourites.keep("smile", FROWN, replace=True)
    np.testing.assert_array_equal(favourites.read()["smile"], FROWN)
    refuses("needs a name", favourites.keep, "  ", FROWN)
    refuses("has no favourite 'nobody'", favourites.remove, "nobody")
    for z in (SMILE[:99], 2 * np.ones(100), np.full(100, np.nan)):
        with pytest.raises(ValueError, match="outside"):
            favourites.keep("odd", z)


def first_z(number, value):
    """Put a number of the z of the first favourite, counted from 1 as messages do, to something else."""
    return lambda c: c["favourites"][0]["z"].__setitem__(number - 1, value)


FAULTS = {
    "favourite 2 has no name": lambda c: c["favourites"][1].pop("name"),
    "favourite 1 has no name": lambda c: c["favourites"].insert(0, "smile"),
    "favourite 2 ('Stirnrunzeln 😠') has 99 numbers": lambda c: c["favourites"][1]["z"].pop(),
    "favourite 1 ('smile') has no list as its z": lambda c: c["favourites"][0].update(z="0.1, 0.2"),
    "favourite 1 ('smile') has '1.5' as number 3": first_z(3, 1.5),
    "favourite 1 ('smile') has 'NaN' as number 1": first_z(1, np.nan),
    "favourite 1 ('smile') has '\"0\"' as number 100": first_z(100, "0"),
    "favourite 1 ('smile') has 'true' as number 2": first_z(2, True),
    "favourite 2 has the name of another, 'smile'": lambda c: c["favourites"][1].update(name="smile"),
    "has no list of favourites": lambda c: c.pop("favourites"),
    "not a file of favourites that this version": lambda c: c.update(format=2),
    "of another generator, 'None'": lambda c: c.pop("checkpoint"),
    f"of another generator, 'fedcba', not {KEY}": lambda c: c.update(checkpoint="fedcba"),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_file_edited_by_hand_gives_one_line_that_names_the_entry_and_is_left_alone(path, message):
    favourites = Favourites(path, KEY)
    edit(path, FAULTS[message])
    before = path.read_bytes()
    for call, *what in ((Favourites, path, KEY), (favourites.read,), (favourites.keep, "new", SMILE)):
        refuses((f"{path}: ", message), call, *what)
    assert path.read_bytes() == before


def test_what_is_no_json_is_told_with_its_line(path):
    no_comma = path.read_text(encoding="utf-8").replace('},\n{"name"', '}\n{"name"')
    for text, problem in (
        (no_comma, "is not JSON from line 5 on"),
        ("[1, 2]", "not a file of favourites"),
        ("", "the file is empty"),
    ):
        path.write_text(text, encoding="utf-8")
        refuses(problem, Favourites, path, KEY)


def test_a_link_that_leads_nowhere_is_told_and_not_written_over(tmp_path):
    (tmp_path / "f.json").symlink_to("f.json")
    refuses("f.json: no such file", Favourites, tmp_path / "f.json", KEY)
    assert (tmp_path / "f.json").is_symlink()


# ---- films


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


def test_an_mp4_too_with_even_sides(tmp_path):
    frames = np.tile(COLORS[:, None, None], (1, 33, 33, 1))
    path = write_film(tmp_path / "a.mp4", frames, fps=12, side=33)
    info = Video(path)
    assert (info.width, info.num_frames, info.fps) == (32, 4, 12)
    shown = np.stack(list(Video(path).frames()))[:, 16, 16].astype(int)
    assert np.abs(shown - COLORS).max() < 30


def test_nothing_is_overwritten_unless_asked_and_other_endings_are_refused(tmp_path):
    path = write_film(tmp_path / "a.gif", FRAMES)
    before = path.read_bytes()
    refuses("already exists", write_film, path, FRAMES[:1])
    assert path.read_bytes() == before
    write_film(path, FRAMES[:1], force=True)
    assert path.read_bytes() != before
    refuses("let the name end in .mp4 or .gif", write_film, tmp_path / "a.webm", FRAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]

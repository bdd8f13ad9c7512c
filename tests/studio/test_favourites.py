"""Favourites: kept, restored, edited by hand, and those of somebody else."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from affkit.errors import UserError
from affkit.gan import sample_z
from affkit_studio.browse.favourites import Favourites

KEY = "0123456789abcdef"
SMILE, FROWN = sample_z(2, 0).double().numpy()


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


def test_what_is_kept_comes_back_to_the_last_digit_in_order(path):
    found = Favourites(path, KEY).read()
    assert list(found) == ["smile", "Stirnrunzeln 😠"]
    np.testing.assert_array_equal(found["smile"], SMILE)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["checkpoint"] == KEY and content["favourites"][0]["name"] == "smile"
    assert len(path.read_text(encoding="utf-8").splitlines()) == 6  # a line a favourite, to be edited


@settings(max_examples=40)
@given(
    st.lists(st.text('a\u00e9\U0001f620\u2028"\\{, \n\x00', min_size=1), unique_by=str.strip, max_size=3),
    arrays(np.float64, 100, elements=st.floats(-1, 1)),
)
def test_any_name_and_any_z_come_back(tmp_path_factory, names, z):
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
    with pytest.raises(UserError, match="there is a favourite 'smile' already"):
        favourites.keep(" smile ", FROWN)
    np.testing.assert_array_equal(favourites.read()["smile"], SMILE)
    favourites.keep("smile", FROWN, replace=True)
    np.testing.assert_array_equal(favourites.read()["smile"], FROWN)
    with pytest.raises(UserError, match="needs a name"):
        favourites.keep("  ", FROWN)
    with pytest.raises(UserError, match="has no favourite 'nobody'"):
        favourites.remove("nobody")
    for z in (SMILE[:99], 2 * np.ones(100), np.full(100, np.nan)):
        with pytest.raises(ValueError, match="outside"):
            favourites.keep("odd", z)


def test_those_of_another_generator_are_refused_and_left_alone(path):
    before = path.read_bytes()
    with pytest.raises(UserError, match="of another generator, '0123456789abcdef', not fedcba") as caught:
        Favourites(path, "fedcba")
    assert "\n" not in str(caught.value) and path.read_bytes() == before


def first_z(**places):
    """Numbers of the z of the first favourite, counted from 1 as messages do, put to something else."""
    return lambda c: [c["favourites"][0]["z"].__setitem__(int(p[1:]) - 1, v) for p, v in places.items()]


FAULTS = {
    "favourite 2 has no name": lambda c: c["favourites"][1].pop("name"),
    "favourite 1 has no name": lambda c: c["favourites"].insert(0, "smile"),
    r"favourite 2 \('Stirn.*'\) has 99 numbers": lambda c: c["favourites"][1]["z"].pop(),
    r"favourite 1 \('smile'\) has no list as its z": lambda c: c["favourites"][0].update(z="0.1, 0.2"),
    r"favourite 1 \('smile'\) has '1.5' as number 3": first_z(n3=1.5),
    r"favourite 1 \('smile'\) has 'NaN' as number 1": first_z(n1=np.nan),
    r"favourite 1 \('smile'\) has '\"0\"' as number 100": first_z(n100="0"),
    r"favourite 1 \('smile'\) has 'true' as number 2": first_z(n2=True),
    "favourite 2 has the name of another, 'smile'": lambda c: c["favourites"][1].update(name="smile"),
    "has no list of favourites": lambda c: c.pop("favourites"),
    "not a file of favourites that this version": lambda c: c.update(format=2),
    "of another generator, 'None'": lambda c: c.pop("checkpoint"),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_file_edited_by_hand_gives_one_line_that_names_the_entry(path, message):
    edit(path, FAULTS[message])
    before = path.read_bytes()
    with pytest.raises(UserError, match=message) as caught:
        Favourites(path, KEY)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_what_is_no_json_is_told_with_its_line(path):
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('},\n{"name"', '}\n{"name"'), encoding="utf-8")
    with pytest.raises(UserError, match="is not JSON from line 5 on"):
        Favourites(path, KEY)
    path.write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(UserError, match="not a file of favourites"):
        Favourites(path, KEY)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="the file is empty"):
        Favourites(path, KEY)


def test_a_link_that_leads_nowhere_is_told_and_not_written_over(tmp_path):
    (tmp_path / "f.json").symlink_to("f.json")
    with pytest.raises(UserError, match="f.json: no such file"):
        Favourites(tmp_path / "f.json", KEY)
    assert (tmp_path / "f.json").is_symlink()

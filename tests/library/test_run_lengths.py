"""Stretches of frames: they cover all frames, in order, and none could be longer."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from affkit.labelfiles.formats import constant_runs, true_runs


@given(st.lists(st.integers(0, 2), max_size=20))
def test_stretches_are_maximal_and_cover_all_frames(values):
    values = np.array(values, int)
    found = constant_runs(values)
    assert found.shape == (len(found), 2)
    assert [i for start, stop in found.tolist() for i in range(start, stop)] == list(range(len(values)))
    assert all(len(set(values[start:stop])) == 1 for start, stop in found)
    assert all(values[stop - 1] != values[stop] for stop in found[:-1, 1])


@given(st.lists(st.booleans(), max_size=20))
def test_true_stretches_are_the_true_frames(mask):
    mask = np.array(mask, bool)
    found = true_runs(mask)
    inside = np.zeros(len(mask), bool)
    for start, stop in found:
        inside[start:stop] = True
    assert np.array_equal(inside, mask)
    assert (found[1:, 0] > found[:-1, 1]).all()  # something lies between them

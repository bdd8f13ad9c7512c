"""Hypothesis strategies for labels: any mask, any float32 in range, -1 among the values."""

import unicodedata

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from affkit.labels import ACTION_UNITS, EXPRESSIONS, Labels

UNIT_INTERVAL = st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-1, 1, width=32))
# what a file name may hold on every system; letters of all alphabets, no separators
VIDEO_NAMES = (
    st.text(st.characters(categories=("L", "N"), include_characters=" ._-()&'"), min_size=1, max_size=12)
    .filter(lambda name: name == name.strip() and not name.startswith(".") and name.isprintable())
    .filter(lambda name: len(name.encode()) < 100)
)


@st.composite
def any_labels(draw, action_unit_names=ACTION_UNITS, expression_names=EXPRESSIONS, max_frames=12) -> Labels:
    num_frames = draw(st.integers(1, max_frames))
    shape = (num_frames, len(action_unit_names))
    has_va = draw(hnp.arrays(bool, num_frames))
    has_expression = draw(hnp.arrays(bool, num_frames))
    has_action_units = draw(hnp.arrays(bool, shape))
    valence = draw(hnp.arrays(np.float32, num_frames, elements=UNIT_INTERVAL))
    arousal = draw(hnp.arrays(np.float32, num_frames, elements=UNIT_INTERVAL))
    expression = draw(hnp.arrays(np.int64, num_frames, elements=st.integers(0, len(expression_names) - 1)))
    action_units = draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([0.0, 1.0])))
    return Labels(
        valence=np.where(has_va, valence, 0).astype(np.float32),
        arousal=np.where(has_va, arousal, 0).astype(np.float32),
        has_va=has_va,
        expression=np.where(has_expression, expression, 0),
        has_expression=has_expression,
        action_units=np.where(has_action_units, action_units, 0).astype(np.float32),
        has_action_units=has_action_units,
        action_unit_names=tuple(action_unit_names),
        expression_names=tuple(expression_names),
    )


def corpora(**columns):
    """Up to four videos with the same columns, their names different on every file system."""
    videos = st.dictionaries(VIDEO_NAMES, any_labels(**columns), min_size=1, max_size=4)
    return videos.filter(lambda labels: len({_folded(name) for name in labels}) == len(labels))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKD", name).casefold()

"""What Labels promises: masks, names, and no value out of range."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from strategies import any_labels

from affkit.labelfiles.formats import ABAW_ACTION_UNITS
from affkit.labels import ACTION_UNIT_NAMES, ACTION_UNITS, EXPRESSIONS, EXPRESSIONS_WITH_OTHER, Labels


def test_the_papers_lists_and_empty_labels_of_nothing():
    assert [int(name[2:]) for name in ACTION_UNITS] == [1, 2, 4, 6, 12, 15, 20, 25]
    assert tuple(ACTION_UNIT_NAMES) == ACTION_UNITS
    assert ",".join(EXPRESSIONS) == "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise"
    assert EXPRESSIONS_WITH_OTHER == (*EXPRESSIONS, "Other")
    years_after = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"  # the header of their files
    assert ",".join(ABAW_ACTION_UNITS) == years_after
    labels = Labels.empty(3)
    assert len(labels) == 3
    for mask in (labels.has_va, labels.has_expression, labels.has_action_units):
        assert mask.dtype == bool and not mask.any()


@given(any_labels())
def test_rows_are_frames_and_labels_equal_themselves_and_no_others(labels):
    assert labels == labels[:] == labels[np.arange(len(labels))]
    assert labels == labels.with_action_units(labels.action_unit_names)
    kept = labels[labels.has_va]
    assert len(kept) == labels.has_va.sum() and kept.has_va.all()
    assert kept.valence.tolist() == [v for v, has in zip(labels.valence, labels.has_va, strict=True) if has]
    assert labels != replace(labels, has_action_units=~labels.has_action_units)
    assert labels != "labels"


@given(any_labels(action_unit_names=("AU1", "AU7", "AU12")))
def test_action_units_are_found_by_name(labels):
    other = labels.with_action_units(("AU12", "AU25", "AU1"))
    np.testing.assert_array_equal(other.action_units[:, 0], labels.action_units[:, 2])
    np.testing.assert_array_equal(other.has_action_units[:, 2], labels.has_action_units[:, 0])
    assert not other.has_action_units[:, 1].any()


@pytest.mark.parametrize("value", [1.5, -1.01, np.nan, np.inf, -5])
@pytest.mark.parametrize("name", ["valence", "arousal"])
def test_valence_and_arousal_lie_from_minus_one_to_one(name, value):
    labels = replace(Labels.empty(2), has_va=np.array([True, False]))
    with pytest.raises(ValueError, match=name):
        replace(labels, **{name: np.array([value, 0], np.float32)})
    replace(labels, **{name: np.array([0, value], np.float32)})  # not labelled: it means nothing


def test_what_is_no_expression_no_action_unit_or_does_not_fit_together_is_refused():
    for value in (-1, 7):
        with pytest.raises(ValueError, match="expression"):
            replace(Labels.empty(1), has_expression=np.array([True]), expression=np.array([value]))
    for value in (-1, 0.5, 2, np.nan):
        units = np.full((1, 8), value, np.float32)
        with pytest.raises(ValueError, match="action unit"):
            replace(Labels.empty(1), has_action_units=np.ones((1, 8), bool), action_units=units)
    with pytest.raises(ValueError, match="arousal has shape"):
        replace(Labels.empty(2), arousal=np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="twice"):
        Labels.empty(2, ("AU1", "AU1"))

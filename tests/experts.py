"""Experts who code, raters who lag: annotators whose agreement is known."""

import numpy as np
from hypothesis import strategies as st
from strategies import any_labels

from affkit.labels import Labels


def annotator(units=None, expressions=None, va=None, names=("AU1", "AU12")) -> Labels:
    """Labels from lists in which None is "not labelled"; units ``(T, 2)``, va ``(T, 2)``."""
    num_frames = len(next(one for one in (units, expressions, va) if one is not None))
    labels = Labels.empty(num_frames, names)
    for row in range(num_frames):
        for column, value in enumerate(units[row] if units else ()):
            if value is not None:
                labels.action_units[row, column], labels.has_action_units[row, column] = value, True
        if expressions and expressions[row] is not None:
            labels.expression[row], labels.has_expression[row] = expressions[row], True
        if va and va[row] is not None:
            (labels.valence[row], labels.arousal[row]), labels.has_va[row] = va[row], True
    return labels


EXPERTS = {
    "A1": {"clip": annotator([[1, 1], [0, 0], [1, 0], [None, 1], [None, None]], [4, 4, 0, None, None])},
    "A2": {"clip": annotator([[1, 1], [0, 0], [1, 1], [1, 1], [None, None]], [4, 6, 0, 3, None])},
    "A3": {"clip": annotator([[1, 1], [0, 0], [0, 0], [1, 0], [None, None]], [4, 6, 0, 3, None])},
}


@st.composite
def annotators(draw, most=4):
    """Two to four annotators of the same one or two videos."""
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=2))
    found = {}
    for number in range(draw(st.integers(2, most))):
        videos = {f"v{v}": draw(any_labels(("AU1", "AU12"), max_frames=12)) for v in range(len(lengths))}
        found[f"A{number}"] = {
            name: labels[np.arange(size) % len(labels)]
            for (name, labels), size in zip(videos.items(), lengths, strict=True)
        }
    return found


def lagging(lags, num_frames=400, noise=0.02, seed=1):
    """Raters of two videos, each late by a known number of frames."""
    rng = np.random.default_rng(seed)
    traces = np.cumsum(rng.normal(size=(2, 2, num_frames + 100)), axis=2)
    traces = traces / np.abs(traces).max() * 0.9
    raters = {}
    for number, lag in enumerate(lags):
        raters[f"R{number}"] = {}
        for video in range(2):
            late = traces[video, :, 100 - lag : 100 - lag + num_frames] + noise * rng.normal(
                size=(2, num_frames)
            )
            raters[f"R{number}"][f"v{video}"] = annotator(va=[*map(tuple, late.clip(-1, 1).T)])
    return raters

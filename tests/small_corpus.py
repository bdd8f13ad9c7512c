"""A corpus of four small videos, written to a folder, for tests of its numbers and figures."""

from pathlib import Path

import numpy as np

from affkit.data.layouts import write_annotations
from affkit.data.video import write_video
from affkit.labels import Labels


def labels_of(units=None, expressions=None, va=None) -> Labels:
    """Labels from rows of eight units, expressions (-1: none) and pairs of valence and arousal."""
    rows = next(len(given) for given in (units, expressions, va) if given is not None)
    labels = Labels.empty(rows)
    if units is not None:
        labels.action_units[:], labels.has_action_units[:] = units, True
    if expressions is not None:
        labels.expression[:] = np.maximum(expressions, 0)
        labels.has_expression[:] = np.array(expressions) >= 0
    if va is not None:
        labels.valence[:], labels.arousal[:] = np.transpose(va)
        labels.has_va[:] = True
    return labels


def write_corpus(root: Path) -> None:
    """Four videos: one with two people, one without labels of action units, one of expressions only."""
    rng = np.random.default_rng(0)

    def random(rows, units=True, expressions=True):
        va = rng.uniform(-0.7, 0.7, (rows, 2))
        return labels_of(
            rng.integers(0, 2, (rows, 8)) if units else None,
            rng.integers(-1, 7, rows) if expressions else None,
            va,
        )

    labels = {
        "one": random(20),
        "two_left": random(12),
        "two_right": random(15, expressions=False),
        "three": random(9, units=False),
        "four": labels_of(expressions=[-1, 4, 4]),
    }
    labels["one"].has_action_units[3:6, 2] = False
    write_annotations(root / "annotations", labels)
    for name, rows, size in (("one", 20, (48, 64)), ("two", 16, (96, 64)), ("three", 9, (48, 64))):
        pictures = (np.full((*size, 3), 10 * row, np.uint8) for row in range(rows))
        (root / "videos").mkdir(exist_ok=True)
        write_video(root / "videos" / f"{name}.mp4", pictures, fps=10)
    (root / "subjects.csv").write_text(
        "video,person,subject,gender\none,,s1,male\ntwo,left,s2,female\ntwo,right,s1,male\nthree,,s3,female\n"
    )
    for coder in ("A1", "A2"):
        (root / "coders" / coder).mkdir(parents=True)

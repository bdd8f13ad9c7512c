"""Corpora in memory whose videos share people, for tests of partitions."""

from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from affkit.data.corpus import Corpus
from affkit.data.partition import Partition
from affkit.labels import Labels


def some_labels(rng: np.random.Generator, num_frames: int) -> Labels:
    """Labels of one video, quite unlike those of another: each has frequencies of its own."""
    labels = Labels.empty(num_frames)
    known = rng.random(num_frames) < 0.9
    labels.has_action_units[known] = True
    labels.action_units[known] = rng.random((known.sum(), 8)) < rng.beta(0.4, 3, 8)
    labels.has_expression[:] = rng.random(num_frames) < 0.7
    shares = rng.dirichlet(np.ones(7) / 3)
    labels.expression[labels.has_expression] = rng.choice(7, labels.has_expression.sum(), p=shares)
    labels.has_va[:] = True
    labels.valence[:] = np.clip(rng.normal(rng.normal(0, 0.4), 0.2, num_frames), -1, 1)
    labels.arousal[:] = np.clip(rng.normal(rng.normal(0, 0.4), 0.2, num_frames), -1, 1)
    return labels


def make_corpus(people: list[list[str]], seed: int = 0, max_frames: int = 60) -> Corpus:
    """A corpus in memory: for each video its one subject or its two, ``["s1"]`` or ``["s1", "s2"]``."""
    rng = np.random.default_rng(seed)
    subjects = {}
    for i, present in enumerate(people):
        sides = [""] if len(present) == 1 else ["_left", "_right"]
        subjects |= {f"v{i:02}{side}": who for side, who in zip(sides, present, strict=True)}
    labels = {name: some_labels(rng, int(rng.integers(20, max_frames))) for name in subjects}
    return Corpus(Path("corpus"), labels, subjects, pd.DataFrame({"subject": subjects}))


def thirty_videos() -> Corpus:
    """30 videos: one of two people, two people in two videos each, everybody else in one."""
    people = [["a", "b"], ["c"], ["c"], ["a"], *([f"s{i}"] for i in range(26))]
    return make_corpus(people, max_frames=200)


@st.composite
def shared_subjects(draw) -> list[list[str]]:
    """A few videos with one or two people each, some of them in several videos."""
    subject = st.integers(0, draw(st.integers(3, 20))).map("s{}".format)
    videos = st.lists(st.lists(subject, min_size=1, max_size=2, unique=True), min_size=5, max_size=12)
    return draw(videos)


def kept(partition: Partition, corpus: Corpus) -> dict[str, np.ndarray]:
    """Name to ``(T,)`` bool: the frames that are in any set."""
    masks = {name: np.zeros(len(labels), bool) for name, labels in corpus.labels.items()}
    for subset, names in partition.sets.items():
        for name in names:
            masks[name][partition.frames(subset, name) - 1] = True
    return masks

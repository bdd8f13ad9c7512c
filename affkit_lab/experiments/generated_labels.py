"""Faces to add to a training set: generated ones with labels that a network gave them, or real ones changed.

A generated face comes without labels. Some network that knows faces, the *labeller*, has to predict them; and
these are faces of people who do not exist, so it is believed only where it is confident:

- an action unit is labelled where its probability is near 0 or near 1, in the face and in its mirror image;
- valence and arousal have no probability. But they do not change when a face is mirrored, so where the
  predictions for a face and for its mirror image differ, one of them is wrong: they are labelled, with the
  mean, where the two are near each other. This needs no second network, and is the same for every labeller.

What is not labelled is an empty cell, which the losses leave out. Being confident is not being right: a
labeller can be wrong both ways round.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from affkit.augment import augment
from affkit.errors import UserError
from affkit.evaluation.predict import FacePredictor, predict_faces
from affkit.faces.pool import bare_store
from affkit.gan import Discriminator, Generator, sample_z
from affkit.labels import ACTION_UNITS, VA, Labels
from affkit.loop import step_generator
from affkit.store import Store, fit_size, made_smaller, pictures, select_rows, to_pixels, to_unit_range

CLASSIC = ("flip", "color", "translation")
"""How real faces are changed, see :mod:`affkit.augment`; none of these changes a label."""
DRAWN_AT_ONCE = 256
MOST_DRAWN = 20  # faces drawn for each one that is realistic, before giving up


@dataclass(frozen=True)
class Confidence:
    """When a generated face is taken, and when a prediction for it becomes a label."""

    fake: float = 0.5  # largest probability of being fake, says the GAN's discriminator
    action_unit: float = 0.8  # labelled 1 from this probability, 0 up to 1 minus it, not at all in between
    va_gap: float = 0.2  # largest difference to the mirror image, in valence and in arousal

    def __post_init__(self):
        if not (0 <= self.fake <= 1 and 0.5 < self.action_unit <= 1 and self.va_gap >= 0):
            fix = "fake in [0, 1], action_unit above 0.5 and up to 1, va_gap not below 0"
            raise UserError(f"{self}", "is out of range", fix)


@torch.no_grad()
def draw_faces(
    generator: Generator,
    discriminator: Discriminator,
    n: int,
    size: int = 32,
    seed: int = 0,
    most_fake: float = 0.5,
    progress: bool = False,
) -> Store:
    """``n`` generated faces that the discriminator takes for real, averaged down to ``size`` pixels, without
    labels, as a store in memory.

    The first faces are the same whatever ``n``. ``info["drawn"]`` says how many were drawn for them. A
    generator of smaller faces, and less than one realistic face of 20, are a :class:`UserError`.
    """
    kept, drawn, found = [], 0, 0
    with tqdm(total=n, unit="face", desc="generated", delay=2, disable=not progress) as bar:
        while found < n:
            if drawn >= MOST_DRAWN * max(n, DRAWN_AT_ONCE):
                problem = f"takes {drawn - found} of {drawn} generated faces for fake"
                raise UserError("the discriminator", problem, f"allow more than {most_fake:g}, or train on")
            state = np.random.SeedSequence([seed, drawn // DRAWN_AT_ONCE]).generate_state(1)
            faces = pictures(generator, sample_z(DRAWN_AT_ONCE, int(state[0])))  # (B, S, S, 3)
            seen = fit_size(to_unit_range(faces), discriminator.config.image_size)
            realistic = np.flatnonzero(discriminator(seen).fake.sigmoid().numpy() <= most_fake)[: n - found]
            drawn += DRAWN_AT_ONCE if found + len(realistic) < n else int(realistic[-1]) + 1
            found += len(realistic)
            kept.append(made_smaller(faces[realistic], size, "the generator"))
            bar.update(len(realistic))
    store = bare_store("generated", np.concatenate(kept), "generated")
    store.info["drawn"] = drawn
    return store


def confident_labels(labeller: FacePredictor, images: np.ndarray, confidence: Confidence) -> pd.DataFrame:
    """Predictions for faces ``(N, S, S, 3)`` uint8 where the network is confident, empty elsewhere:
    ``valence`` and ``arousal`` in [-1, 1], both or neither, and the action units, 0 or 1."""
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    first, second = (pd.DataFrame(predict_faces(labeller, faces)) for faces in (images, mirrored))
    va = list(VA)
    near = (first[va] - second[va]).abs().max(axis=1) <= confidence.va_gap
    labels = ((first[va] + second[va]) / 2).where(near)
    for unit in ACTION_UNITS:
        low, high = np.sort([first[unit], second[unit]], axis=0)  # (N,) each
        active, absent = low >= confidence.action_unit, high <= 1 - confidence.action_unit
        labels[unit] = pd.array(active, "Int8")
        labels.loc[~(active | absent), unit] = pd.NA
    return labels


def with_labels(faces: Store, labels: pd.DataFrame, like: Store) -> Store:
    """Faces with ``labels``, to be joined to the store ``like``; what else is labelled there is empty."""
    index = faces.index.assign(**labels)
    for name in like.index.columns.difference(index.columns):
        index[name] = pd.array([None] * len(index), like.index[name].dtype)
    return Store(faces.path, index[like.index.columns], faces.images, {**like.info, "size": faces.size})


def small_store(store: Store, rows: np.ndarray, size: int) -> Store:
    """Some rows of a store with their labels, averaged down to ``size`` pixels, in memory."""
    part = select_rows(store, rows)
    pieces = np.array_split(np.arange(len(part)), -(-len(part) // DRAWN_AT_ONCE))
    images = [made_smaller(part.batch(piece), size, store.path) for piece in pieces]
    return Store(part.path, part.index, np.concatenate(images), {**part.info, "size": size})


def changed_faces(store: Store, n: int, seed: int = 0, kinds: tuple[str, ...] = CLASSIC) -> Store:
    """``n`` of the faces of a store, each about equally often, changed at random, with their labels."""
    order = np.random.default_rng(seed).permutation(len(store))
    part = select_rows(store, np.resize(order, n))
    images = []
    for number, rows in enumerate(np.array_split(np.arange(n), -(-n // DRAWN_AT_ONCE))):
        seen = to_unit_range(part.batch(rows))  # (B, 3, S, S)
        images.append(to_pixels(augment(seen, kinds, step_generator(seed, number))))
    return Store(store.path, part.index, np.concatenate(images), store.info)


def label_counts(labels: Labels) -> dict[str, float]:
    """How much is labelled: the fraction of faces with valence and arousal, that of all action units, and
    that of the latter that are active (0 where there are none).

    >>> label_counts(Labels.empty(2))
    {'va': 0.0, 'au': 0.0, 'active': 0.0}
    """
    labels = labels.with_action_units(ACTION_UNITS)
    given = labels.has_action_units  # (N, 8)
    active = labels.action_units[given].mean() if given.any() else 0.0
    return {"va": float(labels.has_va.mean()), "au": float(given.mean()), "active": float(active)}

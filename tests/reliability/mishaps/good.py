"""A small folder in which everything is sound: each bad input is one change to it."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from skimage import data
from stores import in_memory

from affkit.checkpoints import model_key, save_checkpoint
from affkit.corpus.partition import Partition, write_partition
from affkit.faces.pool import SHEET_COLUMNS, write_sheet
from affkit.gan import Z_SIZE, Discriminator, GanNetConfig, Generator
from affkit.labelfiles import tables
from affkit.labelfiles.formats import write_affwild, write_va
from affkit.labelfiles.layouts import write_annotations
from affkit.labels import ACTION_UNITS, EXPRESSIONS, Labels
from affkit.multitask import AffWildNet, AffWildNetConfig
from affkit.store import Store, write_store
from affkit.video.video import write_video
from affkit_lab.backbones.face_net import FaceNet, FaceNetConfig
from affkit_lab.backbones.feature_net import FeatureNet, FeatureNetConfig
from affkit_lab.latent.directions import Directions, write_directions
from affkit_studio.annotate.project import Project
from affkit_studio.browse.favourites import Favourites

NAMES = ("one", "two", "six")
SETS = dict(zip(NAMES, ("train", "validation", "test"), strict=True))
FRAMES = 12
SIZE = 32  # of faces in the store, pixels


def make_good(folder: Path) -> Path:
    """Fill ``folder`` with label files of all layouts, a clip, networks, a store, and what goes with them."""
    torch.manual_seed(0)
    _labels(folder)
    _pictures(folder)
    _networks(folder)
    (folder / "taken").mkdir()
    (folder / "taken" / "notes.txt").write_text("mine")
    return folder


def some_labels(seed: int, frames: int = FRAMES) -> Labels:
    """Labels of all three tasks for every frame."""
    rng = np.random.default_rng(seed)
    labels = Labels.empty(frames)
    labels.valence[:], labels.arousal[:] = rng.uniform(-1, 1, (2, frames)).round(2)
    labels.expression[:] = rng.integers(0, len(EXPRESSIONS), frames)
    labels.action_units[:] = rng.integers(0, 2, labels.action_units.shape)
    for mask in (labels.has_va, labels.has_expression, labels.has_action_units):
        mask[:] = True
    return labels


def _labels(folder: Path) -> None:
    labels = {name: some_labels(seed) for seed, name in enumerate(NAMES)}
    for layout in ("abaw1", "abaw3", "abaw6"):
        write_annotations(folder / layout / "annotations", labels, layout, SETS)
        people = "".join(f"{name},subject_{name}\n" for name in NAMES)
        (folder / layout / "subjects.csv").write_text(f"video,subject\n{people}")
    for coder in ("A1", "A2"):
        write_annotations(folder / coder, labels)
    for name, one in labels.items():
        parts = (folder / "affwild" / "train" / part / f"{name}.txt" for part in ("valence", "arousal"))
        write_affwild(*parts, one)
        write_va(folder / "predicted" / f"{name}.txt", one)
    tables.write_mtl(folder / "mtl" / "MTL_Challenge" / "train_set.txt", labels)
    tables.write_affwild_csv(folder / "flat.csv", labels)
    tables.write_submission(folder / "submission.csv", labels, "va")
    tables.write_table(folder / "table.csv", labels)
    tables.write_table(folder / "truth.csv", labels)
    videos = {subset: {name: None} for name, subset in SETS.items()}
    write_partition(folder / "partition.json", Partition(videos, {n: f"subject_{n}" for n in NAMES}, "au", 0))


def _pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    photo = data.astronaut()[:256, 100:356]  # a face
    write_video(folder / "one.mp4", (np.roll(photo, i, axis=1) for i in range(FRAMES)))
    write_store(folder / "store", small_store())
    (folder / "pool").mkdir()
    faces = rng.integers(0, 255, (SHEET_COLUMNS, SIZE, SIZE, 3), np.uint8)
    write_sheet(folder / "pool" / "faces_01.webp", faces)
    with Project.open(folder / "project.affkit") as project:
        project.add_video(folder / "one.mp4")


def small_store(frames: int = FRAMES) -> Store:
    """A video of a person for each of :data:`NAMES`, with labels."""
    rng = np.random.default_rng(1)
    who = np.repeat(NAMES, frames)
    columns = dict(zip(("valence", "arousal"), rng.uniform(-1, 1, (len(who), 2)).round(2).T, strict=True))
    columns |= {"subject": [f"subject_{name}" for name in who]}
    columns |= {"expression": rng.choice(EXPRESSIONS, len(who))}
    columns |= {unit: rng.integers(0, 2, len(who)) for unit in ACTION_UNITS}
    images = rng.integers(0, 255, (len(who), SIZE, SIZE, 3), np.uint8)
    return in_memory(images, who, np.tile(np.arange(1, frames + 1), len(NAMES)), **columns)


def _networks(folder: Path) -> None:
    config = GanNetConfig("1", width=0.03)
    generator = Generator(config)
    made = {
        "generator": generator,
        "discriminator": Discriminator(config),
        "cnn": FaceNet(FaceNetConfig(len(NAMES), width=0.05)),
        "features": FeatureNet(FeatureNetConfig(len(NAMES))),
        "affwildnet": AffWildNet(AffWildNetConfig(width=0.05)),
    }
    for name, net in made.items():
        save_checkpoint(folder / "networks" / f"{name}.safetensors", net)
    key = model_key(generator)
    vectors = np.random.default_rng(2).normal(size=(2, Z_SIZE))
    table = pd.DataFrame({"kind": "principal", "fraction": [0.5, 0.2]}, index=["first", "second"])
    write_directions(folder / "directions.safetensors", Directions(vectors, table), key)
    favourites = Favourites(folder / "favourites.json", key)
    favourites.keep("calm", np.zeros(Z_SIZE))
    favourites.keep("glad", np.full(Z_SIZE, 0.5))

"""Figures 6 and 7 of the paper, and generated faces beside the nearest training faces."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from affkit.store import Store
from affkit_lab.backbones.train_faces import subjects_of
from affkit_lab.figures.style import photograph, picture_grid, use_style, write_files
from affkit_lab.gan_evaluation.scores import GanEvaluation

if TYPE_CHECKING:  # what shows a picture in a notebook; writing one to a file needs no notebook
    from IPython.display import Image


def face_of_each_subject(store: Store, rows: Sequence[int] | None = None) -> tuple[list[str], np.ndarray]:
    """The face that the detector was surest of, for every subject: names, and ``(N, S, S, 3)`` uint8."""
    rows = np.arange(len(store)) if rows is None else np.asarray(rows, dtype=np.int64)
    table = store.index.iloc[rows][["score"]].assign(subject=subjects_of(store)[rows], row=rows)
    surest = table.sort_values("score", ascending=False, kind="stable", na_position="last")
    best = surest.groupby("subject")["row"].first()  # sorted by subject
    return list(best.index), store.batch(best.to_numpy())


def figure_6(store: Store, rows: Sequence[int] | None = None, columns: int = 12) -> "Image":
    """A face of every subject of the training set; ``rows`` are those of the training set."""
    subjects, faces = face_of_each_subject(store, rows)
    return picture_grid(faces, columns, f"All {len(subjects)} subjects of the training set (Figure 6)")


def figure_7(faces: np.ndarray, columns: int = 12, most: int = 96) -> "Image":
    """Generated faces, ``(n, S, S, 3)`` uint8: the first ones."""
    return picture_grid(faces[:most], columns, "Generated faces, not chosen by hand (Figure 7)")


def nearest_faces(evaluation: GanEvaluation, store: Store, columns: int = 8) -> "Image":
    """Generated faces above the training faces nearest to them, by features and by pixels.

    From left to right: from the nearest pair by features to the most distant, evenly. A face that counts as a
    copy has "copy" below it.
    """
    table = evaluation.nearest.sort_values("features_distance")
    table = table.iloc[np.unique(np.linspace(0, len(table) - 1, columns).round().astype(int))]
    figure, axes = plt.subplots(3, len(table), figsize=(1.35 * len(table) + 0.6, 5), squeeze=False)
    for column, (number, pair) in zip(axes.T, table.iterrows(), strict=True):
        pictures = [evaluation.faces[number], store[pair["features_row"]], store[pair["pixels_row"]]]
        for axis, picture in zip(column, pictures, strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        for axis, kind in zip(column[1:], ("features", "pixels"), strict=True):
            copy = ", copy" if pair[f"{kind}_copy"] else ""
            axis.set_xlabel(f"{pair[f'{kind}_distance']:.1f}{copy}", fontsize=9)
    words = ("generated", "nearest\nby features", "nearest\nby pixels")
    for axis, word in zip(axes[:, 0], words, strict=True):
        axis.set_ylabel(word, fontsize=9)
    return photograph(figure, "Generated faces and the training faces nearest to them; numbers are distances")


def write_gan_figures(
    evaluation: GanEvaluation,
    store: Store,
    rows: Sequence[int] | None,
    folder: str | Path,
    force: bool = False,
) -> list[Path]:
    """Write Figures 6 and 7 and the nearest faces as JPEG, and the two tables as CSV; their paths."""
    use_style()
    pictures = {
        "figure_6.jpg": figure_6(store, rows),
        "figure_7.jpg": figure_7(evaluation.faces),
        "nearest.jpg": nearest_faces(evaluation, store),
    }
    files = {name: picture.data for name, picture in pictures.items()}
    files["evaluation.csv"] = evaluation.table.to_csv(index_label="measure").encode()
    files["nearest.csv"] = evaluation.nearest.to_csv(index_label="face").encode()
    return write_files(folder, files, force)

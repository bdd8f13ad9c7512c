"""Stores of faces: what they hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from affkit.corpus.corpus import PARTS, labelled_frames
from affkit.errors import UserError


@dataclass(frozen=True)
class Held:
    """What a store of faces holds.

    Attributes
    ----------
    path:
        Its folder.
    faces, size, videos:
        Number of crops, their side in pixels, and the number of videos they are from.
    labelled:
        Task to the number of crops with a label of it.
    """

    path: Path
    faces: int
    size: int
    videos: int
    labelled: dict[str, int]


def open_stores(folders: Iterable[Path]) -> tuple[list[Held], list[UserError]]:
    """The stores that can be opened, and why the others cannot."""
    held, errors = [], []
    for path in folders:
        from affkit.store import Store  # late: it brings torch, and most folders hold no store

        try:
            store = Store.open(path)
        except UserError as error:
            errors.append(error)
            continue
        labelled = {task: int(labelled_frames(store.labels, task).sum()) for task in PARTS}
        held.append(Held(path, len(store), store.size, store.index["video"].nunique(), labelled))
    return held, errors

"""What takes longer in the latent browser than a page should wait, done in a thread.

The nearest training faces, photographs, clips, and what leaks into locked directions: each is a function that
checks a question at once and returns the work itself.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np

from affkit.errors import UserError
from affkit.evaluation.predict import VA
from affkit.labels import Labels
from affkit_lab.backbones.feature_net import FeatureNet
from affkit_lab.gan_evaluation.memorization import TrainingFaces
from affkit_lab.latent.inversion import decode_photograph, face_in, invert
from affkit_lab.latent.play_labels import play_labels, va_search
from affkit_studio.browse.explore import Explorer

MOST_BYTES = 30_000_000  # of a photograph
NEAREST = 3

Progress = Callable[[int, int], None]
"""Told how many steps are done, and of how many; 0 of 0 as long as nobody knows."""


@dataclass
class Extras:
    """What a page can show beside the generator; all of it can be missing."""

    training: Callable[[], TrainingFaces] | None = None  # called for the nearest of them
    feature_net: FeatureNet | None = None  # judges how like two faces are; for photographs
    clips: Mapping[str, Labels] = field(default_factory=dict)  # valence and arousal that can be played
    fps: float = 30.0  # of the clips


@dataclass(frozen=True)
class WorkResult:
    """What came out: a reply that is ready for JSON, pictures, and the z of a face that can be shown."""

    reply: dict
    pictures: np.ndarray  # (N, S, S, 3) uint8, also none
    z: np.ndarray | None = None  # (100,)
    is_film: bool = False  # whether the pictures are one


Work = Callable[[Progress], WorkResult]


class Stopped(Exception):
    """Raised inside of work that nobody wants any more."""


class Job:
    """One piece of work, begun at once in a thread: how far it is, and what came out.

    ``done`` of ``total`` steps are done. ``result`` is what the work returned, None before that and if it was
    stopped; ``error`` what went wrong with it, if the user can fix it. Anything else is a bug, and Python
    prints its traceback.
    """

    def __init__(self, work: Callable[[Progress], object]):
        self.done, self.total = 0, 0
        self.result: object = None
        self.error: Exception | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask it to end at its next step."""
        self._stopped.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(seconds)

    def _run(self, work: Callable[[Progress], object]) -> None:
        try:
            self.result = work(self._count)
        except Stopped:
            pass
        except (UserError, OSError) as error:
            self.error = error

    def _count(self, done: int, total: int) -> None:
        if self._stopped.is_set():
            raise Stopped
        self.done, self.total = done, total


def nearest(explorer: Explorer, extras: Extras, ask: dict, buffers: list) -> Work:
    """The training faces nearest to the face that is shown."""
    _needed(extras.training, "training faces", "--data STORE")
    face = explorer.picture()

    def work(progress: Progress) -> WorkResult:
        progress(0, 0)
        training = extras.training()
        found = training.nearest(face, NEAREST)
        pictures = training.store.batch(found["row"])  # (3, S, S, 3)
        if pictures.shape[1] != (size := face.shape[0]):
            shrink = (cv2.resize(one, (size, size), interpolation=cv2.INTER_AREA) for one in pictures)
            pictures = np.stack(list(shrink))
        limit = training.threshold.distance if training.threshold else None
        rows = [
            {"distance": float(row.distance), "who": str(row.who), "copy": bool(row.copy is True)}
            for row in found.itertuples()
        ]
        return WorkResult({"nearest": rows, "limit": limit}, pictures)

    return work


def project(explorer: Explorer, extras: Extras, ask: dict, buffers: list) -> Work:
    """The generated face most like that in a photograph, which came with the question."""
    _needed(extras.feature_net, "feature network", "--features FILE")
    data = bytes(buffers[0]) if buffers else b""
    if len(data) > MOST_BYTES:
        raise UserError(ask["name"], f"is larger than {MOST_BYTES // 1_000_000} MB", "give a smaller picture")
    picture, generator = decode_photograph(data, ask["name"]), explorer.generator

    def work(progress: Progress) -> WorkResult:
        target = face_in(picture, generator.config.image_size, source=ask["name"])
        found = invert(generator, target, extras.feature_net, progress=progress)
        names = ("pixel_error", "pixel_ratio", "feature_ratio", "start_ratio")
        reply = {"projected": {name: getattr(found, name) for name in names}}
        return WorkResult(reply, np.stack([found.target, found.face]), found.z)

    return work


def clip(explorer: Explorer, extras: Extras, ask: dict, buffers: list) -> Work:
    """The valence and arousal of a clip, played by the face that is shown."""
    if ask["name"] not in extras.clips:
        raise UserError(ask["name"], "no such clip", f"there are {', '.join(extras.clips) or 'none'}")
    labels, place = extras.clips[ask["name"]], explorer.state.place

    def work(progress: Progress) -> WorkResult:
        search = va_search(explorer.generator, explorer.predictor_of(VA), explorer.directions, place)
        path = play_labels(search, labels, extras.fps, progress=progress, source=ask["name"])
        reply = {"wanted": path.wanted.tolist(), "read": path.predicted.tolist()}
        reply |= {"frames": len(path.z), "miss": path.error.tolist()}
        return WorkResult(reply, explorer.faces(path.z), is_film=True)

    return work


def leaks(explorer: Explorer, extras: Extras, ask: dict, buffers: list) -> Work:
    """What moving a direction does to the locked ones, with and without the lock, on other faces."""
    name = ask["name"]
    locked = [lock for lock in explorer.state.locks if lock != name]
    if not locked:
        raise UserError(name, "nothing else is locked", "lock a direction, and see what leaks into it")
    if not explorer.way(name).any():
        raise UserError(name, "lies within what is locked", "nothing of it is left to move; unlock some")

    def work(progress: Progress) -> WorkResult:
        progress(0, 0)
        table = explorer.leaks(name, locked=locked)
        rows = table.rename_axis("name").reset_index().to_dict("records")
        reply = {"leaks": rows, "moved": name, "left": table.attrs["left"]}
        return WorkResult(reply, np.empty((0, 1, 1, 3), np.uint8))

    return work


WORKS: dict[str, Callable[[Explorer, Extras, dict, list], Work]] = {
    "nearest": nearest, "project": project, "clip": clip, "leaks": leaks
}  # fmt: skip


def _needed(thing: object, words: str, option: str) -> None:
    if thing is None:
        raise UserError(words, "were not given", f"open the browser with {option}")

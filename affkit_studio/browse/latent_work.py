"""What takes longer in the latent browser: nearest training faces, photographs, clips, leaks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np

from affkit.errors import UserError
from affkit.labels import Labels
from affkit_lab.backbones.feature_net import FeatureNet
from affkit_lab.gan_evaluation.training_faces import TrainingFaces
from affkit_lab.latent.inversion import decode_photograph, face_in, invert
from affkit_lab.latent.play_labels import play_labels, va_search
from affkit_studio.browse.explore import Explorer
from affkit_studio.browse.jobs import Progress

WORKS = ("nearest", "project", "clip", "leaks")
MOST_BYTES = 30_000_000  # of a photograph
NEAREST = 3


@dataclass
class Shelf:
    """What a page can show beside the generator; all of it can be missing.

    Attributes
    ----------
    training:
        Makes the training faces, at the first question for the nearest of them: it takes some seconds.
    feature_net:
        Judges how like two faces are; for photographs.
    clips:
        Name to the labels of a clip whose valence and arousal can be played.
    fps:
        Frames a second of these clips.
    """

    training: Callable[[], TrainingFaces] | None = None
    feature_net: FeatureNet | None = None
    clips: Mapping[str, Labels] = field(default_factory=dict)
    fps: float = 30.0


@dataclass(frozen=True)
class Finding:
    """What came out of work.

    Attributes
    ----------
    reply:
        Ready for JSON.
    pictures:
        ``(N, S, S, 3)`` uint8, also none.
    z:
        ``(100,)`` of a face that can be shown.
    is_film:
        Whether the pictures are a film.
    """

    reply: dict
    pictures: np.ndarray
    z: np.ndarray | None = None
    is_film: bool = False


Work = Callable[[Progress], Finding]


class LatentWork:
    """Each of :data:`WORKS` is a method.

    It takes the question of the page and its buffers, says at once what is wrong with them, and returns what
    a :class:`~affkit_studio.browse.jobs.Job` does.
    """

    def __init__(self, explorer: Explorer, shelf: Shelf):
        self.explorer, self.shelf = explorer, shelf
        self._training: TrainingFaces | None = None

    def nearest(self, ask: dict, buffers: list) -> Work:
        """The training faces nearest to the face that is shown."""
        _there(self.shelf.training, "training faces", "--data STORE")
        face = self.explorer.picture()

        def work(progress: Progress) -> Finding:
            progress(0, 0)
            if self._training is None:
                self._training = self.shelf.training()
            training = self._training
            found = training.nearest(face, NEAREST)
            pictures = _resized(training.store.batch(found["row"]), face.shape[0])
            limit = training.threshold.distance if training.threshold else None
            rows = [
                {"distance": float(row.distance), "who": str(row.who), "copy": bool(row.copy is True)}
                for row in found.itertuples()
            ]
            return Finding({"nearest": rows, "limit": limit}, pictures)

        return work

    def project(self, ask: dict, buffers: list) -> Work:
        """The generated face most like that in a photograph."""
        _there(self.shelf.feature_net, "feature network", "--features FILE")
        picture, generator = _decoded(ask["name"], buffers), self.explorer.generator

        def work(progress: Progress) -> Finding:
            target = face_in(picture, generator.config.image_size, source=ask["name"])
            found = invert(generator, target, self.shelf.feature_net, progress=progress)
            reply = {"pixel_error": found.pixel_error, "pixel_ratio": found.pixel_ratio}
            reply |= {"feature_ratio": found.feature_ratio, "start_ratio": found.start_ratio}
            return Finding({"projected": reply}, np.stack([found.target, found.face]), found.z)

        return work

    def clip(self, ask: dict, buffers: list) -> Work:
        """The valence and arousal of a clip, played by the face that is shown."""
        if ask["name"] not in self.shelf.clips:
            raise UserError(ask["name"], "no such clip", f"there are {', '.join(self.shelf.clips) or 'none'}")
        labels, explorer = self.shelf.clips[ask["name"]], self.explorer
        place = explorer.state.place

        def work(progress: Progress) -> Finding:
            predictor = explorer.predictor_of(("valence", "arousal"))
            search = va_search(explorer.generator, predictor, explorer.directions, place)
            path = play_labels(search, labels, self.shelf.fps, progress=progress, source=ask["name"])
            reply = {"wanted": path.wanted.tolist(), "read": path.predicted.tolist()}
            reply |= {"frames": len(path.z), "miss": path.error.tolist()}
            return Finding(reply, explorer.faces(path.z), is_film=True)

        return work

    def leaks(self, ask: dict, buffers: list) -> Work:
        """What moving a direction does to the locked ones, with and without the lock, on other faces."""
        name, explorer = ask["name"], self.explorer
        locked = [lock for lock in explorer.state.locks if lock != name]
        if not locked:
            raise UserError(name, "nothing else is locked", "lock a direction, and see what leaks into it")
        if not explorer.way(name).any():
            raise UserError(name, "lies within what is locked", "nothing of it is left to move; unlock some")

        def work(progress: Progress) -> Finding:
            progress(0, 0)
            table = explorer.leaks(name, locked=locked)
            rows = table.rename_axis("name").reset_index().to_dict("records")
            reply = {"leaks": rows, "moved": name, "left": table.attrs["left"]}
            return Finding(reply, np.empty((0, 1, 1, 3), np.uint8))

        return work


def _there(thing: object, words: str, option: str) -> None:
    if thing is None:
        raise UserError(words, "were not given", f"open the browser with {option}")


def _decoded(name: str, buffers: list) -> np.ndarray:
    """The photograph that came with a question, ``(H, W, 3)`` uint8 RGB."""
    data = bytes(buffers[0]) if buffers else b""
    if len(data) > MOST_BYTES:
        raise UserError(name, f"is larger than {MOST_BYTES // 1_000_000} MB", "give a smaller picture")
    return decode_photograph(data, name)


def _resized(faces: np.ndarray, size: int) -> np.ndarray:
    if faces.shape[1] == size:
        return faces
    return np.stack([cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA) for face in faces])

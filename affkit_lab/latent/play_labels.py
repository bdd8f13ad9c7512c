"""The path of a clip through the valence-arousal plane, played by one generated face.

The face starts somewhere in z. For every frame a z near the one before is sought whose face is read as the
labels say, along the directions of valence and arousal, and the path is made smooth. What the predictor says
of the faces that come out is kept beside what was wanted: a face cannot show everything.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from affkit.errors import UserError
from affkit.gan import Generator
from affkit.labels import VA, Labels
from affkit_lab.latent.directions import Directions
from affkit_lab.latent.predictors import Predictor
from affkit_lab.latent.seek_reading import PredictionSearch, SearchResult
from affkit_lab.latent.z_arithmetic import clip_z, smooth

FIRST_ROUNDS, NEXT_ROUNDS = 8, 2  # faces looked at for the first frame, and for each one after it


@dataclass(frozen=True)
class PlayedPath:
    """Frames of a clip, and a z for each."""

    frames: np.ndarray  # (T,) int64, from 0
    z: np.ndarray  # (T, 100) in [-1, 1]
    wanted: np.ndarray  # (T, 2): valence and arousal as labelled, smoothed
    predicted: np.ndarray  # (T, 2): those of the faces of z

    @property
    def error(self) -> np.ndarray:
        """Mean absolute error of valence and of arousal, ``(2,)``."""
        return np.abs(self.predicted - self.wanted).mean(axis=0)


def va_search(
    generator: Generator, predictor: Predictor, directions: Directions, z: np.ndarray, survey: int = 30
) -> PredictionSearch:
    """A search near ``z`` by valence and arousal, along the two directions; UserError if one is missing.

    ``va_search(generator, predictor, directions, z).seek((0.5, 0.2)).z`` is what a click at (0.5, 0.2) gives.
    """
    missing = [name for name in VA if name not in directions]
    if missing:
        problem = f"no direction of {' and '.join(missing)}"
        raise UserError("directions", problem, "learn them from a predictor that tells valence and arousal")
    return PredictionSearch(generator, predictor, z, directions.some(VA).vectors, VA, survey)


def play_labels(
    search: PredictionSearch,
    labels: Labels,
    fps: float = 30.0,
    played_fps: float = 10.0,  # how many frames a second of the clip to play, at most all
    seconds: float = 0.3,  # standard deviation of the Gaussian that smooths labels and z; 0: none
    progress: Callable[[int, int], None] | None = None,  # is told how many frames are done, and of how many
    source: str = "labels",
) -> PlayedPath:
    """z for the frames of a clip, so that the face of ``search`` follows its valence and arousal.

    Where the clip has none, they are drawn straight from the frame before to the frame after; UserError if no
    frame has them.
    """
    known = np.flatnonzero(labels.has_va)
    if not len(known):
        raise UserError(source, "no frame has valence and arousal", "give a label file of the VA set")
    frames = np.arange(known[0], known[-1] + 1)
    values = [np.interp(frames, known, getattr(labels, name)[known]) for name in VA]
    wanted = smooth(np.stack(values, axis=1), seconds * fps)  # (T, 2)
    chosen = np.unique(np.arange(0, len(frames), max(fps / played_fps, 1)).astype(int))
    frames, wanted = frames[chosen], wanted[chosen]
    found: list[SearchResult] = []
    for number, target in enumerate(wanted):
        rounds, near = (NEXT_ROUNDS, found[-1].place) if found else (FIRST_ROUNDS, None)
        found.append(search.seek(target, rounds, near))
        if progress:
            progress(number + 1, len(wanted))
    places = smooth(np.array([one.place for one in found]), seconds * min(fps, played_fps))
    z = clip_z(search.z + places @ search.basis)
    return PlayedPath(frames, z, wanted, search.predict(z))

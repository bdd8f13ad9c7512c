"""A face that is read as wanted: solve for z, with corrections from what is actually predicted.

Predictions follow z by no formula, and a straight line fits them only nearby. So a :class:`PredictionSearch`
first looks at a few faces around its start. Asked for predictions, it begins at the nearest face seen, fits a
plane through what it has seen around there, goes where the plane says, looks, and fits again: Newton's
method, with slopes from all faces seen so far instead of from extra ones (a secant method). With two
directions and two predictions that is a linear system of 2 x 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from affkit.gan import Generator
from affkit_lab.latent.directions import faces_at
from affkit_lab.latent.predictors import Predictor
from affkit_lab.latent.z_arithmetic import clip_z

PROBE = 0.5  # length of the first steps along each direction; shorter ones drown in the rounding of pixels
AROUND = 1.5  # standard deviation of the faces looked at around the start, along each direction
NEARBY = 0.3  # a face at this distance weighs half as much in the plane as one close by
STAY = 0.1  # cost of a step of one, in standard deviations of a prediction: of two faces, the nearer one
DAMPING = 0.1  # of a step, relative to the steepest direction: those that do little stay unused
SHORTEST = 0.05  # of a step that was made shorter after it had led astray


@dataclass(frozen=True)
class SearchResult:
    """A z, and what is predicted of its face."""

    z: np.ndarray  # (100,) in [-1, 1]
    place: np.ndarray  # (M,): how far from the start along each direction of the basis, before clipping
    prediction: np.ndarray  # (C,)
    wanted: np.ndarray  # (C,)

    @property
    def error(self) -> float:
        """Euclidean distance of the prediction from what was wanted."""
        return float(np.linalg.norm(self.prediction - self.wanted))


class PredictionSearch:
    """Finds faces near one z that are read as wanted; asked again, it uses all that it has seen."""

    def __init__(
        self,
        generator: Generator,
        predictor: Predictor,
        z: np.ndarray,  # (100,), where to start
        basis: np.ndarray,  # (M, 100): only along these is z moved
        columns: Sequence[str],  # the C predictions that will be wanted
        survey: int = 30,  # random faces to look at first, besides the first steps along each direction
        seed: int = 0,
    ):
        self.generator, self.predictor, self.columns = generator, predictor, list(columns)
        self.z, self.basis = np.asarray(z, np.float64), np.asarray(basis, np.float64)
        size = len(self.basis)
        around = np.random.default_rng(seed).normal(0, AROUND, (survey, size))
        steps = PROBE * np.eye(size)
        self.places = np.concatenate([np.zeros((1, size)), steps, -steps, around])  # (P, M)
        self.predictions = self.predict(self.z + self.places @ self.basis)  # (P, C)
        self._scale = np.maximum(self.predictions.std(axis=0), 1e-9)

    def predict(self, z: np.ndarray) -> np.ndarray:
        """What the predictor says of the faces of ``z`` ``(N, 100)``: ``(N, C)``."""
        return self.predictor(faces_at(self.generator, z))[self.columns].to_numpy(np.float64)

    def seek(self, wanted: Sequence[float], rounds: int = 5, near: np.ndarray | None = None) -> SearchResult:
        """The nearest that it comes to predictions ``wanted`` ``(C,)``, looking at ``rounds`` more faces.

        ``near`` ``(M,)`` is the place to stay near to, such as that of the frame before; else the start.
        Not everything can be had of every face: ``error`` of the result says what is missing.
        """
        wanted = np.asarray(wanted, np.float64)
        near = np.zeros(len(self.basis)) if near is None else near
        best, longest = self._best(wanted, near), 1.0
        for _ in range(rounds):
            missing = (wanted - self.predictions[best]) / self._scale
            step = damped_solution(self._slopes(best), missing)
            step *= min(1.0, longest / max(np.linalg.norm(step), 1e-30))
            self.places = np.concatenate([self.places, self.places[best][None] + step])
            seen = self.predict(self.z + self.places[-1:] @ self.basis)
            self.predictions = np.concatenate([self.predictions, seen])
            if (found := self._best(wanted, near)) == best:
                longest = max(longest / 2, SHORTEST)
            best = found
        place = self.places[best]
        return SearchResult(clip_z(self.z + place @ self.basis), place, self.predictions[best], wanted)

    def _best(self, wanted: np.ndarray, near: np.ndarray) -> int:
        """Which of the faces seen is nearest to what is wanted, and not far away."""
        missing = np.linalg.norm((self.predictions - wanted) / self._scale, axis=1)
        return int((missing + STAY * np.linalg.norm(self.places - near, axis=1)).argmin())

    def _slopes(self, here: int) -> np.ndarray:
        """``(C, M)``: of a plane through the prediction at ``here``, fitted to the others by nearness."""
        way = self.places - self.places[here]
        change = (self.predictions - self.predictions[here]) / self._scale
        weight = 1 / (NEARBY**2 + (way**2).sum(axis=1, keepdims=True))
        moment = (weight * way).T @ way + 0.01 * np.eye(len(self.basis))
        return np.linalg.solve(moment, (weight * way).T @ change).T


def damped_solution(slopes: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """The shortest step ``(M,)`` that changes predictions by ``missing`` ``(C,)``, at slopes ``(C, M)``.

    By least squares with a small ridge (Levenberg 1944): where hardly anything moves it, it is let be.

    >>> damped_solution(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([1.0, 0.0])).round(1).tolist()
    [0.5, 0.0]
    """
    u, sizes, vt = np.linalg.svd(slopes, full_matrices=False)
    ridge = (DAMPING * sizes[0]) ** 2
    return vt.T @ (sizes / np.maximum(sizes**2 + ridge, 1e-30) * (u.T @ missing))

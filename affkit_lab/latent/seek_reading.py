"""A face that is read as wanted: solve for z, with corrections from what is actually read.

Predictions follow z by no formula, and a straight line fits them only nearby. So a :class:`PredictionSearch`
first looks at a few faces around its start. Asked for predictions, it begins at the nearest face seen,
fits a plane through what it has seen around there, goes where the plane says, looks what is read,
and fits again: Newton's method, with slopes from all faces seen so far instead of from extra ones (a
secant method). With two directions and two predictions that is a linear system of 2 x 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from affkit.gan import Generator
from affkit_lab.latent.directions import faces_at
from affkit_lab.latent.predictors import Predictor
from affkit_lab.latent.z_arithmetic import clip_z

PROBE = 0.5  # length of the first steps along each direction; shorter ones drown in the rounding of pixels
SPREAD = 1.5  # of the faces looked at around the start, along each direction
NEARBY = 0.3  # a face at this distance weighs half as much in the plane as one close by
STAY = 0.1  # what a step of one costs, in spreads of a prediction: of two faces that do, the nearer one
DAMPING = 0.1  # of a step, relative to the steepest direction: those that do little stay unused
SHORTEST = 0.05  # of a step that was made shorter after it had led astray


@dataclass(frozen=True)
class SearchResult:
    """What :meth:`PredictionSearch.seek` came to.

    Attributes
    ----------
    z:
        ``(100,)`` in [-1, 1].
    place:
        ``(M,)``: how far it is from the start along each direction of the basis, before clipping.
    prediction, wanted:
        ``(C,)``: what is read of its face, and what was wanted.
    """

    z: np.ndarray
    place: np.ndarray
    prediction: np.ndarray
    wanted: np.ndarray

    @property
    def error(self) -> float:
        """How far the prediction is from what was wanted, as the crow flies."""
        return float(np.linalg.norm(self.prediction - self.wanted))


class PredictionSearch:
    """Finds faces near one z that are read as wanted; asked again, it uses all that it has seen.

    Parameters
    ----------
    z:
        ``(100,)``, where to start.
    basis:
        ``(M, 100)``: only along these is z moved.
    columns:
        Which C predictions will be wanted.
    survey:
        Faces to look at before anything is wanted, besides the first steps along each direction.
    seed:
        Of where those are.
    """

    def __init__(
        self,
        generator: Generator,
        predictor: Predictor,
        z: np.ndarray,
        basis: np.ndarray,
        columns: Sequence[str],
        survey: int = 30,
        seed: int = 0,
    ):
        self.generator, self.predictor, self.columns = generator, predictor, list(columns)
        self.z, self.basis = np.asarray(z, np.float64), np.asarray(basis, np.float64)
        size = len(self.basis)
        around = np.random.default_rng(seed).normal(0, SPREAD, (survey, size))
        steps = PROBE * np.eye(size)
        self.places = np.concatenate([np.zeros((1, size)), steps, -steps, around])  # (P, M)
        self.predictions = self._read(self.places)  # (P, C)
        self._scale = np.maximum(self.predictions.std(axis=0), 1e-9)

    def seek(self, wanted: Sequence[float], rounds: int = 5, near: np.ndarray | None = None) -> SearchResult:
        """The nearest that it can come to the predictions ``wanted``, ``(C,)``.

        Parameters
        ----------
        rounds:
            How many more faces to look at.
        near:
            ``(M,)``, the place to stay near to, such as that of the frame before; the start by default.

        Returns
        -------
        SearchResult
            Not everything can be had of every face: its ``error`` says what is missing.
        """
        wanted = np.asarray(wanted, np.float64)
        near = np.zeros(len(self.basis)) if near is None else near
        best, longest = self._best(wanted, near), 1.0
        for _ in range(rounds):
            missing = (wanted - self.predictions[best]) / self._scale
            step = damped_solution(self._slopes(best), missing)
            step *= min(1.0, longest / max(np.linalg.norm(step), 1e-30))
            place = self.places[best] + step
            self.places = np.concatenate([self.places, place[None]])
            self.predictions = np.concatenate([self.predictions, self._read(place[None])])
            if (found := self._best(wanted, near)) == best:
                longest = max(longest / 2, SHORTEST)
            best = found
        place = self.places[best]
        return SearchResult(clip_z(self.z + place @ self.basis), place, self.predictions[best], wanted)

    def _read(self, places: np.ndarray) -> np.ndarray:
        faces = faces_at(self.generator, self.z + places @ self.basis)
        return self.predictor(faces)[self.columns].to_numpy(np.float64)

    def _best(self, wanted: np.ndarray, near: np.ndarray) -> int:
        """Which of the faces seen is nearest to what is wanted, and not far away."""
        missing = np.linalg.norm((self.predictions - wanted) / self._scale, axis=1)
        return int((missing + STAY * np.linalg.norm(self.places - near, axis=1)).argmin())

    def _slopes(self, here: int) -> np.ndarray:
        """``(C, M)``: of a plane through the prediction at ``here``, fitted to the others by nearness."""
        way, change = (
            self.places - self.places[here],
            (self.predictions - self.predictions[here]) / self._scale,
        )
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

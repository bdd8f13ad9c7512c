"""The latent browser without its page: one face, what was done to it, and what can be done next.

The face shown is the z of a seed, drawn towards the middle by the truncation, plus what the sliders added:
``clip(truncation * base + edit)``. A slider adds its own steps only, so nothing moves when a direction is
locked or unlocked. A locked direction is taken out of every way that is gone afterwards; what still leaks,
because the generator is curved, :meth:`Explorer.settle` takes back by looking.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.checkpoints import load_checkpoint, model_key
from affkit.errors import UserError
from affkit.gan import Z_SIZE, Generator, sample_z
from affkit.labels import VA
from affkit_lab.latent.direction_quality import leak_table
from affkit_lab.latent.directions import (
    Directions,
    faces_at,
    learned_directions,
    principal_directions,
    read_directions,
    write_directions,
)
from affkit_lab.latent.predictors import JoinedPredictor, NetworkPredictor, Predictor, log_odds
from affkit_lab.latent.seek_reading import PredictionSearch, SearchResult
from affkit_lab.latent.z_arithmetic import along, clip_z, neighbours, orthogonalize, truncate

LOOKS = 10  # first principal directions, which change who it is: the learned ones are kept apart from them
LEAST_LEFT = 0.05  # of a direction's length, after the locked ones are taken out; with less it stands still
SETTLE_SURVEY, SETTLE_ROUNDS = 6, 4  # faces looked at to hold locked predictions


@dataclass(frozen=True, eq=False)
class FaceState:
    """All that a page shows, at one moment."""

    base: np.ndarray  # (100,), the z of the face
    edit: np.ndarray  # (100,), what was added to it
    seed: int | None  # where ``base`` came from; None for a z that was put in
    truncation: float  # 0 to 1, of ``base``
    sliders: Mapping[str, float]  # direction to how far it was moved; those that were not are left out
    locks: Mapping[str, float | None]  # direction to the prediction that is held; None if nothing predicts it

    @property
    def place(self) -> np.ndarray:
        """z before it is clipped, ``(100,)``."""
        return truncate(self.base, self.truncation) + self.edit

    @property
    def z(self) -> np.ndarray:
        """z of the face that is shown, ``(100,)`` in [-1, 1]."""
        return clip_z(self.place)


class Explorer:
    """One browsing of one generator; see :meth:`open`.

    ``directions`` have sliders, ``predictors`` read the face that is shown; locks and :meth:`seek` go by the
    first that has the prediction in question. Every change of ``state`` is a step that :meth:`undo` takes
    back. While a slider is dragged all its changes are one step, until :meth:`finish`.
    """

    def __init__(
        self, generator: Generator, directions: Directions, predictors: Mapping[str, Predictor], seed: int = 0
    ):
        self.generator, self.directions, self.predictors = generator, directions, dict(predictors)
        self._joined = JoinedPredictor(
            list(self.predictors.values()), faces_at(generator, np.zeros((1, Z_SIZE)))
        )
        self.key = model_key(generator)
        self.state = FaceState(_base(seed), np.zeros(Z_SIZE), seed, 1.0, {}, {})
        self._done: list[FaceState] = []
        self._undone: list[FaceState] = []
        self._doing: str | None = None  # what the last step was, as long as it goes on
        self._search: tuple[FaceState, PredictionSearch] | None = None

    @classmethod
    def open(
        cls,
        checkpoint: str | Path,
        predictors: Sequence[str | Path] = (),
        directions: str | Path | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> "Explorer":
        """Browse the generator in a checkpoint.

        ``predictors`` are checkpoints of networks whose predictions give the directions; where two have the
        same, the first one's counts. The ``discriminator.safetensors`` beside the generator comes last, if it
        is there. ``directions`` is a file to keep the directions in: read if it is there, else learned, which
        takes up to a minute, and written; by default the ``directions.safetensors`` beside the generator, if
        it is there. Raises UserError if a file is missing or is not what it should be.
        """
        generator, _ = load_checkpoint(checkpoint, "generator")
        beside, shipped = (
            Path(checkpoint).with_name(f"{name}.safetensors") for name in ("discriminator", "directions")
        )
        paths = [Path(path) for path in predictors]
        if not paths or (beside.exists() and beside not in paths):
            paths.append(beside)
        networks = {path.stem: NetworkPredictor(path, enlarge=True) for path in paths}
        if directions is None and shipped.exists():
            directions = shipped
        if directions is not None and os.path.lexists(directions):
            found = read_directions(directions, model_key(generator))
        else:
            joined = JoinedPredictor(list(networks.values()), faces_at(generator, np.zeros((1, Z_SIZE))))
            found = browser_directions(generator, joined, progress)
            if directions is not None:
                write_directions(directions, found, model_key(generator))
        return cls(generator, found, networks, seed)

    def predictor_of(self, columns: Sequence[str]) -> Predictor:
        """What reads some columns, in log odds: of each column the first predictor that has it."""
        return log_odds(self._joined.only(columns))

    # What is shown

    @property
    def z(self) -> np.ndarray:
        """z of the face that is shown, ``(100,)`` in [-1, 1]."""
        return self.state.z

    def picture(self) -> np.ndarray:
        """The face that is shown, ``(S, S, 3)`` uint8."""
        return faces_at(self.generator, self.z[None])[0]

    def predictions(self) -> dict[str, pd.Series]:
        """What each predictor says of it: valence, arousal, and probabilities."""
        face = self.picture()[None]
        return {name: predictor(face).iloc[0] for name, predictor in self.predictors.items()}

    def way(self, name: str) -> np.ndarray:
        """Where a slider leads now, ``(100,)``: its direction, apart from the locked ones, of length 1.

        0 if next to nothing of it is left. Raises UserError if there is no such direction.
        """
        self._check(name)
        locked = [lock for lock in self.state.locks if lock != name]
        rest = orthogonalize(self.directions[name], self.directions.some(locked).vectors)
        left = np.linalg.norm(rest)
        return rest / left if left >= LEAST_LEFT else np.zeros(Z_SIZE)

    def along(self, name: str, amounts: Sequence[float]) -> np.ndarray:
        """z for a film along a direction, ``(A, 100)``: its slider at each of ``amounts``, all else as is."""
        now = self.state.sliders.get(name, 0.0)
        return along(self.state.place, self.way(name), np.asarray(amounts, np.float64) - now)

    def neighbours(self, across: str, down: str, step: float = 1.0, reach: int = 1) -> np.ndarray:
        """z for a grid around the face along two directions, see ``neighbours``."""
        return neighbours(self.state.place, self.way(across), self.way(down), step, reach)

    def faces(self, z: np.ndarray) -> np.ndarray:
        """The faces of ``z`` ``(N, 100)``: ``(N, S, S, 3)`` uint8."""
        return faces_at(self.generator, z)

    def leaks(self, name: str, num_faces: int = 50, locked: Sequence[str] | None = None) -> pd.DataFrame:
        """What moving ``name`` does to locked predictions of other faces, before and after orthogonalizing.

        See ``leak_table``. ``locked`` are by default those that are now.
        """
        locked = [lock for lock in self.state.locks if lock != name] if locked is None else locked
        predictor = self.predictor_of([name, *locked])
        return leak_table(self.generator, predictor, self.directions, name, locked, num_faces=num_faces)

    # What can be done

    def move(self, name: str, amount: float) -> None:
        """Put the slider of a direction to ``amount``; UserError if it is locked or there is none."""
        edit = self.state.edit + (amount - self.state.sliders.get(name, 0.0)) * self._free_way(name)
        self._do(f"move {name}", edit=edit, sliders={**self.state.sliders, name: float(amount)})

    def set_number(self, index: int, value: float) -> None:
        """Make number ``index`` (from 0) of z ``value``, and change the others only to keep locks still."""
        axis = np.eye(Z_SIZE)[index]
        way = orthogonalize(axis, self.directions.some(list(self.state.locks)).vectors)
        if way[index] < LEAST_LEFT**2:
            raise UserError(f"z {index}", "is held by what is locked", "unlock something")
        edit = self.state.edit + (value - self.state.place[index]) / way[index] * way
        self._do(f"number {index}", edit=edit)

    def set_truncation(self, fraction: float) -> None:
        """Draw the face towards the middle of all faces, 1 to 0; the sliders keep what they did."""
        truncate(self.state.base, fraction)  # a fraction outside of [0, 1] stops here
        self._do("truncation", truncation=float(fraction))

    def new_face(self, seed: int) -> None:
        """The face of a seed, without what the sliders did. Locks and truncation stay."""
        self._replace_face(_base(seed), seed, self.state.truncation)

    def show(self, z: np.ndarray) -> None:
        """The face of a z, ``(100,)``, such as a favourite: the sliders and the truncation are put back."""
        self._replace_face(np.array(z, np.float64), None, 1.0)

    def lock(self, name: str) -> None:
        """Keep what a direction does as it is now; see :meth:`way` and :meth:`settle`."""
        self._check(name)
        self._do(f"lock {name}", locks={**self.state.locks, name: self._prediction(name)})
        self.finish()

    def unlock(self, name: str) -> None:
        """Free a direction; nothing moves."""
        locks = {lock: held for lock, held in self.state.locks.items() if lock != name}
        self._do(f"unlock {name}", locks=locks)
        self.finish()

    def settle(self) -> pd.DataFrame:
        """Bring the locked predictions back to where they were locked, by looking at a few faces.

        Belongs to the step before it: call it when a slider is let go. It moves along the locked directions
        only, and not at all if that makes nothing better. The table has a row for each locked direction with
        a prediction: ``held``, ``before`` and ``after``.
        """
        self.finish()
        self._search = None
        held = {name: value for name, value in self.state.locks.items() if value is not None}
        if not held:
            return pd.DataFrame(columns=["held", "before", "after"])
        basis = self.directions.some(list(held)).vectors
        predictor = self.predictor_of(list(held))
        search = PredictionSearch(
            self.generator, predictor, self.state.place, basis, list(held), SETTLE_SURVEY
        )
        found = search.seek(list(held.values()), SETTLE_ROUNDS)
        table = {"held": found.wanted, "before": search.predictions[0], "after": found.prediction}
        self.state = replace(self.state, edit=self.state.edit + found.place @ basis)
        return pd.DataFrame(table, index=list(held))

    def seek(self, valence: float, arousal: float, rounds: int = 5) -> SearchResult:
        """Go to a face near this one that is read as so pleasant and so active, as far as there is one.

        The first call looks around; further ones, as when a point is dragged, go on from what was seen, until
        something else is done. Raises UserError if there is no direction of the two, or it is locked.
        """
        if self._search is None:
            ways = np.stack([self._free_way(name) for name in VA])
            predictor = self.predictor_of(VA)
            self._search = self.state, PredictionSearch(self.generator, predictor, self.state.place, ways, VA)
        start, search = self._search
        found = search.seek((valence, arousal), rounds)
        sliders = {name: start.sliders.get(name, 0.0) + found.place[i] for i, name in enumerate(VA)}
        edit = start.edit + found.place @ search.basis
        self._do("seek", edit=edit, sliders={**start.sliders, **sliders}, seeking=True)
        return found

    def reset(self) -> None:
        """The face of the seed as it was, everything unlocked."""
        base = self.state.base if self.state.seed is None else _base(self.state.seed)
        self._do("reset", base=base, edit=np.zeros(Z_SIZE), truncation=1.0, sliders={}, locks={})
        self.finish()

    def finish(self) -> None:
        """What comes next is a step of its own, even if it is more of the same."""
        self._doing = None

    def undo(self) -> bool:
        """Take back a step; false if there is none."""
        return self._swap(self._done, self._undone)

    def redo(self) -> bool:
        """Do again what was undone last; false if nothing was, or something was done since."""
        return self._swap(self._undone, self._done)

    @property
    def can_undo(self) -> bool:
        """Whether :meth:`undo` has something to do."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether :meth:`redo` has something to do."""
        return bool(self._undone)

    def _do(self, what: str, seeking: bool = False, **changes) -> None:
        if what != self._doing:
            self._done.append(self.state)
        self._undone.clear()
        self._doing, self.state = what, replace(self.state, **changes)
        self._search = self._search if seeking else None

    def _swap(self, source: list[FaceState], target: list[FaceState]) -> bool:
        self.finish()
        self._search = None
        if not source:
            return False
        target.append(self.state)
        self.state = source.pop()
        return True

    def _replace_face(self, base: np.ndarray, seed: int | None, truncation: float) -> None:
        edit = np.zeros(Z_SIZE)
        self._do("new face", base=base, edit=edit, seed=seed, truncation=truncation, sliders={})
        locks = {name: self._prediction(name) for name in self.state.locks}  # of the new face
        self.state = replace(self.state, locks=locks)
        self.finish()

    def _prediction(self, name: str) -> float | None:
        if name not in self._joined.columns:
            return None
        return float(self.predictor_of([name])(self.picture()[None])[name].iloc[0])

    def _free_way(self, name: str) -> np.ndarray:
        way = self.way(name)
        if name in self.state.locks:
            raise UserError(name, "is locked", "unlock it to move it")
        return way

    def _check(self, name: str) -> None:
        if name not in self.directions:
            raise UserError(name, "is no direction", f"there are {', '.join(self.directions.names)}")


def browser_directions(generator: Generator, predictor: Predictor, progress: bool = False) -> Directions:
    """What a page has sliders for: a direction for each prediction, in log odds, and the principal ones.

    The former are kept apart from the first ten of the latter.
    """
    principal = principal_directions(generator)
    looks = principal.some(principal.names[:LOOKS])
    return learned_directions(generator, log_odds(predictor), looks, progress=progress) | principal


def _base(seed: int) -> np.ndarray:
    return sample_z(1, seed)[0].double().numpy()

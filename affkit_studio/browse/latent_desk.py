"""What the page of the latent browser asks, and what it is told; knows nothing of widgets.

The page is ``latent.js``. It asks one question at a time and always the newest, so nothing piles up here
while a slider is dragged. Pictures go as raw bytes, ``(N, S, S, 3)`` uint8: faces are so small that packing
them would take longer than sending them.
"""

from collections.abc import Callable, Iterable

import numpy as np

from affkit.errors import UserError
from affkit.labels import ACTION_UNIT_NAMES, VA
from affkit.store import write_picture
from affkit_lab.latent.directions import faces_at
from affkit_lab.latent.z_arithmetic import walk
from affkit_studio.browse.explore import Explorer
from affkit_studio.browse.favourites import Favourites
from affkit_studio.browse.film_strip import film_strip, write_film
from affkit_studio.browse.latent_work import WORKS, Extras, Job
from affkit_studio.page_widget import Reply

SLIDER_LIMIT = 4.0  # of a direction's slider, either way
FILM_AMOUNTS = np.linspace(-3, 3, 25)  # of a film along a direction
WALK_STEPS = 20  # pictures from one favourite to the next
STRIP_COUNT = 12  # pictures of a film strip that is saved


class LatentDesk:
    """Answers the page about the face of an explorer; films are written beside the favourites."""

    def __init__(self, explorer: Explorer, favourites: Favourites, extras: Extras | None = None):
        self.explorer, self.favourites, self.extras = explorer, favourites, extras or Extras()
        self.revision = 0
        self.job: Job | None = None
        self._film: np.ndarray | None = None  # (T, S, S, 3), shown last
        self._grid: np.ndarray | None = None  # (9, 100), shown last
        self._changes: dict[str, Callable[[dict], object]] = {
            "move": lambda ask: explorer.move(ask["name"], float(ask["value"])),
            "number": lambda ask: explorer.set_number(int(ask["index"]), float(ask["value"])),
            "truncation": lambda ask: explorer.set_truncation(float(ask["value"])),
            "seek": lambda ask: explorer.seek(float(ask["valence"]), float(ask["arousal"]), rounds=2),
            "new": lambda ask: explorer.new_face(int(ask["seed"])),
            "show": lambda ask: explorer.show(self._favourite(ask["name"])),
            "neighbour": lambda ask: explorer.show(self._grid[int(ask["index"])]),
            "found": lambda ask: explorer.show(self.job.result.z),
            "lock": lambda ask: explorer.lock(ask["name"]),
            "unlock": lambda ask: explorer.unlock(ask["name"]),
            "finish": lambda ask: explorer.settle(),
            "undo": lambda ask: explorer.undo(),
            "redo": lambda ask: explorer.redo(),
            "reset": lambda ask: explorer.reset(),
        }
        self._answers: dict[str, Callable[[dict, list], Reply]] = {
            "open": self._open,
            "poll": self._poll,
            "read": self._read,
            "neighbours": self._neighbours,
            "along": self._along,
            "walk": self._walk,
            "keep": self._keep,
            "remove": self._remove,
            "favourites": self._list,
            "save": self._save,
            "start": self._start,
            "job": self._job,
            **dict.fromkeys(self._changes, self._change),
        }

    def handle(self, message: dict, buffers: list | None = None) -> Reply:
        """Answer one message, whose kind is in the tables above; what the user can fix is under "error"."""
        try:
            reply, pictures = self._answers[message["kind"]](message, buffers or [])
        except (UserError, OSError) as error:
            reply, pictures = {"error": " ".join(str(error).split()), **self._state()}, [self._face()]
        return reply | {"kind": message["kind"], "token": message["token"]}, pictures

    # The face, and what changes it

    def _open(self, ask: dict, buffers: list) -> Reply:
        explorer, extras = self.explorer, self.extras
        facts = {
            "size": explorer.generator.config.image_size,
            "limit": SLIDER_LIMIT,
            "directions": [self._describe(name) for name in va_first(explorer.directions.names)],
            "seeks": all(name in explorer.directions for name in VA),
            "near": extras.training is not None,
            "projects": extras.feature_net is not None,
            "clips": list(extras.clips),
            "folder": self.favourites.path.name,
        }
        return {"facts": facts, **self._state()}, [self._face()]

    def _describe(self, name: str) -> dict:
        """A direction for the page: its words, and what was measured when it was found."""
        row = self.explorer.directions.table.loc[name].dropna()
        words = {
            "r2": "fit {:.2f}",
            "in_sd": "moves its prediction by {:+.2f} standard deviations a step",
            "fit": "straight {:.2f}",
            "explained": "{:.0%} of the features' variance",
            "identity": "changes who it is by {:.2f} of another person",
        }
        said = [text.format(row[key]) for key, text in words.items() if key in row]
        kind = "pca" if name.startswith("PCA") else "prediction"
        title = ACTION_UNIT_NAMES.get(name, "")
        return {"name": name, "title": title, "kind": kind, "measured": ", ".join(said)}

    def _change(self, ask: dict, buffers: list) -> Reply:
        self._changes[ask["kind"]](ask)
        self.revision += 1
        return self._state(), [self._face()]

    def _poll(self, ask: dict, buffers: list) -> Reply:
        """Whether another page changed something; also how the page learns that the kernel lives."""
        if ask["revision"] == self.revision:
            return {}, []
        return self._state(), [self._face()]

    def _state(self) -> dict:
        explorer, state = self.explorer, self.explorer.state
        # Only a lock can leave nothing of a direction; every move of a slider comes along here.
        free = [name for name in explorer.directions.names if name not in state.locks] if state.locks else []
        return {
            "state": {
                "revision": self.revision,
                "seed": state.seed,
                "truncation": state.truncation,
                "sliders": dict(state.sliders),
                "locks": dict(state.locks),
                "still": [name for name in free if not explorer.way(name).any()],
                "z": explorer.z.round(4).tolist(),
                "can_undo": explorer.can_undo,
                "can_redo": explorer.can_redo,
            }
        }

    def _face(self) -> bytes:
        return self.explorer.picture().tobytes()

    def _read(self, ask: dict, buffers: list) -> Reply:
        predictions = self.explorer.predictions()
        plain = {
            name: [[key, float(row[key])] for key in va_first(row.index)] for name, row in predictions.items()
        }
        return {"predictions": plain}, []

    # Other faces

    def _neighbours(self, ask: dict, buffers: list) -> Reply:
        self._grid = self.explorer.neighbours(ask["across"], ask["down"], float(ask["step"]))
        return {}, [self.explorer.faces(self._grid).tobytes()]

    def _along(self, ask: dict, buffers: list) -> Reply:
        return self._show_film(self.explorer.faces(self.explorer.along(ask["name"], FILM_AMOUNTS)))

    def _walk(self, ask: dict, buffers: list) -> Reply:
        if len(ask["names"]) < 2:
            raise UserError("a walk", "needs two favourites or more", "keep some faces and choose them")
        keys = [self._favourite(name) for name in ask["names"]]
        return self._show_film(self.explorer.faces(walk(keys, WALK_STEPS)))

    def _show_film(self, frames: np.ndarray) -> Reply:
        self._film = frames
        return {"frames": len(frames)}, [frames.tobytes()]

    def _save(self, ask: dict, buffers: list) -> Reply:
        """The film that was shown last, into a new file beside the favourites."""
        if self._film is None:
            raise UserError("film", "none was shown yet", "play one first")
        kind = ask["format"]
        if kind not in ("gif", "mp4", "png"):
            raise UserError(kind, "no such kind of film", "choose gif, mp4 or png")
        folder = self.favourites.path.parent
        names = (folder / f"film-{number:02d}.{kind}" for number in range(1, 10_000))
        path = next(path for path in names if not path.exists())
        if kind == "png":
            write_picture(path, film_strip(self._film, STRIP_COUNT, STRIP_COUNT))
        else:
            write_film(path, self._film)
        return {"saved": path.name}, []

    # Favourites

    def _favourite(self, name: str) -> np.ndarray:
        favourites = self.favourites.read()
        if name not in favourites:
            raise UserError(self.favourites.path, f"has no favourite '{name}'", "choose one that it has")
        return favourites[name]

    def _keep(self, ask: dict, buffers: list) -> Reply:
        self.favourites.keep(ask["name"], self.explorer.z)
        return self._list(ask, buffers)

    def _remove(self, ask: dict, buffers: list) -> Reply:
        self.favourites.remove(ask["name"])
        return self._list(ask, buffers)

    def _list(self, ask: dict, buffers: list) -> Reply:
        favourites = self.favourites.read()
        if not favourites:
            return {"favourites": []}, [b""]
        faces = faces_at(self.explorer.generator, np.stack(list(favourites.values())))
        return {"favourites": list(favourites)}, [faces.tobytes()]

    # What takes longer, see :mod:`affkit_studio.browse.latent_work`

    def _start(self, ask: dict, buffers: list) -> Reply:
        if ask["work"] not in WORKS:
            raise UserError(ask["work"], "no such work", f"ask for one of {', '.join(WORKS)}")
        work = WORKS[ask["work"]](self.explorer, self.extras, ask, buffers)
        if self.job is not None:
            self.job.stop()
        self.job = Job(work)
        return {}, []

    def _job(self, ask: dict, buffers: list) -> Reply:
        """How far the work is; once it is done, what came out."""
        job = self.job
        if job is not None and job.running:
            return {"running": True, "done": job.done, "of": job.total}, []
        if job is not None and job.error is not None:
            raise job.error
        if job is None or job.result is None:
            return {"running": False}, []
        if job.result.is_film:
            self._film = job.result.pictures
        return {"running": False, **job.result.reply}, [job.result.pictures.tobytes()]


def va_first(names: Iterable[str]) -> list[str]:
    """Valence and arousal, then the others as they come.

    >>> va_first(["AU1", "valence", "fake", "arousal"])
    ['valence', 'arousal', 'AU1', 'fake']
    """
    return sorted(names, key=lambda name: VA.index(name) if name in VA else len(VA))

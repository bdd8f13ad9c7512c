"""Faces to come back to: a name, its z, and which generator it belongs to, in a JSON file."""

import json
import os
from pathlib import Path

import numpy as np

from affkit.errors import UserError, quote
from affkit.files import write_beside
from affkit.gan import Z_SIZE
from affkit.labelfiles.csv_text import read_text

FORMAT = 1  # of the file; a reader of another number refuses
FIX = "correct it, or take another file"


class Favourites:
    """The favourites of one generator in one file.

    Every change reads the file first and is written whole or not at all, so two pages with one file do
    not lose each other's faces.

    The file need not exist yet; ``key`` is the generator's :func:`~affkit.checkpoints.model_key`. All methods
    raise UserError if the file is damaged, naming the entry, or belongs to another generator.
    """

    def __init__(self, path: str | Path, key: str):
        self.path, self.key = Path(path), key
        self.read()

    def read(self) -> dict[str, np.ndarray]:
        """Name to z, ``(100,)`` float64, in the order they were kept; empty if there is no file yet."""
        if not os.path.lexists(self.path):  # a link that leads nowhere is told
            return {}
        content = self._content()
        if (found_key := content.get("checkpoint")) != self.key:
            problem = f"holds favourites of another generator, {quote(str(found_key))}, not {self.key}"
            raise UserError(self.path, problem, "take its checkpoint, or another file")
        entries = content.get("favourites")
        if not isinstance(entries, list):
            raise UserError(self.path, "has no list of favourites", FIX)
        found: dict[str, np.ndarray] = {}
        for number, entry in enumerate(entries, 1):
            name, z = self._checked(number, entry)
            if name in found:
                raise UserError(self.path, f"favourite {number} has the name of another, {quote(name)}", FIX)
            found[name] = z
        return found

    def keep(self, name: str, z: np.ndarray, replace: bool = False) -> None:
        """Add a face, ``(100,)`` in [-1, 1]. UserError if the name is empty or taken, unless ``replace``."""
        name, z = name.strip(), np.asarray(z, np.float64)
        if z.shape != (Z_SIZE,) or not (np.abs(z) <= 1).all():
            raise ValueError(f"a z of shape {z.shape} or with a number outside [-1, 1]")
        if not name:
            raise UserError(self.path, "a favourite needs a name", "give it one")
        favourites = self.read()
        if name in favourites and not replace:
            raise UserError(self.path, f"there is a favourite {quote(name)} already", "choose another name")
        favourites[name] = z
        self._write(favourites)

    def remove(self, name: str) -> None:
        """Take one out; UserError if it is not there."""
        favourites = self.read()
        if name not in favourites:
            raise UserError(self.path, f"has no favourite {quote(name)}", "choose one that it has")
        del favourites[name]
        self._write(favourites)

    def _write(self, favourites: dict[str, np.ndarray]) -> None:
        # a line a favourite, to be read and edited
        lines = [json.dumps({"name": n, "z": z.tolist()}, ensure_ascii=False) for n, z in favourites.items()]
        head = f'"format": {FORMAT},\n "checkpoint": {json.dumps(self.key)},\n "favourites": [\n'
        with write_beside(self.path) as part:
            part.write_text("{" + head + ",\n".join(lines) + "\n]}\n", encoding="utf-8", newline="\n")

    def _content(self) -> dict:
        try:
            content = json.loads(read_text(self.path))
        except json.JSONDecodeError as error:
            problem = f"is not JSON from line {error.lineno} on: {error.msg}"
            raise UserError(self.path, problem, FIX) from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise UserError(self.path, "is not a file of favourites that this version reads", FIX)
        return content

    def _checked(self, number: int, entry: object) -> tuple[str, np.ndarray]:
        """Name and z of an entry, or what is wrong with it."""

        def wrong(problem: str) -> UserError:
            return UserError(self.path, f"favourite {number}{who} {problem}", FIX)

        who = ""
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
            raise wrong("has no name")
        who = f" ({quote(entry['name'])})"
        z = entry.get("z")
        if not isinstance(z, list) or len(z) != Z_SIZE:
            found = f"{len(z)} numbers" if isinstance(z, list) else "no list"
            raise wrong(f"has {found} as its z, not {Z_SIZE} numbers")
        for place, value in enumerate(z, 1):
            if isinstance(value, bool) or not isinstance(value, int | float) or not -1 <= value <= 1:
                said = quote(json.dumps(value))
                raise wrong(f"has {said} as number {place} of its z, not one from -1 to 1")
        return entry["name"], np.array(z, np.float64)

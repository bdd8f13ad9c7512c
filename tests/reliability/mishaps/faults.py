"""Ways to spoil a sound file. Each leaves something that is bad by construction, whatever reads it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mishaps.judge import Change

PICKLE = b"\x80\x04\x8c\x02os\x8c\x06system\x93."
RUBBISH = np.random.default_rng(7).bytes(3000)


def replaced(data: bytes) -> Change:
    """The file holds these bytes instead."""
    return lambda path: path.write_bytes(data) and None


def edited(edit: Callable[[bytes], bytes]) -> Change:
    """The file holds what ``edit`` makes of its bytes."""
    return lambda path: path.write_bytes(edit(path.read_bytes())) and None


def removed(path: Path) -> None:
    """Nothing is there any more."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def folder_instead(path: Path) -> None:
    """A folder of that name, with a file in it."""
    removed(path)
    path.mkdir()
    (path / "inside.txt").write_text("0\n")


def link_to_itself(path: Path) -> None:
    """A symbolic link that never ends."""
    removed(path)
    path.symlink_to(path.name)


def link_round(path: Path) -> None:
    """Two symbolic links, each to the other."""
    removed(path)
    path.symlink_to(f"{path.name}.other")
    path.with_name(f"{path.name}.other").symlink_to(path.name)


def link_to_nothing(path: Path) -> None:
    """A symbolic link to a file that is not there."""
    removed(path)
    path.symlink_to("gone")


FILE_FAULTS: dict[str, Change] = {
    "emptied": replaced(b""),
    "rubbish": replaced(RUBBISH),
    "a pickle": replaced(PICKLE),
    "a folder in its place": folder_instead,
    "a link to itself": link_to_itself,
    "a link in a circle": link_round,
    "a link to nothing": link_to_nothing,
}
"""For any file that a command is to read."""

TEXT_FAULTS: dict[str, Change] = {
    "UTF-16": edited(lambda data: data.decode().encode("utf-16")),
    "Latin-1 in it": edited(lambda data: data.rstrip() + "é".encode("latin-1") + b"\n"),
    "zero bytes in it": edited(lambda data: data[: len(data) // 2] + b"\0\0" + data[len(data) // 2 :]),
    "white space only": replaced(b" \n\n \n"),
}
"""For any file of text."""


def of_lines(edit: Callable[[list[str]], list[str]]) -> Change:
    """The file holds the lines that ``edit`` makes of its lines."""
    return edited(lambda data: ("\n".join(edit(data.decode().splitlines())) + "\n").encode())


def _last_cell(value: str) -> Change:
    """The last cell of the last line but one is ``value``."""

    def edit(lines: list[str]) -> list[str]:
        return [*lines[:-2], ",".join([*lines[-2].split(",")[:-1], value]), lines[-1]]

    return of_lines(edit)


CELL_FAULTS: dict[str, Change] = {
    "a word for a number": _last_cell("high"),
    "nan for a number": _last_cell("nan"),
    "an infinite number": _last_cell("1e999"),
    "a number out of range": _last_cell("99"),
    "a blank line": of_lines(lambda lines: [*lines[:-2], "", *lines[-2:]]),
    "a cell too many": of_lines(lambda lines: [*lines[:-2], lines[-2] + ",0", lines[-1]]),
}
"""For a table whose last column is one of numbers."""

HEADER_FAULTS: dict[str, Change] = {
    "only its header": of_lines(lambda lines: lines[:1]),
    "another header": of_lines(lambda lines: ["time;what", *lines[1:]]),
    "no header": of_lines(lambda lines: lines[1:]),
    "a column twice": of_lines(lambda lines: [line + "," + line.split(",")[-1] for line in lines]),
    "a header cut off": of_lines(lambda lines: [lines[0][:3]]),
}
"""For a table with a header."""

WIDTH_FAULTS: dict[str, Change] = {
    "a cell missing": of_lines(lambda lines: [*lines[:-2], lines[-2].rpartition(",")[0], lines[-1]]),
    "cut off in its last line": of_lines(lambda lines: [*lines[:-1], lines[-1].rpartition(",")[0]]),
    "semicolons": edited(lambda data: data.replace(b",", b";")),
    "an empty cell": _last_cell(" "),
}
"""For a table of two columns or more, each of which must be there."""

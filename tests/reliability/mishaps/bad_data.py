"""Videos, stores, pools, partitions, favourites and annotation projects, spoiled."""

import json
import sqlite3
import wave
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from mishaps.faults import (
    CELL_FAULTS,
    FILE_FAULTS,
    HEADER_FAULTS,
    PICKLE,
    TEXT_FAULTS,
    edited,
    of_lines,
    removed,
    replaced,
)
from mishaps.judge import BadInput, Change


def json_edited(edit: Callable[[dict], object]) -> Change:
    """``edit`` changes what the JSON file holds, or returns something else to hold."""

    def change(path: Path) -> None:
        content = json.loads(path.read_text())
        other = edit(content)
        path.write_text(json.dumps(content if other is None else other))

    return change


JSON_FAULTS: dict[str, Change] = {
    "cut in the middle": edited(lambda data: data[: len(data) // 2]),
    "a list": replaced(b"[1, 2]"),
    "a number": replaced(b"7"),
    "null": replaced(b"null"),
    "words": replaced(b"train: one, two\n"),
    "a bracket too many": edited(lambda data: data + b"}"),
}


def _sound_only(path: Path) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(8000))


VIDEO_FAULTS: dict[str, Change] = FILE_FAULTS | {
    "not there": removed,
    "cut after 100 bytes": edited(lambda data: data[:100]),
    "its start gone": edited(lambda data: data[200:]),
    "zeros": edited(lambda data: bytes(len(data))),
    "words": replaced(b"frame,valence\n1,0\n"),
    "an archive": replaced(b"PK\x05\x06" + bytes(18)),
    "sound only": _sound_only,
}
_SEE_VIDEOS = (
    "convert one.mp4 -o out",
    "faces one.mp4 -o out --size 32",
    "predict one.mp4 -o out --checkpoint networks/discriminator.safetensors",
    "annotate one.mp4 --project out.affkit --no-browser",
)


def _saved(make: Callable[[np.ndarray], np.ndarray]) -> Change:
    """The crops are what ``make`` makes of them."""

    def change(path: Path) -> None:
        np.save(path, make(np.load(path)))

    return change


def _of_objects(path: Path) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (36,)})
        file.write(PICKLE)


_CROPS: dict[str, Change] = FILE_FAULTS | {
    "not there": removed,
    "cut off": edited(lambda data: data[:-1000]),
    "too long": edited(lambda data: data + b"more"),
    "only its header": edited(lambda data: data[:128]),
    "floats": _saved(lambda crops: crops.astype(np.float32)),
    "without colours": _saved(lambda crops: crops[..., 0]),
    "a crop missing": _saved(lambda crops: crops[:-1]),
    "of another size": _saved(lambda crops: crops[:, :16, :16]),
    "objects of Python": _of_objects,
}
_INFO: dict[str, Change] = (
    FILE_FAULTS
    | JSON_FAULTS
    | {
        "not there": removed,
        "of another format": json_edited(lambda info: info.update(format=99)),
        "no size": json_edited(lambda info: info.pop("size") and None),
        "a size that is a word": json_edited(lambda info: info.update(size="large")),
        "another size": json_edited(lambda info: info.update(size=64)),
    }
)


def _cell(column: str, value: str) -> Change:
    """The third line of the index has ``value`` in ``column``."""

    def edit(lines: list[str]) -> list[str]:
        cells = lines[2].split(",")
        cells[lines[0].split(",").index(column)] = value
        return [*lines[:2], ",".join(cells), *lines[3:]]

    return of_lines(edit)


_INDEX: dict[str, Change] = (
    FILE_FAULTS
    | TEXT_FAULTS
    | {name: HEADER_FAULTS[name] for name in ("only its header", "another header", "no header")}
    | {
        name: CELL_FAULTS[name]
        for name in ("a word for a number", "a number out of range", "a cell too many")
    }
    | {
        "not there": removed,
        "a row missing": of_lines(lambda lines: lines[:-1]),
        "a row twice": of_lines(lambda lines: [*lines, lines[-1]]),
        "a frame that is a word": _cell("frame", "first"),
        "no frame": _cell("frame", ""),
        "half a frame": _cell("frame", "1.5"),
        "valence out of range": _cell("valence", "7"),
        "valence that is a word": _cell("valence", "high"),
        "arousal that is infinite": _cell("arousal", "inf"),
        "an unknown expression": _cell("expression", "Bored"),
        "an action unit of 2": _cell("AU1", "2"),
        "arousal missing": of_lines(lambda lines: [lines[0].replace("arousal", "liking"), *lines[1:]]),
        "a unit missing": of_lines(lambda lines: [lines[0].replace("AU12", "AU13"), *lines[1:]]),
    }
)
_SEE_STORES = (
    "train gan --data store --out out --steps 1 --width 0.03 --device cpu",
    "train mtl --data store --out out --steps 1 --width 0.05 --device cpu",
    "train features --data store --out out --steps 1 --device cpu",
    "experiment table-ix --data store --partition partition.json --out out --steps 1 --width 0.03",
)
_POOL: dict[str, Change] = FILE_FAULTS | {
    "not there": removed,
    "cut off": edited(lambda data: data[: len(data) // 3]),
    "words": replaced(b"faces"),
}


def _ranges(value) -> Change:
    return json_edited(lambda content: content["sets"]["train"].update(one=value))


_PARTITION: dict[str, Change] = (
    FILE_FAULTS
    | TEXT_FAULTS
    | JSON_FAULTS
    | {
        "not there": removed,
        "no sets": json_edited(lambda content: content.pop("sets") and None),
        "sets that are a list": json_edited(lambda content: content.update(sets=["one"])),
        "a set that is a list": json_edited(lambda content: content["sets"].update(train=["one"])),
        "frames from 0": _ranges([[0, 4]]),
        "frames backwards": _ranges([[9, 2]]),
        "ranges that overlap": _ranges([[1, 5], [4, 8]]),
        "ranges out of order": _ranges([[5, 8], [1, 2]]),
        "ranges of three": _ranges([[1, 2, 3]]),
        "ranges of words": _ranges([["a", "b"]]),
        "half frames": _ranges([[1.5, 3]]),
        "frames that are true": _ranges([[True, 3]]),
        "a huge frame": _ranges([[1, 10**30]]),
        "a subject that is a number": json_edited(lambda content: content["subjects"].update(one=3)),
        "a subject without a name": json_edited(lambda content: content["subjects"].update(one="")),
        "subjects that are a list": json_edited(lambda content: content.update(subjects=["ann"])),
        "a name twice": edited(lambda data: data.replace(b'"train": {', b'"train": {"one": null,')),
    }
)
_SEE_PARTITIONS = (
    "split --check partition.json",
    "train gan --data store --out out --steps 1 --width 0.03 --part partition.json:train",
    "experiment table-ix --data store --partition partition.json --out out --steps 1 --width 0.03",
)


def _favourite(number: int = 1, **values) -> Change:
    return json_edited(lambda content: content["favourites"][number].update(values))


_FAVOURITES: dict[str, Change] = (
    FILE_FAULTS
    | TEXT_FAULTS
    | JSON_FAULTS
    | {
        "of another format": json_edited(lambda content: content.update(format=99)),
        "of another generator": json_edited(lambda content: content.update(checkpoint="0" * 16)),
        "no list": json_edited(lambda content: content.update(favourites={})),
        "an entry that is a number": json_edited(lambda content: content["favourites"].append(3)),
        "no name": _favourite(name=""),
        "a name twice": _favourite(name="calm"),
        "a z too short": _favourite(z=[0.5] * 99),
        "a z of words": _favourite(z=["a"] * 100),
        "a z out of range": _favourite(z=[1.5] * 100),
        "a z that is not a number": _favourite(z=[float("nan")] * 100),
    }
)
_FAVOURITES.pop("a link to nothing")  # a file that is not there is made


def _another_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE songs (name TEXT)")
        database.commit()


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
        database.commit()


_PROJECT: dict[str, Change] = FILE_FAULTS | {
    "words": replaced(b"annotation" * 100),
    "cut after 100 bytes": edited(lambda data: data[:100]),
    "its pages rubbish": edited(lambda data: data[:100] + b"\xa5" * (len(data) - 100)),
    "another database": _another_database,
    "of a newer version": _newer,
}
for _made in ("a link to nothing", "emptied"):  # what is not there is made
    _PROJECT.pop(_made)


def bad_data() -> Iterator[BadInput]:
    """Each file with each fault; the commands that read it take turns."""
    browse = "browse --checkpoint networks/generator.safetensors --favourites favourites.json --no-browser"
    pool = "train gan --data store --out out --steps 1 --width 0.03 --pool pool"
    named = {  # kind: file, faults, commands, names of which one must be in the complaint
        "video": ("one.mp4", VIDEO_FAULTS, _SEE_VIDEOS, ("one.mp4",)),
        "store, crops": ("store/crops.npy", _CROPS, _SEE_STORES, ("store",)),
        "store, information": ("store/store.json", _INFO, _SEE_STORES, ("store",)),
        "store, index": ("store/index.csv", _INDEX, _SEE_STORES, ("store",)),
        "pool": ("pool/faces_01.webp", _POOL, (pool,), ("pool",)),
        "partition": ("partition.json", _PARTITION, _SEE_PARTITIONS, ("partition.json",)),
        "favourites": ("favourites.json", _FAVOURITES, (browse,), ("favourites.json",)),
        "project": (
            "project.affkit",
            _PROJECT,
            ("annotate one.mp4 --project project.affkit --no-browser",),
            ("project.affkit",),
        ),
    }
    for kind, (target, faults, lines, names) in named.items():
        for turn, (fault, change) in enumerate(faults.items()):
            commands = lines if kind == "video" else (lines[turn % len(lines)],)
            for line in commands:
                yield BadInput(kind, fault, line, names, target, change)

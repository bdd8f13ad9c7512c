"""Sound files of every kind, spoiled: each fault leaves something that is bad, whatever reads it."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from scipy.io import wavfile

from mishaps.judge import BadInput, Change

PICKLE = b"\x80\x04\x8c\x02os\x8c\x06system\x93."
RUBBISH = np.random.default_rng(7).bytes(3000)


def replaced(data: bytes) -> Change:
    return lambda path: path.write_bytes(data)


def edited(edit: Callable[[bytes], bytes]) -> Change:
    """The file holds what ``edit`` makes of its bytes."""
    return lambda path: path.write_bytes(edit(path.read_bytes()))


def removed(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def folder_instead(path: Path) -> None:
    removed(path)
    path.mkdir()
    (path / "inside.txt").write_text("0\n")


def linked(*names: str) -> Change:
    """A symbolic link in its place, to the first of ``names``, that one to the next; {} is its own name."""

    def change(path: Path) -> None:
        removed(path)
        for name, target in pairwise(("{}", *names)):
            path.with_name(name.format(path.name)).symlink_to(target.format(path.name))

    return change


CUT = edited(lambda data: data[: len(data) // 2])
FILE_FAULTS: dict[str, Change] = {  # for any file that a command is to read
    "emptied": replaced(b""),
    "rubbish": replaced(RUBBISH),
    "a pickle": replaced(PICKLE),
    "a folder in its place": folder_instead,
    "a link to itself": linked("{}"),
    "a link in a circle": linked("{}.other", "{}"),
    "a link to nothing": linked("gone"),
}
TEXT_FAULTS: dict[str, Change] = {  # for any file of text
    "UTF-16": edited(lambda data: data.decode().encode("utf-16")),
    "Latin-1 in it": edited(lambda data: data.rstrip() + "é".encode("latin-1") + b"\n"),
    "zero bytes in it": edited(lambda data: data[: len(data) // 2] + b"\0\0" + data[len(data) // 2 :]),
    "white space only": replaced(b" \n\n \n"),
}
JSON_FAULTS: dict[str, Change] = {
    "cut in the middle": CUT,
    "a list": replaced(b"[1, 2]"),
    "a number": replaced(b"7"),
    "null": replaced(b"null"),
    "words": replaced(b"train: one, two\n"),
    "a bracket too many": edited(lambda data: data + b"}"),
}


def json_edited(edit: Callable[[dict], object]) -> Change:
    """``edit`` changes what the JSON file holds."""

    def change(path: Path) -> None:
        content = json.loads(path.read_text())
        edit(content)
        path.write_text(json.dumps(content))

    return change


def of_lines(edit: Callable[[list[str]], list[str]]) -> Change:
    """The file holds the lines that ``edit`` makes of its lines."""
    return edited(lambda data: ("\n".join(edit(data.decode().splitlines())) + "\n").encode())


def cell(value: str, column: str = "", row: int = -2) -> Change:
    """A cell of this line is ``value``: in the column with this name, or the last one."""

    def edit(lines: list[str]) -> list[str]:
        cells = lines[row].split(",")
        cells[lines[0].split(",").index(column) if column else -1] = value
        lines[row] = ",".join(cells)
        return lines

    return of_lines(edit)


CELL_FAULTS: dict[str, Change] = {  # for a table whose last column is one of numbers
    "a word for a number": cell("high"),
    "nan for a number": cell("nan"),
    "an infinite number": cell("1e999"),
    "a number out of range": cell("99"),
    "a blank line": of_lines(lambda lines: [*lines[:-2], "", *lines[-2:]]),
    "a cell too many": of_lines(lambda lines: [*lines[:-2], lines[-2] + ",0", lines[-1]]),
}
HEADER_FAULTS: dict[str, Change] = {  # for a table with a header
    "only its header": of_lines(lambda lines: lines[:1]),
    "another header": of_lines(lambda lines: ["time;what", *lines[1:]]),
    "no header": of_lines(lambda lines: lines[1:]),
    "a column twice": of_lines(lambda lines: [line + "," + line.split(",")[-1] for line in lines]),
    "a header cut off": of_lines(lambda lines: [lines[0][:3]]),
}
WIDTH_FAULTS: dict[str, Change] = {  # for a table of two columns or more, each of which must be there
    "a cell missing": of_lines(lambda lines: [*lines[:-2], lines[-2].rpartition(",")[0], lines[-1]]),
    "cut off in its last line": of_lines(lambda lines: [*lines[:-1], lines[-1].rpartition(",")[0]]),
    "semicolons": edited(lambda data: data.replace(b",", b";")),
    "an empty cell": cell(" "),
}


def only(faults: dict[str, Change], *names: str) -> dict[str, Change]:
    return {name: faults[name] for name in names}


def without(faults: dict[str, Change], *names: str) -> dict[str, Change]:
    return {name: fault for name, fault in faults.items() if name not in names}


def spoiled(kind: str, target: str, faults: dict[str, Change], *lines: str, name: str = ""):
    """The file with each fault, for these commands in turn; ``name`` is what they must name, if not it."""
    for turn, (fault, change) in enumerate(faults.items()):
        line = lines[turn % len(lines)]
        yield BadInput(kind, fault, line, (name or Path(target).name,), target, change)


# Label files of each layout, for the commands that read them

ALL = FILE_FAULTS | TEXT_FAULTS | CELL_FAULTS
TABLE = ALL | HEADER_FAULTS | WIDTH_FAULTS
# A header of one row only and lines of one cell: nothing to be missing in a line, and a class may be added.
CLASSES = ALL | only(HEADER_FAULTS, "only its header", "another header", "a header cut off")
LISTED = without(TABLE, "no header", "a header cut off")
# What has cells that may be empty: an empty one at the end says "not labelled".
LOOSE = without(TABLE, "an empty cell")

_READ_A_CORPUS = (
    "stats --data {0}",
    "split --data {0} --sizes 1,1,1 -o out.json",
    "agree A1 {0}/annotations -o out",
    "faces one.mp4 -o out --size 32 --labels {0}/annotations",
    "evaluate A1 {0}/annotations --task {1}",
)
_FOLDERS = {  # layout and task: folder of the label files, and what can be wrong in one
    ("abaw1", "va"): ("VA_Set/Training_Set", TABLE),
    ("abaw3", "expr"): ("EXPR_Classification_Challenge/Train_Set", CLASSES),
    ("abaw6", "au"): ("AU_Detection_Challenge/Train_Set", TABLE),
    ("abaw6", "expr"): ("EXPR_Recognition_Challenge/Train_Set", CLASSES),
    ("abaw6", "va"): ("VA_Estimation_Challenge/Train_Set", TABLE),
}
_FILES = {  # file: the commands, and what can be wrong
    "affwild/train/valence/one.txt": ("stats --data affwild", ALL),
    "affwild/train/arousal/one.txt": ("evaluate predicted affwild --task va", ALL),
    "mtl/MTL_Challenge/train_set.txt": ("stats --data mtl", LISTED),
    "flat.csv": ("evaluate flat.csv truth.csv --task va", TABLE),
    "submission.csv": ("evaluate submission.csv truth.csv --task va", TABLE),
    "table.csv": ("evaluate truth.csv table.csv --task mtl", LOOSE),
    "predicted/one.txt": ("evaluate predicted abaw6 --task va", TABLE),
}
_SUBJECTS = only(TABLE, *FILE_FAULTS, *TEXT_FAULTS, *HEADER_FAULTS, "a cell too many")

# Videos, stores and pools

VIDEO_FAULTS = {
    **FILE_FAULTS,
    "not there": removed,
    "cut after 100 bytes": edited(lambda data: data[:100]),
    "its start gone": edited(lambda data: data[200:]),
    "zeros": edited(lambda data: bytes(len(data))),
    "words": replaced(b"frame,valence\n1,0\n"),
    "an archive": replaced(b"PK\x05\x06" + bytes(18)),
    "sound only": lambda path: wavfile.write(path, 8000, np.zeros(4000, np.int16)),
}
_SEE_VIDEOS = (
    "convert one.mp4 -o out",
    "faces one.mp4 -o out --size 32",
    "predict one.mp4 -o out --checkpoint networks/discriminator.safetensors",
    "annotate one.mp4 --project out.affkit --no-browser",
)


def _saved(make: Callable[[np.ndarray], np.ndarray]) -> Change:

    def change(path: Path) -> None:
        np.save(path, make(np.load(path)))

    return change


def _of_objects(path: Path) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (36,)})
        file.write(PICKLE)


_CROPS = {
    **FILE_FAULTS,
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
_INFO = {
    **FILE_FAULTS,
    **JSON_FAULTS,
    "not there": removed,
    "of another format": json_edited(lambda info: info.update(format=99)),
    "no size": json_edited(lambda info: info.pop("size")),
    "a size that is a word": json_edited(lambda info: info.update(size="large")),
    "another size": json_edited(lambda info: info.update(size=64)),
}


_INDEX = {
    **FILE_FAULTS,
    **TEXT_FAULTS,
    **only(HEADER_FAULTS, "only its header", "another header", "no header"),
    **only(CELL_FAULTS, "a word for a number", "a number out of range", "a cell too many"),
    "not there": removed,
    "a row missing": of_lines(lambda lines: lines[:-1]),
    "a row twice": of_lines(lambda lines: [*lines, lines[-1]]),
    "a frame that is a word": cell("first", "frame", row=2),
    "no frame": cell("", "frame", row=2),
    "half a frame": cell("1.5", "frame", row=2),
    "valence out of range": cell("7", "valence", row=2),
    "valence that is a word": cell("high", "valence", row=2),
    "arousal that is infinite": cell("inf", "arousal", row=2),
    "an unknown expression": cell("Bored", "expression", row=2),
    "an action unit of 2": cell("2", "AU1", row=2),
    "arousal missing": of_lines(lambda lines: [lines[0].replace("arousal", "liking"), *lines[1:]]),
    "a unit missing": of_lines(lambda lines: [lines[0].replace("AU12", "AU13"), *lines[1:]]),
}
_SEE_STORES = (
    "train gan --data store --out out --steps 1 --width 0.03 --device cpu",
    "train mtl --data store --out out --steps 1 --width 0.05 --device cpu",
    "train features --data store --out out --steps 1 --device cpu",
    "experiment table-ix --data store --partition partition.json --out out --steps 1 --width 0.03",
)
_POOL = {
    **FILE_FAULTS,
    "not there": removed,
    "cut off": edited(lambda data: data[: len(data) // 3]),
    "words": replaced(b"faces"),
}


# Partitions, favourites and annotation projects


def _ranges(value) -> Change:
    return json_edited(lambda content: content["sets"]["train"].update(one=value))


_PARTITION = {
    **FILE_FAULTS,
    **TEXT_FAULTS,
    **JSON_FAULTS,
    "not there": removed,
    "no sets": json_edited(lambda content: content.pop("sets")),
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
_SEE_PARTITIONS = (
    "split --check partition.json",
    "train gan --data store --out out --steps 1 --width 0.03 --part partition.json:train",
    "experiment table-ix --data store --partition partition.json --out out --steps 1 --width 0.03",
)


def _favourite(**values) -> Change:
    return json_edited(lambda content: content["favourites"][1].update(values))


_FAVOURITES = {
    **without(FILE_FAULTS, "a link to nothing"),  # a file that is not there is made
    **TEXT_FAULTS,
    **JSON_FAULTS,
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


def _told(statement: str, anew: bool = False) -> Change:
    """The database, or a new one in its place, has executed this."""

    def change(path: Path) -> None:
        if anew:
            path.unlink()
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(statement)

    return change


_PROJECT = {
    **without(FILE_FAULTS, "a link to nothing", "emptied"),  # what is not there is made
    "words": replaced(b"annotation" * 100),
    "cut after 100 bytes": edited(lambda data: data[:100]),
    "its pages rubbish": edited(lambda data: data[:100] + b"\xa5" * (len(data) - 100)),
    "another database": _told("CREATE TABLE songs (name TEXT)", anew=True),
    "of a newer version": _told("PRAGMA user_version = 99"),
}


# Checkpoints and files of directions: what is inside a safetensors file is changed by hand


def rewritten(edit: Callable[[dict, dict], None]) -> Change:
    """``edit`` is given the tensors and the header, and changes them."""

    def change(path: Path) -> None:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = dict(file.metadata())
        edit(tensors, header)
        save_file(tensors, path, metadata=header)

    return change


def _header(**values: str) -> Change:
    return rewritten(lambda _, header: header.update(values))


def _net(**values) -> Change:
    return rewritten(lambda _, header: header.update(net=json.dumps(json.loads(header["net"]) | values)))


def _first_transposed(tensors: dict, _: dict) -> None:
    name = next(name for name, tensor in sorted(tensors.items()) if tensor.ndim > 1)
    tensors[name] = tensors[name].flatten()[:-1].clone()


def _copied_from(name: str) -> Change:
    return lambda path: path.write_bytes(path.with_name(f"{name}.safetensors").read_bytes())


NETWORK_FAULTS = {
    **FILE_FAULTS,
    "not there": removed,
    "cut in the middle": CUT,
    "without its last byte": edited(lambda data: data[:-1]),
    "a byte too many": edited(lambda data: data + b"\0"),
    "a header longer than the file": edited(lambda data: (2**62).to_bytes(8, "little") + data[8:]),
    "only the length of its header": edited(lambda data: data[:8]),
    "a header that is no JSON": edited(lambda data: data[:8] + b"[" + data[9:]),
    "written by torch.save": lambda path: torch.save({"weight": torch.zeros(3)}, path),
    "words": replaced(b"The weights are on the other disk.\n"),
    "no architecture named": rewritten(lambda _, header: header.pop("architecture")),
    "an unknown architecture": _header(architecture="transformer"),
    "no configuration": rewritten(lambda _, header: header.pop("net")),
    "a configuration that is no JSON": _header(net="{"),
    "a configuration that is a list": _header(net="[]"),
    "a setting it does not know": _net(colour="red"),
    "a width below 0": _net(width=-1.0),
    "a width that is a word": _net(width="wide"),
    "a width of a million": _net(width=1e6),
    "a weight missing": rewritten(lambda tensors, _: tensors.pop(sorted(tensors)[0])),
    "a weight too many": rewritten(lambda tensors, _: tensors.update(extra=torch.zeros(2))),
    "a weight of another shape": rewritten(_first_transposed),
}
DIRECTION_FAULTS = {
    **without(FILE_FAULTS, "a link to nothing"),  # a file that is not there is made
    "cut in the middle": CUT,
    "of another kind": _header(kind="songs"),
    "of another generator": _header(checkpoint="0" * 16),
    "a table that is no JSON": _header(table="{"),
    "a table that is a number": _header(table="3"),
    "names without a table": _header(table='[["first", "second"], 5]'),
    "a direction missing": rewritten(
        lambda tensors, _: tensors.update(vectors=tensors["vectors"][:1].clone())
    ),
    "no vectors": rewritten(lambda tensors, _: tensors.update(other=tensors.pop("vectors"))),
    "a number that is not one": rewritten(lambda tensors, _: tensors["vectors"].fill_(float("nan"))),
}
_COMMANDS = {  # file of a network: the commands that read it
    "generator": (
        "generate --checkpoint {0} --n 4 -o out.png",
        "page --checkpoint {0} --principal -o out.html",
        "browse --checkpoint {0} --no-browser --favourites favourites.json",
    ),
    "discriminator": (
        "predict one.mp4 -o out.csv --checkpoint {0}",
        "predict one.mp4 -o out --no-video --checkpoint {0}",
        "evaluate gan --run networks --data store --features networks/features.safetensors --n 16 -o out",
    ),
    "cnn": (
        "train mtl --data store --out out --steps 1 --width 0.05 --weights {0}",
        "page --checkpoint networks/generator.safetensors --reader {0} -o out.html",
        "browse --checkpoint networks/generator.safetensors --reader {0} --no-browser",
    ),
    "affwildnet": ("predict one.mp4 -o out --checkpoint {0}",),
    "features": (
        "evaluate gan --run networks --data store --features {0} --n 16 -o out",
        "browse --checkpoint networks/generator.safetensors --features {0} --no-browser",
    ),
}
_OTHER_NETWORKS = {  # a network that cannot do what this one is needed for
    "generator": ("discriminator", "cnn", "features", "affwildnet"),
    "discriminator": ("generator",),  # all others read faces
    "cnn": ("generator",),
    "affwildnet": ("generator",),
    "features": ("generator", "cnn", "affwildnet", "discriminator"),
}


def bad_labels() -> Iterator[BadInput]:
    """Each layout with each fault; the commands take turns."""
    turn = 1
    for (layout, task), (folder, faults) in _FOLDERS.items():
        lines = [line.format(layout, task) for line in _READ_A_CORPUS]
        lines = lines[turn:] + lines[:turn]
        yield from spoiled("label file", f"{layout}/annotations/{folder}/one.txt", faults, *lines)
        turn = (turn + len(faults)) % len(lines)
    for target, (line, faults) in _FILES.items():
        kind = "prediction file" if "predicted" in target or "submission" in target else "label file"
        yield from spoiled(kind, target, faults, line)
    folder = "abaw6/annotations/VA_Estimation_Challenge"
    moved = FILE_FAULTS | TEXT_FAULTS  # convert moves lines, and reads no number in them
    line = f"convert one.mp4 -o out --labels {folder}"
    yield from spoiled("label file", f"{folder}/Train_Set/one.txt", moved, line)
    line = "split --data abaw6 --sizes 1,1,1 -o out.json"
    yield from spoiled("subjects", "abaw6/subjects.csv", _SUBJECTS, line)


def bad_data() -> Iterator[BadInput]:
    for line in _SEE_VIDEOS:
        yield from spoiled("video", "one.mp4", VIDEO_FAULTS, line)
    for kind, target, faults in (
        ("store, crops", "store/crops.npy", _CROPS),
        ("store, information", "store/store.json", _INFO),
        ("store, index", "store/index.csv", _INDEX),
    ):
        yield from spoiled(kind, target, faults, *_SEE_STORES, name="store")
    pool = "train gan --data store --out out --steps 1 --width 0.03 --pool pool"
    yield from spoiled("pool", "pool/faces_01.webp", _POOL, pool, name="pool")
    yield from spoiled("partition", "partition.json", _PARTITION, *_SEE_PARTITIONS)
    browse = "browse --checkpoint networks/generator.safetensors --favourites favourites.json --no-browser"
    yield from spoiled("favourites", "favourites.json", _FAVOURITES, browse)
    annotate = "annotate one.mp4 --project project.affkit --no-browser"
    yield from spoiled("project", "project.affkit", _PROJECT, annotate)


def bad_networks() -> Iterator[BadInput]:
    """Each network with each fault, its commands in turn; then networks in the place of others."""
    for name, others in _OTHER_NETWORKS.items():
        path = f"networks/{name}.safetensors"
        lines = [line.format(path) for line in _COMMANDS[name]]
        yield from spoiled("checkpoint", path, NETWORK_FAULTS, *lines)
        copied = {f"weights of {other}": _copied_from(other) for other in others}
        yield from spoiled("checkpoint", path, copied, *lines)
    line = "page --checkpoint networks/generator.safetensors --directions directions.safetensors -o out.html"
    yield from spoiled("directions", "directions.safetensors", DIRECTION_FAULTS, line)

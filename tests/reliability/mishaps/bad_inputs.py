"""All bad inputs: spoiled files, options out of range, and outputs that are there or cannot be written."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from mishaps.bad_files import bad_data, bad_labels, bad_networks, linked, replaced
from mishaps.judge import BadInput

KINDS = ("label file", "prediction file", "subjects", "video", "checkpoint", "directions", "store, crops")
KINDS += ("store, information", "store, index", "pool", "partition", "favourites", "project")
KINDS += ("option", "output")
_GAN = "train gan --data store --out out --device cpu --steps 1"
_MTL = "train mtl --data store --out out --device cpu --steps 1"
_IX = "experiment table-ix --data store --partition partition.json --out out --device cpu --steps 1"
_SEMI = _IX.replace("table-ix", "semi-supervised")
_XI = _IX.replace("table-ix", "table-xi")
_ENRICH = (
    "experiment enrich --data store --partition partition.json --out out --device cpu --steps 1 "
    "--generator networks/generator.safetensors --discriminator networks/discriminator.safetensors"
)
_EVALUATE = "evaluate predicted abaw6"
_EVALUATE_GAN = "evaluate gan --run networks --data store --features networks/features.safetensors"
_SPLIT = "split --data abaw6 -o out.json"
_FACES = "faces one.mp4 -o out"
_RENDER = "render -o out --subjects 1 --seconds 1"
_GENERATE = "generate --checkpoint networks/generator.safetensors -o out.png"
_PREDICT = "predict one.mp4 -o out --checkpoint networks/discriminator.safetensors"
OPTIONS = {  # command: options, each with the values that it cannot have, one at a time
    _FACES: "--size 5 0 -1 ten 1e3 --detector dlib yunet: yunet:one.mp4",
    f"{_FACES} --size 32": "--jobs 0 many",
    "convert one.mp4 -o out": "--jobs 0 -1 --labels nowhere one.mp4 taken",
    "render -o out": "--scale huge 0 -1 nan inf --pool 5 -32",
    _RENDER: "--subjects 0 --seconds 0 nan inf --fps 0 1000 nan",
    f"{_RENDER} --jobs 1": "--width 1 101 30 --height 0 11 --seed -1 x",
    "agree A1 A2 -o out": "--align -1 nan inf --fps 0 nan 1e9 --keep none --disagreed maybe",
    _SPLIT: "--sizes 1,1 1,1,1,1 a,b,c 0,0,0 -1,1,1 9,9,9 nan,1,1 inf,1,1 ,,",
    f"{_SPLIT} --sizes 1,1,1": "--task smile --inactive -1 some --seed -1 x",
    "split": "--check nowhere.json taken",
    _GAN: (
        "--recipe best --targets age '' --va-loss huber --augment blur --width 0 -1 nan inf wide "
        "--steps 0 -5 1.5 --save-every 0 --config 3 --device abacus --precision 8-bit "
        "--part train partition.json:dev nowhere.json:train :train --pool nowhere taken "
        "--seed x -1"
    ),
    f"{_MTL} --width 0.05": (
        "--alpha nan -1 inf --beta nan -2 --lr 0 -1 nan inf fast --va-loss l1 --expr-loss hinge "
        "--attention flash --frames-at-a-time 0 --seed -1 --weights nowhere.safetensors "
        "--vgg-weights nowhere.pth table.csv"
    ),
    _IX: "--seeds '' a '1;2' -1 0,0 --jobs 0 --recipe best --width nan 0 --config 4",
    f"{_SEMI} --width 0.03": "--shares 2 -0.5 0 nan few '' --by video",
    _XI: "--weights nowhere.safetensors --seeds x --width -1",
    _ENRICH: "--shares 0 1.5 nan --amounts -1 nan much --most 0",
    f"{_EVALUATE} --task va": "--set dev --bootstrap -1 x --subjects nowhere.csv",
    f"{_EVALUATE} --bootstrap 5": "--task age ''",
    f"{_EVALUATE} --task va --bootstrap 9": "--seed -1",
    _EVALUATE_GAN: "--n 0 15 x --part partition.json:dev --seed -1",
    _GENERATE: "--n 0 -4 x --seed -1 99999999999999999999999",
    _PREDICT: "--detector eyes --device abacus",
    "annotate one.mp4 --project out.affkit --no-browser": "--task pose --port -1 70000 x",
    "stats --data abaw6": "--units nowhere.jpg",
    "notebooks run taken -o out": "--profile medium",
    "notebooks grade taken -o out.csv": "--seconds 0 --memory 0 --jobs 0",
}
_NEEDED = (  # what is left out or does not exist, and how it is called
    ("convert one.mp4", "--out"),
    ("faces -o out", "videos"),
    ("train gan --out out", "--data"),
    ("train", "command"),
    ("evaluate predicted abaw6", "--task"),
    ("generate -o out.png", "--checkpoint"),
    ("split --data abaw6 -o out.json", "--sizes"),
    ("convert one.mp4 -o out --fast", "--fast"),
    ("paint one.mp4", "paint"),
    ("experiment table-xii --data store", "table-xii"),
    ("agree A1 -o out A2 --force=yes", "--force"),
    ("generate --checkpoint --n 4 -o out.png", "(4)"),
)
_WRITERS = (  # commands up to the name of their output
    "convert one.mp4 -o",
    "faces one.mp4 --size 32 -o",
    "render --subjects 1 --seconds 0.2 -o",
    "render --pool 32 -o",
    "agree A1 A2 -o",
    "split --data abaw6 --sizes 1,1,1 -o",
    "stats --data abaw6 -o",
    "train gan --data store --steps 1 --width 0.03 --device cpu --out",
    "train features --data store --steps 1 --device cpu --out",
    "generate --checkpoint networks/generator.safetensors --n 4 -o",
    "page --checkpoint networks/generator.safetensors --principal -o",
    "predict one.mp4 --no-video --checkpoint networks/discriminator.safetensors -o",
    "experiment table-ix --data store --partition partition.json --steps 1 --width 0.03 --out",
    "annotate one.mp4 --no-browser --project",
    "notebooks grade taken -o",
)
# A folder in which a new file is refused, also to the one who owns the machine and may pass over permissions.
READ_ONLY = Path("/sys") if os.geteuid() == 0 else None
_REFUSE_EXISTING = ("faces", "generate", "page", "predict", "split", "notebooks")


def _shut(path: Path) -> None:
    path.mkdir()
    path.chmod(0o500)


OUTPUTS = {  # fault: output, file that is changed, how
    "below a file": ("table.csv/out", "", None),
    "a link to itself": ("out", "out", linked("{}")),
    "below a link in a circle": ("out/a", "out", linked("{}.other", "{}")),
    "a name too long": ("x" * 300, "", None),
    "in a read-only folder": ((f"{READ_ONLY}/out", "", None) if READ_ONLY else ("shut/out", "shut", _shut)),
}


def bad_options() -> Iterator[BadInput]:
    """Each value, each thing left out, each output that cannot be."""
    for line, words in OPTIONS.items():
        for word in shlex.split(words):
            if word.startswith("--"):
                option = word
                continue
            pieces = [piece for piece in word.split(":") if piece]  # a file may come with a set
            names = (option, option.removeprefix("--").replace("-", "_"), *pieces)
            yield BadInput("option", f"{option} {word!r}", f"{line} {option}={word}", names)
    for line, name in _NEEDED:
        yield BadInput("option", f"{name} missing or unknown", line, (name, name.upper(), name.lower()))
    for line in _WRITERS:
        for fault, (out, target, change) in OUTPUTS.items():
            yield BadInput("output", fault, f"{line} {out}", (out, f"{READ_ONLY}/"), target, change)
        if line.startswith(_REFUSE_EXISTING):
            yield BadInput("output", "there already", f"{line} taken", ("taken",))
        else:
            change = replaced(b"mine")
            yield BadInput("output", "a file in its place", f"{line} out", ("out",), "out", change)


def bad_inputs() -> list[BadInput]:
    """Every kind of file with every fault we know of, in the order of :data:`KINDS`."""
    made = [*bad_labels(), *bad_data(), *bad_networks(), *bad_options()]
    return sorted(made, key=lambda bad: KINDS.index(bad.kind))

"""Checkpoints and files of directions, spoiled: what is inside a safetensors file is changed by hand."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mishaps.faults import FILE_FAULTS, edited, removed, replaced
from mishaps.judge import BadInput, Change


def rewritten(edit: Callable[[dict, dict], None]) -> Change:
    """``edit`` is given the tensors and the header, and changes them."""

    def change(path: Path) -> None:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = dict(file.metadata())
        edit(tensors, header)
        save_file(tensors, path, metadata=header)

    return change


def _net(**values) -> Change:
    """The configuration in the header has these values."""
    return rewritten(lambda _, header: header.update(net=json.dumps(json.loads(header["net"]) | values)))


def _torch_save(path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, path)


def _first_transposed(tensors: dict, _: dict) -> None:
    name = next(name for name, tensor in sorted(tensors.items()) if tensor.ndim > 1)
    tensors[name] = tensors[name].flatten()[:-1].clone()


def _architecture(name: str) -> Change:
    return rewritten(lambda _, header: header.update(architecture=name))


NETWORK_FAULTS: dict[str, Change] = FILE_FAULTS | {
    "not there": removed,
    "cut in the middle": edited(lambda data: data[: len(data) // 2]),
    "without its last byte": edited(lambda data: data[:-1]),
    "a byte too many": edited(lambda data: data + b"\0"),
    "a header longer than the file": edited(lambda data: (2**62).to_bytes(8, "little") + data[8:]),
    "only the length of its header": edited(lambda data: data[:8]),
    "a header that is no JSON": edited(lambda data: data[:8] + b"[" + data[9:]),
    "written by torch.save": _torch_save,
    "words": replaced(b"The weights are on the other disk.\n"),
    "no architecture named": rewritten(lambda _, header: header.pop("architecture")),
    "an unknown architecture": _architecture("transformer"),
    "no configuration": rewritten(lambda _, header: header.pop("net")),
    "a configuration that is no JSON": rewritten(lambda _, header: header.update(net="{")),
    "a configuration that is a list": rewritten(lambda _, header: header.update(net="[]")),
    "a setting it does not know": _net(colour="red"),
    "a width below 0": _net(width=-1.0),
    "a width that is a word": _net(width="wide"),
    "a width of a million": _net(width=1e6),
    "a weight missing": rewritten(lambda tensors, _: tensors.pop(sorted(tensors)[0])),
    "a weight too many": rewritten(lambda tensors, _: tensors.update(extra=torch.zeros(2))),
    "a weight of another shape": rewritten(_first_transposed),
}
DIRECTION_FAULTS: dict[str, Change] = FILE_FAULTS | {
    "cut in the middle": edited(lambda data: data[: len(data) // 2]),
    "of another kind": rewritten(lambda _, header: header.update(kind="songs")),
    "of another generator": rewritten(lambda _, header: header.update(checkpoint="0" * 16)),
    "a table that is no JSON": rewritten(lambda _, header: header.update(table="{")),
    "a table that is a number": rewritten(lambda _, header: header.update(table="3")),
    "names without a table": rewritten(lambda _, header: header.update(table='[["first", "second"], 5]')),
    "a direction missing": rewritten(
        lambda tensors, _: tensors.update(vectors=tensors["vectors"][:1].clone())
    ),
    "no vectors": rewritten(lambda tensors, _: tensors.update(other=tensors.pop("vectors"))),
    "a number that is not one": rewritten(lambda tensors, _: tensors["vectors"].fill_(float("nan"))),
}
DIRECTION_FAULTS.pop("a link to nothing")  # a file that is not there is made
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


def bad_networks() -> Iterator[BadInput]:
    """Each network with each fault, its commands in turn; then networks in the place of others."""
    for name, lines in _COMMANDS.items():
        path = f"networks/{name}.safetensors"
        for turn, (fault, change) in enumerate(NETWORK_FAULTS.items()):
            line = lines[turn % len(lines)].format(path)
            yield BadInput("checkpoint", fault, line, (f"{name}.safetensors",), path, change)
    for needed, others in _OTHER_NETWORKS.items():
        path = f"networks/{needed}.safetensors"
        for turn, other in enumerate(others):
            line = _COMMANDS[needed][turn % len(_COMMANDS[needed])].format(path)
            change = _copied_from(f"{other}.safetensors")
            fault = f"weights of {other}"
            yield BadInput("checkpoint", fault, line, (f"{needed}.safetensors",), path, change)
    line = "page --checkpoint networks/generator.safetensors --directions directions.safetensors -o out.html"
    for fault, change in DIRECTION_FAULTS.items():
        yield BadInput(
            "directions", fault, line, ("directions.safetensors",), "directions.safetensors", change
        )


def _copied_from(name: str) -> Change:
    return lambda path: path.write_bytes(path.with_name(name).read_bytes()) and None

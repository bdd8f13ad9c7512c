"""Trained networks as one file each: the weights in safetensors, the configuration as JSON in its header.

Opening a pickle, such as the usual ``.pt``, can run any program; a safetensors file is a list of names,
shapes and numbers. The header names the network, and the entry-point group ``affkit.networks``
(``pyproject.toml``) says where it is, so it is imported when a file of it is read.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from affkit.errors import UserError
from affkit.files import existing_file, write_beside

OTHER_FILE = "give a .safetensors file written by `affkit train`"


def save_checkpoint(
    path: str | Path, model: nn.Module, config: Mapping | None = None, half: bool = False
) -> Path:
    """Write the weights of ``model`` and, if it has them, its ``architecture`` and ``config``, to build it
    again.

    ``config`` is how it was trained, anything JSON can hold. ``half`` stores float16: a weight keeps 3
    digits, may not exceed 65504, and is read back as float32.
    """
    tensors = model.state_dict()
    if half:
        tensors = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise UserError(path, "has a weight too large for float16", "store it without half")
    header = {
        "architecture": getattr(model, "architecture", type(model).__name__),
        "net": json.dumps(asdict(model.config) if hasattr(model, "config") else {}),
        "training": json.dumps(dict(config or {})),
    }
    write_tensors(path, tensors, header)
    return Path(path)


def load_checkpoint(
    path: str | Path, architecture: str | None = None, network: Callable[[dict], nn.Module] | None = None
) -> tuple[nn.Module, dict]:
    """A network of :func:`save_checkpoint`, in evaluation mode on the CPU, and how it was trained.

    ``architecture`` is the only one of use, if given; ``network`` makes one of your own from its
    configuration as a dictionary. :class:`UserError` if the file is missing, damaged, a pickle, or of another
    architecture.
    """
    tensors, header = read_tensors(path)
    found = header.get("architecture")
    offers = {offer.name: offer for offer in entry_points(group="affkit.networks")}
    if found not in offers and network is None:
        raise UserError(path, "holds no network of affkit", OTHER_FILE)
    if architecture is not None and found != architecture:
        problem = f"holds weights of {found}, needed are those of {architecture}"
        raise UserError(path, problem, "give another checkpoint")
    try:
        config, training = json.loads(header["net"]), json.loads(header["training"])
        with torch.device("meta"):  # shapes only: whatever the header says, no memory is taken for it
            kind = None if network else offers[found].load()
            model = network(config) if network else kind(kind.config_class(**config))
        model.load_state_dict(tensors, assign=True)
    except (ValueError, TypeError, KeyError, RuntimeError, UserError) as error:
        raise UserError(path, f"its weights do not fit its configuration ({found})", OTHER_FILE) from error
    return model.float().eval(), training


def model_key(model: nn.Module) -> str:
    """16 hexadecimal digits of a network's configuration and weights.

    >>> from affkit.gan import GanNetConfig, Generator
    >>> len(model_key(Generator(GanNetConfig("1", width=0.05))))
    16
    """
    found = hashlib.sha256(json.dumps(asdict(model.config), sort_keys=True).encode())
    for name, tensor in model.state_dict().items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write named tensors and a header of texts as a safetensors file, whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with write_beside(path) as part:
        save_file(tensors, part, metadata=dict(header))


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the texts of the header of a safetensors file, or :class:`UserError`."""
    path = existing_file(path)
    with path.open("rb") as file:
        start = file.read(9)
    # Zip and pickle are what torch.save writes. A safetensors file begins with a length of 8 bytes, which can
    # be any, and then a brace.
    if (start[:2] == b"PK" or start[:1] == b"\x80") and start[8:] != b"{":
        problem = "is a pickle, and opening one can run any program; only safetensors is read"
        raise UserError(path, problem, OTHER_FILE)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(path, "is not a safetensors file, or a damaged one", OTHER_FILE) from error

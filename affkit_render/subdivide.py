"""Catmull-Clark subdivision as one sparse matrix: smooth vertices are a linear function of coarse ones.

Linear is what matters here: identity offsets and facial actions can be pushed through the matrix once,
and nothing is subdivided while drawing. Source: Catmull & Clark 1978, Computer-Aided Design 10(6).
"""

import numpy as np
from scipy import sparse


def catmull_clark(quads: np.ndarray, num_vertices: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """One step of subdivision.

    Parameters
    ----------
    quads:
        (F, 4) indices; every vertex is used.
    num_vertices:
        V.

    Returns
    -------
    (V + F + E, V) matrix from coarse to fine vertices, and the (4 F, 4) fine quads.

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

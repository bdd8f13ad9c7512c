"""Stores joined, parts of them, labels taken away, pools as stores: against plain NumPy and pandas."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_experiment import memory_store

from affkit.errors import UserError
from affkit.faces import pool as pools
from affkit.faces.pool import SHEET_COLUMNS, join_stores, pool_store, read_pool, without_labels, write_sheet
from affkit.labels import Labels
from affkit.store import CropRows, FrameDataset, Store, select_rows, write_store


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_rows_of_several_arrays_are_those_of_the_concatenated_one(lengths, random):
    rng = np.random.default_rng(random.randrange(99))
    arrays = [rng.integers(0, 256, (n, 2, 2, 3), dtype=np.uint8) for n in lengths]
    whole = np.concatenate(arrays)
    part = np.repeat(np.arange(len(arrays)), lengths)
    crops = CropRows(arrays, part, np.concatenate([np.arange(n) for n in lengths]))
    assert crops.shape == whole.shape and len(crops) == len(whole)
    for items in (rng.integers(0, len(whole), 7), slice(1, None), int(rng.integers(len(whole))), []):
        items = np.array(items, int) if isinstance(items, list) else items
        np.testing.assert_array_equal(crops[items], whole[items])


def test_a_joint_store_holds_the_faces_and_labels_of_both_which_must_fit(tmp_path):
    first = write_store(tmp_path / "first", memory_store())
    second = memory_store(frames=3, seed=1)
    joint = join_stores([first, second])
    assert len(joint) == len(first) + len(second)
    rows = np.array([0, len(joint) - 1, len(first), len(first) - 1])
    expected = np.concatenate([first.images, second.images])[rows]
    np.testing.assert_array_equal(joint.batch(rows), expected)
    assert joint.labels[: len(first)] == first.labels and joint.labels[len(first) :] == second.labels
    images, labels = FrameDataset(select_rows(joint, rows))[[0, 1, 2, 3]]
    np.testing.assert_allclose(images.numpy(), expected.transpose(0, 3, 1, 2) / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(labels["valence"], joint.labels.valence[rows])
    store, other = memory_store(), memory_store()
    other.info = other.info | {"size": 16}
    with pytest.raises(UserError, match="faces of 16 pixels, memory of 32"):
        join_stores([store, other])
    other.info = store.info | {"action_units": ["AU7"]}
    with pytest.raises(UserError, match="other labels"):
        join_stores([store, other])


def test_taking_labels_away_leaves_those_of_the_others():
    store = memory_store()
    before, rows = store.labels, np.array([3, 0, 60])
    stripped = without_labels(store, rows).labels
    rest = np.setdiff1d(np.arange(len(store)), rows)
    assert stripped[rest] == before[rest] and stripped[rows] == Labels.empty(3)
    assert store.labels == before and (store.index.dtypes == without_labels(store, rows).index.dtypes).all()


def test_a_written_store_is_the_one_that_was_in_memory(tmp_path):
    store = without_labels(memory_store(), [1, 2])
    opened = write_store(tmp_path / "store", store)
    np.testing.assert_array_equal(opened.images, store.images)
    assert opened.labels == store.labels and list(opened.index) == list(store.index)
    with pytest.raises(UserError, match="already exists"):
        write_store(tmp_path / "store", store)
    assert len(write_store(tmp_path / "store", memory_store(frames=2), force=True)) == 14
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_pool_becomes_a_store_without_labels(tmp_path):
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (SHEET_COLUMNS, 64, 64, 3), dtype=np.uint8)
    write_sheet(tmp_path / "faces_01.webp", faces)
    store = pool_store(tmp_path, 32)
    assert store.images.shape == (SHEET_COLUMNS, 32, 32, 3) and store.labels == Labels.empty(len(store))
    averaged = read_pool(tmp_path).reshape(-1, 32, 2, 32, 2, 3).mean(axis=(2, 4))  # two by two pixels
    np.testing.assert_allclose(store.images, averaged, atol=1)
    np.testing.assert_array_equal(pool_store(tmp_path, 64).images, read_pool(tmp_path))
    with pytest.raises(UserError, match="faces of 64 pixels, 96 are needed"):
        pool_store(tmp_path, 96)
    joint = join_stores([memory_store(), store])
    assert joint.labels[-SHEET_COLUMNS:] == Labels.empty(SHEET_COLUMNS) and isinstance(joint, Store)


@pytest.mark.parametrize("fault", ["cut", "words", "empty", "folder", "loop", "nowhere", "narrow"])
def test_a_broken_sheet_of_a_pool_is_named(tmp_path, fault):
    faces = np.random.default_rng(0).integers(0, 256, (SHEET_COLUMNS, 32, 32, 3), dtype=np.uint8)
    write_sheet(tmp_path / "faces_01.webp", faces)
    sheet = tmp_path / "faces_02.webp"
    write_sheet(sheet, faces)
    assert len(read_pool(tmp_path)) == 2 * SHEET_COLUMNS
    sound = sheet.read_bytes()
    sheet.unlink()
    if fault == "folder":
        sheet.mkdir()
    elif fault in ("loop", "nowhere"):
        sheet.symlink_to(sheet if fault == "loop" else tmp_path / "gone.webp")
    elif fault == "narrow":  # a picture, but not 32 faces wide
        cv2.imwrite(str(sheet), np.zeros((32, 33, 3), np.uint8))
    else:
        sheet.write_bytes({"cut": sound[: len(sound) // 3], "words": b"faces", "empty": b""}[fault])
    problems = {"empty": "is empty", "folder": "is not a file"}
    problems |= dict.fromkeys(("loop", "nowhere"), "no such file")
    problem = problems.get(fault, "is not a sheet of faces")
    with pytest.raises(UserError, match=f"faces_02.webp: .*{problem}"):
        pool_store(tmp_path, 32)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_a_pool_makes_up_its_share_of_the_rows(share):
    """Each of its faces comes as often as each other one; the chosen rows of the corpus come once."""
    corpus, pool = memory_store(), without_labels(memory_store(), range(len(memory_store())))
    chosen = [0, 2, 3]
    joint, rows = pools.with_pool(corpus, np.tile(chosen, 400), pool, share)
    own, times = rows < len(corpus), np.bincount(rows[rows >= len(corpus)])[len(corpus) :]
    assert rows[own].tolist() == chosen * 400 and len(set(times)) == 1 and len(joint) == 2 * len(corpus)
    assert abs((~own).mean() - share) < 0.02  # a whole number of times each
    assert not joint.labels.has_va[rows[~own]].any()

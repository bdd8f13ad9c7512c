"""Stores of faces: opening and reading them, the datasets over them, stores joined and made of pools."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from refusals import refuses
from small_experiment import memory_store
from stores import in_memory

from affkit import store
from affkit.faces import pool as pools
from affkit.faces.pool import SHEET_COLUMNS, join_stores, pool_store, read_pool, without_labels, write_sheet
from affkit.labels import ACTION_UNITS, EXPRESSIONS, Labels
from affkit.store import CropRows, FrameDataset, SequenceDataset, Store, batches, select_rows, write_store


def make_store(path, tracks, size=16, info=None, **labels):
    """A store without videos: ``tracks`` is a list of (video, person, frames); crop i is of colour i."""
    rows = [(video, frame, person) for video, person, frames in tracks for frame in frames]
    video, frame, person = zip(*rows, strict=True)
    crops = np.arange(len(rows), dtype=np.uint8)[:, None, None, None] * np.ones((1, size, size, 3), np.uint8)
    made = in_memory(crops, video, frame, person=person, **labels)
    made.info |= info or {}
    return write_store(path, made)


def other(old, new):
    """The same bytes, but where ``old`` first occurs there is ``new``."""
    return lambda data: data.replace(old, new, 1)


DAMAGE = [  # a file of the store, what becomes of its bytes, and what is said
    ("crops.npy", None, "has no crops.npy"),
    ("index.csv", None, "has no index.csv"),
    ("store.json", None, "is not a face store"),
    ("crops.npy", lambda data: data[:-1], "cut off"),
    ("crops.npy", lambda data: b"", "cut off"),
    ("crops.npy", lambda data: data + b"x", "wrong length"),
    ("index.csv", lambda data: data + b"v,6,0,0,0,9,9,1\n", "holds 5 crops"),
    ("index.csv", other(b"person", b"subject"), "has not the columns"),
    ("index.csv", other(b"v,3,", b"v,three,"), "index.csv: is damaged"),
    ("index.csv", other(b"v,3,", b"\0,3,"), "index.csv: is damaged"),
    ("index.csv", other(b"v,3,", b"v,0,"), "index.csv: line 4: the frame number is 0"),
    ("index.csv", other(b"v,3,", b"v,-3,"), "index.csv: line 4: the frame number is -3"),
    # a frame far too late would be as many windows of 80 frames, one after the other
    ("index.csv", other(b"v,3,", b"v,%d," % 10**9), "index.csv: line 4: the frame number is 1000000000"),
    ("index.csv", other(b"v,3,", b"v,%d," % 10**30), "index.csv: is damaged"),
    ("index.csv", other(b"0.25,", b"1.5,"), "index.csv: line 2: valence is 1.5"),
    ("index.csv", other(b"0.75,", b"inf,"), "index.csv: line 2: arousal is inf"),
    ("index.csv", other(b"Fear", b"Bored"), "index.csv: line 2: expression is 'Bored'"),
    ("index.csv", other(b"Fear,1,1,1,1,1", b"Fear,1,1,1,1,2"), "index.csv: line 2: AU12 is 2"),
    # without valence there are no labels at all
    *(("index.csv", other(name, b"liking"), f"index.csv: has no column {name.decode()}")
      for name in (b"arousal", b"expression", b"AU12")),
    ("store.json", lambda data: data[:-5], "is damaged"),
    ("store.json", lambda data: b'{"format": 99, "size": 16}', "format 99"),
    ("store.json", lambda data: b'{"format": %d}' % store.FORMAT, "store.json: says no size"),
    ("store.json", other(b"16", b'"large"'), "store.json: says no size"),
]  # fmt: skip


@pytest.mark.parametrize("name, change, words", DAMAGE)
def test_a_damaged_store_is_not_opened(tmp_path, name, change, words):
    labels = {"valence": 0.25, "arousal": 0.75, "expression": "Fear", **dict.fromkeys(ACTION_UNITS, 1)}
    path = make_store(tmp_path / "store", [("v", 0, range(1, 6))], **labels).path
    content = (path / name).read_bytes()
    (path / name).unlink() if change is None else (path / name).write_bytes(change(content))
    refuses(words, Store.open, path)
    refuses("is not a face store; check the spelling", Store.open, tmp_path / "nowhere")


def test_batch_is_the_crops_in_the_order_asked_for_and_video_names_are_text(tmp_path):
    faces = make_store(tmp_path / "store", [(name, 0, range(1, 18)) for name in ("007", "NA", "1e3")])
    assert faces.index["video"].unique().tolist() == ["007", "NA", "1e3"]
    rows = np.random.default_rng(0).permutation(len(faces))[:20]
    expected = np.load(faces.path / "crops.npy")
    for found, wanted in ((faces.batch(rows), rows), (faces.batch(list(rows)), rows), (faces[7], 7)):
        np.testing.assert_array_equal(found, expected[wanted])
    with pytest.raises(IndexError):
        faces.batch([len(faces)])


LABELS = {
    "valence": [0.5, -1.0, None],
    "arousal": [0.1, 1.0, None],
    "expression": ["Happiness", None, "Other"],
    **dict.fromkeys(reversed(ACTION_UNITS), [1, 0, None]),
}


def test_frames_are_in_unit_range_and_labels_are_masked(tmp_path):
    info = {"expressions": [*EXPRESSIONS, "Other"], "action_units": ACTION_UNITS[::-1]}
    faces = make_store(tmp_path / "store", [("v", 0, [1, 2, 3])], info=info, **LABELS)
    dataset = FrameDataset(faces)
    images, labels = dataset[[0, 1, 2]]
    assert images.shape == (3, 3, 16, 16) and images.dtype == torch.float32
    np.testing.assert_allclose(images[:, 0, 0, 0], np.arange(3) / 127.5 - 1, atol=1e-7)
    assert {name: values.tolist() for name, values in labels.items() if name != "arousal"} == {
        "has_va": [True, True, False],
        "valence": [0.5, -1.0, 0.0],
        "has_expression": [True, False, False],  # Other is not one of the seven
        "expression": [4, 0, 0],
        "has_action_units": [[True] * 8, [True] * 8, [False] * 8],
        "action_units": [[1] * 8, [0] * 8, [0] * 8],
    }
    image, single = dataset[1]
    assert torch.equal(image, images[1])
    assert all(torch.equal(single[name], labels[name][1]) for name in labels)
    assert len(faces.labels.expression_names) == 8


def test_pixels_go_to_minus_one_and_one():
    crop = np.zeros((1, 16, 16, 3), np.uint8)
    crop[0, :8], crop[0, :, :, 1] = 255, 51
    image, _ = FrameDataset(in_memory(crop, "v", [1]))[0]
    assert image[0, :8].unique().tolist() == [1] and image[0, 8:].unique().tolist() == [-1]
    assert image[1].unique().tolist() == pytest.approx([-0.6])


def test_windows_hold_one_person_of_one_video_and_mask_what_was_not_seen(tmp_path):
    gaps = [*range(1, 8), *range(10, 13), *range(40, 43)]
    tracks = [("a", 0, gaps), ("a", 1, [3, 4]), ("b", 0, range(5, 16))]
    labels = {name: [0.5] * 26 for name in ("valence", "arousal")} | {"expression": ["Anger"] * 26}
    faces = make_store(tmp_path / "store", tracks, **labels, **dict.fromkeys(ACTION_UNITS, [1] * 26))
    dataset = SequenceDataset(faces, length=10)
    index, seen = faces.index, []
    for i, rows in enumerate(dataset.rows):
        images, values, mask = dataset[i]
        assert images.shape == (10, 3, 16, 16) and mask.shape == (10,) and mask.any()
        here = rows[mask.numpy()]
        assert (rows[~mask.numpy()] == -1).all()
        assert len(index.loc[here].groupby(["video", "person"], observed=True)) == 1
        assert len(set(index["frame"][here].to_numpy() - np.flatnonzero(mask))) == 1  # frame = start + place
        np.testing.assert_allclose(images[mask][:, 0, 0, 0], here / 127.5 - 1, atol=1e-7)
        assert (images[~mask] == 0).all()
        for name in ("has_va", "has_expression"):
            assert torch.equal(values[name], mask)
        assert torch.equal(values["has_action_units"].all(1), mask)
        assert (values["valence"] == 0.5 * mask).all()
        seen += here.tolist()
    assert sorted(seen) == list(range(26))  # every frame once
    assert len(dataset) == 4 + 1 + 2  # nobody in frames 21 to 30 of a
    images, values, mask = dataset[[0, 4]]
    assert images.shape == (2, 10, 3, 16, 16) and values["action_units"].shape == (2, 10, 8)


def test_overlapping_windows_and_chosen_rows(tmp_path):
    faces = make_store(tmp_path / "store", [("a", 0, range(1, 21)), ("b", 0, range(1, 21))])
    dataset = SequenceDataset(faces, rows=np.arange(20, 40), length=8, stride=4)
    assert dataset.rows[0].tolist() == list(range(20, 28))
    assert dataset.rows[1].tolist() == list(range(24, 32))
    assert dataset.rows[dataset.rows >= 0].min() == 20
    frames = FrameDataset(faces, rows=[30, 3])
    assert len(frames) == 2
    np.testing.assert_allclose(frames[[0, 1]][0][:, 0, 0, 0], np.array([30, 3]) / 127.5 - 1, atol=1e-7)


def test_batches_cover_everything_once_and_repeat_with_the_seed(tmp_path):
    faces = make_store(tmp_path / "store", [("a", 0, range(1, 151))])

    def epoch(loader):
        return [(images[:, 0, 0, 0].add(1).mul(127.5).round().int().tolist()) for images, _ in loader]

    loader = batches(FrameDataset(faces), batch_size=64, seed=3)
    first, second = epoch(loader), epoch(loader)
    assert [len(batch) for batch in first] == [64, 64, 22]
    assert sorted(sum(first, [])) == list(range(150))
    assert first != second
    assert epoch(batches(FrameDataset(faces), batch_size=64, seed=3)) == first
    assert epoch(batches(FrameDataset(faces), shuffle=False))[0] == list(range(64))


@pytest.mark.slow  # a process of its own
def test_crops_are_mapped_not_loaded(tmp_path):
    """A store of 1.4 GB is opened and read at random without its size in memory."""
    num_crops, size = 50_000, 96
    path = tmp_path / "store"
    path.mkdir()
    shape = (num_crops, size, size, 3)
    with open(path / store.CROPS, "wb") as out:
        about = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(out, about)
        out.truncate(out.tell() + np.prod(shape))  # a hole: takes no room on the disk
    index = pd.DataFrame({"video": "v", "frame": np.arange(1, num_crops + 1)})
    index = index.assign(person=0, x=0, y=0, w=9, h=9, score=1)
    index.to_csv(path / store.INDEX, index=False)
    (path / store.INFO).write_text(json.dumps({"format": store.FORMAT, "size": size}))
    code = (
        "import resource, sys, numpy as np; from affkit.store import Store, FrameDataset\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "before = peak(); faces = FrameDataset(Store.open(sys.argv[1])); rng = np.random.default_rng(0)\n"
        "for _ in range(20): faces[rng.integers(0, len(faces), 64)]\n"
        "print(len(faces), peak() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    length, megabytes = map(int, done.stdout.split())
    assert length == num_crops
    assert megabytes < 300


# Stores joined, parts of them, labels taken away, pools as stores: against plain NumPy and pandas


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
    refuses("faces of 16 pixels, memory of 32", join_stores, [store, other])
    other.info = store.info | {"action_units": ["AU7"]}
    refuses("other labels", join_stores, [store, other])


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
    refuses("already exists", write_store, tmp_path / "store", store)
    assert len(write_store(tmp_path / "store", memory_store(frames=2), force=True)) == 14
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_sheets_keep_their_faces_in_order_and_a_pool_becomes_a_store_without_labels(tmp_path):
    rng = np.random.default_rng(0)
    colours, noise = (rng.integers(0, 128, (2 * SHEET_COLUMNS, s, s, 3), dtype=np.uint8) for s in (1, 64))
    faces = colours + noise
    for number, part in enumerate(np.split(faces, 2), 1):
        write_sheet(tmp_path / f"faces_{number:02}.webp", part)
    pool, store = read_pool(tmp_path), pool_store(tmp_path, 32)
    np.testing.assert_allclose(pool.mean(axis=(1, 2)), faces.mean(axis=(1, 2)), atol=9)  # WebP is not exact
    assert store.images.shape == (len(faces), 32, 32, 3) and store.labels == Labels.empty(len(store))
    averaged = pool.reshape(-1, 32, 2, 32, 2, 3).mean(axis=(2, 4))  # two by two pixels
    np.testing.assert_allclose(store.images, averaged, atol=1)
    np.testing.assert_array_equal(pool_store(tmp_path, 64).images, pool)
    refuses("faces of 64 pixels, 96 are needed", pool_store, tmp_path, 96)
    joint = join_stores([memory_store(), store])
    assert joint.labels[-len(faces) :] == Labels.empty(len(faces)) and isinstance(joint, Store)


BROKEN = [  # what is said, and what became of the sheet
    ("is empty", lambda sheet, data: sheet.write_bytes(b"")),
    ("is not a file", lambda sheet, data: sheet.mkdir()),
    ("no such file", lambda sheet, data: sheet.symlink_to(sheet.parent / "gone.webp")),
    ("is not a sheet of faces", lambda sheet, data: sheet.write_bytes(data[: len(data) // 3])),
    ("is not a sheet of faces", lambda sheet, data: sheet.write_bytes(b"faces")),
    # a picture, but not 32 faces wide
    ("is not a sheet of faces", lambda sheet, data: cv2.imwrite(str(sheet), np.zeros((32, 33, 3), np.uint8))),
]


@pytest.mark.parametrize("problem, spoil", BROKEN)
def test_a_broken_sheet_of_a_pool_is_named(tmp_path, problem, spoil):
    faces = np.random.default_rng(0).integers(0, 256, (SHEET_COLUMNS, 32, 32, 3), dtype=np.uint8)
    sheet = tmp_path / "faces_02.webp"
    write_sheet(tmp_path / "faces_01.webp", faces)
    write_sheet(sheet, faces)
    sound = sheet.read_bytes()
    sheet.unlink()
    spoil(sheet, sound)
    refuses(("faces_02.webp: ", problem), pool_store, tmp_path, 32)


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.8])
def test_a_pool_makes_up_its_share_of_the_rows(fraction):
    """Each of its faces comes as often as each other one; the chosen rows of the corpus come once."""
    corpus, pool = memory_store(), without_labels(memory_store(), range(len(memory_store())))
    chosen = [0, 2, 3]
    joint, rows = pools.with_pool(corpus, np.tile(chosen, 400), pool, fraction)
    own, times = rows < len(corpus), np.bincount(rows[rows >= len(corpus)])[len(corpus) :]
    assert rows[own].tolist() == chosen * 400 and len(set(times)) == 1 and len(joint) == 2 * len(corpus)
    assert abs((~own).mean() - fraction) < 0.02  # a whole number of times each
    assert not joint.labels.has_va[rows[~own]].any()

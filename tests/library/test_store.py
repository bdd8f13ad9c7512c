"""A store of faces: opening it, reading it, and the datasets over it."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from stores import people_store

from affkit import store
from affkit.errors import UserError
from affkit.labels import ACTION_UNITS, EXPRESSIONS
from affkit.store import FrameDataset, SequenceDataset, Store, batches, write_store


def make_store(path, tracks, size=16, labels=None):
    """A store without videos: ``tracks`` is a list of (video, person, frames); crop i is of colour i."""
    rows = [(v, f, p, 0.0, 0.0, 9.0, 9.0, 1.0) for v, p, frames in tracks for f in frames]
    index = pd.DataFrame(rows, columns=store.COLUMNS)
    if labels is not None:
        index = index.assign(**labels)
    path.mkdir()
    index.to_csv(path / store.INDEX, index=False)
    crops = np.arange(len(index), dtype=np.uint8)[:, None, None, None] * np.ones((1, size, size, 3), np.uint8)
    np.save(path / store.CROPS, crops)
    (path / store.INFO).write_text(json.dumps({"format": store.FORMAT, "size": size}))
    return Store.open(path)


def test_a_damaged_store_is_not_opened(tmp_path):
    def damaged(name, content):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        make_store(path, [("v", 0, range(1, 6))])
        if content is None:
            (path / name).unlink()
        else:
            (path / name).write_bytes(content((path / name).read_bytes()))
        with pytest.raises(UserError) as caught:
            Store.open(path)
        return str(caught.value)

    assert "has no crops.npy" in damaged("crops.npy", None)
    assert "has no index.csv" in damaged("index.csv", None)
    assert "is not a face store" in damaged("store.json", None)
    assert "cut off" in damaged("crops.npy", lambda b: b[:-1])
    assert "cut off" in damaged("crops.npy", lambda b: b"")
    assert "wrong length" in damaged("crops.npy", lambda b: b + b"x")
    assert "holds 5 crops" in damaged("index.csv", lambda b: b + b"v,6,0,0,0,9,9,1\n")
    assert "has not the columns" in damaged("index.csv", lambda b: b.replace(b"person", b"subject"))
    assert "is damaged" in damaged("index.csv", lambda b: b.replace(b"v,3,", b"v,three,"))
    assert "is damaged" in damaged("store.json", lambda b: b[:-5])
    assert "format 99" in damaged("store.json", lambda b: b'{"format": 99, "size": 16}')
    with pytest.raises(UserError, match="is not a face store; check the spelling"):
        Store.open(tmp_path / "nowhere")


def test_values_of_the_index_outside_their_range_are_told_with_their_line(tmp_path):
    """A frame number far too large would be as many windows of 80 frames, one after the other."""
    write_store(tmp_path / "store", people_store(num_people=1))
    file, info = tmp_path / "store" / store.INDEX, tmp_path / "store" / store.INFO
    sound, table = file.read_bytes(), pd.read_csv(file, dtype=str)
    bad = {"valence": "1.5", "arousal": "inf", "expression": "Bored", "AU12": "2"}
    cases = [(name, value, f"line 3: {name} is '?{value}") for name, value in bad.items()]
    frames = "0", "-3", str(10**9), str(10**15), str(10**30)
    cases += [("frame", number, "line 3: the frame number is|is damaged") for number in frames]
    for column, value, words in cases:
        Store.open(tmp_path / "store")
        changed = table.copy()
        changed.loc[1, column] = value
        changed.to_csv(file, index=False)
        with pytest.raises(UserError, match=f"index.csv: ({words})"):
            Store.open(tmp_path / "store")
        file.write_bytes(sound)
    for column in ("arousal", "expression", "AU12"):  # without valence there are no labels at all
        table.drop(columns=column).to_csv(file, index=False)
        with pytest.raises(UserError, match=f"index.csv: has no column {column}"):
            Store.open(tmp_path / "store")
    file.write_bytes(sound.replace(b"clip_0", b"clip\0_0", 1))
    with pytest.raises(UserError, match="index.csv: is damaged"):
        Store.open(tmp_path / "store")
    file.write_bytes(sound)
    for content in ({"format": store.FORMAT}, {"format": store.FORMAT, "size": "large"}):
        info.write_text(json.dumps(content))
        with pytest.raises(UserError, match="store.json: says no size"):
            Store.open(tmp_path / "store")


def test_pickles_are_refused_and_video_names_are_text(tmp_path):
    faces = make_store(tmp_path / "store", [("007", 0, [1]), ("NA", 0, [1]), ("1e3", 0, [1])])
    assert faces.index["video"].tolist() == ["007", "NA", "1e3"]
    np.save(faces.path / "crops.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="damaged"):
        Store.open(faces.path)


def test_batch_is_the_crops_in_the_order_asked_for(tmp_path):
    faces = make_store(tmp_path / "store", [("v", 0, range(1, 51))])
    rows = np.random.default_rng(0).permutation(len(faces))[:20]
    expected = np.load(faces.path / "crops.npy")
    np.testing.assert_array_equal(faces.batch(rows), expected[rows])
    np.testing.assert_array_equal(faces.batch(list(rows)), expected[rows])
    np.testing.assert_array_equal(faces[7], expected[7])
    with pytest.raises(IndexError):
        faces.batch([len(faces)])


LABELS = {
    "valence": [0.5, -1.0, None],
    "arousal": [0.1, 1.0, None],
    "expression": ["Happiness", None, "Other"],
    **{unit: pd.array([1, 0, None], dtype="Int8") for unit in reversed(ACTION_UNITS)},
}


def test_frames_are_in_unit_range_and_labels_are_masked(tmp_path):
    faces = make_store(tmp_path / "store", [("v", 0, [1, 2, 3])], labels=LABELS)
    info = json.loads((faces.path / "store.json").read_text())
    info |= {"expressions": [*EXPRESSIONS, "Other"], "action_units": ACTION_UNITS[::-1]}
    (faces.path / "store.json").write_text(json.dumps(info))
    dataset = FrameDataset(Store.open(faces.path))
    images, labels = dataset[[0, 1, 2]]
    assert images.shape == (3, 3, 16, 16) and images.dtype == torch.float32
    np.testing.assert_allclose(images[:, 0, 0, 0], np.arange(3) / 127.5 - 1, atol=1e-7)
    assert labels["has_va"].tolist() == [True, True, False]
    assert labels["valence"].tolist() == [0.5, -1.0, 0.0]
    assert labels["has_expression"].tolist() == [True, False, False]  # Other is not one of the seven
    assert labels["expression"].tolist() == [4, 0, 0]
    assert labels["has_action_units"].tolist() == [[True] * 8, [True] * 8, [False] * 8]
    assert labels["action_units"].tolist() == [[1] * 8, [0] * 8, [0] * 8]
    image, single = dataset[1]
    assert torch.equal(image, images[1])
    assert all(torch.equal(single[name], labels[name][1]) for name in labels)
    assert len(Store.open(faces.path).labels.expression_names) == 8


def test_pixels_go_to_minus_one_and_one(tmp_path):
    path = tmp_path / "store"
    make_store(path, [("v", 0, [1])])
    crop = np.zeros((1, 16, 16, 3), np.uint8)
    crop[0, :8], crop[0, :, :, 1] = 255, 51
    np.save(path / "crops.npy", crop)
    image, _ = FrameDataset(Store.open(path))[0]
    assert image.shape == (3, 16, 16)
    assert image[0, :8].unique().tolist() == [1] and image[0, 8:].unique().tolist() == [-1]
    assert image[1].unique().tolist() == pytest.approx([-0.6])


def test_windows_hold_one_person_of_one_video_and_mask_what_was_not_seen(tmp_path):
    gaps = [*range(1, 8), *range(10, 13), *range(40, 43)]
    tracks = [("a", 0, gaps), ("a", 1, [3, 4]), ("b", 0, range(5, 16))]
    labels = {name: [0.5] * 26 for name in ("valence", "arousal")} | {"expression": ["Anger"] * 26}
    labels |= {unit: pd.array([1] * 26, dtype="Int8") for unit in ACTION_UNITS}
    faces = make_store(tmp_path / "store", tracks, labels=labels)
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

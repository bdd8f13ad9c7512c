"""Partitions: which frames of which names are in which set, as a JSON file that people can read."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.errors import UserError, quote
from affkit.files import refuse_existing, write_beside
from affkit.labelfiles.csv_text import read_text
from affkit.labelfiles.formats import constant_runs
from affkit.labelfiles.layouts import video_of
from affkit.labels import MOST_FRAMES

SETS = ("train", "validation", "test")  # of the paper (Section II.D); others may have others


@dataclass(frozen=True, eq=False)
class Partition:
    """Names and their frames by set.

    >>> partition = Partition({"train": {"clip": np.array([[1, 3], [8, 8]])}})
    >>> partition.frames("train", "clip")
    array([1, 2, 3, 8])
    """

    # set: name: (R, 2) int64, rising, first and last frame of each range, from 1, inclusive; None: all frames
    sets: Mapping[str, Mapping[str, np.ndarray | None]]
    subjects: Mapping[str, str] = field(default_factory=dict)  # of names, where known
    task: str = ""  # what the frames were chosen for: au, expr, va, or not known
    seed: int | None = None

    def frames(self, subset: str, name: str) -> np.ndarray:
        """The listed frames of ``name`` in ``subset``, ``(T,)`` int64, 1-based and rising."""
        ranges = self.sets[subset][name]
        if ranges is None:
            raise ValueError(f"all frames of {name} are in {subset}; how many there are is not known")
        return np.concatenate([np.arange(0), *(np.arange(first, last + 1) for first, last in ranges)])

    def whole(self) -> "Partition":
        """The same names with all their frames, also those not chosen for the task; no name in two sets."""
        names = Counter(name for own in self.sets.values() for name in own)
        if twice := sorted(name for name, number in names.items() if number > 1):
            fix = "use the frames it lists, or divide by subject with `affkit split`"
            raise UserError("the partition", f"has frames of {twice[0]} in two sets", fix)
        sets = {subset: dict.fromkeys(own) for subset, own in self.sets.items()}
        return Partition(sets, self.subjects, self.task, self.seed)

    def rows(self, index: pd.DataFrame) -> dict[str, np.ndarray]:
        """The rows of a store in each set, ``(N,)`` int64, rising. The ``index`` of a
        :class:`~affkit.store.Store` made with labels has a column ``subject``, which tells people in one
        video apart.
        """
        if "subject" not in index:
            fix = "make it with `affkit faces --labels`"
            raise UserError("the store", "does not say who is in its videos", fix)
        table = index[["video", "subject", "frame"]].astype({"video": str}).assign(row=np.arange(len(index)))
        videos = set(table["video"])
        people = dict(list(table.groupby(["video", "subject"], observed=True)))
        rows = {subset: [np.arange(0)] for subset in self.sets}
        for subset, names in self.sets.items():
            for name, ranges in names.items():
                video = name if name in videos else video_of(name)[0]
                for who in {self.subjects.get(name), name}:  # a store made without subjects.csv has the name
                    own = people.get((video, who), table[:0])
                    wanted = slice(None) if ranges is None else own["frame"].isin(self.frames(subset, name))
                    rows[subset].append(own["row"][wanted].to_numpy())
        found = {subset: np.sort(np.concatenate(parts)) for subset, parts in rows.items()}
        if not any(len(part) for part in found.values()):
            fix = "compare the names of videos and subjects in both"
            raise UserError("the store", "holds no frame of this partition", fix)
        return found


def frame_ranges(frames: np.ndarray) -> np.ndarray:
    """Rising frame numbers as ranges, ``(R, 2)`` int64: first and last of each."""
    frames = np.asarray(frames, dtype=np.int64)
    # while frames follow each other, number and place differ by the same
    starts, stops = constant_runs(frames - np.arange(len(frames))).T
    return np.stack([frames[starts], frames[stops - 1]], axis=1)


def random_frame_split(partition: Partition, seed: int = 0) -> Partition:
    """The same frames in sets of the same sizes at random, the careless way: neighbouring frames of a clip
    are nearly alike, so a network is tested on what it was trained on. It is here to show by how much.
    """
    places = [(subset, name) for subset, names in partition.sets.items() for name in names]
    parts = [pd.DataFrame({"frame": partition.frames(*at), "name": at[1], "set": at[0]}) for at in places]
    table = pd.concat(parts, ignore_index=True)
    table["set"] = np.random.default_rng(seed).permutation(table["set"].to_numpy())
    sets = {subset: {} for subset in partition.sets}
    for (subset, name), rows in table.groupby(["set", "name"]):
        sets[subset][name] = frame_ranges(np.sort(rows["frame"].to_numpy()))
    return Partition(sets, partition.subjects, partition.task, seed)


def write_partition(path: str | Path, partition: Partition, force: bool = False) -> None:
    """Write a partition as JSON: names sorted, a name and its ranges a line, always the same bytes."""
    refuse_existing(path, force)
    sets = {}
    for subset, own in partition.sets.items():
        sets[subset] = {name: own[name] if own[name] is None else own[name].tolist() for name in sorted(own)}
    subjects = dict(sorted(partition.subjects.items()))
    content = {"task": partition.task, "seed": partition.seed, "sets": sets, "subjects": subjects}
    with write_beside(path) as part:
        part.write_text(_json(content) + "\n", encoding="utf-8", newline="\n")


def _json(value: object, depth: int = 1) -> str:
    """JSON in which dictionaries have a line for each key, and lists have one line."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False)
    cells = (f"{json.dumps(key, ensure_ascii=False)}: {_json(own, depth + 1)}" for key, own in value.items())
    space = "\n" + " " * depth
    return "{" + ",".join(space + cell for cell in cells) + space[:-1] + "}"


def read_partition(path: str | Path) -> Partition:
    """Read what :func:`write_partition` wrote, or a file written by hand in that form."""
    try:
        content = json.loads(read_text(path), object_pairs_hook=partial(_without_repeats, path))
    except json.JSONDecodeError as error:
        raise UserError(path, f"line {error.lineno}: is not JSON", "make it with `affkit split`") from error
    sets = content.get("sets") if isinstance(content, dict) else None
    if not isinstance(sets, dict) or not sets or not all(isinstance(names, dict) for names in sets.values()):
        raise UserError(path, "has no 'sets' with the names in each of them", "make it with `affkit split`")
    subjects = content.get("subjects", {})
    if not isinstance(subjects, dict) or not all(isinstance(who, str) and who for who in subjects.values()):
        raise UserError(path, "'subjects' does not give a name for each", 'write {"clip": "subject"}')
    for subset, names in sets.items():
        sets[subset] = {name: _ranges(path, subset, name, ranges) for name, ranges in names.items()}
    return Partition(sets, subjects, content.get("task", ""), content.get("seed"))


def _without_repeats(path: str | Path, pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object; the second of two equal keys would silently take the place of the first."""
    seen = {}
    for key, value in pairs:
        if key in seen:
            raise UserError(path, f"{quote(key)} comes twice", "leave it once in each set")
        seen[key] = value
    return seen


def _ranges(path: str | Path, subset: str, name: str, ranges: object) -> np.ndarray | None:
    """The checked ranges of one name: whole numbers from 1, in order, none overlapping."""
    if ranges is None:
        return None
    pairs = ranges if isinstance(ranges, list) else [None]
    sound = all(isinstance(pair, list) and len(pair) == 2 for pair in pairs)
    sound = sound and all(type(number) is int and number <= MOST_FRAMES for pair in pairs for number in pair)
    numbers = np.array(ranges if sound else [], dtype=np.int64).reshape(-1, 2)
    edges = numbers.ravel()
    rising = (np.diff(edges) >= (np.arange(1, len(edges)) % 2 == 0)).all()  # a range may be one frame
    if not sound or not rising or (edges < 1).any():
        problem = f"the frames of {quote(name)} in {subset} are not ranges in order"
        raise UserError(path, problem, "write [[first, last], ...], counted from 1")
    return numbers

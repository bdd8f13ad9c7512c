"""Partitions: which frames of which names are in which set; is any subject, or any video, in two of them?"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from affkit.corpus.corpus import SUBJECTS_FILE, names_of_rows, read_subjects
from affkit.errors import UserError, quote, refuse
from affkit.files import refuse_existing, write_beside
from affkit.labelfiles.csv_text import parse_cells, read_text, split_header, wrong_header
from affkit.labelfiles.formats import constant_runs
from affkit.labelfiles.layouts import TEXT_FILES, find_layout, video_of
from affkit.labelfiles.names import nfc
from affkit.labelfiles.tables import read_mtl
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
        table["video"] = table["video"].map(nfc)
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


@dataclass(frozen=True)
class Leak:
    """A subject or a video that is in more than one set, such as ``subject s1: train (a, b), test (c)``."""

    kind: str  # "subject" or "video"
    who: str
    sets: Mapping[str, tuple[str, ...]]  # the names in each, sorted
    frames: int = 0  # of one name in several sets at once; sets with other frames of a video are a leak too

    def __str__(self) -> str:
        where = ", ".join(f"{subset} ({', '.join(names)})" for subset, names in self.sets.items())
        return f"{self.kind} {self.who}: {where}" + (f"; {self.frames} frames in both" if self.frames else "")


def leaks(partition: Partition, subjects: Mapping[str, str] | None = None) -> list[Leak]:
    """All subjects and all videos that are in more than one set. ``subjects`` is name to known subject, by
    default those of ``partition``; ``clip_left``, ``clip_right`` and ``clip`` are one video.
    """
    subjects = partition.subjects if subjects is None else subjects
    names = {name for own in partition.sets.values() for name in own}
    keys = {"subject": people(names, subjects), "video": {name: {video_of(name)[0]} for name in names}}
    found = []
    for kind, key in keys.items():
        places: dict[str, dict[str, tuple[str, ...]]] = {}
        for subset, own in partition.sets.items():
            for name in sorted(own):
                for who in key[name]:
                    sets = places.setdefault(who, {})
                    sets[subset] = (*sets.get(subset, ()), name)
        for who, sets in sorted(places.items()):
            if len(sets) > 1:
                found.append(Leak(kind, who, sets, _shared_frames(partition, sets) if kind == "video" else 0))
    return found


def people(names: Iterable[str], subjects: Mapping[str, str]) -> dict[str, set[str]]:
    """Name to its subject, or, where that is not known, to all known subjects of its video.

    >>> people(["a", "b_left"], {"a_left": "s1", "a_right": "s2", "b_left": "s3", "b_right": "s1"})["b_left"]
    {'s3'}
    """
    by_video: dict[str, set[str]] = {}
    for name, who in subjects.items():
        by_video.setdefault(video_of(name)[0], set()).add(who)
    known = {name: {who} for name, who in subjects.items()}
    return {name: known.get(name) or by_video.get(video_of(name)[0], set()) for name in names}


def _shared_frames(partition: Partition, sets: Mapping[str, Iterable[str]]) -> int:
    """How many frames of these names are listed in more than one set."""
    shared = 0
    for name in {name for own in sets.values() for name in own}:
        own = [subset for subset in sets if partition.sets[subset].get(name) is not None]
        frames = np.concatenate([np.arange(0), *(partition.frames(subset, name) for subset in own)])
        shared += int((np.unique(frames, return_counts=True)[1] > 1).sum())
    return shared


def across_tasks(
    partitions: Mapping[str, Partition], subjects: Mapping[str, str] | None = None
) -> list[Leak]:
    """What is in sets of different names in different tasks, but in one within each: harmful to who learns
    several tasks of Aff-Wild2 at once. The sets are called ``task/set``.
    """
    sets = [(task, subset, own) for task, one in partitions.items() for subset, own in one.sets.items()]
    merged: dict[str, dict[str, None]] = {}
    for _, subset, own in sets:
        merged.setdefault(subset, {}).update(dict.fromkeys(own))
    subjects = subjects or {}
    inside = {(leak.kind, leak.who) for one in partitions.values() for leak in leaks(one, subjects)}
    found = []
    for leak in leaks(Partition(merged), subjects):
        if (leak.kind, leak.who) not in inside:
            places = {}
            for task, subset, own in sets:
                if names := tuple(name for name in leak.sets.get(subset, ()) if name in own):
                    places[f"{task}/{subset}"] = names
            found.append(Leak(leak.kind, leak.who, places))
    return found


@dataclass(frozen=True)
class LeakReport:
    """What :func:`check` found; a file that is for no task in particular has the task ``""``."""

    partitions: Mapping[str, Partition]
    subjects: Mapping[str, str]  # of names, where known
    leaks: Mapping[str, list[Leak]]  # inside the sets of each task
    across: list[Leak]  # between sets of different tasks

    def culprits(self, across: bool = False) -> list[str]:
        """A line for each leak, with ``across`` also between tasks; no line: the check passed."""
        several = len(self.partitions) > 1
        found = [
            f"{task}: {leak}" if several else str(leak) for task, own in self.leaks.items() for leak in own
        ]
        return found + [f"across tasks: {leak}" for leak in self.across if across]

    def summary(self) -> str:
        """One line for a partition that passed: what was looked at, and what could not be."""
        sets = [(subset, own) for one in self.partitions.values() for subset, own in one.sets.items()]
        names = set().union(*(own for _, own in sets))
        who = people(names, self.subjects)
        unknown = sum(not some for some in who.values())
        known = len(set().union(*who.values()))
        line = f"no subject is in two sets: {known} subjects, " if known else "no video is in two sets: "
        line += f"{len({video_of(name)[0] for name in names})} videos in {', '.join(dict(sets))}"
        if len(self.partitions) > 1:
            line += f", within each of {', '.join(self.partitions)}"
        if not known:
            line += "; who is in them is not known, so only videos were checked"
        elif unknown:
            line += f"; for {unknown} names the subject is not known, there only videos were checked"
        return line

    def note(self) -> str:
        """One line about what is in different sets in different tasks."""
        where = "are in one set of one task and in another set of another; do not learn these tasks together"
        return f"note: {len(self.across)} subjects or videos {where} (--across-tasks lists them and fails)"


def check(path: str | Path, data: str | Path | None = None) -> LeakReport:
    """Look for leaks in ``path``: a file of :func:`write_partition`; a CSV file with ``video``, ``set`` or
    ``split``, and perhaps ``person`` and ``subject``; or a folder of annotations. Its ``subjects.csv`` says
    who is who, and that of the corpus ``data`` counts more.
    """
    path = Path(path)
    if path.is_dir():
        partitions = read_folder(path)
    else:
        partition = read_table(path) if path.suffix.lower() == ".csv" else read_partition(path)
        partitions = {partition.task: partition}
    subjects = {name: who for one in partitions.values() for name, who in one.subjects.items()}
    if data is not None and not (Path(data) / SUBJECTS_FILE).is_file():
        raise UserError(data, f"has no {SUBJECTS_FILE}", "leave --data out to check videos only")
    for listed in (Path(root, SUBJECTS_FILE) for root in (path, data) if root is not None):
        if listed.is_file():
            subjects |= read_subjects(listed)["subject"].to_dict()
    inside = {task: leaks(one, subjects) for task, one in partitions.items()}
    return LeakReport(partitions, subjects, inside, across_tasks(partitions, subjects))


def read_table(path: str | Path) -> Partition:
    """A partition from a CSV file with a line for each video, or for each person of it, see :func:`check`."""
    header, body = split_header(path, read_text(path))
    subset = next((name for name in ("set", "split") if name in header), None)
    if subset is None or "video" not in header or len(set(header)) != len(header):
        raise wrong_header(path, header, "'video,set', with person and subject if they are known")
    rows = parse_cells(path, body, header, first_line=2, text_columns=header)
    for column in ("video", subset):
        refuse(path, (rows[column] == "").to_numpy(), 2, f"the {column}", rows[column], "fill in the cell")
    names = names_of_rows(rows)
    sets = {each: dict.fromkeys(names[rows[subset] == each]) for each in rows[subset].unique()}
    if "subject" not in header:
        return Partition(sets)
    known = rows["subject"].where(rows["subject"] != "")
    other = (known.notna() & (known != known.groupby(names).transform("first"))).to_numpy()
    refuse(path, other, 2, "another subject than above", rows["subject"], "give each name one subject")
    return Partition(sets, known.set_axis(names).dropna().to_dict())


def read_folder(root: str | Path) -> dict[str, Partition]:
    """The partition of each task of a folder of annotations; which frames are labelled is not read."""
    layout = find_layout(root)
    names = {key: _set_names(path) for key, path in layout.sets.items()}
    partitions = task_partitions(names, layout.test_lists)
    if all(len(own.sets) < 2 for own in partitions.values()):
        only = ", ".join(sorted({subset for own in partitions.values() for subset in own.sets}))
        raise UserError(layout.root, f"has only one set: {only}", "give a folder with two sets or more")
    return partitions


def task_partitions(
    names: Mapping[tuple[str, str], Iterable[str]], test_lists: Mapping[str, Iterable[str]]
) -> dict[str, Partition]:
    """The partition of each task, from the names in each ``(task, set)`` and in the lists of test videos."""
    sets: dict[str, dict[str, dict[str, None]]] = {}
    for (task, subset), own in sorted(names.items()):
        sets.setdefault(task, {})[subset] = dict.fromkeys(own)
    for listed, own in test_lists.items():
        if (task := task_of_list(listed)) in sets:
            sets[task].setdefault("test", dict.fromkeys(own))
    return {task: Partition(own, task=task) for task, own in sets.items()}


def task_of_list(listed: str) -> str | None:
    """The task of a list of test videos, whatever the year. The names of the third and fourth challenge are
    from av-savchenko/face-emotion-recognition, ``src/ABAW``.

    >>> [task_of_list(name) for name in ("VA", "Valence_Arousal_Estimation_Challenge", "MTL_Challenge")]
    ['va', 'va', 'mtl']
    """
    starts = {"va": "va", "expr": "expr", "au": "au", "action": "au", "mtl": "mtl", "multi": "mtl"}
    return next((task for start, task in starts.items() if listed.lower().startswith(start)), None)


def _set_names(path: Path) -> list[str]:
    if path.is_file():
        return list(read_mtl(path))
    folder = path / "valence" if (path / "valence").is_dir() else path
    return sorted(nfc(file.stem) for file in folder.glob(TEXT_FILES))

"""Dividing a corpus into training, validation and test sets by subject (the paper, Section II.D).

People in the same video, and videos of the same person, hang together: what hangs together goes into one
set. Among the many ways to do that, one is looked for in which the labels of each set are distributed as
in the whole, because a score on a test set with another share of a label says little about the model.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from affkit.corpus.corpus import PARTS, Corpus, labelled_frames, part_names
from affkit.corpus.partition import SETS, Partition, frame_ranges
from affkit.corpus.split_search import Balance, deal_counts, largest_remainder, moments, search
from affkit.errors import UserError
from affkit.labelfiles.layouts import video_of
from affkit.labels import Labels

INACTIVE_RATIO = 40_702 / 139_298
"""Frames without an active unit that the paper kept, for each frame with one."""

PAPER_VIDEOS = {"au": (38, 8, 18), "expr": (30, 10, 15)}
PAPER_FRAMES = {"au": (107_661, 23_134, 49_205), "expr": (67_525, 20_675, 27_440)}
"""Videos and frames of the paper's training, validation and test sets (Section II.D)."""


def default_task(corpus: Corpus) -> str:
    """``"au"`` if the corpus has action units, else ``"expr"`` if it has expressions, else ``"va"``."""
    for task in PARTS:
        if part_names(corpus, task):
            return task
    raise UserError(corpus.root, "has no labels in any frame", "label some frames first")


def split_corpus(
    corpus: Corpus,
    sizes: Sequence[float],
    task: str | None = None,
    inactive: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Partition:
    """Divide the videos with labels of one task into training, validation and test set.

    No subject is in two sets, nor are two people of one video. Of all assignments that keep to that and to
    the sizes, one with a small misfit is searched for: from several random ones, pairs of groups are
    exchanged between sets as long as that makes the sum over the sets smaller of

    .. math:: \\sum_j \\Big(\\frac{\\mu_{sj} - \\mu_j}{\\sigma_j}\\Big)^2
              + \\sum_{j \\in \\{v, a\\}} \\Big(\\frac{\\sigma_{sj}^2}{\\sigma_j^2} - 1\\Big)^2
              + \\Big(\\frac{f_s / n_s}{f / n} - 1\\Big)^2

    where mean and standard deviation of label j are over the frames of set s, or of the whole; j is each
    action unit or each expression, whose means are their shares, and valence v and arousal a; f is the
    number of frames and n of videos. Labels that are the same in all frames do not count.

    The frames are, for expressions and for valence and arousal, all that are labelled; for action units all
    with at least one active unit, and ``inactive`` of the labelled ones without, drawn at random, from each
    set in proportion to what it has of them.

    Parameters
    ----------
    corpus:
        Labels and subjects. A name without a known subject is taken to be a subject of its own.
    sizes:
        Numbers of videos in the three sets; two people in one video are one video. What is left over is in
        no set. Or three shares that sum to at most 1: then the nearest possible numbers are taken.
    task:
        ``"au"``, ``"expr"`` or ``"va"``; :func:`default_task` if not given.
    inactive:
        How many frames without an active unit; by default :data:`INACTIVE_RATIO` of the active ones, or all
        if there are fewer.
    seed:
        Same seed, same partition.
    progress:
        Show a progress bar when it takes more than two seconds.

    Raises
    ------
    UserError
        If there are fewer videos or inactive frames than asked for, or no division by subject has these
        sizes; then it says which are nearest.
    """
    task = task or default_task(corpus)
    names = _names(corpus, task)
    chosen = {name: _chosen(corpus.labels[name], task) for name in names}
    rate = _inactive_count(inactive, chosen, names, task) / max(_count(chosen, names)[1], 1)
    groups = _groups(names, corpus.subjects)
    videos = np.array([len({video_of(name)[0] for name in group}) for group in groups])
    counts = np.array(_video_counts(sizes, videos, task))
    expected = {name: active + rate * spare for name, (active, spare) in chosen.items()}
    sums = np.array([sum(_sums(corpus.labels[name], expected[name], task) for name in g) for g in groups])
    rng = np.random.default_rng(seed)
    assigned = search(Balance(sums, videos, counts), rng, progress)
    members = [[name for i in np.flatnonzero(assigned == s) for name in groups[i]] for s in range(len(SETS))]
    used = [name for own in members for name in own]
    kept = _draw_inactive(members, chosen, _inactive_count(inactive, chosen, used, task), rng)
    sets = {
        subset: {name: frame_ranges(np.flatnonzero(kept[name]) + 1) for name in sorted(own)}
        for subset, own in zip(SETS, members, strict=True)
    }
    known = {name: corpus.subjects[name] for name in used if name in corpus.attributes.index}
    return Partition(sets, known, task, seed)


def _names(corpus: Corpus, task: str) -> list[str]:
    """The names with a label of the task."""
    if task not in PARTS:
        raise UserError(f"--task {task}", "is not a task", f"choose from {', '.join(PARTS)}")
    names = part_names(corpus, task)
    if not names:
        raise UserError(corpus.root, f"has no labels of {PARTS[task]}", "choose another --task")
    return names


def _chosen(labels: Labels, task: str) -> tuple[np.ndarray, np.ndarray]:
    """``(T,)`` bool twice: the frames that are kept, and those of which some are drawn."""
    labelled = labelled_frames(labels, task)
    if task != "au":
        return labelled, np.zeros_like(labelled)
    active = ((labels.action_units == 1) & labels.has_action_units).any(axis=1)
    return active, labelled & ~active


def _count(chosen: Mapping[str, tuple[np.ndarray, np.ndarray]], names: Sequence[str]) -> tuple[int, int]:
    """How many frames of these names are kept anyway, and from how many some are drawn."""
    return sum(int(chosen[name][0].sum()) for name in names), sum(
        int(chosen[name][1].sum()) for name in names
    )


def _inactive_count(
    inactive: int | None, chosen: Mapping[str, tuple[np.ndarray, np.ndarray]], names: Sequence[str], task: str
) -> int:
    """How many frames without an active unit these names must give."""
    active, spare = _count(chosen, names)
    if inactive is None:
        return min(round(INACTIVE_RATIO * active), spare)
    if inactive and task != "au":
        raise UserError("--inactive", "is for action units only", "leave it out, or add --task au")
    if not 0 <= inactive <= spare:
        problem = f"the {len(names)} videos or people have {spare} frames in which no unit is active"
        raise UserError(f"--inactive {inactive}", problem, f"choose 0 to {spare}")
    return inactive


def _groups(names: Sequence[str], subjects: Mapping[str, str]) -> list[list[str]]:
    """The names in groups that hang together by a video or a subject."""
    videos, _ = pd.factorize(np.array([video_of(name)[0] for name in names], dtype=object))
    people, _ = pd.factorize(np.array([subjects[name] for name in names], dtype=object))
    people = people + videos.max() + 1
    size = int(people.max()) + 1
    links = coo_array((np.ones(len(names)), (videos, people)), shape=(size, size))
    _, group = connected_components(links, directed=False)
    groups: dict[int, list[str]] = {}
    for name, number in zip(names, group[videos], strict=True):
        groups.setdefault(int(number), []).append(name)
    return list(groups.values())


def _video_counts(sizes: Sequence[float], videos: np.ndarray, task: str) -> list[int]:
    """The number of videos in each set, met by groups of ``videos`` ``(G,)`` that stay whole."""
    option, available = "--sizes " + ",".join(format(size, "g") for size in sizes), int(videos.sum())
    shares = all(0 < size < 1 for size in sizes)
    if len(sizes) != len(SETS) or not (shares or all(size >= 1 and size == int(size) for size in sizes)):
        mend = "give three numbers such as 38,8,18 or shares such as 0.6,0.15,0.25"
        raise UserError(option, "is not a size for each of train, validation and test", mend)
    if shares and sum(sizes) > 1 + 1e-9:
        raise UserError(option, f"adds up to {sum(sizes):.12g}", "give shares that sum to at most 1")
    if not shares and sum(sizes) > available:
        problem = f"adds up to {sum(sizes):.0f} videos, and {available} have labels of {PARTS[task]}"
        raise UserError(option, problem, "give smaller numbers, or shares such as 0.6,0.15,0.25")
    wanted = largest_remainder(sizes, round(available * sum(sizes))) if shares else [int(n) for n in sizes]
    if len(videos) < len(SETS):
        problem = f"all {available} videos hang together by their subjects in {len(videos)} groups"
        raise UserError(option, problem, "add videos of other people")
    kinds, numbers = np.unique(videos, return_counts=True)
    wish = np.outer(numbers, wanted) / available
    nearest = (kinds @ deal_counts(kinds, numbers, wanted, wish)).tolist()
    if not shares and nearest != wanted:
        mend = f"the nearest possible is {','.join(map(str, nearest))}"
        raise UserError(option, "cannot be met without dividing a subject or a video", mend)
    return nearest


def _sums(labels: Labels, weight: np.ndarray, task: str) -> np.ndarray:
    """``(3, J + 1)``: weights, weighted values and their squares summed over the frames.

    The columns are the labels of the task, valence, arousal, and frames.
    """
    if task == "au":
        values, known = labels.action_units, labels.has_action_units
    elif task == "expr":
        values = labels.expression[:, None] == np.arange(len(labels.expression_names))
        known = np.repeat(labels.has_expression[:, None], values.shape[1], axis=1)
    else:
        values, known = np.zeros((len(labels), 0)), np.zeros((len(labels), 0), bool)
    every = np.ones(len(labels), bool)
    values = np.column_stack([values, labels.valence, labels.arousal, every]).astype(np.float64)
    known = np.column_stack([known, labels.has_va, labels.has_va, every]) * weight[:, None]
    return np.stack([known.sum(axis=0), (known * values).sum(axis=0), (known * values**2).sum(axis=0)])


def _draw_inactive(
    members: Sequence[Sequence[str]],
    chosen: Mapping[str, tuple[np.ndarray, np.ndarray]],
    inactive: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Name to ``(T,)`` bool: the frames of each name, with ``inactive`` drawn ones in all sets together."""
    spare = [_count(chosen, own)[1] for own in members]
    kept = {}
    for own, number in zip(members, largest_remainder(spare, inactive), strict=True):
        places = [(name, row) for name in own for row in np.flatnonzero(chosen[name][1])]
        kept |= {name: chosen[name][0].copy() for name in own}
        for i in rng.choice(len(places), number, replace=False) if number else ():
            name, row = places[i]
            kept[name][row] = True
    return kept


def partition_table(partition: Partition, corpus: Corpus) -> pd.DataFrame:
    """What is in each set, and in all together, and how many videos and frames the paper had in each.

    The rows are ``videos``, ``subjects``, ``frames`` (of two people in a video each counts), the share of
    the labelled frames with each label, 0 to 1, and mean and variance of valence and arousal; NaN where
    there is nothing.
    """
    task = partition.task or default_task(corpus)
    columns, sums = {}, []
    first = next(iter(corpus.labels.values()))
    labels = {"au": first.action_unit_names, "expr": first.expression_names, "va": ()}[task]
    rows = [*labels, "mean valence", "mean arousal"]
    whole = {name: None for names in partition.sets.values() for name in names}
    for subset, names in [*partition.sets.items(), ("all", whole)]:
        if subset != "all":
            sums.append(sum(_kept_sums(partition, corpus, subset, task)))
        one = sums[-1] if subset != "all" else sum(sums)
        mean, variance = (np.where(one[0] > 0, values, np.nan) for values in moments(one))
        columns[subset] = {"videos": len({video_of(name)[0] for name in names})}
        columns[subset] |= {"subjects": len({corpus.subjects.get(name, name) for name in names})}
        columns[subset] |= {"frames": one[0, -1], **dict(zip(rows, mean[:-1], strict=True))}
        columns[subset] |= {"variance of valence": variance[-3], "variance of arousal": variance[-2]}
    if task in PAPER_VIDEOS:
        for subset, videos, frames in zip(SETS, PAPER_VIDEOS[task], PAPER_FRAMES[task], strict=True):
            columns[f"paper's {subset}"] = {"videos": videos, "frames": frames}
    return pd.DataFrame(columns)


def _kept_sums(partition: Partition, corpus: Corpus, subset: str, task: str) -> Iterator[np.ndarray]:
    for name in partition.sets[subset]:
        labels = corpus.labels[name]
        kept = np.zeros(len(labels))
        kept[partition.frames(subset, name) - 1] = 1
        yield _sums(labels, kept, task)


def as_text(table: pd.DataFrame) -> str:
    """The table of :func:`partition_table` for a terminal: whole numbers, then shares and moments."""
    counts = ["videos", "subjects", "frames"]
    text = table.map(lambda value: "" if np.isnan(value) else f"{value:.3f}")
    text.loc[counts] = table.loc[counts].map(lambda value: "" if np.isnan(value) else f"{value:,.0f}")
    return text.to_string()


def parse_sizes(text: str) -> list[float]:
    """``"38,8,18"`` or ``"0.6,0.15,0.25"`` as numbers; :class:`~affkit.errors.UserError` if they are none."""
    mend = "give three numbers such as 38,8,18 or shares such as 0.6,0.15,0.25"
    try:
        sizes = [float(number) for number in text.split(",")]
    except ValueError as error:
        raise UserError(f"--sizes {text}", "is not numbers with commas between them", mend) from error
    if not np.isfinite(sizes).all():
        raise UserError(f"--sizes {text}", "is not finite", mend)
    return sizes

"""Dividing a corpus into training, validation and test sets by subject (the paper, Section II.D).

Names that share a video or a subject go into one set. Of the many ways one is searched for in which the
labels of each set are distributed as in the whole: otherwise a score on the test set says little.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import DisjointSet
from scipy.optimize import LinearConstraint, milp
from tqdm import trange

from affkit.corpus.corpus import PARTS, Corpus, labelled_frames, part_names
from affkit.corpus.partition import SETS, Partition, frame_ranges
from affkit.errors import UserError
from affkit.labelfiles.layouts import video_of
from affkit.labels import Labels

_RESTARTS = 6
INACTIVE_RATIO = 40_702 / 139_298  # frames without an active unit that the paper kept, for each with one
# videos and frames of the paper's training, validation and test sets (Section II.D)
PAPER_VIDEOS = {"au": (38, 8, 18), "expr": (30, 10, 15)}
PAPER_FRAMES = {"au": (107_661, 23_134, 49_205), "expr": (67_525, 20_675, 27_440)}

_SIZES = "give three numbers such as 38,8,18 or fractions such as 0.6,0.15,0.25"
_Chosen = Mapping[str, np.ndarray]  # of each name (2, T) bool: the frames kept, and those to draw from


def default_task(corpus: Corpus) -> str:
    """The first of :data:`PARTS` that the corpus has."""
    if task := next((task for task in PARTS if part_names(corpus, task)), None):
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

    No subject, and no video with two people, is in two sets. Of all such assignments of the right sizes, one
    with a small misfit is searched for: from several random ones, pairs of groups are exchanged between sets
    as long as that lowers the sum over the sets of

    .. math:: \\sum_j \\Big(\\frac{\\mu_{sj} - \\mu_j}{\\sigma_j}\\Big)^2
              + \\sum_{j \\in \\{v, a\\}} \\Big(\\frac{\\sigma_{sj}^2}{\\sigma_j^2} - 1\\Big)^2
              + \\Big(\\frac{f_s / n_s}{f / n} - 1\\Big)^2

    with mean and standard deviation of label j over the frames of set s, or of the whole; j is each action
    unit or expression, valence v and arousal a; f is the number of frames and n of videos. Labels that are
    the same in all frames do not count.

    Frames are all that are labelled; for action units all with an active unit, and ``inactive`` of those
    without (by default :data:`INACTIVE_RATIO` of the active ones, or all), drawn at random, from each set in
    proportion.

    ``sizes`` are numbers of videos (the rest is in no set) that a division by subject can have, the error
    says the nearest; or three fractions that sum to at most 1, met as nearly as possible. ``task`` is
    ``"au"``, ``"expr"`` or ``"va"``, by default :func:`default_task`.
    """
    task = task or default_task(corpus)
    if task not in PARTS:
        raise UserError(f"--task {task}", "is not a task", f"choose from {', '.join(PARTS)}")
    if not (names := part_names(corpus, task)):
        raise UserError(corpus.root, f"has no labels of {PARTS[task]}", "choose another --task")
    chosen = {name: _chosen(corpus.labels[name], task) for name in names}
    rate = _inactive_count(inactive, chosen, names, task) / max(_count(chosen, names)[1], 1)
    groups = _groups(names, corpus.subjects)
    videos = np.array([len({video_of(name)[0] for name in group}) for group in groups])
    counts = np.array(_video_counts(sizes, videos, task))
    expected = {name: active + rate * spare for name, (active, spare) in chosen.items()}
    sums = np.array([sum(_sums(corpus.labels[name], expected[name], task) for name in g) for g in groups])
    rng = np.random.default_rng(seed)
    assigned = SplitSearch(sums, videos, counts).run(rng, progress)
    members = [[name for i in np.flatnonzero(assigned == s) for name in groups[i]] for s in range(len(SETS))]
    used = [name for own in members for name in own]
    kept = _draw_inactive(members, chosen, _inactive_count(inactive, chosen, used, task), rng)
    sets = {}
    for subset, own in zip(SETS, members, strict=True):
        sets[subset] = {name: frame_ranges(np.flatnonzero(kept[name]) + 1) for name in sorted(own)}
    known = {name: corpus.subjects[name] for name in used if name in corpus.attributes.index}
    return Partition(sets, known, task, seed)


def _chosen(labels: Labels, task: str) -> np.ndarray:
    """``(2, T)`` bool: the frames that are kept, and those of which some are drawn."""
    labelled = kept = labelled_frames(labels, task)
    if task == "au":
        kept = ((labels.action_units == 1) & labels.has_action_units).any(axis=1)
    return np.stack([kept, labelled & ~kept])


def _count(chosen: _Chosen, names: Sequence[str]) -> tuple[int, int]:
    """How many frames of these names are kept anyway, and from how many some are drawn."""
    kept, spare = sum((chosen[name].sum(axis=1) for name in names), np.zeros(2, int)).tolist()
    return kept, spare


def _inactive_count(inactive: int | None, chosen: _Chosen, names: Sequence[str], task: str) -> int:
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


def _draw_inactive(members, chosen: _Chosen, inactive: int, rng) -> dict[str, np.ndarray]:
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


def _groups(names: Sequence[str], subjects: Mapping[str, str]) -> list[list[str]]:
    """Names that hang together by a video or a subject; both in the order of ``names``."""
    linked, first = DisjointSet(names), {}
    for name in names:
        for key in (("video", video_of(name)[0]), ("subject", subjects[name])):
            linked.merge(name, first.setdefault(key, name))
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(linked[name], []).append(name)
    return list(groups.values())


def parse_sizes(text: str) -> list[float]:
    """``"38,8,18"`` or ``"0.6,0.15,0.25"`` as finite numbers."""
    try:
        sizes = [float(number) for number in text.split(",")]
    except ValueError as error:
        raise UserError(f"--sizes {text}", "is not numbers with commas between them", _SIZES) from error
    if not np.isfinite(sizes).all():
        raise UserError(f"--sizes {text}", "is not finite", _SIZES)
    return sizes


def _video_counts(sizes: Sequence[float], videos: np.ndarray, task: str) -> list[int]:
    """The number of videos in each set, met by groups of ``videos`` ``(G,)`` that stay whole."""
    option, available = "--sizes " + ",".join(format(size, "g") for size in sizes), int(videos.sum())
    fractions = all(0 < size < 1 for size in sizes)
    if len(sizes) != len(SETS) or not (fractions or all(size >= 1 and size == int(size) for size in sizes)):
        raise UserError(option, "is not a size for each of train, validation and test", _SIZES)
    if fractions and sum(sizes) > 1 + 1e-9:
        raise UserError(option, f"adds up to {sum(sizes):.12g}", "give fractions that sum to at most 1")
    if not fractions and sum(sizes) > available:
        problem = f"adds up to {sum(sizes):.0f} videos, and {available} have labels of {PARTS[task]}"
        raise UserError(option, problem, "give smaller numbers, or fractions such as 0.6,0.15,0.25")
    wanted = largest_remainder(sizes, round(available * sum(sizes))) if fractions else [int(n) for n in sizes]
    if len(videos) < len(SETS):
        problem = f"all {available} videos hang together by their subjects in {len(videos)} groups"
        raise UserError(option, problem, "add videos of other people")
    kinds, numbers = np.unique(videos, return_counts=True)
    nearest = (kinds @ deal_counts(kinds, numbers, wanted, np.outer(numbers, wanted) / available)).tolist()
    if not fractions and nearest != wanted:
        fix = f"the nearest possible is {','.join(map(str, nearest))}"
        raise UserError(option, "cannot be met without dividing a subject or a video", fix)
    return nearest


def largest_remainder(fractions: Sequence[float], total: int) -> list[int]:
    """Whole numbers in proportion to ``fractions`` that sum to ``total``.

    >>> largest_remainder([0.6, 0.15, 0.25], 64)
    [38, 10, 16]
    """
    exact = np.asarray(fractions, dtype=float) * total / max(sum(fractions), 1e-12)
    numbers = np.floor(exact + 1e-9).astype(int)
    for place in np.argsort(numbers - exact, kind="stable")[: total - numbers.sum()]:
        numbers[place] += 1
    return numbers.tolist()


def _sums(labels: Labels, weight: np.ndarray, task: str) -> np.ndarray:
    """``(3, J + 1)``: sums of weights, values, squares; of the task's labels, valence, arousal, frames."""
    values = known = np.zeros((len(labels), 0), bool)
    if task == "au":
        values, known = labels.action_units, labels.has_action_units
    elif task == "expr":
        values = labels.expression[:, None] == np.arange(len(labels.expression_names))
        known = np.repeat(labels.has_expression[:, None], values.shape[1], axis=1)
    every = np.ones(len(labels), bool)
    values = np.column_stack([values, labels.valence, labels.arousal, every]).astype(np.float64)
    known = np.column_stack([known, labels.has_va, labels.has_va, every]) * weight[:, None]
    return np.stack([known.sum(axis=0), (known * values).sum(axis=0), (known * values**2).sum(axis=0)])


def moments(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance, ``(..., J + 1)`` each, of ``(..., 3, J + 1)`` sums; 0 where there is no frame."""
    weight = sums[..., 0, :].clip(min=1e-12)
    mean = sums[..., 1, :] / weight
    return mean, (sums[..., 2, :] / weight - mean**2).clip(min=0)


@dataclass(frozen=True)
class SplitSearch:
    """The search for an assignment of groups to sets in which every set is like the whole."""

    sums: np.ndarray  # (G, 3, J + 1) of each group, see _sums; the last labels are valence, arousal, frames
    videos: np.ndarray  # (G,): how many videos each group has
    counts: np.ndarray  # (S,): how many videos each set gets

    def run(self, rng: np.random.Generator, progress: bool = False) -> np.ndarray:
        """The set of each group, ``(G,)``, their number for none: the best of several local optima."""
        tries = trange(_RESTARTS, desc="split", unit="try", delay=2, disable=not progress)
        found = [self._exchange(self._random_assignment(rng), rng) for _ in tries]
        sets = np.arange(len(self.counts) + 1)
        return min(found, key=lambda assigned: self.misfit(self._totals(assigned), sets).sum().round(9))

    def misfit(self, sums: np.ndarray, subset: np.ndarray) -> np.ndarray:
        """That of :func:`split_corpus`, of sets with sums ``(..., 3, J + 1)``; 0 for what is in no set."""
        mean, variance, varies, frames_a_video = self._whole
        own_mean, own_variance = moments(sums)
        means = ((own_mean - mean) ** 2 / variance) @ varies
        variances = ((own_variance / variance - 1) ** 2)[..., -3:-1] @ varies[-3:-1]
        frames = sums[..., 0, -1] / np.append(self.counts, 1)[subset] / frames_a_video - 1
        return np.where(subset < len(self.counts), means + variances + frames**2, 0)

    @cached_property
    def _whole(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Of all groups: means, variances, whether there is any variance, and frames in a video."""
        sums = self.sums.sum(axis=0)
        mean, variance = moments(sums)
        varies = variance > 1e-9
        return mean, np.where(varies, variance, 1), varies, sums[0, -1] / self.videos.sum()

    def _totals(self, assigned: np.ndarray) -> np.ndarray:
        """Sums ``(S + 1, 3, J + 1)`` of the sets, and of what is in none."""
        return np.stack([self.sums[assigned == s].sum(axis=0) for s in range(len(self.counts) + 1)])

    def _random_assignment(self, rng: np.random.Generator) -> np.ndarray:
        kinds, numbers = np.unique(self.videos, return_counts=True)
        fractions = np.append(self.counts, self.videos.sum() - self.counts.sum()) / self.videos.sum()
        wish = rng.multinomial(numbers, fractions)[:, :-1]
        dealt = deal_counts(kinds, numbers, self.counts, wish)
        assigned = np.full(len(self.videos), len(self.counts))
        for kind, each in zip(kinds, dealt, strict=True):
            alike = rng.permutation(np.flatnonzero(self.videos == kind))
            assigned[alike[: each.sum()]] = np.repeat(np.arange(len(each)), each)
        return assigned

    def _exchange(self, assigned: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Exchange groups with equal numbers of videos between sets until no exchange lowers the misfit."""
        assigned, totals, improved = assigned.copy(), self._totals(assigned), True
        while improved:
            improved = False
            for group in rng.permutation(len(assigned)):
                mine = assigned[group]
                others = np.flatnonzero((self.videos == self.videos[group]) & (assigned != mine))
                if not len(others):
                    continue
                theirs = assigned[others]
                difference = self.sums[others] - self.sums[group]
                before = self.misfit(totals[mine], mine) + self.misfit(totals[theirs], theirs)
                after = self.misfit(totals[mine] + difference, mine)
                after += self.misfit(totals[theirs] - difference, theirs)
                change = after - before
                best = np.argmin(change)
                if change[best] < -1e-9:
                    totals[mine] += difference[best]
                    totals[theirs[best]] -= difference[best]
                    assigned[group], assigned[others[best]] = theirs[best], mine
                    improved = True
        return assigned


def deal_counts(
    kinds: np.ndarray, numbers: np.ndarray, counts: Sequence[int], wish: np.ndarray
) -> np.ndarray:
    """How many groups of each kind each set gets, ``(K, S)`` int64; there must be as many groups as sets.

    Of ``numbers`` ``(K,)`` groups each has ``kinds`` ``(K,)`` videos. A small integer programme: as near as
    possible to ``counts`` ``(S,)`` videos in each set, then to ``wish`` ``(K, S)`` groups, at least one
    group a set.
    """
    num_kinds, num_sets = wish.shape
    cells = num_kinds * num_sets
    used = np.kron(np.eye(num_kinds), np.ones(num_sets))  # groups of a kind that are in any set
    held = np.kron(kinds, np.eye(num_sets))  # videos in a set
    sets, ones, zeros = np.eye(num_sets), np.eye(cells), np.zeros
    # columns: the groups dealt; too few and too many videos in a set; too few and too many groups in a cell
    matrix = np.block([
        [used, zeros((num_kinds, 2 * num_sets + 2 * cells))],
        [held, zeros((num_sets, 2 * num_sets + 2 * cells))],
        [held, sets, -sets, zeros((num_sets, 2 * cells))],
        [ones, zeros((cells, 2 * num_sets)), ones, -ones],
    ])  # fmt: skip
    equal = np.concatenate([counts, wish.ravel()])
    low = np.concatenate([zeros(num_kinds), np.ones(num_sets), equal])
    high = np.concatenate([numbers, np.full(num_sets, np.inf), equal])
    first = 1 + 2 * numbers.sum()  # one video of difference weighs more than all wishes
    costs = np.repeat([0, first, 1], [cells, 2 * num_sets, 2 * cells])
    whole = np.repeat([1, 0], [cells, 2 * num_sets + 2 * cells])
    limits = LinearConstraint(matrix, low, high)
    solution = milp(costs, integrality=whole, constraints=limits, options={"mip_rel_gap": 0})
    return np.rint(solution.x[:cells]).astype(np.int64).reshape(wish.shape)


def partition_table(partition: Partition, corpus: Corpus) -> pd.DataFrame:
    """What is in each set, in all together, and in the paper's; two people in a video count each."""
    task, sums, columns = partition.task or default_task(corpus), {}, {}
    for subset, names in partition.sets.items():
        sums[subset] = 0
        for name in names:
            listed = np.bincount(partition.frames(subset, name) - 1, minlength=len(corpus.labels[name]))
            sums[subset] += _sums(corpus.labels[name], listed, task)
    first = next(iter(corpus.labels.values()))
    labels = {"au": first.action_unit_names, "expr": first.expression_names, "va": ()}[task]
    rows = ["videos", "subjects", "frames", *labels, "mean valence", "mean arousal"]
    rows += ["variance of valence", "variance of arousal"]
    everybody = [name for own in partition.sets.values() for name in own]
    for subset, one in (sums | {"all": sum(sums.values())}).items():
        names = partition.sets.get(subset, everybody)
        people = {corpus.subjects.get(name, name) for name in names}
        mean, variance = (np.where(one[0] > 0, values, np.nan) for values in moments(one))
        values = [len({video_of(name)[0] for name in names}), len(people), one[0, -1]]
        columns[subset] = dict(zip(rows, [*values, *mean[:-1], *variance[-3:-1]], strict=True))
    if task in PAPER_VIDEOS:
        for subset, videos, frames in zip(SETS, PAPER_VIDEOS[task], PAPER_FRAMES[task], strict=True):
            columns[f"paper's {subset}"] = {"videos": videos, "frames": frames}
    return pd.DataFrame(columns)


def as_text(table: pd.DataFrame) -> str:
    counts = ["videos", "subjects", "frames"]
    text = table.map(lambda value: "" if np.isnan(value) else f"{value:.3f}")
    text.loc[counts] = table.loc[counts].map(lambda value: "" if np.isnan(value) else f"{value:,.0f}")
    return text.to_string()

"""The search behind a partition: which groups go into which set, so that every set is like the whole.

A group is what must stay together. All that counts of it here is how many videos it has, and sums over its
frames; what the labels mean is the business of :mod:`affkit.corpus.split_by_subject`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import LinearConstraint, milp
from tqdm import trange

_RESTARTS = 6


@dataclass(frozen=True)
class Balance:
    """Groups to be dealt to sets, and how unlike the whole a set is.

    Attributes
    ----------
    sums:
        ``(G, 3, J + 1)``: weights, weighted values and weighted squares, summed over the frames of each
        group, of J labels and of the frames themselves. The last two labels are valence and arousal.
    videos:
        ``(G,)``: how many videos each group has.
    counts:
        ``(S,)``: how many videos each set gets.
    """

    sums: np.ndarray
    videos: np.ndarray
    counts: np.ndarray

    def misfit(self, sums: np.ndarray, subset: np.ndarray) -> np.ndarray:
        """The misfit of sets with these sums, ``(..., 3, J + 1)``; 0 for what is in no set.

        ``subset`` is the number of the set, and as many as there are sets for what is in none.
        """
        mean, variance, varies, frames_a_video = self.whole
        own_mean, own_variance = moments(sums)
        means = ((own_mean - mean) ** 2 / variance) @ varies
        variances = ((own_variance / variance - 1) ** 2)[..., -3:-1] @ varies[-3:-1]
        frames = sums[..., 0, -1] / np.append(self.counts, 1)[subset] / frames_a_video - 1
        return np.where(subset < len(self.counts), means + variances + frames**2, 0)

    @cached_property
    def whole(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Of all groups: means, variances, whether there is any variance, and frames in a video."""
        sums = self.sums.sum(axis=0)
        mean, variance = moments(sums)
        varies = variance > 1e-9
        return mean, np.where(varies, variance, 1), varies, sums[0, -1] / self.videos.sum()

    def totals(self, assigned: np.ndarray) -> np.ndarray:
        """Sums ``(S + 1, 3, J + 1)`` of the sets, and of what is in none."""
        return np.stack([self.sums[assigned == s].sum(axis=0) for s in range(len(self.counts) + 1)])


def search(balance: Balance, rng: np.random.Generator, progress: bool = False) -> np.ndarray:
    """Number of the set of each group, ``(G,)``; the number of sets stands for none of them.

    The best of six local optima. For 300 groups that takes a few seconds.
    """
    best, lowest = None, np.inf
    everything = np.arange(len(balance.counts) + 1)
    for _ in trange(_RESTARTS, desc="split", unit="try", delay=2, disable=not progress):
        assigned = _exchange(balance, _random_assignment(balance, rng), rng)
        misfit = balance.misfit(balance.totals(assigned), everything).sum()
        if best is None or misfit < lowest - 1e-9:
            best, lowest = assigned, misfit
    return best


def _random_assignment(balance: Balance, rng: np.random.Generator) -> np.ndarray:
    """A random assignment with exactly the numbers of videos asked for."""
    kinds, numbers = np.unique(balance.videos, return_counts=True)
    shares = np.append(balance.counts, balance.videos.sum() - balance.counts.sum()) / balance.videos.sum()
    wish = rng.multinomial(numbers, shares)[:, :-1]
    dealt = deal_counts(kinds, numbers, balance.counts, wish)
    assigned = np.full(len(balance.videos), len(balance.counts))
    for kind, each in zip(kinds, dealt, strict=True):
        alike = rng.permutation(np.flatnonzero(balance.videos == kind))
        assigned[alike[: each.sum()]] = np.repeat(np.arange(len(each)), each)
    return assigned


def _exchange(balance: Balance, assigned: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exchange groups with equal numbers of videos between sets until no exchange lowers the misfit."""
    assigned, totals, improved = assigned.copy(), balance.totals(assigned), True
    while improved:
        improved = False
        for group in rng.permutation(len(assigned)):
            mine = assigned[group]
            others = np.flatnonzero((balance.videos == balance.videos[group]) & (assigned != mine))
            if not len(others):
                continue
            theirs = assigned[others]
            difference = balance.sums[others] - balance.sums[group]
            before = balance.misfit(totals[mine], mine) + balance.misfit(totals[theirs], theirs)
            after = balance.misfit(totals[mine] + difference, mine)
            after += balance.misfit(totals[theirs] - difference, theirs)
            best = np.argmin(after - before)
            if (after - before)[best] < -1e-9:
                totals[mine] += difference[best]
                totals[theirs[best]] -= difference[best]
                assigned[group], assigned[others[best]] = theirs[best], mine
                improved = True
    return assigned


def moments(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance, ``(..., J + 1)`` each, of ``(..., 3, J + 1)`` sums; 0 where there is no frame."""
    weight = np.maximum(sums[..., 0, :], 1e-12)
    mean = sums[..., 1, :] / weight
    return mean, np.maximum(sums[..., 2, :] / weight - mean**2, 0)


def deal_counts(
    kinds: np.ndarray, numbers: np.ndarray, counts: Sequence[int], wish: np.ndarray
) -> np.ndarray:
    """How many groups of each kind each set gets, ``(K, S)`` int64.

    Groups with the same number of videos are alike here. That leaves a small integer programme: come as
    near as possible to ``counts`` videos in each set, and among these ways to ``wish``. Every set gets at
    least one group, so there must be as many groups as sets.

    Parameters
    ----------
    kinds, numbers:
        ``(K,)``: a number of videos, and how many groups have so many.
    counts:
        ``(S,)``: the numbers of videos wanted.
    wish:
        ``(K, S)``: how many groups of each kind we would like to have in each set.
    """
    num_kinds, num_sets = wish.shape
    cells = num_kinds * num_sets
    used = np.kron(np.eye(num_kinds), np.ones(num_sets))  # groups of a kind that are in any set
    held = np.kron(kinds, np.eye(num_sets))  # videos in a set
    sets, ones = np.eye(num_sets), np.eye(cells)
    zeros = np.zeros
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
    limits = LinearConstraint(matrix, low, high)
    first = 1 + 2 * numbers.sum()  # one video of difference weighs more than all wishes
    costs = np.concatenate([zeros(cells), np.full(2 * num_sets, first), np.ones(2 * cells)])
    whole = np.concatenate([np.ones(cells), zeros(2 * num_sets + 2 * cells)])
    solution = milp(costs, integrality=whole, constraints=limits, options={"mip_rel_gap": 0})
    return np.rint(solution.x[:cells]).astype(np.int64).reshape(wish.shape)


def largest_remainder(shares: Sequence[float], total: int) -> list[int]:
    """Whole numbers in proportion to ``shares`` that sum to ``total``.

    >>> largest_remainder([0.6, 0.15, 0.25], 64)
    [38, 10, 16]
    """
    exact = np.asarray(shares, dtype=float) * total / max(sum(shares), 1e-12)
    numbers = np.floor(exact + 1e-9).astype(int)
    for place in np.argsort(numbers - exact, kind="stable")[: total - numbers.sum()]:
        numbers[place] += 1
    return numbers.tolist()

"""Exercises of notebook 02: annotate and agree."""

import numpy as np

from affkit_course.exercises.framework import Checks, Exercise, OpenExercise


def all_agree(votes):
    return votes[0] if len(set(votes)) == 1 else None


def agree_by_loop(votes):
    for vote in votes:
        if vote != votes[0]:
            return None
    return votes[0]


ALL_AGREE = Exercise(
    all_agree,
    """**All agree** (warm-up). Write `all_agree`: the votes of some coders on one frame, each 0 or 1, to 0,
1, or `None` where they disagree.
- Three answers are possible. Which votes lead to each?
- set(votes) has one value when all said the same.
- votes[0] if len(set(votes)) == 1 else None

One value in the set means that all said the same. The mistake to avoid is `min(votes)`: it gives 0 where
coders disagree, which is the second reading of Section III.D, and not "we do not know".""",
    examples=[
        (([1, 1, 1],), 1, "all say 1"),
        (([0, 0, 0],), 0, "absent is agreed on, too"),
        (([0, 1, 1],), None, "a majority is not agreement, and disputed is not absent"),
        (([0, 0],), 0, "any number of coders"),
        (([1, 0, 1, 0],), None, "two against two is no agreement either"),
        (([1, 0, 0],), None, "one of three saw it"),
        (([1, 0, 1],), None, "the second says no"),
    ],
    wrong=[
        "Where they disagree you say absent; it is not known there: None.",
        min,
        "One vote is enough for you; all must say the same.",
        max,
        "You take the majority. The paper keeps what all agree on.",
        lambda v: int(2 * sum(v) > len(v)),
        "You take the majority, and None only for a tie.",
        lambda v: None if 2 * sum(v) == len(v) else int(2 * sum(v) > len(v)),
        "Only agreement on 1 counts for you; that all say 0 is agreement, too.",
        lambda v: 1 if all(v) else None,
        "You say whether they agree, not on what.",
        lambda v: len(set(v)) == 1,
        "You give the mean of the votes; disputed is None, not a number between 0 and 1.",
        np.mean,
        "You look at the first coder only.",
        lambda v: v[0],
        "You expect three coders; there can be any number.",
        lambda v: {0: 0, 3: 1}.get(sum(v)) if len(v) == 3 else None,
        "You compare the first with the last, and nobody between them.",
        lambda v: v[0] if v[0] == v[-1] else None,
    ],
    right=[agree_by_loop, lambda votes: {0: 0, len(votes): 1}.get(sum(votes))],
)


def kappa(first, second):
    n = len(first)
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    yes_first, yes_second = sum(first) / n, sum(second) / n
    by_chance = yes_first * yes_second + (1 - yes_first) * (1 - yes_second)
    if by_chance == 1:  # both say one and the same thing in every frame: there is nothing to agree on
        return float("nan")
    return (observed - by_chance) / (1 - by_chance)


def kappa_by_table(first, second):
    table = np.zeros((2, 2))
    for a, b in zip(first, second, strict=True):
        table[a, b] += 1
    table /= table.sum()
    by_chance = (table.sum(axis=0) * table.sum(axis=1)).sum()
    return (np.trace(table) - by_chance) / (1 - by_chance) if by_chance < 1 else np.nan


def kappa_by_arrays(first, second):
    first, second = np.array(first), np.array(second)
    by_chance = np.mean(first) * np.mean(second) + np.mean(1 - first) * np.mean(1 - second)
    return np.mean((first == second) - by_chance) / (1 - by_chance) if by_chance != 1 else np.nan


def observed(first, second):
    return np.mean(np.equal(first, second))


def kappa_with(by_chance, else_wise=np.nan):
    """Kappa with another agreement by chance, a function of how often each says yes."""

    def answer(first, second):
        chance = by_chance(np.mean(first), np.mean(second))
        return (observed(first, second) - chance) / (1 - chance) if chance != 1 else else_wise

    return answer


def chance(p, q):
    return p * q + (1 - p) * (1 - q)


def kappa_without_nan(first, second):
    by_chance = chance(sum(first) / len(first), sum(second) / len(second))
    return (float(observed(first, second)) - by_chance) / (1 - by_chance)


KAPPA = Exercise(
    kappa,
    """**Cohen's kappa** (standard). Write Cohen's `kappa` of two lists of 0 and 1 yourself; "not a number"
where it is 0/0.
- How often would two people agree who mark as many frames as these two, but at random?
- p_e = p q + (1 - p)(1 - q), with p and q the fractions of frames that each of them marks.
- (p_o - p_e) / (1 - p_e), and float('nan') where p_e is 1.

"By chance" means: two people who mark just as many frames as these two, but anywhere. Two coders who never
mark AU20 agree in all frames, and kappa is 0/0: it does not know whether they would see an AU20 if there were
one.""",
    examples=[
        (([0, 0, 1, 1], [0, 0, 1, 1]), 1.0, "full agreement"),
        (([0, 0, 1, 1], [0, 0, 0, 1]), 0.5, "(p_o - p_e) / (1 - p_e); p_e counts agreement on 0 and on 1"),
        (([0, 1, 0, 1], [1, 0, 1, 0]), -1.0, "it can be negative: do not clip it"),
        (([1, 0, 0, 0, 0], [0, 1, 0, 0, 0]), -0.25, "p_o is 0.6, p_e is 0.68"),
        (([0, 0, 0], [0, 0, 0]), float("nan"), "p_e is 1 here: nothing to agree on, not perfect agreement"),
    ],
    wrong=[
        "This is the percentage of agreement; chance is not taken off.",
        observed,
        "Your p_e counts agreement on 1 only; by chance people also agree on 0.",
        kappa_with(lambda p, q: p * q),
        "Your p_e is 1/2, as if both marked half of the frames.",
        kappa_with(lambda p, q: 0.5),
        "The sign of a negative kappa is lost, or clipped at 0; worse than chance is below 0.",
        lambda a, b: np.maximum(kappa(a, b), 0),
        "You divide by nothing: p_o - p_e must be divided by 1 - p_e.",
        lambda a, b: observed(a, b) - chance(np.mean(a), np.mean(b)),
        "You divide by p_e; what is to be had beyond chance is 1 - p_e.",
        lambda a, b: (observed(a, b) - chance(np.mean(a), np.mean(b))) / chance(np.mean(a), np.mean(b)),
        "Where p_e is 1 you say perfect agreement; it is 0/0, not a number.",
        kappa_with(chance, 1.0),
        "Where p_e is 1 you say 0; it is 0/0, not a number.",
        kappa_with(chance, 0.0),
        "Where p_e is 1 you divide by 0; give float('nan') there.",
        kappa_without_nan,
        "You take one fraction for both coders; that is Scott's pi.",
        kappa_with(lambda p, q: chance((p + q) / 2, (p + q) / 2)),
        "This is F1 of one coder against the other.",
        lambda a, b: 2 * np.dot(a, b) / (sum(a) + sum(b)) if sum(a) + sum(b) else np.nan,
    ],
    right=[kappa_by_table, kappa_by_arrays],
)

FEWER = OpenExercise(
    """**Fewer coders** (standard). Is a third coder worth the money? Compare one coder, all pairs, and all
three: precision and `found`.
- itertools.combinations(coders, size) gives all choices of 1, 2 and 3 coders.
- agree() of two or three coders gives labels; a single coder is labels already.
- lesson.unit_scores(labels, truth).loc['all'] of each choice, one row a choice.

```python
from itertools import combinations

rows = {}
for size in (1, 2, 3):
    for who in combinations(coders, size):
        some = {name: coders[name] for name in who}
        labels = agree(some) if size > 1 else some[who[0]]
        rows[size, " ".join(who)] = lesson.unit_scores(labels, truth).loc["all"]
pd.DataFrame(rows).T
```

With every coder who has to agree, `found` can only fall: a frame counts when *everybody* saw it. Precision
rises most from one coder to two, since what two independent people both marked is seldom a slip; what the
third adds is less. Whether it is worth a third of the money depends on what the labels are for. Somebody who
trains a network might rather have more clips; somebody who tests one needs labels that are right, and should
not forget which frames are missing."""
)

LAG = OpenExercise(
    """**The lag that all share** (hard). Find the shift for the ratings in step that makes both dimensions
best, and the CCC of the corpus with it. Then: how could you find it without any truth?
- lesson.concordance takes a range of shifts; where is the top of the curve?
- The mean of valence and arousal over range(-60, 121), and its idxmax.
- Without a truth: what else says when the face moved? Think of the action units.

```python
some = {"in step": {video: mean_in_step[video] for video in long}}
curve = lesson.concordance(some, truth, range(-60, 121)).set_index("shift")
shift = curve[["valence", "arousal"]].mean(axis=1).idxmax()
lesson.concordance({"in step": mean_in_step}, truth, (0, shift))
```

The curve of the ratings in step has its top at the delay of the fastest rater and of everybody's hand. With
the truth one reads it off. Without a truth, something else must say when the face moved: Mariooryad & Busso
(2015) look for the shift at which the ratings tell most about *facial features*, and find 1 to 6 seconds. In
this corpus the coders' action units would do: take the shift at which valence goes best with AU12 minus AU4.
It needs no truth, but it does need faces whose smiles mean something, and the polite smiles of notebook 01
blur it.

Mind the ends. A shift of two seconds has no ratings for the last two seconds of a clip; fill them with the
last value and you invent labels. `align_ratings` masks them."""
)


def segments(active):
    found, start = [], None
    for i, one in enumerate([*active, 0]):
        if one and start is None:
            start = i
        if not one and start is not None:
            found.append((start, i))
            start = None
    return found


def segments_by_diff(active):
    changes = np.flatnonzero(np.diff([0, *active, 0]))
    return list(zip(changes[::2], changes[1::2], strict=True))


def segments_by_groups(active):
    from itertools import groupby

    runs = [list(run) for _, run in groupby(range(len(active)), key=lambda i: active[i])]
    return [(run[0], run[-1] + 1) for run in runs if active[run[0]]]


SEGMENTS = Exercise(
    segments,
    """**From frames to segments** (standard). Annotation tools store segments, label files store frames.
Write `segments`: a list of 0 and 1, one a frame, in; the segments of 1 out, as pairs (start, stop) that count
frames from 0. As in Python, stop is the frame after.
- A segment starts where a 1 follows a 0, and stops where a 0 follows a 1. And at the two ends?
- Put a 0 in front and one behind: then every segment has a start and a stop.
- np.flatnonzero(np.diff([0, *active, 0])) gives starts and stops in turn.

A 0 behind the last frame closes a segment that is still open there; without it the last one is lost in every
clip that ends with a smile. With stop as the frame after, `stop - start` is the length, and two segments that
touch have one number in common. BORIS counts in seconds and ELAN in milliseconds; whoever converts must know
which frame is 0.""",
    examples=[
        (([0, 1, 1, 0, 1, 0],), [(1, 3), (4, 5)], "stop is the frame after the last 1"),
        (([1, 0, 0, 1, 1],), [(0, 1), (3, 5)], "a segment can touch the first and the last frame"),
        (([0, 0],), [], "no segment, no pair"),
        (([1, 1, 1],), [(0, 3)], "all frames are one segment"),
    ],
    wrong=[
        "Your stop is the last frame itself; it must be the one after.",
        lambda active: [(start, stop - 1) for start, stop in segments(active)],
        "You lose the segment that is still open at the last frame.",
        lambda active: [one for one in segments(active) if one[1] < len(active)],
        "You lose the segment that starts with the first frame.",
        lambda active: [one for one in segments(active) if one[0] > 0],
        "You count frames from 1; here the first is frame 0.",
        lambda active: [(start + 1, stop + 1) for start, stop in segments(active)],
        "You count frames from 1 and include the last, as a label file might; here it is Python's way.",
        lambda active: [(start + 1, stop) for start, stop in segments(active)],
        "You give the length as the second number; asked is where it stops.",
        lambda active: [(start, stop - start) for start, stop in segments(active)],
        "You give a pair for every frame; frames that follow each other are one segment.",
        lambda active: [(i, i + 1) for i, one in enumerate(active) if one],
        "You give one segment from the first 1 to the last, gaps included.",
        lambda active: [(segments(active)[0][0], segments(active)[-1][1])] if any(active) else [],
        "These are the segments of 0.",
        lambda active: segments([1 - one for one in active]),
    ],
    right=[segments_by_diff, segments_by_groups],
)


def in_step(values, lag):
    return [values[i + lag] if i + lag < len(values) else None for i in range(len(values))]


def in_step_by_loop(values, lag):
    moved = [None] * len(values)
    for i, value in enumerate(values):
        if i >= lag:
            moved[i - lag] = value
    return moved


IN_STEP = Exercise(
    in_step,
    """**In step** (warm-up). Write `in_step`: the ratings of somebody who is `lag` frames late, one a frame;
out the ratings of the same length as they would be in time. The last frames have no rating then: `None`.
- Somebody is 2 frames late. In which frame do they say what belongs to frame 0?
- Frame i gets the value of frame i + lag.
- values[lag:] and then as many None as are missing at the end.

What a late rater says in frame `i + lag` is about frame `i`. So the list moves towards its start, and at its
end there is nothing. Repeating the last value there invents labels, and `np.roll` puts the first seconds of a
clip behind its last ones. `affkit.corpus.agreement.align_ratings` finds the lags, moves the ratings, and
masks the end.""",
    examples=[
        (([1, 2, 3, 4, 5], 2), [3, 4, 5, None, None], "frame 0 gets what is said in frame 2"),
        (([1, 2, 3], 0), [1, 2, 3], "nobody is late: nothing moves"),
        (([7, 8], 1), [8, None], "the last frame has no rating"),
        (([1, 2], 3), [None, None], "later than the clip is long"),
    ],
    wrong=[
        "You move the ratings later; they are late already, so move them towards the start.",
        lambda values, lag: ([None] * lag + list(values))[: len(values)],
        "You put the first ratings at the end (np.roll); nobody has rated these frames.",
        lambda values, lag: [values[(i + lag) % len(values)] for i in range(len(values))],
        "You repeat the last rating; that invents labels. None says that there is none.",
        lambda values, lag: [values[min(i + lag, len(values) - 1)] for i in range(len(values))],
        "Your list is shorter than the clip: one value a frame, None where there is no rating.",
        lambda values, lag: list(values[lag:]),
        "You fill with 0, and 0 is a rating: neutral.",
        lambda values, lag: [0 if one is None else one for one in in_step(values, lag)],
        "You move by one frame more than the lag.",
        lambda values, lag: in_step(values, lag + 1),
        "You cut off the first ratings and put None there; nothing has moved.",
        lambda values, lag: [None if i < lag else one for i, one in enumerate(values)],
        "You mask the end, but nothing has moved.",
        lambda values, lag: [one if i + lag < len(values) else None for i, one in enumerate(values)],
    ],
    right=[lambda values, lag: list(values[lag:]) + [None] * min(lag, len(values)), in_step_by_loop],
)

check = Checks("02", ALL_AGREE, KAPPA, FEWER, LAG, SEGMENTS, IN_STEP)

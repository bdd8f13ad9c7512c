"""Exercises of notebook 03: what is in the corpus, and who may be tested on it."""

import numpy as np

from affkit_course.exercises.framework import Checks, Exercise, OpenExercise


def f1_of_always(fraction):
    return 2 * fraction / (1 + fraction)


def f1_by_counts(fraction):
    hits, alarms, misses = fraction, 1 - fraction, 0
    return 2 * hits / (2 * hits + alarms + misses)


F1_OF_ALWAYS = Exercise(
    f1_of_always,
    """**F1 of a constant answer** (warm-up). Write `f1_of_always`: a fraction of active frames in, the F1 of
the answer "always" out; what for a fraction of 0?
- What are precision and recall of somebody who always says yes?
- Recall is 1, and of their answers the fraction p is right: precision is p.
- 2 p 1 / (p + 1), which is 0 for p = 0.

"Always" finds every active frame, so its recall is 1; of its answers a fraction $p$ is right, so its
precision is $p$. $F_1 = 2 P R / (P + R) = 2p / (1 + p)$. For $p = 0$ there is nothing to find; the formula
gives 0, which is also what `affkit.metrics` and scikit-learn say.""",
    examples=[
        ((0.5,), 2 / 3, "precision is the fraction, recall is 1: F1 = 2 P R / (P + R)"),
        ((1.0,), 1.0, "all answers are right"),
        ((0.0,), 0.0, "no frame is a hit"),
        ((0.1,), 2 / 11, "0.2 / 1.1"),
    ],
    wrong=[
        "This is the accuracy, which is also the precision; F1 also has the recall of 1.",
        lambda fraction: fraction,
        "You take the plain mean of precision and recall; F1 is the harmonic one.",
        lambda fraction: (fraction + 1) / 2,
        "This is the macro F1; asked is F1 of the active frames.",
        lambda fraction: fraction / (1 + fraction),
        "Always finds all active frames, so its recall is 1, and its F1 is below that.",
        lambda fraction: 1.0,
        "You divide by 1 - fraction; F1 is 2 P R / (P + R) with P the fraction and R = 1.",
        lambda fraction: 2 * fraction / (1 - fraction),
        "This is F1 of the answer 'never', for the frames without the unit.",
        lambda fraction: 2 * (1 - fraction) / (2 - fraction),
        "A fraction of 0 has an F1 of 0, not an error: no frame is a hit.",
        lambda fraction: 2 / (1 / fraction + 1),
        "You take the geometric mean of precision and recall; F1 is the harmonic one.",
        lambda fraction: fraction**0.5,
    ],
    right=[f1_by_counts, lambda fraction: 2 / (1 / fraction + 1) if fraction else 0],
)


def on_both_sides(train, test, subjects):
    people = [{subjects.get(name, name) for name in names} for names in (train, test)]
    return people[0] & people[1]


def both_by_loop(train, test, subjects):
    found = set()
    for one in train:
        for other in test:
            who = subjects[one] if one in subjects else one
            if who == (subjects[other] if other in subjects else other):
                found.add(who)
    return found


def both_by_lists(train, test, subjects):
    learnt = [subjects.get(name, name) for name in train]
    return {subjects.get(name, name) for name in test if subjects.get(name, name) in learnt}


def people_of(names, subjects):
    return {subjects.get(name, name) for name in names}


KNOWN = {"a": "Ann", "b": "Ben", "c": "Ann"}

ON_BOTH_SIDES = Exercise(
    on_both_sides,
    """**On both sides** (standard). Write `on_both_sides`: names in the training set, names in the test set,
and a dictionary from name to subject in; the set of people on both sides out. A name without a known subject
is a subject of its own.
- Two names can be one person. What must be compared?
- Make a set of subjects of each side; subjects.get(name, name) for a name that is not known.
- The intersection of both sets: people_in_train & people_in_test.

This misses one kind of leak: two *different* people who share a video. Their faces are taken under the same
lamp, before the same wall, often feeling the same thing. `affkit.corpus.partition.leaks` counts a video on
two sides as a leak.""",
    examples=[
        ((["a"], ["b"], KNOWN), set(), "Ann learns, Ben is tested: nobody is on both sides"),
        ((["a", "b"], ["c"], KNOWN), {"Ann"}, "names differ, the person does not: look up the subject"),
        ((["x"], ["x", "b"], KNOWN), {"x"}, "an unknown name is its own subject: subjects.get(name, name)"),
        ((["x", "a"], ["y", "c"], KNOWN), {"Ann"}, "two unknown names are two people"),
        ((["b"], ["b"], KNOWN), {"Ben"}, "the same clip on both sides"),
    ],
    wrong=[
        "You compare names of clips; one person can have several.",
        lambda train, test, _: set(train) & set(test),
        "An unknown name stops you; it is a subject of its own: subjects.get(name, name).",
        lambda train, test, who: {who[name] for name in train} & {who[name] for name in test},
        "All unknown names are one person to you (None); each is a subject of its own.",
        lambda train, test, who: set(map(who.get, train)) & set(map(who.get, test)),
        "Unknown names are left out; the same unknown name on both sides is a leak, too.",
        lambda train, test, who: {who[n] for n in train if n in who} & {who[n] for n in test if n in who},
        "You give everybody who is on either side; asked are those on both: &.",
        lambda train, test, who: people_of(train, who) | people_of(test, who),
        "You give those who learn and are not tested; asked are those on both sides: &.",
        lambda train, test, who: people_of(train, who) - people_of(test, who),
        "You say whether somebody is on both sides, not who.",
        lambda train, test, who: bool(on_both_sides(train, test, who)),
        "You give the names of clips; asked are the people.",
        lambda train, test, who: {n for n in train if who.get(n, n) in people_of(test, who)},
        "You give a list; asked is a set.",
        lambda train, test, who: sorted(on_both_sides(train, test, who)),
    ],
    right=[both_by_loop, both_by_lists],
)

ACROSS = OpenExercise(
    """**Leaks across tasks** (hard). The two parts of the corpus share videos, and the paper divides each
part by itself. Divide both with `split_corpus` (`task="expr"`, sizes 30, 10, 15) and count the people who are
in the training set of one task and in the test set of the other. When is that a leak?
`affkit.corpus.partition.across_tasks` helps you check.
- The partition of the action units is there already; you need one more, of the expressions.
- partition.sets['train'] are names; corpus.subjects says who each is.
- Intersect train of one task with test of the other, both ways. What did a network of both see?

```python
from affkit.corpus.partition import across_tasks

expressions = split_corpus(corpus, [30, 10, 15], task="expr", seed=SEED)
people = {
    (task, subset): {corpus.subjects[name] for name in one.sets[subset]}
    for task, one in (("au", partition), ("expr", expressions))
    for subset in ("train", "test")
}
print("units of people whose expressions were learnt:", people["expr", "train"] & people["au", "test"])
print("expressions of people whose units were learnt:", people["au", "train"] & people["expr", "test"])
```

For two models, one for each task, nothing is wrong. For one network that learns both tasks (IV.B) it is a
leak: it has seen the tested faces, with other labels, while it learned. How they *look* is then no news to
it, and since units and expressions go together, neither is what they felt. The paper does not say whether its
two divisions agree. For multi-task learning divide once, over all people of both parts, and use the same sets
for all tasks: `split_corpus` on the corpus as a whole (`task="va"`, which all clips have), then take from
each set what is labelled."""
)


def class_weights(counts):
    classes = sum(count > 0 for count in counts)
    return [sum(counts) / (classes * count) if count else 0.0 for count in counts]


def weights_by_arrays(counts):
    counts = np.array(counts, float)
    seen = counts > 0
    weights = np.zeros(len(counts))
    weights[seen] = counts.sum() / seen.sum() / counts[seen]
    return weights


def weights_by_loop(counts):
    mean = sum(counts) / len([count for count in counts if count])
    found = []
    for count in counts:
        found.append(0 if count == 0 else mean / count)
    return found


CLASS_WEIGHTS = Exercise(
    class_weights,
    """**Weights against skew** (standard). Write `class_weights`: how many frames each expression has in; a
weight for the frames of each out, so that all expressions weigh the same together and the mean weight over
all frames is 1. An expression without frames gets 0 and does not count as one.
- If all N frames weigh N together, how much does each of K classes weigh? And each of its n frames?
- N / K for a class, N / (K n) for a frame of it.
- K counts only classes that occur; the others get 0, and nothing is divided by 0.

With $N$ frames in $K$ classes that occur, each class should weigh $N / K$, so each of its $n$ frames weighs
$N / (K n)$. scikit-learn calls that "balanced". A mean of 1 keeps the learning rate what it was. Weights do
not add faces: three people who show fear, counted a hundred times, are still three people, and the network
learns who they are.""",
    examples=[
        (([30, 10],), [2 / 3, 2], "each class weighs 20 in all"),
        (([5, 5, 5],), [1, 1, 1], "nothing is skewed"),
        (([60, 30, 10],), [5 / 9, 10 / 9, 10 / 3], "each class weighs 100 / 3"),
        (([8, 0, 2],), [0.625, 0, 2.5], "two classes occur: each weighs 5"),
        (([3, 1],), [2 / 3, 2], "a class of one frame is a class"),
    ],
    wrong=[
        "You weight by frequency; the rare one must weigh more.",
        lambda counts: [n / sum(counts) for n in counts],
        "You do not divide by the number of classes: the mean weight over frames is that number, not 1.",
        lambda counts: [sum(counts) / n if n else 0 for n in counts],
        "Your weights are 1 over the counts: the mean over frames is not 1.",
        lambda counts: [1 / n if n else 0 for n in counts],
        "You compare with the most frequent class; then the mean weight over frames is above 1.",
        lambda counts: [max(counts) / n if n else 0 for n in counts],
        "A class without frames counts as one of yours; it does not occur.",
        lambda counts: [sum(counts) / (len(counts) * n) if n else 0 for n in counts],
        "A class without frames stops you: 0 has no inverse.",
        lambda counts: [sum(counts) / (len(counts) * n) for n in counts],
        "Your weights add up to 1 over classes; asked is a mean of 1 over frames.",
        lambda counts: [(1 / n if n else 0) / sum(1 / other for other in counts if other) for n in counts],
        "You take the root of the weights: half of the skew stays.",
        lambda counts: [weight**0.5 for weight in class_weights(counts)],
        "You give the weight of all frames of a class; asked is that of one frame.",
        lambda counts: [sum(counts) / np.count_nonzero(counts) if n else 0 for n in counts],
    ],
    right=[weights_by_arrays, weights_by_loop],
)


def count_plane(valence, arousal, bins):
    counts = [[0] * bins for _ in range(bins)]
    for v, a in zip(valence, arousal, strict=True):
        if v != -5 and a != -5:
            row, column = (min(int((value + 1) / 2 * bins), bins - 1) for value in (v, a))
            counts[row][column] += 1
    return counts


def plane_by_numpy(valence, arousal, bins):
    known = (np.array(valence) != -5) & (np.array(arousal) != -5)
    where = [np.array(values, float)[known] for values in (valence, arousal)]
    return np.histogram2d(*where, bins=bins, range=[[-1, 1], [-1, 1]])[0]


def plane_by_edges(valence, arousal, bins):
    edges = [-1 + 2 * k / bins for k in range(1, bins)]
    counts = np.zeros((bins, bins), int)
    for v, a in zip(valence, arousal, strict=True):
        if min(v, a) >= -1:
            counts[sum(v >= edge for edge in edges), sum(a >= edge for edge in edges)] += 1
    return counts


def plane_with(place, masked=True, both=True):
    """Counts with another way to find the bin; without a mask what is outside lands in the first bin."""

    def answer(valence, arousal, bins):
        counts = np.zeros((bins, bins))
        for v, a in zip(valence, arousal, strict=True):
            hidden = -5 in (v, a) if both else v == -5
            if not (masked and hidden):
                row, column = place(v, bins), place(a, bins)
                if 0 <= row < bins and 0 <= column < bins:
                    counts[row, column] += 1
        return counts

    return answer


def bin_of(value, bins):
    return min(max(int((value + 1) / 2 * bins), 0), bins - 1)


COUNT_PLANE = Exercise(
    count_plane,
    """**Where in the plane** (hard). Write `count_plane`: lists of valences and arousals, and a number of
bins, in; how many frames are in each square of the plane out (Figures 2 and 4), a list of rows. A row is a
bin of valence from -1 up, a column one of arousal. A bin has its lower edge, the last one also the upper.
Frames with a -5 are not labelled.
- How far is a value on its way from -1 to 1, as a fraction? And in bins?
- int((value + 1) / 2 * bins), but a value of 1 is in the last bin, not behind it.
- np.histogram2d(valence, arousal, bins, range=[[-1, 1], [-1, 1]]) after what is -5 is left out.

From -1 to 1 a value is `(value + 1) / 2` of the way, so it is in bin `int((value + 1) / 2 * bins)`; only the
value 1 would be one too far. `np.histogram2d` does the same when it is told the range: without it, the range
is that of the data, and -5 is in the data. Figures of two corpora with two ranges cannot be compared.""",
    examples=[
        (([-1, 0.5, 0.5], [0.75, -0.5, -0.25], 2), [[0, 1], [2, 0]], "valence chooses the row"),
        (([1, 0], [1, 0], 2), [[0, 0], [0, 2]], "1 is in the last bin, and 0 in the upper half"),
        (([-5, 0.25, -0.75], [-5, 0.25, -5], 2), [[0, 0], [0, 1]], "-5 in either is no label"),
        (
            ([0.9, -0.9, 0], [0.1, 0.9, -0.9], 4),
            [[0, 0, 0, 1], [0] * 4, [1, 0, 0, 0], [0, 0, 1, 0]],
            "four bins of 0.5",
        ),
        (([-5, 0.25], [0.5, 0.25], 2), [[0, 0], [0, 1]], "a valence of -5 is no label, whatever the arousal"),
    ],
    wrong=[
        "Rows and columns have changed places: a row is a bin of valence.",
        lambda v, a, bins: np.transpose(count_plane(v, a, bins)),
        "A value of 1 is lost: the last bin has its upper edge, too.",
        plane_with(lambda value, bins: int((value + 1) / 2 * bins)),
        "Your bins go from 0 to 1: half of the plane is missing. Valence begins at -1.",
        plane_with(lambda value, bins: min(int(value * bins), bins - 1) if value >= 0 else -1),
        "The mask is ignored: -5 is counted in the first bin.",
        plane_with(bin_of, masked=False),
        "You look for -5 in the valence only.",
        plane_with(bin_of, both=False),
        "Your first row is the highest valence; begin with the lowest.",
        lambda v, a, bins: count_plane(v, a, bins)[::-1],
        "These are fractions; asked are counts.",
        lambda v, a, bins: np.array(count_plane(v, a, bins)) / np.sum(count_plane(v, a, bins)),
        "You round to the nearest bin; a bin has its lower edge: round down.",
        plane_with(lambda value, bins: min(round((value + 1) / 2 * bins), bins - 1)),
        "Your range is that of the data, from the smallest to the largest: give range=[[-1, 1], [-1, 1]].",
        lambda v, a, bins: np.histogram2d(
            *np.array([pair for pair in zip(v, a, strict=True) if -5 not in pair]).T, bins=bins
        )[0],
    ],
    right=[plane_by_numpy, plane_by_edges],
)

check = Checks("03", F1_OF_ALWAYS, ON_BOTH_SIDES, ACROSS, CLASS_WEIGHTS, COUNT_PLANE)

"""Exercises of notebook 10: evaluation."""

import numpy as np

from affkit_course.exercises.framework import Checks, Exercise, OpenExercise


def always_scores(counts):
    fraction = max(counts) / sum(counts)
    return fraction, 2 * fraction / (1 + fraction) / len(counts)


def always_by_counting(counts):
    best = int(np.argmax(counts))
    truth = np.repeat(np.arange(len(counts)), counts)
    hits = (truth == best).sum()
    f1 = [2 * hits / (len(truth) + counts[best]) if k == best else 0 for k in range(len(counts))]
    return hits / len(truth), np.mean(f1)


def always_by_precision(counts):
    precision, recall = max(counts) / sum(counts), 1
    f1 = 2 * precision * recall / (precision + recall)
    return [precision, f1 / len(counts)]


def share_of(counts):
    return max(counts) / sum(counts)


def f1_of(counts):
    return 2 * share_of(counts) / (1 + share_of(counts))


ALWAYS_SCORES = Exercise(
    always_scores,
    """**Always the same** (warm-up). Write `always_scores`: how many frames each class has in, accuracy and
macro F1 of "always the most frequent" out.
- What are precision and recall of the one class that is always said? And F1 of one never said?
- Its recall is 1, its precision its fraction p: F1 is 2p / (1 + p). The others have an F1 of 0.
- p = max(counts) / sum(counts); the macro F1 is 2p / (1 + p) divided by the number of classes.

Of the class that is always said, the recall is 1 and the precision is its fraction $p$, so its F1 is $2p / (1
+ p)$. Every other class has an F1 of 0 and is counted in the mean: with seven classes the macro F1 of any
constant answer is at most 1/7. The accuracy is $p$ alone. It tells about the test set, and nothing about
whoever answered.""",
    examples=[
        (([5, 5],), (0.5, 1 / 3), "F1 of the class it says is 2 / 3, of the other 0"),
        (([1, 8, 1],), (0.8, 8 / 27), "divide by all classes, also those never said"),
        (([2, 1, 0, 3],), (0.5, 1 / 6), "a class without frames is a class"),
    ],
    wrong=[
        "The F1 of the class that is said is no macro F1: the others count with 0.",
        lambda counts: (share_of(counts), f1_of(counts)),
        "You give macro F1 and accuracy in the wrong order.",
        lambda counts: always_scores(counts)[::-1],
        "You answer a class at random; asked is always the most frequent one.",
        lambda counts: (1 / len(counts), 1 / len(counts)),
        "The second number is the mean recall, 1 over the number of classes, not the mean F1.",
        lambda counts: (share_of(counts), 1 / len(counts)),
        "The second number is the mean precision; F1 is 2 P R / (P + R) with a recall of 1.",
        lambda counts: (share_of(counts), share_of(counts) / len(counts)),
        "You weight the F1 of each class by its frames; macro counts all classes alike.",
        lambda counts: (share_of(counts), share_of(counts) * f1_of(counts)),
        "Classes without frames are left out of the mean; they are classes, too.",
        lambda counts: (share_of(counts), f1_of(counts) / np.count_nonzero(counts)),
        "You always say the first class, not the most frequent one.",
        lambda counts: (counts[0] / sum(counts), 2 * counts[0] / (sum(counts) + counts[0]) / len(counts)),
        "Only the accuracy is there; asked are two numbers.",
        share_of,
    ],
    right=[always_by_counting, always_by_precision],
)


def best_threshold(probabilities, labels, thresholds):
    def f1(threshold):
        said = [probability >= threshold for probability in probabilities]
        hits = sum(one and label for one, label in zip(said, labels, strict=True))
        return 2 * hits / max(sum(said) + sum(labels), 1)

    return max(sorted(thresholds), key=f1)


def counts_at(probabilities, labels, threshold, above=np.greater_equal):
    """Hits, false alarms, misses and rest of ``probability >= threshold``."""
    said, labels = above(probabilities, threshold), np.asarray(labels, bool)
    return [(a & b).sum() for a, b in ((said, labels), (said, ~labels), (~said, labels), (~said, ~labels))]


def f1_of_counts(hits, alarms, misses, rest=0):
    return 2 * hits / max(2 * hits + alarms + misses, 1)


def f1_at(probabilities, labels, threshold, above=np.greater_equal):
    return f1_of_counts(*counts_at(probabilities, labels, threshold, above))


def threshold_strict(probabilities, labels, thresholds):
    return max(sorted(thresholds), key=lambda limit: f1_at(probabilities, labels, limit, np.greater))


def threshold_by(score, last=False):
    """A :func:`best_threshold` with another score, or with the last of several."""

    def choose(probabilities, labels, thresholds):
        ordered = sorted(thresholds, reverse=last)
        return max(ordered, key=lambda limit: score(*counts_at(probabilities, labels, limit)))

    return choose


def threshold_by_arrays(probabilities, labels, thresholds):
    thresholds = np.sort(thresholds)
    said = np.asarray(probabilities) >= thresholds[:, None]  # (thresholds, frames)
    hits = (said & np.asarray(labels, bool)).sum(axis=1)
    return thresholds[np.argmax(2 * hits / np.maximum(said.sum(axis=1) + sum(labels), 1))]


def threshold_by_loop(probabilities, labels, thresholds):
    best, found = -1, None
    for limit in sorted(thresholds):
        if f1_at(probabilities, labels, limit) > best:
            best, found = f1_at(probabilities, labels, limit), limit
    return found


def threshold_without_zero(probabilities, labels, thresholds):
    def f1(limit):
        hits, alarms, misses, _ = map(int, counts_at(probabilities, labels, limit))
        return 2 * hits / (2 * hits + alarms + misses)

    return max(sorted(thresholds), key=f1)


def safe(top, below):
    return top / below if below else 0


BEST_THRESHOLD = Exercise(
    best_threshold,
    """**A threshold** (standard). Write `best_threshold`: probabilities, labels and thresholds in; the
threshold with the largest F1 out, the lowest of several. A score counts *from* the threshold on.
- For one threshold: which frames does it call active, and what is F1 of that?
- F1 is 2 hits / (frames called active + frames labelled active); 0/0 counts as 0.
- max(sorted(thresholds), key=f1) keeps the lowest of several equals.

`max` keeps the first of several equals, and `sorted` makes that the lowest. The lowest is a choice, not a
law: on a plateau of the validation curve the middle would be less likely to lie at the edge of a cliff on
other people.""",
    examples=[
        (([0.1, 0.4, 0.6], [0, 1, 1], [0.2, 0.5]), 0.2, "at 0.5 one of the two is missed"),
        (([0.1, 0.2], [0, 0], [0.5, 0.0]), 0.0, "all F1 are 0, and 0/0 counts as 0: the lowest threshold"),
        (([0.3, 0.5], [0, 1], [0.3, 0.5, 0.7]), 0.5, "from the threshold on"),
        (([0.2, 0.4, 0.6], [0, 0, 1], [0.1, 0.4, 0.6]), 0.6, "0.6 finds it, and nothing else"),
        (([0.4, 0.2, 0.4, 0.6, 0.8], [0, 0, 0, 1, 1], [0.4, 0.2, 0.3, 0.8]), 0.3, "three have 2/3"),
        (([0.2, 0.4, 0.6, 0.9], [1, 0, 1, 1], [0.1, 0.5, 0.8]), 0.1, "6/7, 4/5 and 1/2"),
        (([0.3, 0.4, 0.5, 0.7], [1, 0, 0, 0], [0.2, 0.8]), 0.2, "2/5, and 0 where it is missed"),
    ],
    wrong=[
        "You compare with >; a score counts from the threshold on: >=.",
        threshold_strict,
        "Of several thresholds with the largest F1 you take the highest.",
        threshold_by(f1_of_counts, last=True),
        "Of several thresholds with the largest F1 you take the first in the list, not the lowest.",
        lambda p, labels, limits: max(limits, key=lambda limit: f1_at(p, labels, limit)),
        "You look for the largest accuracy. For a rare unit that is won by never saying it.",
        threshold_by(lambda hits, alarms, misses, rest: hits + rest),
        "You look for the largest recall: the lowest threshold always has it.",
        threshold_by(lambda hits, alarms, misses, rest: safe(hits, hits + misses)),
        "You look for the largest precision; F1 also counts what is missed.",
        threshold_by(lambda hits, alarms, misses, rest: safe(hits, hits + alarms)),
        "You return the largest F1; asked is the threshold that has it.",
        lambda p, labels, limits: max(f1_at(p, labels, limit) for limit in limits),
        "You return the place of the threshold in the list, not the threshold.",
        lambda p, labels, limits: limits.index(best_threshold(p, labels, limits)),
        "You look for the smallest F1.",
        threshold_by(lambda *counts: -f1_of_counts(*counts)),
        "Where nothing is said and nothing labelled F1 is 0/0; count that as 0.",
        threshold_without_zero,
        "You take the mean F1 of active and not active; asked is that of active.",
        threshold_by(lambda h, a, m, r: f1_of_counts(h, a, m) + f1_of_counts(r, m, a)),
    ],
    right=[threshold_by_arrays, threshold_by_loop],
)


def causal_mean(values, width):
    windows = [values[max(0, i + 1 - width) : i + 1] for i in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def causal_by_sums(values, width):
    sums = np.concatenate([[0], np.cumsum(values)])
    stops = np.arange(1, len(values) + 1)
    starts = np.maximum(stops - width, 0)
    return (sums[stops] - sums[starts]) / (stops - starts)


def causal_by_loop(values, width):
    found = []
    for i in range(len(values)):
        seen = [values[j] for j in range(i + 1) if j > i - width]
        found.append(sum(seen) / len(seen))
    return found


def mean_around(values, before, after, fixed=None):
    """The mean from ``before`` frames before to ``after`` after each; divided by ``fixed`` if given."""
    windows = [values[max(0, i - before) : max(0, i + after + 1)] for i in range(len(values))]
    return [sum(window) / (fixed or max(len(window), 1)) for window in windows]


CAUSAL_MEAN = Exercise(
    causal_mean,
    """**Smooth without the future** (standard). Write `causal_mean`: a list and a width in; the mean of each
value and those before it, as many as there are up to the width, out.
- For value i: which is the last one that the mean may see, and which the first?
- From max(0, i + 1 - width) up to i, i included.
- Take the slice values[max(0, i + 1 - width) : i + 1], and divide its sum by its length.

A smile that begins at frame 100 has reached half its height in a causal mean of 31 frames at frame 115:
the mean is late by half of what it looks back. A centred mean is not late, and needs 15 frames of the
future.""",
    examples=[
        (([0, 0, 3, 0], 2), [0, 0, 1.5, 1.5], "the value itself is the last one"),
        (([2, 4], 5), [2, 3], "as many as there are"),
        (([3, 0, 6, 9, 0], 3), [3, 1.5, 3, 5, 5], "three values, and fewer at the start"),
    ],
    wrong=[
        "Your mean is centred: it looks into the future.",
        lambda values, width: mean_around(values, width // 2, (width - 1) // 2),
        "Your mean looks ahead, not back.",
        lambda values, width: mean_around(values, 0, width - 1),
        "You divide by the width also at the start, where fewer values are there.",
        lambda values, width: mean_around(values, width - 1, 0, fixed=width),
        "Your window is one value too long: width values before it, and the value itself.",
        lambda values, width: mean_around(values, width, 0),
        "The value itself is missing: you take those before it only.",
        lambda values, width: mean_around(values, width, -1),
        "The start is missing: you give values only where the window is full.",
        lambda values, width: causal_mean(values, width)[width - 1 :],
        "You average all values so far; only the last few, up to the width, count.",
        lambda values, width: causal_mean(values, len(values)),
        "This is the sum over the window, not its mean.",
        lambda values, width: mean_around(values, width - 1, 0, fixed=1),
        "This is the median of the window, not its mean.",
        lambda values, width: [np.median(values[max(0, i + 1 - width) : i + 1]) for i in range(len(values))],
    ],
    right=[causal_by_sums, causal_by_loop],
)


def worth(frames, width_by_frames, width_by_people):
    return frames * (width_by_frames / width_by_people) ** 2


WORTH = Exercise(
    worth,
    """**What frames are worth** (standard). Write `worth`: the number of frames, the width of an interval by
frames, and of that by people in; how many *independent* frames these frames are worth out. The width falls
with one over the square root of their number.
- By which factor would the interval widen if there were a fourth of the frames?
- width_by_people / width_by_frames is the square root of frames / independent frames.
- frames times the square of width_by_frames / width_by_people.

Four times as wide means sixteen times fewer answers. Put the numbers of section 6 in, and look how few are
left. The ratio is called the design effect (Kish 1965), and it is why ten more people help more than ten more
minutes of those one has.""",
    examples=[
        ((1000, 0.1, 0.1), 1000, "equal widths"),
        ((8000, 0.05, 0.2), 500, "four times as wide"),
        ((900, 0.02, 0.06), 100, "three times as wide"),
    ],
    wrong=[
        "The ratio is not squared: an interval twice as wide stands for a fourth of the frames.",
        lambda n, by_frames, by_people: n * by_frames / by_people,
        "You take the square root of the ratio; square it.",
        lambda n, by_frames, by_people: n * (by_frames / by_people) ** 0.5,
        "The ratio is upside down: people make the interval wider, so fewer frames are left.",
        lambda n, by_frames, by_people: n * (by_people / by_frames) ** 2,
        "The ratio is upside down, and not squared.",
        lambda n, by_frames, by_people: n * by_people / by_frames,
        "This is the design effect; asked is how many frames are left, the frames divided by it.",
        lambda n, by_frames, by_people: (by_people / by_frames) ** 2,
        "The number of frames is missing: this is their fraction.",
        lambda n, by_frames, by_people: (by_frames / by_people) ** 2,
        "You take the root of the number of frames, too.",
        lambda n, by_frames, by_people: n**0.5 * (by_frames / by_people) ** 2,
    ],
    right=[
        lambda n, by_frames, by_people: n / (by_people / by_frames) ** 2,
        lambda n, by_frames, by_people: (np.sqrt(n) * by_frames / by_people) ** 2,
    ],
)

BONUS = OpenExercise(
    """**The bonus, fifty times** (hard). How large is the bonus of section 5? Divide the test people into
halves at random, fifty times; choose the thresholds on one half, and score them on this half and on the other
one.
- Divide people, not frames: the frames of one person belong to one half.
- For each division: lesson.unit_f1_curves of one half gives the best threshold of each unit.
- lesson.unit_f1 with these thresholds on both halves; look at the mean of the fifty differences.

```python
rng = np.random.default_rng(0)
people = test.loc[test["label_AU12"].notna(), "subject"].unique()  # those with labelled units
rows = []
for _ in range(50):
    here = test["subject"].isin(rng.permutation(people)[: len(people) // 2])
    there = ~here & test["subject"].isin(people)
    best = lesson.unit_f1_curves(test[here], thresholds).idxmax()
    rows.append([lesson.unit_f1(test[half], best).mean() for half in (here, there)])
table = pd.DataFrame(rows, columns=["same half", "other half"])
table.mean(), (table["same half"] - table["other half"]).quantile([0.1, 0.5, 0.9])
```

On the half that chose, the thresholds look better than they are. Two things are mixed in the difference of a
single division: the bonus, and that one half has easier people than the other. The second has no preferred
sign and cancels over fifty divisions; the mean difference is the bonus. With fewer people in a half it grows,
as everything does that is learned from few.

Then let the machine cheat harder: also choose the width of a moving mean for each unit. The bonus grows with
everything that is tried."""
)

check = Checks("10", ALWAYS_SCORES, BEST_THRESHOLD, CAUSAL_MEAN, WORTH, BONUS)

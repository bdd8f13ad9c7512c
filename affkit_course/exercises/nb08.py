"""Exercises of notebook 08: what the discriminator learned."""

import statistics

import numpy as np

from affkit_course.exercises.framework import Checks, Exercise, OpenExercise


def verdict(low, high):
    return "holds" if low > 0 else "does not hold" if high < 0 else "not decided"


def verdict_by_sign(low, high):
    signs = np.sign([low, high])
    return {2: "holds", -2: "does not hold"}.get(int(signs.sum()), "not decided")


def verdict_by_cases(low, high):
    if low <= 0 <= high:
        return "not decided"
    return "holds" if high > 0 else "does not hold"


VERDICT = Exercise(
    verdict,
    """**The verdict** (warm-up). Write `verdict`: the ends of an interval of a difference in, `"holds"`,
`"does not hold"` or `"not decided"` out.
- The claim says that the difference is above 0. What does an interval say that contains 0?
- Three cases: all of it above 0, all of it below 0, and 0 inside.
- "holds" if low > 0, "does not hold" if high < 0, else "not decided"

Note what is *not* in it: how large the difference is. An interval from 0.0001 to 0.0002 decides a claim that
nobody needs; one from -0.01 to 0.3 leaves open one that would matter. Report the interval, not only the
verdict.

Five claims are held against the same runs. Each is decided by chance in one case of twenty if there is
nothing to it, so among many claims a few chance decisions are to be expected. Whoever tests twenty of them
should ask for more than 95%.""",
    examples=[
        ((0.01, 0.05), "holds", "the whole interval is above 0"),
        ((-0.05, -0.01), "does not hold", "the whole interval is below 0"),
        ((-0.01, 0.05), "not decided", "0 is inside"),
        ((-0.05, 0.01), "not decided", "0 is inside"),
        ((-np.inf, np.inf), "not decided", "one seed has no standard deviation"),
        ((0.0, 0.02), "not decided", "0 is an end of it, so 0 is inside"),
        ((-0.02, 0.0), "not decided", "so is the other end"),
    ],
    wrong=[
        "You look at the middle of the interval; an interval with 0 inside decides nothing.",
        lambda low, high: "holds" if (low + high) / 2 > 0 else "does not hold",
        "You never say that it is not decided.",
        lambda low, high: "holds" if low > 0 else "does not hold",
        "You never say that it does not hold: an interval below 0 decides, too.",
        lambda low, high: "holds" if low > 0 else "not decided",
        "The sign is wrong: above 0 the claim holds.",
        lambda low, high: verdict(-high, -low),
        "The upper end is no proof: all of the interval must be above 0.",
        lambda low, high: "holds" if high > 0 else "does not hold",
        "0 as an end is inside, and not decided.",
        lambda low, high: "holds" if low >= 0 else "does not hold" if high <= 0 else "not decided",
        "You ask how large the difference is; the rule asks only on which side of 0 it is.",
        lambda low, high: "holds" if low >= 0.02 else "does not hold" if high <= -0.02 else "not decided",
        "You say True or False; there are three answers, in words.",
        lambda low, high: low > 0,
        "Holds and not decided have changed places.",
        lambda a, b: {"holds": "not decided", "not decided": "holds"}.get(verdict(a, b), "does not hold"),
    ],
    right=[verdict_by_sign, verdict_by_cases],
)


def times(labelled, unlabelled):
    return max(1, round(unlabelled / labelled))


def times_by_trying(labelled, unlabelled):
    return min(range(1, unlabelled + 2), key=lambda k: abs(k * labelled - unlabelled))


TIMES = Exercise(
    times,
    """**How often to repeat** (standard). Write `times`: how many faces have labels and how many have none
in; how often the labelled ones are repeated so that they are about half, to the nearest whole number and at
least once, out.
- With 100 labelled faces and 900 others: how many copies of the 100 are as many as 900?
- unlabelled / labelled, rounded to the nearest whole number.
- max(1, round(unlabelled / labelled))

Repeating the labelled faces does not make more of them: a network that sees the same 20 faces in every batch
memorizes them. It only keeps the gradient of their losses from being lost in batches that hold one or two.
The price is that the other half of each batch has no labels, so a step teaches less about valence than a step
on labelled faces alone.""",
    examples=[
        ((100, 900), 9, "9 times 100 are as many as 900"),
        ((100, 0), 1, "without others they are not repeated, but they are there"),
        ((100, 30), 1, "they are the majority already"),
        ((30, 100), 3, "3.33, rounded"),
        ((30, 110), 4, "3.67, rounded"),
    ],
    wrong=[
        "You count all faces: 100 labelled and 900 others need 9 copies, not 10.",
        lambda labelled, unlabelled: max(1, round((labelled + unlabelled) / labelled)),
        "Without others you leave out the labelled ones: at least once.",
        lambda labelled, unlabelled: round(unlabelled / labelled),
        "The ratio is upside down.",
        lambda labelled, unlabelled: max(1, round(labelled / unlabelled)) if unlabelled else 1,
        "You give a fraction; faces are repeated a whole number of times.",
        lambda labelled, unlabelled: max(1, unlabelled / labelled),
        "You round down; take the nearest whole number.",
        lambda labelled, unlabelled: max(1, unlabelled // labelled),
        "You round up; take the nearest whole number.",
        lambda labelled, unlabelled: max(1, -(-unlabelled // labelled)),
        "You make them half of the unlabelled ones, a third of all.",
        lambda labelled, unlabelled: max(1, round(unlabelled / labelled / 2)),
        "You give the number of faces after repeating; asked is how often.",
        lambda labelled, unlabelled: labelled * times(labelled, unlabelled),
        "You do not count the faces themselves: repeated once means that they are there once.",
        lambda labelled, unlabelled: times(labelled, unlabelled) - 1,
    ],
    right=[
        times_by_trying,
        lambda labelled, unlabelled: max((2 * unlabelled + labelled) // (2 * labelled), 1),
    ],
)

FEW_PEOPLE = OpenExercise(
    """**Labels of few people** (hard). Run the semi-supervised experiment with `by="subject"` into another
folder. Is a tenth of the labels worth as much when it comes from few people? Use what you know from section 9
of notebook 03.
- How many people are a tenth of 38 clips?
- A GanPlan with another out, and semi.semi_supervised(plan, POOL, [0.1], by="subject").
- Compare share_0.1_without of both seed by seed, and take the interval of the differences.

```python
plan = GanPlan(
    OUT / "store", OUT / "partition.json", OUT / "by_subject", SEEDS, STEPS, width=WIDTH, jobs=JOBS
)
whole = semi.semi_supervised(plan, POOL, [0.1], by="subject", progress=False)
semi.printed(whole)
```

A tenth of the faces of 38 clips is four people. Notebook 03 showed that the same number of frames from more
people is worth more; here the same number of *labels* is. Compare `share_0.1_without` of both experiments
seed by seed, with `affkit.evaluation.intervals.interval` of the differences, before you say so. In the small
profile expect "not decided"."""
)


def interval(differences, t):
    n = len(differences)
    if n < 2:
        return -np.inf, np.inf
    mean = sum(differences) / n
    deviation = (sum((one - mean) ** 2 for one in differences) / (n - 1)) ** 0.5
    return mean - t * deviation / n**0.5, mean + t * deviation / n**0.5


def interval_by_numpy(differences, t):
    if len(differences) == 1:
        return -float("inf"), float("inf")
    half = t * np.std(differences, ddof=1) / np.sqrt(len(differences))
    return np.mean(differences) + np.array([-half, half])


def interval_by_statistics(differences, t):
    if len(differences) == 1:
        return [-np.inf, np.inf]
    center, error = statistics.fmean(differences), statistics.variance(differences) / len(differences)
    return [center - t * error**0.5, center + t * error**0.5]


def interval_with(half, center=np.mean):
    """An interval of another half width, a function of the differences and t; infinite for one of them."""

    def answer(differences, t):
        if len(differences) < 2:
            return -np.inf, np.inf
        return center(differences) - half(differences, t), center(differences) + half(differences, t)

    return answer


def standard_error(differences):
    return np.std(differences, ddof=1) / len(differences) ** 0.5


INTERVAL = Exercise(
    interval,
    r"""**Seed by seed** (standard). Write `interval`: the differences of two rows, one a seed, and the value
of Student's t for the confidence asked, in; the lower and the upper end of the interval of their mean out.
One seed says nothing: from minus to plus `np.inf`.
- By how much does a mean of n numbers vary, when each varies by s?
- s / sqrt(n), and s divides the squares by n - 1, since the mean is estimated, too.
- mean - t * s / sqrt(n) and mean + t * s / sqrt(n), with np.std(differences, ddof=1).

The mean of $n$ differences varies by $s / \sqrt{n}$ from one set of seeds to the next, and $s$ is estimated
from the same differences, which costs one: $n - 1$. With two seeds t is 12.7 for 95%, so two seeds decide
only what is glaring; with five it is 2.8. The notebook takes differences *within* a seed, since both rows of
one seed share the luck of the draw; the interval of two separate means would be wider.
`affkit.evaluation.intervals.interval` looks up t itself.""",
    examples=[
        (([0.0, 0.2], 12.7), (-1.17, 1.37), "mean 0.1, s / sqrt(2) is 0.1"),
        (([1.0, 3.0, 5.0, 7.0], 3.0), (4 - 15**0.5, 4 + 15**0.5), "s^2 is 20 / 3, the error sqrt(5 / 3)"),
        (([-0.3, -0.3, -0.3], 4.3), (-0.3, -0.3), "no variance: the interval is a point"),
        (([0.5], 12.7), (-np.inf, np.inf), "one seed has no standard deviation"),
        (([1.0, 1.0, 4.0], 2.0), (2 - 2, 2 + 2), "mean 2, s^2 is 3, the error 1"),
    ],
    wrong=[
        "Your variance divides by n; the mean is estimated from the same numbers: n - 1.",
        interval_with(lambda d, t: t * np.std(d) / len(d) ** 0.5),
        "You forget the root of n: a mean of many varies less than one difference.",
        interval_with(lambda d, t: t * np.std(d, ddof=1)),
        "You divide by n, not by its root.",
        interval_with(lambda d, t: t * np.std(d, ddof=1) / len(d)),
        "You take the variance, not its root.",
        interval_with(lambda d, t: t * np.var(d, ddof=1) / len(d) ** 0.5),
        "t is left out: this is one standard error.",
        interval_with(lambda d, t: standard_error(d)),
        "You take 1.96 whatever t is; few seeds need more.",
        interval_with(lambda d, t: 1.96 * standard_error(d)),
        "The upper end comes second.",
        lambda d, t: interval(d, t)[::-1],
        "The middle is the mean, not the median.",
        interval_with(lambda d, t: t * standard_error(d), center=np.median),
        "This is the smallest and the largest difference; they lie ever further apart with more seeds.",
        interval_with(lambda d, t: np.ptp(d) / 2, center=lambda d: (min(d) + max(d)) / 2),
        "One seed has no variance that you could know: from minus to plus infinity, not a point.",
        lambda d, t: interval(d, t) if len(d) > 1 else (d[0], d[0]),
        "One seed has no variance: n - 1 is 0, and you get NaN.",
        lambda d, t: interval(d, t) if len(d) > 1 else (np.nan, np.nan),
        "One seed has no variance: n - 1 is 0, and you divide by it.",
        lambda d, t: interval(d, t) if len(d) > 1 else 1 / (len(d) - 1),
    ],
    right=[interval_by_numpy, interval_by_statistics],
)


def unit_f1(labels, said):
    pairs = [(label, one) for label, one in zip(labels, said, strict=True) if label is not None]
    hits = sum(label and one for label, one in pairs)
    below = sum(label + one for label, one in pairs)
    return 2 * hits / below if below else 0.0


def f1_by_counts(labels, said):
    hits = alarms = misses = 0
    for label, one in zip(labels, said, strict=True):
        if label is not None:
            hits += label * one
            alarms += one > label
            misses += label > one
    return hits / (hits + (alarms + misses) / 2) if hits else 0


def f1_by_arrays(labels, said):
    known = np.array([label is not None for label in labels])
    truth, said = np.array(labels)[known].astype(bool), np.array(said)[known].astype(bool)
    return 2 * (truth & said).sum() / max(truth.sum() + said.sum(), 1)


def f1_with(score, unlabelled=None):
    """Another score of hits, false alarms, misses and rest; an unlabelled frame is left out, or a label."""

    def answer(labels, said):
        labels = [unlabelled if label is None else label for label in labels]
        pairs = [pair for pair in zip(labels, said, strict=True) if pair[0] is not None]
        return score(*(pairs.count(kind) for kind in ((1, 1), (0, 1), (1, 0), (0, 0))))

    return answer


def f1_of(hits, alarms, misses, rest=0):
    return 2 * hits / max(2 * hits + alarms + misses, 1)


UNIT_F1 = Exercise(
    unit_f1,
    """**F1 with a mask** (hard). Write `unit_f1`: the labels of one action unit, 0, 1 or `None` where a frame
is not labelled, and what a network says, 0 or 1, in; F1 of the active frames out, over labelled frames only.
0/0 counts as 0.
- Which frames count? Of these: hits, false alarms, misses.
- F1 = 2 hits / (2 hits + false alarms + misses).
- Below the line: labelled active plus called active, over labelled frames; 0 where that is 0.

F1 is $2 h / (2 h + a + m)$ of hits, false alarms and misses; frames that both call inactive are not in it.
That is why it suits a rare unit, and why it changes when "active" and "inactive" change names. A mask that is
taken for 0 makes a false alarm of every active answer without a label: the network is blamed for faces that
nobody looked at.""",
    examples=[
        (([1, 1, 0, 0], [1, 0, 1, 0]), 0.5, "one hit, one miss, one false alarm"),
        (([1, None, 0, None], [1, 1, 0, 0]), 1.0, "a frame without a label is neither right nor wrong"),
        (([0, 0, None], [0, 0, 1]), 0.0, "nothing active, nothing said: 0/0 counts as 0"),
        (([1, 1, 1, 0, None, 0, 0], [1, 0, 0, 0, 1, 0, 0]), 0.5, "precision 1, recall 1/3"),
        (([1, 0, 0, 0, 0], [1, 1, 1, 1, 0]), 0.4, "precision 1/4, recall 1"),
        (([1, 1, 1, 0], [1, 1, 0, 0]), 0.8, "two hits, one miss: 4 / 5"),
    ],
    wrong=[
        "A mask is no 0: you count answers without a label as false alarms.",
        f1_with(f1_of, unlabelled=0),
        "A mask is no 1: you count frames without a label as active.",
        f1_with(f1_of, unlabelled=1),
        "This is the accuracy; for a rare unit never saying it would do.",
        f1_with(lambda h, a, m, r: (h + r) / max(h + a + m + r, 1)),
        "This is the precision; what is missed counts, too.",
        f1_with(lambda h, a, m, r: h / max(h + a, 1)),
        "This is the recall; false alarms count, too.",
        f1_with(lambda h, a, m, r: h / max(h + m, 1)),
        "You average precision and recall; F1 is the harmonic mean.",
        f1_with(lambda h, a, m, r: (h / max(h + a, 1) + h / max(h + m, 1)) / 2),
        "This is hits over hits, alarms and misses (Jaccard); in F1 hits count twice.",
        f1_with(lambda h, a, m, r: h / max(h + a + m, 1)),
        "This is the macro F1 of active and inactive; asked is that of active.",
        f1_with(lambda h, a, m, r: (f1_of(h, a, m) + f1_of(r, m, a)) / 2),
        "This is F1 of the inactive frames.",
        f1_with(lambda h, a, m, r: f1_of(r, m, a)),
        "0/0 counts as 0 here: you divide by it.",
        f1_with(lambda h, a, m, r: 2 * h / (2 * h + a + m)),
        "0/0 counts as 0 here, not as 1.",
        f1_with(lambda h, a, m, r: f1_of(h, a, m) if h + a + m else 1.0),
    ],
    right=[f1_by_counts, f1_by_arrays],
)

check = Checks("08", VERDICT, TIMES, FEW_PEOPLE, INTERVAL, UNIT_F1)

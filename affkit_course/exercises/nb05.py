"""Exercises of notebook 05: the losses by hand."""

import numpy as np

from affkit_course.exercises.framework import Checks, Exercise


def cross_entropy(probability, label):
    return -(label * np.log(probability) + (1 - label) * np.log(1 - probability))


CROSS_ENTROPY = Exercise(
    cross_entropy,
    r"""**Cross entropy** (warm-up). Write `cross_entropy`: a probability and a label in [0, 1] in, the loss
out.
- What should it cost to give the right answer a probability of 1? And of nearly 0?
- Two terms: one for what the label says yes to, one for what it says no to.
- -(label * log p + (1 - label) * log(1 - p)), with the natural logarithm.

With a smoothed label both terms count. The least that a label of 0.9 can cost is not 0 but $-(0.9 \log 0.9 +
0.1 \log 0.1) = 0.325$, at a probability of exactly 0.9. A loss of the fake class near 0.325 is therefore a
discriminator that could not do better.""",
    examples=[
        ((0.5, 1), 0.6931471805599453, "minus the logarithm of what the right answer was given"),
        ((0.2, 0), 0.2231435513142097, "for label 0, log(1 - p)"),
        ((0.9, 0.9), 0.3250829733914482, "both terms count when the label is between 0 and 1"),
        ((0.25, 1), 1.3862943611198906, "minus log 0.25"),
    ],
    wrong=[
        "The term of the label 0 is missing: 1 - label times log(1 - p).",
        lambda p, label: -label * np.log(p),
        "The sign is wrong: a loss grows with the mistake, so put a minus in front.",
        lambda p, label: label * np.log(p) + (1 - label) * np.log(1 - p),
        "This is the logarithm to base 2; the losses of the paper take the natural one.",
        lambda p, label: -(label * np.log2(p) + (1 - label) * np.log2(1 - p)),
        "Probability and label have changed places: take the log of the probability.",
        lambda p, label: -(p * np.log(label) + (1 - p) * np.log(1 - label)),
        "You round the label to 0 or 1. A smoothed label of 0.9 weighs both terms.",
        lambda p, label: -np.log(p if label >= 0.5 else 1 - p),
        "This is the squared error, not the cross entropy.",
        lambda p, label: (p - label) ** 2,
        "Both terms have log p: what says no was given 1 - p.",
        lambda p, label: -(label * np.log(p) + (1 - label) * np.log(p)),
    ],
    right=[
        lambda p, label: -label * np.log(p) - (1 - label) * np.log1p(-p),
        lambda p, label: -sum(w * np.log(q) for w, q in ((label, p), (1 - label, 1 - p)) if w),
    ],
)


def ccc(x, y):
    x, y = np.asarray(x, float), np.asarray(y, float)
    if np.ptp(x) == 0 or np.ptp(y) == 0:  # a constant: no covariance with anything
        return 0.0
    s_xy = ((x - x.mean()) * (y - y.mean())).mean()
    return 2 * s_xy / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


def ccc_of_moments(x, y, s_xy, s_x, s_y, gap=None):
    """Eq. 5 with other moments in it, 0 for a constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return 2 * s_xy / (s_x + s_y + ((np.mean(x) - np.mean(y)) ** 2 if gap is None else gap))


def ccc_by_loops(x, y):
    n = len(x)
    mean_x, mean_y = sum(x) / n, sum(y) / n
    if len(set(x)) == 1 or len(set(y)) == 1:
        return 0
    top = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    variances = sum((a - mean_x) ** 2 for a in x) + sum((b - mean_y) ** 2 for b in y)
    return 2 * top / (variances + n * (mean_x - mean_y) ** 2)


def ccc_by_cov(x, y):
    (s_x, s_xy), (_, s_y) = np.cov(x, y, ddof=0)
    return ccc_of_moments(x, y, s_xy, s_x, s_y)


def ccc_if_denominator(x, y):
    x, y = np.asarray(x, float), np.asarray(y, float)
    s_xy = ((x - x.mean()) * (y - y.mean())).mean()
    below = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    return 2 * s_xy / below if below else 0.0


def cov(x, y, ddof=0):
    return np.cov(x, y, ddof=ddof)[0, 1]


CCC = Exercise(
    ccc,
    """**Concordance** (standard). Write `ccc` for two lists (Eq. 5), with 0 where one of them is constant.
Mind 0.1.
- Five moments are enough: two means, two variances, one covariance, all taken in the same way.
- 2 s_xy / (s_x^2 + s_y^2 + (mean x - mean y)^2), and the moments divide by n.
- Ask whether largest and smallest value are equal (np.ptp) before you divide; 0/0 hides as 2e-34.

Asking whether the denominator is 0 is not enough. The mean of seven times 0.1 is 0.09999999999999999, so the
variance is not 0 but 2e-34, and the formula divides one rounding error by another. The answer is 1: a perfect
score for knowing nothing. `affkit.losses.ccc` subtracts one of the values before it takes the mean; what is
left of a constant is exactly 0.""",
    examples=[
        (([-1, 0, 1], [0, 1, 2]), 4 / 7, "divide the moments by n, and square the gap of the means"),
        (([1, 2], [2, 1]), -1, "s_xy can be negative"),
        (([0, 0, 4, 4], [0, 2, 6, 8]), 2 / 3, "s_x^2 is 4, s_y^2 is 10, s_xy is 6, the gap is 2"),
        (([0, 1, 2, 3], [5, 5, 5, 5]), 0, "a constant is no answer at all"),
        (([0.1] * 7, [0.1] * 7), 0, "0/0, rounded"),
    ],
    wrong=[
        "You divide by n - 1 for the variances and by n for the covariance; take n for all.",
        lambda x, y: ccc_of_moments(x, y, cov(x, y), np.var(x, ddof=1), np.var(y, ddof=1)),
        "You divide by n - 1 for the covariance (np.cov) and by n for the variances (np.var).",
        lambda x, y: ccc_of_moments(x, y, cov(x, y, 1), np.var(x), np.var(y)),
        "Your moments divide by n - 1; here they divide by n, else the gap of the means counts too little.",
        lambda x, y: ccc_of_moments(x, y, cov(x, y, 1), np.var(x, ddof=1), np.var(y, ddof=1)),
        "You divide by the standard deviations, not the variances: square s_x and s_y.",
        lambda x, y: ccc_of_moments(x, y, cov(x, y), np.std(x), np.std(y)),
        "The gap of the means is not squared.",
        lambda x, y: ccc_of_moments(x, y, cov(x, y), np.var(x), np.var(y), abs(np.mean(x) - np.mean(y))),
        "The gap of the means is missing: an answer that is always 1 too high would get a perfect score.",
        lambda x, y: ccc_of_moments(x, y, cov(x, y), np.var(x), np.var(y), 0),
        "This is Pearson's correlation, which forgives a wrong scale and a wrong mean.",
        lambda x, y: 0.0 if np.ptp(x) == 0 or np.ptp(y) == 0 else np.corrcoef(x, y)[0, 1],
        "The factor 2 is missing: a list with itself must give 1.",
        lambda x, y: ccc(x, y) / 2,
        "You return the loss 1 - CCC; asked is the CCC.",
        lambda x, y: 1 - ccc(x, y),
        "You ask whether a variance is exactly 0. That of seven times 0.1 is 2e-34: compare the extremes.",
        ccc_if_denominator,
        "You drop the sign: ratings that go against the labels have a CCC below 0.",
        lambda x, y: abs(ccc(x, y)),
    ],
    right=[ccc_by_loops, ccc_by_cov],
)


def masked_mse(predicted, target, labelled):
    predicted, target, labelled = np.asarray(predicted), np.asarray(target), np.asarray(labelled)
    if not labelled.any():
        return 0.0
    return ((predicted[labelled] - target[labelled]) ** 2).mean()


def squares(predicted, target, labelled):
    """The squared errors of the labelled frames."""
    frames = zip(predicted, target, labelled, strict=True)
    return [(p - t) ** 2 for p, t, one in frames if one]


def mse_by_loop(predicted, target, labelled):
    total, count = 0.0, 0
    for i, one in enumerate(labelled):
        if one:
            total += (predicted[i] - target[i]) ** 2
            count += 1
    return total / count if count else 0


def mse_by_where(predicted, target, labelled):
    error = np.where(labelled, np.subtract(predicted, target), 0)
    return (error**2).sum() / max(np.sum(labelled), 1)


MASKED_MSE = Exercise(
    masked_mse,
    """**A loss with a mask** (standard). Write `masked_mse`: predictions, targets and booleans in, the MSE
out; 0 without any label.
- What is 0 times NaN? And how many frames does the mean go over?
- Choose the labelled frames first, then subtract, square and average what is left.
- predicted[labelled] - target[labelled] with arrays; and ask labelled.any() before the mean.

Choosing comes before computing. `(error * labelled).mean()` is wrong twice: NaN times 0 is NaN, and it
divides by all frames. A batch with half as many labels would teach half as much, which nobody asked for.""",
    examples=[
        (
            ([1.0, 2.0, 3.0], [0.0, float("nan"), 3.0], [True, False, True]),
            0.5,
            "divide by two, not by three",
        ),
        (([2.0, 5.0], [0.0, 1.0], [True, True]), 10.0, "(4 + 16) / 2"),
        (([3.0, 1.0, 1.0], [0.0, 7.0, 7.0], [True, False, False]), 9.0, "only the first one is labelled"),
        (([1.0], [np.nan], [False]), 0, "nothing labelled costs nothing"),
    ],
    wrong=[
        "The mask is ignored: frames without a label count, and NaN is in there.",
        lambda p, t, m: np.mean(np.subtract(p, t) ** 2),
        "You multiply the error by the mask: NaN times 0 is NaN. Choose, then compute.",
        lambda p, t, m: np.sum(np.subtract(p, t) ** 2 * m) / max(sum(m), 1),
        "You divide by all frames, not by the labelled ones.",
        lambda p, t, m: sum(squares(p, t, m)) / len(m),
        "This is the sum of the squares, not their mean.",
        lambda p, t, m: sum(squares(p, t, m)),
        "This is the root of the mean: an RMSE.",
        lambda p, t, m: np.sqrt(mse_by_loop(p, t, m)),
        "The mask is the wrong way round: you average over what is not labelled.",
        lambda p, t, m: mse_by_loop(p, t, np.logical_not(m)),
        "Without any label you give NaN, the mean of nothing; asked is 0.",
        lambda p, t, m: np.mean(squares(p, t, m)),
        "Without any label you divide by 0; asked is 0.",
        lambda p, t, m: sum(squares(p, t, m)) / sum(m),
        "You drop what is NaN instead of what is masked: a number can be no label, too.",
        lambda p, t, m: mse_by_loop(p, t, ~np.isnan(t)),
        "This is the mean absolute error; square first.",
        lambda p, t, m: mse_by_loop(np.sqrt(np.abs(np.where(m, np.subtract(p, t), 0))), np.zeros(len(m)), m),
    ],
    right=[mse_by_loop, mse_by_where],
)


def mean_ccc(predicted, label, size):
    parts = [slice(i, i + size) for i in range(0, len(label), size)]
    return np.mean([ccc(predicted[part], label[part]) for part in parts])


def mean_ccc_by_loop(predicted, label, size):
    found, start = [], 0
    while start < len(label):
        found.append(ccc_by_loops(list(predicted[start : start + size]), list(label[start : start + size])))
        start += size
    return sum(found) / len(found)


def mean_ccc_by_split(predicted, label, size):
    cuts = np.arange(size, len(label), size)
    parts = zip(np.split(np.array(predicted), cuts), np.split(np.array(label), cuts), strict=True)
    return np.mean([ccc(*part) for part in parts])


def mean_ccc_weighted(predicted, label, size):
    parts = [slice(i, i + size) for i in range(0, len(label), size)]
    return sum(ccc(predicted[part], label[part]) * len(label[part]) for part in parts) / len(label)


MEAN_CCC = Exercise(
    mean_ccc,
    """**Batches** (hard). The CCC of a batch is not that of the corpus. Write `mean_ccc`: predictions, labels
and the size of a batch in, the plain mean of the CCC over the batches out; the last one may be shorter. Use
your `ccc`. Then draw 8,000 labels as in section 2, and cut them into batches of 4, 8, 64 and 800. In which
direction is it off, and which term of Eq. 5 does it?
- Batches follow each other: the first has the frames 0 to size - 1, the second starts at size.
- range(0, len(label), size) gives the starts; take the same slice of both lists.
- np.mean of ccc(predicted[i : i + size], label[i : i + size]) over these starts.

```python
for seed in range(5):
    rng = np.random.default_rng(seed)
    signal, unknown = rng.normal(size=(2, 8000)) * [[0.3**0.5], [0.7**0.5]]
    predicted, label = signal / 0.3**0.5, signal + unknown
    print([round(mean_ccc(predicted, label, size), 2) for size in (4, 8, 64, 800, 8000)])
```

The mean over small batches is lower. In a few frames the two means differ by chance, and that gap is in the
denominator. So the loss of Eq. 4 depends on the batch, unlike an MSE: 64 faces of the GAN (IV.C.1) and 800
frames of the multi-task network (IV.C.2) do not have the same one. And frames of one video resemble each
other: a batch from one person can have nearly constant labels, and then it teaches next to nothing. For a
score, gather all frames first: `affkit.metrics.StreamingCCC`.""",
    examples=[
        (([0, 1, 0, 1], [0, 1, 1, 0], 2), 0.0, "one batch agrees, 1, and one disagrees, -1"),
        (([0, 2, 4, 6], [1, 3, 4, 6], 2), 5 / 6, "2/3 and 1; a batch is two frames that follow each other"),
        (
            ([0, 1, 5, 0, 1, 3], [0, 1, 5, 0, 3, 1], 4),
            0.0,
            "the last batch has two frames and counts as much",
        ),
        (([0, 1, 2], [1, 2, 3], 3), 4 / 7, "one batch of all: the CCC itself"),
    ],
    wrong=[
        "This is the CCC of all frames: the batches make no difference.",
        lambda p, t, size: ccc(p, t),
        "The last batch is left out when it is shorter.",
        lambda p, t, s: np.mean([ccc(p[i : i + s], t[i : i + s]) for i in range(0, len(t) - s + 1, s)]),
        "Your batches overlap: the start moves by 1, not by the size.",
        lambda p, t, size: np.mean([ccc(p[i : i + size], t[i : i + size]) for i in range(len(t) - size + 1)]),
        "You take every n-th frame; a batch is frames that follow each other.",
        lambda p, t, size: np.mean(
            [
                ccc(p[i :: max(len(t) // size, 1)], t[i :: max(len(t) // size, 1)])
                for i in range(len(t) // size)
            ]
        ),
        "You sum over the batches; asked is the mean.",
        lambda p, t, size: mean_ccc(p, t, size) * -(-len(t) // size),
        "You weight each batch by its frames; asked is the plain mean.",
        mean_ccc_weighted,
        "Only the first batch is looked at.",
        lambda p, t, size: ccc(p[:size], t[:size]),
        "You take size as the number of batches; it is the number of frames in one.",
        lambda p, t, size: np.mean(
            [ccc(*part) for part in zip(np.array_split(p, size), np.array_split(t, size), strict=True)]
        ),
    ],
    right=[mean_ccc_by_loop, mean_ccc_by_split],
)

check = Checks("05", CROSS_ENTROPY, CCC, MASKED_MSE, MEAN_CCC)

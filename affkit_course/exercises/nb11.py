"""Exercises of notebook 11: the latent space."""

import numpy as np

from affkit_course.exercises.framework import Checks, Exercise, OpenExercise


def without(direction, locked):
    direction, locked = np.asarray(direction, float), np.asarray(locked, float)
    return direction - (direction @ locked) / (locked @ locked) * locked


def without_by_loop(direction, locked):
    fraction = sum(a * b for a, b in zip(direction, locked, strict=True)) / sum(b * b for b in locked)
    return [a - fraction * b for a, b in zip(direction, locked, strict=True)]


def without_by_unit(direction, locked):
    unit = np.array(locked) / np.linalg.norm(locked)
    return np.array(direction) - np.dot(direction, unit) * unit


WITHOUT = Exercise(
    without,
    """**Orthogonalize** (warm-up). Write `without`: a direction and a locked direction, lists of numbers of
any lengths, in; the part of the first that is at right angles to the second out.
- How much of the direction lies along the locked one? Take exactly that away.
- Along a vector of length 1 it is the dot product. The locked one may have any length.
- direction - (direction @ locked) / (locked @ locked) * locked

With several locked directions this must not be done one after the other, unless they are at right angles:
what the second step takes out may put something of the first one back.
`affkit_lab.latent.z_arithmetic.orthogonalize` takes all of them out at once, by least squares.""",
    examples=[
        (([3, 4], [1, 0]), [0, 4], "take out what lies along the second"),
        (([1, 1], [0, 5]), [1, 0], "the length of the locked one must not matter"),
        (([2, 0, 1], [1, 1, 0]), [1, -1, 1], "half of the 2 goes from each of the first two"),
        (([1, 2, 2], [0, 3, 4]), [1, 0.32, -0.24], "14 / 25 of the locked one is taken out"),
    ],
    wrong=[
        "You take the locked one for a vector of length 1; divide by its length, twice.",
        lambda a, b: np.subtract(a, np.dot(a, b) * np.array(b)),
        "You divide by the length of the locked one once; the dot product and the step both need it.",
        lambda a, b: np.subtract(a, np.dot(a, b) / np.linalg.norm(b) * np.array(b)),
        "That is the part along the locked direction; asked is the rest.",
        lambda a, b: np.dot(a, b) / np.dot(b, b) * np.array(b),
        "The sign is wrong: the part along the locked one is taken away, not added.",
        lambda a, b: np.add(a, np.dot(a, b) / np.dot(b, b) * np.array(b)),
        "You subtract the locked direction itself, not the part of it that is there.",
        np.subtract,
        "You take the direction out of the locked one; it is the other way round.",
        lambda a, b: without(b, a),
        "You made the rest one long; asked is the part as it is.",
        lambda a, b: without(a, b) / np.linalg.norm(without(a, b)),
    ],
    right=[without_by_loop, without_by_unit],
)


def r_squared(values, expected):
    values, expected = np.asarray(values, float), np.asarray(expected, float)
    return 1 - ((values - expected) ** 2).sum() / ((values - values.mean()) ** 2).sum()


def r_squared_by_means(values, expected):
    errors = [(a - b) ** 2 for a, b in zip(values, expected, strict=True)]
    return 1 - np.mean(errors) / np.var(values)


def r_squared_by_loop(values, expected):
    mean = sum(values) / len(values)
    missed = sum((a - b) ** 2 for a, b in zip(values, expected, strict=True))
    return 1 - missed / sum((a - mean) ** 2 for a in values)


def squares(values):
    return (np.asarray(values, float) ** 2).sum()


R_SQUARED = Exercise(
    r_squared,
    """**How well a line fits** (standard). Write `r_squared`: values and what a line expected of them in; the
fraction of the variance that is explained out.
- What does always expecting the mean reach? That is 0.
- Compare the squared errors with those of the mean.
- 1 - sum((values - expected)**2) / sum((values - mean)**2)

It is 1 at best and has no lower end: on faces it has not seen a line can be worse than the mean. On the faces
it was fitted to it never is, so a fit that was measured there says little.""",
    examples=[
        (([1, 2, 3], [1, 2, 3]), 1.0, "all of it"),
        (([1, 3], [2, 2]), 0.0, "the mean of the values explains nothing"),
        (([0, 2], [2, 0]), -3.0, "worse than the mean is below 0"),
        (([0, 1, 5], [1, 1, 4]), 6 / 7, "14 is the variance times three, 2 the squared errors"),
    ],
    wrong=[
        "That is the squared correlation: it forgives a wrong mean, a wrong width and a wrong sign.",
        lambda a, b: np.corrcoef(a, b)[0, 1] ** 2 if np.std(b) else 0.0,
        "You divide by the sum of squares of the values; take their mean away first.",
        lambda a, b: 1 - squares(np.subtract(a, b)) / squares(a),
        "That is the fraction that is not explained; 1 minus it is asked.",
        lambda a, b: squares(np.subtract(a, b)) / squares(np.asarray(a) - np.mean(a)),
        "You compare with the variance of what was expected; it is the values that are to be explained.",
        lambda a, b: 1 - squares(np.subtract(a, b)) / max(squares(np.asarray(b) - np.mean(b)), 1e-9),
        "Errors without a square: the variance is one of squares.",
        lambda a, b: 1 - np.abs(np.subtract(a, b)).sum() / np.abs(np.asarray(a) - np.mean(a)).sum(),
        "Your variance divides by n - 1, and your error by n.",
        lambda a, b: 1 - squares(np.subtract(a, b)) / len(a) / np.var(a, ddof=1),
        "Below 0 you say 0; worse than the mean is worth knowing.",
        lambda a, b: max(r_squared(a, b), 0.0),
    ],
    right=[r_squared_by_means, r_squared_by_loop],
)


def half_way(first, second):
    return (np.asarray(first, float) + np.asarray(second, float)) / np.sqrt(2)


def half_way_by_length(first, second):
    middle = np.add(first, second)
    return np.linalg.norm(first) * middle / np.linalg.norm(middle)


def half_way_by_angle(first, second):
    eighth = np.pi / 4
    return [np.cos(eighth) * a + np.sin(eighth) * b for a, b in zip(first, second, strict=True)]


HALF_WAY = Exercise(
    half_way,
    r"""**Half way on the arc** (standard). Write `half_way`: two z at right angles and of one length in; the
middle of the arc between them out.
- Which direction does the middle have? Draw it in the plane.
- It is the direction of the sum. The length must be that of the ends.
- (first + second) / sqrt(2)

At right angles and with one length $l$ the sum has the length $\sqrt 2\, l$. `slerp` at half of the way gives
$\sin(\pi/4) / \sin(\pi/2) = 1/\sqrt 2$ for both.""",
    examples=[
        (([1, 0], [0, 1]), [0.5**0.5, 0.5**0.5], "as long as the ends"),
        (([3, 0, 0], [0, 0, -3]), [3 / 2**0.5, 0, -3 / 2**0.5], "three long, as the ends"),
        (([0.6, 0.8, 0], [-0.8, 0.6, 0]), [-0.2 / 2**0.5, 1.4 / 2**0.5, 0], "the sum, and a factor"),
    ],
    wrong=[
        "That is the middle of the straight line: it is too short by a factor of 0.71.",
        lambda a, b: np.add(a, b) / 2,
        "The sum is too long; the ends have a length, and so has the middle.",
        np.add,
        "That has length 1, whatever the ends have.",
        lambda a, b: np.add(a, b) / np.linalg.norm(np.add(a, b)),
        "You go away from the second one: add, do not subtract.",
        lambda a, b: np.subtract(a, b) / 2**0.5,
        "You multiply with the square root of 2; divide.",
        lambda a, b: np.add(a, b) * 2**0.5,
        "That is a third of the way; half of a right angle is 45 degrees, not 30.",
        lambda a, b: np.cos(np.pi / 6) * np.array(a) + np.sin(np.pi / 6) * np.array(b),
    ],
    right=[half_way_by_length, half_way_by_angle],
)


def steepest(z, values):
    z, values = np.asarray(z, float), np.asarray(values, float)
    slopes = (z - z.mean(axis=0)).T @ (values - values.mean())
    return slopes / np.linalg.norm(slopes)


def steepest_by_regression(z, values):
    ones = np.ones((len(z), 1))
    weights = np.linalg.lstsq(np.hstack([z, ones]), np.asarray(values, float), rcond=None)[0][:-1]
    return weights / np.linalg.norm(weights)


def steepest_by_columns(z, values):
    slopes = [np.cov(column, values)[0, 1] for column in np.transpose(z)]
    return [slope / sum(one**2 for one in slopes) ** 0.5 for slope in slopes]


def _slopes(z, values):
    return np.transpose(z) @ np.asarray(values, float)


CORNERS = [[1, 1], [1, -1], [-1, 1], [-1, -1]]
SHIFTED = [[3, 1], [3, -1], [1, 1], [1, -1]]

STEEPEST = Exercise(
    steepest,
    r"""**Where a value rises fastest** (hard). Write `steepest`: z `(N, K)` with numbers that vary alike and
independently, values `(N,)` in; the direction of length 1 in which the value rises fastest out. No library
but NumPy, and no inverse: which property of z makes it unnecessary?
- How much does the value rise with one number of z alone?
- That is the covariance of the two; the numbers do not disturb each other.
- slopes = (z - mean).T @ (values - mean), divided by its length

The weights of a regression are $(Z^\top Z)^{-1} Z^\top r$. Where the numbers of z are independent and vary
alike, $Z^\top Z$ is a multiple of the identity, up to chance, and making the direction one long takes the
multiple away. With 600 faces and 100 numbers chance is large: there the ridge regression of
`learned_directions` does better.""",
    examples=[
        ((CORNERS, [14, 6, 8, 0]), [0.6, 0.8], "3 x the first, 4 x the second, and 7"),
        ((CORNERS, [-2, 2, -2, 2]), [0, -1], "it falls with the second number"),
        ((SHIFTED, [20, 12, 14, 6]), [0.6, 0.8], "the mean of z is no slope either"),
    ],
    wrong=[
        "It must be one long: a direction, not a slope.",
        lambda z, r: (np.array(z) - np.mean(z, axis=0)).T @ (r - np.mean(r)) / len(r),
        "It points where the value falls.",
        lambda z, r: -steepest(z, r),
        "The mean of z is in it: take it away, or that of the values.",
        lambda z, r: _slopes(z, r) / np.linalg.norm(_slopes(z, r)),
        "You answer with the z of the highest value; that is a place, not a direction.",
        lambda z, r: np.array(z)[np.argmax(r)] / np.linalg.norm(np.array(z)[np.argmax(r)]),
        "You make the numbers sum to 1; the length is the root of the sum of squares.",
        lambda z, r: steepest(z, r) / np.abs(steepest(z, r)).sum(),
        "Only the number with the largest slope moves; all of them belong to the direction.",
        lambda z, r: np.sign(steepest(z, r)) * (np.abs(steepest(z, r)) == np.abs(steepest(z, r)).max()),
        "You lost the signs: a value can fall with a number.",
        lambda z, r: np.abs(steepest(z, r)),
    ],
    right=[steepest_by_regression, steepest_by_columns],
)

FAKE = OpenExercise(
    """**A direction of "fake"** (hard). Learn the direction of "fake" from the discriminator (it is among the
learned ones) and move ten faces against it. Do they look more real to you? To the CNN? What did you find a
direction of?
- directions["fake"] is learned already; faces_at draws z + step * direction.
- Move by -2, and ask both networks before and after.
- The probability of the discriminator is the only thing the direction was made for.

```python
fake = directions["fake"]
ten = np.stack([Explorer.open(checkpoint, seed=seed).z for seed in range(10)])
before, after = (faces_at(generator, ten + step * fake) for step in (0.0, -2.0))
said = [networks["discriminator"](faces)["fake"].mean() for faces in (before, after)]
moved = networks["cnn"](after).mean() - networks["cnn"](before).mean()
plots.picture_strip([*before[:5], *after[:5]], title="Before, and two steps away from fake"), said, moved
```

Look whether the probability falls, and whether the faces look any better. What the discriminator calls fake
are traces of the generator that it has learned to see, not what bothers you: a direction of "fake" is a
direction of *this* discriminator. Steps away from it are an attack on the judge, not a better painter;
notebook 12 meets that again when it filters generated faces by "real"."""
)

check = Checks("11", WITHOUT, R_SQUARED, HALF_WAY, STEEPEST, FAKE)

"""Exercises of notebook 07: train a GAN, and read what it says."""

import math

import numpy as np

from affkit_course.exercises.framework import Checks, Exercise, OpenExercise

STRONG, FAST, LABEL = "discriminator too strong", "learning rate too high", "wrong label smoothing"


def diagnosis(run):
    causes = {"A": "wrong label smoothing", "B": "discriminator too strong", "C": "learning rate too high"}
    return causes[run]


def diagnosis_by_cases(run):
    if run == "A":
        return LABEL
    return STRONG if run == "B" else FAST


DIAGNOSIS = Exercise(
    diagnosis,
    """**Diagnosis** (warm-up). Write `diagnosis`: the letter of a broken run in, one of the three causes out:
"discriminator too strong", "learning rate too high" or "wrong label smoothing".
- Look at x of real and of generated faces first: apart, together, or jumping?
- One run has both x near the bottom; one has them at 0 and 0.9 from the start and never moves.
- The one that jumps and burns out learns too fast. Which label would put both x near 0.05?

**A.** Somebody read the smoothing the wrong way round and labelled generated faces 0.1 instead of 0.9. Both x
lie together near 0.05, and the generator's loss is nearly 0. It looks like a generator that has won. But 0.05
is what `best_x(1, 1, 0.1)` gives for a discriminator that cannot tell the two apart: labels of 0 and 0.1 are
hardly a difference worth learning. The generator is told all the time that it is fine, and draws noise. Look
at the pictures before you believe a low loss.

**B.** x of real faces is 0 and x of generated ones 0.9 after a few dozen steps, and there they stay, as flat
as lines. In the recipe `kit` they move slowly, for hundreds of steps, and come back when faces appear. The
discriminator has three updates to one, a learning rate of 0.001, and the generator one of 0.00001: it cannot
get anywhere, and its pictures stay noise.

**C.** A learning rate of 0.02, a hundred times the recipe's, for both networks. The generator's loss moves by
about 1 from one step to the next, where A and B move by a tenth or less, and its pictures burn out to pure
colours. It has not become "not a number", so nothing stops the run. A rate that is higher still ends with
"the loss is no longer a number at step ...".""",
    examples=[
        (("A",), LABEL, "both x lie together near the bottom. Half of which label is that?"),
        (("B",), STRONG, "x of real faces is 0, of generated ones 0.9 almost from the start; nothing moves"),
        (("C",), FAST, "the generator's loss jumps from step to step, and its pictures burn out"),
    ],
    wrong=[
        "A and B have changed places: two x that lie together come from the label.",
        lambda run: {"A": STRONG, "B": LABEL, "C": FAST}[run],
        "A and C have changed places: look which loss jumps from step to step.",
        lambda run: {"A": FAST, "B": STRONG, "C": LABEL}[run],
        "B and C have changed places: a strong discriminator gives flat lines, a high rate jumps.",
        lambda run: {"A": LABEL, "B": FAST, "C": STRONG}[run],
        "All three are one place off: begin with the run that jumps.",
        lambda run: {"A": STRONG, "B": FAST, "C": LABEL}[run],
        "All three are one place off: begin with the run whose lines are flat.",
        lambda run: {"A": FAST, "B": LABEL, "C": STRONG}[run],
        "You say the same of every run; the three differ.",
        lambda run: STRONG,
        "You say that every run learns too fast; the three differ.",
        lambda run: FAST,
    ],
    right=[diagnosis_by_cases, lambda run: (LABEL, STRONG, FAST)["ABC".index(run)]],
)


def best_x(real, fake, label):
    return label * fake / (real + fake)


def best_by_search(real, fake, label):
    """Halve the interval in which the derivative of both cross entropies changes its sign."""
    low, high = 0.0, 1.0
    for _ in range(60):
        x = (low + high) / 2
        slope = real * x + fake * ((1 - label) * x - label * (1 - x))  # times x (1 - x) > 0
        low, high = (x, high) if slope < 0 else (low, x)
    return (low + high) / 2


BEST_X = Exercise(
    best_x,
    r"""**The best x** (standard). Write `best_x`: among pictures that look like this one, `real` are real and
`fake` are generated (densities), and `label` is what generated faces are labelled. Which x makes the
discriminator's two cross entropies smallest?
- x stands for fake: real pictures are labelled 0. What should x be when there are only real ones?
- Minimise -real log(1 - x) - fake (label log x + (1 - label) log(1 - x)): set the derivative to 0.
- label * fake / (real + fake)

The derivative of $-r \log(1 - x) - f\,(l \log x + (1 - l) \log(1 - x))$ is zero at $x = l f / (r + f)$. For a
generator that has won, $r = f$ everywhere, x is 0.45 with the paper's label, not 0.5. And the best
discriminator gives no picture, however bad, more than 0.9.

Salimans et al. (2016) smooth the label of *real* images only. A smoothed label of generated ones, as in the
paper, has a side effect: where only generated pictures are, x is $l$ whatever is changed a little, so the
discriminator is asked for a flat answer there.""",
    examples=[
        ((0, 1, 0.9), 0.9, "surely generated: say what the label says"),
        ((1, 0, 0.9), 0.0, "surely real: the label of real faces is 0"),
        ((1, 1, 1.0), 0.5, "as often real as generated, without smoothing"),
        ((1, 1, 0.9), 0.45, "set the derivative of both cross entropies to 0"),
        ((3, 1, 0.8), 0.2, "a fourth is generated"),
    ],
    wrong=[
        "x stands for fake in the paper; yours is the fraction of real ones.",
        lambda real, fake, label: label * real / (real + fake),
        "The label is left out: where only generated pictures are, x is the label.",
        lambda real, fake, label: fake / (real + fake),
        "You clip at the label; it is a factor.",
        lambda real, fake, label: min(fake / (real + fake), label),
        "Below the line all pictures count, not the label times the generated ones.",
        lambda real, fake, label: label * fake / (real + label * fake),
        "You divide by the real ones only.",
        lambda real, fake, label: label * fake / real if real else label,
        "You take the label for every picture, whatever the fractions are.",
        lambda real, fake, label: label,
        "You label the real ones 1 - label; only generated ones are smoothed in the paper.",
        lambda real, fake, label: (label * fake + (1 - label) * real) / (real + fake),
        "You say 0 or the label, whichever is more likely; x says how sure it is.",
        lambda real, fake, label: label if fake > real else 0.0,
    ],
    right=[best_by_search, lambda real, fake, label: np.average([0, label], weights=[real, fake])],
)


def least_loss(label):
    return -sum(p * np.log(p) for p in (label, 1 - label) if p > 0)


def least_by_scipy(label):
    from scipy.special import xlogy

    return -(xlogy(label, label) + xlogy(1 - label, 1 - label))


LEAST_LOSS = Exercise(
    least_loss,
    """**The least loss** (warm-up). Write `least_loss`: the smallest cross entropy that a smoothed label
allows. How much of the discriminator's loss in section 4 is constant?
- Which probability is the best answer to a label of 0.9?
- The label itself: put p = label into the cross entropy, both of its terms.
- -(l log l + (1 - l) log(1 - l)), leaving out a term whose factor is 0.

0.325 for the fake class with a label of 0.9; 0.056 for the action units with a label of 0.01, and 1 for the
CCC with a constant, which is not a cross entropy. Together 1.38 of the discriminator's loss cannot be learned
away. In run B `fake_fake` is near 0.33: it could not do better.""",
    examples=[
        ((0.5,), 0.6931471805599453, "the best answer to a label is the label itself"),
        ((0.9,), 0.3250829733914482, "both terms of the cross entropy count"),
        ((1.0,), 0.0, "0 times log 0 is 0 here: leave the term out"),
        ((0.0,), 0.0, "0 times log 0 is 0 here: leave the term out"),
        ((0.01,), 0.05600153436484, "the label of action units of generated faces"),
    ],
    wrong=[
        "The second term is missing: (1 - label) log(1 - label).",
        lambda label: -label * math.log(label) if label else 0.0,
        "0 times log 0 is 0 here: leave that term out, or you get NaN.",
        lambda label: -(label * np.log(label) + (1 - label) * np.log(1 - label)),
        "0 times log 0 is 0 here: leave that term out, or math.log stops you.",
        lambda label: -(label * math.log(label) + (1 - label) * math.log(1 - label)),
        "The sign is wrong: a cross entropy is not below 0.",
        lambda label: -least_loss(label),
        "This is in bits; the losses take the natural logarithm.",
        lambda label: least_loss(label) / np.log(2),
        "You say 0, as without smoothing; a label of 0.9 costs something whatever you say.",
        lambda label: 0.0,
        "You answer 0.5 to every label; the best answer is the label itself.",
        lambda label: math.log(2),
        "This is -log(label), the cost of the label 1; the answer is not sure of anything.",
        lambda label: -math.log(label) if label else 0.0,
    ],
    right=[
        lambda label: 0 if label in (0, 1) else -label * math.log(label) - (1 - label) * math.log1p(-label),
        least_by_scipy,
    ],
)

UNITS = OpenExercise(
    """**Action units of generated faces** (standard). Without code: in the last table the shipped
discriminator and the feature net agree about action units more on real faces than on generated ones. Why must
that be so, whatever the faces look like?
- Which labels did the discriminator see with generated faces?
- The action units of every generated face are labelled 0.01 in training (IV.C.1).
- Somebody who has learnt to say no to all of them cannot agree with somebody who looks.

Because that is what it was told. The discriminator is trained to say 0.01 for all eight units of every
generated face, whatever the face shows. So it says "no" to nearly all of them, and agreement with a network
that looks at the face cannot be good. It is no sign of bad faces. Who wants to know what generated faces
express must ask a network that was not trained to call them neutral, such as the feature net."""
)

A_FIX = OpenExercise(
    """**A fix** (hard). Fix a broken run by changing one value in `lesson.broken_configs()`, and run it. Is
the one with the wrong smoothing worth fixing?
- Compare a broken configuration with that of the recipe kit: what differs?
- A: the label of generated faces. B: its updates and rates. C: both learning rates.
- dataclasses.replace(lesson.broken_configs()['A'], fake_label=0.9) is A with one value changed.

```python
changes = {"fake_label": 0.9}  # A; B: discriminator_steps, lr_generator; C: both learning rates
```

A: 0.9 again makes it the recipe. With 0.5, x of generated faces rises towards 0.5, and whoever knows only the
textbook takes that for a draw. What gives it away is x of real faces: it falls towards 0.

B: there is more than one way. Put `lr_generator` back to 0.0002 and leave the discriminator strong: x still
runs to 0 and 0.9, but now heads appear. The non-saturating loss passes on a gradient even to a generator that
never fools anybody, and the label of 0.9 keeps x from 1. A discriminator that is sure is a sign, not yet a
disease. The pictures decide."""
)


def nearest(generated, real):
    generated, real = np.asarray(generated, float), np.asarray(real, float)
    distances = ((generated[:, None] - real[None]) ** 2).sum(axis=2)  # (generated, real)
    return distances.argmin(axis=1)


def nearest_by_loop(generated, real):
    found = []
    for face in generated:
        apart = [math.dist(face, other) for other in real]
        found.append(apart.index(min(apart)))
    return found


def nearest_by_products(generated, real):
    generated, real = np.asarray(generated, float), np.asarray(real, float)
    return (-2 * generated @ real.T + (real**2).sum(axis=1)).argmin(axis=1)


def distances(generated, real, order=2):
    return [[np.linalg.norm(np.subtract(face, other), order) for other in real] for face in generated]


NEAREST = Exercise(
    nearest,
    """**Copies** (standard). Write `nearest`: generated and real faces in, each a list of pixels; out, for
each generated face the number, from 0, of the real face nearest to it by the Euclidean distance of all
pixels. The first of several.
- Compare each generated face with each real one. What is smallest, and along which axis?
- The sum of the squared differences of all pixels; the root would change no order.
- ((generated[:, None] - real[None]) ** 2).sum(axis=2).argmin(axis=1)

`(n, 1, pixels)` minus `(1, m, pixels)` is every pair at once; the root changes no order, so it can stay out.
That takes n times m times pixels of memory. $|a - b|^2 = |a|^2 - 2 ab + |b|^2$ needs one matrix product
instead, and $|a|^2$ is the same for all real faces. A near neighbour alone proves no copy: section 7 compares
with how near faces of new people are, and blurred faces are near to everything.""",
    examples=[
        (
            ([[0, 0], [5, 5]], [[1, 0], [4, 4], [9, 9]]),
            [0, 1],
            "for each generated face the number of a real one",
        ),
        (([[3, 3]], [[0, 0], [3, 8], [7, 3]]), [2], "distances 4.24, 5 and 4"),
        (([[0, 0]], [[3, 3], [0, 5], [4.5, 0]]), [0], "4.24, 5 and 4.5"),
        (([[1, 1], [0, 0], [2, 2]], [[0, 2], [2, 0]]), [0, 0, 0], "the first of several"),
        (([[2, 1]], [[1, 1], [6, 3]]), [0], "near in pixels, not in direction"),
    ],
    wrong=[
        "You find the farthest face.",
        lambda g, r: np.argmax(distances(g, r), axis=1),
        "You look for the nearest generated face of each real one: the wrong axis.",
        lambda g, r: np.argmin(distances(g, r), axis=0),
        "You give the distance; asked is the number of the face.",
        lambda g, r: np.min(distances(g, r), axis=1),
        "You count real faces from 1.",
        lambda g, r: np.argmin(distances(g, r), axis=1) + 1,
        "You add up the differences without their size: plus and minus cancel. Square them.",
        lambda g, r: [np.argmin([sum(np.subtract(face, other)) for other in r]) for face in g],
        "You add up absolute differences; asked is the Euclidean distance.",
        lambda g, r: np.argmin(distances(g, r, 1), axis=1),
        "You look at the largest difference of a pixel only.",
        lambda g, r: np.argmin(distances(g, r, np.inf), axis=1),
        "You look at the direction (cosine); a darker face would be the same face.",
        lambda g, r: [
            np.argmax([np.dot(f, o) / (np.linalg.norm(f) * np.linalg.norm(o) + 1e-12) for o in r]) for f in g
        ],
        "You take the last of several.",
        lambda g, r: [len(r) - 1 - int(np.argmin(one[::-1])) for one in distances(g, r)],
        "You give one number for all generated faces; asked is one for each.",
        lambda g, r: np.argmin(distances(g, r)),
    ],
    right=[nearest_by_loop, nearest_by_products],
)

check = Checks("07", DIAGNOSIS, BEST_X, LEAST_LOSS, UNITS, A_FIX, NEAREST)

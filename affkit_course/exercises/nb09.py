"""Exercises of notebook 09: the multi-task network."""

import math

import numpy as np

from affkit_course.exercises.framework import Checks, Exercise, OpenExercise


def fully_connected(image_size, width):
    channels, units = round(512 * width), round(4096 * width)
    side = image_size // 32  # five pools
    return (side * side * channels + 1) * units


def connected_by_shape(image_size, width):
    for _ in range(5):
        image_size //= 2
    weights = np.prod([image_size, image_size, int(512 * width), int(4096 * width)], dtype=np.int64)
    return int(weights) + int(4096 * width)


def connected(image_size, width, pools=5, bias=True):
    side = image_size // 2**pools
    return (side * side * round(512 * width) + bias) * round(4096 * width)


FULLY_CONNECTED = Exercise(
    fully_connected,
    """**The largest layer** (warm-up). Write `fully_connected`: the number of weights, biases included, of
the fully connected layer for a size of faces and a width.
- How many pixels, of how many channels, are left of a face of 96 pixels after five pools?
- side = image_size // 32; side * side * 512 * width numbers go in, 4096 * width come out.
- (side * side * channels + 1) * units: each unit has a bias.

102,764,544 is the first fully connected layer of VGG-Face, three quarters of all its weights. Faces of 96
pixels leave a fifth of it. That is also why a net without such a layer, such as a ResNet, takes faces of any
size: it ends with the mean over all pixels that are left.""",
    examples=[
        ((96, 1.0), 18_878_464, "five pools leave 3 x 3 pixels of 512 channels, and each unit has a bias"),
        ((224, 1.0), 102_764_544, "224 / 32 = 7 pixels"),
        ((96, 0.125), 295_424, "the width counts on both sides: 64 channels, 512 units"),
        ((100, 0.125), 295_424, "a pool drops the rest: 100, 50, 25, 12, 6, 3"),
    ],
    wrong=[
        "The biases are missing: one for each unit.",
        lambda size, width: connected(size, width, bias=False),
        "The width counts on both sides: you narrow the units only.",
        lambda size, width: (size // 32) ** 2 * 512 * round(4096 * width) + round(4096 * width),
        "The width counts on both sides: you narrow the channels only.",
        lambda size, width: ((size // 32) ** 2 * round(512 * width) + 1) * 4096,
        "The width is left out.",
        lambda size, width: connected(size, 1),
        "A picture has two sides: square what the pools leave.",
        lambda size, width: (size // 32 * round(512 * width) + 1) * round(4096 * width),
        "There are five pools: 96 / 32, not 96 / 16.",
        lambda size, width: connected(size, width, pools=4),
        "You take pictures of 224 pixels whatever the size is.",
        lambda size, width: connected(224, width),
    ],
    right=[
        connected_by_shape,
        lambda size, width: int((512 * width * math.floor(size / 32) ** 2 + 1) * 4096 * width),
    ],
)


def attention(h, W, U, b, v):
    energies = np.tanh(h @ W.T + U @ h[-1] + b) @ v
    weights = np.exp(energies - energies.max())
    return weights / weights.sum()


def attention_by_loop(h, W, U, b, v):
    energies = []
    for row in h:
        hidden = [math.tanh(W[k] @ row + U[k] @ h[-1] + b[k]) for k in range(len(v))]
        energies.append(sum(one * weight for one, weight in zip(hidden, v, strict=True)))
    largest = max(energies)
    return [math.exp(e - largest) / sum(math.exp(other - largest) for other in energies) for e in energies]


def attention_by_scipy(h, W, U, b, v):
    from scipy.special import softmax

    return softmax(np.einsum("k,nk->n", v, np.tanh(np.einsum("ki,ni->nk", W, h) + U @ h[-1] + b)))


def softmax_of(energies):
    weights = np.exp(energies - np.max(energies))
    return weights / weights.sum()


def attention_unshifted(h, W, U, b, v):
    weights = np.exp(np.tanh(h @ W.T + U @ h[-1] + b) @ v)
    return weights / weights.sum()


WEIGHTS = (
    np.array([[1.0, -0.5], [0.25, 2.0]]),
    np.array([[0.5, 1.0], [-1.0, 0.75]]),
    np.array([0.1, -0.2]),
    np.array([2.0, -1.5]),
)
THREE = np.array([[0.5, -1.0], [-0.25, 0.5], [1.0, 0.2]])
FOUR = np.array([[0.9, 0.1], [-0.8, 0.3], [0.2, -0.6], [0.7, 0.7]])

ATTENTION = Exercise(
    attention,
    """**Additive attention** (hard). Write `attention`: additive attention of the last row of `h` over all
rows, in NumPy. `h` holds the outputs of the recurrent network, a row a frame, the present one last; `W`, `U`,
`b` and `v` are those of section 2. Out: a weight for each row.
- First the energy of each row, one number; then a softmax over the rows.
- The energy of frame j is v . tanh(W h_j + U h_t + b), t the last row; h @ W.T is W times every row.
- Subtract the largest energy before np.exp, then divide by the sum.

`h @ W.T` is W times every row. Without `- energies.max()` the result is the same until an energy is so large
that its exponential is infinite. `tanh` keeps each term within -1 and 1, so here that takes a large `v`.""",
    examples=[
        ((np.array([[0.4, -0.3]]), *WEIGHTS), [1.0], "one frame alone gets all the weight"),
        (
            (THREE, *WEIGHTS),
            [0.6845863770356059, 0.04913072412601628, 0.2662828988383778],
            "the energy of frame j is v . tanh(W h_j + U h_t + b)",
        ),
        (
            (FOUR, *WEIGHTS),
            [0.18417491545725573, 0.041265499465159144, 0.7240287910789657, 0.05053079399861948],
            "a softmax over all rows: the exponentials, divided by their sum",
        ),
        (
            (THREE, *WEIGHTS[:3], 1000 * WEIGHTS[3]),
            [1.0, 0.0, 0.0],
            "subtract the largest energy before np.exp",
        ),
    ],
    wrong=[
        "The present frame is the last row; you ask for the first.",
        lambda h, W, U, b, v: softmax_of(np.tanh(h @ W.T + U @ h[0] + b) @ v),
        "You compare each row with itself: U takes the last row for all of them.",
        lambda h, W, U, b, v: softmax_of(np.tanh(h @ W.T + h @ U.T + b) @ v),
        "W is transposed: h @ W.T is W times every row.",
        lambda h, W, U, b, v: softmax_of(np.tanh(h @ W + U @ h[-1] + b) @ v),
        "W and U have changed places: U is for the present frame.",
        lambda h, W, U, b, v: softmax_of(np.tanh(h @ U.T + W @ h[-1] + b) @ v),
        "tanh is missing.",
        lambda h, W, U, b, v: softmax_of((h @ W.T + U @ h[-1] + b) @ v),
        "The bias is missing.",
        lambda h, W, U, b, v: softmax_of(np.tanh(h @ W.T + U @ h[-1]) @ v),
        "These are the energies; their softmax is asked.",
        lambda h, W, U, b, v: np.tanh(h @ W.T + U @ h[-1] + b) @ v,
        "You divide the energies by their sum; take exponentials first.",
        lambda h, W, U, b, v: (
            (np.tanh(h @ W.T + U @ h[-1] + b) @ v) / (np.tanh(h @ W.T + U @ h[-1] + b) @ v).sum()
        ),
        "Large energies overflow: subtract the largest before np.exp.",
        attention_unshifted,
        "This is dot-product attention, which section 2 works out.",
        lambda h, W, U, b, v: softmax_of((h @ W.T) @ (U @ h[-1] + b) / len(b) ** 0.5),
        "The present frame is left out; it may look at itself, too.",
        lambda h, W, U, b, v: softmax_of(np.tanh(h[:-1] @ W.T + U @ h[-1] + b) @ v) if len(h) > 1 else [1],
    ],
    right=[attention_by_loop, attention_by_scipy],
)


def first_step(gradient, lr=0.001, epsilon=1e-8):
    mean, square = 0.1 * gradient, 0.001 * gradient**2  # 1 - 0.9 and 1 - 0.999, both start at 0
    mean, square = mean / (1 - 0.9), square / (1 - 0.999)  # bias correction
    return -lr * mean / (square**0.5 + epsilon)


FIRST_STEP = Exercise(
    first_step,
    """**Adam's first step** (standard). Write `first_step`: how far Adam moves a weight in its very first
step, for one gradient.
- Both means start at 0 and hold a tenth and a thousandth after one step. And corrected?
- After bias correction they are the gradient and its square.
- -lr * gradient / (abs(gradient) + epsilon)

That is `-lr` times the sign of the gradient, whatever its size. In every later step numerator and denominator
still have the same factor, so a loss times 2 trains the same network. What breaks it: an epsilon as large as
the gradients, weight decay inside the gradient, clipping the gradient at a fixed length, or plain SGD, where
twice the loss is twice the learning rate.

With alpha and beta in *another ratio* it is another loss, and Adam does not divide that away.""",
    examples=[
        ((0.5,), -0.00099999998, "after bias correction the means are the gradient and its square"),
        ((1.0,), -0.00099999999, "twice the gradient, and all but the same step"),
        ((-1e-8,), 0.0005, "only a gradient as small as epsilon feels it"),
        ((-2.0, 0.1, 0.5), 0.08, "2 / 2.5 of the learning rate"),
    ],
    wrong=[
        "The sign is wrong: a step goes against the gradient.",
        lambda g, lr=0.001, epsilon=1e-8: -first_step(g, lr, epsilon),
        "This is plain gradient descent; Adam divides by the root of the mean square.",
        lambda g, lr=0.001, epsilon=1e-8: -lr * g,
        "The bias correction is missing: after one step the means are still near their start, 0.",
        lambda g, lr=0.001, epsilon=1e-8: -lr * 0.1 * g / ((0.001 * g**2) ** 0.5 + epsilon),
        "You correct the mean, but not the mean square.",
        lambda g, lr=0.001, epsilon=1e-8: -lr * g / ((0.001 * g**2) ** 0.5 + epsilon),
        "The root is missing below the line.",
        lambda g, lr=0.001, epsilon=1e-8: -lr * g / (g**2 + epsilon),
        "epsilon belongs outside the root.",
        lambda g, lr=0.001, epsilon=1e-8: -lr * g / (g**2 + epsilon) ** 0.5,
        "epsilon is left out: a tiny gradient must not make a full step.",
        lambda g, lr=0.001, epsilon=1e-8: -lr * np.sign(g),
        "The size of the gradient is lost: g / |g| has its sign.",
        lambda g, lr=0.001, epsilon=1e-8: -lr * abs(g) / (abs(g) + epsilon),
    ],
    right=[
        lambda g, lr=0.001, epsilon=1e-8: -lr * g / (abs(g) + epsilon),
        lambda g, lr=0.001, epsilon=1e-8: -np.sign(g) * lr / (1 + epsilon / np.abs(g)),
    ],
)


def windows(frames, length):
    known = set(frames)
    starts = range(frames[0], frames[-1] + 1, length)
    every = [[frame in known for frame in range(start, start + length)] for start in starts]
    return [window for window in every if any(window)]


def windows_by_arrays(frames, length):
    offsets = np.array(frames) - frames[0]
    seen = np.zeros((offsets[-1] // length + 1, length), bool)
    seen.flat[offsets] = True
    return seen[seen.any(axis=1)]


def windows_by_groups(frames, length):
    found = {}
    for frame in frames:
        number, place = divmod(frame - frames[0], length)
        found.setdefault(number, [False] * length)[place] = True
    return list(found.values())


def windows_from(first, frames, length, keep_empty=False):
    known = set(frames)
    every = [[f in known for f in range(s, s + length)] for s in range(first, frames[-1] + 1, length)]
    return [window for window in every if any(window) or keep_empty]


def anew_after_gaps(frames, length):
    """Sequences that start again after each frame without a face."""
    runs = [[frames[0]]]
    for frame in frames[1:]:
        runs[-1].append(frame) if frame == runs[-1][-1] + 1 else runs.append([frame])
    return [window for run in runs for window in windows(run, length)]


WINDOWS = Exercise(
    windows,
    """**Sequences** (standard). Write `windows`: the frames of a track that have a face, in order, and a
length in; for each sequence a list of booleans, whether there is a face, out. The first sequence starts at
the first face, each of the others where the one before it ends; one without any face is left out.
- At which frames do sequences start? Only the first face and the length decide it.
- range(frames[0], frames[-1] + 1, length) gives the starts.
- [frame in known for frame in range(start, start + length)] for each; keep those with any().

The first sequence starts at the first face, not at frame 1. Whoever starts a sequence anew after each gap
gets more and shorter ones, and a memory that is empty more often.""",
    examples=[
        (([1, 2, 3, 4], 4), [[True] * 4], "a full sequence"),
        (([5, 6, 8], 4), [[True, True, False, True]], "it starts at the first face; frame 7 has none"),
        (([1, 2, 3, 4, 5], 4), [[True] * 4, [True, False, False, False]], "the rest of the last is masked"),
        (([1, 9], 4), [[True, False, False, False]] * 2, "a sequence in which nobody was seen is left out"),
        (([2, 4, 5, 6], 3), [[True, False, True], [True, True, False]], "a gap starts no new sequence"),
    ],
    wrong=[
        "You start at frame 1; the first sequence starts at the first face.",
        lambda frames, length: windows_from(1, frames, length),
        "You keep sequences without a face; nothing can be learned from them.",
        lambda frames, length: windows_from(frames[0], frames, length, keep_empty=True),
        "The last, unfinished sequence is lost; it is padded and masked.",
        lambda r, n: windows([f for f in r if f < r[0] + (r[-1] - r[0] + 1) // n * n], n),
        "You ignore gaps: faces that follow each other in the list need not in time.",
        lambda frames, length: windows_from(0, list(range(len(frames))), length),
        "You start anew after each gap; a gap inside a sequence is a mask.",
        anew_after_gaps,
        "Your sequences overlap: the next one starts where the last one ends.",
        lambda frames, length: [
            [frame in frames for frame in range(start, start + length)]
            for start in range(frames[0], max(frames[-1] - length + 1, frames[0]) + 1)
        ],
        "You give the frames; asked is whether there is a face.",
        lambda frames, length: [
            [frame if seen else 0 for frame, seen in enumerate(window, start=frames[0] + length * k)]
            for k, window in enumerate(windows(frames, length))
        ],
        "True and False have changed places: True means that there is a face.",
        lambda frames, length: [[not seen for seen in window] for window in windows(frames, length)],
    ],
    right=[windows_by_arrays, windows_by_groups],
)

WITHOUT_MEMORY = OpenExercise(
    """**Without memory** (hard). Is the memory worth anything? Repeat the row (0.5, 0.5) with
`recurrent=False` and compare seed by seed.
- MtlConfig has the field recurrent; the plan of the notebook has a config.
- dataclasses.replace makes a plan with another config and another folder.
- table_x.table_x(plan, rows=["0.5_0.5"]), then the interval of the differences of the same seeds.

```python
def without_memory(plan, out):
    config = replace(plan.config, recurrent=False)
    return table_x.table_x(replace(plan, out=out, config=config), progress=False, rows=["0.5_0.5"])
```

Then compare seed by seed, with the same rule as for the claims:

```python
from affkit.evaluation.intervals import interval

alone = without_memory(plan, OUT / "without_memory")
scores = [results.test.set_index(["row", "seed"]).loc["0.5_0.5"] for results in (live, alone)]
differences = (scores[0] - scores[1])[["ccc_valence", "ccc_arousal"]].mean(axis=1)
print(interval(differences.to_numpy()))
```

The network without memory sees one frame. Section 4 showed that a good CCC needs the level above all, and a
level can be seen in one frame. Two seeds and sixty steps decide nothing; look at the width of the interval
before you believe its middle. A fair comparison would also give the smaller network as many steps as *it*
needs: a network without GRUs has fewer weights and another best learning rate."""
)

check = Checks("09", FULLY_CONNECTED, ATTENTION, FIRST_STEP, WINDOWS, WITHOUT_MEMORY)

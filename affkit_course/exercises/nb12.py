"""Exercises of notebook 12: enrichment, a paper read critically, data of one's own."""

from affkit_course.exercises.framework import Checks, Exercise, OpenExercise


def frames_per_second(frames, hours):
    return frames / (hours * 3600)


FRAMES_PER_SECOND = Exercise(
    frames_per_second,
    """**Frames and hours** (warm-up). Write `frames_per_second`: frames and hours in; the rate out.
- How many seconds has an hour?
- Frames divided by seconds.
- frames / (hours * 3600)

With 60 hours the 1,200,000 frames of the abstract would be 5.6 a second. Nothing in the paper says that
frames were left out; nothing says that they were not.""",
    examples=[
        ((234_000, 13 / 6), 30.0, "an hour has 3600 seconds"),
        ((108_000, 2), 15.0, "twice the hours, half the rate"),
        ((3600, 0.5), 2.0, "half an hour has 1800 seconds"),
    ],
    wrong=[
        "Those are frames a minute.",
        lambda frames, hours: frames / hours / 60,
        "Those are frames an hour.",
        lambda frames, hours: frames / hours,
        "Those are seconds a frame; turn it round.",
        lambda frames, hours: hours * 3600 / frames,
        "You take the rate for granted: that is how many hours the frames last at 30 a second.",
        lambda frames, hours: frames / 30 / 3600,
        "The hours belong below, not above.",
        lambda frames, hours: frames * hours / 3600,
        "You rounded down.",
        lambda frames, hours: frames // (hours * 3600 + 1),
    ],
    right=[
        lambda frames, hours: frames / hours / 60 / 60,
        lambda frames, hours: frames * (1 / 3600) * (1 / hours),
    ],
)


def valid_size(side, filter_side, stride):
    return (side - 1) * stride + filter_side


def valid_size_by_painting(side, filter_side, stride):
    return 1 + max(stride * pixel + offset for pixel in range(side) for offset in range(filter_side))


VALID_SIZE = Exercise(
    valid_size,
    """**What a transposed convolution paints** (standard). Write `valid_size`: side, filter and stride of a
transposed convolution without padding in; the side of what comes out, out.
- How large is what a single pixel paints? And two pixels, a stride apart?
- The last pixel begins (side - 1) strides after the first one.
- (side - 1) * stride + filter_side

The first pixel paints a whole filter, each further one begins a stride later. Put Table V in: 1, 2, 6, 14,
32.""",
    examples=[
        ((1, 2, 1), 2, "one pixel paints the filter"),
        ((6, 4, 2), 14, "the last one sticks out"),
        ((14, 6, 2), 32, "the last layer of Table V"),
        ((3, 2, 3), 8, "a stride above the filter leaves gaps"),
    ],
    wrong=[
        "That is 'SAME': side times stride.",
        lambda side, filter_side, stride: side * stride,
        "That is a convolution, not a transposed one: pictures grow here.",
        lambda side, filter_side, stride: (side - filter_side) // stride + 1,
        "One stride too many: the first pixel does not wait.",
        lambda side, filter_side, stride: side * stride + filter_side,
        "You forgot the stride.",
        lambda side, filter_side, stride: side - 1 + filter_side,
        "That is where the last pixel begins; its filter goes on from there.",
        lambda side, filter_side, stride: (side - 1) * stride + 1,
        "Filters lie over each other; you count all that they paint.",
        lambda side, filter_side, stride: side * filter_side,
    ],
    right=[valid_size_by_painting, lambda side, filter_side, stride: stride * side + filter_side - stride],
)


def sure(probability, mirrored, threshold):
    if min(probability, mirrored) >= threshold:
        return 1
    return 0 if max(probability, mirrored) <= 1 - threshold else None


def sure_by_cases(probability, mirrored, threshold):
    both = (probability, mirrored)
    if all(one >= threshold for one in both):
        return 1
    if all(1 - one >= threshold for one in both):
        return 0
    return None


def sure_one_by_one(probability, mirrored, threshold):
    said = {1 if p >= threshold else 0 if p <= 1 - threshold else None for p in (probability, mirrored)}
    return said.pop() if len(said) == 1 else None


def _mean(probability, mirrored):
    return (probability + mirrored) / 2


SURE = Exercise(
    sure,
    """**Sure labels** (standard). Write `sure`: probabilities of a face and of its mirror image, and a
threshold above 1/2, in; 1, 0, or None where a label should be left out, out.
- Three answers: surely there, surely not there, and nothing.
- Both have to agree: the smaller one from the threshold on, or the larger one up to 1 minus it.
- 1 if min(...) >= threshold; 0 if max(...) <= 1 - threshold; else None

Units are rare, so most probabilities are low, and the second line gives most of the labels: sure labels are
labels of absence. A threshold for each side, such that as many are labelled 1 as are active in the corpus,
would be one way out; it needs to know how many are active.""",
    examples=[
        ((0.9, 0.85, 0.75), 1, "both are above the threshold"),
        ((0.9, 0.5, 0.75), None, "one of the two is not sure"),
        ((0.5, 0.9, 0.75), None, "nor is one of these two"),
        ((0.125, 0.25, 0.75), 0, "both are up to 1 minus the threshold"),
        ((0.75, 0.9, 0.75), 1, "the threshold itself is enough"),
        ((0.95, 0.05, 0.75), None, "two that contradict each other"),
        ((0.9, 0.7, 0.75), None, "the mean is sure, one of the two is not"),
    ],
    wrong=[
        "Nothing is left out: what is not sure is labelled 0.",
        lambda p, m, threshold: int(min(p, m) >= threshold),
        "You take the mean of both; one that is not sure must be enough to leave it out.",
        lambda p, m, t: 1 if _mean(p, m) >= t else 0 if _mean(p, m) <= 1 - t else None,
        "The mirror image has no say.",
        lambda p, m, threshold: 1 if p >= threshold else 0 if p <= 1 - threshold else None,
        "One of the two is enough for you; both must be sure.",
        lambda p, m, threshold: 1 if max(p, m) >= threshold else 0 if min(p, m) <= 1 - threshold else None,
        "0 and 1 are the wrong way round.",
        lambda p, m, threshold: None if sure(p, m, threshold) is None else 1 - sure(p, m, threshold),
        "Absence is never labelled: a low probability is sure, too.",
        lambda p, m, threshold: sure(p, m, threshold) or None,
        "The threshold itself is left out; a score counts from it on.",
        lambda p, m, threshold: 1 if min(p, m) > threshold else 0 if max(p, m) < 1 - threshold else None,
    ],
    right=[sure_by_cases, sure_one_by_one],
)


def by_chance(claims, percent):
    return claims * (100 - percent) / 200


BY_CHANCE = Exercise(
    by_chance,
    """**What chance holds** (standard). Write `by_chance`: how many claims were tested, each with an interval
of so many percent, in; how many intervals are expected to lie above 0 though nothing is there, out.
- How often does an interval of 95% miss what is true?
- 5% of the time, half of that on each side.
- claims * (100 - percent) / 200

That is the expectation whether or not the claims are independent. Ours share their seeds and their real
faces: the expectation stays, the variance around it grows.""",
    examples=[
        ((33, 95), 0.825, "half of what an interval leaves out lies below 0"),
        ((10, 90), 0.5, "5% above, 5% below"),
        ((200, 99), 1.0, "99% of 200, half of the rest"),
    ],
    wrong=[
        "Half of those lie below 0.",
        lambda claims, percent: claims * (100 - percent) / 100,
        "Those are the claims whose interval holds the truth.",
        lambda claims, percent: claims * percent / 100,
        "Percent are hundredths.",
        lambda claims, percent: claims * (100 - percent) / 2,
        "That is the probability that at least one holds, not how many.",
        lambda claims, percent: 1 - (1 - (100 - percent) / 200) ** claims,
        "One claim's chance; times the number of claims.",
        lambda claims, percent: (100 - percent) / 200,
        "You rounded; less than one can be expected.",
        lambda claims, percent: round(by_chance(claims, percent) + 0.01),
    ],
    right=[
        lambda claims, percent: sum((1 - percent / 100) / 2 for _ in range(claims)),
        lambda claims, percent: claims * (0.5 - percent / 200),
    ],
)

THRESHOLDS = OpenExercise(
    r"""**Thresholds for the arms** (hard). The students lose F1 by their threshold, says section 2. Run the
experiment with one seed, choose thresholds on the validation people (notebook 10) for each arm, and score
again. How much of the loss is left?
- affkit experiment enrich with one seed, one fraction and one amount takes a few minutes.
- predict_store reads a store with the network that each run has left in its folder.
- Notebook 10, section 5, has the functions for thresholds and F1.

```
affkit experiment enrich --data store --partition partition.json --out runs/enrich --seeds 0 --shares 1 \
    --generator data_samples/weights/gan_1/generator.safetensors \
    --discriminator data_samples/weights/gan_1/discriminator.safetensors --amounts 1 --width 0.25 --steps 1200
```

Each run keeps its network in its folder, such as `runs/enrich/runs/share_1_real/seed_0`. With `store` and
`rows` of the partition, and `lesson` of notebook 10:

```python
parts = {}
for subset in ("validation", "test"):
    part = predict_store(run / "reader.safetensors", select_rows(store, rows[subset]), progress=False)
    labels = store.index.iloc[rows[subset]][list(ACTION_UNITS)].add_prefix("label_")
    parts[subset] = part.join(labels.reset_index(drop=True))
best = lesson.unit_f1_curves(parts["validation"], np.linspace(0, 0.98, 50)).idxmax()
[lesson.unit_f1(parts["test"], at).mean() for at in (0.5, best)]
```

What came out for the five seeds of the shipped results (macro F1 of the test people, mean change from real
faces alone and its 95% interval):

| labels | added, 1 x | at 0.5 | at chosen thresholds |
|---|---|---|---|
| 25% | labelled by the teacher | -0.044 (-0.078 to -0.011) | -0.005 (-0.024 to +0.014) |
| 50% | labelled by the teacher | -0.041 (-0.075 to -0.007) | -0.008 (-0.047 to +0.031) |
| 100% | labelled by the teacher | -0.021 (-0.050 to +0.007) | -0.027 (-0.060 to +0.006) |
| 25% | labelled by the discriminator | -0.216 (-0.297 to -0.135) | -0.041 (-0.067 to -0.016) |
| 50% | labelled by the discriminator | -0.256 (-0.294 to -0.218) | -0.065 (-0.096 to -0.034) |
| 100% | labelled by the discriminator | -0.200 (-0.287 to -0.114) | -0.080 (-0.135 to -0.025) |
| 25% | changed real faces | -0.040 (-0.088 to +0.009) | -0.017 (-0.026 to -0.008) |
| 50% | changed real faces | -0.073 (-0.095 to -0.051) | -0.012 (-0.039 to +0.015) |
| 100% | changed real faces | -0.113 (-0.194 to -0.032) | -0.025 (-0.067 to +0.018) |

With a quarter or half of the labels what the teacher's student loses is the 0.5 and nothing else; with all of
them there is little to lose, and what there is stays. Most of what the discriminator's student loses is the
0.5, and the rest is real harm. Changed faces lose by the 0.5, too, although their labels are true. And nobody
wins."""
)

check = Checks("12", FRAMES_PER_SECOND, VALID_SIZE, SURE, BY_CHANCE, THRESHOLDS)

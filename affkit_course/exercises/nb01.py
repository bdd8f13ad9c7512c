"""Exercises of notebook 01: what the labels mean."""

import math

import numpy as np

from affkit_course.exercises.framework import Checks, Exercise, OpenExercise


def read_line(line):
    valence, arousal = map(float, line.split(","))
    return None if -5 in (valence, arousal) else (valence, arousal)


def read_by_index(line):
    comma = line.index(",")
    pair = [float(line[:comma]), float(line[comma + 1 :])]
    return None if min(pair) < -1 else pair


def read_by_loop(line):
    numbers = []
    for word in line.split(","):
        if float(word) == -5:
            return None
        numbers.append(float(word))
    return np.array(numbers)


def pair_of(line):
    return tuple(float(word) for word in line.split(","))


READ_LINE = Exercise(
    read_line,
    """**One line** (warm-up). Write `read_line`: a line of a valence-arousal file in, the two numbers out, or
`None` where it is not labelled. The check tells you what is wrong with your answer.
- A line is text, such as 0.5,-0.25. Where are the two numbers, and when are they no labels?
- line.split(',') gives two texts, float() makes a number of each; -5 marks what is not labelled.
- valence, arousal = map(float, line.split(',')), and None when -5 is one of the two.

-5 in either of the two means that the frame is not labelled, since they are labelled together. A valence of
-1 is the lowest there is: comparing with `< 0` or with -1 throws away the strongest frames.
`affkit.labelfiles.formats.read_va` does the same for a whole file and keeps the frame as a masked one, so
that all later frames keep their numbers.""",
    examples=[
        (("0.5,-0.25",), (0.5, -0.25), "split at the comma, make floats of both"),
        (("-1,0.3",), (-1, 0.3), "-1 is a valence, the lowest there is"),
        (("-5,-5",), None, "-5 marks a frame that is not labelled"),
        (("0.2,-5",), None, "the two are labelled together: -5 in either masks both"),
        (("-5,0.2",), None, "the two are labelled together: -5 in either masks both"),
        (("0,0",), (0, 0), "neutral and calm is a label"),
    ],
    wrong=[
        "The mask is ignored: -5 is no valence, it marks what is not labelled.",
        pair_of,
        "You take every negative number for a mask; only -5 is one.",
        lambda line: None if min(pair_of(line)) < 0 else pair_of(line),
        "You take -1 for the mask; that is the lowest valence. The mask is -5.",
        lambda line: None if -1 in pair_of(line) or -5 in pair_of(line) else pair_of(line),
        "You ask for -5 in both numbers; in either of them it masks the frame.",
        lambda line: None if pair_of(line) == (-5, -5) else pair_of(line),
        "You look for -5 in the valence only.",
        lambda line: None if pair_of(line)[0] == -5 else pair_of(line),
        "You look for -5 in the arousal only.",
        lambda line: None if pair_of(line)[1] == -5 else pair_of(line),
        "Valence and arousal have changed places; valence comes first.",
        lambda line: read_line(line) and read_line(line)[::-1],
        "You give the text; make numbers of it with float().",
        lambda line: line.split(","),
        "You take 0 for not labelled; it is neutral, a label like others.",
        lambda line: read_line(line) if any(pair_of(line)) else None,
        "int() reads whole numbers only; the labels have decimals.",
        lambda line: tuple(int(word) for word in line.split(",")),
    ],
    right=[read_by_index, read_by_loop],
)

SMILE = OpenExercise(
    """**A smile at a bad moment** (standard). Find the frame of the corpus whose valence contradicts its face
most: AU12 on, valence lowest. Look at it with `Video.frames`. What would a rater who sees only this frame
say?
- Choose the rows with AU12 that have a valence.
- idxmin of the valence of these rows gives the clip and the frame.
- Files count from 1: Video(corpus.video_path(name)).frames(number - 1, number).

```python
smiling = table[(table["AU12"] == 1) & table["valence"].notna()]
name, number = smiling["valence"].idxmin()
print(name, number, smiling.at[(name, number), "valence"])
picture = next(Video(corpus.video_path(name)).frames(number - 1, number))
```

Frames in files count from 1 and `Video.frames` counts from 0: hence `number - 1`. A rater who sees only this
picture will call it happy. Whoever sees what came before and after can know better; a model of single frames
cannot."""
)

BAYES = OpenExercise(
    r"""**Bayes' rule** (hard). From section 4 and the fraction of each expression in all frames, compute how
often each unit is on *given* the expression (Bayes' rule), and compare with the table of Du et al. Where do
the clips differ, and why?
- Section 4 has P(word | unit). Which two fractions turn it into P(unit | word)?
- P(unit | word) = P(word | unit) P(unit) / P(word).
- Compare with a groupby of the expression: the mean of each unit is the same table, counted.

With `fraction[word][unit]` $= P(\text{word} | \text{unit})$ from section 4,

$$P(\text{unit} | \text{word}) = P(\text{word} | \text{unit}) \frac{P(\text{unit})}{P(\text{word})}.$$

```python
p_unit = known[list(ACTION_UNITS)].mean()
p_word = known["expression"].value_counts(normalize=True)
given_word = fraction.fillna(0).mul(p_unit.astype(float), axis=0) / p_word.reindex(EXPRESSIONS)
direct = known.groupby("expression")[list(ACTION_UNITS)].mean().T.reindex(columns=EXPRESSIONS)
print((given_word - direct).abs().max().max())  # the same, but for rounding
```

The clips differ from Du et al. for three reasons. They asked for posed expressions at full strength; a unit
that only begins to move is below our threshold. Our people each have a choice of units of their own, and
there are only nine of them. And units move without any emotion as well, when people talk or raise their
brows; "Neutral" has units, too."""
)


def on_the_wheel(valence, arousal):
    return np.hypot(valence, arousal), np.degrees(np.arctan2(arousal, valence)) % 360


def wheel_by_complex(valence, arousal):
    point = complex(valence, arousal)
    return abs(point), np.angle(point, deg=True) % 360


def wheel_by_cases(valence, arousal):
    length = (valence**2 + arousal**2) ** 0.5
    if length == 0:
        return 0, 0
    angle = 180 * np.arccos(valence / length) / np.pi
    return length, angle if arousal >= 0 else 360 - angle


def degrees_of(y, x):
    return math.degrees(math.atan2(y, x))


ON_THE_WHEEL = Exercise(
    on_the_wheel,
    """**On the wheel** (standard). Write `on_the_wheel`: valence and arousal in; how strong the emotion is,
its distance from neutral, and its direction out, in degrees from 0 up to but not including 360. Pleased is 0,
aroused is 90.
- Draw the point, valence to the right, arousal up. Which length and which angle are asked?
- The length is that of Pythagoras; np.arctan2(arousal, valence) gives the angle in radians.
- np.degrees(...) % 360 turns radians into degrees, and -90 into 270.

The wheel of section 1 is a circle in the plane: its radius is the intensity, its angle the kind of emotion.
`arctan2` knows the quadrant. `arctan(arousal / valence)` does not: fear and contentment, opposite on the
wheel, get one angle, and at a valence of 0 there is nothing to divide by. The angle of a weak emotion means
little: near the middle, a tremble of 0.01 turns it by 90 degrees. So do not average angles, and do not train
on them.""",
    examples=[
        ((0.6, 0.8), (1.0, 53.13010235415598), "3, 4, 5; and the angle whose tangent is 4/3"),
        ((-0.5, 0), (0.5, 180.0), "displeased, neither calm nor aroused"),
        ((0, -1), (1.0, 270.0), "calm is 270, not -90"),
        ((-0.3, -0.4), (0.5, 233.13010235415598), "below and to the left"),
        ((0, 0), (0.0, 0.0), "neutral has a length of 0"),
    ],
    wrong=[
        "Valence and arousal have changed places in the angle: arctan2 takes what points up first.",
        lambda v, a: (math.hypot(v, a), degrees_of(v, a) % 360),
        "Your angle is in radians.",
        lambda v, a: (math.hypot(v, a), math.atan2(a, v) % (2 * math.pi)),
        "Your angle is negative below the axis; count on from 180 to 360: % 360.",
        lambda v, a: (math.hypot(v, a), degrees_of(a, v)),
        "arctan cannot tell a quadrant from its opposite, and divides by a valence of 0: use arctan2.",
        lambda v, a: (math.hypot(v, a), math.degrees(math.atan(a / v)) % 360),
        "The length is missing its square root.",
        lambda v, a: (v * v + a * a, degrees_of(a, v) % 360),
        "You add up the two sizes; the distance is that of Pythagoras.",
        lambda v, a: (abs(v) + abs(a), degrees_of(a, v) % 360),
        "You give angle and length in the wrong order.",
        lambda v, a: on_the_wheel(v, a)[::-1],
        "You take the larger of the two for the length.",
        lambda v, a: (max(abs(v), abs(a)), degrees_of(a, v) % 360),
        "Your angle runs the other way round: aroused is 90, calm is 270.",
        lambda v, a: (math.hypot(v, a), degrees_of(-a, v) % 360),
    ],
    right=[wheel_by_complex, wheel_by_cases],
)


def fraction_active(values):
    labelled = [value for value in values if value != -1]
    return sum(labelled) / len(labelled) if labelled else float("nan")


def fraction_by_counts(values):
    ones, zeros = list(values).count(1), list(values).count(0)
    return ones / (ones + zeros) if ones + zeros else np.nan


def fraction_by_masked(values):
    return float(np.ma.masked_equal(values, -1).mean()) if np.any(np.array(values) >= 0) else np.nan


def labelled_of(values):
    return [value for value in values if value != -1]


FRACTION_ACTIVE = Exercise(
    fraction_active,
    """**How often is it there** (warm-up). Write `fraction_active`: one column of an action unit file in, 1
for active, 0 for not, -1 for not labelled; the fraction of active frames among the labelled ones out, and
"not a number" where no frame is labelled.
- Which frames say anything about this unit?
- Leave out -1 first. Then the mean of what is left is the fraction.
- [v for v in values if v != -1]; its sum over its length, and float('nan') when it is empty.

`np.mean(values)` is the trap: each frame without a label takes one away, and a rare unit ends below 0.
Dividing the number of ones by all frames is the quiet form of it: the fraction is too low by as much as there
are gaps. 0 for a unit that nobody labelled would say that it never occurs.""",
    examples=[
        (([1, 0, 0, -1, 1],), 0.5, "two of the four labelled frames"),
        (([-1, -1, 1, 0, 0],), 1 / 3, "one of three"),
        (([0, 0],), 0.0, "labelled, and never there"),
        (([-1, -1],), float("nan"), "nobody knows"),
    ],
    wrong=[
        "The mask is ignored: -1 is averaged as if it were a label.",
        np.mean,
        "You divide by all frames; only the labelled ones count.",
        lambda v: list(v).count(1) / len(v),
        "You count whatever is not 0 as active, -1 too.",
        lambda v: np.count_nonzero(v) / len(v),
        "You leave -1 out of the number of frames, but not out of the sum.",
        lambda v: sum(v) / len(labelled_of(v)) if labelled_of(v) else np.nan,
        "This is the fraction of frames without the unit.",
        lambda v: 1 - fraction_active(v),
        "Without any label you say 0, as if the unit never occurred; nobody knows: float('nan').",
        lambda v: sum(labelled_of(v)) / max(len(labelled_of(v)), 1),
        "Without any label you divide by 0; give float('nan') there.",
        lambda v: sum(labelled_of(v)) / len(labelled_of(v)),
        "This is the number of active frames, not their fraction.",
        lambda v: list(v).count(1),
        "This is a percentage; a fraction is between 0 and 1.",
        lambda v: 100 * fraction_active(v),
        "You divide active by inactive frames; divide by both together.",
        lambda v: list(v).count(1) / list(v).count(0) if list(v).count(0) else np.nan,
    ],
    right=[fraction_by_counts, fraction_by_masked],
)


def nearest_expression(active, table):
    def likeness(word):
        either = set(active) | set(table[word])
        return len(set(active) & set(table[word])) / len(either) if either else 1

    return max(table, key=likeness)


def nearest_by_loop(active, table):
    best, found = -1, None
    for word, units in table.items():
        both = sum(unit in units for unit in active)
        either = len(active) + len(units) - both
        if (likeness := both / either if either else 1) > best:
            best, found = likeness, word
    return found


def nearest_by_sorting(active, table):
    def distance(word):
        apart, either = set(active) ^ set(table[word]), set(active) | set(table[word])
        return len(apart) / max(len(either), 1)

    return sorted(table, key=distance)[0]


def nearest_with(likeness, last=False):
    """The word whose units are most alike by ``likeness(active, units)``."""

    def answer(active, table):
        words = list(table)[::-1] if last else list(table)
        return max(words, key=lambda word: likeness(set(active), set(table[word])))

    return answer


def jaccard(active, units):
    return len(active & units) / len(active | units) if active | units else 1


FACES = {
    "Neutral": [],
    "Happiness": ["AU6", "AU12", "AU25"],
    "Fear": ["AU1", "AU2", "AU4", "AU20", "AU25"],
    "Surprise": ["AU1", "AU2", "AU25"],
}

NEAREST = Exercise(
    nearest_expression,
    """**The nearest word** (hard). Write `nearest_expression`: a list of active units, and a dictionary from
expression to its typical units, in; the expression out that is most alike: units in both, divided by units in
either (Jaccard). No units at all are wholly like no units. The first of several.
- Count what both have in common, and what at least one of them has.
- With sets: len(a & b) / len(a | b), and 1 where both are empty.
- max(table, key=likeness) gives the first word with the largest likeness.

Counting only what is in both prefers words with many units: fear has everything that surprise has, and more.
Dividing by what is in either also charges for typical units that are missing and for active ones that do not
belong. Even so this is a rule of thumb and no measurement: section 4 shows how often each unit comes with
each word, and no unit is an emotion.""",
    examples=[
        ((["AU12", "AU25"], FACES), "Happiness", "2/3 of happiness, 1/4 of surprise"),
        ((["AU1", "AU2", "AU25"], FACES), "Surprise", "all of surprise; of fear three of five"),
        (([], FACES), "Neutral", "no units are like no units"),
        ((["AU1", "AU2", "AU4", "AU20"], FACES), "Fear", "four of five"),
        ((["AU25", "AU26"], FACES), "Happiness", "1/4 of happiness and of surprise: the first"),
        ((["AU1", "AU4"], FACES), "Fear", "2/5 of fear, 1/4 of surprise"),
        ((["AU1", "AU2", "AU4", "AU9"], FACES), "Fear", "3/6 of fear, 2/5 of surprise"),
    ],
    wrong=[
        "You count what is in both; divide by what is in either, or the longest list wins.",
        nearest_with(lambda a, b: len(a & b)),
        "You divide by the typical units only; active ones that do not belong must cost, too.",
        nearest_with(lambda a, b: len(a & b) / len(b) if b else float(not a)),
        "You take the last of several.",
        nearest_with(jaccard, last=True),
        "No units and no units are 0/0; here they are wholly alike.",
        lambda a, t: max(t, key=lambda w: len(set(a) & set(t[w])) / len(set(a) | set(t[w]))),
        "You ask for exactly these units; there may be more or fewer.",
        lambda active, table: next((w for w in table if set(table[w]) == set(active)), None),
        "You ask for all typical units; one may be missing.",
        lambda active, table: max(table, key=lambda w: len(table[w]) * (set(table[w]) <= set(active))),
        "You count the units that differ, and do not divide: long lists lose.",
        nearest_with(lambda a, b: -len(a ^ b)),
        "You return the likeness; asked is the word.",
        lambda active, table: max(jaccard(set(active), set(units)) for units in table.values()),
        "You take the word that is least alike.",
        nearest_with(lambda a, b: -jaccard(a, b)),
    ],
    right=[nearest_by_loop, nearest_by_sorting],
)

check = Checks("01", READ_LINE, SMILE, BAYES, ON_THE_WHEEL, FRACTION_ACTIVE, NEAREST)

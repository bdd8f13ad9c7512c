"""Exercises of notebook 04: from video to faces."""

from bisect import bisect_right

import numpy as np

from affkit_course.exercises.framework import Checks, Exercise, OpenExercise

OWN_CLIP = OpenExercise(
    """**Your own clip** (warm-up). Convert your own clip with `affkit convert` and look at it with
`clip_player`.
- Section 2 converts a clip, section 6 cuts faces out of one.
- convert_video(your file, OUT / 'clips' / 'name.mp4'), then extract_faces of that.
- clip_player(the converted clip, own.index) draws the boxes; own is what extract_faces gave.

```python
convert_video("holiday.mov", OUT / "clips" / "holiday.mp4")
own = extract_faces([OUT / "clips" / "holiday.mp4"], OUT / "own", size=SIZE)
clip_player(OUT / "clips" / "holiday.mp4", own.index)
```"""
)

SHIFTED = OpenExercise(
    """**Shifted labels** (standard). Shift the labels of one clip by a single frame and measure the CCC with
the true ones. Then by 30 frames. From which shift on would you notice?
- Compare values[shift:] with the values without the last shift.
- StreamingCCC of affkit.metrics: update(one, other), then compute().
- Try shifts of 1, 5, 15 and 30 for the valence of every clip, only where it is labelled.

```python
def shifted_ccc(values, shift):
    score = StreamingCCC()
    score.update(values[shift:], values[: len(values) - shift])
    return score.compute()
```

```python
for name, labels in corpus.labels.items():
    valence = labels.valence[labels.has_va]
    print(name, *(f"{shifted_ccc(valence, shift):.3f}" for shift in (1, 5, 15, 30)))
```

A single frame costs next to nothing: between 0.992 and 0.998 is left in these clips. Five frames leave 0.81
to 0.96, half a second 0.71 at best and -0.14 at worst, and after one second the two have hardly anything to
do with each other. How soon it shows depends on how fast the emotion changes: valence in `webcam_avi` is the
fastest. Nothing crashes at any shift, and a plot shows one of five frames only to somebody who looks for it.
That is why the labels are moved by the same mapping as their frames, and not repaired afterwards."""
)

SMALLEST = OpenExercise(
    """**The smallest face** (hard). `HaarDetector(smallest=...)` sets the smallest face. Find the value at
which `two_people` loses somebody, and explain it with the 20 pixels of the cascade's window.
- smallest is a fraction of the shorter side of the picture. How many pixels is 0.5 of 360?
- The picture is reduced until a face of that size is 20 pixels wide; what is smaller is then lost.
- Try 1/12, 0.3, 0.5, 0.55 and 0.6 with find_people, and count the frames of each person.

```python
film = list(Video(DATA / "videos" / "two_people.mp4").frames())  # 640 x 360 pixels
for smallest in (1 / 12, 0.3, 0.5, 0.55, 0.6):
    people = find_people(film, HaarDetector(smallest=smallest), fps=30)
    print(smallest, [len(person) for person in people])
```

Both people are there in all 120 frames at 1/12 and up to 0.25. At 0.3 the one on the right begins to miss
frames, at 0.55 21 are left, and at 0.6 nobody is found at all.

The cascade's window is 20 pixels wide, and the picture is first reduced until the smallest face has that
width. A fraction of 0.6 of 360 pixels is 216, so the picture is divided by 10.8 and a window covers 216
pixels of the original. The faces are 140 pixels wide from ear to ear; the boxes that the cascade itself draws
are a sixth wider (`affkit` makes them smaller, see [detectors](../detectors.md)), 163. A face still passes in
a window somewhat too large, which is why they vanish between 0.55 and 0.6 and not at 163 / 360 = 0.45. Why
then not always look for the smallest? Because each halving of `smallest` takes four times as long, and brings
more false alarms."""
)


def to_unit(pixels):
    return np.asarray(pixels, float) / 127.5 - 1


def pixels_of(*values):
    return np.array(values, np.uint8)


TO_UNIT = Exercise(
    to_unit,
    """**From bytes to [-1, 1]** (warm-up). The store keeps pixels as whole numbers from 0 to 255
(`np.uint8`), the networks take [-1, 1] (III.E). Write `to_unit`: an array of such pixels in, numbers with 0
at -1 and 255 at 1 out.
- Two points fix a line: 0 goes to -1, and 255 to 1.
- Divide by half of 255, then subtract 1.
- np.asarray(pixels, float) / 127.5 - 1: floats first, since np.uint8 cannot hold 2 * 200.

The width of the range is 255, not 256: with `/ 128 - 1` white is 0.992, and the generator, whose tanh ends at
1, is told that true white is a fake. And whole numbers of eight bits do not leave 0 to 255: `2 * pixels` of
200 is 144. Make floats first.""",
    examples=[
        ((pixels_of(0, 255),), [-1, 1], "black is -1, white is 1"),
        ((pixels_of(51, 204),), [-0.6, 0.6], "a fifth of the way, and four fifths"),
        ((pixels_of(102, 153, 127),), [-0.2, 0.2, -1 / 255], "there is no pixel exactly at 0"),
    ],
    wrong=[
        "Your range is 0 to 1; the networks take -1 to 1.",
        lambda pixels: pixels / 255,
        "You divide by 128, so that white is not 1; half of 255 is 127.5.",
        lambda pixels: pixels / 128 - 1,
        "You take -0.5 to 0.5: half as wide as it should be.",
        lambda pixels: pixels / 255 - 0.5,
        "Your subtraction runs over: an np.uint8 has no room below 0. Make floats first.",
        lambda pixels: (pixels - np.uint8(128)) / 127.5,
        "Your doubling runs over: an np.uint8 has no room above 255. Make floats first.",
        lambda pixels: pixels * np.uint8(2) / 255 - 1,
        "Black and white have changed places.",
        lambda pixels: 1 - pixels / 127.5,
        "You scale by what is in the picture; a dark face must stay dark.",
        lambda pixels: 2.0 * (pixels - pixels.min()) / np.ptp(pixels) - 1,
    ],
    right=[
        lambda pixels: [2 * int(pixel) / 255 - 1 for pixel in pixels],
        lambda pixels: np.interp(pixels, [0, 255], [-1, 1]),
    ],
)


def source_frames(times, fps):
    ticks = np.arange(int(times[-1] * fps) + 1) / fps
    return np.searchsorted(times, ticks, side="right") - 1


def frames_by_loop(times, fps):
    found, shown, tick = [], 0, 0
    while tick / fps <= times[-1]:
        while shown + 1 < len(times) and times[shown + 1] <= tick / fps:
            shown += 1
        found.append(shown)
        tick += 1
    return found


def frames_with(choose, start=0, stop=1):
    """Frames at the ticks of a new rate, by another rule ``choose(times, t)``."""

    def answer(times, fps):
        return [choose(times, k / fps) for k in range(start, int(times[-1] * fps) + stop)]

    return answer


def shown_at(times, t):
    return max(i for i, time in enumerate(times) if time <= t)


SOURCE_FRAMES = Exercise(
    source_frames,
    """**Constant rate** (hard). Write `source_frames`: the times at which the frames of a clip appear, in
seconds, the first at 0, and a rate in; for each frame of a clip of that constant rate the number of the frame
that is on the screen then out. Frame k of the new clip is at k / fps, up to the time of the last frame. A
frame stays until the next one appears.
- Which frame does a viewer see at 0.3 seconds when frames appear at 0, 0.25 and 0.5?
- The last frame whose time is not after k / fps.
- np.searchsorted(times, k / fps, side='right') - 1, for k from 0 to int(times[-1] * fps).

This is a lookup in a sorted list: the last time that is not after k / fps. A webcam that slows down in the
dark gives some frames twice; a fast camera loses some. Labels go through the same list, `labels[i] for i in
source_frames(...)`, and so they stay with their frames. Taking the nearest frame instead shows half of them
too early.""",
    examples=[
        (([0, 0.25, 0.5, 0.75], 4), [0, 1, 2, 3], "it had this rate already"),
        (([0, 0.5, 1.0], 4), [0, 0, 1, 1, 2], "a slow clip: frames are shown twice"),
        (([0, 0.125, 0.25, 0.375, 0.5], 4), [0, 2, 4], "a fast clip: frames are dropped"),
        (
            ([0, 0.1875, 0.4375, 1.125], 4),
            [0, 1, 2, 2, 2],
            "uneven times; the last frame comes after the last tick",
        ),
        (([0, 1.0], 2), [0, 0, 1], "the first stays for two frames"),
    ],
    wrong=[
        "You take the nearest frame; it may not have appeared yet.",
        frames_with(lambda times, t: int(np.argmin(np.abs(np.subtract(times, t))))),
        "You take the next frame, which is still to come.",
        frames_with(lambda times, t: min(i for i, time in enumerate(times) if time >= t)),
        "A frame that appears just at k / fps is there already: not after, instead of before.",
        frames_with(lambda times, t: max([0, *(i for i, time in enumerate(times) if time < t)])),
        "The last frame is missing: k goes up to the time of the last frame, itself included.",
        frames_with(shown_at, stop=0),
        "You begin at k = 1; the first frame is at 0.",
        frames_with(shown_at, start=1),
        "You count the frames of the old clip from 1.",
        frames_with(lambda times, t: shown_at(times, t) + 1),
    ],
    right=[
        frames_by_loop,
        lambda times, fps: [bisect_right(times, k / fps) - 1 for k in range(int(times[-1] * fps) + 1)],
    ],
)


def iou(a, b):
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(wide, 0) * max(high, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def pixels_in(box):
    x, y, width, height = box
    return {(i, j) for i in range(x, x + width) for j in range(y, y + height)}


def overlap(a, b):
    """Pixels in both boxes."""
    return len(pixels_in(a) & pixels_in(b))


def area(box):
    return box[2] * box[3]


def iou_unclipped(a, b):
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return wide * high / (area(a) + area(b) - wide * high)


IOU = Exercise(
    iou,
    """**The same face?** (standard). A tracker asks how much two boxes overlap. Write `iou`: two boxes (x, y,
width, height) in, the area of what they share divided by the area of what they cover together out.
- What they share is a box, too, or nothing. Where does it begin and end from left to right?
- From the larger of both left sides to the smaller of both right sides; not less than 0.
- shared / (area of a + area of b - shared).

Without `max(..., 0)` two boxes that lie apart in both directions have a "shared" area of minus times minus,
and the tracker joins two people. What they cover together is the sum of both areas minus what was counted
twice. Dividing by the smaller area instead gives 1 to a small false alarm inside a face.""",
    examples=[
        (((0, 0, 4, 4), (2, 0, 4, 4)), 1 / 3, "8 pixels of 24"),
        (((1, 2, 3, 5), (1, 2, 3, 5)), 1.0, "the same box"),
        (((0, 0, 2, 2), (3, 4, 2, 2)), 0.0, "they lie apart both ways: minus times minus is no area"),
        (((0, 0, 6, 6), (2, 3, 2, 2)), 1 / 9, "the small one is inside the large one"),
        (((0, 0, 4, 2), (1, 1, 4, 3)), 3 / 17, "3 pixels of 8 + 12 - 3"),
        (((0, 0, 2, 2), (2, 0, 2, 2)), 0.0, "they touch, and share nothing"),
        (((0, 0, 2, 2), (0, 2, 2, 2)), 0.0, "one below the other: they touch, and share nothing"),
        (((0, 0, 6, 6), (1, 1, 2, 4)), 2 / 9, "8 pixels of 36: width and height are two numbers"),
        (((3, 0, 2, 4), (0, 0, 8, 8)), 0.125, "8 pixels of 64: x and y are two numbers"),
    ],
    wrong=[
        "You read the boxes as corners; the last two numbers are width and height.",
        lambda a, b: iou(*((x, y, right - x, below - y) for x, y, right, below in (a, b))),
        "Boxes that lie apart have a shared area of minus times minus: not below 0.",
        iou_unclipped,
        "You divide by both areas added up; what they share is counted twice in that.",
        lambda a, b: overlap(a, b) / (area(a) + area(b)),
        "You divide by the smaller box: a small one inside a face would be that face.",
        lambda a, b: overlap(a, b) / min(area(a), area(b)),
        "You divide by the first box; the answer must not depend on which is first.",
        lambda a, b: overlap(a, b) / area(a),
        "This is the shared area in pixels; divide it by what they cover together.",
        overlap,
    ],
    right=[
        lambda a, b: len(pixels_in(a) & pixels_in(b)) / len(pixels_in(a) | pixels_in(b)),
        lambda a, b: overlap(a, b) / (area(a) + area(b) - overlap(a, b)),
    ],
)


def fill_gaps(places, longest):
    filled = list(places)
    known = [i for i, place in enumerate(places) if place is not None]
    for before, after in zip(known, known[1:], strict=False):
        if after - before - 1 <= longest:
            step = (places[after] - places[before]) / (after - before)
            for i in range(before + 1, after):
                filled[i] = places[before] + step * (i - before)
    return filled


def fill_by_interp(places, longest):
    known = np.flatnonzero([place is not None for place in places])
    line = np.interp(np.arange(len(places)), known, [places[i] for i in known])
    found = []
    for i, place in enumerate(places):
        after = np.searchsorted(known, i)
        inside = 0 < after < len(known) and known[after] - known[after - 1] - 1 <= longest
        found.append(place if place is not None else line[i] if inside else None)
    return found


def fill_by_walking(places, longest, between=lambda a, b, k, n: a + (b - a) * k / n):
    """Walk along the gaps, and fill each that is short enough by ``between(before, after, k, steps)``."""
    found, i = list(places), 0
    while i < len(found):
        if found[i] is None:
            stop = next((j for j in range(i, len(places)) if places[j] is not None), None)
            if stop is None:
                break
            if i > 0 and stop - i <= longest:
                steps = stop - i + 1
                found[i:stop] = [between(found[i - 1], places[stop], k, steps) for k in range(1, steps)]
            i = stop
        i += 1
    return found


def hold_ends(places, longest):
    first, *_, last = (i for i, place in enumerate(places) if place is not None)
    ends = {i: places[min(max(i, first), last)] for i in range(len(places)) if not first <= i <= last}
    return [ends.get(i, place) for i, place in enumerate(fill_gaps(places, longest))]


FILL_GAPS = Exercise(
    fill_gaps,
    """**Fill the gaps** (hard). A detector misses a face for a few frames. Write `fill_gaps`: the place of a
face in each frame, a number or `None`, and the longest gap to fill, in frames, in; the same list with such
gaps filled on a straight line out. Longer gaps, and frames before the first or after the last place, stay
`None`.
- A gap lies between two known places. How many frames, and how many steps from one to the other?
- With n missing frames there are n + 1 steps; each is (after - before) / (n + 1).
- Go through neighbouring known frames; fill when after - before - 1 is at most longest.

A gap of n frames has n + 1 steps: from 10 to 16 over two missing frames the steps are 2, not 3. A long
gap is not filled, since nobody knows whether the face was there: a person who leaves the picture and
comes back would get labels for a wall. Before the first detection and after the last there is one end
only, and no line.""",
    examples=[
        (([10, None, None, 16], 2), [10, 12, 14, 16], "two frames, three steps"),
        (([0, None, None, None, 4], 2), [0, None, None, None, 4], "three frames are more than two"),
        (([0, None, None, None, 4], 1), [0, None, None, None, 4], "three frames are more than one"),
        (([None, 5, None, 7, None], 3), [None, 5, 6, 7, None], "a gap has two ends"),
        (([8, None, 2, None, None, 8], 1), [8, 5, 2, None, None, 8], "the first is short enough"),
        (([0, None, None, None, 8, 9], 3), [0, 2, 4, 6, 8, 9], "as long as the longest is filled"),
        (([None, None, None, 2, None, 4], 2), [None, None, None, 2, 3, 4], "one frame, late in the list"),
    ],
    wrong=[
        "You repeat the last place; asked is a straight line to the next one.",
        lambda places, longest: fill_by_walking(places, longest, lambda a, b, k, n: a),
        "You put the middle of both ends into all frames of a gap.",
        lambda places, longest: fill_by_walking(places, longest, lambda a, b, k, n: (a + b) / 2),
        "Your steps are too long: n missing frames make n + 1 steps.",
        lambda p, n: fill_by_walking(p, n, lambda a, b, k, n: a + (b - a) * k / max(n - 1, 1)),
        "You fill all gaps, also those longer than the longest.",
        lambda places, longest: fill_gaps(places, len(places)),
        "A gap as long as the longest is filled, too: at most, not less than.",
        lambda places, longest: fill_gaps(places, longest - 1),
        "You fill gaps that are one frame too long.",
        lambda places, longest: fill_gaps(places, longest + 1),
        "You fill before the first and after the last place; there is only one end.",
        hold_ends,
        "You put 0 where the face is missing; 0 is a place.",
        lambda places, longest: fill_by_walking(places, longest, lambda a, b, k, n: 0),
    ],
    right=[fill_by_interp, fill_by_walking],
)

check = Checks("04", OWN_CLIP, SHIFTED, SMALLEST, TO_UNIT, SOURCE_FRAMES, IOU, FILL_GAPS)

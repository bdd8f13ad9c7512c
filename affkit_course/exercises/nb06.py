"""Exercises of notebook 06: the two GANs."""

import numpy as np

from affkit_course.exercises.framework import Checks, Exercise


def output_size(size, filter, stride, padding):
    if padding == "SAME":
        return -(-size // stride)  # rounded up
    return (size - filter) // stride + 1


def output_by_windows(size, filter, stride, padding):
    last = size - 1 if padding == "SAME" else size - filter  # where a window may still start
    return len(range(0, last + 1, stride))


def output_by_ceil(size, filter, stride, padding):
    return int(np.ceil((size if padding == "SAME" else size - filter + 1) / stride))


def when_same(same, valid):
    """An :func:`output_size` of two functions of size, filter and stride."""
    return lambda size, filter, stride, padding: (same if padding == "SAME" else valid)(size, filter, stride)


def same_size(size, filter, stride):
    return -(-size // stride)


def valid_size(size, filter, stride):
    return (size - filter) // stride + 1


OUTPUT_SIZE = Exercise(
    output_size,
    """**Output size** (warm-up). Write `output_size` of a convolution, for `"SAME"` and `"VALID"`: pixels of
one side, filter and stride in; pixels of one side out.
- Count where a window can start: at 0, at stride, at 2 * stride, up to where?
- "SAME" pads, so a window starts at every stride inside; "VALID" takes only whole windows.
- SAME: size / stride rounded up. VALID: (size - filter) // stride + 1.

With `"SAME"` the filter does not matter, which is the whole idea. The way back, a transposed convolution,
gives `size * stride` or `(size - 1) * stride + filter`. Two sizes can lead to one: 7 and 8 pixels both become
4. So "the size of the input that would give this output" is not unique, and TensorFlow asks for the output
size.""",
    examples=[
        ((96, 5, 2, "SAME"), 48, "size divided by the stride"),
        ((7, 5, 2, "SAME"), 4, "rounded up: the last window may hang over"),
        ((32, 5, 2, "VALID"), 14, "only whole windows: (size - filter) // stride + 1"),
        ((9, 3, 2, "VALID"), 4, "they start at 0, 2, 4 and 6"),
        ((4, 4, 1, "VALID"), 1, "one window fits"),
        ((10, 3, 3, "VALID"), 3, "they start at 0, 3 and 6"),
    ],
    wrong=[
        "With SAME you round down; the last window may hang over, so round up.",
        when_same(lambda size, filter, stride: size // stride, valid_size),
        "With VALID the last window is missing: + 1.",
        when_same(same_size, lambda size, filter, stride: (size - filter) // stride),
        "With VALID you round up: only whole windows count.",
        when_same(same_size, lambda size, filter, stride: -(-(size - filter) // stride) + 1),
        "SAME and VALID have changed places.",
        when_same(valid_size, same_size),
        "You ignore the padding: everything is SAME.",
        when_same(same_size, same_size),
        "You ignore the padding: everything is VALID.",
        when_same(valid_size, valid_size),
        "This is the size of a transposed convolution, the way back.",
        when_same(lambda s, f, t: s * t, lambda s, f, t: (s - 1) * t + f),
        "The stride is left out.",
        when_same(lambda size, filter, stride: size, lambda size, filter, stride: size - filter + 1),
        "You divide with /; a number of pixels is whole.",
        when_same(lambda s, f, t: s / t, lambda s, f, t: (s - f) / t + 1),
    ],
    right=[output_by_windows, output_by_ceil],
)


def same_padding(size, filter, stride):
    out = -(-size // stride)
    total = max((out - 1) * stride + filter - size, 0)
    return total // 2, total - total // 2


def padding_by_remainder(size, filter, stride):
    total = max(filter - (size % stride or stride), 0)
    return [total // 2, (total + 1) // 2]


def padding_by_trying(size, filter, stride):
    before = after = 0
    while (size + before + after - filter) // stride + 1 < -(-size // stride):
        before, after = (before, after + 1) if before == after else (before + 1, after)
    return before, after


def total_padding(size, filter, stride):
    return sum(same_padding(size, filter, stride))


def halves(total):
    return total // 2, total - total // 2


SAME_PADDING = Exercise(
    same_padding,
    """**The zeros of SAME** (standard). Write `same_padding`: pixels of one side, filter and stride in; zeros
before and after out, as TensorFlow adds them: no more than needed, and an odd one goes to the end.
- How many windows are there, and how far does the last one reach?
- (out - 1) * stride + filter pixels are needed; what is missing is padded, never less than 0.
- total // 2 before, and the rest after.

The last window starts at `(out - 1) * stride` and is `filter` wide; what hangs over must be added. A filter
of 1 with stride 2 hangs over by less than nothing: `max`.""",
    examples=[
        ((32, 5, 2), (1, 2), "three zeros in all; the end gets the odd one"),
        ((7, 5, 2), (2, 2), "four windows reach over 3 * 2 + 5 = 11 pixels"),
        ((4, 1, 2), (0, 0), "never less than no zeros"),
        ((6, 4, 1), (1, 2), "six windows reach over 9 pixels"),
        ((9, 3, 3), (0, 0), "three whole windows need none"),
    ],
    wrong=[
        "The odd zero goes to the end, not to the start.",
        lambda size, filter, stride: same_padding(size, filter, stride)[::-1],
        "You pad (filter - 1) / 2 on both sides, as PyTorch users do; with a stride of 2 that is too much.",
        lambda size, filter, stride: ((filter - 1) // 2, (filter - 1) // 2),
        "You pad filter - 1 in all; with a stride the last window may need less.",
        lambda size, filter, stride: halves(filter - 1),
        "There are less than no zeros: a filter below the stride needs none: max(..., 0).",
        lambda size, filter, stride: halves((-(-size // stride) - 1) * stride + filter - size),
        "The number of windows is rounded down; with SAME it is rounded up.",
        lambda size, filter, stride: halves(max((size // stride - 1) * stride + filter - size, 0)),
        "This is the sum; asked are the zeros before and those after.",
        total_padding,
        "All zeros go to the end; put half of them before.",
        lambda size, filter, stride: (0, total_padding(size, filter, stride)),
        "You lose the odd zero: what is not before goes after.",
        lambda size, filter, stride: (total_padding(size, filter, stride) // 2,) * 2,
        "You count one window too many: the last of them starts at (out - 1) * stride.",
        lambda size, filter, stride: halves(max(-(-size // stride) * stride + filter - size, 0)),
    ],
    right=[padding_by_remainder, padding_by_trying],
)


def num_parameters(filter, inputs, outputs, bias):
    return filter * filter * inputs * outputs + (outputs if bias else 0)


def parameters_by_shape(filter, inputs, outputs, bias):
    return int(np.prod([filter, filter, inputs, outputs])) + int(bias) * outputs


NUM_PARAMETERS = Exercise(
    num_parameters,
    """**How many weights** (warm-up). Write `num_parameters` of a convolution with a square filter: its side,
the channels that go in and come out, and whether it has a bias, in; the number of its weights, biases
included, out.
- How many numbers does one output channel need to weigh what it sees?
- It sees filter times filter pixels of every input channel; a bias is one number more.
- filter**2 * inputs * outputs, and outputs more with a bias.

Before a batch normalisation a bias is useless: the mean that is subtracted takes it away again. So our
convolutions have none there, and the normalisation brings two numbers for each channel, a scale and a
shift.""",
    examples=[
        ((5, 3, 64, False), 4800, "filter squared, times channels in, times channels out"),
        ((5, 3, 64, True), 4864, "one number more for each channel out"),
        ((1, 8, 2, True), 18, "a filter of one pixel mixes channels"),
    ],
    wrong=[
        "The filter has two sides: square it.",
        lambda f, i, o, bias: f * i * o + (o if bias else 0),
        "The channels that go in are missing: each output channel sees all of them.",
        lambda f, i, o, bias: f * f * o + (o if bias else 0),
        "The channels that come out are missing: each has a filter of its own.",
        lambda f, i, o, bias: f * f * i + (o if bias else 0),
        "A bias is one number for each channel out, not one in all.",
        lambda f, i, o, bias: f * f * i * o + bool(bias),
        "The bias is left out.",
        lambda f, i, o, bias: f * f * i * o,
        "You always count a bias; look whether there is one.",
        lambda f, i, o, bias: f * f * i * o + o,
        "A bias is one number for each channel out, not for each that goes in.",
        lambda f, i, o, bias: f * f * i * o + (i if bias else 0),
        "You have a bias for every filter of every input; it is one for each channel out.",
        lambda f, i, o, bias: f * f * i * o + (i * o if bias else 0),
        "You take channels in and out one after the other; each pair has its own filter: multiply.",
        lambda f, i, o, bias: f * f * (i + o) + (o if bias else 0),
    ],
    right=[
        parameters_by_shape,
        lambda filter, inputs, outputs, bias: sum(filter**2 * inputs + bool(bias) for _ in range(outputs)),
    ],
)


def receptive_field(layers):
    seen, step = 1, 1
    for filter, stride in layers:
        seen += (filter - 1) * step  # each tap further is a step of the layer below further
        step *= stride
    return seen


def field_backwards(layers):
    seen = 1
    for filter, stride in reversed(layers):
        seen = (seen - 1) * stride + filter
    return seen


def field_by_pixels(layers):
    pixels = {0}
    for filter, stride in layers[::-1]:
        pixels = {pixel * stride + tap for pixel in pixels for tap in range(filter)}
    return max(pixels) - min(pixels) + 1


RECEPTIVE_FIELD = Exercise(
    receptive_field,
    """**How far a layer sees** (hard). Write `receptive_field`: a list of (filter, stride), from the layer at
the picture upwards, in; how many pixels of one side of the picture an output of the last layer depends on,
from first to last, out.
- One layer sees its filter. What does a step to the side in the second layer mean in the picture?
- A step of a layer is as long as all strides below it, multiplied; its own stride counts above only.
- seen += (filter - 1) * step, and then step *= stride, starting with 1 and 1.

`receptive_field([(5, 2)] * 3)` is 29, as measured in section 6; four layers see 61, and with filters of 7
they see 91 of 96. Strides make it grow: without them three layers of 5 see only 13.""",
    examples=[
        (([(5, 2)],), 5, "one layer sees its filter"),
        (([(5, 2), (5, 2)],), 13, "5 + 4 * 2: one step above is as long as the strides below, multiplied"),
        (([(3, 1)] * 3,), 7, "3 + 2 + 2"),
        (([(3, 3), (5, 1), (2, 2)],), 18, "3 + 4 * 3 + 1 * 3: a stride of 1 changes nothing above"),
        (([(5, 2)] * 3,), 29, "5 + 4 * 2 + 4 * 4"),
    ],
    wrong=[
        "The strides are left out: a step of an upper layer is longer than a pixel.",
        lambda layers: 1 + sum(filter - 1 for filter, _ in layers),
        "You multiply the filters; neighbouring windows overlap.",
        lambda layers: int(np.prod([filter for filter, _ in layers])),
        "You add up the filters; each upper one adds filter - 1 steps.",
        lambda layers: sum(filter for filter, _ in layers),
        "A layer's own stride lengthens only the steps above it: add first, then multiply.",
        lambda x: 1 + sum((f - 1) * int(np.prod([s for _, s in x[: k + 1]])) for k, (f, _) in enumerate(x)),
        "The steps are as long as the last stride; they are all strides below, multiplied.",
        lambda layers: 1 + sum((f - 1) * (layers[k - 1][1] if k else 1) for k, (f, _) in enumerate(layers)),
        "You add the strides up; steps of steps multiply.",
        lambda x: 1 + sum((f - 1) * max(sum((s for _, s in x[:k])), 1) for k, (f, _) in enumerate(x)),
        "You go through the layers from the top; the list starts at the picture.",
        lambda layers: receptive_field(layers[::-1]),
        "You begin with 0 pixels; an output depends on at least one.",
        lambda layers: receptive_field(layers) - 1,
        "You multiply the whole filter by the step; the first tap is counted twice.",
        lambda layers: sum(f * int(np.prod([s for _, s in layers[:k]])) for k, (f, _) in enumerate(layers)),
    ],
    right=[field_backwards, field_by_pixels],
)

check = Checks("06", OUTPUT_SIZE, SAME_PADDING, NUM_PARAMETERS, RECEPTIVE_FIELD)

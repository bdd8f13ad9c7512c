"""Tables V to VIII row by row, typed once more here; costs against torch's own counter and plain formulas."""

import numpy as np
import pandas as pd
import pytest
import torch
from meta_networks import meta
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from affkit.gan import Deconvolution, Discriminator, GanNetConfig, Generator, Layer
from affkit_lab.figures import architecture

BN, RELU, LEAKY, TANH = "batch normalization", "relu", "leaky relu", "tanh"


OUTPUTS = [("fully connected", None, None, "2+8+1", None), "sigmoid on AUs", "sigmoid on Fake"]


def rows(kind, activation, filters, channels, sides, end, strides=(2, 2, 2, 2)):
    """(layer, filter, stride, units, our output); between them normalization and ``activation``; ``end``."""
    found = []
    for number, (k, stride, side) in enumerate(zip(filters, strides, sides, strict=False)):
        before, after = channels[number : number + 2]
        layer = f"{kind} {number + 1}", (k, k, before, after), stride, "", (side, side, after)
        found += [layer, BN, activation]
    return (found[:-2] if end == [TANH] else found) + end  # the last layer of a generator has neither


def generator(filters, channels, sides, **how):
    return rows("conv2d transpose", RELU, filters, channels, sides, [TANH], **how)


TABLES = {
    ("1", "generator"): generator((2, 4, 4, 6), (100, 384, 128, 64, 3), (2, 6, 14, 32), strides=(1, 2, 2, 2)),
    ("1", "discriminator"): rows("conv2d", LEAKY, (5, 5, 5), (3, 64, 128, 256), (16, 8, 4), OUTPUTS),
}
for name, k in {"2": 5, "2-7x7": 7}.items():
    first = [("fully connected", None, None, "1*6*6*1024", (6, 6, 1024)), BN, RELU]
    layers = generator([k] * 4, (1024, 512, 256, 128, 3), (12, 24, 48, 96))
    TABLES[name, "generator"] = first + layers
    convolutions = [k] * 4, (3, 64, 128, 256, 512), (48, 24, 12, 6)
    TABLES[name, "discriminator"] = rows("conv2d", LEAKY, *convolutions, OUTPUTS)


@pytest.mark.parametrize(("configuration", "part"), TABLES)
def test_every_row_of_the_paper_and_of_the_live_network(configuration, part):
    table = architecture.compare_with_paper(configuration, part)
    ours = "'VALID'" if (configuration, part) == ("1", "generator") else "'SAME'"
    for (_, found), row in zip(table.iterrows(), TABLES[configuration, part], strict=True):
        if isinstance(row, str):
            in_the_loss = row.startswith("sigmoid")
            wanted = {"paper": [row, "", "", "", ""], "ours": ["" if in_the_loss else row, "", "", "", ""]}
            verdict, output = "in the loss" if in_the_loss else "same", None
        else:
            layer, filter, stride, units, output = row
            size = [str(list(filter)), f"[1, {stride}, {stride}, 1]"] if filter else [""] * 2
            paddings = {"paper": "'SAME'", "ours": ours}
            wanted = {
                side: [layer, *size, padding * bool(filter), units] for side, padding in paddings.items()
            }
            verdict = "differs: padding" if filter and ours == "'VALID'" else "same"
        assert {side: found.xs(side, level=1).tolist() for side in wanted} == wanted
        assert found["verdict"].item() == verdict
        if output:
            assert found["output"].item() == "{} x {} x {}".format(*output)


def test_with_same_padding_table_v_is_as_printed_but_for_its_caption():
    table = architecture.compare_with_paper("1", "generator", padding="same")
    assert (table["verdict"] == "same").all()
    assert table["output"].iloc[-1] == "8 x 8 x 3"


def test_a_network_that_differs_is_seen():
    net = meta(Generator, "1")
    net.layers[2] = nn.LeakyReLU()
    with torch.device("meta"):
        net.layers[3] = Deconvolution(384, 128, Layer(4, 128, 2), "same")
    found = architecture.live_rows(net)
    assert found[2].layer == "leaky relu"
    assert (found[3].padding, found[3].output) == ("'SAME'", "4 x 4 x 128")
    printed = architecture.paper_rows("1", "generator")
    differences = [a[:5] != b[:5] for a, b in zip(printed, found, strict=True)]
    assert differences == [True, False, True, False, *[False] * 2, True, *[False] * 2, True, False]


@pytest.mark.parametrize(("targets", "units"), [("va+au", "2+8+1"), ("va", "2+1"), ("au", "8+1")])
def test_outputs_of_the_three_discriminators(targets, units):
    assert architecture.live_rows(meta(Discriminator, "1", targets=targets))[-1].units == units


def test_tracing_leaves_no_trace():
    net = Generator(GanNetConfig("1", width=0.05))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    architecture.live_rows(net)
    assert net.training and all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize(("configuration", "part"), TABLES)
def test_costs_are_those_of_torchs_counter(configuration, part):
    net = meta(Generator if part == "generator" else Discriminator, configuration)
    size = net.config.image_size
    costs = architecture.layer_costs(net)
    assert costs["parameters"].sum() == sum(weight.numel() for weight in net.parameters())
    counter = FlopCounterMode(display=False)
    with counter:
        net.eval()(torch.zeros((1, 100) if part == "generator" else (1, 3, size, size), device="meta"))
    assert 2 * costs["multiply-adds"].sum() == counter.get_total_flops()  # it counts both halves
    first = costs.iloc[0]
    assert first["weights kB"] == first["parameters"] * 4 / 1000
    assert first["output kB"] == np.prod([int(n) for n in first["output"].split(" x ")]) * 4 / 1000


@pytest.mark.parametrize("filter, stride", [(2, 1), (4, 2), (5, 2), (6, 2), (7, 2), (3, 3)])
def test_coverage_is_the_count_of_stamps(filter, stride):
    side, cut = 12, (filter - stride) // 2
    rows = np.zeros((side - 1) * stride + filter)
    for start in range(0, side * stride, stride):
        rows[start : start + filter] += 1
    valid, same = (architecture.coverage(filter, stride, side, kind) for kind in ("valid", "same"))
    np.testing.assert_array_equal(valid, np.outer(rows, rows))
    np.testing.assert_array_equal(same, valid[cut:, cut:][: side * stride, : side * stride])
    inner = same[filter:-filter, filter:-filter]
    assert (np.ptp(inner) == 0) == (filter % stride == 0)  # Odena et al. 2016


@pytest.mark.parametrize(("configuration", "sides"), [("1", 29), ("2", 61), ("2-7x7", 91)])
def test_the_footprint_is_the_receptive_field(configuration, sides):
    torch.manual_seed(0)
    discriminator = Discriminator(GanNetConfig(configuration, width=0.1))
    seen = architecture.footprint(discriminator) > 0
    assert [np.ptp(np.flatnonzero(seen.any(axis=axis))) + 1 for axis in (0, 1)] == [sides, sides]
    assert discriminator.training


def test_untrained_pixels_with_more_taps_vary_more():
    """4, 6 or 9 taps for a filter of 5, nine for one of 6; several starts, since a start is noise."""
    ratios = {}
    for name in ("1", "2"):
        config = GanNetConfig(name, width=0.1, weight_std=0.02)
        table = architecture.parity_std(config, range(30))
        assert table.index.tolist() == list(range(30)) and (table > 0).all(axis=None)
        mean = table.mean()
        ratios[name] = mean.max() / mean.min()
        pd.testing.assert_frame_equal(table.iloc[:2], architecture.parity_std(config, range(2)))
    assert mean.idxmax() == "odd, odd" and mean.idxmin() == "even, even"
    assert 1.3 < ratios["2"] < 1.6 and ratios["1"] < 1.12, ratios

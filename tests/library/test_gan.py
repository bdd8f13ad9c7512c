"""The networks' sizes and variants, and TensorFlow's convolutions against plain loops."""

import numpy as np
import pytest
import torch
from meta_networks import meta
from refusals import refuses
from torch import nn

from affkit import gan
from affkit.train_gan import frozen_statistics

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("padding, sides", [("valid", [1, 2, 6, 14, 32]), ("same", [1, 1, 2, 4, 8])])
def test_configuration_1_grows_1_2_6_14_32_when_valid_and_only_to_8_when_same(padding, sides):
    x, found = torch.zeros(2, 100, 1, 1, device="meta"), [1]
    for module in meta(gan.Generator, "1", padding=padding).layers:
        x = module(x)
        found += [x.shape[-1]] * isinstance(module, nn.ConvTranspose2d)
    assert found == sides and gan.GanNetConfig("1", padding=padding).image_size == sides[-1]
    sizes = {name: tables.size for name, tables in gan.CONFIGURATIONS.items()}
    assert {name: gan.GanNetConfig(name).image_size for name in sizes} == sizes


@pytest.mark.parametrize(("targets", "outputs"), [("va+au", 11), ("va", 3), ("au", 9)])
def test_variants_of_the_discriminator(targets, outputs):
    discriminator = gan.Discriminator(gan.GanNetConfig("1", width=0.05, targets=targets)).eval()
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    output = discriminator(images)
    assert discriminator.head.out_features == outputs
    columns = discriminator.head(discriminator.layers(images).flatten(1))
    parts = [part for part in (output.va, output.action_units, output.fake[:, None]) if part is not None]
    torch.testing.assert_close(torch.cat(parts, dim=1), columns)
    assert (output.va is None) == ("va" not in targets)
    assert (output.action_units is None) == ("au" not in targets)


# TensorFlow's padding


def numpy_conv(x, w, stride, before, size):
    """Cross-correlation of ``(C, H, H)`` with ``(O, C, k, k)``; the first window is ``before`` outside."""
    k = w.shape[-1]
    padded = np.pad(x, ((0, 0), (before, k), (before, k)))
    y = np.zeros((len(w), size, size))
    for i, j in np.ndindex(size, size):
        window = padded[:, i * stride : i * stride + k, j * stride : j * stride + k]
        y[:, i, j] = (w * window).sum(axis=(1, 2, 3))
    return y


def numpy_deconv(x, w, stride, before, size):
    """Each pixel of ``(C, H, H)`` stamps the filter ``(C, O, k, k)``; ``size`` pixels are kept."""
    k, h = w.shape[-1], x.shape[1]
    full = np.zeros((w.shape[1], (h - 1) * stride + k, (h - 1) * stride + k))
    for i, j in np.ndindex(h, h):
        full[:, i * stride : i * stride + k, j * stride : j * stride + k] += np.tensordot(x[:, i, j], w, 1)
    return full[:, before : before + size, before : before + size]


@pytest.mark.parametrize(("k", "side"), [(5, 8), (5, 7), (7, 6), (7, 12), (4, 6), (1, 4)])
def test_convolution_is_tensorflows_same(k, side):
    size = -(-side // 2)
    total = max((size - 1) * 2 + k - side, 0)  # TensorFlow's documented rule; the odd one goes after
    layer = gan.Convolution(3, 4, gan.Layer(k, 4, 2), bias=False)
    x = RNG.normal(size=(3, side, side)).astype(np.float32)
    expected = numpy_conv(x, layer.weight.detach().numpy(), 2, total // 2, size)
    np.testing.assert_allclose(layer(torch.from_numpy(x)[None])[0].detach(), expected, atol=1e-5)


@pytest.mark.parametrize("k", [2, 4, 5, 6, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_deconvolution_is_the_plain_loop(k, stride):
    x = RNG.normal(size=(3, 5, 5)).astype(np.float32)
    for padding in ("same", "valid"):
        layer = gan.Deconvolution(3, 4, gan.Layer(k, 4, stride), padding, bias=False)
        weight = layer.weight.detach().numpy()
        before, size = ((k - stride) // 2, 5 * stride) if padding == "same" else (0, 4 * stride + k)
        expected = numpy_deconv(x, weight, stride, before, size)
        found = layer(torch.from_numpy(x)[None])[0].detach()
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_spectral_norm_takes_the_place_of_batch_norm_and_learns_in_training_only():
    torch.manual_seed(0)
    discriminator = gan.Discriminator(gan.GanNetConfig("1", width=0.05, weight_std=0.02, spectral_norm=True))
    kinds = [type(module).__name__ for module in discriminator.modules()]
    assert "BatchNorm2d" not in kinds and sum("Parametrized" in kind for kind in kinds) == 4
    assert discriminator.layers[0].weight.shape[2:] == (5, 5)
    for _ in range(200):  # each training pass is one step of the power iteration
        discriminator(torch.zeros(1, 3, 32, 32))
    for module in [*discriminator.layers, discriminator.head]:
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight.detach().flatten(1).numpy()
            assert np.linalg.svd(weight, compute_uv=False)[0] == pytest.approx(1, abs=0.01)
            started = module.parametrizations.weight.original
            assert started.std().item() == pytest.approx(0.02, rel=0.1)
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    discriminator.eval()(torch.zeros(1, 3, 32, 32))
    assert all(torch.equal(before[name], value) for name, value in discriminator.state_dict().items())


@pytest.mark.parametrize("configuration", ["1", "2", "2-7x7"])
def test_a_narrow_pair_trains_through_both(configuration):
    config = gan.GanNetConfig(configuration, width=0.02)
    generator, discriminator = gan.Generator(config), gan.Discriminator(config)
    images = generator(gan.sample_z(4, seed=0))
    assert images.shape == (4, 3, config.image_size, config.image_size) and images.abs().max() <= 1
    output = discriminator(images)
    (output.va.sum() + output.action_units.sum() + output.fake.sum()).backward()
    assert all(weight.grad.abs().sum() > 0 for weight in generator.layers[0].parameters())
    assert discriminator.head.weight.grad.abs().sum() > 0


def test_z_is_uniform_and_repeatable():
    z = gan.sample_z(2000, seed=3)
    assert torch.equal(z, gan.sample_z(2000, seed=3)) and not torch.equal(z, gan.sample_z(2000, seed=4))
    assert z.shape == (2000, 100) and z.min() >= -1 and z.max() <= 1
    assert abs(z.mean()) < 0.01 and abs(z.var() - 1 / 3) < 0.01


def test_dcgan_weights():
    torch.manual_seed(0)
    for net in (gan.Generator, gan.Discriminator):
        for module in net(gan.GanNetConfig("1", weight_std=0.02)).modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_frozen_statistics_leave_no_trace_and_change_no_output():
    discriminator = gan.Discriminator(gan.GanNetConfig("1", width=0.05))

    def statistics():
        return {n: values.clone() for n, values in discriminator.named_buffers() if "running" in n}

    before, images = statistics(), torch.randn(4, 3, 32, 32)
    with frozen_statistics(discriminator):
        frozen = discriminator(images)
    assert all(torch.equal(value, before[name]) for name, value in statistics().items())
    assert torch.equal(discriminator(images).fake, frozen.fake)
    assert not any(torch.equal(value, before[name]) for name, value in statistics().items())


def test_unknown_choices_are_refused():
    for name, value in {"configuration": "3", "targets": "all", "padding": "full", "width": 0}.items():
        refuses(name, gan.GanNetConfig, **{name: value})

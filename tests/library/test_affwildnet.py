"""VGGFACE-GRU-attention: shapes of the paper, attention against a plain loop, and clips in parts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from refusals import refuses
from torch import nn

from affkit.multitask import AffWildNet, AffWildNetConfig, Attention

SMALL = AffWildNetConfig(width=0.02, image_size=32, hidden=6, attention_length=4)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return AffWildNet(SMALL)


def test_shapes_at_width_1():
    """The configuration D of VGG that VGG-Face is, and Figure 5; layer by layer in test_nb09.py."""
    with torch.device("meta"):
        net = AffWildNet(AffWildNetConfig(width=1.0))
    channels = [layer.out_channels for layer in net.cnn.layers if isinstance(layer, nn.Conv2d)]
    assert channels == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    assert net.cnn(torch.zeros(2, 3, 96, 96, device="meta")).shape == (2, 4096)
    assert (net.gru.num_layers, net.gru.hidden_size, net.attention.length) == (2, 128, 32)
    assert list(net.head.weight.shape) == [2 + 7, 128]


def numpy_attention(layer, h, seen):
    """Attention, a frame at a time: for ``(T, H)`` outputs and ``(T,)`` frames with a face."""
    parameters = {name: p.detach().numpy().astype(np.float64) for name, p in layer.named_parameters()}
    w, u, bias = (parameters[name] for name in ("key.weight", "query.weight", "query.bias"))
    m, m_bias, v = parameters["mix.weight"], parameters["mix.bias"], parameters.get("score.weight")
    outputs, all_weights = [], []
    for t in range(len(h)):
        frames = [j for j in range(max(0, t - layer.length + 1), t + 1) if seen[j] or j == t]
        if v is None:
            energy = np.array([(w @ h[j]) @ (u @ h[t] + bias) for j in frames]) / np.sqrt(h.shape[1])
        else:
            energy = np.array([v[0] @ np.tanh(w @ h[j] + u @ h[t] + bias) for j in frames])
        weights = np.exp(energy) / np.exp(energy).sum()
        context = sum(a * h[j] for a, j in zip(weights, frames, strict=True))
        outputs.append(m @ np.concatenate([h[t], context]) + m_bias)
        row = np.zeros(layer.length)
        row[[layer.length - 1 - (t - j) for j in frames]] = weights
        all_weights.append(row)
    return np.array(outputs), np.array(all_weights)


@pytest.mark.parametrize("kind", ["additive", "dot_product"])
@pytest.mark.parametrize("length", [1, 4, 32])
def test_attention_is_the_plain_loop(length, kind):
    torch.manual_seed(0)
    layer, (b, t, size) = Attention(6, length, kind), (2, 11, 6)
    h, seen = torch.randn(b, t, size), torch.rand(b, t) < 0.7
    window, window_seen = torch.zeros(b, length - 1, size), torch.zeros(b, length - 1, dtype=torch.bool)
    mixed, weights = layer(h, seen, window, window_seen)
    for i in range(b):
        expected, expected_weights = numpy_attention(layer, h[i].numpy().astype(np.float64), seen[i].numpy())
        np.testing.assert_allclose(mixed[i].detach(), expected, atol=1e-5)
        np.testing.assert_allclose(weights[i].detach(), expected_weights, atol=1e-5)


def test_a_clip_in_parts_is_the_clip_and_a_frame_depends_on_the_past_only(net):
    images, mask = torch.rand(2, 13, 3, 32, 32) * 2 - 1, torch.rand(2, 13) < 0.8
    whole, last = net(images, mask)
    for cuts in ([1] * 13, [5, 8], [3, 1, 9]):
        state, outputs = None, []
        for part, part_mask in zip(images.split(cuts, dim=1), mask.split(cuts, dim=1), strict=True):
            output, state = net(part, part_mask, state)
            outputs.append(output)
        for found, wanted in zip(zip(*outputs, strict=True), whole, strict=True):
            torch.testing.assert_close(torch.cat(found, dim=1), wanted)
        torch.testing.assert_close(tuple(state), tuple(last))
    images = torch.rand(1, 8, 3, 32, 32)
    before, _ = net(images)
    images[:, 5] = -1
    after, _ = net(images)
    assert torch.equal(before.va[:, :5], after.va[:, :5])
    assert not torch.allclose(before.va[:, 5:], after.va[:, 5:])


def test_pixels_of_masked_frames_have_no_influence_and_no_gradient(net):
    images, mask = torch.rand(2, 6, 3, 32, 32), torch.ones(2, 6, dtype=torch.bool)
    mask[0, 2:4] = False
    mask[1, 0] = False
    images.requires_grad_()
    output, _ = net(images, mask)
    (output.va[mask].sum() + output.expression[mask].sum()).backward()
    assert (images.grad[~mask] == 0).all()
    assert all((frame != 0).any() for frame in images.grad[mask])
    noise = torch.where(mask[..., None, None, None], images, torch.nan)
    again, _ = net(noise, mask)
    assert torch.equal(again.va, output.va) and output.va.isfinite().all()
    nobody, _ = net(noise, torch.zeros_like(mask))
    assert nobody.va.isfinite().all() and nobody.expression.isfinite().all()


def test_features_and_predictions_are_the_two_halves_and_every_weight_learns(net):
    output, _ = net(torch.rand(2, 6, 3, 32, 32))
    (output.va.square().sum() + output.expression.square().sum()).backward()
    still = [name for name, weight in net.named_parameters() if not weight.grad.abs().sum() > 0]
    assert not still
    images, mask = torch.rand(1, 4, 3, 32, 32), torch.tensor([[True, False, True, True]])
    features = net.features(images, mask)
    assert (features[~mask] == 0).all()
    assert torch.equal(net.predict(features, mask)[0].va, net(images, mask)[0].va)


def test_sizes_that_cannot_be_are_refused():
    for name, value in {"image_size": 16, "width": 0, "attention_length": 0}.items():
        refuses(name, AffWildNetConfig, **{name: value})


def test_attention_weights_are_those_the_prediction_uses(net):
    features, mask = torch.randn(2, 9, net.cnn.fc.out_features), torch.rand(2, 9) < 0.8
    caught = []
    net.attention.register_forward_hook(lambda _, __, output: caught.append(output[1]))
    net.predict(features, mask)
    weights = net.attention_weights(features, mask)
    assert torch.equal(weights, caught[0]) and weights.shape == (2, 9, 4)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 9))


def test_without_recurrence_a_frame_is_by_itself():
    torch.manual_seed(0)
    net = AffWildNet(replace(SMALL, recurrent=False))
    images, mask = torch.rand(1, 6, 3, 32, 32) * 2 - 1, torch.ones(1, 6, dtype=torch.bool)
    output, _ = net(images, mask)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    shuffled, _ = net(images[:, order], mask)
    torch.testing.assert_close(output.va[:, order], shuffled.va)
    expected = net.cnn(images[0]) @ net.head.weight.T + net.head.bias
    torch.testing.assert_close(torch.cat([output.va, output.expression], -1)[0], expected)
    assert not any(name.startswith(("gru", "attention")) for name in net.state_dict())


@pytest.mark.parametrize("frames_at_a_time", [1, 4, 100])
def test_a_batch_in_parts_has_the_gradients_of_the_whole(net, frames_at_a_time):
    images, mask = torch.rand(2, 7, 3, 32, 32) * 2 - 1, torch.rand(2, 7) < 0.8
    gradients = []
    for parts in (None, frames_at_a_time):
        output, _ = net(images, mask, frames_at_a_time=parts)
        net.zero_grad()
        (output.va.square().sum() + output.expression.sin().sum()).backward()
        gradients.append({name: weight.grad.clone() for name, weight in net.named_parameters()})
    for name, whole in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], whole, rtol=1e-4, atol=1e-5)

"""The live page: what is written into it. What a browser makes of it is in test_live_browser.py."""

import json
from base64 import b64decode

import numpy as np
import pandas as pd
import pytest
import torch
from folders import contents
from live_generators import CONFIGS, large_generator, random_generator, some_directions, some_z
from live_pages import scripts_of, transposed
from refusals import refuses

from affkit.checkpoints import model_key, save_checkpoint
from affkit_lab.latent.directions import Directions
from affkit_studio.browse.live_page import direction_facts, draw, fold, write_live_page


@pytest.mark.parametrize("name", CONFIGS)
def test_folded_layers_draw_what_the_generator_draws(name):
    generator = random_generator(CONFIGS[name])
    z, key = some_z(12), model_key(generator)
    with torch.no_grad():
        wanted = generator(z).numpy()
    layers = fold(generator)
    assert model_key(generator) == key  # it is left as it was
    np.testing.assert_allclose(draw(layers, z).numpy(), wanted, atol=1e-5)
    x = z[-1].double().numpy()[:, None, None]
    for layer in layers:
        weight, bias = layer.weight.double().numpy(), layer.bias.double().numpy()
        x = transposed(x, weight, bias, layer.stride, layer.before, layer.after)
        x = np.maximum(x, 0) if layer.activation == "relu" else np.tanh(x)
    np.testing.assert_allclose(x, wanted[-1], atol=1e-5)


@pytest.mark.parametrize("large, bits", [(False, 16), (True, 32)])
def test_float16_where_it_is_enough(large, bits, tmp_path):
    generator = large_generator() if large else random_generator(CONFIGS["1"])
    save_checkpoint(tmp_path / "generator.safetensors", generator)
    path = write_live_page(tmp_path / "generator.safetensors", tmp_path / "p.html", some_directions("AU12"))
    scripts = scripts_of(path)
    net = json.loads(scripts["facts"])["net"]
    assert net["bits"] == bits
    numbers = np.frombuffer(b64decode(scripts["weights"]), f"<f{bits // 8}").astype(np.float64)
    wanted = np.concatenate([layer.weight.double().numpy().ravel() for layer in fold(generator)])
    np.testing.assert_allclose(numbers, wanted, rtol=1e-3 if bits == 16 else 0, atol=1e-7 * (bits == 16))
    for layer, folded in zip(net["layers"], fold(generator), strict=True):
        np.testing.assert_array_equal(np.float32(layer["bias"]), folded.bias.numpy())


def test_sliders_in_groups_in_the_order_of_the_labels():
    names = ["fake", "Happiness", "AU12", "AU1", "arousal", "valence", "smile"]
    pca = [f"PCA {number}" for number in range(1, 13)]
    found = some_directions(*names)
    principal = Directions(np.eye(100)[:12], pd.DataFrame({"explained": 0.05}, index=pca))
    facts = direction_facts(found | principal)
    assert [fact["name"] for fact in facts] == [
        *("valence", "arousal", "AU1", "AU12", "Happiness", "smile"),
        *pca,
    ]
    groups = [fact["group"] for fact in facts]
    assert groups[:2] == ["Valence and arousal"] * 2 and groups[5] == "Others"
    assert groups[6:16] == [groups[6]] * 10 and groups[16] == groups[17] != groups[15]
    by_name = {fact["name"]: fact for fact in facts}
    np.testing.assert_allclose(by_name["AU12"]["vector"], found["AU12"], atol=1e-7)
    assert by_name["AU12"]["title"] == "lip corner puller" and "0.50" in by_name["AU12"]["note"]
    assert by_name["PCA 1"]["title"] == "5.0%" and by_name["PCA 1"]["note"] == ""


def test_what_cannot_be_drawn_is_told_and_nothing_half_written(tmp_path):
    good, broken = tmp_path / "good.safetensors", tmp_path / "broken.safetensors"
    generator = random_generator(CONFIGS["1"])
    save_checkpoint(good, generator)
    generator.layers[0].weight.data[0, 0] = float("nan")
    save_checkpoint(broken, generator)
    before = contents(tmp_path)
    refuses("no numbers", write_live_page, broken, tmp_path / "page.html")
    refuses("no direction", write_live_page, good, tmp_path / "page.html", some_directions("fake"))
    refuses("already exists", write_live_page, good, broken)
    assert contents(tmp_path) == before

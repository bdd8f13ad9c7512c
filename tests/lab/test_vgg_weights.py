"""Published weights of VGG-Face: every naming gives what a NumPy pass of the published network gives."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from affkit.checkpoints import load_checkpoint, save_checkpoint
from affkit.errors import UserError
from affkit.multitask import AffWildNet, AffWildNetConfig, VGGFace
from affkit_lab.backbones.vgg_weights import load_vgg_face, match_vgg_face, read_weights

WIDTH, SIZE = 0.05, 64  # 2 x 2 pixels are left for fc6: their order matters
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
MEAN = (129.186279296875, 104.76238250732422, 93.59396362304688)  # meta["mean"] of vgg_face_dag.py
TORCHVISION = dict(
    conv1_1=0, conv1_2=2, conv2_1=5, conv2_2=7, conv3_1=10, conv3_2=12, conv3_3=14, conv4_1=17, conv4_2=19,
    conv4_3=21, conv5_1=24, conv5_2=26, conv5_3=28, fc6=0, fc7=3, fc8=6,
)  # fmt: skip


def matlab_shapes(width=WIDTH, size=SIZE, people=26):
    """The filters ``(H, W, in, out)`` of a network as MatConvNet has it; Parkhi et al. 2015, Table 3."""
    shapes, channels, side = {}, 3, size // 32
    for block, printed in enumerate(BLOCKS, 1):
        for number, wide in enumerate(printed, 1):
            shapes[f"conv{block}_{number}"] = (3, 3, channels, channels := round(wide * width))
    hidden = round(4096 * width)
    shapes["fc6"] = (side, side, channels, hidden)
    return shapes | {"fc7": (1, 1, hidden, hidden), "fc8": (1, 1, hidden, people)}


@pytest.fixture(scope="module")
def arrays():
    """Weights of MatConvNet, with biases ``(1, out)``."""
    rng, arrays = np.random.default_rng(0), {}
    for name, shape in matlab_shapes().items():
        arrays[f"{name}f"] = rng.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape).astype(np.float32)
        arrays[f"{name}b"] = rng.normal(0, 5, (1, shape[3])).astype(np.float32)
    return arrays


def torch_name(style, layer):
    if style == "features":
        return f"{'features' if layer[0] == 'c' else 'classifier'}.{TORCHVISION[layer]}"
    if style == "PyVGGFace":
        inner = f"features.{layer.replace('conv', 'conv_')}{'-conv' * (layer == 'conv2_2')}"
        return inner if layer[0] == "c" else f"fc.{layer}"
    return layer.replace("conv", "conv_") if style == "conv_1_1" else layer


def torch_file(style, arrays):
    """The same network under the names, and in the axes, of PyTorch."""
    tensors = {}
    for name, array in arrays.items():
        layer, part = name[:-1], {"f": "weight", "b": "bias"}[name[-1]]
        if part == "bias":
            array = array[0]
        else:
            array = np.einsum("yxio->oiyx", array)
            array = array[:, ::-1] if style == "conv_1_1" and layer == "conv1_1" else array  # BGR
            array = array.reshape(len(array), -1) if layer.startswith("fc") else array
        tensors[f"{torch_name(style, layer)}.{part}"] = torch.from_numpy(np.ascontiguousarray(array))
    return tensors


def published_features(arrays, pixels):
    """relu(fc6) of a face ``(S, S, 3)`` in 0 to 255, RGB, as MatConvNet computes it, in double precision."""
    x = pixels.astype(np.float64) - MEAN
    for block, printed in enumerate(BLOCKS, 1):
        for number in range(1, len(printed) + 1):
            padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))
            filters, bias = arrays[f"conv{block}_{number}f"], arrays[f"conv{block}_{number}b"][0]
            x = np.maximum(np.einsum("hwiyx,yxio->hwo", windows, filters) + bias, 0)
        half = x.shape[0] // 2
        x = x.reshape(half, 2, half, 2, -1).max((1, 3))
    return np.maximum(np.einsum("yxi,yxio->o", x, arrays["fc6f"]) + arrays["fc6b"][0], 0)


def small_cnn(size=SIZE, width=WIDTH):
    torch.manual_seed(1)
    return VGGFace(AffWildNetConfig(width=width, image_size=size)).eval()


def in_dict(key, prefix=""):
    """A writer of a training checkpoint, which holds more than the weights."""
    return lambda tensors, path: torch.save(
        {"epoch": 3, key: {prefix + name: tensor for name, tensor in tensors.items()}}, path
    )


WRITERS = {
    "plain": ("net.pth", torch.save),
    "legacy": ("net.pth", partial(torch.save, _use_new_zipfile_serialization=False)),
    "state_dict": ("net.pt", in_dict("state_dict")),
    "model": ("net.PT", in_dict("model", "module.")),
    "safetensors": ("net.safetensors", save_file),
    "npz": ("net.npz", lambda tensors, path: np.savez(path, **{k: v.numpy() for k, v in tensors.items()})),
}


@pytest.fixture(scope="module")
def face(arrays):
    """Pixels ``(S, S, 3)`` and their published features."""
    pixels = np.random.default_rng(2).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    features = published_features(arrays, pixels)
    assert (features > 0).mean() > 0.2  # a network that says something
    return pixels, features


def assert_features(cnn, face):
    """The network computes the published features of the face."""
    images = torch.from_numpy(face[0]).movedim(-1, 0).float()[None] / 127.5 - 1
    with torch.inference_mode():
        np.testing.assert_allclose(cnn(images)[0], face[1], rtol=1e-4, atol=1e-4 * face[1].max())


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("style", ["conv1_1", "conv_1_1", "features", "matlab"])
def test_features_are_the_published_ones(tmp_path, arrays, face, style, writer):
    name, write = WRITERS[writer]
    matlab = {name: torch.from_numpy(array) for name, array in arrays.items()}
    if writer == "model" and style == "matlab":
        write = in_dict("model")  # MATLAB's names have no prefixes
    write(matlab if style == "matlab" else torch_file(style, arrays), tmp_path / name)
    cnn = small_cnn()
    loaded = load_vgg_face(cnn, tmp_path / name)
    assert_features(cnn, face)
    assert len(loaded.layers) == 14 and loaded.layers[::13] == ("conv1_1", "fc6") and loaded.left_out == ()
    assert loaded.channels == ("BGR" if style == "conv_1_1" else "RGB")
    assert len(loaded.unused) == 4 and "14 layers of VGG-Face (conv1_1 to fc6)" in str(loaded)


def test_biases_of_any_shape_convolution_like_fc6_and_half_precision(tmp_path, arrays, face):
    """Older MATLAB files have (out, 1); some ports keep fc6 as a convolution."""
    flat = {k: (v.reshape(-1, 1) if k.endswith("b") else v) for k, v in arrays.items()}
    np.savez(tmp_path / "a.npz", **flat)
    tensors = torch_file("conv1_1", arrays)
    tensors["fc6.weight"] = tensors["fc6.weight"].unflatten(1, (-1, SIZE // 32, SIZE // 32))
    torch.save(tensors, tmp_path / "b.pth")
    torch.save({k: v.half() for k, v in torch_file("conv1_1", arrays).items()}, tmp_path / "half.pth")
    for name in ("half.pth", "a.npz", "b.pth"):
        cnn = small_cnn()
        load_vgg_face(cnn, tmp_path / name)
        assert {tensor.dtype for tensor in cnn.state_dict().values()} == {torch.float32}
        if name != "half.pth":
            assert_features(cnn, face)


def test_without_published_weights_the_input_is_left_alone():
    cnn = small_cnn()
    images = torch.rand(3, 3, SIZE, SIZE) * 2 - 1
    assert torch.equal(cnn(images), cnn.fc(cnn.layers(images).flatten(1)).relu())


def test_a_checkpoint_keeps_the_input(tmp_path, arrays, face):
    torch.save(torch_file("conv1_1", arrays), tmp_path / "vgg.pth")
    net = AffWildNet(AffWildNetConfig(width=WIDTH, image_size=SIZE, hidden=4, attention_length=2))
    load_vgg_face(net.cnn, tmp_path / "vgg.pth")
    again, _ = load_checkpoint(save_checkpoint(tmp_path / "net.safetensors", net))
    assert_features(again.cnn, face)
    black = torch.full((3, 1, 1), -1.0)
    for pixel, value in ((black, 0), (-black, 255)):
        taken = (pixel * again.cnn.scale + again.cnn.shift).flatten()
        np.testing.assert_allclose(taken, value - np.array(MEAN), rtol=1e-6)


def test_another_size_of_faces_leaves_fc_as_it_was(tmp_path, arrays):
    torch.save(torch_file("conv1_1", arrays), tmp_path / "vgg.pth")
    cnn = small_cnn(size=96)
    before = copy.deepcopy(cnn.state_dict())
    loaded = load_vgg_face(cnn, tmp_path / "vgg.pth")
    assert loaded.layers[-1] == "conv5_3" and len(loaded.layers) == 13
    assert loaded.left_out == ("fc6, which is for faces of 64 pixels, not 96",)
    assert "as initialised: fc6, which is for faces of 64 pixels, not 96" in str(loaded)
    changed = {name for name, tensor in cnn.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == set(before) - {"fc.weight", "fc.bias"}


def test_convolutions_alone_are_enough_and_what_is_not_used_is_named(tmp_path, arrays):
    tensors = torch_file("features", arrays)
    torch.save({k: v for k, v in tensors.items() if k.startswith("features")}, tmp_path / "vgg.pth")
    loaded = load_vgg_face(small_cnn(), tmp_path / "vgg.pth")
    assert len(loaded.layers) == 13 and loaded.left_out == ("fc6, which the file does not hold",)
    assert loaded.unused == ()
    torch.save(torch_file("conv1_1", arrays) | {"age.weight": torch.ones(2)}, tmp_path / "vgg.pth")
    loaded = load_vgg_face(small_cnn(), tmp_path / "vgg.pth")
    assert loaded.unused == ("fc7.weight", "fc7.bias", "fc8.weight", "fc8.bias", "age.weight")
    assert str(loaded).endswith("not used: fc7.weight, fc7.bias, fc8.weight, fc8.bias, age.weight")


@pytest.mark.parametrize("names", ["conv1_1", "conv_1_1", "features", "matlab", "PyVGGFace"])
@pytest.mark.parametrize("size", [224, 96])
def test_published_shapes_fit_at_width_1(names, size):
    """No memory is taken for them."""
    tensors = {}
    for layer, (*sides, before, after) in matlab_shapes(1, 224, 2622).items():
        shape = (after, before, *sides) if layer[0] == "c" else (after, before * sides[0] ** 2)
        name, bias, weight = f"{torch_name(names, layer)}.", "bias", "weight"
        if names == "matlab":
            name, bias, weight, shape = layer, "b", "f", (*sides, before, after)
        tensors[name + weight] = torch.empty(shape, device="meta")
        tensors[name + bias] = torch.empty((1, after) if names == "matlab" else after, device="meta")
    with torch.device("meta"):
        cnn = VGGFace(AffWildNetConfig(width=1.0, image_size=size))
    state, loaded = match_vgg_face(tensors, cnn, "vgg")
    ours = {name: tensor.shape for name, tensor in cnn.state_dict().items()}
    if size != 224:
        assert loaded.left_out == ("fc6, which is for faces of 224 pixels, not 96",)
        del ours["fc.weight"], ours["fc.bias"]
    assert {name: tensor.shape for name, tensor in state.items()} == ours
    assert len(loaded.unused) == 4
    if size == 224:
        assert state["fc.weight"].shape == (4096, 25088)


def complaint(path, cnn=None):
    """The line that a file is refused with; the network stays as it was."""
    cnn = cnn or small_cnn()
    before = copy.deepcopy(cnn.state_dict())
    with pytest.raises(UserError) as error:
        load_vgg_face(cnn, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in cnn.state_dict().items())
    assert "\n" not in str(error.value) and str(error.value).startswith(str(path))
    return str(error.value)


def test_what_is_missing_foreign_or_double_is_named(tmp_path, arrays):
    def refused(change, style="conv1_1"):
        tensors = torch_file(style, arrays)
        change(tensors)
        torch.save(tensors, tmp_path / "vgg.pth")
        return complaint(tmp_path / "vgg.pth")

    assert "conv3_2.bias is missing;" in refused(lambda t: t.pop("conv3_2.bias"))
    assert "fc6.bias is missing;" in refused(lambda t: t.pop("fc6.bias"))
    assert "fc6.weight is missing;" in refused(lambda t: t.pop("fc6.weight"))
    assert "features.28" not in refused(lambda t: t.pop("features.28.weight"), "features")
    odd = {"fc6.weight": torch.zeros(205, 26 * 3)}  # 3 pixels are no square
    assert "fc6.weight is (205, 78), here (205, 104)" in refused(lambda t: t.update(odd))
    vgg_19 = {"conv3_4.weight": torch.zeros(13, 13, 3, 3)}
    assert "conv3_4.weight is no layer of VGG-Face" in refused(lambda t: t.update(vgg_19))
    double = {"encoder.conv1_1.weight": torch.zeros(3, 3, 3, 3)}
    assert "conv1_1.weight is there twice" in refused(lambda t: t.update(double))
    imagenet = {"classifier.6.bias": torch.zeros(1000)}
    assert "1000 classes of ImageNet" in refused(lambda t: t.update(imagenet), "features")


def test_another_network_is_named_by_its_first_names_and_one_of_another_width_by_its_shapes(tmp_path, arrays):
    names = [*(f"layer{i}.0.conv1.weight" for i in range(8)), "fc.weight", "bn1_1.weight", ""]
    resnet = {name: torch.zeros(2, 2, 3, 3) for name in ("conv1.weight", *names)}
    torch.save(resnet, tmp_path / "resnet.pth")
    text = complaint(tmp_path / "resnet.pth")
    assert "holds no layer of VGG-Face" in text and "conv1.weight, layer0.0.conv1.weight" in text
    assert "layer3" in text and "layer4" not in text
    torch.save({}, tmp_path / "nothing.pth")
    assert "its first names: none" in complaint(tmp_path / "nothing.pth")
    torch.save(torch_file("conv1_1", arrays), tmp_path / "vgg.pth")
    text = complaint(tmp_path / "vgg.pth", small_cnn(width=0.1))
    assert "conv1_1.weight is (3, 3, 3, 3), here (6, 3, 3, 3)" in text and "width 1.0" in text
    assert text.count("here (") == 5 and "and 23 more" in text  # 14 layers, two tensors each


@pytest.mark.parametrize("zipped", [True, False])
def test_of_a_whole_model_it_is_said_that_it_would_run_a_program(tmp_path, zipped):
    """That it does not run is in test_security_pickles.py."""
    torch.save(small_cnn(), tmp_path / "vgg.pth", _use_new_zipfile_serialization=zipped)
    text = complaint(tmp_path / "vgg.pth")
    assert all(words in text for words in ("would run a program", "affkit.multitask.VGGFace", "state_dict()"))


def test_objects_in_npz_are_refused(tmp_path):
    array = np.array([None])
    np.savez(tmp_path / "vgg.npz", conv1_1f=array)
    assert "an object in it could run a program" in complaint(tmp_path / "vgg.npz")
    (tmp_path / "pickle.npz").write_bytes(array.dumps())
    assert "numpy.savez" in complaint(tmp_path / "pickle.npz")
    np.savez(tmp_path / "text.npz", conv1_1f=np.array(["a"]))
    assert "more than plain arrays of numbers" in complaint(tmp_path / "text.npz")


@pytest.mark.parametrize("writer", ["plain", "legacy", "safetensors", "npz"])
@pytest.mark.parametrize("part", [0.0, 0.001, 0.01, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_refused(tmp_path, arrays, writer, part):
    name, write = WRITERS[writer]
    path = tmp_path / name
    write(torch_file("conv1_1", arrays), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    assert "the file is empty" in complaint(path) if part == 0 else "damaged" in complaint(path)


@pytest.mark.parametrize("name", ["vgg.pth", "vgg.safetensors", "vgg.npz"])
@pytest.mark.parametrize("data", [b"these are not weights", b"<html>not found</html>", b"\x80\x02."])
def test_another_kind_of_file_under_the_name_is_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert "damaged" in complaint(tmp_path / name)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:'torch.load' received a zip file")
def test_kinds_that_are_not_read_and_entries_that_are_passed_over(tmp_path):
    assert "no such file" in complaint(tmp_path / "vgg.pth")
    for name in ("vgg-face.mat", "VGG_FACE.t7"):
        (tmp_path / name).write_bytes(b"a")
        assert "give one of .pth, .pt, .safetensors, .npz" in complaint(tmp_path / name)
    for content in ([torch.ones(1)], torch.ones(1)):
        torch.save(content, tmp_path / "vgg.pth")
        assert f"holds a {type(content).__name__} and no state dict" in complaint(tmp_path / "vgg.pth")
    torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.ones(1)), tmp_path / "vgg.pt")
    assert "(TorchScript)" in complaint(tmp_path / "vgg.pt")
    torch.save({"a": torch.ones(2), "epoch": 3, 7: torch.ones(1)}, tmp_path / "a.pth")
    assert set(read_weights(tmp_path / "a.pth")) == {"a", "7"}

import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from cherenkov_pipeline.alerts.networks.build import build_network
from cherenkov_pipeline.alerts.networks.registry import NetworkParameters
from cherenkov_pipeline.alerts.preparation import BY_HAND
from cherenkov_pipeline.alerts.safetensors import read_safetensors
from cherenkov_pipeline.alerts.weights import HEAD, find_weights, from_keras_hub, from_torch
from cherenkov_pipeline.errors import UserError

SHAPES = {"image": (32, 32, 1), "scalars": (2,)}
RESNET = NetworkParameters(name="resnet18")
CNN = NetworkParameters(name="cnn_scratch", options={"filters": (4, 6)})


@pytest.fixture(scope="module")
def network():
    model = build_network(RESNET, SHAPES)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(np.abs(rng.normal(0.1, 0.05, weight.shape)))
    return model


def _write_safetensors(path, tensors, kinds=None):
    header, parts, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name, values in tensors.items():
        part = np.ascontiguousarray(values).tobytes()
        kind = (kinds or {}).get(
            name, {"float32": "F32", "int64": "I64", "float16": "F16", "uint16": "BF16"}[values.dtype.name]
        )
        shape = list(values.shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + len(part)]}
        offset += len(part)
        parts.append(part)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(parts))


def _as_torch(network):
    """What torchvision would name the same weights, from its own rules for building a ResNet18."""
    layers = {layer.name: layer.get_weights() for layer in network.layers}
    places = {"conv1": "conv1", "bn1": "bn1"}
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            for number in (1, 2):
                places[f"layer{stage}.{block}.conv{number}"] = f"layer{stage}_{block}_conv{number}"
                places[f"layer{stage}.{block}.bn{number}"] = f"layer{stage}_{block}_bn{number}"
        if stage > 1:
            places[f"layer{stage}.0.downsample.0"] = f"layer{stage}_0_downsample0"
            places[f"layer{stage}.0.downsample.1"] = f"layer{stage}_0_downsample1"
    tensors = {}
    for torch_name, name in places.items():
        values = layers[name]
        if len(values) == 1:
            tensors[f"{torch_name}.weight"] = values[0].transpose(3, 2, 0, 1)
        else:
            for kind, one in zip(("weight", "bias", "running_mean", "running_var"), values, strict=True):
                tensors[f"{torch_name}.{kind}"] = one
            tensors[f"{torch_name}.num_batches_tracked"] = np.array(7)
    return tensors | {"fc.weight": np.zeros((1000, 512), np.float32), "fc.bias": np.zeros(1000, np.float32)}


def _assert_same_but_head(found, expected):
    others = {layer.name: layer for layer in expected.layers}
    compared = 0
    for layer in found.layers:
        if layer.weights and layer.name not in HEAD:
            for one, other in zip(layer.get_weights(), others[layer.name].get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)
                compared += 1
    assert compared


def test_random_weights_only_where_asked_for():
    assert find_weights(None) is None


def test_torchvision_names_map_one_to_one(network, tmp_path):
    tensors = _as_torch(network)
    assert len(tensors) == 122  # of torchvision's resnet18().state_dict()
    path = tmp_path / "resnet18.safetensors"
    _write_safetensors(path, tensors)
    other = build_network(RESNET, SHAPES)
    weights = find_weights(str(path))
    weights.apply(other)
    _assert_same_but_head(other, network)
    assert np.asarray(other.get_layer("head_raw").kernel).any() == False  # noqa: E712
    assert len(weights.layers) == 40


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_files_of_keras_are_read_by_the_names_of_layers(suffix, tmp_path):
    source = build_network(CNN, SHAPES)
    path = tmp_path / f"model{suffix}"
    source.save_weights(path) if suffix == ".weights.h5" else source.save(path)
    target = build_network(CNN, {"image": (20, 20, 1)})
    find_weights(str(path)).apply(target)
    _assert_same_but_head(target, source)
    simulated = find_weights("simulated", path) if suffix == ".keras" else None
    if simulated:
        assert "simulated frames of another mask pattern" in simulated.source


def test_names_of_keras_hub_map_one_to_one(network):
    """The names of keras-hub 0.21's ResNetBackbone."""
    theirs = {"conv1_conv": "conv1", "conv1_bn": "bn1"}
    for stack in range(4):
        for block in range(2):
            ours = f"layer{stack + 1}_{block}"
            for number in (1, 2):
                theirs[f"stack{stack}_block{block}_{number}_conv"] = f"{ours}_conv{number}"
                theirs[f"stack{stack}_block{block}_{number}_bn"] = f"{ours}_bn{number}"
            if stack and not block:
                theirs[f"stack{stack}_block{block}_0_conv"] = f"{ours}_downsample0"
                theirs[f"stack{stack}_block{block}_0_bn"] = f"{ours}_downsample1"
    given = {name: network.get_layer(ours).get_weights() for name, ours in theirs.items()}
    found = from_keras_hub(given)
    assert found.keys() == set(theirs.values())
    for name, ours in theirs.items():
        assert found[ours] is given[name]


def test_keras_hub_is_asked_for_its_preset(network, monkeypatch):
    def from_preset(name):
        if name != "resnet_18_imagenet":
            raise OSError("no route to host\nmore")
        return SimpleNamespace(layers=[layer for layer in network.layers if layer.name not in HEAD])

    module = ModuleType("keras_hub")
    module.__spec__ = SimpleNamespace()
    module.models = SimpleNamespace(Backbone=SimpleNamespace(from_preset=from_preset))
    monkeypatch.setitem(sys.modules, "keras_hub", module)
    other = build_network(RESNET, SHAPES)
    find_weights("keras_hub:resnet_18_imagenet").apply(other)
    _assert_same_but_head(other, network)
    with pytest.raises(UserError, match=r"resnet_99.*no route to host.*null \(random weights\)"):
        find_weights("keras_hub:resnet_99")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("simulated", "no weights of a training on simulated frames"),
        ("imagenet", "'imagenet' are of no known kind"),
        ("weights.pth", "of no known kind"),
        ("/nowhere/x.safetensors", "no file /nowhere/x.safetensors"),
        ("/nowhere/x.keras", "no file /nowhere/x.keras"),
        ("keras_hub:resnet_18_imagenet", "pip install keras-hub"),
    ],
)
def test_what_cannot_be_had_names_the_ways_out(wanted, message, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=message) as raised:
        find_weights(wanted)
    assert "null (random weights)" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["x.weights.h5", "x.keras", "x.safetensors"])
@pytest.mark.parametrize("content", [b"", b"garbage that is no file of any kind", bytes(200)])
def test_damaged_files_are_refused(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    if name == "x.safetensors" and content == bytes(200):
        content = (10**9).to_bytes(8, "little")
        path.write_bytes(content)
    with pytest.raises(UserError, match="x"):
        find_weights(str(path))


def test_weights_that_do_not_fit_are_refused(network, tmp_path):
    tensors = _as_torch(network)
    del tensors["layer3.1.conv2.weight"]
    _write_safetensors(tmp_path / "short.safetensors", tensors)
    with pytest.raises(UserError, match=r"no weights for 1 of the 40 layers of resnet18 \(layer3_1_conv2"):
        find_weights(str(tmp_path / "short.safetensors")).apply(build_network(RESNET, SHAPES))
    tensors = _as_torch(network)
    tensors["layer3.1.bn2.bias"] = np.zeros(3, np.float32)
    _write_safetensors(tmp_path / "other.safetensors", tensors)
    with pytest.raises(UserError, match=r"\(3,\).*layer3_1_bn2"):
        find_weights(str(tmp_path / "other.safetensors")).apply(build_network(RESNET, SHAPES))


def test_weights_from_elsewhere_know_no_features_by_hand(network, tmp_path):
    path = tmp_path / "short.safetensors"
    _write_safetensors(path, _as_torch(network))
    with_features = build_network(RESNET, {**SHAPES, BY_HAND: (19,)})
    before = with_features.get_layer(f"{BY_HAND}_1").get_weights()
    find_weights(str(path)).apply(with_features)
    _assert_same_but_head(network, with_features)
    for one, other in zip(before, with_features.get_layer(f"{BY_HAND}_1").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_safetensors_of_other_numbers(tmp_path):
    values = np.array([1.5, -2.0, 0.15625], dtype=np.float32)
    halves = (values.view(np.uint32) >> 16).astype(np.uint16)
    path = tmp_path / "x.safetensors"
    _write_safetensors(path, {"a": values, "b": halves, "c": values.astype(np.float16)})
    found = read_safetensors(path)
    for name in "abc":
        np.testing.assert_array_equal(found[name], values)
    assert "__metadata__" not in found
    _write_safetensors(path, {"a": values}, {"a": "F8_E5M2"})
    with pytest.raises(UserError, match="F8_E5M2"):
        read_safetensors(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match="outside the file"):
        read_safetensors(path)


def test_kernels_are_transposed():
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    found = from_torch({"layer2.0.downsample.0.weight": kernel})["layer2_0_downsample0"][0]
    assert found.shape == (4, 5, 3, 2)
    assert found[1, 2, 0, 1] == kernel[1, 0, 1, 2]

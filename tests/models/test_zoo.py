"""The zoo itself, without a device: both forms are one network, and its activations stay alive through the depth."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_cl.format.parser import parse_document
from nnef_cl.format.tensor_file import read_tensor_file
from nnef_cl.importer import import_model

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import onnx
import zoo

DESIGNS = zoo.KNOWN
NAMES = list(DESIGNS)
RARE = [name for name in NAMES if name not in zoo.NETWORKS and name not in zoo.ODD]
SOME = [pytest.param(name, marks=pytest.mark.slow if name in RARE else ()) for name in NAMES]
MORE = [pytest.param(name, marks=pytest.mark.slow if name in RARE[::2] else ()) for name in NAMES]
ALIVE = 0.05, 25.0
"""Root mean square of a tensor."""
SPREAD = 100 * 1e-4
"""Of the largest magnitude: a hundred tolerances of the comparison between engines."""


def small(name: str, folder: Path, **options: Any) -> zoo.Built:
    return zoo.build(name, folder, **{"size": DESIGNS[name].small, "width": 0.25, "classes": 10} | options)


def all_tensors(built: zoo.Built) -> Any:
    """An ONNX Runtime session that returns every tensor; the network's own outputs come first."""
    model = onnx.load(built.onnx, load_external_data=False)
    final = {value.name for value in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name not in final]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in names)
    path = built.onnx.with_name("all.onnx")
    onnx.save(model, path)
    return zoo.onnx_session(path, 1)


def check_alive(built: zoo.Built) -> None:
    """Root mean square of every tensor within ALIVE; two inputs give outputs that are far apart.

    What a softmax returns is small by nature: it must only be far from uniform.
    """
    session, rng = all_tensors(built), np.random.default_rng(1)
    first, second = (rng.standard_normal(built.input_shape, np.float32) for _ in range(2))
    tensors = session.run(None, {"input": first})
    values = {v.name: t for v, t in zip(session.get_outputs(), tensors, strict=True)}
    sizes = {
        name: float(np.sqrt(np.mean(t**2))) * (0.5 * t.shape[-1] if name.startswith("softmax") else 1)
        for name, t in values.items()
        if not name.startswith("masked")
    }
    assert len(sizes) >= 7
    assert {name: size for name, size in sizes.items() if not ALIVE[0] < size < ALIVE[1]} == {}
    outputs = [value.name for value in onnx.load(built.onnx, load_external_data=False).graph.output]
    for name, other in zip(outputs, session.run(outputs, {"input": second}), strict=True):
        assert np.abs(values[name] - other).max() > SPREAD * np.abs(values[name]).max()


@pytest.mark.parametrize("name", SOME)
def test_reduced_network_is_alive(name: str, tmp_path: Path) -> None:
    check_alive(small(name, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_full_network_is_alive(name: str, tmp_path: Path) -> None:
    check_alive(zoo.build(name, tmp_path))


@pytest.mark.parametrize("name", MORE)
def test_both_forms_are_one_network(name: str, tmp_path: Path) -> None:
    built = small(name, tmp_path, batch=2)
    onnx.checker.check_model(built.onnx)
    model = onnx.load(built.onnx, load_external_data=False)
    graph = import_model(built.nnef)
    extents = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in model.graph.output}
    assert [(n, graph.tensors[n].shape) for n in graph.outputs] == list(extents.items())
    # The shape that NNEF's rules infer and the one that ONNX Runtime computes.
    x = np.zeros(built.input_shape, np.float32)
    computed = zoo.onnx_session(built.onnx, 1).run(None, {"input": x})
    assert [y.shape for y in computed] == list(extents.values())
    stored_in_files = (t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL)
    weights = {t.name: onnx.numpy_helper.to_array(t, str(built.onnx.parent)) for t in stored_in_files}
    assert weights.keys() == {path.stem for path in built.nnef.glob("*.dat")}
    for label, expected in weights.items():
        stored = read_tensor_file(built.nnef / f"{label}.dat").array
        assert stored.dtype == np.float32
        assert np.array_equal(stored.reshape(expected.shape), expected), label


@pytest.mark.parametrize("name", SOME)
def test_graph_is_flat_nnef(name: str, tmp_path: Path) -> None:
    built = small(name, tmp_path)
    document = parse_document((built.nnef / "graph.nnef").read_text())
    assert document.graph.name == name
    assert [p.name for p in document.graph.parameters] == ["input"]
    assert document.fragments == () and document.extensions == ()


def test_parameter_counts(tmp_path: Path) -> None:
    """Of the published networks; they do not depend on the input's size. The U-Net's is summed in the next test."""
    counts = {
        "resnet18": 11_689_512, "resnet50": 25_557_032, "mobilenetv1": 4_231_976, "mobilenetv2": 3_504_872,
        "googlenet": 6_998_552, "squeezenet": 1_235_496, "densenet121": 7_978_856, "efficientnetb0": 5_288_548,
    }  # fmt: skip
    assert {name: zoo.build(name, tmp_path / name, size=32).parameters for name in counts} == counts


def test_unet_parameter_count(tmp_path: Path) -> None:
    def twice(channels: int, out: int) -> int:
        return channels * out * 9 + out + out * out * 9 + out

    widths = (32, 64, 128, 256, 512)
    down = sum(twice(a, b) for a, b in zip((3, *widths), widths, strict=False))
    up = sum(2 * b * b * 4 + b + twice(2 * b, b) for b in widths[:-1])
    assert zoo.build("unet", tmp_path, size=32).parameters == down + up + 32 * 2 + 2


@pytest.mark.slow
def test_parameter_counts_at_full_size(tmp_path: Path) -> None:
    """AlexNet: the original of two groups; Inception-v3: without the auxiliary classifier."""
    counts = {"alexnet": 60_965_224, "inceptionv3": 23_834_568, "vit_s16": 22_050_664}
    assert {name: zoo.build(name, tmp_path / name).parameters for name in counts} == counts


def test_the_seed_decides_the_weights(tmp_path: Path) -> None:
    first, same, other = (
        small("unet", tmp_path / str(place), seed=seed).onnx.with_name("weights.bin").read_bytes()
        for place, seed in enumerate((0, 0, 1))
    )
    assert first == same
    assert first != other and len(first) == len(other)


@pytest.mark.parametrize(("name", "size", "words"), [("alexnet", 32, "too small"), ("unet", 40, "multiple of 16")])
def test_sizes_that_do_not_fit(name: str, size: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        small(name, tmp_path, size=size)


def test_unknown_network(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="resnet50"):
        zoo.build("resnet51", tmp_path)
    assert list(tmp_path.iterdir()) == []

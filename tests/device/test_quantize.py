"""Quantisation on devices: the bits of the numpy definition, alone, in epilogues and in blocked layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnef_cl.conformance.harness import interpret
from nnef_cl.device import open_device
from nnef_cl.format.parser import parse_document
from nnef_cl.format.quant_file import parse_quant
from nnef_cl.format.tensor_file import ItemType, write_tensor
from nnef_cl.importer import import_document, import_model
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.session import Session, load

SHAPE = (2, 24, 9, 7)
OPERATIONS = (
    *(f"min_max_linear_quantize(x, -1.7, 1.3, bits = {bits}, signed = true, symmetric = true)" for bits in (4, 8, 12)),
    "min_max_linear_quantize(x, low, high, bits = 8, signed = false, symmetric = false)",
    "min_max_linear_quantize(x, low, max_reduce(x, axes = [0, 2, 3]), bits = 8, signed = false, symmetric = false)",
    "zero_point_linear_quantize(x, 128, 0.0123, bits = 8, signed = false, symmetric = false)",
    "zero_point_linear_quantize(x, zero, high, bits = 8, signed = true, symmetric = false)",
    "logarithmic_quantize(x, 1.7, bits = 4)",
    "logarithmic_quantize(x, high, bits = 3)",
)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_bits_are_those_of_the_definition(operation: str, selector: str) -> None:
    random = np.random.default_rng(7)
    data = {
        "low": random.uniform(-2, -1, (1, 24)), "high": random.uniform(0.01, 2, (1, 24)),
        "zero": random.integers(-9, 9, (1, 24)),
    }  # fmt: skip
    lines = [
        f"{name} = variable<{'integer' if array.dtype.kind == 'i' else 'scalar'}>(shape = [1, 24], label = '{name}');"
        for name, array in data.items()
    ]
    text = "\n".join(["version 1.0;", "graph g( x ) -> ( y ) {", f"x = external(shape = {list(SHAPE)});", *lines,
                      f"y = {operation};", "}"])  # fmt: skip
    graph = import_document(parse_document(text), STANDARD, lambda label, position: data[label])
    x = random.uniform(-2, 2, SHAPE).astype(np.float32)
    with Session(graph, open_device(selector), STANDARD | INTERNAL) as session:
        got = session.run({"x": x})["y"]
    np.testing.assert_array_equal(got, interpret(graph, {"x": x})["y"])


# A whole model ---------------------------------------------------------------------------------------------
GRAPH = """version 1.0;
graph classify( image ) -> ( scores )
{
    image = external(shape = [2, 3, 8, 8]);
    filter = variable(shape = [20, 3, 3, 3], label = 'conv/filter');
    bias = variable(shape = [1, 20], label = 'conv/bias');
    conv = conv(image, filter, bias, stride = [2, 2]);
    half = constant(shape = [1], value = [0.37]);
    shifted = add(conv, half);
    active = relu(shifted);
    mean = mean_reduce(active, axes = [2, 3]);
    flat = squeeze(mean, axes = [2, 3]);
    weights = variable(shape = [5, 20], label = 'weights');
    scores = linear(flat, weights);
}
"""


def to_range(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """linear_quantize to 8 bits, in double precision."""
    return np.floor((np.clip(x, low, high) - low) / (high - low) * 255 + 0.5) / 255 * (high - low) + low


def write_model(folder: Path) -> dict[str, np.ndarray]:
    """A folder of bytes: 8-bit filters with a scale for each channel, 32-bit bias, 4-bit weights, float constant."""
    random = np.random.default_rng(3)
    stored = {
        "filter": random.integers(-127, 128, (20, 3, 3, 3)), "bias": random.integers(-(2**20), 2**20, (1, 20)),
        "weights": random.integers(0, 16, (5, 20)), "scales": random.uniform(0.002, 0.01, 20).astype(np.float32),
    }  # fmt: skip
    (folder / "conv").mkdir()
    (folder / "graph.nnef").write_text(GRAPH)
    write_tensor(folder / "conv" / "filter.dat", stored["filter"], bits=8, code=ItemType.QUANTISED_SIGNED)
    write_tensor(folder / "conv" / "bias.dat", stored["bias"], bits=32, code=ItemType.QUANTISED_SIGNED)
    write_tensor(folder / "weights.dat", stored["weights"], bits=4, code=ItemType.QUANTISED_UNSIGNED)
    scales = ", ".join(repr(float(scale)) for scale in stored["scales"])
    (folder / "graph.quant").write_text(f"""# activations
"image": linear_quantize(min = -1.0, max = 1.0, bits = 8);
"half": linear_quantize(min = 0.0, max = 1.0, bits = 2);
"conv": linear_quantize(min = -2.0, max = 2.0, bits = 8);
'shifted': linear_quantize(min = -1.0, max = 2.0, bits = 8);
"flat": linear_quantize(min = 0.0, max = 1.37, bits = 8); "scores": linear_quantize(min = -4.0, max = 4.0, bits = 8);
# variables
"filter": zero_point_linear_quantize(zero_point = 0, scale = [{scales}], bits = 8, signed = true, symmetric = true);
"bias": zero_point_linear_quantize(zero_point = 0, scale = 1e-6, bits = 32, signed = true, symmetric = false);
"weights": min_max_linear_quantize(min = -1.0, max = 0.875, bits = 4, signed = false, symmetric = false);
""")
    return stored


def computed(stored: dict[str, np.ndarray], image: np.ndarray) -> np.ndarray:
    """The model by hand."""
    padded = np.pad(to_range(image, -1, 1), ((0, 0), (0, 0), (0, 1), (0, 1)))
    filters = stored["filter"] * stored["scales"].astype(np.float64)[:, None, None, None]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    conv = np.einsum("nchwij,kcij->nkhw", windows, filters) + (stored["bias"] * 1e-6)[:, :, None, None]
    shifted = to_range(to_range(conv, -2, 2) + 1 / 3, -1, 2)
    flat = to_range(np.maximum(shifted, 0).mean(axis=(2, 3)), 0, 1.37)
    return to_range(flat @ (stored["weights"] / 8 - 1).T, -4, 4)


def test_a_quantised_model(tmp_path: Path, selector: str) -> None:
    """From the bytes of .dat and graph.quant. The ranges are such that no sum lands between two steps."""
    stored = write_model(tmp_path)
    image = np.random.default_rng(5).uniform(-1.2, 1.2, (2, 3, 8, 8)).astype(np.float32)
    with load(tmp_path, device=selector, keep=["conv", "shifted"]) as session:
        outputs = session.run({"image": image})
    scores = outputs["scores"]
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, computed(stored, image), atol=1e-5)
    graph = import_model(tmp_path)
    assert set(np.unique(interpret(graph, {"image": image})["half"])) == {np.float32(1 / 3)}
    steps = (outputs["shifted"].astype(np.float64) + 1) / 3 * 255
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert len(np.unique(outputs["conv"])) > 100 and len(np.unique(scores)) > 5


def test_results_that_are_inputs_or_states(selector: str) -> None:
    """The caller gets the quantised tensor; the state keeps what it was updated to."""
    lines = ["x = external(shape = [4]);", "h = variable(shape = [4], label = 'h');", "n = update(h, mul(x, 0.75));"]
    text = "\n".join(["version 1.0;", "graph g( x ) -> ( n, h, x ) {", *lines, "}"])
    entries = "".join(f"'{name}': linear_quantize(min = 0.0, max = 3.0, bits = 2);" for name in "hx")
    graph = import_document(
        parse_document(text), STANDARD, lambda label, position: np.float32([0, 1.6, 2, 9]), quant=parse_quant(entries)
    )
    x = np.float32([0.4, 0.6, 1.2, 2.9])
    with Session(graph, open_device(selector), STANDARD | INTERNAL, keep="x.quantised") as session:
        assert list(session.outputs) == ["n", "h", "x"]
        first, second = session.run({"x": x}), session.run({"x": x})
        assert list(first) == ["n", "h", "x", "x.quantised"]
        np.testing.assert_array_equal(first["x"], [0, 1, 1, 3])
        np.testing.assert_array_equal(first["x.quantised"], first["x"])
        np.testing.assert_array_equal(first["h"], [0, 2, 2, 3])
        np.testing.assert_array_equal(session.state["h"], first["n"])
        np.testing.assert_array_equal(second["h"], [0, 1, 1, 2])


def test_rounding_between_the_steps_of_an_epilogue(selector: str) -> None:
    """Every value with an entry is rounded there, in order, though one kernel computes all of them."""
    lines = ["x = external(shape = [1, 8, 6, 6]);", "w = variable(shape = [16, 8, 3, 3], label = 'w');", "a = conv(x, w);",
             "b = mul(a, 1.7);", "c = tanh(b);", "y = mul(c, 1.1);"]  # fmt: skip
    text = "\n".join(["version 1.0;", "graph g( x ) -> ( y ) {", *lines, "}"])
    entries = "".join(f"'{name}': linear_quantize(min = -1.0, max = 1.0, bits = {bits});"
                      for name, bits in zip("abcy", (3, 4, 3, 2), strict=True))  # fmt: skip
    random = np.random.default_rng(11)
    weights = random.normal(size=(16, 8, 3, 3)).astype(np.float32) / 8
    graph = import_document(parse_document(text), STANDARD, lambda label, position: weights, quant=parse_quant(entries))
    x = random.uniform(-1, 1, (1, 8, 6, 6)).astype(np.float32)
    with Session(graph, open_device(selector), STANDARD | INTERNAL) as session:
        assert sum(node.op in ("conv", "map") for node in session.graph.nodes) == 1
        got = session.run({"x": x})["y"]
    expected = interpret(graph, {"x": x})["y"]
    assert len(np.unique(expected)) > 2
    assert np.mean(got != expected) < 0.002  # a sum beside a boundary

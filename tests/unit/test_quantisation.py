"""Quantisation: the formulas, graph.quant on every kind of tensor, stored codes, and what must be refused."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nnef_cl.codegen.target import Target

from nnef_cl import passes
from nnef_cl.commands.info import describe
from nnef_cl.conformance.harness import OPS, interpret
from nnef_cl.errors import ModelError
from nnef_cl.format.parser import parse_document
from nnef_cl.format.quant_file import parse_quant
from nnef_cl.format.tensor_file import ItemType, TensorFile, read_tensor_file, write_tensor
from nnef_cl.importer import LENIENT, STRICT, import_document
from nnef_cl.importer.validate import validate_model
from nnef_cl.ir.dump import dump, to_json
from nnef_cl.ir.graph import Graph
from nnef_cl.ir.quant import Quant, ceil_log2, power_of_two, round_log2
from nnef_cl.ops import STANDARD

HEAD = """version 1.0;
extension KHR_enable_fragment_definitions; extension KHR_enable_operator_expressions;
"""
HALVES = "min_max_linear_quantize(min = -2.0, max = 2.0, bits = 3, signed = true, symmetric = true)"
TENTHS = "zero_point_linear_quantize(zero_point = 0, scale = 0.1, bits = 8, signed = true, symmetric = false)"


def load(
    body: str, quant: str = "", data: Mapping[str, Any] | None = None, *, signature: str = "x ) -> ( y",
    fragments: str = "", **options: Any,
) -> Graph:  # fmt: skip
    """body: after x = external(shape = [1,3]). data: label -> array or TensorFile."""
    text = f"{HEAD}{fragments}\ngraph g( {signature} )\n{{ x = external(shape = [1, 3]);\n{body}\n}}\n"
    return import_document(
        parse_document(text), STANDARD, lambda label, position: (data or {})[label], quant=parse_quant(quant), **options
    )


def run(graph: Graph, *x: float) -> dict[str, np.ndarray]:
    """Before and after the passes, by the references."""
    inputs = {"x": np.array([x or (0.3, -0.74, 9.0)], np.float32)}
    with np.errstate(all="ignore"):
        values = interpret(graph, inputs)
        later = interpret(passes.run(graph, OPS, Target.generic(8)), inputs)
    for name in map(graph.output_tensor, graph.outputs):
        np.testing.assert_array_equal(values[name], later[name])
    return values


def halves(*x: float) -> np.ndarray:
    """HALVES by hand: six steps of 2/3."""
    steps = np.floor((np.clip(x, -2, 2) + 2) * 1.5 + 0.5)
    return np.asarray(steps / 1.5 - 2, np.float32)


def refused(message: str, body: str, quant: str, data: Mapping[str, Any] | None = None, **options: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load(body, quant, data, **options)
    assert str(caught.value).startswith(message), str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    return caught.value


# Formulas --------------------------------------------------------------------------------------------------
FLAGS = [(False, False), (True, False), (True, True), (False, True)]


@pytest.mark.parametrize("op", ["min_max_linear_quantize", "zero_point_linear_quantize", "logarithmic_quantize"])
@pytest.mark.parametrize("bits", [2, 5, 8, 12])
def test_operations_are_their_bodies(op: str, bits: int) -> None:
    """The standard's own text, expanded step by step: same steps, so nearly the same floats."""
    declaration = STANDARD[op].text
    own = f"{declaration.replace(f'fragment {op}(', 'fragment own(', 1)}\n"
    random = np.random.default_rng(bits)
    first, *rest = {"m": ("-1.3, 1.7",), "z": ("3, 0.0123",), "l": ("1.7",)}[op[0]]
    assert not rest
    for signed, symmetric in FLAGS[: 1 if op[0] == "l" else 4]:
        flags = f", signed = {signed}, symmetric = {symmetric}".lower() if op[0] != "l" else ""
        call = f"(x, {first}, bits = {bits}{flags})"
        graph = load(f"y = {op}{call}; z = own{call};", signature="x ) -> ( y, z", fragments=own)
        for _ in range(20):
            values = interpret(graph, {"x": random.uniform(-2, 2, (1, 3)).astype(np.float32)})
            np.testing.assert_allclose(values["y"], values["z"], rtol=0, atol=1e-6)


def test_no_logarithm_is_off_by_one() -> None:
    """Powers of two and their neighbours, and square roots of two between them."""
    exponents = np.arange(-126, 128)
    powers = np.ldexp(np.float32(1), exponents)
    above, below = np.nextafter(powers, np.float32(np.inf)), np.nextafter(powers, np.float32(0))
    np.testing.assert_array_equal(ceil_log2(powers), exponents)
    np.testing.assert_array_equal(ceil_log2(above), exponents + 1)
    np.testing.assert_array_equal(ceil_log2(below), exponents)
    np.testing.assert_array_equal(power_of_two(exponents.astype(np.float32)), powers)
    root = np.float32(1.41421354)
    np.testing.assert_array_equal(round_log2(powers * root), exponents)
    np.testing.assert_array_equal(round_log2(powers * np.nextafter(root, np.float32(2))), exponents + 1)
    np.testing.assert_array_equal(round_log2(np.float32([0, np.inf, -1, np.nan])), [-np.inf, np.inf, np.nan, np.nan])


@pytest.mark.parametrize(("signed", "symmetric"), FLAGS)
@pytest.mark.parametrize("op", ["min_max_linear_quantize", "zero_point_linear_quantize"])
def test_values_of_codes_are_fixed_points(op: str, signed: bool, symmetric: bool) -> None:
    parameters = {
        "m": {"min": np.float32([[-1.3], [0.25]]), "max": np.float32([[1.7], [2.5]])},
        "z": {"zero_point": np.int64([[3], [-5]]), "scale": np.float32([[0.1], [0.033]])},
    }[op[0]]
    for bits in (2, 3, 8, 12):
        quant = Quant(op, parameters, {"bits": bits, "signed": signed, "symmetric": symmetric})
        low, high = quant.code_range(signed)
        codes = np.broadcast_to(np.arange(low + (signed and symmetric), high + 1 - (symmetric and not signed)), (2, high - low + 1 - symmetric))
        values = quant.dequantise(np.ascontiguousarray(codes), bits, signed)
        np.testing.assert_array_equal(quant.quantise(values), values)
        assert (np.diff(values, axis=1) > 0).all()


def test_stored_integers_of_32_bits() -> None:
    quant = Quant("zero_point_linear_quantize", {"zero_point": np.int64(0), "scale": np.float32(2**-20)},
                  {"bits": 32, "signed": True, "symmetric": False})  # fmt: skip
    codes = np.int64([-(2**31), 2**31 - 1, 12345, 0])
    np.testing.assert_array_equal(quant.dequantise(codes, 32, True), np.float32([-2048, 2048, 12345 * 2**-20, 0]))
    unsigned = Quant("min_max_linear_quantize", {"min": np.float32(0), "max": np.float32(1)},
                     {"bits": 64, "signed": False, "symmetric": False})  # fmt: skip
    np.testing.assert_allclose(unsigned.dequantise(np.int64([0, 2**62]), 64, False), [0, 0.25])


# graph.quant -----------------------------------------------------------------------------------------------
def test_every_kind_of_tensor_is_quantised() -> None:
    body = """w = variable(shape = [1, 3], label = 'w'); c = constant(shape = [1, 3], value = [0.3, 0.5, -7.0]);
    s = x + w; y = s * c;"""
    entries = "\n".join(f"'{name}': {HALVES};" for name in ("x", "w", "c", "s", "y"))
    w = np.float32([[0.3, 1.1, -0.2]])
    values = run(load(body, entries, {"w": w}))
    s = halves(*(halves(0.3, -0.74, 9) + halves(*w[0])))
    np.testing.assert_allclose(values["s"][0], s, atol=1e-6)
    np.testing.assert_allclose(values["y"][0], halves(*(s * halves(0.3, 0.5, -7))), atol=1e-6)
    np.testing.assert_allclose(values["w"][0], halves(*w[0]), atol=1e-6)
    np.testing.assert_array_equal(values["w.raw"], w)


def test_the_equivalent_description() -> None:
    """Chapter 7: as if the operation were applied to the tensor after it is computed."""
    graph = load("t = relu(x); y = t + 1.0;", f"'t': {TENTHS};")
    written = load(f"r = relu(x); t = {TENTHS.replace('(', '(r, ', 1).replace('zero_point = 0, scale = 0.1', '0, 0.1')};"
                   "y = t + 1.0;")  # fmt: skip
    x = 0.26, -1.0, 20.0
    np.testing.assert_array_equal(run(graph, *x)["y"], run(written, *x)["y"])
    np.testing.assert_allclose(run(graph, *x)["t"], [[0.3, 0.0, 12.7]], rtol=1e-6)
    assert [node.op for node in graph.nodes] == [node.op for node in written.nodes]
    assert graph.nodes[1].position == "graph.quant:1:1" and graph.nodes[1].inputs[0] == "t.raw"
    for one in (graph, written):
        quant = one.tensors["t"].quant
        assert quant is not None and str(quant) == "zero_point 8 bits signed, zero_point 0, scale 0.1"


def test_channels_have_ranges_of_their_own() -> None:
    entry = "linear_quantize(min = [[0.0, -1.0, 0.0]], max = [[1.0, 1.0, 3.0]], bits = 1)"
    np.testing.assert_array_equal(run(load("y = x + 0.0;", f"'y': {entry};"), 0.7, 0.2, 1.2)["y"], [[1, 1, 0]])
    zero = "zero_point_linear_quantize(zero_point = [[0, 1, 2]], scale = [[1.0, 0.5, 0.25]], bits = 2, signed = false, symmetric = false)"
    graph = load("y = x + 0.0;", f"'y': {zero};")
    np.testing.assert_array_equal(run(graph, 9.0, 9.0, 9.0)["y"], [[3, 1, 0.25]])
    np.testing.assert_array_equal(run(graph, -9.0, -9.0, -9.0)["y"], [[0, -0.5, -0.5]])
    assert str(graph.tensors["y"].quant).endswith("zero_point 3 values, scale 3 values")


def test_ranges_computed_at_run_time() -> None:
    graph = load("m = max_reduce(x, axes = [1]); y = linear_quantize(x, 0.0, m, bits = 2);")
    np.testing.assert_allclose(run(graph, 0.0, 4.1, 9.0)["y"], [[0, 3, 9]])
    assert graph.tensors["y"].quant is None


def test_parts_of_a_statement() -> None:
    """Each result of a statement may have an entry; what the statement computes from one is not quantised."""
    graph = load("[a, b, c] = split(x, axis = 1, ratios = [1, 1, 1]); y = concat([a, b, c], axis = 1);",
                 f"'a': {HALVES}; 'c': {HALVES};")  # fmt: skip
    np.testing.assert_allclose(run(graph)["y"][0], [*halves(0.3), -0.74, *halves(9)], atol=1e-6)
    pair = "fragment pair( x: tensor<scalar> ) -> ( a: tensor<scalar>, b: tensor<scalar> ) { a = x + 0.0; b = a + 1.0; }"
    graph = load("a, y = pair(x);", f"'a': {HALVES};", fragments=pair, signature="x ) -> ( a, y")
    values = run(graph)
    np.testing.assert_allclose(values["a"][0], halves(0.3, -0.74, 9), atol=1e-6)
    np.testing.assert_allclose(values["y"], [[1.3, 0.26, 10]], atol=1e-6)


def test_aliases_and_results() -> None:
    graph = load("t = x; y = t;", f"'t': {HALVES};", signature="x ) -> ( y, t")
    values = run(graph)
    np.testing.assert_allclose(values["y"][0], halves(0.3, -0.74, 9), atol=1e-6)
    np.testing.assert_array_equal(values["y"], values["t"])
    graph = load("y = variable(shape = [1, 3], label = 'w');", f"'y': {HALVES};", {"w": np.float32([[0.3, 1, 5]])})
    np.testing.assert_allclose(run(graph)["y"][0], halves(0.3, 1, 5), atol=1e-6)


def test_a_fragment_of_the_file_can_quantise() -> None:
    steps = """fragment steps( x: tensor<scalar>, step: tensor<scalar>, from: tensor<scalar> = 0.0, times: scalar )
    -> ( y: tensor<scalar> ) { y = round((x - from) / step) * step * times; }"""
    graph = load("y = x + 0.0;", "'y': steps(step = [[1.0, 2.0, 4.0]], times = 1.0);", fragments=steps)
    np.testing.assert_array_equal(run(graph, 2.4, 2.9, 5.0)["y"], [[2, 2, 4]])
    same = "fragment same( x: tensor<scalar> ) -> ( y: tensor<scalar> ) { y = x; }"
    np.testing.assert_array_equal(run(load("y = x + 0.0;", "'y': same();", fragments=same), 1, 2, 3)["y"], [[1, 2, 3]])


def test_a_convolution_with_quantised_filters_keeps_them() -> None:
    """A batch normalisation behind it is not folded into codes; one behind a quantised result cannot be."""
    body = """w = variable(shape = [2, 1, 1, 1], label = 'w'); i = reshape(x, shape = [1, 1, 3, 1]);
    c = conv(i, w); y = c * p; p2 = p;"""
    body = body.replace("y = c * p; p2 = p;", "p = variable(shape = [1, 2], label = 'p'); y = c * p;")
    data = {"w": np.float32([0.4, -0.3]).reshape(2, 1, 1, 1), "p": np.float32([[0.7, 3.3]])}
    folded = passes.run(load(body, "", data), OPS, Target.generic(8))
    assert all(node.epilogue is None for node in folded.nodes if node.op == "conv")
    for tensor in ("w", "c"):
        graph = load(body, f"'{tensor}': {HALVES};", data)
        kept = passes.run(graph, OPS, Target.generic(8))
        conv = next(node for node in kept.nodes if node.op == "conv")
        assert conv.epilogue is not None and "mul" in str(conv.epilogue)
        run(graph)


def test_an_updated_variable_is_quantised_when_it_is_read() -> None:
    body = "h = variable(shape = [1, 3], label = 'h'); y = h + x; n = update(h, y);"
    codes = stored(np.int64([[0, 3, 6]]), 8, ItemType.QUANTISED_UNSIGNED)
    entry = "'h': linear_quantize(min = -2.0, max = 2.0, bits = 3);"
    for data in (np.float32([[-2, -0.2857143, 1.4285715]]), codes):
        graph = load(body, entry, {"h": data}, signature="x ) -> ( y, n")
        assert dict(graph.updates) == {"h": "y"} and list(graph.variables) == ["h"]
        np.testing.assert_allclose(graph.variables["h"].array, [[-2, -0.2857143, 1.4285715]], rtol=1e-6)
        quant = next(node for node in graph.nodes if node.op == "min_max_linear_quantize")
        assert quant.inputs[0] == "h" and quant.outputs == ("h.quantised",) and graph.tensors["h"].quant is None
        assert next(node for node in graph.nodes if node.op == "add").inputs == ("h.quantised", "x")


def test_inputs_and_states_can_be_results() -> None:
    """The caller gets what the graph reads, under the name that the raw tensor has."""
    body = "h = variable(shape = [1, 3], label = 'h'); y = h + x; n = update(h, y);"
    state = np.float32([[0.3, 1.1, -0.2]])
    graph = load(body, f"'x': {HALVES}; 'h': {HALVES};", {"h": state}, signature="x ) -> ( h, y, x")
    assert graph.outputs == ("h", "y", "x") and dict(graph.renamed) == {"h": "h.quantised", "x": "x.quantised"}
    values = run(graph)
    np.testing.assert_allclose(values["x.quantised"][0], halves(0.3, -0.74, 9), atol=1e-6)
    np.testing.assert_allclose(values["h.quantised"][0], halves(*state[0]), atol=1e-6)
    [shown] = [line.split() for line in dump(graph).partition("outputs:")[2].splitlines() if line.startswith("  x")]
    assert shown[1:3] == ["f32[1,3]", "{min_max"] and shown[-1] == "x.quantised"
    assert to_json(graph)["renamed"] == dict(graph.renamed)


@pytest.mark.parametrize("body", [
    "y = x + update(h, x);",
    "y = x + update(value = -x, variable = h);",
    "z = copy(x); [y] = [for one in [h] yield update(one, z)];",
    "[y, z] = [for one in [h, k] yield update(one, x)];",
    "y = update(k if false else h, x) if true else x;",
])  # fmt: skip
def test_a_stored_state_may_be_updated_anywhere(body: str) -> None:
    codes = stored(np.int64([[0, 3, 6]]), 8, ItemType.QUANTISED_UNSIGNED)
    begin = "h = variable(shape = [1, 3], label = 'h'); k = variable(shape = [1, 3], label = 'k'); r = copy(h);"
    entry = "linear_quantize(min = -2.0, max = 2.0, bits = 3)"
    data = {"h": codes, "k": np.float32([[1, 2, 3]])}
    graph = load(begin + body, f"'h': {entry};", data, signature="x ) -> ( y, r")
    assert "h" in graph.updates and "h" in graph.variables and graph.tensors["h"].quant is None
    assert next(node for node in graph.nodes if node.name == "r").inputs == ("h.quantised",)
    np.testing.assert_allclose(graph.variables["h"].array, [[-2, -0.2857143, 1.4285715]], rtol=1e-6)


def test_states_of_one_label_are_one() -> None:
    """Both names read what the update left, each quantised; two ways to decode the first value are refused."""
    body = "h = variable(shape = [1, 3], label = 'h'); k = variable(shape = [1, 3], label = 'h'); y = update(h, x); r = copy(k);"
    entry = "linear_quantize(min = -{0}, max = {0}, bits = 3)"
    codes = stored(np.int64([[0, 3, 6]]), 8, ItemType.QUANTISED_UNSIGNED)
    for data in (codes, np.float32([[-2, -0.2857143, 1.4285715]])):
        graph = load(body, f"'h': {entry.format(2.0)}; 'k': {entry.format(2.0)};", {"h": data}, signature="x ) -> ( y, r")
        assert list(graph.variables) == ["h", "k"] and graph.variables["h"] is graph.variables["k"]
        assert graph.tensors["k"].quant is None and graph.nodes[-1].inputs == ("k.quantised",)
    refused("graph.nnef:6:48: variable 'k': label 'h' is updated, and two entries of graph.quant decode its codes", body,
            f"'h': {entry.format(2.0)}; 'k': {entry.format(4.0)};", {"h": codes}, signature="x ) -> ( y, r")  # fmt: skip


def test_info_and_dump_show_it() -> None:
    channels = "linear_quantize(min = 0.0, max = [[1.0, 2.0, 0.5]], bits = 4)"
    graph = load("t = relu(x); y = t + 1.0;", f"'x': {HALVES}; 't': {channels};")
    t = {"operation": "min_max_linear_quantize", "min": 0.0, "max": [[1.0, 2.0, 0.5]], "bits": 4, "signed": False,
         "symmetric": False}  # fmt: skip
    text = "min_max 4 bits, min 0, max 3 values"
    report = json.loads(json.dumps(describe(graph, OPS)))
    assert list(report["quantised"]) == ["x.quantised", "t"] and report["quantised"]["t"] == {**t, "text": text}
    assert json.loads(json.dumps(to_json(graph)))["tensors"]["t"]["quantisation"] == t
    assert f"f32[1,3] {{{text}}}" in dump(graph) and "quantisation" not in to_json(graph)["tensors"]["y"]
    fused = passes.run(graph, OPS, Target.generic(8))
    assert fused.tensors["y"].quant is None and "clamp" in dump(fused)


# Stored codes ----------------------------------------------------------------------------------------------
def stored(
    array: Any, bits: int, item: ItemType, code: int | None = None, parameters: bytes = b"", name: str = "w.dat"
) -> TensorFile:
    """A tensor file from bytes, as a reader sees it. code, parameters: header fields of old files."""
    file = io.BytesIO()
    write_tensor(file, np.asarray(array), bits=bits, code=item)
    content = bytearray(file.getvalue())
    if code is not None:
        content[48:50] = struct.pack("<H", code)
    content[52 : 52 + len(parameters)] = parameters
    return read_tensor_file(bytes(content), name)


BODY = "w = variable(shape = [1, 3], label = 'w'); y = w + x;"
WIDTHS = (1, 2, 3, 4, 7, 8, 12, 16, 24, 31, 32, 33, 63)


@pytest.mark.parametrize("bits", WIDTHS)
def test_codes_of_every_width(bits: int) -> None:
    top = 2**bits - 1
    file = stored(np.int64([[0, top // 2, top]]), bits, ItemType.QUANTISED_UNSIGNED)
    graph = load(BODY, f"'w': linear_quantize(min = -1.0, max = 3.0, bits = {bits});", {"w": file})
    np.testing.assert_allclose(graph.constants["w"].array, [[-1, top // 2 / top * 4 - 1, 3]], rtol=1e-6, atol=1e-6)
    assert graph.constants["w"].array.dtype == np.float32 and graph.tensors["w"].quant is not None
    assert [node.op for node in graph.nodes] == ["add"]
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    signed = stored(np.int64([[low, 0, high]]), bits, ItemType.QUANTISED_SIGNED)
    entry = f"zero_point_linear_quantize(zero_point = 0, scale = 0.5, bits = {bits}, signed = true, symmetric = false)"
    graph = load(BODY, f"'w': {entry};", {"w": signed})
    np.testing.assert_allclose(graph.constants["w"].array, [[low / 2, 0, high / 2]], rtol=1e-6)
    if bits > 1:
        entry = f"min_max_linear_quantize(min = -1.0, max = 3.0, bits = {bits}, signed = true, symmetric = false)"
        graph = load(BODY, f"'w': {entry};", {"w": signed})
        np.testing.assert_allclose(graph.constants["w"].array, [[-1, 2 ** (bits - 1) / top * 4 - 1, 3]], rtol=1e-6, atol=1e-6)


def test_codes_of_channels_and_logarithms() -> None:
    file = stored(np.int64([[0, 128, 255]]), 8, ItemType.QUANTISED_UNSIGNED)
    entry = "zero_point_linear_quantize(zero_point = [[0, 128, 7]], scale = [[1.0, 2.0, 0.5]], bits = 8, signed = false, symmetric = false)"
    np.testing.assert_array_equal(load(BODY, f"'w': {entry};", {"w": file}).constants["w"].array, [[0, 0, 124]])
    logarithmic = "'w': logarithmic_quantize(max = 3.0, bits = 2);"
    file = stored(np.int64([[0, 1, 3]]), 2, ItemType.QUANTISED_UNSIGNED)
    np.testing.assert_array_equal(load(BODY, logarithmic, {"w": file}).constants["w"].array, [[0.5, 1, 4]])
    file = stored(np.int64([[-4, 1, -1]]), 3, ItemType.QUANTISED_SIGNED)
    np.testing.assert_array_equal(load(BODY, logarithmic, {"w": file}).constants["w"].array, [[-0.5, 1, -4]])


def test_two_variables_of_one_label_have_entries_of_their_own() -> None:
    file = stored(np.int64([[0, 1, 3]]), 2, ItemType.QUANTISED_UNSIGNED)
    body = "v = variable(shape = [1, 3], label = 'w'); w = variable(shape = [1, 3], label = 'w'); y = v + w;"
    entries = "'v': linear_quantize(min = 0.0, max = 3.0, bits = 2); 'w': linear_quantize(min = 0.0, max = 6.0, bits = 2);"
    graph = load(body, entries, {"w": file})
    np.testing.assert_array_equal(graph.constants["v"].array, [[0, 1, 3]])
    np.testing.assert_array_equal(graph.constants["w"].array, [[0, 2, 6]])


def test_deprecated_parameters() -> None:
    """Codes of the item types before NNEF 1.0.3 and of 1.0.3 on, with the range in the header."""
    span = struct.pack("<2f", -1.0, 3.0)
    codes, linear = np.int64([[0, 1, 3]]), [[-1, 1 / 3, 3]]
    for code in (0x10, 2):
        graph = load(BODY, "", {"w": stored(codes, 2, ItemType.QUANTISED_UNSIGNED, code, span)})
        np.testing.assert_allclose(graph.constants["w"].array, linear, rtol=1e-6)
        assert "[item-parameters]" in graph.warnings[-1] and len(graph.warnings) == 1 + (code == 0x10)
    signed = stored(np.int64([[-2, -1, 1]]), 2, ItemType.QUANTISED_SIGNED, parameters=span)
    np.testing.assert_allclose(load(BODY, "", {"w": signed}).constants["w"].array, linear, rtol=1e-6)
    file = stored(codes, 2, ItemType.QUANTISED_UNSIGNED, 0x11, struct.pack("<2f", 0.0, 3.0))
    np.testing.assert_array_equal(load(BODY, "", {"w": file}).constants["w"].array, [[0.5, 1, 4]])
    file = stored(np.int64([[0, 7, 4]]), 3, ItemType.QUANTISED_UNSIGNED, 0x11, struct.pack("<2f", -3.0, 3.0))
    np.testing.assert_array_equal(load(BODY, "", {"w": file}).constants["w"].array, [[0.5, -4, -0.5]])
    wide = np.int64([[0, 2**62 - 1, 2**62]])
    for bits, expected in ((63, [0, 1, 0]), (64, [0, 0, 0])):  # exponents in float32, which is coarser than these codes
        file = stored(wide, bits, ItemType.QUANTISED_UNSIGNED, 0x11, struct.pack("<2f", -3.0, 3.0))
        np.testing.assert_array_equal(load(BODY, "", {"w": file}).constants["w"].array[0], expected)


@pytest.mark.filterwarnings("error")
def test_a_range_beyond_float32_is_computed_as_it_stands() -> None:
    span = struct.pack("<2f", -3e38, 3e38)
    file = stored(np.int64([[0, 1, 3]]), 2, ItemType.QUANTISED_UNSIGNED, parameters=span)
    assert np.isnan(load(BODY, "", {"w": file}).constants["w"].array[0, 0])
    entry = "'w': min_max_linear_quantize(min = -3e38, max = 3e38, bits = 2, signed = false, symmetric = false);"
    codes = stored(np.int64([[0, 1, 3]]), 2, ItemType.QUANTISED_UNSIGNED)
    assert np.isnan(load(BODY, entry, {"w": codes}).constants["w"].array[0, 0])


def test_an_entry_is_applied_to_values_that_the_file_decodes() -> None:
    """Section 7.1: the file's algorithm interprets the file, that of graph.quant is the one of the computation."""
    file = stored(np.int64([[0, 1, 3]]), 2, ItemType.QUANTISED_UNSIGNED, parameters=struct.pack("<2f", -1.0, 3.0))
    graph = load(BODY, "'w': linear_quantize(min = 0.0, max = 2.0, bits = 1);", {"w": file})
    np.testing.assert_allclose(graph.constants["w.raw"].array, [[-1, 1 / 3, 3]], rtol=1e-6)
    np.testing.assert_array_equal(run(graph)["w"], [[0, 0, 2]])
    assert load(BODY, "", {"w": file}, dialect=STRICT).warnings


def test_plain_integers_with_an_entry_are_codes() -> None:
    for item, values in ((ItemType.UNSIGNED, [[0, 1, 3]]), (ItemType.SIGNED, [[0, 1, 3]])):
        file = stored(np.int64(values), 8, item)
        entry = "'w': linear_quantize(min = 0.0, max = 6.0, bits = 2);"
        graph = load(BODY, entry, {"w": file}, dialect=LENIENT)
        np.testing.assert_array_equal(graph.constants["w"].array, [[0, 2, 6]])
        assert "[integer-codes]" in graph.warnings[0]
        refused("graph.nnef:6:5: variable 'w': the data of 'w' are integers", BODY, entry, {"w": file}, dialect=STRICT)
        refused("graph.nnef:6:5: variable 'w': expected data of type scalar for 'w', got integer", BODY, "", {"w": file})


CODES = stored(np.int64([[0, 1, 3]]), 8, ItemType.QUANTISED_UNSIGNED)
REFUSED_CODES: dict[str, tuple[str, TensorFile, str]] = {
    "no entry": ("", CODES, "the data are quantised: they are codes, and graph.quant does not say what they stand for"),
    "too large": ("'w': linear_quantize(min = 0.0, max = 1.0, bits = 1);", CODES,
                  "code 3 of the data is outside of 0..1, what 1 bits in graph.quant allow"),
    "negative": ("'w': linear_quantize(min = 0.0, max = 1.0, bits = 8);",
                 stored(np.int64([[0, -1, 3]]), 8, ItemType.QUANTISED_SIGNED), "code -1 of the data is outside of 0..255"),
    "empty range": ("", stored(np.int64([[0, 1, 3]]), 8, ItemType.QUANTISED_UNSIGNED, parameters=struct.pack("<2f", 2, 1)),
                    "the codes' range in the header is from 2.0 to 1.0, which is none"),
    "nan": ("", stored(np.int64([[0, 1, 3]]), 8, ItemType.QUANTISED_UNSIGNED, parameters=struct.pack("<2f", np.nan, 1)),
            "the codes' range in the header is from nan to 1.0"),
    "no maximum": ("", stored(np.int64([[0, 1, 3]]), 8, ItemType.QUANTISED_UNSIGNED, 0x11, struct.pack("<2f", -1, 0)),
                   "the codes' maximum in the header is 0.0, expected one above 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_CODES)
def test_codes_that_are_refused(case: str) -> None:
    entries, file, message = REFUSED_CODES[case]
    refused(f"graph.nnef:6:5: variable 'w': {message}", BODY, entries, {"w": file})


# Malformed entries -----------------------------------------------------------------------------------------
REFUSED: dict[str, tuple[str, str]] = {
    f"'z': {HALVES};": "1:1: min_max_linear_quantize 'z': the graph has no tensor 'z'",
    f"\n 'conv/w': {HALVES};": "2:2: min_max_linear_quantize 'conv/w': the graph has no tensor 'conv/w'; entries name",
    "'y': quantize(bits = 8);": "1:1: quantize 'y': unknown operation 'quantize'",
    "'y': relu();": "1:1: relu 'y': is no quantisation; there are min_max_linear_quantize",
    "'y': external(shape = [1]);": "1:1: external 'y': is no quantisation",
    "'y': linear_quantize(min = 0.0, max = 1.0);": "1:1: linear_quantize 'y': argument 'bits' is missing",
    "'y': linear_quantize(min = 0.0, bits = 8);": "1:1: linear_quantize 'y': argument 'max' is missing",
    "'y': linear_quantize(x = 0.0, min = 0.0, max = 1.0, bits = 8);": (
        "1:22: linear_quantize 'y': 'x' is the tensor of the entry and must not be given"),
    "'y': linear_quantize(min = 0.0, max = 1.0, bit = 8);": (
        "1:44: linear_quantize 'y': has no parameter 'bit', did you mean 'bits'?"),
    "'y': linear_quantize(min = 0.0, max = 1.0, bits = 8.0);": (
        "1:44: linear_quantize 'y': argument 'bits': expected integer, got scalar"),
    "'y': linear_quantize(min = 'a', max = 1.0, bits = 8);": (
        "1:22: linear_quantize 'y': argument 'min': expected tensor<scalar>, got string"),
    "'y': linear_quantize(min = (1.0, 2.0), max = 1.0, bits = 8);": (
        "1:22: linear_quantize 'y': argument 'min': expected tensor<scalar>, got (scalar, scalar)"),
    "'y': linear_quantize(min = 0.0, max = 1.0, bits = [8]);": (
        "1:44: linear_quantize 'y': argument 'bits': expected integer, got integer[]"),
    "'y': linear_quantize(min = 0.0, max = 1.0, bits = 0);": "1:1: linear_quantize 'y': min_max_linear_quantize: 'bits'",
    "'y': linear_quantize(min = 0.0, max = 1.0, bits = 65);": "1:1: linear_quantize 'y': min_max_linear_quantize: 'bits'",
    "'y': linear_quantize(min = 0.0, max = 1.0, bits = 1000000000000);": "1:1: linear_quantize 'y': min_max_linear",
    "'y': min_max_linear_quantize(min = 0.0, max = 1.0, bits = 1, signed = true, symmetric = true);": (
        "1:1: min_max_linear_quantize 'y': signed and symmetric values of 1 bit have no range"),
    "'y': linear_quantize(min = [[0.0, 1.0]], max = 1.0, bits = 8);": (
        "1:22: linear_quantize 'y': 'min' has shape [1,2], which does not fit the tensor's [1,3] (NNEF aligns"),
    "'y': linear_quantize(min = [0.0, 1.0, 2.0], max = 1.0, bits = 8);": (
        "1:22: linear_quantize 'y': 'min' has shape [3], which does not fit the tensor's [1,3]"),
    "'y': linear_quantize(min = [[[0.0, 1.0]]], max = 1.0, bits = 8);": "1:22: linear_quantize 'y': 'min' has shape [1,1,2]",
    "'y': linear_quantize(min = [[0.0, 1.0, 2.0], [0.0]], max = 1.0, bits = 8);": (
        "1:22: linear_quantize 'y': the arrays of 'min' have different lengths or depths at level 2"),
    "'y': linear_quantize(min = [[0.0, [1.0], 2.0]], max = 1.0, bits = 8);": (
        "1:22: linear_quantize 'y': the arrays of 'min' have different lengths or depths at level 3"),
    "'y': linear_quantize(min = [[]], max = 1.0, bits = 8);": "1:22: linear_quantize 'y': the array of 'min' is empty",
    f"'y': linear_quantize(min = {'[' * 9}1.0{']' * 9}, max = 1.0, bits = 8);": (
        "1:22: linear_quantize 'y': the array of 'min' is empty or has more than 8 axes"),
    TENTHS.join(("'y': ", ";")).replace("zero_point = 0", "zero_point = 0.0"): (
        "1:33: zero_point_linear_quantize 'y': argument 'zero_point': expected tensor<integer>, got scalar"),
    "'i': logarithmic_quantize(max = 1.0, bits = 8);": (
        "1:1: logarithmic_quantize 'i': tensors of scalars can be quantised, this is a tensor<integer>"),
    f"'y': {HALVES}; 'y': {HALVES};": "1:97: tensor 'y' already has an entry in line 1",
    "'y': two();": "1:1: two 'y': is no quantisation",
    "'y': wide();": "1:1: wide 'y': its result is no tensor of the shape [1,3] that is quantised",
    "'y': undefined(a = 1.0);": "1:1: undefined 'y': is a custom operation without a body",
}  # fmt: skip
FRAGMENTS = """fragment two( x: tensor<scalar> ) -> ( a: tensor<scalar>, b: tensor<scalar> ) { a = x; b = x; }
fragment wide( x: tensor<scalar> ) -> ( y: tensor<scalar> ) { y = concat([x, x], axis = 1); }
fragment undefined( x: tensor<scalar>, a: tensor<scalar> ) -> ( y: tensor<scalar> );"""


@pytest.mark.parametrize("entries", REFUSED)
def test_entries_that_are_refused(entries: str) -> None:
    body = "i = argmax_reduce(x, axes = [1]); y = x + 0.0;"
    refused(f"graph.quant:{REFUSED[entries]}", body, entries, fragments=FRAGMENTS)


def test_entries_are_checked_before_codes_are_read() -> None:
    refused("graph.quant:1:44: linear_quantize 'w': has no parameter 'bit'", BODY,
            "'w': linear_quantize(min = 0.0, max = 1.0, bit = 8);", {"w": CODES})  # fmt: skip
    steps = "fragment steps( x: tensor<scalar> ) -> ( y: tensor<scalar> ) { y = round(x); }"
    refused("graph.quant:1:1: steps 'w': is a fragment of the file, which does not say what stored codes stand for", BODY,
            "'w': steps();", {"w": CODES}, fragments=steps)  # fmt: skip


def test_readings() -> None:
    whole = "'y': linear_quantize(min = 0, max = [[1, 1, 2]], bits = 8);"
    assert "[integers-as-scalars]" in load("y = x + 0.0;", whole).warnings[0]
    refused("graph.quant:1:22: linear_quantize 'y': 'min' is a scalar, and an integer is given", "y = x + 0.0;", whole,
            dialect=STRICT)  # fmt: skip
    for empty in ("linear_quantize(min = 1.0, max = 1.0, bits = 8)", TENTHS.replace("0.1", "0.0")):
        for dialect in (STRICT, LENIENT):
            [warning] = load("y = x + 0.0;", f"'y': {empty};", dialect=dialect).warnings
            assert warning.startswith("graph.quant:1:1: ") and warning.endswith("[empty-ranges]")


def test_validation_finds_every_fault_of_entries(tmp_path: Path) -> None:
    """All in one go, by the headers of tensor files: gigabytes of codes take no memory."""
    body = "x = external(shape = [1, 3]);\nw = variable(shape = [60000, 60000], label = 'w');\ny = relu(x);"
    (tmp_path / "graph.nnef").write_text(f"version 1.0;\ngraph g( x ) -> ( y )\n{{\n{body}\n}}\n")
    (tmp_path / "graph.quant").write_text(
        f"'y': linear_quantize(min = 0.0, max = [[1.0, 2.0]], bits = 8);\n'z': {HALVES};\n'x': quantize(bits = 8);\n"
        "'w': linear_quantize(min = 0.0, max = 1.0, bits = 1);\n"
    )
    header = stored(np.int64([[0]]), 1, ItemType.QUANTISED_UNSIGNED).header
    with (tmp_path / "w.dat").open("wb") as file:
        write_tensor(file, np.zeros((1, 1), np.int64), bits=header.bits, code=header.item)
        file.seek(4)
        file.write(struct.pack("<4I", 450_000_000, 2, 60000, 60000))
        file.truncate(128 + 450_000_000)  # holes
    tracemalloc.start()
    findings = validate_model(tmp_path).findings
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [str(finding.where) for finding in findings] == ["graph.quant:1:33", "graph.quant:2:1", "graph.quant:3:1"]
    assert peak < 8 << 20

"""The importer: expressions, fragments, tensors, dialects, and models that must be refused."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_cl.errors import FileFormatError, InputError, ModelError, UnsupportedError, UsageError
from nnef_cl.format.parser import parse_document, parse_fragment
from nnef_cl.format.syntax import SourcePosition
from nnef_cl.format.tensor_file import write_tensor
from nnef_cl.importer import LENIENT, STRICT, Dialect, import_document, import_model
from nnef_cl.importer.dialect import DIFFERENCES, choose_dialect
from nnef_cl.importer.types import deduce
from nnef_cl.importer.validate import validate_model
from nnef_cl.ir.graph import Graph, Node
from nnef_cl.ops import STANDARD

KHR = ("KHR_enable_fragment_definitions", "KHR_enable_operator_expressions")
EXTENSIONS = f"extension {KHR[0]} {KHR[1]};"
NOT_FLAT = f"the file uses expressions that are not flat without extension {KHR[1]}"
WINDOW = """x = external(shape = [1, 4, 8]); w = constant(shape = [4, 4, 3], value = [0.5]);"""
INPUT = "x = external(shape = [1, 4]);"
WARNED = "graph.nnef:6:5: add 't': an integer is given where a scalar is expected; it is read as a scalar (and 2 more places) [integers-as-scalars]"


def document(
    body: str, fragments: str, signature: str, inputs: str, extensions: str, version: str = "1.0"
) -> str:
    """Extensions are line 2, fragments line 3, inputs line 5, the body line 6."""
    return f"version {version};\n{extensions}\n{fragments}\ngraph g( {signature} ) {{\n{inputs}\n{body}\n}}\n"


def load(
    body: str, fragments: str = "", *, signature: str = "x ) -> ( y", inputs: str = INPUT, extensions: str = EXTENSIONS,
    data: np.ndarray | None = None, version: str = "1.0", **options: Any,
) -> Graph:  # fmt: skip
    """Every variable's data are `data`, zeros [1,4] if not given."""
    array = np.zeros((1, 4), np.float32) if data is None else data

    def tensors(label: str, position: SourcePosition) -> np.ndarray:
        return array

    text = document(body, fragments, signature, inputs, extensions, version)
    return import_document(parse_document(text), STANDARD, tensors, **options)


def shown(node: Node) -> str:
    attrs = [f"{name} = {value}" for name, value in node.attrs.items()]
    return f"{', '.join(node.outputs)} = {node.op}({', '.join([*node.inputs, *attrs])})"


def nodes(graph: Graph) -> list[str]:
    return [shown(node) for node in graph.nodes]


def refused(message: str, body: str, fragments: str = "", **options: Any) -> ModelError:
    """Asserts how the message starts."""
    with pytest.raises(ModelError) as caught:
        load(body, fragments, **options)
    text = str(caught.value)
    assert text.startswith(message), text
    assert len(text) < 500 and "\n" not in text
    return caught.value


# Values known at compile time ------------------------------------------------------------------------------
VALUES: dict[str, tuple[str, list[Any]]] = {
    "[7 / 2, -7 / 2, 7 - 8, 2 * 3, 2 ^ 10, -(3), +(3)]": ("integer", [3, -3, -1, 6, 1024, -3, 3]),
    "[(-1) ^ 9223372036854775807, 0 ^ 0, 1 ^ 9223372036854775806]": ("integer", [-1, 1, 1]),
    "[1.5 + 0.5, 1.0 / 4.0, 2.0 ^ 0.5 * 2.0 ^ 0.5]": ("scalar", [2.0, 0.25, 2.0]),
    "[1.0 / 0.0, -1.0 / 0.0, 1e308 * 10.0]": ("scalar", [np.inf, -np.inf, np.inf]),
    "[1 < 2, 2 <= 1, 1.0 > 2.0, 2 >= 2, 1 == 2, 1 != 2]": ("logical", [True, False, False, True, False, True]),
    "['a' == 'a', 'a' < 'b', true == false, !true]": ("logical", [True, True, False, False]),
    "[true && false, true || false, 1 < 2 && 2 < 3]": ("logical", [False, True, True]),
    "[2 in [1, 2], 3 in [1, 2], 1 in [1.0], 'a' in ['a'], [1] in [[1]]]": ("logical", [True, False, False, True, True]),
    "[1, 2] + [3] + []": ("integer", [1, 2, 3]),
    "[1, 2] * 2 + [3] * 0": ("integer", [1, 2, 1, 2]),
    "[[1, 2, 3][2], [[1], [2, 3]][1][0], (4, 5)[1]]": ("integer", [3, 2, 5]),
    "[1, 2, 3][1:] + [1, 2, 3][:1] + [1, 2, 3][1:2] + [7][:] + [8][:9] + [9][1:]": ("integer", [2, 3, 1, 2, 7, 8]),
    "['ab'[1] == 'b', 'abc'[1:] == 'bc', 'a' + 'b' == 'ab', 'ab' * 2 == 'abab']": ("logical", [True] * 4),
    "[for i in [1, 2, 3] yield i * i]": ("integer", [1, 4, 9]),
    "[for i in [1, 2, 3], j in [4, 5, 6] if i != 2 yield i + j]": ("integer", [5, 9]),
    "[for i in [1, 2] yield length_of([for j in [1, 2, 3] if i < j yield j])]": ("integer", [2, 1]),
    "range_of([7, 8, 9]) + range_of('ab')": ("integer", [0, 1, 2, 0, 1]),
    "[length_of([]) + 1, length_of('abc'), length_of([1, 2])]": ("integer", [1, 3, 2]),
    "shape_of(x) + [length_of(shape_of(1.0)) + 1]": ("integer", [1, 4, 1]),
    "[integer(2.7), integer(-1.5), integer(-0.1), integer('-12'), integer(true)]": ("integer", [2, -1, 0, -12, 1]),
    "[scalar(2), scalar('1.5e1'), scalar(true)]": ("scalar", [2.0, 15.0, 1.0]),
    "[logical(0), logical(0.5), logical('')]": ("logical", [False, True, False]),
    "[string(1.5) == '1.5', string(3) == '3', string(true) == 'true']": ("logical", [True] * 3),
    "[1 if true else 1 / 0, 1 / 0 if false else 2]": ("integer", [1, 2]),
    "[1 if 1 > 2 else 2 if 1 > 2 else 3]": ("integer", [3]),
}  # fmt: skip


@pytest.mark.parametrize("text", VALUES)
def test_value(text: str) -> None:
    kind, expected = VALUES[text]
    graph = load(f"y = constant<{kind}>(shape = [{len(expected)}], value = {text});", dialect=STRICT)
    array = graph.constants["y"].array
    assert array.dtype == {"integer": np.int64, "scalar": np.float32, "logical": np.bool_}[kind]
    np.testing.assert_allclose(array, expected)


VALUE_FAULTS = {
    "[1 / 0]": "41: div 'y': integer division of 1 by zero",
    "[2 ^ 64]": "41: pow 'y': the integer 18446744073709551616 does not fit 64 bits",
    "[2 ^ 9223372036854775807]": "41: pow 'y': 2 ^ 9223372036854775807 does not fit 64 bits",
    "[2 ^ (-1)]": "41: pow 'y': an integer cannot be raised to the negative power -1",
    "[9223372036854775807 + 1]": "41: add 'y': the integer 9223372036854775808 does not fit 64 bits",
    "[true + true]": "41: add 'y': operator + does not take logical and logical",
    "[1 < 'a']": "41: lt 'y': operator < does not take integer and string",
    "[1 && 2]": "41: and 'y': operator && does not take integer and integer",
    "[-true]": "41: neg 'y': operator - does not take logical",
    "[!1]": "41: not 'y': operator ! does not take integer",
    "[1 in 2]": "41: in 'y': operator in needs an array on its right side, got integer",
    "[1] + 1": "40: add 'y': operator + does not take integer[] and integer",
    "[1] * [2]": "40: mul 'y': operator * does not take integer[] and integer[]",
    "[1] * (-1)": "40: mul 'y': an array cannot be repeated -1 times",
    "[[1, 2][2]]": "41: constant 'y': index 2 is outside of 2 items",
    "[[1, 2][-1]]": "41: constant 'y': index -1 is outside of 2 items",
    "[[1, 2][true]]": "41: constant 'y': an index must be an integer, got logical",
    "[1[0]]": "41: constant 'y': integer cannot be indexed",
    "[x[0]]": "41: constant 'y': tensor<scalar> cannot be indexed",
    "(1, 2)[0:1]": "40: constant 'y': a range of (integer, integer) cannot be taken",
    "[1, 2][-1:]": "40: constant 'y': bounds of a range must not be negative, got -1",
    "[1, 2][:1.0]": "40: constant 'y': bounds of a range must be integers, got scalar",
    "[for i in 3 yield i]": "40: constant 'y': iterator 'i' needs an array, got integer",
    "[for i in [1, 2] if i yield i]": "40: constant 'y': the filter of a loop must be a logical value, got integer",
    "[for i in [1], j in [1, 2] yield i]": "40: constant 'y': the iterated arrays have different lengths: [1, 2]",
    "[for i in [1] yield k]": "60: constant 'y': 'k' is not defined",
    "[for i in [1] yield i] + [i]": "66: add 'y.add': 'i' is not defined",
    "[length_of(3)]": "41: constant 'y': length_of needs an array or a string, got integer",
    "shape_of([1])": "40: constant 'y': shape_of needs a tensor, got integer[]",
    "[integer(x)]": "41: constant 'y': integer() takes values known at compile time, got tensor<scalar>",
    "[integer([1])]": "41: constant 'y': integer() needs a primitive value, got integer[]",
    "[integer('x')]": "41: constant 'y': 'x' is not an integer literal",
    "[integer(scalar('inf'))]": "49: constant 'y': 'inf' is not a scalar literal",
    "[integer(1.0 / 0.0)]": "41: constant 'y': integer() of inf is not defined",
    "[integer(1e30)]": "41: constant 'y': the integer 1000000000000000019884624838656 does not fit 64 bits",
    "[1 if 2 else 3]": "41: select 'y': a condition must be a logical value known at compile time, got integer",
    "[1, 1.5]": "34: constant 'y': argument 'value': expected integer[], got scalar at [1]",
    "[[1]]": "34: constant 'y': argument 'value': expected integer[], got integer[] at [0]",
    "[x]": "34: constant 'y': argument 'value': expected integer[], got tensor<scalar> at [0]",
    "1": "34: constant 'y': argument 'value': expected integer[], got integer",
    "[]": "5: constant 'y': expected 1 or 3 values for shape [3], got 0",
    "[1, 2]": "5: constant 'y': expected 1 or 3 values for shape [3], got 2",
}  # fmt: skip


@pytest.mark.parametrize("text", VALUE_FAULTS)
def test_value_refused(text: str) -> None:
    place = VALUE_FAULTS[text]
    refused(f"graph.nnef:6:{place}", f"y = constant<integer>(shape=[3], value={text});")


# Tensors ---------------------------------------------------------------------------------------------------
BODIES: dict[str, list[str]] = {
    # operators group and are named as they stand; equal literals are one tensor
    "y = x + 1.0 * x - 1.0;": ["y.add.mul = mul(1.0, x)", "y.add = add(x, y.add.mul)", "y = sub(y.add, 1.0)"],
    "y = -x ^ 2.0;": ["y.neg = neg(x)", "y = pow(y.neg, 2.0)"],
    "y = +x / 2.0;": ["y.copy = copy(x)", "y = div(y.copy, 2.0)"],
    "y = x * (2.0 * 3.0);": ["y = mul(x, 6.0)"],
    "y = !(x < 0.5) && x >= -0.5 || x == x;": [
        "y.and.not.lt = lt(x, 0.5)", "y.and.not = not(y.and.not.lt)", "y.and.ge = ge(x, -0.5)",
        "y.and = and(y.and.not, y.and.ge)", "y.eq = eq(x, x)", "y = or(y.and, y.eq)",
    ],
    "y = relu(x) if 1 < 2 else tanh(x);": ["y = relu(x)"],
    "y = relu(x) if !(1 < 2) else tanh(x);": ["y = tanh(x)"],
    "y = relu(tanh(x));": ["y.tanh = tanh(x)", "y = relu(y.tanh)"],
    "t = relu(x); y = t + t;": ["t = relu(x)", "y = add(t, t)"],
    # aliases and constants as results
    "y = x;": ["y = copy(x)"],
    "t = relu(x); y = t;": ["t = relu(x)", "y = copy(t)"],
    "y = constant(shape = [2], value = [1.0]);": [],
    "y = variable(shape = [1, 4], label = 'w');": [],
    "v = variable(shape = [1, 4], label = 'w'); y = v;": ["y = copy(v)"],
    "y = copy(1.0);": ["y = copy(1.0)"],
    "y = relu(variable(shape = [1, 4], label = 'w'));": ["y = relu(y.variable)"],
    # arrays and tuples
    "[y, z] = split(x, axis = 1, ratios = [1, 3]);": ["y, z = split(x, axis = 1, ratios = (1, 3))"],
    "[y] = unstack(x, axis = 0);": ["y = unstack(x, axis = 0)"],
    "[y, z] = [relu(x), tanh(x)];": ["y = relu(x)", "z = tanh(x)"],
    "y, [z, w] = (relu(x), [tanh(x), x]);": ["y = relu(x)", "z = tanh(x)", "w = copy(x)"],
    "[y, z] = [for s in [1.0, 2.0] yield x * s];": [
        "y.mul = mul(x, 1.0)", "y.mul_0 = mul(x, 2.0)", "y = copy(y.mul)", "z = copy(y.mul_0)",
    ],
    "y = concat([x, relu(x)] + [x], axis = 1);": ["y.add.relu = relu(x)", "y = concat(x, y.add.relu, x, axis = 1)"],
    "y = [x, relu(x)][1];": ["y.relu = relu(x)", "y = copy(y.relu)"],
    "y = add_n([x, x, x]);": ["y.add_n = add(x, x)", "y = add(x, y.add_n)"],
    "m, y = moments(x, axes = [1]);": [
        "m = mean_reduce(x, axes = (1,))", "y.sqr.sub = sub(x, m)", "y.sqr = sqr(y.sqr.sub)",
        "y = mean_reduce(y.sqr, axes = (1,))",
    ],
    "y = reshape(x, shape = [for n in shape_of(x) yield n] + [1]);": [
        "y = reshape(x, shape = (1, 4, 1), axis_start = 0, axis_count = -1)",
    ],
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_nodes(body: str) -> None:
    graph = load(body, dialect=STRICT)
    assert nodes(graph) == BODIES[body]
    assert graph.inputs == ("x",) and graph.outputs == ("y",) and "y" in graph.tensors
    assert [w for w in graph.warnings if "shape_of" not in w] == []


@pytest.mark.parametrize(
    ("value", "shape", "type"),
    [
        ("x + w", [2, 4, 3], "f32"),
        ("w - x", [2, 4, 3], "f32"),
        ("x == w", [2, 4, 3], "bool"),
        ("select(w < 0.0, x, 0.0)", [2, 4, 3], "f32"),
        ("select(true, x, x)", [1, 4], "f32"),
        ("copy<integer>(1)", [], "i64"),
        ("copy(true)", [], "bool"),
        ("argmax_reduce(w, axes = [0])", [1, 1, 3], "i64"),
    ],
)
def test_shapes_and_types_of_results(value: str, shape: list[int], type: str) -> None:
    graph = load(f"w = variable(shape = [2, 1, 3], label = 'w'); y = {value};", data=np.zeros((2, 1, 3), np.float32))
    assert (list(graph.tensors["y"].shape), str(graph.tensors["y"].dtype)) == (shape, type)


def test_positions() -> None:
    graph = load("y = relu(\n  tanh(x)) + x;", "fragment f( x: tensor<scalar> ) -> ( y: tensor<scalar> ) { y = x; }")
    assert [str(node.position) for node in graph.nodes] == ["graph.nnef:7:3", "graph.nnef:6:5", "graph.nnef:6:5"]


def test_results_that_are_inputs_and_inner_tensors() -> None:
    graph = load("t = relu(x); y = tanh(t);", signature="x ) -> ( y, x, t")
    assert graph.outputs == ("y", "x", "t")
    assert nodes(graph) == ["t = relu(x)", "y = tanh(t)"]


def test_inputs_in_the_order_of_the_signature() -> None:
    inputs = "b = external<integer>(shape = [2]); a = external<logical>(shape = [3]);"
    graph = load("y = a; z = b;", inputs=inputs, signature="a, b ) -> ( z, y")
    assert graph.inputs == ("a", "b") and graph.outputs == ("z", "y")
    assert [str(graph.tensors[name]) for name in "ab"] == ["bool[3]", "i64[2]"]
    empty = load("y = constant(shape = [1], value = [1.0]);", inputs="", signature=") -> ( y")
    assert empty.inputs == () and empty.outputs == ("y",)


# Variables and constants -----------------------------------------------------------------------------------
def test_variables_share_the_data_of_a_label_and_may_be_unused() -> None:
    body = "v = variable(shape = [1, 4], label = 'a/b'); w = variable(shape = [1, 4], label = 'a/b'); y = relu(x);"
    asked: list[str] = []

    def tensors(label: str, position: SourcePosition) -> np.ndarray:
        asked.append(f"{label} {position}")
        return np.ones((1, 4), np.float32)

    text = document(body, "", "x ) -> ( y", INPUT, EXTENSIONS)
    graph = import_document(parse_document(text), STANDARD, tensors)
    assert graph.constants["v"] is graph.constants["w"] and graph.constants["v"].label == "a/b"
    assert asked == ["a/b graph.nnef:6:5"]


@pytest.mark.parametrize(
    ("kind", "data", "dtype"),
    [
        ("scalar", np.float64([[0, 0.5, 1, 2]]), np.float32),
        ("scalar", np.float16([[0, 0.5, 1, 2]]), np.float32),
        ("integer", np.uint8([[0, 1, 2, 255]]), np.int64),
        ("logical", np.bool_([[0, 1, 0, 1]]), np.bool_),
    ],
)
def test_data_in_the_type_of_the_api(kind: str, data: np.ndarray, dtype: type) -> None:
    array = load(f"y = variable<{kind}>(shape = [1, 4], label = 'w');", data=data).constants["y"].array
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, data)


def test_data_are_not_copied() -> None:
    data = np.zeros((1, 4), np.float32)
    assert load("y = variable(shape = [1, 4], label = 'w');", data=data).constants["y"].array is data


def test_constants() -> None:
    body = "y = constant(shape = [2, 2], value = [1.0, 2.0, 3.0, 4.0]); z = constant<integer>(shape = [3], value = [5]);"
    graph = load(body)
    assert graph.constants["y"].array.tolist() == [[1, 2], [3, 4]]
    assert graph.constants["z"].array.tolist() == [5, 5, 5]
    assert load("y = x + (-1e300);").constants["-1e+300"].array == -np.inf


# Faults of graphs ------------------------------------------------------------------------------------------
BAD_BODIES = {
    # names
    "y = relu(z);": "10: relu 'y': 'z' is not defined",
    "long = x; y = relu(lang);": "20: relu 'y': 'lang' is not defined, did you mean 'long'?",
    "y = z;": "5: 'y': 'z' is not defined",
    "y = relu(z); z = relu(y);": "10: relu 'y': 'z' is used before it is assigned in line 6 (a cycle",
    "y = y + x;": "5: add 'y': 'y' is used before it is assigned in line 6 (a cycle",
    "y = relu(x); y = relu(x);": "14: relu 'y': 'y' is assigned twice",
    "[y, y] = [x, x];": "5: 'y': 'y' is assigned twice",
    "y, [z, y] = (x, [x, x]);": "8: 'y': 'y' is assigned twice",
    "x = relu(x); y = x;": "1: relu 'x': 'x' is assigned twice",
    "y = relo(x);": "5: relo 'y': unknown operation 'relo', did you mean 'relu'?",
    "y = relu(frobnicate(x));": "10: frobnicate 'y': unknown operation 'frobnicate'",
    # arguments
    "y = relu();": "5: relu 'y': argument 'x' is missing",
    "y = relu(x, x);": "13: relu 'y': expected at most 1 arguments, got 2",
    "y = relu(x, x = x);": "13: relu 'y': argument 'x' is given twice",
    "y = leaky_relu(x, alfa = 0.1);": "19: leaky_relu 'y': has no parameter 'alfa', did you mean 'alpha'?",
    "y = leaky_relu(alpha = 0.1, x);": "29: leaky_relu 'y': positional arguments must stand before named ones",
    "y = leaky_relu(x, alpha = x);": "19: leaky_relu 'y': argument 'alpha': expected scalar, got tensor<scalar>",
    "y = leaky_relu('x', alpha = 1.0);": "16: leaky_relu 'y': argument 'x': expected tensor<scalar>, got string",
    "y = concat(x, axis = 1);": "12: concat 'y': argument 'values': expected tensor<?>[], got tensor<scalar>",
    "y = concat([x, 'a'], axis = 1);": "12: concat 'y': argument 'values': expected tensor<scalar>[], got string at [1]",
    "y = pad(x, padding = [(0, 1), (0, 1.5)]);":
        "12: pad 'y': argument 'padding': expected (integer, integer)[], got scalar at [1][1]",
    "y = pad(x, padding = [(0, 1, 2)]);":
        "12: pad 'y': argument 'padding': expected (integer, integer)[], got (integer, integer, integer) at [0]",
    "y = x && x;": "5: and 'y': argument 'x': expected tensor<logical>, got tensor<scalar>",
    "y = x + true;": "5: add 'y': argument 'y': expected tensor<scalar>, got logical",
    "y = x + [1.0];": "5: add 'y': argument 'y': expected tensor<scalar>, got scalar[]",
    "y = relu<scalar>(x);": "5: relu 'y': is not generic, but is called with <scalar>",
    "y = copy<integer>(x);": "19: copy 'y': argument 'x': expected tensor<integer>, got tensor<scalar>",
    "y = copy<?>(x);": "5: copy 'y': <?> is used where there is no generic type",
    "y = select(x > 0.0, x, true);":
        "24: select 'y': argument 'false_value': expected tensor<scalar>, got logical",
    "y = select(true, 1.0, true);": "5: select 'y': the arguments mix logical and scalar where one type is expected",
    # left sides
    "y = 1.0;": "1: 'y': 'y' must be a tensor in the graph, got scalar",
    "y = [x, x];": "1: 'y': 'y' must be a tensor in the graph, got tensor<scalar>[]; unpack it with [a, b] = ...",
    "y = moments(x, axes = [1]);": "1: moments 'y': 'y' must be a tensor in the graph, got (tensor<scalar>, tensor<scalar>)",
    "[y, z] = split(x, axis = 1, ratios = [2]);": "1: split 'y': the left side has 2 items, the right side 1",
    "y, z = split(x, axis = 1, ratios = [1, 1]);":
        "1: split 'y': the left side unpacks several results, the right side is tensor<scalar>[]",
    "[y, z] = moments(x, axes = [1]);":
        "1: moments 'y': the left side unpacks an array, the right side is (tensor<scalar>, tensor<scalar>)",
    # shapes
    "y = x; z = cast<string>(x);": "12: cast 'z': there are no tensors of type string",
    "y = x + constant(shape = [1, 5], value = [0.0]);": "5: add 'y': shapes [1,4] and [1,5] do not broadcast",
    "y = unsqueeze(x, axes = [0, 1, 2, 3, 4, 5, 6]);": "5: unsqueeze 'y': result [1,1,1,1,1,1,1,1,4] has more than 8",
    "y = tile(x, repeats = [1000000, 1000000]);": "5: tile 'y': a tensor of shape [1000000,4000000] has more than",
    "y = moments(x, axes = [9]);": "5: moments 'y': mean_reduce: axis 9 is outside 0..1",
    "y = add_n([x, x, x, constant(shape = [1, 3], value = [1.0])]);": "5: add_n 'y': add: shapes [1,4] and [1,3] do not",
    # what introduces tensors
    "y = relu(x); z = external(shape = [1]);": "18: external 'z': its result must be a parameter of the graph",
    "y = variable(shape = [1, 5], label = 'w');": "5: variable 'y': expected data of shape [1,5] for 'w', got [1,4]",
    "y = variable<integer>(shape = [1, 4], label = 'w');": "5: variable 'y': expected data of type integer for 'w', got sc",
    "y = variable<string>(shape = [1, 4], label = 'w');": "5: variable 'y': there are no tensors of type string",
    "y = variable(shape = [1, 0], label = 'w');": "5: variable 'y': expected extents above 0, got shape [1,0]",
    "y = variable(shape = [1, 4], label = '../w');": "5: variable 'y': label '../w'",
    "y = variable(shape = [1, 4]);": "5: variable 'y': argument 'label' is missing",
    "y = variable(shape = [1, 4], label = 'w');\nz = variable(shape = [4], label = 'w');":
        "7:5: variable 'z': label 'w' is declared with shape [4] and type scalar, in line 6 with [1,4] and scalar",
    "y = constant(shape = [-1], value = [1.0]);": "5: constant 'y': expected extents above 0, got shape [-1]",
    "y = constant(shape = [1] * 9, value = [1.0]);": "5: constant 'y': shape [1,1,1,1,1,1,1,1,1] has 9 axes, expected at",
}  # fmt: skip


@pytest.mark.parametrize("body", BAD_BODIES)
def test_body_refused(body: str) -> None:
    place = BAD_BODIES[body]
    refused("graph.nnef:" + ("" if place.startswith("7:") else "6:") + place, body)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("", "6:10: relu 'y': 'x' is used, but nothing assigns it"),
        ("x = constant(shape = [1], value = [1.0]);", "5:1: constant 'x': graph parameter 'x' must be defined by external"),
        ("x = relu(external(shape = [1]));", "5:10: external 'x': its result must be a parameter of the graph"),
        (INPUT + " " + INPUT, "5:31: external 'x': 'x' is assigned twice"),
        ("[x, x] = [external(shape = [1]), external(shape = [1])];", "5:5: 'x': 'x' is assigned twice"),
        ("x = external();", "5:5: external 'x': argument 'shape' is missing"),
        ("x = external(shape = 'a');", "5:14: external 'x': argument 'shape': expected integer[], got string"),
        ("x = external(shape = [1.5]);", "5:14: external 'x': argument 'shape': expected integer[], got scalar at [0]"),
        ("x = external<string>(shape = [1]);", "5:5: external 'x': there are no tensors of type string"),
        ("x = external<integer>(shape = [1]);", "6:10: relu 'y': argument 'x': expected tensor<scalar>, got tensor<inte"),
        ("x = external(shape = [-2, 1]);", "5:5: external 'x': expected extents above 0, got shape [-2,1]"),
        ("x = external(shape = [0, 1]);", "5:5: external 'x': expected extents above 0, got shape [0,1]; pass shapes="),
        ("x = external(shape = [1] * 9);", "5:5: external 'x': shape [1,1,1,1,1,1,1,1,1] has 9 axes, expected at most 8"),
        ("x = external(shape = [4294967296] * 4);", "5:5: external 'x': a tensor of shape [4294967296,4294967296,"),
    ],
)  # fmt: skip
def test_external_refused(inputs: str, message: str) -> None:
    refused(f"graph.nnef:{message}", "y = relu(x);", inputs=inputs)


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("x ) -> ( result, yy", "4:19: graph result 'result' is never assigned"),
        ("x ) -> ( y, y_", "4:22: graph result 'y_' is never assigned, did you mean 'y'?"),
        ("x ) -> ( y, y", "4:22: graph result 'y' is listed twice"),
        ("x, x ) -> ( y", "4:13: graph parameter 'x' is listed twice"),
        ("x, z ) -> ( y", "4:13: graph parameter 'z' is defined by no external"),
        (") -> ( y", "5:5: external 'x': its result must be a parameter of the graph"),
    ],
)
def test_signature_refused(signature: str, message: str) -> None:
    refused(f"graph.nnef:{message}", "y = relu(x);", signature=signature)


# Other shapes ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("declared", ["[1, 4]", "[0, 4]", "[-1, 7]"])
@pytest.mark.parametrize("shape", [(3, 5), [3, 5], np.int64([3, 5])])
def test_other_shapes(declared: str, shape: Any) -> None:
    graph = load("y = relu(x);", inputs=f"x = external(shape = {declared});", shapes={"x": shape})
    assert graph.tensors["x"].shape == graph.tensors["y"].shape == (3, 5)
    assert all(type(extent) is int for extent in graph.tensors["x"].shape)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": (1, 4)}, "shapes: the model has no input 'z', its inputs are x"),
        ({"y": (1, 4)}, "shapes: the model has no input 'y'"),
        ({"x": (1, 4, 1)}, "input 'x': expected 2 extents as in the declared shape [1,4], got [1, 4, 1]"),
        ({"x": (0, 4)}, "input 'x': expected extents above 0, got [0, 4]"),
        ({"x": (-1, 4)}, "input 'x': expected extents above 0, got [-1, 4]"),
        ({"x": (1.0, 4)}, "input 'x': expected extents above 0, got [1.0, 4]"),
        ({"x": (True, 4)}, "input 'x': expected extents above 0, got [True, 4]"),
        ({"x": "ab"}, "input 'x': expected extents above 0, got ['a', 'b']"),
        ({"x": 4}, "input 'x': expected a shape such as (1, 4), got 4"),
        ({"x": None}, "input 'x': expected a shape such as (1, 4), got None"),
    ],
)
def test_other_shapes_refused(shapes: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load("y = relu(x);", shapes=shapes)
    assert str(caught.value).startswith(message)


def test_other_shapes_are_checked_like_declared_ones() -> None:
    refused("graph.nnef:5:5: external 'x': a tensor of shape [4611686018427387904,4] has more than", "y = relu(x);",
            shapes={"x": (2**62, 4)})  # fmt: skip
    refused("graph.nnef:6:5: add 'y': shapes [1,3] and [1,4] do not broadcast",
            "y = x + variable(shape = [1, 4], label = 'w');", shapes={"x": (1, 3)})  # fmt: skip


# Fragments -------------------------------------------------------------------------------------------------
SCALE = "fragment scale( x: tensor<scalar>, by: integer = 2 ) -> ( y: tensor<scalar> ) { t = relu(x); y = t * scalar(by); }"
TWICE = SCALE + " fragment twice( x: tensor<scalar> ) -> ( y: tensor<scalar> ) { a = scale(x); y = scale(a, by = 3); }"
PAIR = "fragment pair( x: tensor<scalar> ) -> ( a: tensor<scalar>, b: tensor<scalar> ) { a = relu(x); b = tanh(a); }"
PARTS = "fragment parts( x: tensor<scalar> ) -> ( a: tensor<scalar>[] ) { [b, c] = unstack(x, axis = 0); a = [relu(b), c]; }"
POWER = "fragment power( x: tensor<scalar>, n: integer ) -> ( y: tensor<scalar> ) { y = x * power(x, n = n - 1) if n > 1 else x; }"
PADDED = (
    "fragment padded( x: tensor<scalar>, p: (integer, integer)[] = [(1, 2)] ) -> ( y: tensor<scalar> )"
    " { [(a, b)] = p; c = a + b; y = x * scalar(c); }"
)
SAME = "fragment same<?>( x: tensor<?>, v: ? ) -> ( y: tensor<?> ) { y = select(true, x, v); }"
FILL = "fragment fill<? = scalar>( v: ? = 1.0 ) -> ( y: tensor<?> ) { y = constant<?>(shape = [2], value = [v]); }"

FRAGMENTS: list[tuple[str, str, list[str]]] = [
    (SCALE, "y = scale(x);", ["y.t = relu(x)", "y = mul(y.t, 2.0)"]),
    (SCALE, "y = scale(x, by = 3);", ["y.t = relu(x)", "y = mul(y.t, 3.0)"]),
    (SCALE, "y = scale(x = scale(x), by = 3);", [
        "y.scale.t = relu(x)", "y.scale = mul(y.scale.t, 2.0)", "y.t = relu(y.scale)", "y = mul(y.t, 3.0)"]),
    (TWICE, "y = twice(x);", ["y.a.t = relu(x)", "y.a = mul(y.a.t, 2.0)", "y.t = relu(y.a)", "y = mul(y.t, 3.0)"]),
    (PAIR, "y, z = pair(x);", ["y = relu(x)", "z = tanh(y)"]),
    (PAIR, "y = pair(x)[1];", ["y.pair.a = relu(x)", "y.pair.b = tanh(y.pair.a)", "y = copy(y.pair.b)"]),
    (PARTS, "[y, z] = parts(stack([x, x], axis = 0));", [
        "y.stack = stack(x, x, axis = 0)", "y.b, y.c = unstack(y.stack, axis = 0)", "y = relu(y.b)", "z = copy(y.c)"]),
    (POWER, "y = power(x, n = 1);", ["y = copy(x)"]),
    (POWER, "y = power(x, n = 3);", ["y.power = mul(x, x)", "y = mul(x, y.power)"]),
    (PADDED, "y = padded(x);", ["y = mul(x, 3.0)"]),
    (PADDED, "y = padded(x, p = [(4, 5)]);", ["y = mul(x, 9.0)"]),
    (SAME, "y = same(x, v = 1.0);", ["y = select(true, x, 1.0)"]),
    (SAME, "y = same<integer>(2, v = 1);", ["y = select(true, 2, 1)"]),
    (SAME, "y = same(true, v = false);", ["y = select(true, true, false)"]),
    (FILL, "y = x + fill();", ["y = add(x, y.fill)"]),
    (FILL, "i = fill<integer>(v = 3); y = select(true, i, fill<integer>(v = 4));", ["y = select(true, i, y.fill)"]),
]  # fmt: skip


@pytest.mark.parametrize(("fragments", "body", "expected"), FRAGMENTS, ids=[body for _, body, _ in FRAGMENTS])
def test_fragment(fragments: str, body: str, expected: list[str]) -> None:
    graph = load(body, fragments, dialect=STRICT, inputs="x = external(shape = [2]);")
    assert nodes(graph) == expected
    assert all("[named-tensors]" in warning for warning in graph.warnings)


def test_an_order_of_fragments_is_not_needed() -> None:
    later = "fragment a( x: tensor<scalar> ) -> ( y: tensor<scalar> ) { y = b(x); } " + SCALE.replace("scale(", "b(")
    assert nodes(load("y = a(x);", later)) == ["y.t = relu(x)", "y = mul(y.t, 2.0)"]


def fragment(body: str, parameters: str = "x: tensor<scalar>", results: str = "y: tensor<scalar>") -> str:
    """Its body starts in column 60 if only that is given."""
    return f"fragment f( {parameters} ) -> ( {results} ) {{ {body} }}"


CALLED = " (in fragment 'f', called at graph.nnef:6:5)"
BAD_FRAGMENTS: list[tuple[str, str]] = [
    (fragment("y = relu(w);"), "3:69: relu 'y': 'w' is not defined" + CALLED),
    (fragment("y = relu(z); z = x;"), "3:69: relu 'y': 'z' is used before it is assigned in line 3"),
    (fragment("y = relu(x); y = x;"), "3:73: 'y': 'y' is assigned twice" + CALLED),
    (fragment("x = relu(x); y = x;"), "3:60: relu 'x': parameter 'x' must not be assigned" + CALLED),
    (fragment("z = relu(x);"), "6:5: f 'y': result 'y' is never assigned in the fragment"),
    (fragment("y = true;"), "6:5: f 'y': result 'y': expected tensor<scalar>, got logical"),
    (fragment("y = [x];"), "6:5: f 'y': result 'y': expected tensor<scalar>, got tensor<scalar>[]"),
    (fragment("y = external(shape = [1]);"), "3:64: external 'y': is allowed in the graph only, not in a fragment"),
    (fragment("y = variable(shape = [1], label = 'w');"), "3:64: variable 'y': is allowed in the graph only, not in a frag"),
    (fragment("y = x + constant(shape = [1, 3], value = [1.0]);"), "3:64: add 'y': shapes [1,4] and [1,3] do not broadc"),
    ("fragment f( x: tensor<scalar> ) -> ( y: tensor<scalar> );", "6:5: f 'y': is a custom operation without a body"),
    (fragment("y = x;") * 2, "3:68: fragment 'f' is defined twice"),
    (fragment("y = x;").replace(" f(", " external("), "3:1: operation 'external' cannot be defined by a fragment"),
    (fragment("y = 1.0;", results="y: scalar"), "3:38: f: result 'y' must be a tensor or an array of tensors"),
    (fragment("y = (x, x);", results="y: (tensor<scalar>, tensor<scalar>)"), "3:38: f: result 'y' must be a tensor or"),
    (fragment("", results=""), "3:1: f: there are no results"),
    (fragment("y = x;", "x: tensor<scalar>, x: integer"), "3:32: f: the name 'x' is declared twice"),
    (fragment("y = x;", "x: tensor<scalar>, y: tensor<scalar>"), "3:57: f: the name 'y' is declared twice"),
    (fragment("y = x;", "n: integer, x: tensor<scalar>"), "3:25: f: tensor parameter 'x' must stand before attribute 'n'"),
    (fragment("y = x;", "x: tensor<scalar>, n: integer = 1.5"), "3:32: f: default of 'n': expected integer, got scalar"),
    (fragment("y = x;", "x: tensor<scalar>, n: integer[] = [[1]]"), "3:32: f: default of 'n': expected integer[], got i"),
    (fragment("y = x;", "x: tensor<?>"), "3:1: f: '?' is used, but the fragment is not declared as f<?>"),
    (fragment("y = x;").replace(" f(", " f<?>("), "3:1: f: is declared as generic, but '?' is not used"),
    (fragment("y = x;", "x: tensor<scalar>, n: integer"), "6:5: f 'y': argument 'n' is missing"),
    (fragment("y = 1.0;", "v: ?[] = []", "y: tensor<?>").replace(" f(", " f<?>("), "6:7: f 'y': argument 'v': expected ?[], got t"),
    (fragment("y = 1.0;", ""), "6:7: f 'y': expected at most 0 arguments, got 1"),
    (fragment("y = x;", "x: tensor<integer>"), "6:7: f 'y': argument 'x': expected tensor<integer>, got tensor<scalar>"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD_FRAGMENTS)
def test_fragment_refused(text: str, message: str) -> None:
    refused(f"graph.nnef:{message}", "y = f(x);", text)


def test_generic_type_that_nothing_shows() -> None:
    text = fragment("y = 1.0;", "v: ?[] = []", "y: tensor<?>").replace(" f(", " f<?>(")
    refused("graph.nnef:6:5: f 'y': the type cannot be deduced from the arguments: write f<scalar>(...)", "y = f();", text)
    assert nodes(load("y = f<scalar>();", text)) == ["y = copy(1.0)"]


def test_faults_in_nested_fragments_name_the_calls() -> None:
    text = fragment("y = relu(w);") + fragment("y = f(x);").replace(" f(", " g(", 1)
    error = refused("graph.nnef:3:69: relu 'y': 'w' is not defined (in fragment 'f', called at graph.nnef:3:", "y = g(x);", text)
    assert str(error).endswith("(in fragment 'g', called at graph.nnef:6:5)")


# Dialects --------------------------------------------------------------------------------------------------
OWN_RELU = fragment("y = neg(x);").replace(" f(", " relu(")
SPLIT = fragment("p = split(x, axis = 1, ratios = [1, 1]); y = p[0];")
FEATURES: dict[str, tuple[dict[str, str], str, str]] = {
    "integers-as-scalars": (
        {"body": "y = x + 1;"}, "6:5: add 'y': argument 'y': expected tensor<scalar>, got integer",
        "graph.nnef:6:5: add 'y': an integer is given where a scalar is expected; it is read as a scalar"),
    "integers-as-scalars, compile time": (
        {"body": "y = x * (1 + 0.5);"}, "6:10: add 'y': operator + does not take integer and scalar",
        "graph.nnef:6:10: add 'y': an integer is given where a scalar is expected; it is read as a scalar"),
    "positional-attributes": (
        {"body": "y = leaky_relu(x, 0.1);"}, "6:19: leaky_relu 'y': attribute 'alpha' is given without its name",
        "graph.nnef:6:19: leaky_relu 'y': attribute 'alpha' is given without its name"),
    "redefinitions": (
        {"body": "y = relu(x);", "fragments": OWN_RELU}, "3:1: fragment 'relu' has the name of a standard operation",
        "graph.nnef:3:1: fragment 'relu' has the name of a standard operation; the file's definition is used"),
    "undeclared-fragments": (
        {"body": "y = f(x);", "fragments": fragment("y = relu(x);"), "extensions": ""},
        "3:1: the file defines fragments without extension KHR_enable_fragment_definitions",
        "graph.nnef:3:1: the file defines fragments without extension KHR_enable_fragment_definitions"),
    "undeclared-operators": (
        {"body": "y = x + x;", "extensions": ""}, f"6:5: {NOT_FLAT}", f"graph.nnef:6:5: {NOT_FLAT}"),
    "undeclared-operators, nested": (
        {"body": "y = concat([x, relu(x)], axis = 1);", "extensions": ""},
        f"6:16: {NOT_FLAT}", f"graph.nnef:6:16: {NOT_FLAT}"),
    "vendor-extensions": (
        {"body": "y = relu(x);", "extensions": "extension ACME_speed;"}, "2:1: unknown extension ACME_speed",
        "graph.nnef:2:1: unknown extension ACME_speed is ignored"),
    "extension-lists": (
        {"body": "y = relu(x);", "extensions": f"extension {KHR[0]}, {KHR[1]};"},
        f"2:1: extension '{KHR[0]}' is followed by more than identifiers",
        f"graph.nnef:2:1: extension '{KHR[0]}' is followed by more than identifiers"),
    "array-identifiers": (
        {"body": "y = f(x);", "fragments": SPLIT}, "3:64: split 'y.p': its array of results must be unpacked",
        "graph.nnef:3:64: split 'y.p': its array of results must be unpacked with [a, b] = ..."),
    "tuple-subscripts": (
        {"body": "y = (x, -x)[1 - 1];"}, "6:13: 'y': the subscript of a tuple is not an integer literal",
        "graph.nnef:6:13: 'y': the subscript of a tuple is not an integer literal"),
    "tensor-conditions": (
        {"body": "y = x if x > 0.0 else -x;"},
        "6:5: select 'y': a condition must be a logical value known at compile time, got tensor<logical>; select takes",
        "graph.nnef:6:5: select 'y': the condition is a tensor; the expression is read as select"),
    "conv-borders": (
        {"body": "y = conv(x, 1.0 * w, border = 'ignore');", "inputs": WINDOW},
        "6:5: conv 'y': border 'ignore' is read as 'constant'",
        "graph.nnef:6:5: conv 'y': border 'ignore' is read as 'constant'"),
    "conv-bias": (
        {"body": "b = constant(shape = [4], value = [0.5]); y = conv(x, w, b);", "inputs": WINDOW},
        "6:47: conv 'y': a bias of shape [4] is read as [1,4]",
        "graph.nnef:6:47: conv 'y': a bias of shape [4] is read as [1,4]"),
    "string-characters": (
        {"body": r"y = variable(shape = [1, 4], label = 'a\b');"}, r"6:38: the string", r"graph.nnef:6:38: the string"),
    "version-numbers": ({"body": "y = relu(x);", "version": "1"}, "1:1: version 1 has no", "graph.nnef:1:1: version 1"),
    "empty-lists": (
        {"body": "x = relu(constant(shape = [1], value = [1.0]));", "signature": " ) -> ( x", "inputs": ""},
        "4:1: graph 'g' has no parameter", "graph.nnef:4:1: graph 'g' has no parameter"),
    "empty-graphs": (
        {"body": "y = relu(x);", "fragments": fragment("")}, "3:1: fragment 'f' has no assignment",
        "graph.nnef:3:1: fragment 'f' has no assignment"),
}  # fmt: skip


@pytest.mark.parametrize("name", FEATURES)
def test_differences_of_dialects(name: str) -> None:
    arguments, message, warning = FEATURES[name]
    rule = name.partition(",")[0]
    error = refused(f"graph.nnef:{message}", **arguments, dialect=STRICT)  # type: ignore[arg-type]
    assert rule in (error.rule, "integers-as-scalars")
    (found,) = load(**arguments, dialect=LENIENT).warnings  # type: ignore[arg-type]
    assert found.startswith(warning) and found.endswith(f" [{rule}]")


def test_deprecated_forms_warn_the_strict() -> None:
    assert load("y = relu(x = x);").warnings == ()
    (named,) = load("y = relu(x = x);", dialect=STRICT).warnings
    assert named == "graph.nnef:6:10: relu 'y': tensor 'x' is given with its name [named-tensors]"
    for dialect in (STRICT, LENIENT):
        (shape,) = load("y = reshape(x, shape = shape_of(x));", dialect=dialect).warnings
        assert shape.endswith("shape_of is deprecated since NNEF 1.0.1 [shape-of]")


def test_every_difference_is_tested() -> None:
    tested = {name.partition(",")[0] for name in FEATURES} | {"named-tensors", "shape-of", "old-item-types", "data-of-state"}
    tested |= {"item-parameters", "integer-codes", "empty-ranges"}  # test_quantisation.py
    assert tested == {rule.name for rule in DIFFERENCES}


@pytest.mark.parametrize("dialect", [STRICT, LENIENT])
def test_khronos_extensions_are_known(dialect: Dialect) -> None:
    for words in ("KHR_new", "ACME_speed KHR_new"):
        error = refused("graph.nnef:2:1: unknown extension KHR_new", "y = relu(x);", extensions=f"extension {words};",
                        dialect=dialect)  # fmt: skip
        assert error.rule == "extensions"


def test_choice_of_the_dialect() -> None:
    plain, declared = (
        parse_document(document("y = relu(x);", "", "x ) -> ( y", INPUT, extensions))
        for extensions in ("", "extension tract_registry tract_core;")
    )
    assert choose_dialect("auto", plain) is LENIENT and choose_dialect("strict", declared) is STRICT
    assert choose_dialect("lenient", declared) is LENIENT
    for name, text, message in (("auto", declared, "graph.nnef:2:1: extension tract_registry: the file is written in "
                                 "the dialect of tract"), ("tract", plain, "dialect tract")):  # fmt: skip
        with pytest.raises(UnsupportedError, match=f"^{message}, which is not supported yet$"):
            choose_dialect(name, text)
    with pytest.raises(UsageError, match="there are auto, strict, lenient, tract"):
        choose_dialect("loose", plain)


def test_what_features_mean() -> None:
    assert nodes(load("y = relu(x);", OWN_RELU)) == ["y = neg(x)"]
    assert nodes(load("y = silu(x);", OWN_RELU)) == nodes(load("y = silu(x);"))  # the standard keeps its own relu
    assert nodes(load("y = x if x > 0.0 else -x;")) == ["y.gt = gt(x, 0.0)", "y.neg = neg(x)", "y = select(y.gt, x, y.neg)"]
    assert nodes(load("y = leaky_relu(x, 1);")) == ["y = leaky_relu(x, alpha = 1.0)"]
    graph = load("y = relu(x);", "fragment relu( x: tensor<scalar> ) -> ( y: tensor<scalar> );")
    assert nodes(graph) == ["y = relu(x)"] and "the standard's meaning is used [" in graph.warnings[0]


def test_one_warning_of_a_kind() -> None:
    assert load("t = x + 1; y = leaky_relu(t, alpha = 2) * 3;").warnings == (WARNED,)


def test_flat_syntax_needs_no_extension() -> None:
    assert load("[y, z] = split(x, axis = 1, ratios = [1, 1]);", extensions="", dialect=STRICT).warnings == ()


# Files -----------------------------------------------------------------------------------------------------
@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with variable 'v/w' of shape [2], holding 1 and 2."""
    body = "w = variable(shape = [2], label = 'v/w'); y = x + w;"
    (tmp_path / "graph.nnef").write_text(document(body, "", "x ) -> ( y", "x = external(shape = [2]);", EXTENSIONS))
    (tmp_path / "v").mkdir()
    with (tmp_path / "v" / "w.dat").open("wb") as file:
        write_tensor(file, np.float32([1, 2]))
    return tmp_path


def test_model_of_a_folder(folder: Path) -> None:
    graph = import_model(folder, shapes={"x": (1,)})
    assert nodes(graph) == ["y = add(x, w)"] and str(graph.tensors["y"]) == "f32[2]"
    np.testing.assert_array_equal(graph.constants["w"].array, [1, 2])
    assert graph.parameter_count == 2


def test_faults_of_files_name_the_variable(folder: Path) -> None:
    (folder / "graph.quant").write_text('"w": linear_quantize(min = 0.0, max = 1.0);')
    with pytest.raises(ModelError, match=r"^graph\.quant:1:1: linear_quantize 'w': argument 'bits' is missing"):
        import_model(folder)
    (folder / "graph.quant").unlink()
    (folder / "v" / "w.dat").write_bytes(b"")
    with pytest.raises(FileFormatError, match=r"^graph\.nnef:6:5: variable 'w': v/w\.dat: "):
        import_model(folder)


# Hostile models --------------------------------------------------------------------------------------------
@contextmanager
def small_memory(limit: int = 2 << 20) -> Iterator[None]:
    """Asserts that no more was ever held inside; numpy's arrays count as well."""
    load("y = x;")  # what is made once
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit, peak


def test_shapes_of_ten_gigabytes_take_no_memory() -> None:
    with small_memory():
        graph = load("y = relu(x);", inputs="x = external(shape = [50000, 50000]);")
        assert graph.tensors["y"].bytes == 10**10
        graph = load("c = constant(shape = [50000, 50000], value = [0.5]); y = c * 2.0;")
        assert graph.constants["c"].array.shape == (50000, 50000)
        place = "graph.nnef:6:5: variable 'w': expected data of shape [50000,50000] for 'w', got [1,4]"
        refused(place, "w = variable(shape = [50000, 50000], label = 'w'); y = w;")
        refused("graph.nnef:6:5: constant 'y': expected 1 or 2500000000 values for shape [50000,50000], got 2",
                "y = constant(shape = [50000, 50000], value = [0.5, 0.5]);")  # fmt: skip
        data = np.broadcast_to(np.float32(1), (50000, 50000))
        load("y = variable(shape = [50000, 50000], label = 'w');", data=data)


EXPONENTIAL = fragment("y = relu(x);").replace(" f(", " f0(") + "".join(
    fragment(f"y = f{k}(f{k}(x));").replace(" f(", f" f{k + 1}(") for k in range(60)
)
HOSTILE: dict[str, tuple[str, str, str]] = {
    "endless recursion": (
        fragment("y = f(x);"), "y = f(x);", "graph.nnef:3:64: f 'y': fragments call each other more than 1000 levels deep"),
    "endless recursion of two": (
        fragment("y = g(x);") + fragment("y = relu(f(x));").replace(" f(", " g(", 1), "y = f(x);", "graph.nnef:3:"),
    "endless recursion that grows": (
        fragment("y = f(x, n = n + n);", "x: tensor<scalar>, n: integer[]"), "y = f(x, n = [1]);",
        "graph.nnef:3:87: add 'y': an array of 1048576 items is too long, the limit is 1000000"),
    "endless text": (
        fragment("y = f(x, n = n + n);", "x: tensor<scalar>, n: string"), "y = f(x, n = 'a');",
        "graph.nnef:3:84: add 'y': an array of 1048576 items"),
    "exponential fragments": (EXPONENTIAL, "y = f60(x);", "graph.nnef:3:"),
    "exponential fragments without operations": (EXPONENTIAL.replace("relu(x)", "x"), "y = f60(x);", "graph.nnef:3:"),
    "huge repetition": (
        "", "y = reshape(x, shape = [1] * 9223372036854775807);", "graph.nnef:6:24: mul 'y': an array of 92233720368547758"),
    "huge repetition of nothing": (
        "", "y = reshape(x, shape = [] * 9223372036854775807);", "graph.nnef:6:5: reshape 'y': "),
    "huge comprehension": (
        "", "y = add_n([for i in range_of([0] * 1000000) yield length_of([for j in range_of([0] * 1000000) yield j])]);",
        "graph.nnef:6:61: add_n 'y': evaluating the model takes more than 2000000 steps (a loop or"),
    "many operations in a loop": (
        "", "y = concat([for i in range_of([0] * 200000) yield -x], axis = 1);",
        "graph.nnef:6:51: neg 'y': the graph has more than 100 operations"),
    "many results": ("", "[y, z] = copy_n(x, times = 1000000000);", "graph.nnef:6:10: copy_n 'y': 'times' must be"),
    "many items": ("", f"y = concat([{'x, ' * 100_000} x], axis = 1);", ""),
}  # fmt: skip


@pytest.mark.parametrize("more", ["[{}]", "[{0}, {0}]"], ids=["deep", "doubled"])
@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("y = x * scalar(length_of({}));", ""),
        ("y = x * scalar(length_of({0} + {0}));", ""),
        ("y = x + {};", "expected tensor<scalar>, got ...[]"),
        ("y = x if {0} == {0} else x;", "operator == does not take ...[]"),
        ("y = reshape(x, shape = {});", "expected integer[], got ...[]"),
    ],
)
def test_arrays_in_arrays_without_end(more: str, statement: str, error: str, tmp_path: Path) -> None:
    """A program nests arrays deeper than its text; nothing recurses over them or walks all paths."""
    count = 3000 if more == "[{}]" else 60
    lines = ["a0 = [];", *(f"a{k + 1} = {more.format(f'a{k}')};" for k in range(count)), statement.format(f"a{count}")]
    source = document("y = f(x);", fragment("\n".join(lines)), "x ) -> ( y", INPUT, EXTENSIONS)
    (tmp_path / "graph.nnef").write_text(source)
    with pytest.raises(ModelError, match=re.escape(error)) if error else nullcontext():
        import_model(tmp_path)
    assert [error in finding.message for finding in validate_model(tmp_path).findings] == [True] * bool(error)


def test_the_type_of_an_array_that_holds_one_array_many_times() -> None:
    value: Any = [1.5]
    for _ in range(60):
        value = [value, value]
    wanted = parse_fragment(f"fragment f<?>( x: ?{'[]' * 61} ) -> ( y: tensor<?> );").parameters[0]
    assert deduce([(wanted, value)], lenient=False) == "scalar"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fragments, body, message = HOSTILE[name]
    if name != "exponential fragments without operations":
        monkeypatch.setenv("NNEF_CL_MAX_OPERATIONS", "100")
    start = time.perf_counter()
    if message:
        refused(message, body, fragments)
    else:
        load(body, fragments)
    assert time.perf_counter() - start < 60


def test_names_stay_short_in_deep_fragments() -> None:
    deep = fragment("y = relu(f(x, n = n - 1)) if n > 0 else x;", "x: tensor<scalar>, n: integer")
    graph = load("y = f(x, n = 900);", deep)
    assert len(graph.nodes) == 900 and len(graph.tensors) == 901
    assert max(map(len, graph.tensors)) < 200


def test_time_grows_with_the_number_of_operations() -> None:
    """Ten times is far more than five operations for one should take, and far less than their square."""

    def seconds(count: int) -> float:
        body = "".join(f"t{k + 1} = scale(t{k}) + 1.0;\n" for k in range(count))
        inputs = "t0 = external(shape = [1]);"
        text = document(body, SCALE, f"t0 ) -> ( t{count}", inputs, EXTENSIONS)
        parsed = parse_document(text)
        start = time.process_time()
        graph = import_document(parsed, STANDARD, lambda label, position: np.zeros(1))
        assert len(graph.nodes) == 3 * count
        return time.process_time() - start

    assert min(seconds(5_000) for _ in range(3)) < 10 * min(seconds(1_000) for _ in range(3))

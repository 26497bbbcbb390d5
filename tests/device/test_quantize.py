"""Quantisation on devices: the bits of the numpy definition, alone, in epilogues and in blocked layouts."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_cl.conformance.harness import interpret
from nnef_cl.device import open_device
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.session import Session

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

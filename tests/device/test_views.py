"""Joins, splits and slices without copies, chained, repeated and mixed, against the numpy references."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_cl.conformance.harness import compare, interpret
from nnef_cl.device import open_device
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.session import Session

MAPS = "a = external(shape = [1, 32, 6, 4]); b = external(shape = [1, 32, 6, 4]); "
ROWS = "a = external(shape = [64, 32]); b = external(shape = [64, 32]); "
CASES = {
    "chain": (MAPS + "c = relu(a); d = concat([c, exp(b)], axis = 1); e = tanh(d); "
              "f = concat([d, e], axis = 1); y = concat([f, sqr(f)], axis = 1);", 0),
    "part read later": (MAPS + "c = softmax(a); d = concat([c, softmax(b)], axis = 1); e = softmax(d); "
                        "f = softmax(c); y = concat([e, f], axis = 1);", 0),
    "part is a result": (MAPS + "z = softmax(a); y = concat([z, softmax(b)], axis = 1);", 0),
    "part of two": (MAPS + "c = softmax(a); d = concat([c, b], axis = 1); e = concat([softmax(b), c], axis = 1); "
                    "y = add(d, e);", 2),
    "twice the same": (MAPS + "c = softmax(a); d = softmax(b); y = concat([c, d, c], axis = 1);", 1),
    "inputs": (MAPS + "y = concat([a, b], axis = 1);", 2),
    "later axis": (MAPS + "y = concat([softmax(a), softmax(b)], axis = 2);", 2),
    "first axis": (ROWS + "y = concat([softmax(a), softmax(b)], axis = 0);", 0),
    "stacked": (ROWS + "y = stack([softmax(a), softmax(b)], axis = 0);", 0),
    "split": (MAPS + "[c, d] = split(softmax(a), axis = 1, ratios = [1, 3]); y = concat([softmax(d), softmax(c)], axis = 1);",
              0),
    "split of an input": (MAPS + "[c, d] = split(a, axis = 1, ratios = [1, 3]); y = concat([softmax(d), c], axis = 1);", 1),
    "split and joined": (MAPS + "[c, d] = split(softmax(a), axis = 1, ratios = [1, 1]); y = concat([d, c], axis = 1);", 2),
    "reshaped part": (MAPS + "c = reshape(softmax(a), shape = [1, 16, 12, 4]); d = softmax(reshape(b, shape = [1, 16, 12, 4])); "
                      "y = concat([c, d], axis = 1);", 1),
    "unaligned": ("a = external(shape = [1, 5]); b = external(shape = [1, 7]); "
                  "y = concat([softmax(a), softmax(b)], axis = 1);", 1),
    "rows": (ROWS + "c = softmax(a); d = slice(c, axes = [0], begin = [8], end = [24]); e = slice(c, axes = [0], begin = [16], end = [0]); "
             "y = add(add(max_reduce(d, axes = [0]), max_reduce(softmax(e), axes = [0])), b);", 0),
    "one step of some": ("a = external(shape = [1, 6, 128]); b = external(shape = [1, 128]); c = softmax(a); "
                         "d = slice(c, axes = [1, 0], begin = [4, 0], end = [3, 1], stride = [-1, 1]); "
                         "e = slice(c, axes = [1, 2], begin = [2, 64], end = [3, 128]); "
                         "y = add(mul(reshape(d, shape = [1, 128]), b), pad(reshape(e, shape = [1, 64]), padding = [(0, 0), (0, 64)]));", 0),
    "channels": (MAPS + "c = softmax(a); y = add(softmax(slice(c, axes = [1], begin = [16], end = [0])), "
                 "slice(softmax(b), axes = [1], begin = [0], end = [16]));", 0),
    "not in one piece": (MAPS + "y = add(softmax(slice(softmax(a), axes = [2], begin = [1], end = [3])), "
                         "softmax(slice(softmax(b), axes = [2], begin = [0], end = [4], stride = [2])));", 2),
    "slice joined": (ROWS + "c = softmax(a); y = concat([slice(c, axes = [0], begin = [8], end = [24]), softmax(b)], axis = 0);", 1),
}  # fmt: skip
"""Text, and how many copies remain."""


@pytest.mark.parametrize("name", CASES)
def test_results_and_copies(name: str, selector: str) -> None:
    text, copies = CASES[name]
    results = "y, z" if "z =" in text else "y"
    graph = import_document(
        parse_document(f"version 1.0; graph g( a, b ) -> ( {results} ) {{ {text} }}"), STANDARD, lambda *_: np.empty(0)
    )
    rng = np.random.default_rng(len(text))
    inputs = {name: rng.standard_normal(graph.tensors[name].shape, np.float32) for name in graph.inputs}
    with Session(graph, open_device(selector), STANDARD | INTERNAL) as session:
        for _ in range(2):
            got = session.run(inputs)
        left = [step for step in session.plan.steps if step.op in ("concat", "stack", "split", "unstack", "slice")]
    expected = interpret(graph, inputs)
    for output in got:
        compare(name, got[output], expected[output], 1e-6)
    assert len(left) == copies

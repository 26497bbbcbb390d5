"""Groups of operations that become one kernel: found on devices with vectors, right on every device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from nnef_cl.conformance.harness import compare, interpret, literal
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ir.graph import Graph
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.session import Session
from tests.conftest import OCLGRIND
from tests.device.shapes import open_shaped

pytestmark = pytest.mark.many_kernels

SHAPES = ("own",) if OCLGRIND else ("own", pytest.param("gpu", marks=pytest.mark.slow))
"""The simulator takes what separate kernels hand on, as those of a GPU do, for uninitialised."""
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Pattern:
    """text: makes y of the inputs. op: what it becomes. special: values put at places of an input, by its name."""

    label: str
    op: str
    text: str
    inputs: Mapping[str, Shape]
    masks: Mapping[str, Shape] = field(default_factory=dict)
    special: Mapping[str, tuple[tuple[object, float], ...]] = field(default_factory=dict)
    large: bool = False

    @property
    def graph(self) -> Graph:
        names = (*self.inputs, *self.masks)
        lines = [f"{name} = external<scalar>(shape = {literal(list(s))});" for name, s in self.inputs.items()]
        lines += [f"{name} = external<logical>(shape = {literal(list(s))});" for name, s in self.masks.items()]
        body = "\n".join([*lines, self.text])
        text = f"version 1.0;\ngraph g( {', '.join(names)} ) -> ( y )\n{{\n{body}\n}}\n"
        return import_document(parse_document(text), STANDARD, lambda label, position: np.zeros(()))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        random = np.random.default_rng(0)
        arrays = {name: random.standard_normal(shape, np.float32) for name, shape in self.inputs.items()}
        for name, places in self.special.items():
            for place, value in places:
                arrays[name][place] = value
        return arrays | {name: random.random(shape) < 0.7 for name, shape in self.masks.items()}


def heads(batch: int, tokens: int, count: int, features: int, large: bool = False) -> Pattern:
    """Self-attention with the heads split off by reshapes and transpositions, as exporters write it."""
    whole, split = (batch, tokens, count * features), [batch, tokens, count, features]
    moved = " ".join(f"{n}4 = reshape({n}, shape = {split}); {n}5 = transpose({n}4, axes = {axes});"
                     for n, axes in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])))  # fmt: skip
    text = f"""{moved} w = softmax(matmul(q5, k5) * 0.3, axes = [3]); m = matmul(w, v5);
        y = reshape(transpose(m, axes = [0, 2, 1, 3]), shape = {list(whole)});"""
    return Pattern(f"heads {batch} {tokens} {count} {features}", "attention", text, dict.fromkeys("qkv", whole), large=large)


PLAIN = "y = matmul(softmax(matmul(q, k, transposeB = true) + m, axes = [2]), v);"
LONG = {"q": (1, 20, 8), "k": (1, 300, 8), "v": (1, 300, 8), "m": (1, 20, 300)}
ATTENTION = (
    heads(2, 19, 2, 5),
    heads(1, 197, 2, 64, large=True),
    heads(1, 300, 1, 40, large=True),
    heads(1, 1030, 1, 8, large=True),
    heads(2, 33, 3, 17, large=True),
    Pattern("masks and an epilogue", "attention", """s = matmul(q, k, transposeB = true) / 8.0 + m;
        w = softmax(select(c, s, -1e9), axes = [2]); y = matmul(w, v) * 2.0 + e;""",
        {"q": (3, 20, 7), "k": (1, 11, 7), "v": (3, 11, 9), "m": (3, 20, 11), "e": (3, 20, 1)}, {"c": (1, 1, 11)}),
    Pattern("a logical mask for each query", "attention",
        "y = matmul(softmax(select(c, matmul(q, k), -1e9), axes = [1]), v);",
        {"q": (9, 7), "k": (7, 13), "v": (13, 4)}, {"c": (9, 13)}),
    Pattern("values by columns", "softmax", "y = matmul(softmax(matmul(q, k), axes = [1]), v, transposeB = true);",
        {"q": (9, 7), "k": (7, 13), "v": (4, 13)}),
    Pattern("one tensor unstacked", "attention", """s = transpose(reshape(x, shape = [2, 21, 3, 2, 8]), axes = [2, 0, 3, 1, 4]);
        [q, k, v] = unstack(s, axis = 0); y = matmul(softmax(matmul(q, k, transposeB = true), axes = [3]), v);""",
        {"x": (2, 21, 48)}),
    Pattern("one tensor split, batch of one squeezed", "attention", """s = transpose(reshape(x, shape = [1, 21, 2, 15]), axes = [0, 2, 1, 3]);
        [a, b, c] = split(s, axis = 3, ratios = [1, 1, 1]);
        q = squeeze(a, axes = [0]); k = squeeze(b, axes = [0]); v = squeeze(c, axes = [0]);
        m = unsqueeze(matmul(softmax(matmul(q, k, transposeB = true), axes = [2]), v), axes = [0]);
        y = transpose(m, axes = [0, 2, 1, 3]);""", {"x": (1, 21, 30)}),
    Pattern("slices with strides", "attention", """q = slice(x, axes = [1], begin = [0], end = [18]);
        k = slice(x, axes = [1], begin = [40], end = [3], stride = [-2]); v = slice(x, axes = [1], begin = [3], end = [22]);
        y = matmul(softmax(matmul(q, k, transposeB = true), axes = [2]), v);""", {"x": (2, 41, 6)}),
    Pattern("infinite scores", "attention", PLAIN, LONG, special={"m": (
        ((0, 2), -np.inf), ((0, 4, slice(150)), -np.inf), ((0, 5, slice(160, 300)), -np.inf), ((0, 6, 7), np.nan),
        ((0, 7, 200), np.nan), ((0, 8, 299), np.inf))}, large=True),
    Pattern("weights that others read", "softmax", "w = softmax(matmul(q, k), axes = [1]); y = matmul(w, v) + w;",
        {"q": (9, 7), "k": (7, 13), "v": (13, 13)}),
    Pattern("softmax over queries", "softmax", "y = matmul(softmax(matmul(q, k), axes = [0]), v);",
        {"q": (9, 7), "k": (7, 13), "v": (13, 5)}),
)  # fmt: skip

LAYER_NORM = """c, v = moments(x, axes = [2]); d = sub(x, c); a = add(v, 0.00001); r = rsqrt(a);
    n = mul(d, r); s = mul(n, g); y = add(s, b);"""
NORMALISATIONS = (
    *(Pattern(f"layer norm of {n}", "rowwise", LAYER_NORM, {"x": (3, 7, n), "g": (1, 1, n), "b": (1, 1, n)})
      for n in (2, 3, 16, 21)),
    Pattern("layer norm of long rows", "rowwise", LAYER_NORM, {"x": (2, 5, 5001), "g": (1, 1, 5001), "b": (1, 1, 1)},
            large=True),
    Pattern("layer norm of a sum, with a square root", "rowwise", """h = x + z; m = mean_reduce(h, axes = [2]); d = h - m;
        v = mean_reduce(d * d, axes = [2]); y = d / sqrt(v + 1e-5) * g + b;""",
        {"x": (3, 7, 21), "z": (3, 7, 21), "g": (1, 1, 21), "b": (1, 1, 21)}),
    Pattern("variance as a difference of means", "rowwise", """m = mean_reduce(x, axes = [1]); s = mean_reduce(sqr(x), axes = [1]);
        y = (x - m) * rsqrt(s - m * m + 1e-5);""", {"x": (9, 33)}),
    Pattern("root mean square norm", "rowwise", "v = mean_reduce(x * x, axes = [1]); y = x * rsqrt(v + 1e-5) * g;",
        {"x": (30, 100), "g": (1, 100)}),
    Pattern("softmax written out", "rowwise", """m = max_reduce(x, axes = [1]); e = exp(x - m);
        s = sum_reduce(e, axes = [1]); y = e / s;""", {"x": (30, 40)}),
    Pattern("instance norm", "rowwise", "c, v = moments(x, axes = [2, 3]); y = (x - c) / sqrt(v + 1e-5) * g + b;",
        {"x": (3, 7, 9, 11), "g": (1, 7), "b": (1, 7)}),
    Pattern("rows to the unit length", "rowwise", "y = l2_normalization(x, axes = [1], bias = 1e-3, epsilon = 1e-6);",
        {"x": (30, 19)}),
    Pattern("a mask for each row", "rowwise", "m = sum_reduce(x, axes = [1]); y = select(c, x - m, 0.0);",
        {"x": (30, 17)}, {"c": (30, 1)}),
    Pattern("a mask for each element", "rowwise", "m = mean_reduce(select(c, x, 0.0), axes = [1]); y = select(c, x - m, 0.0);",
        {"x": (30, 17)}, {"c": (30, 17)}),
    Pattern("NaN among extremes", "rowwise", """m = max_reduce(x, axes = [1]); n = min_reduce(x, axes = [1]);
        y = (x - n) / (m - n);""", {"x": (9, 37)},
        special={"x": (((1, 5), np.nan), ((2, 36), np.nan), ((3, 7), np.inf), ((4, 36), -np.inf))}),
    Pattern("two norms in a row", "rowwise", """c, v = moments(x, axes = [1]); z = (x - c) * rsqrt(v + 1e-5) * g + b;
        d, w = moments(z, axes = [1]); y = (z - d) * rsqrt(w + 1e-5) * g + b;""", {"x": (9, 37), "g": (1, 37), "b": (1, 37)}),
    Pattern("moments that others read", "sum_reduce", "m = sum_reduce(x, axes = [1]); d = x - m; y = d * sum_reduce(m, axes = [0]);",
        {"x": (9, 37)}),
    Pattern("first axes", "mean_reduce", "y = x - mean_reduce(x, axes = [0]);", {"x": (19, 8)}),
    Pattern("one long row", "mean_reduce", "y = x - mean_reduce(x, axes = [0, 1]);", {"x": (40, 30)}),
)  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pattern", (*ATTENTION, *NORMALISATIONS), ids=lambda pattern: pattern.label)
def test_pattern(pattern: Pattern, shape: str, selector: str) -> None:
    if OCLGRIND and (pattern.large or pattern.op not in ("attention", "rowwise")):
        pytest.skip("too large for the simulator, or several kernels")
    inputs = pattern.arrays
    with np.errstate(all="ignore"):
        expected = interpret(pattern.graph, inputs)["y"]
    with Session(pattern.graph, open_shaped(selector, shape), STANDARD | INTERNAL) as session:
        assert shape != "own" or pattern.op in {node.op for node in session.graph.nodes}
        with np.errstate(all="ignore"):
            compare("references", interpret(session.graph, inputs)["y"], expected, 4e-6)
        compare(pattern.label, session.run(inputs)["y"], expected, 4e-6)

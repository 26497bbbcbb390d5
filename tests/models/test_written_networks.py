"""Networks of many styles written as text, each beside the same computation in plain numpy that knows no NNEF."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_cl.conformance.harness import compare, interpret
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.plan.build import PRECISIONS
from nnef_cl.session import Session
from tests.device.shapes import open_shaped

TOLERANCE = 3e-5
Network = tuple[str, str, Callable[[Any, Any], dict[str, np.ndarray]]]
"""Head of the graph, its body, and the results from inputs and variables."""
NETWORKS: dict[str, Network] = {}


def network(head: str, body: str) -> Callable[[Callable[[Any, Any], dict[str, np.ndarray]]], None]:
    def add(function: Callable[[Any, Any], dict[str, np.ndarray]]) -> None:
        NETWORKS[function.__name__] = (head, body, function)

    return add


def conv(
    x: np.ndarray, w: np.ndarray, stride: int | tuple[int, ...] = 1, pad: Any = None, dilation: int = 1, groups: int = 1,
    mode: str = "constant",
) -> np.ndarray:  # fmt: skip
    """pad: (before, after) of each axis, by default to the same size. One sum per output channel, in float64."""
    rank, k = x.ndim - 2, w.shape[0] // groups
    strides = stride if isinstance(stride, tuple) else (stride,) * rank
    reach = [(n - 1) * dilation + 1 for n in w.shape[2:]]
    pad = pad or [((r - 1) // 2, r // 2) for r in reach]
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pad], mode=mode)
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(2, 2 + rank)))
    steps = tuple(slice(None, None, s) for s in strides)
    view = view[(slice(None), slice(None), *steps, *[slice(None, None, dilation)] * rank)]
    c = w.shape[1]
    axes = ([1, *range(2 + rank, 2 + 2 * rank)], list(range(1, 2 + rank)))
    parts = [np.tensordot(view[:, g * c : g * c + c], w[g * k : g * k + k], axes) for g in range(groups)]
    return np.moveaxis(np.concatenate(parts, axis=-1), -1, 1)


def deconv(x: np.ndarray, w: np.ndarray, stride: int, before: int, outputs: tuple[int, ...]) -> np.ndarray:
    """Scatters every input element; `before` is cut off, and what lies behind the outputs."""
    extents = ((n - 1) * stride + k + stride for n, k in zip(x.shape[2:], w.shape[2:], strict=True))
    full = np.zeros((x.shape[0], w.shape[1], *extents))
    for place in np.ndindex(*x.shape[2:]):
        window = tuple(slice(p * stride, p * stride + k) for p, k in zip(place, w.shape[2:], strict=True))
        full[(slice(None), slice(None), *window)] += np.tensordot(x[(slice(None), slice(None), *place)], w, 1)
    return full[(slice(None), slice(None), *(slice(before, before + n) for n in outputs))]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def halved(x: np.ndarray) -> np.ndarray:
    """Maxima of 2 x 2, the last row or column alone where the extent is odd."""
    n, c, h, w = x.shape
    even = np.pad(x, [(0, 0), (0, 0), (0, h % 2), (0, w % 2)], constant_values=-np.inf)
    return even.reshape(n, c, (h + 1) // 2, 2, (w + 1) // 2, 2).max((3, 5))


@network("x -> y, aux", """
    x = external(shape = [2, 3, 31, 29]);
    s = relu(conv(x, variable(shape = [17, 3, 3, 3], label = 's'), variable(shape = [1, 17], label = 'sb'), stride = [2, 2],
                  padding = [(0, 0), (0, 0)]));
    a = relu(conv(s, variable(shape = [8, 17, 1, 1], label = 'a'), 0.1));
    b = relu(conv(relu(conv(s, variable(shape = [9, 17, 1, 1], label = 'b')))
                  , variable(shape = [13, 9, 3, 3], label = 'bb')));
    f = conv(conv(s, variable(shape = [6, 17, 1, 7], label = 'f')), variable(shape = [4, 6, 7, 1], label = 'ff'));
    z = concat([a, b, f], axis = 1);
    aux = max_reduce(z, axes = [0, 2]);
    p = mean_reduce(local_response_normalization(z, size = [1, 5, 1, 1], alpha = 0.1, beta = 0.75, bias = 2.0), axes = [2, 3]);
    y = softmax(linear(reshape(p, shape = [0, -1]), variable(shape = [10, 25], label = 'fc'), variable(shape = [1, 10], label = 'fb')));
""")
def inception(x: Any, w: Any) -> dict[str, np.ndarray]:
    s = relu(conv(x["x"], w["s"], 2, [(0, 0), (0, 0)]) + w["sb"][..., None, None])
    branches = relu(conv(s, w["a"]) + 0.1), relu(conv(relu(conv(s, w["b"])), w["bb"])), conv(conv(s, w["f"]), w["ff"])
    z = np.concatenate(branches, axis=1)
    squares = np.pad(z**2, [(0, 0), (2, 2), (0, 0), (0, 0)])
    sums = sum(squares[:, k : k + 25] for k in range(5))
    p = (z / (2 + 0.1 * sums / 5) ** 0.75).mean((2, 3))
    return {"y": softmax(p @ w["fc"].T + w["fb"], 1), "aux": z.max((0, 2), keepdims=True)}


@network("x -> y", """
    x = external(shape = [3, 16, 7, 5]);
    c1 = conv(relu(batch_normalization(x, variable(shape = [1, 16], label = 'm'), 1.3, 0.1, variable(shape = [1, 16], label = 'g'),
                                       epsilon = 0.001)), variable(shape = [12, 16, 3, 3], label = 'c'));
    t = concat([x, c1, c1], axis = 1);
    e = relu(conv(mean_reduce(t, axes = [2, 3]), variable(shape = [5, 40, 1, 1], label = 'e')));
    g = sigmoid(conv(e, variable(shape = [40, 5, 1, 1], label = 'h'), variable(shape = [1, 40], label = 'hb')));
    r = conv(t * g, variable(shape = [16, 40, 1, 1], label = 'r'));
    y = max(r + x, 0.0) + silu(r - x);
""")
def squeeze_excite(x: Any, w: Any) -> dict[str, np.ndarray]:
    x = x["x"]
    normal = (x - w["m"][..., None, None]) / np.sqrt(1.301) * w["g"][..., None, None] + 0.1
    c = conv(relu(normal), w["c"])
    t = np.concatenate([x, c, c], axis=1)
    e = relu(conv(t.mean((2, 3), keepdims=True), w["e"]))
    r = conv(t * sigmoid(conv(e, w["h"]) + w["hb"][..., None, None]), w["r"])
    return {"y": relu(r + x) + (r - x) * sigmoid(r - x)}


@network("x -> y", """
    x = external(shape = [2, 70, 9, 9]);
    e = clamp(conv(x, variable(shape = [130, 70, 1, 1], label = 'e'), variable(shape = [1, 130], label = 'eb')), 0.0, 6.0);
    d = conv(e, variable(shape = [260, 1, 3, 3], label = 'd'), groups = 0, stride = [2, 2], dilation = [2, 2],
             padding = [(2, 2), (2, 2)]);
    p = conv(d, variable(shape = [70, 260, 1, 1], label = 'p'));
    g = conv(p, variable(shape = [42, 5, 3, 3], label = 'g'), groups = 14, border = 'reflect', padding = [(1, 1), (1, 1)]);
    y = conv(g, variable(shape = [42, 1, 5, 5], label = 'h'), groups = 42, border = 'replicate') + g;
""")
def mobile(x: Any, w: Any) -> dict[str, np.ndarray]:
    e = np.clip(conv(x["x"], w["e"]) + w["eb"][..., None, None], 0, 6)
    p = conv(conv(e, w["d"], 2, [(2, 2), (2, 2)], 2, 130), w["p"])
    g = conv(p, w["g"], groups=14, mode="reflect")
    return {"y": conv(g, w["h"], groups=42, mode="edge") + g}


@network("x -> y, z", """
    x = external(shape = [1, 1, 225]);
    a = tanh(conv(x, variable(shape = [17, 1, 9], label = 'a'), stride = [3], padding = [(4, 4)]));
    b = conv(a, variable(shape = [34, 17, 3], label = 'b'), dilation = [4], padding = [(8, 0)]);
    [t, s] = split(b, axis = 1, ratios = [1, 1]);
    y = elu(tanh(t) * sigmoid(s) + a, alpha = 0.7);
    z = deconv(y, variable(shape = [17, 1, 9], label = 'z'), stride = [3], padding = [(4, 4)], output_shape = [1, 1, 225]);
""")
def wave(x: Any, w: Any) -> dict[str, np.ndarray]:
    a = np.tanh(conv(x["x"], w["a"], 3, [(4, 4)]))
    b = conv(a, w["b"], 1, [(8, 0)], 4)
    v = np.tanh(b[:, :17]) * sigmoid(b[:, 17:]) + a
    y = np.where(v < 0, 0.7 * np.expm1(v), v)
    return {"y": y, "z": deconv(y, w["z"], 3, 4, (225,))}


@network("x -> y, m", """
    x = external(shape = [1, 2, 5, 7, 11]);
    a = leaky_relu(conv(x, variable(shape = [17, 2, 3, 3, 3], label = 'a')), alpha = 0.1);
    c = conv(a, variable(shape = [17, 1, 3, 1, 1], label = 'c'), groups = 0);
    y = deconv(c, variable(shape = [17, 3, 2, 2, 2], label = 'e'), stride = [2, 2, 2], padding = [(0, 0), (0, 0), (0, 0)]);
    m = argmax_reduce(y, axes = [3]);
""")
def video(x: Any, w: Any) -> dict[str, np.ndarray]:
    a = conv(x["x"], w["a"])
    c = conv(np.where(a < 0, 0.1 * a, a), w["c"], groups=17)
    y = deconv(c, w["e"], 2, 0, (10, 14, 22))
    return {"y": y, "m": y.argmax(3, keepdims=True)}


@network("x -> y, mid", """
    x = external(shape = [1, 3, 17, 13]);
    a = relu(conv(x, variable(shape = [8, 3, 3, 3], label = 'a')));
    b = relu(conv(max_pool(a, size = [1, 1, 2, 2], stride = [1, 1, 2, 2], border = 'ignore', padding = [(0, 0), (0, 0), (0, 1), (0, 1)]),
                  variable(shape = [16, 8, 3, 3], label = 'b')));
    mid = relu(conv(max_pool(b, size = [1, 1, 2, 2], stride = [1, 1, 2, 2], border = 'ignore', padding = [(0, 0), (0, 0), (0, 1), (0, 1)]),
                    variable(shape = [19, 16, 3, 3], label = 'c')));
    u = deconv(mid, variable(shape = [19, 16, 3, 3], label = 'u'), stride = [2, 2], padding = [(1, 1), (1, 1)],
               output_shape = [1, 16, 9, 7]);
    k = relu(conv(concat([u, b], axis = 1), variable(shape = [16, 32, 3, 3], label = 'k')));
    v = deconv(k, variable(shape = [16, 8, 2, 2], label = 'v'), stride = [2, 2], padding = [(0, 1), (0, 1)],
               output_shape = [1, 8, 17, 13]);
    y = conv(concat([v, a], axis = 1), variable(shape = [1, 16, 1, 1], label = 'y'), variable(shape = [1, 1], label = 'yb'));
""")
def unet(x: Any, w: Any) -> dict[str, np.ndarray]:
    a = relu(conv(x["x"], w["a"]))
    b = relu(conv(halved(a), w["b"]))
    mid = relu(conv(halved(b), w["c"]))
    k = relu(conv(np.concatenate([deconv(mid, w["u"], 2, 1, (9, 7)), b], axis=1), w["k"]))
    v = deconv(k, w["v"], 2, 0, (17, 13))
    return {"y": conv(np.concatenate([v, a], axis=1), w["y"]) + w["yb"][0, 0], "mid": mid}


@network("x -> h3, c3", """
    x = external(shape = [1, 3, 13]);
    h0 = variable(shape = [1, 17], label = 'h');
    c0 = variable(shape = [1, 17], label = 'c');
    W = variable(shape = [68, 30], label = 'w');
""" + "".join(f"""
    z{t} = matmul(concat([squeeze(slice(x, axes = [1], begin = [{t}], end = [{t + 1}]), axes = [1]), h{t}], axis = 1), W, transposeB = true);
    [i{t}, f{t}, g{t}, o{t}] = split(z{t}, axis = 1, ratios = [1, 1, 1, 1]);
    c{t + 1} = sigmoid(f{t}) * c{t} + sigmoid(i{t}) * tanh(g{t});
    h{t + 1} = sigmoid(o{t}) * tanh(c{t + 1});
""" for t in range(3)) + "nh = update(h0, h3); nc = update(c0, c3);")
def lstm(x: Any, w: Any) -> dict[str, np.ndarray]:
    h, c = w["h"], w["c"]
    for t in range(3):
        i, f, g, o = np.split(np.concatenate([x["x"][:, t], h], axis=1) @ w["w"].T, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return {"h3": h, "c3": c}


HEADS = "shape = [2, 11, 3, 8]), axes = [0, 2, 1, 3])"


@network("ids, mask -> y, att", f"""
    ids = external<integer>(shape = [2, 11]);
    mask = external<logical>(shape = [2, 1, 1, 11]);
    e = gather(variable(shape = [29, 24], label = 'e'), ids, axis = 0) + variable(shape = [1, 11, 24], label = 'p');
    (m, v) = moments(e, axes = [2]);
    n = (e - m) / sqrt(v + 0.00001) * variable(shape = [1, 1, 24], label = 'g');
    q = transpose(reshape(matmul(n, variable(shape = [1, 24, 24], label = 'q')), {HEADS};
    k = transpose(reshape(matmul(n, variable(shape = [1, 24, 24], label = 'k')), {HEADS};
    a = transpose(reshape(matmul(n, variable(shape = [1, 24, 24], label = 'a')), {HEADS};
    att = softmax(select(mask, matmul(q, k, transposeB = true) * 0.35355339, -10000.0), axes = [3]);
    r = reshape(transpose(matmul(att, a), axes = [0, 2, 1, 3]), shape = [2, 11, 24]) + e;
    y = matmul(gelu(matmul(r, variable(shape = [1, 24, 97], label = 'f'))), variable(shape = [1, 97, 24], label = 'o')) + r;
""")
def transformer(x: Any, w: Any) -> dict[str, np.ndarray]:
    e = w["e"][x["ids"]] + w["p"]
    n = (e - e.mean(2, keepdims=True)) / np.sqrt(e.var(2, keepdims=True) + 1e-5) * w["g"]
    q, k, a = ((n @ w[name]).reshape(2, 11, 3, 8).swapaxes(1, 2) for name in "qka")
    att = softmax(np.where(x["mask"], q @ k.swapaxes(2, 3) * 0.35355339, -10000), 3)
    r = (att @ a).swapaxes(1, 2).reshape(2, 11, 24) + e
    f = r @ w["f"]
    return {"y": f * sigmoid(1.702 * f) @ w["o"] + r, "att": att}


@network("x -> y", """
    x = external(shape = [5, 130, 1, 1]);
    a = relu(conv(x, variable(shape = [97, 130, 3, 3], label = 'a'), variable(shape = [1, 97], label = 'ab')));
    c = deconv(a, variable(shape = [97, 17, 4, 4], label = 'c'), padding = [(0, 0), (0, 0)]);
    d = relu(deconv(c, variable(shape = [17, 3, 4, 4], label = 'd'), stride = [2, 2], padding = [(1, 1), (1, 1)]));
    y = tanh(deconv(d, variable(shape = [3, 2, 3, 3], label = 'e'), stride = [2, 2], padding = [(1, 1), (1, 1)],
                    output_shape = [5, 2, 16, 15]));
""")
def generator(x: Any, w: Any) -> dict[str, np.ndarray]:
    a = relu(conv(x["x"], w["a"]) + w["ab"][..., None, None])
    d = relu(deconv(deconv(a, w["c"], 1, 0, (4, 4)), w["d"], 2, 1, (8, 8)))
    return {"y": np.tanh(deconv(d, w["e"], 2, 1, (16, 15)))}


@network("x, y, n, unused -> x, a, b, c, d, e, f, g, h", """
    x = external(shape = [3, 1, 17]);
    y = external(shape = [3, 5]);
    n = external<integer>(shape = [2, 3]);
    unused = external(shape = [7]);
    m = x > y && x < 1.0 || !(y >= 0.0);
    a = select(m, x, y);
    b = any_reduce(m, axes = [0, 2]);
    c = squeeze(mean_reduce(x, axes = [0, 1, 2]), axes = [0, 1, 2]);
    d = gather(x, n, axis = 2);
    (p, q) = mean_and_scaled(y, [2.0, 3.0]);
    e = p + q;
    f = argmin_reduce(y, axes = [0]);
    g = slice(n, axes = [1], begin = [-1], end = [-3], stride = [-1]);
    h = copy(g);
""")
def odds_and_ends(x: Any, w: Any) -> dict[str, np.ndarray]:
    x, y, n = x["x"], x["y"], x["n"]
    wide = y[:, :, None]
    m = ((x > wide) & (x < 1)) | ~(wide >= 0)
    g = n[:, :0:-1]
    return {
        "x": x, "a": np.where(m, x, wide), "b": m.any((0, 2), keepdims=True), "c": x.mean(), "d": x[:, :, n],
        "e": y.mean(1, keepdims=True) + 5 * y, "f": y.argmin(0)[None], "g": g, "h": g,
    }  # fmt: skip


FRAGMENTS = """
fragment scaled( x: tensor<scalar>, factors: scalar[] ) -> ( ys: tensor<scalar>[] )
{ ys = [for k in factors yield x * k]; }
fragment mean_and_scaled( x: tensor<scalar>, factors: scalar[] ) -> ( m: tensor<scalar>, y: tensor<scalar> )
{ m = mean_reduce(x, axes = [1]); y = add_n(scaled(x, factors)) if length_of(factors) > 1 else x; }
"""


def build(name: str) -> tuple[str, dict[str, np.ndarray]]:
    """The text, and a seeded value for every variable in it."""
    head, body, _ = NETWORKS[name]
    inputs, outputs = head.split(" -> ")
    extensions = "extension KHR_enable_fragment_definitions;\nextension KHR_enable_operator_expressions;"
    text = f"version 1.0;\n{extensions}\n{FRAGMENTS}\ngraph g( {inputs} ) -> ( {outputs} )\n{{{body}}}\n"
    variables = {}
    for extents, label in re.findall(r"variable\(shape = \[([\d, ]+)\], label = '(\w+)'\)", text):
        shape = tuple(map(int, extents.split(",")))
        scale = np.sqrt(np.prod(shape[1:] if len(shape) != 3 or shape[0] > 1 else shape[1:2]))
        rng = np.random.default_rng(sum(map(ord, name + label)))
        variables[label] = (rng.standard_normal(shape) / scale).astype(np.float32)
    return text, variables


def values(name: str, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(sum(map(ord, name)))
    if kind == "scalar":
        return rng.standard_normal(shape, np.float32)
    return rng.integers(0, 17, shape) if kind == "integer" else rng.random(shape) > 0.3


@pytest.mark.many_kernels
@pytest.mark.parametrize(("shape", "precision"), [("own", "default"), ("own", "exact"), ("gpu", "default")])
@pytest.mark.parametrize("name", list(NETWORKS))
def test_against_plain_numpy(name: str, shape: str, precision: str, selector: str) -> None:
    text, variables = build(name)
    graph = import_document(parse_document(text), STANDARD, lambda label, position: variables[label])
    inputs = {n: values(n, graph.tensors[n].dtype.kind, graph.tensors[n].shape) for n in graph.inputs}
    expected, references = NETWORKS[name][2](inputs, variables), interpret(graph, inputs)
    assert set(expected) == set(graph.outputs)
    with Session(graph, open_shaped(selector, shape), STANDARD | INTERNAL, choose=PRECISIONS[precision]) as session:
        got = session.run(inputs)
    for output in graph.outputs:
        api = graph.tensors[output].dtype.api
        compare(f"{name}: {output}", got[output], np.asarray(expected[output]).astype(api), TOLERANCE)
        compare(f"{name}: {output}, reference", references[output], np.asarray(expected[output]).astype(api), TOLERANCE)

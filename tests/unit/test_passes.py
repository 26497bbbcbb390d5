"""Passes: what each of them changes, what it must leave, and that results stay what they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from nnef_cl.codegen.target import Target

from nnef_cl import passes
from nnef_cl.conformance.harness import compare, interpret
from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ir.graph import Graph, Node
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.passes.fold import MAX_FLOPS, MAX_VOLUME
from nnef_cl.passes.fuse import MAX_STEPS
from nnef_cl.plan.build import build_plan, first

OPS = STANDARD | INTERNAL
TARGET = Target.generic(8)
VARIABLES = {
    "w": (8, 8, 3, 3), "v": (8, 8, 3, 3), "g": (8, 1, 3, 3), "q": (8, 4, 3, 3), "f": (8, 1, 4, 4), "h": (1, 1, 12, 1), "N": (8, 4, 3, 3),
    "P": (8, 8, 1, 1), "O": (1, 8, 3, 3), "R": (1, 8, 1, 1), "b": (1, 8), "m": (1, 8), "s": (1, 8), "t": (1, 8),
}  # fmt: skip
SETUP = "\n".join(f"{name} = variable(shape = {list(shape)}, label = '{name}');" for name, shape in VARIABLES.items())


def variable(label: str) -> np.ndarray:
    array = np.random.default_rng(ord(label)).standard_normal(VARIABLES[label], np.float32)
    return np.abs(array) + 0.5 if label == "s" else array


def model(text: str, outputs: str = "y") -> Graph:
    """x: [2, 8, 6, 6]; the variables above."""
    source = f"version 1.0;\ngraph g( x ) -> ( {outputs} )\n{{\nx = external(shape = [2, 8, 6, 6]);\n{SETUP}\n{text}\n}}\n"
    return import_document(parse_document(source), STANDARD, lambda label, position: variable(label))


def after(name: str, graph: Graph) -> Graph:
    """The graph after that pass; every pass on the way keeps the results."""
    x = {"x": np.random.default_rng(0).standard_normal((2, 8, 6, 6), np.float32)}
    expected = interpret(graph, x)
    for stage, _ in passes.PIPELINE:
        changed = passes.run(graph, OPS, TARGET, until=stage)
        assert (changed.inputs, changed.outputs) == (graph.inputs, graph.outputs)
        got = interpret(changed, x)
        for output in graph.outputs:
            compare(f"{output} after {stage}", got[output], expected[output], 2e-5)
        if stage == name:
            break
    return changed


def operations(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def only(graph: Graph, op: str) -> Node:
    [found] = [node for node in graph.nodes if node.op == op]
    return found


NORMALIZED = "c = conv(x, w, b); y = batch_normalization(c, m, s, t, s, epsilon = 1e-5);"


# fold ------------------------------------------------------------------------------------------------------
def test_fold_computes_constants() -> None:
    graph = after("fold", model("k = exp(b * 2.0) + m; y = x + transpose(k, axes = [0, 1]);"))
    assert operations(graph) == ["add"]


def test_fold_leaves_large_results_to_the_device() -> None:
    graph = model(f"k = tile(b, repeats = [{MAX_VOLUME // 4}, 1]); s0 = sum_reduce(k, axes = [0]); y = x + s0;")
    assert operations(passes.run(graph, OPS, TARGET, until="fold"))[:2] == ["tile", "sum_reduce"]


def test_fold_leaves_long_computations_to_the_device() -> None:
    graph = model("k = constant(shape = [2048, 2048], value = [0.5]); y = x + sum_reduce(matmul(k, k), axes = [0, 1]);")
    assert MAX_FLOPS < 2 * 2048**3
    assert "matmul" in operations(passes.run(graph, OPS, TARGET, until="fold"))


def test_fold_does_not_spread_what_repeats() -> None:
    text = f"k = constant(shape = [2, 8, {MAX_VOLUME}], value = [0.5]); j = exp(k); y = x + sum_reduce(j, axes = [2]);"
    folded = passes.run(model(text), OPS, TARGET, until="fold")
    assert set(folded.constants["j"].array.strides) == {0}


def test_fold_reads_repeated_operands_without_repetition() -> None:
    graph = after("fold", model("k = constant(shape = [2, 8, 6, 6], value = [0.5]); y = x + k;"))
    [operand] = [name for name in only(graph, "add").inputs if name != "x"]
    assert graph.tensors[operand].shape == (1, 1, 1, 1)


# simplify --------------------------------------------------------------------------------------------------
PAD = "p = pad(x, padding = [(0,0), (0,0), (1,2), (0,3)], border = '{}');"
CONV = "y = conv(p, w, b, padding = {}, stride = [2, 1]);"


@pytest.mark.parametrize(
    ("text", "border", "expected"),
    [
        (PAD.format("constant") + CONV.format("[(0,0), (0,0)]"), "constant", ((1, 2), (0, 3))),
        (PAD.format("constant") + CONV.format("[(1,0), (2,-1)]"), "constant", ((2, 2), (2, 2))),
        (PAD.format("constant") + CONV.format("[]"), "constant", ((2, 3), (1, 4))),
        (PAD.format("reflect") + CONV.format("[(0,0), (0,0)]"), "reflect", ((1, 2), (0, 3))),
        (PAD.format("replicate") + "y = max_pool(p, size = [1,1,3,2], border = 'ignore', padding = [(0,0), (0,0), (0,0), (0,0)]);",
         "replicate", ((0, 0), (0, 0), (1, 2), (0, 3))),
        (PAD.format("constant") + "y = box(p, size = [1,1,3,2], border = 'constant', normalize = true, padding = []);",
         "constant", ((0, 0), (0, 0), (2, 3), (0, 4))),
    ],
)
def test_padding_is_the_windows(text: str, border: str, expected: object) -> None:
    graph = after("simplify", model(text))
    [node] = graph.nodes
    assert (node.attrs["border"], node.attrs["padding"]) == (border, expected)


@pytest.mark.parametrize(
    "text",
    [
        PAD.format("reflect") + CONV.format("[(1,1), (1,1)]"),
        PAD.format("constant").replace("');", "', value = 1.0);") + CONV.format("[(0,0), (0,0)]"),
        PAD.format("constant").replace("(1,2)", "(-1,2)") + CONV.format("[(0,0), (0,0)]"),
        PAD.format("constant") + "y = max_pool(p, size = [1,1,2,2], border = 'ignore', padding = []);",
        "p = pad(x, padding = [(1,0), (0,0), (1,2), (0,3)]);" + CONV.format("[(0,0), (0,0)]"),
    ],
)
def test_padding_that_no_window_has_stays(text: str) -> None:
    assert operations(after("simplify", model(text)))[0] == "pad"


def test_padding_stays_for_those_who_read_it() -> None:
    graph = after("simplify", model(PAD.format("constant") + CONV.format("[(0,0), (0,0)]") + "z = relu(p);", "y, z"))
    assert sorted(operations(graph)) == ["conv", "pad", "relu"] and only(graph, "conv").inputs[0] == "x"


def test_simplify_drops_copies_and_what_nobody_reads() -> None:
    graph = after("simplify", model("a = copy(x); unused = exp(a); d = copy(a); y = relu(d);"))
    assert operations(graph) == ["relu"] and graph.nodes[0].inputs == ("x",)


def test_simplify_keeps_a_copy_that_is_an_output() -> None:
    assert operations(after("simplify", model("y = copy(x); z = copy(y);", "y, z"))).count("copy") == 2


# scale -----------------------------------------------------------------------------------------------------
def test_scale_folds_batch_normalization_into_the_filter() -> None:
    assert operations(after("scale", model(NORMALIZED))) == ["conv"]


def test_scale_folds_into_grouped_convolutions() -> None:
    assert operations(after("scale", model(NORMALIZED.replace("conv(x, w, b", "conv(x, g, b, groups = 0")))) == ["conv"]


@pytest.mark.parametrize(
    ("text", "outputs"),
    [
        (NORMALIZED, "y, c"),  # the convolution's own result is wanted
        (NORMALIZED + "z = exp(c);", "y, z"),
        ("c = deconv(x, v, padding = [(1, 1), (1, 1)]); y = c * m;", "y"),
        ("c = conv(x, w); y = c * 2.0 * squeeze(unsqueeze(x, axes = [0]), axes = [0]);", "y"),
    ],
)
def test_scale_leaves_what_others_read(text: str, outputs: str) -> None:
    before, graph = model(text, outputs), after("scale", model(text, outputs))
    conv = [node for node in before.nodes if node.op in ("conv", "deconv")]
    assert [node for node in graph.nodes if node.op in ("conv", "deconv")] == conv


# fuse ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("attributes", "end"), [
    ("stride = [5, 5], padding = [(1, 1), (0, 2)]", ["reshape", "slice"]),
    ("stride = [6, 3], output_shape = [2, 8, 36, 18], border = 'replicate'", ["reshape"]),
    ("stride = [9, 2], dilation = [3, 2], groups = 2", ["reshape"]),
])  # fmt: skip
def test_deconvolution_of_large_strides_is_a_convolution(attributes: str, end: list[str]) -> None:
    filter = "w" if "groups" not in attributes else "q"
    graph = after("subpixel", model(f"y = deconv(x, {filter}, b, {attributes});"))
    assert operations(graph) == ["conv", "reshape", "transpose", *end]
    assert only(graph, "conv").attrs["stride"] == (1, 1)


@pytest.mark.parametrize("attributes", [
    "stride = [4, 4]", "stride = [6, 6], border = 'reflect'", "stride = [40, 40]", "stride = [5, 5], dilation = [99, 99]",
    "stride = [9, 9], padding = [(20, 25), (20, 25)], output_shape = [2, 8, 3, 3]",
])  # fmt: skip
def test_other_deconvolutions_stay(attributes: str) -> None:
    assert operations(after("subpixel", model(f"y = deconv(x, w, b, {attributes});"))) == ["deconv"]


def test_a_filter_that_repeats_a_number_is_not_spread() -> None:
    text = "z = constant(shape = [8, 8, 3000, 3000], value = [1.0]); y = deconv(x, z, stride = [1500, 1500]);"
    graph = model(text)
    assert operations(passes.run(graph, OPS, TARGET, until="subpixel")) == ["deconv"]


def test_few_results_are_read_from_blocks_only_where_kernels_can() -> None:
    text = "c = conv(x, w, b); d = deconv(c, f, stride = [2, 2], padding = [(1, 1), (1, 1)]); y = %s;"
    kinds = {}
    for result in ("relu(d)", "add(d, h)"):
        graph = passes.run(model(text % result), OPS, TARGET)
        kinds[result] = {step.algorithm for step in build_plan(graph, OPS, TARGET, first).steps}
    assert "deconv_few_phases" in kinds["relu(d)"]
    assert "deconv_few_phases" not in kinds["add(d, h)"]  # an operand that phases cannot read


def test_fuse_joins_chains() -> None:
    graph = after("fuse", model("a = exp(x); d = a * 2.0 + x; y = select(x > 1.0, d, x);"))
    assert operations(graph) == ["map"] and graph.nodes[0].inputs == ("x",)


@pytest.mark.parametrize(
    ("operation", "producer"),
    [
        ("conv", "conv(x, w, b)"), ("deconv", "deconv(x, w, b)"), ("max_pool", "max_pool(x, size = [1, 1, 3, 3])"),
        ("conv", "conv(x, g, groups = 0)"),
    ],
)  # fmt: skip
def test_fuse_hangs_epilogues_on_producers(operation: str, producer: str) -> None:
    graph = after("fuse", model(f"c = {producer}; d = relu(c); y = (d + x) * 0.5;"))
    node = only(graph, operation)
    assert operations(graph) == [operation] and node.epilogue is not None
    assert node.inputs[len(node.own_inputs) :] == ("x",)


@pytest.mark.parametrize(
    ("text", "outputs"),
    [
        ("c = conv(x, w); y = relu(c);", "c, y"),
        ("c = conv(x, w); y = relu(c); z = sum_reduce(c, axes = [1]);", "y, z"),
        ("c = sum_reduce(x, axes = [1]); y = c + x;", "y"),  # the epilogue is larger than the result
    ],
)
def test_fuse_leaves_what_others_read(text: str, outputs: str) -> None:
    graph = after("fuse", model(text, outputs))
    assert all(node.epilogue is None for node in graph.nodes if node.op != "map") and "map" in operations(graph)


def test_fuse_limits_the_length_of_a_program() -> None:
    lines = ["a0 = x;"] + [f"a{k + 1} = sin(a{k});" for k in range(3 * MAX_STEPS)] + [f"y = relu(a{3 * MAX_STEPS});"]
    graph = after("fuse", model("\n".join(lines)))
    lengths = [len(node.epilogue.steps) for node in graph.nodes if node.epilogue]
    assert len(lengths) >= 3 and max(lengths) <= MAX_STEPS


# layout ----------------------------------------------------------------------------------------------------
def test_layout_keeps_blocks_between_convolutions() -> None:
    graph = after("layout", model("c = conv(x, w); p = max_pool(c, size = [1, 1, 2, 2]); y = conv(relu(p), v);"))
    assert operations(graph) == ["reorder", "conv", "max_pool", "conv", "reorder"]
    assert [graph.tensors[node.outputs[0]].layout.block for node in graph.nodes] == [8, 8, 8, 8, 1]


def test_layout_goes_plain_where_the_operation_asks() -> None:
    graph = after("layout", model("c = conv(x, w); y = transpose(c, axes = [0, 2, 3, 1]);"))
    assert operations(graph) == ["reorder", "conv", "reorder", "transpose"]


@pytest.mark.parametrize(("body", "expected"), [
    ("y = conv(x, w, padding = [(0, 0), (0, 0)]);", ["conv", "reorder"]),
    ("y = conv(x, w, padding = [(1, 0), (0, 0)]);", ["reorder", "conv", "reorder"]),
    ("y = conv(x, P);", ["conv"]),
    ("y = relu(conv(conv(x, P), P));", ["conv", "conv", "reorder"]),
    ("y = conv(slice(x, axes = [1], begin = [0], end = [4]), N);", ["slice", "conv", "reorder"]),
    ("y = conv(x, O);", ["reorder", "conv"]),
    ("y = conv(x, R);", ["conv"]),
    ("y = deconv(x, w);", ["reorder", "deconv", "reorder"]),
])  # fmt: skip
def test_what_convolutions_read(body: str, expected: list[str]) -> None:
    """Blocks, where windows of several pixels are put together from channels that fill one; single pixels of a plain
    tensor stay plain where no convolution follows."""
    assert operations(after("layout", model(body))) == expected


def test_layout_needs_vectors() -> None:
    graph = model("y = conv(x, w);")
    assert operations(passes.run(graph, OPS, replace(TARGET, vector_width=1))) == ["conv"]


def test_outputs_and_inputs_are_plain() -> None:
    graph = after("layout", model("y = conv(x, w); z = relu(y);", "y, z"))
    assert all(graph.tensors[name].layout.block == 1 for name in (*graph.inputs, *graph.outputs))

"""Whether each row of a batch is computed from that row alone, whatever stands beside it and wherever it stands."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nnef_cl.errors import RuleError
from nnef_cl.ir.graph import Graph, Node
from nnef_cl.ir.layout import Shape
from nnef_cl.ir.tensor import Constant
from nnef_cl.ops.base import Table


class Kind(enum.Enum):
    """Of a tensor: has the batch as its first axis; has nothing of it, with equal rows along that axis or with one;
    has nothing of it."""

    ROWS = "rows"
    SAME = "same"
    OTHER = "other"


Rule = Callable[[Mapping[str, Any], Sequence[Kind], Sequence[Shape], Shape], bool]
"""Attributes, kinds and shapes of the inputs, shape of the result -> whether the result has rows of its own, where at
least one input has."""


def mixing(graph: Graph, ops: Table, inputs: Iterable[str] | None = None) -> str:
    """Why rows cannot be told apart, or ''. graph: as imported. inputs: those that hold a row per request, the others
    are the same for all; None: all of them.

    Operations without a rule, a user's for one, count as mixing, unless they are element-wise.
    """
    wanted = set(graph.inputs if inputs is None else inputs)
    if graph.updates:
        return "the model updates variables"
    kinds = {name: _kind(constant) for name, constant in graph.constants.items()}
    kinds |= {name: Kind.ROWS if name in wanted else Kind.OTHER for name in graph.inputs}
    for node in graph.nodes:
        result = _result(node, graph, ops, kinds)
        if result is None:
            place = f"{node.position}: " if node.position else ""
            return f"{place}{node.op} '{node.name}' mixes rows"
        kinds |= dict.fromkeys(node.outputs, result)
    for name in graph.outputs:
        if kinds[graph.output_tensor(name)] is not Kind.ROWS:
            return f"output '{name}' has no rows"
    return ""


def difference(one: Graph, many: Graph, times: int) -> str:
    """Why the graph `many` is not `one` with so many times the rows in every input, or ''. Both as imported, of one
    model; what it makes of the extents of its inputs may differ. one: its rows can be told apart."""
    names = [tuple((node.op, node.inputs, node.outputs) for node in graph.nodes) for graph in (one, many)]
    if names[0] != names[1] or set(one.constants) != set(many.constants):
        return "with more rows the model has other operations or numbers"
    for name, constant in one.constants.items():
        if not _equal(constant, many.constants[name]):
            return f"with more rows '{name}' has other values"
    rows = set(one.inputs)
    for node, other in zip(one.nodes, many.nodes, strict=True):
        if not rows.isdisjoint(node.inputs):
            rows.update(node.outputs)
        if why := _changed(node, other, one, many, times if node.outputs[0] in rows else 1):
            place = f"{node.position}: " if node.position else ""
            return f"{place}{node.op} '{node.name}': with more rows {why}"
    return ""


def has_rows(name: str, graph: Graph, rows: int) -> bool:
    """Whether the tensor is computed or given, and so many extents long along its first axis."""
    return name not in graph.constants and graph.tensors[name].shape[:1] == (rows,)


def keeps_rows(node: Node, graph: Graph, ops: Table, rows: int) -> bool:
    """Whether each of the `rows` rows of the node's results is computed from the same rows of what it reads and from
    tensors that have none, whatever those rows are. graph: at any stage, after passes too."""
    own = len(node.own_inputs)
    kinds = [Kind.ROWS if has_rows(name, graph, rows) else Kind.OTHER for name in node.inputs]
    shapes = [graph.tensors[name].shape for name in node.inputs]
    result = graph.tensors[node.outputs[0]].shape
    rule = _beside if ops[node.op].is_pointwise or node.op in POINTWISE else RULES.get(node.op) or INNER.get(node.op)
    if rule is None or Kind.ROWS not in kinds[:own] or not all(has_rows(name, graph, rows) for name in node.outputs):
        return False
    if own < len(kinds) and not _beside({}, [Kind.ROWS, *kinds[own:]], [result, *shapes[own:]], result):
        return False
    return rule(node.attrs, kinds[:own], shapes[:own], result) and _infers(node, graph, ops, rows)


def with_rows(node: Node, rows: int, count: int) -> Mapping[str, Any]:
    """Attributes of a node that keeps rows, where it computes `count` of them at a time."""
    changed = {name: (count, *node.attrs[name][1:]) for name in EXTENTS if node.attrs.get(name, ())[:1] == (rows,)}
    return {**node.attrs, **changed} if count != rows else node.attrs


def _infers(node: Node, graph: Graph, ops: Table, rows: int) -> bool:
    """Whether one row of the inputs gives one row of the results, by the operation's own rule if it has one."""
    if ops[node.op].infer is None:
        return True

    def one(name: str) -> Shape:
        shape = graph.tensors[name].shape
        return (1, *shape[1:]) if has_rows(name, graph, rows) else shape

    try:
        found = ops[node.op].infer_shapes([one(name) for name in node.own_inputs], with_rows(node, rows, 1))
    except RuleError:
        return False
    return found == [one(name) for name in node.outputs]


def _equal(a: Constant, b: Constant) -> bool:
    """What a label stands for is the same file."""
    if a.label or b.label or a.shape != b.shape or a.dtype != b.dtype:
        return bool(a.label) and a.label == b.label and a.shape == b.shape
    return a.array.tobytes() == b.array.tobytes()


def _changed(node: Node, other: Node, one: Graph, many: Graph, times: int) -> str:
    """What is not as it should be, or ''."""
    attrs = [{name: value for name, value in each.attrs.items() if name not in EXTENTS} for each in (node, other)]
    for name in attrs[0]:
        if attrs[0][name] != attrs[1].get(name):
            return f"{name} changes from {attrs[0][name]} to {attrs[1].get(name)}"
    for name in node.outputs:
        shape, got = one.tensors[name].shape, many.tensors[name].shape
        wanted = (shape[0] * times, *shape[1:]) if times > 1 else shape
        if got != wanted:
            return f"expected shape {list(wanted)}, got {list(got)}"
    return ""


def _kind(constant: Constant) -> Kind:
    array = constant.stored
    if array.ndim == 0 or len(array) == 1:
        return Kind.SAME
    # Two rows of weights tell, so that the others need not be read.
    return Kind.SAME if np.all(array[1] == array[0]) and np.all(array == array[:1]) else Kind.OTHER


def _result(node: Node, graph: Graph, ops: Table, kinds: Mapping[str, Kind]) -> Kind | None:
    """None: rows are mixed."""
    given = [kinds[name] for name in node.inputs]
    shapes = [graph.tensors[name].shape for name in node.inputs]
    result = graph.tensors[node.outputs[0]].shape
    pointwise = ops[node.op].is_pointwise or node.op in POINTWISE
    if Kind.ROWS not in given:
        if node.op == "tile" and shapes[0][:1] == (1,):
            return Kind.SAME
        return Kind.SAME if pointwise and set(given) <= {Kind.SAME} else Kind.OTHER
    rule = _beside if pointwise else RULES.get(node.op)
    return Kind.ROWS if rule is not None and rule(node.attrs, given, shapes, result) else None


# Rules -----------------------------------------------------------------------------------------------------
def _beside(attrs: Mapping[str, Any], kinds: Sequence[Kind], shapes: Sequence[Shape], result: Shape) -> bool:
    """Element by element: what has no rows must be the same for each."""
    rows = next(shape[0] for kind, shape in zip(kinds, shapes, strict=True) if kind is Kind.ROWS)
    return result[0] == rows and all(
        kind is not Kind.OTHER or shape[:1] in ((), (1,)) for kind, shape in zip(kinds, shapes, strict=True)
    )


def _first_only(attrs: Mapping[str, Any], kinds: Sequence[Kind], shapes: Sequence[Shape], result: Shape) -> bool:
    """Filters, biases and their like have no rows."""
    return kinds[0] is Kind.ROWS and Kind.ROWS not in kinds[1:]


def _window(attrs: Mapping[str, Any], kinds: Sequence[Kind], shapes: Sequence[Shape], result: Shape) -> bool:
    """Sizes, padding and strides with an entry for the batch, too."""
    alone = all(attrs.get(name, ())[:1] in ((), (1,)) for name in ("size", "stride", "dilation"))
    return _first_only(attrs, kinds, shapes, result) and alone and tuple(attrs["padding"])[:1] in ((), ((0, 0),))


def _other_axes(attrs: Mapping[str, Any], kinds: Sequence[Kind], shapes: Sequence[Shape], result: Shape) -> bool:
    return 0 not in attrs["axes"]


def _other_axis(attrs: Mapping[str, Any], kinds: Sequence[Kind], shapes: Sequence[Shape], result: Shape) -> bool:
    """Of one tensor or of several that are joined."""
    return attrs["axis"] != 0 and Kind.OTHER not in kinds


def _matmul(attrs: Mapping[str, Any], kinds: Sequence[Kind], shapes: Sequence[Shape], result: Shape) -> bool:
    if len(result) == 2:
        return kinds[1] is not Kind.ROWS and not attrs["transposeA"]
    return _beside(attrs, kinds, shapes, result)


def _gather(attrs: Mapping[str, Any], kinds: Sequence[Kind], shapes: Sequence[Shape], result: Shape) -> bool:
    """Elements of rows, or for rows of numbers elements of one table."""
    if kinds[0] is Kind.ROWS:
        return attrs["axis"] != 0 and kinds[1] is not Kind.ROWS
    return attrs["axis"] == 0


def _reshape(attrs: Mapping[str, Any], kinds: Sequence[Kind], shapes: Sequence[Shape], result: Shape) -> bool:
    """Rows stay where they are, whatever becomes of their elements."""
    return result[:1] == shapes[0][:1]


EXTENTS = ("shape", "output_shape")
"""Attributes that say what the result's shape says."""
POINTWISE = ("copy", "cast", "select")
RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("conv", "deconv", "nearest_downsample", "nearest_upsample", "multilinear_upsample"), _first_only),
    **dict.fromkeys(("max_pool", "box", "debox"), _window),
    **dict.fromkeys(
        ("sum_reduce", "max_reduce", "min_reduce", "mean_reduce", "any_reduce", "all_reduce", "argmax_reduce",
         "argmin_reduce", "softmax", "squeeze", "unsqueeze", "slice"), _other_axes
    ),
    **dict.fromkeys(("concat", "stack", "split", "unstack"), _other_axis),
    "matmul": _matmul,
    "gather": _gather,
    "image": lambda attrs, kinds, shapes, result: len(result) == 4,
    "reshape": _reshape,
    "transpose": lambda attrs, kinds, shapes, result: tuple(attrs["axes"])[:1] in ((), (0,)),
    "pad": lambda attrs, kinds, shapes, result: tuple(attrs["padding"][0]) == (0, 0),
    "tile": lambda attrs, kinds, shapes, result: attrs["repeats"][0] == 1,
}  # fmt: skip
INNER: Mapping[str, Rule] = {
    "map": _beside,
    "reorder": _first_only,
    "rowwise": lambda attrs, kinds, shapes, result: 0 not in attrs["axes"] and _beside(attrs, kinds, shapes, result),
}
"""Of operations that passes insert."""

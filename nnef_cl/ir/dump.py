"""Graph -> readable text and plain data for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from nnef_cl.ir.graph import Graph, Node
from nnef_cl.ir.tensor import TensorSpec

MAX_WIDTH = 48
"""Names and specs longer than this do not widen their column."""


def dump(graph: Graph) -> str:
    """One line per tensor and node, in columns: name, type and shape, what it is; epilogues on lines of their own."""
    sections = [
        ("inputs", [(name, _spec(graph, name), "") for name in graph.inputs]),
        ("constants", [(name, _spec(graph, name), _content(graph, name)) for name in graph.constants]),
        ("variables", [(name, _spec(graph, name), f"= '{c.label}'") for name, c in graph.variables.items()]),
        ("nodes", [row for node in graph.nodes for row in _rows(graph, node)]),
        ("outputs", [_output(graph, name) for name in graph.outputs]),
        ("updates", [(name, _spec(graph, name), f"= {value}") for name, value in graph.updates.items()]),
    ]
    rows = [row for _, section in sections for row in section]
    widths = [min(max((len(row[k]) for row in rows), default=0), MAX_WIDTH) for k in (0, 1)]
    lines = [f"graph {graph.name}"]
    lines += [f"warning: {warning}" for warning in graph.warnings]
    for title, section in sections:
        if section:
            lines.append(f"{title}:")
            lines += [f"  {name:{widths[0]}}  {spec:{widths[1]}}  {text}".rstrip() for name, spec, text in section]
    return "\n".join(lines) + "\n"


def _spec(graph: Graph, name: str) -> str:
    quant = graph.tensors[name].quant
    return f"{graph.tensors[name]} {{{quant}}}" if quant else str(graph.tensors[name])


def _output(graph: Graph, name: str) -> tuple[str, str, str]:
    tensor = graph.output_tensor(name)
    return name, _spec(graph, tensor), f"= {tensor}" if tensor != name else ""


def _content(graph: Graph, name: str) -> str:
    """A variable's label, or the value of a single number."""
    constant = graph.constants[name]
    if constant.label:
        return f"= '{constant.label}'"
    return f"= {constant.array.reshape(-1)[0].item()}" if constant.is_literal else ""


def _rows(graph: Graph, node: Node) -> Iterable[tuple[str, str, str]]:
    """The node with its first output, then further outputs and the steps of its epilogue."""
    attrs = [f"{n} = {_text(v)}" for n, v in node.attrs.items()]
    place = f"  # {node.position}" if node.position else ""
    text = f"= {node.op}({', '.join([*node.inputs, *attrs])}){place}"
    for number, name in enumerate(node.outputs):
        yield name, _spec(graph, name), text if number == 0 else f"  result {number + 1} of {node.name}"
    if node.epilogue is not None:
        yield from (("", "", f"  | {step}") for step in str(node.epilogue).split("; ") if step)
    for body in node.attrs.values():
        if isinstance(body, Graph):
            inner = (row for each in body.nodes for row in _rows(body, each))
            yield from ((f"  {name}" if name else "", spec, text) for name, spec, text in inner)


def _text(attribute: Any) -> str:
    if isinstance(attribute, Graph):
        return f"{len(attribute.nodes)} nodes"
    return repr(attribute) if isinstance(attribute, str) else str(_plain(attribute))


def to_json(graph: Graph) -> dict[str, Any]:
    """Lists, dicts, strings and numbers only; arrays as their shapes; infinities and NaN as strings."""
    return {
        "name": graph.name,
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "renamed": dict(graph.renamed),
        "tensors": {
            name: {"shape": list(spec.shape), "type": str(spec.dtype), "layout": str(spec.layout)} | quantisation(spec)
            for name, spec in graph.tensors.items()
        },
        "constants": {name: _constant(graph, name) for name in graph.constants},
        "variables": {name: {"label": constant.label} for name, constant in graph.variables.items()},
        "updates": dict(graph.updates),
        "nodes": [_node(node) for node in graph.nodes],
        "warnings": list(graph.warnings),
    }


def quantisation(spec: TensorSpec) -> dict[str, Any]:
    """How the tensor is quantised, for JSON; nothing where it is not. Arrays as nested lists."""
    if spec.quant is None:
        return {}
    parameters = {name: _plain(array.tolist()) for name, array in spec.quant.parameters.items()}
    return {"quantisation": {"operation": spec.quant.op, **parameters, **spec.quant.attrs}}


def _constant(graph: Graph, name: str) -> dict[str, Any]:
    constant = graph.constants[name]
    entry: dict[str, Any] = {"label": constant.label} if constant.label else {}
    if constant.is_literal:
        entry["value"] = _plain(constant.array.reshape(-1)[0].item())
    return entry


def _node(node: Node) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "op": node.op,
        "inputs": list(node.inputs),
        "outputs": list(node.outputs),
        "attributes": _plain(node.attrs),
        "position": node.position,
    }
    if node.epilogue is not None:
        entry["epilogue"] = {
            "operands": node.epilogue.arity,
            "steps": [
                {"op": s.op, "args": list(s.args), "type": str(s.dtype), "attributes": _plain(dict(s.attrs))}
                for s in node.epilogue.steps
            ],
        }
    return entry


def _plain(value: Any) -> Any:
    """Tuples as lists, mappings as dicts, numbers and records that JSON has not as strings."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, Graph):
        return to_json(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)

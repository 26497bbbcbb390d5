"""Graph -> readable text, and plain data for JSON."""

from __future__ import annotations

from typing import Any

from nnef_cl.ir.graph import Graph, Node


def dump(graph: Graph) -> str:
    """One line per input, constant, node and output."""
    lines = [f"graph {graph.name}"]
    lines += [f"  input    {name:32} {graph.tensors[name]}" for name in graph.inputs]
    for name, constant in graph.constants.items():
        value = f" = {constant.array.reshape(-1)[0]}" if constant.is_literal else ""
        lines.append(f"  constant {name:32} {graph.tensors[name]} {constant.label}{value}".rstrip())
    lines += [f"  node     {_node(graph, node)}" for node in graph.nodes]
    lines += [f"  output   {name:32} {graph.tensors[name]}" for name in graph.outputs]
    return "\n".join(lines)


def _node(graph: Graph, node: Node) -> str:
    outputs = ", ".join(f"{name} {graph.tensors[name]}" for name in node.outputs)
    attrs = "".join(f", {name} = {value}" for name, value in node.attrs.items())
    epilogue = f"  then {node.epilogue}" if node.epilogue else ""
    return f"{outputs} = {node.op}({', '.join(node.inputs)}{attrs}){epilogue}"


def to_json(graph: Graph) -> dict[str, Any]:
    """Plain data; constants without their values."""
    return {
        "name": graph.name,
        "inputs": {name: _spec(graph, name) for name in graph.inputs},
        "outputs": {name: _spec(graph, name) for name in graph.outputs},
        "constants": {name: _spec(graph, name) | {"label": c.label} for name, c in graph.constants.items()},
        "nodes": [
            {
                "op": node.op, "inputs": list(node.inputs), "outputs": {n: _spec(graph, n) for n in node.outputs},
                "attrs": dict(node.attrs), "epilogue": str(node.epilogue) if node.epilogue else None,
                "position": node.position,
            }
            for node in graph.nodes
        ],
    }  # fmt: skip


def _spec(graph: Graph, name: str) -> dict[str, Any]:
    spec = graph.tensors[name]
    return {"shape": list(spec.shape), "dtype": spec.dtype.name, "layout": str(spec.layout)}

"""`nnef-cl info`: what a model holds and needs; uses no device."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import typer

from nnef_cl.commands import common

if TYPE_CHECKING:
    from nnef_cl.ir.graph import Graph
    from nnef_cl.ops.base import Table

SCHEMA = 1


def info(
    model: common.Model,
    as_json: common.JsonFlag = False,
    shape: common.ShapeOption = None,
    batch: common.BatchOption = None,
    dialect: common.DialectOption = common.DIALECT,
    ops: common.OpsOption = None,
) -> None:
    """Show operations, parameters, arithmetic, memory, inputs and outputs."""
    table = common.operations(ops)
    shapes = common.resolve_shapes(model, shape, batch, dialect, table)
    from nnef_cl.importer import import_model

    graph = import_model(model, shapes=shapes, dialect=dialect, table=table)
    report = describe(graph, table)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _print(report)
    common.warn(graph)


def describe(graph: Graph, ops: Table) -> dict[str, Any]:
    """Facts about an imported graph, as printed and as JSON."""
    from nnef_cl.bench import count_flops
    from nnef_cl.ir.dump import quantisation

    return {
        "schema": SCHEMA,
        "name": graph.name,
        "inputs": common.tensor_facts({name: graph.tensors[name] for name in graph.inputs}),
        "outputs": common.tensor_facts({name: graph.tensors[name] for name in graph.outputs}),
        "state": _state(graph),
        "operations": dict(Counter(node.op for node in graph.nodes).most_common()),
        "parameters": graph.parameter_count,
        "flops": count_flops(graph, ops),
        "weight_bytes": sum(graph.tensors[name].bytes for name in (*graph.constants, *graph.variables)),
        "activation_bytes": activation_bytes(graph),
        "quantised": {
            name: quantisation(spec)["quantisation"] | {"text": str(spec.quant)}
            for name, spec in graph.tensors.items()
            if spec.quant
        },
        "warnings": list(graph.warnings),
    }


def _state(graph: Graph) -> dict[str, Any]:
    """Labels of the variables that the graph updates -> type and shape."""
    return common.tensor_facts({constant.label: graph.tensors[name] for name, constant in graph.variables.items()})


def activation_bytes(graph: Graph) -> int:
    """Bytes of the largest set of tensors needed at one time, running node after node without fusion."""
    from nnef_cl.plan.memory import Lifetime, lower_bound

    spans = {name: [0, 0] for name in graph.inputs}
    for step, node in enumerate(graph.nodes):
        spans.update({name: [step, step] for name in node.outputs})
        for name in node.inputs:
            if name in spans:
                spans[name][1] = step
    for name in map(graph.output_tensor, graph.outputs):
        if name in spans:
            spans[name][1] = len(graph.nodes)
    return lower_bound([Lifetime(n, graph.tensors[n].bytes, first, last) for n, (first, last) in spans.items()])


def _print(report: dict[str, Any]) -> None:
    out = common.console()
    rows = [
        ("model", report["name"]),
        ("parameters", f"{report['parameters']:,}"),
        ("arithmetic", f"{report['flops'] / 1e9:.4g} GFLOP per run"),
        ("weights", common.size(report["weight_bytes"])),
        ("activations", f"{common.size(report['activation_bytes'])} at one time"),
    ]
    for title, kind in (("input", "inputs"), ("output", "outputs"), ("variable", "state")):
        for name, tensor in report[kind].items():
            extents = "x".join(map(str, tensor["shape"])) or "scalar"
            rows.append((title, f"{name} {tensor['type']} {extents}"))
    out.print(common.facts(rows), soft_wrap=True)
    table = common.table("operation", "count", numbers=("count",))
    for name, count in report["operations"].items():
        table.add_row(name, str(count))
    table.add_row("total", str(sum(report["operations"].values())))
    out.print()
    out.print(table)
    if report["quantised"]:
        quantised = common.table("quantised tensor", "to")
        for name, quant in report["quantised"].items():
            quantised.add_row(name, quant["text"])
        out.print()
        out.print(quantised)

"""`nnef-cl info`: what a model holds and needs; with --memory, on a device, which is not opened."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnef_cl.commands import common

if TYPE_CHECKING:
    from nnef_cl.ir.graph import Graph
    from nnef_cl.ops.base import Table
    from nnef_cl.plan.records import Plan

SCHEMA = 1
SHOWN = 5
"""Names of tensors that one place of memory had."""


def info(
    model: common.Model,
    memory: Annotated[
        bool, typer.Option("--memory", help="Plan for a device: what takes memory there, and how much at least.")
    ] = False,
    streams: Annotated[
        int | None,
        typer.Option("--streams", metavar="N", min=1, show_default=False, help="As --memory, for N requests at once."),
    ] = None,
    as_json: common.JsonFlag = False,
    shape: common.ShapeOption = None,
    batch: common.BatchOption = None,
    dialect: common.DialectOption = common.DIALECT,
    precision: common.PrecisionOption = common.Precision.default,
    tuning: common.TuningOption = True,
    ops: common.OpsOption = None,
    device: common.DeviceOption = None,
    devices_file: common.DevicesFileOption = None,
    threads: common.ThreadsOption = None,
) -> None:
    """Show operations, parameters, arithmetic, memory, inputs and outputs."""
    table = common.operations(ops)
    shapes = common.resolve_shapes(model, shape, batch, dialect, table)
    from nnef_cl.importer import import_model

    graph = import_model(model, shapes=shapes, dialect=dialect, table=table)
    report = describe(graph, table)
    if memory or streams is not None:
        count = streams or 1
        report["memory"] = plan_memory(_planned(graph, table, device, precision.value, tuning, count), count)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _print(report)
    common.warn(graph)


def describe(graph: Graph, ops: Table) -> dict[str, Any]:
    """Facts about an imported graph, as printed and as JSON."""
    from nnef_cl.ir.dump import quantisation
    from nnef_cl.ops.work import count_flops

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


def _planned(graph: Graph, ops: Table, device: str | None, precision: str, tuning: bool, streams: int) -> Plan:
    from nnef_cl import passes
    from nnef_cl.ops import INTERNAL
    from nnef_cl.plan.build import build_plan
    from nnef_cl.plan.tuned import chosen_for

    table, (target, choose) = ops | INTERNAL, common.planning(device, precision, tuning)
    target = target.part(streams)
    return build_plan(passes.run(graph, table, target), table, target, chosen_for(target, choose))


def plan_memory(plan: Plan, streams: int = 1) -> dict[str, Any]:
    """Where a plan's bytes go; of one stream, but for `total`. needed: of the largest set of tensors that live at one
    time; ratio: what is taken for tensors, over that. places: parts of the arenas, and what is written there."""
    places: dict[tuple[int, int, int], list[str]] = {}
    written = [(buffer, name) for name, (buffer, _) in plan.inputs.items()]
    written += [(step.arguments[-1], step.node) for step in plan.steps]
    for buffer, name in written:
        if buffer.kind == "arena":
            places.setdefault((buffer.index, buffer.offset, plan.bytes_of(buffer)), []).append(name)
    return {
        "target": plan.target.name, "arenas": list(plan.arenas), "needed": plan.needed,
        "ratio": plan.arena_bytes / plan.needed if plan.needed else 1.0, "weights": plan.weight_bytes,
        "state": plan.state_bytes, "control": plan.control_bytes, "streams": streams, "stream": plan.stream_bytes,
        "total": plan.weight_bytes + streams * plan.stream_bytes,
        "places": [
            {"arena": arena, "offset": offset, "bytes": size, "tensors": list(dict.fromkeys(names))}
            for (arena, offset, size), names in sorted(places.items())
        ],
    }  # fmt: skip


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
    if "memory" in report:
        _print_memory(report["memory"])
    if report["quantised"]:
        quantised = common.table("quantised tensor", "to")
        for name, quant in report["quantised"].items():
            quantised.add_row(name, quant["text"])
        out.print()
        out.print(quantised)


def _print_memory(memory: dict[str, Any]) -> None:
    out = common.console()
    taken = sum(memory["arenas"])
    rows = [
        ("memory on", memory["target"]),
        ("tensors", f"{common.size(taken)}, {memory['ratio']:.3f} times what lives at one time at most "
                    f"({common.size(memory['needed'])}); {len(memory['arenas'])} buffer(s)"),
        ("weights", f"{common.size(memory['weights'])} as the kernels read them"),
        ("state", common.size(memory["state"])),
        ("flags, counters", common.size(memory["control"])),
        ("together", f"{common.size(memory['total'])}: weights once, the rest {memory['streams']} time(s)"),
    ]  # fmt: skip
    out.print()
    out.print(common.facts(rows), soft_wrap=True)
    table = common.table("buffer", "from byte", "bytes", "tensors", numbers=("buffer", "from byte", "bytes"))
    for place in memory["places"]:
        shown, hidden = place["tensors"][:SHOWN], len(place["tensors"]) - SHOWN
        more = f" and {hidden} more" if hidden > 0 else ""
        table.add_row(*(f"{place[key]:,}" for key in ("arena", "offset", "bytes")), ", ".join(shown) + more)
    out.print()
    out.print(table)

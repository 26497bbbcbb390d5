"""`nnef-cl dump`: the graph after any pass, the plan, and the generated kernels; needs no device."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnef_cl.commands import common
from nnef_cl.errors import UsageError

if TYPE_CHECKING:
    from nnef_cl.ir.graph import Graph
    from nnef_cl.plan.records import Plan

SCHEMA = 1
IMPORT = "import"


def dump(
    model: common.Model,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="PASS", help="Show the graph after this pass, or after import (the default)."),
    ] = None,
    kernels: Annotated[
        Path | None, typer.Option("--kernels", metavar="DIR", help="Write the generated OpenCL C, a file per kernel.")
    ] = None,
    show_plan: Annotated[bool, typer.Option("--plan", help="Show the launches and their buffers.")] = False,
    as_json: common.JsonFlag = False,
    shape: common.ShapeOption = None,
    batch: common.BatchOption = None,
    dialect: common.DialectOption = common.DIALECT,
    precision: common.PrecisionOption = common.Precision.default,
    tuning: common.TuningOption = True,
    ops: common.OpsOption = None,
    device: Annotated[
        str | None,
        typer.Option(
            "-d", "--device", metavar="SELECTOR", help="Plan for this device instead of a generic one.",
            show_default=False,
        ),
    ] = None,
    devices_file: common.DevicesFileOption = None,
    threads: common.ThreadsOption = None,
) -> None:  # fmt: skip
    """Show how a model is understood, planned and spelled in OpenCL C."""
    check_pass(after)
    common.check_output(kernels, "--kernels", folder=True)
    given = common.operations(ops)
    shapes = common.resolve_shapes(model, shape, batch, dialect, given)
    from nnef_cl import passes
    from nnef_cl.codegen.target import Target
    from nnef_cl.importer import import_model
    from nnef_cl.ops import INTERNAL
    from nnef_cl.plan.build import PRECISIONS, build_plan

    table, target, choose = given | INTERNAL, Target.generic(), PRECISIONS[precision.value]
    if device is not None:
        target, choose = common.planning(device, precision.value, tuning)
    imported = import_model(model, shapes=shapes, dialect=dialect, table=given)
    common.warn(imported)
    plan: Plan | None = None
    if show_plan or kernels is not None:
        plan = build_plan(passes.run(imported, table, target), table, target, choose)
    shown = None
    if after is not None or plan is None:
        shown = imported if after in (None, IMPORT) else passes.run(imported, table, target, until=after)
    if as_json:
        typer.echo(json.dumps(_report(shown, after or IMPORT, plan), indent=2))
    else:
        _print(shown, plan if show_plan else None)
    if kernels is not None and plan is not None:
        write_kernels(kernels, plan)
        common.say(f"{len(plan.kernels)} kernels written to {kernels}")


def check_pass(name: str | None) -> None:
    """UsageError where there is no such pass."""
    from nnef_cl.passes import PIPELINE

    known = [IMPORT, *(one for one, _ in PIPELINE)]
    if name is not None and name not in known:
        raise UsageError(f"--after {name}: there is no such pass; there are {', '.join(known)}")


def write_kernels(folder: Path, plan: Plan) -> None:
    """NAME.cl for every kernel, each a program that builds on its own."""
    from nnef_cl.codegen.render import render_program

    common.make_folder(folder, "--kernels")
    texts = {folder / f"{kernel.name}.cl": render_program([kernel]) for kernel in plan.kernels}
    common.write_files({path: common.text_writer(text) for path, text in texts.items()})


def _print(graph: Graph | None, plan: Plan | None) -> None:
    from nnef_cl.ir.dump import dump as graph_text

    for part in (graph_text(graph) if graph is not None else "", str(plan) if plan is not None else ""):
        if part:
            typer.echo(common.printable(part))


def _report(graph: Graph | None, stage: str, plan: Plan | None) -> dict[str, Any]:
    report: dict[str, Any] = {"schema": SCHEMA}
    if graph is not None:
        report["graph"] = {"after": stage} | graph_facts(graph)
    if plan is not None:
        report["plan"] = plan_facts(plan)
    return report


def graph_facts(graph: Graph) -> dict[str, Any]:
    """A graph for JSON; values of constants are left out, attributes are text but for those that are graphs."""
    from nnef_cl.ir.graph import Graph

    return {
        "name": graph.name,
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "renamed": dict(graph.renamed),
        "tensors": {
            name: {
                "type": spec.dtype.name, "shape": list(spec.shape), "layout": str(spec.layout),
                "constant": name in graph.constants,
            }
            for name, spec in graph.tensors.items()
        },
        "variables": {name: constant.label for name, constant in graph.variables.items()},
        "updates": dict(graph.updates),
        "nodes": [
            {
                "op": node.op, "inputs": list(node.inputs), "outputs": list(node.outputs),
                "attributes": {
                    name: graph_facts(value) if isinstance(value, Graph) else repr(value)
                    for name, value in node.attrs.items()
                },
                "epilogue": str(node.epilogue or ""), "position": str(node.position),
            }
            for node in graph.nodes
        ],
    }  # fmt: skip


def plan_facts(plan: Plan) -> dict[str, Any]:
    """A plan for JSON."""
    return {
        "target": plan.target.name,
        "arenas": list(plan.arenas),
        "states": [{"label": state.constant.label, "bytes": state.spec.bytes} for state in plan.states],
        "commits": [f"{copy.target.kind} {copy.target.index} = {copy.source}" for copy in plan.commits],
        "weights": [{"label": weight.constant.label, "bytes": weight.bytes} for weight in plan.weights],
        "steps": [
            {
                "node": step.node, "op": step.op, "algorithm": step.algorithm, "kernel": step.kernel.name,
                "title": step.kernel.title, "global_size": list(step.kernel.global_size),
                "local_size": list(step.kernel.local_size),
                "arguments": [str(buffer) for buffer in step.arguments],
            }
            for step in plan.steps
        ],
    }  # fmt: skip

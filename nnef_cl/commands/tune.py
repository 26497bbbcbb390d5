"""`nnef-cl tune`: measures what a model's kernels leave open on a device and keeps the best for later runs."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnef_cl.commands import common
from nnef_cl.errors import DeviceError, Error

if TYPE_CHECKING:
    from nnef_cl.device.points import Points
    from nnef_cl.ir.graph import Graph
    from nnef_cl.ops.base import Table as Operations
    from nnef_cl.tuning import Result
    from nnef_cl.tuning.network import NetworkGain

SCHEMA = 1


class Level(str, Enum):
    """The names of nnef_cl.device.points.LEVELS, which `--help` need not import."""

    fast = "fast"
    normal = "normal"
    full = "full"


def tune(
    model: common.Model,
    level: Annotated[
        Level, typer.Option("--level", help="How many points are tried: a few of each algorithm, more, or all.")
    ] = Level.normal,
    seconds: Annotated[
        float | None,
        typer.Option("-t", "--time", metavar="SECONDS", min=0.0, show_default=False, help="Then begin no more points."),
    ] = None,
    as_json: common.JsonFlag = False,
    shape: common.ShapeOption = None,
    batch: common.BatchOption = None,
    dialect: common.DialectOption = common.DIALECT,
    ops: common.OpsOption = None,
    device: common.DeviceOption = None,
    devices_file: common.DevicesFileOption = None,
    threads: common.ThreadsOption = None,
) -> None:
    """Find the fastest kernels for a model on this machine; later runs use them by themselves."""
    from nnef_cl import passes, tuning
    from nnef_cl.device import open_device
    from nnef_cl.device.points import Points
    from nnef_cl.importer import import_model
    from nnef_cl.ops import INTERNAL
    from nnef_cl.tuning.tasks import tasks_of

    given = common.operations(ops)
    shapes = common.resolve_shapes(model, shape, batch, dialect, given)
    imported = import_model(model, shapes=shapes, dialect=dialect, table=given)
    common.warn(imported)
    table, opened = given | INTERNAL, open_device(device)
    store = Points.of(opened.info)
    if not store.cache.writable:
        raise DeviceError("tuned points cannot be kept: the cache is off or cannot be written (see `nnef-cl cache`)")
    tasks = tasks_of(passes.run(imported, table, opened.target), table, opened.target)
    results: list[Result] = []
    gain: NetworkGain | None = None
    try:
        with common.progress_bar() as progress:
            progress("tune", 0, len(tasks))
            builder = tuning.on_device(opened, table)
            for result in tuning.tune(tasks, store, builder, level.value, seconds):
                results.append(result)
                progress(f"tune {result.task.node.op}", len(results), len(tasks))
            progress("compare the network, tuned and untuned", len(tasks), len(tasks))
            results, gain = _compared(results, imported, device, table, store)
    finally:
        if as_json:
            typer.echo(json.dumps(_report(results, gain, len(tasks), opened.name), indent=2))
        else:
            _print(results, gain, len(tasks), opened.name)


def _compared(
    results: list[Result], graph: Graph, selector: str | None, ops: Operations, store: Points
) -> tuple[list[Result], NetworkGain | None]:
    """What the network confirms, and its gain: None where nothing has changed; what cannot be measured is said."""
    from nnef_cl.device import open_device
    from nnef_cl.tuning.network import confirmed, network_gain

    try:
        results = confirmed(results, graph, open_device(selector, profiling=True), ops, store)
        return results, network_gain(graph, open_device(selector), ops, store)
    except Error as error:
        common.say(f"warning: the whole network cannot be compared: {error}")
        return results, None


def _report(results: list[Result], gain: NetworkGain | None, total: int, device: str) -> dict[str, Any]:
    """For JSON."""
    return {
        "schema": SCHEMA, "device": device, "problems": total,
        "network": None if gain is None else dataclasses.asdict(gain),
        "tasks": [
            {
                "problem": result.task.text, "nodes": list(result.task.nodes), "known": result.known,
                "untuned": str(result.task.untuned), "tried": result.tried,
                **dataclasses.asdict(result.tuned), "taken_back": str(result.taken_back or ""),
                "rejected": [dataclasses.asdict(one) for one in result.rejected],
            }
            for result in results
        ],
    }  # fmt: skip


def _print(results: list[Result], gain: NetworkGain | None, total: int, device: str) -> None:
    out = common.console()
    table = common.table(
        "problem", "nodes", "untuned", "us", "tuned", "us", "gain", "tried", numbers=("nodes", "us", "gain", "tried")
    )
    for result in results:
        table.add_row(*_cells(result))
    if results:
        out.print(table)
    for result in results:
        for one in result.rejected:
            why = common.printable(one.why.splitlines()[0] if one.why else "")
            common.say(f"warning: {result.task.title}: {one.point} is left out: {why}")
    rest = f", {total - len(results)} not reached" if len(results) < total else ""
    known = sum(result.known for result in results)
    out.print(f"\n{len(results)} problems on {device}, {known} known before{rest}", soft_wrap=True)
    before = sum(result.tuned.untuned * result.task.times for result in results)
    saved = sum(result.saved for result in results)
    if before:
        out.print(
            f"one by one they take {before * 1e3:.3f} ms untuned, {(before - saved) * 1e3:.3f} ms tuned: "
            f"{100 * saved / before:.1f} % less", soft_wrap=True,
        )  # fmt: skip
    if gain is not None:
        lead = gain.lead
        out.print(
            f"the network takes {gain.untuned * 1e3:.3f} ms untuned, {gain.tuned * 1e3:.3f} ms tuned, in turn: gain "
            f"{lead.median:.3f} (blocks of runs {lead.low:.3f} to {lead.high:.3f})", soft_wrap=True,
        )  # fmt: skip


def _cells(result: Result) -> list[str]:
    tuned, untuned = result.tuned, result.task.untuned
    nodes, tried = str(result.task.times), "known" if result.known else str(result.tried)
    if not tuned.points:
        return [result.task.title, nodes, str(untuned), "", "none works", "", "", tried]
    same = tuned.points[0] == untuned
    name = "the same" if result.taken_back is None else f"the same; {result.taken_back} only alone"
    gain = "" if same or not tuned.seconds else f"{tuned.untuned / tuned.seconds:.2f}"
    return [
        result.task.title, nodes, str(untuned), f"{tuned.untuned * 1e6:.1f}",
        name if same else str(tuned.points[0]), f"{tuned.seconds * 1e6:.1f}", gain,
        tried,
    ]  # fmt: skip

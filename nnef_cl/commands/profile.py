"""`nnef-cl profile`: where a run's time goes, kernel by kernel, against the device's ceilings."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnef_cl.commands import common
from nnef_cl.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from nnef_cl.profiling import Profile, Row

SCHEMA = 1


def profile(
    model: common.Model,
    runs: Annotated[int, typer.Option("-n", "--iterations", min=1, help="Runs; medians are shown.")] = 10,
    top: Annotated[int | None, typer.Option("--top", metavar="K", min=1, help="Only the K longest kernels.")] = None,
    without_peak: Annotated[
        bool, typer.Option("--no-peak", help="Do not compare with the device's ceilings (see `nnef-cl peak`).")
    ] = False,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write all launches as JSON; - is stdout.")
    ] = None,
    trace_file: Annotated[
        Path | None, typer.Option("--trace", metavar="FILE", help="Write a timeline for ui.perfetto.dev.")
    ] = None,
    plot_file: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw a roofline as PNG (extra `plot`).")
    ] = None,
    shape: common.ShapeOption = None,
    batch: common.BatchOption = None,
    dialect: common.DialectOption = common.DIALECT,
    precision: common.PrecisionOption = common.Precision.default,
    tuning: common.TuningOption = True,
    ops: common.OpsOption = None,
    device: common.DeviceOption = None,
    devices_file: common.DevicesFileOption = None,
    threads: common.ThreadsOption = None,
    seed: common.SeedOption = 0,
) -> None:
    """Show where the time of a run goes."""
    if plot_file is not None and without_peak:
        raise UsageError("--plot draws the ceilings: leave --no-peak out")
    common.check_output(None if json_file in (None, "-") else Path(str(json_file)), "--json")
    common.check_output(trace_file, "--trace")
    common.check_output(plot_file, "--plot")
    from nnef_cl import profiling
    from nnef_cl.device import open_device
    from nnef_cl.peak import peak_of
    from nnef_cl.preprocess import random_inputs

    table = common.operations(ops)
    loading: dict[str, Any] = {
        "device": device, "shapes": common.resolve_shapes(model, shape, batch, dialect, table), "dialect": dialect,
        "ops": table, "precision": precision.value, "tuning": tuning,
    }  # fmt: skip
    ceilings = None if without_peak else peak_of(open_device(device), check=True)
    with common.open_session(model, profile=True, **loading) as session:
        common.warn(session.source_graph)
        with session.state_kept():
            session.run(random_inputs(session.inputs, seed))
            if session.last_device_seconds is None:
                raise DeviceError(f"{session.device.name}: the driver does not report the times of kernels")
            result = profiling.profile(session, session.ops, runs, ceilings)
        name, network = f"{session.device.name} ({session.device.platform})", session.source_graph.name
    files = {}
    if trace_file is not None:
        files[trace_file] = common.text_writer(json.dumps({"traceEvents": profiling.trace(result)}))
    if json_file not in (None, "-"):
        files[Path(str(json_file))] = common.text_writer(json.dumps(report(result, name), indent=2) + "\n")
    if plot_file is not None:
        picture = roofline(result, f"{network} on {name}")
        files[plot_file] = lambda stream: stream.write(picture)
    common.write_files(files)
    _print(result, name, top, stderr=json_file == "-")
    if json_file == "-":
        typer.echo(json.dumps(report(result, name), indent=2))


def report(result: Profile, device: str) -> dict[str, Any]:
    """All launches with the ceilings, for JSON."""
    return {
        "schema": SCHEMA, "device": device, "seconds": result.seconds,
        "peak": None if result.peak is None else dataclasses.asdict(result.peak),
        "launches": [dataclasses.asdict(one) for one in result.launches],
    }  # fmt: skip


def _print(result: Profile, device: str, top: int | None, stderr: bool) -> None:
    out = common.console(stderr)
    table = common.table(
        "ms", "share", "GFLOP/s", "GB/s", "of peak", "runs", "operation", "algorithm", "layout", "kernel",
        numbers=("ms", "share", "GFLOP/s", "GB/s", "of peak", "runs"),
    )  # fmt: skip
    rows = result.rows
    for row in rows[:top]:
        table.add_row(*_cells(row, result))
    out.print(table)
    hidden = f", {len(rows) - top} kernels not shown" if top is not None and top < len(rows) else ""
    out.print(f"\n{len(result.launches)} launches, {result.seconds * 1e3:.3f} ms on {device}{hidden}", soft_wrap=True)
    if result.peak is not None:
        least = sum(max(r.flops / result.peak.flops, r.bytes / result.peak.bandwidth) for r in rows)
        out.print(
            f"ceilings {result.peak.flops / 1e9:.1f} GFLOP/s and {result.peak.bandwidth / 1e9:.1f} GB/s allow "
            f"{least * 1e3:.3f} ms, {100 * least / result.seconds:.0f} % of the time taken", soft_wrap=True,
        )  # fmt: skip
    if any(row.op == "by_rows" for row in rows):
        out.print("by_rows takes each row of the batch through several kernels: --batch 1 shows them", soft_wrap=True)


def _cells(row: Row, result: Profile) -> list[str]:
    share = "" if result.peak is None else f"{100 * result.peak.share(row.flops, row.bytes, row.seconds):.0f} %"
    seconds = max(row.seconds, 1e-12)  # clocks of some devices are coarse
    return [
        f"{row.seconds * 1e3:.3f}", f"{100 * row.seconds / max(result.seconds, 1e-12):.1f} %",
        f"{row.flops / seconds / 1e9:.1f}", f"{row.bytes / seconds / 1e9:.1f}", share, str(len(row.nodes)), row.op,
        row.algorithm, row.layout, row.title,
    ]  # fmt: skip


def roofline(result: Profile, title: str) -> bytes:
    """PNG: speed against arithmetic intensity, one circle per kernel, its area the time, under the ceilings."""
    figure = common.new_figure((9, 6))
    assert result.peak is not None
    rows = [row for row in result.rows if row.flops and row.bytes and row.seconds]
    axes = figure.add_subplot()
    balance = result.peak.flops / result.peak.bandwidth
    intensities = [row.flops / row.bytes for row in rows]
    low, high = min([*intensities, balance]) / 2, max([*intensities, balance]) * 2
    axes.plot(
        [low, balance, high], [low * result.peak.bandwidth / 1e9, result.peak.flops / 1e9, result.peak.flops / 1e9],
        color="black", label=f"{result.peak.flops / 1e9:.0f} GFLOP/s, {result.peak.bandwidth / 1e9:.0f} GB/s",
    )  # fmt: skip
    for op in dict.fromkeys(row.op for row in rows):
        same = [row for row in rows if row.op == op]
        axes.scatter(
            [row.flops / row.bytes for row in same], [row.flops / row.seconds / 1e9 for row in same],
            [2000 * row.seconds / result.seconds + 10 for row in same], alpha=0.5, label=op,
        )  # fmt: skip
    axes.set(
        xscale="log", yscale="log", xlabel="FLOP per byte (every tensor touched once)", ylabel="GFLOP/s",
        title=f"{title}: {result.seconds * 1e3:.2f} ms",
    )  # fmt: skip
    axes.grid(alpha=0.3)
    legend = axes.legend(loc="lower right")
    for handle in legend.legend_handles[1:]:
        handle.set_sizes([60])
    return common.png(figure)

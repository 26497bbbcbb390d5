"""`nnef-cl bench`: time loading, the first inference, latency, throughput and the device's share."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import dataclasses
import json
import platform
import statistics
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnef_cl.commands import common
from nnef_cl.errors import UsageError

if TYPE_CHECKING:
    from nnef_cl.bench import Measurement
    from nnef_cl.session import Session

SCHEMA = 1
PERCENTILES = (90, 95, 99)


def bench(
    model: common.Model,
    iterations: Annotated[int, typer.Option("-n", "--iterations", min=1, help="At least this many runs.")] = 10,
    seconds: Annotated[
        float, typer.Option("-t", "--time", min=0.0, max=86_400.0, help="At least this many seconds.")
    ] = 3.0,
    warmup: Annotated[int, typer.Option("-w", "--warmup", min=0, help="Runs before, not counting the first.")] = 3,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the results as JSON; - is stdout.")
    ] = None,
    shape: common.ShapeOption = None,
    batch: common.BatchOption = None,
    dialect: common.DialectOption = common.DIALECT,
    precision: common.PrecisionOption = common.Precision.default,
    ops: common.OpsOption = None,
    device: common.DeviceOption = None,
    devices_file: common.DevicesFileOption = None,
    threads: common.ThreadsOption = None,
    seed: common.SeedOption = 0,
) -> None:
    """Measure a model on random input."""
    if json_file not in (None, "-") and not Path(str(json_file)).absolute().parent.is_dir():
        raise UsageError(f"--json {json_file}: the folder does not exist")
    table = common.operations(ops)
    shapes = common.resolve_shapes(model, shape, batch, dialect, table)
    options: dict[str, Any] = {
        "device": device, "shapes": shapes, "dialect": dialect, "ops": table, "precision": precision.value,
    }  # fmt: skip
    from nnef_cl.bench import measure
    from nnef_cl.preprocess import random_inputs

    described: dict[str, Any] = {}

    def open_session(profile: bool) -> Session:
        session = common.open_session(model, profile=profile, **options)
        if not profile:
            common.warn(session.source_graph)
            described.update(_facts(model, session))
        return session

    result = measure(
        open_session, lambda session: random_inputs(session.inputs, seed),
        iterations=iterations, seconds=seconds, warmup=warmup,
    )  # fmt: skip
    if not result.finite:
        common.say("warning: outputs hold NaN or infinity; times may not be those of real data")
    report = described | {"options": _options(iterations, seconds, warmup, seed, precision.value)} | results(result)
    report["gflop_per_second"] = report["model"]["flops"] / result.median * 1e-9
    _print(report, stderr=json_file == "-")
    if json_file == "-":
        typer.echo(json.dumps(report, indent=2))
    elif json_file is not None:
        common.write_files({Path(json_file): common.text_writer(json.dumps(report, indent=2) + "\n")})


def _options(iterations: int, seconds: float, warmup: int, seed: int, precision: str) -> dict[str, Any]:
    return {"iterations": iterations, "time": seconds, "warmup": warmup, "seed": seed, "precision": precision}


def _facts(model: Path, session: Session) -> dict[str, Any]:
    """Everything about model, device and software that a number means nothing without."""
    from nnef_cl.bench import count_flops

    graph = session.source_graph
    return {
        "schema": SCHEMA,
        "model": {
            "path": str(model), "name": graph.name, "operations": len(graph.nodes),
            "parameters": graph.parameter_count, "flops": count_flops(graph, session.ops),
            "inputs": common.tensor_facts(session.inputs), "outputs": common.tensor_facts(session.outputs),
        },
        "device": dataclasses.asdict(session.device) | {"reason": session.reason},
        "plan": {"launches": len(session.plan.steps), "kernels": len(session.plan.kernels), "bytes": session.memory},
        "software": {name: metadata.version(name) for name in ("nnef-cl", "pyopencl", "numpy")}
        | {"python": platform.python_version(), "system": platform.platform()},
    }  # fmt: skip


def results(measured: Measurement) -> dict[str, Any]:
    """The measured numbers for JSON: seconds for loading, milliseconds for runs, items per second."""
    latencies = measured.latencies
    latency = {"min": min(latencies), "median": measured.median, "mean": statistics.fmean(latencies)}
    latency |= {f"p{p}": measured.percentile(p) for p in PERCENTILES}
    latency |= {"max": max(latencies), "stdev": statistics.pstdev(latencies)}
    return {
        "load_s": dict(measured.stages) | {"total": measured.load},
        "first_inference_ms": measured.first * 1e3,
        "iterations": len(latencies),
        "warmup": measured.warmup,
        "measured_s": measured.total,
        "batch": measured.items,
        "latency_ms": {name: value * 1e3 for name, value in latency.items()},
        "throughput_per_s": measured.throughput,
        "device_ms": None if measured.device is None else measured.device * 1e3,
        "host_ms": None if measured.host is None else measured.host * 1e3,
        "verdict": measured.verdict,
        "finite": measured.finite,
    }


def _print(report: dict[str, Any], stderr: bool) -> None:
    model, device, plan = report["model"], report["device"], report["plan"]
    load, latency = dict(report["load_s"]), report["latency_ms"]
    total = load.pop("total")
    memory = ", ".join(f"{name} {common.size(count)}" for name, count in plan["bytes"].items())
    stages = ", ".join(f"{name} {value * 1e3:.0f}" for name, value in load.items())
    spread = ("min", "median", *(f"p{p}" for p in PERCENTILES), "max")
    rows = [
        ("model", f"{model['path']}, {model['parameters']:,} parameters, {model['flops'] / 1e9:.3g} GFLOP"),
        ("device", f"{device['name']} ({device['platform']}, {device['type']}): {device['reason']}"),
        ("driver", f"{device['driver_version']}, {device['version']}"),
        ("plan", f"{plan['launches']} launches of {plan['kernels']} kernels, {memory}"),
        ("load", f"{total * 1e3:.0f} ms ({stages})"),
        ("first inference", f"{report['first_inference_ms']:.2f} ms"),
        ("latency", ", ".join(f"{name} {latency[name]:.3f}" for name in spread) + " ms"),
        ("", f"{report['iterations']} runs in {report['measured_s']:.1f} s after {report['warmup']} to warm up"),
        ("throughput", f"{report['throughput_per_s']:.1f} inferences/s (batch {report['batch']})"),
        ("speed", f"{report['gflop_per_second']:.1f} GFLOP/s"),
    ]
    if report["device_ms"] is not None:
        share = f"{report['device_ms']:.3f} ms in kernels, {report['host_ms']:.3f} ms on the host"
        rows.append(("device time", f"{share}: {report['verdict']}"))
    common.console(stderr).print(common.facts(rows), soft_wrap=True)

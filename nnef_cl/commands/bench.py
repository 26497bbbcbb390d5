"""`nnef-cl bench`: time loading, the first inference, latency, throughput and the device's share; against peers too."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import dataclasses
import json
import platform
import statistics
import tempfile
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnef_cl.commands import baseline as earlier
from nnef_cl.commands import common, versus
from nnef_cl.errors import UsageError

if TYPE_CHECKING:
    from nnef_cl.bench import Measurement
    from nnef_cl.peers.versus import Comparison
    from nnef_cl.session import Session

SCHEMA = 2
PERCENTILES = (90, 95, 99)

class HintChoice(str, Enum):
    """The names of nnef_cl.peers.engine.Hint, which `--help` need not import."""

    latency = "latency"
    throughput = "throughput"


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
    vs: Annotated[
        str | None,
        typer.Option(
            "--vs", metavar="PEERS", show_default=False,
            help="Other engines to compare with, in turn on the same network: onnxruntime, openvino, tract.",
        ),
    ] = None,
    hint: Annotated[
        HintChoice, typer.Option("--hint", help="For all engines of --vs: one inference at a time, or many.")
    ] = HintChoice.latency,
    blocks: Annotated[
        int, typer.Option("--blocks", min=1, max=10_000, help="Of 6 runs of each engine, with --vs.")
    ] = 10,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", metavar="FILE", help="A report of --json to compare with.")
    ] = None,
    max_regression: Annotated[
        str | None,
        typer.Option("--max-regression", metavar="PERCENT", help="Slower than --baseline by more fails; default 5%."),
    ] = None,
    plot_file: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw medians, distributions as PNG (extra `plot`).")
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
    """Measure a model on random input."""
    common.check_output(None if json_file in (None, "-") else Path(str(json_file)), "--json")
    common.check_output(plot_file, "--plot")
    if max_regression is not None and baseline is None:
        raise UsageError("--max-regression needs --baseline")
    reference = None if baseline is None else earlier.Baseline.read(baseline, max_regression, SCHEMA)
    figure = None if plot_file is None else common.new_figure((10, 5))
    peers = versus.chosen(vs)
    table = common.operations(ops)
    shapes = common.resolve_shapes(model, shape, batch, dialect, table)
    loading: dict[str, Any] = {
        "device": device, "shapes": shapes, "dialect": dialect, "ops": table, "precision": precision.value,
        "tuning": tuning,
    }  # fmt: skip
    comparison = None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        onnx = versus.exported(model, Path(folder), loading) if peers else None
        report, result = _measured(model, loading, iterations, seconds, warmup, seed)
        if onnx is not None:
            comparison = versus.compared(model, onnx, loading, peers, hint.value, blocks, seed)
            report["comparison"] = comparison.facts()
            report["software"] |= comparison.versions
    if reference is not None:
        report["baseline"] = reference.judge(report)
    _print(report, comparison, stderr=json_file == "-")
    text = json.dumps(report, indent=2) + "\n"
    if json_file == "-":
        typer.echo(text, nl=False)
    files = {Path(json_file): common.text_writer(text)} if json_file not in (None, "-") else {}
    if plot_file is not None:
        times = {versus.OURS: [result.latencies]} if comparison is None else comparison.times
        picture = versus.draw(figure, f"{report['model']['name']} on {report['device']['name']}", times)
        files[plot_file] = lambda stream: stream.write(picture)
    common.write_files(files)
    if reference is not None:
        reference.check(report["baseline"])


def _measured(
    model: Path, loading: dict[str, Any], iterations: int, seconds: float, warmup: int, seed: int
) -> tuple[dict[str, Any], Measurement]:
    """The report on the model alone, and what it rests on."""
    from nnef_cl.bench import measure
    from nnef_cl.preprocess import random_inputs

    described: dict[str, Any] = {}

    def open_session(profile: bool) -> Session:
        session = common.open_session(model, profile=profile, **loading)
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
    options = _options(iterations, seconds, warmup, seed, loading)
    report = described | {"options": options} | results(result)
    report["gflop_per_second"] = report["model"]["flops"] / result.median * 1e-9
    return report, result


def _options(iterations: int, seconds: float, warmup: int, seed: int, loading: dict[str, Any]) -> dict[str, Any]:
    chosen = {"precision": loading["precision"], "tuning": loading["tuning"]}
    return {"iterations": iterations, "time": seconds, "warmup": warmup, "seed": seed} | chosen


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


def _print(report: dict[str, Any], comparison: Comparison | None, stderr: bool) -> None:
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
    if "baseline" in report:
        rows.append(("baseline", earlier.words(report["baseline"])))
    out = common.console(stderr)
    out.print(common.facts(rows), soft_wrap=True)
    if comparison is not None:
        versus.show(out, comparison)

"""`nnef-cl bench`: time loading, the first inference, latency, throughput and the device's share; against peers too."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import statistics
import tempfile
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnef_cl.commands import baseline as earlier
from nnef_cl.commands import common, reports, throughput, versus
from nnef_cl.errors import UsageError

if TYPE_CHECKING:
    from nnef_cl.bench import Measurement
    from nnef_cl.peers.versus import Comparison
    from nnef_cl.session import Session

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
        HintChoice | None,
        typer.Option(
            "--hint", show_default=False,
            help="One inference at a time, or many, each engine in its own mode. Default: latency, with --streams "
            "throughput.",
        ),
    ] = None,
    streams: Annotated[
        str | None,
        typer.Option(
            "--streams", metavar="N", show_default=False,
            help="Measure many requests on N streams, or auto; with --sweep a list such as 1,2,4.",
        ),
    ] = None,
    requests: Annotated[
        int | None,
        typer.Option("--requests", min=1, show_default=False, help="That many requests; default: as --time has room."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="QPS", help="Open loop: requests per second, however many are under way."),
    ] = None,
    arrivals: Annotated[
        throughput.Arrivals, typer.Option("--arrivals", help="Gaps between requests of --rate.")
    ] = throughput.Arrivals.poisson,
    in_flight: Annotated[
        int | None,
        typer.Option(
            "--in-flight", min=1, max=4096, show_default=False,
            help="Closed loop: requests under way; default: two per stream (with --batching twice SIZE), one with "
            "--hint latency.",
        ),
    ] = None,
    batching: Annotated[
        str | None,
        typer.Option(
            "--batching", metavar="SIZE[,DELAY_MS]", show_default=False,
            help="Gather up to SIZE requests into one run, each waiting at most DELAY_MS (2) for others.",
        ),
    ] = None,
    sweep: Annotated[bool, typer.Option("--sweep", help="Throughput and latency over batches and streams.")] = False,
    batches: Annotated[
        str | None, typer.Option("--batches", metavar="LIST", help="Of --sweep; default 1,2,4,8.", show_default=False)
    ] = None,
    blocks: Annotated[
        int, typer.Option("--blocks", min=1, max=10_000, help="Of each engine, with --vs (6 runs) or --batching.")
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
    files = reports.Files.checked(json_file, plot_file, (10, 5))
    if max_regression is not None and baseline is None:
        raise UsageError("--max-regression needs --baseline")
    reference = None if baseline is None else earlier.Baseline.read(baseline, max_regression, reports.SCHEMA)
    peers = versus.chosen(vs)
    table = common.operations(ops)
    shapes = common.resolve_shapes(model, shape, batch, dialect, table)
    loading: dict[str, Any] = {
        "device": device, "shapes": shapes, "dialect": dialect, "ops": table, "precision": precision.value,
        "tuning": tuning,
    }  # fmt: skip
    asked = throughput.Asked(
        streams, requests, rate, arrivals, in_flight, throughput.gathered(batching), sweep, batches,
        hint and hint.value, seconds, blocks, seed,
    )  # fmt: skip
    if asked.wanted or (hint is HintChoice.throughput and not peers):
        if baseline is not None:
            raise UsageError("--baseline compares single runs: leave it out, or --streams and its like")
        throughput.bench(model, asked, loading, shape, peers, files)
        return
    if batches is not None:
        raise UsageError("--batches is for --sweep")
    comparison = None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        onnx = versus.exported(model, Path(folder), loading) if peers else None
        report, result = _measured(model, loading, iterations, seconds, warmup, seed)
        if onnx is not None:
            comparison = versus.compared(model, onnx, loading, peers, (hint or HintChoice.latency).value, blocks, seed)
            report["comparison"] = comparison.facts()
            report["software"] |= comparison.versions
    if reference is not None:
        report["baseline"] = reference.judge(report)
    _print(report, comparison, stderr=files.stdout_is_json)
    times = {versus.OURS: [result.latencies]} if comparison is None else comparison.times
    files.write(report, partial(versus.draw, times=times))
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
            described.update(reports.facts(model, session))
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
    latency, spread = report["latency_ms"], ("min", "median", *(f"p{p}" for p in PERCENTILES), "max")
    rows = [
        *reports.rows(report, report["load_s"]),
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

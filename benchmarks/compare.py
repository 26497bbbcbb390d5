"""Times zoo networks on nnef-cl against other engines: outputs compared first, then interleaved blocks of runs."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import zoo

import nnef_cl

SCHEMA = 2
RUNS = 6
PAUSE = 0.04
"""Seconds before each block: the other engine's threads spin for a while after their work."""
TOLERANCE = 1e-4
"""Of the largest magnitude."""
PINNING = "DPCPP_CPU_CU_AFFINITY"
"""Makes Intel's runtime pin the calling thread; ONNX Runtime's threads would inherit that one core."""

Run = Callable[[], object]


def block(run: Run) -> list[float]:
    """Seconds of RUNS runs after a pause and one untimed run."""
    time.sleep(PAUSE)
    run()
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return times


def interleave(engines: dict[str, Run], blocks: int) -> dict[str, list[list[float]]]:
    """Seconds of every block of each engine; the engine that begins changes from block to block."""
    times: dict[str, list[list[float]]] = {name: [] for name in engines}
    for index in range(blocks):
        for name in reversed(engines) if index % 2 else engines:
            times[name].append(block(engines[name]))
    return times


def disagreement(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference in units of the largest expected magnitude; infinite for other shapes and for NaN."""
    if got.shape != expected.shape:
        return float("inf")
    error = float(np.abs(got - expected).max() / np.abs(expected).max())
    return float("inf") if np.isnan(error) else error


def statistics_of(times: Mapping[str, list[list[float]]], ours: list[str]) -> dict[str, Any]:
    """Milliseconds of every engine; for each of ours the lead: the faster peer's median over its own, with the spread
    over the blocks."""
    peers = [name for name in times if name not in ours]
    faster = min(peers, key=lambda name: _milliseconds(times[name])["median"])
    return {
        "ms": {name: _milliseconds(blocks) for name, blocks in times.items()}, "faster_peer": faster,
        "lead": {name: _lead(times[name], times[faster]) for name in ours},
    }  # fmt: skip


def _lead(ours: list[list[float]], peer: list[list[float]]) -> dict[str, float]:
    ratios = [statistics.median(b) / statistics.median(a) for a, b in zip(ours, peer, strict=True)]
    overall = _milliseconds(peer)["median"] / _milliseconds(ours)["median"]
    return {"median": overall, "low": min(ratios), "high": max(ratios)}


def _milliseconds(blocks: list[list[float]]) -> dict[str, float]:
    flat = [seconds * 1e3 for times in blocks for seconds in times]
    return {"min": min(flat), "median": statistics.median(flat)}


def available_processors() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def compare(
    built: zoo.Built, devices: list[str], blocks: int, threads: int | None = None, openvino: bool = False,
    precision: str = "default",
) -> dict[str, Any]:  # fmt: skip
    """Outputs compared, then all engines timed. threads: of the peers; None: as many as the OpenCL CPU has.

    SystemExit where outputs differ by more than TOLERANCE.
    """
    x = np.random.default_rng(1).standard_normal(built.input_shape, np.float32)
    with contextlib.ExitStack() as stack:
        # OpenCL contexts come first: their runtimes must not find another engine's threads already there.
        sessions = {
            f"nnef-cl {device}": stack.enter_context(nnef_cl.load(built.nnef, device=device, precision=precision))
            for device in devices
        }
        infos = {name: session.device for name, session in sessions.items()}
        info = next(iter(infos.values()))
        threads = threads or (info.compute_units if info.type == "cpu" else available_processors())
        peer = zoo.onnx_session(built.onnx, threads)
        expected = peer.run(None, {"input": x})
        engines: dict[str, Run] = {name: partial(session, x) for name, session in sessions.items()}
        engines["onnxruntime"] = lambda: peer.run(None, {"input": x})
        results = {name: list(session.run({"input": x}).values()) for name, session in sessions.items()}
        if openvino:
            other = zoo.openvino_model(built.onnx, threads)
            engines["openvino"] = lambda: other([x])
            results["openvino"] = list(other([x]).values())
        errors = {name: max(map(disagreement, got, expected)) for name, got in results.items()}
        if max(errors.values()) > TOLERANCE:
            raise SystemExit(f"outputs differ, in units of the largest magnitude: {errors}; {TOLERANCE:g} is allowed")
        times = interleave(engines, blocks)
    return {
        "schema": SCHEMA, "threads": threads, "input": list(built.input_shape), "blocks": blocks,
        "precision": precision, "devices": {name: facts(one) for name, one in infos.items()},
        "errors": errors, "software": software(openvino), **statistics_of(times, list(sessions)),
    }  # fmt: skip


def facts(info: Any) -> dict[str, str]:
    """Of a device, for the record."""
    return {"platform": info.platform, "name": info.name, "driver": info.driver_version}


def software(openvino: bool) -> dict[str, str]:
    """Versions that a time means nothing without."""
    names = ("nnef-cl", "pyopencl", "numpy", "onnxruntime", *(["openvino"] if openvino else []))
    return {name: metadata.version(name) for name in names} | {
        "python": platform.python_version(), "system": platform.platform(),
    }  # fmt: skip


def positive(text: str) -> int:
    """An argparse type."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(zoo.NETWORKS), metavar="NETWORK", help="default: all")
    parser.add_argument("--device", action="append", help="as for nnef-cl bench; repeatable; default: cpu")
    parser.add_argument("--blocks", type=positive, default=10, help=f"of {RUNS} runs of each engine")
    parser.add_argument("--threads", type=positive, help="of the peers; default: as many as the OpenCL CPU has")
    parser.add_argument("--openvino", action="store_true", help="a peer too (pip install openvino)")
    parser.add_argument("--precision", choices=["default", "exact"], default="default", help="as for nnef-cl bench")
    parser.add_argument("--batch", type=positive, default=1)
    parser.add_argument("--size", type=positive, help="of the input; default: the published one")
    parser.add_argument("--width", type=float, default=1.0, help="scales the channels")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(zoo.NETWORKS)):
        parser.error(f"invalid choice: {', '.join(unknown)}; there are {', '.join(zoo.NETWORKS)}")
    if PINNING in os.environ:
        parser.error(f"unset {PINNING}: it pins ONNX Runtime to one core")
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: the folder does not exist")
    return options


def main() -> None:
    options = parse_arguments()
    results = []
    for name in options.names:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            try:
                built = zoo.build(name, folder, batch=options.batch, size=options.size, width=options.width)
                devices = options.device or ["cpu"]
                compared = compare(built, devices, options.blocks, options.threads, options.openvino, options.precision)
                result = {"network": name} | compared
            except (nnef_cl.Error, ValueError) as error:
                raise SystemExit(f"{name}: {error}") from None
        results.append(result)
        print(line(result), flush=True)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("\n".join(summary(results)))


def line(result: dict[str, Any]) -> str:
    """One network for people."""
    times = ", ".join(f"{name} {ms['median']:.2f} ms" for name, ms in result["ms"].items())
    leads = ", ".join(
        f"{name} {one['median']:.2f} ({one['low']:.2f} to {one['high']:.2f})" for name, one in result["lead"].items()
    )
    return f"{result['network']}: {times}; lead over {result['faster_peer']}: {leads}"


def summary(results: list[dict[str, Any]]) -> list[str]:
    """Geometric means of the leads, of each device and of the better one of each network."""
    leads = [{name: lead["median"] for name, lead in result["lead"].items()} for result in results]
    if len(results) < 2:
        return []
    columns = {name: [one[name] for one in leads] for name in leads[0]}
    if len(columns) > 1:
        columns["the better one"] = [max(one.values()) for one in leads]
    return [
        f"geometric mean of {len(results)} leads, {name}: {statistics.geometric_mean(column):.3f}"
        for name, column in columns.items()
    ]


if __name__ == "__main__":
    main()

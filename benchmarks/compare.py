"""Times a zoo network on nnef-cl against ONNX Runtime: outputs compared first, then interleaved blocks of runs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import zoo

import nnef_cl

SCHEMA = 1
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


def statistics_of(times: Mapping[str, list[list[float]]]) -> dict[str, Any]:
    """Milliseconds of both engines, and nnef-cl's share of ONNX Runtime's time: median and spread over the blocks."""
    ours, peer = times["nnef-cl"], times["onnxruntime"]
    ratios = [statistics.median(a) / statistics.median(b) for a, b in zip(ours, peer, strict=True)]
    return {
        "ours_ms": _milliseconds(ours), "onnxruntime_ms": _milliseconds(peer),
        "ratio": {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)},
    }  # fmt: skip


def _milliseconds(blocks: list[list[float]]) -> dict[str, float]:
    flat = [seconds * 1e3 for times in blocks for seconds in times]
    return {"min": min(flat), "median": statistics.median(flat)}


def available_processors() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def compare(built: zoo.Built, device: str, blocks: int, threads: int | None = None) -> dict[str, Any]:
    """Outputs compared, then both engines timed. threads: of ONNX Runtime; None: as many as the OpenCL CPU has.

    SystemExit where the outputs differ by more than TOLERANCE.
    """
    # The OpenCL context comes first: its runtime must not find another engine's threads already there.
    with nnef_cl.load(built.nnef, device=device) as session:
        info = session.device
        threads = threads or (info.compute_units if info.type == "cpu" else available_processors())
        peer = zoo.onnx_session(built.onnx, threads)
        x = np.random.default_rng(1).standard_normal(built.input_shape, np.float32)
        expected = peer.run(None, {"input": x})
        error = max(map(disagreement, session.run({"input": x}).values(), expected))
        if error > TOLERANCE:
            raise SystemExit(f"outputs differ by {error:g} of the largest magnitude, {TOLERANCE:g} is allowed")
        times = interleave({"nnef-cl": lambda: session(x), "onnxruntime": lambda: peer.run(None, {"input": x})}, blocks)
    return {
        "schema": SCHEMA, "device": info.platform, "device_name": info.name, "driver": info.driver_version,
        "compute_units": info.compute_units, "threads": threads, "input": list(built.input_shape), "blocks": blocks,
        "error": error, "software": software(), **statistics_of(times),
    }  # fmt: skip


def software() -> dict[str, str]:
    """Versions that a time means nothing without."""
    names = ("nnef-cl", "pyopencl", "numpy", "onnxruntime")
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
    parser.add_argument("names", nargs="+", choices=list(zoo.NETWORKS))
    parser.add_argument("--device", default="cpu", help="as for nnef-cl bench")
    parser.add_argument("--blocks", type=positive, default=10, help=f"of {RUNS} runs of each engine")
    parser.add_argument("--threads", type=positive, help="of ONNX Runtime; default: as many as the OpenCL CPU has")
    parser.add_argument("--batch", type=positive, default=1)
    parser.add_argument("--size", type=positive, help="of the input; default: the published one")
    parser.add_argument("--width", type=float, default=1.0, help="scales the channels")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
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
                result = {"network": name} | compare(built, options.device, options.blocks, options.threads)
            except (nnef_cl.Error, ValueError) as error:
                raise SystemExit(f"{name}: {error}") from None
        results.append(result)
        ours, peer, ratio = result["ours_ms"], result["onnxruntime_ms"], result["ratio"]
        print(f"{name}: nnef-cl {ours['median']:.2f} ms, ONNX Runtime {peer['median']:.2f} ms, "
              f"ratio {ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f}), "
              f"{result['threads']} threads", flush=True)  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Times a zoo network on nnef-cl against ONNX Runtime: outputs compared first, then interleaved blocks of runs."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zoo

import nnef_cl

RUNS = 6
PAUSE = 0.04
"""Seconds before each block: the other engine's threads spin for a while after their work."""


def block(run: Callable[[], object]) -> list[float]:
    """Seconds of RUNS runs after a pause and one untimed run."""
    time.sleep(PAUSE)
    run()
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return times


def compare(name: str, folder: Path, device: str, blocks: int) -> dict[str, object]:
    """Milliseconds of both engines and their ratio (below 1: nnef-cl is faster), spread over the blocks."""
    built = zoo.build(name, folder / name)
    threads = len(os.sched_getaffinity(0))
    with nnef_cl.load(built.nnef, device=device) as session:
        peer = zoo.onnx_session(built.onnx, threads)
        x = np.random.default_rng(1).standard_normal(built.input_shape).astype(np.float32)
        expected = peer.run(None, {"input": x})[0]
        error = float(np.abs(session(x) - expected).max() / np.abs(expected).max())
        if error > 1e-4:
            raise SystemExit(f"{name}: outputs differ by {error:g} of the largest magnitude")
        ours, theirs = [], []
        for _ in range(blocks):
            ours.append(block(lambda: session(x)))
            theirs.append(block(lambda: peer.run(None, {"input": x})))
        ratios = [statistics.median(a) / statistics.median(b) for a, b in zip(ours, theirs, strict=True)]
        flat = [[seconds for times in engine for seconds in times] for engine in (ours, theirs)]
        return {
            "schema": 1, "network": name, "device": str(session.device.platform), "threads": threads, "error": error,
            "ours_ms": {"min": min(flat[0]) * 1e3, "median": statistics.median(flat[0]) * 1e3},
            "onnxruntime_ms": {"min": min(flat[1]) * 1e3, "median": statistics.median(flat[1]) * 1e3},
            "ratio": {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)},
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=list(zoo.NETWORKS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names:
            result = compare(name, Path(folder), options.device, options.blocks)
            results.append(result)
            ours, peer, ratio = result["ours_ms"], result["onnxruntime_ms"], result["ratio"]
            print(f"{name}: nnef-cl {ours['median']:.2f} ms, ONNX Runtime {peer['median']:.2f} ms, "  # type: ignore[index]
                  f"ratio {ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})")  # type: ignore[index]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

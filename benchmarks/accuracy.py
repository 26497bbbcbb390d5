"""Measures the error of zoo networks against the numpy references, which add in float64, by device and precision."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import zoo

import nnef_cl
from nnef_cl.conformance.harness import interpret
from nnef_cl.importer import import_model

LIMITS = {"default": 1e-4, "exact": 1e-5}
"""Of the largest magnitude: what the README promises."""


def expected_outputs(path: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    """Every operation by its reference; values between two operations are rounded to float32."""
    graph = import_model(path)
    values = interpret(graph, {graph.inputs[0]: x})
    return {name: values[graph.output_tensor(name)] for name in graph.outputs}


def error(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """The largest difference, in units of the largest magnitude of its output."""
    return max(float(np.abs(got[name] - y).max() / np.abs(y).max()) for name, y in expected.items())


def measure(name: str, devices: list[str], folder: str) -> dict[str, Any]:
    """Errors of one network by device and precision."""
    built = zoo.build(name, folder)
    x = np.random.default_rng(1).standard_normal(built.input_shape, np.float32)
    expected = expected_outputs(built.nnef, x)
    errors: dict[str, dict[str, float]] = {}
    for device in devices:
        for precision in LIMITS:
            with nnef_cl.load(built.nnef, device=device, precision=precision) as session:
                found = error(session.run(dict.fromkeys(session.inputs, x)), expected)
                errors.setdefault(f"{session.device.platform} {session.device.driver_version}", {})[precision] = found
    return {"network": name, "errors": errors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(zoo.NETWORKS), metavar="NETWORK", help="default: all")
    parser.add_argument("--device", action="append", help="as for nnef-cl bench; repeatable; default: cpu")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    results = []
    for name in options.names:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            results.append(measure(name, options.device or ["cpu"], folder))
        for device, errors in results[-1]["errors"].items():
            print(f"{name}: {device}: " + ", ".join(f"{k} {v:.1e}" for k, v in errors.items()), flush=True)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    found = [errors for one in results for errors in one["errors"].values()]
    worst = {precision: max(errors[precision] for errors in found) for precision in LIMITS}
    print("largest: " + ", ".join(f"{k} {v:.1e} (at most {LIMITS[k]:g})" for k, v in worst.items()))
    if any(worst[precision] > limit for precision, limit in LIMITS.items()):
        raise SystemExit("above the limit")


if __name__ == "__main__":
    main()

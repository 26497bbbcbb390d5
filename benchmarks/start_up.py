"""Measures start-up: from the start of a process to its first result, cache warm and cold, and resident memory."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SCHEMA = 1
MIB = 1 << 20
ALLOWANCE = 30 * MIB
"""Resident bytes beyond the runtime, the weights and the largest live set."""

EMPTY = """
import sys
from nnef_cl.device import open_device
device = open_device(sys.argv[1])
program = device.build("kernel void one(global float *x) { x[get_global_id(0)] = 1.0f; }")
buffer = device.buffer(256)
device.queue.launch(device.kernel(program, "one", [buffer]), (64,), (16,))
device.queue.finish()
"""
"""A process that has built a kernel from source and run it on a small buffer."""

FIRST = """
import sys
import numpy as np
import nnef_cl
session = nnef_cl.load(sys.argv[2], device=sys.argv[1])
rng = np.random.default_rng(0)
inputs = {name: rng.standard_normal(spec.shape).astype(spec.dtype.api) for name, spec in session.inputs.items()}
session.run(inputs)
"""
REPORT = """
import json, time
now = time.clock_gettime(time.CLOCK_MONOTONIC)
lines = open("/proc/self/status").read().splitlines()
resident = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
print(json.dumps({"now": now, "resident": resident}
                 | ({"stages": session.timings, "memory": session.memory} if "session" in globals() else {})))
"""


def run(code: str, *arguments: str, cache: str | None = None) -> dict[str, Any]:
    """What a new process says at its end, and the seconds from its start until then."""
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if cache is not None:
        environment["NNEF_CL_CACHE"] = cache
    started = time.clock_gettime(time.CLOCK_MONOTONIC)
    command = [sys.executable, "-c", code + REPORT, *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    return said | {"seconds": said["now"] - started}


def measure(model: Path, device: str, repeats: int) -> dict[str, Any]:
    """One model on one device. cold: neither compiled programs nor verdicts about devices are kept from before."""
    with tempfile.TemporaryDirectory() as cache:
        empty = run(EMPTY, device, cache="off")["resident"]
        run(EMPTY, device, cache=cache)
        tried = run(FIRST, device, str(model), cache=cache)
        warm = [run(FIRST, device, str(model), cache=cache) for _ in range(repeats)]
    with tempfile.TemporaryDirectory() as cache:
        cold = run(FIRST, device, str(model), cache=cache)
    memory = warm[0]["memory"]
    limit = empty + memory["weights"] + int(1.15 * memory["slots"]) + memory["state"] + ALLOWANCE
    resident = max(one["resident"] for one in warm)
    return {
        "model": model.parent.name if model.name == "nnef" else model.name, "device": device,
        "warm_s": round(statistics.median(one["seconds"] for one in warm), 3),
        "warm_all_s": [round(one["seconds"], 3) for one in warm],
        "stages_s": {name: round(seconds, 3) for name, seconds in warm[-1]["stages"].items()},
        "cold_s": round(cold["seconds"], 2), "cold_tried_s": round(tried["seconds"], 2),
        "empty_mib": empty // MIB, "weights_mib": memory["weights"] // MIB, "slots_mib": memory["slots"] // MIB,
        "resident_mib": resident // MIB, "limit_mib": limit // MIB, "within": resident <= limit,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, help="folders or archives (benchmarks/zoo.py writes some)")
    parser.add_argument("-d", "--device", action="append", help="selector, once per device (default: cpu)")
    parser.add_argument("--repeats", type=int, default=5, help="warm starts; their median counts")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    results = []
    for model in options.models:
        for device in options.device or ["cpu"]:
            one = measure(model, device, options.repeats)
            results.append(one)
            print(
                f"{one['model']} on {one['device']}: warm {one['warm_s']} s, cold {one['cold_s']} s "
                f"({one['cold_tried_s']} s where the device has been tried), resident {one['resident_mib']} MiB "
                f"of {one['limit_mib']} (empty {one['empty_mib']}, weights {one['weights_mib']}, "
                f"slots {one['slots_mib']})"
            )
    if options.json is not None:
        record = {"schema": SCHEMA, "machine": f"{platform.platform()}, {os.cpu_count()} cpus", "results": results}
        options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

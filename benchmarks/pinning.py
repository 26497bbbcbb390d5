"""Times networks on PoCL with its threads pinned against left to the system: one process each, blocks in turn."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zoo
from compare import positive

import nnef_cl
from nnef_cl.peers.interleave import PAUSE
from nnef_cl.preprocess import random_inputs

SWITCH = "POCL_AFFINITY"
BLOCK_SECONDS = 0.3
NETWORKS = ("mobilenetv2", "squeezenet", "mlp", "resnet50")


class Side:
    """A process that runs the model, told when."""

    def __init__(self, model: Path, device: str, pinned: bool) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(model), "--device", device, "--worker"],
            env=os.environ | {SWITCH: str(int(pinned))}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.checksum = self._answer()

    def milliseconds(self) -> float:
        """Of a run, the mean of a block."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> float:
        assert self._process.stdout is not None
        return float(self._process.stdout.readline())


def worker(model: str, device: str) -> None:
    """Prints a sum of the outputs, then the milliseconds of a run for every line it reads."""
    session = nnef_cl.load(model, device=device)
    inputs = random_inputs(session.inputs, 0)
    print(sum(float(np.abs(array).sum()) for array in session.run(inputs).values()), flush=True)
    for _ in sys.stdin:
        session.run(inputs)
        started, runs = time.perf_counter(), 0
        while time.perf_counter() - started < BLOCK_SECONDS:
            session.run(inputs)
            runs += 1
        print(1e3 * (time.perf_counter() - started) / runs, flush=True)


def compare(name: str, model: Path, options: argparse.Namespace) -> None:
    free, pinned = (Side(model, options.device, wanted) for wanted in (False, True))
    if abs(free.checksum - pinned.checksum) > 1e-4 * abs(free.checksum):
        raise nnef_cl.Error(f"{name}: outputs differ")
    times: list[tuple[float, float]] = []
    for _ in range(options.blocks):
        time.sleep(PAUSE)
        one = free.milliseconds()
        time.sleep(PAUSE)
        times.append((one, pinned.milliseconds()))
    free.close()
    pinned.close()
    ratios = sorted(one / other for one, other in times)
    left, held = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{name:16} left to the system {left:.3f} ms, pinned {held:.3f} ms, "
          f"gain {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NETWORKS, metavar="NETWORK",
                        help=f"of the zoo, or folders of models; default: {', '.join(NETWORKS)}")
    parser.add_argument("--device", default="portable", help="as for nnef-cl bench")
    parser.add_argument("--blocks", type=positive, default=12, help=f"of {BLOCK_SECONDS} s each")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.names[0], options.device)
        return
    for name in options.names:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            compare(name, Path(name) if name not in zoo.KNOWN else zoo.build(name, folder).nnef, options)


if __name__ == "__main__":
    main()

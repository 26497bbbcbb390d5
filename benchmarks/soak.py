"""Many threads ask a session for a while: every result is compared, memory of process and device watched."""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from compare import positive

import nnef_cl
from nnef_cl.device import open_device

INPUTS = 16
"""Different ones, so that a result of another request is noticed."""
MIB = 1 << 20


def resident() -> int:
    """Bytes of this process (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


class Soak:
    """Requests of several threads until a time. done, wrong: how many; peak: resident bytes, sampled."""

    def __init__(self, session: nnef_cl.Session, inputs: list[dict[str, np.ndarray]]) -> None:
        self.session, self.inputs = session, inputs
        self.expected = [session.run(x) for x in inputs]
        self.done = self.wrong = 0
        self._lock = threading.Lock()

    def run(self, threads: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        workers = [threading.Thread(target=self._ask, args=(number, end)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _ask(self, number: int, end: float) -> None:
        done = wrong = 0
        while time.monotonic() < end:
            which = (number * 7 + done * 5) % len(self.inputs)
            outputs = self.session.submit(self.inputs[which]).result()
            done += 1
            wrong += any(not np.array_equal(outputs[name], array) for name, array in self.expected[which].items())
        with self._lock:
            self.done += done
            self.wrong += wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("-d", "--device", default="cpu", help="as for nnef-cl bench")
    parser.add_argument("--threads", type=positive, default=8)
    parser.add_argument("--streams", type=positive, default=2)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    try:
        text, wrong = report(options)
    except nnef_cl.Error as error:
        raise SystemExit(str(error)) from None
    print(text)
    raise SystemExit(wrong > 0)


def report(options: argparse.Namespace) -> tuple[str, int]:
    """For people, and how many results were wrong."""
    random = np.random.default_rng(1)
    device = open_device(options.device)
    with nnef_cl.load(options.model, device=options.device, streams=options.streams) as session:
        soak = Soak(session, [values(session, random) for _ in range(INPUTS)])
        soak.run(options.threads, options.seconds / 10)
        resident_before, allocated_before = resident(), device.allocated
        soak.run(options.threads, options.seconds)
        grown, allocated = resident() - resident_before, device.allocated - allocated_before
    text = (
        f"{options.model} on {session.device.name}: {soak.done} requests of {options.threads} threads, "
        f"{soak.wrong} wrong; the process grew by {grown / MIB:.1f} MiB, memory on the device by {allocated} bytes"
    )
    return text, soak.wrong


def values(session: nnef_cl.Session, random: Any) -> dict[str, np.ndarray]:
    return {name: random.standard_normal(spec.shape).astype(spec.dtype.api) for name, spec in session.inputs.items()}


if __name__ == "__main__":
    main()

"""Says how far apart a CPU device's units are: how long a value takes from one to another and back, each second."""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

import nnef_cl
from nnef_cl.device import open_device
from nnef_cl.device.opencl import opencl

ROUNDS = 4000
MOST_WAITS = 10_000_000
"""Looks at the value before a worker gives up: the other one does not run at the same time."""
SOURCE = f"""
#define ROUNDS {ROUNDS}
#define MOST_WAITS {MOST_WAITS}
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void there_and_back(volatile __global int *turn)
{{
    const int me = get_group_id(0);
    for (int round = 0; round < ROUNDS; ++round) {{
        for (int waits = 0; atomic_add(turn, 0) % 2 != me; ++waits)
            if (waits == MOST_WAITS)
                return;
        atomic_inc(turn);
    }}
}}
"""


def nanoseconds(queue: object, kernel: object, turn: object) -> float:
    """Of one round, there and back. Raises nnef_cl.Error where the two do not run at the same time."""
    cl = opencl()
    count = np.zeros(1, np.int32)
    cl.enqueue_copy(queue, turn, count)
    started = time.perf_counter()
    cl.enqueue_nd_range_kernel(queue, kernel, (2,), (1,)).wait()
    taken = time.perf_counter() - started
    cl.enqueue_copy(queue, count, turn)
    if count[0] != 2 * ROUNDS:
        raise nnef_cl.Error("two work-groups do not run at the same time on this device")
    return 1e9 * taken / ROUNDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-d", "--device", default="cpu", help="as for nnef-cl bench")
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    cl, device = opencl(), open_device(options.device)
    turn = cl.Buffer(device.context, cl.mem_flags.READ_WRITE, 4)
    kernel = cl.Kernel(device.build(SOURCE), "there_and_back")
    kernel.set_args(turn)
    queue = cl.CommandQueue(device.context)
    try:
        nanoseconds(queue, kernel, turn)
        for _ in range(options.seconds):
            end, times = time.perf_counter() + 1, []
            while time.perf_counter() < end:
                times.append(nanoseconds(queue, kernel, turn))
            print(f"{statistics.median(times):6.0f} ns, {min(times):.0f} to {max(times):.0f}", flush=True)
    except nnef_cl.Error as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()

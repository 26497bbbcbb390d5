"""A device's ceilings, by measurement: float32 multiply-adds and copying; kept between processes."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nnef_cl.codegen.kernel import Kernel
from nnef_cl.codegen.kernels.peak import PeakFma, peak_copy, peak_fma
from nnef_cl.codegen.render import render_program
from nnef_cl.device.cache import default_cache
from nnef_cl.device.manager import Device
from nnef_cl.device.programs import program_parts
from nnef_cl.errors import DeviceError

KIND = "peak"
"""Of cache entries."""
COPY_BYTES = 256 << 20
"""Of each of the two buffers, where the device has room: far more than any cache holds."""
FIRST_ROUNDS, LONG_ENOUGH = 1000, 0.02
"""Multiply-adds of a chain in the first launch, and the seconds that a launch which counts should take."""
RUNS, CHECKS = 12, 4
"""Launches of which the fastest counts: of a first measurement, and where something is known."""


@dataclass(frozen=True)
class Peak:
    """flops: float32 operations per second, a multiply-add being two. bandwidth: bytes read plus written per second."""

    flops: float
    bandwidth: float

    def share(self, flops: float, nbytes: float, seconds: float) -> float:
        """The least time that the ceilings allow over the time taken: 1 is perfect."""
        return max(flops / self.flops, nbytes / self.bandwidth) / seconds if seconds > 0 else 0.0

    def or_higher(self, other: Peak) -> Peak:
        """The higher one of each ceiling."""
        return Peak(max(self.flops, other.flops), max(self.bandwidth, other.bandwidth))


def peak_of(device: Device, again: bool = False, check: bool = False) -> Peak:
    """From the cache, else measured (about two seconds). again: measures whatever is known. check: measures in half a
    second what is known, and keeps the higher values: other work may have slowed the device down before."""
    source = render_program([peak_fma(device.target, FIRST_ROUNDS)])
    parts = program_parts(device.info, " ".join(device.target.build_options), source)
    parts |= {"units": str(device.target.compute_units)}
    cache = default_cache()
    kept = None if again else cache.get(KIND, parts)
    known = Peak(**json.loads(kept)) if kept is not None else None
    if known is not None and not check:
        return known
    runs = RUNS if known is None else CHECKS
    peak = Peak(_flops(device, runs), _bandwidth(device, runs))
    peak = peak if known is None else known.or_higher(peak)
    cache.put(KIND, parts, json.dumps(asdict(peak)).encode(), device.name)
    return peak


def _flops(device: Device, runs: int) -> float:
    kernel = peak_fma(device.target, FIRST_ROUNDS)
    y = device.buffer(4 * kernel.items)
    try:
        seconds = _seconds(device, kernel, [y], runs=3)
        while seconds < LONG_ENOUGH:
            rounds = int(kernel.rounds * min(50.0, 1.5 * LONG_ENOUGH / max(seconds, 1e-6)))
            kernel = peak_fma(device.target, rounds)
            seconds = _seconds(device, kernel, [y], runs=3)
        _check_sums(device, kernel, y)
        return kernel.flops / _seconds(device, kernel, [y], runs)
    finally:
        device.release(y)


def _check_sums(device: Device, kernel: PeakFma, y: Any) -> None:
    """a = a / 2 + 0.75 tends to 1.5, whatever a was."""
    got = device.queue.read(y, np.empty(kernel.items, np.float32))
    expected = 1.5 * kernel.chains * kernel.width
    if not np.allclose(got, expected, rtol=1e-4):
        raise DeviceError(f"{device.name}: multiply-adds give {got[0]:g}, expected {expected:g}")


def _bandwidth(device: Device, runs: int) -> float:
    target = device.target
    room = [target.max_allocation, target.global_memory // 8, COPY_BYTES]
    kernel = peak_copy(target, min(size for size in room if size) // 4)
    floats = kernel.count * kernel.width
    x, y = device.buffer(4 * floats), device.buffer(4 * floats)
    try:
        values = np.arange(floats, dtype=np.float32)
        device.queue.write(x, values)
        seconds = _seconds(device, kernel, [x, y], runs)
        if not np.array_equal(device.queue.read(y, np.empty_like(values)), values):
            raise DeviceError(f"{device.name}: a copy differs from its source")
        return kernel.bytes / seconds
    finally:
        device.release(x)
        device.release(y)


def _seconds(device: Device, kernel: Kernel, buffers: list[Any], runs: int) -> float:
    """The fastest of several launches, timed on the host: they are long enough for that."""
    bound = device.kernel(device.build(render_program([kernel]), note="peak"), kernel.name, buffers)
    times = []
    for _ in range(runs + 1):  # the first one warms up
        started = time.perf_counter()
        device.queue.launch(bound, kernel.global_size, kernel.local_size)
        device.queue.finish()
        times.append(time.perf_counter() - started)
    return min(times[1:])

"""`python -m nnef_cl.device.probe`: loads the runtimes, or tries one device, in a process that may die.

Prints one JSON object per line: {"begin": step} before what a broken driver may not survive, and what came of it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from nnef_cl.device.discovery import find_devices
from nnef_cl.device.opencl import opencl
from nnef_cl.device.selectors import select
from nnef_cl.device.trust import BASIC_TEST, CAPABILITY_TEST, LIST
from nnef_cl.errors import Error

ITEMS, GROUP = 64, 16
LOCAL_BYTES = 65536
"""No kernel stages more than this in local memory."""
ROUNDING = 1e-5

BASIC = """
kernel void probe(global const float *x, global float *y, local float *part)
{
    const int item = get_local_id(0);
    part[item] = x[get_global_id(0)];
    barrier(CLK_LOCAL_MEM_FENCE);
    float sum = 0.0f;
    for (int k = 0; k < (int)get_local_size(0); ++k) sum += exp(part[k]) * (k + 1);
    y[get_global_id(0)] = fma(part[item], 3.0f, sum);
}
"""
FP16 = """
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
kernel void probe(global const float *x, global float *y)
{
    const half a = (half)x[get_global_id(0)];
    y[get_global_id(0)] = (float)(a * a + a);
}
"""
INLINE_ASSEMBLY = """
kernel void probe(global const float *x, global float *y)
{
    int lane = -1;
    asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
    y[get_global_id(0)] = x[get_global_id(0)] + (lane >= 0 ? 1.0f : 0.0f);
}
"""
DOT_PRODUCT = """
#pragma OPENCL EXTENSION cl_khr_integer_dot_product : enable
kernel void probe(global const float *x, global float *y)
{
    const char a = (char)get_local_id(0);
    y[get_global_id(0)] = x[get_global_id(0)] + (float)dot((char4)(a, -a, a, a), (char4)(1, 1, 1, 2));
}
"""
SUBGROUPS = """
#pragma OPENCL EXTENSION cl_khr_subgroups : enable
kernel void probe(global const float *x, global float *y)
{
    y[get_global_id(0)] = sub_group_reduce_add(1.0f) == (float)get_sub_group_size() ? get_max_sub_group_size() : 0.0f;
}
"""
LOCAL_MEMORY = """
kernel void probe(global const float *x, global float *y)
{
    local float staged[COUNT];
    for (int k = get_local_id(0); k < COUNT; k += get_local_size(0)) staged[k] = k;
    barrier(CLK_LOCAL_MEM_FENCE);
    float sum = 0.0f;
    for (int k = 0; k < COUNT; k += COUNT / 16) sum += staged[k];
    y[get_global_id(0)] = x[get_global_id(0)] + sum;
}
"""
TOUCH = """
kernel void probe(global const float *x, global float *y, global float *last)
{
    last[0] = x[get_global_id(0) * 0];
    y[get_global_id(0)] = last[0];
}
"""


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def main(arguments: list[str]) -> None:
    """arguments: LIST, excluded libraries, a likely selector; or BASIC_TEST or CAPABILITY_TEST, excluded libraries, the
    device's index, the steps to leave out."""
    action, excluded, which = arguments[0], json.loads(arguments[1]), arguments[2]
    say(begin="loading the runtimes")
    discovery = find_devices(excluded)
    if action == LIST:
        say(loaded=True)
        with contextlib.suppress(Error):  # no such device: the parent says so
            found = select(discovery, which or None).device
            say(index=found.info.index)
            _Trial(found).basic()
    else:
        found = next(one for one in discovery.devices if one.info.index == which)
        trial = _Trial(found)
        if action == BASIC_TEST:
            trial.basic()
        elif action == CAPABILITY_TEST:
            trial.try_capabilities(json.loads(arguments[3]))
    say(done=True)


class _Trial:
    def __init__(self, found: Any) -> None:
        self.info, self.handle = found.info, found.handle
        self.x = np.linspace(-2.0, 2.0, ITEMS, dtype=np.float32)

    def open(self) -> None:
        cl = opencl()
        self.context = cl.Context([self.handle])
        self.queue = cl.CommandQueue(self.context, self.handle)

    def basic(self) -> None:
        """Builds and runs a small kernel and compares its results."""
        say(begin="a small kernel")
        started = time.perf_counter()
        try:
            self.open()
            got = self.launch(BASIC, extra=lambda: [opencl().LocalMemory(4 * GROUP)])
        except Exception as error:
            say(failed=" ".join(str(error).split())[:300])
            return
        expected = self.expected()
        if not np.allclose(got, expected, rtol=ROUNDING, atol=ROUNDING):
            worst = int(np.argmax(np.abs(np.nan_to_num(got, nan=np.inf) - expected)))
            say(failed=f"computes wrongly: expected {expected[worst]:g}, got {got[worst]:g}")
            return
        say(milliseconds=1e3 * (time.perf_counter() - started))

    def try_capabilities(self, skipped: list[str]) -> None:
        self.open()
        for name, attempt in self.capabilities.items():
            if name not in skipped:
                say(begin=name)
                value = 0
                with contextlib.suppress(Exception):  # whatever it is, the device cannot do this
                    value = attempt()
                say(capability=name, value=value)

    def expected(self) -> np.ndarray:
        groups = self.x.astype(np.float64).reshape(-1, GROUP)
        sums = (np.exp(groups) * np.arange(1, GROUP + 1)).sum(axis=1)
        return (groups * 3.0 + sums[:, None]).reshape(-1)

    @property
    def capabilities(self) -> dict[str, Callable[[], int]]:
        """Names of the fields of Capabilities and how to find their values."""
        dots = np.tile(np.arange(GROUP, dtype=np.float32) * 3, ITEMS // GROUP)
        half = self.x.astype(np.float16)
        return {
            "fp16": lambda: self.agrees(FP16, (half * half + half).astype(np.float32), 4e-3),
            "inline_assembly": lambda: self.agrees(INLINE_ASSEMBLY, self.x + 1.0),
            "dot_product": lambda: self.agrees(DOT_PRODUCT, self.x + dots, options="-cl-std=CL3.0"),
            "subgroup_size": lambda: int(self.launch(SUBGROUPS, options="-cl-std=CL3.0").min()),
            "local_memory": self.local_memory,
            "largest_allocation": self.largest_allocation,
        }

    def local_memory(self) -> int:
        """Bytes of local memory, at most LOCAL_BYTES, with which a kernel computes rightly."""
        size = min(self.info.local_memory, LOCAL_BYTES)
        while size >= 1024:
            count = size // 4
            expected = self.x + float(sum(range(0, count, count // 16)))
            if self.agrees(LOCAL_MEMORY.replace("COUNT", str(count)), expected):
                return size
            size //= 2
        return 0

    def largest_allocation(self) -> int:
        """Bytes of the largest buffer whose end can be written."""
        cl, size = opencl(), self.info.max_allocation // 4 * 4
        while size >= 1 << 20:
            with contextlib.suppress(cl.Error):
                buffer = cl.Buffer(self.context, cl.mem_flags.READ_WRITE, size)
                align = max(1, self.handle.mem_base_addr_align // 8)
                end = buffer.get_sub_region((size - 4) // align * align, 4)
                if self.agrees(TOUCH, np.full(ITEMS, self.x[0]), extra=lambda: [end]):  # noqa: B023 - used at once
                    return size
            size //= 2
        return 0

    def agrees(self, source: str, expected: np.ndarray, error: float = ROUNDING, **options: Any) -> int:
        return int(np.allclose(self.launch(source, **options), expected, rtol=error, atol=error))

    def launch(self, source: str, options: str = "", extra: Callable[[], list[Any]] = list) -> np.ndarray:
        """The kernel's y."""
        from pyopencl import _cl  # noqa: PLC0415 - no cache, as everywhere

        cl = opencl()
        program = _cl._Program(self.context, source)
        program._build(options=options.encode(), devices=[self.handle])
        flags = cl.mem_flags.READ_WRITE
        x = cl.Buffer(self.context, flags | cl.mem_flags.COPY_HOST_PTR, hostbuf=self.x)
        y = cl.Buffer(self.context, flags, self.x.nbytes)
        kernel = cl.Kernel(cl.Program(program), "probe")
        kernel.set_args(x, y, *extra())
        cl.enqueue_nd_range_kernel(self.queue, kernel, (ITEMS,), (GROUP,))
        got = np.empty_like(self.x)
        cl.enqueue_copy(self.queue, got, y, is_blocking=True)
        return got


if __name__ == "__main__":
    main(sys.argv[1:])

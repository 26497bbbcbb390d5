"""`python -m nnef_cl.device.compile_worker`: builds the jobs on its standard input, one per line, into the cache."""

from __future__ import annotations

import json
import sys
from typing import Any

from nnef_cl.device import environment
from nnef_cl.device.ahead import Launch
from nnef_cl.device.cache import default_cache
from nnef_cl.device.manager import discover
from nnef_cl.device.opencl import opencl
from nnef_cl.device.programs import FOLDER, Programs


def main(setting: dict[str, str]) -> None:
    """setting: see `ahead.build_ahead`. Prints an empty line for every job done."""
    jobs = list(map(json.loads, sys.stdin))  # at once: the other process waits until all are read
    environment.leave_threads_unpinned()
    wanted = setting["index"], setting["platform"], setting["name"]
    found = next(one for one in discover().devices if (one.info.index, one.info.platform, one.info.name) == wanted)
    context = opencl().Context([found.handle])
    programs = Programs(context, [found.handle], found.info, default_cache(), setting["kind"])
    for job in jobs:
        program = programs.build(job["source"], setting["options"], job["note"])
        if setting["kind"] == FOLDER:
            for launch in job["launches"]:
                _launch(context, program, Launch(**launch))
            programs.keep_launched()
        print(flush=True)


def _launch(context: Any, program: Any, launch: Launch) -> None:
    """Runs the kernel once; nobody wants the result."""
    cl = opencl()
    queue = cl.CommandQueue(context)
    kernel = cl.Kernel(program, launch.kernel)
    buffers = [cl.Buffer(context, cl.mem_flags.READ_WRITE, max(1, size)) for size in launch.buffers]
    for buffer in buffers:
        cl.enqueue_fill_buffer(queue, buffer, bytes([launch.fill]), 0, buffer.size)
    kernel.set_args(*buffers)
    cl.enqueue_nd_range_kernel(queue, kernel, tuple(launch.global_size), tuple(launch.local_size))
    queue.finish()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

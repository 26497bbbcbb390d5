"""A broken driver for tests: with NNEF_CL_TEST_FAULT set, builds or copies of one platform go wrong in every process."""

from __future__ import annotations

import os
import time
from typing import Any

FAULT, PLATFORM = os.environ.get("NNEF_CL_TEST_FAULT"), os.environ.get("NNEF_CL_TEST_PLATFORM")

if FAULT:
    import pyopencl as cl
    from pyopencl import _cl

    build, copy = _cl._Program._build, cl.enqueue_copy

    def faulty_build(self: Any, options: bytes = b"", devices: Any = None) -> Any:
        if devices[0].platform.name == PLATFORM:
            if FAULT == "build":
                raise cl.RuntimeError("clBuildProgram failed: BUILD_PROGRAM_FAILURE: unknown target CPU")
            if FAULT == "abort":
                os.abort()
            if FAULT == "hang":
                time.sleep(1000)
        return build(self, options=options, devices=devices)

    def faulty_copy(queue: Any, target: Any, source: Any, **options: Any) -> Any:
        event = copy(queue, target, source, **options)
        if FAULT == "wrong" and queue.device.platform.name == PLATFORM and hasattr(target, "fill"):
            target[3] += 1
        return event

    _cl._Program._build = faulty_build
    cl.enqueue_copy = faulty_copy

"""OpenVINO as a peer, on the CPU in float32."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from nnef_cl.peers.engine import Engine, Hint, Submit


def open_engine(model: Path, inputs: Mapping[str, np.ndarray], threads: int, hint: Hint) -> Engine:
    """OpenCL contexts come first: imported before OpenCL is first asked, this package makes some of its platforms
    vanish."""
    import openvino  # noqa: PLC0415 - an extra

    settings = {
        "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": hint.name.upper(), "INFERENCE_PRECISION_HINT": "f32",
    }  # fmt: skip
    compiled = openvino.Core().compile_model(str(model), "CPU", settings)
    given = dict(inputs)
    queue = openvino.AsyncInferQueue(compiled)

    def many(count: int) -> None:
        for _ in range(count):
            queue.start_async(given, share_inputs=True)
        queue.wait_all()

    submit = _submitting(openvino, compiled, given)
    return Engine("openvino", lambda: list(compiled(given).values()), many, submit, len(queue))


def _submitting(openvino: Any, compiled: Any, given: Mapping[str, np.ndarray]) -> Submit:
    """As many requests as the hint makes; a submission waits for one that is free. Their callbacks take time, so that
    `many` has other requests."""
    queues: list[Any] = []

    def submit() -> Future[None]:
        if not queues:
            queues.append(openvino.AsyncInferQueue(compiled))
            queues[0].set_callback(lambda request, future: future.set_result(None))
        future: Future[None] = Future()
        queues[0].start_async(given, userdata=future, share_inputs=True)
        return future

    return submit

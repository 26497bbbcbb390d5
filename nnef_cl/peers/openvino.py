"""OpenVINO as a peer, on the CPU in float32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nnef_cl.peers.engine import Engine, Hint


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

    return Engine("openvino", lambda: list(compiled(given).values()), many)

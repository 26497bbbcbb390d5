"""ONNX Runtime as a peer, on the CPU in float32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nnef_cl.peers.engine import Engine, Hint, pooled, together

ERRORS_ONLY = 3


def open_engine(model: Path, inputs: Mapping[str, np.ndarray], threads: int, hint: Hint) -> Engine:
    """For throughput the inferences share the threads out: each runs on the one that calls it."""
    import onnxruntime  # noqa: PLC0415 - an extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads if hint is Hint.latency else 1
    options.log_severity_level = ERRORS_ONLY
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    given = dict(inputs)

    def run() -> list[np.ndarray]:
        return session.run(None, given)

    parallel = threads if hint is Hint.throughput else 1
    submit = pooled(run, parallel)
    return Engine("onnxruntime", run, together(submit), submit, parallel)

"""tract as a peer: its Python package runs an inference on one thread, whatever there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nnef_cl.peers.engine import Engine, Hint, pooled, together


def open_engine(model: Path, inputs: Mapping[str, np.ndarray], threads: int, hint: Hint) -> Engine:
    import tract  # noqa: PLC0415 - an extra

    loaded = tract.onnx().load(str(model))
    order = [loaded.input_name(k) for k in range(loaded.input_count())]
    runnable = loaded.into_model().into_runnable()
    given = [np.ascontiguousarray(inputs[name]) for name in order]

    def run() -> list[np.ndarray]:
        return [tensor.to_numpy() for tensor in runnable.run(given)]

    parallel = threads if hint is Hint.throughput else 1
    submit = pooled(run, parallel)
    return Engine("tract", run, together(submit), submit, parallel)

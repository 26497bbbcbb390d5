"""Runs models in the interpreter of the Khronos package `nnef`, in a process that may crash; knows nothing of nnef-cl.

`python khronos_worker.py run FOLDER FIRST`: models FOLDER/<number>, their inputs in inputs.npz; writes outputs.npz or error.txt.
`python khronos_worker.py load FOLDER FIRST`: parses models FOLDER/<number>; writes operations.txt, a name a line, or error.txt.
`python khronos_worker.py tensor IN OUT`: reads a tensor file and writes it again; prints type and shape.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nnef  # type: ignore[import-not-found,unused-ignore]
import numpy as np

LOWERED = (
    "clamp", "prelu", "copy_n", "moments", "add_n", "rms_pool", "nearest_downsample", "area_downsample", "nearest_upsample",
    "separable_conv", "separable_deconv", "local_response_normalization", "local_mean_normalization",
    "local_variance_normalization", "local_contrast_normalization", "l1_normalization", "l2_normalization",
    "batch_normalization", "min_max_linear_quantize", "zero_point_linear_quantize", "linear_quantize", "logarithmic_quantize",
)  # fmt: skip
"""Compound operations that the interpreter runs only when it expands them."""


def run(folder: Path, first: int) -> None:
    for number in range(first, len(list(folder.iterdir()))):
        model = folder / str(number)
        print(number, flush=True)
        try:
            inputs = np.load(model / "inputs.npz")
            with nnef.Session(str(model), stdlib="", lowered=list(LOWERED)) as session:
                outputs = session(*(inputs[name] for name in inputs.files))
            np.savez(model / "unfinished.npz", *outputs)
            (model / "unfinished.npz").rename(model / "outputs.npz")
        except Exception as error:
            (model / "error.txt").write_text(str(error))


def load(folder: Path, first: int) -> None:
    for number in range(first, len(list(folder.iterdir()))):
        model = folder / str(number)
        print(number, flush=True)
        try:
            operations = nnef.load_graph(str(model), stdlib="", lowered=[]).operations
            (model / "operations.txt").write_text("\n".join(operation.name for operation in operations))
        except Exception as error:
            (model / "error.txt").write_text(str(error))


def main(action: str, *arguments: str) -> None:
    if action in ("run", "load"):
        (run if action == "run" else load)(Path(arguments[0]), int(arguments[1]))
    else:
        with Path(arguments[0]).open("rb") as file:
            array, quantised = nnef.read_tensor(file, return_quantization=True)
        with Path(arguments[1]).open("wb") as file:
            nnef.write_tensor(file, array, quantized=quantised)
        print(array.dtype.name, list(array.shape))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The Khronos package `nnef` in a subprocess: whether there is one, and what it makes of models and tensor files."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nnef_cl.conformance.case import Case
from nnef_cl.conformance.harness import family_text
from nnef_cl.format.tensor_file import write_tensor

PYTHON = "NNEF_CL_TEST_KHRONOS"
"""Environment: a Python that has the package, where this one has not."""
WORKER = Path(__file__).with_name("khronos_worker.py")
SECONDS = 300


@functools.cache
def python() -> str:
    """The Python to use; skips the test where none has the package."""
    found = os.environ.get(PYTHON, sys.executable)
    done = subprocess.run([found, "-c", "import nnef"], capture_output=True, check=False, timeout=60)
    if done.returncode != 0:
        pytest.skip(f"needs the Khronos package `nnef` (extra oracle, or a Python that has it in {PYTHON})")
    return found


def worker(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [python(), str(WORKER), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)


def compute(cases: Sequence[Case], folder: Path) -> list[list[np.ndarray] | str]:
    """Each case's results, or why there are none: what the interpreter says, or 'crash'."""
    for number, case in enumerate(cases):
        write_model(case, folder / str(number))
    through("run", folder, len(cases))
    return [_result(folder / str(number)) for number in range(len(cases))]


def load(folder: Path, count: int) -> list[list[str] | str]:
    """The operations of models folder/0, folder/1, ..., or why there are none: what the parser says, or 'crash'."""
    through("load", folder, count)
    return [_operations(folder / str(number)) for number in range(count)]


def through(action: str, folder: Path, count: int) -> None:
    """The worker on every model, again behind each one it dies of."""
    first = 0
    while first < count:
        done = worker(action, folder, first)
        if done.returncode == 0:
            break
        first = int(done.stdout.split()[-1]) + 1


def write_model(case: Case, folder: Path) -> None:
    """A folder with graph.nnef, tensor files, and inputs.npz in the types the interpreter takes."""
    folder.mkdir(parents=True)
    text, inputs, variables = family_text([case])
    (folder / "graph.nnef").write_text(text)
    for name, array in variables.items():
        write_tensor(folder / f"{name}.dat", narrow(array))
    np.savez(folder / "inputs.npz", **{name: narrow(array) for name, array in inputs.items()})


def narrow(array: np.ndarray) -> np.ndarray:
    """The interpreter's integers have 32 bits."""
    return array.astype(np.int32) if array.dtype.kind == "i" else array


def _result(folder: Path) -> list[np.ndarray] | str:
    if (folder / "outputs.npz").exists():
        outputs = np.load(folder / "outputs.npz")
        return [outputs[name] for name in outputs.files]
    return _error(folder)


def _operations(folder: Path) -> list[str] | str:
    found = folder / "operations.txt"
    return found.read_text().split() if found.exists() else _error(folder)


def _error(folder: Path) -> str:
    error = folder / "error.txt"
    return error.read_text() if error.exists() else "crash"

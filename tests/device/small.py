"""Small models of several tests, and how a model is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnef_cl.format.tensor_file import write_tensor

NET = """version 1.0;
extension KHR_enable_operator_expressions;
graph net(x) -> (y)
{
    x = external(shape = [2, 16]);
    k = variable(shape = [8, 16], label = 'k');
    y = softmax(matmul(x, k, transposeA = false, transposeB = true));
}
"""
COUNTER = """version 1.0;
extension KHR_enable_operator_expressions;
graph net(x) -> (y)
{
    x = external(shape = [1, 4]);
    n = variable(shape = [1, 4], label = 'n');
    y = update(n, n + x);
}
"""
LOOKUP = """version 1.0;
graph net(i) -> (y)
{
    i = external<integer>(shape = [3]);
    t = variable(shape = [5, 2], label = 't');
    y = gather(t, i, axis = 0);
}
"""


def written(folder: Path, text: str, **arrays: np.ndarray) -> Path:
    folder.mkdir()
    (folder / "graph.nnef").write_text(text)
    for label, array in arrays.items():
        with (folder / f"{label}.dat").open("wb") as stream:
            write_tensor(stream, array)
    return folder

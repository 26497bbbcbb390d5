"""Run a model with operations of one's own, and compare it with their references."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import nnef_cl

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import my_ops  # noqa: E402 - it lies beside this file


def main() -> None:
    operations = nnef_cl.STANDARD | nnef_cl.table(my_ops.OPS, items=my_ops.ITEMS)
    x = np.random.default_rng(0).standard_normal((2, 3, 5), np.float32)
    with nnef_cl.load(HERE / "model", ops=operations) as session:
        y, z = session(x)
    scales = np.float32([2, 1, 0.5]).reshape(1, 3, 1)
    expected = my_ops.cumulative_reference(my_ops.shrink_reference(x * scales, 0.25), 1)
    print("largest difference:", np.abs(y - expected).max())
    print("z:", z.ravel()[:5])


if __name__ == "__main__":
    main()

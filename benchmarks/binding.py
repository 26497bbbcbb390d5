"""Compares session.run, with and without arrays for the results, and a binding: host time per run, in turn."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

import nnef_cl
from nnef_cl.preprocess import random_inputs

RUNS = 5
"""Of one way before the next one's turn; the first is not counted."""


def seconds(ways: Mapping[str, Callable[[], Any]], budget: float) -> dict[str, float]:
    """The median of each way's runs."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    end = time.perf_counter() + budget
    while time.perf_counter() < end or not all(found.values()):
        for name, run in ways.items():
            run()
            started = time.perf_counter()
            for _ in range(RUNS):
                run()
            found[name].append((time.perf_counter() - started) / RUNS)
    return {name: statistics.median(times) for name, times in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("-d", "--device")
    parser.add_argument("--seconds", type=float, default=6.0, help="for each model")
    options = parser.parse_args()
    for model in options.models:
        with nnef_cl.load(model, device=options.device) as session, session.bind() as binding:
            inputs = random_inputs(session.inputs, 0)
            for name, array in inputs.items():
                binding.inputs[name][...] = array
            out = session.run(inputs)
            for name, array in binding.run().items():
                np.testing.assert_array_equal(array, out[name])
            plain, into = partial(session.run, inputs), partial(session.run, inputs, out=out)
            times = seconds({"run": plain, "run out=": into, "binding": binding.run}, options.seconds)
        print(model, *(f"{name} {1e3 * value:.4f} ms" for name, value in times.items()), sep="  ")


if __name__ == "__main__":
    main()

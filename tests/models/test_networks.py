"""Whole networks against ONNX Runtime on every device: small ones always, full size with `make test-all`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import nnef_cl

pytest.importorskip("onnxruntime")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import zoo

QUICK = ("resnet50", "mobilenetv2", "unet", "bert6")
"""Reduced networks among the quick tests."""
TOLERANCE = 1e-4
"""Of the largest magnitude."""


def check(name: str, folder: Path, selector: str, size: int | None, width: float) -> None:
    built = zoo.build(name, folder, size=size, width=width)
    rng = np.random.default_rng(1)
    first, second = (rng.standard_normal(built.input_shape).astype(np.float32) for _ in range(2))
    peer = zoo.onnx_session(built.onnx, 2)
    with nnef_cl.load(built.nnef, device=selector) as session:
        results = list(session.run({"input": first}).values())
    references, others = (peer.run(None, {"input": x}) for x in (first, second))
    for got, expected, other in zip(results, references, others, strict=True):
        largest = float(np.abs(expected).max())
        assert np.abs(expected - other).max() > 100 * TOLERANCE * largest, "the output hardly depends on the input"
        assert got.shape == expected.shape
        assert np.abs(got - expected).max() <= TOLERANCE * largest


@pytest.mark.many_kernels
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in zoo.NETWORKS]
)
def test_reduced_network(name: str, tmp_path: Path, selector: str) -> None:
    check(name, tmp_path, selector, zoo.NETWORKS[name].small, 0.25)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(zoo.NETWORKS))
def test_full_network(name: str, tmp_path: Path, selector: str) -> None:
    check(name, tmp_path, selector, None, 1.0)


@pytest.mark.slow
def test_parameter_counts(tmp_path: Path) -> None:
    """Against the literature: learned parameters without the statistics of batch normalisation."""
    counts = {"resnet50": 25_557_032, "mobilenetv2": 3_504_872, "vgg16": 138_357_544, "googlenet": 6_998_552}
    for name, count in counts.items():
        assert zoo.build(name, tmp_path / name).parameters == count

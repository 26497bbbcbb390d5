"""The demo's model and digits: plain NNEF, small, and as accurate as promised, by an independent numpy network."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_cl.demo import held_out_digits, model_folder
from nnef_cl.format.parser import parse_document
from nnef_cl.format.syntax import ArrayExpression, Invocation, Literal

HEADER = 128  # bytes before the values in a .dat file


def invocations() -> dict[str, Invocation]:
    """Result name -> operation, for every line of the model's graph."""
    document = parse_document((model_folder() / "graph.nnef").read_text(encoding="utf-8"))
    found = {}
    for line in document.graph.body:
        assert isinstance(line.value, Invocation)
        found[line.target.name] = line.value  # type: ignore[union-attr]
    return found


def variables() -> dict[str, np.ndarray]:
    """The model's variables by name, read without the package's own reader."""
    tensors = {}
    for name, operation in invocations().items():
        if operation.name != "variable":
            continue
        arguments = {argument.name: argument.value for argument in operation.arguments}
        shape, label = arguments["shape"], arguments["label"]
        assert isinstance(shape, ArrayExpression) and isinstance(label, Literal)
        extents = [item.value for item in shape.items]  # type: ignore[union-attr]
        tensors[name] = np.fromfile(model_folder() / f"{label.value}.dat", "<f4", offset=HEADER).reshape(extents)
    return tensors


def conv3x3(x: np.ndarray, filters: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """[N, C, H, W] -> [N, F, H, W], zero padding of 1."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("nchwij,fcij->nfhw", windows, filters, optimize=True) + bias[:, :, None, None]


def scores(images: np.ndarray) -> np.ndarray:
    """[N, 8, 8] grey levels -> [N, 10] scores before the softmax."""
    v = variables()
    x = np.maximum(conv3x3(images[:, None] * 0.0625, v["filter1"], v["bias1"]), 0)
    x = np.maximum(conv3x3(x, v["filter2"], v["bias2"]), 0)
    x = x.reshape(len(x), x.shape[1], 4, 2, 4, 2).max(axis=(3, 5))
    return x.reshape(len(x), -1) @ v["filter3"].T + v["bias3"]


def test_the_network_reads_the_held_out_digits() -> None:
    images, labels = held_out_digits()
    assert np.mean(scores(images).argmax(1) == labels) >= 0.98


def test_the_digits_are_the_stratified_quarter() -> None:
    images, labels = held_out_digits()
    assert images.shape == (450, 8, 8) and images.dtype == np.uint8 and images.max() == 16
    assert labels.shape == (450,) and np.bincount(labels).tolist() == [45, 46, 44, 46, 45, 46, 45, 45, 43, 45]


def test_the_digits_are_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    selection = pytest.importorskip("sklearn.model_selection")
    images, labels = datasets.load_digits(return_X_y=True)
    _, x, _, y = selection.train_test_split(images, labels, test_size=0.25, stratify=labels, random_state=0)
    np.testing.assert_array_equal(held_out_digits()[0].reshape(450, 64), x)
    np.testing.assert_array_equal(held_out_digits()[1], y)


def test_the_model_is_flat_and_small() -> None:
    text = (model_folder() / "graph.nnef").read_text(encoding="utf-8")
    document = parse_document(text)
    assert document.version == "1.0" and not document.extensions and not document.fragments
    operations = [operation.name for operation in invocations().values()]
    layers = ["mul", "conv", "relu", "conv", "relu", "max_pool", "reshape", "linear", "softmax"]
    assert operations == ["external", *["variable"] * 6, *layers]
    files = list(model_folder().iterdir())
    assert sum(file.stat().st_size for file in files) < 300_000
    assert {file.suffix for file in files} == {".nnef", ".dat"}

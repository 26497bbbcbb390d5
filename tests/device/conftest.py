"""Fixtures: small models that several files of tests load; a model is never changed."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from tests.device.small import COUNTER, LOOKUP, NET, written


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions leave blocks wherever they can, well filled or not."""
    layout = importlib.import_module("nnef_cl.passes.layout")
    monkeypatch.setattr(layout, "plain_runs", lambda *_: set())
    monkeypatch.setattr(layout, "pays_alone", lambda *_: False)


@pytest.fixture(scope="session")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """[2, 16] -> [2, 8], each row by itself."""
    k = np.random.default_rng(0).standard_normal((8, 16)).astype(np.float32)
    return written(tmp_path_factory.mktemp("net") / "model", NET, k=k)


@pytest.fixture(scope="session")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A variable that adds up its inputs [1, 4]."""
    return written(tmp_path_factory.mktemp("counter") / "model", COUNTER, n=np.zeros((1, 4), np.float32))


@pytest.fixture(scope="session")
def lookup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Row i of a table has 2 i and 2 i + 1, for i below 5."""
    table = np.arange(10, dtype=np.float32).reshape(5, 2)
    return written(tmp_path_factory.mktemp("lookup") / "model", LOOKUP, t=table)

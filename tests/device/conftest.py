"""Fixtures: small models that several files of tests load; a model is never changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.device.small import COUNTER, LOOKUP, NET, written


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

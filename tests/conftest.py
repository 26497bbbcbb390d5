"""Fixtures: every OpenCL device found; with NNEF_CL_TEST_OCLGRIND=1 Oclgrind alone, failing a test on any report."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

OCLGRIND = os.environ.get("NNEF_CL_TEST_OCLGRIND") == "1"
REPORTS = re.compile(
    r"Invalid (read|write)|data race|Uninitialized|uninitialized value|divergence detected|OCLGRIND FATAL", re.IGNORECASE
)
FRESH = "NNEF_CL_TEST_FRESH_PROCESS"
"""Set in the process that repeats one test."""
if "PYTEST_XDIST_WORKER" in os.environ:  # several test processes share the cores
    os.environ.setdefault("POCL_AFFINITY", "0")
if OCLGRIND:
    os.environ |= {
        "OCLGRIND_DATA_RACES": "1", "OCLGRIND_UNINITIALIZED": "1", "OCLGRIND_MAX_ERRORS": "20", "PYOPENCL_NO_CACHE": "1",
    }  # fmt: skip


def selectors() -> list[str]:
    """platform:device of every device that tests run on; NNEF_CL_TEST_DEVICE narrows to one."""
    from nnef_cl.device import discover

    if chosen := os.environ.get("NNEF_CL_TEST_DEVICE"):
        return [chosen]
    found = discover().devices
    return [d.info.index for d in found if (d.info.platform == "Oclgrind") == OCLGRIND]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests that compile many kernels are quick ones on one device only."""
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    if item.get_closest_marker("many_kernels") and parameters.get("selector") != first_device():
        item.add_marker(pytest.mark.slow)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that share compiled programs go to one process (see `scheduling.py`), unless they are spread one by one."""
    from tests.scheduling import Groups

    return Groups(config, log) if config.getoption("dist") == "loadgroup" else None


@functools.cache
def first_device() -> str:
    """The device that programs get where none is named, or the only one that tests may use."""
    from nnef_cl.device import choose_device
    from nnef_cl.errors import DeviceError

    try:
        chosen = choose_device().device.info.index
    except DeviceError:
        chosen = ""
    return chosen if chosen in selectors() else next(iter(selectors()), "")


@pytest.fixture(scope="session", params=selectors())
def selector(request: pytest.FixtureRequest) -> str:
    """Selector of one device; a test that asks for it runs on all."""
    return str(request.param)


@pytest.fixture(autouse=OCLGRIND)
def _clean(capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Iterator[None]:
    """Oclgrind mistakes what programs built earlier left behind for this one: a report counts where a fresh
    process repeats it."""
    yield
    report = capfd.readouterr().err
    if REPORTS.search(report) and (FRESH in os.environ or not _clean_alone(request.node.nodeid)):
        pytest.fail(f"Oclgrind reports:\n{report[:2000]}")


def _clean_alone(test: str) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", test]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")} | {FRESH: "1"}
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0

"""Fixtures: every OpenCL device found; with NNEF_CL_TEST_OCLGRIND=1 Oclgrind alone, failing a test on any report."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

OCLGRIND = os.environ.get("NNEF_CL_TEST_OCLGRIND") == "1"
REPORTS = re.compile(
    r"Invalid (read|write)|data race|Uninitialized|uninitialized value|divergence detected|OCLGRIND FATAL", re.IGNORECASE
)
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


@pytest.fixture(scope="session", params=selectors())
def selector(request: pytest.FixtureRequest) -> str:
    """Selector of one device; a test that asks for it runs on all."""
    return str(request.param)


@pytest.fixture(autouse=OCLGRIND)
def _clean(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    found = REPORTS.search(capfd.readouterr().err)
    assert not found, f"Oclgrind reports: {found}"

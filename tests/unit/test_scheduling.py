"""Tests that share compiled programs go to one process."""

from __future__ import annotations

import pytest

pytest.importorskip("xdist")
from tests.scheduling import group_of

OPERATIONS = "tests/device/test_operations.py"


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/unit/test_files.py::test_links_stay_and_folders_are_refused", "tests/unit/test_files.py"),
        ("tests/device/test_state.py::test_cycles[0:0-3]", "tests/device/test_state.py 0:0"),
        (f"{OPERATIONS}::test_case[1:0-conv-conv f:2x5-7 const f:[[1.0,-2.0]] padding=[(-1,2)]-gpu]", f"{OPERATIONS} 1:0 conv gpu"),
        (f"{OPERATIONS}::test_other_candidates[0:0-conv-gpu]", f"{OPERATIONS} 0:0 conv gpu"),
        (f"{OPERATIONS}::test_one_case_of_every_operation[pool-0:0]", f"{OPERATIONS} pool 0:0"),
    ],
)
def test_group(nodeid: str, group: str) -> None:
    assert group_of(nodeid) == group

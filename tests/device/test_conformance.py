"""`nnef-cl conformance`: its table and JSON, wrong results, and drivers that fail for some cases only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from nnef_cl.commands import app
from nnef_cl.conformance import run as runner
from nnef_cl.conformance.case import Case, cases_of
from nnef_cl.conformance.comparison import Difference, difference
from nnef_cl.device import open_device
from nnef_cl.errors import DeviceError
from nnef_cl.plan.build import first


def invoke(selector: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["conformance", "--device", selector, *arguments])


@pytest.mark.many_kernels
def test_table(selector: str) -> None:
    done = invoke(selector, "--only", "tile", "--only", "add_n", "--every-kernel")
    lines = done.stdout.splitlines()
    assert done.exit_code == 0 and lines[0].split() == ["operation", "cases", "passed", "worst", "allowed"]
    assert [line.split()[0] for line in lines[1:-1]] == ["tile", "add_n"]
    assert lines[-1].startswith("2 operations, ") and lines[-1].endswith(": all passed")


@pytest.mark.many_kernels
def test_json(selector: str) -> None:
    done = invoke(selector, "--only", "softmax", "--json")
    report = json.loads(done.stdout)
    assert done.exit_code == 0 and report["schema"] == 1 and report["passed"] is True and report["device"]["name"]
    (row,) = report["operations"]
    assert row["operation"] == "softmax" and row["cases"] == row["passed"] > 10 and row["failures"] == []
    assert 0 < row["worst"] <= row["allowed"]


def test_unknown_operation(selector: str) -> None:
    done = invoke(selector, "--only", "softmx")
    assert done.exit_code == 2 and "did you mean 'softmax'?" in done.stderr


def test_a_wrong_result_is_reported(selector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNEF_CL_PROBE", "off")  # all in this process
    monkeypatch.setattr(runner, "difference", lambda got, expected: Difference(0.5))
    done = invoke(selector, "--only", "tile", "--json")
    (row,) = json.loads(done.stdout)["operations"]
    assert done.exit_code == 1 and row["passed"] == 0 and row["worst"] == 0.5
    assert row["failures"][0]["reason"] == "result 1: differs by 0.5 of the largest magnitude, allowed 4e-06"
    done = invoke(selector, "--only", "tile")
    assert done.exit_code == 1 and done.stdout.rstrip().endswith("1 FAILED: tile")
    assert f"... and {row['cases'] - 3} more cases of tile" in done.stdout


def test_results_that_change_are_found(selector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = runner._compute

    def flaky(*arguments: Any) -> Any:
        once, again = computed(*arguments)
        return once, again | {"c0_y0": again["c0_y0"] + np.float32(1)}

    monkeypatch.setattr(runner, "_compute", flaky)
    outcomes = runner.run_cases(cases_of("matmul")[:3], open_device(selector), first, lambda *_: None)
    assert [one.failure for one in outcomes] == ["result 1: a second run gives another result", "", ""]


def test_the_case_a_driver_fails_on_is_found(selector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others still run, in as few sessions as it takes."""
    computed, sizes = runner._compute, []
    bad = {case.id for case in cases_of("matmul")[4:6]}

    def broken(cases: Sequence[Case], *arguments: Any) -> Any:
        sizes.append(len(cases))
        if any(case.id in bad for case in cases):
            raise DeviceError("the compiler crashed")
        return computed(cases, *arguments)

    monkeypatch.setattr(runner, "_compute", broken)
    cases = cases_of("matmul")[:12]
    outcomes = runner.run_cases(cases, open_device(selector), first, lambda *_: None)
    assert {one.case.id: one.failure for one in outcomes if one.failure} == dict.fromkeys(bad, "the compiler crashed")
    assert len(outcomes) == 12 and len(sizes) < 12


@pytest.mark.parametrize(
    ("got", "expected", "problem"),
    [
        (np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32), "expected float32[3, 2], got float32[2, 3]"),
        (np.zeros(2, np.int64), np.zeros(2, np.float32), "expected float32[2], got int64[2]"),
        (np.array([1, 2]), np.array([1, 3]), "1 of 2 elements, the first at [1]: expected 3, got 2"),
        (np.float32([[0, np.nan]]), np.float32([[0, 1]]), "1 of 2 elements, the first at [0, 1]: expected 1.0, got nan"),
        (np.float32([0, np.inf]), np.float32([0, np.nan]), "1 of 2 elements, the first at [1]: expected nan, got inf"),
        (np.float32([np.inf]), np.float32([-np.inf]), "1 of 1 elements, the first at [0]: expected -inf, got inf"),
        (np.float32(np.inf), np.float32(3), "1 of 1 elements, the first at []: expected 3.0, got inf"),
        (np.float32([np.nan, np.inf]), np.float32([np.nan, np.inf]), ""),
    ],
)  # fmt: skip
def test_what_no_rounding_explains(got: Any, expected: Any, problem: str) -> None:
    assert difference(np.asarray(got), np.asarray(expected)) == Difference(problem=problem)


def test_rounding_is_relative_to_the_largest_magnitude() -> None:
    assert difference(np.float32([99, 0]), np.float32([100, 0])) == Difference(0.01)
    assert difference(np.float32([0.25]), np.float32([0.5])) == Difference(0.25)

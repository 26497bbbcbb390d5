"""Cases in a process of their own: drivers that crash, hang, talk, or do not open at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

from nnef_cl.conformance import apart
from nnef_cl.conformance.apart import SILENCE, Apart
from nnef_cl.conformance.case import Case, cases_of
from nnef_cl.errors import DeviceError

CASES = cases_of("matmul")[:9]
WORKER = """
import json, os, signal, sys, time
kind, bad = sys.argv[1], json.loads(sys.argv[2])
if kind == "closed":
    sys.exit(3)
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    print("a driver says hello", flush=True)
    print(json.dumps({"stage": "compile", "done": 1, "total": 2}), flush=True)
    if set(asked["cases"]) & set(bad):
        os.kill(os.getpid(), signal.SIGKILL) if kind == "crash" else time.sleep(60)
    found = [{"worst": float(asked["kernel"]), "allowed": 1.0, "failure": ""} for _ in asked["cases"]]
    print(json.dumps({"outcomes": found}), flush=True)
"""


def worker(kind: str, bad: Sequence[Case] = ()) -> list[str]:
    return [sys.executable, "-c", WORKER, kind, json.dumps([one.id for one in bad])]


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Those that were started; none of them is left."""
    started: list[subprocess.Popen[bytes]] = []

    class Counted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: object, **keywords: object) -> None:
            super().__init__(*arguments, **keywords)  # type: ignore[call-overload]
            started.append(self)

    monkeypatch.setattr(apart.subprocess, "Popen", Counted)
    yield started
    assert started and all(process.poll() is not None for process in started)


def test_one_process_runs_all(processes: list[subprocess.Popen[bytes]]) -> None:
    stages: list[str] = []
    with Apart(None, worker("crash")) as run:
        for kernel in (0, 2):
            outcomes = run(CASES, kernel, lambda stage, *_: stages.append(stage))
            assert [one.case for one in outcomes] == list(CASES) and {one.worst for one in outcomes} == {kernel}
        assert run([], 0, lambda *_: None) == []
    assert len(processes) == 1 and stages == ["compile"] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_the_case_that_ends_the_process_fails_alone(processes: list[subprocess.Popen[bytes]]) -> None:
    bad = [CASES[1], CASES[7]]
    with Apart(None, worker("crash", bad)) as run:
        outcomes = run(CASES, 0, lambda *_: None)
    assert {one.case.id: one.failure for one in outcomes if one.failure} == {
        one.id: "the process died of SIGKILL" for one in bad
    }
    assert {one.case for one in outcomes} == set(CASES) and len(processes) < 2 * len(CASES)


def test_a_case_that_hangs_fails(processes: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SILENCE, "1.5")
    with Apart(None, worker("hang", CASES[:1])) as run:
        outcomes = run(CASES[:2], 0, lambda *_: None)
    assert [one.failure for one in outcomes] == ["no answer within 1.5 s", ""]


def test_a_device_that_does_not_open(processes: list[subprocess.Popen[bytes]]) -> None:
    with Apart(None, worker("closed")) as run, pytest.raises(DeviceError, match="exit code 3"):
        run(CASES, 0, lambda *_: None)


def test_an_interrupt_leaves_no_process(processes: list[subprocess.Popen[bytes]]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Apart(None, worker("hang")) as run:
        run(CASES, 0, interrupted)


def test_the_users_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert apart.is_possible()
    monkeypatch.setenv("NNEF_CL_PROBE", "off")
    assert not apart.is_possible()

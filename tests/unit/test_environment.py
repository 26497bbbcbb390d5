"""Tests of the variables that OpenCL runtimes read when they are loaded."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from nnef_cl.device import environment
from nnef_cl.device.cache import Cache

THREADS, PIN = "SOME_THREADS", "SOME_AFFINITY"
Prepared = Callable[..., dict[str, str]]


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """The environment after `prepare`, in a process that has not used OpenCL."""

    def prepare(given: dict[str, str], *, cores: int = 4, usable: int = 4, threads: int | None = None) -> dict[str, str]:
        variables = dict(given)
        monkeypatch.setattr(environment, "_prepared", False)
        monkeypatch.setattr(environment, "_threads", threads)
        monkeypatch.setattr(os, "environ", variables)
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(usable)), raising=False)
        environment.prepare([THREADS], [PIN], [], Cache(None))
        return variables

    monkeypatch.setattr(environment, "_pins", True)
    monkeypatch.setattr(environment, "_driver_folder", None)
    return prepare


def test_a_thread_for_every_core_is_pinned(prepared: Prepared) -> None:
    assert prepared({})[PIN] == "1"
    assert prepared({}, threads=4)[PIN] == "1"


def test_fewer_threads_than_cores_are_not_pinned(prepared: Prepared) -> None:
    assert prepared({}, usable=2)[PIN] == "0"
    assert prepared({}, threads=2) == {PIN: "0", environment.CHOSEN: f"{PIN}=0", THREADS: "2"}
    assert prepared({THREADS: "2"})[PIN] == "0"


def test_there_are_no_more_threads_than_usable_cores(prepared: Prepared) -> None:
    assert prepared({}, usable=3)[THREADS] == "3"
    assert prepared({}, usable=3, threads=8)[THREADS] == "8"
    assert THREADS not in prepared({})


def test_what_the_user_set_stays(prepared: Prepared) -> None:
    assert prepared({THREADS: "7"}, usable=3)[THREADS] == "7"
    assert prepared({PIN: "0"})[PIN] == "0"
    assert prepared({PIN: "1"}, usable=2)[PIN] == "1"
    assert prepared(prepared({}) | {PIN: "0"})[PIN] == "0"


def test_a_process_decides_again_what_the_one_before_it_decided(prepared: Prepared) -> None:
    whole, part = prepared({}), prepared({}, usable=2)
    assert (whole[PIN], part[PIN], part[THREADS]) == ("1", "0", "2")
    assert prepared(whole, usable=2)[PIN] == "0" and prepared(part)[PIN] == "1"
    assert prepared(part, usable=3)[THREADS] == "3" and THREADS not in prepared(part)
    environment.leave_threads_unpinned()
    assert prepared(whole)[PIN] == "0"

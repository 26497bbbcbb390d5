"""Builds several programs at once, in processes of their own: in one process runtimes compile one after another."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

SWITCH = "NNEF_CL_COMPILE_PROCESSES"
"""Environment: how many processes compile at once; 0 or 1: only this one."""
WORTH_KERNELS = 12
"""Fewer missing kernels than these compile sooner than a process starts."""
SECONDS = 300
Finished = Callable[[int], None]


@dataclass(frozen=True)
class Launch:
    """A kernel with its sizes and those of its buffers, in bytes. fill: every byte of these."""

    kernel: str
    global_size: Sequence[int]
    local_size: Sequence[int]
    buffers: Sequence[int]
    fill: int = 0


@dataclass(frozen=True)
class Job:
    """One program. launches: of its kernels, for drivers that compile a kernel when it is first launched. parts: how
    many pieces of code it consists of, by which it takes time to build."""

    source: str
    note: str
    launches: Sequence[Launch]
    parts: int

    @property
    def kernels(self) -> list[str]:
        return [launch.kernel for launch in self.launches]


def processes() -> int:
    text = os.environ.get(SWITCH, "")
    return int(text) if text.isdecimal() else min(8, len(available_cores()))


def available_cores() -> Sequence[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)


def build_ahead(setting: Mapping[str, str], jobs: Sequence[Job], finished: Finished) -> None:
    """Has the jobs' programs built into the cache, as far as that succeeds. finished: gets the number of jobs done.

    setting: the device's index, platform and name, the build options, and the kind of its cache entries.
    """
    count = min(processes(), len(jobs))
    if count < 2 or sum(job.parts for job in jobs) < WORTH_KERNELS or not sys.executable:
        return
    running: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            running.append(_start(setting))
        for start, process in enumerate(running):  # all of them start before any is waited for
            _hand_over(process, jobs[start::count])
        done = 0
        for process in running:
            assert process.stdout is not None
            for _ in process.stdout:
                done += 1
                finished(done)
            process.wait(SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return  # what is missing is built in this process
    finally:
        for process in running:
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()


def _start(setting: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "nnef_cl.device.compile_worker", json.dumps(dict(setting))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _hand_over(process: subprocess.Popen[bytes], jobs: Sequence[Job]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write("".join(json.dumps(asdict(job)) + "\n" for job in jobs).encode())
        process.stdin.close()

"""Which runtimes and devices work: tried once per driver version in a process of their own, the verdicts kept."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, fields
from typing import Any

from nnef_cl.device import libraries
from nnef_cl.device.cache import Cache
from nnef_cl.device.config import active_rules
from nnef_cl.device.facts import Capabilities, DeviceInfo
from nnef_cl.device.libraries import Library
from nnef_cl.device.opencl import opencl

LIST, BASIC_TEST, CAPABILITY_TEST = "list", "basic", "capabilities"
"""What the probe is asked to do."""
FORMAT = "1"
SWITCH = "NNEF_CL_PROBE"
"""Environment: 'off' trusts every runtime and device."""
SECONDS = "NNEF_CL_PROBE_SECONDS"
DEFAULT_SECONDS = 60.0
"""A driver that says nothing for so long hangs."""
LIBRARIES, VERDICT, CAPABILITIES = "libraries", "verdict", "capabilities"
"""Kinds of cache entries."""


@dataclass(frozen=True)
class Verdict:
    """problem: why the device cannot be used, or ''. tried: False where probing is off or was not possible."""

    problem: str = ""
    tried: bool = False
    milliseconds: float = 0.0


class Trust:
    """Verdicts about libraries and devices, from the cache or by trial."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._lock = threading.RLock()
        self._broken: dict[str, str] | None = None
        self._early: dict[str, Verdict] = {}
        self._verdicts: dict[DeviceInfo, Verdict] = {}
        self._capabilities: dict[DeviceInfo, Capabilities] = {}

    def broken_libraries(self, likely: str | None = None, again: bool = False) -> dict[str, str]:
        """Id -> reason, of the libraries that kill or block a process which loads them.

        likely: selector of the device that is wanted next: it is tried in the same breath. again: whatever is known.
        """
        with self._lock:
            if self._broken is None or again:
                self._broken = self._try_libraries(likely or "", again)
            return self._broken

    def verdict(self, info: DeviceInfo, again: bool = False) -> Verdict:
        """Whether the device computes. again: tries it whatever is known."""
        if is_off():
            return Verdict()
        with self._lock:
            if again or info not in self._verdicts:
                self._verdicts[info] = self._find_verdict(info, again)
            return self._verdicts[info]

    def capabilities(self, info: DeviceInfo, again: bool = False) -> Capabilities | None:
        """What the device can do; None where probing is off or the device does not compute at all."""
        if is_off() or self.verdict(info).problem:
            return None
        with self._lock:
            if again or info not in self._capabilities:
                parts = _device_parts(info)
                kept = None if again else self.cache.get(CAPABILITIES, parts)
                if kept is None:
                    kept = json.dumps(_tried_capabilities(info, sorted(self.broken_libraries()))).encode()
                    self.cache.put(CAPABILITIES, parts, kept, f"{info.name}, {info.platform}")
                self._capabilities[info] = Capabilities(**json.loads(kept))
            return self._capabilities[info]

    def _find_verdict(self, info: DeviceInfo, again: bool) -> Verdict:
        parts = _device_parts(info)
        kept = None if again else self.cache.get(VERDICT, parts)
        if kept is not None:
            return Verdict(**json.loads(kept))
        early = None if again else self._early.pop(info.index, None)
        verdict = early or _verdict_in(_ask(BASIC_TEST, sorted(self.broken_libraries()), info.index))
        if verdict.tried:
            self.cache.put(VERDICT, parts, json.dumps(asdict(verdict)).encode(), f"{info.name}, {info.platform}")
        return verdict

    def _try_libraries(self, likely: str, again: bool) -> dict[str, str]:
        found = libraries.libraries(active_rules().runtimes)
        if is_off() or not found:
            return {}
        parts = {"format": FORMAT, "python": sys.executable} | {one.id: one.stamp for one in found}
        kept = None if again else self.cache.get(LIBRARIES, parts)
        if kept is not None:
            return dict(json.loads(kept))
        answer = _ask(LIST, [], likely)
        broken = {} if "loaded" in answer.facts or answer.impossible else self._one_by_one(found)
        if not broken and "index" in answer.facts:
            self._early[answer.facts["index"]] = _verdict_in(answer)
        self.cache.put(LIBRARIES, parts, json.dumps(broken).encode(), "libraries that break processes")
        return broken

    def _one_by_one(self, found: list[Library]) -> dict[str, str]:
        broken = {}
        for one in found:
            answer = _ask(LIST, [other.id for other in found if other is not one], "")
            if "loaded" not in answer.facts and not answer.impossible:
                broken[one.id] = answer.died
        return broken


def is_off() -> bool:
    """Whether drivers are used without processes that may die."""
    return os.environ.get(SWITCH, "").lower() == "off"


def _device_parts(info: DeviceInfo) -> dict[str, str]:
    found = libraries.libraries(active_rules().runtimes) if info.library else []
    stamp = next((one.stamp for one in found if one.library == info.library), "")
    return {
        "format": FORMAT, "pyopencl": opencl().VERSION_TEXT, "platform": f"{info.platform} {info.platform_version}",
        "device": f"{info.vendor} {info.name} {info.version}", "driver": info.driver_version, "runtime": stamp,
    }  # fmt: skip


def _verdict_in(answer: _Answer) -> Verdict:
    if answer.impossible:
        return Verdict()
    problem = answer.facts.get("failed", "") or (f"{answer.died} during {answer.step}" if answer.died else "")
    return Verdict(problem, True, round(answer.facts.get("milliseconds", 0.0), 1))


def _tried_capabilities(info: DeviceInfo, excluded: list[str]) -> dict[str, int]:
    """By name; one whose trial kills the process is one that the device does not have."""
    names = {field.name for field in fields(Capabilities)}
    deadly: list[str] = []
    found: dict[str, int] = {}
    while True:
        answer = _ask(CAPABILITY_TEST, excluded, info.index, json.dumps([*deadly, *found]))
        found |= {name: value for name, value in answer.capabilities.items() if name in names}
        if not answer.died or answer.step not in names or answer.step in deadly:
            return found
        deadly.append(answer.step)


@dataclass(frozen=True)
class _Answer:
    """died: how the process ended before it was done, or ''; step: what it did then. impossible: it never began."""

    facts: dict[str, Any]
    capabilities: dict[str, Any]
    step: str
    died: str
    impossible: bool


def _ask(action: str, excluded: list[str], *rest: str) -> _Answer:
    """Runs the probe; never raises."""
    command = [sys.executable, "-m", "nnef_cl.device.probe", action, json.dumps(excluded), *rest]
    seconds = patience(SECONDS, DEFAULT_SECONDS)
    if not sys.executable:
        return _Answer({}, {}, "", "", True)
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    except OSError:
        return _Answer({}, {}, "", "", True)
    late = False
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        late = True
        kill(process)
        output, _ = process.communicate()
    except BaseException:
        kill(process)
        raise
    facts, capabilities, step = _read(output)
    died = ""
    if late:
        died = f"no answer within {seconds:g} s"
    elif "done" not in facts:
        died = ending(process.returncode)
    if not step and not late:
        return _Answer({}, {}, "", "", True)
    return _Answer(facts, capabilities, step, died, False)


def _read(output: bytes) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Facts, capabilities and the last step begun. Lines that drivers print are no JSON objects."""
    facts: dict[str, Any] = {}
    capabilities: dict[str, Any] = {}
    step = ""
    for line in output.decode("utf-8", "replace").splitlines():
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            if not isinstance(said, dict):
                continue
            step = said.get("begin", step)
            if "capability" in said:
                capabilities[said["capability"]] = said["value"]
            facts |= said
    return facts, capabilities, step


def ending(code: int) -> str:
    """What an exit code says."""
    if code >= 0:
        return f"the process ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"the process died of {signal.Signals(-code).name}"
    return f"the process died of signal {-code}"


def kill(process: subprocess.Popen[bytes]) -> None:
    """With what it started, where it began a session of its own."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def patience(variable: str, default: float) -> float:
    """Seconds, from the environment where it has a number."""
    with contextlib.suppress(ValueError):
        return max(0.1, float(os.environ[variable])) if os.environ.get(variable) else default
    return default

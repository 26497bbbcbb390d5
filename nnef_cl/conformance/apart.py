"""Runs cases in another process, so that a driver which crashes or hangs fails a case and ends nothing else."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from nnef_cl.conformance.case import Case
from nnef_cl.conformance.comparison import tolerance
from nnef_cl.conformance.run import Outcome, Progress, parts_of
from nnef_cl.device.environment import threads
from nnef_cl.device.trust import ending, is_off, kill, patience
from nnef_cl.errors import DeviceError

SILENCE = "NNEF_CL_CASE_SECONDS"
DEFAULT_SILENCE = 120.0
"""A driver that gets no further for so long hangs."""


class WorkerDiedError(Exception):
    """What became of the process."""


class Apart:
    """Runs cases on a device in a worker, and in a new one when that has died. To be closed."""

    def __init__(self, selector: str | None, command: Sequence[str] = ()) -> None:
        """selector: of the device, as the user gave it. command: instead of the worker's."""
        worker = [sys.executable, "-m", "nnef_cl.conformance.worker", selector or "", str(threads() or 0)]
        self._command = list(command) or worker
        self._worker: _Worker | None = None

    def __call__(self, cases: Sequence[Case], kernel: int, progress: Progress) -> list[Outcome]:
        """As `run_cases` does it with candidate `kernel`; cases whose run ends the process fail with the reason."""
        if not cases:
            return []
        try:
            return self._ask(cases, kernel, progress)
        except WorkerDiedError as died:
            if len(cases) == 1:
                return [Outcome(cases[0], 0.0, tolerance(cases[0].op), str(died))]
        return [one for part in parts_of(cases) for one in self(part, kernel, progress)]

    def _ask(self, cases: Sequence[Case], kernel: int, progress: Progress) -> list[Outcome]:
        if self._worker is None:
            self._worker = _started(self._command)
        try:
            found = self._worker.ask({"kernel": kernel, "cases": [one.id for one in cases]}, progress)
        except BaseException:
            self.close()
            raise
        assert len(found) == len(cases)
        return [Outcome(case, **facts) for case, facts in zip(cases, found, strict=True)]

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
        self._worker = None

    def __enter__(self) -> Apart:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _started(command: Sequence[str]) -> _Worker:
    """Raises DeviceError where the device does not open there."""
    worker = _Worker(command)
    try:
        worker.wait("ready", lambda *_: None)
    except BaseException as error:
        worker.close()
        if isinstance(error, WorkerDiedError):
            raise DeviceError(f"the device does not open in a process of its own: {error}") from None
        raise
    return worker


class _Worker:
    """The process; a thread reads what it says, because a pipe cannot be read with a time limit everywhere."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                self._lines.put(line)
        self._lines.put(None)

    def ask(self, question: dict[str, Any], progress: Progress) -> list[dict[str, Any]]:
        """The outcomes. Raises WorkerDiedError."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has died: the lines end
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        found: list[dict[str, Any]] = self.wait("outcomes", progress)
        return found

    def wait(self, wanted: str, progress: Progress) -> Any:
        """What it says of that, some time. Raises WorkerDiedError."""
        silence = patience(SILENCE, DEFAULT_SILENCE)
        while True:
            try:
                line = self._lines.get(timeout=silence)
            except queue.Empty:
                raise WorkerDiedError(f"no answer within {silence:g} s") from None
            if line is None:
                raise WorkerDiedError(ending(self._process.wait()))
            said = _facts(line)
            if wanted in said:
                return said[wanted]
            if "stage" in said:
                progress(said["stage"], said["done"], said["total"])

    def close(self) -> None:
        kill(self._process)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


def _facts(line: bytes) -> dict[str, Any]:
    """What a line says; drivers print lines, too, which are no JSON objects."""
    with contextlib.suppress(ValueError):
        said = json.loads(line)
        if isinstance(said, dict):
            return said
    return {}


def is_possible() -> bool:
    """Whether there is an interpreter to start, and the user lets drivers be tried in processes of their own."""
    return bool(sys.executable) and not is_off()

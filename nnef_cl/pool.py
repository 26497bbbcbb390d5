"""Pool: the streams of a session, and the running of one request on whichever is free."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnef_cl.executor import Executable
from nnef_cl.stream import Stream
from nnef_cl.turns import Turns


class Pool:
    """Streams of one executable. Methods may be called from any thread.

    device_seconds: of the last run's kernels, None unless the device measures.
    """

    def __init__(self, executable: Executable, count: int) -> None:
        """executable: with its weights on the device."""
        self.executable = executable
        self.streams = [Stream(executable) for _ in range(count)]
        self.turns = Turns(count)
        self.device_seconds: float | None = None

    def run(self, inputs: Mapping[str, np.ndarray], stream: int | None = None) -> dict[str, np.ndarray]:
        """As Stream.run, on the stream of that number or, None, on any."""
        with self.turns.take(stream) as number:
            outputs = self.streams[number].run(inputs)
            if self.executable.device.profiling:
                self.device_seconds = sum(self.streams[number].device_seconds())
            return outputs

    def end(self) -> None:
        """Waits for requests that run and gives all memory back."""
        self.turns.end(self._release)

    def _release(self) -> None:
        for stream in self.streams:
            stream.close()
        self.executable.close()

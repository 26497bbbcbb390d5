"""Turns: which stream a thread may use, first come, first served, until the end."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nnef_cl.errors import DeviceError

CLOSED = "the session is closed"


@dataclass
class _Wish:
    """stream: the only one that will do, None for any; got: the one it is."""

    stream: int | None
    got: int | None = None


class Turns:
    """Gives each stream to one thread at a time, of the process that made them.

    Apart from the session, so that nothing refers back to one: its memory is free as soon as it is dropped.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._free = list(range(count))[::-1]
        self._waiting: list[_Wish] = []
        self._ended = False

    @contextlib.contextmanager
    def take(self, stream: int | None = None) -> Iterator[int]:
        """The number of a stream that is this thread's inside the block. stream: the one wanted, None: any.
        Raises DeviceError."""
        self.check()
        with self._changed:
            number = self._got(stream)
        try:
            yield number
        finally:
            with self._changed:
                self._give(number)

    def check(self) -> None:
        """Raises DeviceError where nobody may use a stream."""
        if self._process != os.getpid():
            raise DeviceError(
                "this session belongs to the parent process: load the model in the child (multiprocessing 'spawn')"
            )
        if self._ended:
            raise DeviceError(CLOSED)

    def end(self, release: Callable[[], None]) -> None:
        """The first call in the process that made them waits for all streams and calls `release`; others do nothing.
        Who still waits for a turn gets an error."""
        if self._process != os.getpid() or self._ended:
            return
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(self._free) == self.count)
        release()

    def _got(self, stream: int | None) -> int:
        self.check()
        if stream is None and self._free and not self._waiting:
            return self._free.pop()
        wish = _Wish(stream)
        self._waiting.append(wish)
        try:
            self._hand_out()
            self._changed.wait_for(lambda: self._ended or wish.got is not None)
            if wish.got is None:
                self.check()
        except BaseException:  # the end, or the user's interruption
            if wish.got is None:
                self._waiting.remove(wish)
            else:
                self._give(wish.got)
            raise
        assert wish.got is not None
        return wish.got

    def _give(self, number: int) -> None:
        self._free.append(number)
        self._hand_out()
        if self._waiting or self._ended:
            self._changed.notify_all()

    def _hand_out(self) -> None:
        """Free streams to those who wait, in the order they came."""
        for wish in list(self._waiting):
            if not self._free:
                return
            if wish.stream is None:
                wish.got = self._free.pop()
            elif wish.stream in self._free:
                wish.got = wish.stream
                self._free.remove(wish.stream)
            else:
                continue
            self._waiting.remove(wish)
            self._changed.notify_all()

"""Turns: which stream a thread may use, first come, first served, until the end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from nnef_cl.errors import DeviceError

CLOSED = "the session is closed"


@dataclass
class _Wish:
    """stream: the only one that will do, None for any; got: the one it is."""

    stream: int | None
    got: int | None = None


class Turn:
    """A block that has a stream. A class, because a generator takes longer, and every run has one."""

    __slots__ = ("_begin", "_end", "_number")

    def __init__(self, begin: Callable[[], int], end: Callable[[int], None]) -> None:
        self._begin, self._end = begin, end

    def __enter__(self) -> int:
        self._number = self._begin()
        return self._number

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(self._number)


class Turns:
    """Gives each stream to one thread at a time, of the process that made them.

    Apart from the session, so that nothing refers back to one: its memory is free as soon as it is dropped.
    """

    def __init__(self, count: int) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._free = list(range(count))[::-1]
        self._taken: set[int] = set()
        self._retired: set[int] = set()
        self._waiting: list[_Wish] = []
        self._ended = False

    def take(self, stream: int | None = None) -> Turn:
        """The number of a stream that is this thread's inside the block. stream: the one wanted, None: any.
        Raises DeviceError where the block begins."""
        return Turn(partial(self._begin, stream), self._end)

    def _begin(self, stream: int | None) -> int:
        self.check()
        with self._changed:
            return self._got(stream)

    def _end(self, number: int) -> None:
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

    def retire(self, streams: Collection[int]) -> tuple[bool, bool]:
        """Gives these streams to nobody any more, unless there would be none left. Returns whether that is new, and
        whether there are others."""
        with self._changed:
            if not (set(self._free) | self._taken) - self._retired - set(streams):
                return False, False
            new = not self._retired.issuperset(streams)
            self._retired |= set(streams)
            self._free = [number for number in self._free if number not in self._retired]
            self._changed.notify_all()
            return new, True

    def end(self, release: Callable[[], None]) -> None:
        """The first call in the process that made them waits for all streams and calls `release`; others do nothing.
        Who still waits for a turn gets an error."""
        if self._process != os.getpid():
            return
        with self._changed:
            if self._ended:
                return
            self._ended = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._taken)
        release()

    def _got(self, stream: int | None) -> int:
        self.check()
        if stream is None and self._free and not self._waiting:
            number = self._free.pop()
            self._taken.add(number)
            return number
        wish = _Wish(stream)
        self._waiting.append(wish)
        try:
            self._hand_out()
            self._changed.wait_for(lambda: wish.got is not None or self._ended or stream in self._retired)
            if wish.got is None:
                self.check()
                raise DeviceError(f"the device of stream {stream} has failed")
            return wish.got
        except BaseException:  # the end, or the user's interruption
            if wish.got is None:
                self._waiting.remove(wish)
            else:
                self._give(wish.got)
            raise

    def _give(self, number: int) -> None:
        self._taken.remove(number)
        if number not in self._retired:
            self._free.append(number)
        self._hand_out()
        if self._ended:
            self._changed.notify_all()

    def _hand_out(self) -> None:
        """Free streams to those who wait, in the order they came."""
        for wish in list(self._waiting):
            if not self._free:
                return
            if wish.stream is None or wish.stream in self._free:
                wish.got = self._free.pop() if wish.stream is None else wish.stream
                if wish.stream is not None:
                    self._free.remove(wish.stream)
                self._taken.add(wish.got)
                self._waiting.remove(wish)
                self._changed.notify_all()

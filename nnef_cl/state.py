"""State: the variables that a model updates, a mapping from label or name to array."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from nnef_cl.arrays import as_stored
from nnef_cl.errors import InputError
from nnef_cl.stream import Stream


class State(MutableMapping[str, np.ndarray]):
    """label -> array of a stream's updated variables, in the order of the file; their names in the graph work as
    keys, too. Reading gives a copy in the API type (float32, int64, bool); setting checks shape and type as `run` does
    and counts from the next run on.
    """

    def __init__(self, stream: Stream, turn: Callable[[], AbstractContextManager[Any]]) -> None:
        """turn: a context in which nobody else uses the stream."""
        self._stream, self._turn = stream, turn
        self._labels = [state.constant.label for state in stream.plan.states]
        self._index = {name: index for index, state in enumerate(stream.plan.states) for name in state.names}
        self._index |= {label: index for index, label in enumerate(self._labels)}

    def __getitem__(self, key: str) -> np.ndarray:
        index = self._find(key)
        with self._turn():
            return self._stream.read_state(index)

    def __setitem__(self, key: str, value: Any) -> None:
        index = self._find(key)
        stored = as_stored(f"variable '{key}'", value, self._stream.plan.states[index].spec)
        with self._turn():
            self._stream.write_state(index, stored)

    def __delitem__(self, key: str) -> None:
        raise InputError(f"variable '{key}' belongs to the model and cannot be removed")

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def reset(self) -> None:
        """Gives every variable the value of the file."""
        with self._turn():
            for index in range(len(self)):
                self._stream.reset_state(index)

    def _find(self, key: str) -> int:
        if key not in self._index:
            close = difflib.get_close_matches(str(key), self._index, 1)
            known = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(self._labels) or 'none'}"
            raise InputError(f"the model updates no variable '{key}'; {known}")
        return self._index[key]

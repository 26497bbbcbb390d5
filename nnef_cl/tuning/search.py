"""The search for one problem's best points: each is checked, then timed in turn with the best one so far."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nnef_cl.codegen.kernel import Candidate, Point
from nnef_cl.conformance.comparison import difference
from nnef_cl.device.points import Tuned
from nnef_cl.errors import Error
from nnef_cl.tuning.tasks import Task

GAIN = 0.02
"""A point that wins by less than this share over the untuned one is not taken."""
LOST = 1.3
"""A contender this much slower in both first rounds is not timed again."""
HOPELESS = 1.6
"""An algorithm this much slower with its best guess is not tried with other sizes, except at level full."""


@dataclass(frozen=True)
class Effort:
    """points: tried of each candidate, at most (None: all). rounds: of a comparison."""

    points: int | None
    rounds: int


EFFORTS = {"fast": Effort(3, 5), "normal": Effort(8, 9), "full": Effort(None, 15)}


class Trial(Protocol):
    """One point, ready to run."""

    def outputs(self) -> Mapping[str, np.ndarray]: ...

    def seconds(self) -> float:
        """Of one run, by a sample of some."""

    def close(self) -> None: ...


Build = Callable[[Candidate], Trial]
"""Raises Error where the candidate cannot be built or run."""


@dataclass(frozen=True)
class Rejected:
    point: Point
    why: str


@dataclass(frozen=True)
class Found:
    """tuned: what is to be kept; its level is '' where the search did not come to its end. tried: points."""

    tuned: Tuned
    tried: int
    rejected: tuple[Rejected, ...]
    interrupted: bool


@dataclass(frozen=True)
class _Contender:
    point: Point
    exact: bool
    trial: Trial


@dataclass(frozen=True)
class Times:
    """A comparison: the least seconds of both; the second one's time over the first one's, by the median of the rounds
    or by those least times, whichever is larger, because either may be an accident on a busy machine."""

    first: float
    second: float
    ratio: float

    @classmethod
    def of(cls, rounds: Sequence[tuple[float, float]]) -> Times:
        """rounds: the seconds of both."""
        first, second = map(min, zip(*rounds, strict=True))
        return cls(first, second, max(second / first, statistics.median(b / a for a, b in rounds)))


class Search:
    """One search. The best of all and the best of the exact ones are found together, for both precisions."""

    def __init__(self, task: Task, build: Build, level: str, out_of_time: Callable[[], bool]) -> None:
        self.task, self.build, self.level, self.out_of_time = task, build, level, out_of_time
        self.effort = EFFORTS[level]
        self.tried = 0
        self.rejected: list[Rejected] = []
        self.slow: set[str] = set()
        self.open: dict[Point, _Contender] = {}
        self.expected: Mapping[str, np.ndarray] | None = None
        points = task.points(self.effort.points)
        self.untuned = points[0][1]
        exact = next((pair for pair in points if pair[0].exact), points[0])
        self.points = {point: candidate for candidate, point in (exact, *points)}
        """The first exact point comes first: the others' results are compared with its own."""
        self.reference = exact[1]
        self.best: dict[bool, _Contender] = {}
        """Of all points (False), and of the exact ones (True)."""

    def run(self) -> Found:
        """Ends early, with what is known, when the time is over or the user interrupts it."""
        complete = interrupted = False
        try:
            try:
                complete = self._try_all()
            except KeyboardInterrupt:
                interrupted = True
            tuned = self._settled(self.level if complete else "")
            return Found(tuned, self.tried, tuple(self.rejected), interrupted)
        finally:
            for contender in self.open.values():
                contender.trial.close()

    def _try_all(self) -> bool:
        """Whether all points were tried."""
        for point, candidate in self.points.items():
            if self.tried > 1 and self.out_of_time():
                return False
            if candidate.algorithm in self.slow:
                continue
            self.tried += 1
            contender = self._admitted(point, candidate)
            if contender is not None:
                self._contest(contender)
                self._close_losers()
            elif point == self.reference:
                return False
        return True

    def _admitted(self, point: Point, candidate: Candidate) -> _Contender | None:
        """The point, built and checked; None where it does not fit, does not build or computes something else."""
        made = candidate.at(point)
        if made is None:
            return None
        try:
            contender = _Contender(point, candidate.exact, self.build(made))
            self.open[point] = contender
            why = self._wrong(contender.trial.outputs(), self.task.tolerance(candidate))
        except Error as error:
            why = str(error)
        if not why:
            return contender
        self.rejected.append(Rejected(point, why))
        if point in self.open:
            self.open.pop(point).trial.close()
        return None

    def _wrong(self, outputs: Mapping[str, np.ndarray], tolerance: float) -> str:
        """Why the outputs are not those of the first exact point; '' where they are."""
        if self.expected is None:
            self.expected = outputs
        failures = (difference(outputs[name], wanted).failure(tolerance) for name, wanted in self.expected.items())
        return next(filter(None, failures), "")

    def _contest(self, contender: _Contender) -> None:
        """Takes the place of the best exact point, of the best of all, or of none."""
        for exact in (True, False) if contender.exact else (False,):
            best = self.best.get(exact)
            if best is None:
                self.best[exact] = contender
                continue
            times = self._compared(best, contender)
            if times.ratio >= 1:
                if times.second > HOPELESS * times.first and self.level != "full":
                    self.slow.add(contender.point.algorithm)
                return
            self.best[exact] = contender

    def _compared(self, first: _Contender, second: _Contender) -> Times:
        """Samples in turn, who begins changing from round to round."""
        times: list[tuple[float, float]] = []
        for number in range(self.effort.rounds):
            if number % 2:
                later = second.trial.seconds()
                times.append((first.trial.seconds(), later))
            else:
                times.append((first.trial.seconds(), second.trial.seconds()))
            if number == 1 and all(later > LOST * earlier for earlier, later in times):
                break
        return Times.of(times)

    def _close_losers(self) -> None:
        kept = {self.untuned, self.reference, *(one.point for one in self.best.values())}
        for point in [point for point in self.open if point not in kept]:
            self.open.pop(point).trial.close()

    def _settled(self, level: str) -> Tuned:
        """The best points that win clearly over the guesses, and the first one's time beside the untuned one's."""
        chosen: list[Point] = []
        untuned = seconds = 0.0
        for exact, guess in ((False, self.open.get(self.untuned)), (True, self.open.get(self.reference))):
            best = self.best.get(exact)
            if best is None:
                continue
            before = after = 0.0
            if guess is not None:
                times = self._compared(guess, best)
                before, after = times.first, times.second
                if guess is best or times.ratio > 1 - GAIN:
                    best, after = guess, before
            if not exact:
                untuned, seconds = before, after
            chosen.append(best.point)
        return Tuned(tuple(dict.fromkeys(chosen)), level, untuned, seconds)

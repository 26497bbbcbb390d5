"""Tuned points of one device: the user's own, kept in the cache, and below them those of the package."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from nnef_cl.codegen.kernel import Point
from nnef_cl.device.cache import Cache, default_cache
from nnef_cl.device.facts import DeviceInfo
from nnef_cl.device.rules import Match
from nnef_cl.plan.tuned import FORMAT

SWITCH = "NNEF_CL_TUNING"
"""Environment: 'off' ignores all points."""
KIND = "tuned"
"""Of cache entries: one problem each."""
SHIPPED = "points.json"
LEVELS = ("fast", "normal", "full")
_OFF = ("off", "0", "no", "none")


@dataclass(frozen=True)
class Tuned:
    """What was found out about one problem. points: best first. level: how thoroughly, '' where it was interrupted.

    untuned, seconds: of the first candidate and of the best point.
    """

    points: tuple[Point, ...]
    level: str = ""
    untuned: float = 0.0
    seconds: float = 0.0

    def reaches(self, level: str) -> bool:
        """Whether it was tuned at that level or above."""
        return self.level in LEVELS and LEVELS.index(self.level) >= LEVELS.index(level)


class Points:
    """Where a device's points are found: one small file per problem, read when the problem is met."""

    def __init__(self, info: DeviceInfo, cache: Cache, shipped: Mapping[str, tuple[Point, ...]]) -> None:
        self.cache, self.shipped = cache, shipped
        self.note = f"{info.name} ({info.platform})"
        self._parts = {
            "format": FORMAT, "platform": f"{info.platform} {info.platform_version}",
            "device": f"{info.vendor} {info.name}", "driver": info.driver_version,
        }  # fmt: skip
        self._any = cache.holds(KIND)

    @classmethod
    def of(cls, info: DeviceInfo) -> Points:
        """Those of the user's cache and of the package."""
        return cls(info, default_cache(), shipped_points(info))

    def lookup(self, problem: str) -> Sequence[Point]:
        """The problem's points, best first."""
        own = self.get(problem) if self._any else None
        return own.points if own is not None else self.shipped.get(short(problem), ())

    def get(self, problem: str) -> Tuned | None:
        """What the cache holds; None where that is nothing, or nothing that can be understood."""
        payload = self.cache.get(KIND, self._parts | {"problem": problem})
        if payload is None:
            return None
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            return _tuned(json.loads(payload))
        return None

    def put(self, problem: str, found: Tuned) -> None:
        record = {
            "points": [[point.algorithm, *point.sizes] for point in found.points], "level": found.level,
            "untuned": found.untuned, "seconds": found.seconds,
        }  # fmt: skip
        self.cache.put(KIND, self._parts | {"problem": problem}, json.dumps(record).encode(), self.note)
        self._any = True


def enabled() -> bool:
    """Whether the environment lets points be used."""
    return os.environ.get(SWITCH, "").lower() not in _OFF


def short(problem: str) -> str:
    """How the package's file calls a problem."""
    return hashlib.sha256(f"{FORMAT} {problem}".encode()).hexdigest()[:16]


def shipped_points(info: DeviceInfo) -> Mapping[str, tuple[Point, ...]]:
    """Of the package's families, those of the first that fits the device (a `match` names fields of DeviceInfo)."""
    for family in _families():
        if Match(**family["match"]).fits(info):
            return {name: tuple(map(_point, points)) for name, points in family["points"].items()}
    return {}


@lru_cache(maxsize=1)
def _families() -> list[dict[str, Any]]:
    families: list[dict[str, Any]] = json.loads(resources.files("nnef_cl").joinpath(SHIPPED).read_text("utf-8"))
    return families


def _tuned(record: Any) -> Tuned:
    return Tuned(
        tuple(map(_point, record["points"])), str(record["level"]), float(record["untuned"]), float(record["seconds"])
    )


def _point(parts: Sequence[Any]) -> Point:
    algorithm, *sizes = parts
    return Point(str(algorithm), tuple(int(size) for size in sizes))

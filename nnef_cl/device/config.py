"""Read devices.yaml into rules, and turn a device's facts and the rules into a Target."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from nnef_cl.codegen.target import Target
from nnef_cl.device.discovery import DeviceInfo
from nnef_cl.errors import UsageError

DeviceType = Literal["gpu", "accelerator", "cpu", "custom"]

MAX_VECTOR_WIDTH = 16  # OpenCL C has no longer vectors
GPU_WORK_GROUP = 128
CPU_WORK_GROUP = 64


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Match(_Model):
    """Shell patterns for facts of a device; the ones left out match anything, and one must be there."""

    platform: str | None = None
    platform_version: str | None = None
    name: str | None = Field(None, alias="device")
    vendor: str | None = None
    driver_version: str | None = Field(None, alias="driver")
    type: DeviceType | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Match:
        if not self.model_dump(exclude_none=True):
            raise ValueError("at least one pattern is needed")
        return self

    def fits(self, info: DeviceInfo) -> bool:
        """Whether every pattern matches its fact, whatever the case."""
        patterns = self.model_dump(exclude_none=True)
        return all(fnmatchcase(getattr(info, fact).lower(), _shell_pattern(text)) for fact, text in patterns.items())


class Settings(_Model):
    """Fields of Target that a rule may override."""

    vector_width: Literal[1, 2, 4, 8, 16] | None = None
    vector_registers: PositiveInt | None = None
    compute_units: PositiveInt | None = None
    work_group: PositiveInt | None = None
    max_work_group: PositiveInt | None = None
    max_allocation: PositiveInt | None = None
    global_memory: PositiveInt | None = None
    max_argument_bytes: PositiveInt | None = None
    unified_memory: bool | None = None
    build_options: tuple[str, ...] | None = None


class Reasoned(_Model):
    """Devices, and why the file says something about them."""

    match: Match
    because: str = Field(min_length=1)


class Rule(Reasoned):
    """One correction of the Target of the devices that match."""

    set: Settings


class Rules(_Model):
    """The whole of devices.yaml. order: types tried by the automatic choice, first to last."""

    order: tuple[DeviceType, ...] = ("gpu", "accelerator", "cpu")
    prefer: tuple[Reasoned, ...] = ()
    never_automatic: tuple[Reasoned, ...] = ()
    rules: tuple[Rule, ...] = ()

    def preference(self, info: DeviceInfo) -> int:
        """Position of the first `prefer` entry that fits; behind all of them where none does."""
        return next((n for n, entry in enumerate(self.prefer) if entry.match.fits(info)), len(self.prefer))

    def not_automatic_because(self, info: DeviceInfo) -> str:
        """Why the automatic choice skips the device, or ''."""
        return next((entry.because for entry in self.never_automatic if entry.match.fits(info)), "")

    def applied(self, info: DeviceInfo) -> list[Rule]:
        """Corrections that fit, in the file's order."""
        return [rule for rule in self.rules if rule.match.fits(info)]


@lru_cache(maxsize=1)
def packaged_rules() -> Rules:
    """The devices.yaml that comes with nnef-cl."""
    resource = resources.files("nnef_cl").joinpath("devices.yaml")
    return parse_rules(resource.read_text(encoding="utf-8"), "devices.yaml")


def load_rules(path: Path | str) -> Rules:
    """Rules of a file; UsageError with file and line where it cannot be read or says something unknown."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    return parse_rules(text, str(path))


def parse_rules(text: str, file: str) -> Rules:
    """YAML text -> Rules. file: how errors name the text."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UsageError(f"{file}:{line}: not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not valid YAML: {error}") from error
    _refuse_duplicates(root, file)
    try:
        return Rules.model_validate({} if values is None else values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise UsageError(f"{file}:{_line_of(root, first['loc'])}: {where}: {message}") from error


def make_target(info: DeviceInfo, rules: Rules | None = None) -> Target:
    """What generated code may know about a device: its facts, corrected by the rules that fit."""
    rules = packaged_rules() if rules is None else rules
    settings: dict[str, Any] = {}
    for rule in rules.applied(info):
        settings |= rule.set.model_dump(exclude_none=True)
    width = settings.get("vector_width", vector_width(info))
    max_work_group = max(1, info.max_work_group)
    target = Target(
        name=f"{info.platform} / {info.name}",
        vector_width=width,
        vector_registers=32 if width == MAX_VECTOR_WIDTH else 16,
        compute_units=max(1, info.compute_units),
        work_group=CPU_WORK_GROUP if info.type == "cpu" else GPU_WORK_GROUP,
        max_work_group=max_work_group,
        max_allocation=info.max_allocation,
        global_memory=info.global_memory,
        unified_memory=info.unified_memory,
        max_argument_bytes=max(256, info.max_parameter_bytes),
    )
    target = dataclasses.replace(target, **settings)
    return dataclasses.replace(target, work_group=min(target.work_group, target.max_work_group))


def vector_width(info: DeviceInfo) -> int:
    """float32 lanes to program for: a CPU's native width, cut to a power of two.

    1 elsewhere: the device itself puts work-items into lanes.
    """
    if info.type != "cpu":
        return 1
    width = min(MAX_VECTOR_WIDTH, max(1, info.vector_width))
    return 1 << (width.bit_length() - 1)


def _shell_pattern(pattern: str) -> str:
    """Lower case, and brackets are themselves: platform names contain them."""
    return pattern.lower().replace("[", "[[]")


def _refuse_duplicates(node: yaml.Node | None, file: str) -> None:
    """YAML readers keep the last of two equal keys silently; here they are an error."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise UsageError(f"{file}:{key.start_mark.line + 1}: {key.value}: key given twice")
            seen.add(str(key.value))
            _refuse_duplicates(value, file)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item, file)


def _line_of(node: yaml.Node | None, location: Iterable[str | int]) -> int:
    """1-based line of the deepest part of a pydantic location that the text has."""
    line = 1 if node is None else node.start_mark.line + 1
    for step in location:
        if isinstance(node, yaml.MappingNode):
            entry = next(((k, v) for k, v in node.value if k.value == step), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line + 1, entry[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line

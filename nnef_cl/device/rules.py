"""Rules: what devices.yaml says, as records, and which of it holds for a device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Literal

from nnef_cl.device.facts import Capabilities, DeviceInfo


class Bound:
    """What an annotated type must hold besides, in pydantic's words. pydantic asks for it where it checks a file; what
    only uses the rules does not load it."""

    def __init__(self, **keywords: Any) -> None:
        self.keywords = keywords

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return handler(source) | self.keywords


DeviceType = Literal["gpu", "accelerator", "cpu", "custom"]
Capability = Literal["fp16", "inline_assembly", "dot_product", "subgroup_size", "local_memory"]
PositiveInt = Annotated[int, Bound(gt=0)]
NonNegativeInt = Annotated[int, Bound(ge=0)]
Name = Annotated[str, Bound(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")]
Text = Annotated[str, Bound(min_length=1)]
VariableName = Annotated[str, Bound(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
RESERVED = ("auto", "gpu", "accelerator", "cpu", "custom")
"""Words that select by themselves."""
ORDER: tuple[DeviceType, ...] = ("gpu", "accelerator", "cpu")


class _Record:
    """Base of the parts of the file: keys that are not fields are errors."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid"}

    @property
    def given(self) -> dict[str, Any]:
        """The fields that say something."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Match(_Record):
    """Shell patterns for facts of a device; the ones left out match anything, and one must be there."""

    platform: str | None = None
    platform_version: str | None = None
    name: str | None = field(default=None, metadata={"alias": "device"})
    vendor: str | None = None
    driver_version: str | None = field(default=None, metadata={"alias": "driver"})
    type: DeviceType | None = None

    def __post_init__(self) -> None:
        if not self.given:
            raise ValueError("at least one pattern is needed")

    def fits(self, info: DeviceInfo) -> bool:
        """Whether every pattern matches its fact, whatever the case."""
        return all(fnmatchcase(getattr(info, fact).lower(), _shell_pattern(text)) for fact, text in self.given.items())


@dataclass(frozen=True)
class Settings(_Record):
    """Fields of Target that a rule may override."""

    vector_width: Literal[1, 2, 4, 8, 16] | None = None
    vector_registers: PositiveInt | None = None
    compute_units: PositiveInt | None = None
    work_group: PositiveInt | None = None
    max_work_group: PositiveInt | None = None
    local_memory: NonNegativeInt | None = None
    max_allocation: PositiveInt | None = None
    global_memory: PositiveInt | None = None
    max_argument_bytes: PositiveInt | None = None
    unified_memory: bool | None = None
    separate_buffers: bool | None = None
    forward_progress: bool | None = None
    divisible: bool | None = None
    cache: NonNegativeInt | None = None
    near_cache: NonNegativeInt | None = None
    build_options: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Reasoned(_Record):
    """Devices, and why the file says something about them."""

    match: Match
    because: Text


@dataclass(frozen=True)
class Rule(Reasoned):
    """What differs for the devices that match.

    set: corrections of the Target; broken: never use them; without: capabilities not to rely on, whatever a trial says;
    program_cache: 'binary' keeps what the driver compiled, 'folder' the files of the driver's own cache, 'driver'
    leaves it to the driver.
    """

    set: Settings = Settings()
    broken: bool = False
    without: tuple[Capability, ...] = ()
    program_cache: Literal["binary", "folder", "driver"] | None = None

    def __post_init__(self) -> None:
        if not (self.set.given or self.broken or self.without or self.program_cache):
            raise ValueError("one of set, broken, without, program_cache is needed")


@dataclass(frozen=True)
class NamedDevice(_Record):
    """A device with a name of the user's; set: corrections that hold where it is selected by that name."""

    match: Match
    set: Settings = Settings()


@dataclass(frozen=True)
class PipRuntime(_Record):
    """A distribution that installs an OpenCL runtime where no loader looks."""

    distribution: Text
    files: tuple[Text, ...]
    because: Text


@dataclass(frozen=True)
class UnnamedRuntime(_Record):
    """A system's library that often lacks the .icd file which names it to the loader."""

    library: Text
    icd: Text
    because: Text


@dataclass(frozen=True)
class Variable(_Record):
    """An environment variable that a runtime reads when it is loaded."""

    variable: VariableName
    because: Text


@dataclass(frozen=True)
class DeviceFiles(_Record):
    """Files through which drivers reach hardware; a user who may not open them sees no device."""

    pattern: Text
    because: Text


@dataclass(frozen=True)
class Runtimes(_Record):
    """Where OpenCL libraries are found beyond the loader's list, and how they are configured."""

    pip: tuple[PipRuntime, ...] = ()
    unnamed: tuple[UnnamedRuntime, ...] = ()
    threads: tuple[Variable, ...] = ()
    pinned: tuple[Variable, ...] = ()
    cache_folder: tuple[Variable, ...] = ()
    device_files: tuple[DeviceFiles, ...] = ()


@dataclass(frozen=True)
class Rules(_Record):
    """The whole of devices.yaml.

    order: types tried by the automatic choice, first to last (gpu, accelerator, cpu by default); threads: of CPU
    devices, as many as they like by default; devices: names of the user's; groups: names for selectors of devices that
    share requests.
    """

    order: tuple[DeviceType, ...] | None = None
    threads: PositiveInt | None = None
    devices: dict[Name, NamedDevice] = field(default_factory=dict)
    groups: dict[Name, tuple[Text, ...]] = field(default_factory=dict)
    prefer: tuple[Reasoned, ...] = ()
    never_automatic: tuple[Reasoned, ...] = ()
    rules: tuple[Rule, ...] = ()
    runtimes: Runtimes = Runtimes()

    def __post_init__(self) -> None:
        for part, names in (("devices", self.devices), ("groups", self.groups)):
            taken = [name for name in names if name.lower() in RESERVED]
            if taken:
                raise ValueError(f"{part}: '{taken[0]}' selects by itself and cannot be a name")
        if small := [name for name, members in self.groups.items() if len(members) < 2]:
            raise ValueError(f"groups: '{small[0]}' has fewer than two devices")

    def extended(self, user: Rules) -> Rules:
        """With a user's file: its choices and names win, its preferences come first, its corrections last."""
        mine, theirs = self.runtimes, user.runtimes
        names = [one.name for one in dataclasses.fields(Runtimes)]
        return Rules(
            order=self.order if user.order is None else user.order,
            threads=self.threads if user.threads is None else user.threads,
            devices=self.devices | user.devices,
            groups=self.groups | user.groups,
            prefer=(*user.prefer, *self.prefer),
            never_automatic=(*user.never_automatic, *self.never_automatic),
            rules=(*self.rules, *user.rules),
            runtimes=Runtimes(*((*getattr(mine, name), *getattr(theirs, name)) for name in names)),
        )

    def preference(self, info: DeviceInfo) -> int:
        """Position of the first `prefer` entry that fits; behind all of them where none does."""
        return next((n for n, entry in enumerate(self.prefer) if entry.match.fits(info)), len(self.prefer))

    def not_automatic_because(self, info: DeviceInfo) -> str:
        """Why the automatic choice skips the device, or ''."""
        return next((entry.because for entry in self.never_automatic if entry.match.fits(info)), "")

    def broken_because(self, info: DeviceInfo) -> str:
        """Why the device must not be used, or ''."""
        return next((rule.because for rule in self.applied(info) if rule.broken), "")

    def program_cache(self, info: DeviceInfo) -> str:
        """How programs of the device are kept; the last rule that says so wins."""
        kinds = [rule.program_cache for rule in self.applied(info) if rule.program_cache is not None]
        return kinds[-1] if kinds else "binary"

    def trusted(self, info: DeviceInfo, tried: Capabilities) -> Capabilities:
        """The capabilities less those that a rule takes away."""
        gone = {name for rule in self.applied(info) for name in rule.without}
        return Capabilities(**{name: 0 if name in gone else value for name, value in vars(tried).items()})

    def applied(self, info: DeviceInfo) -> list[Rule]:
        """Rules that fit, in the file's order."""
        return [rule for rule in self.rules if rule.match.fits(info)]


def _shell_pattern(pattern: str) -> str:
    """Lower case, and brackets are themselves: platform names contain them."""
    return pattern.lower().replace("[", "[[]")

"""Rules: what devices.yaml says, as checked records, and which of it holds for a device."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, StringConstraints, model_validator

from nnef_cl.device.facts import Capabilities, DeviceInfo

DeviceType = Literal["gpu", "accelerator", "cpu", "custom"]
Capability = Literal["fp16", "inline_assembly", "dot_product", "subgroup_size", "local_memory"]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")]
Text = Annotated[str, StringConstraints(min_length=1)]
RESERVED = ("auto", "gpu", "accelerator", "cpu", "custom")
"""Words that select by themselves."""


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
    local_memory: NonNegativeInt | None = None
    max_allocation: PositiveInt | None = None
    global_memory: PositiveInt | None = None
    max_argument_bytes: PositiveInt | None = None
    unified_memory: bool | None = None
    separate_buffers: bool | None = None
    build_options: tuple[str, ...] | None = None


class Reasoned(_Model):
    """Devices, and why the file says something about them."""

    match: Match
    because: Text


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

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        if self.model_fields_set <= {"match", "because"}:
            raise ValueError("one of set, broken, without, program_cache is needed")
        return self


class NamedDevice(_Model):
    """A device with a name of the user's; set: corrections that hold where it is selected by that name."""

    match: Match
    set: Settings = Settings()


class PipRuntime(_Model):
    """A distribution that installs an OpenCL runtime where no loader looks."""

    distribution: Text
    files: tuple[Text, ...]
    because: Text


class UnnamedRuntime(_Model):
    """A system's library that often lacks the .icd file which names it to the loader."""

    library: Text
    icd: Text
    because: Text


class Variable(_Model):
    """An environment variable that a runtime reads when it is loaded."""

    variable: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    because: Text


class DeviceFiles(_Model):
    """Files through which drivers reach hardware; a user who may not open them sees no device."""

    pattern: Text
    because: Text


class Runtimes(_Model):
    """Where OpenCL libraries are found beyond the loader's list, and how they are configured."""

    pip: tuple[PipRuntime, ...] = ()
    unnamed: tuple[UnnamedRuntime, ...] = ()
    threads: tuple[Variable, ...] = ()
    cache_folder: tuple[Variable, ...] = ()
    device_files: tuple[DeviceFiles, ...] = ()


class Rules(_Model):
    """The whole of devices.yaml.

    order: types tried by the automatic choice, first to last; threads: of CPU devices, as many as they like by default;
    devices: names of the user's.
    """

    order: tuple[DeviceType, ...] = ("gpu", "accelerator", "cpu")
    threads: PositiveInt | None = None
    devices: dict[Name, NamedDevice] = {}
    prefer: tuple[Reasoned, ...] = ()
    never_automatic: tuple[Reasoned, ...] = ()
    rules: tuple[Rule, ...] = ()
    runtimes: Runtimes = Runtimes()

    @model_validator(mode="after")
    def _names_are_free(self) -> Rules:
        taken = [name for name in self.devices if name.lower() in RESERVED]
        if taken:
            raise ValueError(f"devices: '{taken[0]}' selects by itself and cannot be a name")
        return self

    def extended(self, user: Rules) -> Rules:
        """With a user's file: its choices and names win, its preferences come first, its corrections last."""
        given = {name: getattr(user, name) for name in ("order", "threads") if name in user.model_fields_set}
        mine, theirs = self.runtimes, user.runtimes
        merged = {name: (*getattr(mine, name), *getattr(theirs, name)) for name in Runtimes.model_fields}
        return self.model_copy(
            update=given | {
                "devices": self.devices | user.devices,
                "prefer": (*user.prefer, *self.prefer),
                "never_automatic": (*user.never_automatic, *self.never_automatic),
                "rules": (*self.rules, *user.rules),
                "runtimes": mine.model_copy(update=merged),
            }
        )  # fmt: skip

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

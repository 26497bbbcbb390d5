"""Choose a device by a word, an index or a part of its name, and say why."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from nnef_cl.device.config import packaged_rules
from nnef_cl.device.discovery import Discovery, FoundDevice
from nnef_cl.device.facts import DeviceInfo
from nnef_cl.device.rules import ORDER, Rules
from nnef_cl.errors import DeviceError, UsageError

ENVIRONMENT = "NNEF_CL_DEVICE"
AUTO = "auto"
WORDS = {"gpu": "GPU", "accelerator": "accelerator", "cpu": "CPU runtime", "custom": "custom device"}
"""Selector words that name a type, and how people call it."""


Judge = Callable[[DeviceInfo], str]
"""Says why a device cannot be used, or ''."""


@dataclass(frozen=True)
class Choice:
    """reason: a phrase for people that continues "chosen because it is ..." or stands alone.

    name: the user's name of the device where it was selected by that.
    """

    device: FoundDevice
    reason: str
    name: str = ""


class _Unfit(Exception):
    """No usable device for one of several selectors: the next one gets its turn."""


def trust_all(info: DeviceInfo) -> str:
    """The judge that knows no problem."""
    return ""


def select(
    discovery: Discovery, selector: str | None = None, rules: Rules | None = None, judge: Judge = trust_all
) -> Choice:
    """As `select_group`, where the selector names one device. Raises DeviceError for several."""
    choices = select_group(discovery, selector, rules, judge)
    if len(choices) > 1:
        names = " and ".join(describe(choice.device.info) for choice in choices)
        raise DeviceError(f"one device is needed here, {choices[0].reason} are several: {names}")
    return choices[0]


def select_group(
    discovery: Discovery, selector: str | None = None, rules: Rules | None = None, judge: Judge = trust_all
) -> tuple[Choice, ...]:
    """The devices a selector names; None takes NNEF_CL_DEVICE, or 'auto' where that is not set.

    'auto'; a name from devices.yaml; 'gpu', 'gpu:1' (likewise accelerator, cpu, custom): the types in order of
    preference; '0:1': platform:device; other text: part of vendor, name, platform or platform version, in any case.
    Several joined by '+', or the name of a group from devices.yaml, are all taken, in this order. Several with commas
    are tried in order. judge: why a device cannot be used; asked only about those in question.
    DeviceError, with the candidates, where none or several fit; UsageError for a selector without a word.
    """
    rules = packaged_rules() if rules is None else rules
    origin = "selector"
    if selector is None:
        selector, origin = os.environ.get(ENVIRONMENT) or AUTO, ENVIRONMENT
    parts = [part.strip() for part in selector.split(",") if part.strip()]
    if not parts:
        raise UsageError(f"{origin} '{selector}' names no device; 'auto' chooses one")
    if not discovery.devices:
        raise DeviceError(_no_device(discovery))
    problems: list[str] = []
    for part in parts:
        try:
            choices = [_select_one(discovery, one, origin, rules, judge) for one in _members(discovery, part, rules)]
        except _Unfit as unfit:
            problems.append(str(unfit))
            continue
        if len({choice.device.info.index for choice in choices}) < len(choices):
            raise DeviceError(f"{origin} '{part}' names a device twice")
        return tuple(replace(choice, reason="; ".join([*problems, choice.reason])) for choice in choices)
    raise DeviceError("; ".join(problems) + "; there are:\n" + listing(discovery, list(discovery.devices), rules))


def _members(discovery: Discovery, part: str, rules: Rules) -> list[str]:
    """The selectors of a group, or the selector itself: names of devices may hold a plus, too."""
    group = next((members for name, members in rules.groups.items() if name.lower() == part.lower()), None)
    if group is not None:
        return list(group)
    if "+" in part and not matches(discovery, part, rules):
        members = [one.strip() for one in part.split("+")]
        if not all(members):
            raise UsageError(f"selector '{part}': a device is missing beside a '+'")
        return members
    return [part]


def _select_one(discovery: Discovery, selector: str, origin: str, rules: Rules, judge: Judge) -> Choice:
    text = selector.lower()
    if text == AUTO:
        return _automatic(discovery, rules, judge)
    if text in WORDS:
        return _of_type(discovery, text, selector, origin, rules, judge)
    found = matches(discovery, text, rules)
    if len(found) > 1:
        raise DeviceError(
            f"{origin} '{selector}' fits several devices; candidates:\n" + listing(discovery, found, rules)
        )
    if not found:
        raise _Unfit(f"{origin} '{selector}' fits no device")
    problem = judge(found[0].info)
    if problem:
        raise _Unfit(f"{origin} '{selector}': {describe(found[0].info)} cannot be used: {problem}")
    name = next((one for one in rules.devices if one.lower() == text), "")
    return Choice(found[0], f"named by {origin} '{selector}'", name)


def _of_type(discovery: Discovery, kind: str, selector: str, origin: str, rules: Rules, judge: Judge) -> Choice:
    usable, skipped = _judged(ranked(discovery, kind, rules), judge)
    if not usable:
        raise _Unfit("; ".join([f"{origin} '{selector}' fits no device", *skipped]))
    return Choice(usable[0], "; ".join([f"{origin} '{selector}': {_why_first(usable, kind, rules)}", *skipped]))


def _judged(devices: list[FoundDevice], judge: Judge) -> tuple[list[FoundDevice], list[str]]:
    """The devices from the first usable one on, and what was wrong with those before it."""
    skipped: list[str] = []
    for position, device in enumerate(devices):
        problem = judge(device.info)
        if not problem:
            return devices[position:], skipped
        skipped.append(f"{describe(device.info)} skipped: {problem}")
    return [], skipped


def matches(discovery: Discovery, selector: str, rules: Rules) -> list[FoundDevice]:
    """Devices a selector other than 'auto' fits: those with a user's name, one by index or type, or all with a text."""
    text = selector.strip().lower()
    named = next((one for name, one in rules.devices.items() if name.lower() == text), None)
    if named is not None:
        return [d for d in discovery.devices if named.match.fits(d.info)]
    indexed = re.fullmatch(r"(\d+):(\d+)", text)
    if indexed:
        return [d for d in discovery.devices if d.info.index == f"{int(indexed[1])}:{int(indexed[2])}"]
    typed = re.fullmatch(rf"({'|'.join(WORDS)})(?::(\d+))?", text)
    if typed:
        position = int(typed[2] or 0)
        return ranked(discovery, typed[1], rules)[position : position + 1]
    exact = [d for d in discovery.devices if text in _texts(d.info)]
    return exact or [d for d in discovery.devices if any(text in one for one in _texts(d.info))]


def ranked(discovery: Discovery, kind: str, rules: Rules) -> list[FoundDevice]:
    """Devices of one type to choose from automatically, best first: by `prefer`, own memory before shared."""
    usable = [d for d in discovery.devices if not rules.not_automatic_because(d.info)]
    devices = [d for d in usable if d.info.type == kind]
    return sorted(devices, key=lambda d: (rules.preference(d.info), kind != "cpu" and d.info.unified_memory))


def selectors_for(discovery: Discovery, device: FoundDevice, rules: Rules | None = None) -> list[str]:
    """Selectors that reach exactly this device, shortest idea first: type, index, names."""
    rules = packaged_rules() if rules is None else rules
    info = device.info
    words = [*rules.devices, info.type, *(f"{info.type}:{n}" for n in range(1, len(discovery.devices)))]
    names = [_first_word(info.platform), _first_word(info.name), info.name]
    candidates = [*words, info.index, *(name.lower() for name in names if name)]
    free = [s for s in dict.fromkeys(candidates) if "," not in s]
    return [s for s in free if matches(discovery, s, rules) == [device]]


def describe(info: DeviceInfo) -> str:
    """One device in a line: name, platform and type."""
    return f"{info.name} ({info.platform}, {info.type})"


def listing(discovery: Discovery, devices: list[FoundDevice], rules: Rules) -> str:
    """One line per device with the selectors that reach it."""
    return "\n".join(f"  {describe(d.info)}: {', '.join(selectors_for(discovery, d, rules))}" for d in devices)


def _automatic(discovery: Discovery, rules: Rules, judge: Judge) -> Choice:
    absent: list[str] = []
    skipped: list[str] = []
    for kind in ORDER if rules.order is None else rules.order:
        devices, problems = _judged(ranked(discovery, kind, rules), judge)
        skipped += problems
        if devices:
            prefix = f"no {' or '.join(absent)} found; " if absent else ""
            return Choice(devices[0], "; ".join([prefix + _why_first(devices, kind, rules), *skipped]))
        if not problems:
            absent.append(WORDS[kind])
    raise DeviceError(
        "\n".join([
            "no device can be chosen automatically", *(f"  {one}" for one in skipped), "name one of:",
            listing(discovery, list(discovery.devices), rules), how_to_get_one(),
        ])
    )  # fmt: skip


def _why_first(devices: list[FoundDevice], kind: str, rules: Rules) -> str:
    word, first = WORDS[kind], devices[0].info
    if len(devices) == 1:
        return f"the only {word}"
    if rules.preference(first) < rules.preference(devices[1].info):
        return f"of {len(devices)} {word}s the one that devices.yaml prefers"
    if kind != "cpu" and devices[1].info.unified_memory and not first.unified_memory:
        return f"of {len(devices)} {word}s the first with its own memory"
    return f"the first of {len(devices)} {word}s"


def _texts(info: DeviceInfo) -> list[str]:
    return [text.lower() for text in (info.vendor, info.name, info.platform, info.platform_version)]


def _first_word(text: str) -> str:
    found = re.match(r"\w+", text)
    return found[0] if found else ""


def _no_device(discovery: Discovery) -> str:
    notes = [f"  {note}" for note in discovery.notes]
    return "\n".join(["no OpenCL device found; " + how_to_get_one(), *notes])


def how_to_get_one() -> str:
    """What to install where there is no device."""
    for_cpu = "install PoCL (Debian, Ubuntu: apt install pocl-opencl-icd)"
    if platform.machine().lower() in ("x86_64", "amd64") and platform.system() in ("Linux", "Windows"):
        for_cpu = "pip install 'nnef-cl[cpu]'"
    return f"for the CPU: {for_cpu}; for a GPU: its vendor's driver"

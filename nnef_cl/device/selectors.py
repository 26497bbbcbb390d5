"""Choose a device by a word, an index or a part of its name, and say why."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass

from nnef_cl.device.config import Rules, packaged_rules
from nnef_cl.device.discovery import DeviceInfo, Discovery, FoundDevice
from nnef_cl.errors import DeviceError

ENVIRONMENT = "NNEF_CL_DEVICE"
AUTO = "auto"
WORDS = {"gpu": "GPU", "accelerator": "accelerator", "cpu": "CPU runtime", "custom": "custom device"}
"""Selector words that name a type, and how people call it."""


@dataclass(frozen=True)
class Choice:
    """reason: a phrase for people that continues "chosen because it is ..." or stands alone."""

    device: FoundDevice
    reason: str


def select(discovery: Discovery, selector: str | None = None, rules: Rules | None = None) -> Choice:
    """The device a selector names; None takes NNEF_CL_DEVICE, or 'auto' where that is not set.

    'auto'; 'gpu', 'gpu:1' (likewise accelerator, cpu, custom): the types in order of preference; '0:1':
    platform:device; other text: part of vendor, name, platform or platform version, in any case.
    DeviceError, with the candidates, where none or several fit.
    """
    rules = packaged_rules() if rules is None else rules
    origin = "selector"
    if selector is None:
        selector, origin = os.environ.get(ENVIRONMENT) or AUTO, ENVIRONMENT
    text = selector.strip().lower()
    if not discovery.devices:
        raise DeviceError(_no_device(discovery))
    if text in ("", AUTO):
        return _automatic(discovery, rules)
    found = matches(discovery, text, rules)
    if len(found) == 1:
        return Choice(found[0], _reason(discovery, found[0], selector, origin, rules))
    problem = "fits several devices" if found else "fits no device"
    raise DeviceError(
        f"{origin} '{selector}' {problem}; {'candidates' if found else 'there are'}:\n"
        + listing(discovery, found or list(discovery.devices), rules)
    )


def matches(discovery: Discovery, selector: str, rules: Rules) -> list[FoundDevice]:
    """Devices a selector other than 'auto' fits: one by index or type word, or all that hold a text."""
    text = selector.strip().lower()
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
    words = [info.type, *(f"{info.type}:{n}" for n in range(1, len(discovery.devices)))]
    names = [_first_word(info.platform), _first_word(info.name), info.name]
    candidates = [*words, info.index, *(name.lower() for name in names if name)]
    return [s for s in dict.fromkeys(candidates) if matches(discovery, s, rules) == [device]]


def describe(info: DeviceInfo) -> str:
    """One device in a line: name, platform and type."""
    return f"{info.name} ({info.platform}, {info.type})"


def listing(discovery: Discovery, devices: list[FoundDevice], rules: Rules) -> str:
    """One line per device with the selectors that reach it."""
    return "\n".join(f"  {describe(d.info)}: {', '.join(selectors_for(discovery, d, rules))}" for d in devices)


def _automatic(discovery: Discovery, rules: Rules) -> Choice:
    for position, kind in enumerate(rules.order):
        devices = ranked(discovery, kind, rules)
        if devices:
            absent = " or ".join(WORDS[k] for k in rules.order[:position])
            prefix = f"no {absent} found; " if absent else ""
            return Choice(devices[0], prefix + _why_first(devices, kind, rules))
    raise DeviceError(
        "no device can be chosen automatically; name one of:\n"
        + listing(discovery, list(discovery.devices), rules)
        + "\n"
        + _how_to_get_one()
    )


def _why_first(devices: list[FoundDevice], kind: str, rules: Rules) -> str:
    word, first = WORDS[kind], devices[0].info
    if len(devices) == 1:
        return f"the only {word}"
    if rules.preference(first) < rules.preference(devices[1].info):
        return f"of {len(devices)} {word}s the one that devices.yaml prefers"
    if kind != "cpu" and devices[1].info.unified_memory and not first.unified_memory:
        return f"of {len(devices)} {word}s the first with its own memory"
    return f"the first of {len(devices)} {word}s"


def _reason(discovery: Discovery, device: FoundDevice, selector: str, origin: str, rules: Rules) -> str:
    asked = f"{origin} '{selector}'"
    if selector.strip().lower() == device.info.type:
        return f"{asked}: {_why_first(ranked(discovery, device.info.type, rules), device.info.type, rules)}"
    return f"named by {asked}"


def _texts(info: DeviceInfo) -> list[str]:
    return [text.lower() for text in (info.vendor, info.name, info.platform, info.platform_version)]


def _first_word(text: str) -> str:
    found = re.match(r"\w+", text)
    return found[0] if found else ""


def _no_device(discovery: Discovery) -> str:
    notes = [f"  {note}" for note in discovery.notes]
    return "\n".join(["no OpenCL device found; " + _how_to_get_one(), *notes])


def _how_to_get_one() -> str:
    for_cpu = "install PoCL (Debian, Ubuntu: apt install pocl-opencl-icd)"
    if platform.machine().lower() in ("x86_64", "amd64") and platform.system() in ("Linux", "Windows"):
        for_cpu = "pip install 'nnef-cl[cpu]'"
    return f"for the CPU: {for_cpu}; for a GPU: its vendor's driver"

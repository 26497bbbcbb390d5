"""A device's facts, capabilities and rules -> Target."""

from __future__ import annotations

import dataclasses
from typing import Any

from nnef_cl.codegen.target import Target
from nnef_cl.device.config import packaged_rules
from nnef_cl.device.facts import Capabilities, DeviceInfo
from nnef_cl.device.rules import Rules, Settings

MAX_VECTOR_WIDTH = 16  # OpenCL C has no longer vectors
GPU_WORK_GROUP = 128
CPU_WORK_GROUP = 64


def make_target(
    info: DeviceInfo, rules: Rules | None = None, tried: Capabilities | None = None, name: str = "",
    threads: int | None = None,
) -> Target:  # fmt: skip
    """What generated code may know about a device: its facts, as far as trials confirmed them, corrected by the rules
    that fit and by those of the device called `name`. threads: of a CPU device, where a number was asked for."""
    rules = packaged_rules() if rules is None else rules
    settings = _settings(info, rules, name)
    width = settings.get("vector_width", vector_width(info))
    is_cpu = info.type == "cpu"
    target = Target(
        name=f"{info.platform} / {info.name}",
        vector_width=width,
        vector_registers=32 if width == MAX_VECTOR_WIDTH else 16,
        compute_units=max(1, min(info.compute_units, threads) if is_cpu and threads else info.compute_units),
        work_group=CPU_WORK_GROUP if is_cpu else GPU_WORK_GROUP,
        max_work_group=max(1, info.max_work_group),
        max_allocation=info.max_allocation,
        global_memory=info.global_memory,
        unified_memory=info.unified_memory,
        max_argument_bytes=max(256, info.max_parameter_bytes),
        alignment=info.alignment or Target.alignment,
        local_memory=info.local_memory if info.local_memory_real else 0,
        forward_progress=is_cpu,
        divisible=is_cpu,
        cache=info.cache,
        near_cache=info.near_cache,
    )
    if tried is not None:
        tried = rules.trusted(info, tried)
        target = dataclasses.replace(
            target, local_memory=min(target.local_memory, tried.local_memory),
            max_allocation=min(target.max_allocation, tried.largest_allocation) or target.max_allocation,
        )  # fmt: skip
    target = dataclasses.replace(target, **settings)
    return dataclasses.replace(target, work_group=min(target.work_group, target.max_work_group))


def _settings(info: DeviceInfo, rules: Rules, name: str) -> dict[str, Any]:
    corrections: list[Settings] = [rule.set for rule in rules.applied(info)]
    if name in rules.devices:
        corrections.append(rules.devices[name].set)
    settings: dict[str, Any] = {}
    for one in corrections:
        settings |= one.given
    return settings


def vector_width(info: DeviceInfo) -> int:
    """float32 lanes to program for: a CPU's native width, cut to a power of two.

    1 elsewhere: the device itself puts work-items into lanes.
    """
    if info.type != "cpu":
        return 1
    width = min(MAX_VECTOR_WIDTH, max(1, info.vector_width))
    return 1 << (width.bit_length() - 1)

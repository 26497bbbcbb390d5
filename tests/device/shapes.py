"""What a device can be programmed as in tests: what it is, or a GPU; every OpenCL device runs the kernels of both."""

from __future__ import annotations

from nnef_cl.codegen.target import Target

from nnef_cl.device import Device, Rules, open_device
from nnef_cl.device.config import active_rules
from nnef_cl.device.rules import Match, Rule, Settings

SHAPES: dict[str, Target | None] = {
    "own": None,
    "gpu": Target.gpu(),
    "gpu small": Target.gpu(local_memory=4 << 10, max_work_group=16),
}
"""`gpu small`: work-groups that a simulator runs in reasonable time."""


def open_shaped(selector: str, shape: str) -> Device:
    """The device, opened with a rule that says what SHAPES says."""
    target = SHAPES[shape]
    return open_device(selector, rules=None if target is None else _rules(target))


def _rules(target: Target) -> Rules:
    fields = ("vector_width", "vector_registers", "compute_units", "work_group", "max_work_group", "local_memory")
    settings = Settings(**{name: getattr(target, name) for name in fields})
    everywhere = Rule(match=Match(platform="*"), set=settings, because="tests")
    return active_rules().extended(Rules(rules=(everywhere,)))

"""Everything that touches OpenCL devices: find them, choose one, configure it, open it."""

from __future__ import annotations

from nnef_cl.device.config import Rules, load_rules, make_target
from nnef_cl.device.discovery import DeviceInfo, Discovery, FoundDevice, discover
from nnef_cl.device.manager import Device, open_device
from nnef_cl.device.selectors import Choice, select, selectors_for

__all__ = [
    "Choice", "Device", "DeviceInfo", "Discovery", "FoundDevice", "Rules",
    "discover", "load_rules", "make_target", "open_device", "select", "selectors_for",
]  # fmt: skip

"""Everything that touches OpenCL devices: find them, try them, choose one, configure it, open it."""

from __future__ import annotations

from nnef_cl.device.discovery import Discovery, FoundDevice
from nnef_cl.device.facts import DeviceInfo
from nnef_cl.device.manager import Device, choose_device, discover, open_device
from nnef_cl.device.rules import Rules
from nnef_cl.device.selectors import Choice, select, selectors_for

__all__ = [
    "Choice", "Device", "DeviceInfo", "Discovery", "FoundDevice", "Rules",
    "choose_device", "discover", "open_device", "select", "selectors_for",
]  # fmt: skip

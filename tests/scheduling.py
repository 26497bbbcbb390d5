"""Which tests stay in one process under pytest-xdist; its own groups travel in node ids, which pytest 9.2 lets nobody change."""

from __future__ import annotations

import re

from xdist.scheduler import LoadScopeScheduling

from nnef_cl.conformance.case import FAMILIES
from tests.device.shapes import SHAPES

DEVICE = re.compile(r"\d+:\d+")


def group_of(nodeid: str) -> str:
    """What shares compiled programs: a file, or its part for a device, a family of operations, a shape of the device."""
    file, _, test = nodeid.partition("::")
    parameters = test.partition("[")[2].removesuffix("]").split("-")
    return " ".join([file, *(one for one in parameters if one in FAMILIES or one in SHAPES or DEVICE.fullmatch(one))])


class Groups(LoadScopeScheduling):
    """Hands out whole groups."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)

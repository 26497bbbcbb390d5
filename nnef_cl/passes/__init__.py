"""PIPELINE: the ordered passes, Graph -> Graph, with verification after each."""

from __future__ import annotations

from collections.abc import Callable

from nnef_cl.codegen.target import Target
from nnef_cl.ir.graph import Graph
from nnef_cl.ir.verify import verify
from nnef_cl.ops.base import Table
from nnef_cl.passes.attend import attend
from nnef_cl.passes.depth_first import depth_first
from nnef_cl.passes.fold import fold
from nnef_cl.passes.fuse import fuse
from nnef_cl.passes.layout import layout
from nnef_cl.passes.padding import padding
from nnef_cl.passes.rowwise import rowwise
from nnef_cl.passes.scale import scale
from nnef_cl.passes.simplify import simplify
from nnef_cl.passes.subpixel import subpixel

Pass = Callable[[Graph, Table, Target], Graph]

PIPELINE: tuple[tuple[str, Pass], ...] = (
    ("fold", fold),
    ("padding", padding),
    ("simplify", simplify),
    ("scale", scale),
    ("subpixel", subpixel),
    ("fuse", fuse),
    ("attend", attend),
    ("layout", layout),
    ("rowwise", rowwise),
    ("depth_first", depth_first),
)
"""Name and function of every pass, in order."""


def run(graph: Graph, ops: Table, target: Target, until: str | None = None) -> Graph:
    """The graph after all passes, or after the one named `until`."""
    for name, one in PIPELINE:
        graph = one(graph, ops, target)
        verify(graph, name)
        if name == until:
            break
    return graph

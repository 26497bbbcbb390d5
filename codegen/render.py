"""Kernel records -> OpenCL C text: Mako lookup, strict names, a filter for numbers, the generated header."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from mako.exceptions import RichTraceback, TopLevelLookupException
from mako.lookup import TemplateLookup
from nnef_cl.codegen.kernel import Kernel
from nnef_cl.codegen.kernels.chain import stage_kernels

from nnef_cl.errors import ExtensionError

PRELUDE = """\
// Shared definitions: selection for scalars, lane numbers for vectors.
#define SELECT(if_false, if_true, mask) ((mask) ? (if_true) : (if_false))
#define LANES2 ((int2)(0, 1))
#define LANES4 ((int4)(0, 1, 2, 3))
#define LANES8 ((int8)(0, 1, 2, 3, 4, 5, 6, 7))
#define LANES16 ((int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
"""
CHAINS = """\
// What workers of a chain share. Atomic operations order what comes before and behind them.
int chain_take(volatile __global int *taken, const int piece, const int all)
{
    return *taken < all ? atomic_add(taken, piece) : all;
}
void chain_finish(volatile __global int *finished, const int groups)
{
    mem_fence(CLK_GLOBAL_MEM_FENCE);
    if (groups > 0)
        atomic_add(finished, groups);
}
void chain_wait(volatile __global int *finished, const int all)
{
    while (*finished < all)
        ;
    atomic_add(finished, 0);
    mem_fence(CLK_GLOBAL_MEM_FENCE);
}
"""


class RenderError(Exception):
    """A template of nnef-cl failed: our own fault, with the template's file and line."""


def c_text(value: Any) -> str:
    """Mako's default filter: only text and plain integers have one C spelling."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"{value!r} has no fixed C spelling; pass it through codegen.ctypes.literal()")


def _lookup(folder: Path | None) -> TemplateLookup:
    """Templates of a folder, which may use those of nnef-cl."""
    own = str(resources.files("nnef_cl.kernels_cl"))
    return TemplateLookup(
        directories=[own] if folder is None else [str(folder), own], strict_undefined=True, default_filters=["c_text"],
        imports=[
            "import math", "from nnef_cl.codegen.ctypes import index_literal, index_type",
            "from nnef_cl.codegen.render import c_text",
        ],
    )  # fmt: skip


@cache
def _own_lookup() -> TemplateLookup:
    """Compiled templates are kept; those of others, which may be edited meanwhile, are not."""
    return _lookup(None)


def render_kernel(kernel: Kernel, stage: bool = False) -> str:
    """One kernel function with its header. stage: as a function for chains."""
    file = f"{kernel.stem}.cl.mako"
    try:
        lookup = _own_lookup() if kernel.folder is None else _lookup(kernel.folder)
        text = lookup.get_template(file).render(p=kernel, stage=stage)
    except Exception as error:
        if kernel.folder is not None:
            raise _users_fault(kernel.folder / file, error) from error
        raise RenderError(f"{file}:{RichTraceback().lineno}: {type(error).__name__}: {error}") from error
    source = f"{kernel.folder or 'kernels_cl'}/{file} by `nnef-cl dump MODEL --kernels DIR`"
    return f"// {kernel.stem}: {kernel.title}\n// made from {source}\n{text.strip()}\n"


def _users_fault(path: Path, error: Exception) -> ExtensionError:
    """What a template outside of nnef-cl failed of, with its line."""
    if isinstance(error, TopLevelLookupException):
        return ExtensionError(f"{path}: there is no such template")
    place = f"{path}:{RichTraceback().lineno}"
    return ExtensionError(f"{place}: the template failed: {type(error).__name__}: {error}")


def render_program(kernels: Iterable[Kernel]) -> str:
    """One self-contained source for several kernels; equal records appear once."""
    different = list(dict.fromkeys(kernels))
    stages = [render_kernel(kernel, stage=True) for kernel in stage_kernels(different)]
    shared = [PRELUDE, CHAINS] if stages else [PRELUDE]
    return "\n".join([*shared, *stages, *map(render_kernel, different)])

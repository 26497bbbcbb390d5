"""Rendered programs, kept: a process that finds them has no need of the templates and of what reads them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from nnef_cl import codegen, ir, kernels_cl
from nnef_cl.codegen.kernel import Kernel
from nnef_cl.device.cache import Cache

SOURCE = "source"
"""Kind of cache entries."""
FORMAT = "1"


def program_source(kernels: Sequence[Kernel], kept: Cache, note: str = "") -> str:
    """One self-contained source for several kernels, from the cache where it is there. note: what the cache says of it.

    A source depends on the records and on the code that renders them. Kernels of others depend on code that nobody
    knows, so theirs are rendered every time.
    """
    parts = _parts(kernels)
    found = kept.get(SOURCE, parts) if parts else None
    if found is not None:
        return found.decode()
    from nnef_cl.codegen.render import render_program  # noqa: PLC0415 - loads Mako

    source = render_program(kernels)
    if parts:
        kept.put(SOURCE, parts, source.encode(), note)
    return source


def _parts(kernels: Sequence[Kernel]) -> dict[str, str]:
    """Everything the source depends on, by name; nothing where that is not known."""
    ours = all(type(kernel).__module__.startswith(f"{codegen.__name__}.") for kernel in kernels)
    if not ours or not (generator := generator_digest()):
        return {}
    records = "\n".join(map(repr, kernels))
    return {"format": FORMAT, "generator": generator, "source": hashlib.sha256(records.encode()).hexdigest()}


@cache
def generator_digest() -> str:
    """Of everything that makes text of a record: code, templates, their interpreters; '' where it cannot be read."""
    digest = hashlib.sha256(f"{sys.version} {importlib.metadata.version('mako')}".encode())
    try:
        for package in (codegen, ir, kernels_cl):
            folder = Path(package.__path__[0])
            for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".mako")):
                digest.update(f"\n{path.relative_to(folder)}\n".encode() + path.read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()

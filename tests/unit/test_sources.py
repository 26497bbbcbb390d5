"""Sources that are kept: the same text without the templates; memory that becomes buffers."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
from nnef_cl.codegen.kernels.peak import peak_fma
from nnef_cl.codegen.render import render_program
from nnef_cl.codegen.target import Target

from nnef_cl.device import sources
from nnef_cl.device.cache import Cache
from nnef_cl.device.memory import ALIGNMENT, HostMemory

KERNEL = peak_fma(Target.generic(16), 4)


class Stranger(type(KERNEL)):  # type: ignore[misc]
    """A kernel whose code is not nnef-cl's."""


def test_a_kept_source_is_the_rendered_one(tmp_path: Path) -> None:
    kept = Cache(tmp_path)
    expected = render_program([KERNEL])
    assert [sources.program_source([KERNEL], kept, "test") for _ in range(2)] == [expected, expected]
    [entry] = kept.entries()
    assert (entry.kind, entry.note, entry.parts["generator"]) == ("source", "test", sources.generator_digest())
    assert sources.program_source([peak_fma(Target.generic(16), 8)], kept) != expected


def test_sources_of_others_are_not_kept(tmp_path: Path) -> None:
    kept = Cache(tmp_path)
    stranger = Stranger(**{field.name: getattr(KERNEL, field.name) for field in fields(KERNEL)})
    assert sources.program_source([stranger], kept)
    assert not kept.entries()


def test_what_a_warm_start_does_not_load() -> None:
    code = "import sys, nnef_cl.session, nnef_cl.device.config as c; c.packaged_rules(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"mako", "pydantic", "pyopencl", "typer", "rich"} & set(loaded)


def test_memory_is_aligned_apart_and_free_with_its_arrays() -> None:
    memory = HostMemory([1, ALIGNMENT, ALIGNMENT + 1, 3])
    arrays = memory.arrays
    for number, array in enumerate(arrays):
        assert array.ctypes.data % ALIGNMENT == 0 and array.flags.writeable
        array[:] = number
    memory.settle()
    del memory
    gc.collect()
    assert [(array.size, set(array.tolist())) for array in arrays] == [
        (1, {0}), (ALIGNMENT, {1}), (ALIGNMENT + 1, {2}), (3, {3})
    ]  # fmt: skip
    assert HostMemory([]).arrays == [] and np.all(HostMemory([2]).arrays[0] == 0)

"""Holds the architecture's picture: imports point one way, files say their job, kernels name no vendor."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "kernels_cl", "demo"),
    ("settings", "files"),
    ("format", "ir"),
    ("codegen",),
    ("ops",),
    ("importer", "images"),
    ("passes",),
    ("plan",),
    ("device",),
    ("executor",),
    ("stream", "turns", "arrays"),
    ("state", "replica", "workers", "source"),
    ("binding",),
    ("pool", "gathering"),
    ("session", "peak"),
    ("bench", "conformance", "peers", "preprocess"),
    ("profiling", "tuning", "pipeline", "throughput"),
    ("commands",),
    ("__main__",),
    ("__init__",),
)
"""Lowest first. A module imports from its own package and from lower layers, not from its neighbours."""

PACKAGES = {"nnef_cl": "nnef_cl", "codegen": "nnef_cl.codegen", "kernels_cl": "nnef_cl.kernels_cl"}
"""Folder -> the package it is installed as."""

LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
OPENCL = ("nnef_cl.device", "nnef_cl.stream")
GENERATING = ("codegen", "kernels_cl")
VENDOR = re.compile(r"(?<![a-z])(intel|nvidia|amd|pocl|mali|adreno)(?![a-z])", re.IGNORECASE)


def modules() -> dict[str, Path]:
    """Dotted name -> file, of everything that is installed; packages end in `.__init__`."""
    found = {}
    for folder, package in PACKAGES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join((package, *parts))] = path
    return found


MODULES = modules()
TOP = {name.split(".")[1] for name in MODULES} | set(LEVEL)


def imported(source: str, module: str) -> Iterator[str]:
    """Dotted names that a module imports, absolute, wherever in it the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: -node.level] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            # What follows `import` may be a module (`from nnef_cl import ir`) or a name: same layer.
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def layer(dotted: str) -> str:
    """`nnef_cl.ops.base` -> `ops`; a name of the package root (`nnef_cl`, `nnef_cl.load`) -> `__init__`."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in TOP else "__init__"


def violations(source: str, module: str) -> list[str]:
    """Imports of a module that point sideways or upwards."""
    mine = layer(module)
    return [
        f"{module} imports {name}"
        for name in imported(source, module)
        if name.split(".")[0] == "nnef_cl" and layer(name) != mine and LEVEL[layer(name)] >= LEVEL[mine]
    ]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_layer(module: str) -> None:
    assert layer(module) in LEVEL, f"say in LAYERS where {module} stands"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    assert violations(MODULES[module].read_text("utf-8"), module) == []


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("nnef_cl.format.parser", "from nnef_cl.ir.tensor import TensorSpec", "nnef_cl.ir.tensor.TensorSpec"),
        ("nnef_cl.codegen.kernel", "def f():\n    import nnef_cl.ops.base", "nnef_cl.ops.base"),
        ("nnef_cl.plan.build", "from ..session import Session", "nnef_cl.session.Session"),
        ("nnef_cl.ops.pool", "from nnef_cl import passes", "nnef_cl.passes"),
        ("nnef_cl.bench", "from nnef_cl import load", "nnef_cl.load"),
        ("nnef_cl.session", "import nnef_cl", "nnef_cl"),
    ],
)
def test_wrong_imports_are_found(module: str, source: str, wrong: str) -> None:
    assert violations(source, module) == [f"{module} imports {wrong}"]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("nnef_cl.ops.pool", "from nnef_cl.format.parser import parse_fragment\nfrom .base import op"),
        ("nnef_cl.codegen.kernels.pool", "from ..kernel import Kernel\nfrom nnef_cl.ir.layout import PLAIN"),
        ("nnef_cl.commands.bench", "from nnef_cl import bench, session"),
    ],
)
def test_right_imports_pass(module: str, source: str) -> None:
    assert violations(source, module) == []


@pytest.mark.parametrize("module", MODULES)
def test_only_devices_and_streams_import_pyopencl(module: str) -> None:
    names = [name.split(".")[0] for name in imported(MODULES[module].read_text("utf-8"), module)]
    allowed = any(module == name or module.startswith(f"{name}.") for name in OPENCL)
    assert allowed or "pyopencl" not in names


def test_importing_the_package_is_light() -> None:
    heavy = ("pyopencl", "typer", "click", "rich", "onnxruntime", "PIL")
    code = f"import sys, nnef_cl; print([m for m in {heavy!r} if m in sys.modules], nnef_cl.__version__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[] "), done.stdout


def own_files(*patterns: str) -> list[Path]:
    folders = [ROOT / name for name in (*PACKAGES, "tests", "benchmarks", "examples")]
    return sorted(path for folder in folders for pattern in patterns for path in folder.rglob(pattern))


def names_job(first_line: str, suffix: str) -> bool:
    """Whether a file's first line is a sentence in a docstring (Python) or a template comment (Mako)."""
    pattern = r'"""[^"]{12,}\.(""")?' if suffix == ".py" else r"## .{12,}\."
    return re.fullmatch(pattern, first_line.rstrip()) is not None


@pytest.mark.parametrize("path", own_files("*.py", "*.mako"), ids=lambda path: str(path.relative_to(ROOT)))
def test_first_line_says_the_job(path: Path) -> None:
    first = (path.read_text("utf-8").splitlines() or [""])[0]
    assert names_job(first, path.suffix), f"{first!r} is not one sentence on the job of the file"


def test_missing_job_is_found() -> None:
    assert names_job('"""Choose memory layouts and insert explicit reorder nodes."""', ".py")
    assert not names_job("from __future__ import annotations", ".py")
    assert not names_job('"""Layouts"""', ".py")
    assert not names_job('<%namespace name="grid" file="/_lib/grid.cl.mako"/>', ".mako")


@pytest.mark.parametrize(
    "path",
    [path for path in own_files("*.py", "*.mako") if path.relative_to(ROOT).parts[0] in GENERATING],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_vendor_in_generated_code(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    assert [f"{number}: {line}" for number, line in enumerate(lines, 1) if VENDOR.search(line)] == []


def test_vendors_are_found_in_words_only() -> None:
    assert all(VENDOR.search(text) for text in ("intel_reqd_sub_group_size", "if PoCL", "__NVIDIA__"))
    assert not VENDOR.search("normalisation, minimal, camden, madam")

"""Hostile models: each ends with one line on stderr that names file and place, exit code 1, and little memory."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from nnef_cl.commands import app
from nnef_cl.format.tensor_file import write_tensor

GRAPH = """version 1.0;
graph g( x ) -> ( y )
{
    x = external(shape = [1, 3, 8, 8]);
    w = variable(shape = [4, 3, 3, 3], label = 'w');
    y = conv(x, w);
}
"""
MEMORY_MB = 300
"""Peak of a process that only reads; Python with numpy and lark needs about 60."""


def weights() -> bytes:
    file = io.BytesIO()
    write_tensor(file, np.random.default_rng(0).standard_normal((4, 3, 3, 3), np.float32))
    return file.getvalue()


DATA = weights()


def body(*lines: str) -> str:
    return "version 1.0;\ngraph g( x ) -> ( y )\n{\n    " + "\n    ".join(lines) + "\n}\n"


def folder(path: Path, graph: str | bytes, data: bytes | None = DATA) -> Path:
    path.mkdir()
    (path / "graph.nnef").write_bytes(graph if isinstance(graph, bytes) else graph.encode())
    if data is not None:
        (path / "w.dat").write_bytes(data)
    return path


def claimed(*extents: int) -> bytes:
    """The header of a tensor of that shape, its data length as the extents demand it, and no data."""
    head = bytearray(DATA[:128])
    struct.pack_into(f"<2I{len(extents)}I", head, 4, 4 * np.prod(extents, dtype=np.int64) % 2**32, len(extents), *extents)
    return bytes(head)


X = "x = external(shape = [1]);"
CALLS = "\n".join(
    f"fragment f{k + 1}( x: tensor<scalar> ) -> ( y: tensor<scalar> ) {{ y = f{k}(f{k}(x)); }}" for k in range(60)
)
FRAGMENTS = "version 1.0;\nextension KHR_enable_fragment_definitions;\n"
ENDLESS = "fragment f( x: tensor<scalar> ) -> ( y: tensor<scalar> ) { y = f(x); }\n"
SIGMOIDS = "fragment f0( x: tensor<scalar> ) -> ( y: tensor<scalar> ) { y = sigmoid(x); }\n"
USES = "graph g( x ) -> ( y )\n{{\n    x = external(shape = [1]);\n    y = {}(x);\n}}\n"

FOLDERS: dict[str, tuple[str | bytes, bytes | None, tuple[str, ...]]] = {
    "truncated data": (GRAPH, DATA[:300], ("graph.nnef:5", "'w'", "w.dat", "expected 432", "got 172")),
    "truncated header": (GRAPH, DATA[:60], ("graph.nnef:5", "'w'", "w.dat")),
    "wrong magic": (GRAPH, b"XX" + DATA[2:], ("graph.nnef:5", "'w'", "w.dat", "magic")),
    "wrong length": (GRAPH, DATA[:4] + b"\xff\xff\xff\xff" + DATA[8:], ("w.dat", "432", "4294967295")),
    "trailing data": (GRAPH, DATA + b"more", ("w.dat",)),
    "missing data": (GRAPH, None, ("graph.nnef:5", "w.dat")),
    "shape of data": (GRAPH.replace("3, 3]", "3, 5]"), DATA, ("graph.nnef:5", "[4,3,3,5]", "[4,3,3,3]")),
    "shape of filter": (GRAPH.replace("[1, 3,", "[1, 2,"), DATA, ("graph.nnef:6", "conv", "'y'")),
    "undefined tensor": (GRAPH.replace("x, w", "x, v"), DATA, ("graph.nnef:6", "'v'", "not defined")),
    "cycle": (body(X, "a = relu(b);", "b = relu(a);", "y = add(a, x);"), None, ("graph.nnef:5", "'b'", "cycle")),
    "unknown operation": (body(X, "y = relo(x);"), None, ("graph.nnef:5", "relo")),
    "missing operation": (body(X, "y = roi_resample(x);"), None, ("graph.nnef:5", "roi_resample")),
    "10 GB variable": (
        GRAPH.replace("[4, 3, 3, 3]", "[50000, 50000]"), claimed(50000, 50000), ("graph.nnef:5", "w.dat"),
    ),
    "huge extents": (body("x = external(shape = [4611686018427387904, 4]);", "y = relu(x);"), None, ("graph.nnef:4",)),
    "huge comprehension": (
        body(X, "y = sum_reduce(x, axes = [for i in range_of(for j in range_of([0]) yield j) yield 0]);"), None,
        ("graph.nnef:5",),
    ),
    "label outside": (GRAPH.replace("'w'", "'../w'"), DATA, ("graph.nnef:5", "../w", "outside")),
    "absolute label": (GRAPH.replace("'w'", "'/etc/passwd'"), DATA, ("graph.nnef:5", "/etc/passwd")),
    "round brackets": (body(X, f"y = {'(' * 200_000}x{')' * 200_000};"), None, ("graph.nnef:5", "nested")),
    "square brackets": (body(f"x = external(shape = {'[' * 200_000}1{']' * 200_000});"), None, ("graph.nnef:4",)),
    "open brackets": (body(X, "y = " + "(" * 200_000), None, ("graph.nnef:5", "nested")),
    "signs": (body(X, f"y = {'-' * 200_000}x;"), None, ("graph.nnef:5",)),
    "binary": (bytes(range(256)) * 20, None, ("graph.nnef", "UTF-8")),
    "not UTF-8": (b"version 1.0;\n\xff\xfe", None, ("graph.nnef:2", "UTF-8")),
    "empty": (b"", None, ("graph.nnef:1", "version")),
    "huge integer": (body(f"x = external(shape = [{'9' * 10_000}]);"), None, ("graph.nnef:4", "64 bits")),
    "endless recursion": (FRAGMENTS + ENDLESS + USES.format("f"), None, ("graph.nnef:3", "'f'")),
    "exponential fragments": (FRAGMENTS + SIGMOIDS + CALLS + USES.format("f60"), None, ("graph.nnef",)),
}  # fmt: skip


def check(result: Any, parts: tuple[str, ...]) -> None:
    assert result.exit_code == 1, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("nnef-cl: error: ") and len(lines[0]) < 600, result.stderr
    assert all(part in lines[0] for part in parts), lines[0]


def invoke(command: str, path: Path) -> Any:
    return CliRunner().invoke(app, [command, str(path)])


SLOW = ("exponential fragments",)
"""What takes seconds; the quick tests have it in a process whose memory is measured."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FOLDERS])
def test_folder(name: str, tmp_path: Path) -> None:
    graph, data, parts = FOLDERS[name]
    path = folder(tmp_path / "model", graph, data)
    before = sorted(path.rglob("*"))
    check(invoke("info", path), parts)
    assert sorted(path.rglob("*")) == before


@pytest.mark.parametrize("command", ["run", "bench", "dump"])
def test_every_command_says_it_in_one_line(command: str, tmp_path: Path) -> None:
    check(invoke(command, folder(tmp_path / "model", GRAPH, DATA[:300])), ("graph.nnef:5", "w.dat"))


MEASURED = """
from nnef_cl.__main__ import main
try:
    main()
finally:
    print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.parametrize("name", ["10 GB variable", "huge extents", "round brackets", "exponential fragments"])
def test_memory_of_a_process(name: str, tmp_path: Path) -> None:
    graph, data, _ = FOLDERS[name]
    path = folder(tmp_path / "model", graph, data)
    command = [sys.executable, "-c", MEASURED, "info", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert int(done.stdout.split()[1]) / 1024 < MEMORY_MB


def test_a_constant_is_not_spread_out_in_memory(tmp_path: Path) -> None:
    lines = (X, "c = constant(shape = [50000, 50000], value = [1.0]);", "d = mul(c, 2.0);", "y = add(d, x);")
    path = folder(tmp_path / "model", body(*lines), None)
    check(invoke("run", path), ("graph.nnef:7", "constant 'd'", "repeats its values into more than"))


def test_a_huge_constant_is_not_summed_up_here(tmp_path: Path) -> None:
    lines = (X, "c = constant(shape = [50000, 50000], value = [1.0]);", "s = sum_reduce(c, axes = [0, 1]);")
    path = folder(tmp_path / "model", body(*lines, "y = add(squeeze(s, axes = [0]), x);"), None)
    check(invoke("run", path), ("constant 'c'", "f32[50000,50000]", "repeats its values into more than"))


def test_results_that_no_device_can_hold(tmp_path: Path) -> None:
    path = folder(tmp_path / "model", body(X, "d = tile(x, repeats = [500000000000]);", "y = relu(d);"), None)
    check(invoke("run", path), ("a buffer of 1862.6 GiB needed; the device allows",))


def test_inputs_that_no_device_can_hold(tmp_path: Path) -> None:
    path = folder(tmp_path / "model", body("x = external(shape = [500000, 1000000]);", "y = max_reduce(x, axes = [0, 1]);"))
    check(invoke("run", path), ("a buffer of 1862.6 GiB needed; the device allows",))


# Files that are not what they should be --------------------------------------------------------------------
def test_fifo_in_a_folder(tmp_path: Path) -> None:
    path = folder(tmp_path / "model", GRAPH, None)
    os.mkfifo(path / "w.dat")
    check(invoke("info", path), ("graph.nnef:5", "w.dat", "regular file"))


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "model" / "graph.nnef").mkdir(parents=True)
    check(invoke("info", tmp_path / "model"), ("graph.nnef",))


def test_no_such_model(tmp_path: Path) -> None:
    check(invoke("info", tmp_path / "none"), ("none", "no such file"))


def member(name: str, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info, data


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as file:
        for info, data in members:
            file.addfile(info, io.BytesIO(data))
    return path


TEXT = GRAPH.encode()
ARCHIVES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "symbolic link": (lambda p: archive(p / "m.tar", member("graph.nnef", TEXT), link("w.dat", "/etc/passwd")), ("link",)),
    "hard link": (
        lambda p: archive(p / "m.tar", member("graph.nnef", TEXT), link("w.dat", "graph.nnef", tarfile.LNKTYPE)), ("link",),
    ),
    "outside": (lambda p: archive(p / "m.tgz", member("graph.nnef", TEXT), member("../w.dat", DATA)), ("outside",)),
    "absolute": (lambda p: archive(p / "m.tar", member("graph.nnef", TEXT), member("/w.dat", DATA)), ("m.tar",)),
    "no graph": (lambda p: archive(p / "m.tgz", member("w.dat", DATA)), ("graph.nnef",)),
    "bomb": (lambda p: archive(p / "m.tgz", member("graph.nnef", TEXT), member("w.dat", bytes(300 << 20))), ("m.tgz", "expands")),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
def test_archive(name: str, tmp_path: Path) -> None:
    make, parts = ARCHIVES[name]
    path = make(tmp_path)
    check(invoke("info", path), parts)
    assert list(tmp_path.iterdir()) == [path]


def test_truncated_archive(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.tgz", member("graph.nnef", TEXT), member("w.dat", DATA))
    path.write_bytes(path.read_bytes()[:300])
    check(invoke("info", path), ("m.tgz", "truncated"))

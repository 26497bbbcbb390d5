"""Compiled programs between processes: right results whatever happens to the cache's files."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MODEL = """version 1.0;
graph small( x ) -> ( y )
{
    x = external(shape = [4, 3, 8, 8]);
    f = constant(shape = [1, 3, 1, 1], value = [1.0, 2.0, 4.0]);
    a = conv(x, f);
    y = softmax(a, axes = [3]);
}
"""
RUN = """
import json, sys
import numpy as np
import nnef_cl
from nnef_cl.device import open_device
x = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype("float32")
with nnef_cl.load(sys.argv[1], device=sys.argv[2]) as session:
    y = session(x)
    programs = open_device(sys.argv[2]).programs
print(json.dumps({"y": y.tolist(), "hits": programs.hits, "misses": programs.misses}))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "graph.nnef").write_text(MODEL)
    return folder


def expected() -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype("float32")
    a = np.exp(np.tensordot(x, np.float32([1, 2, 4]), (1, 0))[:, None])
    return a / a.sum(axis=3, keepdims=True)


@dataclass(frozen=True)
class Runner:
    """Runs the model in processes of their own on one device."""

    model: Path
    selector: str

    def start(self, cache: Path | str, **more: str) -> subprocess.Popen[str]:
        environment = os.environ | {"NNEF_CL_CACHE": str(cache), "NNEF_CL_PROBE": "off"} | more
        command = [sys.executable, "-c", RUN, str(self.model), self.selector]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def result(process: subprocess.Popen[str]) -> tuple[dict[str, Any], str]:
        """What the process printed, its values checked, and its stderr."""
        output, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors
        report = json.loads(output.splitlines()[-1])
        np.testing.assert_allclose(report["y"], expected(), rtol=1e-5)
        return report, errors

    def __call__(self, cache: Path | str) -> tuple[dict[str, Any], str]:
        return self.result(self.start(cache))


@pytest.fixture
def run(model: Path, selector: str) -> Runner:
    return Runner(model, selector)


def files(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for position in random.Random(0).sample(range(len(data)), 3):
        data[position] ^= 0x10
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped bits": flip,
    "truncated": lambda path: os.truncate(path, path.stat().st_size * 9 // 10),
    "empty": lambda path: path.write_bytes(b""),
    "something else": lambda path: path.write_bytes(b"\x7fELF" + bytes(5000)),
}


def test_the_second_process_compiles_nothing(run: Runner, tmp_path: Path) -> None:
    cold, _ = run(tmp_path / "cache")
    warm, _ = run(tmp_path / "cache")
    assert cold["hits"] == 0 and cold["misses"] >= 1
    assert (warm["hits"], warm["misses"]) == (cold["misses"], 0)
    assert list((tmp_path / "cache").glob("run/*")) == [], "folders of processes that have ended"


@pytest.mark.many_kernels
def test_damaged_files_are_built_again(run: Runner, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cold, _ = run(cache)
    for damage in DAMAGES.values():
        kept = files(cache)
        assert kept
        for path in kept:
            damage(path)
        again, errors = run(cache)
        assert again["misses"] == cold["misses"] and not errors
    assert run(cache)[0]["misses"] == 0


@pytest.mark.parametrize("count", (4, pytest.param(8, marks=pytest.mark.slow)))
def test_processes_at_once_and_one_killed(count: int, run: Runner, tmp_path: Path) -> None:
    running = [run.start(tmp_path / "cache") for _ in range(count)]
    try:
        running[3].communicate(timeout=1.5)
    except subprocess.TimeoutExpired:
        running[3].kill()
        running[3].communicate()
    for process in (*running[:3], *running[4:]):
        assert not run.result(process)[1]
    assert run(tmp_path / "cache")[0]["misses"] == 0


def test_without_a_cache(run: Runner) -> None:
    report, errors = run("off")
    assert report["hits"] == 0 and not errors


@pytest.mark.many_kernels
def test_a_cache_folder_that_cannot_be_made_is_one_warning(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    report, errors = run(tmp_path / "file" / "cache")
    assert report["hits"] == 0 and errors.count("\n") == 1 and "compiled programs are not kept" in errors


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody can write into the folder; root, who may write everywhere, sees it through a mount."""
    if os.getuid() != 0:
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)
        return
    bind = ["mount", "--bind", str(folder), str(folder)]
    if subprocess.run(bind, capture_output=True, check=False).returncode != 0:
        pytest.skip("root writes everywhere, and cannot mount here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True, capture_output=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no permission bits")
def test_a_read_only_folder_is_read_and_one_warning(run: Runner, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    with read_only(cache):
        cold, errors = run(cache)
    assert cold["hits"] == 0 and errors.count("\n") == 1 and "compiled programs are not kept" in errors
    run(cache)
    with read_only(cache):
        warm, errors = run(cache)
    assert warm["misses"] == 0 and errors.count("\n") == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=40k,mode=700", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a small file system (needs root)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.many_kernels
def test_a_full_disk_is_one_warning(run: Runner, small_disk: Path) -> None:
    for _ in range(2):
        _, errors = run(small_disk)
        assert errors.count("\n") <= 1 and ("No space left" in errors or not errors)
    (small_disk / "filler").write_bytes(bytes(4096 * (os.statvfs(small_disk).f_bavail)))
    _, errors = run(small_disk)
    assert errors.count("\n") == 1 and "No space left" in errors


def explain(run: Runner, cache: Path, *options: str) -> list[str]:
    environment = os.environ | {"NNEF_CL_CACHE": str(cache), "NNEF_CL_PROBE": "off"}
    command = [sys.executable, "-m", "nnef_cl", "cache", "explain", str(run.model), "-d", run.selector, *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [line.partition(": ")[2] for line in done.stdout.splitlines()[1:]]


@pytest.mark.many_kernels
def test_a_miss_is_explained(run: Runner, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert explain(run, cache) == ["not there; nothing like it has been compiled"]
    run(cache)
    assert explain(run, cache) == ["there"]
    assert explain(run, cache, "-b", "3") == ["not there; changed since: source"]

"""Discovery and opened devices, on every OpenCL device of this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nnef_cl.device import Device, FoundDevice, discover, libraries, open_device
from nnef_cl.device.config import packaged_rules
from nnef_cl.device.discovery import find_devices
from nnef_cl.device.libraries import Library
from nnef_cl.device.manager import available_host_memory
from nnef_cl.errors import DeviceError, OutOfMemoryError

FOUND = discover()
DOUBLE = "kernel void twice(global float* x) { x[get_global_id(0)] *= 2; }"
needs_devices = pytest.mark.skipif(not FOUND.devices, reason="no OpenCL device on this machine")


@pytest.fixture(params=FOUND.devices, ids=lambda found: found.info.platform.split()[0])
def found(request: pytest.FixtureRequest) -> FoundDevice:
    return request.param


@pytest.fixture
def device(found: FoundDevice) -> Iterator[Device]:
    opened = open_device(found.info.index)
    before = opened.allocated
    yield opened
    assert opened.allocated == before, "a test left a buffer behind"


def python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_importing_the_package_does_not_load_opencl() -> None:
    done = python("import sys, nnef_cl.device; sys.exit('pyopencl' in sys.modules)")
    assert done.returncode == 0, done.stderr


def test_facts_are_plausible(found: FoundDevice) -> None:
    info = found.info
    assert info.platform and info.name and info.driver_version and info.version.startswith("OpenCL ")
    assert info.type in ("cpu", "gpu", "accelerator", "custom")
    assert info.source in ("pip", "system") and bool(info.library) == (info.source == "pip")
    assert info.compute_units >= 1 and info.max_work_group >= 1 and info.vector_width >= 1
    assert 0 < info.max_allocation <= info.global_memory
    assert info.max_parameter_bytes >= 256


@needs_devices
def test_every_device_is_listed_once_and_again_the_same() -> None:
    handles = [found.handle.int_ptr for found in FOUND.devices]
    assert len(set(handles)) == len(handles)
    assert [found.info for found in discover().devices] == [found.info for found in FOUND.devices]


def test_the_pip_runtime_is_found() -> None:
    found = [one for one in libraries.libraries(packaged_rules().runtimes) if one.source == libraries.PIP]
    if not found:
        pytest.skip("no pip runtime installed (pip install 'nnef-cl[cpu]')")
    devices = [device.info for device in FOUND.devices if device.info.library == found[0].library]
    assert [info.type for info in devices] == ["cpu"], FOUND.notes


def test_a_library_given_twice_is_one_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = [one for one in libraries.libraries(packaged_rules().runtimes) for _ in range(2)]
    monkeypatch.setattr(libraries, "libraries", lambda runtimes: twice)
    assert find_devices().devices == FOUND.devices


def test_a_library_that_does_not_load_becomes_a_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken, absent = tmp_path / "broken.so", tmp_path / "absent.so"
    broken.write_bytes(b"not a library")
    made = [Library(str(path), None, libraries.PIP) for path in (broken, absent)]
    monkeypatch.setattr(libraries, "libraries", lambda runtimes: made)
    notes = [note.split(":")[0] for note in find_devices().notes]
    assert notes == ["broken.so cannot be loaded", "absent.so cannot be loaded"]


def test_an_empty_loader_is_not_an_error(tmp_path: Path) -> None:
    code = (
        f"import os; os.environ['OCL_ICD_VENDORS'] = os.environ['OPENCL_VENDOR_PATH'] = {str(tmp_path)!r}\n"
        "from nnef_cl.device import discover, libraries\n"
        "libraries.libraries = lambda runtimes: []\n"
        "import pyopencl; os.environ['PYOPENCL_HOME'] = '/nowhere'\n"
        "found = discover(); print(len(found.devices), found.notes)"
    )
    done = python(code)
    assert (done.returncode, done.stdout.strip()) == (0, "0 ()"), done.stderr


def test_a_kernel_runs(device: Device) -> None:
    import pyopencl as cl

    values = np.arange(64, dtype=np.float32)
    buffer = device.buffer(values.nbytes)
    assert device.allocated >= values.nbytes
    device.queue.write(buffer, values[::-1])
    kernel = cl.Kernel(device.build(DOUBLE), "twice")
    kernel.set_arg(0, buffer)
    with device.translated("running 'twice'"):
        cl.enqueue_nd_range_kernel(device.queue.handle, kernel, (64,), (32,))
    np.testing.assert_array_equal(device.queue.read(buffer, np.empty(64, np.float32)), values[::-1] * 2)
    device.release(buffer)
    device.release(buffer)


def test_builds_print_no_warning(device: Device, recwarn: pytest.WarningsRecorder) -> None:
    device.build(DOUBLE)
    assert not recwarn.list


def test_a_build_failure_shows_the_log(device: Device) -> None:
    with pytest.raises(DeviceError, match=r"a kernel does not build(.|\n)*undeclared") as caught:
        device.build("kernel void wrong(global float* x) { x[0] = undeclared; }")
    assert len(str(caught.value).splitlines()) <= 22
    assert device.name in str(caught.value)


def test_a_launch_failure_is_our_error(device: Device) -> None:
    import pyopencl as cl

    kernel = cl.Kernel(device.build(DOUBLE), "twice")
    buffer = device.buffer(4)
    kernel.set_arg(0, buffer)
    with pytest.raises(DeviceError, match="running 'twice' failed"), device.translated("running 'twice'"):
        cl.enqueue_nd_range_kernel(device.queue.handle, kernel, (3,), (2,))
    device.release(buffer)


def test_memory_is_budgeted(device: Device) -> None:
    huge = 1 << 50
    with pytest.raises(OutOfMemoryError, match=r"a buffer of 1048576\.0 GiB needed; the device allows"):
        device.buffer(huge)
    with pytest.raises(OutOfMemoryError, match=r"1048576\.0 GiB of memory needed; .* free of .* used"):
        device.check_budget(huge)
    half = device.target.global_memory // 2
    device._sizes[-1] = half + 1  # as if that much were in use: really using it would take the machine's memory
    with pytest.raises(OutOfMemoryError):
        device.check_budget(half)
    del device._sizes[-1]


def test_empty_arrays_are_harmless(device: Device) -> None:
    buffer = device.buffer(0)
    device.queue.write(buffer, np.empty((0, 3), np.float32))
    assert device.queue.read(buffer, np.empty((0, 3), np.float32)).shape == (0, 3)
    device.release(buffer)


def test_a_device_is_opened_once(found: FoundDevice) -> None:
    opened: list[Device] = []

    def work() -> None:
        opened.append(open_device(found.info.index))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4 and len(set(map(id, opened))) == 1
    profiled = open_device(found.info.index, profiling=True)
    assert profiled is not opened[0] and profiled.profiling
    profiled.close()
    assert open_device(found.info.index, profiling=True) is not profiled


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_gets_an_error_at_once(found: FoundDevice) -> None:
    code = (
        "import os, json\n"
        "from nnef_cl.device import discover, open_device\n"
        "from nnef_cl.errors import DeviceError\n"
        f"device = open_device({found.info.index!r}); buffer = device.buffer(4)\n"
        "calls = [discover, open_device, device.queue.finish, lambda: device.buffer(4), lambda: device.build(''),\n"
        "         lambda: device.release(buffer), device.close]\n"
        "if os.fork() == 0:\n"
        "    texts = []\n"
        "    for call in calls:\n"
        "        try: call()\n"
        "        except DeviceError as error: texts.append(str(error))\n"
        "    print(json.dumps(texts), flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()"
    )
    done = python(code)
    texts = json.loads(done.stdout)
    assert len(texts) == 7, done.stderr
    assert all("forked" in text and "spawn" in text for text in texts)


def test_a_space_in_the_runtimes_path_is_explained(tmp_path: Path) -> None:
    runtimes = [one for one in libraries.libraries(packaged_rules().runtimes) if one.source == libraries.PIP]
    paths = [Path(one.library) for one in runtimes if one.library.endswith(".so")]
    if not paths:
        pytest.skip("no pip runtime installed (pip install 'nnef-cl[cpu]')")
    folder = tmp_path / "with space"
    folder.mkdir()
    try:
        for file in paths[0].parent.iterdir():
            if file.is_file():
                os.link(file, folder / file.name)
    except OSError as error:
        pytest.skip(f"cannot link the runtime into another folder: {error}")
    code = (
        "from nnef_cl.device import discover, libraries, open_device\n"
        f"one = libraries.Library({str(folder / paths[0].name)!r}, None, libraries.PIP)\n"
        "libraries.libraries = lambda runtimes: [one]\n"
        "found = [d.info for d in discover().devices if d.info.library]\n"
        "open_device(found[0].index)"
    )
    done = python(code)
    shutil.rmtree(folder)
    assert "DeviceError" in done.stderr and "a path with a space" in done.stderr, done.stderr


def test_host_memory_is_known_here() -> None:
    available = available_host_memory()
    if available is None:
        pytest.skip("this system does not tell")
    assert available > 1 << 20

"""Broken drivers: each gets the right verdict, is tried once, and leaves the other devices usable."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nnef_cl.device import FoundDevice, discover
from nnef_cl.device.facts import Capabilities
from nnef_cl.device.manager import trust

FAKES = Path(__file__).parents[1] / "fakes"
FOUND = [found for found in discover().devices if found.info.type == "cpu"]
needs_two = pytest.mark.skipif(len(FOUND) < 2, reason="needs two CPU runtimes: one to break and one to keep")
needs_cc = pytest.mark.skipif(
    shutil.which("cc") is None or sys.platform != "linux", reason="needs a C compiler to make a broken library"
)
REPORT = """
import json, sys
from nnef_cl.device import choose_device, discover
from nnef_cl.device.config import active_rules
from nnef_cl.device.manager import problem_of
found = discover()
problems = {d.info.platform: problem_of(d.info, active_rules()) for d in found.devices if d.info.type == "cpu"}
try: chosen = choose_device("cpu"); chosen = [chosen.device.info.platform, chosen.reason]
except Exception as error: chosen = [type(error).__name__, str(error)]
print(json.dumps({"problems": problems, "notes": found.notes, "chosen": chosen}))
"""


def run(cache: Path, code: str = REPORT, **environment: str) -> Any:
    """The JSON that a process prints; whatever drivers say goes to stderr."""
    settings = os.environ | {"NNEF_CL_CACHE": str(cache), "NNEF_CL_PROBE_SECONDS": "20"} | environment
    settings.pop("NNEF_CL_DEVICE", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=settings, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def faulty(fault: str, platform: str) -> dict[str, str]:
    return {"PYTHONPATH": str(FAKES), "NNEF_CL_TEST_FAULT": fault, "NNEF_CL_TEST_PLATFORM": platform}


@needs_two
@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("build", "unknown target CPU"), ("wrong", "computes wrongly: expected"),
        ("abort", "the process died of SIGABRT during a small kernel"), ("hang", "no answer within 4 s"),
    ],
)  # fmt: skip
def test_a_broken_device_is_skipped_with_its_reason(fault: str, problem: str, tmp_path: Path) -> None:
    preferred, other = [choose(FOUND, first) for first in (True, False)]
    environment = faulty(fault, preferred) | {"NNEF_CL_PROBE_SECONDS": "4" if fault == "hang" else "20"}
    report = run(tmp_path, **environment)
    assert problem in report["problems"][preferred] and not report["problems"][other]
    assert report["chosen"][0] == other
    assert "skipped" in report["chosen"][1] and problem in report["chosen"][1]
    started = time.monotonic()
    again = run(tmp_path, **environment)
    assert again == report, "the verdict is kept"
    assert fault != "hang" or time.monotonic() - started < 4


def choose(found: list[FoundDevice], preferred: bool) -> str:
    """The platform that 'cpu' selects, or one that it does not."""
    from nnef_cl.device import choose_device

    first = choose_device("cpu").device.info.platform
    return first if preferred else next(d.info.platform for d in found if d.info.platform != first)


@needs_two
def test_a_new_driver_version_is_tried_again(tmp_path: Path) -> None:
    platform = choose(FOUND, True)
    assert run(tmp_path, **faulty("build", platform))["problems"][platform]
    mend = (
        "from nnef_cl.device import facts, discovery; from dataclasses import replace; read = facts.read_info\n"
        "discovery.read_info = lambda *a: replace(read(*a), driver_version='mended')\n"
    )
    assert not run(tmp_path, mend + REPORT)["problems"][platform]


def library(folder: Path, name: str, body: str) -> Path:
    """An .icd file that names a library whose constructor does something."""
    source, made = folder / f"{name}.c", folder / f"{name}.so"
    source.write_text(
        "#include <stdlib.h>\n#include <unistd.h>\n"
        f"__attribute__((constructor)) static void start(void) {{ {body} }}\n"
        "void *clGetExtensionFunctionAddress(const char *name) { return 0; }\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(made), str(source)], check=True)
    (folder / "vendors").mkdir(exist_ok=True)
    icd = folder / "vendors" / f"{name}.icd"
    icd.write_text(str(made))
    return icd


@needs_cc
@pytest.mark.skipif(not FOUND, reason="needs a CPU runtime")
def test_libraries_that_kill_or_block_are_left_out(tmp_path: Path) -> None:
    killer, blocker = library(tmp_path, "killer", "abort();"), library(tmp_path, "blocker", "sleep(1000);")
    environment = {"OCL_ICD_VENDORS": str(tmp_path / "vendors"), "NNEF_CL_PROBE_SECONDS": "4"}
    code = "import os\n" + REPORT + "\nassert 'vendors' in os.environ['OCL_ICD_VENDORS']"
    report = run(tmp_path / "cache", code, **environment)
    notes = dict(note.split(" is left out: ") for note in report["notes"])
    assert notes[str(killer)] == "the process died of SIGABRT"
    assert notes[str(blocker)] == "no answer within 4 s"
    bundled = [d.info.platform for d in FOUND if d.info.library]
    assert set(bundled) <= set(report["problems"]) and not any(report["problems"].values())
    started = time.monotonic()
    assert run(tmp_path / "cache", code, **environment)["notes"] == report["notes"]
    assert time.monotonic() - started < 4, "the verdict is kept"


def test_an_empty_list_is_explained(tmp_path: Path) -> None:
    (tmp_path / "vendors").mkdir()
    code = (
        "import json\nfrom nnef_cl.device import libraries\nlibraries.libraries = lambda runtimes: []\n"
        "import pyopencl, os; os.environ['PYOPENCL_HOME'] = '/nowhere'\n"
        "from nnef_cl.device.doctor import examine\n"
        "print(json.dumps([[f.good, f.subject, f.text, f.repair] for f in examine()]))"
    )
    findings = run(tmp_path / "cache", code, OCL_ICD_VENDORS=str(tmp_path / "vendors"))
    assert [None, "system runtimes", f"no .icd files in {tmp_path / 'vendors'}", ""] in findings
    good, subject, text, repair = findings[-1]
    assert (good, subject, text) == (False, "devices", "none found") and "install" in repair


def test_probing_can_be_switched_off(tmp_path: Path) -> None:
    if not FOUND:
        pytest.skip("needs a CPU runtime")
    report = run(tmp_path, NNEF_CL_PROBE="off", **faulty("build", FOUND[0].info.platform))
    assert not any(report["problems"].values())
    assert not (tmp_path / "verdict").exists()


def test_capabilities_are_what_was_tried(selector: str) -> None:
    [info] = [d.info for d in discover().devices if d.info.index == selector]
    capabilities = trust().capabilities(info)
    assert isinstance(capabilities, Capabilities)
    assert capabilities.local_memory >= 16384 and capabilities.local_memory <= info.local_memory
    assert 0 < capabilities.largest_allocation <= info.max_allocation
    assert not capabilities.inline_assembly or info.type != "cpu"

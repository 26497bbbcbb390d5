"""Ceilings of a device and profiles of runs: checked results, numbers that add up, files that others can read."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import nnef_cl
from nnef_cl import peak
from nnef_cl.commands import app
from nnef_cl.demo import model_folder
from nnef_cl.device import open_device
from nnef_cl.errors import DeviceError
from nnef_cl.ops import INTERNAL, STANDARD
from nnef_cl.ops.work import count_flops
from nnef_cl.peak import Peak, peak_of
from nnef_cl.profiling import launched, profile, trace

OPS = STANDARD | INTERNAL


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "COPY_BYTES", 1 << 20)
    monkeypatch.setattr(peak, "LONG_ENOUGH", 0.001)


def test_ceilings_are_measured_once(selector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device = open_device(selector)
    measured = peak_of(device, again=True)
    assert measured.flops > 1e8 and measured.bandwidth > 1e7
    monkeypatch.setattr(peak, "_seconds", None)
    assert peak_of(device) == measured


def test_a_check_keeps_what_is_higher(selector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device = open_device(selector)
    for again, flops, bandwidth in ((True, 4.0, 3.0), (False, 2.0, 5.0)):
        monkeypatch.setattr(peak, "_flops", lambda device, runs, now=flops: now)
        monkeypatch.setattr(peak, "_bandwidth", lambda device, runs, now=bandwidth: now)
        kept = peak_of(device, again=again, check=True)
    assert kept == peak_of(device) == Peak(4.0, 5.0)
    assert peak_of(device, again=True) == Peak(2.0, 5.0)


def test_wrong_results_give_no_ceiling(selector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device = open_device(selector)
    read = device.queue.read
    monkeypatch.setattr(device.queue, "read", lambda buffer, array: read(buffer, array) + np.float32(1))
    with pytest.raises(DeviceError, match=r"multiply-adds give|differs from its source"):
        peak_of(device, again=True)


def test_share_of_the_nearer_ceiling() -> None:
    ceilings = Peak(flops=100.0, bandwidth=10.0)
    assert ceilings.share(flops=50, nbytes=1, seconds=1) == 0.5
    assert ceilings.share(flops=1, nbytes=8, seconds=1) == 0.8
    assert ceilings.share(flops=1, nbytes=8, seconds=0) == 0.0


def test_a_profile_adds_up(selector: str) -> None:
    with nnef_cl.load(model_folder(), device=selector, shapes={"image": (16, 1, 8, 8)}, profile=True) as session:
        session.run({"image": np.random.default_rng(0).random((16, 1, 8, 8), np.float32)})
        result = profile(session, OPS, 3)
        assert [one.kernel for one in result.launches] == [step.kernel.name for step in session.plan.steps]
        assert sum(one.flops for one in result.launches) == count_flops(session.graph, OPS) > 0
        assert sum(row.seconds for row in result.rows) == pytest.approx(result.seconds) and result.seconds > 0
        assert [row.seconds for row in result.rows] == sorted((r.seconds for r in result.rows), reverse=True)
    events: list[Any] = trace(result)
    assert [event["name"] for event in events] == [one.node for one in result.launches]
    for before, after in itertools.pairwise(events):
        assert before["ts"] + before["dur"] == pytest.approx(after["ts"])


def test_work_counts_at_the_longest_launch_of_a_node(selector: str) -> None:
    with nnef_cl.load(model_folder(), device=selector) as session:
        seconds = [float(number) for number, _ in enumerate(session.plan.steps)]
        found = launched(session.plan, session.graph, OPS, seconds)
    last = {one.node: one for one in found}
    assert all(one.bytes == 0 for one in found if one is not last[one.node])
    assert all(one.bytes > 0 for one in last.values())


def test_the_command(selector: str, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("p.json", "t.json", "r.png")]
    command = ["profile", str(model_folder()), "-d", selector, "-b", "8", "-n", "2", "--top", "1"]
    done = CliRunner().invoke(app, [*command, "--json", str(files[0]), "--trace", str(files[1]), "--plot", str(files[2])])
    assert done.exit_code == 0, done.output
    assert "kernels not shown" in done.stdout and "of the time taken" in done.stdout
    report = json.loads(files[0].read_text())
    assert report["seconds"] == pytest.approx(sum(one["seconds"] for one in report["launches"]))
    assert len(json.loads(files[1].read_text())["traceEvents"]) == len(report["launches"])
    assert files[2].read_bytes().startswith(b"\x89PNG")


def test_the_peak_command(selector: str) -> None:
    report = json.loads(CliRunner().invoke(app, ["peak", "-d", selector, "--json"]).stdout)
    assert report["device"]["index"] == selector and report["flops"] > 0 and report["bandwidth"] > 0
    assert "GFLOP/s" in CliRunner().invoke(app, ["peak", "-d", selector]).stdout

"""Tuning on a device: measured points are checked, kept, used by later loads, and can be left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import nnef_cl
from nnef_cl.commands import app
from nnef_cl.conformance.case import case, f32, weights
from nnef_cl.conformance.harness import OPS, family_graph
from nnef_cl.demo import model_folder
from nnef_cl.device import open_device
from nnef_cl.device.cache import Cache
from nnef_cl.device.points import Points, Tuned
from nnef_cl.session import Session
from nnef_cl.tuning import on_device
from nnef_cl.tuning.network import network_gain
from nnef_cl.tuning.tasks import tasks_of

pytestmark = pytest.mark.many_kernels


def invoke(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def algorithms(**options: Any) -> list[str]:
    with nnef_cl.load(model_folder(), **options) as session:
        return [step.algorithm for step in session.plan.steps if step.op == "conv"]


def test_tune_keeps_points_that_later_loads_use(
    selector: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNEF_CL_CACHE", str(tmp_path))
    done = invoke("tune", model_folder(), "--level", "fast", "--device", selector, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["problems"] == len(report["tasks"]) > 0
    for task in report["tasks"]:
        assert task["level"] == "fast" and task["rejected"] == [] and task["points"] and not task["known"]
        assert 0 < task["seconds"] <= task["untuned"]
    again = json.loads(invoke("tune", model_folder(), "--level", "fast", "--device", selector, "--json").stdout)
    assert all(task["known"] for task in again["tasks"])
    assert all(name.endswith(", tuned") for name in algorithms(device=selector))
    assert not any("tuned" in name for name in algorithms(device=selector, tuning=False))
    assert not any("winograd" in name for name in algorithms(device=selector, precision="exact"))
    monkeypatch.setenv("NNEF_CL_TUNING", "off")
    assert not any("tuned" in name for name in algorithms(device=selector))
    assert f"{report['problems']} problems on" in invoke("cache").stdout


def test_without_a_cache_nothing_can_be_kept(selector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNEF_CL_CACHE", "off")
    done = invoke("tune", model_folder(), "--device", selector)
    assert done.exit_code == 1 and "cannot be kept" in done.stderr


def test_the_network_is_compared_where_points_change_it(selector: str, tmp_path: Path) -> None:
    one = case("matmul", f32(1, 24, 9), weights(1, 9, 70))
    graph, _ = family_graph([one])
    device, store = open_device(selector), Points(open_device(selector).info, Cache(tmp_path), {})
    assert network_gain(graph, device, OPS, store) is None
    with Session(graph, device, OPS) as session:
        [task] = tasks_of(session.graph, OPS, device.target)
    candidate = task.candidates[-1]
    store.put(task.text, Tuned((candidate.points[-1],), "full", 1.0, 1.0))
    found = network_gain(graph, device, OPS, store)
    assert found is not None and found.untuned > 0 and found.lead.low <= found.lead.median * 1.5
    trial = on_device(device, OPS)(task)(candidate)
    assert trial.seconds() > 0 and all(np.isfinite(array).all() for array in trial.outputs().values())
    trial.close()

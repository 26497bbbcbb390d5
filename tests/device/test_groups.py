"""Several devices share the requests of one session; one that fails is taken out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnef_cl
from nnef_cl.device import discover
from nnef_cl.device.config import active_rules, parse_rules
from nnef_cl.errors import DeviceError
from nnef_cl.turns import Turns
from tests.device.test_streams import inputs

CPUS = [found.info.index for found in discover().devices if found.info.type == "cpu"][:2]
pytestmark = pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPU runtimes")
GROUP = "+".join(CPUS)


def failing(real: Callable[[], Any], after: int) -> Callable[[], Any]:
    """An `enqueue` that fails from some call on."""
    calls = 0

    def enqueue() -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            raise DeviceError("the device has gone")
        return real()

    return enqueue


def test_devices_share_the_requests(net: Path) -> None:
    xs = inputs(8)
    with nnef_cl.load(net, device=GROUP, streams=2) as session:
        assert session.streams == 4 and [info.index for info in session.devices] == CPUS
        expected = [session.run(x)["y"] for x in xs]
        with ThreadPoolExecutor(4) as threads:
            got = list(threads.map(session.run, xs * 50))
        got += session.map(xs * 50)
        for k, outputs in enumerate(got):
            np.testing.assert_allclose(outputs["y"], expected[k % 8], rtol=1e-5, atol=1e-6)
        assert sum(session.served.values()) == 8 + 800
        assert set(session.served) == set(CPUS) and min(session.served.values()) > 0
        assert session.memory["weights"] > 0 and all(index in CPUS for index in session.served)


def test_a_device_that_fails_is_taken_out(
    net: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    xs = inputs(8)
    with nnef_cl.load(net, device=GROUP, streams=2) as session:
        expected = [session.run(x)["y"] for x in xs]
        for stream in session._pool.replicas[0].streams:
            monkeypatch.setattr(stream, "enqueue", failing(stream.enqueue, 3))
        with caplog.at_level(logging.WARNING, "nnef_cl.device"):
            for _ in range(50):  # a busy machine may leave the failing device a few requests only
                futures = [session.submit(x) for x in xs * 100]
                for k, future in enumerate(futures):
                    np.testing.assert_allclose(future.result()["y"], expected[k % 8], rtol=1e-5, atol=1e-6)
                if caplog.records:
                    break
        warnings = [record.message for record in caplog.records if record.name == "nnef_cl.device"]
        assert len(warnings) == 1 and "the device has gone" in warnings[0]
        assert session.served[CPUS[1]] >= 700
        with pytest.raises(DeviceError, match="failed"):
            session.run(xs[0], stream=0)


def test_the_last_device_stays(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = inputs(1)[0]
    with nnef_cl.load(net, device=GROUP) as session:
        expected = session.run(x)["y"]
        with monkeypatch.context() as patched:
            for stream in session._pool.streams:
                patched.setattr(stream, "enqueue", failing(stream.enqueue, 0))
            for _ in range(3):
                with pytest.raises(DeviceError, match="gone"):
                    session.run(x)
        np.testing.assert_allclose(session.run(x)["y"], expected, rtol=1e-5)


def test_variables_stay_with_their_device(counter: Path) -> None:
    one = {"x": np.ones((1, 4), np.float32)}
    with nnef_cl.load(counter, device=GROUP) as session:
        for k in range(3):
            assert session.run(one, stream=1)["y"][0, 0] == k + 1
        assert session.run(one, stream=0)["y"][0, 0] == 1
        assert session.served == dict(zip(CPUS, (1, 3), strict=True))


def test_a_group_with_a_name(net: Path) -> None:
    rules = active_rules().extended(parse_rules(f'groups:\n  both: ["{CPUS[0]}", "{CPUS[1]}"]\n', "devices.yaml"))
    with nnef_cl.load(net, device="Both", rules=rules) as session:
        assert [info.index for info in session.devices] == CPUS
        assert "both" in session.reason.lower() or CPUS[1] in session.reason


def test_turns_outlast_a_stream_that_goes() -> None:
    turns = Turns(3)
    with turns.take(1) as number:
        assert number == 1 and turns.retire([0, 1]) == (True, True)
        with turns.take() as other:
            assert other == 2 and turns.retire([2]) == (False, False)
    assert turns.retire([0, 1]) == (False, True)
    with pytest.raises(DeviceError, match="stream 1 has failed"), turns.take(1):
        pass
    released = []
    turns.end(lambda: released.append(1))
    assert released == [1]

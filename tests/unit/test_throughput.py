"""Measuring many requests: arrivals, latencies that count from when a request was due, shares, verdicts, the command."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from nnef_cl.commands import app
from nnef_cl.commands.throughput import Arrivals, Asked, gathered, in_turn, loop_facts, traffic_of
from nnef_cl.demo import model_folder
from nnef_cl.errors import Error, InputError, UsageError
from nnef_cl.gathering import Batching
from nnef_cl.throughput import Served, Shares, Traffic, alone_seconds, drive, requests_for

MODEL = str(model_folder())


def done_at_once() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future


# Loops -----------------------------------------------------------------------------------------------------
def test_arrivals_are_seeded_and_have_the_rate() -> None:
    poisson = Traffic(2000, rate=50.0, seed=3).arrivals()
    assert poisson == Traffic(2000, rate=50.0, seed=3).arrivals() != Traffic(2000, rate=50.0, seed=4).arrivals()
    assert poisson == sorted(poisson) and poisson[-1] == pytest.approx(40, rel=0.1)
    assert np.std(np.diff(poisson)) == pytest.approx(0.02, rel=0.1)
    assert Traffic(4, rate=50.0, poisson=False).arrivals() == pytest.approx([0.02, 0.04, 0.06, 0.08])


@pytest.mark.parametrize("in_flight", [1, 3])
def test_a_closed_loop_keeps_so_many_under_way(in_flight: int) -> None:
    lock, now, most = threading.Lock(), 0, []

    def work() -> None:
        nonlocal now
        with lock:
            now += 1
            most.append(now)
        time.sleep(0.003)
        with lock:
            now -= 1

    with ThreadPoolExecutor(8) as pool:
        served = drive(lambda: pool.submit(work), Traffic(12, in_flight))
    assert len(served.done) == 12 and max(most) == in_flight == served.under_way[1]
    assert min(served.latencies) >= 0.003 and served.due == served.sent
    assert served.per_second == pytest.approx(12 / served.wall)


def test_a_sender_that_is_held_up_makes_latencies_longer() -> None:
    first = iter([0.08])

    def submit() -> Future[None]:
        time.sleep(next(first, 0))
        return done_at_once()

    served = drive(submit, Traffic(20, rate=1000.0, poisson=False))
    assert served.due == tuple(Traffic(20, rate=1000.0, poisson=False).arrivals())
    assert min(served.latencies) > 0.05  # all were due while the first was being sent
    assert served.under_way[1] == 20
    assert max(sent - due for sent, due in zip(served.sent, served.due, strict=True)) > 0.05


def test_an_open_loop_does_not_wait_for_answers() -> None:
    with ThreadPoolExecutor(1) as pool:
        served = drive(lambda: pool.submit(time.sleep, 0.01), Traffic(10, rate=1000.0, poisson=False))
    assert served.sent[-1] < 0.06 and served.done[-1] >= 0.1
    assert served.latencies == sorted(served.latencies)  # the queue grows
    assert served.offered == pytest.approx(1000) and served.per_second < 110


def test_an_error_ends_the_measurement() -> None:
    def broken() -> None:
        raise InputError("broken")

    with ThreadPoolExecutor(1) as pool, pytest.raises(InputError, match="broken"):
        drive(lambda: pool.submit(broken), Traffic(5))
    with ThreadPoolExecutor(1) as pool, pytest.raises(InputError, match="broken"):
        drive(lambda: pool.submit(broken), Traffic(1, rate=1000.0))


def test_statistics_of_what_was_served() -> None:
    served = Served(due=(0.0, 1.0, 1.0), sent=(0.0, 1.0, 2.0), done=(1.0, 3.0, 4.0))
    assert served.latencies == [1.0, 2.0, 3.0] and served.wall == 4.0 and served.per_second == 0.75
    assert served.offered == 2.0 and served.under_way == (1.5, 2) and served.percentile(50) == 2.0
    facts = loop_facts([served, served], items=8)
    assert facts["requests"] == 6 and facts["throughput_per_s"] == pytest.approx(6) and facts["blocks_per_s"] == [6, 6]
    assert facts["latency_ms"]["p50"] == 2000 and facts["latency_ms"]["max"] == 3000
    assert facts["sent_late_ms"]["p99"] == pytest.approx(1000, rel=0.1) and facts["under_way"] == {"mean": 1.5, "max": 2}


@pytest.mark.parametrize(
    ("device", "transfer", "traffic", "verdict"),
    [
        (0.09, 0.0, Traffic(1), "device bound"),
        (0.18, 0.01, Traffic(1), "device bound"),  # two streams overlap
        (0.03, 0.06, Traffic(1), "transfer bound"),
        (0.03, 0.01, Traffic(1), "host bound"),
        (None, 0.06, Traffic(1), ""),
        (0.09, 0.0, Traffic(1, rate=10.0), "waits for requests"),
        (0.09, 0.0, Traffic(1, rate=100.0), "device bound"),
    ],
)
def test_verdicts(device: float | None, transfer: float, traffic: Traffic, verdict: str) -> None:
    ten_per_second = tuple(0.1 * k for k in range(1, 11))
    due = tuple(time - 0.1 for time in ten_per_second) if traffic.rate != 100.0 else tuple(0.01 * k for k in range(10))
    served = Served(due, due, ten_per_second)
    assert Shares(0.1, device, transfer).verdict(served, traffic) == verdict
    shares = Shares(0.1, device, transfer).of(served)
    assert shares == {} if device is None else shares["device"] == pytest.approx(10 * device)


def test_how_many_requests_fit() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert alone_seconds(lambda: pool.submit(time.sleep, 0.002)) >= 0.002
        assert 10 <= requests_for(0.2, lambda: pool.submit(time.sleep, 0.002), 2, 1) <= 100
    assert requests_for(0.0, done_at_once, 1, 20) == 20


@pytest.mark.parametrize(("parallel", "most"), [({}, 2), ({"a": 1, "b": 5}, 5)])
def test_every_engine_has_at_least_as_many_under_way_as_it_runs_at_a_time(
    parallel: dict[str, int], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    traffics: dict[str, list[Traffic]] = {"a": [], "b": []}

    def note(submit: str, traffic: Traffic) -> Served:
        traffics[submit].append(traffic)
        return Served((0.0,), (0.0,), (1.0,))

    monkeypatch.setattr("nnef_cl.throughput.drive", note)
    names: dict[str, Any] = {"a": "a", "b": "b"}
    served = in_turn(names, Traffic(20, 2), 2, parallel)
    assert {name: len(found) for name, found in served.items()} == {"a": 2, "b": 2}
    for name, under_way in (("a", 2), ("b", most)):
        block = [Traffic(under_way, under_way), Traffic(20, under_way)]
        assert traffics[name] == [*block, block[0], Traffic(20, under_way, seed=1)]


# The command -----------------------------------------------------------------------------------------------
def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["bench", MODEL, *[str(one) for one in arguments]])


def asked(**options: Any) -> Asked:
    given = dict.fromkeys(("streams", "requests", "rate", "in_flight", "batching", "batches", "hint")) | {
        "arrivals": Arrivals.poisson, "sweep": False, "seconds": 1.0, "blocks": 2, "seed": 0,
    }  # fmt: skip
    return Asked(**(given | options))


def test_what_asks_for_many_requests() -> None:
    assert not asked().wanted and not asked(hint="throughput").wanted
    assert all(asked(**one).wanted for one in ({"streams": "2"}, {"requests": 1}, {"rate": 1.0}, {"sweep": True}, {"batching": Batching()}))
    assert asked().loaded == "auto" and asked(hint="latency").loaded == 1 and asked(streams="3").loaded == 3
    assert asked().under_way(2) == 4 and asked(hint="latency").under_way(2) == 2 and asked(in_flight=7).under_way(2) == 7
    assert asked(batching=Batching(8)).under_way(2) == 32 and asked(batching=Batching(8), in_flight=7).under_way(2) == 7


def test_what_is_gathered() -> None:
    assert gathered(None) is None and gathered("16") == Batching(16) and gathered("16,0.5") == Batching(16, 0.5)


@pytest.mark.parametrize(
    ("options", "requests", "blocks"),
    [({"requests": 33}, 17, 2), ({"rate": 100.0}, 17, 6), ({"requests": 9}, 9, 1), ({"seconds": 1e-9}, 20, 1)],
)
def test_blocks_are_long_enough_for_batches(options: dict[str, Any], requests: int, blocks: int) -> None:
    """Of twice the 8 requests that are under way, at least."""
    traffic, count = traffic_of(asked(batching=Batching(4), **options), 1, done_at_once, 10)
    assert (traffic.requests, traffic.in_flight, count) == (requests, 8, blocks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--streams 0", "--streams '0': expected a number"),
        ("--streams 1,2", "--streams '1,2': expected a number"),
        ("--rate 0", "--rate: expected a number above 0"),
        ("--rate nan", "--rate: expected a number above 0"),
        ("--rate 5 --in-flight 2", "--in-flight is for a closed loop"),
        ("--sweep --rate 5", "--sweep goes with neither"),
        ("--sweep --batches 1,x", "--batches '1,x': expected numbers"),
        ("--batches 1", "--batches is for --sweep"),
        ("--streams 2 --baseline x.json", "x.json"),
        ("--batching 8,", "--batching '8,': expected requests and perhaps milliseconds"),
        ("--batching x", "--batching 'x': expected"),
        ("--batching 1", "--batching '1': max_size: expected 2 to 1024 requests, got 1"),
        ("--batching 8,60001", "--batching '8,60001': max_delay_ms: expected 0 to 60000"),
        ("--batching 8 --sweep", "--batching goes with neither --sweep nor --vs"),
        ("--batching 8 --vs onnxruntime", "--batching goes with neither --sweep nor --vs"),
        ("--batching 8 --hint latency", "--batching needs many requests under way"),
        ("--batching 8 --in-flight 3", "--in-flight 3: batches of --batching 8 need 4 requests under way"),
        ("--batching 8 --baseline BEFORE", "--baseline compares single runs"),
        ("--hint throughput --baseline BEFORE", "--baseline compares single runs"),
    ],
)
def test_wrong_usage(tmp_path: Path, options: str, message: str) -> None:
    before = tmp_path / "before.json"
    before.write_text('{"schema": 2}')
    result = invoke(*options.replace("BEFORE", str(before)).split())
    assert result.exit_code in (1, 2) and message in result.stderr, result.output


@pytest.fixture(scope="module")
def _device() -> None:
    from nnef_cl.device import discover, select

    try:
        select(discover())
    except Error as error:
        pytest.skip(str(error).splitlines()[0])


needs_device = pytest.mark.usefixtures("_device")


@needs_device
@pytest.mark.parametrize("options", ["--streams 2 --requests 30", "--rate 400 -t 0.1", "--in-flight 3 --requests 21 --hint latency", "--hint throughput -t 0.1"])
def test_loops_are_reported(tmp_path: Path, options: str) -> None:
    result = invoke(*options.split(), "-b", 4, "--json", tmp_path / "b.json", "--plot", tmp_path / "b.png")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "b.json").read_text())
    facts, shares = report["engines"]["nnef-cl"], report["shares"]
    least = {"--st": 30, "--ra": 40, "--in": 21}.get(options[:4])
    assert (facts["requests"] == least if least else facts["requests"] >= 20) and report["batch"] == 4
    latency = facts["latency_ms"]
    assert 0 < latency["min"] <= latency["p50"] <= latency["p90"] <= latency["p95"] <= latency["p99"] <= latency["max"]
    assert facts["throughput_per_s"] == pytest.approx(sum(facts["blocks_per_s"]))
    assert set(shares["of_wall"]) == {"device", "transfer", "host_or_idle"} and shares["verdict"]
    assert report["streams"] == {"--st": 2, "--in": 1}.get(options[:4], report["streams"])
    for word in ("requests ", "throughput ", "latency ", "queueing ", "occupancy ", shares["verdict"]):
        assert word in result.stdout
    assert (tmp_path / "b.png").read_bytes()[:4] == b"\x89PNG"


@needs_device
@pytest.mark.parametrize("options", ["--streams 1 --requests 24", "--rate 400 -t 0.1", "--in-flight 3 --requests 24"])
def test_gathered_requests_are_reported(tmp_path: Path, options: str) -> None:
    result = invoke("--batching", "2,50", *options.split(), "-b", 2, "--json", tmp_path / "b.json")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "b.json").read_text())
    facts, blocks = report["batching"], report["traffic"]["blocks"]
    assert (facts["max_size"], facts["max_delay_ms"]) == (2, 50) and facts["batches"] > 0
    assert 2 * facts["batches"] >= facts["batched"] > 0
    assert facts["batched"] + facts["alone"] == blocks * report["traffic"]["requests"]
    assert set(report["engines"]) == {"nnef-cl", "one by one"} and report["leads"]["one by one"]["median"] > 0
    assert report["shares"]["of_wall"] == {}
    assert report["traffic"]["in_flight"] == (3 if "--in-flight" in options else 4 * report["streams"])
    assert "gathered " in result.stdout and "\none by one " in result.stdout and "occupancy" not in result.stdout


@needs_device
def test_sweep(tmp_path: Path) -> None:
    arguments = ("--sweep", "--batches", "1,2", "--streams", "1,2", "--requests", 20)
    result = invoke(*arguments, "--json", tmp_path / "s.json", "--plot", tmp_path / "s.png")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "s.json").read_text())
    assert [(point["batch"], point["streams"]) for point in report["sweep"]] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert "most items/s" in result.stdout and (tmp_path / "s.png").read_bytes()[:4] == b"\x89PNG"


@needs_device
def test_a_batch_that_a_network_has_not_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "graph.nnef").write_text(
        "version 1.0; graph g(x) -> (y) { x = external(shape = [2, 3]); y = reshape(x, shape = [3, 2]); }"
    )
    command = ["bench", str(tmp_path), "--sweep", "--batches", "1,2", "--streams", "1", "--requests", "5"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0 and "batch 1 is left out: " in result.stderr, result.output
    assert CliRunner().invoke(app, [*command[:4], "3", *command[5:]]).exit_code == 1


@needs_device
@pytest.mark.parametrize("peer", ["onnxruntime", "openvino", "tract"])
def test_peers_get_the_same_requests(tmp_path: Path, peer: str) -> None:
    for package in ("onnx", peer):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    for options in (("--streams", 1), ("--rate", 500)):
        result = invoke(*options, "--requests", 40, "--vs", peer, "--blocks", 2, "--json", tmp_path / "b.json")
        assert result.exit_code == 0, result.output
        report = json.loads((tmp_path / "b.json").read_text())
        assert [report["engines"][name]["requests"] for name in ("nnef-cl", peer)] == [40, 40]
        assert report["leads"][peer]["median"] > 0 and report["software"][peer] and f"\n{peer} " in result.stdout


def test_a_list_of_numbers() -> None:
    from nnef_cl.commands.throughput import numbers

    assert numbers("4,1,2,2", "--x") == [1, 2, 4]
    with pytest.raises(UsageError, match="expected numbers"):
        numbers("", "--x")

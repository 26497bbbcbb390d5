"""Comparison with other engines: order of blocks, statistics, refusals, baselines; no engine and no clock take part."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nnef_cl.commands import baseline
from nnef_cl.errors import Error, InputError, UsageError
from nnef_cl.peers import PEERS, find_peers, interleave, versus
from nnef_cl.peers.engine import Engine, Hint, pooled, together

HERE = Path(__file__)


def fake(name: str, log: list[str], parallel: int = 1) -> Engine:
    many = lambda count: log.append(f"{name} x {count}")  # noqa: E731
    return Engine(name, lambda: log.append(name) or [], many, parallel=parallel)


def schedule(
    names: str, blocks: int, monkeypatch: pytest.MonkeyPatch, hint: Hint, parallel: Mapping[str, int] | None = None
) -> tuple[list[str], Any]:
    log: list[str] = []
    engines = [fake(name, log, (parallel or {}).get(name, 1)) for name in names]
    monkeypatch.setattr(interleave.time, "sleep", lambda seconds: log.append("pause"))
    times = interleave.interleave(engines, blocks, hint)
    return log, times


def test_a_block_is_a_pause_an_untimed_run_and_six(monkeypatch: pytest.MonkeyPatch) -> None:
    log, times = schedule("ab", 2, monkeypatch, Hint.latency)
    assert log == [step for name in "abba" for step in ["pause", *[name] * 7]]
    assert {name: [len(b) for b in blocks] for name, blocks in times.items()} == {"a": [6, 6], "b": [6, 6]}


def test_order_rotates(monkeypatch: pytest.MonkeyPatch) -> None:
    log, _ = schedule("abc", 6, monkeypatch, Hint.latency)
    assert "".join(log[1::8]) == "abc" "cba" "bca" "acb" "cab" "bac"


def test_throughput_blocks_suit_what_each_engine_has_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interleave, "LASTING", 0)
    counts = {1: 6, 2: 6, 4: 12, 5: 15, 16: 48}
    for parallel, count in counts.items():
        log, times = schedule("ab", 2, monkeypatch, Hint.throughput, {"b": parallel})
        blocks = {"a": ["pause", "a x 1", "a x 6"], "b": ["pause", f"b x {parallel}", f"b x {count}"]}
        assert log == [step for name in "abba" for step in blocks[name]]
        assert {name: [len(block) for block in found] for name, found in times.items()} == {"a": [1, 1], "b": [1, 1]}


def test_together_starts_all_before_it_waits() -> None:
    begun: list[int] = []
    all_begun = threading.Barrier(4, timeout=20)

    def run() -> None:
        begun.append(1)
        all_begun.wait()

    together(pooled(run, 4))(4)
    assert len(begun) == 4

    def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        together(pooled(broken, 2))(2)


class FakeQueue:
    """OpenVINO's AsyncInferQueue of a network with three requests in throughput mode."""

    def __init__(self, compiled: Any) -> None:
        self.compiled, self.started = compiled, 0

    def __len__(self) -> int:
        return 3 if self.compiled.settings["PERFORMANCE_HINT"] == "THROUGHPUT" else 1

    def start_async(self, given: Any, *, share_inputs: bool) -> None:
        self.started += 1
        self.compiled.started.append(given)

    def wait_all(self) -> None:
        assert self.started


class FakeNetwork:
    def __init__(self, path: str, device: str, settings: dict[str, Any]) -> None:
        self.settings, self.started = settings, []

    def __call__(self, given: Any) -> dict[str, np.ndarray]:
        return {"y": given["x"]}


@pytest.mark.parametrize(("hint", "parallel"), [(Hint.latency, 1), (Hint.throughput, 3)])
def test_openvino_is_in_its_own_mode(hint: Hint, parallel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    networks: list[FakeNetwork] = []

    def compile_model(*arguments: Any) -> FakeNetwork:
        networks.append(FakeNetwork(*arguments))
        return networks[-1]

    openvino = SimpleNamespace(Core=lambda: SimpleNamespace(compile_model=compile_model), AsyncInferQueue=FakeQueue)
    monkeypatch.setitem(sys.modules, "openvino", openvino)
    engine = versus.Peer("openvino").open(HERE, {"x": np.ones(2)}, 4, hint)
    assert networks[0].settings["PERFORMANCE_HINT"] == hint.name.upper() and engine.parallel == parallel
    assert networks[0].settings["INFERENCE_NUM_THREADS"] == 4
    assert engine.many is not None and engine.many(6) is None and len(networks[0].started) == 6


@pytest.mark.parametrize(("hint", "threads_each", "parallel"), [(Hint.latency, 4, 1), (Hint.throughput, 1, 4)])
def test_onnxruntime_shares_threads_out(
    hint: Hint, threads_each: int, parallel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def session(path: str, options: Any, providers: list[str]) -> SimpleNamespace:
        made.append(options)
        return SimpleNamespace(run=lambda names, given: [given["x"]])

    fake_package = SimpleNamespace(SessionOptions=SimpleNamespace, InferenceSession=session)
    monkeypatch.setitem(sys.modules, "onnxruntime", fake_package)
    engine = versus.Peer("onnxruntime").open(HERE, {"x": np.ones(2)}, 4, hint)
    assert made[0].intra_op_num_threads == threads_each and engine.parallel == parallel


TIMES = {
    "ours": [[0.002, 0.003, 0.004], [0.006, 0.005, 0.001]], "a": [[0.002, 0.001, 0.003], [0.005, 0.005, 0.007]],
    "b": [[0.009, 0.009, 0.009], [0.009, 0.009, 0.009]],
}  # fmt: skip


def test_statistics() -> None:
    found = versus.Comparison(2, Hint.latency, {"ours": 1}, {"ours": 1e-7, "b": 2e-7}, TIMES, {"a": "1", "b": "2"})
    assert found.peers == ["a", "b"] and found.faster_peer == "a"
    facts = json.loads(json.dumps(found.facts()))
    assert facts["ms"]["ours"] == pytest.approx({"min": 1.0, "median": 3.5})
    assert facts["ms"]["a"] == pytest.approx({"min": 1.0, "median": 4.0})
    assert facts["lead"]["ours"] == pytest.approx({"median": 4.0 / 3.5, "low": 2 / 3, "high": 1.0})
    assert facts["runs_ms"]["b"] == [[9.0] * 3] * 2 and facts["hint"] == "latency"
    assert facts["ours"] == ["ours"] and facts["streams"] == {"ours": 1}
    assert found.lead("ours", "b").median == pytest.approx(9 / 3.5)


def test_disagreement() -> None:
    expected = np.array([[1.0, -4.0]], np.float32)
    assert versus.disagreement(expected, expected) == 0.0
    assert versus.disagreement(expected + 0.5, expected) == pytest.approx(0.125)
    assert versus.disagreement(expected * 0 + 0.5, expected * 0) == 0.5
    assert versus.disagreement(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5])) == 0.25


@pytest.mark.parametrize("got", [[[1.0, np.nan]], [[1.0, np.inf]], [1.0, -4.0], [[1.0]]])
def test_wrong_outputs_never_pass(got: list[object]) -> None:
    expected = np.array([[1.0, -4.0]], np.float32)
    assert versus.disagreement(np.array(got, np.float32), expected) > versus.TOLERANCE


class Session:
    """What `versus.compare` asks of a session. submitted: how many requests."""

    device = SimpleNamespace(type="cpu")
    plan = SimpleNamespace(target=SimpleNamespace(compute_units=3))

    def __init__(self, value: float, streams: int = 1) -> None:
        self.value, self.streams = value, streams
        self.submitted = 0

    def run(self, inputs: Any) -> dict[str, np.ndarray]:
        return {"y": np.array([self.value, 2.0], np.float32)}

    def submit(self, inputs: Any) -> Future[dict[str, np.ndarray]]:
        self.submitted += 1
        future: Future[dict[str, np.ndarray]] = Future()
        future.set_result(self.run(inputs))
        return future


class Peer:
    name, version = "other", "1.0"

    def open(self, model: Path, inputs: Any, threads: int, hint: Hint) -> Engine:
        assert threads == 3
        run = lambda: [np.array([1.0, 2.0], np.float32)]  # noqa: E731
        return Engine(self.name, run, together(pooled(run, threads)), parallel=threads)


def compare(value: float) -> versus.Comparison:
    sessions: Any = {"ours": Session(value)}
    peers: Sequence[Any] = [Peer()]
    return versus.compare(sessions, HERE, {}, peers, blocks=1)


def test_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interleave.time, "sleep", lambda seconds: None)
    found = compare(1.0)
    assert found.errors == {"ours": 0.0} and found.versions == {"other": "1.0"} and found.threads == 3


def test_throughput_blocks_last() -> None:
    lasting = interleave.LASTING
    assert [interleave.rounds(one) for one in (1.0, lasting / 9.5, 1e-9, 0.0)] == [3, 10, 1000, 1000]


def test_a_session_has_its_streams_busy_for_throughput(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interleave.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(interleave, "LASTING", 0)
    assert (versus.streams_for(Hint.latency), versus.streams_for(Hint.throughput)) == (1, "auto")
    session: Any = Session(1.0, streams=4)
    peers: Sequence[Any] = [Peer()]
    found = versus.compare({"ours": session}, HERE, {}, peers, blocks=2, hint=Hint.throughput)
    assert session.submitted == 2 * (4 + 12)  # each block: untimed ones, then three for each stream
    assert found.facts()["streams"] == {"ours": 4} and found.lead("ours", "other").low > 0


def test_wrong_results_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interleave.time, "sleep", lambda seconds: pytest.fail("timed"))
    with pytest.raises(Error, match=r"outputs differ from those of other: ours 5.0e-01 .* nothing was timed"):
        compare(2.0)


def test_a_pinned_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(versus.PINNING, "spread")
    with pytest.raises(UsageError, match=versus.PINNING):
        compare(1.0)


# Which peers there are ---------------------------------------------------------------------------------------
def test_unknown_peer() -> None:
    with pytest.raises(UsageError, match="no peer 'tensorflow': there are onnxruntime, openvino, tract"):
        find_peers(["tensorflow"])


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("missing", ["onnx", "itself"])
def test_missing_peer_names_the_extra(name: str, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = name if missing == "itself" else missing
    monkeypatch.setattr("importlib.util.find_spec", lambda asked: None if asked == package else object())
    with pytest.raises(UsageError, match=rf"package {package} is missing: pip install 'nnef-cl\[{name}\]'"):
        find_peers([name])


def test_peers_are_extras() -> None:
    text = (HERE.parents[2] / "pyproject.toml").read_text("utf-8")
    assert all(f"\n{name} = [" in text for name in PEERS)
    assert [peer.name for peer in _installed(["onnxruntime", "onnxruntime"])] == ["onnxruntime"]


def _installed(names: list[str]) -> list[Any]:
    try:
        return find_peers(names)
    except UsageError as missing:
        pytest.skip(str(missing))


# Baselines ---------------------------------------------------------------------------------------------------
def report(ours: float = 2.0, peer: float = 4.0, **comparison: Any) -> dict[str, Any]:
    """Of `bench --json`, as far as it is compared. comparison: what differs from one with one peer."""
    return {
        "schema": 2, "model": {"name": "net", "inputs": {"x": [1]}}, "device": {"name": "cpu"},
        "options": {"precision": "default"}, "latency_ms": {"median": 2.0 * ours},
        "comparison": {
            "hint": "latency", "ours": ["nnef-cl"], "peers": ["p"],
            "ms": {"nnef-cl": {"median": ours}, "p": {"median": peer}},
        } | comparison,
    }  # fmt: skip


def judged(tmp_path: Path, now: dict[str, Any], before: Any, percent: str | None = None) -> dict[str, Any]:
    path = tmp_path / "before.json"
    path.write_text(json.dumps(before))
    reference = baseline.Baseline.read(path, percent, 2)
    verdict = reference.judge(now)
    reference.check(verdict)
    return verdict


def test_ratios_cancel_the_machine(tmp_path: Path) -> None:
    verdict = judged(tmp_path, report(4.0, 8.0), report(2.0, 4.0))
    assert verdict["slower"] == pytest.approx(0.0) and verdict["allowed"] == 0.05
    assert verdict["what"] == "time over that of p: 0.5, 0.5 before"


def test_regression(tmp_path: Path) -> None:
    with pytest.raises(Error, match=r"regression: 10.0 % slower \(time over that of p: 0.55, 0.5 before\); 5 % slower is"):
        judged(tmp_path, report(2.2), report(2.0))
    assert judged(tmp_path, report(2.2), report(2.0), "10.1%")["slower"] == pytest.approx(0.1)
    assert judged(tmp_path, report(1.0), report(2.0), "0")["slower"] == pytest.approx(-0.5)


@pytest.mark.parametrize("other", [{"hint": "throughput"}, {"peers": ["q"]}])
def test_latencies_where_no_peer_is_shared(other: dict[str, Any], tmp_path: Path) -> None:
    verdict = judged(tmp_path, report(2.0, 4.0), report(2.0, 8.0, **other))
    assert verdict["slower"] == 0 and "median latency" in verdict["what"]
    without = {name: value for name, value in report(2.0, 8.0).items() if name != "comparison"}
    assert "median latency" in judged(tmp_path, report(2.0, 4.0), without)["what"]


@pytest.mark.parametrize(
    ("part", "key", "words"),
    [("model", "name", "another model: other there, net now"), ("device", "name", "another device"),
     ("options", "precision", "another precision"), ("model", "inputs", "another inputs")],
)  # fmt: skip
def test_reports_of_something_else(part: str, key: str, words: str, tmp_path: Path) -> None:
    before = report()
    before[part][key] = "other"
    with pytest.raises(InputError, match=words):
        judged(tmp_path, report(), before)


@pytest.mark.parametrize(
    "before",
    [[], {}, {"schema": 1}, {"schema": 2}, {"schema": 2, "model": 3}, report() | {"comparison": {"hint": "latency"}},
     report() | {"comparison": 7}, report(2.0, 0.0), report(0.0), report(2.0, -1.0), report() | {"comparison": {}, "latency_ms": {"median": "x"}}],
)  # fmt: skip
def test_what_no_report_is(before: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a report of `nnef-cl bench --json`"):
        judged(tmp_path, report(), before)


def test_unreadable_baselines(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no json")
    (tmp_path / "deep").write_text("[" * 100_000)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name, words in {"absent": "cannot be read", "text": "not a report", "deep": "not a report", "bytes": "not a report"}.items():
        with pytest.raises(InputError, match=words):
            baseline.Baseline.read(tmp_path / name, None, 2)


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("5", 0.05), ("0.5%", 0.005), ("0", 0.0)])
def test_percentages(text: str, share: float) -> None:
    assert baseline.parse_percent(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "%", "five", "-5%", "1e3", "5 %", "٥"])
def test_wrong_percentages(text: str) -> None:
    with pytest.raises(UsageError, match="expected a percentage such as 5%"):
        baseline.parse_percent(text)

"""How the comparison with ONNX Runtime orders runs, and what it refuses; no engine and no clock take part."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import compare


def test_blocks_alternate_and_leave_one_run_untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    monkeypatch.setattr(compare.time, "sleep", lambda seconds: log.append("pause"))
    times = compare.interleave({"a": lambda: log.append("a"), "b": lambda: log.append("b")}, 2)
    runs = compare.RUNS + 1
    assert log == [step for name in "abba" for step in ["pause", *[name] * runs]]
    assert {name: [len(b) for b in blocks] for name, blocks in times.items()} == {"a": [6, 6], "b": [6, 6]}


def test_statistics() -> None:
    times = {
        "ours": [[0.002, 0.003, 0.004], [0.006, 0.005, 0.001]], "a": [[0.002, 0.001, 0.003], [0.005, 0.005, 0.007]],
        "b": [[0.009, 0.009, 0.009], [0.009, 0.009, 0.009]],
    }  # fmt: skip
    result = compare.statistics_of(times, ["ours"])
    assert result["ms"]["ours"] == pytest.approx({"min": 1.0, "median": 3.5})
    assert result["ms"]["a"] == pytest.approx({"min": 1.0, "median": 4.0})
    assert result["faster_peer"] == "a"
    assert result["lead"]["ours"] == pytest.approx({"median": 4.0 / 3.5, "low": 2 / 3, "high": 1.0})


def test_summary_takes_the_better_device() -> None:
    results = [
        {"lead": {"x": {"median": 2.0}, "y": {"median": 1.0}}}, {"lead": {"x": {"median": 0.5}, "y": {"median": 4.5}}},
    ]  # fmt: skip
    assert [line.rpartition(" ")[2] for line in compare.summary(results)] == ["1.000", "2.121", "3.000"]


def test_disagreement() -> None:
    expected = np.array([[1.0, -4.0]], np.float32)
    assert compare.disagreement(expected, expected) == 0.0
    assert compare.disagreement(expected + 0.5, expected) == pytest.approx(0.125)


@pytest.mark.parametrize("got", [[[1.0, np.nan]], [[1.0, np.inf]], [1.0, -4.0], [[1.0]]])
def test_wrong_outputs_never_pass(got: list[object]) -> None:
    expected = np.array([[1.0, -4.0]], np.float32)
    assert compare.disagreement(np.array(got, np.float32), expected) > compare.TOLERANCE


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["resnet50", "--blocks", "0"], "not positive"), (["resnet51"], "invalid choice"),
        (["resnet50", "--json", "no/such/folder.json"], "does not exist"),
    ],
)  # fmt: skip
def test_wrong_usage(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["compare.py", *arguments])
    with pytest.raises(SystemExit) as stop:
        compare.main()
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_a_pinned_process_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(compare.PINNING, "spread")
    monkeypatch.setattr(sys, "argv", ["compare.py", "resnet50"])
    with pytest.raises(SystemExit) as stop:
        compare.main()
    assert stop.value.code == 2
    assert compare.PINNING in capsys.readouterr().err

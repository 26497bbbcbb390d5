"""What the comparison over the zoo sums up and what it refuses; no engine and no clock take part."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import compare


def test_summary_takes_the_better_device() -> None:
    results = [
        {"network": "a", "input": [1, 8], "lead": {"x": {"median": 2.0}, "y": {"median": 1.0}}},
        {"network": "b", "input": [3, 8], "lead": {"x": {"median": 0.5}, "y": {"median": 4.5}}},
    ]
    *means, behind = compare.summary(results)
    assert [line.rpartition(" ")[2] for line in means] == ["1.000", "2.121", "3.000"] and behind == "below 0.95: none"
    results[0]["lead"] = {"x": {"median": 0.9}, "y": {"median": 0.8}}
    assert compare.summary(results)[-1] == "below 0.95: a 1x8 0.90"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["resnet50", "--blocks", "0"], "not positive"), (["resnet51"], "invalid choice"),
        (["resnet50", "--json", "no/such/folder.json"], "does not exist"), (["--hint", "both"], "invalid choice"),
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


def test_an_unknown_peer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["compare.py", "resnet50", "--vs", "caffe"])
    with pytest.raises(SystemExit, match="no peer 'caffe'"):
        compare.main()

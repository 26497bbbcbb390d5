"""The example of operations of one's own: on every device, from Python and from the command line."""

from __future__ import annotations

import importlib.util
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import nnef_cl
from nnef_cl.commands import app

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_operations"
OPS = str(EXAMPLE / "my_ops.py")


@pytest.fixture(scope="module")
def my_ops() -> Any:
    spec = importlib.util.spec_from_file_location("my_ops", OPS)
    assert spec is not None and spec.loader is not None
    module = sys.modules["my_ops"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_results(my_ops: Any, selector: str) -> None:
    operations = nnef_cl.STANDARD | nnef_cl.table(my_ops.OPS, items=my_ops.ITEMS)
    for shape in ((2, 3, 5), (1, 3, 1), (7, 3, 33)):
        x = np.random.default_rng(3).standard_normal(shape, np.float32)
        with nnef_cl.load(EXAMPLE / "model", device=selector, ops=operations, shapes={"x": shape}) as session:
            y, z = session(x)
        scales = np.float32([2, 1, 0.5]).reshape(1, 3, 1)
        expected = my_ops.cumulative_reference(my_ops.shrink_reference(x * scales, 0.25), 1)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
        gate = np.clip(1.702 * expected / 6 + 0.5, 0, 1)
        np.testing.assert_allclose(z, expected * gate, rtol=1e-4, atol=1e-5)


def test_the_script_runs(selector: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("NNEF_CL_DEVICE", selector)
    runpy.run_path(str(EXAMPLE / "run.py"), run_name="__main__")
    assert "largest difference: 0" in capsys.readouterr().out


def test_commands(selector: str, tmp_path: Path) -> None:
    model = str(EXAMPLE / "model")
    for command in (
        ["run", model, "-d", selector, "--ops", OPS, "-o", str(tmp_path / "out"), "--save", str(tmp_path / "saved")],
        ["bench", model, "-d", selector, "--ops", OPS, "-n", "1", "-t", "0", "-w", "0", "-b", "4"],
        ["profile", model, "-d", selector, "--ops", OPS, "--dialect", "strict", "--precision", "exact", "-n", "1", "--no-peak"],
        ["dump", model, "--ops", OPS, "--kernels", str(tmp_path / "kernels")],
        ["cache", "explain", model, "-d", selector, "--ops", OPS, "--precision", "exact"],
        ["info", str(tmp_path / "saved"), "--ops", OPS],
    ):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
    [written] = (tmp_path / "kernels").glob("cumulative_sum_*.cl")
    assert "custom_operations/cumulative_sum.cl.mako" in written.read_text()
    report = json.loads(CliRunner().invoke(app, ["info", model, "--ops", OPS, "--json"]).stdout)
    assert report["operations"]["cumulative_sum"] == 1
    refused = CliRunner().invoke(app, ["info", model])
    assert refused.exit_code == 1
    wrong = CliRunner().invoke(app, ["info", model, "--ops", str(tmp_path / "nothing.py")])
    assert wrong.exit_code == 1


def test_c_that_does_not_compile(selector: str, tmp_path: Path) -> None:
    op = nnef_cl.op("fragment odd( x: tensor<scalar> ) -> ( y: tensor<scalar> );", expression="no_such_function({x})")
    (tmp_path / "graph.nnef").write_text(
        "version 1.0;\ngraph g( x ) -> ( y )\n{\n    x = external(shape = [3]);\n    y = odd(x);\n}\n"
    )
    with pytest.raises(nnef_cl.DeviceError, match="does not build"):
        nnef_cl.load(tmp_path, device=selector, ops=nnef_cl.STANDARD | nnef_cl.table((op,)))

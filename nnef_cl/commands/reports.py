"""What every report of `nnef-cl bench` says about model, device and software."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nnef_cl.commands import common

if TYPE_CHECKING:
    from nnef_cl.session import Session

SCHEMA = 2


def facts(model: Path, session: Session) -> dict[str, Any]:
    """Everything about model, device and software that a number means nothing without."""
    from nnef_cl.ops.work import count_flops

    graph = session.source_graph
    return {
        "schema": SCHEMA,
        "model": {
            "path": str(model), "name": graph.name, "operations": len(graph.nodes),
            "parameters": graph.parameter_count, "flops": count_flops(graph, session.ops),
            "inputs": common.tensor_facts(session.inputs), "outputs": common.tensor_facts(session.outputs),
        },
        "device": dataclasses.asdict(session.device) | {"reason": session.reason},
        "plan": {"launches": len(session.plan.steps), "kernels": len(session.plan.kernels), "bytes": session.memory},
        "software": {name: metadata.version(name) for name in ("nnef-cl", "pyopencl", "numpy")}
        | {"python": platform.python_version(), "system": platform.platform()},
    }  # fmt: skip


@dataclass(frozen=True)
class Files:
    """Where a report goes. json_file: '-' is stdout. figure: of matplotlib, empty, where there is a plot_file."""

    json_file: str | None
    plot_file: Path | None
    figure: Any

    @classmethod
    def checked(cls, json_file: str | None, plot_file: Path | None, size: tuple[float, float]) -> Files:
        """Raises UsageError, Error where something could not be written."""
        common.check_output(None if json_file in (None, "-") else Path(str(json_file)), "--json")
        common.check_output(plot_file, "--plot")
        return cls(json_file, plot_file, None if plot_file is None else common.new_figure(size))

    @property
    def stdout_is_json(self) -> bool:
        return self.json_file == "-"

    def write(self, report: Mapping[str, Any], draw: Callable[..., bytes]) -> None:
        """draw: (figure, title) -> PNG."""
        text = json.dumps(report, indent=2) + "\n"
        if self.json_file == "-":
            typer.echo(text, nl=False)
        files = {Path(self.json_file): common.text_writer(text)} if self.json_file not in (None, "-") else {}
        if self.plot_file is not None:
            picture = draw(self.figure, f"{report['model']['name']} on {report['device']['name']}")
            files[self.plot_file] = lambda stream: stream.write(picture)
        common.write_files(files)


def rows(report: Mapping[str, Any], load: Mapping[str, float]) -> list[tuple[str, str]]:
    """The first lines of what is printed. load: seconds of each stage, and `total`."""
    model, device, plan = report["model"], report["device"], report["plan"]
    memory = ", ".join(f"{name} {common.size(count)}" for name, count in plan["bytes"].items())
    stages = ", ".join(f"{name} {value * 1e3:.0f}" for name, value in load.items() if name != "total")
    return [
        ("model", f"{model['path']}, {model['parameters']:,} parameters, {model['flops'] / 1e9:.3g} GFLOP"),
        ("device", f"{device['name']} ({device['platform']}, {device['type']}): {device['reason']}"),
        ("driver", f"{device['driver_version']}, {device['version']}"),
        ("plan", f"{plan['launches']} launches of {plan['kernels']} kernels, {memory}"),
        ("load", f"{load['total'] * 1e3:.0f} ms ({stages})"),
    ]

"""`nnef-cl devices`: the OpenCL devices found, what they can do, and how to select each."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import typer

from nnef_cl.commands import common
from nnef_cl.errors import DeviceError

if TYPE_CHECKING:
    from nnef_cl.device import Choice, Discovery

SCHEMA = 1


def devices(as_json: common.JsonFlag = False) -> None:
    """List the OpenCL devices."""
    from nnef_cl.device import discover, select

    discovery = discover()
    if not discovery.devices and not as_json:
        select(discovery)  # raises, and says what to install
    try:
        choice, problem = select(discovery), ""
    except DeviceError as error:
        choice, problem = None, str(error)
    if as_json:
        typer.echo(json.dumps(_report(discovery, choice, problem), indent=2))
        return
    _print(discovery, choice)
    for note in [*discovery.notes, *([problem] if problem else [])]:
        common.say(f"note: {note}")


def _report(discovery: Discovery, choice: Choice | None, problem: str) -> dict[str, Any]:
    from nnef_cl.device import selectors_for

    return {
        "schema": SCHEMA,
        "devices": [
            dataclasses.asdict(found.info) | {"selectors": selectors_for(discovery, found)}
            for found in discovery.devices
        ],
        "chosen": None if choice is None else {"index": choice.device.info.index, "reason": choice.reason},
        "problem": problem,
        "notes": list(discovery.notes),
    }


def _print(discovery: Discovery, choice: Choice | None) -> None:
    from nnef_cl.device import selectors_for

    out = common.console()
    for found in discovery.devices:
        info = found.info
        chosen = f"  <- chosen: {choice.reason}" if choice is not None and choice.device is found else ""
        lanes = f", vectors of {info.vector_width} floats" if info.vector_width > 1 else ""
        extras = [word for word, there in (("fp16", info.fp16), ("fp64", info.fp64)) if there]
        rows = [
            ("  select with", ", ".join(selectors_for(discovery, found))),
            ("  platform", f"{info.platform}, {info.platform_version}"),
            ("  driver", f"{info.driver_version} ({info.source})"),
            ("  compute", f"{info.compute_units} units{lanes}, work-groups up to {info.max_work_group}"),
            ("  memory", f"{common.size(info.global_memory)}, {common.size(info.max_allocation)} per buffer"),
            ("  also", ", ".join(extras) or "-"),
        ]
        out.print(f"{info.index}  {info.name} ({info.type}){chosen}", soft_wrap=True)
        out.print(common.facts(rows), soft_wrap=True)

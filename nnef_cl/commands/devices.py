"""`nnef-cl devices`: the OpenCL devices found, whether they work, what they can do, and how to select each."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnef_cl.commands import common
from nnef_cl.errors import DeviceError

if TYPE_CHECKING:
    from nnef_cl.device import Choice, Discovery, FoundDevice
    from nnef_cl.device.facts import Capabilities
    from nnef_cl.device.rules import Rules
    from nnef_cl.device.trust import Verdict

SCHEMA = 2


@dataclass(frozen=True)
class Row:
    """Everything known about one device. quirks: the reasons of the rules that fit."""

    found: FoundDevice
    selectors: list[str]
    verdict: Verdict
    problem: str
    capabilities: Capabilities | None
    quirks: list[str]


def devices(
    as_json: common.JsonFlag = False,
    probe: Annotated[bool, typer.Option("--probe", help="Try every runtime and device again.")] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of devices.yaml, for editors, and stop.")
    ] = False,
    devices_file: common.DevicesFileOption = None,
) -> None:
    """List the OpenCL devices."""
    from nnef_cl.device import choose_device, discover, select
    from nnef_cl.device.config import active_rules, json_schema
    from nnef_cl.device.manager import trust

    if schema:
        typer.echo(json.dumps(json_schema(), indent=2))
        return
    if probe:
        trust().broken_libraries(again=True)
    rules = active_rules()
    discovery = discover()
    if not discovery.devices and not as_json:
        select(discovery)  # raises, and says what to install
    rows = [_row(discovery, found, rules, probe) for found in discovery.devices]
    try:
        choice, problem = choose_device(rules=rules), ""
    except DeviceError as error:
        choice, problem = None, str(error)
    if as_json:
        typer.echo(json.dumps(_report(discovery, rows, choice, problem), indent=2))
        return
    for row in rows:
        _print(row, choice)
    for note in [*discovery.notes, *([problem] if problem else [])]:
        common.say(f"note: {note}")


def _row(discovery: Discovery, found: FoundDevice, rules: Rules, probe: bool) -> Row:
    from nnef_cl.device import selectors_for
    from nnef_cl.device.manager import problem_of, trust

    verdict = trust().verdict(found.info, again=probe)
    quirks = [rule.because for rule in rules.applied(found.info)]
    not_automatic = rules.not_automatic_because(found.info)
    return Row(
        found, selectors_for(discovery, found, rules), verdict, problem_of(found.info, rules),
        trust().capabilities(found.info, again=probe),
        [*([f"never chosen automatically: {not_automatic}"] if not_automatic else []), *quirks],
    )  # fmt: skip


def _report(discovery: Discovery, rows: list[Row], choice: Choice | None, problem: str) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "devices": [
            dataclasses.asdict(row.found.info)
            | {
                "selectors": row.selectors,
                "verdict": dataclasses.asdict(row.verdict) | {"problem": row.problem},
                "capabilities": None if row.capabilities is None else dataclasses.asdict(row.capabilities),
                "quirks": row.quirks,
            }
            for row in rows
        ],
        "chosen": None if choice is None else {"index": choice.device.info.index, "reason": choice.reason},
        "problem": problem,
        "notes": list(discovery.notes),
    }


def _print(row: Row, choice: Choice | None) -> None:
    out, info = common.console(), row.found.info
    chosen = choice is not None and choice.device.info.index == info.index
    lanes = f", vectors of {info.vector_width} floats" if info.vector_width > 1 else ""
    local = f"{common.size(info.local_memory)} local" + ("" if info.local_memory_real else " (ordinary memory)")
    rows = [
        ("  select with", ", ".join(row.selectors)),
        ("  platform", f"{info.platform}, {info.platform_version}"),
        ("  driver", f"{info.driver_version} ({info.source})"),
        ("  verdict", _verdict(row)),
        ("  compute", f"{info.compute_units} units{lanes}, work-groups up to {info.max_work_group}"),
        ("  memory", f"{common.size(info.global_memory)}, {common.size(info.max_allocation)} per buffer, {local}"),
        ("  can do", _abilities(row.capabilities)),
        *(("  quirk", quirk) for quirk in row.quirks),
    ]
    out.print(f"{info.index}  {info.name} ({info.type})", soft_wrap=True)
    if chosen and choice is not None:
        out.print(f"  chosen: {choice.reason}", soft_wrap=True)
    out.print(common.facts(rows), soft_wrap=True)


def _verdict(row: Row) -> str:
    if row.problem:
        return f"BROKEN: {common.printable(row.problem)}"
    return f"computes rightly (tried in {row.verdict.milliseconds:.0f} ms)" if row.verdict.tried else "not tried"


def _abilities(capabilities: Capabilities | None) -> str:
    """What worked when it was tried, in words."""
    if capabilities is None:
        return "not tried"
    words = {
        "fp16": "fp16 arithmetic", "inline_assembly": "PTX assembly", "dot_product": "integer dot products",
        "subgroup_size": f"sub-groups of {capabilities.subgroup_size}",
        "local_memory": f"{capabilities.local_memory // 1024} KiB of local memory",
        "largest_allocation": f"buffers of {common.size(capabilities.largest_allocation)}",
    }  # fmt: skip
    return ", ".join(word for name, word in words.items() if getattr(capabilities, name)) or "-"

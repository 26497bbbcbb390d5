"""`nnef-cl conformance`: whether a device computes every operation as the references do."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnef_cl.commands import common
from nnef_cl.errors import UsageError

if TYPE_CHECKING:
    from nnef_cl.conformance.case import Case
    from nnef_cl.conformance.run import Row
    from nnef_cl.device import Device

SCHEMA = 1
SHOWN = 3
"""Failures printed per operation; JSON has all of them."""


def conformance(
    device: common.DeviceOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="OPERATION", show_default=False, help="This operation alone. Repeatable."),
    ] = None,
    every_kernel: Annotated[
        bool, typer.Option("--every-kernel", help="Where there are several kernels for a case, try each of them.")
    ] = False,
    as_json: common.JsonFlag = False,
    devices_file: common.DevicesFileOption = None,
    threads: common.ThreadsOption = None,
) -> None:
    """Run every operation's cases on a device and compare with the references. Exit code 1 where any differs."""
    from nnef_cl.conformance.apart import Apart, is_possible
    from nnef_cl.conformance.run import in_process, run_families
    from nnef_cl.device import open_device

    families = _families(only or [])
    opened = open_device(device)
    started = time.perf_counter()
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(Apart(device)) if is_possible() else in_process(opened)
        progress = stack.enter_context(common.progress_bar())
        rows = run_families(families, run, opened.target, every_kernel=every_kernel, progress=progress)
    seconds = time.perf_counter() - started
    if as_json:
        typer.echo(json.dumps(_report(rows, opened, seconds), indent=2))
    else:
        _print(rows, opened, seconds)
    if any(row.failed for row in rows):
        raise typer.Exit(common.FAILED)


def _families(only: Sequence[str]) -> Mapping[str, Sequence[Case]]:
    """The cases by family. only: names of operations; none means all."""
    from nnef_cl.conformance.case import FAMILIES, cases_of

    families = {name: cases_of(name) for name in FAMILIES}
    known = list(dict.fromkeys(case.op for cases in families.values() for case in cases))
    for name in only:
        if name not in known:
            raise UsageError(f"--only: there are no cases of '{name}'{common.near(name, known)}")
    wanted = set(only or known)
    chosen = {name: [case for case in cases if case.op in wanted] for name, cases in families.items()}
    return {name: cases for name, cases in chosen.items() if cases}


def _report(rows: Sequence[Row], device: Device, seconds: float) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "nnef-cl": metadata.version("nnef-cl"),
        "device": dataclasses.asdict(device.info) | {"reason": device.reason},
        "seconds": seconds,
        "passed": not any(row.failed for row in rows),
        "operations": [
            {
                "operation": row.op, "cases": len(row.outcomes), "passed": len(row.outcomes) - len(row.failed),
                "worst": row.worst, "allowed": row.allowed,
                "failures": [{"case": one.case.id, "reason": one.failure} for one in row.failed],
            }
            for row in rows
        ],
    }  # fmt: skip


def _print(rows: Sequence[Row], device: Device, seconds: float) -> None:
    out = common.console()
    numbers = ("cases", "passed", "worst", "allowed")
    table = common.table("operation", *numbers, "", numbers=numbers)
    for row in rows:
        passed, verdict = len(row.outcomes) - len(row.failed), "FAILED" if row.failed else ""
        table.add_row(row.op, f"{len(row.outcomes)}", f"{passed}", f"{row.worst:.1e}", f"{row.allowed:.1e}", verdict)
    out.print(table)
    for row in rows:
        for one in row.failed[:SHOWN]:
            out.print(f"{common.printable(one.case.id)}\n  {common.printable(one.failure)}", soft_wrap=True)
        if len(row.failed) > SHOWN:
            out.print(f"... and {len(row.failed) - SHOWN} more cases of {row.op}", soft_wrap=True)
    runs, failed = sum(len(row.outcomes) for row in rows), [row.op for row in rows if row.failed]
    verdict = f"{len(failed)} FAILED: {', '.join(failed)}" if failed else "all passed"
    name = f"{device.info.name}, driver {device.info.driver_version}"
    out.print(f"{len(rows)} operations, {runs} cases on {name} in {seconds:.1f} s: {verdict}", soft_wrap=True)

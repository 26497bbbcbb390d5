"""`nnef-cl doctor`: checks the way from this process to a device, and says how to repair what is broken."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import typer

from nnef_cl.commands import common

MARKS = {True: "ok     ", False: "PROBLEM", None: "note   "}


def doctor(devices_file: common.DevicesFileOption = None) -> None:
    """Check OpenCL on this machine and say how to repair it. Exit code 1 where no device can be used."""
    from nnef_cl.device.doctor import examine

    out = common.console()
    usable = False
    for finding in examine():
        usable = usable or finding.is_device
        out.print(f"{MARKS[finding.good]}  {finding.subject}: {common.printable(finding.text)}", soft_wrap=True)
        if finding.repair:
            out.print(f"         -> {finding.repair}", soft_wrap=True)
    if not usable:
        raise typer.Exit(common.FAILED)

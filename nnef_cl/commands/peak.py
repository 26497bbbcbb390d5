"""`nnef-cl peak`: what the device can do at most, multiply-adds and copying, by measurement."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from nnef_cl.commands import common

SCHEMA = 1


def peak(
    again: Annotated[bool, typer.Option("--again", help="Measure although the device's numbers are known.")] = False,
    as_json: common.JsonFlag = False,
    device: common.DeviceOption = None,
    devices_file: common.DevicesFileOption = None,
    threads: common.ThreadsOption = None,
) -> None:
    """Measure the device's ceilings: float32 multiply-adds and copying."""
    from nnef_cl.device import open_device
    from nnef_cl.peak import peak_of

    opened = open_device(device)
    measured = peak_of(opened, again=again)
    if as_json:
        report = {"schema": SCHEMA, "device": dataclasses.asdict(opened.info)} | dataclasses.asdict(measured)
        typer.echo(json.dumps(report, indent=2))
        return
    rows = [
        ("device", f"{opened.name}: {opened.reason}"),
        ("arithmetic", f"{measured.flops / 1e9:,.1f} GFLOP/s (float32, a multiply-add counts two)"),
        ("copying", f"{measured.bandwidth / 1e9:,.1f} GB/s (read and written bytes together)"),
        ("balance", f"{measured.flops / measured.bandwidth:.1f} FLOP per byte: kernels below are bound by memory"),
    ]
    common.console().print(common.facts(rows), soft_wrap=True)

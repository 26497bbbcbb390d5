"""The command line: one file per command, put together here."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from nnef_cl.commands import (
    bench,
    cache,
    conformance,
    demo,
    devices,
    doctor,
    dump,
    format,
    info,
    peak,
    profile,
    run,
    tune,
    validate,
)  # fmt: skip
from nnef_cl.commands.common import guarded

COMMANDS = (
    demo.demo, devices.devices, doctor.doctor, info.info, validate.validate, format.format, run.run, bench.bench,
    profile.profile, peak.peak, tune.tune, dump.dump, conformance.conformance, cache.cache,
)  # fmt: skip
"""In the order of the help page."""

app = typer.Typer(
    help="Run NNEF neural networks on any OpenCL device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in COMMANDS:
    app.command()(guarded(command))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nnef-cl {metadata.version('nnef-cl')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass

"""`nnef-cl format`: the text of a model in canonical form, or flattened; uses no device."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nnef_cl.commands import common
from nnef_cl.errors import UsageError


def format(
    model: common.Model,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write the text there instead of printing it."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 where the text is not in canonical form.")
    ] = False,
    flat: Annotated[
        bool, typer.Option("--flat", help="Expand the file's fragments: one operation a line, without comments.")
    ] = False,
    dialect: common.DialectOption = common.DIALECT,
    ops: common.OpsOption = None,
) -> None:
    """Print graph.nnef in canonical form, comments kept, or flattened."""
    if check and (output is not None or flat):
        raise UsageError("format: --check goes with neither -o nor --flat")
    from nnef_cl.importer.text import flat_text, formatted

    if flat:
        text, warnings = flat_text(model, dialect=dialect, table=common.operations(ops))
        for warning in warnings:
            common.say(f"warning: {warning}")
    else:
        given, text = formatted(model)
        if check:
            if given != text:
                common.say(f"{model}: not in canonical form")
                raise typer.Exit(common.FAILED)
            return
    if output is None:
        typer.echo(text, nl=False)
    else:
        common.write_files({output: common.text_writer(text)})

"""`nnef-cl cache`: what is kept between processes, why a program is not there, and how to get rid of it."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnef_cl.commands import common
from nnef_cl.errors import UsageError

if TYPE_CHECKING:
    from nnef_cl.device.cache import Cache, Entry


TUNED = "tuned"
"""nnef_cl.device.points.KIND, which `--help` need not import."""


class Action(str, Enum):
    list = "list"
    explain = "explain"
    prune = "prune"
    clear = "clear"


def cache(
    action: Annotated[
        Action,
        typer.Argument(help="list; explain why a MODEL's programs are not there; prune to a size; clear everything."),
    ] = Action.list,
    model: Annotated[Path | None, typer.Argument(metavar="[MODEL]", help="For explain.", show_default=False)] = None,
    megabytes: Annotated[
        int | None, typer.Option("--size", metavar="MB", min=0, show_default=False, help="For prune: what may stay.")
    ] = None,
    shape: common.ShapeOption = None,
    batch: common.BatchOption = None,
    dialect: common.DialectOption = common.DIALECT,
    precision: common.PrecisionOption = common.Precision.default,
    tuning: common.TuningOption = True,
    ops: common.OpsOption = None,
    device: common.DeviceOption = None,
    devices_file: common.DevicesFileOption = None,
    threads: common.ThreadsOption = None,
) -> None:
    """List, explain, prune or clear what is kept between runs: programs and their sources, verdicts about devices."""
    from nnef_cl.device.cache import default_cache

    if (model is not None) != (action is Action.explain):
        raise UsageError("cache explain: name a MODEL" if model is None else f"cache {action.value} takes no MODEL")
    if (megabytes is not None) != (action is Action.prune):
        raise UsageError(f"cache {action.value}: --size MB goes with prune, and prune needs it")
    kept = default_cache()
    if kept.folder is None:
        typer.echo("the cache is off")
    elif model is not None:
        table = common.operations(ops)
        shapes = common.resolve_shapes(model, shape, batch, dialect, table)
        _explain(model, device, {"shapes": shapes, "dialect": dialect, "table": table}, precision.value, tuning)
    elif action is Action.list:
        _list(kept)
    else:
        count, freed = kept.clear() if megabytes is None else kept.prune(megabytes * 1_000_000)
        typer.echo(f"{count} files deleted, {common.size(freed)}")


def _list(kept: Cache) -> None:
    entries = kept.entries()
    table = common.table("kind", "for", "driver", "size", "last used", numbers=("size",))
    for entry in _grouped(entries):
        used = _ago(entry.used) if entry.intact else "damaged"
        driver = entry.parts.get("driver", "")
        table.add_row(entry.kind, common.printable(entry.note), driver, common.size(entry.bytes), used)
    if entries:
        common.console().print(table)
    typer.echo(f"{len(entries)} files, {_total(entries)} of at most {common.size(kept.limit)} in {kept.folder}")


def _grouped(entries: list[Entry]) -> list[Entry]:
    """Those of which there are many, a problem each, as one row per device and driver."""
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for number, entry in enumerate(entries):
        small = entry.kind == TUNED and entry.intact
        key = (entry.note, entry.parts["driver"]) if small else (str(number),)
        groups.setdefault(key, []).append(entry)
    return [
        one[-1] if len(one) == 1 else dataclasses.replace(
            one[-1], note=f"{len(one)} problems on {one[-1].note}", bytes=sum(entry.bytes for entry in one)
        )
        for one in groups.values()
    ]  # fmt: skip


def _total(entries: Iterable[Entry]) -> str:
    return common.size(sum(entry.bytes for entry in entries))


def _ago(used: float) -> str:
    seconds = max(0.0, time.time() - used)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now"


def _explain(model: Path, selector: str | None, reading: dict[str, Any], precision: str, tuning: bool) -> None:
    from nnef_cl import passes
    from nnef_cl.device import open_device
    from nnef_cl.executor import jobs_of
    from nnef_cl.importer import import_model
    from nnef_cl.ops import INTERNAL
    from nnef_cl.plan.build import build_plan
    from nnef_cl.session import choice

    opened, ops = open_device(selector), reading["table"] | INTERNAL
    choose = choice(opened.info, opened.target, precision, tuning)
    graph = import_model(model, **reading)
    plan = build_plan(passes.run(graph, ops, opened.target), ops, opened.target, choose)
    jobs = jobs_of(plan, opened.programs.cache)
    noun = "program" if len(jobs) == 1 else "programs"
    typer.echo(f"{len(jobs)} {noun} of {plan.name} for {opened.name}")
    if opened.programs.kind == "driver":
        typer.echo("this device's driver keeps compiled programs itself")
        return
    options = " ".join(opened.target.build_options)
    for number, job in enumerate(jobs):
        changed = opened.programs.explain(job.source, options, job.note)
        kernels = f"program {number} ({job.parts} kernels)"
        if changed is None:
            typer.echo(f"{kernels}: there")
        elif "format" in changed:
            typer.echo(f"{kernels}: not there; nothing like it has been compiled")
        else:
            typer.echo(f"{kernels}: not there; changed since: {', '.join(changed)}")

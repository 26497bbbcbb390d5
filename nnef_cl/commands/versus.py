"""What `nnef-cl bench --vs` adds: the comparison with other engines, its table and its plot."""
# ruff: noqa: PLC0415 - heavy imports stay out of `--help`

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnef_cl.commands import common

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from nnef_cl.peers import Peer
    from nnef_cl.peers.interleave import Times
    from nnef_cl.peers.versus import Comparison, Opened
    from nnef_cl.session import Session

OURS = "nnef-cl"


def chosen(names: str | None) -> list[Peer]:
    from nnef_cl.peers import find_peers

    return [] if names is None else find_peers(name.strip() for name in names.split(","))


def exported(model: Path, folder: Path, loading: dict[str, Any]) -> Path:
    """The network as the peers read it; an operation that they lack is found before anything is timed."""
    from nnef_cl.peers.onnx_export import export_model

    return export_model(model, folder, **{name: loading[name] for name in ("shapes", "dialect", "ops")})


def compared(
    model: Path, onnx: Path, loading: dict[str, Any], peers: list[Peer], hint: str, blocks: int, seed: int
) -> Comparison:
    from nnef_cl.peers.engine import Hint
    from nnef_cl.peers.versus import compare, streams_for
    from nnef_cl.preprocess import random_inputs

    with common.open_session(model, streams=streams_for(Hint(hint)), **loading) as session:
        inputs = random_inputs(session.inputs, seed)
        return compare({OURS: session}, onnx, inputs, peers, blocks=blocks, hint=Hint(hint))


def opened(session: Session, onnx: Path, inputs: Mapping[str, np.ndarray], peers: list[Peer], hint: str) -> Opened:
    """The session and the peers; their outputs agree."""
    from nnef_cl.peers.engine import Hint
    from nnef_cl.peers.versus import open_engines

    return open_engines({OURS: session}, onnx, inputs, peers, hint=Hint(hint))


def show(out: Console, comparison: Comparison) -> None:
    """Times per inference; leads are a peer's time over ours, and where they lay from block to block."""
    from nnef_cl.peers.interleave import milliseconds

    names = ("engine", "median ms", "min ms", "lead", "lowest", "highest", "difference")
    table = common.table(*names, numbers=names[1:])
    for name, blocks in comparison.times.items():
        ms = milliseconds(blocks)
        cells = [name, f"{ms['median']:.3f}", f"{ms['min']:.3f}"]
        if name in comparison.peers:
            lead = comparison.lead(OURS, name)
            cells += [f"{lead.median:.2f}", f"{lead.low:.2f}", f"{lead.high:.2f}"]
        else:
            cells += [""] * 3
        table.add_row(*cells, f"{comparison.errors[name]:.1e}" if name in comparison.errors else "")
    out.print()
    out.print(table)
    streams = comparison.ours[OURS]
    out.print(
        f"\n{comparison.hint.value}, {OURS} on {streams} stream{'s' if streams > 1 else ''}, peers on "
        f"{comparison.threads} threads, float32, in turn; lead: the peer's time "
        f"over that of {OURS}; difference: from the outputs of {comparison.peers[0]}, of their largest magnitude",
        soft_wrap=True,
    )  # fmt: skip


def draw(figure: Any, title: str, times: Times) -> bytes:
    """PNG: a bar per engine, its median with the range of its blocks; and the share of runs below each time."""
    left, right = figure.subplots(1, 2)
    for name, blocks in times.items():
        medians = [statistics.median(block) * 1e3 for block in blocks]
        runs = sorted(t * 1e3 for block in blocks for t in block)
        middle = statistics.median(runs)
        spread = [[max(middle - min(medians), 0)], [max(max(medians) - middle, 0)]]
        left.bar(name, middle, yerr=spread, capsize=6)
        right.step(runs, [(k + 1) / len(runs) for k in range(len(runs))], where="post", label=f"{name} {middle:.3g} ms")
    left.set(ylabel="ms per inference, median")
    right.set(xlabel="ms per inference", ylabel="share of runs that took no longer", ylim=(0, 1))
    right.legend(loc="lower right")
    right.grid(alpha=0.3)
    figure.suptitle(title)
    return common.png(figure)

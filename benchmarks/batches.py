"""Times batches computed row by row, where nnef-cl chooses that, against the same layer by layer: blocks in turn."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import zoo
from compare import positive

import nnef_cl
from nnef_cl.device.config import active_rules
from nnef_cl.device.rules import Match, Rule, Rules, Settings
from nnef_cl.peers.interleave import PAUSE
from nnef_cl.preprocess import random_inputs

BLOCK_SECONDS = 0.15
TOLERANCE = 1e-4
NETWORKS = ("mobilenetv1", "mobilenetv2", "efficientnetb0", "squeezenet", "audiocnn", "googlenet", "resnet18")
LAYERS = Rules(rules=(Rule(match=Match(type="cpu"), set=Settings(cache=0), because="layer by layer"),))


def milliseconds(session: nnef_cl.Session, inputs: Mapping[str, np.ndarray]) -> float:
    """Of a run, the median of a block."""
    time.sleep(PAUSE)
    session.run(inputs)
    times: list[float] = []
    end = time.perf_counter() + BLOCK_SECONDS
    while time.perf_counter() < end or len(times) < 3:
        started = time.perf_counter()
        session.run(inputs)
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def compare(name: str, model: Path, options: argparse.Namespace) -> float:
    """The gain, median of the blocks."""
    rules = active_rules()
    with (
        nnef_cl.load(model, device=options.device, rules=rules.extended(LAYERS)) as layers,
        nnef_cl.load(model, device=options.device, rules=rules) as rows,
    ):
        inputs = random_inputs(rows.inputs, 0)
        expected, got = layers.run(inputs), rows.run(inputs)
        if any(np.abs(got[n] - expected[n]).max() > TOLERANCE * np.abs(expected[n]).max() for n in got):
            raise nnef_cl.Error(f"{name}: outputs differ")
        pairs = [(milliseconds(layers, inputs), milliseconds(rows, inputs)) for _ in range(options.blocks)]
        gains = sorted(one / other for one, other in pairs)
        one, other = (statistics.median(column) / options.batch for column in zip(*pairs, strict=True))
        before, after = (session.plan.arena_bytes / 1e6 for session in (layers, rows))
        print(f"{name:16} layer by layer {one:7.3f} ms an image, row by row {other:7.3f}, "
              f"gain {statistics.median(gains):.2f} ({gains[0]:.2f} to {gains[-1]:.2f}), "
              f"memory {before:.1f} and {after:.1f} MB", flush=True)  # fmt: skip
        return statistics.median(gains)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NETWORKS, metavar="NETWORK", help=f"default: {', '.join(NETWORKS)}")
    parser.add_argument("--device", default="cpu", help="as for nnef-cl bench")
    parser.add_argument("--batch", type=positive, default=8)
    parser.add_argument("--size", type=positive, help="pixels, where the network allows it")
    parser.add_argument("--blocks", type=positive, default=9, help=f"of {BLOCK_SECONDS} s each")
    options = parser.parse_args()
    sizes = {} if options.size is None else {"size": options.size}
    gains = []
    for name in options.names:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            gains.append(compare(name, zoo.build(name, folder, batch=options.batch, **sizes).nnef, options))
    print(f"geometric mean {statistics.geometric_mean(gains):.2f}")


if __name__ == "__main__":
    main()

"""Processor time of reading a network against its number of operations: the text, the graph, both per operation."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence

import numpy as np

from nnef_cl.format.parser import parse_document
from nnef_cl.importer import import_document
from nnef_cl.ops import STANDARD

SIZES = (1_000, 10_000, 100_000)
OPERATIONS = 5
"""Of one block."""
BLOCK = """\
    f{n} = variable<scalar>(shape = [16, 16, 3, 3], label = 'block{n}/filter');
    b{n} = variable<scalar>(shape = [1, 16], label = 'block{n}/bias');
    c{n} = conv(t{n}, f{n}, b{n}, stride = [1, 1], dilation = [1, 1], padding = [(1, 1), (1, 1)], border = 'constant');
    r{n} = relu(c{n});
    p{n} = max_pool(r{n}, size = [1, 1, 3, 3], stride = [1, 1, 1, 1], padding = [(0, 0), (0, 0), (1, 1), (1, 1)]);
    a{n} = add(p{n}, t{n});
    t{next} = mul(a{n}, 0.5);
"""


def network(operations: int) -> str:
    """Residual blocks of OPERATIONS operations and two variables each."""
    blocks = max(1, operations // OPERATIONS)
    body = "".join(BLOCK.format(n=n, next=n + 1) for n in range(blocks))
    head = "version 1.0;\n\ngraph scale( t0 ) -> ( t{} )\n{{\n    t0 = external<scalar>(shape = [1, 16, 32, 32]);\n"
    return head.format(blocks) + body + "}\n"


def measure(operations: int, repeats: int) -> dict[str, float]:
    """The least seconds of processor time for parsing and for importing, and what they read."""
    text = network(operations)
    weights = {(16, 16, 3, 3): np.zeros((16, 16, 3, 3), np.float32), (1, 16): np.zeros((1, 16), np.float32)}

    def tensor(label: str, position: object) -> np.ndarray:
        return weights[(16, 16, 3, 3) if label.endswith("filter") else (1, 16)]

    parsing: list[float] = []
    importing: list[float] = []
    nodes = 0
    for _ in range(repeats):
        started = time.process_time()
        document = parse_document(text)
        parsed = time.process_time()
        nodes = len(import_document(document, STANDARD, tensor).nodes)
        parsing.append(parsed - started)
        importing.append(time.process_time() - parsed)
    return {
        "operations": operations, "nodes": nodes, "megabytes": len(text) / 1e6,
        "parse_s": min(parsing), "import_s": min(importing),
    }  # fmt: skip


def table(rows: Sequence[dict[str, float]]) -> str:
    lines = [f"{'operations':>10} {'nodes':>8} {'text':>8} {'parse':>8} {'import':>8} {'per operation':>14}"]
    for row in rows:
        total = row["parse_s"] + row["import_s"]
        lines.append(
            f"{row['operations']:>10,} {row['nodes']:>8,} {row['megabytes']:>5.1f} MB {row['parse_s']:>6.2f} s "
            f"{row['import_s']:>6.2f} s {total / row['operations'] * 1e6:>11.0f} us"
        )
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("sizes", nargs="*", type=int, default=SIZES, help="numbers of operations (1000 10000 100000)")
    options.add_argument("--repeats", type=int, default=3, help="the least time of so many counts")
    options.add_argument("--json", action="store_true", help="print JSON")
    chosen = options.parse_args()
    import_document(parse_document(network(10)), STANDARD, lambda label, _: np.zeros(
        (16, 16, 3, 3) if label.endswith("filter") else (1, 16), np.float32))  # tables are made once per process
    rows = [measure(size, chosen.repeats) for size in chosen.sizes]
    print(json.dumps(rows, indent=2) if chosen.json else table(rows))


if __name__ == "__main__":
    main()

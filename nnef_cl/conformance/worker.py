"""`python -m nnef_cl.conformance.worker SELECTOR THREADS`: runs the cases that it is told to, in a process that may die.

Reads one JSON object per line: {"kernel": number of the candidate, "cases": their ids}. Answers with lines too:
{"ready": true} once, {"stage": ..., "done": ..., "total": ...} as it goes on, then {"outcomes": ...}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from nnef_cl.conformance.case import all_cases
from nnef_cl.conformance.harness import nth
from nnef_cl.conformance.run import run_cases
from nnef_cl.device import open_device
from nnef_cl.device.environment import request_threads


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def main(selector: str, threads: str) -> None:
    """threads: of a CPU device, 0: as many as it likes."""
    request_threads(int(threads) or None)
    cases = {case.id: case for case in all_cases()}
    device = open_device(selector or None)
    say(ready=True)
    for line in sys.stdin:
        asked = json.loads(line)
        chosen = [cases[name] for name in asked["cases"]]
        found = run_cases(
            chosen, device, nth(asked["kernel"]), lambda stage, done, total: say(stage=stage, done=done, total=total)
        )
        say(outcomes=[{"worst": one.worst, "allowed": one.allowed, "failure": one.failure} for one in found])


if __name__ == "__main__":
    main(*sys.argv[1:])

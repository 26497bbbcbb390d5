"""The program `nnef-cl`: starts the command line and leaves quietly where the reader of its output has gone."""

from __future__ import annotations

import io
import sys

from nnef_cl.commands import app
from nnef_cl.commands.common import BROKEN_PIPE, INTERRUPTED, silence_stdout


def main() -> None:
    """Entry point. Exit codes: 0; 1 model or device error; 2 wrong usage; 130 interrupted; 141 broken pipe."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a character still shows the rest
    try:
        try:
            app(prog_name="nnef-cl")
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        sys.exit(BROKEN_PIPE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()

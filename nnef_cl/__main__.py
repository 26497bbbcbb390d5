"""The program `nnef-cl`: starts the command line and leaves quietly where the reader of its output has gone."""

from __future__ import annotations

import io
import os
import sys

from nnef_cl.commands import app
from nnef_cl.commands.common import BROKEN_PIPE, INTERRUPTED, silence_stdout


def main() -> None:
    """Entry point. Exit codes: 0; 1 model or device error; 2 wrong usage; 130 interrupted; 141 broken pipe."""
    open_closed_streams()
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


def open_closed_streams() -> None:
    """A shell may close them (`>&-`); the next file that is opened would take their place, and be written over."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for the whole process


if __name__ == "__main__":
    main()

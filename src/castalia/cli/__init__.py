"""The command line: `castalia COMMAND`. Parsing is here and light; each command's module is imported only when it runs."""

import argparse
import importlib
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from castalia.cli.parser import build_parser
from castalia.errors import CastaliaError, Interrupted


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, or the code of the error's class in `castalia.errors`."""
    options = build_parser().parse_args(arguments)
    try:
        with _terminated_as_interrupted():
            return _run(options, shlex.join(["castalia", *(sys.argv[1:] if arguments is None else arguments)]))
    except CastaliaError as error:
        from castalia.cli.common import plain

        if getattr(options, "json", False):
            print(json.dumps({"error": type(error).__name__, "message": str(error), "exit_code": error.exit_code}))
        print(f"castalia: {plain(str(error))}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does: not an error of ours. What is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(options: argparse.Namespace, command: str) -> int:
    """Raises Interrupted for Ctrl-C and SIGTERM, which reach the command as KeyboardInterrupt: it closes what it has open first."""
    module_name, _, function = options.run.partition(":")
    try:
        return int(getattr(importlib.import_module(module_name), function)(options) or 0)
    except KeyboardInterrupt:
        from castalia.cli.interrupted import done_so_far

        raise Interrupted(f"stopped; {done_so_far(options)}nothing that was paid for is lost. Continue with: {command}") from None


@contextmanager
def _terminated_as_interrupted() -> Generator[None]:
    """SIGTERM does what Ctrl-C does, also where asyncio has taken Ctrl-C over. Signals reach the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    earlier = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)

"""The command line: `castalia COMMAND`. Parsing is here and light; each command's module is imported only when it runs."""

import importlib
import json
import shlex
import sys
from collections.abc import Sequence

from castalia.cli.parser import build_parser
from castalia.errors import CastaliaError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, or the code of the error's class in `castalia.errors`."""
    options = build_parser().parse_args(arguments)
    module_name, _, function = options.run.partition(":")
    try:
        return int(getattr(importlib.import_module(module_name), function)(options) or 0)
    except CastaliaError as error:
        if getattr(options, "json", False):
            print(json.dumps({"error": type(error).__name__, "message": str(error), "exit_code": error.exit_code}))
        print(f"castalia: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"castalia: stopped; nothing that was paid for is lost. Continue with: {_same_command(arguments)}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader of our output went away, as `| head` does: not an error of ours
        sys.stderr.close()
        return 0


def _same_command(arguments: Sequence[str] | None) -> str:
    return shlex.join(["castalia", *(sys.argv[1:] if arguments is None else arguments)])

"""What commands share: finding the configuration and printing for people or for machines."""

import argparse
import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from castalia.config import load_config
from castalia.errors import ConfigError
from castalia.oracle import OracleClient
from castalia.workspace import Workspace, open_workspace

DEFAULT_CONFIG = Path("castalia.yaml")


def workspace_of(options: argparse.Namespace) -> Workspace:
    """The workspace that `--config` and `--set` name. Raises ConfigError when there is no configuration at all."""
    files: list[Path] = options.config or ([DEFAULT_CONFIG] if DEFAULT_CONFIG.is_file() else [])
    if not files:
        raise ConfigError("there is no castalia.yaml here; write one with `castalia init`, or name one with --config FILE")
    return open_workspace(load_config(files, options.set))


def print_facts(facts: Iterable[dict[str, Any]]) -> None:
    """One JSON object per line."""
    for fact in facts:
        print(json.dumps(fact, ensure_ascii=False, sort_keys=True, default=str))


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as their longest cell; numbers to the right. An empty table prints its head only."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(title), *(len(row[i]) for row in cells)]) for i, title in enumerate(head)]
    numeric = [all(_is_number(row[i]) for row in cells) and bool(cells) for i in range(len(head))]
    for row in [list(head), *cells]:
        aligned = [text.rjust(width) if right else text.ljust(width) for text, width, right in zip(row, widths, numeric, strict=True)]
        print("  ".join(aligned).rstrip())


def short_moment(seconds: float) -> str:
    """Seconds since 1970 as a date and time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def this_command(options: argparse.Namespace, arguments: str) -> str:
    """`castalia oracle` with other arguments, on the same configuration, ready to paste."""
    named = [word for path in options.config for word in ("-c", str(path))] + [word for text in options.set for word in ("--set", text)]
    return " ".join(["castalia oracle", *([shlex.join(named)] if named else []), arguments])


def print_batch_notes(oracle: OracleClient) -> None:
    """What became of the batches of a run, once its oracle is closed: then they are sent."""
    print("".join(f"{note}\n" for note in oracle.batch_notes), end="", file=sys.stderr, flush=True)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return text == "-" or text.lstrip("$").replace(",", "").replace(".", "", 1).replace("-", "", 1).replace("e", "", 1).isdigit()

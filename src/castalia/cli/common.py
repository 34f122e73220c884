"""What commands share: finding the configuration and printing for people or for machines.

Pages, models and providers wrote much of what is printed, so a terminal gets nothing of it that it would obey: see `plain` and `to_json`.
"""

import argparse
import json
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from castalia.config import load_config
from castalia.errors import ConfigError
from castalia.oracle import JUDGE_IS_WRITER, OracleClient, judge_is_writer
from castalia.workspace import Workspace, open_workspace

DEFAULT_CONFIG = Path("castalia.yaml")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # ECMA-48, C0 without tab and line feed, and C1


def workspace_of(options: argparse.Namespace) -> Workspace:
    """The workspace that `--config` and `--set` name. Raises ConfigError when there is no configuration at all."""
    files: list[Path] = options.config or ([DEFAULT_CONFIG] if DEFAULT_CONFIG.is_file() else [])
    if not files:
        raise ConfigError("there is no castalia.yaml here; write one with `castalia init`, or name one with --config FILE")
    return open_workspace(load_config(files, options.set))


def plain(text: str) -> str:
    """Without characters that a terminal obeys."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def to_json(value: object, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """The value as JSON that any terminal may show: readable letters as they are, all control characters escaped."""
    written = json.dumps(value, ensure_ascii=False, indent=indent, sort_keys=sort_keys, default=str)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def print_facts(facts: Iterable[dict[str, Any]]) -> None:
    """One JSON object per line."""
    for fact in facts:
        print(to_json(fact, sort_keys=True))


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as their longest cell; numbers to the right. An empty table prints its head only; a cell is one line."""
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
    print("".join(f"{plain(note)}\n" for note in oracle.batch_notes), end="", file=sys.stderr, flush=True)


def warn_of_the_judge(workspace: Workspace) -> None:
    """Says before anything is asked that the judge would be the writer."""
    if judge_is_writer(workspace.config.oracles):
        print(f"warning: {JUDGE_IS_WRITER}", file=sys.stderr)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else plain(str(value)).replace("\n", " ").replace("\t", " ")


def _is_number(text: str) -> bool:
    return text == "-" or text.lstrip("$").replace(",", "").replace(".", "", 1).replace("-", "", 1).replace("e", "", 1).isdigit()

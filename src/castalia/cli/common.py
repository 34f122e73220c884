"""What commands share: finding the configuration and printing for people or for machines."""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from castalia.config import load_config
from castalia.errors import ConfigError
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


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return text == "-" or text.lstrip("$").replace(",", "").replace(".", "", 1).replace("-", "", 1).replace("e", "", 1).isdigit()

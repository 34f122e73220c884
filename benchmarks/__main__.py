"""`python -m benchmarks NAME [--gold DIR] [--quick] [--strict] [--json] [--peers]`: a readable table, then one line of JSON.

A benchmark is a module with `run(gold, quick)` that returns `figures`, `peers` (figures of others, measured in the same run) and
`nulls` (why a figure could not be measured).
"""

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.aims import AIMS, judge

GOLD = Path(__file__).parents[2] / "shared" / "gold"
PEERS_WANTED = "CASTALIA_BENCHMARK_PEERS"
"""Environment variable that tells a benchmark to install what it compares with."""
PACKAGES = ("castalia", "daft", "pyarrow", "openai-harmony", "torch", "transformers", "trl")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one benchmark. Exit code 1 with `--strict` when an aim is not met, a figure that could not be measured included."""
    options = _parse(arguments)
    if options.peers:
        os.environ[PEERS_WANTED] = "1"
    module = importlib.import_module(f"benchmarks.{options.name}")
    result = report(options.name, module.run(options.gold, options.quick), quick=options.quick)
    if not options.json:
        print("\n".join(table(result)) + "\n")
    print(json.dumps(result, ensure_ascii=False, allow_nan=False))
    return int(options.strict and not all(aim["met"] for aim in result["aims"].values()))


def report(name: str, measured: Mapping[str, Any], *, quick: bool) -> dict[str, Any]:
    """The line of JSON: figures as measured, held against their aims."""
    figures = dict(measured["figures"])
    nulls = dict(measured.get("nulls", {}))
    for figure in AIMS[name]:
        figures.setdefault(figure, None)
    for figure, value in figures.items():
        if value is None:
            nulls.setdefault(figure, "the benchmark gave no value")
    return {
        "benchmark": name,
        "figures": figures,
        "aims": judge(name, figures),
        "peers": measured.get("peers", {}),
        "nulls": nulls,
        "environment": environment(quick=quick),
    }


def environment(*, quick: bool) -> dict[str, Any]:
    """Where the figures were taken. Figures of a quick run are not comparable with those of a whole one, so it says which it was."""
    return {
        "quick": quick,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def table(result: Mapping[str, Any]) -> list[str]:
    """Figures with their aims, then ours beside the peers', then what could not be measured."""
    aims = result["aims"]
    rows = [("figure", "value", "aim", "met")]
    for figure, value in result["figures"].items():
        aim = aims.get(figure)
        met = "" if aim is None else "not measured" if value is None else "yes" if aim["met"] else "no"
        rows.append((figure, _text(value), aim["aim"] if aim else "", met))
    lines = _columns(rows)
    peers: Mapping[str, Mapping[str, Any]] = result["peers"]
    if peers:
        names = list(dict.fromkeys(name for figures in peers.values() for name in figures))
        side = [("side by side", *names), *((peer, *(_text(figures.get(name)) for name in names)) for peer, figures in peers.items())]
        lines += ["", *_columns(side)]
    if result["nulls"]:
        lines += ["", "not measured", *(f"  {figure}: {reason}" for figure, reason in result["nulls"].items())]
    return lines


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Runs one benchmark; the last line of output is JSON.")
    parser.add_argument("name", metavar="NAME", help=f"one of: {', '.join(AIMS)}")
    parser.add_argument("--gold", type=Path, default=GOLD if GOLD.is_dir() else None, help="folder with the public reference data")
    parser.add_argument("--quick", action="store_true", help="a smoke run with smaller counts")
    parser.add_argument("--strict", action="store_true", help="exit code 1 when an aim is not met")
    parser.add_argument("--json", action="store_true", help="only the line of JSON")
    parser.add_argument(
        "--peers", action="store_true", help="install other frameworks to compare with, each in its own environment under the user's cache"
    )
    options = parser.parse_args(arguments)
    if options.name not in AIMS:
        parser.error(f"there is no benchmark {options.name!r}; there are: {', '.join(AIMS)}")
    if options.gold is not None and not options.gold.is_dir():
        parser.error(f"--gold {str(options.gold)!r} is not a folder")
    return options


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if isinstance(value, float) and abs(value) < 1e4 else f"{value:,.0f}" if isinstance(value, float) else str(value)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    """The processor's name where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor() or "unknown")


if __name__ == "__main__":
    sys.exit(main())

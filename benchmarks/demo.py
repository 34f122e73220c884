"""The demo as a user runs it: `castalia demo` in fresh folders, in child processes, watched from outside.

How long, how much memory, what training bought, and whether a run that was killed again and again ends with the same released bytes.
The site's archive is downloaded once and copied to the other folders.
"""

import random
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.processes import Watched, watch
from castalia.evaluation.gate import Decision
from castalia.evaluation.results import ItemResult
from castalia.release import all_releases
from castalia.store import open_store

SEED = 20
MODEL_FIGURES = ("seconds", "peak_mb", "format_before", "format_after", "gate_gain", "gate_gain_ci_low")
FOLDERS, KILLS = 3, 3
"""Folders in which runs are killed, and how often at most before one may end."""
EARLIEST, LATEST = 0.04, 0.6
"""When a run is killed, as shares of the uninterrupted run's time. A continued run is shorter, so it may end before."""


def run(gold: Path | None, quick: bool) -> dict[str, Any]:
    """The whole benchmark, or with `quick` its data half with one kill. `gold` isn't needed: the site is the input."""
    del gold
    figures: dict[str, Any] = {}
    nulls: dict[str, str] = {}
    peers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="castalia-demo-") as name:
        root = Path(name)
        whole = _castalia(root, "whole", "--data-only")
        figures["data_only_seconds"] = _measured("data_only_seconds", whole, whole.seconds, nulls)
        figures["data_only_peak_mb"] = _measured("data_only_peak_mb", whole, whole.peak_mb, nulls)
        if whole.code == 0:
            again = _castalia(root, "whole", "--data-only")
            figures["second_run_does_nothing"] = again.code == 0 and "nothing to do" in again.output
            figures.update(_killed(root, whole.seconds, 1 if quick else FOLDERS, 1 if quick else KILLS, nulls))
        else:
            figures.update(dict.fromkeys(("second_run_does_nothing", "identical_after_kill")))
            nulls["second_run_does_nothing"] = nulls["identical_after_kill"] = "the uninterrupted run did not end well"
        if quick:
            figures.update(dict.fromkeys(MODEL_FIGURES))
            nulls.update(dict.fromkeys(MODEL_FIGURES, "a quick run makes the data only and trains nothing"))
        else:
            _share_download(root, "model")
            model = _castalia(root, "model")
            figures["seconds"] = _measured("seconds", model, model.seconds, nulls)
            figures["peak_mb"] = _measured("peak_mb", model, model.peak_mb, nulls)
            if model.code == 0:
                bought, peers = what_training_bought(root / "model" / "work")
                figures.update(bought)
            else:
                figures.update(dict.fromkeys(MODEL_FIGURES[2:]))
                nulls.update(dict.fromkeys(MODEL_FIGURES[2:], "the whole demo did not end well"))
    return {"figures": figures, "peers": peers, "nulls": nulls}


def what_training_bought(work: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures of the stored decision and results below a demo's `work` folder, and the models side by side.

    Shares are in [0, 1]; the gain is a difference of shares with its two-sided 95 % interval. Raises StoreError where a dataset
    is damaged, InputError where it is missing.
    """
    store = open_store(work / "store")
    decision = max(store.read_dataset("decisions", Decision), key=lambda made: made.look)
    models = {"base": "results.base.gate", "candidate": "results.candidate.gate", "base, own chat template": "results.native.gate"}
    results = {name: list(store.read_dataset(dataset, ItemResult)) for name, dataset in models.items() if store.has(dataset)}
    sides = {
        name: {
            "items": len(found),
            "score": _mean([result.value for result in found]),
            "right": sum(result.passed for result in found),
            "format_valid": _mean([float(result.format_valid) for result in found]),
        }
        for name, found in results.items()
    }
    figures = {
        "format_before": sides["base"]["format_valid"],
        "format_after": sides["candidate"]["format_valid"],
        "gate_before": decision.before,
        "gate_after": decision.after,
        "gate_gain": decision.difference,
        "gate_gain_ci_low": decision.interval_low,
        "gate_gain_ci_high": decision.interval_high,
        "gate_items": decision.items,
        "promoted": decision.promote,
    }
    return figures, sides


def locks(folder: Path) -> dict[str, bytes]:
    """The lock file of every release of a demo folder: it holds the hash of every other file."""
    return {release.name: (release / "lock.json").read_bytes() for release in all_releases(folder / "work" / "releases")}


def _killed(root: Path, seconds: float, folders: int, kills: int, nulls: dict[str, str]) -> Mapping[str, Any]:
    """Whether killed and resumed runs end with the bytes of the uninterrupted one, and how many runs were really killed."""
    rng = random.Random(SEED)
    expected = locks(root / "whole")
    hit, identical = 0, True
    for number in range(folders):
        name = f"killed-{number}"
        _share_download(root, name)
        for _ in range(kills):
            interrupted = _castalia(root, name, "--data-only", kill_after=rng.uniform(EARLIEST, LATEST) * seconds)
            if interrupted.code != -9:
                break
            hit += 1
        end = _castalia(root, name, "--data-only")
        if end.code != 0:
            nulls["identical_after_kill"] = f"a killed run could not be continued: {_why(end)}"
            return {"identical_after_kill": False, "kills": hit}
        identical = identical and locks(root / name) == expected
    if not hit:
        nulls["identical_after_kill"] = "every run ended before its kill"
        return {"identical_after_kill": None, "kills": 0}
    return {"identical_after_kill": identical and bool(expected), "kills": hit}


def _castalia(root: Path, folder: str, *options: str, kill_after: float | None = None) -> Watched:
    command = [str(Path(sys.executable).with_name("castalia")), "demo", "--folder", str(root / folder), *options]
    return watch(command, root / f"{folder}.log", kill_after=kill_after)


def _share_download(root: Path, folder: str) -> None:
    shutil.copytree(root / "whole" / "download", root / folder / "download", dirs_exist_ok=True)


def _measured(figure: str, child: Watched, value: float | None, nulls: dict[str, str]) -> float | None:
    """The value of a child that ended well; otherwise None, with the reason noted."""
    if child.code != 0:
        nulls[figure] = _why(child)
        return None
    if value is None:
        nulls[figure] = "this system has no /proc to read memory from"
    return value


def _why(child: Watched) -> str:
    last = [line for line in child.output.splitlines() if line.strip()][-1:]
    return f"`castalia demo` ended with code {child.code} after {child.seconds:.0f} s: {' '.join(last)[:300]}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0

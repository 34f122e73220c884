"""The four datasets and their release, on two sites: the demo's, with its recorded oracle, and Debian's sqlite3-doc with a scripted one.

Figures are the worse of the two; the table has both side by side. Everything is measured on what `castalia run` stored and `castalia
release` froze, in child processes: citations are looked up again, answers held against what they cite, the release is made again
offline, and releases that must be refused are asked for. Of the scripted oracle's answers a share is wrong on purpose; none may be used.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks.collect import STATED, documentation_of_packages, served
from benchmarks.datasets_measures import evidence_valid, near_duplicates, read_released, traces, ungrounded
from benchmarks.datasets_refusals import FAULTS, not_refused
from benchmarks.processes import Watched, watch
from castalia.cli.start import examples_folder
from castalia.config import load_config
from castalia.records import Leak, Reject, SFTExample
from castalia.release import all_releases
from castalia.workspace import Workspace, open_workspace

HOST = "sqlite.localhost"
PAGES, QUICK_PAGES = 60, 3
LIMIT_SECONDS = 1800.0
MAKING = ("extract", "build_sft", "build_preferences", "build_rewards", "build_replay")


def _furthest(values: Sequence[float]) -> float:
    return max(values, key=abs)


WORST: Mapping[str, Callable[..., Any]] = {
    "evidence_valid": min,
    "grounded": min,
    "coverage": min,
    "rebuild_identical": min,
    "length_bias": _furthest,
    "records_per_s": min,
    "faults_used": max,
    "leaked_records": max,
    "not_refused": max,
}
"""How a figure is taken from both sites."""


class Made(NamedTuple):
    """A site's datasets: the workspace, the run, how to run another command on it, and wrong answers that were planted, by kind."""

    workspace: Workspace
    run: Watched
    stages: Mapping[str, float]
    again: Callable[[str], Watched]
    planted: Mapping[str, int]


def run(gold: Path | None, quick: bool) -> dict[str, Any]:
    """Both sites; with `quick` the scripted one alone, with a few pages. `gold` isn't needed: the sites are the input."""
    del gold
    nulls: dict[str, str] = {}
    sides: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="castalia-datasets-") as name:
        root = Path(name)
        if quick:
            print("demo: left out of a quick run")
        else:
            sides["demo"] = _measure("demo", _demo(root), nulls)
        documentation = documentation_of_packages()
        if documentation is None:
            nulls["sqlite3-doc"] = "apt-get could not bring the package, or dpkg-deb is missing"
        else:
            with _scripted(root, documentation, QUICK_PAGES if quick else PAGES) as made:
                sides["sqlite3-doc"] = _measure("sqlite3-doc", made, nulls)
    figures: dict[str, Any] = {}
    for figure, worst in WORST.items():
        values = [side[figure] for side in sides.values() if side.get(figure) is not None]
        figures[figure] = worst(values) if values else None
        if not values:
            nulls.setdefault(figure, "no site could be measured")
    return {"figures": figures, "peers": sides, "nulls": nulls}


def _measure(name: str, made: Made, nulls: dict[str, str]) -> dict[str, Any]:
    if made.run.code != 0:
        nulls[name] = f"the run ended with exit code {made.run.code}: {made.run.output[-300:]}"
        return {}
    workspace = made.workspace
    released = read_released(workspace)
    balance = json.loads((all_releases(workspace.releases)[-1] / "balance.json").read_bytes())
    missing, looked = ungrounded(released)
    for record, why in missing[:5]:
        print(f"{name}: not grounded, {why!r}: {getattr(record, 'subject', record.id)}")
    for dataset, figures in balance.items():
        print(f"{name}: {dataset} by category and kind: {json.dumps(figures['by_category'])}")
    rejects = Counter(f"{stage}: {reject.reason}" for stage in MAKING for reject in _rejects(workspace, stage))
    print(f"{name}: rejected: {json.dumps(dict(rejects.most_common()))}")
    rebuilt = made.again("rebuild")
    if rebuilt.code != 0:
        print(f"{name}: rebuild: {rebuilt.output[-500:]}")
    leaked = {leak.record for leak in workspace.store.read_dataset("leaks", Leak)}
    records = [record for kept in released.records.values() for record in kept]
    wrote = sum(workspace.store.manifest(dataset).rows for dataset in ("atoms", *balance))
    seconds = sum(made.stages[stage] for stage in MAKING)
    caught = {"block-not-shown", "quote-not-in-blocks", "node-of-other-category"}
    stopped = sum(count for reason, count in rejects.items() if reason.partition(": ")[2] in caught)
    bias = balance["preferences"]["bias"]
    return {
        "evidence_valid": evidence_valid(released),
        "grounded": 1 - len(missing) / looked if looked else None,
        "rebuild_identical": rebuilt.code == 0,
        "coverage": balance["sft"]["coverage"],
        "length_bias": None if bias["length"] is None else round(bias["length"], 4),
        "longer_chosen": bias["longer_chosen"],
        "reward_length_bias": balance["rewards"]["bias"]["length"],
        "records_per_s": round(wrote / seconds, 2),
        "citations": len(released.citations),
        **{dataset: len(kept) for dataset, kept in released.records.items()},
        "kinds": len({record.kind for record in released.records["sft"] if isinstance(record, SFTExample)}),
        **traces(released),
        "near_duplicate_prompts": sum(near_duplicates(kept) for kept in released.records.values()),
        "leaks_found": len(leaked),
        "leaked_records": sum(record.id in leaked for record in records),
        "faults_planted": sum(made.planted.values()),
        "faults_used": max(0, sum(made.planted.values()) - stopped),
        "refusals_planted": len(FAULTS),
        "not_refused": not_refused(name, workspace),
    }


def _rejects(workspace: Workspace, stage: str) -> list[Reject]:
    name = f"{stage}.rejects"
    return list(workspace.store.read_dataset(name, Reject)) if workspace.store.has(name) else []


def _demo(root: Path) -> Made:
    folder = root / "demo"
    seen, stages = _castalia(root, "demo", "demo", "--data-only", "--folder", str(folder))
    config = examples_folder() / "mako" / "castalia.yaml"
    store = f"execution.store={folder / 'work'}"
    workspace = open_workspace(load_config([config], [store]))

    def again(command: str) -> Watched:
        return _castalia(root, command, command, "mako", "-c", str(config), "--set", store)[0]

    return Made(workspace, seen, stages, again, {})


@contextmanager
def _scripted(root: Path, documentation: Path, pages: int) -> Generator[Made]:
    """sqlite3-doc through the whole pipeline. The expert stays up only while the run needs it: a rebuild asks nobody."""
    config = root / "sqlite.yaml"
    expert = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.datasets_expert"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with expert, served(documentation, root / "site.log") as port:
        assert expert.stdin is not None
        assert expert.stdout is not None
        role = {"provider": "openai", "base_url": expert.stdout.readline().strip(), "model": "scripted"}
        settings = {
            "name": "sqlite",
            "domain": "SQLite",
            "oracles": {"writer": role, "judge": role, "target": role},
            "sources": {
                "sites": [f"http://{HOST}/index.html"],
                "licences": ["blessing"],
                "max_pages": pages,
                "stated_licences": [{"url": f"http://{HOST}/", "spdx": "blessing", "reason": STATED}],
            },
            "stages": {
                "taxonomy": {"nodes_per_category": 2},
                "design_suite": {"dev": 1, "gate": 2, "vault": 1},
                "build_preferences": {"pairs": pages},
                "build_rewards": {"prompts": pages // 2},
            },
            "execution": {
                "store": str(root / "sqlite"),
                "allow_private": ["127.0.0.0/8"],
                "connect_to": {HOST: f"127.0.0.1:{port}"},
                "pages_per_second": 2000,
            },
        }
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        seen, stages = _castalia(root, "run", "run", "-c", str(config))
        if seen.code == 0:
            seen, _ = _castalia(root, "release", "release", "-c", str(config))
        expert.stdin.close()
        planted = json.loads(expert.stdout.readline())

    def again(command: str) -> Watched:
        return _castalia(root, command, command, "sqlite", "-c", str(config))[0]

    yield Made(open_workspace(load_config([config])), seen, stages, again, planted)


def _castalia(root: Path, name: str, *arguments: str) -> tuple[Watched, dict[str, float]]:
    """A command in a process of its own, and the seconds of each stage it ran."""
    log = root / f"{name}.out"
    seen = watch([sys.executable, "-m", "castalia", *arguments, "--json"], log, limit=LIMIT_SECONDS)
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.startswith("{")]
    return seen, {line["stage"]: line["seconds"] for line in lines if line.get("event") == "StageFinished"}

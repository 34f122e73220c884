"""`castalia collect` on real documentation: the HTML of Debian's packages sqlite3-doc and postgresql-doc-15, served on loopback.

The packages come from apt at run time, into the user's cache. One run is killed in the middle and continued, another one is not; the
server's own log says whether a page was answered twice.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.processes import Watched, watch
from castalia.store import open_store

PACKAGES = ("sqlite3-doc", "postgresql-doc-15")
SITES = {
    "sqlite.localhost": ("sqlite3", "index.html"),
    "postgresql.localhost": ("postgresql-doc-15/html", "index.html"),
}
"""Host, its folder below `usr/share/doc`, and the page to start from."""
STATED = "copyright.html says that all of the code and documentation has been dedicated to the public domain"
RATE = 2000
"""Requests per second and host: these hosts are ours."""
QUICK_PAGES = 30
LIMIT_SECONDS = 900.0
FIGURES = (
    "pages", "kept", "documents", "rejected", "refetched_after_kill", "in_flight_at_kill", "identical_after_kill",
    "second_run_does_nothing", "seconds", "collect_seconds", "pages_per_s", "peak_mb",
)  # fmt: skip


class Run(NamedTuple):
    """A run of the command and what it said."""

    watched: Watched
    stages: Mapping[str, float]
    """Seconds by stage."""
    facts: Mapping[str, Any]


def run(gold: Path | None, quick: bool) -> dict[str, Any]:
    """The whole benchmark. `gold` isn't needed: the packages are the input."""
    del gold
    documentation = documentation_of_packages()
    if documentation is None:
        reason = f"apt-get could not bring {', '.join(PACKAGES)}, or dpkg-deb is missing"
        return {"figures": dict.fromkeys(FIGURES), "nulls": dict.fromkeys(FIGURES, reason)}
    with tempfile.TemporaryDirectory(prefix="castalia-collect-") as name:
        return {"figures": _measure(documentation, Path(name), quick)}


def _measure(documentation: Path, root: Path, quick: bool) -> dict[str, Any]:
    limit = QUICK_PAGES if quick else 5000
    kill_at = QUICK_PAGES if quick else 700
    with served(documentation, root / "killed.log") as port:
        log = root / "killed.log"
        killed = _castalia(root, "killed", port, limit, kill_when=lambda: _lines(log) >= kill_at)
        before = _answers(log)
        resumed = _castalia(root, "killed", port, limit)
        after = _answers(log)[len(before) :]
        again = _castalia(root, "killed", port, limit)
    asked_again = Counter({*before}) & Counter({*after})
    # One request at a time goes to a host: its last answer before the kill may not have arrived.
    in_flight = {line for host in SITES for line in [line for line in before if line.startswith(f"{host} ")][-1:]}
    with served(documentation, root / "whole.log") as port:
        whole = _castalia(root, "whole", port, limit)
    for what, one in (("continued", resumed), ("uninterrupted", whole)):
        if one.watched.code != 0:
            raise RuntimeError(f"the {what} run ended with exit code {one.watched.code}: {one.watched.output}")
    facts = whole.facts
    rejected = {f"{item['stage']}: {item['reason']}": 0 for item in facts["rejected"]}
    for item in facts["rejected"]:
        rejected[f"{item['stage']}: {item['reason']}"] += item["count"]
    print("\n".join(f"rejected, {reason}: {count}" for reason, count in rejected.items()))
    print("\n".join(f"seconds, {stage}: {seconds:.1f}" for stage, seconds in whole.stages.items()))
    steps = {step["stage"]: step for step in facts["steps"]}
    return {
        "pages": steps["collect"]["records"],
        "kept": steps["collect"]["kept"],
        "documents": facts["documents"],
        "rejected": sum(rejected.values()),
        "killed_after_answers": len(before),
        "was_killed": killed.watched.code == -9,
        "refetched_after_kill": sum((asked_again - Counter(in_flight)).values()),
        "in_flight_at_kill": sum((asked_again & Counter(in_flight)).values()),
        "answered_twice_without_kill": len(after) - len({*after}),
        "identical_after_kill": _contents(root / "killed") == _contents(root / "whole"),
        "second_run_does_nothing": again.watched.code == 0 and not again.facts["ran"] and not again.facts["wrote"],
        "seconds": round(whole.watched.seconds, 1),
        "collect_seconds": round(whole.stages["collect"], 1),
        "pages_per_s": round(steps["collect"]["records"] / whole.stages["collect"], 1),
        "peak_mb": None if whole.watched.peak_mb is None else round(whole.watched.peak_mb),
    }


def _castalia(root: Path, name: str, port: str, limit: int, **watched: Any) -> Run:
    sites = [f"http://{host}/{start}" for host, (_, start) in SITES.items()]
    settings = {
        "execution.connect_to": dict.fromkeys(SITES, f"127.0.0.1:{port}"),
        "sources.stated_licences": [{"url": "http://sqlite.localhost/", "spdx": "blessing", "reason": STATED}],
    }
    command = [
        *(sys.executable, "-m", "castalia", "collect", *sites, "--out", str(root / name), "--json", "--rate", str(RATE)),
        *("--max-pages", str(limit), "--licences", "permissive,blessing", "--licence-file", "legalnotice.html"),
        *("--allow-private", "127.0.0.0/8"),
        *(part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")),
    ]
    output = root / f"{name}.out"
    seen = watch(command, output, limit=LIMIT_SECONDS, **watched)
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if line.startswith("{")]
    stages = {line["stage"]: line["seconds"] for line in lines if line.get("event") == "StageFinished"}
    return Run(seen, stages, lines[-1] if lines and "steps" in lines[-1] else {})


def _contents(folder: Path) -> dict[str, str]:
    store = open_store(folder / "work" / "store")
    return {name: store.manifest(name).content for name in store.names()}


def _answers(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines()


def _lines(log: Path) -> int:
    return log.read_bytes().count(b"\n")


@contextmanager
def served(documentation: Path, log: Path) -> Generator[str]:
    """The port of a server for the sites; it ends when its standard input closes."""
    folders = [f"{host}={documentation / 'usr/share/doc' / folder}" for host, (folder, _) in SITES.items()]
    command = [sys.executable, "-m", "benchmarks.collect_site", str(log), *folders]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def documentation_of_packages() -> Path | None:
    """The unpacked packages in the user's cache, fetched once; None where apt can't bring them."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "castalia" / "collect"
    done = folder / "unpacked"
    if done.is_dir():
        return done
    unfinished = folder / f"unpacking-{os.getpid()}"
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, check=True, capture_output=True, timeout=300)
        for package in PACKAGES:
            newest = max(folder.glob(f"{package}_*.deb"), key=lambda path: [int(part) for part in re.findall(r"\d+", path.name)])
            subprocess.run(["dpkg-deb", "-x", str(newest), str(unfinished)], check=True, capture_output=True, timeout=300)
        unfinished.rename(done)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"{', '.join(PACKAGES)} can't be had: {error}")
        return None
    return done

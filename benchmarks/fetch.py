"""The fetcher: pages per second against the schedule that politeness allows, kills, hostile servers, robots.txt, URL identity.

Everything is served on loopback. The farm and every crawl are processes of their own, so the crawl shares its event loop with nobody.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import fetch_farm, fetch_hostile, fetch_robots, fetch_urls
from castalia.web.archive import Archive

LIMIT_SECONDS = 240.0


class Counts(NamedTuple):
    """How much is measured."""

    hosts: int
    pages: int
    rate: float
    """Requests per second and host."""
    kills: int


WHOLE, QUICK = Counts(200, 15, 0.5, 3), Counts(200, 6, 0.5, 1)
KILLED = Counts(60, 12, 3.0, 0)


def run(gold: Path | None, quick: bool) -> dict[str, Any]:
    """The whole benchmark. `gold` has `robots/` and `url/`."""
    counts = QUICK if quick else WHOLE
    figures: dict[str, Any] = {}
    nulls: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="castalia-fetch-") as name:
        folder = Path(name)
        figures |= schedule(folder / "schedule", counts)
        figures |= killed(folder / "killed", counts.kills)
        figures |= fetch_hostile.measure(folder / "hostile")
    figures |= fetch_robots.measure(gold / "robots" if gold else None, nulls, 400 if quick else None)
    figures |= fetch_urls.measure(gold / "url" if gold else None, nulls)
    return {"figures": figures, "nulls": nulls}


def schedule(folder: Path, counts: Counts) -> dict[str, Any]:
    """Pages per second as a fraction of those of the ideal schedule: every host asked exactly when it may be, from the first second."""
    folder.mkdir()
    hosts = fetch_farm.farm(counts.hosts, counts.pages, counts.rate)
    log = folder / "log"
    with serving(log) as port:
        got = json.loads(subprocess.check_output(_client(folder / "archive", port, counts), text=True, timeout=LIMIT_SECONDS))
    ideal = sum(host.pages for host in hosts) / fetch_farm.ideal_seconds(hosts, counts.rate)
    return {
        "schedule_fraction": got["pages"] / got["seconds"] / ideal,
        "pages_per_s": got["pages"] / got["seconds"],
        "ideal_pages_per_s": ideal,
        "hurried_requests": fetch_farm.hurried(log, hosts, counts.rate),
        "cpu_ms_per_page": 1000 * got["cpu_seconds"] / got["pages"],
        "crawl_peak_mb": got["peak_mb"],
        "crawl_problems": sum(got["problems"].values()),
    }


def killed(folder: Path, kills: int) -> dict[str, Any]:
    """A crawl that is sent SIGKILL again and again, and then let to its end. The server's log says what was answered twice."""
    folder.mkdir()
    log, archive = folder / "log", folder / "archive"
    hosts = fetch_farm.farm(KILLED.hosts, KILLED.pages, KILLED.rate)
    pages = [url for host in hosts for url in host.urls()]
    in_flight: set[str] = set()
    with serving(log) as port:
        for number in range(1, kills + 1):
            child = subprocess.Popen(_client(archive, port, KILLED), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until = time.monotonic() + LIMIT_SECONDS
            while len(_answered(log)) < len(pages) * number // (kills + 1) and child.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
            child.send_signal(signal.SIGKILL)
            child.wait()
            time.sleep(0.2)  # what the server had read before the kill is answered and logged
            kept = Archive(archive, read_only=True)
            in_flight |= {url for url in _answered(log) if kept.get(url) is None}
            kept.close()
        got = json.loads(subprocess.check_output(_client(archive, port, KILLED), text=True, timeout=LIMIT_SECONDS))
    twice = {url for url, count in _answered(log).items() if count > 1}
    return {
        "refetched_after_kill": len(twice - in_flight),
        "in_flight_at_kill": len(in_flight),
        "missing_after_kill": len(pages) - got["pages"],
        "hurried_after_kill": fetch_farm.hurried(log, hosts, KILLED.rate),
    }


@contextmanager
def serving(log: Path) -> Generator[int]:
    """The farm, in a process of its own; yields its port."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fetch_farm", str(log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        yield int(server.stdout.readline())
    finally:
        server.stdin.close()
        server.wait(10)


def _client(archive: Path, port: int, counts: Counts) -> list[str]:
    settings = (str(archive), str(port), str(counts.hosts), str(counts.pages), str(counts.rate))
    return [sys.executable, "-m", "benchmarks.fetch_client", *settings]


def _answered(log: Path) -> Counter[str]:
    """How often each page was answered. The last line may be half written."""
    text = log.read_text()
    lines = (line.split(" ") for line in text[: text.rfind("\n") + 1].splitlines())
    return Counter(f"http://{host}{path}" for _, host, path in lines if path.startswith("/p/"))

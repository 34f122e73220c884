"""The oracle against the physical limit and its peers: calls per second, CPU, calls paid twice, 429s, a large ledger.

Every client runs in a process of its own against one server on loopback, and bare and ours take turns, so that a busy machine slows
both. Rates are fractions of the bare client's; each is the best of its runs, because noise only ever slows.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import oracle_large
from benchmarks.model_server import ModelServer, model_server
from benchmarks.oracle_invariants import broken_invariants
from benchmarks.oracle_peers import Peer, peers
from castalia.oracle import open_ledger

DELAY = 0.05
IN_FLIGHT = 64
KILLED_CALLS, KILL_AT = 1000, 970
REFUSED = 0.05
LIMIT_SECONDS = 240.0


class Counts(NamedTuple):
    """How much is measured."""

    rounds: int
    calls_64: int
    calls_256: int
    refused_calls: int
    large_rows: int


WHOLE, QUICK = Counts(4, 3000, 8000, 10_000, 1_000_000), Counts(1, 600, 1500, 1500, 20_000)


def run(gold: Path | None, quick: bool) -> dict[str, Any]:
    """The whole benchmark. `gold` isn't needed."""
    del gold
    counts = QUICK if quick else WHOLE
    figures: dict[str, Any] = {}
    sides: dict[str, dict[str, Any]] = {}
    nulls: dict[str, str] = {}
    with model_server() as server, tempfile.TemporaryDirectory(prefix="castalia-oracle-") as name:
        folder = Path(name)
        bench = Bench(server, folder)
        for in_flight, calls in ((64, counts.calls_64), (256, counts.calls_256)):
            figures |= rates(bench, in_flight, calls, counts.rounds, sides)
        figures |= under_429(bench, counts.refused_calls)
        figures |= killed(bench, "castalia", sides)
        figures["calls_for_one_row"] = one_row(bench, "castalia", sides)
        figures |= oracle_large.measure(folder / "large", server, counts.large_rows)
        for peer in peers(nulls):
            against(bench, peer, sides, nulls, counts)
    return {"figures": figures, "peers": sides, "nulls": nulls}


class Bench:
    """Runs clients against the server, each in a folder and a process of its own."""

    def __init__(self, server: ModelServer, root: Path):
        self.server = server
        self._root = root
        self._number = 0

    def folder(self) -> Path:
        """A fresh one."""
        self._number += 1
        path = self._root / str(self._number)
        path.mkdir()
        return path

    def command(self, client: str | Peer, calls: int, in_flight: int, folder: Path) -> list[str]:
        """How the client is started."""
        start = [sys.executable, "-m", "benchmarks.oracle_client", client] if isinstance(client, str) else client.command
        return [*start, self.server.base_url, str(calls), str(in_flight), str(folder)]

    def measure(self, client: str | Peer, calls: int, in_flight: int, folder: Path, **script: Any) -> dict[str, Any]:
        """Runs a client to its end. Raises ClientFailed when it doesn't get there in time."""
        self.server.script(**{"delay": DELAY, **script})
        done = subprocess.run(
            self.command(client, calls, in_flight, folder), capture_output=True, text=True, timeout=LIMIT_SECONDS, env=environment(folder)
        )
        if done.returncode:
            raise ClientFailed((done.stderr.strip().splitlines() or ["no message"])[-1][:300])
        return json.loads(done.stdout.strip().splitlines()[-1])

    def kill(self, client: str | Peer, folder: Path) -> None:
        """Starts a client with KILLED_CALLS calls and kills it and its children when KILL_AT answers are on the bill."""
        self.server.script(delay=DELAY)
        with (folder / "log").open("wb") as log:
            command = self.command(client, KILLED_CALLS, IN_FLIGHT, folder)
            child = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=environment(folder))
            until = time.monotonic() + LIMIT_SECONDS
            while self.server.bill().answered < KILL_AT and child.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


class ClientFailed(Exception):
    """A client ended badly."""


def environment(folder: Path) -> dict[str, str]:
    """Of every client: no telemetry, caches in its folder."""
    return {
        **os.environ, "OPENAI_API_KEY": "sk-none", "PYTHONPATH": str(Path(__file__).parents[1]), "CURATOR_CACHE_DIR": str(folder / "cache"),
        "TELEMETRY_ENABLED": "0", "HF_DATASETS_CACHE": str(folder / "datasets"), "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1",
    }  # fmt: skip


def rates(bench: Bench, in_flight: int, calls: int, rounds: int, sides: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Calls per second of both, in turns."""
    best: dict[str, float] = {"bare": 0.0, "castalia": 0.0}
    cpu: dict[str, float] = {"bare": float("inf"), "castalia": float("inf")}
    ratios: list[float] = []
    for _ in range(rounds):
        now: dict[str, float] = {}
        for client in best:
            measured = bench.measure(client, calls, in_flight, bench.folder())
            now[client] = calls / measured["seconds"]
            best[client] = max(best[client], now[client])
            cpu[client] = min(cpu[client], measured["cpu_seconds"] / calls * 1000)
        ratios.append(now["castalia"] / now["bare"])
    for client, rate in best.items():
        sides.setdefault(client, {})[f"calls_per_s_{in_flight}"] = round(rate, 1)
        sides[client][f"cpu_ms_{in_flight}"] = round(cpu[client], 3)
    figures = {
        f"rate_{in_flight}": best["castalia"] / best["bare"],
        f"rate_{in_flight}_by_round": [round(ratio, 3) for ratio in ratios],
        f"bare_calls_per_s_{in_flight}": best["bare"],
        f"calls_per_s_{in_flight}": best["castalia"],
        f"bare_cpu_ms_per_call_{in_flight}": cpu["bare"],
    }
    return {**figures, "cpu_ms_per_call": cpu["castalia"]} if in_flight == IN_FLIGHT else figures


def under_429(bench: Bench, calls: int) -> dict[str, Any]:
    """Calls per second with random 429s, as a share of those without any, both ours and in turns."""
    clean = bench.measure("castalia", calls, IN_FLIGHT, bench.folder())
    refused = bench.measure("castalia", calls, IN_FLIGHT, bench.folder(), refused=REFUSED)
    bill = bench.server.bill()
    return {
        "rate_under_429": clean["seconds"] / refused["seconds"],
        "calls_per_s_under_429": calls / refused["seconds"],
        "refused_requests": bill.refused,
    }


def killed(bench: Bench, client: str | Peer, sides: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What is paid twice after a SIGKILL near the end, and whether the ledger lists it."""
    folder = bench.folder()
    bench.kill(client, folder)
    before = bench.server.bill().subjects
    again = bench.measure(client, KILLED_CALLS, IN_FLIGHT, folder)
    after = bench.server.bill().subjects
    asked = [f"question {number}" for number in range(KILLED_CALLS)]
    twice = sum(max(0, before.get(text, 0) + after.get(text, 0) - 1) for text in asked)
    name = client if isinstance(client, str) else client.name
    sides.setdefault(name, {})["paid_twice"] = twice
    if again["answers"] < KILLED_CALLS:
        raise ClientFailed(f"after the kill it ended with {again['answers']} of {KILLED_CALLS} answers")
    if not isinstance(client, str):
        return {}
    with open_ledger(folder / "ledger.db", readonly=True) as ledger:
        listed = len(ledger.in_doubt())
    # The warm-up calls of both runs are one each in the ledger, so the bill is taken by subject.
    broken = broken_invariants(folder / "ledger.db", [], {})
    return {
        "paid_twice": twice,
        "listed_as_in_doubt": listed,
        "unlisted_duplicates": max(0, twice - listed),
        "broken_invariants": [f"{item.name}: {item.words}" for item in broken],
        "answered_before_the_kill": sum(before.values()),
    }


def one_row(bench: Bench, client: str | Peer, sides: dict[str, dict[str, Any]]) -> int:
    """Calls that one more row costs when all others were answered before."""
    folder = bench.folder()
    bench.measure(client, 200, IN_FLIGHT, folder)
    bench.measure(client, 201, IN_FLIGHT, folder)
    subjects = bench.server.bill().subjects
    extra = sum(number for text, number in subjects.items() if text.startswith("question "))
    sides.setdefault(client if isinstance(client, str) else client.name, {})["calls_for_one_row"] = extra
    return extra


def against(bench: Bench, peer: Peer, sides: dict[str, dict[str, Any]], nulls: dict[str, str], counts: Counts) -> None:
    """The same measurements of another framework. What it can't do is said, and the next one is tried."""
    calls = min(1000, counts.calls_64)

    def rate(in_flight: int, **script: Any) -> float:
        return round(calls / bench.measure(peer, calls, in_flight, bench.folder(), **script)["seconds"], 1)

    steps: dict[str, Callable[[], Any]] = {
        "calls_per_s_64": lambda: rate(64),
        "calls_per_s_256": lambda: rate(256),
        "calls_per_s_under_429": lambda: rate(64, refused=REFUSED),
        "paid_twice": lambda: killed(bench, peer, sides) and None,
        "calls_for_one_row": lambda: one_row(bench, peer, sides),
    }
    side = sides.setdefault(peer.name, {})
    for name, step in steps.items():
        try:
            value = step()
            if value or name not in side:
                side[name] = value
        except (ClientFailed, subprocess.TimeoutExpired, ValueError, IndexError) as error:
            side.setdefault(name, None)
            nulls[f"{peer.name} {name}"] = (
                f"no end within {LIMIT_SECONDS:.0f} s" if isinstance(error, subprocess.TimeoutExpired) else str(error)
            )

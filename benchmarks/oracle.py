"""The oracle against the physical limit and its peers: calls per second, CPU, calls paid twice, 429s, a large ledger.

Every client runs in a process of its own against one server on loopback, and bare and ours take turns, so that a busy machine slows
both. Rates are fractions of the bare client's; each is the best of its runs, because noise only ever slows.
"""

import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import oracle_large
from benchmarks.model_server import model_server
from benchmarks.oracle_bench import IN_FLIGHT, KILLED_CALLS, REFUSED, Bench, Client, ClientFailed, name_of
from benchmarks.oracle_invariants import broken_invariants
from benchmarks.oracle_peers import beside, or_reason, peers
from castalia.oracle import open_ledger


class Counts(NamedTuple):
    """How much is measured."""

    rounds: int
    calls_64: int
    calls_256: int
    refused_calls: int
    large_rows: int
    peer_calls: int


WHOLE, QUICK = Counts(4, 3000, 8000, 10_000, 1_000_000, 2000), Counts(1, 600, 1500, 1500, 20_000, 400)


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
        if found := peers(nulls):
            beside(bench, "castalia", counts.peer_calls, sides, nulls)
        for peer in found:
            beside(bench, peer, counts.peer_calls, sides, nulls)
            or_reason(bench, peer, "paid_twice", lambda peer=peer: killed(bench, peer, sides), nulls)
            or_reason(bench, peer, "calls_for_one_row", lambda peer=peer: one_row(bench, peer, sides), nulls)
    return {"figures": figures, "peers": sides, "nulls": nulls}


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


def killed(bench: Bench, client: Client, sides: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What is paid twice after a SIGKILL near the end, and whether the ledger lists it."""
    folder = bench.folder()
    bench.kill(client, folder)
    time.sleep(0.2)  # what the client had sent comes in
    bill = bench.server.bill()
    before, delivered = bill.subjects, bill.answered
    again = bench.measure(client, KILLED_CALLS, IN_FLIGHT, folder)
    after = bench.server.bill().subjects
    asked = [f"question {number}" for number in range(KILLED_CALLS)]
    twice = sum(max(0, before.get(text, 0) + after.get(text, 0) - 1) for text in asked)
    sides.setdefault(name_of(client), {})["paid_twice"] = twice
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
        "charged_before_the_kill": sum(before.values()),
        "unanswered_at_the_kill": sum(before.values()) - delivered,
    }


def one_row(bench: Bench, client: Client, sides: dict[str, dict[str, Any]]) -> int:
    """Calls that one more row costs when all others were answered before."""
    folder = bench.folder()
    bench.measure(client, 200, IN_FLIGHT, folder)
    again = bench.measure(client, 201, IN_FLIGHT, folder)
    if again["answers"] < 201:
        raise ClientFailed(f"with one row more it ended with {again['answers']} of 201 answers")
    subjects = bench.server.bill().subjects
    extra = sum(number for text, number in subjects.items() if text.startswith("question "))
    sides.setdefault(name_of(client), {})["calls_for_one_row"] = extra
    return extra

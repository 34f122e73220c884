"""Other frameworks measured beside ours, each in its own virtual environment under the user's cache. Never our dependencies.

Only `--peers` measures them; what is missing is installed by pip first. A rate is what the server sees, from the first request to the
last answer, so that starting and ending don't count; the bare client is measured right before and right after, and the share of its rate
is what can be compared between machines. CPU per call is the difference between a short and a long run, divided by that of their calls.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.oracle_bench import IN_FLIGHT, REFUSED, Bench, Client, ClientFailed, Peer, name_of
from benchmarks.peers.environments import WANTED, NoEnvironment, require

SECONDS_PER_1000 = 3.0


class Package(NamedTuple):
    """What is installed for a peer."""

    script: str
    """Below `benchmarks/peers`, and the name of its environment."""
    requirements: tuple[str, ...]


PACKAGES = {
    "bespokelabs-curator": Package("curator", ("bespokelabs-curator",)),
    "data-designer": Package("data_designer", ("data-designer",)),
    # it imports requests, which a dependency of its dependencies no longer brings
    "distilabel": Package("distilabel", ("distilabel[openai]", "requests")),
}


def peers(nulls: dict[str, str]) -> list[Peer]:
    """Those that can be run here; the others are named in `nulls` with the reason."""
    found: list[Peer] = []
    for package, (script, requirements) in PACKAGES.items():
        if os.environ.get(WANTED) != "1":
            nulls[package] = "not asked for; `--peers` installs it into an environment of its own under the user's cache and measures it"
            continue
        try:
            python = require(script, requirements)
        except NoEnvironment as reason:
            nulls[package] = str(reason)
            continue
        file = Path(__file__).with_name("peers") / f"{script}.py"
        found.append(Peer(f"{package} {_version(python, package)}", [str(python), "-P", str(file)]))
    return found


def beside(bench: Bench, client: Client, calls: int, sides: dict[str, dict[str, Any]], nulls: dict[str, str]) -> None:
    """Rates, CPU and behavior under 429s of one client, between two runs of the bare one. What it can't do is said in `nulls`."""
    side = sides.setdefault(name_of(client), {})
    for in_flight in (IN_FLIGHT, 4 * IN_FLIGHT):
        or_reason(
            bench,
            client,
            f"calls_per_s_{in_flight}",
            lambda in_flight=in_flight: side.update(_rate(bench, client, calls, in_flight)),
            nulls,
        )
    or_reason(bench, client, "cpu_ms_64", lambda: side.update(_cpu(bench, client, calls)), nulls)
    or_reason(bench, client, "share_under_429", lambda: side.update(_under_429(bench, client, calls)), nulls)


def or_reason(bench: Bench, client: Client, figure: str, measure: Callable[[], Any], nulls: dict[str, str]) -> None:
    """Measures; a client that fails gives its reason and how much it had paid for by then."""
    try:
        measure()
    except (ClientFailed, ValueError, IndexError) as error:
        paid = sum(number for text, number in bench.server.bill().subjects.items() if text.startswith("question "))
        nulls[f"{name_of(client)} {figure}"] = f"{error} ({paid} calls were paid in that run)"


def _rate(bench: Bench, client: Client, calls: int, in_flight: int) -> dict[str, Any]:
    before, rate, after = (_seen(bench, who, calls, in_flight) for who in ("bare", client, "bare"))
    return {f"calls_per_s_{in_flight}": round(rate, 1), f"of_bare_{in_flight}": round(2 * rate / (before + after), 3)}


def _cpu(bench: Bench, client: Client, calls: int) -> dict[str, Any]:
    short, long = (bench.measure(client, count, IN_FLIGHT, bench.folder())["cpu_seconds"] for count in (calls // 4, calls))
    return {"cpu_ms_64": round((long - short) / (calls - calls // 4) * 1000, 2)}


def _under_429(bench: Bench, client: Client, calls: int) -> dict[str, Any]:
    """Every client gets the calls that it makes in equal time, as a second for the last `Retry-After` weighs more in a short run."""
    clean = _seen(bench, client, calls, IN_FLIGHT)
    refused = _seen(bench, client, round(clean * SECONDS_PER_1000 * calls / 1000), IN_FLIGHT, refused=REFUSED)
    return {"calls_per_s_under_429": round(refused, 1), "share_under_429": round(refused / clean, 3)}


def _seen(bench: Bench, client: Client, calls: int, in_flight: int, **script: Any) -> float:
    """Calls per second as the server sees them. Raises ClientFailed when answers are missing."""
    done = bench.measure(client, calls, in_flight, bench.folder(), **script)
    if done["answers"] < calls:
        raise ClientFailed(f"it ended with {done['answers']} of {calls} answers")
    return calls / bench.server.bill().seconds


def _version(python: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()

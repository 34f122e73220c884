"""Servers that do everything wrong, and addresses that must not be reached. Every case is a typed outcome within seconds.

The cases are fetched, some at a time, by a child (`python -m benchmarks.fetch_hostile FOLDER PORTS`), whose memory is measured and whose
every `connect` is seen by an audit hook: what goes anywhere but to the hostile server is an escape, and is stopped there.
"""

import asyncio
import ipaddress
import json
import queue
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from fastwarc.warc import ArchiveIterator

from benchmarks.fetch_hostile_cases import CASES, SSRF, TWISTED_NAMES, answer
from castalia.web import FetchLimits, Web, open_web

LIMITS = FetchLimits(rate_per_host=200, total_seconds=1.5, connect_seconds=1.0, max_bytes=300_000, retries=1, longest_wait_seconds=1)
HANG_SECONDS = 5.0
_CHILD_SECONDS = 240.0
_AT_ONCE = 16


class Outcome(NamedTuple):
    """What came of a case."""

    name: str
    problem: str
    expected: Sequence[str]
    seconds: float

    def is_wrong(self) -> bool:
        """Whether it took too long or ended in another way than it must."""
        return self.problem not in self.expected or self.seconds > HANG_SECONDS


def measure(folder: Path) -> dict[str, Any]:
    """Runs every case; counts those that hang, those with another outcome than they must have, and connections that escaped."""
    folder.mkdir()
    with serving() as (port, canary):
        command = [sys.executable, "-m", "benchmarks.fetch_hostile", str(folder / "archive"), str(port), str(canary.port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_CHILD_SECONDS)
        if done.returncode:
            raise RuntimeError(f"the crawl of hostile servers ended with {done.returncode}: {done.stderr[-1000:]}")
        got = json.loads(done.stdout.splitlines()[-1])
    outcomes = [Outcome(*values) for values in got["outcomes"]]
    for case in outcomes:
        if case.is_wrong():
            print(
                f"hostile case {case.name!r} gave {case.problem!r} after {case.seconds:.1f} s, not one of {case.expected}", file=sys.stderr
            )
    return {
        "hostile_cases": len(outcomes),
        "hostile_hangs": sum(case.seconds > HANG_SECONDS for case in outcomes),
        "hostile_wrong": sum(case.problem not in case.expected for case in outcomes),
        "hostile_tried_again": len(got["again"]),
        "hostile_escapes": len(got["escapes"]) + canary.visits,
        "hostile_slowest_s": max(case.seconds for case in outcomes),
        "hostile_memory_mb": got["peak_mb"] - got["before_mb"],
        "hostile_warc_damaged": damaged(folder / "archive" / "pages.warc.gz"),
    }


def damaged(path: Path) -> int:
    """Records of a WARC file that a reader finds wrong: digests that don't fit, and response heads that are none."""
    count = 0
    with path.open("rb") as file:
        for record in ArchiveIterator(file, parse_http=False):
            record.freeze()
            count += not record.verify_block_digest()
    return count


class Canary:
    """A listener on private addresses that nobody may reach."""

    def __init__(self) -> None:
        self.visits = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.visits += 1
            connection.close()

    def close(self) -> None:
        self._listener.close()


@contextmanager
def serving() -> Generator[tuple[int, Canary]]:
    """The hostile server in a thread, and the canary; yields the server's port and the canary."""
    canary = Canary()
    ports: queue.Queue[int] = queue.Queue()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        server = await asyncio.start_server(_handler(canary.port), "127.0.0.1", 0, limit=1 << 20)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    serving_task = loop.create_task(serve())
    thread = threading.Thread(target=_run_to_end, args=(loop, serving_task), daemon=True)
    thread.start()
    try:
        yield ports.get(timeout=10), canary
    finally:
        canary.close()
        loop.call_soon_threadsafe(serving_task.cancel)
        thread.join(10)


def _run_to_end(loop: asyncio.AbstractEventLoop, task: "asyncio.Task[None]") -> None:
    """Runs until the task is cancelled, then ends the answers under way."""
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    rest = asyncio.all_tasks(loop)
    for other in rest:
        other.cancel()
    loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
    loop.close()


def _handler(canary: int) -> Any:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(8):
                first = await reader.readuntil(b"\n")
                head = first + (b"" if first[:1] == b"\x16" else await reader.readuntil(b"\r\n\r\n"))
                lines = head.decode("latin-1").split("\r\n")
                host = next((line[6:].strip() for line in lines if line.lower().startswith("host:")), "tls.bad.test")
                await answer(host.partition(".")[0], lines[0].split(" ")[1] if " " in lines[0] else "/", writer, canary)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, ssl.SSLError, asyncio.CancelledError):
            return  # the client gave up, which is what these cases want; or all of them are done
        finally:
            writer.close()

    return handle


async def crawl(folder: Path, port: int, canary: int, escapes: Sequence[str]) -> dict[str, Any]:
    """Fetches every case; the outcome of each as [name, problem, expected problems, seconds].

    On a busy machine a case may run out of time that it would have had alone, so each that went wrong is tried once more, by itself.
    """
    names = {f"{name}.bad.test": f"127.0.0.1:{port}" for name in CASES}
    _twist_names()
    before = _peak_mb()
    wanted = {name: (f"{scheme}://{name}.bad.test/page", expected) for name, (scheme, expected) in CASES.items()}
    wanted |= {url: (url.replace("CANARY", str(canary)), expected) for url, expected in SSRF.items()}

    async def fetch(archive: Path, cases: Sequence[str], at_once: int) -> list[Outcome]:
        web = open_web(archive, user_agent="castalia/0.1", connect_to=names, limits=LIMITS)
        room = asyncio.Semaphore(at_once)
        try:
            return list(await asyncio.gather(*(_outcome(web, room, name, *wanted[name]) for name in cases)))
        finally:
            await web.close()

    outcomes = await fetch(folder, list(wanted), _AT_ONCE)
    wrong = [case.name for case in outcomes if case.is_wrong()]
    again = {case.name: case for case in await fetch(folder / "again", wrong, 1)}
    outcomes = [again.get(case.name, case) for case in outcomes]
    return {"outcomes": outcomes, "again": wrong, "escapes": list(escapes), "before_mb": before, "peak_mb": _peak_mb()}


async def _outcome(web: Web, room: asyncio.Semaphore, name: str, url: str, expected: Sequence[str]) -> Outcome:
    async with room:
        begun = time.monotonic()
        try:
            got = await asyncio.wait_for(web.fetch(url), 2 * HANG_SECONDS)
            problem = got.problem or ("" if got.media_type == "text/html" else "not-html")
        except TimeoutError:
            problem = "hang"
        return Outcome(name, problem, expected, time.monotonic() - begun)


def _twist_names() -> None:
    """Answers of a name server that says something else each time it is asked."""
    answers = {name: iter(addresses * 20) for name, addresses in TWISTED_NAMES.items()}

    async def getaddrinfo(host: str, port: int, **_more: Any) -> list[Any]:
        found = next(answers[host], None) if host in answers else None
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, f"{host} is no name here")
        family = socket.AF_INET6 if ":" in found else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (found, port))]

    asyncio.get_running_loop().getaddrinfo = getaddrinfo  # type: ignore[method-assign]


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _watch(port: int) -> list[str]:
    """Every address that this process connects to other than the hostile server; the connection is stopped. What counts as an escape is
    one that isn't of the public web: those are what the cases lead to."""
    found: list[str] = []

    def look(event: str, arguments: tuple[Any, Any]) -> None:
        if event != "socket.connect" or isinstance(arguments[1], str | bytes):  # Unix sockets lead nowhere
            return
        address, to_port = str(arguments[1][0]), int(arguments[1][1])
        if (address, to_port) == ("127.0.0.1", port):
            return
        if not ipaddress.ip_address(address.split("%")[0]).is_global:
            found.append(f"{address} {to_port}")
        raise ConnectionRefusedError(111, f"{address} is outside of this benchmark")

    sys.addaudithook(look)
    return found


if __name__ == "__main__":
    archive, port_, canary_ = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(asyncio.run(crawl(archive, port_, canary_, _watch(port_)))))

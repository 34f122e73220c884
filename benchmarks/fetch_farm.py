"""A farm of web hosts on one loopback port, told apart by their Host header, and the schedule that politeness allows for it.

`python -m benchmarks.fetch_farm LOG` serves until its input closes; the port is its first line of output. Every request answered is a
line of the log: time, host, path.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import IO, NamedTuple

_PARAGRAPH = "<p>The farm grows pages of plain words that say nothing, each with room enough to have the size of an ordinary body.</p>\n"
PAGE = "<!doctype html><html><head><title>Page</title></head><body>" + 40 * _PARAGRAPH + "</body></html>"


class FarmHost(NamedTuple):
    """A host of the farm."""

    name: str
    pages: int
    crawl_delay: float
    """Seconds that its robots.txt asks for; 0 for none."""

    def urls(self) -> list[str]:
        """Addresses of its pages."""
        return [f"http://{self.name}/p/{number}" for number in range(self.pages)]


STATEMENTS = 3
"""Requests to a host beside its pages: robots.txt, tdmrep.json, ai.txt."""


def farm(hosts: int, pages: int, rate: float, slow_every: int = 5) -> list[FarmHost]:
    """`hosts` hosts that are all done at about the same time: every fifth has a Crawl-delay of three intervals and fewer pages."""
    delay = round(3 / rate, 3)
    slow_pages = max(1, (pages + STATEMENTS - 1) // 3 + 1 - STATEMENTS)
    slow = [FarmHost(f"h{number:03}.delay-{delay}.test", slow_pages, delay) for number in range(0, hosts, slow_every)]
    return slow + [FarmHost(f"h{number:03}.farm.test", pages, 0) for number in range(hosts) if number % slow_every]


def ideal_seconds(hosts: list[FarmHost], rate: float) -> float:
    """The time to the last request when every host is asked exactly as often as it may be, its three statements included."""
    return max((host.pages + STATEMENTS - 1) * interval(host, rate) for host in hosts)


def interval(host: FarmHost, rate: float) -> float:
    """Seconds between two requests to `host`."""
    return max(1 / rate, host.crawl_delay)


def hurried(log: Path, hosts: list[FarmHost], rate: float) -> int:
    """How often a host was asked too soon, by the log: after less than .85 of its Crawl-delay, or of half the interval of the configured
    rate, which is kept on average. The rest is left to the jitter of a busy machine."""
    seen: dict[str, float] = {}
    least = {host.name: 0.85 * (host.crawl_delay or 0.5 / rate) for host in hosts}
    count = 0
    for moment, host, _ in entries(log):
        count += host in seen and moment - seen[host] < least[host]
        seen[host] = moment
    return count


def entries(log: Path) -> list[tuple[float, str, str]]:
    """(time, host, path) of every request answered."""
    lines = [line.split(" ") for line in log.read_text().splitlines()]
    return [(float(moment), host, path) for moment, host, path in lines]


async def _serve(log: IO[str]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ", 2)[1]
            host = next(line[6:].strip() for line in head.split("\r\n") if line.lower().startswith("host:"))
            writer.write(_answer(host, path))
            log.write(f"{time.time():.4f} {host} {path}\n")
            log.flush()
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return  # the client was killed
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def _answer(host: str, path: str) -> bytes:
    if path == "/robots.txt":
        delay = host.partition(".delay-")[2].removesuffix(".test")  # the name says it, so that the server needs no table
        body = "User-agent: *\nDisallow: /private\n" + (f"Crawl-delay: {delay}\n" if delay else "")
        return _response("200 OK", "text/plain", body)
    if path.startswith("/p/"):
        return _response("200 OK", "text/html; charset=utf-8", PAGE.replace("Page", f"Page {host}{path}"))
    return _response("404 Not Found", "text/plain", "")


def _response(status: str, media_type: str, body: str) -> bytes:
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    return head.encode() + data


if __name__ == "__main__":
    with Path(sys.argv[1]).open("a") as sink:
        asyncio.run(_serve(sink))
